"""`python -m tests.race.chaos [SECONDS]`: publishers, the deployed handlers in processes of their own, and a real
engine, between which everything fails: DynamoDB's requests and answers (`tests.race.proxy`), the handlers' processes
and the engine. In rounds of a minute; after each, `tests.race.invariants` says what should not have happened.
"""

import argparse
import asyncio
import itertools
import logging
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from shared.settings import Settings
from shared.store.rings import Rings
from tests.build import KEYS, SETTINGS, Stage
from tests.local_service import engine_of
from tests.race.invariants import Tables, Violation, violations
from tests.race.market import SELLERS, WEIGHTS, Market, a_market
from tests.race.proxy import SHARES, Asked, Fate, Fates, Mutation, Proxy
from tests.race.publishers import Answer, Post, Publishers
from tools import engine, sandbox
from tools.local import asgi
from tools.local.__main__ import function_environment, functions
from tools.local.lambda_runtime import Runtime

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROUND_SECONDS = 60
CLIENTS = 32
WORKERS = {"ping": 6, "post": 20, "full": 8}
WORKER_LIVES, ENGINE_LIVES = 4.0, 15.0
"""Seconds between two kills, on average."""
HALT_SECONDS = 0.2
TOLD = 5
"""Of how many violations of a kind the story is told."""
Engine = Callable[[Path, engine.Say], AbstractContextManager[str]]
Play = Callable[..., "Report"]

ENGINES: dict[str, Engine] = {"dynoxide": engine.dynoxide, "dynamodb_local": lambda *_: engine.dynamodb_local(None)}
"""The second keeps its data in memory and is not killed: on a file it answers too late, and is long in coming back."""


@dataclass
class Report:
    """What happened, and the stories of what should not have."""

    counts: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    stories: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: "Report") -> None:
        self.counts += other.counts
        self.fates += other.fates
        self.kinds += other.kinds
        self.stories += other.stories
        self.seconds += other.seconds

    @property
    def text(self) -> str:
        """The counts."""
        rate = self.counts["POSTs"] / max(self.seconds, 1)
        parts = [f"{self.counts['POSTs']} POSTs in {self.seconds:.0f} s of load, {rate:.0f} a second"]
        for name, counted in {"Publishers": self.counts, "Requests": self.fates, "Violations": self.kinds}.items():
            parts += [f"\n{name}", *(f"  {count:>8}  {what}" for what, count in sorted(counted.items()))]
        return "\n".join([*parts, *(["  none"] if not self.kinds else [])])


@dataclass(frozen=True)
class Plan:
    """How much of what happens: shares of the fates, and how often publishers come to each endpoint."""

    shares: Mapping[Fate, float] = field(default_factory=lambda: SHARES)
    weights: Mapping[str, int] = field(default_factory=lambda: WEIGHTS)
    mutate: Mutation | None = None
    kills_the_engine: bool = True


