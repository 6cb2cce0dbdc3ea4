"""What the streams of pings and calls bring about: rows, marks, the timetable; and that erasing covers calls."""

from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.calls import WAIT_SECONDS, Settled
from shared.domain.caps import Cap
from shared.domain.keys import caller_hash
from shared.domain.models import DAY, Endpoint, Pays
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.due import Done
from shared.journal.files import LATE_SECONDS
from shared.journal.follow_up import WAIT_SECONDS as SALE_SECONDS
from shared.journal.rows import Dialed, Kind, Row
from shared.journal.timetable import KEPT_SECONDS, MINUTE, Due, Timetable
from shared.operators import erasing
from shared.operators.erasing import SETTLED_SECONDS
from shared.store.dynamo import Dynamo, Item
from tests.build import BUYERS, CALLER, KEYS, START, Publisher, Stage, a_buyer, an_endpoint, rows_of
from tests.component.test_calls import STATIC, STRANGER, sell, static_endpoint, takes_calls
from tests.component.test_erasing import close, traces
from tests.phone import Phone

HOLD = 300


@pytest.fixture
def stage(fast_stage: Stage) -> Stage:
    """An engine that reads conditions as DynamoDB does."""
    return fast_stage


DAILY = (Cap("sales", 9, "day"), Cap("connected", 9, "day"), Cap("revenue", 90_000, "day"), Cap("concurrent", 3))
RECORDING = "https://recordings.example/RE1"


def rows(stage: Stage, *kinds: Kind) -> list[Row]:
    return [row for row in rows_of(stage.bring_stream()) if row.kind in kinds]


def item_of_ping(stage: Stage) -> Item:
    """Of the only ping."""
    found = stage.client.scan(TableName=stage.settings.pings_table)["Items"]
    [item] = [item for item in found if "ping" in item]
    return item


def item_of_call(stage: Stage, phone: Phone) -> Item:
    return stage.client.get_item(TableName=stage.settings.calls_table, Key={"call_id": {"B": phone.call_id}})["Item"]


def counts(stage: Stage, buyer_id: int = 1) -> dict[str, int]:
    """What is counted of a buyer, by kind, and how many places are taken."""
    key = {"pk": {"S": f"B{buyer_id}"}, "sk": {"S": "CAPS"}}
    item = stage.client.get_item(TableName=stage.settings.leases_table, Key=key)["Item"]
    periods = {name.partition("-")[0]: int(value["N"]) for name, value in item.items() if "-" in name}
    held = sum("B" in value for value in item["held"]["M"].values())
    return {name: count for name, count in periods.items() if count} | ({"held": held} if held else {})


PAYS_FOR_SALES, PAYS_FOR_CALLS = (takes_calls(buyers=(a_buyer(pays=Pays(on)),)) for on in ("sale", "answered"))


@pytest.mark.parametrize(
    ("first", "then"),
    [(an_endpoint(), PAYS_FOR_CALLS), (PAYS_FOR_SALES, PAYS_FOR_CALLS), (PAYS_FOR_CALLS, PAYS_FOR_SALES)],
    ids=["calls are taken from now on", "no longer for sales", "for sales from now on"],
)
def test_a_change_of_what_is_paid_for_pays_no_sale_twice_and_none_never(
    stage: Stage, publisher: Publisher, first: Endpoint, then: Endpoint
) -> None:
    stage.publish(first)
    number = sell(publisher)
    stage.publish(replace(then, version=2))
    stage.clock.forward(6)
    phone = Phone(stage, number)
    assert phone.rings().dialed == BUYERS[0].number
    phone.talks(95)
    found = rows(stage, "sale", "call")
    assert sum(row.revenue_cents for row in found) == sum(row.payout_cents for row in found) == 2500


