"""Live buyers seen by publishers: who is asked what, and what becomes of it. The sandbox buyer answers, without a
network; what a network does to it is in test_asking."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from shared.configuration.live_buyers import LiveBuyerConfig
from shared.domain.caps import Cap
from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.models import Buyer, Field, User
from shared.store.dynamo import Dynamo
from shared.store.pings import Pings
from shared.store.rings import Rings
from tests.build import (
    CONTACT_FIELDS,
    SETTINGS,
    START,
    Counting,
    Publisher,
    Scripted,
    Stage,
    a_buyer,
    a_pool,
    an_endpoint,
)
from tools.replay import decide
from tools.sandbox import Sandbox

FIELDS = (*CONTACT_FIELDS, Field(name="zip", type="us_zip"))
CALLER = "+16145550123"
SILENT = {"hangs": "no answer within 1000 ms", "resets": "the connection broke"}


def a_live_buyer(id: int = 1, host: str = "a", post: bool = True, **overrides: Any) -> Buyer:
    wanted = {"dialect": "ringpost", "ping_url": f"https://{host}.example/ping", "timeout_ms": 1000}
    if post:
        wanted["post_url"] = f"https://{host}.example/post"
    live = LiveBuyerConfig.model_validate(wanted).compile(["caller_id", "zip"], 60_00)
    return a_buyer(**{"id": id, "name": f"Live {id}", "bid_cents": 0, "live": live} | overrides)


def at_a_secret_host() -> Buyer:
    buyer = a_live_buyer()
    assert buyer.live
    return replace(buyer, live=replace(buyer.live, ping=replace(buyer.live.ping, url="{secret.host}/ping")))


@pytest.fixture
def sandbox(stage: Stage) -> Sandbox:
    """The buyer at every host; what it does goes by ZIP."""
    sandbox = Sandbox()

    def script(_: int, call: Call) -> Reply | Silence:
        lead = json.loads(call.body)
        doing, body = sandbox.act(urlsplit(call.url).path, lead, call.headers.get("Idempotency-Key", ""))
        if doing in SILENT:
            return Silence(SILENT[doing], sent=True)
        return Reply(500 if doing == "fails" else 200, b"{" if doing == "babbles" else body)

    stage.send = Scripted(script)
    return sandbox


@pytest.fixture
def asked(stage: Stage, sandbox: Sandbox) -> list[tuple[int, Call]]:  # noqa: ARG001 - it answers
    assert isinstance(stage.send, Scripted)
    return stage.send.told


def posts(asked: list[tuple[int, Call]]) -> list[int]:
    return [buyer_id for buyer_id, call in asked if call.url.endswith("/post")]


def sell(publisher: Publisher, zip_code: str = "30340", **more: str) -> dict[str, Any]:
    return publisher.send("full", json_body={"caller_id": CALLER, "zip": zip_code} | more).body


def test_a_live_buyer_bids_is_asked_once_and_sold_to(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]]
) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(), a_buyer(id=2)), fields=FIELDS))
    ping = publisher.ping(caller_id=CALLER, zip="30340").body
    assert [(buyer["buyer_id"], buyer["bid"]) for buyer in ping["buyers"]] == [(1, 30.0), (2, 25.0)]
    kept = stage.kept(ping["try_all_buyers_ping_id"]).ping
    assert kept
    assert decide(stage.world().endpoint("my_endpoint"), kept) == kept.bids
    sent = {"caller_id": CALLER, "ping_id": ping["try_all_buyers_ping_id"]}
    first = publisher.post(**sent)
    assert first.body["buyer_name"] == "Live 1"
    assert publisher.post(**sent).text == first.text
    assert [call.url for _, call in asked] == ["https://a.example/ping", "https://a.example/post"]
    assert json.loads(asked[1][1].body) == {"caller_id": CALLER, "zip": "30340", "ping_id": "pg_30340"}
    sale = stage.kept(ping["try_all_buyers_ping_id"]).sale
    assert sale
    assert sale.said
    assert (sale.cents, sale.said.number) == (3000, "+18005550195")
    assert stage.contents()["pings"][0].count("asked") == 0


@pytest.mark.parametrize("verb", ["full", "post"])
def test_the_same_lead_again_asks_nobody(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]], verb: str
) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    lead = {"caller_id": CALLER, "zip": "30340"}
    first = publisher.send(verb, json_body=lead)
    assert first.body["success"]
    before = len(asked)
    assert publisher.send(verb, json_body=lead).text == first.text
    assert len(asked) == before == 2


@pytest.mark.parametrize(
    ("zip_code", "reason"),
    [
        ("30342", "The sandbox does not want it."),
        ("30344", "no answer within 1000 ms"),
        ("30345", "the connection broke"),
        ("30346", "HTTP 500"),
        ("30347", "the answer is no JSON object"),
        ("30350", "bid must not be negative"),
        ("30351", "bid must be at most 100,000 dollars"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_no_bid_has_its_reason_and_the_ping_goes_on(
    stage: Stage, publisher: Publisher, zip_code: str, reason: str
) -> None:
    users = (User("boss", "operator"),)
    stage.publish(an_endpoint(buyers=(a_live_buyer(), a_buyer(id=2)), fields=FIELDS, users=users))
    stage.give_token("secret", "boss")
    answer = publisher.ping(zip=zip_code, explain="1", auth_token="secret").body
    assert [buyer["buyer_id"] for buyer in answer["buyers"]] == [2]
    [failure] = answer["explain"]
    assert (failure["buyer_id"], failure["rule"], failure["seen"]) == (1, "no_bid", reason)


@pytest.mark.parametrize("verb", ["ping", "full"])
def test_what_a_buyer_says_back_of_lead_and_secret_is_neither_stored_nor_shown(
    stage: Stage, publisher: Publisher, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It echoes the whole request where reasons stand, and where nobody looks for them."""

    def script(_: int, call: Call) -> Reply | Silence:
        said = f"no: {call.url} {call.headers} {call.body.decode()} 614-555-0123 JANE"
        return Reply(200, json.dumps({"success": said, "status": said, "errors": [said], "detail": said}).encode())

    stage.send = Scripted(script)
    stage.secrets["key"] = "0pen-Sesame-9"
    live = a_live_buyer().live
    assert live
    url, headers = "https://a.example/ping?key={secret.key}", {"Authorization": "Token {secret.key}"}
    buyer = a_live_buyer(live=replace(live, ping=replace(live.ping, url=url, headers=headers)))
    users = (User("boss", "operator"),)
    stage.publish(an_endpoint(buyers=(buyer, a_buyer(id=2)), fields=(*FIELDS, Field(name="first_name")), users=users))
    stage.give_token("secret", "boss")
    lead = {"caller_id": CALLER, "zip": "30340", "first_name": "Jane"}
    answer = publisher.send(verb, json_body=lead | {"explain": "1", "auth_token": "secret"})
    [failure] = answer.body["explain"]
    assert failure["rule"] == "no_bid"
    ping = stage.kept(answer.body["try_all_buyers_ping_id"]).ping
    assert ping
    for text in (answer.text.partition('"explain"')[2], str(ping.facts.said[1]), caplog.text):
        for sent in ("Sesame", "6145550123", "614-555-0123", "jane", "30340"):
            assert sent.casefold() not in text.casefold()


