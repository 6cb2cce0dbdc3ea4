"""Who an operator's token belongs to, and what its role may do."""

from collections.abc import Callable
from typing import get_args

from msgspec import Struct

from shared.domain import keys
from shared.domain.models import Role, Scope, User
from shared.domain.objections import NotAllowed, TokenUnknown, TooOften
from shared.domain.readers import Reader
from shared.journal.fetching import Fetching
from shared.store.callers import Callers
from shared.store.compiled import Compiled, Memory
from shared.store.journal import Journal
from shared.store.records import Records

REQUESTS_A_MINUTE = 600
SCOPES: tuple[Scope, ...] = get_args(Scope)

EVERYBODY: tuple[Role, ...] = ("operator", "viewer", "publisher")
READERS: tuple[Role, ...] = ("operator", "viewer")
OPERATORS: tuple[Role, ...] = ("operator",)


class Office(Struct, frozen=True):
    """What the use cases work on, for one request. `open_files` gives what fetches the journal's files; `leads_until`,
    of a number, a caller and a ping, until when a call leads to the ping's sale."""

    records: Records
    callers: Callers
    journal: Journal
    open_files: Callable[[], Fetching]
    leads_until: Callable[[str, str, bytes], int]


def admit_user(office: Office, token: str, roles: tuple[Role, ...]) -> User:
    """The user whose token this is, as configured now, if it is one of these roles; its request is counted. An
    operator's token for reading makes it a viewer. An absent token costs what a wrong one costs, and a token is looked
    up each time, not remembered.

    Raises `TokenUnknown`, `NotAllowed` and `TooOften`.
    """
    records = office.records
    hashes = keys.token_hashes(records.keys, token)
    found = Compiled(records.dynamo, Memory()).credential(hashes, SCOPES, records.now())
    if found is None:
        raise TokenUnknown
    if found.scope == "post":  # it stands in a page: it may not even use up the requests of its user
        raise NotAllowed("This token is for PING, POST and FULL. You need one with the scope read or operate.")
    if wait := office.callers.count_request("user", found.user, {"requests": REQUESTS_A_MINUTE}, records.now()):
        raise TooOften(wait)
    configured = records.versions.current().parts.get(("users", found.user))
    if configured is None:
        raise TokenUnknown
    office.callers.note_token_use(found.id, records.now())
    for note in office.callers.due_writes():
        note()
    role: Role = configured["role"]
    if found.scope == "read" and role == "operator":
        role = "viewer"
        if role not in roles:
            raise NotAllowed("This token is for reading. You need one with the scope operate.")
    if role not in roles:
        raise NotAllowed(f"This is for {' and '.join(roles)}; {found.user} is {role}.")
    return User(found.user, role, tuple(configured.get("traffic_sources", ())))


def check_own(reader: Reader, name: str) -> None:
    """A publisher sees itself and no other user. Raises `NotAllowed`."""
    if reader.limited_to not in (None, name):
        raise NotAllowed("A publisher sees its own user and its own tokens.")
