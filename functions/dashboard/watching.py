"""The log of pings and sales, a ping opened, traffic sources, and callers who are to be forgotten."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, get_args
from urllib.parse import quote, urlencode

from functions.dashboard import today
from shared.domain.objections import Errors, NotValid
from shared.edge import plots
from shared.edge.desk import ROOT, Elsewhere, File, Shown, View, Visit
from shared.operators import callers, watching
from shared.operators.access import EVERYBODY, OPERATORS, READERS
from shared.operators.desk import Desk
from shared.operators.watching import Wanted
from shared.store.journal import Page, Status

CSV = "text/csv; charset=utf-8"
SHOWN_SOURCES = 500
"""The others stand in the file only."""
SHOWN_ERASURES = 200

Answer = Shown | File | Elsewhere
Show = Callable[[Desk, Visit], Answer]


def _said(show: Show) -> Show:
    """Says what is wrong with what was asked for."""

    @wraps(show)
    def said(desk: Desk, visit: Visit) -> Answer:
        try:
            return show(desk, visit)
        except NotValid as wrong:
            return Shown("objection.html", {"title": "That cannot be shown", "sentence": _sentence(wrong.errors)}, 422)

    return said


def _sentence(errors: Errors) -> str:
    return " ".join(f"{name.capitalize()} {sentence}." for name, found in errors.items() for sentence in found)


def log(desk: Desk, visit: Visit) -> Answer:
    query = {name: value.strip() for name, value in visit.query.items()}
    if ping_id := query.get("ping_id"):
        return Elsewhere(f"{ROOT}/pings/{quote(ping_id, safe='')}")
    wanted = Wanted(**{name: query.get(name, "") for name in Wanted.__struct_fields__})
    try:
        if query.get("as") == "csv":
            text, is_whole = watching.exported(desk, visit.user, wanted)
            return _file(f"pings-{wanted.day or plots.date(desk.records.now())}", text, is_whole)
        page = watching.pings(desk, visit.user, wanted)
    except NotValid as wrong:
        return _log(desk, visit, wanted, Page([]), wrong=_sentence(wrong.errors))
    links = {name: value for name, value in query.items() if name in Wanted.__struct_fields__ and value}
    following = "?" + urlencode(links | {"after": page.cursor}) if page.cursor else ""
    links.pop("after", "")
    return _log(desk, visit, wanted, page, following=following, csv="?" + urlencode(links | {"as": "csv"}))


def log_of_caller(desk: Desk, visit: Visit) -> Answer:
    """By a form, so that the number stands in no address."""
    form = visit.values
    typed = form.get("number", "").strip()
    try:
        caller = watching.number(typed)
        if form.get("as") == "csv":
            return _file("pings-of-a-caller", *watching.exported_of(desk, visit.user, caller))
        page = watching.pings_of(desk, visit.user, caller, form.get("after", ""))
    except NotValid as wrong:
        return _log(desk, visit, Wanted(), Page([]), caller=typed, wrong=_sentence(wrong.errors))
    return _log(desk, visit, Wanted(), page, caller=typed)


def _log(
    desk: Desk,
    visit: Visit,
    wanted: Wanted,
    page: Page,
    *,
    caller: str = "",
    wrong: str = "",
    following: str = "",
    csv: str = "",
) -> Shown:
    is_reader = visit.user.role in READERS
    values: Mapping[str, Any] = {
        "wanted": wanted,
        "day": wanted.day or plots.date(desk.records.now()),
        "page": page,
        "caller": caller,
        "wrong": wrong,
        "following": following,
        "csv": csv,
        "statuses": get_args(Status),
        "exported_rows": watching.EXPORTED_ROWS,
        "is_reader": is_reader,
        "endpoints": desk.records.last_seen().names("endpoints") if is_reader else [],
        "names": watching.buyer_names(desk) if is_reader else {},
        "retention": watching.retention(desk),
    }
    return Shown("log.html", values, 422 if wrong else 200)


def _file(name: str, text: str, is_whole: bool) -> File:
    return File(f"{name}.csv" if is_whole else f"{name}-the-first-{text.count(chr(10)) - 1}.csv", text, CSV)


def ping(desk: Desk, visit: Visit) -> Shown:
    return _ping(visit, watching.opened(desk, visit.user, visit.path["ping_id"]))


def unmask(desk: Desk, visit: Visit) -> Shown:
    return _ping(visit, watching.unmasked(desk, visit.user, visit.path["ping_id"]))


def _ping(visit: Visit, opened: watching.OpenedPing) -> Shown:
    may = {"is_reader": visit.user.role in READERS, "is_operator": visit.user.role in OPERATORS}
    return Shown("ping.html", {"opened": opened, **may})


def sources(desk: Desk, visit: Visit) -> Answer:
    start, end = (visit.query.get(name, "").strip() for name in ("from", "to"))
    if visit.query.get("as") == "csv":
        name = "-".join(["sources", *filter(None, (start, end))])
        return File(f"{name}.csv", watching.exported_sources(desk, visit.user, start, end), CSV)
    found = watching.sources(desk, visit.user, start, end)
    return Shown(
        "sources.html",
        {
            "found": found,
            "shown": found.sources[:SHOWN_SOURCES],
            "csv": "?" + urlencode({"from": plots.date(found.start), "to": plots.date(found.end - 1), "as": "csv"}),
            "is_reader": visit.user.role in READERS,
            "days": watching.DAYS,
            "exported_days": watching.EXPORTED_DAYS,
        },
    )


def erasing(desk: Desk, _: Visit) -> Shown:
    return _erasing(desk)


def ask_to_erase(desk: Desk, visit: Visit) -> Shown:
    return Shown("erase.html", {"known": callers.known(desk, visit.user, visit.values.get("number", "").strip())})


def erase(desk: Desk, visit: Visit) -> Shown:
    number = visit.values.get("number", "")
    erased = callers.erase(desk, visit.user.name, number)
    return _erasing(desk, {"erased": erased, "number": number})


def _erasing(desk: Desk, done: Mapping[str, Any] | None = None) -> Shown:
    found = callers.erasures(desk)
    values = {
        "erasures": found[:SHOWN_ERASURES],
        "more": len(found) - SHOWN_ERASURES,
        "again": callers.AGAIN_SECONDS,
        "retention": watching.retention(desk),
    }
    return Shown("erasing.html", {"erased": None, "number": "", **values, **(done or {})})


VIEWS: tuple[View[Desk], ...] = (
    View("GET", "", _said(today.show), EVERYBODY),
    View("GET", "/caps", _said(today.caps), READERS),
    View("GET", "/log", log, EVERYBODY),
    View("POST", "/log", log_of_caller, EVERYBODY),
    View("GET", "/pings/{ping_id}", ping, EVERYBODY),
    View("POST", "/pings/{ping_id}", unmask, OPERATORS),
    View("GET", "/sources", _said(sources), EVERYBODY),
    View("GET", "/erasing", erasing, OPERATORS),
    View("POST", "/erasing", _said(ask_to_erase), OPERATORS),
    View("POST", "/erasing/confirmed", _said(erase), OPERATORS),
)
