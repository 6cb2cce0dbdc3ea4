"""After an erase nothing is left of a caller: in no table, page, file or record that was set aside, whatever comes late
or dies in between."""

import base64
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import duckdb
import pytest
from msgspec import structs

from shared.domain.keys import caller_hash, caller_key
from shared.domain.models import DAY
from shared.domain.refusals import TemporarilyUnavailable
from shared.journal.fetching import HOUR
from shared.journal.files import LATE_SECONDS
from shared.journal.manifest import WRITING_SECONDS, File, Overtaken, new_id
from shared.journal.rows import Row, decode
from shared.operators import erasing
from shared.operators.erasing import SETTLED_SECONDS
from shared.store.erasures import Erasures
from shared.store.packing import UnknownFormat, inflate
from shared.store.pings import CLAIM_SECONDS, Pings
from shared.store.routes import Routes
from tests import office
from tests.build import CALLER, KEYS, START, Publisher, Stage, an_endpoint

OTHER, STATIC = "+16145550124", "+18005550170"
HASH = caller_hash(KEYS, CALLER)
START_OF_HASH = HASH[:8].hex()
TRACES = (
    CALLER.encode(), CALLER[2:].encode(), b"lead@example.com", HASH[:8], START_OF_HASH.encode(),
    caller_key(KEYS, "sold", CALLER),
)  # fmt: skip


def traces(stage: Stage) -> list[str]:
    """Where the caller is found, in whatever form, but for the record of the erasing."""
    finishing = stage.finishing()
    storage, found = finishing.forgetting.letters.storage, list[str]()
    for table in stage.client.list_tables()["TableNames"]:
        for item in stage.client.scan(TableName=table)["Items"]:
            if item.get("pk") != {"S": "ERASED"} and is_found(opened(item)):
                found.append(table)
    for name in storage.names(""):
        content = storage.get(name)
        if name.endswith(".parquet"):
            path = stage.place / "looked-at"
            path.write_bytes(content)
            with duckdb.connect() as connection:
                content = repr(connection.read_parquet(str(path)).fetchall()).encode()
        else:
            content = opened_json(json.loads(content))
        if is_found(content):
            found.append(name.partition("/")[0])
    return sorted(found)


def is_found(content: bytes) -> bool:
    return any(each in content for each in TRACES)


def opened(value: Any) -> bytes:
    """A value with whatever is packed in it."""
    if isinstance(value, bytes):
        with suppress(zlib.error, UnknownFormat):  # random bytes may begin as packed ones do
            return value + inflate(value)
        return value
    if isinstance(value, dict):
        return b"\n".join(opened(each) for each in value.values())
    if isinstance(value, list | set | tuple):
        return b"\n".join(opened(each) for each in value)
    return str(value).encode()


def opened_json(value: Any) -> bytes:
    """The same of JSON, in which bytes are base64 and events texts."""
    if isinstance(value, dict):
        parts = [base64.b64decode(each) if name == "B" else each for name, each in value.items()]
        return b"\n".join(opened(part) if isinstance(part, bytes) else opened_json(part) for part in parts)
    if isinstance(value, list):
        return b"\n".join(opened_json(each) for each in value)
    if isinstance(value, str) and value.startswith("{"):
        return opened_json(json.loads(value))
    return str(value).encode()


def traffic(stage: Stage) -> None:
    """Pings, sales and refusals of the caller and of another one, over two days; the first is in a day's file, then
    come an hour's file and pages."""
    publisher = Publisher(stage)
    stage.publish(an_endpoint(duplicate_seconds=1), an_endpoint(vanity_uri="nobody", buyers=()))
    for seconds in (DAY, HOUR + LATE_SECONDS, 0):
        for caller in (CALLER, OTHER):
            assert publisher.full(caller_id=caller, email="lead@example.com" if caller == CALLER else "").code == 200
            ping_id = publisher.ping("nobody", caller_id=caller)
            assert ping_id.body["status"] == "no_matching_buyer"
            assert publisher.ping(caller_id=caller).body["status"] == "duplicate_caller"
        stage.bring_stream()
        stage.clock.forward(seconds + LATE_SECONDS)
        close(stage)


def close(stage: Stage) -> None:
    files, now = stage.finishing().forgetting.files, stage.clock()
    files.close_hours(now)
    files.close_days(now)


