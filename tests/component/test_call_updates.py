"""What buyers' systems and operators say of a call, in every form that was seen, and what may not be said."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from functions.api import call_updates
from shared.domain import keys
from shared.domain.models import DAY
from shared.domain.updates import MOST_UPDATES
from shared.operators.original_calls import COLUMNS
from shared.store.dynamo import Dynamo
from tests.build import CALLER, REQUEST_ID, Answer, Publisher, Stage, an_event
from tests.configurations import a_buyer, a_contact_field, a_user, an_endpoint, an_offer
from tests.office import USERS, Operator, as_user, opened, records
from tests.phone import Phone

CONFIGURED: dict[str, Any] = {
    "users": [*USERS, a_user(name="bea", role="buyer", traffic_sources=[], buyers=[1]),
              a_user(name="bob", role="buyer", traffic_sources=[], buyers=[2])],
    "providers": [{"name": "main", "kind": "local", "account": "AC1", "token": "{secret.local}"}],
}  # fmt: skip
FIELDS = [
    a_contact_field(name="caller_id", type="phone", required_on=["post"]),
    a_contact_field(name="sub_id", type="text"),
]
SAYS = {"on": "buyer_says", "within_days": 7, "min": 5.0, "max": 80.0}


@pytest.fixture
def stage(fast_stage: Stage) -> Stage:
    return fast_stage


def open_market(stage: Stage, **of_buyer: Any) -> None:
    other = a_buyer(id=2, name="Buyer B", bid="20.00", number="+18005550182")
    opened(
        stage,
        offers=[an_offer(contact_fields=FIELDS, buyers=[a_buyer(**of_buyer), other])],
        endpoints=[an_endpoint(calls={"provider": "main"})],
        **CONFIGURED,
    )
    records(stage).tokens.issue("acme-media", "a test", "of acme-media")


@dataclass
class Client:
    """Whoever calls the compatible addresses with a token."""

    stage: Stage
    token: str = ""

    def ask(self, method: str, path: str, **sent: Any) -> Answer:
        headers = {"Authorization": f"Token {self.token}"} if self.token else {}
        sent["headers"] = headers | sent.get("headers", {})
        event = an_event(method=method, path=f"/api/v1{path}", **sent)
        operator = Operator(self.stage, "")
        dynamo = Dynamo(self.stage.client, self.stage.settings)
        found = call_updates.serve(event, REQUEST_ID, lambda: operator.office(dynamo), self.stage.telephony)
        assert found is not None, path
        self.stage.bring_stream()
        return Answer(found["statusCode"], found["headers"], found["body"])

    def say(self, phone: Phone, code: int = 200, **said: Any) -> dict[str, Any]:
        answer = self.ask("POST", f"/calls/update_call/{uuid_of(phone)}", json_body=said)
        assert answer.code == code, answer.text
        return answer.body


def client(stage: Stage, user: str, **token: Any) -> Client:
    return Client(stage, records(stage).tokens.issue(user, "a test", **token)[1])


def uuid_of(phone: Phone) -> str:
    return keys.uuid(phone.stage.keys, "call", phone.call_id)


def connect(publisher: Publisher, caller: str = CALLER, **sent: Any) -> Phone:
    sold = publisher.full(caller_id=caller, **sent)
    assert sold.code == 200, sold.body
    phone = Phone(publisher.stage, sold.body["forwarding_number"], caller)
    phone.rings()
    phone.leg_answers()
    return phone


def talk(publisher: Publisher, caller: str = CALLER, **sent: Any) -> Phone:
    """A call of 95 seconds with buyer A, for which it owes 25 dollars, unless it has to say so."""
    phone = connect(publisher, caller, **sent)
    publisher.stage.clock.forward(95)
    phone.dial_ends("completed", 1, 95)
    return phone


def worth(phone: Phone) -> tuple[bool, int, int]:
    stored = phone.stored
    assert stored is not None
    return stored.worth.converted, stored.worth.revenue_cents, stored.worth.payout_cents


def sums(stage: Stage) -> tuple[int, int]:
    total = as_user(stage, "olga").get("/reports", "range=today")["total"]
    return total["revenue_cents"], total["payout_cents"]


@pytest.fixture
def sold(stage: Stage, publisher: Publisher) -> Phone:
    open_market(stage, pays=SAYS)
    return talk(publisher, auth_token="of acme-media", traffic_source_id="1023", sub_id="click-77")


YES = {"buyer_converted": "1", "revenue": "45.00", "policy": "77"}
FORMS: dict[str, dict[str, Any]] = {
    "json": {"json_body": {"buyer_converted": True, "revenue": 45, "policy": 77}},
    "json of texts": {"json_body": YES},
    "nested json": {"json_body": {"call": {"buyer_converted": 1, "revenue": 45.0, "policy": "77"}}},
    "form": {"form": YES},
    "nested form": {"form": {f"call[{name}]": text for name, text in YES.items()}},
    "json in a form": {"form": {"call": json.dumps(YES)}},
    "query": {"query": urlencode(YES)},
    "nested query": {"query": urlencode({f"call[{name}]": text for name, text in YES.items()})},
    "json without a type": {"body": json.dumps(YES).encode(), "headers": {"content-type": "text/plain"}},
    "tokens": {"json_body": {"buyer_converted": "yes", "revenue": "$45", "post_call_tokens": {"policy": "77"}}},
    "nested tokens": {"form": {"buyer_converted": "on", "revenue": "45.", "call[post_call_tokens][policy]": "77"}},
    "tokens as text": {"form": {"buyer_converted": "TRUE", "revenue": "45", "post_call_tokens": '{"policy": 77}'}},
}  # fmt: skip


def test_a_call_is_updated_in_every_form(sold: Phone, stage: Stage) -> None:
    olga = client(stage, "olga")
    ways = [("POST", "/calls/update_call/{}"), ("PUT", "/calls/{}"), ("GET", "/calls/{}"),
            ("GET", "/calls/update_call/{}"), ("PUT", "/calls/update_call/{}.json")]  # fmt: skip
    for form, sent in FORMS.items():
        for method, path in ways:
            if method == "GET" and "query" not in sent:
                continue
            olga.say(sold, buyer_converted=0, policy="none yet")
            answer = olga.ask(method, path.format(uuid_of(sold)), **sent)
            assert answer.code == 200, (form, method, answer.text)
            body = answer.body
            call = body.pop("call")
            assert body == {"status": 200, "success": True, "errors": {}, "metadata": {"root": "call"}}
            assert [*call] == [*COLUMNS]
            assert (call["uuid"], call["buyer_converted"], call["revenue"]) == (uuid_of(sold), "Converted", "45.00")
            assert call["token_values"] == {"policy": "77"}, form
            assert worth(sold) == (True, 4500, 2500)
            forget_updates(stage, sold)


def test_yes_and_no_are_said_in_many_words(sold: Phone, stage: Stage) -> None:
    olga = client(stage, "olga")
    words = {True: ("1", "true", "yes", "on", "True", "YES"), False: ("0", "false", "no", "off", "False")}
    for converted, texts in words.items():
        for text in texts:
            olga.say(sold, buyer_converted=not converted)
            olga.ask("POST", f"/calls/{uuid_of(sold)}", form={"buyer_converted": text})
            assert worth(sold)[0] == converted, text


def forget_updates(stage: Stage, phone: Phone) -> None:
    """As if nothing had been said: a call has few updates."""
    key = {"call_id": {"B": phone.call_id}}
    stage.client.update_item(
        TableName=stage.settings.calls_table, Key=key, UpdateExpression="REMOVE updates, updated, booked"
    )


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


TOKENS: list[Callable[[str], dict[str, Any]]] = [
    lambda token: {"headers": basic(token, "")},
    lambda token: {"headers": basic("olga", token)},
    lambda token: {"headers": {"Authorization": f"Token {token}"}},
    lambda token: {"headers": {"Authorization": f"Bearer {token}"}},
    lambda token: {"headers": {"Authorization": f'Token token="{token}"'}},
    lambda token: {"headers": {"Authorization": f"token token={token}, nonce=x"}},
    lambda token: {"query": f"auth_token={token}"},
    lambda token: {"json_body": {"auth_token": token, "buyer_converted": "1"}},
]


def test_a_token_comes_in_every_form(sold: Phone, stage: Stage) -> None:
    token = client(stage, "olga").token
    for sent in TOKENS:
        request = {"json_body": {"buyer_converted": 1}} | sent(token)
        answer = Client(stage).ask("POST", f"/calls/update_call/{uuid_of(sold)}", **request)
        assert answer.code == 200, answer.text
        stored = sold.stored
        assert stored is not None
        assert (stored.updates[0].buyer_converted, stored.updates[0].fields) == (True, {})
        forget_updates(stage, sold)


def test_the_latest_call_of_a_caller_is_updated(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays=SAYS)
    first = talk(publisher)
    stage.clock.forward(600)
    second = talk(publisher)
    stage.bring_stream()
    answer = client(stage, "bea").ask("POST", "/calls/update_by_caller_id/%2B16145550123", form={"revenue": "9"})
    assert answer.code == 200, answer.text
    assert (answer.body["call"]["uuid"], answer.body["call"]["revenue"]) == (uuid_of(second), "9.00")
    assert worth(first) == (False, 0, 0)
    for who, caller, code in (("bob", "6145550123", 404), ("olga", "6145550199", 404), ("olga", "x", 422)):
        answer = client(stage, who).ask("POST", f"/calls/update_by_caller_id/{caller}", form={"revenue": "9"})
        assert answer.code == code, answer.text


def test_a_secure_address_is_for_one_call_and_its_buyer(sold: Phone, stage: Stage, publisher: Publisher) -> None:
    nobody, other = Client(stage), talk(publisher, "+16145550177")
    address = as_user(stage, "olga").get(f"/call_log/{uuid_of(sold)}")["update_address"]
    assert address == f"/api/v1/secure/{keys.update_key(stage.keys, sold.call_id, 1)}/calls/{uuid_of(sold)}"
    assert as_user(stage, "vera").get(f"/call_log/{uuid_of(sold)}")["update_address"] == ""
    key = keys.update_key(stage.keys, sold.call_id, 1)
    assert len(key) == 40
    answer = nobody.ask("PUT", f"/secure/{key}/calls/{uuid_of(sold)}", json_body={"revenue": "12.50"})
    assert (answer.code, answer.body["call"]["revenue"]) == (200, "12.50")
    stored = sold.stored
    assert stored is not None
    assert stored.updates[0].by == "buyer 1"
    of_b = keys.update_key(stage.keys, sold.call_id, 2)
    for path in (f"/secure/{key}/calls/{uuid_of(other)}", f"/secure/{of_b}/calls/{uuid_of(sold)}",
                 f"/secure/{key[:-1]}/calls/{uuid_of(sold)}"):  # fmt: skip
        assert nobody.ask("PUT", path, json_body={"revenue": "13"}).code == 401
    assert nobody.ask("PUT", f"/secure/{key}/calls/{uuid_of(sold)}", json_body={"payout": "13"}).code == 403
    assert worth(sold)[1] == 1250


WRONG = {
    "-5": "must not be below 0", "1e308": "must not be above 1,000,000", "NaN": "must be an amount like 45.00",
    "Infinity": "must be an amount like 45.00", "1e999": "must not be above 1,000,000",
    "4.99": "It must be at least 5.00.", "80.01": "It must be at most 80.00.", "x": "must be an amount like 45.00",
    "1000000.01": "must not be above 1,000,000", "😀": "must be an amount like 45.00",
}  # fmt: skip


def test_a_wrong_amount_is_refused_by_field_and_nothing_is_done(sold: Phone, stage: Stage) -> None:
    olga = client(stage, "olga")
    for amount, sentence in WRONG.items():
        values = {"revenue": amount, "payout": "3", "policy": "7"}
        raw = f'{{"revenue": {amount}, "payout": 3, "policy": "7"}}'.encode()
        forms: list[dict[str, Any]] = [{"form": values}, {"json_body": values}, {"body": raw}]
        for sent in forms if amount not in ("x", "😀") else forms[:2]:
            answer = olga.ask("POST", f"/calls/{uuid_of(sold)}", **sent)
            assert (answer.code, answer.body["success"]) == (422, False), amount
            assert answer.body["errors"] == {"revenue": [sentence]}
    stored = sold.stored
    assert stored is not None
    assert stored.updates == ()


TOO_MUCH: dict[str, tuple[dict[str, Any], int]] = {
    "10,000 fields": ({"form": {f"f{n}": "1" for n in range(10_000)}}, 413),
    "10,000 fields of json": ({"json_body": {f"f{n}": "1" for n in range(10_000)}}, 413),
    "501 fields": ({"form": {f"f{n}": "1" for n in range(501)}}, 400),
    "1 MB": ({"body": b"revenue=45&a=" + b"x" * 1_000_000}, 413),
    "a long query": ({"query": "revenue=45&a=" + "x" * 9000}, 413),
    "a list": ({"body": b"[1]"}, 400),
    "half of a json": ({"body": b'{"revenue": 45'}, 400),
    "nothing but empty values": ({"form": {"revenue": "", "buyer_converted": "null"}}, 200),
}  # fmt: skip


def test_what_is_too_much_or_no_request_does_nothing(sold: Phone, stage: Stage) -> None:
    olga = client(stage, "olga")
    for what, (sent, code) in TOO_MUCH.items():
        answer = olga.ask("POST", f"/calls/{uuid_of(sold)}", **sent)
        assert (answer.code, answer.body["success"]) == (code, code == 200), what
    assert olga.ask("GET", f"/calls/{uuid_of(sold)}", query="columns=uuid&per_page=1").code == 200
    stored = sold.stored
    assert stored is not None
    assert stored.updates == ()


def test_everything_that_is_wrong_is_named_at_once(sold: Phone, stage: Stage) -> None:
    olga = client(stage, "olga")
    body = olga.say(
        sold, 422, buyer_converted="maybe", revenue="-1", add_payout="lots", offer_converted=[1], payout={"a": 1}
    )
    assert sorted(body["errors"]) == ["add_payout", "buyer_converted", "offer_converted", "payout", "revenue"]
    answer = olga.ask("POST", f"/calls/{uuid_of(sold)}", form={"revenue[]": "45", "call[buyer_converted][x]": "1"})
    assert (answer.code, sorted(answer.body["errors"])) == (422, ["buyer_converted", "revenue"])


def test_who_may_not_is_told_so(sold: Phone, stage: Stage) -> None:
    said = {"json_body": {"buyer_converted": 1}}
    path, forged = (
        f"/calls/update_call/{uuid_of(sold)}",
        uuid_of(sold)[:-1] + ("0" if uuid_of(sold)[-1] != "0" else "1"),
    )
    assert Client(stage).ask("POST", path, **said).code == 401
    assert Client(stage, "wrong").ask("POST", path, **said).code == 401
    for name in ("vera", "acme-media"):
        assert client(stage, name, scope="read").ask("POST", path, **said).code == 403
    assert client(stage, "acme-media").ask("POST", path, **said).code == 403
    assert client(stage, "olga", scope="read").ask("POST", path, **said).code == 403
    assert client(stage, "bea", scope="read").ask("POST", path, **said).code == 403
    assert client(stage, "bob").ask("POST", path, **said).code == 404
    assert client(stage, "olga").ask("POST", f"/calls/update_call/{forged}", **said).code == 404
    assert client(stage, "olga").ask("POST", f"/calls/update_call/{sold.call_id.hex()}", **said).code == 404
    assert client(stage, "olga").ask("DELETE", path).code == 405
    assert client(stage, "olga").ask("POST", path, body=b"{").code == 400
    for name in ("payout", "offer_converted", "add_payout", "add_revenue"):
        assert client(stage, "bea").ask("POST", path, json_body={name: "1"}).code == 403
    assert worth(sold) == (False, 0, 0)


def test_a_buyer_says_its_word_within_its_days(sold: Phone, stage: Stage) -> None:
    bea = client(stage, "bea")
    assert bea.say(sold, buyer_converted="yes", revenue="30", lead_score=9)["call"]["revenue"] == "30.00"
    stage.clock.forward(7 * DAY - 100)
    assert worth(sold) == (True, 3000, 2500)
    bea.say(sold, buyer_converted="no")
    assert worth(sold) == (False, 0, 0)
    stage.clock.forward(100)
    late = bea.say(sold, 422, buyer_converted="yes")
    assert late["errors"] == {"buyer_converted": ["The 7 days in which you can say this are over."]}
    bea.say(sold, note="still kept")
    client(stage, "olga").say(sold, buyer_converted="yes")
    assert worth(sold) == (True, 2500, 2500)


def test_a_buyer_that_owes_for_every_answered_call_cannot_take_that_back(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays={"on": "answered"})
    bea, phone, running = client(stage, "bea"), talk(publisher), connect(publisher, "+16145550177")
    for said in ({"buyer_converted": 0}, {"revenue": 24}, {"revenue": 0}):
        for each in (phone, running):
            body = bea.say(each, 422, **said)
            assert [*body["errors"].values()] == [
                ["What you owe for this call can be taken back by your operator only."]
            ]
    bea.say(phone, revenue=26)
    assert worth(phone) == (True, 2600, 2500)
    client(stage, "olga").say(phone, buyer_converted=0)
    assert worth(phone) == (False, 0, 0)


def test_an_operator_changes_both_sides_apart(sold: Phone, stage: Stage) -> None:
    olga = client(stage, "olga")
    olga.say(sold, offer_converted=1)
    assert worth(sold) == (False, 0, 2500)
    olga.say(sold, payout=10, revenue=20)
    assert worth(sold) == (True, 2000, 1000)
    olga.say(sold, add_revenue="5.50", add_payout="-2")
    assert worth(sold) == (True, 2550, 800)
    assert olga.say(sold, 422, add_payout="-8.01")["errors"] == {
        "add_payout": ["More would be taken back than is owed."]
    }
    assert olga.say(sold, 422, buyer_converted=0, revenue=7)["errors"] == {
        "revenue": ["It must be 0 where the call did not convert."]
    }
    assert sums(stage) == (2550, 800)


def test_an_update_without_an_effect_is_not_written_and_a_known_key_changes_nothing(sold: Phone, stage: Stage) -> None:
    olga, path = client(stage, "olga"), f"/calls/{uuid_of(sold)}"
    once = {"headers": {"Idempotency-Key": "k1"}}
    for _ in range(2):
        assert olga.ask("POST", path, json_body={"add_revenue": 10}, **once).code == 200
    assert worth(sold)[1] == 1000
    assert olga.ask("POST", path, json_body={"revenue": 70}, **once).body["call"]["revenue"] == "10.00"
    for _ in range(3):
        olga.say(sold, revenue=30)
        olga.say(sold, policy="7")
    stored = sold.stored
    assert stored is not None
    assert len(stored.updates) == 3


def test_a_call_has_at_most_fifty_updates(sold: Phone, stage: Stage) -> None:
    olga = client(stage, "olga")
    for n in range(MOST_UPDATES):
        olga.say(sold, revenue=6 + n)
    body = olga.say(sold, 422, revenue=70)
    assert [*body["errors"]] == ["base"]
    assert worth(sold)[1] == 100 * (5 + MOST_UPDATES)


def test_unknown_fields_are_kept_as_far_as_they_have_room(sold: Phone, stage: Stage) -> None:
    fields: dict[str, Any] = {f"field_{n}": "x" * 600 for n in range(45)}
    call = client(stage, "bea").say(sold, **fields)["call"]
    assert 0 < len(call["token_values"]) < 45
    assert {len(text) for text in call["token_values"].values()} == {500}
    of_operator = client(stage, "olga").say(sold, a="1")["call"]["token_values"]
    assert "field_0" in of_operator
    shown = client(stage, "bea").ask("GET", f"/calls/{uuid_of(sold)}").body["call"]["token_values"]
    assert "a" not in shown


def test_a_call_that_nobody_took_is_worth_nothing(stage: Stage, publisher: Publisher) -> None:
    open_market(stage)
    sold = publisher.full(caller_id=CALLER)
    phone = Phone(stage, sold.body["forwarding_number"])
    phone.rings()
    phone.dial_ends("busy")
    phone.dial_ends("busy", 2)
    body = client(stage, "olga").say(phone, 422, revenue=5)
    assert body["errors"] == {"revenue": ["No buyer took this call."]}
    client(stage, "olga").say(phone, note="kept")


def test_of_two_calls_of_a_sale_one_is_paid(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays={"on": "duration", "after_seconds": 60})
    first = talk(publisher)
    again = Phone(stage, first.number)
    again.rings()
    again.talks(30)
    body = client(stage, "olga").say(again, 422, buyer_converted=1)
    assert body["errors"]["buyer_converted"][0].startswith("Another call of this sale is the one that is paid")
    assert (worth(first), worth(again)) == ((True, 2500, 2500), (False, 0, 0))


def test_a_second_call_of_a_sale_is_paid_where_the_first_was_not(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays={"on": "duration", "after_seconds": 200})
    first = talk(publisher)
    again = Phone(stage, first.number)
    again.rings()
    again.talks(30)
    olga = client(stage, "olga")
    olga.say(again, buyer_converted=1)
    assert (worth(first), worth(again)) == ((False, 0, 0), (True, 2500, 2500))
    olga.say(first, 422, buyer_converted=1)
    assert sums(stage) == (2500, 2500)


def test_what_is_said_while_they_talk_counts_when_the_call_is_settled(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays=SAYS)
    phone = connect(publisher)
    assert client(stage, "bea").say(phone, revenue=40)["call"]["status"] == "established"
    assert worth(phone) == (False, 0, 0)
    assert sums(stage) == (0, 0)
    stage.clock.forward(95)
    phone.dial_ends("completed", 1, 95)
    assert worth(phone) == (True, 4000, 2500)
    assert sums(stage) == (4000, 2500)


def test_a_sale_that_is_paid_as_a_sale_is_shown_in_full(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays={"on": "sale"})
    phone = talk(publisher)
    olga = client(stage, "olga")
    assert olga.ask("GET", f"/calls/{uuid_of(phone)}").body["call"]["revenue"] == "25.00"
    assert sums(stage) == (2500, 2500)
    assert olga.say(phone, revenue=40)["call"]["revenue"] == "40.00"
    assert worth(phone)[1] == 1500
    assert sums(stage) == (4000, 2500)


def test_calls_are_listed_with_the_originals_columns(sold: Phone, stage: Stage, publisher: Publisher) -> None:
    stage.clock.forward(10)
    second = talk(publisher, "+16145550177")
    client(stage, "bea").say(sold, buyer_converted=1, revenue=45, policy="77")
    olga = client(stage, "olga")
    page = olga.ask("GET", "/calls", query="per_page=1").body
    [line] = page["calls"]
    assert (page["status"], page["success"], line["uuid"]) == (200, True, uuid_of(second))
    cursor = page["metadata"]["next_cursor"]
    [line] = olga.ask("GET", "/calls", query=urlencode({"per_page": 1, "cursor": cursor})).body["calls"]
    assert [*line] == [*COLUMNS]
    assert line == olga.ask("GET", f"/calls/{uuid_of(sold)}").body["call"]
    shown = {name: line[name] for name in COLUMNS if name not in ("id", "uuid", "call_sid")}
    assert shown == {
        "created_at": "2100-01-01T00:00:00Z", "ended_at": "2100-01-01T00:01:35Z", "number_called": f"+{sold.number}",
        "caller_number": CALLER, "connected_to": "+18005550181", "offer": "auto-insurance",
        "traffic_source_id": "1023", "buyer": "Buyer A", "buyer_id": 1, "total_duration": 95, "attempted_duration": 0,
        "answered_duration": 95, "status": "finished", "sub_status": None, "buyer_converted": "Converted",
        "revenue": "45.00", "offer_converted": "Converted", "payout": "25.00", "provider": "main",
        "ring_pool_id": "auto-us", "sub_id": "click-77",
        "token_values": {"policy": "77"}, "recording_url": None, "hangup_cause": "completed",
    }  # fmt: skip
    found = {
        "buyer_converted=Converted": 1, "buyer_converted=0": 1, "status=finished": 2, "status=busy": 0, "buyer=1": 2,
        "buyer=Buyer A": 2, "buyer_id=2": 0, "traffic_source_id=1023": 1, "caller_number=6145550177": 1,
        f"number_called={sold.number}": 1, f"uuid={uuid_of(sold)}": 1, "created_at_from=2100-01-01": 2,
        "created_at_to=2099-12-31": 0, "created_at_from=2100-01-01T00:01:00Z": 1, "unknown=1": 2,
    }  # fmt: skip
    for query, count in found.items():
        name, _, text = query.partition("=")
        assert len(olga.ask("GET", "/calls", query=urlencode({name: text})).body["calls"]) == count, query
    few = olga.ask("GET", "/calls", query="columns=uuid,status").body["calls"]
    assert few[0] == {"uuid": uuid_of(second), "status": "finished"}
    wrong = olga.ask("GET", "/calls", query="per_page=0&columns=x&status=y&created_at_to=z&cursor=w&uuid=1&buyer=Buyer")
    assert wrong.code == 422
    assert {*wrong.body["errors"]} == {"per_page", "columns", "status", "created_at_to", "cursor", "uuid", "buyer"}


def test_each_role_sees_what_it_may_of_a_call(sold: Phone, stage: Stage) -> None:
    path = f"/calls/{uuid_of(sold)}"
    of_buyer = client(stage, "bea").ask("GET", path).body["call"]
    assert (of_buyer["caller_number"], of_buyer["revenue"], of_buyer["buyer"]) == (CALLER, "0.00", "Buyer A")
    assert {
        of_buyer[name]
        for name in ("traffic_source_id", "payout", "offer_converted", "call_sid", "sub_id", "ring_pool_id")
    } == {None}
    assert client(stage, "bob").ask("GET", path).code == 404
    assert client(stage, "bob").ask("GET", "/calls").body["calls"] == []
    assert client(stage, "bea").ask("GET", "/calls").body["calls"] == [of_buyer]
    seller = records(stage).tokens.issue("acme-media", "a test", scope="read")[1]
    of_seller = Client(stage, seller).ask("GET", path).body["call"]
    assert (of_seller["caller_number"], of_seller["sub_id"]) == ("+1614•••23", "click-77")
    assert {of_seller[name] for name in ("offer", "buyer", "revenue", "connected_to", "call_sid")} == {None}
    other = records(stage).tokens.issue("bolt", "a test", scope="read")[1]
    assert Client(stage, other).ask("GET", path).code == 404
    of_viewer = client(stage, "vera").ask("GET", path).body["call"]
    assert (of_viewer["caller_number"], of_viewer["sub_id"]) == ("+1614•••23", "•••")


def test_a_token_may_be_for_some_of_a_buyers_buyers(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays=SAYS)
    both = a_user(name="bea", role="buyer", traffic_sources=[], buyers=[1, 2])
    opened(
        stage,
        offers=[
            an_offer(buyers=[a_buyer(pays=SAYS), a_buyer(id=2, name="Buyer B", bid="20.00", number="+18005550182")])
        ],
        endpoints=[an_endpoint(calls={"provider": "main"})],
        **CONFIGURED | {"users": [*USERS, both]},
    )
    phone = talk(publisher)
    client(stage, "bea", buyers=[1]).say(phone, revenue=10)
    client(stage, "bea", buyers=[2]).say(phone, 404, revenue=10)
    assert client(stage, "bea", buyers=[9]).ask("GET", "/calls").code == 403


def test_a_call_of_an_erased_caller_keeps_its_worth_and_no_fields(sold: Phone, stage: Stage) -> None:
    bea = client(stage, "bea")
    bea.say(sold, revenue=30, policy="77")
    stage.telephony().calls.forget(sold.call_id)
    call = bea.say(sold, revenue=31, policy="78")["call"]
    assert (call["revenue"], call["caller_number"], call["token_values"]) == ("31.00", None, {})
    stage.erase(CALLER)
    assert client(stage, "olga").ask("GET", f"/calls/{uuid_of(sold)}").body["call"]["sub_id"] is None


def test_a_call_whose_item_is_gone_is_listed_by_its_rows(sold: Phone, stage: Stage) -> None:
    client(stage, "bea").say(sold, revenue=30)
    stage.client.delete_item(TableName=stage.settings.calls_table, Key={"call_id": {"B": sold.call_id}})
    [line] = client(stage, "olga").ask("GET", "/calls").body["calls"]
    assert (line["uuid"], line["revenue"], line["buyer_converted"]) == (uuid_of(sold), "30.00", "Converted")
    assert (line["caller_number"], line["token_values"], line["created_at"]) == (None, {}, "2100-01-01T00:00:00Z")
    assert (line["ring_pool_id"], line["sub_id"]) == ("auto-us", None)
    assert client(stage, "bea").say(sold, 404, revenue=31)["errors"]["base"]
