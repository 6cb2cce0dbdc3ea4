"""What upkeep asks of rows, a day at a time: however many rows there are, a day of them is opened at once."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from shared.domain.models import DAY
from shared.journal.database import Database, FileUnreadable, open_rows
from shared.journal.fetching import Fetching, Sources
from shared.journal.storage import NoSuchFile

TRIES = 3
"""A file may be replaced after it was found."""


class Counted(Struct, frozen=True):
    """Which sales a cap counts: those to a buyer from `start` on, in an endpoint or, if that is empty, in all."""

    buyer_id: int
    start: int
    endpoint: str


class Sold(Struct):
    sales: int = 0
    cents: int = 0


def find_pings(fetching: Fetching, callers: Sequence[str], start: int, until: int) -> set[bytes]:
    """The ids of the pings whose leads are of callers, by the starts of their keyed hashes, of what happened from
    `start` to `until`. Raises `FileUnreadable` and `TemporarilyUnavailable`."""
    values = {"callers": [*callers], "until": until}
    return {
        bytes.fromhex(ping)
        for database in _days(fetching, start, until + 1)
        for [ping] in database.ask("pings_of_callers.sql", values)
    }


def find_calls(
    fetching: Fetching, callers: Sequence[str], pings: Collection[str], start: int, until: int
) -> set[bytes]:
    """The ids of the calls of callers, by the starts of their keyed hashes, and of those that came for `pings`, by
    their ids in hexadecimal, of what happened from `start` to `until`. Raises `FileUnreadable` and
    `TemporarilyUnavailable`."""
    values = {"callers": [*callers], "pings": [*pings], "until": until}
    return {
        bytes.fromhex(call)
        for database in _days(fetching, start, until + 1)
        for [call] in database.ask("calls_of.sql", values)
    }


def find_unsettled(fetching: Fetching, start: int, end: int) -> list[bytes]:
    """The ids of pings of which a live buyer may have agreed to a sale that was not recorded, as far as rows tell.
    Raises `FileUnreadable` and `TemporarilyUnavailable`."""
    balances: Counter[str] = Counter()
    for database in _days(fetching, start, end):
        balances.update(dict(database.ask("unsettled.sql", {})))
    return [bytes.fromhex(ping) for ping, balance in balances.items() if balance > 0]


def count_sold(fetching: Fetching, wanted: Sequence[Counted], start: int, end: int) -> list[Sold]:
    """What was sold, in the order of `wanted`; of revenue what caps have counted. Raises `FileUnreadable` and
    `TemporarilyUnavailable`."""
    found = [Sold() for _ in wanted]
    values = {
        "places": [*range(len(wanted))],
        "buyers": [each.buyer_id for each in wanted],
        "starts": [each.start for each in wanted],
        "endpoints": [each.endpoint for each in wanted],
    }
    for database in _days(fetching, start, end):
        for place, sales, cents in database.ask("cap_sales.sql", values):
            found[place].sales += sales
            found[place].cents += cents
    return found


def _days(fetching: Fetching, start: int, end: int) -> Iterator[Database]:
    """A database of the rows of each day that has some from `start` on and before `end`; it may have others."""
    found = fetching.files_of(start, end)
    for day in sorted({file.day for file in found.files} | {hour // DAY * DAY for hour in found.hours}):
        with open_rows(_read_day(fetching, day), is_bounded=False) as database:
            yield database


def _read_day(fetching: Fetching, day: int) -> Sources:
    for _ in range(TRIES):
        try:
            return fetching.fetch(fetching.files_of(day, day + DAY))
        except NoSuchFile:
            continue
    raise FileUnreadable("A file of the journal is missing.")
