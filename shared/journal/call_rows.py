"""What a change of a call's item means: rows of what happened to it."""

from msgspec.structs import replace

from shared.domain.calls import Call, Facts, connected_at, connected_attempt, ends_of, seconds_of
from shared.domain.models import Endpoint, Lead
from shared.journal.rows import Dialed, Row
from shared.store.calls import StoredCall

ARRIVED = "initiated"
"""The status of a call that has just come."""


def rows_of_call(common: Row, old: StoredCall | None, new: StoredCall, endpoint: Endpoint | None) -> list[Row]:
    """A row when the call comes, and one when it is settled. `common` has the event and whose call it is."""
    call, facts, settled = new.call, new.facts, new.facts.settled
    common = _describe(common, call, facts, endpoint)
    found = [replace(common, kind="arrived", at=call.arrived_at, status=ARRIVED)] if old is None else []
    if settled and not (old and old.facts.settled):
        found.append(
            replace(
                common,
                kind="call",
                at=settled.at,
                buyer=settled.buyer_id,
                status=settled.outcome,
                detail=settled.detail,
                seconds=settled.seconds,
                converted=int(settled.converted),
                revenue_cents=settled.revenue_cents,
                payout_cents=settled.payout_cents,
            )
        )
    return found


def _describe(common: Row, call: Call, facts: Facts, endpoint: Endpoint | None) -> Row:
    return replace(
        common,
        sold_at=call.sold_at,
        ping=call.ping_id.hex(),
        endpoint=call.endpoint,
        offer=endpoint.offer if endpoint else "",
        version=call.version,
        user=call.user,
        source=call.source,
        area_code=Lead(caller_id=call.caller).area_code if call.caller else "",
        number=call.number,
        provider=call.provider,
        arrived_at=call.arrived_at,
        arrival=call.arrival,
        dialed=_dialed(call, facts),
        connected_at=connected_at(call, facts),
    )


def _dialed(call: Call, facts: Facts) -> tuple[Dialed, ...]:
    ends, connected = ends_of(call, facts), connected_attempt(call, facts)
    return tuple(
        Dialed(attempt.buyer_id, attempt.at, ends.get(n, ""), seconds_of(call, facts) if n == connected else 0)
        for n, attempt in sorted(facts.attempts.items())
    )
