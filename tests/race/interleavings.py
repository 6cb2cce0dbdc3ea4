"""A machine that runs real POSTs over a real engine, one store call at a time in a random order, and lets functions die
before or after any call, lose an answer, time out and be retried. Then it checks what must hold in every order."""

import dataclasses
import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any

from msgspec import structs

from shared import flows
from shared.bidders.buyers import LiveBuyers
from shared.domain import caps
from shared.domain.caps import Cap
from shared.domain.keys import ID_BYTES, ask_key
from shared.domain.leasing import Lease
from shared.domain.live import Call, Exchange, Live, Reply, Silence
from shared.domain.models import Endpoint, Sale, Shard
from shared.domain.refusals import NoNumberAvailable, Refusal, TemporarilyUnavailable
from shared.domain.schedule import local_time
from shared.edge.requests import Request
from shared.store.counters import Counters
from shared.store.dynamo import Dynamo
from shared.store.pings import Pings
from shared.store.rings import Rings
from tests.build import KEYS, SETTINGS, START, Clock, Stage, a_buyer, a_pool, an_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIVE = Live(
    ping=Exchange(url="https://buyer.example/ping", found={"bid": ("$.bid",)}),
    post=Exchange(url="https://buyer.example/post", accepted=(("$.yes", ("true",)),)),
)
FUNCTION_SECONDS = 9
LAST_CALL_STARTS = 5
"""Seconds into a request after which its deadline lets no call start."""

Mutation = Callable[[dict[str, Any]], None]


class Died(BaseException):
    """The function's process ended."""


class Gate(Dynamo):
    """Every call waits for its turn, and meets the fate that comes with it."""

    def __init__(self, client: "DynamoDBClient", actor: "Actor") -> None:
        super().__init__(client, SETTINGS)
        self.actor = actor

    def check_time(self) -> None:
        if self.actor.machine.clock() - self.actor.started_at > LAST_CALL_STARTS:
            raise TemporarilyUnavailable

    def call(self, method: Any, *args: Any, **request: Any) -> Any:
        fate = self.actor.wait()
        if fate == "dies before":
            raise Died
        if fate == "request lost":
            raise TemporarilyUnavailable
        if ping_id := request.get("Key", {}).get("ping_id"):
            self.actor.machine.ping_ids.add(ping_id["B"])
        self.actor.machine.mutation(request)
        answer = super().call(method, *args, **request)
        self.actor.machine.note(request, answer)
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
        if fate != "request lost":
            yes = self.machine.agreed.setdefault(call.headers["Idempotency-Key"], self.machine.random.random() < 0.7)
        if fate == "dies after":
            raise Died
        if fate in ("request lost", "answer lost"):
            return Silence("no answer", sent=True)
        return Reply(200, b'{"yes":true}' if yes else b'{"yes":false}')

    def judged(self, buyer_id: int, _: Call, fault: str) -> None:
        assert not fault, buyer_id


