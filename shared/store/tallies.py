"""What is counted for plots: leads, bids, sales, refusals and the use of ring pools, an item an hour or a day.

    HOURS#20261125     13#my_endpoint      asked, pings, sales, revenue, payout, and refused:STATUS
    POOLS#20261125     13#auto-us          leases, exhausted, looks, used, and use:95, the looks that saw 95 to 99 %
    SOURCES#20261125   acme-media#1023     asked, pings, sales, revenue, payout of a user and traffic source
    BUYERS#20261125    17                  sales, revenue, payout

Days and hours are UTC's, amounts cents. Counts gather in the memory of the process and are written together with the
last write of a request: at once where requests are few, about once a second where they are many, always with a sale.
What a process has gathered when it is stopped, and what an unclear write was to add, is lost: these are for looking
at, and caps have counters of their own. `delete_at` is when the retention is over.
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property, partial
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from shared.domain.models import DAY, Endpoint, Ping, RingPool, Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import Dynamo
from shared.store.items import as_number, table_key

AT_ONCE = 5
"""How many requests of a moment write their counts at once; after that, one a second does."""
WRITES = 8
"""The most items that are written with one request; the others wait for the next."""
NAMED_SOURCES = 500
"""The most traffic sources that a process counts by name in a day. Publishers choose the names: the rest are OTHERS."""
BACKLOG = 100
"""With so many items waiting, a traffic source that is new is one of the others, too."""
OTHERS = "…"
PERCENT_STEP = 5

Key = tuple[str, str]


class Gathered:
    """What a process has counted and not written, and what it needs to know for that."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.counts: dict[Key, defaultdict[str, int]] = {}
        self.ends: dict[Key, int] = {}
        self.named: set[Key] = set()
        self.credit, self.at = AT_ONCE, 0


class Tallies:
    """Counts of a request; nothing of a sandbox's. `now` is the clock, in seconds since the epoch."""

    def __init__(self, dynamo: Dynamo, gathered: Gathered, now: Callable[[], int]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.journal_table
        self.gathered = gathered
        self.now = now

    @cached_property
    def at(self) -> int:
        """When the request is counted: at its first count."""
        return self.now()

    def count_lead(self, endpoint: Endpoint, user: str, source: str) -> None:
        """A lead was read and is to be priced."""
        self._add(endpoint, self._hour("HOURS", endpoint.vanity_uri), asked=1)
        self._add(endpoint, self._source(user, source), asked=1)

    def count_ping(self, endpoint: Endpoint, ping: Ping) -> None:
        """Somebody bids on it."""
        self._add(endpoint, self._hour("HOURS", endpoint.vanity_uri), pings=1)
        self._add(endpoint, self._source(ping.user, ping.lead.source), pings=1)

    def count_sale(self, endpoint: Endpoint, sale: Sale, source: str) -> None:
        amounts = {"sales": 1, "revenue": sale.cents, "payout": sale.payout_cents}
        self._add(endpoint, self._hour("HOURS", endpoint.vanity_uri), **amounts)
        self._add(endpoint, self._source(sale.user, source), **amounts)
        self._add(endpoint, (f"BUYERS#{_day(self.at)}", str(sale.buyer_id)), **amounts)
        if endpoint.pool and not sale.overflow:
            self._add(endpoint, self._hour("POOLS", endpoint.pool.name), leases=1)

    def count_refusal(self, endpoint: Endpoint, status: str) -> None:
        self._add(endpoint, self._hour("HOURS", endpoint.vanity_uri), **{f"refused:{status}": 1})

    def record_pool_use(self, endpoint: Endpoint, pool: RingPool, percent: float) -> None:
        step = int(percent) // PERCENT_STEP * PERCENT_STEP
        self._add(endpoint, self._hour("POOLS", pool.name), looks=1, used=round(percent), **{f"use:{step}": 1})

    def count_exhausted_pool(self, endpoint: Endpoint, pool: RingPool) -> None:
        self._add(endpoint, self._hour("POOLS", pool.name), exhausted=1)

    def due_writes(self, at_once: bool = False) -> list[Callable[[], None]]:
        """The writes that are due, an item each, to be run together with a request's own. None of them raises."""
        gathered, now = self.gathered, self.at
        with gathered.lock:
            gathered.credit = min(AT_ONCE, gathered.credit + max(0, now - gathered.at))
            gathered.at = now
            if not (at_once or gathered.credit):
                return []
            gathered.credit = max(0, gathered.credit - 1)
            keys = [*gathered.counts][-WRITES:] if at_once else [*gathered.counts][:WRITES]
            return [partial(self._write, key, gathered.counts.pop(key), gathered.ends.pop(key)) for key in keys]

    def _write(self, key: Key, counts: dict[str, int], delete_at: int) -> None:
        names = {f"#n{place}": name for place, name in enumerate(counts)}
        values: dict[str, Any] = {f":n{place}": as_number(count) for place, count in enumerate(counts.values())}
        added = ", ".join(f"#n{place} :n{place}" for place in range(len(counts)))
        with suppress(TemporarilyUnavailable, ClientError):
            self.dynamo.once(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=table_key(key[0], key[1]),
                UpdateExpression=f"SET delete_at = :delete_at ADD {added}",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values | {":delete_at": as_number(delete_at)},
            )

    def _add(self, endpoint: Endpoint, key: Key, **amounts: int) -> None:
        if endpoint.sandbox:
            return
        with self.gathered.lock:
            counts = self.gathered.counts.setdefault(key, defaultdict(int))
            for name, amount in amounts.items():
                counts[name] += amount
            self.gathered.ends[key] = self.at // DAY * DAY + DAY + endpoint.sale_seconds

    def _hour(self, kind: str, name: str) -> Key:
        return f"{kind}#{_day(self.at)}", f"{self.at % DAY // 3600:02}#{name}"

    def _source(self, user: str, source: str) -> Key:
        gathered, day = self.gathered, f"SOURCES#{_day(self.at)}"
        key = (day, f"{user}#{source}")
        with gathered.lock:
            if key in gathered.named:
                return key
            gathered.named = {other for other in gathered.named if other[0] >= day}
            if len(gathered.named) >= NAMED_SOURCES or len(gathered.counts) >= BACKLOG:
                return day, f"{user}#{OTHERS}"
            gathered.named.add(key)
        return key


def _day(now: int) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d}"
