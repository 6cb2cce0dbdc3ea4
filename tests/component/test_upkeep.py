"""Callers are erased, leads go when their time has come, caps that a crash left too high are lowered."""

import time
from typing import Any

import pytest

from functions.hourly.handler import lambda_handler
from shared import configuration, flows
from shared.domain import caps
from shared.domain.caps import Cap
from shared.domain.keys import read_ping_id
from shared.domain.models import DAY, Endpoint
from shared.domain.schedule import local_time
from shared.publishers.requests import Request
from shared.store.claiming import Claiming
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.erasing import SETTLED_SECONDS, Erased, Erasing
from shared.store.journal import Journal
from shared.store.records import Records
from shared.store.repair import QUIET_SECONDS, Repair, Repaired, Upkeep, upkeep
from tests.build import CALLER, KEYS, SETTINGS, START, Counting, InTurn, Publisher, Stage, a_buyer, a_pool, an_endpoint
from tests.component.conftest import Command
from tests.configurations import a_document

OTHER = "+16145550124"
STATIC = "+18005550170"


@pytest.fixture
def erasing(stage: Stage) -> Erasing:
    dynamo = Dynamo(stage.client, SETTINGS)
    return Erasing(dynamo, KEYS, stage.clock, lambda: stage.clock.forward(1))


@pytest.fixture
def journal(stage: Stage) -> Journal:
    return Journal(Dynamo(stage.client, SETTINGS), KEYS, InTurn())


def everything(stage: Stage) -> str:
    """Whatever is stored, unpacked as far as it can be."""
    found = repr([stage.contents(), stage.contents(stage.settings.of_sandbox())])
    items = [
        (world.pings, item)
        for world in (stage.world(), stage.world().of_sandbox())
        for item in stage.client.scan(TableName=world.pings.table)["Items"]
    ]
    for pings, item in items:
        claim = pings.read(item["ping_id"]["B"], START) if "ping" in item else None
        if claim and claim.ping:
            found += repr({**claim.ping.lead}) + repr(claim.ping.facts)
        if claim and claim.sale:
            found += repr({**claim.sale.posted}) + repr(claim.sale.answer)
    return found


# Erasing


def test_a_caller_is_erased_everywhere_and_its_sales_stay(
    stage: Stage, publisher: Publisher, erasing: Erasing, journal: Journal
) -> None:
    stage.publish(
        an_endpoint(duplicate_seconds=DAY),
        an_endpoint(vanity_uri="static", static_numbers={STATIC: "1023"}),
    )
    ping_id = publisher.ping(email="lead@example.com").body["try_all_buyers_ping_id"]
    sale = {"ping_id": ping_id, "caller_id": CALLER, "email": "lead@example.com"}
    assert publisher.post(**sale).body["success"]
    publisher.ping(caller_id=OTHER)
    static_id = publisher.ping("static", caller_id=CALLER, trackdrive_number=STATIC).body["try_all_buyers_ping_id"]
    publisher.post("static", ping_id=static_id, caller_id=CALLER, trackdrive_number=STATIC)
    open_id = publisher.ping("static", caller_id=CALLER, trackdrive_number=STATIC).body["try_all_buyers_ping_id"]
    assert CALLER in everything(stage)
    assert stage.route(STATIC)

    erased = erasing.erase(CALLER, "somebody", wait=True)

    assert (erased.pings, erased.sales, erased.being_sold, erased.settled) == (3, 2, 0, True)
    left = everything(stage)
    assert CALLER not in left
    assert "example.com" not in left
    assert OTHER in left
    assert stage.route(STATIC) is None
    assert stage.client.scan(TableName="callers")["Items"] == []
    assert journal.of_caller(CALLER, stage.clock()).rows == []
    assert [row.cents for row in journal.sales_of(1, START, START + DAY, stage.clock()).rows] == [2500, 2500]
    opened = journal.opened(ping_id, stage.clock())
    assert opened
    assert (opened.row.buyer_id, opened.lead, opened.answer) == (1, {}, "")
    assert publisher.post(**sale).body["status"] == "ping_id_used"
    assert publisher.post("static", ping_id=open_id, caller_id=CALLER, trackdrive_number=STATIC).body["status"] == (
        "ping_id_used"
    )
    assert erasing.erasures() == [
        Erased(at=START, by="somebody", caller=erased.caller, pings=3, sales=2, being_sold=0, settled=True)
    ]
    assert erasing.erase(CALLER, "somebody", wait=False).pings == 0


