"""Schedules: when a buyer takes calls, by the clock on its own wall.

    mon-fri: ["09:00-12:00", "13:00-17:00"]     open at 09:00:00, closed at 12:00:00
    sat,sun: ["22:00-02:00"]                    past midnight: belongs to the day on which it starts
    daily: ["00:00-24:00"]                      the whole day; the rows of all keys that name a day add up

A dated exception takes the place of its weekday's rows. One with hours leaves what is still open from the evening
before; one that is closed is closed from midnight to midnight, and nothing of it goes on into the next day.

Where the clock is put forward the skipped times never come; where it is put back they come twice and are open twice.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import combinations, pairwise, product
from zoneinfo import ZoneInfo

from msgspec import Struct

DAY_MINUTES = 24 * 60
DAY_SECONDS = 24 * 3600
ONE_DAY = timedelta(1)
WARNED_DAYS = 2
"""How far ahead a change of the clock is told."""
SEARCHED_DAYS = 14
LONGEST_ABBREVIATION = 4

_zone = cache(ZoneInfo)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ROW = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])\s*[-–]\s*([01]?[0-9]|2[0-4]):([0-5][0-9])")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

DAYS_FORM = 'must be weekdays, like "mon-fri", "sat,sun" or "daily"'
ROW_FORM = 'must be opening hours that end after they start, like "09:00-17:00", "22:00-02:00" or "00:00-24:00"'
DATE_FORM = "must be a date, like 2026-12-25"


class Row(Struct, frozen=True, array_like=True, order=True):
    """Minutes of the local day, half-open; `last_minute` is over 1440 where the row goes past midnight."""

    first_minute: int
    last_minute: int

    def __str__(self) -> str:
        return f"{_clock(self.first_minute)}-{_clock(self.last_minute)}"


Rows = tuple[Row, ...]
Week = tuple[Rows, ...]
"""The rows of the seven weekdays, Monday first."""


class Schedule(Struct, frozen=True, omit_defaults=True):
    """`dates` are the exceptions by date, "2026-12-25"; the ones without rows are closed."""

    week: Week
    dates: dict[str, Rows] = {}


def is_open(schedule: Schedule, local: datetime) -> bool:
    """`local` is the time on the buyer's clock, with or without its zone."""
    weekday, dates = local.weekday(), schedule.dates
    today = schedule.week[weekday]
    if dates and (exception := dates.get(local.date().isoformat())) is not None:
        if not exception:
            return False
        today = exception
    minute = local.hour * 60 + local.minute
    for row in today:
        if row.first_minute <= minute < row.last_minute:
            return True
    before = schedule.week[weekday - 1]
    if dates:
        before = dates.get((local.date() - ONE_DAY).isoformat(), before)
    minute += DAY_MINUTES
    for row in before:  # noqa: SIM110 (any() of a generator takes twice as long)
        if minute < row.last_minute:
            return True
    return False


def hours(schedule: Schedule, local: datetime) -> str:
    """The rows of the local date, to be read."""
    rows = schedule.dates.get(local.date().isoformat(), schedule.week[local.weekday()])
    return ", ".join(map(str, rows)) or "closed all day"


def read_week(opening: Mapping[str, Iterable[str]]) -> Week:
    """Raises ValueError with the form that a key or a row should have."""
    week: list[list[Row]] = [[] for _ in WEEKDAYS]
    for days, texts in opening.items():
        rows = read_rows(texts)
        for day in read_days(days):
            week[day] += rows
    return tuple(tuple(sorted(rows)) for rows in week)


def read_rows(texts: Iterable[str]) -> Rows:
    """Raises ValueError with the form that a row should have."""
    return tuple(sorted(map(_row, texts)))


def read_date(text: str) -> str:
    """Raises ValueError with the form that it should have."""
    try:
        if not DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(DATE_FORM) from None


def read_zone(name: str) -> str:
    """The name, if it is one of the time zone database (https://www.iana.org/time-zones); otherwise raises ValueError,
    with what may have been meant."""
    import difflib  # of use to the configuration only: requests do without

    from shared.domain import zones

    known = _zones()
    if name in known:
        return name
    meant = zones.zone_meant_by(name)
    if not meant and len(name) > LONGEST_ABBREVIATION:  # of two abbreviations that are alike neither means the other
        places = {zone.rpartition("/")[2].casefold(): zone for zone in known} | {
            zone.casefold(): zone for zone in known
        }
        close = difflib.get_close_matches(name.casefold().replace(" ", "_"), places, n=1)
        meant = places[close[0]] if close else ""
    hint = f"; did you mean {meant}?" if meant else ""
    raise ValueError(f"must be a time zone, like America/New_York{hint}")


@cache
def _zones() -> dict[str, None]:
    """Every name, in order. The database is a tree of files, and to walk through it takes eight milliseconds."""
    from zoneinfo import available_timezones

    return dict.fromkeys(sorted(available_timezones()))


def places() -> list[str]:
    """The time zones that are named after a place, in order: those to choose from."""
    return [name for name in _zones() if "/" in name and not name.startswith(("Etc/", "US/", "SystemV/", "posix/"))]


def local_time(zone: str, now: int) -> datetime:
    return datetime.fromtimestamp(now, _zone(zone))


def windows(schedule: Schedule, zone: str, start: int, end: int) -> list[tuple[int, int]]:
    """When it is open from `start` to `end`, which is not before it: epoch seconds, half-open, in order and apart."""
    cuts = {cut for cut in _boundaries(schedule, zone, start, end) if start < cut < end}
    turns = {change for change, _ in changes(zone, start, end)}
    found: list[tuple[int, int]] = []
    for opens, closes in pairwise(sorted({start, end} | cuts | turns)):
        if not is_open(schedule, local_time(zone, opens)):
            continue
        if found and found[-1][1] == opens:
            opens, _ = found.pop()
        found.append((opens, closes))
    return found


