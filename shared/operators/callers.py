"""Callers who want to be forgotten: what there is of one, its end, and the record of those that were erased."""

from collections import Counter

from msgspec import Struct

from shared.domain.models import User
from shared.operators import watching
from shared.operators.desk import Desk
from shared.store.erasing import SETTLED_SECONDS, Erased, Erasing

LOOKED_AT = 100
"""How many pings of a caller are looked at before it is erased."""


class Known(Struct, frozen=True):
    """What is kept of a caller: `pings`, of them `sales`; `more` says that there are more than were looked at."""

    caller: str
    pings: int
    sales: int
    more: bool


def known(desk: Desk, user: User, text: str, region: str = "US") -> Known:
    """Raises `NotValid`."""
    caller = watching.number(text, region)
    page = watching.pings_of(desk, user, caller, size=LOOKED_AT)
    statuses = Counter(row.status for row in page.rows)
    return Known(caller, statuses.total(), statuses["sold"], page.cursor != "")


def erase(desk: Desk, by: str, text: str, region: str = "US") -> Erased:
    """Erase a caller everywhere. A request that is just under way may leave something: once more, `SETTLED_SECONDS`
    later, is sure to find it. Raises `NotValid`."""
    return _erasing(desk).erase(watching.number(text, region), by, wait=False)


def erasures(desk: Desk) -> list[Erased]:
    """Every erasing, the last first."""
    return _erasing(desk).erasures()


def _erasing(desk: Desk) -> Erasing:
    records = desk.records
    return Erasing(records.dynamo, records.keys, records.now, lambda: None)


AGAIN_SECONDS = SETTLED_SECONDS
