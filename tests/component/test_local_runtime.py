"""The local API Gateway and Lambda runtime, with a function that echoes its event."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.settings import Settings
from tests.local_service import Service, arguments_of, descendants, started
from tools import engine
from tools.local.__main__ import secret

API = "/api/v1/inbound_webhooks"
TIMEOUT_SECONDS = 1.5


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("echo") / "functions.log"


@pytest.fixture(scope="module")
def service(log: Path) -> Iterator[Service]:
    with started(["tests.component.echo_service", str(log), "4", str(TIMEOUT_SECONDS)]) as service:
        yield service


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=10, trust_env=False) as http:
        yield http


def the_event(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


def test_an_event_has_the_shape_of_payload_version_2(http: httpx.Client) -> None:
    answer = http.get(
        f"{API}/ping/my%20endpoint/", headers=[("X-Twice", "1"), ("x-twice", "2"), ("user-agent", "test")]
    )
    event = the_event(answer)
    context = event["requestContext"]
    assert answer.json()["function"] == "ringpost-ping"
    assert event["version"] == "2.0"
    assert event["routeKey"] == context["routeKey"] == f"ANY {API}/ping/{{path+}}"
    assert event["rawPath"] == context["http"]["path"] == f"{API}/ping/my endpoint/"
    assert event["pathParameters"] == {"path": "my endpoint/"}
    assert event["headers"]["x-twice"] == "1,2"
    assert context["http"] == {
        "method": "GET",
        "path": f"{API}/ping/my endpoint/",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test",
    }
    assert context["stage"] == "$default"
    assert isinstance(context["timeEpoch"], int)
    assert {"accountId", "apiId", "domainName", "requestId", "time"} <= context.keys()
    assert event["rawQueryString"] == ""
    assert event["isBase64Encoded"] is False
    assert not {"body", "cookies", "queryStringParameters"} & event.keys()


def test_repeated_query_keys_stay_apart_in_the_raw_query_and_are_joined_in_the_map(http: httpx.Client) -> None:
    event = the_event(http.get(f"{API}/ping/x?zip=1&zip=2&caller_id=%2B1614&empty="))
    assert event["rawQueryString"] == "zip=1&zip=2&caller_id=%2B1614&empty="
    assert event["queryStringParameters"] == {"zip": "1,2", "caller_id": "+1614", "empty": ""}


def test_cookies_are_not_among_the_headers(http: httpx.Client) -> None:
    event = the_event(http.get(f"{API}/ping/x", headers={"cookie": "a=1; b=2"}))
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64"),
    [
        ("application/json", '{"name": "Zoë"}'.encode(), False),
        ("application/json; charset=utf-8", b"{}", False),
        ("text/plain", b"hello", False),
        ("application/x-www-form-urlencoded", b"zip=30340", True),
        ("application/json", b"\xff\xfe", True),
        ("application/octet-stream", b"\x00\x01", True),
    ],
)
def test_only_text_that_is_valid_utf_8_arrives_as_text(
    http: httpx.Client, content_type: str, body: bytes, is_base64: bool
) -> None:
    event = the_event(http.post(f"{API}/post/x", content=body, headers={"content-type": content_type}))
    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == body


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/posting_instructions", "/elsewhere/x"])
def test_what_no_route_matches_goes_to_the_function_of_all_verbs(http: httpx.Client, path: str) -> None:
    answer = http.request("DELETE", path)
    assert the_event(answer)["routeKey"] == "$default"
    assert answer.json()["function"] == "ringpost-full"


@pytest.mark.parametrize(
    ("path", "prefix", "function"),
    [
        (f"{API}/ping", API, "full"),
        (f"{API}/ping/", API, "full"),
        (f"{API}/sell/x", API, "full"),
        (API, "/api/v1", "api"),
        ("/api/v1/buyers", "/api/v1", "api"),
    ],
)
def test_the_longest_prefix_counts(http: httpx.Client, path: str, prefix: str, function: str) -> None:
    answer = http.get(path)
    event = the_event(answer)
    assert (event["routeKey"], answer.json()["function"]) == (f"ANY {prefix}/{{path+}}", f"ringpost-{function}")
    assert event["pathParameters"] == {"path": path.removeprefix(f"{prefix}/")}


def test_the_dashboard_has_a_route_of_its_own_too(http: httpx.Client) -> None:
    event = the_event(http.get("/dashboard"))
    assert event["routeKey"] == "ANY /dashboard"
    assert "pathParameters" not in event
    assert the_event(http.get("/dashboard/log"))["routeKey"] == "ANY /dashboard/{path+}"


@pytest.mark.parametrize("function", ["ping", "post", "full"])
def test_each_route_has_its_function(http: httpx.Client, function: str) -> None:
    assert http.options(f"{API}/{function}/x").json()["function"] == f"ringpost-{function}"


def test_status_headers_cookies_and_a_base64_body_come_back(http: httpx.Client) -> None:
    answer = http.get(f"{API}/ping/teapot")
    assert answer.status_code == 418
    assert answer.headers["x-pot"] == "tea"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.content == b"tea"


def test_a_query_of_100_kb_reaches_the_function(service: Service) -> None:
    connection = HTTPConnection(service.url.removeprefix("http://"))  # httpx refuses to send it
    with contextlib.closing(connection):
        connection.request("GET", f"{API}/ping/x?a={'b' * 100_000}")
        event = json.load(connection.getresponse())["event"]
    assert len(event["rawQueryString"]) == 100_002


def test_a_body_over_10_mb_is_refused_in_the_words_of_api_gateway(http: httpx.Client) -> None:
    answer = http.post(f"{API}/ping/x", content=bytes(10 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


@pytest.mark.parametrize("fault", ["raise", "die", "malformed"])
def test_a_function_that_fails_is_a_500_and_the_next_request_is_served(http: httpx.Client, fault: str) -> None:
    answer = http.get(f"{API}/full/{fault}")
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert http.get(f"{API}/full/x").status_code == 200


def test_every_worker_that_dies_or_hangs_is_replaced(http: httpx.Client, service: Service) -> None:
    with ThreadPoolExecutor(8) as pool:
        for function in ("post", "full"):
            awake = set[int]()
            while len(awake) < 4:
                answers = pool.map(lambda _, name=function: http.get(f"{API}/{name}/x"), range(8))
                awake |= {answer.json()["pid"] for answer in answers}
        workers = descendants(service.process.pid)
        hung = pool.map(lambda _: http.get(f"{API}/post/sleep"), range(4))
        died = pool.map(lambda _: http.get(f"{API}/full/die"), range(4))
        assert {(answer.status_code, answer.text) for answer in hung} == {(503, '{"message":"Service Unavailable"}')}
        assert {answer.status_code for answer in died} == {500}
        for function in ("post", "full"):
            again = pool.map(lambda _, name=function: http.get(f"{API}/{name}/x"), range(8))
            assert not {answer.json()["pid"] for answer in again} & workers


def test_parallel_requests_get_their_own_answers(http: httpx.Client) -> None:
    def number(n: int) -> tuple[str, str, int]:
        answer = http.get(f"{API}/ping/x?n={n}").json()
        return answer["event"]["rawQueryString"], answer["request_id"], answer["pid"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(number, range(800)))
    assert [query for query, _, _ in answers] == [f"n={n}" for n in range(800)]
    assert len({request_id for _, request_id, _ in answers}) == 800
    assert len({pid for _, _, pid in answers}) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_two_seconds_and_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    with started(["tests.component.echo_service", str(tmp_path / "log"), "2", "60"]) as service:
        children = descendants(service.process.pid)
        with httpx.Client(base_url=service.url, trust_env=False) as http, ThreadPoolExecutor(1) as pool:
            http.get(f"{API}/ping/x")
            hanging = pool.submit(http.get, f"{API}/ping/sleep", timeout=10)
            time.sleep(0.2)
            began = time.monotonic()
            service.process.send_signal(number)
            code = service.process.wait(10)
            seconds = time.monotonic() - began
            assert hanging.exception() or hanging.result().status_code == 503
        assert children
        assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
        assert (code, service.process.stderr and service.process.stderr.read()) == (0, "")
        assert seconds < 8


def test_a_killed_service_leaves_no_process(tmp_path: Path) -> None:
    with started(["tests.component.echo_service", str(tmp_path / "log"), "1", "60"]) as service:
        children = descendants(service.process.pid)
        service.process.kill()
        service.process.wait()
        while any(map(arguments_of, children)):
            time.sleep(0.01)


def test_a_function_that_cannot_be_imported_stops_the_service_with_the_reason(tmp_path: Path) -> None:
    service = started(["tests.component.echo_service", str(tmp_path / "log"), "2", "9", "no_such_module"])
    with pytest.raises(AssertionError, match="does not start: Unable to import module"), service:
        pass


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "tools.local", "--port", str(port), "--data", str(tmp_path)],
            cwd=engine.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Port {port} is in use")
    assert ended.stderr.count("\n") == 1


def test_data_survives_an_engine_that_is_killed(tmp_path: Path) -> None:
    settings = Settings(
        config_table="config",
        pings_table="pings",
        leases_table="leases",
        callers_table="callers",
        journal_table="journal",
        sandbox_pings_table="sandbox-pings",
        sandbox_leases_table="sandbox-leases",
        sandbox_callers_table="sandbox-callers",
        secret="x",
    )
    before = descendants(os.getpid())
    with engine.dynoxide(tmp_path) as endpoint_url:
        client = engine.client(endpoint_url)
        engine.create_tables(client, settings)
        client.put_item(TableName="pings", Item={"ping_id": {"B": b"\x00\x01"}})
        [pid] = descendants(os.getpid()) - before
        os.kill(pid, signal.SIGKILL)
    with engine.dynoxide(tmp_path) as endpoint_url:
        client = engine.client(endpoint_url)
        engine.create_tables(client, settings)
        assert client.get_item(TableName="pings", Key={"ping_id": {"B": b"\x00\x01"}})["Item"]


def test_the_secret_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    made = secret(tmp_path / "secret")
    assert len(bytes.fromhex(made)) == 32
    assert secret(tmp_path / "secret") == made
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
