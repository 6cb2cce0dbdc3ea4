"""What has been sold to each buyer, counted against its caps: one item per buyer, one conditional write per sale.

The item holds a number for each period that is counted, under the key of `domain.caps`; and for each cap on places at
once a map, `concurrent` or `concurrent@endpoint`, of the pings that have one and the time until which they have it. A
place that is over is nobody's: it frees itself, and a later write removes it. `since` and `taken_at` are when the first
and the last sale was counted, for `store.repair`.
"""

from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any

from msgspec import Struct

from shared.domain import caps
from shared.domain.caps import Cap
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Dynamo, Item

REMEMBERED_SECONDS = 2
"""How old the counts may be by which a PING bids."""

TRIES = 5
"""How often a place is asked for while others change the item. Where no cap is on places, the first answer decides."""

REMOVED_AT_ONCE = 50
"""The most that one write removes: an expression may have 4 KB and 300 operators."""

SINCE, TAKEN_AT = "since", "taken_at"

BATCH = 100
"""The most keys that BatchGetItem takes."""


class Seen(Struct, frozen=True):
    """A buyer's item as it was at `at`: counts by key; and by cap on places, until when each ping has one."""

    at: int
    counts: dict[str, int]
    places: dict[str, dict[str, int]]

    def counted(self, now: int, ping: str = "") -> dict[str, int]:
        """What caps are compared with: counts, and the places that are taken now. Where `ping` has one, none is in its
        way."""
        return self.counts | {
            name: 0 if ping in places else sum(until > now for until in places.values())
            for name, places in self.places.items()
        }


class Place(Struct, frozen=True):
    """What one sale counted: amounts by key, and the caps in which its ping has a place."""

    buyer_id: int
    ping: str
    amounts: dict[str, int]
    concurrent: tuple[str, ...]


