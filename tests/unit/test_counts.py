"""What is shown of hours, pools, buyers and traffic sources is what plain Python counts of the same rows."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.journal import counts
from shared.journal.counts import BuyerSales, Count, PoolHour, TrafficSource
from shared.journal.database import open_rows
from shared.journal.fetching import Sources
from shared.journal.periods import HOUR, Hour, Period, days, hours
from shared.journal.rows import Row, encode
from tests.unit.test_reports import CHANGES, ZONES, some_rows, write_parquet

SPRING, AUTUMN, USUAL = date(2026, 3, 8), date(2026, 11, 1), date(2026, 6, 1)
NEW_YORK = "America/New_York"

Key = TypeVar("Key")


# Hours


@given(st.sampled_from(ZONES), st.integers(1_000_000_000, 2_000_000_000), st.integers(1, 3 * 86_400))
def test_every_moment_is_in_the_hour_that_its_clock_shows(zone: str, start: int, seconds: int) -> None:
    period = Period(start, start + seconds)
    found = hours(period, zone)
    assert [found[0].start, *(hour.end for hour in found)] == [*(hour.start for hour in found), period.end]
    for hour in found:
        first, last = (datetime.fromtimestamp(at, ZoneInfo(zone)) for at in (hour.start, hour.end - 1))
        assert (first.hour, first.utcoffset()) == (last.hour, last.utcoffset())
        assert hour.clock[:5] == f"{first:%H}:00"
        assert 0 < hour.end - hour.start <= HOUR
    assert len({hour.clock for hour in found[:23]}) == len(found[:23])


@pytest.mark.parametrize(
    ("day", "clocks"),
    [
        (SPRING, ["00:00", "01:00", "03:00"]),
        (AUTUMN, ["00:00", "01:00 EDT", "01:00 EST", "02:00"]),
        (USUAL, ["00:00", "01:00", "02:00"]),
    ],
)
def test_a_day_has_the_hours_of_its_clock(day: date, clocks: list[str]) -> None:
    found = hours(days(day, day, NEW_YORK), NEW_YORK)
    assert [hour.clock for hour in found][: len(clocks)] == clocks
    assert len(found) == {SPRING: 23, AUTUMN: 25, USUAL: 24}[day]
    assert found[-1].clock == "23:00"


def test_an_hour_that_is_put_back_by_half_is_two() -> None:
    day = date(2026, 4, 5)
    found = hours(days(day, day, "Australia/Lord_Howe"), "Australia/Lord_Howe")
    assert [(hour.clock, hour.end - hour.start) for hour in found[1:4]] == [
        ("01:00 +11", HOUR), ("01:00 +1030", HOUR // 2), ("02:00", HOUR)
    ]  # fmt: skip


# What is counted


@settings(deadline=None)
@given(st.data())
def test_counts_are_those_of_plain_python(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    around = data.draw(st.sampled_from([CHANGES.get(zone, 1_800_000_000), 1_800_000_000]))
    rows = [_asked(row, data) for row in data.draw(some_rows(around))]
    only_user = data.draw(st.sampled_from((None, "pat")))
    day = datetime.fromtimestamp(around, ZoneInfo(zone)).date()
    period, before = (days(each, each, zone) for each in (day, day - timedelta(1)))
    today, yesterday = hours(period, zone), hours(before, zone)
    filed = data.draw(st.integers(0, len(rows)))
    path = tmp_path_factory.mktemp("rows") / "day.parquet"
    write_parquet(path, rows[:filed])
    with open_rows(Sources((path,), encode([*rows[data.draw(st.integers(0, filed)) :], *rows]))) as database:
        found = counts.count_hours(database, before, period, zone, only_user)
        pools = counts.count_pools(database, period, zone)
        only_pool = counts.count_pools(database, period, zone, "east")
        buyers = counts.count_buyers(database, period)
        sources, many, total = counts.count_sources(database, period, only_user, 2)
    own = [row for row in rows if only_user in (None, row.user)]
    assert found.hours == _sums(own, [*yesterday, *today], only_user, lambda hour, _: hour.start)
    assert found.endpoints == _sums(own, today, only_user, lambda _, row: row.endpoint)
    assert found.endpoints_before == _sums(own, yesterday, only_user, lambda _, row: row.endpoint)
    assert pools == _pools(rows, today)
    assert only_pool == [hour for hour in pools if hour.pool == "east"]
    assert buyers == _buyers(rows, period)
    whole = Hour(period.start, period.end, "")
    expected = _sources(own, whole, only_user)
    assert (sources, many) == (expected[:2], len(expected))
    sums = _sums(own, [whole], only_user, lambda _, __: "", calls=False)
    assert total == _source(sums.get("", counts.nothing(only_user)))


def _asked(row: Row, data: st.DataObject) -> Row:
    """With a pool, if it asked for a number; a sale happens when it is sold."""
    if row.kind in ("ping", "call"):
        return row
    pool = data.draw(st.sampled_from(("", "east", "west")))
    asked = replace(row, pool=pool, pool_used=data.draw(st.integers(0, 100)) if pool else 0)
    if row.kind == "sale":
        return replace(asked, at=row.sold_at)
    return replace(asked, status=data.draw(st.sampled_from(("no_number_available", "invalid_fields"))))


def _sums(
    rows: Iterable[Row], of: list[Hour], only_user: str | None, key: Callable[[Hour, Row], Key], *, calls: bool = True
) -> dict[Key, Count]:
    """`calls` says whether calls count when they arrive; what they are worth counts when their sale was sold."""
    found = defaultdict[Key, Count](lambda: counts.nothing(only_user))
    for row in rows:
        counted = [(row.sold_at or row.at, _count(row, only_user))]
        if row.kind == "call":
            counted = counted if row.revenue_cents or row.payout_cents else []
            counted += [(row.arrived_at, _call(row, only_user))] if calls else []
        for hour in of:
            for moment, count in counted:
                if hour.start <= moment < hour.end:
                    found[key(hour, row)] = found[key(hour, row)].plus(count)
    return dict(found)


def _call(row: Row, only_user: str | None) -> Count:
    came = counts.nothing(only_user)
    connected = int(row.connected_at > 0)
    return came.plus(replace(came, calls=1, settled=1, connected=connected, converted=row.converted))


def _count(row: Row, only_user: str | None) -> Count:
    return Count(
        pings=int(row.kind == "ping"),
        unmatched=int(row.kind == "ping" and not row.bids),
        refused=int(row.kind == "refused"),
        sales=int(row.kind == "sale"),
        revenue_cents=row.revenue_cents if only_user is None else None,
        payout_cents=row.payout_cents,
        refusals={row.status: 1} if row.kind == "refused" else {},
    )


def _pools(rows: Iterable[Row], of: list[Hour]) -> list[PoolHour]:
    asked = [row for row in rows if row.pool and (row.kind == "sale" or row.status == "no_number_available")]
    found = []
    for hour in of:
        for pool in ("east", "west"):
            some = [row for row in asked if row.pool == pool and hour.start <= row.at < hour.end]
            if some:
                leases = sum(row.kind == "sale" and row.pool_used < 100 for row in some)
                found.append(
                    PoolHour(
                        start=hour.start,
                        clock=hour.clock,
                        pool=pool,
                        leases=leases,
                        exhausted=len(some) - leases,
                        used_percent=(2 * sum(row.pool_used for row in some) + len(some)) // (2 * len(some)),
                        peak_percent=max(row.pool_used for row in some),
                    )
                )
    return found


def _buyers(rows: Iterable[Row], period: Period) -> list[BuyerSales]:
    sold = [
        row
        for row in rows
        if (row.kind == "sale" or (row.kind == "call" and (row.revenue_cents or row.payout_cents)))
        and period.start <= row.sold_at < period.end
    ]
    by_buyer = {buyer: [row for row in sold if row.buyer == buyer] for buyer in {row.buyer for row in sold}}
    bought = [
        BuyerSales(
            buyer_id=buyer,
            sales=sum(row.kind == "sale" for row in own),
            revenue_cents=sum(row.revenue_cents for row in own),
            payout_cents=sum(row.payout_cents for row in own),
        )
        for buyer, own in by_buyer.items()
    ]
    return sorted(bought, key=lambda each: (-each.revenue_cents, each.buyer_id))


def _sources(rows: Iterable[Row], hour: Hour, only_user: str | None) -> list[TrafficSource]:
    found = _sums(rows, [hour], only_user, lambda _, row: (row.user, row.source), calls=False)
    sources = [_source(count, *key) for key, count in found.items()]
    return sorted(sources, key=lambda each: (-each.payout_cents, -each.pings, each.user, each.source))


def _source(count: Count, user: str = "", source: str = "") -> TrafficSource:
    return TrafficSource(
        user=user,
        source=source,
        pings=count.pings,
        unmatched=count.unmatched,
        refused=count.refused,
        sales=count.sales,
        revenue_cents=count.revenue_cents,
        payout_cents=count.payout_cents,
    )
