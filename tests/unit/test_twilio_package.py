"""Our check of signatures and our TwiML, held to Twilio's own package."""

from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Dial as TheirDial
from twilio.twiml.voice_response import Gather, VoiceResponse

from shared.providers import twilio
from shared.providers.instructions import Dial, Hangup, Instruction, Reject, Say, Whisper
from tests.unit.test_providers import FILES, a_webhook

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
FIELDS = st.dictionaries(TEXTS, TEXTS, max_size=8)
URLS = st.builds(
    "{}://ringpost.example{}/calls/main/{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["", ":80", ":443", ":8000"]),
    st.sampled_from(["voice", "dial?n=1", "dial?n=1&who=caller", "voice#top"]),
)
WRITTEN_AS_SPACES = {0: " ", 0xFFFE: " ", ord("\n"): " "}
"""What the package writes as it is: XML cannot have it, and a sentence that is said does not need it."""
ALGORITHMS = st.sampled_from(["", "HMAC_SHA1", "HMAC_SHA256"])


@given(URLS, FIELDS, ALGORITHMS, st.sampled_from(["", ":80", ":443"]), st.booleans())
def test_what_the_package_signs_is_authentic_and_what_it_refuses_is_not(
    url: str, fields: dict[str, str], algorithm: str, port: str, is_changed: bool
) -> None:
    package = RequestValidator("12345")
    signed = url.replace("ringpost.example/", f"ringpost.example{port}/")
    signature = package.compute_signature(signed, fields, algorithm or None)
    if is_changed:
        fields = fields | {"Digits": fields.get("Digits", "") + "1"}
    webhook = a_webhook(
        urlencode(fields).encode(),
        url,
        x_twilio_signature=signature,
        x_twilio_webhooks_signature_settings=f"key=k1, algorithm = {algorithm.lower()}" if algorithm else "",
    )
    ours = twilio.is_signed(webhook, ["12345"])
    assert ours == package.validate(url, fields, signature, algorithm or None)
    assert not (is_changed and ours)


@pytest.mark.parametrize("settings", ["key=k1,algorithm=HMAC_MD5", "algorithm=none", "algorithm=sha1"])
def test_a_signature_by_an_unknown_algorithm_is_not_authentic(settings: str) -> None:
    signature = RequestValidator("12345").compute_signature("https://ringpost.example/", {"CallSid": "CA1"})
    webhook = a_webhook(b"CallSid=CA1", "https://ringpost.example/", x_twilio_signature=signature)
    assert twilio.is_signed(webhook, ["12345"])
    headers = webhook.headers | {"x-twilio-webhooks-signature-settings": settings}
    assert not twilio.is_signed(msgspec.structs.replace(webhook, headers=headers), ["12345"])


def write_by_the_package(instruction: Instruction) -> str:
    answer = VoiceResponse()
    match instruction:
        case Dial():
            answer.append(_dial(instruction))
        case Whisper(press=""):
            if instruction.say:
                answer.say(instruction.say)
        case Whisper():
            keys = len(instruction.press)
            gather = Gather(action=instruction.action, num_digits=keys, timeout=instruction.wait_seconds)
            if instruction.say:
                gather.say(instruction.say)
            answer.append(gather)
            answer.hangup()
        case Hangup():
            answer.hangup()
        case Reject():
            answer.reject(reason=instruction.reason)
        case Say():
            answer.say(instruction.text)
            answer.hangup()
    return str(answer)


def _dial(dial: Dial) -> TheirDial:
    recorded: dict[str, Any] = (
        {"record": "record-from-answer", "recording_status_callback": dial.recording} if dial.recording else {}
    )
    theirs = TheirDial(
        action=dial.action,
        timeout=dial.timeout_seconds,
        time_limit=dial.limit_seconds,
        caller_id=dial.caller_id or None,
        answer_on_bridge=True,
        **recorded,
    )
    of_leg: dict[str, Any] = {"url": dial.whisper or None}
    if dial.leg:
        of_leg |= {"status_callback": dial.leg, "status_callback_event": "answered"}
    if dial.sip:
        theirs.sip(twilio_sip(dial), **of_leg)
    else:
        theirs.number(dial.number, **of_leg)
    return theirs


def twilio_sip(dial: Dial) -> str:
    """The package takes a SIP address with its headers as one text."""
    return ElementTree.fromstring(twilio.write(dial))[0][0].text or ""


@pytest.mark.parametrize("entry", [pytest.param(each, id=each["says"]) for each in FILES["twilio"]["answers"]])
def test_what_we_write_the_package_writes_too(entry: Any) -> None:
    instruction = msgspec.convert(entry["instruction"], Instruction)
    ours = twilio.write(instruction).decode()
    theirs = write_by_the_package(instruction).translate(WRITTEN_AS_SPACES)
    assert ElementTree.canonicalize(ours) == ElementTree.canonicalize(theirs)
