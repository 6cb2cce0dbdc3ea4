"""A configuration file as it was written: its values as text, and the line of each."""

from dataclasses import dataclass, field
from typing import Any

import yaml

from shared.domain import configuration
from shared.domain.configuration import Problem

FILE_BYTES = 1024 * 1024
VALUES = 100_000
DEPTH = 20
LOADER = yaml.SafeLoader
"""Not the one in C, nine times as fast: what is nested deep enough ends its process, without an error."""
NULL, MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"

Lines = dict[configuration.Path, int]


class Unreadable(Exception):
    """The file is no YAML that could be a configuration. `line` is 0 where it is about the whole file."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class Document:
    """A YAML file as text values, so that 25.10 and 007 are what was written; and the line of each path."""

    value: Any = None
    lines: Lines = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    values: int = 0

    def line(self, path: configuration.Path) -> int:
        return next(self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)

    def read(self, node: yaml.Node, path: configuration.Path) -> Any:
        self.values += 1
        if self.values > VALUES or len(path) > DEPTH:  # aliases of aliases make much out of little
            raise Unreadable(f"it has more than {VALUES} values, or is nested deeper than {DEPTH}")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(entry, (*path, place)) for place, entry in enumerate(node.value)]
        return None if node.tag == NULL else node.value

    def _mapping(self, node: yaml.MappingNode, path: configuration.Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == MERGE:
                read = self.read(value, path)
                for mapping in read if isinstance(read, list) else [read]:
                    merged = (mapping if isinstance(mapping, dict) else {}) | merged
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable("a key must be a word", line)
            at = (*path, key.value)
            if key.value in found:
                self.problems.append(Problem(at, f"is given twice, first in line {self.lines[at]}"))
            self.lines[at] = line
            found[key.value] = self.read(value, at)
        return merged | found


def document(text: bytes) -> Document:
    """Raises `Unreadable`."""
    if len(text) > FILE_BYTES:
        raise Unreadable(f"it is larger than {FILE_BYTES // 1024} KB")
    try:
        root = yaml.compose(text.decode(), Loader=LOADER)
        if root is None:
            raise Unreadable("it is empty")
        found = Document()
        found.value = found.read(root, ())
    except yaml.MarkedYAMLError as wrong:
        raise Unreadable(str(wrong.problem), wrong.problem_mark.line + 1 if wrong.problem_mark else 0) from None
    except (UnicodeDecodeError, yaml.YAMLError) as wrong:
        raise Unreadable(f"it is not YAML in UTF-8: {str(wrong).splitlines()[0]}") from None
    except RecursionError:
        raise Unreadable(f"it is nested deeper than {DEPTH}") from None
    return found
