"""The pages that watch and explain, and what the operators' API gives of the same."""

import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws
from msgspec.structs import replace

from functions.dashboard import log_pages as views
from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.models import DAY, Field
from shared.journal.fetching import Sources
from shared.journal.rows import Row, encode
from shared.operators import journal_rows, one_ping
from tests.build import CALLER, SETTINGS, START, Answer, Publisher, Scripted, Stage, an_event
from tests.configurations import a_buyer, a_contact_field, a_ring_pool, an_endpoint, an_offer
from tests.office import Operator, as_user, opened, records
from tests.watchers import Visitor, text
from tools import engine
from tools.sandbox import Sandbox

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OTHER = "+16145550124"
FIELDS = [
    a_contact_field(name="caller_id", type="phone", required_on=["post"]),
    a_contact_field(),
    a_contact_field(name="email", type="email"),
    a_contact_field(name="age", type="integer"),
    a_contact_field(name="traffic_source_id", type="text"),
    a_contact_field(name="first_name", type="text"),
]
BUYERS = [
    a_buyer(caps={"sales": {"day": 4}, "revenue": {"month": "500.00"}}),
    a_buyer(id=2, name="Buyer B", bid="20.00", number="+18005550182", filters=["first_name == Bob"]),
    a_buyer(id=3, name="Buyer C", bid="22.00", number="+18005550183", filters=["age > 60"]),
]
LEAD = {"caller_id": CALLER, "zip": "30340", "email": "ann@mail.example", "first_name": "Ann", "age": "41"}
PRIVATE = (CALLER, "ann@mail.example", "Ann")


@pytest.fixture
def market(stage: Stage) -> Stage:
    """A margin, a token of acme-media's, and another endpoint."""
    opened(
        stage,
        offers=[an_offer(contact_fields=FIELDS, buyers=BUYERS, margin={"fixed": "5.00"})],
        endpoints=[an_endpoint(), an_endpoint(vanity_uri="other", tracking="static")],
    )
    for user in ("acme-media", "bolt"):
        records(stage).tokens.issue(user, "a test", f"of {user}")
    return stage


@pytest.fixture
def olga(market: Stage) -> Visitor:
    return Visitor(market, "olga")


@pytest.fixture
def acme(market: Stage) -> Visitor:
    return Visitor(market, "acme-media")


def pinged(publisher: Publisher, uri: str = "my_endpoint", **more: Any) -> str:
    ping_id: str = publisher.ping(uri, **LEAD | more).body["try_all_buyers_ping_id"]
    return ping_id


def sold(publisher: Publisher, **more: Any) -> str:
    ping_id = pinged(publisher, **more)
    assert publisher.post(ping_id=ping_id, **LEAD | more).body["success"]
    return ping_id


def of_acme(publisher: Publisher, **more: Any) -> str:
    return sold(publisher, auth_token="of acme-media", traffic_source_id="1023", **more)


def rows(answer: Answer) -> list[dict[str, str]]:
    assert answer.code == 200, answer.text
    return [*csv.DictReader(io.StringIO(answer.text))]


def ids(answer: Answer) -> list[str]:
    """The pings that a page of the log leads to."""
    return re.findall(r'href="/dashboard/pings/([\w-]+)\?at=', answer.text)


# The day


def test_the_day_has_its_counts_in_plots_and_in_tables(olga: Visitor, publisher: Publisher) -> None:
    sold(publisher)
    assert publisher.post().code == 422
    olga.stage.clock.forward(DAY + 3600)
    sold(publisher)
    pinged(publisher, caller_id=OTHER)
    answer = olga.get("")
    page = text(answer)
    assert "Pings 2 1 the day before" in page
    assert "Refused 0 1 the day before" in page
    assert "Sales 1 1 the day before" in page
    assert "Revenue 25.00 25.00 the day before" in page
    assert "Payout 20.00 20.00 the day before" in page
    assert "invalid_fields 0 1" in page
    assert "Pings by hour The most is 2 from 01:00." in page
    assert "Pings by hour, UTC" in page
    assert "01:00 2 0 0" in page
    assert "my_endpoint 2 1 0 0 0 1 1 1 25.00 25.00 20.00 20.00" in page
    assert "Buyer A 1 1 25.00 20.00" in page
    assert "Buyer A 1 auto-insurance sales per day 1 4 25 % Sun 03 Jan 00:00" in page
    assert "revenue per month 50.00 500.00 10 %" in page
    assert "style=" not in answer.text
    yesterday = olga.see("", "day=2100-01-01")
    assert "Sales 1 0 the day before" in yesterday
    assert "sales per day" not in yesterday