def rows(stage: Stage) -> list[Row]:
    """Every row, once."""
    fetching = stage.open_files()
    sources = fetching.fetch(fetching.files_of(START, stage.clock() + DAY))
    found = {(row.event, row.place): row for row in decode(sources.lines)}
    columns = "event, place, kind, status, caller, area_code, revenue_cents"
    for path in sources.files:
        with duckdb.connect() as connection:
            for event, place, kind, status, caller, area_code, cents in (
                connection.read_parquet(str(path)).project(columns).fetchall()
            ):
                row = Row(event=event, place=place, at=0, kind=kind, status=status, caller=caller, area_code=area_code)
                found[event, place] = structs.replace(row, revenue_cents=cents)
    return [*found.values()]


def facts(stage: Stage) -> list[tuple[str, str, str, int]]:
    return sorted((row.kind, row.status, row.area_code, row.revenue_cents) for row in rows(stage))


def test_nothing_is_left_of_a_caller_and_the_facts_stay(stage: Stage) -> None:
    traffic(stage)
    before, of_other = facts(stage), [row.event for row in rows(stage) if row.caller not in ("", START_OF_HASH)]
    assert {*traces(stage)} == {"callers", "days", "hours", "journal", "pings"}

    stage.erase(CALLER)

    assert traces(stage) == []
    assert facts(stage) == before
    assert sorted(row.event for row in rows(stage) if row.caller) == sorted(of_other)


def test_a_late_page_of_the_hour_brings_nothing_back(stage: Stage) -> None:
    traffic(stage)
    [dirty] = [row for row in rows(stage) if row.caller == START_OF_HASH and row.kind == "sale"][:1]
    stage.erase(CALLER)
    late = Row(event="late", at=START + 5, kind="ping", caller=START_OF_HASH, ping="00" * 12)
    pages = stage.bring_stream()
    pages.write("pings", [late, structs.replace(late, event=dirty.event, place=dirty.place)])
    assert traces(stage) == []
    close(stage)
    assert traces(stage) == []
    assert "late" in {row.event for row in rows(stage)}


def test_what_the_caller_does_afterwards_is_kept(stage: Stage) -> None:
    traffic(stage)
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    stage.clock.forward(1)
    assert Publisher(stage).full(caller_id=CALLER).body["success"]
    assert stage.finish(begun).finished_at
    assert [row.kind for row in rows(stage) if row.caller == START_OF_HASH] == ["ping", "sale"]
    assert stage.finishing().erasing.preview(CALLER, "somebody").pings == 1


def test_a_request_that_was_under_way_is_erased_once_its_rows_are_there(stage: Stage) -> None:
    stage.publish(an_endpoint())
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    Publisher(stage).ping(caller_id=CALLER)  # stored after it was looked for
    assert begun.erased.pings == 0
    assert stage.finish(begun).pings == 1
    assert traces(stage) == []


def test_while_the_stream_is_stuck_nothing_is_called_finished(stage: Stage) -> None:
    stage.publish(an_endpoint())
    Publisher(stage).full(caller_id=CALLER)
    finishing = stage.finishing()
    begun = finishing.erasing.erase(CALLER, "somebody")
    Publisher(stage).ping(caller_id=OTHER)
    for _ in range(5):
        stage.clock.forward(600)
        begun = finishing.go_on(begun)
    assert (begun.erased.finished_at, begun.rewritten_at) == (0, 0)
    assert stage.finish(begun).finished_at


def test_probes_of_a_day_ago_are_put_again(stage: Stage) -> None:
    stage.publish(an_endpoint())
    finishing = stage.finishing()
    begun = finishing.erasing.erase(CALLER, "somebody")
    for _ in range(2):
        stage.clock.forward(SETTLED_SECONDS)
        begun = finishing.go_on(begun)  # whose probes nobody meets
    stage.clock.forward(2 * DAY)
    assert stage.finish(begun).finished_at


def test_what_was_kept_longer_before_is_found_too(stage: Stage) -> None:
    for lead_days, day in ((365, 0), (30, 50)):
        retention = {"lead_days": lead_days, "sale_days": 400}
        office.opened(stage, account={"retention": retention})
        if not day:
            assert Publisher(stage).ping(caller_id=CALLER, email="lead@example.com").body["success"]
        stage.clock.forward(50 * DAY)
    assert stage.erase(CALLER).pings == 1
    assert traces(stage) == []


