"""Which counts a request adds to, for the limits a minute: its user's, or its address's if it has no token."""

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from msgspec import Struct

from shared.domain.models import Endpoint, Limit, User

Counted = Literal["pings", "posts"]
"""What a limit counts. A FULL is both, a post-only a post."""


class Count(Struct, frozen=True):
    """One item of the callers table: `scope` and `value` say whose it is, `most` has the limit of each of its names."""

    scope: Literal["user of endpoint", "address of endpoint", "source of address"]
    value: str
    most: Mapping[str, int]


def counts(
    endpoint: Endpoint, user: User | None, address: str, source: str, counted: Collection[Counted]
) -> list[Count]:
    """The items that count this request; none if its sender has no limit.

    A user has one item, with a name for each of its sources: 1 KB has room for 45 sources in a minute. A user without
    sources of its own is one source. A source without a token may be made up, so that each has an item of its own.
    """
    here = endpoint.vanity_uri
    if user:
        place = str(user.traffic_sources.index(source)) if source in user.traffic_sources else ""
        most = _smallest(endpoint, {"endpoint": "", "user": "", "traffic_source": f":{place}"}, counted)
        found = [Count("user of endpoint", f"{here}#{user.name}", most)]
    else:
        of_address = _smallest(endpoint, {"endpoint": "", "source_address": ""}, counted)
        of_source = _smallest(endpoint, {"traffic_source": ""}, counted)
        found = [
            Count("address of endpoint", f"{here}#{address}", of_address),
            Count("source of address", f"{here}#{address}#{source}", of_source),
        ]
    return [count for count in found if count.most]


def _smallest(endpoint: Endpoint, names: Mapping[str, str], counted: Collection[Counted]) -> dict[str, int]:
    """The smallest limit by the name of its count, which is "pings" or "posts" and the suffix that `names` gives."""
    most: dict[str, int] = {}
    for limit in endpoint.limits:
        for what, allowed in _allowed(limit) if limit.of in names else ():
            if allowed and what in counted:
                name = what + names[limit.of]
                most[name] = min(allowed, most.get(name, allowed))
    return most


def _allowed(limit: Limit) -> Iterator[tuple[Counted, int]]:
    yield "pings", limit.pings
    yield "posts", limit.posts
