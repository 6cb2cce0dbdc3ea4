"""A recorded sale on a static number keeps its call, whatever later attempts of its seller leave behind; and what was
erased or refused gets no call back."""

import random
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain import key_list
from shared.domain.key_list import SHARED, Listed, keys_at
from shared.domain.models import DAY, User
from shared.domain.refusals import TemporarilyUnavailable
from shared.operators.erasing import Erasing
from shared.store.pings import CLAIM_SECONDS, Pings
from shared.store.routes import Route
from tests.build import BUYERS, START, Answer, Publisher, Stage, a_buyer, an_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROTATED = key_list.read("", bytes(32), SHARED).with_key("callers", 2, b"c" * 32)
LISTED = [
    Listed("callers", 1, 0, ROTATED.fingerprint("callers", 1)),
    Listed("callers", 2, START, ROTATED.fingerprint("callers", 2)),
]
BEFORE_THE_ROTATION, MEANWHILE = (keys_at(ROTATED, LISTED, at) for at in (START - 1, START))


class StaticLine:
    """An endpoint with a static number of its own, and one caller."""

    def __init__(self, client: "DynamoDBClient", **given: Any) -> None:
        no = random.SystemRandom().randrange(2 * 10**6, 10**7)
        self.uri, self.number, self.caller = f"line-{no}", f"+1800{no}", f"+1614{no}"
        self.given = {"static_numbers": {self.number: "1023"}, "ping_ttl_seconds": 600} | given
        self.stage, self.version = Stage(client), 0
        self.publisher = Publisher(self.stage)
        self.publish()

    def publish(self, **changed: Any) -> None:
        self.version += 1
        self.stage.publish(an_endpoint(vanity_uri=self.uri, version=self.version, **self.given | changed))
        self.stage.memory.endpoints.clear()

    def admit(self, *users: str) -> None:
        self.given["users"] = tuple(User(name, "publisher") for name in users)
        self.publish()
        for name in users:
            self.stage.give_token(name, name)

    def ping(self, buyer: int, **sent: str) -> str:
        sent = {"trackdrive_number": self.number, "caller_id": self.caller} | sent
        rows = self.publisher.ping(self.uri, **sent).body["buyers"]
        return str({row["buyer_id"]: row["ping_id"] for row in rows}[buyer])

    def post(self, ping: str, **sent: str) -> Answer:
        return self.publisher.post(self.uri, ping_id=ping, caller_id=self.caller, **sent)

    def sell(self, buyer: int, **sent: str) -> Route | None:
        assert self.post(self.ping(buyer, **sent), **sent).body["success"]
        return self.route()

    def die(self, ping: str, not_done: bool = False, **sent: str) -> str:
        """A POST that leaves its route and is not recorded: nobody knows, or surely so."""

        def fail(*_: Any, **__: Any) -> None:
            raise TemporarilyUnavailable(not_done=not_done)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Pings, "record", fail)
            assert self.post(ping, **sent).code == 503
        return ping

    def refuse(self, ping: str, **sent: str) -> None:
        self.publish(buyers=tuple(a_buyer(id=buyer.id, paused=True) for buyer in BUYERS))
        self.stage.clock.forward(CLAIM_SECONDS)
        assert self.post(ping, **sent).body["status"] == "buyer_unavailable"
        self.publish()

    def route(self) -> Route | None:
        return self.stage.route(self.number, self.caller)

    def erasing(self) -> Erasing:
        return self.stage.finishing().erasing


@pytest.fixture
def line(client: "DynamoDBClient") -> StaticLine:
    return StaticLine(client)


def test_to_erase_a_later_ping_leaves_the_sale_its_call(line: StaticLine) -> None:
    sold = line.sell(2)
    later = line.die(line.ping(1))
    assert line.route() == sold
    line.stage.clock.forward(CLAIM_SECONDS)
    line.erasing().erase_ping(later, "somebody")
    assert line.route() == sold


