"""What the webhooks of providers mean, which are authentic, and what providers are answered, by the recorded examples
of `tests/providers`. The signatures of Twilio's own test suite are among them."""

import base64
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import phone
from shared.providers import local, telnyx, twilio
from shared.providers.events import Accepted, Arrived, DialEnded, Event, NotRead, Recorded
from shared.providers.instructions import Dial, Instruction, Say, Whisper
from shared.providers.webhooks import Secrets, Webhook, read_form

RECORDED = Path(__file__).parent.parent / "providers"
FILES = {file.stem: json.loads(file.read_text()) for file in RECORDED.glob("*.json")}
PROVIDERS: dict[str, Any] = {"twilio": twilio, "telnyx": telnyx, "local": local}
NOON = 1767268800
"""2026-01-01 12:00 UTC"""
ADDRESS = "https://ringpost.example/calls/main/dial?n=1"
FORM = "application/x-www-form-urlencoded"
STEPS = ("voice", "dial", "leg", "whisper", "status", "recording", "again")


def recorded(what: str) -> list[Any]:
    return [
        pytest.param(name, entry, id=f"{name}: {entry['says']}")
        for name, file in sorted(FILES.items())
        for entry in file.get(what, [])
    ]


def test_every_provider_has_examples_of_every_step() -> None:
    assert FILES.keys() == PROVIDERS.keys()
    for file in FILES.values():
        assert {entry["step"] for entry in file["examples"]} == {*STEPS}


@pytest.mark.parametrize(("name", "entry"), recorded("examples"))
def test_what_a_webhook_means(name: str, entry: Any) -> None:
    form = read_form(a_webhook(urlencode(entry["form"]).encode()))
    event = PROVIDERS[name].read_event(entry["step"], form, entry["attempt"])
    assert msgspec.to_builtins(event) == entry["means"]


@pytest.mark.parametrize(("name", "entry"), recorded("refused"))
def test_what_is_no_event_says_why_and_no_value(name: str, entry: Any) -> None:
    with pytest.raises(NotRead) as why:
        PROVIDERS[name].read_event(entry["step"], entry["form"], entry["attempt"])
    assert str(why.value) == entry["sentence"]


@pytest.mark.parametrize(("name", "entry"), recorded("answers"))
def test_what_a_provider_is_answered(name: str, entry: Any) -> None:
    instruction = msgspec.convert(entry["instruction"], Instruction)
    answer = PROVIDERS[name].write(instruction)
    assert answer == entry["xml"].encode()
    assert ElementTree.fromstring(answer).tag == "Response"


TEXTS = st.text(max_size=40) | st.sampled_from(
    ["completed", "busy", "in-progress", "1", "95", "-1", "+16145550123", "CA1", "https://api.example/1", "true"]
)
NAMES = (
    "AccountSid", "CallSid", "ParentCallSid", "From", "To", "CallStatus", "CallDuration", "DialCallStatus",
    "DialCallSid", "DialCallDuration", "DialBridged", "Digits", "RecordingSid", "RecordingUrl", "RecordingDuration",
    "RecordingStatus",
)  # fmt: skip


@given(st.sampled_from(STEPS) | TEXTS, st.dictionaries(st.sampled_from(NAMES), TEXTS), st.integers())
def test_whatever_a_form_says_it_is_an_event_or_not_read(step: str, form: dict[str, str], attempt: int) -> None:
    try:
        event: Event = twilio.read_event(step, form, attempt)
    except NotRead:
        return
    assert event.call_sid
    assert event.account == form["AccountSid"]
    if isinstance(event, Arrived):
        assert not event.caller or phone.e164(event.caller, "US") == event.caller
    if isinstance(event, DialEnded | Recorded):
        assert event.seconds is None or 0 <= event.seconds <= 86400
        assert 1 <= event.attempt <= 9


@given(st.text(), st.text())
def test_whatever_is_said_it_stays_in_its_place(text: str, header: str) -> None:
    dial = Dial(
        action="/d?" + text, timeout_seconds=5, limit_seconds=60, sip="a@b.example" + text, headers={"X-A": header}
    )
    for instruction in (Say(text=text), Whisper(say=text), dial):
        root = ElementTree.fromstring(twilio.write(instruction))
        names = [element.tag for element in root.iter()]
        assert names[:2] in (["Response", "Dial"], ["Response", "Say"], ["Response"])
        assert names[2:] in (["Sip"], ["Hangup"], [])


