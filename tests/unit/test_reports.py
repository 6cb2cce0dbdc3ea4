"""Reports say what plain Python counts of the same rows, in any zone, range and grouping."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from shared.domain.objections import NotValid
from shared.journal import database, parquet, reports
from shared.journal.fetching import Sources
from shared.journal.periods import Offset, Period, days, local_day, midnight, month, offsets, period_before
from shared.journal.reports import COLUMNS, GROUPS, Question, read_report, read_versions
from shared.journal.rows import TYPES, Asked, Row, encode

ZONES = (
    "UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "America/Los_Angeles", "Pacific/Apia",
    "Australia/Lord_Howe", "Africa/Casablanca",
)  # fmt: skip
CHANGES = {
    "America/New_York": 1_793_512_800,  # 2026-11-01, put back
    "Pacific/Apia": 1_325_239_200,  # 2011-12-30, a day that there never was
    "Australia/Lord_Howe": 1_791_041_400,  # 2026-10-04, put forward by half an hour
}
NOW = 1_800_000_000
VERSIONS = {("loans", 1): (7, 8, 9), ("loans", 2): (9, 7), ("roofs", 1): (8,), ("roofs", 2): (7,)}
GONE = ("roofs", 2)
KNOWN = {key: buyers for key, buyers in VERSIONS.items() if key != GONE}
ATTEMPTS = (
    "'; DROP VIEW all_rows; --", '" OR 1=1', "$start", "1); ATTACH 'x'", "\x00", "offer, buyer", "requests DESC",
    "../../etc/passwd", "UTC' OR '1'='1", "é" * 500,
)  # fmt: skip


OUTCOMES: tuple[Literal["bid", "declined", "timed_out"], ...] = ("bid", "declined", "timed_out")


@st.composite
def some_rows(draw: st.DrawFn, around: int) -> list[Row]:
    rows = []
    for place in range(draw(st.integers(0, 12))):
        at = around + draw(st.integers(-3 * 86_400, 3 * 86_400) | st.integers(-2, 2))
        kind: Literal["ping", "refused", "sale", "call"] = draw(
            st.sampled_from(("ping", "ping", "refused", "sale", "call"))
        )
        is_sold = kind in ("sale", "call")
        endpoint, version = draw(st.sampled_from([*VERSIONS]))
        reasons = draw(st.text(".fsp", min_size=0, max_size=len(VERSIONS[endpoint, version]))) if kind == "ping" else ""
        live = st.tuples(st.sampled_from(VERSIONS[endpoint, version]), st.sampled_from(OUTCOMES))
        rows.append(
            Row(
                event=f"e{place // 2}",
                place=place % 2,
                at=at,
                kind=kind,
                sold_at=at - draw(st.integers(0, 90_000)) if is_sold else 0,
                endpoint=endpoint,
                version=version,
                offer=draw(st.sampled_from(("", "a", "b"))),
                user=draw(st.sampled_from(("", "pat", "sam"))),
                source=draw(st.sampled_from(("", "s1", "s'2"))),
                buyer=draw(st.sampled_from((7, 8, 9))) if is_sold else 0,
                status=draw(st.sampled_from(("", "sold", "open"))),
                bids=reasons.count("."),
                revenue_cents=draw(st.integers(0, 9_999)) if is_sold else 0,
                payout_cents=draw(st.integers(0, 9_999)) if is_sold else 0,
                call=f"{place:024x}" if kind == "call" else "",
                arrived_at=at - draw(st.integers(0, 4_000)) if kind == "call" else 0,
                connected_at=draw(st.sampled_from((0, at))) if kind == "call" else 0,
                converted=draw(st.integers(0, 1)) if kind == "call" else 0,
                state=draw(st.sampled_from(("", "TX", "OH"))),
                area_code=draw(st.sampled_from(("", "614"))),
                reasons=reasons,
                milliseconds=draw(st.integers(0, 400)),
                live=tuple(
                    Asked(buyer, outcome, draw(st.integers(0, 900)))
                    for buyer, outcome in draw(st.lists(live, max_size=2, unique_by=lambda pair: pair[0]))
                ),
            )
        )
    return rows


def key(name: str, row: Row, at: int, zone: str, buyer: int, reason: str) -> str:
    clock = datetime.fromtimestamp(at, ZoneInfo(zone))
    year, week, _ = clock.isocalendar()
    derived = {
        "hour": clock.replace(minute=0, second=0).isoformat(timespec="minutes"),
        "day": f"{clock:%Y-%m-%d}",
        "week": f"{year}-W{week:02}",
        "month": f"{clock:%Y-%m}",
        "buyer": str(buyer or ""),
        "reason": reason,
    }
    return derived[name] if name in derived else str(getattr(row, name))


def counted(rows: Iterable[Row], question: Question) -> dict[tuple[str, ...], dict[str, Any]]:
    """By plain Python."""
    groups: dict[tuple[str, ...], dict[str, Any]] = defaultdict(lambda: defaultdict(int) | {"ms": [], "waits": []})
    for row in (structs.replace(each, status="sold") if each.kind == "call" else each for each in rows):
        at = row.sold_at if row.sold_at and question.dated_by == "sale" else row.at
        if not question.period.start <= at < question.period.end or question.only_user not in (None, row.user):
            continue

        def group(buyer: int = 0, reason: str = "", row: Row = row, at: int = at) -> dict[str, Any]:
            return groups[tuple(key(name, row, at, question.zone, buyer, reason) for name in question.by)]

        if row.kind == "refused":
            for name in ("requests", "refused"):
                group()[name] += 1
        if row.kind == "sale" or (row.kind == "call" and (row.revenue_cents or row.payout_cents)):
            sold = group(row.buyer, ".")
            sold["sales"] += row.kind == "sale"
            sold["revenue_cents"] += row.revenue_cents
            sold["payout_cents"] += row.payout_cents
        if row.kind == "ping":
            count_ping(row, question, group)
        buyers = KNOWN.get((row.endpoint, row.version), ())
        for asked in row.live:
            letter = dict(zip(buyers, row.reasons, strict=False)).get(asked.buyer, "")
            of = group(asked.buyer, letter)
            of["live_asked"] += 1
            of["live_bids" if asked.outcome == "bid" else f"live_{asked.outcome}"] += 1
            of["waits"] += [asked.milliseconds] if asked.milliseconds else []
    return groups


def count_ping(row: Row, question: Question, group: Callable[..., dict[str, Any]]) -> None:
    by_buyer = list(zip(KNOWN.get((row.endpoint, row.version), ()), row.reasons, strict=False))
    places = [(0, "", row.bids)]
    if by_buyer and "buyer" in question.by:
        places = [(buyer, letter, int(letter == ".")) for buyer, letter in by_buyer]
    elif row.reasons and "reason" in question.by and "buyer" not in question.by:
        places = [(0, letter, row.bids if letter == "." else 0) for letter in {*row.reasons}]
    for buyer, letter, bids in places:
        of = group(buyer, letter)
        of["requests"] += 1
        of["pings"] += 1
        of["unmatched"] += not row.bids
        of["bids"] += bids
        of["ms"] += [row.milliseconds] if row.milliseconds else []


def check_numbers(found: reports.Numbers, of: dict[str, Any], *, limited: bool) -> None:
    for name in COLUMNS:
        value = getattr(found, name)
        if limited and ("live" in name or "revenue" in name or "margin" in name):
            assert value is None
        elif name == "margin_cents":
            assert value == of["revenue_cents"] - of["payout_cents"]
        elif name.endswith("_ms"):
            values = sorted(of["waits" if "live" in name else "ms"])
            assert value == (values[math.ceil((0.95 if "p95" in name else 0.5) * len(values)) - 1] if values else None)
        elif name not in reports.WITH_FRACTIONS:
            assert value == of[name], name
    for name, part, whole in (
        ("fill_percent", 100 * of["sales"], of["pings"]),
        ("win_percent", 100 * of["sales"], of["bids"]),
        *(() if limited else (("margin_percent", 100 * (of["revenue_cents"] - of["payout_cents"]), of["revenue_cents"]),
                              ("revenue_per_ping_cents", of["revenue_cents"], of["pings"]))),
    ):  # fmt: skip
        value = getattr(found, name)
        assert value is None if not whole else value == pytest.approx(part / whole, abs=0.006)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_report_says_what_plain_python_counts(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    around = CHANGES.get(zone, 1_793_000_000)
    rows = data.draw(some_rows(around))
    start = around + data.draw(st.integers(-2 * 86_400, 86_400))
    question = Question(
        period=Period(start, start + data.draw(st.integers(1, 3 * 86_400))),
        zone=zone,
        by=tuple(data.draw(st.lists(st.sampled_from(GROUPS), max_size=3, unique=True))),
        dated_by=data.draw(st.sampled_from(("sale", "event"))),
        only_user=data.draw(st.sampled_from((None, "pat"))),
        sort=data.draw(st.sampled_from(("", *COLUMNS))),
        limit=1000,
    )
    filed = data.draw(st.integers(0, len(rows)))
    path = tmp_path_factory.mktemp("rows") / "day.parquet"
    write_parquet(path, rows[:filed])
    again = rows[data.draw(st.integers(0, filed)) :]
    report = read_report(question, NOW, Sources((path,), encode([*again, *again])), KNOWN)
    expected = counted(rows, question)
    assert {tuple(line.keys) for line in report.lines} == {*expected} or not question.by
    assert report.groups == len(report.lines) or not question.by
    for line in report.lines:
        check_numbers(line.numbers, expected[tuple(line.keys)], limited=question.only_user is not None)
    total = counted(rows, structs.replace(question, by=()))[()]
    check_numbers(report.total, total, limited=question.only_user is not None)
    before = structs.replace(question, by=(), period=report.period_before)
    check_numbers(report.before, counted(rows, before)[()], limited=question.only_user is not None)
    check_order(report)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_counts_of_days_say_what_rows_say(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    around = CHANGES.get(zone, 1_793_000_000)
    rows = list({(row.event, row.place): row for row in data.draw(some_rows(around))}.values())
    first = local_day(around, zone) + timedelta(data.draw(st.integers(-2, 1)))
    by = st.sampled_from([name for name in GROUPS if name not in reports.NOT_IN_CUBES])
    question = Question(
        period=days(first, first + timedelta(data.draw(st.integers(0, 2))), zone),
        zone=zone,
        by=tuple(data.draw(st.lists(by, max_size=3, unique=True))),
        dated_by=data.draw(st.sampled_from(("sale", "event"))),
        only_user=data.draw(st.sampled_from((None, "pat"))),
        limit=1000,
    )
    counted_rows = data.draw(st.integers(0, len(rows)))
    folder = tmp_path_factory.mktemp("rows")
    with database.open_database() as opened:
        day = parquet.write_rows(opened, [], encode(rows[:counted_rows]), "day.parquet")
        (folder / "cube.parquet").write_bytes(parquet.write_cube(opened, day, "cube.parquet").read_bytes())
    of_rows = read_report(question, NOW, Sources((), encode(rows)))
    others = Sources((), encode(rows[counted_rows:]), (folder / "cube.parquet",))
    of_cubes = read_report(structs.replace(question, of_cubes=True), NOW, others)

    def known(numbers: reports.Numbers) -> dict[str, Any]:
        return {name: value for name, value in structs.asdict(numbers).items() if not reports.is_of_rows(name)}

    assert known(of_cubes.total) == known(of_rows.total)
    assert known(of_cubes.before) == known(of_rows.before)
    lines = {tuple(line.keys): known(line.numbers) for line in of_rows.lines}
    assert {tuple(line.keys): known(line.numbers) for line in of_cubes.lines} == lines
    assert {getattr(of_cubes.total, name) for name in COLUMNS if reports.is_of_rows(name)} == {None}


def test_what_no_cube_has_is_not_asked_of_cubes() -> None:
    for asked, name in (({"by": ("buyer",)}, "by"), ({"by": ("day", "area_code")}, "by"), ({"sort": "p95_ms"}, "sort")):
        with pytest.raises(NotValid) as wrong:
            read_report(a_question(of_cubes=True, **asked), NOW, Sources())
        assert [*wrong.value.errors] == [name]


def test_a_report_of_the_same_files_and_pages_is_remembered_and_of_others_is_not() -> None:
    first, again, other = (
        read_report(a_question(), NOW, Sources((), encode(rows))) for rows in ([A_SALE], [A_SALE], [])
    )
    assert again is first
    assert (first.total.sales, other.total.sales) == (1, 0)


def check_order(report: reports.Report) -> None:
    sort, down = report.question.sort, report.question.down
    if sort in COLUMNS:
        values = [value for line in report.lines if (value := getattr(line.numbers, sort)) is not None]
        assert values == sorted(values, reverse=bool(down))
    else:
        keys = [line.keys[report.question.by.index(sort)] for line in report.lines]
        assert keys == sorted(keys, reverse=bool(down))


def write_parquet(path: Path, rows: list[Row]) -> None:
    lines = path.with_suffix(".jsonl")
    lines.write_bytes(encode(rows))
    with duckdb.connect() as connection:
        connection.read_json(str(lines), columns=TYPES, format="newline_delimited").write_parquet(str(path))


def a_question(**overrides: Any) -> Question:
    return structs.replace(Question(period=Period(NOW - 86_400, NOW)), **overrides)


A_SALE = Row(
    event="e", at=NOW - 9, sold_at=NOW - 9, kind="sale", buyer=7, revenue_cents=900, payout_cents=500, user="pat"
)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_is_no_name_is_refused_with_the_names_there_are(attempt: str) -> None:
    for asked, names in (({"by": ("day", attempt)}, "area_code"), ({"sort": attempt}, "requests"),
                         ({"dated_by": attempt}, "event"), ({"zone": attempt}, "America/New_York")):  # fmt: skip
        with pytest.raises(NotValid) as wrong:
            read_report(a_question(**asked), NOW, Sources(), {})
        [(name, [sentence])] = wrong.value.errors.items()
        assert name in asked
        assert names in sentence


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_user_that_is_none_has_no_rows(attempt: str) -> None:
    report = read_report(a_question(only_user=attempt, by=("user",)), NOW, Sources((), encode([A_SALE])), {})
    assert (report.lines, report.total.sales) == ([], 0)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"by": ("day", "day")}, "by"),
        ({"by": GROUPS[:4]}, "by"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"period": Period(NOW, NOW)}, "to"),
        ({"period": Period(0, 3654 * 86_400)}, "to"),
        ({"by": ("day",), "sort": "offer"}, "sort"),
    ],
)
def test_what_cannot_be_asked_is_named(asked: dict[str, Any], name: str) -> None:
    with pytest.raises(NotValid) as wrong:
        read_report(a_question(**asked), NOW, Sources(), {})
    assert [*wrong.value.errors] == [name]


def test_only_the_first_groups_are_given_and_all_are_counted() -> None:
    rows = [structs.replace(A_SALE, event=f"e{n}", revenue_cents=n, source=f"s{n}") for n in range(9)]
    report = read_report(a_question(by=("source",), limit=2), NOW, Sources((), encode(rows)), {})
    assert ([line.keys for line in report.lines], report.groups) == ([["s8"], ["s7"]], 9)
    up = read_report(a_question(by=("source",), limit=1, down=False), NOW, Sources((), encode(rows)), {})
    assert [line.keys for line in up.lines] == [["s0"]]


def test_a_question_that_would_read_too_much_is_not_asked(tmp_path: Path) -> None:
    large = tmp_path / "large.parquet"
    with large.open("wb") as file:
        file.truncate(database.MOST_BYTES + 1)
    with pytest.raises(database.TooMuch, match="400 MB"):
        read_report(a_question(), NOW, Sources((large,)), {})


def test_a_file_that_is_missing_or_cut_is_said(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    write_parquet(whole, [A_SALE])
    content = whole.read_bytes()
    for part in (content[:-20], content[: len(content) // 2], b"", b"PAR1" + bytes(40) + b"PAR1"):
        cut.write_bytes(part)
        with pytest.raises(database.FileUnreadable):
            read_report(a_question(), NOW, Sources((whole, cut)), {})
    cut.unlink()
    with pytest.raises(database.FileUnreadable):
        read_report(a_question(), NOW, Sources((whole, cut)), {})


def test_a_file_of_an_earlier_release_has_fewer_columns(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE old AS SELECT 'e' AS event, $at::BIGINT AS \"at\", 'ping' AS kind", {"at": NOW - 9}
        )
        connection.table("old").write_parquet(str(path))
    assert read_report(a_question(), NOW, Sources((path,)), {}).total.pings == 1


def test_the_versions_of_pings_are_found() -> None:
    pings = [Row(event=f"e{n}", at=NOW, kind="ping", endpoint="loans", version=n % 2, reasons=".") for n in range(4)]
    assert read_versions(Sources((), encode([*pings, A_SALE]))) == [("loans", 0), ("loans", 1)]


@given(st.sampled_from(ZONES), st.integers(1_000_000_000, 2_000_000_000), st.integers(1, 400 * 86_400), st.data())
def test_offsets_are_those_of_every_moment(zone: str, start: int, seconds: int, data: st.DataObject) -> None:
    period = Period(start, start + seconds)
    spans = offsets(period, zone)
    assert [spans[0].start, *(span.end for span in spans)] == [*(span.start for span in spans), period.end]
    at = data.draw(st.integers(period.start, period.end - 1))
    edges = [edge for span in spans for edge in (span.start, span.end - 1)]
    for moment in (at, *edges):
        [seconds_then] = [span.seconds for span in spans if span.start <= moment < span.end]
        assert datetime.fromtimestamp(moment, ZoneInfo(zone)).utcoffset() == timedelta(seconds=seconds_then)


def test_a_day_that_there_never_was_is_skipped() -> None:
    at = CHANGES["Pacific/Apia"]
    assert offsets(Period(at - 9, at + 9), "Pacific/Apia") == [Offset(at - 9, at, -36_000), Offset(at, at + 9, 50_400)]


@given(st.sampled_from(ZONES), st.dates(date(2015, 1, 1), date(2035, 1, 1)), st.integers(0, 40))
def test_the_period_before_ends_where_the_period_begins(zone: str, first: date, more: int) -> None:
    for period in (days(first, first + timedelta(more), zone), month(first, zone)):
        before = period_before(period, zone, period.end)
        assert before.end == period.start
        assert midnight(local_day(before.start, zone), zone) == before.start
        elapsed = period_before(period, zone, (period.start + period.end) // 2)
        assert elapsed.start == before.start
        assert elapsed.start < elapsed.end <= period.start


def test_the_period_before_a_month_is_a_month() -> None:
    march = month(date(2026, 3, 20), "America/New_York")
    assert period_before(march, "America/New_York", NOW) == month(date(2026, 2, 1), "America/New_York")
    tenth = int(datetime(2026, 3, 10, 16, tzinfo=UTC).timestamp())  # noon, in summer
    assert period_before(march, "America/New_York", tenth) == Period(
        midnight(date(2026, 2, 1), "America/New_York"), int(datetime(2026, 2, 10, 17, tzinfo=UTC).timestamp())
    )
