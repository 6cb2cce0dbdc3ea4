"""Caps: where a period starts on the buyer's clock, what is full, and what is over."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.caps import Cap, Kind, Period, caps_by_key, first_full, is_over, key, size_fault, start_of, text

HOUR, DAY = 3600, 24 * 3600
FIRST = int(datetime(2012, 1, 1, tzinfo=UTC).timestamp())
"""Since then, no zone has put its clock back over midnight, so that a date was shown in two pieces."""
LAST = int(datetime(2050, 1, 1, tzinfo=UTC).timestamp())
ZONES = sorted(available_timezones())
PERIODS: tuple[Period, ...] = ("hour", "day", "month")
NEW_YORK = "America/New_York"


def local(zone: str, text: str) -> datetime:
    """What the clock shows at a time that is given with its offset."""
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone))


def at(zone: str, second: int) -> datetime:
    return datetime.fromtimestamp(second, ZoneInfo(zone))


def utc(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()


@cache
def changes(zone: str) -> list[int]:
    """When a clock is changed, to the quarter of an hour."""
    days = [second for second in range(FIRST, LAST, DAY) if shift(zone, second, second + DAY)]
    return [second for day in days for second in range(day, day + DAY, 900) if shift(zone, second, second + 900)]


def shift(zone: str, earlier: int, later: int) -> timedelta:
    return (at(zone, later).utcoffset() or timedelta()) - (at(zone, earlier).utcoffset() or timedelta())


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and a time, often near a change of its clock."""
    zone = draw(st.sampled_from(ZONES))
    near = [st.sampled_from(changes(zone)).flatmap(lambda change: st.integers(change - 2 * DAY, change + 2 * DAY))]
    return zone, draw(st.one_of(st.integers(FIRST, LAST), *(near if changes(zone) else [])))


def first_shown(zone: str, day: date) -> int:
    """The model: of all minutes of three days, the first at which the clock shows this date."""
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    return next(second for second in range(noon - 36 * HOUR, noon + 36 * HOUR, 60) if at(zone, second).date() == day)


@given(moments())
def test_a_day_and_a_month_start_when_their_date_is_first_shown(moment: tuple[str, int]) -> None:
    shown = at(*moment)
    assert start_of("day", shown) == first_shown(moment[0], shown.date())
    assert start_of("month", shown) == first_shown(moment[0], shown.date().replace(day=1))


@given(moments())
def test_an_hour_starts_as_many_minutes_ago_as_the_clock_shows(moment: tuple[str, int]) -> None:
    zone, second = moment
    assert timedelta(seconds=second - start_of("hour", at(zone, second))) == timedelta(
        minutes=at(zone, second).minute, seconds=at(zone, second).second
    )


@given(moments())
def test_a_new_hour_starts_at_every_full_hour_and_where_the_clock_is_changed_by_a_part_of_one(
    moment: tuple[str, int],
) -> None:
    zone, second = moment
    for minute in range(second - second % 60, second + 3 * HOUR, 60):
        is_new = start_of("hour", at(zone, minute)) != start_of("hour", at(zone, minute - 60))
        by_a_part = shift(zone, minute - 60, minute) % timedelta(hours=1)
        assert is_new == bool(at(zone, minute).minute == 0 or by_a_part)


@given(moments(), st.sampled_from([1, 60, 900, HOUR, DAY, 40 * DAY]), st.sampled_from(PERIODS))
def test_periods_never_go_back(moment: tuple[str, int], later: int, period: Period) -> None:
    zone, second = moment
    assert start_of(period, at(zone, second)) <= start_of(period, at(zone, second + later)) <= second + later


@given(moments(), st.integers(0, DAY), st.sampled_from(PERIODS))
def test_all_of_one_period_start_together(moment: tuple[str, int], apart: int, period: Period) -> None:
    zone, second = moment
    one, other = at(zone, second), at(zone, second + apart)
    shown = {"hour": (one.date(), one.hour, one.utcoffset()), "day": one.date(), "month": (one.year, one.month)}
    shown_then = {
        "hour": (other.date(), other.hour, other.utcoffset()),
        "day": other.date(),
        "month": (other.year, other.month),
    }
    if shown[period] == shown_then[period]:
        assert start_of(period, one) == start_of(period, other)
    elif period != "hour":
        assert start_of(period, one) < start_of(period, other)


