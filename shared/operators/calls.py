"""Calls: those that are settled with what they were worth, those that run, and one call with all that happened in it.
A publisher sees its own, and no buyer's name or price."""

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from shared.domain import keys as signing
from shared.domain.calls import Arrival, Outcome, connected_attempt, status_of
from shared.domain.models import DAY, Endpoint
from shared.domain.objections import NotFound, NotValid, Refused
from shared.domain.readers import Reader
from shared.journal.call_rows import rows_of_call
from shared.journal.periods import Period
from shared.journal.rows import Dialed, Row
from shared.operators import log
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.log import Page, Part, Placed, Question
from shared.operators.names import buyer_names
from shared.operators.resources import PAGE
from shared.store.calls import Calls, StoredCall
from shared.store.compiled import Compiled, Memory
from shared.store.packing import UnknownFormat

Phase = Literal["settled", "running"]
PHASES: tuple[Phase, ...] = get_args(Phase)
ARRIVALS: tuple[Arrival, ...] = get_args(Arrival)
STATUSES: tuple[str, ...] = ("initiated", "calling-leads", "established", *get_args(Outcome))
YES_OR_NO = ("yes", "no")
RUNNING_SECONDS = 4 * 3600
"""A call that arrived before that and is not settled runs no more."""
MOST_RUNNING = 100
MOST_OF_A_PING = 50
PARTS = 3
CALL_ID_DIGITS = 24
NEAR_SECONDS = 3600

NAMES = (
    "call", "ping", "user", "endpoint", "source", "buyer", "number", "status", "arrival", "connected", "converted",
)  # fmt: skip


STATE = ("status", "buyer", "connected")
"""What of a call changes while it runs."""


class WantedCalls(Struct, frozen=True, kw_only=True):
    """What calls have to be, as it was typed or sent. `start` and `end` are days or minutes on the clock of `zone`, by
    when a call was settled; today without them. Calls that run are those of the last hours, whatever the days are.
    `connected` and `converted` are yes or no."""

    start: str = ""
    end: str = ""
    zone: str = ""
    phase: str = ""
    status: str = ""
    arrival: str = ""
    connected: str = ""
    converted: str = ""
    endpoint: str = ""
    user: str = ""
    source: str = ""
    buyer: str = ""
    number: str = ""
    after: str = ""


class CallEntry(Struct, frozen=True, kw_only=True):
    """A call. `at` is when it was settled, or when it arrived while it runs. `ping_id` is the try-all id of its sale's
    ping, `buyer_id` the buyer that took it, `attempts` how many were dialed. `seconds` are of talk. `revenue_cents` and
    `payout_cents` are what is owed for the call itself, beside what is owed for its sale. Publishers are not told
    `offer` and `revenue_cents`. `number` is ours. Times are seconds since the epoch."""

    call_id: str
    at: int
    arrived_at: int
    phase: Phase
    status: str
    detail: str
    arrival: str
    endpoint: str
    offer: str
    provider: str
    user: str
    source: str
    area_code: str
    number: str
    ping_id: str
    sold_at: int | None
    attempts: int
    buyer_id: int | None
    connected_at: int | None
    seconds: int
    converted: bool
    revenue_cents: int | None
    payout_cents: int


CallPage = Page[CallEntry]


class DialedBuyer(Struct, frozen=True, kw_only=True):
    """An attempt. `buyer_id` is 0 for the last resort. `end` is empty while it runs, or where its end was lost;
    `ended_at` is known as long as the call's item is kept. Publishers are not told the `name`."""

    buyer_id: int
    name: str
    at: int
    connected_at: int | None = None
    end: str
    ended_at: int | None = None
    seconds: int


class OpenedCall(Struct, frozen=True, kw_only=True):
    """`over_at` is when the caller was gone, `settled_at` when it was decided what the call is worth."""

    call: CallEntry
    dialed: list[DialedBuyer] = []
    over_at: int | None = None
    settled_at: int | None = None


class OfPing(Struct, frozen=True):
    """The calls for a ping's sale, the newest first, and since when it counts as never called."""

    calls: list[CallEntry] = []
    never_called: int | None = None


class FoundCall(Placed, frozen=True, array_like=True):
    """A row of a call, or of a sale that was never called. `dialed` is JSON."""

    kind: str
    call: str
    ping: str
    endpoint: str
    offer: str
    version: int
    user: str
    source: str
    area_code: str
    number: str
    provider: str
    arrived_at: int
    arrival: str
    dialed: str
    buyer: int
    connected_at: int
    seconds: int
    status: str
    detail: str
    converted: int
    revenue_cents: int
    payout_cents: int
    sold_at: int

    @property
    def attempts(self) -> list[Dialed]:
        return msgspec.json.decode(self.dialed, type=list[Dialed])


