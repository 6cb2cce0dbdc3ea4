"""What operators and publishers are shown: the plots, the log of pings and sales, and one ping opened.

Nothing here scans a table, and nothing is shown whose retention is over, whether or not DynamoDB has deleted it. Where
a function takes `user`, a name shows this user's pings only, and of amounts the payout only: that is how a publisher
has to be shown them. None shows everything, and is for operators and viewers, as is what takes no `user`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Literal

from msgspec import Struct

from shared.domain import keys as signing
from shared.domain import matching
from shared.domain.keys import ID_BYTES, Keys
from shared.domain.matching import Failure
from shared.domain.models import DAY, Endpoint, Lead, Ping, Sale
from shared.domain.refusals import UnknownEndpoint
from shared.store.compiled import Compiled, Entry, Memory
from shared.store.destinations import Destinations
from shared.store.dynamo import Dynamo, Item
from shared.store.items import as_text, bytes_of, number_of, number_or, text_of
from shared.store.pagination import Partition, Status, Wanted, cursor_of, merge, read_cursor
from shared.store.ping_log import LOG_SHARDS, STATES, PingLog, Start, log_partition
from shared.store.pings import Asked, Pings, State, state_of
from shared.store.rings import PoolChanged, Rings
from shared.store.routes import Route
from shared.store.totals import BuyerTotals, Hour, PoolHour, Source

CALLS = 4
"""The most calls that a page of the log takes. One that filters for what is rare may be shorter than it could be, and
has a cursor to search on."""
PAGE = 50
EXAMINED = 1000
"""How many pings of each partition a filtered page examines."""

PARTITIONS = [*product(STATES, range(LOG_SHARDS))]
"""Of the log of a day, in the order in which a cursor has them."""


class Row(Struct, frozen=True, kw_only=True):
    """A ping in the log. `ping_id` is its try-all id. Of one that is not sold the amounts are the best bid's, 0 where
    nobody bid; `cents` is None for publishers."""

    ping_id: str
    at: int
    endpoint: str
    user: str
    source: str
    bids: int
    status: Status
    cents: int | None
    payout_cents: int
    buyer_id: int | None = None
    sold_at: int | None = None


class Page(Struct, frozen=True):
    """Rows, newest first. With a `cursor` there is more, or may be; `searched_to` is the time down to which this page
    has looked."""

    rows: list[Row]
    cursor: str = ""
    searched_to: int = 0


class Offer(Struct, frozen=True):
    """A bid, as the viewer may see it."""

    buyer_id: int
    cents: int | None
    payout_cents: int


class Opened(Struct, frozen=True, kw_only=True):
    """One ping with everything that is known. The `lead` is that of PING and POST together; it `is_kept` until it is
    erased or its retention is over. `refused` is the status of its last POST that sold nothing. `number` and
    `held_until` are the sale's; `lease_until` is how long the number is still leased to it, cooldown included, `route`
    where a call to its static or overflow number goes now. `failures` are why the others did not bid, decided anew;
    `unsettled` what is not settled with live buyers, by id. `endpoint` is the one that the PING met, None if that
    version is gone. The values of the fields `left_out` could not be read."""

    row: Row
    version: int
    expires_at: int
    lead: Lead
    is_kept: bool
    offers: list[Offer]
    claimed: bool
    refused: str = ""
    refused_at: int | None = None
    number: str = ""
    held_until: int = 0
    overflow: bool = False
    lease_until: int = 0
    route: Route | None = None
    answer: str = ""
    left_out: tuple[str, ...] = ()
    failures: list[Failure] = []
    unsettled: dict[int, Asked] = {}
    endpoint: Endpoint | None = None


class Journal:
    """`io_pool` runs the calls of a page at once."""

    def __init__(self, dynamo: Dynamo, keys: Keys, io_pool: Executor) -> None:
        self.dynamo = dynamo
        self.keys = keys
        self.io_pool = io_pool
        self.pings = Pings(dynamo)
        self.ping_log = PingLog(dynamo)

    # What was counted

    def hours(self, start: int, end: int) -> list[Hour]:
        """Every endpoint's hours that began from `start` to before `end`. A call for each UTC day, all at once; with
        some 250 endpoints a day takes two."""
        return [
            Hour(
                at=at,
                endpoint=endpoint,
                asked=counts["asked"],
                pings=counts["pings"],
                sales=counts["sales"],
                revenue_cents=counts["revenue"],
                payout_cents=counts["payout"],
                refused=_numbered(counts, "refused:"),
            )
            for at, endpoint, counts in self._by_hour("HOURS", start, end)
        ]

    def pools(self, start: int, end: int) -> list[PoolHour]:
        """The same of ring pools."""
        return [
            PoolHour(
                at=at,
                pool=pool,
                leases=counts["leases"],
                exhausted=counts["exhausted"],
                used_percent=counts["used"] // max(1, counts["looks"]),
                peak_percent=max(map(int, _numbered(counts, "use:")), default=0),
            )
            for at, pool, counts in self._by_hour("POOLS", start, end)
        ]

    def sources(self, start: int, end: int, user: str | None = None) -> list[Source]:
        """Who sent what on the UTC days from `start` to before `end`. A call for each day, all at once, and one more
        for every 8,000 traffic sources."""
        sums = self._by_name("SOURCES", start, end, f"{user}#" if user is not None else "")
        return [
            Source(
                user=name.partition("#")[0],
                source=name.partition("#")[2],
                asked=counts["asked"],
                pings=counts["pings"],
                sales=counts["sales"],
                revenue_cents=counts["revenue"] if user is None else None,
                payout_cents=counts["payout"],
            )
            for name, counts in sums.items()
        ]

    def buyers(self, start: int, end: int) -> list[BuyerTotals]:
        """What each buyer bought on the UTC days from `start` to before `end`; who bought nothing is not there. A call
        for each day, all at once, and one more for every 10,000 buyers."""
        return [
            BuyerTotals(
                buyer_id=int(name),
                sales=counts["sales"],
                revenue_cents=counts["revenue"],
                payout_cents=counts["payout"],
            )
            for name, counts in self._by_name("BUYERS", start, end).items()
        ]

    def _by_hour(self, kind: str, start: int, end: int) -> Iterator[tuple[int, str, Mapping[str, int]]]:
        for day, items in self._days(kind, start, end):
            for item in items:
                hour, _, name = text_of(item, "sk").partition("#")
                at = day + 3600 * int(hour)
                if start <= at < end:
                    yield at, name, _counts(item)

    def _by_name(self, kind: str, start: int, end: int, prefix: str = "") -> dict[str, Mapping[str, int]]:
        sums: dict[str, defaultdict[str, int]] = {}
        for _, items in self._days(kind, start, end, prefix):
            for item in items:
                of = sums.setdefault(text_of(item, "sk"), defaultdict(int))
                for name, count in _counts(item).items():
                    of[name] += count
        return dict(sums)

    def _days(self, kind: str, start: int, end: int, prefix: str = "") -> Iterator[tuple[int, list[Item]]]:
        days = range(start // DAY * DAY, end, DAY)

        def items(day: int) -> list[Item]:
            named = " AND begins_with(sk, :prefix)" if prefix else ""
            request = {
                "TableName": self.dynamo.settings.journal_table,
                "KeyConditionExpression": f"pk = :pk{named}",
                "ExpressionAttributeValues": {
                    ":pk": as_text(f"{kind}#{datetime.fromtimestamp(day, UTC):%Y%m%d}"),
                    **({":prefix": as_text(prefix)} if prefix else {}),
                },
            }
            return list(self.dynamo.items(self.dynamo.client.query, **request))

        return zip(days, self.io_pool.map(items, days), strict=True)

    # The log

    def log(
        self,
        day: int,
        now: int,
        *,
        user: str | None = None,
        status: Status | Literal[""] = "",
        endpoint: str = "",
        source: str = "",
        cursor: str = "",
        size: int = PAGE,
    ) -> Page:
        """The pings of the UTC day that begins at `day`. Four calls, at once. Raises `BadCursor`."""
        wanted = Wanted(now)
        if user is not None:
            wanted.equal("user", user)
        if endpoint:
            wanted.equal("endpoint", endpoint)
        if source:
            wanted.equal("source", source)
        if status:
            wanted.status(status)
        starts = read_cursor(cursor, list[Start | bool | None], len(PARTITIONS))
        shards = [
            Partition(log_partition(day, state, shard), start if wanted.may_be(state) else False)
            for (state, shard), start in zip(PARTITIONS, starts, strict=True)
        ]
        unread = [shard for shard in shards if not shard.done]
        read = partial(self._read_shard, wanted, max(size, EXAMINED) if wanted.filters else size)
        for shard, answer in zip(unread, self.io_pool.map(read, unread), strict=True):
            shard.take(answer)
        rows = merge(shards, size)
        over = all(shard.done and not shard.items for shard in shards)
        return Page(
            [self._row(item, user, now) for item in rows],
            "" if over else cursor_of([shard.start for shard in shards]),
            day if over else max((shard.frontier for shard in shards if not shard.done), default=day),
        )

    def of_caller(self, caller: str, now: int, *, user: str | None = None, cursor: str = "", size: int = PAGE) -> Page:
        """The pings of a caller (E.164) whose leads are kept, by the time of the PING. Two calls; with `user` up to
        four. Raises `BadCursor`."""
        hashes = signing.caller_hashes(self.keys, caller)

        def read(start: Start | None) -> tuple[list[Item], Start | None]:
            found, more = self.ping_log.of_caller(hashes, start, size)
            return self.ping_log.shown([ping_id for _, ping_id in found]), found[-1] if more else None

        return self._listed(read, CALLS // 2, "at", user, now, cursor, size)

    def sales_of(
        self,
        buyer_id: int,
        start: int,
        end: int,
        now: int,
        *,
        user: str | None = None,
        cursor: str = "",
        size: int = PAGE,
    ) -> Page:
        """The sales to a buyer from `start` to before `end`, the last first. One call; with `user` up to four. Raises
        `BadCursor`."""
        limit = size if user is None else EXAMINED

        def read(after: Start | None) -> tuple[list[Item], Start | None]:
            items, more = self.ping_log.sold_to(buyer_id, start, end, after, limit)
            return items, (number_of(items[-1], "sold_at"), bytes_of(items[-1], "ping_id")) if more else None

        return self._listed(read, CALLS, "sold_at", user, now, cursor, size)

    def _listed(
        self,
        read: Callable[[Start | None], tuple[list[Item], Start | None]],
        calls: int,
        order: str,
        user: str | None,
        now: int,
        cursor: str,
        size: int,
    ) -> Page:
        """A page of what `read` gives from a start on: items in the order of a time, and where it would go on."""
        [start] = read_cursor(cursor, list[Start | None], 1)
        rows: list[Row] = []
        for _ in range(calls):
            items, start = read(start)
            for place, item in enumerate(items, 1):
                if _is_shown(item, user, now):
                    rows.append(self._row(item, user, now))
                if len(rows) == size and (start or place < len(items)):
                    last = (number_of(item, order), bytes_of(item, "ping_id"))
                    return Page(rows, cursor_of([last]), last[0])
            if start is None:
                break
        return Page(rows, cursor_of([start]) if start else "", start[0] if start else 0)

    def opened(self, ping_id: str, now: int, *, user: str | None = None) -> Opened | None:
        """One ping by any of its ids, of any endpoint, or by its raw id in hexadecimal; None if it is not there, or not
        to be shown. Two calls; if it is sold four, and one more where its endpoint has changed since."""
        raw, public = raw_id(ping_id)
        item = self.pings.item(raw) if raw else None
        claim = state_of(item, now)
        ping, sale = claim.ping, claim.sale
        if item is None or ping is None or not _is_shown(item, user, now):
            return None
        if public and signing.read_ping_id(self.keys, ping.endpoint, ping_id) is None:
            return None
        is_kept = ping.lead_until > now
        lead = Lead(ping.lead | (sale.posted if sale else {})) if is_kept else Lead()
        compiled = Compiled(self.dynamo, Memory())
        endpoint = self._version(compiled, ping)
        lease_until, route = self._line(compiled, ping, sale, lead, now) if sale else (0, None)
        for_all = user is None
        return Opened(
            row=self._row(item, user, now),
            version=ping.version,
            expires_at=ping.expires_at,
            lead=lead,
            is_kept=is_kept,
            offers=[Offer(bid.buyer_id, bid.cents if for_all else None, bid.payout_cents) for bid in ping.bids],
            claimed=claim.state is State.CLAIMED,
            refused=text_of(item, "refused"),
            refused_at=number_or(item, "refused_at", None),
            number=sale.number if sale else "",
            held_until=sale.held_until if sale else 0,
            overflow=sale.overflow if sale else False,
            lease_until=lease_until,
            route=route if for_all else None,
            answer=sale.answer.decode() if sale and is_kept else "",
            left_out=ping.facts.left_out,
            failures=matching.failures(endpoint, ping.lead, ping.created_at, ping.facts)
            if endpoint and is_kept and for_all
            else [],
            unsettled=claim.asked if for_all else {},
            endpoint=endpoint,
        )

    def _version(self, compiled: Compiled, ping: Ping) -> Endpoint | None:
        """The endpoint that the PING met. It need not be read once more if it is still live."""
        try:
            endpoint = compiled.version(ping.endpoint, ping.version)
        except LookupError:
            return None
        compiled.memory.endpoints[ping.endpoint] = Entry(endpoint, 0)
        return endpoint

    def _line(self, compiled: Compiled, ping: Ping, sale: Sale, lead: Lead, now: int) -> tuple[int, Route | None]:
        """Until when the sold number is leased to this ping, and its route, as they are now."""
        try:
            pool = compiled.latest(ping.endpoint, now).pool
            shard = next((shard for shard in pool.shards if sale.number in shard.numbers), None) if pool else None
            if pool is None or shard is None:
                destinations = Destinations(self.dynamo, self.keys, lambda: now)
                found = destinations.route(sale.number, lead.caller) if lead.caller else None
                return 0, found[0] if found and found[0].ping_id == ping.id else None
            lease = Rings(self.dynamo, {}).look(pool, [shard])[shard.id].lease_of(ping.id, shard.numbers)
        except (UnknownEndpoint, PoolChanged):
            return 0, None
        return lease.expires_at if lease and lease.expires_at > now else 0, None

    def _row(self, item: Item, user: str | None, now: int) -> Row:
        endpoint, sold = text_of(item, "endpoint"), "buyer" in item
        return Row(
            ping_id=signing.ping_id(self.keys, endpoint, bytes_of(item, "ping_id")),
            at=number_of(item, "at"),
            endpoint=endpoint,
            user=text_of(item, "user"),
            source=text_of(item, "source"),
            bids=number_of(item, "bids"),
            status=_status(item, now),
            cents=number_of(item, "cents") if user is None else None,
            payout_cents=number_of(item, "payout"),
            buyer_id=number_of(item, "buyer") if sold else None,
            sold_at=number_of(item, "sold_at") if sold else None,
        )

    def _read_shard(self, wanted: "Wanted", limit: int, shard: "Partition") -> tuple[list[Item], Item | None]:
        request = {
            "TableName": self.pings.table,
            "IndexName": "by_log",
            "KeyConditionExpression": "#log = :log",
            "FilterExpression": " AND ".join(wanted.conditions),
            "ExpressionAttributeNames": {"#log": "log", **wanted.names},
            "ExpressionAttributeValues": {":log": as_text(shard.partition), **wanted.values},
            "ScanIndexForward": False,
            "Limit": limit,
            **({"ExclusiveStartKey": shard.key(shard.start)} if isinstance(shard.start, tuple) else {}),
        }
        return next(self.dynamo.pages(self.dynamo.client.query, **request))


def _status(item: Item, now: int) -> Status:
    if "buyer" in item:
        return "sold"
    if not number_of(item, "bids"):
        return "unmatched"
    return "open" if number_of(item, "expires_at") > now else "expired"


def _is_shown(item: Item, user: str | None, now: int) -> bool:
    """Items of sandbox pings have no endpoint; others are shown to their user while they are kept."""
    return "endpoint" in item and number_of(item, "delete_at") > now and user in (None, text_of(item, "user"))


def raw_id(ping_id: str) -> tuple[bytes, bool]:
    """The raw id, and whether it was said by a public one, which has a checksum."""
    said = signing.unchecked_ping_id(ping_id)
    if said and len(said[0]) == ID_BYTES and ping_id[:3] in ("pg_", "pb_"):
        return said[0], True
    try:
        raw = bytes.fromhex(ping_id)
    except ValueError:
        return b"", False
    return (raw, False) if len(raw) == ID_BYTES else (b"", False)


def _counts(item: Item) -> defaultdict[str, int]:
    return defaultdict(int, {name: int(value["N"]) for name, value in item.items() if "N" in value})


def _numbered(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
