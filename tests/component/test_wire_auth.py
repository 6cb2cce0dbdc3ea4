"""Who sends this: tokens, whose traffic sources and whose pings."""

import base64
from typing import Any

import pytest

from shared.domain.keys import token_hash
from shared.domain.models import SOURCE_LETTERS, Field, User
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from tests.build import CALLER, CONTACT_FIELDS, START, Answer, Counting, Publisher, Stage, a_buyer, an_endpoint

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


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_a_wrong_token_is_refused_where_none_is_needed_too(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(vanity_uri="open", users=USERS))
    for sent in (*places(WRONG), *places("gone"), basic(f"{WRONG}:{WRONG}")):
        assert publisher.send(verb, "open", **sent).body["status"] == "unauthorized", sent
    for sent in ({"auth_token": ""}, {"auth_token": "null"}, {}):
        assert publisher.send(verb, "open", json_body={"caller_id": CALLER, **sent}).body["success"], sent


def test_without_need_of_a_token_a_right_one_is_recorded(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(vanity_uri="open", users=USERS))
    for token, user in ((TOKEN, "acme"), ("", "")):
        ping = stage.kept(publisher.ping("open", auth_token=token).body["try_all_buyers_ping_id"], "open").ping
        assert ping
        assert ping.user == user


# Scopes, ends and last uses


@pytest.mark.parametrize("uri", ["my_endpoint", "open"])
@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize(("scope", "code"), [("", 200), ("post", 200), ("operate", 200), ("read", 401)])
def test_a_token_for_reading_sends_no_leads(
    stage: Stage, publisher: Publisher, verb: str, uri: str, scope: str, code: int
) -> None:
    stage.publish(an_endpoint(vanity_uri="open", users=USERS))
    stage.give_token("scoped", "acme", scope)
    sent = {"auth_token": "scoped", "caller_id": CALLER}
    assert [publisher.send(verb, uri, json_body=sent).code for _ in range(2)] == [code, code]


def test_a_token_of_another_scope_gets_the_answer_of_a_wrong_one_for_the_same_work(
    stage: Stage, publisher: Publisher
) -> None:
    stage.give_token("scoped", "acme", "read")
    publisher.ping(auth_token=TOKEN)
    wrong, *others = (calls(stage, publisher, "ping", places(token)[0]) for token in (WRONG, "scoped", "scoped"))
    assert others == [wrong, wrong]


def test_the_token_of_a_page_makes_a_publisher_of_an_operator(stage: Stage, publisher: Publisher) -> None:
    stage.give_token("in a page", "olga", "post")
    buyers = (a_buyer(), a_buyer(id=2, paused=True))
    stage.publish(an_endpoint(version=2, require_auth_token=True, users=USERS, buyers=buyers))
    stage.clock.forward(10)
    for verb in ("ping", "full"):
        sent = {"explain": "1", "caller_id": CALLER}
        assert "explain" in publisher.send(verb, json_body=sent | {"auth_token": "olga's"}).body
        answer = publisher.send(verb, json_body=sent | {"auth_token": "in a page"})
        assert (answer.body["success"], "explain" in answer.body) == (True, False)


def test_the_token_of_a_page_sends_no_leads_of_a_viewer(stage: Stage, publisher: Publisher) -> None:
    stage.give_token("in a page", "vera", "post")
    assert publisher.ping(auth_token="in a page").code == 401


def test_a_token_ends_to_the_second_though_it_was_just_used(stage: Stage, publisher: Publisher) -> None:
    stage.give_token("for a while", "acme", "post", expires_at=START + 30)
    stage.clock.forward(29)
    publisher.ping(auth_token=TOKEN)
    wrong = calls(stage, publisher, "ping", places(WRONG)[0])
    assert publisher.ping(auth_token="for a while").body["success"]
    stage.clock.forward(1)
    assert [calls(stage, publisher, "ping", places("for a while")[0]) for _ in range(2)] == [wrong, wrong]


def test_the_hour_of_the_last_use_is_noted_once_by_a_process(stage: Stage, publisher: Publisher) -> None:
    id_ = token_hash(stage.keys, TOKEN)[:8]

    def last_use() -> int | None:
        return Callers(Dynamo(stage.client, stage.settings), stage.keys).last_uses([id_]).get(id_)

    assert last_use() is None
    _, first = calls(stage, publisher, "ping", places(TOKEN)[0])
    assert last_use() == START
    _, second = calls(stage, publisher, "ping", places(TOKEN)[0])
    assert (first, second) == (5, 1)  # the endpoint's two, the token's look-up, its note, the ping; then the ping
    stage.clock.forward(3600 + 59)
    assert publisher.full(auth_token=TOKEN, caller_id=CALLER).body["success"]
    assert last_use() == START + 3600
    earlier = Callers(Dynamo(stage.client, stage.settings), stage.keys)  # of a process that was slow
    earlier.note_token_use(id_, START + 59)
    for note in earlier.due_writes():
        note()
    assert last_use() == START + 3600


