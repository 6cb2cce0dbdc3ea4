"""How long a month's report takes over a million rows, with as many in the month before: of a process that has only
just started and has to bring the files, and again. Beside it what cubes answer, and one that the process remembers."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.report import Report
from shared.domain.models import DAY
from shared.journal import parquet
from shared.journal.database import open_database
from tools.engine import ROOT

START = 1_793_491_200
"""The first of November 2026."""
MONTH, BEFORE = 30, 31
"""Days."""
ROWS_A_DAY, SHORT = 33_334, 200
FIRST_SECONDS, AGAIN_SECONDS = 1.5, 0.3
GROUPINGS = ((), ("offer",), ("day",), ("source", "state"), ("buyer",))
JUDGED = ("offer",)

ROWS = """
WITH drawn AS (
    SELECT n, $day + n * 86400 // $count AS moment, (hash(n, $day) >> 8)::BIGINT AS h FROM range($count) AS numbers(n)
)
SELECT
    md5(n || '-' || $day) AS event, 0::BIGINT AS place, moment AS "at",
    CASE WHEN h % 20 = 0 THEN 'refused' WHEN h % 20 < 3 THEN 'sale' ELSE 'ping' END AS kind,
    CASE WHEN kind = 'sale' THEN moment ELSE 0 END AS sold_at,
    left(md5('p' || n || '-' || $day), 24) AS ping,
    'endpoint-' || h // 20 % 20 AS endpoint, 'offer-' || h // 20 % 10 AS offer, 'user-' || h // 400 % 20 AS "user",
    h // 400 % 20 || '-' || h // 8000 % 5 AS source,
    CASE WHEN kind = 'sale' THEN 1 + h // 40000 % 20 ELSE 0 END AS buyer,
    CASE kind WHEN 'sale' THEN 'sold' WHEN 'refused' THEN 'invalid_fields' ELSE 'success' END AS status,
    CASE WHEN kind = 'ping' THEN 1 + h // 800000 % 8 ELSE 0 END AS bids,
    500 + h // 800000 % 4500 AS best_bid_cents,
    CASE WHEN kind = 'sale' THEN best_bid_cents ELSE 0 END AS revenue_cents,
    CASE WHEN kind = 'sale' THEN best_bid_cents * 4 // 5 ELSE 0 END AS payout_cents,
    ['TX', 'CA', 'FL', 'NY', 'OH', 'PA', 'IL', 'GA', 'NC', 'MI'][1 + h // 40000 % 10] AS state,
    (200 + h // 40000 % 700)::VARCHAR AS area_code,
    CASE WHEN kind = 'sale' THEN '+1800555' || lpad((h // 40000 % 500)::VARCHAR, 4, '0') ELSE '' END AS number,
    1::BIGINT AS version,
    CASE WHEN kind = 'ping'
        THEN repeat('.', bids)
            || translate(left(md5((h % 5000)::VARCHAR), 20 - bids), '0123456789abcdef', 'ppphhhtffffffsdc')
        ELSE '' END AS reasons,
    CASE WHEN kind = 'ping' AND h % 5 = 3
        THEN '[[' || 1 + h % 20 || ',"bid",' || 50 + h // 99 % 400 || '],[' || 1 + h // 7 % 20 || ',"timed_out",1500]]'
        ELSE '[]' END::JSON AS live,
    CASE WHEN kind = 'refused' THEN ['caller_id'] ELSE []::VARCHAR[] END AS fields,
    20 + h // 800000 % 300 AS milliseconds,
    left(md5((h % 300000)::VARCHAR), 16) AS caller,
    '' AS pool, 0::BIGINT AS pool_used
FROM drawn
"""
"""One day of a marketplace of 20 endpoints with 20 buyers each: one in seven is sold, one in five asks live buyers."""
PROGRAM = """
import shutil, sys, time
from pathlib import Path
began = time.perf_counter()
from bench.report_bench import ask
kept, brought, by = Path(sys.argv[1]), Path(sys.argv[2]), tuple(filter(None, sys.argv[3].split(",")))
of_cubes = sys.argv[4] == "cubes"
pattern = "cube-*" if of_cubes else "day-*"
for file in sorted(kept.glob(pattern)):
    shutil.copyfile(file, brought / file.name)
took = []
for _ in range(2):
    ask(brought, pattern, by, of_cubes)
    took.append(time.perf_counter() - began)
    began = time.perf_counter()
print(f"\\n{took}")  # below the progress that DuckDB shows
"""


Asked = tuple[tuple[str, ...], bool]
"""What a report is grouped by, and whether cubes answer it."""


class Measured(Struct, array_like=True):
    first: float
    again: float


def run(report: Report) -> None:
    rows = report.size(ROWS_A_DAY, SHORT)
    report.section("report", f"a month of {rows * MONTH:,} rows, and the month before; seconds")
    asked = [(by, of_cubes) for by in GROUPINGS for of_cubes in (False, True) if not (of_cubes and "buyer" in by)]
    found, size = measure(rows, asked)
    table = [
        (f"{', '.join(by) or 'in all'}{', counts only' if of_cubes else ''}", took.first, took.again)
        for (by, of_cubes), took in found.items()
    ]
    report.table(("by", "first", "again"), table)
    report.table(("files of days", "MB"), [("of two months", size / 1e6)])
    report.goal("a month's report by offer, first: s", found[JUDGED, False].first, FIRST_SECONDS)
    report.goal("a month's report by offer, again: s", found[JUDGED, False].again, AGAIN_SECONDS)


def measure(rows: int, asked: Sequence[Asked]) -> tuple[dict[Asked, Measured], int]:
    """What each question takes over so many rows a day, and the bytes of the files."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        kept.mkdir()
        size = _write(kept, rows)
        return {each: _measure(kept, Path(folder), *each) for each in asked}, size


def ask(folder: Path, pattern: str, by: tuple[str, ...], of_cubes: bool) -> None:
    """As the office does with files that are there."""
    from shared.journal.fetching import Sources
    from shared.journal.periods import Period
    from shared.journal.reports import Question, read_report

    files = tuple(sorted(folder.glob(pattern)))
    sources = Sources((), b"", files) if of_cubes else Sources(files)
    question = Question(period=Period(START, START + MONTH * DAY), by=by, of_cubes=of_cubes)
    versions = {(f"endpoint-{n}", 1): [*range(1, 21)] for n in range(20)}
    assert read_report(question, START + MONTH * DAY, sources, versions).total.pings


def _write(folder: Path, rows: int) -> int:
    """Files and cubes of two months, and the bytes of the files."""
    size = 0
    with open_database() as database:
        for place in range(-BEFORE, MONTH):
            values = {"day": START + place * DAY, "count": rows}
            database.connection.execute(f"CREATE OR REPLACE TEMP TABLE made AS {ROWS}", values)
            day = database.folder / "day.parquet"
            database.connection.table("made").write_parquet(str(day), compression="zstd")
            name = f"{place + BEFORE:02}.parquet"
            (folder / f"day-{name}").write_bytes(day.read_bytes())
            cube = parquet.write_cube(database, day, "cube.parquet")
            (folder / f"cube-{name}").write_bytes(cube.read_bytes())
            size += day.stat().st_size
    return size


def _measure(kept: Path, folder: Path, by: tuple[str, ...], of_cubes: bool) -> Measured:
    """Of a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as brought:
        command = [sys.executable, "-c", PROGRAM, str(kept), brought, ",".join(by), "cubes" if of_cubes else "rows"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=Measured)
