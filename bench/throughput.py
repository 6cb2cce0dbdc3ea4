"""Requests per second through the whole local service: API Gateway, the Lambda runtime, the handlers and an engine."""

import json
import os
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench.report import Cell, Report
from shared.domain import keys
from shared.settings import Settings
from tests import service
from tests.build import CALLER, Stage, a_pool, an_endpoint
from tools import engine
from tools.local.__main__ import secret

CLIENTS = (1, 8, 32)
SECONDS = 3.0
NUMBERS = 9000
WORKERS = "2"
API = "/api/v1/inbound_webhooks"
URI = "bench"
HEAD = ("", "clients", "requests/s", "p50 ms", "p99 ms", "÷ 1 client", "÷ echo")

Send = Callable[[HTTPConnection], Any]


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as made, engine.dynoxide(Path(made) / "engine") as engine_url:
        data = Path(made)
        publish(engine_url, secret(data / "secret"))
        echo = ["tests.component.echo_service", str(data / "echo.log"), WORKERS, "9"]
        with (
            service.running(data, {"DYNAMODB_ENDPOINT": engine_url}) as product_url,
            service.started(echo) as echo_service,
        ):
            report.section("throughput", f"{WORKERS} workers per function, {os.cpu_count()} processors for everything")
            rows = _measured(product_url, echo_service.url)
    report.table(HEAD, rows)


def publish(engine_url: str, secret_hex: str) -> None:
    """A benchmark endpoint, where the local run looks for its configuration."""
    settings = Settings(
        config_table="ringpost-config",
        pings_table="ringpost-pings",
        leases_table="ringpost-leases",
        callers_table="ringpost-callers",
        journal_table="ringpost-journal",
        secret=secret_hex,
    )
    client = engine.client(engine_url)
    engine.create_tables(client, settings)
    stage = Stage(client, settings=settings, keys=keys.derive(bytes.fromhex(secret_hex)))
    pool = a_pool(NUMBERS, hold_seconds=3600, cooldown_seconds=0)
    stage.publish(an_endpoint(vanity_uri=URI, pool=pool, ping_ttl_seconds=3600))


def _measured(product_url: str, echo_url: str) -> list[tuple[Cell, ...]]:
    pings: deque[str] = deque()

    def ping(connection: HTTPConnection) -> None:
        answer = _sent(connection, f"{API}/ping/{URI}", {"caller_id": CALLER, "nonce": secrets.token_hex(4)})
        pings.append(answer["buyers"][0]["ping_id"])

    def post(connection: HTTPConnection) -> None:
        _sent(connection, f"{API}/post/{URI}", {"caller_id": CALLER, "ping_id": pings.popleft()})

    def echo(connection: HTTPConnection) -> None:
        _sent(connection, f"{API}/ping/{URI}", {"caller_id": CALLER})

    kinds: dict[str, tuple[str, Send]] = {"echo": (echo_url, echo), "PING": (product_url, ping)}
    kinds["POST by ping_id"] = (product_url, post)
    rows: list[tuple[Cell, ...]] = []
    alone: dict[str, float] = {}
    for clients in CLIENTS:
        echoed = 0.0
        for name, (url, send) in kinds.items():
            took = sorted(_took(url, send, clients))
            rate = len(took) / SECONDS
            alone.setdefault(name, rate)
            echoed = echoed or rate
            p50, p99 = (1000 * took[len(took) * part // 100] for part in (50, 99))
            rows.append((name, clients, round(rate), p50, p99, rate / alone[name], rate / echoed))
    return rows


def _took(url: str, send: Send, clients: int) -> list[float]:
    """The seconds of each request that so many clients send one after the other until the time is over."""

    def client(_: int) -> list[float]:
        connection, took = HTTPConnection(url.removeprefix("http://")), []
        send(connection)  # connect, and wake a worker
        until = time.perf_counter() + SECONDS
        while (began := time.perf_counter()) < until:
            send(connection)
            took.append(time.perf_counter() - began)
        connection.close()
        return took

    with ThreadPoolExecutor(clients) as threads:
        return [seconds for took in threads.map(client, range(clients)) for seconds in took]


def _sent(connection: HTTPConnection, path: str, params: dict[str, str]) -> Any:
    connection.request("POST", path, json.dumps(params), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200, answer
    assert answer.get("success", True), answer
    return answer
