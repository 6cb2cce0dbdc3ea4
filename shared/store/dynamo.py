"""One request's calls to DynamoDB: held to the request's deadline, their failures named."""

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.refusals import TemporarilyUnavailable
from shared.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

P = ParamSpec("P")
R = TypeVar("R")

Item = Mapping[str, Any]
"""An item in DynamoDB's typed form: `{"name": {"S": "…"}}`."""

CALL_SECONDS = 5
"""The longest that one call can take: two attempts of a second to connect and one to read, up to one between them."""
ATTEMPT_SECONDS = 2
"""The longest that one of them can take."""

PASSING = {
    "InternalServerError", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ServiceUnavailable",
    "ThrottlingException", "TransactionConflictException", "TransactionInProgressException",
}  # fmt: skip


_sending_once = ContextVar("_sending_once", default=False)


class ConditionFailed(Exception):
    """The write was refused by its condition and changed nothing; `item` is what it met, None where there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__()
        self.item = item


class Dynamo:
    """`deadline` is on the monotonic clock. After it no call starts, nor one that might not end before it: near to it
    the SDK sends none a second time."""

    def __init__(self, client: "DynamoDBClient", settings: Settings, deadline: float = inf) -> None:
        self.client = client
        self.settings = settings
        self.deadline = deadline

    def call(self, method: Callable[P, R], *args: P.args, **request: P.kwargs) -> R:
        """Raises `ConditionFailed`, and `TemporarilyUnavailable` where the outcome is unclear or the time too short."""
        self.check_time()
        if time.monotonic() + CALL_SECONDS > self.deadline and not _sending_once.get():
            return self.once(method, *args, **request)
        try:
            return method(*args, **request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise ConditionFailed(cast("Item | None", error.response.get("Item"))) from None
            if error.response["Error"]["Code"] in PASSING:
                raise TemporarilyUnavailable from error
            raise
        except BotoCoreError as error:
            raise TemporarilyUnavailable from error

    def once(self, method: Callable[P, R], *args: P.args, **request: P.kwargs) -> R:
        """A `call` that the SDK sends no second time, for writes that would count twice."""
        self.client.meta.events.register_first(
            "needs-retry.dynamodb",
            _retry_unless_once,  # type: ignore[arg-type]  # the stubs know no handler that answers
            unique_id="ringpost-once",
        )
        before = _sending_once.set(True)
        try:
            return self.call(method, *args, **request)
        finally:
            _sending_once.reset(before)

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

    def check_time(self) -> None:
        if time.monotonic() + ATTEMPT_SECONDS > self.deadline:
            raise TemporarilyUnavailable


def _retry_unless_once(**_: object) -> bool | None:
    """Whether botocore sends again. Of all handlers the first answer that is not None decides: False is no."""
    return False if _sending_once.get() else None
