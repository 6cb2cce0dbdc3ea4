"""A configuration file, every problem in it with its line, and the command that checks it."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from shared import configuration
from shared.configuration import Configuration, InvalidConfiguration, Problem, dotted_path, warnings
from shared.domain.plurals import counted
from shared.operators.yaml_document import Document, Unreadable, document
from tools.target import Json, fail, print_json

File = Annotated[Path, typer.Argument(metavar="FILE", help="The YAML file.")]


def check(file: File, as_json: Json = False) -> None:
    """Say what is wrong with a file, and what in it is probably not meant, without any stack."""
    wanted, read = load(file)
    if as_json:
        warned = [{"line": line, "message": str(warning)} for line, warning in warnings_of(read, wanted)]
        print_json({"offers": len(wanted.offers), "endpoints": len(wanted.endpoints), "warnings": warned})
        return
    count = warn(file, read, wanted)
    typer.echo(
        f"{file} is right: {counted(len(wanted.offers), 'offer')} at {counted(len(wanted.endpoints), 'endpoint')}."
        + (f" Warnings: {count}." if count else "")
    )


def load(file: Path) -> tuple[Configuration, Document]:
    """The configuration in a file. Exits with every problem in it, one per line."""
    try:
        read = document(file.read_bytes())
    except OSError as fault:
        fail(f"{file}: {fault.strerror}")
    except Unreadable as wrong:
        fail(f"{file}:{wrong.line}: {wrong}" if wrong.line else f"{file}: {wrong}")
    try:
        wanted = configuration.read(read.value)
    except InvalidConfiguration as invalid:
        fail_at(file, read, [*read.problems, *invalid.problems])
    if read.problems:
        fail_at(file, read, read.problems)
    return wanted, read


def warnings_of(read: Document, wanted: Configuration) -> list[tuple[int, Problem]]:
    """What is valid in the file and probably not meant, each with its line, in the order of the file."""
    found = [(read.line(warning.path), warning) for warning in warnings.find_warnings(wanted, int(time.time()))]
    return sorted(found, key=lambda located: located[0])


def warn(file: Path, read: Document, wanted: Configuration) -> int:
    """Show the warnings, and say how many there are."""
    found = warnings_of(read, wanted)
    for line, warning in found:
        typer.echo(f"{file}:{line}: warning: {warning}")
    return len(found)


def fail_at(file: Path, read: Document, problems: Collection[Problem]) -> NoReturn:
    """Every problem with its line, in the order of the file."""
    located = sorted((read.line(problem.path), dotted_path(problem.path), problem.message) for problem in problems)
    fail("\n".join(f"{file}:{line}: {path}: {message}" for line, path, message in located))
