"""What an operator does by hand, or by law: a caller is erased, caps are repaired and old leads removed."""

import getpass
import re
import time
from typing import Annotated

import typer

from shared.domain import phone
from shared.domain.plurals import counted
from shared.store.erasing import SETTLED_SECONDS, Erased, Erasing
from shared.store.records import Records
from shared.store.repair import Repair, upkeep
from tools.stack_access import stack
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
    """Erase a caller everywhere but from suppression lists: its leads, answers, marks and routes. Sales stay, without
    it. Or erase one ping: its lead, answer and route."""
    if caller.startswith(("pg_", "pb_")) or RAW_ID.fullmatch(caller):
        _erase_ping(context, caller, yes, dry_run)
        return
    try:
        number = phone.e164(caller, "US")
    except ValueError:
        fail("CALLER must be a telephone number, like +16145550123, or the id of a ping.")
    with stack(context) as records:
        if dry_run:
            found = _erasing(records).preview(number, getpass.getuser())
            marks = " The marks of its sales, which find duplicates, would go, too." if found.marks else ""
            typer.echo(f"{_would_erase(found)}{marks} Nothing is changed.")
            return
        if not yes:
            typer.confirm(f"Erase {number}? It cannot be undone", abort=True)
        typer.echo(f"This takes some {SETTLED_SECONDS} seconds, until sales that are just being made are there.")
        with working(f"Erasing {number} …"):
            erased = _erasing(records).erase(number, getpass.getuser(), wait=True)
        typer.echo(f"Erased: the leads of {counted(erased.pings, 'ping')}, {erased.sales} of them sold.")
        if erased.being_sold:
            fail(f"Sold all the time, and not erased: {counted(erased.being_sold, 'ping')}. Run it again.")


def _erase_ping(context: typer.Context, ping_id: str, yes: bool, dry_run: bool) -> None:
    with stack(context) as records:
        erasing = _erasing(records)
        found = erasing.preview_ping(ping_id, getpass.getuser())
        if found and dry_run:
            typer.echo(f"{_would_erase(found)} Nothing is changed.")
            return
        if found and not yes:
            typer.confirm(f"Erase {ping_id}? It cannot be undone", abort=True)
        erased = erasing.erase_ping(ping_id, getpass.getuser()) if found else None
        if erased is None:
            fail(f"There is no ping {ping_id}.")
        if erased.being_sold:
            fail("The ping is just being sold. Run it again.")
        typer.echo(f"Erased: the lead of {'a ping that was sold' if erased.sales else 'one ping'}.")


def _would_erase(found: Erased) -> str:
    being_sold = f", and {found.being_sold} being sold just now" if found.being_sold else ""
    return f"It would erase the leads of {counted(found.pings, 'ping')}, {found.sales} of them sold{being_sold}."


def erasures(context: typer.Context, as_json: Json = False) -> None:
    """Show which callers and pings were erased, when and by whom; callers by their keyed hash."""
    with stack(context) as records:
        found = list(_erasing(records).erasures())
        if as_json:
            print_json(found)
            return
        for erased in found:
            counts = f"{counted(erased.pings, 'ping')}, {erased.sales} sold"
            whose = f"ping {erased.ping}" if erased.ping else f"caller {erased.caller}"
            typer.echo(f"{clock(erased.at)}  {erased.by}  {whose}  {counts}")


def repair(context: typer.Context) -> None:
    """What a deployed stage does every hour: lower caps that a crash left too high, remove the leads of sales whose
    retention is over, and free the numbers that an apply which died has left."""
    with stack(context) as records:
        with working("Repairing …"):
            done = upkeep(Repair(records.dynamo, records.now), _erasing(records), records)
        for each in done.repaired:
            typer.echo(f"Buyer {each.buyer_id}: {each.key} was {each.was}, is {each.now}")
        typer.echo(f"Caps lowered: {len(done.repaired)}. Leads removed: {done.swept}. Numbers freed: {done.freed}.")


def _erasing(records: Records) -> Erasing:
    return Erasing(records.dynamo, records.keys, records.now, lambda: time.sleep(PAUSE_SECONDS))
