"""What happens today, or happened on a day."""

from collections.abc import Sequence

from shared.edge import plots
from shared.edge.desk import Shown, Visit
from shared.edge.plots import Plot, Series
from shared.operators import watching
from shared.operators.access import READERS
from shared.operators.desk import Desk
from shared.operators.watching import Count, Day, Use

PLOTTED_POOLS = 6
"""The others stand in the table only."""
BEFORE = "Day before"


def show(desk: Desk, visit: Visit) -> Shown:
    at = watching.day(visit.query.get("day", ""), desk.records.now())
    if visit.user.role not in READERS:
        found = watching.sources(desk, visit.user, plots.date(at), plots.date(at))
        return Shown("own_day.html", {"at": at, "found": found})
    day = watching.of_day(desk, at)
    pools = [pool(use, at) for use in day.pools[:PLOTTED_POOLS]]
    return Shown("today.html", {"day": day, "at": at, "plots": _plots(day), "pool_plots": pools})


def caps(desk: Desk, visit: Visit) -> Shown:
    return Shown("caps.html", {"fills": watching.fills(desk, visit.query.get("after", ""))})


def _plots(day: Day) -> list[Plot]:
    asked, pings = [hour.asked for hour in day.hours], [hour.pings for hour in day.hours]
    without = [max(0, of - bid) for of, bid in zip(asked, pings, strict=True)]
    statuses = {status: [hour.refused.get(status, 0) for hour in day.hours] for status in day.total.day.refused}
    return [
        plots.hours(
            "Leads",
            [Series("With bids", pings), Series("Without", without)],
            Series(BEFORE, [hour.asked for hour in day.before]),
        ),
        plots.hours("Sales", [Series("Sales", [hour.sales for hour in day.hours])], _before(day.before, "sales")),
        plots.hours(
            "Refusals",
            plots.most(statuses, "others") or [Series("Refusals", [0] * plots.HOURS)],
            _before(day.before, "refusals"),
        ),
        *(
            plots.hours(
                name,
                [Series(name, [getattr(hour, member) for hour in day.hours])],
                _before(day.before, member),
                text=plots.money,
            )
            for name, member in (("Revenue", "revenue_cents"), ("Payout", "payout_cents"))
        ),
    ]


def _before(hours: Sequence[Count], member: str) -> Series:
    return Series(BEFORE, [getattr(hour, member) for hour in hours])


def pool(use: Use, at: int) -> Plot:
    """A ring pool on the UTC day that begins `at`."""
    hours = {(hour.at - at) // 3600: hour for hour in use.hours}

    def values(member: str) -> list[int]:
        return [getattr(hours[hour], member) if hour in hours else 0 for hour in range(plots.HOURS)]

    return plots.hours(
        use.pool,
        [Series("Most in use, %", values("peak_percent"))],
        Series("On average, %", values("used_percent")),
        marks=Series("Found none free", values("exhausted")),
        top=100,
    )
