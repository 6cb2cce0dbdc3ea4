"""Callers on the real engines: one sale of many at once, limits that are met exactly, and what an attempt that died has
left."""

import os
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.keys import caller_key
from shared.store.callers import MANY, SOLD_KEPT_SECONDS, Callers, Mark
from shared.store.dynamo import ConditionFailed, Dynamo
from tests.build import KEYS, SETTINGS, START, Counting
from tests.race.crowds import at_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CROWD = 64
ROUNDS = 8
ATTEMPT = b"an attempt"
OFFER, BUYER = {"offer#auto-insurance": 3600}, {"buyer#1": 7200}


def a_caller() -> str:
    return f"+1614{random.SystemRandom().randrange(2 * 10**6, 10**7)}"


def ping_ids(count: int = CROWD) -> list[bytes]:
    return [os.urandom(12) for _ in range(count)]


@pytest.fixture
def callers(client: "DynamoDBClient") -> Callers:
    return Callers(Counting(client, SETTINGS), KEYS)


def marks(callers: Callers, caller: str) -> dict[str, Mark]:
    return callers.look_up(caller, listed=False, sold=True).sold


def test_of_a_crowd_that_sells_one_caller_one_does(callers: Callers) -> None:
    def play() -> None:
        caller, pings = a_caller(), ping_ids()
        against = at_once(pings, lambda ping, _: callers.mark(caller, OFFER | BUYER, ping, ATTEMPT, START))
        [winner] = [ping for ping, found in zip(pings, against, strict=True) if not found]
        won = dict.fromkeys(OFFER | BUYER, Mark(START, winner))
        assert [found for found in against if found] == [won] * (CROWD - 1)
        assert marks(callers, caller) == won

    for _ in range(ROUNDS):
        play()


def test_a_sale_stands_in_the_way_of_any_that_shares_one_of_its_scopes(callers: Callers) -> None:
    """Some are sold by the offer and the buyer, some by one of them: of each scope there is one sale, and
    refused attempts have left nothing."""

    def play() -> None:
        caller, pings = a_caller(), ping_ids()
        scopes = [random.choice([OFFER, BUYER, OFFER | BUYER]) for _ in pings]
        against = at_once(pings, lambda ping, n: callers.mark(caller, scopes[n], ping, ATTEMPT, START))
        won = [(scope, ping) for n, ping in enumerate(pings) if not against[n] for scope in scopes[n]]
        assert len(won) == len(dict(won))
        assert marks(callers, caller) == {scope: Mark(START, ping) for scope, ping in won}

    for _ in range(ROUNDS):
        play()


def test_what_died_makes_way_for_one_of_those_who_found_it(callers: Callers) -> None:
    def play() -> None:
        caller, pings, [dead] = a_caller(), ping_ids(), ping_ids(1)
        callers.mark(caller, OFFER, dead, ATTEMPT, START)
        against = at_once(
            pings, lambda ping, _: callers.mark(caller, OFFER, ping, ATTEMPT, START + 9, {Mark(START, dead)})
        )
        [winner] = [ping for ping, found in zip(pings, against, strict=True) if not found]
        assert marks(callers, caller) == {"offer#auto-insurance": Mark(START + 9, winner)}

    for _ in range(ROUNDS):
        play()


def test_what_is_taken_back_in_a_crowd_is_never_the_mark_of_another(callers: Callers) -> None:
    """Everybody marks and takes it back, but for one who keeps it."""

    def trade(caller: str, ping: bytes, keeps: bool) -> bool:
        for _ in range(4):
            if not callers.mark(caller, OFFER, ping, ATTEMPT, START):
                if keeps:
                    return True
                callers.unmark(caller, OFFER, ping, ATTEMPT)
        return False

    def play() -> None:
        caller, pings = a_caller(), ping_ids(16)
        kept = at_once(pings, lambda ping, n: trade(caller, ping, keeps=n == 0))
        assert marks(callers, caller) == ({"offer#auto-insurance": Mark(START, pings[0])} if kept[0] else {})

    for _ in range(ROUNDS):
        play()


