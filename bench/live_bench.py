"""What live buyers cost a PING: twenty of them, of which one hangs and one resets its connections."""

import asyncio
import os
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import Process

from bench.report import Report
from shared import flows
from shared.bidders.asking import Asking
from shared.bidders.breaker import FAILURES
from shared.bidders.buyers import LiveBuyers
from shared.domain.live_bids import Exchange, LiveBuyer
from shared.domain.models import Buyer, Endpoint
from shared.publishers.requests import Request
from tests.build import CALLER, KEYS, SETTINGS, Stage, a_buyer, an_endpoint
from tools import engine, sandbox
from tools.local import asgi

ANSWER_SECONDS = 0.05
HANGS, RESETS, ANSWERS, BIDS = "30344", "30345", "30343", "30340"
DEADLINE_MS = 500
ROUNDS = 60
PINGS = 10_000
WARM = 1000


def run(report: Report) -> None:
    with engine.dynoxide(None) as engine_url, buyers() as buyer_url:
        client = engine.client(engine_url)
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        report.section("live", f"PINGs to {len(CROWD)} live buyers: 18 answer in 50 ms, one hangs, one resets")
        hanging, after = rounds(stage, an_auction("crowd", buyer_url, CROWD), report.size(ROUNDS, 2))
        deadline, slowest = DEADLINE_MS / 1000, ANSWER_SECONDS
        report.table(
            ("ms", "until", "p50", "max", "p50 over it"),
            [
                ("while the one that hangs is asked", *_row(hanging, deadline)),
                ("once it is skipped", *_row(after, slowest)),
            ],
        )
        report.goal("ms after the deadline, at most", 1000 * (max(hanging) - deadline), 50)
        report.goal("ms over the slowest counted buyer, p50", 1000 * (statistics.median(after) - slowest), 15)
        pings, warm = report.size((PINGS, WARM), (20, 10))
        before, grown = memory(stage, an_auction("few", buyer_url, (BIDS, BIDS, RESETS)), pings, warm)
        report.goal(f"memory after {pings} PINGs ÷ after {warm} (MB: {before:.0f})", grown / before, 1.1)


CROWD = (*[ANSWERS] * 18, HANGS, RESETS)


def _row(seconds: list[float], until: float) -> tuple[float, ...]:
    p50 = statistics.median(seconds)
    return (1000 * until, 1000 * p50, 1000 * max(seconds), 1000 * (p50 - until))


def rounds(stage: Stage, endpoint: Endpoint, count: int) -> tuple[list[float], list[float]]:
    """Seconds of each PING: those in which the buyer that hangs is asked, and those in which it is skipped."""
    with closing(Pinging(stage, endpoint)) as pinging:
        pinging.seconds()  # which starts what is started once
        hanging = [pinging.seconds() for _ in range(FAILURES - 1)]
        return hanging, [pinging.seconds() for _ in range(count)]


def memory(stage: Stage, endpoint: Endpoint, many: int, few: int) -> tuple[float, float]:
    """Megabytes of this process after a few PINGs, and after many."""
    with closing(Pinging(stage, endpoint)) as pinging:

        def after(pings: int) -> float:
            for _ in range(pings):
                pinging.seconds()
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        return after(few), after(many - few)


@dataclass
class Pinging:
    """A function's process: PINGs one after the other, over connections that are kept."""

    stage: Stage
    endpoint: Endpoint
    asking: Asking = field(default_factory=lambda: Asking(anywhere=True))

    def __post_init__(self) -> None:
        self.stage.publish(self.endpoint)

    def close(self) -> None:
        self.asking.close()

    def seconds(self) -> float:
        began = time.monotonic()
        live = LiveBuyers(lambda: self.asking, os.environ.__getitem__, KEYS)
        world = replace(self.stage.world(), live=live, elapsed=lambda: time.monotonic() - began)
        flows.ping(
            world,
            world.endpoint(self.endpoint.vanity_uri),
            Request("POST", self.endpoint.vanity_uri, {"caller_id": CALLER}, [], ""),
        )
        return time.monotonic() - began


def an_auction(vanity_uri: str, url: str, zips: tuple[str, ...]) -> Endpoint:
    return an_endpoint(
        vanity_uri=vanity_uri,
        buyers=tuple(a_live_buyer(n, url, zip_code) for n, zip_code in enumerate(zips, start=1)),
        ping_deadline_ms=DEADLINE_MS,
    )


def a_live_buyer(buyer_id: int, url: str, zip_code: str) -> Buyer:
    ping = Exchange(url=f"{url}/ping", fields={"zip": zip_code}, found={"bid": ("$.buyers[0].bid",)})
    return a_buyer(id=buyer_id, bid_cents=0, live=LiveBuyer(ping=ping, timeout_ms=3000))


@contextmanager
def buyers() -> Iterator[str]:
    """The sandbox in a process of its own: its URL."""
    listener = asgi.listen(0)

    async def serve() -> None:
        server = await sandbox.serve(sandbox.Sandbox(slow_seconds=ANSWER_SECONDS), listener)
        await server.serve_forever()

    process = Process(target=lambda: asyncio.run(serve()), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        process.terminate()
        process.join()
