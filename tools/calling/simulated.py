"""A simulated line: what the caller and the buyers do is said beforehand, and no second really passes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from shared.domain import phone
from shared.providers.instructions import Dial
from shared.providers.twiml import LONGEST_SECONDS, MOST_ATTEMPTS
from tools.calling.provider import Ended
from tools.calling.twiml import Gather

REGION = "US"
RING_SECONDS, TONE_SECONDS = 4, 1
"""How long it rings before somebody answers or hangs up, and how long a busy tone takes. Sentences and keys take no
time, so that the seconds of a talk are those that were said."""

Behavior = Literal["busy", "no-answer", "failed", "declines", "hang-up", "buyer-hangs-up"]
BEHAVIORS: tuple[Behavior, ...] = get_args(Behavior)
USAGE = """NUMBER from CALLER [talk SECONDS] [press KEYS] [BEHAVIOR [ATTEMPT] …]

  talk 95            the buyer that answers and the caller talk for 95 seconds (60 if it is not said)
  press 1            the keys that a buyer presses if it is asked to (1)
  busy 1             the buyer of attempt 1 is busy (1 if it is not said)
  no-answer 1        its telephone rings, and nobody answers
  failed 1           its telephone cannot be reached
  declines 1         it answers, and presses no key
  hang-up 1          the caller hangs up while its telephone rings
  buyer-hangs-up 1   it talks, and hangs up; otherwise the caller does

CALLER is a telephone number, or anonymous. For example: +18005550100 from +16145550123 busy 1 talk 95"""


class NotUnderstood(ValueError):
    """The words do not say what happens in a call. The message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens in a call. `behaviors` are those of the buyers that do not simply answer, by attempt. The repr has
    no number: it may be a caller's."""

    number: str = field(repr=False)
    caller: str = field(repr=False)
    talk_seconds: int = 60
    keys: str = "1"
    behaviors: Mapping[int, Behavior] = field(default_factory=dict)


def read_plan(words: Sequence[str]) -> Plan:
    """Raises `NotUnderstood`."""
    match [*words]:
        case [number, "from", caller, *rest]:
            return _read_behavior(Plan(number=_number(number), caller=_caller(caller)), rest)
    raise NotUnderstood("Say who calls whom: +18005550100 from +16145550123")


def _read_behavior(plan: Plan, words: list[str]) -> Plan:
    talk_seconds, keys = plan.talk_seconds, plan.keys
    behaviors: dict[int, Behavior] = {}
    left = [*words]
    while left:
        word = left.pop(0)
        value = left.pop(0) if left and _is_value(left[0]) else ""
        if word == "talk":
            talk_seconds = _integer(word, value, 0, LONGEST_SECONDS)
        elif word == "press" and value:
            keys = value
        elif behavior := next((one for one in BEHAVIORS if one == word), None):
            behaviors[_integer(word, value or "1", 1, MOST_ATTEMPTS)] = behavior
        else:
            raise NotUnderstood(f"{word[:20]} is not understood.")
    return replace(plan, talk_seconds=talk_seconds, keys=keys, behaviors=behaviors)


def _is_value(word: str) -> bool:
    return bool(word) and set(word) <= set("0123456789*#")


def _integer(word: str, value: str, least: int, most: int) -> int:
    if not (value.isascii() and value.isdigit() and least <= int(value[:9]) <= most):
        raise NotUnderstood(f"{word} takes a whole number from {least} to {most}.")
    return int(value)


def _number(text: str) -> str:
    try:
        return phone.e164(text, REGION)
    except ValueError:
        raise NotUnderstood(f"{text[:20]} is no telephone number.") from None


def _caller(text: str) -> str:
    return text if text == "anonymous" else _number(text)


class Simulated:
    """A line on which happens what the plan says."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._behavior: Behavior | None = None
        self.seconds = 0
        self.caller_gone = False

    def dial(self, dial: Dial, attempt: int, accepts: Callable[[], bool]) -> Ended:
        self._behavior = self._plan.behaviors.get(attempt)
        match self._behavior:
            case "busy" | "failed":
                self.seconds += TONE_SECONDS
                return Ended(self._behavior)
            case "no-answer":
                self.seconds += dial.timeout_seconds
                return Ended("no-answer")
            case "hang-up":
                self.seconds += min(RING_SECONDS, dial.timeout_seconds)
                self.caller_gone = True
                return Ended("canceled")
        self.seconds += RING_SECONDS
        answered_at = self.seconds
        if not accepts():
            return Ended("completed", self.seconds - answered_at)
        talked = min(self._plan.talk_seconds, dial.limit_seconds)
        self.seconds += talked
        self.caller_gone = talked == self._plan.talk_seconds and self._behavior != "buyer-hangs-up"
        return Ended("completed", self.seconds - answered_at, bridged=True)

    def press(self, gather: Gather) -> str:
        if self._behavior == "declines":
            self.seconds += gather.wait_seconds
            return ""
        return self._plan.keys[: gather.digits]

    def say(self, _text: str) -> None:
        pass

    def hang_up(self, _reason: str) -> None:
        pass