class Counters:
    """`memory` is this process's: each buyer's item as it was last seen."""

    def __init__(self, dynamo: Dynamo, memory: dict[int, Seen]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.leases_table
        self.memory = memory

    def counts(self, buyer_ids: Iterable[int], now: int) -> dict[int, dict[str, int]]:
        """What each buyer's caps are compared with, up to two seconds old: enough for a bid, never for a sale."""
        buyers = dict.fromkeys(buyer_ids)
        old = [buyer for buyer in buyers if not self._remembers(buyer, now)]
        for start in range(0, len(old), BATCH):
            self._read(old[start : start + BATCH], now)
        return {buyer: self.memory[buyer].counted(now) for buyer in buyers}

    def take(
        self, buyer_id: int, wanted: Collection[Cap], local: datetime, cents: int, ping_id: bytes, until: int, now: int
    ) -> Place | None:
        """Count a sale of `cents` under all the caps that are `wanted`, or under none: None if one is full, or if it is
        not clear whether the sale was counted. `local` is `now` on the buyer's clock; places are taken until `until`.
        Without caps there is room, and nothing is counted.

        Raises `TemporarilyUnavailable` only where there is no time left to ask.
        """
        sale = _Sale(caps.keyed(wanted, local), local, cents, urlsafe_b64encode(ping_id).decode(), until, now)
        if caps.full(wanted, {}, cents, local):
            return None
        if not wanted:
            return sale.place(buyer_id)
        for _ in range(TRIES):
            self.dynamo.check_time()
            try:
                taken, seen = self._write(buyer_id, sale.taking(self.memory.get(buyer_id)), now)
            except TemporarilyUnavailable:
                return None
            if tidying := sale.tidying(seen):
                with suppress(TemporarilyUnavailable):
                    self._write(buyer_id, tidying, now)
            if taken:
                return sale.place(buyer_id)
            if caps.full(wanted, seen.counted(now, sale.ping), cents, local):
                return None
        return None

    def stored(self, buyer_ids: Sequence[int]) -> dict[int, Item]:
        """The items of up to a hundred buyers as they are now; of who never had a cap there is none."""
        answer = self.dynamo.call(
            self.dynamo.client.batch_get_item,
            RequestItems={self.table: {"Keys": [_key(buyer_id) for buyer_id in buyer_ids], "ConsistentRead": True}},
        )
        if answer.get("UnprocessedKeys"):
            raise TemporarilyUnavailable
        found = {item["pk"]["S"]: item for item in answer["Responses"][self.table]}
        return {buyer_id: found[f"B{buyer_id}"] for buyer_id in buyer_ids if f"B{buyer_id}" in found}

    def lower(self, buyer_id: int, counted: Mapping[str, int], to: Mapping[str, int], taken_at: int) -> bool:
        """Set these counts, by key, if they are still as `counted` and no sale was counted after `taken_at`."""
        update = _Update()
        for key, count in to.items():
            update.set(update.name(key), {"N": str(count)})
            update.condition(f"{update.name(key)} = {update.number(counted[key])}")
        update.condition(f"{update.name(TAKEN_AT)} = {update.number(taken_at)}")
        self.memory.pop(buyer_id, None)
        done, _ = self._send(buyer_id, update)
        return done

    def give_back(self, place: Place) -> None:
        """Uncount a sale that came to nothing: all of it or, where that fails, none, and caps are one too high.

        A count that was removed meanwhile, or lowered, stays as it is: below nothing, it would let too many in later.
        """
        update = _Update()
        for key, amount in place.amounts.items():
            update.add(key, -amount)
            update.condition(f"{update.name(key)} >= {update.number(amount)}")
        for name in place.concurrent:
            update.remove(name, place.ping)
            update.condition(f"attribute_exists({update.name(name)})")
        if update.conditions:
            self.memory.pop(place.buyer_id, None)
            with suppress(TemporarilyUnavailable):
                self._send(place.buyer_id, update)

    def _remembers(self, buyer_id: int, now: int) -> bool:
        return buyer_id in self.memory and now - self.memory[buyer_id].at < REMEMBERED_SECONDS

    def _read(self, buyer_ids: list[int], now: int) -> None:
        answer = self.dynamo.call(
            self.dynamo.client.batch_get_item,
            RequestItems={self.table: {"Keys": [_key(buyer_id) for buyer_id in buyer_ids]}},
        )
        if answer.get("UnprocessedKeys"):
            raise TemporarilyUnavailable
        found = {item["pk"]["S"]: item for item in answer["Responses"][self.table]}
        for buyer_id in buyer_ids:
            self.memory[buyer_id] = _seen(found.get(f"B{buyer_id}", {}), now)

    def _write(self, buyer_id: int, update: "_Update", now: int) -> tuple[bool, Seen]:
        """Whether it went through, and the item as it is now, which is remembered."""
        done, item = self._send(buyer_id, update)
        seen = self.memory[buyer_id] = _seen(item, now)
        return done, seen

    def _send(self, buyer_id: int, update: "_Update") -> tuple[bool, Item]:
        """Whether it went through, and the item as it is now."""
        try:
            answer = self.dynamo.once(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key(buyer_id),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update.expressions(),
            )
        except ConditionFailed as met:
            return False, met.item or {}
        return True, answer["Attributes"]


class _Sale(Struct, frozen=True):
    """A sale that is to be counted under `caps`, by key."""

    caps: dict[str, Cap]
    local: datetime
    cents: int
    ping: str
    until: int
    now: int

    def place(self, buyer_id: int) -> Place:
        amounts = {key: cap.amount(self.cents) for key, cap in self.caps.items() if cap.period}
        return Place(buyer_id, self.ping, amounts, tuple(key for key in self.caps if key not in amounts))

    def taking(self, seen: Seen | None) -> "_Update":
        """The write that counts the sale, and removes what was `seen` to be over. Not seen, an item is taken to have
        the maps of its caps; the refusal shows if it has not."""
        update = _Update()
        over = list(islice(self._over(seen), REMOVED_AT_ONCE)) if seen else []
        for key, cap in self.caps.items():
            if cap.period:
                self._count(update, key, cap)
            elif seen and key not in seen.places:
                self._take_the_first_place(update, key)
            else:
                self._take_place(update, key, cap, seen, [path for path in over if path[0] == key])
        for path in over:
            update.remove(*path)
        if any(cap.period for cap in self.caps.values()):
            update.set(update.name(TAKEN_AT), {"N": str(self.now)})
            update.set_once(update.name(SINCE), {"N": str(self.now)})
        return update

    def tidying(self, seen: Seen) -> "_Update | None":
        """The write that is due once more is over than one sale can remove: where each is counted by a process that
        has not seen the item before, or after a limit was lowered."""
        over = list(self._over(seen))
        if len(over) <= REMOVED_AT_ONCE:
            return None
        update = _Update()
        update.condition("attribute_exists(pk)")
        for path in over[:REMOVED_AT_ONCE]:
            update.remove(*path)
            if path[1:]:
                update.condition(f"{update.name(*path)} <= {update.number(self.now)}")
        return update

    def _over(self, seen: Seen) -> Iterator[tuple[str, ...]]:
        """The paths of places that are over, in the maps of these caps, and of ended periods."""
        for key in seen.places.keys() & self.caps.keys():
            yield from (
                (key, other) for other, until in seen.places[key].items() if until <= self.now and other != self.ping
            )
        yield from ((key,) for key in seen.counts if caps.over(key, self.local))

    def _count(self, update: "_Update", key: str, cap: Cap) -> None:
        amount, count = cap.amount(self.cents), update.name(key)
        there_is_room = f"{count} <= {update.number(cap.limit - amount)}"
        update.condition(f"(attribute_not_exists({count}) OR {there_is_room})")
        update.add(key, amount)

    def _take_the_first_place(self, update: "_Update", key: str) -> None:
        update.condition(f"attribute_not_exists({update.name(key)})")
        update.set(update.name(key), {"M": {self.ping: {"N": str(self.until)}}})

    def _take_place(
        self, update: "_Update", key: str, cap: Cap, seen: Seen | None, over: list[tuple[str, ...]]
    ) -> None:
        """Places that are over are in the way only where they fill the map. Then they are counted off, and each must
        still be there; otherwise it does not matter if another process has removed them already."""
        they_fill_it = seen is not None and len(seen.places[key]) >= cap.limit
        for path in over:
            end, now = update.name(*path), update.number(self.now)
            is_over, is_over_or_gone = f"{end} <= {now}", f"NOT {end} > {now}"
            update.condition(is_over if they_fill_it else is_over_or_gone)
        places, place = update.name(key), update.name(key, self.ping)
        most = cap.limit - 1 + (len(over) if they_fill_it else 0)
        there_is_room = f"size({places}) <= {update.number(most)}"
        update.condition(f"attribute_exists({places}) AND ({there_is_room} OR attribute_exists({place}))")
        update.set(place, {"N": str(self.until)})


class _Update:
    """An UpdateItem as it is put together. Names have placeholders: expressions allow few signs in them."""

    def __init__(self) -> None:
        self.clauses: dict[str, list[str]] = {"SET": [], "ADD": [], "REMOVE": []}
        self.conditions: list[str] = []
        self.placeholders: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, *path: str) -> str:
        return ".".join(self.placeholders.setdefault(name, f"#n{len(self.placeholders)}") for name in path)

    def number(self, number: int) -> str:
        return self._value({"N": str(number)})

    def condition(self, condition: str) -> None:
        self.conditions.append(condition)

    def set(self, path: str, value: Item) -> None:
        self.clauses["SET"].append(f"{path} = {self._value(value)}")

    def set_once(self, path: str, value: Item) -> None:
        self.clauses["SET"].append(f"{path} = if_not_exists({path}, {self._value(value)})")

    def add(self, key: str, amount: int) -> None:
        self.clauses["ADD"].append(f"{self.name(key)} {self.number(amount)}")

    def remove(self, *path: str) -> None:
        self.clauses["REMOVE"].append(self.name(*path))

    def expressions(self) -> dict[str, Any]:
        found = {
            "UpdateExpression": " ".join(f"{verb} {', '.join(parts)}" for verb, parts in self.clauses.items() if parts),
            "ConditionExpression": " AND ".join(self.conditions),
            "ExpressionAttributeNames": {placeholder: name for name, placeholder in self.placeholders.items()},
            "ExpressionAttributeValues": self.values,
        }
        return {name: value for name, value in found.items() if value}  # DynamoDB refuses empty ones

    def _value(self, value: Item) -> str:
        known = (placeholder for placeholder, other in self.values.items() if other == value)
        placeholder = next(known, f":v{len(self.values)}")
        self.values[placeholder] = value
        return placeholder


def _key(buyer_id: int) -> dict[str, Any]:
    return {"pk": {"S": f"B{buyer_id}"}, "sk": {"S": "CAPS"}}


def _seen(item: Item, now: int) -> Seen:
    return Seen(
        at=now,
        counts={
            name: int(value["N"]) for name, value in item.items() if "N" in value and name not in (SINCE, TAKEN_AT)
        },
        places={
            name: {ping: int(until["N"]) for ping, until in value["M"].items()}
            for name, value in item.items()
            if "M" in value
        },
    )
