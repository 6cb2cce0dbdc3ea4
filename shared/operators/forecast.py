"""What the coming hours bring for a buyer: when it is open, and how full its caps are."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

from msgspec import Struct

from shared import configuration
from shared.configuration import Parts, Plain
from shared.domain import schedule
from shared.domain.caps import WORDS, Cap, first_full, key, start_of
from shared.domain.models import Buyer
from shared.domain.schedule import Schedule, local_time
from shared.store.counters import Counters, items
from shared.store.records import Records

HOURS = 48
LONGEST = 32 * 24 * 3600
"""No hour, day or month takes longer."""
MINUTE = "%a %d %b %H:%M"


class Gauge(Struct, frozen=True):
    """A cap, what is counted under it, and whether it has no room for a sale at the buyer's bid. `until` is when its
    hour, day or month is over, on the buyer's clock; empty if it has none."""

    cap: Cap
    count: int
    percent: int
    is_full: bool
    until: str

    @property
    def name(self) -> str:
        """Like "sales per day", "connected calls per hour", "revenue in total", "places at once"; "… at my_endpoint" if
        it is one endpoint's."""
        period = {"": "", "total": " in total"}.get(self.cap.period, f" per {self.cap.period}")
        return WORDS[self.cap.kind] + period + (f" at {self.cap.endpoint}" if self.cap.endpoint else "")

    @property
    def amount(self) -> str:
        return self._amount(self.count)

    @property
    def limit(self) -> str:
        return self._amount(self.cap.limit)

    def _amount(self, amount: int) -> str:
        return f"{amount // 100:,}.{amount % 100:02}" if self.cap.kind == "revenue" else f"{amount:,}"


def buyers(parts: Parts, wanted: Collection[Plain]) -> dict[str, Buyer]:
    """Some buyers as they are listed one by one, by id, compiled with their caps of all endpoints."""
    offers: Parts = {}
    for buyer in wanted:
        offer = offers.setdefault(("offers", buyer["offer"]), {**parts["offers", buyer["offer"]], "buyers": []})
        offer["buyers"].append({key: value for key, value in buyer.items() if key not in ("offer", "version")})
    return {str(buyer.id): buyer for _, buyer in configuration.compile_buyers(configuration.from_records(offers))}


def gauges_of(records: Records, wanted: Collection[Buyer]) -> dict[int, list[Gauge]]:
    """The caps of those buyers that have some, by id."""
    capped, now = [buyer for buyer in wanted if buyer.caps], records.now()
    counts = Counters(records.dynamo, {}).counts([of for buyer in capped for of in items(buyer)], now)
    return {buyer.id: [*_gauges(buyer, counts[buyer.id], now)] for buyer in capped}


def hours(opening: Schedule, now: int, zones: list[str]) -> list[tuple[str, list[str]]]:
    """Open and closed by turns, and the changes of the clock between them; a column for each zone, the buyer's own
    first."""
    end = now + HOURS * 3600
    rows = [
        (start, word, [_span(zone, start, until, now, end) for zone in zones])
        for start, until, word in _stretches(schedule.windows(opening, zones[0], now, end), now, end)
    ]
    rows += [
        (at, "clocks", [_turn(zone, at) for zone in zones])
        for at in {at for zone in zones for at, _ in schedule.changes(zone, now, end)}
    ]
    return [(word, columns) for _, word, columns in sorted(rows)]


def _stretches(windows: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int, str]]:
    at = start
    for opens, closes in windows:
        if at < opens:
            yield at, opens, "closed"
        yield opens, closes, "open"
        at = closes
    if at < end:
        yield at, end, "closed"


def _span(zone: str, start: int, until: int, now: int, end: int) -> str:
    """`now` and … stand for what began before the hours that are shown, and what ends after them."""
    same_day = start > now and local_time(zone, start).date() == local_time(zone, until).date()
    last = f"{local_time(zone, until):%H:%M}" if same_day else minute(zone, until)
    return f"{minute(zone, start) if start > now else 'now'} – {last if until < end else '…'}"


def _turn(zone: str, at: int) -> str:
    """A time; where the clock is changed just then, what it would have shown and what it does."""
    before = local_time(zone, at - 1).replace(tzinfo=None) + timedelta(seconds=1)
    after = local_time(zone, at).replace(tzinfo=None)
    return f"{before:{MINUTE}}" + (f" → {after:%H:%M}" if after != before else "")


def _gauges(buyer: Buyer, counts: Mapping[str, int], now: int) -> Iterator[Gauge]:
    local = local_time(buyer.zone, now)
    for cap in buyer.caps:
        count = counts.get(key(cap, local), 0)
        percent = 100 * count // cap.limit if cap.limit else 100
        is_full = first_full([cap], counts, buyer.bid_cents, local) is not None
        yield Gauge(cap, count, percent, is_full, _until(cap, buyer.zone, now))


def _until(cap: Cap, zone: str, now: int) -> str:
    """When the hour, day or month that is counted now is over."""
    if not (period := cap.period) or period == "total":
        return ""
    start = start_of(period, local_time(zone, now))
    later = range(now, now + LONGEST)
    ends = later[bisect_left(later, True, key=lambda at: start_of(period, local_time(zone, at)) > start)]
    return minute(zone, ends)


def minute(zone: str, at: int) -> str:
    return f"{local_time(zone, at):{MINUTE}}"
