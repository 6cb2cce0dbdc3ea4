"""PING: who wants this call, and for how much."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from shared.domain.models import Field, User
from tests.build import BUYERS, CALLER, CONTACT_FIELDS, START, Answer, Counting, Publisher, Stage, a_buyer, an_endpoint

ZIP = Field(name="zip", type="us_zip", required_on=("ping",))
STATE = Field(name="state", type="us_state", required_on=("ping", "post"))
AGE = Field(name="age", type="integer", minimum="18")

LEAD = {"traffic_source_id": "IW7834", "zip": "30340", "state": "TX"}


def ways(sent: dict[str, str]) -> list[dict[str, Any]]:
    """One lead in every form in which publishers send it."""
    first, *others = sent
    split = {"query": urlencode({first: sent[first]}), "rest": {name: sent[name] for name in others}}
    return [
        {"method": "GET", "query": urlencode(sent)},
        {"method": "POST", "query": urlencode(sent)},
        {"method": "POST", "json_body": sent},
        {"method": "GET", "json_body": sent},
        {"method": "POST", "form": sent},
        {"method": "POST", "query": split["query"], "json_body": split["rest"]},
        {"method": "POST", "query": split["query"], "form": split["rest"]},
        {"method": "POST", "body": json.dumps(sent).encode()},
        {"method": "POST", "query": urlencode(sent), "path": "/api/v1/inbound_webhooks/ping/my_endpoint/"},
        {"method": "POST", "query": urlencode({name.upper(): text for name, text in sent.items()})},
    ]


def lead(stage: Stage, answer: Answer) -> dict[str, str]:
    """What was stored of the lead."""
    ping = stage.kept(answer.body["try_all_buyers_ping_id"]).ping
    assert ping
    return ping.lead


@pytest.mark.parametrize("sent", ways(LEAD), ids=str)
def test_a_ping_lists_every_buyer_however_it_is_sent(stage: Stage, publisher: Publisher, sent: dict[str, Any]) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, ZIP, STATE)))
    answer = publisher.send("ping", **sent)
    assert answer.code == 200
    assert list(answer.body) == [
        "success", "status", "errors", "try_all_buyers_ping_id", "try_all_buyers", "ping_ids_expiry_in_seconds",
        "buyers",
    ]  # fmt: skip
    assert [(buyer["buyer_id"], buyer["bid"]) for buyer in answer.body["buyers"]] == [(1, 25.0), (2, 20.0)]
    assert answer.body["try_all_buyers"] == {"ping_id": answer.body["try_all_buyers_ping_id"]}
    assert answer.body["ping_ids_expiry_in_seconds"] == 120
    assert lead(stage, answer) == LEAD


def test_no_two_ping_ids_are_the_same(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    answers = [publisher.ping().body for _ in range(3)]
    ids = [buyer["ping_id"] for body in answers for buyer in body["buyers"]]
    ids += [body["try_all_buyers_ping_id"] for body in answers]
    assert len(set(ids)) == 9


def test_a_ping_costs_one_write_and_no_read(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    publisher.ping()
    dynamo = Counting(stage.client, stage.settings)
    publisher.send("ping", world=stage.world_over(dynamo))
    assert dynamo.calls == 1


@pytest.mark.parametrize(
    "caller", ["+16145550123", "16145550123", "6145550123", "614-555-0123", "(614) 555-0123", " 16145550123"]
)
def test_every_spelling_of_a_caller_is_stored_as_one(stage: Stage, publisher: Publisher, caller: str) -> None:
    stage.publish(an_endpoint())
    assert lead(stage, publisher.ping(caller_id=caller)) == {"caller_id": CALLER}
    assert lead(stage, publisher.send("ping", method="GET", query=f"caller_id={caller}")) == {"caller_id": CALLER}


def test_a_caller_is_dialed_in_the_region_of_the_endpoint(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(default_region="GB"))
    assert lead(stage, publisher.ping(caller_id="020 7946 0018")) == {"caller_id": "+442079460018"}


def test_unknown_parameters_are_kept_with_the_lead_and_control_parameters_are_not(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(users=(User("acme", "publisher"),)))
    stage.give_token("secret", "acme")
    sent: dict[str, Any] = {"tcpa_opt_in": "I agree, 👍.", "Utm_Source": "x", "vehicles": ["Focus", {"make": "Ford"}]}
    controls: dict[str, Any] = {
        "ping_id": "pg_x",
        "buyer_id": 1,
        "auth_token": "secret",
        "explain": 1,
        "vanity_uri": "other",
    }
    answer = publisher.ping(**sent, **controls)
    assert lead(stage, answer) == {
        "tcpa_opt_in": "I agree, 👍.",
        "Utm_Source": "x",
        "vehicles": '["Focus",{"make":"Ford"}]',
    }


def test_a_default_is_stored_with_the_lead(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(Field(name="vertical", default="auto", required_on=("ping",)),)))
    assert lead(stage, publisher.ping()) == {"vertical": "auto"}
    assert lead(stage, publisher.ping(vertical="home")) == {"vertical": "home"}


def test_nobody_bids(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(buyers=(a_buyer(paused=True), a_buyer(id=2, bid_cents=999)), bid_floor_cents=1000))
    answer = publisher.ping()
    assert (answer.code, answer.text) == (
        200,
        '{"success":false,"status":"no_matching_buyer","errors":["There are no matching buyers."],"buyers":[]}',
    )
    [stored] = stage.pings()
    assert stored.bids == ()


def test_buyers_are_listed_by_tier_where_the_offer_says_so(stage: Stage, publisher: Publisher) -> None:
    buyers = (a_buyer(id=1, tier=2, bid_cents=9900), a_buyer(id=2, tier=1, bid_cents=100))
    stage.publish(an_endpoint(rank_by="tier", buyers=buyers))
    assert [buyer["id"] for buyer in publisher.ping().body["buyers"]] == [2, 1]


@pytest.mark.parametrize("rank_by", ["bid", "tier"])
def test_try_all_begins_with_the_buyer_that_is_listed_first(stage: Stage, publisher: Publisher, rank_by: str) -> None:
    stage.publish(an_endpoint(rank_by=rank_by, buyers=tuple(a_buyer(id=n) for n in range(1, 9))))
    for _ in range(4):
        ping = publisher.ping().body
        sale = publisher.post(ping_id=ping["try_all_buyers_ping_id"], caller_id=CALLER).body
        assert sale["buyer_id"] == ping["buyers"][0]["buyer_id"]


def test_one_seed_gives_one_order(stage: Stage, publisher: Publisher) -> None:
    stage.random_bytes = bytes
    stage.publish(an_endpoint(buyers=tuple(a_buyer(id=n) for n in range(1, 9))))
    assert publisher.ping().text == publisher.ping().text


def test_every_bad_field_is_told_at_once_and_nothing_is_stored(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, ZIP, STATE, AGE)))
    answer = publisher.ping(caller_id="555-0123", state="Ontario", age=17)
    assert (answer.code, answer.body) == (
        422,
        {
            "status": 422,
            "success": False,
            "errors": {
                "zip": ["zip is required on ping. You did not send a value."],
                "caller_id": ["caller_id must be a telephone number, for example +16145550123."],
                "state": ["state must be a US state, for example TX or Texas."],
                "age": ["age must be at least 18."],
            },
            "metadata": {"root": None},
        },
    )
    assert stage.contents()["pings"] == []


def test_an_endpoint_may_have_bad_fields_told_as_a_list(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(ZIP, AGE), field_errors="list"))
    answer = publisher.ping(age="x")
    assert (answer.code, answer.body) == (
        422,
        {
            "success": False,
            "status": "invalid_fields",
            "errors": ["zip is required on ping. You did not send a value.", "age must be a whole number."],
            "buyers": [],
        },
    )


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_blank_value_was_not_sent(stage: Stage, publisher: Publisher, blank: str | None) -> None:
    stage.publish(an_endpoint(fields=(ZIP,)))
    assert publisher.ping(zip=blank).body["errors"] == {"zip": ["zip is required on ping. You did not send a value."]}


def test_a_field_of_the_post_is_not_asked_for_on_ping(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(Field(name="email", type="email", required_on=("post",)),)))
    assert publisher.ping().body["success"] is True


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_a_required_caller_id_is_told_before_any_bad_field(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, ZIP), require_caller_id=True))
    answer = publisher.send(verb, json_body={"zip": "x"})
    assert (answer.code, answer.text) == (
        200,
        '{"success":false,"status":"caller_id_required",'
        '"errors":["You must submit a caller_id param since this webhook requires it."],"buyers":[]}',
    )


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_a_required_caller_id_that_is_no_number_is_a_bad_field(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(require_caller_id=True))
    answer = publisher.send(verb, json_body={"caller_id": "555-0123"})
    assert (answer.code, list(answer.body["errors"])) == (422, ["caller_id"])


def test_an_endpoint_says_accepted_where_its_clients_read_that(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(success_status="accepted"))
    ping = publisher.ping().body
    sale = publisher.post(ping_id=ping["try_all_buyers_ping_id"], caller_id=CALLER).body
    full = publisher.full(caller_id=CALLER).body
    assert [body["status"] for body in (ping, sale, full)] == ["accepted"] * 3


def test_an_endpoint_chooses_what_publishers_see_of_a_buyer(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(buyer_columns=("name", "price", "tier", "ping_id")))
    for verb in ("ping", "full"):
        rows = publisher.send(verb, json_body={"caller_id": CALLER}).body["buyers"]
        assert [list(row) for row in rows] == [["name", "price", "tier", "ping_id"]] * 2


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_endpoint_that_does_not_exist_is_unknown(publisher: Publisher, verb: str, method: str) -> None:
    answer = publisher.send(verb, "nowhere", method=method)
    assert (answer.code, answer.body["status"]) == (404, "unknown_endpoint")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_a_preflight_is_answered_for_an_endpoint_that_needs_a_token(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    stage.publish(an_endpoint(require_auth_token=True, allowed_origins=("https://forms.example.com",)))
    answer = publisher.send(verb, method="OPTIONS")
    assert (answer.code, answer.text) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://forms.example.com"


def test_a_whole_lead_of_8_kb_in_the_query_and_64_kb_in_the_body_is_read(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    in_query, in_body = "q" * (8 * 1024 - 2), "b" * (64 * 1024 - 8)
    answer = publisher.send("ping", query=f"a={in_query}", body=f'{{"b":"{in_body}"}}'.encode())
    assert answer.body["success"]
    assert answer.body["warnings"].keys() == {"a", "b"}


def test_a_ping_is_stored_with_all_that_replays_it(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(version=7))
    ping = stage.kept(publisher.ping(zip="30340").body["try_all_buyers_ping_id"]).ping
    assert ping
    assert (ping.version, ping.created_at, ping.expires_at) == (7, START, START + 120)
    assert [bid.buyer_id for bid in ping.bids] == [buyer.id for buyer in BUYERS]
