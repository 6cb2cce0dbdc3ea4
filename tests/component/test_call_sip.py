"""Real SIP on the loopback: sippy's B2BUA is the provider, sipp is the caller and the buyers."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from shared.providers.events import DialEnded, Over
from shared.providers.instructions import Hangup, Reject
from tests.local_service import running, started
from tests.twiml_service import BUYERS, KEY, TwimlService, twiml_service
from tools.calling import sipp
from tools.engine import ROOT

NUMBER, CALLER = "+18005550100", "+16145550123"
SECONDS = 30
"""How long an end may take to come through."""


@pytest.fixture(scope="module")
def binary() -> str:
    return sipp.find_sipp()


@pytest.fixture
def service() -> Iterator[TwimlService]:
    """It dials three buyers, one after another, each for 2 seconds."""
    with twiml_service() as begun:
        begun.answers = {
            "voice": begun.dial(1, timeout_seconds=2),
            "dial?n=1": begun.dial(2, timeout_seconds=2),
            "dial?n=2": begun.dial(3, timeout_seconds=2),
        }
        yield begun


Dial = Callable[..., "subprocess.CompletedProcess[str]"]


@contextmanager
def switched(service: TwimlService, binary: str, data: Path, *scenarios: str) -> Iterator[Dial]:
    """A switch with the telephones of buyers behind it; what it gives makes a call."""
    (data / "service.json").write_text(json.dumps({"url": service.url}))
    (data / "provider-secret").write_text(KEY)
    with ExitStack() as stack:
        ports = [stack.enter_context(sipp.buyer(binary, scenario)) for scenario in scenarios]
        buyers = [f"--buyer={buyer}={port}" for buyer, port in zip(BUYERS, ports, strict=False)]
        switch = stack.enter_context(started(["tools.calling.switch", "--data", str(data), *buyers]))
        assert switch.process.stdout
        Thread(target=switch.process.stdout.read, daemon=True).start()

        def dial(scenario: str = "caller", **options: int) -> "subprocess.CompletedProcess[str]":
            return sipp.call(
                binary, scenario, switch.url, number=NUMBER, caller=CALLER, **({"milliseconds": 1000} | options)
            )

        yield dial


def ends(service: TwimlService, calls: int = 1) -> list[tuple[int, str]]:
    """Attempts and how they ended, when so many calls are over."""
    give_up_at = time.monotonic() + SECONDS
    while sum(isinstance(event, Over) for event in service.events) < calls:
        assert time.monotonic() < give_up_at, service.events
        time.sleep(0.05)
    return [(event.attempt, event.status) for event in service.events if isinstance(event, DialEnded)]


def test_a_real_call_goes_from_a_busy_buyer_to_one_that_answers(
    service: TwimlService, binary: str, tmp_path: Path
) -> None:
    with switched(service, binary, tmp_path, "busy", "ringing", "answering") as dial:
        done = dial(milliseconds=2000)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ends(service) == [(1, "busy"), (2, "no_answer"), (3, "completed")]
    talked = next(event for event in service.events if isinstance(event, DialEnded) and event.attempt == 3)
    assert talked.seconds
    assert talked.seconds >= 2  # a busy machine hangs up late
    assert (talked.bridged, talked.caller_gone) == (True, True)
    assert service.forms[0] | {"CallSid": ""} == {
        "AccountSid": "local",
        "CallSid": "",
        "From": CALLER,
        "To": NUMBER,
        "Direction": "inbound",
        "CallStatus": "ringing",
    }
    over = service.events[-1]
    assert isinstance(over, Over)
    assert over.status == "completed"


def test_a_real_caller_that_gives_up_while_it_rings(service: TwimlService, binary: str, tmp_path: Path) -> None:
    service.answers["voice"] = service.dial(1, timeout_seconds=20)
    with switched(service, binary, tmp_path, "ringing") as dial:
        done = dial("gives_up", milliseconds=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ends(service) == [(1, "canceled")]
    assert service.events[-1].status == "canceled"  # type: ignore[union-attr]


def test_a_real_call_that_nobody_takes_is_refused(service: TwimlService, binary: str, tmp_path: Path) -> None:
    service.answers["dial?n=1"] = Hangup()
    with switched(service, binary, tmp_path, "busy") as dial:
        done = dial()
        assert done.returncode != 0
        assert re.search("480|Unexpected", done.stdout + done.stderr)
        assert ends(service) == [(1, "busy")]
        service.events.clear()
        service.answers["voice"] = Reject(reason="busy")
        assert dial().returncode != 0
        assert ends(service) == []
        assert service.events[-1].status == "busy"  # type: ignore[union-attr]


def test_an_address_that_nobody_has_cannot_be_reached(service: TwimlService, binary: str, tmp_path: Path) -> None:
    service.answers |= {"voice": service.dial(3), "dial?n=1": Hangup(), "dial?n=3": Hangup()}
    with switched(service, binary, tmp_path, "busy") as dial:
        assert dial().returncode != 0
        assert ends(service) == [(3, "failed")]


def test_twenty_real_calls_five_a_second(service: TwimlService, binary: str, tmp_path: Path) -> None:
    with switched(service, binary, tmp_path, "busy", "answering") as dial:
        done = dial(milliseconds=500, calls=20, rate=5)
        assert done.returncode == 0, done.stdout + done.stderr
        found = ends(service, 20)
    assert sorted(found) == [(1, "busy")] * 20 + [(2, "completed")] * 20
    assert len({event.call_sid for event in service.events}) == 20


def test_the_command_sells_a_caller_and_calls_its_number_by_sip(binary: str, tmp_path: Path) -> None:
    assert binary
    command = [sys.executable, "-m", "tools.calling.sip", "--data", str(tmp_path)]
    never = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (never.returncode, never.stderr.endswith("is not running. Start it with `make run`.\n")) == (1, True)
    with running(tmp_path):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+18005550181 is busy." in done.stdout
    assert "+18005550182 answers." in done.stdout
    assert re.search(r"The caller hangs up\. They talked for ([3-9]|\d\d) s\.", done.stdout), done.stdout