def test_what_was_said_can_be_read_again() -> None:
    text = 'Tom & "Jerry\'s" <b> 😀 ü'
    root = ElementTree.fromstring(twilio.write(Dial(action=text, timeout_seconds=5, limit_seconds=60, number=text)))
    assert (root[0].get("action"), root[0][0].text) == (text, text)


def a_webhook(body: bytes, url: str = ADDRESS, received_at: int = NOON, kind: str = FORM, **headers: str) -> Webhook:
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return Webhook(url=url, headers={"content-type": kind} | lower, body=body, received_at=received_at)


def a_vector(entry: Any) -> Webhook:
    """A signature of Twilio's own test suite: those forms name no account."""
    if "json" in entry:
        body, kind = entry["json"].encode(), "application/json; charset=utf-8"
    else:
        body, kind = urlencode([(name, value) for name, value in entry["form"]]).encode(), FORM
    return a_webhook(body, entry["url"], kind=kind, x_twilio_signature=entry["signature"])


@pytest.mark.parametrize("entry", [pytest.param(each, id=each["says"]) for each in FILES["twilio"]["signatures"]])
def test_the_signatures_of_twilio(entry: Any) -> None:
    key = FILES["twilio"]["key_of_signatures"]
    webhook = a_vector(entry)
    assert twilio.is_signed(webhook, [key])
    assert twilio.is_signed(webhook, ["the next key", key])
    assert not twilio.is_signed(webhook, ["54321"])
    assert not twilio.is_signed(webhook, [])
    for changed in (
        msgspec.structs.replace(webhook, url=webhook.url.replace("foo=1", "foo=2")),
        msgspec.structs.replace(webhook, url=webhook.url.replace("mycompany", "othercompany")),
        msgspec.structs.replace(webhook, url=webhook.url.replace(".com", ".com.example")),
        msgspec.structs.replace(webhook, body=webhook.body + b"&Extra=1"),
        msgspec.structs.replace(webhook, body=b""),
        msgspec.structs.replace(webhook, body=b"\xff"),
    ):
        assert not twilio.is_signed(changed, [key]), changed.url


Sign = Callable[..., Webhook]


