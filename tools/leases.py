"""The commands for the leases of ring pools."""

import getpass
from typing import Annotated

import typer

from shared.domain import phone
from shared.domain.plurals import counted
from shared.operators import active_leases
from shared.operators.active_leases import Held, Wanted
from tools.stack_access import stack
from tools.target import Json, clock, fail, print_json

app = typer.Typer(no_args_is_help=True, help="List and release the leases of a ring pool.")

Names = list[str]
Pool = Annotated[str, typer.Argument(metavar="POOL", help="A ring pool of the live configuration.")]


@app.command("list")
def list_leases(context: typer.Context, pool: Pool, as_json: Json = False) -> None:
    """Show the live leases of a ring pool: number, end of the hold, ping, endpoint, user and masked caller."""
    with stack(context) as records:
        found = active_leases.held_leases(records, pool)
        if as_json:
            print_json(found)
            return
        for lease in found:
            typer.echo(_line(lease, records.now()))
        typer.echo(f"{counted(len(found), 'live lease')}.")


@app.command()
def release(
    context: typer.Context,
    pool: Pool,
    numbers: Annotated[Names | None, typer.Argument(metavar="NUMBERS", help="The leases of these numbers.")] = None,
    user: Annotated[Names | None, typer.Option(help="All leases of this user.")] = None,
    ping: Annotated[Names | None, typer.Option(help="The lease of this ping, by any of its ids.")] = None,
    address: Annotated[Names | None, typer.Option(help="All leases of this source address without a token.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End leases that were taken by mistake: their numbers are free after the cooldown. A late call goes to the
    buyer of the number's next sale, if there is one. A retry of the POST gets the same answer."""
    wanted = Wanted(_numbers(numbers or ()), user or (), ping or (), address or ())
    if wanted == Wanted((), (), (), ()):
        fail("Name numbers, or give --user, --ping or --address.")
    with stack(context) as records:
        found = active_leases.leases_to_release(records, pool, wanted)
        for lease in found:
            typer.echo(_line(lease, records.now()))
        if not found:
            fail("No such lease is held now. Leases of unfinished sales are left out.")
        if not yes:
            typer.confirm(f"Release {len(found)}?", abort=True)
        released = active_leases.release(records, pool, wanted, getpass.getuser())
        typer.echo(f"{len(released)} released; the numbers are free after the cooldown.")


def _numbers(texts: Names | tuple[()]) -> tuple[str, ...]:
    try:
        return tuple(phone.e164(text, "US") for text in texts)
    except ValueError:
        fail("Numbers must be telephone numbers, like +18005550100.")


def _line(lease: Held, now: int) -> str:
    until = f"held until {clock(lease.until)}" if lease.until > now else f"rests until {clock(lease.free_at)}"
    known = [
        lease.ping_id or "ping not known",
        lease.endpoint,
        f"user {lease.user}" if lease.user else "",
        f"caller {lease.caller}" if lease.caller else "",
        "being sold now" if lease.is_under_way else "",
    ]
    return "  ".join([lease.number, until, *filter(None, known)])
