"""What `make run` starts, as its user meets it: the demo with its sandbox buyer."""

import json
import os
import signal
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from shared.journal.pages import Pages
from shared.store.dynamo import Dynamo
from tests.build import SETTINGS, InTurn, rows_of
from tests.local_service import engine_of, running, started
from tools import demo, engine
from tools.local.__main__ import NotYours, function_environment, functions, keep_to_owner

API = "/api/v1/inbound_webhooks"
ASKS = 3
"""How often a live buyer is asked: on a busy machine there may be no time for the first ask of a process."""


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("demo")
    with (
        running(data, {"RINGPOST_DEMO_OPERATOR_TOKEN": "rp_operator"}) as url,
        httpx.Client(base_url=url, timeout=10, trust_env=False) as http,
    ):
        yield http


def test_the_sandbox_buyer_bids_accepts_and_sells_once(http: httpx.Client) -> None:
    lead = {"caller_id": "+16145550123", "zip": "30340"}
    asks = (http.post(f"{API}/ping/live_endpoint", data=lead).json()["buyers"] for _ in range(ASKS))
    [bid] = next(filter(None, asks))
    assert (bid["name"], bid["bid"]) == ("Sandbox Buyer", 30.0)
    sent = lead | {"ping_id": bid["ping_id"]}
    posts = (http.post(f"{API}/post/live_endpoint", data=sent) for _ in range(ASKS))
    sold = next(answer for answer in posts if answer.json()["success"])
    assert sold.json()["buyer_name"] == "Sandbox Buyer"
    assert http.post(f"{API}/post/live_endpoint", data=sent).content == sold.content


@pytest.mark.parametrize(
    ("zip_code", "reason"),
    [
        ("30342", "The sandbox does not want it."),
        ("30344", "no answer within 800 ms"),
        ("30347", "the answer is no JSON object"),
        ("30348", "the answer is larger than 64 KB"),
        ("30350", "bid must not be negative"),
        ("30351", "bid must be at most 100,000 dollars"),
        ("30352", "HTTP 302"),
    ],
)
def test_with_other_zips_it_fails_each_its_way(http: httpx.Client, zip_code: str, reason: str) -> None:
    sent = {"zip": zip_code, "explain": "1", "auth_token": "rp_operator"}
    for _ in range(ASKS):
        answer = http.post(f"{API}/ping/live_endpoint", data=sent)
        assert (answer.status_code, answer.json()["status"]) == (200, "no_matching_buyer")
        [failure] = answer.json()["explain"]
        if failure["seen"] == reason or failure["seen"].startswith("skipped for "):
            return
    raise AssertionError(failure)


def test_a_browser_finds_the_demo_at_the_first_address(http: httpx.Client) -> None:
    page = http.get("/", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for vanity_uri in demo.ENDPOINTS:
        assert f"/posting_instructions/{vanity_uri}" in page.text
    assert http.get("/").json()["endpoints"] == demo.ENDPOINTS


def test_a_caller_that_is_sold_talks_to_the_next_buyer_where_one_is_busy(http: httpx.Client) -> None:
    sold = http.post(f"{API}/full/my_endpoint", data={"caller_id": "+16145550123"}).json()
    form = {"number": sold["trackdrive_number"], "caller": "+16145550123", "behavior": "busy", "talk": "95"}
    page = http.post("/local/call", data=form)
    assert page.status_code == 200
    assert "+18005550181 is busy." in page.text
    assert "+18005550182 answers." in page.text
    assert "They talked for 95 s." in page.text
    assert http.post("/local/call", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_over_http_no_browser_is_told_to_come_over_tls(http: httpx.Client) -> None:
    for path in ("/", "/posting_instructions/my_endpoint", "/dashboard/sign_in", "/api/v1/buyers", f"{API}/ping/x"):
        assert "Strict-Transport-Security" not in http.get(path).headers


def test_what_a_run_keeps_is_its_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data):
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data, *data.iterdir())}
    assert found.pop("data") == 0o700
    assert {"secret", "session-secret", "provider-secret", "demo-operator-token", "dynoxide.db", "service.json"} <= {
        *found
    }
    assert {name for name, mode in found.items() if mode & 0o077} == set()


def test_what_an_earlier_run_left_to_all_is_taken_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    for name in ("secret", "demo-operator-token", "buyer-secrets.json", "server.log"):
        (data / name).write_text("x")
        (data / name).chmod(0o664)
    before = os.umask(0o022)
    try:
        keep_to_owner(data)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
    assert (stat.S_IMODE(data.stat().st_mode), modes) == (0o700, {0o600})


