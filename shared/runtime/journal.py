"""What the functions of the journal work with, and those that the clock calls."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from shared import runtime, settings
from shared.settings import Settings
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo
from shared.store.reservations import Reservations

if TYPE_CHECKING:
    from pathlib import Path

    from shared.journal.consumer import EndpointOf, KnownVersions
    from shared.journal.dead_letters import DeadLetters
    from shared.journal.due import DueWork
    from shared.journal.fetching import Fetching
    from shared.journal.files import Files
    from shared.journal.follow_up import FollowUp
    from shared.journal.pages import Pages
    from shared.journal.storage import Storage
    from shared.operators.finishing import Finishing
    from shared.operators.repair import Repair
    from shared.store.records import Records
    from shared.store.versions import Versions

JOURNAL_SECONDS = 50
"""For a batch of the stream; the function has 60."""
STORAGE = runtime.SDK.merge(Config(read_timeout=10, retries={"total_max_attempts": 3}))
"""Files of many megabytes."""


def batch_work() -> "tuple[Pages, EndpointOf, DeadLetters, FollowUp]":
    """What the journal function works with, for one batch. Raises `MissingSetting` without a journal table or a place
    for files."""
    from shared.flows import settling, superseding
    from shared.journal.consumer import remembering
    from shared.journal.dead_letters import DeadLetters
    from shared.journal.follow_up import FollowUp
    from shared.journal.pages import Pages
    from shared.journal.timetable import Timetable
    from shared.runtime import calls
    from shared.store.calls import Calls

    process, io_pool = open_store_with_journal()
    dynamo = Dynamo(process.client, process.settings, time.monotonic() + JOURNAL_SECONDS)
    endpoint_of = remembering(Compiled(dynamo, Memory()), _known_versions())
    return (
        Pages(dynamo, runtime.read_clock, io_pool),
        endpoint_of,
        DeadLetters(_storage(), runtime.read_clock),
        FollowUp(
            Calls(dynamo),
            Timetable(dynamo, runtime.read_clock, _begun()),
            endpoint_of,
            lambda stored, call_id: settling.give_back(calls.telephony(), call_id, stored),
            lambda endpoint, ping, sale: superseding.mark_again(runtime.world(), endpoint, ping, sale),
        ),
    )


@cache
def _begun() -> set[str]:
    """The tables whose timetable this process knows to have begun."""
    return set()


def calls_due() -> "DueWork":
    """What the minute function does of the timetable: its calls have no deadline but its own time-out. Only a call that
    has to be settled needs keys. Raises `MissingSetting` without a journal table."""
    from shared.flows import settling
    from shared.journal.consumer import remembering
    from shared.journal.due import DueWork
    from shared.journal.timetable import Timetable
    from shared.runtime import calls

    process, io_pool = open_store_with_journal()
    dynamo = Dynamo(process.client, process.settings)
    return DueWork(
        Timetable(dynamo, runtime.read_clock, _begun()),
        lambda call_id: settling.settle_due(calls.telephony(), call_id),
        Reservations(dynamo, {}),
        remembering(Compiled(dynamo, Memory()), _known_versions()),
        io_pool,
        runtime.read_clock,
    )


@cache
def _known_versions() -> "KnownVersions":
    return {}


def journal_files() -> "tuple[Files, Versions]":
    """What the minute function works with: its calls have no deadline but its own time-out. Raises `MissingSetting`
    without a journal table or a place for files."""
    from shared.journal.files import Files
    from shared.store.erasures import Erasures
    from shared.store.versions import Versions

    process, _ = open_store_with_journal()
    dynamo = Dynamo(process.client, process.settings)
    fetching = fetch_files(dynamo)
    files = Files(fetching.manifest, fetching.storage, fetching.pages, Erasures(dynamo))
    return files, Versions(dynamo, runtime.read_clock)


def finish_erasings() -> int:
    """Go on with what is not finished. Only that needs keys. Raises an `ExceptionGroup`."""
    from shared.operators.finishing import list_unfinished
    from shared.store.erasures import Erasures

    process, _ = runtime.open_store()
    if not list_unfinished(Erasures(Dynamo(process.client, process.settings)), runtime.read_clock()):
        return 0
    records = _records()
    return make_finishing(records, fetch_files(records.dynamo), streams(runtime.open_session())).go_on_with_all()


def make_finishing(records: "Records", fetching: "Fetching", stream_client: Any) -> "Finishing":
    """What brings erasings to their end."""
    from shared.journal.consumer import consume, remembering
    from shared.journal.dead_letters import DeadLetters
    from shared.journal.files import Files
    from shared.journal.follow_up import FollowUp
    from shared.journal.forgetting import Forgetting
    from shared.journal.passing import Passing
    from shared.journal.timetable import Timetable
    from shared.operators.erasing import Erasing
    from shared.operators.finishing import Finishing
    from shared.store.calls import Calls

    dynamo, now, pages = records.dynamo, records.now, fetching.pages
    erasing = Erasing(records, fetching)
    files = Files(fetching.manifest, fetching.storage, pages, erasing.erasures)
    endpoint_of = remembering(Compiled(dynamo, Memory()), {})
    letters = DeadLetters(fetching.storage, now)
    follow = FollowUp(Calls(dynamo), Timetable(dynamo, now, set()), endpoint_of)
    forgetting = Forgetting(
        files, letters, lambda event, set_aside: consume(event, pages, endpoint_of, set_aside, follow), now
    )
    return Finishing(erasing, Passing(dynamo, stream_client, now), forgetting)


def hourly_work() -> "tuple[Repair, Records]":
    """What the hourly function works with: its calls have no deadline but its own time-out. Raises `MissingSetting`
    without a place for files."""
    from shared.journal.dead_letters import DeadLetters  # none of this is of use to the functions that publishers call
    from shared.journal.passing import Passing
    from shared.operators.repair import Repair

    records = _records()
    dynamo = records.dynamo
    passing, letters = (
        Passing(dynamo, streams(runtime.open_session()), runtime.read_clock),
        DeadLetters(_storage(), runtime.read_clock),
    )
    return Repair(dynamo, runtime.read_clock, fetch_files(dynamo), passing, letters, lambda: time.sleep(1)), records


def _records() -> "Records":
    """What operators' functions need that the clock calls."""
    from shared.store.records import Records

    process, ring, *_rest = runtime.open_process()
    dynamo = Dynamo(process.client, process.settings)
    return Records(dynamo, runtime.find_keys(ring, dynamo), runtime.read_clock)


