"""What the timetable says is done, minute after minute. A step may be lost, or done by two runs at once: all that is
done may be repeated, and a minute is finished when everything of it is done or entered again."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial

from botocore.exceptions import ClientError
from msgspec import Struct

from shared.domain import reservations
from shared.domain.models import Endpoint, Ping, Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.reservations import CameTrue
from shared.domain.schedule import local_time
from shared.journal.consumer import EndpointOf
from shared.journal.events import BROKEN
from shared.journal.timetable import KEPT_SECONDS, Due, Entry, Kind, Timetable
from shared.store.calls import Calls
from shared.store.dynamo import Dynamo, Item
from shared.store.items import as_bytes, bytes_of, ping_key
from shared.store.packing import unpack
from shared.store.reservations import Reservations

FAULTS = (*BROKEN, TemporarilyUnavailable)
"""What the work on one item may raise, beside what DynamoDB says, that must not keep the others waiting."""

SettleCall = Callable[[bytes], object]
"""Settles a call of which nothing more will come, by its id, and gives back what it held. It may be repeated."""


class Failure(Struct, frozen=True):
    """What could not be done, and is tried again; `fault` is the name of the error, or DynamoDB's code."""

    kind: Kind
    id: str
    fault: str


class Done(Struct, frozen=True):
    """How many calls and sales there were to look at, and what failed of them."""

    looked_at: int
    failures: list[Failure]


class DueWork:
    """`pool` closes several sales at once, and `now` is the clock, in seconds since the epoch."""

    def __init__(
        self,
        timetable: Timetable,
        settle_call: SettleCall,
        reservations: Reservations,
        endpoint_of: EndpointOf,
        pool: Executor,
        now: Callable[[], int],
    ) -> None:
        self.dynamo: Dynamo = timetable.dynamo
        self.timetable = timetable
        self.calls = Calls(timetable.dynamo)
        self.settle_call = settle_call
        self.reservations = reservations
        self.endpoint_of = endpoint_of
        self.pool = pool
        self.now = now

    def do_all(self) -> Done:
        """Everything of each minute that has come and is not finished. What fails is entered again, until it is three
        days old. Raises `TemporarilyUnavailable`: the next run goes on at that minute."""
        looked_at, failures, finished = 0, list[Failure](), 0
        for finished in self.timetable.minutes():
            entries = [*self.timetable.entries(finished)]
            for entry in entries:
                failed = self._do(entry)
                if entry.since + KEPT_SECONDS > self.now():
                    again = [Due(each.kind, bytes.fromhex(each.id), self.now()) for each in failed]
                    self.timetable.enter(again, entry.since)
                looked_at += len(entry.calls) + len(entry.sales)
                failures += failed
            if entries:
                self.timetable.note_finished(finished)
        if finished:
            self.timetable.note_finished(finished)
        return Done(looked_at, failures)

    def _do(self, entry: Entry) -> list[Failure]:
        calls, sales = self._unsettled(entry.calls), self._uncalled(entry.sales)
        closing = self.pool.map(lambda item: _fault_of(partial(self._close, item)), sales)
        faults: list[tuple[Kind, bytes, str]] = [
            *(("calls", call_id, _fault_of(partial(self.settle_call, call_id))) for call_id in calls),
            *(("sales", bytes_of(item, "ping_id"), fault) for item, fault in zip(sales, closing, strict=True)),
        ]
        return [Failure(kind, some_id.hex(), fault) for kind, some_id, fault in faults if fault]

    def _unsettled(self, call_ids: Iterable[bytes]) -> list[bytes]:
        keys = [{"call_id": as_bytes(call_id)} for call_id in sorted(call_ids)]
        found = self._read(self.calls.table, keys, ["call_id", "settled"])
        return [bytes_of(item, "call_id") for item in found if "settled" not in item]

    def _uncalled(self, ping_ids: Iterable[bytes]) -> list[Item]:
        names = ["ping_id", "ping", "sale", "called"]
        found = self._read(self.dynamo.settings.pings_table, [ping_key(each) for each in sorted(ping_ids)], names)
        return [item for item in found if "sale" in item and "called" not in item]

    def _read(self, table: str, keys: Sequence[Item], names: list[str]) -> list[Item]:
        """As they are now, without what is not there."""
        placeholders = {f"#{name}": name for name in names}
        return self.dynamo.batch_get(
            table,
            keys,
            ConsistentRead=True,
            ProjectionExpression=", ".join(placeholders),
            ExpressionAttributeNames=placeholders,
        )

    def _close(self, item: Item) -> None:
        """Of a sale without a call: note that none came, and give back what no call will take. One that another sale
        has replaced gives back, too."""
        ping, sale = unpack(bytes_of(item, "ping"), Ping), unpack(bytes_of(item, "sale"), Sale)
        now = self.now()
        if not self.calls.mark_never_called(ping.id, now) and self._was_called(ping.id):
            return
        endpoint = self.endpoint_of(ping.endpoint, sale.version_of(ping))
        self._give(ping, sale, endpoint, now)

    def _was_called(self, ping_id: bytes) -> bool:
        item = self.dynamo.get(self.dynamo.settings.pings_table, ping_key(ping_id))
        return item is None or "called" in item

    def _give(self, ping: Ping, sale: Sale, endpoint: Endpoint | None, now: int) -> None:
        """An endpoint that is gone may have had caps of its own."""
        buyer = endpoint.buyer(sale.buyer_id) if endpoint else None
        if buyer:
            self.reservations.give_sale(buyer, ping.id, sale.attempt, now)
        else:
            key, local = reservations.key(ping.id, sale.attempt), local_time("UTC", now)
            self.reservations.give(sale.buyer_id, key, {"", ping.endpoint}, CameTrue(recorded=True), local)


def _fault_of(act: Callable[[], object]) -> str:
    """Empty if there is none."""
    try:
        act()
    except ClientError as fault:
        return fault.response["Error"]["Code"]
    except FAULTS as fault:
        return type(fault).__name__
    return ""
