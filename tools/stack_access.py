"""The stack that the operator's command works on, and how to tell its operator that something cannot be done."""

import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError, ClientError

from shared import settings
from shared.domain import key_list
from shared.domain.key_list import DASHBOARDS, SHARED, BadSecret, Secrets
from shared.domain.objections import Objection, Refused
from shared.domain.refusals import TemporarilyUnavailable
from shared.settings import MissingSetting, Settings
from shared.store.callers import Callers
from shared.store.calls import Calls
from shared.store.compiled import Compiled, Memory
from shared.store.counters import Counters
from shared.store.dynamo import COMMAND_ATTEMPT_SECONDS, Dynamo
from shared.store.keyring import Keyring, read_secrets
from shared.store.owners import Owners
from shared.store.pings import Pings
from shared.store.records import Records
from shared.store.refused_requests import RefusedRequests
from shared.store.reservations import Reservations
from shared.store.retries import RetryKeys
from shared.store.rings import Rings
from shared.store.routes import Routes
from tools import engine
from tools.target import Target, fail

if TYPE_CHECKING:
    import botocore.session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from shared.flows.telephony import Telephony
    from shared.journal.fetching import Fetching
    from shared.journal.storage import Storage

SERVICE = "service.json"
"""The local run's note, in its data directory: where its engine is and what its tables are called."""
IO_THREADS = 8
SECRET, SESSION_SECRET, PROVIDER_SECRET, JOURNAL = "secret", "session-secret", "provider-secret", "journal"
"""In the data directory."""


def note_local_run(data: Path, endpoint_url: str, named: Settings, url: str) -> None:
    """Tell the operator's command where the local run and its engine are. The secret stays in its own file."""
    tables = {name: value for name, value in named.environment().items() if name.endswith("_TABLE")}
    (data / SERVICE).write_text(json.dumps({"endpoint_url": endpoint_url, "tables": tables, "url": url}))


@dataclass(frozen=True, slots=True)
class Vault:
    """The stack's records and keys, also if a key is missing."""

    records: Records
    ring: Keyring

    def write(self, kind: str, secrets: Secrets) -> None:
        """Write the secret that has the keys of a kind to the place where functions read it. Raises `Refused`."""
        named = self.records.dynamo.settings
        kinds, arn, file = (
            (DASHBOARDS, named.session_secret_arn, named.session_secret_file)
            if kind in DASHBOARDS
            else (SHARED, named.secret_arn, named.secret_file)
        )
        text = key_list.write(secrets, kinds)
        if arn:
            try:
                secrets_manager(aws_session()).put_secret_value(SecretId=arn, SecretString=text)
            except (BotoCoreError, ClientError) as fault:
                raise Refused(f"AWS did not confirm that it took the secret: {fault}") from None
        elif file:
            write_secret(Path(file), text)
        else:
            raise Refused("The secret is a variable of the environment: it cannot be changed from here.")


@contextmanager
def stack(context: typer.Context) -> Iterator[Records]:
    """The stack's records. What goes wrong with it is one sentence."""
    with _sentences():
        opened = _open(context.obj, sessions=False)
        if opened.ring.missing:
            raise Refused(str(opened.ring.missing))
        yield opened.records


@contextmanager
def vault(context: typer.Context) -> Iterator[Vault]:
    """The stack's keys. What goes wrong with them is one sentence."""
    with _sentences():
        yield _open(context.obj, sessions=True)


def storage(records: Records) -> "Storage":
    """Where the files of the stack's journal are. Raises `MissingSetting`."""
    from shared.runtime import journal  # slow to import

    return journal.storage(aws_session(), records.dynamo.settings)


