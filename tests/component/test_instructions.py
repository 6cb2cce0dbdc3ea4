"""The posting instructions, as their function answers."""

import io
import json
import re
from functools import partial
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.instructions import guide_pages
from shared import flows
from shared.domain.models import Field, Limit, Margin, User
from shared.domain.refusals import InvalidFields, NoMatchingBuyer, Refusal
from shared.publishers import answers, web_pages
from shared.publishers.contract import COLUMN_TYPES
from shared.publishers.posting_instructions import BUYERS, COLUMNS, KEYS, MEANINGS, NOW, guide, pretty
from shared.publishers.requests import Request
from shared.store.dynamo import Dynamo
from tests.build import (
    CALLER,
    CONTACT_FIELDS,
    REQUEST_ID,
    Answer,
    Counting,
    Publisher,
    Stage,
    a_buyer,
    a_pool,
    an_endpoint,
)
from tests.component.test_fuzz import TYPED

BASE = "https://api.example.com"
NUMBER = "+18005550170"
PAGE = "/posting_instructions/my_endpoint"
WEBHOOKS = "/api/v1/inbound_webhooks"


def read(stage: Stage, path: str = PAGE, query: str = "", pasted: str = "", **headers: str) -> Answer:
    event: dict[str, Any] = {
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"domainName": "api.example.com", "http": {"method": "GET", "sourceIp": "192.0.2.1"}},
    }
    if pasted:
        event["requestContext"]["http"]["method"] = "POST"
        event["headers"]["content-type"] = "application/x-www-form-urlencoded"
        event["body"] = urlencode({"request": pasted})
    found = web_pages.serve(event, REQUEST_ID, "instructions", partial(guide_pages.answer, stage.world()))
    return Answer(found["statusCode"], found["headers"], found["body"])


class Text(HTMLParser):
    """What a page says, and that each of its elements is closed."""

    VOID = ("meta", "input", "link", "br", "!doctype")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said = ""
        self.names: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.said += data


# The page


def test_the_page_has_every_address_and_field_in_the_clear(stage: Stage) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, *TYPED), limits=(Limit("traffic_source", pings=60, posts=30),)))
    page = read(stage)
    assert (page.code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    said = Text(page.text).said
    for verb in ("ping", "post", "full"):
        assert f"{BASE}{WEBHOOKS}/{verb}/my_endpoint" in said
        assert f"{BASE}/sandbox{WEBHOOKS}/{verb}/my_endpoint" in said
    for field in (*CONTACT_FIELDS, *TYPED):
        assert field.name in said
    assert "+16145550123" in page.text
    assert "60 PINGs and 30 POSTs a minute" in said
    for status in {refused.status for refused in MEANINGS} - {"invalid_fields"}:
        assert status in said


@pytest.mark.parametrize("require_auth_token", [False, True])
def test_a_sentence_of_the_page_ends_where_its_last_word_ends(stage: Stage, require_auth_token: bool) -> None:
    stage.publish(an_endpoint(require_auth_token=require_auth_token))
    said = Text(read(stage).text).said
    assert ". Put only a token with the scope post" in " ".join(said.split())
    assert not re.search(r"\s\.\s", said)


def test_a_static_endpoint_says_whose_number_it_is(stage: Stage) -> None:
    other = "+18005550171"
    stage.publish(an_endpoint(static_numbers={NUMBER: "1023", other: "IW7834"}))
    for query in ("traffic_source_id=1023", "trackdrive_number=%2B18005550170", "trackdrive_number=8005550170"):
        page = read(stage, query=query).text
        assert NUMBER in page
        assert other not in page
    neither = read(stage).text
    assert NUMBER not in neither
    assert other not in neither
    assert "POST without a PING" not in neither


@pytest.mark.parametrize("below", ["", "/instructions.md"])
def test_a_shared_endpoint_says_that_the_caller_id_must_be_shown(stage: Stage, below: str) -> None:
    stage.publish(an_endpoint(shared_numbers=(NUMBER, "+18005550171")))
    page = read(stage, f"{PAGE}{below}").text
    assert "a number that other callers use, too" in page
    assert "must show this" in page
    assert "POST without a PING" in page or "Without a PING" in page
    assert NUMBER not in page
    assert (
        "trackdrive_number"
        not in read(stage, f"{PAGE}/openapi.json").body["components"]["schemas"]["PingRequest"]["properties"]
    )


def test_what_the_reader_says_of_itself_is_in_the_examples(stage: Stage) -> None:
    stage.publish(an_endpoint())
    page = read(stage, query="traffic_source_id=SRC-7").text
    assert "for traffic source SRC-7" in page
    assert "traffic_source_id=SRC-7" in page


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "'\"&<>"])
def test_whatever_the_configuration_or_the_reader_says_stays_text(stage: Stage, evil: str) -> None:
    field = Field(name="note", description=evil, example=evil, choices=(evil,), type="choice")
    stage.publish(an_endpoint(offer=evil, fields=(*CONTACT_FIELDS, field), buyers=(a_buyer(name=evil),)))
    plain = Text(read(stage, query="traffic_source_id=x", pasted="https://api.example.com/").text)
    page = read(stage, query=urlencode({"traffic_source_id": evil, "x": evil}), pasted=f"GET /{evil} HTTP/1.1")
    assert evil in Text(page.text).said
    assert Text(page.text).names.count("script") == 1
    assert Text(page.text).names.count("img") == 0
    assert plain.names.count("script") == 1