def test_a_call_is_two_rows_and_marks_its_ping(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    number = sell(publisher, traffic_source_id="source-1")
    stage.clock.forward(20)
    phone = Phone(stage, number)
    phone.rings()
    phone.dial_ends("busy")
    stage.clock.forward(5)
    phone.talks(95, n=2)
    arrived, call = sorted(rows(stage, "arrived", "call"), key=lambda row: row.at)
    ping = item_of_ping(stage)
    of_both = {
        "call": phone.call_id.hex(),
        "ping": ping["ping_id"]["B"].hex(),
        "endpoint": "my_endpoint",
        "offer": "auto-insurance",
        "source": "source-1",
        "number": f"+{number}",
        "version": 1,
        "area_code": "614",
        "caller": caller_hash(KEYS, CALLER)[:8].hex(),
        "provider": "main",
        "sold_at": START,
        "arrived_at": START + 20,
        "arrival": "in_time",
    }
    assert arrived == Row(
        event=arrived.event,
        at=START + 20,
        kind="arrived",
        status="initiated",
        dialed=(Dialed(1, START + 20),),
        **of_both,
    )
    assert call == Row(
        event=call.event,
        at=START + 120,
        kind="call",
        buyer=2,
        status="finished",
        dialed=(Dialed(1, START + 20, "busy"), Dialed(2, START + 20, "completed", 95)),
        connected_at=START + 25,
        seconds=95,
        converted=1,
        revenue_cents=2000,
        payout_cents=2000,
        **of_both,
    )
    assert ping["called"] == ping["connected"] == ping["converted"] == {"B": phone.call_id}
    assert rows(stage, "sale")[0].revenue_cents == 0


@pytest.mark.parametrize(("pays", "of_sale", "of_call"), [("sale", 2500, 0), ("answered", 0, 2500)])
def test_what_is_owed_is_in_one_row(stage: Stage, publisher: Publisher, pays: Any, of_sale: int, of_call: int) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(pays=Pays(pays)),)))
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.talks(10)
    amounts = {row.kind: (row.revenue_cents, row.payout_cents) for row in rows(stage, "sale", "call")}
    assert amounts == {"sale": (of_sale, of_sale), "call": (of_call, of_call)}


def test_an_unannounced_and_a_refused_call_are_in_the_journal(stage: Stage) -> None:
    stage.publish(static_endpoint({"anonymous": "reject"}))
    Phone(stage, STATIC, "anonymous").rings()
    Phone(stage, STATIC, STRANGER).rings()
    found = rows(stage, "arrived")
    assert [row.ping for row in found if not row.caller] == [""]
    assert [(row.source, row.area_code, row.ping != "") for row in found if row.caller] == [("source-1", "614", True)]
    [refused] = rows(stage, "call")
    assert (refused.status, refused.revenue_cents, refused.connected_at) == ("rejected", 0, 0)


def test_a_call_whose_end_is_lost_is_settled_by_the_minute(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.leg_answers()
    stage.clock.forward(40)
    phone.ends(45)
    assert not stage.do_due(WAIT_SECONDS - 1).looked_at
    assert stage.do_due(3 * MINUTE) == Done(1, [])
    [call] = rows(stage, "call")
    assert (call.status, call.seconds, call.revenue_cents) == ("finished", 40, 2500)
    assert not stage.do_due(MINUTE).looked_at
    assert stage.do_due(HOLD) == Done(1, [])  # the sale, which was called


def test_a_call_without_any_end_is_settled_at_last(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.leg_answers()
    stage.do_due(3600)
    assert rows(stage, "call") == []
    stage.do_due(25 + 120 + 2 * MINUTE)
    assert [row.status for row in rows(stage, "call")] == ["finished"]


def test_a_sale_without_a_call_is_shown_and_gives_back(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(caps=DAILY),)))
    sell(publisher)
    assert counts(stage) == {"sales": 1, "connected": 1, "revenue": 2500, "held": 1}
    assert stage.do_due(HOLD + SALE_SECONDS - 1) == Done(0, [])
    assert "never_called" not in item_of_ping(stage)
    assert stage.do_due(MINUTE) == Done(1, [])
    [row] = rows(stage, "never_called")
    assert (row.buyer, row.revenue_cents, row.sold_at, row.ping != "") == (1, 0, START, True)
    assert row.at == int(item_of_ping(stage)["never_called"]["N"]) >= START + HOLD + SALE_SECONDS
    assert counts(stage) == {"sales": 1}
    assert stage.do_due(5 * MINUTE) == Done(0, [])
    assert len(rows(stage, "never_called")) == 1


def test_a_sale_that_is_paid_as_a_sale_keeps_its_revenue_without_a_call(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(caps=DAILY, pays=Pays("sale")),)))
    sell(publisher)
    stage.do_due(HOLD + SALE_SECONDS + MINUTE)
    assert counts(stage) == {"sales": 1, "revenue": 2500}


def test_a_sale_that_was_called_is_not_called_never(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(caps=DAILY),)))
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.talks(10)
    stage.do_due(2 * HOLD)
    assert rows(stage, "never_called") == []
    assert counts(stage) == {"sales": 1, "connected": 1, "revenue": 2500}


