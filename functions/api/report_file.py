"""A report as JSON, CSV or Parquet."""

from typing import Any, get_args

from shared.domain.objections import NotValid
from shared.journal.reports import GROUPS, MOST_ROWS, DatedBy, write_parquet
from shared.office.rest import Request, Response
from shared.operators import buyer_report, refused_report, reports
from shared.operators.access import Office

FORMATS = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
OTHER_TYPES = ("text/csv", FORMATS["parquet"])
REPORTED = {"from": "start", "to": "end"}
DAY = {"type": "string", "format": "date"}
PARAMETERS: dict[str, Any] = {
    "range": {"type": "string", "enum": [*reports.RANGES], "description": "Without from and to; the last 7 days"},
    "from": {**DAY, "description": "The first day, on the clock of the zone"},
    "to": {**DAY, "description": "The last day; today without one"},
    "zone": {"type": "string", "description": "A time zone, like America/New_York; default: the account's zone"},
    "by": {"type": "string", "description": f"Up to three of {', '.join(GROUPS)}, with commas between them"},
    "sort": {"type": "string", "description": "The name of a group of `by`, or of a number"},
    "order": {"type": "string", "enum": ["up", "down"]},
    "dated_by": {
        "type": "string",
        "enum": [*get_args(DatedBy)],
        "default": "sale",
        "description": "sale: what belongs to a sale counts when that was sold; event: when it happened",
    },
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": 100},
    "numbers": {
        "type": "string",
        "enum": ["all", "counts"],
        "default": "all",
        "description": "counts: without times and live buyers, of which the counts of a day know nothing",
    },
    "format": {"type": "string", "enum": [*FORMATS], "default": "json"},
}


RANGE: dict[str, Any] = {name: PARAMETERS[name] for name in ("range", "from", "to", "zone")}
BUYER: dict[str, Any] = {"buyer": {"type": "string", "description": "Its id"}, **RANGE}


def answer_buyer(office: Office, request: Request) -> Response:
    query = read_parameters(request)
    buyer = query.pop("buyer", "")
    return Response(buyer_report.read_buyer(office, buyer, reports.Wanted(**query)))


def answer_refused(office: Office, request: Request) -> Response:
    return Response(refused_report.read_refused(office, request.reader, reports.Wanted(**read_parameters(request))))


def read_parameters(request: Request) -> dict[str, str]:
    """By the names that `Wanted` has."""
    return {REPORTED.get(name, name): value for name, value in request.query.items()}


def answer_report(office: Office, request: Request) -> Response:
    query = read_parameters(request)
    form = query.pop("format", "json")
    if form not in FORMATS:
        raise NotValid({"format": [f"must be one of {', '.join(FORMATS)}"]})
    report = reports.read_report(office, request.reader, reports.Wanted(**query))
    if form == "parquet":
        return Response(write_parquet(report), content_type=FORMATS[form])
    counted = reports.describe(office, report)
    if form == "csv":
        return Response(reports.csv_of(counted, request.reader), content_type=FORMATS[form])
    return Response(counted)
