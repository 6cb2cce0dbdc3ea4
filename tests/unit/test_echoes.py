"""What a live buyer says back of what it was sent is seen by nobody."""

import base64
import html
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.bidders import echoes, exchange
from shared.configuration.live_buyers import LiveBuyerConfig
from shared.domain import reasons
from shared.domain.live_bids import Ask, No, Reply

SECRET = "sk-Live/4f9Qz77Lm2"
LOGIN = "acme:pa55/w0rd"
LEAD = {
    "caller_id": "+16145550123",
    "email": "alexandra.smith+calls@example.com",
    "first_name": "Alexandra",
    "last_name": "O'Brien",
    "nick": "Jo",
    "street": "12 Peachtree Alley",
    "born": "1985-03-27",
    "city": "Zürich",
    "state": "TX",
    "zip": "30340",
}
LIVE = LiveBuyerConfig.model_validate(
    {
        "dialect": "custom",
        "ping_url": "https://buyer.example/v1/Ab12cd34/ping?key={secret.key}&src=swordfish",
        "headers": {
            "Authorization": "Basic " + base64.b64encode(LOGIN.encode()).decode(),
            "X-Key": "{secret.key}",
            "X-Written": "hunter22",
        },
        "parameters": {"password": "opensesame", "nested": {"api_key": "correcthorse"}},
        "send": {name: name for name in LEAD},
        "ping": {"bid": "$.bid", "accepted": [{"at": "$.ok", "says": True}], "reason": "$.why"},
    }
).compile([], 0)


def an_ask(lead: Any = None) -> Ask:
    return Ask(step="ping", lead=LEAD if lead is None else lead, secret={"key": SECRET}.__getitem__, key="0f3e", now=0)


def shown(words: Any, status: int = 200, lead: Any = None, ok: object = False) -> str:
    body = json.dumps({"ok": ok, "why": words}).encode()
    said = exchange.read(LIVE.ping, an_ask(lead), Reply(status, body))
    assert isinstance(said, No)
    assert re.fullmatch(reasons.FIXED, said.reason)
    return reasons.reason_to_show(said)


def written(text: str) -> dict[str, str]:
    """In the forms that programs write a text in."""
    raw = text.encode()
    return {
        "plain": text,
        "capitals": text.upper(),
        "URL-encoded": quote(text, safe=""),
        "all URL-encoded": "".join(f"%{byte:02x}" for byte in raw),
        "URL-encoded twice": quote(quote(text, safe=""), safe=""),
        "JSON": json.dumps(text),
        "JSON in JSON": json.dumps(json.dumps(text)),
        "letters by number": "".join(f"\\u{ord(letter):04x}" for letter in text),
        "HTML": html.escape(text),
        "HTML by number": "".join(f"&#{ord(letter)};" for letter in text),
        "base64": base64.b64encode(raw).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "base64 of more": base64.b64encode(b"user:" + raw + b" and so on").decode(),
        "hexadecimal": raw.hex(),
        "full width": "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text),
        "unseen marks": "\u200b".join(text),
        "spelled": " ".join(text),
        "spelled with dots": ".".join(text),
        "backwards": text[::-1],
    }


FORMS = sorted(written("x"))


def letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sent", [SECRET, LOGIN, "hunter22", "opensesame", "correcthorse", "Ab12cd34"])
def test_no_secret_comes_back_in_any_form(sent: str, form: str) -> None:
    assert letters(shown(f"wrong key {written(sent)[form]} today")) == "wrongkeytoday"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "value", [LEAD[name] for name in ("caller_id", "email", "first_name", "street", "city", "born")]
)
def test_no_value_of_a_lead_comes_back_in_any_form(value: str, form: str) -> None:
    assert letters(shown(f"no room for {written(value)[form]} today")) == "noroomfortoday"


@pytest.mark.parametrize("part", [SECRET[:7], SECRET[-7:], SECRET[4:11], SECRET[-6:], "acme", "pa55/w0rd", "4f9Qz7"])
def test_no_part_of_a_secret_comes_back(part: str) -> None:
    assert part.lower() not in shown(f"the key {part}… is not known").lower()


@pytest.mark.parametrize(
    "number",
    [
        "+16145550123", "6145550123", "614-555-0123", "(614) 555-0123", "614.555.0123", "1 614 555 01 23",
        "614/555/0123",
        "614–555–0123", "6 1 4 5 5 5 0 1 2 3", "5550123", "555-0123", "0123", "tel:+1-614-555-0123", "614 555 0 1 2 3",
        "+1\u00a0614\u00a0555\u00a00123", "614555****0123", "+1 (614) 555 ext 0123", "614,555,0123", "614_555_0123",
    ],
)  # fmt: skip
def test_the_caller_does_not_come_back_however_it_is_written(number: str) -> None:
    said = shown(f"no room for {number} today")
    assert "0123" not in said
    assert "5550" not in re.sub(r"\W", "", said)
    assert said.startswith("no room for ")
    assert said.endswith(" today")


