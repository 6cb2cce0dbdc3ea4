"""The ring as a value: which number is next, which ring, and what outlives a closed one."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.keys import CALLER_TAG_BYTES, HOLDER_BYTES, ID_BYTES
from shared.domain.leasing import (
    CALLER_AT,
    HOLDER_AT,
    PLENTY,
    SHARD_SIZE,
    Lease,
    Quota,
    Ring,
    next_ring,
    quotas,
    ring_to_rotate,
    shards_of,
    successor,
)
from shared.domain.models import Terms, User
from tests.build import a_pool, an_endpoint

NOW = 1_000


def a_ring(*expiries: int, shard: int = 0, sequence: int = 0, closed_until: int = 0) -> Ring:
    ping_ids = tuple(b"%d" % place for place in range(len(expiries)))
    return Ring(shard, sequence or len(expiries), ping_ids, expiries, closed_until)


RINGS = st.lists(
    st.builds(
        lambda ends, shard, closed_until: a_ring(*ends, shard=shard, closed_until=closed_until),
        st.lists(st.integers(NOW - 50, NOW + 50), min_size=1, max_size=SHARD_SIZE),
        st.integers(0, 100),
        st.sampled_from([0, NOW, NOW + 1]),
    ),
    max_size=8,
)
DRAWS = st.none() | st.floats(0, 1, exclude_max=True)


@given(RINGS, DRAWS)
def test_a_ring_is_found_always_and_only_if_the_head_of_an_open_one_is_over(
    rings: list[Ring], draw: float | None
) -> None:
    free = [ring for ring in rings if ring.closed_until <= NOW and ring.expiries[0] <= NOW]
    found = next_ring(rings, NOW, draw)
    assert (found in free) if free else (found is None)


@given(RINGS)
def test_a_ring_to_rotate_is_found_always_and_only_if_an_open_one_has_a_free_number(rings: list[Ring]) -> None:
    free = [ring for ring in rings if ring.closed_until <= NOW and min(ring.expiries) <= NOW]
    found = ring_to_rotate(rings, NOW)
    assert (found in free) if free else (found is None)


@given(RINGS)
def test_without_a_draw_the_longest_rested_number_always_goes_first(rings: list[Ring]) -> None:
    if found := next_ring(rings, NOW, None):
        assert found.head_free_at == min(ring.head_free_at for ring in rings if ring.is_open(NOW))


def test_a_ring_with_plenty_goes_first_whatever_is_drawn() -> None:
    longest = a_ring(*[NOW - 9] * PLENTY, shard=1)
    assert {next_ring([a_ring(NOW - 5), longest], NOW, draw) for draw in (0.0, 0.5, 0.99)} == {longest}


def test_scarce_rings_are_drawn_by_their_free_numbers() -> None:
    three, one = a_ring(NOW - 9, NOW - 8, NOW - 7, NOW + 1), a_ring(NOW - 5, shard=1)
    assert [next_ring([three, one], NOW, draw) for draw in (0.0, 0.74, 0.76, 0.99)] == [three, three, one, one]


def test_the_oldest_lease_is_of_the_number_that_is_next() -> None:
    ring = a_ring(1, 2, 3, sequence=7)
    assert [lease.number for lease in ring.leases(("a", "b", "c"))] == ["b", "c", "a"]
    assert ring.lease_of(b"1", ("a", "b", "c")) == Lease("c", b"1", 2)
    assert ring.lease_of(b"9", ("a", "b", "c")) is None


def test_a_successor_has_the_last_leases_of_the_numbers_that_stay_first_free_first() -> None:
    closed = [(a_ring(5, 30), ("a", "b")), (a_ring(1, 20, shard=1), ("c", "d"))]
    assert successor(closed, {"a", "c", "d"}) == [Lease("c", b"0", 1), Lease("a", b"0", 5), Lease("d", b"1", 20)]


@given(st.integers(0, 200))
def test_numbers_are_always_cut_into_shards_that_fit(count: int) -> None:
    numbers = [str(n) for n in range(count)]
    cut = shards_of(numbers)
    assert [number for shard in cut for number in shard] == numbers
    assert all(0 < len(shard) <= SHARD_SIZE for shard in cut)


def item_bytes(shard_size: int) -> int:
    """A shard's item by DynamoDB's rules, at the end of a generation of seven digits: names, 3 bytes for each list and
    1 for each entry, a number's digits by two and 1. It still has the lists that the next lease removes."""
    g, no = 9_999_999, 99_999
    lists = [f"{letter}{n}" for n in (g - 2, g - 1, g) for letter in "pe"]
    entry = ID_BYTES + HOLDER_BYTES + CALLER_TAG_BYTES
    number = 1 + -(-len("4102444800") // 2)
    counter = 1 + -(-len(str(g * shard_size)) // 2)
    keys = len(f"pkP{no}") + len(f"skR{no}")
    closed = len("closed") + number + 1
    return keys + len("c") + counter + closed + sum(3 + len(name) for name in lists) + shard_size * (entry + number + 2)


def test_the_largest_shard_is_one_write_unit() -> None:
    assert item_bytes(SHARD_SIZE) <= 1024


US, ME = b"us!", b"me"
ENTRIES = st.sampled_from([b"", b"%012d" % 1, b"%012d" % 2 + US + ME, b"%012d" % 3 + US + bytes(2), b"us!me" * 3])


@given(st.lists(st.tuples(ENTRIES, st.integers(NOW - 2, NOW + 2)), min_size=1, max_size=SHARD_SIZE))
def test_only_live_leases_with_the_tag_at_its_place_ever_count(leases: list[tuple[bytes, int]]) -> None:
    entries, expiries = zip(*leases, strict=True)
    ring = Ring(0, len(leases), entries, expiries)
    for at, tag, end in ((HOLDER_AT, US, 15), (CALLER_AT, ME, 17)):
        expected = [ends for entry, ends in leases if ends > NOW and entry[at:end] == tag]
        assert ring.held(Quota(at, tag, 1), NOW) == expected


def test_who_is_limited_by_what() -> None:
    pool = a_pool(9, pool_share=50, address_share=25)
    users = (User("acme", "publisher"), User("bolt", "publisher"))
    endpoint = an_endpoint(pool=pool, users=users, leases_per_caller=2, leases_per_address=2)
    terms = Terms(300, 60, US, ME)
    of_caller = Quota(CALLER_AT, ME, 2)
    assert quotas(endpoint, terms, has_user=True) == [Quota(HOLDER_AT, US, 5), of_caller]
    assert quotas(endpoint, terms, has_user=False) == [Quota(HOLDER_AT, US, 2), of_caller]
    more = an_endpoint(pool=pool, leases_per_address=20)
    assert quotas(more, Terms(300, 60, US, bytes(2)), has_user=False) == [Quota(HOLDER_AT, US, 3)]
    alone = an_endpoint(pool=pool, users=users[:1], require_auth_token=True)
    assert quotas(alone, Terms(300, 60, US, bytes(2)), has_user=True) == []
    assert quotas(endpoint, Terms(300, 60), has_user=False) == [], "terms of 0.1.0"
    small = an_endpoint(pool=a_pool(2), leases_per_caller=2, leases_per_address=2)
    assert quotas(small, terms, has_user=False) == [], "who holds all has exhausted the pool"
