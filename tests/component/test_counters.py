"""Counting against caps over moto: one thread, a clock that is set by hand; and what the SDK retries."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.caps import Cap
from shared.domain.refusals import TemporarilyUnavailable
from shared.store import dynamo
from shared.store.counters import REMOVED_AT_ONCE, Counters, Of, Place, Seen
from shared.store.dynamo import ConditionFailed, Dynamo
from tests.build import SETTINGS, START, Counting, Stage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOUR, DAY = 3600, 24 * 3600
NEW_YORK = ZoneInfo("America/New_York")
FOR_EVER = Cap("sales", 1000, "total")
PING_IDS = (b"ping %d" % n for n in count())


@dataclass
class Process:
    """One process: its memory, and the calls that it has made."""

    client: "DynamoDBClient"
    memory: dict[Of, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dynamo = Counting(self.client, SETTINGS)
        self.counters = Counters(self.dynamo, self.memory)

    def take(
        self,
        *caps: Cap,
        cents: int = 100,
        now: int = START,
        until: int = 0,
        ping: bytes = b"",
        attempt: bytes = b"attempt",
    ) -> Place | None:
        local = datetime.fromtimestamp(now, NEW_YORK)
        return self.counters.take(1, caps, local, cents, ping or next(PING_IDS), attempt, until or now + 60, now)

    def counts(self, now: int = START, endpoints: tuple[str, ...] = ("",)) -> dict[str, int]:
        return self.counters.counts([(1, endpoint) for endpoint in endpoints], now)[1]

    def calls(self, since: int = 0) -> int:
        return self.dynamo.calls - since


class Late(Dynamo):
    """Its writes come to nothing, until they are delivered."""

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:  # noqa: ARG002
        self.deliver = partial(self._deliver, method, request)
        raise TemporarilyUnavailable

    def _deliver(self, method: Any, request: Any) -> None:
        with suppress(ConditionFailed):
            super().send(method, 1, **request)


@pytest.fixture
def process(stage: Stage) -> Process:
    return Process(stage.client)


@pytest.fixture
def another(stage: Stage) -> Process:
    """With a memory of its own."""
    return Process(stage.client)


def item(process: Process, endpoint: str = "") -> dict[str, Any]:
    key = {"pk": {"S": "B1"}, "sk": {"S": f"CAPS@{endpoint}" if endpoint else "CAPS"}}
    return process.client.get_item(TableName="leases", Key=key).get("Item", {})


def test_what_a_sale_counts_is_counted_in_one_write_and_another_at_its_endpoint(process: Process) -> None:
    caps = [Cap("sales", 5, "hour"), Cap("revenue", 500, "month"), FOR_EVER]
    assert process.take(*caps, cents=250)
    assert process.calls() == 1
    assert process.take(*caps, Cap("sales", 5, "day", "my_endpoint"), cents=250)
    assert process.calls() == 3
    counts = process.counts(endpoints=("", "my_endpoint"))
    assert {name.rpartition("-")[0] + name.partition("@")[2]: counted for name, counted in counts.items()} == {
        "sales-hour": 2, "revenue-month": 500, "sales-total": 2, "sales-daymy_endpoint": 1,
    }  # fmt: skip
    assert process.calls() == 3  # what the writes have shown is remembered
    assert process.counts(endpoints=("another",)) == {}


def test_where_an_endpoint_has_no_room_the_buyers_own_count_is_given_back(process: Process) -> None:
    here = Cap("concurrent", 1, endpoint="my_endpoint")
    assert process.take(FOR_EVER, Cap("concurrent", 5), here)
    before = item(process)
    assert process.take(FOR_EVER, Cap("concurrent", 5), here) is None
    assert item(process) == before
    assert process.take(FOR_EVER, Cap("concurrent", 5), Cap("concurrent", 1, endpoint="another"))


def test_each_endpoints_places_are_an_item_of_their_own(process: Process) -> None:
    """Ninety endpoints with five hundred places each were more than an item can hold."""
    for n in range(3):
        assert process.take(Cap("concurrent", 500, endpoint=f"e{n}"), Cap("sales", 500, "day", f"e{n}"))
    assert item(process) == {}
    assert [len(item(process, f"e{n}")["concurrent@e" + str(n)]["M"]) for n in range(3)] == [1, 1, 1]


def test_where_one_cap_is_full_nothing_is_counted_at_any(process: Process) -> None:
    full, free = Cap("sales", 1, "day"), Cap("revenue", 10_000, "total")
    assert process.take(full, free)
    before = item(process)
    assert process.take(full, free) is None
    assert process.take(full, free, Cap("concurrent", 5)) is None
    assert item(process) == before
    assert process.calls() == 3


def test_a_cap_sells_what_it_says_and_every_period_anew(process: Process) -> None:
    cap = Cap("sales", 2, "hour")
    for hour in range(3):
        assert [bool(process.take(cap, now=START + hour * HOUR)) for _ in range(4)] == [True, True, False, False]


def test_revenue_is_counted_to_the_cent(process: Process) -> None:
    cap = Cap("revenue", 1000, "day")
    assert [bool(process.take(cap, cents=cents)) for cents in (600, 401, 399, 2, 1, 1, 0)] == [
        True, False, True, False, True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "cap", [Cap("sales", 0, "day"), Cap("revenue", 99, "day"), Cap("concurrent", 0), Cap("concurrent", 0, endpoint="e")]
)
def test_what_no_period_could_hold_is_refused_without_a_call(process: Process, cap: Cap) -> None:
    assert process.take(FOR_EVER, cap, cents=100) is None
    assert process.calls() == 0
    assert item(process) == {}


def test_without_caps_there_is_room_and_no_call(process: Process) -> None:
    place = process.take()
    assert place
    process.counters.give_back(place)
    assert process.calls() == 0


def test_the_tightest_of_two_caps_with_one_key_holds(process: Process) -> None:
    caps = [Cap("sales", 1, "day"), Cap("sales", 3, "day"), Cap("concurrent", 2), Cap("concurrent", 3)]
    assert [bool(process.take(*caps)) for _ in range(2)] == [True, False]


def test_a_place_frees_itself(process: Process) -> None:
    cap = Cap("concurrent", 2)
    assert process.take(cap, until=START + 10)
    assert process.take(cap, until=START + 20)
    assert process.take(cap) is None
    assert process.counts(START + 9)["concurrent"] == 2
    assert process.take(cap, now=START + 9) is None
    assert process.counts(START + 10)["concurrent"] == 1
    assert process.take(cap, now=START + 10, until=START + 99)
    assert process.take(cap, now=START + 19) is None
    assert process.take(cap, now=START + 20, until=START + 99)
    assert len(item(process)["concurrent"]["M"]) == 2


def test_the_first_place_of_a_buyer_takes_two_calls_and_every_other_one(process: Process, another: Process) -> None:
    caps = [Cap("concurrent", 3), FOR_EVER]
    assert process.take(*caps)
    assert process.calls() == 2
    assert process.take(*caps)
    assert process.calls() == 3
    assert another.take(*caps)
    assert another.calls() == 1
    assert another.take(*caps) is None
    assert another.calls() == 2


def test_a_cap_of_one_endpoint_is_apart_from_that_of_all(process: Process) -> None:
    everywhere, here, there = Cap("concurrent", 2), *(Cap("concurrent", 1, endpoint=name) for name in ("here", "there"))
    assert process.take(everywhere, here)
    assert process.take(everywhere, here) is None
    assert process.take(everywhere, there)
    assert process.counts(endpoints=("", "here", "there")) == {
        "concurrent": 2, "concurrent@here": 1, "concurrent@there": 1,
    }  # fmt: skip
    assert process.take(everywhere, Cap("concurrent", 5, endpoint="elsewhere")) is None


def test_a_place_that_is_over_is_removed_as_soon_as_it_is_known(process: Process) -> None:
    cap = Cap("concurrent", 5)
    for _ in range(3):
        assert process.take(cap, until=START + 10)
    assert process.take(cap, now=START + 10)
    assert len(item(process)["concurrent"]["M"]) == 1
    assert process.calls() == 5


def test_it_costs_no_call_that_another_process_was_first_to_remove_a_place(process: Process, another: Process) -> None:
    cap = Cap("concurrent", 5)
    for _ in range(3):
        assert process.take(cap, until=START + 10)
    before = process.calls()
    for _ in range(2):
        assert another.take(cap, now=START + 10, until=START + 99)
    assert process.take(cap, now=START + 10, until=START + 99)
    assert process.calls(before) == 1
    assert len(item(process)["concurrent"]["M"]) == 3


def test_known_to_be_full_of_places_that_are_over_a_map_takes_one_call_and_unknown_two(
    process: Process, another: Process
) -> None:
    cap = Cap("concurrent", 2)
    for _ in range(2):
        assert process.take(cap, until=START + 10)
    before = process.calls()
    assert process.take(cap, now=START + 10, until=START + 20)
    assert process.calls(before) == 1
    assert process.take(cap, now=START + 10, until=START + 20)
    assert another.take(cap, now=START + 20)
    assert another.calls() == 2


def test_places_that_another_process_has_removed_are_not_counted_off_twice(process: Process, another: Process) -> None:
    cap = Cap("concurrent", 2)
    for _ in range(2):
        assert process.take(cap, until=START + 10)
    assert another.take(cap, now=START + 10, until=START + 99)
    assert another.take(cap, now=START + 10, until=START + 99)
    assert process.take(cap, now=START + 10) is None
    assert len(item(process)["concurrent"]["M"]) == 2


def test_a_place_is_not_removed_by_who_knows_only_its_earlier_end(process: Process, another: Process) -> None:
    cap = Cap("concurrent", 3)
    assert process.take(cap, ping=b"again", until=START + 10)
    assert another.take(cap, ping=b"again", now=START + 10, until=START + 99)
    assert process.take(cap, now=START + 10)
    assert another.counts(START + 12)["concurrent"] == 2


def test_a_ping_has_one_place_however_often_it_is_tried(process: Process) -> None:
    cap = Cap("concurrent", 1)
    assert process.take(cap, ping=b"mine", until=START + 10)
    assert process.take(cap, ping=b"mine", until=START + 20)
    assert process.take(cap, ping=b"mine", now=START + 30, until=START + 40)
    assert process.take(cap, now=START + 30) is None
    assert process.counts(START + 30) == {"concurrent": 1}


def test_a_later_attempt_takes_over_the_place_of_the_one_before(process: Process, another: Process) -> None:
    """A cap of one does not refuse its own sale; nor is the place of an attempt that died in the way of others."""
    cap = Cap("concurrent", 1)
    dead = process.take(cap, ping=b"mine", attempt=b"first")
    place = another.take(cap, ping=b"mine", attempt=b"second")
    assert dead
    assert place
    assert item(process)["concurrent"]["M"].keys() == {place.entry}
    assert process.take(cap) is None

    process.counters.give_back(dead)  # it arrives late
    assert item(process)["concurrent"]["M"].keys() == {place.entry}
    assert process.take(cap) is None
    another.counters.give_back(place)
    assert process.take(cap)


def test_a_place_that_is_taken_over_late_is_not_there_any_more(process: Process, another: Process) -> None:
    cap = Cap("concurrent", 1)
    assert process.take(cap, ping=b"mine", attempt=b"first")
    late = Late(process.client, SETTINGS)
    with pytest.raises(TemporarilyUnavailable):
        Counters(late, dict(process.memory)).take(
            1, [cap], datetime.fromtimestamp(START, NEW_YORK), 1, b"mine", b"second", START + 99, START
        )
    place = another.take(cap, ping=b"mine", attempt=b"third")
    assert place
    late.deliver()
    assert item(process)["concurrent"]["M"].keys() == {place.entry}


def test_a_give_back_after_a_repair_uncounts_nothing(process: Process) -> None:
    cap = Cap("sales", 3, "total")
    late, sold = process.take(cap), process.take(cap)
    assert late
    assert sold
    [key] = late.parts[0].amounts
    assert process.counters.lower((1, ""), {key: 2}, {key: 1}, START, 0)
    process.counters.give_back(late)
    assert process.counts(START + 2) == {key: 1}
    assert [bool(process.take(cap, now=START + 60)) for _ in range(3)] == [True, True, False]


def test_a_repair_that_arrives_late_lowers_nothing(process: Process) -> None:
    cap = Cap("sales", 9, "total")
    for _ in range(2):
        assert process.take(cap)
    assert process.counters.lower((1, ""), {"sales-total-0": 2}, {"sales-total-0": 0}, START, 0)
    for _ in range(2):
        assert process.take(cap)
    assert not process.counters.lower((1, ""), {"sales-total-0": 2}, {"sales-total-0": 0}, START, 0)
    assert process.counts(START + 2) == {"sales-total-0": 2}


def test_a_sale_that_is_counted_late_does_not_make_a_buyer_quiet(process: Process, another: Process) -> None:
    late = Late(process.client, SETTINGS)
    with pytest.raises(TemporarilyUnavailable):
        Counters(late, {}).take(
            1, [FOR_EVER], datetime.fromtimestamp(START, NEW_YORK), 1, b"ping", b"attempt", START + 99, START
        )
    assert process.take(FOR_EVER, now=START + HOUR)
    late.deliver()
    assert int(item(process)["taken_at"]["N"]) == START + HOUR
    assert another.take(FOR_EVER, now=START)  # by a clock that is late: it is asked once more
    assert another.calls() == 2
    assert int(item(process)["taken_at"]["N"]) == START + HOUR


def test_what_is_given_back_can_be_sold_again(process: Process) -> None:
    caps = [Cap("sales", 1, "day"), Cap("revenue", 100, "total"), Cap("concurrent", 1)]
    for _ in range(3):
        place = process.take(*caps)
        assert place
        assert process.take(*caps) is None
        process.counters.give_back(place)
    assert process.counts(START + 2) == {"concurrent": 0} | dict.fromkeys(
        [name for name in item(process) if name.startswith(("sales", "revenue"))], 0
    )


def test_a_place_is_given_back_once(process: Process) -> None:
    cap = Cap("sales", 5, "day")
    place = process.take(cap)
    assert place
    process.counters.give_back(place)
    process.counters.give_back(place)
    assert [bool(process.take(cap)) for _ in range(6)] == [True] * 5 + [False]


def test_what_is_given_back_after_midnight_is_yesterdays(process: Process) -> None:
    cap = Cap("sales", 1, "day")
    midnight = START + 5 * HOUR
    place = process.take(cap, now=midnight - 1)
    assert place
    assert process.take(cap, now=midnight)
    process.counters.give_back(place)
    assert process.take(cap, now=midnight) is None
    assert sorted(process.counts(midnight + 2).values()) == [0, 1]


def test_what_is_given_back_of_a_count_that_was_removed_leaves_nothing_behind(process: Process) -> None:
    cap = Cap("sales", 1, "day")
    place = process.take(cap)
    assert place
    for days in (1, 2):
        assert process.take(cap, now=START + days * DAY)
    before = item(process)
    assert not before.keys() & place.parts[0].amounts
    process.counters.give_back(place)
    assert item(process) == before


def test_ended_periods_are_removed_by_a_process_that_has_seen_them(process: Process) -> None:
    caps = [Cap("sales", 9, "hour"), Cap("revenue", 999, "day", "my_endpoint"), FOR_EVER]
    for hour in range(0, 200, 3):
        assert process.take(*caps, now=START + hour * HOUR)
    assert process.calls() == 2 * 67
    assert len([name for name in item(process) if "-" in name]) <= 2 + 1
    assert len([name for name in item(process, "my_endpoint") if "-" in name]) <= 1 + 1


def test_nor_does_an_item_grow_for_ever_where_each_process_sells_once(stage: Stage) -> None:
    calls, sales, names = 0, 300, 0
    for hour in range(0, 3 * sales, 3):
        process = Process(stage.client)
        assert process.take(Cap("sales", 9, "hour"), FOR_EVER, now=START + hour * HOUR)
        calls += process.calls()
        names = max(names, len(item(process)))
    assert names <= REMOVED_AT_ONCE + 6
    assert calls <= sales * 1.03


def test_a_lowered_limit_is_not_kept_full_by_places_that_are_over(process: Process, another: Process) -> None:
    for _ in range(2 * REMOVED_AT_ONCE):
        assert process.take(Cap("concurrent", 2 * REMOVED_AT_ONCE), until=START + 10)
    assert another.take(Cap("concurrent", 1), now=START + 10)
    assert another.take(Cap("concurrent", 1), now=START + 10) is None


def test_a_buyer_whose_item_was_deleted_starts_anew(process: Process) -> None:
    caps = [Cap("concurrent", 2), FOR_EVER]
    for _ in range(2):
        assert process.take(*caps, until=START + 10)
    process.client.delete_item(TableName="leases", Key={"pk": {"S": "B1"}, "sk": {"S": "CAPS"}})
    assert process.take(*caps, now=START + 10)
    assert process.counts(START + 10) == {"concurrent": 1, "sales-total-0": 1}


def test_counts_are_read_anew_when_they_are_two_seconds_old(process: Process, another: Process) -> None:
    assert process.counts() == {}
    assert another.take(FOR_EVER)
    assert process.counts(START + 1) == {}
    assert process.calls() == 1
    assert process.counts(START + 2) == {"sales-total-0": 1}
    assert process.calls() == 2


def test_many_buyers_are_read_by_the_hundred_and_each_once(process: Process) -> None:
    assert process.take(FOR_EVER)
    found = process.counters.counts([(buyer, "") for buyer in (*range(1, 251), *range(1, 251))], START + 2)
    assert found == {buyer: {"sales-total-0": 1} if buyer == 1 else {} for buyer in range(1, 251)}
    assert process.calls() == 1 + 3
    assert process.counters.counts([], START) == {}
    assert process.calls() == 4


def test_where_counts_cannot_be_read_it_is_busy(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamo, "LONGEST_PAUSE", 0)
    monkeypatch.setattr(
        process.client,
        "batch_get_item",
        lambda **request: {"Responses": {"leases": []}, "UnprocessedKeys": request["RequestItems"]},
    )
    with pytest.raises(TemporarilyUnavailable):
        process.counts()
    assert process.memory == {}


def test_without_time_nothing_is_asked(process: Process) -> None:
    process.dynamo.deadline = 0
    with pytest.raises(TemporarilyUnavailable):
        process.take(FOR_EVER)
    assert item(process) == {}
