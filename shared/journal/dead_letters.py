"""What the journal function could not take, kept until it is replayed. Files of the storage:

dead/<day>/<event id>.json    a record of the stream that cannot be read, as it came, with the reason
aws/lambda/…                  batches that failed for twelve hours, as Lambda puts them there
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any

import msgspec
from msgspec import Struct

from shared.domain.models import DAY
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.consumer import Consumed, Record
from shared.journal.storage import NoSuchFile, Storage

DEAD, FAILED = "dead/", "aws/lambda/"
DAY_IN_NAME = re.compile(r"/(\d{4})[-/](\d\d)[-/](\d\d)/", re.ASCII)
EVENT_ID = re.compile(r"\w[\w-]{0,99}", re.ASCII)

SetAside = Callable[[Record, str], None]
Consume = Callable[[Mapping[str, Sequence[Record]], SetAside], Consumed]


class Letter(Struct, frozen=True):
    """A record of its own has an `error`, a batch is Lambda's `payload`: its event, as a text."""

    error: str = ""
    record: dict[str, Any] | None = None
    payload: str = ""


class Batch(Struct, frozen=True):
    """An event of the stream."""

    records: list[dict[str, Any]] = msgspec.field(name="Records")


class Replayed(Struct, frozen=True):
    """How many files went through, and why the others did not, by name."""

    done: int
    left: dict[str, str]


class DeadLetters:
    """`now` is the clock, in seconds since the epoch."""

    def __init__(self, storage: Storage, now: Callable[[], int]) -> None:
        self.storage = storage
        self.now = now

    def add(self, record: Record, error: str) -> None:
        """Raises `TemporarilyUnavailable`."""
        day = datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%d")
        content = msgspec.json.encode(Letter(error, dict(record)))
        self.storage.put(f"{DEAD}{day}/{_id_of(record)}.json", content)

    def replay(self, consume: Consume) -> Replayed:
        """Consume what is kept again, and delete what goes through. Raises `TemporarilyUnavailable`."""
        done, left = 0, dict[str, str]()
        for name in self._names():
            try:
                if fault := self._replay(name, consume):
                    left[name] = fault
                    continue
            except NoSuchFile:  # somebody else replays, too
                continue
            self.storage.delete(name)
            done += 1
        return Replayed(done, left)

    def last_day(self) -> float:
        """When the last day ended on which something was kept that is not replayed; 0 where nothing is."""
        return max((_end_of_day(name) for name in self._names()), default=0)

    def records(self) -> dict[str, list[Record] | None]:
        """What is kept, by file; None for a file that is not whole. Raises `TemporarilyUnavailable`."""
        found = dict[str, list[Record] | None]()
        for name in self._names():
            try:
                batch = _read(self.storage.get(name))
            except NoSuchFile:
                continue
            found[name] = [*batch.records] if batch else None
        return found

    def remove(self, name: str, is_wanted: Callable[[Record], bool]) -> None:
        """Take records out of a file. Raises `TemporarilyUnavailable`."""
        try:
            batch = _read(self.storage.get(name))
        except NoSuchFile:
            return
        if batch is None:
            return
        rest = [record for record in batch.records if not is_wanted(record)]
        if not rest:
            self.storage.delete(name)
        elif len(rest) < len(batch.records):
            payload = msgspec.json.encode(Batch(rest)).decode()
            self.storage.put(name, msgspec.json.encode(Letter(payload=payload)))

    def _names(self) -> list[str]:
        return [*self.storage.names(DEAD), *self.storage.names(FAILED)]

    def _replay(self, name: str, consume: Consume) -> str:
        """Why the file has to stay; empty if it went through."""
        batch = _read(self.storage.get(name))
        if batch is None:
            return "the file is not whole"
        faults: list[str] = []
        is_alone = name.startswith(DEAD)
        keep: SetAside = (lambda _, fault: faults.append(fault)) if is_alone else self.add
        if consume({"Records": batch.records}, keep).failed:
            raise TemporarilyUnavailable(not_done=True)
        return "".join(faults)


def _read(content: bytes) -> Batch | None:
    """None for what is not whole."""
    try:
        letter = msgspec.json.decode(content, type=Letter)
        return Batch([letter.record]) if letter.record else msgspec.json.decode(letter.payload, type=Batch)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _end_of_day(name: str) -> float:
    """Of the day in a file's name; never, where there is none."""
    found = DAY_IN_NAME.search(name)
    try:
        day = datetime.fromisoformat("-".join(found.groups())) if found else None
    except ValueError:
        day = None
    return day.replace(tzinfo=UTC).timestamp() + DAY if day else inf


def _id_of(record: Record) -> str:
    """The event's id, as far as it can be part of a name."""
    found = record.get("eventID")
    if isinstance(found, str) and EVENT_ID.fullmatch(found):
        return found
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()
