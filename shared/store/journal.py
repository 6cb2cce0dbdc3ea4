"""One ping opened: what its items, its ring and its route say of it. Nothing is shown whose retention is over, whether
or not DynamoDB has deleted it.
"""

from concurrent.futures import Executor

from msgspec import Struct

from shared.domain import keys as signing
from shared.domain import matching, sandbox_endpoint
from shared.domain.keys import ID_BYTES, Keys
from shared.domain.matching import Failure
from shared.domain.models import Endpoint, Lead, Ping, Sale
from shared.domain.refusals import UnknownEndpoint
from shared.store.compiled import Compiled, Entry, Memory
from shared.store.dynamo import Dynamo
from shared.store.items import number_of, number_or, text_of
from shared.store.pings import Asked, Pings, State, state_of
from shared.store.rings import PoolChanged, Rings


class Opened(Struct, frozen=True, kw_only=True):
    """One ping with everything that is known, and its `sale`. The `lead` is that of PING and POST together; it
    `is_kept` until it is erased or its retention is over. `refused` is the status of its last POST that sold nothing.
    `lease_until` is how long the number of a ring pool is still leased to its sale, cooldown included, `superseded_by`
    the ping whose sale took over its route. `failures` are
    why the others did not bid, decided anew; `unsettled` what is not settled with live buyers, by id. `endpoint` is the
    one that the PING met, `sold_by` the one that the POST met; None if that version is gone."""

    ping: Ping
    sale: Sale | None
    lead: Lead
    is_kept: bool
    claimed: bool
    refused: str = ""
    refused_at: int | None = None
    milliseconds: int = 0
    lease_until: int = 0
    superseded_by: bytes = b""
    failures: list[Failure] = []
    unsettled: dict[int, Asked] = {}
    endpoint: Endpoint | None = None
    sold_by: Endpoint | None = None

    @property
    def user(self) -> str:
        return self.sale.user if self.sale else self.ping.user


class Journal:
    """`io_pool` runs the calls of a page at once."""

    def __init__(self, dynamo: Dynamo, keys: Keys, io_pool: Executor) -> None:
        self.dynamo = dynamo
        self.keys = keys
        self.io_pool = io_pool
        self.pings = Pings(dynamo)

    def opened(self, ping_id: str, now: int) -> Opened | None:
        """One ping by any of its ids, of any endpoint, or by its raw id in hexadecimal; None if it is not there, or not
        to be shown. A call for the item; if it is sold two more, and one where its endpoint has changed since."""
        raw, public = raw_id(ping_id)
        item = self.pings.item(raw) if raw else None
        claim = state_of(item, now)
        ping, sale = claim.ping, claim.sale
        if item is None or ping is None or number_of(item, "delete_at") <= now or sandbox_endpoint.is_of(ping.endpoint):
            return None
        if public and signing.read_ping_id(self.keys, ping.endpoint, ping_id) is None:
            return None
        is_kept = ping.lead_until > now
        lead = Lead(ping.lead | (sale.posted if sale else {})) if is_kept else Lead()
        compiled = Compiled(self.dynamo, Memory())
        endpoint = self._version(compiled, ping, ping.version)
        sold_by = self._version(compiled, ping, sale.version_of(ping)) if sale else None
        return Opened(
            ping=ping,
            sale=sale,
            lead=lead,
            is_kept=is_kept,
            claimed=claim.state is State.CLAIMED,
            refused=text_of(item, "refused"),
            refused_at=number_or(item, "refused_at", None),
            milliseconds=number_or(item, "milliseconds", 0),
            lease_until=self._lease_until(compiled, ping, sale, now) if sale else 0,
            superseded_by=claim.superseded_by,
            failures=matching.failures(endpoint, ping.lead, ping.created_at, ping.facts)
            if endpoint and is_kept
            else [],
            unsettled=claim.asked,
            endpoint=endpoint,
            sold_by=sold_by,
        )

    def _version(self, compiled: Compiled, ping: Ping, version: int) -> Endpoint | None:
        """The endpoint that a request met. It need not be read once more if it is still live."""
        known = compiled.memory.endpoints.get(ping.endpoint)
        if known and known.endpoint and known.endpoint.version == version:
            return known.endpoint
        try:
            endpoint = compiled.version(ping.endpoint, version)
        except LookupError:
            return None
        compiled.memory.endpoints[ping.endpoint] = Entry(endpoint, 0)
        return endpoint

    def _lease_until(self, compiled: Compiled, ping: Ping, sale: Sale, now: int) -> int:
        """Until when the sold number is leased to this ping now."""
        try:
            pool = compiled.latest(ping.endpoint, now).pool
            shard = next((shard for shard in pool.shards if sale.number in shard.numbers), None) if pool else None
            if pool is None or shard is None:
                return 0
            lease = Rings(self.dynamo, {}).look(pool, [shard])[shard.id].lease_of(ping.id, shard.numbers)
        except (UnknownEndpoint, PoolChanged):
            return 0
        return lease.expires_at if lease and lease.expires_at > now else 0


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