@dataclass
class House:
    """Everything that runs for the rounds. Functions speak to the engine through the proxy, `client` does not."""

    runtime: Runtime
    proxy: Proxy
    client: "DynamoDBClient"
    settings: Settings
    buyer: sandbox.Sandbox
    buyer_url: str

    async def round(self, seconds: float, seed: int, plan: "Plan") -> Report:
        """A new market in empty tables, publishers for so many seconds, and what is wrong afterwards."""
        market = self._open_a_market(Random(seed))
        self.proxy.mutate = plan.mutate
        self.proxy.asked.clear()
        self.proxy.counts.clear()
        self.buyer.accepted.clear()
        found: list[Violation] = []

        def violate(kind: str, post: Post | None, what: str) -> None:
            found.append(Violation(kind, what, frozenset(post.ping_ids if post else ()), (post,) if post else ()))

        best = market.roomy.buyers[0]
        fates = Fates(seed, plan.shares, spared=lambda key: key.startswith(f"leases B{best.id} "))
        publishers = Publishers(market, self.runtime, Random(seed), plan.weights, violate)
        self.proxy.fates, began = fates, time.time()
        kills = (self._kill_workers, self._kill_engine) if plan.kills_the_engine else (self._kill_workers,)
        halts: list[float] = []
        beside = [asyncio.create_task(kill(publishers.counts, fates.random)) for kill in kills]
        beside.append(asyncio.create_task(_note_halts(halts)))
        try:
            await asyncio.gather(*(publishers.work(began + seconds) for _ in range(CLIENTS)))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            self.proxy.fates = None
        lasted = time.time() - began
        await self.proxy.engine_answers()
        await self.proxy.deliver_all()
        await _ask_again(publishers)
        publishers.counts["sales answered"] = sum(post.sold is not None for post in publishers.posts)
        tables = Tables(self.client, self.settings, market)
        publishers.counts["sales in the table"] = len(tables.sales)
        found += violations(tables, publishers.posts, self.buyer.accepted)
        found += self._refused_or_undersold(market, publishers, halts)
        if (unexplained := publishers.counts["the function died"] - publishers.counts["functions killed"]) > 0:
            found.append(Violation("a function died that nobody killed", f"{unexplained} times"))
        return self._report(publishers, found, began, lasted)

    def _open_a_market(self, chance: Random) -> Market:
        """In empty tables."""
        for name in engine.tables(self.settings):
            with suppress(self.client.exceptions.ResourceNotFoundException):
                self.client.delete_table(TableName=name)
        engine.create_tables(self.client, self.settings)
        market, stage = a_market(self.buyer_url), Stage(self.client, settings=self.settings, keys=KEYS)
        stage.publish(*market.endpoints)
        for token, user in SELLERS.items():
            stage.give_token(token, user)
        _use(stage.world().rings, market, chance)
        return market

    async def _kill_workers(self, counts: Counter[str], chance: Random) -> None:
        """Those that are at a request."""
        while True:
            await asyncio.sleep(chance.expovariate(1 / WORKER_LIVES))
            busy = [worker for worker in self.runtime._workers.values() if worker.invocation and worker.process]
            if busy:
                chance.choice(busy).kill()
                counts["functions killed"] += 1

    async def _kill_engine(self, counts: Counter[str], chance: Random) -> None:
        while True:
            await asyncio.sleep(chance.expovariate(1 / ENGINE_LIVES))
            with suppress(ValueError, OSError):  # it is just being started, or another process ended meanwhile
                os.kill(engine_of(os.getpid(), self.proxy.engine.port), signal.SIGKILL)
                counts["engines killed"] += 1

    def _refused_or_undersold(self, market: Market, publishers: Publishers, halts: Iterable[float]) -> list[Violation]:
        """A throttle is no reason to refuse a call, nor to sell it to a lower bidder. What is unclear may be one, so
        nothing unclear happens to the item of the best buyer of `roomy`; but for an engine that dies, and a machine
        that comes to a halt: then clients give up waiting."""
        item = f"leases B{market.roomy.buyers[0].id}"
        unclear = [asked.at for asked in self.proxy.asked if asked.key.startswith(item) and asked.unclear]
        unclear += halts
        found = []
        for post in publishers.posts:
            if post.endpoint not in (market.plain, market.roomy) or not post.answers:
                continue
            if any(post.answers[0].began - 1 < at < post.answers[-1].ended for at in unclear):
                publishers.counts["POSTs that may go to a lower bidder"] += 1
                continue
            refused = [answer for answer in post.answers if "buyer_unavailable" in answer.body]
            if refused:
                found.append(
                    Violation("refused though there was room", refused[0].body, frozenset(post.ping_ids), (post,), item)
                )
            lower = post.sold and post.buyer_id == 0 and post.sold.buyer_id != post.endpoint.buyers[0].id
            if lower and post.sold:
                found.append(
                    Violation("sold to a lower bidder", post.sold.body, frozenset(post.ping_ids), (post,), item)
                )
        return found

    def _report(self, publishers: Publishers, found: list[Violation], began: float, lasted: float) -> Report:
        kinds = Counter(violation.kind for violation in found)
        told: Counter[str] = Counter()
        stories = []
        for violation in found:
            told[violation.kind] += 1
            if told[violation.kind] <= TOLD:
                stories.append(self._story(violation, began))
        return Report(publishers.counts, self.proxy.counts.copy(), kinds, stories, lasted)

    def _story(self, violation: Violation, began: float) -> str:
        """The violation, what its publishers sent and were answered, and every request that names its pings."""
        lines = [f"\n{violation.kind.upper()}: {violation.what}"]
        events: list[tuple[float, str]] = []
        times: list[float] = []
        for post in violation.posts:
            lines.append(f"  {post.verb.upper()} {post.endpoint.vanity_uri} {post.choices} {post.idempotency_key}")
            for answer in post.answers:
                events.append((answer.began, _line(answer, began)))
                times += [answer.began, answer.ended]
        asked: list[Asked] = self.proxy.story(set(violation.ping_ids)) if violation.ping_ids else []
        if violation.item and times:
            asked += [
                one
                for one in self.proxy.asked
                if one.key.startswith(violation.item) and min(times) < one.at < max(times)
            ]
        events += [(one.at, one.line(began)) for one in asked]
        return "\n".join([*lines, *_without_repeats(text for _, text in sorted(events))])


