"""What the rules ask of the store, read in one round, and the bids of all buyers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial, wraps

from msgspec.structs import replace

from shared.domain import keys, limits, matching
from shared.domain.limits import Counted
from shared.domain.matching import Failure
from shared.domain.models import (
    Buyer,
    Endpoint,
    Facts,
    Lead,
    Ping,
)
from shared.domain.refusals import (
    CallerNumberSuppressed,
    DuplicateCaller,
    NoMatchingBuyer,
    RateLimited,
)
from shared.flows.turn import Turn
from shared.flows.world import World
from shared.publishers import metrics
from shared.publishers.requests import Request
from shared.store.callers import Known, Mark
from shared.store.counters import BATCH, Of, items
from shared.store.pings import State

SEED_BYTES = 8
UNSOLD = {State.FREE, State.EXPIRED, State.SPENT}
Flow = Callable[[World, Endpoint, Request], bytes]


def store_unmatched(flow: Flow) -> Flow:
    """What nobody bid on is stored, to be explained at any later time."""

    @wraps(flow)
    def stored(world: World, endpoint: Endpoint, request: Request) -> bytes:
        try:
            return flow(world, endpoint, request)
        except NoMatchingBuyer as refused:
            if refused.ping:
                store_ping(world, refused.ping)
            raise

    return stored


def find_bids(
    turn: Turn,
    lead: Lead,
    left_out: Collection[str],
    counted: Collection[Counted],
) -> Ping:
    """The lead with everybody's bid, those of live buyers too. Raises what `gather_facts` raises."""
    now, seed, ping_id = turn.world.now(), turn.world.random_bytes(SEED_BYTES), turn.world.random_bytes(keys.ID_BYTES)
    passing = matching.passing(turn.endpoint, lead, now)
    capped = [buyer for buyer in passing if buyer.caps]
    facts = gather_facts(turn, lead, ping_id, passing, counted, capped)
    facts = replace(facts, left_out=tuple(left_out))
    if asked := matching.to_ask(turn.endpoint, passing, lead, now, facts):
        left = partial(turn.world.seconds_left, turn.endpoint.ping_deadline_ms)
        said, took = turn.world.live.bids(asked, lead, ping_id, now, left)
        facts = replace(facts, said=said, took=took)
    return Ping(
        id=ping_id,
        endpoint=turn.endpoint.vanity_uri,
        version=turn.endpoint.version,
        lead=lead,
        bids=matching.bids(turn.endpoint, passing, lead, now, facts, seed),
        seed=seed,
        created_at=now,
        expires_at=now + turn.endpoint.ping_ttl_seconds,
        lead_until=now + turn.endpoint.lead_seconds,
        user=turn.user.name if turn.user else "",
        facts=facts,
    )


def gather_facts(
    turn: Turn,
    lead: Lead,
    ping_id: bytes,
    buyers: Collection[Buyer],
    counted: Collection[Counted],
    capped: Sequence[Buyer] = (),
) -> Facts:
    """What the rules of these buyers ask of the store, read in one round; in it the request is counted where there are
    limits. Nothing is read that nobody asks for.

    Raises `RateLimited`, `CallerNumberSuppressed` and `DuplicateCaller`.
    """
    now, caller = turn.world.now(), lead.caller
    windows = duplicate_windows(turn.endpoint, *buyers)
    listed = bool(turn.endpoint.suppression) or any(buyer.suppression for buyer in buyers)
    known: list[Known] = []
    counts: dict[int, dict[str, int]] = {}
    waits: list[int] = []
    calls: list[Callable[[], object]] = []
    if caller and (listed or windows):
        calls.append(lambda: known.append(turn.world.callers.look_up(caller, listed, bool(windows))))

    def count(some: Sequence[Of]) -> None:
        for buyer_id, found in turn.world.counters.counts(some, now).items():
            counts.setdefault(buyer_id, {}).update(found)

    counting = [of for buyer in capped for of in items(buyer)]
    calls += [partial(count, counting[start : start + BATCH]) for start in range(0, len(counting), BATCH)]
    calls += _counts_of_request(turn, lead, counted, waits)
    if calls:
        turn.world.in_parallel(*calls)
    if any(waits):
        raise RateLimited(max(waits))
    found = known[0] if known else Known()
    if not found.listed.isdisjoint(turn.endpoint.suppression):
        raise CallerNumberSuppressed
    sold = find_sales(turn.world, found.sold, windows, ping_id)
    if turn.endpoint.scope in sold:
        raise DuplicateCaller
    return Facts(matching.counted(capped, counts, now), tuple(sorted(found.listed)), sold)


def _counts_of_request(
    turn: Turn,
    lead: Lead,
    counted: Collection[Counted],
    waits: list[int],
) -> list[Callable[[], None]]:
    """The calls that count this request against the endpoint's limits, and add to `waits` for how many seconds it is
    one too many."""
    source = lead.get("traffic_source_id", "")

    def count(of: limits.Count) -> None:
        waits.append(turn.world.callers.count_request(of.scope, of.value, of.most, turn.world.now()))

    return [
        partial(count, of)
        for of in limits.counts(turn.endpoint, turn.user, turn.request.source_address, source, counted)
    ]


def duplicate_windows(*sellers: Endpoint | Buyer) -> dict[str, int]:
    """For how many seconds after a sale the same caller is a duplicate, by scope."""
    return {seller.scope: seller.duplicate_seconds for seller in sellers if seller.duplicate_seconds}


def find_sales(world: World, marks: Mapping[str, Mark], windows: Mapping[str, int], ping_id: bytes) -> dict[str, int]:
    """When the caller was sold within these windows, by scope. A mark does not count if its ping is unsold and no
    attempt works on it: an attempt that died left the mark. The ping itself may be so old that it is gone."""
    now = world.now()
    within = {
        scope: mark
        for scope, mark in marks.items()
        if scope in windows and mark.ping_id != ping_id and mark.at > now - windows[scope]
    }
    states: dict[bytes, State] = {}

    def look(of: bytes) -> None:
        states[of] = world.pings.read(of, now).state

    if looks := [partial(look, of) for of in {mark.ping_id for mark in within.values()}]:
        world.in_parallel(*looks)
    return {scope: mark.at for scope, mark in within.items() if states[mark.ping_id] not in UNSOLD}


def explain_failures(turn: Turn, priced: Ping) -> list[Failure] | None:
    """The reasons, for an operator who asks."""
    return find_reasons(turn.endpoint, priced) if wants_reasons(turn) else None


def wants_reasons(turn: Turn) -> bool:
    return bool(turn.request.explain and turn.user and turn.user.role == "operator")


def find_reasons(endpoint: Endpoint, priced: Ping) -> list[Failure]:
    return matching.failures(endpoint, priced.lead, priced.created_at, priced.facts)


def store_ping(world: World, priced: Ping, *others: Callable[[], object]) -> None:
    """Store the ping, and run the other writes with it."""
    world.run_with_notes(
        lambda: world.in_parallel(lambda: world.pings.open(priced, world.caller_hash(priced.lead)), *others)
    )
    metrics.count_priced()