@pytest.mark.parametrize("dies_at", ["search", "routes"])
def test_who_dies_while_it_erases_has_left_neither_marks_nor_routes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    """The minute function, which knows no number, goes on."""
    numbers = {"static_numbers": {STATIC: "1023"}, "pool": None, "duplicate_seconds": 400 * DAY}
    stage.publish(an_endpoint(**numbers))
    sent = {"caller_id": CALLER, "traffic_source_id": "1023", "trackdrive_number": STATIC}
    assert Publisher(stage).full(**sent).body["success"]
    stage.bring_stream()
    if dies_at == "search":  # the mark lives longer than the ping
        for item in stage.client.scan(TableName="pings")["Items"]:
            stage.client.delete_item(TableName="pings", Key={"ping_id": item["ping_id"]})

    def die(*_: object) -> None:
        raise TemporarilyUnavailable

    started = stage.finishing().erasing
    with monkeypatch.context() as patch:
        patch.setattr(*{"search": (erasing, "find_pings"), "routes": (Routes, "remove")}[dies_at], die)
        with pytest.raises(TemporarilyUnavailable):
            started.erase(CALLER, "somebody")
    stage.finish_all()
    assert traces(stage) == []
    assert stage.route(STATIC) is None
    assert not stage.finishing().erasing.preview(CALLER, "somebody").marks


