"""The configuration as requests read it: one compiled item per endpoint and version, and a pointer to the live one.

Kept in the memory of the process. An entry is re-read beside a request's own write once it is some seconds old, and
before anything else once it is a minute old. What is stale can touch prices and routing only: leases are conditional
writes.
"""

import random
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from shared.domain import sandbox
from shared.domain.leasing import Lease
from shared.domain.models import Endpoint, Ping
from shared.domain.refusals import TemporarilyUnavailable, UnknownEndpoint
from shared.store.dynamo import Dynamo, Item
from shared.store.rings import Rings

SOFT_SECONDS = 5
"""Entries are re-read when they are this old, up to twice as old, so that processes do not all read at once."""
HARD_SECONDS = 60
UNKNOWN_SECONDS = 5
TOKEN_SECONDS = 60
T = TypeVar("T")
ENDPOINT_RECORD = "endpoint#"
"""How the sort keys of endpoints begin, among the records of a version."""

REMEMBERED = 1000
"""Wrong names and tokens that are remembered before all of them are forgotten: memory is bounded, whatever is sent."""


class Entry(Struct):
    endpoint: Endpoint | None
    read_at: float
    soft_seconds: float


class Memory(Struct):
    """What one process knows: endpoints by vanity URI, users' names by token hash with the time of reading."""

    endpoints: dict[str, Entry] = {}
    users: dict[str, tuple[str, float]] = {}


class Compiled:
    def __init__(self, dynamo: Dynamo, memory: Memory) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table
        self.memory = memory

    def endpoint(self, vanity_uri: str, now: float) -> Endpoint:
        """Raises `UnknownEndpoint`."""
        entry = self.memory.endpoints.get(vanity_uri)
        limit = HARD_SECONDS if entry and entry.endpoint else UNKNOWN_SECONDS
        if entry is None or now - entry.read_at >= limit:
            entry = self._read(vanity_uri, now)
        if entry.endpoint is None:
            raise UnknownEndpoint
        return entry.endpoint

    def refreshing(self, vanity_uri: str, now: float) -> list[Callable[[], object]]:
        """The re-read that is due, to be run beside something else, or nothing."""
        entry = self.memory.endpoints[vanity_uri]
        if now - entry.read_at < entry.soft_seconds:
            return []

        def refresh() -> None:
            try:
                self._read(vanity_uri, now)
            except TemporarilyUnavailable:
                return  # what is in memory is good for a minute

        return [refresh]

    def at_least_as_new_as(self, ping: Ping, endpoint: Endpoint, now: float) -> Endpoint:
        """The endpoint, re-read if the ping was made under a newer version of it."""
        return self.latest(endpoint.vanity_uri, now) if ping.version > endpoint.version else endpoint

    def latest(self, vanity_uri: str, now: float) -> Endpoint:
        """The live version, whatever the memory says. Raises `UnknownEndpoint`."""
        endpoint = self._read(vanity_uri, now).endpoint
        if endpoint is None:
            raise UnknownEndpoint
        return endpoint

    def user_name(self, token_hashes: list[str], now: float) -> str | None:
        """Whose token one of these is. What is not known is looked up every time: an absent token costs what a wrong
        one costs."""
        for token_hash in token_hashes:
            name, read_at = self.memory.users.get(token_hash, ("", 0.0))
            if name and now - read_at < TOKEN_SECONDS:
                return name
        answer = self.dynamo.call(
            self.dynamo.client.batch_get_item,
            RequestItems={
                self.table: {
                    "Keys": [
                        {"pk": {"S": f"TOKEN#{token_hash}"}, "sk": {"S": "TOKEN"}}
                        for token_hash in dict.fromkeys(token_hashes)
                    ],
                    "ConsistentRead": True,
                }
            },
        )
        if answer.get("UnprocessedKeys"):
            raise TemporarilyUnavailable
        for item in answer["Responses"][self.table]:
            name = item["user"]["S"]
            _bounded(self.memory.users)[item["pk"]["S"].removeprefix("TOKEN#")] = (name, now)
            return name
        return None

    def _read(self, vanity_uri: str, now: float) -> Entry:
        known = self.memory.endpoints.get(vanity_uri)
        pointer = self._item(vanity_uri, "LIVE")
        if pointer is None:
            endpoint = None
        elif known and known.endpoint and known.endpoint.version == int(pointer["version"]["N"]):
            endpoint = known.endpoint
        else:
            endpoint = self.version(vanity_uri, int(pointer["version"]["N"]))
        soft_seconds = SOFT_SECONDS * (1 + random.random())  # noqa: S311 - it spreads load, it keeps no secret
        entry = Entry(endpoint, now, soft_seconds)
        _bounded(self.memory.endpoints)[vanity_uri] = entry
        return entry

    def names(self) -> list[str]:
        """The vanity URIs of the live configuration. Two calls, one more for every megabyte of endpoints."""
        query: Callable[..., Any] = self.dynamo.client.query
        pointer = self.dynamo.call(
            self.dynamo.client.get_item,
            TableName=self.table,
            Key={"pk": {"S": "CONFIG"}, "sk": {"S": "LIVE"}},
            ConsistentRead=True,
        ).get("Item")
        names: list[str] = []
        after: Item | None = None
        while pointer:
            answer = self.dynamo.call(
                query,
                TableName=self.table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :kind)",
                ExpressionAttributeValues={
                    ":pk": {"S": f"CONFIG#{int(pointer['version']['N']):08}"},
                    ":kind": {"S": ENDPOINT_RECORD},
                },
                **({"ExclusiveStartKey": after} if after else {}),
            )
            names += [item["sk"]["S"].removeprefix(ENDPOINT_RECORD) for item in answer["Items"]]
            if not (after := answer.get("LastEvaluatedKey")):
                break
        return names

    def version(self, vanity_uri: str, version: int) -> Endpoint:
        """A version that was live once. They are kept for ever."""
        item = self._item(vanity_uri, version_key(version))
        if item is None:
            raise LookupError(f"the compiled version {version} of an endpoint is gone")
        return unpack(item["compiled"]["B"])

    def _item(self, vanity_uri: str, sk: str) -> Item | None:
        answer = self.dynamo.call(
            self.dynamo.client.get_item,
            TableName=self.table,
            Key={"pk": {"S": f"ENDPOINT#{vanity_uri}"}, "sk": {"S": sk}},
            ConsistentRead=True,
        )
        return answer.get("Item")


