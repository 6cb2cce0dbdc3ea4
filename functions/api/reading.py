"""What every operation of the API may need: pages, and how a body and a limit are read."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from shared.domain.objections import NotValid
from shared.office import rest
from shared.office.rest import Request
from shared.operators.access import Office
from shared.operators.resources import LONGEST_PAGE, PAGE

Operation = rest.Operation[Office]
T = TypeVar("T")

LIMIT = {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE}
PAGED: dict[str, Any] = {"after": {"type": "string", "description": "`next` of the page before"}, "limit": LIMIT}


class Lookup(Struct, forbid_unknown_fields=True):
    """`region` is the country of a number that does not say one."""

    number: str
    region: str = "US"


def read_limit(request: Request) -> int:
    """How many lines a page may have. Raises `NotValid`."""
    text = request.query.get("limit", str(PAGE))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= LONGEST_PAGE):
        raise NotValid({"limit": [f"must be a whole number from 1 to {LONGEST_PAGE}"]})
    return int(text)


def read_body(request: Request, kind: type[T]) -> T:
    """Raises `NotValid`."""
    try:
        return msgspec.convert(request.body, kind)
    except msgspec.ValidationError as wrong:
        sentence, _, place = str(wrong).partition(" - at `$")
        raise NotValid({place.strip("`.").removeprefix("."): [sentence]}) from None
