"""Pages: the rows of hours that are not in files yet, and later ones. Items of the journal table, by `pk` and `sk`:

    PAGE#<hour>#<0-15>   pings#<event id>#<place>   the rows of a batch that are of this hour, as compressed JSON lines;
                         calls#<event id>#<place>   of the stream of calls
    HOURS                <hour>                     that the hour has pages; dirty while `marks` is more than `closed`

A batch can come again, shorter or longer. A page is written over by one that begins with the same row and has more of
them, and readers keep one of each row: what they see is exact, however often a batch is delivered.
"""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain.models import DAY
from shared.journal import rows as journal_rows
from shared.journal.rows import Row
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.erasures import Erasures, Forgotten
from shared.store.items import as_bytes, as_number, bytes_of, number_of, number_or, table_key, text_of
from shared.store.packing import inflate

HOUR = 3600
SHARDS = 16
"""Partitions of an hour: a reader asks them all at once, and writers do not meet in one."""
PAGE_BYTES = 300_000
KEPT_SECONDS = 3 * DAY
IS_NEW_OR_LONGER = "attribute_not_exists(pk) OR #rows < :rows"
IS_AS_SEEN = "#lines = :seen"
NOT_CLOSED_SINCE = "attribute_exists(pk) AND (attribute_not_exists(closed) OR closed < :marks)"


class Mark(Struct, frozen=True):
    """An hour that has pages which are in no file yet, and how often it was marked."""

    hour: int
    marks: int


