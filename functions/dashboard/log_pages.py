"""The log of pings and sales, a ping opened, traffic sources, and callers who are to be forgotten."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import quote, urlencode

from functions.dashboard import today
from functions.dashboard.inputs import US_ZONES
from shared.domain.objections import Errors, NotValid, Refused
from shared.journal.periods import local_day
from shared.journal.reports import MOST_ROWS
from shared.office.dashboard import ROOT, File, Page, Redirect, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators import erasing, log, log_files, one_ping, reports, sources
from shared.operators.access import EVERYBODY, OPERATORS, READERS, Office
from shared.operators.account import account_zone
from shared.operators.log import Wanted
from shared.operators.names import buyer_names
from shared.pages import formats
from shared.store.erasures import Erased

CSV = "text/csv; charset=utf-8"
SHOWN_SOURCES = 500
"""The others stand in the file only."""
SHOWN_ERASURES = 200
SENT = {"from": "start", "to": "end"} | {
    name: name for name in Wanted.__struct_fields__ if name not in ("start", "end")
}
"""What is sent for each member of `Wanted`."""

Answer = Page | File | Redirect
Show = Callable[[Office, Visit], Answer]


def _catch_mistakes(show: Show) -> Show:
    """Says what is wrong with what was asked for."""

    @wraps(show)
    def said(office: Office, visit: Visit) -> Answer:
        try:
            return show(office, visit)
        except NotValid as wrong:
            return Page("objection.html", {"title": "That cannot be shown", "sentence": sentence_of(wrong.errors)}, 422)

    return said


def sentence_of(errors: Errors) -> str:
    return " ".join(f"{name.capitalize()} {sentence}." for name, found in errors.items() for sentence in found)


def show_log(office: Office, visit: Visit) -> Answer:
    query = {name: value.strip() for name, value in visit.query.items()}
    if ping_id := query.get("ping_id"):
        return Redirect(f"{ROOT}/pings/{quote(ping_id, safe='')}")
    sent = {name: value for name, value in query.items() if name in SENT and value}
    wanted = Wanted(**{SENT[name]: value for name, value in sent.items()})
    try:
        if query.get("as") == "csv":
            days = "-to-".join(filter(None, (wanted.start, wanted.end))) or formats.date(office.records.now())
            return _file(f"pings-{days}", *log_files.export_pings(office, visit.reader, wanted))
        page = log.pings(office, visit.reader, wanted)
    except NotValid as wrong:
        return _log(office, visit, wanted, log.Page([]), wrong=sentence_of(wrong.errors))
    except Refused as refused:
        return _log(office, visit, wanted, log.Page([]), wrong=str(refused))
    following = "?" + urlencode(sent | {"after": page.cursor}) if page.cursor else ""
    sent.pop("after", "")
    return _log(office, visit, wanted, page, following=following, csv="?" + urlencode(sent | {"as": "csv"}))


def log_of_caller(office: Office, visit: Visit) -> Answer:
    """By a form, so that the number is in no address."""
    form = visit.values
    typed = form.get("number", "").strip()
    try:
        caller = log.read_number(typed)
        if form.get("as") == "csv":
            return _file("pings-of-a-caller", *log_files.export_pings_of(office, visit.reader, caller))
        page = log.pings_of(office, visit.reader, caller, form.get("after", ""))
    except NotValid as wrong:
        return _log(office, visit, Wanted(), log.Page([]), caller=typed, wrong=sentence_of(wrong.errors))
    except Refused as refused:
        return _log(office, visit, Wanted(), log.Page([]), caller=typed, wrong=str(refused))
    return _log(office, visit, Wanted(), page, caller=typed)


def _log(
    office: Office,
    visit: Visit,
    wanted: Wanted,
    page: log.Page[log.Entry],
    *,
    caller: str = "",
    wrong: str = "",
    following: str = "",
    csv: str = "",
) -> Page:
    is_reader = visit.user.role in READERS
    zone = account_zone(office) if wrong or not wanted.zone else wanted.zone
    values: Mapping[str, Any] = {
        "wanted": wanted,
        "zone": zone,
        "zones": US_ZONES,
        "page": page,
        "caller": caller,
        "wrong": wrong,
        "following": following,
        "csv": csv,
        "outcomes": log.OUTCOMES,
        "statuses": log.STATUSES,
        "exported_rows": log_files.EXPORTED_ROWS,
        "is_reader": is_reader,
        "endpoints": office.records.versions.last_read().names("endpoints") if is_reader else [],
        "names": buyer_names(office) if is_reader else {},
        "retention": log.retention(office),
    }
    return Page("log.html", values, 422 if wrong else 200)


def _file(name: str, text: str, following: str) -> File:
    return File(f"{name}-the-first-{text.count(chr(10)) - 1}.csv" if following else f"{name}.csv", text, CSV)


def show_ping(office: Office, visit: Visit) -> Page:
    at = visit.query.get("at", "")
    return _ping(office, visit, one_ping.open_ping(office, visit.reader, visit.path["ping_id"], at))


def unmask(office: Office, visit: Visit) -> Page:
    return _ping(office, visit, one_ping.unmask_ping(office, visit.reader, visit.path["ping_id"]))


def _ping(office: Office, visit: Visit, opened: one_ping.OpenedPing) -> Page:
    may = {"is_reader": visit.user.role in READERS, "is_operator": visit.user.role in OPERATORS}
    names = buyer_names(office) if opened.calls and visit.reader.sees_all else {}
    is_local = bool(office.records.dynamo.settings.demo)
    callers = [value.value for value in opened.lead if value.name == "caller_id" and not value.masked]
    return Page(
        "ping.html",
        {
            "opened": opened,
            "zone": account_zone(office),
            "names": names,
            "can_be_called": is_local and opened.takes_calls and may["is_operator"],
            "caller": callers[0] if callers else "",
            **may,
        },
    )


def show_sources(office: Office, visit: Visit) -> Answer:
    query = {name: visit.query.get(name, "").strip() for name in ("from", "to", "zone")}
    is_file = visit.query.get("as") == "csv"
    wanted = reports.Wanted(
        start=query["from"],
        end=query["to"],
        zone=query["zone"],
        limit=str(MOST_ROWS if is_file else SHOWN_SOURCES),
    )
    found = sources.count_sources(office, visit.reader, wanted)
    first, last = (str(local_day(at, found.zone)) for at in (found.start, found.end - 1))
    if is_file:
        return File(f"sources-{first}-{last}.csv", sources.csv_of(found, visit.reader), CSV)
    return Page(
        "sources.html",
        {
            "found": found,
            "first": first,
            "last": last,
            "zones": US_ZONES,
            "is_reader": visit.user.role in READERS,
            "exported": MOST_ROWS,
        },
    )


def show_erasures(office: Office, _: Visit) -> Page:
    return _erasures(office)


def ask_to_erase(office: Office, visit: Visit) -> Page:
    typed = visit.values.get("number", "").strip()
    try:
        number = log.read_number(typed)
    except NotValid as wrong:
        return _erasures(office, typed=typed, wrong=sentence_of(wrong.errors))
    return Page("erase.html", {"number": number, "known": erasing.preview(office, visit.user.name, number)})


def erase(office: Office, visit: Visit) -> Page:
    return _erasures(office, erasing.erase(office, visit.user.name, visit.values.get("number", "")))


def _erasures(office: Office, erased: Erased | None = None, typed: str = "", wrong: str = "") -> Page:
    found = erasing.list_erasures(office)
    return Page(
        "erasing.html",
        {
            "erased": erased,
            "typed": typed,
            "wrong": wrong,
            "erasures": found[:SHOWN_ERASURES],
            "more": len(found) - SHOWN_ERASURES,
            "retention": log.retention(office),
        },
        422 if wrong else 200,
    )


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "", _catch_mistakes(today.show_today), EVERYBODY),
    View("GET", "/caps", _catch_mistakes(today.caps), READERS),
    View("GET", "/log", show_log, EVERYBODY),
    View("POST", "/log", log_of_caller, EVERYBODY),
    View("GET", "/pings/{ping_id}", show_ping, EVERYBODY),
    View("POST", "/pings/{ping_id}", unmask, OPERATORS),
    View("GET", "/sources", _catch_mistakes(show_sources), EVERYBODY),
    View("GET", "/erasing", show_erasures, OPERATORS),
    View("POST", "/erasing", _catch_mistakes(ask_to_erase), OPERATORS),
    View("POST", "/erasing/confirmed", _catch_mistakes(erase), OPERATORS),
)
