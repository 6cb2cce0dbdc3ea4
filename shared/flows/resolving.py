"""To whom a call goes: whose number it is, its lease or the caller's route, and the ping. At most three calls where the
number is remembered or was found at once.

A ring pool's number alone says which sale it is; every other number says so together with the caller. Whether the call
is in time is the sale's to say: a lease or route that is over still leads to its sale, until somebody else has it.
"""

from contextlib import suppress
from typing import NamedTuple

from msgspec import Struct, field

from shared.domain.calls import Arrival
from shared.domain.keys import route_keys
from shared.domain.leasing import Lease
from shared.domain.models import DAY, Endpoint, Lead, Ping, RingPool, Sale
from shared.domain.refusals import UnknownEndpoint
from shared.flows.telephony import Telephony
from shared.store.items import bytes_of, number_of, table_key
from shared.store.owners import Known, Owner, Place, is_sure, places
from shared.store.packing import unpack_json
from shared.store.pings import Claim, State
from shared.store.routes import Route

LATE_SECONDS = DAY
"""How long a route that is over still leads to its sale, if the sale was never connected."""


class Destination(Struct, frozen=True):
    """Where a call to a number of ours goes: to the `sale` of a `ping`, or to a ping that is not sold yet; without a
    ping nobody has announced the caller. `endpoint` treats the call: None where none does any more. `until` is the end
    of the lease or route that leads there."""

    owner: Owner
    endpoint: Endpoint | None = None
    claim: Claim = field(default_factory=lambda: Claim(State.UNKNOWN))
    until: int = 0

    @property
    def ping(self) -> Ping | None:
        return self.claim.ping

    @property
    def sale(self) -> Sale | None:
        return self.claim.sale

    def arrival(self, now: int) -> Arrival:
        if self.sale:
            in_time = now < self.sale.held_until
            return "repeat" if self.claim.connected else "in_time" if in_time else "late"
        return "pinged" if self.ping else "unannounced"


def resolve(telephony: Telephony, number: str, caller: str) -> Destination | None:
    """Where a call goes now; None for a number that is not ours. `caller` is empty for an anonymous one."""
    now = telephony.world.now()
    known = telephony.owners.find(number, now)
    found = _resolve(telephony, number, caller, known)
    if (found is None or found.ping is None) and not is_sure(known, now):
        known = telephony.owners.read(number, now)
        found = _resolve(telephony, number, caller, known)
    if found and found.endpoint:
        telephony.owners.note_endpoint(number, found.endpoint.vanity_uri)
    return found


def leads_until(telephony: Telephony, number: str, caller: str, ping_id: bytes) -> int:
    """Until when a call leads to the sale of this ping; 0 where it does not, or not any more."""
    found = resolve(telephony, number, caller)
    if found is None or found.ping is None or found.sale is None or found.ping.id != ping_id:
        return 0
    return found.until if found.until > telephony.world.now() else 0


def _resolve(telephony: Telephony, number: str, caller: str, known: Known) -> Destination | None:
    owner = known.owner
    if owner is None:
        return None
    if owner.kind == "ring_pool":
        lease = owner.lease or _find_lease(telephony, number, owner)
        claim = _read_ping(telephony, lease.ping_id, known.endpoint) if lease and lease.ping_id else None
        # A lease that arrived late is nobody's sale.
        found = claim if claim and claim.sale and claim.sale.number == number else None
        until = lease.expires_at if lease else 0
    else:
        announced = find_announced(telephony, number, caller, known.endpoint) if caller else None
        found, until = (announced.claim, announced.route.held_until) if announced else (None, 0)
    if found and found.ping:
        return Destination(owner, _find_endpoint(telephony, found.ping.endpoint), found, until)
    return Destination(owner, _endpoint_of_owner(telephony, owner))


class Announced(NamedTuple):
    """The ping to whose caller a number leads, and the route by which it does."""

    claim: Claim
    route: Route


def find_announced(telephony: Telephony, number: str, caller: str, likely: str = "") -> Announced | None:
    """The last ping that was sold, and not superseded since; where none is, the last that was left. `likely` is the
    endpoint of the number's last call."""
    world, unsold = telephony.world, None
    now = world.now()
    for route in world.routes.of_call(route_keys(world.keys, number, caller), now - LATE_SECONDS):
        claim = _read_ping(telephony, route.ping_id, likely)
        if claim.superseded_by:
            continue
        is_released = claim.connected and route.held_until <= now
        if claim.ping and claim.sale and not is_released and _is_sale_of(claim.ping, claim.sale, number, caller):
            return Announced(claim, route)
        if claim.ping and not unsold and claim.state is not State.SPENT and route.held_until > now:
            unsold = Announced(claim, route)
    return unsold


def _is_sale_of(ping: Ping, sale: Sale, number: str, caller: str) -> bool:
    """An attempt that died may have left a route for another number or caller than the one that was sold."""
    return sale.number == number and Lead(ping.lead | sale.posted).caller in ("", caller)


def _read_ping(telephony: Telephony, ping_id: bytes, likely: str) -> Claim:
    """The ping; beside it the endpoint is looked at that the number's last call had."""
    world = telephony.world
    others = [lambda: _find_endpoint(telephony, likely)] if likely else []
    return world.in_parallel(lambda: world.pings.read(ping_id, world.now()), *others)


def _find_endpoint(telephony: Telephony, vanity_uri: str) -> Endpoint | None:
    with suppress(UnknownEndpoint):
        endpoint = telephony.world.endpoint(vanity_uri)
        telephony.remember(endpoint)
        return endpoint
    return None


def _endpoint_of_owner(telephony: Telephony, owner: Owner) -> Endpoint | None:
    """The endpoint that sells unannounced callers to the number. An overflow number's pool is that of endpoints."""
    if owner.kind in ("static", "shared"):
        return _find_endpoint(telephony, owner.name)
    if owner.kind == "ring_pool":
        return None
    world = telephony.world
    for name in world.compiled.names():
        endpoint = _find_endpoint(telephony, name)
        if endpoint and endpoint.calls and endpoint.pool and endpoint.pool.name == owner.name:
            return endpoint
    return None


def _find_lease(telephony: Telephony, number: str, owner: Owner) -> Lease | None:
    """The last lease of a ring pool's number. Where its place is not the present one, for an apply died after its
    switch, or is not known, as 0.1.0 wrote it, the pool's shards say it."""
    rings = telephony.world.rings
    lease = rings.last_lease(owner.place, number) if owner.place else None
    if lease is None and (place := _find_place(telephony, number, owner.name)):
        lease = rings.last_lease(place, number)
    return lease


def _find_place(telephony: Telephony, number: str, pool_name: str) -> Place | None:
    """Where a number is in the current version; None if only an apply that died has claimed it."""
    dynamo = telephony.world.compiled.dynamo
    table = dynamo.settings.config_table
    pointer = dynamo.get(table, table_key("CONFIG", "LIVE"))
    version = number_of(pointer, "version") if pointer else 0
    record = dynamo.get(table, table_key(f"CONFIG#{version:08}", f"ring_pool#{pool_name}"))
    pool = unpack_json(bytes_of(record, "layout"), RingPool) if record else None
    return places(pool.no, pool.shards).get(number) if pool else None
