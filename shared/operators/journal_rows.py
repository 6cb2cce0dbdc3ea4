"""Where the rows of a range are, and a database of them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from shared.domain.objections import NotValid, Refused
from shared.journal.database import MOST_BYTES, Database, FileUnreadable, TooMuch, open_rows
from shared.journal.fetching import HOUR, LENGTH, Found, Sources
from shared.journal.manifest import File
from shared.journal.periods import Period
from shared.journal.storage import NoSuchFile
from shared.operators.access import Office

TRIES = 2
"""A file may be replaced after it was found."""
QUICK_BYTES = 60_000_000
"""Of rows that are read to find some, before the search is interrupted: some two million."""
CALLED_SECONDS = 5 * HOUR
"""How long after its sale a call is settled, but for late ones."""
PAGES_BYTES = 10_000_000
"""What the pages of an hour are taken to have."""


def called_seconds(office: Office) -> int:
    """How long after a sale the row of its call comes, where any endpoint takes calls."""
    parts = office.records.versions.last_read().parts
    takes_calls = any(section == "endpoints" and "calls" in part for (section, _), part in parts.items())
    return CALLED_SECONDS if takes_calls else 0


@contextmanager
def open_period(
    office: Office, period: Period, named: str = "to", too_much: str = "is too far from the first day."
) -> Iterator[Database]:
    """A database of the rows of a range; it may have others, too. Raises `NotValid`, which says what is `too_much` of
    what is `named`, and `Refused` where a file cannot be read."""
    try:
        with open_rows(read_sources(office, period)) as database:
            yield database
    except TooMuch as much:
        raise NotValid({named: [f"{too_much} {much}"]}) from None
    except FileUnreadable as unreadable:
        raise Refused(f"{unreadable} Ask for a range without it.") from None


def read_sources(office: Office, period: Period, by_cube: bool = False) -> Sources:
    """The files of the range, brought to this machine, and the pages of its open hours. `by_cube` prefers cubes. Raises
    `TooMuch` and `FileUnreadable`."""
    files = office.open_files()
    for _ in range(TRIES):
        found = files.files_of(period.start, period.end, by_cube)
        if found.bytes > MOST_BYTES:
            raise TooMuch(found.bytes)
        try:
            return files.fetch(found)
        except NoSuchFile:
            continue
    raise FileUnreadable("A file of the journal is missing.")


@contextmanager
def open_newest(office: Office, period: Period, later_seconds: int = 0) -> Iterator[tuple[Database, int]]:
    """A database of the newest rows of a range, as many as are quickly read, with those of `later_seconds` behind it;
    and since when it has all of them. Raises `Refused` where a file cannot be read."""
    try:
        sources, since = _read_newest(office, period, later_seconds)
        with open_rows(sources) as database:
            yield database, since
    except TooMuch as much:
        raise Refused(f"{much}. Ask for a shorter range.") from None
    except FileUnreadable as unreadable:
        raise Refused(f"{unreadable} Ask for a range without it.") from None


def _read_newest(office: Office, period: Period, later_seconds: int) -> tuple[Sources, int]:
    files = office.open_files()
    for _ in range(TRIES):
        found, since = _newest(files.files_of(period.start, period.end + later_seconds), period)
        try:
            return files.fetch(found), since
        except NoSuchFile:
            continue
    raise FileUnreadable("A file of the journal is missing.")


def _newest(found: Found, period: Period) -> tuple[Found, int]:
    """The newest part of what was found, and since when it has all rows. It has those of the last hour, at least."""
    pieces: list[tuple[int, int, File | int]] = [
        *((file.start + LENGTH[file.kind], file.bytes, file) for file in found.files),
        *((hour + HOUR, PAGES_BYTES, hour) for hour in found.hours),
    ]
    taken, size = list[File | int](), 0
    for end, length, piece in sorted(pieces, key=lambda each: each[0], reverse=True):
        if taken and end < period.end and size + length > QUICK_BYTES:
            return _part(taken), end
        taken, size = [*taken, piece], size + length
    return _part(taken), period.start


def _part(pieces: Collection[File | int]) -> Found:
    return Found(
        tuple(piece for piece in pieces if isinstance(piece, File)),
        (),
        tuple(piece for piece in pieces if isinstance(piece, int)),
    )
