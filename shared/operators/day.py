"""What happens on a day, counted: pings, sales and refusals by hour, endpoints, ring pools, buyers and their caps."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import reduce

from msgspec import Struct
from msgspec.structs import replace

from shared.configuration import Plain
from shared.domain import keys as signing
from shared.domain.objections import NotValid
from shared.domain.readers import Reader
from shared.journal import counts, periods
from shared.journal.counts import BuyerSales, Count, NeverCalled, PoolHour
from shared.journal.periods import Hour, Period
from shared.journal.reports import Question
from shared.operators import forecast, journal_rows, reports
from shared.operators.access import Office
from shared.operators.forecast import Gauge
from shared.operators.names import buyer_names
from shared.store.counters import BATCH

FULLEST = 20
"""How many caps the page of the day shows."""
MOST_NEVER_CALLED, LAST_NEVER_CALLED = 100, 3
"""How many traffic sources with their buyers are shown, and how many sales of each."""
CAPPED = 5 * BATCH
"""Of how many buyers a page of caps shows the fill."""


class CountedHour(Struct, frozen=True):
    """`clock` is what the hour is called, like 13:00."""

    start: int
    clock: str
    count: Count


class Compared(Struct, frozen=True):
    """A day and the whole day before."""

    day: Count
    before: Count

    @property
    def statuses(self) -> list[str]:
        return sorted({*self.day.refusals, *self.before.refusals})


class PoolDay(Struct, frozen=True):
    """A ring pool's hours in which it was asked for a number."""

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


class UncalledSale(Struct, frozen=True):
    ping_id: str
    sold_at: int


class UncalledSales(Struct, frozen=True, kw_only=True):
    """Sales to which no call came, of a user's traffic source and a buyer. `sales` are those of which it is known
    whether one came. `last` has the last ones, the newest first. Publishers are not told the buyer's name."""

    user: str
    source: str
    buyer_id: int
    name: str
    sales: int
    never_called: int
    percent: float
    last: list[UncalledSale]


class Day(Struct, frozen=True, kw_only=True):
    """A day, like 2026-11-25, from `start` to before `end` by the clock of the zone. `hours` and `before` have an entry
    for each of its hours, and of the day before: 23 to 25 where the clock is changed. Publishers have neither pools nor
    buyers; only operators' today has `fills`. `never_called` are sales of this day, up to 100 lines."""

    day: str
    zone: str
    start: int
    end: int
    is_today: bool
    hours: list[CountedHour]
    before: list[CountedHour]
    total: Compared
    endpoints: dict[str, Compared]
    pools: list[PoolDay] = []
    buyers: list[BuyerSales] = []
    never_called: list[UncalledSales] = []
    fills: Fills | None = None

    @property
    def day_before(self) -> str:
        return str(periods.local_day(self.start - 1, self.zone))

    @property
    def day_after(self) -> str:
        return str(periods.local_day(self.end, self.zone))


def count_day(office: Office, reader: Reader, day: str = "", zone: str = "") -> Day:
    """A day of the zone, or of the account's; today without one. A publisher's own, without revenue. Raises `NotValid`,
    and `Refused` where a file cannot be read."""
    question, now = _read_question(office, reader, day, zone), office.records.now()
    period, zone, only_user = question.period, question.zone, question.only_user
    local_day = periods.local_day(period.start, zone)
    before = Period(periods.midnight(local_day - timedelta(1), zone), period.start)
    both = Period(before.start, period.end + journal_rows.called_seconds(office))
    with journal_rows.open_period(office, both, "day", "has too many rows, with the day before it.") as database:
        counted = counts.count_hours(database, before, period, zone, only_user)
        pools = _by_pool(counts.count_pools(database, period, zone)) if reader.sees_all else []
        buyers = counts.count_buyers(database, period) if reader.sees_all else []
        never_called = counts.count_never_called(database, period, only_user, MOST_NEVER_CALLED, LAST_NEVER_CALLED)
    empty, names = counts.nothing(only_user), buyer_names(office) if reader.sees_all else {}
    hours, hours_before = (_by_hour(periods.hours(some, zone), counted.hours, empty) for some in (period, before))
    is_today = period.start <= now < period.end
    return Day(
        day=str(local_day),
        zone=zone,
        start=period.start,
        end=period.end,
        is_today=is_today,
        hours=hours,
        before=hours_before,
        total=Compared(_sum(hours, empty), _sum(hours_before, empty)),
        endpoints={
            name: Compared(counted.endpoints.get(name, empty), counted.endpoints_before.get(name, empty))
            for name in sorted({*counted.endpoints, *counted.endpoints_before})
        },
        pools=pools,
        buyers=[replace(sold, name=names.get(sold.buyer_id, "")) for sold in buyers],
        never_called=[_never_called(office, each, names) for each in never_called],
        fills=_fullest(office, buyers) if is_today and reader.sees_all else None,
    )