@contextmanager
def open_journal(records: Records) -> "Iterator[Fetching]":
    """What fetches the files of the stack's journal, to a folder that then goes. Raises `MissingSetting`."""
    from shared.journal.fetching import Fetching  # slow to import
    from shared.journal.manifest import Manifest
    from shared.journal.pages import Pages

    dynamo, now = records.dynamo, records.now
    with ThreadPoolExecutor(IO_THREADS) as io_pool, TemporaryDirectory() as folder:
        pages = Pages(dynamo, now, io_pool)
        yield Fetching(Manifest(dynamo, now), storage(records), pages, Path(folder), io_pool)


@contextmanager
def telephony(records: Records) -> "Iterator[Telephony]":
    """What the flows of calls look at the stack with. No live buyer can be asked."""
    from shared.bidders.buyers import LiveBuyers  # slow to import
    from shared.flows.telephony import Telephony
    from shared.flows.world import World

    dynamo, memory = records.dynamo, Memory()
    with ThreadPoolExecutor(IO_THREADS) as io_pool:
        world = World(
            compiled=Compiled(dynamo, memory),
            pings=Pings(dynamo),
            refused_requests=RefusedRequests(dynamo),
            routes=Routes(dynamo),
            retry_keys=RetryKeys(dynamo),
            rings=Rings(dynamo, {}),
            counters=Counters(dynamo, {}),
            reservations=Reservations(dynamo, {}),
            callers=Callers(dynamo, records.keys),
            live=LiveBuyers(_ask_nobody, _tell_nothing, records.keys),
            keys=records.keys,
            now=records.now,
            skew=lambda: 0.0,
            elapsed=lambda: 0.0,
            random_bytes=os.urandom,
            io_pool=io_pool,
            pause=time.sleep,
            newest_keys=lambda: records.keys,
        )
        yield Telephony(world, Calls(dynamo), Owners(dynamo, {}), {})


def _ask_nobody() -> NoReturn:
    raise Refused("A command asks no live buyer.")


def _tell_nothing(_: str) -> NoReturn:
    raise Refused("A command knows no secret of a live buyer.")


def streams(context: typer.Context, records: Records) -> Any:
    """The client for the streams of the stack's tables."""
    from shared.runtime import journal  # slow to import

    target: Target = context.obj
    if target.stage or _named_by_environment():
        return journal.streams(aws_session())
    return engine.streams_client(records.dynamo.client.meta.endpoint_url)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (Objection, MissingSetting, BadSecret) as refused:
        fail(str(refused))
    except TemporarilyUnavailable:
        fail("The tables do not answer, so it is not known whether it was done. Try again in a minute.")


def _open(target: Target, *, sessions: bool) -> Vault:
    """The stack that the target names; with the dashboard's secret if `sessions`. Raises `Refused`."""
    if target.stage:
        dynamo, ring = _of_stage(target.stage, sessions)
    elif _named_by_environment():
        from shared import runtime  # slow to import

        dynamo, ring = runtime.stack()
    else:
        dynamo, ring = _local(target.data, sessions)
    return _open_now(dynamo, ring)


def _open_now(dynamo: Dynamo, ring: Keyring) -> Vault:
    """The vault with the list of keys as it is now."""
    now = int(time.time())
    ring.lists = True
    ring.renew(dynamo, now)
    return Vault(Records(dynamo, ring.keys(now), lambda: int(time.time())), ring)


def write_secret(file: Path, text: str) -> None:
    """Write a text to a file that only its owner may read; a reader meanwhile gets the whole old or new text."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "x", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as written:
        written.write(text)
    new.replace(file)


def url(context: typer.Context) -> str:
    """Where the stack answers, as it says itself; empty where nothing but variables name it. Raises `Refused`."""
    target: Target = context.obj
    if target.stage:
        _, outputs = _described(target.stage)
        return outputs["Url"]
    if _named_by_environment():
        return ""
    found: str = json.loads((target.data / SERVICE).read_text())["url"]
    return found


def _named_by_environment() -> bool:
    return any(name.startswith(settings.PREFIX) and name.endswith("_TABLE") for name in os.environ)


def _described(stage: str) -> "tuple[botocore.session.Session, dict[str, str]]":
    """What the stage's stack says of itself. Raises `Refused`."""
    name = f"ringpost-{stage}"
    session = aws_session()
    try:
        cloudformation: Any = session.create_client("cloudformation")
        [described] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as fault:
        if "does not exist" in str(fault):
            raise Refused(f"There is no stack {name} in this account and region.") from None
        raise Refused(f"AWS did not say what is in the stack {name}: {fault}") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    if "Url" not in outputs:
        raise Refused(f"The stack {name} is {described['StackStatus']}: not deployed to its end.")
    return session, outputs