def _use(rings: Rings, market: Market, chance: Random) -> None:
    """Leases that are over: so rings are anywhere between two generations, where their writes differ."""
    for endpoint in market.pooled:
        assert endpoint.pool
        for lengths_ago in range(chance.randrange(1, 16), 0, -1):
            then = int(time.time()) - lengths_ago * endpoint.pool.lease_seconds
            rings.lease(endpoint.pool, endpoint.pool.terms, chance.randbytes(12), then, {})


def _without_repeats(lines: Iterable[str]) -> Iterator[str]:
    """Lines that are the same but for their time once, with how often they come: an attempt that waits looks often."""
    for _, same in itertools.groupby(lines, key=lambda line: line[9:]):
        first, *others = same
        yield f"{first} ({len(others)} more)" if others else first


def _line(answer: Answer, began: float) -> str:
    answered = f"{answer.code} {answer.body[:300]}"
    return f"{answer.began - began:9.3f}  the publisher sends; at {answer.ended - began:.3f}: {answered}"


async def _note_halts(halts: list[float]) -> None:
    """The moments at which this process got no turn for a while: others got none either."""
    while True:
        before = time.time()
        await asyncio.sleep(HALT_SECONDS)
        if (now := time.time()) - before > 2 * HALT_SECONDS:
            halts.append(now)


async def _ask_again(publishers: Publishers) -> None:
    """Every sale whose number is held for a while still, once more, when nothing fails any longer."""
    publishers.impatient = 0
    held = [post for post in publishers.posts if post.sold and post.sold.held_until > time.time() + 5]
    left = iter(held)

    async def client() -> None:
        for post in left:
            await publishers.ask_again(post)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


@asynccontextmanager
async def house(engine_url: str, data: Path) -> AsyncIterator[House]:
    client = engine.client(engine_url)
    settings = replace(SETTINGS, secret="00" * 32)
    engine.create_tables(client, settings)
    proxy, buyer, listener = Proxy(engine_url), sandbox.Sandbox(), asgi.listen(0)
    buyer_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with await sandbox.serve(buyer, listener), proxy.listening() as url:
        played = {name: functions(workers, data)[name] for name, workers in WORKERS.items()}
        runtime = Runtime(played, function_environment(url, settings), log=data / "functions.log")
        server = asgi.Server(runtime.application)
        inside = asyncio.create_task(server.serve(runtime.listeners))
        kept = asyncio.create_task(runtime.keep())
        try:
            while not all(worker.asked for worker in runtime._workers.values()):
                await asyncio.wait([kept], timeout=0.1)
                if kept.done():
                    kept.result()
            yield House(runtime, proxy, client, settings, buyer, buyer_url)
        finally:
            kept.cancel()
            await asyncio.wait([kept])
            server.should_exit = True
            await inside
    client.close()


async def play(
    everything: House,
    seconds: float,
    seed: int,
    plan: Plan = Plan(),
    *,
    enough: Callable[[Report], bool] = lambda _: False,
    round_seconds: float = ROUND_SECONDS,
    say: engine.Say = lambda _: None,
) -> Report:
    """Rounds for so many seconds, or until it is `enough`, each with the next seed."""
    total = Report()
    while (left := seconds - total.seconds) > 1 and not enough(total):
        found = await everything.round(min(left, round_seconds), seed, plan)
        total.add(found)
        say("\n".join([f"seed {seed}: {found.text}", *found.stories, ""]))
        seed += 1
    return total


@contextmanager
def running(kind: Engine = engine.dynoxide) -> Iterator[Play]:
    """Starts everything; what it gives is `play` without its first argument."""
    with (
        tempfile.TemporaryDirectory() as made,
        kind(Path(made), lambda _: None) as url,
        asyncio.Runner() as runner,
    ):
        stack = AsyncExitStack()
        everything = runner.run(stack.enter_async_context(house(url, Path(made))))
        try:
            yield lambda *args, **kwargs: runner.run(play(everything, *args, **kwargs))
        finally:
            runner.run(stack.aclose())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.race.chaos", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--engine", choices=[*ENGINES], default="dynoxide")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # of servers that are stopped with connections open
    say = partial(print, file=sys.stdout, flush=True)
    with running(ENGINES[options.engine]) as rounds:
        plan = Plan(kills_the_engine=options.engine == "dynoxide")
        report = rounds(options.seconds, options.seed, plan, say=say)
    say(f"All rounds: {report.text}")
    sys.exit(bool(report.kinds))


if __name__ == "__main__":
    main()
