"""Common questions, each as an address to keep; why a buyer got no calls; and refused requests."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from functions.dashboard.inputs import US_ZONES
from functions.dashboard.report_pages import RANGES, title
from shared.domain.objections import NotFound, NotValid, Objection, Refused
from shared.journal.periods import Period, shown_days
from shared.office.dashboard import ROOT, Page, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators import buyer_report, refused_report
from shared.operators.access import EVERYBODY, READERS, Office
from shared.operators.account import account_zone
from shared.operators.names import buyer_names
from shared.operators.reports import Wanted
from shared.pages import formats

CODES = {NotValid: 422, NotFound: 404, Refused: 409}
FIELDS = ("range", "from", "to", "zone", "buyer")


class Link(Struct, frozen=True):
    """`of_readers`: it shows buyers or revenue, so that publishers have no use for it."""

    said: str
    path: str
    query: dict[str, str] = {}
    of_readers: bool = True

    @property
    def address(self) -> str:
        return f"{ROOT}{self.path}" + (f"?{urlencode(self.query)}" if self.query else "")


class Asked(Struct, frozen=True):
    """A question, and where its answers are."""

    question: str
    links: tuple[Link, ...]


def _report(said: str, of_range: str, by: str, sort: str, **more: str) -> Link:
    return Link(said, "/reports", {"range": of_range, "by": by, "sort": sort, **more})


MONTH = "this_month"
QUESTIONS = (
    Asked("Why did this buyer get no calls?", (Link("one buyer, by day", "/reports/buyer"),)),
    Asked(
        "Who sends requests that are refused?",
        (
            Link("last 7 days", "/reports/refused", {"range": "last_7_days"}, of_readers=False),
            Link("today", "/reports/refused", {"range": "today"}, of_readers=False),
        ),
    ),
    Asked("Is a buyer capped?", (Link("one buyer, today", "/reports/buyer", {"range": "today"}),)),
    Asked(
        "Which buyer is most profitable this month?",
        (_report("margin by buyer", MONTH, "buyer", "margin_cents"),),
    ),
    Asked(
        "What do I owe a publisher this week?",
        (_report("payout by user", "this_week", "user", "payout_cents"),),
    ),
    Asked(
        "Where does revenue come from?",
        (
            _report("by offer", MONTH, "offer", "revenue_cents"),
            _report("by buyer", MONTH, "buyer", "revenue_cents"),
            _report("by source", MONTH, "source", "revenue_cents"),
            _report("by state", MONTH, "state", "revenue_cents"),
            _report("by hour, last 7 days", "last_7_days", "hour", "hour"),
        ),
    ),
    Asked("What are the fill and win rates of buyers?", (_report("by buyer", "last_7_days", "buyer", "win_percent"),)),
    Asked(
        "How fast are live buyers, and how often do they time out?",
        (_report("by buyer", "last_7_days", "buyer", "live_timed_out"),),
    ),
    Asked(
        "What changed yesterday?",
        (
            _report("numbers by offer, with the day before", "yesterday", "offer", "revenue_cents"),
            _report("refusals by status", "yesterday", "status", "refused"),
            Link("configuration", "/changes"),
        ),
    ),
    Asked(
        "Which number belongs to which sale?",
        (Link("sales and numbers", "/log", {"outcome": "sold"}, of_readers=False),),
    ),
)


def show_questions(_: Office, visit: Visit) -> Page:
    shown = [
        (asked.question, links)
        for asked in QUESTIONS
        if (links := [link for link in asked.links if visit.reader.sees_all or not link.of_readers])
    ]
    return Page("questions.html", {"questions": shown})


def show_buyer(office: Office, visit: Visit) -> Page:
    query, names = _query(visit), buyer_names(office)
    values = _form(office, query) | {"buyers": names, "found": None}
    if "buyer" not in query:
        return Page("buyer_report.html", values)
    try:
        found = buyer_report.read_buyer(office, query["buyer"], _wanted(query))
    except (NotValid, NotFound, Refused) as objection:
        return _refused("buyer_report.html", values, objection)
    first, last = shown_days(Period(found.start, found.end), found.zone)
    columns = [*found.total.reasons]
    capped = formats.minute_in(found.capped_at, found.zone) if found.capped_at else ""
    shown = {"found": found, "columns": columns, "first": first, "last": last, "capped": capped}
    return Page("buyer_report.html", values | shown)


def show_refused(office: Office, visit: Visit) -> Page:
    query = _query(visit)
    values = _form(office, query) | {"found": None}
    try:
        found = refused_report.read_refused(office, visit.reader, _wanted(query))
    except (NotValid, Refused) as objection:
        return _refused("refused.html", values, objection)
    first, last = shown_days(Period(found.start, found.end), found.zone)
    return Page("refused.html", values | {"found": found, "first": first, "last": last, "minute_in": formats.minute_in})


def _query(visit: Visit) -> dict[str, str]:
    return {name: value.strip() for name, value in visit.query.items() if name in FIELDS and value.strip()}


def _wanted(query: Mapping[str, str]) -> Wanted:
    start, end = query.get("from", ""), query.get("to", "")
    named = "" if start or end else query.get("range", "")
    return Wanted(range=named, start=start, end=end, zone=query.get("zone", ""))


def _form(office: Office, query: Mapping[str, str]) -> dict[str, Any]:
    return {
        "query": {name: query.get(name, "") for name in FIELDS},
        "zone": query.get("zone") or account_zone(office),
        "zones": US_ZONES,
        "ranges": RANGES,
        "wrong": "",
        "title": title,
    }


def _refused(template: str, values: Mapping[str, Any], objection: Objection) -> Page:
    said = str(objection)
    if isinstance(objection, NotValid):
        said = " ".join(f"{title(name)} {each}." for name, found in objection.errors.items() for each in found)
    return Page(template, {**values, "wrong": said}, CODES[type(objection)])


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "/reports/questions", show_questions, EVERYBODY),
    View("GET", "/reports/buyer", show_buyer, READERS),
    View("GET", "/reports/refused", show_refused, EVERYBODY),
)
