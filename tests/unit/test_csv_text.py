"""Files for spreadsheets."""

import csv
import re
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from shared.store.csv_text import csv_lines


class Line(Struct):
    first: str
    second: str


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoted", [True, False])
@given(value=st.lists(st.sampled_from([*"=+-@＝＋－＠,;|\t\r\n\"' ax1", "=1+1", "\u2028", "\xa0"])).map("".join))
@example(value="a;=1+1")
@example(value='x";=1')
@example(value="a\n=1")
@example(value="\t=1")
@example(value=" =1")
@example(value='";"=1')
def test_no_cell_begins_a_formula_whichever_character_separates_cells(separator: str, quoted: bool, value: str) -> None:
    """Read by a spreadsheet that knows quotes, and by one that does not."""
    text = "".join(csv_lines([Line(value, value)], ["first", "second"]))
    assert len(text.splitlines()) == 2
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    for cell in next(csv.reader([text.splitlines()[1]], delimiter=separator, quoting=quoting)):
        bare = cell.strip(' "')
        assert bare[:1] not in set("=+-@＝＋－＠") or re.fullmatch("[+-]?[0-9.]+", bare)


@pytest.mark.parametrize("number", ["+18005550101", "18005550101", "-12.50", "0"])
def test_numbers_stay_usable(number: str) -> None:
    assert list(csv_lines([Line(number, "a - b")], ["first", "second"]))[1] == f"{number},a - b\r\n"
