"""What an operator does by hand, or by law: a caller is erased, caps are repaired and old leads removed."""

import getpass
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from shared.domain import phone
from shared.store.erasing import SETTLED_SECONDS, Erasing
from shared.store.records import Records
from shared.store.repair import Repair, upkeep
from tools.stack import fail, stack

PAUSE_SECONDS = 1


def erase(
    context: typer.Context,
    caller: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a caller everywhere but from suppression lists: its leads, answers, marks and routes. Sales stay, without
    it."""
    try:
        number = phone.e164(caller, "US")
    except ValueError:
        fail("CALLER must be a telephone number, like +16145550123.")
    with stack(context) as records:
        if not yes:
            typer.confirm(f"Erase {number}? It cannot be undone", abort=True)
        typer.echo(f"This takes some {SETTLED_SECONDS} seconds, until sales that are just being made are there.")
        erased = _erasing(records).erase(number, getpass.getuser(), wait=True)
        typer.echo(f"Erased: the leads of {erased.pings} pings, of which {erased.sales} were sold.")
        if erased.being_sold:
            fail(f"{erased.being_sold} pings were being sold all the time. Run it again.")


def erasures(context: typer.Context) -> None:
    """Which callers were erased, when and by whom; callers by their keyed hash."""
    with stack(context) as records:
        for erased in _erasing(records).erasures():
            at = datetime.fromtimestamp(erased.at, UTC)
            counts = f"{erased.pings} pings, {erased.sales} sold"
            typer.echo(f"{at:%Y-%m-%d %H:%M:%S} UTC  {erased.by}  caller {erased.caller}  {counts}")


def repair(context: typer.Context) -> None:
    """What a deployed stage does every hour: lower caps that a crash left too high, and remove the leads of sales whose
    retention is over."""
    with stack(context) as records:
        repaired, swept = upkeep(Repair(records.dynamo, records.now), _erasing(records))
        for each in repaired:
            typer.echo(f"Buyer {each.buyer_id}: {each.key} was {each.was}, is {each.now}")
        typer.echo(f"Caps lowered: {len(repaired)}. Leads removed: {swept}.")


def _erasing(records: Records) -> Erasing:
    return Erasing(records.dynamo, records.keys, records.now, lambda: time.sleep(PAUSE_SECONDS))