def _of_stage(stage: str, sessions: bool) -> tuple[Dynamo, Keyring]:
    """Raises `Refused`."""
    from shared import runtime  # slow to import

    session, outputs = _described(stage)
    try:
        tables = Settings(
            config_table=outputs["ConfigTable"],
            pings_table=outputs["PingsTable"],
            leases_table=outputs["LeasesTable"],
            callers_table=outputs["CallersTable"],
            calls_table=outputs["CallsTable"],
            journal_table=outputs["JournalTable"],
            sandbox_pings_table=outputs["SandboxPingsTable"],
            sandbox_leases_table=outputs["SandboxLeasesTable"],
            sandbox_callers_table=outputs["SandboxCallersTable"],
            secret_arn=outputs["SecretArn"],
            session_secret_arn=outputs["SessionSecretArn"] if sessions else "",
            buyer_secrets_arn=outputs["BuyerSecretsArn"],
            provider_secrets_arn=outputs["ProviderSecretsArn"],
            journal_bucket=outputs["JournalBucket"],
        )
        secrets = secrets_manager(session)
        ring = Keyring(lambda: read_secrets(tables, lambda arn: secrets.get_secret_value(SecretId=arn)["SecretString"]))
        client = runtime.dynamodb(session, runtime.COMMAND)
    except KeyError as absent:
        raise Refused(f"The stage {stage} has no {absent.args[0]} yet: deploy it.") from None
    except (BotoCoreError, ClientError) as fault:
        raise Refused(f"AWS did not give the secret of the stage {stage}: {fault}") from None
    return Dynamo(client, tables, attempt_seconds=COMMAND_ATTEMPT_SECONDS), ring


def aws_session() -> "botocore.session.Session":
    from botocore.session import get_session  # slow to import

    session = get_session()
    if region := os.environ.get("AWS_REGION"):  # which the CDK reads, and botocore does not
        session.set_config_variable("region", region)
    return session


def secrets_manager(session: "botocore.session.Session") -> "SecretsManagerClient":
    return cast("SecretsManagerClient", session.create_client("secretsmanager"))


def _local(data: Path, sessions: bool) -> tuple[Dynamo, Keyring]:
    """Raises `Refused` if it is not running."""
    try:
        said = json.loads((data / SERVICE).read_text())
        address = urlsplit(said["endpoint_url"])
        socket.create_connection((address.hostname or "", address.port or 80), timeout=1).close()
    except OSError:
        raise Refused(f"The local service of {data} is not running. Start it with `make run`.") from None
    own = {"SECRET_FILE": str(data / SECRET), "JOURNAL_FOLDER": str(data / JOURNAL)}
    named = settings.read({**said["tables"], **{f"{settings.PREFIX}{name}": value for name, value in own.items()}})
    if sessions:
        named = replace(named, session_secret_file=str(data / SESSION_SECRET))
    return Dynamo(engine.client(said["endpoint_url"]), named), _local_ring(named)


def local_vault(client: "DynamoDBClient", named: Settings) -> Vault:
    """The vault of the local run itself."""
    return _open_now(Dynamo(client, named), _local_ring(named))


def _local_ring(named: Settings) -> Keyring:
    return Keyring(lambda: read_secrets(named, lambda arn: arn))
