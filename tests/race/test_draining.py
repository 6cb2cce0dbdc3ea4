"""Four attackers at a pool beside a publisher who pays: it is never refused for want of a number."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest

from shared.domain.models import Field, User
from shared.store.rings import Rings
from tests.build import CONTACT_FIELDS, Clock, Publisher, Stage, a_pool, an_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBERS = 324
"""Nine shards, of which a POST looks at three."""
HELD = 100
LEASE_SECONDS = 360
STEP_SECONDS = 60
STEPS = LEASE_SECONDS // STEP_SECONDS
BURST, BURST_OF_USER, LATER = 60, 180, 4
"""Requests of an attacker before the publisher comes, and in each step."""
PROCESSES = 3
NOS = count(1)
"""Of endpoints and pools: the short tags of callers, which are counted, are the same in each run."""


class Drain:
    """Three warm processes over one engine, and who sends to them. An endpoint without a token and one for users lease
    from the same pool."""

    def __init__(self, client: "DynamoDBClient") -> None:
        no = next(NOS)
        clock = Clock()
        self.clock, self.open, self.paid = clock, f"open{no}", f"paid{no}"
        self.publishers = [Publisher(Stage(client, clock=clock)) for _ in range(PROCESSES)]
        self.paying, self.greedy = f"paying{no}", f"greedy{no}"
        self.seen: dict[str, Counter[str]] = {}
        self.nos = count()
        stage = self.publishers[0].stage
        values = {
            "pool": a_pool(NUMBERS, no=no, pool_share=50, address_share=25),
            "pool_is_open": True,
            "users": (User(self.paying, "publisher", ("1023",)), User(self.greedy, "publisher")),
            "fields": (*CONTACT_FIELDS, Field(name="zip")),
            "leases_per_caller": 2,
            "leases_per_address": 20,
        }
        stage.publish(
            an_endpoint(vanity_uri=self.open, **values),
            an_endpoint(vanity_uri=self.paid, require_auth_token=True, **values),
        )
        for name in (self.paying, self.greedy):
            stage.give_token(name, name)
        self.attackers: dict[str, Iterator[Callable[[], str]]] = {
            "one caller": self._one_caller(),
            "one address": self._one_address(),
            "a user": self._a_user(),
            "a hoarder of pings": self._a_hoarder(),
        }

    def _send(self, verb: str, uri: str, address: str, **sent: str) -> str:
        publisher = random.choice(self.publishers)
        answer = publisher.send(verb, uri, json_body=sent, source_address=address)
        found: str = answer.body["try_all_buyers_ping_id"] if verb == "ping" else answer.body["status"]
        return found

    def _caller(self) -> str:
        n = next(self.nos)
        return f"+1{614 + n // 10_000}555{n % 10_000:04}"

    def _one_caller(self) -> Iterator[Callable[[], str]]:
        """Another value of a field in each lead, that of a contact field or one that nobody knows."""
        for n in count():
            sent = {"caller_id": "+16145550123", "zip" if n % 2 else "x": str(n)}
            yield lambda sent=sent: self._send("full", self.open, "192.0.2.1", **sent)  # type: ignore[misc]

    def _one_address(self) -> Iterator[Callable[[], str]]:
        """Another caller in each lead."""
        while True:
            yield lambda: self._send("post", self.open, "192.0.2.2", caller_id=self._caller())

    def _a_user(self) -> Iterator[Callable[[], str]]:
        """With a token; another caller, traffic source and address in each lead."""
        for n in count():
            sent = {"auth_token": self.greedy, "traffic_source_id": str(n)}
            address = f"198.51.100.{n % 250}"
            yield lambda sent=sent, address=address: self._send(  # type: ignore[misc]
                "full", self.paid, address, caller_id=self._caller(), **sent
            )

    def _a_hoarder(self) -> Iterator[Callable[[], str]]:
        """Many PINGs first, then their POSTs, which bring the callers; from all over a network of IPv6."""
        while True:
            hosts = [f"2001:db8::{n + 1:x}" for n in range(LATER)]
            pings = [self._send("ping", self.open, host) for host in hosts]
            for host, ping_id in zip(hosts, pings, strict=True):
                yield lambda host=host, ping_id=ping_id: self._send(  # type: ignore[misc]
                    "post", self.open, host, ping_id=ping_id, caller_id=self._caller()
                )

    def attack(self, requests: int, of_user: int) -> None:
        for name, attacker in self.attackers.items():
            seen = self.seen.setdefault(name, Counter())
            for _ in range(of_user if name == "a user" else requests):
                seen[next(attacker)()] += 1

    def sell(self, sales: int) -> Counter[str]:
        sent = [{"auth_token": self.paying, "traffic_source_id": "1023"} for _ in range(sales)]
        return Counter(self._send("full", self.paid, "203.0.113.1", caller_id=self._caller(), **each) for each in sent)

    def run(self) -> Counter[str]:
        """What the paying publisher is answered, who holds a hundred numbers for two lengths of a lease."""
        self.attack(BURST, BURST_OF_USER)
        answered = self.sell(HELD % STEPS)
        for step in range(2 * STEPS):
            self.attack(LATER, LATER)
            if step % STEPS == 0 and step:
                answered += self.sell(HELD % STEPS)
            answered += self.sell(HELD // STEPS)
            self.clock.forward(STEP_SECONDS)
        return answered


def test_nobody_drains_a_pool_on_which_a_publisher_pays(dynoxide: "DynamoDBClient") -> None:
    drain = Drain(dynoxide)
    assert drain.run() == {"success": 2 * HELD}
    assert all(seen["too_many_leases"] for seen in drain.seen.values()), drain.seen


def test_the_attack_drains_a_pool_without_limits(dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rings, "check_quotas", lambda *_: None)
    drain = Drain(dynoxide)
    drain.attack(BURST, BURST_OF_USER)
    assert drain.sell(1) == {"no_number_available": 1}