def test_the_day_leads_to_its_own_log(olga: Visitor, publisher: Publisher) -> None:
    sold(publisher)
    publisher.post()
    page = unescape(olga.get("", "day=2099-12-31&zone=America/New_York").text)
    day = "from=2099-12-31&to=2099-12-31&zone=America%2FNew_York"
    outcomes = ("&outcome=unmatched", "&outcome=sold", "&outcome=refused", "&outcome=refused&status=invalid_fields")
    for more in ("", *outcomes, "&endpoint=my_endpoint", "&buyer=1"):
        assert f'href="/dashboard/log?{day}{more}"' in page
    assert f'href="/dashboard/sources?{day}"' in page
    for other in ("2099-12-30", "2100-01-01"):
        assert f'href="?day={other}&zone=America%2FNew_York"' in page
    assert 'value="2099-12-31"' in page
    assert "<caption>Sales by hour, America/New_York</caption>" in page


@pytest.mark.usefixtures("market")
def test_refusals_of_many_kinds_have_a_color_each_as_far_as_there_are_some(
    olga: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [(n, place) for n in range(7) for place in range(n + 1)]
    refused = [Row(event=f"e{n}", place=place, at=START, kind="refused", status=f"status_{n}") for n, place in kinds]
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(refused)))
    page = olga.get("").text
    assert '<li class="c3">status_3</li>' in page
    assert '<li class="c4">others</li>' in page
    assert 'class="c5"' not in page


def test_an_empty_day_says_so(olga: Visitor) -> None:
    page = olga.see("", "day=2100-03-01")
    assert "Nothing was sent on this day or the day before." in page
    assert "Nobody bought." in page
    assert "No number was leased." in page


POOLED = Row(event="", at=START + 3600, kind="sale", sold_at=START + 3600, status="sold", pool="auto-us", pool_used=25)
ASKED = [
    replace(POOLED, event="e1"),
    replace(POOLED, event="e2", pool_used=50),
    replace(POOLED, event="e3", pool_used=100),
    replace(POOLED, event="e4", kind="refused", sold_at=0, status="no_number_available", pool_used=100),
    replace(POOLED, event="e5", kind="refused", sold_at=0, status="no_matching_buyer", pool_used=50),
    replace(POOLED, event="e6", pool="other", pool_used=10),
]


def test_a_pool_that_was_exhausted_is_marked(olga: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(ASKED)))
    olga.stage.clock.forward(2 * 3600)
    answer = olga.get("")
    page = text(answer)
    assert "auto-us 2 100 % 2 other 1 10 % 0" in page
    assert "01:00 100 69 2" in page
    assert answer.text.count('class="mark"') == 3  # in the plot of one pool, and in the keys of both


def test_a_pools_page_has_its_last_hours_by_the_accounts_clock(olga: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(olga.stage, account={"zone": "Asia/Kolkata"})
    monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(ASKED)))
    olga.stage.clock.forward(2 * 3600)
    page = olga.see("/ring_pools/auto-us")
    assert "Hour, Asia/Kolkata Leases In use, on average At most Found none 06:00 2 69 % 69 % 100 % 2" in page
    assert "10 %" not in page
    assert 'value="4"' in olga.get("/ring_pools/auto-us").text  # so many numbers were asked for in the busiest hour
    olga.stage.clock.forward(24 * 3600)
    assert "No sale asked it for a number." in olga.see("/ring_pools/auto-us")


def test_a_full_cap_comes_first_and_every_cap_has_a_page(olga: Visitor, publisher: Publisher) -> None:
    for n in range(4):
        sold(publisher, caller_id=f"+1614555012{n}")
    page = olga.see("/caps")
    assert "2 of 2 buyers" not in page
    assert "1 of 1 buyers with caps" in page
    assert page.index("sales per day 4 4 100 % full") < page.index("revenue per month")
    assert olga.get("/caps", "after=x").code == 422


def test_a_publisher_sees_its_own_day_without_a_price(acme: Visitor, publisher: Publisher) -> None:
    of_acme(publisher)
    sold(publisher, caller_id=OTHER)
    page = acme.see("")
    assert "Sales 1 0 the day before" in page
    assert "Payout 20.00" in page
    assert "my_endpoint 1 0 0 0 0 0 1 0 20.00 0.00" in page
    assert "25.00" not in page
    assert not re.search("Buyer|Revenue|Ring pools|Caps", page)
    assert acme.get("/caps").code == 403


# The log


def test_the_log_has_the_newest_first_in_pages(olga: Visitor, publisher: Publisher) -> None:
    pings = []
    for _ in range(60):
        olga.stage.clock.forward(1)
        pings.append(pinged(publisher))
    first = olga.get("/log")
    assert ids(first) == pings[:9:-1]
    following = re.search(r'href="\?(after=[^"]+)"', first.text)
    assert following
    second = olga.get("/log", following[1])
    assert ids(second) == pings[9::-1]
    assert "Older" not in second.text


