"""Reports for people: ranges by their names, and what a publisher may ask."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from shared.domain.objections import NotValid, Refused
from shared.domain.readers import Reader
from shared.domain.schedule import read_zone
from shared.journal import periods, reports
from shared.journal.database import FileUnreadable, TooMuch
from shared.journal.events import BIDS, LETTERS
from shared.journal.periods import Period
from shared.journal.reports import COLUMNS, GROUPS, Numbers, Question, Report
from shared.operators import journal_rows
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.athena_query import write_query
from shared.operators.dates import start_of_day
from shared.operators.names import buyer_names
from shared.store.compiled import Compiled, Memory
from shared.store.csv_text import csv_line

RANGES: dict[str, Callable[[date], tuple[date, date]]] = {
    "today": lambda today: (today, today),
    "yesterday": lambda today: (today - timedelta(1), today - timedelta(1)),
    "last_7_days": lambda today: (today - timedelta(6), today),
    "last_30_days": lambda today: (today - timedelta(29), today),
    "this_week": lambda today: (monday := today - timedelta(today.weekday()), monday + timedelta(6)),
    "this_month": lambda today: (today.replace(day=1), _last_of_month(today)),
    "last_month": lambda today: ((last := today.replace(day=1) - timedelta(1)).replace(day=1), last),
}
"""The first and the last day, by today's date. Today is one of the last 7 and of the last 30 days."""
OPERATORS_GROUPS = ("offer", "buyer", "reason")
"""What publishers do not group by."""
REASONS = {letter: str(rule) for rule, letter in LETTERS.items()} | {BIDS: "bid"}
"""What a letter of a ping's reasons means."""
LAST_YEAR = 9000
DIGITS, ID_DIGITS = 5, 10


class Wanted(Struct, frozen=True, kw_only=True):
    """As it was typed or sent. A `range` by its name, or the first and the last day, `start` and `end`; `by` are
    groups with commas between them; `order` is up or down; `numbers` is all or counts."""

    range: str = ""
    start: str = ""
    end: str = ""
    zone: str = ""
    by: str = ""
    sort: str = ""
    order: str = ""
    dated_by: str = ""
    limit: str = ""
    numbers: str = ""


class Group(Struct, frozen=True):
    """What a line of a report is about, by the names of groups, and what a buyer among them is called."""

    keys: dict[str, str]
    buyer_name: str | None
    numbers: Numbers


class Before(Struct, frozen=True):
    """The period before, from `start` to before `end`."""

    start: int
    end: int
    numbers: Numbers


class Counted(Struct, frozen=True):
    """A report from `start` to before `end`, seconds since the epoch. `groups` is how many there are; `items` has the
    first of them."""

    start: int
    end: int
    zone: str
    by: list[str]
    sort: str
    order: str
    dated_by: str
    items: list[Group]
    groups: int
    total: Numbers
    before: Before


def read_report(office: Office, reader: Reader, wanted: Wanted) -> Report:
    """Raises `NotValid`, and `Refused` where a file cannot be read."""
    question = read_question(office, reader, wanted)
    now = office.records.now()
    before = reports.find_period_before(question, now)
    try:
        called = Period(before.start, question.period.end + journal_rows.called_seconds(office))
        sources = journal_rows.read_sources(office, called, question.of_cubes)
        versions = {}
        if reports.is_of_buyers(question):
            versions = buyers_of(office, reports.read_versions(sources))
        return reports.read_report(question, now, sources, versions)
    except TooMuch as much:
        raise NotValid(_offer(question, reader, much)) from None
    except FileUnreadable as unreadable:
        raise Refused(f"{unreadable} Ask for a range without it.") from None


def _offer(question: Question, reader: Reader, much: TooMuch) -> dict[str, list[str]]:
    """What can be asked in place of a question that reads too much."""
    offer = {"to": [f"is too far from the first day. {much}"]}
    if not question.of_cubes and not any(name in reports.NOT_IN_CUBES for name in question.by):
        offer["numbers"] = ["can be counts: a report without times and live buyers, which reads less"]
    if reader.sees_all and (query := write_query(question)):
        offer["athena"] = [query]
    return offer


def read_question(office: Office, reader: Reader, wanted: Wanted) -> Question:
    """Raises `NotValid`, which names everything that is wrong."""
    wrong = dict[str, list[str]]()
    zone = wanted.zone or account_zone(office)
    sort = f"{wanted.sort}_cents" if f"{wanted.sort}_cents" in reports.COLUMNS else wanted.sort
    by = tuple(name.strip() for name in wanted.by.split(",") if name.strip())
    if not reader.sees_all and (hidden := [name for name in by if name in OPERATORS_GROUPS]):
        wrong["by"] = [f"{hidden[0]} is for operators; you can group by {', '.join(groups_of(reader))}"]
    if sort and sort not in (*by, *columns_of(reader)):
        wrong["sort"] = [f"must be one of {', '.join([*by, *columns_of(reader)])}"]
    if wanted.order not in ("", "up", "down"):
        wrong["order"] = ["must be up or down"]
    period = Period(0, 1)
    try:
        period = _period(office.records.now(), wanted, zone)
    except NotValid as invalid:
        wrong |= {name: [*said] for name, said in invalid.errors.items()}
    if wanted.numbers not in ("", "all", "counts"):
        wrong["numbers"] = ["must be all or counts"]
    is_number = wanted.limit.isascii() and wanted.limit.isdecimal() and len(wanted.limit) <= DIGITS
    question = Question(
        period=period,
        zone=zone,
        by=by,
        dated_by=wanted.dated_by or "sale",
        only_user=reader.limited_to,
        sort=sort,
        down=wanted.order == "down" if wanted.order else None,
        of_cubes=wanted.numbers == "counts",
        limit=int(wanted.limit) if is_number else 0 if wanted.limit else 100,
    )
    try:
        checked = reports.check(question)
    except NotValid as invalid:
        wrong = {name: [*said] for name, said in invalid.errors.items()} | wrong
    if wrong:
        raise NotValid(wrong)
    return checked


