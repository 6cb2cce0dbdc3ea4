"""What has been sold to each buyer, counted against its caps. There is one item for the caps over all endpoints, and
one for each endpoint that has caps of its own. A sale is one conditional write of each.

An item holds a number for each period that is counted, under the key of `domain.caps`. For a cap on places at once it
holds a map, `concurrent` or `concurrent@endpoint`: of each attempt that has a place, `PING.ATTEMPT`, the time until
which it has it. A place that is over is nobody's: it frees itself, and a later write removes it. `operators.repair`
reads three more: `since`, when the first sale was counted; `taken_at`, the minute of the last one; `repairs`, how often
counts were lowered.

`store.reservations` counts in the same items what is sold where calls are taken: under the same keys, with places in
the same map. What it holds is in one more map, `held`, which nothing here writes.

Any of these writes may arrive late, after any number of later ones. A sale that is counted late makes a cap fuller at
most, because its conditions hold whenever it arrives. The minute of the last sale never goes back: else a repair would
take a busy buyer for a quiet one. A late give-back takes away the place of its own attempt only, and no count that a
repair has lowered since.
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
from shared.domain.models import Buyer
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import Update, as_number, table_key, text_of

REMEMBERED_SECONDS = 2
"""How old the counts may be by which a PING bids."""

TRIES = 8
"""How often a place is asked for while others change the item. Where no cap is on places, the first answer decides."""

REMOVED_AT_ONCE = 50
"""The most that one write removes: an expression may have 4 KB and 300 operators."""

MINUTE = 60

SINCE, TAKEN_AT, REPAIRS = "since", "taken_at", "repairs"
HELD = "held"

BATCH = 100
"""The most keys that BatchGetItem takes."""

Of = tuple[int, str]
"""Whose item it is: the buyer, and the endpoint whose caps it counts, or "" for those over all endpoints."""


class Seen(Struct, frozen=True):
    """An item as it was at `at`: counts by key; and by cap on places, until when each attempt has one. `held` is what
    `store.reservations` holds, by key; None without a map of that."""

    at: int
    counts: dict[str, int]
    places: dict[str, dict[str, int]]
    taken_at: int = 0
    repairs: int = 0
    held: dict[str, bytes | int] | None = None

    def counted(self, now: int, ping: str = "") -> dict[str, int]:
        """What caps are compared with: counts, and the places that are taken now. If an attempt at `ping` has a place,
        that place is not counted."""
        return self.counts | {
            name: 0 if self.places_of(ping, name, now) else sum(until > now for until in places.values())
            for name, places in self.places.items()
        }

    def places_of(self, ping: str, name: str, now: int) -> list[str]:
        """The attempts at a ping that have a place now."""
        return [entry for entry, until in self.places[name].items() if until > now and entry.partition(".")[0] == ping]


class Part(Struct, frozen=True):
    """What one sale counted in one item: amounts by key, and the caps in which its attempt has a place. `repairs` is
    how often the item was repaired before."""

    of: Of
    amounts: dict[str, int]
    concurrent: tuple[str, ...]
    repairs: int


class Place(Struct, frozen=True):
    """What one attempt counted. `entry` is the name of its places."""

    entry: str
    parts: tuple[Part, ...] = ()


class Counters:
    """`memory` is this process's: each item as it was last seen."""

    def __init__(self, dynamo: Dynamo, memory: dict[Of, Seen]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.leases_table
        self.memory = memory

    def counts(self, items: Iterable[Of], now: int) -> dict[int, dict[str, int]]:
        """What the caps that these items count are compared with, by buyer, up to two seconds old: enough for a bid,
        never for a sale."""
        wanted = list(dict.fromkeys(items))
        old = [of for of in wanted if not self._remembers(of, now)]
        for start in range(0, len(old), BATCH):
            self._read(old[start : start + BATCH], now)
        found: dict[int, dict[str, int]] = {}
        for of in wanted:
            found.setdefault(of[0], {}).update(self.memory[of].counted(now))
        return found

    def take(
        self,
        buyer_id: int,
        wanted: Collection[Cap],
        local: datetime,
        cents: int,
        ping_id: bytes,
        attempt: bytes,
        until: int,
        now: int,
    ) -> Place | None:
        """Count a sale of `cents` under all the caps that are `wanted`, or under none: None if one is full. `local` is
        `now` on the buyer's clock; places are taken until `until`, and an earlier attempt's at the same ping are taken
        over. Without caps there is room, and nothing is counted.

        Raises `TemporarilyUnavailable`: either nothing is counted, or that is unclear, and a cap may be one too high.
        """
        ping, entry = _text(ping_id), _entry(ping_id, attempt)
        place = Place(entry)
        if caps.first_full(wanted, {}, cents, local):
            return None
        for endpoint in sorted({cap.endpoint for cap in wanted}):
            here = [cap for cap in wanted if cap.endpoint == endpoint]
            sale = _Sale((buyer_id, endpoint), caps.caps_by_key(here, local), local, cents, ping, entry, until, now)
            try:
                part = self._take(sale)
            except TemporarilyUnavailable:
                self.give_back(place)
                raise
            if part is None:
                self.give_back(place)
                return None
            place = Place(entry, (*place.parts, part))
        return place

    def read_items(self, items: Sequence[Of]) -> dict[Of, Item]:
        """Up to a hundred items as they are now; where nothing was counted there is none."""
        return self._found(items, consistent=True)

    def lower(self, of: Of, counted: Mapping[str, int], to: Mapping[str, int], taken_at: int, repairs: int) -> bool:
        """Set these counts, by key, if they are still as `counted`, no sale was counted after `taken_at`, and nobody
        else has repaired them. Late, and twice, it changes nothing."""
        update = Update()
        for key, count in to.items():
            update.set(update.name(key), as_number(count))
            update.condition(f"{update.name(key)} = {update.number(counted[key])}")
        update.condition(f"{update.name(TAKEN_AT)} = {update.number(taken_at)}")
        _check_repairs(update, repairs)
        update.add(REPAIRS, 1)
        self.memory.pop(of, None)
        done, _ = self._send(of, update)
        return done

    def give_back(self, place: Place) -> None:
        """Uncount a sale that came to nothing: of each item all of it or, where that fails, none, and caps are one too
        high.

        A count that was removed or repaired meanwhile stays as it is: below what is sold, it would let too many in. It
        is sent once, as it must not be done twice.
        """
        for part in place.parts:
            update = Update()
            for key, amount in part.amounts.items():
                update.add(key, -amount)
                update.condition(f"{update.name(key)} >= {update.number(amount)}")
            if part.amounts:
                _check_repairs(update, part.repairs)
            for name in part.concurrent:
                update.remove(name, place.entry)
                update.condition(f"attribute_exists({update.name(name)})")
            self.memory.pop(part.of, None)
            with suppress(TemporarilyUnavailable):
                self._send(part.of, update)

    def _take(self, sale: "_Sale") -> Part | None:
        """Count a sale in one item; None if a cap is full."""
        for _ in range(TRIES):
            taken, seen = self._write(sale.of, sale.taking(self.memory.get(sale.of)), sale.now)
            if tidying := sale.tidying(seen):
                with suppress(TemporarilyUnavailable):
                    self._write(sale.of, tidying, sale.now)
            if taken:
                return sale.part(seen.repairs)
            if caps.first_full(sale.caps.values(), seen.counted(sale.now, sale.ping), sale.cents, sale.local):
                return None
        raise TemporarilyUnavailable(not_done=True)

    def _remembers(self, of: Of, now: int) -> bool:
        return of in self.memory and now - self.memory[of].at < REMEMBERED_SECONDS

    def _read(self, items: list[Of], now: int) -> None:
        found = self._found(items, consistent=False)
        for of in items:
            self.memory[of] = seen_of(found.get(of, {}), now)

    def _found(self, items: Sequence[Of], consistent: bool) -> dict[Of, Item]:
        answer = self.dynamo.batch_get(self.table, [key_of(of) for of in items], ConsistentRead=consistent)
        found = {(text_of(item, "pk"), text_of(item, "sk")): item for item in answer}
        keys = {of: (key_of(of)["pk"]["S"], key_of(of)["sk"]["S"]) for of in items}
        return {of: found[key] for of, key in keys.items() if key in found}

    def _write(self, of: Of, update: Update, now: int) -> tuple[bool, Seen]:
        """Whether it went through, and the item as it is now, which is remembered."""
        done, item = self._send(of, update)
        seen = self.memory[of] = seen_of(item, now)
        return done, seen

    def _send(self, of: Of, update: Update) -> tuple[bool, Item]:
        """Whether it went through, and the item as it is now."""
        try:
            answer = self.dynamo.once(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=key_of(of),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update.expressions(),
            )
        except ConditionFailed as met:
            return False, met.item or {}
        return True, answer["Attributes"]


class _Sale(Struct, frozen=True):
    """A sale that is to be counted in one item under its `caps`, by key. `entry` names its places."""

    of: Of
    caps: dict[str, Cap]
    local: datetime
    cents: int
    ping: str
    entry: str
    until: int
    now: int

    def part(self, repairs: int) -> Part:
        amounts = {key: cap.amount(self.cents) for key, cap in self.caps.items() if cap.period}
        return Part(self.of, amounts, tuple(key for key in self.caps if key not in amounts), repairs)

    def taking(self, seen: Seen | None) -> Update:
        """The write that counts the sale, and removes what was `seen` to be over. An item that was not seen is assumed
        to have the maps of its caps. If it has not, the write is refused."""
        update = Update()
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
            self._note_the_minute(update, seen)
        return update

    def tidying(self, seen: Seen) -> Update | None:
        """The write that is due once more places are over than one sale can remove. That happens if each sale is
        counted by a process that has not seen the item before, or after a limit was lowered."""
        over = list(self._over(seen))
        if len(over) <= REMOVED_AT_ONCE:
            return None
        update = Update()
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
                (key, other) for other, until in seen.places[key].items() if until <= self.now and other != self.entry
            )
        yield from ((key,) for key in seen.counts if caps.is_over(key, self.local))

    def _count(self, update: Update, key: str, cap: Cap) -> None:
        amount, count = cap.amount(self.cents), update.name(key)
        there_is_room = f"{count} <= {update.number(cap.limit - amount)}"
        update.condition(f"(attribute_not_exists({count}) OR {there_is_room})")
        update.add(key, amount)

    def _note_the_minute(self, update: Update, seen: Seen | None) -> None:
        """A later one, by a later sale or a faster clock, stays: this process knows it at its next try."""
        minute = max(self.now - self.now % MINUTE, seen.taken_at if seen else 0)
        taken_at = update.name(TAKEN_AT)
        update.condition(f"(attribute_not_exists({taken_at}) OR {taken_at} <= {update.number(minute)})")
        update.set(taken_at, as_number(minute))
        update.set_once(update.name(SINCE), as_number(self.now))

    def _take_the_first_place(self, update: Update, key: str) -> None:
        update.condition(f"attribute_not_exists({update.name(key)})")
        update.set(update.name(key), {"M": {self.entry: as_number(self.until)}})

    def _take_place(self, update: Update, key: str, cap: Cap, seen: Seen | None, over: list[tuple[str, ...]]) -> None:
        """Take over the place of an earlier attempt at this ping, if it is still there. Else there must be room. Places
        that are over are in the way only if they fill the map. Then they are subtracted, and each must still be there.
        Otherwise it does not matter if another process has removed them already."""
        mine = seen.places_of(self.ping, key, self.now) if seen else []
        if seen and not mine and self.entry in seen.places[key]:
            mine = [self.entry]
        they_fill_it = not mine and seen is not None and len(seen.places[key]) >= cap.limit
        for path in over:
            end, now = update.name(*path), update.number(self.now)
            is_over, is_over_or_gone = f"{end} <= {now}", f"NOT {end} > {now}"
            update.condition(is_over if they_fill_it else is_over_or_gone)
        update.condition(f"attribute_exists({update.name(key)})")
        if mine:
            update.condition(f"attribute_exists({update.name(key, mine[0])})")
        else:
            most = cap.limit - 1 + (len(over) if they_fill_it else 0)
            update.condition(f"size({update.name(key)}) <= {update.number(most)}")
        for earlier in mine:
            if earlier != self.entry:
                update.remove(key, earlier)
        update.set(update.name(key, self.entry), as_number(self.until))


