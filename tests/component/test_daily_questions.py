"""The questions of every day: why a buyer got no calls, who sends what is refused, and where each answer is."""

import re
from html import unescape

import pytest
from msgspec.structs import replace

from functions.dashboard.question_pages import QUESTIONS
from shared.domain import keys
from shared.journal.fetching import Sources
from shared.journal.rows import Row, encode
from shared.operators import journal_rows
from tests.build import START, Publisher, Stage
from tests.configurations import a_buyer, a_ring_pool, an_endpoint, an_offer
from tests.office import Operator, as_user, opened
from tests.watchers import Visitor, text

HOUR = 3600
DAY = 24 * HOUR
PING = Row(event="", at=START + HOUR, kind="ping", endpoint="my_endpoint", offer="auto-insurance", version=1, bids=1)
SALE = replace(PING, at=START + HOUR + 5, sold_at=START + HOUR + 5, kind="sale", status="sold", revenue_cents=2500)
REFUSED = replace(PING, kind="refused", user="bolt", source="77", status="invalid_fields", bids=0)


def an_id(number: int) -> str:
    return f"{number:024x}"


ROWS = [
    replace(PING, event="e1", ping=an_id(1), reasons="..", bids=2),  # both bid, buyer 1 gets it
    replace(SALE, event="e2", ping=an_id(1), buyer=1),
    replace(PING, event="e3", ping=an_id(2), reasons="h."),  # buyer 2 alone, sold to it
    replace(SALE, event="e4", ping=an_id(2), buyer=2, revenue_cents=1900),
    replace(PING, event="e5", ping=an_id(3), reasons="c.", at=START + 2 * HOUR),  # buyer 1 is capped, nobody gets it
    replace(PING, event="e6", ping=an_id(4), reasons="ff", bids=0, at=START - 2 * HOUR),
    replace(PING, event="e7", ping=an_id(5), reasons=".", version=9),  # of a version that is gone
    *(
        replace(REFUSED, event=f"r{n}", ping=an_id(10 + n), at=START + n, fields=("zip", *(["state"] if n % 2 else [])))
        for n in range(12)
    ),
    replace(REFUSED, event="r", ping=an_id(30), source="78", user="acme-media", status="duplicate_caller"),
    replace(PING, event="p", ping=an_id(31), source="78", user="acme-media"),
]


@pytest.fixture
def olga(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Operator:
    opened(stage, offers=[an_offer(buyers=[a_buyer(), a_buyer(id=2, name="<b>B", number="+18005550182")])])
    stage.clock.forward(12 * HOUR)
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(ROWS)))
    return as_user(stage, "olga")


def test_a_buyer_is_told_why_it_got_no_calls_and_who_got_them(olga: Operator) -> None:
    found = olga.get("/reports/buyer", "buyer=2&range=last_7_days")
    assert found["outbid_by"] == [{"buyer": 1, "name": "Buyer A", "sales": 1}]
    assert found["capped_at"] is None
    days = {day["day"]: day["counts"] for day in found["days"]}
    assert [*days] == ["2100-01-01", "2099-12-31"]
    assert days["2100-01-01"] == {
        "pings": 3, "reasons": {}, "bids": 3, "won": 1, "lost": 1, "unsold": 1, "sales": 1, "revenue_cents": 1900,
    }  # fmt: skip
    assert days["2099-12-31"]["reasons"] == {"filter": 1}
    first = olga.get("/reports/buyer", "buyer=1&range=today")
    assert first["total"]["reasons"] == {"schedule": 1, "cap": 1}
    assert (first["capped_at"], first["total"]["pings"]) == (START + 2 * HOUR, 3)


def test_the_days_of_a_buyer_are_those_of_the_zone(olga: Operator) -> None:
    found = olga.get("/reports/buyer", "buyer=1&range=last_7_days&zone=America/New_York")
    assert [(day["day"], day["counts"]["pings"]) for day in found["days"]] == [("2099-12-31", 4)]
    kathmandu = olga.get("/reports/buyer", "buyer=1&from=2100-01-01&to=2100-01-01&zone=Asia/Kathmandu")
    assert (kathmandu["start"], kathmandu["total"]["pings"]) == (START - 5 * HOUR - 2700, 4)


def test_who_sends_junk_is_known_by_fields_and_the_last_ten(olga: Operator) -> None:
    found = olga.get("/reports/refused", "range=today")
    assert (found["sources"], found["refused"]) == (2, 13)
    worst, other = found["items"]
    assert (worst["user"], worst["source"], worst["requests"], worst["refused_percent"]) == ("bolt", "77", 12, 100.0)
    assert (worst["fields"], worst["statuses"]) == ({"zip": 12, "state": 6}, {"invalid_fields": 12})
    assert [each["at"] for each in worst["last"]] == [START + n for n in range(11, 1, -1)]
    public = keys.ping_id(olga.stage.keys, "my_endpoint", bytes.fromhex(an_id(21)))
    assert worst["last"][0]["ping_id"] == public
    assert (other["refused"], other["requests"], other["refused_percent"], other["fields"]) == (1, 2, 50.0, {})


def test_a_publisher_sees_its_own_refusals_and_no_buyer(olga: Operator) -> None:
    bolt = as_user(olga.stage, "bolt")
    assert {each["user"] for each in bolt.get("/reports/refused", "range=today")["items"]} == {"bolt"}
    assert bolt.ask("GET", "/reports/buyer", query="buyer=1").code == 403
    visitor = Visitor(olga.stage, "bolt")
    assert "acme-media" not in visitor.see("/reports/refused", "range=today").replace("bolt", "")
    assert visitor.get("/reports/buyer").code == 403
    asked = visitor.see("/reports/questions")
    assert "Who sends requests that are refused?" in asked
    assert "profitable" not in asked


