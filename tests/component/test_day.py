"""A day and traffic sources as the operators' API gives them."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.journal import database
from shared.journal.fetching import Sources
from shared.journal.periods import midnight
from shared.journal.rows import Row, encode
from shared.operators import journal_rows
from tests.build import START, Publisher, Stage
from tests.configurations import a_buyer, an_offer
from tests.office import Operator, as_user, opened, records

HOUR = 3600
NEW_YORK = "America/New_York"
SPRING, AUTUMN = "2026-03-08", "2026-11-01"
PING = Row(event="", at=START + HOUR, kind="ping", endpoint="my_endpoint", user="acme-media", source="1023", bids=2)
SALE = replace(PING, kind="sale", sold_at=PING.at, status="sold", buyer=1, revenue_cents=2500, payout_cents=2050)
ROWS = [
    replace(PING, event="e1"),
    replace(SALE, event="e2", pool="auto-us", pool_used=25),
    replace(PING, event="e3", user="bolt", source="77", bids=0),
    replace(PING, event="e4", kind="refused", user="bolt", source="77", status="invalid_fields"),
    replace(PING, event="e5", at=START - HOUR, endpoint="other"),
]


@pytest.fixture
def olga(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator, at noon of a day with some rows."""
    capped = a_buyer(caps={"sales": {"day": 4}})
    opened(stage, offers=[an_offer(buyers=[capped, a_buyer(id=2, name="Buyer B", number="+18005550182")])])
    stage.clock.forward(12 * HOUR)
    rows(monkeypatch, ROWS)
    return as_user(stage, "olga")


def rows(monkeypatch: pytest.MonkeyPatch, found: list[Row]) -> None:
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(found)))


def sums(count: dict[str, Any]) -> list[int | None]:
    return [count[name] for name in ("pings", "unmatched", "refused", "sales", "revenue_cents", "payout_cents")]


def test_a_day_is_counted_by_hour_endpoint_pool_and_buyer(olga: Operator) -> None:
    found = olga.get("/day")
    assert (found["day"], found["zone"], found["start"], found["is_today"]) == ("2100-01-01", "UTC", START, True)
    assert sums(found["total"]["day"]) == [2, 1, 1, 1, 2500, 2050]
    assert sums(found["total"]["before"]) == [1, 0, 0, 0, 0, 0]
    assert found["total"]["day"]["refusals"] == {"invalid_fields": 1}
    assert (len(found["hours"]), len(found["before"])) == (24, 24)
    hour = found["hours"][1]
    assert (hour["start"], hour["clock"], hour["count"]) == (START + HOUR, "01:00", found["total"]["day"])
    assert sums(found["before"][23]["count"]) == [1, 0, 0, 0, 0, 0]
    assert {name: sums(of["before"])[0] for name, of in found["endpoints"].items()} == {"my_endpoint": 0, "other": 1}
    [pool] = found["pools"]
    assert (pool["pool"], [hour["peak_percent"] for hour in pool["hours"]]) == ("auto-us", [25])
    assert found["buyers"] == [
        {"buyer_id": 1, "name": "Buyer A", "sales": 1, "revenue_cents": 2500, "payout_cents": 2050}
    ]
    [fill] = found["fills"]["fills"]
    assert (fill["buyer_id"], fill["gauge"]["count"]) == (1, 0)
    assert olga.get("/day", "day=2099-12-31")["fills"] is None


def test_the_day_is_that_of_the_zone(olga: Operator) -> None:
    found = olga.get("/day", "day=2099-12-31&zone=America/New_York")
    assert (found["start"], found["end"]) == (START - 19 * HOUR, START + 5 * HOUR)
    assert sums(found["total"]["day"]) == [3, 1, 1, 1, 2500, 2050]
    [at_20] = [hour for hour in found["hours"] if hour["clock"] == "20:00"]
    assert (at_20["start"], sums(at_20["count"])[0]) == (START + HOUR, 2)
    half = olga.get("/day", "zone=Asia/Kolkata")
    assert (half["hours"][6]["clock"], sums(half["hours"][6]["count"])[0]) == ("06:00", 2)


def test_without_a_zone_the_day_is_that_of_the_account(olga: Operator) -> None:
    opened(olga.stage, account={"zone": "Asia/Kolkata"})
    assert olga.get("/day")["start"] == START - 5 * HOUR - HOUR // 2
    assert olga.get("/day", "zone=UTC")["start"] == START
    assert olga.get("/sources")["zone"] == "Asia/Kolkata"


@pytest.mark.parametrize(
    ("day", "many", "before", "clocks"),
    [(SPRING, 23, 24, ["01:00", "03:00"]), (AUTUMN, 25, 24, ["01:00 EDT", "01:00 EST"]), ("2026-03-09", 24, 23, [])],
)
def test_a_day_on_which_the_clock_changes(
    olga: Operator, monkeypatch: pytest.MonkeyPatch, day: str, many: int, before: int, clocks: list[str]
) -> None:
    begins = midnight(date.fromisoformat(day), NEW_YORK)
    rows(monkeypatch, [replace(PING, event=f"e{hour}", at=begins + hour * HOUR) for hour in range(-before, many + 1)])
    found = olga.get("/day", f"day={day}&zone={NEW_YORK}")
    assert [hour["count"]["pings"] for hour in found["hours"]] == [1] * many
    assert [hour["count"]["pings"] for hour in found["before"]] == [1] * before
    assert (found["total"]["day"]["pings"], found["total"]["before"]["pings"]) == (many, before)
    assert [hour["clock"] for hour in found["hours"][1:3]] == (clocks or ["01:00", "02:00"])


