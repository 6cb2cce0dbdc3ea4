"""What calls hold of their buyers' caps, and what they give back."""

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.calls import Ended
from shared.domain.caps import Cap
from shared.domain.models import CallRules, DialRules, Endpoint, Pays
from shared.domain.refusals import TemporarilyUnavailable
from shared.flows.settling import settle_due
from shared.store.calls import Calls, StoredCall
from shared.store.counters import Seen
from shared.store.dynamo import Dynamo
from tests.build import BUYERS, Publisher, Stage, a_buyer, an_endpoint
from tests.phone import Phone

OF_EACH_KIND = (
    Cap("sales", 1, "day"),
    Cap("attempts", 1, "hour"),
    Cap("connected", 1, "day"),
    Cap("converted", 1, "month"),
    Cap("revenue", 2500, "day"),
    Cap("concurrent", 1),
    Cap("sales", 1, "total", "my_endpoint"),
    Cap("concurrent", 1, endpoint="my_endpoint"),
)


def takes_calls(*caps: Cap, **of_buyer: Any) -> Endpoint:
    return replace(an_endpoint(buyers=(a_buyer(caps=caps, **of_buyer), BUYERS[1])), calls=CallRules("main"))


def sell(stage: Stage, caller: str) -> str:
    number: str = Publisher(stage).full(caller_id=caller).body["forwarding_number"]
    return number


def counted(stage: Stage, endpoint: str = "", buyer: int = 1) -> dict[str, int]:
    """What is counted of a buyer, by kind and period, and its places that are taken now."""
    stage.counted.clear()
    world = stage.world()
    world.counters.counts([(buyer, endpoint)], stage.clock())
    seen: Seen = world.counters.memory[buyer, endpoint]
    found = {"-".join(key.split("-")[:2]): count for key, count in seen.counted(stage.clock()).items()}
    return {key: count for key, count in found.items() if count}


CALLERS = [f"+1614555{last:04}" for last in range(100, 200)]


def test_a_cap_of_one_of_each_kind_does_not_refuse_its_own_sale(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(*OF_EACH_KIND))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    assert phone.rings().dialed == BUYERS[0].number
    phone.talks(60)
    assert counted(stage) == {
        "sales-day": 1, "attempts-hour": 1, "connected-day": 1, "converted-month": 1, "revenue-day": 2500,
    }  # fmt: skip
    assert counted(stage, "my_endpoint") == {"sales-total": 1}


@pytest.mark.parametrize(
    ("ends", "kept"),
    [
        ("busy", {"sales-day": 1, "attempts-hour": 1}),
        ("completed", {"sales-day": 1, "attempts-hour": 1, "connected-day": 1}),
    ],
)
def test_what_does_not_come_true_is_given_back(fast_stage: Stage, ends: str, kept: dict[str, int]) -> None:
    stage = fast_stage
    stage.publish(takes_calls(*OF_EACH_KIND, pays=Pays("duration", 90)))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    phone.rings()
    phone.dial_ends(ends, seconds=20 if ends == "completed" else None)
    assert counted(stage) == kept


def test_a_buyer_of_two_places_has_two_calls_and_the_third_caller_goes_on(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(Cap("concurrent", 2)))
    phones = [Phone(stage, sell(stage, caller), caller) for caller in CALLERS[:3]]
    assert [phone.rings().dialed for phone in phones] == [BUYERS[0].number] * 2 + [BUYERS[1].number]
    stage.clock.forward(320)
    later = Phone(stage, sell(stage, CALLERS[3]), CALLERS[3])
    assert later.rings().dialed == BUYERS[1].number
    phones[0].dial_ends("completed", seconds=100)
    another = Phone(stage, sell(stage, CALLERS[4]), CALLERS[4])
    assert another.rings().dialed == BUYERS[0].number


@pytest.mark.parametrize("rules", [{"caller_must_match": True}, {"anonymous": "reject"}])
def test_a_call_that_is_turned_away_leaves_the_sale_what_it_has_reserved(
    fast_stage: Stage, rules: dict[str, Any]
) -> None:
    stage = fast_stage
    stage.publish(replace(takes_calls(*OF_EACH_KIND), calls=CallRules("main", **rules)))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    reserved = counted(stage)
    assert len(reserved) == 6
    for _ in range(2):
        assert Phone(stage, phone.number, "anonymous").rings().verbs == ["Reject"]
    assert counted(stage) == reserved
    assert Phone(stage, sell(stage, CALLERS[1]), CALLERS[1]).rings().dialed == BUYERS[1].number
    assert phone.rings().dialed == BUYERS[0].number


def test_a_place_is_free_as_soon_as_the_caller_is_gone(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(Cap("concurrent", 1)))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    phone.rings()
    phone.leg_answers()
    phone.ends(30)
    assert phone.stored
    assert phone.stored.facts.settled is None
    assert Phone(stage, sell(stage, CALLERS[1]), CALLERS[1]).rings().dialed == BUYERS[0].number


def test_a_place_whose_end_is_lost_frees_itself(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(Cap("concurrent", 1)))
    Phone(stage, sell(stage, CALLERS[0]), CALLERS[0]).rings()
    stage.clock.forward(25 + 3600)
    assert Phone(stage, sell(stage, CALLERS[1]), CALLERS[1]).rings().dialed == BUYERS[0].number


