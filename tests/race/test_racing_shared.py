"""Shared numbers on the real engines: POSTs of one caller at once, and a key that rotates meanwhile."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from shared.domain.keys import Key, Keys
from tests.build import CALLER, KEYS, Publisher, Stage, an_endpoint
from tests.race.crowds import at_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBERS = 5
ROUNDS = 5
NEWER = Key(2, b"newer")
ROTATING, ROTATED = replace(KEYS, sales=(*KEYS.sales, NEWER)), replace(KEYS, sales=(NEWER,))


class Line:
    """An endpoint with shared numbers of its own."""

    def __init__(self, client: "DynamoDBClient", most: int = NUMBERS) -> None:
        no = random.SystemRandom().randrange(10**6, 10**7)
        self.client, self.uri = client, f"shared-{no}"
        self.numbers = tuple(f"+1800{no}{place}" for place in range(NUMBERS))
        self.endpoint = an_endpoint(vanity_uri=self.uri, shared_numbers=self.numbers, leases_per_caller=most)
        self.stage().publish(self.endpoint)

    def stage(self, keys: Keys = KEYS) -> Stage:
        """A process of its own."""
        return Stage(self.client, keys=keys)

    def ping(self) -> str:
        return str(Publisher(self.stage()).ping(self.uri).body["try_all_buyers_ping_id"])

    def post(self, ping_id: str, keys: Keys = KEYS) -> tuple[str, str]:
        body = Publisher(self.stage(keys)).post(self.uri, ping_id=ping_id, caller_id=CALLER).body
        return body["status"], f"+{body.get('trackdrive_number', '')}"

    def post_at_once(self, pings: Sequence[str], processes: Sequence[Keys] = (KEYS,)) -> list[tuple[str, str]]:
        """Statuses and numbers; the processes, known by their keys, take turns."""
        return at_once(pings, lambda ping_id, place: self.post(ping_id, processes[place % len(processes)]))


@pytest.mark.parametrize("most", [2, NUMBERS])
def test_posts_of_one_caller_at_once_get_a_number_each_and_no_more_than_it_may_hold(
    client: "DynamoDBClient", most: int
) -> None:
    for _ in range(ROUNDS):
        line = Line(client, most)
        answers = line.post_at_once([line.ping() for _ in range(NUMBERS + 3)])
        sold = [number for status, number in answers if status == "success"]
        assert len(sold) == len(set(sold)) == most
        refused = "no_number_available" if most == NUMBERS else "too_many_leases"
        assert {status for status, _ in answers} == {"success", refused}
        assert all(line.stage().route(number, CALLER) for number in sold)


def test_the_same_post_at_once_is_one_sale(client: "DynamoDBClient") -> None:
    for _ in range(ROUNDS):
        line = Line(client)
        ping_id = line.ping()
        answers = {number for _, number in line.post_at_once([ping_id] * 4)}
        assert len(answers - {"+"}) == 1
        assert sum(line.stage().route(number, CALLER) is not None for number in line.numbers) == 1


@pytest.mark.parametrize("processes", [(KEYS, ROTATING), (ROTATING, ROTATED)], ids=["as it begins", "as it ends"])
def test_while_keys_rotate_no_number_is_leased_twice(client: "DynamoDBClient", processes: tuple[Keys, Keys]) -> None:
    for _ in range(ROUNDS):
        line = Line(client)
        pings = [line.ping() for _ in range(NUMBERS)]
        answers = line.post_at_once(pings, processes)
        sold = [number for status, number in answers if status == "success"]
        assert sorted(sold) == sorted(line.numbers)
