"""What is written to a Parquet file is what is read from it."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.journal import parquet
from shared.journal.database import Database, open_database
from shared.journal.rows import TYPES, Asked, Dialed, Kind, Row, encode

NUMBERS = st.integers(0, 2**53)
CENTS = st.integers(-(2**40), 2**40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ASKED = st.builds(Asked, NUMBERS, st.sampled_from(["bid", "declined", "timed_out", "broken"]), NUMBERS)
DIALED = st.builds(Dialed, NUMBERS, NUMBERS, TEXTS, NUMBERS)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    int: NUMBERS,
    str: TEXTS,
    Kind: st.sampled_from(get_args(Kind)),
    tuple[str, ...]: st.lists(TEXTS, max_size=3).map(tuple),
    tuple[Asked, ...]: st.lists(ASKED, max_size=3).map(tuple),
    tuple[Dialed, ...]: st.lists(DIALED, max_size=3).map(tuple),
}
REQUIRED: dict[str, st.SearchStrategy[Any]] = {
    "event": st.sampled_from("abc"),
    "place": st.integers(0, 1),
    "at": st.integers(0, 4000),
    "kind": BY_TYPE[Kind],
}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    **{field.name: BY_TYPE[field.type] for field in msgspec.structs.fields(Row)},
    "sold_at": st.integers(0, 4000),
    "bids": st.integers(0, 2),
    "buyer": st.integers(0, 1),
    "revenue_cents": CENTS,
    "payout_cents": CENTS,
}
ROWS = st.lists(
    st.fixed_dictionaries(
        REQUIRED, optional={name: values for name, values in OPTIONAL.items() if name not in REQUIRED}
    ).map(lambda values: Row(**values)),
    max_size=12,
    unique_by=lambda row: (row.event, row.place),
)
FEW = settings(max_examples=15)


def read_rows(file: Path) -> list[Row]:
    return [msgspec.convert(values, Row) for values in read(file)]


def read(file: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        found = connection.read_parquet(str(file))
        names = found.columns
        return [
            {
                name: json.loads(value) if TYPES.get(name) == "JSON" else value
                for name, value in zip(names, values, strict=True)
            }
            for values in found.fetchall()
        ]


def write(database: Database, rows: Sequence[Row], name: str = "rows.parquet") -> Path:
    return parquet.write_rows(database, [], encode(rows), name)


def in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.event, row.place))


@given(ROWS)
@FEW
def test_a_file_has_the_rows_that_it_was_written_from_by_their_time(rows: list[Row]) -> None:
    with open_database() as database:
        file = write(database, rows)
        found = read_rows(file)
        assert in_order(found) == in_order(rows)
        assert [row.at for row in found] == sorted(row.at for row in rows)
        assert parquet.count_rows(database, file) == len(rows)


@given(ROWS, ROWS)
@FEW
def test_a_row_of_the_file_and_of_pages_is_there_once(before: list[Row], new: list[Row]) -> None:
    with open_database() as database:
        known = {(row.event, row.place): row for row in before}
        new = [known.get((row.event, row.place), row) for row in new]
        file = parquet.write_rows(database, [write(database, before)], encode([*new, *new]), "more.parquet")
        added = [row for row in new if (row.event, row.place) not in known]
        assert in_order(read_rows(file)) == in_order([*before, *added])


@given(ROWS)
@FEW
def test_a_cube_counts_the_rows(rows: list[Row]) -> None:
    expected: dict[tuple[Any, ...], Counter[str]] = {}
    for row in rows:
        key: tuple[Any, ...] = (
            row.at // 900 * 900,
            row.sold_at // 900 * 900,
            row.kind,
            row.offer,
            row.endpoint,
            row.user,
            row.source,
        )
        key += (row.buyer, row.state, row.status)
        is_ping = row.kind == "ping"
        expected.setdefault(key, Counter()).update(
            rows=1,
            bids=row.bids,
            unmatched=is_ping and row.bids == 0,
            sales=row.kind == "sale",
            revenue_cents=row.revenue_cents,
            payout_cents=row.payout_cents,
        )
    with open_database() as database:
        counted = read(parquet.write_cube(database, write(database, rows), "cube.parquet"))
    keys = ("at", "sold_at", "kind", "offer", "endpoint", "user", "source", "buyer", "state", "status")
    found = {tuple(each.pop(name) for name in keys): each for each in counted}
    assert found == {key: {**sums} for key, sums in expected.items()}
    assert len(found) == len(counted)


def test_hours_are_joined_in_their_order() -> None:
    hours = [[Row(event=f"{hour}-{no}", at=hour + no, kind="ping") for no in range(3)] for hour in (0, 3600, 7200)]
    with open_database() as database:
        files = [write(database, rows, f"{no}.parquet") for no, rows in enumerate(hours)]
        assert read_rows(parquet.write_rows(database, files, b"", "day.parquet")) == [
            row for rows in hours for row in rows
        ]


def test_a_file_of_a_release_that_knew_fewer_fields_is_read_with_their_defaults() -> None:
    with open_database() as database:
        old = database.connection.sql("SELECT 'a' AS event, 0::BIGINT AS place, 5::BIGINT AS at, 'ping' AS kind")
        old.write_parquet(str(database.folder / "old.parquet"))
        lines = encode([Row(event="b", at=4, kind="sale")])
        file = parquet.write_rows(database, [database.folder / "old.parquet"], lines, "new.parquet")
        assert read_rows(file) == [Row(event="b", at=4, kind="sale"), Row(event="a", at=5, kind="ping")]
        described = database.connection.read_parquet(str(file))
        assert dict(zip(described.columns, map(str, described.types), strict=True)) == TYPES


def test_the_database_opens_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with open_database() as database, pytest.raises(duckdb.Error):
        database.connection.execute("SELECT * FROM read_csv($path)", {"path": str(tmp_path / "secret.csv")}).fetchall()
    assert not database.folder.exists()
