"""Why a buyer got no calls: by day, why it did not bid, and who bought what it bid on."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from shared.domain.objections import NotFound, NotValid
from shared.journal.events import BIDS, LETTERS
from shared.journal.periods import Period, offsets
from shared.operators import journal_rows, log, reports
from shared.operators.access import Office
from shared.operators.names import buyer_names
from shared.operators.reports import REASONS, Wanted

OF_CALLS = "$"
"""The letter of what calls brought beside their sales."""
CAPPED = tuple(letter for letter, reason in REASONS.items() if reason in ("cap", "concurrency"))


class Counts(Struct, frozen=True, kw_only=True):
    """`pings` are those that the buyer could have had, `reasons` why it did not bid. Of what it bid on, it got `won`
    calls, others got `lost`, and nobody got `unsold`. `sales` and `revenue_cents` are of the calls that were sold to it
    in this time."""

    pings: int
    reasons: dict[str, int]
    bids: int
    won: int
    lost: int
    unsold: int
    sales: int
    revenue_cents: int


class DayOfBuyer(Struct, frozen=True):
    day: str
    counts: Counts


class Winner(Struct, frozen=True):
    """A buyer that got calls on which the other had bid, too."""

    buyer: int
    name: str
    sales: int


class BuyerReport(Struct, frozen=True):
    """From `start` to before `end`, seconds since the epoch. `outbid_by` has the buyer with the most calls first.
    `capped_at` is when it had no room last: a cap, or the most calls at once."""

    buyer: int
    name: str
    start: int
    end: int
    zone: str
    days: list[DayOfBuyer]
    total: Counts
    outbid_by: list[Winner]
    capped_at: int | None


class _Line(Struct, frozen=True, array_like=True):
    """As `buyer.sql` gives it."""

    day: str
    letter: str
    sold_to: int
    times: int
    revenue_cents: int
    last_at: int


def read_buyer(office: Office, buyer: str, wanted: Wanted) -> BuyerReport:
    """For operators and viewers. Raises `NotFound`, `NotValid`, and `Refused` where a file cannot be read."""
    names = buyer_names(office)
    if not (buyer.isascii() and buyer.isdecimal() and len(buyer) <= reports.ID_DIGITS):
        raise NotValid({"buyer": ["must be the id of a buyer, a whole number"]})
    if (buyer_id := int(buyer)) not in names:
        raise NotFound(f"There is no buyer {buyer_id}.")
    period, zone = reports.read_period(office, wanted)
    lines = _read_lines(office, period, zone, buyer_id)
    lost = Counter[int]()
    for line in lines:
        if line.letter == BIDS and line.sold_to not in (0, buyer_id):
            lost[line.sold_to] += line.times
    by_day = defaultdict[str, list[_Line]](list)
    for line in lines:
        by_day[line.day].append(line)
    return BuyerReport(
        buyer=buyer_id,
        name=names[buyer_id],
        start=period.start,
        end=period.end,
        zone=zone,
        days=[DayOfBuyer(day, _count(some, buyer_id)) for day, some in sorted(by_day.items(), reverse=True)],
        total=_count(lines, buyer_id),
        outbid_by=[Winner(other, names.get(other, ""), sales) for other, sales in lost.most_common()],
        capped_at=max((line.last_at for line in lines if line.letter in CAPPED), default=None),
    )


def _read_lines(office: Office, period: Period, zone: str, buyer: int) -> list[_Line]:
    """A ping at the end of the period may be sold after it, and called after that."""
    spans = offsets(period, zone)
    later_seconds = log.seconds_to_sell(office) + journal_rows.called_seconds(office)
    with journal_rows.open_period(office, Period(period.start, period.end + later_seconds)) as database:
        versions = reports.buyers_of(office, database.ask("versions.sql", {}))
        places = [(key, buyers.index(buyer) + 1) for key, buyers in versions.items() if buyer in buyers]
        found = database.ask(
            "buyer.sql",
            {
                "start": period.start,
                "end": period.end,
                "begins": [span.start for span in spans],
                "ends": [span.end for span in spans],
                "seconds": [span.seconds for span in spans],
                "buyer": buyer,
                "endpoints": [endpoint for (endpoint, _), _ in places],
                "versions": [version for (_, version), _ in places],
                "places": [place for _, place in places],
            },
        )
    return [_Line(*line) for line in found]


def _count(lines: Iterable[_Line], buyer: int) -> Counts:
    counted = Counter[Any]()
    reasons = Counter[str]()
    for line in lines:
        if line.letter in ("", OF_CALLS):
            counted["sales"] += line.times if not line.letter else 0
            counted["revenue_cents"] += line.revenue_cents
            continue
        counted["pings"] += line.times
        if line.letter != BIDS:
            reasons[REASONS.get(line.letter, line.letter)] += line.times
            continue
        counted["bids"] += line.times
        counted["won" if line.sold_to == buyer else "lost" if line.sold_to else "unsold"] += line.times
    return Counts(
        reasons={str(rule): reasons[str(rule)] for rule in LETTERS if reasons[str(rule)]},
        **{name: counted[name] for name in Counts.__struct_fields__ if name != "reasons"},
    )
