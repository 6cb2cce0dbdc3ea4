"""Who an operator's token belongs to, and what its role may do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct
from msgspec.structs import replace

from shared.domain import keys
from shared.domain.models import Role, Scope, User
from shared.domain.objections import NotAllowed, TokenUnknown, TooOften
from shared.domain.readers import Reader
from shared.journal.fetching import Fetching
from shared.postbacks.queue import Queue
from shared.store.callers import Callers
from shared.store.compiled import Compiled, Memory
from shared.store.journal import Journal
from shared.store.records import Records

REQUESTS_A_MINUTE = 600
SCOPES: tuple[Scope, ...] = get_args(Scope)

EVERYBODY: tuple[Role, ...] = ("operator", "viewer", "publisher")
ANYBODY: tuple[Role, ...] = (*EVERYBODY, "buyer")
BUYERS: tuple[Role, ...] = ("buyer",)
READERS: tuple[Role, ...] = ("operator", "viewer")
OPERATORS: tuple[Role, ...] = ("operator",)


class Office(Struct, frozen=True):
    """What the use cases work on, for one request. `open_files` gives what fetches the journal's files; `leads_until`,
    of a number, a caller and a ping, until when a call leads to the ping's sale; `queue` the queue of postbacks, None
    where there is none."""

    records: Records
    callers: Callers
    journal: Journal
    open_files: Callable[[], Fetching]
    leads_until: Callable[[str, str, bytes], int]
    queue: Callable[[], Queue] | None = None


def admit_user(office: Office, token: str, roles: tuple[Role, ...]) -> User:
    """As `admit_any`, of one token."""
    return admit_any(office, [token], roles)


def admit_any(office: Office, tokens: Sequence[str], roles: tuple[Role, ...], *, writes: bool = False) -> User:
    """The user whose token one of these is, as configured now, if it is one of these roles; its request is counted. An
    operator's token for reading makes it a viewer; what `writes` needs one for more. An absent token costs what a wrong
    one costs, and a token is looked up each time, not remembered.

    Raises `TokenUnknown`, `NotAllowed` and `TooOften`.
    """
    records = office.records
    hashes = [each for token in tokens or [""] for each in keys.token_hashes(records.keys, token)]
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
    if writes and found.scope == "read":
        raise NotAllowed("This token is for reading. You need one with the scope operate.")
    role: Role = configured["role"]
    if found.scope == "read" and role == "operator":
        role = "viewer"
        if role not in roles:
            raise NotAllowed("This token is for reading. You need one with the scope operate.")
    if role not in roles:
        raise NotAllowed(f"This is for {' and '.join(roles)}; {found.user} is {role}.")
    user = user_of(found.user, configured, role)
    if found.buyers:
        user = replace(user, buyers=tuple(buyer for buyer in user.buyers if buyer in found.buyers))
    if user.role == "buyer" and not user.buyers:
        raise NotAllowed("The buyers of this token are not its user's any more.")
    return user


def user_of(name: str, configured: Mapping[str, Any], role: Role | None = None) -> User:
    """A user as configured; with another role where its token allows less."""
    traffic_sources, buyers = tuple(configured.get("traffic_sources", ())), tuple(configured.get("buyers", ()))
    return User(name, role or configured["role"], traffic_sources, buyers)


def check_own(reader: Reader, name: str) -> None:
    """A publisher sees itself and no other user. Raises `NotAllowed`."""
    if reader.limited_to not in (None, name):
        raise NotAllowed("A publisher sees its own user and its own tokens.")
