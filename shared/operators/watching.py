"""What happens and what has happened: the day, the log of pings and sales, one ping opened, and who sends what.

A publisher sees its own, and no buyer's price. Of a lead everybody sees what tells no person: states, ZIP codes, yes
and no, choices, numbers of up to eight digits, the traffic source and our own number. The rest is masked; an operator
may look at it, and every look is in the change log.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from shared.domain import phone
from shared.domain.configuration import ACCOUNT, Account, Change, Plain, Retention
from shared.domain.matching import Shown
from shared.domain.models import DAY, Field, User
from shared.domain.objections import NotFound, NotValid
from shared.operators import outlook
from shared.operators.desk import Desk
from shared.operators.outlook import Gauge
from shared.operators.resources import PAGE
from shared.store import journal
from shared.store.counters import BATCH
from shared.store.journal import BadCursor, Hour, PoolHour, Row, Sold, Source, Status

HOURS = 24
FULLEST = 20
"""How many caps the page of the day shows."""
CAPPED = 5 * BATCH
"""Of how many buyers a page of caps shows the fill."""
DAYS, EXPORTED_DAYS = 5, 31
"""The most days of a page of traffic sources, and of its file."""
CALLERS_AT_ONCE = 100
EXPORTED_AT_ONCE = 1000
EXPORTED_ROWS, EXPORTED_PAGES = 10_000, 50
"""What ends an export: so many rows, or so many pages read."""
PLAIN = {"us_state", "us_zip", "boolean", "choice", "integer", "decimal"}
OURS = {"traffic_source_id", "trackdrive_number"}
LONGEST_NUMBER = 8
"""A longer one may be a telephone number or an account."""
MASK = "•••"

Find = Callable[[str, int], journal.Page]
"""A page of rows, from a cursor on, of a size."""


# The day


class Count(Struct, frozen=True, kw_only=True):
    """What was counted in an hour, or a day, at one endpoint or at all of them. Amounts are cents."""

    asked: int = 0
    pings: int = 0
    sales: int = 0
    revenue_cents: int = 0
    payout_cents: int = 0
    refused: dict[str, int] = {}

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())

    def plus(self, other: "Count | Hour") -> "Count":
        statuses = dict.fromkeys([*self.refused, *other.refused])
        return Count(
            asked=self.asked + other.asked,
            pings=self.pings + other.pings,
            sales=self.sales + other.sales,
            revenue_cents=self.revenue_cents + other.revenue_cents,
            payout_cents=self.payout_cents + other.payout_cents,
            refused={status: self.refused.get(status, 0) + other.refused.get(status, 0) for status in statuses},
        )


class Compared(Struct, frozen=True):
    """A day and the day before."""

    day: Count
    before: Count

    @property
    def statuses(self) -> list[str]:
        return sorted({*self.day.refused, *self.before.refused})


class Use(Struct, frozen=True):
    """A ring pool's day: an entry an hour."""

    pool: str
    hours: list[PoolHour]

    @property
    def leases(self) -> int:
        return sum(hour.leases for hour in self.hours)

    @property
    def exhausted(self) -> int:
        return sum(hour.exhausted for hour in self.hours)

    @property
    def peak_percent(self) -> int:
        return max(hour.peak_percent for hour in self.hours)


class Fill(Struct, frozen=True):
    """How full a cap of a buyer is now."""

    buyer_id: int
    name: str
    offer: str
    gauge: Gauge


class Fills(Struct, frozen=True):
    """The fullest first, of `looked_at` buyers of all that are `capped`. `next` is the buyer after which it goes on."""

    fills: list[Fill]
    looked_at: int
    capped: int
    next: str | None = None


class Day(Struct, frozen=True):
    """One UTC day from `at`. `hours` and `before` have an entry for each of its hours, and of the day before; `fills`
    is None for a day that is over."""

    at: int
    is_today: bool
    hours: list[Count]
    before: list[Count]
    total: Compared
    endpoints: dict[str, Compared]
    pools: list[Use]
    buyers: list[Sold]
    names: dict[int, str]
    fills: Fills | None


