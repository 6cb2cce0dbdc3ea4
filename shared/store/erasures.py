"""The record of who was erased, for ever: items of the config table, "ERASED" and the time with whose.

`by` and whom it was for; how many `pings`, `sales` and `calls` were erased; `callers`, the start of each keyed hash
that the caller has, and `in_sandbox`, its hashes there; `marks`, the keys of the marks of its sales, until
`marks_gone`; `probes`, what the stream is waited for with; `found_at`, when all its pings were erased; `rewritten_at`,
when no page and no new file of the journal had the caller any more; `finished_at`, when the old files were gone, too.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct

from shared.store.dynamo import Dynamo, Item
from shared.store.items import (
    as_number,
    as_text,
    number_of,
    number_or,
    table_key,
    text_of,
    update_expression,
)
from shared.store.refused_requests import CALLER_BYTES

KEY = "ERASED"
HEX = 2 * CALLER_BYTES
"""Letters of a hash's start."""


class Forgotten(Struct, frozen=True, kw_only=True):
    """Whose hash is removed from rows. With `callers`: theirs, from rows up to `at`, and from all rows of `pings` and
    `calls`. Without callers: any caller's, from all rows of `pings`."""

    at: int
    callers: Sequence[str] = ()
    pings: Collection[str] = ()
    calls: Collection[str] = ()

    def has(self, caller: str, ping: str, at: int, call: str = "") -> bool:
        if not self.callers:
            return ping in self.pings
        return caller in self.callers and (at <= self.at or ping in self.pings or call in self.calls)


class Erased(Struct, frozen=True, kw_only=True):
    """`caller` is the keyed hash in hexadecimal; empty where one ping was erased by its id, `ping`, in hexadecimal.
    `being_sold` pings were just being sold, and `running` calls were not settled: they could not be erased.
    `finished_at` is 0 until nothing of it is left. In a dry run these are counts of what would be erased, and `marks`
    says whether sales of the caller are remembered against duplicates."""

    at: int
    by: str
    caller: str
    pings: int
    sales: int
    ping: str = ""
    marks: bool = False
    being_sold: int = 0
    calls: int = 0
    running: int = 0
    finished_at: int = 0


class Unfinished(Struct, frozen=True, kw_only=True):
    """An erasing that is not finished, and how far it is."""

    key: Item
    erased: Erased
    callers: tuple[str, ...]
    in_sandbox: tuple[bytes, ...] = ()
    marks: tuple[bytes, ...] = ()
    probes: str = ""
    rewritten_at: int = 0

    @property
    def forgotten(self) -> Forgotten:
        return _forgotten(self.erased, self.callers)


