"""A call as a function of its facts: its state, who is dialed next, how it ended; and uuids that cannot be forged."""

import random
import re
import string
from itertools import permutations
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from shared.domain import calls
from shared.domain.calls import (
    MOST_ATTEMPTS,
    Attempt,
    Call,
    Candidate,
    Dial,
    End,
    Ended,
    Facts,
    Over,
    Settled,
    State,
    Stop,
    next_step,
    seconds_of,
    state_of,
    status_of,
)
from shared.domain.key_list import derive
from shared.domain.keys import Kind, call_id, of_sandbox, read_uuid, uuid
from tests.build import CALLER, KEYS, START

MAX = 120
A, B, C = (Candidate(n, cents, cents, f"+1800555018{n}") for n, cents in ((1, 2500), (2, 2000), (3, 1500)))
ID = bytes(range(12))
KINDS = get_args(Kind)


def a_call(*candidates: Candidate, **overrides: Any) -> Call:
    values: dict[str, Any] = {
        "provider": "main",
        "account": "AC1",
        "provider_id": "CA1",
        "number": "+18005550100",
        "caller": CALLER,
        "ping_id": ID,
        "endpoint": "my_endpoint",
        "version": 1,
        "arrived_at": START,
        "arrival": "in_time",
        "candidates": candidates or (A, B, C),
    }
    return Call(**values | overrides)


def after(*ends: End | None, **overrides: Any) -> Facts:
    """Attempts at buyers 1, 2, … that ended so, ten seconds each. The last may still run: None."""
    attempts = {n: Attempt(n, START + 10 * (n - 1)) for n in range(1, len(ends) + 1)}
    ended = {n: Ended(end, START + 10 * n) for n, end in enumerate(ends, start=1) if end}
    return replace(Facts(attempts=attempts, ended=ended), **overrides)


def step(facts: Facts, call: Call | None = None, seconds: int = 30) -> Dial | Stop:
    return next_step(call or a_call(), facts, START + seconds, MAX)


def test_a_call_that_has_just_arrived_dials_the_buyer_of_its_sale() -> None:
    assert state_of(a_call(), Facts()) == State("arrived")
    assert step(Facts(), seconds=0) == Dial(1, 1, MAX)
    assert status_of(a_call(), Facts()) == "initiated"


@pytest.mark.parametrize("end", ["busy", "no_answer", "failed", "declined", "no_room", "filtered", "duplicate"])
def test_the_next_buyer_is_dialed_after_one_that_did_not_take_the_call(end: End) -> None:
    assert state_of(a_call(), after(end)) == State("ended", 1)
    assert step(after(end)) == Dial(2, 2, MAX - 30)
    assert status_of(a_call(), after(end)) == "calling-leads"


@pytest.mark.parametrize(
    "facts", [after("canceled"), after("busy", over=Over(START + 12)), after(None, over=Over(START))]
)
def test_nobody_is_dialed_once_the_caller_has_gone(facts: Facts) -> None:
    assert state_of(a_call(), facts).phase == "over"
    assert isinstance(step(facts), Stop)


CONNECTED = [
    after("completed"),
    after("completed", connected={1: START + 5}),
    after("failed", connected={1: START + 5}),
    after("busy", "completed"),
    after("busy", None, connected={2: START + 15}, over=Over(START + 100)),
]


@pytest.mark.parametrize("facts", CONNECTED)
def test_nobody_is_dialed_once_a_buyer_was_connected(facts: Facts) -> None:
    assert step(facts) == Stop("finished")
    assert calls.connected_attempt(a_call(), facts) == facts.last


def test_while_a_buyer_rings_or_talks_everybody_is_told_of_that_attempt_by_the_same_answer() -> None:
    ringing, talking = after("busy", None), after("busy", None, connected={2: START + 15})
    assert state_of(a_call(), ringing) == State("dialing", 2)
    assert state_of(a_call(), talking) == State("connected", 2)
    for facts, status in ((ringing, "calling-leads"), (talking, "established")):
        assert {step(facts, seconds=seconds) for seconds in (10, 60, 10_000)} == {Dial(2, 2, MAX - 10)}
        assert status_of(a_call(), facts) == status


def test_what_a_step_says_is_what_is_said_once_its_attempt_is_written() -> None:
    facts = after("busy")
    first = step(facts, seconds=33)
    assert isinstance(first, Dial)
    attempts = facts.attempts | {first.attempt: Attempt(first.buyer_id, START + 33)}
    assert step(replace(facts, attempts=attempts), seconds=40) == first


