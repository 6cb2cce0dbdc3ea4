"""What happened by hour, ring pool, buyer and traffic source: rows of the journal, counted by DuckDB. What belongs to a
sale counts when that was sold."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from shared.journal.database import Database
from shared.journal.periods import Period, hours, offsets


class Count(Struct, frozen=True, kw_only=True):
    """`pings` are leads that were priced, whether or not somebody bid, `refusals` the refused requests by status. Of
    the `calls` that arrived some are `settled`; of these, a buyer took the `connected`, and the `converted` are paid.
    `never_called` are sales to which none came. Amounts are cents; publishers have no `revenue_cents`."""

    pings: int = 0
    unmatched: int = 0
    refused: int = 0
    sales: int = 0
    revenue_cents: int | None = 0
    payout_cents: int = 0
    refusals: dict[str, int] = {}
    calls: int = 0
    settled: int = 0
    connected: int = 0
    converted: int = 0
    never_called: int = 0

    @property
    def connected_percent(self) -> float | None:
        """Of the calls that are settled; None if none is."""
        return round(100 * self.connected / self.settled, 1) if self.settled else None

    def plus(self, other: "Count") -> "Count":
        statuses = dict.fromkeys([*self.refusals, *other.refusals])
        revenue = (self.revenue_cents, other.revenue_cents)
        return Count(
            pings=self.pings + other.pings,
            unmatched=self.unmatched + other.unmatched,
            refused=self.refused + other.refused,
            sales=self.sales + other.sales,
            revenue_cents=None if revenue[0] is None or revenue[1] is None else revenue[0] + revenue[1],
            payout_cents=self.payout_cents + other.payout_cents,
            refusals={status: self.refusals.get(status, 0) + other.refusals.get(status, 0) for status in statuses},
            calls=self.calls + other.calls,
            settled=self.settled + other.settled,
            connected=self.connected + other.connected,
            converted=self.converted + other.converted,
            never_called=self.never_called + other.never_called,
        )


class TwoDays(Struct, frozen=True):
    """Counts of a day and of the day before: by the start of the hour, and by endpoint. What has none is not there."""

    hours: dict[int, Count]
    endpoints: dict[str, Count]
    endpoints_before: dict[str, Count]


class PoolHour(Struct, frozen=True, kw_only=True):
    """A ring pool in an hour that begins at `start`. `leases` are sales with a number of it, `exhausted` those that
    found none free, whether or not they have its overflow number. `used_percent` is the mean of what they saw in use,
    `peak_percent` the most."""

    start: int
    clock: str
    pool: str
    leases: int = 0
    exhausted: int = 0
    used_percent: int = 0
    peak_percent: int = 0


class BuyerSales(Struct, frozen=True, kw_only=True):
    """What a buyer bought. `name` is empty where it has left the configuration."""

    buyer_id: int
    name: str = ""
    sales: int = 0
    revenue_cents: int = 0
    payout_cents: int = 0


class Uncalled(Struct, frozen=True):
    """A sale to which no call came, by its raw ping id."""

    sold_at: int
    endpoint: str
    ping: str


class NeverCalled(Struct, frozen=True):
    """Of a user's traffic source and a buyer: of so many `sales` of which it is known whether a call came, to so many
    none did. `newest` has the last ones, the newest first."""

    user: str
    source: str
    buyer_id: int
    sales: int
    never_called: int
    newest: list[Uncalled]


class Waits(Struct, frozen=True):
    """How many seconds after its sale the first call came: how often that was how long."""

    times: dict[int, int]

    @property
    def calls(self) -> int:
        return sum(self.times.values())

    def within(self, seconds: int) -> int:
        """How many calls came within so many seconds."""
        return sum(times for wait, times in self.times.items() if wait <= seconds)

    def percentile(self, percent: int) -> int:
        """In how many seconds so many of a hundred calls had come; 0 without a call."""
        enough, found = percent * self.calls, 0
        for wait, times in sorted(self.times.items()):
            found += times
            if 100 * found >= enough:
                return wait
        return 0


class TrafficSource(Struct, frozen=True, kw_only=True):
    """What a user sent from one traffic source, "" without one. Publishers have no `revenue_cents`."""

    user: str = ""
    source: str = ""
    pings: int = 0
    unmatched: int = 0
    refused: int = 0
    sales: int = 0
    revenue_cents: int | None = None
    payout_cents: int = 0


def nothing(only_user: str | None) -> Count:
    """What there is to begin a sum with."""
    return Count(revenue_cents=0 if only_user is None else None)


def count_hours(database: Database, before: Period, day: Period, zone: str, only_user: str | None) -> TwoDays:
    """Hours are those of the zone. Raises `FileUnreadable`."""
    empty = nothing(only_user)
    by_hour = defaultdict[int, Count](lambda: empty)
    endpoints, endpoints_before = defaultdict[str, Count](lambda: empty), defaultdict[str, Count](lambda: empty)
    values = _spans(zone, before, day) | {"day": day.start, "only_user": only_user}
    for hour, is_of_day, endpoint, refusal, *numbers in database.ask("hours.sql", values):
        pings, unmatched, refused, sales, revenue, payout, calls, settled, connected, converted, never_called = numbers
        count = Count(
            pings=pings,
            unmatched=unmatched,
            refused=refused,
            sales=sales,
            revenue_cents=revenue if only_user is None else None,
            payout_cents=payout,
            refusals={} if refusal is None else {refusal: refused},
            calls=calls,
            settled=settled,
            connected=connected,
            converted=converted,
            never_called=never_called,
        )
        if hour is not None:
            by_hour[hour] = by_hour[hour].plus(count)
        else:
            of = endpoints if is_of_day else endpoints_before
            of[endpoint] = of[endpoint].plus(count)
    return TwoDays(dict(by_hour), dict(endpoints), dict(endpoints_before))


def count_pools(database: Database, period: Period, zone: str, only_pool: str | None = None) -> list[PoolHour]:
    """Those hours of the zone in which a pool was asked for a number, in their order. Raises `FileUnreadable`."""
    clocks = {hour.start: hour.clock for hour in hours(period, zone)}
    values = _spans(zone, period) | {"only_pool": only_pool}
    return [
        PoolHour(
            start=start,
            clock=clocks[start],
            pool=pool,
            leases=leases,
            exhausted=exhausted,
            used_percent=used,
            peak_percent=peak,
        )
        for start, pool, leases, exhausted, used, peak in database.ask("pools.sql", values)
    ]


def count_buyers(database: Database, period: Period) -> list[BuyerSales]:
    """Those that bought, the largest revenue first. Raises `FileUnreadable`."""
    found = database.ask("buyers.sql", {"start": period.start, "end": period.end})
    return [
        BuyerSales(buyer_id=buyer, sales=sales, revenue_cents=revenue, payout_cents=payout)
        for buyer, sales, revenue, payout in found
    ]


def count_never_called(
    database: Database, period: Period, only_user: str | None, most: int, last: int
) -> list[NeverCalled]:
    """Of the sales of a period, up to `most` lines, those with the most such sales first, with the `last` of them.
    Raises `FileUnreadable`."""
    values = {"start": period.start, "end": period.end, "only_user": only_user, "most": most, "last": last}
    return [
        NeverCalled(user, source, buyer, sales, never_called, msgspec.convert(newest, list[Uncalled]))
        for user, source, buyer, sales, never_called, newest in database.ask("never_called.sql", values)
    ]


def count_waits(database: Database, period: Period, numbers: Sequence[str]) -> Waits:
    """Of calls that arrived in the period at these numbers. Raises `FileUnreadable`."""
    values = {"start": period.start, "end": period.end, "numbers": [*numbers]}
    return Waits(dict(database.ask("waits.sql", values)))


def count_sources(
    database: Database, period: Period, only_user: str | None, most: int
) -> tuple[list[TrafficSource], int, TrafficSource]:
    """Up to `most` traffic sources, those with the most payout first; how many there are; and the sum of all. Raises
    `FileUnreadable`."""
    values = {"start": period.start, "end": period.end, "only_user": only_user, "most": most}
    lines = database.ask("sources.sql", values)
    total, *some = [_source(line, only_user) for line in lines]
    return some, lines[0][-1], total


def _spans(zone: str, *periods: Period) -> dict[str, Any]:
    spans = [span for period in periods for span in offsets(period, zone)]
    return {
        "begins": [span.start for span in spans],
        "ends": [span.end for span in spans],
        "seconds": [span.seconds for span in spans],
    }


def _source(line: Sequence[Any], only_user: str | None) -> TrafficSource:
    user, source, pings, unmatched, refused, sales, revenue, payout, _ = line
    return TrafficSource(
        user=user,
        source=source,
        pings=pings,
        unmatched=unmatched,
        refused=refused,
        sales=sales,
        revenue_cents=revenue if only_user is None else None,
        payout_cents=payout,
    )
