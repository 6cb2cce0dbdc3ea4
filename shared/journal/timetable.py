"""The timetable: what has to be looked at, at which minute. Items of the journal table, by `pk` and `sk`:

    DUE#<minute>   <digest>     calls, sales: the ids of calls and of sold pings that are due; since: their first minute
    TIMETABLE      TIMETABLE    finished: the last minute of which all is done

Consumers of streams enter what is due, one item for each minute and batch, and the minute function does it. An item's
name follows from what it holds, and it is put if it is not there. So a batch may come as often as it likes.

**Nothing is entered in a minute that may be done already**: what is due now, or was before, is entered in the minute
after next. A write is answered, or the batch comes again, within less than the minute between.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from shared.domain.models import DAY
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_number, as_text, number_of, table_key

MINUTE = 60
KEPT_SECONDS = 3 * DAY
"""How long what is due is kept, and tried if it fails."""
THE_TIMETABLE = table_key("TIMETABLE", "TIMETABLE")
IS_NEW = "attribute_not_exists(pk)"
IS_LATER = "attribute_exists(pk) AND finished < :minute"

Kind = Literal["calls", "sales"]


class Due(Struct, frozen=True):
    """A call, or a sold ping, that is to be looked at from `at` on."""

    kind: Kind
    id: bytes
    at: int


class Entry(Struct, frozen=True):
    """What is due at a minute, of one batch. `since` is the minute in which it was entered first."""

    calls: frozenset[bytes]
    sales: frozenset[bytes]
    since: int


class Timetable:
    """`now` is the clock, in seconds since the epoch; `begun` are the tables that this process knows to have begun.
    Methods raise `TemporarilyUnavailable`."""

    def __init__(self, dynamo: Dynamo, now: Callable[[], int], begun: set[str]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.journal_table
        self.now = now
        self.begun = begun

    def enter(self, due: Iterable[Due], since: int = 0) -> None:
        """`since` is 0 for what has not been entered before."""
        soonest = self._minute() + 2 * MINUTE
        by_minute: defaultdict[int, dict[Kind, set[bytes]]] = defaultdict(lambda: {"calls": set(), "sales": set()})
        for each in due:
            by_minute[max(-(-each.at // MINUTE) * MINUTE, soonest)][each.kind].add(each.id)
        if by_minute:
            self._begin()
        for minute, ids in sorted(by_minute.items()):
            self._put(minute, Entry(frozenset(ids["calls"]), frozenset(ids["sales"]), since or minute))

    def minutes(self) -> Iterator[int]:
        """Those that have come and are not finished, in their order. None before anything was entered."""
        item = self.dynamo.get(self.table, THE_TIMETABLE)
        if item is None:
            return iter(())
        minute = self._minute()
        first = max(number_of(item, "finished") + MINUTE, minute - KEPT_SECONDS)
        return iter(range(first, minute + MINUTE, MINUTE))

    def entries(self, minute: int) -> Iterator[Entry]:
        return (_entry(item) for item in self.dynamo.partition(self.table, f"DUE#{minute:010}"))

    def note_finished(self, minute: int) -> None:
        """All that was due at this minute, and before, is done, or entered again."""
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=THE_TIMETABLE,
                UpdateExpression="SET finished = :minute",
                ConditionExpression=IS_LATER,
                ExpressionAttributeValues={":minute": as_number(minute)},
            )

    def _minute(self) -> int:
        return self.now() // MINUTE * MINUTE

    def _begin(self) -> None:
        """Before the first entry: all that comes is in later minutes."""
        if self.table not in self.begun:
            self._put_new({**THE_TIMETABLE, "finished": as_number(self._minute())})
            self.begun.add(self.table)

    def _put(self, minute: int, entry: Entry) -> None:
        ids = {name: some for name, some in (("calls", entry.calls), ("sales", entry.sales)) if some}
        named = "#".join([*(f"{name} {b''.join(sorted(some)).hex()}" for name, some in ids.items()), f"{entry.since}"])
        self._put_new(
            {
                "pk": as_text(f"DUE#{minute:010}"),
                "sk": as_text(hashlib.sha256(named.encode()).hexdigest()[:24]),
                "since": as_number(entry.since),
                "delete_at": as_number(minute + KEPT_SECONDS),
                **{name: {"BS": sorted(some)} for name, some in ids.items()},
            }
        )

    def _put_new(self, item: Item) -> None:
        with suppress(ConditionFailed):
            self.dynamo.call(self.dynamo.client.put_item, TableName=self.table, Item=item, ConditionExpression=IS_NEW)


def _entry(item: Item) -> Entry:
    calls, sales = (frozenset(item[name]["BS"]) if name in item else frozenset() for name in ("calls", "sales"))
    return Entry(calls, sales, number_of(item, "since"))