@pytest.mark.parametrize(
    ("zone", "shown", "day", "month"),
    [
        (NEW_YORK, "2026-03-08T12:00:00-04:00", "2026-03-08T05:00:00+00:00", "2026-03-01T05:00:00+00:00"),
        (NEW_YORK, "2026-11-01T23:59:59-05:00", "2026-11-01T04:00:00+00:00", "2026-11-01T04:00:00+00:00"),
        # no midnight: the date begins at 01:00
        ("America/Havana", "2026-03-08T12:00:00-04:00", "2026-03-08T05:00:00+00:00", "2026-03-01T05:00:00+00:00"),
        ("Africa/Cairo", "2026-04-24T01:00:00+03:00", "2026-04-23T22:00:00+00:00", "2026-03-31T22:00:00+00:00"),
        # two midnights: the date, and here the month, begins at the first
        ("America/Havana", "2026-11-01T00:30:00-04:00", "2026-11-01T04:00:00+00:00", "2026-11-01T04:00:00+00:00"),
        ("America/Havana", "2026-11-01T00:30:00-05:00", "2026-11-01T04:00:00+00:00", "2026-11-01T04:00:00+00:00"),
        # the last hour of the evening comes twice
        ("Africa/Cairo", "2026-10-29T23:30:00+03:00", "2026-10-28T21:00:00+00:00", "2026-09-30T21:00:00+00:00"),
        ("Africa/Cairo", "2026-10-29T23:30:00+02:00", "2026-10-28T21:00:00+00:00", "2026-09-30T21:00:00+00:00"),
        # the 30th was left out
        ("Pacific/Apia", "2011-12-31T00:00:00+14:00", "2011-12-30T10:00:00+00:00", "2011-12-01T10:00:00+00:00"),
        ("Asia/Kathmandu", "2026-05-01T00:00:00+05:45", "2026-04-30T18:15:00+00:00", "2026-04-30T18:15:00+00:00"),
    ],
)
def test_days_and_months_around_changes_of_the_clock(zone: str, shown: str, day: str, month: str) -> None:
    assert utc(start_of("day", local(zone, shown))) == day
    assert utc(start_of("month", local(zone, shown))) == month


@pytest.mark.parametrize(
    ("zone", "shown", "hour"),
    [
        (NEW_YORK, "2026-11-01T01:59:59.999999-04:00", "2026-11-01T05:00:00+00:00"),
        (NEW_YORK, "2026-11-01T01:00:00-05:00", "2026-11-01T06:00:00+00:00"),
        ("Asia/Kathmandu", "2026-05-01T10:59:00+05:45", "2026-05-01T04:15:00+00:00"),
        # half an hour that comes twice is a period of its own
        ("Australia/Lord_Howe", "2026-04-05T01:59:00+11:00", "2026-04-04T14:00:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:30:00+10:30", "2026-04-04T14:30:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-05T02:00:00+10:30", "2026-04-04T15:30:00+00:00"),
        # a full hour left out in the middle of one: 60 minutes go on being a period
        ("Pacific/Chatham", "2026-09-27T02:44:00+12:45", "2026-09-26T13:15:00+00:00"),
        ("Pacific/Chatham", "2026-09-27T03:59:00+13:45", "2026-09-26T13:15:00+00:00"),
    ],
)
def test_hours_around_changes_of_the_clock(zone: str, shown: str, hour: str) -> None:
    assert utc(start_of("hour", local(zone, shown))) == hour


