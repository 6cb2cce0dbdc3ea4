"""The language that Twilio began and other providers speak too: webhooks are forms, answers are TwiML.

https://www.twilio.com/docs/voice/twiml
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from shared.domain import phone
from shared.providers.events import Accepted, Answered, Arrived, DialEnded, Event, NotRead, Over, Recorded, Status
from shared.providers.instructions import Dial, Hangup, Instruction, Reject, Say, Whisper

MOST_ATTEMPTS = 9
LONGEST_SECONDS = 24 * 3600
"""No provider lets a call last longer."""
REGION = "US"
"""Where a number without a country code is dialed."""
ENDS: dict[str, Status] = {
    "completed": "completed", "busy": "busy", "no-answer": "no_answer", "failed": "failed", "canceled": "canceled",
}  # fmt: skip
DIAL_ENDS: dict[str, Status] = ENDS | {"answered": "completed"}
IS_ANSWERED = ("in-progress", "answered")


def read_event(step: str, form: Mapping[str, str], attempt: int) -> Event:
    """What a webhook says. `step` and `attempt` (1, 2, …; 0 where there is none) are those of the address of ours that
    was called. Raises `NotRead`."""
    account = _id(form, "AccountSid")
    match step:
        case "voice" | "again":
            return Arrived(
                call_sid=_id(form, "CallSid"),
                account=account,
                caller=_caller(form.get("From", "")),
                number=_number(form),
            )
        case "leg":
            if form.get("CallStatus") not in IS_ANSWERED:
                raise NotRead("CallStatus does not say that the leg was answered.")
            return _answered(form, account, attempt)
        case "whisper":
            return _accepted(form, account, attempt) if form.get("Digits") else _answered(form, account, attempt)
        case "dial":
            return _dial_ended(form, account, attempt)
        case "status":
            status = _status(form, "CallStatus", ENDS)
            return Over(
                call_sid=_id(form, "CallSid"),
                account=account,
                status=status,
                seconds=_seconds(form, "CallDuration", 0 if status != "completed" else None),
            )
        case "recording":
            return _recorded(form, account, attempt)
    raise NotRead("There is no such step of a call.")


def write(instruction: Instruction) -> bytes:
    """The instruction as TwiML, in ASCII."""
    match instruction:
        case Dial():
            verbs = _dial(instruction)
        case Whisper(say=say, press=""):
            verbs = _element("Say", {}, _escape(say)) if say else ""
        case Whisper():
            verbs = _gather(instruction) + _element("Hangup")
        case Hangup():
            verbs = _element("Hangup")
        case Reject(reason=reason):
            verbs = _element("Reject", {"reason": reason})
        case Say(text=text):
            verbs = _element("Say", {}, _escape(text)) + _element("Hangup")
    return _element("Response", {}, verbs).encode("ascii", "xmlcharrefreplace")


def _answered(form: Mapping[str, str], account: str, attempt: int) -> Answered:
    return Answered(
        call_sid=_id(form, "ParentCallSid"), account=account, attempt=_attempt(attempt), leg_sid=_id(form, "CallSid")
    )


def _accepted(form: Mapping[str, str], account: str, attempt: int) -> Accepted:
    if not re.fullmatch("[0-9*#]{1,32}", form["Digits"]):
        raise NotRead("Digits are not keys of a telephone.")
    return Accepted(
        call_sid=_id(form, "ParentCallSid"),
        account=account,
        attempt=_attempt(attempt),
        leg_sid=_id(form, "CallSid"),
        keys=form["Digits"],
    )


def _dial_ended(form: Mapping[str, str], account: str, attempt: int) -> DialEnded:
    """A provider asks what to do next only when the dialing is over, whatever word it has for how."""
    status = DIAL_ENDS.get(form.get("DialCallStatus", ""), "failed")
    return DialEnded(
        call_sid=_id(form, "CallSid"),
        account=account,
        attempt=_attempt(attempt),
        leg_sid=_id(form, "DialCallSid") if form.get("DialCallSid") else "",
        status=status,
        seconds=_seconds(form, "DialCallDuration", 0 if status != "completed" else None),
        bridged=form.get("DialBridged", "").lower() == "true",
        caller_gone=form.get("CallStatus") in ENDS,
    )


def _recorded(form: Mapping[str, str], account: str, attempt: int) -> Recorded:
    if form.get("RecordingStatus", "completed") != "completed":
        raise NotRead("RecordingStatus does not say that there is a recording.")
    url = form.get("RecordingUrl", "")
    if not re.fullmatch(r"https://[!-~]{1,2000}", url):
        raise NotRead("RecordingUrl is no https address.")
    return Recorded(
        call_sid=_id(form, "ParentCallSid" if form.get("ParentCallSid") else "CallSid"),
        account=account,
        attempt=_attempt(attempt),
        recording_sid=_id(form, "RecordingSid"),
        url=url,
        seconds=_seconds(form, "RecordingDuration", None),
    )


def _id(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise NotRead(f"{name} is missing.")
    if not re.fullmatch("[!-~]{1,200}", value):
        raise NotRead(f"{name} is no id.")
    return value


def _attempt(attempt: int) -> int:
    if not 1 <= attempt <= MOST_ATTEMPTS:
        raise NotRead(f"The attempt is not a number from 1 to {MOST_ATTEMPTS}.")
    return attempt


def _status(form: Mapping[str, str], name: str, known: Mapping[str, Status]) -> Status:
    value = form.get(name, "")
    if value not in known:
        raise NotRead(f"{name} is {'none that ends a call' if value else 'missing'}.")
    return known[value]


def _seconds(form: Mapping[str, str], name: str, missing: int | None) -> int | None:
    value = form.get(name, "")
    if not value:
        return missing
    if not re.fullmatch("[0-9]{1,9}", value) or int(value) > LONGEST_SECONDS:
        raise NotRead(f"{name} is not a number of seconds from 0 to {LONGEST_SECONDS}.")
    return int(value)


def _caller(text: str) -> str:
    """The caller's number; empty where a word stands in its place, like `anonymous`. Raises `NotRead` for what no
    telephone can show."""
    try:
        return phone.e164(text, REGION)
    except ValueError:
        if not re.fullmatch("[ -~]*", text):
            raise NotRead("From is no caller id.") from None
        return ""


def _number(form: Mapping[str, str]) -> str:
    try:
        return phone.e164(form.get("To", ""), REGION)
    except ValueError:
        raise NotRead("To is not a telephone number.") from None


def _dial(dial: Dial) -> str:
    attributes = {
        "action": dial.action,
        "timeout": str(dial.timeout_seconds),
        "timeLimit": str(dial.limit_seconds),
        "callerId": dial.caller_id,
        "answerOnBridge": "true",
        "record": "record-from-answer" if dial.recording else "",
        "recordingStatusCallback": dial.recording,
    }
    of_leg = {
        "url": dial.whisper,
        "statusCallback": dial.leg,
        "statusCallbackEvent": "answered" if dial.leg else "",
    }
    buyer = (
        _element("Sip", of_leg, _escape(_sip(dial))) if dial.sip else _element("Number", of_leg, _escape(dial.number))
    )
    return _element("Dial", attributes, buyer)


def _sip(dial: Dial) -> str:
    """The address with its headers, which are written as its query."""
    address = dial.sip if dial.sip.startswith(("sip:", "sips:")) else f"sip:{dial.sip}"
    if not dial.headers:
        return address
    query = urlencode(dial.headers, quote_via=quote, safe="", errors="replace")
    return f"{address}{'&' if '?' in address else '?'}{query}"


def _gather(whisper: Whisper) -> str:
    attributes = {
        "action": whisper.action,
        "numDigits": str(len(whisper.press)),
        "timeout": str(whisper.wait_seconds),
    }
    return _element("Gather", attributes, _element("Say", {}, _escape(whisper.say)) if whisper.say else "")


def _element(name: str, attributes: Mapping[str, str] = {}, content: str = "") -> str:
    """Of the attributes those that have a value; the content is XML already."""
    start = name + "".join(f' {each}="{_escape(value)}"' for each, value in attributes.items() if value)
    return f"<{start}>{content}</{name}>" if content else f"<{start}/>"


def _escape(text: str) -> str:
    """Text for an element or an attribute, without what XML cannot have: https://www.w3.org/TR/xml/#charsets"""
    text = re.sub("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", " ", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
