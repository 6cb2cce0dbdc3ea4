"""Files of numbers as people and programs export them: no number in one is passed over without a word."""

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.operators import entries, number_files
from shared.operators.number_files import Row, Unreadable

ONE, TWO, THREE = "+16145550161", "+16145550162", "+16145550163"


def rows_of(content: bytes | str, *chosen: str, region: str = "US") -> list[Row]:
    raw = content if isinstance(content, bytes) else content.encode()
    name = number_files.encoding(lambda: io.BytesIO(raw))

    def opened() -> Iterator[str]:
        return iter(io.TextIOWrapper(io.BytesIO(raw), name, errors="replace" if name == "cp1252" else "strict"))

    return [*number_files.rows(opened(), number_files.layout(opened(), region, chosen))]


def read(content: bytes | str, *chosen: str, region: str = "US") -> list[str]:
    """The entries of a file in which nothing is wrong."""
    rows = rows_of(content, *chosen, region=region)
    assert [(row.line, row.wrong) for row in rows if row.wrong] == []
    return [entry for row in rows for entry in row.entries]


def wrong(content: bytes | str, *chosen: str) -> dict[int, list[str]]:
    return {row.line: row.wrong for row in rows_of(content, *chosen) if row.wrong}


@pytest.mark.parametrize(
    "content",
    [
        "6145550161;6145550162",
        "6145550161;6145550162\n",
        "6145550161,6145550162\n",
        "6145550161|6145550162\n",
        "6145550161\t6145550162\r\n",
        "6145550161/6145550162\n",
        "6145550161\n6145550162\n",
        "6145550161\r6145550162",
        "6145550161\r\n\r\n  \r\n6145550162\r\n\r\n",
        "\ufeff6145550161\n6145550162\n",
        "6145550161;\n;6145550162\n",
        "6145550161,,,\n6145550162,,,\n",
        "614,5550161\n614,5550162\n",
        "614, 555-0161\n614, 555-0162\n",
        "614;555;0161\n614;555;0162\n",
        '"614","5550161"\n"614","5550162"\n',
        "Area Code,Number\n614,5550161\n614,5550162\n",
        "AREA_CODE\tLOCAL\tDATE\n614\t5550161\t2026-11-27\n614\t5550162\t2026-11-27\n",
        "Phone Number\n6145550161\n6145550162\n",
        "ANI\n6145550161\n6145550162\n",
        "phone1\n6145550161\n6145550162\n",
        "phone1,phone2\n6145550161,6145550162\n",
        "Phone 1;Phone #2;Phone_3\n6145550161;6145550162;\n",
        "Telephone\n6145550161\n6145550162\n",
        "Téléphone\n6145550161\n6145550162\n",
        "Caller ID\n6145550161\n6145550162\n",
        "name,CallerId\nDoe,6145550161\nRoe,6145550162\n",
        "#,Name,Home Phone\n1,Doe,6145550161\n2,Roe,6145550162\n",
        "first,last,zip,Cell_Phone,since\nA,B,78704,6145550161,2026-11-27\nC,D,01001,6145550162,2026-11-27\n",
        "Phone,Phone Type\n6145550161,mobile\n6145550162,landline\n",
        "Doe,6145550161\nRoe,6145550162\n",
        "Doe, John;6145550161\nRoe, Jane;6145550162\n",
        '"Doe, John",6145550161\n"Roe, Jane",6145550162\n',
        '"Doe ""JD"" John",6145550161\n"Roe",6145550162\n',
        '"12 Main St\nSpringfield",6145550161\n"x",6145550162\n',
        'x,"6145550161;6145550162"\n',
        "x,6145550161;6145550162\n",
        "Contact,Reached\nyes,6145550161\nno,6145550162\n",
        "sep=;\nPhone;Name\n6145550161;Doe\n6145550162;Roe\n",
        "6145550161.0\n6145550162.0\n",
        "6.145550161E+09\n6.145550162e9\n",
        "Name;Phone\nDoe;6,145550161E+09\nRoe;6,145550162E+09\n",
        '="6145550161"\n="6145550162"\n',
        "'6145550161\n'6145550162\n",
        "“6145550161”\n‘6145550162’\n",
        "\u202a(614) 555-0161\u202c\n614‑555‑0162\n",
        "614\u00a0555\u00a00161\n６１４５５５０１６２\n",
        "1-614-555-0161\n+1 (614) 555-0162\n",
        "tel:+16145550161\n614.555.0162 ext. 12\n",
        "# those who asked\n6145550161\n// by mail\n6145550162\n",
        "Number,Alternate Number\n6145550161,N/A\n6145550162,none\n",
        "Phone\n6145550161; 6145550162\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_number_of_a_file_is_read(content: str, encoding: str) -> None:
    assert read(content.encode(encoding)) == [ONE, TWO]


@pytest.mark.parametrize(
    "raw",
    [
        "Name;Phone\nJosé;6145550161\nZoë;6145550162\n".encode("cp1252"),
        "Name,Phone\n€ Müller,6145550161\n\x8f“,6145550162\n".encode("latin-1", "replace"),
        "Naïve;6145550161\n\u201cRoe\u201d;6145550162\n".encode("cp1252"),
        "\ufeffName\tPhone\r\nJosé\t6145550161\r\nZoë\t6145550162\r\n".encode("utf-16-le"),
        "\ufeffName\tPhone\r\nJosé\t6145550161\r\nZoë\t6145550162\r\n".encode("utf-16-be"),
        "\ufeffName,Phone\nJosé,6145550161\nZoë,6145550162\n".encode("utf-32"),
        "Name,Phone\nJosé,6145550161\nZoë,6145550162\n".encode("utf-8-sig"),
    ],
)
def test_every_encoding_of_a_spreadsheet_is_read(raw: bytes) -> None:
    assert read(raw) == [ONE, TWO]


def test_a_byte_that_is_not_utf8_may_come_late() -> None:
    raw = b"x,6145550161\n" * 200_000 + "é,6145550162\n".encode("cp1252")
    assert number_files.encoding(lambda: io.BytesIO(raw)) == "cp1252"


@pytest.mark.parametrize(
    ("content", "line", "sentence"),
    [
        ("6145550161\n614555016\n", 2, "`614555016` must be a telephone number"),
        ("6145550161\nsomebody\n", 2, "`somebody` must be a telephone number"),
        ("6145550161\ncall 6145550162\n", 2, "`call 6145550162` must be a telephone number"),
        ("6145550161\n740-555-XXXX\n", 2, "must be a telephone number"),
        ("6145550161\n614555****\n", 2, "must be a telephone number"),
        ("6145550161\n614555NONE\n", 2, "must be a telephone number"),
        ("6145550161 6145550162\n", 1, "must be a telephone number"),
        ("6145550161-6145550162\n", 1, "must be a telephone number"),
        ("6145550161;nobody\n6145550161;6145550162\n", 1, "`nobody` must be a telephone number"),
        ("phone1,phone2\n6145550161,614555016\n6145550161,6145550162\n", 2, "`614555016` must be"),
        ("614,5550161\n,5550162\n", 2, "`5550162` must be a telephone number"),
        ("Name,Phone\nDoe,6145550161\nRoe,\n", 3, "there is no number in column 2 (Phone)"),
        ("Name,Phone\nDoe,6145550161\nRoe\n", 3, "there is no number in column 2 (Phone)"),
        ("Export of 2026\nName,Phone\nDoe,6145550161\n", 1, "there is no number in column 2 (Phone)"),
        ("6.14555E+09\n", 1, "has lost digits in a spreadsheet"),
        ("6.14555016E+09\n", 1, "has lost digits in a spreadsheet"),
        ("Phone\n6145550161\n1*\n", 3, "`1*` would block too many callers"),
    ],
)
def test_what_is_no_number_is_told_by_its_line(content: str, line: int, sentence: str) -> None:
    found = wrong(content)
    assert [*found] == [line]
    assert sentence in "; ".join(found[line])


def test_a_quote_that_is_never_closed_swallows_no_line() -> None:
    lines = [f"x{n},614555{n:04}" for n in range(100)]
    lines[3] = '"x3,6145550003'
    assert read("\n".join(lines)) == [f"+1614555{n:04}" for n in range(100)]


def test_a_number_within_a_value_of_several_lines_is_told() -> None:
    content = "a,6145550161\n" * 300 + '"b,6145550162\n6145550163\nc",6145550162\n'
    assert wrong(content) == {301: ["there is a number in column 1, too; say which columns you want"]}


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("Name,Phone,Agent\nDoe,6145550161,6145550162\n", "column 2 (Phone), column 3 (Agent)"),
        ("Customer Id,Phone\n3125550100,6145550161\n", "column 1 (Customer Id), column 2 (Phone)"),
        ("From,To\n6145550161,6145550162\n", "column 1 (From), column 2 (To)"),
        ("6145550161,x\n6145550161,y\n6145550161,z\n6145550161,6145550162\n", "column 1, column 2"),
    ],
)
def test_a_column_that_may_be_meant_is_asked_for(content: str, columns: str) -> None:
    with pytest.raises(Unreadable) as asked:
        rows_of(content)
    assert str(asked.value) == f"there are numbers in {columns}; say which columns you want"