def test_a_key_names_kind_period_start_and_endpoint() -> None:
    new_year = local(NEW_YORK, "2026-01-01T00:30:00-05:00")
    start = 1767243600
    assert key(Cap("sales", 1, "hour"), new_year) == f"sales-hour-{start}"
    assert key(Cap("revenue", 1, "month", "my-endpoint"), new_year) == f"revenue-month-{start}@my-endpoint"
    assert key(Cap("sales", 1, "total"), new_year) == "sales-total-0"
    assert key(Cap("concurrent", 1), new_year) == "concurrent"
    assert key(Cap("concurrent", 1, endpoint="my-endpoint"), new_year) == "concurrent@my-endpoint"


def test_of_caps_with_one_key_the_tightest_is_kept() -> None:
    now = local(NEW_YORK, "2026-01-01T00:30:00-05:00")
    caps = [Cap("sales", 5, "total"), Cap("sales", 3, "total"), Cap("sales", 4, "total"), Cap("concurrent", 9)]
    assert sorted(cap.limit for cap in caps_by_key(caps, now).values()) == [3, 9]


@pytest.mark.parametrize(
    ("kind", "counted", "cents", "has_room"),
    [
        ("sales", 99, 10_000, True),
        ("sales", 100, 0, False),
        ("revenue", 60, 40, True),
        ("revenue", 60, 41, False),
        ("revenue", 0, 101, False),
        ("revenue", 100, 0, True),
        ("concurrent", 99, 10_000, True),
        ("concurrent", 100, 0, False),
    ],
)
def test_a_cap_of_100_is_full(kind: Kind, counted: int, cents: int, has_room: bool) -> None:
    now = local(NEW_YORK, "2026-01-01T00:30:00-05:00")
    cap = Cap(kind, 100, "" if kind == "concurrent" else "day")
    assert first_full([cap], {key(cap, now): counted}, cents, now) == (None if has_room else cap)


def test_the_first_full_cap_is_told_and_a_cap_of_nothing_is_always_full() -> None:
    now = local(NEW_YORK, "2026-01-01T00:30:00-05:00")
    day, hour, total = Cap("sales", 9, "day"), Cap("sales", 0, "hour"), Cap("sales", 0, "total")
    assert first_full([day, hour, total], {}, 1, now) == hour
    assert first_full([day], {"sales-hour-0": 9, "concurrent": 9}, 1, now) is None
    assert first_full([], {"concurrent": 9}, 1, now) is None


@given(st.integers(0, 500), st.lists(st.integers(0, 100), max_size=40))
def test_revenue_is_never_over_its_cap_and_no_sale_that_fits_is_refused(limit: int, bids: list[int]) -> None:
    now = local(NEW_YORK, "2026-01-01T00:30:00-05:00")
    cap, earned = Cap("revenue", limit, "day"), 0
    for cents in bids:
        if first_full([cap], {key(cap, now): earned}, cents, now):
            assert earned + cents > limit
        else:
            earned += cents
        assert earned <= limit


@given(moments(), st.sampled_from(PERIODS), st.integers(0, 80 * DAY))
def test_a_count_is_over_when_its_period_and_the_next_have_ended(
    moment: tuple[str, int], period: Period, later: int
) -> None:
    zone, second = moment
    counted_as = key(Cap("sales", 1, period, "my_endpoint"), at(zone, second))
    start = start_of(period, at(zone, second))
    following = second
    while start_of(period, at(zone, following)) == start:
        following += 900 if period == "hour" else 6 * HOUR
    now = at(zone, second + later)
    has_ended_twice = start_of(period, now) not in (start, start_of(period, at(zone, following)))
    assert is_over(counted_as, now) == has_ended_twice


def test_a_total_is_never_over() -> None:
    assert not is_over("sales-total-0", local(NEW_YORK, "2099-01-01T00:30:00-05:00"))


def test_a_cap_on_calls_reads_like_one_and_leaves_room_for_what_is_reserved() -> None:
    assert text(Cap("connected", 30, "day", "here")) == "30 connected calls a day at here"
    assert text(Cap("attempts", 9, "total")) == "9 attempts in total"
    assert size_fault(8000) == ""
    assert size_fault(8000, takes_calls=True).startswith("must be at most 7,060: ")
    assert size_fault(7060, takes_calls=True) == ""
