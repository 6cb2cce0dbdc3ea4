"""What operators and publishers are shown of pings and sales, and what showing it takes."""

import csv
import re
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from shared import flows
from shared.domain.models import DAY, Margin, User
from shared.publishers.requests import Request
from shared.store.csv_text import csv_lines
from shared.store.journal import Journal, Row
from shared.store.pagination import BadCursor
from shared.store.totals import BuyerTotals, Hour, PoolHour, Source
from tests.build import CALLER, KEYS, SETTINGS, START, Counting, InTurn, Publisher, Stage, a_pool, an_endpoint

OTHER = "+16145550124"
SENDERS = (User("acme", "publisher"), User("umbrella", "publisher"))


@pytest.fixture
def counting(stage: Stage) -> Counting:
    return Counting(stage.client, SETTINGS)


@pytest.fixture
def journal(counting: Counting) -> Journal:
    return Journal(counting, KEYS, InTurn())


@pytest.fixture
def published(stage: Stage) -> Stage:
    """An endpoint at which two publishers and anybody may send."""
    stage.publish(an_endpoint(users=SENDERS))
    for user in SENDERS:
        stage.give_token(f"of {user.name}", user.name)
    return stage


def sold(publisher: Publisher, caller: str = CALLER, **more: Any) -> str:
    """The public id of a ping that was sold."""
    ping_id: str = publisher.ping(caller_id=caller, **more).body["buyers"][0]["ping_id"]
    assert publisher.post(caller_id=caller, ping_id=ping_id, **more).body["success"]
    return ping_id


# What was counted


def test_an_hour_has_what_was_asked_bid_sold_and_refused_in_it(
    published: Stage, publisher: Publisher, journal: Journal, counting: Counting
) -> None:
    sold(publisher, traffic_source_id="1023")
    publisher.post(caller_id=CALLER, ping_id="nobody's")
    published.clock.forward(3600)
    publisher.full(caller_id=OTHER)

    hours = journal.hours(START, START + DAY)
    first = {"endpoint": "my_endpoint", "pings": 1, "asked": 1, "sales": 1, "revenue_cents": 2500, "payout_cents": 2500}
    assert hours == [
        Hour(at=START, refused={"ping_id_unknown": 1}, **first),  # type: ignore[arg-type]
        Hour(at=START + 3600, **first),  # type: ignore[arg-type]
    ]
    assert counting.calls == 1
    assert journal.hours(START + 1, START + 3600) == []


def test_a_refusal_writes_nothing_and_goes_along_with_the_next_write(
    published: Stage, publisher: Publisher, journal: Journal
) -> None:
    publisher.post(caller_id="no number")
    assert journal.hours(START, START + DAY) == []
    publisher.ping(caller_id=CALLER)
    [hour] = journal.hours(START, START + DAY)
    assert (hour.asked, hour.pings, hour.refused) == (1, 1, {"invalid_fields": 1})
    assert published.gathered.counts == {}


def test_what_nobody_wanted_is_counted_with_its_own_write(
    published: Stage, publisher: Publisher, journal: Journal
) -> None:
    published.publish(an_endpoint(vanity_uri="empty", buyers=()))
    publisher.ping("empty")
    [hour] = journal.hours(START, START + DAY)
    assert (hour.asked, hour.pings, hour.refused) == (1, 0, {"no_matching_buyer": 1})


def test_many_pings_of_a_second_are_counted_together_and_none_is_lost(
    published: Stage, publisher: Publisher, journal: Journal
) -> None:
    for _ in range(20):
        publisher.ping(caller_id=CALLER)
    [hour] = journal.hours(START, START + DAY)
    assert hour.pings == 5  # each written at once
    published.clock.forward(1)
    publisher.ping(caller_id=CALLER)
    [hour] = journal.hours(START, START + DAY)
    assert (hour.asked, hour.pings) == (21, 21)


@pytest.mark.usefixtures("published")
def test_a_sale_is_counted_at_once_however_busy_the_process_is(publisher: Publisher, journal: Journal) -> None:
    for _ in range(20):
        publisher.ping(caller_id=CALLER)
    publisher.full(caller_id=CALLER)
    [hour] = journal.hours(START, START + DAY)
    assert (hour.pings, hour.sales) == (21, 1)


def test_a_table_that_does_not_count_fails_no_request(published: Stage, publisher: Publisher, journal: Journal) -> None:
    published.client.delete_table(TableName=SETTINGS.journal_table)
    sold(publisher)
    [row] = journal.log(START, START).rows
    assert row.status == "sold"


