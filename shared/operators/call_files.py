"""Calls as CSV for people: times on a clock of their choice, dollars, names beside ids."""

from zoneinfo import ZoneInfo

from shared.domain.readers import Reader
from shared.operators import calls, log
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.calls import CallEntry, FoundCall, WantedCalls
from shared.operators.log_files import EXPORTED_PARTS, EXPORTED_ROWS, dollars, time_on
from shared.operators.names import buyer_names
from shared.store.csv_text import csv_line

COLUMNS = (
    "time", "call_id", "arrived", "arrival", "status", "detail", "endpoint", "offer", "user", "source", "area_code",
    "number", "provider", "ping_id", "sold", "attempts", "buyer", "buyer_name", "connected", "seconds", "converted",
    "revenue", "payout",
)  # fmt: skip
OPERATORS_COLUMNS = {"offer", "buyer_name", "revenue"}
"""What publishers do not get."""


def export_calls(office: Office, reader: Reader, wanted: WantedCalls) -> tuple[str, str]:
    """Calls as CSV, and the cursor after which it goes on, "" if that is everything. Raises `NotValid`, and `Refused`
    where a file cannot be read."""
    question = calls.read_question(office, reader, wanted)
    found, following = list[FoundCall](), ""
    for part in log.search_on(calls.search, office, question, EXPORTED_ROWS, EXPORTED_PARTS):
        found, following = found + part.found, log.write_cursor(part.goes_on) if part.goes_on else ""
    columns = [name for name in COLUMNS if reader.sees_all or name not in OPERATORS_COLUMNS]
    clock = ZoneInfo(wanted.zone or account_zone(office))
    names = buyer_names(office) if reader.sees_all else {}
    lines = [csv_line([*columns])]
    for each in found:
        cells = _cells(calls.entry_of(office, reader, each), clock, names)
        lines.append(csv_line([cells[name] for name in columns]))
    return "".join(lines), following


def _cells(entry: CallEntry, clock: ZoneInfo, names: dict[int, str]) -> dict[str, object]:
    return {
        "time": time_on(entry.at, clock),
        "call_id": entry.call_id,
        "arrived": time_on(entry.arrived_at, clock),
        "arrival": entry.arrival,
        "status": entry.status,
        "detail": entry.detail,
        "endpoint": entry.endpoint,
        "offer": entry.offer,
        "user": entry.user,
        "source": entry.source,
        "area_code": entry.area_code,
        "number": entry.number,
        "provider": entry.provider,
        "ping_id": entry.ping_id,
        "sold": time_on(entry.sold_at, clock) if entry.sold_at else "",
        "attempts": entry.attempts,
        "buyer": entry.buyer_id,
        "buyer_name": names.get(entry.buyer_id or 0, ""),
        "connected": time_on(entry.connected_at, clock) if entry.connected_at else "",
        "seconds": entry.seconds,
        "converted": "yes" if entry.converted else "no",
        "revenue": dollars(entry.revenue_cents),
        "payout": dollars(entry.payout_cents),
    }
