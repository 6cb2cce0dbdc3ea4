"""What a provider's webhook sets off: a call arrives, a buyer answers, an attempt ends, the caller is gone.

Each event gives what the provider is to do next; the same event again gives the same, until something else happens.
"""

from shared.domain import calls, keys
from shared.domain.calls import Attempt, Dial, Ended, Over
from shared.domain.models import DAY
from shared.flows.arriving import describe_call
from shared.flows.dialing import find_buyer, free_place, give_ended, instruct_to_dial, put_through
from shared.flows.settling import settle
from shared.flows.telephony import Telephony
from shared.providers.events import Accepted, Answered, Arrived, DialEnded, Event, Recorded
from shared.providers.events import Over as GoneCaller
from shared.providers.instructions import Hangup, Instruction, Reject, Say, Whisper
from shared.store.calls import StoredCall

NOTHING = Whisper()
"""Goes on with what there is."""


def answer_event(telephony: Telephony, provider: str, event: Event) -> Instruction:
    """Raises `TemporarilyUnavailable`; then the event may come again, or another one goes on."""
    call_id = keys.call_id(telephony.world.keys, provider, event.account, event.call_sid)
    match event:
        case Arrived():
            return _arrive(telephony, provider, call_id, event)
        case Answered():
            return _answer_leg(telephony, call_id, event)
        case Accepted():
            return _accept(telephony, call_id, event)
        case DialEnded():
            return _go_on(telephony, call_id, event)
        case GoneCaller():
            return _end(telephony, call_id, event)
        case Recorded():
            telephony.calls.note_recording(call_id, event.attempt, event.url)
            return NOTHING


def _arrive(telephony: Telephony, provider: str, call_id: bytes, event: Arrived) -> Instruction:
    """Write the call down with its first attempt, and dial."""
    call, now = describe_call(telephony, provider, event, call_id), telephony.world.now()
    first = Attempt(call.candidates[0].buyer_id, now) if call.candidates else None
    caller = keys.caller_hash(telephony.world.keys, event.caller) if event.caller else b""
    stored = telephony.calls.arrive(call_id, call, first, caller, _delete_at(telephony, call.endpoint, call.version))
    return _next(telephony, call_id, stored)


def _answer_leg(telephony: Telephony, call_id: bytes, event: Answered) -> Instruction:
    """The buyer's leg was answered: what its buyer hears, and whether it has to press a key."""
    n = event.attempt
    stored = telephony.calls.note_connected(call_id, n, telephony.world.now())
    if stored is None or n not in stored.facts.attempts or not _runs(stored, n):
        return Hangup()
    _, buyer = find_buyer(telephony, stored.call, stored.facts.attempts[n].buyer_id)
    if buyer is None or not (buyer.dial.say or buyer.dial.press):
        return NOTHING
    action = f"/calls/{stored.call.provider}/whisper?n={n}" if buyer.dial.press else ""
    return Whisper(say=buyer.dial.say, press=buyer.dial.press, action=action)


def _accept(telephony: Telephony, call_id: bytes, event: Accepted) -> Instruction:
    """The buyer has pressed keys: those that were asked for connect it, others end its leg."""
    n, stored = event.attempt, telephony.calls.look(call_id)
    if stored is None or n not in stored.facts.attempts:
        return Hangup()
    _, buyer = find_buyer(telephony, stored.call, stored.facts.attempts[n].buyer_id)
    if buyer is None or event.keys != buyer.dial.press:
        return Hangup()
    stored = telephony.calls.note_accepted(call_id, n, telephony.world.now()) or stored
    return NOTHING if _runs(stored, n) else Hangup()


def _go_on(telephony: Telephony, call_id: bytes, event: DialEnded) -> Instruction:
    """An attempt is over: the next buyer is dialed, or the call ends."""
    now, n = telephony.world.now(), event.attempt
    stored = telephony.calls.look(call_id) if event.seconds is None else None
    answered_at = stored.facts.connected.get(n, now) if stored else now
    seconds = now - answered_at if event.seconds is None else event.seconds
    stored = telephony.calls.note_ended(call_id, n, Ended(event.status, now, max(0, seconds), event.bridged))
    if stored is None or n not in stored.facts.attempts:
        return Hangup()
    if event.caller_gone and not stored.facts.over:
        stored = telephony.calls.note_over(call_id, Over(now)) or stored
    give_ended(telephony, call_id, stored, n)
    return _next(telephony, call_id, stored)


def _end(telephony: Telephony, call_id: bytes, event: GoneCaller) -> Instruction:
    """The caller is gone. How the running attempt ended is still to come; its place is free at once."""
    now = telephony.world.now()
    stored = telephony.calls.note_over(call_id, Over(now, event.seconds or 0))
    if stored is None:
        return Hangup()
    if calls.is_waited_for(stored.call, stored.facts, now):
        free_place(telephony, call_id, stored)
        return Hangup()
    return _next(telephony, call_id, stored)


def _next(telephony: Telephony, call_id: bytes, stored: StoredCall) -> Instruction:
    stored, step = put_through(telephony, call_id, stored)
    if isinstance(step, Dial):
        return instruct_to_dial(telephony, call_id, stored, step)
    if not calls.is_waited_for(stored.call, stored.facts, telephony.world.now()):
        stored = settle(telephony, call_id, stored, step)
    return _refuse(telephony, stored) if stored.call.refused else Hangup()


def _refuse(telephony: Telephony, stored: StoredCall) -> Instruction:
    """What a caller hears for whom there is nobody."""
    call = stored.call
    endpoint = telephony.endpoint_of(call.endpoint, call.version) if call.endpoint else None
    say = endpoint.calls.say if endpoint and endpoint.calls else ""
    if say:
        return Say(text=say)
    return Reject() if call.refused and call.refused.outcome in ("rejected", "blocked") else Hangup()


def _runs(stored: StoredCall, n: int) -> bool:
    """Whether an attempt is still the one that is dialed."""
    facts = stored.facts
    return n == facts.last and n not in facts.ended and not facts.over and not facts.settled


def _delete_at(telephony: Telephony, vanity_uri: str, version: int) -> int:
    kept = telephony.endpoint_of(vanity_uri, version).lead_seconds if vanity_uri else DAY
    return telephony.world.now() + kept
