"""The hourly repair: a function that died between counting a sale and recording it has left a cap one too high.

A buyer's counts of the periods that are open are compared with the rows of its sales, and lowered to them. Only where
nothing was counted for minutes: then each attempt that had counted is done or dead. Only when everything that was
written before has gone through the stream, which was there when the period began, and nothing of the period is set
aside. A cap that is full too early stops the counting itself, so that its hour comes. And only *if unchanged*: a sale
that is counted meanwhile leaves everything as it is, until the next hour. Places at once free themselves.

Where calls are taken, counts are of calls too, and each is exact once its reservation is given (`operators.leftovers`):
such an item is never lowered to rows.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from shared.domain import caps, schedule
from shared.domain.caps import Cap
from shared.domain.models import DAY, Buyer, Endpoint
from shared.journal.database import FileUnreadable
from shared.journal.dead_letters import DeadLetters
from shared.journal.fetching import Fetching
from shared.journal.passing import PATIENCE_SECONDS, Passing
from shared.journal.searching import Counted, Sold, count_sold
from shared.store.compiled import Compiled, Memory
from shared.store.counters import HELD, REPAIRS, SINCE, TAKEN_AT, Counters, Of
from shared.store.dynamo import Dynamo, Item
from shared.store.items import number_of, number_or

QUIET_SECONDS = 600
"""DynamoDB refuses a request five minutes after it was signed: no sale that was counted before is recorded later. A
minute more, because `taken_at` is one, and some for the clocks."""
BATCH = 100
FIRST_SALE = 1

STREAM_IS_LATE = f"The journal is more than {PATIENCE_SECONDS // 60} minutes late. The next hourly repair tries again."
SET_ASIDE = "The journal has set records of these periods aside. Run `./ringpost journal replay`, then repair again."
UNREADABLE = "A file of the journal cannot be read. The next hourly repair tries again."


class Repaired(Struct, frozen=True):
    """What a buyer's cap counted, and what it counts now."""

    buyer_id: int
    key: str
    was: int
    now: int


class Outcome(Struct, frozen=True):
    """The caps that were lowered; and how many may be too high and were left as they are, and why."""

    repaired: list[Repaired] = []
    left: int = 0
    why: str = ""


class _Count(Struct, frozen=True):
    """What an item counts for a buyer under `keys`, with the sales that it should be."""

    of: Of
    taken_at: int
    repairs: int
    counted: dict[str, int]
    caps: dict[str, Cap]
    starts: dict[str, int]
    since: int

    def wanted(self) -> list[Counted]:
        return [Counted(self.of[0], self.starts[key], cap.endpoint) for key, cap in self.caps.items()]


