"""The commands for the journal."""

from concurrent.futures import ThreadPoolExecutor

import typer

from shared.domain.plurals import counted
from shared.journal.consumer import consume, remembering
from shared.journal.dead_letters import DeadLetters
from shared.journal.follow_up import FollowUp
from shared.journal.pages import Pages
from shared.journal.timetable import Timetable
from shared.store.calls import Calls
from shared.store.compiled import Compiled, Memory
from tools.stack_access import stack, storage
from tools.target import fail, working

app = typer.Typer(no_args_is_help=True, help="Repair the journal.")


@app.callback()
def _group() -> None:
    """With a callback the only command keeps its name."""


@app.command()
def replay(context: typer.Context) -> None:
    """Read again what the journal set aside: records that it could not read, and batches that failed for twelve hours.
    Delete what goes through. Replaying twice does no harm."""
    with stack(context) as records, ThreadPoolExecutor(1) as pool:
        pages = Pages(records.dynamo, records.now, pool)
        endpoint_of = remembering(Compiled(records.dynamo, Memory()), {})
        follow = FollowUp(Calls(records.dynamo), Timetable(records.dynamo, records.now, set()), endpoint_of)
        with working("Replaying …"):
            replayed = DeadLetters(storage(records), records.now).replay(
                lambda event, set_aside: consume(event, pages, endpoint_of, set_aside, follow)
            )
        typer.echo(f"Replayed: {counted(replayed.done, 'file')}.")
        for name, fault in replayed.left.items():
            typer.echo(f"{name}: {fault}", err=True)
        if replayed.left:
            fail(f"Not replayed: {counted(len(replayed.left), 'file')}.")