class Erasures:
    """Methods raise `TemporarilyUnavailable`."""

    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table

    def begin(
        self,
        erased: Erased,
        callers: Iterable[bytes] = (),
        in_sandbox: Sequence[bytes] = (),
        marks: Sequence[bytes] = (),
    ) -> Unfinished:
        """`callers` are all keyed hashes of the caller, `in_sandbox` those in the table of sandboxes, and `marks` the
        keys of the marks of its sales."""
        whose = erased.caller or f"ping {erased.ping}"
        starts = tuple(sorted(hashed[:CALLER_BYTES].hex() for hashed in callers))
        key = table_key(KEY, f"{erased.at:012}#{whose}")
        written: dict[str, Any] = {":by": as_text(erased.by), ":none": as_number(0)}
        setting = ["#by = :by", "pings = if_not_exists(pings, :none)", "sales = if_not_exists(sales, :none)"]
        if starts:
            written |= {":callers": {"SS": [*starts]}, ":in_sandbox": {"BS": [*in_sandbox]}, ":marks": {"BS": [*marks]}}
            setting += ["callers = :callers", "in_sandbox = :in_sandbox", "marks = :marks"]
        update = update_expression(setting, ["probes", "found_at", "rewritten_at", "finished_at"])
        self._change(key, update, written, {"#by": "by"})
        return Unfinished(key=key, erased=erased, callers=starts, in_sandbox=tuple(in_sandbox), marks=tuple(marks))

    def count(self, erasing: Unfinished, pings: int, sales: int, calls: int) -> None:
        """Add what was erased."""
        added = {name: count for name, count in (("pings", pings), ("sales", sales), ("calls", calls)) if count}
        if added:
            update = "ADD " + ", ".join(f"{name} :{name}" for name in added)
            self._change(erasing.key, update, {f":{name}": as_number(count) for name, count in added.items()})

    def wait_for(self, erasing: Unfinished, probes: str) -> None:
        self._change(erasing.key, "SET probes = :probes", {":probes": as_text(probes)})

    def wait_no_more(self, erasing: Unfinished) -> None:
        """Its pings have to be erased once more, after other probes."""
        self._change(erasing.key, "REMOVE probes", {})

    def note_marks_gone(self, erasing: Unfinished) -> None:
        """They stay gone if `begin` arrives once more: marks of later sales may be under these keys."""
        self._change(erasing.key, "SET marks_gone = :true REMOVE marks", {":true": {"BOOL": True}})

    def note_found(self, erasing: Unfinished, now: int) -> None:
        """All its pings are erased. From now on nothing that happened until `erased.at` becomes a row with it: before,
        rows are needed to find them."""
        self._change(erasing.key, "SET found_at = :now", {":now": as_number(now)})

    def note_rewritten(self, erasing: Unfinished, now: int) -> None:
        self._change(erasing.key, "SET rewritten_at = :now", {":now": as_number(now)})

    def note_finished(self, erasing: Unfinished, now: int) -> None:
        self._change(erasing.key, "SET finished_at = :now REMOVE probes", {":now": as_number(now)})

    def all(self) -> list[Erased]:
        """The last first."""
        return [_erased(item) for item in self._since(0)][::-1]

    def unfinished(self, since: int) -> list[Unfinished]:
        return [_erasing(item) for item in self._since(since) if "finished_at" not in item]

    def read(self, erasing: Unfinished) -> Unfinished:
        """As it is now."""
        item = self.dynamo.get(self.table, erasing.key)
        return _erasing(item) if item else erasing

    def forgotten_since(self, at: int) -> list[Forgotten]:
        """Who has to be left out of rows of what happened at `at` or later."""
        return [_erasing(item).forgotten for item in self._since(at) if "found_at" in item]

    def _since(self, at: int) -> Iterable[Item]:
        return self.dynamo.items(
            self.dynamo.client.query,
            TableName=self.table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND sk >= :since",
            ExpressionAttributeValues={":pk": as_text(KEY), ":since": as_text(f"{at:012}")},
        )

    def _change(self, key: Item, update: str, values: Item, names: dict[str, str] | None = None) -> None:
        named: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        named |= {"ExpressionAttributeNames": names} if names else {}
        self.dynamo.call(
            self.dynamo.client.update_item, TableName=self.table, Key=key, UpdateExpression=update, **named
        )


def _erased(item: Item) -> Erased:
    at, _, whose = text_of(item, "sk").partition("#")
    ping = whose.removeprefix("ping ") if whose.startswith("ping ") else ""
    return Erased(
        at=int(at),
        by=text_of(item, "by"),
        caller="" if ping else whose,
        pings=number_of(item, "pings"),
        sales=number_of(item, "sales"),
        calls=number_or(item, "calls", 0),
        ping=ping,
        finished_at=number_or(item, "finished_at", 0),
    )


def _erasing(item: Item) -> Unfinished:
    erased = _erased(item)
    known = tuple(sorted(item["callers"]["SS"])) if "callers" in item else (erased.caller[:HEX],) * bool(erased.caller)
    return Unfinished(
        key=table_key(KEY, text_of(item, "sk")),
        erased=erased,
        callers=known,
        in_sandbox=_set_of(item, "in_sandbox"),
        marks=() if "marks_gone" in item else _set_of(item, "marks"),
        probes=text_of(item, "probes"),
        rewritten_at=number_or(item, "rewritten_at", 0),
    )


def _set_of(item: Item, name: str) -> tuple[bytes, ...]:
    return tuple(item[name]["BS"]) if name in item else ()


def _forgotten(erased: Erased, callers: Sequence[str]) -> Forgotten:
    return Forgotten(at=erased.at, callers=callers, pings=[erased.ping] if erased.ping else [])
