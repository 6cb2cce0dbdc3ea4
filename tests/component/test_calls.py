"""Calls, from their first webhook to what they are worth."""

from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.calls import Settled
from shared.domain.caps import Cap
from shared.domain.models import CallRules, DialRules, Earns, Endpoint, Pays
from shared.flows.settling import settle_due
from tests.build import BUYERS, CALLER, Publisher, Stage, a_buyer, a_pool, an_endpoint
from tests.phone import KEY, Phone, Told

STATIC = "+18005550190"
STRANGER = "+16145550177"


def takes_calls(rules: dict[str, Any] | None = None, **overrides: Any) -> Endpoint:
    return replace(an_endpoint(**overrides), calls=CallRules("main", **(rules or {})))


def sell(publisher: Publisher, **sent: Any) -> str:
    """The number of a sale."""
    sold = publisher.full(caller_id=CALLER, **sent)
    assert sold.code == 200, sold.body
    number: str = sold.body["forwarding_number"]
    return number


def settled_of(phone: Phone) -> Settled:
    assert phone.stored
    assert phone.stored.facts.settled
    return phone.stored.facts.settled


def is_refused(told: Told) -> bool:
    return told.code == 200 and told.verbs in (["Hangup"], ["Reject"])


def test_a_call_reaches_the_buyer_of_its_sale_and_is_paid(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    assert phone.rings().dialed == BUYERS[0].number
    assert phone.talks(95).verbs == ["Hangup"]
    settled = settled_of(phone)
    assert (settled.outcome, settled.buyer_id, settled.seconds, settled.converted) == ("finished", 1, 95, True)
    assert (settled.revenue_cents, settled.payout_cents) == (2500, 2500)


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
def test_the_next_buyer_is_dialed_where_one_is_not_reached(stage: Stage, publisher: Publisher, status: str) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    assert phone.dial_ends(status).dialed == BUYERS[1].number
    phone.talks(10, n=2)
    settled = settled_of(phone)
    assert (settled.buyer_id, settled.revenue_cents) == (2, 2000)


def test_a_call_that_nobody_takes_ends(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.dial_ends("busy")
    assert phone.dial_ends("no-answer", 2).verbs == ["Hangup"]
    assert (settled_of(phone).outcome, settled_of(phone).revenue_cents) == ("no-answer", 0)


def test_the_last_resort_is_dialed_and_not_paid(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls({"last_resort": "+18005550199"}, buyers=BUYERS[:1]))
    phone = Phone(stage, sell(publisher))
    phone.rings()
    assert phone.dial_ends("busy").dialed == "+18005550199"
    phone.talks(300, n=2)
    assert (settled_of(phone).buyer_id, settled_of(phone).revenue_cents) == (0, 0)


def test_who_hangs_up_while_it_rings_is_connected_to_nobody_else(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    assert phone.dial_ends("canceled", CallStatus="completed").verbs == ["Hangup"]
    assert settled_of(phone).outcome == "caller-hung-up-while-ringing-buyer"


def test_a_call_that_is_too_short_is_not_paid(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(conversion_seconds=90),)))
    number = sell(publisher)
    short = Phone(stage, number)
    short.rings()
    short.talks(89)
    assert (settled_of(short).converted, settled_of(short).revenue_cents, settled_of(short).seconds) == (False, 0, 89)


def test_the_publisher_may_earn_by_a_rule_of_its_own(stage: Stage, publisher: Publisher) -> None:
    endpoint = replace(takes_calls(buyers=(a_buyer(pays=Pays("duration", 90)),)), earns=Earns("duration", 30))
    stage.publish(endpoint)
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.talks(60)
    assert (settled_of(phone).converted, settled_of(phone).revenue_cents, settled_of(phone).payout_cents) == (
        False, 0, 2500,
    )  # fmt: skip


def test_of_the_calls_of_a_sale_one_is_paid(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    number = sell(publisher)
    calls = [Phone(stage, number) for _ in range(2)]
    for phone in calls:
        assert phone.rings().dialed == BUYERS[0].number
    for phone in calls:
        phone.talks(60)
    assert [settled_of(phone).revenue_cents for phone in calls] == [2500, 0]


def test_a_repeat_goes_to_the_same_buyer_alone_and_is_not_paid(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(conversion_seconds=90), BUYERS[1])))
    number = sell(publisher)
    first, second = Phone(stage, number), Phone(stage, number)
    first.rings()
    first.talks(30)
    assert second.rings().dialed == BUYERS[0].number
    assert second.stored.call.arrival == "repeat"  # type: ignore[union-attr]
    second.talks(300)
    assert (settled_of(second).converted, settled_of(second).revenue_cents) == (False, 0)


