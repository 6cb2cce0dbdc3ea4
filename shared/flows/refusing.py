"""Requests that are refused before anybody could bid on them: there is no ping to note that on."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from shared.domain import fields, keys
from shared.domain.refusals import (
    BuyerMismatch,
    CallerIdRequired,
    CallerNumberSuppressed,
    DuplicateCaller,
    InvalidFields,
    Refusal,
)
from shared.domain.tracking import tracking_of
from shared.flows.intake import read_values
from shared.flows.turn import Turn
from shared.store.refused_requests import RefusedRequest


@contextmanager
def store_on_refusal(turn: Turn) -> Iterator[None]:
    """A request that is refused for what it says or for its caller is stored, as far as it can be read. It gets the
    same answer if it is not."""
    try:
        yield
    except (InvalidFields, CallerIdRequired, CallerNumberSuppressed, DuplicateCaller, BuyerMismatch) as refused:
        if not turn.endpoint.sandbox:
            store = partial(turn.world.refused_requests.store, _describe(turn, refused))
            turn.world.run_with_notes(lambda: None, store)
        raise


def _describe(turn: Turn, refused: Refusal) -> RefusedRequest:
    world, endpoint, (read, _, _) = turn.world, turn.endpoint, read_values(turn)
    lead, tracking = fields.complete(endpoint.fields, read), tracking_of(endpoint)
    if bound := tracking.source_of(tracking.number_of_lead(lead)):
        lead.setdefault("traffic_source_id", bound)
    return RefusedRequest(
        id=world.random_bytes(keys.ID_BYTES),
        at=world.now(),
        status=refused.status,
        fields=tuple(sorted(refused.problems)) if isinstance(refused, InvalidFields) else (),
        endpoint=endpoint.vanity_uri,
        version=endpoint.version,
        user=turn.user.name if turn.user else "",
        source=lead.source,
        state=endpoint.state_of(lead),
        area_code=lead.area_code,
        caller=world.caller_hash(lead),
        milliseconds=round(1000 * world.elapsed()),
    )
