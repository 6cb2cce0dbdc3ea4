"""The operations of the API that tell what has happened, and the one that erases a caller."""

from typing import Annotated, Any
from urllib.parse import urlencode

from msgspec import Meta, Struct

from functions.api import report_file
from functions.api.reading import PAGED, Lookup, Operation, read_body, read_limit
from shared.domain.objections import NotValid
from shared.office.rest import Request, Response
from shared.operators import (
    buyer_report,
    day,
    erasing,
    log,
    log_files,
    one_ping,
    refused_report,
    reports,
    sources,
)
from shared.operators.access import EVERYBODY, OPERATORS, READERS, Office
from shared.operators.resources import LONGEST_PAGE, PAGE
from shared.store.erasures import Erased


class Erase(Struct, forbid_unknown_fields=True):
    """A caller by its `number`, or one ping by its `ping_id`. A `dry_run` changes nothing."""

    number: str = ""
    region: str = "US"
    ping_id: str = ""
    dry_run: bool = False


class Caller(Lookup, forbid_unknown_fields=True):
    """And which of its pings: `after` is `next` of the page before."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=LONGEST_PAGE)] = PAGE


def _pings(office: Office, request: Request) -> Response:
    return _lines(office, request)


def _sales(office: Office, request: Request) -> Response:
    return _lines(office, request, outcome="sold")


def _lines(office: Office, request: Request, **more: str) -> Response:
    query = {LOGGED.get(name, name): value for name, value in request.query.items() if name != "limit"}
    form = query.pop("format", "json")
    if form not in ("json", "csv"):
        raise NotValid({"format": ["must be json or csv"]})
    wanted = log.Wanted(**query, **more)
    if form == "csv":
        text, after = log_files.export_pings(office, request.reader, wanted)
        path = "/sales?" if more else "/pings?"
        following = path + urlencode({**request.query, "after": after}) if after else ""
        return Response(text, content_type=report_file.FORMATS[form], following=following)
    return _page(log.pings(office, request.reader, wanted, read_limit(request)))


def _ping(office: Office, request: Request) -> Response:
    at = request.query.get("at", "")
    return Response(one_ping.open_ping(office, request.reader, request.path["ping_id"], at))


def _pings_of(office: Office, request: Request) -> Response:
    wanted = read_body(request, Caller)
    caller = log.read_number(wanted.number, wanted.region)
    return _page(log.pings_of(office, request.reader, caller, wanted.after, wanted.limit))


def _day(office: Office, request: Request) -> Response:
    return Response(day.count_day(office, request.reader, **request.query))


def _sources(office: Office, request: Request) -> Response:
    wanted = reports.Wanted(**report_file.read_parameters(request))
    return Response(sources.count_sources(office, request.reader, wanted))


def _erase(office: Office, request: Request) -> Response:
    wanted, by = read_body(request, Erase), request.user.name
    if bool(wanted.number) == bool(wanted.ping_id):
        raise NotValid({"number": ["must be there or a ping_id, one of the two"]})
    if wanted.ping_id:
        return Response(erasing.erase_ping(office, by, wanted.ping_id, dry_run=wanted.dry_run))
    act = erasing.preview if wanted.dry_run else erasing.erase
    return Response(act(office, by, wanted.number, wanted.region))


def _page(page: log.Page[log.Entry]) -> Response:
    return Response({"items": page.entries, "next": page.cursor or None})


LOGGED = {"from": "start", "to": "end"}
MOMENT = {"type": "string", "description": "A day like 2026-11-25, or a minute like 2026-11-25T14:30"}
LOG: dict[str, Any] = {
    "from": MOMENT | {"description": f"{MOMENT['description']}; today without from and to"},
    "to": MOMENT,
    "zone": {"type": "string", "description": "A time zone, like America/New_York; default: the account's zone"},
    "endpoint": {"type": "string", "description": "Its `vanity_uri`"},
    "user": {"type": "string"},
    "source": {"type": "string", "description": "The traffic source"},
    "state": {"type": "string", "description": "Where the lead is from, like TX"},
    "buyer": {"type": "string", "description": "Its id, or a part of its name: sales, by the time they were sold"},
    "number": {"type": "string", "description": "A number of ours: its sales, by the time they were sold"},
    "format": {"type": "string", "enum": ["json", "csv"], "default": "json"},
    **PAGED,
}
DAY: dict[str, Any] = {
    "day": {"type": "string", "format": "date", "description": "A day of the zone; today without one"},
    "zone": report_file.PARAMETERS["zone"],
}
SOURCES: dict[str, Any] = {name: report_file.PARAMETERS[name] for name in ("range", "from", "to", "zone", "limit")} | {
    "range": report_file.PARAMETERS["range"] | {"description": "Without from and to; today"}
}
ANY_LINE: dict[str, Any] = {
    "outcome": {"type": "string", "enum": [*log.OUTCOMES], "description": "What became of it"},
    "status": {"type": "string", "enum": [*log.STATUSES], "description": "The status of the answer"},
}
AT = {"at": {"type": "string", "description": "When it came, if its item is gone: the `at` of its line of the log"}}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "/pings", "List PINGs and refused requests, the newest first", _pings, EVERYBODY, gives="Entry",
        many=True, query={**ANY_LINE, **LOG}, other_types=("text/csv",),
    ),
    Operation(
        "GET", "/pings/{ping_id}", "Open a ping, with its lead masked", _ping, EVERYBODY, gives="OpenedPing", query=AT,
    ),
    Operation(
        "GET", "/sales", "List sales, the newest first", _sales, EVERYBODY, gives="Entry", many=True, query=LOG,
        other_types=("text/csv",),
    ),
    Operation(
        "POST", "/callers/lookup", "List the pings of a caller, the newest first", _pings_of, EVERYBODY, takes="Caller",
        gives="Entry", many=True,
    ),
    Operation(
        "POST", "/callers/erase", "Erase a caller's leads, forever", _erase, OPERATORS, takes="Erase", gives="Erased"
    ),
    Operation(
        "GET", "/day", "Count what happened on a day, by hour, endpoint, ring pool and buyer", _day, EVERYBODY,
        gives="Day", query=DAY,
    ),
    Operation(
        "GET", "/sources", "Count what each traffic source sent in a range", _sources, EVERYBODY,
        gives="TrafficSources", query=SOURCES,
    ),
    Operation(
        "GET", "/reports", "Count what happened in a range, in groups", report_file.answer_report, EVERYBODY,
        gives="Counted", query=report_file.PARAMETERS, other_types=report_file.OTHER_TYPES,
    ),
    Operation(
        "GET", "/reports/buyer", "Say why a buyer got no calls", report_file.answer_buyer, READERS,
        gives="BuyerReport", query=report_file.BUYER,
    ),
    Operation(
        "GET", "/reports/refused", "Count what was refused, by traffic source", report_file.answer_refused, EVERYBODY,
        gives="RefusedReport", query=report_file.RANGE,
    ),
)  # fmt: skip
STRUCTS: tuple[type[Struct], ...] = (
    Caller, Erase, Erased, log.Entry, one_ping.OpenedPing, reports.Counted, buyer_report.BuyerReport,
    refused_report.RefusedReport, day.Day, sources.TrafficSources,
)  # fmt: skip
"""The bodies of these."""