def test_a_number_in_another_column_far_down_is_told() -> None:
    content = "6145550161,note\n" * 1000 + "6145550161,6145550162\n"
    assert wrong(content) == {1001: ["there is a number in column 2, too; say which columns you want"]}


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (["Agent"], [TWO]),
        (["agent"], [TWO]),
        (["3"], [TWO]),
        (["phone"], [ONE]),
        (["PHONE", "Agent"], [ONE, TWO]),
        (["2"], [ONE]),
    ],
)
def test_a_column_is_chosen_by_its_head_or_number(chosen: list[str], found: list[str]) -> None:
    assert read("Name,Phone,Agent\nDoe,6145550161,6145550162\n", *chosen) == found


def test_a_chosen_piece_brings_the_whole_number() -> None:
    assert read("who,614,5550161\nwho,614,5550162\n", "3") == [ONE, TWO]


@pytest.mark.parametrize(
    ("content", "chosen", "sentence"),
    [
        ("Name,Phone\nDoe,6145550161\n", "Fax", "it has no column `Fax`; its columns are Name, Phone"),
        ("Name,Phone\nDoe,6145550161\n", "3", "it has no column `3`; its columns are Name, Phone"),
        ("Doe,6145550161\n", "Phone", "it has no column `Phone`; its columns are 2 without headers"),
        ("Phone,Phone\n6145550161,6145550162\n", "phone", "it has 2 columns `phone`; say which by its number"),
    ],
)
def test_a_column_that_is_not_there_is_told(content: str, chosen: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        rows_of(content, chosen)


def test_prefixes_are_entries() -> None:
    assert read("Prefix\n614*\n1-614-555*\n+44207*\n+1900*\n") == ["+1614*", "+1614555*", "+44207*", "+1900*"]


@pytest.mark.parametrize("prefix", ["*", "+*", "1*", "+1*", "+ 1 *", "6*", "61*", "161*", "+161*", "+44*", "+4420*"])
def test_a_prefix_of_a_country_or_a_good_part_of_it_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="would block too many callers: a prefix needs its country code and at least"):
        entries.read(prefix, "US")


