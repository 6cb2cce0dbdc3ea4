"""The configuration as one file, and what holds for every offer."""

from typing import Any

from functions.dashboard import section_page
from functions.dashboard.change_pages import plain
from functions.dashboard.section_page import FilledForm
from shared.domain.objections import Busy, NotValid, Objection, Overtaken, Refused, Unconfirmed
from shared.office.dashboard import ROOT, File, Page, Redirect, View, Visit
from shared.office.rest import HTTP_STATUS
from shared.office.visitors import VisitedOffice
from shared.operators import configuration_warnings, resources, whole_file
from shared.operators.access import OPERATORS, READERS, Office
from shared.operators.comparing import Difference
from shared.operators.resources import Resource

YAML = "application/yaml; charset=utf-8"


def _show(office: Office, visit: Visit) -> Page:
    return _page(office, applied=visit.query.get("applied", ""))


def _account(office: Office, visit: Visit) -> Page | Redirect:
    saved = section_page.save(office, visit, "account", resources.find_resource(office.records, "account", "account"))
    if isinstance(saved, Redirect):
        return saved
    return _page(office, code=saved.code, account=saved)


def _export(office: Office, _: Visit) -> File:
    text, version = whole_file.write_file(office.records)
    return File(f"ringpost-{version}.yaml", text, YAML)


def _difference(office: Office, visit: Visit) -> Page:
    return _compare(office, visit)


def _apply(office: Office, visit: Visit) -> Page | Redirect:
    values = visit.values
    file, seen = values.get("file", ""), values.get("seen", "")
    try:
        if not (seen.isascii() and seen.isdecimal() and len(seen) < 10):
            raise NotValid({"": ["compare it first"]})
        confirmed = values.get("confirm", "")
        applied = whole_file.apply_file(office.records, visit.user.name, file.encode(), int(seen), confirmed).change
    except NotValid as objection:
        return _page(office, code=422, file=file, errors=objection.errors)
    except (Refused, Unconfirmed, Overtaken, Busy) as objection:
        office.records.versions.current()
        return _compare(office, visit, objection)
    return Redirect(f"{ROOT}/configuration?applied={applied.version if applied else ''}")


def _compare(office: Office, visit: Visit, objection: Objection | None = None) -> Page:
    """The file beside what is live, and why it was not applied."""
    file = visit.values.get("file", "")
    try:
        found = whole_file.difference(office.records, visit.user, file.encode())
    except NotValid as wrong:
        return _page(office, code=422, file=file, errors=wrong.errors)
    except Refused as refused:
        return _page(office, code=HTTP_STATUS[Refused], file=file, sentence=str(refused))
    sentence = "" if objection is None or isinstance(objection, Unconfirmed) else str(objection)
    code = HTTP_STATUS[type(objection)] if objection else 200
    unconfirmed = isinstance(objection, Unconfirmed)
    return _page(office, code=code, file=file, difference=found, sentence=sentence, unconfirmed=unconfirmed)


def _page(
    office: Office,
    *,
    code: int = 200,
    account: FilledForm | None = None,
    difference: Difference | None = None,
    **values: Any,
) -> Page:
    found: Resource = resources.find_resource(office.records, "account", "account")
    blank = {"file": "", "errors": {}, "sentence": "", "applied": "", "unconfirmed": False}
    return Page(
        "configuration.html",
        {
            **blank,
            "filled": account or section_page.fill(office, found),
            "found": found,
            "difference": difference,
            "plain": plain,
            "live": office.records.versions.last_read().version,
            "warnings": configuration_warnings.of_live(office.records),
            **values,
        },
        code,
    )


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", "/configuration", _show, READERS),
    View("POST", "/configuration", _apply, OPERATORS),
    View("POST", "/configuration/account", _account, OPERATORS),
    View("GET", "/configuration/export", _export, READERS),
    View("POST", "/configuration/difference", _difference, READERS),
)
