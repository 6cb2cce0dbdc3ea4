"""Postbacks and their receivers, in the journal table. Items by `pk` and `sk`:

    POSTBACK#msg_…       POSTBACK           one event for one receiver: receiver, happening, packed; `at`, when it was
                                            first seen; tries, how many were made, base, at how many its retries began;
                                            state; next_at, when it is tried again; trying, until when a
                                            try has it for itself
    RECEIVER#tracker     STATE              ok_at, failed_at; failed, its tries that failed in a row; paused, resumed;
                                            slot0 …, until when a try may still run
    TRIES#tracker        <at>#msg_…#000     the log: a try, its status, milliseconds, and what is wrong
    WAITING#tracker      <at>#msg_…         a postback that was not tried, as its receiver fails or is paused
    DEAD#tracker         <at>#msg_…         a postback that is not tried any more

All have `delete_at`. Nothing has a caller or a lead: these are looked up for each try.

**No write does harm if it is lost, comes twice, or comes late**, after others:

- A postback is written down if it is not there. A try is noted on the condition that so many were made before it: a
  second or a late one is refused.
- A try is made by who has claimed it, and a claim ends by itself: of two repeats of one message one makes the try.
- Of what failed in a row there is a set of tries, so that the same try counts once. A late one counts after a success,
  and no more than one.
- A slot only keeps many tries of one receiver from running at once: one that is lost ends by itself, and one that is
  freed too early lets one more run.
- A receiver that answered 410 is paused only if it was not resumed since that try began.
- The log, what waits and what is dead have keys that follow from what they say.
- What waits and is over already is only looked at once more: whoever takes it up goes by the postback itself.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from shared.domain.models import DAY
from shared.domain.receivers import Happening
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import (
    Update,
    as_bytes,
    as_number,
    as_text,
    bytes_of,
    number_of,
    number_or,
    table_key,
    text_of,
)
from shared.store.packing import pack_json, unpack_json

KEPT_SECONDS = 30 * DAY
SLOTS = 5
"""How many tries of one receiver run at once."""
FAILING = 5
"""So many tries in a row failed: the receiver is left alone, but for one try a minute."""
MOST_FAILED = 50
"""More are not remembered."""
OK_SECONDS = 60
"""How exactly is known when a receiver was last well, while it is."""

State = Literal["waiting", "sent", "dead", "unwanted"]
STATES: tuple[State, ...] = get_args(State)


class Listed(Struct, frozen=True):
    """An entry of what waits, or is dead; `at` is when the postback was first seen, or sent again."""

    at: int
    id: str

    @property
    def place(self) -> str:
        """Of the list."""
        return f"{self.at:010}#{self.id}"


class Postback(Struct, frozen=True, kw_only=True):
    """An event for a receiver. It `waits` for its next try at `next_at`, is sent, dead, or was not wanted by the
    receiver's conditions. Tries are numbered from 0; `base` is the one at which its retries began."""

    id: str
    receiver: str
    happening: Happening
    at: int
    tries: int = 0
    base: int = 0
    since: int = 0
    state: State = "waiting"
    next_at: int = 0

    def __repr__(self) -> str:
        return f"Postback({self.id}, {self.state})"

    @property
    def entry(self) -> Listed:
        """The one that it has where it waits or is dead."""
        return Listed(self.since, self.id)


class ReceiverState(Struct, frozen=True, kw_only=True):
    """How a receiver fares. `slots` are those that are taken, each with until when."""

    name: str
    ok_at: int = 0
    failed_at: int = 0
    failed: frozenset[str] = frozenset()
    paused: int = 0
    slots: dict[int, int] = {}

    @property
    def is_failing(self) -> bool:
        return len(self.failed) >= FAILING

    def is_full(self, now: int) -> bool:
        """Whether as many tries run as may."""
        return all(self.slots.get(slot, 0) > now for slot in range(SLOTS))


class Try(Struct, frozen=True, kw_only=True):
    """A try that was made: `status` is HTTP's, 0 without an answer; `reason` says then why there is none. `state` is
    what became of the postback."""

    at: int
    id: str
    number: int
    type: str
    status: int
    milliseconds: int
    reason: str
    state: State


