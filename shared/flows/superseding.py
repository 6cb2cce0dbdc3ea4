"""Sales that a later one supersedes: it has taken over the route by which their calls would come."""

from collections.abc import Sequence
from contextlib import suppress

from shared.domain import keys
from shared.domain.models import Endpoint, Lead, Ping, Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.flows.turn import Turn
from shared.flows.world import World
from shared.store.packing import UnknownFormat
from shared.store.routes import Route


def mark_superseded(turn: Turn, ping: Ping) -> None:
    """Where calls are taken, mark the sales whose routes this ping's sale, now recorded, has replaced, and give back
    what they have reserved. The journal's consumer marks what is lost here, and all that is sold elsewhere."""
    if turn.endpoint.calls:
        with suppress(TemporarilyUnavailable):
            _mark(turn.world, turn.endpoint, turn.world.routes.replaced, ping.id)


def mark_again(world: World, endpoint: Endpoint, ping: Ping, sale: Sale) -> None:
    """Mark the sales that a recorded one supersedes, as its route says it now. It may be repeated, at any time: the
    first mark stays. Raises `TemporarilyUnavailable`."""
    caller = Lead(ping.lead | sale.posted).caller
    if not caller:
        return
    routes = world.routes.of_call(keys.route_keys(world.keys, sale.number, caller), world.now())
    own = next((place for place, route in enumerate(routes) if _is_of(route, ping, sale)), len(routes))
    _mark(world, endpoint, [route for route in routes[own:] if route.sold and route.ping_id != ping.id], ping.id)


def _is_of(route: Route, ping: Ping, sale: Sale) -> bool:
    return (route.ping_id, route.attempt) == (ping.id, sale.attempt)


def _mark(world: World, endpoint: Endpoint, routes: Sequence[Route], by: bytes) -> None:
    for route in routes:
        with suppress(UnknownFormat):
            sale = world.pings.supersede(route.ping_id, route.attempt, by, world.now())
            buyer = endpoint.buyer(sale.buyer_id) if sale and endpoint.calls else None
            if sale and buyer:
                world.reservations.give_sale(buyer, route.ping_id, sale.attempt, world.now())
