"""The operators' API as a table: what is asked for by which method and path, and the use case that answers it."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from functions.api import report_file
from shared import configuration
from shared.domain.objections import NotValid, VersionMissing
from shared.office import openapi, rest
from shared.office.rest import FILE, Request, Response
from shared.operators import (
    access,
    buyer_report,
    changelog,
    comparing,
    configuration_warnings,
    day,
    erasing,
    issued_tokens,
    log,
    log_files,
    one_ping,
    pools,
    refused_report,
    reports,
    resources,
    sources,
    suppression_lists,
    whole_file,
)
from shared.operators.access import EVERYBODY, OPERATORS, READERS, Office
from shared.operators.resources import FILTERS, LONGEST_PAGE, NAMED_BY, ONE, PAGE, Kind, Page, Resource
from shared.store.erasures import Erased
from shared.store.tokens import Token
from shared.store.versions import Applied

Operation = rest.Operation[Office]
T = TypeVar("T")

SCHEMAS: dict[Kind, str] = {
    "account": "Account",
    "users": "User",
    "ring_pools": "RingPool",
    "offers": "Offer",
    "endpoints": "Endpoint",
    "buyers": "Buyer",
}
"""What a resource of each kind is called in the description."""

LIMIT = {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE}
PAGED: dict[str, Any] = {"after": {"type": "string", "description": "`next` of the page before"}, "limit": LIMIT}
CONFIRMED: dict[str, Any] = {
    "confirm": {"type": "string", "description": "The word that the status `unconfirmed` asks for"}
}
"""Of what could lock an operator out."""
YAML = "application/yaml"


class Entries(Struct, forbid_unknown_fields=True):
    """Telephone numbers, and prefixes with a star at their end."""

    entries: Annotated[list[str], Meta(min_length=1, max_length=suppression_lists.ENTRIES_AT_ONCE)]


class Lookup(Struct, forbid_unknown_fields=True):
    """`region` is the country of a number that does not say one."""

    number: str
    region: str = "US"


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


class Undone(Struct):
    """The new change; null if there was nothing to do."""

    change: Applied | None


def _list(kind: Kind) -> Callable[[Office, Request], Response]:
    def answer(office: Office, request: Request) -> Response:
        return Response(
            resources.list_resources(
                office.records,
                kind,
                request.reader,
                filters={name: request.query[name] for name in FILTERS[kind] if name in request.query},
                search=request.query.get("search", ""),
                after=request.query.get("after", ""),
                limit=_limit(request),
            )
        )

    return answer


def _kind(kind: Kind) -> Iterator[Operation]:
    """List, get, create, replace, patch and delete of one kind."""
    one, schema, path = ONE[kind], SCHEMAS[kind], f"/{kind}/{{{NAMED_BY[kind]}}}"
    named = NAMED_BY[kind]
    roles = EVERYBODY if kind == "users" else READERS

    def get(office: Office, request: Request) -> Response:
        if kind == "users":
            access.check_own(request.reader, request.path[named])
        return _resource(resources.find_resource(office.records, kind, request.path[named]))

    def create(office: Office, request: Request) -> Response:
        made = resources.create(office.records, request.user.name, kind, request.body)
        return Response(made.with_version, 201, made.version, f"/{kind}/{made.name}")

    def replace(office: Office, request: Request) -> Response:
        records, by, name = office.records, request.user.name, request.path[named]
        confirmed = request.query.get("confirm", "")
        return _resource(resources.replace(records, by, kind, name, request.body, request.version, confirmed))

    def patch(office: Office, request: Request) -> Response:
        records, by, name = office.records, request.user.name, request.path[named]
        confirmed = request.query.get("confirm", "")
        return _resource(resources.patch(records, by, kind, name, request.body, request.version, confirmed))

    def delete(office: Office, request: Request) -> Response:
        confirmed = request.query.get("confirm", "")
        resources.delete(office.records, request.user.name, kind, request.path[named], request.version, confirmed)
        return Response(code=204)

    narrowed = {name: {"type": "string", "description": f"Only those whose {name} is this"} for name in FILTERS[kind]}
    query = narrowed | {"search": {"type": "string", "description": "A part of the name"}} | PAGED
    confirmed = CONFIRMED if kind == "users" else {}
    an = "an" if one[0] in "aeo" else "a"
    yield Operation("GET", f"/{kind}", f"List {one}s", _list(kind), roles, gives=schema, many=True, query=query)
    yield Operation("POST", f"/{kind}", f"Make {an} {one}", create, OPERATORS, takes=schema, gives=schema, code=201)
    yield Operation("GET", path, f"Get {an} {one}", get, roles, gives=schema)
    for method, summary, answer in (("PUT", "Replace", replace), ("PATCH", "Change some members of", patch)):
        taken = schema if method == "PUT" else openapi.ANY_OF + schema
        yield Operation(
            method, path, f"{summary} {an} {one}", answer, OPERATORS, takes=taken, gives=schema, versioned=True,
            query=confirmed,
        )  # fmt: skip
    yield Operation("DELETE", path, f"Delete {an} {one}", delete, OPERATORS, code=204, versioned=True, query=confirmed)


# What there is one of.


def _account(office: Office, _: Request) -> Response:
    return _resource(resources.find_resource(office.records, "account", "account"))


def _replace_account(office: Office, request: Request) -> Response:
    records, by = office.records, request.user.name
    return _resource(resources.replace(records, by, "account", "account", request.body, request.version))


def _written(office: Office, _: Request) -> Response:
    file, version = whole_file.write_file(office.records)
    return Response(file, version=str(version), content_type=YAML)


def _difference(office: Office, request: Request) -> Response:
    return Response(whole_file.difference(office.records, request.user, request.file))


def _apply(office: Office, request: Request) -> Response:
    if not request.version:
        raise VersionMissing
    if not (request.version.isascii() and request.version.isdecimal() and len(request.version) <= changelog.DIGITS):
        raise NotValid({"version": ["must be the version that `difference` said"]})
    confirmed = request.query.get("confirm", "")
    return Response(
        whole_file.apply_file(office.records, request.user.name, request.file, int(request.version), confirmed)
    )


def _warnings(office: Office, _: Request) -> Response:
    found = configuration_warnings.of_live(office.records)
    return Response(Page(found, None, len(found)))


@cache
def _description() -> Any:
    parts = {schema: getattr(configuration, schema) for schema in SCHEMAS.values()}
    structs = [Applied, Entries, Lookup, Token, Undone, pools.Number, pools.Use, suppression_lists.Changed,
              suppression_lists.Found, suppression_lists.SuppressionList, issued_tokens.Issued,
              issued_tokens.WantedToken, comparing.Difference, whole_file.AppliedFile, Caller,
              Erase, Erased, configuration_warnings.Warning, log.Entry, one_ping.OpenedPing,
              reports.Counted, buyer_report.BuyerReport, refused_report.RefusedReport,
              day.Day, sources.TrafficSources]  # fmt: skip
    return openapi.document(OPERATIONS, parts, structs)


def _openapi(_: Office, __: Request) -> Response:
    return Response(_description())


# What belongs to a buyer, a user or a pool.


def _pause(office: Office, request: Request) -> Response:
    return _resource(resources.pause(office.records, request.user.name, request.path["id"], paused=True))


def _resume(office: Office, request: Request) -> Response:
    return _resource(resources.pause(office.records, request.user.name, request.path["id"], paused=False))


def _tokens(office: Office, request: Request) -> Response:
    found = issued_tokens.list_tokens(office, request.reader, request.path["name"])
    return Response(Page(found, None, len(found)))


def _issue(office: Office, request: Request) -> Response:
    wanted = _body(request, issued_tokens.WantedToken)
    return Response(issued_tokens.issue(office.records, request.user.name, request.path["name"], wanted), 201)


def _revoke(office: Office, request: Request) -> Response:
    issued_tokens.revoke(office.records, request.user.name, request.path["name"], request.path["token_id"])
    return Response(code=204)


def _numbers(office: Office, request: Request) -> Response:
    after = request.query.get("after", "")
    return Response(pools.numbers(office.records, request.path["name"], after=after, limit=_limit(request)))


def _use(office: Office, request: Request) -> Response:
    text = request.query.get("sales_per_hour")
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise NotValid({"sales_per_hour": ["must be a whole number"]})
    return Response(pools.use(office.records, request.path["name"], None if text is None else int(text)))


# What is not part of the configuration.


def _lists(office: Office, _: Request) -> Response:
    found = suppression_lists.lists(office.records)
    return Response(Page(found, None, len(found)))


def _look_up(office: Office, request: Request) -> Response:
    wanted = _body(request, Lookup)
    found = suppression_lists.look_up(office.callers, wanted.number, wanted.region)
    return Response(Page(found, None, len(found)))


def _suppress(office: Office, request: Request) -> Response:
    return _changed(office, request, "on")


def _unsuppress(office: Office, request: Request) -> Response:
    return _changed(office, request, "off")


def _changed(office: Office, request: Request, where: suppression_lists.Where) -> Response:
    texts = _body(request, Entries).entries
    return Response(
        suppression_lists.change(office.records, office.callers, request.user.name, request.path["name"], texts, where)
    )


def _changes(office: Office, request: Request) -> Response:
    found, following = changelog.list_changes(
        office.records, after=request.query.get("after", ""), limit=_limit(request)
    )
    return Response({"items": found, "next": following})


def _change(office: Office, request: Request) -> Response:
    return Response(changelog.find_change(office.records, request.path["version"]))


def _undo(office: Office, request: Request) -> Response:
    confirmed = request.query.get("confirm", "")
    return Response(Undone(changelog.undo(office.records, request.user.name, request.path["version"], confirmed)))


# What has happened.


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
    return _page(log.pings(office, request.reader, wanted, _limit(request)))


def _ping(office: Office, request: Request) -> Response:
    at = request.query.get("at", "")
    return Response(one_ping.open_ping(office, request.reader, request.path["ping_id"], at))


def _pings_of(office: Office, request: Request) -> Response:
    wanted = _body(request, Caller)
    caller = log.read_number(wanted.number, wanted.region)
    return _page(log.pings_of(office, request.reader, caller, wanted.after, wanted.limit))


def _day(office: Office, request: Request) -> Response:
    return Response(day.count_day(office, request.reader, **request.query))


def _sources(office: Office, request: Request) -> Response:
    wanted = reports.Wanted(**report_file.read_parameters(request))
    return Response(sources.count_sources(office, request.reader, wanted))


def _erase(office: Office, request: Request) -> Response:
    wanted, by = _body(request, Erase), request.user.name
    if bool(wanted.number) == bool(wanted.ping_id):
        raise NotValid({"number": ["must be there or a ping_id, one of the two"]})
    if wanted.ping_id:
        return Response(erasing.erase_ping(office, by, wanted.ping_id, dry_run=wanted.dry_run))
    act = erasing.preview if wanted.dry_run else erasing.erase
    return Response(act(office, by, wanted.number, wanted.region))


def _page(page: log.Page) -> Response:
    return Response({"items": page.entries, "next": page.cursor or None})


def _resource(resource: Resource) -> Response:
    return Response(resource.with_version, version=resource.version)


def _limit(request: Request) -> int:
    text = request.query.get("limit", str(PAGE))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= LONGEST_PAGE):
        raise NotValid({"limit": [f"must be a whole number from 1 to {LONGEST_PAGE}"]})
    return int(text)


def _body(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.convert(request.body, kind)
    except msgspec.ValidationError as wrong:
        sentence, _, place = str(wrong).partition(" - at `$")
        raise NotValid({place.strip("`.").removeprefix("."): [sentence]}) from None


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
SALES_PER_HOUR = {"type": "integer", "minimum": 0, "maximum": pools.MAX_SALES_PER_HOUR}

OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/openapi.json", "Describe this API", _openapi, ()),
    *(operation for kind in ("users", "ring_pools", "offers", "endpoints", "buyers") for operation in _kind(kind)),
    Operation("POST", "/buyers/{id}/pause", "Pause a buyer, whatever its version", _pause, OPERATORS, gives="Buyer"),
    Operation("POST", "/buyers/{id}/resume", "End a buyer's pause", _resume, OPERATORS, gives="Buyer"),
    Operation("GET", "/users/{name}/tokens", "List a user's tokens", _tokens, EVERYBODY, gives="Token", many=True),
    Operation(
        "POST", "/users/{name}/tokens", "Issue a token", _issue, OPERATORS, takes="WantedToken", optional=True,
        gives="Issued", code=201,
    ),
    Operation("DELETE", "/users/{name}/tokens/{token_id}", "Revoke a token", _revoke, OPERATORS, code=204),
    Operation(
        "GET", "/ring_pools/{name}/numbers", "List a pool's numbers", _numbers, READERS, gives="Number", many=True,
        query=PAGED,
    ),
    Operation(
        "GET", "/ring_pools/{name}/use", "Say how much of a pool is in use", _use, READERS, gives="Use",
        query={"sales_per_hour": SALES_PER_HOUR},
    ),
    Operation("GET", "/account", "Get what holds for every offer", _account, READERS, gives="Account"),
    Operation(
        "PUT", "/account", "Replace what holds for every offer", _replace_account, OPERATORS, takes="Account",
        gives="Account", versioned=True,
    ),
    Operation(
        "GET", "/suppression_lists", "List the suppression lists", _lists, READERS, gives="SuppressionList", many=True
    ),
    Operation(
        "POST", "/suppression_lists/lookup", "Look a number up", _look_up, READERS, takes="Lookup", gives="Found",
        many=True,
    ),
    Operation(
        "POST", "/suppression_lists/{name}/add", "Put numbers and prefixes on a list", _suppress, OPERATORS,
        takes="Entries", gives="Changed",
    ),
    Operation(
        "POST", "/suppression_lists/{name}/remove", "Take numbers and prefixes off a list", _unsuppress, OPERATORS,
        takes="Entries", gives="Changed",
    ),
    Operation(
        "GET", "/changes", "List the changes, the newest first", _changes, READERS, gives="Applied", many=True,
        query=PAGED,
    ),
    Operation("GET", "/changes/{version}", "Get a change", _change, READERS, gives="Applied"),
    Operation("POST", "/changes/{version}/undo", "Undo a change", _undo, OPERATORS, gives="Undone", query=CONFIRMED),
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
    Operation("GET", "/configuration", "Write the configuration as YAML", _written, READERS, gives=FILE),
    Operation(
        "PUT", "/configuration", "Apply a YAML file", _apply, OPERATORS, takes=FILE, gives="AppliedFile",
        versioned=True, query=CONFIRMED,
    ),
    Operation(
        "POST", "/configuration/difference", "Compare a YAML file with what is live", _difference, READERS, takes=FILE,
        gives="Difference",
    ),
    Operation(
        "GET", "/configuration/warnings", "List what is valid and probably not meant", _warnings, READERS,
        gives="Warning", many=True,
    ),
)  # fmt: skip
