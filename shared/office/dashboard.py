"""One visit to the dashboard: an API Gateway event in; a page, a file or the way to another page out; one log line.

A view is a method, a path and a function; a table of them is the dashboard. Who visits is said by a signed cookie, what
it may do by the configuration. What is sent by a form must carry the visit's own token.
"""

import base64
import hmac
import os
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote

import msgspec
from itsdangerous import BadSignature, URLSafeTimedSerializer
from msgspec import Struct, ValidationError

from shared import pages
from shared.domain.key_list import SESSION_SECONDS
from shared.domain.keys import Key, Keys
from shared.domain.models import Role, User
from shared.domain.objections import (
    Malformed,
    NotAllowed,
    Objection,
    TokenUnknown,
    TooLarge,
    TooOften,
)
from shared.domain.readers import Reader, reader_of
from shared.domain.refusals import InternalError, TemporarilyUnavailable
from shared.http import serving
from shared.http.serving import Facts
from shared.office.rest import HTTP_STATUS
from shared.office.routing import find_route
from shared.operators.access import EVERYBODY, READERS

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
RENEWAL = "__Host-ringpost-renewal"
"""The cookie beside the session of a visitor who signed in elsewhere: when the provider was last asked, and its token
for the next time."""
UNDER_WAY_SECONDS = 600
FORM_KILOBYTES = {"operator": 1024, "viewer": 256}
STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
SMALL_FORM_KILOBYTES = 16
"""For publishers, and for visitors who are not signed in."""
FORM_VALUES = {"operator": 20_000}
FEW_VALUES = 500
PAD_BYTES = 16

NAVIGATION = (
    ("", "Today", EVERYBODY),
    ("/log", "Log", EVERYBODY),
    ("/calls", "Calls", EVERYBODY),
    ("/sources", "Sources", EVERYBODY),
    ("/reports", "Reports", EVERYBODY),
    ("/offers", "Offers", READERS),
    ("/buyers", "Buyers", READERS),
    ("/endpoints", "Endpoints", READERS),
    ("/ring_pools", "Ring pools", READERS),
    ("/providers", "Providers", READERS),
    ("/users", "Users", EVERYBODY),
    ("/suppression_lists", "Suppression", READERS),
    ("/changes", "Changes", READERS),
    ("/configuration", "Configuration", READERS),
)
"""Addresses below the dashboard's, their names, and the roles that they are for."""

World = TypeVar("World")


class Session(Struct, frozen=True, array_like=True):
    """Only the sessions of a user's current generation hold. `elsewhere` says that the session began at an identity
    provider, which may end it."""

    user: str
    generation: int
    elsewhere: bool = False


class Renewal(Struct, frozen=True, array_like=True):
    """When the provider last said that the session holds, and the token for the next question."""

    user: str
    checked_at: int
    refresh_token: str

    def __repr__(self) -> str:
        return "Renewal()"


class Visit(Struct, frozen=True):
    """`csrf` has to come back with every form; `form` may have a name several times. `base` is where the visitor has
    come to, without a slash at its end; `source_address` where from. `under_way` is what was kept while the visitor
    signed in elsewhere."""

    user: User
    generation: int
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
    def reader(self) -> Reader:
        return reader_of(self.user)

    @property
    def values(self) -> dict[str, str]:
        """What the form says, the last of each name."""
        return dict(self.form)


class Page(Struct, frozen=True):
    """A template of `pages/dashboard`, and its values."""

    template: str
    values: Mapping[str, Any] = {}
    code: int = 200


class File(Struct, frozen=True):
    """Something to be kept under a name."""

    name: str
    body: str | bytes
    content_type: str


class Redirect(Struct, frozen=True):
    """The way to another page, after which a form is not sent again. `session`, `renewal` and `under_way` are new
    cookies, None leaves them, and an empty one ends."""

    to: str
    session: str | None = None
    renewal: str | None = None
    under_way: str | None = None


class View(Struct, Generic[World], frozen=True):
    """`roles` may look; without any it is for everybody, signed in or not."""

    method: str
    path: str
    answer: Callable[[World, Visit], Page | File | Redirect]
    roles: tuple[Role, ...]


NOBODY = Session("", 0)


def session_cookie(signing: Keys, begun: Session) -> str:
    """The cookie of somebody who has just signed in."""
    return _serializer(signing, "session").dumps(_plain(begun))


def renewal_cookie(signing: Keys, checked: Renewal) -> str:
    """The cookie beside the session's. The browser's owner can read the refresh token, but cannot use it: the provider
    wants our secret, too."""
    return _serializer(signing, "renewal").dumps(_plain(checked))


def _plain(value: Session | Renewal) -> Any:
    return msgspec.to_builtins(value)


