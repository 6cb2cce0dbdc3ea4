"""Files of telephone numbers as people and programs export them: CSV of any delimiter and encoding, with headers or
without, the numbers in any column, in several, or cut into area code and local number.

`layout` looks at the first lines, `rows` reads line by line, and few lines are in memory. Nothing is passed over: a
line without a number, or with one that is not read, says so.
"""

import codecs
import csv
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from msgspec import Struct

from shared.domain import phone
from shared.operators import entries

DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SAMPLED_LINES, SAMPLED_COLUMNS, SAMPLED_CHARACTERS = 200, 60, 32 * 1024
QUOTED_LINES = 20
"""A value in quotes may go over so many lines; a quote that is open longer went astray."""
NULL_SHARE = 0.3
"""Of the bytes, in pairs: so many that are null are the halves of letters."""
HEAD_BYTES = 64 * 1024
CHUNK_BYTES = 1024 * 1024
NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a compressed file",
    b"%PDF": "a PDF",
}
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
"""The first bytes of a file that says its encoding; longer ones first."""

PHONE = (
    "telephone|telefono|telefon|phone|tel|ph|mobile|cellular|celular|cell|ani|msisdn|callerid|caller|cid|clid|e164|dnc|"
    "tn"
)
WHOSE = (
    "home|work|business|office|daytime|day|evening|primary|secondary|main|alternate|alt|other|best|contact|customer|"
    "consumer|lead|calling|caller|blocked|suppressed|suppression|from|billing|cell|mobile|dnc|raw|formatted"
)
HEADER = re.compile(
    rf"(?:(?:{WHOSE})*(?:{PHONE})(?:phone)?(?:numbers?|num|nbr|no|nr|s)?(?:home|work|office|cell|mobile|primary|main)?|"
    rf"(?:{WHOSE})*numbers?|entry|entries|prefix|prefixes|numero)[0-9]{{0,2}}"
)
"""The header of a column with numbers, folded."""
AREA_HEADERS = {"areacode", "area", "npa"}
HEADER_LINES = 5
PIECES = (("[2-9][0-9]{2}", "[2-9][0-9]{2}-?[0-9]{4}"), ("[2-9][0-9]{2}", "[2-9][0-9]{2}", "[0-9]{4}"))
"""A number in neighboring columns: area code and local number, also cut again."""
NORTH_AMERICAN = re.compile(r"\+?1?[2-9][0-9]{2}[2-9][0-9]{6}|\+[0-9]{8,15}")
ELSEWHERE = re.compile(r"\+?[0-9]{7,15}")
SHORTEST = 7
"""Digits of a number."""
PREFIX = re.compile(r"\+?[0-9]+\*")


class Unreadable(Exception):
    """It is not known how to read the file. The message says what to do."""


class NotText(Unreadable):
    """No column of it can be read: it is not text."""


class Layout(Struct, frozen=True):
    """`columns` are groups of columns, each of which gives numbers; a group of several is one number in pieces. With
    `chosen` columns it does not matter what the others have."""

    delimiter: str
    region: str
    columns: tuple[tuple[int, ...], ...]
    headers: tuple[str, ...] = ()
    header_line: int = 0
    chosen: bool = False

    def __str__(self) -> str:
        """What was understood, in words."""
        places = ", ".join(" with ".join(map(self.name, group)) for group in self.columns)
        several = len(self.headers) > 1 or max(map(max, self.columns)) > 0
        apart = f"; {NAMES[self.delimiter]} separate columns" if several else ""
        return f"numbers are in {places}{apart}" + (
            f"; line {self.header_line} is the header row" if self.header_line else ""
        )

    def name(self, place: int) -> str:
        header = self.headers[place].strip() if place < len(self.headers) else ""
        return f"column {place + 1}" + (f" ({header})" if header else "")


class Row(Struct, frozen=True):
    """A row of the file: its first line, its text, the entries in it, and what is wrong with it. A comment has
    neither."""

    line: int
    text: str
    entries: list[str]
    wrong: list[str]


