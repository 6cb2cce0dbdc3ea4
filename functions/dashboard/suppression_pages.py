"""Suppression lists: which there are, who is on one, and entries put on it or taken off."""

from typing import Any

from shared.domain.objections import NotFound, NotValid
from shared.office.dashboard import Page, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators import suppression_lists
from shared.operators.access import OPERATORS, READERS, Office

SHOWN = 20
"""How many lines a page tells that are no numbers."""


def _show(office: Office, _: Visit) -> Page:
    return _page(office)


def _look_up(office: Office, visit: Visit) -> Page:
    number = visit.values.get("number", "").strip()
    try:
        return _page(office, number=number, found=suppression_lists.look_up(office.callers, number))
    except NotValid as objection:
        return _page(office, 422, number=number, wrong={"number": objection.errors["number"]})


def _change(office: Office, visit: Visit) -> Page:
    values = {name: visit.values.get(name, "") for name in ("name", "entries", "columns", "skip_wrong")}
    where: suppression_lists.Where = "off" if visit.values.get("where") == "off" else "on"
    columns = [column.strip() for column in values["columns"].split(",") if column.strip()]
    try:
        pasted = suppression_lists.change_pasted(
            office.records,
            office.callers,
            visit.user.name,
            values["name"],
            values["entries"],
            where,
            columns=columns,
            skip_wrong=bool(values["skip_wrong"]),
        )
    except NotValid as objection:
        return _page(office, 422, **values, wrong=objection.errors)
    except NotFound as objection:
        return _page(office, 422, **values, wrong={"name": [str(objection)]})
    return _page(office, name=values["name"], pasted=pasted, where=where)


def _page(office: Office, code: int = 200, **values: Any) -> Page:
    blank: dict[str, Any] = {
        "number": "",
        "found": None,
        "name": "",
        "entries": "",
        "columns": "",
        "skip_wrong": "",
        "pasted": None,
        "most": suppression_lists.ENTRIES_AT_ONCE,
        "shown": SHOWN,
        "where": "on",
        "wrong": {},
    }
    return Page("suppression_lists.html", {**blank, "lists": suppression_lists.lists(office.records), **values}, code)


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "/suppression_lists", _show, READERS),
    View("POST", "/suppression_lists", _change, OPERATORS),
    View("POST", "/suppression_lists/lookup", _look_up, READERS),
)
