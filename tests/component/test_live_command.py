"""What an operator does about live buyers by command: what is not settled, and where calls go."""

import time

import pytest

from shared import configuration
from shared.domain.live_bids import Reply
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import CALLER, KEYS, SETTINGS, Publisher, Scripted, Stage
from tests.component.conftest import Command
from tests.configurations import a_buyer, a_contact_field, a_document, an_offer

YES = b'{"success":true,"buyers":[{"bid":30,"ping_id":"1"}],"trackdrive_number":"18005550195"}'


@pytest.fixture
def command(command: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """On a stack with one live buyer, by the stage's clock."""
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    live = {"dialect": "ringpost", "ping_url": "https://a.example/ping", "post_url": "https://a.example/post"}
    buyer = {key: value for key, value in a_buyer(live=live).items() if key != "bid"}
    offer = an_offer(contact_fields=[a_contact_field(name="caller_id", type="phone")], buyers=[buyer])
    wanted = configuration.read(a_document(offers=[offer]))
    Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock).applying.apply(wanted, "somebody")
    return command


def test_a_call_goes_to_the_number_that_the_live_buyer_gave(
    command: Command, stage: Stage, publisher: Publisher
) -> None:
    stage.send = Scripted(lambda *_: Reply(200, YES))
    number = publisher.send("full", json_body={"caller_id": CALLER}).body["trackdrive_number"]
    assert "Buyer A (buyer 1) at +18005550195" in command("route", f"+{number}", CALLER).output


def test_what_is_not_settled_is_listed_and_settled(command: Command, stage: Stage, publisher: Publisher) -> None:
    assert command("unsettled").output == "0 not settled.\n"
    stage.send = Scripted(lambda _, call: Reply(500 if call.final else 200, YES))
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    assert not publisher.post(caller_id=CALLER, ping_id=ping_id).body["success"]
    stage.bring_stream()
    listed = command("unsettled").output
    assert f"{ping_id}  buyer 1  2100-01-01 00:00:00 UTC  its answer is not known" in listed
    assert stage.send.told[-1][1].headers["Idempotency-Key"] in listed
    assert CALLER not in listed
    told = command("settle", ping_id, 2)
    assert (told.exit_code, told.stderr) == (1, f"There is nothing to settle of {ping_id} with buyer 2.\n")
    assert command("settle", ping_id, 1).output == "Settled.\n"
    assert command("unsettled").output == "0 not settled.\n"


def test_the_secrets_of_the_local_run_are_in_its_file(command: Command) -> None:
    told = command("secrets", "set", "key", "--value", "1")
    assert told.exit_code == 1
    assert told.stderr.startswith("Of the local run they are in buyer-secrets.json")
