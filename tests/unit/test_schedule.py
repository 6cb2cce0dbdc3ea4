"""Schedules: when a buyer is open, by a model that looks at every minute, and what an operator is told of its rows."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import schedule
from shared.domain.schedule import Row, Schedule

NEW_YORK = "America/New_York"
ZONES = (
    "UTC", NEW_YORK, "America/Phoenix", "America/St_Johns", "America/Havana", "America/Santiago", "Europe/London",
    "Europe/Dublin", "Africa/Cairo", "Africa/Casablanca", "Asia/Kolkata", "Asia/Beirut", "Australia/Lord_Howe",
    "Pacific/Chatham", "Pacific/Kiritimati",
)  # fmt: skip
"""Whole, half and quarter hours; changes at midnight, by half an hour, and in summer or in winter."""
NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONDAY = date(2026, 11, 23)


def a_schedule(
    week: dict[str, list[str]], closed_on: Iterable[str] = (), dates: dict[str, list[str]] | None = None
) -> Schedule:
    exceptions = {day: schedule.read_rows(rows) for day, rows in (dates or {}).items()}
    return Schedule(schedule.read_week(week), exceptions | dict.fromkeys(closed_on, ()))


def is_open(wanted: Schedule, text: str) -> bool:
    return schedule.is_open(wanted, datetime.fromisoformat(text))


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def windows(wanted: Schedule, zone: str, start: str, end: str) -> list[tuple[str, str]]:
    """In UTC and without the seconds."""
    return [
        (f"{datetime.fromtimestamp(opens, UTC):%d %H:%M}", f"{datetime.fromtimestamp(closes, UTC):%d %H:%M}")
        for opens, closes in schedule.windows(wanted, zone, epoch(start), epoch(end))
    ]


@pytest.mark.parametrize(
    ("local", "opened"),
    [
        ("2026-11-23 08:59:59", False),
        ("2026-11-23 09:00:00", True),
        ("2026-11-23 11:59:59.999999", True),
        ("2026-11-23 12:00:00", False),
        ("2026-11-23 13:00:00", True),
        ("2026-11-23 16:59:59", True),
        ("2026-11-23 17:00:00", False),
        ("2026-11-24 10:00:00", False),
    ],
)
def test_a_row_includes_its_start_and_not_its_end(local: str, opened: bool) -> None:
    assert is_open(a_schedule({"mon": ["09:00-12:00", "13:00-17:00"]}), local) is opened


@pytest.mark.parametrize(
    ("local", "opened"),
    [
        ("2026-11-28 01:59:59", False),
        ("2026-11-28 22:00:00", True),
        ("2026-11-29 00:00:00", True),
        ("2026-11-29 01:59:59", True),
        ("2026-11-29 02:00:00", False),
        ("2026-11-29 22:00:00", False),
    ],
)
def test_a_row_past_midnight_belongs_to_the_day_on_which_it_starts(local: str, opened: bool) -> None:
    assert is_open(a_schedule({"sat": ["22:00-02:00"]}), local) is opened


def test_sunday_goes_on_into_monday() -> None:
    assert is_open(a_schedule({"sun": ["22:00-02:00"]}), "2026-11-23 01:59")


def test_a_whole_day_ends_at_midnight() -> None:
    whole = a_schedule({"mon": ["00:00-24:00"]})
    assert [is_open(whole, text) for text in ("2026-11-22 23:59", "2026-11-23 00:00", "2026-11-23 23:59")] == [0, 1, 1]
    assert not is_open(whole, "2026-11-24 00:00")


@pytest.mark.parametrize(
    ("local", "opened"),
    [
        ("2026-12-24 23:00", True),
        ("2026-12-25 00:00", False),
        ("2026-12-25 01:00", False),
        ("2026-12-25 12:00", False),
        ("2026-12-25 23:59", False),
        ("2026-12-26 00:00", False),
        ("2026-12-26 01:00", False),
        ("2026-12-26 12:00", True),
    ],
)
def test_a_closed_date_cuts_the_evening_before_and_does_not_go_on_into_the_next_day(local: str, opened: bool) -> None:
    wanted = a_schedule({"daily": ["12:00-18:00", "22:00-02:00"]}, closed_on=["2026-12-25"])
    assert is_open(wanted, local) is opened


@pytest.mark.parametrize(
    ("local", "opened"),
    [
        ("2026-12-24 01:59", True),
        ("2026-12-24 02:00", False),
        ("2026-12-24 10:00", True),
        ("2026-12-24 12:00", False),
        ("2026-12-24 22:00", False),
        ("2026-12-24 23:30", True),
        ("2026-12-25 00:29", True),
        ("2026-12-25 00:30", False),
        ("2026-12-25 22:00", True),
    ],
)
def test_a_date_with_hours_of_its_own_has_no_others_but_those_of_the_evening_before(local: str, opened: bool) -> None:
    wanted = a_schedule({"daily": ["12:00-18:00", "22:00-02:00"]}, dates={"2026-12-24": ["10:00-12:00", "23:30-00:30"]})
    assert is_open(wanted, local) is opened


def test_a_date_may_open_a_weekday_that_is_closed() -> None:
    wanted = a_schedule({"mon-fri": ["09:00-17:00"]}, dates={"2026-11-28": ["10:00-14:00"]})
    assert is_open(wanted, "2026-11-28 10:00")
    assert not is_open(wanted, "2026-12-05 10:00")


def test_the_time_may_have_its_zone_or_not() -> None:
    wanted = a_schedule({"mon": ["09:00-17:00"]})
    local = schedule.local_time(NEW_YORK, epoch("2026-11-23 14:00"))
    assert local.isoformat() == "2026-11-23T09:00:00-05:00"
    assert schedule.is_open(wanted, local)
    assert schedule.is_open(wanted, local.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["01:30-03:30"], [("08 06:30", "08 07:30")]),
        (["02:15-02:45"], []),
        (["02:30-04:00"], [("08 07:00", "08 08:00")]),
        (["01:00-02:30"], [("08 06:00", "08 07:00")]),
        (["00:00-24:00"], [("08 05:00", "09 04:00")]),
    ],
)
def test_times_that_the_clock_skips_never_come(rows: list[str], found: list[tuple[str, str]]) -> None:
    assert windows(a_schedule({"sun": rows}), NEW_YORK, "2026-03-08 00:00", "2026-03-10 00:00") == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["01:15-01:45"], [("01 05:15", "01 05:45"), ("01 06:15", "01 06:45")]),
        (["01:30-02:30"], [("01 05:30", "01 06:00"), ("01 06:30", "01 07:30")]),
        (["00:30-01:30"], [("01 04:30", "01 05:30"), ("01 06:00", "01 06:30")]),
        (["00:00-24:00"], [("01 04:00", "02 05:00")]),
    ],
)
def test_times_that_the_clock_repeats_are_open_twice(rows: list[str], found: list[tuple[str, str]]) -> None:
    assert windows(a_schedule({"sun": rows}), NEW_YORK, "2026-11-01 00:00", "2026-11-03 00:00") == found


def test_half_an_hour_may_be_repeated() -> None:
    wanted = a_schedule({"sun": ["01:30-01:45"]})
    found = [("04 14:30", "04 14:45"), ("04 15:00", "04 15:15")]
    assert windows(wanted, "Australia/Lord_Howe", "2026-04-04 00:00", "2026-04-06 00:00") == found


def test_a_day_may_begin_at_one_o_clock() -> None:
    """In Havana the clock is put forward at midnight."""
    wanted = a_schedule({"sun": ["00:00-02:00"]})
    assert windows(wanted, "America/Havana", "2026-03-07 00:00", "2026-03-09 00:00") == [("08 05:00", "08 06:00")]


def test_windows_that_meet_are_one_and_end_where_the_question_ends() -> None:
    wanted = a_schedule({"daily": ["00:00-12:00", "12:00-24:00", "10:00-14:00"]})
    start, end = epoch("2026-11-23 10:30") + 7, epoch("2026-11-25 10:30") + 8
    assert schedule.windows(wanted, "Asia/Kolkata", start, end) == [(start, end)]
    assert schedule.windows(wanted, "Asia/Kolkata", start, start) == []


Clock = tuple[int, int]
"""First and last minute of the day; past midnight if the last is not after the first."""
CLOCKS = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda clock: clock[0] != clock[1])
NIGHTLY = st.tuples(st.integers(0, 240), st.integers(1, 240)).filter(lambda clock: clock[0] != clock[1])
ROWS = st.lists(CLOCKS | NIGHTLY, max_size=3)


def spelled(rows: Iterable[Clock]) -> list[str]:
    return [f"{first // 60:02}:{first % 60:02}-{last // 60:02}:{last % 60:02}" for first, last in rows]


def by_definition(week: list[list[Clock]], dates: dict[date, list[Clock]], wall: datetime) -> bool:
    """Is there a day with a row that started by now and has not ended?"""
    if dates.get(wall.date()) == []:
        return False
    for day in (wall.date(), wall.date() - timedelta(days=1)):
        midnight = datetime(day.year, day.month, day.day)
        for first, last in dates.get(day, week[day.weekday()]):
            start = midnight + timedelta(minutes=first)
            end = midnight + timedelta(minutes=last, days=0 if last > first else 1)
            if start <= wall < end:
                return True
    return False


@st.composite
def schedules(draw: st.DrawFn, near: date) -> tuple[Schedule, list[list[Clock]], dict[date, list[Clock]]]:
    week = [draw(ROWS) for _ in NAMES]
    days = st.integers(-3, 3).map(lambda days: near + timedelta(days=days))
    dates = draw(st.dictionaries(days, ROWS, max_size=3))
    made = a_schedule(
        {name: spelled(rows) for name, rows in zip(NAMES, week, strict=True)},
        dates={day.isoformat(): spelled(rows) for day, rows in dates.items()},
    )
    return made, week, dates


@given(schedules(MONDAY), st.integers(-3 * 1440, 3 * 1440))
def test_it_is_always_open_when_the_definition_says_so(
    made: tuple[Schedule, list[list[Clock]], dict[date, list[Clock]]], minutes: int
) -> None:
    wanted, week, dates = made
    wall = datetime(MONDAY.year, MONDAY.month, MONDAY.day) + timedelta(minutes=minutes)
    assert schedule.is_open(wanted, wall) is by_definition(week, dates, wall)


@cache
def hours_of_change(zone: str) -> list[int]:
    """The full hours in 2026 and 2027 before which the clock was still another."""
    hours = range(epoch("2026-01-01"), epoch("2028-01-01"), 3600)
    offsets = [datetime.fromtimestamp(hour, ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hours[n] for n in range(1, len(hours)) if offsets[n] != offsets[n - 1]] or [hours[0]]


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=20)
@given(st.data())
def test_windows_are_always_the_minutes_that_are_open(zone: str, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from(hours_of_change(zone))) - 60 * data.draw(st.integers(0, 1800))
    length = data.draw(st.integers(1, 2000))
    local = datetime.fromtimestamp(start, ZoneInfo(zone))
    wanted, week, dates = data.draw(schedules(local.date()))
    minutes = [start + 60 * n for n in range(length)]
    opened = [
        minute
        for minute in minutes
        if by_definition(week, dates, datetime.fromtimestamp(minute, ZoneInfo(zone)).replace(tzinfo=None))
    ]
    found = schedule.windows(wanted, zone, start, start + 60 * length)
    assert [minute for minute in minutes if any(opens <= minute < closes for opens, closes in found)] == opened
    edges = [edge for window in found for edge in window]
    assert edges == sorted(set(edges))
    assert all((edge - start) % 60 == 0 for edge in edges)


@pytest.mark.parametrize(
    ("days", "named"),
    [
        ("mon", "mon"),
        ("Mon", "mon"),
        ("mon-fri", "mon tue wed thu fri"),
        ("mon – fri", "mon tue wed thu fri"),
        ("fri-mon", "mon fri sat sun"),
        ("tue-mon", "mon tue wed thu fri sat sun"),
        ("wed-wed", "wed"),
        ("sun,wed", "wed sun"),
        ("mon-tue, sat", "mon tue sat"),
        ("daily", "mon tue wed thu fri sat sun"),
    ],
)
def test_a_key_names_weekdays(days: str, named: str) -> None:
    week = schedule.read_week({days: ["09:00-17:00"]})
    assert " ".join(name for name, rows in zip(NAMES, week, strict=True) if rows) == named


@pytest.mark.parametrize(
    "days", ["", "monday", "mon-", "-fri", "mon-fri-sun", "mon fri", "mon,", "mon,daily", "weekend"]
)
def test_a_key_of_other_days_is_refused(days: str) -> None:
    with pytest.raises(ValueError, match=r'^must be weekdays, like "mon-fri", "sat,sun" or "daily"$'):
        schedule.read_week({days: ["09:00-17:00"]})


def test_the_rows_of_all_keys_that_name_a_day_add_up() -> None:
    week = schedule.read_week({"mon-wed": ["18:00-20:00"], "wed,thu": ["09:00-17:00"], "sun": []})
    evening, day = Row(1080, 1200), Row(540, 1020)
    assert week == ((evening,), (evening,), (day, evening), (day,), (), (), ())


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("09:00-17:00", Row(540, 1020)),
        ("9:00-17:00", Row(540, 1020)),
        (" 09:00 – 17:00 ", Row(540, 1020)),
        ("00:00-24:00", Row(0, 1440)),
        ("22:00-02:00", Row(1320, 1560)),
        ("22:00-24:00", Row(1320, 1440)),
        ("22:00-00:00", Row(1320, 1440)),
        ("23:59-23:58", Row(1439, 2878)),
    ],
)
def test_a_row_is_two_times_of_the_day(text: str, row: Row) -> None:
    assert schedule.read_rows([text]) == (row,)


@pytest.mark.parametrize(
    "text",
    ["", "09:00", "9-17", "09:00-09:00", "00:00-00:00", "25:00-26:00", "09:00-25:00", "09:00-24:01", "24:00-02:00",
     "09:60-17:00", "09:00-17:00-18:00", "9am-5pm", "09:00:00-17:00:00", "-09:00-17:00", "٠٩:٠٠-١٧:٠٠"],
)  # fmt: skip
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be opening hours that end after they start, like "):
        schedule.read_rows([text])


@given(ROWS)
def test_a_row_always_reads_as_it_is_written(rows: list[Clock]) -> None:
    read = schedule.read_rows(spelled(rows))
    assert schedule.read_rows(map(str, read)) == read


def test_a_date_is_read_in_one_spelling() -> None:
    assert schedule.read_date("2028-02-29") == "2028-02-29"


@pytest.mark.parametrize("text", ["", "2026-02-29", "12/25/2026", "2026-12", "20261225", "2026-W01-1", "2026-12-25 "])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a date, like 2026-12-25$"):
        schedule.read_date(text)


@pytest.mark.parametrize("zone", ZONES)
def test_a_zone_of_the_database_is_read(zone: str) -> None:
    assert schedule.read_zone(zone) == zone


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("america/new_york", "; did you mean America/New_York?"),
        ("New York", "; did you mean America/New_York?"),
        ("Europe/Lodnon", "; did you mean Europe/London?"),
        ("PST", "; did you mean America/Los_Angeles?"),
        ("pdt", "; did you mean America/Los_Angeles?"),
        ("Pacific", "; did you mean America/Los_Angeles?"),
        ("Pacific Time (US & Canada)", "; did you mean America/Los_Angeles?"),
        ("(UTC-08:00) Pacific Time (US & Canada)", "; did you mean America/Los_Angeles?"),
        ("America/San_Francisco", "; did you mean America/Los_Angeles?"),
        ("Eastern Standard Time", "; did you mean America/New_York?"),
        ("US Eastern", "; did you mean America/New_York?"),
        ("EST/EDT", "; did you mean America/New_York?"),
        ("EDT", "; did you mean America/New_York?"),
        ("ET", "; did you mean America/New_York?"),
        ("UTC-5", "; did you mean America/New_York?"),
        ("GMT-05:00", "; did you mean America/New_York?"),
        ("Washington, D.C.", "; did you mean America/New_York?"),
        ("CST", "; did you mean America/Chicago?"),
        ("Central Daylight Time", "; did you mean America/Chicago?"),
        ("Dallas", "; did you mean America/Chicago?"),
        ("MDT", "; did you mean America/Denver?"),
        ("Mountain Standard Time", "; did you mean America/Denver?"),
        ("US Mountain Standard Time", "; did you mean America/Phoenix?"),
        ("Arizona", "; did you mean America/Phoenix?"),
        ("Alaskan Standard Time", "; did you mean America/Anchorage?"),
        ("AKDT", "; did you mean America/Anchorage?"),
        ("Hawaiian Standard Time", "; did you mean Pacific/Honolulu?"),
        ("AST", "; did you mean America/Puerto_Rico?"),
        ("BST", "; did you mean Europe/London?"),
        ("IST", ""),
        ("XST", ""),
        ("AUS Eastern Standard Time", ""),
        ("../../etc/passwd", ""),
        ("", ""),
    ],
)
def test_another_zone_is_refused_with_what_may_be_meant(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a time zone, like America/New_York") as refused:
        schedule.read_zone(name)
    assert str(refused.value) == f"must be a time zone, like America/New_York{hint}"


def test_a_schedule_is_compiled_to_json_and_back() -> None:
    wanted = a_schedule({"mon": ["22:00-02:00"]}, closed_on=["2026-12-25"], dates={"2026-12-24": ["09:00-12:00"]})
    written = msgspec.json.encode(wanted)
    assert written == b'{"week":[[[1320,1560]],[],[],[],[],[],[]],"dates":{"2026-12-24":[[540,720]],"2026-12-25":[]}}'
    assert msgspec.json.decode(written, type=Schedule) == wanted


USUAL = {"mon-fri": ["09:00-17:00"]}


@pytest.mark.parametrize(
    ("wanted", "now", "found"),
    [
        (a_schedule(USUAL), "2026-11-23 12:00", []),
        (a_schedule({"mon": ["09:00-12:00", "12:00-17:00"]}), "2026-11-23 12:00", []),
        (
            a_schedule({"mon-wed": ["09:00-17:00"], "tue,wed": ["16:59-18:00"]}),
            "2026-11-23 12:00",
            ["09:00-17:00 and 16:59-18:00 overlap on tue, wed."],
        ),
        (
            a_schedule(USUAL, dates={"2026-12-24": ["08:00-20:00", "12:00-13:00", "19:00-01:00"]}),
            "2026-11-23 12:00",
            [
                "08:00-20:00 and 12:00-13:00 overlap on 2026-12-24.",
                "08:00-20:00 and 19:00-01:00 overlap on 2026-12-24.",
            ],
        ),
        (a_schedule({}), "2026-11-23 12:00", ["It is never open in the next 14 days."]),
        (a_schedule({}, dates={"2026-12-07": ["06:00-08:00"]}), "2026-11-23 12:00", []),
        (
            a_schedule({}, dates={"2026-12-08": ["06:00-08:00"]}),
            "2026-11-23 12:00",
            ["It is never open in the next 14 days."],
        ),
        (
            a_schedule(USUAL, closed_on=["2026-12-25", "2025-12-25", "2026-11-21", "2026-11-22"]),
            "2026-11-23 12:00",
            [
                "2025-12-25 has passed; its exception can be removed.",
                "2026-11-21 has passed; its exception can be removed.",
            ],
        ),
        (
            a_schedule({"sun": ["01:00-04:00"]}),
            "2026-03-06 12:00",
            [
                "On 2026-03-08 the clock is put forward from 02:00 to 03:00: "
                "opening hours in these 60 minutes are skipped."
            ],
        ),
        (
            a_schedule({"sat": ["22:00-01:30"]}),
            "2026-10-30 12:00",
            ["On 2026-11-01 the clock is put back from 02:00 to 01:00: opening hours in these 60 minutes come twice."],
        ),
        (a_schedule({"sun": ["01:00-04:00"]}), "2026-03-06 06:59", []),
        (a_schedule({"sun": ["03:00-04:00"], "sat": ["22:00-02:00"]}), "2026-03-06 12:00", []),
    ],
)
def test_the_linter_tells_what_was_probably_not_meant(wanted: Schedule, now: str, found: list[str]) -> None:
    assert schedule.findings(wanted, NEW_YORK, epoch(now)) == found
