"""One exchange of the operators' API: an API Gateway event in, JSON out, one structured line in the log.

An operation is a method, a path and a function; a table of them is the API. No exception leaves here, and the line has
nothing of what was sent.
"""

import base64
import binascii
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from shared.domain import objections
from shared.domain.models import Role, User
from shared.domain.objections import (
    Malformed,
    MethodUnknown,
    NotUndoable,
    NotValid,
    Objection,
    Outdated,
    TokenUnknown,
    TooLarge,
    TooOften,
    Unconfirmed,
)
from shared.domain.readers import Reader, reader_of
from shared.domain.refusals import InternalError, TemporarilyUnavailable
from shared.http import serving
from shared.http.serving import Facts
from shared.office.routing import find_route

ROOT = "/api/v1"
QUERY_BYTES = 8 * 1024
BODY_BYTES = 256 * 1024
FILE_BYTES = 1024 * 1024
READERS_BODY_BYTES, READERS_FILE_BYTES = 8 * 1024, 64 * 1024
"""For users who may not change anything: a number to look up, a file to compare."""
SHOWN_NAMES, SHOWN_LETTERS = 20, 100
"""How many wrong names an answer shows, and how much of each."""
DEPTH = 20
LARGEST = 2**53 - 1
"""The largest whole number that every reader of JSON keeps."""
BUSY_SECONDS = 5

HTTP_STATUS: dict[type[Objection], int] = {
    objections.Malformed: 400,
    objections.TokenUnknown: 401,
    objections.NotAllowed: 403,
    objections.NotFound: 404,
    objections.MethodUnknown: 405,
    objections.NameTaken: 409,
    objections.Outdated: 409,
    objections.NotUndoable: 409,
    objections.Refused: 409,
    objections.Overtaken: 409,
    objections.Unconfirmed: 409,
    objections.TooLarge: 413,
    objections.NotValid: 422,
    objections.VersionMissing: 428,
    objections.TooOften: 429,
    objections.Busy: 503,
    objections.Interrupted: 503,
}

NOTHING_HERE = f"There is nothing here. {ROOT}/openapi.json says what there is."

World = TypeVar("World")


class Request(Struct, frozen=True):
    """`version` is that of If-Match; `body` a JSON object, `file` the body of an operation that takes a file."""

    user: User
    path: dict[str, str]
    query: dict[str, str]
    version: str
    body: dict[str, Any]
    file: bytes

    def __repr__(self) -> str:
        return f"Request({self.path})"

    @property
    def reader(self) -> Reader:
        return reader_of(self.user)


class Response(Struct, frozen=True):
    """`version` is the ETag; `location` where what was made is, and `following` where a file goes on, below the API's
    root."""

    body: Any = None
    code: int = 200
    version: str = ""
    location: str = ""
    following: str = ""
    content_type: str = "application/json"


class Operation(Struct, Generic[World], frozen=True):
    """`roles` may ask for it; without any it is for everybody, with no token. `takes` and `gives` name the schemas of
    bodies; one that is `optional` may be left out; `many` says that a page of them is given. `query` are the parameters
    by name, with their schemas. `versioned` needs the version that was seen. `other_types` are content types that a
    parameter can ask for in place of JSON."""

    method: str
    path: str
    summary: str
    answer: Callable[[World, Request], Response]
    roles: tuple[Role, ...]
    takes: str = ""
    optional: bool = False
    gives: str = ""
    many: bool = False
    code: int = 200
    query: Mapping[str, dict[str, Any]] = {}
    versioned: bool = False
    other_types: tuple[str, ...] = ()

    @property
    def takes_file(self) -> bool:
        return self.takes == FILE


FILE = "File"
"""What `takes` or `gives` says where it is a YAML file."""


EXPECTED: tuple[type[Objection | TemporarilyUnavailable], ...] = (Objection, TemporarilyUnavailable)


def serve(
    event: Mapping[str, Any],
    request_id: str,
    operations: Sequence[Operation[World]],
    world: World,
    sign_in: Callable[[World, str, tuple[Role, ...]], User],
) -> serving.RawResponse:
    """Answer one event. `sign_in` gives the user of a token, and objects if its role is none of these."""

    def respond(facts: Facts) -> serving.RawResponse:
        facts |= {"operation": None, "user": None}
        operation, path = find_route(
            event, ROOT, operations, f"There is nothing here. {ROOT}/openapi.json says what there is."
        )
        facts["operation"] = f"{operation.method} {operation.path}"
        user = User("", "publisher")
        if operation.roles:
            user = sign_in(world, _token(event), operation.roles)
            facts["user"] = user.name
        return _response(operation.answer(world, _read(event, operation, path, user)), {})

    def refuse(refused: Objection | TemporarilyUnavailable | InternalError) -> serving.RawResponse:
        if isinstance(refused, Objection):
            return _response(_objection(refused), _headers(refused))
        body = {"status": refused.status, "message": InternalError.sentence}
        if isinstance(refused, InternalError):
            return _response(Response(body | {"request_id": request_id}, 500), {})
        body["message"] = "The tables do not answer, so it is not known whether it was done. Look, and try again."
        return _response(Response(body, 503), {"Retry-After": str(refused.retry_after_seconds)})

    return serving.serve(event, request_id, "api", respond, refuse, EXPECTED)


