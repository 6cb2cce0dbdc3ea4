"""Callers are erased, leads go when their time has come, caps that a crash left too high are lowered."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from functions.hourly.handler import lambda_handler
from shared import configuration, flows
from shared.domain import caps
from shared.domain.caps import Cap
from shared.domain.keys import Key, read_ping_id
from shared.domain.models import DAY, Endpoint, Sale
from shared.domain.schedule import local_time
from shared.operators.hourly_work import Done, do_hourly_work
from shared.operators.repair import QUIET_SECONDS, SET_ASIDE, STREAM_IS_LATE, Outcome, Repaired
from shared.publishers.requests import Request
from shared.store.claiming import Claiming
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.erasures import Erased, Erasures
from shared.store.journal import Journal
from shared.store.packing import pack, unpack
from shared.store.pings import CLAIM_SECONDS
from shared.store.records import Records
from tests.build import (
    CALLER,
    KEYS,
    SETTINGS,
    START,
    Counting,
    InTurn,
    Publisher,
    Stage,
    a_buyer,
    a_pool,
    an_endpoint,
    forged,
)
from tests.component.conftest import Command
from tests.configurations import a_document

OTHER = "+16145550124"
STATIC = "+18005550170"
GONE = "It has no lead any more."


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


def erasures(stage: Stage) -> list[Erased]:
    return Erasures(Dynamo(stage.client, SETTINGS)).all()


# Erasing


def test_a_caller_is_erased_everywhere_and_its_sales_stay(stage: Stage, publisher: Publisher, journal: Journal) -> None:
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

    erased = stage.erase(CALLER)

    assert (erased.pings, erased.sales, erased.being_sold) == (3, 2, 0)
    left = everything(stage)
    assert CALLER not in left
    assert "example.com" not in left
    assert OTHER in left
    assert stage.route(STATIC) is None
    assert stage.client.scan(TableName="callers")["Items"] == []
    opened = journal.opened(ping_id, stage.clock())
    assert opened
    assert opened.sale
    assert (opened.sale.buyer_id, opened.lead, opened.is_kept) == (1, {}, False)
    assert publisher.post(**sale).body["status"] == "ping_id_used"
    assert publisher.post("static", ping_id=open_id, caller_id=CALLER, trackdrive_number=STATIC).body["status"] == (
        "ping_id_used"
    )
    assert erasures(stage) == [
        Erased(at=START, by="somebody", caller=erased.caller, pings=3, sales=2, finished_at=erased.finished_at)
    ]
    assert stage.erase(CALLER).pings == 0


def test_a_lead_that_was_sold_without_a_ping_id_is_erased_with_its_retries(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    for verb in ("post", "full"):
        assert publisher.send(verb, json_body={"caller_id": CALLER}).body["success"]
    assert stage.erase(CALLER).sales == 2
    for verb in ("post", "full"):
        assert publisher.send(verb, json_body={"caller_id": CALLER}).body["status"] == "ping_id_used"
    stage.clock.forward(300)
    assert publisher.full(caller_id=CALLER).body["success"]


def test_an_erased_lead_that_was_not_sold_may_be_sent_again(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(1)))
    publisher.full(caller_id=OTHER)
    assert publisher.full(caller_id=CALLER).body["status"] == "no_number_available"
    assert stage.erase(CALLER).pings == 1
    stage.clock.forward(360)
    assert publisher.full(caller_id=CALLER).body["success"]


def test_a_lead_that_nobody_wanted_is_erased(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(buyers=()))
    publisher.full(caller_id=CALLER)
    assert stage.erase(CALLER).pings == 1
    [stored] = stage.contents()["pings"]
    assert "caller" not in stored


def test_a_ping_that_is_being_sold_is_waited_for(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    publisher.ping(caller_id=CALLER)
    [item] = stage.client.scan(TableName="pings")["Items"]
    stage.world().pings.claim(item["ping_id"]["B"], b"attempt", a_pool().terms, START)
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    assert (begun.erased.pings, begun.erased.being_sold) == (0, 1)
    assert stage.finish(begun).pings == 1


def test_a_sandbox_forgets_a_caller_too(stage: Stage) -> None:
    stage.publish(an_endpoint())
    world = stage.world().of_sandbox()
    endpoint = world.endpoint("my_endpoint")
    flows.full(world, endpoint, Request("POST", endpoint.vanity_uri, {"caller_id": CALLER}, [], ""))
    assert stage.erase(CALLER).sales == 1
    assert CALLER not in everything(stage)


def test_a_sandbox_forgets_what_came_under_an_earlier_key_while_it_was_erased(stage: Stage) -> None:
    stage.publish(an_endpoint())
    world = stage.world().of_sandbox()
    endpoint = world.endpoint("my_endpoint")
    stage.keys = structs.replace(KEYS, callers=(Key(2, b"newer"), *KEYS.callers))
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    flows.full(world, endpoint, Request("POST", endpoint.vanity_uri, {"caller_id": CALLER}, [], ""))
    assert stage.finish(begun).sales == 1
    assert CALLER not in everything(stage)


def test_a_refused_post_leaves_its_caller_so_that_erasing_finds_the_lead_of_the_ping(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint())
    ping_id = publisher.ping(email="lead@example.com").body["try_all_buyers_ping_id"]
    stage.publish(an_endpoint(version=2, buyers=()))
    stage.clock.forward(10)
    calls = Counting(stage.client, SETTINGS)
    refused = publisher.send("post", world=stage.world_over(calls), json_body={"ping_id": ping_id, "caller_id": CALLER})
    assert refused.body["status"] == "no_matching_buyer"
    assert calls.calls == 5  # pointer and body, claim beside a look, and giving it back
    assert stage.finishing().erasing.preview(CALLER, "somebody").pings == 1
    assert stage.erase(CALLER).pings == 1
    assert "lead@example.com" not in everything(stage)


def test_a_refused_post_of_another_caller_does_not_hide_the_pings_own(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    stage.publish(an_endpoint(version=2, buyers=()))
    stage.clock.forward(10)
    assert publisher.post(ping_id=ping_id, caller_id=OTHER).body["status"] == "no_matching_buyer"
    assert stage.erase(CALLER).pings == 1


def test_a_dry_run_says_what_would_be_erased_and_changes_nothing(
    stage: Stage, publisher: Publisher, command: Command
) -> None:
    stage.publish(an_endpoint(duplicate_seconds=1))
    sold = publisher.full(caller_id=CALLER).body["try_all_buyers_ping_id"]
    stage.clock.forward(10)
    publisher.ping(caller_id=CALLER)
    before = stage.contents()
    found = stage.finishing().erasing.preview(CALLER, "somebody")
    said = command("erase", CALLER, "--dry-run").stdout
    of_ping = command("erase", sold, "--dry-run").stdout
    assert (found.pings, found.sales, found.marks, found.being_sold) == (2, 1, True, 0)
    assert said.startswith("It would erase the leads of 2 pings, 1 of them sold. The marks of its sales")
    assert of_ping == "It would erase the leads of 1 ping, 1 of them sold. Nothing is changed.\n"
    assert stage.contents() == before
    assert erasures(stage) == []


def test_one_ping_is_erased_by_any_of_its_ids(stage: Stage, publisher: Publisher, command: Command) -> None:
    stage.publish(an_endpoint(static_numbers={STATIC: "1023"}))
    sent = {"caller_id": CALLER, "trackdrive_number": STATIC}
    body = publisher.ping(**sent).body
    raw = read_ping_id(KEYS, "my_endpoint", body["try_all_buyers_ping_id"])
    assert raw
    assert stage.route(STATIC)
    for ping_id, said in ((body["buyers"][0]["ping_id"], "Erased: the lead of one ping."), (raw[0].hex(), GONE)):
        assert command("erase", ping_id, "--yes").stdout.splitlines()[-1] == said
        assert stage.route(STATIC) is None
    assert CALLER not in everything(stage)
    assert [(each.ping, each.pings) for each in erasures(stage)] == [(raw[0].hex(), 0), (raw[0].hex(), 1)]
    assert command("erase", forged(body["try_all_buyers_ping_id"]), "--yes").stderr == "There is no such ping.\n"
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


def test_a_sale_is_kept_as_long_as_its_lead_or_its_retries(stage: Stage, publisher: Publisher) -> None:
    stage.publish(
        an_endpoint(lead_seconds=10 * DAY), an_endpoint(vanity_uri="short", lead_seconds=60, hold_seconds=300)
    )
    for uri in ("my_endpoint", "short"):
        publisher.full(uri, caller_id=CALLER)
    ends = {
        int(item["delete_at"]["N"]) - START
        for item in stage.client.scan(TableName="pings", FilterExpression="attribute_exists(sale)")["Items"]
    }
    assert ends == {10 * DAY, 300 + 300 + CLAIM_SECONDS}


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
    assert stage.repair().repair([endpoint]) == Outcome()  # it is too early to tell
    stage.clock.forward(QUIET_SECONDS)
    repaired = stage.repair().repair([endpoint]).repaired
    assert sorted((each.was, each.now) for each in repaired) == [(5, 2), (5, 2), (5, 2), (12500, 5000)]
    assert counts(stage) == [2, 2, 5000, 2]
    assert stage.repair().repair([endpoint]) == Outcome()


def test_a_repair_that_has_nothing_to_lower_puts_no_probes(stage: Stage, publisher: Publisher) -> None:
    endpoint = capped()
    stage.publish(endpoint)
    publisher.full(caller_id=CALLER)
    stage.clock.forward(QUIET_SECONDS)
    assert stage.repair().repair([endpoint]) == Outcome()
    assert stage.client.scan(TableName="pings", FilterExpression="attribute_exists(run)")["Items"] == []


def test_while_the_stream_is_stuck_no_cap_is_lowered(stage: Stage, publisher: Publisher) -> None:
    """A sale whose row is missing looks like one that a crash has left."""
    endpoint = capped()
    stage.publish(endpoint)
    repair = stage.repair()
    publisher.full(caller_id=CALLER)
    stage.clock.forward(QUIET_SECONDS)
    repair.pause = lambda: stage.clock.forward(10)
    assert repair.repair([endpoint]) == Outcome(left=2, why=STREAM_IS_LATE)
    assert counts(stage) == [1, 1, 2500, 1]
    repair.pause = stage.pass_a_second
    assert repair.repair([endpoint]) == Outcome()
    assert counts(stage) == [1, 1, 2500, 1]


def test_what_is_set_aside_keeps_caps_of_its_time_as_they_are(stage: Stage) -> None:
    endpoint = capped()
    stage.publish(endpoint)
    stage.clock.forward(DAY)
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    letters = stage.repair().letters
    for name in ("dead/2100-01-02/e.json", "aws/lambda/1/shard/2100/01/02/e", "aws/lambda/undated"):
        letters.storage.put(name, b"{}")
        assert stage.repair().repair([endpoint]) == Outcome(left=2, why=SET_ASIDE)
        letters.storage.delete(name)
    letters.storage.put("dead/2100-01-01/e.json", b"{}")  # the first sale came later
    assert len(stage.repair().repair([endpoint]).repaired) == 4


def test_a_replay_while_rows_are_read_lowers_nothing(
    stage: Stage, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sale is in no row when rows are read, and in no file that was set aside afterwards."""
    endpoint = capped()
    stage.publish(endpoint)
    stage.bring_stream()
    publisher.full(caller_id=CALLER)
    batch = stage.stream.next_batch()
    assert batch
    assert stage.stream.note_done(batch, {"batchItemFailures": []})
    repair = stage.repair()
    name = "dead/2100-01-01/e.json"
    repair.letters.storage.put(name, b"{}")
    stage.clock.forward(QUIET_SECONDS)
    counted = repair._with_sold

    def meanwhile(counts: Sequence[Any]) -> Any:
        found = counted(counts)
        if stage.client.scan(TableName="pings", FilterExpression="attribute_exists(run)")["Items"]:
            repair.letters.storage.delete(name)
        return found

    monkeypatch.setattr(repair, "_with_sold", meanwhile)
    assert repair.repair([endpoint]) == Outcome(left=2, why=SET_ASIDE)
    assert counts(stage) == [1, 1, 2500, 1]


