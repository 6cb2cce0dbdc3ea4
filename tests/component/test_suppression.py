"""Suppression lists, loaded from CSV and looked up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared import runtime
from shared.domain import configuration
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import CALLER, KEYS, SETTINGS, Publisher, Stage
from tests.component.conftest import Command
from tests.configurations import a_buyer, a_document, an_offer
from tools import configure, engine


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Over a real engine: moto does not take the statement that puts numbers on a list."""
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        yield Stage(client)


@pytest.fixture
def suppression(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, on a stack whose account has the list dnc, its offer litigators, its buyer customers."""
    for name, value in SETTINGS.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runtime, "world", stage.world)
    offer = an_offer(suppression=["litigators"], buyers=[a_buyer(suppression=["customers"])])
    wanted = configuration.read(a_document(account={"suppression": ["dnc"]}, offers=[offer]))
    Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock).apply(wanted, "somebody")
    return lambda *arguments: CliRunner().invoke(configure.app, ["suppression", *map(str, arguments)])


def a_file(tmp_path: Path, text: str, name: str = "numbers.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(text.encode())
    return file


def kept(stage: Stage) -> list[object]:
    return list(stage.client.scan(TableName=SETTINGS.callers_table)["Items"])


def test_a_list_is_loaded_looked_up_and_taken_off(
    suppression: Command, publisher: Publisher, stage: Stage, tmp_path: Path
) -> None:
    file = a_file(tmp_path, "(614) 555-0123\n+16145550199\n212*\n+1900*\n")
    told = suppression("add", "dnc", file)
    assert (told.exit_code, told.output.splitlines()[-1]) == (0, "2 numbers and 2 prefixes are on dnc.")
    for caller in (CALLER, "+12125550123", "+19005550123"):
        assert publisher.ping(caller_id=caller).body["status"] == "caller_number_suppressed"
    assert publisher.ping(caller_id="+16145550198").body["success"]
    suppression("add", "litigators", a_file(tmp_path, "6145550123", "one.csv"))
    assert suppression("check", "614-555-0123").output == "dnc, litigators  by +16145550123\n"
    assert suppression("check", "2125550123").output == "dnc  by +1212*\n"
    assert suppression("check", "2135550123").output == "On no list.\n"

    assert suppression("remove", "dnc", file).output.endswith("2 numbers and 2 prefixes are off dnc.\n")
    assert suppression("check", "2125550123").output == "On no list.\n"
    assert publisher.ping(caller_id=CALLER).body["status"] == "caller_number_suppressed"
    suppression("remove", "litigators", tmp_path / "one.csv")
    assert kept(stage) == []


def test_twice_is_once(suppression: Command, stage: Stage, tmp_path: Path) -> None:
    file = a_file(tmp_path, "6145550123\n16145550123\n")
    suppression("add", "dnc", file)
    before = kept(stage)
    suppression("add", "dnc", file)
    assert kept(stage) == before
    assert len(before) == 1


@pytest.mark.parametrize(
    "text",
    [
        "name,Phone\nsomebody,6145550123\n",
        "\ufeffcaller_id\r\n6145550123\r\n\r\n",
        "6145550123,somebody\n\n , \n",
    ],
)
def test_a_column_may_be_headed_and_lines_blank(suppression: Command, tmp_path: Path, text: str) -> None:
    told = suppression("add", "customers", a_file(tmp_path, text))
    assert told.output.splitlines()[-1] == "1 numbers and 0 prefixes are on customers."
    assert suppression("check", CALLER).output == f"customers  by {CALLER}\n"


def test_a_file_with_lines_that_are_no_numbers_changes_nothing(
    suppression: Command, stage: Stage, tmp_path: Path
) -> None:
    file = a_file(tmp_path, "6145550123\nsomebody\n*\n614 555*\n614x*\n" + "?\n" * 30)
    told = suppression("add", "dnc", file)
    assert told.exit_code == 1
    lines = told.stderr.replace(str(file), "numbers.csv").splitlines()
    form = "must be a telephone number like +16145550123, or a prefix like 614*"
    assert lines[:3] == [
        f"numbers.csv:2: `somebody` {form}",
        f"numbers.csv:3: `*` {form}",
        f"numbers.csv:5: `614x*` {form}",
    ]
    assert len(lines) == 21
    assert lines[-1] == "Nothing is changed: 33 of 35 lines are no numbers."
    assert kept(stage) == []


def test_a_list_that_the_configuration_does_not_name_is_refused(suppression: Command, tmp_path: Path) -> None:
    told = suppression("add", "dcn", a_file(tmp_path, "6145550123"))
    assert (told.exit_code, told.stderr) == (
        1,
        "The live configuration has no suppression list dcn; it has customers, dnc, litigators.\n",
    )


def test_a_file_that_cannot_be_read_is_one_sentence(suppression: Command, tmp_path: Path) -> None:
    absent = tmp_path / "absent.csv"
    assert suppression("add", "dnc", absent).stderr == f"{absent}: No such file or directory\n"
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    told = suppression("add", "dnc", binary)
    assert told.exit_code == 1
    assert told.stderr.startswith(f"{binary}: it is not CSV in UTF-8: ")
    assert suppression("check", "nobody").stderr == "NUMBER must be a telephone number, like +16145550123.\n"


def test_tables_that_cease_to_answer_leave_a_list_that_can_be_loaded_again(
    suppression: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_file(tmp_path, "6145550123\n6145550124\n")
    with monkeypatch.context() as failing:

        def fails(*_: object) -> None:
            raise TemporarilyUnavailable

        failing.setattr(Callers, "suppress", fails)
        told = suppression("add", "dnc", file)
        assert told.exit_code == 1
        assert "0 of 2 entries are done; run it again" in told.stderr
    assert suppression("add", "dnc", file).exit_code == 0
