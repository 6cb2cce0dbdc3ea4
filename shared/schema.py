"""The tables as data: what `infra` deploys, and what the local run and the tests make in their engines."""

from dataclasses import dataclass, replace
from typing import Literal

Keys = dict[str, Literal["S", "B", "N"]]
"""Attributes with DynamoDB's type letters, the partition key first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A global secondary index. An item is in it while it has both `keys`; beside the keys it shows what is
    `projected`."""

    keys: Keys
    projected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`ttl` is the attribute by which DynamoDB deletes items that have ended. A table with a `stream` says what became
    of each item, before and after."""

    keys: Keys
    ttl: str = ""
    stream: bool = False
    indexes: dict[str, Index]


ROW = ("endpoint", "user", "source", "bids", "cents", "payout", "delete_at")
"""What the log shows of a ping beside its times and its sale."""

CONFIG = Table(keys={"pk": "S", "sk": "S"}, indexes={})
PINGS = Table(
    keys={"ping_id": "B"},
    ttl="delete_at",
    stream=True,
    indexes={
        "by_log": Index(keys={"log": "S", "at": "N"}, projected=(*ROW, "expires_at", "buyer", "sold_at")),
        "by_caller": Index(keys={"caller": "B", "at": "N"}),
        "by_buyer": Index(keys={"buyer": "N", "sold_at": "N"}, projected=(*ROW, "at", "counted")),
    },
)
SANDBOX_PINGS = replace(PINGS, stream=False)
LEASES = Table(keys={"pk": "S", "sk": "S"}, indexes={})
CALLERS = Table(keys={"caller": "B"}, ttl="delete_at", indexes={})
JOURNAL = Table(keys={"pk": "S", "sk": "S"}, ttl="delete_at", indexes={})