def test_a_sale_that_is_counted_meanwhile_leaves_everything_as_it_is(stage: Stage) -> None:
    endpoint = capped()
    stage.publish(endpoint)
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    repair = stage.repair()
    pause = repair.pause

    def meanwhile() -> None:
        pause()
        left_by_a_crash(stage, endpoint)

    repair.pause = meanwhile
    assert repair.repair([endpoint]) == Outcome()
    assert counts(stage) == [2, 2, 5000, 2]


def test_caps_of_periods_that_are_older_than_the_stream_are_left_alone(stage: Stage) -> None:
    """Sales of an earlier stream, or of none, have no rows."""
    endpoint = capped()
    stage.publish(endpoint)
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    repair = stage.repair()
    repair.passing.began_at = lambda: START  # type: ignore[method-assign]
    assert repair.repair([endpoint]) == Outcome()
    stage.clock.forward(DAY)
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    assert {each.key.split("-")[1] for each in repair.repair([endpoint]).repaired} == {"hour", "day"}


def test_a_total_is_left_alone_once_its_first_sales_may_be_gone(stage: Stage) -> None:
    endpoint = capped(sale_seconds=40 * DAY)
    stage.publish(endpoint)
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(39 * DAY)
    assert stage.repair().repair([endpoint]) == Outcome()
    stage.clock.now -= DAY
    assert stage.repair().repair([endpoint]) == Outcome([Repaired(1, "sales-total-0@my_endpoint", 1, 0)])