def test_an_erased_sale_does_not_get_its_call_back(line: StaticLine) -> None:
    sale = line.ping(2)
    assert line.post(sale).body["success"]
    later = line.die(line.ping(1))
    line.erasing().erase_ping(sale, "somebody")
    line.refuse(later)
    assert line.route() is None


def test_no_call_of_an_erased_caller_is_routed(line: StaticLine) -> None:
    line.sell(2)
    later = line.die(line.ping(1))

    begun = line.erasing().erase(line.caller, "somebody")
    line.refuse(later)
    assert (begun.erased.sales, begun.erased.being_sold) == (1, 1)
    assert line.stage.finish(begun).pings == 2
    assert line.route() is None


@pytest.mark.parametrize("refused", [False, True])
def test_while_keys_rotate_a_sale_of_before_keeps_its_call(line: StaticLine, refused: bool) -> None:
    line.stage.keys = BEFORE_THE_ROTATION
    sold = line.sell(2)
    line.stage.keys = MEANWHILE
    assert line.route() == sold
    later = line.die(line.ping(1))
    if refused:
        line.refuse(later)
    assert line.route() == sold


def test_while_keys_rotate_a_refused_ping_leaves_the_sale_of_before_its_call(line: StaticLine) -> None:
    line.stage.keys = BEFORE_THE_ROTATION
    sold = line.sell(2)
    line.stage.keys = MEANWHILE
    line.refuse(line.ping(1))
    assert line.route() == sold


def test_a_sale_of_a_process_that_does_not_know_the_later_key_yet_has_its_call(line: StaticLine) -> None:
    line.stage.keys = MEANWHILE
    line.die(line.ping(1))
    line.stage.keys = BEFORE_THE_ROTATION
    sold = line.sell(2)
    line.stage.keys = MEANWHILE
    assert line.route() == sold


def test_another_seller_does_not_take_a_live_sale_by_the_ping_of_a_dead_attempt(line: StaticLine) -> None:
    line.admit("acme", "brook")
    shared = line.ping(1, caller_id="")
    sold = line.sell(2, auth_token="acme")
    line.die(shared, auth_token="acme")
    line.stage.clock.forward(CLAIM_SECONDS)
    assert not line.post(shared, auth_token="brook").body["success"]
    assert line.route() == sold


def test_a_refused_ping_does_not_get_its_call_back(line: StaticLine) -> None:
    earlier, later = line.ping(1), line.ping(2)
    line.die(earlier)
    line.die(later)
    line.refuse(earlier)
    line.refuse(later)
    assert line.route() is None


def test_a_caller_that_is_refused_after_a_sale_was_surely_not_recorded_leads_nowhere(line: StaticLine) -> None:
    line.admit("acme", "brook")
    ping = line.die(line.ping(1, auth_token="acme"), not_done=True, auth_token="acme")
    line.refuse(ping, auth_token="acme")
    assert line.route() is None
    sent = {"trackdrive_number": line.number, "caller_id": line.caller, "auth_token": "brook"}
    assert line.publisher.full(line.uri, **sent).body["success"]


def test_the_page_of_a_sale_shows_the_route_that_a_call_takes(line: StaticLine) -> None:
    sale = line.ping(2)
    assert line.post(sale).body["success"]
    line.die(line.ping(1))
    route, ping = line.route(), line.stage.kept(sale, line.uri).ping
    assert route
    assert ping
    assert line.stage.leads_until(line.number, line.caller, ping.id) == route.held_until


def test_sixteen_attempts_that_died_leave_the_sale_its_call(line: StaticLine) -> None:
    sold = line.sell(2)
    for _ in range(16):
        line.die(line.ping(1))
        line.stage.clock.forward(5)
    assert line.route() == sold


def test_a_sale_whose_lead_is_over_its_retention_keeps_its_call(client: "DynamoDBClient") -> None:
    line = StaticLine(client, hold_seconds=3 * DAY, lead_seconds=DAY)
    sold = line.sell(2)
    line.stage.clock.forward(DAY + 60)
    assert line.route() == sold
    line.die(line.ping(1))
    assert line.route() == sold
