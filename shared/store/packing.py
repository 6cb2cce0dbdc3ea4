"""Values as one packed attribute: a ping, a sale or a route in MessagePack, what belongs to the configuration in JSON.
Pings with many bids are packed in columns.

The first byte says in which form a value is: 0x78 is zlib's own, `WITH_DICTIONARY` is followed by raw deflate that
begins with `dictionary.FORM_1` in its window. Another form takes another byte.
"""

import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs
from msgspec.structs import replace

from shared.domain.models import Lead, Ping
from shared.store import columns
from shared.store.dictionary import FORM_1

ZLIB = 0x78
WITH_DICTIONARY = 0x01
RAW = -zlib.MAX_WBITS

MANY = 50
"""From this many bids and counted buyers, columns are smaller."""

DAMAGED = (zlib.error, msgspec.MsgspecError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a value raises that is cut or changed."""

T = TypeVar("T")


class _InColumns(Ping, frozen=True, kw_only=True):
    """A ping whose bids and counts are packed by themselves."""

    columns: bytes = b""


class UnknownFormat(ValueError):
    """A packed value of a release that is newer than this code, or a damaged one."""


def pack(value: Struct | Sequence[Struct]) -> bytes:
    if isinstance(value, Ping) and len(value.bids) + len(value.facts.counted) >= MANY:
        in_columns = columns.pack(value.bids, value.facts.counted)
        rest = structs.asdict(value) | {"bids": (), "facts": replace(value.facts, counted={})}
        value = _InColumns(**rest, columns=in_columns)
    deflate = zlib.compressobj(wbits=RAW, zdict=FORM_1)
    return bytes([WITH_DICTIONARY]) + deflate.compress(msgspec.msgpack.encode(value)) + deflate.flush()


def unpack(packed: bytes, kind: type[T]) -> T:
    """Raises `UnknownFormat`."""
    try:
        return _unpack(inflate(packed), kind)
    except UnknownFormat:
        raise
    except DAMAGED as broken:
        raise UnknownFormat(f"A packed value is damaged ({type(broken).__name__}).") from None


def _unpack(whole: bytes, kind: type[T]) -> T:
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
    """Raises `UnknownFormat`, and `zlib.error` for a value that is cut."""
    form = packed[0] if packed else None
    if form == ZLIB:
        return zlib.decompress(packed)
    if form != WITH_DICTIONARY:
        raise UnknownFormat(
            f"A packed value begins with {packed[:1].hex() or 'nothing'}; this version knows {ZLIB:#04x} and "
            f"{WITH_DICTIONARY:#04x}."
        )
    inflate = zlib.decompressobj(wbits=RAW, zdict=FORM_1)
    whole = inflate.decompress(memoryview(packed)[1:])
    if not inflate.eof:
        raise zlib.error("the value is cut")
    return whole
