"""Values as one packed attribute: a ping, a sale or a route in MessagePack, what belongs to the configuration in JSON.
Pings with many bids are packed in columns."""

import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs
from msgspec.structs import replace

from shared.domain.models import Lead, Ping
from shared.store import columns

ZLIB = 0x78
"""The first byte of a packed value says in which form it is. All that zlib makes begins with this one, the only one so
far; another form takes another byte."""

MANY = 50
"""From this many bids and counted buyers, columns are smaller."""

T = TypeVar("T")


class _InColumns(Ping, frozen=True, kw_only=True):
    """A ping whose bids and counts are packed by themselves."""

    columns: bytes = b""


class UnknownFormat(ValueError):
    """A packed value of a release that is newer than this code, or no packed value."""


def pack(value: Struct | Sequence[Struct]) -> bytes:
    if isinstance(value, Ping) and len(value.bids) + len(value.facts.counted) >= MANY:
        in_columns = columns.pack(value.bids, value.facts.counted)
        rest = structs.asdict(value) | {"bids": (), "facts": replace(value.facts, counted={})}
        value = _InColumns(**rest, columns=in_columns)
    return zlib.compress(msgspec.msgpack.encode(value))


def unpack(packed: bytes, kind: type[T]) -> T:
    whole = inflate(packed)
    if kind is Ping:
        found = msgspec.msgpack.decode(whole, type=_InColumns, dec_hook=_lead)
        rest = structs.asdict(found)
        if in_columns := rest.pop("columns"):
            bids, counted = columns.unpack(in_columns)
            rest |= {"bids": bids, "facts": replace(found.facts, counted=counted)}
        return kind(**rest)
    return msgspec.msgpack.decode(whole, type=kind, dec_hook=_lead)


def _lead(kind: type, value: Any) -> Any:
    return kind(value) if kind is Lead else value


def pack_json(value: object) -> bytes:
    return zlib.compress(msgspec.json.encode(value))


def unpack_json(packed: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(inflate(packed), type=kind)


def inflate(packed: bytes) -> bytes:
    if packed[:1] != bytes([ZLIB]):
        raise UnknownFormat(
            f"A packed value begins with {packed[:1].hex() or 'nothing'}; this version knows {ZLIB:#x}."
        )
    return zlib.decompress(packed)
