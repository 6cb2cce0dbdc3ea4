"""The provider of the local run and its simulated lines: what they send, follow and tell."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.providers import local
from shared.providers.events import Accepted, DialEnded, Over, Recorded
from shared.providers.instructions import Dial, Hangup, Instruction, Reject, Say, Whisper
from tests.twiml_service import BUYERS, KEY, TwimlService, twiml_service
from tools.calling import simulated, twiml
from tools.calling.provider import Call, Outcome
from tools.calling.simulated import NotUnderstood, Simulated
from tools.calling.twiml import NotTwiml
from tools.calling.webhooks import NotRunning, Webhooks
from tools.engine import ROOT

WHO = "+18005550100 from +16145550123"


@pytest.fixture
def service() -> Iterator[TwimlService]:
    """It dials three buyers, one after another."""
    with twiml_service() as started:
        started.answers = {
            "voice": started.dial(1),
            "dial?n=1": started.dial(2),
            "dial?n=2": started.dial(3),
        }
        yield started


def call(service: TwimlService, words: str, key: str = KEY) -> tuple[Outcome, str]:
    """What became of the call, and its story."""
    said: list[str] = []
    plan = simulated.read_plan(words.split())
    service.events.clear()
    with Webhooks(service.url, key) as webhooks:
        made = Call(webhooks, Simulated(plan), number=plan.number, caller=plan.caller, tell=said.append)
        outcome = made.run()
    assert {event.call_sid for event in service.events} == {made.call_sid}
    return outcome, "\n".join(said)


def test_a_call_that_is_answered_is_told_from_the_ring_to_the_end(service: TwimlService) -> None:
    outcome, story = call(service, f"{WHO} talk 95")
    assert outcome[1:] == ((BUYERS[0],), BUYERS[0], 95, "completed")
    assert story.splitlines() == [
        "    0 s  +16145550123 calls +18005550100.",
        "    0 s  Ringpost dials +18005550181, for at most 25 s.",
        "    4 s  +18005550181 answers.",
        "    4 s  The caller and the buyer are connected.",
        "   99 s  The caller hangs up. They talked for 95 s.",
    ]
    assert service.steps == ["Arrived", "Answered", "DialEnded", "Over"]
    [_, answered, ended, over] = service.events
    assert isinstance(ended, DialEnded)
    assert (ended.status, ended.seconds, ended.bridged, ended.caller_gone) == ("completed", 95, True, True)
    assert answered.leg_sid == ended.leg_sid != ended.call_sid  # type: ignore[union-attr]
    assert isinstance(over, Over)
    assert (over.status, over.seconds) == ("completed", 95)


def test_the_next_buyer_is_dialed_when_one_is_busy_and_one_does_not_answer(service: TwimlService) -> None:
    outcome, story = call(service, f"{WHO} busy 1 no-answer 2 talk 30")
    assert (outcome.dialed, outcome.connected_to, outcome.seconds) == (BUYERS, BUYERS[2], 30)
    ends = [(event.attempt, event.status) for event in service.events if isinstance(event, DialEnded)]
    assert ends == [(1, "busy"), (2, "no_answer"), (3, "completed")]
    assert "    1 s  +18005550181 is busy." in story
    assert "   26 s  +18005550182 does not answer." in story


def test_a_buyer_that_cannot_be_reached(service: TwimlService) -> None:
    service.answers["dial?n=1"] = Hangup()
    outcome, story = call(service, f"{WHO} failed")
    assert outcome[1:] == ((BUYERS[0],), "", 0, "no-answer")
    assert story.endswith("+18005550181 cannot be reached.\n    1 s  Ringpost ends the call.")


def test_a_caller_that_hangs_up_while_it_rings_is_over(service: TwimlService) -> None:
    outcome, story = call(service, f"{WHO} busy 1 hang-up 2")
    assert outcome[1:] == (BUYERS[:2], "", 0, "canceled")
    [_, _, ended, over] = service.events
    assert isinstance(ended, DialEnded)
    assert (ended.status, ended.caller_gone) == ("canceled", True)
    assert isinstance(over, Over)
    assert (over.status, over.seconds) == ("canceled", 0)
    assert story.endswith("The caller hangs up.")


def test_a_buyer_that_hangs_up_leaves_the_caller_to_the_service(service: TwimlService) -> None:
    service.answers["dial?n=1"] = Hangup()
    _, story = call(service, f"{WHO} buyer-hangs-up 1 talk 5")
    assert "    9 s  The buyer's leg ends. They talked for 5 s." in story
    [*_, ended, _] = service.events
    assert isinstance(ended, DialEnded)
    assert not ended.caller_gone


def test_no_talk_is_longer_than_the_service_lets_it(service: TwimlService) -> None:
    service.answers |= {"voice": service.dial(1, limit_seconds=60), "dial?n=1": Hangup()}
    outcome, _ = call(service, f"{WHO} talk 95")
    assert (outcome.seconds, outcome.status) == (60, "completed")


def test_a_buyer_is_asked_to_press_a_key(service: TwimlService) -> None:
    address = "/calls/local/whisper?n=1"
    asked = Whisper(say="Call from Texas", press="1", action=address)
    service.answers["voice"] = service.dial(1, whisper=address)
    take = service.take

    def answer(path: str, headers: dict[str, str], body: bytes) -> Instruction | int:
        answered = take(path, headers, body)
        if path != address:
            return answered
        event = service.events[-1]
        return (Whisper() if event.keys == "1" else Hangup()) if isinstance(event, Accepted) else asked

    service.take = answer  # type: ignore[assignment, method-assign]
    outcome, story = call(service, f"{WHO} talk 95")
    assert (outcome.connected_to, outcome.seconds) == (BUYERS[0], 95)
    assert 'The buyer hears: "Call from Texas"\n    4 s  The buyer presses 1.' in story
    assert service.steps == ["Arrived", "Answered", "Answered", "Accepted", "DialEnded", "Over"]

    outcome, story = call(service, f"{WHO} press 2 busy 2 talk 95")
    assert (outcome.dialed, outcome.connected_to) == (BUYERS, BUYERS[2])
    assert "Ringpost hangs up on the buyer.\n    4 s  +18005550181 did not take the call." in story

    outcome, _ = call(service, f"{WHO} declines 1 talk 95")
    assert (outcome.dialed, outcome.connected_to) == (BUYERS[:2], BUYERS[1])
    declined = next(event for event in service.events if isinstance(event, DialEnded))
    assert (declined.status, declined.seconds, declined.bridged) == ("completed", 10, False)


def test_a_sentence_and_a_rejection(service: TwimlService) -> None:
    service.answers["voice"] = Say(text="Nobody is here & now.")
    outcome, story = call(service, f"{WHO}")
    assert outcome.status == "completed"
    assert 'The caller hears: "Nobody is here & now."' in story
    service.answers["voice"] = Reject(reason="busy")
    outcome, story = call(service, f"{WHO}")
    assert outcome.status == "busy"
    assert story.endswith("Ringpost rejects the call: busy.")


def test_a_recording_is_reported_when_they_talked(service: TwimlService) -> None:
    service.answers["voice"] = service.dial(1, recording="/calls/local/recording?n=1")
    call(service, f"{WHO} talk 7")
    [recorded] = [event for event in service.events if isinstance(event, Recorded)]
    assert recorded.seconds == 7
    assert recorded.url.startswith("https://recordings.example/RE")


def test_a_service_that_fails_is_asked_again_at_the_fallback_address(service: TwimlService) -> None:
    service.answers |= {"voice": 503, "again": service.dial(1)}
    outcome, story = call(service, f"{WHO} talk 95")
    assert outcome.seconds == 95
    assert "Ringpost answers 503. The fallback address is asked." in story
    service.answers["again"] = 500
    with pytest.raises(NotTwiml, match="Ringpost answers 500"):
        call(service, f"{WHO} talk 95")


def test_another_secret_is_refused(service: TwimlService) -> None:
    with pytest.raises(NotTwiml, match="Ringpost answers 403"):
        call(service, WHO, key="another")
    assert service.refused == 2


def test_a_service_that_leads_a_call_on_for_ever_is_left(service: TwimlService) -> None:
    service.answers["dial?n=1"] = service.dial(1)
    outcome, _ = call(service, f"{WHO} " + " ".join(f"busy {attempt}" for attempt in range(1, 10)) + " hang-up 9")
    assert outcome.status == "canceled"
    service.answers["dial?n=1"] = service.dial(1, number="")
    with pytest.raises(NotTwiml, match="no <Number> and no <Sip>"):
        call(service, f"{WHO} busy 1")


@pytest.mark.parametrize(
    "instruction",
    [
        Dial(action="/a?n=1", timeout_seconds=5, limit_seconds=60, number="+18005550181", recording="/r"),
        Dial(action="/a", timeout_seconds=5, limit_seconds=60, sip="sip:a@buyer.example", headers={"X-uuid": "a b&c"}),
        Reject(),
        Hangup(),
    ],
)
def test_twiml_is_read_as_it_was_meant(instruction: Instruction) -> None:
    assert twiml.read(local.write(instruction)) == [instruction]


@pytest.mark.parametrize("document", [b"", b"<Response", b"<Answer/>", b"<Response><Play/></Response>"])
def test_what_is_no_twiml_is_one_sentence(document: bytes) -> None:
    with pytest.raises(NotTwiml, match=r"\.$"):
        twiml.read(document)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "Say who calls whom"),
        ("+18005550100", "Say who calls whom"),
        ("nobody from +16145550123", "nobody is no telephone number"),
        (f"{WHO} talk", "talk takes a whole number"),
        (f"{WHO} talk 86401", "from 0 to 86400"),
        (f"{WHO} busy 0", "busy takes a whole number from 1 to 9"),
        (f"{WHO} busy 10", "busy takes a whole number from 1 to 9"),
        (f"{WHO} sing", "sing is not understood"),
        (f"{WHO} press", "press is not understood"),
        (f"{WHO} 1", "1 is not understood"),
    ],
)
def test_words_that_say_no_call_are_one_sentence(words: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        simulated.read_plan(words.split())


def test_numbers_are_read_as_people_type_them() -> None:
    plan = simulated.read_plan(["(800) 555-0100", "from", "6145550123", "declines"])
    assert (plan.number, plan.caller, plan.behaviors) == ("+18005550100", "+16145550123", {1: "declines"})
    assert simulated.read_plan(["8005550100", "from", "anonymous"]).caller == "anonymous"
    assert "0123" not in repr(plan)


def command(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.calling", "--data", str(data), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_finds_the_service_and_tells_the_story(service: TwimlService, tmp_path: Path) -> None:
    (tmp_path / "service.json").write_text(json.dumps({"url": service.url}))
    (tmp_path / "provider-secret").write_text(KEY)
    done = command(tmp_path, *f"{WHO} talk 95".split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("   99 s  The caller hangs up. They talked for 95 s.\n")


def test_without_a_service_the_command_says_what_to_do(tmp_path: Path) -> None:
    never = command(tmp_path, *WHO.split())
    (tmp_path / "service.json").write_text(json.dumps({"url": "http://127.0.0.1:1"}))
    (tmp_path / "provider-secret").write_text(KEY)
    stopped = command(tmp_path, *WHO.split())
    for done in (never, stopped):
        assert (done.returncode, done.stdout) == (
            1,
            "" if done is never else "    0 s  +16145550123 calls +18005550100.\n",
        )
        assert done.stderr.endswith("Start it with `make run`.\n")
    wrong = command(tmp_path, "sing")
    assert wrong.returncode == 2
    assert "busy 1" in wrong.stderr
    with pytest.raises(NotRunning), Webhooks("http://127.0.0.1:1", KEY) as webhooks:
        webhooks.send("voice", {})
