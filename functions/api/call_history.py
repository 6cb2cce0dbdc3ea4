"""The operations of the API that tell of calls."""

from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from functions.api import report_file
from functions.api.reading import PAGED, Operation, read_limit
from shared.domain.objections import NotValid
from shared.office.rest import Request, Response
from shared.operators import call_files, calls
from shared.operators.access import EVERYBODY, Office


def _calls(office: Office, request: Request) -> Response:
    query = {SENT.get(name, name): value for name, value in request.query.items() if name != "limit"}
    form = query.pop("format", "json")
    if form not in ("json", "csv"):
        raise NotValid({"format": ["must be json or csv"]})
    wanted = calls.WantedCalls(**query)
    if form == "csv":
        text, after = call_files.export_calls(office, request.reader, wanted)
        following = "/calls?" + urlencode({**request.query, "after": after}) if after else ""
        return Response(text, content_type=report_file.FORMATS[form], following=following)
    page = calls.list_calls(office, request.reader, wanted, read_limit(request))
    return Response({"items": page.entries, "next": page.cursor or None})


def _call(office: Office, request: Request) -> Response:
    at = request.query.get("at", "")
    return Response(calls.open_call(office, request.reader, request.path["call_id"], at))


SENT = {"from": "start", "to": "end"}
MOMENT = {"type": "string", "description": "A day like 2026-11-25, or a minute like 2026-11-25T14:30"}
YES_OR_NO = {"type": "string", "enum": [*calls.YES_OR_NO]}
CALLS: dict[str, Any] = {
    "from": MOMENT | {"description": f"{MOMENT['description']}; settled today without from and to"},
    "to": MOMENT,
    "zone": {"type": "string", "description": "A time zone, like America/New_York; default: the account's zone"},
    "phase": {
        "type": "string",
        "enum": [*calls.PHASES],
        "default": "settled",
        "description": "Running: those of the last four hours that are not settled, whatever from and to say",
    },
    "status": {"type": "string", "enum": [*calls.STATUSES], "description": "How it ended, or what it does now"},
    "arrival": {"type": "string", "enum": [*calls.ARRIVALS], "description": "How it came"},
    "connected": YES_OR_NO | {"description": "Whether a buyer took it"},
    "converted": YES_OR_NO | {"description": "Whether it is the call for which its sale is paid"},
    "endpoint": {"type": "string", "description": "Its `vanity_uri`"},
    "user": {"type": "string"},
    "source": {"type": "string", "description": "The traffic source"},
    "buyer": {"type": "string", "description": "The buyer that took it: its id, or a part of its name"},
    "number": {"type": "string", "description": "The number of ours that was called"},
    "format": {"type": "string", "enum": ["json", "csv"], "default": "json"},
    **PAGED,
}
AT = {"at": {"type": "string", "description": "When it was settled, if its item is gone: the `at` of its line"}}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "/calls", "List calls, the newest first", _calls, EVERYBODY, gives="CallEntry", many=True, query=CALLS,
        other_types=("text/csv",),
    ),
    Operation(
        "GET", "/calls/{call_id}", "Open a call, by its uuid", _call, EVERYBODY, gives="OpenedCall", query=AT,
    ),
)  # fmt: skip
STRUCTS: tuple[type[Struct], ...] = (calls.CallEntry, calls.OpenedCall)
"""The bodies of these."""
