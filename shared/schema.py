"""The tables as data: what `infra` deploys, and what the local run and the tests make in their engines."""

from dataclasses import dataclass
from typing import Literal

Keys = dict[str, Literal["S", "B", "N"]]
"""Attributes with DynamoDB's type letters, the partition key first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A global secondary index, of keys alone. An item is in it while it has its `keys`."""

    keys: Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`ttl` is the attribute by which DynamoDB deletes items that have ended. A table with a `stream` says what became
    of each item, before and after."""

    keys: Keys
    ttl: str = ""
    stream: bool = False
    indexes: dict[str, Index]


CONFIG = Table(keys={"pk": "S", "sk": "S"}, indexes={})
PINGS = Table(keys={"ping_id": "B"}, ttl="delete_at", stream=True, indexes={})
OF_CALLER = "of_caller"
SANDBOX_PINGS = Table(keys={"ping_id": "B"}, ttl="delete_at", indexes={OF_CALLER: Index(keys={"caller": "B"})})
"""Sandboxes have no stream and no journal, so erasing finds a caller there by an index."""
CALLS = Table(keys={"call_id": "B"}, ttl="delete_at", stream=True, indexes={})
LEASES = Table(keys={"pk": "S", "sk": "S"}, indexes={})
CALLERS = Table(keys={"caller": "B"}, ttl="delete_at", indexes={})
JOURNAL = Table(keys={"pk": "S", "sk": "S"}, ttl="delete_at", indexes={})
