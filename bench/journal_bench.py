"""What the journal must reach: each goal of its design, and what is measured now."""

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import counts, report_bench
from bench.counted import item_bytes
from bench.counts import a_lead
from bench.report import Report
from bench.throughput import API, URI, publish
from shared.domain import key_list
from shared.domain.keys import Keys, read_ping_id
from shared.journal.pages import Pages
from shared.store.dynamo import Dynamo
from tests import local_service
from tests.build import CALLER, KEYS, SETTINGS, Answer, InTurn, Publisher, Stage, rows_of
from tests.race import consumers
from tools import costs, engine
from tools.local.__main__ import secret

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PINGS, SHORT, A_TENTH = 3000, 30, 10
PINGS_A_SECOND, KEY_WRITES_A_SECOND = 10_000, 1000
"""At so many PINGs; and what DynamoDB takes on a partition key."""
KINDS = {"PING": "PING", "POST by ping_id": "POST with its ping id", "POST, caps": "POST to a buyer with caps"}
"""What the counts call it, and the costs."""
OWN_CALLS = {"PING": 1, "POST by ping_id": 4, "POST, caps": 5}
"""The ping; claim, look at the rings, lease and sale; the caps of the buyer."""
REST_SECONDS = 400
"""After which a number is free again."""
REQUESTS, ROUNDS = 100, 5
SECONDS, CLIENTS, PATIENCE_SECONDS = 10.0, 4, 60
LOOK_SECONDS, WARM_SECONDS = 0.1, 0.5


class Keyed(Dynamo):
    """Counts the writes of each partition key."""

    def __init__(self, client: "DynamoDBClient") -> None:
        super().__init__(client, SETTINGS)
        self.written = Counter[tuple[str, str]]()

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if item := request.get("Item") or (request.get("Key") if method.__name__ == "update_item" else None):
            partition = next(item[name] for name in ("ping_id", "pk", "caller") if name in item)
            self.written[request["TableName"], repr(partition)] += 1
        return super().send(method, sendings, *args, **request)


class Line(NamedTuple):
    what: str
    goal: float
    found: float


def run(report: Report) -> None:
    report.section("journal", "what it must reach")
    lines = [*_costs(report), _visible(report), *_busiest_keys(report), _differences(report), *_month(report)]
    report.table(("", "goal, at most", "now"), lines)
    for line in lines:
        report.goal(line.what, line.found, line.goal)


def _costs(report: Report) -> list[Line]:
    with counts.a_market() as stage:
        publisher = Publisher(stage)
        made = counts.requests(publisher)
        for uri in ("ring", "capped"):
            publisher.ping(uri)  # which reads the configuration
        found = {name: counts.cost(stage, made[name], report.size(counts.REPEATS, 1)) for name in KINDS}
        with_all = _kept_and_sent(publisher)
    prices = {name: sum(costs.costs(of)) for name, of in KINDS.items()}
    units = {name: found[name].write_units for name in KINDS}
    assert units == {name: costs.UNITS[of][0] for name, of in KINDS.items()}, "tools/costs.py has other units"
    return [
        Line("write units of a PING", 1, units["PING"]),
        Line("write units of a POST, with caps", 4, units["POST, caps"]),
        Line("a million PINGs: dollars", 2.40, prices["PING"]),
        Line("a million POSTs: dollars", 4.50, prices["POST by ping_id"]),
        Line("a million PINGs with egress and storage: dollars", 2.80, prices["PING"] + with_all["PING"]),
        Line("a million POSTs with egress and storage: dollars", 5.00, prices["POST by ping_id"] + with_all["POST"]),
        Line("calls beside the sale's own", 0, sum(found[name].calls - OWN_CALLS[name] for name in KINDS)),
    ]


def _kept_and_sent(publisher: Publisher) -> dict[str, float]:
    """Dollars of a million of each: a POST adds its sale to the item of its ping."""
    lead = a_lead()
    pinged = publisher.ping("ring", **lead)
    public = pinged.body["try_all_buyers_ping_id"]
    opened = _stored(publisher.stage, public)
    posted = publisher.post("ring", ping_id=public, caller_id=lead["caller_id"])
    assert posted.body["success"], posted.text
    added = _stored(publisher.stage, public) - opened
    return {
        "PING": costs.kept_and_sent(opened + costs.ITEM_OVERHEAD_BYTES, _sent(pinged)),
        "POST": costs.kept_and_sent(added, _sent(posted)),
    }


def _stored(stage: Stage, ping_id: str) -> int:
    """The bytes of a ping's item."""
    known = read_ping_id(KEYS, "ring", ping_id)
    assert known
    item = stage.world().pings.item(known[0])
    assert item
    return item_bytes(item)


def _sent(answer: Answer) -> int:
    return len(answer.text) + sum(len(name) + len(value) for name, value in answer.headers.items())


