"""Where the local run is, and with what its local provider signs."""

import json
from pathlib import Path
from typing import NamedTuple

from tools import stack_access


class NoLocalRun(Exception):
    """There has never been a local run with that data. The message is one sentence."""


class LocalRun(NamedTuple):
    url: str
    key: str


def find_local_run(data: Path) -> LocalRun:
    """Raises `NoLocalRun`."""
    try:
        said = json.loads((data / stack_access.SERVICE).read_text())
        return LocalRun(said["url"], (data / stack_access.PROVIDER_SECRET).read_text())
    except OSError:
        raise NoLocalRun(f"The local service of {data} is not running. Start it with `make run`.") from None
