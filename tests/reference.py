"""The tables of the reference pages, for the tests that compare them with the code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.engine import ROOT

CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Table:
    """`heading` is the nearest one above; each row is a cell by column."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def by_name(self) -> dict[str, dict[str, str]]:
        """The rows by the name in backticks that begins each of them. No name stands twice."""
        found = {row[self.columns[0]].strip("`"): row for row in self.rows}
        assert len(found) == len(self.rows), self.heading
        return found


def tables(page: str, first_column: str) -> list[Table]:
    """Those of a page whose first column has this name."""
    return [table for table in _read(page) if table.columns[0] == first_column]


def table(page: str, first_column: str, heading: str) -> Table:
    [found] = [table for table in tables(page, first_column) if table.heading == heading]
    return found


def names(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall("`([^`]+)`", cell)


def _read(page: str) -> Iterator[Table]:
    heading, lines = "", []
    for line in [*(ROOT / "docs" / "reference" / page).read_text().splitlines(), ""]:
        if line.startswith("#"):
            heading = line.strip("# ")
        if line.startswith("|"):
            lines.append([cell.strip() for cell in CELLS.split(line)[1:-1]])
        elif lines:
            columns, _, *rows = lines
            yield Table(heading, tuple(columns), tuple(dict(zip(columns, row, strict=True)) for row in rows))
            lines = []
