"""Real engines, each started once: a race tested on anything else proves nothing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.build import SETTINGS
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="session")
def dynoxide() -> "Iterator[DynamoDBClient]":
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        yield client


@pytest.fixture(scope="session")
def dynamodb_local() -> "Iterator[DynamoDBClient]":
    with engine.dynamodb_local(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        yield client


@pytest.fixture(params=["dynoxide", "dynamodb_local"])
def client(request: pytest.FixtureRequest) -> "DynamoDBClient":
    """Every engine in turn."""
    found: DynamoDBClient = request.getfixturevalue(request.param)
    return found
