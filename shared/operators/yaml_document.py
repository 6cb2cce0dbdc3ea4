"""A configuration file as it was written: its values as text, and the line of each."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml._yaml import CParser
from yaml.composer import Composer, ComposerError
from yaml.resolver import Resolver

from shared import configuration
from shared.configuration import Problem

DEPTH = 20
NULL, MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
NOT_YAML = "it is not valid YAML here: look at the indentation, brackets and quotes of this line and the one before"


class Most(NamedTuple):
    """How large a file may be; `numbers` counts those of all ring pools, with ranges written out."""

    kilobytes: int
    values: int
    numbers: int

    def check(self, values: int, depth: int) -> None:
        """Raises `Unreadable`."""
        if values > self.values:
            raise Unreadable(f"it has more than {self.values} values")
        if depth > DEPTH:
            raise Unreadable(f"it is nested deeper than {DEPTH}")


OPERATORS_MOST = Most(1024, 100_000, 1_000_000)

Lines = dict[configuration.Path, int]


class Unreadable(Exception):
    """The file is no YAML that could be a configuration. `line` is 0 where it is about the whole file."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class _Loader(Composer, CParser, Resolver):
    """Parses in C, in a twentieth of the time, and makes nodes in Python: PyYAML's composer in C ends the process if a
    file is nested deep enough."""

    def __init__(self, text: str, most: Most) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        Resolver.__init__(self)
        self.most, self.depth, self.nodes = most, 0, 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth, self.nodes = self.depth + 1, self.nodes + 1
        self.most.check(self.nodes // 2, self.depth - 1)  # a key and its value are two nodes
        found = super().compose_node(parent, index)
        self.depth -= 1
        return found


@dataclass(slots=True)
class Document:
    """A YAML file as text values, so that 25.10 and 007 are what was written; and the line of each path."""

    value: Any = None
    lines: Lines = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    most: Most = OPERATORS_MOST
    values: int = 0

    def line(self, path: configuration.Path) -> int:
        return next(self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)

    def read(self, node: yaml.Node, path: configuration.Path) -> Any:
        self.values += 1
        self.most.check(self.values, len(path))  # aliases of aliases make much out of little
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


def document(text: bytes, most: Most = OPERATORS_MOST) -> Document:
    """Raises `Unreadable`."""
    if len(text) > most.kilobytes * 1024:
        raise Unreadable(f"it is larger than {most.kilobytes} KB")
    try:
        root = _Loader(_decoded(text), most).get_single_node()
        if root is None:
            raise Unreadable("it is empty")
        found = Document(most=most)
        found.value = found.read(root, ())
    except yaml.MarkedYAMLError as wrong:
        is_understood = isinstance(wrong, ComposerError)  # about an alias, an anchor, or a second document
        problem = str(wrong.problem).removeprefix("but ") if is_understood else NOT_YAML
        raise Unreadable(problem, wrong.problem_mark.line + 1 if wrong.problem_mark else 0) from None
    except yaml.YAMLError:
        raise Unreadable("it has a character that YAML does not allow") from None
    return found


def _decoded(text: bytes) -> str:
    """Raises `Unreadable`."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Unreadable("it is not a text in UTF-8") from None
