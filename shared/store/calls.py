"""Calls as facts, in a table of their own.

A call's item holds `call`, packed, which never changes; for each attempt n its facts `a<n>`, the buyer and when it was
dialed; `agreed<n>`, what its live buyer agreed to; `c<n>`, when its leg was answered; `accepted<n>`, when its key was
pressed; `s<n>`, how it ended; `recording<n>`, the address of its recording; and `over`. `caller` is the keyed hash of
who calls.
`a<n>`, `agreed<n>`, `s<n>` and `over` are packed. Once it is settled it has `settled`, when; `outcome`, `detail`,
`buyer`, `converted`, `revenue_cents`, `payout_cents` and `seconds`. `erased` has no caller and no recording. From
`delete_at` on DynamoDB deletes it.

**No write does harm if it is lost, comes twice, or comes late**, after others:

- Every fact is written once, if it is not there, and never changed or removed. So a second or a late one is refused,
  and which of two comes first is decided by the table and stays.
- All but `arrive` need the item: nothing brings a deleted call back. `arrive` needs that there is none.
- An attempt begins only after the one before it has ended, and not once the call is over or settled. So two requests
  that both want to dial the next buyer write the same attempt, and one of them is refused. One that comes late finds
  that attempt, or a call that is settled: it never dials a second buyer while another one rings.
- What has ended stays as it ended: an answered leg or a key that is said after the end of its attempt, or an end after
  the settlement, changes nothing. Else what was given back by then would be counted no more, though it came true.
- A settlement is written once, on the condition that there is no fact but those by which it was made.
- A ping is converted by one call and stays so. The same call may say it again.
- What was lost has changed nothing. A request that comes again, or the minute function when the call is due, finds
  the facts that there are, and goes on from there.

Every method gives the call as it is after the write, also where that was refused: a request goes on from what is there,
also from what another one has written. Its own value there says that its write is done. None is a call that is not
there. They raise `TemporarilyUnavailable`, and `UnknownFormat` for an item of a newer release.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain.calls import MOST_ATTEMPTS, Agreed, Attempt, Call, Ended, Facts, Over, Settled
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import (
    Update,
    Value,
    as_bytes,
    as_number,
    as_text,
    bytes_of,
    number_of,
    number_or,
    ping_key,
    text_of,
)
from shared.store.packing import UnknownFormat, pack, unpack

BEGAN, AGREED, CONNECTED, ACCEPTED, ENDED, OVER = "a", "agreed", "c", "accepted", "s", "over"
RECORDING = "recording"
"""Not among the facts that decide: a call may be settled before its recording is there."""
ERASED = "erased"
KINDS = (BEGAN, AGREED, CONNECTED, ACCEPTED, ENDED)
NUMBERS = range(1, MOST_ATTEMPTS + 1)

THE_PING_IS_THIS_CALLS = "attribute_exists(ping_id) AND (attribute_not_exists(converted) OR converted = :value)"
THE_PING_HAS_NONE = "attribute_exists(ping_id) AND attribute_not_exists(#mark)"
NOBODY_CALLED = "attribute_exists(sale) AND attribute_not_exists(#called) AND attribute_not_exists(superseded_by)"

T = TypeVar("T")


Personal = Literal["kept", "running", "gone"]
"""Whether a call has something personal: it does until it is erased, or while it is not settled."""


class StoredCall(Struct, frozen=True):
    """A call and its facts as they are now."""

    call: Call
    facts: Facts


class Calls:
    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.calls_table

    def arrive(self, call_id: bytes, call: Call, first: Attempt | None, caller: bytes, delete_at: int) -> StoredCall:
        """Write a call down with its first attempt, if there is somebody to dial; or the call that was written before.
        `caller` is the keyed hash, b"" of an anonymous one.

        A repeated webhook makes the same id, so it is refused and gets what stands. As long as an item is kept, days,
        no late write can find that there is none.
        """
        item = {**_key(call_id), "call": as_bytes(pack(call)), "delete_at": as_number(delete_at)}
        if first:
            item[f"{BEGAN}1"] = _packed(first)
        if caller:
            item["caller"] = as_bytes(caller)
        try:
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item=item,
                ConditionExpression="attribute_not_exists(call_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            if met.item is None:
                raise TemporarilyUnavailable from None
            return read_item(met.item)
        return read_item(item)

    def attempt(self, call_id: bytes, number: int, attempt: Attempt) -> StoredCall | None:
        """Begin an attempt, before anything is reserved for it and before its buyer is dialed. The request
        that finds this very `attempt` in what stands has begun it. Otherwise another one has the number, the call is
        over or settled, or the attempt before still runs: `next_step` of what stands says how to go on."""
        update = Update()
        name = update.name(f"{BEGAN}{number}")
        update.set(name, _packed(attempt))
        _check_absent(update, f"{BEGAN}{number}", OVER, "settled")
        if number > 1:
            _check_present(update, f"{BEGAN}{number - 1}", f"{ENDED}{number - 1}")
        return self._write(call_id, update)

    def note_agreed(self, call_id: bytes, number: int, agreed: Agreed) -> StoredCall | None:
        """The live buyer of an attempt has agreed to the call."""
        return self._note(call_id, f"{AGREED}{number}", _packed(agreed))

    def note_connected(self, call_id: bytes, number: int, at: int) -> StoredCall | None:
        """The leg of an attempt's buyer was answered."""
        return self._note(call_id, f"{CONNECTED}{number}", as_number(at), f"{ENDED}{number}", "settled")

    def note_accepted(self, call_id: bytes, number: int, at: int) -> StoredCall | None:
        """An attempt's buyer has pressed the key."""
        return self._note(call_id, f"{ACCEPTED}{number}", as_number(at), f"{ENDED}{number}", "settled")

    def note_ended(self, call_id: bytes, number: int, ended: Ended) -> StoredCall | None:
        return self._note(call_id, f"{ENDED}{number}", _packed(ended), "settled")

    def note_over(self, call_id: bytes, over: Over) -> StoredCall | None:
        return self._note(call_id, OVER, _packed(over))

    def note_recording(self, call_id: bytes, number: int, url: str) -> StoredCall | None:
        """Where the recording of an attempt is; not of a call that was erased."""
        update, name = Update(), f"{RECORDING}{number}"
        update.set(update.name(name), as_text(url))
        _check_absent(update, name, ERASED)
        return self._write(call_id, update)

    def look(self, call_id: bytes) -> StoredCall | None:
        """A call as it is now, by a consistent read: after what an attempt needs was reserved, since the attempt may
        have ended, or the call been settled, meanwhile."""
        item = self.dynamo.get(self.table, _key(call_id))
        return read_item(item) if item else None

    def look_at(self, call_ids: Collection[bytes]) -> dict[bytes, StoredCall]:
        """Those that are there, as they are or were a moment ago, without those that only a newer release can read."""
        found = dict[bytes, StoredCall]()
        for item in self.dynamo.batch_get(self.table, [_key(call_id) for call_id in {*call_ids}]):
            with suppress(UnknownFormat):
                found[bytes_of(item, "call_id")] = read_item(item)
        return found

    def settle(self, call_id: bytes, seen: Facts, settled: Settled) -> StoredCall | None:
        """Write down how a call ended, once, if its facts are as they were `seen`. As facts are never changed, each of
        them only has to be there, and no other. If what stands is not settled, it has more facts: decide again by them.

        Late, it is refused by whatever happened since: a settled call has no further attempts, and an attempt or an end
        that came before it was not `seen`.
        """
        update = Update()
        written = {
            "settled": as_number(settled.at),
            "outcome": as_text(settled.outcome),
            "revenue_cents": as_number(settled.revenue_cents),
            "payout_cents": as_number(settled.payout_cents),
            "seconds": as_number(settled.seconds),
            **({"detail": as_text(settled.detail)} if settled.detail else {}),
            **({"buyer": as_number(settled.buyer_id)} if settled.buyer_id else {}),
            **({"converted": {"BOOL": True}} if settled.converted else {}),
        }
        for name, value in written.items():
            update.set(update.name(name), value)
        there = {*_names(seen)}
        _check_absent(update, "settled", *(name for name in _all_names() if name not in there))
        _check_present(update, *there)
        return self._write(call_id, update)

    def mark_paid(self, ping_id: bytes, call_id: bytes) -> bool:
        """Let this call be the one for which its sale is paid. False if another one is, or the ping is gone.

        Say it before the call is settled: if that is unclear, say it again, and the answer is the same. Of several
        calls the first one wins, also if its request died: the next request that settles it finds that it is paid.
        """
        update = "SET converted = :value, connected = if_not_exists(connected, :value)"
        return self._mark(ping_id, update, THE_PING_IS_THIS_CALLS, as_bytes(call_id))

    def mark_ping(self, ping_id: bytes, mark: Literal["called", "connected"], call_id: bytes) -> None:
        """Note on a ping the first call that came to its number, or that its buyer answered. Twice or late, it changes
        nothing."""
        self._mark(ping_id, "SET #mark = :value", THE_PING_HAS_NONE, as_bytes(call_id), {"#mark": mark})

    def mark_never_called(self, ping_id: bytes, at: int) -> bool:
        """Note on the ping of a sale that no call came. False if one did, or if another sale has taken its place. Twice
        or late, it changes nothing."""
        update = "SET never_called = if_not_exists(never_called, :value)"
        return self._mark(ping_id, update, NOBODY_CALLED, as_number(at), {"#called": "called"})

    def _mark(
        self, ping_id: bytes, update: str, condition: str, value: Value, names: Mapping[str, str] | None = None
    ) -> bool:
        """False where the condition is not met."""
        named: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.dynamo.settings.pings_table,
                Key=ping_key(ping_id),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={":value": value},
                **named,
            )
        except ConditionFailed:
            return False
        return True

    def forget(self, call_id: bytes) -> Personal:
        """Remove what is personal of a settled call: who called, and the addresses of its recordings. What there was of
        it: one that is not settled is left as it is. Twice or late, it changes nothing."""
        item = self.dynamo.get(self.table, _key(call_id))
        found = _personal(item)
        if item is None or found != "kept":
            return found
        update = Update()
        update.set(update.name("call"), as_bytes(pack(replace(read_item(item).call, caller=""))))
        update.set(update.name(ERASED), {"BOOL": True})
        for name in ("caller", *(f"{RECORDING}{number}" for number in NUMBERS)):
            update.remove(name)
        _check_absent(update, ERASED)
        _check_present(update, "settled")
        self._write(call_id, update)
        return found

    def find_personal(self, call_id: bytes) -> Personal:
        """What `forget` would find."""
        return _personal(self.dynamo.get(self.table, _key(call_id)))

    def _note(self, call_id: bytes, name: str, value: Value, *later: str) -> StoredCall | None:
        """Write a fact, if neither it nor what can only come `later` is there. A provider may say it again, at another
        time: the first one stays."""
        update = Update()
        update.set(update.name(name), value)
        _check_absent(update, name, *later)
        return self._write(call_id, update)

    def _write(self, call_id: bytes, update: Update) -> StoredCall | None:
        update.condition("attribute_exists(call_id)")
        try:
            answer = self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key(call_id),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update.expressions(),
            )
        except ConditionFailed as met:
            return read_item(met.item) if met.item else None
        return read_item(answer["Attributes"])