def test_a_total_is_left_alone_where_the_rows_of_its_first_sales_are_gone(stage: Stage, publisher: Publisher) -> None:
    """Sales were kept for less time, and then for longer again."""
    endpoint = capped()
    stage.publish(endpoint)
    assert publisher.full(caller_id=CALLER).body["success"]
    stage.clock.forward(2 * DAY)
    files = stage.finishing().forgetting.files
    files.close_hours(stage.clock())
    files.close_days(stage.clock())
    files.manifest.forget(before=START + DAY)
    assert publisher.full(caller_id=OTHER).body["success"]
    stage.clock.forward(QUIET_SECONDS)
    assert "total" not in str(stage.repair().repair([endpoint]).repaired)
    assert counts(stage)[3] == 2


def test_revenue_is_compared_by_what_was_bid(stage: Stage, publisher: Publisher) -> None:
    """A live buyer may pay more than its bid, which is what its cap has counted."""
    endpoint = capped()
    stage.publish(endpoint)
    publisher.full(caller_id=CALLER)
    [item] = stage.client.scan(TableName="pings", FilterExpression="attribute_exists(sale)")["Items"]
    sale = unpack(item["sale"]["B"], Sale)
    stage.client.put_item(TableName="pings", Item=item | {"sale": {"B": pack(structs.replace(sale, cents=9900))}})
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    stage.repair().repair([endpoint])
    assert counts(stage) == [1, 1, 2500, 1]


