"""One visit to the dashboard: an API Gateway event in; a page, a file or the way to another page out; one log line.

A view is a method, a path and a function; a table of them is the dashboard. Who visits is said by a signed cookie, what
it may do by the configuration. What is sent by a form must carry the visit's own token.
"""

import base64
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote

from itsdangerous import BadSignature, URLSafeTimedSerializer
from msgspec import Struct

from shared.domain import keys
from shared.domain.keys import Keys
from shared.domain.models import Role, User
from shared.domain.objections import (
    Malformed,
    MethodUnknown,
    NotAllowed,
    NotFound,
    Objection,
    TokenUnknown,
    TooLarge,
    TooOften,
)
from shared.domain.refusals import InternalError, TemporarilyUnavailable
from shared.edge import http, pages
from shared.edge.api import HTTP_STATUS

ROOT = "/dashboard"
OURS = re.compile(rf"{ROOT}(/[\w./~%-]*)?(\?[\w./~%&=+:,*-]*)?", re.ASCII)
"""Where somebody may be led to by what a request says: nowhere but within the dashboard."""
SIGN_IN = f"{ROOT}/sign_in"
SIGNED_OUT = f"{ROOT}/signed_out"
COOKIE = "__Host-ringpost"
"""Who has signed in. With this prefix a browser takes it from this very host only, and over TLS; where there is none,
on the machine of a developer, cookies go without."""
UNDER_WAY = "__Host-ringpost-sign-in"
"""What a browser keeps while its visitor signs in elsewhere."""
SESSION_SECONDS = 12 * 3600
UNDER_WAY_SECONDS = 600
FORM_BYTES = 1024 * 1024

World = TypeVar("World")


class Visit(Struct, frozen=True):
    """`csrf` has to come back with every form; `form` may have a name several times. `base` is where the visitor has
    come to, without a slash at its end; `source_address` where from. `under_way` is what was kept while the visitor
    signed in elsewhere."""

    user: User
    csrf: str
    path: dict[str, str]
    query: dict[str, str]
    form: tuple[tuple[str, str], ...]
    base: str
    source_address: str
    under_way: str = ""

    def __repr__(self) -> str:
        return f"Visit({self.path})"

    @property
    def values(self) -> dict[str, str]:
        """What the form says, the last of each name."""
        return dict(self.form)


class Shown(Struct, frozen=True):
    """A template of `pages/dashboard`, and its values."""

    template: str
    values: Mapping[str, Any] = {}
    code: int = 200


class File(Struct, frozen=True):
    """Something to be kept under a name."""

    name: str
    body: str
    content_type: str


class Elsewhere(Struct, frozen=True):
    """The way to another page, after which a form is not sent again. `session` and `under_way` are new cookies, None
    leaves them, and an empty one ends."""

    to: str
    session: str | None = None
    under_way: str | None = None


class View(Struct, Generic[World], frozen=True):
    """`roles` may look; without any it is for everybody, signed in or not."""

    method: str
    path: str
    answer: Callable[[World, Visit], Shown | File | Elsewhere]
    roles: tuple[Role, ...]

    def matches(self, path: str) -> dict[str, str] | None:
        """The path's parameters, None if it is another."""
        found = re.fullmatch(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(ROOT + self.path)), path)
        return found.groupdict() if found else None


def session(signing: Keys, user: str) -> str:
    """The cookie of somebody who has just signed in."""
    return _serializer(signing, "session").dumps(user)


def under_way(signing: Keys, kept: Sequence[str]) -> str:
    """The cookie of somebody who goes to sign in elsewhere. The browser's owner can read what is kept."""
    return _serializer(signing, "under way").dumps(kept)


def kept(signing: Keys, visit: Visit) -> list[str] | None:
    """What was kept for this visit; None if it is not ours, or too long ago."""
    try:
        found: list[str] = _serializer(signing, "under way").loads(visit.under_way, max_age=UNDER_WAY_SECONDS)
    except BadSignature:
        return None
    return found