def day(text: str, now: int, named: str = "day") -> int:
    """When the UTC day begins that is written like 2026-11-25; today's without one. Raises `NotValid`."""
    if not text:
        return now // DAY * DAY
    try:
        if not (text.isascii() and re.fullmatch(r"(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d", text)):
            raise ValueError
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise NotValid({named: ["must be a day like 2026-11-25"]}) from None


def of_day(desk: Desk, at: int) -> Day:
    """For operators and viewers: what is counted has no user."""
    now = desk.records.now()
    counted = desk.journal.hours(at - DAY, at + DAY)
    today, before = ([hour for hour in counted if start <= hour.at < start + DAY] for start in (at, at - DAY))
    buyers = sorted(desk.journal.buyers(at, at + DAY), key=lambda sold: (-sold.revenue_cents, sold.buyer_id))
    names = dict.fromkeys(sorted({hour.endpoint for hour in counted}))
    is_today = at == now // DAY * DAY
    return Day(
        at=at,
        is_today=is_today,
        hours=_by_hour(today, at),
        before=_by_hour(before, at - DAY),
        total=Compared(_sum(today), _sum(before)),
        endpoints={
            name: Compared(*(_sum(hour for hour in hours if hour.endpoint == name) for hours in (today, before)))
            for name in names
        },
        pools=_pools(desk.journal.pools(at, at + DAY)),
        buyers=buyers,
        names=buyer_names(desk),
        fills=_fullest(desk, buyers) if is_today else None,
    )


def _by_hour(hours: Collection[Hour], at: int) -> list[Count]:
    return [_sum(hour for hour in hours if hour.at == at + 3600 * n) for n in range(HOURS)]


def _sum(hours: Iterable[Hour]) -> Count:
    return reduce(Count.plus, hours, Count())


def _pools(hours: Collection[PoolHour]) -> list[Use]:
    """Those that were exhausted most often first, then by the most use."""
    names = sorted({hour.pool for hour in hours})
    used = [Use(name, [hour for hour in hours if hour.pool == name]) for name in names]
    return sorted(used, key=lambda use: (-use.exhausted, -use.peak_percent, use.pool))


def fills(desk: Desk, after: str = "") -> Fills:
    """The caps of the next buyers in the order of their ids. Raises `NotValid`."""
    if after and not (after.isascii() and after.isdecimal() and len(after) <= 10):
        raise NotValid({"after": ["must be the id of a buyer"]})
    capped = sorted(_capped(desk), key=lambda buyer: int(buyer["id"]))
    rest = [buyer for buyer in capped if buyer["id"] > int(after or 0)]
    some = rest[:CAPPED]
    following = str(some[-1]["id"]) if len(rest) > CAPPED else None
    return Fills(_filled(desk, some), len(some), len(capped), following)


def _fullest(desk: Desk, buyers: Sequence[Sold]) -> Fills:
    """Of more buyers than one call reads, those that have sold most today."""
    most = {sold.buyer_id: place for place, sold in enumerate(buyers)}
    capped = sorted(_capped(desk), key=lambda buyer: (most.get(buyer["id"], len(most)), buyer["id"]))
    some = capped[:BATCH]
    return Fills(_filled(desk, some)[:FULLEST], len(some), len(capped))


def _capped(desk: Desk) -> list[Plain]:
    """The buyers with caps, as they are listed one by one."""
    offers = ((name, part) for (section, name), part in desk.records.last_seen().parts.items() if section == "offers")
    return [{"offer": name, **buyer} for name, offer in offers for buyer in offer.get("buyers", ()) if "caps" in buyer]


def _filled(desk: Desk, buyers: Sequence[Plain]) -> list[Fill]:
    compiled = outlook.buyers(desk.records.last_seen().parts, buyers)
    gauges = outlook.counted(desk.records, [*compiled.values()])
    found = [
        Fill(buyer["id"], buyer["name"], buyer["offer"], gauge)
        for buyer in buyers
        for gauge in gauges.get(buyer["id"], ())
    ]
    return sorted(found, key=lambda fill: (not fill.gauge.is_full, -fill.gauge.percent, fill.buyer_id))


# The log


