"""Live buyers, for their operator: the secrets that their templates name, and the sales that are not settled."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, cast

import botocore.session
import typer
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from shared.domain import keys
from shared.domain.models import DAY, Ping
from shared.journal.searching import find_unsettled
from shared.operators.lead_days import first_kept
from shared.store.pings import Asked
from shared.store.records import Records
from tools import rotation
from tools.stack_access import open_journal, stack
from tools.target import Json, clock, fail, print_json

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

secrets = typer.Typer(
    no_args_is_help=True, help="The keys of this stack, and the secrets that the templates of live buyers name."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret, as templates name it: {secret.NAME}.")]


@secrets.command("set")
def set_secret(
    context: typer.Context,
    name: Name,
    value: Annotated[str, typer.Option(prompt=True, hide_input=True, help="It is asked for if it is not given.")],
) -> None:
    """Set a secret of a deployed stage. Functions follow within five minutes."""
    with stack(context) as records:
        _write(records, _read(records) | {name: value})
        typer.echo(f"{name} is set.")


@secrets.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a secret of a deployed stage."""
    with stack(context) as records:
        kept = _read(records)
        if name not in kept:
            fail(f"There is no secret {name}.")
        _write(records, {other: value for other, value in kept.items() if other != name})
        typer.echo(f"{name} is removed.")


@secrets.command("list")
def list_secrets(context: typer.Context) -> None:
    """The names of the secrets of a deployed stage."""
    with stack(context) as records:
        for name in sorted(_read(records)):
            typer.echo(name)


def unsettled(context: typer.Context, as_json: Json = False) -> None:
    """The sales that a live buyer may know of and we do not: it said yes and got no number, or its answer was lost."""
    with stack(context) as records, open_journal(records) as fetching:
        now = records.now()
        ids = find_unsettled(fetching, first_kept(records, now), now + DAY)
        found = [
            _described(records, ping, buyer_id, asked)
            for ping, claim in records.pings.unsettled_of(ids, now)
            for buyer_id, asked in sorted(claim.asked.items())
        ]
    if as_json:
        print_json(found)
        return
    for sale in found:
        typer.echo(_line(sale))
    typer.echo(f"{len(found)} not settled." + (" Ask the buyer, then: settle PING_ID BUYER_ID" if found else ""))


def settle(
    context: typer.Context,
    ping_id: Annotated[str, typer.Argument(metavar="PING_ID", help="The id that `unsettled` shows.")],
    buyer_id: Annotated[int, typer.Argument(metavar="BUYER_ID", help="The buyer that `unsettled` shows.")],
) -> None:
    """Say of a sale that `unsettled` lists that it is settled with the buyer."""
    with stack(context) as records:
        raw, _ = keys.unchecked_ping_id(ping_id) or (b"", 0)
        for ping, claim in records.pings.unsettled_of([raw] if raw else [], records.now()):
            if buyer_id in claim.asked and ping_id == keys.ping_id(records.keys, ping.endpoint, ping.id):
                rest = {other: asked for other, asked in claim.asked.items() if other != buyer_id}
                if not records.pings.settle(ping.id, claim.asked, rest):
                    fail("It has just changed. Look again.")
                typer.echo("Settled.")
                return
    fail(f"There is nothing to settle of {ping_id} with buyer {buyer_id}.")


class Unsettled(Struct, frozen=True):
    """A sale that a live buyer may know of. `said_yes` False: its answer is not known."""

    ping_id: str
    buyer_id: int
    asked_at: int
    said_yes: bool
    idempotency_key: str


def _described(records: Records, ping: Ping, buyer_id: int, asked: Asked) -> Unsettled:
    return Unsettled(
        ping_id=keys.ping_id(records.keys, ping.endpoint, ping.id),
        buyer_id=buyer_id,
        asked_at=asked.at,
        said_yes=bool(asked.said),
        idempotency_key=keys.ask_key(records.keys, ping.id, buyer_id),
    )


def _line(sale: Unsettled) -> str:
    known = "said yes" if sale.said_yes else "its answer is not known"
    return (
        f"{sale.ping_id}  buyer {sale.buyer_id}  {clock(sale.asked_at)}  {known}"
        f"  Idempotency-Key {sale.idempotency_key}"
    )


def _read(records: Records) -> dict[str, str]:
    arn = _arn(records)
    try:
        answer = _client().get_secret_value(SecretId=arn)
    except (BotoCoreError, ClientError) as fault:
        fail(f"AWS did not give the secrets: {fault}")
    found: dict[str, str] = json.loads(answer["SecretString"])
    return found


def _write(records: Records, secrets: Mapping[str, str]) -> None:
    try:
        _client().put_secret_value(SecretId=_arn(records), SecretString=json.dumps(secrets))
    except (BotoCoreError, ClientError) as fault:
        fail(f"AWS did not take the secrets: {fault}")


def _client() -> "SecretsManagerClient":
    return cast("SecretsManagerClient", botocore.session.get_session().create_client("secretsmanager"))


def _arn(records: Records) -> str:
    return records.dynamo.settings.buyer_secrets_arn or fail(
        "Of the local run they are in buyer-secrets.json in its data directory, which it reads when it starts."
    )


secrets.command()(rotation.rotate)
secrets.command()(rotation.status)
secrets.command()(rotation.retire)