@pytest.mark.parametrize("zip_code", ["30341", "30353", "30354", "30355"])
def test_who_does_not_accept_makes_way_for_the_next(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]], zip_code: str
) -> None:
    caps = (Cap("sales", 10, "total"),)
    stage.publish(an_endpoint(buyers=(a_live_buyer(caps=caps), a_buyer(id=2)), fields=FIELDS))
    assert sell(publisher, zip_code)["buyer_id"] == 2
    assert posts(asked) == [1]
    assert stage.world().counters.counts([(1, "")], START + 9)[1].get("sales-total-0", 0) == 0


def test_the_chosen_buyer_that_declines_is_unavailable_and_can_be_asked_again(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]]
) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(), a_buyer(id=2)), fields=FIELDS))
    bids = publisher.ping(caller_id=CALLER, zip="30341").body["buyers"]
    chosen = {"caller_id": CALLER, "ping_id": bids[0]["ping_id"]}
    assert publisher.post(**chosen).body["status"] == "buyer_unavailable"
    assert publisher.post(**chosen).body["status"] == "buyer_unavailable"
    assert posts(asked) == [1, 1]
    assert len({call.headers["Idempotency-Key"] for _, call in asked if call.final}) == 1
    assert publisher.post(caller_id=CALLER, ping_id=bids[1]["ping_id"]).body["buyer_id"] == 2


