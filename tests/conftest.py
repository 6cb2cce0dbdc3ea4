"""What all tests have in common."""

import io
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from shared.http import serving

settings.register_profile("ringpost", derandomize=True, deadline=None)
settings.load_profile("ringpost")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the functions write to their log."""
    written = io.StringIO()
    handler = serving.log.registered_handler
    before = handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    handler.setStream(before)  # type: ignore[attr-defined]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
