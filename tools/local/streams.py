"""What calls functions without a request: a table's stream, in batches, each until it has gone through, as Lambda's
event source mapping does; and the clock."""

import asyncio
import base64
import hashlib
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tools.engine import REGION
from tools.local.lambda_runtime import FunctionFailed, FunctionTimedOut, Runtime
from tools.stack_access import write_secret

BATCH = 1000
WINDOW_SECONDS = 1
TRIMMED_SECONDS, PAUSE_SECONDS = 5, 0.1
TRIMMED = "TrimmedDataAccessException"
FAULTS = (FunctionFailed, FunctionTimedOut, BotoCoreError, ClientError)
"""They may be over at the next try."""


class Batch(NamedTuple):
    """Records of one shard, as a function gets them."""

    shard: str
    records: list[dict[str, Any]]

    @property
    def event(self) -> dict[str, Any]:
        return {"Records": self.records}


class Stream:
    """`client` is the engine's for streams, `arn` the stream's. What has gone through is noted in `file`, so that a
    later run goes on from there."""

    def __init__(self, client: Any, arn: str, file: Path) -> None:
        self.client = client
        self._arn = arn
        self._file = file
        self._positions: dict[str, str] = {}
        if file.exists():
            self._positions = json.loads(file.read_text()).get(arn, {})

    def next_batch(self) -> Batch | None:
        """What comes next, None if nothing does. A shard comes after the one that it continues."""
        for shard in self._shards():
            if records := self._records(shard):
                return Batch(shard, [_as_lambda_has_it(record, self._arn) for record in records])
        return None

    def _records(self, shard: str) -> list[dict[str, Any]]:
        """DynamoDB Local may call a shard trimmed to which the first items are just being written: it is read again."""
        give_up_at = time.monotonic() + TRIMMED_SECONDS
        while True:
            try:
                return list(self.client.get_records(ShardIterator=self._iterator(shard), Limit=BATCH)["Records"])
            except ClientError as error:
                if error.response["Error"]["Code"] != TRIMMED or time.monotonic() > give_up_at:
                    raise
            time.sleep(PAUSE_SECONDS)

    def note_done(self, batch: Batch, failures: Mapping[str, Any]) -> bool:
        """Go on after what has gone through: `failures` is the function's answer. Whether all has."""
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch.records]
        failed = {each["itemIdentifier"] for each in failures["batchItemFailures"]}
        first = next((place for place, number in enumerate(numbers) if number in failed), len(numbers))
        if first:
            self._positions[batch.shard] = numbers[first - 1]
            write_secret(self._file, json.dumps({self._arn: self._positions}))
        return first == len(numbers)

    def _shards(self) -> list[str]:
        shards: list[str] = []
        request: dict[str, Any] = {"StreamArn": self._arn}
        while True:
            described = self.client.describe_stream(**request)["StreamDescription"]
            shards += [shard["ShardId"] for shard in described["Shards"]]
            if not (last := described.get("LastEvaluatedShardId")):
                return shards
            request["ExclusiveStartShardId"] = last

    def _iterator(self, shard: str) -> Any:
        of = {"StreamArn": self._arn, "ShardId": shard}
        if number := self._positions.get(shard):
            try:
                after = {**of, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}
                return self.client.get_shard_iterator(**after)["ShardIterator"]
            except ClientError as error:
                if error.response["Error"]["Code"] != TRIMMED:
                    raise
        return self.client.get_shard_iterator(**of, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]


async def bring_stream(runtime: Runtime, function: str, stream: Stream) -> None:
    """Call the function with each batch of the stream, about once a second, until it is canceled."""
    while True:
        try:
            while batch := await asyncio.to_thread(stream.next_batch):
                answer = json.loads(await runtime.invoke(function, batch.event))
                if not await asyncio.to_thread(stream.note_done, batch, answer):
                    break
        except FAULTS as fault:
            logging.warning("The function %s did not take a batch: %r", function, fault)
        await asyncio.sleep(WINDOW_SECONDS)


async def call_by_clock(runtime: Runtime, function: str, minutes: int) -> None:
    """Call the function again and again, until it is canceled."""
    while True:
        await asyncio.sleep(minutes * 60)
        try:
            await runtime.invoke(function, {})
        except (FunctionFailed, FunctionTimedOut) as fault:
            logging.warning("The function %s did not end well: %r", function, fault)


def _as_lambda_has_it(record: Mapping[str, Any], arn: str) -> dict[str, Any]:
    """With bytes in base64 and times as numbers. The ids of events are ours: dynoxide's begin with 1 in each table."""
    change = {name: _plain(value) for name, value in record["dynamodb"].items()}
    change["ApproximateCreationDateTime"] = int(record["dynamodb"]["ApproximateCreationDateTime"].timestamp())
    return {
        "eventID": hashlib.sha256(f"{arn} {change['SequenceNumber']}".encode()).hexdigest()[:32],
        "eventName": record["eventName"],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": change,
        **({"userIdentity": dict(record["userIdentity"])} if "userIdentity" in record else {}),
        "eventSourceARN": arn,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value
