"""Which buyers bid on a lead, and why the others do not.

A buyer is asked in two steps. The first needs the lead, the clock and the configuration only; of those that pass it,
the second asks what the store knows: suppression, earlier sales, counts. So nothing is read for a buyer that is closed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from shared.domain import caps, filters, reasons, schedule
from shared.domain.caps import Cap
from shared.domain.live_bids import Yes
from shared.domain.models import TRY_ALL, Bid, Buyer, Endpoint, Facts, Lead
from shared.domain.ranking import rank

Shown = str | int | float | None


class Rule(StrEnum):
    """What a buyer can fail, in the order of checking; the first one is the reason."""

    PAUSED = "paused"
    SCHEDULE = "schedule"
    TRAFFIC_SOURCE = "traffic_source"
    FILTER = "filter"
    SUPPRESSION = "suppression"
    DUPLICATE = "duplicate"
    CAP = "cap"
    CONCURRENCY = "concurrency"
    NO_BID = "no_bid"
    BID_FLOOR = "bid_floor"


class Failure(Struct, frozen=True):
    """Why a buyer does not bid: the value seen, what it would have to be, and the time on the buyer's clock."""

    buyer_id: int
    rule: Rule
    seen: Shown
    threshold: Shown
    local_time: str


class Moment:
    """One time, on the clocks of many buyers."""

    def __init__(self, now: int) -> None:
        self.now = now
        self._local: dict[str, datetime] = {}

    def on(self, zone: str) -> datetime:
        if zone not in self._local:
            self._local[zone] = schedule.local_time(zone, self.now)
        return self._local[zone]


class Case(Struct, gc=False):
    """What is asked of one buyer: whether it takes this lead, now, for these cents."""

    endpoint: Endpoint
    buyer: Buyer
    cents: int
    lead: Lead
    moment: Moment
    facts: Facts

    @property
    def local(self) -> datetime:
        return self.moment.on(self.buyer.zone)

    def counted(self, cap: Cap) -> int:
        return self.facts.counted.get(self.buyer.id, {}).get(cap.code, 0)


def counted(buyers: Iterable[Buyer], counts: Mapping[int, Mapping[str, int]], now: int) -> dict[int, dict[int, int]]:
    """What is counted against the caps of these buyers, as `Facts` keep it, of the `counts` by buyer and key."""
    moment = Moment(now)
    found = {buyer.id: caps.counts_by_code(buyer.caps, counts[buyer.id], moment.on(buyer.zone)) for buyer in buyers}
    return {buyer_id: of for buyer_id, of in found.items() if of}


def passing(endpoint: Endpoint, lead: Lead, now: int) -> list[Buyer]:
    """The buyers that pass the rules of the first step."""
    moment, unknown = Moment(now), Facts()
    return [
        buyer
        for buyer in endpoint.buyers
        if not (rules := _step_one(buyer.rules))
        or _first(rules, Case(endpoint, buyer, buyer.bid_cents, lead, moment, unknown)) is None
    ]


def to_ask(endpoint: Endpoint, buyers: Iterable[Buyer], lead: Lead, now: int, facts: Facts) -> list[Buyer]:
    """The live ones of these `passing` buyers, but for those that fail a rule whatever they would bid."""
    moment = Moment(now)
    return [
        buyer
        for buyer in buyers
        if buyer.live and _first(BEFORE_BIDS, Case(endpoint, buyer, 0, lead, moment, facts)) is None
    ]


def bids(
    endpoint: Endpoint, buyers: Iterable[Buyer], lead: Lead, now: int, facts: Facts, seed: bytes
) -> tuple[Bid, ...]:
    """The bids of those `passing` buyers that pass the rules of the second step, ranked."""
    moment, has_floor = Moment(now), endpoint.bid_floor_cents > 0
    priced = [(buyer, _cents(buyer, facts)) for buyer in buyers]
    offered = [
        (buyer, Bid(buyer.id, cents, endpoint.margin.payout_cents(cents)))
        for buyer, cents in priced
        if not (rules := _step_two(buyer.rules, has_floor))
        or _first(rules, Case(endpoint, buyer, cents, lead, moment, facts)) is None
    ]
    return rank(offered, endpoint.rank_by, seed)