def test_a_count_that_hangs_is_not_waited_for(published: Stage, publisher: Publisher) -> None:
    class Hanging(Executor):
        def submit(self, *_: Any, **__: Any) -> "Future[Any]":
            return Future()

    world = replace(published.world(), count_pool=Hanging())
    assert publisher.send("full", world=world, json_body={"caller_id": CALLER}).body["success"]


@pytest.mark.usefixtures("published")
def test_who_sends_what_is_told_by_user_and_traffic_source(publisher: Publisher, journal: Journal) -> None:
    sold(publisher, auth_token="of acme", traffic_source_id="1023")
    publisher.ping(auth_token="of acme", traffic_source_id="IW7834")
    publisher.ping(auth_token="of umbrella")
    mine = [
        Source(user="acme", source="1023", asked=1, pings=1, sales=1, payout_cents=2500),
        Source(user="acme", source="IW7834", asked=1, pings=1),
    ]
    assert journal.sources(START, START + DAY, user="acme") == mine
    everybody = journal.sources(START, START + DAY)
    assert [source.revenue_cents for source in everybody] == [2500, 0, 0]
    assert [(source.user, source.source) for source in everybody] == [
        ("acme", "1023"),
        ("acme", "IW7834"),
        ("umbrella", ""),
    ]


def test_traffic_sources_that_a_publisher_makes_up_are_counted_as_others(
    published: Stage, publisher: Publisher, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.store.tallies.NAMED_SOURCES", 3)
    for n in range(9):
        published.clock.forward(1)
        publisher.ping(traffic_source_id="x" * 500 + str(n) if n > 6 else str(n))
    assert {source.source: source.pings for source in journal.sources(START, START + DAY)} == {
        "0": 1, "1": 1, "2": 1, "…": 6,
    }  # fmt: skip


def test_buyers_and_pools_have_their_days(published: Stage, publisher: Publisher, journal: Journal) -> None:
    published.publish(an_endpoint(version=2, pool=a_pool(2, no=2)))
    published.memory.endpoints.clear()
    for caller in (CALLER, OTHER, "+16145550125"):
        publisher.full(caller_id=caller)
    assert journal.buyers(START, START + DAY) == [
        BuyerTotals(buyer_id=1, sales=2, revenue_cents=5000, payout_cents=5000)
    ]
    publisher.ping()  # takes the refused one along
    [hour] = journal.pools(START, START + DAY)
    assert hour == PoolHour(at=START, pool="pool-2", leases=2, exhausted=1, used_percent=50, peak_percent=100)


# The log


def test_a_page_of_the_log_has_the_newest_first_whatever_shard_they_are_in(
    published: Stage, publisher: Publisher, journal: Journal, counting: Counting
) -> None:
    for _ in range(30):
        published.clock.forward(1)
        publisher.ping(traffic_source_id="1023")
    seen, cursor, pages = list[Row](), "", 0
    while pages == 0 or cursor:
        counting.calls = 0
        page = journal.log(START, published.clock(), cursor=cursor, size=7)
        assert counting.calls <= 8
        seen, cursor, pages = seen + page.rows, page.cursor, pages + 1
    assert [row.at for row in seen] == [START + n for n in range(30, 0, -1)]
    assert pages == 5
    assert {(row.source, row.bids, row.cents, row.payout_cents, row.status) for row in seen} == {
        ("1023", 2, 2500, 2500, "open")
    }
    assert journal.log(START + DAY, published.clock()).rows == []


def test_the_log_is_filtered_by_status_endpoint_and_source(
    published: Stage, publisher: Publisher, journal: Journal
) -> None:
    published.publish(an_endpoint(vanity_uri="other", ping_ttl_seconds=10))
    ping_id = sold(publisher, traffic_source_id="1023")
    publisher.ping(caller_id=OTHER)
    publisher.ping("other", caller_id=OTHER)
    published.publish(an_endpoint(vanity_uri="empty", buyers=()))
    publisher.ping("empty", caller_id=OTHER)
    published.clock.forward(20)

    def found(**wanted: Any) -> list[tuple[str, str]]:
        return [(row.endpoint, row.status) for row in journal.log(START, published.clock(), **wanted).rows]

    assert found(status="sold") == [("my_endpoint", "sold")]
    assert found(status="open") == [("my_endpoint", "open")]
    assert found(status="expired") == [("other", "expired")]
    assert found(status="unmatched") == [("empty", "unmatched")]
    assert found(endpoint="other") == [("other", "expired")]
    assert found(source="1023") == [("my_endpoint", "sold")]
    assert found(endpoint="other", status="sold") == []
    [row] = journal.log(START, published.clock(), status="sold").rows
    assert (row.buyer_id, row.cents, row.sold_at) == (1, 2500, START)
    assert journal.opened(row.ping_id, published.clock()) == journal.opened(ping_id, published.clock())


def test_a_publisher_sees_its_own_pings_and_no_bids(published: Stage, publisher: Publisher, journal: Journal) -> None:
    published.publish(an_endpoint(version=2, users=SENDERS, margin=Margin(cents=500)))
    published.memory.endpoints.clear()
    ping_id = sold(publisher, auth_token="of acme")
    sold(publisher, OTHER, auth_token="of umbrella")
    sold(publisher, OTHER)
    now = published.clock()
    for page in (
        journal.log(START, now, user="acme"),
        journal.sales_of(1, START, START + DAY, now, user="acme"),
        journal.of_caller(CALLER, now, user="acme"),
    ):
        [row] = page.rows
        assert (row.user, row.cents, row.payout_cents) == ("acme", None, 2000)
    assert journal.of_caller(OTHER, now, user="acme").rows == []
    assert journal.opened(ping_id, now, user="umbrella") is None
    opened = journal.opened(ping_id, now, user="acme")
    assert opened
    assert {offer.cents for offer in opened.offers} == {None}
    assert (opened.failures, opened.unsettled) == ([], {})


@pytest.mark.usefixtures("published")
def test_a_caller_is_found_by_its_number_even_if_it_first_comes_with_the_post(
    publisher: Publisher, journal: Journal, counting: Counting
) -> None:
    ping_id = publisher.ping().body["try_all_buyers_ping_id"]
    assert journal.of_caller(CALLER, START).rows == []
    publisher.post(ping_id=ping_id, caller_id=CALLER)
    counting.calls = 0
    [row] = journal.of_caller(CALLER, START).rows
    assert (row.ping_id, row.status) == (ping_id, "sold")
    assert counting.calls == 2


def test_a_ping_has_one_caller_to_be_found_by(published: Stage, publisher: Publisher, journal: Journal) -> None:
    ping_id = publisher.ping(caller_id=OTHER).body["try_all_buyers_ping_id"]
    answer = publisher.post(ping_id=ping_id, caller_id=CALLER)
    assert journal.of_caller(OTHER, START).rows == []
    [row] = journal.of_caller(CALLER, START).rows
    kept = published.kept(row.ping_id)
    assert kept.ping
    assert "caller_id" not in kept.ping.lead
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).text == answer.text


