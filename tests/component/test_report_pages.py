"""Reports as the API, the dashboard and the command give them."""

import base64
import csv
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec.structs import replace

from shared.journal.database import TooMuch
from shared.journal.fetching import Sources
from shared.journal.periods import Period
from shared.journal.reports import COLUMNS, Question
from shared.journal.rows import Asked, Row, encode
from shared.operators import journal_rows
from shared.operators.access import Office
from shared.operators.athena_query import write_query
from tests.build import START, Stage
from tests.component.conftest import Command
from tests.configurations import a_buyer, an_offer
from tests.office import Operator, as_user, opened
from tests.watchers import Visitor, text

HOUR = 3600
AUTO = Row(event="", at=START + HOUR, kind="ping", endpoint="my_endpoint", offer="auto-insurance", version=1)
ROWS = [
    replace(AUTO, event="e1", user="acme-media", source="a", reasons=".h", bids=1, milliseconds=40,
            live=(Asked(1, "bid", 30),)),
    replace(AUTO, event="e2", user="bolt", source="=1+1", reasons="fh", milliseconds=60),
    replace(AUTO, event="e3", at=START + 2 * HOUR, sold_at=START + 2 * HOUR, kind="sale", user="acme-media", source="a",
            buyer=1, status="sold", revenue_cents=2500, payout_cents=2050),
    replace(AUTO, event="e4", at=START + 2 * HOUR, kind="refused", user="bolt", status="invalid_fields"),
    replace(AUTO, event="e5", at=START - 5 * HOUR, user="bolt"),
]  # fmt: skip