def test_there_are_at_most_nine_attempts() -> None:
    many = a_call(*(Candidate(n, 100, 100, "+18005550181") for n in range(1, 20)))
    ends: list[End | None] = ["failed"] * MOST_ATTEMPTS
    assert isinstance(step(after(*ends[:-1]), many), Dial)
    assert step(after(*ends), many) == Stop("failed")


@pytest.mark.parametrize(("seconds", "expected"), [(MAX - 1, Dial(2, 2, 1)), (MAX, Stop("busy")), (500, Stop("busy"))])
def test_no_attempt_begins_after_the_longest_time_to_ring(seconds: int, expected: Dial | Stop) -> None:
    assert step(after("busy"), seconds=seconds) == expected


def test_no_buyer_is_dialed_twice_in_a_call() -> None:
    call = a_call(A, B, A, C)
    assert step(after("busy", "busy"), call) == Dial(3, 3, MAX - 30)
    assert step(Facts(attempts={1: Attempt(2, START)}, ended={1: Ended("busy", START)}), call) == Dial(2, 1, MAX - 30)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (["busy", "busy", "no_answer"], Stop("no-answer")),
        (["no_answer", "failed", "no_room"], Stop("failed")),
        (["no_room", "declined", "filtered"], Stop("no-answer")),
        (["no_room", "no_room", "no_room"], Stop("no-buyer", "no-buyer-all-maxed-out")),
        (["duplicate", "duplicate", "duplicate"], Stop("no-buyer", "no-buyer-prevent-dupes")),
        (["filtered", "filtered", "filtered"], Stop("no-buyer", "no-buyer-all-filtered")),
        (["no_room", "duplicate", "no_room"], Stop("no-buyer", "no-buyer-all-filtered")),
        (["busy", "canceled"], Stop("caller-hung-up-while-ringing-buyer")),
    ],
)
def test_a_call_that_nobody_took_ended_as_the_last_buyer_that_was_dialed(ends: list[End], expected: Stop) -> None:
    assert step(after(*ends)) == expected
    settled = Settled(at=START, outcome=expected.outcome)
    assert status_of(a_call(), after(*ends, settled=settled)) == expected.outcome


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(over=Over(START + 1)), "caller-hung-up"),
        (after(None, over=Over(START + 5)), "caller-hung-up-while-ringing-buyer"),
        (after("busy", over=Over(START + 12)), "caller-hung-up"),
        (after("busy", over=Over(START + MAX)), "busy"),
        (after("busy", "busy", "busy", over=Over(START + 31)), "busy"),
    ],
)
def test_a_caller_that_hangs_up_is_told_from_one_that_nobody_took(facts: Facts, expected: str) -> None:
    assert {step(facts, seconds=seconds) for seconds in (1, 60, 10_000)} == {Stop(expected)}  # type: ignore[arg-type]


@pytest.mark.parametrize("refused", [Stop("rejected"), Stop("blocked"), Stop("no-buyer", "no-buyer-prevent-dupes")])
@pytest.mark.parametrize("facts", [Facts(), Facts(over=Over(START))])
def test_a_call_that_was_refused_dials_nobody_and_says_why(refused: Stop, facts: Facts) -> None:
    assert step(facts, a_call(refused=refused, arrival="refused", candidates=())) == refused


def test_a_call_without_candidates_has_no_buyer() -> None:
    assert step(Facts(), a_call(candidates=())) == Stop("no-buyer")


def test_the_number_of_last_resort_is_dialed_after_all_buyers() -> None:
    call = a_call(A, Candidate(calls.LAST_RESORT, 0, 0, "+18005550199"))
    assert step(after("busy"), call) == Dial(2, calls.LAST_RESORT, MAX - 30)


def test_a_settled_call_stays_as_it_was_settled() -> None:
    settled = Settled(at=START + 20, outcome="no-buyer", detail="no-buyer-all-filtered")
    facts = after("completed", None, settled=settled)
    assert state_of(a_call(), facts) == State("settled", 2)
    assert step(facts) == Stop("no-buyer", "no-buyer-all-filtered")


PRESSING = a_call(Candidate(1, 100, 100, "+18005550181", press=True), B)


@pytest.mark.parametrize("end", ["completed", "no_answer", "failed"])
def test_a_buyer_that_has_to_press_a_key_and_does_not_has_declined(end: End) -> None:
    answered = after(None, connected={1: START + 3})
    assert state_of(PRESSING, answered) == State("dialing", 1)
    facts = after(end, connected={1: START + 3})
    assert step(facts, PRESSING) == Dial(2, 2, MAX - 30)
    assert step(facts, a_call(Candidate(1, 100, 100, "+18005550181", press=True))) == Stop("no-answer")
    assert seconds_of(PRESSING, facts) == 0


