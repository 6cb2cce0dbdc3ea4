"""Reports: what happened in a range, in groups. The address of the page is the saved view."""

from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlencode

from msgspec.structs import asdict

from functions.dashboard.inputs import US_ZONES
from functions.dashboard.log_pages import CSV
from shared.domain.objections import Errors, NotValid, Refused
from shared.domain.readers import Reader
from shared.journal.periods import Period, shown_days
from shared.journal.reports import DatedBy, is_of_rows, write_parquet
from shared.office import plots
from shared.office.dashboard import File, Page, View, Visit
from shared.office.plots import Plot, Series
from shared.office.visitors import VisitedOffice
from shared.operators import reports
from shared.operators.access import EVERYBODY, Office
from shared.operators.account import account_zone
from shared.operators.reports import Counted, Group, Wanted
from shared.pages import formats

PARQUET = "application/vnd.apache.parquet"
GROUPINGS = ("by", "then", "and_then")
SENT = ("range", "from", "to", "zone", *GROUPINGS, "sort", "order", "dated_by", "limit", "numbers")
PLOTTED = 62
RANGES = {
    "today": "today", "yesterday": "yesterday", "last_7_days": "last 7 days", "last_30_days": "last 30 days",
    "this_week": "this week", "this_month": "this month", "last_month": "last month",
}  # fmt: skip
TITLES = {
    "fill_percent": "Fill %", "win_percent": "Win %", "revenue_cents": "Revenue", "payout_cents": "Payout",
    "margin_cents": "Margin", "margin_percent": "Margin %", "revenue_per_ping_cents": "Revenue per ping",
    "median_ms": "Median ms", "p95_ms": "p95 ms", "live_asked": "Live: asked", "live_bids": "Live: bid",
    "live_timed_out": "Live: timed out", "live_declined": "Live: declined", "live_broken": "Live: broken",
    "live_median_ms": "Live: median ms", "live_p95_ms": "Live: p95 ms",
}  # fmt: skip


def show_report(office: Office, visit: Visit) -> Page | File:
    query = {name: value.strip() for name, value in visit.query.items() if name in SENT and value.strip()}
    query |= zip(GROUPINGS, query["by"].split(","), strict=False) if query.get("by", "").count(",") in (1, 2) else ()
    try:
        report = reports.read_report(office, visit.reader, _wanted(query))
    except NotValid as wrong:
        return Page("report.html", _form(office, visit, query) | _refused(query, wrong.errors), 422)
    except Refused as refused:
        return Page("report.html", _form(office, visit, query) | {"wrong": str(refused), "found": None}, 409)
    found = reports.describe(office, report)
    days = shown_days(Period(found.start, found.end), found.zone)
    if visit.query.get("as") == "csv":
        return File(f"report-{days[0]}-{days[1]}.csv", reports.csv_of(found, visit.reader), CSV)
    if visit.query.get("as") == "parquet":
        return File(f"report-{days[0]}-{days[1]}.parquet", write_parquet(report), PARQUET)
    return Page("report.html", _form(office, visit, query) | _shown(visit.reader, query, found, days))


def _refused(query: Mapping[str, str], errors: Errors) -> dict[str, Any]:
    """What is wrong, and where it is too much to read, what can be asked in its place."""
    offered = {"athena": "", "counts": ""}
    if "to" in errors and "athena" in errors:
        offered["athena"] = errors["athena"][0]
    if "to" in errors and "numbers" in errors:
        offered["counts"] = "?" + urlencode({**query, "numbers": "counts"})
    said = [
        f"{title(name)} {sentence.rstrip('.')}."
        for name, found in errors.items()
        for sentence in found
        if name not in offered
    ]
    return {"wrong": " ".join(said), "found": None, **offered}


def _wanted(query: Mapping[str, str]) -> Wanted:
    return Wanted(
        range=query.get("range", "") if not (query.get("from") or query.get("to")) else "",
        start=query.get("from", ""),
        end=query.get("to", ""),
        by=",".join(dict.fromkeys(query[name] for name in GROUPINGS if name in query)),
        **{name: query.get(name, "") for name in ("zone", "sort", "order", "dated_by", "limit", "numbers")},
    )


def _form(office: Office, visit: Visit, query: Mapping[str, str]) -> dict[str, Any]:
    return {
        "query": {name: query.get(name, "") for name in SENT},
        "ranges": RANGES,
        "groups": reports.groups_of(visit.reader),
        "columns": reports.columns_of(visit.reader),
        "zone": query.get("zone") or account_zone(office),
        "zones": US_ZONES,
        "dated": get_args(DatedBy),
        "counts": "",
        "athena": "",
        "title": title,
    }


def _shown(reader: Reader, query: Mapping[str, str], found: Counted, days: tuple[str, str]) -> dict[str, Any]:
    columns = [name for name in reports.columns_of(reader) if found.total.live_asked or "live" not in name]
    if query.get("numbers") == "counts":
        columns = [name for name in columns if not is_of_rows(name)]

    def link(**changed: str) -> str:
        return "?" + urlencode({**query, **changed})

    def sorted_by(name: str) -> str:
        turned = {"down": "up", "up": "down"}[found.order] if found.sort == name else ""
        return link(sort=name, order=turned or ("up" if name in found.by else "down"))

    return {
        "wrong": "",
        "found": found,
        "shown": columns,
        "first": days[0],
        "last": days[1],
        "before": shown_days(Period(found.before.start, found.before.end), found.zone),
        "plots": _plots(reader, found),
        "csv": link(**{"as": "csv"}),
        "parquet": link(**{"as": "parquet"}),
        "sorted_by": sorted_by,
        "cell": cell,
    }


def title(name: str) -> str:
    """What a column or a group is called on the page."""
    return TITLES.get(name) or name.replace("_", " ").capitalize()


def cell(numbers: Any, name: str) -> str:
    value = getattr(numbers, name)
    if value is None:
        return "–"
    if name.endswith("_cents"):
        return formats.money(value)
    return f"{value:.1f}" if name.endswith("_percent") else formats.plain(value)


def _plots(reader: Reader, found: Counted) -> list[Plot]:
    """Of the first grouping, whatever others there are."""
    if not found.by:
        return []
    amount = "revenue_cents" if reader.sees_all else "payout_cents"
    sums = dict[str, dict[str, int]]()
    for group in found.items:
        of = sums.setdefault(_label(group, found.by[0]), dict.fromkeys(("pings", "sales", amount), 0))
        for name, value in asdict(group.numbers).items():
            if name in of:
                of[name] += value
    labels = [*sums][:PLOTTED]
    if not labels:
        return []
    return [
        plots.groups(
            f"{title(name)} by {found.by[0].replace('_', ' ')}",
            Series(title(name), [sums[label][name] for label in labels]),
            labels,
            text=formats.money if name == amount else formats.plain,
        )
        for name in ("pings", "sales", amount)
    ]


def _label(group: Group, name: str) -> str:
    return group.buyer_name or group.keys[name] if name == "buyer" else group.keys[name] or "none"


VIEWS: tuple[View[VisitedOffice], ...] = (View("GET", "/reports", show_report, EVERYBODY),)