def test_a_directory_of_everybody_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    before = os.umask(0o022)
    try:
        with pytest.raises(NotYours, match="is not yours alone: name another directory with --data"):
            keep_to_owner(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_a_function_of_the_local_run_knows_no_more_than_it_needs(tmp_path: Path) -> None:
    sessions = {"RINGPOST_SESSION_SECRET_FILE": str(tmp_path / "session-secret")}
    journal = {"RINGPOST_JOURNAL_FOLDER": str(tmp_path / "journal")}
    of_each = {name: function.environment for name, function in functions(2, tmp_path).items()}
    providers = {"RINGPOST_PROVIDER_SECRETS": json.dumps({"local": (tmp_path / "provider-secret").read_text()})}
    assert of_each.pop("dashboard") == sessions | journal
    assert of_each.pop("call") == providers
    assert all(of_each.pop(name) == journal for name in ("journal", "minute", "hourly", "api"))
    assert not any(of_each.values())
    assert not (sessions | journal | providers).keys() & function_environment("", SETTINGS).keys()


def test_what_is_sold_is_in_the_journal_soon_and_only_once_after_a_restart(tmp_path: Path) -> None:
    """Also where the data was made by a version whose table of pings had no stream."""
    with engine.dynoxide(tmp_path) as endpoint_url:
        engine.client(endpoint_url).create_table(
            TableName="ringpost-pings",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "ping_id", "AttributeType": "B"}],
            KeySchema=[{"AttributeName": "ping_id", "KeyType": "HASH"}],
        )
    for sold in (1, 2):
        with started(["tools.local", "--port", "0", "--data", str(tmp_path)]) as service:
            with httpx.Client(base_url=service.url, timeout=10, trust_env=False) as http:
                assert http.post(f"{API}/full/my_endpoint", data={"caller_id": f"+1614555012{sold}"}).json()["success"]
            said = json.loads((tmp_path / "service.json").read_text())
            dynamo = Dynamo(engine.client(said["endpoint_url"]), replace(SETTINGS, journal_table="ringpost-journal"))
            pages = Pages(dynamo, lambda: int(time.time()), InTurn())
            give_up_at = time.monotonic() + 60
            while (found := kinds(pages)) != ["ping"] * sold + ["sale"] * sold and time.monotonic() < give_up_at:
                time.sleep(0.2)
            assert found == ["ping"] * sold + ["sale"] * sold


def test_the_engine_finds_the_last_number_of_a_stream_by_an_index(tmp_path: Path) -> None:
    last_number = "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = 'pings'"
    with engine.dynoxide(tmp_path), closing(sqlite3.connect(tmp_path / "dynoxide.db")) as database:
        plan = str(database.execute(f"EXPLAIN QUERY PLAN {last_number}").fetchall())
    assert "INDEX ringpost_stream_numbers (table_name=?)" in plan


def kinds(pages: Pages) -> list[str]:
    return sorted(row.kind for row in rows_of(pages))


@pytest.mark.parametrize("name", ["buyer-secrets.json", "provider-secrets.json"])
def test_secrets_that_cannot_be_read_are_one_sentence(tmp_path: Path, name: str) -> None:
    for wrong in ("{", "[]", json.dumps({"key": 1})):
        (tmp_path / name).write_text(wrong)
        with (
            pytest.raises(AssertionError, match="must be a JSON object of texts"),
            started(["tools.local", "--port", "0", "--data", str(tmp_path)]),
        ):
            pass


def test_an_engine_that_dies_is_started_again_and_the_console_says_so(tmp_path: Path) -> None:
    with started(["tools.local", "--port", "0", "--data", str(tmp_path)]) as service:
        with httpx.Client(base_url=service.url, timeout=10, trust_env=False) as http:
            sold = http.post(f"{API}/full/my_endpoint", data={"caller_id": "+16145550123"})
            os.kill(engine_of(service.process.pid), signal.SIGKILL)
            assert service.process.stdout
            said = next(line for line in service.process.stdout if line.startswith("The DynamoDB engine"))
            again = http.post(f"{API}/full/my_endpoint", data={"caller_id": "+16145550123"})
            other = http.post(f"{API}/full/my_endpoint", data={"caller_id": "+16145550124"})
        assert said == ("The DynamoDB engine was killed by signal 9. Ringpost has started it again on its data.\n")
        assert sold.json()["success"]
        assert again.content == sold.content
        assert other.json()["success"]


def test_an_engine_that_cannot_be_started_again_ends_the_run_with_its_log(tmp_path: Path) -> None:
    with started(["tools.local", "--port", "0", "--data", str(tmp_path)]) as service:
        database = tmp_path / "dynoxide.db"
        database.unlink()
        database.mkdir()
        os.kill(engine_of(service.process.pid), signal.SIGKILL)
        assert service.process.wait(30) == 1
        assert service.process.stderr
        assert service.process.stderr.read().startswith("The DynamoDB engine ended at once; the end of ")
