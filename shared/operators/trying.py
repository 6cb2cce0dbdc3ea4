"""A lead to try an endpoint with: values that the first open buyer takes now, by the rules that decide a PING."""

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from shared.domain import fields, filters, matching
from shared.domain.filters import Filter
from shared.domain.matching import Failure, Rule
from shared.domain.models import Buyer, Endpoint, Facts, Field, Lead
from shared.domain.states import STATE_CODES
from shared.operators.access import Office
from shared.publishers.posting_instructions import EXAMPLES
from shared.store.counters import Counters, items

TRIED = 50
"""So many buyers of an endpoint are looked at, those that go first."""
CALLERS = ("24", "25", "26")
"""Last digits that are tried in the place of those of a caller who was sold already."""
MAX_CENTS = 100_000_000
NO_SEED = b""


class Trial(Struct, frozen=True):
    """`endpoint` has the values as its fields' examples. `takers` is the buyer who takes the call, or those among whom
    a draw decides; `asked` are those that bid live before. Without either, `reasons` say why, by buyer."""

    endpoint: Endpoint
    takers: list[Buyer]
    asked: list[Buyer]
    reasons: list[tuple[Buyer, str]]


def trial(office: Office, endpoint: Endpoint) -> Trial:
    now, buyers = office.records.now(), _in_order(endpoint)[:TRIED]
    capped = [buyer for buyer in buyers if buyer.caps]
    counts = Counters(office.records.dynamo, {}).counts([of for buyer in capped for of in items(buyer)], now)
    facts = Facts(matching.counted(capped, counts, now))
    reasons: list[tuple[Buyer, str]] = []
    for buyer in buyers:
        lead = _lead(endpoint, buyer)
        failed = _failure(endpoint, buyer, lead, now, facts)
        if failed is None:
            return _taken(endpoint, _with_a_fresh_caller(office, endpoint, lead), now, facts)
        reasons.append((buyer, _reason(failed)))
    return Trial(_with_examples(endpoint, _lead(endpoint, None)), [], [], reasons)


def _in_order(endpoint: Endpoint) -> list[Buyer]:
    """As they would be ranked; a live buyer by the most that it may bid."""

    def rank(buyer: Buyer) -> tuple[int, int]:
        cents = (buyer.live.max_bid_cents or MAX_CENTS) if buyer.live else buyer.bid_cents
        return (buyer.tier, -buyer.weight) if endpoint.rank_by == "tier" else (-cents, 0)

    return sorted(endpoint.buyers, key=rank)


def _failure(endpoint: Endpoint, buyer: Buyer, lead: Lead, now: int, facts: Facts) -> Failure | None:
    """Why the buyer would not even be asked."""
    found = matching.failures(replace(endpoint, buyers=(buyer,)), lead, now, facts)
    return next((failure for failure in found if failure.rule is not Rule.NO_BID), None)


def _taken(endpoint: Endpoint, lead: Lead, now: int, facts: Facts) -> Trial:
    passing = matching.passing(endpoint, lead, now)
    asked = matching.to_ask(endpoint, passing, lead, now, facts)
    bids = matching.bids(endpoint, passing, lead, now, facts, NO_SEED)
    bidders = [buyer for bid in bids if (buyer := endpoint.buyer(bid.buyer_id))]
    key = "tier" if endpoint.rank_by == "tier" else "bid_cents"
    first = [buyer for buyer in bidders if getattr(buyer, key) == getattr(bidders[0], key)]
    return Trial(_with_examples(endpoint, lead), first, asked, [])


def _reason(failed: Failure) -> str:
    match failed.rule:
        case Rule.PAUSED:
            return "is paused"
        case Rule.SCHEDULE:
            return f"is closed at {failed.seen}; today's hours: {failed.threshold}"
        case Rule.FILTER:
            return f"has a filter for which no value was found: {failed.threshold}"
        case Rule.CAP | Rule.CONCURRENCY:
            return f"is full: {failed.seen}, and its cap is {failed.threshold}"
        case Rule.BID_FLOOR:
            return f"bids {failed.seen}, which is below the endpoint's floor of {failed.threshold}"
        case _:
            return f"fails the rule {failed.rule}: {failed.seen}, not {failed.threshold}"


