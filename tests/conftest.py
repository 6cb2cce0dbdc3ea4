"""What all tests have in common."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import settings

from shared.edge import http

settings.register_profile("ringpost", derandomize=True, deadline=None)
settings.load_profile("ringpost")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the functions write to their log."""
    written = io.StringIO()
    handler = http.log.registered_handler
    before = handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    handler.setStream(before)  # type: ignore[attr-defined]
