"""Suppression lists: numbers and prefixes from which nobody, or one offer or buyer, takes calls. They are kept as keyed
hashes; which lists there are, and whom they concern, says the configuration."""

import csv
import getpass
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from shared.domain import phone
from shared.domain.refusals import TemporarilyUnavailable
from shared.operators import suppression
from shared.operators.suppression import Where
from shared.store.callers import Callers
from tools.stack import fail, stack

COLUMNS = {"number", "phone", "phone_number", "caller", "caller_id"}
"""What the column of the numbers may be headed; without a heading it is the first."""
SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Load suppression lists, and look numbers up in them.")
List = Annotated[str, typer.Argument(metavar="LIST", help="A list that the live configuration names.")]
File = Annotated[Path, typer.Argument(help="A CSV file: numbers, and prefixes with a star at their end, like 614*.")]
Region = Annotated[str, typer.Option(help="The country of numbers that do not say one.")]


@app.command()
def add(context: typer.Context, name: List, file: File, region: Region = "US") -> None:
    """Put every number and prefix of a file on a list."""
    _change(context, name, file, region, "on")


@app.command()
def remove(context: typer.Context, name: List, file: File, region: Region = "US") -> None:
    """Take every number and prefix of a file off a list."""
    _change(context, name, file, region, "off")


@app.command()
def check(context: typer.Context, number: str, region: Region = "US") -> None:
    """Which lists a number is on, and by which entry."""
    try:
        caller = phone.e164(number, region)
    except ValueError:
        fail("NUMBER must be a telephone number, like +16145550123.")
    with stack(context) as records:
        found = Callers(records.dynamo, records.keys).listed_by(caller)
        for entry, lists in sorted(found.items()):
            typer.echo(f"{', '.join(lists)}  by {entry}")
        if not found:
            typer.echo("On no list.")


def _change(context: typer.Context, name: str, file: Path, region: str, where: Where) -> None:
    """Read the file twice: all of it before anything is changed, then to change it."""
    try:
        count, prefixes = _checked(file, region)
    except OSError as fault:
        fail(f"{file}: {fault.strerror}")
    except (UnicodeDecodeError, csv.Error) as wrong:
        fail(f"{file}: it is not CSV in UTF-8: {wrong}")
    with stack(context) as records:
        suppression.check_list(records, name)
        suppression.note(records, getpass.getuser(), name, count, where)
        callers, done = Callers(records.dynamo, records.keys), 0
        with typer.progressbar(length=count, label=f"{name} ") as bar:
            entries = (str(entry) for _, entry in _entries(file, region))
            while chunk := list(islice(entries, suppression.ENTRIES_AT_ONCE)):
                try:
                    suppression.write(callers.suppress if where == "on" else callers.unsuppress, name, chunk)
                except TemporarilyUnavailable:
                    _stopped(done, count)
                done += len(chunk)
                bar.update(len(chunk))
    typer.echo(f"{done - prefixes} numbers and {prefixes} prefixes are {where} {name}.")


def _stopped(done: int, count: int) -> NoReturn:
    fail(f"\nThe tables do not answer. {done} of {count} entries are done; run it again, what is done stays done.")


def _checked(file: Path, region: str) -> tuple[int, int]:
    """How many entries there are, and how many of them are prefixes. Exits with the lines that are none."""
    count = prefixes = wrong = 0
    for line, entry in _entries(file, region):
        count += 1
        if isinstance(entry, ValueError):
            wrong += 1
            if wrong <= SHOWN:
                typer.echo(f"{file}:{line}: {entry}", err=True)
        else:
            prefixes += entry.endswith("*")
    if wrong:
        fail(f"Nothing is changed: {wrong} of {count} lines are no numbers.")
    return count, prefixes


def _entries(file: Path, region: str) -> Iterator[tuple[int, str | ValueError]]:
    """Every line that is not blank: its number, and the entry or what it should be."""
    with open(file, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        column = None
        for row in rows:
            if column is None:
                headed = [place for place, cell in enumerate(row) if cell.strip().lower() in COLUMNS]
                column = headed[0] if headed else 0
                if headed:
                    continue
            if any(cell.strip() for cell in row):
                yield rows.line_num, suppression.entry(row[column].strip() if column < len(row) else "", region)
