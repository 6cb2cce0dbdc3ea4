"""The consumer, the function that sends and the minute function die at any of their calls, on real engines: every event
comes to each of its receivers, and none under another id."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.models import Ping, Sale
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.consumer import consume, remembering
from shared.journal.pages import Pages
from shared.postbacks.announcing import first_message
from shared.postbacks.events import describe_sale
from shared.postbacks.queue import Message
from shared.postbacks.sending import SLOT_SECONDS, Sending, Sent
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo
from shared.store.items import bytes_of
from shared.store.packing import unpack
from shared.store.postbacks import ReceiverState
from tests.build import AGAIN_SECONDS, KEYS, HeldQueue, InTurn, Stage
from tests.component.test_postbacks import configure, postbacks
from tests.configurations import a_receiver
from tests.race.consumers import Died, Fate, a_stage, sell

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READS = ("get_item", "query", "batch_get_item")
WRITES = ("put_item", "update_item", "delete_item", "batch_write_item")
SEND = "send"
SHARE = 0.05
ROUNDS, SALES = 6, 25
RECEIVERS = ("tracker", "buyer-one", "moody")
CALM_MINUTES = 45
AT_LAST = 30
"""What happens after the last sale: most is tried and fails while processes die."""
OFTEN = ("get_item", "put_item", "update_item", SEND)
"""What a round calls often enough to meet everything."""
EVERYWHERE = {(name, fate) for name, fate in product(OFTEN, Fate) if name in WRITES or fate is not Fate.IS_LATE}


@dataclass
class Unreliable:
    """A client, and a queue, of processes that die, at a share of their calls, and at another when they send. `late`
    are writes that nobody waits for any more."""

    client: "DynamoDBClient"
    queue: HeldQueue
    chance: Random
    share: float = SHARE
    sends: float = 4 * SHARE
    met: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    late: list[Callable[[], Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        return partial(self._call, name, method) if name in (*READS, *WRITES) else method

    def send(self, messages: list[Message], seconds: int = 0) -> None:
        self._call(SEND, partial(self.queue.send, messages, seconds))

    def _call(self, name: str, method: Callable[..., Any], **request: Any) -> Any:
        act = partial(method, **request)
        if self.chance.random() >= (self.sends if name == SEND else self.share):
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

    def do_some_late(self) -> None:
        while self.late and self.chance.random() < 0.7:
            with suppress(self.client.exceptions.ConditionalCheckFailedException):
                self.late.pop(self.chance.randrange(len(self.late)))()


class Play:
    """One random history. `send` makes what sends of the stage's own: a place for a bug."""

    def __init__(
        self, stage: Stage, seed: int, make_sending: Callable[[Sending], Any] = lambda sending: sending
    ) -> None:
        self.stage, self.chance = stage, Random(seed)
        self.unreliable = Unreliable(stage.client, stage.queue, self.chance)
        self.make_sending = make_sending
        self.came: Counter[str] = Counter()
        self.taken: set[str] = set()
        stage.receiving = self

    def put(self, calls: Mapping[int, Call], seconds: Mapping[int, float]) -> dict[int, Reply | Silence]:
        assert seconds
        return {place: self._answer(call) for place, call in calls.items()}

    def _answer(self, call: Call) -> Reply | Silence:
        message_id = call.headers["webhook-id"]
        self.came[message_id] += 1
        is_first, is_calm = self.came[message_id] == 1, not self.unreliable.share
        if "moody" in call.url and (is_first or not is_calm) and self.chance.random() < 0.7:
            return Reply(500, b"") if self.chance.random() < 0.5 else Silence("no answer", sent=True)
        self.taken.add(message_id)
        return Reply(200, b"")

    def run(self) -> None:
        chance = self.chance
        for place in range(SALES // 5):
            sell(self.stage, chance, 5)
            for _ in range(chance.randrange(3, 9) if place < SALES // 5 - 1 else AT_LAST):
                chance.choice([self.consume, self.send, self.send, self.wait])()
                self.unreliable.do_some_late()
        self.unreliable.share = self.unreliable.sends = 0
        while self.unreliable.late:
            self.unreliable.do_some_late()
        self.stage.bring_stream()
        self.stage.clock.forward(AGAIN_SECONDS + SLOT_SECONDS)
        for _ in range(CALM_MINUTES):
            self.stage.pass_minutes(1)

    def dynamo(self) -> Dynamo:
        return Dynamo(self.unreliable, self.stage.settings)  # type: ignore[arg-type]

    def consume(self) -> None:
        """A batch is brought until it has gone through; a process that dies leaves it."""
        stage, dynamo = self.stage, self.dynamo()
        pages, endpoint_of = Pages(dynamo, stage.clock, InTurn()), remembering(Compiled(dynamo, Memory()), {})
        with self.queue_of(stage):
            follow = stage.follow_up(dynamo, endpoint_of)
        batch = stage.stream.next_batch()
        if batch is None:
            return
        with suppress(Died):
            done = consume(batch.event, pages, endpoint_of, _never, follow)
            stage.stream.note_done(batch, {"batchItemFailures": [{"itemIdentifier": each} for each in done.failed]})

    def send(self) -> None:
        """What is due is taken from the queue; what was not done comes again."""
        self.stage.clock.forward(self.chance.choice([1, 5, 60, 300]))
        messages = self.stage.queue.take(self.chance.randrange(1, 11))
        failed = range(len(messages))
        with suppress(Died), self.queue_of(self.stage):
            failed = self.make_sending(self.stage.sending(self.dynamo()))(messages).failed
        self.stage.queue.send([messages[place] for place in failed], AGAIN_SECONDS)

    def wait(self) -> None:
        self.stage.clock.forward(60)
        with suppress(Died, TemporarilyUnavailable), self.queue_of(self.stage):
            self.stage.due_work(self.dynamo()).do_all()
            self.stage.waiting(self.dynamo()).go_on()

    def queue_of(self, stage: Stage) -> Any:
        """While it is open, what is made of the stage sends over an unreliable queue."""
        return patch.object(stage, "queue", self.unreliable)

    def expected(self) -> set[str]:
        """The ids that every sale has for its receivers."""
        found = set[str]()
        endpoint_of = remembering(Compiled(Dynamo(self.stage.client, self.stage.settings), Memory()), {})
        receivers = self.stage.receivers(Dynamo(self.stage.client, self.stage.settings)).all(0)
        for ping, sale in sales(self.stage):
            happening = describe_sale(ping, sale, "sale.made", sale.sold_at, endpoint_of)
            found |= {first_message(KEYS, each, happening).id for each in receivers.values() if happening.is_for(each)}
        return found


def _never(*_: object) -> None:
    raise AssertionError("a record could not be read")


def sales(stage: Stage) -> list[tuple[Ping, Sale]]:
    found = stage.client.scan(TableName=stage.settings.pings_table, FilterExpression="attribute_exists(sale)")
    return [(unpack(bytes_of(item, "ping"), Ping), unpack(bytes_of(item, "sale"), Sale)) for item in found["Items"]]


def make(client: "DynamoDBClient", seed: int, **more: Any) -> Play:
    stage = a_stage(client)
    configure(
        stage,
        *(a_receiver(name=name, events=["sale.made"], url=f"https://{name}.example/") for name in ("tracker", "moody")),
        a_receiver(name="buyer-one", to="buyer", buyer=1, events=["sale.made"], url="https://one.example/"),
    )
    return Play(stage, seed, **more)


def test_whenever_a_process_dies_every_event_comes_and_none_under_another_id(client: "DynamoDBClient") -> None:
    met = set[tuple[str, Fate]]()
    tries = 0
    for seed in range(ROUNDS):
        play = make(client, seed)
        play.run()
        expected = play.expected()
        assert len(expected) > 10
        assert set(play.came) == expected, seed
        assert play.taken == expected, seed
        assert {each.state for each in postbacks(play.stage).find_all(expected)} == {"sent"}
        assert all(postbacks(play.stage).waiting(name, 9) == [] for name in RECEIVERS)
        met |= {*play.unreliable.met}
        tries += sum(play.came.values()) - len(expected)
        if met >= EVERYWHERE and tries > 10:
            break
    assert met >= EVERYWHERE
    assert tries > 10


class TakesAll:
    """A bug: what was not done is not said."""

    def __init__(self, sending: Sending) -> None:
        self.sending = sending

    def __call__(self, messages: list[Message]) -> Any:
        try:
            return replace(self.sending(messages), failed=[])
        except Died:
            return Sent()


class ForgetsWhatFollows(Sending):
    """A bug: a message that comes again after its try was noted does not do what follows."""

    def __init__(self, sending: Sending) -> None:
        self.__dict__ |= sending.__dict__

    def _prepare(self, message: Message, state: ReceiverState | None) -> Any:
        found = self.postbacks.find(message.id)
        return None if found and found.tries == message.n + 1 else super()._prepare(message, state)


@pytest.mark.parametrize("bug", [TakesAll, ForgetsWhatFollows])
def test_a_sender_with_a_bug_is_caught(dynoxide: "DynamoDBClient", bug: Any) -> None:
    for seed in range(20):
        play = make(dynoxide, seed, make_sending=bug)
        play.unreliable.sends = 0.4
        play.run()
        if play.taken != play.expected():
            return
    pytest.fail("nothing was lost")
