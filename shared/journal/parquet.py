"""The journal's files as DuckDB writes them."""

from collections.abc import Sequence
from pathlib import Path

from shared.journal.database import ALL_ROWS, Database

CUBE = """
SELECT
    "at" // 900 * 900 AS "at",
    sold_at // 900 * 900 AS sold_at,
    kind, offer, endpoint, "user", source, buyer, state, status,
    count(*) AS "rows",
    sum(bids)::BIGINT AS bids,
    count(*) FILTER (kind = 'ping' AND bids = 0) AS unmatched,
    count(*) FILTER (kind = 'sale') AS sales,
    sum(revenue_cents)::BIGINT AS revenue_cents,
    sum(payout_cents)::BIGINT AS payout_cents
FROM file_rows GROUP BY ALL ORDER BY ALL
"""
"""Rows counted: by the quarters of an hour in which they happened and in which what they belong to was sold. The offset
of any zone is a multiple of a quarter."""


def write_rows(database: Database, files: Sequence[Path], lines: bytes, name: str) -> Path:
    """The rows of files and JSON lines as one file, each row once, by their time."""
    database.take(files, lines)
    return _write(database, f'{ALL_ROWS} ORDER BY "at"', name)


def write_cube(database: Database, file: Path, name: str) -> Path:
    """The cube of a file of rows."""
    database.connection.read_parquet(str(file)).create_view("file_rows", replace=True)
    return _write(database, CUBE, name)


def count_rows(database: Database, file: Path) -> int:
    [[count]] = database.connection.read_parquet(str(file)).count("*").fetchall()
    return int(count)


def _write(database: Database, query: str, name: str) -> Path:
    database.connection.sql(query).write_parquet(str(database.folder / name), compression="zstd")
    return database.folder / name
