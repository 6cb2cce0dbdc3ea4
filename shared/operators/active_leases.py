"""The leases of a ring pool, for operators: list who holds which number, release those that were taken by mistake."""

from collections.abc import Collection, Iterator

from msgspec import Struct

from shared.configuration import Change
from shared.domain import keys
from shared.domain.leasing import HOLDER_AT, Lease
from shared.domain.models import Field, Lead, RingPool, Shard
from shared.domain.objections import NotValid, Refused
from shared.operators import pools
from shared.operators.one_ping import mask
from shared.publishers.requests import counted_address
from shared.store.pings import Claim, State
from shared.store.records import Records
from shared.store.rings import PoolChanged


class Held(Struct, frozen=True):
    """A live lease. Its hold ends at `until`, and its number is free at `free_at`. If the ping is not known, the texts
    are empty; `caller` is masked. `is_under_way` says that the sale is not finished yet."""

    number: str
    until: int
    free_at: int
    ping_id: str = ""
    endpoint: str = ""
    user: str = ""
    caller: str = ""
    is_under_way: bool = False


class Wanted(Struct, frozen=True):
    """Which leases to release: all that one of these names. `ping_ids` are public ids; `users` and `addresses` hold the
    leases."""

    numbers: Collection[str] = ()
    users: Collection[str] = ()
    ping_ids: Collection[str] = ()
    addresses: Collection[str] = ()


def held_leases(records: Records, name: str) -> list[Held]:
    """The live leases of a pool; those that end first come first. Raises `NotFound`."""
    pool = pools.layout(records, name)
    return [shown for _, _, shown in _live_leases(records, pool)]


def leases_to_release(records: Records, name: str, wanted: Wanted) -> list[Held]:
    """What `release` would release. Raises `NotFound` and `NotValid`."""
    return [shown for _, _, shown in _wanted_leases(records, pools.layout(records, name), wanted)]


def release(records: Records, name: str, wanted: Wanted, by: str) -> list[Held]:
    """End the hold of some leases now; their numbers rest for the cooldown, then they are free. The sales stay as they
    are, so that a retry gets its answer. The change log lists the released leases. Raises `NotFound`, `NotValid` and,
    while the pool is being changed, `Refused`."""
    pool, released = pools.layout(records, name), []
    try:
        for shard, lease, shown in _wanted_leases(records, pool, wanted):
            now = records.now()
            if records.rings.release(pool, shard, lease, now + pool.cooldown_seconds, now):
                released.append(shown)
    except PoolChanged:
        raise Refused(f"Ring pool {name} is being changed. Try again in a minute.") from None
    finally:
        if released:
            changes = [Change(f"ring_pools[{name}].leases[{lease.number}]", lease.until, None) for lease in released]
            records.versions.note(by, changes)
    return released


def _wanted_leases(records: Records, pool: RingPool, wanted: Wanted) -> Iterator[tuple[Shard, Lease, Held]]:
    """The wanted leases whose hold is not over and whose sale is finished."""
    if not any((wanted.numbers, wanted.users, wanted.ping_ids, wanted.addresses)):
        raise NotValid({"leases": ["name numbers, users, pings or addresses"]})
    tags = {
        *(keys.holder_tag(records.keys, "user", user) for user in wanted.users),
        *(keys.holder_tag(records.keys, "address", counted_address(address)) for address in wanted.addresses),
    }
    pings = {found[0] for ping_id in wanted.ping_ids if (found := keys.unchecked_ping_id(ping_id))}
    for shard, lease, shown in _live_leases(records, pool):
        is_named = (
            lease.number in wanted.numbers
            or shown.user in wanted.users
            or lease.ping_id in pings
            or lease.entry[HOLDER_AT : HOLDER_AT + keys.HOLDER_BYTES] in tags
        )
        if is_named and shown.until > records.now() and not shown.is_under_way:
            yield shard, lease, shown


def _live_leases(records: Records, pool: RingPool) -> list[tuple[Shard, Lease, Held]]:
    now, rings = records.now(), records.rings.look(pool, pool.shards)
    live = [
        (shard, lease)
        for shard in pool.shards
        for lease in rings[shard.id].leases(shard.numbers)
        if lease.expires_at > now
    ]
    claims = records.pings.read_all([lease.ping_id for _, lease in live], now)
    shown = [(shard, lease, _held(records, pool, lease, claims.get(lease.ping_id), now)) for shard, lease in live]
    return sorted(shown, key=lambda entry: (entry[1].expires_at, entry[1].number))


def _held(records: Records, pool: RingPool, lease: Lease, claim: Claim | None, now: int) -> Held:
    until = lease.expires_at - pool.cooldown_seconds
    if claim is None or claim.ping is None:
        return Held(lease.number, until, lease.expires_at)
    ping, sale = claim.ping, claim.sale
    lead = Lead(ping.lead | sale.posted) if sale else ping.lead
    is_shown = lead.caller and ping.lead_until > now
    return Held(
        number=lease.number,
        until=until,
        free_at=lease.expires_at,
        ping_id=keys.ping_id(records.keys, ping.endpoint, ping.id),
        endpoint=ping.endpoint,
        user=sale.user if sale else ping.user,
        caller=mask("caller_id", lead.caller, Field(name="caller_id", type="phone")) if is_shown else "",
        is_under_way=claim.state is State.CLAIMED,
    )
