"""The real store, clock and randomness, made once per process; and from them the world of one request."""

import gc
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, cast

import botocore.session
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from msgspec.structs import replace

from shared import settings
from shared.bidders.buyers import LiveBuyers
from shared.domain import keys
from shared.domain.refusals import TemporarilyUnavailable, UnknownEndpoint
from shared.domain.templates import Unaskable
from shared.flows import World
from shared.store.callers import Callers
from shared.store.compiled import Compiled, Memory
from shared.store.counters import Counters, Seen
from shared.store.dynamo import Dynamo
from shared.store.pings import Pings
from shared.store.rings import Rings
from shared.store.tallies import Gathered, Tallies

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from shared.bidders.asking import Asking
    from shared.edge.cognito import Cognito
    from shared.operators.desk import Desk
    from shared.store.erasing import Erasing
    from shared.store.records import Known
    from shared.store.repair import Repair

REQUEST_SECONDS = 7
OFFICE_SECONDS = 25
"""Applying a configuration takes seconds; the function has 29."""
BUYER_SECRETS_SECONDS = 300
"""How long a process goes by the secrets of live buyers' templates that it has read."""
SILENT_SECONDS = 10
"""How long it leaves the store of these alone that did not give them."""

SDK = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 2},
    tcp_keepalive=True,
    max_pool_connections=8,
    parameter_validation=False,  # a twelfth of a warm POST; the requests are ours
)

BUYER_SECRETS = SDK.merge(Config(connect_timeout=0.5, read_timeout=0.5, retries={"total_max_attempts": 1}))
"""They are read while a publisher waits."""


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@cache
def _process() -> tuple[
    Dynamo,
    keys.Keys,
    Memory,
    dict[tuple[int, tuple[int, ...]], int],
    dict[int, Seen],
    Gathered,
    tuple[ThreadPoolExecutor, ThreadPoolExecutor],
]:
    wanted = settings.read(os.environ)
    client = cast("DynamoDBClient", _session().create_client("dynamodb", config=SDK))
    secret = bytes.fromhex(wanted.secret) if wanted.secret else _secret(wanted.secret_arn)
    return (
        Dynamo(client, wanted),
        keys.derive(secret),
        Memory(),
        {},
        {},
        Gathered(),
        (ThreadPoolExecutor(max_workers=4), ThreadPoolExecutor(max_workers=4)),
    )


def _secret(arn: str, config: Config = SDK) -> bytes:
    client = cast("SecretsManagerClient", _session().create_client("secretsmanager", config=config))
    return client.get_secret_value(SecretId=arn)["SecretString"].encode()


@cache
def _asking() -> "Asking":
    """Made for the first live buyer: most functions never ask one, and its library is slow to start."""
    from shared.bidders.asking import Asking

    process, *_ = _process()
    return Asking(anywhere=not process.settings.secret_arn)


class BuyerSecrets:
    """The secrets that templates name, as `read` gives them: a JSON object. Where it fails, what it gave before holds.
    However many buyers ask for one, it is waited for once."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._known: dict[str, str] | None = None
        self._fault = ""
        self._read_again_at = 0.0

    def __call__(self, name: str) -> str:
        """Raises `Unaskable`."""
        if time.monotonic() >= self._read_again_at:
            self._renew()
        if self._known is None:
            raise Unaskable(self._fault)
        if name not in self._known:
            raise Unaskable(f"the secret {name} is not set")
        return self._known[name]

    def _renew(self) -> None:
        seconds = SILENT_SECONDS
        try:
            self._known = msgspec.json.decode(self._read(), type=dict[str, str])
            seconds = BUYER_SECRETS_SECONDS
        except (BotoCoreError, ClientError):
            self._fault = "the store of secrets does not answer"
        except msgspec.DecodeError:
            self._fault = "the store of secrets holds no JSON object of texts"
        self._read_again_at = time.monotonic() + seconds


@cache
def _buyer_secrets() -> BuyerSecrets:
    process, *_ = _process()
    arn, text = process.settings.buyer_secrets_arn, process.settings.buyer_secrets or "{}"
    return BuyerSecrets(lambda: _secret(arn, BUYER_SECRETS) if arn else text.encode())


def prepare() -> None:
    """What the first request would otherwise wait for: settings, secret, clients, two kept connections with a read over
    each, the SDK's way to every write. Called when a handler is imported; outside of Lambda it does nothing.

    A secret that cannot be read ends the start, a DynamoDB that does not answer leaves it to the requests.
    """
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        first = world()
        with suppress(TemporarilyUnavailable, UnknownEndpoint):
            first.together(lambda: first.endpoint(""), lambda: first.endpoint(""))
        first.compiled.dynamo.rehearse()
        gc.freeze()  # what is there now stays: a look through it would take longer than the request that it falls into


def upkeep() -> "tuple[Repair, Erasing]":
    """What the hourly function works with: its calls have no deadline but its own time-out."""
    from shared.store.erasing import Erasing  # none of this is of use to the functions that publishers call
    from shared.store.repair import Repair

    process, signing_keys, *_rest = _process()
    return Repair(process, _now), Erasing(process, signing_keys, _now, lambda: time.sleep(1))


def _now() -> int:
    return int(time.time())


def world() -> World:
    came_in = time.monotonic()
    process, signing_keys, memory, free_at, counted, gathered, (beside, aside) = _process()
    dynamo = Dynamo(process.client, process.settings, came_in + REQUEST_SECONDS)
    return World(
        compiled=Compiled(dynamo, memory),
        pings=Pings(dynamo),
        rings=Rings(dynamo, free_at),
        counters=Counters(dynamo, counted),
        callers=Callers(dynamo, signing_keys),
        live=LiveBuyers(_asking, lambda name: _buyer_secrets()(name), signing_keys),
        tallies=Tallies(dynamo, gathered, _now),
        keys=signing_keys,
        elapsed=lambda: time.monotonic() - came_in,
        now=_now,
        random_bytes=os.urandom,
        beside=beside,
        aside=aside,
        pause=lambda: time.sleep(0.05),
    )


@cache
def _known() -> "Known":
    return {}


def desk() -> "Desk":
    """What operators and visitors work on, for one request. What it imports is slow to start, and no other function
    needs it."""
    from shared.operators.desk import Desk
    from shared.store.journal import Journal
    from shared.store.records import Records

    deadline = time.monotonic() + OFFICE_SECONDS
    process, signing_keys, *_rest, (beside, _aside) = _process()
    dynamo = Dynamo(process.client, process.settings, deadline)
    return Desk(
        Records(dynamo, signing_keys, _now, _known()),
        Callers(dynamo, signing_keys),
        Journal(dynamo, signing_keys, beside),
    )


def visited_desk() -> "Desk":
    """What visitors work on, who sign in somewhere."""
    return replace(desk(), cognito=_cognito())


@cache
def _cognito() -> "Cognito | None":
    from shared.edge.cognito import Cognito

    process, *_ = _process()
    wanted = process.settings
    if not wanted.cognito_url:
        return None
    secret = _secret(wanted.cognito_secret_arn).decode() if wanted.cognito_secret_arn else wanted.cognito_secret
    return Cognito(wanted.cognito_url, wanted.cognito_issuer, wanted.cognito_client_id, secret)
