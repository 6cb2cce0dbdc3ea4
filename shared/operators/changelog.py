"""The change log: who changed what, when, from what to what; and one of its changes made undone."""

import re
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from shared import configuration
from shared.configuration import Change, Parts, Plain
from shared.domain.objections import NotFound, NotUndoable, NotValid
from shared.operators import resources
from shared.operators.resources import PAGE
from shared.store.records import Records
from shared.store.versions import Applied

DIGITS = 8
LEASE = re.compile(r"ring_pools\[.+\]\.leases\[")
ABSENT: Any = None
"""What is not there; no value of the configuration is None."""


def list_changes(records: Records, *, after: str = "", limit: int = PAGE) -> tuple[list[Applied], str | None]:
    """The newest first; and what to ask for `after`, None at the end. Raises `NotValid`."""
    if after and not _is_version(after):
        raise NotValid({"after": ["must be the `next` of an earlier answer"]})
    found, more = records.versions.history(limit, before=int(after or 0))
    return found, str(found[-1].version) if more else None


def find_change(records: Records, version: str) -> Applied:
    """Raises `NotFound`."""
    found = records.versions.change(int(version)) if _is_version(version) else None
    if found is None:
        raise NotFound(f"There is no change {version}.")
    return found


def readable(entry: Applied) -> Applied:
    """As people read it: the end of a released lease is a time, and not seconds."""
    return replace(entry, changes=[_readable(change) for change in entry.changes])


def _readable(change: Change) -> Change:
    if LEASE.match(change.path) and isinstance(change.was, int):
        return replace(change, was=f"held until {datetime.fromtimestamp(change.was, UTC):%Y-%m-%d %H:%M:%S} UTC")
    return change


def undo(records: Records, by: str, version: str, confirmed: str = "") -> Applied | None:
    """Give everything that a change changed the value that it had before, as a new change; None if nothing differs.

    Raises `NotFound`, `NotUndoable` where something has been changed since, `NotValid`, `Unconfirmed` and `Busy`.
    """
    entry = find_change(records, version)
    if entry.after is None:
        raise NotUndoable("This is no change of the configuration: it cannot be undone.", {})
    was, now = records.versions.parts(entry.after), records.versions.parts(entry.version)

    def edit(parts: Parts) -> tuple[Plain, None]:
        return configuration.document_of(parts_without_change(was, now, parts)), None

    return resources.edit_parts(records, by, edit, confirmed).applied


def parts_without_change(was: Parts, now: Parts, current: Parts) -> Parts:
    """The current parts, without the change from `was` to `now`. Raises `NotUndoable`."""
    conflicts: dict[str, list[str]] = {}
    parts = {}
    for section, name in dict.fromkeys([*current, *was, *now]):
        key = (section, name)
        path = section if section == name else f"{section}[{name}]"
        value = _undone(path, was.get(key), now.get(key), current.get(key), conflicts)
        if value is not ABSENT:
            parts[key] = value
    if conflicts:
        raise NotUndoable("Some of what it changed has been changed since.", conflicts)
    return parts


def _undone(path: str, was: Any, now: Any, current: Any, conflicts: dict[str, list[str]]) -> Any:
    if was == now:
        return current
    if current == now:
        return was
    values = (was, now, current)
    if all(isinstance(value, dict) for value in values):
        merged = {
            key: _undone(f"{path}.{key}", was.get(key), now.get(key), current.get(key), conflicts)
            for key in dict.fromkeys([*current, *was, *now])
        }
        return {key: value for key, value in merged.items() if value is not ABSENT}
    was_named, now_named, current_named = (configuration.by_name(value) for value in values)
    if all(not value or configuration.by_name(value) for value in values):
        return _undone_list(path, was_named, now_named, current_named, conflicts) or was
    conflicts[path] = ["has been changed since"]
    return current


def _undone_list(
    path: str, was: dict[str, Plain], now: dict[str, Plain], current: dict[str, Plain], conflicts: dict[str, list[str]]
) -> list[Plain]:
    """Of records with names: each on its own. The order is the one before, if it is still the one that was made."""
    parts = {
        name: _undone(f"{path}[{name}]", was.get(name), now.get(name), current.get(name), conflicts)
        for name in dict.fromkeys([*current, *was, *now])
    }
    stay = [name for name, part in parts.items() if part is not ABSENT]
    if _order(now, was) != _order(was, now):
        if _order(current, now) != _order(now, current):
            conflicts[f"{path} in order"] = ["has been changed since"]
        stay.sort(key=lambda name: [*was].index(name) if name in was else len(was))
    return [parts[name] for name in stay]


def _order(names: dict[str, Plain], among: dict[str, Plain]) -> list[str]:
    return [name for name in names if name in among]


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < len(text) <= DIGITS and int(text) > 0
