"""One ping opened.

Of a lead everybody sees what tells no person: states, ZIP codes, yes and no, choices, numbers of up to eight digits,
the traffic source and our own number. The rest is masked; an operator may look at it, and every look is in the change
log.
"""

from collections.abc import Mapping

from msgspec import Struct

from shared.configuration import Change
from shared.domain.matching import Shown
from shared.domain.models import Field
from shared.domain.objections import NotFound
from shared.domain.readers import Reader
from shared.operators.access import Office
from shared.store.journal import Opened, Row

PLAIN = {"us_state", "us_zip", "boolean", "choice", "integer", "decimal"}
OURS = {"traffic_source_id", "trackdrive_number"}
LONGEST_NUMBER = 8
"""A longer one may be a telephone number or an account."""
MASK = "•••"


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
    """Why a buyer did not bid."""

    buyer_id: int
    name: str
    rule: str
    seen: Shown
    threshold: Shown
    local_time: str


class RouteNow(Struct, frozen=True):
    """Where a call to the number goes now."""

    buyer_id: int
    number: str
    until: int


class SaleMade(Struct, frozen=True):
    """`held_until` is when the number's hold ends, `lease_until` when its lease does if it still has one, 0 if not."""

    buyer_id: int
    name: str
    number: str
    overflow: bool
    held_until: int
    lease_until: int
    route: RouteNow | None


class Unsettled(Struct, frozen=True):
    """A live buyer was told of a sale at `at`, and it is not settled. `agreed` says that it said yes."""

    buyer_id: int
    name: str
    at: int
    agreed: bool


class OpenedPing(Struct, frozen=True):
    """`version` is that of the configuration by which it was decided. Once its lead was erased, or its retention is
    over, there are no reasons, and no answer: then not `lead_is_kept`. The values of the fields `left_out` could not be
    read. `refused` is the status of its last POST that sold nothing."""

    ping: Row
    expires_at: int
    version: int
    claimed: bool
    refused: str
    refused_at: int | None
    lead: list[Value]
    lead_is_kept: bool
    left_out: tuple[str, ...]
    bids: list[Offered]
    reasons: list[Reason]
    sale: SaleMade | None
    unsettled: list[Unsettled]
    answer: str


def open_ping(office: Office, reader: Reader, ping_id: str) -> OpenedPing:
    """One ping by any of its ids, masked. Raises `NotFound`."""
    return _open(office, reader, ping_id, is_plain=False)


def unmask_ping(office: Office, reader: Reader, ping_id: str) -> OpenedPing:
    """One ping with its whole lead, for operators. The change log tells of it before it is shown. Raises `NotFound`."""
    found = _open(office, reader, ping_id, is_plain=True)
    office.records.versions.note(reader.name, [Change(f"pings[{found.ping.ping_id}].lead", None, "shown unmasked")])
    return found


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


def _open(office: Office, reader: Reader, ping_id: str, *, is_plain: bool) -> OpenedPing:
    found = office.journal.opened(ping_id, office.records.now(), user=reader.limited_to)
    if found is None:
        raise NotFound("There is no such ping: it is of another stack, older than its retention, or not yours.")
    endpoint = found.endpoint
    fields = {field.name: field for field in endpoint.fields} if endpoint else {}
    names = {buyer.id: buyer.name for buyer in endpoint.buyers} if endpoint and reader.sees_all else {}
    shown = {
        name: value if is_plain else mask(name, value, fields.get(name)) for name, value in sorted(found.lead.items())
    }
    hidden = {value: shown[name] for name, value in found.lead.items() if shown[name] != value}
    return OpenedPing(
        ping=found.row,
        expires_at=found.expires_at,
        version=found.version,
        claimed=found.claimed,
        refused=found.refused,
        refused_at=found.refused_at,
        lead=[Value(name, value, value != found.lead[name]) for name, value in shown.items()],
        lead_is_kept=found.is_kept,
        left_out=found.left_out,
        bids=[Offered(bid.buyer_id, names.get(bid.buyer_id, ""), bid.cents, bid.payout_cents) for bid in found.offers],
        reasons=[
            Reason(
                buyer_id=failure.buyer_id,
                name=names.get(failure.buyer_id, ""),
                rule=failure.rule.value,
                seen=hidden.get(failure.seen, failure.seen) if isinstance(failure.seen, str) else failure.seen,
                threshold=failure.threshold,
                local_time=failure.local_time,
            )
            for failure in found.failures
        ],
        sale=_sale(found, names),
        unsettled=[
            Unsettled(buyer_id, names.get(buyer_id, ""), asked.at, asked.said is not None)
            for buyer_id, asked in found.unsettled.items()
        ],
        answer=found.answer,
    )


def _sale(found: Opened, names: Mapping[int, str]) -> SaleMade | None:
    buyer_id, route = found.row.buyer_id, found.route
    if buyer_id is None:
        return None
    return SaleMade(
        buyer_id=buyer_id,
        name=names.get(buyer_id, ""),
        number=found.number,
        overflow=found.overflow,
        held_until=found.held_until,
        lease_until=found.lease_until,
        route=RouteNow(route.buyer_id, route.number, route.held_until) if route else None,
    )


def _digits(value: str) -> int:
    return sum(letter.isdigit() for letter in value)
