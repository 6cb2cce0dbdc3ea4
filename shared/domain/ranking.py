"""Who goes first."""

from hashlib import blake2b
from math import inf, log2

from shared.domain.models import Bid, Buyer


def rank(offered: list[tuple[Buyer, Bid]], rank_by: str, seed: bytes) -> tuple[Bid, ...]:
    """The bids, best first: by amount, or by tier and inside a tier by a draw in which a buyer's share is its weight.

    Equal amounts are broken by the same draw, so that one seed always gives one order.
    """

    def by_bid(pair: tuple[Buyer, Bid]) -> tuple[int, float]:
        return -pair[1].cents, _draw(pair[0], seed)

    def by_tier(pair: tuple[Buyer, Bid]) -> tuple[int, float]:
        return pair[0].tier, _draw(pair[0], seed)

    return tuple(bid for _, bid in sorted(offered, key=by_tier if rank_by == "tier" else by_bid))


def _draw(buyer: Buyer, seed: bytes) -> float:
    """An exponential variate of rate `weight`: the smallest of several is the buyer's with probability weight ÷ sum,
    and so on without replacement (Efraimidis and Spirakis, 2006)."""
    uniform = int.from_bytes(blake2b(buyer.id.to_bytes(8, "big"), key=seed, digest_size=6).digest(), "big") / 2**48
    return -log2(uniform) / buyer.weight if uniform else inf
