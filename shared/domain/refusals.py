"""Why a request got no answer of the kind it asked for. Every class has a public status, and `publishers.answers` gives
each its HTTP code.

Refusal
├── NoMatchingBuyer · CallerIdRequired                       nobody may or wants to buy
├── CallerNumberSuppressed · DuplicateCaller                 not this caller, or not again
├── PingIdUnknown · PingIdExpired · PingIdUsed               the ping cannot be sold
├── BuyerMismatch · BuyerUnavailable                         nor to this buyer
├── NoNumberAvailable · TooManyLeases                        nor for want of a number
├── InvalidFields · MalformedRequest · RequestTooLarge       we cannot read it
├── Unauthorized · UnknownEndpoint · MethodNotAllowed        it may not be asked, or not here
├── RateLimited                                              or not so often
└── TemporarilyUnavailable · InternalError                   we failed
"""

from collections.abc import Sequence
from typing import ClassVar

from shared.domain.matching import Failure
from shared.domain.models import Ping


class Refusal(Exception):
    """`sentence` is what the publisher reads; it never holds a value of the lead."""

    status: ClassVar[str]
    sentence: ClassVar[str]

    @property
    def sentences(self) -> list[str]:
        return [self.sentence]


class NoMatchingBuyer(Refusal):
    """`ping` is what nobody bid on, `failures` are the reasons, for who may see them."""

    status = "no_matching_buyer"
    sentence = "There are no matching buyers."

    def __init__(self, ping: Ping | None = None, failures: Sequence[Failure] | None = None) -> None:
        super().__init__()
        self.ping = ping
        self.failures = failures


class CallerNumberSuppressed(Refusal):
    status = "caller_number_suppressed"
    sentence = "This caller is not wanted here."


class DuplicateCaller(Refusal):
    status = "duplicate_caller"
    sentence = "This caller was sold here before, not long ago."


class CallerIdRequired(Refusal):
    status = "caller_id_required"
    sentence = "You must submit a caller_id param since this webhook requires it."


class PingIdUnknown(Refusal):
    status = "ping_id_unknown"
    sentence = "The ping_id is not one of this endpoint."


class PingIdExpired(Refusal):
    status = "ping_id_expired"
    sentence = "The ping_id has expired. Send a new PING."


class PingIdUsed(Refusal):
    status = "ping_id_used"
    sentence = "The ping_id has already been sold. Send a new PING."


class BuyerMismatch(Refusal):
    status = "buyer_mismatch"
    sentence = "The buyer_id is not the buyer of this ping_id."


class BuyerUnavailable(Refusal):
    status = "buyer_unavailable"
    sentence = "The buyer no longer takes this call."


class NoNumberAvailable(Refusal):
    """`retry_after_seconds` is when a number comes free, at the earliest one second from now."""

    status = "no_number_available"
    sentence = "No tracking number is available now."

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = max(1, retry_after_seconds)


class TooManyLeases(Refusal):
    """`retry_after_seconds` is when the oldest of the leases that count ends, at the earliest one second from now."""

    status = "too_many_leases"
    sentence = "You or this caller hold as many tracking numbers as allowed."

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = max(1, retry_after_seconds)


class InvalidFields(Refusal):
    """`problems` holds every bad field: its name and the sentences about it."""

    status = "invalid_fields"
    sentence = "Some fields are missing or not valid."

    def __init__(self, problems: dict[str, list[str]]) -> None:
        super().__init__()
        self.problems = problems

    @property
    def sentences(self) -> list[str]:
        return [sentence for sentences in self.problems.values() for sentence in sentences]


class MalformedRequest(Refusal):
    """`detail` is a sentence about what came instead."""

    status = "malformed_request"
    sentence = "The body must be a JSON object, a URL-encoded form or multipart/form-data."

    def __init__(self, detail: str = "") -> None:
        super().__init__()
        self.detail = detail

    @property
    def sentences(self) -> list[str]:
        return [f"{self.sentence} {self.detail}".rstrip()]


class RequestTooLarge(Refusal):
    status = "request_too_large"
    sentence = "The query string may have 8 KB and the body 64 KB."


class Unauthorized(Refusal):
    status = "unauthorized"
    sentence = "A valid auth_token is required."


class UnknownEndpoint(Refusal):
    status = "unknown_endpoint"
    sentence = "There is no endpoint here."


class RateLimited(Refusal):
    """`retry_after_seconds` is when the minute is over."""

    status = "rate_limited"
    sentence = "There were too many requests in this minute."

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class MethodNotAllowed(Refusal):
    status = "method_not_allowed"
    sentence = "Use GET or POST."


class TemporarilyUnavailable(Refusal):
    """`not_done` says that what failed surely changed nothing and never will; otherwise it is unclear."""

    status = "temporarily_unavailable"
    sentence = "The service is busy. Send the same request again."

    def __init__(self, retry_after_seconds: int = 1, *, not_done: bool = False) -> None:
        super().__init__()
        self.retry_after_seconds = max(1, retry_after_seconds)
        self.not_done = not_done


class InternalError(Refusal):
    status = "internal_error"
    sentence = "Something failed on our side. Quote the request_id."