def test_no_buyer_of_the_endpoint_is_named_or_priced(stage: Stage) -> None:
    stage.publish(an_endpoint(buyers=(a_buyer(name="Secret Buyer", bid_cents=7777, number="+18005550188"),)))
    for path in (PAGE, f"{PAGE}/openapi.json", f"{PAGE}/instructions.md"):
        page = read(stage, path).text
        assert not any(secret in page for secret in ("Secret Buyer", "77.77", "8005550188"))


def test_columns_that_publishers_do_not_see_are_not_told(stage: Stage) -> None:
    stage.publish(an_endpoint(buyer_columns=("buyer_id", "ping_id")))
    answer = json.loads(guide(an_endpoint(buyer_columns=("buyer_id", "ping_id")), BASE).calls["ping"].answer)
    assert [row.keys() for row in answer["buyers"]] == [{"buyer_id", "ping_id"}] * 2
    schemas = read(stage, f"{PAGE}/openapi.json").body["components"]["schemas"]
    assert schemas["Buyer"]["properties"].keys() == {"buyer_id", "ping_id"}


def test_every_refusal_and_column_has_its_meaning() -> None:
    assert set(Refusal.__subclasses__()) == set(MEANINGS) == set(answers.HTTP_STATUS)
    assert COLUMNS.keys() == COLUMN_TYPES.keys()


def test_the_page_is_small_and_read_in_two_calls(stage: Stage) -> None:
    fields = tuple(Field(name=f"field_{n}", description="What the caller wants to buy, in words") for n in range(40))
    buyers = tuple(a_buyer(id=n) for n in range(1, 101))
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, *fields), buyers=buyers, pool=a_pool(44)))
    assert len(read(stage).text.encode()) < 60_000
    dynamo = Counting(stage.client, stage.settings)
    fresh = Stage(stage.client)
    event = {
        "rawPath": PAGE,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"domainName": "api.example.com", "http": {"method": "GET"}},
    }
    guide_pages.answer(fresh.world_over(dynamo), event)
    assert dynamo.calls == 2


def test_a_page_that_did_not_change_is_not_sent_again(stage: Stage) -> None:
    stage.publish(an_endpoint())
    first = read(stage)
    again = read(stage, if_none_match=first.headers["ETag"])
    assert (again.code, again.text, again.headers["ETag"]) == (304, "", first.headers["ETag"])
    assert read(stage, if_none_match='"another"').code == 200
    stage.publish(an_endpoint(version=2, ping_ttl_seconds=60))
    stage.clock.forward(61)
    assert read(stage, if_none_match=first.headers["ETag"]).code == 200