def test_repeats_may_be_refused(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls({"repeat_calls": "reject"}))
    number = sell(publisher)
    first, second = Phone(stage, number), Phone(stage, number)
    first.rings()
    first.talks(30)
    assert is_refused(second.rings())


@pytest.mark.parametrize(("rule", "dialed", "paid"), [("sell", True, 2500), ("unpaid", True, 0), ("reject", False, 0)])
def test_late_calls(stage: Stage, publisher: Publisher, rule: str, dialed: bool, paid: int) -> None:
    stage.publish(takes_calls({"late_calls": rule}))
    phone = Phone(stage, sell(publisher))
    stage.clock.forward(301)
    assert (phone.rings().dialed == BUYERS[0].number) is dialed
    if dialed:
        phone.talks(60)
    assert settled_of(phone).revenue_cents == paid


def test_a_late_call_to_a_number_that_was_sold_again_is_the_later_sales(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(pool=a_pool(1)))
    sell(publisher)
    stage.clock.forward(361)
    sold = publisher.full(caller_id=STRANGER)
    phone = Phone(stage, sold.body["forwarding_number"])
    phone.rings()
    assert phone.stored.call.arrival == "in_time"  # type: ignore[union-attr]
    assert stage.world().pings.read(phone.stored.call.ping_id, stage.clock()).ping.lead.caller == STRANGER  # type: ignore[union-attr]


def test_a_ring_pools_call_may_have_to_come_from_the_leads_caller(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    number = sell(publisher)
    assert Phone(stage, number, STRANGER).rings().dialed
    stage.publish(replace(takes_calls({"caller_must_match": True}), version=2))
    stage.clock.forward(6)
    assert is_refused(Phone(stage, number, STRANGER).rings())
    assert Phone(stage, number).rings().dialed


def test_a_number_of_nobody_is_refused(stage: Stage) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, "+18005550155")
    assert phone.rings().verbs == ["Reject"]
    assert settled_of(phone).outcome == "rejected"


def test_a_pools_number_that_was_never_sold_is_refused(stage: Stage) -> None:
    endpoint = takes_calls()
    stage.publish(endpoint)
    assert is_refused(Phone(stage, endpoint.pool.shards[0].numbers[0]).rings())  # type: ignore[union-attr]


