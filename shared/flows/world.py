"""What a flow needs from outside: store, clock, random bytes, threads."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from typing import TypeVar

from shared.bidders.buyers import LiveBuyers
from shared.domain import keys
from shared.domain.keys import Keys
from shared.domain.models import (
    Endpoint,
    Lead,
)
from shared.store.callers import Callers
from shared.store.compiled import Compiled, SandboxEndpoints
from shared.store.counters import Counters
from shared.store.pings import Pings
from shared.store.refused_requests import RefusedRequests
from shared.store.reservations import Reservations
from shared.store.retries import RetryKeys
from shared.store.rings import Rings
from shared.store.routes import Routes

OWN_SECONDS = 0.03
"""Time for our own work after live buyers answered; their time is shorter by it."""
NOTE_SECONDS = 0.1
"""How long a request waits for a note once its own write is done."""
T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class World:
    """What a flow needs from outside, made anew for each request: its store calls share one deadline.

    `now` is in seconds since the epoch, `elapsed` in seconds since the request came in; `pause` waits before another
    look at what somebody else works on, longer after more looks. Calls at once run in `io_pool`. `skew` is by how many
    seconds our clock may be wrong. `newest_keys` looks whether there are newer keys than `keys`.
    """

    compiled: Compiled
    pings: Pings
    refused_requests: RefusedRequests
    routes: Routes
    retry_keys: RetryKeys
    rings: Rings
    counters: Counters
    reservations: Reservations
    callers: Callers
    live: LiveBuyers
    keys: Keys
    now: Callable[[], int]
    skew: Callable[[], float]
    elapsed: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    io_pool: Executor
    pause: Callable[[int], None]
    newest_keys: Callable[[], Keys]

    def endpoint(self, vanity_uri: str) -> Endpoint:
        return self.compiled.endpoint(vanity_uri, self.now())

    def of_sandbox(self) -> "World":
        """The world of the endpoints' sandbox endpoints."""
        dynamo = self.compiled.dynamo.of_sandbox()
        rings = Rings(dynamo, self.rings.exhausted)
        world = dataclasses.replace(
            self,
            compiled=SandboxEndpoints(dynamo, self.compiled.memory, rings),
            pings=Pings(dynamo, self.elapsed),
            routes=Routes(dynamo),
            retry_keys=RetryKeys(dynamo),
            rings=rings,
            counters=Counters(dynamo, self.counters.memory),
            reservations=Reservations(dynamo, self.reservations.memory),
            newest_keys=lambda: keys.of_sandbox(self.newest_keys()),
        )
        return world.with_keys(keys.of_sandbox(self.keys))

    def with_keys(self, own: Keys) -> "World":
        """This world with other keys."""
        return dataclasses.replace(
            self,
            callers=Callers(self.compiled.dynamo, own, self.callers.noted),
            live=LiveBuyers(self.live.send, self.live.secret, own),
            keys=own,
        )

    def with_newest_keys(self, endpoint: Endpoint, ping_id: str) -> "World":
        """This world with the newest keys, if an unknown key may have made the ping id; else unchanged."""
        return (
            self.with_keys(self.newest_keys())
            if keys.needs_newer_key(self.keys, endpoint.vanity_uri, ping_id)
            else self
        )

    def seconds_left(self, deadline_ms: int) -> float:
        """How many seconds there are until live buyers must have answered."""
        return deadline_ms / 1000 - OWN_SECONDS - self.elapsed()

    def in_parallel(self, first: Callable[[], T], *others: Callable[[], object]) -> T:
        """Run all at once and wait for all; the first one's result."""
        running = [self.io_pool.submit(other) for other in others]
        try:
            return first()
        finally:
            for other in running:
                other.result()

    def run_with_notes(self, first: Callable[[], T], *notes: Callable[[], None]) -> T:
        """Run a request's own write and, beside it, what may be lost: `notes`, and the uses of tokens that are due. A
        note that takes longer ends by itself."""
        running = [self.io_pool.submit(note) for note in (*notes, *self.callers.due_writes())]
        try:
            return first()
        finally:
            for done in wait(running, NOTE_SECONDS).done:
                done.result()

    def caller_hash(self, lead: Lead) -> bytes:
        return keys.caller_hash(self.keys, lead.caller) if lead.caller else b""