def list_calls(office: Office, reader: Reader, wanted: WantedCalls, size: int = PAGE) -> CallPage:
    """Raises `NotValid`, and `Refused` where a file cannot be read."""
    question = read_question(office, reader, wanted)
    if wanted.phase == "running":
        part = search(office, _of_any_state(question), size)
        found = [each for each in _as_now(office, part.found) if each.kind == "arrived" and _is_wanted(question, each)]
    else:
        part = search(office, question, size)
        found = part.found
    cursor = log.write_cursor(part.goes_on) if part.goes_on else ""
    return CallPage([entry_of(office, reader, each) for each in found], cursor, part.searched_to)


def _of_any_state(question: Question) -> Question:
    """The journal has of a call that runs only how it arrived."""
    return replace(question, values=question.values | dict.fromkeys(STATE))


def _as_now(office: Office, found: list[FoundCall]) -> list[FoundCall]:
    """Those of which the journal knows only that they arrived, as they are now. One whose item is gone stays so."""
    stored = Calls(office.records.dynamo).look_at([bytes.fromhex(each.call) for each in found])
    versions = {(each.call.endpoint, each.call.version) for each in stored.values()}
    compiled = Compiled(office.records.dynamo, Memory()).versions(versions)
    endpoints = {(each.vanity_uri, each.version): each for each in compiled}
    return [
        _row_of(raw, now, endpoints.get((now.call.endpoint, now.call.version)))
        if (now := stored.get(raw := bytes.fromhex(each.call)))
        else each
        for each in found
    ]


def _is_wanted(question: Question, found: FoundCall) -> bool:
    state = {"status": found.status, "buyer": found.buyer, "connected": found.connected_at > 0}
    return all(question.values[name] in (None, state[name]) for name in STATE)


def list_running(office: Office, reader: Reader, wanted: WantedCalls) -> list[CallEntry]:
    """The newest of the calls that are not settled, as far as these are wanted. Raises as `list_calls` does."""
    running = replace(wanted, phase="running", after="")
    return list_calls(office, reader, running, MOST_RUNNING).entries


def open_call(office: Office, reader: Reader, call_id: str, at: str = "") -> OpenedCall:
    """One call by its uuid or its raw id in hexadecimal. Where its item is gone, `at` is when it was settled, in
    seconds since the epoch. Raises `NotFound`, and `Refused` where it cannot be read."""
    raw = _raw_id(office, call_id)
    if raw is None:
        raise _not_found()
    names = buyer_names(office) if reader.sees_all else {}
    stored = _look(office, raw)
    if stored is None:
        found = _find(office, reader, raw, at)
        return OpenedCall(
            call=entry_of(office, reader, found),
            dialed=[_dialed(each, names) for each in found.attempts],
            settled_at=found.at if found.kind == "call" else None,
        )
    if reader.limited_to not in (None, stored.call.user):
        raise _not_found()
    found = _row_of(raw, stored, _endpoint_of(office, stored))
    facts = stored.facts
    return OpenedCall(
        call=entry_of(office, reader, found),
        dialed=[_dialed(each, names, stored, n) for n, each in enumerate(found.attempts, 1)],
        over_at=facts.over.at if facts.over else None,
        settled_at=facts.settled.at if facts.settled else None,
    )


def calls_of_ping(office: Office, reader: Reader, ping: bytes, sold_at: int) -> OfPing:
    """The calls of the day after a sale. Raises `Refused`."""
    question = Question(
        period=Period(sold_at, sold_at + DAY),
        kinds=("arrived", "call", "never_called"),
        only_user=reader.limited_to,
        values={"ping": ping.hex()},
    )
    found = dict[str, FoundCall]()
    for part in log.search_on(search, office, question, MOST_OF_A_PING, PARTS):
        for each in part.found:
            found.setdefault(each.call, each)
    marked = found.pop("", None)
    arrived = [each for each in found.values() if each.kind == "arrived"]
    found |= {each.call: each for each in _as_now(office, arrived)}
    calls = [entry_of(office, reader, each) for each in found.values()]
    return OfPing(calls, marked.at if marked and not calls else None)


def search(office: Office, question: Question, size: int) -> Part[FoundCall]:
    """Up to `size` lines, from as much of the range as is quickly read. Raises `Refused`."""
    values = {name: question.values.get(name) for name in NAMES}
    return log.search_newest(office, question, size, "calls.sql", values, FoundCall, RUNNING_SECONDS)


