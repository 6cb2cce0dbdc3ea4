"""Pages, hours, days and late pages: whatever has become of a row, a reader finds it once."""

from pathlib import Path

import duckdb

from shared.domain.models import DAY
from shared.journal.fetching import Fetching
from shared.journal.files import LATE_SECONDS, Files
from shared.journal.rows import Row, decode
from shared.journal.storage import Folder
from shared.store.erasures import Erasures
from tests.build import START, Stage

ROWS = [Row(event=f"{n:04}", at=START + 97 * n, kind="ping", bids=n % 3) for n in range(200)]
LATE = Row(event="late", at=START, kind="ping")


def test_a_row_is_found_once_in_pages_in_hours_and_in_days(stage: Stage, tmp_path: Path) -> None:
    opened = stage.open_files()
    fetching = Fetching(opened.manifest, Folder(tmp_path / "files"), opened.pages, tmp_path / "fetched", stage.io_pool)
    pages = fetching.pages
    files = Files(fetching.manifest, fetching.storage, pages, Erasures(pages.dynamo))

    def found() -> tuple[set[str], int]:
        """The events of all rows, and how many files they are in."""
        sources = fetching.fetch(fetching.files_of(START, START + DAY))
        with duckdb.connect() as connection:
            paths = [str(path) for path in sources.files]
            filed = [event for path in paths for [event] in connection.read_parquet(path).project("event").fetchall()]
        assert len(filed) == len(set(filed))
        return {*filed, *(row.event for row in decode(sources.lines))}, len(sources.files)

    pages.write("pings", ROWS[:100])
    assert found() == ({row.event for row in ROWS[:100]}, 0)
    stage.clock.forward(2 * 3600)
    assert files.close_hours(stage.clock()) == 1
    pages.write("pings", ROWS[50:])
    assert found() == ({row.event for row in ROWS}, 1)
    stage.clock.forward(DAY - 2 * 3600 + LATE_SECONDS)
    assert (files.close_hours(stage.clock()), files.close_days(stage.clock())) == (5, 1)
    assert found() == ({row.event for row in ROWS}, 1)
    pages.write("pings", [LATE, *ROWS[:3]])
    assert found() == ({"late", *(row.event for row in ROWS)}, 1)
    assert (files.close_hours(stage.clock()), files.close_days(stage.clock())) == (1, 0)
    assert found() == ({"late", *(row.event for row in ROWS)}, 1)
    assert not fetching.files_of(START, START + DAY).hours
