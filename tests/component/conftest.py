"""The flows over moto: one process, one thread, a clock that is set by hand."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import botocore.session
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from shared import runtime
from tests.build import SETTINGS, Publisher, Stage
from tools import configure, engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Command = Callable[..., Result]


@pytest.fixture(scope="session")
def client() -> "DynamoDBClient":
    """Of use inside `mock_aws` only; made once because that takes long."""
    session = botocore.session.Session(
        session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    )
    made = session.create_client(
        "dynamodb",
        region_name=engine.REGION,
        aws_access_key_id=engine.KEY,
        aws_secret_access_key=engine.KEY,
        endpoint_url=f"https://dynamodb.{engine.REGION}.amazonaws.com",
    )
    return cast("DynamoDBClient", made)


@pytest.fixture
def stage(client: "DynamoDBClient") -> Iterator[Stage]:
    """Empty tables: a test publishes its endpoints itself."""
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        yield Stage(client)


@pytest.fixture
def command(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs the operator's command on a deployed stack: all it knows is in the environment."""
    environment = stage.settings.environment() | {
        "AWS_ACCESS_KEY_ID": engine.KEY,
        "AWS_SECRET_ACCESS_KEY": engine.KEY,
        "AWS_DEFAULT_REGION": engine.REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    runtime._process.cache_clear()
    yield lambda *arguments, **options: CliRunner().invoke(configure.app, [*map(str, arguments)], **options)
    runtime._process.cache_clear()


@pytest.fixture
def publisher(stage: Stage) -> Publisher:
    return Publisher(stage)
