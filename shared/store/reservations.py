"""Reservations of a buyer's caps: what a sale or a call may take, and what it gives back.

They are counted in the items of `store.counters`, one for the caps over all endpoints and one for each endpoint that
has caps of its own: under the same keys, with places in the same map. So a buyer that is sold where calls are taken and
where they are not is counted once. An item has one more map, `held`, of what each key has taken. Under a key it has one
of two forms:

- an *entry*, which is binary: what was counted (`domain.reservations`);
- a *tombstone*, which is a number: the entry was given or adopted, or will never be taken. It stands until that time,
  longer than a write can be late, and is removed by a later take, or by `operators.repair`.

A key is that of an attempt at a ping, or of an attempt of a call, and never used for anything else. So an entry under a
key is that attempt's own. **Each write may be lost, repeated or late: it is done once, or not at all.** This is why:

- *Take* needs that nothing is held under its key. After itself it finds its entry, after a give or an adoption the
  tombstone. Its other conditions, that caps have room, hold whenever it arrives; at worst it makes a cap fuller, until
  its key is given.
- *Adopt* needs an entry under the old key and nothing under the new one. It leaves a tombstone, so that of two calls
  one adopts, and a second arrival finds none. The number of places does not grow, unless the old place is gone or over:
  then one must be free. A place that is over and is still in the map stands for itself: nobody has got it.
- *Give* needs the very entry whose amounts it subtracts, and leaves a tombstone: nothing is subtracted twice. Where
  nothing is held it needs just that, and leaves a tombstone too, for a take that is still to come.
- *Free places* needs the place. Nothing brings it back: a take finds its entry.
- *Remove*, of what is over, needs that each place and tombstone is over still. Nobody writes in a period that is over.
- *Make maps* leaves those that are there. The maps are never removed, and `held` is never there without the other, so
  that no write meets half of them.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Any

from msgspec import Struct

from shared.domain import caps, reservations
from shared.domain.calls import came_true_of_sale
from shared.domain.caps import MOST_HELD, Cap
from shared.domain.models import Buyer
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.reservations import NOTHING, TOMBSTONE_SECONDS, CameTrue
from shared.domain.schedule import local_time
from shared.store.counters import HELD, Of, Seen, key_of, seen_of
from shared.store.dynamo import ConditionFailed, Dynamo
from shared.store.items import Update, as_bytes, as_number, as_text

PLACES = "concurrent"

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


class Reservations:
    """`memory` is this process's, of which `Counters` know too: each item as it was last seen. Old ones cost a try
    more, and never a count.

    All methods raise `TemporarilyUnavailable`. After it nothing is sure until the key is given, or the same method is
    called again with the same key; but where a take says that it is not done, nothing is taken, and never will be.
    """

    def __init__(self, dynamo: Dynamo, memory: dict[Of, Seen]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.leases_table
        self.memory = memory

    def make_maps(self, of: Of) -> None:
        """Make an item's maps, which each reservation needs; what is there stays. One write, once for each item."""
        update = Update()
        for name in (HELD, _places(of)):
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
        is_shared: bool = False,
    ) -> Reserved:
        """Count a sale or call of `cents` under all the caps that are `wanted`, or under none. `local` is now on the
        buyer's clock; a place is taken until `until`. Without caps there is room, and nothing is counted.

        If a later item refuses, the earlier ones are given; `came_true` is what is then kept of them, which matters
        where a part of them was adopted. A caller that is refused under a key under which an earlier take was unclear
        must give the key.

        A key `is_shared` where several requests may take under it at once. Then a refusal leaves a tombstone, in the
        item that is full: all of them get the same answer, though room comes between.
        """
        if caps.first_full(wanted, {}, cents, local):
            return Reserved.FULL
        done: list[str] = []
        for endpoint, here in _by_endpoint(wanted):
            part = _Take((buyer_id, endpoint), key, caps.caps_by_key(here, local), local, cents, until)
            try:
                reserved = self._take(part)
                if reserved is Reserved.FULL and is_shared:
                    reserved = self._refuse(part.of, key, part.now)
                    if reserved is Reserved.DONE:
                        done.append(endpoint)
                        continue
            except TemporarilyUnavailable as failed:
                raise TemporarilyUnavailable(not_done=failed.not_done and not done) from failed
            if reserved is not Reserved.DONE:
                with suppress(TemporarilyUnavailable):  # the hourly repair gives it
                    self.give(buyer_id, key, done, came_true, local)
                return reserved
            done.append(endpoint)
        return Reserved.DONE

    def take_over(
        self, buyer_id: int, some_id: bytes, key: str, wanted: Collection[Cap], local: datetime, cents: int, until: int
    ) -> Reserved:
        """Like `take`, for an attempt after others at the same ping, which will record nothing any more. It adopts what
        one of them has reserved, so that a cap of 1 does not refuse its own sale, and gives what others have. Whatever
        comes of it but DONE, the key must be given."""
        now = int(local.timestamp())
        for endpoint, here in _by_endpoint(wanted):
            of = (buyer_id, endpoint)
            for old in self.keys_of(of, some_id):
                if old != key:
                    self._adopt(of, old, key, _limit(here), until, now)
                    self._give(of, old, NOTHING, local)
        return self.take(buyer_id, key, wanted, local, cents, until)

    def adopt(
        self, buyer_id: int, old: str, new: str, wanted: Collection[Cap], local: datetime, until: int
    ) -> Reserved:
        """Move the entries under `old` to `new`, in the items of the caps that are `wanted`, and let the place last
        until `until`. A place that was over meanwhile must be free.

        Of two calls, the one that adopts in the first item adopts in all. Where another item's entry is gone, a take
        under `new` finds its own entry in the first, and takes in the other. If it is full, both keys are to be given;
        `new`, which several requests may share, has a tombstone then where it was full.
        """
        now = int(local.timestamp())
        for endpoint, here in _by_endpoint(wanted):
            of = (buyer_id, endpoint)
            reserved = self._adopt(of, old, new, _limit(here), until, now)
            if reserved is Reserved.FULL:
                reserved = self._refuse(of, new, now)
            if reserved is not Reserved.DONE:
                return reserved
        return Reserved.DONE

    def give(self, buyer_id: int, key: str, endpoints: Collection[str], came_true: CameTrue, local: datetime) -> None:
        """Uncount what did not come true of a reservation, in the items of these endpoints; "" is the one over all.
        Where nothing is held, a take that arrives late will be refused. It may be repeated: the first one decides."""
        for endpoint in sorted(endpoints):
            self._give((buyer_id, endpoint), key, came_true, local)

    def give_sale(self, buyer: Buyer, ping_id: bytes, attempt: bytes, now: int) -> None:
        """Give what a recorded sale has reserved and no call of its buyer will adopt."""
        if buyer.caps:
            key, local = reservations.key(ping_id, attempt), local_time(buyer.zone, now)
            self.give(buyer.id, key, buyer.counted_in, came_true_of_sale(buyer), local)

    def free_places(self, buyer_id: int, key: str, endpoints: Collection[str]) -> None:
        """Let a place go whose entry stays: who is gone needs none."""
        for endpoint in sorted(endpoints):
            of = (buyer_id, endpoint)
            update = Update()
            update.condition(f"attribute_exists({update.name(_places(of), key)})")
            update.remove(_places(of), key)
            self._write(of, update)

    def keys_of(self, of: Of, some_id: bytes) -> list[str]:
        """The keys of a ping or call under which an entry is held now."""
        [item] = self.dynamo.batch_get(self.table, [key_of(of)], ConsistentRead=True) or [{}]
        state = self.memory[of] = seen_of(item, 0)
        return [
            key
            for key, value in (state.held or {}).items()
            if isinstance(value, bytes) and reservations.is_of(some_id, key)
        ]

    def tidy(self, of: Of, state: Seen, local: datetime) -> bool:
        """Remove some of what is over in an item that was seen so; False if nothing is. It may come to nothing."""
        over = list(islice(_over(of, state, "", local), REMOVED_AT_ONCE))
        if over:
            with suppress(TemporarilyUnavailable):
                self._write(of, _removing(over, int(local.timestamp())), int(local.timestamp()))
        return bool(over)

    def _take(self, take: "_Take") -> Reserved:
        of, state = take.of, self.memory.get(take.of)
        for _ in range(TRIES):
            if state and state.held is None:
                self.make_maps(of)
                state = self.memory[of]
            done, state = self._write(of, self._taking(take, state), take.now, once=True)
            if done or (reserved := self._standing(state, take.key)) is Reserved.DONE:
                if len(list(islice(_over(of, state, take.key, take.local), REMOVED_AT_ONCE + 1))) > REMOVED_AT_ONCE:
                    self.tidy(of, state, take.local)
                return Reserved.DONE
            if reserved:
                return reserved
            if len(state.held or {}) >= MOST_HELD:
                if not self.tidy(of, state, take.local):
                    return Reserved.FULL
                state = self.memory[of]
            elif caps.first_full(take.caps.values(), state.counted(take.now), take.cents, take.local):
                return Reserved.FULL
        raise TemporarilyUnavailable(not_done=True)

    def _adopt(self, of: Of, old: str, new: str, limit: int | None, until: int, now: int) -> Reserved:
        for _ in range(TRIES):
            done, state = self._write(of, self._adopting(of, old, new, limit, until, now), now)
            if done:
                return Reserved.DONE
            if reserved := self._standing(state, new):
                return reserved
            if not isinstance((state.held or {}).get(old), bytes):
                return Reserved.GONE
            places = _places(of)
            if limit is None or state.counted(now)[places] >= limit:
                return Reserved.FULL
            over = [(places, key) for key, end in state.places[places].items() if end <= now]
            self._write(of, _removing(over, now), now)
        raise TemporarilyUnavailable(not_done=True)

    def _give(self, of: Of, key: str, came_true: CameTrue, local: datetime) -> None:
        now = int(local.timestamp())
        for _ in range(TRIES):
            state = self.memory.get(of)
            if state and state.held is None:
                self.make_maps(of)
                state = self.memory[of]
            entry = (state.held or {}).get(key) if state else None
            if isinstance(entry, int):
                return
            giving = self._giving(of, key, entry, came_true, local) if entry else self._burying(key, now)
            done, _state = self._write(of, giving, now)
            if done:
                return
        raise TemporarilyUnavailable(not_done=True)

    def _refuse(self, of: Of, key: str, now: int) -> Reserved:
        """FULL, by a tombstone where nothing is held under the key; else what another request has left there."""
        for _ in range(TRIES):
            done, state = self._write(of, self._burying(key, now), now)
            if done:
                return Reserved.FULL
            if reserved := self._standing(state, key):
                return reserved
            if state.held is None:
                self.make_maps(of)
        raise TemporarilyUnavailable(not_done=True)

    def _standing(self, state: Seen, key: str) -> Reserved | None:
        """What stands under the key that a write was refused: its own entry, a tombstone, or nothing."""
        value = (state.held or {}).get(key)
        if value is None:
            return None
        return Reserved.DONE if isinstance(value, bytes) else Reserved.GONE

    def _taking(self, take: "_Take", state: Seen | None) -> Update:
        """The write that takes, and removes what was seen to be over."""
        update, places = Update(), _places(take.of)
        held = update.name(HELD, take.key)
        over = list(islice(_over(take.of, state, take.key, take.local), REMOVED_AT_ONCE)) if state else []
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
                over_places = sum(path[0] == places for path in over)
                fill = state is not None and len(state.places[places]) >= cap.limit and over_places > 0
                most = cap.limit - 1 + (over_places if fill else 0)
                update.condition(f"size({update.name(places)}) <= {update.number(most)}")
                update.set(update.name(places, take.key), as_number(take.until))
        _remove(update, over, take.now, places_must_be_there=fill)
        return update

    def _adopting(self, of: Of, old: str, new: str, limit: int | None, until: int, now: int) -> Update:
        update, places = Update(), _places(of)
        held, adopted, place = update.name(HELD, old), update.name(HELD, new), update.name(places, old)
        update.values[":binary"] = as_text("B")
        update.condition(f"attribute_type({held}, :binary)")
        update.condition(f"attribute_not_exists({adopted})")
        update.clauses["SET"].append(f"{adopted} = {held}")
        update.set(held, as_number(now + TOMBSTONE_SECONDS))
        if limit is not None:
            room = f"size({update.name(places)}) < {update.number(limit)}"
            update.condition(f"({place} > {update.number(now)} OR {room})")
            update.set(update.name(places, new), as_number(until))
        update.remove(places, old)
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
        update.remove(_places(of), key)
        return update

    def _burying(self, key: str, now: int) -> Update:
        """The write that leaves a tombstone where nothing is held."""
        update = Update()
        held = update.name(HELD, key)
        update.condition(f"attribute_exists({update.name(HELD)})")
        update.condition(f"attribute_not_exists({held})")
        update.set(held, as_number(now + TOMBSTONE_SECONDS))
        return update

    def _write(self, of: Of, update: Update, now: int = 0, once: bool = False) -> tuple[bool, Seen]:
        """Whether it went through, and the item as it is now, which is remembered. What is written `once` is not sent
        again while the first sending may still arrive: else a refusal of the second would say nothing of the first."""
        send = self.dynamo.once if once else self.dynamo.call
        try:
            answer: Any = send(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=key_of(of),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update.expressions(),
            )
            done, item = True, answer["Attributes"]
        except ConditionFailed as met:
            done, item = False, met.item or {}
        state = self.memory[of] = seen_of(item, now)
        return done, state


