"""Closed statements: items of the config table, for ever, by `pk` and `sk`:

    STATEMENTS#2026-11                     publisher:acme   the statement of a party for a month: when it was closed and
                                                            by whom, its time, its sums, and where its content is
    STATED#publisher:acme#2026-11#<try>    0000             a part of its content; of a try that was too late, too

The content is written first, under a key of its own for each try. A statement is written only where there is none, and
never changes: what is lost, repeated or late does no harm.
"""

import secrets
from collections.abc import Iterable
from contextlib import suppress

from msgspec import Struct

from shared.domain.statements import Content, Sums
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_bytes, as_number, as_text, bytes_of, number_of, table_key, text_of
from shared.store.packing import pack, unpack

PART_BYTES = 300_000
IS_OPEN = "attribute_not_exists(pk)"


class ClosedSums(Struct, frozen=True, array_like=True):
    """As an item has them."""

    own: Sums
    corrections: Sums


class Closing(Struct, frozen=True):
    """That the statement of a `party` for a `month` was closed `at` a time `by` an operator, with what it counted from
    `start` to before `end`, on the clock of `zone`: its `own` sums, and those of its corrections."""

    party: str
    month: str
    start: int
    end: int
    zone: str
    at: int
    by: str
    own: Sums
    corrections: Sums
    parts: int = 0
    tried: str = ""


class Statements:
    """Methods raise `TemporarilyUnavailable`."""

    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.config_table

    def close(self, closing: Closing, content: Content) -> Closing:
        """The closing that counts: this one, or the one that came before it."""
        packed, tried = pack(content), secrets.token_hex(8)
        parts = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
        for n, part in enumerate(parts):
            item = {**_part_key(closing, tried, n), "part": as_bytes(part)}
            self.dynamo.call(self.dynamo.client.put_item, TableName=self.table, Item=item)
        with suppress(ConditionFailed):  # by this very try, whose answer was lost, or by another one
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item=_item(closing, len(parts), tried),
                ConditionExpression=IS_OPEN,
            )
        [closed] = self.find(closing.party, [closing.month])
        return closed

    def find(self, party: str, months: Iterable[str]) -> list[Closing]:
        """The closed statements of a party among these months, in their order."""
        keys = [table_key(_partition(month), party) for month in months]
        found = self.dynamo.batch_get(self.table, keys, ConsistentRead=True)
        return sorted(map(_closing, found), key=lambda closing: closing.month)

    def of_month(self, month: str) -> list[Closing]:
        """Those of all parties."""
        return [_closing(item) for item in self.dynamo.partition(self.table, _partition(month))]

    def read(self, closing: Closing) -> Content:
        keys = [_part_key(closing, closing.tried, n) for n in range(closing.parts)]
        found = self.dynamo.batch_get(self.table, keys, ConsistentRead=True)
        packed = b"".join(bytes_of(item, "part") for item in sorted(found, key=lambda item: text_of(item, "sk")))
        return unpack(packed, Content)


def _partition(month: str) -> str:
    return f"STATEMENTS#{month}"


def _part_key(closing: Closing, tried: str, n: int) -> Item:
    return table_key(f"STATED#{closing.party}#{closing.month}#{tried}", f"{n:04}")


def _item(closing: Closing, parts: int, tried: str) -> Item:
    return {
        **table_key(_partition(closing.month), closing.party),
        "at": as_number(closing.at),
        "by": as_text(closing.by),
        "start": as_number(closing.start),
        "end": as_number(closing.end),
        "zone": as_text(closing.zone),
        "sums": as_bytes(pack(ClosedSums(closing.own, closing.corrections))),
        "parts": as_number(parts),
        "tried": as_text(tried),
    }


def _closing(item: Item) -> Closing:
    sums = unpack(bytes_of(item, "sums"), ClosedSums)
    return Closing(
        party=text_of(item, "sk"),
        month=text_of(item, "pk").partition("#")[2],
        start=number_of(item, "start"),
        end=number_of(item, "end"),
        zone=text_of(item, "zone"),
        at=number_of(item, "at"),
        by=text_of(item, "by"),
        own=sums.own,
        corrections=sums.corrections,
        parts=number_of(item, "parts"),
        tried=text_of(item, "tried"),
    )
