"""One ping opened: its item, or once that is gone what its rows say.

Of a lead everybody sees what tells no person: states, ZIP codes, yes and no, choices, numbers of up to eight digits,
the traffic source and our own number. The rest is masked; an operator may look at it, and every look is in the change
log.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from shared.configuration import Change
from shared.domain import keys as signing
from shared.domain.calls import paid_as_sale
from shared.domain.matching import Rule, Shown
from shared.domain.models import DAY, Bid, Endpoint, Field, Sale
from shared.domain.objections import NotFound, Refused
from shared.domain.readers import Reader
from shared.journal.events import LETTERS, PRICED, SOLD, UNMATCHED
from shared.journal.periods import Period
from shared.operators import calls, log
from shared.operators.access import Office
from shared.operators.calls import CallEntry
from shared.operators.log import Entry, Found, Question
from shared.store.compiled import Compiled, Memory
from shared.store.journal import Opened, raw_id
from shared.store.packing import UnknownFormat

PLAIN = {"us_state", "us_zip", "boolean", "choice", "integer", "decimal"}
OURS = {"traffic_source_id", "trackdrive_number"}
LONGEST_NUMBER = 8
"""A longer one may be a telephone number or an account."""
MASK = "•••"
KINDS = ("ping", "sale", "refused")
"""The kinds of a ping's rows; the first tells most."""
RULES: dict[str, Rule] = {letter: rule for rule, letter in LETTERS.items()}
NEAR_SECONDS = 3600
MOST_LINES = 200
"""Of a ping: one, one of its sale, and one of every POST that was refused."""
PARTS = 3


class Value(Struct, frozen=True):
    name: str
    value: str
    masked: bool


class Offered(Struct, frozen=True):
    """A bid; publishers are not told its `cents`, nor the buyer's name."""

    buyer_id: int
    name: str
    cents: int | None
    payout_cents: int


class Reason(Struct, frozen=True):
    """Why a buyer did not bid. Once the lead is gone there is only the `rule`."""

    buyer_id: int
    name: str
    rule: str
    seen: Shown = None
    threshold: Shown = None
    local_time: str = ""


class RouteNow(Struct, frozen=True):
    """Where a call to the number goes now."""

    buyer_id: int
    number: str
    until: int


class SaleMade(Struct, frozen=True):
    """`held_until` is when the number's hold ends, `lease_until` when its lease does if it still has one, 0 if not.
    `superseded_by` is the ping of a later sale to the same caller, to whose buyer the call goes."""

    buyer_id: int
    name: str
    number: str
    overflow: bool
    held_until: int
    lease_until: int
    route: RouteNow | None
    superseded_by: str = ""


class Unsettled(Struct, frozen=True):
    """A live buyer was told of a sale at `at`, and it is not settled. `agreed` says that it said yes."""

    buyer_id: int
    name: str
    at: int
    agreed: bool


class OpenedPing(Struct, frozen=True, kw_only=True):
    """`version` is that of the configuration by which it was decided. Once its lead was erased, or its retention is
    over, there is no answer, and there are no bids if the item is gone: then not `lead_is_kept`. The values of the
    fields `left_out` could not be read. `refused` is the status of its last POST that sold nothing. A request that was
    refused unpriced has what its line of the log has. Where its endpoint `takes_calls`, `calls` are those of the day
    after its sale, and `never_called` is the time at which none had come."""

    ping: Entry
    expires_at: int
    version: int
    claimed: bool = False
    refused: str = ""
    refused_at: int | None = None
    lead: list[Value] = []
    lead_is_kept: bool = False
    left_out: tuple[str, ...] = ()
    bids: list[Offered] = []
    reasons: list[Reason] = []
    sale: SaleMade | None = None
    unsettled: list[Unsettled] = []
    answer: str = ""
    takes_calls: bool = False
    calls: list[CallEntry] = []
    never_called: int | None = None


def open_ping(office: Office, reader: Reader, ping_id: str, at: str = "") -> OpenedPing:
    """One ping by any of its ids, masked. Where its item is gone, `at` is when it came or was refused, in seconds since
    the epoch. Raises `NotFound`, and `Refused` where it cannot be read."""
    found = _read(office, ping_id)
    if found is not None and reader.limited_to in (None, found.user):
        opened = _open(office, reader, found, is_plain=False)
        opened = opened if found.is_kept else _with_row(office, reader, opened, found)
        return _add_worth(_with_calls(office, reader, opened, found.sold_by, found.ping.id))
    return _open_rows(office, reader, ping_id, at)


def unmask_ping(office: Office, reader: Reader, ping_id: str) -> OpenedPing:
    """One ping with its whole lead, for operators. The change log tells of it before it is shown. Raises what
    `open_ping` raises."""
    found = _read(office, ping_id)
    if found is None:
        raise _not_found()
    opened = _open(office, reader, found, is_plain=True)
    office.records.versions.note(reader.name, [Change(f"pings[{opened.ping.ping_id}].lead", None, "shown unmasked")])
    return _add_worth(_with_calls(office, reader, opened, found.sold_by, found.ping.id))