def test_where_there_is_no_number_nobody_is_asked(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]]
) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS, pool=a_pool(1)))
    assert sell(publisher)["success"]
    assert sell(publisher, caller_id="+16145550124")["status"] == "no_number_available"
    assert posts(asked) == [1]


def test_an_overflow_number_is_a_number(stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]]) -> None:
    pool = a_pool(1, overflow_number="+18005559998")
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS, pool=pool))
    assert sell(publisher)["success"]
    assert sell(publisher, caller_id="+16145550124")["trackdrive_number"] == "18005559998"
    route = stage.route("+18005559998", "+16145550124")
    assert route
    assert (route.number, posts(asked)) == ("+18005550195", [1, 1])


@pytest.mark.parametrize(
    "overrides",
    [{"static_numbers": {"+18005550170": "1023"}}, {"pool": a_pool(1, overflow_number="+18005559998")}],
    ids=["static", "overflow"],
)
def test_where_the_route_is_taken_nobody_is_asked(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]], overrides: dict[str, Any]
) -> None:
    """Another user has sold the caller at the only number that it could be told apart at."""
    users = (User("acme", "publisher"),)
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS, users=users, **overrides))
    stage.give_token("acme", "acme")
    if "pool" in overrides:
        assert sell(publisher, caller_id="+16145550124")["success"]
    sent = {"caller_id": CALLER, "zip": "30340", "trackdrive_number": "+18005550170"}
    pings = [publisher.ping(**sent).body["try_all_buyers_ping_id"] for _ in range(3)]
    assert publisher.post(ping_id=pings[0], **sent, auth_token="acme").body["success"]
    before = posts(asked)
    refused = publisher.post(ping_id=pings[1], **sent).body
    assert (refused["status"], refused["retry_after_seconds"]) == ("no_number_available", 300)
    assert posts(asked) == before
    assert publisher.post(ping_id=pings[2], **sent, auth_token="acme").body["success"]
    assert posts(asked) == [*before, 1]


def answering(stage: Stage, ping: dict[str, Any], post: dict[str, Any] | None = None) -> Scripted:
    """A buyer that answers like this."""
    bodies = {"/ping": {"success": True, "buyers": [{"bid": 30.0, "ping_id": "1"}]} | ping, "/post": post}
    stage.send = Scripted(lambda _, call: Reply(200, json.dumps(bodies[urlsplit(call.url).path]).encode()))
    return stage.send


def test_a_bid_that_ends_early_ends_the_hold(stage: Stage, publisher: Publisher) -> None:
    answering(stage, {"ping_ids_expiry_in_seconds": 40})
    stage.publish(an_endpoint(buyers=(a_live_buyer(post=False),), fields=FIELDS))
    ping = publisher.ping(caller_id=CALLER, zip="30340").body
    stage.clock.forward(10)
    sale = publisher.post(caller_id=CALLER, ping_id=ping["try_all_buyers_ping_id"]).body
    assert sale["number_expires_at"] == "2100-01-01T00:00:40Z"
    stage.clock.forward(30)
    assert sell(publisher, caller_id="+16145550124")["success"]


def test_a_bid_that_has_ended_is_not_sold(stage: Stage, publisher: Publisher) -> None:
    scripted = answering(stage, {"ping_ids_expiry_in_seconds": 40}, {"success": True})
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    ping = publisher.ping(caller_id=CALLER, zip="30340").body
    stage.clock.forward(40)
    sold = publisher.post(caller_id=CALLER, ping_id=ping["buyers"][0]["ping_id"]).body
    assert (sold["status"], posts(scripted.told)) == ("buyer_unavailable", [])


def test_a_consent_that_ends_early_ends_the_hold(stage: Stage, publisher: Publisher) -> None:
    answering(stage, {}, {"success": True, "number_expires_at": "2100-01-01T00:01:00Z"})
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    assert sell(publisher)["number_expires_at"] == "2100-01-01T00:01:00Z"


