"""The log of pings and sales, a ping opened, traffic sources, and callers who are to be forgotten."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, get_args
from urllib.parse import quote, urlencode

from functions.dashboard import today
from shared.domain.objections import Errors, NotValid
from shared.office.dashboard import ROOT, File, Page, Redirect, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators import erasures, log, one_ping, sources
from shared.operators.access import EVERYBODY, OPERATORS, READERS, Office
from shared.operators.log import Wanted
from shared.operators.names import buyer_names
from shared.pages import formats
from shared.store import journal
from shared.store.pagination import Status

CSV = "text/csv; charset=utf-8"
SHOWN_SOURCES = 500
"""The others stand in the file only."""
SHOWN_ERASURES = 200

Answer = Page | File | Redirect
Show = Callable[[Office, Visit], Answer]


def _catch_mistakes(show: Show) -> Show:
    """Says what is wrong with what was asked for."""

    @wraps(show)
    def said(office: Office, visit: Visit) -> Answer:
        try:
            return show(office, visit)
        except NotValid as wrong:
            return Page("objection.html", {"title": "That cannot be shown", "sentence": _sentence(wrong.errors)}, 422)

    return said


def _sentence(errors: Errors) -> str:
    return " ".join(f"{name.capitalize()} {sentence}." for name, found in errors.items() for sentence in found)


def show_log(office: Office, visit: Visit) -> Answer:
    query = {name: value.strip() for name, value in visit.query.items()}
    if ping_id := query.get("ping_id"):
        return Redirect(f"{ROOT}/pings/{quote(ping_id, safe='')}")
    wanted = Wanted(**{name: query.get(name, "") for name in Wanted.__struct_fields__})
    try:
        if query.get("as") == "csv":
            text, is_whole = log.export_pings(office, visit.reader, wanted)
            return _file(f"pings-{wanted.day or formats.date(office.records.now())}", text, is_whole)
        page = log.pings(office, visit.reader, wanted)
    except NotValid as wrong:
        return _log(office, visit, wanted, journal.Page([]), wrong=_sentence(wrong.errors))
    links = {name: value for name, value in query.items() if name in Wanted.__struct_fields__ and value}
    following = "?" + urlencode(links | {"after": page.cursor}) if page.cursor else ""
    links.pop("after", "")
    return _log(office, visit, wanted, page, following=following, csv="?" + urlencode(links | {"as": "csv"}))


def log_of_caller(office: Office, visit: Visit) -> Answer:
    """By a form, so that the number stands in no address."""
    form = visit.values
    typed = form.get("number", "").strip()
    try:
        caller = log.read_number(typed)
        if form.get("as") == "csv":
            return _file("pings-of-a-caller", *log.export_pings_of(office, visit.reader, caller))
        page = log.pings_of(office, visit.reader, caller, form.get("after", ""))
    except NotValid as wrong:
        return _log(office, visit, Wanted(), journal.Page([]), caller=typed, wrong=_sentence(wrong.errors))
    return _log(office, visit, Wanted(), page, caller=typed)


def _log(
    office: Office,
    visit: Visit,
    wanted: Wanted,
    page: journal.Page,
    *,
    caller: str = "",
    wrong: str = "",
    following: str = "",
    csv: str = "",
) -> Page:
    is_reader = visit.user.role in READERS
    values: Mapping[str, Any] = {
        "wanted": wanted,
        "day": wanted.day or formats.date(office.records.now()),
        "page": page,
        "caller": caller,
        "wrong": wrong,
        "following": following,
        "csv": csv,
        "statuses": get_args(Status),
        "exported_rows": log.EXPORTED_ROWS,
        "is_reader": is_reader,
        "endpoints": office.records.versions.last_read().names("endpoints") if is_reader else [],
        "names": buyer_names(office) if is_reader else {},
        "retention": log.retention(office),
    }
    return Page("log.html", values, 422 if wrong else 200)


def _file(name: str, text: str, is_whole: bool) -> File:
    return File(f"{name}.csv" if is_whole else f"{name}-the-first-{text.count(chr(10)) - 1}.csv", text, CSV)


def show_ping(office: Office, visit: Visit) -> Page:
    return _ping(visit, one_ping.open_ping(office, visit.reader, visit.path["ping_id"]))


def unmask(office: Office, visit: Visit) -> Page:
    return _ping(visit, one_ping.unmask_ping(office, visit.reader, visit.path["ping_id"]))


def _ping(visit: Visit, opened: one_ping.OpenedPing) -> Page:
    may = {"is_reader": visit.user.role in READERS, "is_operator": visit.user.role in OPERATORS}
    return Page("ping.html", {"opened": opened, **may})


def show_sources(office: Office, visit: Visit) -> Answer:
    start, end = (visit.query.get(name, "").strip() for name in ("from", "to"))
    if visit.query.get("as") == "csv":
        name = "-".join(["sources", *filter(None, (start, end))])
        return File(f"{name}.csv", sources.export_sources(office, visit.reader, start, end), CSV)
    found = sources.sources(office, visit.reader, start, end)
    return Page(
        "sources.html",
        {
            "found": found,
            "shown": found.sources[:SHOWN_SOURCES],
            "csv": "?" + urlencode({"from": formats.date(found.start), "to": formats.date(found.end - 1), "as": "csv"}),
            "is_reader": visit.user.role in READERS,
            "days": sources.DAYS,
            "exported_days": sources.EXPORTED_DAYS,
        },
    )


def erasing(office: Office, _: Visit) -> Page:
    return _erasing(office)


def ask_to_erase(office: Office, visit: Visit) -> Page:
    return Page("erase.html", {"known": erasures.look_up(office, visit.reader, visit.values.get("number", "").strip())})


def erase(office: Office, visit: Visit) -> Page:
    number = visit.values.get("number", "")
    erased = erasures.erase(office, visit.user.name, number)
    return _erasing(office, {"erased": erased, "number": number})


def _erasing(office: Office, done: Mapping[str, Any] | None = None) -> Page:
    found = erasures.erasures(office)
    values = {
        "erasures": found[:SHOWN_ERASURES],
        "more": len(found) - SHOWN_ERASURES,
        "again": erasures.AGAIN_SECONDS,
        "retention": log.retention(office),
    }
    return Page("erasing.html", {"erased": None, "number": "", **values, **(done or {})})


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "", _catch_mistakes(today.show_today), EVERYBODY),
    View("GET", "/caps", _catch_mistakes(today.caps), READERS),
    View("GET", "/log", show_log, EVERYBODY),
    View("POST", "/log", log_of_caller, EVERYBODY),
    View("GET", "/pings/{ping_id}", show_ping, EVERYBODY),
    View("POST", "/pings/{ping_id}", unmask, OPERATORS),
    View("GET", "/sources", _catch_mistakes(show_sources), EVERYBODY),
    View("GET", "/erasing", erasing, OPERATORS),
    View("POST", "/erasing", _catch_mistakes(ask_to_erase), OPERATORS),
    View("POST", "/erasing/confirmed", _catch_mistakes(erase), OPERATORS),
)