def findings(schedule: Schedule, zone: str, now: int) -> list[str]:
    """What an operator probably did not mean, in sentences."""
    return [*_past(schedule, local_time(zone, now).date()), *findings_of_now(schedule, zone, now)]


def findings_of_now(schedule: Schedule, zone: str, now: int) -> list[str]:
    """The same without the dates that are over, of which the configuration is warned."""
    return [*_overlaps(schedule), *_never(schedule, zone, now), *_clock_changes(schedule, zone, now)]


def past_dates(schedule: Schedule, today: date) -> list[str]:
    """The exceptions that are over: yesterday's may still matter to the small hours of today."""
    return [day for day in sorted(schedule.dates) if day < (today - ONE_DAY).isoformat()]


def never_opens(schedule: Schedule, today: date) -> bool:
    """Whether neither a weekday nor a date to come has hours."""
    over = past_dates(schedule, today)
    return not any(schedule.week) and not any(rows for day, rows in schedule.dates.items() if day not in over)


def read_days(text: str) -> set[int]:
    """The weekdays that a key names, Monday is 0. Raises ValueError with the form that it should have."""
    if text.strip().lower() == "daily":
        return set(range(7))
    days = set()
    for part in text.lower().replace("–", "-").split(","):
        first, dash, last = (name.strip() for name in part.partition("-"))
        if first not in WEEKDAYS or (last if dash else first) not in WEEKDAYS:
            raise ValueError(DAYS_FORM)
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last if dash else first)
        days |= {(start + n) % 7 for n in range((end - start) % 7 + 1)}
    return days


def _row(text: str) -> Row:
    read = ROW.fullmatch(text.strip())
    if not read:
        raise ValueError(ROW_FORM)
    first, last = int(read[1]) * 60 + int(read[2]), int(read[3]) * 60 + int(read[4])
    if first == last or first >= DAY_MINUTES or last > DAY_MINUTES:
        raise ValueError(ROW_FORM)
    return Row(first, last if first < last else last + DAY_MINUTES)


def _clock(minute: int) -> str:
    if minute > DAY_MINUTES:
        minute -= DAY_MINUTES
    return f"{minute // 60:02}:{minute % 60:02}"


def _boundaries(schedule: Schedule, zone: str, start: int, end: int) -> Iterator[int]:
    """Every time at which it may open or close by the clock on the wall, and more."""
    rows = {row for rows in (*schedule.week, *schedule.dates.values()) for row in rows}
    minutes = {0} | {minute % DAY_MINUTES for row in rows for minute in (row.first_minute, row.last_minute)}
    days = range(local_time(zone, start).toordinal(), local_time(zone, end).toordinal() + 1)
    for day, minute, fold in product(days, minutes, (0, 1)):
        wall = time(minute // 60, minute % 60, fold=fold)
        yield int(datetime.combine(date.fromordinal(day), wall, _zone(zone)).timestamp())


def changes(zone: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """When the clock is changed, after `start` and up to `end`, and by how many seconds. No zone has two in a day."""
    for first in range(start, end, DAY_SECONDS):
        seconds = range(first, min(first + DAY_SECONDS, end))
        by = _offset(zone, seconds.stop) - _offset(zone, seconds.start)
        if by:
            yield _change(zone, seconds), by


def _change(zone: str, seconds: range) -> int:
    before = _offset(zone, seconds.start)
    return seconds.start + bisect_left(seconds, True, key=lambda at: _offset(zone, at) != before)


def _offset(zone: str, at: int) -> int:
    """Seconds ahead of UTC."""
    return int((local_time(zone, at).utcoffset() or timedelta()).total_seconds())


def _overlaps(schedule: Schedule) -> Iterator[str]:
    days = {**dict(zip(WEEKDAYS, schedule.week, strict=True)), **schedule.dates}
    found: dict[str, list[str]] = {}
    for day, rows in days.items():
        for one, other in combinations(rows, 2):
            if other.first_minute < one.last_minute:
                found.setdefault(f"{one} and {other}", []).append(day)
    for pair, among in found.items():
        yield f"{pair} overlap on {', '.join(among)}."


def _past(schedule: Schedule, today: date) -> Iterator[str]:
    for day in past_dates(schedule, today):
        yield f"{day} has passed; its exception can be removed."


def _never(schedule: Schedule, zone: str, now: int) -> Iterator[str]:
    if not windows(schedule, zone, now, now + SEARCHED_DAYS * DAY_SECONDS):
        yield f"It is never open in the next {SEARCHED_DAYS} days."


def _clock_changes(schedule: Schedule, zone: str, now: int) -> Iterator[str]:
    for change, seconds in changes(zone, now, now + WARNED_DAYS * DAY_SECONDS):
        after = local_time(zone, change).replace(tzinfo=None)
        before = after - timedelta(seconds=seconds)
        first, minutes = min(before, after), abs(seconds) // 60
        if any(is_open(schedule, first + timedelta(minutes=n)) for n in range(minutes)):
            turned, come = ("forward", "are skipped") if seconds > 0 else ("back", "come twice")
            yield (
                f"On {before:%Y-%m-%d} the clock is put {turned} from {before:%H:%M} to {after:%H:%M}: "
                f"opening hours in these {minutes} minutes {come}."
            )