def under_way_cookie(signing: Keys, kept: Sequence[str]) -> str:
    """The cookie of somebody who goes to sign in elsewhere. The browser's owner can read what is kept."""
    return _serializer(signing, "under way").dumps(kept)


def read_under_way(signing: Keys, visit: Visit) -> list[str] | None:
    """What was kept for this visit; None if it is not ours, or too long ago."""
    try:
        found: list[str] = _serializer(signing, "under way").loads(visit.under_way, max_age=UNDER_WAY_SECONDS)
    except BadSignature:
        return None
    return found


def _serializer(signing: Keys, kind: str) -> URLSafeTimedSerializer:
    oldest_first = [key.secret for key in reversed(signing.sessions)]  # the last one signs
    return URLSafeTimedSerializer(oldest_first, salt=kind, signer_kwargs={"digest_method": sha256})


EXPECTED: tuple[type[Objection | TemporarilyUnavailable], ...] = (Objection, TemporarilyUnavailable)


def serve(
    event: Mapping[str, Any],
    request_id: str,
    views: Sequence[View[World]],
    world: World,
    signing: Keys,
    known: Callable[[World, Session, Renewal | None], tuple[User, Renewal | None]],
    elsewhere: str = "",
) -> serving.RawResponse:
    """Answer one event. `known` gives the user of a session, as configured now, and a renewal if there is a new one,
    or objects. `elsewhere` is the other origin to which a form may lead: browsers check where its answer leads, too."""
    visit: Visit | None = None
    renewed: Renewal | None = None

    def respond(facts: Facts) -> serving.RawResponse:
        nonlocal visit, renewed
        facts["user"] = None
        view, path = find_route(event, ROOT, views, "There is no such page.", heads=True)
        begun, user, cookie = NOBODY, User("", "publisher"), _cookie(event, COOKIE)
        if view.roles:
            begun = _session(signing, cookie)
            user, renewed = known(world, begun, _renewal(signing, _cookie(event, RENEWAL)))
        visit = _visit(event, view, path, user, begun.generation, cookie, signing)
        facts["user"] = visit.user.name
        return answered(view.answer(world, visit))

    def answered(answer: Page | File | Redirect) -> serving.RawResponse:
        response = _response(answer, visit, event, elsewhere)
        if renewed and not (isinstance(answer, Redirect) and answer.renewal is not None):
            cookie = _set_cookie(event, RENEWAL, renewal_cookie(signing, renewed), SESSION_SECONDS)
            response["cookies"] = [*response.get("cookies", []), cookie]
        return response

    def refuse(refused: Objection | TemporarilyUnavailable | InternalError) -> serving.RawResponse:
        if isinstance(refused, TokenUnknown):
            to = f"{SIGN_IN}?to={quote(_page_to_return_to(event), safe='')}"
            return answered(Redirect(to, session="", renewal=""))
        response = answered(_why_not(refused, request_id))
        if isinstance(refused, TooOften):
            response["headers"]["Retry-After"] = str(refused.retry_after_seconds)
        return response

    return serving.serve(event, request_id, "dashboard", respond, refuse, EXPECTED)


def _why_not(refused: Objection | TemporarilyUnavailable | InternalError, request_id: str) -> Page:
    if isinstance(refused, Objection):
        code = HTTP_STATUS[type(refused)]
        title, sentence = HTTPStatus(code).phrase, str(refused)
    elif isinstance(refused, TemporarilyUnavailable):
        code, title = 503, "Busy"
        sentence = "The tables do not answer. Look whether it was done, and try again."
    else:
        code, title = 500, "Something failed"
        sentence = f"{InternalError.sentence} {request_id}"
    return Page("objection.html", {"title": title, "sentence": sentence}, code)


def _page_to_return_to(event: Mapping[str, Any]) -> str:
    """The page to come back to after signing in; the first one instead of what a form was sent to."""
    if event["requestContext"]["http"]["method"] != "GET":
        return ROOT
    query = event.get("rawQueryString", "")
    return f"{event['rawPath']}?{query}" if query else str(event["rawPath"])


def _cookie(event: Mapping[str, Any], wanted: str) -> str:
    pairs = (cookie.partition("=") for cookie in event.get("cookies", []))
    return next((value for name, _, value in pairs if name.strip() == _cookie_name(event, wanted)), "")


def _cookie_name(event: Mapping[str, Any], cookie: str) -> str:
    return cookie if _scheme(event) == "https" else cookie.removeprefix("__Host-")


def _scheme(event: Mapping[str, Any]) -> str:
    return str(event.get("headers", {}).get("x-forwarded-proto", "https"))


def _session(signing: Keys, cookie: str) -> Session:
    """Raises `TokenUnknown`."""
    try:
        return msgspec.convert(_serializer(signing, "session").loads(cookie, max_age=SESSION_SECONDS), Session)
    except (BadSignature, ValidationError):
        raise TokenUnknown from None


