"""Statements: what one publisher gets, or one buyer owes, for a month."""

from typing import Literal

from msgspec import Struct

Side = Literal["publisher", "buyer"]
SEPARATOR = ":"
KEY_BYTES = 8
LONGEST_ID, LONGEST_NAME = 10, 100


class Sums(Struct, frozen=True, array_like=True):
    """What rows of the journal add up to: sales, settled calls, converted ones, and the amount in cents. What corrects
    an earlier count may be below zero."""

    sales: int = 0
    calls: int = 0
    converted: int = 0
    amount_cents: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.sales + other.sales,
            self.calls + other.calls,
            self.converted + other.converted,
            self.amount_cents + other.amount_cents,
        )


class Late(Struct, frozen=True, array_like=True):
    """A row that corrects a closed statement: a sale, a settled call or an update, which came `at` and belongs to what
    was sold at `moment`. `call` and `ping` are raw ids in hexadecimal; `arrived_at` is of the call, `detail` who said
    an update. `key` tells the row from all others."""

    key: int
    kind: str
    at: int
    moment: int
    call: str
    ping: str
    endpoint: str
    arrived_at: int
    converted: int
    amount_cents: int
    detail: str

    @property
    def sums(self) -> Sums:
        return Sums(int(self.kind == "sale"), int(self.kind == "call"), self.converted, self.amount_cents)


class Content(Struct, frozen=True, array_like=True):
    """What a closed statement holds: its own sums by endpoint or offer, the rows that it has corrected, and the keys of
    all its rows, `KEY_BYTES` each, the lowest byte first."""

    lines: dict[str, Sums]
    late: tuple[Late, ...]
    keys: bytes


def party_of(side: Side, name: str) -> str:
    """A publisher by its user's name, a buyer by its id."""
    return f"{side}{SEPARATOR}{name}"


def read_party(text: str) -> tuple[Side, str] | None:
    """None for what is no party."""
    side, _, name = text.partition(SEPARATOR)
    if side == "publisher" and 0 < len(name) <= LONGEST_NAME and name.isascii() and name.isprintable():
        return "publisher", name
    if side == "buyer" and name.isascii() and name.isdecimal() and len(name) <= LONGEST_ID and name == str(int(name)):
        return "buyer", name
    return None


def month_after(month: str, months: int = 1) -> str:
    """So many months after one like 2026-11, or before it."""
    year, _, number = month.partition("-")
    count = int(year) * 12 + int(number) - 1 + months
    return f"{count // 12:04}-{count % 12 + 1:02}"