class Postbacks:
    """Methods raise `TemporarilyUnavailable`."""

    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.journal_table

    def begin(self, postback: Postback) -> Postback:
        """Write it down, or the one that was written before."""
        item = {
            **_key(postback.id),
            "receiver": as_text(postback.receiver),
            "happening": as_bytes(pack_json(postback.happening)),
            "at": as_number(postback.at),
            "since": as_number(postback.at),
            "tries": as_number(0),
            "base": as_number(0),
            "state": as_text("waiting"),
            "next_at": as_number(postback.at),
            "delete_at": as_number(postback.at + KEPT_SECONDS),
        }
        try:
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            return _postback(met.item or item)
        return _postback(item)

    def find(self, message_id: str) -> Postback | None:
        item = self.dynamo.get(self.table, _key(message_id))
        return _postback(item) if item else None

    def find_all(self, message_ids: Collection[str]) -> list[Postback]:
        """Those that are there."""
        keys = [_key(each) for each in sorted({*message_ids})]
        return [_postback(item) for item in self.dynamo.batch_get(self.table, keys, ConsistentRead=True)]

    def claim(self, message_id: str, number: int, now: int, until: int) -> bool:
        """Take the try of this number for oneself until then. False if another one has it, or it was made."""
        update = Update()
        trying = update.name("trying")
        update.set(trying, as_number(until))
        update.condition(f"{update.name('tries')} = {update.number(number)}")
        update.condition(f"{update.name('state')} = {update.value(as_text('waiting'))}")
        update.condition(f"(attribute_not_exists({trying}) OR {trying} <= {update.number(now)})")
        try:
            self.dynamo.call(
                self.dynamo.client.update_item, TableName=self.table, Key=_key(message_id), **update.expressions()
            )
        except ConditionFailed:
            return False
        return True

    def note_try(self, message_id: str, number: int, state: State, next_at: int) -> Postback | None:
        """What became of a try; and the postback as it is then. None if it is gone."""
        update = Update()
        update.set(update.name("tries"), as_number(number + 1))
        update.remove("trying")
        return self._change(update, message_id, number, state, next_at, "waiting")

    def set_aside(self, message_id: str, number: int, state: State, next_at: int) -> Postback | None:
        """End it without a try."""
        return self._change(Update(), message_id, number, state, next_at, "waiting")

    def revive(self, message_id: str, number: int, now: int) -> Postback | None:
        """Let one that is over be tried as if it were new, if so many tries were made."""
        update = Update()
        update.set(update.name("base"), as_number(number))
        update.set(update.name("since"), as_number(now))
        update.set(update.name("delete_at"), as_number(now + KEPT_SECONDS))
        return self._change(update, message_id, number, "waiting", now, "sent", "dead", "unwanted")

    def _change(
        self, update: Update, message_id: str, number: int, state: State, next_at: int, *were: State
    ) -> Postback | None:
        update.set(update.name("state"), as_text(state))
        update.set(update.name("next_at"), as_number(next_at))
        update.condition(f"{update.name('tries')} = {update.number(number)}")
        update.condition(f"{update.name('state')} IN ({', '.join(update.value(as_text(each)) for each in were)})")
        try:
            answer = self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key(message_id),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update.expressions(),
            )
        except ConditionFailed as met:
            return _postback(met.item) if met.item else None
        return _postback(answer["Attributes"])

    # Receivers

    def state_of(self, receiver: str) -> ReceiverState:
        item = self.dynamo.get(self.table, _state_key(receiver))
        return _receiver_state(item) if item else ReceiverState(name=receiver)

    def states_of(self, receivers: Collection[str]) -> dict[str, ReceiverState]:
        keys = [_state_key(each) for each in sorted({*receivers})]
        found = map(_receiver_state, self.dynamo.batch_get(self.table, keys, ConsistentRead=True))
        return {each: ReceiverState(name=each) for each in receivers} | {each.name: each for each in found}

    def take_slot(self, state: ReceiverState, now: int, until: int) -> int | None:
        """One in which a try may run until then; None if as many run as may."""
        for slot in range(SLOTS):
            if state.slots.get(slot, 0) > now:
                continue
            update = Update()
            name = update.name(f"slot{slot}")
            update.set(name, as_number(until))
            update.condition(f"(attribute_not_exists({name}) OR {name} <= {update.number(now)})")
            if self._update_state(state.name, update):
                return slot
        return None

    def free_slot(self, receiver: str, slot: int) -> None:
        update = Update()
        update.remove(f"slot{slot}")
        self._update_state(receiver, update)

    def note_ok(self, state: ReceiverState, slot: int, now: int) -> None:
        update = Update()
        update.remove(f"slot{slot}")
        update.remove("failed")
        if now >= state.ok_at + OK_SECONDS:
            update.set(update.name("ok_at"), as_number(now))
        self._update_state(state.name, update)

    def note_failed(self, state: ReceiverState, slot: int | None, message_id: str, number: int, now: int) -> None:
        update = Update()
        if slot is not None:
            update.remove(f"slot{slot}")
        update.set(update.name("failed_at"), as_number(now))
        if len(state.failed) < MOST_FAILED:
            update.add_to_set("failed", f"{message_id}#{number}")
        self._update_state(state.name, update)

    def pause(self, receiver: str, tried_at: int, now: int) -> None:
        update = Update()
        resumed = update.name("resumed")
        update.set(update.name("paused"), as_number(now))
        update.condition(f"(attribute_not_exists({resumed}) OR {resumed} < {update.number(tried_at)})")
        self._update_state(receiver, update)

    def resume(self, receiver: str, now: int) -> None:
        """End a pause, and forget what failed."""
        update = Update()
        update.set(update.name("resumed"), as_number(now))
        update.remove("paused")
        update.remove("failed")
        self._update_state(receiver, update)

    def _update_state(self, receiver: str, update: Update) -> bool:
        """False if it was refused."""
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.update_item, TableName=self.table, Key=_state_key(receiver), **update.expressions()
            )
            return True
        return False

    # Lists

    def log_try(self, receiver: str, made: Try) -> None:
        self._list(
            f"TRIES#{receiver}",
            f"{made.at:010}#{made.id}#{made.number:03}",
            made.at,
            type=as_text(made.type),
            status=as_number(made.status),
            milliseconds=as_number(made.milliseconds),
            state=as_text(made.state),
            **({"reason": as_text(made.reason)} if made.reason else {}),
        )

    def note_waiting(self, postback: Postback) -> None:
        self._list(f"WAITING#{postback.receiver}", postback.entry.place, postback.since)

    def note_dead(self, postback: Postback) -> None:
        self._list(f"DEAD#{postback.receiver}", postback.entry.place, postback.since)

    def forget_dead(self, receiver: str, entry: Listed) -> None:
        """It is tried again."""
        self.dynamo.call(
            self.dynamo.client.delete_item, TableName=self.table, Key=table_key(f"DEAD#{receiver}", entry.place)
        )

    def waiting(self, receiver: str, most: int) -> list[Listed]:
        """The oldest that wait."""
        return [_entry(item) for item in self._listed(f"WAITING#{receiver}", most, True)]

    def dead(self, receiver: str, most: int, before: str = "") -> list[Listed]:
        """The newest; with `before` those after that place of the list."""
        return [_entry(item) for item in self._listed(f"DEAD#{receiver}", most, False, before)]

    def forget_waiting(self, receiver: str, entries: Sequence[Listed]) -> None:
        keys = [table_key(f"WAITING#{receiver}", each.place) for each in entries]
        self.dynamo.batch_delete(self.table, keys)

    def tries(self, receiver: str, most: int, before: str = "") -> list[tuple[str, Try]]:
        """The newest first, each with its place in the list."""
        items = self._listed(f"TRIES#{receiver}", most, False, before)
        return [(text_of(item, "sk"), _try(item)) for item in items]

    def _list(self, pk: str, sk: str, at: int, **more: Any) -> None:
        item = {**table_key(pk, sk), "delete_at": as_number(at + KEPT_SECONDS), **more}
        self.dynamo.call(self.dynamo.client.put_item, TableName=self.table, Item=item)

    def _listed(self, pk: str, most: int, forward: bool, before: str = "") -> list[Item]:
        values: dict[str, Any] = {":pk": as_text(pk)}
        condition = "pk = :pk"
        if before:
            condition, values[":before"] = f"{condition} AND sk < :before", as_text(before)
        answer = self.dynamo.call(
            self.dynamo.client.query,
            TableName=self.table,
            ConsistentRead=True,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=forward,
            Limit=most,
        )
        return [*answer["Items"]]


