"""What a million PINGs and POSTs cost at AWS's list prices: `make costs` prints the table that stands in
docs/how-to/what-it-costs.md."""

from typing import TYPE_CHECKING

from shared import schema

if TYPE_CHECKING:
    from infra.stages import Stage

PRICED_ON = "2026-11-23"
REGION = "us-east-1"

# Dollars, without free tiers, discounts and taxes. The one place where a list price stands.
HTTP_API_MILLION = 1.00
LAMBDA_MILLION = 0.20
LAMBDA_ARM64_GB_SECOND = 0.0000133334
DYNAMODB_MILLION_WRITE_UNITS = 0.625
DYNAMODB_MILLION_READ_UNITS = 0.125
LOGS_GB = 0.50

# Counted by `make bench`, for a lead of 1 KB.
UNITS = {
    "PING": (2 + 2 + 2, 0),
    "PING, static number": (3 + 2 + 2, 0),
    "POST with its ping id": (5 + 3 + 4, 3),
}
"""Write units and read units. Those of writing are the tables', the indexes' of the log, and those of the counts for
plots, which a busy process writes together."""

# Assumed: nobody has measured it on AWS yet.
MEMORY_GB = 0.5
MILLISECONDS = {"PING": 10, "PING, static number": 12, "POST with its ping id": 25}
LOG_KB = 2
"""The line and the metrics of the function, Lambda's own lines, and API Gateway's."""

COLUMNS = ("A million", "API Gateway", "Lambda", "DynamoDB", "Logs", "Dollars")


def costs(request: str) -> tuple[float, ...]:
    """Dollars for a million requests, by service in the order of the columns."""
    writes, reads = UNITS[request]
    compute = MILLISECONDS[request] * 1000 * MEMORY_GB * LAMBDA_ARM64_GB_SECOND
    return (
        HTTP_API_MILLION,
        LAMBDA_MILLION + compute,
        writes * DYNAMODB_MILLION_WRITE_UNITS + reads * DYNAMODB_MILLION_READ_UNITS,
        LOG_KB * LOGS_GB,
    )


def most_an_hour(stage: "Stage") -> float:
    """Dollars for all that the maxima of a stage's tables, and of their indexes, let through."""
    tables = {name: getattr(schema, name.upper()) for name in stage.units if name != "sandbox"}
    sandbox = [schema.PINGS, schema.LEASES, schema.CALLERS]
    dollars = 0.0
    for name, units in stage.units.items():
        for each in [tables[name]] if name in tables else sandbox:
            times = (1 + len(each.indexes)) * 3600 / 1_000_000
            dollars += times * (units.writes * DYNAMODB_MILLION_WRITE_UNITS + units.reads * DYNAMODB_MILLION_READ_UNITS)
    return dollars


def table() -> str:
    """In Markdown."""
    rows = [f"| {' | '.join(COLUMNS)} |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for request in UNITS:
        parts = costs(request)
        rows.append(f"| {request} | " + " | ".join(f"{dollars:.2f}" for dollars in (*parts, sum(parts))) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    from infra.stages import STAGES  # slow to import

    print(table())
    for name, stage in STAGES.items():
        print(f"The tables of {name} cost at most {most_an_hour(stage):.2f} dollars an hour.")