def items(buyer: Buyer) -> list[Of]:
    """The items that count a buyer's caps."""
    return [(buyer.id, endpoint) for endpoint in sorted({cap.endpoint for cap in buyer.caps})]


def key_of(of: Of) -> dict[str, Any]:
    """The key of an item that counts."""
    buyer_id, endpoint = of
    return table_key(f"B{buyer_id}", f"CAPS@{endpoint}" if endpoint else "CAPS")


def _check_repairs(update: Update, times: int) -> None:
    """On the condition that the item was repaired so many times."""
    name = update.name(REPAIRS)
    update.condition(f"{name} = {update.number(times)}" if times else f"attribute_not_exists({name})")


def _entry(ping_id: bytes, attempt: bytes) -> str:
    """The name of an attempt's places."""
    return f"{_text(ping_id)}.{_text(attempt)}"


def _text(some_id: bytes) -> str:
    return urlsafe_b64encode(some_id).decode().rstrip("=")


def seen_of(item: Item, now: int) -> Seen:
    """An item as it is `now`."""
    numbers = {name: int(value["N"]) for name, value in item.items() if "N" in value}
    return Seen(
        at=now,
        counts={name: number for name, number in numbers.items() if name not in (SINCE, TAKEN_AT, REPAIRS)},
        places={
            name: {entry: int(until["N"]) for entry, until in value["M"].items()}
            for name, value in item.items()
            if "M" in value and name != HELD
        },
        taken_at=numbers.get(TAKEN_AT, 0),
        repairs=numbers.get(REPAIRS, 0),
        held=_held(item[HELD]["M"]) if HELD in item else None,
    )


def _held(values: Mapping[str, Any]) -> dict[str, bytes | int]:
    return {key: bytes(value["B"]) if "B" in value else int(value["N"]) for key, value in values.items()}
