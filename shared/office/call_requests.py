"""What is sent of a call: JSON, a form or a query, flat or nested under `call`, as buyers' systems send it.

A value that says nothing (empty, `null`) is not said. Names that mean nothing here are fields of the sender's own.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from shared.domain.objections import Malformed, NotValid, TooLarge
from shared.domain.refusals import MalformedRequest
from shared.domain.updates import MOST_CENTS
from shared.flows.updating import Said
from shared.publishers import bodies
from shared.publishers.requests import read_authorization

QUERY_BYTES, BODY_BYTES = 8 * 1024, 32 * 1024
MOST_VALUES = 500
DEPTH = 5
NAME = re.compile(r"([^\[\]]{1,200})((?:\[[^\[\]]{0,200}\]){1,4})")
INNER = re.compile(r"\[([^\[\]]*)\]")
AMOUNT = re.compile(r"([+-]?)\$?([0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9]{1,20})?(\.[0-9]{0,30})?(?:[eE]([+-]?[0-9]{1,3}))?")
QUOTED = re.compile(r'token="?([^",; ]{1,200})')
NOTHING = ("", "null", "none", "nil", "undefined")
YES, NO = ("1", "true", "yes", "on", "y", "t"), ("0", "false", "no", "off", "n", "f")
ROOT, TOKENS, AUTH_TOKEN = "call", "post_call_tokens", "auth_token"
NO_FIELDS = (AUTH_TOKEN, "format", "_method", "utf8", "commit", "authenticity_token", "columns", "per_page", "cursor")
"""About the request, or of forms that a framework has written."""
BOOLEANS = ("buyer_converted", "offer_converted")
AMOUNTS = ("revenue", "payout", "add_revenue", "add_payout")

Path = tuple[str, ...]


class Sent(Struct, frozen=True):
    """The values of a request by name, the `tokens` that it may be authenticated by, its Idempotency-Key, and what it
    calls tokens itself: fields of its own."""

    values: dict[str, str]
    post_call_tokens: dict[str, str]
    tokens: list[str]
    idempotency_key: str

    def __repr__(self) -> str:
        return "Sent()"

    @property
    def says_something(self) -> bool:
        said = (text for name, text in self.values.items() if name not in NO_FIELDS)
        return any(said) or any(self.post_call_tokens.values())


def read_request(event: Mapping[str, Any]) -> Sent:
    """Raises `Malformed` and `TooLarge`."""
    headers = event.get("headers", {})
    try:
        found = [*_query(event.get("rawQueryString", "")), *_body(event, headers.get("content-type", ""))]
    except (ValueError, RecursionError, MalformedRequest):
        raise Malformed("The request must be JSON, a form or a query, in UTF-8.") from None
    values, own = dict[str, str](), dict[str, str]()
    for path, text in found:
        path = path[1:] if path[0].lower() == ROOT and len(path) > 1 else path
        if path[0] == TOKENS:
            own |= {"_".join(path[1:]): text} if len(path) > 1 else _object(text)
        elif path != (ROOT,):
            values[".".join(path)] = text
    try:
        "".join((*values, *values.values(), *own, *own.values())).encode()
    except UnicodeEncodeError:  # half a surrogate pair can be sent, but is no text
        raise Malformed("The request must be UTF-8.") from None
    tokens = [values.pop(AUTH_TOKEN, ""), *read_authorization(headers), *_other_tokens(headers)]
    key = str(headers.get("idempotency-key", "")).strip()
    return Sent(values, own, [token for token in tokens if token and token.isascii()], key)


def read_said(sent: Sent) -> Said:
    """Raises `NotValid`, which names every value that cannot be read."""
    wrong, said = dict[str, list[str]](), dict[str, Any]()
    for name in BOOLEANS:
        try:
            said[name] = _boolean(sent.values.get(name, ""))
        except ValueError:
            wrong[name] = ["must be 1 or 0, true or false, yes or no, on or off"]
    for name in AMOUNTS:
        is_added = name.startswith("add_")
        try:
            cents = _cents(sent.values.get(name, ""), signed=is_added)
            said[f"{name}_cents"] = (cents or 0) if is_added else cents
        except ValueError as fault:
            wrong[name] = [str(fault)]
    for name in (*BOOLEANS, *AMOUNTS):
        if any(each.startswith(f"{name}.") for each in sent.values):
            wrong[name] = ["must be one value"]
    if wrong:
        raise NotValid(wrong)
    own = {name: text for name, text in sent.values.items() if name not in (*BOOLEANS, *AMOUNTS, *NO_FIELDS)}
    fields = {name: text for name, text in (own | sent.post_call_tokens).items() if name and text}
    return Said(**said, fields=fields)


def _query(raw: str) -> Iterator[tuple[Path, str]]:
    if len(raw) > QUERY_BYTES:
        raise TooLarge(f"The query string may have {QUERY_BYTES // 1024} KB.")
    return _form(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MOST_VALUES))


def _body(event: Mapping[str, Any], content_type: str) -> Iterator[tuple[Path, str]]:
    body = event.get("body") or ""
    raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    if len(raw) > BODY_BYTES:
        raise TooLarge(f"The body may have {BODY_BYTES // 1024} KB.")
    bare = raw.strip()
    if bare.startswith((b"{", b"[", b"\xef\xbb\xbf")) or "json" in content_type.lower():
        found = json.loads(raw.decode("utf-8-sig"), parse_int=str, parse_float=str, parse_constant=str) if bare else {}
        if not isinstance(found, dict):
            raise ValueError("no object")
        return iter([*_walk((), found)])
    return _form([*bodies.read(raw, content_type).items()])


def _form(pairs: list[tuple[str, str]]) -> Iterator[tuple[Path, str]]:
    if len(pairs) > MOST_VALUES:
        raise ValueError("too many values")
    for name, text in pairs:
        nested = NAME.fullmatch(name)
        path = (nested[1], *INNER.findall(nested[2])) if nested else (name,)
        if path[0].lower() == ROOT and len(path) == 1 and text.lstrip().startswith("{"):
            yield from _walk((ROOT,), json.loads(text, parse_int=str, parse_float=str, parse_constant=str))
        else:
            yield path, text.strip()


def _walk(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """The values of an object, each with the names that lead to it."""
    for name, inner in value.items():
        here = (*path, name)
        if isinstance(inner, dict) and len(here) < DEPTH:
            yield from _walk(here, inner)
        elif inner is not None:
            yield here, inner.strip() if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)


def _object(text: str) -> dict[str, str]:
    """What `post_call_tokens` has as one text: an object as JSON; anything else is a value of its own."""
    if not text.startswith("{"):
        return {TOKENS: text} if text else {}
    found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    return {"_".join(path): inner for path, inner in _walk((), found)}


def _other_tokens(headers: Mapping[str, Any]) -> list[str]:
    """Of `Bearer …`, and of `Token token="…"`, as some frameworks write it."""
    scheme, _, credentials = str(headers.get("authorization", "")).partition(" ")
    if scheme.lower() not in ("bearer", "token"):
        return []
    quoted = QUOTED.match(credentials.strip())
    return [quoted[1] if quoted else credentials.strip()]


def _boolean(text: str) -> bool | None:
    bare = text.strip().lower()
    if bare in NOTHING:
        return None
    if bare in YES:
        return True
    if bare in NO:
        return False
    raise ValueError


def _cents(text: str, *, signed: bool) -> int | None:
    """Dollars as whole cents: what is less than a cent is rounded. Raises `ValueError`, with the sentence."""
    bare = text.strip()
    if bare.lower() in NOTHING:
        return None
    match = AMOUNT.fullmatch(bare)
    if match is None or not (match[2] or (match[3] or "").strip(".")):
        raise ValueError("must be an amount like 45.00")
    try:
        amount = Decimal(f"{match[1]}{(match[2] or '0').replace(',', '')}{match[3] or ''}e{match[4] or 0}")
        if amount > MOST_CENTS // 100 or amount < -MOST_CENTS // 100:
            raise ValueError(f"must not be above {MOST_CENTS // 100:,}")
        cents = int((amount * 100).to_integral_value(ROUND_HALF_UP))
    except InvalidOperation:
        raise ValueError("must be an amount like 45.00") from None
    if cents < 0 and not signed:
        raise ValueError("must not be below 0")
    return cents
