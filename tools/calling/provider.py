"""One call at a provider: it sends webhooks and follows the TwiML that comes back.

What the caller and the buyers do, its line knows: a simulated one, or one of real SIP calls.
"""

import secrets
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from shared.providers.instructions import Dial, Hangup, Reject
from tools.calling import twiml
from tools.calling.twiml import Gather, NotTwiml, Say, Verb
from tools.calling.webhooks import Answer, Webhooks

MOST_ANSWERS = 40
"""A call that is led on and on is hung up."""

DialStatus = Literal["completed", "busy", "no-answer", "failed", "canceled"]


class Ended(NamedTuple):
    """How a dialing ended. `seconds` are those from the answer to the end of the buyer's leg."""

    status: DialStatus
    seconds: int = 0
    bridged: bool = False


class Outcome(NamedTuple):
    """What became of a call: who was dialed, with whom it was connected (empty: nobody) and how long, how it ended."""

    call_sid: str
    dialed: tuple[str, ...]
    connected_to: str
    seconds: int
    status: str


class Line(Protocol):
    """What happens on the telephones."""

    @property
    def seconds(self) -> int:
        """Since the call came."""

    @property
    def caller_gone(self) -> bool:
        """Whether the caller has hung up."""

    def dial(self, dial: Dial, attempt: int, accepts: Callable[[], bool]) -> Ended:
        """Let a buyer's telephone ring. When it answers, `accepts` says whether it is connected."""

    def press(self, gather: Gather) -> str:
        """The keys that the buyer presses."""

    def say(self, text: str) -> None:
        """Let the leg that is connected to the provider hear a sentence."""

    def hang_up(self, reason: str) -> None:
        """End the caller's leg: `reason` is empty, or why the call was not answered."""


