"""`python -m bench.journal_bench [--pings 1000000]`: what the log, plots and pages take over many stored pings.

It stores so many in a real engine, at the large marketplace of the tests, over two days, of 20 users with 5 traffic
sources each; one in twenty is sold, one in ten found nobody. Then it prints calls and milliseconds of every reader,
and of every page of the dashboard for a process that remembers nothing.
"""

import argparse
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from bench.report import Report
from shared.domain import keys
from shared.domain.models import DAY, Bid, Endpoint, Lead, Ping, Sale
from shared.store import ping_log
from shared.store.dynamo import Dynamo
from shared.store.journal import Journal
from shared.store.packing import pack
from shared.store.tallies import Gathered, Tallies
from tests.build import KEYS, SETTINGS, START, Counting
from tests.large import BUYERS, ENDPOINTS, PAGES, marketplace
from tests.watchers import Visitor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

USERS, SOURCES = 20, 5
SOLD_OF, UNMATCHED_OF = 20, 10
DAYS = 2
NOW = START + DAYS * DAY - 1
CALLER = "+16145550123"
BATCH, AT_ONCE = 25, 16
REPEATS = 5
HEAD = ("", "calls", "ms", "rows")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.journal_bench", description=__doc__)
    parser.add_argument("--pings", type=int, default=1_000_000, help="how many are stored (default: %(default)s)")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    with (
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere),
        marketplace() as stage,
        ThreadPoolExecutor(4) as io_pool,
    ):
        stage.io_pool, count = io_pool, options.pings
        world, client = stage.world(), stage.client
        began = time.monotonic()
        ping_id = fill(client, count, [world.endpoint(f"endpoint-{n}") for n in range(ENDPOINTS)], io_pool)
        report = Report()
        report.section("journal", f"{count} stored pings, written in {time.monotonic() - began:.0f} s")
        dynamo = Counting(client, SETTINGS)
        report.table(HEAD, [measured(dynamo, *reader) for reader in readers(Journal(dynamo, KEYS, io_pool), ping_id)])
        stage.clock.now = NOW
        visited = [visit(Visitor(stage, "olga"), address.format(ping_id=ping_id)) for address in PAGES]
        report.table(("page", "calls", "ms", "KB"), visited)
        report.goal("a page of the dashboard: calls", max(calls for _, calls, _, _ in visited), 8)
        report.goal("a page of the dashboard: ms", max(took for _, _, took, _ in visited), 300)


def fill(client: "DynamoDBClient", count: int, listed: list[Endpoint], io_pool: Executor) -> str:
    """Gives the public id of one that was sold."""
    made = _items(count, listed)
    example = ""
    while batches := [batch for batch in ([*islice(made, BATCH)] for _ in range(AT_ONCE)) if batch]:
        for sold in io_pool.map(partial(_store, client), batches):
            example = sold or example
    _count(client, listed)
    return example


def _store(client: "DynamoDBClient", items: list[dict[str, Any]]) -> str:
    left: Any = {SETTINGS.pings_table: [{"PutRequest": {"Item": item}} for item in items]}
    while left:
        left = client.batch_write_item(RequestItems=left)["UnprocessedItems"]
    sold = (item["ping_id"]["B"] for item in items if "buyer" in item and item["endpoint"]["S"] == "endpoint-7")
    return next((keys.ping_id(KEYS, "endpoint-7", ping_id) for ping_id in sold), "")


def _items(count: int, listed: list[Endpoint]) -> Iterator[dict[str, Any]]:
    draw = random.Random(1)
    for n in range(count):
        at = START + n * DAYS * DAY // count
        caller = CALLER if n % 1000 == 0 else f"+1614{draw.randrange(10**7):07}"
        ping = _ping(draw, at, draw.choice(listed), caller)
        if n % UNMATCHED_OF == 1:
            ping = replace(ping, bids=())
        item = {
            "ping_id": {"B": ping.id},
            "ping": {"B": pack(ping)},
            **ping_log.open_entry(ping, keys.caller_hash(KEYS, caller)),
        }
        if n % SOLD_OF == 0:
            sale = _sale(ping, at)
            item |= {"sale": {"B": pack(sale)}, **ping_log.sold_entry(ping, sale)}
        yield item