def encoding(opened: Callable[[], BinaryIO]) -> str:
    """Of a file's text. What says nothing and is not UTF-8 is Windows-1252, as Excel saves it. Raises `Unreadable`."""
    with opened() as file:
        head = file.read(HEAD_BYTES)
        for mark, what in NO_TEXT.items():
            if head.startswith(mark):
                raise NotText(f"it is {what}; save it as CSV")
        for mark, name in MARKS.items():
            if head.startswith(mark):
                return name
        pairs = max(len(head) // 2, 1)
        if head.count(0) > NULL_SHARE * pairs:
            return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while head:
                decoder.decode(head)
                head = file.read(CHUNK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def layout(lines: Iterable[str], region: str, chosen: Sequence[str] = ()) -> Layout:
    """`chosen` are columns by header or number, the first is 1. Raises `Unreadable`."""
    sample = _sample(lines)
    tried = [_separator(sample[0])] if sample and _separator(sample[0]) else DELIMITERS
    tables = [_Table(sample, delimiter, region) for delimiter in tried]
    table = max(tables, key=_Table.fit)
    columns = table.chosen(chosen) if chosen else table.columns
    if not chosen and (others := table.others()):
        laid_out = Layout(table.delimiter, region, columns, table.headers, table.header_line)
        both = ", ".join(map(laid_out.name, sorted({*others, *(place for group in columns for place in group)})))
        raise Unreadable(f"there are numbers in {both}; say which columns you want")
    return Layout(table.delimiter, region, columns, table.headers, table.header_line, bool(chosen))


def _sample(lines: Iterable[str]) -> list[str]:
    found: list[str] = []
    left = SAMPLED_CHARACTERS
    for line in islice(lines, SAMPLED_LINES):
        found.append(line[:left])
        left -= len(line)
        if left <= 0:
            break
    return found


def rows(lines: Iterable[str], laid_out: Layout) -> Iterator[Row]:
    """Every row except blank ones and the header row."""
    for line, text, cells in _records(lines, laid_out.delimiter):
        if line == laid_out.header_line or not any(map(str.strip, cells)) or (line == 1 and _separator(text)):
            continue
        yield Row(line, text, [], []) if _is_comment(text) else _row(line, text, cells, laid_out)


def fold(header: str) -> str:
    """Without case, spaces, underscores and accents."""
    letters = unicodedata.normalize("NFKD", header).casefold()
    return "".join(letter for letter in letters if letter.isascii() and letter.isalnum())


def _row(line: int, text: str, cells: list[str], laid_out: Layout) -> Row:
    found: list[str] = []
    wrong: list[str] = []
    for group in laid_out.columns:
        pieces = [cells[place] for place in group if place < len(cells)]
        try:
            found += entries.read(
                "".join(map(entries.clean_cell, pieces) if len(group) > 1 else pieces), laid_out.region
            )
        except ValueError as refused:
            wrong.append(str(refused))
    if not found and not wrong:
        wrong.append("there is no number in " + ", ".join(laid_out.name(group[0]) for group in laid_out.columns))
    if not laid_out.chosen:
        read = {place for group in laid_out.columns for place in group}
        others = [place for place, cell in enumerate(cells) if place not in read and _numbers_in(cell, laid_out.region)]
        if others:
            more = f" and {len(others) - 1} more columns" if len(others) > 1 else ""
            wrong.append(f"there is a number in {laid_out.name(others[0])}{more}, too; say which columns you want")
    return Row(line, text, found, wrong)


def _records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, str, list[str]]]:
    """Rows with their first line and text. A quote that is never closed does not make one value of many lines."""
    source, line = iter(lines), 1
    waiting = deque(islice(source, 1))
    while waiting:
        cells, used = None, 1
        if '"' in waiting[0] and not _is_comment(waiting[0]):
            waiting.extend(islice(source, QUOTED_LINES - len(waiting)))
            cells, used = _quoted(waiting, delimiter)
        text = "".join(waiting.popleft() for _ in range(used)).rstrip("\n")
        yield line, text, text.split(delimiter) if cells is None else cells
        line += used
        if not waiting:
            waiting.extend(islice(source, 1))


