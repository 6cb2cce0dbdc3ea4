"""What a change of an item in the tables of pings and of calls means: each event of their streams as the rows of what
happened.

An item that a POST changes twice makes two events. Nothing is looked up but the version of the endpoint that the PING
met, by which the reasons of each buyer are found again.
"""

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain import matching, reasons, sandbox_endpoint
from shared.domain.calls import paid_as_sale
from shared.domain.live_bids import No
from shared.domain.matching import Rule
from shared.domain.models import Endpoint, Lead, Ping, Sale
from shared.journal.call_rows import rows_of_call
from shared.journal.rows import Asked, Kind, Row
from shared.store.calls import StoredCall, read_item
from shared.store.dynamo import Item
from shared.store.items import bytes_of, number_of, number_or, text_of
from shared.store.packing import unpack
from shared.store.pings import unpack_asked
from shared.store.refused_requests import CALLER_BYTES, KIND

LETTERS: dict[Rule, str] = {
    Rule.PAUSED: "p",
    Rule.SCHEDULE: "h",
    Rule.TRAFFIC_SOURCE: "t",
    Rule.FILTER: "f",
    Rule.SUPPRESSION: "s",
    Rule.DUPLICATE: "d",
    Rule.CAP: "c",
    Rule.CONCURRENCY: "b",
    Rule.NO_BID: "n",
    Rule.BID_FLOOR: "l",
}
"""Why a buyer does not bid, in `Row.reasons`. They never change their meaning."""
BIDS = "."
"""The letter of a buyer that bids."""
SOLD, PRICED, UNMATCHED = "sold", "success", "no_matching_buyer"

IMAGES = ("Keys", "OldImage", "NewImage")
"""Where a record has the key of its item."""

BROKEN = (
    ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError, msgspec.MsgspecError,
    zlib.error,
)  # fmt: skip
"""What reading an item raises that is not as we write it."""


class Unreadable(Exception):
    """An event or an item that is not as we write it; the message holds no value of it."""


class Event(Struct, frozen=True):
    """A change of an item, with the item before and after it; `at` is the stream's time, in seconds since the epoch."""

    id: str
    table: Literal["pings", "calls"]
    at: int
    old: Item | None
    new: Item | None

    def __repr__(self) -> str:
        return f"Event({self.id})"


def read_event(record: Mapping[str, Any]) -> Event:
    """An event as Lambda is given it: bytes are base64. Raises `Unreadable`."""
    with _reading("the record"):
        change = record["dynamodb"]
        event = Event(
            id=record["eventID"],
            table="calls" if any("call_id" in (change.get(image) or {}) for image in IMAGES) else "pings",
            at=int(change["ApproximateCreationDateTime"]),
            old=_item(change.get("OldImage")),
            new=_item(change.get("NewImage")),
        )
        return msgspec.convert(msgspec.structs.asdict(event), Event)


def is_of_interest(event: Event) -> bool:
    """Whether anything may come of it: nothing comes of a deletion, a route, a retry key or a bare claim."""
    old, new = event.old or {}, event.new
    if event.table == "calls":
        return new is not None and "call" in new
    return new is not None and (any(_changes(old, new)) or bool(_marks(old, new)))


def derive_rows(event: Event, endpoint_of: Callable[[str, int], Endpoint | None]) -> list[Row]:
    """What happened, one row each. `endpoint_of` gives the version of an endpoint, None if it is gone. Raises
    `Unreadable`, and what `endpoint_of` raises."""
    if event.new is None:
        return []
    if event.table == "calls":
        return _rows_of_call(event, event.new, endpoint_of)
    old, new = event.old or {}, event.new
    with _reading("the item"):
        (is_request, is_priced, is_refused, is_sold), marks = _changes(old, new), _marks(old, new)
        if is_request:
            ping, sale, uri, version = None, None, text_of(new, "endpoint"), number_of(new, "version")
        elif is_priced or is_refused or is_sold or marks:
            ping = unpack(bytes_of(new, "ping"), Ping)
            sale = unpack(bytes_of(new, "sale"), Sale) if is_sold else None
            uri, version = ping.endpoint, ping.version
        else:
            return []
        if sandbox_endpoint.is_of(uri):
            return []
    endpoint = endpoint_of(uri, version)
    sold_version = sale.version_of(ping) if ping and sale else version
    sold_by = endpoint if sold_version == version else endpoint_of(uri, sold_version)
    with _reading("the item"):
        common = Row(
            event=event.id,
            at=event.at,
            kind="refused",
            ping=bytes_of(new, "ping_id").hex(),
            endpoint=uri,
            offer=endpoint.offer if endpoint else "",
            version=version,
            milliseconds=number_or(new, "milliseconds", 0),
            caller=bytes_of(new, "caller")[:CALLER_BYTES].hex(),
        )
        if ping is None:
            return _numbered([_refused_request(common, new)])
        found = [_ping(common, ping, endpoint)] if is_priced else []
        found += [_refused(common, ping, endpoint, new)] if is_refused else []
        found += [_sale(common, ping, sale, sold_by)] if sale else []
        for kind in marks:
            if kind == "never_called":
                found.append(_never_called(common, ping, new, endpoint))
            else:
                found.append(_mark(common, ping, kind, old, new))
        return _numbered(found)


