"""The sandbox of an endpoint: what it keeps and what it leaves out."""

import msgspec
from msgspec.structs import asdict

from shared.domain import keys, sandbox_endpoint
from shared.domain.caps import Cap
from shared.domain.filters import read
from shared.domain.live_bids import Exchange, LiveBuyer
from tests.build import KEYS, a_buyer, a_pool, an_endpoint

LIVE = LiveBuyer(ping=Exchange(url="https://buyer.example/ping"))


def test_a_twin_has_the_rules_of_its_endpoint_and_only_what_touches_nothing_real() -> None:
    rules = (read("state == TX"),)
    capped = a_buyer(caps=(Cap("sales", 0, "total"),), suppression=("dnc",), duplicate_seconds=60, filters=rules)
    pool = a_pool(overflow_number="+18005559999")
    endpoint = an_endpoint(buyers=(capped,), pool=pool, suppression=("dnc",), duplicate_seconds=60)
    sandbox = sandbox_endpoint.sandbox_of(endpoint)
    changed = {name for name, value in asdict(sandbox).items() if value != getattr(endpoint, name)}
    assert changed == {"vanity_uri", "buyers", "pool", "suppression", "duplicate_seconds", "sandbox"}
    assert sandbox.buyers == (a_buyer(filters=rules),)
    assert sandbox.pool
    assert {number for shard in sandbox.pool.shards for number in shard.numbers} == set(sandbox_endpoint.NUMBERS)
    assert (sandbox.pool.lease_seconds, sandbox.pool.overflow_number) == (
        pool.lease_seconds,
        sandbox_endpoint.OVERFLOW_NUMBER,
    )


def test_a_live_buyer_becomes_one_with_a_bid_that_passes_the_floor() -> None:
    live = a_buyer(live=LIVE, bid_cents=0)
    for floor, bid in ((0, sandbox_endpoint.LIVE_BID_CENTS), (5000, 5000)):
        [buyer] = sandbox_endpoint.sandbox_of(an_endpoint(buyers=(live,), bid_floor_cents=floor)).buyers
        assert (buyer.live, buyer.bid_cents) == (None, bid)


def test_each_pool_has_one_ring_in_the_sandbox_whatever_its_times() -> None:
    pools = [a_pool(no=no, cooldown_seconds=cooldown) for no in (1, 2) for cooldown in (0, 60)]
    sandboxes = [sandbox_endpoint.sandbox_of(an_endpoint(pool=pool)).pool for pool in pools]
    assert {(sandbox.no, tuple(shard.id for shard in sandbox.shards)) for sandbox in sandboxes if sandbox} == {
        (-1, (1,)),
        (-2, (1,)),
    }


def test_a_twins_vanity_uri_can_be_no_endpoints_own() -> None:
    assert sandbox_endpoint.is_of(sandbox_endpoint.sandbox_of(an_endpoint()).vanity_uri)
    assert not sandbox_endpoint.is_of("my_endpoint")


def test_only_tokens_are_the_same_in_the_sandbox() -> None:
    own = keys.of_sandbox(KEYS)
    assert own.tokens == KEYS.tokens
    assert {own.ping_ids, own.callers}.isdisjoint({KEYS.ping_ids, KEYS.callers})
    theirs = keys.ping_id(own, "my_endpoint", bytes(12), 1)
    assert keys.read_ping_id(KEYS, "my_endpoint", theirs) is None


def test_a_compiled_endpoint_says_nothing_of_the_sandbox() -> None:
    assert b"sandbox" not in msgspec.json.encode(an_endpoint())
