"""The function that takes calls, under anything that anybody may send: a provider of each kind, its own signature or
none. Nothing is a failure, nothing that is wrong dials anybody, and no log has a word of it."""

import base64
import hashlib
import hmac
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from functions.call.handler import lambda_handler
from shared.http import serving
from shared.providers import local
from tests.build import CALLER, REQUEST_ID, SETTINGS, Clock, Stage, an_event, forget_process
from tests.configurations import a_provider, an_endpoint
from tests.office import opened
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KINDS = ("twilio", "telnyx", "local")
STEPS = ("voice", "dial", "leg", "whisper", "status", "recording", "again")
KEY = "key"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
ACCOUNT = f"AC{0:032}"
FORM = "application/x-www-form-urlencoded"
MARK = "Zmark"
"""In what is made up here, and in nothing of ours."""
NOBODYS = "+18005550111"
NUMBERS = {"twilio": "+18005550171", "telnyx": "+18005550172", "local": "+18005550173"}
"""Static ones, to which nobody has to announce a call."""
ADDRESS = "https://ringpost.example"

Event = dict[str, Any]
Sign = Callable[..., dict[str, str]]


def sign_twilio(path: str, body: bytes, key: str = KEY) -> dict[str, str]:
    pairs = {*parse_qsl(body.decode(errors="replace"), keep_blank_values=True)} if "bodySHA256" not in path else set()
    text = ADDRESS + path + "".join(name + value for name, value in sorted(pairs))
    signature = hmac.new(key.encode(), text.encode(errors="replace"), "sha1").digest()
    return {"x-twilio-signature": base64.b64encode(signature).decode()}


def sign_telnyx(_: str, body: bytes, key: str = KEY) -> dict[str, str]:
    at, private = str(int(time.time())), PRIVATE if key == KEY else Ed25519PrivateKey.generate()
    signature = private.sign(at.encode() + b"|" + body)
    return {"telnyx-timestamp": at, "telnyx-signature-ed25519": base64.b64encode(signature).decode()}


def sign_local(_: str, body: bytes, key: str = KEY) -> dict[str, str]:
    at = str(int(time.time()))
    return {local.TIMESTAMP: at, local.SIGNATURE: local.sign(key, at, body)}


SIGN: dict[str, Sign] = {"twilio": sign_twilio, "telnyx": sign_telnyx, "local": sign_local}


@pytest.fixture(scope="module")
def stage(client: "DynamoDBClient") -> Iterator[Stage]:
    """The function with an account of each kind, and a static endpoint at each."""
    secrets = {"twilio": KEY, "telnyx": PUBLIC, "local": KEY}
    environment = replace(SETTINGS, provider_secrets=json.dumps(secrets)).environment() | {
        "AWS_ACCESS_KEY_ID": engine.KEY,
        "AWS_SECRET_ACCESS_KEY": engine.KEY,
        "AWS_DEFAULT_REGION": engine.REGION,
    }
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        forget_process()
        engine.create_tables(client, SETTINGS)
        stage = Stage(client, clock=Clock(int(time.time())))
        opened(
            stage,
            providers=[a_provider(name=kind, kind=kind, account=ACCOUNT, token=f"{{secret.{kind}}}") for kind in KINDS],
            endpoints=[
                an_endpoint(
                    vanity_uri=kind,
                    tracking="static",
                    static_numbers={"1023": NUMBERS[kind]},
                    calls={"provider": kind},
                )
                for kind in KINDS
            ],
        )
        yield stage
    forget_process()


@pytest.fixture(scope="module")
def logged() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = serving.log.registered_handler
    before = handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    handler.setStream(before)  # type: ignore[attr-defined]


@dataclass
class Line:
    """What a provider of a kind sends, and what the function answers."""

    stage: Stage
    logged: io.StringIO

    def send(
        self, kind: str, step: str, body: bytes, *, n: int = 0, key: str | None = KEY, **sent: Any
    ) -> SimpleNamespace:
        """Signed by `key`; None signs nothing."""
        path, query = sent.pop("path", f"/calls/{kind}/{step}"), sent.pop("query", f"n={n}" if n else "")
        headers = {"content-type": FORM} | sent.pop("headers", {})
        if headers["content-type"].startswith("application/json"):
            query = f"{query}&bodySHA256={hashlib.sha256(body).hexdigest()}"
        if key is not None:
            headers |= SIGN[kind](f"{path}?{query}" if query else path, sent.get("signed", body), key)
        sent.pop("signed", None)
        event = an_event(path=path, query=query, body=body, headers=headers, **sent)
        return self.take(event)

    def say(self, kind: str, step: str, form: dict[str, str], **sent: Any) -> SimpleNamespace:
        said = {"AccountSid": ACCOUNT} | form
        return self.send(kind, step, urlencode(said, errors="surrogatepass").encode(), **sent)

    def take(self, event: Event) -> SimpleNamespace:
        answer = lambda_handler(event, SimpleNamespace(aws_request_id=REQUEST_ID))  # type: ignore[arg-type]
        lines = self.logged.getvalue()
        self.logged.seek(0)
        self.logged.truncate()
        assert lines.count("\n") == 1
        for secret in (MARK, CALLER.removeprefix("+1"), NOBODYS, *NUMBERS.values()):
            assert secret.removeprefix("+1") not in lines, lines
        assert answer["statusCode"] in (200, 403, 404, 405, 413), lines
        assert answer["headers"]["Cache-Control"] == "no-store"
        assert MARK not in answer["body"]
        verbs = (
            [element.tag for element in ElementTree.fromstring(answer["body"])] if answer["statusCode"] == 200 else []
        )
        return SimpleNamespace(code=answer["statusCode"], verbs=verbs, body=answer["body"])

    def calls(self) -> list[Any]:
        """All items of calls."""
        pages = self.stage.client.get_paginator("scan").paginate(TableName=SETTINGS.calls_table)
        return [item for page in pages for item in page["Items"]]