def read_calls(event: Event) -> tuple[StoredCall | None, StoredCall]:
    """A call before and after a change. Raises `Unreadable`."""
    with _reading("the call"):
        old = read_item(event.old) if event.old else None
        return old, read_item(event.new or {})


def read_sale(event: Event) -> tuple[Ping, Sale] | None:
    """The sale that a change of a ping has recorded; None for any other change. Raises `Unreadable`."""
    old, new = event.old or {}, event.new or {}
    if event.table != "pings" or "ping" not in new or "sale" not in new or "sale" in old:
        return None
    with _reading("the item"):
        return unpack(bytes_of(new, "ping"), Ping), unpack(bytes_of(new, "sale"), Sale)


def _rows_of_call(event: Event, item: Item, endpoint_of: Callable[[str, int], Endpoint | None]) -> list[Row]:
    if "call" not in item:
        return []
    old, new = read_calls(event)
    endpoint = endpoint_of(new.call.endpoint, new.call.version) if new.call.endpoint else None
    with _reading("the call"):
        common = Row(
            event=event.id,
            at=event.at,
            kind="call",
            call=bytes_of(item, "call_id").hex(),
            caller=bytes_of(item, "caller")[:CALLER_BYTES].hex(),
        )
        return _numbered(rows_of_call(common, old, new, endpoint))


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as broken:
        raise Unreadable(f"{what} cannot be read ({type(broken).__name__})") from None


def _item(image: Mapping[str, Any] | None) -> Item | None:
    return None if image is None else {name: _value(value) for name, value in image.items()}


def _value(value: Mapping[str, Any]) -> dict[str, Any]:
    """A value of an attribute with its bytes as bytes."""
    [(letter, held)] = value.items()
    if letter == "B":
        return {letter: base64.b64decode(held, validate=True)}
    if letter == "BS":
        return {letter: [base64.b64decode(each, validate=True) for each in held]}
    if letter == "L":
        return {letter: [_value(each) for each in held]}
    return {letter: {name: _value(each) for name, each in held.items()} if letter == "M" else held}


def _changes(old: Item, new: Item) -> tuple[bool, bool, bool, bool]:
    """Whether a request was refused before there was a ping, a ping was priced, its POST was refused, and it was sold.
    A ping whose bytes differ was priced anew, unless it was sold or erased: then a part of its lead went."""
    if "ping" not in new:
        return "kind" in new and new["kind"] == {"S": KIND} and not old, False, False, False
    is_priced = "ping" not in old or (old["ping"] != new["ping"] and "sale" not in new and "spent" not in new)
    is_refused = "refused" in new and any(
        old.get(name) != new.get(name) for name in ("refused", "refused_at", "refusals")
    )
    return False, is_priced, is_refused, "sale" in new and "sale" not in old


def _marks(old: Item, new: Item) -> list[Kind]:
    """What is to be found by rows, though no request has priced, refused or sold anything."""
    if "ping" not in new:
        return []
    found: list[Kind] = []
    if ("asked" in new) != ("asked" in old):
        found.append("asked" if "asked" in new else "settled")
    if "caller" in new and "ping" in old and "caller" not in old and not any(_changes(old, new)):
        found.append("caller")
    if "never_called" in new and "never_called" not in old and "sale" in new:
        found.append("never_called")
    return found


def _mark(common: Row, ping: Ping, kind: Kind, old: Item, new: Item) -> Row:
    if kind == "caller":
        at = number_or(old, "claimed_at", 0) or common.at
    else:
        asked = unpack_asked(bytes_of(new if kind == "asked" else old, "asked"))
        at = max((each.at for each in asked.values()), default=common.at)
    return replace(common, at=at, kind=kind, user=ping.user, milliseconds=0)