def test_who_takes_another_buyers_call_is_counted_and_the_first_is_given_back(fast_stage: Stage) -> None:
    stage = fast_stage
    first, second = (replace(buyer, id=3 - buyer.id, caps=OF_EACH_KIND[:6]) for buyer in BUYERS)
    stage.publish(replace(an_endpoint(buyers=(first, second)), calls=CallRules("main")))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    phone.rings()
    assert phone.dial_ends("no-answer").dialed == second.number
    phone.talks(60, n=2)
    assert counted(stage, buyer=2) == {"sales-day": 1, "attempts-hour": 1}
    assert counted(stage, buyer=1) == {
        "sales-day": 1, "attempts-hour": 1, "connected-day": 1, "converted-month": 1, "revenue-day": 2000,
    }  # fmt: skip


def test_two_calls_of_one_sale_hold_two_places(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(Cap("concurrent", 2), Cap("converted", 5, "day")))
    number = sell(stage, CALLERS[0])
    calls = [Phone(stage, number, CALLERS[0]) for _ in range(2)]
    assert [phone.rings().dialed for phone in calls] == [BUYERS[0].number] * 2
    assert counted(stage) == {"concurrent": 2, "converted-day": 2}
    for phone in calls:
        phone.talks(60)
    assert counted(stage) == {"converted-day": 1}


def test_a_further_call_of_a_sale_counts_no_second_sale(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(Cap("sales", 1, "day"), Cap("revenue", 9000, "day"), pays=Pays("sale")))
    number = sell(stage, CALLERS[0])
    for _ in range(2):
        phone = Phone(stage, number, CALLERS[0])
        assert phone.rings().dialed == BUYERS[0].number
        phone.talks(60)
    assert counted(stage) == {"sales-day": 1, "revenue-day": 2500}


def test_a_sale_is_given_where_its_call_has_died_before_it_adopted(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(*OF_EACH_KIND))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    phone.telephony = stage.telephony_over(Unclear(stage.client, stage.settings, times=99))
    assert phone.rings().code == 503
    stage.clock.forward(4000)
    assert settle_due(stage.telephony(), phone.call_id)
    assert counted(stage) == {"sales-day": 1}
    assert counted(stage, "my_endpoint") == {"sales-total": 1}


def test_an_unclear_take_gives_nothing_that_the_same_webhook_has_taken_before(fast_stage: Stage) -> None:
    stage = fast_stage
    second = replace(BUYERS[1], caps=(Cap("attempts", 1, "day"), Cap("concurrent", 1)))
    stage.publish(replace(an_endpoint(buyers=(BUYERS[0], second)), calls=CallRules("main")))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    phone.rings()
    assert phone.dial_ends("busy").dialed == second.number
    phone.telephony = stage.telephony_over(Unclear(stage.client, stage.settings))
    assert phone.dial_ends("busy").dialed == second.number
    assert counted(stage, buyer=2) == {"attempts-day": 1, "concurrent": 1}


def test_a_key_that_is_noted_after_the_end_connects_nobody(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(Cap("connected", 9, "day"), dial=DialRules(press="1")))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    phone.rings()
    phone.leg_answers()
    phone.dial_ends("completed", seconds=5)
    assert phone.presses("1").verbs == ["Hangup"]
    assert phone.stored
    assert phone.stored.facts.accepted == {}
    assert counted(stage) == {}


def test_a_webhook_that_looks_after_the_talk_gives_no_conversion_back(fast_stage: Stage) -> None:
    stage = fast_stage
    stage.publish(takes_calls(Cap("converted", 9, "day")))
    phone = Phone(stage, sell(stage, CALLERS[0]), CALLERS[0])
    telephony = stage.telephony()
    phone.telephony = dataclasses.replace(telephony, calls=EndsMeanwhile(telephony.calls.dynamo))
    assert phone.rings().verbs == ["Hangup"]
    assert phone.stored
    assert phone.stored.facts.settled
    assert phone.stored.facts.settled.converted
    assert counted(stage) == {"converted-day": 1}


class Unclear(Dynamo):
    """Of the first writes to a buyer's counts nobody knows whether they were done."""

    def __init__(self, *args: Any, times: int = 1) -> None:
        super().__init__(*args)
        self.times = times

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        counts = request.get("Key", {}).get("sk", {}).get("S", "").startswith("CAPS")
        if counts and "UpdateExpression" in request and self.times:
            self.times -= 1
            raise TemporarilyUnavailable
        return super().send(method, sendings, *args, **request)


class EndsMeanwhile(Calls):
    """The buyer has talked and hung up before the first webhook looks."""

    def look(self, call_id: bytes) -> StoredCall | None:
        now = super().look(call_id)
        return self.note_ended(call_id, 1, Ended("completed", now.call.arrived_at, 60)) if now else None


def test_a_call_costs_few_reads_and_writes(fast_stage: Stage) -> None:
    """Of a number that is remembered: ring, ping, the endpoint's version and a look; the call and the adoption."""
    stage = fast_stage
    stage.publish(takes_calls(Cap("concurrent", 5)))
    numbers = {caller: sell(stage, caller) for caller in CALLERS[:2]}
    for caller, number in numbers.items():
        stage.telephony().owners.find(number, stage.clock())
        Phone(stage, number, caller).rings()
    stage.clock.forward(6)
    dynamo = Counted(stage.client, stage.settings)
    phone = Phone(stage, numbers[CALLERS[0]], CALLERS[0], telephony=stage.telephony_over(dynamo))
    phone.rings()
    reads = [name for name in dynamo.sent if name in ("GetItem", "BatchGetItem")]
    writes = [name for name in dynamo.sent if name in ("PutItem", "UpdateItem")]
    assert len(reads) <= 4
    assert len(writes) <= 3  # a second call of the sale: adopt is refused, and it takes anew


class Counted(Dynamo):
    """Notes which calls it sends."""

    sent: list[str]

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if not hasattr(self, "sent"):
            self.sent = []
        self.sent.append(method.__name__.title().replace("_", ""))
        return super().send(method, sendings, *args, **request)
