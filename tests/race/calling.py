"""A machine of calls: one seed is a small market, a few sales and their calls, one store call at a time in a random
order, by functions that die, lose requests and answers, and whose writes arrive late or twice (`interleavings`).

The provider of telephony sends the events of what it was told to dial: some twice, some never, in any order. While and
after that the streams' consumer and the minute function do their work and die at it, too. In the end everything is due;
then `run` says what is not as it has to be. `python -m tests.race.calling SEED` plays one on dynoxide.
"""

import json
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count
from threading import Semaphore
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from msgspec import structs

from shared.domain import caps, keys
from shared.domain.calls import due_at
from shared.domain.caps import Cap
from shared.domain.models import Buyer, CallRules, DialRules, Earns, Endpoint, Pays, Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.reservations import PERIODS
from shared.domain.schedule import local_time
from shared.flows.calls import answer_event
from shared.journal.consumer import remembering
from shared.journal.due import Done
from shared.journal.events import Event
from shared.operators.leftovers import UNCALLED_SECONDS, Leftovers
from shared.operators.repair import QUIET_SECONDS
from shared.providers import instructions
from shared.providers.events import Accepted, Answered, Arrived, DialEnded, Over
from shared.providers.events import Event as Said
from shared.providers.instructions import Instruction
from shared.store.calls import read_item
from shared.store.compiled import Compiled
from shared.store.dynamo import Dynamo, Item
from shared.store.items import bytes_of, ping_key
from shared.store.packing import unpack
from shared.store.pings import CLAIM_SECONDS
from tests.build import SETTINGS, START, Clock, Stage, a_buyer, a_pool, an_endpoint
from tests.race.call_invariants import Books
from tests.race.interleavings import READS, Actor, Gate, Machine, Sent
from tests.race.wire import fast
from tools import engine

if TYPE_CHECKING:
    pass

