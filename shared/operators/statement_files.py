"""Statements as CSV for people: times of the account's zone, dollars."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from shared.operators.log_files import dollars, time_on
from shared.operators.shown_statements import Correction, Line, Statement, Total
from shared.store.csv_text import csv_line

NUMBERS = ("sales", "calls", "converted", "amount")
OF_ALL = (
    "period", "party", "name", "state", "closed", *NUMBERS, *(f"corrections_{name}" for name in NUMBERS),
    *(f"total_{name}" for name in NUMBERS),
)  # fmt: skip
OF_ONE = (
    "period", "party", "what", "name", "time", "corrects_period", "call_id", "ping_id", "said_by", *NUMBERS,
)  # fmt: skip


def csv_of_all(statements: Iterable[Statement]) -> str:
    """A line for each."""
    lines = [csv_line(OF_ALL)]
    for each in statements:
        closed = time_on(each.closed_at, ZoneInfo(each.zone)) if each.closed_at else ""
        numbers = [*_numbers(each.own), *_numbers(each.corrects), *_numbers(each.total)]
        lines.append(csv_line([each.period, each.party, each.name, each.state, closed, *numbers]))
    return "".join(lines)


def csv_of(statement: Statement) -> str:
    """A line for each endpoint or offer, for each correction, and for the total. Corrections that are not listed have
    one line."""
    lines = [csv_line(OF_ONE)]

    def add(what: str, numbers: Iterable[object], name: str = "", *of_correction: object) -> None:
        cells = [*of_correction, *[""] * (5 - len(of_correction))]
        lines.append(csv_line([statement.period, statement.party, what, name, *cells, *numbers]))

    for line in statement.lines:
        add("line", _numbers(line), line.name)
    clock = ZoneInfo(statement.zone)
    for each in statement.corrections:
        numbers = (int(each.kind == "sale"), int(each.kind == "call"), each.converted, dollars(each.amount_cents))
        add(each.kind, numbers, "", time_on(each.at, clock), each.period, each.call_id, each.ping_id, each.by)
    if statement.unlisted:
        add("unlisted", _numbers(_unlisted(statement.corrects, statement.corrections)))
    add("total", _numbers(statement.total))
    return "".join(lines)


def _numbers(numbers: Line | Total) -> tuple[object, ...]:
    return numbers.sales, numbers.calls, numbers.converted, dollars(numbers.amount_cents)


def _unlisted(corrects: Total, listed: list[Correction]) -> Total:
    kinds = [each.kind for each in listed]
    return Total(
        corrects.sales - kinds.count("sale"),
        corrects.calls - kinds.count("call"),
        corrects.converted - sum(each.converted for each in listed),
        corrects.amount_cents - sum(each.amount_cents for each in listed),
    )
