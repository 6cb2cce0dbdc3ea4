"""Reservations of a buyer's caps: what a sale or a call may take, and what it gives back.

They are counted in the items of `store.counters`, one for the caps over all endpoints and one for each endpoint that
has caps of its own. An item holds a number for each period that is counted; `held`, a map of what each key has taken;
and `places`, a map of each key's place and the time until which it has it. Under a key, `held` has one of two forms:

- an *entry*, which is binary: what was counted (`domain.reservations`);
- a *tombstone*, which is a number: the entry was given or adopted, or will never be taken. It stands for five minutes,
  longer than a write can be late, and is removed by a later take.

A key is that of an attempt at a ping, or of an attempt of a call, and never used for anything else. So an entry under a
key is that attempt's own, and each write may be lost, repeated or late: it is done once, or not at all.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Any

from msgspec import Struct

from shared.domain import caps, reservations
from shared.domain.caps import Cap
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.reservations import MOST_HELD, NOTHING, TOMBSTONE_SECONDS, CameTrue
from shared.store.counters import Of
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import Update, as_bytes, as_number, as_text, table_key

HELD, PLACES = "held", "places"

TRIES = 8
"""How often a write is tried while others change the item."""

REMOVED_AT_ONCE = 50
"""The most that one write removes: an expression may have 4 KB and 300 operators."""


class Reserved(Enum):
    """What a take or an adoption came to."""

    DONE = "done"
    """The entry stands under its key: it is counted once, by this write or by the same one before."""
    FULL = "full"
    """A cap is full, or the item holds all that it may."""
    GONE = "gone"
    """Take: the key was given before. Adopt: there is no entry to adopt, or the new key was given before."""


class ItemState(Struct, frozen=True):
    """An item as a write has seen it."""

    has_maps: bool
    counts: dict[str, int]
    held: dict[str, bytes | int]
    places: dict[str, int]

    def taken(self, now: int) -> int:
        """How many places are taken now."""
        return sum(until > now for until in self.places.values())


class Reservations:
    """`memory` is this process's: each item as it was last seen. Old ones cost a try more, and never a count.

    All methods raise `TemporarilyUnavailable`. After it nothing is sure until the key is given, or the same method is
    called again with the same key; but where a take says that it is not done, nothing is taken, and never will be.
    """

    def __init__(self, dynamo: Dynamo, memory: dict[Of, ItemState]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.leases_table
        self.memory = memory

    def make_maps(self, of: Of) -> None:
        """Make an item's maps, which each buyer with caps needs; what is there stays."""
        update = Update()
        for name in (HELD, PLACES):
            update.set_once(update.name(name), {"M": {}})
        self._write(of, update)

    def take(
        self,
        buyer_id: int,
        key: str,
        wanted: Collection[Cap],
        local: datetime,
        cents: int,
        until: int,
        came_true: CameTrue = NOTHING,
    ) -> Reserved:
        """Count a sale or call of `cents` under all the caps that are `wanted`, or under none. `local` is now on the
        buyer's clock; a place is taken until `until`. Without caps there is room, and nothing is counted.

        If a later item refuses, the earlier ones are given; `came_true` is what is then kept of them, which matters
        where a part of them was adopted. A caller that is refused under a key under which an earlier take was unclear
        must give the key.
        """
        if caps.first_full(wanted, {}, cents, local):
            return Reserved.FULL
        done: list[str] = []
        for endpoint, here in _by_endpoint(wanted):
            part = _Take((buyer_id, endpoint), key, caps.caps_by_key(here, local), local, cents, until)
            try:
                reserved = self._take(part)
            except TemporarilyUnavailable as failed:
                raise TemporarilyUnavailable(not_done=failed.not_done and not done) from failed
            if reserved is not Reserved.DONE:
                with suppress(TemporarilyUnavailable):  # the hourly repair gives it
                    self.give(buyer_id, key, done, came_true, local)
                return reserved
            done.append(endpoint)
        return Reserved.DONE

    def adopt(
        self, buyer_id: int, old: str, new: str, wanted: Collection[Cap], local: datetime, until: int
    ) -> Reserved:
        """Move the entries under `old` to `new`, in the items of the caps that are `wanted`, and prolong the place to
        `until`. A place that was over meanwhile must be free.

        Of two calls, the one that adopts in the first item adopts in all. Where another item's entry is gone, a take
        under `new` finds its own entry in the first, and takes in the other. If it is full, both keys are to be given.
        """
        for endpoint, here in _by_endpoint(wanted):
            limit = min((cap.limit for cap in here if not cap.period), default=None)
            reserved = self._adopt((buyer_id, endpoint), old, new, limit, until, int(local.timestamp()))
            if reserved is not Reserved.DONE:
                return reserved
        return Reserved.DONE

    def give(self, buyer_id: int, key: str, endpoints: Collection[str], came_true: CameTrue, local: datetime) -> None:
        """Uncount what did not come true of a reservation, in the items of these endpoints; "" is the one over all.
        Where nothing is held, a take that arrives late will be refused. It may be repeated: the first one decides."""
        for endpoint in sorted(endpoints):
            self._give((buyer_id, endpoint), key, came_true, local)

    def keys_of(self, of: Of, some_id: bytes) -> list[str]:
        """The keys of a ping or call under which an entry is held now."""
        state = self.memory[of] = _state_of(self.dynamo.get(self.table, _key_of(of)) or {})
        return [
            key for key, value in state.held.items() if isinstance(value, bytes) and reservations.is_of(some_id, key)
        ]

    def _take(self, take: "_Take") -> Reserved:
        for _ in range(TRIES):
            done, state = self._write(take.of, self._taking(take, self.memory.get(take.of)), once=True)
            if done or (reserved := self._standing(state, take.key)) is Reserved.DONE:
                if len(list(_over(state, take.key, take.local))) > REMOVED_AT_ONCE:
                    self._tidy(take.of, state, take.key, take.local)
                return Reserved.DONE
            if reserved:
                return reserved
            if not state.has_maps:
                self.make_maps(take.of)
            elif len(state.held) >= MOST_HELD:
                if not self._tidy(take.of, state, take.key, take.local):
                    return Reserved.FULL
            elif caps.first_full(take.caps.values(), take.counted(state), take.cents, take.local):
                return Reserved.FULL
        raise TemporarilyUnavailable(not_done=True)

    def _adopt(self, of: Of, old: str, new: str, limit: int | None, until: int, now: int) -> Reserved:
        for _ in range(TRIES):
            done, state = self._write(of, self._adopting(old, new, limit, until, now))
            if done:
                return Reserved.DONE
            if reserved := self._standing(state, new):
                return reserved
            if not isinstance(state.held.get(old), bytes):
                return Reserved.GONE
            if limit is None or state.taken(now) >= limit:
                return Reserved.FULL
            self._write(of, _removing([(PLACES, key) for key, end in state.places.items() if end <= now], now))
        raise TemporarilyUnavailable(not_done=True)

    def _give(self, of: Of, key: str, came_true: CameTrue, local: datetime) -> None:
        for _ in range(TRIES):
            state = self.memory.get(of)
            entry = state.held.get(key) if state else None
            if isinstance(entry, int):
                return
            giving = self._giving(of, key, entry, came_true, local) if entry else self._burying(key, local)
            done, state = self._write(of, giving)
            if done:
                return
            if not state.has_maps:
                self.make_maps(of)
        raise TemporarilyUnavailable(not_done=True)

    def _standing(self, state: ItemState, key: str) -> Reserved | None:
        """What stands under the key that a write was refused: its own entry, a tombstone, or nothing."""
        value = state.held.get(key)
        if value is None:
            return None
        return Reserved.DONE if isinstance(value, bytes) else Reserved.GONE

    def _taking(self, take: "_Take", state: ItemState | None) -> Update:
        """The write that takes, and removes what was seen to be over."""
        update, now = Update(), int(take.local.timestamp())
        held = update.name(HELD, take.key)
        over = list(islice(_over(state, take.key, take.local), REMOVED_AT_ONCE)) if state else []
        update.condition(f"attribute_not_exists({held})")
        update.condition(f"size({update.name(HELD)}) < {update.number(MOST_HELD)}")
        update.set(held, as_bytes(reservations.pack(reservations.entry_of(take.caps.values(), take.local, take.cents))))
        fill = False
        for name, cap in take.caps.items():
            if cap.period:
                amount, count = cap.amount(take.cents), update.name(name)
                room = f"{count} <= {update.number(cap.limit - amount)}"
                update.condition(f"(attribute_not_exists({count}) OR {room})")
                update.add(name, amount)
            else:
                over_places = sum(path[0] == PLACES for path in over)
                fill = state is not None and len(state.places) >= cap.limit and over_places > 0
                most = cap.limit - 1 + (over_places if fill else 0)
                update.condition(f"size({update.name(PLACES)}) <= {update.number(most)}")
                update.set(update.name(PLACES, take.key), as_number(take.until))
        _remove(update, over, now, places_must_be_there=fill)
        return update

    def _adopting(self, old: str, new: str, limit: int | None, until: int, now: int) -> Update:
        update = Update()
        held, adopted, place = update.name(HELD, old), update.name(HELD, new), update.name(PLACES, old)
        update.values[":binary"] = as_text("B")
        update.condition(f"attribute_type({held}, :binary)")
        update.condition(f"attribute_not_exists({adopted})")
        update.clauses["SET"].append(f"{adopted} = {held}")
        update.set(held, as_number(now + TOMBSTONE_SECONDS))
        if limit is not None:
            room = f"size({update.name(PLACES)}) < {update.number(limit)}"
            update.condition(f"({place} > {update.number(now)} OR {room})")
            update.set(update.name(PLACES, new), as_number(until))
        update.remove(PLACES, old)
        return update

    def _giving(self, of: Of, key: str, entry: bytes, came_true: CameTrue, local: datetime) -> Update:
        """The condition is the very entry whose amounts are subtracted."""
        update = Update()
        held = update.name(HELD, key)
        update.values[":entry"] = as_bytes(entry)
        update.condition(f"{held} = :entry")
        update.set(held, as_number(int(local.timestamp()) + TOMBSTONE_SECONDS))
        for name, amount in reservations.given_back(reservations.unpack(entry), came_true, local, of[1]).items():
            count, by = update.name(name), update.number(amount)
            update.clauses["SET"].append(f"{count} = if_not_exists({count}, {by}) - {by}")
        update.remove(PLACES, key)
        return update

    def _burying(self, key: str, local: datetime) -> Update:
        """The write that leaves a tombstone where nothing is held."""
        update = Update()
        held = update.name(HELD, key)
        update.condition(f"attribute_exists({update.name(HELD)})")
        update.condition(f"attribute_not_exists({held})")
        update.set(held, as_number(int(local.timestamp()) + TOMBSTONE_SECONDS))
        return update

    def _tidy(self, of: Of, state: ItemState, key: str, local: datetime) -> bool:
        """Remove what is over; False if nothing is."""
        over = list(islice(_over(state, key, local), REMOVED_AT_ONCE))
        if over:
            with suppress(TemporarilyUnavailable):
                self._write(of, _removing(over, int(local.timestamp())))
        return bool(over)

    def _write(self, of: Of, update: Update, once: bool = False) -> tuple[bool, ItemState]:
        """Whether it went through, and the item as it is now, which is remembered. What is written `once` is not sent
        again while the first sending may still arrive: else a refusal of the second would say nothing of the first."""
        send = self.dynamo.once if once else self.dynamo.call
        try:
            answer: Any = send(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key_of(of),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update.expressions(),
            )
            done, item = True, answer["Attributes"]
        except ConditionFailed as met:
            done, item = False, met.item or {}
        state = self.memory[of] = _state_of(item)
        return done, state