def bidders(endpoint: Endpoint, bids: Iterable[Bid], choice: int) -> list[Buyer]:
    """The buyers of those bids that are chosen, as they are configured now."""
    chosen = (endpoint.buyer(bid.buyer_id) for bid in bids if choice in (TRY_ALL, bid.buyer_id))
    return [buyer for buyer in chosen if buyer]


def candidates(
    endpoint: Endpoint, bids: Iterable[Bid], choice: int, lead: Lead, now: int, facts: Facts
) -> list[tuple[Buyer, Bid]]:
    """Whom a POST may sell to, in order: the bidders that pass every rule now, and whose live bids still stand. What a
    PING knew of their counts is left out: counting the sale decides."""
    moment, uncounted = Moment(now), replace(facts, counted={})
    offered = {bid.buyer_id: bid for bid in bids}
    pairs = [(buyer, offered[buyer.id]) for buyer in bidders(endpoint, offered.values(), choice)]
    return [
        (buyer, bid)
        for buyer, bid in pairs
        if _first(EVERY_RULE, Case(endpoint, buyer, bid.cents, lead, moment, uncounted)) is None
    ]


def failures(endpoint: Endpoint, lead: Lead, now: int, facts: Facts) -> list[Failure]:
    """The first rule that each buyer fails, of all that do not bid."""
    found = []
    for case, rule in _failed(endpoint, lead, now, facts):
        seen, threshold = SHOWN[rule](case)
        found.append(Failure(case.buyer.id, rule, seen, threshold, case.local.isoformat()))
    return found


def failed_rules(endpoint: Endpoint, lead: Lead, now: int, facts: Facts) -> dict[int, Rule]:
    """The same without what was seen: the rule by buyer id."""
    return {case.buyer.id: rule for case, rule in _failed(endpoint, lead, now, facts)}


def _failed(endpoint: Endpoint, lead: Lead, now: int, facts: Facts) -> Iterator[tuple[Case, Rule]]:
    moment = Moment(now)
    for buyer in endpoint.buyers:
        case = Case(endpoint, buyer, _cents(buyer, facts), lead, moment, facts)
        if rule := _first(EVERY_RULE, case):
            yield case, rule


def _first(rules: Mapping[Rule, Callable[[Case], bool]], case: Case) -> Rule | None:
    for rule, fails in rules.items():
        if fails(case):
            return rule
    return None


def _cents(buyer: Buyer, facts: Facts) -> int:
    """What the buyer bids, by the configuration or live; 0 if it said no, or was not asked."""
    said = facts.said.get(buyer.id)
    return buyer.bid_cents if buyer.live is None else said.cents or 0 if isinstance(said, Yes) else 0


def _closed(case: Case) -> bool:
    return case.buyer.schedule is not None and not schedule.is_open(case.buyer.schedule, case.local)


def _of_another_source(case: Case) -> bool:
    allowed = case.buyer.traffic_sources
    return bool(allowed) and case.lead.get("traffic_source_id") not in allowed


def _filtered_out(case: Case) -> bool:
    return filters.first_failed(case.buyer.tests, case.lead) is not None


def _suppressed(case: Case) -> bool:
    return bool(case.buyer.suppression) and not set(case.facts.listed).isdisjoint(case.buyer.suppression)


def _sold_lately(case: Case) -> bool:
    window = case.buyer.duplicate_seconds
    return bool(window) and case.facts.sold.get(case.buyer.scope, 0) > case.moment.now - window


def _capped(case: Case) -> bool:
    return bool(case.buyer.amounts) and _full(case, case.buyer.amounts) is not None


def _busy(case: Case) -> bool:
    return bool(case.buyer.places) and _full(case, case.buyer.places) is not None


def _full(case: Case, wanted: tuple[Cap, ...]) -> Cap | None:
    return next((cap for cap in wanted if case.counted(cap) + cap.amount(case.cents) > cap.limit), None)