def _lead(endpoint: Endpoint, buyer: Buyer | None) -> Lead:
    """Values that pass each filter of the buyer as far as some were found, and the fields' examples for the others."""
    wanted: dict[str, list[Filter]] = {}
    for each in buyer.filters if buyer else ():
        wanted.setdefault(each.name, []).append(each)
    listed = {field.name: field for field in endpoint.fields}
    found: dict[str, str] = {}
    for field in (*endpoint.fields, *(Field(name=name) for name in wanted if name not in listed)):
        if field.name == "trackdrive_number":
            continue
        found[field.name] = _value(endpoint, field, wanted.get(field.name, []))
    if buyer and buyer.traffic_sources and found.get("traffic_source_id") not in buyer.traffic_sources:
        free = [source for source in buyer.traffic_sources if source not in endpoint.owned_sources]
        found["traffic_source_id"] = [*free, *buyer.traffic_sources][0]
    return Lead({name: value for name, value in found.items() if value})


def _value(endpoint: Endpoint, field: Field, wanted: list[Filter]) -> str:
    """The first candidate that is valid and passes; else the first."""
    if not wanted:
        return next(_candidates(field, wanted))
    tests = [filters.test(each) for each in wanted]
    candidates = dict.fromkeys(_candidates(field, wanted))
    for candidate in candidates:
        read, _ = fields.read([field], {field.name: candidate}, endpoint.default_region)
        if read.get(field.name) and filters.first_failed(tests, read) is None:
            return read[field.name]
    return next(iter(candidates))


def _candidates(field: Field, wanted: list[Filter]) -> Iterator[str]:
    known = (field.example, field.default, *field.choices, field.minimum)
    yield next(filter(None, known), "" if field.name == "traffic_source_id" else EXAMPLES.get(field.type, ""))
    yield from field.choices
    for each in wanted:
        for operand in each.operand:
            yield from _near(each, operand)
    if field.minimum or field.maximum:
        yield from filter(None, (field.minimum, field.maximum))
    yield from POOLS.get(field.type, ())


def _near(each: Filter, operand: str) -> Iterator[str]:
    """Values beside the operand of a filter."""
    if each.operator == "matches":
        yield from re.sub(r"\(\?\w+\)|[\^$()\\]", "", operand).split("|")
        return
    first = operand.partition("-")[0]
    if each.operator == "zips":
        yield from (f"{first:0<5}"[:5], f"{first:1<5}"[:5])
    elif each.operator == "area_codes":
        yield f"+1{first}5550123"
    else:
        yield operand
    if filters.DATE.fullmatch(operand):
        day = date.fromisoformat(operand)
        yield from ((day + timedelta(days)).isoformat() for days in (-1, 1))
    elif filters.NUMBER.fullmatch(operand) and filters.OPERATORS[each.operator].operand is filters.BOUND:
        yield from (str(Decimal(operand) + step) for step in (Decimal(-1), Decimal(1)))
        yield str(int(Decimal(operand)) + 1)


POOLS: dict[str, Iterable[str]] = {
    "us_state": sorted(STATE_CODES),
    "us_zip": [f"{prefix:03}01" for prefix in range(5, 1000)],
    "phone": [f"+1{area_code}5550123" for area_code in range(201, 990)],
    "boolean": ("true", "false"),
    "integer": [*map(str, range(121))],
    "decimal": [*map(str, range(121))],
    "date": ("1985-03-27", "2000-01-01", "2026-01-01"),
    "text": ("yes", "no", "1", "A", "abc"),
}
"""What is tried where neither examples nor filters name a value that passes all of them."""


def _with_a_fresh_caller(office: Office, endpoint: Endpoint, lead: Lead) -> Lead:
    """With a caller of the same area code that is on no list and was not sold, as far as there is one among a few."""
    rules = [endpoint.suppression, endpoint.duplicate_seconds]
    rules += [rule for buyer in endpoint.buyers for rule in (buyer.suppression, buyer.duplicate_seconds)]
    callers = [lead.caller, *(f"{lead.caller[:-2]}{last}" for last in CALLERS)] if any(rules) else []
    for caller in callers:
        known = office.callers.look_up(caller, listed=True, sold=True)
        if not known.listed and not known.sold:
            return Lead(lead | {"caller_id": caller})
    return lead


def _with_examples(endpoint: Endpoint, lead: Lead) -> Endpoint:
    known = {field.name for field in endpoint.fields}
    with_examples = [replace(field, example=lead.get(field.name, field.example)) for field in endpoint.fields]
    more = [Field(name=name, example=value) for name, value in lead.items() if name not in known]
    return replace(endpoint, fields=(*with_examples, *more))