def test_a_lead_that_was_sold_without_a_ping_id_is_erased_with_its_retries(
    stage: Stage, publisher: Publisher, erasing: Erasing
) -> None:
    stage.publish(an_endpoint())
    for verb in ("post", "full"):
        assert publisher.send(verb, json_body={"caller_id": CALLER}).body["success"]
    assert erasing.erase(CALLER, "somebody", wait=False).sales == 2
    for verb in ("post", "full"):
        assert publisher.send(verb, json_body={"caller_id": CALLER}).body["status"] == "ping_id_used"
    stage.clock.forward(300)
    assert publisher.full(caller_id=CALLER).body["success"]


def test_an_erased_lead_that_was_not_sold_may_be_sent_again(
    stage: Stage, publisher: Publisher, erasing: Erasing
) -> None:
    stage.publish(an_endpoint(pool=a_pool(1)))
    publisher.full(caller_id=OTHER)
    assert publisher.full(caller_id=CALLER).body["status"] == "no_number_available"
    assert erasing.erase(CALLER, "somebody", wait=False).pings == 1
    stage.clock.forward(360)
    assert publisher.full(caller_id=CALLER).body["success"]


def test_a_lead_that_nobody_wanted_is_erased(stage: Stage, publisher: Publisher, erasing: Erasing) -> None:
    stage.publish(an_endpoint(buyers=()))
    publisher.full(caller_id=CALLER)
    assert erasing.erase(CALLER, "somebody", wait=False).pings == 1
    [stored] = stage.contents()["pings"]
    assert "caller" not in stored


def test_a_ping_that_is_being_sold_is_waited_for(stage: Stage, publisher: Publisher, erasing: Erasing) -> None:
    stage.publish(an_endpoint())
    publisher.ping(caller_id=CALLER)
    [item] = stage.client.scan(TableName="pings")["Items"]
    stage.world().pings.claim(item["ping_id"]["B"], b"attempt", a_pool().terms, START)
    assert erasing.erase(CALLER, "somebody", wait=False).being_sold == 1
    erased = erasing.erase(CALLER, "somebody", wait=True)
    assert (erased.pings, erased.being_sold) == (1, 0)
    assert stage.clock() <= START + SETTLED_SECONDS + 2


def test_a_sandbox_forgets_a_caller_too(stage: Stage, erasing: Erasing) -> None:
    stage.publish(an_endpoint())
    world = stage.world().of_sandbox()
    endpoint = world.endpoint("my_endpoint")
    flows.full(world, endpoint, Request("POST", endpoint.vanity_uri, {"caller_id": CALLER}, [], ""))
    assert erasing.erase(CALLER, "somebody", wait=False).sales == 1
    assert CALLER not in everything(stage)


def test_a_refused_post_leaves_its_caller_so_that_erasing_finds_the_lead_of_the_ping(
    stage: Stage, publisher: Publisher, erasing: Erasing
) -> None:
    stage.publish(an_endpoint())
    ping_id = publisher.ping(email="lead@example.com").body["try_all_buyers_ping_id"]
    stage.publish(an_endpoint(version=2, buyers=()))
    stage.clock.forward(10)
    calls = Counting(stage.client, SETTINGS)
    refused = publisher.send("post", world=stage.world_over(calls), json_body={"ping_id": ping_id, "caller_id": CALLER})
    assert refused.body["status"] == "no_matching_buyer"
    assert calls.calls == 5  # pointer and body, claim beside a look, and giving it back
    assert erasing.preview(CALLER, "somebody").pings == 1
    assert erasing.erase(CALLER, "somebody", wait=False).pings == 1
    assert "lead@example.com" not in everything(stage)


