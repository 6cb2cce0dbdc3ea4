"""What the operator's command works on, and how it shows its results."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

ROOT = Path(__file__).parents[1]
DATA = ROOT / ".ringpost"

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Target:
    """A deployed stage if one is named, else the stack that lies in `data` or that the environment names."""

    data: Path
    stage: str


def fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def clock(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def print_json(value: Any) -> None:
    """Structs are printed as the operators' API answers them."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


@contextmanager
def working(doing: str) -> Iterator[None]:
    """On a terminal, a line that moves until the work is done."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # slow to import

    with Console(stderr=True).status(doing):
        yield


def progress(length: int, doing: str) -> Any:
    """A progress bar for `length` steps, on a terminal only. It is a context manager; `update(n)` counts steps."""
    return typer.progressbar(length=length, label=doing, file=sys.stderr, hidden=not sys.stderr.isatty())
