"""How soon postbacks leave through the whole local service, also while many wait for a receiver that hangs; and what
those that wait cost."""

import json
import math
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from bench.calls_bench import prepare, sell
from bench.counted import Counted
from bench.report import Report
from shared.domain.models import DAY
from shared.domain.receivers import Happening
from shared.journal.timetable import Due, Timetable
from shared.postbacks.queue import Message, Sqs
from shared.postbacks.signing import message_id
from shared.settings import Settings
from shared.store.dynamo import WRITTEN_AT_ONCE, Dynamo
from shared.store.items import as_number, table_key
from shared.store.postbacks import FAILING, SLOTS, Listed, Postbacks, ReceiverState
from tests import configurations, local_service
from tests.build import KEYS, Stage
from tests.component.test_postbacks import configure
from tests.race.consumers import a_stage
from tools import engine, stack_access
from tools.local.__main__ import TABLES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SALES, WAITING = 60, 1000
SHORT_SALES, SHORT_WAITING = 4, 20
WARM = 60
PAUSE_SECONDS = 0.15
GOAL_SECONDS = 3
PATIENCE_SECONDS = 60
FEW, MANY, SHORT_MANY = 100, 100_000, 300
TEN = 10


def run(report: Report) -> None:
    report.section("postbacks", "from the sale to its receiver, through the whole local service; seconds")
    sales, waiting = report.size(SALES, SHORT_SALES), report.size(WAITING, SHORT_WAITING)
    with receiving() as came, hanging() as hangs, tempfile.TemporaryDirectory() as made, engine.dynoxide(None) as store:
        data, sold = Path(made), Sold()
        receivers = [
            configurations.a_receiver(name="well", events=["sale.made"], url=came.url),
            configurations.a_receiver(name="hangs", events=["call.updated"], url=hangs),
        ]
        client, _ = prepare(store, data, receivers)
        with serving(data, store) as url:
            sold.sell(url, report.size(WARM, 1))  # by then all processes have started
            came.wait_for(sold)
            alone = sold.sell(url, sales)
            came.wait_for(sold)
            send_many(json.loads((data / stack_access.SERVICE).read_text())["queue"], waiting)
            meanwhile = sold.sell(url, sales)
            came.wait_for(sold)
            tries = Postbacks(Dynamo(client, Settings(**TABLES))).tries("hangs", waiting)
    rows = {"nothing else": alone, f"{waiting} for a receiver that hangs": meanwhile}
    seconds = {name: sorted(came.at[caller] - sold.at[caller] for caller in some) for name, some in rows.items()}
    report.table(
        ("meanwhile there are", "sales", "p50", "p95", "most"),
        [(name, len(some), *(percentile(some, each) for each in (50, 95, 100))) for name, some in seconds.items()],
    )
    for name, some in seconds.items():
        report.goal(f"seconds, p95, while there are {name}", percentile(some, 95), GOAL_SECONDS)
    report.goal("tries of the one that hangs", len(tries), 2 * FAILING)
    report_requests(report)


@contextmanager
def serving(data: Path, store: str) -> Iterator[str]:
    """The local service with one process more than tries of one receiver may run at once; deployed there are ten."""
    command = ["tools.local", "--port", "0", "--data", str(data), "--senders", str(SLOTS + 1)]
    with local_service.started(command, {"DYNAMODB_ENDPOINT": store}) as service:
        yield service.url


@dataclass
class Sold:
    """When each sale was answered, by its caller."""

    at: dict[str, float] = field(default_factory=dict)

    def sell(self, url: str, sales: int) -> list[str]:
        """The callers of new sales."""
        callers = [f"+1614{2_000_000 + place}" for place in range(len(self.at), len(self.at) + sales)]
        for place, caller in enumerate(callers):
            sell(url, place, caller)
            self.at[caller] = time.monotonic()
            time.sleep(PAUSE_SECONDS)
        return callers