def _never_called(common: Row, ping: Ping, item: Item, endpoint: Endpoint | None) -> Row:
    sale = unpack(bytes_of(item, "sale"), Sale)
    return replace(
        _of_lead(common, Lead(ping.lead | sale.posted), endpoint),
        at=number_of(item, "never_called"),
        kind="never_called",
        sold_at=sale.sold_at,
        user=sale.user,
        buyer=sale.buyer_id,
        number=sale.number,
        milliseconds=0,
    )


def _refused_request(common: Row, item: Item) -> Row:
    return replace(
        common,
        at=number_of(item, "at"),
        status=text_of(item, "status"),
        fields=tuple(sorted(item["fields"]["SS"])) if "fields" in item else (),
        user=text_of(item, "user"),
        source=text_of(item, "source"),
        state=text_of(item, "state"),
        area_code=text_of(item, "area_code"),
        caller=bytes_of(item, "caller_start").hex(),
    )


def _ping(common: Row, ping: Ping, endpoint: Endpoint | None) -> Row:
    return replace(
        _of_lead(common, ping.lead, endpoint),
        at=ping.created_at,
        kind="ping",
        status=PRICED if ping.bids else UNMATCHED,
        user=ping.user,
        bids=len(ping.bids),
        best_bid_cents=ping.bids[0].cents if ping.bids else 0,
        best_payout_cents=ping.bids[0].payout_cents if ping.bids else 0,
        expires_at=ping.expires_at,
        reasons=_reasons(endpoint, ping) if endpoint else "",
        live=_live(ping),
    )


def _refused(common: Row, ping: Ping, endpoint: Endpoint | None, item: Item) -> Row:
    return replace(
        _of_lead(common, ping.lead, endpoint),
        at=number_of(item, "refused_at"),
        status=text_of(item, "refused"),
        user=ping.user,
        pool=endpoint.pool.name if endpoint and endpoint.pool else "",
        pool_used=number_or(item, "pool_used", 0),
    )


def _sale(common: Row, ping: Ping, sale: Sale, endpoint: Endpoint | None) -> Row:
    """`endpoint` is the one that the POST met: it says whether what is owed is owed for the sale, or for a call."""
    buyer_owes, publisher_gets = paid_as_sale(endpoint, sale.buyer_id)
    return replace(
        _of_lead(common, Lead(ping.lead | sale.posted), endpoint),
        at=sale.sold_at,
        kind="sale",
        sold_at=sale.sold_at,
        status=SOLD,
        user=sale.user,
        buyer=sale.buyer_id,
        bids=len(ping.bids),
        best_bid_cents=sale.bid_cents,
        best_payout_cents=sale.payout_cents,
        revenue_cents=sale.cents if buyer_owes else 0,
        payout_cents=sale.payout_cents if publisher_gets else 0,
        number=sale.number,
        pool=sale.pool,
        pool_used=sale.pool_used,
    )


def _of_lead(common: Row, lead: Lead, endpoint: Endpoint | None) -> Row:
    return replace(
        common,
        source=lead.source,
        state=endpoint.state_of(lead) if endpoint else "",
        area_code=lead.area_code,
    )


def _reasons(endpoint: Endpoint, ping: Ping) -> str:
    failed = matching.failed_rules(endpoint, ping.lead, ping.created_at, ping.facts)
    return "".join(LETTERS[failed[buyer.id]] if buyer.id in failed else BIDS for buyer in endpoint.buyers)


def _live(ping: Ping) -> tuple[Asked, ...]:
    """How the live buyers answered that were called. Pings of 0.1.0 do not say how long a call took, and of what did
    not reach the buyer they do not say whether there was a call."""
    took = ping.facts.took
    return tuple(
        Asked(buyer_id, reasons.outcome_of(said), took.get(buyer_id, 0))
        for buyer_id, said in ping.facts.said.items()
        if buyer_id in took or not (isinstance(said, No) and said.unasked)
    )


def _numbered(rows: list[Row]) -> list[Row]:
    """The rows with their places. Raises one of `BROKEN` for a row that would not be read as it was written."""
    placed = [replace(row, place=place) for place, row in enumerate(rows)]
    return msgspec.msgpack.decode(msgspec.msgpack.encode(placed), type=list[Row])
