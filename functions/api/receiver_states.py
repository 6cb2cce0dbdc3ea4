"""The operations of the API that tell how receivers of postbacks fare, and send to them."""

from msgspec import Struct

from functions.api.reading import PAGED, Operation, read_limit
from shared.office.rest import Request, Response
from shared.operators import receivers
from shared.operators.access import EVERYBODY, Office
from shared.operators.receivers import SETTERS
from shared.operators.resources import Page


def _state(office: Office, request: Request) -> Response:
    shows_secret = request.user.role in SETTERS
    return Response(receivers.find_state(office, request.reader, request.path["name"], shows_secret=shows_secret))


def _tries(office: Office, request: Request) -> Response:
    after, limit = request.query.get("after", ""), read_limit(request)
    return Response(receivers.list_tries(office, request.reader, request.path["name"], after, limit))


def _dead(office: Office, request: Request) -> Response:
    found = receivers.list_dead(office, request.reader, request.path["name"])
    return Response(Page(found, None, len(found)))


def _test(office: Office, request: Request) -> Response:
    return Response(receivers.send_test(office, request.reader, request.path["name"]), 202)


def _resume(office: Office, request: Request) -> Response:
    return Response(receivers.resume(office, request.reader, request.path["name"]))


def _again(office: Office, request: Request) -> Response:
    name, some_id = request.path["name"], request.path["id"]
    return Response(receivers.send_again(office, request.reader, name, some_id), 202)


OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/receivers/{name}/state", "Say how a receiver fares", _state, EVERYBODY, gives="Fared"),
    Operation(
        "GET", "/receivers/{name}/tries", "List the tries of its postbacks, the newest first", _tries, EVERYBODY,
        gives="MadeTry", many=True, query=PAGED,
    ),
    Operation(
        "GET", "/receivers/{name}/dead", "List its postbacks that are tried no more", _dead, EVERYBODY,
        gives="DeadPostback", many=True,
    ),
    Operation("POST", "/receivers/{name}/test", "Send it a test", _test, SETTERS, gives="Asked", code=202),
    Operation("POST", "/receivers/{name}/resume", "End its pause", _resume, SETTERS, gives="Fared"),
    Operation(
        "POST", "/receivers/{name}/postbacks/{id}/send_again", "Send a postback again", _again, SETTERS, gives="Asked",
        code=202,
    ),
)  # fmt: skip
STRUCTS: tuple[type[Struct], ...] = (receivers.Fared, receivers.MadeTry, receivers.DeadPostback, receivers.Asked)
"""The bodies of these."""