@pytest.mark.parametrize("path", ["/reports/buyer", "/reports/refused"])
@pytest.mark.parametrize(
    ("query", "name"),
    [("range=for_ever", "range"), ("zone=Mars", "zone"), ("from=1980-01-01&to=2100-01-01", "to"), ("from='--", "from")],
)
def test_what_cannot_be_asked_is_said(olga: Operator, path: str, query: str, name: str) -> None:
    asked = query if path == "/reports/refused" else f"buyer=1&{query}"
    answer = olga.ask("GET", path, query=asked)
    assert (answer.code, [*answer.body["errors"]]) == (422, [name])
    page = Visitor(olga.stage, "olga").get(path, asked)
    assert (page.code, 'role="alert"' in page.text) == (422, True)


@pytest.mark.parametrize(
    ("buyer", "code"), [("", 422), ("1;--", 422), ("99999999999999", 422), ("٣", 422), ("77", 404)]
)
def test_a_buyer_that_there_is_not_is_said(olga: Operator, buyer: str, code: int) -> None:
    assert olga.ask("GET", "/reports/buyer", query=f"buyer={buyer}").code == code
    if buyer:
        assert Visitor(olga.stage, "olga").get("/reports/buyer", f"buyer={buyer}").code == code


def test_the_pages_say_it_in_words(olga: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor(olga.stage, "olga")
    answer = visitor.get("/reports/buyer", "buyer=1&range=today")
    assert "It last missed a ping for lack of room at 2100-01-01 02:00, UTC" in text(answer)
    assert "All 3 1 1 1 1 0 0 1 25.00" in text(answer)
    assert "<b>B" not in answer.text
    junk = visitor.get("/reports/refused", "range=today")
    assert "77 bolt 12 12 100.0 invalid_fields 12 zip 12, state 6 2100-01-01 00:00" in text(junk)
    assert junk.text.count('href="/dashboard/pings/') == 11
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources())
    assert "Publishers sent no lead that Buyer A could have had" in visitor.see("/reports/buyer", "buyer=1&range=today")
    assert "Nothing was refused on 2100-01-01." in visitor.see("/reports/refused", "range=today")


def test_each_question_has_its_answer_in_two_clicks(olga: Operator) -> None:
    visitor = Visitor(olga.stage, "olga")
    assert 'href="/dashboard/reports/questions"' in visitor.get("/reports").text
    page = visitor.get("/reports/questions").text
    links = [unescape(link) for link in re.findall(r"<dd>(.*?)</dd>", page)]
    assert len(links) == len(QUESTIONS) == 10
    for address in re.findall(r'href="/dashboard([^"]*)"', " ".join(links)):
        path, _, query = address.partition("?")
        assert visitor.get(path, query).code == 200, address


def test_what_is_said_is_what_was_sent(stage: Stage, publisher: Publisher) -> None:
    buyers = [a_buyer(caps={"sales": {"day": 1}}), a_buyer(id=2, name="B", bid="20.00", number="+18005550182")]
    opened(
        stage, offers=[an_offer(buyers=buyers)], endpoints=[an_endpoint(require_auth_token=False, validation="strict")]
    )
    for caller in ("+16145550123", "+16145550124"):
        assert publisher.full(caller_id=caller).code == 200
    assert publisher.ping(caller_id="nobody", traffic_source_id="junk").code == 422
    operator = as_user(stage, "olga")
    second, first = (operator.get("/reports/buyer", f"buyer={n}&range=today") for n in (2, 1))
    assert [(each["buyer"], each["sales"]) for each in second["outbid_by"]] == [(1, 1)]
    assert (second["total"]["bids"], second["total"]["won"], second["total"]["lost"]) == (2, 1, 1)
    assert (first["total"]["won"], first["total"]["reasons"], first["capped_at"]) == (1, {"cap": 1}, START)
    [junk] = operator.get("/reports/refused", "range=today")["items"]
    assert (junk["source"], junk["fields"], junk["last"][0]["status"]) == ("junk", {"caller_id": 1}, "invalid_fields")


def test_a_call_is_won_however_late_its_ping_was_sold(stage: Stage) -> None:
    pools = [a_ring_pool(hold_seconds=DAY)]
    endpoints = [an_endpoint(require_auth_token=False, ping_ttl_seconds=DAY)]
    opened(stage, offers=[an_offer(buyers=[a_buyer()])], ring_pools=pools, endpoints=endpoints)
    late = START + DAY + 20 * HOUR
    ping = replace(PING, event="e1", ping=an_id(1), reasons=".", at=START + 23 * HOUR)
    sale = replace(SALE, event="e2", ping=an_id(1), buyer=1, at=late, sold_at=late)
    stage.open_files().pages.write("pings", [ping, sale])
    stage.clock.forward(2 * DAY)
    found = as_user(stage, "olga").get("/reports/buyer", "buyer=1&from=2100-01-01&to=2100-01-01")["total"]
    assert (found["won"], found["unsold"], found["sales"]) == (1, 0, 0)


def test_a_full_that_was_priced_twice_was_won_once(olga: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [
        replace(PING, event="e1", ping=an_id(1), reasons=".."),
        replace(PING, event="e2", ping=an_id(1), reasons="..", at=PING.at + 60),
        replace(SALE, event="e3", ping=an_id(1), buyer=1, at=PING.at + 60, sold_at=PING.at + 60),
    ]
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(twice)))
    first, second = (olga.get("/reports/buyer", f"buyer={n}&range=today") for n in (1, 2))
    assert (first["total"]["bids"], first["total"]["won"], first["total"]["unsold"]) == (2, 1, 1)
    assert (second["total"]["lost"], second["outbid_by"][0]["sales"]) == (1, 1)