class Call:
    """`tell` gets each line of the story."""

    def __init__(
        self, webhooks: Webhooks, line: Line, *, number: str, caller: str, tell: Callable[[str], None]
    ) -> None:
        self._webhooks, self._line, self._tell = webhooks, line, tell
        self.call_sid = f"CA{secrets.token_hex(16)}"
        self._form = {"CallSid": self.call_sid, "From": caller, "To": number, "Direction": "inbound"}
        self._answered_at: int | None = None
        self._ended: str | None = None
        self._dialed: list[str] = []
        self._connected_to, self._talked = "", 0

    def run(self) -> Outcome:
        """Raises `NotRunning`, and `NotTwiml` if the service's answers cannot be followed."""
        self._note(f"{self._form['From'] or 'Somebody'} calls {self._form['To']}.")
        answer = self._ask("voice", self._form | {"CallStatus": "ringing"})
        for _ in range(MOST_ANSWERS):
            following = self._follow(answer)
            if following is None:
                break
            answer = following
        if not self._line.caller_gone:
            self._line.hang_up(self._ended or "")
            if not self._ended:
                self._note("Ringpost ends the call.")
        return self._end()

    def _follow(self, answer: Answer) -> Answer | None:
        """Do what an answer says. The answer that came then; None if the call is over."""
        for verb in twiml.read(answer.body):
            match verb:
                case Dial():
                    following = self._dial(verb, answer)
                    if following is not None or self._line.caller_gone:
                        return None if self._line.caller_gone else following
                case Say(text=text):
                    self._answer()
                    self._line.say(text)
                    self._note(f'The caller hears: "{text}"')
                case Gather():
                    raise NotTwiml("The caller of a <Gather> would have to press keys.")
                case Reject(reason=reason):
                    self._ended = "busy" if reason == "busy" else "no-answer"
                    self._note(f"Ringpost rejects the call{': busy' if reason == 'busy' else ''}.")
                    return None
                case Hangup():
                    return None
        return None

    def _dial(self, dial: Dial, answer: Answer) -> Answer | None:
        buyer = dial.sip or dial.number
        attempt, leg = len(self._dialed) + 1, {"CallSid": f"CA{secrets.token_hex(16)}"}
        self._dialed.append(buyer)
        self._note(f"Ringpost dials {buyer}, for at most {dial.timeout_seconds} s.")
        ended = self._line.dial(dial, attempt, lambda: self._accepts(dial, leg["CallSid"], answer))
        self._tell_end(buyer, ended)
        if ended.bridged:
            self._connected_to, self._talked = buyer, ended.seconds
        if dial.recording and ended.bridged:
            recorded = {"RecordingSid": f"RE{secrets.token_hex(16)}", "RecordingDuration": str(ended.seconds)}
            recorded["RecordingUrl"] = f"https://recordings.example/{recorded['RecordingSid']}"
            self._report(dial.recording, self._form | recorded, answer)
        if not dial.action:
            return None
        form = self._form | {
            "CallStatus": self._status(),
            "DialCallStatus": ended.status,
            "DialCallSid": leg["CallSid"],
            "DialBridged": str(ended.bridged).lower(),
        }
        if ended.status == "completed":
            form["DialCallDuration"] = str(ended.seconds)
        return self._ask(dial.action, form, answer)

    def _accepts(self, dial: Dial, leg: str, answer: Answer) -> bool:
        """The buyer's leg was answered: whether it is connected with the caller."""
        form = {"CallSid": leg, "ParentCallSid": self.call_sid, "CallStatus": "in-progress"}
        form |= {"From": dial.caller_id, "To": dial.number or dial.sip, "Direction": "outbound-dial"}
        self._note(f"{dial.sip or dial.number} answers.")
        if dial.leg:
            self._report(dial.leg, form, answer)
        if dial.whisper and not self._whispers(dial.whisper, form, answer):
            return False
        self._answer()
        self._note("The caller and the buyer are connected.")
        return True

    def _whispers(self, address: str, form: dict[str, str], answer: Answer) -> bool:
        """Do on the buyer's leg what the answers say. Whether it goes on from there to the caller."""
        answer = self._ask(address, form, answer)
        verbs = twiml.read(answer.body)
        while verbs:
            verb: Verb = verbs.pop(0)
            match verb:
                case Say(text=text):
                    self._line.say(text)
                    self._note(f'The buyer hears: "{text}"')
                case Gather():
                    if verb.say:
                        self._line.say(verb.say)
                        self._note(f'The buyer hears: "{verb.say}"')
                    if keys := self._line.press(verb):
                        self._note(f"The buyer presses {keys}.")
                        answer = self._ask(verb.action, form | {"Digits": keys}, answer)
                        verbs = twiml.read(answer.body)
                    else:
                        self._note("The buyer presses nothing.")
                case Hangup():
                    self._note("Ringpost hangs up on the buyer.")
                    return False
                case _:
                    raise NotTwiml(f"A buyer's leg cannot do {type(verb).__name__}.")
        return True

    def _ask(self, address: str, form: dict[str, str], after: Answer | None = None) -> Answer:
        """An answer that is to be followed: where it is none, the provider asks the fallback address, as it does with a
        service that fails. Raises `NotTwiml` if that has none either."""
        answer = self._webhooks.send(address, form, after.url if after else "")
        if answer.code == 200:
            return answer
        self._note(f"Ringpost answers {answer.code}. The fallback address is asked.")
        again = self._webhooks.send("again", form | {"ErrorCode": "11200", "ErrorUrl": answer.url})
        if again.code != 200:
            raise NotTwiml(f"Ringpost answers {again.code}: {again.body[:200].decode(errors='replace')}")
        return again

    def _report(self, address: str, form: dict[str, str], after: Answer | None = None) -> None:
        """Nobody waits for the answer."""
        answer = self._webhooks.send(address, form, after.url if after else "")
        if answer.code >= 400:
            self._note(f"Ringpost answers {answer.code} to {answer.url}.")

    def _end(self) -> Outcome:
        """Report that the call is over."""
        status, began = self._status(), self._answered_at
        duration = "0" if began is None else str(self._line.seconds - began)
        form = {"CallStatus": AT_THE_END.get(status, status)}
        form |= {"CallDuration": duration, "CallbackSource": "call-progress-events", "SequenceNumber": "0"}
        self._report("status", self._form | form)
        return Outcome(self.call_sid, tuple(self._dialed), self._connected_to, self._talked, form["CallStatus"])

    def _answer(self) -> None:
        """The caller's leg is answered, once."""
        if self._answered_at is None:
            self._answered_at = self._line.seconds

    def _status(self) -> str:
        if self._ended:
            return self._ended
        if self._line.caller_gone:
            return "canceled" if self._answered_at is None else "completed"
        return "ringing" if self._answered_at is None else "in-progress"

    def _tell_end(self, buyer: str, ended: Ended) -> None:
        if ended.bridged:
            by = "The caller hangs up" if self._line.caller_gone else "The buyer's leg ends"
            self._note(f"{by}. They talked for {ended.seconds} s.")
        elif self._line.caller_gone:
            self._note("The caller hangs up.")
        elif ended.status == "completed":
            self._note(f"{buyer} did not take the call.")
        else:
            self._note(f"{buyer} {ENDS[ended.status]}.")

    def _note(self, sentence: str) -> None:
        self._tell(f"{self._line.seconds:>5} s  {sentence}")


AT_THE_END = {"ringing": "no-answer", "in-progress": "completed"}
ENDS = {"busy": "is busy", "no-answer": "does not answer", "failed": "cannot be reached", "canceled": "was canceled"}
