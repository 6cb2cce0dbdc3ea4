"""What tests are made of: endpoints and pools with overrides, a world over any engine with a clock that is set by hand,
and a publisher that sends events as API Gateway would."""

import base64
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode
from weakref import finalize

import botocore.session
from msgspec import structs

from shared import flows, runtime
from shared.bidders.buyers import LiveBuyers, Send
from shared.domain.key_list import derive
from shared.domain.keys import Key, Keys, read_ping_id, token_hash
from shared.domain.leasing import Lease, shards_of
from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.models import DAY, Buyer, Endpoint, Field, Ping, RingPool, Shard
from shared.domain.templates import Unaskable
from shared.flows import World, settling, superseding
from shared.flows.resolving import find_announced, leads_until
from shared.flows.telephony import KnownVersions, Telephony
from shared.journal.consumer import EndpointOf, consume, remembering
from shared.journal.dead_letters import DeadLetters
from shared.journal.due import Done, DueWork
from shared.journal.fetching import Fetching
from shared.journal.follow_up import FollowUp
from shared.journal.manifest import Manifest
from shared.journal.pages import Pages
from shared.journal.passing import Passing
from shared.journal.rows import Row, decode
from shared.journal.searching import find_unsettled
from shared.journal.storage import Folder
from shared.journal.timetable import Timetable
from shared.operators.erasing import SETTLED_SECONDS
from shared.operators.finishing import Finishing, list_unfinished
from shared.operators.repair import Repair
from shared.publishers import webhooks
from shared.runtime import calls, journal, office
from shared.settings import Settings
from shared.store.callers import Callers
from shared.store.calls import Calls
from shared.store.compiled import Compiled, Memory, pack, version_key
from shared.store.counters import Counters, Of, Seen
from shared.store.dynamo import Dynamo
from shared.store.erasures import Erased, Unfinished
from shared.store.items import bytes_of
from shared.store.owners import Known, Owners, owner_fields, owner_key, place_fields, places
from shared.store.packing import unpack
from shared.store.pings import Claim, Pings
from shared.store.records import Records
from shared.store.refused_requests import RefusedRequests
from shared.store.reservations import Reservations
from shared.store.retries import RetryKeys
from shared.store.rings import KnownExhausted, Rings
from shared.store.routes import Route, Routes
from tools import engine
from tools.local.streams import Stream

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

START = 4_102_444_800
"""2100-01-01 00:00 UTC, when tests start: ahead of the real clock, by which DynamoDB Local deletes what TTL says."""

SETTINGS = Settings(
    config_table="config",
    pings_table="pings",
    leases_table="leases",
    callers_table="callers",
    calls_table="calls",
    journal_table="journal",
    sandbox_pings_table="sandbox-pings",
    sandbox_leases_table="sandbox-leases",
    sandbox_callers_table="sandbox-callers",
    secret="00" * 32,
)
KEYS = structs.replace(derive(bytes(32)), sessions=(Key(1, b"sessions"),))

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
    return RingPool(**values | {"shards": shards, "pool_share": 100, "address_share": 100} | overrides)


