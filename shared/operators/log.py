"""The log of pings and sales. A publisher sees its own, and no buyer's price."""

from collections.abc import Callable
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from shared.configuration import Retention, retention_of
from shared.domain import phone
from shared.domain.models import DAY
from shared.domain.objections import NotValid
from shared.domain.readers import Reader
from shared.operators.access import Office
from shared.operators.day import start_of_day
from shared.operators.names import buyer_names
from shared.operators.resources import PAGE
from shared.store.csv_text import csv_lines
from shared.store.journal import Page, Row
from shared.store.pagination import BadCursor, Status

CALLERS_AT_ONCE = 100
EXPORTED_AT_ONCE = 1000
EXPORTED_ROWS, EXPORTED_PAGES = 10_000, 50
"""What ends an export: so many rows, or so many pages read."""

Find = Callable[[str, int], Page]
"""A page of rows, from a cursor on, of a size."""


def retention(office: Office) -> Retention:
    """How long leads and sales are kept."""
    return retention_of(office.records.versions.last_read().parts)


class Wanted(Struct, frozen=True, kw_only=True):
    """What pings of the log have to be. With a `buyer`, an id or for operators and viewers a part of its name, they are
    its sales, by the day on which they were sold."""

    day: str = ""
    status: str = ""
    endpoint: str = ""
    source: str = ""
    buyer: str = ""
    after: str = ""


def pings(office: Office, reader: Reader, wanted: Wanted, size: int = PAGE) -> Page:
    """The newest first. Raises `NotValid`."""
    return _read(_finder(office, reader, wanted), wanted.after, size)


def pings_of(office: Office, reader: Reader, caller: str, after: str = "", size: int = PAGE) -> Page:
    """The pings of a caller (E.164) whose leads are kept, of whatever day. Raises `NotValid`."""
    return _read(_of_caller(office, reader, caller), after, size)


def export_pings(office: Office, reader: Reader, wanted: Wanted) -> tuple[str, bool]:
    """A page of the log and all that follow as CSV, and whether that is everything. Raises `NotValid`."""
    return _csv(reader, _finder(office, reader, wanted), EXPORTED_AT_ONCE)


def export_pings_of(office: Office, reader: Reader, caller: str) -> tuple[str, bool]:
    """The same of a caller."""
    return _csv(reader, _of_caller(office, reader, caller), CALLERS_AT_ONCE)


def read_number(text: str, region: str = "US") -> str:
    """As E.164. Raises `NotValid`."""
    try:
        return phone.e164(text, region)
    except ValueError:
        raise NotValid({"number": ["must be a telephone number, like +16145550123"]}) from None


def _finder(office: Office, reader: Reader, wanted: Wanted) -> Find:
    """Raises `NotValid`."""
    now, wrong = office.records.now(), dict[str, list[str]]()
    if wanted.status and wanted.status not in get_args(Status):
        wrong["status"] = [f"must be one of {', '.join(get_args(Status))}"]
    at = buyer_id = 0
    try:
        at = start_of_day(wanted.day, now)
    except NotValid as invalid:
        wrong |= {name: [*said] for name, said in invalid.errors.items()}
    try:
        buyer_id = _buyer_id(office, reader, wanted.buyer) if wanted.buyer else 0
    except NotValid as invalid:
        wrong |= {name: [*said] for name, said in invalid.errors.items()}
    if wrong:
        raise NotValid(wrong)
    if buyer_id:
        return _of_buyer(office, reader, wanted, buyer_id, at)

    def find(cursor: str, size: int) -> Page:
        status: Status | Literal[""] = next((each for each in get_args(Status) if each == wanted.status), "")
        return office.journal.log(
            at,
            now,
            user=reader.limited_to,
            status=status,
            endpoint=wanted.endpoint,
            source=wanted.source,
            cursor=cursor,
            size=size,
        )

    return find


def _buyer_id(office: Office, reader: Reader, text: str) -> int:
    """Raises `NotValid`."""
    if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text):
        return int(text)
    if not reader.sees_all:
        raise NotValid({"buyer": ["must be the id of a buyer"]})
    called = [buyer for buyer, name in buyer_names(office).items() if text.casefold() in name.casefold()]
    if len(called) != 1:
        raise NotValid({"buyer": [f"is part of the name of {len(called)} buyers; it must be of one, or an id"]})
    return called[0]


def _of_buyer(office: Office, reader: Reader, wanted: Wanted, buyer_id: int, at: int) -> Find:
    def find(cursor: str, size: int) -> Page:
        now = office.records.now()
        page = office.journal.sales_of(buyer_id, at, at + DAY, now, user=reader.limited_to, cursor=cursor, size=size)
        rows = [
            row
            for row in page.rows
            if wanted.endpoint in ("", row.endpoint)
            and wanted.source in ("", row.source)
            and wanted.status in ("", row.status)
        ]
        return replace(page, rows=rows)

    return find


def _of_caller(office: Office, reader: Reader, caller: str) -> Find:
    def find(cursor: str, size: int) -> Page:
        size = min(size, CALLERS_AT_ONCE)
        return office.journal.of_caller(caller, office.records.now(), user=reader.limited_to, cursor=cursor, size=size)

    return find


def _read(find: Find, cursor: str, size: int) -> Page:
    try:
        return find(cursor, size)
    except BadCursor:
        raise NotValid({"after": ["must be what `next` said"]}) from None


def _csv(reader: Reader, find: Find, size: int) -> tuple[str, bool]:
    rows, cursor = list[Row](), ""
    for _ in range(EXPORTED_PAGES):
        page = find(cursor, size)
        rows, cursor = rows + page.rows, page.cursor
        if not cursor or len(rows) >= EXPORTED_ROWS:
            break
    names = [name for name in Row.__struct_fields__ if name != "cents" or reader.sees_all]
    return "".join(csv_lines(rows[:EXPORTED_ROWS], names)), not cursor and len(rows) <= EXPORTED_ROWS
