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

from shared import settings
from shared.bidders.buyers import LiveBuyers
from shared.domain.keys import Keys
from shared.domain.refusals import TemporarilyUnavailable, UnknownEndpoint
from shared.domain.templates import Unaskable
from shared.flows import World
from shared.http import serving
from shared.publishers import webhooks
from shared.store.callers import Callers
from shared.store.clocks import Skew
from shared.store.compiled import Compiled, Memory
from shared.store.counters import Counters, Of, Seen
from shared.store.dynamo import COMMAND_ATTEMPT_SECONDS, FIRST_PAUSE, LONGEST_PAUSE, Dynamo, refuse_unreadable_answers
from shared.store.keyring import Keyring, read_secrets
from shared.store.pings import Pings
from shared.store.refused_requests import RefusedRequests
from shared.store.reservations import Reservations
from shared.store.retries import RetryKeys
from shared.store.rings import KnownExhausted, Rings
from shared.store.routes import Routes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from shared.bidders.asking import Asking

REQUEST_SECONDS = 7
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
DYNAMO = SDK.merge(Config(retries={"total_max_attempts": 1}))
"""`Dynamo` itself sends again: it has to know what became of each sending."""
COMMAND = DYNAMO.merge(Config(read_timeout=COMMAND_ATTEMPT_SECONDS - 1))

BUYER_SECRETS = SDK.merge(Config(connect_timeout=0.5, read_timeout=0.5, retries={"total_max_attempts": 1}))
"""They are read while a publisher waits."""


@cache
def open_session() -> botocore.session.Session:
    return botocore.session.get_session()


@cache
def open_process() -> tuple[
    Dynamo,
    Keyring,
    Memory,
    KnownExhausted,
    dict[Of, Seen],
    Skew,
    ThreadPoolExecutor,
]:
    dynamo, io_pool = open_store()
    skew = Skew()
    skew.watch(dynamo.client)
    return (
        dynamo,
        Keyring(lambda: read_secrets(dynamo.settings, lambda arn: read_secret(arn).decode())),
        Memory(),
        {},
        {},
        skew,
        io_pool,
    )


@cache
def open_store() -> tuple[Dynamo, ThreadPoolExecutor]:
    """The tables, and threads for calls to them: all that functions need that may not read the secret."""
    return Dynamo(dynamodb(open_session()), settings.read(os.environ)), ThreadPoolExecutor(max_workers=4)


def find_keys(ring: Keyring, dynamo: Dynamo) -> Keys:
    """The keys for one request. If stored data needs a key that is missing, its `dynamo` makes no call."""
    try:
        ring.check(dynamo, read_clock())
    except TemporarilyUnavailable as failed:
        dynamo.fault = failed.__cause__ or failed
        if ring.missing:
            serving.log.error("keys_missing", extra={"sentence": str(ring.missing)})
    return ring.keys(read_clock())


def _renew(ring: Keyring, dynamo: Dynamo) -> None:
    with suppress(TemporarilyUnavailable):
        ring.renew(dynamo, read_clock())


def dynamodb(session: botocore.session.Session, config: Config = DYNAMO) -> "DynamoDBClient":
    """The client that `Dynamo` calls."""
    client = cast("DynamoDBClient", session.create_client("dynamodb", config=config))
    refuse_unreadable_answers(client)
    return client


def read_secret(arn: str, config: Config = SDK) -> bytes:
    client = cast("SecretsManagerClient", open_session().create_client("secretsmanager", config=config))
    return client.get_secret_value(SecretId=arn)["SecretString"].encode()


@cache
def _asking() -> "Asking":
    """Made for the first live buyer: most functions never ask one, and its library is slow to start."""
    from shared.bidders.asking import Asking

    process, *_ = open_process()
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
    process, *_ = open_process()
    arn, text = process.settings.buyer_secrets_arn, process.settings.buyer_secrets or "{}"
    return BuyerSecrets(lambda: read_secret(arn, BUYER_SECRETS) if arn else text.encode())


@cache
def origin_secrets() -> tuple[str, ...]:
    """The secrets that CloudFront may send; none if CloudFront is not in front."""
    process, *_ = open_process()
    return tuple(read_secret(arn).decode() for arn in process.settings.origin_secret_arns.split(",") if arn)


def prepare() -> None:
    """What the first request would otherwise wait for: settings, secret, clients, two kept connections with a read over
    each, one of them of the list of keys, the SDK's way to every write. Called when a handler is imported; outside of
    Lambda it does nothing.

    A secret that cannot be read ends the start, a DynamoDB that does not answer leaves it to the requests.
    """
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        process, ring, memory, *_rest, io_pool = open_process()
        dynamo = Dynamo(process.client, process.settings, time.monotonic() + REQUEST_SECONDS)
        reading = io_pool.submit(_renew, ring, dynamo)
        origin_secrets()
        with suppress(TemporarilyUnavailable, UnknownEndpoint):
            Compiled(dynamo, memory).endpoint("", read_clock())
        reading.result()
        dynamo.rehearse()
        gc.freeze()  # what is there now stays: a look through it would take longer than the request that it falls into


def stack() -> tuple[Dynamo, Keyring]:
    """Tables and keys for the operator's command, if environment variables name them; calls have no deadline."""
    process, ring, *_ = open_process()
    return Dynamo(process.client, process.settings), ring


def read_clock() -> int:
    return int(time.time())


def world(seconds: float = REQUEST_SECONDS) -> World:
    """The world of one request, whose calls to the store end within so many `seconds`."""
    came_in = time.monotonic()

    def elapsed() -> float:
        return time.monotonic() - came_in

    process, ring, memory, exhausted, counted, skew, io_pool = open_process()
    if seconds_off := skew.take_news():
        webhooks.log_skew(seconds_off)
    dynamo = Dynamo(process.client, process.settings, came_in + seconds)
    signing_keys = find_keys(ring, dynamo)
    if ring.is_due():
        io_pool.submit(_renew, ring, dynamo)
    return World(
        compiled=Compiled(dynamo, memory),
        pings=Pings(dynamo, elapsed),
        refused_requests=RefusedRequests(dynamo),
        routes=Routes(dynamo),
        retry_keys=RetryKeys(dynamo),
        rings=Rings(dynamo, exhausted),
        counters=Counters(dynamo, counted),
        reservations=Reservations(dynamo, counted),
        callers=Callers(dynamo, signing_keys, memory.noted),
        live=LiveBuyers(_asking, lambda name: _buyer_secrets()(name), signing_keys),
        keys=signing_keys,
        elapsed=elapsed,
        now=read_clock,
        skew=skew,
        random_bytes=os.urandom,
        io_pool=io_pool,
        pause=lambda looks: time.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**looks)),
        newest_keys=lambda: ring.check_again(dynamo, read_clock()),
    )
