"""What changes of pings and calls call for beside their rows: marks on the ping of a call and on superseded sales, what
a settled call gives back, and the timetable. All of it may be repeated, and comes again with the batch if any fails."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from shared.domain.calls import connected_attempt, due_at
from shared.domain.models import Endpoint, Ping, Sale
from shared.journal.consumer import EndpointOf
from shared.journal.events import BROKEN, Event, read_calls, read_sale
from shared.journal.timetable import Due, Timetable
from shared.store.calls import Calls, StoredCall
from shared.store.items import bytes_of

WAIT_SECONDS = 30
"""How long after its hold a sale is still waited for: so long a call may be under way to the journal."""

GiveBack = Callable[[StoredCall, bytes], object]
"""Gives back what a settled call held and did not use, by the call and its id. It may be repeated, at any time."""


Supersede = Callable[[Endpoint, Ping, Sale], object]
"""Marks the sales that a recorded one has superseded. It may be repeated, at any time."""


def leave(*_: object) -> None:
    """Gives and marks nothing: what the request did not do, the hourly repair does, or nobody has to."""


class FollowUp:
    """Called with the changes of a batch, in their order. Raises `TemporarilyUnavailable`, and `Unreadable`."""

    def __init__(
        self,
        calls: Calls,
        timetable: Timetable,
        endpoint_of: EndpointOf,
        give_back: GiveBack = leave,
        supersede: Supersede = leave,
    ) -> None:
        self.calls = calls
        self.timetable = timetable
        self.endpoint_of = endpoint_of
        self.give_back = give_back
        self.supersede = supersede

    def __call__(self, changes: Sequence[Event]) -> None:
        self.timetable.enter([due for change in changes for due in self._follow(change)])

    def _follow(self, change: Event) -> Iterator[Due]:
        if change.table == "calls":
            yield from self._follow_call(change)
        elif sold := read_sale(change):
            yield from self._follow_sale(*sold)

    def _follow_call(self, change: Event) -> Iterator[Due]:
        """What is due of it is entered whenever that has changed."""
        (old, new), call_id = read_calls(change), bytes_of(change.new or {}, "call_id")
        call, facts = new.call, new.facts
        if call.ping_id:
            if old is None:
                self.calls.mark_ping(call.ping_id, "called", call_id)
            if connected_attempt(call, facts) and not (old and connected_attempt(old.call, old.facts)):
                self.calls.mark_ping(call.ping_id, "connected", call_id)
        if facts.settled:
            if not (old and old.facts.settled):
                with suppress(*BROKEN):  # who settled it has given already; the hourly repair gives what is left
                    self.give_back(new, call_id)
        elif old is None or due_at(old.call, old.facts) != due_at(call, facts):
            yield Due("calls", call_id, due_at(call, facts))

    def _follow_sale(self, ping: Ping, sale: Sale) -> Iterator[Due]:
        endpoint = self.endpoint_of(ping.endpoint, sale.version_of(ping))
        if endpoint and (sale.overflow or sale.number in endpoint.static_numbers):
            self.supersede(endpoint, ping, sale)
        if endpoint and endpoint.calls:
            yield Due("sales", ping.id, sale.held_until + WAIT_SECONDS)