def test_an_erasing_that_begins_once_more_late_takes_no_mark_of_a_later_sale(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.publish(an_endpoint(duplicate_seconds=DAY))
    kept, change = list[Any](), Erasures._change

    def keep(*sent: Any) -> None:
        kept.append(sent)
        change(*sent)

    monkeypatch.setattr(Erasures, "_change", keep)
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    stage.clock.forward(1)
    assert Publisher(stage).full(caller_id=CALLER).body["success"]
    change(*kept[0])
    assert stage.finish(begun).finished_at
    assert Publisher(stage).ping(caller_id=CALLER).body["status"] == "duplicate_caller"


def test_what_was_set_aside_goes_too_and_its_ping_with_it(stage: Stage) -> None:
    """A record that cannot be read has no row to find its ping by."""
    stage.publish(an_endpoint())
    stage.bring_stream()
    for caller in (CALLER, OTHER):
        Publisher(stage).ping(caller_id=caller, email="lead@example.com" if caller == CALLER else "")
    batch = stage.stream.next_batch()
    assert batch
    assert stage.stream.note_done(batch, {"batchItemFailures": []})
    letters = stage.finishing().forgetting.letters
    broken = [record | {"dynamodb": record["dynamodb"] | {"SizeBytes": 1}} for record in batch.records]
    for record in broken:
        record["dynamodb"]["NewImage"]["milliseconds"] = {"N": "many"}
        letters.add(record, "broken")
    letters.storage.put(
        "aws/lambda/1/s/2100/01/01/b", json.dumps({"payload": json.dumps({"Records": broken})}).encode()
    )
    assert "dead" in traces(stage)
    assert stage.erase(CALLER).pings == 1
    assert traces(stage) == []
    kept = {name.partition("/")[0]: len(records or ()) for name, records in letters.records().items()}
    assert kept == {"dead": 1}  # a batch is taken apart by the replay; the other caller's record is still there


def test_a_file_that_is_not_whole_keeps_an_erasing_open(stage: Stage) -> None:
    stage.publish(an_endpoint())
    finishing = stage.finishing()
    letters = finishing.forgetting.letters
    letters.storage.put("dead/2100-01-01/e.json", b"{")
    begun = finishing.erasing.erase(CALLER, "somebody")
    for _ in range(4):
        stage.clock.forward(SETTLED_SECONDS)
        begun = stage.finishing().go_on(begun)
    assert (begun.erased.finished_at, begun.rewritten_at) == (0, 0)
    letters.storage.delete("dead/2100-01-01/e.json")
    assert stage.finish(begun).finished_at


def test_a_caller_that_only_a_refused_post_brought_is_found(stage: Stage) -> None:
    publisher = Publisher(stage)
    stage.publish(an_endpoint())
    ping_id = publisher.ping(email="lead@example.com").body["try_all_buyers_ping_id"]
    stage.publish(an_endpoint(version=2, buyers=()))
    stage.clock.forward(10)
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["status"] == "no_matching_buyer"
    assert stage.erase(CALLER).pings == 1
    assert traces(stage) == []


# Roll-ups that meet an erasing


def test_a_file_that_was_begun_before_an_erasing_never_counts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A roll-up has read the pages, and writes its file when pages and files are said to be clean."""
    stage.publish(an_endpoint())
    Publisher(stage).full(caller_id=CALLER)
    stage.bring_stream()
    stage.clock.forward(HOUR + LATE_SECONDS)
    finishing = stage.finishing()
    files = finishing.forgetting.files
    change_day = files.manifest.change_day
    begun = finishing.erasing.erase(CALLER, "somebody")

    def meanwhile(*arguments: Any) -> None:
        nonlocal begun
        while not begun.rewritten_at:
            stage.clock.forward(SETTLED_SECONDS)
            begun = stage.finishing().go_on(begun)
        assert not begun.erased.finished_at
        change_day(*arguments)

    monkeypatch.setattr(files.manifest, "change_day", meanwhile)
    assert files.close_hours(stage.clock()) == 0
    assert stage.finish(begun).finished_at
    assert traces(stage) == []
    close(stage)
    assert traces(stage) == []
    assert len(files.manifest.read().files) == 1


def test_while_a_run_that_died_has_left_a_file_nothing_is_called_finished(stage: Stage) -> None:
    traffic(stage)
    files = stage.finishing().forgetting.files
    stray = File("hour", START, new_id(stage.clock()), 1, 1).name
    old, *_ = files.storage.names("days/")
    files.storage.put(stray, files.storage.get(old))
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    for _ in range(40):
        stage.clock.forward(30)
        begun = stage.finishing().go_on(begun)
    assert begun.rewritten_at
    assert not begun.erased.finished_at
    stage.clock.forward(WRITING_SECONDS)
    files.sweep(stage.clock(), 395)
    assert stage.finish(begun).finished_at
    assert traces(stage) == []


def test_who_dies_with_pings_erased_waits_for_their_rows_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = Publisher(stage)
    stage.publish(an_endpoint())
    begun = stage.finishing().erasing.erase(CALLER, "somebody")
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    finishing = stage.finishing()
    stage.clock.forward(SETTLED_SECONDS)
    begun = finishing.go_on(begun)
    stage.bring_stream()
    stage.publish(an_endpoint(version=2, buyers=()))
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["status"] == "no_matching_buyer"
    erase_again = finishing.erasing.erase_again

    def die(*arguments: Any) -> Any:
        assert erase_again(*arguments)[0].erased.pings == 1
        raise TemporarilyUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(finishing.erasing, "erase_again", die)
        with pytest.raises(TemporarilyUnavailable):
            finishing.go_on(begun)
    begun = finishing.erasures.read(begun)
    for _ in range(3):  # the row of the POST is not there yet
        stage.clock.forward(600)
        begun = finishing.go_on(begun)
    assert not begun.rewritten_at
    stage.finish(begun)
    assert traces(stage) == []


def test_a_late_release_brings_no_caller_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an attempt that died: its write arrives when the ping is erased."""
    publisher = Publisher(stage)
    stage.publish(an_endpoint())
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    stage.publish(an_endpoint(version=2, buyers=()))
    stage.clock.forward(10)
    late = list[Callable[[], None]]()
    release = Pings.release

    def hold(pings: Pings, *arguments: Any, **more: Any) -> None:
        late.append(partial(release, pings, *arguments, **more))

    with monkeypatch.context() as patched:
        patched.setattr(Pings, "release", hold)
        assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["status"] == "no_matching_buyer"
    stage.clock.forward(CLAIM_SECONDS)
    assert stage.erase(CALLER).pings == 1
    assert traces(stage) == []
    [arrive] = late
    arrive()
    assert traces(stage) == []


def test_a_file_that_another_run_has_replaced_is_looked_at_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    traffic(stage)
    finishing = stage.finishing()
    files = finishing.forgetting.files
    begun = finishing.erasing.erase(CALLER, "somebody")
    replace_file = files.manifest.replace_file
    met = 0

    def meanwhile(*arguments: Any) -> None:
        nonlocal met
        met += 1
        if met == 1:
            raise Overtaken
        replace_file(*arguments)

    monkeypatch.setattr(files.manifest, "replace_file", meanwhile)
    while not begun.erased.finished_at:
        stage.clock.forward(SETTLED_SECONDS)
        stage.bring_stream()
        begun = finishing.go_on(begun)
    assert met > 2
    assert traces(stage) == []
