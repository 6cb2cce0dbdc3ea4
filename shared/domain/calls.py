"""A call as a set of facts, and what follows from them: the state it is in, who is dialed next, how it ended.

Providers repeat, reorder and lose events. So an event is a fact that is written once, and everything else is a pure
function of the call and its facts: in whatever order they came, the same facts say the same. Attempts are numbered from
1, and each dials another buyer.
"""

from typing import Literal

from msgspec import Struct

from shared.domain.models import Buyer, Endpoint
from shared.domain.reservations import CameTrue

MOST_ATTEMPTS = 9
WAIT_SECONDS = 60
"""How long after the end of a call what its provider still has to say is waited for."""
LOST_SECONDS = 120
"""How long after the latest end of an attempt that end counts as lost."""
LAST_RESORT = 0
"""The candidate behind all buyers that is none: the endpoint's own number for calls that nobody takes."""

Arrival = Literal["in_time", "late", "repeat", "pinged", "unannounced", "refused"]
"""How a call came: while its sale was held, after that, or after its sale was connected before; for a caller that was
only pinged; to a number where no ping announced it; or not to be sold at all."""
End = Literal["completed", "busy", "no_answer", "failed", "canceled", "declined", "no_room", "filtered", "duplicate"]
"""How an attempt ended: as the provider says, `canceled` if the caller hung up; or as we say: the buyer did not press
the key, or was not dialed at all because a cap was full, a rule failed, or it has the caller already."""
Outcome = Literal[
    "finished", "busy", "no-answer", "failed", "caller-hung-up", "caller-hung-up-while-ringing-buyer", "no-buyer",
    "blocked", "rejected", "canceled",
]  # fmt: skip
"""How a call ended, in the words that clients of the API know. Nothing here makes a call `canceled`."""
Detail = Literal["", "no-buyer-all-filtered", "no-buyer-all-maxed-out", "no-buyer-prevent-dupes"]
"""Why there was no buyer."""
Status = Outcome | Literal["initiated", "calling-leads", "established"]
Phase = Literal["arrived", "dialing", "connected", "ended", "over", "settled"]

NOT_DIALED: dict[End, Detail] = {
    "no_room": "no-buyer-all-maxed-out",
    "filtered": "no-buyer-all-filtered",
    "duplicate": "no-buyer-prevent-dupes",
}
"""Ends of attempts in which nobody was dialed, and what a call is where each attempt ended so."""
OUTCOMES: dict[End, Outcome] = {
    "completed": "finished",
    "busy": "busy",
    "no_answer": "no-answer",
    "failed": "failed",
    "declined": "no-answer",
    "canceled": "caller-hung-up-while-ringing-buyer",
}
"""How a call ended whose last attempt ended so."""


class Stop(Struct, frozen=True):
    """Nobody is dialed any more."""

    outcome: Outcome
    detail: Detail = ""


class Dial(Struct, frozen=True):
    """The attempt that runs, or is to begin: at this buyer, who may ring for so many seconds at most."""

    attempt: int
    buyer_id: int
    ring_seconds: int


class Candidate(Struct, frozen=True, array_like=True):
    """A buyer that may be dialed, at `number`, and what it pays if the call converts; the publisher then gets
    `payout_cents`. With `press` a leg is connected only once a key was pressed."""

    buyer_id: int
    cents: int
    payout_cents: int
    number: str
    press: bool = False


class Call(Struct, frozen=True, kw_only=True):
    """What is known of a call when it arrives, which never changes. `provider_id` is the provider's own id of it.
    `candidates` are dialed in this order. A call that was `refused` has none. `caller` is empty where the caller is
    anonymous, `ping_id` where there is no sale; `version` is the endpoint's configuration by which the call is treated.
    Of the sale there are also `attempt`, which made it, under which its buyer's caps are reserved; `sold_to`,
    `sold_at`, `user`, `source` and `sold_version`, the configuration by which it is paid. A call that is not `payable`
    is worth nothing, whatever becomes of it. No attempt lasts longer than `longest_seconds`, ringing included.
    """

    provider: str
    account: str
    provider_id: str
    number: str
    arrived_at: int
    arrival: Arrival
    caller: str = ""
    ping_id: bytes = b""
    endpoint: str = ""
    version: int = 0
    candidates: tuple[Candidate, ...] = ()
    refused: Stop | None = None
    attempt: bytes = b""
    sold_to: int = 0
    sold_at: int = 0
    sold_version: int = 0
    user: str = ""
    source: str = ""
    payable: bool = True
    longest_seconds: int = 0

    def __repr__(self) -> str:
        return f"Call({self.provider}, {self.arrival}, {self.arrived_at})"

    @property
    def is_turned_away(self) -> bool:
        """Whether it came to a number that is sold and was not taken for the call of that sale, which may yet come."""
        return self.refused is not None and self.refused.outcome == "rejected" and self.arrival == "in_time"

    def presses(self, buyer_id: int) -> bool:
        """Whether a buyer has to press a key."""
        return any(each.press for each in self.candidates if each.buyer_id == buyer_id)