def _no_bid(case: Case) -> bool:
    if case.buyer.live is None:
        return False
    said = case.facts.said.get(case.buyer.id)
    return not isinstance(said, Yes) or said.is_over(case.moment.now)


def _too_cheap(case: Case) -> bool:
    return case.cents < case.endpoint.bid_floor_cents


STEP_ONE: dict[Rule, Callable[[Case], bool]] = {
    Rule.PAUSED: lambda case: case.buyer.paused,
    Rule.SCHEDULE: _closed,
    Rule.TRAFFIC_SOURCE: _of_another_source,
    Rule.FILTER: _filtered_out,
}
BEFORE_BIDS: dict[Rule, Callable[[Case], bool]] = {
    Rule.SUPPRESSION: _suppressed,
    Rule.DUPLICATE: _sold_lately,
    Rule.CAP: _capped,
    Rule.CONCURRENCY: _busy,
}
STEP_TWO: dict[Rule, Callable[[Case], bool]] = BEFORE_BIDS | {
    Rule.NO_BID: _no_bid,
    Rule.BID_FLOOR: _too_cheap,
}
EVERY_RULE = STEP_ONE | STEP_TWO


@cache
def _step_one(configured: frozenset[str]) -> dict[Rule, Callable[[Case], bool]]:
    """Of the first step, what a buyer with these rules can fail."""
    return {rule: fails for rule, fails in STEP_ONE.items() if rule in configured}


@cache
def _step_two(configured: frozenset[str], has_floor: bool) -> dict[Rule, Callable[[Case], bool]]:
    return {
        rule: fails for rule, fails in STEP_TWO.items() if rule in configured or (rule is Rule.BID_FLOOR and has_floor)
    }


def _show_hours(case: Case) -> tuple[Shown, Shown]:
    return f"{case.local:%a %H:%M}", schedule.hours(case.buyer.schedule, case.local) if case.buyer.schedule else None


def _show_filter(case: Case) -> tuple[Shown, Shown]:
    place = filters.first_failed(case.buyer.tests, case.lead)
    if place is None:
        return None, None
    failed = case.buyer.filters[place]
    return filters.value_of(failed, case.lead), filters.text(failed)


def _show_cap(case: Case) -> tuple[Shown, Shown]:
    cap = _full(case, (*case.buyer.amounts, *case.buyer.places))
    if cap is None:
        return None, None
    counted = case.counted(cap)
    return counted / 100 if cap.kind == "revenue" else counted, caps.text(cap)


def _show_sold(case: Case) -> tuple[Shown, Shown]:
    sold_at = datetime.fromtimestamp(case.facts.sold[case.buyer.scope], UTC)
    return f"sold {sold_at:%Y-%m-%dT%H:%M:%SZ}", f"not sold for {case.buyer.duplicate_seconds} seconds"


def _show_answer(case: Case) -> tuple[Shown, Shown]:
    said = case.facts.said.get(case.buyer.id)
    if isinstance(said, Yes):
        return f"bid until {datetime.fromtimestamp(said.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}", "a bid that stands"
    return reasons.reason_to_show(said) if said else "not asked", "a bid"


SHOWN: dict[Rule, Callable[[Case], tuple[Shown, Shown]]] = {
    Rule.PAUSED: lambda _: ("paused", "not paused"),
    Rule.SCHEDULE: _show_hours,
    Rule.TRAFFIC_SOURCE: lambda case: (case.lead.get("traffic_source_id"), ", ".join(case.buyer.traffic_sources)),
    Rule.FILTER: _show_filter,
    Rule.SUPPRESSION: lambda case: (
        ", ".join(sorted({*case.facts.listed} & {*case.buyer.suppression})),
        "on none of " + ", ".join(case.buyer.suppression),
    ),
    Rule.DUPLICATE: _show_sold,
    Rule.CAP: _show_cap,
    Rule.CONCURRENCY: _show_cap,
    Rule.NO_BID: _show_answer,
    Rule.BID_FLOOR: lambda case: (case.cents / 100, case.endpoint.bid_floor_cents / 100),
}