PROVIDER, ACCOUNT, KEY_PRESSED = "main", "AC1", "1"
STATIC = "+18005550170"
HOLD_SECONDS, RINGS_SECONDS, TALKS_SECONDS = 120, 10, 60
LATE_SECONDS = 240
"""How late a write arrives at most: DynamoDB refuses it five minutes after it was signed."""
LATE_TAKES = 0.3
"""Of takes, in one of four histories."""
SENDINGS = 3
"""How often a provider sends a webhook that is not answered."""
MOST_AT_ONCE = 3
DAY = 24 * 3600
ENOUGH_FOR_MOST = (70, 190, 190)
"""Seconds, after which whatever has begun is due, but for a talk with the last resort."""
CENTS = 2500
EARNS = [Earns(), Earns(), Earns("connected"), Earns("duration", TALKS_SECONDS // 2)]
FATES = {
    "goes on": 83, "dies before": 2, "dies after": 3, "request lost": 2, "answer lost": 3, "arrives late": 4,
    "arrives twice": 2, "throttled": 1,
}  # fmt: skip
PLAYED = Counter[int]()
"""How often this process has played a seed: each time with other ids, and the first time always with the same."""
KINDS: tuple[caps.Kind, ...] = ("sales", "attempts", "connected", "converted")


class Phone(NamedTuple):
    """A call at its provider."""

    sid: str
    number: str
    caller: str


@dataclass
class Posted:
    """An event that the provider will send, and how often at most."""

    phone: Phone
    event: Said
    sendings: int = SENDINGS


class CallGate(Gate):
    """Notes how its call stood when its function wrote to a buyer's item last."""

    actor: "Webhook"

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        machine = self.actor.machine
        if machine.takes_are_late and _takes(request) and machine.random.random() < LATE_TAKES:
            machine.in_flight.append((method, request))
            raise TemporarilyUnavailable
        try:
            return super().send(method, sendings, *args, **request)
        finally:
            if request.get("TableName") == SETTINGS.leases_table and method.__name__ not in READS:
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
        super().__init__(machine, Sent("", {}))


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


@dataclass
class CallMachine(Machine):
    """`faults` are what was wrong on the way; `items` calls as they are now; `changes` what their streams have."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        random.seed(self.seed)
        self.clock = Clock(START + self.random.choice([600, 600, 600, DAY - 400]))
        self.began = self.clock()
        self.takes_are_late = self.random.random() < 0.25
        PLAYED[self.seed] += 1
        self.no = 2 * 10**9 + PLAYED[self.seed] * 10**6 + self.seed * 10
        self.uri = f"c{self.no}"
        self.endpoint: Endpoint = self._market()
        self.stages = [Stage(self.client, clock=self.clock, random_bytes=self.random.randbytes) for _ in range(2)]
        self.stage = self.stages[0]
        self.turn_is_over = Semaphore(0)
        self.actors, self.in_flight, self.a_lease_came_late = [], [], False
        self.all_arrived_at = self.clock()
        self.faults: set[str] = set()
        self.items: dict[bytes, Item] = {}
        self.changes: list[Event] = []
        self.known: dict[tuple[str, int], Endpoint | None] = {}
        self.ping_ids: set[bytes] = set()
        self.sold: set[bytes] = set()
        self.sales: dict[bytes, Sale] = {}
        self.entered: dict[tuple[str, str], Item] = {}
        self.posted: list[Posted] = []
        self.dialed: defaultdict[bytes, dict[int, str]] = defaultdict(dict)
        self.settlements: Counter[bytes] = Counter()
        self.stage.publish(self.endpoint)

    def _market(self) -> Endpoint:
        """Two or three buyers, most with caps of few, and one of the kinds of numbers."""
        draw = self.random
        buyers = tuple(self._buyer(place) for place in range(draw.choice([2, 2, 3])))
        numbers = [f"+1800{self.no}{n}" for n in range(3)]
        tracking: dict[str, Any] = {"pool": a_pool(no=self.no, hold_seconds=HOLD_SECONDS, cooldown_seconds=60)}
        self.kind = draw.choice(["ring pool", "ring pool", "shared", "static"])
        if self.kind == "ring pool":
            shard = structs.replace(tracking["pool"].shards[0], numbers=tuple(numbers))
            tracking["pool"] = structs.replace(tracking["pool"], shards=(shard,))
        elif self.kind == "shared":
            tracking = {"shared_numbers": tuple(numbers[:2])}
        else:
            tracking = {"static_numbers": {STATIC: "source-1"}}
        rules = CallRules(
            PROVIDER,
            late_calls=draw.choice(["sell", "sell", "unpaid"]),
            fallback=draw.choice(["as_posted", "try_all"]),
            last_resort=draw.choice(["", "", "", "", "", "+18005550199"]),
        )
        return an_endpoint(
            vanity_uri=self.uri, hold_seconds=HOLD_SECONDS, buyers=buyers, calls=rules,
            earns=draw.choice(EARNS), **tracking,
        )  # fmt: skip

    def _buyer(self, place: int) -> Buyer:
        draw, uri = self.random, self.uri
        some: list[Cap] = []
        for kind in KINDS:
            if draw.random() < 0.5:
                period, limit = draw.choice(PERIODS), draw.choice([1, 1, 2])
                some.append(Cap(kind, limit, period, draw.choice(["", "", "", uri])))
        if draw.random() < 0.3:
            some.append(Cap("revenue", CENTS * draw.choice([1, 2]), "day"))
        if draw.random() < 0.6:
            some.append(Cap("concurrent", draw.choice([1, 1, 2]), "", draw.choice(["", "", uri])))
        pays = draw.choice([Pays("answered"), Pays("duration", TALKS_SECONDS), Pays("sale")])
        press = KEY_PRESSED if draw.random() < 0.25 else ""
        return a_buyer(
            id=self.no + place, name=f"Buyer {place}", bid_cents=CENTS, tier=place + 1, number=f"+1800555018{place}",
            caps=tuple(some), pays=pays, dial=DialRules(RINGS_SECONDS, TALKS_SECONDS * 2, press=press),
        )  # fmt: skip

    def run(self) -> list[str]:
        """Play it, and give what was violated."""
        try:
            self._sell()
            self._ring()
            self._let_all_be_due()
        finally:
            self._forget_the_timetable()
        return sorted(self.faults)

    def call_id(self, phone: Phone) -> bytes:
        return keys.call_id(self.stage.keys, PROVIDER, ACCOUNT, phone.sid)

    # Sales

    def _sell(self) -> None:
        """Some callers are sold; the phones of most of them will ring, of some twice."""
        draw = self.random
        numbers = count(1)
        for n in range(draw.choice([1, 1, 2, 3])):
            caller = f"+1614{2_000_000 + ((PLAYED[self.seed] - 1) * 10**5 + self.seed) * 10 % 7_999_999 + n}"
            sent = Sent("full", {"caller_id": caller})
            if self.kind == "static":
                sent = Sent(draw.choice(["full", "ping"]), {"caller_id": caller, "trackdrive_number": STATIC})
            number = STATIC if self.kind == "static" and draw.random() < 0.3 else self._sell_one(sent)
            if number:
                calls = draw.choice([0, 1, 1, 1, 2, 2]) if n else draw.choice([1, 1, 2])
                phones: list[Phone] = [Phone(f"CA{self.no}-{next(numbers)}", number, caller) for _ in range(calls)]
                self.posted += [
                    Posted(phone, Arrived(call_sid=phone.sid, account=ACCOUNT, caller=caller, number=number))
                    for phone in phones
                    for _ in range(draw.choice([1, 1, 1, 2]))
                ]
        self._note_sales()

    def _sell_one(self, sent: Sent) -> str:
        """The number of a sale, or of a PING that is left; empty where it is refused."""
        for calm in (self.random.random() < 0.6, False, True, True, True):
            actor = self._play_alone(Actor(self, sent), calm)
            if actor.answer:
                sold = json.loads(actor.answer)
                return STATIC if self.kind == "static" else f"+{sold['trackdrive_number']}"
            if actor.refusal and not isinstance(actor.refusal, TemporarilyUnavailable):
                return ""
            self._forward(CLAIM_SECONDS)
        raise AssertionError(f"a sale is never answered: {actor.refusal!r}")

    def _note_sales(self) -> None:
        """What the stream of pings has of sales."""
        for ping_id in sorted(self.sold - self.sales.keys()):
            item: Any = self.client.get_item(TableName=SETTINGS.pings_table, Key=ping_key(ping_id), ConsistentRead=True)
            new: Item = item["Item"]
            self.sales[ping_id] = unpack(bytes_of(new, "sale"), Sale)
            old = {name: value for name, value in new.items() if name != "sale"}
            self.changes.append(Event(f"{len(self.changes)}", "pings", self.clock(), old, new))

    # Calls

    def _ring(self) -> None:
        crowd: list[Actor] = []
        while crowd or self.posted:
            if not crowd and self.random.random() < 0.3:
                self._forward(self.random.choice([1, 5, 20, 70]))
            if self.posted and len(crowd) < MOST_AT_ONCE and (not crowd or self.random.random() < 0.4):
                posted = self.posted.pop(self.random.choice([0, 0, self.random.randrange(len(self.posted))]))
                crowd.append(self._begin(Webhook(self, posted)))
            if self.changes and self.random.random() < 0.03 and not any(isinstance(each, Consumer) for each in crowd):
                crowd.append(self._begin(Consumer(self)))
            if self.random.random() < 0.05:
                self._forward(self.random.choice([1, 3]))
            if self.in_flight and self.random.random() < 0.03:
                self.deliver()
            if crowd:
                actor = self.random.choice(crowd)
                if not self._step(actor, self._fate(actor)):
                    crowd.remove(actor)
                    self._end(actor)

    def _fate(self, actor: Actor) -> str:
        if self.clock() - actor.started_at > actor.lives_seconds:
            return "dies before"
        return self.random.choices([*actor.fates], [*actor.fates.values()])[0]

    def _play_alone(self, actor: Actor, calm: bool) -> Actor:
        self._begin(actor)
        while self._step(actor, "goes on" if calm else self._fate(actor)):
            pass
        self._end(actor)
        return actor

    def _end(self, actor: Actor) -> None:
        if not isinstance(actor, Webhook):
            return
        posted = actor.posted
        if actor.refusal and not isinstance(actor.refusal, TemporarilyUnavailable):
            self.faults.add(f"a webhook is refused: {actor.refusal!r}")
        if actor.told is None:
            posted.sendings -= 1
            if posted.sendings:
                self.posted.append(posted)
            elif isinstance(posted.event, Arrived | DialEnded):
                self._post(
                    posted.phone, Over(call_sid=posted.phone.sid, account=ACCOUNT, status="completed", seconds=9)
                )
        elif isinstance(actor.told, instructions.Dial):
            self._dial(actor, actor.told)
        elif isinstance(posted.event, Arrived | DialEnded):
            self._post(posted.phone, Over(call_sid=posted.phone.sid, account=ACCOUNT, status="completed", seconds=9))

    def _dial(self, actor: Webhook, told: instructions.Dial) -> None:
        """What the provider has to say of an attempt that it was told to dial."""
        n = int(parse_qs(urlsplit(told.action).query)["n"][0])
        dialed, phone = self.dialed[actor.call_id], actor.posted.phone
        is_new = n not in dialed
        if any(name in actor.stood for name in (f"s{n}", "over", "settled")):
            self.faults.add("a buyer is dialed for an attempt that is over")
        if dialed.setdefault(n, told.number) != told.number:
            self.faults.add("two buyers are dialed for one attempt")
        elif len({*dialed.values()}) < len(dialed):
            self.faults.add("a buyer is dialed twice in a call")
        self._check_places(actor.call_id, n)
        if is_new:
            self._post(phone, *self._story(phone, n, f"{phone.sid}-{n}"))

    def _story(self, phone: Phone, n: int, leg: str) -> list[Said]:
        of: dict[str, Any] = {"call_sid": phone.sid, "account": ACCOUNT}
        answered, pressed = (
            Answered(attempt=n, leg_sid=leg, **of),
            Accepted(attempt=n, leg_sid=leg, keys=KEY_PRESSED, **of),
        )
        over = Over(status="completed", seconds=90, **of)

        def ended(status: Any, seconds: int = 0, bridged: bool = False, gone: bool = False) -> DialEnded:
            return DialEnded(
                attempt=n, leg_sid=leg, status=status, seconds=seconds, bridged=bridged, caller_gone=gone, **of
            )

        match self.random.choice(["busy", "no_answer", "failed", "talk", "talk", "talk", "short", "gone", "declined"]):
            case "talk":
                return [answered, pressed, ended("completed", TALKS_SECONDS, bridged=True), over]
            case "short":
                return [answered, pressed, ended("completed", 5, gone=True), over]
            case "gone":
                return [over, ended("canceled", gone=True)]
            case "declined":
                return [answered, ended("completed", 3)]
            case status:
                return [ended(status)]

    def _post(self, phone: Phone, *events: Said) -> None:
        """Some of it is lost, some comes twice; and any of it is overtaken by what is posted later."""
        for event in events:
            times = self.random.choices([0, 1, 2], [12, 70, 18])[0]
            self.posted += [Posted(phone, event) for _ in range(times)]

    # What functions write

    def note(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """A write that was done."""
        table = request.get("TableName")
        if table == SETTINGS.calls_table and ("Item" in request or "Attributes" in answer):
            self._note_call(request.get("Item") or answer["Attributes"])
        elif table == SETTINGS.pings_table and ":sale" in request.get("ExpressionAttributeValues", {}):
            self.sold.add(request["Key"]["ping_id"]["B"])
        elif table == SETTINGS.journal_table and "Item" in request:
            item = request["Item"]
            self.entered[item["pk"]["S"], item["sk"]["S"]] = {"pk": item["pk"], "sk": item["sk"]}
        elif table == SETTINGS.leases_table and "Attributes" in answer:
            self._check_caps(answer["Attributes"])

    def _note_call(self, new: Item) -> None:
        call_id = bytes_of(new, "call_id")
        old = self.items.get(call_id)
        before, after = old or {}, read_item(new)
        self.items[call_id] = new
        self.changes.append(Event(f"{len(self.changes)}", "calls", self.clock(), old, new))
        self.settlements[call_id] += "settled" in new and new.get("settled") != before.get("settled")
        began = [n for n in after.facts.attempts if new[f"a{n}"] != before.get(f"a{n}")] if old else []
        for n in began:
            if "over" in before or "settled" in before or f"a{n}" in before or (n > 1 and f"s{n - 1}" not in before):
                self.faults.add("an attempt begins that may not")

    def _check_caps(self, item: Item) -> None:
        """No count and no number of places is above its cap."""
        buyer = next((buyer for buyer in self.endpoint.buyers if item["pk"] == {"S": f"B{buyer.id}"}), None)
        endpoint = item["sk"]["S"].removeprefix("CAPS").removeprefix("@")
        for cap in buyer.caps if buyer else ():
            if cap.endpoint != endpoint:
                continue
            name = caps.key(cap, local_time(buyer.zone, self.clock())) if buyer else ""
            value = item.get(name, {"N": "0"})
            ends = [int(end["N"]) for end in value.get("M", {}).values()]
            counted = sum(end > self.clock() for end in ends) if "M" in value else int(value["N"])
            if counted > cap.limit:
                self.faults.add("more is counted than a cap allows")
            if counted < 0:
                self.faults.add("less than nothing is counted")

    def _check_places(self, call_id: bytes, n: int) -> None:
        """Of no buyer more calls are dialed, or talk, than it has places."""
        buyer = self.endpoint.buyer(read_item(self.items[call_id]).facts.attempts[n].buyer_id)
        limit = min((cap.limit for cap in buyer.places), default=10**6) if buyer else 10**6
        if buyer and sum(self._is_with(buyer, *each) for each in self.items.items()) > limit:
            self.faults.add("more calls at a buyer than it has places")

    def _is_with(self, buyer: Buyer, call_id: bytes, item: Item) -> bool:
        facts = read_item(item).facts
        last = facts.last
        is_running = last and last not in facts.ended and not facts.over and not facts.settled
        if not is_running or facts.attempts[last].buyer_id != buyer.id or last not in self.dialed[call_id]:
            return False
        until = facts.attempts[last].at + buyer.dial.timeout_seconds + buyer.dial.max_call_seconds
        return self.clock() < until

    # The end

    def _let_all_be_due(self) -> None:
        """Time passes, and what is due is done; at last nothing fails, and nothing is late. An hour later what is left
        of sales is given."""
        for seconds in ENOUGH_FOR_MOST:
            self._forward(seconds)
            self._do_due(calm=False)
        self._deliver_all()
        for seconds in ENOUGH_FOR_MOST:
            self._do_due(calm=True)
            self._forward(seconds)
        self._do_due(calm=True)
        running = [stored for item in self.items.values() if not (stored := read_item(item)).facts.settled]
        if running:  # the last resort may talk for an hour
            self._forward(max(due_at(stored.call, stored.facts) for stored in running) - self.clock() + 180)
            self._do_due(calm=True)
        self.faults |= {*self.books.find_faults()}
        self._forward(UNCALLED_SECONDS + QUIET_SECONDS)
        Leftovers(Dynamo(self.client, SETTINGS), self.clock).give([self.endpoint])
        self.faults |= {*self.books.find_what_is_left()}

    def _do_due(self, calm: bool) -> None:
        self._note_sales()
        self._play_alone(MinuteFunction(self), calm)
        while self.changes:
            self._play_alone(Consumer(self), calm)

    def _forward(self, seconds: int) -> None:
        """No write is on its way for longer than it may be."""
        if not self.in_flight:
            self.all_arrived_at = self.clock()
        if self.clock() + seconds > self.all_arrived_at + LATE_SECONDS:
            self._deliver_all()
        self.clock.forward(seconds)

    def _deliver_all(self) -> None:
        while self.in_flight:
            self.deliver()
        self.all_arrived_at = self.clock()

    def _forget_the_timetable(self) -> None:
        """All machines have one timetable."""
        keys_of = [*self.entered.values()]
        for start in range(0, len(keys_of), 25):
            requests: Any = [{"DeleteRequest": {"Key": key}} for key in keys_of[start : start + 25]]
            self.client.batch_write_item(RequestItems={SETTINGS.journal_table: requests})

    @property
    def books(self) -> Books:
        calls = {call_id: read_item(item) for call_id, item in self.items.items()}
        return Books(
            self.client, self.endpoint, self.began, self.clock(), calls, self.sales, self.settlements, self.dialed
        )


def main(seed: int) -> None:
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        with fast(client) as wire:
            sys.stdout.write(f"{CallMachine(wire, seed).run() or 'nothing is wrong'}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
