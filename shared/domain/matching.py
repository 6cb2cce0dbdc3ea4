"""Which buyers bid on a lead, and why the others do not."""

from enum import StrEnum

from shared.domain.models import TRY_ALL, Bid, Buyer, Endpoint
from shared.domain.ranking import rank


class Rule(StrEnum):
    """What a buyer can fail, in the order of checking; the first one is the reason."""

    PAUSED = "paused"
    BID_FLOOR = "bid_floor"


def failed_rule(buyer: Buyer, bid: Bid, endpoint: Endpoint) -> Rule | None:
    if buyer.paused:
        return Rule.PAUSED
    if bid.cents < endpoint.bid_floor_cents:
        return Rule.BID_FLOOR
    return None


def bids(endpoint: Endpoint, seed: bytes) -> tuple[Bid, ...]:
    """The bids of the buyers that pass every rule, ranked."""
    offered = [(buyer, Bid(buyer.id, buyer.bid_cents)) for buyer in endpoint.buyers]
    passed = [(buyer, bid) for buyer, bid in offered if failed_rule(buyer, bid, endpoint) is None]
    return rank(passed, endpoint.rank_by, seed)


def candidates(endpoint: Endpoint, bids: tuple[Bid, ...], choice: int) -> list[tuple[Buyer, Bid]]:
    """Whom a POST may sell to, in order: of the ping's bids those chosen, whose buyer passes every rule now."""
    chosen = [(endpoint.buyer(bid.buyer_id), bid) for bid in bids if choice in (TRY_ALL, bid.buyer_id)]
    return [(buyer, bid) for buyer, bid in chosen if buyer and failed_rule(buyer, bid, endpoint) is None]
