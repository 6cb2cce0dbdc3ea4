"""What happens today, or happened on a day."""

from collections import Counter
from collections.abc import Callable, Sequence

from functions.dashboard.inputs import US_ZONES
from shared.journal.counts import PoolHour
from shared.office import plots
from shared.office.dashboard import Page, Visit
from shared.office.plots import Plot, Series
from shared.operators.access import READERS, Office
from shared.operators.day import CountedHour, Day, PoolDay, cap_fills, count_day
from shared.pages import formats

PLOTTED_POOLS = 6
"""The others stand in the table only."""
BEFORE = "Day before"

Value = Callable[[CountedHour], int]


def show_today(office: Office, visit: Visit) -> Page:
    sent = {name: visit.query.get(name, "").strip() for name in ("day", "zone")}
    day = count_day(office, visit.reader, **sent)
    return Page(
        "today.html",
        {
            "day": day,
            "plots": _plots(day),
            "pool_plots": [_pool_of_day(pool, day) for pool in day.pools[:PLOTTED_POOLS]],
            "is_reader": visit.user.role in READERS,
            "zones": US_ZONES,
        },
    )


def caps(office: Office, visit: Visit) -> Page:
    return Page("caps.html", {"fills": cap_fills(office, visit.query.get("after", ""))})


def _plots(day: Day) -> list[Plot]:
    statuses = {status: [hour.count.refusals.get(status, 0) for hour in day.hours] for status in day.total.day.refusals}
    has_revenue = day.total.day.revenue_cents is not None
    return [
        _plot(
            day,
            "Pings",
            [
                Series("With bids", [hour.count.pings - hour.count.unmatched for hour in day.hours]),
                Series("Unmatched", [hour.count.unmatched for hour in day.hours]),
            ],
            lambda hour: hour.count.pings,
        ),
        _plot(day, "Sales", [], lambda hour: hour.count.sales),
        *([_plot_calls(day)] if day.total.day.calls or day.total.before.calls else []),
        _plot(day, "Refused", plots.most(statuses, "others"), lambda hour: hour.count.refused),
        *([_plot(day, "Revenue", [], lambda hour: hour.count.revenue_cents or 0, formats.money)] * has_revenue),
        _plot(day, "Payout", [], lambda hour: hour.count.payout_cents, formats.money),
    ]


def _plot_calls(day: Day) -> Plot:
    return _plot(
        day,
        "Calls",
        [
            Series("Connected", [hour.count.connected for hour in day.hours]),
            Series("Not connected", [hour.count.settled - hour.count.connected for hour in day.hours]),
            Series("Not over", [hour.count.calls - hour.count.settled for hour in day.hours]),
        ],
        lambda hour: hour.count.calls,
    )


def _plot(
    day: Day, title: str, bars: Sequence[Series], value: Value, text: Callable[[int], str] = formats.plain
) -> Plot:
    """Without bars of its own it has one of `value`, with which the line of the day before is made: an hour is compared
    with what its clock showed then."""
    before = Counter[str]()
    for hour in day.before:
        before[hour.clock[:2]] += value(hour)
    return plots.hours(
        title,
        [hour.clock for hour in day.hours],
        bars or [Series(title, [value(hour) for hour in day.hours])],
        Series(BEFORE, [before[hour.clock[:2]] for hour in day.hours]),
        text=text,
    )


def _pool_of_day(pool: PoolDay, day: Day) -> Plot:
    asked = {hour.start: hour for hour in pool.hours}
    hours = [asked.get(hour.start, PoolHour(start=hour.start, clock=hour.clock, pool=pool.pool)) for hour in day.hours]
    return plot_pool(pool.pool, hours)


def plot_pool(title: str, hours: Sequence[PoolHour]) -> Plot:
    """How full a ring pool was."""
    return plots.hours(
        title,
        [hour.clock for hour in hours],
        [Series("Most in use, %", [hour.peak_percent for hour in hours])],
        Series("On average, %", [hour.used_percent for hour in hours]),
        marks=Series("Found none free", [hour.exhausted for hour in hours]),
        top=100,
    )
