"""The sandbox of an endpoint: what publishers test against. Same contact fields, rules, margin and times; whatever
would touch the real thing is left out.

It sells numbers of an area code that nobody has, counts no caps, remembers no callers and calls no live buyer: what
such a buyer would bid is made up. Its ping ids, routes and retry keys are made by keys of its own (`keys.of_sandbox`).
"""

from msgspec.structs import replace

from shared.domain.models import Buyer, Endpoint, RingPool, Shard

PREFIX = "sandbox/"
"""Of a sandbox endpoint's vanity URI: a slash is in no endpoint's own."""
NUMBERS = tuple(f"+1555555{last:04}" for last in range(100, 136))
"""In the area code 555, which is not given out; one ring of them is full. Of shared numbers there are no more."""
SHARD = 1
"""The sandbox of 0.1.0 had 44 numbers, in shard 0."""
OVERFLOW_NUMBER = "+15555550199"
LIVE_BID_CENTS = 1000
"""What a live buyer bids here, or the endpoint's floor where that is higher."""


def sandbox_of(endpoint: Endpoint) -> Endpoint:
    return replace(
        endpoint,
        vanity_uri=PREFIX + endpoint.vanity_uri,
        buyers=tuple(_buyer(buyer, endpoint) for buyer in endpoint.buyers),
        pool=_pool(endpoint.pool) if endpoint.pool else None,
        shared_numbers=NUMBERS[: len(endpoint.shared_numbers)],
        suppression=(),
        duplicate_seconds=0,
        sandbox=True,
    )


def is_of(vanity_uri: str) -> bool:
    return vanity_uri.startswith(PREFIX)


def _buyer(buyer: Buyer, endpoint: Endpoint) -> Buyer:
    bid_cents = max(LIVE_BID_CENTS, endpoint.bid_floor_cents) if buyer.live else buyer.bid_cents
    return replace(buyer, bid_cents=bid_cents, caps=(), suppression=(), duplicate_seconds=0, live=None)


def _pool(pool: RingPool) -> RingPool:
    return replace(
        pool,
        no=-pool.no,
        shards=(Shard(SHARD, NUMBERS),),
        overflow_number=OVERFLOW_NUMBER if pool.overflow_number else "",
    )
