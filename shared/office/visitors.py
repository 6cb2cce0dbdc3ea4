"""What the pages work on, and who visits them."""

from shared.domain.models import User
from shared.domain.objections import Refused, TokenUnknown, TooOften
from shared.office.cognito import Cognito, NoAnswer, NotSignedIn, SignedIn
from shared.office.dashboard import Renewal, Session
from shared.operators.access import Office

VISITS_A_MINUTE = 300
SIGN_INS_A_MINUTE = 30
"""Of a source address: several people may have one."""
CHECKED_SECONDS = 3600
"""How long Ringpost trusts the provider's last answer about a session."""
ASKED_AGAIN_SECONDS = 45 * 60
"""The age of an answer from which on Ringpost asks again. Until `CHECKED_SECONDS` the provider need not answer."""


class VisitedOffice(Office, frozen=True):
    """`cognito` is where one signs in, None where printed links alone do."""

    cognito: Cognito | None = None


def visitor_of(office: VisitedOffice, session: Session, renewal: Renewal | None) -> tuple[User, Renewal | None]:
    """The user who visits, as configured now, and a new renewal if the provider was asked; the visit is counted.

    Raises `TokenUnknown` if the session is over, `TooOften`, and `Refused` if the provider does not answer.
    """
    if wait := office.callers.count_request(
        "visitor", session.user, {"requests": VISITS_A_MINUTE}, office.records.now()
    ):
        raise TooOften(wait)
    if office.records.tokens.generation(session.user) != session.generation:
        raise TokenUnknown
    user = find_user(office, session.user)
    return user, _renew(office, session, renewal) if session.elsewhere else None


def find_user(office: Office, name: str) -> User:
    """Raises `TokenUnknown`."""
    found = office.records.versions.last_read().parts.get(("users", name))
    if found is None:
        raise TokenUnknown
    return User(name, found["role"], tuple(found.get("traffic_sources", ())))


def _renew(office: VisitedOffice, session: Session, renewal: Renewal | None) -> Renewal | None:
    now = office.records.now()
    if office.cognito is None or renewal is None or renewal.user != session.user:
        raise TokenUnknown
    age = now - renewal.checked_at
    if 0 <= age < ASKED_AGAIN_SECONDS:
        return None
    try:
        again = office.cognito.renew(SignedIn(session.user, renewal.refresh_token), now)
    except NotSignedIn:
        raise TokenUnknown from None
    except NoAnswer:
        if 0 <= age < CHECKED_SECONDS:
            return None
        raise Refused("Cognito does not answer. Try again in a minute.") from None
    return Renewal(session.user, now, again.refresh_token)


def count_sign_in(office: Office, source_address: str) -> None:
    """Count an attempt to sign in. Raises `TooOften`."""
    if wait := office.callers.count_request(
        "sign-in", source_address, {"requests": SIGN_INS_A_MINUTE}, office.records.now()
    ):
        raise TooOften(wait)


def redeem_code(office: Office, code: str) -> str:
    """Whose code this is; it is gone now. Raises `TokenUnknown`."""
    user = office.records.tokens.use_code(code)
    if not user:
        raise TokenUnknown
    return user
