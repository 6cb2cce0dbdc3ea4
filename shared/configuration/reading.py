"""The configuration in a file's plain values, or every problem that it has."""

import difflib
import re
from typing import Any

from pydantic import ValidationError

from shared.configuration.checks import check
from shared.configuration.file import KEYS, LISTS, PARTS, Configuration
from shared.configuration.problems import InvalidConfiguration, Path, Problem

A_KEY = "[key]"
"""What pydantic adds to the path of a key that is wrong itself."""


def read(document: object) -> Configuration:
    """The configuration in a file's plain values: text, or numbers and truth values where JSON has them.

    Raises `InvalidConfiguration` with every problem: those of single values, and those of the parts among each other
    as far as the parts can be read.
    """
    try:
        configuration = Configuration.model_validate(document)
    except ValidationError as invalid:
        found = invalid.errors(include_url=False)
        inside = {error["loc"][:-1] for error in found}  # pydantic finds a list too short if its entries are wrong
        errors = [
            Problem(tuple(step for step in error["loc"] if step != A_KEY), _message(error))
            for error in found
            if error["type"] != "too_short" or error["loc"] not in inside
        ]
        raise InvalidConfiguration([*errors, *_problems_of_the_rest(document, errors)]) from None
    if problems := list(check(configuration, frozenset())):
        raise InvalidConfiguration(problems)
    return configuration


def _message(error: Any) -> str:
    """What would be right, for one of pydantic's errors."""
    kind, limits, key = error["type"], error.get("ctx", {}), str(error["loc"][-1]) if error["loc"] else ""
    if kind == "extra_forbidden":
        inside = [part for step in error["loc"][:-1] if (part := (LISTS | PARTS).get(step))]
        known = (inside[-1] if inside else Configuration).model_fields
        close = difflib.get_close_matches(key, known, n=1)
        return f"unknown key `{key}`; " + (f"did you mean `{close[0]}`?" if close else f"there are {', '.join(known)}")
    if kind == "value_error":
        return str(limits["error"])
    if kind == "literal_error":
        return "must be one of " + ", ".join(re.findall("'([^']+)'", limits["expected"]))
    if kind == "missing":
        return "is missing"
    if error["input"] is None:
        return "has no value"
    if kind == "too_long":
        return f"must have at most {limits['max_length']} entries"
    said = MESSAGES.get(kind)
    return said.format(**limits) if said else str(error["msg"])


MESSAGES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be keys with values",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of usual size",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be keys with values",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_short": "must have at least one entry",
    "tuple_type": "must be a list",
}


def _problems_of_the_rest(document: object, errors: list[Problem]) -> list[Problem]:
    """What is wrong among the records that can be read, beside those that cannot."""
    unreadable = {_record(error.path) for error in errors if not error.path or error.path[0] in KEYS}
    if () in unreadable or not isinstance(document, dict):
        return []
    positions: dict[Path, list[int]] = {}

    def readable(entries: list[Any], path: Path) -> list[Any]:
        kept = positions[path] = [place for place in range(len(entries)) if (*path, place) not in unreadable]
        return [
            {
                key: readable(part, (*path, place, key)) if key in LISTS and isinstance(part, list) else part
                for key, part in entries[place].items()
            }
            for place in kept
        ]

    rest = Configuration.model_validate({key: readable(document[key], (key,)) for key in KEYS if key in document})
    unread = frozenset(
        (str(path[0]), str(record.get(KEYS[str(path[0])])))
        for path in unreadable
        if isinstance(record := document[path[0]][path[1]], dict)
    )

    def in_the_file(path: Path) -> Path:
        found: Path = ()
        for step in path:
            found = (*found, positions[found][step] if isinstance(step, int) and found in positions else step)
        return found

    return [Problem(in_the_file(problem.path), problem.message) for problem in check(rest, unread)]


def _record(path: Path) -> Path:
    """The smallest record that holds this path, () if none does."""
    ends = [end for end in range(1, len(path)) if path[end - 1] in LISTS and isinstance(path[end], int)]
    return path[: ends[-1] + 1] if ends else ()