def _quoted(lines: Iterable[str], delimiter: str) -> tuple[list[str] | None, int]:
    """The cells of the first row, and of how many lines it is made; None if its quotes do not match."""
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    try:
        return next(reader), reader.line_num
    except (csv.Error, StopIteration):
        return None, 1


def _separator(text: str) -> str:
    """What Excel's line `sep=;` says."""
    found = re.fullmatch(r"sep=([,;|\t])", text.strip(" \n\"'"), re.IGNORECASE)
    return found[1] if found else ""


def _is_comment(text: str) -> bool:
    """Not a header row whose first cell is a sign, `#,Name,Phone`."""
    if not text.lstrip().startswith(("#", "//")):
        return False
    return not any(_is_header(cell) for cell in re.split(r"[,;\t|]", text)[1:])


def _is_header(cell: str) -> bool:
    return HEADER.fullmatch(fold(cell)) is not None


def _numbers_in(cell: str, region: str) -> int:
    """How many whole numbers it has, at least: this is judged by their form."""
    if len(cell) < SHORTEST:
        return 0
    return sum(_is_like_number(part, region) for part in entries.parts(cell))


def _is_like_number(cell: str, region: str) -> bool:
    if sum(map(str.isdecimal, cell)) < SHORTEST:
        return False
    if entries.SCIENTIFIC.fullmatch(cell):
        return True
    whole = entries.WHOLE.fullmatch(cell)
    digits = (whole[1] if whole else cell).translate(phone.PUNCTUATION)
    return (NORTH_AMERICAN if region in ("US", "CA") else ELSEWHERE).fullmatch(digits) is not None


def _is_like_entry(cell: str, region: str) -> bool:
    return (
        _is_like_number(entries.clean_cell(cell), region)
        or PREFIX.fullmatch(cell.strip().translate(phone.PUNCTUATION)) is not None
    )


