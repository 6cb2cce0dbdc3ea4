"""The list of calls, with those that run on top, and a call opened."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from functions.dashboard.inputs import US_ZONES
from functions.dashboard.log_pages import CSV, sentence_of
from shared.domain.objections import NotValid, Refused
from shared.office.dashboard import File, Page, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators import call_files, calls, log
from shared.operators.access import EVERYBODY, READERS, Office
from shared.operators.account import account_zone
from shared.operators.calls import CallEntry, CallPage, WantedCalls
from shared.operators.log_files import EXPORTED_ROWS
from shared.operators.names import buyer_names
from shared.pages import formats

SENT = {"from": "start", "to": "end"} | {
    name: name for name in WantedCalls.__struct_fields__ if name not in ("start", "end", "phase")
}
"""What is sent for each member of `WantedCalls`."""


def show_calls(office: Office, visit: Visit) -> Page | File:
    query = {name: value.strip() for name, value in visit.query.items()}
    sent = {name: value for name, value in query.items() if name in SENT and value}
    wanted = WantedCalls(**{SENT[name]: value for name, value in sent.items()})
    try:
        if query.get("as") == "csv":
            return _file(office, visit, wanted)
        page = calls.list_calls(office, visit.reader, wanted)
        running = [] if wanted.after else calls.list_running(office, visit.reader, wanted)
    except NotValid as wrong:
        return _list(office, visit, wanted, CallPage([]), wrong=sentence_of(wrong.errors))
    except Refused as refused:
        return _list(office, visit, wanted, CallPage([]), wrong=str(refused))
    following = "?" + urlencode(sent | {"after": page.cursor}) if page.cursor else ""
    sent.pop("after", "")
    csv = "?" + urlencode(sent | {"as": "csv"})
    return _list(office, visit, wanted, page, running, following=following, csv=csv, is_filtered=bool(sent))


def show_call(office: Office, visit: Visit) -> Page:
    opened = calls.open_call(office, visit.reader, visit.path["call_id"], visit.query.get("at", ""))
    values: Mapping[str, Any] = {
        "opened": opened,
        "zone": account_zone(office),
        "names": buyer_names(office) if visit.reader.sees_all else {},
        "is_reader": visit.user.role in READERS,
    }
    return Page("call.html", values)


def _list(
    office: Office,
    visit: Visit,
    wanted: WantedCalls,
    page: CallPage,
    running: list[CallEntry] | None = None,
    *,
    wrong: str = "",
    following: str = "",
    csv: str = "",
    is_filtered: bool = True,
) -> Page:
    is_reader = visit.user.role in READERS
    values: Mapping[str, Any] = {
        "wanted": wanted,
        "zone": account_zone(office) if wrong or not wanted.zone else wanted.zone,
        "zones": US_ZONES,
        "page": page,
        "running": running or [],
        "wrong": wrong,
        "following": following,
        "csv": csv,
        "is_filtered": is_filtered,
        "statuses": calls.STATUSES,
        "arrivals": calls.ARRIVALS,
        "choices": calls.YES_OR_NO,
        "exported_rows": EXPORTED_ROWS,
        "is_reader": is_reader,
        "endpoints": office.records.versions.last_read().names("endpoints") if is_reader else [],
        "names": buyer_names(office) if is_reader else {},
        "retention": log.retention(office),
    }
    return Page("calls.html", values, 422 if wrong else 200)


def _file(office: Office, visit: Visit, wanted: WantedCalls) -> File:
    """Raises `NotValid` and `Refused`."""
    days = "-to-".join(filter(None, (wanted.start, wanted.end))) or formats.date(office.records.now())
    text, following = call_files.export_calls(office, visit.reader, wanted)
    ending = f"-the-first-{text.count(chr(10)) - 1}" if following else ""
    return File(f"calls-{days}{ending}.csv", text, CSV)


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "/calls", show_calls, EVERYBODY),
    View("GET", "/calls/{call_id}", show_call, EVERYBODY),
)
