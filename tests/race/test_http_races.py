"""Crowds at the door: many clients at once over HTTP against the whole local service, and many threads at the store."""

import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain import key_list
from shared.domain.caps import Cap
from shared.domain.live_bids import Exchange, LiveBuyer
from shared.domain.models import Buyer, Endpoint, RingPool, User
from shared.domain.refusals import NoNumberAvailable
from shared.settings import Settings
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.rings import Rings
from tests.build import CALLER, SETTINGS, START, Publisher, Stage, a_buyer, a_pool, an_endpoint
from tests.local_service import started
from tools import engine, sandbox
from tools.local.__main__ import secret

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBERS = 8
CLIENTS = 64
RETRIES = 32
LEASE_SECONDS = 360
STATIC_NUMBER = "+18005559999"


@dataclass(frozen=True)
class Sent:
    verb: str
    params: dict[str, str]
    idempotency_key: str = ""


@dataclass
class House:
    """The service, and a stage over the same tables on which to prepare what is sent and to see what came of it."""

    url: str
    stage: Stage

    def publish(self, **overrides: Any) -> Endpoint:
        """A new endpoint with a new pool."""
        no = random.SystemRandom().randrange(10**9)
        endpoint = an_endpoint(vanity_uri=f"e{no}", **{"pool": a_pool(NUMBERS, no=no)} | overrides)
        self.stage.publish(endpoint)
        if endpoint.pool:
            _use(self.stage.world().rings, endpoint.pool, int(time.time()))
        return endpoint

    def publish_buyers(self, *rules: dict[str, Any], numbers: int, **overrides: Any) -> Endpoint:
        """A new endpoint with new buyers, whose ids nobody else's counters have."""
        no = random.SystemRandom().randrange(10**9)
        buyers = tuple(a_buyer(id=no + n, bid_cents=1000 - n, **rule) for n, rule in enumerate(rules))
        return self.publish(buyers=buyers, pool=a_pool(numbers, no=no), offer=f"o{no}", **overrides)

    def ping_id(self, endpoint: Endpoint, **params: str) -> str:
        self.stage.clock.now = int(time.time())
        found: str = Publisher(self.stage).ping(endpoint.vanity_uri, **params).body["try_all_buyers_ping_id"]
        return found

    def leases(self, endpoint: Endpoint) -> list[bytes]:
        """The pings that have a number of the pool now."""
        assert endpoint.pool
        rings = self.stage.world().rings.look(endpoint.pool, endpoint.pool.shards)
        leases = [lease for shard in endpoint.pool.shards for lease in rings[shard.id].leases(shard.numbers)]
        return [lease.ping_id for lease in leases if lease.expires_at > time.time()]

    def counted(self, buyer: Buyer) -> list[int]:
        """What the store has counted of the buyer's sales; what the house remembers of it is older."""
        counters = Counters(Dynamo(self.stage.client, self.stage.settings), {})
        return list(counters.counts(items(buyer), int(time.time()))[buyer.id].values())

    @contextmanager
    def crowd(self, clients: int) -> Iterator[Callable[[Endpoint, list[Sent]], list[bytes]]]:
        """Sends a request per client, all at once, and gives the bodies of the answers, in the same order."""
        connections = [HTTPConnection(self.url.removeprefix("http://"), timeout=30) for _ in range(clients)]
        start = Barrier(clients)

        def send(connection: HTTPConnection, endpoint: Endpoint, sent: Sent) -> bytes:
            start.wait(30)
            headers = {"content-type": "application/json", "idempotency-key": sent.idempotency_key}
            path = f"/api/v1/inbound_webhooks/{sent.verb}/{endpoint.vanity_uri}"
            connection.request("POST", path, json.dumps(sent.params), headers)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body
            return body

        try:
            with ThreadPoolExecutor(clients) as threads:
                yield lambda endpoint, sent: list(threads.map(send, connections, [endpoint] * clients, sent))
        finally:
            for connection in connections:
                connection.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("house")
    settings = Settings(
        config_table="ringpost-config",
        pings_table="ringpost-pings",
        leases_table="ringpost-leases",
        callers_table="ringpost-callers",
        journal_table="ringpost-journal",
        sandbox_pings_table="ringpost-sandbox-pings",
        sandbox_leases_table="ringpost-sandbox-leases",
        sandbox_callers_table="ringpost-sandbox-callers",
        secret=secret(data / "secret"),
    )
    with engine.dynoxide(None) as engine_url:
        client = engine.client(engine_url)
        engine.create_tables(client, settings)
        stage = Stage(client, settings=settings, keys=key_list.derive(bytes.fromhex(settings.secret)))
        service = ["tools.local", "--port", "0", "--workers", "3", "--data", str(data)]
        with started(service, {"DYNAMODB_ENDPOINT": engine_url}) as running:
            yield House(running.url, stage)


