"""How long a sale waits while an apply takes numbers out of its pool."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from statistics import median

from bench.report import Report
from shared import configuration
from shared.configuration import InvalidConfiguration
from shared.store.dynamo import FIRST_PAUSE, LONGEST_PAUSE, Dynamo
from shared.store.records import Records
from tests.build import KEYS, SETTINGS, Clock, Publisher, Stage
from tests.configurations import a_document, a_ring_pool, an_endpoint
from tools import engine

SELLERS = 8
APPLIES, FEW = 40, 4
NUMBERS = [f"+18005550{n}" for n in range(100, 200)]
GOAL_SECONDS = 2


class Now(Clock):
    def __call__(self) -> int:
        return int(time.time())


def run(report: Report) -> None:
    applies = report.size(APPLIES, FEW)
    report.section("applies", f"{SELLERS} sell by FULL all the time, {applies} applies take numbers out of their pool")
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        stages = [Stage(client, clock=Now(), pause=_pause) for _ in range(SELLERS + 1)]
        records = Records(Dynamo(client, SETTINGS), KEYS, Now())
        records.applying.apply(configuration.read(_document(NUMBERS)), "bench")
        stop, taken, refused, callers = threading.Event(), list[float](), list[str](), count(10**6)

        def sell(stage: Stage) -> None:
            while not stop.is_set():
                began = time.perf_counter()
                answer = Publisher(stage).full(caller_id=f"+1614{2_000_000 + next(callers) % 7_000_000}").body
                taken.append(time.perf_counter() - began)
                if not answer["success"]:
                    refused.append(answer["status"])

        with ThreadPoolExecutor(SELLERS) as threads:
            sellers = [threads.submit(sell, stage) for stage in stages[:SELLERS]]
            done = 0
            while done < applies:
                try:
                    records.applying.apply(configuration.read(_document(random.sample(NUMBERS, 90))), "bench")
                    done += 1
                except InvalidConfiguration:  # a number that comes back while it is held elsewhere
                    continue
            stop.set()
            for seller in sellers:
                seller.result()
    report.table(
        ("FULLs", "median ms", "slowest ms", "busy", "no number"),
        [
            (
                str(len(taken)),
                1000 * median(taken),
                1000 * max(taken),
                refused.count("temporarily_unavailable"),
                refused.count("no_number_available"),
            )
        ],
    )
    report.goal("slowest FULL while numbers leave its pool, seconds", max(taken), GOAL_SECONDS)
    report.goal("FULLs refused as temporarily_unavailable", refused.count("temporarily_unavailable"), 0)


def _document(numbers: list[str]) -> configuration.Plain:
    pool = a_ring_pool(numbers=sorted(numbers), hold_seconds=10, cooldown_seconds=5)
    return a_document(ring_pools=[pool], endpoints=[an_endpoint(ping_ttl_seconds=10)])


def _pause(looks: int) -> None:
    time.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**looks))