@pytest.mark.parametrize("prefix", ["011*", "+1155*", "16140*", "+161455501234*", "614x*", "**", "614**", "++614*"])
def test_a_prefix_of_no_number_is_refused(prefix: str) -> None:
    with pytest.raises(entries.Refused):
        entries.read(prefix, "US")


def test_numbers_of_another_country_are_read_as_it_writes_them() -> None:
    assert read("020 7946 0161;020 7946 0162\n", region="GB") == ["+442079460161", "+442079460162"]
    assert read("Name,Tel.\nDoe,020 7946 0161\n", region="GB") == ["+442079460161"]
    with pytest.raises(entries.Refused, match=r"must begin with \+ and the country code, like \+442079\*"):
        entries.read("0207*", "GB")


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
        (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
        (b"\x1f\x8b", "a compressed file"),
        (b"%PDF", "a PDF"),
    ],
)
def test_what_is_no_text_is_told(start: bytes, what: str) -> None:
    with pytest.raises(Unreadable, match=f"it is {what}; save it as CSV"):
        number_files.encoding(lambda: io.BytesIO(start + b"\x00" * 100))


def test_a_long_file_is_read_line_by_line() -> None:
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f'"a name, quoted",614555{taken % 10_000:04}\n'

    laid_out = number_files.layout(lines(), "US")
    taken = 0
    assert len([*islice(number_files.rows(lines(), laid_out), 1000)]) == 1000
    assert taken <= 1000 + number_files.QUOTED_LINES


NUMBERS = (
    st.integers(2_002_000_000, 9_999_999_999).map(str).filter(lambda text: text[3] not in "01" and len(set(text)) > 1)
)
WRITTEN = NUMBERS.flatmap(
    lambda digits: st.sampled_from(
        [digits, f"1{digits}", f"+1{digits}", f"({digits[:3]}) {digits[3:6]}-{digits[6:]}", f"{digits}.0"]
    )
)


@given(
    st.lists(st.lists(WRITTEN, min_size=2, max_size=2), min_size=1, max_size=30),
    st.sampled_from(",;\t|"),
    st.sampled_from(["", "Phone{0}Alt Phone\n", "phone_1{0}PHONE 2\n"]),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"]),
)
def test_no_number_is_ever_lost(
    table: list[list[str]], delimiter: str, head: str, quoted: bool, end: str, encoding: str
) -> None:
    mark = '"' if quoted else ""
    body = [delimiter.join(f"{mark}{cell}{mark}" for cell in row) for row in table]
    content = head.format(delimiter).replace("\n", end) + end.join(body) + end
    wanted = [entry for row in table for cell in row for entry in entries.read(cell, "US")]
    assert read(content.encode(encoding)) == wanted


@given(st.text("0123456789.,;|\t \"'#*+x-\n\r\u202a", max_size=200), st.sampled_from(["US", "GB"]))
def test_whatever_a_file_has_is_read_or_told(content: str, region: str) -> None:
    lines: Any = content.splitlines(keepends=True)
    try:
        laid_out = number_files.layout(lines, region)
    except Unreadable:
        return
    for row in number_files.rows(lines, laid_out):
        assert row.entries or row.wrong or row.text.lstrip().startswith(("#", "//"))