def _key(message_id: str) -> dict[str, Any]:
    return table_key(f"POSTBACK#{message_id}", "POSTBACK")


def _state_key(receiver: str) -> dict[str, Any]:
    return table_key(f"RECEIVER#{receiver}", "STATE")


def _entry(item: Item) -> Listed:
    at, _, message_id = text_of(item, "sk").partition("#")
    return Listed(int(at), message_id)


def _postback(item: Item) -> Postback:
    return Postback(
        id=text_of(item, "pk").partition("#")[2],
        receiver=text_of(item, "receiver"),
        happening=unpack_json(bytes_of(item, "happening"), Happening),
        at=number_of(item, "at"),
        since=number_of(item, "since"),
        tries=number_of(item, "tries"),
        base=number_of(item, "base"),
        state=msgspec.convert(text_of(item, "state"), State),
        next_at=number_of(item, "next_at"),
    )


def _receiver_state(item: Item) -> ReceiverState:
    return ReceiverState(
        name=text_of(item, "pk").partition("#")[2],
        ok_at=number_or(item, "ok_at", 0),
        failed_at=number_or(item, "failed_at", 0),
        failed=frozenset(item["failed"]["SS"]) if "failed" in item else frozenset(),
        paused=number_or(item, "paused", 0),
        slots={slot: number_of(item, f"slot{slot}") for slot in range(SLOTS) if f"slot{slot}" in item},
    )


def _try(item: Item) -> Try:
    at, message_id, number = text_of(item, "sk").split("#")
    return Try(
        at=int(at),
        id=message_id,
        number=int(number),
        type=text_of(item, "type"),
        status=number_of(item, "status"),
        milliseconds=number_of(item, "milliseconds"),
        reason=text_of(item, "reason"),
        state=msgspec.convert(text_of(item, "state"), State),
    )
