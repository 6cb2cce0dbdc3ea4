"""Hours and days become files. Any step may be lost, repeated or late, and two runs may meet: a new file is put first,
then it counts, then what it was made from is done with. Who meets another run leaves the work to the next one."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from shared.domain.models import DAY
from shared.domain.objections import Refused
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal import parquet
from shared.journal.database import Database, FileUnreadable, open_database
from shared.journal.manifest import FOLDERS, Contents, File, Kind, Manifest, Overtaken, new_id, written_at
from shared.journal.storage import NoSuchFile, Storage
from shared.store.erasures import Erasures, Forgotten

if TYPE_CHECKING:
    from shared.journal.pages import Mark, Pages

LATE_SECONDS = 600
"""How long after its end an hour becomes a file: most late pages are there by then."""
SWEEP_SECONDS = 3600
"""How often files are looked for that never counted, and days whose retention is over."""
FAULTS = (FileUnreadable, NoSuchFile, Refused, TemporarilyUnavailable, duckdb.Error)


class Files:
    """Methods raise an `ExceptionGroup` of what failed, when all else is done."""

    def __init__(self, manifest: Manifest, storage: Storage, pages: "Pages", erasures: Erasures) -> None:
        self.manifest = manifest
        self.storage = storage
        self.pages = pages
        self.erasures = erasures

    def close_hours(self, now: int) -> int:
        """Write the rows of each hour's new pages to its file, or to its day's; how many files of rows that made."""
        marks: defaultdict[int, list[Mark]] = defaultdict(list)
        for mark in self.pages.marked(now - LATE_SECONDS):
            marks[mark.hour // DAY * DAY].append(mark)
        closed = {file.day for file in self.manifest.read().files if file.kind == "day"}
        jobs: list[Callable[[], bool]] = []
        for day, some in marks.items():
            if day in closed:
                jobs.append(partial(self._add, "day", day, some, now))
            else:
                jobs += [partial(self._add, "hour", mark.hour, [mark], now) for mark in some]
        return do_each(jobs)

    def close_days(self, now: int) -> int:
        """Join the files of each day that has ended and whose hours are all in files; how many days that were."""
        marked = {mark.hour // DAY * DAY for mark in self.pages.marked(now)}
        contents = self.manifest.read()
        due = [
            (day, files)
            for day, files in contents.by_day().items()
            if day + DAY + LATE_SECONDS <= now and day not in marked and all(file.kind == "hour" for file in files)
        ]
        return do_each([partial(self._join, day, files, contents.erasures, now) for day, files in due])

    def delete_replaced(self, now: int) -> int:
        """Delete files that have not counted for five minutes; how many."""
        due = [each for each in self.manifest.read().replaced if each.unused_at <= now]
        for each in due:
            self.storage.delete(each.name)
        if due:
            self.manifest.note_deleted(due)
        return len(due)

    def sweep_if_due(self, now: int, kept_days: Callable[[], int]) -> int:
        is_due = self.manifest.read().swept_at + SWEEP_SECONDS <= now
        return self.sweep(now, kept_days()) if is_due else 0

    def sweep(self, now: int, kept_days: int) -> int:
        """Forget days whose retention is over, and delete files that runs which died have left; how many of these."""
        self.manifest.forget(before=(now // DAY - kept_days) * DAY)
        strays = self.manifest.find_strays([name for folder in FOLDERS for name in self.storage.names(folder)])
        for name in strays:
            self.storage.delete(name)
        return len(strays)

    def has_strays(self, until: int) -> bool:
        """Whether a file from before `until` is left that does not count. It may hold a caller who was erased."""
        names = [name for folder in FOLDERS for name in self.storage.names(folder)]
        known = self.manifest.read().names()
        return any((written_at(name) or until + 1) <= until for name in names if name not in known)

    def _add(self, kind: Kind, start: int, marks: "Sequence[Mark]", now: int) -> bool:
        """The pages of marked hours into their file, or into that of their day."""
        contents = self.manifest.read()
        seen = contents.by_day().get(start // DAY * DAY, [])
        if (kind == "day") != any(file.kind == "day" for file in seen):
            raise Overtaken
        replaced = [file for file in seen if kind == "day" or file.start == start]
        stand = [file for file in replaced if file.kind == kind]
        erased = self.erasures.forgotten_since(start // DAY * DAY)
        with open_database() as database:
            lines = b"".join(self.pages.lines(mark.hour) for mark in marks)
            files = [self._fetch(database, file) for file in stand]
            rows = parquet.write_rows(database, files, lines, "rows.parquet", erased)
            is_longer = parquet.count_rows(database, rows) > sum(file.rows for file in stand)
            if is_longer:
                made = self._put(database, kind, start, rows, now)
                becomes = [*(file for file in seen if file not in replaced), *made]
                with self._deleting_strays(made):
                    self.manifest.change_day(start // DAY * DAY, seen, becomes, contents.erasures)
        for mark in marks:
            self.pages.unmark(mark)
        return is_longer

    def forget(self, forgotten: Sequence[Forgotten], now: int) -> bool:
        """Remove callers from the files that count. Whether no file has them any more: one that another run replaced
        meanwhile has to be looked at again. Files of later runs leave out everybody in `erasures`."""
        contents = self.manifest.count_erasure()
        jobs = [partial(self._forget, file, contents, forgotten, now) for file in contents.files if file.kind != "cube"]
        return do_each(jobs) == len(jobs)

    def _forget(self, file: File, contents: Contents, forgotten: Sequence[Forgotten], now: int) -> bool:
        with open_database() as database:
            kept = self._fetch(database, file)
            if parquet.has_forgotten(database, kept, forgotten):
                rows = parquet.write_rows(database, [kept], b"", "rows.parquet", forgotten)
                content = rows.read_bytes()
                made = File(file.kind, file.start, new_id(now), file.rows, len(content))
                self.storage.put(made.name, content)
                with self._deleting_strays([made]):
                    self.manifest.replace_file(file, made, contents.erasures)
        return True

    def _join(self, day: int, hours: Sequence[File], erasures: int, now: int) -> bool:
        erased = self.erasures.forgotten_since(day)
        with open_database() as database:
            files = [self._fetch(database, file) for file in hours]
            rows = parquet.write_rows(database, files, b"", "rows.parquet", erased)
            made = self._put(database, "day", day, rows, now)
            with self._deleting_strays(made):
                self.manifest.change_day(day, hours, made, erasures)
        return True

    @contextmanager
    def _deleting_strays(self, made: Sequence[File]) -> Iterator[None]:
        """Files of a run that was overtaken never count, unless they did at once and the answer was lost."""
        try:
            yield
        except Overtaken:
            known = self.manifest.read().names()
            for file in made:
                if file.name not in known:
                    self.storage.delete(file.name)
            raise

    def _fetch(self, database: Database, file: File) -> Path:
        return database.keep(f"{file.id}.parquet", self.storage.get(file.name))

    def _put(self, database: Database, kind: Kind, start: int, rows: Path, now: int) -> list[File]:
        """Rows, and of a day its cube too."""
        made = {kind: rows} | ({"cube": parquet.write_cube(database, rows, "cube.parquet")} if kind == "day" else {})
        files: list[File] = []
        for each, path in made.items():
            content = path.read_bytes()
            files.append(File(each, start, new_id(now), parquet.count_rows(database, path), len(content)))
            self.storage.put(files[-1].name, content)
        return files


def do_each(jobs: Iterable[Callable[[], bool | int]]) -> int:
    """The sum of what they give. One that fails stops no other; then an `ExceptionGroup` is raised."""
    done, failures = 0, list[Exception]()
    for job in jobs:
        try:
            done += job()
        except Overtaken:
            continue
        except (*FAULTS, ExceptionGroup) as failure:
            failures.append(failure)
    if failures:
        raise ExceptionGroup("files of the journal", failures)
    return done
