"""Live buyers: how they are asked, and what they answer. A dialect of `shared.bidders` speaks both."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Method = Literal["GET", "POST"]


class Call(Struct, frozen=True):
    """An HTTP request that is to be sent to a buyer."""

    method: Method
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Call({self.method})"


class Reply(Struct, frozen=True):
    """What came back, whole: `status` is HTTP's."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


class Silence(Struct, frozen=True):
    """There is no reply; `reason` says why in words of ours, `sent` whether the buyer may have got the call."""

    reason: str
    sent: bool


class Ask(Struct, frozen=True, kw_only=True):
    """What a dialect knows when it makes a call or reads its reply.

    `reference` is the id that the buyer gave its bid, on a post. `key` is the same however often one ping, or one sale
    to one buyer, is asked for. `secrets` are those that the buyer's templates name; `now` is in seconds since the
    epoch.
    """

    step: Literal["ping", "post"]
    lead: Mapping[str, str]
    secrets: Mapping[str, str]
    key: str
    now: int
    reference: str = ""

    def __repr__(self) -> str:
        return f"Ask({self.step})"


class Yes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bid, or on a post the buyer's consent. `cents` is its price (None: the one it bid), `expires_at` until when it
    stands (0: it does not say), `conversion_seconds` how long a call must last to be paid; `number` (E.164) and `sip`
    where the call is to be sent, where they are not those of the configuration."""

    cents: int | None = None
    reference: str = ""
    expires_at: int = 0
    conversion_seconds: int | None = None
    number: str = ""
    sip: str = ""


class No(Struct, frozen=True):
    """No bid, a declined post, or a reply that cannot be read: why, in at most 200 printable characters. `broken` says
    that the buyer's system does not work, and not that it does not want this lead."""

    reason: str
    broken: bool = False
