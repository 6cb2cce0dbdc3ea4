"""Retry keys: how post-only and FULL find the first attempt at their sale, in the table of pings.

A retry key's item holds the `first` attempt's ping id, a `digest` of what has to be the same in each attempt,
`held_until` and `delete_at`.
"""

from collections.abc import Sequence

from shared.domain.refusals import InvalidFields
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_bytes, as_number, bytes_of, number_of, ping_key
from shared.store.routes import MARK_SECONDS

IDEMPOTENCY_KEY = "Idempotency-Key"
KEY_OF_ANOTHER_LEAD = "This Idempotency-Key was sent with another lead. Send a new key with a new lead."

KEY_IS_FREE = "attribute_not_exists(ping_id) OR held_until <= :now"
KEY_IS_OURS = "#first IN (:first, :instead_of) AND digest = :digest AND held_until <= :held_until"
"""A later `held_until` is never lowered: a write that arrives late may not shorten what a later one has promised."""

RetryKey = tuple[bytes, bytes]
"""The key of the first attempt at a sale, and a digest of what has to be the same in each attempt."""


class RetryKeys:
    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.pings_table

    def first_attempt(
        self, retry: Sequence[RetryKey], ping_id: bytes, held_until: int, now: int, instead_of: bytes = b""
    ) -> bytes:
        """The ping under which this lead is being sold: `ping_id` if nobody was earlier, or only it or `instead_of`;
        then it is kept until `held_until`. While keys rotate it is kept in two places: what the first one says is
        written to the second one, which decides. Raises `InvalidFields` where the digest is another, which only an
        Idempotency-Key can bring about."""
        for key, digest in retry:
            ping_id = self._first_attempt(key, digest, ping_id, held_until, now, instead_of)
        return ping_id

    def _first_attempt(
        self, key: bytes, digest: bytes, ping_id: bytes, held_until: int, now: int, instead_of: bytes
    ) -> bytes:
        try:
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item={
                    **ping_key(key),
                    "first": as_bytes(ping_id),
                    "digest": as_bytes(digest),
                    "held_until": as_number(held_until),
                    "delete_at": as_number(held_until + MARK_SECONDS),
                },
                ConditionExpression=f"{KEY_IS_FREE} OR ({KEY_IS_OURS})",
                ExpressionAttributeNames={"#first": "first"},
                ExpressionAttributeValues={
                    ":now": as_number(now),
                    ":first": as_bytes(ping_id),
                    ":instead_of": as_bytes(instead_of),
                    ":digest": as_bytes(digest),
                    ":held_until": as_number(held_until),
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            return _first(met.item or {}, digest)
        return ping_id

    def earlier_attempt(self, retry: Sequence[RetryKey], now: int) -> bytes | None:
        """The ping that `first_attempt` would find. Raises `InvalidFields`."""
        for key, digest in reversed(retry):
            item = self._item(key)
            if item and number_of(item, "held_until") > now:
                return _first(item, digest)
        return None

    def _item(self, key: bytes) -> Item | None:
        return self.dynamo.get(self.table, ping_key(key))


def _first(item: Item, digest: bytes) -> bytes:
    if bytes_of(item, "digest") != digest:
        raise InvalidFields({IDEMPOTENCY_KEY: [KEY_OF_ANOTHER_LEAD]})
    return bytes_of(item, "first")