def sign_twilio(fields: Any, key: str = "k1", url: str = ADDRESS, received_at: int = NOON) -> Webhook:
    """Written apart from the product, by the page that it follows."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(key.encode(), text.encode(), "sha1").digest()).decode()
    return a_webhook(urlencode(fields).encode(), url, received_at, x_twilio_signature=signature)


PRIVATE = {name: Ed25519PrivateKey.from_private_bytes(name.encode() * 16) for name in ("k1", "k2", "k3")}


def public(key: str) -> str:
    return base64.b64encode(PRIVATE[key].public_key().public_bytes_raw()).decode()


def sign_telnyx(fields: Any, key: str = "k1", url: str = ADDRESS, received_at: int = NOON) -> Webhook:
    body = urlencode(fields).encode()
    signature = base64.b64encode(PRIVATE[key].sign(f"{NOON}|".encode() + body)).decode()
    return a_webhook(body, url, received_at, telnyx_timestamp=str(NOON), telnyx_signature_ed25519=signature)


def sign_local(fields: Any, key: str = "k1", url: str = ADDRESS, received_at: int = NOON) -> Webhook:
    body = urlencode(fields).encode()
    signed = {local.TIMESTAMP: str(NOON), local.SIGNATURE: local.sign(key, str(NOON), body)}
    return Webhook(url=url, headers={"content-type": FORM} | signed, body=body, received_at=received_at)


SIGN: dict[str, Sign] = {"twilio": sign_twilio, "telnyx": sign_telnyx, "local": sign_local}
HEADERS = {
    "twilio": ["x-twilio-signature"],
    "telnyx": ["telnyx-signature-ed25519", "telnyx-timestamp"],
    "local": [local.SIGNATURE, local.TIMESTAMP],
}
EMOJI = {"From": "📞", "CallSid": "CA1", "Empty": ""}


def the_secrets(name: str, *keys: str) -> Secrets:
    return Secrets(account=FILES[name]["account"], keys=tuple(public(key) if name == "telnyx" else key for key in keys))


def a_form(name: str, **overrides: str) -> dict[str, str]:
    return {"AccountSid": FILES[name]["account"]} | EMOJI | overrides


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_signature_by_either_of_two_keys_is_authentic(name: str) -> None:
    for key in ("k1", "k2"):
        webhook = SIGN[name](a_form(name), key)
        assert PROVIDERS[name].is_authentic(webhook, the_secrets(name, "k1", "k2"))
        assert PROVIDERS[name].is_authentic(webhook, the_secrets(name, "k2", "k1"))
        assert PROVIDERS[name].is_authentic(webhook, the_secrets(name, key))
        assert not PROVIDERS[name].is_authentic(webhook, the_secrets(name, "k3"))
        assert not PROVIDERS[name].is_authentic(webhook, the_secrets(name))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_wrong_or_missing_signature_is_not_authentic(name: str) -> None:
    webhook = SIGN[name](a_form(name))
    secrets = the_secrets(name, "k1")
    for header in HEADERS[name]:
        shown = webhook.headers[header]
        wrong = [
            "",
            " ",
            "é",
            "\ud800",
            shown[:-1],
            shown + "=",
            shown + " ",
            "A" + shown[1:],
            "0",
            "-1",
            "٣",
            "9" * 30,
        ]
        for value in wrong:
            changed = msgspec.structs.replace(webhook, headers=webhook.headers | {header: value})
            assert not PROVIDERS[name].is_authentic(changed, secrets), (header, value)
        less = {each: value for each, value in webhook.headers.items() if each != header}
        assert not PROVIDERS[name].is_authentic(msgspec.structs.replace(webhook, headers=less), secrets)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_signature_of_one_request_is_none_of_another(name: str) -> None:
    webhook, secrets = SIGN[name](a_form(name)), the_secrets(name, "k1")
    for fields in (a_form(name, From="+16145550123"), a_form(name, Digits="1"), a_form(name, CallSid="CA2")):
        body = urlencode(fields).encode()
        assert not PROVIDERS[name].is_authentic(msgspec.structs.replace(webhook, body=body), secrets)


@pytest.mark.parametrize("name", PROVIDERS)
def test_another_account_is_not_authentic_however_well_signed(name: str) -> None:
    secrets = the_secrets(name, "k1")
    for account in ("AC00000000000000000000000000000002", "", secrets.account + " ", secrets.account.lower() + "é"):
        webhook = SIGN[name](a_form(name, AccountSid=account))
        assert not PROVIDERS[name].is_authentic(webhook, secrets)
    assert not PROVIDERS[name].is_authentic(SIGN[name](EMOJI), secrets)
    nobody = Secrets(account="", keys=secrets.keys)
    assert not PROVIDERS[name].is_authentic(SIGN[name](a_form(name, AccountSid="")), nobody)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("empty", ["", "no base64 ", "AAAA"])
def test_a_key_that_is_none_spoils_nothing_and_opens_nothing(name: str, empty: str) -> None:
    right = the_secrets(name, "k1")
    both = Secrets(account=right.account, keys=(empty, *right.keys))
    webhook = SIGN[name](a_form(name))
    assert PROVIDERS[name].is_authentic(webhook, both)
    assert not PROVIDERS[name].is_authentic(webhook, Secrets(account=right.account, keys=(empty,)))
    if name != "telnyx":
        by_nobody = SIGN[name](a_form(name), "")
        assert not PROVIDERS[name].is_authentic(by_nobody, Secrets(account=right.account, keys=("",)))


@pytest.mark.parametrize("name", ["telnyx", "local"])
@pytest.mark.parametrize(("later", "authentic"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_replayed_request_is_not_authentic_after_300_seconds(name: str, later: int, authentic: bool) -> None:
    webhook = SIGN[name](a_form(name), received_at=NOON + later)
    assert PROVIDERS[name].is_authentic(webhook, the_secrets(name, "k1")) is authentic


@pytest.mark.parametrize("name", ["telnyx", "local"])
def test_the_time_of_a_replayed_request_cannot_be_changed(name: str) -> None:
    webhook = SIGN[name](a_form(name), received_at=NOON + 301)
    headers = webhook.headers | {HEADERS[name][1]: str(NOON + 301)}
    assert not PROVIDERS[name].is_authentic(msgspec.structs.replace(webhook, headers=headers), the_secrets(name, "k1"))


@pytest.mark.parametrize(
    "url",
    [
        "https://ringpost.example/calls/main/voice", "https://ringpost.example:443/calls/main/voice",
        "https://ringpost.example:8443/calls/main/voice", "http://127.0.0.1:8000/calls/main/voice",
        "http://[::1]:8000/calls/main/voice?n=1:2", "https://ringpost.example", "https://ringpost.example?n=1",
        "https://ringpost.example/a:b@c?", "https://user:password@ringpost.example/voice", "not a url",
    ],
)  # fmt: skip
def test_twilio_signs_urls_with_and_without_their_port(url: str) -> None:
    secrets = the_secrets("twilio", "k1")
    assert twilio.is_authentic(sign_twilio(a_form("twilio"), url=url), secrets)
    parts = urlsplit(url)
    if parts.hostname and parts.port:
        webhook = sign_twilio(a_form("twilio"), url=url.replace(f":{parts.port}", "", 1))
        assert twilio.is_authentic(msgspec.structs.replace(webhook, url=url), secrets)


def test_json_is_authentic_only_by_the_hash_of_its_body_and_its_account() -> None:
    secrets = the_secrets("twilio", "k1")

    def sign(body: bytes, hashed: bytes) -> Webhook:
        url = f"{ADDRESS}&bodySHA256={sha256(hashed).hexdigest()}"
        webhook = sign_twilio({}, url=url)
        headers = webhook.headers | {"content-type": "application/json"}
        return msgspec.structs.replace(webhook, body=body, headers=headers)

    ours = json.dumps({"AccountSid": secrets.account, "CallSid": "CA1", "Deep": {"a": 1}}).encode()
    assert twilio.is_authentic(sign(ours, ours), secrets)
    assert read_form(sign(ours, ours)) == {"AccountSid": secrets.account, "CallSid": "CA1"}
    for body in (b'{"AccountSid": "AC2"}', b"{}", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"AccountSid": 1}', b""):
        assert not twilio.is_authentic(sign(body, body), secrets)
    assert not twilio.is_authentic(sign(ours, b"another"), secrets)
    unhashed = sign_twilio({})
    headers = unhashed.headers | {"content-type": "application/json"}
    assert not twilio.is_authentic(msgspec.structs.replace(unhashed, body=ours, headers=headers), secrets)


def test_what_is_read_is_what_was_signed() -> None:
    """The body's fields, not the query's: of Telnyx and the local provider nobody signs the URL."""
    webhook = sign_local({"CallSid": "CA1"}, url=f"{ADDRESS}&AccountSid=local&CallSid=CA2")
    assert read_form(webhook) == {"CallSid": "CA1"}
    assert not local.is_authentic(webhook, the_secrets("local", "k1"))
    with pytest.raises(NotRead, match=r"The webhook is no form\."):
        read_form(a_webhook(b"\xff"))


def shown() -> Iterator[object]:
    yield Arrived(call_sid="CA1", account="AC1", caller="+16145550123", number="+18005550100")
    yield Accepted(call_sid="CA1", account="AC1", attempt=1, leg_sid="CA2", keys="16145550123")
    yield Dial(action="", timeout_seconds=1, limit_seconds=1, caller_id="+16145550123", headers={"X": "+16145550123"})
    yield Say(text="+16145550123")
    yield a_webhook(b"From=%2B16145550123")
    yield Secrets(account="AC1", keys=("+16145550123",))


def test_no_caller_and_no_secret_is_shown_in_a_log() -> None:
    assert [repr(each) for each in shown()] == [
        "Arrived(CA1)", "Accepted(CA1)", "Dial()", "Say()", "Webhook(19 bytes)", "Secrets(1 keys)"
    ]  # fmt: skip


def test_providers_import_nothing_slow_before_a_check_needs_it() -> None:
    code = """
import sys
from shared.providers import local, telnyx, twilio
print(sorted({name.partition(".")[0] for name in sys.modules} & {"cryptography", "phonenumbers", "xml", "pydantic"}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
