"""Statements: what publishers get and buyers owe for a month, as it is closed, and what corrects it later."""

import csv
import io
from typing import Any

import pytest

from shared.domain.models import DAY
from shared.domain.statements import Content, Sums
from shared.journal.fetching import HOUR
from shared.journal.rows import Row
from shared.operators.shown_statements import LATE_SECONDS
from shared.store.dynamo import Dynamo
from shared.store.statements import Closing, Statements
from tests.build import START, Publisher, Stage
from tests.component.test_call_updates import SAYS, client, open_market, talk, uuid_of
from tests.office import Operator, as_user
from tests.phone import Phone
from tests.watchers import Visitor

PAT, BUYER = "publisher:acme-media", "buyer:1"
JANUARY, FEBRUARY, MARCH = "2100-01", "2100-02", "2100-03"
END_OF_JANUARY = START + 31 * DAY
END_OF_FEBRUARY = END_OF_JANUARY + 28 * DAY


@pytest.fixture
def stage(fast_stage: Stage) -> Stage:
    return fast_stage


def sell(publisher: Publisher, caller: str) -> Phone:
    phone = talk(publisher, caller, auth_token="of acme-media", traffic_source_id="1023")
    publisher.stage.bring_stream()
    return phone


def one(operator: Operator, party: str, month: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = operator.get("/statements", f"party={party}&period={month}")["items"]
    return found[0]


def close(operator: Operator, party: str, month: str, code: int = 200) -> dict[str, Any]:
    answer = operator.ask("POST", "/statements", {"party": party, "period": month})
    assert answer.code == code, answer.text
    body: dict[str, Any] = answer.body
    return body


def numbers(total: dict[str, int]) -> tuple[int, int, int, int]:
    return total["sales"], total["calls"], total["converted"], total["amount_cents"]


@pytest.fixture
def sold(stage: Stage, publisher: Publisher) -> list[Phone]:
    """Two calls at the end of January. Buyer A says of the first one in January that it converted."""
    stage.clock.now = END_OF_JANUARY - DAY
    open_market(stage, pays=SAYS)
    phones = [sell(publisher, "+16145550123"), sell(publisher, "+16145550124")]
    client(stage, "bea").say(phones[0], revenue=45)
    return phones


def test_a_month_is_closed_and_what_comes_later_corrects_the_next(
    stage: Stage, publisher: Publisher, sold: list[Phone]
) -> None:
    olga, bea = as_user(stage, "olga"), client(stage, "bea")
    so_far = one(olga, BUYER, JANUARY)
    assert (so_far["state"], so_far["name"], numbers(so_far["total"])) == ("open", "Buyer A", (2, 2, 1, 4500))
    assert so_far["lines"] == [{"name": "auto-insurance", "sales": 2, "calls": 2, "converted": 1, "amount_cents": 4500}]
    assert "5 hours after its end" in close(olga, BUYER, JANUARY, 409)["message"]
    stage.clock.now = END_OF_JANUARY + LATE_SECONDS - 1
    close(olga, BUYER, JANUARY, 409)
    stage.clock.forward(1)
    assert one(olga, BUYER, JANUARY)["first_open"] == JANUARY
    closed = close(olga, BUYER, JANUARY)
    assert (closed["state"], closed["closed_by"], closed["total"]) == ("closed", "olga", so_far["total"])

    stage.clock.forward(HOUR)
    bea.say(sold[1], revenue=60)
    stage.clock.forward(1)
    bea.say(sold[0], buyer_converted=False)
    sell(publisher, "+16145550125")
    again = one(olga, BUYER, JANUARY)
    assert again == close(olga, BUYER, JANUARY) == {**closed, "first_open": again["first_open"]}
    february = one(olga, BUYER, FEBRUARY)
    assert numbers(february["own"]) == (1, 1, 0, 0)
    assert numbers(february["corrects"]) == (0, 0, 0, 1500)
    changes = [
        (each["kind"], each["period"], each["converted"], each["amount_cents"], each["by"])
        for each in february["corrections"]
    ]
    assert changes == [("update", JANUARY, 1, 6000, "bea"), ("update", JANUARY, -1, -4500, "bea")]
    for each, phone in zip(february["corrections"], reversed(sold), strict=True):
        assert each["call_id"] == uuid_of(phone)
        path, _, query = each["link"].partition("?")
        assert olga.get(path, query)["call"]["call_id"] == uuid_of(phone)

    assert "Close that of" not in one(olga, PAT, JANUARY)["state"]
    assert numbers(one(olga, PAT, JANUARY)["own"])[:3] == (2, 2, 1), "the publisher's is open, so it changes"
    stage.clock.now = END_OF_FEBRUARY + LATE_SECONDS
    assert "Close that of 2100-01 first" in close(olga, PAT, FEBRUARY, 409)["message"]
    close(olga, BUYER, FEBRUARY)
    march = one(olga, BUYER, MARCH)
    assert (march["corrections"], numbers(march["total"])) == ([], (0, 0, 0, 0))


def test_a_row_that_comes_after_the_close_is_in_the_next_statement_wherever_it_lies(
    stage: Stage, sold: list[Phone]
) -> None:
    """The journal writes a row of January when that is closed: to a page first, then to the file of its day."""
    assert sold
    olga = as_user(stage, "olga")
    files = stage.finishing().forgetting.files
    stage.clock.now = END_OF_JANUARY + LATE_SECONDS
    stage.bring_stream()
    files.close_hours(stage.clock())
    files.close_days(stage.clock())
    closed = close(olga, PAT, JANUARY)
    stage.clock.forward(2 * HOUR)
    at = END_OF_JANUARY - 5 * DAY
    whose: dict[str, Any] = {"user": "acme-media", "buyer": 1, "endpoint": "my_endpoint", "ping": "ab" * 12}
    late = Row(event="late", at=at, kind="sale", sold_at=at, payout_cents=77, **whose)
    files.pages.write("pings", [late])

    def february() -> tuple[tuple[int, ...], list[tuple[str, int]]]:
        assert one(olga, PAT, JANUARY)["total"] == closed["total"]
        found = one(olga, PAT, FEBRUARY)
        return numbers(found["total"]), [(each["kind"], each["amount_cents"]) for each in found["corrections"]]

    assert february() == ((1, 0, 0, 77), [("sale", 77)])
    for _ in range(2):
        stage.clock.forward(HOUR)
        files.close_hours(stage.clock())
        assert february() == ((1, 0, 0, 77), [("sale", 77)])
    stage.clock.now = END_OF_FEBRUARY + LATE_SECONDS
    assert numbers(close(olga, PAT, FEBRUARY)["total"]) == (1, 0, 0, 77)
    assert numbers(one(olga, PAT, MARCH)["total"]) == (0, 0, 0, 0)


def test_publishers_and_buyers_see_their_own_and_nothing_of_others(stage: Stage, sold: list[Phone]) -> None:
    olga = as_user(stage, "olga")
    stage.clock.now = END_OF_JANUARY + LATE_SECONDS
    for party in (PAT, BUYER):
        close(olga, party, JANUARY)
    client(stage, "bea").say(sold[1], revenue=60)
    assert [each["party"] for each in olga.get("/statements", f"period={JANUARY}")["items"]] == [PAT, BUYER]
    for name, own, other in (("acme-media", PAT, BUYER), ("bea", BUYER, PAT)):
        user = as_user(stage, name)
        for month, state in ((JANUARY, "closed"), (FEBRUARY, "open")):
            [listed] = user.get("/statements", f"period={month}")["items"]
            found = one(user, own, month)
            assert (listed["party"], listed["state"], listed["total"]) == (own, state, found["total"])
            text = str(found)
            for hidden in (
                ("Buyer A", "auto-insurance", "bea") if name != "bea" else ("acme-media", "my_endpoint", "pg_")
            ):
                assert hidden not in text.replace(own, ""), (name, hidden)
        [each] = one(user, own, FEBRUARY)["corrections"]
        assert each["call_id"] == uuid_of(sold[1])
        assert each["link"].startswith("/calls/" if name == "bea" else "/call_log/")
        assert user.ask("GET", "/statements", query=f"party={other}").code == 404
        assert user.ask("POST", "/statements", {"party": own, "period": FEBRUARY}).code == 403
    assert as_user(stage, "bob").get("/statements", f"period={JANUARY}")["items"] == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("period=2100-13", "period"),
        ("period=x", "period"),
        ("period=9999-01", "period"),
        ("period=1970-01", "period"),
        ("period=2100-01-01", "period"),
        ("party=acme", "party"),
        ("party=buyer:x", "party"),
        ("format=xml", "format"),
        ("page=2", "page"),
    ],
)
def test_what_is_no_statement_is_said(stage: Stage, query: str, name: str) -> None:
    open_market(stage)
    olga = as_user(stage, "olga")
    answer = olga.ask("GET", "/statements", query=query)
    assert (answer.code, [*answer.body["errors"]]) == (422, [name])
    if name in ("period", "party"):
        body = {"party": BUYER, "period": JANUARY} | {name: query.partition("=")[2]}
        assert olga.ask("POST", "/statements", body).code == 422
    for party in ("buyer:77", "publisher:nobody"):
        assert olga.ask("GET", "/statements", query=f"party={party}").code == 404