@pytest.fixture(scope="module")
def line(stage: Stage, logged: io.StringIO) -> Line:
    return Line(stage, logged)


TEXTS = st.text(max_size=30).map(MARK.__add__) | st.sampled_from(
    ["completed", "busy", "in-progress", "ringing", "1", "-1", "1000000000", "", "true", CALLER, NOBODYS, "📞", "CA1",
     "anonymous", "\0", "https://api.example/1"]
)  # fmt: skip
NAMES = (
    "AccountSid", "CallSid", "ParentCallSid", "From", "To", "CallStatus", "CallDuration", "DialCallStatus",
    "DialCallSid", "DialCallDuration", "DialBridged", "Digits", "RecordingSid", "RecordingUrl", "RecordingDuration",
)  # fmt: skip
FORMS = st.dictionaries(st.sampled_from(NAMES) | TEXTS, TEXTS, max_size=8)
BODIES = st.one_of(
    FORMS.map(lambda form: urlencode(form, errors="replace").encode()),
    st.binary(max_size=200),
    st.recursive(st.none() | st.integers() | TEXTS, lambda some: st.lists(some) | st.dictionaries(TEXTS, some)).map(
        lambda some: json.dumps(some).encode()
    ),
)
TYPES = st.sampled_from([FORM, "application/json", "multipart/form-data; boundary=a", "text/plain; charset=utf-16", ""])
QUERIES = st.sampled_from(["", "n=1", "n=9", "n=10", "n=-1", "n=1&n=2", "n=%00", "bodySHA256=" + "0" * 64]) | TEXTS


@settings(max_examples=150)
@given(
    kind=st.sampled_from(KINDS), step=st.sampled_from(STEPS), body=BODIES, content_type=TYPES, query=QUERIES,
    key=st.sampled_from([None, "", "another"]), shown=TEXTS,
)  # fmt: skip
def test_what_is_not_signed_is_not_read(
    line: Line, kind: str, step: str, body: bytes, content_type: str, query: str, key: str | None, shown: str
) -> None:
    headers = {"content-type": content_type} | ({} if key is not None else {"x-twilio-signature": shown})
    assert line.send(kind, step, body, query=query, headers=headers, key=key).code == 403
    assert line.calls() == []


@settings(max_examples=100)
@given(path=st.text(max_size=30).map("/calls/".__add__), method=st.sampled_from(["GET", "PUT", "POST", "HEAD"]))
def test_an_address_that_is_none_is_unknown(line: Line, path: str, method: str) -> None:
    assert line.send("local", "", b"a=1", path=path, method=method).code == 404
    assert line.send("local", "voice", b"a=1", method="GET").code == 405


@settings(max_examples=150)
@given(kind=st.sampled_from(KINDS), step=st.sampled_from(STEPS), form=FORMS, n=st.integers(0, 11))
def test_whatever_a_provider_says_of_no_number_of_ours_dials_nobody(
    line: Line, kind: str, step: str, form: dict[str, str], n: int
) -> None:
    told = line.say(kind, step, {**form, "AccountSid": ACCOUNT}, n=n)
    assert (told.code, told.verbs) in [(200, ["Hangup"]), (200, ["Reject"]), (200, [])]
    assert not told.verbs or step != "leg" or told.verbs == ["Hangup"]


def a_voice(**more: str) -> bytes:
    said = {"AccountSid": ACCOUNT, "CallSid": "CA1", "From": CALLER, "To": NOBODYS} | more
    return urlencode(said).encode()


