"""Which entry of a table answers a request: the operations of the API, the views of the dashboard."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from shared.domain.objections import MethodUnknown, NotFound


class Routed(Protocol):
    """`path` is below a root, and has names of parameters in braces."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...


Entry = TypeVar("Entry", bound=Routed)


def find_route(
    event: Mapping[str, Any], root: str, table: Sequence[Entry], nothing: str, *, heads: bool = False
) -> tuple[Entry, dict[str, str]]:
    """The entry for this event, and the parameters in its path. With `heads` a HEAD finds what a GET does. Raises
    `NotFound`, which says that there is `nothing`, and `MethodUnknown`."""
    method, path = event["requestContext"]["http"]["method"], event["rawPath"].removesuffix("/")
    method = "GET" if heads and method == "HEAD" else method
    matched = ((entry, re.fullmatch(_pattern(root + entry.path), path)) for entry in table)
    here = {entry.method: (entry, found.groupdict()) for entry, found in matched if found}
    if not here:
        raise NotFound(nothing)
    if method not in here:
        raise MethodUnknown([*here])
    return here[method]


def _pattern(path: str) -> str:
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
