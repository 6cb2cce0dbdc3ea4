"""A function whose clock is wrong: how it is found out, what it says and what it does not do any more."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest

from shared import runtime
from shared.store.clocks import Skew
from tests.build import CALLER, SETTINGS, Publisher, Stage, a_pool, an_endpoint, forget_process


class Dated(BaseHTTPRequestHandler):
    """Answers as a DynamoDB without items."""

    protocol_version = "HTTP/1.1"
    dates: Callable[[], list[str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(200)
        for date in type(self).dates():
            self.send_header("Date", date)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Not on the output."""


@dataclass
class Offset:
    """The real clock, wrong by so many seconds."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.seconds


@pytest.fixture
def _dated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Dated.dates = lambda: [time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())]
    with ThreadingHTTPServer(("127.0.0.1", 0), Dated) as server:
        threading.Thread(target=server.serve_forever).start()
        environment = {
            **SETTINGS.environment(),
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        forget_process()
        yield
        forget_process()
        server.shutdown()


@pytest.fixture
def clock() -> Offset:
    return Offset()


@pytest.fixture
def read(_dated: None, clock: Offset) -> Iterator[Callable[[], Skew]]:
    """Makes a call, and gives what is known of the clock then."""
    client, skew = runtime.dynamodb(botocore.session.get_session()), Skew(clock)
    skew.watch(client)

    def call() -> Skew:
        client.get_item(TableName="config", Key={"pk": {"S": "-"}})
        return skew

    yield call
    client.close()


@pytest.mark.parametrize("seconds", [60, -60, 5.5, -5.5])
def test_a_wrong_clock_is_found_by_the_first_answer(read: Callable[[], Skew], clock: Offset, seconds: float) -> None:
    clock.seconds = seconds
    found = read()()
    assert abs(seconds) <= found <= abs(seconds) + 2


def test_a_right_clock_is_none_and_no_news(read: Callable[[], Skew]) -> None:
    skew = read()
    assert skew() == skew.take_news() == 0


@pytest.mark.parametrize("dates", [[], ["yesterday"]])
def test_an_answer_without_a_date_tells_nothing(read: Callable[[], Skew], clock: Offset, dates: list[str]) -> None:
    clock.seconds = 60
    Dated.dates = lambda: dates
    assert read()() == 0


@pytest.mark.usefixtures("_dated")
def test_a_call_that_was_under_way_when_the_watch_began_tells_nothing(clock: Offset) -> None:
    client, skew = runtime.dynamodb(botocore.session.get_session()), Skew(clock)
    clock.seconds = 60

    def begin(**_: object) -> None:
        client.meta.events.unregister("before-send.dynamodb", begin)
        skew.watch(client)

    client.meta.events.register("before-send.dynamodb", begin)
    for known in (False, True):
        client.get_item(TableName="config", Key={"pk": {"S": "-"}})
        assert (skew() >= 60) == known
    client.close()


def test_clocks_are_compared_now_and_then_and_at_once_after_a_jump(read: Callable[[], Skew], clock: Offset) -> None:
    read()
    clock.seconds = 8
    assert read()() == 0
    clock.seconds = 20
    assert read()() >= 20
    clock.seconds = 0
    assert read()() == 0


@pytest.mark.usefixtures("_dated")
def test_a_wrong_clock_is_logged_and_counted_once_for_each_comparison(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "Skew", lambda: Skew(Offset(60)))
    for _ in range(3):
        Publisher(Stage(runtime.world().compiled.dynamo.client)).send(
            "ping", world=runtime.world(), json_body={"caller_id": CALLER}
        )
    (said,) = [record for record in caplog.records if record.message == "clock_skew"]
    assert 60 <= vars(said)["seconds"] <= 62
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "ClockSkew" in line]
    assert [line["ClockSkew"] for line in lines] == [[1.0]]
    runtime.world().compiled.dynamo.client.close()


@pytest.mark.parametrize("verb", ["post", "full"])
@pytest.mark.parametrize("overflow", ["", "+18005559999"])
def test_beyond_the_cooldown_no_number_is_leased(stage: Stage, publisher: Publisher, verb: str, overflow: str) -> None:
    stage.publish(an_endpoint(pool=a_pool(8, cooldown_seconds=60, overflow_number=overflow)))
    stage.skew = lambda: 60.1
    leases = stage.contents()["leases"]
    refused = publisher.send(verb, json_body={"caller_id": CALLER})
    assert (refused.code, refused.body["status"]) == (503, "temporarily_unavailable")
    assert stage.contents()["leases"] == leases
    assert publisher.ping().body["success"]
    stage.skew = lambda: 60.0
    assert publisher.send(verb, json_body={"caller_id": "+16145550124"}).body["success"]
