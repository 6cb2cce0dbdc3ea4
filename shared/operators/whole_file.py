"""The configuration as one file: written out, compared with what is live, and applied."""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from shared import configuration
from shared.configuration import Configuration, InvalidConfiguration, Plain, dotted_path
from shared.configuration.shapes import MAX_RANGE
from shared.domain.models import User
from shared.domain.objections import NotValid
from shared.operators import comparing, configuration_warnings, lockout, resources, yaml_document
from shared.operators.comparing import Difference
from shared.operators.configuration_warnings import Warning
from shared.store.records import Records
from shared.store.versions import Applied

WIDTH = 120
REPEATED = re.compile(r"\{([1-9][0-9]{0,3})(?:,([0-9]{0,4}))?\}")
LONGEST, UNICODE = 500, 500
VIEWERS_WEIGHT = 40_000
RANGE = re.compile(r"\s*\+([0-9]{1,15})\s*-\s*\+([0-9]{1,15})\s*")
VIEWERS_MOST = yaml_document.Most(64, 2000, 10_000)
"""For a file that a viewer compares, because others wait meanwhile. Operators may send larger files."""


class AppliedFile(Struct, frozen=True):
    """A file that is live now: the change, null if it was live already, and what in it is probably not meant."""

    change: Applied | None
    warnings: list[Warning]


def write_file(records: Records) -> tuple[str, int]:
    """The live configuration as a YAML file that `apply_file` takes, and its version."""
    live = records.versions.last_read()
    listed: Plain = {section: parts for section, parts in configuration.document_of(live.parts).items() if parts}
    text: str = yaml.safe_dump(listed, sort_keys=False, allow_unicode=True, width=WIDTH)
    return text, live.version


def difference(records: Records, user: User, file: bytes) -> Difference:
    """Raises `NotValid` and `Refused`, as `applied` would."""
    wanted = read(file, yaml_document.OPERATORS_MOST if user.role == "operator" else VIEWERS_MOST)
    try:
        return comparing.difference(records, user.name, wanted)
    except InvalidConfiguration as invalid:
        raise _not_valid(yaml_document.document(file), invalid) from None


def apply_file(records: Records, by: str, file: bytes, seen: int, confirmed: str = "") -> AppliedFile:
    """Make a file the live configuration. `seen` is the version it was compared with, `confirmed` the word that the
    difference asks for.

    Raises `NotValid`, `Unconfirmed`, `Refused`, `Overtaken` and `Busy`.
    """
    wanted = read(file)
    lockout.check(records.versions.last_read().parts, wanted, by, confirmed)
    try:
        return AppliedFile(
            records.applying.apply(wanted, by, seen), configuration_warnings.find_warnings(wanted, records.now())
        )
    except InvalidConfiguration as invalid:
        raise _not_valid(yaml_document.document(file), invalid) from None


def read(file: bytes, most: yaml_document.Most = yaml_document.OPERATORS_MOST) -> Configuration:
    """Raises `NotValid` with every mistake by its path, and its line."""
    try:
        found = yaml_document.document(file, most)
    except yaml_document.Unreadable as wrong:
        raise NotValid({"": [f"line {wrong.line}: {wrong}" if wrong.line else str(wrong)]}) from None
    if most is VIEWERS_MOST and sum(map(_weight, {*_patterns(found.value)})) > VIEWERS_WEIGHT:
        raise NotValid({"": ["its regular expressions are too large; an operator can compare it"]})
    if sum(map(_size, _entries(found.value))) > most.numbers:
        raise NotValid({"ring_pools": [f"must have at most {most.numbers} numbers in all"]})
    try:
        wanted = resources.with_an_operator(configuration.read(found.value))
    except InvalidConfiguration as invalid:
        raise _not_valid(found, InvalidConfiguration([*found.problems, *invalid.problems])) from None
    if found.problems:
        raise _not_valid(found, InvalidConfiguration(found.problems))
    return wanted


def _patterns(value: Any, key: str = "") -> Iterator[str]:
    """The texts of a file, valid or not, that may be regular expressions."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _patterns(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _patterns(part, key)
    elif isinstance(value, str) and (key == "pattern" or "matches" in value or value.startswith("/")):
        yield value


def _weight(expression: str) -> int:
    """About the size of the compiled expression, where repetitions are written out and Unicode classes are large."""
    repeated = [max(map(int, filter(None, ends)), default=1) for ends in REPEATED.findall(expression[:LONGEST])]
    return len(expression) * math.prod(repeated) * (UNICODE if "\\p" in expression.casefold() else 1)


def _entries(file: Any) -> Iterator[str]:
    """The numbers and ranges of all ring pools of a file, valid or not."""
    pools = file.get("ring_pools") if isinstance(file, dict) else None
    for pool in pools if isinstance(pools, list) else ():
        listed = pool.get("numbers") if isinstance(pool, dict) else None
        yield from (entry for entry in listed if isinstance(entry, str)) if isinstance(listed, list) else ()


def _size(entry: str) -> int:
    ends = RANGE.fullmatch(entry)
    return min(MAX_RANGE, max(1, int(ends[2]) - int(ends[1]) + 1)) if ends else 1


def _not_valid(file: yaml_document.Document, invalid: InvalidConfiguration) -> NotValid:
    errors: dict[str, list[str]] = {}
    for problem in invalid.problems:
        place = dotted_path(problem.path) if problem.path else ""
        errors.setdefault(place, []).append(f"line {file.line(problem.path)}: {problem.message}")
    return NotValid(errors)