class Pages:
    """`now` is the clock, in seconds since the epoch; `pool` reads the partitions of an hour."""

    def __init__(self, dynamo: Dynamo, now: Callable[[], int], pool: Executor) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.journal_table
        self.now = now
        self.pool = pool

    def write(self, table: str, rows: Sequence[Row]) -> int:
        """Write the rows of a batch, in its order; the number of pages that it makes. Raises `TemporarilyUnavailable`:
        then some may be written, and the batch has to come again."""
        by_hour: defaultdict[int, list[Row]] = defaultdict(list)
        for row in self._without_erased(rows):
            by_hour[row.at // HOUR * HOUR].append(row)
        pages = 0
        for hour, some in sorted(by_hour.items()):
            for page, packed in _split(some):
                self._put(hour, table, page, packed)
                pages += 1
            self._mark(hour)
        return pages

    def _without_erased(self, rows: Sequence[Row]) -> Sequence[Row]:
        """What comes after its caller was erased does not bring it back."""
        of_callers = [row.at for row in rows if row.caller]
        forgotten = Erasures(self.dynamo).forgotten_since(min(of_callers)) if of_callers else []
        if not forgotten:
            return rows
        return [
            replace(row, caller="")
            if any(each.has(row.caller, row.ping, row.at, row.call) for each in forgotten)
            else row
            for row in rows
        ]

    def _put(self, hour: int, table: str, page: Sequence[Row], packed: bytes) -> None:
        first = page[0]
        shard = zlib.crc32(first.event.encode()) % SHARDS
        key = table_key(_partition(hour, shard), f"{table}#{first.event}#{first.place}")
        count = as_number(len(page))
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item={**key, "lines": as_bytes(packed), "rows": count, "delete_at": self._end()},
                ConditionExpression=IS_NEW_OR_LONGER,
                ExpressionAttributeNames={"#rows": "rows"},
                ExpressionAttributeValues={":rows": count},
            )

    def _mark(self, hour: int) -> None:
        """After the page: who closes the hour has read its marks before its pages. Once too often does no harm."""
        self.dynamo.call(
            self.dynamo.client.update_item,
            TableName=self.table,
            Key=table_key("HOURS", _text(hour)),
            UpdateExpression="SET delete_at = :end ADD marks :one",
            ExpressionAttributeValues={":end": self._end(), ":one": as_number(1)},
        )

    def _end(self) -> dict[str, str]:
        return as_number(self.now() + KEPT_SECONDS)

    def lines(self, hour: int) -> bytes:
        """The rows of all pages of an hour as JSON lines; one that is in several pages comes several times. Raises
        `TemporarilyUnavailable`."""
        found = self.pool.map(lambda shard: self._packed(hour, shard), range(SHARDS))
        return b"".join(inflate(page) for packed in found for page in packed)

    def _packed(self, hour: int, shard: int) -> list[bytes]:
        return [bytes_of(item, "lines") for item in self.dynamo.partition(self.table, _partition(hour, shard))]

    def forget(self, forgotten: Sequence[Forgotten]) -> None:
        """Take callers out of all pages. Raises `TemporarilyUnavailable`."""
        for mark in self.dynamo.partition(self.table, "HOURS"):
            for shard in range(SHARDS):
                partition = _partition(int(text_of(mark, "sk")), shard)
                for item in self.dynamo.partition(self.table, partition):
                    self._forget(item, forgotten)

    def _forget(self, item: Item | None, forgotten: Sequence[Forgotten]) -> None:
        while item and (lines := _lines_without(bytes_of(item, "lines"), forgotten)):
            try:
                self.dynamo.call(
                    self.dynamo.client.update_item,
                    TableName=self.table,
                    Key={name: item[name] for name in ("pk", "sk")},
                    UpdateExpression="SET #lines = :lines",
                    ConditionExpression=IS_AS_SEEN,
                    ExpressionAttributeNames={"#lines": "lines"},
                    ExpressionAttributeValues={":lines": as_bytes(lines), ":seen": item["lines"]},
                )
            except ConditionFailed:
                item = self.dynamo.get(self.table, {name: item[name] for name in ("pk", "sk")})
            else:
                return

    def marked(self, before: int) -> list[Mark]:
        """The dirty hours that ended at `before` or earlier. Raises `TemporarilyUnavailable`."""
        found = [
            (int(text_of(item, "sk")), number_of(item, "marks"), number_or(item, "closed", 0))
            for item in self.dynamo.partition(self.table, "HOURS")
        ]
        return [Mark(hour, marks) for hour, marks, closed in found if hour + HOUR <= before and closed < marks]

    def unmark(self, mark: Mark) -> None:
        """The hour's pages, as they were when the mark was read, are in a file: it stays dirty if it was marked again.
        Raises `TemporarilyUnavailable`."""
        marks = as_number(mark.marks)
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=table_key("HOURS", _text(mark.hour)),
                UpdateExpression="SET closed = :marks",
                ConditionExpression=NOT_CLOSED_SINCE,
                ExpressionAttributeValues={":marks": marks},
            )


def _lines_without(packed: bytes, forgotten: Sequence[Forgotten]) -> bytes:
    """The lines of a page without these callers; empty if it has none of them. What this version does not know of a row
    stays."""
    lines, is_changed = inflate(packed).splitlines(), False
    for place, line in enumerate(lines):
        row = msgspec.json.decode(line)
        if (caller := row.get("caller")) and any(
            each.has(caller, row.get("ping", ""), row["at"], row.get("call", "")) for each in forgotten
        ):
            del row["caller"]
            lines[place], is_changed = msgspec.json.encode(row), True
    return zlib.compress(b"".join(line + b"\n" for line in lines)) if is_changed else b""


def _split(rows: Sequence[Row]) -> Iterator[tuple[Sequence[Row], bytes]]:
    """Rows as pages that are not too large for an item, in their order. A page has one row at least."""
    packed = zlib.compress(journal_rows.encode(rows))
    if len(packed) <= PAGE_BYTES or len(rows) == 1:
        yield rows, packed
        return
    half = len(rows) // 2
    yield from _split(rows[:half])
    yield from _split(rows[half:])


def _partition(hour: int, shard: int) -> str:
    return f"PAGE#{_text(hour)}#{shard}"


def _text(hour: int) -> str:
    """With as many digits whatever the hour, so that text sorts as numbers do."""
    return f"{hour:010}"