@pytest.fixture
def olga(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator, at noon of a day with some rows."""
    opened(stage, offers=[an_offer(buyers=[a_buyer(), a_buyer(id=2, name="=Buyer; B", number="+18005550182")])])
    stage.clock.forward(12 * HOUR)
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(ROWS)))
    return as_user(stage, "olga")


def items(operator: Operator, query: str) -> list[tuple[dict[str, str], dict[str, Any]]]:
    return [(item["keys"], item["numbers"]) for item in operator.get("/reports", query)["items"]]


def test_a_report_counts_what_happened(olga: Operator) -> None:
    found = olga.get("/reports", "range=today&by=day")
    [item] = found["items"]
    assert item["keys"] == {"day": "2100-01-01"}
    numbers = {name: item["numbers"][name] for name in ("requests", "pings", "unmatched", "refused", "sales")}
    assert numbers == {"requests": 3, "pings": 2, "unmatched": 1, "refused": 1, "sales": 1}
    assert item["numbers"]["margin_cents"] == 450
    assert (found["start"], found["end"]) == (START, START + 24 * HOUR)
    assert (found["before"]["start"], found["before"]["end"]) == (START - 24 * HOUR, START - 12 * HOUR)
    assert (found["groups"], found["total"]) == (1, item["numbers"])
    assert found["before"]["numbers"]["pings"] == 0


def test_amounts_are_sorted_by_their_names_without_cents_too(olga: Operator) -> None:
    for name in ("revenue", "payout", "margin"):
        assert olga.get("/reports", f"range=today&by=source&sort={name}")["sort"] == f"{name}_cents"


def test_the_page_shows_the_groups_of_an_address_with_commas(olga: Operator, stage: Stage) -> None:
    page = Visitor(stage, "olga").get("/reports", "range=today&by=source,buyer").text
    assert page.count("selected>Source</option>") == page.count("selected>Buyer</option>") == 1
    assert items(olga, "range=today&by=source,buyer")


def test_the_day_is_that_of_the_zone(olga: Operator) -> None:
    days = [keys["day"] for keys, _ in items(olga, "range=last_7_days&by=day&zone=America/New_York")]
    assert days == ["2099-12-31"]
    hours = [keys["hour"] for keys, _ in items(olga, "from=2099-12-31&to=2100-01-01&by=hour&zone=Asia/Kolkata")]
    assert hours == ["2100-01-01T00:00+05:30", "2100-01-01T06:00+05:30", "2100-01-01T07:00+05:30"]


def test_without_a_zone_the_day_is_that_of_the_account(olga: Operator, stage: Stage) -> None:
    opened(stage, account={"zone": "Asia/Kolkata"})
    stage.clock.forward(10 * HOUR)
    found = olga.get("/reports", "range=today&by=day")
    assert (found["zone"], found["start"]) == ("Asia/Kolkata", START + 24 * HOUR - 5 * HOUR - HOUR // 2)
    assert olga.get("/reports", "range=today&zone=UTC")["start"] == START
    page = Visitor(stage, "olga").get("/reports", "range=today").text
    assert '<input name="zone" value="Asia/Kolkata"' in page


def test_buyers_have_their_names_and_reasons_theirs(olga: Operator) -> None:
    found = olga.get("/reports", "range=today&by=buyer,reason&sort=bids")["items"]
    said = {(each["keys"]["buyer"], each["keys"]["reason"]): each for each in found}
    assert {*said} == {("1", "bid"), ("1", "filter"), ("2", "schedule"), ("", "")}
    assert said["1", "bid"]["buyer_name"] == "Buyer A"
    assert said["1", "bid"]["numbers"]["win_percent"] == 100.0
    assert said["2", "schedule"]["numbers"]["pings"] == 2


def test_a_publisher_sees_its_own_and_no_buyer_and_no_price(olga: Operator) -> None:
    bolt = as_user(olga.stage, "bolt")
    found = bolt.get("/reports", "range=today&by=user")
    [item] = found["items"]
    assert item["keys"] == {"user": "bolt"}
    for numbers in (item["numbers"], found["total"], found["before"]["numbers"]):
        hidden = [name for name in COLUMNS if "live" in name or "revenue" in name or "margin" in name]
        assert [numbers[name] for name in hidden] == [None] * 11
    assert (item["numbers"]["pings"], item["numbers"]["payout_cents"]) == (1, 0)
    for query in ("by=buyer", "by=reason", "by=day,offer", "sort=revenue_cents", "sort=live_bids"):
        answer = bolt.ask("GET", "/reports", query=query)
        assert answer.code == 422, query
    table = bolt.ask("GET", "/reports", query="range=today&by=source&format=csv").text
    assert "revenue" not in table
    assert "Buyer" not in table


def test_a_report_is_a_table_for_a_spreadsheet(olga: Operator) -> None:
    answer = olga.ask("GET", "/reports", query="range=today&by=hour,buyer,source&format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    sold = next(row for row in rows if row["sales"] == "1")
    assert (sold["hour"], sold["buyer_name"], sold["revenue"], sold["margin"], sold["margin_percent"]) == (
        "2100-01-01T02:00+00:00", "Buyer A", "25.00", "4.50", "18.0",
    )  # fmt: skip
    assert {row["source"] for row in rows} == {"a", "'=1+1", ""}
    assert {row["buyer_name"] for row in rows} == {"Buyer A", "'=Buyer; B", ""}


def test_a_report_is_a_parquet_file(olga: Operator, tmp_path: Path) -> None:
    sent = {"accept-encoding": "gzip, br"}  # as browsers do
    event = olga.ask("GET", "/reports", query="range=today&by=source&sort=source&format=parquet", headers=sent)
    assert event.headers["Content-Type"] == "application/vnd.apache.parquet"
    path = tmp_path / "report.parquet"
    path.write_bytes(base64.b64decode(event.text))
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(path)).project("source, pings, revenue_cents, median_ms").fetchall()
    assert found == [("", 0, 0, None), ("=1+1", 1, 0, 60), ("a", 1, 2500, 40)]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("range=for_ever", "range"),
        ("range=today&from=2099-12-31", "range"),
        ("from=2100-01-02&to=2100-01-01", "to"),
        ("from=1980-01-01&to=2100-01-01", "to"),
        ("from=9999-12-31", "to"),
        ("from=yesterday", "from"),
        ("zone=Mars", "zone"),
        ("zone=../../etc/passwd", "zone"),
        ("by=day,offer,user,source", "by"),
        ("by=day,day", "by"),
        ("by=';DROP", "by"),
        ("sort=1;--", "sort"),
        ("order=sideways", "order"),
        ("dated_by=mood", "dated_by"),
        ("limit=0", "limit"),
        ("limit=1e3", "limit"),
        ("limit=999999", "limit"),
        ("format=pdf", "format"),
    ],
)
def test_what_cannot_be_asked_is_said(olga: Operator, query: str, name: str) -> None:
    answer = olga.ask("GET", "/reports", query=query)
    assert (answer.code, [*answer.body["errors"]]) == (422, [name])


def test_too_much_and_a_damaged_file_are_said(olga: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(b"PAR1")
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((cut,)))
    answer = olga.ask("GET", "/reports")
    assert (answer.code, "damaged" in answer.body["message"]) == (409, True)

    def too_much(_: Office, period: Period, _by_cube: bool) -> Sources:
        raise TooMuch(period.seconds * 10_000)

    monkeypatch.setattr(journal_rows, "read_sources", too_much)
    answer = olga.ask("GET", "/reports", query="by=source&from=2100-01-01")
    assert answer.code == 422
    assert "It would read 1,728 MB of rows; at most 400 MB are read" in answer.body["errors"]["to"][0]
    assert "counts" in answer.body["errors"]["numbers"][0]
    assert "day BETWEEN '2100-01-01' AND '2100-01-01'" in answer.body["errors"]["athena"][0]
    assert [*olga.ask("GET", "/reports", query="by=area_code&numbers=counts").body["errors"]] == ["by"]
    assert [*olga.ask("GET", "/reports", query="by=buyer").body["errors"]] == ["to"]
    visitor = Visitor(olga.stage, "olga")
    page = visitor.get("/reports", "by=source&range=today")
    assert (page.code, 'href="?by=source&amp;range=today&amp;numbers=counts"' in page.text) == (422, True)
    assert "FROM days WHERE" in text(page)


def test_a_query_for_athena_quotes_what_it_holds() -> None:
    question = Question(period=Period(START, START + 3600), zone="UTC' OR '1'='1", only_user="o'; DROP TABLE days; --")
    query = write_query(replace(question, by=("day", "source")))
    assert "'UTC'' OR ''1''=''1'" in query
    assert "\"user\" = 'o''; DROP TABLE days; --'" in query
    assert "revenue" not in query
    assert write_query(replace(question, by=("reason",))) == ""


def test_the_page_shows_the_report_and_links_to_its_files(olga: Operator) -> None:
    visitor = Visitor(olga.stage, "olga")
    query = "range=today&by=buyer&then=source"
    page = visitor.see("/reports", query)
    assert "Buyer A 1 a 1 1 0 0 1 1 100.0 100.0 25.00 20.50 4.50 18.0" in page
    assert "All 3 2 1 1 1 1 50.0 100.0 25.00" in page
    assert "Period before" in page
    for form in ("csv", "parquet"):
        [link] = re.findall(rf'href="\?([^"]*as={form})"', visitor.get("/reports", query).text)
        answer = visitor.get("/reports", unescape(link))
        assert answer.headers["Content-Disposition"] == f'attachment; filename="report-2100-01-01-2100-01-01.{form}"'
    assert visitor.get("/reports", "by=day&sort=pings&order=up&zone=Asia/Kolkata").text.count("<svg") == 3


def test_the_page_says_what_is_wrong_and_what_to_do(olga: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor(olga.stage, "olga")
    answer = visitor.get("/reports", "zone=Mars&by=<b>")
    assert (answer.code, "must be a time zone" in answer.text, "<b>" in answer.text) == (422, True, False)
    publisher = Visitor(olga.stage, "bolt").see("/reports", "range=today&by=source")
    assert "Revenue" not in publisher
    assert "Payout" in publisher
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources())
    assert "Nothing was sent on 2100-01-01. Choose a longer range" in visitor.see("/reports", "range=today")


@pytest.mark.usefixtures("olga")
def test_the_command_prints_the_report(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGPOST_JOURNAL_FOLDER", str(tmp_path / "kept"))
    file = tmp_path / "report.csv"
    query = ("--from", "2100-01-01", "--to", "2100-01-01", "--by", "buyer,source")
    done = command("report", *query, "--csv", file)
    assert done.exit_code == 0, done.output
    head, *_, before = (line.split() for line in done.output.splitlines())
    assert head[:5] == ["buyer", "source", "requests", "pings", "refused"]
    assert before[0] == "before"
    assert ["1", "a", "1", "1", "0", "1", "1", "100.0", "25.00", "20.50", "4.50"] in [
        line.split() for line in done.output.splitlines()
    ]
    rows = csv.DictReader(io.StringIO(file.read_text()))
    assert {row["buyer_name"] for row in rows} == {"Buyer A", "'=Buyer; B", ""}
    printed = json.loads(command("report", *query, "--json").output)
    assert printed["total"]["revenue_cents"] == 2500
    wrong = command("report", "for_ever", "--zone", "Mars", "--sort", "mood")
    assert wrong.exit_code == 1
    assert {line.split()[0] for line in wrong.stderr.splitlines()} == {"zone", "sort"}
