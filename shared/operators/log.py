"""The log: every PING with what became of it, every refused request, and sales. A publisher sees its own, and no price
of a buyer's."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from shared.configuration import Retention, retention_of
from shared.domain import keys as signing
from shared.domain import phone
from shared.domain.models import DAY
from shared.domain.objections import NotValid
from shared.domain.readers import Reader
from shared.domain.refusals import Refusal
from shared.domain.schedule import read_zone
from shared.domain.states import state_code
from shared.journal import periods
from shared.journal.events import PRICED, SOLD
from shared.journal.periods import Period
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.journal_rows import called_seconds, open_newest
from shared.operators.names import buyer_names
from shared.operators.resources import PAGE
from shared.store.refused_requests import CALLER_BYTES

Outcome = Literal["open", "sold", "expired", "unmatched", "refused"]
"""Unmatched is what nobody bid on."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
STATUSES = (PRICED, SOLD, *sorted(each.status for each in Refusal.__subclasses__()))
MOMENT = re.compile(r"((?:19[7-9]|[2-8]\d\d)\d-\d\d-\d\d)(?:[T ](\d\d:\d\d))?", re.ASCII)
MOMENT_SAID = "must be a day like 2026-11-25, or a minute like 2026-11-25T14:30"
SALE_SECONDS = 3600
"""How long after its PING a sale is looked for, at least."""
BUYER_DIGITS = 10
TIME_DIGITS = 10
MINUTE = 60


class Wanted(Struct, frozen=True, kw_only=True):
    """What lines of the log have to be, as it was typed or sent. `start` and `end` are days or minutes on the clock of
    `zone`; today without them, and without `start` the day of `end`. `state` is where the lead is from. With a `buyer`,
    an id or for operators and viewers a part of its name, with a `number` of ours, or as `sold` the lines are sales, by
    the time at which they were sold."""

    start: str = ""
    end: str = ""
    zone: str = ""
    outcome: str = ""
    status: str = ""
    endpoint: str = ""
    user: str = ""
    source: str = ""
    state: str = ""
    buyer: str = ""
    number: str = ""
    after: str = ""


class Entry(Struct, frozen=True, kw_only=True):
    """A line of the log. `ping_id` is its try-all id; of a request that was refused unpriced it is one that only the
    log knows. `bid_cents` and `bid_payout_cents` are of the best bid; of a sale, and of a sold ping that was opened by
    its item, of the bid that was sold. `revenue_cents` and `payout_cents` are of a sale and its calls. Publishers are
    not told `bid_cents` and `revenue_cents`. `fields` are the names of wrong ones, `number` is ours. Times are seconds
    since the epoch."""

    ping_id: str
    at: int
    outcome: Outcome
    status: str
    endpoint: str
    offer: str
    user: str
    source: str
    state: str
    area_code: str
    bids: int
    bid_cents: int | None
    bid_payout_cents: int
    revenue_cents: int | None
    payout_cents: int
    buyer_id: int | None = None
    sold_at: int | None = None
    number: str = ""
    fields: tuple[str, ...] = ()
    milliseconds: int = 0


E = TypeVar("E", bound=Struct)


class Page(Struct, Generic[E], frozen=True):
    """Entries, the newest first. With a `cursor` there is more, or may be; `searched_to` is the time down to which this
    page has looked."""

    entries: list[E]
    cursor: str = ""
    searched_to: int = 0


class Placed(Struct, frozen=True, array_like=True):
    """A row of a line that was found, and its place among all."""

    event: str
    place: int
    at: int


class Found(Placed, frozen=True, array_like=True):
    """A row of the log of pings."""

    kind: str
    outcome: Outcome
    status: str
    ping: str
    endpoint: str
    offer: str
    user: str
    source: str
    state: str
    area_code: str
    bids: int
    best_bid_cents: int
    best_payout_cents: int
    revenue_cents: int
    payout_cents: int
    buyer: int
    sold_at: int
    number: str
    fields: tuple[str, ...]
    milliseconds: int
    version: int
    expires_at: int
    reasons: str


class Cursor(Struct, frozen=True, array_like=True):
    """Behind which line a list goes on; or, without an `event`, before which time."""

    at: int
    event: str = ""
    place: int = 0


F = TypeVar("F", bound=Placed)


class Part(Struct, Generic[F], frozen=True):
    """Lines that were found, and where the search goes on; None if it is over."""

    found: list[F]
    goes_on: Cursor | None
    searched_to: int


class Question(Struct, frozen=True, kw_only=True):
    """What is searched. `values` are parameters of the query, None for any."""

    period: Period
    kinds: tuple[str, ...] = ("ping", "refused")
    only_user: str | None = None
    callers: tuple[str, ...] | None = None
    values: dict[str, Any] = {}
    after: Cursor | None = None