def test_what_is_due_every_hour_goes_by_the_live_configuration(stage: Stage) -> None:
    repair = stage.repair()
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    assert do_hourly_work(repair, records) == Done(Outcome(), 0)
    records.applying.apply(configuration.read(a_document()), "somebody")
    assert [endpoint.vanity_uri for endpoint in repair.endpoints()] == ["my_endpoint"]
    assert do_hourly_work(repair, records) == Done(Outcome(), 0)


def test_numbers_that_an_apply_gave_up_and_did_not_free_are_freed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    records.applying.apply(configuration.read(a_document()), "somebody")
    with monkeypatch.context() as dying:
        dying.setattr(Claiming, "free", lambda *_: None)
        records.applying.apply(configuration.read(a_document(ring_pools=[], endpoints=[])), "somebody")
    repair = stage.repair()
    assert [do_hourly_work(repair, records).freed for _ in range(2)] == [8, 0]
    owner = stage.client.get_item(TableName="config", Key={"pk": {"S": "NUMBER#+18005550100"}, "sk": {"S": "OWNER"}})[
        "Item"
    ]
    assert "free_at" in owner


# The command


@pytest.fixture
def command(command: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """By the stage's clock."""
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    monkeypatch.setattr(time, "sleep", lambda _: stage.pass_a_second())
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
    [endpoint] = stage.repair().endpoints()
    for lowered in (lambda: command("repair").output.splitlines(), lambda: lambda_handler({}, None)):  # type: ignore[arg-type]
        left_by_a_crash(stage, endpoint)
        stage.clock.forward(QUIET_SECONDS)
        said = lowered()
        assert said in (
            ["Buyer 1: sales-total-0 was 1, is 0", "Caps lowered: 1. Numbers freed: 0. Reservations given: 0."],
            {"repaired": 1, "left": 0, "why": "", "freed": 0, "given": 0},
        )
