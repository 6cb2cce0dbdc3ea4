"""Versions of the configuration: the current one, all their records, and the change log. Items of the config table, by
`pk` and `sk`:

    CONFIG             LIVE         the current version: version, at, by; `given_up` while there are numbers to free
    CONFIG             LOCK         who applies now: by, holder, expires_at
    CONFIG             COUNTER      the last version number that was given out
    CONFIG#00000012    offer#auto   a record of version 12, with the version in which it last changed
    LOG                00000012     what version 12 changed: at, by, changes, packed; the version that it came after.
                                    Without that one: something else that was done, under a number of its own
    ENDPOINT#my        LIVE, V…     the pointer and the compiled versions, as `compiled` reads them
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from shared.configuration import Change, Parts, Plain
from shared.domain.models import RingPool
from shared.store.dynamo import Dynamo, Item
from shared.store.items import as_bytes, as_number, as_text, bytes_of, number_of, number_or, table_key, text_of
from shared.store.packing import pack_json, unpack_json

VERSION_DIGITS = 8
HISTORY_BYTES = 256 * 1024
"""Of packed changes, after which no more entries are read at once: they are ten times as long when they are shown."""

SECTIONS = {
    "account": "account",
    "user": "users",
    "provider": "providers",
    "ring_pool": "ring_pools",
    "offer": "offers",
    "endpoint": "endpoints",
}
KINDS = {section: kind for kind, section in SECTIONS.items()}


class Record(Struct, frozen=True):
    """One part of the configuration as the operator wrote it. `layout` are a ring pool's shards; `held_until` is until
    when an endpoint's static numbers, or a pool's overflow number, may be held by the longer hold of a version
    before."""

    configured: Plain
    version: int
    layout: RingPool | None = None
    held_until: int = 0


class GivenUp(Struct, frozen=True, array_like=True):
    """A number that leaves the configuration: free again after `free_at`, the end of its last lease; where there is no
    ring also not before `held_seconds` have passed since the last process forgot it."""

    number: str
    owner: str
    free_at: int = 0
    held_seconds: int = 0
    entry: bytes = b""

    def free_from(self, forgotten_at: int) -> int:
        return max(self.free_at, forgotten_at + self.held_seconds if self.held_seconds else 0)


class CurrentVersion(Struct, frozen=True):
    """The live configuration; version 0 is an empty stack's."""

    version: int = 0
    records: dict[tuple[str, str], Record] = {}
    given_up: list[GivenUp] = []

    @property
    def parts(self) -> Parts:
        return {key: record.configured for key, record in self.records.items()}

    @property
    def pools(self) -> dict[str, RingPool]:
        return {name: record.layout for (_, name), record in self.records.items() if record.layout}

    def names(self, section: str) -> list[str]:
        return [name for of, name in self.records if of == section]

    def numbers(self) -> dict[str, GivenUp]:
        """Every number of the live configuration, as it would be given up; of rings without their leases."""
        owned = []
        for name, pool in self.pools.items():
            owned += [GivenUp(number, f"ring pool {name}") for shard in pool.shards for number in shard.numbers]
            if pool.overflow_number:
                held_until = self.records["ring_pools", name].held_until
                owned.append(GivenUp(pool.overflow_number, f"overflow of {name}", held_until, pool.hold_seconds))
        for (section, name), record in self.records.items():
            if section == "endpoints" and (static := record.configured.get("static_numbers")):
                held = record.configured["hold_seconds"]
                owned += [GivenUp(number, f"endpoint {name}", record.held_until, held) for number in static.values()]
            if section == "endpoints" and (shared := record.configured.get("shared_numbers")):
                held, owner = record.configured["hold_seconds"], f"shared numbers of endpoint {name}"
                owned += [GivenUp(number, owner, record.held_until, held) for number in shared]
        return {number.number: number for number in owned}


class Applied(Struct, frozen=True):
    """An entry of the change log. `after` is the version that it came after; None for what is no version of the
    configuration, such as a token that was issued."""

    version: int
    at: int
    by: str
    changes: list[Change]
    after: int | None = None


Known = dict[int, dict[tuple[str, str], Record]]
"""What a process remembers: the records of the version that it read last. A version never changes."""


