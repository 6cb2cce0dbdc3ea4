"""Caps: how many sales and calls, how much revenue and how many places at once a buyer wants, by the clock on its own
wall.

What is counted has a key for each period, "sales-day-1767243600" or "sales-day-1767243600@my_endpoint". A new
period is a new key that starts from nothing, so nothing ever has to be set back at midnight.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, cast

from msgspec import Struct

Kind = Literal["sales", "revenue", "concurrent", "attempts", "connected", "converted"]
OF_CALLS: frozenset[Kind] = frozenset({"attempts", "connected", "converted"})
"""They count only where an endpoint takes calls."""
Period = Literal["hour", "day", "month", "total"]

CODES: dict[tuple[Kind, Period | Literal[""]], int] = {
    ("concurrent", ""): 0,
    ("sales", "hour"): 1,
    ("sales", "day"): 2,
    ("sales", "month"): 3,
    ("sales", "total"): 4,
    ("revenue", "hour"): 5,
    ("revenue", "day"): 6,
    ("revenue", "month"): 7,
    ("revenue", "total"): 8,
    ("attempts", "hour"): 32,
    ("attempts", "day"): 33,
    ("attempts", "month"): 34,
    ("attempts", "total"): 35,
    ("connected", "hour"): 36,
    ("connected", "day"): 37,
    ("connected", "month"): 38,
    ("connected", "total"): 39,
    ("converted", "hour"): 40,
    ("converted", "day"): 41,
    ("converted", "month"): 42,
    ("converted", "total"): 43,
}
"""Stored pings have them: they never change."""
PLACE_BYTES = 40
"""What an entry of a place takes of an item: names of ping and attempt, a time, and what DynamoDB adds."""
COUNT_BYTES = 36
"""What the count of a period takes, without the endpoint's name."""
MOST_COUNTS = 80
"""The most that an item holds: of eight caps the periods that are open, and what has ended and is not removed yet."""
ITEM_BYTES = 400 * 1024
"""The most that an item of DynamoDB can hold."""

MOST_HELD, HELD_BYTES = 2000, 60
"""The most reservations that an item holds where calls are taken, and what one takes: its key, an entry, what DynamoDB
adds."""
COUNTS_OF_CALLS = 200
"""The same as `MOST_COUNTS`, of the twenty caps that there are where calls are taken."""

WORDS: dict[Kind, str] = {
    "sales": "sales",
    "revenue": "revenue",
    "concurrent": "places at once",
    "attempts": "attempts",
    "connected": "connected calls",
    "converted": "converted calls",
}
"""What is counted, to be read."""
OF_ENDPOINT = 16
"""What is added to the code of a cap that is of one endpoint."""


class Cap(Struct, frozen=True, omit_defaults=True):
    """`limit` is in sales, cents or places; places have no period. Without an `endpoint` it is over all of them."""

    kind: Kind
    limit: int
    period: Period | Literal[""] = ""
    endpoint: str = ""

    @property
    def code(self) -> int:
        """What a ping calls it: where and when it came says the rest of the key."""
        return CODES[self.kind, self.period] + (OF_ENDPOINT if self.endpoint else 0)

    def amount(self, cents: int) -> int:
        """What a sale of `cents` adds."""
        return cents if self.kind == "revenue" else 1


def start_of(period: Period, local: datetime) -> int:
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
    name = f"{cap.kind}-{cap.period}-{start_of(cap.period, local)}" if cap.period else cap.kind
    return f"{name}@{cap.endpoint}" if cap.endpoint else name


def caps_by_key(caps: Iterable[Cap], local: datetime) -> dict[str, Cap]:
    """Caps by key; of several with one key the tightest."""
    return {key(cap, local): cap for cap in sorted(caps, key=lambda cap: -cap.limit)}


def first_full(caps: Iterable[Cap], counts: Mapping[str, int], cents: int, local: datetime) -> Cap | None:
    """The first cap that has no room for a sale of `cents`. `counts` is by key; of places, those taken now."""
    return next((cap for cap in caps if counts.get(key(cap, local), 0) + cap.amount(cents) > cap.limit), None)


def counts_by_code(caps: Iterable[Cap], counts: Mapping[str, int], local: datetime) -> dict[int, int]:
    """What is counted under each cap, by its code; without zeros."""
    return {cap.code: count for cap in caps if (count := counts.get(key(cap, local), 0))}


def size_fault(places: int, endpoint: str = "", takes_calls: bool = False) -> str:
    """What is wrong with a cap on places whose item could not hold them; empty if it can."""
    counts = (COUNTS_OF_CALLS if takes_calls else MOST_COUNTS) * (COUNT_BYTES + len(endpoint))
    counts += MOST_HELD * HELD_BYTES if takes_calls else 0
    whole = places * PLACE_BYTES + counts
    if whole <= ITEM_BYTES:
        return ""
    return (
        f"must be at most {(ITEM_BYTES - counts) // PLACE_BYTES:,}: {places:,} places of {PLACE_BYTES} bytes and"
        f" {counts:,} for counts are {whole:,} bytes, and an item holds {ITEM_BYTES:,}"
    )


def text(cap: Cap) -> str:
    """The cap, to be read: amounts in dollars."""
    amount = f"{cap.limit / 100:.2f}" if cap.kind == "revenue" else f"{cap.limit}"
    period = {"": "at once", "total": "in total"}.get(cap.period, f"a {cap.period}")
    what = "" if cap.kind in ("revenue", "concurrent") else f" {WORDS[cap.kind]}"
    return f"{amount}{what} {period}" + (f" at {cap.endpoint}" if cap.endpoint else "")


def is_over(key: str, local: datetime) -> bool:
    """Whether nothing is counted under a period's key any more: that period has ended, and the one after it too.

    One more, because a sale that began in a period may be counted in it, or given back, seconds after its end; and
    because a process that still knows the buyer's earlier time zone must not remove what others count by the new one.
    """
    period, start = key.partition("@")[0].split("-")[1:]
    period = cast("Period", period)
    current = start_of(period, local)
    return int(start) < start_of(period, datetime.fromtimestamp(current - 1, local.tzinfo))
