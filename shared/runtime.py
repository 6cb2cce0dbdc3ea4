"""The real store, clock and randomness, made once per process; and from them the world of one request."""

import gc
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, cast

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
from shared.settings import Settings
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
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from shared.bidders.asking import Asking
    from shared.domain.models import Provider
    from shared.flows.telephony import KnownVersions as KnownEndpoints
    from shared.flows.telephony import Telephony
    from shared.journal.consumer import EndpointOf, KnownVersions
    from shared.journal.dead_letters import DeadLetters
    from shared.journal.due import DueWork
    from shared.journal.fetching import Fetching
    from shared.journal.files import Files
    from shared.journal.follow_up import FollowUp
    from shared.journal.pages import Pages
    from shared.journal.storage import Storage
    from shared.office.cognito import Cognito
    from shared.office.visitors import VisitedOffice
    from shared.operators.access import Office
    from shared.operators.finishing import Finishing
    from shared.operators.repair import Repair
    from shared.providers.webhooks import Secrets
    from shared.store.owners import Known as KnownOwner
    from shared.store.providers import Memory as ProvidersMemory
    from shared.store.records import Records
    from shared.store.versions import Known, Versions

REQUEST_SECONDS = 7
OFFICE_SECONDS = 25
"""Applying a configuration takes seconds; the function has 29."""
CALL_SECONDS = 4
"""For a webhook of a call; the function has 5. A provider waits for 15 in all."""
JOURNAL_SECONDS = 50
"""For a batch of the stream; the function has 60."""
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

STORAGE = SDK.merge(Config(read_timeout=10, retries={"total_max_attempts": 3}))
"""Files of many megabytes."""
BUYER_SECRETS = SDK.merge(Config(connect_timeout=0.5, read_timeout=0.5, retries={"total_max_attempts": 1}))
"""They are read while a publisher waits."""


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@cache
def _process() -> tuple[
    Dynamo,
    Keyring,
    Memory,
    KnownExhausted,
    dict[Of, Seen],
    Skew,
    ThreadPoolExecutor,
]:
    dynamo, io_pool = _store()
    skew = Skew()
    skew.watch(dynamo.client)
    return (
        dynamo,
        Keyring(lambda: read_secrets(dynamo.settings, lambda arn: _secret(arn).decode())),
        Memory(),
        {},
        {},
        skew,
        io_pool,
    )


@cache
def _store() -> tuple[Dynamo, ThreadPoolExecutor]:
    """The tables, and threads for calls to them: all that functions need that may not read the secret."""
    return Dynamo(dynamodb(_session()), settings.read(os.environ)), ThreadPoolExecutor(max_workers=4)


def _keys(ring: Keyring, dynamo: Dynamo) -> Keys:
    """The keys for one request. If stored data needs a key that is missing, its `dynamo` makes no call."""
    try:
        ring.check(dynamo, _now())
    except TemporarilyUnavailable as failed:
        dynamo.fault = failed.__cause__ or failed
        if ring.missing:
            serving.log.error("keys_missing", extra={"sentence": str(ring.missing)})
    return ring.keys(_now())


def _renew(ring: Keyring, dynamo: Dynamo) -> None:
    with suppress(TemporarilyUnavailable):
        ring.renew(dynamo, _now())


def dynamodb(session: botocore.session.Session, config: Config = DYNAMO) -> "DynamoDBClient":
    """The client that `Dynamo` calls."""
    client = cast("DynamoDBClient", session.create_client("dynamodb", config=config))
    refuse_unreadable_answers(client)
    return client


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


@cache
def origin_secrets() -> tuple[str, ...]:
    """The secrets that CloudFront may send; none if CloudFront is not in front."""
    process, *_ = _process()
    return tuple(_secret(arn).decode() for arn in process.settings.origin_secret_arns.split(",") if arn)


