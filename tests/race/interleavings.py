"""A machine that runs real PINGs, POSTs and FULLs over a real engine, one store call at a time in a random order. It
lets functions die before or after any call, loses requests and answers, throttles, and delivers writes late, after any
number of later ones, or twice. Requests are retried. Then it checks what must hold in every order."""

import dataclasses
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, pairwise, product
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from shared import flows
from shared.bidders.buyers import LiveBuyers
from shared.domain import caps
from shared.domain.caps import Cap, Kind
from shared.domain.keys import ID_BYTES, ask_key, read_ping_id, route_keys
from shared.domain.leasing import Lease
from shared.domain.live_bids import Call, Exchange, LiveBuyer, Reply, Silence
from shared.domain.models import CallRules, Endpoint, RingPool, Sale, Shard
from shared.domain.refusals import NoNumberAvailable, Refusal, TemporarilyUnavailable
from shared.domain.schedule import local_time
from shared.operators.leftovers import Leftovers
from shared.operators.repair import QUIET_SECONDS
from shared.publishers.requests import Request
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.pings import CLAIM_SECONDS, Pings
from shared.store.rings import Rings
from shared.store.routes import Route, Routes
from tests.build import KEYS, SETTINGS, START, Clock, Stage, a_buyer, a_pool, an_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBERS = count(random.SystemRandom().randrange(10**9), 100)
"""Of endpoints and pools; an endpoint has fewer than a hundred buyers, from its own number on."""
LIVE = LiveBuyer(
    ping=Exchange(url="https://buyer.example/ping", found={"bid": ("$.bid",)}),
    post=Exchange(url="https://buyer.example/post", accepted=(("$.yes", ("true",)),)),
)
FATES = {
    "goes on": 62,
    "dies before": 5,
    "dies after": 6,
    "request lost": 4,
    "answer lost": 5,
    "arrives late": 6,
    "arrives twice": 8,
    "throttled": 4,
}
"""What can happen to a call, and how often. The first of two sendings may arrive long after the second."""
READS = ("get_item", "batch_get_item", "query")
NUMBER, SOURCE = "+18005550170", "1023"
GIVEN_UP = 0.3
"""How many requests to static numbers are never sent again: an attempt that died leaves a route that nobody mends."""
HOLD_SECONDS = 300
"""Longer than an interleaving plays."""
FUNCTION_SECONDS = 9
LAST_CALL_STARTS = 5
"""Seconds into a request after which its deadline lets no call start."""

Mutation = Callable[[dict[str, Any]], None]


class Died(BaseException):
    """The function's process ended."""


class Gate(Dynamo):
    """Every call waits for its turn, and meets the fate that comes with it."""

    def __init__(self, client: "DynamoDBClient", actor: "Actor") -> None:
        super().__init__(client, actor.machine.stage.settings)
        self.actor = actor

    def check_time(self, not_done: bool = True, seconds: float = 0) -> None:
        if self.actor.machine.clock() + seconds - self.actor.started_at > self.actor.last_call_starts:
            raise TemporarilyUnavailable(not_done=not_done)

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        machine, fate = self.actor.machine, self.actor.wait()
        if fate == "dies before":
            raise Died
        if fate == "throttled":
            raise TemporarilyUnavailable(not_done=True)
        machine.note_ping_id(request)
        machine.mutation(request)
        is_write = method.__name__ not in READS
        if machine.scarce and _takes_back(request) and machine.random.random() < 0.5:
            fate = "arrives late"
        if fate == "arrives late" and is_write:
            machine.in_flight.append((method, request))
        if fate in ("request lost", "arrives late"):
            raise TemporarilyUnavailable
        if fate == "arrives twice" and is_write and sendings > 1:
            machine.in_flight.append((method, request))
        answer = super().send(method, sendings, *args, **request)
        machine.note(request, answer)
        if fate == "dies after":
            raise Died
        if fate == "answer lost":
            raise TemporarilyUnavailable
        return answer


