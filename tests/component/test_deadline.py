"""A DynamoDB that accepts connections and never answers, met by the real client with the settings of production."""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from functools import partial

import pytest

from shared import flows, runtime
from shared.domain.keys import ping_id
from shared.publishers import webhooks
from shared.store.compiled import Entry
from shared.store.keyring import Keyring
from shared.store.pings import CLAIM_SECONDS
from tests.build import CALLER, KEYS, REQUEST_ID, SETTINGS, an_endpoint, an_event, forget_process

ANSWERED_WITHIN_SECONDS = 8


@pytest.fixture
def _hanging_dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        environment = {
            **SETTINGS.environment(),
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        forget_process()
        yield
        forget_process()


@pytest.mark.usefixtures("_hanging_dynamodb")
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_when_dynamodb_hangs_the_answer_is_busy_before_the_function_dies(
    verb: str, warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if warm:  # the list of keys was read some seconds ago
        monkeypatch.setattr(Keyring, "check", lambda *_: None)
        monkeypatch.setattr(Keyring, "is_due", lambda _: False)
    world = runtime.world()
    endpoint = an_endpoint()
    if warm:  # so that the first call is the claim, and a look beside it
        world.compiled.memory.endpoints[endpoint.vanity_uri] = Entry(endpoint, int(time.time()))
    sent = {"caller_id": CALLER}
    if verb == "post":
        sent["ping_id"] = ping_id(KEYS, endpoint.vanity_uri, secrets.token_bytes(12), 1)
    began = time.monotonic()

    answer = webhooks.serve(
        an_event(verb, json_body=sent), REQUEST_ID, verb, world.endpoint, partial(getattr(flows, verb), world)
    )

    assert time.monotonic() - began < ANSWERED_WITHIN_SECONDS
    the_ping_may_be_claimed = warm and verb == "post"
    wait_seconds = CLAIM_SECONDS if the_ping_may_be_claimed else 1
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, str(wait_seconds))
    assert '"status":"temporarily_unavailable"' in answer["body"]


@pytest.mark.usefixtures("_hanging_dynamodb")
def test_on_lambda_a_start_does_not_wait_for_a_dynamodb_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "ringpost-post")
    began = time.monotonic()
    runtime.prepare()
    assert time.monotonic() - began < ANSWERED_WITHIN_SECONDS
    assert runtime.open_process.cache_info().currsize == 1


def test_outside_of_lambda_nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    forget_process()
    runtime.prepare()
    assert runtime.open_process.cache_info().currsize == 0
