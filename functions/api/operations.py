"""The operators' API as a table: what is asked for by which method and path, and the use case that answers it."""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from shared.domain import configuration
from shared.domain.objections import NotValid, VersionMissing
from shared.edge import api, openapi
from shared.edge.api import FILE, Asked, Said
from shared.operators import access, callers, changelog, pools, resources, suppression, tokens, watching, whole
from shared.operators.access import EVERYBODY, OPERATORS, READERS, Office
from shared.operators.desk import Desk
from shared.operators.resources import FILTERS, LONGEST_PAGE, NAMED_BY, ONE, PAGE, Kind, Page, Resource
from shared.store import journal
from shared.store.erasing import Erased
from shared.store.records import Applied, Token

Operation = api.Operation[Desk]
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
YAML = "application/yaml"


class Entries(Struct, forbid_unknown_fields=True):
    """Telephone numbers, and prefixes with a star at their end."""

    entries: Annotated[list[str], Meta(min_length=1, max_length=suppression.ENTRIES_AT_ONCE)]


class Lookup(Struct, forbid_unknown_fields=True):
    """`region` is the country of a number that does not say one."""

    number: str
    region: str = "US"


class Caller(Lookup, forbid_unknown_fields=True):
    """And which of its pings: `after` is `next` of the page before."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=watching.CALLERS_AT_ONCE)] = PAGE


class Undone(Struct):
    """The new change; null if there was nothing to do."""

    change: Applied | None


def _kind(kind: Kind) -> Iterator[Operation]:
    """List, get, create, replace, patch and delete of one kind."""
    one, schema, path = ONE[kind], SCHEMAS[kind], f"/{kind}/{{{NAMED_BY[kind]}}}"
    named = NAMED_BY[kind]
    roles = EVERYBODY if kind == "users" else READERS

    def listed(office: Office, asked: Asked) -> Said:
        return Said(
            resources.listed(
                office.records,
                kind,
                asked.user,
                filters={name: asked.query[name] for name in FILTERS[kind] if name in asked.query},
                search=asked.query.get("search", ""),
                after=asked.query.get("after", ""),
                limit=_limit(asked),
            )
        )

    def get(office: Office, asked: Asked) -> Said:
        if kind == "users":
            access.check_own(asked.user, asked.path[named])
        return _resource(resources.one(office.records, kind, asked.path[named]))

    def create(office: Office, asked: Asked) -> Said:
        made = resources.create(office.records, asked.user.name, kind, asked.body)
        return Said(made.shown, 201, made.version, f"/{kind}/{made.name}")

    def replace(office: Office, asked: Asked) -> Said:
        records, by, name = office.records, asked.user.name, asked.path[named]
        return _resource(resources.replace(records, by, kind, name, asked.body, asked.version))

    def patch(office: Office, asked: Asked) -> Said:
        records, by, name = office.records, asked.user.name, asked.path[named]
        return _resource(resources.patch(records, by, kind, name, asked.body, asked.version))

    def delete(office: Office, asked: Asked) -> Said:
        resources.delete(office.records, asked.user.name, kind, asked.path[named], asked.version)
        return Said(code=204)

    narrowed = {name: {"type": "string", "description": f"Only those whose {name} is this"} for name in FILTERS[kind]}
    query = narrowed | {"search": {"type": "string", "description": "A part of the name"}} | PAGED
    an = "an" if one[0] in "aeo" else "a"
    yield Operation("GET", f"/{kind}", f"List {one}s", listed, roles, gives=schema, many=True, query=query)
    yield Operation("POST", f"/{kind}", f"Make {an} {one}", create, OPERATORS, takes=schema, gives=schema, code=201)
    yield Operation("GET", path, f"Get {an} {one}", get, roles, gives=schema)
    for method, summary, answer in (("PUT", "Replace", replace), ("PATCH", "Change some members of", patch)):
        taken = schema if method == "PUT" else openapi.ANY_OF + schema
        yield Operation(
            method, path, f"{summary} {an} {one}", answer, OPERATORS, takes=taken, gives=schema, versioned=True
        )
    yield Operation("DELETE", path, f"Delete {an} {one}", delete, OPERATORS, code=204, versioned=True)


# What there is one of.


def _account(office: Office, _: Asked) -> Said:
    return _resource(resources.one(office.records, "account", "account"))


def _replace_account(office: Office, asked: Asked) -> Said:
    records, by = office.records, asked.user.name
    return _resource(resources.replace(records, by, "account", "account", asked.body, asked.version))


def _written(office: Office, _: Asked) -> Said:
    file, version = whole.written(office.records)
    return Said(file, version=str(version), content_type=YAML)


def _difference(office: Office, asked: Asked) -> Said:
    return Said(whole.difference(office.records, asked.file))


def _apply(office: Office, asked: Asked) -> Said:
    if not asked.version:
        raise VersionMissing
    if not (asked.version.isascii() and asked.version.isdecimal() and len(asked.version) <= changelog.DIGITS):
        raise NotValid({"version": ["must be the version that `difference` said"]})
    return Said(Undone(whole.applied(office.records, asked.user.name, asked.file, int(asked.version))))


@cache
def _description() -> Any:
    parts = {schema: getattr(configuration, schema) for schema in SCHEMAS.values()}
    structs = [Applied, Entries, Lookup, Token, Undone, pools.Number, pools.Use, suppression.Changed, suppression.Found,
               suppression.SuppressionList, tokens.Issued, whole.Difference, Caller, Erased,
               journal.Row, watching.OpenedPing]  # fmt: skip
    return openapi.document(OPERATIONS, parts, structs)


def _openapi(_: Office, __: Asked) -> Said:
    return Said(_description())


# What belongs to a buyer, a user or a pool.


def _pause(office: Office, asked: Asked) -> Said:
    return _resource(resources.pause(office.records, asked.user.name, asked.path["id"], paused=True))


def _resume(office: Office, asked: Asked) -> Said:
    return _resource(resources.pause(office.records, asked.user.name, asked.path["id"], paused=False))


def _tokens(office: Office, asked: Asked) -> Said:
    found = tokens.listed(office.records, asked.user, asked.path["name"])
    return Said(Page(found, None, len(found)))


def _issue(office: Office, asked: Asked) -> Said:
    return Said(tokens.issue(office.records, asked.user.name, asked.path["name"]), 201)


def _revoke(office: Office, asked: Asked) -> Said:
    tokens.revoke(office.records, asked.user.name, asked.path["name"], asked.path["token_id"])
    return Said(code=204)


def _numbers(office: Office, asked: Asked) -> Said:
    after = asked.query.get("after", "")
    return Said(pools.numbers(office.records, asked.path["name"], after=after, limit=_limit(asked)))


def _use(office: Office, asked: Asked) -> Said:
    text = asked.query.get("sales_per_hour")
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise NotValid({"sales_per_hour": ["must be a whole number"]})
    return Said(pools.use(office.records, asked.path["name"], None if text is None else int(text)))


# What stands beside the configuration.


def _lists(office: Office, _: Asked) -> Said:
    found = suppression.lists(office.records)
    return Said(Page(found, None, len(found)))


def _look_up(office: Office, asked: Asked) -> Said:
    wanted = _body(asked, Lookup)
    found = suppression.look_up(office.callers, wanted.number, wanted.region)
    return Said(Page(found, None, len(found)))


def _suppress(office: Office, asked: Asked) -> Said:
    return _changed(office, asked, "on")


def _unsuppress(office: Office, asked: Asked) -> Said:
    return _changed(office, asked, "off")


def _changed(office: Office, asked: Asked, where: suppression.Where) -> Said:
    texts = _body(asked, Entries).entries
    return Said(suppression.change(office.records, office.callers, asked.user.name, asked.path["name"], texts, where))


def _changes(office: Office, asked: Asked) -> Said:
    found, following = changelog.listed(office.records, after=asked.query.get("after", ""), limit=_limit(asked))
    return Said({"items": found, "next": following})


def _change(office: Office, asked: Asked) -> Said:
    return Said(changelog.one(office.records, asked.path["version"]))


def _undo(office: Office, asked: Asked) -> Said:
    return Said(Undone(changelog.undo(office.records, asked.user.name, asked.path["version"])))


# What has happened.


def _pings(desk: Desk, asked: Asked) -> Said:
    wanted = watching.Wanted(**_log(asked))
    return _rows(watching.pings(desk, asked.user, wanted, _limit(asked)))


def _sales(desk: Desk, asked: Asked) -> Said:
    wanted = watching.Wanted(**_log(asked), status="sold")
    return _rows(watching.pings(desk, asked.user, wanted, _limit(asked)))


def _ping(desk: Desk, asked: Asked) -> Said:
    return Said(watching.opened(desk, asked.user, asked.path["ping_id"]))


def _pings_of(desk: Desk, asked: Asked) -> Said:
    wanted = _body(asked, Caller)
    caller = watching.number(wanted.number, wanted.region)
    return _rows(watching.pings_of(desk, asked.user, caller, wanted.after, wanted.limit))


def _erase(desk: Desk, asked: Asked) -> Said:
    wanted = _body(asked, Lookup)
    return Said(callers.erase(desk, asked.user.name, wanted.number, wanted.region))


def _log(asked: Asked) -> dict[str, str]:
    return {name: value for name, value in asked.query.items() if name != "limit"}


def _rows(page: journal.Page) -> Said:
    return Said({"items": page.rows, "next": page.cursor or None})


def _resource(resource: Resource) -> Said:
    return Said(resource.shown, version=resource.version)


def _limit(asked: Asked) -> int:
    text = asked.query.get("limit", str(PAGE))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= LONGEST_PAGE):
        raise NotValid({"limit": [f"must be a whole number from 1 to {LONGEST_PAGE}"]})
    return int(text)


def _body(asked: Asked, kind: type[T]) -> T:
    try:
        return msgspec.convert(asked.body, kind)
    except msgspec.ValidationError as wrong:
        sentence, _, place = str(wrong).partition(" - at `$")
        raise NotValid({place.strip("`.").removeprefix("."): [sentence]}) from None


LOG: dict[str, Any] = {
    "day": {"type": "string", "format": "date", "description": "A UTC day; today without one"},
    "endpoint": {"type": "string", "description": "Its `vanity_uri`"},
    "source": {"type": "string", "description": "The traffic source"},
    "buyer": {"type": "string", "description": "The sales to a buyer, by its id, on the day on which they were sold"},
    **PAGED,
}
STATUS = {"type": "string", "enum": [*get_args(journal.Status)]}
SALES_PER_HOUR = {"type": "integer", "minimum": 0, "maximum": pools.MAX_SALES_PER_HOUR}

OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/openapi.json", "Describe this API", _openapi, ()),
    *(operation for kind in ("users", "ring_pools", "offers", "endpoints", "buyers") for operation in _kind(kind)),
    Operation("POST", "/buyers/{id}/pause", "Pause a buyer, whatever its version", _pause, OPERATORS, gives="Buyer"),
    Operation("POST", "/buyers/{id}/resume", "End a buyer's pause", _resume, OPERATORS, gives="Buyer"),
    Operation("GET", "/users/{name}/tokens", "List a user's tokens", _tokens, EVERYBODY, gives="Token", many=True),
    Operation("POST", "/users/{name}/tokens", "Issue a token", _issue, OPERATORS, gives="Issued", code=201),
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
    Operation("POST", "/changes/{version}/undo", "Undo a change", _undo, OPERATORS, gives="Undone"),
    Operation(
        "GET", "/pings", "List the pings of a day, the newest first", _pings, EVERYBODY, gives="Row", many=True,
        query={"status": STATUS, **LOG},
    ),
    Operation("GET", "/pings/{ping_id}", "Open a ping, with its lead masked", _ping, EVERYBODY, gives="OpenedPing"),
    Operation(
        "GET", "/sales", "List the pings of a day that were sold, the newest first", _sales, EVERYBODY, gives="Row",
        many=True, query=LOG,
    ),
    Operation(
        "POST", "/callers/lookup", "List the pings of a caller, the newest first", _pings_of, EVERYBODY, takes="Caller",
        gives="Row", many=True,
    ),
    Operation(
        "POST", "/callers/erase", "Erase a caller's leads, for ever", _erase, OPERATORS, takes="Lookup", gives="Erased"
    ),
    Operation("GET", "/configuration", "Write the configuration as YAML", _written, READERS, gives=FILE),
    Operation(
        "PUT", "/configuration", "Apply a YAML file", _apply, OPERATORS, takes=FILE, gives="Undone", versioned=True
    ),
    Operation(
        "POST", "/configuration/difference", "Compare a YAML file with what is live", _difference, READERS, takes=FILE,
        gives="Difference",
    ),
)  # fmt: skip
