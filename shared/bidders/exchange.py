"""What a live buyer is sent and what its reply means, by its configured exchange: two pure functions, `request` and
`read`. A reply can be anything: it is a yes, or a no with a reason."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec

from shared.domain import patterns, phone, templates
from shared.domain.live import Ask, Call, Exchange, No, Reply, Yes

MAX_CENTS = 100_000_00
REASON_LENGTH = 200
LONGEST_SECONDS = 366 * 24 * 3600
LONGEST_NUMBER = 400
"""Of its digits no more are looked at."""
SINGULAR = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]{1,4})\]|\['([^'\\]+)'\]")
PERSONAL = re.compile(r"[^\s@]{1,100}@[^\s@]{1,100}|\+?[0-9](?:[ ().-]{0,2}[0-9]){6,}")
"""What may be an address or a telephone number, which a buyer may say back."""


class Unreadable(Exception):
    """A value of a reply is none that it could be; the message says which and why."""


def request(exchange: Exchange, ask: Ask) -> Call:
    """Raises `Unaskable`."""
    url = templates.filled(exchange.url, ask, lambda text: quote(text, safe=""))
    if url is None:
        raise templates.Unaskable("its URL has a value that the lead has not")
    fields = templates.filled(exchange.fields, ask)
    headers = {name: _printable(str(text)) for name, text in templates.filled(exchange.headers, ask).items()}
    final = ask.step == "post"
    if final:
        headers["Idempotency-Key"] = ask.key
    if exchange.format == "query":
        parameters = urlencode(_flat(fields))
        url += ("&" if urlsplit(url).query else "?") + parameters if parameters else ""
        return Call(exchange.method, url, headers, final=final)
    if exchange.format == "form":
        return Call(exchange.method, url, _TYPES["form"] | headers, urlencode(_flat(fields)).encode(), final)
    return Call(exchange.method, url, _TYPES["json"] | headers, msgspec.json.encode(fields), final)


_TYPES = {
    "form": {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json, */*"},
    "json": {"Content-Type": "application/json", "Accept": "application/json, */*"},
}


def read(exchange: Exchange, ask: Ask, reply: Reply, max_bid_cents: int = 0) -> Yes | No:
    if reply.status >= 500 or 300 <= reply.status < 400:
        return No(f"HTTP {reply.status}", broken=True)
    try:
        document = _document(exchange, reply.body)
        reason = _reason(exchange, document)
        for place, values in exchange.accepted:
            said = _text(next(_at(place, document), None))
            if said.casefold() not in values:
                return No(reason or f"{_name(place)} is {_printable(said)[:40] or 'absent'}")
        if reply.status >= 400:
            return No(reason or f"HTTP {reply.status}")
        return _yes(exchange, ask, document, reason, max_bid_cents)
    except Unreadable as unreadable:
        if reply.status >= 400:
            return No(f"HTTP {reply.status}")
        return No(str(unreadable)[:REASON_LENGTH], broken=True)
    except RecursionError:
        return No("the answer is nested too deeply", broken=True)


def _yes(exchange: Exchange, ask: Ask, document: Any, reason: str, max_bid_cents: int) -> Yes | No:
    def found(what: str, read: Callable[[Any], Any]) -> Any:
        """The first value that stands at one of the places; None if there is none."""
        for place in exchange.found.get(what, ()):
            for value in _at(place, document):
                if value is not None and value != "":
                    try:
                        return read(value)
                    except ValueError as wrong:
                        raise Unreadable(f"{what} {wrong}") from None
        return None

    final = ask.step == "post"  # the buyer has accepted then, and a consent that we cannot use is not settled
    cents = found("bid", _cents)
    if ask.step == "ping" and cents is None:
        raise Unreadable(reason or "the answer has no bid")
    if ask.step == "ping" and cents == 0:
        return No(reason or "a bid of 0")
    if cents and 0 < max_bid_cents < cents:
        return No(f"a bid of {cents / 100:.2f} is above the max_bid of {max_bid_cents / 100:.2f}", broken=final)
    after, at = found("expires_in_seconds", _seconds), found("expires_at", _time)
    ends = [end for end in (None if after is None else ask.now + after, at) if end is not None]
    if ends and min(ends) <= ask.now:
        return No("it has expired already", broken=final)
    return Yes(
        cents=cents,
        reference=found("reference", _reference) or "",
        expires_at=min(ends, default=0),
        conversion_seconds=found("conversion_seconds", _seconds),
        number=found("number", _number) or "",
        sip=found("sip", _sip) or "",
    )


def _document(exchange: Exchange, body: bytes) -> Any:
    """What the finders look into: a JSON value, the fields of a form, or the text."""
    try:
        text = body.decode("utf-8-sig")
        if exchange.answer == "json":
            document = msgspec.json.decode(text)
            if not isinstance(document, dict):
                raise Unreadable("the answer is no JSON object")
            return document
        return parse_qs(text.strip(), max_num_fields=1000) if exchange.answer == "form" else text
    except UnicodeDecodeError:
        raise Unreadable("the answer is not in UTF-8") from None
    except msgspec.DecodeError:
        raise Unreadable("the answer is no JSON object") from None
    except ValueError:
        raise Unreadable("the answer is no form") from None


def _at(place: str, document: Any) -> Iterator[Any]:
    """What stands there: of JSON by a singular query of RFC 9535 ($.buyers[0].bid), of a form by the name of a field,
    of a text by a pattern of RE2 in slashes, its first group."""
    if isinstance(document, str):
        if match := patterns.pattern(place[1:-1]).search(document):
            yield match[1] if match.re.groups else match[0]
    elif place.startswith("$"):
        for name, index, quoted in SINGULAR.findall(place):
            if index:
                if not isinstance(document, list) or int(index) >= len(document):
                    return
                document = document[int(index)]
            elif isinstance(document, dict) and (name or quoted) in document:
                document = document[name or quoted]
            else:
                return
        yield document
    else:
        yield from document.get(place, ())


def _reason(exchange: Exchange, document: Any) -> str:
    """The buyer's own words, without what may be personal."""
    for place in exchange.found.get("reason", ()):
        for value in _at(place, document):
            words = PERSONAL.sub("…", _printable(" ".join(_words(value))))[:REASON_LENGTH].strip()
            if words:
                return words
    return ""


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _words(part)
    elif isinstance(value, list):
        for part in value:
            yield from _words(part)
    elif value is not None:
        yield _text(value)[: 2 * REASON_LENGTH]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _cents(value: Any) -> int:
    """Dollars, as a number or a text of one, in whole cents; parts of a cent are the buyer's."""
    dollars = _decimal(value, "an amount in dollars")
    if not dollars.is_finite() or dollars > MAX_CENTS // 100:
        raise ValueError(f"must be at most {MAX_CENTS // 100:,} dollars")
    if dollars < 0:
        raise ValueError("must not be negative")
    return int(dollars * 100)