def test_nothing_but_our_own_style_and_script_may_act(stage: Stage) -> None:
    stage.publish(an_endpoint())
    policy = read(stage).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/posting_instructions/elsewhere", 404),
        ("/posting_instructions/my_endpoint/other", 404),
        ("/posting_instructions/", 404),
        ("/posting_instructions/a b", 404),
    ],
)
def test_other_pages_are_not_there(stage: Stage, path: str, code: int) -> None:
    stage.publish(an_endpoint())
    assert read(stage, path).code == code
    assert read(stage, path + "/openapi.json").body["status"] == "unknown_endpoint"


def test_a_page_for_users_asks_for_a_token(stage: Stage) -> None:
    stage.publish(an_endpoint(instructions="token", users=(User("acme", "publisher"),)))
    stage.give_token("secret", "acme")
    asked = read(stage)
    assert asked.code == 401
    assert asked.headers["WWW-Authenticate"].startswith("Basic ")
    assert read(stage, query="auth_token=wrong").code == 401
    assert read(stage, authorization="Basic OnNlY3JldA==").code == 200
    assert read(stage, query="auth_token=secret").code == 200
    assert "secret" not in read(stage, query="auth_token=secret").text.replace("Secret", "")


def test_a_name_that_a_json_body_has_twice_is_told(stage: Stage) -> None:
    stage.publish(an_endpoint())
    request = f"POST {BASE}{WEBHOOKS}/ping/my_endpoint\nContent-Type: application/json\n\n"
    twice = read(stage, pasted=f'{request}{{"zip": "1", "b": {{"c": 1, "c": 1}}, "zip": "2"}}')
    assert "zip is there twice. The last value counts." in Text(twice.text).said
    assert "c is there twice" not in Text(twice.text).said


# The example answers


def test_example_answers_are_those_of_the_real_flows(stage: Stage) -> None:
    """The made-up buyers made real, at the time and with the ids of the examples: the same bytes."""
    stage.clock.now = NOW
    stage.keys = KEYS
    stage.random_bytes = lambda size: b"example ping"[:size]
    number = "+15555550100"
    pool = a_pool(1, shards=(type(a_pool().shards[0])(0, (number,)),))
    endpoint = an_endpoint(buyers=BUYERS, margin=Margin(), pool=pool)
    told = guide(endpoint, BASE).calls
    stage.publish(endpoint)
    publisher = Publisher(stage)
    assert pretty(publisher.ping(caller_id=CALLER).text.encode()) == told["ping"].answer
    sold = publisher.post(**told["post"].values)
    assert pretty(sold.text.encode()) == told["post"].answer

    stage.clock.forward(endpoint.hold_seconds + 60)
    later = guide(endpoint, BASE).calls["full"]
    stage.clock.now = NOW
    other = Stage(stage.client, clock=stage.clock, keys=KEYS, random_bytes=lambda size: b"another ping"[:size])
    other.publish(an_endpoint(vanity_uri="other", buyers=BUYERS, pool=a_pool(1, no=2, shards=pool.shards)))
    full = json.loads(Publisher(other).full("other", caller_id=CALLER).text)
    example = json.loads(later.answer)
    assert full.keys() == example.keys()
    assert [*full["buyers"][0]] == [*example["buyers"][0]]


def test_example_refusals_are_those_of_the_real_flows(stage: Stage) -> None:
    required = Field(name="zip", type="us_zip", required_on=("ping",))
    endpoint = an_endpoint(fields=(*CONTACT_FIELDS, required), buyers=())
    stage.publish(endpoint)
    publisher = Publisher(stage)
    refused = guide(endpoint, BASE).refused
    nobody = publisher.ping(zip="30340").text.encode()
    assert nobody == answers.refusal(NoMatchingBuyer(), endpoint, "")
    assert refused["no_matching_buyer"] == pretty(nobody)
    missing = json.loads(refused["invalid_fields"])["errors"]
    assert missing.keys() <= {"zip", "caller_id"}
    assert InvalidFields(missing).sentences


