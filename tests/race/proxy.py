"""A proxy between the handlers and a DynamoDB engine, which gives each request a fate: it passes, is lost, loses its
answer, arrives late, after others that were sent later, is throttled, and so on.

Fates are drawn from a seed. Which request meets which one depends on the order in which they arrive all the same.
"""

import asyncio
import base64
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tools.local import asgi

HOLD_SECONDS = 5.0
"""How long a connection is held without an answer, unless the client leaves before: its time-out is a second."""
HELD = 0.25
"""The share of connections without an answer that are held; the others are closed, which costs the client less time."""
REMEMBERED = 60_000
"""How many requests are kept for the story of a violation."""
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}
SLOW_SECONDS = 0.9
END = b"\r\n\r\n"

Json = dict[str, Any]
Mutation = Callable[[str, Json], None]
"""Changes a request of an operation before it is delivered: so a bug is seeded."""


class Fate(StrEnum):
    PASSED = "passed"
    LOST = "request lost"
    ANSWER_LOST = "answer lost"
    LATE = "late"
    THROTTLED = "throttled"
    REFUSED_503 = "503, not done"
    DONE_503 = "503, but done"
    CUT = "answer cut short"
    UNPROCESSED = "partly unprocessed"


SHARES = {
    Fate.LOST: 0.008,
    Fate.ANSWER_LOST: 0.01,
    Fate.LATE: 0.02,
    Fate.THROTTLED: 0.006,
    Fate.REFUSED_503: 0.003,
    Fate.DONE_503: 0.003,
    Fate.CUT: 0.004,
    Fate.UNPROCESSED: 0.01,
}
"""Of all requests. A throttle lasts for a while for whatever asks for the same item, so that more are throttled."""

NOT_DONE = {Fate.PASSED, Fate.THROTTLED, Fate.UNPROCESSED}
"""What may happen to a request for an item that is spared: its sender can know whether it was done."""


@dataclass(slots=True)
class Asked:
    """A request, and what became of it. `key` is the item's, or what stands for several."""

    operation: str
    key: str
    body: bytes
    at: float
    fate: Fate = Fate.PASSED
    delivered_at: float = 0.0
    outcome: str = "not delivered"

    @property
    def unclear(self) -> bool:
        """Whether its sender cannot know what became of it, though it was to pass."""
        slow = self.delivered_at - self.at > SLOW_SECONDS
        return self.fate is Fate.PASSED and (slow or self.outcome in ("not delivered", "the engine died"))

    def line(self, since: float) -> str:
        request = json.loads(self.body)
        does = request.get("UpdateExpression") or request.get("ConditionExpression", "")
        late = f" by {self.delivered_at - self.at:.2f} s" if self.fate is Fate.LATE and self.delivered_at else ""
        return f"{self.at - since:9.3f}  {self.operation} {self.key}  {self.fate}{late}: {self.outcome}  [{does[:90]}]"


@dataclass
class Fates:
    """`spared` says of an item's key that only what is surely not done may happen to requests for it."""

    seed: int
    shares: Mapping[Fate, float] = field(default_factory=lambda: SHARES)
    spared: Callable[[str], bool] = lambda _: False
    random: Random = field(init=False)
    throttled_until: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def draw(self, asked: Asked) -> Fate:
        if self.throttled_until.get(asked.key, 0) > asked.at:
            return Fate.THROTTLED
        drawn = self.random.choices(
            [*self.shares, Fate.PASSED], [*self.shares.values(), 1 - sum(self.shares.values())]
        )[0]
        impossible = (drawn is Fate.LATE and asked.operation not in WRITES) or (
            drawn is Fate.UNPROCESSED and not asked.operation.startswith("Batch")
        )
        if impossible or (self.spared(asked.key) and drawn not in NOT_DONE):
            return Fate.PASSED
        if drawn is Fate.THROTTLED:
            self.throttled_until = {key: end for key, end in self.throttled_until.items() if end > asked.at}
            self.throttled_until[asked.key] = asked.at + self.random.expovariate(2)
        return drawn

    def delay(self) -> float:
        """By how many seconds something is late: around the client's next try, or long after it."""
        least, most = self.random.choices([(0.002, 0.3), (0.3, 3.0), (3.0, 14.0)], [4, 3, 3])[0]
        return self.random.uniform(least, most)