def _serializer(signing: Keys, kind: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(keys.session_key(signing), salt=kind, signer_kwargs={"digest_method": sha256})


def serve(
    event: Mapping[str, Any],
    request_id: str,
    views: Sequence[View[World]],
    world: World,
    signing: Keys,
    known: Callable[[World, str], User],
    elsewhere: str = "",
) -> dict[str, Any]:
    """Answer one event. `known` gives the user of a name, as configured now, or objects. `elsewhere` is the origin that
    a form may lead to beside our own: browsers look where its answer leads, too."""
    started = time.perf_counter()
    facts: dict[str, Any] = {}
    headers: dict[str, str] = {}
    visit: Visit | None = None
    code: int
    cookie = _cookie(event, COOKIE)
    try:
        view, path = _chosen(event, views)
        user = _visitor(signing, cookie, world, known) if view.roles else User("", "publisher")
        visit = _visit(event, view, path, user, cookie, signing)
        answer = view.answer(world, visit)
        status = "success"
    except TokenUnknown as objection:
        answer, status = Elsewhere(f"{SIGN_IN}?to={quote(_wanted(event), safe='')}", session=""), objection.status
    except Objection as objection:
        code = HTTP_STATUS[type(objection)]
        answer = Shown("objection.html", {"title": HTTPStatus(code).phrase, "sentence": str(objection)}, code)
        status = objection.status
        if isinstance(objection, TooOften):
            headers = {"Retry-After": str(objection.retry_after_seconds)}
    except TemporarilyUnavailable as refused:
        sentence = "The tables do not answer. Look whether it was done, and try again."
        answer, status = Shown("objection.html", {"title": "Busy", "sentence": sentence}, 503), refused.status
        facts = http.where(refused.__cause__ or refused)
    except Exception as bug:  # noqa: BLE001 - the last one, at the edge
        sentence = f"{InternalError.sentence} {request_id}"
        answer, status = (
            Shown("objection.html", {"title": "Something failed", "sentence": sentence}, 500),
            "internal_error",
        )
        facts = http.where(bug)
    response = _response(answer, visit, event, elsewhere)
    response["headers"] |= headers
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    user_name = visit.user.name if visit else None
    http.told(request_id, "dashboard", response["statusCode"], status, milliseconds, user=user_name, **facts)
    return response


def _chosen(event: Mapping[str, Any], views: Sequence[View[World]]) -> tuple[View[World], dict[str, str]]:
    method, path = event["requestContext"]["http"]["method"], event["rawPath"].removesuffix("/")
    method = "GET" if method == "HEAD" else method
    matched = ((view, view.matches(path)) for view in views)
    here = {view.method: (view, found) for view, found in matched if found is not None}
    if not here:
        raise NotFound("There is no such page.")
    if method not in here:
        raise MethodUnknown([*here])
    return here[method]


def _wanted(event: Mapping[str, Any]) -> str:
    """The page to come back to after signing in; the first one instead of what a form was sent to."""
    if event["requestContext"]["http"]["method"] != "GET":
        return ROOT
    query = event.get("rawQueryString", "")
    return f"{event['rawPath']}?{query}" if query else str(event["rawPath"])


def _cookie(event: Mapping[str, Any], wanted: str) -> str:
    pairs = (cookie.partition("=") for cookie in event.get("cookies", []))
    return next((value for name, _, value in pairs if name.strip() == _named(event, wanted)), "")


def _named(event: Mapping[str, Any], cookie: str) -> str:
    return cookie if _scheme(event) == "https" else cookie.removeprefix("__Host-")


def _scheme(event: Mapping[str, Any]) -> str:
    return str(event.get("headers", {}).get("x-forwarded-proto", "https"))


def _visitor(signing: Keys, cookie: str, world: World, known: Callable[[World, str], User]) -> User:
    try:
        name = _serializer(signing, "session").loads(cookie, max_age=SESSION_SECONDS)
    except BadSignature:
        raise TokenUnknown from None
    return known(world, name)


def _csrf(signing: Keys, cookie: str) -> str:
    return hmac.digest(keys.session_key(signing), f"form {cookie}".encode(), "sha256").hex()


def _visit(
    event: Mapping[str, Any], view: View[World], path: dict[str, str], user: User, cookie: str, signing: Keys
) -> Visit:
    """Raises `NotAllowed`, `Malformed` and `TooLarge`."""
    if view.roles and user.role not in view.roles:
        raise NotAllowed(f"This page is for {' and '.join(view.roles)}; you are {user.role}.")
    form = _form(event) if view.method == "POST" else ()
    csrf = _csrf(signing, cookie)
    ours = (
        hmac.compare_digest(dict(form).get("csrf", "").encode(), csrf.encode())
        if view.roles
        else event.get("headers", {}).get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    )
    if view.method == "POST" and not ours:
        raise NotAllowed("This form is not from your visit, or you have signed in anew since. Open the page again.")
    return Visit(
        user=user,
        csrf=csrf,
        path=path,
        query=dict(_pairs(event.get("rawQueryString", ""))),
        form=form,
        base=f"{_scheme(event)}://{event['requestContext'].get('domainName', '')}",
        source_address=event["requestContext"]["http"].get("sourceIp", ""),
        under_way=_cookie(event, UNDER_WAY),
    )


def _form(event: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    body = event.get("body") or ""
    try:
        raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
        if len(raw) > FORM_BYTES:
            raise TooLarge(f"A form may have {FORM_BYTES // 1024} KB.")
        return tuple(_pairs(raw.decode()))
    except UnicodeDecodeError:
        raise Malformed("The form must be UTF-8.") from None


def _pairs(encoded: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=20_000)
    except ValueError:
        raise Malformed("It must be UTF-8, with at most 20,000 values.") from None


def _response(
    answer: Shown | File | Elsewhere, visit: Visit | None, event: Mapping[str, Any], elsewhere: str
) -> dict[str, Any]:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
    response: dict[str, Any] = {"statusCode": 200, "headers": headers, "body": "", "isBase64Encoded": False}
    if isinstance(answer, Elsewhere):
        headers["Location"] = answer.to
        new = ((COOKIE, answer.session, SESSION_SECONDS), (UNDER_WAY, answer.under_way, UNDER_WAY_SECONDS))
        if cookies := [_set_cookie(event, name, value, age) for name, value, age in new if value is not None]:
            response["cookies"] = cookies
        return response | {"statusCode": 303}
    if isinstance(answer, File):
        headers |= {"Content-Type": answer.content_type, "Content-Disposition": f'attachment; filename="{answer.name}"'}
        return response | {"body": answer.body}
    headers |= {"Content-Type": pages.HTML, "Content-Security-Policy": pages.policy(elsewhere)}
    values = {"visit": visit, "path": event["rawPath"], **answer.values}
    return response | {"statusCode": answer.code, "body": pages.render(f"dashboard/{answer.template}", **values)}


def _set_cookie(event: Mapping[str, Any], cookie: str, value: str, seconds: int) -> str:
    secure = "; Secure" if _scheme(event) == "https" else ""
    age = seconds if value else 0
    return f"{_named(event, cookie)}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