class Attempt(Struct, frozen=True, array_like=True):
    """One dialing of one buyer, begun `at`."""

    buyer_id: int
    at: int


class Ended(Struct, frozen=True, array_like=True):
    """How an attempt ended, `at` which time, after how many seconds of a leg that was answered. `bridged` says that the
    provider has connected both legs."""

    status: End
    at: int
    seconds: int = 0
    bridged: bool = False


class Over(Struct, frozen=True, array_like=True):
    """The caller is gone, after so many seconds in all."""

    at: int
    seconds: int = 0


class Agreed(Struct, frozen=True, array_like=True):
    """What a live buyer agreed to when an attempt asked it: it pays `cents`, and is dialed at `number`."""

    cents: int
    payout_cents: int
    number: str


class Settled(Struct, frozen=True, kw_only=True):
    """How a call ended and what is owed for it, beside what is owed for its sale. `buyer_id` is 0 if no buyer was
    connected; `converted` says that its `pays` rule holds and this is the call for which the sale is paid."""

    at: int
    outcome: Outcome
    detail: Detail = ""
    buyer_id: int = 0
    converted: bool = False
    revenue_cents: int = 0
    payout_cents: int = 0
    seconds: int = 0


class Facts(Struct, frozen=True, kw_only=True):
    """What happened, by attempt: which began, what its live buyer agreed to, when the buyer's leg was answered, when
    its key was pressed, and how each ended; that the call is over, and settled. There is at most one fact of each, the
    first that came. What is said of an attempt that has not begun plays no part."""

    attempts: dict[int, Attempt] = {}
    agreed: dict[int, Agreed] = {}
    connected: dict[int, int] = {}
    accepted: dict[int, int] = {}
    ended: dict[int, Ended] = {}
    over: Over | None = None
    settled: Settled | None = None

    @property
    def last(self) -> int:
        """The attempt that began last; 0 if none did."""
        return max(self.attempts, default=0)


class State(Struct, frozen=True):
    """In which phase a call is, and its last attempt: 0 before the first."""

    phase: Phase
    attempt: int = 0


def state_of(call: Call, facts: Facts) -> State:
    """`ended` is a call whose last attempt is over while its caller may still be there; a caller that hung up while a
    buyer rang is gone."""
    last = facts.last
    if facts.settled:
        return State("settled", last)
    if facts.over or (last and _end_of(call, facts, last) == "canceled"):
        return State("over", last)
    if not last:
        return State("arrived")
    if last in facts.ended:
        return State("ended", last)
    return State("connected" if _is_connected(call, facts, last) else "dialing", last)


def next_step(call: Call, facts: Facts, now: int, max_ring_seconds: int) -> Dial | Stop:
    """Who is dialed, or that nobody is. While an attempt runs, that is the step: the same question has one
    answer. After one that found nobody the next candidate is dialed, unless the caller is gone or was connected. In all
    there are at most nine attempts, and none begins `max_ring_seconds` after the call arrived."""
    if facts.settled:
        return Stop(facts.settled.outcome, facts.settled.detail)
    state = state_of(call, facts)
    rings_until = call.arrived_at + max_ring_seconds
    if state.phase in ("dialing", "connected"):
        running = facts.attempts[state.attempt]
        return Dial(state.attempt, running.buyer_id, rings_until - running.at)
    if connected_attempt(call, facts):
        return Stop("finished")
    if state.phase == "over" and state.attempt and _end_of(call, facts, state.attempt) in (None, "canceled"):
        return Stop("caller-hung-up-while-ringing-buyer")
    there_until = facts.over.at if facts.over else now
    candidate = _next_candidate(call, facts) if there_until < rings_until else None
    if candidate is None:
        return _nobody(call, facts)
    if state.phase == "over":
        return Stop("caller-hung-up")
    return Dial(state.attempt + 1, candidate.buyer_id, rings_until - now)


def status_of(call: Call, facts: Facts) -> Status:
    """The call's status in the words of the API, also while it runs."""
    if facts.settled:
        return facts.settled.outcome
    if connected_attempt(call, facts):
        return "established"
    return "calling-leads" if facts.attempts else "initiated"


def connected_attempt(call: Call, facts: Facts) -> int:
    """The attempt whose buyer has the call, or had it; 0 if none."""
    return max((attempt for attempt in facts.attempts if _is_connected(call, facts, attempt)), default=0)


def seconds_of(call: Call, facts: Facts) -> int:
    """How long the caller was connected with a buyer: as the provider says, from the key where one is pressed. If the
    attempt's end is lost, until the call was over; 0 while neither is known."""
    attempt = connected_attempt(call, facts)
    if not attempt:
        return 0
    answered = facts.connected.get(attempt)
    since = facts.accepted.get(attempt) if call.presses(facts.attempts[attempt].buyer_id) else answered
    if ended := facts.ended.get(attempt):
        return max(0, ended.seconds - (since - answered if since and answered else 0))
    if facts.over and since:
        return max(0, facts.over.at - since)
    return 0


