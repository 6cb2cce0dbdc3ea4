"""Calls through the whole local service, from the ring to the end, by the provider of the local run: so many begin each
second, whether or not the earlier ones are over."""

import json
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from bench.report import Cell, Report
from shared import configuration
from shared.settings import Settings
from tests import local_service
from tools import engine, stack_access
from tools.calling.local_run import find_local_run
from tools.calling.provider import Call
from tools.calling.simulated import Behavior, Plan, Simulated
from tools.calling.webhooks import Answer, Webhooks
from tools.local.__main__ import TABLES, secret

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ALONE, CALLS = 50, 1000
SHORT_ALONE, SHORT_CALLS = 4, 12
RATE = 20
CLIENTS = 32
TALK_SECONDS = 95
VOICE_P95_MS = 40
OFFERS = 10
"""Each with buyers of its own, whose items hold what their sales and calls have reserved."""
BUYERS = ("+18005550181", "+18005550182")
KINDS: tuple[tuple[str, dict[int, Behavior]], ...] = (
    ("answered", {}),
    ("busy, then answered", {1: "busy"}),
    ("no answer, then answered", {1: "no-answer"}),
    ("given up while it rings", {1: "hang-up"}),
)
CAPS = {"concurrent": 2000, "attempts": {"day": 100_000}, "connected": {"day": 100_000}, "converted": {"day": 100_000}}
SETTLING_SECONDS = 30
HEAD = ("", "webhooks", "p50 ms", "p95 ms", "p99 ms")


def run(report: Report) -> None:
    alone, calls = report.size(ALONE, SHORT_ALONE), report.size(CALLS, SHORT_CALLS)
    with tempfile.TemporaryDirectory() as made, engine.dynoxide(None) as engine_url:
        data = Path(made)
        client = prepare(engine_url, data)
        with local_service.running(data, {"DYNAMODB_ENDPOINT": engine_url}) as url:
            callers = [f"+1614{2_000_000 + place}" for place in range(alone + calls)]
            with ThreadPoolExecutor(8) as threads:
                numbers = list(threads.map(partial(sell, url), range(len(callers)), callers))
            sold = list(zip(numbers, callers, strict=True))
            key = find_local_run(data).key
            first, others = Calls(url, key), Calls(url, key)
            first.make(sold[:alone], at_once=1)
            late = others.make(sold[alone:], at_once=CLIENTS)
            left, unsettled = what_is_left(client, alone + calls)
    report.section("calls", f"{calls} calls, {RATE} begin each second, {os.cpu_count()} processors for everything")
    report.table(HEAD, [*first.rows("one after another"), *others.rows(f"{RATE} a second")])
    report.goal("calls that did not go as they were made to", first.wrong + others.wrong, 0)
    report.goal("calls that are not settled", unsettled, 0)
    report.goal("places of buyers that are left", left, 0)
    report.goal("seconds that a call began too late", round(late, 2), 1)
    report.goal("milliseconds of voice, one after another, p95", first.percentile("voice", 95), VOICE_P95_MS)


def prepare(engine_url: str, data: Path) -> "DynamoDBClient":
    """A configuration of endpoints that take calls, where the local run looks for its own."""
    settings = Settings(**TABLES, secret_file=str(data / stack_access.SECRET))
    secret(data / stack_access.SECRET)
    client = engine.client(engine_url)
    engine.create_tables(client, settings)
    wanted = configuration.read(
        {
            "users": [{"name": "bench", "role": "operator"}],
            "providers": [{"name": "local", "kind": "local", "account": "local", "token": "{secret.local}"}],
            "ring_pools": [
                {
                    "name": "bench",
                    "numbers": ["+18335550000-+18335559999"],
                    "hold_seconds": 3600,
                    "cooldown_seconds": 0,
                    "address_share": 100,
                }
            ],
            "offers": [_offer(place) for place in range(OFFERS)],
            "endpoints": [
                {
                    "vanity_uri": f"bench-{place}",
                    "offer": f"bench-{place}",
                    "tracking": "ring_pool",
                    "ring_pool": "bench",
                    "require_auth_token": False,
                    "leases_per_address": 10_000,
                    "calls": {"provider": "local"},
                }
                for place in range(OFFERS)
            ],
        }
    )
    stack_access.local_vault(client, settings).records.applying.apply(wanted, "bench")
    return client


