"""What is wrong in a configuration, and where."""

from collections.abc import Collection
from typing import Any

from msgspec import Struct

from shared.configuration.shapes import Part

Path = tuple[str | int, ...]


class Problem(Struct, frozen=True):
    """What is wrong, and where: `("offers", 0, "buyers", 2, "bid")` is `offers[0].buyers[2].bid`."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{dotted_path(self.path)}: {self.message}"


class InvalidConfiguration(Exception):
    """The configuration cannot be used; `problems` are all of its mistakes."""

    def __init__(self, problems: Collection[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


def dotted_path(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"


def by_names(whole: Any, path: Path, within: Path = ()) -> str:
    """A path, in which records go by their names, in a document or the `Configuration`. It is that inside of `within`,
    where it is."""
    named: list[str | int] = []
    for place, step in enumerate(path):
        whole = _inside(whole, step)
        key = next((key for key in ("id", "vanity_uri", "name") if _inside(whole, key) is not None), "")
        if isinstance(step, int) and key and place >= len(within):
            named[-1] = f"{named[-1]}[{_inside(whole, key)}]"
        else:
            named.append(step)
    rest = tuple(named[len(within) :])
    return dotted_path(rest) if rest or not within else ""


def _inside(whole: Any, step: str | int) -> Any:
    """None if nothing is there."""
    try:
        return getattr(whole, str(step)) if isinstance(whole, Part) else whole[step]
    except (AttributeError, LookupError, TypeError):
        return None