def mask(name: str, value: str, field: Field | None) -> str:
    """A value of a lead as everybody may see it. Of a telephone number the area code and the last two digits stay."""
    if name in OURS:
        return value
    if field is None:
        return MASK
    if field.type == "phone":
        start = value[:5] if value.startswith("+1") else value[:1]
        return f"{start}{MASK}{value[-2:]}"
    if field.type not in PLAIN or (field.type in ("integer", "decimal") and _digits(value) > LONGEST_NUMBER):
        return MASK
    return value


def masked_lead(lead: Mapping[str, str], endpoint: Endpoint | None) -> dict[str, str]:
    """By the names of fields, in their order."""
    fields = {field.name: field for field in endpoint.fields} if endpoint else {}
    return {name: mask(name, value, fields.get(name)) for name, value in sorted(lead.items())}


def _read(office: Office, ping_id: str) -> Opened | None:
    """Raises `Refused`."""
    try:
        return office.journal.opened(ping_id, office.records.now())
    except UnknownFormat as unreadable:
        raise Refused(f"The stored ping cannot be read. {unreadable}") from None


def _open(office: Office, reader: Reader, found: Opened, *, is_plain: bool) -> OpenedPing:
    endpoint, ping, sees_all = found.endpoint, found.ping, reader.sees_all
    names = _names(endpoint, reader)
    shown = dict(sorted(found.lead.items())) if is_plain else masked_lead(found.lead, endpoint)
    hidden = {value: shown[name] for name, value in found.lead.items() if shown[name] != value}
    return OpenedPing(
        ping=log.entry_of(office, reader, _line(office, found)),
        expires_at=ping.expires_at,
        version=ping.version,
        claimed=found.claimed,
        refused=found.refused,
        refused_at=found.refused_at,
        lead=[Value(name, value, value != found.lead[name]) for name, value in shown.items()],
        lead_is_kept=found.is_kept,
        left_out=ping.facts.left_out,
        bids=[
            Offered(bid.buyer_id, names.get(bid.buyer_id, ""), bid.cents if sees_all else None, bid.payout_cents)
            for bid in ping.bids
        ],
        reasons=[
            Reason(
                buyer_id=failure.buyer_id,
                name=names.get(failure.buyer_id, ""),
                rule=failure.rule.value,
                seen=hidden.get(failure.seen, failure.seen) if isinstance(failure.seen, str) else failure.seen,
                threshold=failure.threshold,
                local_time=failure.local_time,
            )
            for failure in (found.failures if sees_all else ())
        ],
        sale=_sale(office, found, names, reader),
        unsettled=[
            Unsettled(buyer_id, names.get(buyer_id, ""), asked.at, asked.said is not None)
            for buyer_id, asked in (found.unsettled.items() if sees_all else ())
        ],
        answer=found.sale.answer.decode() if found.sale and found.is_kept else "",
    )


def _line(office: Office, opened: Opened) -> Found:
    """As the log's line of it would be."""
    ping, sale, endpoint = opened.ping, opened.sale, opened.endpoint
    buyer_owes, publisher_gets = paid_as_sale(opened.sold_by, sale.buyer_id) if sale else (False, False)
    best = ping.bids[0] if ping.bids else Bid(0, 0, 0)
    is_open = ping.expires_at > office.records.now()
    return Found(
        event="",
        place=0,
        at=ping.created_at,
        kind="ping",
        outcome="sold" if sale else "unmatched" if not ping.bids else "open" if is_open else "expired",
        status=SOLD if sale else PRICED if ping.bids else UNMATCHED,
        ping=ping.id.hex(),
        endpoint=ping.endpoint,
        offer=endpoint.offer if endpoint else "",
        user=opened.user,
        source=opened.lead.source,
        state=endpoint.state_of(opened.lead) if endpoint else "",
        area_code=opened.lead.area_code,
        bids=len(ping.bids),
        best_bid_cents=sale.bid_cents if sale else best.cents,
        best_payout_cents=sale.payout_cents if sale else best.payout_cents,
        revenue_cents=sale.cents if sale and buyer_owes else 0,
        payout_cents=sale.payout_cents if sale and publisher_gets else 0,
        buyer=sale.buyer_id if sale else 0,
        sold_at=sale.sold_at if sale else 0,
        number=sale.number if sale else "",
        fields=(),
        milliseconds=opened.milliseconds,
        version=ping.version,
        expires_at=ping.expires_at,
        reasons="",
    )


def _sale(office: Office, found: Opened, names: Mapping[int, str], reader: Reader) -> SaleMade | None:
    sale = found.sale
    if sale is None:
        return None
    route = _find_route(office, found, sale) if reader.sees_all and not found.lease_until else None
    return SaleMade(
        buyer_id=sale.buyer_id,
        name=names.get(sale.buyer_id, ""),
        number=sale.number,
        overflow=sale.overflow,
        held_until=sale.held_until,
        lease_until=found.lease_until,
        route=route,
        superseded_by=found.superseded_by.hex(),
    )


