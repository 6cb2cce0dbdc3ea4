"""Suppression lists: which there are and whom they concern says the configuration; who is on them is kept as keyed
hashes, so that a number can be looked up and no list can be read."""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from msgspec import Struct

from shared.configuration import ACCOUNT, Change, Parts
from shared.domain import phone
from shared.domain.objections import NotFound, NotValid
from shared.domain.plurals import counted
from shared.operators import entries, number_files
from shared.operators.number_files import Row, Unreadable
from shared.store.callers import AT_ONCE, Callers
from shared.store.records import Records

ENTRIES_AT_ONCE = 1000
PASTED_CHARACTERS = 256 * 1024
REGION = "US"
"""The country of numbers that do not say one, but for the command, which is told."""
THREADS = 8
"""As many as the client keeps connections."""

Where = Literal["on", "off"]
Batch = Callable[[str, Sequence[str]], None]


class SuppressionList(Struct, frozen=True):
    """`used_by` are the parts of the configuration that name it: `account`, `offers[…]`, `offers[…].buyers[…]`."""

    name: str
    used_by: list[str]


class Changed(Struct, frozen=True):
    """How many numbers and prefixes are on the list now, or off it, whether or not they were before."""

    numbers: int
    prefixes: int


class Pasted(Struct, frozen=True):
    """What was done of a pasted text: `layout` is how it was read, `skipped` are the rows that were not, or not all."""

    changed: Changed
    layout: str
    skipped: list[Row]


class Found(Struct, frozen=True):
    """An entry that means the number, itself or a prefix of it, and the lists that it is on."""

    entry: str
    lists: list[str]


def lists(records: Records) -> list[SuppressionList]:
    """Those that the configuration uses, by name."""
    used: dict[str, list[str]] = {}
    for path, names in _named(records.versions.last_read().parts):
        for name in names:
            used.setdefault(name, []).append(path)
    return [SuppressionList(name, used[name]) for name in sorted(used)]


def look_up(callers: Callers, number: str, region: str = REGION) -> list[Found]:
    """Raises `NotValid`."""
    try:
        caller = phone.e164(number, region)
    except ValueError:
        raise NotValid({"number": ["must be a telephone number, like +16145550123"]}) from None
    return [Found(entry, names) for entry, names in sorted(callers.lists_by_entry(caller).items())]


def change(records: Records, callers: Callers, by: str, name: str, texts: Sequence[str], where: Where) -> Changed:
    """Put numbers and prefixes on a list, or take them off; a text may have several. The change log tells how many, and
    none of them.

    Raises `NotFound`, `NotValid`, and `TemporarilyUnavailable` where it is not known how many are done; what is done
    stays done, and can be done again.
    """
    check_list(records, name)
    found: list[str] = []
    wrong: dict[str, list[str]] = {}
    for place, text in enumerate(texts):
        try:
            read = entries.read(text, REGION)
            if not read:
                raise entries.refusal_of(text)
            found += read
        except entries.Refused as refused:
            wrong[f"entries[{place}]"] = [str(refused)]
    if wrong:
        raise NotValid(wrong)
    return _change(records, callers, by, name, found, where)


def change_pasted(
    records: Records,
    callers: Callers,
    by: str,
    name: str,
    text: str,
    where: Where,
    *,
    columns: Sequence[str] = (),
    skip_wrong: bool = False,
) -> Pasted:
    """The same with the lines of a file that somebody pasted. Raises what `change` raises."""
    check_list(records, name)
    lines = [f"{line}\n" for line in re.split(r"\r\n|\r|\n", text)]
    if len(text) > PASTED_CHARACTERS or sum(bool(line.strip()) for line in lines) > ENTRIES_AT_ONCE + 1:
        raise _too_many()
    try:
        layout = number_files.layout(lines, REGION, columns)
    except Unreadable as unreadable:
        raise NotValid({"columns": [str(unreadable)]}) from None
    found: list[str] = []
    skipped: list[Row] = []
    for row in number_files.rows(lines, layout):
        skipped += [row] if row.wrong else []
        found += row.entries
        if len(found) > ENTRIES_AT_ONCE:
            raise _too_many()
    if skipped and not skip_wrong:
        raise NotValid({"entries": [f"line {row.line}: {'; '.join(row.wrong)}" for row in skipped]})
    if not found:
        raise NotValid({"entries": ["must have a number or a prefix in each line"]})
    return Pasted(_change(records, callers, by, name, found, where), str(layout), skipped)


def _change(records: Records, callers: Callers, by: str, name: str, found: list[str], where: Where) -> Changed:
    """Raises `NotValid`."""
    if len(found) > ENTRIES_AT_ONCE:
        raise _too_many()
    prefixes = sum(each.endswith("*") for each in found)
    note_change(records, by, name, len(found), where)
    write(callers.enlist if where == "on" else callers.unsuppress, name, found)
    return Changed(len(found) - prefixes, prefixes)


def _too_many() -> NotValid:
    return NotValid({"entries": [f"must have at most {ENTRIES_AT_ONCE} entries"]})


def check_list(records: Records, name: str) -> None:
    """Raises `NotFound` for a list that the configuration does not use."""
    if name not in (known := [each.name for each in lists(records)]):
        raise NotFound(f"The live configuration has no suppression list {name}; it has {', '.join(known) or 'none'}.")


def note_change(records: Records, by: str, name: str, count: int, where: Where) -> None:
    """For the change log, before anything is changed: a death in the middle leaves a trace."""
    entries = counted(count, "entry", "entries")
    was, now = (None, f"{entries} put on it") if where == "on" else (f"{entries} taken off", None)
    records.versions.note(by, [Change(f"suppression[{name}]", was, now)])


def write(act: Batch, name: str, entries: Sequence[str]) -> None:
    """Let a method of `Callers` do its work in batches, several at once. Raises `TemporarilyUnavailable`."""
    batches = (entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE))
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda batch: act(name, batch), batches))


def _named(parts: Parts) -> Iterable[tuple[str, list[str]]]:
    yield "account", parts.get(ACCOUNT, {}).get("suppression", [])
    for (section, name), part in parts.items():
        if section == "offers":
            yield f"offers[{name}]", part.get("suppression", [])
            for buyer in part.get("buyers", ()):
                yield f"offers[{name}].buyers[{buyer['id']}]", buyer.get("suppression", [])
