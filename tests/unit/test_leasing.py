"""The ring as a value: which number is next, which ring, and what outlives a closed one."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.leasing import PLENTY, SHARD_SIZE, Lease, Ring, next_ring, shards_of, successor

NOW = 1_000


def a_ring(*expiries: int, shard: int = 0, sequence: int = 0, closed: bool = False) -> Ring:
    ping_ids = tuple(b"%d" % place for place in range(len(expiries)))
    return Ring(shard, sequence or len(expiries), ping_ids, expiries, closed)


RINGS = st.lists(
    st.builds(
        lambda ends, shard, closed: a_ring(*sorted(ends), shard=shard, closed=closed),
        st.lists(st.integers(NOW - 50, NOW + 50), min_size=1, max_size=SHARD_SIZE),
        st.integers(0, 100),
        st.booleans(),
    ),
    max_size=8,
)
DRAWS = st.none() | st.floats(0, 1, exclude_max=True)


@given(RINGS, DRAWS)
def test_a_ring_is_found_always_and_only_if_an_open_one_has_a_free_number(
    rings: list[Ring], draw: float | None
) -> None:
    free = [ring for ring in rings if not ring.closed and ring.expiries[0] <= NOW]
    found = next_ring(rings, NOW, draw)
    assert (found in free) if free else (found is None)


@given(RINGS)
def test_without_a_draw_the_longest_rested_number_always_goes_first(rings: list[Ring]) -> None:
    if found := next_ring(rings, NOW, None):
        assert found.free_at == min(ring.free_at for ring in rings if not ring.closed)


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
