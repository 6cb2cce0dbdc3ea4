"""The configuration as requests read it: one compiled item per endpoint and version, and a pointer to the live one.

Kept in the memory of the process. A copy that is some seconds old is compared with the pointer before it decides
anything, however long the process slept; the version itself is read only if it is another one. What is stale can touch
prices and routing only: leases are conditional writes.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar, cast

import msgspec
from msgspec import Struct

from shared.domain import sandbox_endpoint
from shared.domain.leasing import Lease
from shared.domain.models import Endpoint, Ping, Scope
from shared.domain.refusals import UnknownEndpoint
from shared.store.dynamo import Dynamo, Item
from shared.store.items import bytes_of, number_of, number_or, table_key, text_of
from shared.store.packing import inflate, pack_json
from shared.store.rings import Rings

ENDPOINT_SECONDS = 5
"""How long a copy of an endpoint decides without a read, and how long one that is unknown stays so."""
TOKEN_SECONDS = 60
TOKEN_ID_LETTERS = 8
T = TypeVar("T")
ENDPOINT_RECORD = "endpoint#"
"""How the sort keys of endpoints begin, among the records of a version."""

REMEMBERED = 1000
"""Wrong names and tokens that are remembered before all of them are forgotten: memory is bounded, whatever is sent."""


class Entry(Struct):
    endpoint: Endpoint | None
    read_at: float


class Credential(Struct, frozen=True):
    """A token: `id` names it where its secret must not be seen; it ends at `expires_at`, 0 is never."""

    id: str
    user: str
    scope: Scope = "operate"
    expires_at: int = 0

    def is_over(self, now: float) -> bool:
        return 0 < self.expires_at <= now


class Memory(Struct):
    """What one process knows: endpoints by vanity URI, tokens by hash with the time of reading, and in which hour it
    has noted the last use of a token."""

    endpoints: dict[str, Entry] = {}
    credentials: dict[str, tuple[Credential, float]] = {}
    noted: dict[str, int] = {}


class Compiled:
    def __init__(self, dynamo: Dynamo, memory: Memory) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table
        self.memory = memory

    def endpoint(self, vanity_uri: str, now: float) -> Endpoint:
        """Raises `UnknownEndpoint`."""
        entry = self.memory.endpoints.get(vanity_uri)
        if entry is None or not _is_fresh(entry.read_at, now, ENDPOINT_SECONDS):
            return self.latest(vanity_uri, now)
        if entry.endpoint is None:
            raise UnknownEndpoint
        return entry.endpoint

    def at_least_as_new_as(self, ping: Ping, endpoint: Endpoint, now: float) -> Endpoint:
        """The endpoint, re-read if the ping was made under a newer version of it."""
        return self.latest(endpoint.vanity_uri, now) if ping.version > endpoint.version else endpoint

    def latest(self, vanity_uri: str, now: float) -> Endpoint:
        """The live version, whatever the memory says. Raises `UnknownEndpoint`."""
        known = self.memory.endpoints.get(vanity_uri)
        pointer = self._item(vanity_uri, "LIVE")
        if pointer is None:
            endpoint = None
        elif known and known.endpoint and known.endpoint.version == number_of(pointer, "version"):
            endpoint = known.endpoint
        else:
            endpoint = self.version(vanity_uri, number_of(pointer, "version"))
        _bounded(self.memory.endpoints)[vanity_uri] = Entry(endpoint, now)
        if endpoint is None:
            raise UnknownEndpoint
        return endpoint

    def credential(self, token_hashes: list[str], scopes: Collection[Scope], now: float) -> Credential | None:
        """The first of these tokens that has one of the scopes and is not over. An unknown token is looked up every
        time: an absent token costs as much as a wrong one."""
        for token_hash in token_hashes:
            known, read_at = self.memory.credentials.get(token_hash, (None, 0.0))
            if known and known.scope in scopes and not known.is_over(now) and _is_fresh(read_at, now, TOKEN_SECONDS):
                return known
        keys = [table_key(f"TOKEN#{token_hash}", "TOKEN") for token_hash in dict.fromkeys(token_hashes)]
        for item in self.dynamo.batch_get(self.table, keys, ConsistentRead=True):
            found = _credential(item)
            if found.scope in scopes and not found.is_over(now):
                _bounded(self.memory.credentials)[text_of(item, "pk").removeprefix("TOKEN#")] = (found, now)
                return found
        return None

    def names(self) -> list[str]:
        """The vanity URIs of the live configuration. Two calls, one more for every megabyte of endpoints."""
        pointer = self.dynamo.get(self.table, table_key("CONFIG", "LIVE"))
        if pointer is None:
            return []
        records = self.dynamo.partition(self.table, f"CONFIG#{number_of(pointer, 'version'):08}", ENDPOINT_RECORD)
        return [text_of(item, "sk").removeprefix(ENDPOINT_RECORD) for item in records]

    def version(self, vanity_uri: str, version: int) -> Endpoint:
        """A version that was live once. They are kept forever."""
        item = self._item(vanity_uri, version_key(version))
        if item is None:
            raise LookupError(f"the compiled version {version} of an endpoint is gone")
        return unpack(bytes_of(item, "compiled"))

    def versions(self, wanted: Iterable[tuple[str, int]]) -> Iterator[Endpoint]:
        """Those of these endpoints and versions that are there, in no order: a call for a hundred, or for 16 MB."""
        keys = [table_key(f"ENDPOINT#{vanity_uri}", version_key(version)) for vanity_uri, version in wanted]
        for item in self.dynamo.batch_get(self.table, keys):
            yield unpack(bytes_of(item, "compiled"))

    def _item(self, vanity_uri: str, sk: str) -> Item | None:
        return self.dynamo.get(self.table, table_key(f"ENDPOINT#{vanity_uri}", sk))


def token_id(hashed: str) -> str:
    """The name of a token where its secret must not be seen: the beginning of its hash, without its key's id."""
    return hashed.rpartition(".")[2][:TOKEN_ID_LETTERS]


