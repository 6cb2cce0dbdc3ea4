"""Reports: rows of the journal, counted in groups by DuckDB."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from shared.domain.objections import NotValid
from shared.domain.schedule import read_zone
from shared.journal.database import Database, open_database, open_rows
from shared.journal.fetching import Sources
from shared.journal.periods import Period, offsets, period_before

GROUPS = (
    "hour", "day", "week", "month", "offer", "endpoint", "buyer", "user", "source", "state", "area_code", "status",
    "reason",
)  # fmt: skip
BY_TIME = GROUPS[:4]
MOST_GROUPS = 3
MOST_ROWS = 10_000
MOST_SECONDS = 3653 * 86_400
"""Ten years."""

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
    whose rows count, None for all. `sort` is the name of a group or of a column."""

    period: Period
    zone: str = "UTC"
    by: tuple[str, ...] = ()
    dated_by: str = "sale"
    only_user: str | None = None
    sort: str = ""
    down: bool | None = None
    limit: int = 100


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


def check(question: Question) -> Question:
    """The question with its order filled in. Raises `NotValid`, which names everything that is wrong."""
    wrong = dict[str, list[str]]()
    unknown = [name for name in question.by if name not in GROUPS]
    if unknown or len(question.by) > MOST_GROUPS or len({*question.by}) < len(question.by):
        wrong["by"] = [f"must be up to {MOST_GROUPS} different ones of {', '.join(GROUPS)}"]
    sortable = (*(name for name in question.by if name in GROUPS), *COLUMNS)
    if question.sort and question.sort not in sortable:
        wrong["sort"] = [f"must be one of {', '.join(sortable)}"]
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
    return Question(
        period=question.period,
        zone=question.zone,
        by=question.by,
        dated_by=question.dated_by,
        only_user=question.only_user,
        sort=sort,
        down=down,
        limit=question.limit,
    )


def read_report(question: Question, now: int, sources: Sources, versions: Versions | None = None) -> Report:
    """The answer to a question. Without the `versions` of its rows, groups of buyers have no pings and no bids.

    Raises `NotValid`, `TooMuch` and `FileUnreadable`.
    """
    question = check(question)
    before = period_before(question.period, question.zone, now)
    with open_rows(sources) as database:
        database.ask("key_of.sql", {})
        lines, groups = _count(database, question, question.period, question.by, versions or {})
        [total], _ = _count(database, question, question.period, (), {})
        [earlier], _ = _count(database, question, before, (), {})
    return Report(question, lines, groups, total.numbers, before, earlier.numbers)


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


def _count(
    database: Database, question: Question, period: Period, by: tuple[str, ...], versions: Versions
) -> tuple[list[Line], int]:
    spans = offsets(period, question.zone)
    places = [
        (endpoint, version, place, buyer)
        for (endpoint, version), buyers in versions.items()
        for place, buyer in enumerate(buyers, 1)
    ]
    is_group = question.sort in by
    found = database.ask(
        "report.sql",
        {
            "start": period.start,
            "end": period.end,
            "groups": len(by),
            **dict(zip(("first", "second", "third"), (*by, None, None, None), strict=False)),
            "by_event": question.dated_by == "event",
            "by_buyer": "buyer" in by,
            "by_reason": "reason" in by,
            "only_user": question.only_user,
            "begins": [span.start for span in spans],
            "ends": [span.end for span in spans],
            "seconds": [span.seconds for span in spans],
            "endpoints": [endpoint for endpoint, _, _, _ in places],
            "versions": [version for _, version, _, _ in places],
            "places": [place for _, _, place, _ in places],
            "buyers": [buyer for _, _, _, buyer in places],
            "sort_key": by.index(question.sort) + 1 if is_group else None,
            "sort_number": COLUMNS.index(question.sort) + 1 if question.sort in COLUMNS else None,
            "down": bool(question.down),
            "most": question.limit,
        },
    )
    if not by and not found:
        return [Line([], _numbers(NOTHING, question))], 0
    return [Line(keys, _numbers(numbers, question)) for keys, numbers, _ in found], found[0][2] if found else 0


def is_hidden(column: str) -> bool:
    """From publishers: what buyers pay, what is kept of it, and how live buyers answer."""
    return any(word in column for word in ("live", "revenue", "margin"))


def _numbers(values: Sequence[float | None], question: Question) -> Numbers:
    named = dict[str, Any]()
    for name, value in zip(COLUMNS, values, strict=True):
        hidden = question.only_user is not None and is_hidden(name)
        shown = None if hidden else value
        named[name] = shown if shown is None or name in WITH_FRACTIONS else int(shown)
    return Numbers(**named)
