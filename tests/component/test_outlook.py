"""What the operator's command shows of the buyers' hours and caps, over moto, by a clock that stands."""

import time
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from shared import configuration
from shared.domain.schedule import local_time
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tests.build import KEYS, SETTINGS, Stage
from tests.component.conftest import Command
from tests.configurations import Plain, a_buyer, a_document, an_endpoint, an_offer

NEW_YORK = "America/New_York"
OFFICE = {"open": {"mon-fri": ["09:00-17:00"]}}


@pytest.fixture
def command(command: Command, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """By the stage's clock."""
    set_clock(stage, "2026-11-24 07:31:20")
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    return command


def set_clock(stage: Stage, utc: str) -> None:
    stage.clock.now = int(datetime.fromisoformat(f"{utc}+00:00").timestamp())


def a_file(path: Path, *buyers: Plain) -> Path:
    file = path / "my.yaml"
    file.write_text(yaml.safe_dump(a_document(offers=[an_offer(buyers=buyers)]), sort_keys=False))
    return file


def apply(stage: Stage, *buyers: Plain) -> None:
    """At two endpoints."""
    wanted = a_document(
        offers=[an_offer(buyers=buyers)], endpoints=[an_endpoint(), an_endpoint(vanity_uri="static", tracking="static")]
    )
    Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock).applying.apply(configuration.read(wanted), "somebody")


def sell(stage: Stage, sales: int) -> None:
    """Count sales of buyer 1, at its bid, as POSTs do."""
    buyer, now = stage.world().compiled.latest("my_endpoint", 0).buyers[0], stage.clock()
    local, until = local_time(buyer.zone, now), now + 300
    counters = Counters(Dynamo(stage.client, SETTINGS), {})
    counters.counts(items(buyer), now)  # moto refuses a first place unseen, which DynamoDB does not
    for n in range(sales):
        assert counters.take(buyer.id, buyer.caps, local, buyer.bid_cents, b"ping %d" % n, b"attempt", until, now)


# Schedules


