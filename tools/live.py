"""Live buyers, for their operator: the secrets that their templates name, and the sales that are not settled."""

from typing import Annotated

import typer
from msgspec import Struct

from shared.domain import keys
from shared.domain.models import DAY, Ping
from shared.journal.searching import find_unsettled
from shared.operators.lead_days import first_kept
from shared.store.pings import Asked
from shared.store.records import Records
from tools import rotation, stack_secrets
from tools.stack_access import open_journal, stack
from tools.target import Json, clock, fail, print_json

secrets = typer.Typer(
    no_args_is_help=True,
    help="The keys of this stack, and the secrets that live buyers and telephony providers have.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The secret, as the configuration names it: {secret.NAME}.")]
OfProvider = Annotated[bool, typer.Option("--provider", help="Of a telephony provider, not of a live buyer.")]


@secrets.command("set")
def set_secret(
    context: typer.Context,
    name: Name,
    value: Annotated[str, typer.Option(prompt=True, hide_input=True, help="It is asked for if it is not given.")],
    provider: OfProvider = False,
) -> None:
    """Set a secret of a deployed stage. Functions follow within five minutes."""
    with stack(context) as records:
        arn = stack_secrets.arn_of(records, provider)
        stack_secrets.write(arn, stack_secrets.read(arn) | {name: value})
        typer.echo(f"{name} is set.")


@secrets.command()
def remove(context: typer.Context, name: Name, provider: OfProvider = False) -> None:
    """Remove a secret of a deployed stage."""
    with stack(context) as records:
        arn = stack_secrets.arn_of(records, provider)
        kept = stack_secrets.read(arn)
        if name not in kept:
            fail(f"There is no secret {name}.")
        stack_secrets.write(arn, {other: value for other, value in kept.items() if other != name})
        typer.echo(f"{name} is removed.")


@secrets.command("list")
def list_secrets(context: typer.Context, provider: OfProvider = False) -> None:
    """The names of the secrets of a deployed stage."""
    with stack(context) as records:
        for name in sorted(stack_secrets.read(stack_secrets.arn_of(records, provider))):
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


secrets.command()(rotation.rotate)
secrets.command()(rotation.status)
secrets.command()(rotation.retire)
