"""What a million PINGs, POSTs and calls cost at AWS's list prices: `make costs` prints the table that stands in
docs/how-to/what-it-costs.md."""

from math import ceil
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
DYNAMODB_GB_MONTH = 0.25
DYNAMODB_GB_MONTH_OF_BACKUPS = 0.20
EGRESS_GB = 0.09
LOGS_GB = 0.50

CALL, CALL_CAPS = "Call of four webhooks", "Call to a buyer with caps"
# Counted by `make bench`, for a lead of 460 bytes. A call: in webhooks 6 and 5 (with caps 8 and 6), in the journal's
# function 2 and 1 (with caps a read more), in that of every minute 3 reads.
UNITS = {
    "PING": (1, 0),
    "PING, static number": (2, 0),
    "POST with its ping id": (3, 3),
    "POST to a buyer with caps": (4, 3),
    CALL: (8, 9),
    CALL_CAPS: (10, 11),
}
"""Write units and read units."""
REQUESTS = {CALL: 4, CALL_CAPS: 4}
"""Of what is not one request: voice, leg, dial, status."""

# Assumed: nobody has measured it on AWS yet.
MEMORY_GB = 0.5
MILLISECONDS = {
    "PING": 10,
    "PING, static number": 12,
    "POST with its ping id": 25,
    "POST to a buyer with caps": 30,
    CALL: 77,
    CALL_CAPS: 85,
}
"""Of all requests of one."""
LOG_KB = 1.1
"""The line and the metrics of the function have 588 bytes in the local run, and on AWS some 75 more for the trace and a
longer name; API Gateway's line has 340; CloudWatch adds 26 to each. Lambda's own lines tell of failures only."""
WEBHOOK_LOG_KB = 0.8
"""Webhooks of calls have no line of metrics: 300 bytes in the local run."""
STREAM_SHARDS = 4
"""Of a new table: each brings a batch a second, if something happened in it."""
ROW_BYTES, CALL_ROW_BYTES, BATCH_MILLISECONDS = 57, 70, 50
"""A row in a page, as measured; one of a call; and what a batch takes in the function `journal`."""
CALL_ROWS, CALL_CHANGES, CALL_STREAMS, CALL_UNITS = 2, 8, 2, 2
"""A call has two rows: that it came, and how it ended. Its changes and those of its ping come by two streams, and a
batch of calls enters twice what is due."""

ITEM_OVERHEAD_BYTES = 100
"""What DynamoDB adds to each item that it stores."""

COLUMNS = ("A million", "API Gateway", "Lambda", "DynamoDB", "Logs", "Journal", "Dollars")


def costs(request: str) -> tuple[float, ...]:
    """Dollars for a million requests, by service in the order of the columns."""
    (writes, reads), times = UNITS[request], REQUESTS.get(request, 1)
    compute = MILLISECONDS[request] * 1000 * MEMORY_GB * LAMBDA_ARM64_GB_SECOND
    is_call = request in REQUESTS
    return (
        times * HTTP_API_MILLION,
        times * LAMBDA_MILLION + compute,
        writes * DYNAMODB_MILLION_WRITE_UNITS + reads * DYNAMODB_MILLION_READ_UNITS,
        times * (WEBHOOK_LOG_KB if is_call else LOG_KB) * LOGS_GB,
        journal_of_calls() if is_call else journal(),
    )


def journal(requests_a_second: float = 100) -> float:
    """Dollars for the rows of a million requests: batches of the stream, each with a page and the mark of its hour."""
    rows = max(1, requests_a_second / STREAM_SHARDS)
    batches = 1_000_000 / rows
    units = batches * (ceil(rows * ROW_BYTES / 1024) + 1)
    compute = batches * BATCH_MILLISECONDS / 1000 * MEMORY_GB * LAMBDA_ARM64_GB_SECOND
    return compute + (batches * LAMBDA_MILLION + units * DYNAMODB_MILLION_WRITE_UNITS) / 1_000_000


def journal_of_calls(calls_a_second: float = 100) -> float:
    """Dollars for the rows of a million calls. Where there are few, each change is a batch."""
    batches_a_call = min(CALL_CHANGES, CALL_STREAMS * STREAM_SHARDS / calls_a_second)
    pages_a_call = min(CALL_ROWS, batches_a_call / CALL_STREAMS)
    batches, pages = 1_000_000 * batches_a_call, 1_000_000 * pages_a_call
    units = pages * (ceil(CALL_ROWS / pages_a_call * CALL_ROW_BYTES / 1024) + 1 + CALL_UNITS)
    compute = batches * BATCH_MILLISECONDS / 1000 * MEMORY_GB * LAMBDA_ARM64_GB_SECOND
    return compute + (batches * LAMBDA_MILLION + units * DYNAMODB_MILLION_WRITE_UNITS) / 1_000_000


def kept_and_sent(stored_bytes: int, sent_bytes: int) -> float:
    """Dollars for what a million requests store, kept for a month, and for their answers."""
    kept = stored_bytes * (DYNAMODB_GB_MONTH + DYNAMODB_GB_MONTH_OF_BACKUPS)
    return (kept + sent_bytes * EGRESS_GB) / 1000


def most_an_hour(stage: "Stage") -> float:
    """Dollars for all that the maxima of a stage's tables, and of the sandbox's index, let through."""
    tables = {name: getattr(schema, name.upper()) for name in stage.units if name != "sandbox"}
    sandbox = [schema.SANDBOX_PINGS, schema.LEASES, schema.CALLERS]
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
    print(f"The journal of a million requests, one a second, costs {journal(1):.2f} dollars.")
    print(f"The journal of a million calls, one every ten seconds, costs {journal_of_calls(0.1):.2f} dollars.")
    for name, stage in STAGES.items():
        print(f"The tables of {name} cost at most {most_an_hour(stage):.2f} dollars an hour.")