def _offer(place: int) -> dict[str, Any]:
    buyers = [
        {"id": 10 * place + n, "name": f"Buyer {place}-{n}", "bid": 30.0 - n, "number": number, "caps": CAPS}
        for n, number in enumerate(BUYERS, start=1)
    ]
    return {
        "name": f"bench-{place}",
        "rank_by": "bid",
        "contact_fields": [{"name": "caller_id", "type": "phone", "required_on": ["post"]}],
        "buyers": [buyer | {"pays": {"on": "duration", "after_seconds": 90}} for buyer in buyers],
    }


def sell(url: str, place: int, caller: str) -> str:
    """The number that a caller gets."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    headers = {"content-type": "application/json"}
    full = f"/api/v1/inbound_webhooks/full/bench-{place % OFFERS}"
    connection.request("POST", full, json.dumps({"caller_id": caller}), headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["success"], answer
    return f"+{answer['trackdrive_number']}"


class Timed(Webhooks):
    """`took` gets the step and the seconds of each webhook."""

    def __init__(self, url: str, key: str, took: "dict[str, list[float]]", lock: Lock) -> None:
        super().__init__(url, key)
        self._took, self._lock = took, lock

    def send(self, step: str, form: Mapping[str, str], after: str = "") -> Answer:
        began = time.perf_counter()
        answer = super().send(step, form, after)
        took = time.perf_counter() - began
        with self._lock:
            self._took[answer.url.partition("?")[0].rpartition("/")[2]].append(took)
        return answer


class Calls:
    """Calls that were made: how long each webhook took, and how many calls went wrong."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._took: dict[str, list[float]] = defaultdict(list)
        self._lock = Lock()
        self.wrong = 0

    def make(self, sold: "list[tuple[str, str]]", at_once: int) -> float:
        """Make a call for each number and caller, as many at once. How many seconds too late the latest began."""
        began = time.perf_counter()

        def one(place: int) -> tuple[float, bool]:
            due = began + place / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            late = time.perf_counter() - due
            return late, self._call(place, *sold[place])

        with ThreadPoolExecutor(at_once) as threads:
            done = list(threads.map(one, range(len(sold))))
        self.wrong = sum(not right for _, right in done)
        return max(late for late, _ in done)

    def _call(self, place: int, number: str, caller: str) -> bool:
        """Whether it went as it was made to."""
        name, behaviors = KINDS[place % len(KINDS)]
        plan = Plan(number=number, caller=caller, talk_seconds=TALK_SECONDS, behaviors=behaviors)
        with Timed(self._url, self._key, self._took, self._lock) as webhooks:
            outcome = Call(webhooks, Simulated(plan), number=number, caller=caller, tell=lambda _: None).run()
        return outcome[1:] == EXPECTED[name]

    def rows(self, how: str) -> Iterator[tuple[Cell, ...]]:
        for step, took in self._took.items():
            yield (f"{step}, {how}", len(took), *(self.percentile(step, part) for part in (50, 95, 99)))

    def percentile(self, step: str, part: int) -> float:
        """In milliseconds."""
        took = sorted(self._took[step])
        return 1000 * took[math.ceil(len(took) * part / 100) - 1]


EXPECTED: "dict[str, tuple[Any, ...]]" = {
    "answered": (BUYERS[:1], BUYERS[0], TALK_SECONDS, "completed"),
    "busy, then answered": (BUYERS, BUYERS[1], TALK_SECONDS, "completed"),
    "no answer, then answered": (BUYERS, BUYERS[1], TALK_SECONDS, "completed"),
    "given up while it rings": (BUYERS[:1], "", 0, "canceled"),
}
"""What becomes of a call of each kind, but for its id."""


def what_is_left(client: "DynamoDBClient", calls: int) -> tuple[int, int]:
    """Places of buyers, and calls that are not settled, when the service has had time."""
    give_up_at = time.monotonic() + SETTLING_SECONDS
    while True:
        places = sum(
            len(item["concurrent"]["M"]) for item in scan(client, TABLES["leases_table"]) if "concurrent" in item
        )
        settled = sum("settled" in item for item in scan(client, TABLES["calls_table"]))
        if (places, settled) == (0, calls) or time.monotonic() > give_up_at:
            return places, calls - settled
        time.sleep(1)


def scan(client: "DynamoDBClient", table: str) -> Iterator[Mapping[str, Any]]:
    for page in client.get_paginator("scan").paginate(TableName=table):
        yield from page["Items"]
