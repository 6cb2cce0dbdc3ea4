"""Where the rows of a range are, and a database of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.domain.objections import NotValid, Refused
from shared.journal.database import MOST_BYTES, Database, FileUnreadable, TooMuch, open_rows
from shared.journal.fetching import Sources
from shared.journal.periods import Period
from shared.journal.storage import NoSuchFile
from shared.operators.access import Office

TRIES = 2
"""A file may be replaced after it was found."""


@contextmanager
def open_period(office: Office, period: Period, named: str = "to") -> Iterator[Database]:
    """A database of the rows of a range; it may have others, too. Raises `NotValid`, which says that `named` is too
    late, and `Refused` where a file cannot be read."""
    try:
        with open_rows(read_sources(office, period)) as database:
            yield database
    except TooMuch as much:
        raise NotValid({named: [f"is too late, or the first day too early. {much}"]}) from None
    except FileUnreadable as unreadable:
        raise Refused(f"{unreadable} Ask for a range without it.") from None


def read_sources(office: Office, period: Period) -> Sources:
    """The files of the range, brought to this machine, and the pages of its open hours. Raises `TooMuch` and
    `FileUnreadable`."""
    files = office.open_files()
    for _ in range(TRIES):
        found = files.files_of(period.start, period.end)
        if found.bytes > MOST_BYTES:
            raise TooMuch(found.bytes)
        try:
            return files.fetch(found)
        except NoSuchFile:
            continue
    raise FileUnreadable("A file of the journal is missing.")