class _Answer(NamedTuple):
    fate: Fate
    content: bytes


class EngineDied(Exception):
    """It gave no answer."""


class Proxy:
    """`fates` None lets everything pass, as it is."""

    def __init__(self, engine_url: str) -> None:
        self.engine = urlsplit(engine_url)
        self.mutate: Mutation | None = None
        self.fates: Fates | None = None
        self.asked: deque[Asked] = deque(maxlen=REMEMBERED)
        self.counts: Counter[str] = Counter()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._talks: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its URL."""
        listener = asgi.listen(0)
        server = await asyncio.start_server(self._talk, sock=listener)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.close()
            for task in self._talks:
                task.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            await self.deliver_all()
            for _, writer in self._idle:
                writer.close()

    async def engine_answers(self) -> None:
        """Returns when the engine is there, however often it was killed just now."""
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(self.engine.hostname, self.engine.port)
                writer.close()
                return
            await asyncio.sleep(0.05)

    async def deliver_all(self) -> None:
        """Deliver now, in any order, what is late still."""
        self._at_once.set()
        while self._late:
            await asyncio.wait(self._late)
        self._at_once.clear()

    def story(self, ping_ids: set[bytes]) -> list[Asked]:
        """The requests that name one of these pings, in their order."""
        texts = {text for ping_id in ping_ids for text in _texts(ping_id)}
        return [asked for asked in self.asked if any(text in asked.body for text in texts)]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        try:
            while answer := await self._answer(reader):
                writer.write(answer.content)
                if answer.fate is Fate.CUT:
                    break  # of what seems to be missing no more will come
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            self._talks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> "_Answer | None":
        """What is sent back; None where the connection is to be closed."""
        head = await reader.readuntil(END)
        asked = self._read(head, await reader.readexactly(_length(head)))
        asked.fate = self.fates.draw(asked) if self.fates else Fate.PASSED
        self.counts[asked.fate] += 1
        self.asked.append(asked)
        try:
            content = await self._meet(asked, head)
        except EngineDied:
            return None
        if content is None:
            await self._be_silent(reader)
            return None
        return _Answer(asked.fate, content)

    async def _meet(self, asked: Asked, head: bytes) -> bytes | None:
        """The answer that goes with the request's fate, if one does. Raises `EngineDied`."""
        match asked.fate:
            case Fate.LOST:
                return None
            case Fate.LATE:
                task = asyncio.create_task(self._deliver_late(asked, head))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                return None
            case Fate.THROTTLED:
                return self._throttle()
            case Fate.REFUSED_503:
                return _response(503, b"Service Unavailable", "text/plain")
            case Fate.UNPROCESSED:
                return await self._answer_in_part(asked, head)
        answer = await self._deliver(asked, head)
        match asked.fate:
            case Fate.ANSWER_LOST:
                return None
            case Fate.DONE_503:
                return _response(503, b"Service Unavailable", "text/plain")
            case Fate.CUT:
                return self._cut(answer)
        return answer

    def _read(self, head: bytes, body: bytes) -> Asked:
        operation = next(
            line.rpartition(b".")[2].decode() for line in head.split(b"\r\n") if line[:13].lower() == b"x-amz-target:"
        )
        request = json.loads(body)
        if self.mutate and self.fates:
            self.mutate(operation, request)
            body = json.dumps(request).encode()
        return Asked(operation, _key(request), body, time.time())

    async def _be_silent(self, reader: asyncio.StreamReader) -> None:
        if self.fates and self.fates.random.random() < HELD:
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), HOLD_SECONDS)

    async def _deliver_late(self, asked: Asked, head: bytes) -> None:
        assert self.fates
        with suppress(TimeoutError):
            await asyncio.wait_for(self._at_once.wait(), self.fates.delay())
        with suppress(EngineDied):
            await self._deliver(asked, head)

    async def _answer_in_part(self, asked: Asked, head: bytes) -> bytes:
        """A batch of which the engine is asked for some only."""
        assert self.fates
        request, left = json.loads(asked.body), dict[str, Any]()
        for table, wanted in [*request["RequestItems"].items()]:
            every = wanted["Keys"] if asked.operation == "BatchGetItem" else wanted
            self.fates.random.shuffle(every)
            later, every[:] = every[: (cut := self.fates.random.randint(1, len(every)))], every[cut:]
            left[table] = {**wanted, "Keys": later} if asked.operation == "BatchGetItem" else later
            if not every:
                del request["RequestItems"][table]
        name = "UnprocessedKeys" if asked.operation == "BatchGetItem" else "UnprocessedItems"
        answer: Json = {"Responses": {table: [] for table in left}} if asked.operation == "BatchGetItem" else {}
        if request["RequestItems"]:
            asked.body = json.dumps(request).encode()
            raw = await self._deliver(asked, head)
            if asked.outcome != "200":
                return raw
            found = json.loads(raw.partition(END)[2])
            if "Responses" in answer:
                found["Responses"] = answer["Responses"] | found["Responses"]
            answer = found
        return _response(200, json.dumps(answer | {name: left}).encode())

    async def _deliver(self, asked: Asked, head: bytes) -> bytes:
        """The engine's whole answer. Raises `EngineDied`."""
        line, *headers = head[: -len(END)].split(b"\r\n")
        headers = [header for header in headers if header[:15].lower() != b"content-length:"]
        headers.append(b"content-length: %d" % len(asked.body))
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await self._connection()
            writer.write(b"\r\n".join([line, *headers]) + END + asked.body)
            answered = await reader.readuntil(END)
            content = await reader.readexactly(_length(answered))
        except BaseException as fault:
            if writer:
                writer.close()
            if not isinstance(fault, OSError | asyncio.IncompleteReadError):
                raise  # the proxy is being stopped
            asked.outcome = "the engine died"
            self.counts[asked.outcome] += 1
            raise EngineDied from None
        self._idle.append((reader, writer))
        asked.delivered_at = time.time()
        asked.outcome = status = answered[9:12].decode()
        if status != "200":
            asked.outcome += " " + json.loads(content).get("__type", "").rpartition("#")[2]
        return answered + content

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (writer.is_closing() or reader.at_eof()):
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.engine.hostname, self.engine.port, limit=2**24)

    def _throttle(self) -> bytes:
        assert self.fates
        code = self.fates.random.choice(["ProvisionedThroughputExceededException", "ThrottlingException"])
        body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "Too many requests."}
        return _response(400, json.dumps(body).encode())

    def _cut(self, answer: bytes) -> bytes:
        """Half of the body: as if it were whole, or so that one sees that some is missing."""
        assert self.fates
        body = answer.partition(END)[2]
        half = body[: max(1, len(body) // 2)]
        return _response(200, half, length=self.fates.random.choice([len(half), len(body) + 1]))


def _length(head: bytes) -> int:
    lengths: Iterator[bytes] = (
        line.partition(b":")[2] for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"
    )
    return int(next(lengths, b"0"))


def _response(
    status: int, body: bytes, kind: str = "application/x-amz-json-1.0", *, length: int | None = None
) -> bytes:
    length = len(body) if length is None else length
    head = f"HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {length}"
    return head.encode() + END + body


def _key(request: Json) -> str:
    """The table and key of the item; of several, the tables."""
    if "RequestItems" in request:
        return " ".join(sorted(request["RequestItems"]))
    item = request.get("Key") or request.get("Item") or {}
    values = [str(next(iter(item[name].values()))) for name in ("ping_id", "pk", "sk", "caller") if name in item]
    return " ".join([request.get("TableName", "").removeprefix("ringpost-"), *values])


def _texts(ping_id: bytes) -> tuple[bytes, bytes]:
    """How an id, or what begins with it, stands in requests: as a value and in the names of places."""
    return base64.b64encode(ping_id), base64.urlsafe_b64encode(ping_id)
