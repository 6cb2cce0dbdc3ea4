"""Applying configurations, and the operator's command, over moto."""

import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import configuration
from shared.configuration import InvalidConfiguration, Plain
from shared.domain import keys
from shared.domain.leasing import Lease
from shared.domain.models import Endpoint
from shared.domain.objections import Busy, Interrupted, Overtaken, Refused
from shared.domain.refusals import NoNumberAvailable, TemporarilyUnavailable, UnknownEndpoint
from shared.flows.expecting import expect_call
from shared.flows.resolving import resolve
from shared.store.applying import LOCK_SECONDS
from shared.store.claiming import FORGOTTEN_SECONDS, Claiming
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from shared.store.tokens import Token, Tokens
from tests.build import CALLER, KEYS, SETTINGS, START, Publisher, Stage
from tests.component.conftest import Command
from tests.configurations import (
    a_buyer,
    a_contact_field,
    a_document,
    a_ring_pool,
    a_user,
    an_endpoint,
    an_offer,
)
from tools import demo, document, engine

NUMBERS = [f"+18005550{n}" for n in range(100, 108)]


@pytest.fixture
def records(stage: Stage) -> Records:
    return Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)


def apply(records: Records, by: str = "somebody", **overrides: Any) -> int:
    """Apply `a_document` with overrides; the version that is live then."""
    records.applying.apply(configuration.read(a_document(**overrides)), by)
    return records.versions.current().version


def live_endpoint(stage: Stage, vanity_uri: str = "my_endpoint") -> Endpoint:
    return Compiled(Dynamo(stage.client, SETTINGS), Memory()).latest(vanity_uri, 0)


def leases(stage: Stage, records: Records, pool: str = "auto-us") -> dict[str, Lease]:
    """Every number of a live ring pool with its last lease."""
    layout = records.versions.current().pools[pool]
    rings = stage.world().rings.look(layout, layout.shards)
    found = [lease for shard in layout.shards for lease in rings[shard.id].leases(shard.numbers)]
    assert len(found) == len({lease.number for lease in found})
    return {lease.number: lease for lease in found}


def a_lease(stage: Stage, records: Records, ping_id: bytes, pool: str = "auto-us") -> Lease:
    layout = records.versions.current().pools[pool]
    return stage.world().rings.lease(layout, layout.terms, ping_id, stage.clock(), {})


def contents(stage: Stage) -> dict[str, list[str]]:
    """Every item of every table, to be compared."""
    return {
        table: sorted(repr(sorted(item.items())) for item in stage.client.scan(TableName=table)["Items"])
        for table in engine.tables(SETTINGS)
    }


def test_publishers_are_served_by_what_was_applied(stage: Stage, records: Records, publisher: Publisher) -> None:
    apply(records)
    ping = publisher.ping(caller_id=CALLER).body
    assert [(buyer["id"], buyer["bid"]) for buyer in ping["buyers"]] == [(1, 25.0), (2, 20.0)]
    sold = publisher.post(ping_id=ping["try_all_buyers_ping_id"], caller_id=CALLER).body
    assert "+" + sold["trackdrive_number"] in NUMBERS
    assert live_endpoint(stage).version == 1


def test_the_same_configuration_twice_changes_nothing(stage: Stage, records: Records) -> None:
    apply(records)
    before = contents(stage)
    assert records.applying.apply(configuration.read(a_document()), "somebody") is None
    assert contents(stage) == before
    assert records.versions.current().version == 1


def test_only_endpoints_that_change_are_switched(stage: Stage, records: Records) -> None:
    other = an_offer(name="legal", buyers=[a_buyer(id=3)])
    endpoints = [an_endpoint(), an_endpoint(vanity_uri="legal", offer="legal")]
    apply(records, offers=[an_offer(), other], endpoints=endpoints)
    dearer = other | {"buyers": [a_buyer(id=3, bid="99.00")]}
    assert apply(records, offers=[an_offer(), dearer], endpoints=endpoints) == 2
    assert (live_endpoint(stage).version, live_endpoint(stage, "legal").version) == (1, 2)


def test_the_records_of_every_version_stay_and_know_when_they_last_changed(stage: Stage, records: Records) -> None:
    def of_version(version: int) -> list[Any]:
        return stage.client.query(
            TableName=SETTINGS.config_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"CONFIG#{version:08}"}},
        )["Items"]

    apply(records)
    first = of_version(1)
    apply(records, users=[a_user(traffic_sources=["1023", "1024"])])
    assert of_version(1) == first
    assert {key[0]: record.version for key, record in records.versions.current().records.items()} == {
        "users": 2,
        "ring_pools": 1,
        "offers": 1,
        "endpoints": 1,
    }


def test_an_endpoint_that_was_taken_out_is_unknown(stage: Stage, records: Records) -> None:
    apply(records, endpoints=[an_endpoint(), an_endpoint(vanity_uri="other")])
    apply(records)
    with pytest.raises(UnknownEndpoint):
        live_endpoint(stage, "other")


