"""One request's calls to DynamoDB: held to the request's deadline, their failures named.

A call has one of three outcomes: its answer; *not done*, which is sure where DynamoDB throttles or is not reached; or
*unclear*: it was done, was not, or will be done later, after other writes. What is not done is sent again until the
deadline, what is unclear once more, and only where it may be done twice.
"""

import copy
import json
import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)

from shared.domain.refusals import TemporarilyUnavailable
from shared.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

P = ParamSpec("P")
R = TypeVar("R")

Item = Mapping[str, Any]
"""An item in DynamoDB's typed form: `{"name": {"S": "…"}}`."""

ATTEMPT_SECONDS = 2
"""The longest that one sending of a function can take: a second to connect and one to read."""
COMMAND_ATTEMPT_SECONDS = 5
"""The same of the operator's command, which may be far away: a second to connect and four to read."""
SENDINGS = 2
"""How often a call whose outcome is unclear is sent at most, where it may be done twice."""
TRIES = 12
"""How often a call that is surely not done is sent at most."""
READ_AT_ONCE, WRITTEN_AT_ONCE = 100, 25
"""The most that BatchGetItem and BatchWriteItem take."""
FIRST_PAUSE, LONGEST_PAUSE = 0.04, 1.0
"""Seconds between two sendings; a pause is up to twice as long as the one before it."""

THROTTLED = {
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException",
    "TransactionConflictException",
}  # fmt: skip
PASSING_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Reasons for which a canceled transaction may succeed later."""
NOT_SIGNED_IN_TIME = "InvalidSignatureException"
"""The clock is minutes off. It does not help to send again."""
UNCLEAR = {"InternalServerError", "ServiceUnavailable", "TransactionInProgressException"}
NOT_REACHED = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError)


class ConditionFailed(Exception):
    """The write was refused by its condition and changed nothing; `item` is what it met, None where there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__()
        self.item = item


class UnreadableAnswer(BotoCoreError):
    """The answer is no JSON, or not the one that DynamoDB sent."""

    fmt = "The answer of DynamoDB cannot be read."


