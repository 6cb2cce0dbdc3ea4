"""Numbers are bought and released by a person at a terminal, who sees the price first. Here the accounts are fakes."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared import configuration
from shared.store.dynamo import Dynamo
from shared.store.items import as_number, as_text, table_key
from shared.store.records import Records
from tests import fake_accounts, terminal
from tests.build import CALLER, KEYS, SETTINGS, Publisher, Stage
from tests.component.conftest import Command
from tests.configurations import a_document, a_ring_pool, an_endpoint
from tests.fake_accounts import NO_ANSWER, TELNYX_ACCOUNT, TELNYX_KEY, TWILIO_ACCOUNT, TWILIO_KEY, FakeAccounts
from tests.terminal import Said
from tools import account_access, accounts, buying, provider_api

URL = "https://calls.example"
FIRST = ["+18005550100", "+18005550101"]
STATIC = "+18005550170"
NEW = ["+18005550110", "+18005550111", "+18005550113"]
LOCAL = "+16145550140"
PROVIDERS = [
    {"name": "main", "kind": "twilio", "account": TWILIO_ACCOUNT, "token": "{secret.main}"},
    {"name": "second", "kind": "telnyx", "account": TELNYX_ACCOUNT, "token": "{secret.second}"},
]
OUT_OF_MONEY = (400, {"code": 21404, "message": "There is no money left"})

Typed = Callable[..., Said]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccounts]:
    with fake_accounts.running() as running:
        for name in ("TWILIO", "TWILIO_PRICES", "TELNYX"):
            monkeypatch.setattr(accounts, name, running.url)
        monkeypatch.setenv(account_access.TWILIO_KEY, TWILIO_KEY)
        monkeypatch.setenv(account_access.TELNYX_KEY, TELNYX_KEY)
        monkeypatch.setattr(buying, "PAUSES", (0, 0, 0))
        running.for_sale = [*NEW, LOCAL]
        yield running


@pytest.fixture
def records(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Records:
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    return Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)


@pytest.fixture(params=["main", "second"])
def name(request: pytest.FixtureRequest, records: Records) -> str:
    """A provider whose calls a ring pool of two and a static number take."""
    apply(records, request.param)
    return str(request.param)


@pytest.fixture
def typed(command: Command, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """The command with what a person types. It never shows a key."""
    del command  # which has set what names the stack
    monkeypatch.setenv("TERM", "dumb")

    def run(*arguments: str, lines: str = "yes\n") -> Said:
        said = terminal.run("numbers", *arguments, typed=lines)
        assert not any(key in said.stdout + said.seen for key in (TWILIO_KEY, TELNYX_KEY))
        return said

    return run


def apply(records: Records, name: str, *, numbers: list[str] = FIRST, static: str = STATIC) -> None:
    endpoint = an_endpoint(vanity_uri="static_endpoint", tracking="static", calls={"provider": name})
    wanted = a_document(
        providers=PROVIDERS,
        ring_pools=[a_ring_pool(numbers=numbers)],
        endpoints=[an_endpoint(calls={"provider": name}), endpoint | {"static_numbers": {"1023": static}}],
    )
    records.applying.apply(configuration.read(wanted), "somebody")


def buy(name: str, count: int, *more: str) -> tuple[str, ...]:
    return ("buy", name, "--pool", "auto-us", "--count", str(count), "--toll-free", "--url", URL, *more)


def shards(records: Records) -> dict[int, tuple[str, ...]]:
    return {shard.id: shard.numbers for shard in records.versions.current().pools["auto-us"].shards}


def application(fake: FakeAccounts) -> dict[str, Any]:
    [found] = [*fake.twilio_applications.values(), *fake.telnyx_applications.values()]
    return found


def test_numbers_are_bought_after_their_price_was_shown_and_become_new_shards(
    fake: FakeAccounts, name: str, typed: Typed, records: Records
) -> None:
    before = shards(records)
    said = typed(*buy(name, 2))
    assert said.exit_code == 0, said.seen
    once = "" if name == "main" else ", and USD 1.00 once"
    price, question, done = (
        said.seen.index(text)
        for text in (
            f"+18005550111  USD 2.15 a month{once}\nIn all: USD 4.30 a month{once.replace('1', '2')}, before taxes",
            f"Type yes to buy 2 numbers of {name}: ",
            "+18005550111 is bought, 2 of 2.",
        )
    )
    assert price < question < done
    assert said.stdout == 'numbers:\n  - "+18005550110-+18005550111"\n'
    assert "Version 2 is live: ring pool auto-us has these 2 numbers now." in said.seen
    after = shards(records)
    assert after.keys() > before.keys()
    assert {at: after[at] for at in before} == before
    assert [after[at] for at in after.keys() - before.keys()] == [tuple(NEW[:2])]
    assert fake.owned == NEW[:2]
    assert application(fake)["voice_url"] == f"{URL}/calls/{name}/voice"
    bought = [*fake.twilio_numbers.values(), *fake.telnyx_numbers.values()]
    keys = ("voice_application_sid", "sid") if name == "main" else ("connection_id", "id")
    assert {each[keys[0]] for each in bought} == {application(fake)[keys[1]]}

    assert typed(*buy(name, 1)).exit_code == 0
    assert (fake.owned, len(shards(records))) == (NEW, len(after) + 1)


@pytest.mark.usefixtures("name")
@pytest.mark.parametrize("name", ["main"], indirect=True)
@pytest.mark.parametrize("arguments", [buy("main", 1), ("release", "main", NEW[0])], ids=["buy", "release"])
def test_without_a_terminal_nobody_is_asked_and_nothing_done(
    command: Command, fake: FakeAccounts, arguments: tuple[str, ...]
) -> None:
    fake.own(NEW[0])
    said = command("numbers", *arguments, input=f"yes\n{NEW[0]}\n")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "only by a person: run it at a terminal. Nothing was done.\n" in said.stderr
    assert command("numbers", *arguments, "--yes").exit_code == 2
    assert (fake.writes, fake.owned) == ([], [NEW[0]])


@pytest.mark.parametrize("name", ["main"], indirect=True)
@pytest.mark.parametrize("lines", ["y\n", "\n", "no\n", "yes please\n", "\x04"])
def test_what_is_not_yes_buys_nothing(
    fake: FakeAccounts, name: str, typed: Typed, records: Records, lines: str
) -> None:
    said = typed(*buy(name, 2), lines=lines)
    assert (said.exit_code, said.stdout, fake.writes) == (1, "", [])
    assert said.seen.endswith("Nothing was bought.\n")
    assert records.versions.current().version == 1


@pytest.mark.parametrize("step", [1, 2, 3], ids=["application", "first", "second"])
def test_a_run_that_ends_after_any_step_loses_no_number_and_buys_none_twice(
    fake: FakeAccounts, name: str, typed: Typed, records: Records, step: int
) -> None:
    fake.ends_after = step
    ended = typed(*buy(name, 2))
    assert (ended.exit_code == 0, records.versions.current().version) == (False, 1)
    assert fake.owned == NEW[: step - 1]
    again = typed(*buy(name, 2), lines="yes\nyes\n")
    assert again.exit_code == 0, again.seen
    assert ("Type yes to take these first" in again.seen) == (step > 1)
    assert fake.owned == NEW[:2]
    assert [*shards(records).values()][-1] == tuple(NEW[:2])
    assert application(fake)["friendly_name"] == f"Ringpost local {name}"


@pytest.mark.parametrize("name", ["main"], indirect=True)
def test_numbers_that_could_not_be_put_into_the_pool_are_said_and_offered_again(
    fake: FakeAccounts, name: str, typed: Typed, records: Records, stage: Stage
) -> None:
    lock = {**table_key("CONFIG", "LOCK"), "by": as_text("ada"), "holder": as_text("another")}
    until = {"expires_at": as_number(stage.clock.now + 60)}
    stage.client.put_item(TableName=SETTINGS.config_table, Item={**lock, **until})
    said = typed(*buy(name, 1))
    assert said.exit_code == 1
    assert said.stdout == f'numbers:\n  - "{NEW[0]}"\n'
    assert "ada has been applying a configuration" in said.seen
    assert "perhaps not in ring pool auto-us. Run it again" in said.seen
    stage.clock.forward(61)
    assert typed(*buy(name, 1)).exit_code == 0
    assert (fake.owned, [*shards(records).values()][-1]) == ([NEW[0]], (NEW[0],))
    declined = typed(*buy(name, 1), lines="no\nno\n")
    assert "take these first" not in declined.seen


def test_numbers_that_are_not_idle_are_never_offered(fake: FakeAccounts, name: str, typed: Typed) -> None:
    fake.own(NEW[0], voice_url="https://office.example/voice")
    fake.telnyx_numbers[NEW[0][1:]]["connection_id"] = "another"
    fake.own(LOCAL, *FIRST)
    fake.for_sale = [NEW[1]]
    said = typed(*buy(name, 1))
    assert (said.exit_code, said.stdout) == (0, f'numbers:\n  - "{NEW[1]}"\n')


def test_an_order_whose_answer_is_lost_is_looked_up_and_never_sent_twice(
    fake: FakeAccounts, name: str, typed: Typed
) -> None:
    fake.lost = {2: (NO_ANSWER, {}), 3: (500, {}), 4: (408, {})}
    assert typed(*buy(name, 3)).exit_code == 0
    assert (fake.owned, len(fake.writes)) == (NEW, 4)


@pytest.mark.parametrize("name", ["main"], indirect=True)
def test_an_order_of_which_nothing_is_known_ends_the_run(fake: FakeAccounts, name: str, typed: Typed) -> None:
    fake.refused[3] = (NO_ANSWER, {})
    said = typed(*buy(name, 3))
    assert (said.exit_code, said.stdout) == (1, f'numbers:\n  - "{NEW[0]}"\n')
    assert f"It is not known whether {NEW[1]} is bought. Twilio does not answer" in said.seen
    assert "1 of 3 were bought, and no more is ordered." in said.seen
    assert len(fake.writes) == 3


def test_what_the_provider_refuses_is_said_and_what_was_bought_is_kept(
    fake: FakeAccounts, name: str, typed: Typed, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_api, "RETRY", provider_api.RETRY.new(backoff_factor=0))
    busy: tuple[int, dict[str, object]] = (429, {})
    fake.refused = {2: busy} | ({4: OUT_OF_MONEY} if name == "main" else dict.fromkeys(range(4, 10), busy))
    said = typed(*buy(name, 2))
    assert (said.exit_code, fake.owned) == (1, [NEW[0]])
    why = "There is no money left" if name == "main" else "(too many 429 error responses). Try again later"
    assert f"{why}. 1 of 2 were bought, and no more is ordered." in said.seen
    assert [*shards(records).values()][-1] == (NEW[0],)


@pytest.mark.parametrize("name", ["second"], indirect=True)
def test_an_order_that_is_not_finished_soon_is_offered_by_the_next_run(
    fake: FakeAccounts, name: str, typed: Typed
) -> None:
    fake.pending = 2
    assert typed(*buy(name, 1)).exit_code == 0
    fake.pending = 100
    said = typed(*buy(name, 1))
    assert said.exit_code == 1
    assert f"It is not known whether {NEW[1]} is bought. The order is not finished." in said.seen
    waits = typed(*buy(name, 1))
    assert f"{NEW[1]} is ordered already, and not there yet." in waits.seen
    fake.telnyx_numbers[NEW[1][1:]]["status"] = "active"
    assert typed(*buy(name, 1)).exit_code == 0
    assert fake.owned == NEW[:2]


def test_fewer_numbers_than_asked_for_are_said_before_they_are_bought(
    fake: FakeAccounts, name: str, typed: Typed
) -> None:
    fake.for_sale = [NEW[0]]
    said = typed(*buy(name, 2))
    assert said.exit_code == 1
    assert f"{name} has only 1 of the 2 now: toll-free number in US" in said.seen
    assert said.stdout == f'numbers:\n  - "{NEW[0]}"\n'
    none = typed(*buy(name, 1, "--area-code", "888"))
    assert (none.exit_code, none.stdout) == (1, "")
    assert f"{name} has none now: toll-free number in US with 888" in none.seen


def test_without_a_pool_numbers_are_listed_and_nothing_is_applied(
    fake: FakeAccounts, name: str, typed: Typed, records: Records
) -> None:
    said = typed("buy", name, "--count", "1", "--area-code", "614", "--url", URL)
    assert (said.exit_code, said.stdout) == (0, f'numbers:\n  - "{LOCAL}"\n')
    assert "USD 1.15 a month" in said.seen
    assert (fake.owned, records.versions.current().version) == ([LOCAL], 1)


def test_what_has_no_price_is_not_bought(fake: FakeAccounts, name: str, typed: Typed) -> None:
    fake.monthly = {}
    said = typed(*buy(name, 1))
    assert (said.exit_code, fake.writes) == (1, [])
    assert "so nothing is bought.\n" in said.seen


@pytest.mark.parametrize("name", ["main"], indirect=True)
def test_what_cannot_be_bought_is_said_before_anything_is_asked(fake: FakeAccounts, name: str, typed: Typed) -> None:
    for arguments, sentence in {
        ("--pool", "other"): "There is no ring pool other.",
        ("--url", "http://calls.example"): "Providers call public https addresses only.",
        ("--country", "USA"): "Invalid value for --country: must be two letters",
        ("--area-code", "6x"): "Invalid value for --area-code: must be digits",
        ("--count", "0"): "is not in the range 1<=x<=100",
    }.items():
        said = typed(*buy(name, 1), *arguments)
        assert (said.exit_code != 0, fake.writes) == (True, [])
        assert sentence in " ".join(said.seen.replace("│", "").split())
        assert "Type yes" not in said.seen


@pytest.mark.parametrize("name", ["main"], indirect=True)
def test_a_pool_that_could_not_have_them_is_said_before_anything_is_asked(
    fake: FakeAccounts, name: str, typed: Typed
) -> None:
    fake.for_sale = [STATIC]
    said = typed(*buy(name, 1))
    assert "belongs to ring pool auto-us already; a number has one owner" in said.seen
    other = typed(*buy("second", 1))
    assert "No endpoint with ring pool auto-us takes calls through second: apply that first." in other.seen
    fake.own(*FIRST, STATIC)
    typed("point", name, "--url", "https://old.example", lines="y\n")
    moved = typed(*buy(name, 1))
    assert f"Calls of main do not go to {URL}/calls/main/voice. First: ./ringpost numbers point main" in moved.seen
    assert not any("Type yes" in each.seen for each in (said, other, moved))


def test_numbers_are_released_once_each_was_typed(
    fake: FakeAccounts, name: str, typed: Typed, records: Records
) -> None:
    fake.own(*NEW)
    said = typed("release", name, "800 555 0110", *NEW, lines=f"{NEW[0]}\n(800) 555-0111\n{NEW[1]}\n")
    assert said.exit_code == 1
    once = "" if name == "main" else ", and USD 1.00 once"
    price, question = (
        said.seen.index(text)
        for text in (f"A number like it costs USD 2.15 a month{once}.", f"Type {NEW[0]} to release it: ")
    )
    assert price < question
    assert "somebody else may get it" in said.seen
    assert "Callers may still dial it" in said.seen
    assert said.stdout == f"{NEW[0]} is released.\n{NEW[1]} is released.\n"
    assert said.seen.endswith(f"{NEW[2]} and what follows were not released.\n")
    noted = records.versions.history(1)[0][0].changes
    assert [(change.path, change.now) for change in noted] == [(f"providers[{name}].numbers[{NEW[1]}]", None)]
    again = typed("release", name, *NEW, lines=f"{NEW[2]}\n")
    assert again.exit_code == 0
    assert again.stdout.startswith(f"{NEW[0]} is not a number of {name}, or not any more.\n")
    held = fake.twilio_numbers if name == "main" else fake.telnyx_numbers
    assert not held


def test_a_number_in_use_is_not_released(
    fake: FakeAccounts, name: str, typed: Typed, records: Records, publisher: Publisher, stage: Stage
) -> None:
    leased = f"+{publisher.full(caller_id=CALLER).body['trackdrive_number']}"
    fake.own(*FIRST, STATIC, *NEW)
    fake.twilio_applications["AP9"] = {"sid": "AP9", "friendly_name": "Ringpost prod main"}
    fake.telnyx_applications["9"] = {"id": "9", "friendly_name": "Ringpost prod second"}
    fake.twilio_numbers[f"PN{NEW[1][1:]}"]["voice_application_sid"] = "AP9"
    fake.telnyx_numbers[NEW[1][1:]]["connection_id"] = "9"
    fake.calls = [(NEW[0], "completed"), (NEW[2], "in-progress")]
    used = typed("release", name, leased, *NEW, lines=f"{NEW[0]}\n")
    assert used.exit_code == 1
    assert f"{leased} is in the configuration (ring pool auto-us). Take it out there" in used.seen
    assert f"{NEW[1]} rings at the application Ringpost prod {name}." in used.seen
    assert f"Somebody calls {NEW[2]} now." in used.seen
    assert used.seen.endswith("Nothing was released.\n")

    stays = next(number for number in FIRST if number != leased)
    apply(records, name, numbers=[stays], static=NEW[0])
    held = typed("release", name, leased, STATIC)
    assert f"{leased} is held by ring pool auto-us, which has given it up, until 2100-01-01 00:06:00 UTC." in held.seen
    assert (
        f"{STATIC} is held by endpoint static_endpoint, which has given it up, until 2100-01-01 00:05:15" in held.seen
    )
    assert fake.writes == []
    stage.clock.forward(360)
    assert typed("release", name, leased, STATIC, lines=f"{leased}\n{STATIC}\n").exit_code == 0


@pytest.mark.parametrize("name", ["main"], indirect=True)
def test_a_release_whose_answer_is_lost_is_looked_up(fake: FakeAccounts, name: str, typed: Typed) -> None:
    fake.own(*NEW)
    fake.lost[1] = fake.refused[2] = (NO_ANSWER, {})
    said = typed("release", name, *NEW[:2], lines=f"{NEW[0]}\n{NEW[1]}\n")
    assert (said.exit_code, said.stdout) == (1, f"{NEW[0]} is released.\n")
    assert f"{NEW[1]} is still there: run it again." in said.seen
    assert typed("release", name, NEW[1], lines=f"{NEW[1]}\n").exit_code == 0
