"""A page of the log: what its pings have to be, its partitions merged, and the cursor behind it."""

import base64
import binascii
from collections.abc import Collection
from typing import Any, Literal, TypeVar

import msgspec

from shared.store.dynamo import Item
from shared.store.items import as_bytes, as_number, as_text, bytes_of, number_of
from shared.store.ping_log import STATES, LogState, Start

Status = Literal["open", "sold", "expired", "unmatched"]
"""Unmatched is what nobody bid on."""
UNSOLD: dict[Status, list[str]] = {
    "open": ["bids > :none", "expires_at > :now"],
    "expired": ["bids > :none", "expires_at <= :now"],
    "unmatched": ["bids = :none"],
}
"""What tells them apart in their partition."""

T = TypeVar("T")


class BadCursor(ValueError):
    """The cursor is not ours, or belongs to another list."""


class Wanted:
    """What pings of the log have to be, as conditions for DynamoDB."""

    def __init__(self, now: int) -> None:
        self.conditions = ["delete_at > :now"]
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {":now": as_number(now)}
        self.states: tuple[LogState, ...] = STATES

    @property
    def filters(self) -> bool:
        """Whether some of the pings in its partitions are not wanted."""
        return len(self.conditions) > 1

    def may_be(self, state: LogState) -> bool:
        return state in self.states

    def equal(self, name: str, value: str) -> None:
        if not value:
            self.conditions.append(f"attribute_not_exists({self._name(name)})")
            return
        self.conditions.append(f"{self._name(name)} = :{name}")
        self.values[f":{name}"] = as_text(value)

    def status(self, status: Status) -> None:
        self.states = ("sold",) if status == "sold" else ("open",)
        if status != "sold":
            self.conditions += UNSOLD[status]
            self.values[":none"] = as_number(0)

    def _name(self, name: str) -> str:
        self.names[f"#{name}"] = name
        return f"#{name}"


class Partition:
    """One partition of the log as a page reads it. `start` is after which ping the next page goes on: True from the
    newest, False where nothing is left."""

    def __init__(self, partition: str, start: Start | bool | None) -> None:
        self.partition = partition
        self.start: Start | bool = True if start is None else start
        self.items: list[Item] = []
        self.end: Start | None = None
        self.done = self.start is False

    @property
    def frontier(self) -> int:
        """No ping of the shard that is still unread is newer than this."""
        return number_of(self.items[0], "at") if self.items else self.end[0] if self.end else 0

    def key(self, start: Start) -> Item:
        return {"log": as_text(self.partition), "at": as_number(start[0]), "ping_id": as_bytes(start[1])}

    def take(self, answer: tuple[list[Item], Item | None]) -> None:
        self.items, after = answer
        self.done = after is None
        self.end = (number_of(after, "at"), bytes_of(after, "ping_id")) if after else None
        self._go_on()

    def pop(self) -> Item:
        item = self.items.pop(0)
        self.start = (number_of(item, "at"), bytes_of(item, "ping_id"))
        self._go_on()
        return item

    def _go_on(self) -> None:
        if not self.items:
            self.start = self.end or False


def merge(shards: Collection[Partition], count: int) -> list[Item]:
    """The newest of what the shards have, up to `count`, and none that is older than what one of them has to come."""
    found: list[Item] = []
    while len(found) < count:
        newest = max(shards, key=lambda shard: (shard.frontier, bool(shard.items)))
        if not newest.items:
            break
        found.append(newest.pop())
    return found


def cursor_of(starts: Collection[Start | bool | None]) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(starts)).decode()


def read_cursor(cursor: str, kind: type[list[T]], count: int) -> list[T | None]:
    if not cursor:
        return [None] * count
    try:
        starts = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor.encode()), type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise BadCursor from None
    if len(starts) != count:
        raise BadCursor
    return [*starts]
