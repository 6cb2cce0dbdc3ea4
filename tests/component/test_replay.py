"""Stored decisions made again, by their own configuration and by another one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from shared import configuration
from shared.domain.keys import read_ping_id
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import CALLER, KEYS, SETTINGS, Publisher, Stage
from tests.component.conftest import Command
from tests.configurations import a_buyer, a_document, an_offer
from tools import replay

Replay = Callable[..., Result]

RULES = {
    "zone": "America/New_York",
    "schedule": {"open": {"daily": ["00:00-24:00"]}},
    "filters": ["state == TX"],
    "caps": {"sales": {"total": 2}},
}
BUYERS = [
    a_buyer(id=1, **RULES),
    a_buyer(id=2, name="Buyer B", bid="20.00"),
    a_buyer(id=3, name="Buyer C", paused=True),
]
HEAD = "PING at my_endpoint, 2100-01-01 00:00:00 UTC, configuration version 1\n"


@pytest.fixture
def replayed(command: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """The command, on a stack with three buyers, by the stage's clock. What happened until then is in the journal."""
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    monkeypatch.setenv("RINGPOST_JOURNAL_FOLDER", str(stage.place / "files"))
    apply(stage, *BUYERS)

    def replayed(*arguments: object) -> Result:
        stage.open_files()
        return command("replay", *arguments)

    return replayed


def apply(stage: Stage, *buyers: Any) -> None:
    wanted = configuration.read(a_document(offers=[an_offer(buyers=list(buyers))]))
    Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock).applying.apply(wanted, "somebody")


def a_file(tmp_path: Path, *buyers: Any) -> Path:
    file = tmp_path / "new.yaml"
    file.write_text(yaml.safe_dump(a_document(offers=[an_offer(buyers=list(buyers))])))
    return file


def test_a_decision_is_made_again_with_its_reasons_whatever_came_after(
    stage: Stage, publisher: Publisher, replayed: Replay
) -> None:
    ping = publisher.ping(caller_id=CALLER, state="OH").body
    apply(stage, a_buyer(id=2, bid="99.00"))
    stage.clock.forward(3600)
    for ping_id in (ping["try_all_buyers_ping_id"], ping["buyers"][0]["ping_id"]):
        told = replayed(ping_id)
        assert told.exit_code == 0
        assert told.output == HEAD + (
            "  Buyer B (2)              bids 20.00, payout 20.00\n"
            "  Buyer A (1)              fails filter: OH, the rule is state == TX (2099-12-31T19:00:00-05:00)\n"
            "  Buyer C (3)              fails paused: paused, the rule is not paused (2100-01-01T00:00:00+00:00)\n"
            "The same decision again.\n"
        )


def test_the_counts_that_decided_are_remembered(stage: Stage, publisher: Publisher, replayed: Replay) -> None:
    for n in range(2):
        publisher.post(caller_id=f"+1614555012{n}", state="TX")
    stage.clock.forward(3)
    ping = publisher.ping(state="TX").body["try_all_buyers_ping_id"]
    assert "Buyer A (1)              fails cap: 2, the rule is 2 sales in total" in replayed(ping).output


def test_another_file_shows_what_it_would_have_changed(publisher: Publisher, replayed: Replay, tmp_path: Path) -> None:
    ping = publisher.ping(state="OH").body["try_all_buyers_ping_id"]
    told = replayed(ping, "--config", a_file(tmp_path, *BUYERS[1:], a_buyer(id=1, bid="21.00")))
    assert told.exit_code == 0
    assert told.output.endswith(
        "With the file:\n"
        "  Buyer A (1)              bids 21.00, payout 21.00\n"
        "  Buyer B (2)              bids 20.00, payout 20.00\n"
        "  Buyer C (3)              fails paused: paused, the rule is not paused (2100-01-01T00:00:00+00:00)\n"
    )
    assert replayed(ping, "--config", a_file(tmp_path, *BUYERS)).output.endswith("would have changed nothing.\n")


