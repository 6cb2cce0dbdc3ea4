"""Reports: rows of the journal, counted in groups by DuckDB."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from shared.domain.objections import NotValid
from shared.domain.schedule import read_zone
from shared.journal.database import open_database, open_rows
from shared.journal.fetching import Sources
from shared.journal.periods import Period, offsets, period_before

GROUPS = (
    "hour", "day", "week", "month", "offer", "endpoint", "buyer", "user", "source", "state", "area_code", "status",
    "reason",
)  # fmt: skip
BY_TIME = GROUPS[:4]
NOT_IN_CUBES = ("buyer", "area_code", "reason")
MOST_GROUPS = 3
MOST_ROWS = 10_000
MOST_SECONDS = 3653 * 86_400
"""Ten years."""
QUARTER = 900
"""Seconds of a quarter of an hour."""
MOST_REMEMBERED = 20
"""Reports of a process."""

DatedBy = Literal["sale", "event"]


class Numbers(Struct, frozen=True, kw_only=True):
    """What is counted in a group. Amounts are cents, times milliseconds; what cannot be said is null: a percentage of
    nothing, and what the reader may not see. The last seven are of live buyers."""

    requests: int = 0
    pings: int = 0
    unmatched: int = 0
    refused: int = 0
    bids: int = 0
    sales: int = 0
    fill_percent: float | None = None
    win_percent: float | None = None
    revenue_cents: int | None = None
    payout_cents: int = 0
    margin_cents: int | None = None
    margin_percent: float | None = None
    revenue_per_ping_cents: float | None = None
    median_ms: int | None = None
    p95_ms: int | None = None
    live_asked: int | None = None
    live_bids: int | None = None
    live_timed_out: int | None = None
    live_declined: int | None = None
    live_broken: int | None = None
    live_median_ms: int | None = None
    live_p95_ms: int | None = None


COLUMNS = Numbers.__struct_fields__
WITH_FRACTIONS = {"fill_percent", "win_percent", "margin_percent", "revenue_per_ping_cents"}
NOTHING = [None if name in WITH_FRACTIONS or name.endswith("_ms") else 0 for name in COLUMNS]


class Question(Struct, frozen=True, kw_only=True):
    """`dated_by` sale: what belongs to a sale counts when that was sold; by event: when it happened. `only_user` is
    whose rows count, None for all. `sort` is the name of a group or of a column. `of_cubes`: without what cubes do not
    know, so that their days need no rows."""

    period: Period
    zone: str = "UTC"
    by: tuple[str, ...] = ()
    dated_by: str = "sale"
    only_user: str | None = None
    sort: str = ""
    down: bool | None = None
    limit: int = 100
    of_cubes: bool = False


class Line(Struct, frozen=True):
    """A group: what its members have in common, in the order of the question's `by`."""

    keys: list[str]
    numbers: Numbers


class Report(Struct, frozen=True):
    """`groups` is how many there are, of which `lines` has the first. `before` is the period before."""

    question: Question
    lines: list[Line]
    groups: int
    total: Numbers
    period_before: Period
    before: Numbers


Versions = Mapping[tuple[str, int], Sequence[int]]
"""The ids of the buyers of an endpoint's version, in its order."""

_REMEMBERED: dict[Any, Report] = {}


def check(question: Question) -> Question:
    """The question with its order filled in. Raises `NotValid`, which names everything that is wrong."""
    wrong = dict[str, list[str]]()
    unknown = [name for name in question.by if name not in GROUPS]
    if unknown or len(question.by) > MOST_GROUPS or len({*question.by}) < len(question.by):
        wrong["by"] = [f"must be up to {MOST_GROUPS} different ones of {', '.join(GROUPS)}"]
    sortable = (*(name for name in question.by if name in GROUPS), *COLUMNS)
    if question.sort and question.sort not in sortable:
        wrong["sort"] = [f"must be one of {', '.join(sortable)}"]
    if question.of_cubes and (uncounted := [name for name in question.by if name in NOT_IN_CUBES]):
        wrong["by"] = [f"{uncounted[0]} is not in the counts of a day; leave it out, or ask for all numbers"]
    if question.of_cubes and is_of_rows(question.sort):
        wrong["sort"] = ["is not in the counts of a day"]
    if question.dated_by not in get_args(DatedBy):
        wrong["dated_by"] = [f"must be one of {', '.join(get_args(DatedBy))}"]
    if not 1 <= question.limit <= MOST_ROWS:
        wrong["limit"] = [f"must be a whole number from 1 to {MOST_ROWS}"]
    try:
        read_zone(question.zone)
    except ValueError as error:
        wrong["zone"] = [str(error)]
    if question.period.seconds <= 0:
        wrong["to"] = ["must not be before the first day"]
    elif question.period.seconds > MOST_SECONDS:
        wrong["to"] = ["may be up to ten years after the first day"]
    if wrong:
        raise NotValid(wrong)
    return _ordered(question)


def _ordered(question: Question) -> Question:
    """Times go up, all else begins with the largest."""
    by_time = bool(question.by) and question.by[0] in BY_TIME
    largest = "revenue_cents" if question.only_user is None else "payout_cents"
    sort = question.sort or (question.by[0] if by_time else largest)
    down = sort not in question.by if question.down is None else question.down
    return replace(question, sort=sort, down=down)