def _response(said: Response, headers: Mapping[str, str]) -> dict[str, Any]:
    is_binary, body = isinstance(said.body, bytes), said.body
    if is_binary:
        body = base64.b64encode(body).decode()
    elif not isinstance(body, str):
        body = msgspec.json.encode(body).decode()
    return {
        "statusCode": said.code,
        "headers": {
            "Cache-Control": "no-store",
            **({} if said.code == 204 else {"Content-Type": said.content_type}),
            **({"ETag": f'"{said.version}"'} if said.version else {}),
            **({"Location": ROOT + said.location} if said.location else {}),
            **({"Link": f'<{ROOT}{said.following}>; rel="next"'} if said.following else {}),
            **headers,
        },
        "body": "" if said.code == 204 else body,
        "isBase64Encoded": is_binary,
    }


def _objection(objection: Objection) -> Response:
    body: dict[str, Any] = {"status": objection.status, "message": str(objection)}
    if isinstance(objection, NotValid | NotUndoable):
        body["errors"] = objection.errors
    if isinstance(objection, Outdated):
        body["current"] = objection.current
    if isinstance(objection, Unconfirmed):
        body["message"] += f" If you mean that, send the parameter `confirm={objection.word}` as well."
        body["confirm"] = objection.word
    return Response(body, HTTP_STATUS[type(objection)])


def _headers(objection: Objection) -> dict[str, str]:
    if isinstance(objection, TokenUnknown):
        return {"WWW-Authenticate": "Token"}
    if isinstance(objection, MethodUnknown):
        return {"Allow": ", ".join(objection.methods)}
    if isinstance(objection, TooOften):
        return {"Retry-After": str(objection.retry_after_seconds)}
    if isinstance(objection, objections.Busy | objections.Interrupted):
        return {"Retry-After": str(BUSY_SECONDS)}
    return {}


def _token(event: Mapping[str, Any]) -> str:
    scheme, _, credentials = _header(event, "authorization").partition(" ")
    token = credentials.strip() if scheme.lower() == "token" else ""
    return token if token.isascii() else ""


def _header(event: Mapping[str, Any], name: str) -> str:
    return str(event.get("headers", {}).get(name, ""))


def _read(event: Mapping[str, Any], operation: Operation[World], path: dict[str, str], user: User) -> Request:
    """Raises `Malformed`, `TooLarge` and `NotValid`."""
    query = _query(event.get("rawQueryString", ""), operation)
    body: dict[str, Any] = {}
    file = b""
    if operation.takes:
        raw = _body(event, _limit(operation, user))
        if not (operation.optional and not raw):
            body, file = ({}, raw) if operation.takes_file else (_object(raw), b"")
    version = _header(event, "if-match").strip().removeprefix("W/").strip('"') or query.pop("version", "")
    return Request(user, path, query, version, body, file)


def _query(raw: str, operation: Operation[World]) -> dict[str, str]:
    if len(raw) > QUERY_BYTES:
        raise TooLarge(f"The query string may have {QUERY_BYTES // 1024} KB.")
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Malformed("The query string must be UTF-8.") from None
    sent, names = dict(pairs), Counter(name for name, _ in pairs)
    known = [*operation.query, *(["version"] if operation.versioned else [])]
    if unknown := [name for name in sent if name not in known]:
        hint = f"is no parameter of this operation; it has {', '.join(known) or 'none'}"
        raise NotValid({_shown(name): [hint] for name in unknown[:SHOWN_NAMES]})
    if repeated := [name for name, times in names.items() if times > 1]:
        raise NotValid({name: ["is given twice"] for name in repeated})
    return sent


def _limit(operation: Operation[World], user: User) -> int:
    if user.role == "operator":
        return FILE_BYTES if operation.takes_file else BODY_BYTES
    return READERS_FILE_BYTES if operation.takes_file else READERS_BODY_BYTES


def _body(event: Mapping[str, Any], limit_bytes: int) -> bytes:
    body = event.get("body") or ""
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, ValueError):
        raise Malformed("The body must be UTF-8.") from None
    if len(raw) > limit_bytes:
        raise TooLarge(f"The body may have {limit_bytes // 1024} KB.")
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(
            raw.decode("utf-8-sig"),
            parse_int=_int,
            parse_float=_float,
            parse_constant=_float,
            object_pairs_hook=_members,
        )
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair can be sent, but is no text
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or _deeper(found, DEPTH):
        raise Malformed(f"The body must be a JSON object in UTF-8, nested not deeper than {DEPTH}.")
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members by name. Raises `NotValid` for a repeated name: nobody knows which of its values is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        raise NotValid({_shown(name): ["is given twice"] for name in names[:SHOWN_NAMES]})
    return found


def _shown(name: str) -> str:
    return name[:SHOWN_LETTERS].encode(errors="replace").decode()  # half a surrogate pair is no text


def _int(text: str) -> int:
    number = int(text) if len(text) < len(str(LARGEST)) + 2 else LARGEST + 1
    if abs(number) > LARGEST:
        raise ValueError("too large a number")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _deeper(value: Any, depth: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth == 0 or any(_deeper(each, depth - 1) for each in inside)
