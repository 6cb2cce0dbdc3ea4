"""Statements as who asks for them may see them."""

import re
from datetime import date
from typing import Literal

from msgspec import Struct

from shared.domain import keys as signing
from shared.domain.objections import NotValid
from shared.domain.readers import Reader
from shared.domain.statements import SEPARATOR, Content, Late, Sums, month_after
from shared.journal import periods
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.journal_rows import CALLED_SECONDS
from shared.operators.names import buyer_names
from shared.store.statements import Closing

State = Literal["open", "closed"]
LATE_SECONDS = CALLED_SECONDS
"""How long after its end a month can be closed: its last calls are over, and in the journal."""
MOST_CORRECTIONS = 10_000
"""That an answer lists."""
MONTHS = 100
"""How many months back statements are looked for."""
MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class Line(Struct, frozen=True):
    """What an endpoint has brought a publisher, or an offer has brought a buyer."""

    name: str
    sales: int
    calls: int
    converted: int
    amount_cents: int


class Correction(Struct, frozen=True, kw_only=True):
    """What came `at` a time, and belongs to a `period` whose statement was closed before: an `update` of a call, a
    `call` or a `sale`, and by how much it changes what was counted. `call_id` and `ping_id` say of what, and `link` is
    its address below `/api/v1`. Only operators and viewers are told `by` whom it was said."""

    kind: str
    at: int
    period: str
    call_id: str
    ping_id: str
    arrived_at: int | None
    converted: int
    amount_cents: int
    by: str
    link: str


class Total(Struct, frozen=True):
    """Sales, settled calls, those that are converted, and what is owed for them."""

    sales: int
    calls: int
    converted: int
    amount_cents: int


class Statement(Struct, frozen=True, kw_only=True):
    """Of a `party` for a `period`, from `start` to before `end`: its `own` sums of what was sold then, those of what
    `corrects` earlier statements, and the `total` of both. Amounts are what the publisher gets, or the buyer owes. An
    open one is as of now. There are `lines` and `corrections` only where one party was asked for; `unlisted`
    corrections are counted, and left out of the list. It can be closed from `closes_at` on, if it is the `first_open`
    one, which is null where that was not looked for."""

    party: str
    name: str
    period: str
    zone: str
    start: int
    end: int
    state: State
    closed_at: int | None
    closed_by: str
    closes_at: int
    own: Total
    corrects: Total
    total: Total
    lines: list[Line] = []
    corrections: list[Correction] = []
    unlisted: int = 0
    first_open: str | None = None


def describe(
    office: Office, reader: Reader, closing: Closing, content: Content | None = None, first_open: str | None = None
) -> Statement:
    """A closed statement, or an open one, which was closed `at` no time."""
    late = content.late if content else ()
    side, name = closing.party.split(SEPARATOR, 1)
    return Statement(
        party=closing.party,
        name=buyer_names(office).get(int(name), name) if side == "buyer" else name,
        period=closing.month,
        zone=closing.zone,
        start=closing.start,
        end=closing.end,
        state="closed" if closing.at else "open",
        closed_at=closing.at or None,
        closed_by=closing.by if reader.sees_all else "",
        closes_at=closing.end + LATE_SECONDS,
        own=_total(closing.own),
        corrects=_total(closing.corrections),
        total=_total(closing.own + closing.corrections),
        lines=[_line(name, sums) for name, sums in content.lines.items()] if content else [],
        corrections=[_correction(office, reader, each, closing.zone) for each in late[:MOST_CORRECTIONS]],
        unlisted=max(0, len(late) - MOST_CORRECTIONS),
        first_open=first_open,
    )


def _total(sums: Sums) -> Total:
    return Total(sums.sales, sums.calls, sums.converted, sums.amount_cents)


def _line(name: str, sums: Sums) -> Line:
    return Line(name, sums.sales, sums.calls, sums.converted, sums.amount_cents)


def _correction(office: Office, reader: Reader, late: Late, zone: str) -> Correction:
    keys = office.records.keys
    call_id = signing.uuid(keys, "call", bytes.fromhex(late.call)) if late.call else ""
    ping_id = signing.ping_id(keys, late.endpoint, bytes.fromhex(late.ping)) if late.ping and not reader.buyers else ""
    if reader.buyers:
        link = f"/calls/{call_id}" if call_id else ""
    else:
        link = f"/call_log/{call_id}?at={late.arrived_at}" if call_id else f"/pings/{ping_id}?at={late.moment}"
    return Correction(
        kind=late.kind,
        at=late.at,
        period=month_of(late.moment, zone),
        call_id=call_id,
        ping_id=ping_id,
        arrived_at=late.arrived_at or None,
        converted=late.converted,
        amount_cents=late.amount_cents,
        by=late.detail if reader.sees_all and late.kind == "update" else "",
        link=link,
    )


def read_month(office: Office, text: str) -> str:
    """A month like 2026-11; the present one without a text. Raises `NotValid`."""
    this = this_month(office)
    text = text or this
    if not MONTH.fullmatch(text):
        raise NotValid({"period": ["must be a month like 2026-11"]})
    if text > this:
        raise NotValid({"period": ["has not begun"]})
    if text not in months_back(office):
        raise NotValid({"period": [f"must be one of the last {MONTHS} months"]})
    return text


def this_month(office: Office) -> str:
    return month_of(office.records.now(), account_zone(office))


def months_back(office: Office) -> list[str]:
    """All months that may have statements, this one first."""
    this = this_month(office)
    return [month_after(this, -n) for n in range(MONTHS)]


def month_of(at: int, zone: str) -> str:
    return f"{periods.local_day(at, zone):%Y-%m}"


def bounds_of(month: str, zone: str) -> tuple[int, int]:
    """Its first second, and that of the next month."""
    period = periods.month(date.fromisoformat(f"{month}-01"), zone)
    return period.start, period.end
