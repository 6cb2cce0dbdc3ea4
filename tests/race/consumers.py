"""The consumer of the stream in processes that die at any of their calls, or get no answer. The next one starts from
where the last finished batch ended, and the batch that it gets may be shorter or longer. A write of a process that has
died may arrive late, after others."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import partial
from itertools import count
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from shared.domain.models import Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.consumer import EndpointOf, consume, remembering
from shared.journal.pages import HOUR, Pages
from shared.settings import Settings
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo, Item
from shared.store.items import bytes_of, number_or
from shared.store.packing import unpack
from shared.store.refused_requests import KIND
from tests.build import SETTINGS, START, Clock, InTurn, Publisher, Stage, a_pool, an_endpoint, rows_of
from tools import engine
from tools.local.streams import Stream

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CALLS = ("get_item", "put_item", "query", "update_item")
WRITES = ("put_item", "update_item")
SHARE = 0.2
"""Of calls at which something happens."""
LONGEST_BATCH = 40
SELLERS, REQUESTS = 4, 40
SECONDS_A_REQUEST = 30

Mutation = Callable[[str, dict[str, Any]], None]
"""Changes a request of the consumer, by its operation: a seeded bug."""

_numbers = count(1)


class Died(BaseException):
    """The process is gone."""


class Fate(Enum):
    DIES_BEFORE = "dies before it"
    DIES_AFTER = "dies after it"
    IS_LATE = "dies, and the write arrives later"
    NO_ANSWER = "gets no answer"


class Counts(NamedTuple):
    """What happened, by rows or by items."""

    pings: int
    sales: int
    refused: int
    revenue_cents: int


@dataclass
class Mortal:
    """A client of the consumer. `late` are writes that nobody waits for any more."""

    client: "DynamoDBClient"
    chance: Random
    mutate: Mutation
    met: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    late: list[Callable[[], Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        return partial(self._call, name, method) if name in CALLS else method

    def _call(self, name: str, method: Callable[..., Any], **request: Any) -> Any:
        self.mutate(name, request)
        act = partial(method, **request)
        if self.chance.random() >= SHARE:
            return act()
        fate = self.chance.choice([each for each in Fate if name in WRITES or each is not Fate.IS_LATE])
        self.met[name, fate] += 1
        if fate is Fate.NO_ANSWER:
            raise TemporarilyUnavailable
        if fate is Fate.IS_LATE:
            self.late.append(act)
        if fate is Fate.DIES_AFTER:
            with suppress(self.client.exceptions.ConditionalCheckFailedException):
                act()
        raise Died

    def do_late(self) -> None:
        """One of the late writes."""
        with suppress(self.client.exceptions.ConditionalCheckFailedException):
            self.late.pop(self.chance.randrange(len(self.late)))()


@dataclass
class Consumers:
    """One process after the other. `acknowledges_early` is a bug: a batch is done before its pages are written."""

    stage: Stage
    chance: Random
    mutate: Mutation = lambda *_: None
    acknowledges_early: bool = False
    deaths: int = 0
    split: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        self.mortal = Mortal(self.stage.client, self.chance, self.mutate)
        self._seen: set[str] = set()
        self._start()

    def _start(self) -> None:
        dynamo = Dynamo(cast(Any, self.mortal), self.stage.settings)
        self._pages = Pages(dynamo, self.stage.clock, InTurn())
        self._endpoint_of: EndpointOf = remembering(Compiled(dynamo, Memory()), {})
        self._follow = self.stage.follow_up(dynamo, self._endpoint_of)
        of = self.stage.stream
        self._stream = Stream(of.client, of._arn, self.stage.place / "consumer.json")

    def catch_up(self) -> None:
        """Until there is nothing more, and nothing is late."""
        while self.take_a_batch():
            pass
        while self.mortal.late:
            self.mortal.do_late()

    def take_a_batch(self) -> bool:
        """False if there is none."""
        if self.mortal.late and self.chance.random() < SHARE:
            self.mortal.do_late()
        whole = self._stream.next_batch()
        if not whole:
            return False
        batch = whole._replace(records=whole.records[: self.chance.randint(1, LONGEST_BATCH)])
        self.split += len(batch.records) < len(whole.records)
        self.repeated += batch.records[0]["eventID"] in self._seen
        self._seen |= {record["eventID"] for record in batch.records}
        try:
            if self.acknowledges_early:
                self._stream.note_done(batch, {"batchItemFailures": []})
            done = consume(batch.event, self._pages, self._endpoint_of, _refuse, self._follow)
            if self.chance.random() < SHARE:
                raise Died  # all is written, and nobody knows
            self._stream.note_done(batch, {"batchItemFailures": [{"itemIdentifier": each} for each in done.failed]})
        except Died:
            self.deaths += 1
            self._start()
        return True


def _refuse(_: object, error: str) -> None:
    raise AssertionError(error)


def a_stage(client: "DynamoDBClient") -> Stage:
    """With tables of its own, and endpoints of which one has few numbers and one no buyers."""
    no = next(_numbers)
    of = {each.name: getattr(SETTINGS, each.name) for each in fields(Settings) if each.name.endswith("_table")}
    settings = replace(SETTINGS, **{name: f"{table}-{no}-of-consumers" for name, table in of.items()})
    engine.create_tables(client, settings)
    stage = Stage(client, settings=settings, clock=Clock(START + HOUR // 2))
    stage.publish(
        an_endpoint(vanity_uri="plain", pool=a_pool(400)),
        an_endpoint(vanity_uri="scarce", pool=a_pool(2, no=2)),
        an_endpoint(vanity_uri="nobody", pool=a_pool(no=3), buyers=()),
    )
    return stage


def sell(stage: Stage, chance: Random, requests: int) -> None:
    """PINGs, POSTs and what is refused, in any order; no lead comes again as a new request. Nothing of it may fail."""
    publisher = Publisher(stage)
    for _ in range(requests):
        stage.clock.forward(chance.randrange(SECONDS_A_REQUEST))
        lead = {"caller_id": f"+16145550{chance.randrange(100, 200)}", "traffic_source_id": chance.randbytes(6).hex()}
        kind = chance.choice(["ping", "sale", "sale", "full", "scarce", "nobody", "wrong"])
        if kind == "wrong":
            answers = [publisher.post("plain", caller_id="no number")]
        elif kind in ("scarce", "nobody"):
            answers = [publisher.full(kind, **lead)]
        elif kind == "full":
            answers = [publisher.full("plain", **lead)]
        else:
            answers = [publisher.ping("plain", **lead)]
            if kind == "sale":
                sent = lead | {"ping_id": answers[0].body["try_all_buyers_ping_id"]}
                answers += [publisher.post("plain", **sent) for _ in range(chance.choice([1, 1, 2]))]
        assert all(answer.code < 500 for answer in answers), answers


def play(stage: Stage, consumers: Consumers, crowd: int = SELLERS, requests: int = REQUESTS) -> None:
    """Sellers sell while the consumers die; at last the consumers catch up."""
    sellers = [
        Thread(target=sell, args=(replace(stage), Random(consumers.chance.random()), requests)) for _ in range(crowd)
    ]
    for seller in sellers:
        seller.start()
    while any(seller.is_alive() for seller in sellers):
        consumers.take_a_batch()
    for seller in sellers:
        seller.join()
    consumers.catch_up()


def count_rows(stage: Stage) -> Counts:
    """As readers of the pages see them."""
    pages = Pages(Dynamo(stage.client, stage.settings), stage.clock, InTurn())
    rows = rows_of(pages)
    kinds = Counter(row.kind for row in rows)
    return Counts(kinds["ping"], kinds["sale"], kinds["refused"], sum(row.revenue_cents for row in rows))


def count_items(stage: Stage) -> Counts:
    items = [*_items(stage)]
    sales = [unpack(bytes_of(item, "sale"), Sale) for item in items if "sale" in item]
    refused = sum(number_or(item, "refusals", 0) + (item.get("kind") == {"S": KIND}) for item in items)
    return Counts(sum("ping" in item for item in items), len(sales), refused, sum(sale.cents for sale in sales))


def _items(stage: Stage) -> Iterator[Item]:
    found = stage.client.get_paginator("scan").paginate(TableName=stage.settings.pings_table, ConsistentRead=True)
    return (item for page in found for item in page["Items"])
