"""The version of Ringpost, which stands in pyproject.toml and nowhere else."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def version() -> str:
    found: str = tomllib.loads(PROJECT.read_text())["project"]["version"]
    return found
