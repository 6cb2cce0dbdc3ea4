"""The sandbox twin of an endpoint: what it keeps and what it leaves out."""

import msgspec
from msgspec.structs import asdict

from shared.domain import keys, sandbox
from shared.domain.caps import Cap
from shared.domain.filters import read
from shared.domain.live import Exchange, Live
from tests.build import KEYS, a_buyer, a_pool, an_endpoint

LIVE = Live(ping=Exchange(url="https://buyer.example/ping"))


def test_a_twin_has_the_rules_of_its_endpoint_and_only_what_touches_nothing_real() -> None:
    rules = (read("state == TX"),)
    capped = a_buyer(caps=(Cap("sales", 0, "total"),), suppression=("dnc",), duplicate_seconds=60, filters=rules)
    pool = a_pool(overflow_number="+18005559999", lease_floor=99)
    endpoint = an_endpoint(buyers=(capped,), pool=pool, suppression=("dnc",), duplicate_seconds=60)
    twin = sandbox.twin(endpoint)
    changed = {name for name, value in asdict(twin).items() if value != getattr(endpoint, name)}
    assert changed == {"vanity_uri", "buyers", "pool", "suppression", "duplicate_seconds", "sandbox"}
    assert twin.buyers == (a_buyer(filters=rules),)
    assert twin.pool
    assert {number for shard in twin.pool.shards for number in shard.numbers} == set(sandbox.NUMBERS)
    assert (twin.pool.lease_seconds, twin.pool.overflow_number) == (pool.lease_seconds, sandbox.OVERFLOW_NUMBER)


def test_a_live_buyer_becomes_one_with_a_bid_that_passes_the_floor() -> None:
    live = a_buyer(live=LIVE, bid_cents=0)
    for floor, bid in ((0, sandbox.LIVE_BID_CENTS), (5000, 5000)):
        [buyer] = sandbox.twin(an_endpoint(buyers=(live,), bid_floor_cents=floor)).buyers
        assert (buyer.live, buyer.bid_cents) == (None, bid)


def test_the_rings_of_twins_are_told_apart_by_pool_and_by_the_length_of_their_leases() -> None:
    pools = [a_pool(no=no, cooldown_seconds=cooldown) for no in (1, 2) for cooldown in (0, 60)]
    rings = {(twin.no, twin.shards[0].id) for pool in pools if (twin := sandbox.twin(an_endpoint(pool=pool)).pool)}
    assert len(rings) == len(pools)
    assert all(no < 0 for no, _ in rings)


def test_a_twins_vanity_uri_can_be_no_endpoints_own() -> None:
    assert sandbox.is_of(sandbox.twin(an_endpoint()).vanity_uri)
    assert not sandbox.is_of("my_endpoint")


def test_only_tokens_are_the_same_in_the_sandbox() -> None:
    own = keys.of_sandbox(KEYS)
    assert own.tokens == KEYS.tokens
    assert {own.ping_ids, own.callers}.isdisjoint({KEYS.ping_ids, KEYS.callers})
    theirs = keys.ping_id(own, "my_endpoint", bytes(12), 1)
    assert keys.read_ping_id(KEYS, "my_endpoint", theirs) is None


def test_a_compiled_endpoint_says_nothing_of_the_sandbox() -> None:
    assert b"sandbox" not in msgspec.json.encode(an_endpoint())