class LiveGate:
    """The way to a live buyer: of a sale, too, each call waits for its turn and meets its fate."""

    def __init__(self, machine: "Machine", actor: "Actor | None" = None) -> None:
        self.machine, self.actor = machine, actor

    def __call__(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> dict[int, Reply | Silence]:
        assert calls.keys() == seconds.keys()
        return {buyer_id: self._one(call) for buyer_id, call in calls.items()}

    def _one(self, call: Call) -> Reply | Silence:
        if not call.final or not self.actor:
            return Reply(200, b'{"bid":30}')
        fate = self.actor.wait()
        if fate == "dies before":
            raise Died
        if fate not in ("request lost", "throttled", "arrives late"):
            yes = self.machine.agreed.setdefault(call.headers["Idempotency-Key"], self.machine.random.random() < 0.7)
        if fate == "dies after":
            raise Died
        if fate in ("request lost", "throttled", "arrives late", "answer lost"):
            return Silence("no answer", sent=fate != "throttled")
        return Reply(200, b'{"yes":true}' if yes else b'{"yes":false}')

    def judged(self, buyer_id: int, _: Call, fault: str) -> None:
        assert not fault, buyer_id


@dataclass(frozen=True)
class Sent:
    """A request: a publisher sends it again until it has an answer."""

    verb: str
    params: Mapping[str, str]

    @property
    def sale(self) -> tuple[str, ...]:
        """What has one answer."""
        return self.verb, self.params.get("ping_id", ""), self.params["caller_id"]


class CallersLease(NamedTuple):
    """A shared number that a caller has from `start` until `end`."""

    number: str
    caller: str
    start: int
    end: int


class Actor(Thread):
    """One request in one function."""

    fates = FATES
    last_call_starts, lives_seconds = LAST_CALL_STARTS, FUNCTION_SECONDS

    def __init__(self, machine: "Machine", sent: Sent) -> None:
        super().__init__(daemon=True)
        self.machine, self.sent = machine, sent
        self.started_at = machine.clock()
        self.go = Semaphore(0)
        self.fate = ""
        self.answer: bytes | None = None
        self.refusal: Refusal | None = None
        self.error: BaseException | None = None
        self.done = False

    def wait(self) -> str:
        self.machine.turn_is_over.release()
        self.go.acquire()
        return self.fate

    def run(self) -> None:
        try:
            self.act(Gate(self.machine.client, self))
        except Refusal as refused:
            self.refusal = refused
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again by the machine
            self.error = error
        finally:
            self.done = True
            self.machine.turn_is_over.release()

    def act(self, gate: Gate) -> None:
        ask = LiveGate(self.machine, self)
        world = self.machine.stage.world_over(gate)
        world = dataclasses.replace(world, live=LiveBuyers(lambda: ask, lambda name: name, KEYS))
        request = Request("POST", self.machine.endpoint.vanity_uri, dict(self.sent.params), [], "")
        self.answer = getattr(flows, self.sent.verb)(world, self.machine.endpoint, request)


@dataclass
class Machine:
    """One interleaving, all of it drawn from `seed`. `mutation` seeds a bug by changing requests on their way; `ruled`
    buyers have caps, and callers are sold once; `live` buyers are asked over HTTP; `static` endpoints have one number
    in the place of a pool, `shared` ones a few, of which callers have leased some before; on an endpoint that takes
    `calls` caps of each kind are reserved. Where numbers are `scarce`
    all are leased at first: attempts are taken back, many of these writes arrive late, and the same pings are sold
    meanwhile."""

    client: "DynamoDBClient"
    seed: int
    mutation: Mutation = lambda _: None
    ruled: bool = False
    live: bool = False
    static: bool = False
    shared: bool = False
    scarce: bool = False
    calls: bool = False
    clock: Clock = field(default_factory=lambda: Clock(START))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        random.seed(self.seed)
        no = next(NUMBERS)
        rules = self._rules(no) if self.ruled else {}
        if self.calls:
            rules["calls"] = CallRules(provider="local")
        tracking = self._tracking(no)
        self.endpoint: Endpoint = an_endpoint(
            vanity_uri=f"e{no}", hold_seconds=HOLD_SECONDS, ping_ttl_seconds=HOLD_SECONDS, **tracking, **rules
        )
        if self.live:
            asked = [
                structs.replace(buyer, id=no + place, bid_cents=0, live=LIVE)
                for place, buyer in enumerate(self.endpoint.buyers)
            ]
            self.endpoint = structs.replace(self.endpoint, buyers=tuple(asked))
        self.stage = Stage(self.client, clock=self.clock, send=LiveGate(self))
        self.ping_ids: set[bytes] = set()
        self.agreed: dict[str, bool] = {}
        self.turn_is_over = Semaphore(0)
        self.in_flight: list[tuple[Any, dict[str, Any]]] = []
        self.a_lease_came_late = False
        self.leases: list[tuple[int, Lease]] = []
        self.actors: list[Actor] = []
        for shard in self.endpoint.pool.shards if self.endpoint.pool else ():
            self._lease_some_of(shard)
        self.callers_leases: list[CallersLease] = []
        for number, n in product(self.endpoint.shared_numbers, range(2)):
            if self.random.random() < 0.5:
                self._lease_to_caller(number, self._params(n)["caller_id"])
        self.stage.publish(self.endpoint)

    def _tracking(self, no: int) -> dict[str, Any]:
        if self.static:
            return {"static_numbers": {NUMBER: SOURCE}}
        if self.shared:
            numbers = tuple(f"+1800{no:09}{n}" for n in range(self.random.choice([1, 2, 3])))
            return {"shared_numbers": numbers, "leases_per_caller": self.random.randint(1, len(numbers))}
        return {"pool": self._pool_of(no)}

    def _pool_of(self, no: int) -> RingPool:
        numbers = [f"+1800555{n:04}" for n in range(self.random.choice([1, 2, 3, 4]) + self.scarce)]
        cut = self.random.randint(1, len(numbers))
        shards = tuple(Shard(at, tuple(part)) for at, part in enumerate((numbers[:cut], numbers[cut:])) if part)
        return a_pool(no=no, shards=shards, hold_seconds=HOLD_SECONDS, cooldown_seconds=0)

    def _rules(self, no: int) -> dict[str, Any]:
        """A scarce buyer and one without caps; a caller is sold once."""
        caps: tuple[Cap, ...] = (Cap("concurrent", 1),)
        if not self.scarce:
            caps = (Cap("sales", self.random.choice([1, 2]), "total"), Cap("concurrent", self.random.choice([1, 2])))
        if self.calls:
            kinds: tuple[Kind, ...] = ("sales", "attempts", "connected", "converted")
            limits = [Cap(kind, self.random.choice([1, 2]), "total") for kind in kinds]
            caps = (*limits, Cap("revenue", 5000, "day"), Cap("concurrent", self.random.choice([1, 2])))
        buyers = (a_buyer(id=no, caps=caps), a_buyer(id=no + 1, name="Buyer B", bid_cents=2000))
        return {"buyers": buyers, "offer": f"o{no}", "duplicate_seconds": self.random.choice([0, 3600])}

    def _lease_some_of(self, shard: Shard) -> None:
        """Start a ring with earlier leases, all over at once or ending while we play, some after later ones."""
        spread = self.random.choice([1, 30])
        ends = [START + self.random.randrange(-spread, spread) for _ in shard.numbers]
        if self.scarce:
            ends = [START + CLAIM_SECONDS] * len(shard.numbers)
        leases = [
            Lease(number, self.random.randbytes(12), end) for number, end in zip(shard.numbers, ends, strict=True)
        ]
        Rings(Dynamo(self.client, SETTINGS), {}).create(self._pool.no, shard.id, leases)
        self.leases += [(START - 100, lease) for lease in leases]

    def _lease_to_caller(self, number: str, caller: str) -> None:
        """An earlier sale, whose hold ends while we play."""
        end = START + self.random.choice([1, CLAIM_SECONDS, 2 * CLAIM_SECONDS])
        route = Route(self.random.randbytes(12), 1, "+18005550181", True, end, attempt=self.random.randbytes(8))
        Routes(Dynamo(self.client, SETTINGS)).leave(route_keys(KEYS, number, caller), route, START)
        self.callers_leases.append(CallersLease(number, caller, START, end))

    def note(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Remember every lease that the engine has made. What rotates a ring makes none."""
        values = request.get("ExpressionAttributeValues", {})
        if request.get("TableName") != SETTINGS.leases_table or ":expiry" not in values or ":c" in values:
            return
        item = answer["Attributes"]
        shard = next(shard for shard in self._pool.shards if f"R{shard.id}" == item["sk"]["S"])
        sequence, width = int(item["c"]["N"]), len(shard.numbers)
        generation = (sequence - 1) // width
        lease = Lease(
            shard.numbers[(sequence - 1) % width],
            item[f"p{generation}"]["L"][-1]["B"],
            int(item[f"e{generation}"]["L"][-1]["N"]),
        )
        self.leases.append((self.clock(), lease))

    @property
    def _pool(self) -> Any:
        return self.endpoint.pool

    def note_ping_id(self, request: dict[str, Any]) -> None:
        key = request.get("Key", request.get("Item", {})).get("ping_id", {"B": b""})["B"]
        if len(key) == ID_BYTES:  # others are routes and retry keys
            self.ping_ids.add(key)

    def deliver(self) -> None:
        """Let one of the writes that are still on their way arrive."""
        method, request = self.in_flight.pop(self.random.randrange(len(self.in_flight)))
        refused = (
            self.client.exceptions.ConditionalCheckFailedException,
            self.client.exceptions.TransactionCanceledException,
        )
        self.a_lease_came_late |= ":expiry" in request.get("ExpressionAttributeValues", {}) or _is_route(request)
        with suppress(*refused):
            self.note(request, method(**request))

    def run(self) -> list[str]:
        """Play it, and give what was violated."""
        callers = (1 if self.endpoint.duplicate_seconds else 2) if self.scarce else self.random.choice([1, 1, 2])
        pings = [Sent("ping", self._params(n)) for n in range(callers) for _ in range(2)]
        self._play([self._start(sent) for sent in pings], [], calm=self.scarce)
        requests = self._requests(pings)
        crowd = [self._start(self.random.choice(requests)) for _ in range(self.random.choice([2, 3, 4]))]
        self._play(crowd, requests)
        for sent in requests:  # without an answer, a publisher asks again once nobody works on it any more
            self.clock.forward(CLAIM_SECONDS)
            if not ((self.static or self.shared) and self.random.random() < GIVEN_UP):
                self._play([self._start(sent)], [], calm=True)
        exhausted = isinstance(self.actors[-1].refusal, NoNumberAvailable) and self._free_numbers()
        while self.in_flight:
            self.deliver()
        return [*self._violations(), *(["a false exhaustion"] if exhausted and self.endpoint.pool else [])]

    def _play(self, crowd: list[Actor], more: list[Sent], calm: bool = False) -> None:
        """Let everybody make their calls in some order; `calm` calls all go on."""
        to_come = self.random.choice([0, 1, 2]) if more else 0
        while crowd:
            if to_come and self.random.random() < 0.1:
                to_come -= 1
                crowd.append(self._start(self.random.choice(more)))
            if not calm and self.random.random() < 0.06:
                self.clock.forward(self.random.choice([1, 3, 11]))
            if self.in_flight and (calm or not self.scarce) and self.random.random() < 0.1:
                self.deliver()
            actor = self.random.choice(crowd)
            too_late = self.clock() - actor.started_at > actor.lives_seconds
            fate = self.random.choices([*actor.fates], [*actor.fates.values()])[0]
            fate = "goes on" if calm else "dies before" if too_late else fate
            crowd = [other for other in crowd if self._step(other, fate if other is actor else None)]

    def _params(self, n: int) -> dict[str, str]:
        params = {"caller_id": f"+1614555{self.seed % 1000:03}{n}"}  # the item of a caller grows with every offer
        return params | ({"trackdrive_number": NUMBER} if self.static else {})

    def _requests(self, pings: list[Sent]) -> list[Sent]:
        """What publishers send who have got these answers to their PINGs."""
        answered: dict[str, list[Any]] = {sent.params["caller_id"]: [] for sent in pings}
        for actor in self.actors:
            if actor.answer:
                answered[actor.sent.params["caller_id"]].append(json.loads(actor.answer))
        requests = []
        for sent in pings[::2]:
            bodies = answered[sent.params["caller_id"]]
            kinds = [] if self.scarce else ["a buyer", "try all", "both"]
            kind = self.random.choice([*kinds, "one caller, two pings"])
            if bodies and kind in ("a buyer", "both"):
                requests.append(Sent("post", {**sent.params, "ping_id": bodies[0]["buyers"][-1]["ping_id"]}))
            if bodies and kind in ("try all", "both"):
                requests.append(Sent("post", {**sent.params, "ping_id": bodies[0]["try_all_buyers_ping_id"]}))
            if kind == "one caller, two pings":
                requests += [
                    Sent("post", {**sent.params, "ping_id": body["try_all_buyers_ping_id"]}) for body in bodies
                ]
            if self.random.random() < 0.4:
                requests.append(Sent("full" if self.static else self.random.choice(["full", "post"]), sent.params))
            if self.random.random() < 0.2:
                requests.append(sent)
        return requests or [Sent("full", pings[0].params)]

    def _start(self, sent: Sent) -> Actor:
        return self._begin(Actor(self, sent))

    def _begin(self, actor: Actor) -> Actor:
        self.actors.append(actor)
        actor.start()
        self.turn_is_over.acquire()
        return actor

    def _step(self, actor: Actor, fate: str | None) -> bool:
        """Let an actor make one call, if a fate is given; False once it is done."""
        if fate and not actor.done:
            actor.fate = fate
            actor.go.release()
            self.turn_is_over.acquire()
        if actor.error:
            raise actor.error
        return not actor.done

    def _free_numbers(self) -> bool:
        last_of = {lease.number: lease for _, lease in self.leases}
        return any(lease.expires_at <= self.clock() for lease in last_of.values())

    def _violations(self) -> list[str]:
        found = []
        by_number, leased_to = defaultdict(list), defaultdict(set)
        for leased_at, lease in self.leases:
            by_number[lease.number].append((leased_at, lease.expires_at))
            leased_to[lease.ping_id].add(lease.number)
        for spans in by_number.values():
            spans.sort()
            if any(start < end for (_, end), (start, _) in pairwise(spans)):
                found.append("a number in two live leases")
        if any(len(numbers) > 1 for numbers in leased_to.values()) and not self.a_lease_came_late:
            found.append("a ping with two leases")
        pings = Pings(Dynamo(self.client, SETTINGS))
        kept = {ping_id: pings.read(ping_id, self.clock()) for ping_id in self.ping_ids}
        sold = {ping_id: claim.sale for ping_id, claim in kept.items() if claim.sale and claim.ping}
        answers, numbers = defaultdict(set), defaultdict(set)
        for actor in self.actors:
            if actor.answer and actor.sent.verb != "ping":
                answers[actor.sent.sale].add(actor.answer)
                numbers[self._random_id(actor.sent)].add(json.loads(actor.answer)["trackdrive_number"])
        if any(len(given) > 1 for given in answers.values()):
            found.append("two answers to the same POST")
        if any(len(given) > 1 for given in numbers.values()):
            found.append("a ping answered with two numbers")
        if self.endpoint.pool and any(sale.number not in leased_to[ping_id] for ping_id, sale in sold.items()):
            found.append("a sale of a number that was not leased to it")
        callers = [(kept[ping_id].ping.lead | sale.posted)["caller_id"] for ping_id, sale in sold.items()]  # type: ignore[union-attr]
        if self.endpoint.duplicate_seconds and len(callers) > len(set(callers)):
            found.append("a caller sold twice")
        recorded = {sale.answer for sale in sold.values()}
        if any(answer not in recorded for given in answers.values() for answer in given):
            found.append("an answer without its sale")
        superseded = {ping_id for ping_id in sold if kept[ping_id].superseded_by}
        reserving = [sale for ping_id, sale in sold.items() if ping_id not in superseded]
        found += self._caps_violated([*sold.values()], reserving if self.calls else [*sold.values()])
        found += self._leftovers([*sold.values()], reserving) if self.calls else []
        found += self._agreements_violated(pings) if self.live else []
        found += self._routes_violated(sold, dict(zip(sold, callers, strict=True))) if self.static else []
        found += self._leases_violated(pings, sold, dict(zip(sold, callers, strict=True))) if self.shared else []
        return found

    def _random_id(self, sent: Sent) -> Any:
        """What a ping's ids have in common; a POST without one is known by itself."""
        known = read_ping_id(KEYS, self.endpoint.vanity_uri, sent.params.get("ping_id", ""))
        return known[0] if known else sent.sale

    def _routes_violated(self, sold: Mapping[bytes, Sale], callers: Mapping[bytes, str]) -> list[str]:
        """A call from a caller that was sold leads to the buyer of one of its sales, as long as one is held."""
        found = []
        for caller in set(callers.values()):
            held = {of for of, sale in sold.items() if callers[of] == caller and sale.held_until > self.clock()}
            route = self.stage.route(NUMBER, caller)
            if held and (route is None or route.ping_id not in held):
                found.append("a sale without its route")
        return found

    def _leases_violated(self, pings: Pings, sold: Mapping[bytes, Sale], callers: Mapping[bytes, str]) -> list[str]:
        """Of shared numbers: of one caller and number one sale at a time, and as long as it is held a call leads there.
        No caller holds more than it may; nor does a ping, of which no write came late."""
        found, now = list[str](), self.clock()
        leases = [CallersLease(sale.number, callers[of], sale.sold_at, sale.held_until) for of, sale in sold.items()]
        spans = defaultdict(list)
        for lease in [*self.callers_leases, *leases]:
            spans[lease.number, lease.caller].append((lease.start, lease.end))
        if any(start < end for held in spans.values() for (_, end), (start, _) in pairwise(sorted(held))):
            found.append("a number in two live leases of its caller")
        held = Counter(lease.caller for lease in leases if lease.end > now)
        if any(count > self.endpoint.leases_per_caller for count in held.values()):
            found.append("a caller with more numbers than it may hold")
        for of, sale in sold.items():
            route = self.stage.route(sale.number, callers[of]) if sale.held_until > now else None
            if sale.held_until > now and (route is None or (route.ping_id, route.buyer_id) != (of, sale.buyer_id)):
                found.append("a sale without its route")
        leased_to = Counter[bytes]()
        for caller in {actor.sent.params["caller_id"] for actor in self.actors}:
            places = {number: route_keys(KEYS, number, caller) for number in self.endpoint.shared_numbers}
            leased_to.update(route.ping_id for route in Routes(pings.dynamo).sold_at(places, now).values())
        if any(count > 1 for count in leased_to.values()) and not self.a_lease_came_late:
            found.append("a ping with two leases")
        return found

    def _agreements_violated(self, pings: Pings) -> list[str]:
        """A live buyer is sold what it agreed to, and what it agreed to is sold to it or written down."""
        found = []
        for ping_id, buyer_id in product(self.ping_ids, [buyer.id for buyer in self.endpoint.buyers]):
            agreed = self.agreed.get(ask_key(KEYS, ping_id, buyer_id))
            kept = pings.read(ping_id, self.clock())
            sold = kept.sale is not None and kept.sale.buyer_id == buyer_id
            if sold and not agreed:
                found.append("a sale without the buyer's yes")
            if agreed and not sold and buyer_id not in kept.asked:
                found.append("a yes that nobody knows of")
        return found

    def _caps_violated(self, sales: list[Sale], reserving: list[Sale]) -> list[str]:
        """Sales ≤ counted ≤ cap. A sale that another has superseded is still counted as one, and reserves nothing."""
        found = []
        counting = [of for buyer in self.endpoint.buyers for of in items(buyer)]
        counts = Counters(Dynamo(self.client, SETTINGS), {}).counts(counting, self.clock())
        for buyer in self.endpoint.buyers:
            for cap in buyer.caps:
                counted_sales = sales if cap.kind == "sales" else reserving
                ours = [sale for sale in counted_sales if sale.buyer_id == buyer.id]
                sold = 0 if cap.kind in ("concurrent", "revenue") else len(ours)
                counted = counts.get(buyer.id, {}).get(caps.key(cap, local_time("UTC", self.clock())), 0)
                if not sold <= counted <= cap.limit:
                    found.append("a cap that does not hold")
                if cap.kind == "concurrent" and _most_at_once(ours) > cap.limit:
                    found.append("more at once than there are places")
        return found

    def _leftovers(self, sales: list[Sale], reserving: list[Sale]) -> list[str]:
        """Once the hourly work has given what was left, caps count what was sold, and nothing else."""
        self.clock.forward(QUIET_SECONDS)
        Leftovers(Dynamo(self.client, SETTINGS), self.clock).give([self.endpoint])
        counting = [of for buyer in self.endpoint.buyers for of in items(buyer)]
        counts = Counters(Dynamo(self.client, SETTINGS), {}).counts(counting, self.clock())
        for buyer in self.endpoint.buyers:
            for cap in buyer.amounts:
                counted_sales = sales if cap.kind == "sales" else reserving
                ours = [sale for sale in counted_sales if sale.buyer_id == buyer.id]
                counted = counts.get(buyer.id, {}).get(caps.key(cap, local_time("UTC", self.clock())), 0)
                if counted != sum(cap.amount(sale.bid_cents) for sale in ours):
                    return ["a reservation without a sale"]
        return []


def _is_route(request: Mapping[str, Any]) -> bool:
    return "route" in request.get("Item", {})


def _takes_back(request: Mapping[str, Any]) -> bool:
    """Whether it undoes what an earlier write has done: nothing else only removes or counts down."""
    return not str(request.get("UpdateExpression", "SET")).startswith("SET")


def _most_at_once(sales: list[Sale]) -> int:
    """How many are held at a time. A place is taken, and so ends, some calls before the hold of its number."""
    spans = [(sale.sold_at, sale.held_until - FUNCTION_SECONDS) for sale in sales]
    return max((sum(start <= at < end for start, end in spans) for at, _ in spans), default=0)