class Versions:
    """`now` is the clock, in seconds since the epoch."""

    def __init__(self, dynamo: Dynamo, now: Callable[[], int], known: Known | None = None) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table
        self.now = now
        self.known: Known = {} if known is None else known
        self._last_read: CurrentVersion | None = None

    def current(self) -> CurrentVersion:
        return self.read_from(self.dynamo.get(self.table, table_key("CONFIG", "LIVE")))

    def last_read(self) -> CurrentVersion:
        """The current version as this object has read it last: of a request, what it began with."""
        return self._last_read or self.current()

    def read_from(self, pointer: Item | None) -> CurrentVersion:
        """The current version, by the item that names it."""
        self._last_read = self._from(pointer)
        return self._last_read

    def _from(self, pointer: Item | None) -> CurrentVersion:
        if pointer is None:
            return CurrentVersion()
        version = number_of(pointer, "version")
        if version not in self.known:
            records = self._records(version)
            self.known.clear()
            self.known[version] = records
        given_up = unpack_json(bytes_of(pointer, "given_up"), list[GivenUp]) if "given_up" in pointer else []
        return CurrentVersion(version, self.known[version], given_up)

    def parts(self, version: int) -> Parts:
        """The configuration as it was under a version; empty for 0."""
        return {key: record.configured for key, record in self._records(version).items()} if version else {}

    def _records(self, version: int) -> dict[tuple[str, str], Record]:
        records = {}
        for item in self.dynamo.partition(self.table, f"CONFIG#{version:08}"):
            kind, _, name = text_of(item, "sk").partition("#")
            records[SECTIONS[kind], name] = Record(
                configured=unpack_json(bytes_of(item, "body"), Plain),
                version=number_of(item, "version"),
                layout=unpack_json(bytes_of(item, "layout"), RingPool) if "layout" in item else None,
                held_until=number_or(item, "held_until", 0),
            )
        return records

    def history(self, count: int, before: int = 0) -> tuple[list[Applied], bool]:
        """What was done, the newest first: the first entries, or those before the one of this version; and whether
        there are more. Fewer than asked for where they are large."""
        last = before - 1 if before else 10**VERSION_DIGITS - 1
        entries = self.dynamo.items(
            self.dynamo.client.query,
            TableName=self.table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND sk <= :last",
            ExpressionAttributeValues={":pk": as_text("LOG"), ":last": as_text(f"{last:0{VERSION_DIGITS}}")},
            ScanIndexForward=False,
            Limit=count + 1,
        )
        found: list[Applied] = []
        size = 0
        for item in entries:
            if len(found) == count or size > HISTORY_BYTES:
                return found, True
            found.append(_entry(item))
            size += len(bytes_of(item, "changes"))
        return found, False

    def change(self, version: int) -> Applied | None:
        """One entry of the change log."""
        item = self.dynamo.get(self.table, table_key("LOG", f"{version:0{VERSION_DIGITS}}"))
        return _entry(item) if item else None

    def note(self, by: str, changes: list[Change]) -> None:
        """Put into the change log what is no part of the configuration."""
        self.dynamo.transact([self.log_entry(Applied(self.next_number(), self.now(), by, changes))])

    def note_secret(self, by: str, was: str, now: str | None) -> None:
        """Note in the change log that a key was rotated or retired."""
        self.note(by, [Change("secrets", was, now)])

    def next_number(self, pk: str = "CONFIG") -> int:
        """A number that was never given out before."""
        answer = self.dynamo.call(
            self.dynamo.client.update_item,
            TableName=self.table,
            Key=table_key(pk, "COUNTER"),
            UpdateExpression="ADD given_out :one",
            ExpressionAttributeValues={":one": as_number(1)},
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["given_out"]["N"])

    def log_entry(self, applied: Applied) -> dict[str, Any]:
        item = {
            **table_key("LOG", f"{applied.version:0{VERSION_DIGITS}}"),
            "at": as_number(applied.at),
            "by": as_text(applied.by),
            "changes": as_bytes(pack_json(applied.changes)),
            **({} if applied.after is None else {"after": as_number(applied.after)}),
        }
        return {"Put": {"TableName": self.table, "Item": item}}


def _entry(item: Item) -> Applied:
    return Applied(
        version=int(text_of(item, "sk")),
        at=number_of(item, "at"),
        by=text_of(item, "by"),
        changes=unpack_json(bytes_of(item, "changes"), list[Change]),
        after=number_or(item, "after", None),
    )