def _personal(item: Item | None) -> Personal:
    if item is None or ERASED in item:
        return "gone"
    return "kept" if "settled" in item else "running"


def _key(call_id: bytes) -> dict[str, Any]:
    return {"call_id": as_bytes(call_id)}


def _check_absent(update: Update, *names: str) -> None:
    for name in names:
        update.condition(f"attribute_not_exists({update.name(name)})")


def _check_present(update: Update, *names: str) -> None:
    for name in sorted(names):
        update.condition(f"attribute_exists({update.name(name)})")


def _all_names() -> Iterator[str]:
    """The attributes of all facts that there can be."""
    yield OVER
    for kind in KINDS:
        yield from (f"{kind}{number}" for number in NUMBERS)


def _names(facts: Facts) -> Iterator[str]:
    """The attributes of the facts that there are."""
    if facts.over:
        yield OVER
    some: Iterable[Mapping[int, object]] = (facts.attempts, facts.agreed, facts.connected, facts.accepted, facts.ended)
    for kind, found in zip(KINDS, some, strict=True):
        yield from (f"{kind}{number}" for number in found)


def _packed(fact: Struct) -> Value:
    return as_bytes(msgspec.msgpack.encode(fact))


def _unpacked(item: Item, name: str, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(bytes_of(item, name), type=kind)
    except msgspec.MsgspecError:
        raise UnknownFormat(f"The fact {name} of a call cannot be read.") from None


def read_item(item: Item) -> StoredCall:
    """Raises `UnknownFormat`."""
    return StoredCall(unpack(bytes_of(item, "call"), Call), _facts(item))


def _facts(item: Item) -> Facts:
    def there(kind: str) -> dict[int, str]:
        return {number: f"{kind}{number}" for number in NUMBERS if f"{kind}{number}" in item}

    return Facts(
        attempts={number: _unpacked(item, name, Attempt) for number, name in there(BEGAN).items()},
        agreed={number: _unpacked(item, name, Agreed) for number, name in there(AGREED).items()},
        connected={number: number_of(item, name) for number, name in there(CONNECTED).items()},
        accepted={number: number_of(item, name) for number, name in there(ACCEPTED).items()},
        ended={number: _unpacked(item, name, Ended) for number, name in there(ENDED).items()},
        over=_unpacked(item, OVER, Over) if OVER in item else None,
        settled=_settled(item) if "settled" in item else None,
    )


def _settled(item: Item) -> Settled:
    """Raises `UnknownFormat` for an outcome that a newer release knows."""
    found = {
        "at": number_of(item, "settled"),
        "outcome": text_of(item, "outcome"),
        "detail": text_of(item, "detail"),
        "buyer_id": number_or(item, "buyer", 0),
        "converted": "converted" in item,
        "revenue_cents": number_of(item, "revenue_cents"),
        "payout_cents": number_of(item, "payout_cents"),
        "seconds": number_of(item, "seconds"),
    }
    try:
        return msgspec.convert(found, Settled)
    except msgspec.MsgspecError:
        raise UnknownFormat("The outcome of a call is not one that this version knows.") from None