def test_an_endpoint_without_calls_takes_none(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    assert is_refused(Phone(stage, sell(publisher)).rings())


def test_who_is_refused_may_hear_a_sentence(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls({"late_calls": "reject", "say": "We are closed & sorry."}))
    phone = Phone(stage, sell(publisher))
    stage.clock.forward(301)
    told = phone.rings()
    assert told.verbs == ["Say", "Hangup"]
    assert "We are closed &amp; sorry." in told.body


def test_a_chosen_buyer_stays_alone_unless_the_endpoint_says_otherwise(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    offered = publisher.ping(caller_id=CALLER).body["buyers"]
    number = publisher.post(ping_id=offered[0]["ping_id"]).body["forwarding_number"]
    alone = Phone(stage, number)
    alone.rings()
    assert alone.dial_ends("busy").verbs == ["Hangup"]
    stage.publish(replace(takes_calls({"fallback": "try_all"}), version=2))
    stage.clock.forward(6)
    other = Phone(stage, number)
    other.rings()
    assert other.dial_ends("busy").dialed == BUYERS[1].number


def test_all_rules_are_asked_again(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    number = sell(publisher)
    stage.publish(takes_calls(version=2, buyers=(a_buyer(paused=True), BUYERS[1])))
    stage.clock.forward(6)
    assert Phone(stage, number).rings().dialed == BUYERS[1].number


def static_endpoint(rules: dict[str, Any] | None = None, **overrides: Any) -> Endpoint:
    return takes_calls(rules, static_numbers={STATIC: "source-1"}, **overrides)


def test_a_static_numbers_call_is_told_apart_by_its_caller(stage: Stage, publisher: Publisher) -> None:
    stage.publish(static_endpoint({"unannounced": "reject"}))
    pinged = publisher.ping(caller_id=CALLER, trackdrive_number=STATIC)
    posted = publisher.post(ping_id=pinged.body["try_all_buyers_ping_id"], caller_id=CALLER)
    assert posted.code == 200, posted.body
    assert Phone(stage, STATIC).rings().dialed == BUYERS[0].number
    assert is_refused(Phone(stage, STATIC, STRANGER).rings())


@pytest.mark.parametrize("seconds", [10, 200])
def test_a_caller_that_was_only_pinged_is_sold_when_it_calls(stage: Stage, publisher: Publisher, seconds: int) -> None:
    """After 200 seconds the ping is over, and its lead is priced again."""
    stage.publish(
        static_endpoint({"unannounced": "reject"}, buyers=(a_buyer(caps=(Cap("sales", 1, "day"),)), BUYERS[1]))
    )
    publisher.ping(caller_id=CALLER, trackdrive_number=STATIC)
    stage.clock.forward(seconds)
    phone = Phone(stage, STATIC)
    assert phone.rings().dialed == BUYERS[0].number
    phone.talks(60)
    assert (settled_of(phone).revenue_cents, phone.stored.call.arrival) == (2500, "pinged")  # type: ignore[union-attr]
    other = Phone(stage, STATIC, STRANGER)
    publisher.ping(caller_id=STRANGER, trackdrive_number=STATIC)
    assert other.rings().dialed == BUYERS[1].number


def test_an_unannounced_caller_is_sold_when_it_calls(stage: Stage) -> None:
    stage.publish(static_endpoint())
    phone = Phone(stage, STATIC)
    assert phone.rings().dialed == BUYERS[0].number
    phone.talks(60)
    assert phone.stored
    assert (phone.stored.call.arrival, phone.stored.call.source) == ("unannounced", "source-1")
    again = Phone(stage, STATIC)
    assert again.rings().dialed == BUYERS[0].number
    assert again.stored.call.arrival == "repeat"  # type: ignore[union-attr]


@pytest.mark.parametrize("anonymous", ["anonymous", "Restricted", "+266696687", "alice"])
def test_an_anonymous_caller(stage: Stage, publisher: Publisher, anonymous: str) -> None:
    stage.publish(takes_calls())
    told = Phone(stage, sell(publisher), anonymous).rings()
    assert told.dialed == BUYERS[0].number
    stage.publish(replace(takes_calls({"anonymous": "reject"}), version=2))
    stage.clock.forward(6)
    assert is_refused(Phone(stage, sell(publisher), anonymous).rings())


@pytest.mark.parametrize("shown", ["🎺", "+1614555012🎺", "\0", "é"])
def test_a_caller_id_that_no_telephone_shows_dials_nobody(stage: Stage, publisher: Publisher, shown: str) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher), shown)
    assert phone.rings().verbs == ["Hangup"]
    assert phone.stored is None


def test_the_same_webhook_gets_the_same_bytes_and_later_the_state_of_the_call(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    first = phone.rings()
    stage.clock.forward(3)
    assert (phone.rings(), phone.rings("again")) == (first, first)
    second = phone.dial_ends("busy")
    assert (phone.dial_ends("busy"), phone.rings()) == (second, second)
    over = phone.talks(20, n=2)
    assert [phone.dial_ends("busy"), phone.rings(), phone.talks(20, n=2)] == [over] * 3


def test_a_buyer_that_has_to_press_a_key(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(dial=DialRules(say="Press one", press="1")), BUYERS[1])))
    number = sell(publisher)
    phone = Phone(stage, number)
    phone.rings()
    whisper = phone.send("whisper", 1, ParentCallSid=phone.sid, CallSid=f"{phone.sid}-1", CallStatus="in-progress")
    assert whisper.verbs[0] == "Gather"
    assert phone.presses("2").verbs == ["Hangup"]
    assert phone.presses("1").verbs == []
    stage.clock.forward(30)
    assert phone.dial_ends("completed", seconds=30).verbs == ["Hangup"]
    assert settled_of(phone).buyer_id == 1
    declined = Phone(stage, number)
    declined.rings()
    declined.leg_answers()
    declined.dial_ends("completed", seconds=11)
    assert settled_of(declined).outcome == "no-answer"


