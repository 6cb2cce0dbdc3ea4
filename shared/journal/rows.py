"""A row: one flat record of one event. What is shown, counted and sent is made of rows."""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

Kind = Literal["ping", "refused", "sale", "caller", "asked", "settled", "arrived", "call", "never_called"]
"""`arrived`: a call came; `call`: it is settled; `never_called`: no call came for a sale. `caller`: a POST that was
answered as an earlier one brought the ping's first caller. `asked`: a live buyer may agree to a sale that is not
recorded; `settled`: none may any more."""

OF_CALLS = frozenset[Kind](("arrived", "call"))
"""What the stream of calls makes; all else is of the stream of pings."""


class Asked(Struct, frozen=True, array_like=True):
    """How a live buyer answered a PING: `bid`, `declined`, `timed_out` or `broken`, after so many milliseconds."""

    buyer: int
    outcome: Literal["bid", "declined", "timed_out", "broken"]
    milliseconds: int = 0


class Dialed(Struct, frozen=True, array_like=True):
    """An attempt of a call: the buyer that was dialed `at`, how that ended (`domain.calls.End`), and after how many
    seconds of talk."""

    buyer: int
    at: int
    end: str = ""
    seconds: int = 0


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`event` is the id of the stream's event, `place` the row's among those of the event: of rows that have both the
    same only one counts. Times are seconds since the epoch, `sold_at` is that of what belongs to a sale, amounts are
    cents. `ping` is the raw ping id in hexadecimal, `caller` the first eight bytes of the caller's keyed hash in
    hexadecimal; no other value of the lead is here. A ping can be sold until `expires_at`, and `best_payout_cents` is
    what its publisher would get for the best bid. `number` is ours. `pool` is the ring pool of the endpoint, of which
    a sale, or a POST that was refused, saw `pool_used` percent in use. `reasons` has a letter for each buyer of the
    `version`, in its order: why it did not bid (`shared.journal.events.LETTERS`). `fields` are the names of wrong ones.
    Of a `call`, named by its id in hexadecimal, there are the `provider`, when it `arrived_at`, its `arrival`, whom it
    `dialed`, when the `buyer` that took it was `connected_at`, for how many `seconds` they talked, whether it is
    `converted`, 1 or 0, and `status` and `detail`: how it ended (`domain.calls`).
    """

    event: str
    place: int = 0
    at: int
    kind: Kind
    sold_at: int = 0
    ping: str = ""
    endpoint: str = ""
    offer: str = ""
    user: str = ""
    source: str = ""
    buyer: int = 0
    status: str = ""
    bids: int = 0
    best_bid_cents: int = 0
    best_payout_cents: int = 0
    revenue_cents: int = 0
    payout_cents: int = 0
    state: str = ""
    area_code: str = ""
    number: str = ""
    version: int = 0
    reasons: str = ""
    live: tuple[Asked, ...] = ()
    fields: tuple[str, ...] = ()
    milliseconds: int = 0
    caller: str = ""
    pool: str = ""
    pool_used: int = 0
    expires_at: int = 0
    call: str = ""
    provider: str = ""
    arrived_at: int = 0
    arrival: str = ""
    dialed: tuple[Dialed, ...] = ()
    connected_at: int = 0
    seconds: int = 0
    converted: int = 0
    detail: str = ""


DUCKDB = {int: "BIGINT", tuple[str, ...]: "VARCHAR[]", tuple[Asked, ...]: "JSON", tuple[Dialed, ...]: "JSON"}
TYPES = {field.name: DUCKDB.get(field.type, "VARCHAR") for field in msgspec.structs.fields(Row)}
"""The columns of a row as DuckDB has them."""


def encode(rows: Iterable[Row]) -> bytes:
    """As JSON lines."""
    return msgspec.json.Encoder().encode_lines(rows)


def decode(lines: bytes) -> list[Row]:
    return msgspec.json.Decoder(Row).decode_lines(lines)
