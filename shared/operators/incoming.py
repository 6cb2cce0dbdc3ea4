"""To whom a call to a number of ours goes, for operators."""

from msgspec import Struct

from shared.domain.refusals import UnknownEndpoint
from shared.store.compiled import Compiled, Memory
from shared.store.records import Records


class Called(Struct, frozen=True):
    """The buyer to dial, at `number`, and until when a call goes there."""

    buyer_id: int
    name: str
    number: str
    until: int


def buyer_of_call(records: Records, number: str, caller: str) -> Called | None:
    """Whom a call from `caller` to `number` reaches now; None also where the buyer has left the configuration."""
    found = records.destinations.resolve(number, caller)
    if found is None:
        return None
    try:
        endpoint = Compiled(records.dynamo, Memory()).latest(found.endpoint, records.now())
    except UnknownEndpoint:
        return None
    buyer = endpoint.buyer(found.buyer_id)
    return Called(buyer.id, buyer.name, found.number, found.until) if buyer else None
