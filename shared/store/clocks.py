"""How far the clock of this process is from DynamoDB's, by the `Date` of its answers.

The date has whole seconds and was written at some time between sending and answer, so it gives a range and no number.
"""

import time
from collections.abc import Callable, MutableMapping
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from mypy_boto3_dynamodb import DynamoDBClient

SKEWED_SECONDS = 2
"""Beyond this a clock is wrong."""
COMPARE_SECONDS = 10
"""How often clocks are compared: after each answer that comes so long after the last one."""
SENT_AT = "ringpost_sent_at"


class Skew:
    """Called, it gives the certain difference of the two clocks in seconds: a lower bound; for a wrong clock, an upper
    bound."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._compared_at = -inf
        self._seconds = 0.0
        self._is_news = False

    def __call__(self) -> float:
        return self._seconds

    def take_news(self) -> float:
        """The seconds, once for each comparison that found the clock wrong; else 0."""
        is_news, self._is_news = self._is_news, False
        return self._seconds if is_news else 0

    def watch(self, client: "DynamoDBClient") -> None:
        client.meta.events.register("before-call.dynamodb", self._note_sending)
        client.meta.events.register("after-call.dynamodb", self._compare)

    def _note_sending(self, context: MutableMapping[str, Any], **_: object) -> None:
        context[SENT_AT] = self._clock()

    def _compare(self, http_response: "AWSResponse", context: MutableMapping[str, Any], **_: object) -> None:
        now, sent_at = self._clock(), context.get(SENT_AT)
        if sent_at is None or 0 <= now - self._compared_at < COMPARE_SECONDS:
            return  # a call that was under way when the watch began has no such time
        try:
            dated = parsedate_to_datetime(http_response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return  # local engines write none
        self._compared_at = now
        self._seconds = seconds_apart(sent_at, now, dated)
        self._is_news = self._seconds > SKEWED_SECONDS


def seconds_apart(sent_at: float, answered_at: float, dated: float) -> float:
    """The certain difference of the two clocks in seconds: a lower bound; for a wrong clock, an upper bound."""
    least = max(0, sent_at - (dated + 1), dated - answered_at)
    most = max(answered_at - dated, dated + 1 - sent_at)
    return most if least > SKEWED_SECONDS else least