def test_a_buyer_that_has_to_press_a_key_and_never_answered_was_busy_as_any_other() -> None:
    assert step(after("busy"), a_call(Candidate(1, 100, 100, "+18005550181", press=True))) == Stop("busy")


def test_a_caller_that_hangs_up_before_the_key_was_pressed_was_not_declined() -> None:
    assert step(after("canceled", connected={1: START}), PRESSING) == Stop("caller-hung-up-while-ringing-buyer")


@pytest.mark.parametrize("facts", [after("completed", accepted={1: START + 9}), after("completed")])
def test_a_pressed_key_or_a_bridge_connects(facts: Facts) -> None:
    if not facts.accepted:
        facts = replace(facts, ended={1: replace(facts.ended[1], bridged=True)})
    assert step(facts, PRESSING) == Stop("finished")


def test_seconds_are_the_providers_and_run_from_the_key() -> None:
    ended = {1: Ended("completed", START + 100, seconds=95)}
    facts = after(None, connected={1: START + 4}, accepted={1: START + 9}, ended=ended)
    assert seconds_of(a_call(), facts) == 95
    assert seconds_of(PRESSING, facts) == 90
    assert seconds_of(PRESSING, replace(facts, connected={})) == 95
    assert seconds_of(a_call(), Facts()) == 0


def test_without_the_end_of_the_attempt_seconds_run_until_the_call_is_over() -> None:
    facts = after(None, connected={1: START + 4}, accepted={1: START + 9})
    assert seconds_of(a_call(), facts) == 0
    over = replace(facts, over=Over(START + 64, seconds=66))
    assert (seconds_of(a_call(), over), seconds_of(PRESSING, over)) == (60, 55)


def test_what_is_said_of_an_attempt_that_never_began_plays_no_part() -> None:
    stray = Facts(connected={5: START}, accepted={5: START}, ended={5: Ended("completed", START)})
    assert state_of(a_call(), stray) == State("arrived")
    busy = after("busy")
    assert step(replace(busy, connected=stray.connected, ended=busy.ended | stray.ended)) == step(busy)


def test_neither_caller_nor_number_shows_in_a_log() -> None:
    assert repr(a_call()) == f"Call(main, in_time, {START})"


CANDIDATES = st.lists(st.builds(Candidate, st.integers(0, 12), st.just(100), st.booleans()), max_size=12)
MOMENTS = st.integers(START, START + 200)
DICTS: dict[str, st.SearchStrategy[Any]] = {
    "connected": st.dictionaries(st.integers(1, 9), MOMENTS, max_size=3),
    "accepted": st.dictionaries(st.integers(1, 9), MOMENTS, max_size=3),
    "ended": st.dictionaries(
        st.integers(1, 9),
        st.builds(Ended, st.sampled_from(get_args(End)), MOMENTS, st.integers(0, 100), st.booleans()),
        max_size=9,
    ),
}


@st.composite
def some_facts(draw: st.DrawFn) -> Facts:
    """Of up to nine attempts, of which any event may have been lost."""
    buyers = draw(st.lists(st.integers(0, 12), unique=True, max_size=MOST_ATTEMPTS))
    return Facts(
        attempts={n: Attempt(buyer, START + 5 * n) for n, buyer in enumerate(buyers, start=1)},
        over=draw(st.none() | st.builds(Over, MOMENTS)),
        **{name: draw(some) for name, some in DICTS.items()},
    )


def written(facts: Facts) -> list[tuple[str, int, object]]:
    """The facts one by one: of what, of which attempt, and what."""
    found: list[tuple[str, int, object]] = [("over", 0, facts.over)] if facts.over else []
    return found + [
        (name, n, value) for name, some in asdict(facts).items() if isinstance(some, dict) for n, value in some.items()
    ]


def gather(events: list[tuple[str, int, object]]) -> Facts:
    """What is there after these were written, each if it was not there."""
    found: dict[str, Any] = {"attempts": {}, "connected": {}, "accepted": {}, "ended": {}, "over": None}
    for name, n, value in events:
        if name == "over":
            found[name] = found[name] or value
        else:
            found[name].setdefault(n, value)
    return Facts(**found)