def test_a_statement_is_a_table_for_a_spreadsheet(stage: Stage, sold: list[Phone]) -> None:
    olga = as_user(stage, "olga")
    stage.clock.now = END_OF_JANUARY + LATE_SECONDS
    close(olga, BUYER, JANUARY)
    client(stage, "bea").say(sold[1], revenue=60)

    def table(query: str) -> list[dict[str, str]]:
        answer = olga.ask("GET", "/statements", query=f"format=csv&{query}")
        assert (answer.code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        return [*csv.DictReader(io.StringIO(answer.text))]

    [publishers, buyers] = table(f"period={JANUARY}")
    assert (publishers["party"], publishers["state"]) == (PAT, "open")
    assert (buyers["name"], buyers["total_amount"]) == ("Buyer A", "45.00")
    assert buyers["closed"] == "2100-02-01T05:00:00+00:00"
    update, total = table(f"period={FEBRUARY}&party={BUYER}")
    assert (update["what"], update["corrects_period"], update["said_by"], update["amount"]) == (
        "update", JANUARY, "bea", "60.00",
    )  # fmt: skip
    assert (update["call_id"], total["what"], total["amount"]) == (uuid_of(sold[1]), "total", "60.00")


def test_the_first_of_two_closings_counts_whatever_comes_later(stage: Stage) -> None:
    store = Statements(Dynamo(stage.client, stage.settings))
    first = Closing(BUYER, JANUARY, START, END_OF_JANUARY, "UTC", 10, "olga", Sums(1, 1, 1, 10), Sums())
    content = Content({"auto": Sums(1, 1, 1, 10)}, (), bytes(range(256)) * 8 * 400)
    closed = store.close(first, content)
    second = Closing(BUYER, JANUARY, START, END_OF_JANUARY, "UTC", 20, "otto", Sums(), Sums())
    assert store.close(second, Content({}, (), b"")) == closed
    assert store.find(BUYER, [JANUARY, FEBRUARY]) == store.of_month(JANUARY) == [closed]
    assert (closed.at, closed.by, store.read(closed)) == (10, "olga", content)


def test_the_pages_show_statements_and_close_them_after_a_question(stage: Stage, sold: list[Phone]) -> None:
    olga, address = Visitor(stage, "olga"), "/statements/buyer/1"
    page = olga.see("/statements")
    assert "acme-media open 2 2 1 " in page
    assert "Buyer A 1 open 2 2 1 45.00 0.00 45.00" in page
    assert "It can be closed from 2100-02-01 05:00:00" in olga.see(address)
    assert "hours after its end" in olga.send(f"{address}/close", period=JANUARY, confirmed="yes").text
    stage.clock.now = END_OF_JANUARY + LATE_SECONDS
    assert "Close this month" in olga.see(address, f"period={JANUARY}")
    asked = olga.send(f"{address}/close", period=JANUARY)
    assert (asked.code, "Close 2100-01 of Buyer A?" in asked.text) == (200, True)
    assert "open" in olga.see("/statements", f"period={JANUARY}")
    done = olga.send(f"{address}/close", period=JANUARY, confirmed="yes")
    assert (done.code, done.headers["Location"]) == (303, f"/dashboard{address}?period={JANUARY}")
    client(stage, "bea").say(sold[1], revenue=60)
    assert "State closed Closed 2100-02-01 05:00:00 by olga The buyer owes 45.00" in olga.see(
        address, f"period={JANUARY}"
    )
    linked = f'<a href="/dashboard/calls/{uuid_of(sold[1])}?at='
    assert linked in olga.get(address, f"period={FEBRUARY}").text
    assert olga.get(address, f"period={FEBRUARY}&as=csv").text.count("\n") == 3
    assert olga.get("/statements", f"period={JANUARY}&as=csv").headers["Content-Type"].startswith("text/csv")
    bea = Visitor(stage, "bea")
    assert f"update {JANUARY} {uuid_of(sold[1])} +1 60.00" in bea.see(address, f"period={FEBRUARY}")
    assert "You owe 60.00" in bea.see(address, f"period={FEBRUARY}")
    assert "acme-media" not in bea.see("/statements", f"period={JANUARY}")
    acme = Visitor(stage, "acme-media")
    assert "You get" in acme.see("/statements/publisher/acme-media", f"period={JANUARY}")
    for path, query, code in (
        ("/statements", "period=x", 422),
        (address, "period=x", 422),
        ("/statements/seller/1", "", 422),
        ("/statements/buyer/77", "", 404),
    ):
        assert olga.get(path, query).code == code, path
    for path in ("/statements/publisher/acme-media", "/statements/buyer/2"):
        assert bea.get(path).code == 404
    assert olga.send(f"{address}/close", period="x").code == 422
