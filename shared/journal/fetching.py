"""What a question reads: the files of its time, and the pages that no file has yet."""

import os
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from shared.domain.models import DAY
from shared.journal.manifest import Contents, File, Kind, Manifest
from shared.journal.storage import Folder, Storage

if TYPE_CHECKING:
    from shared.journal.pages import Pages

HOUR = 3600
CACHED_BYTES = 450_000_000
LENGTH: dict[Kind, int] = {"hour": HOUR, "day": DAY, "cube": DAY}
"""Seconds that a file is about."""


class Found(Struct, frozen=True):
    """Where the rows of a time are: files of rows, cubes in place of other files, and hours whose pages have some that
    no file may have."""

    files: tuple[File, ...]
    cubes: tuple[File, ...]
    hours: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of the files, cubes included."""
        return sum(file.bytes for file in (*self.files, *self.cubes))


class Sources(Struct, frozen=True):
    """The same on this machine. A row of `lines` may be in `files`, too, and counts once."""

    files: tuple[Path, ...] = ()
    lines: bytes = b""
    cubes: tuple[Path, ...] = ()


class Fetching:
    """Files are kept in a folder that no other process has; `pool` fetches several at once."""

    def __init__(
        self,
        manifest: Manifest,
        storage: Storage,
        pages: "Pages",
        folder: Path,
        pool: Executor,
        most_bytes: int = CACHED_BYTES,
    ) -> None:
        self.manifest = manifest
        self.storage = storage
        self.pages = pages
        self.cache = Folder(folder)
        self.pool = pool
        self.most_bytes = most_bytes

    def files_of(self, start: int, end: int, by_cube: bool = False) -> Found:
        """What has the rows from `start` on and before `end`, and others of the same hours or days. `by_cube` prefers a
        day's cube, where all its rows are in it. Raises `TemporarilyUnavailable`."""
        # Marks first: an hour that becomes a file after this look is in the manifest, and read twice, never missed.
        marked = [mark.hour for mark in self.pages.marked(end + HOUR)]
        hours = tuple(sorted(hour for hour in marked if hour < end and hour + HOUR > start))
        open_days = {hour // DAY * DAY for hour in hours}
        rows, cubes = list[File](), list[File]()
        contents = self.manifest.read()
        self._drop_deleted(contents)
        for file in sorted(contents.files, key=lambda file: file.start):
            if file.start >= end or file.start + LENGTH[file.kind] <= start:
                continue
            is_cubed = by_cube and file.kind != "hour" and file.day not in open_days
            if file.kind != "cube" and not is_cubed:
                rows.append(file)
            elif file.kind == "cube" and is_cubed:
                cubes.append(file)
        return Found(tuple(rows), tuple(cubes), hours)

    def fetch(self, found: Found) -> Sources:
        """Raises `NoSuchFile`, where a file was replaced more than five minutes ago, and `TemporarilyUnavailable`."""
        wanted = {file.name: file for file in (*found.files, *found.cubes)}
        self._make_room(wanted)
        paths = dict(zip(wanted, self.pool.map(self._path, wanted.values()), strict=True))
        return Sources(
            tuple(paths[file.name] for file in found.files),
            b"".join(self.pages.lines(hour) for hour in found.hours),
            tuple(paths[file.name] for file in found.cubes),
        )

    def _path(self, file: File) -> Path:
        path = self.cache.path / file.name
        if not path.exists():
            self.cache.put(file.name, self.storage.get(file.name))
        used = time.time_ns()  # the file system's own clock is too coarse to order two uses
        os.utime(path, ns=(used, used))
        return path

    def _drop_deleted(self, contents: Contents) -> None:
        """What is deleted, because a caller was erased for example, does not stay here either."""
        known = contents.names()
        for name in self.cache.names(""):
            if name not in known:
                self.cache.delete(name)

    def _make_room(self, wanted: dict[str, File]) -> None:
        """Delete what was not used for longest, until all that is wanted has room; it may be more than there is."""
        others = [self.cache.path / name for name in self.cache.names("") if name not in wanted]
        others.sort(key=lambda path: path.stat().st_mtime_ns)
        size = sum(path.stat().st_size for path in others) + sum(file.bytes for file in wanted.values())
        for path in others:
            if size <= self.most_bytes:
                return
            size -= path.stat().st_size
            path.unlink()