def open_store_with_journal() -> tuple[Dynamo, ThreadPoolExecutor]:
    """Raises `MissingSetting` where there is no journal table."""
    process, io_pool = runtime.open_store()
    if not process.settings.journal_table:
        raise settings.MissingSetting("the environment variable RINGPOST_JOURNAL_TABLE is not set")
    return process, io_pool


def streams(session: botocore.session.Session) -> Any:
    """The client for the streams of tables."""
    config = runtime.DYNAMO.merge(Config(account_id_endpoint_mode="disabled"))  # emulators know one address
    return session.create_client("dynamodbstreams", config=config)


def fetch_files(dynamo: Dynamo) -> "Fetching":
    from shared.journal.fetching import Fetching
    from shared.journal.manifest import Manifest
    from shared.journal.pages import Pages

    _, io_pool = runtime.open_store()
    return Fetching(
        Manifest(dynamo, runtime.read_clock),
        _storage(),
        Pages(dynamo, runtime.read_clock, io_pool),
        _fetched(),
        io_pool,
    )


@cache
def _storage() -> "Storage":
    process, _ = runtime.open_store()
    return storage(runtime.open_session(), process.settings)


def storage(session: botocore.session.Session, named: Settings) -> "Storage":
    """Where the journal's files are. Raises `MissingSetting`."""
    from pathlib import Path

    from shared.journal.storage import Bucket, Folder

    if named.journal_bucket:
        return Bucket(session.create_client("s3", config=STORAGE), named.journal_bucket)
    if named.journal_folder:
        return Folder(Path(named.journal_folder))
    raise settings.MissingSetting("the environment variable RINGPOST_JOURNAL_BUCKET is not set")


@cache
def _fetched() -> "Path":
    """The folder in which this process keeps files of the journal that it has fetched."""
    from pathlib import Path
    from tempfile import mkdtemp

    return Path(mkdtemp(prefix="journal-"))