def test_the_log_is_searched_by_everything_it_shows(olga: Visitor, publisher: Publisher) -> None:
    first = of_acme(publisher)
    olga.stage.clock.forward(200)
    other = pinged(publisher, "other", trackdrive_number="8005550170")
    of_mine = {"auth_token": "of acme-media", "traffic_source_id": "1023"}
    olga.stage.clock.forward(1)
    assert publisher.full(**LEAD | of_mine | {"caller_id": "nobody"}).code == 422
    unwanted = ids(olga.get("/log", "outcome=refused"))
    found = {
        "outcome=sold": [first],
        "outcome=open": [other],
        "outcome=refused": unwanted,
        "status=invalid_fields": unwanted,
        "status=success": [other, first],
        "status=sold": [first],
        "endpoint=other": [other],
        "source=1023": [*unwanted, other, first],
        "user=acme-media": [*unwanted, first],
        "user=acme-media&outcome=expired": [],
        "state=GA": [],
        "buyer=1": [first],
        "buyer=buyer a": [first],
        "buyer=1&endpoint=other": [],
        "buyer=1&outcome=open": [],
        "number=(800) 555-0170": [],
        "from=2099-12-31&to=2099-12-31": [],
        "from=2099-12-31": [*unwanted, other, first],
        "to=2100-01-01": [*unwanted, other, first],
        "from=2100-01-01T00:00&to=2100-01-01T00:02": [first],
        "from=2100-01-01T00:03": [*unwanted, other],
        "from=2100-01-01&zone=Asia/Kolkata": [*unwanted, other, first],
        "to=2100-01-01&zone=Asia/Kolkata": [*unwanted, other, first],
        "to=2100-01-01&zone=America/New_York": [],
        "zone=America/New_York": [*unwanted, other, first],
    }
    for query, expected in found.items():
        assert ids(olga.get("/log", quote(query, safe="=&"))) == expected, query
    assert olga.get("/log", f"ping_id={first}").headers["Location"] == f"/dashboard/pings/{first}"


def test_a_search_that_cannot_be_is_told_what_would_be_right(olga: Visitor) -> None:
    sentences = {
        "from=yesterday": "From must be a day like 2026-11-25, or a minute like 2026-11-25T14:30.",
        "to=2100-02-30": "To must be a day like 2026-11-25",
        "from=2100-01-01T24:61": "From must be a day",
        "from=2100-01-02&to=2100-01-01": "To must not be before the first day.",
        "zone=Mars": "Zone ",
        "zone=../../etc/passwd": "Zone ",
        "outcome=lost": "Outcome must be one of open, sold, expired, unmatched, refused.",
        "status=lost": "Status must be one of success, sold,",
        "state=Narnia": "State must be a state, like TX.",
        "number=12": "Number must be a telephone number",
        "buyer=buyer": "Buyer is part of the name of 3 buyers; it must be of one, or an id.",
        "buyer=0": "Buyer is part of the name of 0 buyers",
        "after=x": "After must be the `next` of an earlier answer.",
        "buyer=1&after=x": "After must be the `next` of an earlier answer.",
    }
    for query, sentence in sentences.items():
        answer = olga.get("/log", query)
        assert (answer.code, sentence in text(answer)) == (422, True), query
    assert "Number must be a telephone number" in text(olga.send("/log", number="12"))
    assert "After must be" in text(olga.send("/log", number=CALLER, after="x"))
    several = text(olga.get("/log", "from=x&outcome=x&buyer=x&after=x"))
    assert all(f"{name} " in several for name in ("From", "Outcome", "Buyer", "After"))
    for path in ("", "/sources"):
        assert olga.get(path, "day=x&from=x").code == 422
        assert "Zone must be a time zone" in text(olga.get(path, "zone=Mars"))


def test_a_caller_is_found_by_a_form_and_stands_in_no_address(
    olga: Visitor, publisher: Publisher, log: io.StringIO
) -> None:
    first = sold(publisher)
    pinged(publisher, caller_id=OTHER)
    answer = olga.send("/log", number="(614) 555-0123")
    assert ids(answer) == [first]
    assert "Erase this caller" in answer.text
    assert not re.search(r'(href|action)="[^"]*555', answer.text)
    assert "5550123" not in log.getvalue()
    [row] = rows(olga.send("/log", number=CALLER, **{"as": "csv"}))
    assert row["ping_id"] == first
    assert CALLER not in row.values()