def test_example_requests_are_taken_as_they_stand(stage: Stage) -> None:
    required = tuple(Field(name=f.name, type=f.type, choices=f.choices, required_on=("ping", "post")) for f in TYPED)
    for endpoint in (
        an_endpoint(fields=(*CONTACT_FIELDS, *required), require_caller_id=True),
        an_endpoint(vanity_uri="static", fields=(*CONTACT_FIELDS, *required), static_numbers={NUMBER: "1023"}),
        an_endpoint(vanity_uri="shared", fields=(*CONTACT_FIELDS, *required), shared_numbers=("+18005550171",)),
    ):
        stage.publish(endpoint)
        calls = guide(endpoint, BASE).calls
        publisher = Publisher(stage)
        uri = endpoint.vanity_uri
        priced = publisher.send("ping", uri, json_body=calls["ping"].values)
        assert priced.body["success"], priced.text
        chosen = calls["post"].values | {"ping_id": priced.body["buyers"][0]["ping_id"]}
        assert publisher.send("post", uri, json_body=chosen).body["success"]
        stage.clock.forward(3600)
        assert publisher.send("full", uri, json_body=calls["full"].values).body["success"]


@pytest.mark.parametrize("language", ["curl", "get"])
def test_example_requests_pass_the_check(stage: Stage, language: str) -> None:
    quoted = Field(name="note", example='it\'s \\ 100 % "fine"', required_on=("ping", "post"))
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, quoted)))
    for name, call in guide(stage.world().endpoint("my_endpoint"), BASE).calls.items():
        if name not in ("post", "post_any"):  # their ping ids are made up
            assert "Nothing is wrong" in checked(stage, call.code[language])


# The Markdown and OpenAPI


@pytest.mark.parametrize(
    "endpoint",
    [
        an_endpoint(),
        an_endpoint(fields=(*CONTACT_FIELDS, *TYPED), buyer_columns=tuple(COLUMNS), require_auth_token=True),
        an_endpoint(static_numbers={NUMBER: "1023"}, field_errors="list", success_status="accepted"),
        an_endpoint(shared_numbers=(NUMBER,)),
    ],
    ids=["plain", "everything", "static", "shared"],
)
def test_the_openapi_document_is_valid(stage: Stage, endpoint: Any) -> None:
    stage.publish(endpoint)
    document = read(stage, f"{PAGE}/openapi.json")
    assert document.headers["Content-Type"] == "application/json"
    OpenAPIV31SpecValidator(document.body).validate()
    assert document.body["openapi"].startswith("3.1")
    assert set(document.body["paths"]) == {f"{WEBHOOKS}/{verb}/my_endpoint" for verb in ("ping", "post", "full")}


def test_the_openapi_document_requires_what_the_endpoint_requires(stage: Stage) -> None:
    age = Field(name="age", type="integer", minimum="18", maximum="120", required_on=("ping",))
    plan = Field(name="plan", type="choice", choices=("a", "b"))
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, age, plan)))
    schemas = read(stage, f"{PAGE}/openapi.json").body["components"]["schemas"]
    assert schemas["PingRequest"]["required"] == ["age"]
    assert schemas["PostRequest"]["required"] == ["caller_id"]
    assert schemas["FullRequest"]["required"] == ["caller_id", "age"]
    assert schemas["PingRequest"]["properties"]["age"] == {"type": "integer", "minimum": 18, "maximum": 120}
    assert schemas["PingRequest"]["properties"]["plan"] == {"type": "string", "enum": ["a", "b"]}


def test_the_markdown_has_the_same_facts(stage: Stage) -> None:
    piped = Field(name="plan", description="a | b\nc <d>")
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, piped)))
    page = read(stage, f"{PAGE}/instructions.md")
    assert page.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert f"| PING | {BASE}{WEBHOOKS}/ping/my_endpoint |" in page.text
    assert r"a \| b c &lt;d>" in page.text
    assert "\n\n\n" not in page.text


# Check my request


def checked(stage: Stage, pasted: str) -> str:
    page = read(stage, pasted=pasted)
    assert page.code == 200
    said = Text(page.text).said
    return " ".join(said[said.index("Check my request", said.index("Check my request") + 1) :].split())


CURL = f"curl -X POST {BASE}{WEBHOOKS}/ping/my_endpoint"


