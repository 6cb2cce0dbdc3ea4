"""The operator's command shows statements and closes them."""

import time
from pathlib import Path

import pytest

from shared.domain.models import DAY
from shared.journal.rows import Row
from tests.build import START, Stage
from tests.component.conftest import Command
from tests.office import opened

EVERYBODY = ["buyer:1", "publisher:acme-media"]


@pytest.fixture
def months(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A sale in January, one in March, and an update of the first one in February."""
    opened(stage)
    whose = {"user": "acme-media", "buyer": 1, "endpoint": "my_endpoint", "offer": "auto-insurance"}
    changed = {"revenue_cents": -500, "payout_cents": -400, "converted": -1, "call": "cc" * 12}
    pages = stage.bring_stream()
    for at in (START + DAY, START + 60 * DAY):
        pages.write("pings", [Row(event=f"e{at}", at=at, kind="sale", sold_at=at, revenue_cents=2500, **whose)])  # type: ignore[arg-type]
    update = Row(event="u", at=START + 35 * DAY, kind="update", sold_at=START + DAY, detail="bea", **whose | changed)  # type: ignore[arg-type]
    pages.write("calls", [update])
    stage.clock.now = START + 95 * DAY
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))
    return stage


def test_the_command_shows_statements_and_closes_all_months_in_order(
    months: Stage, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "statement.csv"
    shown = command("statements", "show", "buyer:1", "2100-01", "--csv", file)
    assert (shown.exit_code, shown.output.split()[-8:]) == (
        0,
        ["buyer:1", "open", "1", "0", "-1", "20.00", "0.00", "20.00"],
    )
    assert file.read_bytes().endswith(b",1,0,-1,20.00\r\n")
    refused = command("statements", "close", "2100-03", "buyer:1", "--yes")
    assert (refused.exit_code, "Close that of 2100-01 first" in refused.output) == (1, True)
    assert command("statements", "close", "2100-03", input="n").exit_code == 1
    closed = command("statements", "close", "2100-03", "--yes")
    assert closed.exit_code == 0, closed.output
    said = [f"Closed 2100-{month} of {party}." for party in EVERYBODY for month in ("01", "02", "03")]
    assert closed.output.splitlines()[:6] == said
    assert command("statements", "close", "2100-03", "--yes").output.count("Closed ") == 0
    listed = command("statements", "list", "2100-03").output
    assert [line.split()[1] for line in listed.splitlines()[1:]] == ["closed", "closed"]
    assert '"period": "2100-04"' in command("statements", "show", "buyer:1", "--json").output
    for wrong in (("show", "buyer:x"), ("show", "buyer:1", "2100"), ("list", "x"), ("close", "2100-04", "--yes")):
        assert command("statements", *wrong).exit_code == 1, wrong
    assert months.clock() == START + 95 * DAY
