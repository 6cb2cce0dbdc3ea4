"""The change log, and one of its changes undone."""

import yaml

from shared.domain.objections import NotUndoable, NotValid
from shared.edge.api import HTTP_STATUS
from shared.edge.desk import ROOT, Elsewhere, Shown, View, Visit
from shared.operators import changelog
from shared.operators.access import OPERATORS, READERS
from shared.operators.desk import Desk

SHOWN = 10
"""How many changes of an entry the list tells; its own page has all."""


def plain(value: object) -> str:
    """A value of the configuration, to be read."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        written: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None)
        return written.rstrip()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list(desk: Desk, visit: Visit) -> Shown:
    found, following = changelog.listed(desk.records, after=visit.query.get("after", ""))
    return Shown("changes.html", {"entries": found, "next": following, "plain": plain, "shown": SHOWN})


def _one(desk: Desk, visit: Visit) -> Shown:
    return _page(desk, visit)


def _undo(desk: Desk, visit: Visit) -> Shown | Elsewhere:
    try:
        applied = changelog.undo(desk.records, visit.user.name, visit.path["version"])
    except (NotUndoable, NotValid) as objection:
        return _page(desk, visit, objection)
    return Elsewhere(
        f"{ROOT}/changes/{applied.version}?undone={visit.path['version']}" if applied else f"{ROOT}/changes"
    )


def _page(desk: Desk, visit: Visit, objection: NotUndoable | NotValid | None = None) -> Shown:
    entry = changelog.one(desk.records, visit.path["version"])
    values = {"entry": entry, "plain": plain, "objection": objection, "undone": visit.query.get("undone", "")}
    code = HTTP_STATUS[type(objection)] if objection else 200
    return Shown("change.html", values, code)


VIEWS: tuple[View[Desk], ...] = (
    View("GET", "/changes", _list, READERS),
    View("GET", "/changes/{version}", _one, READERS),
    View("POST", "/changes/{version}/undo", _undo, OPERATORS),
)