NAMES = ("ping", "user", "endpoint", "source", "state", "status", "buyer", "number", "outcome")


def retention(office: Office) -> Retention:
    """How long leads and sales are kept."""
    return retention_of(office.records.versions.last_read().parts)


def pings(office: Office, reader: Reader, wanted: Wanted, size: int = PAGE) -> Page[Entry]:
    """Raises `NotValid`, and `Refused` where a file cannot be read."""
    return read_page(office, reader, read_question(office, reader, wanted), size)


def pings_of(office: Office, reader: Reader, caller: str, after: str = "", size: int = PAGE) -> Page[Entry]:
    """The pings of a caller (E.164), of whatever day. Raises as `pings` does."""
    return read_page(office, reader, question_of_caller(office, reader, caller, after), size)


def read_page(office: Office, reader: Reader, question: Question, size: int) -> Page[Entry]:
    part = search(office, question, size)
    cursor = write_cursor(part.goes_on) if part.goes_on else ""
    return Page([entry_of(office, reader, each) for each in part.found], cursor, part.searched_to)


def question_of_caller(office: Office, reader: Reader, caller: str, after: str = "") -> Question:
    """Raises `NotValid`."""
    hashes = signing.caller_hashes(office.records.keys, caller)
    return Question(
        period=Period(0, office.records.now() + DAY),
        only_user=reader.limited_to,
        callers=tuple(each[:CALLER_BYTES].hex() for each in hashes),
        after=read_cursor(after) if after else None,
    )


def search(office: Office, question: Question, size: int) -> Part[Found]:
    """Up to `size` lines, from as much of the range as is quickly read. Raises `Refused`."""
    values = {
        "now": office.records.now(),
        "callers": question.callers,
        **{name: question.values.get(name) for name in NAMES},
    }
    later_seconds = seconds_to_sell(office) + called_seconds(office)
    return search_newest(office, question, size, "log.sql", values, Found, later_seconds)


def search_newest(
    office: Office,
    question: Question,
    size: int,
    query: str,
    values: dict[str, Any],
    kind: type[F],
    later_seconds: int,
) -> Part[F]:
    """What the query of this name finds. It is given rows of `later_seconds` behind its range, too. Raises
    `Refused`."""
    after = question.after
    end = min(question.period.end, office.records.now() + DAY)
    if after:
        end = min(end, after.at + 1 if after.event else after.at)
    period = Period(question.period.start, end)
    if period.seconds <= 0:
        return Part([], None, period.start)
    with open_newest(office, period, later_seconds) as (database, since):
        lines = database.ask(
            query,
            {
                "start": since,
                "end": end,
                "kinds": question.kinds,
                "after_at": after.at if after else None,
                "after_event": after.event if after else "",
                "after_place": after.place if after else 0,
                "only_user": question.only_user,
                "most": size + 1,
                **values,
            },
        )
    found = [msgspec.convert(line, kind) for line in lines[:size]]
    if len(lines) > size:
        last = found[-1]
        return Part(found, Cursor(last.at, last.event, last.place), last.at)
    return Part(found, Cursor(since) if since > period.start else None, since)


def search_on(
    search_part: Callable[[Office, Question, int], Part[F]], office: Office, question: Question, most: int, parts: int
) -> Iterator[Part[F]]:
    """The parts of a search one after the other, until it has so many lines or parts, or is over. Raises `Refused`."""
    for _ in range(parts):
        part = search_part(office, question, most)
        yield part
        most -= len(part.found)
        if part.goes_on is None or most <= 0:
            return
        question = msgspec.structs.replace(question, after=part.goes_on)


def entry_of(office: Office, reader: Reader, found: Found) -> Entry:
    """As the reader may see it."""
    is_sold, sees_all = found.outcome == "sold", reader.sees_all
    return Entry(
        ping_id=signing.ping_id(office.records.keys, found.endpoint, bytes.fromhex(found.ping)),
        at=found.at,
        outcome=found.outcome,
        status=found.status,
        endpoint=found.endpoint,
        offer=found.offer if sees_all else "",
        user=found.user,
        source=found.source,
        state=found.state,
        area_code=found.area_code,
        bids=found.bids,
        bid_cents=found.best_bid_cents if sees_all else None,
        bid_payout_cents=found.best_payout_cents,
        revenue_cents=found.revenue_cents if sees_all else None,
        payout_cents=found.payout_cents,
        buyer_id=found.buyer if is_sold else None,
        sold_at=found.sold_at if is_sold else None,
        number=found.number,
        fields=found.fields,
        milliseconds=found.milliseconds,
    )