class Twins(Compiled):
    """The endpoints as their sandbox twins, each with its ring."""

    def __init__(self, dynamo: Dynamo, memory: Memory, rings: Rings) -> None:
        super().__init__(dynamo, memory)
        self.rings = rings

    def endpoint(self, vanity_uri: str, now: float) -> Endpoint:
        return super().endpoint(sandbox.PREFIX + vanity_uri, now)

    def version(self, vanity_uri: str, version: int) -> Endpoint:
        endpoint = sandbox.twin(super().version(vanity_uri, version))
        if pool := endpoint.pool:
            for shard in pool.shards:
                self.rings.create(pool.no, shard.id, [Lease(number, b"", 0) for number in shard.numbers])
        return endpoint

    def _item(self, vanity_uri: str, sk: str) -> Item | None:
        return super()._item(vanity_uri.removeprefix(sandbox.PREFIX), sk)


def _bounded(memory: dict[str, T]) -> dict[str, T]:
    if len(memory) >= REMEMBERED:
        memory.clear()
    return memory


def version_key(version: int) -> str:
    return f"V{version:08}"


def pack(endpoint: Endpoint) -> bytes:
    return zlib.compress(msgspec.json.encode(endpoint))


_endpoint = msgspec.json.Decoder(Endpoint)  # made at import, or the first request would make it


def unpack(compiled: bytes) -> Endpoint:
    return _endpoint.decode(zlib.decompress(compiled))
