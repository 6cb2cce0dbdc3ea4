"""The log, found by rows: pages of it, its cursors, callers over all days, and one ping opened."""

import base64
import csv
import io
import re
import time
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from msgspec.structs import replace

from shared import flows
from shared.domain import keys
from shared.domain.models import DAY, User
from shared.journal.fetching import Fetching
from shared.journal.files import LATE_SECONDS, Files
from shared.journal.pages import HOUR
from shared.journal.rows import Row
from shared.publishers.requests import Request
from shared.store.erasures import Erasures
from shared.store.journal import Journal
from tests.build import CALLER, KEYS, SETTINGS, START, Counting, InTurn, Publisher, Stage, a_pool, an_endpoint, forged
from tests.configurations import a_buyer, an_offer
from tests.office import Operator, as_user, opened
from tests.watchers import Visitor

OTHER = "+16145550124"
NUMBER = "+18005550101"
PING = Row(
    event="", at=START, kind="ping", ping="", endpoint="my_endpoint", offer="auto-insurance", status="success", bids=2,
    best_bid_cents=2500, best_payout_cents=2000, expires_at=START + 120, version=1, state="TX",
)  # fmt: skip
SALE = replace(
    PING, kind="sale", sold_at=START, status="sold", buyer=1, revenue_cents=2600, payout_cents=2050, number=NUMBER
)


@pytest.fixture
def olga(stage: Stage) -> Operator:
    opened(stage, offers=[an_offer(buyers=[a_buyer()])])
    return as_user(stage, "olga")


@pytest.fixture
def journal(stage: Stage) -> Journal:
    return Journal(Counting(stage.client, SETTINGS), KEYS, InTurn())


def ping(n: int, **more: Any) -> Row:
    return replace(PING, **{"event": f"e{n:05}", "ping": f"{n:024x}", **more})


def sale_of(row: Row, at: int, **more: Any) -> Row:
    return replace(SALE, event=f"{row.event}s", ping=row.ping, at=at, sold_at=at, **more)


def write(stage: Stage, *rows: Row) -> Fetching:
    """To pages of the journal."""
    fetching = stage.open_files()
    fetching.pages.write("pings", rows)
    return fetching


def close(fetching: Fetching, now: int) -> None:
    """Make files of what there is in pages."""
    files = Files(fetching.manifest, fetching.storage, fetching.pages, Erasures(fetching.manifest.dynamo))
    files.close_hours(now)
    files.close_days(now)


def number_of(entry: dict[str, Any]) -> int:
    """The one that `ping` was given."""
    known = keys.read_ping_id(KEYS, "my_endpoint", entry["ping_id"])
    assert known
    return int.from_bytes(known[0], "big")


def walk(olga: Operator, query: str, path: str = "/pings") -> list[list[int]]:
    """Every page of a list."""
    pages, after = list[list[int]](), ""
    while not pages or after:
        found = olga.get(path, f"{query}&after={after}" if after else query)
        pages.append([number_of(entry) for entry in found["items"]])
        after = found["next"] or ""
        assert len(pages) < 100
    return pages