def _renewal(signing: Keys, cookie: str) -> Renewal | None:
    try:
        return msgspec.convert(_serializer(signing, "renewal").loads(cookie, max_age=SESSION_SECONDS), Renewal)
    except (BadSignature, ValidationError):
        return None


def _csrf(key: Key, cookie: str, pad: str = "") -> str:
    """A new text for each page, because `pad` is random: the length of a compressed page tells nothing of it."""
    pad = pad or os.urandom(PAD_BYTES).hex()
    return pad + hmac.digest(key.secret, f"form {pad} {cookie}".encode(), "sha256").hex()


def _is_ours(signing: Keys, cookie: str, sent: str) -> bool:
    """Whether a form of this visit carries our token, made by the key that signs now or by an earlier one."""
    pad = sent[: 2 * PAD_BYTES]
    return any(hmac.compare_digest(sent.encode(), _csrf(key, cookie, pad).encode()) for key in signing.sessions)


def _visit(
    event: Mapping[str, Any],
    view: View[World],
    path: dict[str, str],
    user: User,
    generation: int,
    cookie: str,
    signing: Keys,
) -> Visit:
    """Raises `NotAllowed`, `Malformed` and `TooLarge`."""
    if view.roles and user.role not in view.roles:
        raise NotAllowed(f"This page is for {' and '.join(view.roles)}; you are {user.role}.")
    form = _form(event, user.role if view.roles else "") if view.method == "POST" else ()
    ours = (
        _is_ours(signing, cookie, dict(form).get("csrf", ""))
        if view.roles
        else event.get("headers", {}).get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    )
    if view.method == "POST" and not ours:
        raise NotAllowed("This form is not from your visit, or you have signed in anew since. Open the page again.")
    return Visit(
        user=user,
        generation=generation,
        csrf=_csrf(signing.sessions[0], cookie),
        path=path,
        query=dict(_pairs(event.get("rawQueryString", ""))),
        form=form,
        base=f"{_scheme(event)}://{event['requestContext'].get('domainName', '')}",
        source_address=event["requestContext"]["http"].get("sourceIp", ""),
        under_way=_cookie(event, UNDER_WAY),
    )


def _form(event: Mapping[str, Any], role: str) -> tuple[tuple[str, str], ...]:
    body = event.get("body") or ""
    try:
        raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
        kilobytes = FORM_KILOBYTES.get(role, SMALL_FORM_KILOBYTES)
        if len(raw) > kilobytes * 1024:
            raise TooLarge(f"A form may have {kilobytes} KB.")
        encoded = raw.decode()
        if STRAY_PERCENT.search(encoded):  # no browser sends it, and many take long to read
            raise Malformed("In a form, a % is written as %25.")
        return tuple(_pairs(encoded, FORM_VALUES.get(role, FEW_VALUES)))
    except UnicodeDecodeError:
        raise Malformed("The form must be UTF-8.") from None


def _pairs(encoded: str, most: int = FEW_VALUES) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=most)
    except ValueError:
        raise Malformed(f"It must be UTF-8, with at most {most:,} values.") from None


def _response(
    answer: Page | File | Redirect, visit: Visit | None, event: Mapping[str, Any], elsewhere: str
) -> dict[str, Any]:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
    response: dict[str, Any] = {"statusCode": 200, "headers": headers, "body": "", "isBase64Encoded": False}
    if isinstance(answer, Redirect):
        headers["Location"] = answer.to
        new = (
            (COOKIE, answer.session, SESSION_SECONDS),
            (RENEWAL, answer.renewal, SESSION_SECONDS),
            (UNDER_WAY, answer.under_way, UNDER_WAY_SECONDS),
        )
        if cookies := [_set_cookie(event, name, value, age) for name, value, age in new if value is not None]:
            response["cookies"] = cookies
        return response | {"statusCode": 303}
    if isinstance(answer, File):
        headers |= {"Content-Type": answer.content_type, "Content-Disposition": f'attachment; filename="{answer.name}"'}
        if isinstance(answer.body, bytes):
            return response | {"body": base64.b64encode(answer.body).decode(), "isBase64Encoded": True}
        return response | {"body": answer.body}
    headers |= {"Content-Type": pages.HTML, "Content-Security-Policy": pages.policy(elsewhere)}
    values = {"visit": visit, "path": event["rawPath"], "NAVIGATION": NAVIGATION, **answer.values}
    return response | {"statusCode": answer.code, "body": pages.render(f"dashboard/{answer.template}", **values)}


def _set_cookie(event: Mapping[str, Any], cookie: str, value: str, seconds: int) -> str:
    secure = "; Secure" if _scheme(event) == "https" else ""
    age = seconds if value else 0
    return f"{_cookie_name(event, cookie)}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
