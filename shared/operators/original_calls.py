"""Calls as clients of the API know them that operators come from: the same names of columns, the same words.

A buyer sees the calls that it took, who called, and what it owes; a publisher sees its own calls, and what it gets.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from shared.configuration import retention_of
from shared.domain import keys as signing
from shared.domain.calls import Call, Facts, connected_at, connected_attempt, ends_of, paid_as_sale
from shared.domain.models import DAY, Endpoint, Lead
from shared.domain.objections import NotFound, NotValid
from shared.domain.readers import Reader
from shared.domain.updates import Update, buyer_of, fields_of, totals_of
from shared.journal.periods import Period
from shared.operators import calls, log
from shared.operators.access import Office
from shared.operators.calls import FoundCall
from shared.operators.log import Question
from shared.operators.names import buyer_names
from shared.operators.one_ping import mask
from shared.operators.resources import LONGEST_PAGE
from shared.store.calls import Calls, StoredCall
from shared.store.compiled import Compiled, Memory
from shared.store.refused_requests import CALLER_BYTES

COLUMNS = (
    "id", "uuid", "created_at", "ended_at", "number_called", "caller_number", "connected_to", "offer",
    "traffic_source_id", "buyer", "buyer_id", "total_duration", "attempted_duration", "answered_duration", "status",
    "sub_status", "buyer_converted", "revenue", "offer_converted", "payout", "provider", "call_sid", "ring_pool_id",
    "sub_id", "token_values", "recording_url", "hangup_cause",
)  # fmt: skip
OPERATORS_COLUMNS = ("connected_to", "offer", "buyer", "revenue", "buyer_converted", "call_sid", "recording_url")
"""What publishers do not get."""
SELLERS_COLUMNS = ("traffic_source_id", "payout", "offer_converted", "sub_id", "ring_pool_id", "call_sid")
"""What buyers do not get: it is between the operator and the publisher."""
CONVERTED = {True: "Converted", False: "Not Converted"}
PER_PAGE = 25
EPOCH_DIGITS = 11
PARTS = 10
SECONDS_OF_A_CALL = 5 * 3600
"""How long after it arrived a call is settled, but for lost ends."""
RECENT = 20
"""Of the calls of a caller, the latest ones, among which the one is that is meant."""


class WantedCalls(Struct, frozen=True, kw_only=True):
    """What calls have to be, as it was sent. `created_at_from` and `created_at_to` are days, which belong to the range,
    or times, also in seconds since the epoch; without a zone they are UTC."""

    created_at_from: str = ""
    created_at_to: str = ""
    status: str = ""
    buyer_converted: str = ""
    buyer: str = ""
    buyer_id: str = ""
    traffic_source_id: str = ""
    number_called: str = ""
    caller_number: str = ""
    uuid: str = ""
    columns: str = ""
    per_page: str = ""
    cursor: str = ""


class ListedCalls(Struct, frozen=True):
    """The newest first, and where the list goes on; empty if it is over."""

    calls: list[dict[str, Any]]
    next_cursor: str = ""


def list_calls(office: Office, reader: Reader, wanted: WantedCalls) -> ListedCalls:
    """Raises `NotValid`, and `Refused` where a file cannot be read."""
    question, size, columns = _read(office, reader, wanted)
    found, cursor = list[FoundCall](), ""
    for part in log.search_on(calls.search, office, question, size, PARTS):
        found, cursor = found + part.found, log.write_cursor(part.goes_on) if part.goes_on else ""
    stored = Calls(office.records.dynamo).look_at([bytes.fromhex(each.call) for each in found])
    now = [(bytes.fromhex(each.call), stored.get(bytes.fromhex(each.call), each)) for each in found]
    shown = _show(office, reader, now, columns)
    return ListedCalls([{name: each[name] for name in columns} for each in shown], cursor)


def open_call(office: Office, reader: Reader, call_id: bytes) -> dict[str, Any]:
    """Raises `NotFound`, and `Refused` where it cannot be read."""
    stored = Calls(office.records.dynamo).look_at([call_id]).get(call_id)
    if stored is None or not _may_see(reader, stored):
        raise NotFound("There is no such call, or it is not yours.")
    return show_call(office, reader, call_id, stored)


def show_call(office: Office, reader: Reader, call_id: bytes, stored: StoredCall) -> dict[str, Any]:
    """As the reader may see it."""
    [shown] = _show(office, reader, [(call_id, stored)])
    return shown


def find_latest(office: Office, reader: Reader, caller: str) -> bytes:
    """The latest call of a caller (E.164) that the reader may see. Raises `NotFound`, and `Refused`."""
    question = Question(
        period=Period(office.records.now() - _kept_days(office) * DAY, office.records.now() + DAY),
        kinds=("arrived", "call"),
        only_user=None if reader.buyers else reader.limited_to,
        values={"callers": _starts(office, caller)},
    )
    found = list[FoundCall]()
    for part in log.search_on(calls.search, office, question, RECENT, PARTS):
        found += part.found
        stored = Calls(office.records.dynamo).look_at([bytes.fromhex(each.call) for each in found])
        seen = [(each.call.arrived_at, call_id) for call_id, each in stored.items() if _may_see(reader, each)]
        if seen:
            return max(seen)[1]
    raise NotFound("There is no call of this caller, or none of yours.")


def _may_see(reader: Reader, stored: StoredCall) -> bool:
    if reader.buyers:
        return buyer_of(stored.call, stored.facts) in reader.buyers
    return reader.limited_to in (None, stored.call.user)


def _show(
    office: Office,
    reader: Reader,
    found: Sequence[tuple[bytes, FoundCall | StoredCall]],
    columns: Sequence[str] = COLUMNS,
) -> list[dict[str, Any]]:
    """By their items, as far as these are kept, or by their rows. What takes a read more is there if its column is."""
    wanted = {each for _, call in found for each in _versions(call)}
    compiled = Compiled(office.records.dynamo, Memory()).versions(wanted)
    endpoints = {(each.vanity_uri, each.version): each for each in compiled}
    hidden = () if reader.sees_all else SELLERS_COLUMNS if reader.buyers else OPERATORS_COLUMNS
    sub_ids = _sub_ids(office, reader, found, endpoints) if "sub_id" in columns and "sub_id" not in hidden else {}
    names = buyer_names(office) if reader.sees_all or reader.buyers else {}
    shown = []
    for call_id, each in found:
        if isinstance(each, StoredCall):
            values = _columns_of_call(office, reader, call_id, each, names, endpoints)
        else:
            values = _columns_of_row(office, each, names)
        pool = endpoint.pool if (endpoint := endpoints.get(_sold_by(each))) else None
        values |= {"ring_pool_id": pool.name if pool else None, "sub_id": sub_ids.get(call_id)}
        shown.append(values | dict.fromkeys(hidden))
    return shown


def _versions(found: FoundCall | StoredCall) -> Iterable[tuple[str, int]]:
    """Of the configuration of its endpoint: that by which a call is treated, and that by which it was sold."""
    call = found.call if isinstance(found, StoredCall) else found
    return ((call.endpoint, call.version), _sold_by(found)) if call.endpoint else ()


def _sold_by(found: FoundCall | StoredCall) -> tuple[str, int]:
    if isinstance(found, StoredCall):
        return found.call.endpoint, found.call.sold_version or found.call.version
    return found.endpoint, found.version


def _sub_ids(
    office: Office,
    reader: Reader,
    found: Sequence[tuple[bytes, FoundCall | StoredCall]],
    endpoints: Mapping[tuple[str, int], Endpoint],
) -> dict[bytes, str]:
    """What the leads of calls have as `sub_id`, by the call, as long as leads are kept. Whole for operators and for the
    publisher that sent it."""
    calls = {call_id: each.call for call_id, each in found if isinstance(each, StoredCall) and each.call.ping_id}
    now = office.records.now()
    claims = office.journal.pings.read_all([each.ping_id for each in calls.values()], now)
    sub_ids = dict[bytes, str]()
    for call_id, call in calls.items():
        claim = claims.get(call.ping_id)
        if claim is None or claim.ping is None or claim.ping.lead_until <= now:
            continue
        posted = claim.sale.posted if claim.sale else Lead()
        if sub_id := (claim.ping.lead | posted).get("sub_id"):
            endpoint = endpoints.get((call.endpoint, call.version))
            field = next((each for each in endpoint.fields if each.name == "sub_id"), None) if endpoint else None
            is_whole = reader.is_operator or not reader.sees_all
            sub_ids[call_id] = sub_id if is_whole else mask("sub_id", sub_id, field)
    return sub_ids


def _columns_of_row(office: Office, row: FoundCall, names: Mapping[int, str]) -> dict[str, Any]:
    """Of a call whose item is gone: without caller and fields."""
    uuid = signing.uuid(office.records.keys, "call", bytes.fromhex(row.call))
    return dict.fromkeys(COLUMNS) | {
        "id": uuid,
        "uuid": uuid,
        "created_at": _time(row.arrived_at),
        "ended_at": _time(row.at) if row.kind == "call" else None,
        "number_called": row.number,
        "offer": row.offer,
        "traffic_source_id": row.source,
        "buyer": names.get(row.buyer),
        "buyer_id": row.buyer or None,
        "total_duration": max(0, row.at - row.arrived_at) if row.kind == "call" else 0,
        "attempted_duration": max(0, row.connected_at - row.arrived_at) if row.connected_at else 0,
        "answered_duration": row.seconds,
        "status": row.status,
        "sub_status": row.detail or None,
        "buyer_converted": CONVERTED[row.converted > 0],
        "revenue": _dollars(row.revenue_cents),
        "offer_converted": CONVERTED[row.payout_cents > 0],
        "payout": _dollars(row.payout_cents),
        "provider": row.provider,
        "token_values": {},
    }


def _columns_of_call(
    office: Office,
    reader: Reader,
    call_id: bytes,
    stored: StoredCall,
    names: Mapping[int, str],
    endpoints: Mapping[tuple[str, int], Endpoint],
) -> dict[str, Any]:
    call, facts = stored.call, stored.facts
    row = calls.row_of(call_id, stored, endpoints.get((call.endpoint, call.version)))
    worth, totals = stored.worth, _totals(stored, endpoints.get((call.endpoint, call.sold_version)))
    ended, began = _ended_at(facts), facts.attempts.get(1)
    answered, ends = connected_at(call, facts), [*ends_of(call, facts).values()]
    fields = [each for each in stored.updates if not reader.buyers or each.by == reader.name]
    return _columns_of_row(office, row, names) | {
        "ended_at": _time(ended) if ended else None,
        "caller_number": _caller(reader, call.caller),
        "connected_to": _connected_to(call, facts),
        "total_duration": _total_seconds(call, facts, ended),
        "attempted_duration": max(0, (answered or ended or began.at) - began.at) if began else 0,
        "buyer_converted": CONVERTED[worth.converted],
        "revenue": _dollars(totals[0]),
        "offer_converted": CONVERTED[worth.earned or totals[1] > 0],
        "payout": _dollars(totals[1]),
        "call_sid": call.provider_id,
        "token_values": fields_of(fields) if not reader.limited_to or reader.buyers else {},
        "recording_url": stored.recordings.get(connected_attempt(call, facts)),
        "hangup_cause": ends[-1] if ends else None,
    }


def _totals(stored: StoredCall, endpoint: Endpoint | None) -> tuple[int, int]:
    """What is owed for a call and for its sale, by the buyer that took it and to the publisher, in cents."""
    call, buyer_id = stored.call, buyer_of(stored.call, stored.facts)
    owes = earns = False
    if stored.facts.settled and buyer_id and buyer_id == call.sold_to and call.ping_id:
        owes, earns = paid_as_sale(endpoint, buyer_id)
    terms = Update(id=b"", at=0, by="", sale_owes=owes, sale_earns=earns)
    totals = totals_of(call, stored.facts, stored.worth, terms)
    return totals.revenue_cents, totals.payout_cents


def _connected_to(call: Call, facts: Facts) -> str | None:
    n = connected_attempt(call, facts)
    if not n:
        return None
    agreed, buyer_id = facts.agreed.get(n), facts.attempts[n].buyer_id
    return agreed.number if agreed else next((each.number for each in call.candidates if each.buyer_id == buyer_id), "")


def _total_seconds(call: Call, facts: Facts, ended: int) -> int:
    """As its provider counts, where it says so."""
    return (facts.over.seconds if facts.over else 0) or (max(0, ended - call.arrived_at) if ended else 0)


def _ended_at(facts: Facts) -> int:
    if facts.over:
        return facts.over.at
    if facts.settled:
        return max((each.at for each in facts.ended.values()), default=facts.settled.at)
    return 0


def _caller(reader: Reader, caller: str) -> str | None:
    """Whole for its buyer and for operators; viewers and publishers see what they see of a lead."""
    if not caller or reader.buyers or reader.is_operator:
        return caller or None
    return f"{caller[:5] if caller.startswith('+1') else caller[:1]}{log.MASK}{caller[-2:]}"


def _read(office: Office, reader: Reader, wanted: WantedCalls) -> tuple[Question, int, list[str]]:
    """What to search for, how many lines, and which columns. Raises `NotValid`."""
    wrong = dict[str, list[str]]()

    def read(name: str, read_one: Any, *arguments: Any) -> Any:
        try:
            return read_one(*arguments)
        except NotValid as invalid:
            wrong[name] = [sentence for said in invalid.errors.values() for sentence in said]
            return None

    now, text = office.records.now(), wanted.per_page
    size = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0 if text else PER_PAGE
    if not 1 <= size <= LONGEST_PAGE:
        wrong["per_page"] = [f"must be a whole number from 1 to {LONGEST_PAGE}"]
    columns = [name for each in wanted.columns.split(",") if (name := each.strip())] or [*COLUMNS]
    if unknown := [name for name in columns if name not in COLUMNS]:
        wrong["columns"] = [f"{unknown[0][:64]} is none; there are {', '.join(COLUMNS)}"]
    if wanted.status and wanted.status not in calls.STATUSES:
        wrong["status"] = [f"must be one of {', '.join(calls.STATUSES)}"]
    start = read("created_at_from", _moment, wanted.created_at_from, 0) if wanted.created_at_from else None
    end = read("created_at_to", _moment, wanted.created_at_to, DAY) if wanted.created_at_to else None
    converted = read("buyer_converted", _yes_or_no, wanted.buyer_converted)
    named = wanted.buyer_id or wanted.buyer
    buyer = read("buyer_id" if wanted.buyer_id else "buyer", log.read_buyer, office, reader, named) if named else None
    number = read("number_called", log.read_number, wanted.number_called) if wanted.number_called else None
    caller = read("caller_number", log.read_number, wanted.caller_number) if wanted.caller_number else None
    after = read("cursor", log.read_cursor, wanted.cursor) if wanted.cursor else None
    call_id = signing.read_uuid(office.records.keys, "call", wanted.uuid) if wanted.uuid else None
    if wanted.uuid and call_id is None:
        wrong["uuid"] = ["is none of a call"]
    if wrong:
        raise NotValid(wrong)
    begin = start if start is not None else now - _kept_days(office) * DAY
    question = Question(
        period=Period(begin, (now if end is None else min(end, now)) + SECONDS_OF_A_CALL),
        kinds=("arrived", "call"),
        only_user=None if reader.buyers else reader.limited_to,
        values={
            "status": wanted.status or None,
            "source": wanted.traffic_source_id or None,
            "converted": converted,
            "buyer": buyer,
            "number": number,
            "callers": _starts(office, caller) if caller else None,
            "buyers": [*reader.buyers] or None,
            "call": call_id.hex() if call_id else None,
            "came_from": start,
            "came_to": end,
        },
        after=after,
    )
    return question, size, columns


def _starts(office: Office, caller: str) -> list[str]:
    return [each[:CALLER_BYTES].hex() for each in signing.caller_hashes(office.records.keys, caller)]


def _kept_days(office: Office) -> int:
    return retention_of(office.records.versions.last_read().parts).lead_days


def _moment(text: str, more_of_a_day: int) -> int:
    """In seconds since the epoch; a day ends `more_of_a_day` later. Raises `NotValid`."""
    bare = text.strip()
    if bare.isascii() and bare.isdecimal() and len(bare) <= EPOCH_DIGITS:
        return int(bare)
    try:
        found = datetime.fromisoformat(bare)
        at = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise NotValid({"": ["must be a day like 2026-11-25, or a time like 2026-11-25T14:30:00Z"]}) from None
    return at + (more_of_a_day if len(bare) <= len("2026-11-25") else 0)


def _yes_or_no(text: str) -> bool | None:
    """Raises `NotValid`."""
    bare = text.strip().lower()
    if not bare:
        return None
    if bare in ("converted", "1", "true", "yes", "on"):
        return True
    if bare in ("not converted", "0", "false", "no", "off"):
        return False
    raise NotValid({"": ["must be Converted or Not Converted, or 1 or 0"]})


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dollars(cents: int) -> str:
    return f"{cents / 100:.2f}"