def test_every_line_is_on_one_page_though_many_have_the_same_second(olga: Operator) -> None:
    rows = [ping(n, at=START + n // 7) for n in range(30)]
    write(olga.stage, *rows)
    pages = walk(olga, "limit=4")
    assert [len(page) for page in pages] == [4] * 7 + [2]
    assert [n for page in pages for n in page] == [*range(29, -1, -1)]


@pytest.mark.parametrize("limit", [1, 10])
def test_a_full_that_was_priced_twice_was_sold_once(olga: Operator, limit: int) -> None:
    """The first found no number; the second has the same ping id, and its lead is priced anew."""
    first = ping(1, at=START)
    again = ping(2, at=START + 10, ping=first.ping)
    refused = ping(3, at=START, ping=first.ping, kind="refused", status="no_number_available", bids=0)
    write(olga.stage, first, refused, again, sale_of(again, START + 10))
    olga.stage.clock.forward(600)
    found, after = list[dict[str, Any]](), ""
    while not found or after:
        page = olga.get("/pings", f"limit={limit}&after={after}")
        found, after = found + page["items"], page["next"]
    assert sorted(line["outcome"] for line in found) == ["expired", "refused", "sold"]
    assert [line["revenue_cents"] for line in found if line["at"] == START + 10] == [2600]
    assert sum(line["revenue_cents"] for line in found) == 2600


def test_what_comes_while_somebody_reads_moves_no_line(olga: Operator) -> None:
    write(olga.stage, *(ping(n, at=START + n) for n in range(6)))
    first = olga.get("/pings", "limit=3")
    write(olga.stage, *(ping(n, at=START + n) for n in range(6, 9)))
    second = olga.get("/pings", f"limit=3&after={first['next']}")
    assert [number_of(entry) for entry in second["items"]] == [2, 1, 0]


def test_a_search_goes_on_through_files_until_it_is_over(olga: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a part of the range is read at once, every line is found once, also that of a late page."""
    stage = olga.stage
    rows = [ping(n, at=START + n * HOUR // 6) for n in range(5 * 6)]
    fetching = write(stage, *rows)
    stage.clock.forward(3 * HOUR + LATE_SECONDS)
    close(fetching, stage.clock())
    write(stage, ping(99, at=START + 5), sale_of(rows[0], START + HOUR + 1))
    stage.clock.forward(3 * HOUR)
    monkeypatch.setattr("shared.operators.journal_rows.QUICK_BYTES", 1)
    everything = [*range(29, 0, -1), 99, 0]
    pages = walk(olga, "limit=200")
    assert [n for page in pages for n in page] == everything
    assert len(pages) >= 5
    pages = walk(olga, "limit=4&outcome=expired")
    assert [n for page in pages for n in page] == everything[:-1]
    assert max(map(len, pages)) == 4
    assert [n for page in walk(olga, "", "/sales") for n in page] == [0]
    page = Visitor(stage, "olga").see("/log", "user=nobody")
    assert "Nothing found back to 2100-01-01 0" in page
    assert "Search on" in page
    stage.clock.forward(DAY)
    close(fetching, stage.clock())
    assert walk(olga, "limit=200&from=2100-01-01&to=2100-01-01") == [everything]


def test_a_sale_is_its_pings_on_the_day_before_and_a_line_of_the_day_of_the_sale(olga: Operator) -> None:
    late = ping(1, at=START + DAY - 1, expires_at=START + DAY + 119)
    write(olga.stage, late, sale_of(late, START + DAY + 60))
    olga.stage.clock.forward(DAY + 100)
    [entry] = olga.get("/pings", "from=2100-01-01&to=2100-01-01")["items"]
    assert (entry["outcome"], entry["sold_at"], entry["buyer_id"]) == ("sold", START + DAY + 60, 1)
    assert (entry["bid_cents"], entry["bid_payout_cents"]) == (2500, 2000)
    assert (entry["revenue_cents"], entry["payout_cents"], entry["number"]) == (2600, 2050, NUMBER)
    assert olga.get("/sales", "from=2100-01-01&to=2100-01-01")["items"] == []
    for query in ("", "number=8005550101", "buyer=1", "buyer=buyer", "state=texas"):
        [entry] = olga.get("/sales", query)["items"]
        assert (entry["at"], entry["outcome"]) == (START + DAY + 60, "sold")
    for query in ("number=8005550102", "buyer=2", "state=FL"):
        assert olga.get("/sales", query)["items"] == []


def test_a_ping_expires_in_the_log_when_it_does(olga: Operator) -> None:
    write(olga.stage, ping(1))
    for forward, outcome in ((119, "open"), (1, "expired")):
        olga.stage.clock.forward(forward)
        assert [entry["outcome"] for entry in olga.get("/pings")["items"]] == [outcome]
        assert len(olga.get("/pings", f"outcome={outcome}")["items"]) == 1


def test_a_caller_is_found_on_all_days_by_any_row_of_its_pings(olga: Operator) -> None:
    hashed, other = (keys.caller_hash(KEYS, caller)[:8].hex() for caller in (CALLER, OTHER))
    first, second = ping(1, caller=hashed), ping(2, at=START + 40 * DAY)
    refused = replace(PING, event="r", kind="refused", ping=f"{3:024x}", at=START + 50 * DAY, caller=hashed)
    stranger = ping(4, at=START + 40 * DAY, caller=other)
    write(olga.stage, first, second, sale_of(second, START + 40 * DAY, caller=hashed), refused, stranger)
    olga.stage.clock.forward(60 * DAY)
    found = olga.ask("POST", "/callers/lookup", {"number": CALLER, "limit": 2}).body
    assert [number_of(entry) for entry in found["items"]] == [3, 2]
    rest = olga.ask("POST", "/callers/lookup", {"number": CALLER, "after": found["next"]}).body
    assert [number_of(entry) for entry in rest["items"]] == [1]


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "AAAA", "kcA=", "k5IBxAEAwMA=",
        *(
            base64.urlsafe_b64encode(msgspec.msgpack.encode(values)).decode()
            for values in ([-1, "e", 0], [2**62, "e", 0], [1, "e", -1], [1, "e", 2**60], [1, 2, 3], ["x"], [], 1)
        ),
    ],
)  # fmt: skip
def test_a_cursor_that_is_none_of_ours_is_refused(olga: Operator, cursor: str) -> None:
    answer = olga.ask("GET", "/pings", query=f"after={cursor}")
    assert (answer.code, [*answer.body["errors"]]) == (422, ["after"])


def test_a_cursor_of_another_list_is_only_a_place(olga: Operator) -> None:
    write(olga.stage, *(ping(n, at=START + n) for n in range(4)))
    after = olga.get("/pings", "limit=2")["next"]
    assert [number_of(entry) for entry in olga.get("/pings", f"state=TX&after={after}")["items"]] == [1, 0]
    assert olga.get("/pings", f"from=2100-01-02&to=2100-01-02&after={after}") == {"items": [], "next": None}


@pytest.mark.parametrize("names", [("endpoint", "user", "source"), ("state",), ("buyer",), ("number",)])
def test_nothing_that_is_searched_is_sql(olga: Operator, names: tuple[str, ...]) -> None:
    write(olga.stage, ping(1))
    for value in ("' OR 1=1 --", "%", "$user", "\\", '"', "); DROP TABLE all_rows; --", "\0", "NULL", "٣"):
        answer = olga.ask("GET", "/pings", query=urlencode(dict.fromkeys(names, value)))
        assert answer.code in (200, 422), answer.text
        assert answer.body.get("items", []) == [], value
    assert len(olga.get("/pings")["items"]) == 1


# Files


def test_ten_thousand_lines_are_a_file_in_little_time(olga: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    write(olga.stage, *(ping(n, at=START + n % 3000, user="acme-media") for n in range(10_001)))
    monkeypatch.setattr("shared.store.pings.Pings.read_all", lambda *_: {})
    began = time.process_time()
    answer = olga.ask("GET", "/pings", query="format=csv&user=acme-media")
    assert time.process_time() - began < 6
    rows = [*csv.DictReader(io.StringIO(answer.text))]
    assert len(rows) == 10_000
    assert all(former["time"] >= later["time"] for former, later in pairwise(rows))
    link = re.fullmatch(r'</api/v1(/pings)\?(.+)>; rel="next"', answer.headers["Link"])
    assert link
    rest = olga.ask("GET", link[1], query=link[2])
    assert "Link" not in rest.headers
    [last] = csv.DictReader(io.StringIO(rest.text))
    assert last["ping_id"] not in {row["ping_id"] for row in rows}


# One ping


@pytest.fixture
def published(stage: Stage) -> Stage:
    stage.publish(an_endpoint(version=2, bid_floor_cents=2200, users=(User("acme", "publisher"),)))
    stage.give_token("of acme", "acme")
    return stage


def sold(publisher: Publisher, **more: Any) -> str:
    ping_id: str = publisher.ping(caller_id=CALLER, **more).body["buyers"][0]["ping_id"]
    assert publisher.post(caller_id=CALLER, ping_id=ping_id, **more).body["success"]
    return ping_id


def test_a_ping_is_opened_with_its_sale_its_number_and_why_others_did_not_bid(
    published: Stage, publisher: Publisher, journal: Journal
) -> None:
    ping_id = sold(publisher, traffic_source_id="1023", auth_token="of acme")
    counting = journal.dynamo
    assert isinstance(counting, Counting)
    found = journal.opened(ping_id, START)
    assert found
    assert counting.calls <= 5
    assert found.lead == {"caller_id": CALLER, "traffic_source_id": "1023"}
    assert [(bid.buyer_id, bid.cents) for bid in found.ping.bids] == [(1, 2500)]
    assert [(failure.buyer_id, failure.rule) for failure in found.failures] == [(2, "bid_floor")]
    assert found.sale
    assert (found.sale.buyer_id, found.user) == (1, "acme")
    assert (found.sale.held_until, found.lease_until) == (START + 300, START + 360)
    assert found.sale.number in a_pool().shards[0].numbers
    raw = published.client.scan(TableName="pings")["Items"][0]["ping_id"]["B"].hex()
    assert journal.opened(raw, START) == found
    for unknown in ("", "pg_", "zz", "00" * 12, forged(ping_id)):
        assert journal.opened(unknown, START) is None


def test_a_static_sale_shows_where_its_call_goes(olga: Operator, publisher: Publisher) -> None:
    olga.stage.publish(an_endpoint(static_numbers={"+18005550170": "1023"}))
    ping_id = sold(publisher, trackdrive_number="8005550170")
    found = olga.get(f"/pings/{ping_id}")["sale"]
    assert found["route"] == {"buyer_id": 1, "number": "+18005550181", "until": START + 300}
    assert found["lease_until"] == 0
    page = Visitor(olga.stage, "olga").see(f"/pings/{ping_id}")
    assert "a call goes to buyer 1 at +18005550181 until" in page
    olga.stage.clock.forward(300)
    assert olga.get(f"/pings/{ping_id}")["sale"]["route"] is None


def test_a_sale_that_lost_its_route_names_the_later_one(olga: Operator, publisher: Publisher) -> None:
    olga.stage.publish(an_endpoint(vanity_uri="static", static_numbers={"+18005550170": "1023"}))
    ids = []
    for _ in range(2):
        ids.append(publisher.ping("static", trackdrive_number="8005550170").body["try_all_buyers_ping_id"])
        publisher.post("static", ping_id=ids[-1], caller_id=CALLER)
    olga.stage.bring_stream()
    by = olga.get(f"/pings/{ids[0]}")["sale"]["superseded_by"]
    assert olga.get(f"/pings/{by}")["ping"]["ping_id"] == ids[1]
    assert olga.get(f"/pings/{ids[1]}")["sale"]["superseded_by"] == ""
    page = Visitor(olga.stage, "olga").get(f"/pings/{ids[0]}").text
    assert f'<a href="/dashboard/pings/{by}">sold again later</a>' in page


def test_what_is_over_its_retention_is_not_opened_though_it_is_still_there(
    stage: Stage, publisher: Publisher, journal: Journal
) -> None:
    stage.publish(an_endpoint(lead_seconds=10 * DAY))
    ping_id = publisher.ping(caller_id=OTHER).body["try_all_buyers_ping_id"]
    assert journal.opened(ping_id, START + 10 * DAY - 1)
    assert journal.opened(ping_id, START + 10 * DAY) is None


def test_a_sandbox_is_in_no_log(olga: Operator, journal: Journal) -> None:
    world = olga.stage.world().of_sandbox()
    endpoint = world.endpoint("my_endpoint")
    flows.full(world, endpoint, Request("POST", endpoint.vanity_uri, {"caller_id": CALLER}, [], ""))
    assert olga.get("/pings")["items"] == []
    items = olga.stage.client.scan(TableName=SETTINGS.sandbox_pings_table)["Items"]
    [item] = (item for item in items if "ping" in item)
    assert journal.opened(item["ping_id"]["B"].hex(), START) is None


DAMAGED = (b"", b"\x01", b"\x01\xff\xff", b"x", b"\x07later")


def damage(stage: Stage, ping_id: str, packed: bytes) -> None:
    stage.client.update_item(
        TableName="pings",
        Key={"ping_id": {"B": bytes.fromhex(ping_id)}},
        UpdateExpression="SET ping = :packed",
        ExpressionAttributeValues={":packed": {"B": packed}},
    )
    while batch := stage.stream.next_batch():  # the change is no row
        assert stage.stream.note_done(batch, {"batchItemFailures": []})


@pytest.mark.parametrize("packed", DAMAGED)
def test_a_damaged_ping_is_said_and_spoils_no_file(stage: Stage, publisher: Publisher, packed: bytes) -> None:
    opened(stage, offers=[an_offer(buyers=[a_buyer()])])
    for caller in (CALLER, OTHER):
        publisher.ping(caller_id=caller)
    olga = as_user(stage, "olga")
    first, second = (f"{number_of(line):024x}" for line in olga.get("/pings")["items"])
    damage(stage, first, packed)
    answer = olga.ask("GET", f"/pings/{first}")
    assert (answer.code, answer.body["message"][:35]) == (409, "The stored ping cannot be read. A p")
    assert Visitor(stage, "olga").get(f"/pings/{first}").code == 409
    lines = [*csv.DictReader(io.StringIO(olga.ask("GET", "/pings", query="format=csv").text))]
    assert sorted(line["lead.caller_id"] == "" for line in lines) == [False, True]
    assert olga.get(f"/pings/{second}")["lead_is_kept"]


def test_a_damaged_ping_of_a_caller_keeps_no_other_from_being_erased(stage: Stage, publisher: Publisher) -> None:
    opened(stage, offers=[an_offer(buyers=[a_buyer()])])
    for caller in (CALLER, CALLER, CALLER, OTHER):
        publisher.ping(caller_id=caller)
        stage.clock.forward(1)
    olga = as_user(stage, "olga")
    others, *ids = (f"{number_of(line):024x}" for line in olga.get("/pings")["items"])
    middle = ids[1]
    damage(stage, middle, b"\x01")
    answer = olga.ask("POST", "/callers/erase", {"number": CALLER})
    assert (answer.code, answer.body["message"]) == (
        409, f"These stored pings or calls cannot be read, and are not erased: {middle}.",
    )  # fmt: skip
    kept = {
        ping_id for ping_id in (others, *ids) if ping_id != middle and olga.get(f"/pings/{ping_id}")["lead_is_kept"]
    }
    assert len(kept) == 1
    assert olga.ask("POST", "/callers/erase", {"number": CALLER, "dry_run": True}).code == 409
    assert olga.ask("POST", "/callers/erase", {"ping_id": middle}).code == 409
