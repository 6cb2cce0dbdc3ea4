"""One exchange of the operators' API: an API Gateway event in, JSON out, one structured line in the log.

An operation is a method, a path and a function; a table of them is the API. No exception leaves here, and the line has
nothing of what was sent.
"""

import base64
import binascii
import json
import math
import re
import time
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
    NotFound,
    NotUndoable,
    NotValid,
    Objection,
    Outdated,
    TokenUnknown,
    TooLarge,
    TooOften,
)
from shared.domain.refusals import InternalError, TemporarilyUnavailable
from shared.edge.http import log, where

ROOT = "/api/v1"
QUERY_BYTES = 8 * 1024
BODY_BYTES = 256 * 1024
FILE_BYTES = 1024 * 1024
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
    objections.TooLarge: 413,
    objections.NotValid: 422,
    objections.VersionMissing: 428,
    objections.TooOften: 429,
    objections.Busy: 503,
}

World = TypeVar("World")


class Asked(Struct, frozen=True):
    """`version` is that of If-Match; `body` a JSON object, `file` the body of an operation that takes a file."""

    user: User
    path: dict[str, str]
    query: dict[str, str]
    version: str
    body: dict[str, Any]
    file: bytes

    def __repr__(self) -> str:
        return f"Asked({self.path})"


class Said(Struct, frozen=True):
    """`version` is the ETag; `location` where what was made is, below the API's root."""

    body: Any = None
    code: int = 200
    version: str = ""
    location: str = ""
    content_type: str = "application/json"


class Operation(Struct, Generic[World], frozen=True):
    """`roles` may ask for it; without any it is for everybody, with no token. `takes` and `gives` name the schemas of
    bodies; `many` says that a page of them is given. `query` are the parameters by name, with their schemas.
    `versioned` needs the version that was seen."""

    method: str
    path: str
    summary: str
    answer: Callable[[World, Asked], Said]
    roles: tuple[Role, ...]
    takes: str = ""
    gives: str = ""
    many: bool = False
    code: int = 200
    query: Mapping[str, dict[str, Any]] = {}
    versioned: bool = False

    @property
    def takes_file(self) -> bool:
        return self.takes == FILE

    def matches(self, path: str) -> dict[str, str] | None:
        """The path's parameters, None if it is another."""
        found = re.fullmatch(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(ROOT + self.path)), path)
        return found.groupdict() if found else None


FILE = "File"
"""What `takes` or `gives` says where it is a YAML file."""


def serve(
    event: Mapping[str, Any],
    request_id: str,
    operations: Sequence[Operation[World]],
    world: World,
    sign_in: Callable[[World, str], User],
    check_role: Callable[[User, tuple[Role, ...]], None],
) -> dict[str, Any]:
    """Answer one event. `sign_in` gives the user of a token, `check_role` objects where its role is none of these."""
    started = time.perf_counter()
    facts: dict[str, Any] = {}
    headers: dict[str, str] = {}
    operation: Operation[World] | None = None
    user = User("", "publisher")
    try:
        operation, path = _chosen(event, operations)
        if operation.roles:
            user = sign_in(world, _token(event))
            check_role(user, operation.roles)
        said = operation.answer(world, _read(event, operation, path, user))
        status = "success"
    except Objection as objection:
        said, status = _objection(objection), objection.status
        headers = _headers(objection)
    except TemporarilyUnavailable as refused:
        status = refused.status
        sentence = "The tables do not answer, so it is not known whether it was done. Look, and try again."
        said = Said({"status": status, "message": sentence}, 503)
        headers = {"Retry-After": str(refused.retry_after_seconds)}
        facts = where(refused.__cause__ or refused)
    except Exception as bug:  # noqa: BLE001 - the last one, at the edge
        status = InternalError.status
        said = Said({"status": status, "message": InternalError.sentence, "request_id": request_id}, 500)
        facts = where(bug)
    line = {
        "request_id": request_id,
        "function": "api",
        "operation": f"{operation.method} {operation.path}" if operation else None,
        "user": user.name or None,
        "http_status": said.code,
        "status": status,
        "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        **facts,
    }
    (log.error if said.code >= 500 else log.info)("request", extra=line)
    return _response(said, headers)


