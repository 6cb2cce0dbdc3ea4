"""Sales that a later one supersedes: it has taken over the route by which their calls would come."""

from contextlib import suppress

from shared.domain import reservations, schedule
from shared.domain.models import Ping, Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.reservations import CameTrue
from shared.flows.turn import Turn
from shared.store.packing import UnknownFormat


def mark_superseded(turn: Turn, ping: Ping) -> None:
    """Mark the sales whose routes this ping's sale, now recorded, has replaced, and give back what they have reserved.
    A mark that is lost does no harm: no call comes to such a sale, and what it reserved is given back at the end of its
    hold."""
    world = turn.world
    for route in world.routes.replaced:
        with suppress(TemporarilyUnavailable, UnknownFormat):
            sale = world.pings.supersede(route.ping_id, route.attempt, ping.id, world.now())
            if sale and turn.endpoint.calls:
                _give_back(turn, route.ping_id, sale)


def _give_back(turn: Turn, ping_id: bytes, sale: Sale) -> None:
    buyer, world = turn.endpoint.buyer(sale.buyer_id), turn.world
    if buyer is None or not buyer.caps:
        return
    local = schedule.local_time(buyer.zone, world.now())
    endpoints = {cap.endpoint for cap in buyer.caps}
    key = reservations.key(ping_id, sale.attempt)
    world.reservations.give(buyer.id, key, endpoints, CameTrue(recorded=True), local)
