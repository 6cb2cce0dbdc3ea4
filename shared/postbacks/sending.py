"""The function that sends postbacks: each message is one try, which is rendered, signed, made and noted.

What a try finds may be older than the message, or newer: the postback's own count of tries decides. A function that
dies leaves its message on the queue. It comes again: a try that was not noted is made again, with the same id; one that
was noted is not, and what was to follow it is done.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.bidders import exchange
from shared.domain import keys as signing_keys
from shared.domain.keys import Keys
from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.models import Lead, Ping, Sale
from shared.domain.receivers import A_TEST, Receiver, Values, iso_time
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.templates import Unaskable
from shared.journal.timetable import Due, Timetable
from shared.postbacks import schedule, signing
from shared.postbacks.queue import Message, Queue
from shared.postbacks.signing import BadSecret
from shared.store.calls import Calls
from shared.store.dynamo import Dynamo
from shared.store.items import bytes_of, number_or, ping_key
from shared.store.packing import UnknownFormat, unpack
from shared.store.postbacks import Postback, Postbacks, ReceiverState, State, Try
from shared.store.receivers import Receivers

TRY_SECONDS = 10
"""How long an answer is waited for."""
SLOT_SECONDS = 30
"""After which a try counts as over whose end nobody has noted."""
GONE = 410
"""The answer of a receiver that wants no more."""
TEST_LEAD = Lead(caller_id="+16145550123", zip="43004", state="OH", sub_id="test")


class Put(Protocol):
    """Makes several calls at once, each with the seconds that it has. By place, what came back."""

    def put(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> Mapping[int, Reply | Silence]: ...


class Ready(Struct, frozen=True):
    """A try that can be made. Without a call there is a `fault`: it cannot be written."""

    message: Message
    postback: Postback
    state: ReceiverState
    at: int
    slot: int | None = None
    call: Call | None = None
    fault: str = ""


class Sent(Struct, frozen=True):
    """What became of some messages. `failed` are the places of those that have to come again, `tried` of how many a try
    was made; `dead` are tried no more."""

    failed: list[int] = []
    tried: int = 0
    sent: int = 0
    refused: int = 0
    dead: int = 0
    paused: int = 0


class Sending:
    """`put` is asked for when there is something to be sent; `secret` gives the secret of a name, or raises
    `Unaskable`; `pool` looks several messages up at once."""

    def __init__(
        self,
        dynamo: Dynamo,
        receivers: Receivers,
        queue: Queue,
        timetable: Timetable,
        put: Callable[[], Put],
        keys: Keys,
        secret: Callable[[str], str],
        pool: Executor,
        now: Callable[[], int],
        try_seconds: float = TRY_SECONDS,
    ) -> None:
        self.dynamo = dynamo
        self.postbacks = Postbacks(dynamo)
        self.calls = Calls(dynamo)
        self.receivers = receivers
        self.queue = queue
        self.timetable = timetable
        self.put = put
        self.keys = keys
        self.secret = secret
        self.pool = pool
        self.now = now
        self.try_seconds = try_seconds

    def __call__(self, messages: Sequence[Message]) -> Sent:
        """Raises nothing for what a receiver does, or the store does not."""
        try:
            found = self._states_of({message.receiver for message in messages})
        except TemporarilyUnavailable:
            return Sent(failed=[*range(len(messages))])
        failed, made = list[int](), dict[int, Ready]()
        pairs_of = [(message, found.get(message.receiver)) for message in messages]
        for place, ready in enumerate(self.pool.map(self._caught(lambda pair: self._prepare(*pair)), pairs_of)):
            if isinstance(ready, TemporarilyUnavailable):
                failed.append(place)
            elif ready is not None:
                made[place] = ready
        calls = {place: ready.call for place, ready in made.items() if ready.call}
        replies = self.put().put(calls, dict.fromkeys(calls, self.try_seconds)) if calls else {}
        pairs = [(ready, replies.get(place) or Silence(ready.fault, sent=False)) for place, ready in made.items()]
        states = list[State]()
        for place, state in zip(
            made, self.pool.map(self._caught(lambda pair: self._finish(*pair)), pairs), strict=True
        ):
            if isinstance(state, TemporarilyUnavailable):
                failed.append(place)
            else:
                states.append(state)
        statuses = [reply.status for _, reply in pairs if isinstance(reply, Reply)]
        return Sent(
            failed=sorted(failed),
            tried=len(made),
            sent=states.count("sent"),
            refused=sum(state != "sent" for state in states),
            dead=states.count("dead"),
            paused=statuses.count(GONE),
        )

    def _caught(self, act: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def catching(given: Any) -> Any:
            try:
                return act(given)
            except TemporarilyUnavailable as failed:
                return failed

        return catching

    def _states_of(self, names: Collection[str]) -> dict[str, ReceiverState]:
        """Of those that there are."""
        known = [name for name in names if name in self.receivers.all(self.now())]
        return dict(zip(known, self.pool.map(self.postbacks.state_of, known), strict=True))

    def _prepare(self, message: Message, state: ReceiverState | None) -> Ready | None:
        """None if no try is to be made: all that has to be done instead is done."""
        receiver, now = self.receivers.all(self.now()).get(message.receiver), self.now()
        if receiver is None or state is None:
            return None
        if state.is_full(now):
            self._put_back(message)
            return None
        postback = self._look_up(message, now)
        if postback is None:
            return None
        if postback.tries != message.n or postback.state != "waiting":
            if postback.tries == message.n + 1:
                self._follow(postback)
            elif postback.tries == message.n and postback.state == "dead":
                self.postbacks.note_dead(postback)
            return None
        if not message.must and (state.paused or state.is_failing):
            self._wait(postback, now)
            return None
        values = self._values(receiver, postback)
        is_test = postback.happening.type == A_TEST
        if not is_test and not values.holds(receiver.when):
            self.postbacks.set_aside(postback.id, postback.tries, "unwanted", now)
            return None
        try:
            call = self._write(receiver, postback, values, now)
        except (Unaskable, BadSecret) as fault:
            return Ready(message, postback, state, now, fault=str(fault))
        slot = self.postbacks.take_slot(state, now, now + SLOT_SECONDS)
        if slot is None:
            self._put_back(message)
            return None
        if not self.postbacks.claim(postback.id, message.n, now, now + SLOT_SECONDS):
            self.postbacks.free_slot(receiver.name, slot)
            raise TemporarilyUnavailable  # a repeat: it comes again, in case that the one that has it dies
        return Ready(message, postback, state, now, slot, call)

    def _put_back(self, message: Message) -> None:
        """It comes again, later each time."""
        waits = schedule.FULL_SECONDS[min(message.refused, len(schedule.FULL_SECONDS) - 1)]
        self.queue.send([replace(message, refused=message.refused + 1)], waits)

    def _look_up(self, message: Message, now: int) -> Postback | None:
        if message.happening:
            new = Postback(
                id=message.id, receiver=message.receiver, happening=message.happening, at=now, since=now, next_at=now
            )
            return self.postbacks.begin(new)
        found = self.postbacks.find(message.id)
        if message.again and found and found.tries == message.n and found.state != "waiting":
            if found.state == "dead":
                self.postbacks.forget_dead(found.receiver, found.entry)
            return self.postbacks.revive(message.id, message.n, now)
        return found

    def _wait(self, postback: Postback, now: int) -> None:
        """Until the receiver is well again, but not forever."""
        if now < postback.since + schedule.TOTAL_SECONDS:
            self.postbacks.note_waiting(postback)
            return
        ended = self.postbacks.set_aside(postback.id, postback.tries, "dead", now)
        if ended and ended.state == "dead":
            self.postbacks.note_dead(ended)

    def _values(self, receiver: Receiver, postback: Postback) -> Values:
        happening = postback.happening
        return Values(
            happening,
            receiver.to,
            postback.id,
            TEST_LEAD if happening.type == A_TEST else self._lead(happening.ping, happening.call),
            self.secret,
            lambda kind, some_id: signing_keys.uuid(self.keys, kind, some_id),
        )

    def _lead(self, ping_id: bytes, call_id: bytes) -> Lead:
        """What is known of the caller now: nothing once it is erased."""
        lead = Lead()
        item = self.dynamo.get(self.dynamo.settings.pings_table, ping_key(ping_id)) if ping_id else None
        if item and "ping" in item and number_or(item, "delete_at", 0) > self.now():
            try:
                sold = unpack(bytes_of(item, "sale"), Sale).posted if "sale" in item else {}
                lead = Lead(unpack(bytes_of(item, "ping"), Ping).lead | sold)
            except UnknownFormat:
                lead = Lead()
        if call_id and "caller_id" not in lead:
            stored = self.calls.look(call_id)
            if stored and stored.call.caller:
                lead["caller_id"] = stored.call.caller
        return lead

    def _write(self, receiver: Receiver, postback: Postback, values: Values, now: int) -> Call:
        """Raises `Unaskable` and `BadSecret`."""
        way = receiver.exchange
        if not way.fields and way.method == "POST":
            whole = {"type": postback.happening.type, "timestamp": iso_time(postback.happening.at)}
            call = exchange.write(replace(way, format="json"), values, {}, final=True, absent="")
            call = replace(call, body=msgspec.json.encode({**whole, "data": values.document}))
        else:
            call = exchange.write(way, values, {}, final=True, absent="")
        secrets = [self.secret(name) for name in receiver.secrets]
        signed = signing.sign(postback.id, now, call.body, secrets or [signing.own_secret(self.keys, receiver.name)])
        return replace(call, headers=call.headers | signed)

    def _finish(self, ready: Ready, reply: Reply | Silence) -> State:
        """Note a try, and do what follows it."""
        postback, number, now = ready.postback, ready.message.n, self.now()
        status = reply.status if isinstance(reply, Reply) else 0
        is_ok, is_gone = 200 <= status < 300, status == GONE
        state, next_at = self._decide(postback, number, now, is_ok=is_ok, is_gone=is_gone)
        if is_gone:
            self.postbacks.pause(postback.receiver, ready.at, now)
        noted = self.postbacks.note_try(postback.id, number, state, next_at)
        self.postbacks.log_try(
            postback.receiver,
            Try(
                at=ready.at,
                id=postback.id,
                number=number,
                type=postback.happening.type,
                status=status,
                milliseconds=reply.milliseconds or 0,
                reason=reply.reason if isinstance(reply, Silence) else "",
                state=state,
            ),
        )
        if noted and noted.tries == number + 1:
            self._follow(noted, is_gone=is_gone)
        if is_ok and ready.slot is not None:
            self.postbacks.note_ok(ready.state, ready.slot, now)
        else:
            self.postbacks.note_failed(ready.state, ready.slot, postback.id, number, now)
        return state

    def _decide(self, postback: Postback, number: int, now: int, *, is_ok: bool, is_gone: bool) -> tuple[State, int]:
        if is_ok:
            return "sent", now
        if postback.happening.type == A_TEST:
            return "dead", now
        if is_gone:
            return "waiting", now
        delay = schedule.delay_after(postback.id, number + 1 - postback.base)
        return ("dead", now) if delay is None else ("waiting", now + delay)

    def _follow(self, postback: Postback, *, is_gone: bool = False) -> None:
        """What follows a try that was noted. It may be repeated."""
        if postback.state == "dead" and postback.happening.type != A_TEST:
            self.postbacks.note_dead(postback)
        if postback.state != "waiting":
            return
        delay = max(0, postback.next_at - self.now())
        if is_gone:
            self.postbacks.note_waiting(postback)
        elif delay <= schedule.QUEUE_SECONDS:
            self.queue.send([Message(id=postback.id, receiver=postback.receiver, n=postback.tries)], delay)
        else:
            self.timetable.enter([Due("postbacks", signing.raw_id(postback.id), postback.next_at)])