HOSTILE = {
    "broken UTF-8": a_voice() + b"&x=\xff\xfe",
    "broken UTF-8 in percents": a_voice() + b"&x=%ff%fe&From=%c3%28",
    "a number twice": a_voice() + b"&To=%2B18005550112",
    "many fields": b"&".join([a_voice(), *(b"f%d=" % n for n in range(1500))]),
    "one field many times": a_voice() + b"&To=1" * 3000,
    "null bytes": a_voice(CallSid="CA\0", From="\0", To="\0"),
    "null bytes raw": a_voice() + b"\0\0&\0=\0",
    "an emoji": a_voice(From="📞"),
    "half an emoji": a_voice() + b"&From=%ed%a0%bd",
    "nothing": b"",
    "semicolons": a_voice().replace(b"&", b";"),
    "a long caller": a_voice(From="9" * 15_000),
    "a SIP address": a_voice(From="sip:" + "a" * 8_000 + "@host.example"),
    "lines": a_voice(CallSid="CA1\r\nX: 1"),
    "a formula": a_voice(CallSid='=cmd|"/c calc"!A1'),
    "XML": a_voice(CallSid="<Dial>+18005550199</Dial>"),
}
TOO_LARGE = {"10,000 fields": b"&".join([a_voice(), *(b"f%d=" % n for n in range(10_000))]), "1 MB": b"a" * 1_000_000}
JSONS = {
    "a form as JSON": json.dumps({"AccountSid": ACCOUNT, "CallSid": "CA1", "From": CALLER, "To": NOBODYS}).encode(),
    "numbers and lists": json.dumps({"AccountSid": ACCOUNT, "CallSid": 1, "From": [CALLER], "To": {}}).encode(),
    "deep": b'{"AccountSid":' + b"[" * 15_000,
    "a list": b"[]",
    "broken": b'{"AccountSid": "\xff',
    "surrogates": json.dumps({"AccountSid": ACCOUNT, "CallSid": "\ud800", "From": "\ud800", "To": NOBODYS}).encode(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_a_hostile_body_dials_nobody(line: Line, kind: str, step: str) -> None:
    for says, body in HOSTILE.items():
        told = line.send(kind, step, body, n=1)
        assert told.code in (200, 403), says
        assert told.verbs in ([], ["Hangup"], ["Reject"]), says
    for says, body in JSONS.items():
        told = line.send(kind, step, body, n=1, headers={"content-type": "application/json; charset=utf-8"})
        assert told.code in (200, 403), says
        assert told.verbs in ([], ["Hangup"], ["Reject"]), says
        assert line.send(kind, step, body, n=1).code == 403, says
    for body in TOO_LARGE.values():
        assert line.send(kind, step, body, n=1).code == 413


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_goes_on_whatever_strangers_say_of_it(line: Line, kind: str) -> None:
    sid, before = f"CA-{kind}", line.calls()
    voice = {"CallSid": sid, "From": CALLER, "To": NUMBERS[kind], "CallStatus": "ringing"}
    told = line.say(kind, "voice", voice)
    assert told.verbs == ["Dial"]
    [item] = [each for each in line.calls() if each not in before]
    ends = {"CallSid": sid, "ParentCallSid": sid, "DialCallStatus": "completed", "CallStatus": "completed"}
    lasted = ends | {"DialCallDuration": "86400", "CallDuration": "86400", "Digits": "1"}
    for step in STEPS:
        body = urlencode({"AccountSid": ACCOUNT} | lasted).encode()
        for refused in (
            line.send(kind, step, body, n=1, key=None),
            line.send(kind, step, body, n=1, key="another"),
            line.send(kind, step, body, n=1, signed=body + b"&x=1"),
            line.say(kind, step, lasted | {"AccountSid": f"AC{1:032}"}, n=1),
            line.say(kind, step, lasted | {"AccountSid": ""}, n=1),
            line.send(kind, step, body, n=1, headers=SIGN[kind](f"/calls/{kind}/elsewhere", b""), key=None),
        ):
            assert refused.code == 403
    for seconds in ("-1", "1000000000", "1e3", "📞", "٣"):
        wrong = {"DialCallDuration": seconds, "CallDuration": seconds}
        assert line.say(kind, "dial", ends | wrong, n=1).verbs == ["Hangup"]
        assert line.say(kind, "status", ends | wrong).verbs == ["Hangup"]
    for shown in ("📞", "\0", "+1614555012é"):
        assert line.say(kind, "voice", voice | {"CallSid": "CA-odd", "From": shown}).verbs == ["Hangup"]
    for other in set(KINDS) - {kind}:
        assert line.say(other, "dial", lasted, n=1).verbs == ["Hangup"], "another account's call"
        assert line.say(other, "voice", voice).verbs == ["Reject"], "another account's number"
    assert item in line.calls()
    assert line.say(kind, "voice", voice).body == told.body
    assert line.say(kind, "dial", {"CallSid": sid, "DialCallStatus": "busy"}, n=1).verbs == ["Dial"]


@pytest.mark.parametrize("kind", ["telnyx", "local"])
def test_an_old_webhook_is_not_taken_again(line: Line, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, now = len(line.calls()), time.time()
    body = a_voice(CallSid="CA-old", To=NUMBERS[kind])
    old = SIGN[kind](f"/calls/{kind}/voice", body)
    monkeypatch.setattr(time, "time", lambda: now + 302)
    for step in STEPS:
        assert line.send(kind, step, body, key=None, headers=old, n=1).code == 403
    assert len(line.calls()) == before
