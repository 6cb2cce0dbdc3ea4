"""How an endpoint tells its calls apart, and what that asks of a lead's fields: by a number of a ring pool, which one
sale holds at a time; by the publisher's own static number and the caller together; or by a shared number and the caller
together, which one sale holds at a time."""

from collections.abc import Mapping
from hashlib import sha256
from typing import ClassVar, Literal

from msgspec import Struct

from shared.domain.models import Endpoint, Lead, RingPool, Step

Kind = Literal["ring_pool", "static", "shared"]

NUMBER = "trackdrive_number"
"""The field in which a lead names its publisher's number."""


class Tracking(Struct, frozen=True):
    """`numbers` are the publishers' own, each with the traffic source that it belongs to. `asks` are the fields that
    are required because of the kind, each with the step; `needs_ping_id` says that a POST has to name its ping."""

    numbers: Mapping[str, str] = {}
    kind: ClassVar[Kind]
    asks: ClassVar[Mapping[str, Step]] = {}
    needs_ping_id: ClassVar[bool] = False

    def shows(self, name: str) -> bool:
        """Whether publishers are told of the field."""
        return name != NUMBER or NUMBER in self.asks

    def source_of(self, number: str) -> str:
        """The traffic source to which a publisher's own number belongs; empty if it is not one."""
        return self.numbers.get(number, "")

    def number_of_lead(self, lead: Lead) -> str:
        """The publisher's own number, which the caller dials; empty if a sale gives the number."""
        return lead.get(NUMBER, "") if NUMBER in self.asks else ""

    def object_to_number(self, lead: Lead) -> str:
        """A sentence if the lead has to name a number and traffic source, and these are wrong; else empty."""
        bound = self.source_of(self.number_of_lead(lead))
        is_right = bound and lead.get("traffic_source_id") in (None, bound)
        return "" if is_right or NUMBER not in self.asks else f"{NUMBER} must be your number on this endpoint."

    def number_of_reader(self, source: str, named: str) -> str:
        """The publisher's own number: the one of its source, the one it named, or the only one there is."""
        of_source = next((number for number, bound in self.numbers.items() if bound == source), "")
        only = next(iter(self.numbers)) if len(self.numbers) == 1 else ""
        return of_source or (named if named in self.numbers else "") or only


class PoolTracking(Tracking, frozen=True, kw_only=True):
    """A sale leases a number of the pool."""

    pool: RingPool
    kind: ClassVar[Kind] = "ring_pool"


class StaticTracking(Tracking, frozen=True):
    """Every lead names a number of its publisher."""

    kind: ClassVar[Kind] = "static"
    asks: ClassVar[Mapping[str, Step]] = {NUMBER: "ping", "caller_id": "post"}
    needs_ping_id: ClassVar[bool] = True


class SharedTracking(Tracking, frozen=True, kw_only=True):
    """A sale leases one of a few numbers for its caller alone: the same number serves any other caller meanwhile."""

    shared: tuple[str, ...]
    kind: ClassVar[Kind] = "shared"
    asks: ClassVar[Mapping[str, Step]] = {"caller_id": "post"}

    def numbers_of(self, caller: str, most: int) -> list[str]:
        """The numbers that a caller may hold, `most` at a time, the one to be tried first at the beginning. Each caller
        has an order of its own, so that all numbers are used; a number that is added or leaves changes one place."""
        ordered = sorted(self.shared, key=lambda number: sha256(f"{number} {caller}".encode()).digest())
        return ordered[:most]


KINDS: Mapping[str, type[Tracking]] = {
    tracking.kind: tracking for tracking in (PoolTracking, StaticTracking, SharedTracking)
}
"""By their names in the configuration."""


def tracking_of(endpoint: Endpoint) -> PoolTracking | StaticTracking | SharedTracking:
    if endpoint.pool:
        return PoolTracking(pool=endpoint.pool)
    if endpoint.shared_numbers:
        return SharedTracking(shared=endpoint.shared_numbers)
    return StaticTracking(endpoint.static_numbers)
