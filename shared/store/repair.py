"""The hourly repair: a function that died between counting a sale and recording it has left a cap one too high.

A buyer's counts of the periods that are open are compared with its sales that are recorded, and lowered to them. Only
where nothing was counted for minutes: then each attempt that had counted is done or dead,
and the index shows what it recorded.
A cap that is full too early stops the counting itself, so that its hour comes. And only *if unchanged*: a sale that is
counted meanwhile leaves everything as it is, until the next hour. Places at once free themselves.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from shared.domain import caps, schedule
from shared.domain.caps import Cap
from shared.domain.models import DAY, Buyer, Endpoint
from shared.store.compiled import Compiled, Memory
from shared.store.counters import REPAIRS, SINCE, TAKEN_AT, Counters, Of
from shared.store.dynamo import Dynamo, Item
from shared.store.erasing import Erasing
from shared.store.items import bytes_of, number_of, number_or, text_of
from shared.store.ping_log import PingLog, Start
from shared.store.records import Records

QUIET_SECONDS = 600
"""DynamoDB refuses a request five minutes after it was signed: no sale that was counted before is recorded later. A
minute more, because `taken_at` is one, and some for the index."""
BATCH = 100
PAGE = 1000
FIRST_SALE = 1


class Repaired(Struct, frozen=True):
    """What a buyer's cap counted, and what it counts now."""

    buyer_id: int
    key: str
    was: int
    now: int


class Repair:
    """`now` is the clock, in seconds since the epoch."""

    def __init__(self, dynamo: Dynamo, now: Callable[[], int]) -> None:
        self.dynamo = dynamo
        self.now = now
        self.ping_log = PingLog(dynamo)
        self.counters = Counters(dynamo, {})

    def endpoints(self) -> list[Endpoint]:
        """The live ones. Two calls, and two for each."""
        compiled = Compiled(self.dynamo, Memory())
        return [compiled.latest(name, self.now()) for name in compiled.names()]

    def repair(self, endpoints: Iterable[Endpoint]) -> list[Repaired]:
        """Lower what is too high, of every buyer with caps. A call for a hundred items, and one for a thousand sales
        of a buyer for each item that has a count to compare."""
        found: dict[int, Buyer] = {}
        wanted: dict[Of, dict[Cap, None]] = {}
        sale_seconds = 0
        for endpoint in endpoints:
            sale_seconds = endpoint.sale_seconds
            for buyer in endpoint.buyers:
                found[buyer.id] = buyer
                for cap in buyer.amounts:
                    wanted.setdefault((buyer.id, cap.endpoint), {})[cap] = None
        counting, repaired = list(wanted), list[Repaired]()
        for start in range(0, len(counting), BATCH):
            for of, item in self.counters.read_items(counting[start : start + BATCH]).items():
                repaired += self._repaired(of, found[of[0]], wanted[of], item, sale_seconds)
        return repaired

    def _repaired(self, of: Of, buyer: Buyer, wanted: Iterable[Cap], item: Item, sale_seconds: int) -> list[Repaired]:
        now = self.now()
        taken_at = number_or(item, TAKEN_AT, now)
        if taken_at > now - QUIET_SECONDS:
            return []
        local = schedule.local_time(buyer.zone, now)
        # A total is known while the first sale is: a day early, for what was recorded before it was deleted.
        whole = number_of(item, SINCE) > now - sale_seconds + DAY
        open_caps = {
            key: cap
            for key, cap in caps.caps_by_key(wanted, local).items()
            if key in item and cap.period and (cap.period != "total" or whole)
        }
        counted = {key: number_of(item, key) for key in open_caps}
        if not any(counted.values()):
            return []
        sold = self._sold(buyer.id, {key: (cap, _start(cap, buyer, now)) for key, cap in open_caps.items()})
        lower = {key: sold[key] for key, count in counted.items() if sold[key] < count}
        repairs = number_or(item, REPAIRS, 0)
        if not lower or not self.counters.lower(of, counted, lower, taken_at, repairs):
            return []
        return [Repaired(buyer.id, key, counted[key], count) for key, count in lower.items()]

    def _sold(self, buyer_id: int, open_caps: Mapping[str, tuple[Cap, int]]) -> Counter[str]:
        """What the recorded sales come to, by key."""
        sold: Counter[str] = Counter()
        since = min(start for _, start in open_caps.values())
        start: Start | None = None
        more = True
        while more:
            items, more = self.ping_log.sold_to(buyer_id, since, self.now() + DAY, start, PAGE)
            for item in items:
                at, endpoint = number_of(item, "sold_at"), text_of(item, "endpoint")
                cents = number_of(item, "counted" if "counted" in item else "cents")
                for key, (cap, began) in open_caps.items():
                    if at >= began and cap.endpoint in ("", endpoint):
                        sold[key] += cap.amount(cents)
                start = (at, bytes_of(item, "ping_id"))
        return sold


class Upkeep(Struct, frozen=True):
    """What was due: the caps that were lowered, how many leads of sales were removed, and how many numbers were freed
    that an apply which died had left."""

    repaired: list[Repaired]
    swept: int
    freed: int


def upkeep(repair: Repair, erasing: Erasing, records: Records) -> Upkeep:
    """What is due every hour."""
    freed = records.applying.free_what_was_given_up()
    endpoints = repair.endpoints()
    repaired = repair.repair(endpoints)
    swept = erasing.sweep(endpoints[0].lead_seconds, endpoints[0].sale_seconds) if endpoints else 0
    return Upkeep(repaired, swept, freed)


def _start(cap: Cap, buyer: Buyer, now: int) -> int:
    return max(FIRST_SALE, caps.start_of(cap.period, schedule.local_time(buyer.zone, now))) if cap.period else now
