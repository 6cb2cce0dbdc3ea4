"""Periods on the clock of a time zone: which seconds belong to them, and the period before."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

HOUR = 3600
STEP = 6 * HOUR
"""No zone changes its clock twice in so short a time."""


class Period(Struct, frozen=True):
    """From `start` to before `end`, in seconds since the epoch."""

    start: int
    end: int

    @property
    def seconds(self) -> int:
        return self.end - self.start


class Offset(Struct, frozen=True):
    """From `start` to before `end` the clock is `seconds` ahead of UTC."""

    start: int
    end: int
    seconds: int


class Hour(Struct, frozen=True):
    """From `start` to before `end` the clock shows the same hour; `clock` is what it is called, like 13:00."""

    start: int
    end: int
    clock: str


def offsets(period: Period, zone: str) -> list[Offset]:
    """Without a gap, in order."""
    clock, found, begun = ZoneInfo(zone), list[Offset](), period.start
    for change in _changes(period, clock):
        found.append(Offset(begun, change, _seconds(clock, begun)))
        begun = change
    return [*found, Offset(begun, period.end, _seconds(clock, begun))]


def _changes(period: Period, clock: ZoneInfo) -> Iterator[int]:
    for at in range(period.start, period.end, STEP):
        low, high = at, min(at + STEP, period.end - 1)
        if _seconds(clock, low) == _seconds(clock, high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _seconds(clock, middle) == _seconds(clock, low) else (low, middle)
        yield high


def _seconds(clock: ZoneInfo, at: int) -> int:
    offset = datetime.fromtimestamp(at, clock).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def hours(period: Period, zone: str) -> list[Hour]:
    """The hours of the period by the clock of the zone, in order; the first and the last may be parts. One that comes
    twice, because the clock is put back, is called by the zone's abbreviation, too, like 01:00 EST."""
    starts = [
        max(span.start, hour * HOUR - span.seconds)
        for span in offsets(period, zone)
        for hour in range((span.start + span.seconds) // HOUR, -(-(span.end + span.seconds) // HOUR))
    ]
    shown = [datetime.fromtimestamp(start, ZoneInfo(zone)) for start in starts]
    times = Counter(f"{each:%Y-%m-%d %H}" for each in shown)
    clocks = [f"{each:%H:00}{f' {each:%Z}' if times[f'{each:%Y-%m-%d %H}'] > 1 else ''}" for each in shown]
    return [Hour(*each, clock) for each, clock in zip(pairwise([*starts, period.end]), clocks, strict=True)]


def midnight(day: date, zone: str) -> int:
    """When the day begins. Where the clock is put forward at midnight, it is the first second of the day."""
    return int(datetime.combine(day, time(), ZoneInfo(zone)).timestamp())


def local_day(at: int, zone: str) -> date:
    return datetime.fromtimestamp(at, ZoneInfo(zone)).date()


def days(first: date, last: date, zone: str) -> Period:
    """From the beginning of the first to the end of the last."""
    return Period(midnight(first, zone), midnight(last + timedelta(1), zone))


def shown_days(period: Period, zone: str) -> tuple[str, str]:
    """The first and the last day."""
    return str(local_day(period.start, zone)), str(local_day(period.end - 1, zone))


def month(day: date, zone: str) -> Period:
    """The calendar month in which the day is."""
    first = day.replace(day=1)
    return Period(midnight(first, zone), midnight(_next_month(first), zone))


def period_before(period: Period, zone: str, now: int) -> Period:
    """The calendar month before a calendar month, else as many days, or seconds, as the period has. Of a period that is
    not over yet, it ends at the same time of its own."""
    first, after = local_day(period.start, zone), local_day(period.end, zone)
    end = min(period.end, now) if now > period.start else period.end
    if midnight(first, zone) != period.start or midnight(after, zone) != period.end:
        return Period(period.start - period.seconds, end - period.seconds)
    is_month = first.day == 1 and after == _next_month(first)
    back = (first - (first - timedelta(1)).replace(day=1)) if is_month else after - first
    start = midnight(first - back, zone)
    if end == period.end:
        return Period(start, period.start)
    return Period(start, min(_same_time(end, back, zone), period.start))


def _same_time(at: int, back: timedelta, zone: str) -> int:
    clock = ZoneInfo(zone)
    wall = datetime.fromtimestamp(at, clock).replace(tzinfo=None) - back
    return int(wall.replace(tzinfo=clock).astimezone(UTC).timestamp())


def _next_month(first: date) -> date:
    return (first + timedelta(31)).replace(day=1)
