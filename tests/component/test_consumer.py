"""The stream of an engine becomes pages: each event once, whatever fails, comes twice or cannot be read."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.metrics import EphemeralMetrics

from functions.journal.handler import lambda_handler
from shared import runtime
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.consumer import Consumed, EndpointOf, Record, consume, remembering
from shared.journal.dead_letters import DeadLetters, Replayed
from shared.journal.events import is_of_interest, read_event
from shared.journal.pages import HOUR, Pages
from shared.journal.passing import Passing
from shared.journal.rows import Row, decode
from shared.journal.storage import Folder
from shared.publishers import metrics
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo
from tests.build import CALLER, SETTINGS, Counting, InTurn, Publisher, Stage, an_endpoint, forget_process, rows_of
from tests.component.conftest import Command
from tools import engine
from tools.local.streams import Stream

Event = dict[str, list[dict[str, Any]]]


class Journal:
    """A stage whose stream can be read, and what the journal function works with."""

    def __init__(self, stage: Stage, stream: Stream, folder: Path) -> None:
        self.stage, self.stream = stage, stream
        self.dynamo = Counting(stage.client, SETTINGS)
        self.pages = Pages(self.dynamo, stage.clock, InTurn())
        self.endpoint_of: EndpointOf = remembering(Compiled(self.dynamo, Memory()), {})
        self.storage = Folder(folder)
        self.dead = DeadLetters(self.storage, stage.clock)

    def sell(self, lead: int = 0) -> None:
        assert Publisher(self.stage).full(caller_id=f"+1614555{100 + lead:04}").code == 200

    def event(self) -> Event:
        """What has come of the stream since it was last asked, but for what the filters of AWS leave out."""
        batch = self.stream.next_batch()
        assert batch
        assert self.stream.note_done(batch, {"batchItemFailures": []})
        return {"Records": [record for record in batch.records if is_of_interest(read_event(record))]}

    def consume(
        self, event: Mapping[str, Sequence[Record]], set_aside: Callable[[Any, str], None] | None = None
    ) -> Consumed:
        return consume(
            event,
            self.pages,
            self.endpoint_of,
            set_aside or self.dead.add,
            self.stage.follow_up(self.dynamo, self.endpoint_of),
        )

    def rows(self) -> list[Row]:
        return rows_of(self.pages)

    def kinds(self) -> list[str]:
        return sorted(row.kind for row in self.rows())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        arn = client.describe_table(TableName=SETTINGS.pings_table)["Table"]["LatestStreamArn"]
        stage = Stage(client)
        stage.publish(an_endpoint())
        yield Journal(stage, Stream(engine.streams_client(url), arn, tmp_path / "positions"), tmp_path / "journal")


def broken(event: Event, place: int) -> Event:
    """The batch with a record that has a ping nobody can read."""
    event = copy.deepcopy(event)
    event["Records"][place]["dynamodb"]["NewImage"]["ping"] = {"B": "AAAA"}
    return event


def test_a_sale_is_in_the_journal_with_its_ping(journal: Journal) -> None:
    journal.sell()
    done = journal.consume(journal.event())
    assert (done.failed, done.rows, done.pages, done.set_aside) == ([], 2, 1, 0)
    ping, sale = sorted(journal.rows(), key=lambda row: row.kind)
    assert (ping.kind, ping.status, ping.bids, ping.endpoint) == ("ping", "success", 2, "my_endpoint")
    assert (sale.kind, sale.revenue_cents, sale.buyer, sale.ping) == ("sale", 2500, 1, ping.ping)


def test_what_happened_is_counted_once_it_is_written(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.stage.publish(an_endpoint(vanity_uri="empty", buyers=()))
    journal.sell()
    Publisher(journal.stage).ping("empty", caller_id=CALLER)
    event = journal.event()
    done = journal.consume(event)
    assert (done.pings, done.unmatched, done.bids, done.sales) == (2, 1, 2, 1)
    assert (done.revenue_cents, done.payout_cents) == (2500, 2500)

    def refuse(*_: object) -> int:
        raise TemporarilyUnavailable

    monkeypatch.setattr(journal.pages, "write", refuse)
    done = journal.consume(event)
    assert len(done.failed) == len(event["Records"])
    assert (done.rows, done.pings, done.sales, done.revenue_cents) == (0, 0, 0, 0)


def test_a_batch_that_comes_twice_and_in_parts_is_there_once(journal: Journal) -> None:
    for lead in range(3):
        journal.sell(lead)
    event = journal.event()
    halves: list[Event] = [{"Records": event["Records"][:2]}, {"Records": event["Records"][2:]}]
    for each in (*halves, event, event, *halves):
        assert journal.consume(each).failed == []
    assert journal.kinds() == ["ping"] * 3 + ["sale"] * 3


def test_probes_that_come_twice_in_a_batch_are_noted_once(journal: Journal) -> None:
    passing = Passing(journal.pages.dynamo, journal.stream.client, journal.stage.clock)
    run = passing.start()
    for stream in journal.stage.streams:
        assert not passing.has_passed(run)
        while batch := stream.next_batch():
            assert journal.consume({"Records": [*batch.records, *batch.records]}).failed == []
            assert stream.note_done(batch, {"batchItemFailures": []})
    assert passing.has_passed(run)


def test_the_version_of_an_endpoint_is_read_once(journal: Journal) -> None:
    for lead in range(2):
        journal.sell(lead)
        journal.consume(journal.event())
    assert journal.dynamo.calls == 1 + 2 * 3  # a version; a batch asks who was erased, and makes a page and a mark


def test_a_version_that_is_gone_costs_only_the_reasons(journal: Journal) -> None:
    journal.sell()
    event = journal.event()
    journal.stage.client.delete_item(
        TableName=SETTINGS.config_table, Key={"pk": {"S": "ENDPOINT#my_endpoint"}, "sk": {"S": "V00000001"}}
    )
    assert journal.consume(event).failed == []
    assert [row.reasons for row in journal.rows()] == ["", ""]


def test_a_record_that_cannot_be_read_is_set_aside_and_the_others_go_on(journal: Journal) -> None:
    for lead in range(2):
        journal.sell(lead)
    event = journal.event()
    unread = broken(event, 0)
    done = journal.consume(unread)
    assert (done.failed, done.set_aside) == ([], 1)
    assert journal.kinds() == ["ping", "sale", "sale"]
    [name] = journal.storage.names("dead/")
    assert name == f"dead/2100-01-01/{event['Records'][0]['eventID']}.json"
    letter = json.loads(journal.storage.get(name))
    assert letter["record"] == unread["Records"][0]
    assert "cannot be read" in letter["error"]


def test_a_record_with_a_strange_id_is_set_aside_under_another_name(journal: Journal) -> None:
    journal.sell()
    event = journal.event()
    for strange in ("../x", 5, None, "", "x" * 200):
        event["Records"][0]["eventID"] = strange
        event["Records"][0]["dynamodb"]["NewImage"] = None
        assert journal.consume(broken_id(event)).set_aside == 1
    assert len(journal.storage.names("dead/2100-01-01/")) == 5


def broken_id(event: Event) -> Event:
    found = copy.deepcopy(event)
    found["Records"][0]["dynamodb"]["NewImage"] = {"ping_id": {"B": "no base64!"}}
    return {"Records": found["Records"][:1]}


def no_answer(*_: object) -> Any:
    raise TemporarilyUnavailable(not_done=True)


def test_where_the_configuration_does_not_answer_the_batch_fails_from_there_on(journal: Journal) -> None:
    for lead in range(3):
        journal.sell(lead)
    event = journal.event()
    numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
    asked = iter(range(99))
    known = journal.endpoint_of
    journal.endpoint_of = lambda uri, version: known(uri, version) if next(asked) < 2 else no_answer()
    done = journal.consume(event)
    assert done.failed
    assert done.failed == numbers[-len(done.failed) :]
    assert len(journal.rows()) == 2
    journal.endpoint_of = known
    rest = [record for record in event["Records"] if record["dynamodb"]["SequenceNumber"] in done.failed]
    assert journal.consume({"Records": rest}).failed == []
    assert journal.kinds() == ["ping"] * 3 + ["sale"] * 3


def test_where_the_journal_or_the_storage_does_not_answer_all_of_it_comes_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.sell()
    event = journal.event()
    numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
    with monkeypatch.context() as patched:
        patched.setattr(journal.pages, "_mark", no_answer)
        assert journal.consume(event) == Consumed(numbers, 0, 0, 0)
    assert journal.consume(broken(event, 0), no_answer).failed == numbers
    assert journal.consume(event).failed == []
    assert journal.kinds() == ["ping", "sale"]
    assert journal.pages.marked(journal.stage.clock() + HOUR)


def test_what_went_through_is_removed_by_a_replay_and_the_rest_stays(journal: Journal) -> None:
    for lead in range(2):
        journal.sell(lead)
    event = journal.event()
    journal.consume(broken(event, 0))
    journal.dead.add(event["Records"][0], "a version before could not read it")
    bad = {**broken(event, 0)["Records"][0], "eventID": "still-bad"}
    journal.dead.add(bad, "")
    journal.storage.put("dead/2100-01-01/cut.json", b'{"error": "", "rec')
    payload = json.dumps({"Records": event["Records"][2:]})
    journal.storage.put("aws/lambda/1/shard/2100/01/01/x", json.dumps({"version": "1.0", "payload": payload}).encode())
    assert journal.dead.replay(journal.consume) == Replayed(
        2,
        {
            "dead/2100-01-01/cut.json": "the file is not whole",
            "dead/2100-01-01/still-bad.json": "the item cannot be read (UnknownFormat)",
        },
    )
    assert journal.kinds() == ["ping", "ping", "sale", "sale"]
    assert len(journal.storage.names("")) == 2


def test_a_replay_without_an_answer_keeps_the_file(journal: Journal) -> None:
    journal.sell()
    journal.dead.add(journal.event()["Records"][0], "")
    journal.endpoint_of = no_answer
    with pytest.raises(TemporarilyUnavailable):
        journal.dead.replay(journal.consume)
    assert len(journal.storage.names("dead/")) == 1


def test_the_stream_goes_on_where_it_was_left_also_in_another_run(journal: Journal) -> None:
    journal.sell()
    batch = journal.stream.next_batch()
    assert batch
    second = batch.records[1]["dynamodb"]["SequenceNumber"]
    assert not journal.stream.note_done(batch, {"batchItemFailures": [{"itemIdentifier": second}]})
    again = Stream(journal.stream.client, journal.stream._arn, journal.stream._file).next_batch()
    assert again
    assert again.records == batch.records[1:]
    assert journal.stream.note_done(again, {"batchItemFailures": []})
    assert journal.stream.next_batch() is None


# The function and the command


@pytest.fixture
def environment(stage: Stage, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    assert stage
    monkeypatch.setenv("RINGPOST_JOURNAL_FOLDER", str(tmp_path / "kept"))
    monkeypatch.setattr(metrics, "_metrics", EphemeralMetrics(namespace=metrics.NAMESPACE, service="ringpost"))
    monkeypatch.setattr(runtime, "read_clock", stage.clock)
    forget_process()
    return command


@pytest.mark.usefixtures("environment")
def test_the_function_says_what_it_did_and_what_has_to_come_again(
    journal: Journal, stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage.publish(an_endpoint())
    journal.sell()
    event = journal.event()
    assert lambda_handler(broken(event, 0), None) == {"batchItemFailures": []}  # type: ignore[arg-type]
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"JournalRows"' in line]
    assert {name: sum(value) for name, value in line.items() if name not in ("_aws", "function", "service")} == {
        "JournalBatches": 1, "JournalRows": 1, "JournalPages": 1, "SetAside": 1,
        "Pings": 0, "Unmatched": 0, "Bids": 0, "Sales": 1, "RevenueCents": 2500, "PayoutCents": 2500,
        "Calls": 0, "ConnectedCalls": 0, "ConvertedCalls": 0, "NeverCalled": 0,
    }  # fmt: skip
    assert line["function"] == "journal"
    assert CALLER not in json.dumps(line)
    assert len(Folder(tmp_path / "kept").names("dead/")) == 1


def test_the_command_replays(journal: Journal, environment: Command, stage: Stage, tmp_path: Path) -> None:
    stage.publish(an_endpoint())
    assert environment("journal", "replay").stdout == "Replayed: 0 files.\n"
    journal.sell()
    event = journal.event()
    kept = DeadLetters(Folder(tmp_path / "kept"), stage.clock)
    kept.add(event["Records"][0], "")
    kept.add(broken(event, 1)["Records"][1], "")
    found = environment("journal", "replay")
    assert (found.exit_code, found.stdout) == (1, "Replayed: 1 file.\n")
    [name] = Folder(tmp_path / "kept").names("dead/")
    assert found.stderr == f"{name}: the item cannot be read (UnknownFormat)\nNot replayed: 1 file.\n"
    pages = Pages(Dynamo(stage.client, SETTINGS), stage.clock, InTurn())
    assert [row.kind for row in decode(pages.lines(stage.clock()))] == ["ping"]


def test_without_a_place_for_files_the_command_says_what_is_missing(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RINGPOST_JOURNAL_FOLDER")
    forget_process()
    found = command("journal", "replay")
    assert (found.exit_code, found.stderr) == (1, "the environment variable RINGPOST_JOURNAL_BUCKET is not set\n")
