"""The configuration as one file, and what holds for every offer."""

from typing import Any

from functions.dashboard import parts
from functions.dashboard.changes import plain
from functions.dashboard.parts import Filled
from shared.domain.objections import Busy, NotValid, Overtaken, Refused
from shared.edge.api import HTTP_STATUS
from shared.edge.desk import ROOT, Elsewhere, File, Shown, View, Visit
from shared.operators import resources, whole
from shared.operators.access import OPERATORS, READERS
from shared.operators.desk import Desk
from shared.operators.resources import Resource
from shared.operators.whole import Difference

YAML = "application/yaml; charset=utf-8"


def _show(desk: Desk, visit: Visit) -> Shown:
    return _page(desk, applied=visit.query.get("applied", ""))


def _account(desk: Desk, visit: Visit) -> Shown | Elsewhere:
    saved = parts.save(desk, visit, "account", resources.one(desk.records, "account", "account"))
    if isinstance(saved, Elsewhere):
        return saved
    return _page(desk, code=saved.code, account=saved)


def _export(desk: Desk, _: Visit) -> File:
    text, version = whole.written(desk.records)
    return File(f"ringpost-{version}.yaml", text, YAML)


def _difference(desk: Desk, visit: Visit) -> Shown:
    file = visit.values.get("file", "")
    try:
        found = whole.difference(desk.records, file.encode())
    except NotValid as objection:
        return _page(desk, code=422, file=file, errors=objection.errors)
    return _page(desk, file=file, difference=found)


def _apply(desk: Desk, visit: Visit) -> Shown | Elsewhere:
    file, seen = visit.values.get("file", ""), visit.values.get("seen", "")
    try:
        if not (seen.isascii() and seen.isdecimal() and len(seen) < 10):
            raise NotValid({"": ["compare it first"]})
        applied = whole.applied(desk.records, visit.user.name, file.encode(), int(seen))
    except NotValid as objection:
        return _page(desk, code=422, file=file, errors=objection.errors)
    except (Refused, Overtaken, Busy) as objection:
        desk.records.live()
        found = whole.difference(desk.records, file.encode())
        return _page(desk, code=HTTP_STATUS[type(objection)], file=file, difference=found, sentence=str(objection))
    return Elsewhere(f"{ROOT}/configuration?applied={applied.version if applied else ''}")


def _page(
    desk: Desk,
    *,
    code: int = 200,
    account: Filled | None = None,
    difference: Difference | None = None,
    **values: Any,
) -> Shown:
    found: Resource = resources.one(desk.records, "account", "account")
    blank = {"file": "", "errors": {}, "sentence": "", "applied": ""}
    return Shown(
        "configuration.html",
        {
            **blank,
            "filled": account or parts.filled(desk, found),
            "found": found,
            "difference": difference,
            "plain": plain,
            "live": desk.records.last_seen().version,
            **values,
        },
        code,
    )


VIEWS: tuple[View[Desk], ...] = (
    View("GET", "/configuration", _show, READERS),
    View("POST", "/configuration", _apply, OPERATORS),
    View("POST", "/configuration/account", _account, OPERATORS),
    View("GET", "/configuration/export", _export, READERS),
    View("POST", "/configuration/difference", _difference, READERS),
)
