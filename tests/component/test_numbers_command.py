"""Numbers at a telephony provider by command: what it has, whether its calls come to us, and to let them come."""

from collections.abc import Iterator

import pytest

from shared import configuration
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests import fake_accounts
from tests.build import KEYS, SETTINGS, Stage
from tests.component.conftest import Command
from tests.configurations import a_document, a_ring_pool, an_endpoint
from tests.fake_accounts import TELNYX_KEY, TWILIO_ACCOUNT, TWILIO_KEY, FakeAccounts
from tools import accounts, telephone_numbers

URL = "https://calls.example"
POOL = ["+18005550100", "+18005550101", "+18005550102"]
STATIC = "+18005550170"
PROVIDERS = [
    {"name": "main", "kind": "twilio", "account": TWILIO_ACCOUNT, "token": "{secret.main}"},
    {"name": "second", "kind": "telnyx", "account": "a-b-c", "token": "{secret.second}"},
]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccounts]:
    with fake_accounts.running() as running:
        monkeypatch.setattr(accounts, "TWILIO", running.url)
        monkeypatch.setattr(accounts, "TELNYX", running.url)
        monkeypatch.setenv(telephone_numbers.TWILIO_KEY, TWILIO_KEY)
        monkeypatch.setenv(telephone_numbers.TELNYX_KEY, TELNYX_KEY)
        yield running


@pytest.fixture(params=["main", "second"])
def name(request: pytest.FixtureRequest, stage: Stage) -> str:
    """A provider whose calls two endpoints take: of a pool of three, and of a static number."""
    provider: str = request.param
    wanted = a_document(
        providers=PROVIDERS,
        ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550102"])],
        endpoints=[
            an_endpoint(calls={"provider": provider}),
            an_endpoint(vanity_uri="static_endpoint", tracking="static", calls={"provider": provider}),
        ],
    )
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    records.applying.apply(configuration.read(wanted), "somebody")
    return provider


def test_what_the_account_has_and_we_have_not_is_listed_as_ranges(
    command: Command, fake: FakeAccounts, name: str
) -> None:
    fake.own(*POOL, "+18005550110", "+18005550111", "+18005550113")
    listed = command("numbers", "import", name)
    assert listed.stdout == 'numbers:\n  - "+18005550110-+18005550111"\n  - "+18005550113"\n'
    assert fake.writes == []
    fake.twilio_numbers = {sid: each for sid, each in fake.twilio_numbers.items() if each["phone_number"] in POOL}
    fake.telnyx_numbers = {key: each for key, each in fake.telnyx_numbers.items() if each["phone_number"] in POOL}
    none = command("numbers", "import", name)
    assert (none.stdout, none.stderr) == (
        "",
        f"{name} has 3 numbers, and the configuration has each of them.\n",
    )


def test_numbers_are_pointed_here_once_and_then_their_check_finds_nothing(
    command: Command, fake: FakeAccounts, name: str
) -> None:
    fake.own(*POOL, STATIC)
    before = command("numbers", "check", "--url", URL)
    assert before.exit_code == 1
    assert before.stdout.splitlines() == [
        f"{number}: its calls go to no address. Try ./ringpost numbers point {name}" for number in (*POOL, STATIC)
    ]
    said = command("numbers", "point", name, "--url", f"{URL}/", input="y\n")
    assert said.exit_code == 0, said.output
    assert f"+18005550100-+18005550102 → {URL}/calls/{name}/voice" in said.stdout
    assert said.stdout.endswith(f"4 numbers of {name} now ring at {URL}/calls/{name}/voice.\n")
    held = fake.twilio_applications if name == "main" else fake.telnyx_applications
    [application] = held.values()
    assert application["voice_url"] == f"{URL}/calls/{name}/voice"
    assert application["voice_fallback_url"] == f"{URL}/calls/{name}/again"
    assert application["status_callback"] == f"{URL}/calls/{name}/status"
    assert application["voice_method"].lower() == application["status_callback_method"].lower() == "post"

    after = command("numbers", "check", "--url", URL)
    assert (after.exit_code, after.stdout) == (0, f"4 numbers: all are there, and their calls come to {URL}.\n")
    fake.writes.clear()
    again = command("numbers", "point", name, "--url", URL, "--yes")
    assert (again.exit_code, again.stdout) == (0, "Every number comes to us already.\n")
    assert fake.writes == []


def test_a_new_address_changes_the_one_application(command: Command, fake: FakeAccounts, name: str) -> None:
    fake.own(*POOL, STATIC)
    command("numbers", "point", name, "--url", "https://old.example", "--yes")
    found = command("numbers", "check", "--url", URL).stdout
    assert f"+18005550100: its calls go to https://old.example/calls/{name}/voice." in found
    assert command("numbers", "point", name, "--url", URL, "--yes").exit_code == 0
    assert command("numbers", "check", "--url", URL).exit_code == 0
    assert len(fake.twilio_applications) + len(fake.telnyx_applications) == 1


def test_some_numbers_alone_may_be_pointed_and_others_stay(command: Command, fake: FakeAccounts, name: str) -> None:
    fake.own(*POOL, STATIC)
    assert command("numbers", "point", name, "(800) 555-0101", "--url", URL, "--yes").exit_code == 0
    left = command("numbers", "check", "--url", URL).stdout
    assert [line.partition(":")[0] for line in left.splitlines()] == [POOL[0], POOL[2], STATIC]
    foreign = command("numbers", "point", name, "+18005550199", "--url", URL, "--yes")
    assert (foreign.exit_code, foreign.stderr) == (
        1,
        f"+18005550199 is not a number of an endpoint whose calls come through {name}.\n",
    )