def prepare() -> None:
    """What the first request would otherwise wait for: settings, secret, clients, two kept connections with a read over
    each, one of them of the list of keys, the SDK's way to every write. Called when a handler is imported; outside of
    Lambda it does nothing.

    A secret that cannot be read ends the start, a DynamoDB that does not answer leaves it to the requests.
    """
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        process, ring, memory, *_rest, io_pool = _process()
        dynamo = Dynamo(process.client, process.settings, time.monotonic() + REQUEST_SECONDS)
        reading = io_pool.submit(_renew, ring, dynamo)
        origin_secrets()
        with suppress(TemporarilyUnavailable, UnknownEndpoint):
            Compiled(dynamo, memory).endpoint("", _now())
        reading.result()
        dynamo.rehearse()
        gc.freeze()  # what is there now stays: a look through it would take longer than the request that it falls into


def hourly_work() -> "tuple[Repair, Records]":
    """What the hourly function works with: its calls have no deadline but its own time-out. Raises `MissingSetting`
    without a place for files."""
    from shared.journal.dead_letters import DeadLetters  # none of this is of use to the functions that publishers call
    from shared.journal.passing import Passing
    from shared.operators.repair import Repair

    records = _records()
    dynamo = records.dynamo
    passing, letters = Passing(dynamo, streams(_session()), _now), DeadLetters(_storage(), _now)
    return Repair(dynamo, _now, _fetching(dynamo), passing, letters, lambda: time.sleep(1)), records


def _records() -> "Records":
    """What operators' functions need that the clock calls."""
    from shared.store.records import Records

    process, ring, *_rest = _process()
    dynamo = Dynamo(process.client, process.settings)
    return Records(dynamo, _keys(ring, dynamo), _now)


def _store_with_journal() -> tuple[Dynamo, ThreadPoolExecutor]:
    """Raises `MissingSetting` where there is no journal table."""
    process, io_pool = _store()
    if not process.settings.journal_table:
        raise settings.MissingSetting("the environment variable RINGPOST_JOURNAL_TABLE is not set")
    return process, io_pool


def journal() -> "tuple[Pages, EndpointOf, DeadLetters, FollowUp]":
    """What the journal function works with, for one batch. Raises `MissingSetting` without a journal table or a place
    for files."""
    from shared.flows import settling, superseding
    from shared.journal.consumer import remembering
    from shared.journal.dead_letters import DeadLetters
    from shared.journal.follow_up import FollowUp
    from shared.journal.pages import Pages
    from shared.journal.timetable import Timetable
    from shared.store.calls import Calls

    process, io_pool = _store_with_journal()
    dynamo = Dynamo(process.client, process.settings, time.monotonic() + JOURNAL_SECONDS)
    endpoint_of = remembering(Compiled(dynamo, Memory()), _known_versions())
    return (
        Pages(dynamo, _now, io_pool),
        endpoint_of,
        DeadLetters(_storage(), _now),
        FollowUp(
            Calls(dynamo),
            Timetable(dynamo, _now, _begun()),
            endpoint_of,
            lambda stored, call_id: settling.give_back(telephony(), call_id, stored),
            lambda endpoint, ping, sale: superseding.mark_again(world(), endpoint, ping, sale),
        ),
    )


@cache
def _begun() -> set[str]:
    """The tables whose timetable this process knows to have begun."""
    return set()


def calls_due() -> "DueWork":
    """What the minute function does of the timetable: its calls have no deadline but its own time-out. Only a call that
    has to be settled needs keys. Raises `MissingSetting` without a journal table."""
    from shared.flows import settling
    from shared.journal.consumer import remembering
    from shared.journal.due import DueWork
    from shared.journal.timetable import Timetable

    process, io_pool = _store_with_journal()
    dynamo = Dynamo(process.client, process.settings)
    return DueWork(
        Timetable(dynamo, _now, _begun()),
        lambda call_id: settling.settle_due(telephony(), call_id),
        Reservations(dynamo, {}),
        remembering(Compiled(dynamo, Memory()), _known_versions()),
        io_pool,
        _now,
    )


@cache
def _known_versions() -> "KnownVersions":
    return {}