def _credential(item: Item) -> Credential:
    """The credential of an item. A token of 0.1.0 has only a user: it opens all that the user may do, forever."""
    return Credential(
        id=token_id(text_of(item, "pk").removeprefix("TOKEN#")),
        user=text_of(item, "user"),
        scope=cast("Scope", text_of(item, "scope") or "operate"),
        expires_at=number_or(item, "expires_at", 0),
    )


class SandboxEndpoints(Compiled):
    """The endpoints as their sandbox endpoints, each with its ring."""

    def __init__(self, dynamo: Dynamo, memory: Memory, rings: Rings) -> None:
        super().__init__(dynamo, memory)
        self.rings = rings

    def endpoint(self, vanity_uri: str, now: float) -> Endpoint:
        return super().endpoint(sandbox_endpoint.PREFIX + vanity_uri, now)

    def version(self, vanity_uri: str, version: int) -> Endpoint:
        endpoint = sandbox_endpoint.sandbox_of(super().version(vanity_uri, version))
        if pool := endpoint.pool:
            for shard in pool.shards:
                self.rings.create(pool.no, shard.id, [Lease(number, b"", 0) for number in shard.numbers])
        return endpoint

    def _item(self, vanity_uri: str, sk: str) -> Item | None:
        return super()._item(vanity_uri.removeprefix(sandbox_endpoint.PREFIX), sk)


def _is_fresh(read_at: float, now: float, seconds: int) -> bool:
    """If the clock was set back, the age is unknown: then the answer is no, and the copy is read again."""
    return 0 <= now - read_at < seconds


def _bounded(memory: dict[str, T]) -> dict[str, T]:
    if len(memory) >= REMEMBERED:
        memory.clear()
    return memory


def version_key(version: int) -> str:
    return f"V{version:08}"


def pack(endpoint: Endpoint) -> bytes:
    return pack_json(endpoint)


_endpoint = msgspec.json.Decoder(Endpoint)  # made at import, or the first request would make it


def unpack(compiled: bytes) -> Endpoint:
    return _endpoint.decode(inflate(compiled))
