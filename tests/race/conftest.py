"""Real engines, each started once: a race tested on anything else proves nothing."""

from collections.abc import Iterator
from threading import local
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.metrics import EphemeralMetrics

from shared.publishers import metrics
from tests.build import SETTINGS
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class _MetricsOfThreads(local):
    """A function serves one request at a time. Threads that stand for functions have metrics of their own, too."""

    def __init__(self) -> None:
        self._metrics = EphemeralMetrics(namespace=metrics.NAMESPACE, service="ringpost")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metrics, name)


@pytest.fixture(autouse=True)
def metrics_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_metrics", _MetricsOfThreads())


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
