"""Who owns a number of ours. An item of the config table:

    NUMBER#+1800…      OWNER        owner, and since, the version in which it came to it; `kind`, and the `name` of its
                                    ring pool or endpoint; of a ring pool's number `pool`, `shard`, `place` and `size`,
                                    where its lease is found, as of version `placed`; of a number that was given up also
                                    free_at, and its last lease's entry as ping_id

Of 0.1.0 it has no `kind` and no place.
"""

from collections.abc import Iterable
from typing import Any, Literal, cast

from msgspec import Struct

from shared.domain.leasing import Lease
from shared.domain.models import Shard
from shared.store.dynamo import Dynamo, Item
from shared.store.items import as_number, as_text, bytes_of, number_of, table_key, text_of

Kind = Literal["ring_pool", "overflow", "static", "shared"]
REMEMBERED = 10_000
"""Numbers that a process remembers before it forgets all of them."""
SURE_SECONDS = 5
"""How long an owner that is remembered is sure. An older one is read again before a call is refused because of it."""
WORDS: dict[Kind, str] = {
    "ring_pool": "ring pool ",
    "overflow": "overflow of ",
    "static": "endpoint ",
    "shared": "shared numbers of endpoint ",
}
"""How the text of an owner begins."""


class Place(Struct, frozen=True):
    """Where a number's lease is found: the ring of a pool's shard, and its place among the `size` numbers there."""

    pool: int
    shard: int
    place: int
    size: int


class Owner(Struct, frozen=True):
    """`lease` is the last one of a ring pool's number that was given up."""

    kind: Kind
    name: str
    place: Place | None = None
    lease: Lease | None = None


class Known(Struct, frozen=True):
    """An owner as it was read; None is nobody of ours. Calls of the number were last those of an `endpoint`."""

    owner: Owner | None
    read_at: float
    endpoint: str = ""


class Owners:
    """Whose a number is. `memory` is this process's."""

    def __init__(self, dynamo: Dynamo, memory: dict[str, Known]) -> None:
        self.dynamo = dynamo
        self.memory = memory

    def find(self, number: str, now: float) -> Known:
        """As it is remembered, however long ago it was read."""
        return self.memory.get(number) or self.read(number, now)

    def read(self, number: str, now: float) -> Known:
        item = self.dynamo.get(self.dynamo.settings.config_table, owner_key(number))
        return self._remember(number, Known(owner_of(number, item) if item else None, now))

    def note_endpoint(self, number: str, endpoint: str) -> None:
        """Whose call it was, so that the endpoint of the next one is read beside its ping."""
        if (known := self.memory.get(number)) and known.endpoint != endpoint:
            self._remember(number, Known(known.owner, known.read_at, endpoint))

    def _remember(self, number: str, known: Known) -> Known:
        if len(self.memory) >= REMEMBERED:
            self.memory.clear()
        self.memory[number] = known
        return known


def is_sure(known: Known, now: float) -> bool:
    return 0 <= now - known.read_at < SURE_SECONDS


def owner_key(number: str) -> dict[str, Any]:
    return table_key(f"NUMBER#{number}", "OWNER")


def owner_fields(owner: str) -> dict[str, Any]:
    """The attributes that say who an owner is."""
    kind, name = _kind_and_name(owner)
    return {"owner": as_text(owner), "kind": as_text(kind), "name": as_text(name)}


def place_fields(place: Place, version: int) -> dict[str, Any]:
    numbers = {"pool": place.pool, "shard": place.shard, "place": place.place, "size": place.size, "placed": version}
    return {name: as_number(number) for name, number in numbers.items()}


def places(pool_no: int, shards: Iterable[Shard]) -> dict[str, Place]:
    """The place of each number in some shards of a pool."""
    return {
        number: Place(pool_no, shard.id, place, len(shard.numbers))
        for shard in shards
        for place, number in enumerate(shard.numbers)
    }


def owner_of(number: str, item: Item) -> Owner:
    if "kind" in item:
        kind, name = cast("Kind", text_of(item, "kind")), text_of(item, "name")
    else:
        kind, name = _kind_and_name(text_of(item, "owner"))
    place = lease = None
    if kind == "ring_pool" and "free_at" in item:
        lease = Lease(number, bytes_of(item, "ping_id"), number_of(item, "free_at"))
    elif "placed" in item:
        place = Place(*(number_of(item, name) for name in Place.__struct_fields__))
    return Owner(kind, name, place, lease)


def _kind_and_name(owner: str) -> tuple[Kind, str]:
    return next((kind, owner.removeprefix(word)) for kind, word in WORDS.items() if owner.startswith(word))