def _busiest_keys(report: Report) -> list[Line]:
    """Of PINGs, and of sales that a tenth of them become, all of one endpoint: its pool is one partition key."""
    pings = report.size(PINGS, SHORT)
    with counts.a_market() as stage:
        publisher, pinging, selling = Publisher(stage), Keyed(stage.client), Keyed(stage.client)
        of_pings, of_posts = stage.world_over(pinging), stage.world_over(selling)
        for n in range(pings):
            lead = {"caller_id": CALLER, "traffic_source_id": str(n)}
            bid = publisher.send("ping", "ring", world=of_pings, json_body=lead).body["buyers"][0]
            if n % A_TENTH == 0:
                sent = lead | {"ping_id": bid["ping_id"]}
                assert publisher.send("post", "ring", world=of_posts, json_body=sent).body["success"]
            if n % (counts.NUMBERS * A_TENTH // 2) == 0:
                stage.clock.forward(REST_SECONDS)
    times, what = PINGS_A_SECOND / pings, "writes a second of the busiest key at"
    return [
        Line(f"{what} 10,000 PINGs", KEY_WRITES_A_SECOND, max(pinging.written.values()) * times),
        Line(f"{what} 1,000 POSTs, of one pool", KEY_WRITES_A_SECOND, max(selling.written.values()) * times),
    ]


def _visible(report: Report) -> Line:
    """How long after its answer the row of a PING is in the pages of the local run, while clients send more."""
    seconds = report.size(SECONDS, 1.0)
    with tempfile.TemporaryDirectory() as made, engine.dynoxide(Path(made) / "engine") as engine_url:
        data = Path(made)
        hexadecimal = secret(data / "secret")
        publish(engine_url, hexadecimal)
        keys = key_list.derive(bytes.fromhex(hexadecimal))
        dynamo = Dynamo(engine.client(engine_url), replace(SETTINGS, journal_table="ringpost-journal"))
        pages = Pages(dynamo, lambda: int(time.time()), InTurn())
        with (
            local_service.running(data, {"DYNAMODB_ENDPOINT": engine_url}) as url,
            ThreadPoolExecutor(CLIENTS) as clients,
        ):
            _longest_until_seen(pages, [clients.submit(_send_pings, url, keys, WARM_SECONDS)])  # the function starts
            sending = [clients.submit(_send_pings, url, keys, seconds) for _ in range(report.size(CLIENTS, 1))]
            longest = _longest_until_seen(pages, sending)
    sent = sum(len(each.result()) for each in sending)
    return Line(f"an event is visible, {sent / seconds:.0f} PINGs a second: seconds", 3, longest)


def _longest_until_seen(pages: Pages, sending: Sequence[Future[dict[str, float]]]) -> float:
    """Seconds until the last of the pings is in the pages, from its answer on."""
    seen, answered = dict[str, float](), dict[str, float]()
    until = time.monotonic() + SECONDS + PATIENCE_SECONDS
    while not answered or not answered.keys() <= seen.keys():
        assert time.monotonic() < until, "pings are not in the journal"
        for row in rows_of(pages):
            seen.setdefault(row.ping, time.monotonic())
        if all(each.done() for each in sending):
            answered = {ping: at for each in sending for ping, at in each.result().items()}
        time.sleep(LOOK_SECONDS)
    return max(seen[ping] - at for ping, at in answered.items())


def _send_pings(url: str, keys: Keys, seconds: float) -> dict[str, float]:
    """When each was answered, by its raw id."""
    connection, answered = HTTPConnection(url.removeprefix("http://")), dict[str, float]()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sent = json.dumps({"caller_id": CALLER, "nonce": os.urandom(4).hex()})
        connection.request("POST", f"{API}/ping/{URI}", sent, {"content-type": "application/json"})
        body = json.loads(connection.getresponse().read())
        known = read_ping_id(keys, URI, body["try_all_buyers_ping_id"])
        assert known, body
        answered[known[0].hex()] = time.monotonic()
    connection.close()
    return answered


def _differences(report: Report) -> Line:
    """Of counts by rows and by items, after bursts in which the consumer of the stream died at its calls."""
    wrong = deaths = 0
    with engine.dynoxide(None) as url:
        for seed in range(report.size(ROUNDS, 1)):
            stage = consumers.a_stage(engine.client(url))
            mortal = consumers.Consumers(stage, Random(seed))
            consumers.play(stage, mortal, 1, report.size(REQUESTS, 10))
            found = zip(consumers.count_rows(stage), consumers.count_items(stage), strict=True)
            wrong += sum(rows != items for rows, items in found)
            deaths += mortal.deaths
    return Line(f"counts that differ from the items, after {deaths} deaths of the consumer", 0, wrong)


def _month(report: Report) -> list[Line]:
    rows = report.size(report_bench.ROWS_A_DAY, report_bench.SHORT)
    asked = (report_bench.JUDGED, False)
    took = report_bench.measure(rows, [asked])[0][asked]
    what = f"a month's report over {rows * report_bench.MONTH:,} rows"
    return [
        Line(f"{what}, first: seconds", report_bench.FIRST_SECONDS, took.first),
        Line(f"{what}, again: seconds", report_bench.AGAIN_SECONDS, took.again),
    ]
