"""DuckDB over rows: a database in memory for each question, which can open nothing but the files that it is given."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from shared.domain.objections import NotValid
from shared.journal.fetching import Sources
from shared.journal.rows import TYPES, Row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

QUERIES = Path(__file__).parent / "queries"
MEMORY = "384MB"
"""Of DuckDB; what is more is in files for a while."""
MOST_BYTES = 400_000_000
"""Of rows that one question reads."""
_EMPTY = {"BIGINT": "0", "VARCHAR": "''", "VARCHAR[]": "[]::VARCHAR[]", "JSON": "'[]'::JSON"}
_REQUIRED = {field.name for field in msgspec.structs.fields(Row) if field.required}
_COLUMNS = ", ".join(
    f'"{name}"' if name in _REQUIRED else f'coalesce("{name}", {_EMPTY[kind]}) AS "{name}"'
    for name, kind in TYPES.items()
)

ALL_ROWS = f"SELECT {_COLUMNS} FROM (SELECT * FROM new_rows UNION ALL BY NAME SELECT * FROM file_rows)"  # noqa: S608  # nosec B608 (names of columns)
"""What JSON and older files leave out has the default of `Row`."""
PAGE_ROWS = "CREATE OR REPLACE TABLE page_rows AS SELECT DISTINCT ON (event, coalesce(place, 0)) * FROM page_lines"
NEW_ROWS = """
SELECT * FROM page_rows WHERE NOT EXISTS (
    SELECT 1 FROM file_rows
    WHERE file_rows.event = page_rows.event AND coalesce(file_rows.place, 0) = coalesce(page_rows.place, 0)
        AND file_rows."at" >= (SELECT min("at") FROM page_rows)
)
"""
"""Each row of pages that is in no file, once."""


class TooMuch(Exception):
    """A question that would read so many bytes is not asked."""

    def __init__(self, size: int) -> None:
        super().__init__(f"It would read {size / 1e6:,.0f} MB of rows; at most {MOST_BYTES / 1e6:,.0f} MB are read")


class FileUnreadable(Exception):
    """A file is missing, or is none of the journal."""


class Database:
    """`folder` is there for as long as the database."""

    def __init__(self, folder: Path, connection: "DuckDBPyConnection") -> None:
        self.folder = folder
        self.connection = connection

    def keep(self, name: str, content: bytes) -> Path:
        file = self.folder / name
        file.write_bytes(content)
        return file

    def read_lines(self, file: Path, types: Mapping[str, str] = TYPES) -> "DuckDBPyRelation":
        """Rows, or what else has these columns, from JSON lines."""
        return self.connection.read_json(str(file), columns=dict(types), format="newline_delimited")

    def take(self, files: Sequence[Path], lines: bytes) -> None:
        """Make the view `file_rows` and the table `page_rows` of what is given, and the view `new_rows` of what only
        pages have."""
        self.read_lines(self.keep("pages.jsonl", lines)).create_view("page_lines")
        self.connection.execute(PAGE_ROWS)
        filed = self.read_lines(self.keep("nothing.jsonl", b""))
        if files:
            filed.create_view("no_rows")
            self.connection.read_parquet([str(file) for file in files], union_by_name=True).create_view("some_rows")
            filed = self.connection.sql("SELECT * FROM no_rows UNION ALL BY NAME SELECT * FROM some_rows")
        filed.create_view("file_rows")
        self.connection.sql(NEW_ROWS).create_view("new_rows")

    def ask(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        """The lines that the query of this name answers with. Raises `NotValid`, where it takes too much memory, and
        `FileUnreadable`."""
        with _name_errors():
            return self.connection.execute((QUERIES / query).read_text(), dict(values)).fetchall()


@contextmanager
def open_database(files: Sequence[Path] = ()) -> Iterator[Database]:
    """A database that can open these files."""
    import duckdb  # slow to import

    with TemporaryDirectory(prefix="journal-") as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": 2,
            "memory_limit": MEMORY,
            "home_directory": folder,
            "temp_directory": f"{folder}/spilled",
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
        }
        with duckdb.connect(config=settings) as connection:
            connection.execute("SET allowed_directories = $folders", {"folders": [folder]})
            connection.execute("SET allowed_paths = $paths", {"paths": [str(path) for path in files]})
            connection.execute("SET enable_external_access = false")
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SET lock_configuration = true")
            yield Database(Path(folder), connection)


@contextmanager
def open_rows(sources: Sources, *, is_bounded: bool = True) -> Iterator[Database]:
    """A database with the view `all_rows`: every row once, with all columns; and, of days that come as cubes, their
    counts in the view `cube_rows`. Raises `TooMuch` and `FileUnreadable`."""
    files = (*sources.files, *sources.cubes)
    if missing := [path for path in files if not path.is_file()]:
        raise FileUnreadable(f"{len(missing)} files of the journal are missing.")
    size = sum(path.stat().st_size for path in files) + len(sources.lines)
    if is_bounded and size > MOST_BYTES:
        raise TooMuch(size)
    with open_database(files) as database:
        with _name_errors():
            database.take(sources.files, sources.lines)
            database.connection.sql(ALL_ROWS).create_view("all_rows")
            if sources.cubes:
                database.connection.read_parquet([str(cube) for cube in sources.cubes]).create_view("cube_rows")
        yield database


@contextmanager
def _name_errors() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise NotValid({"by": ["makes too many groups; take fewer, or a shorter range"]}) from None
    except duckdb.Error as error:
        raise FileUnreadable("A file of the journal is missing or damaged.") from error
