"""What the pages work on, and who visits them."""

from shared.domain.models import User
from shared.domain.objections import TokenUnknown, TooOften
from shared.edge.cognito import Cognito
from shared.operators.access import Office
from shared.store.journal import Journal

VISITS_A_MINUTE = 300
SIGN_INS_A_MINUTE = 30
"""Of a source address: several people may have one."""


class Desk(Office, frozen=True):
    """`cognito` is where one signs in, None where printed links alone do."""

    journal: Journal
    cognito: Cognito | None = None


def known(desk: Desk, name: str) -> User:
    """The user who visits, as configured now; the visit is counted. Raises `TokenUnknown` and `TooOften`."""
    if wait := desk.callers.admit("visitor", name, {"requests": VISITS_A_MINUTE}, desk.records.now()):
        raise TooOften(wait)
    configured = desk.records.last_seen().parts.get(("users", name))
    if configured is None:
        raise TokenUnknown
    return User(name, configured["role"], tuple(configured.get("traffic_sources", ())))


def attempted(desk: Office, source_address: str) -> None:
    """Count an attempt to sign in. Raises `TooOften`."""
    if wait := desk.callers.admit("sign-in", source_address, {"requests": SIGN_INS_A_MINUTE}, desk.records.now()):
        raise TooOften(wait)


def signed_in(desk: Office, code: str) -> str:
    """Whose code this is; it is gone now. Raises `TokenUnknown`."""
    user = desk.records.use_code(code)
    if not user:
        raise TokenUnknown
    return user