def _seconds(value: Any) -> int:
    seconds = _decimal(value, "a number of seconds")
    if not seconds.is_finite() or not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError("must be a number of seconds from 0 up")
    return int(seconds)


def _decimal(value: Any, what: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"must be {what}")
    try:
        return Decimal(str(value).strip()[:LONGEST_NUMBER])
    except InvalidOperation:
        raise ValueError(f"must be {what}") from None


def _time(value: Any) -> int:
    try:
        moment = datetime.fromisoformat(str(value).strip()[:40])
    except ValueError:
        raise ValueError("must be a time like 2026-01-01T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("must be a time with its zone, like 2026-01-01T12:00:00Z")
    return int(moment.timestamp())


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a telephone number")
    try:
        return phone.e164(str(value).strip()[:40], "US")
    except ValueError:
        raise ValueError("must be a telephone number") from None


def _reference(value: Any) -> str:
    text = _text(value)
    if not text or len(text) > 1000 or _printable(text) != text:
        raise ValueError("must be a printable text of at most 1000 characters")
    return text


def _sip(value: Any) -> str:
    text = _reference(value)
    if not re.fullmatch(r"(sips?:)?[^\s@]{1,200}@[^\s@]{1,200}", text):
        raise ValueError("must be a SIP address, like name@sip.example")
    return text


def _flat(fields: dict[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in fields.items()}


def _name(place: str) -> str:
    return place.removeprefix("$.")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
