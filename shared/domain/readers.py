"""Whose eyes look at what has happened."""

from msgspec import Struct

from shared.domain.models import User


class Reader(Struct, frozen=True):
    """Who looks. One that is `limited_to` a user sees that user's pings and no others, and no buyer's price. One with
    `buyers` sees the calls that these took, and nothing else: it is limited to itself, and sends no pings."""

    name: str
    limited_to: str | None
    buyers: tuple[int, ...] = ()
    is_operator: bool = False

    @property
    def sees_all(self) -> bool:
        return self.limited_to is None


def reader_of(user: User) -> Reader:
    """Operators and viewers see everything, a publisher sees itself, a buyer what it bought."""
    return Reader(
        user.name, None if user.role in ("operator", "viewer") else user.name, user.buyers, user.role == "operator"
    )
