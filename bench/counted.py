"""A store client that notes every call: when it ran, what it cost, and whether its condition refused it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from shared.settings import Settings
from shared.store.dynamo import ConditionFailed, Dynamo

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITES = {"put_item", "update_item"}


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    table: str
    began: float
    ended: float
    units: float
    refused: bool

    @property
    def writes(self) -> bool:
        return self.method in WRITES


class Counted(Dynamo):
    """Every call waits `seconds` first, so that calls made at once are seen to overlap."""

    def __init__(self, client: "DynamoDBClient", settings: Settings, seconds: float = 0.0) -> None:
        super().__init__(client, settings)
        self.seconds = seconds
        self.trace: list[Call] = []

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        table = request.get("TableName") or next(iter(request["RequestItems"]))
        began = time.perf_counter()
        time.sleep(self.seconds)

        def note(units: float, refused: bool) -> None:
            ended = time.perf_counter()
            self.trace.append(Call(method.__name__, table, began, ended, units, refused))

        try:
            answer = super().send(method, sendings, *args, **request, ReturnConsumedCapacity="TOTAL")
        except ConditionFailed as met:
            note(_units_of_a_refusal(met), refused=True)
            raise
        consumed = answer["ConsumedCapacity"]
        listed = consumed if isinstance(consumed, list) else [consumed]
        note(sum(each["CapacityUnits"] for each in listed), refused=False)
        return answer


def round_trips(trace: list[Call]) -> int:
    """The longest chain of calls of which each began after the one before had ended."""
    chain, ended = 0, 0.0
    for call in sorted(trace, key=lambda call: call.ended):
        if call.began >= ended:
            chain, ended = chain + 1, call.ended
    return chain


def _units_of_a_refusal(met: ConditionFailed) -> float:
    """A refused write costs what the item that stands is large: no engine says so, but DynamoDB charges it."""
    return write_units(met.item or {})


def write_units(item: Mapping[str, Any]) -> int:
    """Of an item in its table."""
    return max(1, ceil(item_bytes(item) / 1024))


def item_bytes(item: Mapping[str, Any]) -> int:
    return sum(len(name) + _size(value) for name, value in item.items())


def _size(value: Any) -> int:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
    [(kind, content)] = value.items()
    if kind == "L":
        return 3 + sum(1 + _size(each) for each in content)
    if kind == "N":
        return len(content) // 2 + 1
    return 1 if kind == "BOOL" else len(content)
