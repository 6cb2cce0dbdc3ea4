"""What operators and publishers are shown: the plots, the log of pings and sales, and one ping opened.

Nothing here scans a table, and nothing is shown whose retention is over, whether or not DynamoDB has deleted it. Where
a function takes `user`, a name shows this user's pings only, and of amounts the payout only: that is how a publisher
has to be shown them. None shows everything, and is for operators and viewers, as is what takes no `user`.
"""

import base64
import binascii
import csv
import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from shared.domain import keys as signing
from shared.domain import matching
from shared.domain.keys import ID_BYTES, Keys
from shared.domain.matching import Failure
from shared.domain.models import DAY, Endpoint, Lead, Ping, Sale
from shared.domain.refusals import UnknownEndpoint
from shared.store.compiled import Compiled, Entry, Memory
from shared.store.dynamo import Dynamo, Item
from shared.store.pings import LOG_SHARDS, STATES, Asked, LogState, Pings, Route, Start, State, log_partition, seen
from shared.store.rings import PoolChanged, Rings

CALLS = 4
"""The most calls that a page of the log takes. One that filters for what is rare may be shorter than it could be, and
has a cursor to search on."""
PAGE = 50
EXAMINED = 1000
"""How many pings of each partition a filtered page examines."""

Status = Literal["open", "sold", "expired", "unmatched"]
"""Unmatched is what nobody bid on."""
UNSOLD: dict[Status, list[str]] = {
    "open": ["bids > :none", "expires_at > :now"],
    "expired": ["bids > :none", "expires_at <= :now"],
    "unmatched": ["bids = :none"],
}
"""What tells them apart in their partition."""
PARTITIONS = [*product(STATES, range(LOG_SHARDS))]
"""Of the log of a day, in the order in which a cursor has them."""

T = TypeVar("T")


class BadCursor(ValueError):
    """It is none of ours, or of another list."""


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


