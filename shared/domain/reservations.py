"""What a reservation counts under a buyer's caps, and what it gives back when its call is over.

A reservation is an entry under a key in the buyer's item, and in the item of an endpoint that has caps of its own. An
entry alone says what it counted, whatever has changed since: the second, the starts of the hour, day and month on the
buyer's clock, a bit for each kind and period, a bit for the place, and the cents. After a change of the buyer's time
zone or caps it still gives back what it counted, and nothing else.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from itertools import product

from msgspec import Struct

from shared.domain import caps
from shared.domain.caps import Cap, Kind, Period

KINDS: tuple[Kind, ...] = ("sales", "attempts", "connected", "converted", "revenue")
"""What is counted by period. Stored entries have their places in this order: new kinds are appended."""
PERIODS: tuple[Period, ...] = ("hour", "day", "month", "total")
BITS = {counted: 1 << n for n, counted in enumerate(product(KINDS, PERIODS))}
PLACE_BIT = 1 << len(BITS)

SIZES = (5, 2, 3, 3, 3, 5)
"""Bytes of an entry: the second, by how much the hour, the day and the month began before it, the bits, the cents."""
ENTRY_BYTES = sum(SIZES)
NUMBER_DIGITS = 2
"""The most of the number of a call's attempt. The id of an attempt at a ping is longer."""

TOMBSTONE_SECONDS = 360
"""How long a key that was given refuses a take that arrives late. DynamoDB refuses a request five minutes after it was
signed; a minute more is for the clocks."""


class Entry(Struct, frozen=True):
    """`starts` is when the hour, the day and the month began in which it was counted, and 0 for the total."""

    second: int
    starts: tuple[int, ...]
    bits: int
    cents: int

    def amounts(self, endpoint: str = "", kept: Iterable[str] = ()) -> dict[str, int]:
        """What it counted, by key, in the item of this endpoint; without the kinds that are `kept`."""
        starts = dict(zip(PERIODS, self.starts, strict=True))
        return {
            f"{kind}-{period}-{starts[period]}" + (f"@{endpoint}" if endpoint else ""): _amount(kind, self.cents)
            for (kind, period), bit in BITS.items()
            if self.bits & bit and kind not in kept
        }


class CameTrue(Struct, frozen=True):
    """What came true of a reservation: its sale was `recorded`, its buyer dialed, connected, converted. Revenue is
    `earned` without a conversion where the buyer pays for the sale."""

    recorded: bool = False
    dialed: bool = False
    connected: bool = False
    converted: bool = False
    earned: bool = False

    @property
    def kept(self) -> set[str]:
        """The kinds that stay counted. A place never does."""
        kinds = {
            "sales": self.recorded,
            "attempts": self.dialed,
            "connected": self.connected,
            "converted": self.converted,
            "revenue": self.converted or self.earned,
        }
        return {kind for kind, is_kept in kinds.items() if is_kept}


NOTHING = CameTrue()


def key(some_id: bytes, attempt: bytes | int) -> str:
    """The key of an attempt at a ping, or of an attempt of a call."""
    return f"{_text(some_id)}.{attempt if isinstance(attempt, int) else _text(attempt)}"


def read_key(key: str) -> tuple[bytes, bytes | int]:
    """The ping and its attempt, or the call and the number of its attempt, which is short. Raises `ValueError`."""
    some_id, _, attempt = key.partition(".")
    return _bytes(some_id), int(attempt) if len(attempt) <= NUMBER_DIGITS else _bytes(attempt)


def is_of(some_id: bytes, key: str) -> bool:
    """Whether a key is one of this ping or call."""
    return key.partition(".")[0] == _text(some_id)


def entry_of(wanted: Iterable[Cap], local: datetime, cents: int) -> Entry:
    """What is counted in one item under these caps when it is `local` on the buyer's clock."""
    bits = 0
    for cap in wanted:
        bits |= BITS[cap.kind, cap.period] if cap.period else PLACE_BIT
    return Entry(int(local.timestamp()), tuple(caps.start_of(period, local) for period in PERIODS), bits, cents)


def pack(entry: Entry) -> bytes:
    """Raises `OverflowError` where the cents are more than five bytes can hold."""
    hour, day, month, _ = (entry.second - start for start in entry.starts)
    values = (entry.second, hour, day, month, entry.bits, entry.cents)
    return b"".join(value.to_bytes(size, "big") for value, size in zip(values, SIZES, strict=True))


def unpack(packed: bytes) -> Entry:
    """Raises `ValueError` where it is no entry."""
    if len(packed) != ENTRY_BYTES:
        raise ValueError(f"an entry has {ENTRY_BYTES} bytes, not {len(packed)}")
    values, at = [], 0
    for size in SIZES:
        values.append(int.from_bytes(packed[at : at + size], "big"))
        at += size
    second, hour, day, month, bits, cents = values
    return Entry(second, (second - hour, second - day, second - month, 0), bits, cents)


def given_back(entry: Entry, came_true: CameTrue, local: datetime, endpoint: str = "") -> dict[str, int]:
    """What to subtract, by key, when it is `local` on the buyer's clock: what did not come true, but for periods that
    are over, whose counts may have been removed."""
    amounts = entry.amounts(endpoint, came_true.kept)
    return {name: amount for name, amount in amounts.items() if amount and not caps.is_over(name, local)}


def _amount(kind: str, cents: int) -> int:
    return cents if kind == "revenue" else 1


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(some_id: bytes) -> str:
    return urlsafe_b64encode(some_id).decode().rstrip("=")