def buyer_names(desk: Desk) -> dict[int, str]:
    """Every buyer's, as configured now."""
    offers = (part for (section, _), part in desk.records.last_seen().parts.items() if section == "offers")
    return {buyer["id"]: buyer["name"] for offer in offers for buyer in offer.get("buyers", ())}


def retention(desk: Desk) -> Retention:
    """How long leads and sales are kept."""
    return Account.model_validate(desk.records.last_seen().parts.get(ACCOUNT, {})).retention


class Wanted(Struct, frozen=True, kw_only=True):
    """What pings of the log have to be. With a `buyer`, an id or for operators and viewers a part of its name, they are
    its sales, by the day on which they were sold."""

    day: str = ""
    status: str = ""
    endpoint: str = ""
    source: str = ""
    buyer: str = ""
    after: str = ""


def pings(desk: Desk, user: User, wanted: Wanted, size: int = PAGE) -> journal.Page:
    """The newest first. Raises `NotValid`."""
    return _read(_finder(desk, user, wanted), wanted.after, size)


def pings_of(desk: Desk, user: User, caller: str, after: str = "", size: int = PAGE) -> journal.Page:
    """The pings of a caller (E.164) whose leads are kept, of whatever day. Raises `NotValid`."""
    return _read(_of_caller(desk, user, caller), after, size)


def exported(desk: Desk, user: User, wanted: Wanted) -> tuple[str, bool]:
    """A page of the log and all that follow as CSV, and whether that is everything. Raises `NotValid`."""
    return _csv(user, _finder(desk, user, wanted), EXPORTED_AT_ONCE)


def exported_of(desk: Desk, user: User, caller: str) -> tuple[str, bool]:
    """The same of a caller."""
    return _csv(user, _of_caller(desk, user, caller), CALLERS_AT_ONCE)


def number(text: str, region: str = "US") -> str:
    """As E.164. Raises `NotValid`."""
    try:
        return phone.e164(text, region)
    except ValueError:
        raise NotValid({"number": ["must be a telephone number, like +16145550123"]}) from None


def _finder(desk: Desk, user: User, wanted: Wanted) -> Find:
    """Raises `NotValid`."""
    now, wrong = desk.records.now(), dict[str, list[str]]()
    if wanted.status and wanted.status not in get_args(Status):
        wrong["status"] = [f"must be one of {', '.join(get_args(Status))}"]
    at = buyer_id = 0
    try:
        at = day(wanted.day, now)
    except NotValid as invalid:
        wrong |= {name: [*said] for name, said in invalid.errors.items()}
    try:
        buyer_id = _buyer_id(desk, user, wanted.buyer) if wanted.buyer else 0
    except NotValid as invalid:
        wrong |= {name: [*said] for name, said in invalid.errors.items()}
    if wrong:
        raise NotValid(wrong)
    if buyer_id:
        return _of_buyer(desk, user, wanted, buyer_id, at)

    def find(cursor: str, size: int) -> journal.Page:
        status: Status | Literal[""] = next((each for each in get_args(Status) if each == wanted.status), "")
        return desk.journal.log(
            at,
            now,
            user=_only(user),
            status=status,
            endpoint=wanted.endpoint,
            source=wanted.source,
            cursor=cursor,
            size=size,
        )

    return find


def _buyer_id(desk: Desk, user: User, text: str) -> int:
    """Raises `NotValid`."""
    if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text):
        return int(text)
    if _only(user) is not None:
        raise NotValid({"buyer": ["must be the id of a buyer"]})
    called = [buyer for buyer, name in buyer_names(desk).items() if text.casefold() in name.casefold()]
    if len(called) != 1:
        raise NotValid({"buyer": [f"is part of the name of {len(called)} buyers; it must be of one, or an id"]})
    return called[0]


def _of_buyer(desk: Desk, user: User, wanted: Wanted, buyer_id: int, at: int) -> Find:
    def find(cursor: str, size: int) -> journal.Page:
        now, only = desk.records.now(), _only(user)
        page = desk.journal.sales_of(buyer_id, at, at + DAY, now, user=only, cursor=cursor, size=size)
        rows = [
            row
            for row in page.rows
            if wanted.endpoint in ("", row.endpoint)
            and wanted.source in ("", row.source)
            and wanted.status in ("", row.status)
        ]
        return replace(page, rows=rows)

    return find