@pytest.mark.parametrize(("price", "sold"), [(29.99, None), (30, 3000), (45.5, 4550)])
def test_a_consent_below_the_bid_is_none_and_one_above_is_the_price(
    stage: Stage, publisher: Publisher, price: float, sold: int | None
) -> None:
    answering(stage, {}, {"success": True, "price": price})
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    ping = publisher.ping(caller_id=CALLER, zip="30340").body
    answer = publisher.post(caller_id=CALLER, ping_id=ping["try_all_buyers_ping_id"]).body
    sale = stage.kept(ping["try_all_buyers_ping_id"]).sale
    assert answer["success"] == (sold is not None)
    assert (sale.cents if sale else None) == sold
    again = publisher.post(caller_id=CALLER, ping_id=ping["try_all_buyers_ping_id"]).body
    assert again["success"] == (sold is not None)


@pytest.mark.usefixtures("sandbox")
def test_a_route_leads_to_the_number_that_the_buyer_gave(stage: Stage, publisher: Publisher) -> None:
    number = "+18005550170"
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS, static_numbers={number: "1023"}))
    sent = {"caller_id": CALLER, "zip": "30340", "trackdrive_number": number}
    ping = publisher.ping(**sent).body
    assert publisher.post(ping_id=ping["try_all_buyers_ping_id"], **sent).body["success"]
    route = stage.route(number)
    assert route
    assert (route.number, route.sold) == ("+18005550195", True)


@pytest.mark.parametrize(("elapsed", "wait"), [(0.0, 1.0), (0.3, 1.0), (0.9, 0.57), (1.4, 0.07)])
def test_each_buyer_has_its_own_time_within_what_the_endpoint_leaves(
    stage: Stage, publisher: Publisher, elapsed: float, wait: float
) -> None:
    send = answering(stage, {})
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    stage.elapsed = lambda: elapsed
    publisher.ping(zip="30340")
    assert send.waits == [pytest.approx(wait)]


def test_when_the_time_of_a_post_is_over_nobody_is_asked(stage: Stage, publisher: Publisher) -> None:
    """Each question takes a second; the publisher's answer leaves in time, with a buyer that need not be asked or
    none."""
    send = answering(stage, {}, {"success": False})
    buyers = tuple(a_live_buyer(n, host=f"b{n}") for n in range(1, 9))
    stage.elapsed = lambda: 1.0 * len(posts(send.told))
    stage.publish(an_endpoint(buyers=(*buyers, a_buyer(id=9)), fields=FIELDS))
    assert sell(publisher)["buyer_id"] == 9
    assert len(posts(send.told)) == 4
    assert send.waits[8:] == [1.0, 1.0, 1.0, pytest.approx(0.97)]


def test_what_a_question_waits_for_is_taken_off_its_time(stage: Stage, publisher: Publisher) -> None:
    """The write before it, which DynamoDB may be slow to answer, and what is read to be sent."""
    send = answering(stage, {}, {"success": True})
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    ping_id = publisher.ping(caller_id=CALLER, zip="30340").body["try_all_buyers_ping_id"]
    dynamo, calls = Counting(stage.client, SETTINGS), list[int]()
    answer = send.script

    def counted(buyer_id: int, call: Call) -> Reply | Silence:
        calls.append(dynamo.calls)
        return answer(buyer_id, call)

    send.script = counted
    stage.elapsed = lambda: 1.1 * dynamo.calls
    world = stage.world_over(dynamo)
    assert publisher.send("post", world=world, json_body={"caller_id": CALLER, "ping_id": ping_id}).body["success"]
    assert calls == [3]  # claim, look, and that it is asked
    assert send.waits[-1] == pytest.approx(3.97 - 3 * 1.1)