@pytest.mark.parametrize(
    ("pasted", "says"),
    [
        (f"{CURL} -d 'zip=30340'", "Nothing is wrong with it"),
        (f"{CURL} -H 'Content-Type: application/json' -d '{{\"zip\": \"30340\"}}'", "Nothing is wrong with it"),
        (f'$ curl --json \'{{"zip":"30340"}}\' \\\n {BASE}{WEBHOOKS}/ping/my_endpoint -s', "Nothing is wrong with it"),
        (f"curl --max-time 10 -G -d zip=30340 '{BASE}{WEBHOOKS}/ping/my_endpoint'", "Nothing is wrong with it"),
        (f"{BASE}{WEBHOOKS}/ping/my_endpoint?zip=30340", "Nothing is wrong with it"),
        (f"GET {WEBHOOKS}/ping/my_endpoint?zip=30340 HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "Nothing is wrong"),
        (f'POST {WEBHOOKS}/ping/my_endpoint HTTP/1.1\nHost: x.example\n\n{{"zip": ""}}', "Content-Type is missing"),
        (f"{BASE}{WEBHOOKS}/ping/my_endpoint", "zip is required on ping. You did not send a value."),
        (f"{CURL} -d zip=123", "zip must be a US ZIP code of five digits"),
        (f"{CURL} -d zip=30340 -d caler_id=6145550123", "caler_id is no field of this offer. Is caller_id meant?"),
        (f"{CURL} -d '{{\"zip\": 30340'", "The body is not JSON"),
        (f"{CURL} -d '[1]'", "it must be an object"),
        (f"{CURL} -d 'zip=30340", "a quote that is not closed"),
        ("curl -d zip=30340", "has no URL"),
        (f"{CURL} -d @lead.json", "Paste the data in its place"),
        (f"{CURL} -H", "cannot be read"),
        (f"{CURL} -H nonsense", "A header must be a line"),
        (f"curl -X PUT {BASE}{WEBHOOKS}/ping/my_endpoint -d zip=30340", "The method is PUT. Use GET or POST."),
        (f"curl https://elsewhere.example{WEBHOOKS}/ping/my_endpoint -d zip=1", "it must be api.example.com"),
        (f"{BASE}{WEBHOOKS}/pong/my_endpoint?zip=30340", f"it must be one of {WEBHOOKS}/ping/my_endpoint"),
        (f"{BASE}{WEBHOOKS}/ping/other?zip=30340", "another endpoint than my_endpoint"),
        (f"{BASE}{WEBHOOKS}/post/my_endpoint?caller_id=6145550123&ping_id=pb_cut", "cut off, changed"),
        (f"{BASE}/sandbox{WEBHOOKS}/ping/my_endpoint?zip=30340", "It goes to the sandbox"),
        ("help me", "This is no request that can be read"),
        (f"{CURL} -d zip=30340{'0' * 70_000}", "too large"),
    ],
)  # fmt: skip
def test_a_pasted_request_is_told_what_is_wrong_with_it(stage: Stage, pasted: str, says: str) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, Field(name="zip", type="us_zip", required_on=("ping",)))))
    if len(pasted) > 65_000:
        assert read(stage, pasted=pasted).code == 413
    else:
        assert says in checked(stage, pasted)


def test_a_missing_token_and_all_bad_fields_are_told_at_once(stage: Stage) -> None:
    stage.publish(an_endpoint(require_auth_token=True, users=(User("acme", "publisher"),)))
    stage.give_token("secret", "acme")
    said = checked(stage, f"curl {BASE}{WEBHOOKS}/full/my_endpoint -d zip=1")
    assert "2 to mend" in said
    assert "auth_token is missing or wrong" in said
    assert "caller_id is required on post" in said
    assert "Nothing is wrong" in checked(stage, f"{CURL} -H 'Authorization: Token secret' -d caller_id=6145550123")
    assert "Nothing is wrong" in checked(stage, f"{CURL} -u :secret -d caller_id=6145550123")


