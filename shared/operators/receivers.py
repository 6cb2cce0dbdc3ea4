"""How receivers of postbacks fare: their state, the log of tries, what is dead; a test, a resumption, one sent again. A
publisher sees its own, and sets them where an operator allows it."""

import os
import re
from typing import Literal

from msgspec import Struct

from shared import configuration
from shared.configuration import Plain
from shared.domain import receivers as domain
from shared.domain.models import Role
from shared.domain.objections import NotAllowed, NotFound, NotValid, Refused
from shared.domain.readers import Reader
from shared.domain.receivers import A_TEST, Happening
from shared.operators import resources
from shared.operators.access import Office
from shared.operators.resources import PAGE, Resource
from shared.postbacks.again import newest_dead
from shared.postbacks.queue import Message, Queue
from shared.postbacks.signing import message_id, own_secret
from shared.store.postbacks import Listed, Postback, Postbacks, ReceiverState, Try
from shared.store.records import Records

SETTERS: tuple[Role, ...] = ("operator", "publisher")
"""Who sets receivers and sends to them: an operator all, a publisher its own."""
Fares = Literal["ok", "failing", "paused", "dead", "new"]
OWN_AT_MOST = 10
"""Receivers that a publisher sets itself."""
MOST_DEAD = 100
A_PLACE = re.compile(r"[0-9]{10}#msg_[0-9a-f]{32}#[0-9]{3}")
AN_ID = re.compile(r"msg_[0-9a-f]{32}")
TEST_BYTES = 8


class Fared(Struct, frozen=True, kw_only=True):
    """A receiver now: `ok`, `failing` (it is tried once a minute), `paused` (it answered 410), `dead` (there are
    postbacks that are tried no more), or `new`. `waiting` and `dead` are counted up to a hundred. `secret` is the one
    that signs, where it is the stack's own. Times are seconds since the epoch."""

    name: str
    state: Fares
    ok_at: int | None
    failed_at: int | None
    paused_at: int | None
    waiting: int
    dead: int
    secret: str | None


class MadeTry(Struct, frozen=True, kw_only=True):
    """A try: `status` is HTTP's, null without an answer, which `reason` is about. `outcome` is what became of the
    postback: waiting for the next try, sent, dead."""

    at: int
    id: str
    number: int
    event: str
    status: int | None
    milliseconds: int
    reason: str
    outcome: str


class Tries(Struct, frozen=True):
    """The newest first; `next` is what to ask for `after`."""

    items: list[MadeTry]
    next: str | None = None


class DeadPostback(Struct, frozen=True):
    """A postback that is tried no more: its id, its event, and when that was seen."""

    id: str
    event: str
    at: int


class Asked(Struct, frozen=True):
    """The id of the postback that is on its way."""

    id: str


def find_own(office: Office, reader: Reader, name: str) -> Resource:
    """A receiver that the reader may see. Raises `NotFound`."""
    found = resources.find_resource(office.records, "receivers", name)
    if reader.limited_to not in (None, found.content.get("user")):
        raise NotFound(f"There is no receiver {name}.")
    return found


def find_state(office: Office, reader: Reader, name: str, *, shows_secret: bool = False) -> Fared:
    """Raises `NotFound`."""
    found = find_own(office, reader, name)
    return describe_state(office.records, found, shows_secret=shows_secret)


def describe_state(records: Records, found: Resource, *, shows_secret: bool = False) -> Fared:
    postbacks = Postbacks(records.dynamo)
    state, dead = postbacks.state_of(found.name), len(postbacks.dead(found.name, MOST_DEAD))
    return Fared(
        name=found.name,
        state=_fares(state, dead),
        ok_at=state.ok_at or None,
        failed_at=state.failed_at or None,
        paused_at=state.paused or None,
        waiting=len(postbacks.waiting(found.name, MOST_DEAD)),
        dead=dead,
        secret=own_secret(records.keys, found.name) if shows_secret and not found.content.get("secret") else None,
    )


def list_states(office: Office, names: list[str]) -> dict[str, Fares]:
    """How each of these receivers fares, without what takes a call for each."""
    states = Postbacks(office.records.dynamo).states_of(names) if names else {}
    return {name: _fares(state, 0) for name, state in states.items()}


def list_tries(office: Office, reader: Reader, name: str, after: str = "", limit: int = PAGE) -> Tries:
    """Raises `NotFound` and `NotValid`."""
    find_own(office, reader, name)
    if after and not A_PLACE.fullmatch(after):
        raise NotValid({"after": ["must be the `next` of an earlier answer"]})
    found = Postbacks(office.records.dynamo).tries(name, limit, after)
    return Tries([_made(each) for _, each in found], found[-1][0] if len(found) == limit else None)


