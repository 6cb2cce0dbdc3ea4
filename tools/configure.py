"""The commands that compare and apply the configuration, and show where a call goes by it."""

import getpass
import json
from pathlib import Path
from typing import Annotated

import typer

from shared.configuration import Change, Configuration, InvalidConfiguration
from shared.domain import phone
from shared.flows.expecting import Expected, expect_call
from shared.flows.resolving import resolve
from shared.operators import changelog, comparing
from shared.operators.comparing import Difference
from shared.operators.yaml_document import Document
from shared.store.records import Records
from tools import document
from tools.document import File
from tools.stack_access import stack, telephony
from tools.target import Json, clock, fail, print_json, working

SHOWN = 100
SAID = {
    "in_time": "until {}",
    "late": "late: the number was held until {}",
    "repeat": "a repeat that is not paid",
}
"""What is said of a call to a sale, by how it comes."""
NOTHING = "Nothing to change."


def diff(context: typer.Context, file: File, as_json: Json = False) -> None:
    """Show what applying a file would change, in totals and path by path, and why it would be refused."""
    wanted, read = document.load(file)
    with stack(context) as records:
        found = _difference(records, file, wanted, read)
        if as_json:
            print_json(found)
            return
        _show_difference(found, file, wanted, read)
        if not found.changes:
            typer.echo(NOTHING)


def apply(
    context: typer.Context,
    file: File,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    yes_remove_operator: Annotated[
        str, typer.Option(metavar="NAME", help="Do not ask either where this operator loses its role.")
    ] = "",
) -> None:
    """Make a file the live configuration: all of it or nothing. It shows the difference and asks first."""
    wanted, read = document.load(file)
    with stack(context) as records:
        found = _difference(records, file, wanted, read)
        _show_difference(found, file, wanted, read)
        _ask(found, yes, yes_remove_operator)
        try:
            with working(f"Applying {file} …"):
                applied = records.applying.apply(wanted, getpass.getuser(), seen=found.version)
        except InvalidConfiguration as invalid:
            document.fail_at(file, read, invalid.problems)
        if applied is None:
            typer.echo(NOTHING)
            return
        typer.echo(f"Version {applied.version} is live; every process works by it within 10 seconds.")


def _difference(records: Records, file: Path, wanted: Configuration, read: Document) -> Difference:
    """What the file would change. Exits if it could not be applied."""
    try:
        with working(f"Comparing {file} with what is live …"):
            return comparing.difference(records, getpass.getuser(), wanted)
    except InvalidConfiguration as invalid:
        document.fail_at(file, read, invalid.problems)


def _show_difference(found: Difference, file: Path, wanted: Configuration, read: Document) -> None:
    for sentence in filter(None, [*found.totals.sentences, found.warning]):
        typer.echo(sentence)
    _show(found.changes)
    for note in found.notes:
        typer.echo(note)
    document.warn(file, read, wanted)


def _ask(found: Difference, yes: bool, removed: str) -> None:
    """Whether to apply this: with a word where operators lose their role. Exits if not."""
    if found.confirm and removed != found.confirm:
        if yes:
            fail(f"Nothing was changed. If you mean that, add --yes-remove-operator {found.confirm}.")
        if typer.prompt(f"Type {found.confirm} to apply this", default="", show_default=False) != found.confirm:
            fail("Nothing was changed.")
    elif found.changes and not yes:
        typer.confirm("Apply this?", abort=True)


def history(
    context: typer.Context, versions: Annotated[int, typer.Option(help="How many.")] = 10, as_json: Json = False
) -> None:
    """What was changed, when and by whom; the newest first."""
    with stack(context) as records:
        found, _ = records.versions.history(versions)
        if as_json:
            print_json(found)
            return
        for applied in found:
            kind = "Entry" if applied.after is None else "Version"
            typer.echo(f"{kind} {applied.version}, {clock(applied.at)}, {applied.by}")
            _show(changelog.readable(applied).changes)


def route(
    context: typer.Context,
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="The number that is called, one of ours.")],
    caller: Annotated[str, typer.Argument(metavar="CALLER", help="The telephone number that calls it.")],
    as_json: Json = False,
) -> None:
    """Where a call to a number of ours goes now, from this caller."""
    with stack(context) as records:
        try:
            number, caller = phone.e164(number, "US"), phone.e164(caller, "US")
        except ValueError:
            fail("NUMBER and CALLER must be telephone numbers, like +18005550100.")
        with telephony(records) as made:
            resolved = resolve(made, number, caller)
        if resolved is None:
            fail(f"Nowhere: {number} is not a number of this stack.")
        if resolved.endpoint is None:
            fail("Nowhere: no live sale has this number, for this caller.")
        _say_expected(expect_call(resolved, resolved.endpoint, number, caller, records.now()), as_json)


def _say_expected(expected: Expected, as_json: bool) -> None:
    whom = f"{expected.name} (buyer {expected.buyer_id}) at {expected.number}"
    if expected.arrival == "refused":
        fail("Nowhere: no sale has this number, for this caller, or its endpoint rejects the call.")
    if as_json:
        print_json(expected)
    elif not expected.buyer_id:
        typer.echo(f"Nobody has announced this caller: {expected.endpoint} sells the call when it comes.")
    elif expected.arrival == "pinged":
        typer.echo(f"{expected.endpoint} sells the call when it comes. The best bid is of {whom}.")
    else:
        typer.echo(f"{whom}, {SAID[expected.arrival].format(clock(expected.until))}")


def _show(changes: list[Change]) -> None:
    for change in changes:
        if change.was is None:
            typer.echo(f"+ {change.path}  {_text(change.now)}")
        elif change.now is None:
            typer.echo(f"- {change.path}  {_text(change.was)}")
        else:
            typer.echo(f"~ {change.path}  {_text(change.was)} → {_text(change.now)}")


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
