"""Live buyers, asked: their exchanges make the calls and read the replies, `send` carries them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from shared.bidders import exchange
from shared.domain.keys import Keys, ask_key
from shared.domain.live import Ask, Call, Exchange, Live, No, Reply, Silence, Yes
from shared.domain.models import Buyer, Lead, Step
from shared.domain.templates import Unaskable


class Send(Protocol):
    """Puts calls to several buyers at once, each with the seconds that it has. By buyer id, what came back."""

    def __call__(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> Mapping[int, Reply | Silence]: ...

    def judged(self, buyer_id: int, fault: str) -> None:
        """Say of a reply what is wrong with it; empty if nothing is."""


class LiveBuyers:
    """`send` is asked for when there is somebody to be asked; `secret` gives the secret of a name, or raises
    `Unaskable`."""

    def __init__(self, send: Callable[[], Send], secret: Callable[[str], str], keys: Keys) -> None:
        self.send = send
        self.secret = secret
        self.keys = keys

    def bids(
        self, buyers: Iterable[Buyer], lead: Lead, ping_id: bytes, now: int, seconds: float
    ) -> dict[int, Yes | No]:
        """What each of these live buyers says to a lead within these seconds."""
        ways = {buyer.id: (buyer.live, buyer.live.ping) for buyer in buyers if buyer.live}
        return self._asked(ways, "ping", lead, ping_id, "", now, seconds)

    def agree(self, buyer: Buyer, lead: Lead, ping_id: bytes, reference: str, now: int, seconds: float) -> Yes | No:
        """What the buyer says to the sale of the lead for which it gave a bid with this `reference`. Without a `post`
        its bid was its consent."""
        if buyer.live is None or buyer.live.post is None:
            return Yes()
        ways = {buyer.id: (buyer.live, buyer.live.post)}
        return self._asked(ways, "post", lead, ping_id, reference, now, seconds)[buyer.id]

    def _asked(
        self,
        ways: Mapping[int, tuple[Live, Exchange]],
        step: Step,
        lead: Lead,
        ping_id: bytes,
        reference: str,
        now: int,
        seconds: float,
    ) -> dict[int, Yes | No]:
        said: dict[int, Yes | No] = {}
        asks: dict[int, tuple[Live, Exchange, Ask]] = {}
        calls: dict[int, Call] = {}
        waits: dict[int, float] = {}
        for buyer_id, (live, way) in ways.items():
            key = ask_key(self.keys, ping_id, buyer_id)
            ask = Ask(step=step, lead=lead, secret=self.secret, key=key, now=now, reference=reference)
            try:
                calls[buyer_id] = exchange.request(way, ask)
            except Unaskable as why:
                said[buyer_id] = No(str(why))
                continue
            asks[buyer_id] = live, way, ask
            waits[buyer_id] = min(seconds, live.timeout_ms / 1000)
        replies = self.send()(calls, waits) if calls else {}
        return said | {buyer_id: self._read(buyer_id, *asks[buyer_id], reply) for buyer_id, reply in replies.items()}

    def _read(self, buyer_id: int, live: Live, way: Exchange, ask: Ask, reply: Reply | Silence) -> Yes | No:
        if isinstance(reply, Silence):
            return No(reply.reason, broken=reply.sent)
        said = exchange.read(way, ask, reply, live.max_bid_cents)
        self.send().judged(buyer_id, said.reason if isinstance(said, No) and said.broken else "")
        return said
