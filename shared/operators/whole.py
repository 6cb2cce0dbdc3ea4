"""The configuration as one file: written out, compared with what is live, and applied."""

import yaml
from msgspec import Struct

from shared.domain import configuration
from shared.domain.configuration import Change, Configuration, InvalidConfiguration, Plain, dotted
from shared.domain.objections import NotValid
from shared.operators import document, resources
from shared.store.records import Applied, Records

WIDTH = 120


class Difference(Struct, frozen=True):
    """What applying a file would change of `version`, the live one."""

    version: int
    changes: list[Change]


def written(records: Records) -> tuple[str, int]:
    """The live configuration as a YAML file that `applied` takes, and its version."""
    live = records.last_seen()
    listed: Plain = {section: parts for section, parts in configuration.document(live.parts).items() if parts}
    text: str = yaml.safe_dump(listed, sort_keys=False, allow_unicode=True, width=WIDTH)
    return text, live.version


def difference(records: Records, file: bytes) -> Difference:
    """Raises `NotValid`."""
    wanted, live = read(file), records.last_seen()
    return Difference(live.version, configuration.changes(live.parts, configuration.parts(wanted)))


def applied(records: Records, by: str, file: bytes, seen: int) -> Applied | None:
    """Make a file the live configuration; None if it is that already. `seen` is the version it was compared with.

    Raises `NotValid`, `Refused`, `Overtaken` and `Busy`.
    """
    wanted = read(file)
    try:
        return records.apply(wanted, by, seen)
    except InvalidConfiguration as invalid:
        raise _not_valid(document.document(file), invalid) from None


def read(file: bytes) -> Configuration:
    """Raises `NotValid` with every mistake by its path, and its line."""
    try:
        found = document.document(file)
    except document.Unreadable as wrong:
        raise NotValid({"": [f"line {wrong.line}: {wrong}" if wrong.line else str(wrong)]}) from None
    try:
        wanted = resources.with_an_operator(configuration.read(found.value))
    except InvalidConfiguration as invalid:
        raise _not_valid(found, InvalidConfiguration([*found.problems, *invalid.problems])) from None
    if found.problems:
        raise _not_valid(found, InvalidConfiguration(found.problems))
    return wanted


def _not_valid(file: document.Document, invalid: InvalidConfiguration) -> NotValid:
    errors: dict[str, list[str]] = {}
    for problem in invalid.problems:
        place = dotted(problem.path) if problem.path else ""
        errors.setdefault(place, []).append(f"line {file.line(problem.path)}: {problem.message}")
    return NotValid(errors)
