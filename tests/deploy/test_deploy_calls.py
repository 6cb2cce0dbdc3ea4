"""A telephone call as deployed: from a provider's signed webhooks to the buyer, and to what the journal knows of it."""

import time
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from httpx import Response

from shared.providers import local
from tests.deploy.account import SECONDS, Stack
from tests.deploy.test_deploy import CALLER, a_ping, a_sale, apply, configure
from tools.demo import CONFIGURATION

KEY = "what the provider of the local run signs with"
SID = "CA1"


@pytest.fixture
def demo(stack: Stack) -> Stack:
    apply(stack, CONFIGURATION)
    done = configure(stack.account, "--stage", "dev", "secrets", "set", "local", "--provider", "--value", KEY)
    assert done.stdout == "local is set.\n", done.stderr
    return stack


def send(stack: Stack, step: str, key: str = KEY, **form: str) -> Response:
    body, at = urlencode({"AccountSid": "local", "CallSid": SID} | form).encode(), str(int(time.time()))
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        local.TIMESTAMP: at,
        local.SIGNATURE: local.sign(key, at, body),
    }
    return stack.site.post(f"/calls/local/{step}", content=body, headers=headers)


def test_a_call_reaches_its_buyer_and_is_settled_as_deployed(demo: Stack) -> None:
    number = f"+{a_sale(demo, a_ping(demo))['trackdrive_number']}"
    arrived = {"From": f"+1{CALLER}", "To": number, "CallStatus": "ringing"}
    assert send(demo, "voice", key="another", **arrived).status_code == 403
    voice = send(demo, "voice", **arrived)
    assert voice.status_code == 200, voice.text
    assert ElementTree.fromstring(voice.content).findtext("Dial/Number") == "+18005550181"
    assert send(demo, "voice", **arrived).content == voice.content

    leg = {"ParentCallSid": SID, "CallSid": f"{SID}-1", "CallStatus": "in-progress"}
    assert send(demo, "leg?n=1", **leg).status_code == 200
    ended = {"DialCallStatus": "completed", "DialCallSid": f"{SID}-1", "DialCallDuration": "95"}
    assert ElementTree.fromstring(send(demo, "dial?n=1", **ended).content).find("Hangup") is not None
    assert send(demo, "status", CallStatus="completed", CallDuration="97").status_code == 200

    aws = demo.account.emulator.client("dynamodb")
    [call] = aws.scan(TableName=demo.outputs["CallsTable"])["Items"]
    assert (call["outcome"]["S"], call["seconds"]["N"], call["revenue_cents"]["N"]) == ("finished", "95", "2500")
    give_up_at = time.monotonic() + SECONDS
    while "called" not in (ping := sold(demo)) and time.monotonic() < give_up_at:  # by the journal's function
        time.sleep(0.5)
    assert ping["called"] == ping["connected"] == ping["converted"] == call["call_id"]


def sold(stack: Stack) -> dict[str, object]:
    """The item of the one ping that is sold."""
    found = stack.account.emulator.client("dynamodb").scan(TableName=stack.outputs["PingsTable"])
    [ping] = [item for item in found["Items"] if "sale" in item]
    return dict(ping)