def test_a_publisher_sees_its_own_and_no_buyer_and_no_revenue(olga: Operator) -> None:
    acme, bolt = as_user(olga.stage, "acme-media"), as_user(olga.stage, "bolt")
    found = acme.get("/day")
    assert sums(found["total"]["day"]) == [1, 0, 0, 1, None, 2050]
    assert sums(found["total"]["before"]) == [1, 0, 0, 0, None, 0]
    assert {hour["count"]["revenue_cents"] for hour in found["hours"] + found["before"]} == {None}
    assert sums(found["endpoints"]["my_endpoint"]["day"]) == [1, 0, 0, 1, None, 2050]
    assert (found["pools"], found["buyers"], found["fills"]) == ([], [], None)
    assert "Buyer" not in str(found)
    assert sums(bolt.get("/day")["total"]["day"]) == [1, 1, 1, 0, None, 0]
    assert [item["user"] for item in bolt.get("/sources")["items"]] == ["bolt"]
    mine = acme.get("/sources", "from=2099-12-31")
    assert [sums(item) for item in mine["items"]] == [sums(mine["total"])] == [[2, 0, 0, 1, None, 2050]]


def test_sources_have_a_range_and_a_sum(olga: Operator) -> None:
    found = olga.get("/sources", "range=last_7_days")
    assert [(item["user"], item["source"], *sums(item)) for item in found["items"]] == [
        ("acme-media", "1023", 2, 0, 0, 1, 2500, 2050), ("bolt", "77", 1, 1, 1, 0, 0, 0),
    ]  # fmt: skip
    assert (found["sources"], sums(found["total"])) == (2, [3, 1, 1, 1, 2500, 2050])
    first = olga.get("/sources", "limit=1")
    assert (len(first["items"]), first["sources"], sums(first["total"])) == (1, 2, [2, 1, 1, 1, 2500, 2050])
    none = olga.get("/sources", "from=2099-12-01&to=2099-12-02")
    assert (none["items"], none["sources"], sums(none["total"])) == ([], 0, [0] * 6)


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        ("/day", "day=yesterday", {"day"}),
        ("/day", "day=2100-02-30", {"day"}),
        ("/day", "day=9999-12-31", {"day"}),
        ("/day", "day=1969-12-31", {"day"}),
        ("/day", "day=x&zone=Mars", {"zone"}),
        ("/day", "zone=../../etc/passwd", {"zone"}),
        ("/day", "day='; DROP VIEW all_rows; --", {"day"}),
        ("/day", "user=bolt", {"user"}),
        ("/sources", "from=2100-01-02&to=2100-01-01", {"to"}),
        ("/sources", "from=1980-01-01&to=2100-01-01", {"to"}),
        ("/sources", "range=for_ever", {"range"}),
        ("/sources", "range=today&from=2099-12-31", {"range"}),
        ("/sources", "limit=10001&zone=UTC' OR 1=1", {"limit", "zone"}),
        ("/sources", "sort=user", {"sort"}),
    ],
)
def test_what_cannot_be_asked_is_said(olga: Operator, path: str, query: str, names: set[str]) -> None:
    answer = olga.ask("GET", path, query=query)
    assert (answer.code, {*answer.body["errors"]}) == (422, names)


@pytest.mark.parametrize("path", ["/day", "/sources"])
def test_too_much_and_a_damaged_file_are_said(
    olga: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(b"PAR1")
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((cut,)))
    answer = olga.ask("GET", path)
    assert (answer.code, "damaged" in answer.body["message"]) == (409, True)
    monkeypatch.setattr(database, "MOST_BYTES", 1)
    answer = olga.ask("GET", path)
    [[sentence]] = answer.body["errors"].values()
    assert (answer.code, "MB of rows" in sentence) == (422, True)


def test_what_is_sold_is_in_the_day_a_moment_later(stage: Stage, publisher: Publisher) -> None:
    """Through the stream and the pages."""
    opened(stage)
    records(stage).tokens.issue("acme-media", "a test", "of acme-media")
    sent = {"caller_id": "+16145550123", "auth_token": "of acme-media", "traffic_source_id": "1023"}
    assert publisher.full(**sent).body["success"]
    publisher.ping(caller_id="+16145550124")
    assert publisher.post(traffic_source_id="55").code == 422
    olga = as_user(stage, "olga")
    found = olga.get("/day")
    assert sums(found["total"]["day"]) == [2, 0, 1, 1, 2500, 2500]
    [sold] = olga.get("/sources")["items"][:1]
    assert (sold["user"], sold["source"], *sums(sold)) == ("acme-media", "1023", 1, 0, 0, 1, 2500, 2500)
    assert sums(as_user(stage, "acme-media").get("/day")["total"]["day"]) == [1, 0, 0, 1, None, 2500]


def test_a_sale_says_how_full_its_pool_was(stage: Stage, publisher: Publisher) -> None:
    """Eight numbers and nine callers: the last one finds none."""
    opened(stage)
    for n in range(9):
        publisher.full(caller_id=f"+1614555013{n}")
    [pool] = as_user(stage, "olga").get("/day")["pools"]
    [hour] = pool["hours"]
    assert (pool["pool"], hour["leases"], hour["exhausted"], hour["peak_percent"]) == ("auto-us", 8, 1, 100)
    assert 40 < hour["used_percent"] < 60
