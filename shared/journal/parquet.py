"""The journal's files as DuckDB writes them."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from shared.journal.database import ALL_ROWS, Database
from shared.store.erasures import Forgotten

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


FORGOTTEN = {"at": "BIGINT", "callers": "VARCHAR[]", "pings": "VARCHAR[]", "calls": "VARCHAR[]"}
HAS_FORGOTTEN = """
caller != '' AND EXISTS (
    SELECT 1 FROM forgotten
    WHERE (list_contains(forgotten.callers, rows.caller)
            AND (rows."at" <= forgotten."at" OR list_contains(forgotten.pings, rows.ping)
                OR list_contains(forgotten.calls, rows.call)))
        OR (len(forgotten.callers) = 0 AND list_contains(forgotten.pings, rows.ping))
)
"""
"""What `Forgotten.has` says."""
WITHOUT_FORGOTTEN = f"""
SELECT * REPLACE (CASE WHEN {HAS_FORGOTTEN} THEN '' ELSE caller END AS caller) FROM ({ALL_ROWS}) AS rows
"""  # noqa: S608  # nosec B608 (names of columns)


def write_rows(
    database: Database, files: Sequence[Path], lines: bytes, name: str, forgotten: Sequence[Forgotten] = ()
) -> Path:
    """The rows of files and JSON lines as one file, each row once, by their time, without the callers who are to be
    forgotten."""
    database.take(files, lines)
    if not forgotten:
        return _write(database, f'{ALL_ROWS} ORDER BY "at"', name)
    _take_forgotten(database, forgotten)
    return _write(database, f'{WITHOUT_FORGOTTEN} ORDER BY "at"', name)


def has_forgotten(database: Database, file: Path, forgotten: Sequence[Forgotten]) -> bool:
    """Whether a file of rows has one of these callers."""
    database.take([file], b"")
    _take_forgotten(database, forgotten)
    found = database.connection.sql(ALL_ROWS).set_alias("rows").filter(HAS_FORGOTTEN).limit(1).fetchall()
    return bool(found)


def _take_forgotten(database: Database, forgotten: Sequence[Forgotten]) -> None:
    lines = database.keep("forgotten.jsonl", msgspec.json.Encoder().encode_lines(forgotten))
    database.read_lines(lines, FORGOTTEN).create_view("forgotten", replace=True)


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
