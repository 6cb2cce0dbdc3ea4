"""An operator cannot lock itself out by a slip.

A change that takes the role of operator from its sender, or from all who have it now, needs a word that confirms it.
"""

from shared.configuration import Configuration, Parts
from shared.domain.objections import Unconfirmed


def check(live: Parts, wanted: Configuration, by: str, confirmed: str) -> None:
    """Raises `Unconfirmed`."""
    unconfirmed = confirmation_needed(live, wanted, by)
    if unconfirmed and confirmed.strip() != unconfirmed.word:
        raise unconfirmed


def confirmation_needed(live: Parts, wanted: Configuration, by: str) -> Unconfirmed | None:
    """What there is to confirm; None if every operator who is concerned stays one."""
    were = [name for (section, name), user in live.items() if section == "users" and user["role"] == "operator"]
    are = {user.name for user in wanted.users if user.role == "operator"}
    if by in were and by not in are:
        return Unconfirmed(
            f"This takes the role of operator from you, {by}: you can change nothing here after that.", by
        )
    if were and are.isdisjoint(were):
        come = f"{', '.join(sorted(are))} cannot sign in until a command gives out a link or a token"
        then = come if are else "nobody can change anything by dashboard or API then"
        return Unconfirmed(f"This takes the role of operator from all who have it, {', '.join(were)}: {then}.", were[0])
    return None
