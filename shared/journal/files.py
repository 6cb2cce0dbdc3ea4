"""Hours and days become files. Any step may be lost, repeated or late, and two runs may meet: a new file is put first,
then it counts, then what it was made from is done with. Who meets another run leaves the work to the next one."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from shared.domain.models import DAY
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal import parquet
from shared.journal.database import Database, open_database
from shared.journal.manifest import FOLDERS, File, Kind, Manifest, Overtaken, new_id
from shared.journal.storage import NoSuchFile, Storage

if TYPE_CHECKING:
    from shared.journal.pages import Mark, Pages

LATE_SECONDS = 600
"""How long after its end an hour becomes a file: most late pages are there by then."""
SWEEP_SECONDS = 3600
"""How often files are looked for that never counted, and days whose retention is over."""
FAULTS = (NoSuchFile, TemporarilyUnavailable, duckdb.Error)


class Files:
    """Methods raise an `ExceptionGroup` of what failed, when all else is done."""

    def __init__(self, manifest: Manifest, storage: Storage, pages: "Pages") -> None:
        self.manifest = manifest
        self.storage = storage
        self.pages = pages

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
        due = [
            (day, files)
            for day, files in self.manifest.read().by_day().items()
            if day + DAY + LATE_SECONDS <= now and day not in marked and all(file.kind == "hour" for file in files)
        ]
        return do_each([partial(self._join, day, files, now) for day, files in due])

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

    def _add(self, kind: Kind, start: int, marks: "Sequence[Mark]", now: int) -> bool:
        """The pages of marked hours into their file, or into that of their day."""
        seen = self._files_of(start)
        if (kind == "day") != any(file.kind == "day" for file in seen):
            raise Overtaken
        replaced = [file for file in seen if kind == "day" or file.start == start]
        stand = [file for file in replaced if file.kind == kind]
        with open_database() as database:
            lines = b"".join(self.pages.lines(mark.hour) for mark in marks)
            rows = parquet.write_rows(database, [self._fetch(database, file) for file in stand], lines, "rows.parquet")
            is_longer = parquet.count_rows(database, rows) > sum(file.rows for file in stand)
            if is_longer:
                made = self._put(database, kind, start, rows, now)
                self.manifest.change_day(start // DAY * DAY, seen, [*(f for f in seen if f not in replaced), *made])
        for mark in marks:
            self.pages.unmark(mark)
        return is_longer

    def _join(self, day: int, hours: Sequence[File], now: int) -> bool:
        with open_database() as database:
            files = [self._fetch(database, file) for file in hours]
            rows = parquet.write_rows(database, files, b"", "rows.parquet")
            self.manifest.change_day(day, hours, self._put(database, "day", day, rows, now))
        return True

    def _files_of(self, start: int) -> list[File]:
        return self.manifest.read().by_day().get(start // DAY * DAY, [])

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