class Came:
    """A receiver that answers at once: when each caller's postback came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.at: dict[str, float] = {}

    def take(self, body: bytes) -> None:
        self.at.setdefault(json.loads(body)["data"]["lead"]["caller_id"], time.monotonic())

    def wait_for(self, sold: Sold) -> None:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while self.at.keys() < sold.at.keys():
            assert time.monotonic() < give_up_at, f"{len(sold.at) - len(self.at)} postbacks did not come"
            time.sleep(0.05)


@contextmanager
def receiving() -> Iterator[Came]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            came.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        came = Came(f"http://127.0.0.1:{server.server_port}/")
        Thread(target=server.serve_forever, daemon=True).start()
        yield came
        server.shutdown()


@contextmanager
def hanging() -> Iterator[str]:
    """A receiver that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def send_many(queue: str, count: int) -> None:
    """Put so many postbacks for the receiver that hangs on the queue."""
    client = engine.queue_client(queue)
    happenings = [Happening(type="call.updated", at=int(time.time()), call=n.to_bytes(12, "big")) for n in range(count)]
    Sqs(client, queue).send(
        [Message(id=message_id(KEYS, each.key, "hangs"), receiver="hangs", happening=each) for each in happenings]
    )


def percentile(found: list[float], percent: int) -> float:
    return found[math.ceil(len(found) * percent / 100) - 1]


# What those that wait cost


def report_requests(report: Report) -> None:
    few, many = FEW, report.size(MANY, SHORT_MANY)
    with engine.dynoxide(None) as url:
        found = {count: requests_at(engine.client(url), count) for count in (few, many)}
    names = [*found[few]]
    rows = [(name, found[few][name].total(), found[many][name].total()) for name in names]
    report.table(("requests to the store", f"{few} wait", f"{many} wait"), rows)
    for name in names:
        report.goal(
            f"{name}: more requests at {many} than at {few}", found[many][name].total() - found[few][name].total(), 0
        )
    scans = sum(each["scan"] for of in found.values() for each in of.values())
    report.goal("scans", scans, 0)


def requests_at(client: "DynamoDBClient", waiting: int) -> dict[str, Counter[str]]:
    """What is asked of the store while so many wait for a receiver that fails, by what is done."""
    stage = a_stage(client)
    configure(stage, configurations.a_receiver(), configurations.a_receiver(name="other"))
    let_wait(stage, waiting)
    found = dict[str, Counter[str]]()

    def count(name: str, act: Callable[[Dynamo], object]) -> None:
        counted = Counted(client, stage.settings)
        act(counted)
        found[name] = Counter(call.method for call in counted.trace)

    messages = [
        Message(id=message_id(KEYS, each.key, "other"), receiver="other", happening=each)
        for each in (Happening(type="call.converted", at=1, call=n.to_bytes(12, "big")) for n in range(TEN))
    ]
    count("ten postbacks to another receiver", lambda dynamo: stage.sending(dynamo)(messages))
    count("a minute, of the receivers", lambda dynamo: stage.waiting(dynamo).go_on())
    count("a minute, of the timetable", lambda dynamo: stage.due_work(dynamo).do_all())
    count("the page of the receiver", lambda dynamo: look(Postbacks(dynamo)))
    return found


def look(postbacks: Postbacks) -> None:
    postbacks.state_of("tracker")
    postbacks.waiting("tracker", 100)
    postbacks.dead("tracker", 100)
    postbacks.tries("tracker", 100)


def let_wait(stage: Stage, count: int) -> None:
    """So many wait for `tracker`, which fails, and so many for their next try, in some of the next days."""
    postbacks, now = Postbacks(Dynamo(stage.client, stage.settings)), stage.clock()
    for n in range(FAILING):
        postbacks.note_failed(ReceiverState(name="tracker"), None, f"msg_{n:032x}", 0, now)
    items = [
        {**table_key("WAITING#tracker", Listed(now, f"msg_{n:032x}").place), "delete_at": as_number(now + DAY)}
        for n in range(count)
    ]
    for start in range(0, count, WRITTEN_AT_ONCE):
        some: list[Any] = [{"PutRequest": {"Item": item}} for item in items[start : start + WRITTEN_AT_ONCE]]
        stage.client.batch_write_item(RequestItems={stage.settings.journal_table: some})
    timetable = Timetable(Dynamo(stage.client, stage.settings), stage.clock, set())
    timetable.enter(Due("postbacks", n.to_bytes(16, "big"), now + DAY + n % DAY) for n in range(count))
