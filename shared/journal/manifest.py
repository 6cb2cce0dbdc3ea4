"""The manifest: which files of the journal count. An item of the journal table, by `pk` and `sk`:

    MANIFEST   MANIFEST   version: how often it was changed; contents, packed

A file is written under a name of its own, never changed, and counts while the manifest has it. One that was replaced is
deleted minutes later: a reader may have begun with it.
"""

import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.models import DAY
from shared.store.dynamo import ConditionFailed, Dynamo
from shared.store.items import as_bytes, as_number, bytes_of, number_of, table_key
from shared.store.packing import pack, unpack

READING_SECONDS = 300
"""How long a reader may need a file that does not count any more."""
WRITING_SECONDS = 3600
"""When a file that was written and never counted is nobody's: who wrote it is dead, and no write of it comes now."""
KEY = table_key("MANIFEST", "MANIFEST")
IS_NEW, IS_UNCHANGED = "attribute_not_exists(pk)", "version = :version"
NAME = re.compile(r"(hours|days|cubes)/day=[^/]+/(hour=\d\d/)?(\d+)-\w+\.parquet", re.ASCII)
FOLDERS = ("hours/", "days/", "cubes/")


Kind = Literal["hour", "day", "cube"]


class Overtaken(Exception):
    """Another run has changed the files of the day."""


class File(Struct, frozen=True, array_like=True):
    """The rows of an hour, or those of a day, or a day's counts; `start` is its beginning, UTC."""

    kind: Kind
    start: int
    id: str
    rows: int
    bytes: int

    @property
    def day(self) -> int:
        return self.start // DAY * DAY

    @property
    def name(self) -> str:
        begin = datetime.fromtimestamp(self.start, UTC)
        hour = f"/hour={begin:%H}" if self.kind == "hour" else ""
        return f"{self.kind}s/day={begin:%Y-%m-%d}{hour}/{self.id}.parquet"


class Replaced(Struct, frozen=True, array_like=True):
    """The name of a file that does not count any more, and when it may be deleted."""

    name: str
    unused_at: int


class Contents(Struct, frozen=True, array_like=True):
    """`swept_at` is when it was last looked for files that are nobody's. `erasures` is how many callers were erased:
    a file that was begun before the last of them may have it."""

    files: tuple[File, ...] = ()
    replaced: tuple[Replaced, ...] = ()
    swept_at: int = 0
    erasures: int = 0

    def names(self) -> set[str]:
        """Of all files that count, or did minutes ago."""
        return {file.name for file in self.files} | {each.name for each in self.replaced}

    def by_day(self) -> dict[int, list[File]]:
        found: defaultdict[int, list[File]] = defaultdict(list)
        for file in self.files:
            found[file.day].append(file)
        return dict(found)


def new_id(now: int) -> str:
    """Of a file that is written now."""
    return f"{now}-{secrets.token_hex(4)}"


def written_at(name: str) -> int | None:
    """None for what is no name of a file of the manifest."""
    found = NAME.fullmatch(name)
    return int(found[3]) if found else None


class Manifest:
    """`now` is the clock, in seconds since the epoch. Methods raise `TemporarilyUnavailable`."""

    def __init__(self, dynamo: Dynamo, now: Callable[[], int]) -> None:
        self.dynamo = dynamo
        self.now = now

    def read(self) -> Contents:
        return self._read()[1]

    def change_day(self, day: int, seen: Collection[File], becomes: Collection[File], erasures: int) -> None:
        """Let other files count for a day than those that were seen, when there were so many `erasures`. Raises
        `Overtaken`."""

        def change(contents: Contents) -> Contents:
            if contents.erasures != erasures:
                raise Overtaken
            found = {file for file in contents.files if file.day == day}
            if found == {*becomes}:
                return contents
            if found != {*seen}:
                raise Overtaken
            kept = tuple(file for file in contents.files if file.day != day)
            gone = found - {*becomes}
            return replace(contents, files=(*kept, *becomes), replaced=self._with_replaced(contents, gone))

        self._change(change)

    def replace_file(self, file: File, made: File, erasures: int) -> None:
        """Let `made` count in the place of a file. Raises `Overtaken`, where that does not count any more."""

        def change(contents: Contents) -> Contents:
            if made in contents.files:
                return contents
            if contents.erasures != erasures or file not in contents.files:
                raise Overtaken
            files = tuple(made if each == file else each for each in contents.files)
            return replace(contents, files=files, replaced=self._with_replaced(contents, [file]))

        self._change(change)

    def count_erasure(self) -> Contents:
        """Count one more erasure. A file that was begun earlier can no longer be made to count."""
        return self._change(lambda contents: replace(contents, erasures=contents.erasures + 1))

    def forget(self, before: int) -> None:
        """The files of days before do not count any more."""

        def change(contents: Contents) -> Contents:
            gone = [file for file in contents.files if file.day < before]
            kept = tuple(file for file in contents.files if file.day >= before)
            return replace(contents, files=kept, replaced=self._with_replaced(contents, gone)) if gone else contents

        self._change(change)

    def note_deleted(self, deleted: Collection[Replaced]) -> None:
        self._change(
            lambda contents: replace(
                contents, replaced=tuple(each for each in contents.replaced if each not in {*deleted})
            )
        )

    def find_strays(self, names: Iterable[str]) -> list[str]:
        """Which of the names, listed before, are files that were written long ago and do not count. They never will: a
        change that was begun earlier is refused."""
        now = self.now()
        contents = self._change(lambda contents: replace(contents, swept_at=now))
        known = contents.names()
        ended = now - WRITING_SECONDS
        return [name for name in names if name not in known and (written_at(name) or ended) < ended]

    def _with_replaced(self, contents: Contents, gone: Iterable[File]) -> tuple[Replaced, ...]:
        unused_at = self.now() + READING_SECONDS
        return (*contents.replaced, *(Replaced(file.name, unused_at) for file in gone))

    def _read(self) -> tuple[int, Contents]:
        item = self.dynamo.get(self.dynamo.settings.journal_table, KEY)
        return (number_of(item, "version"), unpack(bytes_of(item, "contents"), Contents)) if item else (0, Contents())

    def _change(self, change: Callable[[Contents], Contents]) -> Contents:
        """What it is then. A write that is lost, repeated or late meets another version and does nothing."""
        while True:
            version, found = self._read()
            wanted = change(found)
            if wanted == found:
                return found
            try:
                self._write(version, wanted)
            except ConditionFailed:
                continue  # by another run, or by this one, whose first sending was done after all
            return wanted

    def _write(self, version: int, contents: Contents) -> None:
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.dynamo.settings.journal_table,
            Item={**KEY, "version": as_number(version + 1), "contents": as_bytes(pack(contents))},
            **(
                {"ConditionExpression": IS_UNCHANGED, "ExpressionAttributeValues": {":version": as_number(version)}}
                if version
                else {"ConditionExpression": IS_NEW}
            ),
        )
