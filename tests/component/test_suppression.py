"""Suppression lists, loaded from CSV and looked up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import configuration
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import CALLER, KEYS, SETTINGS, Publisher, Stage
from tests.component.conftest import Command
from tests.configurations import a_buyer, a_document, an_offer
from tools import engine


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Over a real engine: moto does not take the statement that puts numbers on a list."""
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        yield Stage(client)


@pytest.fixture
def suppression(command: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, on a stack whose account has the list dnc, its offer litigators, its buyer customers."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", stage.client.meta.endpoint_url)
    offer = an_offer(suppression=["litigators"], buyers=[a_buyer(suppression=["customers"])])
    wanted = configuration.read(a_document(account={"suppression": ["dnc"]}, offers=[offer]))
    Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock).applying.apply(wanted, "somebody")
    return lambda *arguments: command("suppression", *arguments)


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
    assert told.output.splitlines()[-1] == "1 number and 0 prefixes are on customers."
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
        "numbers.csv:3: `*` would block too many callers: a prefix needs its country code and at least 3 digits, "
        "like 614* or +44207*",
        f"numbers.csv:5: `614x*` {form}",
    ]
    assert len(lines) == 22
    assert lines[-2:] == [
        "… and 13 more.",
        "Nothing is changed: 33 of 35 lines are wrong. --skip-wrong leaves them out.",
    ]
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
    assert told.stderr == f"{binary}: it cannot be read as utf-16; save it as CSV in UTF-8.\n"
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


def test_a_bad_line_loads_nothing_unless_it_is_to_be_skipped(
    suppression: Command, stage: Stage, tmp_path: Path
) -> None:
    text = "Name;Phone\nDoe;6145550161\nRoe;nobody\n# by mail\nPoe;6145550162\n;1*\n"
    file = a_file(tmp_path, text)
    refused = suppression("add", "dnc", file)
    assert refused.exit_code == 1
    assert refused.stderr.endswith(
        "numbers.csv:3: `nobody` must be a telephone number like +16145550123, or a prefix like 614*\n"
        f"{file}:6: `1*` would block too many callers: a prefix needs its country code and at least 3 digits, "
        "like 614* or +44207*\n"
        "Nothing is changed: 2 of 4 lines are wrong. --skip-wrong leaves them out.\n"
    )
    assert kept(stage) == []
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.csv"]

    told = suppression("add", "dnc", file, "--skip-wrong")
    skipped = tmp_path / "numbers.skipped.csv"
    assert told.exit_code == 0
    assert told.stdout.splitlines()[:3] == [
        f"{file}: utf-8; numbers are in column 2 (Phone); semicolons separate columns; line 1 is the header row.",
        "Comments: 1 line.",
        f"Skipped 2 of 4 lines, in whole or in part; they are in {skipped}.",
    ]
    assert told.stdout.splitlines()[-1] == "2 numbers and 0 prefixes are on dnc."
    assert len(kept(stage)) == 2
    assert [line for line in skipped.read_text().splitlines() if not line.startswith("#")] == [
        "Name;Phone",
        "Roe;nobody",
        ";1*",
    ]

    skipped.write_text(skipped.read_text().replace("nobody", "6145550163").replace("1*", "212*"))
    assert suppression("add", "dnc", skipped).stdout.splitlines()[-1] == "1 number and 1 prefix are on dnc."
    assert suppression("check", "6145550163").output == "dnc  by +16145550163\n"


def test_what_was_skipped_before_is_not_written_over(suppression: Command, tmp_path: Path) -> None:
    for _ in range(2):
        assert suppression("add", "dnc", a_file(tmp_path, "6145550161\nnobody\n"), "--skip-wrong").exit_code == 0
    names = ["numbers.csv", "numbers.skipped-2.csv", "numbers.skipped.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_numbers_in_several_columns_are_asked_for_or_all_loaded(suppression: Command, tmp_path: Path) -> None:
    file = a_file(tmp_path, "Name,Phone,Agent\nDoe,6145550161,6145550162\n")
    asked = suppression("add", "dnc", file)
    assert (asked.exit_code, asked.stderr) == (
        1,
        f"{file}: there are numbers in column 2 (Phone), column 3 (Agent); say which columns you want (--column).\n",
    )
    assert "1 number and 0 prefixes are on dnc." in suppression("add", "dnc", file, "--column", "phone").output
    assert suppression("check", "6145550162").output == "On no list.\n"
    both = suppression("add", "dnc", file, "--column", "phone", "--column", "3")
    assert "2 numbers and 0 prefixes are on dnc." in both.output
    assert suppression("remove", "dnc", file, "--column", "2").exit_code == 0
    assert suppression("check", "6145550162").output == "dnc  by +16145550162\n"
    pair = a_file(tmp_path, "6145550161;6145550163", "pair.csv")
    assert "2 numbers and 0 prefixes are on dnc." in suppression("add", "dnc", pair).output


def test_a_file_of_a_spreadsheet_is_loaded_in_its_encoding(suppression: Command, tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_bytes("Name\tPhone Number\r\nJosé\t614-555-0161\r\n".encode("utf-16"))
    assert suppression("add", "dnc", file).output.splitlines()[0] == (
        f"{file}: utf-16; numbers are in column 2 (Phone Number); tabs separate columns; line 1 is the header row."
    )
    file.write_bytes("Name;Phone Number\r\nJosé;614-555-0162\r\n".encode("cp1252"))
    assert suppression("add", "dnc", file).exit_code == 0
    for number in ("6145550161", "6145550162"):
        assert suppression("check", number).output.startswith("dnc ")


@pytest.mark.parametrize("text", ["", "\n\n", "Phone\n", "# nobody\n"])
def test_a_file_without_numbers_is_told(suppression: Command, tmp_path: Path, text: str) -> None:
    told = suppression("add", "dnc", a_file(tmp_path, text))
    assert (told.exit_code, told.stderr.endswith("numbers.csv has no numbers.\n")) == (1, True)


def test_a_country_that_is_none_is_told(suppression: Command, tmp_path: Path) -> None:
    told = suppression("add", "dnc", a_file(tmp_path, "6145550161"), "--region", "USA")
    assert told.stderr == "--region must be a country code of two capital letters, like US; `USA` is not one.\n"
