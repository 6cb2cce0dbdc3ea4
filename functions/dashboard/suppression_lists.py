"""Suppression lists: which there are, who is on one, and entries put on it or taken off."""

from typing import Any

from shared.domain.objections import NotFound, NotValid
from shared.edge.desk import Shown, View, Visit
from shared.operators import suppression
from shared.operators.access import OPERATORS, READERS
from shared.operators.desk import Desk


def _show(desk: Desk, _: Visit) -> Shown:
    return _page(desk)


def _look_up(desk: Desk, visit: Visit) -> Shown:
    number = visit.values.get("number", "").strip()
    try:
        return _page(desk, number=number, found=suppression.look_up(desk.callers, number))
    except NotValid as objection:
        return _page(desk, 422, number=number, wrong={"number": objection.errors["number"]})


def _change(desk: Desk, visit: Visit) -> Shown:
    name, text = visit.values.get("name", ""), visit.values.get("entries", "")
    where: suppression.Where = "off" if visit.values.get("where") == "off" else "on"
    texts = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        if not texts:
            raise NotValid({"entries": ["must have a number or a prefix in each line"]})
        changed = suppression.change(desk.records, desk.callers, visit.user.name, name, texts, where)
    except NotValid as objection:
        sentences = [sentence for each in objection.errors.values() for sentence in each]
        return _page(desk, 422, name=name, entries=text, wrong={"entries": sentences})
    except NotFound as objection:
        return _page(desk, 422, name=name, entries=text, wrong={"name": [str(objection)]})
    return _page(desk, name=name, changed=changed, where=where)


def _page(desk: Desk, code: int = 200, **values: Any) -> Shown:
    blank: dict[str, Any] = {
        "number": "",
        "found": None,
        "name": "",
        "entries": "",
        "changed": None,
        "where": "on",
        "wrong": {},
    }
    return Shown("suppression_lists.html", {**blank, "lists": suppression.lists(desk.records), **values}, code)


VIEWS: tuple[View[Desk], ...] = (
    View("GET", "/suppression_lists", _show, READERS),
    View("POST", "/suppression_lists", _change, OPERATORS),
    View("POST", "/suppression_lists/lookup", _look_up, READERS),
)