class _Take(Struct, frozen=True):
    """What is to be taken in one item, under its `caps` by key."""

    of: Of
    key: str
    caps: dict[str, Cap]
    local: datetime
    cents: int
    until: int

    def counted(self, state: ItemState) -> dict[str, int]:
        """What the caps are compared with."""
        taken = state.taken(int(self.local.timestamp()))
        return state.counts | {name: taken for name, cap in self.caps.items() if not cap.period}


def _by_endpoint(wanted: Collection[Cap]) -> list[tuple[str, list[Cap]]]:
    """Caps by the endpoint whose item counts them; those over all endpoints first."""
    endpoints = sorted({cap.endpoint for cap in wanted})
    return [(endpoint, [cap for cap in wanted if cap.endpoint == endpoint]) for endpoint in endpoints]


def _over(state: ItemState, key: str, local: datetime) -> Iterator[tuple[str, ...]]:
    """The paths of places, tombstones and counts that are over, but for what is under this key."""
    now = int(local.timestamp())
    yield from ((PLACES, other) for other, until in state.places.items() if until <= now and other != key)
    yield from (
        (HELD, other) for other, value in state.held.items() if isinstance(value, int) and value <= now and other != key
    )
    yield from ((name,) for name in state.counts if caps.is_over(name, local))