def read_report(question: Question, now: int, sources: Sources, versions: Versions | None = None) -> Report:
    """The answer to a question. Without the `versions` of its rows, groups of buyers have no pings and no bids. One of
    the same files and pages is remembered.

    Raises `NotValid`, `TooMuch` and `FileUnreadable`.
    """
    question = check(question)
    before = find_period_before(question, now)
    key = (question, before, sources.files, sources.cubes, hashlib.sha256(sources.lines).digest(), repr(versions))
    if key not in _REMEMBERED:
        report = _read(question, before, sources, versions or {})
        while len(_REMEMBERED) >= MOST_REMEMBERED:
            del _REMEMBERED[next(iter(_REMEMBERED))]
        _REMEMBERED[key] = report
    return _REMEMBERED[key]


def _read(question: Question, before: Period, sources: Sources, versions: Versions) -> Report:
    of_buyers = is_of_buyers(question)
    values = _values(question, before)
    keys = dict(zip(("first", "second", "third"), (*question.by, None, None, None), strict=False))
    periods = {"before_start": before.start, "before_end": before.end}
    with open_rows(sources) as database:
        database.ask("key_of.sql", {})
        plain = values | periods | (dict.fromkeys(keys) if of_buyers else keys)
        database.ask("bins.sql", plain)
        if sources.cubes:
            database.ask("bins_of_cubes.sql", plain)
        if of_buyers:
            database.ask("bins_of_buyers.sql", values | keys | _places(versions) | {"by_buyer": "buyer" in question.by})
        found = database.ask("report.sql", _order(question) | {"of_buyers": of_buyers})
    whole = {part: _numbers(numbers, question) for part, _, numbers, _ in found if part != "group"}
    lines = [Line(keys, _numbers(numbers, question)) for part, keys, numbers, _ in found if part == "group"]
    lines = lines[: question.limit]
    nothing = _numbers(NOTHING, question)
    total = whole.get("total", nothing)
    groups = found[0][3] if found else 0
    if not question.by:
        lines, groups = [Line([], total)], int("total" in whole)
    return Report(question, lines, groups, total, before, whole.get("before", nothing))


def find_period_before(question: Question, now: int) -> Period:
    """What a report is compared with. Cubes count by quarters of an hour."""
    before = period_before(question.period, question.zone, now)
    return Period(before.start, before.end - before.end % QUARTER) if question.of_cubes else before


def read_versions(sources: Sources) -> list[tuple[str, int]]:
    """The endpoints' versions that the pings of these rows met. Raises `TooMuch` and `FileUnreadable`."""
    with open_rows(sources) as database:
        return database.ask("versions.sql", {})


def write_parquet(report: Report) -> bytes:
    """The groups as a Parquet file: a column of text for each of `by`, then those of `Numbers`."""
    by = report.question.by
    types = dict.fromkeys(by, "VARCHAR") | {name: "DOUBLE" if name in WITH_FRACTIONS else "BIGINT" for name in COLUMNS}
    rows = [dict(zip(by, line.keys, strict=True)) | asdict(line.numbers) for line in report.lines]
    with open_database() as database:
        lines = database.keep("groups.jsonl", msgspec.json.Encoder().encode_lines(rows))
        made = database.folder / "groups.parquet"
        database.read_lines(lines, types).write_parquet(str(made))
        return made.read_bytes()


def is_of_buyers(question: Question) -> bool:
    """Whether a ping counts in several groups: for each buyer, or reason, of its endpoint."""
    return bool({"buyer", "reason"} & {*question.by})


def _values(question: Question, before: Period) -> dict[str, Any]:
    spans = offsets(Period(before.start, question.period.end), question.zone)
    return {
        "start": question.period.start,
        "end": question.period.end,
        "by_event": question.dated_by == "event",
        "only_user": question.only_user,
        "begins": [span.start for span in spans],
        "ends": [span.end for span in spans],
        "seconds": [span.seconds for span in spans],
    }


def _places(versions: Versions) -> dict[str, Any]:
    places = [
        (endpoint, version, place, buyer)
        for (endpoint, version), buyers in versions.items()
        for place, buyer in enumerate(buyers, 1)
    ]
    return {
        "endpoints": [endpoint for endpoint, _, _, _ in places],
        "versions": [version for _, version, _, _ in places],
        "places": [place for _, _, place, _ in places],
        "buyers": [buyer for _, _, _, buyer in places],
    }


def _order(question: Question) -> dict[str, Any]:
    sort = question.sort
    return {
        "groups": len(question.by),
        "sort_key": question.by.index(sort) + 1 if sort in question.by else None,
        "sort_number": COLUMNS.index(sort) + 1 if sort in COLUMNS else None,
        "down": bool(question.down),
        "most": question.limit,
    }


def is_hidden(column: str) -> bool:
    """From publishers: what buyers pay, what is kept of it, and how live buyers answer."""
    return any(word in column for word in ("live", "revenue", "margin"))


def is_of_rows(column: str) -> bool:
    """Cubes do not know it: how long something took, and how live buyers answered."""
    return column.endswith("_ms") or "live" in column


def _numbers(values: Sequence[float | None], question: Question) -> Numbers:
    named = dict[str, Any]()
    for name, value in zip(COLUMNS, values, strict=True):
        hidden = question.only_user is not None and is_hidden(name)
        shown = None if hidden or (question.of_cubes and is_of_rows(name)) else value
        named[name] = shown if shown is None or name in WITH_FRACTIONS else int(shown)
    return Numbers(**named)
