"""The secrets that templates of live buyers name, as a function reads them; and where it lets buyers be."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from botocore.exceptions import ConnectTimeoutError

from shared import runtime
from shared.domain.live_bids import Call, Reply, Silence
from shared.domain.templates import Unaskable
from shared.runtime import BUYER_SECRETS_SECONDS, SILENT_SECONDS, BuyerSecrets
from tests.build import SETTINGS, forget_process
from tools import sandbox


class Store:
    """What it holds, or None where it does not answer; and how often it was asked."""

    def __init__(self, holds: bytes | None) -> None:
        self.holds = holds
        self.reads = 0

    def __call__(self) -> bytes:
        self.reads += 1
        if self.holds is None:
            raise ConnectTimeoutError(endpoint_url="")
        return self.holds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_secrets_are_read_once_and_again_after_their_time(clock: list[float]) -> None:
    store = Store(b'{"a":"1"}')
    secrets = BuyerSecrets(store)
    assert [secrets("a") for _ in range(20)] == ["1"] * 20
    assert store.reads == 1
    store.holds = b'{"a":"2"}'
    clock[0] += BUYER_SECRETS_SECONDS - 1
    assert secrets("a") == "1"
    clock[0] += 1
    assert secrets("a") == "2"


def test_a_store_that_does_not_answer_is_waited_for_once_by_all_buyers(clock: list[float]) -> None:
    store = Store(None)
    secrets = BuyerSecrets(store)
    for _ in range(20):
        with pytest.raises(Unaskable, match="the store of secrets does not answer"):
            secrets("a")
    assert store.reads == 1
    store.holds = b'{"a":"1"}'
    clock[0] += SILENT_SECONDS
    assert secrets("a") == "1"


@pytest.mark.parametrize("holds", [None, b"", b"[]", b'{"a":1}'])
@pytest.mark.usefixtures("clock")
def test_what_was_read_holds_where_the_next_read_fails(clock: list[float], holds: bytes | None) -> None:
    store = Store(b'{"a":"1"}')
    secrets = BuyerSecrets(store)
    assert secrets("a") == "1"
    store.holds = holds
    clock[0] += BUYER_SECRETS_SECONDS
    assert secrets("a") == "1"
    assert store.reads == 2


@pytest.mark.parametrize("holds", [b"", b"[]", b'{"a":1}', b"{"])
@pytest.mark.usefixtures("clock")
def test_what_is_no_object_of_texts_says_so(holds: bytes) -> None:
    with pytest.raises(Unaskable, match="the store of secrets holds no JSON object of texts"):
        BuyerSecrets(Store(holds))("a")


@pytest.mark.usefixtures("clock")
def test_a_secret_that_is_not_there_is_named() -> None:
    with pytest.raises(Unaskable, match="the secret b is not set"):
        BuyerSecrets(Store(b'{"a":"1"}'))("b")


@pytest.fixture
def _forgotten() -> Iterator[None]:
    forget_process()
    yield
    forget_process()


@pytest.mark.usefixtures("_forgotten")
@pytest.mark.parametrize("deployed", [True, False])
def test_as_deployed_a_function_lets_no_buyer_be_on_this_machine(
    deployed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deployed is who has its secret from Secrets Manager, as infra sets it."""
    settings = replace(SETTINGS, secret="", secret_arn="arn") if deployed else SETTINGS
    monkeypatch.setattr(runtime, "read_secret", lambda _: b"00" * 32)
    for name in [name for name in os.environ if name.startswith("RINGPOST_")]:
        monkeypatch.delenv(name)
    for name, value in (settings.environment() | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    with sandbox.running() as (url, _), closing(runtime._asking()) as ask:
        reply = ask({1: Call("GET", f"{url}/")}, {1: 5})[1]
    assert isinstance(reply, Silence if deployed else Reply)
    assert not deployed or (reply.reason, reply.sent) == ("its URL must be https", False)  # type: ignore[union-attr]
