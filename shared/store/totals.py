"""What is shown of the counts of `tallies`: by hour, ring pool, traffic source and buyer."""

from msgspec import Struct


class Hour(Struct, frozen=True, kw_only=True):
    """What was counted on an endpoint from `at` for an hour. `asked` leads were priced, for `pings` of them there were
    bids; `refused` is by status, and has what was refused before and after. Amounts are cents."""

    at: int
    endpoint: str
    asked: int = 0
    pings: int = 0
    sales: int = 0
    revenue_cents: int = 0
    payout_cents: int = 0
    refused: dict[str, int] = {}


class PoolHour(Struct, frozen=True, kw_only=True):
    """A ring pool from `at` for an hour. `used_percent` is the mean of what its sales saw, `peak_percent` the most,
    down to the full five percent; `exhausted` counts sales that found no number free."""

    at: int
    pool: str
    leases: int = 0
    exhausted: int = 0
    used_percent: int = 0
    peak_percent: int = 0


class Source(Struct, frozen=True, kw_only=True):
    """What a user sent from one traffic source, "" without one, "…" for those that a process had too many of."""

    user: str
    source: str
    asked: int = 0
    pings: int = 0
    sales: int = 0
    revenue_cents: int | None = None
    payout_cents: int = 0


class BuyerTotals(Struct, frozen=True, kw_only=True):
    """What a buyer bought."""

    buyer_id: int
    sales: int = 0
    revenue_cents: int = 0
    payout_cents: int = 0
