"""Keys of callers rotate while POSTs run, on the real engines: some processes are early, and one sale is one sale."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from shared.domain import key_list
from shared.domain.key_list import BOTH_SECONDS, SHARED, Listed, keys_at
from shared.domain.keys import Keys, retry_keys
from shared.domain.models import Lead
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.retries import RetryKeys
from tests.build import SETTINGS, START
from tests.race.crowds import at_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CROWD = 16
ROUNDS = 25
ROTATED = key_list.read("", bytes(32), SHARED).with_key("callers", 2, b"c" * 32)
LIST = [Listed("callers", 1, 0, ROTATED.fingerprint("callers", 1)),
        Listed("callers", 2, START, ROTATED.fingerprint("callers", 2))]  # fmt: skip
BEFORE, MEANWHILE, AFTER = (keys_at(ROTATED, LIST, at) for at in (START - 1, START, START + BOTH_SECONDS))
BOUNDARIES = pytest.mark.parametrize("sides", [(BEFORE, MEANWHILE), (MEANWHILE, AFTER)], ids=["begins", "ends"])


def a_caller() -> str:
    return f"+1614{random.SystemRandom().randrange(2 * 10**6, 10**7)}"


@BOUNDARIES
def test_a_crowd_of_retries_over_a_rotation_sells_under_one_ping(
    client: "DynamoDBClient", sides: tuple[Keys, Keys]
) -> None:
    stored = RetryKeys(Dynamo(client, SETTINGS))
    for _ in range(ROUNDS):
        lead = Lead(caller_id=a_caller())

        def first(ping_id: bytes, place: int, lead: Lead = lead) -> bytes:
            retry = retry_keys(sides[place % 2], ["post"], "", "", lead)
            return stored.first_attempt(retry, ping_id, START + 300, START)

        crowd = [random.randbytes(12) for _ in range(CROWD)]
        assert len({*at_once(crowd, first)}) == 1
        later = retry_keys(sides[1], ["post"], "", "", lead)
        assert stored.earlier_attempt(later, START) == stored.first_attempt(later, b"late", START + 300, START)


@BOUNDARIES
def test_of_a_crowd_that_sells_one_caller_over_a_rotation_one_does(
    client: "DynamoDBClient", sides: tuple[Keys, Keys]
) -> None:
    for _ in range(ROUNDS):
        caller = a_caller()

        def sell(ping_id: bytes, place: int, caller: str = caller) -> bytes:
            callers = Callers(Dynamo(client, SETTINGS), sides[place % 2])
            return b"" if callers.mark(caller, {"offer#a": 3600}, ping_id, b"attempt", START) else ping_id

        winners = [*filter(None, at_once([random.randbytes(12) for _ in range(CROWD)], sell))]
        marks = Callers(Dynamo(client, SETTINGS), sides[1]).look_up(caller, listed=False, sold=True).sold
        assert len(winners) == 1
        assert [mark.ping_id for mark in marks.values()] == winners


def test_a_list_that_moves_over_is_never_missed(client: "DynamoDBClient") -> None:
    dynamo = Dynamo(client, SETTINGS)
    old, new = Callers(dynamo, BEFORE), Callers(dynamo, MEANWHILE)
    for load in (new.suppress, new.enlist):
        entries = [a_caller() for _ in range(20)]
        old.suppress("dnc", entries)
        with ThreadPoolExecutor(1) as threads:
            loading = threads.submit(load, "dnc", entries)
            looks = 0
            while not loading.done() or not looks:
                for entry in entries:
                    assert new.look_up(entry, listed=True, sold=False).listed == {"dnc"}
                looks += 1
            loading.result()
        assert [old.lists_by_entry(entry) for entry in entries] == [{entry: ["dnc"]} for entry in entries]
        keys = {item["caller"]["B"] for item in client.scan(TableName=SETTINGS.callers_table)["Items"]}
        assert not keys & {key for entry in entries for key in new._listed_keys(entry)[1:]}
        assert all(new._listed_keys(entry)[0] in keys for entry in entries)