def ends_of(call: Call, facts: Facts) -> dict[int, End]:
    """How each attempt ended that did, in their order."""
    return {attempt: end for attempt in sorted(facts.attempts) if (end := _end_of(call, facts, attempt))}


def connected_at(call: Call, facts: Facts) -> int:
    """When the caller was connected with a buyer; 0 if it never was. If that fact is lost, by the end of the talk."""
    attempt = connected_attempt(call, facts)
    if not attempt:
        return 0
    known = facts.accepted if call.presses(facts.attempts[attempt].buyer_id) else facts.connected
    ended = facts.ended.get(attempt)
    return known.get(attempt) or (ended.at - ended.seconds if ended else 0)


def due_at(call: Call, facts: Facts) -> int:
    """When a call that is not settled has to be looked at: its provider has then said all that it will say. A repeat of
    what is lost comes within a minute; a call whose end is lost is over at some time."""
    last = facts.last
    if last and last not in facts.ended and not facts.over:
        return facts.attempts[last].at + call.longest_seconds + LOST_SECONDS
    said = [call.arrived_at, facts.over.at if facts.over else 0, facts.ended[last].at if last in facts.ended else 0]
    return max(said) + WAIT_SECONDS


def is_waited_for(call: Call, facts: Facts, now: int) -> bool:
    """Whether the caller is gone and the provider has yet to say how the last attempt ended."""
    last = facts.last
    return bool(last and facts.over and last not in facts.ended and now < due_at(call, facts))


def what_came_true(call: Call, facts: Facts, n: int, buyer: Buyer) -> CameTrue:
    """What came true of the reservation of an attempt that has ended, or whose call is settled. Where a call was
    settled without the end of an attempt, its buyer was dialed."""
    is_own, is_connected = call.sold_to == buyer.id != LAST_RESORT, connected_attempt(call, facts) == n
    was_dialed = facts.ended[n].status not in NOT_DIALED if n in facts.ended else facts.settled is not None
    return CameTrue(
        recorded=is_own or is_connected,
        dialed=was_dialed or is_connected,
        connected=is_connected,
        converted=is_connected and facts.settled is not None and facts.settled.converted,
        earned=is_own and buyer.pay_rule.on == "sale",
    )


def paid_as_sale(endpoint: Endpoint | None, buyer_id: int) -> tuple[bool, bool]:
    """Whether a buyer owes something for the sale itself, and the publisher gets something for it. Where an endpoint
    takes calls, all else is for the call."""
    buyer = endpoint.buyer(buyer_id) if endpoint else None
    if endpoint is None or buyer is None or endpoint.calls is None:
        return True, True
    is_owed = buyer.pay_rule.on == "sale"
    return is_owed, is_owed and endpoint.earns.on == "same"


def came_true_of_sale(buyer: Buyer) -> CameTrue:
    """What came true of the reservation of a recorded sale that no call of its buyer will adopt."""
    return CameTrue(recorded=True, earned=buyer.pay_rule.on == "sale")


def _is_connected(call: Call, facts: Facts, attempt: int) -> bool:
    """An answered leg is enough where no key has to be pressed, and so is an end that says it was answered."""
    ended = facts.ended.get(attempt)
    if call.presses(facts.attempts[attempt].buyer_id):
        return attempt in facts.accepted or (ended is not None and ended.bridged)
    return attempt in facts.connected or (ended is not None and (ended.bridged or ended.status == "completed"))


def _end_of(call: Call, facts: Facts, attempt: int) -> End | None:
    """How an attempt ended. A buyer that was reached and has not pressed the key has declined, whatever the provider
    says; only a caller that hung up meanwhile has not been declined."""
    ended = facts.ended.get(attempt)
    if ended is None:
        return None
    was_reached = attempt in facts.connected or ended.status == "completed"
    if ended.status != "canceled" and was_reached and not _is_connected(call, facts, attempt):
        return "declined"
    return "completed" if _is_connected(call, facts, attempt) else ended.status


def _next_candidate(call: Call, facts: Facts) -> Candidate | None:
    if call.refused or facts.last >= MOST_ATTEMPTS:
        return None
    dialed = {attempt.buyer_id for attempt in facts.attempts.values()}
    return next((each for each in call.candidates if each.buyer_id not in dialed), None)


def _nobody(call: Call, facts: Facts) -> Stop:
    """How a call ended that nobody took: as its last attempt in which somebody was dialed."""
    if call.refused:
        return call.refused
    ends = [*ends_of(call, facts).values()]
    if dialed := [end for end in ends if end not in NOT_DIALED]:
        return Stop(OUTCOMES[dialed[-1]])
    if len({*ends}) == 1:
        return Stop("no-buyer", NOT_DIALED[ends[0]])
    return Stop("no-buyer", "no-buyer-all-filtered" if ends else "")
