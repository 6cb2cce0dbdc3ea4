"""What reading costs at the size of a large marketplace: 1,000 buyers, 50 endpoints and 10,000 numbers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from functions.api.operations import OPERATIONS
from functions.api.reading import Operation
from tests.build import CALLER, Publisher, Stage
from tests.large import BUYERS, ENDPOINTS, PAGES, marketplace
from tests.office import Operator, as_user
from tests.phone import Phone
from tests.watchers import Visitor

CALLS = 12


@pytest.fixture(scope="module")
def olga() -> Iterator[Operator]:
    with marketplace() as stage:
        publisher = Publisher(stage)
        answer = publisher.full("endpoint-7", caller_id=CALLER)
        assert answer.body["success"]
        for n in range(60):
            stage.clock.forward(1)
            publisher.ping(f"endpoint-{n % ENDPOINTS}", caller_id=CALLER)
        olga = as_user(stage, "olga")
        olga.get("/account")  # which notes that the token was used in this hour
        yield olga


def a_call(olga: Operator) -> str:
    """One that was refused, in the journal."""
    phone = Phone(olga.stage, "+18005550199")
    phone.rings()
    return phone.call_id.hex()


def a_ping(olga: Operator) -> str:
    """The one that was sold."""
    [row] = olga.get("/sales")["items"]
    return str(row["ping_id"])


@contextmanager
def scans(stage: Stage) -> Iterator[list[str]]:
    """The names of the tables that are scanned meanwhile."""
    found: list[str] = []
    events = stage.client.meta.events
    events.register("before-parameter-build.dynamodb.Scan", lambda params, **_: found.append(params["TableName"]), "s")
    yield found
    events.unregister("before-parameter-build.dynamodb.Scan", unique_id="s")


QUERY = {"limit": "limit=200", "buyer": "buyer=7"}
NAMES = {
    "users": "olga",
    "offers": "offer-7",
    "ring_pools": "auto-us",
    "endpoints": "endpoint-7",
    "buyers": "7",
    "providers": "main",
}


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.method == "GET"], ids=lambda operation: operation.path
)
def test_a_read_takes_few_calls_and_scans_nothing(olga: Operator, operation: Operation) -> None:
    section = operation.path.split("/")[1]
    made = {"pings": a_ping, "calls": a_call}.get(section)
    name = made(olga) if made else NAMES.get(section, "1")
    path = re.sub(r"{\w+}", name, operation.path)
    with scans(olga.stage) as scanned:
        answer = olga.ask("GET", path, query="&".join(sent for name, sent in QUERY.items() if name in operation.query))
    assert answer.code == 200, answer.text
    assert (olga.calls <= CALLS, scanned) == (True, []), olga.calls


@pytest.mark.parametrize("address", PAGES)
def test_a_page_takes_few_calls_and_scans_nothing(olga: Operator, address: str) -> None:
    visitor = Visitor(olga.stage, "olga")
    path, _, query = address.format(ping_id=a_ping(olga)).partition("?")
    with scans(olga.stage) as scanned:
        answer = visitor.get(path, query)
    assert answer.code == 200, answer.text
    assert (visitor.calls <= CALLS, scanned) == (True, []), visitor.calls


def test_a_caller_takes_few_calls_and_scans_nothing(olga: Operator) -> None:
    visitor = Visitor(olga.stage, "olga")
    csrf = visitor.csrf
    with scans(olga.stage) as scanned:
        for path in ("/log", "/erasing"):
            assert visitor.send(path, number=CALLER, csrf=csrf).code == 200
            assert visitor.calls <= CALLS
        assert olga.ask("POST", "/callers/lookup", {"number": CALLER}).code == 200
        assert olga.calls <= CALLS
    assert scanned == []


def test_a_process_that_knows_the_version_reads_it_no_second_time(olga: Operator) -> None:
    remembering = Operator(olga.stage, olga.token, known={})
    assert remembering.get("/buyers")["total"] == BUYERS
    first = remembering.calls
    assert remembering.get("/buyers/1000")["offer"] == "offer-49"
    assert remembering.calls == first - 1