def _of_caller(desk: Desk, user: User, caller: str) -> Find:
    def find(cursor: str, size: int) -> journal.Page:
        size = min(size, CALLERS_AT_ONCE)
        return desk.journal.of_caller(caller, desk.records.now(), user=_only(user), cursor=cursor, size=size)

    return find


def _read(find: Find, cursor: str, size: int) -> journal.Page:
    try:
        return find(cursor, size)
    except BadCursor:
        raise NotValid({"after": ["must be what `next` said"]}) from None


def _csv(user: User, find: Find, size: int) -> tuple[str, bool]:
    rows, cursor = list[Row](), ""
    for _ in range(EXPORTED_PAGES):
        page = find(cursor, size)
        rows, cursor = rows + page.rows, page.cursor
        if not cursor or len(rows) >= EXPORTED_ROWS:
            break
    names = [name for name in Row.__struct_fields__ if name != "cents" or _only(user) is None]
    return "".join(journal.csv_lines(rows[:EXPORTED_ROWS], names)), not cursor and len(rows) <= EXPORTED_ROWS


def _only(user: User) -> str | None:
    """Whose pings somebody may see; None is everybody's."""
    return user.name if user.role == "publisher" else None


# One ping


class Value(Struct, frozen=True):
    name: str
    value: str
    masked: bool


class Offered(Struct, frozen=True):
    """A bid; publishers are not told its `cents`, nor the buyer's name."""

    buyer_id: int
    name: str
    cents: int | None
    payout_cents: int


class Reason(Struct, frozen=True):
    """Why a buyer did not bid."""

    buyer_id: int
    name: str
    rule: str
    seen: Shown
    threshold: Shown
    local_time: str


class RouteNow(Struct, frozen=True):
    """Where a call to the number goes now."""

    buyer_id: int
    number: str
    until: int


class SaleMade(Struct, frozen=True):
    """`held_until` is when the number's hold ends, `lease_until` when its lease does if it still has one, 0 if not."""

    buyer_id: int
    name: str
    number: str
    overflow: bool
    held_until: int
    lease_until: int
    route: RouteNow | None


class Unsettled(Struct, frozen=True):
    """A live buyer was told of a sale at `at`, and it is not settled. `agreed` says that it said yes."""

    buyer_id: int
    name: str
    at: int
    agreed: bool


class OpenedPing(Struct, frozen=True):
    """`version` is that of the configuration by which it was decided. Once its lead was erased, or its retention is
    over, there are no reasons, and no answer: then not `lead_is_kept`. `refused` is the status of its last POST that
    sold nothing."""

    ping: Row
    expires_at: int
    version: int
    claimed: bool
    refused: str
    refused_at: int | None
    lead: list[Value]
    lead_is_kept: bool
    bids: list[Offered]
    reasons: list[Reason]
    sale: SaleMade | None
    unsettled: list[Unsettled]
    answer: str


def opened(desk: Desk, user: User, ping_id: str) -> OpenedPing:
    """One ping by any of its ids, masked. Raises `NotFound`."""
    return _opened(desk, user, ping_id, is_plain=False)


def unmasked(desk: Desk, user: User, ping_id: str) -> OpenedPing:
    """One ping with its whole lead, for operators. The change log tells of it before it is shown. Raises `NotFound`."""
    found = _opened(desk, user, ping_id, is_plain=True)
    desk.records.note(user.name, [Change(f"pings[{found.ping.ping_id}].lead", None, "shown unmasked")])
    return found


def masked(name: str, value: str, field: Field | None) -> str:
    """A value of a lead as everybody may see it. Of a telephone number the area code and the last two digits stay."""
    if name in OURS:
        return value
    if field is None:
        return MASK
    if field.type == "phone":
        start = value[:5] if value.startswith("+1") else value[:1]
        return f"{start}{MASK}{value[-2:]}"
    if field.type not in PLAIN or (field.type in ("integer", "decimal") and _digits(value) > LONGEST_NUMBER):
        return MASK
    return value


