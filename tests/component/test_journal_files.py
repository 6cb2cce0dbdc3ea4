"""Whatever dies, comes late or meets another run: the files that count and the open pages have each row once."""

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
import pytest
from moto import mock_aws

from functions.minute.handler import lambda_handler
from shared.domain.models import DAY
from shared.journal.fetching import HOUR, Fetching, Found, Sources
from shared.journal.files import LATE_SECONDS, SWEEP_SECONDS, Files
from shared.journal.manifest import KEY, READING_SECONDS, WRITING_SECONDS, Contents, File, Manifest, Replaced, new_id
from shared.journal.rows import Row, decode, encode
from shared.journal.storage import Folder, NoSuchFile
from shared.runtime import journal
from shared.store.dynamo import Dynamo
from shared.store.erasures import Erasures
from shared.store.packing import pack, unpack
from shared.store.versions import Versions
from tests.build import SETTINGS, START, Clock, InTurn, Stage, a_client
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAMES = ("marked", "unmark", "lines", "put", "get", "delete", "names", "put_item", "get_item")
"""The calls of pages, storage and table at which a run may die."""
CLOSED, DAY_CLOSED = START + HOUR + LATE_SECONDS, START + DAY + LATE_SECONDS


class Died(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Mark:
    hour: int
    marks: int


@dataclass
class MemoryPages:
    """Pages as the journal function writes them: the page first, then the hour's mark."""

    rows: dict[int, list[Row]] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)
    closed: dict[int, int] = field(default_factory=dict)

    def write(self, *rows: Row) -> None:
        for row in rows:
            hour = row.at // HOUR * HOUR
            self.rows.setdefault(hour, []).append(row)
            self.marks[hour] = self.marks.get(hour, 0) + 1

    def lines(self, hour: int) -> bytes:
        return encode({(row.event, row.place): row for row in self.rows.get(hour, ())}.values())

    def marked(self, before: int) -> list[Mark]:
        return [
            Mark(hour, marks)
            for hour, marks in self.marks.items()
            if hour + HOUR <= before and self.closed.get(hour, 0) < marks
        ]

    def unmark(self, mark: Mark) -> None:
        self.closed[mark.hour] = max(self.closed.get(mark.hour, 0), mark.marks)


@dataclass
class Watched:
    """Calls `meet` with the number of each call of something, and what it does: `meet` does it, or not."""

    of: Any
    meet: Callable[[Callable[[], Any]], Any]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.of, name)
        if name not in NAMES:
            return found
        return lambda *arguments, **named: self.meet(lambda: found(*arguments, **named))


def read(file: Path, columns: str) -> list[Any]:
    with duckdb.connect() as connection:
        return connection.read_parquet(str(file)).project(columns).fetchall()