def test_a_mark_is_in_the_way_until_the_second_in_which_its_window_ends(callers: Callers) -> None:
    caller, [first, second] = a_caller(), ping_ids(2)
    assert not callers.mark(caller, OFFER, first, ATTEMPT, START)
    assert not callers.mark(caller, OFFER, first, ATTEMPT, START)  # its own ping may come again
    assert callers.mark(caller, OFFER, second, ATTEMPT, START + 3599)
    assert not callers.mark(caller, OFFER, second, ATTEMPT, START + 3600)
    item = callers.dynamo.client.get_item(
        TableName=SETTINGS.callers_table, Key={"caller": {"B": caller_key(KEYS, "sold", caller)}}
    )["Item"]
    assert int(item["delete_at"]["N"]) == START + 3600 + SOLD_KEPT_SECONDS


@pytest.mark.parametrize("limits", [{"pings": 50}, {"pings": 50, "posts": 120}])
def test_of_200_requests_in_a_minute_exactly_as_many_are_let_in_as_the_limit_says(
    client: "DynamoDBClient", limits: dict[str, int]
) -> None:
    callers, source = Callers(Dynamo(client, SETTINGS), KEYS), os.urandom(8).hex()
    waits = at_once(range(200), lambda _, __: callers.count_request("traffic_source", source, limits, START + 20))
    assert sorted(set(waits)) == [0, 40]
    assert waits.count(0) == 50
    assert callers.count_request("traffic_source", source, limits, START + 60) == 0


def test_a_limit_that_is_met_counts_nothing_under_the_others(client: "DynamoDBClient") -> None:
    callers, source = Callers(Dynamo(client, SETTINGS), KEYS), os.urandom(8).hex()
    both, posts = {"pings": 20, "posts": 30}, {"posts": 30}
    at_once(range(100), lambda _, __: callers.count_request("endpoint", source, both, START))
    waits = at_once(range(100), lambda _, __: callers.count_request("endpoint", source, posts, START))
    assert waits.count(0) == 10


def test_numbers_that_are_put_on_several_lists_at_once_are_on_all_of_them(client: "DynamoDBClient") -> None:
    callers, entries = Callers(Dynamo(client, SETTINGS), KEYS), [a_caller() for _ in range(25)]
    lists = [f"list-{n}" for n in range(8)]
    at_once(lists, lambda name, _: callers.suppress(name, entries))
    assert all(callers.lists_by_entry(entry) == {entry: lists} for entry in entries)
    at_once(lists[1:], lambda name, _: callers.unsuppress(name, entries))
    assert all(callers.lists_by_entry(entry) == {entry: lists[:1]} for entry in entries)


def _stored(callers: Callers, caller: str) -> set[str]:
    """The names of a caller's attributes, without its key."""
    item = callers.dynamo.client.get_item(
        TableName=SETTINGS.callers_table, Key={"caller": {"B": caller_key(KEYS, "sold", caller)}}
    )["Item"]
    return {*item} - {"caller"}


