"""Caps on the real engines: crowds that want the last places, and every order of sales, give-backs and waits against a
model in plain Python."""

import random
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.domain.caps import Cap, Kind, Period, is_over, key
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.schedule import local_time
from shared.journal.fetching import Found
from shared.operators.repair import Repair
from shared.store.counters import REPAIRS, SINCE, TAKEN_AT, Counters, Of, Place, Seen
from shared.store.dynamo import ConditionFailed, Dynamo
from tests.build import SETTINGS, START, Counting, a_buyer, an_endpoint
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
    memory: dict[Of, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dynamo = Watching(self.client, SETTINGS)
        self.counters = Counters(self.dynamo, self.memory)

    @staticmethod
    def name(ping: int) -> str:
        return f"{urlsafe_b64encode(ping.to_bytes(12, 'big')).decode()}."

    def take(
        self, buyer_id: int, caps: list[Cap], cents: int = 100, now: int = START, until: int = 0, ping: int = 0
    ) -> Place | None:
        """By an attempt of its own."""
        local = datetime.fromtimestamp(now, NEW_YORK)
        ping_id, attempt = (ping or next(PING_IDS)).to_bytes(12, "big"), next(PING_IDS).to_bytes(8, "big")
        return self.counters.take(buyer_id, caps, local, cents, ping_id, attempt, until or now + 60, now)


class Watching(Counting):
    """Keeps the items that its writes have made."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made: list[dict[str, Any]] = []

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        answer = super().send(method, sendings, *args, **request)
        self.made.append(answer.get("Attributes", {}))
        return answer


def item(client: "DynamoDBClient", buyer_id: int) -> dict[str, Any]:
    """What is stored of a buyer: numbers by key, maps of places by key."""
    found = client.query(
        TableName="leases",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"B{buyer_id}"}},
        ConsistentRead=True,
    )
    apart = {"pk", "sk", SINCE, TAKEN_AT, REPAIRS}
    return {name: _read(value) for of in found["Items"] for name, value in of.items() if name not in apart}


def _read(value: Any) -> Any:
    return int(value["N"]) if "N" in value else {ping: _read(until) for ping, until in value["M"].items()}


def _counted(attributes: dict[str, Any]) -> dict[str, Any]:
    """What a write has made, by kind."""
    return {name.partition("-")[0]: _read(value) for name, value in attributes.items() if "-" in name or "M" in value}


def test_of_a_crowd_exactly_as_many_are_sold_as_the_cap_says(client: "DynamoDBClient") -> None:
    caps = [Cap("sales", 50, "day"), Cap("sales", 80, "hour", "my_endpoint"), Cap("revenue", 10**9, "total")]

    def play() -> None:
        buyer_id, crowd = next(BUYER_IDS), [Process(client) for _ in range(CROWD)]
        places = at_once(crowd, lambda process, _: process.take(buyer_id, caps))
        assert sum(place is not None for place in places) == 50
        assert sorted(item(client, buyer_id).values()) == [50, 50, 5000]
        assert max(process.dynamo.calls for process in crowd) <= 3

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
    sold: list[Place] = []

    def play(now: int) -> None:
        ends = [now + random.choice([20, 40, 60]) for _ in crowd]
        places = at_once(crowd, lambda process, n: process.take(buyer_id, caps, now=now, until=ends[n]))
        live.extend(end for end, place in zip(ends, places, strict=True) if place)
        sold.extend(place for place in places if place)
        assert len(live) == 10
        stored = item(client, buyer_id)
        for name in ("concurrent", "concurrent@my_endpoint"):
            assert sorted(until for until in stored[name].values() if until > now) == sorted(live)
        assert stored["sales-total-0"] == len(sold)

    for now in range(START, START + 200, 20):
        live = [end for end in live if end > now]
        play(now)
        for process in random.sample(crowd, len(crowd) // 2):
            process.memory.clear()
    assert sum(process.dynamo.calls for process in crowd) / len(crowd) <= 10 * 2


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
        assert stored.pop("concurrent").keys() == {place.entry for place in kept}
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
    taken = [bool(process.take(buyer_id, caps(2), now=START + 60)) for _ in range(5)]
    assert taken == [True, True, False, False, False]
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
        caps = self.caps(endpoint)
        expected = all(self._has_room(cap, cents, ping) for cap in caps)

        place = process.take(self.buyer_id, caps, cents, self.now, self.now + seconds, ping)

        assert (place is not None) == expected
        self.pings.append(ping)
        if place:
            self.taken.append(place)
            for cap in caps:
                if cap.kind == "concurrent":
                    places = self.places.setdefault(self._key(cap), {})
                    there = item(self.client, self.buyer_id)[self._key(cap)]
                    for earlier in [name for name in places if _is_of(name, ping) and name not in there]:
                        del places[earlier]  # it was seen, and taken over
                    places[place.entry] = self.now + seconds
                else:
                    self.counts[self._key(cap)] = self.counts.get(self._key(cap), 0) + cap.amount(cents)
        self._compare()

    def _has_room(self, cap: Cap, cents: int, ping: int) -> bool:
        if cap.kind == "sales":
            return self.counts.get(self._key(cap), 0) < cap.limit
        if cap.kind == "revenue":
            return self.counts.get(self._key(cap), 0) + cents <= cap.limit
        live = [name for name, until in self.places.get(self._key(cap), {}).items() if until > self.now]
        return cap.limit > 0 and (len(live) < cap.limit or any(_is_of(name, ping) for name in live))

    def _key(self, cap: Cap) -> str:
        return key(cap, datetime.fromtimestamp(self.now, NEW_YORK))

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        place = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        stored = item(self.client, self.buyer_id)
        self.processes[0].counters.give_back(place)
        for part in place.parts:
            if all(stored.get(name, -1) >= amount for name, amount in part.amounts.items()):
                for name, amount in part.amounts.items():
                    self.counts[name] -= amount
                for name in part.concurrent:
                    self.places[name].pop(place.entry, None)
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
        found = data.draw(st.sampled_from(self.processes)).counters.counts(
            [(self.buyer_id, endpoint) for endpoint in ("", "here")], self.now
        )[self.buyer_id]
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
            assert stored.get(name) == counted or (name not in stored and is_over(name, local))
        for name, places in self.places.items():
            assert _live(stored[name], self.now) == _live(places, self.now)


def _is_of(entry: str, ping: int) -> bool:
    return entry.startswith(Process.name(ping))


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


FATES = ["done", "done", "done", "late", "late", "answer lost"]
"""What is lost is late forever."""
FUNCTION_SECONDS = 9
SCARCE = (
    Cap("sales", 3, "hour"), Cap("revenue", 500, "total"), Cap("concurrent", 2),
    Cap("sales", 4, "total", "here"), Cap("concurrent", 1, endpoint="here"),
)  # fmt: skip


class Fated(Dynamo):
    """Each write meets the next fate: it is done, done without an answer, or arrives late, at any time or never."""

    def __init__(self, client: "DynamoDBClient") -> None:
        super().__init__(client, SETTINGS)
        self.fates: Iterator[str] = iter(())
        self.late: list[Callable[[], None]] = []

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if method.__name__ != "update_item":
            return super().send(method, sendings, *args, **request)
        fate = next(self.fates, "done")
        if fate == "late":
            self.late.append(lambda: self._arrive(method, request))
            raise TemporarilyUnavailable
        answer = super().send(method, sendings, *args, **request)
        if fate == "answer lost":
            raise TemporarilyUnavailable
        return answer

    def _arrive(self, method: Any, request: Any) -> None:
        with suppress(ConditionFailed):
            super().send(method, 1, **request)


@dataclass
class Attempt:
    """One POST, and what it has counted."""

    ping: int
    at: int
    cents: int
    until: int
    place: Place


class LateMachine(RuleBasedStateMachine):
    """Attempts at pings that are recorded, give back or die; repairs; and every write may be lost, or arrive later than
    any number of others. A sale never passes a cap, and is always counted."""

    client: "DynamoDBClient"

    @initialize()
    def open(self) -> None:
        self.now = START
        self.buyer = a_buyer(id=next(BUYER_IDS), caps=SCARCE)
        self.dynamo = Fated(self.client)
        self.counters = [Counters(self.dynamo, {}) for _ in range(2)]
        self.trying: list[Attempt] = []
        self.sold: list[Attempt] = []

    @rule(
        ping=st.integers(1, 3),
        process=st.integers(0, 1),
        cents=st.sampled_from([100, 250]),
        seconds=st.sampled_from([8, 30, 900]),
        fates=st.lists(st.sampled_from(FATES), max_size=4),
    )
    def take(self, ping: int, process: int, cents: int, seconds: int, fates: list[str]) -> None:
        if any(other.ping == ping for other in (*self.trying, *self.sold)):
            return  # somebody works on it, or it is sold
        self.dynamo.fates = iter(fates)
        caps, local, until = self.buyer.caps, local_time(self.buyer.zone, self.now), self.now + seconds
        ping_id, attempt = (self.buyer.id * 8 + ping).to_bytes(12, "big"), next(PING_IDS).to_bytes(8, "big")
        with suppress(TemporarilyUnavailable):
            place = self.counters[process].take(self.buyer.id, caps, local, cents, ping_id, attempt, until, self.now)
            if place:
                self.trying.append(Attempt(ping, self.now, cents, until, place))

    @precondition(lambda self: self.trying)
    @rule(data=st.data(), ends=st.sampled_from(["is recorded", "gives back", "dies"]))
    def end(self, data: st.DataObject, ends: str) -> None:
        attempt = self.trying.pop(data.draw(st.integers(0, len(self.trying) - 1)))
        if ends == "is recorded":
            self.sold.append(attempt)
        elif ends == "gives back":
            self.dynamo.fates = iter(data.draw(st.lists(st.sampled_from(FATES), max_size=2)))
            self.counters[0].give_back(attempt.place)

    @rule(seconds=st.sampled_from([1, 5, 11, 60, 900, HOUR, 2 * HOUR]))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.trying = [attempt for attempt in self.trying if attempt.at > self.now - FUNCTION_SECONDS]

    @precondition(lambda self: self.dynamo.late)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        self.dynamo.late.pop(data.draw(st.integers(0, len(self.dynamo.late) - 1)))()

    @rule(process=st.integers(0, 1))
    def forget(self, process: int) -> None:
        self.counters[process].memory.clear()

    @rule(fates=st.lists(st.sampled_from(FATES), max_size=2))
    def repair(self, fates: list[str]) -> None:
        self.dynamo.fates = iter(fates)
        passing: Any = SimpleNamespace(wait=lambda _: True, began_at=lambda: 0)
        letters: Any = SimpleNamespace(last_day=lambda: 0)
        no_files: Any = SimpleNamespace(files_of=lambda *_: Found((), (), ()))
        repair = Repair(self.dynamo, lambda: self.now, no_files, passing, letters, lambda: None)
        amounts = self._amounts()
        repair._with_sold = lambda counts: [  # type: ignore[method-assign]
            (count, {name: amounts[name] for name in count.caps}) for count in counts
        ]
        with suppress(TemporarilyUnavailable):
            repair.repair([an_endpoint(vanity_uri="here", buyers=(self.buyer,))])

    def _amounts(self) -> Counter[str]:
        """What is sold, by key."""
        sold = Counter[str]()
        for attempt in self.sold:
            for cap in self.buyer.amounts:
                sold[key(cap, local_time(self.buyer.zone, attempt.at))] += cap.amount(attempt.cents)
        return sold

    @invariant()
    def no_sale_passes_a_cap_and_every_sale_is_counted(self) -> None:
        stored, sold, local = item(self.client, self.buyer.id), self._amounts(), local_time(self.buyer.zone, self.now)
        for cap in self.buyer.amounts:
            name = key(cap, local)
            assert sold[name] <= stored.get(name, 0) <= cap.limit
        for cap in self.buyer.places:
            places = stored.get(key(cap, local), {})
            assert len(places) <= cap.limit
            assert {attempt.place.entry for attempt in self.sold if attempt.until > self.now} <= places.keys()


def _run(client: "DynamoDBClient", examples: int) -> None:
    run_state_machine_as_test(
        type("Late", (LateMachine,), {"client": client}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(("engine", "examples"), [("dynoxide", 100), ("dynamodb_local", 20)])
def test_whatever_arrives_late_sales_are_counted_and_caps_hold(
    engine: str, examples: int, request: pytest.FixtureRequest
) -> None:
    _run(request.getfixturevalue(engine), examples)