@dataclass
class Setting:
    """A journal, and copies of it as it was."""

    client: "DynamoDBClient"
    folder: Path
    clock: Clock = field(default_factory=Clock)
    pages: MemoryPages = field(default_factory=MemoryPages)
    written: dict[tuple[str, int], Row] = field(default_factory=dict)

    def files(self, meet: Callable[[Callable[[], Any]], Any] = lambda act: act()) -> Files:
        """A run of its own."""
        client, storage, pages = (cast(Any, Watched(of, meet)) for of in (self.client, Folder(self.folder), self.pages))
        dynamo = Dynamo(client, SETTINGS)
        return Files(Manifest(dynamo, self.clock), storage, pages, Erasures(dynamo))

    def manifest(self) -> Manifest:
        return self.files().manifest

    def fetching(self, cache: Path, most_bytes: int = 10**9) -> Fetching:
        found = self.files()
        return Fetching(found.manifest, found.storage, found.pages, cache, InTurn(), most_bytes)

    def write(self, *rows: Row) -> None:
        self.pages.write(*rows)
        self.written |= {(row.event, row.place): row for row in rows}

    def copy(self) -> Any:
        item = self.client.get_item(TableName="journal", Key=KEY).get("Item")
        copied = self.folder.with_name("copy")
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(self.folder, copied)
        return item, copy.deepcopy(self.pages), dict(self.written), self.clock.now

    def restore(self, copied: Any) -> None:
        item, pages, written, self.clock.now = copied
        self.pages, self.written = copy.deepcopy(pages), dict(written)
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.with_name("copy"), self.folder)
        self.client.delete_item(TableName="journal", Key=KEY)
        if item:
            self.client.put_item(TableName="journal", Item=item)

    def check(self) -> None:
        """No row is missing, and none is in two files."""
        marked = {mark.hour for mark in self.pages.marked(self.clock.now + DAY)}
        in_files = [row for file in self.manifest().read().files if file.kind != "cube" for row in self.rows_of(file)]
        assert len({*in_files}) == len(in_files)
        in_pages = {(row.event, row.place) for hour in marked for row in decode(self.pages.lines(hour))}
        assert {*in_files} | in_pages == {*self.written}

    def check_at_rest(self) -> None:
        """All rows are in files, each cube counts its day, and there is no file but those that count."""
        self.check()
        files = self.manifest().read().files
        assert self.pages.marked(self.clock.now) == []
        for cube in (file for file in files if file.kind == "cube"):
            [day] = [file for file in files if file.kind == "day" and file.start == cube.start]
            assert sum(rows for [rows] in read(self.folder / cube.name, '"rows"')) == day.rows
        self.clock.forward(WRITING_SECONDS + 1)
        run = self.files()
        run.sweep(self.clock.now, 395)
        run.delete_replaced(self.clock.now)
        assert run.storage.names("") == sorted(file.name for file in files)

    def rows_of(self, file: File) -> list[tuple[str, int]]:
        content = (self.folder / file.name).read_bytes()
        found = read(self.folder / file.name, "event, place")
        assert (len(content), len(found)) == (file.bytes, file.rows)
        return found


@pytest.fixture(scope="module")
def client() -> "DynamoDBClient":
    return a_client()


@pytest.fixture
def setting(client: "DynamoDBClient", tmp_path: Path) -> Iterator[Setting]:
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        (tmp_path / "journal").mkdir()
        yield Setting(client, tmp_path / "journal")


def a_row(event: str, at: int = 0, **more: Any) -> Row:
    return Row(event=event, at=START + at, kind="ping", **more)


def close_hours(run: Files, now: int) -> None:
    run.close_hours(now)


def close_days(run: Files, now: int) -> None:
    run.close_days(now)


def delete(run: Files, now: int) -> None:
    run.delete_replaced(now)
    run.sweep(now, 395)


Step = Callable[[Files, int], None]


def an_open_hour(setting: Setting) -> Step:
    setting.write(a_row("a", 5), a_row("a", 5, place=1), a_row("b", 4))
    setting.clock.now = CLOSED
    return close_hours


def a_late_page(setting: Setting) -> Step:
    an_open_hour(setting)(setting.files(), CLOSED)
    setting.write(a_row("b", 4), a_row("c", 9))
    return close_hours


def an_open_day(setting: Setting) -> Step:
    setting.write(a_row("x", HOUR))
    a_late_page(setting)
    setting.clock.now = DAY_CLOSED
    setting.files().close_hours(DAY_CLOSED)
    return close_days


def a_page_of_a_closed_day(setting: Setting) -> Step:
    an_open_day(setting)(setting.files(), DAY_CLOSED)
    setting.pages.rows.clear()  # they have ended
    setting.write(a_row("y", 2 * HOUR), a_row("z", HOUR + 7))
    return close_hours


def replaced_files(setting: Setting) -> Step:
    a_page_of_a_closed_day(setting)(setting.files(), DAY_CLOSED)
    setting.clock.forward(READING_SECONDS)
    return delete


SCENES = [an_open_hour, a_late_page, an_open_day, a_page_of_a_closed_day, replaced_files]
Scene = Callable[[Setting], Step]


def go_on(setting: Setting) -> None:
    """The next minute."""
    setting.clock.forward(60)
    run, now = setting.files(), setting.clock.now
    close_hours(run, now)
    close_days(run, now)


