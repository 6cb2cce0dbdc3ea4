"""What tests are made of: endpoints and pools with overrides, a world over any engine with a clock that is set by hand,
and a publisher that sends events as API Gateway would."""

import base64
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from shared import flows
from shared.bidders.buyers import LiveBuyers, Send
from shared.domain.keys import Keys, derive, read_ping_id, route_key, token_hash
from shared.domain.leasing import Lease, shards_of
from shared.domain.live import Call, Reply, Silence
from shared.domain.models import Buyer, Endpoint, Field, RingPool, Shard
from shared.domain.templates import Unaskable
from shared.edge import http
from shared.flows import World
from shared.settings import Settings
from shared.store.callers import Callers
from shared.store.compiled import Compiled, Memory, pack, version_key
from shared.store.counters import Counters, Seen
from shared.store.dynamo import Dynamo
from shared.store.pings import Claim, Pings, Route
from shared.store.rings import Rings
from shared.store.tallies import Gathered, Tallies

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

START = 4_102_444_800
"""2100-01-01 00:00 UTC, when tests start: ahead of the real clock, by which DynamoDB Local deletes what TTL says."""

SETTINGS = Settings(
    config_table="config",
    pings_table="pings",
    leases_table="leases",
    callers_table="callers",
    journal_table="journal",
    secret="00" * 32,
)
KEYS = derive(bytes(32))

CALLER = "+16145550123"
REQUEST_ID = "00000000-0000-4000-8000-000000000000"


def a_buyer(**overrides: Any) -> Buyer:
    values: dict[str, Any] = {"id": 1, "name": "Buyer A", "bid_cents": 2500, "number": "+18005550181"}
    return Buyer(**values | overrides)


BUYERS = (a_buyer(), a_buyer(id=2, name="Buyer B", bid_cents=2000, number="+18005550182"))

CONTACT_FIELDS = (
    Field(name="caller_id", type="phone", required_on=("post",)),
    Field(name="trackdrive_number", type="phone"),
    Field(name="traffic_source_id"),
)
STATIC_CONTACT_FIELDS = (
    Field(name="caller_id", type="phone", required_on=("post",)),
    Field(name="trackdrive_number", type="phone", required_on=("ping",)),
    Field(name="traffic_source_id"),
)


def a_pool(numbers: int = 8, no: int = 1, **overrides: Any) -> RingPool:
    all_numbers = [f"+1800{5550000 + no * 10000 + n}" for n in range(numbers)]
    shards = tuple(Shard(at, cut) for at, cut in enumerate(shards_of(all_numbers)))
    values: dict[str, Any] = {"no": no, "name": f"pool-{no}", "hold_seconds": 300, "cooldown_seconds": 60}
    return RingPool(**values | {"shards": shards} | overrides)


def an_endpoint(**overrides: Any) -> Endpoint:
    """A ring-pool endpoint without a token, of eight numbers and two buyers; `static_numbers` makes it static."""
    static = "static_numbers" in overrides
    values: dict[str, Any] = {
        "vanity_uri": "my_endpoint",
        "version": 1,
        "offer": "auto-insurance",
        "rank_by": "bid",
        "fields": STATIC_CONTACT_FIELDS if static else CONTACT_FIELDS,
        "buyers": BUYERS,
        "users": (),
        "ping_ttl_seconds": 120,
        "pool": None if static else a_pool(),
        "hold_seconds": 300,
        "require_auth_token": False,
    }
    values |= overrides
    if values["pool"]:
        values["hold_seconds"] = values["pool"].hold_seconds
    return Endpoint(**values)


