"""A telephone call as deployed: from a provider's signed webhooks to the buyer, and to what the journal knows of it."""

import time
from itertools import count
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import yaml
from httpx import Response

from shared.providers import local
from shared.runtime import SILENT_SECONDS
from tests.configurations import a_buyer, a_ring_pool, an_endpoint, an_offer
from tests.deploy.account import SECONDS, Stack
from tests.deploy.test_deploy import CALLER, Role, a_ping, a_sale, apply, configure, operated
from tools.demo import CONFIGURATION

KEY = "what the provider of the local run signs with"
SID = "CA1"
OVERFLOW = "+18885550101"


@pytest.fixture
def demo(stack: Stack) -> Stack:
    apply(stack, CONFIGURATION)
    set_secret(stack)
    return stack


def set_secret(stack: Stack) -> None:
    done = configure(stack.account, "--stage", "dev", "secrets", "set", "local", "--provider", "--value", KEY)
    assert done.stdout == "local is set.\n", done.stderr


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
    token = configure(demo.account, "--stage", "dev", "tokens", "issue", "demo-operator").stdout.split()[-1]

    def is_reported() -> bool:
        return bool(operated(demo, token, "GET", "/reports").json()["total"]["revenue_cents"])

    give_up_at = time.monotonic() + SECONDS
    while not ("called" in sold(demo) and is_reported()) and time.monotonic() < give_up_at:  # by the journal's function
        time.sleep(0.5)
    ping = sold(demo)
    assert ping["called"] == ping["connected"] == ping["converted"] == call["call_id"]
    total = operated(demo, token, "GET", "/reports").json()["total"]
    assert (total["sales"], total["revenue_cents"]) == (1, 2500)
    [entry] = operated(demo, token, "GET", "/calls").json()["items"]
    assert (entry["status"], entry["seconds"], entry["revenue_cents"]) == ("finished", 95, 2500)


def test_the_function_of_calls_with_one_grant_less_fails(stack: Stack, tmp_path: Path) -> None:
    apply(stack, with_every_kind_of_number(tmp_path / "numbers.yaml"))
    set_secret(stack)
    role = Role(stack, "call")
    cold = [grant for grant in role.grants() if grant.action.startswith("secretsmanager:")]
    warm = [grant for grant in role.grants() if grant.action.startswith("dynamodb:")]
    assert (len(cold), len(warm)) == (3, 14)
    [ours] = [grant for grant in cold if "BuyerSecrets" not in grant.resource and "Provider" not in grant.resource]
    [of_providers] = [grant for grant in cold if "ProviderSecrets" in grant.resource]
    with role.without(ours):  # which is read once, at start
        assert send(stack, "voice").status_code >= 500
    with role.without(of_providers):
        assert send(stack, "voice").status_code == 503
    time.sleep(SILENT_SECONDS)
    places = count()

    def used() -> list[int]:
        return [answer.status_code for answer in every_call(stack, next(places))]

    assert used() == [200] * 4
    for grant in warm:
        with role.without(grant):
            assert 500 in used(), grant  # not a 503: a table that does not answer in time proves nothing
    assert used() == [200] * 4


USES = 16


def with_every_kind_of_number(file: Path) -> Path:
    """The demo, and endpoints with a static number, and with a ring pool and its overflow number, in a file. Each of
    the static numbers is used once: what is counted of its buyer's cap is remembered for some seconds."""
    document = yaml.load(CONFIGURATION.read_text(), yaml.BaseLoader)
    numbers, calls = ["+18885550110-+18885550159"], {"provider": "local"}
    document["ring_pools"].append(a_ring_pool(name="calling", numbers=numbers, overflow_number=OVERFLOW))
    document["offers"].append(an_offer(name="leased", buyers=[a_buyer(id=30)]))
    document["endpoints"].append(an_endpoint(vanity_uri="leased", offer="leased", ring_pool="calling", calls=calls))
    for place in range(USES):
        name, buyer = f"bound{place}", a_buyer(id=100 + place, caps={"sales": {"total": 1}})
        document["offers"].append(
            an_offer(name=name, buyers=[buyer], duplicates={"window_hours": 1}, suppression=["do-not-call"])
        )
        document["endpoints"].append(
            an_endpoint(
                vanity_uri=name, offer=name, tracking="static", static_numbers={"1023": bound(place)}, calls=calls
            )
        )
    file.write_text(yaml.safe_dump(document))
    return file


def bound(place: int) -> str:
    return f"+188855502{place:02}"


def every_call(stack: Stack, place: int) -> list[Response]:
    """The answers to webhooks that need everything that the function may do; `place` is new in every one of them."""

    def ring(number: str, caller: str) -> Response:
        form = {"From": f"+1{caller}", "To": number, "CallSid": f"CA{caller}", "CallStatus": "ringing"}
        return send(stack, "voice", **form)

    unannounced, announced, overflowing = (f"{area}{place:04}" for area in ("614555", "614556", "614557"))
    leased = stack.send("full", "leased", caller_id=announced).json()["trackdrive_number"]
    return [
        ring(bound(place), unannounced),
        send(stack, "dial?n=1", CallSid=f"CA{unannounced}", DialCallStatus="busy"),
        ring(f"+{leased}", announced),
        ring(OVERFLOW, overflowing),
    ]


def sold(stack: Stack) -> dict[str, object]:
    """The item of the one ping that is sold."""
    found = stack.account.emulator.client("dynamodb").scan(TableName=stack.outputs["PingsTable"])
    [ping] = [item for item in found["Items"] if "sale" in item]
    return dict(ping)
