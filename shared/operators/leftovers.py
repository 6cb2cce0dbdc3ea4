"""The hourly give: what functions that died have reserved of buyers' caps, and what was never given of calls.

A request gives what it does not use, and the journal's consumer gives once more what a call has left. So what is found
here is of attempts that died before they could, and of writes that were lost. A reservation is left alone until nothing
of the attempt that made it can still arrive. No count is ever set: only what an entry itself says it counted is taken
back, and only of what did not come true. Where that is not known, because ping or call are gone, everything stays
counted, and only the entry goes.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from msgspec import Struct

from shared.domain import calls, reservations, schedule
from shared.domain.calls import came_true_of_sale, what_came_true
from shared.domain.caps import MOST_HELD
from shared.domain.models import DAY, Buyer, Endpoint
from shared.domain.reservations import NOTHING, CameTrue
from shared.operators.repair import QUIET_SECONDS
from shared.store.calls import Calls
from shared.store.compiled import Compiled, Memory
from shared.store.counters import BATCH, Counters, Of, Seen, items, seen_of
from shared.store.dynamo import Dynamo
from shared.store.packing import UnknownFormat
from shared.store.pings import Claim, Pings, State
from shared.store.reservations import REMOVED_AT_ONCE, Reservations

UNCALLED_SECONDS = 3600
"""After its hold a sale without a call is given within a minute. What is left an hour later was not."""
EVERYTHING = CameTrue(recorded=True, dialed=True, connected=True, converted=True, earned=True)


class _Left(Struct, frozen=True):
    """An entry that has been there for long, in an item of a buyer."""

    of: Of
    key: str
    at: int
    id: bytes
    attempt: bytes | int


class Leftovers:
    """`now` is the clock, in seconds since the epoch. Methods raise `TemporarilyUnavailable`; what was given before it
    stays given."""

    def __init__(self, dynamo: Dynamo, now: Callable[[], int]) -> None:
        self.dynamo = dynamo
        self.now = now
        self.compiled = Compiled(dynamo, Memory())
        self.pings = Pings(dynamo)
        self.calls = Calls(dynamo)
        self.versions: dict[tuple[str, int], Endpoint] = {}

    def give(self, endpoints: Iterable[Endpoint]) -> int:
        """Give what is left of every buyer with caps, and remove what is over. Returns how many reservations it was."""
        buyers = {buyer.id: buyer for endpoint in endpoints for buyer in endpoint.buyers}
        capped = {of: None for endpoint in endpoints for buyer in endpoint.buyers for of in items(buyer)}
        given, counting = 0, list(capped)
        for start in range(0, len(counting), BATCH):
            found = Counters(self.dynamo, {}).read_items(counting[start : start + BATCH])
            seen = {of: seen_of(item, self.now()) for of, item in found.items()}
            given += self._give(seen, buyers)
            for of in found:
                self._remove_what_is_over(of, seen, buyers[of[0]])
        return given

    def _give(self, seen: dict[Of, Seen], buyers: Mapping[int, Buyer]) -> int:
        store, given = Reservations(self.dynamo, seen), 0
        left = [each for of, state in seen.items() for each in self._left(of, state)]
        pings = self._pings_of(left)
        for each in left:
            buyer = buyers[each.of[0]]
            came_true = (
                self._of_call(each, each.attempt)
                if isinstance(each.attempt, int)
                else self._of_sale(each, each.attempt, pings.get(each.id), buyer)
            )
            if came_true:
                local = schedule.local_time(buyer.zone, self.now())
                store.give(buyer.id, each.key, [each.of[1]], came_true, local)
                given += 1
        return given

    def _left(self, of: Of, state: Seen) -> Iterable[_Left]:
        for key, value in (state.held or {}).items():
            if not isinstance(value, bytes):
                continue
            with suppress(ValueError):  # what a newer release has written, it gives itself
                at = reservations.unpack(value).second
                if at <= self.now() - QUIET_SECONDS:
                    yield _Left(of, key, at, *reservations.read_key(key))

    def _pings_of(self, left: Iterable[_Left]) -> dict[bytes, Claim]:
        return self.pings.read_all([each.id for each in left if not isinstance(each.attempt, int)], self.now())

    def _of_sale(self, left: _Left, attempt: bytes, claim: Claim | None, buyer: Buyer) -> CameTrue | None:
        """What came true of what an attempt at a ping has reserved; None if that is not known yet. A sale whose hold is
        long over has no call that may still adopt it: a later one takes anew."""
        if claim is None:
            return EVERYTHING if left.at <= self.now() - DAY else None
        sale = claim.sale
        if sale is None or sale.attempt != attempt or sale.buyer_id != buyer.id:
            return None if claim.state is State.CLAIMED else NOTHING
        if claim.superseded_by or sale.held_until <= self.now() - UNCALLED_SECONDS:
            return came_true_of_sale(buyer)
        return None

    def _of_call(self, left: _Left, n: int) -> CameTrue | None:
        """What came true of what an attempt of a call has reserved; None if it is not settled."""
        try:
            stored = self.calls.look(left.id)
        except UnknownFormat:
            return None
        if stored is None:
            return EVERYTHING if left.at <= self.now() - DAY else None
        if stored.facts.settled is None:
            return None
        buyer = self._endpoint_of(stored.call).buyer(left.of[0])
        return what_came_true(stored.call, stored.facts, n, buyer) if buyer else EVERYTHING

    def _endpoint_of(self, call: calls.Call) -> Endpoint:
        """As the call has met it."""
        key = (call.endpoint, call.version)
        if key not in self.versions:
            self.versions[key] = self.compiled.version(*key)
        return self.versions[key]

    def _remove_what_is_over(self, of: Of, seen: dict[Of, Seen], buyer: Buyer) -> None:
        store, local = Reservations(self.dynamo, seen), schedule.local_time(buyer.zone, self.now())
        for _ in range(MOST_HELD // REMOVED_AT_ONCE):
            if seen[of].held is None or not store.tidy(of, seen[of], local):
                break