def test_a_refused_post_of_another_caller_does_not_hide_the_pings_own(
    stage: Stage, publisher: Publisher, erasing: Erasing
) -> None:
    stage.publish(an_endpoint())
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    stage.publish(an_endpoint(version=2, buyers=()))
    stage.clock.forward(10)
    assert publisher.post(ping_id=ping_id, caller_id=OTHER).body["status"] == "no_matching_buyer"
    assert erasing.erase(CALLER, "somebody", wait=False).pings == 1


def test_a_dry_run_says_what_would_be_erased_and_changes_nothing(
    stage: Stage, publisher: Publisher, erasing: Erasing, command: Command
) -> None:
    stage.publish(an_endpoint(duplicate_seconds=1))
    sold = publisher.full(caller_id=CALLER).body["try_all_buyers_ping_id"]
    stage.clock.forward(10)
    publisher.ping(caller_id=CALLER)
    before = stage.contents()
    found = erasing.preview(CALLER, "somebody")
    said = command("erase", CALLER, "--dry-run").stdout
    of_ping = command("erase", sold, "--dry-run").stdout
    assert (found.pings, found.sales, found.marks, found.being_sold) == (2, 1, True, 0)
    assert said.startswith("It would erase the leads of 2 pings, 1 of them sold. The marks of its sales")
    assert of_ping == "It would erase the leads of 1 ping, 1 of them sold. Nothing is changed.\n"
    assert stage.contents() == before
    assert erasing.erasures() == []


def test_one_ping_is_erased_by_any_of_its_ids(
    stage: Stage, publisher: Publisher, erasing: Erasing, command: Command
) -> None:
    stage.publish(an_endpoint(static_numbers={STATIC: "1023"}))
    sent = {"caller_id": CALLER, "trackdrive_number": STATIC}
    body = publisher.ping(**sent).body
    raw = read_ping_id(KEYS, "my_endpoint", body["try_all_buyers_ping_id"])
    assert raw
    for ping_id in (body["buyers"][0]["ping_id"], raw[0].hex()):
        assert stage.route(STATIC) or ping_id == raw[0].hex()
        assert command("erase", ping_id, "--yes").stdout == "Erased: the lead of one ping.\n"
        assert stage.route(STATIC) is None
    assert CALLER not in everything(stage)
    assert [(each.ping, each.pings, each.sales) for each in erasing.erasures()] == [(raw[0].hex(), 1, 0)]
    forged = body["try_all_buyers_ping_id"][:-1] + "_"
    assert "There is no ping" in command("erase", forged, "--yes").stderr
    assert f"ping {raw[0].hex()}" in command("erasures").stdout


# Retention


def test_the_configuration_says_how_long_leads_and_sales_are_kept() -> None:
    document = a_document(account={"retention": {"lead_days": 7, "sale_days": 400}})
    wanted = configuration.read(document)
    parts = configuration.records_of(wanted)
    assert parts["account", "account"] == {"retention": {"lead_days": 7, "sale_days": 400}}
    assert configuration.from_records(parts) == wanted
    with pytest.raises(configuration.InvalidConfiguration, match="at least `lead_days`"):
        configuration.read(a_document(account={"retention": {"lead_days": 400}}))


def test_the_lead_of_a_sale_goes_when_its_time_has_come_and_the_sale_stays(
    stage: Stage, publisher: Publisher, erasing: Erasing, journal: Journal
) -> None:
    stage.publish(an_endpoint(lead_seconds=10 * DAY, sale_seconds=60 * DAY))
    first = publisher.full(caller_id=CALLER).body["try_all_buyers_ping_id"]
    stage.clock.forward(2 * DAY)
    publisher.full(caller_id=OTHER)
    assert erasing.sweep(10 * DAY, 60 * DAY) == 0
    stage.clock.forward(8 * DAY)
    assert erasing.sweep(10 * DAY, 60 * DAY) == 1
    left = everything(stage)
    assert CALLER not in left
    assert OTHER in left
    opened = journal.opened(first, stage.clock())
    assert opened
    assert (opened.row.buyer_id, opened.row.cents) == (1, 2500)
    assert erasing.sweep(10 * DAY, 60 * DAY) == 0
    stage.clock.forward(2 * DAY)
    assert erasing.sweep(10 * DAY, 60 * DAY) == 1
    items = stage.client.scan(TableName="pings", FilterExpression="attribute_exists(sale)")["Items"]
    assert {int(item["delete_at"]["N"]) - int(item["sold_at"]["N"]) for item in items} == {60 * DAY}