def an_endpoint(**overrides: Any) -> Endpoint:
    """A ring-pool endpoint without a token, of eight numbers and two buyers; `static_numbers` or `shared_numbers` take
    the pool's place. One caller and one address may hold all numbers."""
    static = "static_numbers" in overrides
    without_pool = static or "shared_numbers" in overrides
    values: dict[str, Any] = {
        "vanity_uri": "my_endpoint",
        "version": 1,
        "offer": "auto-insurance",
        "rank_by": "bid",
        "fields": STATIC_CONTACT_FIELDS if static else CONTACT_FIELDS,
        "buyers": BUYERS,
        "users": (),
        "ping_ttl_seconds": 120,
        "pool": None if without_pool else a_pool(),
        "hold_seconds": 300,
        "require_auth_token": False,
        "leases_per_caller": 10_000,
        "leases_per_address": 10_000,
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
    """Counts its calls."""

    calls = 0

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        self.calls += 1
        return super().send(method, sendings, *args, **request)


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
    io_pool: Executor = field(default_factory=InTurn)
    random_bytes: Callable[[int], bytes] = os.urandom
    send: Send = field(default_factory=Scripted)
    secrets: dict[str, str] = field(default_factory=dict)
    elapsed: Callable[[], float] = lambda: 0.0
    pause: Callable[[int], None] = lambda _: None
    skew: Callable[[], float] = lambda: 0.0

    def __post_init__(self) -> None:
        self.memory = Memory()
        self.exhausted: KnownExhausted = {}
        self.counted: dict[Of, Seen] = {}
        self.owners: dict[str, Known] = {}
        self.versions: KnownVersions = {}

    def secret(self, name: str) -> str:
        if name not in self.secrets:
            raise Unaskable(f"the secret {name} is not set")
        return self.secrets[name]

    def world(self) -> World:
        return self.world_over(Dynamo(self.client, self.settings))

    def world_over(self, dynamo: Dynamo) -> World:
        return World(
            compiled=Compiled(dynamo, self.memory),
            pings=Pings(dynamo, self.elapsed),
            refused_requests=RefusedRequests(dynamo),
            routes=Routes(dynamo),
            retry_keys=RetryKeys(dynamo),
            rings=Rings(dynamo, self.exhausted),
            counters=Counters(dynamo, self.counted),
            reservations=Reservations(dynamo, self.counted),
            callers=Callers(dynamo, self.keys, self.memory.noted),
            live=LiveBuyers(lambda: self.send, self.secret, self.keys),
            keys=self.keys,
            now=self.clock,
            skew=self.skew,
            elapsed=self.elapsed,
            random_bytes=self.random_bytes,
            io_pool=self.io_pool,
            pause=self.pause,
            newest_keys=lambda: self.keys,
        )

    def telephony(self) -> Telephony:
        return self.telephony_over(Dynamo(self.client, self.settings))

    def telephony_over(self, dynamo: Dynamo) -> Telephony:
        return Telephony(self.world_over(dynamo), Calls(dynamo), Owners(dynamo, self.owners), self.versions)

    def leads_until(self, number: str, caller: str, ping_id: bytes) -> int:
        return leads_until(self.telephony(), number, caller, ping_id)

    def open_files(self) -> Fetching:
        """What fetches the journal's files, from a folder of this stage. The stream is brought first: what happened
        until now is in the pages."""
        dynamo = Dynamo(self.client, self.settings)
        pages = self.bring_stream()
        manifest, files = Manifest(dynamo, self.clock), Folder(self.place / "files")
        return Fetching(manifest, files, pages, self.place / "fetched", self.io_pool)

    def finishing(self) -> Finishing:
        """What brings erasings to their end, by this stage's files."""
        records = Records(Dynamo(self.client, self.settings), self.keys, self.clock)
        return journal.make_finishing(records, self.open_files(), self.stream.client)

    def erase(self, caller: str) -> Erased:
        """Erase a caller, to the end."""
        return self.finish(self.finishing().erasing.erase(caller, "somebody"))

    def finish(self, unfinished: Unfinished) -> Erased:
        while not unfinished.erased.finished_at:
            self.clock.forward(SETTLED_SECONDS)
            unfinished = self.finishing().go_on(unfinished)
        return unfinished.erased

    def finish_all(self) -> None:
        """Bring every erasing to its end, as the minute function does."""
        while list_unfinished(self.finishing().erasures, self.clock()):
            self.clock.forward(SETTLED_SECONDS)
            self.finishing().go_on_with_all()

    def unsettled(self) -> list[tuple[Ping, Claim]]:
        """The pings that rows say are not settled with live buyers, with what their items say."""
        ids = find_unsettled(self.open_files(), self.clock() - DAY, self.clock() + DAY)
        return [*self.world().pings.unsettled_of(ids, self.clock())]

    def repair(self) -> Repair:
        """The hourly repair, before which the stream is brought, as it is while it waits."""
        dynamo = Dynamo(self.client, self.settings)
        fetching = self.open_files()
        passing = Passing(dynamo, self.stream.client, self.clock)
        return Repair(
            dynamo, self.clock, fetching, passing, DeadLetters(fetching.storage, self.clock), self.pass_a_second
        )

    def pass_a_second(self) -> None:
        """The stream is brought meanwhile."""
        self.clock.forward(1)
        self.bring_stream()

    def bring_stream(self) -> Pages:
        """The pages with what happened until now."""
        dynamo = Dynamo(self.client, self.settings)
        pages, endpoint_of = Pages(dynamo, self.clock, self.io_pool), remembering(Compiled(dynamo, Memory()), {})
        follow = self.follow_up(dynamo, endpoint_of)
        while batches := [(stream, batch) for stream in self.streams if (batch := stream.next_batch())]:
            for stream, batch in batches:
                consumed = consume(batch.event, pages, endpoint_of, _refuse_dead_letter, follow)
                assert stream.note_done(batch, {"batchItemFailures": consumed.failed})
        return pages

    def follow_up(self, dynamo: Dynamo, endpoint_of: EndpointOf) -> FollowUp:
        """What the journal's consumer does beside rows."""
        return FollowUp(
            Calls(dynamo),
            Timetable(dynamo, self.clock, set()),
            endpoint_of,
            lambda stored, call_id: settling.give_back(self.telephony_over(dynamo), call_id, stored),
            lambda endpoint, ping, sale: superseding.mark_again(self.world_over(dynamo), endpoint, ping, sale),
        )

    def due_work(self, dynamo: Dynamo | None = None) -> DueWork:
        """What the minute function does of the timetable."""
        dynamo = dynamo or Dynamo(self.client, self.settings)
        return DueWork(
            Timetable(dynamo, self.clock, set()),
            lambda call_id: settling.settle_due(self.telephony_over(dynamo), call_id),
            Reservations(dynamo, {}),
            remembering(Compiled(dynamo, Memory()), {}),
            self.io_pool,
            self.clock,
        )

    def do_due(self, seconds: int = 0) -> Done:
        """What has become due, `seconds` later: the stream is brought, and the minute function comes."""
        self.bring_stream()
        self.clock.forward(seconds)
        return self.due_work().do_all()

    @cached_property
    def place(self) -> Path:
        """A folder for as long as the stage."""
        place = Path(mkdtemp(prefix="ringpost-stage-"))
        finalize(self, rmtree, place, ignore_errors=True)
        return place

    @cached_property
    def streams(self) -> tuple[Stream, Stream]:
        """Of the tables of pings and of calls, from their beginnings."""
        url = self.client.meta.endpoint_url
        client = engine.streams_client(url.replace("https://dynamodb.", "https://streams.dynamodb."))
        pings, calls = (
            Stream(client, self.client.describe_table(TableName=table)["Table"]["LatestStreamArn"], self.place / table)
            for table in (self.settings.pings_table, self.settings.calls_table)
        )
        return pings, calls

    @property
    def stream(self) -> Stream:
        """Of the table of pings."""
        return self.streams[0]

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
            for number, owner in owners_of(endpoint).items():
                self.client.put_item(TableName=self.settings.config_table, Item=owner_key(number) | owner)

    def kept(self, ping_id: str, uri: str = "my_endpoint") -> Claim:
        """What is stored of the ping with this public id."""
        known = read_ping_id(self.keys, uri, ping_id)
        assert known
        return self.world().pings.read(known[0], self.clock())

    def pings(self) -> list[Ping]:
        """All that are stored."""
        found = self.client.scan(TableName=self.settings.pings_table, FilterExpression="attribute_exists(ping)")
        return [unpack(bytes_of(item, "ping"), Ping) for item in found["Items"]]

    def route(self, number: str, caller: str = CALLER) -> Route | None:
        """Where a call from `caller` to `number` goes now."""
        found = find_announced(self.telephony(), number, caller)
        return found.route if found and found.route.held_until > self.clock() else None

    def contents(self, settings: Settings | None = None) -> dict[str, list[str]]:
        """Every item of the tables that requests write, to be compared, but for requests that were refused unpriced."""
        of = settings or self.settings
        tables = (of.pings_table, of.leases_table, of.callers_table)
        return {
            table: sorted(
                repr(sorted(item.items())) for item in self.client.scan(TableName=table)["Items"] if "kind" not in item
            )
            for table in tables
        }

    def give_token(self, token: str, user: str, scope: str = "", expires_at: int = 0) -> None:
        """Without a scope and an end it is one as 0.1.0 has stored it."""
        more: Any = {"scope": {"S": scope}} if scope else {}
        more |= {"expires_at": {"N": str(expires_at)}} if expires_at else {}
        self.client.put_item(
            TableName=self.settings.config_table,
            Item={
                "pk": {"S": f"TOKEN#{token_hash(self.keys, token)}"},
                "sk": {"S": "TOKEN"},
                "user": {"S": user},
                **more,
            },
        )


def owners_of(endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """What is stored of the owner of each of an endpoint's numbers."""
    pool, uri = endpoint.pool, endpoint.vanity_uri
    owners = {number: owner_fields(f"endpoint {uri}") for number in endpoint.static_numbers}
    owners |= {number: owner_fields(f"shared numbers of endpoint {uri}") for number in endpoint.shared_numbers}
    if pool:
        owners |= {
            number: owner_fields(f"ring pool {pool.name}") | place_fields(place, endpoint.version)
            for number, place in places(pool.no, pool.shards).items()
        }
        if pool.overflow_number:
            owners[pool.overflow_number] = owner_fields(f"overflow of {pool.name}")
    return owners


def _refuse_dead_letter(_: object, error: str) -> None:
    raise AssertionError(error)


@dataclass
class Answer:
    code: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


def forged(ping_id: str) -> str:
    """With another last character."""
    return ping_id[:-1] + ("B" if ping_id.endswith("A") else "A")


def rows_of(pages: Pages) -> list[Row]:
    """Those of all pages, each once."""
    hours = [int(item["sk"]["S"]) for item in pages.dynamo.partition(pages.table, "HOURS")]
    return [*{(row.event, row.place): row for hour in hours for row in decode(pages.lines(hour))}.values()]


def forget_process() -> None:
    """What `runtime` keeps for a process goes."""
    for module in (runtime, calls, journal, office):
        for kept in vars(module).values():
            if hasattr(kept, "cache_clear"):
                kept.cache_clear()


def a_client() -> "DynamoDBClient":
    """Of use inside `mock_aws` only; made once because that takes long."""
    session = botocore.session.Session(
        session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    )
    made = session.create_client(
        "dynamodb",
        region_name=engine.REGION,
        aws_access_key_id=engine.KEY,
        aws_secret_access_key=engine.KEY,
        endpoint_url=f"https://dynamodb.{engine.REGION}.amazonaws.com",
    )
    return cast("DynamoDBClient", made)


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
    source_address: str = "192.0.2.1",
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
        "requestContext": {"domainName": "ringpost.example", "http": {"method": method, "sourceIp": source_address}},
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
        found = webhooks.serve(an_event(verb, uri, **sent), REQUEST_ID, verb, world.endpoint, flow)
        return Answer(found["statusCode"], found["headers"], found["body"])
