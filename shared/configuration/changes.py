"""What differs between two configurations."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from shared.configuration.file import Parts, Plain


class Change(Struct, frozen=True, rename={"now": "is"}):
    """One path that differs; None is absent."""

    path: str
    was: Any
    now: Any


def changes_between(was: Parts, now: Parts) -> list[Change]:
    """Every path that differs, in the order of `now`, then what is gone. Records go by their names and ids, so that one
    more at the top moves none."""
    return [
        change
        for section, name in dict.fromkeys([*now, *was])
        for change in _differences(
            section if section == name else f"{section}[{name}]", was.get((section, name)), now.get((section, name))
        )
    ]


def _differences(path: str, was: Any, now: Any) -> Iterator[Change]:
    if was == now:
        return
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*now, *was]):
            yield from _differences(f"{path}.{key}", was.get(key), now.get(key))
    elif (before := by_name(was)) and (after := by_name(now)):
        for name in dict.fromkeys([*after, *before]):
            yield from _differences(f"{path}[{name}]", before.get(name), after.get(name))
        stayed = [[name for name in names if name in before and name in after] for names in (before, after)]
        if stayed[0] != stayed[1]:
            yield Change(f"{path} in order", *stayed)
    else:
        yield Change(path, was, now)


def by_name(value: object) -> dict[str, Plain]:
    """A list of buyers or contact fields by what names them; empty for any other value."""
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return {}
    return {str(part.get("id", part["name"])): part for part in value}
