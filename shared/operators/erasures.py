"""Callers who want to be forgotten: what there is of one, its end, and the record of those that were erased."""

from collections import Counter

from msgspec import Struct

from shared.domain.objections import NotFound
from shared.domain.readers import Reader
from shared.operators import log
from shared.operators.access import Office
from shared.store.erasing import SETTLED_SECONDS, Erased, Erasing

LOOKED_AT = 100
"""How many pings of a caller are looked at before it is erased."""


class Known(Struct, frozen=True):
    """What is kept of a caller: `pings`, of them `sales`; `more` says that there are more than were looked at."""

    caller: str
    pings: int
    sales: int
    more: bool


def look_up(office: Office, reader: Reader, text: str, region: str = "US") -> Known:
    """Raises `NotValid`."""
    caller = log.read_number(text, region)
    page = log.pings_of(office, reader, caller, size=LOOKED_AT)
    statuses = Counter(row.status for row in page.rows)
    return Known(caller, statuses.total(), statuses["sold"], page.cursor != "")


def erase(office: Office, by: str, text: str, region: str = "US") -> Erased:
    """Erase a caller everywhere. A request that is just under way may leave something: once more, `SETTLED_SECONDS`
    later, is sure to find it. Raises `NotValid`."""
    return _erasing(office).erase(log.read_number(text, region), by, wait=False)


def preview(office: Office, by: str, text: str, region: str = "US") -> Erased:
    """What `erase` would erase. Raises `NotValid`."""
    return _erasing(office).preview(log.read_number(text, region), by)


def erase_ping(office: Office, by: str, ping_id: str, *, dry_run: bool = False) -> Erased:
    """Erase one ping, or in a dry run only say what would be erased. Raises `NotFound`."""
    erasing = _erasing(office)
    erased = erasing.preview_ping(ping_id, by) if dry_run else erasing.erase_ping(ping_id, by)
    if erased is None:
        raise NotFound("There is no such ping.")
    return erased


def erasures(office: Office) -> list[Erased]:
    """Every erasing, the last first."""
    return _erasing(office).erasures()


def _erasing(office: Office) -> Erasing:
    records = office.records
    return Erasing(records.dynamo, records.keys, records.now, lambda: None)


AGAIN_SECONDS = SETTLED_SECONDS