def test_a_superseded_sale_gives_back_and_is_not_called_never(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(caps=DAILY),)))
    sell(publisher)
    stage.client.update_item(
        TableName=stage.settings.pings_table,
        Key={"ping_id": item_of_ping(stage)["ping_id"]},
        UpdateExpression="SET superseded_by = :other",
        ExpressionAttributeValues={":other": {"B": bytes(12)}},
    )
    stage.do_due(HOLD + SALE_SECONDS + MINUTE)
    assert rows(stage, "never_called") == []
    assert counts(stage) == {"sales": 1}


def test_sales_of_an_endpoint_without_calls_are_never_due(stage: Stage, publisher: Publisher) -> None:
    stage.publish(replace(takes_calls(), calls=None))
    sell(publisher)
    assert stage.do_due(2 * HOLD) == Done(0, [])
    assert (
        stage.client.scan(
            TableName=stage.settings.journal_table,
            FilterExpression="begins_with(pk, :due)",
            ExpressionAttributeValues={":due": {"S": "DUE#"}},
        )["Items"]
        == []
    )


@pytest.mark.parametrize("taken", [True, False], ids=["switched on", "switched off"])
def test_a_sale_goes_by_the_version_that_its_post_met(stage: Stage, publisher: Publisher, taken: bool) -> None:
    """Between PING and POST the endpoint begins to take calls, or ends it."""
    with_calls = takes_calls(buyers=(a_buyer(caps=DAILY),))
    without = replace(with_calls, calls=None)
    stage.publish(without if taken else with_calls)
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    stage.publish(replace(with_calls if taken else without, version=2))
    stage.clock.forward(6)
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["success"]
    [sale] = rows(stage, "sale")
    assert sale.revenue_cents == (0 if taken else 2500)
    assert stage.do_due(2 * HOLD) == Done(1 if taken else 0, [])
    assert ("never_called" in item_of_ping(stage)) == taken


def test_what_a_request_has_settled_and_not_given_is_given(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls(buyers=(a_buyer(caps=DAILY), BUYERS[1])))
    phone = Phone(stage, sell(publisher))
    phone.rings()
    stage.bring_stream()
    telephony = stage.telephony()
    assert phone.stored
    calls, call_id = telephony.calls, phone.call_id
    calls.note_connected(call_id, 1, stage.clock())
    stored = calls.look(call_id)
    assert stored
    calls.settle(call_id, stored.facts, Settled(at=stage.clock(), outcome="finished", buyer_id=1, seconds=3))
    assert counts(stage)["held"] == 1
    stage.bring_stream()
    assert counts(stage) == {"sales": 1, "connected": 1}
    assert item_of_ping(stage)["connected"] == {"B": call_id}


def test_every_minute_that_was_missed_is_made_up_for(stage: Stage) -> None:
    timetable = Timetable(Dynamo(stage.client, stage.settings), stage.clock, set())
    for no, seconds in enumerate((-5, 0, 150, 900, 1000)):
        timetable.enter([Due("calls", bytes([no] * 12), START + seconds)])
    assert [*timetable.minutes()] == []
    stage.clock.forward(960)
    found = {
        minute - START: {call_id[0] for entry in timetable.entries(minute) for call_id in entry.calls}
        for minute in timetable.minutes()
    }
    assert {minute: ids for minute, ids in found.items() if ids} == {120: {0, 1}, 180: {2}, 900: {3}}
    assert [*found] == [*range(60, 961, 60)]


def test_nothing_is_entered_in_a_minute_that_may_be_done(stage: Stage) -> None:
    stage.clock.forward(59)
    timetable = Timetable(Dynamo(stage.client, stage.settings), stage.clock, set())
    timetable.enter([Due("sales", bytes(12), stage.clock())])
    stage.clock.forward(1)
    [minute] = timetable.minutes()
    assert [*timetable.entries(minute)] == []
    stage.clock.forward(MINUTE)
    timetable.note_finished(minute)
    [minute] = timetable.minutes()
    assert [entry.sales for entry in timetable.entries(minute)] == [frozenset([bytes(12)])]
    timetable.note_finished(minute - MINUTE)
    timetable.note_finished(minute)
    timetable.note_finished(minute - MINUTE)
    assert [*timetable.minutes()] == []


