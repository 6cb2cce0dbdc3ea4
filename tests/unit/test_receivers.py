"""Who is told of what, in which words, and what nobody is told."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import configuration
from shared.bidders import exchange
from shared.configuration import InvalidConfiguration, dotted_path, read, records_of
from shared.domain import receivers
from shared.domain.receivers import ALIASES, EVENTS, HIDDEN, TOKENS, Happening, Values, compile_receiver
from shared.domain.templates import Unaskable
from tests.configurations import a_document, a_receiver
from tests.reference import names, table

AT = 1_800_000_000
CONVERTED = Happening(
    type="call.converted",
    at=AT,
    call=bytes(12),
    ping=bytes(12),
    endpoint="my_endpoint",
    user="acme-media",
    source="1023",
    number="+18005550100",
    buyer_id=7,
    buyer_name="Buyer A",
    arrival="in_time",
    status="finished",
    connected=True,
    seconds=95,
    converted=True,
    revenue_cents=4500,
    payout_cents=3600,
)
LEAD = {"caller_id": "+16145550123", "zip": "43004", "sub_id": "a/b&c=ü"}


def secret(name: str) -> str:
    if name != "key":
        raise Unaskable(f"the secret {name} is not set")
    return "s3cret"


def values(to: receivers.To = "operator", happening: Happening = CONVERTED) -> Values:
    return Values(happening, to, "msg_1", LEAD, secret, lambda kind, some_id: f"{kind}-{some_id.hex()[:4]}")


def written(to: receivers.To = "operator", happening: Happening = CONVERTED, **overrides: Any) -> Any:
    """The request that is sent."""
    receiver = compile_receiver(a_receiver(to=to, **overrides))
    return exchange.write(receiver.exchange, values(to, happening), {}, final=True, absent="")


def problems(**overrides: Any) -> dict[str, str]:
    with pytest.raises(InvalidConfiguration) as raised:
        read(a_document(receivers=[a_receiver(**overrides)]))
    return {
        dotted_path(problem.path).removeprefix("receivers[0]."): problem.message for problem in raised.value.problems
    }


@pytest.mark.parametrize(
    "text", ["{call.uuid}", "[call_uuid]", "{{call_uuid}}", "{{ call_uuid }}", "[uuid]", "[call.uuid]"]
)
def test_a_value_has_the_names_of_ours_and_of_other_systems(text: str) -> None:
    assert parse_qs(urlsplit(written(url=f"https://t.example/?c={text}").url).query) == {"c": ["call-0000"]}


def test_a_name_in_brackets_that_nobody_knows_is_one_of_the_lead() -> None:
    sent = written(url="https://t.example/p?sub=[sub_id]&caller=[caller_id]&payout=[payout]&none=[gclid]")
    query = parse_qs(urlsplit(sent.url).query, keep_blank_values=True)
    assert query == {"sub": ["a/b&c=ü"], "caller": ["+16145550123"], "payout": ["36.00"], "none": [""]}


def test_a_body_leaves_out_what_is_not_there_and_keeps_numbers() -> None:
    body = {"id": "[call_uuid]", "s": "{call.seconds:number}", "none": "[gclid]", "also": {"paid": "[payout]"}, "n": 3}
    assert written(body=body).body == b'{"id":"call-0000","s":95,"also":{"paid":"36.00"},"n":3}'


def test_a_get_sends_its_body_in_the_query() -> None:
    sent = written(url="https://t.example/p?a=1", method="GET", body={"zip": "[zip]"})
    assert (sent.method, sent.url, sent.body) == ("GET", "https://t.example/p?a=1&zip=43004", b"")


def test_a_header_has_no_line_of_its_own() -> None:
    receiver = compile_receiver(a_receiver(headers={"X-Sub": "[sub_id]"}))
    evil = Values(CONVERTED, "operator", "m", {"sub_id": "1\r\nX-Evil: 1"}, secret, lambda *_: "")
    assert exchange.write(receiver.exchange, evil, {}, final=True, absent="").headers["X-Sub"] == "1  X-Evil: 1"


@given(st.text(max_size=30))
def test_no_value_leaves_its_place_in_the_url(text: str) -> None:
    receiver = compile_receiver(a_receiver(url="https://t.example/p?sub=[sub_id]&x=1"))
    source = Values(CONVERTED, "operator", "m", {"sub_id": text}, secret, lambda *_: "")
    sent = exchange.write(receiver.exchange, source, {}, final=True, absent="").url
    assert parse_qs(urlsplit(sent).query, keep_blank_values=True) == {"sub": [text], "x": ["1"]}


@pytest.mark.parametrize("to", [to for to in HIDDEN if HIDDEN[to]])
def test_what_a_receiver_must_not_know_is_refused_by_field(to: receivers.To) -> None:
    whose: dict[str, Any] = {"user": "acme-media"} if to == "publisher" else {"buyer": 1}
    spelled = [*HIDDEN[to], *(alias for alias, name in ALIASES.items() if name in HIDDEN[to])]
    assert spelled
    for name in spelled:
        text = f"{{{name}}}" if "." in name else f"[{name}]"
        parts = {"url": f"https://t.example/?x={text}", "headers": {"X-A": text}, "body": {"a": {"b": [text]}}}
        found = problems(to=to, **whose, **parts)
        assert set(found) == {"url", "headers.X-A", "body.a"}
        assert all("never told" in message for message in found.values())
    for name in HIDDEN[to]:
        assert "never told" in problems(to=to, **whose, when=[f"{name} exists"])["when[0]"]


@pytest.mark.parametrize("to", HIDDEN)
def test_what_a_receiver_must_not_know_is_not_in_what_is_sent_without_a_body(to: receivers.To) -> None:
    known = values(to)
    assert not HIDDEN[to] & set(known.known)
    text = str(known.document)
    assert ("Buyer A" in text, "45.0" in text) == ((False, False) if to == "publisher" else (True, True))
    assert ("acme-media" in text, "36.0" in text) == ((False, False) if to == "buyer" else (True, True))


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        ({"to": "publisher"}, "user", "is missing: `to: publisher` needs it"),
        ({"to": "publisher", "user": "nobody"}, "user", "there is no publisher `nobody`"),
        ({"to": "publisher", "user": "acme-media", "traffic_sources": ["9"]}, "traffic_sources[0]",
         "`9` is no source of acme-media"),
        ({"to": "buyer", "buyer": 99}, "buyer", "there is no buyer 99"),
        ({"buyer": 1}, "buyer", "must be taken out: `to: operator` has no use for it"),
        ({"url": "https://[caller_id].example/"}, "url",
         "must be a URL like https://tracker.example/postback, or begin with a {secret.…} and a slash"),
        ({"url": "https://t.example/{call.bid}"}, "url",
         "has {call.bid}; there is {call.uuid, number, arrival, status, detail, connected, seconds, converted, payout, "
         "revenue}"),
        ({"url": "https://t.example/{bid.reference}"}, "url",
         "has braces that are no placeholder, like {lead.zip} or {secret.buyer_key}"),
        ({"headers": {"Webhook-Id": "1"}}, "headers.Webhook-Id",
         "must be the name of a header, and not of one that signs: webhook-…"),
        ({"method": "GET", "format": "json"}, "", "must have `format: query` or none, as its method is GET"),
        ({"previous_secret": "{secret.a}"}, "", "must have `previous_secret` only with `secret`"),
        ({"when": ["call.speed > 1"]}, "when[0]",
         "must not be about `call.speed`; a value of the lead is named as it is, others as in templates"),
        ({"events": []}, "events", "must have at least one entry"),
        ({"events": ["call.rang"]}, "events[0]", f"must be one of {', '.join(EVENTS)}"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_by_its_path(wrong: dict[str, Any], path: str, message: str) -> None:
    assert problems(**wrong) == {path or "receivers[0]": message}


def test_a_receiver_is_the_same_after_a_round_trip_through_its_record() -> None:
    wanted = a_receiver(
        to="publisher", user="acme-media", when=["call.seconds >= 90", "state in [TX]"], secret="{secret.main}",
        previous_secret="{secret.old}", body={"a": [{"b": "[payout]"}]},
    )  # fmt: skip
    records = records_of(read(a_document(receivers=[wanted])))
    assert read(configuration.document_of(records)) == read(a_document(receivers=[wanted]))
    receiver = compile_receiver(records["receivers", "tracker"])
    assert (receiver.to, receiver.user, receiver.secrets) == ("publisher", "acme-media", ("main", "old"))
    assert values("publisher").holds(receiver.when[:1])
    assert not values("publisher").holds(receiver.when)


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({}, True),
        ({"events": ["call.ended"]}, False),
        ({"to": "publisher", "user": "acme-media"}, True),
        ({"to": "publisher", "user": "acme-media", "traffic_sources": ["1023"]}, True),
        ({"to": "publisher", "user": "acme-media", "traffic_sources": ["9"]}, False),
        ({"to": "publisher", "user": "other"}, False),
        ({"to": "buyer", "buyer": 7}, True),
        ({"to": "buyer", "buyer": 8}, False),
    ],
)
def test_a_receiver_is_told_of_its_own_alone(of: dict[str, Any], told: bool) -> None:
    assert CONVERTED.is_for(compile_receiver(a_receiver(**of))) is told


def test_every_placeholder_is_documented_with_its_other_names() -> None:
    documented = table("configuration.md", "Placeholder", "Placeholders of receivers").by_name()
    every = {f"{{{kind}.{name}}}" for kind, known in TOKENS.items() for name in known} | {"{lead.caller_id}"}
    assert set(documented) == every
    others = {name: {f"[{alias}]" for alias, of in ALIASES.items() if f"{{{of}}}" == name} for name in every}
    assert {name: set(names(row["Other names"])) - {"[caller_id]"} for name, row in documented.items()} == others
    for to, hidden in (("publisher", "Not for publishers."), ("buyer", "Not for buyers.")):
        marked = {name for name, row in documented.items() if hidden in row["Value"]}
        assert marked == {f"{{{name}}}" for name in HIDDEN[to]}  # type: ignore[index]
