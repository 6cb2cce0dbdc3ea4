"""The tokens of users: their scopes, names, ends and last uses, without their secrets."""

import re
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from shared.domain.models import DAY, Role, Scope
from shared.domain.objections import NotFound, NotValid
from shared.domain.readers import Reader
from shared.operators import access, resources
from shared.operators.access import Office
from shared.store.callers import Callers
from shared.store.records import Records
from shared.store.tokens import Token

NAME_LETTERS = 64
OF_ROLE: dict[Role, Scope] = {"publisher": "post", "viewer": "read", "operator": "operate"}
"""The scope of a token if nobody asks for one."""

LATEST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
"""Later than that is nothing that can be shown."""


class WantedToken(Struct, forbid_unknown_fields=True):
    """`expires` is the token's last day, or the second in which it ends, in UTC; without it the token has no end.
    Without `scope` a publisher's token is for post, a viewer's for read, an operator's for operate."""

    name: Annotated[str, Meta(max_length=NAME_LETTERS)] = ""
    scope: Scope | None = None
    expires: Annotated[str, Meta(max_length=32, description="Like 2027-01-31 or 2027-01-31T18:00:00Z")] = ""


class Issued(Struct, frozen=True):
    """`token` is the secret, shown this once and kept nowhere."""

    id: str
    user: str
    issued_at: int
    token: str
    name: str
    scope: Scope
    expires_at: int | None


def list_tokens(office: Office, reader: Reader, user: str) -> list[Token]:
    """A user's tokens, the oldest first. Raises `NotFound`, and `NotAllowed` if the reader is another publisher."""
    access.check_own(reader, user)
    resources.find_resource(office.records, "users", user)
    return with_last_uses(office.callers, office.records.tokens.all(user))


def with_last_uses(callers: Callers, tokens: list[Token]) -> list[Token]:
    uses = callers.last_uses([token.id for token in tokens])
    return [replace(token, used_at=uses.get(token.id)) for token in tokens]


def issue(records: Records, by: str, user: str, wanted: WantedToken) -> Issued:
    """Raises `NotFound` and `NotValid`."""
    role: Role = resources.find_resource(records, "users", user).content["role"]
    scope = wanted.scope or OF_ROLE[role]
    if (role, scope) == ("viewer", "post"):
        raise NotValid({"scope": ["must be read or operate: a viewer sends no leads"]})
    name = " ".join(wanted.name.split())
    if not name.isprintable():
        raise NotValid({"name": ["must be text"]})
    expires_at = _end(wanted.expires.strip(), records.now())
    token, secret = records.tokens.issue(user, by, name=name, scope=scope, expires_at=expires_at)
    return Issued(token.id, token.user, token.issued_at, secret, token.name, token.scope, token.expires_at)


def revoke(records: Records, by: str, user: str, token_id: str) -> None:
    """Within a minute no function accepts the token any more. Raises `NotFound`."""
    if token_id not in {token.id for token in records.tokens.all(resources.find_resource(records, "users", user).name)}:
        raise NotFound(f"{user} has no token {token_id}.")
    records.tokens.revoke(token_id, by, user)


def _end(text: str, now: int) -> int | None:
    """The first second in which the token is over. Raises `NotValid`."""
    if not text:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            end = int(datetime.fromisoformat(f"{text}T00:00:00+00:00").timestamp()) + DAY
        elif re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z", text, re.ASCII):
            end = int(datetime.fromisoformat(text).timestamp())
        else:
            raise ValueError
    except ValueError:
        raise NotValid({"expires": ["must be a day like 2027-01-31, or a time like 2027-01-31T18:00:00Z"]}) from None
    if end > LATEST:
        raise NotValid({"expires": ["must be before 9999-12-31; without one the token has no end"]})
    if end <= now:
        today = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
        raise NotValid({"expires": [f"must be in the future: today is {today}, UTC"]})
    return end
