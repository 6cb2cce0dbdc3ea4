"""A golden world: the tables and files of a small marketplace as a release has left them, with what it answered. Later
code goes on with it."""

import gzip
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import msgspec
from moto import mock_aws
from msgspec import Struct

from shared import configuration
from shared.domain.models import DAY
from shared.journal.files import LATE_SECONDS, Files
from shared.journal.storage import Folder
from shared.operators import suppression_lists
from shared.store.callers import Callers
from shared.store.dynamo import Dynamo
from shared.store.erasures import Erasures
from tests.build import SETTINGS, Publisher, Stage, a_client
from tests.configurations import a_buyer, a_document, a_ring_pool, an_endpoint, an_offer
from tests.office import USERS, as_user, records
from tools import engine

WORLDS = Path(__file__).with_name("golden")
WORLD = "world.json.gz"
BY_FULL, BY_POST, AT_STATIC, LISTED = "+16145550101", "+16145550102", "+16145550103", "+16145550104"
"""The callers: sold by FULL, by POST and at a static number, and on the suppression list."""
NUMBER = "+18005550170"
"""The static number."""
REPORT = "from=2099-12-31&to=2100-01-09&by=day,endpoint&zone=UTC"


class Sent(Struct, frozen=True):
    """A request to an endpoint, and the body of its answer."""

    verb: str
    uri: str
    params: dict[str, str]
    answer: str


class World(Struct, frozen=True):
    """`tables` has the items by table, as DynamoDB's JSON with bytes in base64; `files` the journal's by name, in
    base64. `sold` are the sales that are held, by caller; `report` is what a report says. `token` is the publisher's.
    All of it ended at `at`, in seconds since the epoch."""

    at: int
    tables: dict[str, list[dict[str, Any]]]
    files: dict[str, str]
    sold: dict[str, Sent]
    report: dict[str, Any]
    token: str


def make() -> World:
    """A day that is closed, and a day later three sales that are held."""
    with mock_aws():
        stage = Stage(a_client())
        engine.create_tables(stage.client, SETTINGS)
        publisher = Publisher(stage)
        records(stage).applying.apply(configuration.read(a_market()), "olga")
        callers = Callers(Dynamo(stage.client, SETTINGS), stage.keys)
        suppression_lists.change(records(stage), callers, "olga", "do-not-call", [LISTED], "on")
        publisher.ping(caller_id=BY_FULL)
        stage.clock.forward(DAY + LATE_SECONDS)
        close_files(stage)
        publisher.ping(caller_id="12")
        ping_id = publisher.ping(caller_id=BY_POST).body["buyers"][0]["ping_id"]
        static = {"caller_id": AT_STATIC, "traffic_source_id": "1023", "trackdrive_number": NUMBER}
        sold = {
            BY_FULL: send(publisher, "full", "my_endpoint", {"caller_id": BY_FULL}),
            BY_POST: send(publisher, "post", "my_endpoint", {"caller_id": BY_POST, "ping_id": ping_id}),
            AT_STATIC: send(publisher, "full", "static_endpoint", static),
        }
        report = as_user(stage, "olga").get("/reports", REPORT)
        storage, token = stage.open_files().storage, records(stage).tokens.issue("acme-media", "a test")[1]
        return World(
            at=stage.clock(),
            tables={
                table: [_in_base64(item) for item in stage.client.scan(TableName=table)["Items"]]
                for table in engine.tables(SETTINGS)
            },
            files={name: b64encode(storage.get(name)).decode() for name in storage.names("")},
            sold=sold,
            report=report,
            token=token,
        )


def a_market(**overrides: Any) -> dict[str, Any]:
    """Three numbers; of Buyer A's two sales a day the third goes to Buyer B."""
    buyers = [a_buyer(caps={"sales": {"day": 2}}), a_buyer(id=2, name="Buyer B", bid="20.00", number="+18005550182")]
    return a_document(
        users=USERS,
        ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550102"])],
        offers=[an_offer(buyers=buyers, suppression=["do-not-call"], duplicates={"window_hours": 1})],
        endpoints=[
            an_endpoint(),
            an_endpoint(vanity_uri="secure_endpoint", require_auth_token=True),
            an_endpoint(vanity_uri="static_endpoint", tracking="static"),
        ],
        **overrides,
    )


def close_files(stage: Stage) -> None:
    """The hours and days that are over become files."""
    fetching = stage.open_files()
    files = Files(fetching.manifest, fetching.storage, fetching.pages, Erasures(fetching.pages.dynamo))
    files.close_hours(stage.clock())
    files.close_days(stage.clock())


def send(publisher: Publisher, verb: str, uri: str, params: dict[str, str]) -> Sent:
    answer = publisher.send(verb, uri, json_body=params)
    assert answer.body["success"], answer.text
    return Sent(verb, uri, params, answer.text)


def enter(world: World, stage: Stage) -> None:
    """Put a world into the empty tables and the folder of a stage, a second after it ended."""
    for table, items in world.tables.items():
        for item in items:
            stage.client.put_item(TableName=table, Item=_from_base64(item))
    for name, content in world.files.items():
        Folder(stage.place / "files").put(name, b64decode(content))
    while batch := stage.stream.next_batch():  # its pages have these rows
        stage.stream.note_done(batch, {"batchItemFailures": []})
    stage.clock.forward(world.at + 1 - stage.clock())


def write(name: str) -> None:
    (WORLDS / name / WORLD).write_bytes(gzip.compress(msgspec.json.encode(make()), mtime=0))


def read(file: Path) -> World:
    return msgspec.json.decode(gzip.decompress(file.read_bytes()), type=World)


def _in_base64(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _in_base64(part) for name, part in value.items()}
    return [_in_base64(part) for part in value] if isinstance(value, list) else value


def _from_base64(value: Any) -> Any:
    """Of an item, or of the value of an attribute of it."""
    if isinstance(value, dict):
        return {
            name: b64decode(part)
            if name == "B" and isinstance(part, str)
            else [b64decode(each) for each in part]
            if name == "BS" and isinstance(part, list)
            else _from_base64(part)
            for name, part in value.items()
        }
    return [_from_base64(part) for part in value] if isinstance(value, list) else value
