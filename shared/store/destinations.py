"""To whom a call goes: whose number it is, its lease or the caller's route, and the sold ping. Three calls,
and one more for each route whose sale was never recorded.

An owner, or a sale, of 0.1.0 takes some more: the pool's shards are read from the configuration, and the buyer's number
as it is configured now. So does a number whose place is not the present one, for an apply died after its switch.
"""

from collections.abc import Callable

from msgspec import Struct

from shared.domain.keys import Keys, route_keys
from shared.domain.leasing import Lease
from shared.domain.models import Lead, Ping, RingPool, Sale
from shared.domain.refusals import UnknownEndpoint
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo
from shared.store.items import bytes_of, number_of, table_key
from shared.store.owners import Owner, Place, owner_key, owner_of, places
from shared.store.packing import unpack_json
from shared.store.pings import Pings, State
from shared.store.rings import Rings
from shared.store.routes import Route, Routes


class Destination(Struct, frozen=True):
    """The buyer to dial, at `number`, and until when a call goes there. `endpoint` is the ping's."""

    endpoint: str
    buyer_id: int
    number: str
    until: int


class Destinations:
    """`now` is the clock, in seconds since the epoch."""

    def __init__(self, dynamo: Dynamo, keys: Keys, now: Callable[[], int]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table
        self.keys = keys
        self.now = now

    def resolve(self, number: str, caller: str) -> Destination | None:
        """Where a call from `caller` to `number` goes now. In a ring pool the number alone decides."""
        item = self.dynamo.get(self.table, owner_key(number))
        if item is None:
            return None
        owner = owner_of(number, item)
        if owner.kind == "ring_pool":
            return self._of_lease(number, owner)
        found = self.route(number, caller)
        if found is None:
            return None
        route, ping = found
        return self._destination(ping.endpoint, route.buyer_id, route.number, route.held_until)

    def is_number_of_ours(self, number: str) -> bool:
        return self.dynamo.get(self.table, owner_key(number)) is not None

    def route(self, number: str, caller: str) -> tuple[Route, Ping] | None:
        """The caller's route, and its ping: the last that was sold; where none is, the last that was left."""
        unsold = None
        for route in Routes(self.dynamo).of_call(route_keys(self.keys, number, caller), self.now()):
            claim = Pings(self.dynamo).read(route.ping_id, self.now())
            if claim.ping and claim.sale and _is_sale_of(claim.ping, claim.sale, number, caller):
                return route, claim.ping
            if claim.ping and not unsold and claim.state is not State.SPENT:
                unsold = route, claim.ping
        return unsold

    def _of_lease(self, number: str, owner: Owner) -> Destination | None:
        lease = owner.lease or self._lease(number, owner)
        if lease is None or not lease.ping_id or lease.expires_at <= self.now():
            return None
        claim = Pings(self.dynamo).read(lease.ping_id, self.now())
        if claim.ping is None or claim.sale is None or claim.sale.number != number:
            return None  # a lease that arrived late is nobody's sale
        sale, said = claim.sale, claim.sale.said
        to = sale.destination or (said.number if said else "")
        return self._destination(claim.ping.endpoint, sale.buyer_id, to, lease.expires_at)

    def _destination(self, endpoint: str, buyer_id: int, number: str, until: int) -> Destination | None:
        """A sale of 0.1.0 does not say the buyer's number: it is the one that is configured now."""
        number = number or self._configured_number(endpoint, buyer_id)
        return Destination(endpoint, buyer_id, number, until) if number else None

    def _configured_number(self, endpoint: str, buyer_id: int) -> str:
        try:
            buyer = Compiled(self.dynamo, Memory()).latest(endpoint, self.now()).buyer(buyer_id)
        except UnknownEndpoint:
            return ""
        return buyer.number if buyer else ""

    def _lease(self, number: str, owner: Owner) -> Lease | None:
        """The last lease of a ring pool's number."""
        rings = Rings(self.dynamo, {})
        lease = rings.last_lease(owner.place, number) if owner.place else None
        if lease is None and (place := self._place(number, owner.name)):
            lease = rings.last_lease(place, number)
        return lease

    def _place(self, number: str, pool_name: str) -> Place | None:
        """Where a number is in the current version; None if only an apply that died has claimed it."""
        pointer = self.dynamo.get(self.table, table_key("CONFIG", "LIVE"))
        version = number_of(pointer, "version") if pointer else 0
        record = self.dynamo.get(self.table, table_key(f"CONFIG#{version:08}", f"ring_pool#{pool_name}"))
        pool = unpack_json(bytes_of(record, "layout"), RingPool) if record else None
        return places(pool.no, pool.shards).get(number) if pool else None


def _is_sale_of(ping: Ping, sale: Sale, number: str, caller: str) -> bool:
    """An attempt that died may have left a route for another number or caller than the one that was sold."""
    return sale.number == number and Lead(ping.lead | sale.posted).caller in ("", caller)
