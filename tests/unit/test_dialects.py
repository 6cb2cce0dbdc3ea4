"""What live buyers are sent and what their answers mean, by the recorded examples of `tests/dialects`; and that no
answer whatever is more than a yes or a no."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.bidders import exchange
from shared.configuration.dialects import DIALECTS
from shared.configuration.live_buyers import LiveBuyerConfig
from shared.domain import phone, reasons
from shared.domain.live_bids import Ask, Call, No, Reply, Yes
from shared.domain.live_bids import LiveBuyer as Compiled
from shared.domain.templates import Unaskable

RECORDED = Path(__file__).parent.parent / "dialects"
NOON = 1767268800
"""2026-01-01 12:00 UTC"""
FILES = {file.stem: json.loads(file.read_text()) for file in RECORDED.glob("*.json")}
AS_CUSTOM = FILES.pop("as_custom")
EVERYTHING = {
    "caller_id": "+16145550199", "zip": "30341", "email": "someone@example.com", "first_name": "Alexandra",
    "state": "OH", "traffic_source_id": "4711", "age": "93",
}  # fmt: skip


def compiled(name: str, **overrides: Any) -> Compiled:
    file = FILES[name]
    return LiveBuyerConfig.model_validate(file["configuration"] | overrides).compile(file["contact_fields"], 0)


def as_custom(name: str) -> Compiled:
    urls = {key: url for key, url in FILES[name]["configuration"].items() if key.endswith("_url")}
    return LiveBuyerConfig.model_validate({"dialect": "custom", **urls, **AS_CUSTOM[name]}).compile([], 0)


def an_ask(step: Any = "ping", name: str = "ringpost", lead: Any = None, **values: Any) -> Ask:
    def secret(wanted: str) -> str:
        try:
            found: str = FILES[name].get("secrets", {})[wanted]
        except KeyError:
            raise Unaskable(f"the secret {wanted} is not set") from None
        return found

    lead = FILES[name]["lead"] if lead is None else lead
    return Ask(step=step, lead=lead, secret=secret, key="0123456789abcdef", now=NOON, **values)


def examples() -> Iterator[Any]:
    for name, file in sorted(FILES.items()):
        for recorded in file["examples"]:
            yield pytest.param(name, compiled(name), recorded, id=f"{name}: {recorded['says']}")
            if name in AS_CUSTOM:
                yield pytest.param(name, as_custom(name), recorded, id=f"{name} as custom: {recorded['says']}")


@pytest.mark.parametrize(("name", "live", "recorded"), list(examples()))
def test_the_recorded_examples(name: str, live: Compiled, recorded: Any) -> None:
    way = live.ping if recorded["step"] == "ping" else live.post
    assert way
    ask = an_ask(recorded["step"], name, reference=recorded.get("reference", ""))
    if wanted := recorded.get("request"):
        assert plain(exchange.request(way, ask)) == {"headers": {}} | wanted
    assert meaning(exchange.read(way, ask, reply(recorded["answer"]))) == recorded["means"]


def test_every_dialect_has_examples_and_can_be_written_as_custom() -> None:
    of_dialects = {file["configuration"]["dialect"] for file in FILES.values()}
    assert of_dialects == {*DIALECTS}
    assert AS_CUSTOM.keys() == DIALECTS.keys() - {"custom"}


def plain(call: Call) -> dict[str, Any]:
    """A call as examples write it."""
    headers = {name: text for name, text in call.headers.items() if name not in ("Content-Type", "Accept")}
    made: dict[str, Any] = {"method": call.method, "url": call.url, "headers": headers}
    kind = call.headers.get("Content-Type")
    if kind == "application/json":
        made["json"] = json.loads(call.body)
    elif kind:
        made["form"] = dict(parse_qsl(call.body.decode(), strict_parsing=True))
    return made


def reply(answer: Any) -> Reply:
    return Reply(answer["status"], (answer["text"] if "text" in answer else json.dumps(answer["json"])).encode())


def meaning(said: Yes | No) -> dict[str, Any]:
    """An answer as examples write it."""
    if isinstance(said, No):
        return {"no": reasons.reason_to_show(said)} | ({"broken": True} if said.broken else {})
    means = {
        "dollars": None if said.cents is None else str(Decimal(said.cents) / 100 + Decimal("0.00")),
        "reference": said.reference or None,
        "ends_after_seconds": said.expires_at - NOON if said.expires_at else None,
        "number": said.number or None,
        "sip": said.sip or None,
        "conversion_seconds": said.conversion_seconds,
    }
    return {name: value for name, value in means.items() if value is not None}


def bid(value: str) -> Yes | No:
    body = f'{{"success":true,"buyers":[{{"bid":{value}}}]}}'
    return exchange.read(compiled("ringpost").ping, an_ask(), Reply(200, body.encode()), 60_00)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("0", "a bid of 0"), ("0.004", "a bid of 0"),
        ('""', "the answer has no bid"), ("null", "the answer has no bid"),
        ("-1", "bid must not be negative"), ('"-0.01"', "bid must not be negative"),
        ("true", "bid must be an amount in dollars"), ('"€25"', "bid must be an amount in dollars"),
        ('"1.250,00"', "bid must be an amount in dollars"), ('"25,00"', "bid must be an amount in dollars"),
        ('"1,25"', "bid must be an amount in dollars"), ('"$"', "bid must be an amount in dollars"),
        ('"25 EUR"', "bid must be an amount in dollars"), ('"25-30"', "bid must be an amount in dollars"),
        ('"-$5"', "bid must not be negative"), ('"$-5.00"', "bid must not be negative"),
        ('"$1,250.00"', "a bid of 1250.00 is above the max_bid of 60.00"),
        ("[25]", "bid must be an amount in dollars"), ('{"usd":25}', "bid must be an amount in dollars"),
        ("1e308", "bid must be at most 100,000 dollars"), ('"1e308"', "bid must be at most 100,000 dollars"),
        ("9" * 400, "bid must be at most 100,000 dollars"), ('"NaN"', "bid must be at most 100,000 dollars"),
        ('"Infinity"', "bid must be at most 100,000 dollars"), ("1e999", "the answer is no JSON object"),
        ("NaN", "the answer is no JSON object"), ("75", "a bid of 75.00 is above the max_bid of 60.00"),
    ],
)  # fmt: skip
def test_what_is_no_amount_is_no_bid_and_says_why(value: str, reason: str) -> None:
    said = bid(value)
    assert isinstance(said, No)
    assert said.reason == reason


@given(st.decimals("0.01", "60", places=4))
def test_a_bid_is_its_whole_cents(amount: Decimal) -> None:
    for written in (str(amount), f'" {amount} "'):
        said = bid(written)
        assert isinstance(said, Yes)
        assert said.cents == int(amount * 100)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 60_000, b'{"success":true'],
    ids=["empty", "a list", "null", "a page", "not UTF-8", "deep lists", "deep objects", "cut"],
)  # fmt: skip
def test_what_cannot_be_read_is_broken(body: bytes) -> None:
    said = exchange.read(compiled("ringpost").ping, an_ask(), Reply(200, body))
    assert isinstance(said, No)
    assert said.broken


@pytest.mark.parametrize(("status", "broken"), [(301, True), (400, False), (404, False), (500, True), (503, True)])
def test_no_page_of_errors_is_a_bid(status: int, broken: bool) -> None:
    body = b'{"success":true,"buyers":[{"bid":25}]}'
    assert exchange.read(compiled("ringpost").ping, an_ask(), Reply(status, body)) == No(f"HTTP {status}", broken)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["accepted", "reserved", "25"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "success", "status", "bid", "bidAmount", "buyers", "code", "dynamicBid", "expires_at", "expireInSeconds", "errors",
    "message", "payout", "ping_id", "number", "phoneNumber", "sipAddress", "trackdrive_number", "retreaver_payout",
)  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES | st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES)))
EVERY_WAY = [way for name in FILES for way in (compiled(name).ping, compiled(name).post) if way]


@given(
    st.binary() | OBJECTS.map(lambda made: json.dumps(made).encode()) | st.text().map(str.encode),
    st.sampled_from(EVERY_WAY),
)
@example(b'{"success":true,"buyers":[{"bid":"1e-999999999"}]}', EVERY_WAY[0])
@example(b'{"success":true,"buyers":[{"bid":"1e99999999999999999999"}]}', EVERY_WAY[0])
def test_whatever_a_buyer_answers_is_a_yes_or_a_no(body: bytes, way: Any) -> None:
    for status in (200, 422, 500):
        for step in ("ping", "post"):
            said = exchange.read(way, an_ask(step), Reply(status, body))
            if isinstance(said, No):
                assert re.fullmatch(reasons.FIXED, said.reason)
                assert len(said.words) <= 200
                assert said.words.isprintable()
            else:
                assert status == 200
                assert said.cents is None or 0 <= said.cents <= 10_000_000
                assert said.expires_at == 0 or said.expires_at > NOON
                assert not said.number or phone.e164(said.number, "US") == said.number


@pytest.mark.parametrize("name", FILES)
def test_nothing_of_a_lead_is_sent_but_what_is_configured(name: str) -> None:
    live = compiled(name)
    sent = " ".join(
        f"{call.url} {call.headers} {call.body.decode()}"
        for way, step in ((live.ping, "ping"), (live.post, "post"))
        if way
        for call in [exchange.request(way, an_ask(step, name, lead=EVERYTHING | {"ssn": "078051120"}, reference="r"))]
    )
    configured = json.dumps(FILES[name]["configuration"]) + json.dumps(FILES[name]["contact_fields"])
    if FILES[name]["configuration"]["dialect"] in ("retreaver", "leadspedia"):
        configured += "state traffic_source_id"
    for field, value in EVERYTHING.items():
        if field not in configured:
            assert value not in sent, field
    assert "078051120" not in sent


@pytest.mark.parametrize(
    ("overrides", "sent"),
    [
        ({}, {"caller_id": "+16145550123", "zip": "30340"}),
        ({"caller_on_ping": "absent"}, {"zip": "30340"}),
        ({"caller_on_ping": "area_code"}, {"caller_id": "614", "zip": "30340"}),
        ({"on_post_only": ["zip"]}, {"caller_id": "+16145550123"}),
        ({"send": {"CLI": "caller_id"}}, {"CLI": "+16145550123"}),
        ({"send": {}}, {}),
    ],
)
def test_an_operator_says_what_is_sent_on_ping(overrides: Any, sent: dict[str, str]) -> None:
    live = compiled("ringpost", parameters={}, **overrides)
    assert json.loads(exchange.request(live.ping, an_ask()).body) == sent


def test_a_secret_that_is_not_set_or_a_url_without_its_value_asks_nobody() -> None:
    with pytest.raises(Unaskable, match="the secret key is not set"):
        exchange.request(compiled("retreaver").ping, an_ask(name="ringpost"))
    with pytest.raises(Unaskable, match="its URL has a value that the lead has not"):
        exchange.request(compiled("text").ping, an_ask(name="text", lead={}))


def test_a_lead_cannot_write_into_url_or_headers() -> None:
    live = compiled("text", headers={"X-Zip": "{lead.zip}"})
    call = exchange.request(live.ping, an_ask(name="text", lead={"zip": "3&admin=1\r\nX-Evil: 1", "caller_id": "+1"}))
    assert call.url.startswith("https://buyer.example/ask?zip=3%26admin%3D1%0D%0AX-Evil%3A%201&caller=")
    assert call.headers["X-Zip"] == "3&admin=1  X-Evil: 1"


@pytest.mark.parametrize(
    "value", ["..", ".", "../../admin", "a/../b", "..\\x", "%2e%2e", "%252E%252e", "x%2f..%2fy", "..;/admin", " .. "]
)
def test_a_lead_cannot_step_out_of_a_path(value: str) -> None:
    live = compiled("ringpost", ping_url="https://buyer.example/{lead.sub}/ping?sub={lead.sub}")
    with pytest.raises(Unaskable, match="a value that cannot stand there"):
        exchange.request(live.ping, an_ask(lead={"sub": value}))
    in_query = compiled("ringpost", ping_url="https://buyer.example/ping?sub={lead.sub}")
    url = urlsplit(exchange.request(in_query.ping, an_ask(lead={"sub": value})).url)
    assert (url.path, parse_qsl(url.query)) == ("/ping", [("sub", value)])


def test_a_path_of_two_values_that_make_a_step_is_none() -> None:
    live = compiled("ringpost", ping_url="https://buyer.example/{lead.a}{lead.b}/ping")
    with pytest.raises(Unaskable, match="a value that cannot stand there"):
        exchange.request(live.ping, an_ask(lead={"a": ".", "b": "."}))


@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
@example(value="/?#@:&=;%\r\n é")
def test_whatever_a_lead_has_it_stays_in_its_place(value: str) -> None:
    live = compiled(
        "ringpost", ping_url="https://buyer.example/in/{lead.sub}/ping?sub={lead.sub}&a=1", headers={"X": "{lead.sub}"}
    )
    try:
        call = exchange.request(live.ping, an_ask(lead={"sub": value}))
    except Unaskable:
        assert "." in unquote(unquote(value))
        return
    url = urlsplit(call.url)
    assert (url.scheme, url.netloc, url.fragment) == ("https", "buyer.example", "")
    assert [unquote(part) for part in url.path.split("/")] == ["", "in", value, "ping"]
    assert parse_qsl(url.query) == [("sub", value), ("a", "1")]
    assert call.url.isascii()
    assert call.headers.keys() == {"X", "Content-Type", "Accept"}
    assert call.headers["X"].isprintable()


def test_what_is_asked_shows_nothing_in_a_log() -> None:
    ask = an_ask(name="text")
    shown = f"{ask} {exchange.request(compiled('text').ping, ask)} {Reply(200, b'+16145550123')}"
    assert shown == "Ask(ping) Call(GET) Reply(200, 12 bytes)"


def test_what_a_buyer_calls_its_bid_cannot_write_into_a_url() -> None:
    live = compiled("ringpost", post_url="https://buyer.example/post?bid={bid.reference}")
    assert live.post
    call = exchange.request(live.post, an_ask("post", reference="1&price=0 #"))
    assert call.url == "https://buyer.example/post?bid=1%26price%3D0%20%23"
    assert json.loads(call.body)["ping_id"] == "1&price=0 #"