class _Table:
    """The first lines of a file, apart by one delimiter."""

    def __init__(self, lines: Iterable[str], delimiter: str, region: str) -> None:
        self.delimiter, self.region = delimiter, region
        table = [
            (line, cells[:SAMPLED_COLUMNS])
            for line, text, cells in _records(lines, delimiter)
            if any(map(str.strip, cells)) and not _is_comment(text) and not (line == 1 and _separator(text))
        ]
        self.headers, self.header_line = self._headers(table)
        self.body = [cells for line, cells in table if line != self.header_line]
        self.width = max([len(self.headers), *map(len, self.body)], default=0)
        self.columns = self._columns()

    def fit(self) -> tuple[int, bool, bool, int]:
        """How many numbers there are, whether a header names them, whether all have headers, and how many columns."""
        in_pieces = [group for group in self.columns if len(group) > 1]
        groups = [*in_pieces, *((place,) for place in range(self.width))]
        numbers = sum(self._given(cells, group) for cells in self.body for group in groups)
        return numbers, any(map(_is_header, self.headers)), len(self.headers) == self.width, self.width

    def others(self) -> list[int]:
        """The columns with numbers that are not taken, and those that are where no header says which is meant."""
        taken = {place for group in self.columns for place in group}
        if self.headers and len(self.columns) > 1 and not any(map(_is_header, self.headers)):
            return sorted(taken)
        return [place for place in range(self.width) if place not in taken and any(self._counts(place))]

    def chosen(self, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """A column that is a piece of a number brings the other ones. Raises `Unreadable`."""
        picked = {self._place(name) for name in names}
        groups = {group for group in self._pieces() if picked & {*group}}
        in_pieces = {place for group in groups for place in group}
        return tuple(sorted(groups | {(place,) for place in picked - in_pieces}))

    def _headers(self, table: list[tuple[int, list[str]]]) -> tuple[tuple[str, ...], int]:
        """The first row that names a column of numbers, before any that has some; or else the first row, if it has no
        digit and no star and the next one has a number."""
        for line, cells in table[:HEADER_LINES]:
            if any(_is_like_entry(cell, self.region) for cell in cells):
                break
            if any(_is_header(cell) or fold(cell) in AREA_HEADERS for cell in cells):
                return tuple(cells), line
        words = len(table) > 1 and not re.search(r"[0-9*]", "".join(table[0][1]))
        if words and any(_is_like_entry(cell, self.region) for cell in table[1][1]):
            return tuple(table[0][1]), table[0][0]
        return (), 0

    def _columns(self) -> tuple[tuple[int, ...], ...]:
        """Those whose headers name numbers and that have some or are blank; else those of which most cells are numbers;
        else number in pieces; else the column that has most numbers, the first of them."""
        counts = [self._counts(place) for place in range(self.width)]
        filled = [sum(bool(_cell(cells, place).strip()) for cells in self.body) for place in range(self.width)]
        any_number = [sum(count) for count in counts]
        with_header = [place for place, header in enumerate(self.headers) if _is_header(header)]
        good = [place for place in with_header if any_number[place] or not filled[place]]
        most = [place for place in range(self.width) if any_number[place] and 2 * any_number[place] >= filled[place]]
        areas = {place for place, header in enumerate(self.headers) if fold(header) in AREA_HEADERS}
        groups = [group for group in self._pieces() if group[0] in areas or not most]
        in_pieces = {place for group in groups for place in group}
        singles = good if any(any_number[place] for place in good) else most or ([] if groups else good)
        found = {*groups, *((place,) for place in singles if place not in in_pieces)}
        if found or not self.width:
            return tuple(sorted(found)) or ((0,),)
        return (((with_header or [max(range(self.width), key=lambda place: (any_number[place], -place))])[0],),)

    def _counts(self, place: int) -> list[int]:
        """For each row, whether the column has numbers or prefixes."""
        cells = (_cell(cells, place) for cells in self.body)
        return [bool(_numbers_in(cell, self.region)) or _is_like_entry(cell, self.region) for cell in cells]

    def _given(self, cells: list[str], group: tuple[int, ...]) -> int:
        if len(group) > 1:
            return int(all(map(str.strip, (_cell(cells, place) for place in group))))
        parts = entries.parts(_cell(cells, group[0]))
        return len(parts) if all(_is_like_entry(part, self.region) for part in parts) else 0

    def _pieces(self) -> list[tuple[int, ...]]:
        """Neighbouring columns that hold one number together in most rows."""
        found: list[tuple[int, ...]] = []
        for pieces in PIECES:
            for first in range(self.width - len(pieces) + 1):
                places = tuple(range(first, first + len(pieces)))
                fits = sum(
                    all(
                        re.fullmatch(piece, entries.clean_cell(_cell(cells, place)))
                        for piece, place in zip(pieces, places, strict=True)
                    )
                    for cells in self.body
                )
                if 2 * fits >= len(self.body) > 0 and not any({*places} & {*other} for other in found):
                    found.append(places)
        return found

    def _place(self, name: str) -> int:
        """Raises `Unreadable`."""
        places = [place for place, header in enumerate(self.headers) if fold(header) == fold(name)]
        number = name.strip()
        if not places and number.isascii() and number.isdecimal() and 1 <= int(number[:6]) <= self.width:
            return int(number) - 1
        if len(places) > 1:
            raise Unreadable(f"it has {len(places)} columns `{name}`; say which by its number, 1 is the first")
        if not places:
            there = (
                ", ".join(header.strip() for header in self.headers)
                if self.headers
                else f"{self.width} without headers"
            )
            raise Unreadable(f"it has no column `{name}`; its columns are {there}")
        return places[0]


def _cell(cells: list[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
