"""What happens today, or happened on a day."""

from collections.abc import Sequence

from shared.office import plots
from shared.office.dashboard import Page, Visit
from shared.office.plots import Plot, Series
from shared.operators import sources
from shared.operators.access import READERS, Office
from shared.operators.day import Count, Day, Use, cap_fills, count_day, start_of_day
from shared.pages import formats

PLOTTED_POOLS = 6
"""The others stand in the table only."""
BEFORE = "Day before"


def show_today(office: Office, visit: Visit) -> Page:
    at = start_of_day(visit.query.get("day", ""), office.records.now())
    if visit.user.role not in READERS:
        found = sources.sources(office, visit.reader, formats.date(at), formats.date(at))
        return Page("own_day.html", {"at": at, "found": found})
    day = count_day(office, at)
    pools = [pool(use, at) for use in day.pools[:PLOTTED_POOLS]]
    return Page("today.html", {"day": day, "at": at, "plots": _plots(day), "pool_plots": pools})


def caps(office: Office, visit: Visit) -> Page:
    return Page("caps.html", {"fills": cap_fills(office, visit.query.get("after", ""))})


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
                text=formats.money,
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