def test_what_fails_is_tried_again_and_stops_no_other(stage: Stage) -> None:
    work = stage.due_work()
    good, bad = b"call of good", b"call of evil"
    for call_id in (good, bad):
        stage.client.put_item(TableName=stage.settings.calls_table, Item={"call_id": {"B": call_id}})
    settled: list[bytes] = []

    def settle(call_id: bytes) -> None:
        settled.append(call_id)
        if call_id == bad:
            raise TemporarilyUnavailable

    work.settle_call = settle
    work.timetable.enter(Due("calls", call_id, stage.clock()) for call_id in (good, bad))
    stage.clock.forward(2 * MINUTE)
    done = work.do_all()
    assert (done.looked_at, [(each.id, each.fault) for each in done.failures]) == (
        2, [(bad.hex(), "TemporarilyUnavailable")],
    )  # fmt: skip
    assert sorted(settled) == sorted([good, bad])
    stage.clock.forward(2 * MINUTE)
    assert len(work.do_all().failures) == 1
    assert settled.count(bad) == 2


def test_what_fails_for_three_days_is_left(stage: Stage) -> None:
    work = stage.due_work()
    stage.client.put_item(TableName=stage.settings.calls_table, Item={"call_id": {"B": bytes(12)}})

    def fail(_: bytes) -> None:
        raise TemporarilyUnavailable

    work.settle_call = fail
    work.timetable.enter([Due("calls", bytes(12), stage.clock())], since=stage.clock() + 5 * MINUTE - KEPT_SECONDS)
    for failures in (1, 1, 1, 0):
        stage.clock.forward(2 * MINUTE)
        assert len(work.do_all().failures) == failures


def recorded_call(stage: Stage, number: str, caller: str = CALLER) -> Phone:
    phone = Phone(stage, number, caller)
    phone.rings()
    phone.talks(30)
    stage.telephony().calls.note_recording(phone.call_id, 1, RECORDING)
    return phone


def test_nothing_is_left_of_a_caller_that_has_called(stage: Stage, publisher: Publisher) -> None:
    """Its calls are in a day's file, in an hour's, and in pages; one of them came from somebody else's number."""
    stage.publish(takes_calls())
    phones: list[Phone] = []
    for seconds in (DAY, 3600 + LATE_SECONDS, 0):
        number = sell(publisher)
        stage.clock.forward(1)
        phones += [recorded_call(stage, number), recorded_call(stage, number, STRANGER)]
        stage.bring_stream()
        stage.clock.forward(seconds + LATE_SECONDS)
        close(stage)
    facts = sorted((row.kind, row.status, row.call) for row in rows(stage, "arrived", "call"))
    assert {"calls", "days", "hours", "journal"} <= {*traces(stage)}

    erased = stage.erase(CALLER)
    assert (erased.pings, erased.calls, erased.running) == (3, 6, 0)
    assert traces(stage) == []
    for phone in phones:
        item = item_of_call(stage, phone)
        assert {"recording1", "caller"}.isdisjoint(item)
        assert phone.stored
        assert (phone.stored.call.caller, phone.stored.facts.settled is not None) == ("", True)
    assert sorted((row.kind, row.status, row.call) for row in rows(stage, "arrived", "call")) == facts
    stage.telephony().calls.note_recording(phones[0].call_id, 2, RECORDING)
    assert "recording2" not in item_of_call(stage, phones[0])


def test_who_calls_for_another_ones_ping_is_erased_without_it(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = recorded_call(stage, sell(publisher), STRANGER)
    erased = stage.erase(STRANGER)
    assert (erased.pings, erased.calls) == (0, 1)
    assert phone.stored
    assert phone.stored.call.caller == ""
    assert {row.caller for row in rows(stage, "arrived", "call")} == {""}
    assert rows(stage, "ping")[0].caller == caller_hash(KEYS, CALLER)[:8].hex()


def test_a_call_that_goes_on_is_erased_when_it_is_settled(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    phone = Phone(stage, sell(publisher))
    phone.rings()
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    assert (begun.erased.calls, begun.erased.running) == (0, 1)
    for _ in range(4):
        stage.clock.forward(SETTLED_SECONDS)
        begun = stage.finishing().go_on(begun)
    assert not begun.erased.finished_at
    phone.talks(30)
    assert stage.finish(begun).calls == 1
    assert traces(stage) == []


def test_a_ping_is_erased_with_its_calls(stage: Stage, publisher: Publisher) -> None:
    stage.publish(takes_calls())
    number = sell(publisher)
    phone = recorded_call(stage, number)
    ping = item_of_ping(stage)["ping_id"]["B"].hex()
    assert (erasing.Erasing(stage.finishing().erasing.records, stage.open_files()).preview_ping(ping, "x").calls) == 1
    stage.finish(stage.finishing().erasing.erase_ping(ping, "somebody"))
    assert phone.stored
    assert phone.stored.call.caller == ""
    assert {row.caller for row in rows(stage, "arrived", "call", "ping", "sale")} == {""}