def test_what_is_missing_is_settled_when_it_is_due(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.leg_answers()
    stage.clock.forward(40)
    phone.ends(45)
    assert phone.stored
    assert phone.stored.facts.settled is None
    assert not settle_due(stage.telephony(), phone.call_id)
    stage.clock.forward(60)
    assert settle_due(stage.telephony(), phone.call_id)
    assert (settled_of(phone).outcome, settled_of(phone).seconds, settled_of(phone).revenue_cents) == (
        "finished", 40, 2500,
    )  # fmt: skip


def test_a_call_without_an_end_is_settled_at_last(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(conversion_seconds=90),)))
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.leg_answers()
    stage.clock.forward(3600)
    assert not settle_due(stage.telephony(), phone.call_id)
    stage.clock.forward(25 + 120)
    assert settle_due(stage.telephony(), phone.call_id)
    assert (settled_of(phone).outcome, settled_of(phone).converted) == ("finished", False)


def test_events_of_a_call_that_never_arrived_end_it(stage: Stage) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, STATIC)
    told = [phone.leg_answers(), phone.presses("1"), phone.dial_ends("busy"), phone.ends(3)]
    assert [each.verbs for each in told] == [["Hangup"]] * 4
    assert phone.stored is None


@pytest.mark.parametrize("seconds", ["-1", "1000000000", "NaN", "1e3", "²"])
def test_impossible_seconds_are_not_read(stage: Stage, publisher: Publisher, seconds: str) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    assert is_refused(phone.send("dial", 1, DialCallStatus="completed", DialCallSid="CAx", DialCallDuration=seconds))
    assert phone.stored
    assert phone.stored.facts.ended == {}


def test_what_is_not_signed_by_the_account_is_refused(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    form = {"From": CALLER, "To": phone.number}
    told = [
        phone.send_form("voice", 0, {"AccountSid": "AC1", "CallSid": phone.sid} | form, "another key"),
        phone.send_form("voice", 0, {"AccountSid": "AC2", "CallSid": phone.sid} | form),
        phone.send_form("voice", 0, form, headers={}),
    ]
    assert [each.code for each in told] == [403] * 3
    assert phone.stored is None


def test_strange_requests(stage: Stage) -> None:
    phone = Phone(stage, STATIC)
    form = {"AccountSid": "AC1"}
    get = {"domainName": "calls.example", "http": {"method": "GET"}}
    codes = [
        phone.send_form("voice", 0, form, rawPath="/calls/main/elsewhere").code,
        phone.send_form("voice", 0, form, rawPath="/calls/nobody/voice").code,
        phone.send_form("voice", 0, form, requestContext=get).code,
        phone.send_form("voice", 0, form, body="a" * 1_000_000).code,
    ]
    assert codes == [404, 404, 405, 413]
    assert KEY not in str(codes)
