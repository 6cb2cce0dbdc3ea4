"""Who sends what: users and their traffic sources, counted by day."""

from msgspec import Struct

from shared.domain.models import DAY
from shared.domain.objections import NotValid
from shared.domain.readers import Reader
from shared.operators.access import Office
from shared.operators.day import start_of_day
from shared.store.csv_text import csv_lines
from shared.store.totals import Source

DAYS, EXPORTED_DAYS = 5, 31
"""The most days of a page of traffic sources, and of its file."""


class Sources(Struct, frozen=True):
    """The days from `start` to the one before `end`; those that paid most first."""

    start: int
    end: int
    sources: list[Source]
    total: Source


def sources(office: Office, reader: Reader, start: str, end: str, most: int = DAYS) -> Sources:
    """By user and traffic source, from the first to the last of some days. Raises `NotValid`."""
    now = office.records.now()
    first = start_of_day(start, now, "from")
    last = start_of_day(end, first if start else now, "to")
    if last < first:
        raise NotValid({"to": ["must not be before the first day"]})
    if last - first >= most * DAY:
        raise NotValid({"to": [f"may be up to {most} days after the first, itself among them"]})
    found = office.journal.sources(first, last + DAY, reader.limited_to)
    found.sort(key=lambda source: (-source.payout_cents, -source.pings, source.user, source.source))
    everything = Source(
        user="",
        source="",
        asked=sum(source.asked for source in found),
        pings=sum(source.pings for source in found),
        sales=sum(source.sales for source in found),
        revenue_cents=sum(source.revenue_cents or 0 for source in found) if reader.sees_all else None,
        payout_cents=sum(source.payout_cents for source in found),
    )
    return Sources(first, last + DAY, found, everything)


def export_sources(office: Office, reader: Reader, start: str, end: str) -> str:
    """The same as CSV, of more days. Raises `NotValid`."""
    found = sources(office, reader, start, end, EXPORTED_DAYS)
    names = [name for name in Source.__struct_fields__ if name != "revenue_cents" or reader.sees_all]
    return "".join(csv_lines(found.sources, names))