def _find_route(office: Office, found: Opened, sale: Sale) -> RouteNow | None:
    """Where a call to the number leads, while the caller is known."""
    until = office.leads_until(sale.number, found.lead.caller, found.ping.id) if found.lead.caller else 0
    buyer = found.endpoint.buyer(sale.buyer_id) if found.endpoint else None
    return RouteNow(sale.buyer_id, sale.number_of_buyer(buyer), until) if until else None


def _open_rows(office: Office, reader: Reader, ping_id: str, at: str) -> OpenedPing:
    """What rows say of a ping, or of a request that was refused unpriced. Raises `NotFound`."""
    raw, is_public = raw_id(ping_id)
    if not raw:
        raise _not_found()
    found = _find_line(office, reader, raw, at)
    if found is None:
        raise _not_found()
    if is_public and signing.read_ping_id(office.records.keys, found.endpoint, ping_id) is None:
        raise _not_found()
    entry = log.entry_of(office, reader, found)
    endpoint = _endpoint_of(office, found)
    names = _names(endpoint, reader)
    opened = OpenedPing(
        ping=entry,
        expires_at=found.expires_at,
        version=found.version,
        reasons=_reasons(found, endpoint, names) if reader.sees_all else [],
        sale=_sale_of(entry, names),
    )
    return _with_calls(office, reader, opened, endpoint, raw)


def _with_calls(
    office: Office, reader: Reader, opened: OpenedPing, endpoint: Endpoint | None, ping: bytes
) -> OpenedPing:
    sold_at = opened.ping.sold_at
    if sold_at is None or endpoint is None or endpoint.calls is None:
        return opened
    found = calls.calls_of_ping(office, reader, ping, sold_at)
    return replace(opened, takes_calls=True, calls=found.calls, never_called=found.never_called)


def _add_worth(opened: OpenedPing) -> OpenedPing:
    """What the calls are worth belongs to their sale."""
    row = opened.ping
    revenue = (
        None
        if row.revenue_cents is None
        else sum((each.revenue_cents or 0 for each in opened.calls), row.revenue_cents)
    )
    payout = sum((each.payout_cents for each in opened.calls), row.payout_cents)
    return replace(opened, ping=replace(row, revenue_cents=revenue, payout_cents=payout))


def _with_row(office: Office, reader: Reader, opened: OpenedPing, found: Opened) -> OpenedPing:
    """A ping without its lead: what its row still says of it."""
    line = _find_line(office, reader, found.ping.id, str(found.ping.created_at))
    if line is None:
        return opened
    said = replace(opened.ping, source=line.source, state=line.state, area_code=line.area_code)
    reasons = _reasons(line, found.endpoint, _names(found.endpoint, reader)) if reader.sees_all else []
    return replace(opened, ping=said, reasons=reasons)


def _find_line(office: Office, reader: Reader, raw: bytes, at: str) -> Found | None:
    """The line of the PING, or else of its sale or refusal, if the reader may see it."""
    now = office.records.now()
    near = log.read_moment(at)
    period = Period(near - NEAR_SECONDS, near + NEAR_SECONDS) if near else Period(0, now + DAY)
    question = Question(period=period, kinds=KINDS, only_user=reader.limited_to, values={"ping": raw.hex()})
    parts = log.search_on(log.search, office, question, MOST_LINES, PARTS)
    found = next((part.found for part in parts if part.found), [])
    return min(found, key=lambda line: KINDS.index(line.kind), default=None)


def _endpoint_of(office: Office, found: Found) -> Endpoint | None:
    try:
        return Compiled(office.records.dynamo, Memory()).version(found.endpoint, found.version)
    except LookupError:
        return None


def _reasons(found: Found, endpoint: Endpoint | None, names: Mapping[int, str]) -> list[Reason]:
    buyers = endpoint.buyers if endpoint else ()
    return [
        Reason(buyer.id, names.get(buyer.id, ""), RULES[letter].value)
        for buyer, letter in zip(buyers, found.reasons, strict=False)
        if letter in RULES
    ]


def _sale_of(entry: Entry, names: Mapping[int, str]) -> SaleMade | None:
    """What is known of a sale by its row."""
    if entry.buyer_id is None:
        return None
    return SaleMade(
        buyer_id=entry.buyer_id,
        name=names.get(entry.buyer_id, ""),
        number=entry.number,
        overflow=False,
        held_until=0,
        lease_until=0,
        route=None,
    )


def _names(endpoint: Endpoint | None, reader: Reader) -> dict[int, str]:
    return {buyer.id: buyer.name for buyer in endpoint.buyers} if endpoint and reader.sees_all else {}


def _not_found() -> NotFound:
    return NotFound(
        "No such ping was found: it is of another stack, not kept any more, or not yours. Open an old one from its "
        "line in the log."
    )


def _digits(value: str) -> int:
    return sum(letter.isdigit() for letter in value)
