"""Who goes first."""

from hashlib import blake2b
from math import inf, log2

from shared.domain.models import Bid, Buyer

DRAW_BYTES = 6


def rank(offered: list[tuple[Buyer, Bid]], rank_by: str, seed: bytes) -> tuple[Bid, ...]:
    """The bids, best first: by amount, or by tier and inside a tier by a draw in which a buyer's share is its weight.

    Equal amounts are broken by the same draw, so that one seed always gives one order.
    """

    draws = blake2b(key=seed, digest_size=DRAW_BYTES)

    def by_bid(pair: tuple[Buyer, Bid]) -> tuple[int, float]:
        return -pair[1].cents, _draw(pair[0], draws.copy())

    def by_tier(pair: tuple[Buyer, Bid]) -> tuple[int, float]:
        return pair[0].tier, _draw(pair[0], draws.copy())

    return tuple(bid for _, bid in sorted(offered, key=by_tier if rank_by == "tier" else by_bid))


def _draw(buyer: Buyer, seeded: blake2b) -> float:
    """An exponential variate of rate `weight`: the smallest of several is the buyer's with probability weight ÷ sum,
    and so on without replacement (Efraimidis and Spirakis, 2006)."""
    seeded.update(buyer.id.to_bytes(8, "big"))
    uniform = int.from_bytes(seeded.digest(), "big") / 2 ** (8 * DRAW_BYTES)
    return -log2(uniform) / buyer.weight if uniform else inf