def read_question(office: Office, reader: Reader, wanted: WantedCalls) -> Question:
    """Raises `NotValid`, which names everything that is wrong."""
    read, wrong = log.collect_mistakes()
    choices = {"phase": PHASES, "status": STATUSES, "arrival": ARRIVALS, "connected": YES_OR_NO, "converted": YES_OR_NO}
    for name, choice in choices.items():
        if (text := getattr(wanted, name)) and text not in choice:
            wrong[name] = [f"must be one of {', '.join(choice)}"]
    now = office.records.now()
    is_running = wanted.phase == "running"
    period = read(log.read_period, now, wanted.start, wanted.end, wanted.zone or account_zone(office))
    buyer = read(log.read_buyer, office, reader, wanted.buyer) if wanted.buyer else None
    number = read(log.read_number, wanted.number) if wanted.number else None
    after = read(log.read_cursor, wanted.after) if wanted.after else None
    if wrong:
        raise NotValid(wrong)
    texts = {name: getattr(wanted, name) or None for name in ("status", "arrival", "endpoint", "user", "source")}
    are = {
        name: getattr(wanted, name) == "yes" if getattr(wanted, name) else None for name in ("connected", "converted")
    }
    return Question(
        period=Period(now - RUNNING_SECONDS, now + DAY) if is_running else period,
        kinds=("arrived",) if is_running else ("call",),
        only_user=reader.limited_to,
        values={**texts, **are, "buyer": buyer, "number": number},
        after=after,
    )


def entry_of(office: Office, reader: Reader, found: FoundCall) -> CallEntry:
    """As the reader may see it."""
    keys, sees_all = office.records.keys, reader.sees_all
    return CallEntry(
        call_id=signing.uuid(keys, "call", bytes.fromhex(found.call)),
        at=found.at,
        arrived_at=found.arrived_at,
        phase="running" if found.kind == "arrived" else "settled",
        status=found.status,
        detail=found.detail,
        arrival=found.arrival,
        endpoint=found.endpoint,
        offer=found.offer if sees_all else "",
        provider=found.provider,
        user=found.user,
        source=found.source,
        area_code=found.area_code,
        number=found.number,
        ping_id=signing.ping_id(keys, found.endpoint, bytes.fromhex(found.ping)) if found.ping else "",
        sold_at=found.sold_at or None,
        attempts=len(found.attempts),
        buyer_id=found.buyer or None,
        connected_at=found.connected_at or None,
        seconds=found.seconds,
        converted=bool(found.converted),
        revenue_cents=found.revenue_cents if sees_all else None,
        payout_cents=found.payout_cents,
    )


def _raw_id(office: Office, text: str) -> bytes | None:
    if len(text) == CALL_ID_DIGITS and text.isascii():
        try:
            return bytes.fromhex(text)
        except ValueError:
            return None
    return signing.read_uuid(office.records.keys, "call", text)


def _look(office: Office, raw: bytes) -> StoredCall | None:
    """Raises `Refused`."""
    try:
        return Calls(office.records.dynamo).look(raw)
    except UnknownFormat as unreadable:
        raise Refused(f"The stored call cannot be read. {unreadable}") from None


def _row_of(raw: bytes, stored: StoredCall, endpoint: Endpoint | None) -> FoundCall:
    """As the journal has it, or will have it; of a call that is not settled, as it is now."""
    call, facts = stored.call, stored.facts
    row = rows_of_call(Row(event="", at=0, kind="call", call=raw.hex()), None, stored, endpoint)[-1]
    if not facts.settled:
        connected = facts.attempts.get(connected_attempt(call, facts))
        row = replace(row, status=status_of(call, facts), buyer=connected.buyer_id if connected else 0)
    columns = asdict(row) | {"dialed": msgspec.json.encode(row.dialed).decode()}
    return FoundCall(**{name: columns[name] for name in FoundCall.__struct_fields__})


def _endpoint_of(office: Office, stored: StoredCall) -> Endpoint | None:
    try:
        return Compiled(office.records.dynamo, Memory()).version(stored.call.endpoint, stored.call.version)
    except LookupError:
        return None


def _find(office: Office, reader: Reader, raw: bytes, at: str) -> FoundCall:
    """The newest row of a call whose item is gone. Raises `NotFound`."""
    near = log.read_moment(at)
    end = near + RUNNING_SECONDS + NEAR_SECONDS if near else office.records.now() + DAY
    question = Question(
        period=Period(near - NEAR_SECONDS if near else 0, end),
        kinds=("arrived", "call"),
        only_user=reader.limited_to,
        values={"call": raw.hex()},
    )
    for part in log.search_on(search, office, question, 1, PARTS):
        if part.found:
            return part.found[0]
    raise _not_found()


def _dialed(dialed: Dialed, names: Mapping[int, str], stored: StoredCall | None = None, n: int = 0) -> DialedBuyer:
    """An attempt, with what only the item knows of it: of `stored` the attempt `n`."""
    ended = stored.facts.ended.get(n) if stored else None
    return DialedBuyer(
        buyer_id=dialed.buyer,
        name=names.get(dialed.buyer, ""),
        at=dialed.at,
        connected_at=stored.facts.connected.get(n) if stored else None,
        end=dialed.end,
        ended_at=ended.at if ended else None,
        seconds=dialed.seconds,
    )


def _not_found() -> NotFound:
    return NotFound(
        "No such call was found: it is of another stack, not kept any more, or not yours. Open an old one from its "
        "line in the list of calls."
    )
