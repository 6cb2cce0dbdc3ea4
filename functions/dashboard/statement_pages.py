"""Statements: of everybody for a month, one of them, and how it is closed."""

from collections.abc import Sequence
from urllib.parse import urlencode

from functions.dashboard.log_pages import CSV, sentence_of
from shared.domain.objections import NotValid, Refused
from shared.domain.statements import SEPARATOR, month_after, party_of
from shared.office.dashboard import ROOT, File, Page, Redirect, View, Visit
from shared.office.visitors import VisitedOffice
from shared.operators import statement_files, statements
from shared.operators.access import ANYBODY, OPERATORS, READERS, Office
from shared.operators.shown_statements import Correction, Statement, this_month
from shared.operators.statements import Close

STATEMENTS = "/statements"
SHOWN_CORRECTIONS = 200
"""On the page; the file has all."""


def show_statements(office: Office, visit: Visit) -> Page | File:
    month = visit.query.get("period", "").strip()
    try:
        found = statements.list_statements(office, visit.reader, month)
    except NotValid as wrong:
        return _wrong(office, sentence_of(wrong.errors), 422)
    except Refused as refused:
        return _wrong(office, str(refused), 409)
    month = month or this_month(office)
    if visit.query.get("as") == "csv":
        return File(f"statements-{month}.csv", statement_files.csv_of_all(found), CSV)
    csv = "?" + urlencode({"period": month, "as": "csv"}) if found else ""
    return _list(office, month, found, csv=csv)


def show_statement(office: Office, visit: Visit) -> Page | File:
    party, month = _party(visit), visit.query.get("period", "").strip()
    try:
        found = statements.read_statement(office, visit.reader, party, month)
    except NotValid as wrong:
        return _wrong(office, sentence_of(wrong.errors), 422)
    except Refused as refused:
        return _wrong(office, str(refused), 409)
    if visit.query.get("as") == "csv":
        name = party.replace(SEPARATOR, "-")
        return File(f"statement-{name}-{found.period}.csv", statement_files.csv_of(found), CSV)
    values = {
        "found": found,
        "shown": [(each, _link_of(visit, each)) for each in found.corrections[:SHOWN_CORRECTIONS]],
        "csv": "?" + urlencode({"period": found.period, "as": "csv"}),
        "address": address_of,
        "is_reader": visit.user.role in READERS,
        "may_close": visit.user.role in OPERATORS and found.state == "open",
        "is_over": office.records.now() >= found.closes_at,
    }
    return Page("statement.html", values | _months(office, found.period))


def close(office: Office, visit: Visit) -> Page | Redirect:
    """Ask first, then close."""
    party, month = _party(visit), visit.values.get("period", "").strip()
    try:
        if visit.values.get("confirmed") == "yes":
            closed = statements.close_statement(office, visit.user.name, Close(party, month))
            return Redirect(ROOT + address_of(closed.party, closed.period))
        found = statements.read_statement(office, visit.reader, party, month)
    except NotValid as wrong:
        return _refused(sentence_of(wrong.errors), 422)
    except Refused as refused:
        return _refused(str(refused), 409)
    return Page("close_statement.html", {"found": found, "address": address_of})


def _refused(said: str, code: int) -> Page:
    return Page("objection.html", {"title": "The statement stays open", "sentence": said}, code)


def _party(visit: Visit) -> str:
    side, name = visit.path["side"], visit.path["name"]
    return party_of("buyer" if side == "buyer" else "publisher", name) if side in ("buyer", "publisher") else side


def address_of(party: str, month: str) -> str:
    """Below the dashboard's root."""
    return f"{STATEMENTS}/{party.replace(SEPARATOR, '/', 1)}?period={month}"


def _link_of(visit: Visit, correction: Correction) -> str:
    """Where the dashboard shows what it corrects; "" where the visitor has no page of it."""
    return "" if visit.reader.buyers else ROOT + correction.link.replace("/call_log/", "/calls/", 1)


def _list(
    office: Office, month: str, found: Sequence[Statement], *, csv: str = "", wrong: str = "", code: int = 200
) -> Page:
    sides = (("publisher", "Publisher", "Payout"), ("buyer", "Buyer", "Revenue"))
    values = {
        "wrong": wrong,
        "csv": csv,
        "address": address_of,
        "tables": [(*names, [each for each in found if each.party.startswith(side)]) for side, *names in sides],
    }
    return Page("statements.html", values | _months(office, month), code)


def _wrong(office: Office, said: str, code: int) -> Page:
    return _list(office, "", [], wrong=said, code=code)


def _months(office: Office, month: str) -> dict[str, str]:
    """The one before and the one after, if that has begun."""
    this = this_month(office)
    month = month or this
    return {"month": month, "before": month_after(month, -1), "after": month_after(month) if month < this else ""}


VIEWS: tuple[View[VisitedOffice], ...] = (
    View("GET", STATEMENTS, show_statements, ANYBODY),
    View("GET", STATEMENTS + "/{side}/{name}", show_statement, ANYBODY),
    View("POST", STATEMENTS + "/{side}/{name}/close", close, OPERATORS),
)