def test_marks_that_are_over_are_removed_in_a_crowd_and_no_other(callers: Callers) -> None:
    """Each sale finds many marks that are over, and some of them are being made anew."""

    def play() -> None:
        caller, later = a_caller(), START + 3600
        scopes = [f"buyer#{n}" for n in range(8 + 2 * MANY)]
        for scope, ping in zip(scopes, ping_ids(), strict=False):
            assert not callers.mark(caller, {scope: 3600}, ping, ATTEMPT, START)
        anew, pings = scopes[:8], ping_ids()
        against = at_once(anew, lambda scope, n: callers.mark(caller, {scope: 3600}, pings[n], ATTEMPT, later))
        assert not any(against)
        found = marks(callers, caller)
        assert {scope: found[scope] for scope in anew} == {
            scope: Mark(later, ping) for scope, ping in zip(anew, pings, strict=False)
        }
        callers.mark(caller, OFFER, pings[-1], ATTEMPT, later)
        assert marks(callers, caller).keys() == {*anew, *OFFER}

    for _ in range(ROUNDS // 4):
        play()


def test_a_sale_leaves_fewer_than_many_marks_that_are_over(callers: Callers) -> None:
    caller, standing = a_caller(), {"buyer#0": 7200}
    callers.mark(caller, standing, os.urandom(12), ATTEMPT, START)
    for n in range(1, 4 * MANY):
        callers.mark(caller, {f"buyer#{n}": 1}, os.urandom(12), ATTEMPT, START + n)
        found = marks(callers, caller)
        assert "buyer#0" in found
        assert len(found) <= MANY + 1
        assert len(_stored(callers, caller)) == 4 * len(found) + len(["delete_at"])


# What arrives late


class Late(Dynamo):
    """Does what it is asked, and the same again when it is delivered."""

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        self.deliver = partial(self._deliver, method, request)
        return super().send(method, sendings, *args, **request)

    def _deliver(self, method: Any, request: Any) -> None:
        with suppress(ConditionFailed):
            super().send(method, 1, **request)


def test_an_unmark_that_arrives_late_leaves_the_mark_of_a_later_attempt(client: "DynamoDBClient") -> None:
    late, caller, [ping] = Callers(Late(client, SETTINGS), KEYS), a_caller(), ping_ids(1)
    for attempt in (b"first", b"second"):
        assert not late.mark(caller, OFFER | BUYER, ping, attempt, START)
        late.unmark(caller, OFFER | BUYER, ping, attempt)
    assert not late.mark(caller, OFFER | BUYER, ping, b"third", START)
    sold = marks(late, caller)
    late.unmark(caller, OFFER | BUYER, ping, b"second")
    late.unmark(caller, OFFER | BUYER, ping, b"first")
    assert marks(late, caller) == sold == dict.fromkeys(OFFER | BUYER, Mark(START, ping))


@pytest.mark.parametrize("seconds", [0, 30])
def test_a_mark_that_arrives_late_makes_no_later_one_older(client: "DynamoDBClient", seconds: int) -> None:
    first, second = Late(client, SETTINGS), Callers(Dynamo(client, SETTINGS), KEYS)
    caller, [ping] = a_caller(), ping_ids(1)
    Callers(first, KEYS).mark(caller, OFFER | BUYER, ping, b"first", START)
    assert not second.mark(caller, OFFER, ping, b"second", START + seconds)
    sold = _item(second, caller)
    first.deliver()
    assert _item(second, caller) == sold
    second.unmark(caller, OFFER, ping, b"first")
    assert _item(second, caller) == sold


def test_an_attempt_with_a_slow_clock_marks_every_scope_with_a_later_time(callers: Callers) -> None:
    caller, [ping, other] = a_caller(), ping_ids(2)
    assert not callers.mark(caller, OFFER, ping, b"first", START + 5)
    assert not callers.mark(caller, OFFER | BUYER, ping, b"second", START)
    assert marks(callers, caller) == dict.fromkeys(OFFER | BUYER, Mark(START + 6, ping))
    callers.unmark(caller, OFFER | BUYER, ping, b"first")
    assert callers.mark(caller, OFFER, other, ATTEMPT, START + 3605)


def test_a_mark_that_was_found_dead_is_not_replaced_once_it_was_made_anew(client: "DynamoDBClient") -> None:
    """Its ping may be sold meanwhile."""
    late, callers = Late(client, SETTINGS), Callers(Dynamo(client, SETTINGS), KEYS)
    caller, [dead, ping] = a_caller(), ping_ids(2)
    callers.mark(caller, OFFER, dead, b"first", START)
    assert not callers.mark(caller, OFFER, dead, b"second", START)
    sold = marks(callers, caller)
    assert callers.mark(caller, OFFER, ping, ATTEMPT, START + 9, {Mark(START, dead)}) == sold
    assert marks(callers, caller) == sold
    callers.unmark(caller, OFFER, dead, b"second")
    assert not Callers(late, KEYS).mark(caller, OFFER, ping, ATTEMPT, START + 9)
    callers.unmark(caller, OFFER, ping, ATTEMPT)
    assert not callers.mark(caller, OFFER, dead, b"third", START + 20)
    late.deliver()
    assert marks(callers, caller) == {"offer#auto-insurance": Mark(START + 20, dead)}


def _item(callers: Callers, caller: str) -> dict[str, Any]:
    key = {"caller": {"B": caller_key(KEYS, "sold", caller)}}
    return callers.dynamo.client.get_item(TableName=SETTINGS.callers_table, Key=key)["Item"]
