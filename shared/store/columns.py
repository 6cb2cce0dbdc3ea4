"""The bids and counts of many buyers in few bytes, so that a PING to a thousand of them is a small write. They are
packed column by column. Of a column the lowest bytes of all numbers come first, then the next ones: like bytes compress
well together."""

from array import array
from collections.abc import Collection, Iterable
from itertools import accumulate, pairwise

import msgspec
from msgspec import Struct

from shared.domain.models import Bid

NUMBER_BYTES = 8


class Columns(Struct, frozen=True, array_like=True):
    """`buyers` are all ids, ascending. Of the bids, in their order: the buyer's place among them, cents and margin; and
    by the code of a cap what is counted of each buyer."""

    buyers: bytes
    places: bytes
    cents: bytes
    margins: bytes
    counts: dict[int, bytes]


def pack(bids: Collection[Bid], counted: dict[int, dict[int, int]]) -> bytes:
    buyers = sorted({bid.buyer_id for bid in bids} | counted.keys())
    places = {buyer_id: place for place, buyer_id in enumerate(buyers)}
    codes = sorted({code for counts in counted.values() for code in counts})
    return msgspec.msgpack.encode(
        Columns(
            _bytes(_steps(buyers)),
            _bytes(places[bid.buyer_id] for bid in bids),
            _bytes(_steps(bid.cents for bid in bids)),
            _bytes(_steps(bid.cents - bid.payout_cents for bid in bids)),
            {code: _bytes(counted.get(buyer_id, {}).get(code, 0) for buyer_id in buyers) for code in codes},
        )
    )


def unpack(columns: bytes) -> tuple[tuple[Bid, ...], dict[int, dict[int, int]]]:
    """Bids, and counts without zeros."""
    found = msgspec.msgpack.decode(columns, type=Columns)
    buyers = list(accumulate(_numbers(found.buyers)))
    cents, margins = accumulate(_numbers(found.cents)), accumulate(_numbers(found.margins))
    bids = zip(_numbers(found.places), cents, margins, strict=True)
    counted: dict[int, dict[int, int]] = {}
    for code, counts in found.counts.items():
        for buyer_id, count in zip(buyers, _numbers(counts), strict=True):
            if count:
                counted.setdefault(buyer_id, {})[code] = count
    return tuple(Bid(buyers[place], price, price - margin) for place, price, margin in bids), counted


def _steps(numbers: Iterable[int]) -> list[int]:
    return [after - before for before, after in pairwise([0, *numbers])]


def _bytes(numbers: Iterable[int]) -> bytes:
    """A number below zero counts between two above: small ones stay small."""
    whole = array("Q", (2 * number if number >= 0 else -2 * number - 1 for number in numbers)).tobytes()
    return b"".join(whole[byte::NUMBER_BYTES] for byte in range(NUMBER_BYTES))


def _numbers(packed: bytes) -> list[int]:
    count, whole = len(packed) // NUMBER_BYTES, bytearray(len(packed))
    for byte in range(NUMBER_BYTES):
        whole[byte::NUMBER_BYTES] = packed[byte * count : (byte + 1) * count]
    return [-(number + 1) // 2 if number % 2 else number // 2 for number in array("Q", bytes(whole))]
