"""What the sections print: tables of counts and ratios, and each goal beside what was found."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

T = TypeVar("T")
Cell = str | int | float

say = partial(print, file=sys.__stdout__, flush=True)
"""Where the metrics of functions that run in this process do not go."""


@dataclass
class Report:
    """`short` is for seeing that every section still runs: its numbers say nothing."""

    short: bool = False
    missed: list[str] = field(default_factory=list)

    def size(self, usual: T, short: T) -> T:
        """How much a section does of something."""
        return short if self.short else usual

    def section(self, name: str, sentence: str) -> None:
        say(f"\n{name.upper()}  {sentence}\n")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """The first column is text, the others are numbers."""
        lines = [list(head), *([_text(cell) for cell in row] for row in rows)]
        first, *widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
        for name, *cells in lines:
            say("  " + "  ".join([name.ljust(first), *(c.rjust(w) for c, w in zip(cells, widths, strict=True))]))
        say()

    def goal(self, what: str, found: float, at_most: float) -> None:
        met = found <= at_most
        line = f"{what}: {_text(found)}, goal {'≤ ' if at_most else ''}{_text(at_most)}"
        say(f"  {'met   ' if met else 'MISSED'}  {line}")
        if not met:
            self.missed.append(line)


def _text(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell:.3g}" if cell < 100 else str(round(cell))