def test_the_hours_of_a_file_are_shown_without_a_stack_in_both_zones(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SETTINGS.environment():
        monkeypatch.delenv(name, raising=False)
    file = a_file(tmp_path, a_buyer(zone=NEW_YORK, schedule=OFFICE))
    shown = command("--data", tmp_path, "schedules", file, "--strict")
    assert shown.exit_code == 0
    assert shown.output.splitlines() == [
        "From Tue 24 Nov 07:31 UTC, for 48 hours.",
        "",
        "Buyer A (buyer 1) of auto-insurance",
        "          America/New_York                     UTC",
        "  closed  now – Tue 24 Nov 09:00               now – Tue 24 Nov 14:00",
        "  open    Tue 24 Nov 09:00 – 17:00             Tue 24 Nov 14:00 – 22:00",
        "  closed  Tue 24 Nov 17:00 – Wed 25 Nov 09:00  Tue 24 Nov 22:00 – Wed 25 Nov 14:00",
        "  open    Wed 25 Nov 09:00 – 17:00             Wed 25 Nov 14:00 – 22:00",
        "  closed  Wed 25 Nov 17:00 – …                 Wed 25 Nov 22:00 – …",
    ]


def test_a_zone_is_shown_once_and_must_be_one(command: Command, tmp_path: Path) -> None:
    file = a_file(tmp_path, a_buyer(zone=NEW_YORK, schedule=OFFICE))
    assert "          America/New_York\n" in command("schedules", file, "--zone", NEW_YORK).output
    told = command("schedules", file, "--zone", "Berlin")
    assert told.exit_code == 1
    assert told.stderr == "--zone must be a time zone, like America/New_York; did you mean Europe/Berlin?\n"


def test_changes_of_the_clock_are_marked_in_their_zone(stage: Stage, command: Command, tmp_path: Path) -> None:
    set_clock(stage, "2026-10-31 22:00:00")
    file = a_file(tmp_path, a_buyer(zone=NEW_YORK, schedule={"open": {"daily": ["00:00-24:00"]}}))
    shown = command("schedules", file).output.splitlines()
    assert shown[4:6] == [
        "  open    now – …                              now – …",
        "  clocks  Sun 01 Nov 02:00 → 01:00             Sun 01 Nov 06:00",
    ]
    set_clock(stage, "2026-03-28 12:00:00")
    shown = command("schedules", file, "--zone", "Europe/Berlin").output.splitlines()
    assert shown[5] == "  clocks  Sat 28 Mar 21:00                     Sun 29 Mar 02:00 → 03:00"


def test_findings_are_told_and_fail_only_if_strict(command: Command, tmp_path: Path) -> None:
    sound = a_buyer(zone=NEW_YORK, schedule=OFFICE)
    passed = a_buyer(id=2, zone=NEW_YORK, schedule=OFFICE | {"closed_on": ["2025-12-25"]})
    file = a_file(tmp_path, sound, passed)
    shown = command("schedules", file)
    assert shown.exit_code == 0
    assert shown.output.splitlines()[-3:] == [
        "  ! 2025-12-25 has passed; its exception can be removed.",
        "",
        "Findings: 1.",
    ]
    strict = command("schedules", file, "--strict")
    assert (strict.exit_code, strict.output) == (1, shown.output)


def test_every_live_buyer_is_shown_once(stage: Stage, command: Command) -> None:
    apply(
        stage,
        a_buyer(),
        a_buyer(id=2, name="Buyer B", paused=True),
        a_buyer(id=3, name="Buyer C", paused=True, zone=NEW_YORK, schedule=OFFICE),
    )
    shown = command("schedules").output.splitlines()
    assert [line for line in shown if "(buyer" in line] == [
        "Buyer A (buyer 1) of auto-insurance: always open",
        "Buyer B (buyer 2) of auto-insurance: paused, else always open",
        "Buyer C (buyer 3) of auto-insurance: paused",
    ]


# Caps


def test_caps_are_shown_with_what_is_counted_and_until_when(stage: Stage, command: Command) -> None:
    caps = {"sales": {"hour": 4, "day": 50}, "revenue": {"day": "1000.00"}, "concurrent": 5}
    apply(stage, a_buyer(zone=NEW_YORK, caps=caps), a_buyer(id=2, name="Buyer B"))
    sell(stage, 3)
    assert command("caps").output.splitlines() == [
        "Buyer A (buyer 1) of auto-insurance, by the clock of America/New_York",
        "  sales per hour       3 of        4   75 % [#######...]  until Tue 24 Nov 03:00",
        "  sales per day        3 of       50    6 % [..........]  until Wed 25 Nov 00:00",
        "  revenue per day  75.00 of 1,000.00    7 % [..........]  until Wed 25 Nov 00:00",
        "  places at once       3 of        5   60 % [######....]",
        "Buyers without caps: 1.",
    ]
    stage.clock.forward(3600)
    assert command("caps").output.splitlines()[1:5] == [
        "  sales per hour       0 of        4    0 % [..........]  until Tue 24 Nov 04:00",
        "  sales per day        3 of       50    6 % [..........]  until Wed 25 Nov 00:00",
        "  revenue per day  75.00 of 1,000.00    7 % [..........]  until Wed 25 Nov 00:00",
        "  places at once       0 of        5    0 % [..........]",
    ]


def test_a_cap_is_full_when_the_buyers_bid_has_no_room_in_it(stage: Stage, command: Command) -> None:
    apply(stage, a_buyer(zone=NEW_YORK, caps={"revenue": {"month": "60.00"}, "sales": {"total": 3}}))
    sell(stage, 2)
    lines = command("caps").output.splitlines()
    assert "  revenue per month  50.00 of 60.00   83 % [########..]  full until Tue 01 Dec 00:00" in lines
    assert "  sales in total         2 of     3   66 % [######....]" in lines
    apply(stage, a_buyer(zone=NEW_YORK, caps={"sales": {"total": 1}}))
    assert "  sales in total  2 of 1  200 % [##########]  full" in command("caps").output.splitlines()


def test_a_cap_of_one_endpoint_is_named_so(stage: Stage, command: Command) -> None:
    apply(stage, a_buyer(caps={"by_endpoint": {"my_endpoint": {"sales": {"day": 5}}}}))
    assert "  sales per day at my_endpoint  0 of 5" in command("caps").output


def test_the_caps_of_one_offer(stage: Stage, command: Command) -> None:
    apply(stage, a_buyer(caps={"concurrent": 5}))
    assert command("caps", "--offer", "auto-insurance").output == command("caps").output
    told = command("caps", "--offer", "legal")
    assert (told.exit_code, told.stderr) == (1, "There is no offer legal with buyers in the live configuration.\n")
