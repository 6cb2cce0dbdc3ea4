"""Calls in every order of crash, repetition, loss and late write, on two engines: see `calling`. That the machine would
notice is shown by seeding bugs."""

import dataclasses
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from datetime import datetime
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import structs

from shared.domain import caps
from shared.domain.calls import Attempt, Dial, Stop, next_step
from shared.domain.caps import Cap
from shared.domain.reservations import KINDS, PERIODS, TOMBSTONE_SECONDS, CameTrue
from shared.flows import dialing
from shared.flows.telephony import Telephony
from shared.store.calls import Calls, StoredCall
from shared.store.counters import HELD, Of
from shared.store.items import Update, as_bytes
from shared.store.reservations import Reservations, Reserved, _Take
from tests.build import SETTINGS
from tests.race.calling import CallMachine
from tests.race.test_racing_reservations import (
    GiveWithoutTombstone,
    NothingHeldLeavesNoTombstone,
    TombstoneTakenForAnEntry,
    UnguardedGive,
)
from tests.race.wire import fast
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HISTORIES, ON_THE_SECOND_ENGINE = 2000, 100
PROCESSES = 4
ENOUGH_TO_CATCH_A_BUG = 400


def test_whatever_dies_repeats_or_comes_late_calls_are_dialed_counted_and_paid_once() -> None:
    assert violated(HISTORIES) == {}


def test_the_second_engine_agrees(dynamodb_local: "DynamoDBClient") -> None:
    assert play(dynamodb_local, range(ON_THE_SECOND_ENGINE)) == {}


def violated(histories: int) -> dict[int, list[str]]:
    """What was violated, by seed: played by several processes, each with an engine of its own."""
    shares = [range(place, histories, PROCESSES) for place in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        return {seed: what for share in processes.map(_play, shares) for seed, what in share.items()}


def _play(seeds: range) -> dict[int, list[str]]:
    with engine.dynoxide(None) as url, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        with fast(client) as wire:
            return play(wire, seeds)


def play(client: "DynamoDBClient", seeds: range) -> dict[int, list[str]]:
    return {seed: found for seed in seeds if (found := CallMachine(client, seed).run())}


class GivesWithoutTombstone(NothingHeldLeavesNoTombstone, GiveWithoutTombstone):
    """Neither where there is an entry nor where there is none: as a call gives more than once, each hides the other."""


class CountsAtConversion(Reservations):
    """Conversions are counted when they come, not reserved."""

    def _take(self, take: _Take) -> Reserved:
        reserved = {name: cap for name, cap in take.caps.items() if cap.kind != "converted"}
        return super()._take(structs.replace(take, caps=reserved))

    def _giving(self, of: Of, key: str, entry: bytes, came_true: CameTrue, local: datetime) -> Update:
        update = super()._giving(of, key, entry, came_true, local)
        for period in PERIODS if came_true.converted else ():
            update.add(caps.key(Cap("converted", 0, period, of[1]), local), 1)
        return update


class TwoCallsOnOneReservation(Reservations):
    """Who adopts leaves the entry for others."""

    def _adopting(self, of: Of, old: str, new: str, limit: int | None, until: int, now: int) -> Update:
        update = super()._adopting(of, old, new, limit, until, now)
        tombstone = update.number(now + TOMBSTONE_SECONDS)
        update.clauses["SET"] = [clause for clause in update.clauses["SET"] if not clause.endswith(f"= {tombstone}")]
        update.values.pop(tombstone)
        return update


class AdoptsATombstone(Reservations):
    def _adopting(self, of: Of, old: str, new: str, limit: int | None, until: int, now: int) -> Update:
        update = super()._adopting(of, old, new, limit, until, now)
        held = update.name(HELD, old)
        update.conditions = [
            each.replace(f"attribute_type({held}, :binary)", f"attribute_exists({held})") for each in update.conditions
        ]
        update.values.pop(":binary")
        return update


class UnguardedAttempt(Calls):
    def attempt(self, call_id: bytes, number: int, attempt: Attempt) -> StoredCall | None:
        update = Update()
        update.set(update.name(f"a{number}"), as_bytes(msgspec.msgpack.encode(attempt)))
        return self._write(call_id, update)


class PaidWithoutCondition(Calls):
    def mark_paid(self, ping_id: bytes, call_id: bytes) -> bool:
        super().mark_paid(ping_id, call_id)
        return True


def take_before_attempt(telephony: Telephony, call_id: bytes, stored: StoredCall) -> tuple[StoredCall, Dial | Stop]:
    now, most = telephony.world.now(), dialing.max_ring_seconds(telephony, stored.call)
    step = next_step(stored.call, stored.facts, now, most)
    if isinstance(step, Dial) and step.attempt not in stored.facts.attempts:
        _, buyer = dialing.find_buyer(telephony, stored.call, step.buyer_id)
        if buyer and buyer.caps:
            dialing._reserve(telephony, call_id, stored, step, buyer)
    return dialing.put_through(telephony, call_id, stored)


def prepare_without_a_look(
    telephony: Telephony, call_id: bytes, stored: StoredCall, step: Dial, prepare: Any = dialing._prepare
) -> StoredCall:
    blind = dataclasses.replace(telephony, calls=Blind(telephony.calls.dynamo))
    return prepare(blind, call_id, stored, step)  # type: ignore[no-any-return]


class Blind(Calls):
    def look(self, _: bytes) -> StoredCall | None:
        return None


COUNTS = {f"what is counted of {kind} is not what came true" for kind in KINDS}
HELD_STILL = {"a call holds what it took", "something is held", "a place is taken"}


@pytest.mark.parametrize(
    ("patched", "bug", "first", "faults"),
    [
        ("tests.build.Reservations", CountsAtConversion, 0, {"more is counted than a cap allows"}),
        ("shared.flows.calls.put_through", take_before_attempt, 120, HELD_STILL),
        ("tests.build.Reservations", UnguardedGive, 0, COUNTS | {"less than nothing is counted"}),
        ("tests.build.Calls", UnguardedAttempt, 0, {"an attempt begins that may not"}),
        ("shared.flows.dialing._prepare", prepare_without_a_look, 0, {"a buyer is dialed for an attempt that is over"}),
        ("tests.build.Reservations", GivesWithoutTombstone, 215, HELD_STILL | COUNTS),
        ("tests.build.Reservations", TombstoneTakenForAnEntry, 25, COUNTS),
        ("tests.build.Reservations", AdoptsATombstone, 165, COUNTS),
        ("tests.build.Reservations", TwoCallsOnOneReservation, 0, COUNTS | {"less than nothing is counted"}),
        ("tests.build.Calls", PaidWithoutCondition, 90, {"two calls of a sale are paid"}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)  # fmt: skip
def test_a_bug_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch, patched: str, bug: Any, first: int, faults: set[str]
) -> None:
    """From a seed on that is near one which catches it."""
    monkeypatch.setattr(patched, bug)
    with fast(dynoxide) as wire:
        for seed in range(first, first + ENOUGH_TO_CATCH_A_BUG):
            if faults & {*CallMachine(wire, seed).run()}:
                return
    pytest.fail("nothing is wrong")