def _read_question(office: Office, reader: Reader, day: str, zone: str) -> Question:
    """Raises `NotValid`."""
    wanted = {"start": day, "end": day} if day else {"range": "today"}
    try:
        return reports.read_question(office, reader, reports.Wanted(**wanted, zone=zone))
    except NotValid as invalid:
        errors = {"day" if name in ("from", "to") else name: said for name, said in invalid.errors.items()}
        raise NotValid(errors) from None


def _by_hour(hours: Iterable[Hour], counted: dict[int, Count], empty: Count) -> list[CountedHour]:
    return [CountedHour(hour.start, hour.clock, counted.get(hour.start, empty)) for hour in hours]


def _sum(hours: Iterable[CountedHour], empty: Count) -> Count:
    return reduce(Count.plus, (hour.count for hour in hours), empty)


def _never_called(office: Office, found: NeverCalled, names: Mapping[int, str]) -> UncalledSales:
    keys = office.records.keys
    return UncalledSales(
        user=found.user,
        source=found.source,
        buyer_id=found.buyer_id,
        name=names.get(found.buyer_id, ""),
        sales=found.sales,
        never_called=found.never_called,
        percent=round(100 * found.never_called / found.sales, 1),
        last=[
            UncalledSale(signing.ping_id(keys, each.endpoint, bytes.fromhex(each.ping)), each.sold_at)
            for each in found.newest
        ],
    )


def _by_pool(hours: Sequence[PoolHour]) -> list[PoolDay]:
    """Those that were exhausted most often first, then by the most use."""
    days = [PoolDay(name, [hour for hour in hours if hour.pool == name]) for name in {hour.pool for hour in hours}]
    return sorted(days, key=lambda day: (-day.exhausted, -day.peak_percent, day.pool))


def cap_fills(office: Office, after: str = "") -> Fills:
    """The caps of the next buyers in the order of their ids. Raises `NotValid`."""
    if after and not (after.isascii() and after.isdecimal() and len(after) <= 10):
        raise NotValid({"after": ["must be the id of a buyer"]})
    capped = sorted(_capped(office), key=lambda buyer: int(buyer["id"]))
    rest = [buyer for buyer in capped if buyer["id"] > int(after or 0)]
    some = rest[:CAPPED]
    following = str(some[-1]["id"]) if len(rest) > CAPPED else None
    return Fills(_filled(office, some), len(some), len(capped), following)


def _fullest(office: Office, buyers: Sequence[BuyerSales]) -> Fills:
    """Of more buyers than one call reads, those that have sold most today."""
    most = {sold.buyer_id: place for place, sold in enumerate(buyers)}
    capped = sorted(_capped(office), key=lambda buyer: (most.get(buyer["id"], len(most)), buyer["id"]))
    some = capped[:BATCH]
    return Fills(_filled(office, some)[:FULLEST], len(some), len(capped))


def _capped(office: Office) -> list[Plain]:
    """The buyers with caps, as they are listed one by one."""
    offers = (
        (name, part)
        for (section, name), part in office.records.versions.last_read().parts.items()
        if section == "offers"
    )
    return [{"offer": name, **buyer} for name, offer in offers for buyer in offer.get("buyers", ()) if "caps" in buyer]


def _filled(office: Office, buyers: Sequence[Plain]) -> list[Fill]:
    compiled = forecast.buyers(office.records.versions.last_read().parts, buyers)
    gauges = forecast.gauges_of(office.records, [*compiled.values()])
    found = [
        Fill(buyer["id"], buyer["name"], buyer["offer"], gauge)
        for buyer in buyers
        for gauge in gauges.get(buyer["id"], ())
    ]
    return sorted(found, key=lambda fill: (not fill.gauge.is_full, -fill.gauge.percent, fill.buyer_id))