def read_question(office: Office, reader: Reader, wanted: Wanted) -> Question:
    """Raises `NotValid`, which names everything that is wrong."""
    read, wrong = collect_mistakes()
    for name, names in (("outcome", OUTCOMES), ("status", STATUSES)):
        if (text := getattr(wanted, name)) and text not in names:
            wrong[name] = [f"must be one of {', '.join(names)}"]
    zone = wanted.zone or account_zone(office)
    period = read(read_period, office.records.now(), wanted.start, wanted.end, zone)
    buyer = read(read_buyer, office, reader, wanted.buyer) if wanted.buyer else None
    number = read(read_number, wanted.number) if wanted.number else None
    state = read(_state, wanted.state) if wanted.state else None
    after = read(read_cursor, wanted.after) if wanted.after else None
    if wrong:
        raise NotValid(wrong)
    is_of_sales = bool(buyer or number) or wanted.outcome == "sold" or wanted.status == SOLD
    texts = {name: getattr(wanted, name) or None for name in ("outcome", "status", "endpoint", "user", "source")}
    return Question(
        period=period,
        kinds=("sale",) if is_of_sales else ("ping", "refused"),
        only_user=reader.limited_to,
        values={**texts, "buyer": buyer, "number": number, "state": state},
        after=after,
    )


def collect_mistakes() -> tuple[Callable[..., Any], dict[str, list[str]]]:
    """What calls a function that reads what was typed, and gives None where it raises `NotValid`; and what was wrong
    then, by name."""
    wrong = dict[str, list[str]]()

    def read(read_one: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read_one(*arguments)
        except NotValid as invalid:
            wrong.update((name, [*said]) for name, said in invalid.errors.items())
            return None

    return read, wrong


def read_moment(text: str) -> int:
    """A time that a link has, in seconds since the epoch; 0 for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= TIME_DIGITS else 0


def read_number(text: str, region: str = "US") -> str:
    """As E.164. Raises `NotValid`."""
    try:
        return phone.e164(text, region)
    except ValueError:
        raise NotValid({"number": ["must be a telephone number, like +16145550123"]}) from None


def read_period(now: int, start: str, end: str, zone: str) -> Period:
    """Days or minutes on the clock of the zone; today without any. Raises `NotValid`."""
    try:
        read_zone(zone)
    except ValueError as error:
        raise NotValid({"zone": [str(error)]}) from None
    day = periods.local_day(now, zone)
    today = periods.days(day, day, zone)
    last = _moment(end, "to", zone) if end else None
    first = _moment(start, "from", zone) if start else last or today
    last = last or (today if first.start < today.end else first)
    if last.end <= first.start:
        raise NotValid({"to": ["must not be before the first day"]})
    return Period(first.start, last.end)


def _moment(text: str, named: str, zone: str) -> Period:
    """A day, or a minute. Raises `NotValid`."""
    found = MOMENT.fullmatch(text)
    try:
        if not found:
            raise ValueError
        begin = datetime.fromisoformat(text)
    except ValueError:
        raise NotValid({named: [MOMENT_SAID]}) from None
    if not found[2]:
        return periods.days(begin.date(), begin.date(), zone)
    start = int(begin.replace(tzinfo=ZoneInfo(zone)).timestamp())
    return Period(start, start + MINUTE)


def _state(text: str) -> str:
    """Raises `NotValid`."""
    code = state_code(text)
    if not code:
        raise NotValid({"state": ["must be a state, like TX"]})
    return code


def read_buyer(office: Office, reader: Reader, text: str) -> int:
    """Raises `NotValid`."""
    if text.isascii() and text.isdecimal() and len(text) <= BUYER_DIGITS and int(text):
        return int(text)
    if not reader.sees_all:
        raise NotValid({"buyer": ["must be the id of a buyer"]})
    called = [buyer for buyer, name in buyer_names(office).items() if text.casefold() in name.casefold()]
    if len(called) != 1:
        raise NotValid({"buyer": [f"is part of the name of {len(called)} buyers; it must be of one, or an id"]})
    return called[0]


def seconds_to_sell(office: Office) -> int:
    """How long after its PING a sale can come, at the endpoints of now."""
    parts = office.records.versions.last_read().parts
    lives = [int(part.get("ping_ttl_seconds", 0)) for (section, _), part in parts.items() if section == "endpoints"]
    return max([SALE_SECONDS, *lives])


def write_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode()


def read_cursor(text: str) -> Cursor:
    """Raises `NotValid`."""
    try:
        cursor = msgspec.msgpack.decode(base64.urlsafe_b64decode(text.encode()), type=Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        cursor = None
    if cursor is None or not (0 <= cursor.at < 2**40 and 0 <= cursor.place < 2**31):
        raise NotValid({"after": ["must be the `next` of an earlier answer"]})
    return cursor
