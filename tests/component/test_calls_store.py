"""The writes of a call over an engine: each once, again, late, and with its answer lost."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from shared.domain.calls import (
    MOST_ATTEMPTS,
    Attempt,
    Call,
    Candidate,
    Dial,
    Ended,
    Facts,
    Over,
    Settled,
    next_step,
    state_of,
)
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.calls import Calls, StoredCall
from shared.store.dynamo import ConditionFailed, Dynamo
from shared.store.packing import UnknownFormat
from tests.build import CALLER, SETTINGS, START, Stage
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ID, OTHER, PING = b"call id 0001", b"call id 0002", b"ping id 0001"
DELETE_AT = START + 30 * 24 * 3600
CALLER_HASH = bytes(12)
CALL = Call(
    provider="main",
    account="AC1",
    provider_id="CA1",
    number="+18005550100",
    caller=CALLER,
    ping_id=PING,
    endpoint="my_endpoint",
    version=1,
    arrived_at=START,
    arrival="in_time",
    candidates=(
        Candidate(1, 2500, 2500, "+18005550181"),
        Candidate(2, 2000, 2000, "+18005550182", press=True),
    ),
)
FIRST, SECOND = Attempt(1, START), Attempt(2, START + 10)
BUSY, TALKED = Ended("busy", START + 9), Ended("completed", START + 100, seconds=85, bridged=True)
OVER = Over(START + 101, seconds=101)
SETTLED = Settled(at=START + 102, outcome="finished", buyer_id=2, revenue_cents=2000, payout_cents=1500, seconds=85)
WORTHLESS = Settled(at=START + 20, outcome="no-buyer", detail="no-buyer-all-maxed-out")

Write = Callable[[Calls], StoredCall | None]


class Fated(Dynamo):
    """The next write meets a fate: its answer is lost, or it comes to nothing until it is delivered."""

    fate = "done"

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if self.fate == "late":
            self.deliver = partial(self._deliver, method, request)
            raise TemporarilyUnavailable
        answer = super().send(method, sendings, *args, **request)
        if self.fate == "answer lost":
            raise TemporarilyUnavailable
        return answer

    def _deliver(self, method: Any, request: Any) -> None:
        with suppress(ConditionFailed):
            super().send(method, 1, **request)


@pytest.fixture(scope="module")
def fast_client() -> "Iterator[DynamoDBClient]":
    """An engine that reads conditions as DynamoDB does, once for all tests."""
    with engine.dynoxide(None) as url:
        found = engine.client(url)
        engine.create_tables(found, SETTINGS)
        yield found


@pytest.fixture
def dynamo(fast_client: "DynamoDBClient") -> Fated:
    for table, key in ((SETTINGS.calls_table, "call_id"), (SETTINGS.pings_table, "ping_id")):
        for item in fast_client.scan(TableName=table)["Items"]:
            fast_client.delete_item(TableName=table, Key={key: item[key]})
    return Fated(fast_client, SETTINGS)


@pytest.fixture
def calls(dynamo: Fated) -> Calls:
    return Calls(dynamo)


@pytest.fixture
def ping(dynamo: Fated) -> bytes:
    dynamo.client.put_item(TableName=SETTINGS.pings_table, Item={"ping_id": {"B": PING}})
    return PING


def contents(calls: Calls) -> list[Any]:
    return calls.dynamo.client.scan(TableName=calls.table)["Items"]


def arrive(calls: Calls) -> StoredCall:
    return calls.arrive(ID, CALL, FIRST, CALLER_HASH, DELETE_AT)


def attempt(calls: Calls) -> StoredCall | None:
    return calls.attempt(ID, 2, SECOND)


def end_first(calls: Calls) -> StoredCall | None:
    return calls.note_ended(ID, 1, BUSY)


def settle(calls: Calls) -> StoredCall | None:
    return calls.settle(ID, facts_after(WRITES[:-1]), SETTLED)


WRITES: list[Write] = [
    arrive,
    end_first,
    attempt,
    lambda calls: calls.note_connected(ID, 2, START + 15),
    lambda calls: calls.note_accepted(ID, 2, START + 18),
    lambda calls: calls.note_ended(ID, 2, TALKED),
    lambda calls: calls.note_over(ID, OVER),
    settle,
]
"""A whole call: the first buyer is busy, the second one talks."""
NAMES = ["arrive", "end 1", "attempt 2", "connected", "accepted", "end 2", "over", "settle"]
EACH = pytest.mark.parametrize("which", range(len(WRITES)), ids=NAMES)

WHOLE = Facts(
    attempts={1: FIRST, 2: SECOND},
    connected={2: START + 15},
    accepted={2: START + 18},
    ended={1: BUSY, 2: TALKED},
    over=OVER,
    settled=SETTLED,
)


def facts_after(writes: list[Write]) -> Facts:
    """The facts that there are after so many of `WRITES`."""
    done = len(writes)
    return Facts(
        attempts={n: attempt for n, attempt in WHOLE.attempts.items() if done > (0, 0, 2)[n]},
        connected=WHOLE.connected if done > 3 else {},
        accepted=WHOLE.accepted if done > 4 else {},
        ended={n: ended for n, ended in WHOLE.ended.items() if done > (0, 1, 5)[n]},
        over=OVER if done > 6 else None,
        settled=SETTLED if done > 7 else None,
    )


def play(calls: Calls, writes: list[Write]) -> None:
    for write in writes:
        assert write(calls)


@EACH
def test_a_write_is_done_and_gives_the_call_as_it_is_now(calls: Calls, which: int) -> None:
    play(calls, WRITES[:which])
    found = WRITES[which](calls)
    assert found == StoredCall(CALL, facts_after(WRITES[: which + 1])) == calls.look(ID)


@EACH
def test_a_write_that_is_repeated_changes_nothing_and_gives_the_same(calls: Calls, which: int) -> None:
    play(calls, WRITES[: which + 1])
    before = contents(calls)
    assert WRITES[which](calls) == StoredCall(CALL, facts_after(WRITES[: which + 1]))
    assert contents(calls) == before


@EACH
@pytest.mark.parametrize("fate", ["answer lost", "late"])
def test_a_write_that_is_unclear_is_written_again_and_then_done_once(
    calls: Calls, dynamo: Fated, which: int, fate: str
) -> None:
    play(calls, WRITES[:which])
    dynamo.fate = fate
    with pytest.raises(TemporarilyUnavailable):
        WRITES[which](calls)
    dynamo.fate = "done"
    assert WRITES[which](calls) == StoredCall(CALL, facts_after(WRITES[: which + 1]))
    before = contents(calls)
    if fate == "late":
        dynamo.deliver()
    assert contents(calls) == before


@EACH
def test_a_write_that_comes_after_all_others_changes_nothing_that_was_decided(
    calls: Calls, dynamo: Fated, which: int
) -> None:
    """The request died, and another one has gone through with the call."""
    play(calls, WRITES[:which])
    dynamo.fate = "late"
    with pytest.raises(TemporarilyUnavailable):
        WRITES[which](calls)
    dynamo.fate = "done"
    play(calls, WRITES[which:])
    before = contents(calls)
    dynamo.deliver()
    assert contents(calls) == before


@pytest.mark.parametrize("write", WRITES[1:], ids=NAMES[1:])
def test_a_write_never_brings_a_deleted_call_back(calls: Calls, write: Write) -> None:
    assert write(calls) is None
    assert contents(calls) == []


def test_a_call_that_is_not_there_is_none(calls: Calls) -> None:
    arrive(calls)
    assert calls.look(OTHER) is None


def test_a_webhook_that_comes_again_with_another_time_finds_the_call_that_stands(calls: Calls) -> None:
    arrive(calls)
    play(calls, [end_first, attempt])
    again = calls.arrive(ID, replace(CALL, arrived_at=START + 12), Attempt(1, START + 12), CALLER_HASH, DELETE_AT + 12)
    assert again == StoredCall(CALL, facts_after(WRITES[:3]))
    assert next_step(again.call, again.facts, START + 12, 120) == Dial(2, 2, 110)


def test_a_call_that_nobody_may_take_arrives_without_an_attempt(calls: Calls) -> None:
    assert calls.arrive(ID, CALL, None, b"", DELETE_AT).facts == Facts()
    found = calls.settle(ID, Facts(), WORTHLESS)
    assert found
    assert found.facts == Facts(settled=WORTHLESS)


@pytest.mark.parametrize(
    ("write", "again"),
    [
        (end_first, lambda calls: calls.note_ended(ID, 1, TALKED)),
        (lambda calls: calls.note_connected(ID, 1, START), lambda calls: calls.note_connected(ID, 1, START + 9)),
        (lambda calls: calls.note_accepted(ID, 1, START), lambda calls: calls.note_accepted(ID, 1, START + 9)),
        (lambda calls: calls.note_over(ID, OVER), lambda calls: calls.note_over(ID, Over(START))),
    ],
)
def test_of_two_facts_of_one_thing_the_first_stays(calls: Calls, write: Write, again: Write) -> None:
    arrive(calls)
    first = write(calls)
    assert again(calls) == first


def test_of_two_that_dial_the_next_buyer_one_does_and_the_other_sees_it(calls: Calls) -> None:
    play(calls, [arrive, end_first, attempt])
    found = calls.attempt(ID, 2, Attempt(3, START + 11))
    assert found
    assert found.facts.attempts[2] == SECOND


@pytest.mark.parametrize(
    "before",
    [
        [arrive],
        [arrive, end_first, lambda calls: calls.note_over(ID, OVER)],
        [arrive, end_first, lambda calls: calls.settle(ID, facts_after(WRITES[:2]), WORTHLESS)],
    ],
    ids=["the one before runs", "the caller is gone", "it is settled"],
)
def test_no_attempt_begins_while_the_one_before_runs_nor_after_the_end(calls: Calls, before: list[Write]) -> None:
    play(calls, before)
    found = attempt(calls)
    assert found == calls.look(ID)
    assert found
    assert found.facts.last == 1


def test_an_attempt_begins_only_in_its_turn(calls: Calls) -> None:
    play(calls, [arrive, end_first, lambda calls: calls.note_ended(ID, 2, TALKED)])
    found = calls.attempt(ID, 3, SECOND)
    assert found
    assert found.facts.last == 1


@pytest.mark.parametrize("unseen", range(1, len(WRITES) - 1), ids=NAMES[1:-1])
def test_a_call_is_settled_only_by_the_facts_that_it_has(calls: Calls, unseen: int) -> None:
    play(calls, WRITES[: unseen + 1])
    refused = calls.settle(ID, facts_after(WRITES[:unseen]), WORTHLESS)
    assert refused == StoredCall(CALL, facts_after(WRITES[: unseen + 1]))
    imagined = calls.settle(ID, replace(refused.facts, connected={9: START}), WORTHLESS)
    assert imagined == refused
    settled = calls.settle(ID, refused.facts, WORTHLESS)
    assert settled
    assert settled.facts.settled == WORTHLESS


def test_a_call_is_settled_once(calls: Calls) -> None:
    play(calls, WRITES)
    again = calls.settle(ID, WHOLE, WORTHLESS)
    assert again
    assert again.facts.settled == SETTLED


def test_a_fact_that_comes_after_the_settlement_is_kept_and_settles_nothing_anew(calls: Calls) -> None:
    play(calls, [arrive, end_first, lambda calls: calls.settle(ID, facts_after(WRITES[:2]), WORTHLESS)])
    found = calls.note_over(ID, OVER)
    assert found
    assert (found.facts.over, found.facts.settled) == (OVER, WORTHLESS)
    assert state_of(found.call, found.facts).phase == "settled"


def test_a_call_of_nine_attempts_with_all_facts_is_settled_by_one_write(calls: Calls) -> None:
    """An expression may have 4 KB and 300 operators."""
    arrive(calls)
    for n in range(1, MOST_ATTEMPTS + 1):
        for write in (calls.note_connected, calls.note_accepted):
            assert write(ID, n, START)
        assert n == 1 or calls.attempt(ID, n, Attempt(n, START + n))
        assert calls.note_ended(ID, n, BUSY)
    found = calls.note_over(ID, OVER)
    assert found
    assert [len(some) for some in (found.facts.attempts, found.facts.connected, found.facts.ended)] == [9, 9, 9]
    settled = calls.settle(ID, found.facts, WORTHLESS)
    assert settled
    assert settled.facts == replace(found.facts, settled=WORTHLESS)


def test_of_the_calls_of_a_sale_the_first_to_convert_is_paid(calls: Calls, ping: bytes) -> None:
    assert calls.mark_paid(ping, ID)
    assert calls.mark_paid(ping, ID)
    assert not calls.mark_paid(ping, OTHER)
    assert calls.mark_paid(ping, ID)


def test_nobody_is_paid_for_a_ping_that_is_gone(calls: Calls) -> None:
    assert not calls.mark_paid(PING, ID)
    assert calls.dynamo.client.scan(TableName=SETTINGS.pings_table)["Items"] == []


def test_a_call_that_may_have_been_paid_is_asked_for_again_and_no_other_is(
    calls: Calls, dynamo: Fated, ping: bytes
) -> None:
    dynamo.fate = "answer lost"
    with pytest.raises(TemporarilyUnavailable):
        calls.mark_paid(ping, ID)
    dynamo.fate = "done"
    assert not calls.mark_paid(ping, OTHER)
    assert calls.mark_paid(ping, ID)


def test_a_payment_that_comes_late_takes_nothing_from_another_call(calls: Calls, dynamo: Fated, ping: bytes) -> None:
    dynamo.fate = "late"
    with pytest.raises(TemporarilyUnavailable):
        calls.mark_paid(ping, ID)
    dynamo.fate = "done"
    assert calls.mark_paid(ping, OTHER)
    dynamo.deliver()
    assert calls.mark_paid(ping, OTHER)
    assert not calls.mark_paid(ping, ID)


@pytest.mark.parametrize(
    ("name", "value"),
    [("call", {"B": b"\x02"}), ("s1", {"B": b"\xc1"}), ("outcome", {"S": "teleported"})],
)
def test_a_call_of_a_newer_release_is_refused_not_misread(calls: Calls, name: str, value: Any) -> None:
    play(calls, WRITES)
    [item] = contents(calls)
    calls.dynamo.client.put_item(TableName=calls.table, Item=item | {name: value})
    with pytest.raises(UnknownFormat):
        calls.look(ID)


def test_moto_keeps_a_call_as_the_engine_does(stage: Stage) -> None:
    calls = Calls(Dynamo(stage.client, SETTINGS))
    play(calls, WRITES)
    assert calls.look(ID) == StoredCall(CALL, WHOLE)
    assert attempt(calls) == arrive(calls) == StoredCall(CALL, WHOLE)


def test_a_call_with_all_that_usually_happens_is_one_write_unit(calls: Calls) -> None:
    play(calls, WRITES)
    [item] = contents(calls)
    size = sum(len(name) + len(next(iter(value.values()))) for name, value in item.items())
    assert size < 600
