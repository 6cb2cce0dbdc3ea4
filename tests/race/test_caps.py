"""Caps on the real engines: crowds that want the last places, and every order of sales, give-backs and waits against a
model in plain Python."""

import random
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, count
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from shared.domain.caps import Cap, Kind, Period, key, over
from shared.store.counters import SINCE, TAKEN_AT, Counters, Place, Seen
from tests.build import SETTINGS, START, Counting
from tests.race.crowds import at_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOUR, DAY = 3600, 24 * 3600
NEW_YORK = ZoneInfo("America/New_York")
CROWD = 200
ROUNDS = 4
KINDS: tuple[Kind, ...] = ("sales", "revenue")
PERIODS: tuple[Period, ...] = ("hour", "day", "month", "total")
CLOCK_CHANGES = [int(datetime(2100, month, day, 2, tzinfo=NEW_YORK).timestamp()) for month, day in ((3, 14), (11, 7))]
BUYER_IDS = count(random.SystemRandom().randrange(10**9))
PING_IDS = count(1)


@dataclass
class Process:
    """One process: its memory, its calls, and every count that an answer has shown it."""

    client: "DynamoDBClient"
    memory: dict[int, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dynamo = Watching(self.client, SETTINGS)
        self.counters = Counters(self.dynamo, self.memory)

    def take(
        self, buyer_id: int, caps: list[Cap], cents: int = 100, now: int = START, until: int = 0, ping: int = 0
    ) -> Place | None:
        local = datetime.fromtimestamp(now, NEW_YORK)
        ping_id = (ping or next(PING_IDS)).to_bytes(12, "big")
        return self.counters.take(buyer_id, caps, local, cents, ping_id, until or now + 60, now)


class Watching(Counting):
    """Keeps the items that its writes have made."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made: list[dict[str, Any]] = []

    def call(self, method: Any, *args: Any, **request: Any) -> Any:
        answer = super().call(method, *args, **request)
        self.made.append(answer.get("Attributes", {}))
        return answer


def item(client: "DynamoDBClient", buyer_id: int) -> dict[str, Any]:
    """What is stored: numbers by key, maps of places by key."""
    keys = {"pk": {"S": f"B{buyer_id}"}, "sk": {"S": "CAPS"}}
    found = client.get_item(TableName="leases", Key=keys, ConsistentRead=True).get("Item", {})
    return {name: _read(value) for name, value in found.items() if name not in {*keys, SINCE, TAKEN_AT}}


def _read(value: Any) -> Any:
    return int(value["N"]) if "N" in value else {ping: _read(until) for ping, until in value["M"].items()}


def _counted(attributes: dict[str, Any]) -> dict[str, Any]:
    """What a write has made, by kind."""
    return {name.partition("-")[0]: _read(value) for name, value in attributes.items() if "-" in name or "M" in value}


def _ping_name(ping: int) -> str:
    return urlsafe_b64encode(ping.to_bytes(12, "big")).decode()


def test_of_a_crowd_exactly_as_many_are_sold_as_the_cap_says(client: "DynamoDBClient") -> None:
    caps = [Cap("sales", 50, "day"), Cap("sales", 80, "hour", "my_endpoint"), Cap("revenue", 10**9, "total")]

    def play() -> None:
        buyer_id, crowd = next(BUYER_IDS), [Process(client) for _ in range(CROWD)]
        places = at_once(crowd, lambda process, _: process.take(buyer_id, caps))
        assert sum(place is not None for place in places) == 50
        assert sorted(item(client, buyer_id).values()) == [50, 50, 5000]
        assert {process.dynamo.calls for process in crowd} == {1}

    for _ in range(ROUNDS):
        play()


def test_at_a_hundred_at_once_a_sale_takes_the_calls_of_one_alone(client: "DynamoDBClient") -> None:
    caps = [Cap("sales", 1000, "hour"), Cap("revenue", 10**9, "month")]
    alone, buyer_id = Process(client), next(BUYER_IDS)
    assert alone.take(buyer_id, caps)
    crowd = [Process(client) for _ in range(100)]
    assert all(at_once(crowd, lambda process, _: process.take(buyer_id, caps)))
    assert sum(process.dynamo.calls for process in crowd) / 100 == alone.dynamo.calls == 1


def test_revenue_is_exact_to_the_cent_whoever_comes_first(client: "DynamoDBClient") -> None:
    def play() -> None:
        buyer_id, crowd = next(BUYER_IDS), [Process(client) for _ in range(CROWD)]
        limit = random.randrange(10_000, 20_000)
        bids = [random.choice([1, 7, 99, 250, 1999, 4000]) for _ in crowd]
        places = at_once(crowd, lambda process, n: process.take(buyer_id, [Cap("revenue", limit, "day")], bids[n]))
        earned = sum(cents for cents, place in zip(bids, places, strict=True) if place)
        assert list(item(client, buyer_id).values()) == [earned]
        assert earned <= limit
        assert all(earned + cents > limit for cents, place in zip(bids, places, strict=True) if not place)

    for _ in range(ROUNDS):
        play()


def test_of_a_crowd_as_many_have_a_place_as_there_are_and_the_places_free_themselves(client: "DynamoDBClient") -> None:
    caps = [Cap("concurrent", 12), Cap("concurrent", 10, endpoint="my_endpoint"), Cap("sales", 10**6, "total")]
    buyer_id, crowd = next(BUYER_IDS), [Process(client) for _ in range(48)]
    live: list[int] = []

    def play(now: int) -> None:
        ends = [now + random.choice([20, 40, 60]) for _ in crowd]
        places = at_once(crowd, lambda process, n: process.take(buyer_id, caps, now=now, until=ends[n]))
        live.extend(end for end, place in zip(ends, places, strict=True) if place)
        assert len(live) == 10
        stored = item(client, buyer_id)
        for name in ("concurrent", "concurrent@my_endpoint"):
            assert sorted(until for until in stored[name].values() if until > now) == sorted(live)

    for now in range(START, START + 200, 20):
        live = [end for end in live if end > now]
        play(now)
        for process in random.sample(crowd, len(crowd) // 2):
            process.memory.clear()
    assert max(process.dynamo.calls for process in crowd) <= 10 * 3


def test_what_is_given_back_in_a_crowd_is_never_counted_below_what_is_sold(client: "DynamoDBClient") -> None:
    caps = [Cap("sales", 20, "day"), Cap("revenue", 2000, "hour"), Cap("concurrent", 15)]

    def trade(process: Process, buyer_id: int, draw: random.Random) -> list[Place]:
        """The places that it did not give back."""
        kept = []
        for _ in range(8):
            if place := process.take(buyer_id, caps):
                if draw.random() < 0.8:
                    process.counters.give_back(place)
                else:
                    kept.append(place)
        return kept

    def play() -> None:
        buyer_id, crowd = next(BUYER_IDS), [Process(client) for _ in range(48)]
        kept = [*chain(*at_once(crowd, lambda process, n: trade(process, buyer_id, random.Random(n))))]
        while place := crowd[0].take(buyer_id, caps):
            kept.append(place)
        assert len(kept) == 15
        stored = item(client, buyer_id)
        assert stored.pop("concurrent").keys() == {place.ping for place in kept}
        assert sorted(stored.values()) == [15, 1500]
        for made in (made for process in crowd for made in process.dynamo.made if made):
            counted = _counted(made)
            assert all(0 <= counted[name] <= most for name, most in {"sales": 15, "revenue": 1500}.items())
            assert len(counted["concurrent"]) <= 15

    for _ in range(ROUNDS):
        play()


def test_hundreds_of_places_that_are_over_are_removed_by_writes_of_a_size_that_dynamodb_takes(
    client: "DynamoDBClient",
) -> None:
    def caps(limit: int) -> list[Cap]:
        ends = [Cap(kind, 10**6, period, end) for kind in KINDS for period in PERIODS for end in ("", "my_endpoint")]
        return [Cap("concurrent", limit), Cap("concurrent", limit, endpoint="my_endpoint"), *ends]

    process, buyer_id = Process(client), next(BUYER_IDS)
    for _ in range(150):
        assert process.take(buyer_id, caps(150))
    assert process.take(buyer_id, caps(150)) is None
    process.memory.clear()
    assert [bool(process.take(buyer_id, caps(2), now=START + 60)) for _ in range(5)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    stored = item(client, buyer_id)
    assert len(stored["concurrent"]) == len(stored["concurrent@my_endpoint"]) == 2


class Machine(RuleBasedStateMachine):
    """Sales, give-backs and waits in any order, by processes that remember and forget; limits change meanwhile. One
    after the other, so that the model can say who gets a place."""

    client: "DynamoDBClient"

    @initialize(start=st.sampled_from([START, *(change - 1800 for change in CLOCK_CHANGES)]))
    def open(self, start: int) -> None:
        self.now, self.buyer_id = start, next(BUYER_IDS)
        self.processes = [Process(self.client) for _ in range(3)]
        self.limits = [2, 4, 6, 900, 2500, 3, 2]
        self.counts: dict[str, int] = {}
        self.places: dict[str, dict[str, int]] = {}
        self.taken: list[Place] = []
        self.pings: list[int] = []

    def caps(self, endpoint: str) -> list[Cap]:
        hour, day, total, revenue, here_revenue, places, here_places = self.limits
        caps = [
            Cap("sales", hour, "hour"), Cap("sales", day, "day", "here"), Cap("sales", total + 40, "total"),
            Cap("revenue", revenue, "hour"), Cap("revenue", here_revenue, "month", "here"),
            Cap("concurrent", places), Cap("concurrent", here_places, endpoint="here"),
        ]  # fmt: skip
        return [cap for cap in caps if cap.endpoint in ("", endpoint)]

    @rule(
        data=st.data(),
        endpoint=st.sampled_from(["here", "there"]),
        cents=st.sampled_from([0, 1, 299, 300]),
        seconds=st.sampled_from([1, 60, 7200]),
        again=st.booleans(),
    )
    def take(self, data: st.DataObject, endpoint: str, cents: int, seconds: int, again: bool) -> None:
        process = data.draw(st.sampled_from(self.processes))
        ping = data.draw(st.sampled_from(self.pings[-4:])) if again and self.pings else next(PING_IDS)
        caps, stored = self.caps(endpoint), item(self.client, self.buyer_id)
        name = _ping_name(ping)
        expected = all(self._has_room(cap, cents, name, stored) for cap in caps)

        place = process.take(self.buyer_id, caps, cents, self.now, self.now + seconds, ping)

        assert (place is not None) == expected
        self.pings.append(ping)
        if place:
            self.taken.append(place)
            for cap in caps:
                if cap.kind == "concurrent":
                    self.places.setdefault(self._key(cap), {})[name] = self.now + seconds
                else:
                    self.counts[self._key(cap)] = self.counts.get(self._key(cap), 0) + cap.amount(cents)
        self._compare()

    def _has_room(self, cap: Cap, cents: int, ping: str, stored: dict[str, Any]) -> bool:
        if cap.kind == "sales":
            return self.counts.get(self._key(cap), 0) < cap.limit
        if cap.kind == "revenue":
            return self.counts.get(self._key(cap), 0) + cents <= cap.limit
        live = [until for until in self.places.get(self._key(cap), {}).values() if until > self.now]
        return cap.limit > 0 and (len(live) < cap.limit or ping in stored.get(self._key(cap), {}))

    def _key(self, cap: Cap) -> str:
        return key(cap, datetime.fromtimestamp(self.now, NEW_YORK))

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        place = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        stored = item(self.client, self.buyer_id)
        self.processes[0].counters.give_back(place)
        if all(stored.get(name, -1) >= amount for name, amount in place.amounts.items()):
            for name, amount in place.amounts.items():
                self.counts[name] -= amount
            for name in place.concurrent:
                self.places[name].pop(place.ping, None)
        self._compare()

    @rule(seconds=st.sampled_from([1, 30, 60, 600, 1800, 3599, HOUR, 2 * HOUR, 12 * HOUR, DAY, 3 * DAY, 40 * DAY]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.processes)).memory.clear()

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.now += 2
        found = data.draw(st.sampled_from(self.processes)).counters.counts([self.buyer_id], self.now)[self.buyer_id]
        for cap in self.caps("here"):
            live = sum(until > self.now for until in self.places.get(self._key(cap), {}).values())
            assert found.get(self._key(cap), 0) == self.counts.get(self._key(cap), live)

    @rule(which=st.integers(0, 6), times=st.sampled_from([0, 1, 2, 3]))
    def change_a_limit(self, which: int, times: int) -> None:
        self.limits[which] = [2, 4, 6, 900, 2500, 3, 2][which] * times

    def _compare(self) -> None:
        """What is stored is what the model counts, but for what has ended."""
        stored = item(self.client, self.buyer_id)
        local = datetime.fromtimestamp(self.now, NEW_YORK)
        for name, counted in self.counts.items():
            assert stored.get(name) == counted or (name not in stored and over(name, local))
        for name, places in self.places.items():
            assert _live(stored[name], self.now) == _live(places, self.now)


def _live(places: dict[str, int], now: int) -> dict[str, int]:
    return {ping: until for ping, until in places.items() if until > now}


@pytest.mark.parametrize(("engine", "examples"), [("dynoxide", 100), ("dynamodb_local", 20)])
def test_counters_count_what_the_model_counts(engine: str, examples: int, request: pytest.FixtureRequest) -> None:
    machine = type("Counted", (Machine,), {"client": request.getfixturevalue(engine)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