def test_what_is_said_of_nobody_stays() -> None:
    for words in (
        "Final capacity check (Code: 1006)", "no_matching_buyer", "CAMPAIGN_CAP_REACHED", "closed until 9 am",
        "state is required on ping. You did not send a value.", "The campaign internationalization-of-calls is paused.",
        "Max 3 calls an hour, 250 a day", "HTTP 403: no, we are closed", "tx txn text", "jo-jo joe", "Nur für Kunden",
    ):  # fmt: skip
        assert shown(words) == words


def test_a_short_value_takes_only_itself_out() -> None:
    assert (
        shown("TX and TXN: we buy in TX, not in tx; Jo, Joe, John") == "… and TXN: we buy in …, not in tx; …, Joe, John"
    )
    assert shown("zip 30340 is not served; 303401 is") == "zip … is not served; 303401 is"


def test_words_of_a_name_go_and_those_of_a_long_text_as_parts() -> None:
    lead = {"name": "Mary Ann Example", "note": "I need a new roof before the winter comes, please call"}
    assert shown("MARY, Ann-Example: no roof", lead=lead) == "…: no roof"
    assert shown("we got: need a new roof before the end", lead=lead) == "we got:…end"


def test_errors_by_field_lose_their_values() -> None:
    said = shown({"email": ["alexandra.smith+calls@example.com is no address"], "zip": [{"bad": "30340"}]})
    assert said == "… is no address …"


def test_an_address_in_the_web_goes_whole() -> None:
    assert shown("POST https://me:pw@buyer.example/x?key=1 failed") == "POST … failed"


@pytest.mark.parametrize(
    ("status", "ok", "reason"),
    [(200, False, "the answer has no yes at ok"), (200, True, "the answer has no bid"), (403, True, "HTTP 403")],
)
def test_where_nothing_is_left_the_reason_is_in_our_words(status: int, ok: bool, reason: str) -> None:
    nothing: list[Any] = [SECRET, "+1 614 555 0123", "alexandra", [], None, "…", LEAD["email"], {"a": "TX"}]
    for words in nothing:
        assert shown(words, status, ok=ok) == reason


def test_what_stands_elsewhere_in_the_answer_is_never_shown() -> None:
    body = json.dumps({"ok": "+16145550123 is not wanted", "bid": "Alexandra"}).encode()
    assert exchange.read(LIVE.ping, an_ask(), Reply(200, body)) == No("the answer has no yes at ok")


def test_words_are_cut_after_what_was_sent_is_out() -> None:
    for before in range(150, 230):
        said = shown("x" * 10 + " y" * (before // 2) + f" {SECRET} and {LEAD['caller_id']}")
        assert len(said) <= 200
        assert "sk" not in said.lower()
        assert "614" not in said
    assert shown("€" * 10_000) == "the answer has no yes at ok"
    assert shown(("Alexandra " * 500) + "zzz") == "…" or "lexandr" not in shown(("Alexandra " * 500) + "zzz").lower()


def test_a_large_lead_is_not_searched_for() -> None:
    assert shown("closed", lead={"note": "x" * (echoes.LARGEST_LEAD + 1)}) == "the answer has no yes at ok"


@given(
    value=st.text(st.characters(categories=["L", "N"]), min_size=8, max_size=40),
    before=st.text(max_size=30),
    after=st.text(max_size=30),
    form=st.sampled_from(["plain", "capitals", "URL-encoded", "JSON", "HTML", "base64", "hexadecimal"]),
)
@example(value="straßenbahn", before="", after="", form="capitals")
@example(value="İstanbul123", before="", after="", form="plain")
def test_no_value_ever_comes_back(value: str, before: str, after: str, form: str) -> None:
    sent = written(value)[form]
    said = shown(f"{before} {sent} {after}", lead={"any": value})
    if value.casefold() not in f"{before}{after}closed the answer has no yes at ok".casefold():
        assert value.casefold() not in said.casefold()
        assert sent not in said


@pytest.mark.parametrize(
    ("stored", "is_shown"),
    [
        ("+16145550123 is not wanted", False),
        ("success is Alexandra of Dallas", False),
        ("skipped for 9 s more after 5 failures in a row, the last: Alexandra", False),
        ("HTTP 500 for Alexandra", False),
        ("HTTP 500", True),
        ("no answer within 800 ms", True),
        ("the connection broke (ServerDisconnectedError)", True),
        ("skipped for 9 s more after 5 failures of posts in a row, the last: HTTP 500", True),
        ("bid must be an amount in dollars", True),
        ("the secret buyer_c is not set", True),
    ],
)
def test_what_an_earlier_release_stored_is_masked(stored: str, is_shown: bool) -> None:
    assert reasons.reason_to_show(No(stored)) == (stored if is_shown else reasons.NOT_SHOWN)
