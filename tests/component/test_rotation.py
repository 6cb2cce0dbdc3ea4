"""Keys rotate, and nothing that was made before is lost: processes with old and new keys work side by side."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from shared import configuration, runtime
from shared.configuration import Retention
from shared.domain import key_list
from shared.domain.key_list import BOTH_SECONDS, DASHBOARDS, SHARED, WAIT_SECONDS, Listed, Secrets, keys_at
from shared.domain.keys import Key, Keys
from shared.domain.models import DAY, User
from shared.domain.objections import TokenUnknown
from shared.domain.readers import Reader
from shared.domain.refusals import TemporarilyUnavailable
from shared.office import dashboard as edge
from shared.operators import log
from shared.operators.access import Office
from shared.store import keyring as store
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.journal import Journal
from shared.store.keyring import KeyMissing, Keyring
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
    an_endpoint,
    forget_process,
)
from tests.component.conftest import Command
from tests.configurations import a_document

BEGAN = key_list.read("", bytes(32), SHARED)
ROTATED = BEGAN.with_key("callers", 2, b"c" * 32).with_key("ping_ids", 2, b"p" * 32).with_key("tokens", 2, b"t" * 32)
LIST = [
    Listed(kind, key_id, since, ROTATED.fingerprint(kind, key_id))
    for kind in ("callers", "ping_ids", "tokens")
    for key_id, since in ((1, 0), (2, START))
]
BEFORE, MEANWHILE, AFTER = (keys_at(ROTATED, LIST, at) for at in (START - 1, START, START + BOTH_SECONDS))
STATIC = "+18005550170"
EVERYTHING = Reader("olga", None)
ANA = edge.Session("ana", 1)


def with_keys(stage: Stage, keys: Keys) -> Publisher:
    """A process with other keys, over the same tables."""
    return Publisher(Stage(stage.client, keys=keys, clock=stage.clock))


STEPS = pytest.mark.parametrize(
    ("first", "second"),
    [(KEYS, BEFORE), (KEYS, MEANWHILE), (BEFORE, MEANWHILE), (MEANWHILE, AFTER), (AFTER, MEANWHILE)],
    ids=["list", "upgrade", "begin", "end", "late"],
)


@STEPS
@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_retry_over_a_rotation_has_the_same_answer_and_sells_nothing(
    stage: Stage, first: Keys, second: Keys, verb: str
) -> None:
    stage.publish(an_endpoint())
    sold = with_keys(stage, first).send(verb, json_body={"caller_id": CALLER})
    again = with_keys(stage, second).send(verb, json_body={"caller_id": CALLER})
    assert sold.body["success"]
    assert again.text == sold.text


@STEPS
def test_an_idempotency_key_holds_over_a_rotation(stage: Stage, first: Keys, second: Keys) -> None:
    stage.publish(an_endpoint())
    answers = []
    for keys in (first, second):
        process = with_keys(stage, keys)
        ping_id = process.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
        sent = {"ping_id": ping_id, "caller_id": CALLER}
        answers.append(process.send("post", json_body=sent, headers={"Idempotency-Key": "one"}))
    assert answers[0].text == answers[1].text
    other = {"caller_id": CALLER, "state": "TX", "traffic_source_id": "1", "ping_id": ping_id}
    refused = with_keys(stage, second).send("post", json_body=other, headers={"Idempotency-Key": "two"})
    assert refused.body["status"] == "ping_id_used" or refused.body["success"]


@STEPS
def test_a_ping_is_sold_after_a_rotation(stage: Stage, first: Keys, second: Keys) -> None:
    stage.publish(an_endpoint())
    ping_id = with_keys(stage, first).ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    sold = with_keys(stage, second).post(ping_id=ping_id, caller_id=CALLER)
    assert sold.body["success"]
    assert with_keys(stage, first).post(ping_id=ping_id, caller_id=CALLER).text == sold.text


def test_a_warm_function_reads_the_keys_again_for_a_ping_id_whose_key_it_does_not_know(stage: Stage) -> None:
    stage.publish(an_endpoint())
    ping_id = with_keys(stage, MEANWHILE).ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    old = Publisher(stage)
    assert old.post(ping_id=ping_id, caller_id=CALLER).body["status"] == "ping_id_unknown"
    world = replace(stage.world(), newest_keys=lambda: MEANWHILE)
    assert old.send("post", world=world, json_body={"ping_id": ping_id, "caller_id": CALLER}).body["success"]


@STEPS
def test_who_was_listed_or_sold_is_refused_after_a_rotation(stage: Stage, first: Keys, second: Keys) -> None:
    stage.publish(
        an_endpoint(suppression=("dnc",)),
        an_endpoint(vanity_uri="once", duplicate_seconds=DAY),
        an_endpoint(vanity_uri="buyer", buyers=(a_buyer(duplicate_seconds=DAY),)),
    )
    with_keys(stage, first).stage.world().callers.enlist("dnc", ["+16145550124", "+1615*"])
    for uri in ("once", "buyer"):
        assert with_keys(stage, first).full(uri, caller_id=CALLER).body["success"]
    stage.clock.forward(400)  # the hold is over, so that this is no retry
    later = with_keys(stage, second)
    for listed in ("+16145550124", "+16155550100"):
        assert later.ping(caller_id=listed).body["status"] == "caller_number_suppressed"
    assert later.ping("once", caller_id=CALLER).body["status"] == "duplicate_caller"
    assert later.ping("buyer", caller_id=CALLER).body["status"] == "no_matching_buyer"


def test_a_mark_is_never_against_itself_and_goes_from_both_places_if_nothing_is_sold(stage: Stage) -> None:
    callers = Callers(Dynamo(stage.client, SETTINGS), MEANWHILE)
    assert callers.mark(CALLER, {"offer#a": DAY}, b"ping", b"attempt", START) == {}
    assert callers.mark(CALLER, {"offer#a": DAY}, b"ping", b"attempt", START) == {}
    for keys in (BEFORE, MEANWHILE, AFTER):
        [mark] = (
            Callers(Dynamo(stage.client, SETTINGS), keys).mark(CALLER, {"offer#a": DAY}, b"x", b"x", START).values()
        )
        assert mark.ping_id == b"ping"
    callers.unmark(CALLER, ["offer#a"], b"ping", b"attempt")
    assert callers.look_up(CALLER, listed=False, sold=True).sold == {}


def test_what_the_second_place_refuses_is_taken_back_from_the_first(stage: Stage) -> None:
    dynamo = Dynamo(stage.client, SETTINGS)
    Callers(dynamo, AFTER).mark(CALLER, {"offer#a": DAY}, b"later", b"later", START)
    assert Callers(dynamo, MEANWHILE).mark(CALLER, {"offer#a": DAY}, b"ping", b"attempt", START)
    assert Callers(dynamo, BEFORE).mark(CALLER, {"offer#a": DAY}, b"other", b"other", START) == {}


def test_a_list_that_is_loaded_again_moves_over_and_needs_the_earlier_key_no_more(stage: Stage) -> None:
    dynamo = Dynamo(stage.client, SETTINGS)
    entries = ["+16145550124", "+1615*"]
    Callers(dynamo, KEYS).enlist("dnc", entries)
    Callers(dynamo, KEYS).enlist("other", entries[:1])
    only_new = structs.replace(AFTER, callers=AFTER.callers[:1])
    Callers(dynamo, MEANWHILE).enlist("dnc", entries)
    assert Callers(dynamo, only_new).lists_by_entry("+16155550100") == {"+1615*": ["dnc"]}
    assert Callers(dynamo, KEYS).lists_by_entry("+16155550100") == {}
    assert Callers(dynamo, KEYS).lists_by_entry(entries[0]) == {entries[0]: ["other"]}
    assert Callers(dynamo, AFTER).lists_by_entry(entries[0]) == {entries[0]: ["dnc", "other"]}
    Callers(dynamo, AFTER).unsuppress("other", entries)
    assert Callers(dynamo, AFTER).lists_by_entry(entries[0]) == {entries[0]: ["dnc"]}


def test_more_keys_cost_no_more_calls(stage: Stage) -> None:
    """But for one more write of a retry key and of a mark while a rotation is under way."""
    stage.publish(an_endpoint(suppression=("dnc",), duplicate_seconds=1, pool=None, static_numbers={STATIC: "1"}),
                  an_endpoint(vanity_uri="pooled", suppression=("dnc",), duplicate_seconds=1))  # fmt: skip
    calls: dict[str, list[int]] = {}
    for keys in (KEYS, BEFORE, AFTER, MEANWHILE):
        process = with_keys(stage, keys)
        process.stage.world().endpoint("my_endpoint")
        process.stage.world().endpoint("pooled")
        stage.clock.forward(1000)
        for verb, uri in (("ping", "my_endpoint"), ("ping", "pooled"), ("full", "pooled")):
            process.stage.world().endpoint(uri)
            dynamo = Counting(stage.client, SETTINGS)
            sent = {"caller_id": CALLER, "trackdrive_number": STATIC} if uri == "my_endpoint" else {"caller_id": CALLER}
            assert process.send(verb, uri, world=process.stage.world_over(dynamo), json_body=sent).body["success"]
            calls.setdefault(f"{verb} {uri}", []).append(dynamo.calls)
    for one, before, after, meanwhile in calls.values():
        assert one == before == after
        assert meanwhile <= one + 2


@STEPS
def test_a_route_of_before_leads_on_and_is_not_replaced_by_others(stage: Stage, first: Keys, second: Keys) -> None:
    stage.publish(an_endpoint(static_numbers={STATIC: "1023"}))
    sent = {"caller_id": CALLER, "trackdrive_number": STATIC}
    before, later = with_keys(stage, first), with_keys(stage, second)
    ping_id = before.ping(**sent).body["try_all_buyers_ping_id"]
    assert before.post(ping_id=ping_id, **sent).body["success"]
    later.ping(**sent)
    for process in (before, later):
        route = process.stage.route(STATIC)
        assert route
        assert route.sold
    assert later.post(ping_id=later.ping(**sent).body["try_all_buyers_ping_id"], **sent).body["success"]
    assert later.stage.route(STATIC) != route


@STEPS
def test_a_caller_is_found_and_erased_over_a_rotation(stage: Stage, first: Keys, second: Keys) -> None:
    stage.publish(an_endpoint(duplicate_seconds=1))
    before, later = with_keys(stage, first), with_keys(stage, second)
    before.full(caller_id=CALLER)
    stage.clock.forward(10)
    later.ping(caller_id=CALLER)
    dynamo = Dynamo(stage.client, SETTINGS)
    newest = max(first, second, key=lambda keys: (len(keys.callers), keys.callers[0].id))
    records = Records(dynamo, newest, stage.clock)
    journal = Journal(dynamo, newest, InTurn())
    office = Office(records, Callers(dynamo, newest), journal, stage.open_files, stage.leads_until)
    found = log.pings_of(office, EVERYTHING, CALLER, size=1)
    assert [entry.outcome for entry in found.entries] == ["open"]
    following = log.pings_of(office, EVERYTHING, CALLER, found.cursor, size=1)
    assert [entry.outcome for entry in following.entries] == ["sold"]
    stage.keys = newest
    assert stage.finishing().erasing.preview(CALLER, "me").marks
    assert stage.erase(CALLER).pings == 2
    assert stage.client.scan(TableName="callers")["Items"] == []


@STEPS
def test_tokens_are_good_over_a_rotation(stage: Stage, first: Keys, second: Keys) -> None:
    stage.publish(an_endpoint(require_auth_token=True, users=(User("acme", "publisher"),)))
    with_keys(stage, first).stage.give_token("secret", "acme")
    later = with_keys(stage, max(first, second, key=lambda keys: len(keys.tokens)))
    assert later.ping(auth_token="secret").body["success"]
    assert later.ping(auth_token="wrong").body["status"] == "unauthorized"


# A process and its keys


def a_ring(secrets: list[Secrets]) -> Keyring:
    """Reads the last of these secrets."""
    return Keyring(lambda: secrets[-1])


def test_a_process_reads_the_secret_again_when_the_list_names_a_key_that_it_lacks(stage: Stage) -> None:
    dynamo, secrets = Dynamo(stage.client, SETTINGS), [BEGAN]
    ring = a_ring(secrets)
    ring.check(dynamo, START)
    assert ring.keys(START) == key_list.derive(bytes(32))
    put_list(stage, [each for each in LIST if each.kind == "callers"])
    secrets.append(ROTATED)
    ring.renew(dynamo, START - 1)
    assert [key.id for key in ring.keys(START - 1).callers] == [1, 2]
    assert [key.id for key in ring.keys(START).callers] == [2, 1]
    assert [key.id for key in ring.keys(START).ping_ids] == [1]  # which the list does not have yet


def put_list(stage: Stage, listed: list[Listed]) -> None:
    dynamo = Dynamo(stage.client, SETTINGS)
    assert store.lock(dynamo, b"me", START)
    assert not store.lock(dynamo, b"other", START)
    for kind in {each.kind for each in listed}:
        store.change(dynamo, b"me", kind, [each for each in listed if each.kind == kind])
    store.unlock(dynamo, b"me")


def test_a_process_that_lacks_a_key_stops_and_never_says_not_suppressed(stage: Stage) -> None:
    stage.publish(an_endpoint(suppression=("dnc",)))
    put_list(stage, LIST)
    ring = a_ring([BEGAN])
    dynamo = Dynamo(stage.client, SETTINGS)
    ring.renew(dynamo, START - 1)
    assert ring.missing is None  # it does not sign yet
    ring.renew(dynamo, START)
    with pytest.raises(TemporarilyUnavailable) as stopped:
        ring.check(dynamo, START)
    assert isinstance(stopped.value.__cause__, KeyMissing)
    assert str(ring.missing).startswith(
        "The secret lacks keys that stored data needs: ping_ids 2, tokens 2, callers 2."
    )
    dynamo.fault = ring.missing
    process = Publisher(stage)
    process.ping(caller_id=CALLER)  # it knows the endpoint
    answer = process.send("ping", world=stage.world_over(dynamo), json_body={"caller_id": CALLER})
    assert (answer.code, answer.body["status"]) == (503, "temporarily_unavailable")


def test_a_function_that_lacks_a_key_answers_503_and_its_log_says_which(
    stage: Stage, secret_files: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    stage.publish(an_endpoint(suppression=("dnc",)))
    dynamo, ring = runtime.stack()
    ring.lists = True
    ring.renew(dynamo, START)
    secret_files["SECRET_FILE"].write_text("11" * 32)
    forget_process()
    world = runtime.world()
    answer = Publisher(stage).send("ping", world=world, json_body={"caller_id": CALLER})
    assert (answer.code, answer.body["status"]) == (503, "temporarily_unavailable")
    logged = [record.__dict__ for record in caplog.records]
    missing = "The secret lacks keys that stored data needs: ping_ids 1, tokens 1, callers 1."
    assert any(str(line.get("sentence")).startswith(missing) for line in logged)
    assert logged[-1]["error"] == "KeyMissing"


def test_another_secret_in_the_place_of_ours_is_found_out(stage: Stage) -> None:
    dynamo = Dynamo(stage.client, SETTINGS)
    Keyring(lambda: BEGAN, lists=True).renew(dynamo, START)
    ring = Keyring(lambda: key_list.read("", b"another", SHARED))
    ring.renew(dynamo, START)
    assert ring.missing
    with pytest.raises(TemporarilyUnavailable):
        ring.check(dynamo, START)


def test_a_cookie_is_not_made_from_the_secret_of_publishers_functions_and_outlives_a_rotation() -> None:
    old, new = Key(1, b"old"), Key(2, b"new")
    ours = [structs.replace(KEYS, sessions=sessions) for sessions in ((old,), (old, new), (new, old), (new,))]
    cookies = [edge.session_cookie(keys, ANA) for keys in ours]

    def is_good(keys: Keys, cookie: str) -> bool:
        try:
            return edge._session(keys, cookie) == ANA
        except TokenUnknown:
            return False

    assert [is_good(ours[2], cookie) for cookie in cookies] == [True] * 4
    assert not is_good(ours[3], cookies[0])
    secrets = [key.secret for kind in (KEYS.ping_ids, KEYS.tokens, KEYS.callers) for key in kind]
    for secret in [*secrets, KEYS.asks, bytes(32)]:
        assert not is_good(KEYS, edge.session_cookie(structs.replace(KEYS, sessions=(Key(1, secret),)), ANA))


# The command


@pytest.fixture
def secret_files(
    tmp_path: Path,
    command: Command,  # noqa: ARG001 (it sets the environment first)
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Path]:
    """The command's stack keeps its secrets in files, as the local run does."""
    files = {"SECRET_FILE": tmp_path / "secret", "SESSION_SECRET_FILE": tmp_path / "sessions"}
    monkeypatch.delenv("RINGPOST_SECRET")
    for variable, file in files.items():
        file.write_text("00" * 32)
        monkeypatch.setenv(f"RINGPOST_{variable}", str(file))
    return files


