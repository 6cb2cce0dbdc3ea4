"""The operators' API as a table: what is asked for by which method and path, and the use case that answers it."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any

from msgspec import Meta, Struct

from functions.api import call_history, history
from functions.api.reading import PAGED, Lookup, Operation, read_body, read_limit
from shared import configuration
from shared.domain.objections import NotValid, VersionMissing
from shared.office import openapi
from shared.office.rest import FILE, Request, Response
from shared.operators import (
    access,
    changelog,
    comparing,
    configuration_warnings,
    issued_tokens,
    pools,
    resources,
    suppression_lists,
    whole_file,
)
from shared.operators.access import EVERYBODY, OPERATORS, READERS, Office
from shared.operators.resources import FILTERS, NAMED_BY, ONE, Kind, Page, Resource
from shared.store.tokens import Token
from shared.store.versions import Applied

SCHEMAS: dict[Kind, str] = {
    "account": "Account",
    "users": "User",
    "providers": "Provider",
    "ring_pools": "RingPool",
    "offers": "Offer",
    "endpoints": "Endpoint",
    "buyers": "Buyer",
}
"""What a resource of each kind is called in the description."""

CONFIRMED: dict[str, Any] = {
    "confirm": {"type": "string", "description": "The word that the status `unconfirmed` asks for"}
}
"""Of what could lock an operator out."""
YAML = "application/yaml"


class Entries(Struct, forbid_unknown_fields=True):
    """Telephone numbers, and prefixes with a star at their end."""

    entries: Annotated[list[str], Meta(min_length=1, max_length=suppression_lists.ENTRIES_AT_ONCE)]


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
                limit=read_limit(request),
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
    structs: list[type] = [Applied, Entries, Lookup, Token, Undone, pools.Number, pools.Use, suppression_lists.Changed,
              suppression_lists.Found, suppression_lists.SuppressionList, issued_tokens.Issued,
              issued_tokens.WantedToken, comparing.Difference, whole_file.AppliedFile, configuration_warnings.Warning,
              *history.STRUCTS, *call_history.STRUCTS]  # fmt: skip
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
    wanted = read_body(request, issued_tokens.WantedToken)
    return Response(issued_tokens.issue(office.records, request.user.name, request.path["name"], wanted), 201)


def _revoke(office: Office, request: Request) -> Response:
    issued_tokens.revoke(office.records, request.user.name, request.path["name"], request.path["token_id"])
    return Response(code=204)


def _numbers(office: Office, request: Request) -> Response:
    after = request.query.get("after", "")
    return Response(pools.numbers(office.records, request.path["name"], after=after, limit=read_limit(request)))


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
    wanted = read_body(request, Lookup)
    found = suppression_lists.look_up(office.callers, wanted.number, wanted.region)
    return Response(Page(found, None, len(found)))


def _suppress(office: Office, request: Request) -> Response:
    return _changed(office, request, "on")


def _unsuppress(office: Office, request: Request) -> Response:
    return _changed(office, request, "off")


def _changed(office: Office, request: Request, where: suppression_lists.Where) -> Response:
    texts = read_body(request, Entries).entries
    return Response(
        suppression_lists.change(office.records, office.callers, request.user.name, request.path["name"], texts, where)
    )


def _changes(office: Office, request: Request) -> Response:
    found, following = changelog.list_changes(
        office.records, after=request.query.get("after", ""), limit=read_limit(request)
    )
    return Response({"items": found, "next": following})


def _change(office: Office, request: Request) -> Response:
    return Response(changelog.find_change(office.records, request.path["version"]))


def _undo(office: Office, request: Request) -> Response:
    confirmed = request.query.get("confirm", "")
    return Response(Undone(changelog.undo(office.records, request.user.name, request.path["version"], confirmed)))


def _resource(resource: Resource) -> Response:
    return Response(resource.with_version, version=resource.version)


SALES_PER_HOUR = {"type": "integer", "minimum": 0, "maximum": pools.MAX_SALES_PER_HOUR}

OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/openapi.json", "Describe this API", _openapi, ()),
    *(operation for kind in SCHEMAS if kind != "account" for operation in _kind(kind)),
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
    *history.OPERATIONS,
    *call_history.OPERATIONS,
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
