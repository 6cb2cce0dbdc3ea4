"""A large marketplace over a real engine, which cuts what it reads into pages."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.build import SETTINGS, Stage
from tests.configurations import a_buyer, a_provider, a_ring_pool, an_endpoint, an_offer
from tests.office import USERS, opened
from tools import engine

ENDPOINTS, BUYERS, NUMBERS = 50, 1000, 10_000

PAGES = (
    "", "/caps", "/caps?after=500", "/log", "/log?outcome=sold", "/log?outcome=unmatched", "/log?source=none",
    "/log?buyer=141", "/calls", "/calls?connected=yes", "/calls?buyer=141",
    "/pings/{ping_id}", "/sources", "/sources?from=2099-12-28&to=2100-01-01", "/erasing", "/offers",
    "/offers/offer-7", "/offers?new", "/buyers", "/buyers?search=9&paused=false", "/buyers/7", "/buyers?new",
    "/endpoints", "/endpoints/endpoint-7", "/ring_pools", "/ring_pools/auto-us", "/ring_pools/b", "/users",
    "/users/olga", "/suppression_lists", "/changes", "/changes/1", "/configuration", "/configuration/export",
    "/reports?by=buyer", "/reports/questions", "/reports/buyer", "/reports/buyer?buyer=7", "/reports/refused",
)  # fmt: skip
"""Every page of the dashboard."""


@contextmanager
def marketplace() -> Iterator[Stage]:
    """One pool has almost all of the numbers: that makes every look at it as slow as can be. Every buyer has a cap."""
    each = BUYERS // ENDPOINTS
    caps = {"sales": {"day": 50}}
    offers = [
        an_offer(
            name=f"offer-{n}",
            buyers=[a_buyer(id=n * each + k, name=f"Buyer {k}", caps=caps) for k in range(1, each + 1)],
        )
        for n in range(ENDPOINTS)
    ]
    pools = [
        a_ring_pool(numbers=["+18005550000-+18005559899"]),
        a_ring_pool(name="b", numbers=["+18885550000-+18885550099"]),
    ]
    endpoints = [an_endpoint(vanity_uri=f"endpoint-{n}", offer=f"offer-{n}") for n in range(ENDPOINTS)]
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        opened(stage, users=USERS, providers=[a_provider()], offers=offers, ring_pools=pools, endpoints=endpoints)
        yield stage
