"""Who sends this: tokens, whose traffic sources and whose pings."""

import base64
from typing import Any

import pytest

from shared.domain.models import User
from tests.build import CALLER, Answer, Counting, Publisher, Stage, an_endpoint

TOKEN, OTHER_TOKEN, WRONG = "acme-s3cret", "bolt-s3cret", "wr0ng"
USERS = (
    User("acme", "publisher", ("1023", "IW7834")),
    User("bolt", "publisher"),
    User("olga", "operator"),
    User("vera", "viewer"),
)


def basic(credentials: str) -> dict[str, Any]:
    return {"headers": {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}}


def places(token: str) -> list[dict[str, Any]]:
    """Everywhere that a token may be."""
    return [
        {"query": f"auth_token={token}"},
        {"query": f"Auth_Token={token}"},
        {"json_body": {"auth_token": token, "caller_id": CALLER}},
        {"form": {"auth_token": token, "caller_id": CALLER}},
        {"headers": {"Authorization": f"Token {token}"}},
        {"headers": {"authorization": f"token {token}"}},
        basic(f"{token}:"),
        basic(f"{token}:x"),
        basic(f":{token}"),
        basic(f"acme:{token}"),
    ]


@pytest.fixture(autouse=True)
def _an_endpoint_with_a_token(stage: Stage) -> None:
    stage.publish(an_endpoint(require_auth_token=True, users=USERS, fields=()))
    for token, user in {TOKEN: "acme", OTHER_TOKEN: "bolt", "olga's": "olga", "vera's": "vera", "gone": "gone"}.items():
        stage.give_token(token, user)


def pinged(publisher: Publisher, token: str = TOKEN) -> str:
    return str(publisher.ping(auth_token=token).body["try_all_buyers_ping_id"])


