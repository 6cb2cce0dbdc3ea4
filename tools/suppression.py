"""Suppression lists: numbers and prefixes from which nobody, or one offer or buyer, takes calls. They are kept as keyed
hashes; which lists there are, and whom they concern, says the configuration."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from shared.domain import configuration, phone
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.callers import AT_ONCE, Callers
from shared.store.records import Records
from tools.stack import fail, stack

COLUMNS = {"number", "phone", "phone_number", "caller", "caller_id"}
"""What the column of the numbers may be headed; without a heading it is the first."""
THREADS = 8
"""As many as the client keeps connections."""
CHUNK = 40 * AT_ONCE
SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Load suppression lists, and look numbers up in them.")
List = Annotated[str, typer.Argument(metavar="LIST", help="A list that the live configuration names.")]
File = Annotated[Path, typer.Argument(help="A CSV file: numbers, and prefixes with a star at their end, like 614*.")]
Region = Annotated[str, typer.Option(help="The country of numbers that do not say one.")]


@app.command()
def add(context: typer.Context, name: List, file: File, region: Region = "US") -> None:
    """Put every number and prefix of a file on a list."""
    _change(context, name, file, region, Callers.suppress, "on")


@app.command()
def remove(context: typer.Context, name: List, file: File, region: Region = "US") -> None:
    """Take every number and prefix of a file off a list."""
    _change(context, name, file, region, Callers.unsuppress, "off")


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


def _change(
    context: typer.Context,
    name: str,
    file: Path,
    region: str,
    change: Callable[[Callers, str, list[str]], None],
    where: str,
) -> None:
    """Read the file twice: all of it before anything is changed, then to change it."""
    try:
        count, prefixes = _checked(file, region)
    except OSError as fault:
        fail(f"{file}: {fault.strerror}")
    except (UnicodeDecodeError, csv.Error) as wrong:
        fail(f"{file}: it is not CSV in UTF-8: {wrong}")
    with stack(context) as records:
        if name not in (known := _lists(records)):
            fail(f"The live configuration has no suppression list {name}; it has {', '.join(sorted(known)) or 'none'}.")
        callers, done = Callers(records.dynamo, records.keys), 0
        with (
            ThreadPoolExecutor(THREADS) as threads,
            typer.progressbar(length=count, label=f"{name} ") as bar,
        ):
            entries = (str(entry) for _, entry in _entries(file, region))
            while chunk := list(islice(entries, CHUNK)):
                batches = (chunk[start : start + AT_ONCE] for start in range(0, len(chunk), AT_ONCE))
                try:
                    list(threads.map(lambda batch: change(callers, name, batch), batches))
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


def _lists(records: Records) -> set[str]:
    """The names of the lists that the live configuration uses."""
    wanted = configuration.whole(records.live().parts)
    offers = {name for offer in wanted.offers for name in offer.suppression}
    buyers = {name for offer in wanted.offers for buyer in offer.buyers for name in buyer.suppression}
    return {*wanted.account.suppression} | offers | buyers


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
                yield rows.line_num, _entry(row[column].strip() if column < len(row) else "", region)


def _entry(text: str, region: str) -> str | ValueError:
    try:
        if not text.endswith("*"):
            return phone.e164(text, region)
        digits = text[:-1].translate(phone.PUNCTUATION)
        if region == "US" and digits and not digits.startswith("+"):
            digits = "+1" + digits.removeprefix("1")
        if (
            digits[:1] == "+"
            and digits[1:].isascii()
            and digits[1:].isdecimal()
            and len(digits) <= len("+123456789012345")
        ):
            return digits + "*"
    except ValueError:
        pass
    return ValueError(f"`{text}` must be a telephone number like +16145550123, or a prefix like 614*")