class InTurn(Executor):
    """Runs what is submitted at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is asked for
            future.set_exception(error)
        return future


class Counting(Dynamo):
    """Counts its calls; those that count for plots, which run beside others, apart."""

    calls = 0
    counts = 0

    def call(self, method: Any, *args: Any, **request: Any) -> Any:
        if (method.__name__, request.get("TableName")) == ("update_item", self.settings.journal_table):
            self.counts += 1
        else:
            self.calls += 1
        return super().call(method, *args, **request)


@dataclass
class Clock:
    """Seconds since the epoch, moved by hand."""

    now: int = START

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: int) -> None:
        self.now += seconds


@dataclass
class Scripted:
    """Live buyers without a network: `script` gives what each replies; without one, nobody is there."""

    script: Callable[[int, Call], Reply | Silence] = lambda *_: Silence("nobody is there", sent=False)
    told: list[tuple[int, Call]] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def __call__(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> dict[int, Reply | Silence]:
        self.waits += [seconds[buyer_id] for buyer_id in calls]
        self.told += calls.items()
        return {buyer_id: self.script(buyer_id, call) for buyer_id, call in calls.items()}

    def judged(self, buyer_id: int, _: Call, fault: str) -> None:
        self.faults.append((buyer_id, fault))


@dataclass
class Stage:
    """One process's memory over an engine: what a warm function is."""

    client: "DynamoDBClient"
    settings: Settings = SETTINGS
    clock: Clock = field(default_factory=Clock)
    keys: Keys = KEYS
    beside: Executor = field(default_factory=InTurn)
    random_bytes: Callable[[int], bytes] = os.urandom
    send: Send = field(default_factory=Scripted)
    secrets: dict[str, str] = field(default_factory=dict)
    elapsed: Callable[[], float] = lambda: 0.0

    def __post_init__(self) -> None:
        self.memory = Memory()
        self.free_at: dict[tuple[int, tuple[int, ...]], int] = {}
        self.counted: dict[int, Seen] = {}
        self.gathered = Gathered()

    def secret(self, name: str) -> str:
        if name not in self.secrets:
            raise Unaskable(f"the secret {name} is not set")
        return self.secrets[name]

    def world(self) -> World:
        return self.world_over(Dynamo(self.client, self.settings))

    def world_over(self, dynamo: Dynamo) -> World:
        return World(
            compiled=Compiled(dynamo, self.memory),
            pings=Pings(dynamo),
            rings=Rings(dynamo, self.free_at),
            counters=Counters(dynamo, self.counted),
            callers=Callers(dynamo, self.keys),
            live=LiveBuyers(lambda: self.send, self.secret, self.keys),
            tallies=Tallies(dynamo, self.gathered, self.clock),
            keys=self.keys,
            now=self.clock,
            elapsed=self.elapsed,
            random_bytes=self.random_bytes,
            beside=self.beside,
            aside=self.beside,
            pause=lambda: None,
        )

    def publish(self, *endpoints: Endpoint) -> None:
        """Make endpoints live, as the configuration command does."""
        for endpoint in endpoints:
            pk = {"S": f"ENDPOINT#{endpoint.vanity_uri}"}
            compiled = {"pk": pk, "sk": {"S": version_key(endpoint.version)}, "compiled": {"B": pack(endpoint)}}
            pointer = {"pk": pk, "sk": {"S": "LIVE"}, "version": {"N": str(endpoint.version)}}
            for item in (compiled, pointer):
                self.client.put_item(TableName=self.settings.config_table, Item=item)  # type: ignore[arg-type]
            for shard in endpoint.pool.shards if endpoint.pool else ():
                never = [Lease(number, b"", 0) for number in shard.numbers]
                Rings(Dynamo(self.client, self.settings), {}).create(endpoint.pool.no, shard.id, never)  # type: ignore[union-attr]

    def kept(self, ping_id: str, uri: str = "my_endpoint") -> Claim:
        """What is stored of the ping with this public id."""
        known = read_ping_id(self.keys, uri, ping_id)
        assert known
        return self.world().pings.read(known[0], self.clock())

    def route(self, number: str, caller: str = CALLER) -> Route | None:
        """Where a call from `caller` to `number` goes now."""
        return self.world().pings.route(route_key(self.keys, number, caller), self.clock())

    def contents(self) -> dict[str, list[str]]:
        """Every item of the tables that requests write, to be compared."""
        tables = (self.settings.pings_table, self.settings.leases_table, self.settings.callers_table)
        return {
            table: sorted(repr(sorted(item.items())) for item in self.client.scan(TableName=table)["Items"])
            for table in tables
        }

    def give_token(self, token: str, user: str) -> None:
        self.client.put_item(
            TableName=self.settings.config_table,
            Item={
                "pk": {"S": f"TOKEN#{token_hash(self.keys, token)}"},
                "sk": {"S": "TOKEN"},
                "user": {"S": user},
            },
        )


@dataclass
class Answer:
    code: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


def an_event(
    verb: str = "ping",
    uri: str = "my_endpoint",
    *,
    method: str = "POST",
    query: str = "",
    json_body: Any = None,
    form: dict[str, str] | None = None,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    path: str | None = None,
) -> dict[str, Any]:
    """What API Gateway makes of a request: a body that is no text, a form above all, arrives in base64."""
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    if json_body is not None:
        body = json.dumps(json_body).encode()
        sent.setdefault("content-type", "application/json")
    elif form is not None:
        body = urlencode(form).encode()
        sent.setdefault("content-type", "application/x-www-form-urlencoded")
    event: dict[str, Any] = {
        "version": "2.0",
        "rawPath": path if path is not None else f"/api/v1/inbound_webhooks/{verb}/{uri}",
        "rawQueryString": query,
        "headers": sent,
        "requestContext": {"domainName": "ringpost.example", "http": {"method": method, "sourceIp": "192.0.2.1"}},
        "isBase64Encoded": False,
    }
    if body is None:
        return event
    try:
        if sent.get("content-type", "").startswith(("application/json", "text/")):
            return event | {"body": body.decode()}
    except UnicodeDecodeError:
        pass
    return event | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


@dataclass
class Publisher:
    """Sends requests to the handlers' own code, one event at a time."""

    stage: Stage

    def ping(self, uri: str = "my_endpoint", **sent: Any) -> Answer:
        return self.send("ping", uri, json_body=sent)

    def post(self, uri: str = "my_endpoint", **sent: Any) -> Answer:
        return self.send("post", uri, json_body=sent)

    def full(self, uri: str = "my_endpoint", **sent: Any) -> Answer:
        return self.send("full", uri, json_body=sent)

    def send(self, verb: str, uri: str = "my_endpoint", *, world: World | None = None, **sent: Any) -> Answer:
        """Any request: `sent` is what `an_event` takes."""
        world = world or self.stage.world()
        flow = partial(getattr(flows, verb), world)
        found = http.serve(an_event(verb, uri, **sent), REQUEST_ID, verb, world.endpoint, flow)
        return Answer(found["statusCode"], found["headers"], found["body"])