def calls(stage: Stage, publisher: Publisher, verb: str, sent: dict[str, Any]) -> tuple[Answer, int]:
    """An answer, and how often the store was called for it."""
    dynamo = Counting(stage.client, stage.settings)
    return publisher.send(verb, world=stage.world_over(dynamo), **sent), dynamo.calls


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("sent", places(TOKEN), ids=str)
def test_a_token_opens_the_endpoint_wherever_it_is(publisher: Publisher, verb: str, sent: dict[str, Any]) -> None:
    assert publisher.send(verb, **sent).body["success"] is True


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_an_absent_and_a_wrong_token_get_the_same_answer_for_the_same_work(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    publisher.ping(auth_token=TOKEN)
    before = stage.contents()
    refused = [calls(stage, publisher, verb, sent) for sent in ({}, *places(WRONG), *places(""), *places("é"))]
    answer, work = refused[0]
    assert refused == [(answer, work)] * len(refused)
    assert (answer.code, answer.text) == (
        401,
        '{"success":false,"status":"unauthorized","errors":["A valid auth_token is required."],"buyers":[]}',
    )
    assert stage.contents() == before


@pytest.mark.parametrize("token", ["vera's", "gone", TOKEN.upper(), TOKEN + " x", TOKEN[:-1]])
def test_a_token_that_may_not_send_leads_is_wrong(publisher: Publisher, token: str) -> None:
    assert publisher.ping(auth_token=token).code == 401


def test_an_operator_may_send_leads(publisher: Publisher) -> None:
    assert publisher.ping(auth_token="olga's").body["success"]


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("lead", [{}, {"zip": "x"}, {"ping_id": "x"}])
def test_a_token_is_asked_for_before_anything_of_the_lead(
    stage: Stage, publisher: Publisher, verb: str, lead: dict[str, str]
) -> None:
    stage.publish(an_endpoint(vanity_uri="other", require_auth_token=True, require_caller_id=True))
    assert publisher.send(verb, "other", json_body=lead).code == 401


@pytest.mark.parametrize(
    ("sent", "code"),
    [({"uri": "nowhere"}, 404), ({"body": b"[]"}, 400), ({"query": "x" * 8193}, 413), ({"method": "PUT"}, 405)],
)
def test_what_cannot_be_read_is_told_to_everybody(publisher: Publisher, sent: dict[str, Any], code: int) -> None:
    assert publisher.send("ping", **sent).code == code


def test_the_lead_records_who_sent_it_and_not_the_token(stage: Stage, publisher: Publisher) -> None:
    ping = stage.kept(pinged(publisher)).ping
    assert ping
    assert (ping.user, ping.lead) == ("acme", {})
    assert TOKEN not in repr(stage.contents())


def test_without_need_of_a_token_a_right_one_is_recorded_and_a_wrong_one_is_not(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(vanity_uri="open", users=USERS))
    for token, user in ((TOKEN, "acme"), (WRONG, ""), ("", "")):
        ping = stage.kept(publisher.ping("open", auth_token=token).body["try_all_buyers_ping_id"], "open").ping
        assert ping
        assert ping.user == user


# Traffic sources


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("source", ["1023", "IW7834", 1023, "", None])
def test_a_user_names_its_traffic_sources_or_none(publisher: Publisher, verb: str, source: str | int | None) -> None:
    sent = {"auth_token": TOKEN, "traffic_source_id": source, "caller_id": CALLER}
    assert publisher.send(verb, json_body=sent).body["success"] is True


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("source", ["1024", "iw7834", "1023,IW7834", "0"])
def test_a_traffic_source_that_is_not_the_users_is_a_bad_field(publisher: Publisher, verb: str, source: str) -> None:
    answer = publisher.send(verb, json_body={"auth_token": TOKEN, "traffic_source_id": source, "caller_id": CALLER})
    assert (answer.code, answer.body["errors"]) == (
        422,
        {"traffic_source_id": ["traffic_source_id must be one of your traffic sources."]},
    )


def test_a_traffic_source_that_comes_with_the_post_is_checked_too(publisher: Publisher) -> None:
    ping = pinged(publisher)
    assert publisher.post(auth_token=TOKEN, ping_id=ping, traffic_source_id="1024").code == 422
    assert publisher.post(auth_token=TOKEN, ping_id=ping, traffic_source_id="1023").body["success"]


def test_a_user_without_traffic_sources_may_name_any(publisher: Publisher) -> None:
    assert publisher.ping(auth_token=OTHER_TOKEN, traffic_source_id="1023").body["success"]


# Whose ping


def test_the_ping_of_another_publisher_is_unknown_and_stays_as_it_was(stage: Stage, publisher: Publisher) -> None:
    ping = pinged(publisher)
    before = stage.contents()
    answer = publisher.post(auth_token=OTHER_TOKEN, ping_id=ping, caller_id=CALLER)
    assert (answer.code, answer.body["status"]) == (200, "ping_id_unknown")
    assert stage.contents() == before
    assert publisher.post(auth_token=TOKEN, ping_id=ping, caller_id=CALLER).body["success"]


def test_the_expired_ping_of_another_publisher_is_unknown(stage: Stage, publisher: Publisher) -> None:
    ping = pinged(publisher)
    stage.clock.forward(120)
    assert publisher.post(auth_token=TOKEN, ping_id=ping).body["status"] == "ping_id_expired"
    assert publisher.post(auth_token=OTHER_TOKEN, ping_id=ping).body["status"] == "ping_id_unknown"


def test_the_sold_ping_of_another_publisher_is_unknown(stage: Stage, publisher: Publisher) -> None:
    ping = pinged(publisher)
    sale = publisher.post(auth_token=TOKEN, ping_id=ping, caller_id=CALLER)
    after = stage.contents()
    answer = publisher.post(auth_token=OTHER_TOKEN, ping_id=ping, caller_id=CALLER)
    assert answer.body["status"] == "ping_id_unknown"
    assert sale.body["trackdrive_number"] not in answer.text
    assert stage.contents() == after


def test_a_ping_may_be_sold_with_another_token_of_its_user(stage: Stage, publisher: Publisher) -> None:
    stage.give_token("acme's second", "acme")
    ping = pinged(publisher)
    assert publisher.post(auth_token="acme's second", ping_id=ping, caller_id=CALLER).body["success"]