def test_added_numbers_get_shards_of_their_own(stage: Stage, records: Records) -> None:
    apply(records)
    [shard] = records.versions.current().pools["auto-us"].shards
    lease = a_lease(stage, records, b"a ping")
    apply(records, ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550159"])])
    kept, *added = records.versions.current().pools["auto-us"].shards
    assert kept == shard
    assert [len(shard.numbers) for shard in added] == [36, 16]
    assert leases(stage, records)[lease.number] == lease


def test_a_shard_id_and_a_pool_number_never_come_back(records: Records) -> None:
    without = a_document(ring_pools=[], endpoints=[])
    ids = set()
    for _ in range(3):
        apply(records)
        pool = records.versions.current().pools["auto-us"]
        ids |= {(pool.no, shard.id) for shard in pool.shards}
        apply(records, **without)
    apply(records, ring_pools=[a_ring_pool(name="another")], endpoints=[])
    assert records.versions.current().pools["another"].no == 2
    assert ids == {(1, 0), (1, 1), (1, 2)}


def test_the_leases_of_numbers_that_stay_outlive_the_one_that_goes(stage: Stage, records: Records) -> None:
    apply(records)
    made = [a_lease(stage, records, b"ping %d" % n) for n in range(5)]
    stage.clock.forward(10)
    gone, *kept = sorted(lease.number for lease in made)
    apply(records, ring_pools=[a_ring_pool(numbers=[number for number in NUMBERS if number != gone])])
    after = leases(stage, records)
    assert gone not in after
    assert {lease.number: lease for lease in made if lease.number in kept}.items() <= after.items()
    free = {a_lease(stage, records, b"later %d" % n).number for n in range(3)}
    assert free == set(NUMBERS) - {lease.number for lease in made}


def test_a_number_that_was_given_up_is_nobodys_until_its_last_lease_ends(stage: Stage, records: Records) -> None:
    apply(records)
    lease = a_lease(stage, records, b"a ping")
    rest = [number for number in NUMBERS if number != lease.number]
    without = a_ring_pool(numbers=rest)
    apply(records, ring_pools=[without])
    other = a_ring_pool(name="other", numbers=[lease.number])
    said = f"{lease.number} was given up by ring pool auto-us, where it is held until 2100-01-01 00:06:00 UTC"
    stage.clock.now = START + 359
    with pytest.raises(InvalidConfiguration, match=said.replace("+", r"\+")):
        apply(records, ring_pools=[without, other])
    stage.clock.forward(1)
    assert apply(records, ring_pools=[without, other]) == 3
    assert leases(stage, records, "other") == {lease.number: Lease(lease.number, b"", 0)}


def test_a_number_that_was_never_leased_is_free_at_once(records: Records) -> None:
    apply(records)
    apply(records, ring_pools=[a_ring_pool(numbers=NUMBERS[1:])])
    other = a_ring_pool(name="other", numbers=[NUMBERS[0]])
    assert apply(records, ring_pools=[a_ring_pool(numbers=NUMBERS[1:]), other]) == 3


@pytest.mark.parametrize(
    ("given_up", "number", "path"),
    [
        (
            {"endpoints": [an_endpoint(), an_endpoint(vanity_uri="static", tracking="static")]},
            "+18005550170",
            "numbers",
        ),
        ({"ring_pools": [a_ring_pool(overflow_number="+18005550199")]}, "+18005550199", "numbers"),
    ],
)
def test_static_and_overflow_numbers_rest_for_their_hold_after_everybody_forgot_them(
    stage: Stage, records: Records, given_up: Plain, number: str, path: str
) -> None:
    apply(records, **given_up)
    apply(records)
    wanted = a_ring_pool(numbers=[*NUMBERS, number])
    stage.clock.forward(FORGOTTEN_SECONDS + 299)
    with pytest.raises(InvalidConfiguration) as raised:
        apply(records, ring_pools=[wanted])
    assert [problem.path for problem in raised.value.problems] == [("ring_pools", 0, path, 8)]
    stage.clock.forward(1)
    assert apply(records, ring_pools=[wanted]) == 3


def test_a_static_number_rests_for_the_longest_hold_that_it_was_sold_under(stage: Stage, records: Records) -> None:
    static = an_endpoint(vanity_uri="static", tracking="static", hold_seconds=3600)
    for endpoints in ([an_endpoint(), static], [an_endpoint(), static | {"hold_seconds": 120}], [an_endpoint()]):
        apply(records, endpoints=endpoints)
    stage.clock.forward(FORGOTTEN_SECONDS + 3599)
    wanted = a_ring_pool(numbers=[*NUMBERS, "+18005550170"])
    with pytest.raises(InvalidConfiguration, match="was given up by endpoint static"):
        apply(records, ring_pools=[wanted])
    stage.clock.forward(1)
    assert apply(records, ring_pools=[wanted])


def test_a_number_changes_its_owner_in_two_steps(records: Records) -> None:
    apply(records)
    pools = [a_ring_pool(numbers=NUMBERS[1:]), a_ring_pool(name="other", numbers=NUMBERS[:1])]
    with pytest.raises(
        InvalidConfiguration, match="belongs to ring pool auto-us now; take it out there and apply that"
    ):
        apply(records, ring_pools=pools)


def test_a_number_that_was_given_up_comes_back_to_its_owner_at_once_with_its_lease(
    stage: Stage, records: Records
) -> None:
    apply(records)
    made = [a_lease(stage, records, b"ping %d" % n) for n in range(3)]
    apply(records, ring_pools=[a_ring_pool(numbers=NUMBERS[3:])])
    stage.clock.forward(5)
    apply(records)
    found = leases(stage, records)
    assert [found[lease.number] for lease in made] == made
    free = {a_lease(stage, records, b"later %d" % n).number for n in range(5)}
    assert free == set(NUMBERS) - {lease.number for lease in made}
    with pytest.raises(NoNumberAvailable):
        a_lease(stage, records, b"one more")


@pytest.mark.parametrize(
    "with_it",
    [
        {"endpoints": [an_endpoint(), an_endpoint(vanity_uri="static", tracking="static")]},
        {"ring_pools": [a_ring_pool(overflow_number="+18005550199")]},
    ],
)
def test_static_and_overflow_numbers_come_back_at_once_too(records: Records, with_it: Plain) -> None:
    for wanted in (with_it, {}, with_it):
        assert apply(records, **wanted)


def test_new_times_hold_for_new_leases_and_leave_the_old_ones_as_they_are(stage: Stage, records: Records) -> None:
    apply(records)
    shards = records.versions.current().pools["auto-us"].shards
    before = a_lease(stage, records, b"the old time")
    apply(records, ring_pools=[a_ring_pool(hold_seconds=120, cooldown_seconds=0)])
    assert records.versions.current().pools["auto-us"].shards == shards
    assert leases(stage, records)[before.number] == before
    assert a_lease(stage, records, b"the new time").expires_at == stage.clock() + 120


# Deaths and rivals


class Died(Exception):
    """What a killed command leaves behind is tested without killing one."""


class Dying(Dynamo):
    """Its process dies before a certain call, and does nothing afterwards."""

    def __init__(self, stage: Stage, calls: int) -> None:
        super().__init__(stage.client, SETTINGS)
        self.left = calls

    def send(self, method: Callable[..., Any], sendings: int, *args: Any, **request: Any) -> Any:
        if self.left == 0:
            raise Died
        self.left -= 1
        return super().send(method, sendings, *args, **request)


class Unanswered(Dying):
    """After so many calls DynamoDB answers none, which leaves unclear what became of them."""

    def send(self, method: Callable[..., Any], sendings: int, *args: Any, **request: Any) -> Any:
        try:
            return super().send(method, sendings, *args, **request)
        except Died:
            raise TemporarilyUnavailable from None


STATIC = an_endpoint(vanity_uri="static", tracking="static")
BEFORE = a_document(
    ring_pools=[
        a_ring_pool(numbers=["+18005550100-+18005550103"], overflow_number="+18005550199"),
        a_ring_pool(name="going", numbers=["+18005550110", "+18005550111"]),
    ],
    endpoints=[an_endpoint(), STATIC],
)
AFTER = a_document(
    ring_pools=[
        a_ring_pool(numbers=["+18005550101-+18005550105"], hold_seconds=200),
        a_ring_pool(name="coming", numbers=["+18005550120"]),
    ],
    endpoints=[an_endpoint(), an_endpoint(vanity_uri="new", ring_pool="coming")],
    offers=[an_offer(rank_by="tier")],
)


def start(stage: Stage, records: Records) -> None:
    """Empty tables, and BEFORE with three leases, of which AFTER takes two numbers away."""
    for table in engine.tables(SETTINGS):
        stage.client.delete_table(TableName=table)
    engine.create_tables(stage.client, SETTINGS)
    stage.clock.now = START
    records.applying.apply(configuration.read(BEFORE), "before")
    taken: set[str] = set()
    while not {"+18005550100", "+18005550101"} <= taken:
        taken.add(a_lease(stage, records, b"ping %d" % len(taken)).number)
    a_lease(stage, records, b"going", "going")


def end_state(stage: Stage, records: Records) -> dict[str, Any]:
    """All that an apply decides, without the ids and versions that a death burns."""
    live = records.versions.current()
    pools = {name: (pool.hold_seconds, pool.overflow_number) for name, pool in live.pools.items()}
    owners = {}
    for item in stage.client.scan(TableName=SETTINGS.config_table)["Items"]:
        if item["sk"] == {"S": "OWNER"}:
            owners[item["pk"]["S"]] = (item["owner"]["S"], item.get("free_at"), item.get("ping_id"))
    pointers = {
        item["pk"]["S"]: live_endpoint(stage, item["pk"]["S"].removeprefix("ENDPOINT#")).pool is not None
        for item in stage.client.scan(TableName=SETTINGS.config_table)["Items"]
        if item["pk"]["S"].startswith("ENDPOINT#") and item["sk"]["S"] == "LIVE"
    }
    for name in live.names("endpoints"):
        endpoint = live_endpoint(stage, name)
        assert endpoint.pool is None or endpoint.pool == live.pools[endpoint.pool.name]
    return {
        "parts": live.parts,
        "pools": pools,
        "leases": {name: leases(stage, records, name) for name in live.pools},
        "owners": owners,
        "pointers": pointers,
        "given up": live.given_up,
    }


def test_an_apply_that_dies_between_any_two_calls_is_repaired_by_the_next(stage: Stage, records: Records) -> None:
    wanted = configuration.read(AFTER)
    start(stage, records)
    stage.clock.forward(LOCK_SECONDS)
    records.applying.apply(wanted, "in one go")
    expected = end_state(stage, records)
    calls, died = 0, True
    while died:
        start(stage, records)
        dying = Records(Dying(stage, calls), KEYS, stage.clock)
        try:
            dying.applying.apply(wanted, "dying")
            died = False
        except Died:
            calls += 1
        stage.clock.forward(LOCK_SECONDS)
        switched = records.versions.current().version > 1
        records.applying.apply(wanted, "again")
        found = end_state(stage, records)
        if switched:  # then these times count from the first apply, a lock's life earlier
            found["owners"] |= {
                pk: owner
                for pk, owner in expected["owners"].items()
                if pk in ("NUMBER#+18005550170", "NUMBER#+18005550199")
            }
        assert found == expected, f"after it died at call {calls}"
        assert records.applying.apply(wanted, "once more") is None
    assert calls > 20


def test_after_an_apply_died_the_one_before_can_still_be_restored(stage: Stage, records: Records) -> None:
    start(stage, records)
    expected = end_state(stage, records)
    for calls in range(2, 60, 3):
        start(stage, records)
        with pytest.raises(Died):
            Records(Dying(stage, calls), KEYS, stage.clock).applying.apply(configuration.read(AFTER), "dying")
        if records.versions.current().version > 1:
            break
        stage.clock.forward(LOCK_SECONDS)
        records.applying.apply(configuration.read(BEFORE), "back")
        found = end_state(stage, records)
        left_over = {"NUMBER#+18005550104", "NUMBER#+18005550105", "NUMBER#+18005550120"}
        found["owners"] = {pk: owner for pk, owner in found["owners"].items() if pk not in left_over}
        assert found == expected, f"after it died at call {calls}"
    assert calls > 20


def test_a_number_that_only_an_apply_that_died_has_claimed_is_free(stage: Stage, records: Records) -> None:
    apply(records)
    more = [a_ring_pool(), a_ring_pool(name="other", numbers=["+18005550120"])]
    for calls in range(20):
        with suppress(Died):
            Records(Dying(stage, calls), KEYS, stage.clock).applying.apply(
                configuration.read(a_document(ring_pools=more)), "dying"
            )
        stage.clock.forward(LOCK_SECONDS)
        if "other" in repr(contents(stage)[SETTINGS.config_table]):
            break
    assert records.versions.current().version == 1
    assert reached(stage, "+18005550120", CALLER) is None
    apply(records, ring_pools=[a_ring_pool(numbers=[*NUMBERS, "+18005550120"])])
    assert "+18005550120" in leases(stage, records)


def test_a_second_apply_at_the_same_time_is_refused_and_told_by_whom(stage: Stage, records: Records) -> None:
    for calls in (2, 9):
        with pytest.raises(Died):
            Records(Dying(stage, calls), KEYS, stage.clock).applying.apply(configuration.read(a_document()), "ana")
        stage.clock.forward(LOCK_SECONDS - 1)
        with pytest.raises(Busy, match=r"^ana has been applying a configuration since 2100-01-01 00:0[02]:00 UTC\."):
            apply(records)
        stage.clock.forward(1)
    assert apply(records)


def test_no_call_of_an_apply_starts_after_its_lock_may_have_lapsed(
    stage: Stage, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter([0.0, *[LOCK_SECONDS + 0.0] * 99])
    monkeypatch.setattr(time, "monotonic", lambda: next(late))
    before = contents(stage)
    with pytest.raises(TemporarilyUnavailable):
        apply(records)
    assert contents(stage) == before


def test_an_apply_that_cannot_go_on_says_what_was_done_and_until_when_sales_stand_still(stage: Stage) -> None:
    """Every call in turn is the last that is answered."""
    said = set()
    for calls in range(1, 60):
        start(stage, Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock))
        records = Records(Unanswered(stage, calls), KEYS, stage.clock)
        try:
            records.applying.apply(configuration.read(AFTER), "somebody")
            break
        except (Interrupted, TemporarilyUnavailable) as failed:
            said.add(str(failed))
    assert said >= {
        "The apply ended half way. Nothing was changed. Sales go on.",
        "The apply ended half way. Nothing was changed. Sales through ring pool auto-us stand still until "
        "2100-01-01 00:00:20 UTC, then they go on.",
        "The apply ended half way. Nothing was changed. Sales through ring pool auto-us, going stand still until "
        "2100-01-01 00:00:20 UTC, then they go on.",
        "The apply ended half way. It is not known whether the configuration is live: look at the difference. Sales "
        "through ring pool auto-us, going stand still until 2100-01-01 00:00:20 UTC, then they go on.",
        "The apply ended half way. The configuration is live. Apply it again to free the numbers that have left it. "
        "Sales go on.",
    }


def test_an_apply_is_refused_if_another_version_came_after_the_one_it_was_compared_with(records: Records) -> None:
    apply(records)
    with pytest.raises(Overtaken, match=r"^Version 1 was applied meanwhile\."):
        records.applying.apply(configuration.read(a_document(users=[])), "somebody", seen=0)


def test_a_change_of_more_than_98_endpoints_is_refused_before_anything_is_written(
    stage: Stage, records: Records
) -> None:
    apply(records, endpoints=[an_endpoint(vanity_uri=f"a{n}") for n in range(98)])
    before = contents(stage)
    with pytest.raises(Refused, match="changes or removes 100 endpoints: 100 writes at once; 98 is the most"):
        apply(records, endpoints=[an_endpoint(vanity_uri=f"a{n}") for n in range(50, 148)])
    assert contents(stage) == before


def test_an_endpoint_that_is_too_large_is_refused_before_anything_is_written(stage: Stage, records: Records) -> None:
    noise = random.Random(1)
    fields = [a_contact_field(name=f"f{n}", description=noise.randbytes(500).hex()) for n in range(640)]
    before = contents(stage)
    with pytest.raises(Refused, match=r"Endpoint my_endpoint takes 3\d\d KB; 300 KB is the most"):
        apply(records, offers=[an_offer(contact_fields=fields)])
    assert contents(stage) == before


def test_a_pool_whose_rings_are_gone_is_left_alone(stage: Stage, records: Records) -> None:
    apply(records)
    stage.client.delete_item(TableName=SETTINGS.leases_table, Key={"pk": {"S": "P1"}, "sk": {"S": "R0"}})
    with pytest.raises(Refused, match=r"^Rings of ring pool auto-us are gone from the table leases\.$"):
        apply(records, users=[])


# Tokens, history, routes


def test_a_token_lets_its_user_in_until_it_is_revoked(stage: Stage, records: Records, publisher: Publisher) -> None:
    apply(records, endpoints=[an_endpoint(require_auth_token=True)])
    issued, secret = records.tokens.issue("acme-media", "ana")
    assert secret.startswith("rp_")
    assert len(secret) == 35
    assert publisher.ping(auth_token=secret).code == 200
    assert records.tokens.all() == records.tokens.all("acme-media") == [issued]
    assert records.tokens.all("desk") == []
    assert records.tokens.revoke(issued.id, "ana") == issued
    stage.memory.credentials.clear()
    assert publisher.ping(auth_token=secret).code == 401
    assert records.tokens.all() == []


def test_a_token_is_made_by_command_with_a_scope_a_name_and_an_end(
    stage: Stage, records: Records, command: Command
) -> None:
    apply(records)
    made = command("tokens", "issue", "acme-media", "--name", "the page", "--expires", "2200-01-31")
    first, secret = made.output.splitlines()
    assert re.fullmatch(r"Token \w{8} of acme-media, post, ends 2200-02-01 00:00:00 UTC\. Keep it; .*:", first)
    assert secret.startswith("rp_")
    stage.give_token("of 0.1.0", "acme-media")
    command("tokens", "issue", "acme-media", "--scope", "operate")
    listed = command("tokens", "list", "acme-media").output.splitlines()
    assert {line.partition(" UTC  ")[2] for line in listed} == {
        "post, ends 2200-02-01 00:00:00 UTC  never used  the page",
        "operate, no end  never used",
    }
    assert secret not in command("tokens", "list").output
    for wrong, sentence in (
        (("--scope", "all"), "--scope must be post, read or operate.\n"),
        (("--name", "x" * 65), "--name must have at most 64 letters.\n"),
        (("--expires", "soon"), "--expires must be a day like 2027-01-31"),
    ):
        refused = command("tokens", "issue", "acme-media", *wrong)
        assert (refused.exit_code, sentence in refused.output) == (1, True), refused.output
    assert command("tokens", "issue", "nobody").exit_code == 1


def test_a_token_of_an_earlier_version_opens_what_it_opened(records: Records) -> None:
    apply(records)
    item = {"hash": {"S": "00" * 32}, "issued_at": {"N": "5"}}
    records.dynamo.client.put_item(
        TableName=SETTINGS.config_table, Item={"pk": {"S": "TOKENS"}, "sk": {"S": "acme-media#00000000"}, **item}
    )
    assert records.tokens.all() == [Token("00000000", "acme-media", 5, scope="operate")]


def test_tokens_are_for_users_of_the_live_configuration_and_issued_once(records: Records) -> None:
    apply(records)
    with pytest.raises(Refused, match=r"^There is no user nobody"):
        records.tokens.issue("nobody", "ana")
    issued, _ = records.tokens.issue("acme-media", "ana", "a token")
    with pytest.raises(Refused, match="was issued before"):
        records.tokens.issue("acme-media", "ana", "a token")
    records.tokens.revoke(issued.id, "ana")
    with pytest.raises(Refused, match=f"There is no token {issued.id}"):
        records.tokens.revoke(issued.id, "ana")


def test_whoever_gets_a_name_does_not_get_the_tokens_of_who_had_it(
    records: Records, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind_a_token, others = [an_endpoint(require_auth_token=True)], [a_user(name="bolt", traffic_sources=["77"])]
    apply(records, endpoints=behind_a_token)
    secrets = [records.tokens.issue("acme-media", "ana")[1] for _ in range(2)]
    apply(records, endpoints=behind_a_token, users=others)
    assert records.tokens.all() == []

    with monkeypatch.context() as crash:  # after the switch
        apply(records, endpoints=behind_a_token)
        records.tokens.issue("acme-media", "ana", "left behind")
        crash.setattr(Tokens, "end_all", lambda *_: None)
        apply(records, endpoints=behind_a_token, users=others)
    assert [token.user for token in records.tokens.all()] == ["acme-media"]
    apply(records, endpoints=behind_a_token)
    for token in (*secrets, "left behind"):
        assert publisher.ping(auth_token=token).code == 401


def begun(stage: Stage) -> int:
    """How many versions have records, those that were never live among them."""
    items = stage.client.scan(TableName=SETTINGS.config_table)["Items"]
    return len({item["pk"]["S"] for item in items if item["pk"]["S"].startswith("CONFIG#")})


def test_history_tells_who_changed_what_and_leaves_out_what_died(stage: Stage, records: Records) -> None:
    assert records.versions.history(10) == ([], False)
    apply(records, by="ana")
    for calls in range(20):
        with suppress(Died):
            Records(Dying(stage, calls), KEYS, stage.clock).applying.apply(
                configuration.read(a_document(users=[])), "dying"
            )
        if begun(stage) > 1:
            break
        stage.clock.forward(LOCK_SECONDS)
    assert records.versions.current().version == 1
    stage.clock.forward(LOCK_SECONDS)
    apply(records, by="ben", users=[a_user(role="operator")])
    (latest, first), _ = records.versions.history(10)
    assert begun(stage) == 3
    assert (first.by, first.at, latest.by, latest.at) == ("ana", START, "ben", stage.clock.now)
    assert latest.changes == [configuration.Change("users[acme-media].role", "publisher", "operator")]
    assert {change.path for change in first.changes} == {
        "users[acme-media]",
        "ring_pools[auto-us]",
        "offers[auto-insurance]",
        "endpoints[my_endpoint]",
    }


def reached(stage: Stage, number: str, caller: str) -> tuple[str, str, int] | None:
    """The buyer that a call reaches, at which number and until when, by a process that remembers nothing."""
    stage.owners.clear()
    stage.memory.endpoints.clear()
    found = resolve(stage.telephony(), number, caller)
    if found is None or found.endpoint is None:
        return None
    expected = expect_call(found, found.endpoint, number, caller, stage.clock())
    return None if expected.arrival == "refused" else (expected.name, expected.number, expected.until)


def test_a_call_to_a_leased_number_goes_to_the_buyer_of_its_sale(
    stage: Stage, records: Records, publisher: Publisher
) -> None:
    apply(records)
    sold = publisher.full(caller_id=CALLER).body
    number = "+" + sold["trackdrive_number"]
    buyer = ("Buyer A", "+18005550181", START + 360)
    assert reached(stage, number, "+16145550199") == buyer
    assert reached(stage, next(other for other in NUMBERS if other != number), CALLER) is None
    assert reached(stage, "+18005550190", CALLER) is None
    apply(records, ring_pools=[a_ring_pool(numbers=[other for other in NUMBERS if other != number])])
    assert reached(stage, number, CALLER) == buyer, "also while the number leaves the pool"
    stage.clock.forward(360)
    assert reached(stage, number, CALLER) is None


def test_a_call_to_a_static_or_overflow_number_is_told_apart_by_its_caller(
    stage: Stage, records: Records, publisher: Publisher
) -> None:
    pool = a_ring_pool(numbers=NUMBERS[:1], overflow_number="+18005550199")
    apply(records, ring_pools=[pool], endpoints=[an_endpoint(), STATIC])
    ping = publisher.ping("static", trackdrive_number="8005550170").body
    publisher.post("static", ping_id=ping["buyers"][1]["ping_id"], caller_id=CALLER)
    for n in range(2):
        publisher.full(caller_id=f"614555010{n}")
    assert reached(stage, "+18005550170", CALLER) == ("Buyer B", "+18005550182", START + 300)
    assert reached(stage, "+18005550170", "+16145550199") is None
    assert reached(stage, "+18005550199", "+16145550101") == ("Buyer A", "+18005550181", START + 300)


# The command


@pytest.fixture
def command(command: Command, stage: Stage) -> Command:
    """By the real clock."""
    stage.clock.now = int(time.time())
    return command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "my.yaml", a_document())


def said(told: Any) -> str:
    """Without the warning of the open endpoint."""
    return "".join(line for line in told.output.splitlines(keepends=True) if "is false: anybody can" not in line)


def written(path: Path, document: Plain) -> Path:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_a_file_with_mistakes_is_refused_with_all_of_them_by_line(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        """\
users:
  - {name: acme, role: boss}
ring_pools:
  - name: auto-us
    name: auto-us
    numbers: [+18005550100]
    hold_second: 300
    cooldown_seconds: 60
offers:
  - name: auto
    rank_by: bid
    buyers:
      - id: 1
        name: Buyer A
        number: +18005550181
        bid: 25.001
"""
    )
    for verb in ("check", "diff", "apply"):
        told = command(verb, file)
        assert told.exit_code == 1
        assert told.stderr.replace(str(file), "config.yaml").splitlines() == [
            "config.yaml:2: users[0].role: must be one of publisher, operator, viewer",
            "config.yaml:4: ring_pools[0].hold_seconds: is missing",
            "config.yaml:5: ring_pools[0].name: is given twice, first in line 4",
            "config.yaml:7: ring_pools[0].hold_second: unknown key `hold_second`; did you mean `hold_seconds`?",
            "config.yaml:16: offers[0].buyers[0].bid: must be an amount like 25.00, at most two decimals",
        ]


def test_broken_yaml_and_a_missing_file_are_one_line(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    assert command("check", file).stderr == f"{file}: No such file or directory\n"
    file.write_text("users: [\n")
    assert command("check", file).stderr.startswith(f"{file}:2: ")
    file.write_text("")
    assert command("check", file).stderr == f"{file}: it is empty\n"


def test_apply_shows_the_difference_and_asks(command: Command, file: Path, records: Records) -> None:
    refused = command("apply", file, input="n\n")
    assert refused.exit_code == 1
    assert "+ users[acme-media]  {name: acme-media, role: publisher, traffic_sources: [1023]}\n" in refused.output
    assert records.versions.current().version == 0
    assert "Version 1 is live" in command("apply", file, input="y\n").output
    assert records.versions.current().version == 1
    again = command("apply", file)
    assert (again.exit_code, said(again)) == (0, "Nothing to change.\n")


def test_what_is_valid_and_not_meant_is_told_by_line_and_applied(
    command: Command, file: Path, records: Records
) -> None:
    offer, endpoint = an_offer(buyers=[a_buyer(zone="EST", filters=["zips: 1001"])]), an_endpoint()
    written(file, a_document(offers=[offer], endpoints=[endpoint | {"require_auth_token": True}]))
    lines = [
        "warning: offers[0].buyers[0].zone: `EST` has no daylight saving time, and is an hour off all summer; "
        "write America/New_York",
        "warning: offers[0].buyers[0].filters[0]: `zip` is no contact field of the offer",
        "warning: offers[0].buyers[0].filters[0]: `1001` means all ZIP codes from 10010 to 10019; "
        "write 01001 if a 0 was lost before it",
    ]
    for arguments in (("check", file), ("diff", file), ("apply", file, "--yes")):
        told = command(*arguments)
        assert told.exit_code == 0
        found = [line.split(":", 2) for line in told.output.splitlines() if line.startswith(f"{file}:")]
        assert [rest.strip() for *_, rest in found] == lines
        assert {file.read_text().splitlines()[int(line) - 1].strip().split(":")[0] for _, line, _ in found} == {
            "zone",
            "- 'zips",
        }
        if arguments[0] == "check":
            assert told.output.endswith(f"{file} is right: 1 offer at 1 endpoint. Warnings: 3.\n")
    assert records.versions.current().version == 1


def test_diff_is_one_line_per_changed_path_and_changes_nothing(command: Command, file: Path, records: Records) -> None:
    assert command("apply", file, "--yes").exit_code == 0
    assert said(command("diff", file)) == "Nothing to change.\n"
    buyers = [a_buyer(bid="22.50"), a_buyer(id=3, name="Buyer C", number="+18005550183")]
    written(file, a_document(offers=[an_offer(buyers=buyers)], ring_pools=[a_ring_pool(numbers=NUMBERS[:2])]))
    assert said(command("diff", file)).splitlines() == [
        "Removes 1 buyer.",
        "Adds 1 buyer.",
        "Changes 1 buyer, 1 ring pool.",
        "~ ring_pools[auto-us].numbers  [+18005550100-+18005550107] → [+18005550100, +18005550101]",
        "~ offers[auto-insurance].buyers[1].bid  25.00 → 22.50",
        "+ offers[auto-insurance].buyers[3]  {id: 3, name: Buyer C, bid: 25.00, number: +18005550183}",
        "- offers[auto-insurance].buyers[2]  {id: 2, name: Buyer B, bid: 20.00, number: +18005550182}",
    ]
    assert records.versions.current().version == 1


@pytest.mark.parametrize("verb", ["diff", "apply"])
def test_what_does_not_fit_the_live_configuration_is_told_by_line(
    command: Command, file: Path, records: Records, stage: Stage, verb: str
) -> None:
    command("apply", file, "--yes")
    a_lease(stage, records, b"a ping")
    command("apply", written(file, a_document(ring_pools=[], endpoints=[])), "--yes")
    other = a_document(ring_pools=[a_ring_pool(name="other")], endpoints=[an_endpoint(ring_pool="other")])
    before = contents(stage)
    told = command(verb, written(file, other), *(["--yes"] if verb == "apply" else []))
    assert told.exit_code == 1
    assert verb == "apply" or contents(stage) == before
    assert f"{file}:9: ring_pools[0].numbers[0]: +1800555010" in told.stderr
    assert "was given up by ring pool auto-us, where it is held until" in told.stderr


def without(*names: str) -> list[Plain]:
    users = [a_user(name=name, role="operator", traffic_sources=[]) for name in ("olga", "otto")]
    return [user for user in [a_user(), *users] if user["name"] not in names]


OPERATORS_GO = [
    ([a_user()], "nobody can change anything by dashboard or API then"),
    ([a_user(name="olga", role="viewer"), a_user(name="otto", role="publisher")], "nobody can change anything"),
    ([a_user(name="desk", role="operator")], "desk cannot sign in until a command gives out a link or a token"),
]


@pytest.mark.parametrize(("users", "then"), OPERATORS_GO)
def test_a_file_that_leaves_no_operator_of_now_needs_a_word(
    command: Command, file: Path, records: Records, users: list[Plain], then: str
) -> None:
    command("apply", written(file, a_document(users=without())), "--yes")
    written(file, a_document(users=users))
    sentence = "This takes the role of operator from all who have it, olga, otto: "
    assert f"{sentence}{then}" in command("diff", file).output
    for arguments, typed in (([], "y\n"), ([], ""), (["--yes"], ""), (["--yes-remove-operator", "otto"], "")):
        refused = command("apply", file, *arguments, input=typed)
        assert (refused.exit_code, records.versions.current().version) == (1, 1), arguments
        assert sentence in refused.output
    assert "--yes-remove-operator olga" in command("apply", file, "--yes").stderr
    assert "Version 2 is live" in command("apply", file, input="olga\n").output


def test_a_flag_is_the_word_too_and_who_stays_is_not_asked(command: Command, file: Path, records: Records) -> None:
    command("apply", written(file, a_document(users=without())), "--yes")
    assert command("apply", written(file, a_document(users=without("otto"))), "--yes").exit_code == 0
    gone = written(file, a_document(users=without("olga", "otto")))
    assert command("apply", gone, "--yes", "--yes-remove-operator", "olga").exit_code == 0
    assert records.versions.current().names("users") == ["acme-media"]
    assert command("apply", written(file, a_document(users=[])), "--yes").exit_code == 0


def test_who_runs_the_command_is_asked_before_it_loses_its_own_role(
    command: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "otto")
    command("apply", written(file, a_document(users=without())), "--yes")
    refused = command("apply", written(file, a_document(users=without("otto"))), input="y\n")
    assert (refused.exit_code, "from you, otto:" in refused.output) == (1, True)


def test_what_apply_refuses_is_refused_by_compare_and_nothing_is_written(stage: Stage, records: Records) -> None:
    def compared(**overrides: Any) -> None:
        records.applying.check(configuration.read(a_document(**overrides)))

    apply(records, endpoints=[an_endpoint(vanity_uri=f"a{n}") for n in range(98)])
    before = contents(stage)
    with pytest.raises(Refused, match="changes or removes 100 endpoints: 100 writes at once; 98 is the most"):
        compared(endpoints=[an_endpoint(vanity_uri=f"a{n}") for n in range(50, 148)])
    with pytest.raises(Refused, match="98 endpoints and takes numbers out of a ring pool: 99 writes at once"):
        compared(ring_pools=[a_ring_pool(name="other")], endpoints=[])
    assert contents(stage) == before
    apply(records, endpoints=[an_endpoint(vanity_uri="a0")])
    before = contents(stage)
    with pytest.raises(InvalidConfiguration, match="belongs to ring pool auto-us now; take it out there"):
        compared(ring_pools=[a_ring_pool(name="other")], endpoints=[])
    noise = random.Random(1)
    fields = [a_contact_field(name=f"f{n}", description=noise.randbytes(500).hex()) for n in range(640)]
    with pytest.raises(Refused, match=r"takes 3\d\d KB; 300 KB is the most"):
        compared(offers=[an_offer(contact_fields=fields)], endpoints=[an_endpoint(vanity_uri="a0")])
    assert contents(stage) == before
    stage.client.delete_item(TableName=SETTINGS.leases_table, Key={"pk": {"S": "P1"}, "sk": {"S": "R0"}})
    with pytest.raises(Refused, match=r"^Rings of ring pool auto-us are gone"):
        compared(users=[])


def test_compare_knows_numbers_whose_giving_up_was_not_finished(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = [an_endpoint(tracking="static")]
    apply(records, endpoints=static)
    with monkeypatch.context() as dead:
        dead.setattr(Claiming, "free", lambda *_: None)
        apply(records, endpoints=[])
    with pytest.raises(InvalidConfiguration, match="was given up by endpoint my_endpoint, where it is held until"):
        records.applying.check(
            configuration.read(a_document(endpoints=[an_endpoint(tracking="static", vanity_uri="new")]))
        )


def test_history_users_tokens_and_routes_are_shown(command: Command, file: Path, publisher: Publisher) -> None:
    command("apply", file, "--yes")
    assert command("users").output == "acme-media  publisher  traffic sources: 1023\n"
    assert command("history").output.startswith("Version 1, 20")
    told, secret = command("tokens", "issue", "acme-media").output.splitlines()
    token_id = keys.token_hash(KEYS, secret)[:8]
    assert told == f"Token {token_id} of acme-media, post, no end. Keep it; it is not shown again:"
    listed = command("tokens", "list", "acme-media").output
    assert listed.startswith(f"{token_id}  acme-media  issued 20")
    assert secret not in listed
    assert command("history").output.startswith("Entry 2, 20")
    assert command("tokens", "revoke", token_id).exit_code == 0
    assert command("tokens", "list").output == ""
    assert command("tokens", "revoke", token_id).stderr == f"There is no token {token_id}.\n"
    number = publisher.full(caller_id=CALLER).body["trackdrive_number"]
    assert command("route", number, "6145550123").output.startswith("Buyer A (buyer 1) at +18005550181, until 20")
    unsold = "+18005550100" if number != "18005550100" else "+18005550101"
    assert command("route", unsold, CALLER).stderr == "Nowhere: no live sale has this number, for this caller.\n"
    assert command("route", "+18005550190", CALLER).stderr == "Nowhere: +18005550190 is not a number of this stack.\n"
    assert command("route", "here", "there").exit_code == 1


def test_a_missing_setting_and_a_missing_service_are_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RINGPOST_SECRET")
    assert command("users").stderr == "the environment variable RINGPOST_SECRET is not set\n"
    for name in SETTINGS.environment():
        monkeypatch.delenv(name, raising=False)
    told = command("--data", tmp_path, "users")
    assert told.exit_code == 1
    assert told.stderr == f"The local service of {tmp_path} is not running. Start it with `make run`.\n"


# The demonstration


@pytest.fixture
def _no_tokens_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in demo.TOKENS.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("_no_tokens_set")
def test_the_demo_is_loaded_once_and_its_tokens_stay(stage: Stage, tmp_path: Path) -> None:
    tokens = demo.prepare(stage.client, SETTINGS, tmp_path)
    before = contents(stage)
    assert demo.prepare(stage.client, SETTINGS, tmp_path) == tokens
    assert contents(stage) == before
    for user in demo.TOKENS:
        assert (tmp_path / f"{user}-token").stat().st_mode & 0o777 == 0o600
    publisher = Publisher(stage)
    assert publisher.ping("secure_endpoint", auth_token=tokens["demo-publisher"]).code == 200
    assert publisher.ping("my_endpoint").body["buyers"][0]["name"] == "Buyer A"
    wanted, _ = document.load(demo.CONFIGURATION)
    assert list(demo.ENDPOINTS) == [endpoint.vanity_uri for endpoint in wanted.endpoints]


@pytest.mark.usefixtures("_no_tokens_set")
def test_each_rule_of_the_demo_has_the_buyer_that_always_fails_it(stage: Stage, tmp_path: Path) -> None:
    operator = demo.prepare(stage.client, SETTINGS, tmp_path)["demo-operator"]
    publisher = Publisher(stage)
    stage.clock.now = int(time.time())
    for _ in range(24):
        stage.clock.forward(3600)
        answer = publisher.ping("rules_endpoint", explain="1", auth_token=operator, age="120", state="AK").body
        assert [reason["rule"] for reason in answer["explain"]] == ["paused", "schedule", "filter", "cap"]
        assert [buyer["name"] for buyer in answer["buyers"]] == ["Buyer J"]
    assert "explain" not in publisher.ping("rules_endpoint").body


@pytest.mark.usefixtures("_no_tokens_set")
@pytest.mark.parametrize("user", demo.TOKENS)
def test_a_demo_token_that_the_environment_sets_takes_the_place_of_the_other(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    first = demo.prepare(stage.client, SETTINGS, tmp_path)[user]
    monkeypatch.setenv(demo.TOKENS[user], "a token of mine")
    assert demo.prepare(stage.client, SETTINGS, tmp_path)[user] == "a token of mine"
    publisher = Publisher(stage)
    assert publisher.ping("secure_endpoint", auth_token="a token of mine").code == 200
    assert publisher.ping("secure_endpoint", auth_token=first).code == 401


def test_the_demo_leaves_an_operators_own_configuration_alone(stage: Stage, records: Records, tmp_path: Path) -> None:
    apply(records)
    assert all(token.startswith("(none") for token in demo.prepare(stage.client, SETTINGS, tmp_path).values())
    assert records.versions.current().version == 1


def test_compare_and_apply_say_how_long_numbers_stay_leased_by_the_times_before(
    command: Command, file: Path, records: Records, stage: Stage
) -> None:
    command("apply", file, "--yes")
    until = datetime.fromtimestamp(a_lease(stage, records, b"a ping").expires_at, UTC)
    written(file, a_document(ring_pools=[a_ring_pool(hold_seconds=120)]))
    note = f"1 number keeps its lease by the old times, until {until:%Y-%m-%d %H:%M:%S} UTC at the latest."
    assert note in command("diff", file).output
    assert note in command("apply", file, "--yes").output
    assert note not in command("diff", file).output


def test_compare_says_until_when_rings_stand_still_that_an_apply_closed_which_died(
    command: Command, file: Path, records: Records, stage: Stage
) -> None:
    command("apply", file, "--yes")
    pool = records.versions.current().pools["auto-us"]
    stage.world().rings.close(pool.no, pool.shards[0], stage.clock() - 1)
    assert said(command("diff", file)) == "Nothing to change.\n"
    stage.world().rings.close(pool.no, pool.shards[0], stage.clock() + 600)
    assert "Sales through ring pool auto-us stand still until 20" in command("diff", file).output