class Sold(Struct, frozen=True, kw_only=True):
    """What a buyer bought."""

    buyer_id: int
    sales: int = 0
    revenue_cents: int = 0
    payout_cents: int = 0


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
    version is gone."""

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
    failures: list[Failure] = []
    unsettled: dict[int, Asked] = {}
    endpoint: Endpoint | None = None


class Journal:
    """`beside` runs the calls of a page at once."""

    def __init__(self, dynamo: Dynamo, keys: Keys, beside: Executor) -> None:
        self.dynamo = dynamo
        self.keys = keys
        self.beside = beside
        self.pings = Pings(dynamo)

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

    def buyers(self, start: int, end: int) -> list[Sold]:
        """What each buyer bought on the UTC days from `start` to before `end`; who bought nothing is not there. A call
        for each day, all at once, and one more for every 10,000 buyers."""
        return [
            Sold(
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
                hour, _, name = item["sk"]["S"].partition("#")
                at = day + 3600 * int(hour)
                if start <= at < end:
                    yield at, name, _counts(item)

    def _by_name(self, kind: str, start: int, end: int, prefix: str = "") -> dict[str, Mapping[str, int]]:
        sums: dict[str, defaultdict[str, int]] = {}
        for _, items in self._days(kind, start, end, prefix):
            for item in items:
                of = sums.setdefault(item["sk"]["S"], defaultdict(int))
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
                    ":pk": {"S": f"{kind}#{datetime.fromtimestamp(day, UTC):%Y%m%d}"},
                    **({":prefix": {"S": prefix}} if prefix else {}),
                },
            }
            return [item for items, _ in self._query(request) for item in items]

        return zip(days, self.beside.map(items, days), strict=True)

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
        wanted = _Wanted(now)
        if user is not None:
            wanted.equal("user", user)
        if endpoint:
            wanted.equal("endpoint", endpoint)
        if source:
            wanted.equal("source", source)
        if status:
            wanted.status(status)
        starts = _read_cursor(cursor, list[Start | bool | None], len(PARTITIONS))
        shards = [
            _Shard(log_partition(day, state, shard), start if wanted.may_be(state) else False)
            for (state, shard), start in zip(PARTITIONS, starts, strict=True)
        ]
        unread = [shard for shard in shards if not shard.done]
        read = partial(self._read_shard, wanted, max(size, EXAMINED) if wanted.filters else size)
        for shard, answer in zip(unread, self.beside.map(read, unread), strict=True):
            shard.take(answer)
        rows = _merged(shards, size)
        over = all(shard.done and not shard.items for shard in shards)
        return Page(
            [self._row(item, user, now) for item in rows],
            "" if over else _cursor([shard.start for shard in shards]),
            day if over else max((shard.frontier for shard in shards if not shard.done), default=day),
        )

    def of_caller(self, caller: str, now: int, *, user: str | None = None, cursor: str = "", size: int = PAGE) -> Page:
        """The pings of a caller (E.164) whose leads are kept, by the time of the PING. Two calls; with `user` up to
        four. Raises `BadCursor`."""
        hashed = signing.caller_hash(self.keys, caller)

        def read(start: Start | None) -> tuple[list[Item], Start | None]:
            found, more = self.pings.of_caller(hashed, start, size)
            return self.pings.shown([ping_id for _, ping_id in found]), found[-1] if more else None

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
            items, more = self.pings.sold_to(buyer_id, start, end, after, limit)
            return items, (_int(items[-1], "sold_at"), items[-1]["ping_id"]["B"]) if more else None

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
        [start] = _read_cursor(cursor, list[Start | None], 1)
        rows: list[Row] = []
        for _ in range(calls):
            items, start = read(start)
            for place, item in enumerate(items, 1):
                if _is_shown(item, user, now):
                    rows.append(self._row(item, user, now))
                if len(rows) == size and (start or place < len(items)):
                    last = (_int(item, order), item["ping_id"]["B"])
                    return Page(rows, _cursor([last]), last[0])
            if start is None:
                break
        return Page(rows, _cursor([start]) if start else "", start[0] if start else 0)

    def opened(self, ping_id: str, now: int, *, user: str | None = None) -> Opened | None:
        """One ping by any of its ids, of any endpoint, or by its raw id in hexadecimal; None if it is not there, or not
        to be shown. Two calls; if it is sold four, and one more where its endpoint has changed since."""
        raw, public = _raw(ping_id)
        item = self.pings.item(raw) if raw else None
        claim = seen(item, now)
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
            refused=_text(item, "refused"),
            refused_at=_int(item, "refused_at") if "refused_at" in item else None,
            number=sale.number if sale else "",
            held_until=sale.held_until if sale else 0,
            overflow=sale.overflow if sale else False,
            lease_until=lease_until,
            route=route if for_all else None,
            answer=sale.answer.decode() if sale and is_kept else "",
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
        compiled.memory.endpoints[ping.endpoint] = Entry(endpoint, 0, 0)
        return endpoint

    def _line(self, compiled: Compiled, ping: Ping, sale: Sale, lead: Lead, now: int) -> tuple[int, Route | None]:
        """Until when the sold number is leased to this ping, and its route, as they are now."""
        try:
            pool = compiled.latest(ping.endpoint, now).pool
            shard = next((shard for shard in pool.shards if sale.number in shard.numbers), None) if pool else None
            if pool is None or shard is None:
                key = signing.route_key(self.keys, sale.number, lead.caller)
                route = self.pings.route(key, now) if lead.caller else None
                return 0, route if route and route.ping_id == ping.id else None
            lease = Rings(self.dynamo, {}).look(pool, [shard])[shard.id].lease_of(ping.id, shard.numbers)
        except (UnknownEndpoint, PoolChanged):
            return 0, None
        return lease.expires_at if lease and lease.expires_at > now else 0, None

    def _row(self, item: Item, user: str | None, now: int) -> Row:
        endpoint, sold = item["endpoint"]["S"], "buyer" in item
        return Row(
            ping_id=signing.ping_id(self.keys, endpoint, item["ping_id"]["B"]),
            at=_int(item, "at"),
            endpoint=endpoint,
            user=_text(item, "user"),
            source=_text(item, "source"),
            bids=_int(item, "bids"),
            status=_status(item, now),
            cents=_int(item, "cents") if user is None else None,
            payout_cents=_int(item, "payout"),
            buyer_id=_int(item, "buyer") if sold else None,
            sold_at=_int(item, "sold_at") if sold else None,
        )

    def _read_shard(self, wanted: "_Wanted", limit: int, shard: "_Shard") -> tuple[list[Item], Item | None]:
        request = {
            "TableName": self.pings.table,
            "IndexName": "by_log",
            "KeyConditionExpression": "#log = :log",
            "FilterExpression": " AND ".join(wanted.conditions),
            "ExpressionAttributeNames": {"#log": "log", **wanted.names},
            "ExpressionAttributeValues": {":log": {"S": shard.partition}, **wanted.values},
            "ScanIndexForward": False,
            "Limit": limit,
            **({"ExclusiveStartKey": shard.key(shard.start)} if isinstance(shard.start, tuple) else {}),
        }
        return next(self._query(request))

    def _query(self, request: Mapping[str, Any]) -> Iterator[tuple[list[Item], Item | None]]:
        """Pages of what a query finds, and the key after which each goes on."""
        query: Callable[..., Any] = self.dynamo.client.query
        after: Item | None = None
        while True:
            answer = self.dynamo.call(query, **request, **({"ExclusiveStartKey": after} if after else {}))
            after = answer.get("LastEvaluatedKey")
            yield answer["Items"], after
            if not after:
                return


def csv_lines(rows: Iterable[Struct], names: Collection[str] = Row.__struct_fields__) -> Iterator[str]:
    """These members of rows as CSV with a head (RFC 4180). What a spreadsheet would take for a formula begins with an
    apostrophe."""
    yield _csv_line(names)
    for row in rows:
        yield _csv_line([getattr(row, name) for name in names])


def _csv_line(values: Collection[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(
        [
            "" if value is None else f"'{value}" if str(value)[:1] in "=+-@\t\r" and value != "" else value
            for value in values
        ]
    )
    return text.getvalue()


class _Wanted:
    """What pings of the log have to be, as conditions for DynamoDB."""

    def __init__(self, now: int) -> None:
        self.conditions = ["delete_at > :now"]
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {":now": {"N": str(now)}}
        self.states: tuple[LogState, ...] = STATES

    @property
    def filters(self) -> bool:
        """Whether some of the pings in its partitions are not wanted."""
        return len(self.conditions) > 1

    def may_be(self, state: LogState) -> bool:
        return state in self.states

    def equal(self, name: str, value: str) -> None:
        if not value:
            self.conditions.append(f"attribute_not_exists({self._name(name)})")
            return
        self.conditions.append(f"{self._name(name)} = :{name}")
        self.values[f":{name}"] = {"S": value}

    def status(self, status: Status) -> None:
        self.states = ("sold",) if status == "sold" else ("open",)
        if status != "sold":
            self.conditions += UNSOLD[status]
            self.values[":none"] = {"N": "0"}

    def _name(self, name: str) -> str:
        self.names[f"#{name}"] = name
        return f"#{name}"


class _Shard:
    """One partition of the log as a page reads it. `start` is after which ping the next page goes on: True from the
    newest, False where nothing is left."""

    def __init__(self, partition: str, start: Start | bool | None) -> None:
        self.partition = partition
        self.start: Start | bool = True if start is None else start
        self.items: list[Item] = []
        self.end: Start | None = None
        self.done = self.start is False

    @property
    def frontier(self) -> int:
        """No ping of the shard that is still to come is newer."""
        return _int(self.items[0], "at") if self.items else self.end[0] if self.end else 0

    def key(self, start: Start) -> Item:
        return {"log": {"S": self.partition}, "at": {"N": str(start[0])}, "ping_id": {"B": start[1]}}

    def take(self, answer: tuple[list[Item], Item | None]) -> None:
        self.items, after = answer
        self.done = after is None
        self.end = (_int(after, "at"), after["ping_id"]["B"]) if after else None
        self._go_on()

    def pop(self) -> Item:
        item = self.items.pop(0)
        self.start = (_int(item, "at"), item["ping_id"]["B"])
        self._go_on()
        return item

    def _go_on(self) -> None:
        if not self.items:
            self.start = self.end or False


def _merged(shards: Collection[_Shard], count: int) -> list[Item]:
    """The newest of what the shards have, up to `count`, and none that is older than what one of them has to come."""
    found: list[Item] = []
    while len(found) < count:
        newest = max(shards, key=lambda shard: (shard.frontier, bool(shard.items)))
        if not newest.items:
            break
        found.append(newest.pop())
    return found


def _cursor(starts: Collection[Start | bool | None]) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(starts)).decode()


def _read_cursor(cursor: str, kind: type[list[T]], count: int) -> list[T | None]:
    if not cursor:
        return [None] * count
    try:
        starts = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor.encode()), type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise BadCursor from None
    if len(starts) != count:
        raise BadCursor
    return [*starts]


def _status(item: Item, now: int) -> Status:
    if "buyer" in item:
        return "sold"
    if not _int(item, "bids"):
        return "unmatched"
    return "open" if _int(item, "expires_at") > now else "expired"


def _is_shown(item: Item, user: str | None, now: int) -> bool:
    """Sandbox pings have no endpoint beside them; others are shown to their user while they are kept."""
    return "endpoint" in item and _int(item, "delete_at") > now and user in (None, _text(item, "user"))


def _raw(ping_id: str) -> tuple[bytes, bool]:
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


def _text(item: Item, name: str) -> str:
    text: str = item[name]["S"] if name in item else ""
    return text


def _int(item: Item, name: str) -> int:
    return int(item[name]["N"])
