"""The commands for receivers of postbacks: how they fare, what they did not take, and sending that again."""

from itertools import islice
from typing import Annotated

import typer

from shared.domain.objections import NotFound
from shared.domain.plurals import counted
from shared.operators import receivers, resources
from shared.operators.receivers import MOST_DEAD, Fared
from shared.postbacks.again import find_dead, wait_again
from shared.store.postbacks import Postbacks
from tools.stack_access import stack
from tools.target import Json, clock, fail, print_json

app = typer.Typer(no_args_is_help=True, help="Receivers of postbacks: how they fare, and what is sent to them again.")

SHOWN = 1000
Receiver = Annotated[str, typer.Argument(metavar="RECEIVER", help="A receiver of the live configuration.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="IDS", help="Dead postbacks, as `postbacks dead` shows them.")]


@app.command("list")
def list_receivers(context: typer.Context, as_json: Json = False) -> None:
    """Show how each receiver fares, and how many postbacks wait for it or are dead."""
    with stack(context) as records:
        found = [
            receivers.describe_state(records, each)
            for each in resources.all_of(records.versions.current().parts, "receivers")
        ]
    if as_json:
        print_json(found)
        return
    for each in found:
        typer.echo(_line(each))
    typer.echo(f"{counted(len(found), 'receiver')}.")


@app.command()
def dead(context: typer.Context, receiver: Receiver, as_json: Json = False) -> None:
    """Show the postbacks of a receiver that are tried no more, the newest first; a thousand at most."""
    with stack(context) as records:
        resources.find_resource(records, "receivers", receiver)
        found = [
            receivers.describe_dead(entry, postback)
            for entry, postback in islice(find_dead(Postbacks(records.dynamo), receiver), SHOWN)
            if postback.state == "dead"
        ]
    if as_json:
        print_json(found)
        return
    for each in found:
        typer.echo(f"{each.id}  {clock(each.at)}  {each.event}")
    typer.echo(f"{counted(len(found), 'dead postback')}.")


@app.command("send-again")
def send_again(
    context: typer.Context,
    receiver: Receiver,
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send dead postbacks of a receiver again, each with its own id: they leave within a minute. Where the receiver is
    paused they wait until it is resumed."""
    if bool(ids) == every:
        fail("Name postbacks by their ids, or give --all.")
    with stack(context) as records:
        resources.find_resource(records, "receivers", receiver)
        postbacks, wanted = Postbacks(records.dynamo), {*(ids or ())}
        found = [pair for pair in find_dead(postbacks, receiver) if every or pair[1].id in wanted]
        if missing := wanted - {postback.id for _, postback in found}:
            raise NotFound(f"{receiver} has no dead postback {', '.join(sorted(missing))}.")
        if not found:
            typer.echo("There is none.")
            return
        if not yes:
            typer.confirm(f"Send {counted(len(found), 'postback')} to {receiver} again?", abort=True)
        for entry, postback in found:
            wait_again(postbacks, entry, postback, records.now())
        is_paused = bool(postbacks.state_of(receiver).paused)
    leave = f"when {receiver} is resumed, on its page" if is_paused else "within a minute"
    typer.echo(f"{counted(len(found), 'postback')} sent again: they leave {leave}.")


def _line(found: Fared) -> str:
    counts = [(found.waiting, "waiting"), (found.dead, "dead")]
    told = [f"{count}{' or more' if count == MOST_DEAD else ''} {word}" for count, word in counts if count]
    return "  ".join([found.name, found.state, *told])