def list_dead(office: Office, reader: Reader, name: str) -> list[DeadPostback]:
    """The newest hundred. Raises `NotFound`."""
    find_own(office, reader, name)
    found = newest_dead(Postbacks(office.records.dynamo), name)
    return [describe_dead(entry, postback) for entry, postback in found if postback.state == "dead"]


def describe_dead(entry: Listed, postback: Postback) -> DeadPostback:
    return DeadPostback(postback.id, postback.happening.type, entry.at)


def send_test(office: Office, reader: Reader, name: str) -> Asked:
    """Send a made-up event, whatever the receiver's events, conditions and state are. Raises `NotFound` and
    `Refused`."""
    found = find_own(office, reader, name)
    now = office.records.now()
    happening = Happening(
        type=A_TEST,
        at=now,
        call=bytes(12),
        ping=bytes(12),
        test=os.urandom(TEST_BYTES).hex(),
        endpoint="test",
        user=found.content.get("user") or "test",
        source="test",
        number="+18005550100",
        buyer_id=found.content.get("buyer") or 1,
        buyer_name="Test buyer",
        arrival="in_time",
        status="finished",
        connected=True,
        seconds=95,
        converted=True,
        revenue_cents=2500,
        payout_cents=2000,
    )
    some_id = message_id(office.records.keys, happening.key, name)
    _queue(office).send([Message(id=some_id, receiver=name, happening=happening, must=True)])
    return Asked(some_id)


def send_again(office: Office, reader: Reader, name: str, some_id: str) -> Asked:
    """Send a postback that is over once more, with its own id. Raises `NotFound` and `Refused`."""
    find_own(office, reader, name)
    postback = Postbacks(office.records.dynamo).find(some_id) if AN_ID.fullmatch(some_id) else None
    if postback is None or postback.receiver != name:
        raise NotFound(f"There is no postback {some_id}.")
    if postback.state == "waiting":
        raise Refused("This postback is still waiting for its next try.")
    _queue(office).send([Message(id=some_id, receiver=name, n=postback.tries, must=True, again=True)])
    return Asked(some_id)


def resume(office: Office, reader: Reader, name: str) -> Fared:
    """End a pause, and go on with what waits, within a minute. Raises `NotFound`."""
    find_own(office, reader, name)
    Postbacks(office.records.dynamo).resume(name, office.records.now())
    return find_state(office, reader, name)


def check_may_set(office: Office, reader: Reader, content: Plain, name: str | None) -> None:
    """Whether the reader may make this receiver, or change the one of this name to it. Raises `NotAllowed`, `NotFound`
    and `NotValid`."""
    if reader.limited_to is None:
        return
    may_change(office, reader, name)
    wrong: dict[str, list[str]] = {}
    if content.get("to") != "publisher":
        wrong["to"] = ["must be publisher: it is your own"]
    if content.get("user") != reader.limited_to:
        wrong["user"] = [f"must be {reader.limited_to}: it is your own"]
    if not wrong and _names_secrets(content):
        wrong["secret"] = ["must be left out, and {secret.…} everywhere: secrets are the operator's"]
    own = [
        each
        for each in resources.all_of(office.records.versions.last_read().parts, "receivers")
        if each.content.get("user") == reader.limited_to and each.name != name
    ]
    if len(own) >= OWN_AT_MOST:
        wrong[""] = [f"you have {OWN_AT_MOST} receivers already, which is the most"]
    if wrong:
        raise NotValid(wrong)


def may_change(office: Office, reader: Reader, name: str | None) -> None:
    """Whether the reader may change this receiver, or make one. Raises `NotAllowed` and `NotFound`."""
    if reader.limited_to is None:
        return
    user = office.records.versions.last_read().parts.get(("users", reader.limited_to), {})
    if not user.get("own_receivers"):
        raise NotAllowed("An operator sets receivers, unless it lets you: own_receivers of your user.")
    if name is not None:
        before = find_own(office, reader, name)
        if _names_secrets(before.content):
            raise NotAllowed("This receiver has secrets of the operator, who alone changes it.")


def _names_secrets(content: Plain) -> bool:
    """What cannot be read is told by the check of the configuration."""
    try:
        return configuration.Receiver.model_validate(content).names_secrets()
    except ValueError:
        return "{secret." in str(domain.spell_out(content))


def _queue(office: Office) -> Queue:
    if office.queue is None:
        raise Refused("There is no queue of postbacks here.")
    return office.queue()


def _fares(state: ReceiverState, dead: int) -> Fares:
    if state.paused:
        return "paused"
    if state.is_failing:
        return "failing"
    if dead:
        return "dead"
    return "ok" if state.ok_at or state.failed_at else "new"


def _made(made: Try) -> MadeTry:
    return MadeTry(
        at=made.at,
        id=made.id,
        number=made.number + 1,
        event=made.type,
        status=made.status or None,
        milliseconds=made.milliseconds,
        reason=made.reason,
        outcome=made.state,
    )