@given(CANDIDATES, some_facts(), MOMENTS, st.randoms(use_true_random=False))
def test_the_same_facts_say_the_same_in_whatever_order_and_however_often_they_come(
    candidates: list[Candidate], facts: Facts, now: int, chance: random.Random
) -> None:
    call, events = a_call(candidates=tuple(candidates)), written(facts)
    shuffled = chance.sample(events + events, 2 * len(events))
    again = gather(shuffled)
    assert again == facts
    assert state_of(call, again) == state_of(call, facts)
    assert next_step(call, again, now, MAX) == next_step(call, facts, now, MAX)
    assert seconds_of(call, again) == seconds_of(call, facts)


def test_a_call_of_two_buyers_ends_alike_in_all_orders_of_its_events() -> None:
    whole = after("busy", "completed", connected={2: START + 15}, over=Over(START + 21))
    events = written(whole)
    ends = {(state_of(a_call(), gather([*order])), step(gather([*order]))) for order in permutations(events)}
    assert ends == {(State("over", 2), Stop("finished"))}


@given(CANDIDATES, some_facts(), MOMENTS)
def test_a_new_attempt_always_dials_a_candidate_that_was_not_dialed_and_only_if_nobody_has_the_caller(
    candidates: list[Candidate], facts: Facts, now: int
) -> None:
    call = a_call(candidates=tuple(candidates))
    found = next_step(call, facts, now, MAX)
    if not isinstance(found, Dial) or found.attempt in facts.attempts:
        return
    assert found.attempt == facts.last + 1 <= MOST_ATTEMPTS
    assert found.buyer_id in {each.buyer_id for each in candidates}
    assert found.buyer_id not in {each.buyer_id for each in facts.attempts.values()}
    assert not facts.over
    assert not calls.connected_attempt(call, facts)
    assert facts.last == 0 or facts.last in facts.ended
    assert 0 < found.ring_seconds <= MAX
    assert now < START + MAX


@given(CANDIDATES, some_facts(), MOMENTS, MOMENTS)
def test_after_a_stop_no_time_that_passes_dials_anybody(
    candidates: list[Candidate], facts: Facts, now: int, later: int
) -> None:
    call = a_call(candidates=tuple(candidates))
    found = next_step(call, facts, now, MAX)
    if isinstance(found, Stop):
        assert next_step(call, facts, max(now, later), MAX) == found


@given(st.binary(min_size=12, max_size=12), st.sampled_from(KINDS))
def test_a_uuid_always_reads_as_what_it_was_made_of(some_id: bytes, kind: Kind) -> None:
    text = uuid(KEYS, kind, some_id)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text)
    assert read_uuid(KEYS, kind, text) == read_uuid(KEYS, kind, text.upper()) == some_id
    assert [read_uuid(KEYS, other, text) for other in KINDS if other != kind] == [None]


def test_a_uuid_altered_in_any_one_place_is_unknown() -> None:
    text = uuid(KEYS, "call", ID)
    for place in range(len(text)):
        for character in set(string.printable + "é") - {text[place], text[place].upper()}:
            altered = text[:place] + character + text[place + 1 :]
            assert read_uuid(KEYS, "call", altered) is None, altered


def test_a_uuid_cut_or_lengthened_or_of_another_stack_is_unknown() -> None:
    text = uuid(KEYS, "call", ID)
    wrong = [text[:end] for end in range(len(text))] + [f"{{{text}}}", text + "0", text + "\n", text.replace("-", "")]
    wrong += [uuid(keys, "call", ID) for keys in (derive(b"\x01" * 32), of_sandbox(KEYS))]
    assert [read_uuid(KEYS, "call", other) for other in wrong] == [None] * len(wrong)


@given(st.one_of(st.text(max_size=40), st.uuids().map(str), st.uuids(version=4).map(str)))
def test_what_was_never_given_out_is_never_a_uuid(text: str) -> None:
    assert read_uuid(KEYS, "call", text) is None


def test_the_ids_of_an_example_stay_what_they_are() -> None:
    """Buyers send a uuid back weeks later, and a provider repeats its webhook while a new version is deployed."""
    assert uuid(KEYS, "call", ID) == "00010203-0405-8060-9c20-24282d2f5030"
    assert uuid(KEYS, "sale", ID) == "00010203-0405-8060-9c20-24282e648a6f"
    assert call_id(KEYS, "main", "AC1", "CA1").hex() == "cef3182a84b77b2b515e360c"


@pytest.mark.parametrize("other", [("other", "AC1", "CA1"), ("main", "AC2", "CA1"), ("main", "AC1", "CA2")])
def test_each_call_of_each_account_of_each_provider_has_an_id_of_its_own(other: tuple[str, str, str]) -> None:
    assert call_id(KEYS, "main", "AC1", "CA1") != call_id(KEYS, *other)
    assert len(call_id(KEYS, *other)) == 12
