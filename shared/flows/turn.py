"""A request's turn: what is carried beside it from its first line to its last."""

from dataclasses import dataclass, field

from shared.domain.leasing import Ring
from shared.domain.models import Endpoint, Facts, Lead, Ping, Terms, User
from shared.flows.world import World
from shared.publishers.requests import Request
from shared.store.pings import Claim


@dataclass(slots=True, frozen=True)
class Turn:
    """One request to one endpoint, and `user` who sends it; None without a token. A call that is sold when it comes has
    `dialed` a number."""

    world: World
    endpoint: Endpoint
    user: User | None
    request: Request
    dialed: str = ""


@dataclass(slots=True, frozen=True)
class Selling:
    """One attempt at selling a ping that it has claimed. `seen` are the rings as a look has shown them; `posted` is
    what the POST laid over the ping's lead, `lead` the whole; `facts` what the store knows of its caller, and what
    live buyers said to the PING; `user` whose sale it is; `terms` are those of its lease. Of
    `unclear` buyers it is not known whether the sale was counted."""

    ping: Ping
    attempt: bytes
    claim: Claim
    seen: dict[int, Ring]
    lead: Lead
    posted: Lead
    choice: int
    facts: Facts
    user: str
    terms: Terms
    unclear: set[int] = field(default_factory=set)
