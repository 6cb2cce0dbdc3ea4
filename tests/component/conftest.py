"""The flows over moto: one process, one thread, a clock that is set by hand."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from tests.build import SETTINGS, Publisher, Stage, a_client, forget_process
from tools import command as operators
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Command = Callable[..., Result]


@pytest.fixture(scope="session")
def client() -> "DynamoDBClient":
    return a_client()


@pytest.fixture
def stage(client: "DynamoDBClient") -> Iterator[Stage]:
    """Empty tables: a test publishes its endpoints itself."""
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        yield Stage(client)


@pytest.fixture
def fast_stage() -> Iterator[Stage]:
    """The same over an engine, for tests of many requests."""
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        yield Stage(client)


@pytest.fixture
def command(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs the operator's command on a deployed stack: all it knows is in the environment."""
    named = replace(stage.settings, journal_folder=str(stage.place / "files"))
    environment = named.environment() | {
        "AWS_ACCESS_KEY_ID": engine.KEY,
        "AWS_SECRET_ACCESS_KEY": engine.KEY,
        "AWS_DEFAULT_REGION": engine.REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget_process()
    yield lambda *arguments, **options: CliRunner().invoke(operators.app, [*map(str, arguments)], **options)
    forget_process()


@pytest.fixture
def publisher(stage: Stage) -> Publisher:
    return Publisher(stage)
