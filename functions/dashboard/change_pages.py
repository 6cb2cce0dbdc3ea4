"""The change log, and one of its changes undone."""

import yaml

from shared.domain.objections import NotUndoable, NotValid, Unconfirmed
from shared.office.dashboard import ROOT, Page, Redirect, View, Visit
from shared.office.rest import HTTP_STATUS
from shared.office.visitors import VisitedOffice
from shared.operators import changelog
from shared.operators.access import OPERATORS, READERS, Office

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


def _list(office: Office, visit: Visit) -> Page:
    found, following = changelog.list_changes(office.records, after=visit.query.get("after", ""))
    entries = [changelog.readable(entry) for entry in found]
    return Page("changes.html", {"entries": entries, "next": following, "plain": plain, "shown": SHOWN})


def _one(office: Office, visit: Visit) -> Page:
    return _page(office, visit)


def _undo(office: Office, visit: Visit) -> Page | Redirect:
    try:
        confirmed = visit.values.get("confirm", "")
        applied = changelog.undo(office.records, visit.user.name, visit.path["version"], confirmed)
    except (NotUndoable, NotValid, Unconfirmed) as objection:
        return _page(office, visit, objection)
    return Redirect(
        f"{ROOT}/changes/{applied.version}?undone={visit.path['version']}" if applied else f"{ROOT}/changes"
    )


def _page(office: Office, visit: Visit, objection: NotUndoable | NotValid | Unconfirmed | None = None) -> Page:
    entry = changelog.readable(changelog.find_change(office.records, visit.path["version"]))
    values = {"entry": entry, "plain": plain, "objection": objection, "undone": visit.query.get("undone", "")}
    code = HTTP_STATUS[type(objection)] if objection else 200
    return Page("change.html", values, code)


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "/changes", _list, READERS),
    View("GET", "/changes/{version}", _one, READERS),
    View("POST", "/changes/{version}/undo", _undo, OPERATORS),
)