def each_call(setting: Setting, scene: Scene) -> Iterator[tuple[int, Step]]:
    """The number of each call of a scene's step, with everything as it was before it."""
    step = scene(setting)
    copied = setting.copy()
    calls = 0

    def count(act: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        return act()

    step(setting.files(count), setting.clock.now)
    assert calls > 3
    for number in range(calls):
        setting.restore(copied)
        yield number, step


def meeting(number: int, instead: Callable[[Callable[[], Any]], Any]) -> Callable[[Callable[[], Any]], Any]:
    """Something else happens at a call, once."""
    calls = 0

    def meet(act: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        return instead(act) if calls == number + 1 else act()

    return meet


@pytest.mark.parametrize("scene", SCENES)
def test_a_run_that_dies_after_any_call_loses_and_doubles_nothing(setting: Setting, scene: Scene) -> None:
    def die(act: Callable[[], Any]) -> None:
        act()
        raise Died

    for number, step in each_call(setting, scene):
        with pytest.raises(Died):
            step(setting.files(meeting(number, die)), setting.clock.now)
        setting.check()
        go_on(setting)
        setting.check_at_rest()


@pytest.mark.parametrize("scene", SCENES)
def test_two_runs_that_meet_at_any_call_lose_and_double_nothing(setting: Setting, scene: Scene) -> None:
    def other_run(act: Callable[[], Any]) -> Any:
        setting.write(a_row("late", 6))
        run, now = setting.files(), setting.clock.now
        for other in (close_hours, close_days, delete):
            other(run, now)
        setting.check()
        return act()

    for number, step in each_call(setting, scene):
        with suppress(ExceptionGroup):  # the other one may have deleted what this one reads, but not within minutes
            step(setting.files(meeting(number, other_run)), setting.clock.now)
        setting.check()
        go_on(setting)
        setting.check_at_rest()


@pytest.mark.parametrize("scene", [a_late_page, an_open_day])
def test_a_page_that_comes_at_any_call_is_in_a_file_in_the_end(setting: Setting, scene: Scene) -> None:
    for number, step in each_call(setting, scene):

        def write(act: Callable[[], Any]) -> Any:
            setting.write(a_row("late", 6), a_row("later", HOUR + 6), a_row("b", 4))
            return act()

        step(setting.files(meeting(number, write)), setting.clock.now)
        setting.check()
        go_on(setting)
        setting.check_at_rest()


@pytest.mark.parametrize("scene", SCENES)
def test_a_call_that_is_done_after_its_run_has_died_and_another_has_come_does_nothing(
    setting: Setting, scene: Scene
) -> None:
    for number, step in each_call(setting, scene):
        late: list[Callable[[], Any]] = []

        def lose(act: Callable[[], Any], late: list[Callable[[], Any]] = late) -> None:
            late.append(act)
            raise Died

        with pytest.raises(Died):
            step(setting.files(meeting(number, lose)), setting.clock.now)
        setting.check()
        setting.write(a_row("late", 6))
        go_on(setting)
        with suppress(setting.client.exceptions.ConditionalCheckFailedException, NoSuchFile):
            late[0]()
        setting.check()
        setting.check_at_rest()


# What it is in the end


def test_an_hour_becomes_a_file_ten_minutes_after_its_end_and_a_day_after_its_own(setting: Setting) -> None:
    setting.write(a_row("a", 5), a_row("b", DAY - 1), a_row("c", DAY))
    setting.files().close_hours(CLOSED - 1)
    assert setting.manifest().read().files == ()
    setting.files().close_hours(CLOSED)
    setting.files().close_days(DAY_CLOSED - 1)
    assert [(file.kind, file.start, file.rows) for file in setting.manifest().read().files] == [("hour", START, 1)]
    setting.files().close_days(DAY_CLOSED)  # an hour of it is still to be closed
    assert [file.kind for file in setting.manifest().read().files] == ["hour"]
    setting.clock.now = DAY_CLOSED
    assert (setting.files().close_hours(DAY_CLOSED), setting.files().close_days(DAY_CLOSED)) == (1, 1)
    assert [(file.kind, file.start, file.rows) for file in setting.manifest().read().files] == [
        ("day", START, 2),
        ("cube", START, 2),
    ]
    assert [file.name.rpartition("/")[0] for file in setting.manifest().read().files] == [
        "days/day=2100-01-01",
        "cubes/day=2100-01-01",
    ]


def test_what_comes_again_makes_no_new_file(setting: Setting) -> None:
    a_page_of_a_closed_day(setting)(setting.files(), DAY_CLOSED)
    files = setting.manifest().read().files
    setting.pages.write(*setting.written.values())
    assert setting.files().close_hours(DAY_CLOSED) == 0
    assert (setting.manifest().read().files, setting.pages.marked(DAY_CLOSED)) == (files, [])


def test_a_replaced_file_is_there_for_five_minutes(setting: Setting) -> None:
    an_open_hour(setting)(setting.files(), CLOSED)
    [old] = setting.manifest().read().files
    setting.write(a_row("late", 7))
    setting.files().close_hours(CLOSED)
    run = setting.files()
    setting.clock.forward(READING_SECONDS - 1)
    assert (run.delete_replaced(setting.clock.now), run.storage.get(old.name) != b"") == (0, True)
    setting.clock.forward(1)
    assert run.delete_replaced(setting.clock.now) == 1
    with pytest.raises(NoSuchFile):
        run.storage.get(old.name)
    assert setting.manifest().read().replaced == ()


def test_a_day_is_kept_until_its_retention_is_over(setting: Setting) -> None:
    an_open_day(setting)(setting.files(), DAY_CLOSED)
    for days, kept in ((35, 2), (36, 0)):
        setting.clock.now = START + days * DAY
        setting.files().sweep(setting.clock.now, 35)
        assert len(setting.manifest().read().files) == kept
    setting.clock.forward(READING_SECONDS)
    setting.files().delete_replaced(setting.clock.now)
    assert setting.files().storage.names("") == []


def test_an_hour_whose_file_is_gone_keeps_no_other_from_being_closed(setting: Setting) -> None:
    setting.clock.now = START + 5 * HOUR
    setting.write(a_row("a"))
    setting.files().close_hours(setting.clock.now)
    [file] = setting.manifest().read().files
    (setting.folder / file.name).unlink()
    setting.write(a_row("late"), a_row("b", HOUR))
    with pytest.raises(ExceptionGroup) as failed:
        setting.files().close_hours(setting.clock.now)
    assert [type(each) for each in failed.value.exceptions] == [NoSuchFile]
    assert [(file.start, file.rows) for file in setting.manifest().read().files] == [(START, 1), (START + HOUR, 1)]


def test_the_manifest_of_ten_years_fits_into_an_item() -> None:
    days = [
        File(kind, START + day * DAY, new_id(START), 10**7, 10**9) for day in range(3650) for kind in ("day", "cube")
    ]
    hours = [File("hour", START + hour * HOUR, new_id(START), 10**6, 10**8) for hour in range(48)]
    replaced = [Replaced(file.name, START) for file in days[:100]]
    contents = Contents((*days, *hours), (*replaced,), START)
    assert len(pack(contents)) < 300_000
    assert unpack(pack(contents), Contents) == contents


# What a question fetches


def rows_in(sources: Sources) -> list[str]:
    found = {(row.event, row.place) for row in decode(sources.lines)}
    for path in sources.files:
        found |= {*read(path, "event, place")}
    return sorted(event for event, _ in found)


def test_a_question_reads_the_files_of_its_time_and_the_pages_that_no_file_has(
    setting: Setting, tmp_path: Path
) -> None:
    setting.write(a_row("a"), a_row("b", HOUR), a_row("c", DAY), a_row("d", DAY + HOUR))
    for now in (DAY_CLOSED, DAY_CLOSED + HOUR):
        setting.files().close_hours(now)
        setting.files().close_days(now)
    fetching = setting.fetching(tmp_path / "cache")

    def kinds(start: int, end: int, by_cube: bool = False) -> tuple[list[str], int, list[int]]:
        found = fetching.files_of(START + start, START + end, by_cube)
        return [file.kind for file in found.files], len(found.cubes), [hour - START for hour in found.hours]

    assert kinds(0, 3 * DAY) == (["day", "hour"], 0, [DAY + HOUR])
    assert kinds(0, 3 * DAY, by_cube=True) == (["hour"], 1, [DAY + HOUR])
    assert kinds(HOUR, DAY) == (["day"], 0, [])
    assert kinds(DAY + HOUR - 1, DAY + HOUR) == (["hour"], 0, [])
    assert kinds(DAY + 2 * HOUR, 3 * DAY) == ([], 0, [])
    assert kinds(-DAY, 0) == ([], 0, [])
    assert rows_in(fetching.fetch(fetching.files_of(START, START + 3 * DAY))) == ["a", "b", "c", "d"]
    setting.write(a_row("late"))  # the cube has not counted it
    assert kinds(0, DAY, by_cube=True) == (["day"], 0, [0])
    assert rows_in(fetching.fetch(fetching.files_of(START, START + DAY, by_cube=True))) == ["a", "b", "late"]


def test_an_hour_that_is_closed_while_a_reader_looks_is_not_missed(setting: Setting, tmp_path: Path) -> None:
    step = an_open_hour(setting)
    for number in range(3):
        setting.write(a_row(f"late-{number}"))

        def close(act: Callable[[], Any]) -> Any:
            step(setting.files(), setting.clock.now)
            return act()

        run = setting.files(meeting(number, close))
        fetching = Fetching(run.manifest, run.storage, run.pages, tmp_path / "cache", InTurn())
        sources = fetching.fetch(fetching.files_of(START, START + HOUR))
        assert rows_in(sources) == sorted(event for event, _ in setting.written)


def test_files_are_fetched_once_and_the_cache_has_a_bound(setting: Setting, tmp_path: Path) -> None:
    for hour in range(3):
        setting.write(a_row(str(hour), hour * HOUR))
    setting.files().close_hours(DAY_CLOSED)
    [first, second, third] = setting.manifest().read().files
    fetching = setting.fetching(tmp_path / "cache", first.bytes + max(second.bytes, third.bytes))

    def fetch(*files: File) -> list[str]:
        fetching.fetch(Found(files, (), ()))
        return fetching.cache.names("")

    assert fetch(first, second) == [first.name, second.name]
    (setting.folder / first.name).unlink()
    assert fetch(first) == [first.name, second.name]
    assert fetch(third) == [first.name, third.name]
    with pytest.raises(NoSuchFile):
        fetch(File("hour", START, "0-none", 1, 1))


def test_a_file_that_is_deleted_does_not_stay_with_who_has_fetched_it(setting: Setting, tmp_path: Path) -> None:
    an_open_hour(setting)(setting.files(), CLOSED)
    fetching = setting.fetching(tmp_path / "cache")
    [old] = fetching.files_of(START, START + HOUR).files
    fetching.fetch(Found((old,), (), ()))
    setting.write(a_row("late", 7))
    setting.files().close_hours(CLOSED)
    fetching.files_of(START, START + HOUR)
    assert fetching.cache.names("") == [old.name]
    setting.clock.forward(READING_SECONDS)
    setting.files().delete_replaced(setting.clock.now)
    fetching.files_of(START, START + HOUR)
    assert fetching.cache.names("") == []


def test_the_minute_function_does_all_of_it(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = Versions(Dynamo(setting.client, SETTINGS), setting.clock)
    monkeypatch.setattr(journal, "journal_files", lambda: (setting.files(), versions))
    monkeypatch.setattr(journal, "finish_erasings", lambda: 0)
    monkeypatch.setattr(journal, "calls_due", Stage(setting.client, clock=setting.clock).due_work)
    monkeypatch.setattr(time, "time", lambda: float(setting.clock.now))
    an_open_day(setting)

    def call() -> dict[str, int]:
        return lambda_handler({}, None)  # type: ignore[arg-type]

    assert call() == {"due": 0, "hours_closed": 0, "days_closed": 1, "deleted": 0, "erased": 0, "strays": 0}
    setting.clock.forward(READING_SECONDS)
    assert call() == {"due": 0, "hours_closed": 0, "days_closed": 0, "deleted": 3, "erased": 0, "strays": 0}
    setting.folder.joinpath("hours/day=2100-01-01", f"{START}-0a.parquet").touch()
    assert call()["strays"] == 0
    setting.clock.forward(SWEEP_SECONDS)
    assert call()["strays"] == 1
    setting.check_at_rest()
