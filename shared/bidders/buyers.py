"""Live buyers, asked: their exchanges make the calls and read the replies, `send` carries them."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Protocol

from shared.bidders import exchange
from shared.domain.keys import Keys, ask_key
from shared.domain.live_bids import Ask, Call, Exchange, LiveBuyer, No, Reply, Silence, Yes
from shared.domain.models import Buyer, Lead, Step
from shared.domain.templates import Unaskable

LEAST_SECONDS = 0.05
"""In less than this nobody is asked: a buyer that works well could seem not to."""


class Send(Protocol):
    """Puts calls to several buyers at once, each with the seconds that it has. By buyer id, what came back."""

    def __call__(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> Mapping[int, Reply | Silence]: ...

    def judged(self, buyer_id: int, call: Call, fault: str) -> None:
        """Say of the reply to a call what is wrong with it; empty if nothing is."""


class LiveBuyers:
    """`send` is asked for when there is somebody to be asked; `secret` gives the secret of a name, or raises
    `Unaskable`. `left` gives the seconds that are left to ask in: it is looked at when everything is ready to be sent.
    """

    def __init__(self, send: Callable[[], Send], secret: Callable[[str], str], keys: Keys) -> None:
        self.send = send
        self.secret = secret
        self.keys = keys

    def bids(
        self, buyers: Iterable[Buyer], lead: Lead, ping_id: bytes, now: int, left: Callable[[], float]
    ) -> tuple[dict[int, Yes | No], dict[int, int]]:
        """What each of these live buyers says to a lead in the time that is left, and the milliseconds that each took
        that was called."""
        ways = {buyer.id: (buyer.live, buyer.live.ping) for buyer in buyers if buyer.live}
        return self._asked(ways, "ping", lead, ping_id, "", now, left)

    def agree(
        self, buyer: Buyer, lead: Lead, ping_id: bytes, reference: str, now: int, left: Callable[[], float]
    ) -> Yes | No:
        """What the buyer says to the sale of the lead for which it gave a bid with this `reference`. Without a `post`
        its bid was its consent."""
        if buyer.live is None or buyer.live.post is None:
            return Yes()
        ways = {buyer.id: (buyer.live, buyer.live.post)}
        said, _ = self._asked(ways, "post", lead, ping_id, reference, now, left)
        return said[buyer.id]

    def _asked(
        self,
        ways: Mapping[int, tuple[LiveBuyer, Exchange]],
        step: Step,
        lead: Lead,
        ping_id: bytes,
        reference: str,
        now: int,
        left: Callable[[], float],
    ) -> tuple[dict[int, Yes | No], dict[int, int]]:
        said: dict[int, Yes | No] = {}
        took: dict[int, int] = {}
        asks: dict[int, tuple[LiveBuyer, Exchange, Ask]] = {}
        calls: dict[int, Call] = {}
        secret = cache(self.secret)  # so that a reply is read with what was sent
        for buyer_id, (live, way) in ways.items():
            key = ask_key(self.keys, ping_id, buyer_id)
            ask = Ask(step=step, lead=lead, secret=secret, key=key, now=now, reference=reference)
            try:
                calls[buyer_id] = exchange.request(way, ask)
            except Unaskable as why:
                said[buyer_id] = No(str(why), unasked=True)
                continue
            asks[buyer_id] = live, way, ask
        if not calls:
            return said, took
        send = self.send()
        seconds = left()
        if seconds < LEAST_SECONDS:
            return said | dict.fromkeys(calls, No("there was no time left to ask it", unasked=True)), took
        waits = {buyer_id: min(seconds, live.timeout_ms / 1000) for buyer_id, (live, *_) in asks.items()}
        for buyer_id, reply in send(calls, waits).items():
            if reply.milliseconds is not None:
                took[buyer_id] = reply.milliseconds
            if isinstance(reply, Silence):
                said[buyer_id] = No(reply.reason, broken=reply.sent, unasked=not reply.sent)
                continue
            live, way, ask = asks[buyer_id]
            answer = said[buyer_id] = exchange.read(way, ask, reply, live.max_bid_cents)
            send.judged(buyer_id, calls[buyer_id], answer.reason if isinstance(answer, No) and answer.broken else "")
        return said, took
