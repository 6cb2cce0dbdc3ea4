"""Requests per second through the whole local service: API Gateway, the Lambda runtime, the handlers and an engine."""

import json
import os
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from typing import Any

from bench.report import Cell, Report
from shared.domain import key_list
from shared.settings import Settings
from tests import local_service
from tests.build import CALLER, Stage, a_pool, an_endpoint
from tools import engine
from tools.local.__main__ import TABLES, secret

CLIENTS = (1, 8, 32)
SECONDS = 3.0
NUMBERS = 9000
WORKERS = "2"
API = "/api/v1/inbound_webhooks"
URI = "bench"
HEAD = ("", "clients", "requests/s", "p50 ms", "p99 ms", "÷ 1 client", "÷ echo")

Send = Callable[[HTTPConnection], bool]
"""Sends a request; False if there is none left to send."""


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as made, engine.dynoxide(Path(made) / "engine") as engine_url:
        data = Path(made)
        publish(engine_url, secret(data / "secret"))
        echo = ["tests.component.echo_service", str(data / "echo.log"), WORKERS, "9"]
        with (
            local_service.running(data, {"DYNAMODB_ENDPOINT": engine_url}) as product_url,
            local_service.started(echo) as echo_service,
        ):
            report.section("throughput", f"{WORKERS} workers per function, {os.cpu_count()} processors for everything")
            rows = _measured(product_url, echo_service.url, report.size(CLIENTS, (1, 4)), report.size(SECONDS, 0.2))
    report.table(HEAD, rows)


def publish(engine_url: str, secret_hex: str) -> None:
    """A benchmark endpoint, where the local run looks for its configuration."""
    settings = Settings(**TABLES, secret=secret_hex)
    client = engine.client(engine_url)
    engine.create_tables(client, settings)
    stage = Stage(client, settings=settings, keys=key_list.derive(bytes.fromhex(secret_hex)))
    pool = a_pool(NUMBERS, hold_seconds=3600, cooldown_seconds=0)
    stage.publish(an_endpoint(vanity_uri=URI, pool=pool, ping_ttl_seconds=3600))


def _measured(product_url: str, echo_url: str, crowds: Sequence[int], seconds: float) -> list[tuple[Cell, ...]]:
    pings: deque[str] = deque()

    def ping(connection: HTTPConnection) -> bool:
        answer = _sent(connection, f"{API}/ping/{URI}", {"caller_id": CALLER, "nonce": secrets.token_hex(4)})
        pings.append(answer["buyers"][0]["ping_id"])
        return True

    def post(connection: HTTPConnection) -> bool:
        with suppress(IndexError):  # several clients take from it
            _sent(connection, f"{API}/post/{URI}", {"caller_id": CALLER, "ping_id": pings.popleft()})
            return True
        return False

    def echo(connection: HTTPConnection) -> bool:
        _sent(connection, f"{API}/ping/{URI}", {"caller_id": CALLER})
        return True

    kinds: dict[str, tuple[str, Send]] = {"echo": (echo_url, echo), "PING": (product_url, ping)}
    kinds["POST by ping_id"] = (product_url, post)
    rows: list[tuple[Cell, ...]] = []
    alone: dict[str, float] = {}
    for clients in crowds:
        echoed = 0.0
        for name, (url, send) in kinds.items():
            took, seconds_needed = _took(url, send, clients, seconds)
            rate = len(took) / seconds_needed
            alone.setdefault(name, rate)
            echoed = echoed or rate
            p50, p99 = (1000 * took[len(took) * part // 100] for part in (50, 99))
            rows.append((name, clients, round(rate), p50, p99, rate / alone[name], rate / echoed))
    return rows


def _took(url: str, send: Send, clients: int, seconds: float) -> tuple[list[float], float]:
    """The seconds of each request, sorted, that so many clients send one after the other until the time is over or none
    is left; and the seconds of all together."""

    def client(_: int) -> list[float]:
        connection, took = HTTPConnection(url.removeprefix("http://")), list[float]()
        send(connection)  # connect, and wake a worker
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until and send(connection):
            took.append(time.perf_counter() - began)
        connection.close()
        return took

    with ThreadPoolExecutor(clients) as threads:
        each = list(threads.map(client, range(clients)))
    return sorted(chain.from_iterable(each)), max(map(sum, each))


def _sent(connection: HTTPConnection, path: str, params: dict[str, str]) -> Any:
    connection.request("POST", path, json.dumps(params), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200, answer
    assert answer.get("success", True), answer
    return answer