def test_a_ping_id_is_looked_up_and_nothing_is_changed(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    first, second = (publisher.ping().body["buyers"] for _ in range(2))
    publisher.post(ping_id=second[0]["ping_id"], caller_id=CALLER)
    before = stage.contents()

    def said(ping_id: str, **more: str) -> str:
        query = urlencode({"ping_id": ping_id, "caller_id": CALLER} | more)
        return checked(stage, f"{BASE}{WEBHOOKS}/post/my_endpoint?{query}")

    assert "Nothing is wrong" in said(first[0]["ping_id"])
    assert "different buyers" in said(first[0]["ping_id"], buyer_id="2")
    assert "is sold already" in said(second[0]["ping_id"])
    stage.clock.forward(121)
    assert "is older than its time" in said(first[0]["ping_id"])
    assert stage.contents() == before


def test_a_ping_id_of_the_sandbox_is_good_in_the_sandbox_only(stage: Stage) -> None:
    stage.publish(an_endpoint())
    world = stage.world().of_sandbox()
    endpoint = world.endpoint("my_endpoint")
    request = Request("POST", "my_endpoint", {}, [], "")
    ping_id = json.loads(flows.ping(world, endpoint, request))["try_all_buyers_ping_id"]
    query = urlencode({"ping_id": ping_id, "caller_id": CALLER})
    assert "Nothing is wrong" in checked(stage, f"{BASE}/sandbox{WEBHOOKS}/post/my_endpoint?{query}")
    assert "of the sandbox" in checked(stage, f"{BASE}{WEBHOOKS}/post/my_endpoint?{query}")


def test_a_static_post_needs_its_ping_and_its_caller(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(static_numbers={NUMBER: "1023"}))
    url = f"{BASE}{WEBHOOKS}/post/my_endpoint"
    assert "ping_id is required on post" in checked(stage, f"{url}?trackdrive_number={NUMBER.removeprefix('+')}")
    ping_id = publisher.ping(trackdrive_number=NUMBER).body["try_all_buyers_ping_id"]
    assert "caller_id is required on post" in checked(stage, f"{url}?ping_id={ping_id}")


def test_a_shared_post_needs_its_caller_and_no_ping(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(shared_numbers=(NUMBER,)))
    url = f"{BASE}{WEBHOOKS}/post/my_endpoint"
    for query in ("", f"ping_id={publisher.ping(caller_id=CALLER).body['try_all_buyers_ping_id']}"):
        assert "caller_id is required on post" in checked(stage, f"{url}?{query}")
    assert "Nothing is wrong" in checked(stage, f"{url}?caller_id=6145550123")


def test_another_publishers_ping_is_unknown(stage: Stage, publisher: Publisher) -> None:
    users = (User("acme", "publisher"), User("other", "publisher"))
    stage.publish(an_endpoint(users=users))
    stage.give_token("a", "acme")
    stage.give_token("b", "other")
    ping_id = publisher.ping(auth_token="a").body["try_all_buyers_ping_id"]
    query = urlencode({"ping_id": ping_id, "caller_id": CALLER, "auth_token": "b"})
    assert "not one that this endpoint gave you" in checked(stage, f"{BASE}{WEBHOOKS}/post/my_endpoint?{query}")


MARK = "¤mark¤"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(["", "curl ", f"{CURL} -d ", "POST ", "https://", f"{BASE}{WEBHOOKS}/post/my_endpoint?"]),
    text=st.text(st.characters(codec="utf-8"), max_size=200),
)
def test_whatever_is_pasted_is_answered_and_never_logged(stage: Stage, log: io.StringIO, head: str, text: str) -> None:
    stage.publish(an_endpoint())
    page = read(stage, pasted=f"{head}{MARK}{text}")
    assert page.code in (200, 400)
    Text(page.text)
    assert MARK not in log.getvalue()


def test_the_page_of_a_table_that_does_not_answer_says_so(stage: Stage) -> None:
    class Down(Dynamo):
        def call(self, *_: Any, **__: Any) -> Any:
            raise ValueError(MARK)

    event = {"rawPath": PAGE, "rawQueryString": "", "headers": {}, "requestContext": {"http": {"method": "GET"}}}
    world = stage.world_over(Down(stage.client, stage.settings))
    found = web_pages.serve(event, REQUEST_ID, "instructions", partial(guide_pages.answer, world))
    assert found["statusCode"] == 500
    assert REQUEST_ID in found["body"]
    assert MARK not in found["body"]
