"""What a provider of telephony is to do next with a call or a leg. Each provider writes it in a language of its own.

Addresses are ours, as the provider is to call them. A repr has no number and no sentence: both may be a caller's.
"""

from typing import Literal

from msgspec import Struct


class _Instruction(Struct, frozen=True, kw_only=True, tag=True):
    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Dial(_Instruction, frozen=True, kw_only=True):
    """Dial a buyer and connect it with the caller, who hears it ring until then.

    The buyer is a `number` (E.164), or a `sip` address that gets `headers` in its INVITE: providers send only those
    whose names begin with `X-`. Its telephone rings for `timeout_seconds`, and the two speak for at most
    `limit_seconds`; a provider with narrower limits gets the nearest that it takes. `caller_id` (E.164) is what the
    buyer sees; where it is empty the provider chooses.

    The provider calls `action` when the attempt is over, and its answer goes on with the call. The other addresses are
    optional. It calls `leg` when the buyer answers; then also `whisper`, whose answer only the buyer hears; and
    `recording` when the recording is ready. Without that address nothing is recorded.
    """

    action: str
    timeout_seconds: int
    limit_seconds: int
    caller_id: str = ""
    number: str = ""
    sip: str = ""
    headers: dict[str, str] = {}
    leg: str = ""
    whisper: str = ""
    recording: str = ""


class Whisper(_Instruction, frozen=True, kw_only=True):
    """Say a sentence to a buyer that answered, then connect it.

    With `press` it is connected only if it presses as many keys (digits or `*`) within `wait_seconds`: `action` gets
    them, and its answer decides. If it presses nothing, its leg is hung up. A whisper of nothing connects at once.
    """

    say: str = ""
    press: str = ""
    action: str = ""
    wait_seconds: int = 10


class Hangup(_Instruction, frozen=True, kw_only=True):
    """End the call, or the leg that asked."""


class Reject(_Instruction, frozen=True, kw_only=True):
    """Do not answer the call: it costs nothing, and the caller hears `reason`."""

    reason: Literal["rejected", "busy"] = "rejected"


class Say(_Instruction, frozen=True, kw_only=True):
    """Answer the call, say a sentence, hang up."""

    text: str


Instruction = Dial | Whisper | Hangup | Reject | Say
