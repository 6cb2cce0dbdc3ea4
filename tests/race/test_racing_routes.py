"""Routes of (number, caller) on the real engines: PINGs, sales and refusals in random orders, of which any write may
arrive once more after later ones, against a model in plain Python."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from shared.domain.refusals import TemporarilyUnavailable
from shared.store import routes as store
from shared.store.dynamo import Dynamo
from shared.store.routes import Route, Routes, Seller
from tests.build import SETTINGS, START
from tests.race.crowds import at_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOLD_SECONDS, COOLDOWN_SECONDS = 100, 20
SELLERS: list[Seller] = [("e", "acme", "1"), ("e", "brook", "1"), ("e", "acme", "2")]
ORDERS, STEPS = 30, 25


class Recording(Dynamo):
    """Keeps every write, to be delivered late; the `lost`-th from now on is only kept: its outcome is unclear."""

    def __init__(self, client: "DynamoDBClient") -> None:
        super().__init__(client, SETTINGS)
        self.writes: list[tuple[Callable[..., Any], dict[str, Any]]] = []
        self.lost = 0

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if method.__name__ not in ("get_item", "batch_get_item"):
            self.writes.append((method, request))
            self.lost -= 1
            if not self.lost:
                raise TemporarilyUnavailable
        return super().send(method, sendings, *args, **request)

    def deliver(self, write: tuple[Callable[..., Any], dict[str, Any]]) -> None:
        method, request = write
        with suppress(ClientError):
            method(**request)


@dataclass
class Wanted:
    """A ping of the one caller."""

    id: bytes
    seller: Seller


@dataclass
class Order:
    """One order of events, drawn from a seed; `sale` is the route of the last one that was answered."""

    client: "DynamoDBClient"
    seed: int
    now: int = START
    open: list[Wanted] = field(default_factory=list)
    refused: set[bytes] = field(default_factory=set)
    sale: Route | None = None
    sold: list[Route] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.key = random.SystemRandom().randbytes(32)
        self.dynamo = Recording(self.client)
        self.routes = Routes(self.dynamo)

    def run(self) -> str:
        """What went wrong, or nothing."""
        sells = [self.ping, self.ping, self.sell, self.refuse, self.die_and_sell]
        events = [*sells, self.connect, self.wait, self.late, self.late]
        for _ in range(STEPS):
            event = self.random.choice(events)
            wrong = event() or self.wrong()
            if wrong:
                return f"{wrong}, after {event.__name__}"
        return ""

    def wrong(self) -> str:
        routes = self.routes.of_call([self.key], self.now)
        route = next((route for route in routes if route in self.sold), routes[0] if routes else None)
        if sale := self.live_sale():
            return "" if route == sale else "a sale without its route"
        if route and route.sold:
            return "a route of no sale"
        return "a refused caller leads somewhere" if route and route.ping_id in self.refused else ""

    def live_sale(self) -> Route | None:
        return self.sale if self.sale and self.sale.held_until > self.now else None

    def route(self, wanted: Wanted, sold: bool) -> Route:
        buyer_id = self.random.randrange(10**6)
        attempt, until = self.random.randbytes(8) if sold else b"", self.now + HOLD_SECONDS
        return Route(wanted.id, buyer_id, "+18005550181", sold, until, wanted.seller, attempt)

    def leave(self, wanted: Wanted, sold: bool) -> int:
        route = self.route(wanted, sold)
        until = self.routes.leave([self.key], route, self.now)
        if sold and not until:
            self.sale = route
            self.sold.append(route)
            self.refused.discard(wanted.id)
        return until

    def wrongly_refused(self, before: Route | None, wanted: Wanted, until: int) -> str:
        stands = before.held_until if before and before.seller != wanted.seller else 0
        return "" if until == stands else "a refusal that is not due, or none that is"

    def ping(self) -> str:
        """In a second of its own: what comes late in the second in which it was sent is as good as in time."""
        self.now += 1
        wanted = Wanted(self.random.randbytes(12), self.random.choice(SELLERS))
        before, until = self.live_sale(), self.leave(wanted, sold=False)
        route = next(iter(self.routes.of_call([self.key], self.now)), None)
        if not until:
            self.open.append(wanted)
            if not self.live_sale() and (route is None or route.ping_id != wanted.id):
                return "a PING without its route"
        return self.wrongly_refused(before, wanted, until)

    def one(self) -> Wanted | None:
        return self.open.pop(self.random.randrange(len(self.open))) if self.open else None

    def sell(self) -> str:
        if not (wanted := self.one()):
            return ""
        before, until = self.live_sale(), self.leave(wanted, sold=True)
        if until:
            self.withdraw(wanted)
        return self.wrongly_refused(before, wanted, until)

    def refuse(self) -> str:
        if wanted := self.one():
            self.withdraw(wanted)
            self.open.append(wanted)  # it may be sold by another POST
        return ""

    def die_and_sell(self) -> str:
        """The outcome of an attempt is unclear: it arrives before another one at the same ping, after it, or never. It
        has a second of its own, as a PING has."""
        self.now += 1
        if not self.open or ((sale := self.live_sale()) and sale.seller != self.open[-1].seller):
            return ""
        wanted = self.open[-1]
        self.dynamo.lost = self.random.choice([1, 2])
        with suppress(TemporarilyUnavailable):
            self.routes.leave([self.key], self.route(wanted, sold=True), self.now)
        self.dynamo.lost = 0
        if self.random.random() < 0.5:
            self.dynamo.deliver(self.dynamo.writes[-1])
        if self.random.random() < 0.5:
            return "an attempt that takes over is refused" if self.leave(self.open.pop(), sold=True) else ""
        return self.refuse_after_a_take_over()

    def refuse_after_a_take_over(self) -> str:
        """What the dead attempt sent is delivered by now, or never will be."""
        wanted = self.open.pop()
        self.dynamo.writes.pop()
        self.routes.withdraw([self.key], wanted.id, self.random.randbytes(8), taken_over=True, now=self.now)
        self.refused.add(wanted.id)
        return ""

    def withdraw(self, wanted: Wanted) -> None:
        self.routes.withdraw([self.key], wanted.id, self.random.randbytes(8), taken_over=False, now=self.now)
        self.refused.add(wanted.id)

    def connect(self) -> str:
        """A call of the sale was connected, so its route ends early."""
        if sale := self.live_sale():
            until = self.now + self.random.choice([1, COOLDOWN_SECONDS])
            self.routes.end([self.key], sale.ping_id, until, self.now)
            self.sale = replace(sale, held_until=min(until, sale.held_until))
            self.sold.append(self.sale)
        return ""

    def wait(self) -> str:
        self.now += self.random.choice([0, 1, COOLDOWN_SECONDS, HOLD_SECONDS])
        return ""

    def late(self) -> str:
        if self.dynamo.writes:
            self.dynamo.deliver(self.random.choice(self.dynamo.writes))
        return ""


def test_no_order_of_writes_takes_a_sale_its_route_or_leads_a_refused_caller_anywhere(client: "DynamoDBClient") -> None:
    found = {seed: wrong for seed in range(ORDERS) if (wrong := Order(client, seed).run())}
    assert not found


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (
            "A_PING_MAY_LEAVE_IT",
            "attribute_not_exists(ping_id) OR sold = :false OR held_until <= :now OR #of = :of OR left_at > :now",
        ),
        (
            "A_PING_MAY_LEAVE_IT",
            "attribute_not_exists(ping_id) OR (#of <> :of AND (held_until <= :now OR sold = :false))",
        ),
        (
            "A_SALE_MAY_LEAVE_IT",
            "attribute_not_exists(ping_id) OR sold = :false OR held_until <= :now "
            "OR (#of = :of AND attribute_exists(#by))",
        ),
        (
            "A_SALE_MAY_LEAVE_IT",
            "attribute_not_exists(ping_id) OR held_until <= :now "
            "OR (sold = :false AND (#of <> :of OR attribute_not_exists(#by)))",
        ),
        ("THE_ROUTE_IS_AS_SEEN", "(#of = :seen_of AND #by = :seen_by) OR attribute_exists(ping_id)"),
        ("ROUTES_BEFORE", 0),
        ("IT_LEADS_AS_SEEN", "(#route = :seen_route OR attribute_exists(ping_id))"),
    ],
    ids=[
        "a PING over its own sale",
        "a PING over a later one",
        "a sale over its own ping's",
        "a sale that has ended over a later PING",
        "a sale over any other",
        "a sale that forgets the one before",
        "an end over a later one",
    ],
)
def test_a_write_that_does_harm_is_found(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch, name: str, wrong: str | int
) -> None:
    monkeypatch.setattr(store, name, wrong)
    assert any(Order(dynoxide, seed).run() for seed in range(5 * ORDERS))


def test_what_a_refused_attempt_has_sent_stays_refused_where_its_call_went_back(client: "DynamoDBClient") -> None:
    key, dynamo = random.randbytes(32), Recording(client)
    routes = Routes(dynamo)
    sold, refused = (
        Route(random.randbytes(12), buyer_id, "+18005550181", True, START + HOLD_SECONDS, SELLERS[0], attempt)
        for buyer_id, attempt in ((1, b"sold"), (2, b"died"))
    )
    routes.leave([key], sold, START)
    routes.leave([key], refused, START)
    assert routes.of_call([key], START) == [refused, sold]
    for write in dynamo.writes:
        dynamo.deliver(write)
    assert routes.of_call([key], START) == [refused, sold]
    routes.withdraw([key], refused.ping_id, b"took over", taken_over=True, now=START)
    for write in dynamo.writes:
        dynamo.deliver(write)
    assert routes.of_call([key], START) == [sold]


def test_of_two_sellers_at_once_one_has_the_route_and_all_its_sales_go_through(client: "DynamoDBClient") -> None:
    for _ in range(10):
        key, routes = random.randbytes(32), []
        for place in range(16):
            seller = SELLERS[place % 2]
            ping, attempt, until = random.randbytes(12), place.to_bytes(8, "big"), START + HOLD_SECONDS
            routes.append(Route(ping, place, "+18005550181", True, until, seller, attempt))

        def leave(route: Route, _: int, key: bytes = key) -> int:
            return Routes(Dynamo(client, SETTINGS)).leave([key], route, START)

        untils = at_once(routes, leave)
        won = [route for route, until in zip(routes, untils, strict=True) if not until]
        assert set(untils) == {0, START + HOLD_SECONDS}
        assert {route.seller for route in won} in ({SELLERS[0]}, {SELLERS[1]})
        assert len(won) == 8
        assert Routes(Dynamo(client, SETTINGS)).of_call([key], START)[0] in won