def test_where_reading_a_secret_took_the_time_a_ping_leaves_without_the_buyer(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]]
) -> None:
    elapsed = [0.0]
    stage.elapsed = lambda: elapsed[0]

    class Slow(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            elapsed[0] = 1.43
            return super().__getitem__(name)

    stage.secrets = Slow(host="https://b.example")
    stage.publish(
        an_endpoint(buyers=(at_a_secret_host(), a_buyer(id=2)), fields=FIELDS, users=(User("boss", "operator"),))
    )
    stage.give_token("secret", "boss")
    answer = publisher.ping(zip="30340", explain="1", auth_token="secret").body
    assert [buyer["buyer_id"] for buyer in answer["buyers"]] == [2]
    assert answer["explain"][0]["seen"] == "there was no time left to ask it"
    assert asked == []


def test_the_breaker_is_told_of_replies_that_cannot_be_read_and_of_the_others(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    for answer in ({}, {"success": False}):
        send = answering(stage, answer)
        publisher.ping(zip="30340")
        assert send.faults == [(1, "")]
    send = answering(stage, {"buyers": [{"bid": "much"}]})
    publisher.ping(zip="30340")
    assert send.faults == [(1, "bid must be an amount in dollars")]


def test_a_bid_says_how_long_a_call_must_last(stage: Stage, publisher: Publisher) -> None:
    answering(stage, {"buyers": [{"bid": 30.0, "ping_id": "1", "current_conversion_duration": 90}]})
    buyers = (a_live_buyer(), a_buyer(id=2, conversion_seconds=60))
    columns = ("buyer_id", "current_conversion_duration")
    stage.publish(an_endpoint(buyers=buyers, fields=FIELDS, buyer_columns=columns))
    shown = publisher.ping(zip="30340").body["buyers"]
    assert [buyer["current_conversion_duration"] for buyer in shown] == [90, 60]


def test_a_secret_that_is_not_set_is_a_reason(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]]
) -> None:
    stage.publish(an_endpoint(buyers=(at_a_secret_host(),), fields=FIELDS))
    assert publisher.ping(zip="30340").body["status"] == "no_matching_buyer"
    assert asked == []
    stage.secrets["host"] = "https://b.example"
    assert publisher.ping(zip="30340").body["success"]
    assert asked[0][1].url == "https://b.example/ping"


@pytest.mark.usefixtures("sandbox")
def test_what_is_not_settled_is_found_and_can_be_settled(stage: Stage, publisher: Publisher) -> None:
    """The buyer that reset the connection may have bought: it is written down with the sale to the next one."""
    stage.publish(an_endpoint(buyers=(a_live_buyer(), a_buyer(id=2)), fields=FIELDS))
    assert sell(publisher, "30354")["buyer_id"] == 2
    pings = Pings(Dynamo(stage.client, SETTINGS))
    [(ping, claim)] = stage.unsettled()
    assert claim.sale
    assert {buyer_id: asked.said for buyer_id, asked in claim.asked.items()} == {1: None}
    assert pings.settle(ping.id, claim.asked, {})
    assert not pings.settle(ping.id, claim.asked, {})
    assert stage.unsettled() == []


@pytest.mark.usefixtures("sandbox")
def test_what_is_not_settled_of_a_ping_that_made_way_for_another_is_found(stage: Stage, publisher: Publisher) -> None:
    """One Idempotency-Key sells one of several pings; a buyer may have bought under one that was refused."""
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    lead, headers = {"caller_id": CALLER, "zip": "30353"}, {"Idempotency-Key": "1"}
    for _ in range(2):
        ping_id = publisher.ping(**lead).body["try_all_buyers_ping_id"]
        answer = publisher.send("post", json_body=lead | {"ping_id": ping_id}, headers=headers)
        assert answer.body["status"] == "no_matching_buyer"
    assert [list(claim.asked) for _, claim in stage.unsettled()] == [[1], [1]]


@pytest.mark.parametrize("post", [{"price": 60.01}, {"number_expires_at": "2099-12-31T23:59:59Z"}, {"price": "much"}])
def test_a_consent_that_is_no_use_is_not_settled(stage: Stage, publisher: Publisher, post: dict[str, Any]) -> None:
    """The buyer has accepted, and thinks that it bought."""
    answering(stage, {}, {"success": True} | post)
    stage.publish(an_endpoint(buyers=(a_live_buyer(), a_buyer(id=2)), fields=FIELDS))
    assert sell(publisher)["buyer_id"] == 2
    [(_, claim)] = stage.unsettled()
    assert list(claim.asked) == [1]