def _ping(draw: random.Random, at: int, endpoint: Endpoint, caller: str) -> Ping:
    user, cents, buyer = draw.randrange(USERS), draw.randrange(500, 5000), draw.choice(endpoint.buyers)
    return Ping(
        id=draw.randbytes(12),
        endpoint=endpoint.vanity_uri,
        version=1,
        lead=Lead({"caller_id": caller, "traffic_source_id": f"{user}-{draw.randrange(SOURCES)}", "zip": "30340"}),
        bids=(Bid(buyer.id, cents, cents),),
        seed=b"",
        created_at=at,
        expires_at=at + 120,
        lead_until=at + 30 * DAY,
        user=f"user-{user}",
    )


def _sale(ping: Ping, at: int) -> Sale:
    [bid] = ping.bids
    return Sale(
        attempt=b"attempt",
        buyer_id=bid.buyer_id,
        cents=bid.cents,
        bid_cents=bid.cents,
        payout_cents=bid.payout_cents,
        number="+18005560000",
        sold_at=at,
        held_until=at + 300,
        choice=0,
        posted=Lead(),
        answer=b"{}",
        kept_until=at + 395 * DAY,
        user=ping.user,
    )


def _count(client: "DynamoDBClient", listed: list[Endpoint]) -> None:
    """What there is to be plotted of two days."""
    draw = random.Random(2)
    ping = _ping(draw, START, listed[0], CALLER)
    for day in range(DAYS):
        for hour in range(24):
            at = START + day * DAY + hour * 3600
            tallies = Tallies(Dynamo(client, SETTINGS), Gathered(), lambda at=at: at)  # type: ignore[misc]
            for endpoint in listed:
                tallies.count_refusal(endpoint, "no_matching_buyer")
                assert endpoint.pool
                tallies.record_pool_use(endpoint, endpoint.pool, draw.randrange(100))
            if hour == 0:
                for n in range(BUYERS):
                    sale = replace(_sale(ping, at), buyer_id=n + 1, user=f"user-{n % USERS}")
                    tallies.count_sale(listed[0], sale, f"{n % USERS}-{n // USERS % SOURCES}")
                    if n % SOURCES == 0:
                        _write(tallies)
            _write(tallies)


def _write(tallies: Tallies) -> None:
    while due := tallies.due_writes(at_once=True):
        for write in due:
            write()


def readers(journal: Journal, ping_id: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    day = START + DAY
    first = journal.log(day, NOW)
    yield "hours of a day", lambda: journal.hours(day, day + DAY)
    yield "hours of two UTC days", lambda: journal.hours(day - 1, day + DAY)
    yield "pools of a day", lambda: journal.pools(day, day + DAY)
    yield "users and traffic sources", lambda: journal.sources(day, day + DAY)
    yield "one user's", lambda: journal.sources(day, day + DAY, user="user-3")
    yield "buyers of a day", lambda: journal.buyers(day, day + DAY)
    yield "log", lambda: journal.log(day, NOW).rows
    yield "log, next page", lambda: journal.log(day, NOW, cursor=first.cursor).rows
    yield "log, sold", lambda: journal.log(day, NOW, status="sold").rows
    yield "log of a user (5 %)", lambda: journal.log(day, NOW, user="user-3").rows
    yield "log of an endpoint (2 %)", lambda: journal.log(day, NOW, endpoint="endpoint-7").rows
    yield "log, a user's sold (0.25 %)", lambda: journal.log(day, NOW, user="user-3", status="sold").rows
    yield "log, nothing found", lambda: journal.log(day, NOW, user="nobody").rows
    yield "a caller", lambda: journal.of_caller(CALLER, NOW).rows
    yield "a buyer's sales", lambda: journal.sales_of(7, START, NOW, NOW).rows
    yield "one ping", lambda: [journal.opened(ping_id, NOW)]


def measured(dynamo: Counting, name: str, read: Callable[[], Any]) -> tuple[str, int, float, int]:
    took, rows = [], 0
    for _ in range(REPEATS):
        dynamo.calls, began = 0, time.perf_counter()
        rows = len(read())
        took.append(1000 * (time.perf_counter() - began))
    return name, dynamo.calls, sorted(took)[REPEATS // 2], rows


def visit(visitor: Visitor, address: str) -> tuple[str, int, float, float]:
    """The median of some visits, with the size of the page."""
    path, _, query = address.partition("?")
    took, size = [], 0
    for _ in range(REPEATS):
        began = time.perf_counter()
        answer = visitor.get(path, query)
        took.append(1000 * (time.perf_counter() - began))
        assert answer.code == 200, answer.text
        size = len(answer.text.encode())
    return address, visitor.calls, sorted(took)[REPEATS // 2], size / 1024


if __name__ == "__main__":
    main()