def read_period(office: Office, wanted: Wanted) -> tuple[Period, str]:
    """The range that is wanted, and its zone. Raises `NotValid`."""
    zone = wanted.zone or account_zone(office)
    period = _period(office.records.now(), wanted, zone)
    if period.seconds > reports.MOST_SECONDS:
        raise NotValid({"to": ["may be up to ten years after the first day"]})
    return period, zone


def groups_of(reader: Reader) -> list[str]:
    return [name for name in GROUPS if reader.sees_all or name not in OPERATORS_GROUPS]


def columns_of(reader: Reader) -> list[str]:
    return [name for name in COLUMNS if reader.sees_all or not reports.is_hidden(name)]


def describe(office: Office, report: Report) -> Counted:
    """With names beside the ids of buyers."""
    question = report.question
    names = buyer_names(office) if "buyer" in question.by else {}
    return Counted(
        start=question.period.start,
        end=question.period.end,
        zone=question.zone,
        by=[*question.by],
        sort=question.sort,
        order="down" if question.down else "up",
        dated_by=question.dated_by,
        items=[_group(question, line, names) for line in report.lines],
        groups=report.groups,
        total=report.total,
        before=Before(report.period_before.start, report.period_before.end, report.before),
    )


def csv_of(counted: Counted, reader: Reader) -> str:
    """The groups as CSV: times of the report's zone, dollars, and the names of buyers beside their ids."""
    columns = columns_of(reader)
    head = [*_named(counted.by), *(name.removesuffix("_cents") for name in columns)]
    return "".join([csv_line(head), *_csv_lines(counted, columns)])


def _csv_lines(counted: Counted, columns: Iterable[str]) -> Iterable[str]:
    for group in counted.items:
        keys = group.keys | {"buyer_name": group.buyer_name or ""}
        values = asdict(group.numbers)
        yield csv_line([*(keys[name] for name in _named(counted.by)), *(_cell(name, values[name]) for name in columns)])


def _named(by: Iterable[str]) -> list[str]:
    return [name for group in by for name in ((group, "buyer_name") if group == "buyer" else (group,))]


def _cell(name: str, value: Any) -> Any:
    return f"{value / 100:.2f}" if name.endswith("_cents") and value is not None else value


def _group(question: Question, line: reports.Line, names: Mapping[int, str]) -> Group:
    keys = dict(zip(question.by, line.keys, strict=True))
    if reason := keys.get("reason"):
        keys["reason"] = REASONS.get(reason, reason)
    return Group(keys, names.get(int(keys["buyer"])) if keys.get("buyer") else None, line.numbers)


def _period(now: int, wanted: Wanted, zone: str) -> Period:
    """Raises `NotValid`."""
    try:
        read_zone(zone)
    except ValueError as error:
        raise NotValid({"zone": [str(error)]}) from None
    today = periods.local_day(now, zone)
    if not (wanted.start or wanted.end):
        if (wanted.range or "last_7_days") not in RANGES:
            raise NotValid({"range": [f"must be one of {', '.join(RANGES)}; or give `from` and `to`"]})
        return periods.days(*RANGES[wanted.range or "last_7_days"](today), zone)
    if wanted.range:
        raise NotValid({"range": ["stands for `from` and `to`; leave out it or them"]})
    first = _day(wanted.start, "from") if wanted.start else today
    last = _day(wanted.end, "to") if wanted.end else max(first, today)
    if last < first:
        raise NotValid({"to": ["must not be before the first day"]})
    if last.year > LAST_YEAR:
        raise NotValid({"to": [f"must not be after the year {LAST_YEAR}"]})
    return periods.days(first, last, zone)


def _day(text: str, named: str) -> date:
    """Raises `NotValid`."""
    return periods.local_day(start_of_day(text, 0, named), "UTC")


def _last_of_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(31)).replace(day=1) - timedelta(1)


def buyers_of(office: Office, versions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], list[int]]:
    """The ids of the buyers of endpoints' versions, in their order, without the versions that are gone."""
    found = Compiled(office.records.dynamo, Memory()).versions(versions)
    return dict(sorted(((each.vanity_uri, each.version), [buyer.id for buyer in each.buyers]) for each in found))
