"""The consumer of the stream and the minute function stand still for an hour, or one shard of the stream is stuck for
five minutes: sales go on, nothing is missing in the end, and nothing is done too early."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.minute.handler import lambda_handler
from shared.domain.caps import Cap
from shared.domain.keys import caller_hash
from shared.domain.models import DAY, Endpoint
from shared.journal.consumer import Record, consume, remembering
from shared.journal.files import LATE_SECONDS
from shared.journal.manifest import READING_SECONDS
from shared.journal.pages import HOUR, Pages
from shared.journal.passing import Passing
from shared.journal.periods import Period
from shared.journal.reports import Question, read_report
from shared.operators.finishing import list_unfinished
from shared.operators.repair import QUIET_SECONDS, Outcome, Repaired
from shared.runtime import journal
from shared.store.compiled import Compiled, Memory
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.versions import Versions
from tests.build import CALLER, KEYS, SETTINGS, START, Publisher, Stage, a_buyer, a_pool, an_endpoint, rows_of
from tests.component.test_upkeep import left_by_a_crash
from tests.race.consumers import Counts, count_items
from tools import engine

STUCK_SECONDS = 300
MANY = 16
"""So many pings are not all in one shard."""


def a_caller(n: int) -> str:
    return f"+16145550{100 + n % 100}"


# For an hour


def sell(stage: Stage, n: int) -> None:
    answer = Publisher(stage).full(caller_id=a_caller(n), traffic_source_id=str(n))
    assert answer.body["success"], answer.text


def report(stage: Stage) -> Counts:
    """What the page of reports shows of everything until now."""
    fetching = stage.open_files()
    period = Period(START, START + DAY)
    sources = fetching.fetch(fetching.files_of(period.start, period.end))
    total = read_report(Question(period=period), stage.clock(), sources).total
    return Counts(total.pings, total.sales, total.refused, total.revenue_cents or 0)


def test_an_hour_without_consumer_and_minute_function_costs_no_sale_and_is_caught_up_with(
    fast_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = fast_stage
    stage.publish(an_endpoint(pool=a_pool(400)), an_endpoint(vanity_uri="nobody", buyers=(), pool=a_pool(no=2)))
    finishing = stage.finishing()
    files, pages = finishing.forgetting.files, finishing.forgetting.files.pages
    versions = Versions(Dynamo(stage.client, SETTINGS), stage.clock)
    monkeypatch.setattr(journal, "journal_files", lambda: (files, versions))
    monkeypatch.setattr(journal, "finish_erasings", finishing.go_on_with_all)
    monkeypatch.setattr(journal, "calls_due", stage.due_work)
    monkeypatch.setattr(time, "time", lambda: float(stage.clock.now))

    def minute() -> dict[str, int]:
        done = lambda_handler({}, None)  # type: ignore[arg-type]
        stage.clock.forward(60)
        return done

    def written() -> int:
        return len(rows_of(pages))

    for n in range(3):
        sell(stage, n)
    stage.bring_stream()
    finishing.erasing.erase(a_caller(0), "somebody")

    before = written()
    for n in range(3, 63):
        stage.clock.forward(60)
        sell(stage, n)
        if n % 10 == 0:
            Publisher(stage).full("nobody", caller_id=CALLER, traffic_source_id=str(n))
            assert Publisher(stage).post(caller_id="none", traffic_source_id=str(n)).code == 422
    assert written() == before

    assert minute()["erased"] == 0  # it is the first to come back, and has nothing to work on
    assert [each.erased.finished_at for each in list_unfinished(finishing.erasures, stage.clock())] == [0]
    stage.bring_stream()
    assert report(stage) == count_items(stage) == Counts(69, 63, 6, 63 * 2500)
    stage.clock.now = START + 2 * HOUR + LATE_SECONDS
    done = [minute() for _ in range(3)]
    assert sum(each["hours_closed"] for each in done) == 2
    for _ in range(3):
        stage.bring_stream()
        stage.clock.forward(READING_SECONDS)
        done.append(minute())

    assert sum(each["erased"] for each in done) == 1
    assert list_unfinished(finishing.erasures, stage.clock()) == []
    assert pages.marked(stage.clock()) == []
    contents = files.manifest.read()
    assert [(file.kind, file.start) for file in contents.files] == [("hour", START), ("hour", START + HOUR)]
    assert contents.replaced == ()
    assert files.storage.names("") == sorted(file.name for file in contents.files)
    assert report(stage) == count_items(stage) == Counts(69, 63, 6, 63 * 2500)
    hashed = caller_hash(KEYS, a_caller(0))[:8].hex()
    assert hashed not in b"".join(pages.lines(hour) for hour in (START, START + HOUR)).decode()


# One shard, for five minutes


@dataclass
class TwoShards(Stage):
    """A stage whose stream comes by two shards; batches of one that is `stuck` fail."""

    stuck: int | None = None
    stuck_seconds: int = 0
    waiting: dict[int, list[Record]] = field(default_factory=lambda: {0: [], 1: []})

    def bring_stream(self) -> Pages:
        dynamo = Dynamo(self.client, self.settings)
        pages, endpoint_of = Pages(dynamo, self.clock, self.io_pool), remembering(Compiled(dynamo, Memory()), {})
        for stream in self.streams:
            while batch := stream.next_batch():
                assert stream.note_done(batch, {"batchItemFailures": []})
                for record in batch.records:
                    self.waiting[shard_of(record)].append(record)
        for shard, records in self.waiting.items():
            if shard != self.stuck and records:
                done = consume({"Records": records}, pages, endpoint_of, refuse, self.follow_up(dynamo, endpoint_of))
                assert done.failed == []
                records.clear()
        return pages

    def go_on_for_five_minutes(self) -> None:
        """Ten seconds of them; then the shard goes on."""
        self.clock.forward(10)
        self.stuck_seconds += 10
        if self.stuck_seconds >= STUCK_SECONDS:
            self.stuck = None
        self.bring_stream()


def shard_of(record: Record) -> int:
    [key] = record["dynamodb"]["Keys"].values()
    return sum(bytes(key["B"].encode())) % 2


def refuse(_: object, error: str) -> None:
    raise AssertionError(error)


@pytest.fixture
def two_shards() -> Iterator[TwoShards]:
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        yield TwoShards(client)


def a_capped_market(stage: TwoShards) -> Endpoint:
    """In which one shard is stuck, many sales were made and one more was counted."""
    endpoint = an_endpoint(buyers=(a_buyer(caps=(Cap("sales", 10 * MANY, "total"),)),), pool=a_pool(4 * MANY))
    stage.publish(endpoint)
    stage.stuck = 1
    for n in range(MANY):
        assert Publisher(stage).full(caller_id=a_caller(n)).body["success"]
    left_by_a_crash(stage, endpoint)
    stage.clock.forward(QUIET_SECONDS)
    return endpoint


def counted(stage: Stage, endpoint: Endpoint) -> int:
    found = Counters(Dynamo(stage.client, SETTINGS), {}).counts(items(*endpoint.buyers), stage.clock())
    return int(found[1]["sales-total-0"])


def test_a_repair_waits_for_the_stuck_shard_and_lowers_only_what_was_not_sold(two_shards: TwoShards) -> None:
    endpoint, seen = a_capped_market(two_shards), list[int]()
    repair = two_shards.repair()

    def pause() -> None:
        seen.append(counted(two_shards, endpoint))
        two_shards.go_on_for_five_minutes()

    repair.pause = pause
    assert repair.repair([endpoint]) == Outcome([Repaired(1, "sales-total-0", MANY + 1, MANY)])
    assert counted(two_shards, endpoint) == MANY
    assert seen == [MANY + 1] * (STUCK_SECONDS // 10)


def test_a_repair_that_is_content_with_the_other_shard_is_caught(
    two_shards: TwoShards, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = a_capped_market(two_shards)
    has_passed = Passing.has_passed

    def is_enough(self: Passing, run: str) -> bool:
        noted: Any = self.dynamo.get(SETTINGS.journal_table, {"pk": {"S": "PROBES"}, "sk": {"S": run}})
        return "seen" in noted or has_passed(self, run)

    monkeypatch.setattr(Passing, "has_passed", is_enough)
    repair = two_shards.repair()
    repair.pause = two_shards.go_on_for_five_minutes
    repair.repair([endpoint])
    assert counted(two_shards, endpoint) < MANY


def test_an_erasing_is_not_finished_while_a_shard_is_stuck(two_shards: TwoShards) -> None:
    two_shards.publish(an_endpoint())
    two_shards.stuck = 1
    for n in range(MANY):
        Publisher(two_shards).ping(caller_id=CALLER, traffic_source_id=str(n))
    begun = two_shards.finishing().erasing.erase(CALLER, "somebody")
    assert 0 < begun.erased.pings < MANY
    while two_shards.stuck is not None:
        begun = two_shards.finishing().go_on(begun)
        assert (begun.erased.finished_at, begun.rewritten_at) == (0, 0)
        two_shards.go_on_for_five_minutes()
    assert two_shards.finish(begun).pings == MANY
    assert [ping.lead.caller for ping in two_shards.pings()] == [""] * MANY
