"""Suppression lists: numbers and prefixes from which nobody, or one offer or buyer, takes calls. They are kept as keyed
hashes; which lists there are, and whom they concern, says the configuration."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import phonenumbers
import typer

from shared.domain import phone
from shared.domain.plurals import counted
from shared.domain.refusals import TemporarilyUnavailable
from shared.operators import number_files, suppression_lists
from shared.operators.number_files import Layout, NotText, Row, Unreadable
from shared.operators.suppression_lists import Where
from shared.store.callers import Callers
from tools.stack_access import stack
from tools.target import Json, fail, print_json, progress, working

SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Load suppression lists, and look numbers up in them.")
List = Annotated[str, typer.Argument(metavar="LIST", help="A list that the live configuration names.")]
File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A CSV or text file: numbers, and prefixes with a star at their end, like 614*."
    ),
]
Region = Annotated[str, typer.Option(help="The country of numbers that do not say one.")]
Columns = Annotated[
    list[str],
    typer.Option("--column", help="A column with numbers, by its header or number; may be given several times."),
]
SkipWrong = Annotated[
    bool,
    typer.Option("--skip-wrong", help="Leave out what is no number, and write those lines to a file of their own."),
]


@app.command()
def add(
    context: typer.Context,
    name: List,
    file: File,
    region: Region = "US",
    column: Columns = [],  # noqa: B006 (typer's)
    skip_wrong: SkipWrong = False,
) -> None:
    """Put every number and prefix of a file on a list."""
    _change(context, name, NumberFile(file, region, column), skip_wrong, "on")


@app.command()
def remove(
    context: typer.Context,
    name: List,
    file: File,
    region: Region = "US",
    column: Columns = [],  # noqa: B006 (typer's)
    skip_wrong: SkipWrong = False,
) -> None:
    """Take every number and prefix of a file off a list."""
    _change(context, name, NumberFile(file, region, column), skip_wrong, "off")


@app.command()
def check(
    context: typer.Context,
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="A caller's telephone number.")],
    region: Region = "US",
    as_json: Json = False,
) -> None:
    """Which lists a number is on, and by which entry."""
    try:
        caller = phone.e164(number, region)
    except ValueError:
        fail("NUMBER must be a telephone number, like +16145550123.")
    with stack(context) as records:
        found = Callers(records.dynamo, records.keys).lists_by_entry(caller)
        if as_json:
            print_json(found)
            return
        for entry, lists in sorted(found.items()):
            typer.echo(f"{', '.join(lists)}  by {entry}")
        if not found:
            typer.echo("On no list.")


class NumberFile:
    """A file of numbers, of which few lines are in memory. Exits if it cannot be read at all."""

    def __init__(self, path: Path, region: str, columns: list[str]) -> None:
        if region not in phonenumbers.SUPPORTED_REGIONS:
            fail(f"--region must be a country code of two capital letters, like US; `{region}` is not one.")
        self.path = path
        with self._readable():
            self.encoding = number_files.encoding(lambda: open(path, "rb"))  # noqa: SIM115 (closed by it)
            with self._open_lines() as lines:
                self.layout: Layout = number_files.layout(lines, region, columns)

    def rows(self) -> Iterator[Row]:
        with self._readable(), self._open_lines() as lines:
            yield from number_files.rows(lines, self.layout)

    def header_row(self) -> str:
        """As it is written; empty if there is none."""
        with self._open_lines() as lines:
            return "".join(islice(lines, max(self.layout.header_line - 1, 0), self.layout.header_line))

    def _open_lines(self) -> TextIO:
        return open(self.path, encoding=self.encoding, errors="replace" if self.encoding == "cp1252" else "strict")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            fail(f"{self.path}: {fault.strerror}")
        except UnicodeError:
            fail(f"{self.path}: it cannot be read as {self.encoding}; save it as CSV in UTF-8.")
        except NotText as not_text:
            fail(f"{self.path}: {not_text}.")
        except Unreadable as unreadable:
            fail(f"{self.path}: {unreadable} (--column).")


@dataclass
class Count:
    numbers: int = 0
    prefixes: int = 0
    comments: int = 0
    rows: int = 0
    wrong: int = 0

    @property
    def entries(self) -> int:
        return self.numbers + self.prefixes


def _change(context: typer.Context, name: str, file: NumberFile, skip_wrong: bool, where: Where) -> None:
    """Read the file: all of it before anything is changed, then to change it."""
    with stack(context) as records:
        suppression_lists.check_list(records, name)
        with working(f"Reading {file.path} …"):
            found = _check_file(file, skip_wrong)
        suppression_lists.note_change(records, getpass.getuser(), name, found.entries, where)
        callers, done = Callers(records.dynamo, records.keys), 0
        with progress(found.entries, f"{name} ") as bar:
            entries = chain.from_iterable(row.entries for row in file.rows())
            while chunk := list(islice(entries, suppression_lists.ENTRIES_AT_ONCE)):
                try:
                    suppression_lists.write(callers.suppress if where == "on" else callers.unsuppress, name, chunk)
                except TemporarilyUnavailable:
                    _fail_midway(done, found.entries)
                done += len(chunk)
                bar.update(len(chunk))
    prefixes = counted(found.prefixes, "prefix", "prefixes")
    typer.echo(f"{counted(found.numbers, 'number')} and {prefixes} are {where} {name}.")


def _fail_midway(done: int, count: int) -> NoReturn:
    fail(f"\nThe tables do not answer. {done} of {count} entries are done; run it again, what is done stays done.")


def _check_file(file: NumberFile, skip_wrong: bool) -> Count:
    """What the file has. What is wrong in it is told, and written to a file; exits if it is not to be skipped."""
    typer.echo(f"{file.path}: {file.encoding}; {file.layout}.")
    found = Count()
    skipped: TextIO | None = None
    for row in file.rows():
        found.comments += not row.wrong and not row.entries
        found.rows += bool(row.wrong or row.entries)
        prefixes = sum(entry.endswith("*") for entry in row.entries)
        found.prefixes += prefixes
        found.numbers += len(row.entries) - prefixes
        if row.wrong:
            found.wrong += 1
            if found.wrong <= SHOWN:
                typer.echo(f"{file.path}:{row.line}: {'; '.join(row.wrong)}", err=True)
            if skip_wrong:
                skipped = skipped or _new_skipped_file(file)
                skipped.write(f"# line {row.line}: {' '.join('; '.join(row.wrong).split())}\n{row.text}\n")
    if found.wrong > SHOWN:
        typer.echo(f"… and {found.wrong - SHOWN} more.", err=True)
    if found.wrong and not skip_wrong:
        fail(f"Nothing is changed: {found.wrong} of {found.rows} lines are wrong. --skip-wrong leaves them out.")
    if found.comments:
        typer.echo(f"Comments: {counted(found.comments, 'line')}.")
    if skipped:
        skipped.close()
        typer.echo(f"Skipped {found.wrong} of {found.rows} lines, in whole or in part; they are in {skipped.name}.")
    if not found.entries:
        fail(f"Nothing is changed: {file.path} has no numbers.")
    return found


def _new_skipped_file(file: NumberFile) -> TextIO:
    """A new file beside it, which can be mended and loaded."""
    for n in count(1):
        path = file.path.with_name(f"{file.path.stem}.skipped{f'-{n}' if n > 1 else ''}{file.path.suffix}")
        try:
            made = open(path, "x", encoding="utf-8")  # noqa: SIM115 (closed by who writes)
        except FileExistsError:
            continue
        except OSError as fault:
            fail(f"Nothing is changed: {path}: {fault.strerror}")
        made.write(file.header_row())
        return made
    raise AssertionError("there is always a next name")