@pytest.mark.usefixtures("sandbox")
def test_a_yes_that_got_no_number_is_kept_and_used_when_there_is_one(
    stage: Stage, publisher: Publisher, asked: list[tuple[int, Call]]
) -> None:
    pool = a_pool(1)
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS, pool=pool))
    ping = publisher.ping(caller_id=CALLER, zip="30340").body
    assert isinstance(stage.send, Scripted)
    script = stage.send.script

    def while_another_takes_the_number(buyer_id: int, call: Call) -> Reply | Silence:
        rings = Rings(Dynamo(stage.client, SETTINGS), {})
        rings.lease(pool, pool.terms, b"another ping", stage.clock.now, rings.look(pool))
        return script(buyer_id, call)

    stage.send.script = while_another_takes_the_number
    sent = {"caller_id": CALLER, "ping_id": ping["try_all_buyers_ping_id"]}
    assert publisher.post(**sent).body["status"] == "no_number_available"
    stage.clock.forward(60)
    [(_, claim)] = stage.unsettled()
    assert claim.asked[1].said
    other = a_pool(2, no=2)
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS, pool=other, version=2))
    stage.clock.forward(30)
    assert publisher.post(**sent).body["success"]
    assert posts(asked) == [1]
    assert stage.unsettled() == []


def test_what_an_attempt_that_died_has_asked_is_asked_again_first_by_the_same_key(
    stage: Stage, publisher: Publisher, sandbox: Sandbox, asked: list[tuple[int, Call]]
) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(), a_live_buyer(2, tier=2)), fields=FIELDS, rank_by="tier"))
    ping = publisher.ping(caller_id=CALLER, zip="30340").body
    assert isinstance(stage.send, Scripted)
    script, died = stage.send.script, list[str]()

    def dies_after_the_second_said_yes(buyer_id: int, call: Call) -> Reply | Silence:
        if buyer_id == 1:
            return Reply(200, b'{"success":false,"status":"buyer_unavailable"}')
        script(buyer_id, call)
        died.append(call.headers["Idempotency-Key"])
        raise KeyboardInterrupt

    stage.send.script = dies_after_the_second_said_yes
    sent = {"caller_id": CALLER, "ping_id": ping["try_all_buyers_ping_id"]}
    with pytest.raises(KeyboardInterrupt):
        publisher.post(**sent)
    stage.send.script = script
    stage.clock.forward(11)
    assert publisher.post(**sent).body["buyer_id"] == 2
    assert posts(asked) == [1, 2, 2]
    assert len(sandbox.accepted) == 1
    assert sandbox.told[died[0]] == 2


def test_a_question_that_does_not_reach_the_buyer_leaves_open_what_became_of_the_one_before(
    stage: Stage, publisher: Publisher, sandbox: Sandbox
) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(),), fields=FIELDS))
    ping = publisher.ping(caller_id=CALLER, zip="30340").body
    assert isinstance(stage.send, Scripted)
    script, lost = stage.send.script, [Silence("the connection broke", sent=True), Silence("no connection", sent=False)]

    def hears_the_first_only(buyer_id: int, call: Call) -> Reply | Silence:
        if not lost:
            return script(buyer_id, call)
        silence = lost.pop(0)
        if silence.sent:
            script(buyer_id, call)
        return silence

    stage.send.script = hears_the_first_only
    sent = {"caller_id": CALLER, "ping_id": ping["try_all_buyers_ping_id"]}
    for _ in range(2):
        assert publisher.post(**sent).body["status"] == "no_matching_buyer"
        [(_, claim)] = stage.unsettled()
        assert list(claim.asked) == [1]
    assert publisher.post(**sent).body["buyer_id"] == 1
    assert len(sandbox.accepted) == 1


@pytest.mark.usefixtures("sandbox")
def test_nothing_of_a_lead_reaches_the_log(stage: Stage, publisher: Publisher, log: Any) -> None:
    stage.publish(an_endpoint(buyers=(a_live_buyer(), a_buyer(id=2)), fields=FIELDS))
    for zip_code in ("30340", "30345", "30353"):
        sell(publisher, zip_code)
    assert "5550123" not in log.getvalue()
    assert "3034" not in log.getvalue()