def test_a_use_that_cannot_be_noted_stops_no_sale(stage: Stage, publisher: Publisher) -> None:
    class Refusing(Dynamo):
        def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
            if request.get("TableName") == stage.settings.callers_table:
                raise TemporarilyUnavailable
            return super().send(method, sendings, *args, **request)

    world = stage.world_over(Refusing(stage.client, stage.settings))
    assert publisher.send("full", world=world, json_body={"auth_token": TOKEN, "caller_id": CALLER}).body["success"]
    assert not stage.memory.noted


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


ANOTHER_USERS = ["traffic_source_id belongs to another user."]
A_USERS = ["traffic_source_id belongs to a user: send its auth_token, too."]


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_a_user_without_traffic_sources_may_name_any_but_another_users(publisher: Publisher, verb: str) -> None:
    sent = {"auth_token": OTHER_TOKEN, "caller_id": CALLER}
    assert publisher.send(verb, json_body=sent | {"traffic_source_id": "2046"}).body["success"]
    answer = publisher.send(verb, json_body=sent | {"traffic_source_id": "1023"})
    assert (answer.code, answer.body["errors"]) == (422, {"traffic_source_id": ANOTHER_USERS})


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_nobody_claims_a_users_traffic_source_without_its_token(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(vanity_uri="open", users=USERS))
    answer = publisher.send(verb, "open", json_body={"caller_id": CALLER, "Traffic_Source_ID": "IW7834"})
    assert (answer.code, answer.body["errors"]) == (422, {"traffic_source_id": A_USERS})
    for sent in ({"traffic_source_id": "2046"}, {}, {"traffic_source_id": "1023", "auth_token": TOKEN}):
        assert publisher.send(verb, "open", json_body={"caller_id": CALLER, **sent}).body["success"]


def test_a_traffic_source_that_is_cut_in_counts_and_log_is_claimed_by_nobody(
    stage: Stage, publisher: Publisher
) -> None:
    long = "s" * SOURCE_LETTERS
    stage.publish(an_endpoint(vanity_uri="open", users=(User("acme", "publisher", (f"{long}-one",)),)))
    assert publisher.ping("open", traffic_source_id=f"{long}-two").code == 422
    assert publisher.ping("open", traffic_source_id=long[1:]).body["success"]


def test_a_traffic_source_that_comes_with_the_post_is_claimed_by_nobody(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(vanity_uri="open", users=USERS))
    ping = publisher.ping("open").body["try_all_buyers_ping_id"]
    assert publisher.post("open", ping_id=ping, caller_id=CALLER, traffic_source_id="1023").code == 422
    assert publisher.post("open", ping_id=ping, caller_id=CALLER).body["success"]


def test_the_post_of_a_users_ping_may_leave_its_token_out(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(vanity_uri="open", users=USERS))
    ping = publisher.ping("open", auth_token=TOKEN, traffic_source_id="1023").body["try_all_buyers_ping_id"]
    assert publisher.post("open", ping_id=ping, caller_id=CALLER, traffic_source_id="1024").body["success"]


def test_a_traffic_source_that_the_offer_gives_is_no_claim(stage: Stage, publisher: Publisher) -> None:
    fields = (*CONTACT_FIELDS[:2], Field(name="traffic_source_id", default="1023"))
    stage.publish(an_endpoint(vanity_uri="open", users=USERS, fields=fields))
    ping = publisher.ping("open").body["try_all_buyers_ping_id"]
    assert publisher.post("open", ping_id=ping, caller_id=CALLER).body["success"]


def test_a_static_number_says_whose_it_is_where_no_token_does(stage: Stage, publisher: Publisher) -> None:
    numbers = {"+18005550170": "1023", "+18005550171": "2046"}
    stage.publish(an_endpoint(vanity_uri="open", users=USERS, static_numbers=numbers))
    for sent in ({}, {"traffic_source_id": "1023"}, {"auth_token": TOKEN}, {"auth_token": "olga's"}):
        ping = publisher.ping("open", trackdrive_number="+18005550170", **sent).body["try_all_buyers_ping_id"]
        assert publisher.post("open", ping_id=ping, caller_id=CALLER, **sent).code == 200
    answer = publisher.ping("open", trackdrive_number="+18005550170", auth_token=OTHER_TOKEN)
    assert (answer.code, answer.body["errors"]) == (422, {"traffic_source_id": ANOTHER_USERS})
    assert publisher.ping("open", trackdrive_number="+18005550171", auth_token=OTHER_TOKEN).body["success"]


def test_an_operator_may_name_any_traffic_source(stage: Stage, publisher: Publisher) -> None:
    stage.give_token("in a page", "olga", "post")
    assert publisher.ping(auth_token="olga's", traffic_source_id="1023").body["success"]
    assert publisher.ping(auth_token="in a page", traffic_source_id="1023").code == 422


# Whose ping


def test_the_ping_of_another_publisher_is_unknown_and_stays_as_it_was(stage: Stage, publisher: Publisher) -> None:
    ping = pinged(publisher)
    before = stage.kept(ping)
    answer = publisher.post(auth_token=OTHER_TOKEN, ping_id=ping, caller_id=CALLER)
    assert (answer.code, answer.body["status"]) == (200, "ping_id_unknown")
    assert stage.kept(ping) == before
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