class _Take(Struct, frozen=True):
    """What is to be taken in one item, under its `caps` by key."""

    of: Of
    key: str
    caps: dict[str, Cap]
    local: datetime
    cents: int
    until: int

    @property
    def now(self) -> int:
        return int(self.local.timestamp())


def _by_endpoint(wanted: Collection[Cap]) -> list[tuple[str, list[Cap]]]:
    """Caps by the endpoint whose item counts them; those over all endpoints first."""
    endpoints = sorted({cap.endpoint for cap in wanted})
    return [(endpoint, [cap for cap in wanted if cap.endpoint == endpoint]) for endpoint in endpoints]


def _limit(caps_of_item: Collection[Cap]) -> int | None:
    """The most places at once under the caps of one item; None if they do not say."""
    return min((cap.limit for cap in caps_of_item if not cap.period), default=None)


def _places(of: Of) -> str:
    """The name of an item's map of places: the key that `domain.caps` gives a cap on them."""
    return f"{PLACES}@{of[1]}" if of[1] else PLACES


def _over(of: Of, state: Seen, key: str, local: datetime) -> Iterator[tuple[str, ...]]:
    """The paths of places, tombstones and counts that are over, but for what is under this key."""
    now, places, held = int(local.timestamp()), _places(of), state.held or {}
    yield from ((places, other) for other, end in state.places.get(places, {}).items() if end <= now and other != key)
    yield from (
        (HELD, other) for other, value in held.items() if isinstance(value, int) and value <= now and other != key
    )
    yield from ((name,) for name in state.counts if caps.is_over(name, local))


def _remove(update: Update, over: Sequence[tuple[str, ...]], now: int, places_must_be_there: bool = False) -> None:
    """On the condition that each is still over, or removed by another process already. Where places are subtracted from
    those that fill the map, each must still be there."""
    for path in over:
        update.remove(*path)
        if not path[1:]:
            continue
        end = update.name(*path)
        is_over = f"{end} <= {update.number(now)}"
        must_be_there = places_must_be_there and path[0] != HELD
        update.condition(is_over if must_be_there else f"(attribute_not_exists({end}) OR {is_over})")


def _removing(over: Sequence[tuple[str, ...]], now: int) -> Update:
    update = Update()
    update.condition("attribute_exists(pk)")
    _remove(update, over[:REMOVED_AT_ONCE], now)
    return update
