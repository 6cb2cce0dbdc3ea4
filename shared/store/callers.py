"""What is known of a caller, by keyed hash: nobody can read a number from the table.

Four kinds of items, each under a key of its own kind:

    a number or a prefix that is listed   lists, the names of the suppression lists that it is on; no TTL
    a number that was sold                by scope, "offer#NAME" or "buyer#ID", when, under which ping, by which
                                          attempt, and until when that makes it a duplicate
    a minute of requests                  pings and posts of a user or an address at one endpoint: `domain.limits`
    token#1f2e3d4c                        used_at, the hour in which this token was last used; no hash

By `delete_at` DynamoDB deletes an item; it decides nothing.

Marks may be written and taken away late, after any number of later writes: a mark replaces none of a later time of its
own ping and none of another ping but the very one that was found dead; an attempt takes away only its own. A request
that is counted late is counted in its own minute. Only suppression lists go by whichever write arrives last: who
changes a list again and again within minutes, and got the answer that the service is busy, looks at the list
afterwards.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from msgspec import Struct

from shared.domain.keys import Keys, caller_key, caller_keys, sale_keys
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import Value, as_bytes, as_number, bytes_of, number_of

MINUTE = 60
SOLD_KEPT_SECONDS = 367 * 24 * 3600
"""The longest window within which a caller can be a duplicate, and a day: a late mark may bring an earlier time."""

MANY = 10
"""How many ended marks a caller may have before they are removed. Fewer cost less than the write that removes them."""
REMOVED_AT_ONCE = 50
"""The most that one write removes: an expression may have 4 KB and 300 operators."""

HOUR = 3600
USES_KEPT_SECONDS = 400 * 24 * HOUR

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
    """`noted` has the hour in which the process last noted the use of each token."""

    def __init__(self, dynamo: Dynamo, keys: Keys, noted: dict[str, int] | None = None) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.callers_table
        self.keys = keys
        self.noted = {} if noted is None else noted
        self._uses: list[Callable[[], None]] = []

    def look_up(self, caller: str, listed: bool, sold: bool) -> Known:
        """What is asked for, in one call whose cost does not depend on how much is listed."""
        entries = [key for entry in _entries(caller) for key in self._listed_keys(entry)] if listed else []
        items = self._items([*entries, *(caller_keys(self.keys, "sold", caller) if sold else [])])
        lists = {name for item in items for name in _lists(item)}
        marks = sorted((mark.at, scope, mark) for item in items for scope, mark in _marks(item).items())
        return Known(frozenset(lists), {scope: mark for _, scope, mark in marks})

    def lists_by_entry(self, caller: str) -> dict[str, list[str]]:
        """The lists that a caller is on, by the entry that says so: its number, or a prefix with a star."""
        entries = {key: entry for entry in _entries(caller) for key in self._listed_keys(entry)}
        found: dict[str, set[str]] = {}
        for item in self._items(list(entries)):
            found.setdefault(entries[bytes_of(item, "caller")], set()).update(_lists(item))
        return {entry: sorted(names) for entry, names in found.items()}

    def mark(
        self,
        caller: str,
        windows: Mapping[str, int],
        ping_id: bytes,
        attempt: bytes,
        now: int,
        instead_of: Collection[Mark] = (),
    ) -> dict[str, Mark]:
        """Remember the sale of a ping to this caller under every scope, unless one of another ping is there that is
        within the scope's window in seconds and not `instead_of`. The marks that stand against it; if there are any,
        nothing is written.

        Each attempt at a ping marks it with a later time than the one before, whatever their clocks say: so the mark of
        an earlier one that arrives late changes nothing. Marks whose windows are over are removed once they are `MANY`:
        a window that is made longer later does not bring them back.

        While keys rotate the mark is written in two places, one after the other, and both have to take it.
        """
        places = sale_keys(self.keys, "sold", caller)
        for n, key in enumerate(places):
            if against := self._mark_one(key, windows, ping_id, attempt, now, instead_of):
                for marked in places[:n]:
                    self._unmark(marked, list(windows), ping_id, attempt)
                return against
        return {}

    def _mark_one(
        self,
        key: bytes,
        windows: Mapping[str, int],
        ping_id: bytes,
        attempt: bytes,
        now: int,
        instead_of: Collection[Mark],
    ) -> dict[str, Mark]:
        while True:
            try:
                stored = self._mark(key, windows, ping_id, attempt, now, instead_of)
                break
            except ConditionFailed as met:
                standing = {
                    scope: mark
                    for scope, mark in _marks(met.item or {}).items()
                    if scope in windows and mark.at > now - windows[scope] and mark not in instead_of
                }
            if against := {scope: mark for scope, mark in standing.items() if mark.ping_id != ping_id}:
                return against
            now = max([now, *(mark.at for mark in standing.values())]) + 1
        over = [scope for scope, until in _ends(stored).items() if until <= now]
        if len(over) >= MANY:
            self._remove_marks(key, over[:REMOVED_AT_ONCE], "#until{} <= :now", {":now": as_number(now)})
        return {}

    def unmark(self, caller: str, scopes: Iterable[str], ping_id: bytes, attempt: bytes) -> None:
        """Forget a sale of this attempt that came to nothing. If that fails, `flows` sees later that its ping was not
        sold."""
        for key in sale_keys(self.keys, "sold", caller):
            self._unmark(key, list(scopes), ping_id, attempt)

    def _unmark(self, key: bytes, scopes: Sequence[str], ping_id: bytes, attempt: bytes) -> None:
        values = {":ping": as_bytes(ping_id), ":attempt": as_bytes(attempt)}
        self._remove_marks(key, scopes, "#ping{0} = :ping AND #attempt{0} = :attempt", values)

    def forget_marks(self, marks: Iterable[bytes]) -> None:
        """Remove what is remembered of a caller's sales, by `mark_keys`. Suppression stays: it protects the caller."""
        for key in marks:
            self.dynamo.call(self.dynamo.client.delete_item, TableName=self.table, Key=_key(key))

    def everything(self) -> Iterator[tuple[bytes, bool, int]]:
        """For every item its key, whether it is on a suppression list, and the end of its last mark, 0 without any.
        Reads the whole table."""
        for item in self.dynamo.items(self.dynamo.client.scan, TableName=self.table):
            yield bytes_of(item, "caller"), "lists" in item, max(_ends(item).values(), default=0)

    def has_marks(self, caller: str) -> bool:
        """Whether a caller has marks of sales."""
        return bool(self._items(caller_keys(self.keys, "sold", caller)))

    def count_request(self, scope: str, value: str, limits: Mapping[str, int], now: int) -> int:
        """Count a request of this minute under each name, unless that would be over one of the limits: then the seconds
        until the minute is over, else 0. Where it is not clear whether it was counted, it is let in: a limit protects
        the service, and must not be what stops it."""
        names = {f"#n{n}": name for n, name in enumerate(limits)}
        values = {":one": as_number(1), ":delete_at": as_number(now + 10 * MINUTE)}
        room = [
            f"(attribute_not_exists({name}) OR {name} < {_value(values, limits[counted])})"
            for name, counted in names.items()
        ]
        key = caller_key(self.keys, "requests", scope, value, str(now // MINUTE))
        try:
            self.dynamo.once(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key(key),
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

    def note_token_use(self, token_id: str, now: int) -> None:
        """Note the hour of this use together with the counts, unless this process has noted it already."""
        hour = now // HOUR * HOUR
        if hour > self.noted.get(token_id, 0):
            self._uses.append(partial(self._note_use, token_id, hour))

    def due_writes(self) -> list[Callable[[], None]]:
        """The writes of the tokens' uses, which run together with a request's own. None of them raises."""
        due, self._uses = self._uses, []
        return due

    def last_uses(self, token_ids: Collection[str]) -> dict[str, int]:
        """The hours in which these tokens were last used, without those that never were."""
        ids = {_use_key(token_id): token_id for token_id in token_ids}
        return {ids[bytes_of(item, "caller")]: number_of(item, "used_at") for item in self._items(list(ids))}

    def suppress(self, name: str, entries: Sequence[str]) -> None:
        """Put numbers and, with a star at their end, prefixes on a list: up to `AT_ONCE`. Twice is once. What is new
        goes in one call; to what is on a list already this one is added. What is under an earlier key moves over.
        """
        keys = [as_bytes(key) for key in dict.fromkeys(map(self._listed_key, entries))]
        insert = f"INSERT INTO \"{self.table}\" VALUE {{'caller': ?, 'lists': ?}}"
        answer = self.dynamo.call(
            self.dynamo.client.batch_execute_statement,
            Statements=[{"Statement": insert, "Parameters": [key, {"SS": [name]}]} for key in keys],
        )
        for key, response in zip(keys, answer["Responses"], strict=True):
            if "Error" in response:
                self._update(key, "ADD lists :name", name)
        self._leave_earlier_keys(name, entries)

    def enlist(self, name: str, entries: Iterable[str]) -> None:
        """The same, entry by entry: for a function, which then needs no statements, and so no right to any."""
        entries = list(entries)
        for entry in entries:
            self._update(as_bytes(self._listed_key(entry)), "ADD lists :name", name)
        self._leave_earlier_keys(name, entries)

    def unsuppress(self, name: str, entries: Iterable[str]) -> None:
        """Take them off the list. An item that is on no list any more is removed."""
        for entry in entries:
            for key in self._listed_keys(entry):
                self._unlist(name, key)

    def _leave_earlier_keys(self, name: str, entries: Sequence[str]) -> None:
        earlier = [key for entry in entries for key in self._listed_keys(entry)[1:]]
        for item in self._items(earlier):
            if name in _lists(item):
                self._unlist(name, bytes_of(item, "caller"))

    def _unlist(self, name: str, key: bytes) -> None:
        if "lists" not in self._update(as_bytes(key), "DELETE lists :name", name):
            with suppress(ConditionFailed):
                self.dynamo.call(
                    self.dynamo.client.delete_item,
                    TableName=self.table,
                    Key=_key(key),
                    ConditionExpression="attribute_not_exists(lists)",
                )

    def _note_use(self, token_id: str, hour: int) -> None:
        """A late note replaces no later one; a lost note is made at the next use."""
        with suppress(TemporarilyUnavailable, ClientError):
            with suppress(ConditionFailed):
                self.dynamo.once(
                    self.dynamo.client.update_item,
                    TableName=self.table,
                    Key=_key(_use_key(token_id)),
                    UpdateExpression="SET used_at = :hour, delete_at = :delete_at",
                    ConditionExpression="attribute_not_exists(used_at) OR used_at < :hour",
                    ExpressionAttributeValues={
                        ":hour": as_number(hour),
                        ":delete_at": as_number(hour + USES_KEPT_SECONDS),
                    },
                )
            self.noted[token_id] = hour

    def _items(self, keys: list[bytes]) -> list[Item]:
        """Of several keys' items the latest writes are read: what moves from one to another is in one of them."""
        latest = {"ConsistentRead": True} if len(self.keys.callers) > 1 else {}
        return self.dynamo.batch_get(self.table, [_key(key) for key in keys], **latest)

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

    def _mark(
        self,
        key: bytes,
        windows: Mapping[str, int],
        ping_id: bytes,
        attempt: bytes,
        now: int,
        instead_of: Collection[Mark],
    ) -> Item:
        """The caller's item with the marks. Raises `ConditionFailed`."""
        names, values = (
            dict[str, str](),
            {":now": as_number(now), ":ping": as_bytes(ping_id), ":attempt": as_bytes(attempt)},
        )
        dead = []
        for n, mark in enumerate(instead_of):
            values[f":dead{n}"] = as_bytes(mark.ping_id)
            dead.append(f"#ping{{0}} = :dead{n} AND #at{{0}} = {_value(values, mark.at)}")
        none_stands = " OR ".join(
            [
                "attribute_not_exists(#at{0})",
                "#at{0} <= {1}",
                "#ping{0} = :ping AND (#at{0} < :now OR #at{0} = :now AND #attempt{0} = :attempt)",
                *dead,
            ]
        )
        updates, conditions = [f"delete_at = {_value(values, now + SOLD_KEPT_SECONDS)}"], []
        for n, (scope, seconds) in enumerate(windows.items()):
            names |= _names(n, scope)
            until = _value(values, now + seconds)
            updates.append(f"#at{n} = :now, #ping{n} = :ping, #attempt{n} = :attempt, #until{n} = {until}")
            conditions.append(f"({none_stands.format(n, _value(values, now - seconds))})")
        answer = self.dynamo.call(
            self.dynamo.client.update_item,
            TableName=self.table,
            Key=_key(key),
            UpdateExpression="SET " + ", ".join(updates),
            ConditionExpression=" AND ".join(conditions),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return answer["Attributes"]

    def _remove_marks(self, key: bytes, scopes: Sequence[str], condition: str, values: dict[str, Any]) -> None:
        """Removes all of these marks, or none: where the condition, said of one by its place, fails, or where the table
        does not answer."""
        names = {name: attribute for n, scope in enumerate(scopes) for name, attribute in _names(n, scope).items()}
        with suppress(ConditionFailed, TemporarilyUnavailable):
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key(key),
                UpdateExpression="REMOVE " + ", ".join(names),
                ConditionExpression=" AND ".join(condition.format(n) for n in range(len(scopes))),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )

    def _listed_key(self, entry: str) -> bytes:
        return caller_key(self.keys, "listed", entry)

    def _listed_keys(self, entry: str) -> list[bytes]:
        return caller_keys(self.keys, "listed", entry)


def mark_keys(keys: Keys, caller: str) -> list[bytes]:
    """The keys of the items that have the marks of a caller's sales."""
    return caller_keys(keys, "sold", caller)


def _key(hashed: bytes) -> Value:
    return {"caller": as_bytes(hashed)}


def _use_key(token_id: str) -> bytes:
    """The key of a token's last use, shorter than any hash."""
    return f"token#{token_id}".encode()


def _entries(caller: str) -> list[str]:
    """Whatever may be listed that means this caller."""
    return [caller, *(f"{caller[:length]}*" for length in range(2, len(caller) + 1))]


def _lists(item: Item) -> list[str]:
    return sorted(item["lists"]["SS"]) if "lists" in item else []


def _marks(item: Item) -> dict[str, Mark]:
    scopes = (name.removeprefix("at:") for name in item if name.startswith("at:"))
    return {scope: Mark(number_of(item, f"at:{scope}"), bytes_of(item, f"ping:{scope}")) for scope in scopes}


def _ends(item: Item) -> dict[str, int]:
    """Until when each mark makes a duplicate, by scope."""
    return {name.removeprefix("until:"): int(end["N"]) for name, end in item.items() if name.startswith("until:")}


def _names(n: int, scope: str) -> dict[str, str]:
    """The attributes of a scope's mark, by their names in an expression."""
    return {f"#{kind}{n}": f"{kind}:{scope}" for kind in ("at", "ping", "attempt", "until")}


def _value(values: dict[str, Any], number: int) -> str:
    """The name of a number among the values."""
    name = f":v{len(values)}"
    values[name] = as_number(number)
    return name