def test_the_sales_of_a_buyer_come_in_pages(
    published: Stage, publisher: Publisher, journal: Journal, counting: Counting
) -> None:
    for n in range(5):
        published.clock.forward(60)
        sold(publisher, f"+1614555012{n}")
    now = published.clock()
    counting.calls = 0
    first = journal.sales_of(1, START, START + DAY, now, size=3)
    assert counting.calls == 1
    second = journal.sales_of(1, START, START + DAY, now, size=3, cursor=first.cursor)
    assert [row.sold_at for row in first.rows + second.rows] == [START + 60 * n for n in (5, 4, 3, 2, 1)]
    assert second.cursor == ""
    assert len(journal.sales_of(1, START + 60, START + 180, now).rows) == 2
    assert journal.sales_of(2, START, START + DAY, now).rows == []


def test_a_ping_is_opened_with_its_sale_its_number_and_why_others_did_not_bid(
    published: Stage, publisher: Publisher, journal: Journal, counting: Counting
) -> None:
    published.publish(an_endpoint(version=2, bid_floor_cents=2200, users=SENDERS))
    published.memory.endpoints.clear()
    ping_id = sold(publisher, traffic_source_id="1023", auth_token="of acme")
    counting.calls = 0
    opened = journal.opened(ping_id, START)
    assert opened
    assert counting.calls <= 5
    assert opened.lead == {"caller_id": CALLER, "traffic_source_id": "1023"}
    assert [(offer.buyer_id, offer.cents) for offer in opened.offers] == [(1, 2500)]
    assert [(failure.buyer_id, failure.rule) for failure in opened.failures] == [(2, "bid_floor")]
    assert (opened.row.status, opened.row.buyer_id, opened.row.user) == ("sold", 1, "acme")
    assert (opened.held_until, opened.lease_until) == (START + 300, START + 360)
    assert opened.number in a_pool().shards[0].numbers
    raw = published.client.scan(TableName="pings")["Items"][0]["ping_id"]["B"].hex()
    assert journal.opened(raw, START) == opened
    for unknown in ("", "pg_", "zz", "00" * 12, ping_id[:-1] + "A"):
        assert journal.opened(unknown, START) is None


