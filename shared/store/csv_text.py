"""Rows as CSV, in which a spreadsheet finds no formula."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

FORMULA = set("=+-@＝＋－＠")
CELL_END = re.compile(r"([,;|\"'])")
NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,10})?")


def csv_lines(rows: Iterable[Struct], names: Collection[str]) -> Iterator[str]:
    """These members of rows as CSV with a head (RFC 4180), a row to a line."""
    yield csv_line(names)
    for row in rows:
        yield csv_line([getattr(row, name) for name in names])


def csv_line(values: Collection[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(["" if value is None else _harmless(str(value)) for value in values])
    return text.getvalue()


def _harmless(value: str) -> str:
    """What a spreadsheet would take for a formula gets an apostrophe: at the beginning, and behind whatever the
    spreadsheet may take for the end of a cell, as which character separates them depends on its country. A number, also
    one with its plus sign, stays as it is."""
    if NUMBER.fullmatch(value):
        return value
    line = "".join(letter if letter.isprintable() else " " for letter in value)
    cells = CELL_END.split(line)
    return "".join(f"'{cell}" if cell.lstrip()[:1] in FORMULA else cell for cell in cells)
