"""What a live buyer is sent and what its reply means, by its configured exchange: two pure functions, `request` and
`read`. A reply can be anything: it is a yes, or a no with a reason."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import msgspec

from shared.domain import patterns, phone, templates, values
from shared.domain.live_bids import Ask, Call, Exchange, No, Reply, Yes

MAX_CENTS = 100_000_00
LONGEST_SECONDS = 366 * 24 * 3600
LONGEST_NUMBER = 400
"""Of its digits no more are looked at."""
SINGULAR = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]{1,4})\]|\['([^'\\]+)'\]")
PLACE = re.compile(r"[A-Za-z0-9_.$'\[\]-]{1,100}")
LONGEST_WORDS = 2000
"""How many letters of a buyer's words are read."""


class Unreadable(Exception):
    """A value of a reply is none that it could be; the message says which and why."""


def request(exchange: Exchange, ask: Ask) -> Call:
    """Raises `Unaskable`."""
    url = templates.fill(exchange.url, ask, lambda text: quote(text, safe=""))
    if url is None:
        raise templates.Unaskable("its URL has a value that the lead has not")
    if _upward_steps(url) > _upward_steps(exchange.url):
        raise templates.Unaskable("its URL has a value that cannot stand there")
    fields = templates.fill(exchange.fields, ask)
    headers = {name: _printable(str(text)) for name, text in templates.fill(exchange.headers, ask).items()}
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


def _upward_steps(url: str) -> int:
    """How many parts of the path are `.` or `..`, which lead elsewhere, also at a server that decodes it twice."""
    path = url.partition("?")[0].partition("#")[0]
    for _ in range(3):
        path = unquote(path)
    return sum(part.partition(";")[0].strip() in (".", "..") for part in re.split(r"[/\\]", path))


_TYPES = {
    "form": {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json, */*"},
    "json": {"Content-Type": "application/json", "Accept": "application/json, */*"},
}


def read(exchange: Exchange, ask: Ask, reply: Reply, max_bid_cents: int = 0) -> Yes | No:
    if reply.status >= 500 or 300 <= reply.status < 400:
        return No(f"HTTP {reply.status}", broken=True)
    try:
        document = _document(exchange, reply.body)

        def no(reason: str, broken: bool = False) -> No:
            return No(reason, broken, _words(exchange, ask, document))

        if reply.status >= 400:
            return no(f"HTTP {reply.status}")
        for place, right in exchange.accepted:
            if _text(next(_at(place, document), None)).casefold() not in right:
                name = place.removeprefix("$.")
                return no("the answer has no yes" + (f" at {name}" if PLACE.fullmatch(name) else ""))
        return _yes(exchange, ask, document, no, max_bid_cents)
    except Unreadable as unreadable:
        return No(f"HTTP {reply.status}") if reply.status >= 400 else No(str(unreadable), broken=True)
    except RecursionError:
        return No("the answer is nested too deeply", broken=True)


def _yes(exchange: Exchange, ask: Ask, document: Any, no: Callable[..., No], max_bid_cents: int) -> Yes | No:
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
        return no("the answer has no bid", broken=True)
    if ask.step == "ping" and cents == 0:
        return no("a bid of 0")
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


def _words(exchange: Exchange, ask: Ask, document: Any) -> str:
    """The buyer's own words from the places of its reason, without what it was sent."""
    for place in exchange.found.get("reason", ()):
        for value in _at(place, document):
            words, length = [], 0
            for text in _texts(value):
                words.append(text)
                length += len(text)
                if length > LONGEST_WORDS:
                    break
            said = " ".join(words)
            if len(said) > LONGEST_WORDS:
                said = said[:LONGEST_WORDS].rpartition(" ")[0]
            if said.strip() and (left := _without_what_was_sent(said, exchange, ask)):
                return left
    return ""


def _without_what_was_sent(said: str, exchange: Exchange, ask: Ask) -> str:
    from shared.bidders import echoes  # of no use at start-up

    named = templates.secret_names([exchange.url, exchange.fields, exchange.headers])
    try:
        return echoes.without(said, request(exchange, ask), ask.lead, [ask.secret(name) for name in named])
    except templates.Unaskable:
        return ""  # a secret was removed meanwhile, and may be among the words


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif value is not None:
        yield _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _cents(value: Any) -> int:
    """Dollars, as a number or a text of one, in whole cents; parts of a cent are the buyer's."""
    dollars = _decimal(_plain(value), "an amount in dollars")
    if not dollars.is_finite() or dollars > MAX_CENTS // 100:
        raise ValueError(f"must be at most {MAX_CENTS // 100:,} dollars")
    if dollars < 0:
        raise ValueError("must not be negative")
    return int(dollars * 100)


def _plain(value: Any) -> Any:
    """Of a text the plain number, where it is an amount as people write them: `$1,250.00`."""
    try:
        return values.number(value) if isinstance(value, str) else value
    except ValueError:
        return value


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


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