def test_a_key_is_rotated_and_retired_by_commands(
    stage: Stage, command: Command, secret_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    clock = [now]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    dynamo = Dynamo(stage.client, SETTINGS)
    Callers(dynamo, KEYS).enlist("dnc", ["+16145550124"])
    assert "callers 1  signs  1 entry of a suppression list" in command("secrets", "status").stdout
    assert "callers 2 signs from" in command("secrets", "rotate", "callers").stdout
    assert secret_files["SECRET_FILE"].stat().st_mode & 0o777 == 0o600
    assert "is under way" in command("secrets", "rotate", "callers").stderr
    assert "callers 1 still signs. If you have just rotated it, wait 2 minutes" in (
        command("secrets", "retire", "callers", "1").stderr
    )
    assert " on. Rotate it first." in command("secrets", "retire", "callers", "2").stderr
    clock[0] += WAIT_SECONDS
    said = command("secrets", "status").stdout
    assert "callers 1  is read  1 entry of a suppression list, leads, routes and retries until" in said
    assert "callers 2  signs" in said
    clock[0] += BOTH_SECONDS
    assert "still needed: 1 entry of a suppression list, leads" in command("secrets", "retire", "callers", "1").stderr
    clock[0] += Retention().lead_days * DAY
    assert "still needed: 1 entry of a suppression list" in command("secrets", "retire", "callers", "1").stderr
    held = key_list.read(secret_files["SECRET_FILE"].read_text(), b"", SHARED)
    Callers(dynamo, keys_at(held, store.read_listed(dynamo), clock[0])).enlist("dnc", ["+16145550124"])
    assert command("secrets", "retire", "callers", "1").exit_code == 0
    assert [*key_list.read(secret_files["SECRET_FILE"].read_text(), b"", SHARED).keys["callers"]] == [2]
    assert command("history").exit_code == 0
    assert "sessions 2 signs from" in command("secrets", "rotate", "sessions").stdout
    assert [*json.loads(secret_files["SESSION_SECRET_FILE"].read_text())["keys"]] == [*DASHBOARDS]


def test_a_key_of_callers_is_needed_as_long_as_leads_that_it_has_hashed(
    stage: Stage, command: Command, secret_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the account says later."""
    assert secret_files
    clock = [START]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, lambda: clock[0])
    for days in (90, 5):
        account = {"retention": {"lead_days": days}}
        records.applying.apply(configuration.read(a_document(account=account)), "somebody")
        clock[0] += DAY
    assert command("secrets", "rotate", "callers").exit_code == 0
    assert "leads, routes and retries until 2100-04-02" in command("secrets", "status").stdout
    clock[0] = START + 91 * DAY - 1
    assert "still needed: leads" in command("secrets", "retire", "callers", "1").stderr
    clock[0] += 1
    assert command("secrets", "retire", "callers", "1").exit_code == 0


def test_a_rotation_that_died_is_begun_again_with_the_same_key(command: Command, secret_files: dict[str, Path]) -> None:
    written = key_list.write(BEGAN.with_key("tokens", 2, b"2" * 32), SHARED)
    secret_files["SECRET_FILE"].write_text(written)
    assert command("secrets", "rotate", "tokens").exit_code == 0
    assert secret_files["SECRET_FILE"].read_text() == written


def test_a_lost_key_stops_commands_until_it_is_given_up(command: Command, secret_files: dict[str, Path]) -> None:
    assert command("users").exit_code == 0
    secret_files["SECRET_FILE"].write_text("11" * 32)
    forget_process()
    said = command("users").stderr
    assert said.startswith("The secret lacks keys that stored data needs: ping_ids 1, tokens 1, callers 1.")
    assert "callers 1  MISSING" in command("secrets", "status").stdout
    for kind in ("ping-ids", "tokens", "callers"):
        assert command("secrets", "retire", kind, "1").exit_code == 1
        assert command("secrets", "retire", kind, "1", "--lost").exit_code == 0
    assert command("users").exit_code == 0


def test_a_secret_in_a_variable_is_not_rotated_from_here(command: Command) -> None:
    assert "cannot be changed from here" in command("secrets", "rotate", "callers").stderr
    assert "not known here" in command("secrets", "rotate", "sessions").stderr
