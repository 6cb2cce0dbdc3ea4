"""The functions of the machine of calls (`calling`), and what they are sent: webhooks, buyers' words, changes."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.domain.objections import NotFound, NotValid
from shared.domain.refusals import TemporarilyUnavailable
from shared.flows.calls import answer_event
from shared.flows.updating import Said, Teller, update_call
from shared.journal.consumer import remembering
from shared.journal.due import Done
from shared.providers.events import Event as Sent
from shared.providers.instructions import Instruction
from shared.store.compiled import Compiled
from shared.store.dynamo import Item
from tests.build import SETTINGS
from tests.race import interleavings
from tests.race.interleavings import Actor, Gate

if TYPE_CHECKING:
    from tests.race.calling import CallMachine

PROVIDER = "main"
LATE_TAKES = 0.3
"""Of takes, in one of four histories."""
SENDINGS = 3
"""How often a provider sends a webhook that is not answered."""
FATES = {
    "goes on": 83, "dies before": 2, "dies after": 3, "request lost": 2, "answer lost": 3, "arrives late": 4,
    "arrives twice": 2, "throttled": 1,
}  # fmt: skip
OLGA = Teller("olga")
MIN_CENTS, MAX_CENTS = 500, 8000
"""What a buyer may say it pays."""
WHAT = (
    *[Said(buyer_converted=True)] * 4, *[Said(revenue_cents=4000)] * 3, *[Said(add_revenue_cents=500)] * 3,
    *[Said(buyer_converted=False)] * 3, Said(revenue_cents=1000), Said(revenue_cents=0), Said(add_revenue_cents=-500),
    Said(payout_cents=700), Said(offer_converted=False), Said(fields={"policy": "7"}),
    Said(revenue_cents=MIN_CENTS - 1), Said(revenue_cents=MAX_CENTS + 1), Said(revenue_cents=200_000_000),
)  # fmt: skip


class Phone(NamedTuple):
    """A call at its provider."""

    sid: str
    number: str
    caller: str


@dataclass
class Posted:
    """An event that the provider will send, and how often at most."""

    phone: Phone
    event: Sent
    sendings: int = SENDINGS


@dataclass
class Word:
    """What somebody says of a call, in most cases again until it is answered."""

    call_id: bytes
    teller: Teller
    said: Said
    key: str
    answers: list[str] = field(default_factory=list)


class CallGate(Gate):
    """Notes how its call stood when its function reserved last."""

    actor: "Webhook"

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        machine = self.actor.machine
        if machine.takes_are_late and _takes(request) and machine.random.random() < LATE_TAKES:
            machine.in_flight.append((method, request))
            raise TemporarilyUnavailable
        try:
            return super().send(method, sendings, *args, **request)
        finally:
            if _takes(request) or ":binary" in request.get("ExpressionAttributeValues", {}):
                self.actor.stood = self.actor.machine.items.get(self.actor.call_id, {})


def _takes(request: dict[str, Any]) -> bool:
    """Whether it counts under a buyer's caps: it writes an entry, and expects none."""
    values = request.get("ExpressionAttributeValues", {})
    is_counting = request.get("TableName") == SETTINGS.leases_table
    return is_counting and ":entry" not in values and any("B" in value for value in values.values())


class Function(Actor):
    """One invocation of one of our functions."""

    machine: "CallMachine"
    fates = FATES

    def __init__(self, machine: "CallMachine") -> None:
        super().__init__(machine, interleavings.Sent("", {}))


class Webhook(Function):
    """`told` is None where nobody got an answer."""

    last_call_starts, lives_seconds = 4, 6

    def __init__(self, machine: "CallMachine", posted: Posted) -> None:
        super().__init__(machine)
        self.posted = posted
        self.call_id = machine.call_id(posted.phone)
        self.stood: Item = machine.items.get(self.call_id, {})
        self.stage = machine.random.choice(machine.stages)
        self.told: Instruction | None = None

    def act(self, gate: Gate) -> None:
        telephony = self.stage.telephony_over(CallGate(gate.client, self))
        self.told = answer_event(telephony, PROVIDER, self.posted.event)


class Telling(Function):
    """Somebody says what a call is worth."""

    last_call_starts, lives_seconds = 20, 25

    def __init__(self, machine: "CallMachine", word: Word) -> None:
        super().__init__(machine)
        self.word = word
        self.stage = machine.random.choice(machine.stages)

    def act(self, gate: Gate) -> None:
        word, telephony = self.word, self.stage.telephony_over(gate)
        try:
            update_call(telephony, word.call_id, word.teller, word.said, word.key)
            word.answers.append("done")
        except (NotFound, NotValid):
            word.answers.append("refused")


class Consumer(Function):
    """Of the streams: it is given the next changes once more, until it is done with them."""

    last_call_starts, lives_seconds = 50, 60

    def act(self, gate: Gate) -> None:
        machine = self.machine
        endpoint_of = remembering(Compiled(gate, machine.stage.memory), machine.known)
        some = machine.changes[: machine.random.randint(1, 12)]
        machine.stage.follow_up(gate, endpoint_of)(some)
        del machine.changes[: len(some)]


class MinuteFunction(Function):
    last_call_starts, lives_seconds = 50, 60

    def act(self, gate: Gate) -> None:
        done: Done = self.machine.stage.due_work(gate).do_all()
        self.machine.faults |= {
            f"what is due fails: {each.fault}" for each in done.failures if each.fault != "TemporarilyUnavailable"
        }