def _remove(update: Update, over: list[tuple[str, ...]], now: int, places_must_be_there: bool = False) -> None:
    """On the condition that each is still over, or removed by another process already. Where places are subtracted from
    those that fill the map, each must still be there."""
    for path in over:
        update.remove(*path)
        if not path[1:]:
            continue
        end = update.name(*path)
        is_over = f"{end} <= {update.number(now)}"
        must_be_there = places_must_be_there and path[0] == PLACES
        update.condition(is_over if must_be_there else f"(attribute_not_exists({end}) OR {is_over})")


def _removing(over: list[tuple[str, ...]], now: int) -> Update:
    update = Update()
    update.condition("attribute_exists(pk)")
    _remove(update, over[:REMOVED_AT_ONCE], now)
    return update


def _key_of(of: Of) -> Item:
    buyer_id, endpoint = of
    return table_key(f"B{buyer_id}", f"CAPS@{endpoint}" if endpoint else "CAPS")


def _state_of(item: Item) -> ItemState:
    held, places = (item.get(name, {"M": {}})["M"] for name in (HELD, PLACES))
    return ItemState(
        has_maps=HELD in item and PLACES in item,
        counts={name: int(value["N"]) for name, value in item.items() if "-" in name},
        held={key: bytes(value["B"]) if "B" in value else int(value["N"]) for key, value in held.items()},
        places={key: int(until["N"]) for key, until in places.items()},
    )
