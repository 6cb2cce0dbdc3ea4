"""What the client makes of each outcome of a call: a server in the place of DynamoDB plays it, and counts requests."""

import json
import os
import socket
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.config import Config

from shared import runtime
from shared.domain.caps import Cap
from shared.domain.refusals import TemporarilyUnavailable
from shared.store import dynamo
from shared.store.counters import Counters, Part, Place
from shared.store.dynamo import ConditionFailed, Dynamo
from tests.build import SETTINGS, START
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Reply = Callable[[BaseHTTPRequestHandler], None]
ITEM = b'{"Item": {"pk": {"S": "x"}}}'


@dataclass
class Scripted:
    """What the server answers, in turn; once all is played, `ITEM`."""

    replies: list[Reply] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    over: Event = field(default_factory=Event)


def answer(code: int, body: bytes, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def error(code: int, name: str) -> Reply:
    return answer(code, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": "-"}).encode())


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def whole(handler: BaseHTTPRequestHandler) -> None:
    answer(200, ITEM, x_amz_crc32=str(zlib.crc32(ITEM)))(handler)


THROTTLES = [
    error(400, name)
    for name in ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
]
UNCLEAR: dict[str, Reply] = {
    "a bare 503": answer(503, b""),
    "a 502 of a proxy": answer(502, b"<html>bad gateway</html>"),
    "a 500 with a code": error(500, "InternalServerError"),
    "a 503 with the code of a throttle": error(503, "ThrottlingException"),
    "a 400 that cannot be read": answer(400, b"<html>?</html>"),
    "cut JSON": answer(200, ITEM[:-4]),
    "an empty body": answer(200, b""),
    "a wrong checksum": answer(200, ITEM, x_amz_crc32="1"),
    "no answer": hang_up,
}


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def client(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> "Iterator[DynamoDBClient]":
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            script.targets.append(self.headers["x-amz-target"].partition(".")[2])
            (script.replies.pop(0) if script.replies else whole)(self)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name, value in {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_DEFAULT_REGION": engine.REGION,
        "AWS_ACCESS_KEY_ID": engine.KEY,
        "AWS_SECRET_ACCESS_KEY": engine.KEY,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dynamo, "FIRST_PAUSE", 0.0)
    made = runtime.dynamodb(botocore.session.Session())
    try:
        yield made
    finally:
        script.over.set()
        made.close()
        server.shutdown()
        thread.join()
        server.server_close()


def sent(client: "DynamoDBClient", kind: str) -> Any:
    send = getattr(Dynamo(client, SETTINGS), kind)
    return send(client.get_item, TableName="leases", Key={"pk": {"S": "x"}})


@pytest.mark.parametrize("kind", ["call", "once"])
@pytest.mark.parametrize("times", [0, 1, 3, dynamo.TRIES - 1])
def test_what_is_throttled_is_sent_again_until_it_is_done(
    client: "DynamoDBClient", script: Scripted, kind: str, times: int
) -> None:
    script.replies += [THROTTLES[n % len(THROTTLES)] for n in range(times)]
    assert sent(client, kind)["Item"] == {"pk": {"S": "x"}}
    assert len(script.targets) == times + 1


@pytest.mark.parametrize("kind", ["call", "once"])
def test_what_stays_throttled_is_not_done(client: "DynamoDBClient", script: Scripted, kind: str) -> None:
    script.replies += THROTTLES * dynamo.TRIES
    with pytest.raises(TemporarilyUnavailable) as failed:
        sent(client, kind)
    assert failed.value.not_done
    assert len(script.targets) == dynamo.TRIES


@pytest.mark.parametrize("kind", ["call", "once"])
def test_a_refused_connection_is_not_done(client: "DynamoDBClient", script: Scripted, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    away: Any = botocore.session.Session().create_client(
        "dynamodb",
        region_name=engine.REGION,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=engine.KEY,
        aws_secret_access_key=engine.KEY,
        config=runtime.DYNAMO,
    )
    store = Dynamo(client, SETTINGS)
    with pytest.raises(TemporarilyUnavailable) as failed:
        getattr(store, kind)(away.get_item, TableName="leases", Key={"pk": {"S": "x"}})
    assert failed.value.not_done

    first = iter([away.get_item])

    def get_item(**request: Any) -> Any:
        return next(first, client.get_item)(**request)

    assert getattr(store, kind)(get_item, TableName="leases", Key={"pk": {"S": "x"}})["Item"]
    assert len(script.targets) == 1


@pytest.mark.parametrize(("kind", "times"), [("call", 2), ("once", 1)])
@pytest.mark.parametrize("what", UNCLEAR)
def test_what_is_unclear_is_sent_once_more_only_where_it_may_be_done_twice(
    client: "DynamoDBClient", script: Scripted, kind: str, times: int, what: str
) -> None:
    script.replies += [UNCLEAR[what]] * 5
    with pytest.raises(TemporarilyUnavailable) as failed:
        sent(client, kind)
    assert not failed.value.not_done
    assert len(script.targets) == times


@pytest.mark.parametrize("what", UNCLEAR)
def test_after_an_unclear_answer_a_throttle_makes_nothing_clear(
    client: "DynamoDBClient", script: Scripted, what: str
) -> None:
    script.replies += [UNCLEAR[what], *THROTTLES * dynamo.TRIES]
    with pytest.raises(TemporarilyUnavailable) as failed:
        sent(client, "call")
    assert not failed.value.not_done
    script.replies.clear()
    script.replies += [UNCLEAR[what], THROTTLES[0]]
    assert sent(client, "call")["Item"]


def test_a_time_out_of_reading_is_unclear(client: "DynamoDBClient", script: Scripted) -> None:
    def hang(_: BaseHTTPRequestHandler) -> None:
        script.over.wait(30)

    script.replies += [hang, hang]
    quick = runtime.DYNAMO.merge(Config(read_timeout=0.05))
    hurried: Any = botocore.session.Session().create_client("dynamodb", config=quick)
    with pytest.raises(TemporarilyUnavailable) as failed:
        Dynamo(client, SETTINGS).once(hurried.get_item, TableName="leases", Key={"pk": {"S": "x"}})
    assert not failed.value.not_done
    give_up_at = monotonic() + 30
    while not script.targets and monotonic() < give_up_at:  # it may have sent before the server read
        sleep(0.01)
    assert len(script.targets) == 1


def test_a_failed_condition_shows_what_it_met_after_throttles_too(client: "DynamoDBClient", script: Scripted) -> None:
    met = {"__type": "x#ConditionalCheckFailedException", "Item": {"pk": {"S": "x"}}}
    script.replies += [THROTTLES[0], answer(400, json.dumps(met).encode())]
    with pytest.raises(ConditionFailed) as failed:
        sent(client, "once")
    assert failed.value.item == {"pk": {"S": "x"}}


def test_a_mistake_of_ours_is_raised_as_it_is(client: "DynamoDBClient", script: Scripted) -> None:
    script.replies.append(error(400, "ValidationException"))
    with pytest.raises(client.exceptions.ClientError):
        sent(client, "call")
    assert len(script.targets) == 1


def test_without_time_nothing_is_sent(client: "DynamoDBClient", script: Scripted) -> None:
    with pytest.raises(TemporarilyUnavailable) as failed:
        Dynamo(client, SETTINGS, deadline=monotonic()).call(client.get_item, TableName="leases", Key={})
    assert failed.value.not_done
    assert script.targets == []


# What that makes of counts


def take(client: "DynamoDBClient") -> Place | None:
    caps, local = [Cap("sales", 9, "total"), Cap("concurrent", 1)], datetime.fromtimestamp(START, UTC)
    return Counters(Dynamo(client, SETTINGS), {}).take(1, caps, local, 100, b"ping", b"attempt", START + 9, START)


@pytest.mark.parametrize("what", UNCLEAR)
def test_a_count_and_a_give_back_are_sent_once_and_a_read_twice(
    client: "DynamoDBClient", script: Scripted, what: str
) -> None:
    script.replies += [UNCLEAR[what]] * 9
    with pytest.raises(TemporarilyUnavailable) as failed:
        take(client)
    assert not failed.value.not_done
    assert script.targets == ["UpdateItem"]

    counters = Counters(Dynamo(client, SETTINGS), {})
    counters.give_back(Place("ping.attempt", (Part((1, ""), {"sales-total-0": 1}, ("concurrent",), 0),)))
    assert script.targets == ["UpdateItem"] * 2

    with pytest.raises(TemporarilyUnavailable):
        counters.counts([(1, "")], START)
    assert script.targets == ["UpdateItem"] * 2 + ["BatchGetItem"] * 2


def test_a_count_that_stays_throttled_is_no_full_cap(client: "DynamoDBClient", script: Scripted) -> None:
    script.replies += THROTTLES * dynamo.TRIES
    with pytest.raises(TemporarilyUnavailable) as failed:
        take(client)
    assert failed.value.not_done


def test_a_throttled_count_is_counted_when_it_is_done(client: "DynamoDBClient", script: Scripted) -> None:
    script.replies += [*THROTTLES, answer(200, b'{"Attributes": {"sales-total-0": {"N": "1"}}}')]
    assert take(client)
    assert script.targets == ["UpdateItem"] * 4
