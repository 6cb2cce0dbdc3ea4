"""Reservations on the real engines: crowds, and a machine of sales and calls whose writes are lost, repeated and late,
against a model in plain Python. Seeded bugs show what the machine catches."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from shared.domain import caps
from shared.domain.caps import MOST_HELD, Cap, Kind
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.reservations import (
    BITS,
    NOTHING,
    PERIODS,
    TOMBSTONE_SECONDS,
    CameTrue,
    Entry,
    key,
    pack,
    unpack,
)
from shared.domain.schedule import local_time
from shared.store.counters import HELD, Of, Seen
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import Update, as_number, table_key
from shared.store.reservations import PLACES, Reservations, Reserved
from tests.build import SETTINGS, START, Counting
from tests.race.crowds import at_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ZONES = ["America/New_York", "Asia/Tokyo"]
ENDPOINTS = ("", "here")
HOUR, DAY = 3600, 24 * 3600
BUYER_IDS = count(random.SystemRandom().randrange(10**9))
IDS = count(1)
CONVERTED = CameTrue(recorded=True, dialed=True, connected=True, converted=True)


def a_cap(kind: Kind, limit: int, period: Any = "", endpoint: str = "") -> Cap:
    return Cap(kind, limit, period, endpoint)


def a_key() -> str:
    return key(next(IDS).to_bytes(12, "big"), next(IDS).to_bytes(8, "big"))


class Process:
    """One process with a memory of its own."""

    def __init__(self, client: "DynamoDBClient", buyer_id: int = 0, kind: type[Reservations] = Reservations) -> None:
        self.dynamo = Counting(client, SETTINGS)
        self.buyer_id = buyer_id or next(BUYER_IDS)
        self.store = kind(self.dynamo, {})

    def take(
        self, wanted: list[Cap], key: str = "", now: int = START, until: int = 0, cents: int = 100
    ) -> tuple[str, Reserved]:
        key = key or a_key()
        return key, self.store.take(self.buyer_id, key, wanted, local(now), cents, until or now + 60)

    def adopt(self, wanted: list[Cap], old: str, now: int = START, new: str = "") -> tuple[str, Reserved]:
        new = new or a_key()
        return new, self.store.adopt(self.buyer_id, old, new, wanted, local(now), now + 600)

    def give(self, wanted: list[Cap], key: str, came_true: CameTrue = NOTHING, now: int = START) -> None:
        self.store.give(self.buyer_id, key, {cap.endpoint for cap in wanted}, came_true, local(now))

    def state(self, endpoint: str = "") -> tuple[dict[str, int], dict[str, Any], dict[str, int]]:
        """What is stored: counts by kind, what is held, places."""
        item = stored(self.dynamo.client, self.buyer_id)[endpoint]
        return {name.partition("-")[0]: n for name, n in item.counts.items() if n}, item.held, item.places


def local(now: int, zone: str = ZONES[0]) -> datetime:
    return local_time(zone, now)


class Stored(NamedTuple):
    counts: dict[str, int]
    held: dict[str, Any]
    places: dict[str, int]


def stored(client: "DynamoDBClient", buyer_id: int) -> dict[str, Stored]:
    """The items of a buyer by endpoint, read by the test itself."""
    found = client.query(
        TableName="leases",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"B{buyer_id}"}},
        ConsistentRead=True,
    )
    items: dict[str, Item] = {item["sk"]["S"].removeprefix("CAPS").removeprefix("@"): item for item in found["Items"]}
    return {endpoint: _state(items.get(endpoint, {})) for endpoint in ENDPOINTS}


def _state(item: Item) -> "Stored":
    held = {name: value.get("B") or int(value["N"]) for name, value in item.get(HELD, {"M": {}})["M"].items()}
    maps = [value["M"] for name, value in item.items() if name.partition("@")[0] == PLACES]
    places = {name: int(value["N"]) for some in maps for name, value in some.items()}
    return Stored({n: int(v["N"]) for n, v in item.items() if "-" in n}, held, places)


ONE_OF_ALL = [a_cap(kind, 100 if kind == "revenue" else 1, period) for kind, period in BITS] + [a_cap("concurrent", 1)]


def test_a_cap_of_one_does_not_refuse_its_own_sales_call(client: "DynamoDBClient") -> None:
    process = Process(client)
    sale, reserved = process.take(ONE_OF_ALL)
    assert reserved is Reserved.DONE
    assert process.take(ONE_OF_ALL)[1] is Reserved.FULL
    call, reserved = process.adopt(ONE_OF_ALL, sale)
    assert reserved is Reserved.DONE
    assert process.adopt(ONE_OF_ALL, sale, new=call)[1] is Reserved.DONE  # the same once more
    counts, held, places = process.state()
    assert set(counts.values()) == {1, 100}
    assert held[sale] == START + TOMBSTONE_SECONDS
    assert isinstance(held[call], bytes)
    assert places == {call: START + 600}


def test_of_two_calls_on_one_reservation_one_adopts_and_the_other_takes_anew(client: "DynamoDBClient") -> None:
    wanted = [a_cap("converted", 2, "day"), a_cap("concurrent", 2), a_cap("attempts", 5, "hour", "here")]
    first = Process(client)
    crowd = [first, Process(client, first.buyer_id)]
    sale, _ = first.take(wanted)
    answers = at_once(crowd, lambda process, _: process.adopt(wanted, sale))
    assert sorted(reserved.value for _, reserved in answers) == ["done", "gone"]
    (late,) = (call for call, reserved in answers if reserved is Reserved.GONE)
    assert first.take(wanted, late)[1] is Reserved.DONE
    assert first.state()[0] == {"converted": 2}
    assert first.state("here")[0] == {"attempts": 2}
    for call, _ in answers:
        first.give(wanted, call, CONVERTED if call == late else NOTHING)
    counts, held, places = first.state()
    assert counts == {"converted": 1}
    assert not places
    assert {call: type(value) for call, value in held.items()} == dict.fromkeys(held, int)


def test_a_take_that_arrives_after_its_give_is_refused(client: "DynamoDBClient") -> None:
    wanted = [a_cap("sales", 5, "day"), a_cap("concurrent", 5)]
    process, key = Process(client), a_key()
    process.give(wanted, key)
    assert process.take(wanted, key)[1] is Reserved.GONE
    assert Process(client, process.buyer_id).take(wanted, key)[1] is Reserved.GONE
    assert process.state() == ({}, {key: START + TOMBSTONE_SECONDS}, {})


def test_what_came_true_is_kept_and_given_once(client: "DynamoDBClient") -> None:
    wanted = [*(a_cap(kind, 1000, "day") for kind, period in BITS if period == "day"), a_cap("concurrent", 2)]
    process = Process(client)
    key, _ = process.take(wanted)
    for came_true in (CameTrue(recorded=True, dialed=True), NOTHING, CONVERTED):
        Process(client, process.buyer_id).give(wanted, key, came_true)  # the first one decides
    counts, _, places = process.state()
    assert (counts, places) == ({"sales": 1, "attempts": 1}, {})


def test_a_refusal_by_the_endpoints_own_caps_gives_the_buyers(client: "DynamoDBClient") -> None:
    wanted = [a_cap("sales", 5, "day"), a_cap("converted", 1, "day", "here")]
    process = Process(client)
    assert [process.take(wanted)[1] for _ in range(3)] == [Reserved.DONE, Reserved.FULL, Reserved.FULL]
    assert process.state()[0] == {"sales": 1}


def test_a_take_over_adopts_what_an_earlier_attempt_at_the_ping_holds(client: "DynamoDBClient") -> None:
    process, ping = Process(client), next(IDS).to_bytes(12, "big")
    earlier, later = (key(ping, attempt.to_bytes(8, "big")) for attempt in (1, 2))
    process.take(ONE_OF_ALL, earlier)
    assert process.store.keys_of((process.buyer_id, ""), ping) == [earlier]
    assert process.adopt(ONE_OF_ALL, earlier, new=later)[1] is Reserved.DONE
    assert process.store.keys_of((process.buyer_id, ""), ping) == [later]


def test_requests_that_share_a_key_get_one_answer(client: "DynamoDBClient") -> None:
    """Though room comes between; and one that meets what another has taken is not refused."""
    wanted = [a_cap("concurrent", 5), a_cap("converted", 1, "day", "here")]
    process = Process(client)
    other, shared = process.take(wanted)[0], a_key()

    def take() -> Reserved:
        taker = Process(client, process.buyer_id)
        return taker.store.take(process.buyer_id, shared, wanted, local(START), 100, START + 60, is_shared=True)

    assert take() is Reserved.FULL
    process.give(wanted, other)
    assert take() is Reserved.GONE
    assert process.state()[0] == process.state("here")[0] == {}
    assert process.state()[2] == {}


def test_a_call_after_its_place_was_over_needs_a_free_one(client: "DynamoDBClient") -> None:
    wanted = [a_cap("concurrent", 1), a_cap("sales", 9, "day")]
    process = Process(client)
    first, _ = process.take(wanted, until=START + 60)
    second, reserved = process.take(wanted, now=START + 60)
    assert reserved is Reserved.DONE
    assert process.adopt(wanted, first, START + 61)[1] is Reserved.FULL
    process.give(wanted, second, now=START + 62)
    assert process.adopt(wanted, first, START + 63)[1] is Reserved.DONE


def test_who_has_gone_has_no_place(client: "DynamoDBClient") -> None:
    wanted, endpoints = [a_cap("concurrent", 1), a_cap("concurrent", 1, "", "here")], ["", "here"]
    process = Process(client)
    process.store.free_places(process.buyer_id, "nobody's", endpoints)
    key, _ = process.take(wanted)
    assert process.take(wanted, now=START + 1)[1] is Reserved.FULL
    for _ in range(2):
        process.store.free_places(process.buyer_id, key, endpoints)
    other, reserved = process.take(wanted, now=START + 1)
    assert reserved is Reserved.DONE
    for endpoint in endpoints:
        assert process.state(endpoint)[2].keys() == {other}
        assert process.state(endpoint)[1].keys() == {key, other}


def test_a_call_finds_room_where_places_that_are_over_fill_the_map(client: "DynamoDBClient") -> None:
    process = Process(client)
    first, _ = process.take([a_cap("concurrent", 2)])
    process.take([a_cap("concurrent", 2)])
    assert process.adopt([a_cap("concurrent", 2)], first, START + 90)[1] is Reserved.DONE
    assert len(process.state()[2]) == 1


@pytest.mark.parametrize("remember", [True, False])
def test_of_fifty_takes_at_once_five_fill_a_cap_of_five(client: "DynamoDBClient", remember: bool) -> None:
    wanted = [a_cap("converted", 5, "day"), a_cap("concurrent", 6), a_cap("attempts", 50, "hour")]
    first = Process(client)
    crowd = [Process(client, first.buyer_id) for _ in range(50)]
    first.store.make_maps((first.buyer_id, ""))
    if remember:
        for process in crowd:
            process.store.keys_of((first.buyer_id, ""), b"")
    answers = at_once(crowd, lambda process, _: process.take(wanted))
    taken = [key for key, reserved in answers if reserved is Reserved.DONE]
    assert len(taken) == 5
    counts, held, places = first.state()
    assert counts == {"converted": 5, "attempts": 5}
    assert held.keys() == places.keys() == set(taken)
    at_once(taken, lambda key, n: crowd[n].give(wanted, key))
    assert first.state()[0] == {}
    assert first.state()[2] == {}


def test_what_is_over_is_removed_by_writes_of_a_size_that_dynamodb_takes(client: "DynamoDBClient") -> None:
    wanted = [a_cap(kind, 10**6, period) for kind, period in BITS] + [a_cap("concurrent", 80)]
    process = Process(client)
    for _ in range(70):
        key, _ = process.take(wanted)
        process.give(wanted, key)
    for _ in range(80):
        process.take(wanted)
    assert len(process.state()[1]) == 150
    later = START + TOMBSTONE_SECONDS
    other = Process(client, process.buyer_id)
    for again in (process, other, other):
        assert again.take(wanted, now=later, until=later + 1)[1] is Reserved.DONE
    counts, held, places = process.state()
    assert sum(isinstance(value, int) for value in held.values()) == 0
    assert len(held) == counts["sales"] == 83
    assert len(places) == 3


def test_an_item_takes_no_more_than_it_may_hold(client: "DynamoDBClient") -> None:
    wanted, process = [a_cap("sales", 10**6, "total")], Process(client)
    process.store.make_maps((process.buyer_id, ""))
    update = Update()
    tombs = {f"t{n}": as_number(START + (TOMBSTONE_SECONDS if n else 0)) for n in range(MOST_HELD)}
    update.set(update.name(HELD), {"M": tombs})
    client.update_item(TableName="leases", Key=table_key(f"B{process.buyer_id}", "CAPS"), **update.expressions())
    key, reserved = process.take(wanted, now=START - 1)
    assert reserved is Reserved.FULL
    assert process.take(wanted, key)[1] is Reserved.DONE  # one was over


LIMITS = [
    a_cap("sales", 9, "day"), a_cap("attempts", 5, "hour"), a_cap("connected", 6, "day"),
    a_cap("converted", 4, "total"), a_cap("revenue", 1500, "day"), a_cap("concurrent", 2),
    a_cap("converted", 3, "hour", "here"), a_cap("concurrent", 2, endpoint="here"),
]  # fmt: skip
FATES = ["done"] * 6 + ["lost", "late", "answer lost", "repeated", "twice"]
OUTCOMES = [NOTHING, CameTrue(recorded=True), CameTrue(recorded=True, dialed=True), CONVERTED]


class Fated(Dynamo):
    """Each sending of a write meets its fate: it is done; lost; late; done without an answer; done, and once more
    later; or done twice before it is answered."""

    def __init__(self, client: "DynamoDBClient") -> None:
        super().__init__(client, SETTINGS)
        self.fate: Callable[[], str] = lambda: "done"
        self.late: list[Callable[[], None]] = []

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        for _ in range(sendings):
            fate = self.fate()
            if fate in ("late", "repeated"):
                self.late.append(lambda: self._arrive(method, request))
            if fate in ("answer lost", "twice"):
                self._arrive(method, request)
            if fate in ("done", "repeated", "twice"):
                return super().send(method, 1, *args, **request)
        raise TemporarilyUnavailable

    def _arrive(self, method: Any, request: Any) -> None:
        with suppress(ConditionFailed):
            super().send(method, 1, **request)


@dataclass
class Attempt:
    """What one attempt knows of its reservation, and asked for. `keys` are those under which it may be held; `old` is
    the one from which it was surely adopted."""

    keys: list[str]
    wanted: list[Cap]
    at: datetime
    cents: int
    until: int
    old: str = ""
    stands: bool = False
    came_true: CameTrue | None = None
    may_last: int = 0
    given: bool = False
    given_at: int = 0
    amounts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.may_last = self.until
        self.amounts = {caps.key(cap, self.at): cap.amount(self.cents) for cap in self.wanted if cap.period}

    @property
    def least(self) -> dict[str, int]:
        """What of it is counted at least."""
        kept = set() if not self.stands else self.amounts.keys() if self.came_true is None else self.kept
        return {name: self.amounts[name] for name in kept}

    @property
    def most(self) -> dict[str, int]:
        kept = self.kept if self.given else self.amounts.keys()
        return {name: self.amounts[name] for name in kept}

    @property
    def kept(self) -> set[str]:
        came_true = self.came_true or NOTHING
        kinds = {
            "sales": came_true.recorded, "attempts": came_true.dialed, "connected": came_true.connected,
            "converted": came_true.converted, "revenue": came_true.converted,
        }  # fmt: skip
        return {name for name in self.amounts if kinds[name.partition("-")[0]]}


class Machine:
    """Sales that take, calls that adopt, ends that give, by processes with memories of their own; the buyer's zone and
    caps change meanwhile. The model knows what each was told, and so what is counted at least and at most."""

    def __init__(self, client: "DynamoDBClient", seed: int, kind: type[Reservations] = Reservations) -> None:
        self.draw = random.Random(seed)
        self.client, self.now, self.buyer_id, self.zone = client, START, next(BUYER_IDS), ZONES[0]
        self.dynamo = Fated(client)
        self.stores = [kind(self.dynamo, {}) for _ in range(2)]
        self.attempts: list[Attempt] = []
        self.ended: set[str] = set()
        self.caps = list(LIMITS)

    def run(self, steps: int = 40) -> None:
        self.dynamo.fate = lambda: self.draw.choice(FATES)
        rules = [self.take, self.take, self.take_again, self.adopt, self.adopt, self.second_call, self.give, self.give,
                 self.arrive, self.arrive, self.wait, self.change, self.free_places]  # fmt: skip
        for _ in range(steps):
            self.draw.choice(rules)()
            self.check()
        self.settle()

    @property
    def store(self) -> Reservations:
        return self.draw.choice(self.stores)

    @property
    def local(self) -> datetime:
        return local(self.now, self.zone)

    def take(self) -> None:
        wanted = [cap for cap in self.caps if self.draw.random() < 0.7 or not cap.endpoint]
        until = self.now + self.draw.choice([30, 900])
        self._take(Attempt([a_key()], wanted, self.local, self.draw.choice([100, 250]), until))

    def take_again(self) -> None:
        """The same write by the same attempt, which was not answered or asks once more."""
        if attempt := self._one(lambda some: len(some.keys) == 1 and self._is_young(some)):
            self._take(attempt)

    def _take(self, attempt: Attempt) -> None:
        is_new = attempt not in self.attempts
        if is_new:
            self.attempts.append(attempt)
        try:
            reserved = self.store.take(
                self.buyer_id, attempt.keys[0], attempt.wanted, attempt.at, attempt.cents, attempt.until
            )
        except TemporarilyUnavailable:
            return
        if attempt.came_true is not None:
            assert reserved is Reserved.GONE or not attempt.given
        elif attempt.stands:
            assert reserved is Reserved.DONE
        elif reserved is Reserved.DONE:
            attempt.stands = True
        else:
            if is_new:
                assert reserved is Reserved.FULL
                assert self._may_be_full(attempt)
            self._give(attempt, NOTHING)

    def _may_be_full(self, attempt: Attempt) -> bool:
        counts = self._sum(other.most for other in self.attempts if other is not attempt)
        for cap in attempt.wanted:
            others = [other for other in self.attempts if other is not attempt and not other.given]
            live = sum(cap in other.wanted and other.may_last > self.now for other in others)
            taken = counts.get(caps.key(cap, attempt.at), 0) if cap.period else live
            if taken + cap.amount(attempt.cents) > cap.limit:
                return True
        return False

    def adopt(self) -> None:
        if attempt := self._one(lambda some: some.stands and some.came_true is None):
            again = len(attempt.keys) > 1 or attempt.old
            if not again:
                attempt.keys.insert(0, a_key())
            new, old = attempt.keys[0], attempt.old or attempt.keys[1]
            live, until = attempt.until > self.now, self.now + 60
            attempt.may_last = max(attempt.may_last, until)
            if not attempt.old:
                attempt.until = min(attempt.until, until)
            try:
                reserved = self.store.adopt(self.buyer_id, old, new, attempt.wanted, self.local, until)
            except TemporarilyUnavailable:
                return
            if reserved is Reserved.FULL:
                assert not live
                return
            assert reserved is Reserved.DONE
            attempt.keys, attempt.old = [new], old
            if not again:
                attempt.until = attempt.may_last = until

    def free_places(self) -> None:
        if attempt := self._one(lambda some: some.stands and some.came_true is None and len(some.keys) == 1):
            attempt.until = 0
            with suppress(TemporarilyUnavailable):
                self.store.free_places(self.buyer_id, attempt.keys[0], ENDPOINTS)
                attempt.may_last = 0

    def second_call(self) -> None:
        """A call that finds the reservation adopted takes anew."""
        if attempt := self._one(lambda some: bool(some.old) and some.came_true is None):
            old, new = attempt.old, a_key()
            try:
                reserved = self.store.adopt(self.buyer_id, old, new, attempt.wanted, self.local, self.now + 60)
            except TemporarilyUnavailable:
                return
            assert reserved is Reserved.GONE
            self._take(Attempt([new], attempt.wanted, self.local, attempt.cents, self.now + 60))

    def give(self) -> None:
        if attempt := self._one(lambda some: not some.given):
            self._give(attempt, self.draw.choice(OUTCOMES) if attempt.stands else NOTHING)

    def _give(self, attempt: Attempt, came_true: CameTrue) -> None:
        if attempt.came_true is None:
            attempt.came_true = came_true
        try:
            for key in attempt.keys:
                self.store.give(self.buyer_id, key, ENDPOINTS, attempt.came_true, self.local)
        except TemporarilyUnavailable:
            return
        attempt.given, attempt.given_at = True, self.now

    def arrive(self) -> None:
        if self.dynamo.late:
            self.dynamo.late.pop(self.draw.randrange(len(self.dynamo.late)))()

    def wait(self) -> None:
        """Nothing is as late as a tombstone stands."""
        seconds = self.draw.choice([1, 5, 40, 40, 1200, HOUR, DAY])
        while self.dynamo.late and self.draw.random() < 0.5:
            self.arrive()
        if seconds > 5:
            self.dynamo.late.clear()
        self.now += seconds

    def change(self) -> None:
        self.zone = self.draw.choice(ZONES)
        self.caps = [cap for cap in LIMITS if not cap.period or self.draw.random() < 0.8]

    def settle(self) -> None:
        """Everything is given; then nothing is left but what came true."""
        self.dynamo.fate = lambda: "done"
        for attempt in self.attempts:
            if not attempt.given:
                self._give(attempt, NOTHING)
            if self.draw.random() < 0.3:
                self.arrive()
        while self.dynamo.late:
            self.arrive()
        self.check()
        for state in stored(self.client, self.buyer_id).values():
            assert not [key for key, value in state.held.items() if isinstance(value, bytes)]
            assert not state.places

    def check(self) -> None:
        states = stored(self.client, self.buyer_id)
        counts = states[""].counts | states["here"].counts
        least = self._sum(attempt.least for attempt in self.attempts)
        most = self._sum(attempt.most for attempt in self.attempts)
        names = {name for attempt in self.attempts for name in attempt.amounts} | counts.keys()
        self.ended |= {name for name in names if any(caps.is_over(name, local(self.now, zone)) for zone in ZONES)}
        limits: dict[Any, int] = {(cap.kind, cap.period, cap.endpoint): cap.limit for cap in LIMITS}
        for name in names - self.ended:
            assert least.get(name, 0) <= counts.get(name, 0) <= most.get(name, 0), name
            (kind, period, _), endpoint = name.partition("@")[0].split("-"), name.partition("@")[2]
            assert counts.get(name, 0) <= limits[kind, period, endpoint], name
        for endpoint, state in states.items():
            live = {key for key, until in state.places.items() if until > self.now}
            assert len(live) <= 2
            may_live = {key for attempt in self.attempts if not attempt.given for key in attempt.keys}
            assert live <= may_live
            for attempt in self.attempts:
                has_place = any(cap.endpoint == endpoint and not cap.period for cap in attempt.wanted)
                if has_place and attempt.stands and attempt.came_true is None and attempt.until > self.now:
                    assert live & set(attempt.keys), attempt

    @staticmethod
    def _sum(some: Any) -> dict[str, int]:
        found: dict[str, int] = {}
        for amounts in some:
            for name, amount in amounts.items():
                found[name] = found.get(name, 0) + amount
        return found

    def _is_young(self, attempt: Attempt) -> bool:
        """Its period is as it was, and a tombstone of it stands."""
        return attempt.at.timestamp() > self.now - 6 and (
            not attempt.given or attempt.given_at > self.now - TOMBSTONE_SECONDS
        )

    def _one(self, suits: Callable[[Attempt], bool]) -> Attempt | None:
        found = [attempt for attempt in self.attempts if suits(attempt)]
        return self.draw.choice(found[-6:]) if found else None


@pytest.mark.parametrize(("engine", "seeds"), [("dynoxide", 20), ("dynamodb_local", 5)])
def test_whatever_is_lost_repeated_or_late_caps_hold_and_nothing_is_left(
    engine: str, seeds: int, request: pytest.FixtureRequest
) -> None:
    for seed in range(seeds):
        Machine(request.getfixturevalue(engine), seed).run()


class TombstoneTakenForAnEntry(Reservations):
    def _standing(self, state: Seen, key: str) -> Reserved | None:
        return Reserved.DONE if key in (state.held or {}) else None


class GiveWithoutTombstone(Reservations):
    def _giving(self, *args: Any) -> Update:
        update = super()._giving(*args)
        (name,) = (name for name, value in update.placeholders.items() if name == args[1] and value)
        path = update.name(HELD, name)
        update.clauses["SET"] = [clause for clause in update.clauses["SET"] if not clause.startswith(f"{path} =")]
        update.remove(HELD, name)
        number = str(int(args[4].timestamp()) + TOMBSTONE_SECONDS)
        update.values = {name: value for name, value in update.values.items() if value != {"N": number}}
        return update


class UnguardedGive(Reservations):
    def _giving(self, *args: Any) -> Update:
        update = super()._giving(*args)
        update.conditions, value = ["attribute_exists(pk)"], update.values.pop(":entry")
        assert value
        return update


class NothingHeldLeavesNoTombstone(Reservations):
    def _give(self, of: Of, key: str, came_true: CameTrue, local: datetime) -> None:
        self.keys_of(of, b"")
        if key in (self.memory[of].held or {}):
            super()._give(of, key, came_true, local)


class AdoptionWithoutTombstone(Reservations):
    def _adopting(self, of: Of, old: str, new: str, limit: int | None, until: int, now: int) -> Update:
        update = super()._adopting(of, old, new, limit, until, now)
        tombstone = update.number(now + TOMBSTONE_SECONDS)
        update.clauses["SET"] = [clause for clause in update.clauses["SET"] if not clause.endswith(f"= {tombstone}")]
        update.values.pop(tombstone)
        update.remove(HELD, old)
        return update


class TakeWithoutItsConditionOnTheKey(Reservations):
    def _taking(self, take: Any, state: Seen | None) -> Update:
        update = super()._taking(take, state)
        update.conditions.remove(f"attribute_not_exists({update.name(HELD, take.key)})")
        return update


class AdoptionOfAPlaceThatIsOver(Reservations):
    def _adopting(self, of: Of, old: str, new: str, limit: int | None, until: int, now: int) -> Update:
        return super()._adopting(of, old, new, None if limit is None else 10**6, until, now)


class KeysByTheClockOfTheGive(Reservations):
    def _giving(self, of: Of, key: str, entry: bytes, came_true: CameTrue, local: datetime) -> Update:
        was = unpack(entry)
        at = datetime.fromtimestamp(was.second, local.tzinfo)
        moved = Entry(was.second, tuple(caps.start_of(period, at) for period in PERIODS), was.bits, was.cents)
        update = super()._giving(of, key, pack(moved), came_true, local)
        update.values[":entry"] = {"B": entry}
        return update


@pytest.mark.parametrize(
    ("bug", "first"),
    [
        (TombstoneTakenForAnEntry, 0), (GiveWithoutTombstone, 6), (UnguardedGive, 0),
        (NothingHeldLeavesNoTombstone, 1), (AdoptionWithoutTombstone, 1),
        (TakeWithoutItsConditionOnTheKey, 0), (AdoptionOfAPlaceThatIsOver, 9), (KeysByTheClockOfTheGive, 0),
    ],
)  # fmt: skip
def test_the_machine_catches(dynoxide: "DynamoDBClient", bug: type[Reservations], first: int) -> None:
    """`first` is the first seed that shows it."""

    def run() -> None:
        for seed in range(first, first + 40):
            Machine(dynoxide, seed, bug).run()

    with pytest.raises(AssertionError):
        run()
