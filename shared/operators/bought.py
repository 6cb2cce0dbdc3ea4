"""What a user of the role buyer sees: the calls that its buyers took, what they owe, and how full their caps are; and
that it pauses them, where the operator lets it."""

from typing import Any

from msgspec import Struct

from shared.domain.objections import NotAllowed, NotFound
from shared.domain.readers import Reader
from shared.journal.periods import Period
from shared.operators import forecast, journal_rows, resources
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.forecast import Gauge
from shared.operators.log import read_period
from shared.operators.original_calls import ListedCalls, WantedCalls, list_calls


class Summary(Struct, frozen=True, kw_only=True):
    """A buyer of the reader's: how many calls it took in a range, how many of them converted, and what it owes for them
    and for their sales. `gauges` are its own caps as they are now. `may_pause` says that it may pause itself."""

    buyer_id: int
    name: str
    offer: str
    paused: bool
    may_pause: bool
    calls: int = 0
    converted: int = 0
    revenue_cents: int = 0
    gauges: list[Gauge] = []


class Bought(Struct, frozen=True):
    """By the clock of the `zone`."""

    zone: str
    buyers: list[Summary]
    listed: ListedCalls


def show_bought(office: Office, reader: Reader, start: str = "", end: str = "", cursor: str = "") -> Bought:
    """Of the days from `start` to `end`; today without them. Raises `NotValid`, and `Refused` where a file cannot be
    read."""
    zone = account_zone(office)
    period = read_period(office.records.now(), start, end, zone)
    counts = _count(office, reader, period)
    configured = _configured(office, reader)
    compiled = forecast.buyers(office.records.versions.last_read().parts, [*configured.values()])
    gauges = forecast.gauges_of(office.records, [*compiled.values()])
    found = []
    for buyer_id, buyer in sorted(configured.items()):
        calls, converted, revenue = counts.get(buyer_id, (0, 0, 0))
        found.append(
            Summary(
                buyer_id=buyer_id,
                name=buyer["name"],
                offer=buyer["offer"],
                paused=bool(buyer.get("paused")),
                may_pause=bool(buyer.get("may_pause")),
                calls=calls,
                converted=converted,
                revenue_cents=revenue,
                gauges=[gauge for gauge in gauges.get(buyer_id, []) if not gauge.cap.endpoint],
            )
        )
    wanted = WantedCalls(created_at_from=str(period.start), created_at_to=str(period.end), cursor=cursor)
    return Bought(zone, found, list_calls(office, reader, wanted))


def pause_itself(office: Office, reader: Reader, buyer_id: str, *, paused: bool) -> None:
    """Raises `NotFound` for a buyer of somebody else, `NotAllowed` where the operator does not let it, and `Busy`."""
    buyer = _configured(office, reader).get(int(buyer_id)) if buyer_id.isascii() and buyer_id.isdecimal() else None
    if buyer is None:
        raise NotFound("There is no such buyer, or it is not yours.")
    if not buyer.get("may_pause"):
        raise NotAllowed("Your operator pauses and resumes this buyer.")
    resources.pause(office.records, reader.name, buyer_id, paused=paused)


def _configured(office: Office, reader: Reader) -> dict[int, dict[str, Any]]:
    """The reader's buyers that are in the live configuration, by id, each with its offer."""
    offers = ((name, part) for (section, name), part in office.records.versions.last_read().parts.items()
              if section == "offers")  # fmt: skip
    return {
        buyer["id"]: {**buyer, "offer": name}
        for name, offer in offers
        for buyer in offer.get("buyers", ())
        if buyer["id"] in reader.buyers
    }


def _count(office: Office, reader: Reader, period: Period) -> dict[int, tuple[int, int, int]]:
    called = Period(period.start, period.end + journal_rows.called_seconds(office, period.end))
    values = {"start": period.start, "end": period.end, "buyers": [*reader.buyers]}
    with journal_rows.open_period(office, called) as database:
        return {buyer: (calls, done, cents) for buyer, calls, done, cents in database.ask("bought.sql", values)}
