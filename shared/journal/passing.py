"""Whether everything that happened before a moment has gone through the stream.

Probes are put into the tables of pings and of calls, so many that each shard of their streams has some, and the journal
function notes those that it meets. A shard that is stuck holds its own back. Items of three tables:

    pings     12 random bytes   kind: probe; run; delete_at
    calls     12 random bytes   the same
    journal   PROBES   <run>    wanted: how many there are; seen: the ids of those that were met; delete_at
"""

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from shared.domain.keys import ID_BYTES
from shared.domain.models import DAY
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_bytes, as_number, as_text, bytes_of, number_of, table_key, text_of

KIND = "probe"
PROBES_A_SHARD = 50
"""A shard that has half of its share of keys is missed once in 70 billion times."""
MOST_PROBES = 5_000
"""In a table: the ids of all have to fit into an item."""
RUN_BYTES = 8
KEPT_SECONDS = DAY
PATIENCE_SECONDS = 600


class Passing:
    """`streams` is botocore's client for streams; `now` is the clock, in seconds since the epoch. Methods raise
    `TemporarilyUnavailable`."""

    def __init__(self, dynamo: Dynamo, streams: Any, now: Callable[[], int]) -> None:
        self.dynamo = dynamo
        self.streams = streams
        self.now = now

    def start(self) -> str:
        """Put probes. `has_passed` and `is_over` take what this returns."""
        run, ends = os.urandom(RUN_BYTES).hex(), as_number(self.now() + KEPT_SECONDS)
        probes = [
            (table, {key: as_bytes(os.urandom(ID_BYTES))})
            for table, key in self._tables()
            for _ in range(min(PROBES_A_SHARD * self._count_shards(table), MOST_PROBES))
        ]
        self.dynamo.call(
            self.dynamo.client.put_item,
            TableName=self.dynamo.settings.journal_table,
            Item={**_key(run), "wanted": as_number(len(probes)), "delete_at": ends},
        )
        for table, probe in probes:  # not in batches: who may write these may delete pings
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=table,
                Item={**probe, "kind": as_text(KIND), "run": as_text(run), "delete_at": ends},
            )
        return run

    def has_passed(self, run: str) -> bool:
        """Whether all that was written before `start` has become rows, or was set aside."""
        noted = self._noted(run)
        return noted is not None and "seen" in noted and len(noted["seen"]["BS"]) >= number_of(noted, "wanted")

    def is_over(self, run: str) -> bool:
        """Whether these probes are too old to be noted."""
        noted = self._noted(run)
        return noted is None or number_of(noted, "delete_at") <= self.now()

    def wait(self, pause: Callable[[], None]) -> bool:
        """Whether everything has passed within `PATIENCE_SECONDS`; `pause` waits a while."""
        until = self.now() + PATIENCE_SECONDS
        run = self.start()
        while not self.has_passed(run):
            if self.now() >= until:
                return False
            pause()
        return True

    def _noted(self, run: str) -> Item | None:
        return self.dynamo.get(self.dynamo.settings.journal_table, _key(run))

    def began_at(self) -> int:
        """Since when there is the stream of pings: what happened earlier may have no row."""
        stream = self._stream(self.dynamo.settings.pings_table)
        described = self.dynamo.call(self.streams.describe_stream, StreamArn=stream, Limit=1)
        began: datetime = described["StreamDescription"]["CreationRequestDateTime"]
        return math.ceil(began.timestamp())

    def _tables(self) -> list[tuple[str, str]]:
        """Those with a stream, and their keys."""
        of = self.dynamo.settings
        return [(of.pings_table, "ping_id"), *([(of.calls_table, "call_id")] if of.calls_table else [])]

    def _stream(self, table: str) -> str:
        described = self.dynamo.call(self.dynamo.client.describe_table, TableName=table)
        return described["Table"]["LatestStreamArn"]

    def _count_shards(self, table: str) -> int:
        """Those that are written to."""
        request, count = {"StreamArn": self._stream(table)}, 0
        while True:
            described = self.dynamo.call(self.streams.describe_stream, **request)["StreamDescription"]
            count += sum("EndingSequenceNumber" not in each["SequenceNumberRange"] for each in described["Shards"])
            if not (last := described.get("LastEvaluatedShardId")):
                return max(count, 1)
            request["ExclusiveStartShardId"] = last


def note_probes(dynamo: Dynamo, items: Iterable[Item], now: int) -> None:
    """Note probes that have come with the stream. Twice is once. Raises `TemporarilyUnavailable`."""
    met: defaultdict[str, set[bytes]] = defaultdict(set)
    for item in items:
        met[text_of(item, "run")].add(bytes_of(item, "ping_id") or bytes_of(item, "call_id"))
    for run, ids in met.items():
        try:
            dynamo.call(
                dynamo.client.update_item,
                TableName=dynamo.settings.journal_table,
                Key=_key(run),
                UpdateExpression="ADD seen :ids",
                ConditionExpression="attribute_exists(pk) AND delete_at > :now",
                ExpressionAttributeValues={":ids": {"BS": [*ids]}, ":now": as_number(now)},
            )
        except ConditionFailed:
            continue  # nobody asks any more


def is_probe(item: Item | None) -> bool:
    return item is not None and item.get("kind") == as_text(KIND)


def _key(run: str) -> Item:
    return table_key("PROBES", run)