class Dynamo:
    """`deadline` is on the monotonic clock. After it no call starts, nor one that might not end before it: a sending
    takes `attempt_seconds` at most. With a `fault`, which says why this process must not work, none starts at all."""

    def __init__(
        self,
        client: "DynamoDBClient",
        settings: Settings,
        deadline: float = inf,
        fault: BaseException | None = None,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self.client = client
        self.settings = settings
        self.deadline = deadline
        self.fault = fault
        self.attempt_seconds = attempt_seconds

    def of_sandbox(self) -> "Dynamo":
        """The same over the tables of the sandbox endpoints."""
        sandbox = copy.copy(self)
        sandbox.settings = self.settings.of_sandbox()
        return sandbox

    def call(self, method: Callable[P, R], *args: P.args, **request: P.kwargs) -> R:
        """A call that may be done twice. Raises `ConditionFailed`, and `TemporarilyUnavailable`, which says whether it
        was surely not done."""
        return self.send(method, SENDINGS, *args, **request)

    def once(self, method: Callable[P, R], *args: P.args, **request: P.kwargs) -> R:
        """A call that is not sent again once it may have been done: for writes that would count twice."""
        return self.send(method, 1, *args, **request)

    def send(self, method: Callable[P, R], sendings: int, *args: P.args, **request: P.kwargs) -> R:
        not_done, fault = True, cast("Exception | None", None)
        for failures in range(TRIES):
            if failures:
                self._pause(failures, not_done, fault)
            self.check_time(not_done)
            try:
                return method(*args, **request)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ConditionalCheckFailedException":
                    raise ConditionFailed(cast("Item | None", error.response.get("Item"))) from None
                fault = error
                if code == NOT_SIGNED_IN_TIME:
                    break
                if _is_unclear(error):
                    not_done = False
                    sendings -= 1
                elif code not in THROTTLED:
                    raise
            except NOT_REACHED as error:
                fault = error
            except BotoCoreError as error:
                not_done = False
                sendings -= 1
                fault = error
            if sendings == 0:
                break
        raise TemporarilyUnavailable(not_done=not_done) from fault

    def get(self, table: str, key: Mapping[str, Any]) -> Item | None:
        """An item as it is now."""
        return self.call(self.client.get_item, TableName=table, Key=key, ConsistentRead=True).get("Item")

    def pages(self, method: Callable[..., Any], **request: Any) -> Iterator[tuple[list[Item], Item | None]]:
        """Pages of a query or a scan, and the key after which each goes on: a call for each page."""
        while True:
            answer = self.call(method, **request)
            after = answer.get("LastEvaluatedKey")
            yield answer["Items"], after
            if not after:
                return
            request["ExclusiveStartKey"] = after

    def items(self, method: Callable[..., Any], **request: Any) -> Iterator[Item]:
        """The items of all pages of a query or a scan."""
        return (item for items, _ in self.pages(method, **request) for item in items)

    def partition(self, table: str, pk: str, prefix: str = "") -> Iterator[Item]:
        """The items of a partition, as they are now, whose sort keys begin so."""
        values = {":pk": {"S": pk}, **({":prefix": {"S": prefix}} if prefix else {})}
        return self.items(
            self.client.query,
            TableName=table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk" + (" AND begins_with(sk, :prefix)" if prefix else ""),
            ExpressionAttributeValues=values,
        )

    def transact(self, items: Sequence[Any]) -> None:
        """All of some writes or none. Raises `ConditionFailed`."""
        try:
            self.call(self.client.transact_write_items, TransactItems=items)
        except self.client.exceptions.TransactionCanceledException as canceled:
            reasons = {reason["Code"] for reason in canceled.response["CancellationReasons"]}
            if "ConditionalCheckFailed" in reasons:
                raise ConditionFailed(None) from None
            if reasons & PASSING_REASONS:
                raise TemporarilyUnavailable(not_done=True) from canceled
            raise

    def batch_get(self, table: str, keys: Sequence[Any], **options: Any) -> list[Item]:
        """The items that are there, in no order: a call for a hundred keys and for each time that DynamoDB leaves some
        unread. Raises `TemporarilyUnavailable`."""
        items: list[Item] = []

        def read(some: Sequence[Any]) -> Sequence[Any]:
            request: Any = {table: {"Keys": some, **options}}
            answer = self.call(self.client.batch_get_item, RequestItems=request)
            items.extend(answer["Responses"].get(table, []))
            return answer.get("UnprocessedKeys", {}).get(table, {"Keys": []})["Keys"]

        self._in_batches(keys, READ_AT_ONCE, read)
        return items

    def batch_put(self, table: str, items: Sequence[Item]) -> None:
        """Write items, over what is there: a call for 25 and for each time that DynamoDB leaves some unwritten. Raises
        `TemporarilyUnavailable`."""

        def write(some: Sequence[Any]) -> Sequence[Any]:
            answer = self.call(self.client.batch_write_item, RequestItems={table: some})
            return answer["UnprocessedItems"].get(table, [])

        self._in_batches([{"PutRequest": {"Item": item}} for item in items], WRITTEN_AT_ONCE, write)

    def _in_batches(self, entries: Sequence[Any], size: int, act: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        """`act` gives what was left undone of its entries."""
        left, idle = list(entries), 0
        while left:
            undone = act(left[:size])
            idle = idle + 1 if len(undone) == len(left[:size]) else 0
            left = [*undone, *left[size:]]
            if idle == TRIES:
                raise TemporarilyUnavailable(not_done=True)
            if idle:
                self._pause(idle, not_done=True)

    def _pause(self, failures: int, not_done: bool, fault: Exception | None = None) -> None:
        seconds = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**failures) * random.uniform(0.5, 1)  # noqa: S311 - it spreads load
        try:
            self.check_time(not_done, seconds)
        except TemporarilyUnavailable as out_of_time:
            raise out_of_time from fault
        time.sleep(seconds)

    def rehearse(self) -> None:
        """Build and sign each kind of call, and send none: what the SDK looks up of its model is kept."""
        item: Any = {"pk": {"S": "-"}, "number": {"N": "0"}, "id": {"B": b"-"}, "yes": {"BOOL": True}}
        write = {"TableName": "-", "ConditionExpression": "-", "ExpressionAttributeValues": item}
        for method, request in {
            "put_item": write | {"Item": item},
            "update_item": write | {"Key": item, "UpdateExpression": "-"},
            "batch_get_item": {"RequestItems": {"-": {"Keys": [item], "ConsistentRead": True}}},
        }.items():
            self.client.generate_presigned_url(method, Params=request)

    def check_time(self, not_done: bool = True, seconds: float = 0) -> None:
        """Raises `TemporarilyUnavailable` where a sending that starts in so many seconds might not end in time."""
        if self.fault:
            raise TemporarilyUnavailable(not_done=True) from self.fault
        if time.monotonic() + seconds + self.attempt_seconds > self.deadline:
            raise TemporarilyUnavailable(not_done=not_done)


def refuse_unreadable_answers(client: "DynamoDBClient") -> None:
    """Let a client raise `UnreadableAnswer` where it would read a broken answer as an empty one."""
    client.meta.events.register("before-parse.dynamodb", _check_answer)


def _check_answer(response_dict: Mapping[str, Any], **_: object) -> None:
    if response_dict["status_code"] >= 300:
        return
    checksum, body = response_dict["headers"].get("x-amz-crc32"), response_dict["body"]
    try:
        whole = int(checksum) == zlib.crc32(body) if checksum else isinstance(json.loads(body), dict)
    except ValueError:
        whole = False
    if not whole:
        raise UnreadableAnswer


def _is_unclear(error: ClientError) -> bool:
    """By its status, whatever its code; and an error whose code could not be read has its status for one."""
    code, http_status = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    return http_status >= 500 or code in UNCLEAR or code.isdecimal()
