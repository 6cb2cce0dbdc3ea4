"""The hourly repair: a function that died between counting a sale and recording it has left a cap one too high.

A buyer's counts of the periods that are open are compared with its sales that are recorded, and lowered to them. Only
where nothing was counted for a minute: then whoever had counted is done or dead, and the index shows what it recorded.
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
from shared.store.counters import SINCE, TAKEN_AT, Counters
from shared.store.dynamo import Dynamo, Item
from shared.store.erasing import Erasing
from shared.store.pings import Pings, Start

QUIET_SECONDS = 60
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
        self.pings = Pings(dynamo)
        self.counters = Counters(dynamo, {})

    def endpoints(self) -> list[Endpoint]:
        """The live ones. Two calls, and two for each."""
        compiled = Compiled(self.dynamo, Memory())
        return [compiled.latest(name, self.now()) for name in compiled.names()]

    def repair(self, endpoints: Iterable[Endpoint]) -> list[Repaired]:
        """Lower what is too high, of every buyer with caps. A call for a hundred buyers, and one for a thousand sales
        of a buyer that has a count to compare."""
        found: dict[int, Buyer] = {}
        wanted: dict[int, dict[Cap, None]] = {}
        sale_seconds = 0
        for endpoint in endpoints:
            sale_seconds = endpoint.sale_seconds
            for buyer in endpoint.buyers:
                found[buyer.id] = buyer
                wanted.setdefault(buyer.id, {}).update(dict.fromkeys(buyer.amounts))
        capped = [buyer_id for buyer_id, of_buyer in wanted.items() if of_buyer]
        repaired: list[Repaired] = []
        for start in range(0, len(capped), BATCH):
            for buyer_id, item in self.counters.stored(capped[start : start + BATCH]).items():
                repaired += self._repaired(found[buyer_id], wanted[buyer_id], item, sale_seconds)
        return repaired

    def _repaired(self, buyer: Buyer, wanted: Iterable[Cap], item: Item, sale_seconds: int) -> list[Repaired]:
        now = self.now()
        taken_at = int(item[TAKEN_AT]["N"]) if TAKEN_AT in item else now
        if taken_at > now - QUIET_SECONDS:
            return []
        local = schedule.local_time(buyer.zone, now)
        # A total is known while the first sale is: a day early, for what was recorded before it was deleted.
        whole = int(item[SINCE]["N"]) > now - sale_seconds + DAY
        open_caps = {
            key: cap
            for key, cap in caps.keyed(wanted, local).items()
            if key in item and cap.period and (cap.period != "total" or whole)
        }
        counted = {key: int(item[key]["N"]) for key in open_caps}
        if not any(counted.values()):
            return []
        sold = self._sold(buyer.id, {key: (cap, _start(cap, buyer, now)) for key, cap in open_caps.items()})
        lower = {key: sold[key] for key, count in counted.items() if sold[key] < count}
        if not lower or not self.counters.lower(buyer.id, counted, lower, taken_at):
            return []
        return [Repaired(buyer.id, key, counted[key], count) for key, count in lower.items()]

    def _sold(self, buyer_id: int, open_caps: Mapping[str, tuple[Cap, int]]) -> Counter[str]:
        """What the recorded sales come to, by key."""
        sold: Counter[str] = Counter()
        since = min(start for _, start in open_caps.values())
        start: Start | None = None
        more = True
        while more:
            items, more = self.pings.sold_to(buyer_id, since, self.now() + DAY, start, PAGE)
            for item in items:
                at, endpoint = int(item["sold_at"]["N"]), item["endpoint"]["S"]
                cents = int(item["counted" if "counted" in item else "cents"]["N"])
                for key, (cap, began) in open_caps.items():
                    if at >= began and cap.endpoint in ("", endpoint):
                        sold[key] += cap.amount(cents)
                start = (at, item["ping_id"]["B"])
        return sold


def upkeep(repair: Repair, erasing: Erasing) -> tuple[list[Repaired], int]:
    """What is due every hour: what was repaired, and how many leads of sales were removed."""
    endpoints = repair.endpoints()
    repaired = repair.repair(endpoints)
    return repaired, erasing.sweep(endpoints[0].lead_seconds, endpoints[0].sale_seconds) if endpoints else 0


def _start(cap: Cap, buyer: Buyer, now: int) -> int:
    return max(FIRST_SALE, caps.starts(cap.period, schedule.local_time(buyer.zone, now))) if cap.period else now