def test_a_static_sale_shows_where_its_call_goes(stage: Stage, publisher: Publisher, journal: Journal) -> None:
    stage.publish(an_endpoint(static_numbers={"+18005550170": "1023"}))
    ping_id = sold(publisher, trackdrive_number="8005550170")
    opened = journal.opened(ping_id, START)
    assert opened
    assert opened.route
    assert (opened.route.buyer_id, opened.route.number, opened.lease_until) == (1, "+18005550181", 0)


def test_a_sandbox_is_neither_counted_nor_listed(stage: Stage, journal: Journal) -> None:
    stage.publish(an_endpoint())
    world = stage.world().of_sandbox()
    endpoint = world.endpoint("my_endpoint")
    flows.full(world, endpoint, Request("POST", endpoint.vanity_uri, {"caller_id": CALLER}, [], ""))
    assert stage.client.scan(TableName="journal")["Items"] == []
    assert journal.log(START, START).rows == []
    assert journal.of_caller(CALLER, START).rows == []
    assert journal.sales_of(1, START, START + DAY, START).rows == []


def test_what_is_over_its_retention_is_not_shown_though_it_is_still_there(
    published: Stage, publisher: Publisher, journal: Journal
) -> None:
    published.publish(an_endpoint(version=2, lead_seconds=10 * DAY, sale_seconds=20 * DAY))
    published.memory.endpoints.clear()
    ping_id = sold(publisher)
    open_id = publisher.ping(caller_id=OTHER).body["try_all_buyers_ping_id"]
    now = START + 10 * DAY
    assert [row.status for row in journal.log(START, now).rows] == ["sold"]
    assert journal.opened(open_id, now) is None
    opened = journal.opened(ping_id, now)
    assert opened
    assert (opened.lead, opened.answer, opened.row.buyer_id) == ({}, "", 1)
    now = START + 20 * DAY
    assert journal.log(START, now).rows == []
    assert journal.opened(ping_id, now) is None
    assert journal.sales_of(1, START, START + DAY, now).rows == []


@pytest.mark.parametrize("cursor", ["x", "AAAA", "kcA=", "k5IBxAEAwMA="])
def test_a_cursor_that_is_none_of_ours_is_refused(journal: Journal, stage: Stage, cursor: str) -> None:
    with pytest.raises(BadCursor):
        journal.log(START, stage.clock(), cursor=cursor)


class Line(Struct):
    first: str
    second: str


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoted", [True, False])
@given(value=st.lists(st.sampled_from([*"=+-@＝＋－＠,;|\t\r\n\"' ax1", "=1+1", "\u2028", "\xa0"])).map("".join))
@example(value="a;=1+1")
@example(value='x";=1')
@example(value="a\n=1")
@example(value="\t=1")
@example(value=" =1")
@example(value='";"=1')
def test_no_cell_begins_a_formula_whichever_character_separates_cells(separator: str, quoted: bool, value: str) -> None:
    """Read by a spreadsheet that knows quotes, and by one that does not."""
    text = "".join(csv_lines([Line(value, value)], ["first", "second"]))
    assert len(text.splitlines()) == 2
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    for cell in next(csv.reader([text.splitlines()[1]], delimiter=separator, quoting=quoting)):
        bare = cell.strip(' "')
        assert bare[:1] not in set("=+-@＝＋－＠") or re.fullmatch("[+-]?[0-9.]+", bare)


@pytest.mark.parametrize("number", ["+18005550101", "18005550101", "-12.50", "0"])
def test_numbers_stay_usable(number: str) -> None:
    assert list(csv_lines([Line(number, "a - b")], ["first", "second"]))[1] == f"{number},a - b\r\n"


@pytest.mark.usefixtures("published")
def test_a_file_has_nothing_that_a_spreadsheet_would_run(publisher: Publisher, journal: Journal) -> None:
    for n in range(5):
        publisher.ping(traffic_source_id=f"={n}+1")
    lines = list(csv_lines(journal.log(START, START).rows, Row.__struct_fields__))
    assert len(lines) == 6
    assert lines[0].startswith("ping_id,at,endpoint,user,source,bids,status,cents,")
    assert sorted(line.split(",")[4] for line in lines[1:]) == [f"'={n}+1" for n in range(5)]
