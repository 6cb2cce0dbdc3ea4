"""What happens on a day, counted: leads, sales and refusals by hour, endpoints, ring pools, buyers and their caps."""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import reduce

from msgspec import Struct

from shared.configuration import Plain
from shared.domain.models import DAY
from shared.domain.objections import NotValid
from shared.operators import forecast
from shared.operators.access import Office
from shared.operators.forecast import Gauge
from shared.operators.names import buyer_names
from shared.store.counters import BATCH
from shared.store.totals import BuyerTotals, Hour, PoolHour

HOURS = 24
FULLEST = 20
"""How many caps the page of the day shows."""
CAPPED = 5 * BATCH
"""Of how many buyers a page of caps shows the fill."""


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
    buyers: list[BuyerTotals]
    names: dict[int, str]
    fills: Fills | None


def start_of_day(text: str, now: int, named: str = "day") -> int:
    """When the UTC day begins that is written like 2026-11-25; today's without one. Raises `NotValid`."""
    if not text:
        return now // DAY * DAY
    try:
        if not (text.isascii() and re.fullmatch(r"(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d", text)):
            raise ValueError
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise NotValid({named: ["must be a day like 2026-11-25"]}) from None


def count_day(office: Office, at: int) -> Day:
    """For operators and viewers: what is counted has no user."""
    now = office.records.now()
    counted = office.journal.hours(at - DAY, at + DAY)
    today, before = ([hour for hour in counted if start <= hour.at < start + DAY] for start in (at, at - DAY))
    buyers = sorted(office.journal.buyers(at, at + DAY), key=lambda sold: (-sold.revenue_cents, sold.buyer_id))
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
        pools=_pools(office.journal.pools(at, at + DAY)),
        buyers=buyers,
        names=buyer_names(office),
        fills=_fullest(office, buyers) if is_today else None,
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


def cap_fills(office: Office, after: str = "") -> Fills:
    """The caps of the next buyers in the order of their ids. Raises `NotValid`."""
    if after and not (after.isascii() and after.isdecimal() and len(after) <= 10):
        raise NotValid({"after": ["must be the id of a buyer"]})
    capped = sorted(_capped(office), key=lambda buyer: int(buyer["id"]))
    rest = [buyer for buyer in capped if buyer["id"] > int(after or 0)]
    some = rest[:CAPPED]
    following = str(some[-1]["id"]) if len(rest) > CAPPED else None
    return Fills(_filled(office, some), len(some), len(capped), following)


def _fullest(office: Office, buyers: Sequence[BuyerTotals]) -> Fills:
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
