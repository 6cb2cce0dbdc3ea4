"""The operations of the API that tell what is owed for a month, and close it."""

from typing import Any

from msgspec import Struct

from functions.api import report_file
from functions.api.reading import Operation, read_body
from shared.domain.objections import NotValid
from shared.office.rest import Request, Response
from shared.operators import shown_statements, statement_files, statements
from shared.operators.access import ANYBODY, OPERATORS, Office
from shared.operators.resources import Page


def _statements(office: Office, request: Request) -> Response:
    party, month = request.query.get("party", ""), request.query.get("period", "")
    form = request.query.get("format", "json")
    if form not in ("json", "csv"):
        raise NotValid({"format": ["must be json or csv"]})
    if party:
        one = statements.read_statement(office, request.reader, party, month)
        found, text = [one], statement_files.csv_of(one) if form == "csv" else ""
    else:
        found = statements.list_statements(office, request.reader, month)
        text = statement_files.csv_of_all(found) if form == "csv" else ""
    if form == "csv":
        return Response(text, content_type=report_file.FORMATS[form])
    return Response(Page(found, None, len(found)))


def _close(office: Office, request: Request) -> Response:
    return Response(statements.close_statement(office, request.user.name, read_body(request, statements.Close)))


STATEMENTS: dict[str, Any] = {
    "party": {
        "type": "string",
        "description": "publisher:NAME or buyer:ID, with its lines and corrections; without one, everybody of whom "
        "there is something",
    },
    "period": {"type": "string", "description": "A month like 2026-11; without one, the present month so far"},
    "format": {"type": "string", "enum": ["json", "csv"], "default": "json"},
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "/statements", "Say what publishers get and buyers owe for a month", _statements, ANYBODY,
        gives="Statement", many=True, query=STATEMENTS, other_types=("text/csv",),
    ),
    Operation(
        "POST", "/statements", "Close a month of a publisher or buyer, for good", _close, OPERATORS, takes="Close",
        gives="Statement",
    ),
)  # fmt: skip
STRUCTS: tuple[type[Struct], ...] = (shown_statements.Statement, statements.Close)
"""The bodies of these."""