# The repair


def capped(**overrides: Any) -> Endpoint:
    limits = (
        Cap("sales", 5, "hour"),
        Cap("sales", 50, "day"),
        Cap("revenue", 100_000, "month"),
        Cap("sales", 9, "total", "my_endpoint"),
    )
    return an_endpoint(buyers=(a_buyer(caps=limits),), **overrides)


def left_by_a_crash(stage: Stage, endpoint: Endpoint, times: int = 1) -> None:
    """Sales that were counted and never recorded."""
    [buyer] = endpoint.buyers
    for _ in range(times):
        now = stage.clock()
        assert Counters(Dynamo(stage.client, SETTINGS), {}).take(
            buyer.id, buyer.caps, local_time(buyer.zone, now), 2500, stage.random_bytes(12), b"dead", now + 60, now
        )


def counts(stage: Stage) -> list[int]:
    stored = Counters(Dynamo(stage.client, SETTINGS), {}).counts(items(*capped().buyers), stage.clock())[1]
    return [stored[caps.key(cap, local_time("UTC", stage.clock()))] for cap in capped().buyers[0].caps]


def test_counts_that_a_crash_left_too_high_are_lowered_to_what_was_sold(stage: Stage, publisher: Publisher) -> None:
    endpoint = capped()
    stage.publish(endpoint)
    for caller in (CALLER, OTHER):
        assert publisher.full(caller_id=caller).body["success"]
    left_by_a_crash(stage, endpoint, 3)
    assert counts(stage) == [5, 5, 12500, 5]
    dynamo = Counting(stage.client, SETTINGS)
    assert Repair(dynamo, stage.clock).repair([endpoint]) == []  # it is too early to tell
    assert dynamo.calls == 1
    stage.clock.forward(QUIET_SECONDS)
    repaired = Repair(dynamo, stage.clock).repair([endpoint])
    assert dynamo.calls == 1 + 1 + 2 * 2
    assert sorted((each.was, each.now) for each in repaired) == [(5, 2), (5, 2), (5, 2), (12500, 5000)]
    assert counts(stage) == [2, 2, 5000, 2]
    assert Repair(dynamo, stage.clock).repair([endpoint]) == []


def test_a_sale_that_is_counted_meanwhile_leaves_everything_as_it_is(stage: Stage) -> None:
    endpoint = capped()
    stage.publish(endpoint)
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    repair = Repair(Dynamo(stage.client, SETTINGS), stage.clock)
    sold_to = repair.ping_log.sold_to

    def meanwhile(*arguments: Any) -> Any:
        found = sold_to(*arguments)
        left_by_a_crash(stage, endpoint)
        return found

    repair.ping_log.sold_to = meanwhile  # type: ignore[assignment, method-assign]
    assert repair.repair([endpoint]) == []
    assert counts(stage) == [3, 3, 7500, 3]


def test_a_total_is_left_alone_once_its_first_sales_may_be_gone(stage: Stage) -> None:
    endpoint = capped(sale_seconds=40 * DAY)
    stage.publish(endpoint)
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(39 * DAY)
    assert Repair(Dynamo(stage.client, SETTINGS), stage.clock).repair([endpoint]) == []
    stage.clock.now -= DAY
    assert Repair(Dynamo(stage.client, SETTINGS), stage.clock).repair([endpoint]) == [
        Repaired(1, "sales-total-0@my_endpoint", 1, 0)
    ]


def test_revenue_is_compared_by_what_was_bid(stage: Stage, publisher: Publisher) -> None:
    """A live buyer may pay more than its bid, which is what its cap has counted."""
    endpoint = capped()
    stage.publish(endpoint)
    publisher.full(caller_id=CALLER)
    [item] = stage.client.scan(TableName="pings", FilterExpression="attribute_exists(buyer)")["Items"]
    stage.client.update_item(
        TableName="pings",
        Key={"ping_id": item["ping_id"]},
        UpdateExpression="SET cents = :paid, counted = :bid",
        ExpressionAttributeValues={":paid": {"N": "9900"}, ":bid": {"N": "2500"}},
    )
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    Repair(Dynamo(stage.client, SETTINGS), stage.clock).repair([endpoint])
    assert counts(stage) == [1, 1, 2500, 1]


