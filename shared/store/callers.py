"""What is known of a caller, by keyed hash: nobody can read a number from the table.

Three kinds of items, each under a key of its own kind:

    a number or a prefix that is listed   lists, the names of the suppression lists that it is on; no TTL
    a number that was sold                by scope, "offer#NAME" or "buyer#ID", when, under which ping, and until when
                                          that makes it a duplicate
    a minute of requests                  pings and posts, of one endpoint, traffic source or source address

`delete_at` is DynamoDB's broom and decides nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from shared.domain.keys import Keys, caller_key
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Dynamo, Item

MINUTE = 60
SOLD_KEPT_SECONDS = 366 * 24 * 3600
"""The longest window within which a caller can be a duplicate."""

MANY = 10
"""Of how many marks that are over a caller is rid. Fewer cost less than the write that removes them."""
REMOVED_AT_ONCE = 50
"""The most that one write removes: an expression may have 4 KB and 300 operators."""

AT_ONCE = 25
"""The most statements that BatchExecuteStatement takes."""


class Mark(Struct, frozen=True):
    """A sale of a caller, or the attempt at one: when, and of which ping."""

    at: int
    ping_id: bytes


class Known(Struct, frozen=True):
    """The lists that a caller is on, itself or by a prefix, and its last sale by scope."""

    listed: frozenset[str] = frozenset()
    sold: dict[str, Mark] = {}


class Callers:
    def __init__(self, dynamo: Dynamo, keys: Keys) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.callers_table
        self.keys = keys

    def known(self, caller: str, listed: bool, sold: bool) -> Known:
        """What is asked for, in one call whose cost does not depend on how much is listed."""
        entries = map(self._listed_key, _entries(caller)) if listed else ()
        items = self._items([*entries, *([self._sold_key(caller)] if sold else [])])
        lists = {name for item in items for name in _lists(item)}
        return Known(frozenset(lists), {scope: mark for item in items for scope, mark in _marks(item).items()})

    def listed_by(self, caller: str) -> dict[str, list[str]]:
        """The lists that a caller is on, by the entry that says so: its number, or a prefix with a star."""
        entries = {self._listed_key(entry): entry for entry in _entries(caller)}
        return {entries[item["caller"]["B"]]: _lists(item) for item in self._items(list(entries))}

    def mark(
        self, caller: str, windows: Mapping[str, int], ping_id: bytes, now: int, instead_of: Collection[bytes] = ()
    ) -> dict[str, Mark]:
        """Remember the sale of a ping to this caller under every scope, unless one of another ping stands there that is
        within the scope's window in seconds and not `instead_of`. The marks that stand against it; if there are any,
        nothing is written.

        Marks whose windows are over are removed once they are `MANY`: a window that is made longer later does not
        bring them back.
        """
        names, values = dict[str, str](), {":now": _n(now), ":ping": {"B": ping_id}}
        dead = [f":dead{n}" for n in range(len(instead_of))]
        values |= {name: {"B": other} for name, other in zip(dead, instead_of, strict=True)}
        updates, conditions = [f"delete_at = {_value(values, now + SOLD_KEPT_SECONDS)}"], []
        for n, (scope, seconds) in enumerate(windows.items()):
            names |= _names(n, scope)
            before = _value(values, now - seconds)
            updates.append(f"#at{n} = :now, #ping{n} = :ping, #until{n} = {_value(values, now + seconds)}")
            conditions.append(
                f"(attribute_not_exists(#at{n}) OR #at{n} <= {before} OR #ping{n} IN ({', '.join([':ping', *dead])}))"
            )
        try:
            answer = self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"caller": {"B": self._sold_key(caller)}},
                UpdateExpression="SET " + ", ".join(updates),
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            return {
                scope: mark
                for scope, mark in _marks(met.item or {}).items()
                if mark.at > now - windows.get(scope, 0) and mark.ping_id not in (ping_id, *instead_of)
            }
        over = [scope for scope, until in _ends(answer["Attributes"]).items() if until <= now]
        if len(over) >= MANY:
            self._remove_marks(caller, over[:REMOVED_AT_ONCE], "#until{} <= :now", {":now": _n(now)})
        return {}

    def unmark(self, caller: str, scopes: Iterable[str], ping_id: bytes) -> None:
        """Forget a sale that came to nothing. If that fails, `flows` sees later that its ping was not sold."""
        self._remove_marks(caller, list(scopes), "#ping{} = :ping", {":ping": {"B": ping_id}})

    def forget(self, caller: str) -> None:
        """Remove what is remembered of a caller's sales. Suppression stays: it protects the caller."""
        self.dynamo.call(
            self.dynamo.client.delete_item, TableName=self.table, Key={"caller": {"B": self._sold_key(caller)}}
        )

    def admit(self, scope: str, value: str, limits: Mapping[str, int], now: int) -> int:
        """Count a request of this minute under each name, unless that would be over one of the limits: then the seconds
        until the minute is over, else 0. Where it is not clear whether it was counted, it is let in: a limit protects
        the service, and must not be what stops it."""
        names = {f"#n{n}": name for n, name in enumerate(limits)}
        values = {":one": _n(1), ":delete_at": _n(now + 10 * MINUTE)}
        room = [
            f"(attribute_not_exists({name}) OR {name} < {_value(values, limits[counted])})"
            for name, counted in names.items()
        ]
        key = caller_key(self.keys, "requests", scope, value, str(now // MINUTE))
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"caller": {"B": key}},
                UpdateExpression="SET delete_at = :delete_at ADD " + ", ".join(f"{name} :one" for name in names),
                ConditionExpression=" AND ".join(room),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ConditionFailed:
            return MINUTE - now % MINUTE
        except TemporarilyUnavailable:
            return 0
        return 0

    def suppress(self, name: str, entries: Sequence[str]) -> None:
        """Put numbers and, with a star at their end, prefixes on a list: up to `AT_ONCE`. Twice is once. What is new
        goes in one call; to what is on a list already this one is added."""
        keys = [{"B": key} for key in {*map(self._listed_key, entries)}]
        insert = f"INSERT INTO \"{self.table}\" VALUE {{'caller': ?, 'lists': ?}}"
        answer = self.dynamo.call(
            self.dynamo.client.batch_execute_statement,
            Statements=[{"Statement": insert, "Parameters": [key, {"SS": [name]}]} for key in keys],
        )
        for key, response in zip(keys, answer["Responses"], strict=True):
            if "Error" in response:
                self._update(key, "ADD lists :name", name)

    def enlist(self, name: str, entries: Iterable[str]) -> None:
        """The same, entry by entry: for a function, which then needs no statements, and so no right to any."""
        for entry in entries:
            self._update({"B": self._listed_key(entry)}, "ADD lists :name", name)

    def unsuppress(self, name: str, entries: Iterable[str]) -> None:
        """Take them off the list. An item that is on no list any more is removed."""
        for entry in entries:
            key = {"B": self._listed_key(entry)}
            if "lists" not in self._update(key, "DELETE lists :name", name):
                with suppress(ConditionFailed):
                    self.dynamo.call(
                        self.dynamo.client.delete_item,
                        TableName=self.table,
                        Key={"caller": key},
                        ConditionExpression="attribute_not_exists(lists)",
                    )

    def _items(self, keys: list[bytes]) -> list[Item]:
        answer = self.dynamo.call(
            self.dynamo.client.batch_get_item,
            RequestItems={self.table: {"Keys": [{"caller": {"B": key}} for key in keys]}},
        )
        if answer.get("UnprocessedKeys"):
            raise TemporarilyUnavailable
        return list(answer["Responses"][self.table])

    def _update(self, key: dict[str, Any], update: str, name: str) -> Item:
        answer = self.dynamo.call(
            self.dynamo.client.update_item,
            TableName=self.table,
            Key={"caller": key},
            UpdateExpression=update,
            ExpressionAttributeValues={":name": {"SS": [name]}},
            ReturnValues="ALL_NEW",
        )
        found: Item = answer.get("Attributes", {})
        return found

    def _remove_marks(self, caller: str, scopes: Sequence[str], condition: str, values: dict[str, Any]) -> None:
        """All of these; none where the condition, said of one by its place, fails, or where the table does not
        answer."""
        names = {name: attribute for n, scope in enumerate(scopes) for name, attribute in _names(n, scope).items()}
        with suppress(ConditionFailed, TemporarilyUnavailable):
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key={"caller": {"B": self._sold_key(caller)}},
                UpdateExpression="REMOVE " + ", ".join(names),
                ConditionExpression=" AND ".join(condition.format(n) for n in range(len(scopes))),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )

    def _listed_key(self, entry: str) -> bytes:
        return caller_key(self.keys, "listed", entry)

    def _sold_key(self, caller: str) -> bytes:
        return caller_key(self.keys, "sold", caller)


def _entries(caller: str) -> list[str]:
    """Whatever may be listed that means this caller."""
    return [caller, *(f"{caller[:length]}*" for length in range(2, len(caller) + 1))]


def _lists(item: Item) -> list[str]:
    return sorted(item["lists"]["SS"]) if "lists" in item else []


def _marks(item: Item) -> dict[str, Mark]:
    scopes = (name.removeprefix("at:") for name in item if name.startswith("at:"))
    return {scope: Mark(int(item[f"at:{scope}"]["N"]), item[f"ping:{scope}"]["B"]) for scope in scopes}


def _ends(item: Item) -> dict[str, int]:
    """Until when each mark makes a duplicate, by scope."""
    return {name.removeprefix("until:"): int(end["N"]) for name, end in item.items() if name.startswith("until:")}


def _names(n: int, scope: str) -> dict[str, str]:
    """The attributes of a scope's mark, by their names in an expression."""
    return {f"#{kind}{n}": f"{kind}:{scope}" for kind in ("at", "ping", "until")}


def _n(number: int) -> dict[str, Any]:
    return {"N": str(number)}


def _value(values: dict[str, Any], number: int) -> str:
    """The name under which a number stands among the values."""
    name = f":v{len(values)}"
    values[name] = _n(number)
    return name
