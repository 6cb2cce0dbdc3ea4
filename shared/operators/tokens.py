"""The tokens of users: who has which, without their secrets."""

from msgspec import Struct

from shared.domain.models import User
from shared.domain.objections import NotFound
from shared.operators import access, resources
from shared.store.records import Records, Token


class Issued(Struct, frozen=True):
    """`token` is the secret, shown this once and kept nowhere."""

    id: str
    user: str
    issued_at: int
    token: str


def listed(records: Records, seen_by: User, user: str) -> list[Token]:
    """A user's, the oldest first. Raises `NotFound`, and `NotAllowed` for a publisher that is another."""
    access.check_own(seen_by, user)
    resources.one(records, "users", user)
    return records.tokens(user)


def issue(records: Records, by: str, user: str) -> Issued:
    """Raises `NotFound`."""
    resources.one(records, "users", user)
    token, secret = records.issue(user, by)
    return Issued(token.id, token.user, token.issued_at, secret)


def revoke(records: Records, by: str, user: str, token_id: str) -> None:
    """It is accepted nowhere any more within a minute. Raises `NotFound`."""
    if token_id not in {token.id for token in records.tokens(resources.one(records, "users", user).name)}:
        raise NotFound(f"{user} has no token {token_id}.")
    records.revoke(token_id, by, user)