class Actor(Thread):
    """One POST in one function."""

    def __init__(self, machine: "Machine", params: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.machine, self.params = machine, params
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
            world = self.machine.stage.world_over(Gate(self.machine.stage.client, self))
            ask = LiveGate(self.machine, self)
            world = dataclasses.replace(world, live=LiveBuyers(lambda: ask, lambda name: name, KEYS))
            request = Request("POST", self.machine.endpoint.vanity_uri, self.params, [], "")
            self.answer = flows.post(world, self.machine.endpoint, request)
        except Refusal as refused:
            self.refusal = refused
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again by the machine
            self.error = error
        finally:
            self.done = True
            self.machine.turn_is_over.release()


@dataclass
class Machine:
    """One interleaving, all of it drawn from `seed`. `mutation` seeds a bug by changing requests on their way; `ruled`
    buyers have caps, and callers are sold once; with `live` the first buyer is asked over HTTP."""

    client: "DynamoDBClient"
    seed: int
    mutation: Mutation = lambda _: None
    ruled: bool = False
    live: bool = False
    clock: Clock = field(default_factory=lambda: Clock(START))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        random.seed(self.seed)
        numbers = [f"+1800555{n:04}" for n in range(self.random.choice([1, 2, 3, 4]))]
        cut = self.random.randint(1, len(numbers))
        shards = tuple(Shard(at, tuple(part)) for at, part in enumerate((numbers[:cut], numbers[cut:])) if part)
        no = random.SystemRandom().randrange(10**9)
        rules = self._rules(no) if self.ruled else {}
        self.endpoint: Endpoint = an_endpoint(
            vanity_uri=f"e{no}", pool=a_pool(no=no, shards=shards, hold_seconds=120, cooldown_seconds=0), **rules
        )
        if self.live:
            first, *others = self.endpoint.buyers
            asked = structs.replace(first, id=no, bid_cents=0, live=LIVE)
            self.endpoint = structs.replace(self.endpoint, buyers=(asked, *others))
        self.stage = Stage(self.client, clock=self.clock, send=LiveGate(self))
        self.ping_ids: set[bytes] = set()
        self.agreed: dict[str, bool] = {}
        self.turn_is_over = Semaphore(0)
        self.leases: list[tuple[int, Lease]] = []
        self.actors: list[Actor] = []
        for shard in shards:
            self._lease_some_of(shard)
        self.stage.publish(self.endpoint)

    def _rules(self, no: int) -> dict[str, Any]:
        """A scarce buyer and one without caps; a caller is sold once."""
        caps = (Cap("sales", self.random.choice([1, 2]), "total"), Cap("concurrent", self.random.choice([1, 2])))
        buyers = (a_buyer(id=no, caps=caps), a_buyer(id=no + 1, name="Buyer B", bid_cents=2000))
        return {"buyers": buyers, "offer": f"o{no}", "duplicate_seconds": self.random.choice([0, 3600])}

    def _lease_some_of(self, shard: Shard) -> None:
        """Start a ring with earlier leases, all over at once or ending while we play."""
        spread = self.random.choice([1, 30])
        ends = sorted(START + self.random.randrange(-spread, spread) for _ in shard.numbers)
        leases = [
            Lease(number, self.random.randbytes(12), end) for number, end in zip(shard.numbers, ends, strict=True)
        ]
        Rings(Dynamo(self.client, SETTINGS), {}).create(self._pool.no, shard.id, leases)
        self.leases += [(START - 100, lease) for lease in leases]

    def note(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Remember every lease that the engine has made."""
        if request.get("TableName") != SETTINGS.leases_table or request["Key"]["sk"]["S"] == "CAPS":
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

    def run(self) -> list[str]:
        """Play it, and give what was violated."""
        requests = self._requests()
        crowd = [self._start(self.random.choice(requests)) for _ in range(self.random.choice([2, 3, 4]))]
        to_come = self.random.choice([0, 1, 2])
        while crowd:
            if to_come and self.random.random() < 0.1:
                to_come -= 1
                crowd.append(self._start(self.random.choice(requests)))
            if self.random.random() < 0.06:
                self.clock.forward(self.random.choice([1, 3, 11]))
            actor = self.random.choice(crowd)
            fates = ["goes on", "dies before", "dies after", "request lost", "answer lost"]
            late = self.clock() - actor.started_at > FUNCTION_SECONDS
            fate = "dies before" if late else self.random.choices(fates, [80, 5, 6, 4, 5])[0]
            crowd = [other for other in crowd if self._step(other, fate if other is actor else None)]
        for request in requests:  # whoever got no answer asks again, when nobody is working on it any more
            self.clock.forward(11)
            actor = self._start(request)
            while self._step(actor, "goes on"):
                pass
        return self._violations()

    def _requests(self) -> list[dict[str, str]]:
        world = self.stage.world()
        world.endpoint(self.endpoint.vanity_uri)
        requests = []
        for n in range(self.random.choice([1, 2, 4])):
            params = {"caller_id": f"+1614555{self.seed % 1000:03}{n}"}  # the item of a caller grows with every offer
            request = Request("POST", self.endpoint.vanity_uri, params, [], "")
            ping, another = (json.loads(flows.ping(world, self.endpoint, request)) for _ in range(2))
            kind = self.random.choice(["a buyer", "try all", "both", "post-only", "one caller, two pings"])
            if kind in ("a buyer", "both"):
                requests.append(params | {"ping_id": ping["buyers"][1]["ping_id"]})
            if kind in ("try all", "both"):
                requests.append(params | {"ping_id": ping["try_all_buyers_ping_id"]})
            if kind == "post-only":
                requests.append(params)
            if kind == "one caller, two pings":
                requests += [params | {"ping_id": each["try_all_buyers_ping_id"]} for each in (ping, another)]
        return requests

    def _start(self, params: dict[str, str]) -> Actor:
        actor = Actor(self, params)
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

    def _violations(self) -> list[str]:
        found = []
        by_number, by_ping = defaultdict(list), defaultdict(list)
        for leased_at, lease in self.leases:
            by_number[lease.number].append((leased_at, lease.expires_at))
            by_ping[lease.ping_id].append(lease.number)
        for spans in by_number.values():
            spans.sort()
            if any(start < end for (_, end), (start, _) in pairwise(spans)):
                found.append("a number in two live leases")
        if any(len(numbers) > 1 for numbers in by_ping.values()):
            found.append("a ping with two leases")
        answers, sales = defaultdict(set), {}
        pings = Pings(Dynamo(self.client, SETTINGS))
        for actor in self.actors:
            if actor.answer:
                answers[actor.params.get("ping_id", actor.params["caller_id"])].add(actor.answer)
        if any(len(given) > 1 for given in answers.values()):
            found.append("two answers to the same POST")
        callers = []
        for ping_id, numbers in by_ping.items():
            kept = pings.read(ping_id, self.clock())
            if kept.sale and kept.sale.number not in numbers:
                found.append("a sale of a number that was not leased to it")
            if kept.sale and kept.ping:
                sales[kept.sale.answer] = kept.sale
                callers.append((kept.ping.lead | kept.sale.posted)["caller_id"])
        if self.endpoint.duplicate_seconds and len(callers) > len(set(callers)):
            found.append("a caller sold twice")
        if any(answer not in sales for given in answers.values() for answer in given):
            found.append("an answer without its sale")
        found += self._caps_violated(list(sales.values()))
        found += self._agreements_violated(pings) if self.live else []
        last_of = {lease.number: lease for _, lease in self.leases}
        free = [lease for lease in last_of.values() if lease.expires_at <= self.clock()]
        if free and isinstance(self.actors[-1].refusal, NoNumberAvailable):
            found.append("a false exhaustion")
        return found

    def _agreements_violated(self, pings: Pings) -> list[str]:
        """A live buyer is sold what it agreed to, and what it agreed to is sold to it or written down."""
        found, buyer_id = [], self.endpoint.buyers[0].id
        for ping_id in (key for key in self.ping_ids if len(key) == ID_BYTES):  # the others are retry keys
            agreed = self.agreed.get(ask_key(KEYS, ping_id, buyer_id))
            kept = pings.read(ping_id, self.clock())
            sold = kept.sale is not None and kept.sale.buyer_id == buyer_id
            if sold and not agreed:
                found.append("a sale without the buyer's yes")
            if agreed and not sold and buyer_id not in kept.asked:
                found.append("a yes that nobody knows of")
        return found

    def _caps_violated(self, sales: list[Sale]) -> list[str]:
        """Sales ≤ counted ≤ cap."""
        found = []
        counts = Counters(Dynamo(self.client, SETTINGS), {}).counts([b.id for b in self.endpoint.buyers], self.clock())
        for buyer in self.endpoint.buyers:
            for cap in buyer.caps:
                sold = sum(sale.buyer_id == buyer.id for sale in sales if cap.kind == "sales")
                counted = counts.get(buyer.id, {}).get(caps.key(cap, local_time("UTC", self.clock())), 0)
                if not sold <= counted <= cap.limit:
                    found.append("a cap that does not hold")
        return found
