"""The answers of the service, as a provider reads them. https://www.twilio.com/docs/voice/twiml"""

from typing import NamedTuple
from urllib.parse import parse_qsl
from xml.etree import ElementTree  # nosec B405
from xml.etree.ElementTree import Element  # nosec B405

from shared.providers.instructions import Dial, Hangup, Reject

TIMEOUT_SECONDS, LIMIT_SECONDS, KEY_SECONDS = 30, 14400, 5
"""What TwiML means where it says nothing."""


class Say(NamedTuple):
    text: str


class Gather(NamedTuple):
    """Say a text, and wait so many seconds for so many keys; without a key the next verb comes."""

    say: str
    action: str
    digits: int
    wait_seconds: int


Verb = Dial | Gather | Say | Reject | Hangup


class NotTwiml(Exception):
    """An answer is not TwiML that the local provider can follow. The message is one sentence."""


def read(document: bytes) -> list[Verb]:
    """The verbs in their order. Raises `NotTwiml`."""
    try:
        # Our own service has written it.
        root = ElementTree.fromstring(document)  # noqa: S314  # nosec B314
    except ElementTree.ParseError:
        raise NotTwiml("The answer is no XML.") from None
    if root.tag != "Response":
        raise NotTwiml("The answer is no <Response>.")
    return [_verb(element) for element in root]


def _verb(element: Element) -> Verb:
    match element.tag:
        case "Dial":
            return _dial(element)
        case "Gather":
            return Gather(
                say="".join(say.text or "" for say in element.iter("Say")),
                action=element.get("action", ""),
                digits=int(element.get("numDigits", "1")),
                wait_seconds=int(element.get("timeout", KEY_SECONDS)),
            )
        case "Say":
            return Say(element.text or "")
        case "Reject":
            return Reject(reason="busy" if element.get("reason") == "busy" else "rejected")
        case "Hangup":
            return Hangup()
    raise NotTwiml(f"The local provider does not know the verb <{element.tag}>.")


def _dial(element: Element) -> Dial:
    noun = next(iter(element), None)
    if noun is None or noun.tag not in ("Number", "Sip") or not noun.text:
        raise NotTwiml("The <Dial> has no <Number> and no <Sip>.")
    sip, _, headers = noun.text.partition("?") if noun.tag == "Sip" else ("", "", "")
    return Dial(
        action=element.get("action", ""),
        timeout_seconds=int(element.get("timeout", TIMEOUT_SECONDS)),
        limit_seconds=int(element.get("timeLimit", LIMIT_SECONDS)),
        caller_id=element.get("callerId", ""),
        number=noun.text if noun.tag == "Number" else "",
        sip=sip,
        headers=dict(parse_qsl(headers)),
        leg=noun.get("statusCallback", ""),
        whisper=noun.get("url", ""),
        recording=element.get("recordingStatusCallback", ""),
    )
