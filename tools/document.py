"""A configuration file, and every problem in it with its line."""

from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from shared.domain import configuration
from shared.domain.configuration import Configuration, InvalidConfiguration, Problem, dotted
from shared.operators.document import Document, Unreadable, document
from tools.stack import fail


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


def fail_at(file: Path, read: Document, problems: Collection[Problem]) -> NoReturn:
    """Every problem with its line, in the order of the file."""
    located = sorted((read.line(problem.path), dotted(problem.path), problem.message) for problem in problems)
    fail("\n".join(f"{file}:{line}: {path}: {message}" for line, path, message in located))
