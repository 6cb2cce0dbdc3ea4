"""What `make run` starts, as its user meets it: the demo with its sandbox buyer."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service import running, started

API = "/api/v1/inbound_webhooks"


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
    [bid] = http.post(f"{API}/ping/live_endpoint", data=lead).json()["buyers"]
    assert (bid["name"], bid["bid"]) == ("Sandbox Buyer", 30.0)
    sold = http.post(f"{API}/post/live_endpoint", data=lead | {"ping_id": bid["ping_id"]})
    assert sold.json()["buyer_name"] == "Sandbox Buyer"
    assert http.post(f"{API}/post/live_endpoint", data=lead | {"ping_id": bid["ping_id"]}).content == sold.content


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
    answer = http.post(f"{API}/ping/live_endpoint", data=sent)
    assert (answer.status_code, answer.json()["status"]) == (200, "no_matching_buyer")
    seen = {failure["seen"] for failure in answer.json()["explain"]}
    assert seen == {reason} or next(iter(seen)).startswith("skipped for ")


def test_secrets_of_buyers_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    for wrong in ("{", "[]", json.dumps({"key": 1})):
        (tmp_path / "buyer-secrets.json").write_text(wrong)
        with (
            pytest.raises(AssertionError, match="must be a JSON object of texts"),
            started(["tools.local", "--port", "0", "--data", str(tmp_path)]),
        ):
            pass
