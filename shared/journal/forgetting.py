"""Taking callers out of the journal: of pages, of files, and of what was set aside."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.journal.consumer import Record
from shared.journal.dead_letters import Consume, DeadLetters
from shared.journal.files import Files
from shared.journal.manifest import READING_SECONDS
from shared.store.erasures import Forgotten
from shared.store.refused_requests import CALLER_BYTES


class Forgetting:
    """`consume` takes a batch of what was set aside; `now` is the clock, in seconds since the epoch. Methods raise
    `TemporarilyUnavailable`."""

    def __init__(self, files: Files, letters: DeadLetters, consume: Consume, now: Callable[[], int]) -> None:
        self.files = files
        self.letters = letters
        self.consume = consume
        self.now = now

    def pings_set_aside(self, forgotten: Forgotten) -> set[bytes]:
        """The ids of pings that only records say are of these callers: rows were never made of them."""
        return self._ids_set_aside("ping_id", forgotten)

    def calls_set_aside(self, forgotten: Forgotten) -> set[bytes]:
        """The same of calls."""
        return self._ids_set_aside("call_id", forgotten)

    def _ids_set_aside(self, key: str, forgotten: Forgotten) -> set[bytes]:
        return {
            some_id
            for records in self.letters.records().values()
            for record in records or ()
            if _is_about(record, forgotten)
            for some_id in _bytes_of(record, key)
        }

    def forget(self, forgotten: Forgotten) -> bool:
        """Whether pages, files that count and what was set aside have nothing of these callers any more. Records that
        still cannot be read are deleted, with what happened; a file that is not whole may hide some. Raises an
        `ExceptionGroup` where files cannot be read."""
        kept = self.letters.records()
        if any(_is_about(record, forgotten) for records in kept.values() for record in records or ()):
            self.letters.replay(self.consume)
            for name in kept:
                self.letters.remove(name, lambda record: _is_about(record, forgotten))
        self.files.pages.forget([forgotten])
        return self.files.forget([forgotten], self.now()) and None not in self.letters.records().values()

    def delete_old_files(self, rewritten_at: int) -> bool:
        """Whether no file is left that was begun before pages and files were without the callers. One that never
        counted is deleted by the sweep, when nobody writes it any more."""
        self.files.delete_replaced(self.now())
        replaced = self.files.manifest.read().replaced
        is_gone = all(each.unused_at > rewritten_at + READING_SECONDS for each in replaced)
        return is_gone and not self.files.has_strays(rewritten_at)


def _is_about(record: Record, forgotten: Forgotten) -> bool:
    """Whether a record of the stream, as far as it can be read, has a caller, or is of its ping or call."""
    change = record.get("dynamodb")
    at = change.get("ApproximateCreationDateTime", 0) if isinstance(change, Mapping) else 0
    moment = int(at) if isinstance(at, int | float) else 0
    pings = [some.hex() for name in ("ping_id", "of", "first") for some in _bytes_of(record, name)]
    calls = {some.hex() for some in _bytes_of(record, "call_id")}
    if not calls.isdisjoint(forgotten.calls):
        return True
    starts = [some[:CALLER_BYTES].hex() for name in ("caller", "caller_start") for some in _bytes_of(record, name)]
    return any(
        forgotten.has(caller, ping, moment) or ping in forgotten.pings
        for caller in starts or [""]
        for ping in pings or [""]
    )


def _bytes_of(record: Record, name: str) -> Iterator[bytes]:
    """What an attribute of the record's item holds, before and after the change."""
    change: Any = record.get("dynamodb")
    for image in ("Keys", "OldImage", "NewImage"):
        value: Any = change
        for part in (image, name, "B"):
            value = value.get(part) if isinstance(value, Mapping) else None
        try:
            if isinstance(value, str):
                yield base64.b64decode(value)
        except binascii.Error:
            continue