def journal_files() -> "tuple[Files, Versions]":
    """What the minute function works with: its calls have no deadline but its own time-out. Raises `MissingSetting`
    without a journal table or a place for files."""
    from shared.journal.files import Files
    from shared.store.erasures import Erasures
    from shared.store.versions import Versions

    process, _ = _store_with_journal()
    dynamo = Dynamo(process.client, process.settings)
    fetching = _fetching(dynamo)
    files = Files(fetching.manifest, fetching.storage, fetching.pages, Erasures(dynamo))
    return files, Versions(dynamo, _now)


def finish_erasings() -> int:
    """Go on with what is not finished. Only that needs keys. Raises an `ExceptionGroup`."""
    from shared.operators.finishing import list_unfinished
    from shared.store.erasures import Erasures

    process, _ = _store()
    if not list_unfinished(Erasures(Dynamo(process.client, process.settings)), _now()):
        return 0
    records = _records()
    return make_finishing(records, _fetching(records.dynamo), streams(_session())).go_on_with_all()


def make_finishing(records: "Records", fetching: "Fetching", stream_client: Any) -> "Finishing":
    """What brings erasings to their end."""
    from shared.journal.consumer import consume, remembering
    from shared.journal.dead_letters import DeadLetters
    from shared.journal.files import Files
    from shared.journal.follow_up import FollowUp
    from shared.journal.forgetting import Forgetting
    from shared.journal.passing import Passing
    from shared.journal.timetable import Timetable
    from shared.operators.erasing import Erasing
    from shared.operators.finishing import Finishing
    from shared.store.calls import Calls

    dynamo, now, pages = records.dynamo, records.now, fetching.pages
    erasing = Erasing(records, fetching)
    files = Files(fetching.manifest, fetching.storage, pages, erasing.erasures)
    endpoint_of = remembering(Compiled(dynamo, Memory()), {})
    letters = DeadLetters(fetching.storage, now)
    follow = FollowUp(Calls(dynamo), Timetable(dynamo, now, set()), endpoint_of)
    forgetting = Forgetting(
        files, letters, lambda event, set_aside: consume(event, pages, endpoint_of, set_aside, follow), now
    )
    return Finishing(erasing, Passing(dynamo, stream_client, now), forgetting)


def streams(session: botocore.session.Session) -> Any:
    """The client for the streams of tables."""
    config = DYNAMO.merge(Config(account_id_endpoint_mode="disabled"))  # emulators know one address
    return session.create_client("dynamodbstreams", config=config)


def _fetching(dynamo: Dynamo) -> "Fetching":
    from shared.journal.fetching import Fetching
    from shared.journal.manifest import Manifest
    from shared.journal.pages import Pages

    _, io_pool = _store()
    return Fetching(Manifest(dynamo, _now), _storage(), Pages(dynamo, _now, io_pool), _fetched(), io_pool)


@cache
def _storage() -> "Storage":
    process, _ = _store()
    return storage(_session(), process.settings)


def storage(session: botocore.session.Session, named: Settings) -> "Storage":
    """Where the journal's files are. Raises `MissingSetting`."""
    from pathlib import Path

    from shared.journal.storage import Bucket, Folder

    if named.journal_bucket:
        return Bucket(session.create_client("s3", config=STORAGE), named.journal_bucket)
    if named.journal_folder:
        return Folder(Path(named.journal_folder))
    raise settings.MissingSetting("the environment variable RINGPOST_JOURNAL_BUCKET is not set")


def stack() -> tuple[Dynamo, Keyring]:
    """Tables and keys for the operator's command, if environment variables name them; calls have no deadline."""
    process, ring, *_ = _process()
    return Dynamo(process.client, process.settings), ring


def _now() -> int:
    return int(time.time())


def world(seconds: float = REQUEST_SECONDS) -> World:
    """The world of one request, whose calls to the store end within so many `seconds`."""
    came_in = time.monotonic()

    def elapsed() -> float:
        return time.monotonic() - came_in

    process, ring, memory, exhausted, counted, skew, io_pool = _process()
    if seconds_off := skew.take_news():
        webhooks.log_skew(seconds_off)
    dynamo = Dynamo(process.client, process.settings, came_in + seconds)
    signing_keys = _keys(ring, dynamo)
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
        now=_now,
        skew=skew,
        random_bytes=os.urandom,
        io_pool=io_pool,
        pause=lambda looks: time.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**looks)),
        newest_keys=lambda: ring.check_again(dynamo, _now()),
    )