def test_a_number_that_the_account_has_not_is_said_and_the_others_are_pointed(
    command: Command, fake: FakeAccounts, name: str
) -> None:
    fake.own(*POOL)
    said = command("numbers", "point", name, "--url", URL, "--yes")
    assert said.exit_code == 1
    assert f"{STATIC} is not a number of {name}.\n" in said.stdout
    assert f"3 numbers of {name} now ring" in said.stdout
    checked = command("numbers", "check", "--url", URL)
    assert (checked.exit_code, checked.stdout) == (1, f"{STATIC}: {name} does not have it.\n")


def test_whoever_does_not_say_yes_changes_nothing(command: Command, fake: FakeAccounts, name: str) -> None:
    fake.own(*POOL, STATIC)
    assert command("numbers", "point", name, "--url", URL, input="n\n").exit_code == 1
    assert fake.writes == []


@pytest.mark.parametrize("name", ["main"], indirect=True)
def test_calls_that_a_trunk_takes_do_not_come_until_they_are_pointed(
    command: Command, fake: FakeAccounts, name: str
) -> None:
    fake.own(*POOL, STATIC)
    command("numbers", "point", name, "--url", URL, "--yes")
    fake.twilio_numbers[f"PN{STATIC[1:]}"]["trunk_sid"] = "TK1"
    assert command("numbers", "check", "--url", URL).stdout.startswith(f"{STATIC}: its calls go to no address.")
    command("numbers", "point", name, "--url", URL, "--yes")
    assert command("numbers", "check", "--url", URL).exit_code == 0


@pytest.mark.parametrize("name", ["main"], indirect=True)
def test_addresses_of_a_number_itself_are_as_good_as_an_application(
    command: Command, fake: FakeAccounts, name: str
) -> None:
    at = f"{URL}/calls/{name}"
    own = {"voice_url": f"{at}/voice", "voice_fallback_url": f"{at}/again", "status_callback": f"{at}/status"}
    fake.own(*POOL, STATIC, **own)
    assert command("numbers", "check", "--url", URL).exit_code == 0
    fake.own(STATIC, **own | {"status_callback": ""})
    assert (
        "its calls come to us, but not those that fail, or not their ends"
        in command("numbers", "check", "--url", URL).stdout
    )


@pytest.mark.usefixtures("fake")
def test_a_key_that_is_wrong_or_absent_is_one_sentence_without_it(
    command: Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = telephone_numbers.TWILIO_KEY if name == "main" else telephone_numbers.TELNYX_KEY
    monkeypatch.setenv(variable, "a wrong key")
    wrong = command("numbers", "import", name)
    assert wrong.exit_code == 1
    assert "does not accept the account and its key (401" in wrong.stderr
    assert "a wrong key" not in wrong.output
    assert wrong.stderr.count("\n") == 1
    monkeypatch.delenv(variable)
    absent = command("numbers", "import", name)
    assert absent.stderr.startswith(f"There is no key of {name}: set {variable} to ")


def test_a_provider_that_is_busy_is_asked_again_and_one_that_fails_is_one_sentence(
    command: Command, fake: FakeAccounts, name: str
) -> None:
    fake.own(*POOL)
    fake.busy = 2
    assert command("numbers", "import", name).exit_code == 0
    fake.broken = 1
    failed = command("numbers", "import", name)
    assert failed.exit_code == 1
    assert failed.stderr.count("\n") == 1
    assert "refused GET /" in failed.stderr


def test_pointing_that_fails_half_way_says_how_far_it_came(command: Command, fake: FakeAccounts, name: str) -> None:
    fake.own(*POOL, STATIC)
    fake.own("+18005550101")
    gone = f"PN{POOL[1][1:]}" if name == "main" else POOL[1][1:]
    held = fake.twilio_numbers if name == "main" else fake.telnyx_numbers
    held[gone] = held[gone] | {"sid": "PN0", "id": "0"}  # given up since it was listed
    failed = command("numbers", "point", name, "--url", URL, "--yes")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("1 of 4 were set, then: ")
    assert failed.stderr.endswith("Run it again to go on.\n")


@pytest.mark.parametrize("address", ["", "http://calls.example", "https://calls.example/path"])
def test_an_address_that_no_provider_can_call_is_refused(
    command: Command, fake: FakeAccounts, name: str, address: str
) -> None:
    said = command("numbers", "point", name, *(["--url", address] if address else []), "--yes")
    assert (said.exit_code, fake.writes) == (1, [])
    assert said.stderr == "Providers call public https addresses only. Name this stack's by --url https://….\n"


@pytest.mark.parametrize("name", ["main"], indirect=True)
@pytest.mark.usefixtures("fake", "name")
def test_an_unknown_provider_is_named(command: Command) -> None:
    said = command("numbers", "import", "third")
    assert said.stderr == "There is no provider third. The configuration has: main, second.\n"


def test_numbers_become_the_fewest_ranges_of_one_length() -> None:
    assert telephone_numbers.as_ranges(["+18005550102", "+18005550100", "+18005550101", "+4420794601"]) == [
        "+4420794601",
        "+18005550100-+18005550102",
    ]
    assert telephone_numbers.as_ranges(["+9999999", "+10000000"]) == ["+9999999", "+10000000"]
