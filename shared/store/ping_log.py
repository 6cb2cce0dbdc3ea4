"""The log of pings: what an item of the table of pings shows to the indexes, and what is found by them.

`log` is the day, "open" or "sold" and one of a few shards, and `at` when the ping came; `endpoint`, `user`, `source`,
the number of `bids`, `cents` and `payout` of the best one, 0 without any; `caller`, a keyed hash; of a sale its
`buyer`, `sold_at`, `cents` and `payout`, and what its caps `counted` where that differs. See `shared.schema`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from shared.domain import sandbox_endpoint
from shared.domain.models import Lead, Ping, Sale
from shared.schema import ROW
from shared.store.dynamo import Dynamo, Item
from shared.store.items import as_bytes, as_number, as_text, bytes_of, number_of, ping_key

LOG_SHARDS = 2
"""Partitions of the log in a day, each for what is sold and what is not: each takes a thousand pings a second."""

LogState = Literal["open", "sold"]
STATES: tuple[LogState, ...] = ("open", "sold")
Start = tuple[int, bytes]
"""The time and id of the ping after which a list goes on."""


class PingLog:
    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.pings_table

    def of_caller(self, hashes: Sequence[bytes], start: Start | None, limit: int) -> tuple[list[Start], bool]:
        """The times and ids of the pings of a caller, by its keyed hashes, the last first; and whether there are more.
        A call for each hash."""
        found: list[Start] = []
        more = False
        for caller in hashes:
            after = (
                {"caller": as_bytes(caller), "at": as_number(start[0]), "ping_id": as_bytes(start[1])}
                if start
                else None
            )
            items, some_more = self._queried(
                "by_caller",
                after,
                limit,
                KeyConditionExpression="caller = :caller",
                ExpressionAttributeValues={":caller": as_bytes(caller)},
            )
            found += [(number_of(item, "at"), bytes_of(item, "ping_id")) for item in items]
            more = more or some_more
        if len(hashes) > 1:
            found.sort(key=lambda each: each[0], reverse=True)
        return found[:limit], more or len(found) > limit

    def callers(self) -> Iterator[bytes]:
        """The hash of the caller of every ping that has one. Reads a whole index."""
        found = self.dynamo.items(
            self.dynamo.client.scan, TableName=self.table, IndexName="by_caller", ProjectionExpression="caller"
        )
        return (bytes_of(item, "caller") for item in found)

    def sold_to(
        self, buyer_id: int, since: int, before: int, start: Start | None, limit: int
    ) -> tuple[list[Item], bool]:
        """What the log shows of the sales to a buyer from `since` to before `before`, the last first; and whether there
        are more. A sale is there some time after it was recorded, usually at once."""
        after = (
            {"buyer": as_number(buyer_id), "sold_at": as_number(start[0]), "ping_id": as_bytes(start[1])}
            if start
            else None
        )
        return self._queried(
            "by_buyer",
            after,
            limit,
            KeyConditionExpression="buyer = :buyer AND sold_at BETWEEN :since AND :last",
            ExpressionAttributeValues={
                ":buyer": as_number(buyer_id),
                ":since": as_number(since),
                ":last": as_number(before - 1),
            },
        )

    def shown(self, ping_ids: Sequence[bytes]) -> list[Item]:
        """What the log shows of up to a hundred pings, in their order, as it is now."""
        if not ping_ids:
            return []
        names = {f"#{name}": name for name in ("ping_id", "at", "expires_at", "buyer", "sold_at", *ROW)}
        items = self.dynamo.batch_get(
            self.table,
            [ping_key(ping_id) for ping_id in ping_ids],
            ProjectionExpression=", ".join(names),
            ExpressionAttributeNames=names,
        )
        found: dict[bytes, Item] = {bytes_of(item, "ping_id"): item for item in items}
        return [found[ping_id] for ping_id in ping_ids if ping_id in found]

    def sold_in(self, day: int, shard: int, since: int, until: int) -> Iterator[bytes]:
        """The ids of the pings of one shard of the log that came on the UTC day that begins at `day`, from `since` to
        `until`, and were sold."""
        found = self.dynamo.items(
            self.dynamo.client.query,
            TableName=self.table,
            IndexName="by_log",
            KeyConditionExpression="#log = :log AND #at BETWEEN :since AND :until",
            ExpressionAttributeNames={"#log": "log", "#at": "at"},
            ExpressionAttributeValues={
                ":log": as_text(log_partition(day, "sold", shard)),
                ":since": as_number(since),
                ":until": as_number(until),
            },
        )
        return (bytes_of(item, "ping_id") for item in found)

    def _queried(
        self, index: str, after: Mapping[str, Any] | None, limit: int, **request: Any
    ) -> tuple[list[Item], bool]:
        pages = self.dynamo.pages(
            self.dynamo.client.query,
            TableName=self.table,
            IndexName=index,
            ScanIndexForward=False,
            Limit=limit,
            **({"ExclusiveStartKey": after} if after else {}),
            **request,
        )
        items, goes_on = next(pages)
        return items, goes_on is not None


def open_entry(ping: Ping, caller: bytes) -> dict[str, Any]:
    """The attributes of an item with an unsold ping, but for the packed ping."""
    item: dict[str, Any] = {
        "expires_at": as_number(ping.expires_at),
        "delete_at": as_number(ping.lead_until),
        "at": as_number(ping.created_at),
        **({"caller": as_bytes(caller)} if caller else {}),
    }
    if sandbox_endpoint.is_of(ping.endpoint):
        return item
    cents, payout_cents = (ping.bids[0].cents, ping.bids[0].payout_cents) if ping.bids else (0, 0)
    return item | {
        "log": as_text(log_partition(ping.created_at, "open", ping.id[0] % LOG_SHARDS)),
        "endpoint": as_text(ping.endpoint),
        **_sender(ping.user, ping.lead),
        "bids": as_number(len(ping.bids)),
        "cents": as_number(cents),
        "payout": as_number(payout_cents),
    }


def sold_entry(ping: Ping, sale: Sale) -> dict[str, Any]:
    """What a sale changes in that."""
    return {
        "log": as_text(log_partition(ping.created_at, "sold", ping.id[0] % LOG_SHARDS)),
        "buyer": as_number(sale.buyer_id),
        "sold_at": as_number(sale.sold_at),
        "cents": as_number(sale.cents),
        "payout": as_number(sale.payout_cents),
        **({"counted": as_number(sale.bid_cents)} if sale.bid_cents != sale.cents else {}),
        **_sender(sale.user, Lead(ping.lead | sale.posted)),
    }


def _sender(user: str, lead: Lead) -> dict[str, Any]:
    named = {"user": user, "source": lead.source}
    return {name: as_text(value) for name, value in named.items() if value}


def log_partition(at: int, state: LogState, shard: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%d}#{state}#{shard}"
