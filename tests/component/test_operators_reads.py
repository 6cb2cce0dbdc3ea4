"""What reading costs at the size of a large marketplace: 1,000 buyers, 50 endpoints and 10,000 numbers."""

import re
from collections.abc import Iterator

import pytest

from functions.api.operations import OPERATIONS, Operation
from tests.build import SETTINGS, Stage
from tests.configurations import a_buyer, a_ring_pool, an_endpoint, an_offer
from tests.office import USERS, Operator, as_user, opened
from tools import engine

ENDPOINTS, BUYERS, NUMBERS = 50, 1000, 10_000
CALLS = 8


@pytest.fixture(scope="module")
def olga() -> Iterator[Operator]:
    """Over a real engine, which cuts what it reads into pages. One pool has almost all of the numbers: that is the
    worst for whoever looks at it."""
    each = BUYERS // ENDPOINTS
    offers = [
        an_offer(name=f"offer-{n}", buyers=[a_buyer(id=n * each + k, name=f"Buyer {k}") for k in range(1, each + 1)])
        for n in range(ENDPOINTS)
    ]
    pools = [
        a_ring_pool(numbers=["+18005550000-+18005559899"]),
        a_ring_pool(name="b", numbers=["+18885550000-+18885550099"]),
    ]
    endpoints = [an_endpoint(vanity_uri=f"endpoint-{n}", offer=f"offer-{n}") for n in range(ENDPOINTS)]
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        opened(stage, users=USERS, offers=offers, ring_pools=pools, endpoints=endpoints)
        yield as_user(stage, "olga")


NAMES = {"users": "olga", "offers": "offer-7", "ring_pools": "auto-us", "endpoints": "endpoint-7", "buyers": "7"}


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.method == "GET"], ids=lambda operation: operation.path
)
def test_a_read_takes_few_calls_and_scans_nothing(olga: Operator, operation: Operation) -> None:
    name = NAMES.get(operation.path.split("/")[1], "1")
    path = re.sub(r"{\w+}", name, operation.path)
    scans: list[str] = []
    events = olga.stage.client.meta.events
    events.register("before-call.dynamodb.Scan", lambda **_: scans.append(path), unique_id="scans")
    answer = olga.ask("GET", path, query="limit=200" if "limit" in operation.query else "")
    events.unregister("before-call.dynamodb.Scan", unique_id="scans")
    assert answer.code == 200, answer.text
    assert (olga.calls <= CALLS, scans) == (True, []), olga.calls


def test_a_process_that_knows_the_version_reads_it_no_second_time(olga: Operator) -> None:
    remembering = Operator(olga.stage, olga.token, known={})
    assert remembering.get("/buyers")["total"] == BUYERS
    first = remembering.calls
    assert remembering.get("/buyers/1000")["offer"] == "offer-49"
    assert remembering.calls == first - 1
