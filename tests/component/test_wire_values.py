"""What people and programs really send, as PING, POST and FULL meet it. An unclean optional value loses no sale."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared import flows
from shared.configuration.live_buyers import LiveBuyerConfig
from shared.domain import filters
from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.models import Field
from shared.publishers import requests
from shared.store.dynamo import Dynamo
from shared.store.journal import Journal
from tests.build import (
    CALLER,
    CONTACT_FIELDS,
    KEYS,
    SETTINGS,
    Answer,
    Publisher,
    Scripted,
    Stage,
    a_buyer,
    a_pool,
    an_endpoint,
    an_event,
)

VERBS = ("ping", "post", "full")
NUMBER = "+18005550170"
FIELDS = (
    *CONTACT_FIELDS,
    Field(name="state", type="us_state"),
    Field(name="zip", type="us_zip"),
    Field(name="age", type="integer", minimum="18"),
    Field(name="debt", type="decimal"),
    Field(name="insured", type="boolean"),
    Field(name="since", type="date"),
    Field(name="email", type="email"),
    Field(name="kind", type="choice", choices=("Car", "RV")),
    Field(name="consent", max_length=1000),
    Field(name="code", pattern="[A-Z]{2}[0-9]+"),
)
UNREADABLE = {
    "trackdrive_number": "800-555-XXXX",
    "traffic_source_id": "x" * 1001,
    "state": "Ontario",
    "zip": "1001",
    "age": "forty-one",
    "debt": "1.100,00",
    "insured": "maybe",
    "since": "6/2/14",
    "email": "somebody@",
    "kind": "Boat",
    "consent": "I agree. " * 124 + "yes.",
    "code": "iw7834",
}


def lead(stage: Stage, answer: Answer) -> dict[str, str]:
    """The lead as it is stored: of a sale what PING and POST sent together."""
    ping = stage.kept(answer.body["try_all_buyers_ping_id"]).ping
    assert ping
    return dict(ping.lead)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", UNREADABLE)
def test_an_optional_value_that_cannot_be_read_is_left_out_and_reported(
    stage: Stage, publisher: Publisher, verb: str, name: str
) -> None:
    buyers = (a_buyer(bid_cents=9900, filters=(filters.read(f"{name} exists"),)), a_buyer(id=2))
    stage.publish(an_endpoint(fields=FIELDS, buyers=buyers))
    sent = {"caller_id": CALLER, name: UNREADABLE[name], "gclid": "kept"}
    answer = publisher.send(verb, json_body=sent)
    assert (answer.code, answer.body["success"]) == (200, True)
    [sentence] = answer.body["warnings"].pop(name)
    assert answer.body["warnings"].keys() == {name}
    assert sentence.startswith(f"{name} must be ")
    assert sentence.endswith(" It was left out.")
    assert UNREADABLE[name] not in answer.text
    assert answer.body["buyers"][0]["id"] == 2 if verb == "ping" else answer.body["buyer_id"] == 2
    if verb != "post":
        assert lead(stage, answer) == {"caller_id": CALLER, "gclid": "kept"}


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_reported_where_everything_is_read(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    clean = {"caller_id": CALLER, "state": "D.C.", "zip": "78704-", "age": "41.0", "debt": "$1,100", "insured": "Yes."}
    assert "warnings" not in publisher.send(verb, json_body=clean | {"kind": "null", "since": "undefined"}).body


def test_a_value_is_stored_in_one_spelling_and_nothing_of_a_word_for_nothing(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    answer = publisher.ping(
        state="US-TX", zip="78704 1234", age="$1,100", debt="41.0", insured="Y", since="20140602", email="N/A",
        kind="Select kind", consent="null", code="{{code}}", caller_id="anonymous",
    )  # fmt: skip
    assert answer.body["warnings"].keys() == {"code"}
    assert lead(stage, answer) == {
        "state": "TX", "zip": "78704", "age": "1100", "debt": "41.0", "insured": "true", "since": "2014-06-02",
        "consent": "null",
    }  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("validation", ["lenient", "strict"])
def test_a_required_value_is_refused_as_ever(stage: Stage, publisher: Publisher, verb: str, validation: Any) -> None:
    asked = (*CONTACT_FIELDS, Field(name="zip", type="us_zip", required_on=("ping", "post")))
    stage.publish(an_endpoint(fields=(*asked, Field(name="age", type="integer")), validation=validation))
    sentence = "zip must be a US ZIP code of five digits, for example 30340."
    answer = publisher.send(verb, json_body={"caller_id": CALLER, "zip": "1001"})
    assert (answer.code, answer.text) == (
        422,
        f'{{"status":422,"success":false,"errors":{{"zip":["{sentence}"]}},"metadata":{{"root":null}}}}',
    )
    for nothing in ("null", "", "{{zip}}"):
        answer = publisher.send(verb, json_body={"caller_id": CALLER, "zip": nothing})
        assert answer.code == 422
        assert "You did not send a value." in answer.body["errors"]["zip"][0]


@pytest.mark.parametrize("verb", VERBS)
def test_a_refusal_names_every_bad_field_the_optional_ones_too(stage: Stage, publisher: Publisher, verb: str) -> None:
    zip_code = Field(name="zip", type="us_zip", required_on=("ping", "post"))
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, zip_code, Field(name="age", type="integer"))))
    body = publisher.send(verb, json_body={"caller_id": CALLER, "age": "x"}).body
    assert list(body) == ["status", "success", "errors", "metadata"]
    assert body["errors"].keys() == {"zip", "age"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_strict_endpoint_refuses_every_value_that_cannot_be_read(
    stage: Stage, publisher: Publisher, verb: str, name: str
) -> None:
    stage.publish(an_endpoint(fields=FIELDS, validation="strict"))
    answer = publisher.send(verb, json_body={"caller_id": CALLER, name: UNREADABLE[name]})
    assert (answer.code, answer.body["errors"].keys()) == (422, {name})
    assert "warnings" not in answer.body


def test_nobody_bids_is_told_in_the_very_words_of_ever(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=FIELDS, buyers=(a_buyer(filters=(filters.read("zip exists"),)),)))
    assert publisher.ping(zip="1001").text == (
        '{"success":false,"status":"no_matching_buyer","errors":["There are no matching buyers."],"buyers":[]}'
    )


def test_the_journal_names_what_was_left_out(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    ping_id = publisher.ping(zip="1001", age="x").body["try_all_buyers_ping_id"]
    opened = Journal(Dynamo(stage.client, SETTINGS), KEYS, stage.io_pool).opened(ping_id, stage.clock())
    assert opened
    assert set(opened.ping.facts.left_out) == {"zip", "age"}
    assert opened.lead == {}


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_retry_has_the_same_warnings_byte_for_byte(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    sent = {"caller_id": CALLER, "zip": "1001"}
    ping_id = publisher.ping(**sent).body["try_all_buyers_ping_id"]
    first = publisher.send(verb, json_body=sent)
    assert first.body["warnings"].keys() == {"zip"}
    assert publisher.send(verb, json_body=sent).text == first.text
    posted = publisher.post(ping_id=ping_id, **sent)
    assert posted.body["warnings"].keys() == {"zip"}
    assert publisher.post(ping_id=ping_id, **sent).text == posted.text


def test_what_a_post_cannot_say_leaves_what_the_ping_said(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=FIELDS, buyers=(a_buyer(filters=(filters.read("zip == 78704"),)),)))
    ping_id = publisher.ping(zip="78704").body["try_all_buyers_ping_id"]
    sold = publisher.post(ping_id=ping_id, zip="7870", caller_id=CALLER).body
    assert (sold["success"], sold["warnings"].keys()) == (True, {"zip"})


ANONYMOUS = ("+17378742833", "+266696687", "Restricted", "anonymous", "sip:anonymous@anonymous.invalid", "0000000000")


@pytest.mark.parametrize("first", ANONYMOUS)
def test_two_anonymous_callers_are_not_one(stage: Stage, publisher: Publisher, first: str) -> None:
    optional = (
        *(Field(name=field.name, type=field.type) for field in CONTACT_FIELDS),
        Field(name="zip", type="us_zip"),
    )
    stage.publish(an_endpoint(fields=optional, duplicate_seconds=3600, suppression=("dnc",)))
    for zip_code in ("78704", "30340"):
        ping = publisher.ping(caller_id=first, zip=zip_code).body
        sold = publisher.post(ping_id=ping["try_all_buyers_ping_id"], caller_id=first, zip=zip_code).body
        assert (sold["success"], "warnings" in sold) == (True, False)
    numbers = {publisher.full(caller_id=first, zip=zip_code).body["trackdrive_number"] for zip_code in ("1", "78705")}
    assert len(numbers) == 2
    assert stage.contents()["callers"] == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("caller", ANONYMOUS)
def test_who_needs_a_caller_gets_none_from_a_placeholder(
    stage: Stage, publisher: Publisher, verb: str, caller: str
) -> None:
    stage.publish(an_endpoint(require_caller_id=True), an_endpoint(vanity_uri="on_post"))
    assert publisher.send(verb, json_body={"caller_id": caller}).body["status"] == "caller_id_required"
    answer = publisher.send(verb, "on_post", json_body={"caller_id": caller})
    assert (
        answer.body["success"]
        if verb == "ping"
        else answer.body["errors"] == {"caller_id": ["caller_id is required on post. You did not send a value."]}
    )


@pytest.mark.parametrize("caller", ANONYMOUS)
def test_a_call_to_a_static_number_is_never_routed_by_a_placeholder(
    stage: Stage, publisher: Publisher, caller: str
) -> None:
    stage.publish(an_endpoint(static_numbers={NUMBER: "1023"}))
    ping = publisher.ping(trackdrive_number=NUMBER, caller_id=caller).body
    answer = publisher.post(ping_id=ping["try_all_buyers_ping_id"], caller_id=caller)
    assert (answer.code, answer.body["errors"].keys()) == (422, {"caller_id"})


@pytest.mark.parametrize("masked", ["740-555-XXXX", "740555****", "740555NONE"])
def test_a_masked_caller_is_nobody(stage: Stage, publisher: Publisher, masked: str) -> None:
    stage.publish(an_endpoint(duplicate_seconds=3600, fields=(Field(name="caller_id", type="phone"),)))
    sold = publisher.full(caller_id=masked).body
    assert (sold["success"], sold["warnings"].keys()) == (True, {"caller_id"})
    assert lead(stage, publisher.ping(caller_id=masked)) == {}
    for real in ("740-555-9999", "740-555-6663"):
        assert publisher.full(caller_id=real).body["success"] is True


@pytest.mark.parametrize("verb", VERBS)
def test_a_required_caller_that_is_masked_is_a_bad_field(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(require_caller_id=True))
    answer = publisher.send(verb, json_body={"caller_id": "614555****"})
    assert (answer.code, answer.body["errors"].keys()) == (422, {"caller_id"})


def test_a_doubled_country_code_and_a_sip_address_are_the_same_caller(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(duplicate_seconds=3600))
    assert publisher.full(caller_id="+1+16145550123").body["success"] is True
    again = publisher.full(caller_id="sip:+16145550123@192.0.2.1", traffic_source_id="1")
    assert again.body["status"] == "duplicate_caller"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("nothing", ["undefined", "null", "None", "[ping_id]"])
def test_a_ping_id_that_says_nothing_is_absent(stage: Stage, publisher: Publisher, verb: str, nothing: str) -> None:
    stage.publish(an_endpoint())
    sent = {"caller_id": CALLER, "ping_id": nothing, "buyer_id": nothing, "auth_token": nothing}
    assert publisher.send(verb, json_body=sent).body["success"] is True


@pytest.mark.parametrize("nothing", ["undefined", "null", "{{uuid}}"])
def test_a_key_that_says_nothing_makes_no_two_leads_one(stage: Stage, publisher: Publisher, nothing: str) -> None:
    stage.publish(an_endpoint())
    sent = [
        publisher.send("full", json_body={"caller_id": caller}, headers={"Idempotency-Key": nothing})
        for caller in (CALLER, "+16145550124")
    ]
    assert len({answer.body["trackdrive_number"] for answer in sent}) == 2


MULTIPART = b"".join(
    b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part
    for part in ((b"caller_id", CALLER.encode()), (b"first_name", "José".encode()))
)
BODIES = {
    "multipart": ({"Content-Type": "multipart/form-data; boundary=x"}, MULTIPART + b"--x--\r\n"),
    "text": ({"Content-Type": "text/plain;charset=UTF-8"}, "caller_id=%2B16145550123&first_name=José".encode()),
    "latin": ({"Content-Type": "application/x-www-form-urlencoded"}, b"caller_id=6145550123&first_name=Jos%E9"),
    "json": ({"Content-Type": "application/json"}, '{"caller_id":6145550123,"first_name":"\n\tJosé"}'.encode()),
    "utf-16": (
        {"Content-Type": "application/json; charset=utf-16"},
        '{"caller_id":6145550123,"first_name":"José"}'.encode("utf-16"),
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_is_read_as_programs_send_it(stage: Stage, publisher: Publisher, verb: str, kind: str) -> None:
    stage.publish(
        an_endpoint(), an_endpoint(vanity_uri="named", buyers=(a_buyer(filters=(filters.read("first_name == José"),)),))
    )
    headers, body = BODIES[kind]
    for uri in ("my_endpoint", "named"):
        assert publisher.send(verb, uri, headers=headers, body=body).body["success"] is True


@pytest.mark.parametrize("verb", VERBS)
def test_a_multipart_body_beside_a_full_query_is_no_hindrance(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint())
    sent: dict[str, Any] = {
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
        "query": f"caller_id={CALLER[1:]}",
    }
    for body in (b"", b"--x--\r\n", MULTIPART):
        assert publisher.send(verb, body=body, **sent).body["success"] is True


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("content_type", ["text/xml", "text/plain"])
def test_a_body_that_cannot_be_read_is_told_what_was_expected_and_what_came(
    stage: Stage, publisher: Publisher, verb: str, content_type: str
) -> None:
    stage.publish(an_endpoint())
    answer = publisher.send(verb, headers={"Content-Type": content_type}, body=b"<caller>6145550123</caller>")
    assert (answer.code, answer.body["errors"]) == (
        400,
        [
            "The body must be a JSON object, a URL-encoded form or multipart/form-data. "
            f"It came as {content_type} and cannot be read as that."
        ],
    )


@pytest.mark.parametrize("verb", VERBS)
def test_an_address_with_doubled_slashes_works(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint())
    for path in ("//api/v1/inbound_webhooks/{}/my_endpoint", "/api/v1/inbound_webhooks//{}//my_endpoint//"):
        answer = publisher.send(verb, path=path.format(verb), json_body={"caller_id": CALLER})
        assert answer.body["success"] is True


@pytest.mark.parametrize("caller_on_ping", ["plain", "hashed", "area_code", "absent"])
@pytest.mark.parametrize("validation", ["lenient", "strict"])
def test_a_ringpost_endpoint_bids_for_another_however_it_is_told_of_the_caller(
    stage: Stage, publisher: Publisher, caller_on_ping: str, validation: Any
) -> None:
    live = LiveBuyerConfig.model_validate(
        {
            "dialect": "ringpost",
            "ping_url": "https://buyer.example/api/v1/inbound_webhooks/ping/theirs",
            "post_url": "https://buyer.example/api/v1/inbound_webhooks/post/theirs",
            "send": {"caller_id": "caller_id", "zip_code": "zip"},
            "caller_on_ping": caller_on_ping,
        }
    ).compile(["caller_id", "zip"], 60_00)
    ours = a_buyer(id=7, bid_cents=0, live=live)
    stage.publish(
        an_endpoint(buyers=(ours,)),
        an_endpoint(vanity_uri="theirs", offer="theirs", pool=a_pool(no=2), validation=validation),
    )

    def theirs(_: int, call: Call) -> Reply | Silence:
        verb = urlsplit(call.url).path.split("/")[-2]
        answer = publisher.send(verb, "theirs", body=call.body, headers=call.headers)
        return Reply(answer.code, answer.text.encode())

    stage.send = Scripted(theirs)
    sold = publisher.full(caller_id=CALLER, zip="78704").body
    assert (sold["success"], sold["buyers"][0]["bid"]) == (True, 25.0)


@pytest.mark.parametrize(
    ("bid", "dollars"), [("$25.00", 25.0), ("1,250.00", 1250.0), (" 25 USD", 25.0), ("$1,250", 1250.0)]
)
def test_a_bid_with_a_currency_sign_is_read(stage: Stage, publisher: Publisher, bid: str, dollars: float) -> None:
    live = LiveBuyerConfig.model_validate({"dialect": "ringpost", "ping_url": "https://buyer.example/ping"}).compile(
        [], 0
    )
    stage.publish(an_endpoint(buyers=(a_buyer(bid_cents=0, live=live),)))
    stage.send = Scripted(lambda *_: Reply(200, json.dumps({"success": True, "buyers": [{"bid": bid}]}).encode()))
    assert publisher.ping().body["buyers"][0]["bid"] == dollars


def test_every_bid_can_be_sold_whatever_columns_an_endpoint_shows(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(buyer_columns=("name", "bid")))
    [best, _] = publisher.ping().body["buyers"]
    assert list(best) == ["name", "bid", "ping_id"]
    assert publisher.post(ping_id=best["ping_id"], caller_id=CALLER).body["buyer_name"] == best["name"]


def test_check_my_request_gives_the_warnings_of_the_answer(stage: Stage) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    world = stage.world()
    request = requests.read(an_event(json_body={"caller_id": CALLER, "zip": "1001"}), "POST", "my_endpoint")
    found, refused, warnings = flows.check(world, world.endpoint("my_endpoint"), request, "full")
    assert (found, refused) == ({"caller_id": CALLER}, [])
    assert warnings.keys() == {"zip"}