def _use(rings: Rings, pool: RingPool, now: int) -> None:
    """Leases that are over: they leave the ring anywhere between two generations, where its writes differ."""
    for lengths_ago in range(random.randrange(1, 2 * NUMBERS), 0, -1):
        rings.lease(pool, pool.terms, random.randbytes(12), now - lengths_ago * LEASE_SECONDS, {})


def _sales(answers: list[bytes]) -> list[str]:
    """The numbers that were sold. Each refusal says when to ask again."""
    bodies = [json.loads(answer) for answer in answers]
    for body in bodies:
        if not body["success"]:
            assert body["status"] == "no_number_available"
            assert 0 < body["retry_after_seconds"] <= LEASE_SECONDS
    return [body["trackdrive_number"] for body in bodies if body["success"]]


def test_of_a_crowd_exactly_as_many_are_sold_a_number_as_there_are_numbers(house: House) -> None:
    with house.crowd(CLIENTS) as at_once:
        for _ in range(25):
            endpoint = house.publish()
            by_ping_id = [{"caller_id": CALLER, "ping_id": house.ping_id(endpoint)} for _ in range(CLIENTS * 3 // 4)]
            sent = [Sent("post", params) for params in by_ping_id]
            sent += [Sent("full", {"caller_id": f"+1614556{n:04}"}) for n in range(CLIENTS - len(sent))]
            sold = _sales(at_once(endpoint, random.sample(sent, CLIENTS)))
            assert len(sold) == len(set(sold)) == NUMBERS
            assert len(set(house.leases(endpoint))) == NUMBERS


@pytest.mark.parametrize("kind", ["by ping_id", "by ping_id with an Idempotency-Key", "post-only", "full"])
def test_retries_at_once_are_one_sale_and_one_answer(house: House, kind: str) -> None:
    with house.crowd(RETRIES) as at_once:
        for _ in range(10):
            endpoint = house.publish()
            params = {"caller_id": CALLER}
            if kind.startswith("by ping_id"):
                params["ping_id"] = house.ping_id(endpoint)
            sent = Sent("full" if kind == "full" else "post", params, "one" if "Idempotency" in kind else "")
            answers = at_once(endpoint, [sent] * RETRIES)
            assert json.loads(answers[0])["success"]
            assert len(set(answers)) == 1
            assert len(house.leases(endpoint)) == 1


def test_one_idempotency_key_over_many_pings_is_one_sale(house: House) -> None:
    with house.crowd(RETRIES) as at_once:
        for _ in range(5):
            endpoint = house.publish()
            pings = [house.ping_id(endpoint) for _ in range(RETRIES)]
            sent = [Sent("post", {"caller_id": CALLER, "ping_id": ping_id}, "one") for ping_id in pings]
            [answer] = {*at_once(endpoint, sent), *at_once(endpoint, sent)}
            assert json.loads(answer)["success"]
            assert len(house.leases(endpoint)) == 1


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_live_buyer_is_told_once_of_a_sale_that_is_asked_for_by_many_at_once(house: House, verb: str) -> None:
    with sandbox.running() as (url, buyer), house.crowd(RETRIES) as at_once:
        ping = Exchange(url=f"{url}/ping", fields={"zip": "30340"}, found={"bid": ("$.buyers[0].bid",)})
        agree = Exchange(url=f"{url}/post", fields={"zip": "30340"}, accepted=(("$.success", ("true",)),))
        for _ in range(5):
            endpoint = house.publish_buyers(
                {"live": LiveBuyer(ping=ping, post=agree, timeout_ms=5000)},
                numbers=NUMBERS,
                ping_deadline_ms=5000,
                post_deadline_ms=5500,
            )
            answers = at_once(endpoint, [Sent(verb, {"caller_id": CALLER})] * RETRIES)
            assert json.loads(answers[0])["success"]
            assert len(set(answers)) == 1
            assert len(house.leases(endpoint)) == 1
        assert list(buyer.told.values()) == [1] * 5


def test_of_200_posts_at_once_a_cap_of_50_sells_exactly_50(house: House) -> None:
    capped = {"caps": (Cap("sales", 50, "day"), Cap("revenue", 50_500, "month"))}
    with house.crowd(200) as at_once:
        for verb in ("post", "full"):
            endpoint = house.publish_buyers(capped, numbers=300)
            callers = [f"+1614555{n:04}" for n in range(200)]
            sent = [
                Sent(verb, {"caller_id": caller} | ({"ping_id": house.ping_id(endpoint)} if verb == "post" else {}))
                for caller in callers
            ]
            bodies = [json.loads(answer) for answer in at_once(endpoint, sent)]
            assert sum(body["success"] for body in bodies) == 50
            assert {body["status"] for body in bodies} <= {"success", "no_matching_buyer"}
            assert len(house.leases(endpoint)) == 50


def test_what_one_buyer_has_no_room_for_goes_to_the_next(house: House) -> None:
    with house.crowd(60) as at_once:
        rules: tuple[dict[str, Any], ...] = (
            {"caps": (Cap("concurrent", 10),)},
            {"caps": (Cap("sales", 20, "total"),)},
            {},
        )
        endpoint = house.publish_buyers(*rules, numbers=100)
        sent = [Sent("post", {"caller_id": f"+1614555{n:04}", "ping_id": house.ping_id(endpoint)}) for n in range(60)]
        bodies = [json.loads(answer) for answer in at_once(endpoint, sent)]
        bought = [body["buyer_id"] for body in bodies]
        first, second, third = (buyer.id for buyer in endpoint.buyers)
        assert (bought.count(first), bought.count(second), bought.count(third)) == (10, 20, 30)


def test_one_caller_that_is_sold_by_many_at_once_is_sold_once(house: House) -> None:
    with house.crowd(RETRIES) as at_once:
        for _ in range(5):
            endpoint = house.publish_buyers({"caps": (Cap("sales", 50, "day"),)}, numbers=50, duplicate_seconds=3600)
            pings = [house.ping_id(endpoint) for _ in range(RETRIES)]
            answers = at_once(endpoint, [Sent("post", {"caller_id": CALLER, "ping_id": ping}) for ping in pings])
            statuses = [json.loads(answer)["status"] for answer in answers]
            assert (statuses.count("success"), statuses.count("duplicate_caller")) == (1, RETRIES - 1)
            assert len(house.leases(endpoint)) == 1
            assert house.counted(endpoint.buyers[0]) == [1]


def test_of_the_users_who_sell_a_caller_of_a_static_number_at_once_one_has_the_route(house: House) -> None:
    users = [f"user-{random.SystemRandom().randrange(10**9)}" for _ in range(4)]
    for name in users:
        house.stage.give_token(name, name)
    with house.crowd(16) as at_once:
        for n in random.sample(range(10_000), 10):
            endpoint = house.publish(
                static_numbers={STATIC_NUMBER: "1023"},
                pool=None,
                users=tuple(User(name, "publisher") for name in users),
            )
            caller = f"+1614555{n:04}"
            leads = [
                {"caller_id": caller, "trackdrive_number": STATIC_NUMBER, "auth_token": users[place % 4]}
                for place in range(16)
            ]
            pings = [house.ping_id(endpoint, **lead) for lead in leads]
            sent = [Sent("post", lead | {"ping_id": ping}) for lead, ping in zip(leads, pings, strict=True)]
            answers = [json.loads(answer) for answer in at_once(endpoint, sent)]
            assert {answer["status"] for answer in answers} == {"success", "no_number_available"}
            sold = [place for place, answer in enumerate(answers) if answer["success"]]
            assert len({place % 4 for place in sold}) == 1
            route = house.stage.route(STATIC_NUMBER, caller)
            claims = [house.stage.kept(pings[place], endpoint.vanity_uri) for place in sold]
            assert route
            assert route.sold
            assert route.ping_id in [claim.ping.id for claim in claims if claim.ping and claim.sale]


def test_threads_at_the_store_never_share_a_number(client: "DynamoDBClient") -> None:
    def lease(start: Barrier, pool: RingPool, n: int) -> str | int:
        """The number, or the seconds after which one comes free."""
        rings = Rings(Dynamo(client, SETTINGS), {})
        start.wait(30)
        try:
            return rings.lease(pool, pool.terms, n.to_bytes(12, "big"), START, rings.look(pool)).number
        except NoNumberAvailable as refused:
            return refused.retry_after_seconds

    with ThreadPoolExecutor(CLIENTS) as threads:
        for _ in range(20):
            endpoint = an_endpoint(pool=a_pool(NUMBERS, no=random.SystemRandom().randrange(10**12)))
            Stage(client).publish(endpoint)
            start, pool = Barrier(CLIENTS), endpoint.pool
            assert pool
            _use(Rings(Dynamo(client, SETTINGS), {}), pool, START)
            found = list(threads.map(lambda n, s=start, p=pool: lease(s, p, n), range(1, CLIENTS + 1)))
            numbers = [number for number in found if isinstance(number, str)]
            assert len(numbers) == len(set(numbers)) == NUMBERS
            assert set(found) - set(numbers) == {LEASE_SECONDS}