def test_what_is_due_every_hour_goes_by_the_live_configuration(stage: Stage, erasing: Erasing) -> None:
    repair = Repair(Dynamo(stage.client, SETTINGS), stage.clock)
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    assert upkeep(repair, erasing, records) == Upkeep([], 0, 0)
    records.applying.apply(configuration.read(a_document()), "somebody")
    assert [endpoint.vanity_uri for endpoint in repair.endpoints()] == ["my_endpoint"]
    assert upkeep(repair, erasing, records) == Upkeep([], 0, 0)


def test_numbers_that_an_apply_gave_up_and_did_not_free_are_freed(
    stage: Stage, erasing: Erasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    records.applying.apply(configuration.read(a_document()), "somebody")
    with monkeypatch.context() as dying:
        dying.setattr(Claiming, "free", lambda *_: None)
        records.applying.apply(configuration.read(a_document(ring_pools=[], endpoints=[])), "somebody")
    repair = Repair(Dynamo(stage.client, SETTINGS), stage.clock)
    assert [upkeep(repair, erasing, records).freed for _ in range(2)] == [8, 0]
    owner = stage.client.get_item(TableName="config", Key={"pk": {"S": "NUMBER#+18005550100"}, "sk": {"S": "OWNER"}})[
        "Item"
    ]
    assert "free_at" in owner


# The command


@pytest.fixture
def command(command: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """By the stage's clock."""
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    monkeypatch.setattr(time, "sleep", lambda seconds: stage.clock.forward(seconds))
    return command


def test_the_command_erases_after_it_has_asked_and_says_what_was_done(
    stage: Stage, publisher: Publisher, command: Command
) -> None:
    stage.publish(an_endpoint())
    publisher.full(caller_id=CALLER)
    assert command("erase", "no number").exit_code == 1
    assert command("erase", CALLER, input="n\n").exit_code == 1
    assert CALLER in everything(stage)
    done = command("erase", "614-555-0123", "--yes")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "Erased: the leads of 1 ping, 1 of them sold.")
    assert CALLER not in everything(stage)
    shown = command("erasures").output
    assert "1 ping, 1 sold" in shown
    assert "614" not in shown


def test_what_was_erased_is_not_replayed(stage: Stage, publisher: Publisher, command: Command) -> None:
    stage.publish(an_endpoint())
    ping_id = publisher.full(caller_id=CALLER).body["try_all_buyers_ping_id"]
    publisher.ping(caller_id=OTHER)
    command("erase", CALLER, "--yes")
    replayed = command("replay")
    assert (replayed.exit_code, replayed.output) == (0, "1 PINGs decided again: 1 the same, 0 otherwise.\n")
    assert "was erased" in command("replay", ping_id).output


def test_the_command_repairs_and_the_hourly_function_does_the_same(stage: Stage, command: Command) -> None:
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    buyer = {"id": 1, "name": "Buyer A", "bid": "25.00", "number": "+18005550181", "caps": {"sales": {"total": 9}}}
    document = a_document()
    document["offers"][0]["buyers"] = [buyer]
    records.applying.apply(configuration.read(document), "somebody")
    [endpoint] = Repair(Dynamo(stage.client, SETTINGS), stage.clock).endpoints()
    for lowered in (lambda: command("repair").output.splitlines(), lambda: lambda_handler({}, None)):  # type: ignore[arg-type]
        left_by_a_crash(stage, endpoint)
        stage.clock.forward(QUIET_SECONDS)
        said = lowered()
        assert said in (
            ["Buyer 1: sales-total-0 was 1, is 0", "Caps lowered: 1. Leads removed: 0. Numbers freed: 0."],
            {"repaired": 1, "swept": 0, "freed": 0},
        )
