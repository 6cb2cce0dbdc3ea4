"""What an operator does by hand, or by law: a caller is erased, and caps are repaired."""

import getpass
import re
import time
from contextlib import suppress
from typing import Annotated

import typer

from shared.domain import phone
from shared.domain.plurals import counted
from shared.journal.database import FileUnreadable
from shared.journal.dead_letters import DeadLetters
from shared.journal.fetching import Fetching
from shared.journal.manifest import READING_SECONDS
from shared.journal.passing import PATIENCE_SECONDS, Passing
from shared.operators.erasing import Erasing
from shared.operators.hourly_work import do_hourly_work
from shared.operators.repair import Repair
from shared.store.erasures import Erased, Erasures, Unfinished
from shared.store.records import Records
from tools.stack_access import open_journal, stack, streams
from tools.target import Json, clock, fail, print_json, working

PAUSE_SECONDS = 1
RAW_ID = re.compile(r"[0-9a-f]{24}")


def erase(
    context: typer.Context,
    caller: Annotated[
        str,
        typer.Argument(metavar="CALLER", help="The caller's telephone number, or the id of one ping: pg_… or pb_…."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be erased, and change nothing.")] = False,
) -> None:
    """Erase a caller everywhere but from suppression lists: its leads, answers, marks and routes, and its hash in the
    journal. Sales stay, without it. Or erase one ping: its lead, answer and route."""
    if caller.startswith(("pg_", "pb_")) or RAW_ID.fullmatch(caller):
        _erase_ping(context, caller, yes, dry_run)
        return
    try:
        number = phone.e164(caller, "US")
    except ValueError:
        fail("CALLER must be a telephone number, like +16145550123, or the id of a ping.")
    with stack(context) as records, open_journal(records) as fetching:
        erasing = Erasing(records, fetching)
        if dry_run:
            found = erasing.preview(number, getpass.getuser())
            marks = " The marks of its sales, which find duplicates, would go, too." if found.marks else ""
            typer.echo(f"{_would_erase(found)}{marks} Nothing is changed.")
            return
        if not yes:
            typer.confirm(f"Erase {number}? It cannot be undone", abort=True)
        typer.echo("This may take 15 minutes: files of the journal are written anew without the caller.")
        with working(f"Erasing {number} …"):
            erased = _finish(context, records, fetching, erasing.erase(number, getpass.getuser())).erased
        typer.echo(
            f"Erased: the leads of {counted(erased.pings, 'ping')}, {erased.sales} of them sold{_with_calls(erased)}."
        )
        _check_finished(erased)


def _erase_ping(context: typer.Context, ping_id: str, yes: bool, dry_run: bool) -> None:
    with stack(context) as records, open_journal(records) as fetching:
        erasing = Erasing(records, fetching)
        found = erasing.preview_ping(ping_id, getpass.getuser())
        if dry_run:
            typer.echo(f"{_would_erase(found)} Nothing is changed.")
            return
        if not yes:
            typer.confirm(f"Erase {ping_id}? It cannot be undone", abort=True)
        with working(f"Erasing {ping_id} …"):
            erased = _finish(context, records, fetching, erasing.erase_ping(ping_id, getpass.getuser())).erased
        whose = "a ping that was sold" if erased.sales else "one ping"
        typer.echo(f"Erased: the lead of {whose}{_with_calls(erased)}." if erased.pings else "It has no lead any more.")
        _check_finished(erased)


def _finish(context: typer.Context, records: Records, fetching: Fetching, begun: Unfinished) -> Unfinished:
    """Go on until nothing of it is left, or for so long."""
    from shared.runtime import journal  # slow to import

    finishing = journal.make_finishing(records, fetching, streams(context, records))
    unfinished, until = begun, records.now() + PATIENCE_SECONDS + READING_SECONDS
    while not unfinished.erased.finished_at and records.now() < until:
        time.sleep(PAUSE_SECONDS)
        with suppress(FileUnreadable, ExceptionGroup):
            unfinished = finishing.go_on(unfinished)
    return unfinished


def _check_finished(erased: Erased) -> None:
    if not erased.finished_at:
        fail(
            "Not finished: something may be left. Run `./ringpost journal replay`, delete the damaged files that it "
            "names, and erase again."
        )


def _would_erase(found: Erased) -> str:
    being_sold = f", and {found.being_sold} being sold just now" if found.being_sold else ""
    pings = f"{counted(found.pings, 'ping')}, {found.sales} of them sold{being_sold}"
    return f"It would erase the leads of {pings}{_with_calls(found)}."


def _with_calls(found: Erased) -> str:
    return (
        f", and what is known of {counted(found.calls + found.running, 'call')}" if found.calls + found.running else ""
    )


def erasures(context: typer.Context, as_json: Json = False) -> None:
    """Show which callers and pings were erased, when and by whom; callers by their keyed hash."""
    with stack(context) as records:
        found = Erasures(records.dynamo).all()
        if as_json:
            print_json(found)
            return
        for erased in found:
            counts = f"{counted(erased.pings, 'ping')}, {erased.sales} sold"
            whose = f"ping {erased.ping}" if erased.ping else f"caller {erased.caller}"
            state = "" if erased.finished_at else "  not finished"
            typer.echo(f"{clock(erased.at)}  {erased.by}  {whose}  {counts}{state}")


def repair(context: typer.Context) -> None:
    """What a deployed stage does every hour: lower caps that a crash left too high, give back reservations that nobody
    needs, and free the numbers that an apply which died has left."""
    with stack(context) as records, open_journal(records) as fetching:
        dynamo, now = records.dynamo, records.now
        passing, letters = Passing(dynamo, streams(context, records), now), DeadLetters(fetching.storage, now)
        work = Repair(dynamo, now, fetching, passing, letters, lambda: time.sleep(PAUSE_SECONDS))
        with working("Repairing …"):
            done = do_hourly_work(work, records)
        for each in done.caps.repaired:
            typer.echo(f"Buyer {each.buyer_id}: {each.key} was {each.was}, is {each.now}")
        typer.echo(
            f"Caps lowered: {len(done.caps.repaired)}. Numbers freed: {done.freed}. Reservations given: {done.given}."
        )
        if done.caps.why:
            fail(f"Not lowered: some caps of buyers ({done.caps.left} counted separately). {done.caps.why}")
