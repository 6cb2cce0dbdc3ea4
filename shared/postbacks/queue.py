"""The queue of postbacks: what is to be tried now or within fifteen minutes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from shared.domain.receivers import Happening
from shared.domain.refusals import TemporarilyUnavailable

if TYPE_CHECKING:
    from botocore.client import BaseClient

AT_ONCE = 10
"""The most that SQS takes with one call."""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Try number `n` of a postback. The first has what happened. A message that must be tried is so though its receiver
    fails or is paused; `again` takes up one that is over. `refused` counts how often all slots were taken."""

    id: str
    receiver: str
    n: int = 0
    happening: Happening | None = None
    must: bool = False
    again: bool = False
    refused: int = 0

    def __repr__(self) -> str:
        return f"Message({self.id}, {self.n})"


class Queue(Protocol):
    """Brings messages to the function that sends postbacks: at least once, in any order."""

    def send(self, messages: Sequence[Message], seconds: int = 0) -> None:
        """After so many seconds, 900 at most. Raises `TemporarilyUnavailable`: then some may have been sent."""


def write(message: Message) -> str:
    return msgspec.json.encode(message).decode()


def read(text: str) -> Message:
    """Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(text, type=Message)


class Sqs:
    """SQS. The receiver is the group of its messages, so that one with many does not keep those of others waiting."""

    def __init__(self, client: "BaseClient", url: str) -> None:
        self._client: Any = client
        self._url = url

    def send(self, messages: Sequence[Message], seconds: int = 0) -> None:
        for start in range(0, len(messages), AT_ONCE):
            self._send(messages[start : start + AT_ONCE], seconds)

    def _send(self, messages: Sequence[Message], seconds: int) -> None:
        entries = [
            {
                "Id": str(place),
                "MessageBody": write(message),
                "DelaySeconds": seconds,
                "MessageGroupId": message.receiver,
            }
            for place, message in enumerate(messages)
        ]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (BotoCoreError, ClientError) as fault:
            raise TemporarilyUnavailable from fault
        if answer.get("Failed"):
            raise TemporarilyUnavailable