class Repair:
    """`now` is the clock, in seconds since the epoch; `pause` waits a while. Methods raise `TemporarilyUnavailable`."""

    def __init__(
        self,
        dynamo: Dynamo,
        now: Callable[[], int],
        fetching: Fetching,
        passing: Passing,
        letters: DeadLetters,
        pause: Callable[[], None],
    ) -> None:
        self.dynamo = dynamo
        self.now = now
        self.fetching = fetching
        self.passing = passing
        self.letters = letters
        self.pause = pause
        self.counters = Counters(dynamo, {})

    def endpoints(self) -> list[Endpoint]:
        """The live ones. Two calls, and two for each."""
        compiled = Compiled(self.dynamo, Memory())
        return [compiled.latest(name, self.now()) for name in compiled.names()]

    def repair(self, endpoints: Iterable[Endpoint]) -> Outcome:
        """Lower what is too high, of every buyer with caps."""
        counts = self._counts(endpoints)
        try:
            high = [count for count, sold in self._with_sold(counts) if _too_high(count, sold)]
            if not high:
                return Outcome()
            if not self.passing.wait(self.pause):
                return Outcome(left=len(high), why=STREAM_IS_LATE)
            set_aside_until = self.letters.last_day()  # before rows: what is replayed meanwhile may be in none of both
            found = self._with_sold(high)
        except FileUnreadable:
            return Outcome(left=len(counts), why=UNREADABLE)
        repaired, left = list[Repaired](), 0
        for count, sold in found:
            too_high = _too_high(count, sold)
            lower = {
                key: number
                for key, number in too_high.items()
                if max(count.starts[key], count.since) >= set_aside_until
            }
            left += len(lower) < len(too_high)
            if lower and self.counters.lower(count.of, count.counted, lower, count.taken_at, count.repairs):
                repaired += [Repaired(count.of[0], key, count.counted[key], number) for key, number in lower.items()]
        return Outcome(repaired, left, SET_ASIDE if left else "")

    def _counts(self, endpoints: Iterable[Endpoint]) -> list[_Count]:
        """What can be compared now. A call for a hundred items, and two for where rows are."""
        found: dict[int, Buyer] = {}
        wanted: dict[Of, dict[Cap, None]] = {}
        sale_seconds = 0
        for endpoint in endpoints:
            sale_seconds = endpoint.sale_seconds
            for buyer in endpoint.buyers:
                found[buyer.id] = buyer
                for cap in buyer.amounts:
                    wanted.setdefault((buyer.id, cap.endpoint), {})[cap] = None
        kept = self.fetching.files_of(0, self.now() + DAY)
        rows_since = min([*(file.start for file in kept.files), *kept.hours], default=0)
        # A day early, for what was recorded before its row was deleted.
        sold_since = max(rows_since, self.now() - sale_seconds + DAY + 1)
        streamed_since = self.passing.began_at() + QUIET_SECONDS
        counting, counts = list(wanted), list[_Count]()
        for start in range(0, len(counting), BATCH):
            for of, item in self.counters.read_items(counting[start : start + BATCH]).items():
                if HELD in item or SINCE not in item:
                    continue  # what is reserved may count calls, which no rows of sales tell of
                count = self._count(of, found[of[0]], wanted[of], item, sold_since, streamed_since)
                counts += [count] if any(count.counted.values()) else []
        return counts

    def _count(
        self, of: Of, buyer: Buyer, wanted: Iterable[Cap], item: Item, sold_since: int, streamed_since: int
    ) -> _Count:
        now, since = self.now(), number_of(item, SINCE)
        taken_at = number_or(item, TAKEN_AT, now)
        local = schedule.local_time(buyer.zone, now)
        open_caps = {
            key: cap
            for key, cap in caps.caps_by_key(wanted, local).items()
            if key in item
            and cap.period
            and (cap.period != "total" or since >= sold_since)  # a total is known while the row of the first sale is
            and max(_start(cap, buyer, now), since) >= streamed_since
            and taken_at <= now - QUIET_SECONDS
        }
        return _Count(
            of,
            taken_at,
            number_or(item, REPAIRS, 0),
            {key: number_of(item, key) for key in open_caps},
            open_caps,
            {key: _start(cap, buyer, now) for key, cap in open_caps.items()},
            since,
        )

    def _with_sold(self, counts: Sequence[_Count]) -> list[tuple[_Count, dict[str, int]]]:
        """With what the rows of sales come to, by key. Raises `FileUnreadable`."""
        wanted = [each for count in counts for each in count.wanted()]
        if not wanted:
            return []
        # Totals begin with the first sale that was counted, maybe in an hour before: clocks differ.
        start = min(max(start, count.since - DAY) for count in counts for start in count.starts.values())
        sold = iter(count_sold(self.fetching, wanted, start, self.now() + DAY))
        return [(count, {key: _amount(cap, next(sold)) for key, cap in count.caps.items()}) for count in counts]


def _too_high(count: _Count, sold: dict[str, int]) -> dict[str, int]:
    return {key: sold[key] for key, number in count.counted.items() if sold[key] < number}


def _amount(cap: Cap, sold: Sold) -> int:
    return sold.cents if cap.kind == "revenue" else sold.sales


def _start(cap: Cap, buyer: Buyer, now: int) -> int:
    return max(FIRST_SALE, caps.start_of(cap.period, schedule.local_time(buyer.zone, now))) if cap.period else now