def test_the_last_pings_are_compared_as_one_sum(
    stage: Stage, publisher: Publisher, replayed: Replay, tmp_path: Path
) -> None:
    for state in ("TX", "TX", "OH", "OH", "OH"):
        publisher.ping(state=state)
        stage.clock.forward(1)
    assert replayed().output == "5 PINGs decided again: 5 the same, 0 otherwise.\n"
    told = replayed("--last", 4, "--config", a_file(tmp_path, a_buyer(id=1, paused=True), *BUYERS[1:]))
    assert told.output.splitlines()[:2] == [
        "4 PINGs decided again: 4 the same, 0 otherwise.",
        f"{tmp_path / 'new.yaml'} would have changed 1 of them.",
    ]
    assert [line.split() for line in told.output.splitlines()[3:]] == [
        ["1", "1", "0", "1", "0"],
        ["2", "4", "4", "3", "4"],
    ]


def test_a_range_is_decided_again(stage: Stage, publisher: Publisher, replayed: Replay) -> None:
    for _ in range(4):
        publisher.ping(state="TX")
        stage.clock.forward(3600)
    for query, count in (
        (("--from", "2100-01-01T01:00", "--to", "2100-01-01T02:00"), 2),
        (("--from", "2100-01-01T01:00"), 3),
        (("--from", "2100-01-01T01:00", "--last", 2), 2),
        (("--to", "2099-12-31", "--zone", "America/New_York"), 4),
        (("--to", "2099-12-31"), 0),
    ):
        assert replayed(*query).output == f"{count} PINGs decided again: {count} the same, 0 otherwise.\n", query
    wrong = replayed("--from", "yesterday", "--zone", "Mars")
    assert (wrong.exit_code, {line.split()[0] for line in wrong.stderr.splitlines()}) == (1, {"zone"})


def test_what_was_erased_is_not_decided_again(stage: Stage, publisher: Publisher, replayed: Replay) -> None:
    publisher.ping(state="TX")
    ping_id = publisher.ping(state="TX", caller_id=CALLER).body["try_all_buyers_ping_id"]
    found = read_ping_id(KEYS, "my_endpoint", ping_id)
    assert found
    stage.world().pings.forget(found[0], stage.clock())
    assert replayed().output.startswith("1 PINGs decided again")


def test_no_table_is_scanned_to_find_the_last_pings(
    publisher: Publisher, replayed: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.ping(state="TX")
    sent, send = list[str](), Dynamo.send

    def noted(self: Dynamo, method: Any, *rest: Any, **request: Any) -> Any:
        sent.append(method.__name__)
        return send(self, method, *rest, **request)

    monkeypatch.setattr(Dynamo, "send", noted)
    assert replayed().output.startswith("1 PINGs decided again")
    assert "query" in sent
    assert "scan" not in sent


def test_what_nobody_wanted_is_decided_again_too(
    stage: Stage, publisher: Publisher, replayed: Replay, tmp_path: Path
) -> None:
    apply(stage, a_buyer(**RULES))
    for state in ("OH", "CA"):
        assert publisher.ping(state=state).body["status"] == "no_matching_buyer"
    told = replayed("--config", a_file(tmp_path, a_buyer(filters=["state in [OH, TX]"])))
    assert told.output.splitlines()[:2] == [
        "2 PINGs decided again: 2 the same, 0 otherwise.",
        f"{tmp_path / 'new.yaml'} would have changed 1 of them.",
    ]


def test_a_decision_that_comes_out_otherwise_is_told(
    publisher: Publisher, replayed: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    ping = publisher.ping(state="TX").body["try_all_buyers_ping_id"]
    decide = replay.decide
    monkeypatch.setattr(replay, "decide", lambda endpoint, ping: decide(endpoint, ping)[:1])
    told = replayed(ping)
    assert told.exit_code == 1
    assert "It was decided otherwise:" in told.output
    many = replayed()
    assert many.exit_code == 1
    assert many.output == f"1 PINGs decided again: 0 the same, 1 otherwise.\n  {ping}\n"


@pytest.mark.parametrize("ping_id", ["pg_", "nonsense", "pg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_an_id_that_is_none_is_one_sentence(replayed: Replay, ping_id: str) -> None:
    told = replayed(ping_id)
    assert (told.exit_code, told.stderr) == (
        1,
        f"There is no PING {ping_id}: it is of another stack, or deleted.\n",
    )
