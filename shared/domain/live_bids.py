"""Live buyers: how they are asked, and what they answer. A dialect of `shared.bidders` speaks both."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

Method = Literal["GET", "POST"]
Format = Literal["json", "form", "query"]
AnswerFormat = Literal["json", "form", "text"]
FOUND = (
    "bid", "reference", "number", "sip", "conversion_seconds", "expires_in_seconds", "expires_at", "reason",
)  # fmt: skip
"""What places in an answer can be named for."""
Template = Any
"""A text with placeholders; in JSON also a mapping or a list of such."""


class Call(Struct, frozen=True):
    """An HTTP request that is to be sent to a buyer. What is `final` is never sent a second time."""

    method: Method
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""
    final: bool = False

    def __repr__(self) -> str:
        return f"Call({self.method})"


class Reply(Struct, frozen=True):
    """What came back, whole, after so many milliseconds: `status` is HTTP's."""

    status: int
    body: bytes
    milliseconds: int = 0

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


class Silence(Struct, frozen=True):
    """There is no reply; `reason` says why in words of ours, `sent` whether the buyer may have got the call.
    `milliseconds` is how long it was waited for, None if there was no call."""

    reason: str
    sent: bool
    milliseconds: int | None = None


class Ask(Struct, frozen=True, kw_only=True):
    """What a dialect knows when it makes a call or reads its reply.

    `reference` is the id that the buyer gave its bid, on a post. `key` is the same however often one ping, or one sale
    to one buyer, is asked for. `secret` gives the secret of a name; `now` is in seconds since the epoch.
    """

    step: Literal["ping", "post"]
    lead: Mapping[str, str]
    secret: Callable[[str], str]
    key: str
    now: int
    reference: str = ""

    def __repr__(self) -> str:
        return f"Ask({self.step})"


class Yes(Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """A bid, or on a post the buyer's consent. `cents` is its price (None: the one it bid), `expires_at` until when it
    stands (0: it does not say), `conversion_seconds` how long a call must last to be paid; `number` (E.164) and `sip`
    where the call is to be sent, where they are not those of the configuration."""

    cents: int | None = None
    reference: str = ""
    expires_at: int = 0
    conversion_seconds: int | None = None
    number: str = ""
    sip: str = ""

    def is_over(self, now: int) -> bool:
        return 0 < self.expires_at <= now

    def is_worth(self, bid_cents: int) -> bool:
        """Whether this is a consent to a bid: at its price or above."""
        return self.cents is None or self.cents >= bid_cents

    def until(self, time: int) -> int:
        """The earlier of a time and the end of this."""
        return min(time, self.expires_at or time)

    def over(self, bid: "Yes") -> "Yes":
        """A consent laid over the bid that it is to."""
        return Yes(
            cents=self.cents,
            reference=self.reference or bid.reference,
            expires_at=self.until(bid.expires_at) if bid.expires_at else self.expires_at,
            conversion_seconds=bid.conversion_seconds if self.conversion_seconds is None else self.conversion_seconds,
            number=self.number or bid.number,
            sip=self.sip or bid.sip,
        )


class No(Struct, frozen=True, omit_defaults=True, tag=True):
    """No bid, a declined post, or a reply that cannot be read. `reason` says why in the fixed words of `reasons`,
    `words` are the buyer's own, without what it was sent. `broken` says that the buyer's system does not work, and not
    that it does not want this lead: what it made of a post is unknown. `unasked` says that the question has not reached
    it: of an earlier post this says nothing.
    """

    reason: str
    broken: bool = False
    words: str = ""
    unasked: bool = False


class Exchange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question to a buyer, and where its answer says what. All texts that are sent are templates (`templates`).

    `fields` are sent as the parameters of a form or a query, or as a JSON object, in which they may be nested. `answer`
    is what the reply is read as; `accepted` are the places, and the values in small letters, of which each must have
    one for a yes; `found` gives for each of `FOUND` the places to look at, one after the other.
    """

    url: str
    method: Method = "POST"
    format: Format = "json"
    fields: dict[str, Template] = {}
    headers: dict[str, str] = {}
    answer: AnswerFormat = "json"
    accepted: tuple[tuple[str, tuple[str, ...]], ...] = ()
    found: dict[str, tuple[str, ...]] = {}


class LiveBuyer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a live buyer is asked. Without `post` its bid is its consent: it is asked once. A bid above `max_bid_cents`
    is none, unless that is 0."""

    ping: Exchange
    post: Exchange | None = None
    timeout_ms: int = 1000
    max_bid_cents: int = 0
