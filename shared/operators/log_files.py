"""The log as CSV for people: times on a clock of their choice, dollars, names beside ids, leads masked."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.domain.models import Endpoint, Lead
from shared.domain.readers import Reader
from shared.operators import log
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.log import Entry, Found, Question, Wanted
from shared.operators.names import buyer_names
from shared.operators.one_ping import masked_lead
from shared.store.compiled import Compiled, Memory
from shared.store.csv_text import csv_line

EXPORTED_ROWS, EXPORTED_PARTS = 10_000, 10
"""What ends an export: so many lines, or so many parts of the range searched."""
LEADS_AT_ONCE = 100
COLUMNS = (
    "time", "outcome", "status", "ping_id", "endpoint", "offer", "user", "source", "state", "area_code", "bids", "bid",
    "bid_payout", "revenue", "payout", "buyer", "buyer_name", "sold", "number", "wrong_fields", "milliseconds",
)  # fmt: skip
OPERATORS_COLUMNS = {"offer", "bid", "revenue", "buyer_name"}
"""What publishers do not get."""


def export_pings(office: Office, reader: Reader, wanted: Wanted) -> tuple[str, str]:
    """The lines of the log as CSV, and the cursor after which it goes on, "" if that is everything. Raises `NotValid`,
    and `Refused` where a file cannot be read."""
    question = log.read_question(office, reader, wanted)
    return _export(office, reader, question, wanted.zone or account_zone(office))


def export_pings_of(office: Office, reader: Reader, caller: str) -> tuple[str, str]:
    """The same of a caller (E.164)."""
    return _export(office, reader, log.question_of_caller(office, reader, caller), account_zone(office))


def _export(office: Office, reader: Reader, question: Question, zone: str) -> tuple[str, str]:
    found, following = list[Found](), ""
    for part in log.search_on(log.search, office, question, EXPORTED_ROWS, EXPORTED_PARTS):
        found, following = found + part.found, log.write_cursor(part.goes_on) if part.goes_on else ""
    leads = _masked_leads(office, found)
    fields = sorted({name for lead in leads.values() for name in lead})
    columns = [name for name in COLUMNS if reader.sees_all or name not in OPERATORS_COLUMNS]
    clock, names = ZoneInfo(zone), buyer_names(office) if reader.sees_all else {}
    lines = [csv_line([*columns, *(f"lead.{name}" for name in fields)])]
    for each in found:
        cells = _cells(log.entry_of(office, reader, each), clock, names)
        lead = leads.get(each.ping, {})
        lines.append(csv_line([*(cells[name] for name in columns), *(lead.get(name, "") for name in fields)]))
    return "".join(lines), following


def _cells(entry: Entry, clock: ZoneInfo, names: dict[int, str]) -> dict[str, object]:
    is_sold = entry.sold_at is not None
    return {
        "time": time_on(entry.at, clock),
        "outcome": entry.outcome,
        "status": entry.status,
        "ping_id": entry.ping_id,
        "endpoint": entry.endpoint,
        "offer": entry.offer,
        "user": entry.user,
        "source": entry.source,
        "state": entry.state,
        "area_code": entry.area_code,
        "bids": entry.bids,
        "bid": dollars(entry.bid_cents) if entry.bids else "",
        "bid_payout": dollars(entry.bid_payout_cents) if entry.bids else "",
        "revenue": dollars(entry.revenue_cents) if is_sold else "",
        "payout": dollars(entry.payout_cents) if is_sold else "",
        "buyer": entry.buyer_id,
        "buyer_name": names.get(entry.buyer_id or 0, ""),
        "sold": time_on(entry.sold_at, clock) if entry.sold_at is not None else "",
        "number": entry.number,
        "wrong_fields": " ".join(entry.fields),
        "milliseconds": entry.milliseconds,
    }


def time_on(at: int, clock: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, clock).isoformat()


def dollars(cents: int | None) -> str:
    return "" if cents is None else f"{cents / 100:.2f}"


def _masked_leads(office: Office, found: Sequence[Found]) -> dict[str, dict[str, str]]:
    """By the ping, where it is kept."""
    now, compiled = office.records.now(), Compiled(office.records.dynamo, Memory())
    raw_ids = [bytes.fromhex(ping) for ping in dict.fromkeys(each.ping for each in found)]
    batches = [raw_ids[at : at + LEADS_AT_ONCE] for at in range(0, len(raw_ids), LEADS_AT_ONCE)]
    versions: dict[tuple[str, int], Endpoint | None] = {}

    def endpoint_of(key: tuple[str, int]) -> Endpoint | None:
        if key not in versions:
            try:
                versions[key] = compiled.version(*key)
            except LookupError:
                versions[key] = None
        return versions[key]

    leads = dict[str, dict[str, str]]()
    for lead_of in office.journal.io_pool.map(lambda batch: list(_leads(office, batch, now)), batches):
        for ping, key, lead in lead_of:
            leads[ping] = masked_lead(lead, endpoint_of(key))
    return leads


def _leads(office: Office, raw_ids: Sequence[bytes], now: int) -> Iterator[tuple[str, tuple[str, int], Lead]]:
    """The leads of pings that are kept, those of PING and POST together, and which version of an endpoint they met."""
    for raw, claim in office.journal.pings.read_all(raw_ids, now).items():
        if (ping := claim.ping) and ping.lead_until > now:
            posted = claim.sale.posted if claim.sale else Lead()
            yield raw.hex(), (ping.endpoint, ping.version), Lead(ping.lead | posted)
