"""Who an operator's token belongs to, and what its role may do."""

from msgspec import Struct

from shared.domain import keys
from shared.domain.models import Role, User
from shared.domain.objections import NotAllowed, TokenUnknown, TooOften
from shared.store.callers import Callers
from shared.store.compiled import Compiled, Memory
from shared.store.records import Records

REQUESTS_A_MINUTE = 600

EVERYBODY: tuple[Role, ...] = ("operator", "viewer", "publisher")
READERS: tuple[Role, ...] = ("operator", "viewer")
OPERATORS: tuple[Role, ...] = ("operator",)


class Office(Struct, frozen=True):
    """What the use cases work on, for one request."""

    records: Records
    callers: Callers


def admitted(office: Office, token: str) -> User:
    """The user whose token this is, as configured now; its request is counted. An absent token costs what a wrong one
    costs, and a token that was revoked is looked up, not remembered.

    Raises `TokenUnknown` and `TooOften`.
    """
    records = office.records
    hashes = [keys.token_hash(records.keys, token)]
    name = Compiled(records.dynamo, Memory()).user_name(hashes, records.now())
    if name is None:
        raise TokenUnknown
    if wait := office.callers.admit("user", name, {"requests": REQUESTS_A_MINUTE}, records.now()):
        raise TooOften(wait)
    configured = records.live().parts.get(("users", name))
    if configured is None:
        raise TokenUnknown
    return User(name, configured["role"], tuple(configured.get("traffic_sources", ())))


def check_role(user: User, roles: tuple[Role, ...]) -> None:
    """Raises `NotAllowed`."""
    if user.role not in roles:
        raise NotAllowed(f"This is for {' and '.join(roles)}; {user.name} is {user.role}.")


def check_own(user: User, name: str) -> None:
    """A publisher sees itself and no other user. Raises `NotAllowed`."""
    if user.role == "publisher" and user.name != name:
        raise NotAllowed("A publisher sees its own user and its own tokens.")