def test_an_export_has_what_was_searched(
    olga: Visitor, acme: Visitor, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of_acme(publisher)
    olga.stage.clock.forward(1)
    pinged(publisher, traffic_source_id="=1+1")
    exported = olga.get("/log", "outcome=sold&zone=America/New_York&as=csv")
    assert exported.headers["Content-Disposition"] == 'attachment; filename="pings-2100-01-01.csv"'
    [row] = rows(exported)
    assert row.items() >= {
        "ping_id": first, "time": "2099-12-31T19:00:00-05:00", "sold": "2099-12-31T19:00:00-05:00", "bid": "25.00",
        "revenue": "25.00", "payout": "20.00", "buyer": "1", "buyer_name": "Buyer A",
    }.items()  # fmt: skip
    assert (row["lead.caller_id"], row["lead.email"], row["lead.zip"]) == ("'+1614•••23", "•••", "30340")
    unsold, sold_one = rows(olga.get("/log", "as=csv"))
    assert (unsold["source"], unsold["bid"], unsold["bid_payout"]) == ("'=1+1", "25.00", "20.00")
    assert (unsold["revenue"], unsold["payout"], unsold["sold"], unsold["buyer"]) == ("", "", "", "")
    assert (sold_one["outcome"], sold_one["revenue"]) == ("sold", "25.00")
    [row] = rows(acme.get("/log", "as=csv"))
    assert (row["ping_id"], row["payout"]) == (first, "20.00")
    assert row.keys().isdisjoint({"bid", "revenue", "buyer_name", "offer"})
    monkeypatch.setattr("shared.operators.log_files.EXPORTED_ROWS", 1)
    cut = olga.get("/log", "as=csv&from=2100-01-01&to=2100-01-01")
    assert "pings-2100-01-01-to-2100-01-01-the-first-1.csv" in cut.headers["Content-Disposition"]
    assert len(rows(cut)) == 1


def test_times_are_those_of_the_accounts_zone(stage: Stage, publisher: Publisher) -> None:
    opened(stage, account={"zone": "America/New_York"})
    publisher.ping()
    olga = Visitor(stage, "olga")
    page = olga.see("/log")
    assert "2099-12-31 19:00:00" in page
    assert "times in America/New_York" in page
    [row] = rows(olga.get("/log", "as=csv"))
    assert row["time"] == "2099-12-31T19:00:00-05:00"
    assert "Ping of 2099-12-31 19:00:00 America/New_York" in olga.see(f"/pings/{row['ping_id']}")


def test_a_publisher_finds_its_own_pings_and_no_other(acme: Visitor, publisher: Publisher) -> None:
    mine = of_acme(publisher)
    others = sold(publisher, caller_id=OTHER)
    olgas = sold(publisher, auth_token="of bolt", traffic_source_id="77")
    for answer in (acme.get("/log"), acme.get("/log", "buyer=1"), acme.send("/log", number=CALLER)):
        assert ids(answer) == [mine]
        assert "25.00" not in answer.text
        assert "Buyer A" not in answer.text
    assert ids(acme.send("/log", number=OTHER)) == []
    for ping_id in (others, olgas):
        assert acme.get(f"/pings/{ping_id}").code == 404
    page = acme.see(f"/pings/{mine}")
    assert "20.00" in page
    assert "25.00" not in page
    assert "Why the others did not bid" not in page
    assert acme.get("/log", "buyer=Buyer+A").code == 422
    assert acme.send(f"/pings/{mine}").code == 403
    assert acme.send("/erasing", number=CALLER).code == 403


# One ping


def test_a_ping_is_opened_masked_with_why_the_others_did_not_bid(olga: Visitor, publisher: Publisher) -> None:
    page = olga.see(f"/pings/{sold(publisher)}")
    assert "caller_id +1614•••23 masked" in page
    assert "email ••• masked" in page
    assert "first_name ••• masked" in page
    assert "zip 30340" in page
    assert "age 41" in page
    assert "Buyer C 3 filter 41 age > 60 2100-01-01T00:00:00+00:00" in page
    assert "Buyer B 2 filter ••• first_name == Bob" in page
    assert "still this sale's, with its cooldown until 2100-01-01 00:06:00 UTC" in page
    assert "Bid 25.00 Revenue 25.00 Payout 20.00" in page
    assert '"buyer_name":"Buyer A"' in page
    assert not any(value in page for value in PRIVATE)


def test_a_ping_that_nobody_wanted_is_found_and_says_why(olga: Visitor, acme: Visitor, publisher: Publisher) -> None:
    for n in range(4):
        sold(publisher, caller_id=f"+1614555013{n}")
    olga.stage.clock.forward(3)
    unwanted = LEAD | {"auth_token": "of acme-media", "traffic_source_id": "1023"}
    for verb in ("ping", "full"):
        assert publisher.send(verb, json_body=unwanted).body["status"] == "no_matching_buyer"
    of_full, of_ping = ids(olga.get("/log", "outcome=unmatched"))
    assert (
        {of_full, of_ping} == {*ids(acme.get("/log", "outcome=unmatched"))} == {*ids(olga.send("/log", number=CALLER))}
    )
    for ping_id in (of_full, of_ping):
        page = olga.see(f"/pings/{ping_id}")
        assert "Why nobody bid" in page
        assert "Buyer A 1 cap 4 4 sales a day" in page
        assert "Buyer C 3 filter 41 age > 60" in page
        assert "Open until" not in page
        assert "cap" not in acme.see(f"/pings/{ping_id}")
        refused = publisher.post(ping_id=ping_id, auth_token="of acme-media", **LEAD)
        assert refused.body["status"] == "no_matching_buyer"


def test_a_ping_tells_how_its_last_post_was_refused(olga: Visitor, acme: Visitor, publisher: Publisher) -> None:
    mine = {"auth_token": "of acme-media", "traffic_source_id": "1023"}
    ping_id = pinged(publisher, **mine)
    stranger = {"auth_token": "of bolt", "ping_id": ping_id}
    assert publisher.post(**LEAD | stranger).body["status"] == "ping_id_unknown"
    assert "Last POST" not in olga.see(f"/pings/{ping_id}")
    olga.stage.clock.forward(5)
    for n in range(4):
        sold(publisher, caller_id=f"+1614555013{n}")
    assert publisher.post(ping_id=ping_id, **LEAD | mine).body["status"] == "no_matching_buyer"
    for visitor in (olga, acme):
        assert "Last POST refused at 2100-01-01 00:00:05 UTC: no_matching_buyer" in visitor.see(f"/pings/{ping_id}")


def test_a_ping_with_nothing_in_it_says_why_too(olga: Visitor, publisher: Publisher) -> None:
    page = olga.see(f"/pings/{publisher.ping().body['try_all_buyers_ping_id']}")
    assert "Nothing was sent." in page
    assert "Buyer C 3 filter nothing age > 60" in page


def test_who_looks_behind_a_mask_stands_in_the_change_log(olga: Visitor, market: Stage, publisher: Publisher) -> None:
    ping_id = sold(publisher)
    page = text(olga.send(f"/pings/{ping_id}"))
    assert all(value in page for value in PRIVATE)
    assert "Buyer B 2 filter Ann first_name == Bob" in page
    before, _ = records(market).versions.history(9)
    entry = before[0]
    assert (entry.by, entry.at) == ("olga", START)
    assert [(change.path, change.was, change.now) for change in entry.changes] == [
        (f"pings[{ping_id}].lead", None, "shown unmasked")
    ]
    assert Visitor(market, "vera").send(f"/pings/{ping_id}").code == 403
    assert olga.send("/pings/none").code == 404
    assert records(market).versions.history(9)[0] == before


def test_a_look_that_cannot_be_recorded_shows_nothing(
    olga: Visitor, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    ping_id = sold(publisher)
    csrf = olga.csrf

    def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("shared.store.versions.Versions.note", fails)
    answer = olga.send(f"/pings/{ping_id}", csrf=csrf)
    assert answer.code == 500
    assert CALLER not in answer.text


@pytest.mark.parametrize(
    ("name", "type_", "value", "shown"),
    [
        ("caller_id", "phone", "+16145550123", "+1614•••23"),
        ("caller_id", "phone", "+442079460123", "+•••23"),
        ("email", "email", "ann@mail.example", "•••"),
        ("born", "date", "1985-04-01", "•••"),
        ("note", "text", "Ann", "•••"),
        ("ssn", "integer", "123456789", "•••"),
        ("income", "integer", "12345678", "12345678"),
        ("debt", "decimal", "12000.50", "12000.50"),
        ("state", "us_state", "TX", "TX"),
        ("insured", "boolean", "true", "true"),
        ("cover", "choice", "full", "full"),
        ("traffic_source_id", "text", "1023", "1023"),
        ("trackdrive_number", "phone", "+18005550170", "+18005550170"),
    ],
)
def test_what_tells_a_person_is_masked(name: str, type_: Any, value: str, shown: str) -> None:
    assert one_ping.mask(name, value, Field(name=name, type=type_)) == shown
    if name not in one_ping.OURS:
        assert one_ping.mask(name, value, None) == one_ping.MASK


def test_a_static_sale_shows_its_route(olga: Visitor, publisher: Publisher) -> None:
    ping_id = publisher.ping("other", **LEAD, trackdrive_number="8005550170").body["try_all_buyers_ping_id"]
    publisher.post("other", **LEAD, ping_id=ping_id)
    assert "a call goes to buyer 1 at +18005550181 until" in olga.see(f"/pings/{ping_id}")


def test_a_live_buyer_that_may_have_agreed_is_told_of(stage: Stage, publisher: Publisher) -> None:
    """It bids, and is not heard of again when it is to buy: the other one is sold to."""

    def script(_: int, call: Call) -> Reply | Silence:
        if call.final:
            return Silence("no answer within 800 ms", sent=True)
        return Reply(200, Sandbox().act("/ping", json.loads(call.body), "")[1])

    stage.send = Scripted(script)
    urls = {"ping_url": "https://buyer.example/ping", "post_url": "https://buyer.example/post"}
    live = a_buyer(id=4, name="Buyer D", max_bid="60.00", live={"dialect": "ringpost", "timeout_ms": 800, **urls})
    del live["bid"]
    fields = [a_contact_field(name="caller_id", type="phone"), a_contact_field()]
    opened(stage, offers=[an_offer(contact_fields=fields, buyers=[a_buyer(), live])])
    sent = {"caller_id": CALLER, "zip": "30340"}
    ping_id = publisher.ping(**sent).body["try_all_buyers_ping_id"]
    assert publisher.post(**sent, ping_id=ping_id).body["buyer_id"] == 1
    page = Visitor(stage, "olga").see(f"/pings/{ping_id}")
    assert "Buyer D 4 was told at 2100-01-01 00:00:00 UTC, and its answer is not known." in page
    [unsettled] = as_user(stage, "olga").get(f"/pings/{ping_id}")["unsettled"]
    assert unsettled == {"buyer_id": 4, "name": "Buyer D", "at": START, "agreed": False}


def test_a_refused_request_says_what_was_wrong(olga: Visitor, acme: Visitor, publisher: Publisher) -> None:
    sent = {**LEAD, "caller_id": "no number", "auth_token": "of acme-media", "traffic_source_id": "1023"}
    assert publisher.full(**sent).code == 422
    page = text(olga.get("/log"))
    assert "refused invalid_fields caller_id my_endpoint acme-media 1023" in page
    [ping_id] = ids(acme.get("/log"))
    for at in ("", f"at={START}", "at=x", "at=9999999999"):
        answer = olga.get(f"/pings/{ping_id}", at)
        if at == "at=9999999999":
            assert answer.code == 404
            continue
        page = text(answer)
        assert "Refused request of 2100-01-01 00:00:00 UTC" in page
        assert "Outcome refused invalid_fields Wrong fields caller_id Endpoint my_endpoint User acme-media" in page
        assert "Why" not in page
        assert not any(value in page for value in (*PRIVATE, "no number"))
    assert "invalid_fields" in acme.see(f"/pings/{ping_id}")
    assert Visitor(olga.stage, "bolt").get(f"/pings/{ping_id}").code == 404


def test_a_ping_whose_item_is_gone_shows_what_its_rows_say(
    market: Stage, olga: Visitor, acme: Visitor, publisher: Publisher
) -> None:
    ping_id = of_acme(publisher)
    olga.see("/log")  # its stream is read
    [item] = (item for item in market.client.scan(TableName=SETTINGS.pings_table)["Items"] if "ping" in item)
    market.client.delete_item(TableName=SETTINGS.pings_table, Key={"ping_id": item["ping_id"]})
    for query in ("", f"at={START}"):
        page = text(olga.get(f"/pings/{ping_id}", query))
        assert "The lead is not kept" in page
        assert "Buyer A 1 Sold 2100-01-01 00:00:00 UTC Bid 25.00 Revenue 25.00 Payout 20.00" in page
        assert "Buyer C 3 filter not kept" in page
        assert not any(value in page for value in PRIVATE)
    mine = acme.see(f"/pings/{ping_id}")
    assert "Payout 20.00" in mine
    assert "25.00" not in mine
    assert "Buyer A" not in mine
    assert Visitor(market, "bolt").get(f"/pings/{ping_id}").code == 404
    assert olga.send(f"/pings/{ping_id}").code == 404


def test_a_ping_that_is_not_there_is_a_sentence(olga: Visitor, publisher: Publisher) -> None:
    ping_id = sold(publisher)
    for unknown in ("x", "pg_", ping_id[:-1], "00" * 12, "é", "%2F"):
        answer = olga.get(f"/pings/{unknown}")
        assert (answer.code, "No such ping was found" in answer.text) == (404, True)


# Sources


def test_sources_are_summed_over_days(olga: Visitor, acme: Visitor, publisher: Publisher) -> None:
    of_acme(publisher)
    sold(publisher, traffic_source_id="55")
    publisher.post(traffic_source_id="55")
    olga.stage.clock.forward(DAY)
    of_acme(publisher)
    page = olga.see("/sources", "from=2100-01-01&to=2100-01-02")
    assert "1023 acme-media 2 0 0 2 50.00 40.00" in page
    assert "55 none 1 0 1 1 25.00 20.00" in page
    assert "All 3 0 1 3 75.00 60.00" in page
    assert "1023 acme-media 1 0 0 1 25.00 20.00" in olga.see("/sources")
    assert "Nothing was sent on 2099-12-31" in olga.see("/sources", "from=2099-12-31&to=2099-12-31&zone=UTC")
    in_new_york = olga.see("/sources", "from=2099-12-31&to=2099-12-31&zone=America/New_York")
    assert "2099-12-31, America/New_York" in in_new_york
    assert "All 2 0 1 2 50.00 40.00" in in_new_york
    mine = acme.see("/sources", "from=2100-01-01&to=2100-01-02")
    assert "1023 2 0 0 2 40.00" in mine
    assert "50.00" not in mine
    assert "55" not in mine


def test_sources_are_a_table_for_a_spreadsheet(olga: Visitor, acme: Visitor, publisher: Publisher) -> None:
    of_acme(publisher)
    sold(publisher, traffic_source_id="=1+1")
    query = "from=2100-01-01&to=2100-01-31&as=csv"
    answer = olga.get("/sources", query)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sources-2100-01-01-2100-01-31.csv"'
    assert [*rows(answer)] == [
        {"user": user, "source": source, "pings": "1", "unmatched": "0", "refused": "0", "sales": "1",
         "revenue": "25.00", "payout": "20.00"}
        for user, source in (("", "'=1+1"), ("acme-media", "1023"))
    ]  # fmt: skip
    [mine] = rows(acme.get("/sources", query))
    assert (mine["source"], mine["payout"], "revenue" in mine) == ("1023", "20.00", False)


def test_a_page_has_the_first_sources_and_the_file_more(
    olga: Visitor, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SHOWN_SOURCES", 2)
    for n in range(5):
        pinged(publisher, traffic_source_id=str(n))
    page = olga.see("/sources")
    assert "And 3 more. The CSV has the first 10,000." in page
    assert "All 5 0 0 0" in page
    assert len(rows(olga.get("/sources", "as=csv"))) == 5


# Erasing


def test_a_caller_is_erased_after_a_question_and_it_is_recorded(olga: Visitor, publisher: Publisher) -> None:
    ping_id = sold(publisher)
    pinged(publisher)
    question = text(olga.send("/erasing", number="614 555 0123"))
    assert "Erase +16145550123?" in question
    assert "2 pings of this caller have a lead that is kept, 1 of them sold." in question
    assert "caller_id" in olga.see(f"/pings/{ping_id}")
    done = text(olga.send("/erasing/confirmed", number=CALLER))
    assert "Erased: 2 pings, 1 of them sold." in done
    page = olga.see(f"/pings/{ping_id}")
    assert "The lead is not kept" in page
    assert "caller_id" not in page
    assert "Revenue 25.00" in page
    assert "Buyer C 3 filter not kept" in page
    assert "Lead from" in page, page
    olga.stage.finish_all()
    assert ids(olga.send("/log", number=CALLER)) == []
    assert "2100-01-01 00:00:00 olga 2 1" in olga.see("/erasing")
    assert "No ping of this caller is kept." in text(olga.send("/erasing", number=CALLER))
    for path in ("/erasing", "/erasing/confirmed"):
        assert olga.send(path, number="x").code == 422
    again = olga.send("/erasing", number="614")
    assert "Number must be a telephone number" in text(again)
    assert 'value="614"' in again.text


def test_a_form_of_another_visit_erases_nobody(olga: Visitor, publisher: Publisher) -> None:
    ping_id = sold(publisher)
    assert olga.send("/erasing/confirmed", number=CALLER, csrf="x").code == 403
    assert "caller_id" in olga.see(f"/pings/{ping_id}")


# The operators' API


def test_a_form_with_a_stray_percent_is_not_read(olga: Visitor) -> None:
    answer = olga.visit(an_event(path="/dashboard/erasing", body=f"csrf={olga.csrf}&number=100%".encode()))
    assert (answer.code, "In a form, a % is written as %25." in answer.text) == (400, True)


def test_the_api_lists_and_opens_the_same(market: Stage, publisher: Publisher) -> None:
    olga, acme = as_user(market, "olga"), as_user(market, "acme-media")
    mine = of_acme(publisher)
    market.clock.forward(1)
    other = pinged(publisher, caller_id=OTHER)
    assert [row["ping_id"] for row in olga.get("/pings")["items"]] == [other, mine]
    first = olga.get("/pings", "limit=1")
    assert [row["ping_id"] for row in first["items"]] == [other]
    second = olga.get("/pings", urlencode({"limit": 1, "after": first["next"]}))
    assert [row["ping_id"] for row in second["items"]] == [mine]
    [sale] = olga.get("/sales")["items"]
    assert (sale["ping_id"], sale["revenue_cents"], sale["buyer_id"]) == (mine, 2500, 1)
    assert olga.get("/sales", "buyer=2") == {"items": [], "next": None}
    found = olga.get(f"/pings/{mine}")
    assert {value["name"]: value["value"] for value in found["lead"]}["caller_id"] == "+1614•••23"
    assert [(reason["buyer_id"], reason["rule"]) for reason in found["reasons"]] == [(2, "filter"), (3, "filter")]
    assert found["sale"]["name"] == "Buyer A"
    for path in ("/pings", "/sales"):
        [row] = acme.get(path)["items"]
        assert (row["ping_id"], row["revenue_cents"], row["bid_cents"], row["payout_cents"]) == (mine, None, None, 2000)
    answer = olga.ask("GET", "/sales", query="format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert [row["revenue"] for row in rows(answer)] == ["25.00"]
    assert acme.ask("GET", f"/pings/{other}").code == 404
    assert acme.get(f"/pings/{mine}")["reasons"] == []
    [row] = olga.ask("POST", "/callers/lookup", {"number": CALLER}).body["items"]
    assert row["ping_id"] == mine
    assert acme.ask("POST", "/callers/lookup", {"number": OTHER}).body == {"items": [], "next": None}


def test_the_api_erases_callers_for_operators(market: Stage, publisher: Publisher) -> None:
    olga = as_user(market, "olga")
    ping_id = sold(publisher)
    for name in ("acme-media", "vera"):
        assert as_user(market, name).ask("POST", "/callers/erase", {"number": CALLER}).code == 403
    dry_run = olga.ask("POST", "/callers/erase", {"number": "614-555-0123", "dry_run": True}).body
    erased = olga.ask("POST", "/callers/erase", {"number": "614-555-0123"}).body
    assert [dry_run[name] for name in ("pings", "sales")] == [erased[name] for name in ("pings", "sales")]
    assert olga.ask("POST", "/callers/erase", {"ping_id": "pg_none", "dry_run": True}).code == 404
    assert olga.ask("POST", "/callers/erase", {"ping_id": "pg_none", "number": CALLER}).code == 422
    assert (erased["pings"], erased["sales"], erased["by"], erased["finished_at"]) == (1, 1, "olga", 0)
    assert CALLER not in str(erased)
    assert olga.get(f"/pings/{ping_id}")["lead"] == []


def test_the_api_says_what_is_wrong(market: Stage) -> None:
    olga = as_user(market, "olga")
    for path, query, wrong in (
        ("/pings", "from=x&status=y", {"from", "status"}),
        ("/pings", "format=pdf", {"format"}),
        ("/pings", "day=2100-01-01", {"day"}),
        ("/pings", "after=x", {"after"}),
        ("/pings", "limit=0", {"limit"}),
        ("/sales", "buyer=nobody", {"buyer"}),
        ("/sales", "outcome=open", {"outcome"}),
    ):
        answer = olga.ask("GET", path, query=query)
        assert (answer.code, answer.body["errors"].keys()) == (422, wrong), answer.text
    for path, body, name in (
        ("/callers/lookup", {"number": "12"}, "number"),
        ("/callers/lookup", {"number": CALLER, "after": "x"}, "after"),
        ("/callers/lookup", {"number": CALLER, "limit": 201}, "limit"),
        ("/callers/erase", {}, "number"),
        ("/callers/erase", {"number": "5550123", "region": "??"}, "number"),
    ):
        answer = olga.ask("POST", path, body)
        assert (answer.code, [*answer.body["errors"]]) == (422, [name]), answer.text


# Whatever is sent


@pytest.fixture(scope="module")
def visited(client: "DynamoDBClient") -> Iterator[Visitor]:
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        opened(stage, offers=[an_offer(contact_fields=FIELDS, buyers=BUYERS)], ring_pools=[a_ring_pool()])
        sold(Publisher(stage))
        yield Visitor(stage, "olga")


NAMES = st.sampled_from(
    [
        "day",
        "status",
        "outcome",
        "endpoint",
        "source",
        "state",
        "buyer",
        "after",
        "from",
        "to",
        "zone",
        "as",
        "at",
        "number",
        "region",
    ]
)
SOUND = [
    "2100-01-01",
    "2100-01-01T00:30",
    "Asia/Kolkata",
    "TX",
    "2100-01-40",
    "9999-12-31",
    "sold",
    "my_endpoint",
    "1",
    "-1",
    "9" * 12,
    "csv",
    CALLER,
]
CURSORS = ["k8DAwA==", "lMDAwMA=", "kcA=", "k84AAAABoAA=", "kc4AAAAB", "k88AAAAA____f6FhAQ=="]
VALUES = st.text(max_size=12) | st.sampled_from([*SOUND, *CURSORS])
SENT = st.dictionaries(NAMES, VALUES, max_size=4)
STEPS = st.sampled_from(["1", "pg_", "00" * 12, "é", "%"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(view=st.sampled_from(views.VIEWS), sent=SENT, step=STEPS, user=st.sampled_from(["olga", "vera", "acme-media"]))
def test_whatever_is_asked_of_a_page_is_answered(
    visited: Visitor, view: Any, sent: dict[str, str], step: str, user: str
) -> None:
    visited.stage.clock.forward(60)
    visitor = Visitor(visited.stage, user)
    path = view.path.replace("{ping_id}", step)
    answer = visitor.get(path, urlencode(sent)) if view.method == "GET" else visitor.send(path, **sent)
    assert answer.code in (200, 303, 403, 404, 422), answer.text


@settings(max_examples=100)
@given(path=st.sampled_from(["/pings", "/sales", "/day", "/sources"]), sent=st.dictionaries(NAMES, VALUES, max_size=3))
def test_whatever_is_asked_of_the_log_by_the_api_is_answered(visited: Visitor, path: str, sent: dict[str, str]) -> None:
    visited.stage.clock.forward(60)
    olga: Operator = as_user(visited.stage, "olga")
    answer = olga.send(
        an_event(
            method="GET", path=f"/api/v1{path}", query=urlencode(sent), headers={"Authorization": f"Token {olga.token}"}
        )
    )
    assert answer.code in (200, 422), answer.text
