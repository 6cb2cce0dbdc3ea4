"""Caps: how many sales, how much revenue and how many places at once a buyer wants, by the clock on its own wall.

What is counted stands under a key per period, "sales-day-1767243600" or "sales-day-1767243600@my_endpoint". A new
period is a new key that starts from nothing, so nothing ever has to be set back at midnight.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, cast

from msgspec import Struct

Kind = Literal["sales", "revenue", "concurrent"]
Period = Literal["hour", "day", "month", "total"]


class Cap(Struct, frozen=True, omit_defaults=True):
    """`limit` is in sales, cents or places; places have no period. Without an `endpoint` it is over all of them."""

    kind: Kind
    limit: int
    period: Period | Literal[""] = ""
    endpoint: str = ""

    def amount(self, cents: int) -> int:
        """What a sale of `cents` adds."""
        return cents if self.kind == "revenue" else 1


def starts(period: Period, local: datetime) -> int:
    """When the period began in which it is `local`, the time on the buyer's clock with its zone: epoch seconds.

    An hour began as many minutes ago as the clock shows, so that an hour that comes twice is two. A day and a month
    began when their date was first shown: at the change of the clock where there was no midnight, at the first of two.
    """
    if period == "total":
        return 0
    if period == "hour":
        return int(local.timestamp()) - local.minute * 60 - local.second
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return int((midnight.replace(day=1) if period == "month" else midnight).timestamp())


def key(cap: Cap, local: datetime) -> str:
    """The name under which the cap's sales are counted when it is `local`."""
    name = f"{cap.kind}-{cap.period}-{starts(cap.period, local)}" if cap.period else cap.kind
    return f"{name}@{cap.endpoint}" if cap.endpoint else name


def keyed(caps: Iterable[Cap], local: datetime) -> dict[str, Cap]:
    """Caps by key; of several with one key the tightest."""
    return {key(cap, local): cap for cap in sorted(caps, key=lambda cap: -cap.limit)}


def full(caps: Iterable[Cap], counts: Mapping[str, int], cents: int, local: datetime) -> Cap | None:
    """The first cap that has no room for a sale of `cents`. `counts` is by key; of places, those taken now."""
    return next((cap for cap in caps if counts.get(key(cap, local), 0) + cap.amount(cents) > cap.limit), None)


def text(cap: Cap) -> str:
    """The cap, to be read: amounts in dollars."""
    amount = f"{cap.limit / 100:.2f}" if cap.kind == "revenue" else f"{cap.limit}"
    period = {"": "at once", "total": "in total"}.get(cap.period, f"a {cap.period}")
    sold = " sales" if cap.kind == "sales" else ""
    return f"{amount}{sold} {period}" + (f" at {cap.endpoint}" if cap.endpoint else "")


def over(key: str, local: datetime) -> bool:
    """Whether nothing is counted under a period's key any more: that period has ended, and the one after it too.

    One more, because a sale that began in a period may be counted in it, or given back, seconds after its end; and
    because a process that still knows the buyer's earlier time zone must not remove what others count by the new one.
    """
    period, start = key.partition("@")[0].split("-")[1:]
    period = cast("Period", period)
    current = starts(period, local)
    return int(start) < starts(period, datetime.fromtimestamp(current - 1, local.tzinfo))