def telephony(seconds: float = CALL_SECONDS) -> "Telephony":
    """The world of one webhook, or of what is due of calls."""
    from shared.flows.telephony import Telephony
    from shared.store.calls import Calls
    from shared.store.owners import Owners

    made, (owners, versions) = world(seconds), _known_of_calls()
    dynamo = made.compiled.dynamo
    return Telephony(made, Calls(dynamo), Owners(dynamo, owners), versions)


@cache
def _known_of_calls() -> "tuple[dict[str, KnownOwner], KnownEndpoints]":
    return {}, {}


def find_provider(name: str) -> "tuple[Provider, Secrets] | None":
    """An account at a provider of telephony, with what its signatures are checked with; None if there is none. Raises
    `TemporarilyUnavailable`."""
    from shared.providers.webhooks import Secrets
    from shared.store.providers import Providers

    process, *_ = _process()
    dynamo = Dynamo(process.client, process.settings, time.monotonic() + CALL_SECONDS)
    provider = Providers(dynamo, _known_providers()).find(name, _now())
    if provider is None:
        return None
    try:
        keys = tuple(_provider_secrets()(token) for token in provider.tokens)
    except Unaskable as missing:
        raise TemporarilyUnavailable from missing
    return provider, Secrets(account=provider.account, keys=keys)


@cache
def _known_providers() -> "ProvidersMemory":
    from shared.store.providers import Memory as ProvidersMemory

    return ProvidersMemory()


@cache
def _provider_secrets() -> BuyerSecrets:
    process, *_ = _process()
    arn, text = process.settings.provider_secrets_arn, process.settings.provider_secrets or "{}"
    return BuyerSecrets(lambda: _secret(arn, BUYER_SECRETS) if arn else text.encode())


@cache
def _known() -> "Known":
    return {}


def office() -> "Office":
    """What operators work on, for one request. What it imports is slow to start, and no other function needs it. Raises
    `MissingSetting` without a journal table."""
    from shared.flows.resolving import leads_until
    from shared.operators.access import Office
    from shared.store.journal import Journal
    from shared.store.records import Records

    deadline = time.monotonic() + OFFICE_SECONDS
    _store_with_journal()
    process, ring, memory, *_rest, io_pool = _process()
    dynamo = Dynamo(process.client, process.settings, deadline)
    ring.lists = True
    signing_keys = _keys(ring, dynamo)
    return Office(
        Records(dynamo, signing_keys, _now, _known()),
        Callers(dynamo, signing_keys, memory.noted),
        Journal(dynamo, signing_keys, io_pool),
        lambda: _fetching(dynamo),
        lambda number, caller, ping_id: leads_until(telephony(OFFICE_SECONDS), number, caller, ping_id),
    )


@cache
def _fetched() -> "Path":
    """The folder in which this process keeps files of the journal that it has fetched."""
    from pathlib import Path
    from tempfile import mkdtemp

    return Path(mkdtemp(prefix="journal-"))


def visited_office() -> "VisitedOffice":
    """The office of visitors who sign in. Raises `MissingSetting` without a secret for their sessions."""
    from shared.office.visitors import VisitedOffice

    process, *_ = _process()
    if not (process.settings.session_secret_arn or process.settings.session_secret_file):
        raise settings.MissingSetting("the environment variable RINGPOST_SESSION_SECRET_ARN is not set")
    found = office()
    return VisitedOffice(found.records, found.callers, found.journal, found.open_files, found.leads_until, _cognito())


@cache
def _cognito() -> "Cognito | None":
    from shared.office.cognito import Cognito

    process, *_ = _process()
    wanted = process.settings
    if not wanted.cognito_url:
        return None
    secret = _secret(wanted.cognito_secret_arn).decode() if wanted.cognito_secret_arn else wanted.cognito_secret
    return Cognito(wanted.cognito_url, wanted.cognito_issuer, wanted.cognito_client_id, secret)
