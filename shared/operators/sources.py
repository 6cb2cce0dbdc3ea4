"""Who sends what: users and their traffic sources, counted over some days."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.readers import Reader
from shared.journal import counts
from shared.journal.counts import TrafficSource
from shared.journal.periods import Period
from shared.operators import journal_rows, reports
from shared.operators.access import Office
from shared.operators.reports import Wanted
from shared.store.csv_text import csv_line

NUMBERS = ("pings", "unmatched", "refused", "sales")


class TrafficSources(Struct, frozen=True):
    """From `start` to before `end`. `sources` is how many there are; `items` has the first of them, those with the most
    payout first, and `total` is the sum of all."""

    start: int
    end: int
    zone: str
    items: list[TrafficSource]
    sources: int
    total: TrafficSource


def count_sources(office: Office, reader: Reader, wanted: Wanted) -> TrafficSources:
    """By user and traffic source; today without a range. Raises `NotValid`, and `Refused` where a file cannot be
    read."""
    has_range = wanted.range or wanted.start or wanted.end
    question = reports.read_question(office, reader, wanted if has_range else replace(wanted, range="today"))
    period = question.period
    called = Period(period.start, period.end + journal_rows.called_seconds(office))
    with journal_rows.open_period(office, called) as database:
        found, many, total = counts.count_sources(database, period, question.only_user, question.limit)
    return TrafficSources(period.start, period.end, question.zone, found, many, total)


def csv_of(found: TrafficSources, reader: Reader) -> str:
    """Amounts are dollars."""
    amounts = ("revenue", "payout") if reader.sees_all else ("payout",)
    return "".join([csv_line(["user", "source", *NUMBERS, *amounts]), *_csv_lines(found.items, amounts)])


def _csv_lines(found: Iterable[TrafficSource], amounts: Iterable[str]) -> Iterable[str]:
    for source in found:
        numbers = [getattr(source, name) for name in NUMBERS]
        dollars = [f"{getattr(source, f'{name}_cents') / 100:.2f}" for name in amounts]
        yield csv_line([source.user, source.source, *numbers, *dollars])
