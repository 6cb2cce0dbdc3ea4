"""The stack that the operator's command works on, and how to tell its operator that something cannot be done."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

import botocore.session
import typer
from botocore.exceptions import BotoCoreError, ClientError

from shared import runtime, settings
from shared.domain import keys
from shared.domain.objections import Objection, Refused
from shared.domain.refusals import TemporarilyUnavailable
from shared.settings import MissingSetting, Settings
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

SERVICE = "service.json"
"""The local run's note, in its data directory: where its engine is and what its tables are called."""
DATA = engine.ROOT / ".ringpost"


@dataclass(frozen=True, slots=True)
class Target:
    """What the command works on: a deployed stage if one is named, else what lies in `data` or the environment says."""

    data: Path
    stage: str


def note(data: Path, endpoint_url: str, named: Settings, url: str) -> None:
    """Tell the operator's command where the local run and its engine are. The secret stays in its own file."""
    tables = {name: value for name, value in named.environment().items() if name.endswith("_TABLE")}
    (data / SERVICE).write_text(json.dumps({"endpoint_url": endpoint_url, "tables": tables, "url": url}))


@contextmanager
def stack(context: typer.Context) -> Iterator[Records]:
    """The stack's records. What goes wrong with it is one sentence."""
    target: Target = context.obj
    try:
        if target.stage:
            yield _of_stage(target.stage)
        elif _named_by_environment():
            yield _deployed()
        else:
            yield _local(target.data)
    except (Objection, MissingSetting) as refused:
        fail(str(refused))
    except TemporarilyUnavailable:
        fail("The tables do not answer, so it is not known whether it was done. Try again in a minute.")


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


def _described(stage: str) -> tuple[botocore.session.Session, dict[str, str]]:
    """What the stage's stack says of itself. Raises `Refused`."""
    name = f"ringpost-{stage}"
    session = botocore.session.get_session()
    if region := os.environ.get("AWS_REGION"):  # which the CDK reads, and botocore does not
        session.set_config_variable("region", region)
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


def _of_stage(stage: str) -> Records:
    """Raises `Refused`."""
    session, outputs = _described(stage)
    try:
        tables = Settings(
            config_table=outputs["ConfigTable"],
            pings_table=outputs["PingsTable"],
            leases_table=outputs["LeasesTable"],
            callers_table=outputs["CallersTable"],
            journal_table=outputs["JournalTable"],
            secret_arn=outputs["SecretArn"],
            buyer_secrets_arn=outputs["BuyerSecretsArn"],
        )
        secrets = cast("SecretsManagerClient", session.create_client("secretsmanager"))
        secret = secrets.get_secret_value(SecretId=tables.secret_arn)["SecretString"]
        client = cast("DynamoDBClient", session.create_client("dynamodb", config=runtime.SDK))
    except KeyError as absent:
        raise Refused(f"The stage {stage} has no {absent.args[0]} yet: deploy it.") from None
    except (BotoCoreError, ClientError) as fault:
        raise Refused(f"AWS did not give the secret of the stage {stage}: {fault}") from None
    return Records(Dynamo(client, tables), keys.derive(secret.encode()), lambda: int(time.time()))


def _deployed() -> Records:
    world = runtime.world()
    dynamo = world.compiled.dynamo
    return Records(Dynamo(dynamo.client, dynamo.settings), world.keys, world.now)


def _local(data: Path) -> Records:
    """Raises `Refused` if it is not running."""
    try:
        said = json.loads((data / SERVICE).read_text())
        address = urlsplit(said["endpoint_url"])
        socket.create_connection((address.hostname or "", address.port or 80), timeout=1).close()
    except OSError:
        raise Refused(f"The local service of {data} is not running. Start it with `make run`.") from None
    secret = (data / "secret").read_text()
    named = settings.read({**said["tables"], f"{settings.PREFIX}SECRET": secret})
    dynamo = Dynamo(engine.client(said["endpoint_url"]), named)
    return Records(dynamo, keys.derive(bytes.fromhex(secret)), lambda: int(time.time()))


def fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
