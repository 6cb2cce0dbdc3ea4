"""The start of a function, against something that answers as a DynamoDB without items."""

import gc
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.config import Config

from shared import runtime
from tests.build import SETTINGS, forget_process


class Empty(BaseHTTPRequestHandler):
    """Answers two requests once both are there."""

    protocol_version = "HTTP/1.1"
    both: threading.Barrier
    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self.both.wait()
        except threading.BrokenBarrierError:  # there is only one
            self.close_connection = True
            return
        self.asked.append(self.headers["X-Amz-Target"].rpartition(".")[2])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Not on the output."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The operations that are asked for while a function starts."""
    Empty.both, Empty.asked = threading.Barrier(2, timeout=5), []
    patient = Config(read_timeout=10, retries={"mode": "standard", "total_max_attempts": 1})
    monkeypatch.setattr(runtime, "SDK", runtime.SDK.merge(patient))
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever).start()
        environment = {
            **SETTINGS.environment(),
            "AWS_LAMBDA_FUNCTION_NAME": "ringpost-post",
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        forget_process()
        yield Empty.asked
        gc.unfreeze()
        runtime.stack()[0].client.close()
        forget_process()
        server.shutdown()


def test_a_start_reads_over_two_connections_at_once_builds_every_call_and_writes_nothing(asked: list[str]) -> None:
    built: set[str] = set()
    client = runtime.stack()[0].client
    client.meta.events.register("before-sign.dynamodb", lambda operation_name, **_: built.add(operation_name))
    runtime.prepare()
    assert asked == ["GetItem", "GetItem"]
    assert built == {"GetItem", "BatchGetItem", "PutItem", "UpdateItem"}


@pytest.mark.usefixtures("asked")
def test_what_a_start_makes_is_not_searched_for_garbage_again() -> None:
    runtime.prepare()
    assert gc.get_freeze_count() > 0
