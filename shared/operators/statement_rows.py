"""The rows of the journal that statements count."""

from collections.abc import Iterable, Iterator

from shared.configuration import retention_of
from shared.domain.models import DAY
from shared.domain.objections import NotValid, Refused
from shared.journal.database import FileUnreadable, TooMuch, open_rows
from shared.journal.fetching import HOUR, LENGTH, Found
from shared.journal.manifest import WRITING_SECONDS, File, written_at
from shared.journal.periods import Period
from shared.journal.statements import Tallies, Tally, Wanted, oldest_owed
from shared.journal.storage import NoSuchFile
from shared.operators.access import Office
from shared.operators.journal_rows import TRIES, read_sources
from shared.operators.shown_statements import month_of, months_back
from shared.store.statements import Closing, Statements

MOST_BYTES = 1_000_000_000
"""Of rows that are read for a request; a command reads any number."""
PIECE_BYTES = 100_000_000
"""Of rows that are read at once."""


def first_months(office: Office, party: str | None, end: int, zone: str) -> dict[str, str]:
    """Since which month the journal has something of parties, if before `end`: by party."""
    try:
        sources = read_sources(office, Period(0, end), by_cube=True)
        with open_rows(sources) as database:
            oldest = oldest_owed(database, sources, party, end)
    except TooMuch as much:
        raise NotValid(
            {"period": [f"cannot be closed by what the journal has in days that are open. {much}"]}
        ) from None
    except FileUnreadable as unreadable:
        raise Refused(str(unreadable)) from None
    return {each: month_of(moment, zone) for each, moment in oldest.items()}


def count(
    office: Office, wanted: Wanted, before: Iterable[Closing], most_bytes: int | None = MOST_BYTES
) -> dict[str, Tally]:
    """`before` are the last closed statements of the parties of `wanted.starts`. Raises `NotValid` and `Refused`."""
    closed_at = min((closing.at for closing in before), default=None)

    def keys_of(party: str, since: int) -> Iterator[bytes]:
        store = Statements(office.records.dynamo)
        return (store.read(closing).keys for closing in store.find(party, months_back(office)) if closing.end > since)

    files = office.open_files()
    for _ in range(TRIES):
        found, tallies = _find_rows(office, wanted, closed_at), Tallies(wanted, keys_of)
        if most_bytes and found.bytes > most_bytes:
            said = f"has {found.bytes / 1e6:,.0f} MB of rows; {most_bytes / 1e6:,.0f} MB are read here. Use the command"
            raise NotValid({"period": [f"{said} `statements`, which reads any number"]})
        try:
            for piece in _pieces(found):
                with open_rows(files.fetch(piece), is_bounded=False) as database:
                    tallies.add(database)
        except NoSuchFile:
            continue
        except FileUnreadable as unreadable:
            raise Refused(str(unreadable)) from None
        return dict(tallies.found)
    raise Refused("A file of the journal is missing.")


def _find_rows(office: Office, wanted: Wanted, closed_at: int | None) -> Found:
    """Where rows are that may count. They happened in the period or later, while calls and updates may come; or they
    came to the journal after the last statement was closed `closed_at` a time: then their file was written since."""
    records = office.records
    lead_seconds = retention_of(records.versions.last_read().parts).lead_days * DAY
    start = min([wanted.start, *wanted.starts.values()]) - HOUR
    end = min(records.now() + HOUR, wanted.end + lead_seconds + DAY)
    found = office.open_files().files_of(start if closed_at is None else 0, end)
    if closed_at is None:
        return found
    written_since = closed_at - WRITING_SECONDS

    def may_count(file: File) -> bool:
        return file.start + LENGTH[file.kind] > start or (written_at(file.name) or 0) >= written_since

    return Found(tuple(file for file in found.files if may_count(file)), (), found.hours)


def _pieces(found: Found) -> Iterator[Found]:
    """In days, whose rows may be in a file and in pages: as many together as are quickly read."""
    files, hours, size = list[File](), list[int](), 0
    for day in sorted({file.day for file in found.files} | {hour // DAY * DAY for hour in found.hours}):
        of_day = [file for file in found.files if file.day == day]
        if size and size + sum(file.bytes for file in of_day) > PIECE_BYTES:
            yield Found(tuple(files), (), tuple(hours))
            files, hours, size = [], [], 0
        files, size = files + of_day, size + sum(file.bytes for file in of_day)
        hours += [hour for hour in found.hours if hour // DAY * DAY == day]
    if files or hours:
        yield Found(tuple(files), (), tuple(hours))
