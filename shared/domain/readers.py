"""Whose eyes look at what has happened."""

from msgspec import Struct

from shared.domain.models import User


class Reader(Struct, frozen=True):
    """Who looks. One that is `limited_to` a user sees that user's pings and no others, and no buyer's price."""

    name: str
    limited_to: str | None

    @property
    def sees_all(self) -> bool:
        return self.limited_to is None


def reader_of(user: User) -> Reader:
    """Operators and viewers see everything, a publisher sees itself."""
    return Reader(user.name, user.name if user.role == "publisher" else None)