def _response(said: Said, headers: Mapping[str, str]) -> dict[str, Any]:
    body = said.body if isinstance(said.body, str) else msgspec.json.encode(said.body).decode()
    return {
        "statusCode": said.code,
        "headers": {
            "Cache-Control": "no-store",
            **({} if said.code == 204 else {"Content-Type": said.content_type}),
            **({"ETag": f'"{said.version}"'} if said.version else {}),
            **({"Location": ROOT + said.location} if said.location else {}),
            **headers,
        },
        "body": "" if said.code == 204 else body,
        "isBase64Encoded": False,
    }


def _objection(objection: Objection) -> Said:
    body: dict[str, Any] = {"status": objection.status, "message": str(objection)}
    if isinstance(objection, NotValid | NotUndoable):
        body["errors"] = objection.errors
    if isinstance(objection, Outdated):
        body["current"] = objection.current
    return Said(body, HTTP_STATUS[type(objection)])


def _headers(objection: Objection) -> dict[str, str]:
    if isinstance(objection, TokenUnknown):
        return {"WWW-Authenticate": "Token"}
    if isinstance(objection, MethodUnknown):
        return {"Allow": ", ".join(objection.methods)}
    if isinstance(objection, TooOften):
        return {"Retry-After": str(objection.retry_after_seconds)}
    if isinstance(objection, objections.Busy):
        return {"Retry-After": str(BUSY_SECONDS)}
    return {}


def _chosen(
    event: Mapping[str, Any], operations: Sequence[Operation[World]]
) -> tuple[Operation[World], dict[str, str]]:
    method, path = event["requestContext"]["http"]["method"], event["rawPath"].removesuffix("/")
    matched = ((operation, operation.matches(path)) for operation in operations)
    here = {operation.method: (operation, found) for operation, found in matched if found is not None}
    if not here:
        raise NotFound(f"There is nothing here. {ROOT}/openapi.json says what there is.")
    if method not in here:
        raise MethodUnknown([*here])
    return here[method]


def _token(event: Mapping[str, Any]) -> str:
    scheme, _, credentials = _header(event, "authorization").partition(" ")
    token = credentials.strip() if scheme.lower() == "token" else ""
    return token if token.isascii() else ""


def _header(event: Mapping[str, Any], name: str) -> str:
    return str(event.get("headers", {}).get(name, ""))


def _read(event: Mapping[str, Any], operation: Operation[World], path: dict[str, str], user: User) -> Asked:
    """Raises `Malformed`, `TooLarge` and `NotValid`."""
    query = _query(event.get("rawQueryString", ""), operation)
    body: dict[str, Any] = {}
    file = b""
    if operation.takes:
        raw = _body(event, FILE_BYTES if operation.takes_file else BODY_BYTES)
        body, file = ({}, raw) if operation.takes_file else (_object(raw), b"")
    version = _header(event, "if-match").strip().removeprefix("W/").strip('"') or query.pop("version", "")
    return Asked(user, path, query, version, body, file)


def _query(raw: str, operation: Operation[World]) -> dict[str, str]:
    if len(raw) > QUERY_BYTES:
        raise TooLarge(f"The query string may have {QUERY_BYTES // 1024} KB.")
    try:
        sent = dict(parse_qsl(raw, keep_blank_values=True, errors="strict"))
    except ValueError:
        raise Malformed("The query string must be UTF-8.") from None
    known = [*operation.query, *(["version"] if operation.versioned else [])]
    if unknown := [name for name in sent if name not in known]:
        hint = f"is no parameter of this operation; it has {', '.join(known) or 'none'}"
        raise NotValid({name: [hint] for name in unknown})
    return sent


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
        found = json.loads(raw.decode("utf-8-sig"), parse_int=_int, parse_float=_float, parse_constant=_float)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair can be sent, but is no text
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or _deeper(found, DEPTH):
        raise Malformed(f"The body must be a JSON object in UTF-8, nested not deeper than {DEPTH}.")
    return found


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