def _opened(desk: Desk, user: User, ping_id: str, *, is_plain: bool) -> OpenedPing:
    found = desk.journal.opened(ping_id, desk.records.now(), user=_only(user))
    if found is None:
        raise NotFound("There is no such ping: it is of another stack, older than its retention, or not yours.")
    endpoint = found.endpoint
    fields = {field.name: field for field in endpoint.fields} if endpoint else {}
    names = {buyer.id: buyer.name for buyer in endpoint.buyers} if endpoint and _only(user) is None else {}
    shown = {
        name: value if is_plain else masked(name, value, fields.get(name)) for name, value in sorted(found.lead.items())
    }
    hidden = {value: shown[name] for name, value in found.lead.items() if shown[name] != value}
    return OpenedPing(
        ping=found.row,
        expires_at=found.expires_at,
        version=found.version,
        claimed=found.claimed,
        refused=found.refused,
        refused_at=found.refused_at,
        lead=[Value(name, value, value != found.lead[name]) for name, value in shown.items()],
        lead_is_kept=found.is_kept,
        bids=[Offered(bid.buyer_id, names.get(bid.buyer_id, ""), bid.cents, bid.payout_cents) for bid in found.offers],
        reasons=[
            Reason(
                buyer_id=failure.buyer_id,
                name=names.get(failure.buyer_id, ""),
                rule=failure.rule.value,
                seen=hidden.get(failure.seen, failure.seen) if isinstance(failure.seen, str) else failure.seen,
                threshold=failure.threshold,
                local_time=failure.local_time,
            )
            for failure in found.failures
        ],
        sale=_sale(found, names),
        unsettled=[
            Unsettled(buyer_id, names.get(buyer_id, ""), asked.at, asked.said is not None)
            for buyer_id, asked in found.unsettled.items()
        ],
        answer=found.answer,
    )


def _sale(found: journal.Opened, names: Mapping[int, str]) -> SaleMade | None:
    buyer_id, route = found.row.buyer_id, found.route
    if buyer_id is None:
        return None
    return SaleMade(
        buyer_id=buyer_id,
        name=names.get(buyer_id, ""),
        number=found.number,
        overflow=found.overflow,
        held_until=found.held_until,
        lease_until=found.lease_until,
        route=RouteNow(route.buyer_id, route.number, route.held_until) if route else None,
    )


def _digits(value: str) -> int:
    return sum(letter.isdigit() for letter in value)


# Who sends what


class Sources(Struct, frozen=True):
    """The days from `start` to the one before `end`; those that paid most first."""

    start: int
    end: int
    sources: list[Source]
    total: Source


def sources(desk: Desk, user: User, start: str, end: str, most: int = DAYS) -> Sources:
    """By user and traffic source, from the first to the last of some days. Raises `NotValid`."""
    now = desk.records.now()
    first = day(start, now, "from")
    last = day(end, first if start else now, "to")
    if last < first:
        raise NotValid({"to": ["must not be before the first day"]})
    if last - first >= most * DAY:
        raise NotValid({"to": [f"may be up to {most} days after the first, itself among them"]})
    found = desk.journal.sources(first, last + DAY, _only(user))
    found.sort(key=lambda source: (-source.payout_cents, -source.pings, source.user, source.source))
    everything = Source(
        user="",
        source="",
        asked=sum(source.asked for source in found),
        pings=sum(source.pings for source in found),
        sales=sum(source.sales for source in found),
        revenue_cents=sum(source.revenue_cents or 0 for source in found) if _only(user) is None else None,
        payout_cents=sum(source.payout_cents for source in found),
    )
    return Sources(first, last + DAY, found, everything)


def exported_sources(desk: Desk, user: User, start: str, end: str) -> str:
    """The same as CSV, of more days. Raises `NotValid`."""
    found = sources(desk, user, start, end, EXPORTED_DAYS)
    names = [name for name in Source.__struct_fields__ if name != "revenue_cents" or _only(user) is None]
    return "".join(journal.csv_lines(found.sources, names))
