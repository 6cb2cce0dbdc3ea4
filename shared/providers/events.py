"""What a provider of telephony says of a call: each event is one fact, in words that every provider shares.

Facts come in any order, more than once, or never. The repr of an event has no caller: it may stand in a log.
"""

from typing import Literal

from msgspec import Struct

Status = Literal["completed", "busy", "no_answer", "failed", "canceled"]
"""How a call or a leg ended: `completed` was answered, `canceled` was given up while it rang."""


class NotRead(ValueError):
    """A webhook says nothing that can be used. The message is one sentence and has no value that was sent."""


class _Fact(Struct, frozen=True, kw_only=True, tag=True):
    """`call_sid` is the provider's id of the caller's leg, `account` its id of the account that has the call."""

    call_sid: str
    account: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.call_sid})"


class Arrived(_Fact, frozen=True, kw_only=True):
    """A call came to a number of ours. Both numbers are E.164; an anonymous caller, or one that is no telephone number,
    is empty."""

    caller: str
    number: str


class Answered(_Fact, frozen=True, kw_only=True):
    """The buyer's leg of an attempt (1, 2, …) was answered. Nobody has pressed a key yet."""

    attempt: int
    leg_sid: str


class Accepted(_Fact, frozen=True, kw_only=True):
    """The person who answered the leg pressed keys. The provider does not know which are right: we compare them."""

    attempt: int
    leg_sid: str
    keys: str


class DialEnded(_Fact, frozen=True, kw_only=True):
    """An attempt is over.

    `seconds` run from the answer to the end of the leg, as the provider says: 0 where nobody answered, None where
    somebody did and the provider does not say how long. `bridged` says that caller and buyer heard each other; it is
    False also where the provider does not say. `caller_gone` says that the caller has hung up: another buyer would be
    dialed for nobody. `leg_sid` is empty where there was no leg.
    """

    attempt: int
    leg_sid: str
    status: Status
    seconds: int | None
    bridged: bool
    caller_gone: bool


class Over(_Fact, frozen=True, kw_only=True):
    """The caller's leg has ended. `seconds` are those of the whole call, None as with `DialEnded`."""

    status: Status
    seconds: int | None


class Recorded(_Fact, frozen=True, kw_only=True):
    """The recording of an attempt lies at `url` (https). `seconds` is None where the provider does not say."""

    attempt: int
    recording_sid: str
    url: str
    seconds: int | None


Event = Arrived | Answered | Accepted | DialEnded | Over | Recorded
