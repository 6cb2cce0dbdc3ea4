"""Requests that were refused before anybody could bid on them, an item each in the table of pings: what their senders
have to change can be seen, and no value that they sent but state, area code and traffic source.

Its `kind` tells such an item from all others of the table. Nothing finds it by its id but the table's stream.
"""

from contextlib import suppress

from botocore.exceptions import ClientError
from msgspec import Struct

from shared.domain.models import DAY
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Dynamo
from shared.store.items import as_bytes, as_number, as_text, ping_key

KIND = "refusal"
KEPT_SECONDS = 2 * DAY
CALLER_BYTES = 8
"""Of the caller's keyed hash as many are stored."""


class RefusedRequest(Struct, frozen=True, kw_only=True):
    """`fields` are the names of those that are wrong, `caller` the keyed hash, b"" without one."""

    id: bytes
    at: int
    status: str
    fields: tuple[str, ...]
    endpoint: str
    version: int
    user: str
    source: str
    state: str
    area_code: str
    caller: bytes
    milliseconds: int


class RefusedRequests:
    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.pings_table

    def store(self, request: RefusedRequest) -> None:
        """Once, unless the id is taken. Raises nothing: what cannot be stored is lost."""
        texts = {
            name: getattr(request, name) for name in ("status", "endpoint", "user", "source", "state", "area_code")
        }
        item = {
            **ping_key(request.id),
            "kind": as_text(KIND),
            "at": as_number(request.at),
            "delete_at": as_number(request.at + KEPT_SECONDS),
            "version": as_number(request.version),
            "milliseconds": as_number(request.milliseconds),
            **{name: as_text(text) for name, text in texts.items() if text},
            **({"fields": {"SS": [*request.fields]}} if request.fields else {}),
            **({"caller_start": as_bytes(request.caller[:CALLER_BYTES])} if request.caller else {}),
        }
        with suppress(ConditionFailed, TemporarilyUnavailable, ClientError):
            self.dynamo.once(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item=item,
                ConditionExpression="attribute_not_exists(ping_id)",
            )

    def forget(self, request_id: bytes) -> None:
        """Delete the item of a request, if there is one."""
        with suppress(ConditionFailed):
            self.dynamo.call(
                self.dynamo.client.delete_item,
                TableName=self.table,
                Key=ping_key(request_id),
                ConditionExpression="kind = :kind",
                ExpressionAttributeValues={":kind": as_text(KIND)},
            )
