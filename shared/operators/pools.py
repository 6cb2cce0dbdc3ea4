"""Ring pools as they are now: each number's lease, and how much of the pool is in use."""

from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct

from shared.configuration import PING_TTL_SECONDS
from shared.domain import erlang
from shared.domain.leasing import Lease
from shared.domain.models import RingPool, Shard
from shared.domain.objections import NotValid
from shared.journal import counts, periods
from shared.journal.counts import PoolHour, Waits
from shared.journal.periods import HOUR, Period
from shared.operators import journal_rows, resources
from shared.operators.access import Office
from shared.operators.account import account_zone
from shared.operators.resources import PAGE, Page
from shared.store.records import Records

MAX_SALES_PER_HOUR = 10_000
LAST_HOURS = 24
ENOUGH_CALLS = 100
HOLD_PERCENT, HOLD_STEP = 99, 10
"""A hold is recommended in steps of so many seconds."""

State = Literal["free", "leased", "cooldown"]


class Number(Struct, frozen=True):
    """`until` is the end of the hold of a leased number, or of its cooldown; 0 for a free one."""

    number: str
    state: State
    until: int


class LastDay(Struct, frozen=True):
    """The last 24 hours, also those in which nobody asked for a number; and how long after its sale a call came."""

    hours: list[PoolHour]
    waits: Waits


class Hold(Struct, frozen=True):
    """How long a number is held, and how long is enough for 99 of 100 calls and as long as the pool's pings can be
    sold, in seconds; and how many numbers the pool needs with the one and with the other."""

    now_seconds: int
    seconds: int
    numbers_now: int
    numbers: int


class Use(Struct, frozen=True):
    """How many numbers of a pool are leased, in cooldown and free. `recommended` is how many it needs for
    `sales_per_hour`, so that one caller in a hundred finds none; None where these are not said."""

    numbers: int
    leased: int
    cooldown: int
    free: int
    used_percent: float
    overflow_number: str | None
    sales_per_hour: int | None
    recommended: int | None


def numbers(records: Records, name: str, *, after: str = "", limit: int = PAGE) -> Page:
    """The pool's numbers in order, each with its state. Raises `NotFound`."""
    pool = layout(records, name)
    ordered = sorted((number, shard) for shard in pool.shards for number in shard.numbers)
    rest = [(number, shard) for number, shard in ordered if number > after]
    some = rest[:limit]
    leases = _leases(records, pool, {shard.id: shard for _, shard in some}.values())
    items = [_number(leases[number], pool, records.now()) for number, _ in some]
    return Page(items, items[-1].number if len(rest) > limit else None, len(ordered))


def use(records: Records, name: str, sales_per_hour: int | None = None) -> Use:
    """Raises `NotFound` and `NotValid`."""
    pool = _checked(records, name, sales_per_hour)
    return _use(pool, _leases(records, pool, pool.shards).values(), records.now(), sales_per_hour)


def look_at_pool(
    records: Records, name: str, sales_per_hour: int, *, after: str = "", limit: int = PAGE
) -> tuple[Use, Page]:
    """Its use and some of its numbers, at one look. Raises what `use` raises."""
    pool, now = _checked(records, name, sales_per_hour), records.now()
    leases = _leases(records, pool, pool.shards)
    rest = sorted(number for number in leases if number > after)
    items = [_number(leases[number], pool, now) for number in rest[:limit]]
    page = Page(items, items[-1].number if len(rest) > limit else None, len(leases))
    return _use(pool, leases.values(), now, sales_per_hour), page


def last_day(office: Office, name: str) -> LastDay:
    """By the account's clock, this hour among them. Raises `NotValid` if there are too many rows, and `Refused` where a
    file cannot be read."""
    pool, zone, now = layout(office.records, name), account_zone(office), office.records.now()
    this_hour = periods.hours(Period(now, now + HOUR), zone)[0]
    period = Period(this_hour.end - LAST_HOURS * HOUR, this_hour.end)
    with journal_rows.open_period(office, period, "ring_pools", "have too many rows of these hours.") as database:
        asked = {hour.start: hour for hour in counts.count_pools(database, period, zone, name)}
        waits = counts.count_waits(database, period, numbers_of(pool))
    hours = [
        asked.get(hour.start, PoolHour(start=hour.start, clock=hour.clock, pool=name))
        for hour in periods.hours(period, zone)
    ]
    return LastDay(hours, waits)


def recommend_hold(office: Office, name: str, waits: Waits, sales_per_hour: int) -> Hold | None:
    """None before there were enough calls for a percentile. No hold may be shorter than a ping is good for at an
    endpoint of the pool. Raises `NotFound`."""
    if waits.calls < ENOUGH_CALLS:
        return None
    pool = layout(office.records, name)
    enough = -(-max(waits.percentile(HOLD_PERCENT), 1) // HOLD_STEP) * HOLD_STEP
    parts = office.records.versions.last_read().parts
    of_pool = [part for (section, _), part in parts.items() if section == "endpoints" and part.get("ring_pool") == name]
    seconds = max([enough, *(int(part.get("ping_ttl_seconds", PING_TTL_SECONDS)) for part in of_pool)])
    needed = [
        erlang.numbers_needed(sales_per_hour, hold + pool.cooldown_seconds) for hold in (pool.hold_seconds, seconds)
    ]
    return Hold(pool.hold_seconds, seconds, *needed)


def numbers_of(pool: RingPool) -> list[str]:
    return [number for shard in pool.shards for number in shard.numbers]


def uses(records: Records, names: Collection[str]) -> dict[str, Use]:
    """Of several pools at once."""
    listed, now = [layout(records, name) for name in names], records.now()
    places = [(pool, shard) for pool in listed for shard in pool.shards]
    leases: dict[str, list[Lease]] = {pool.name: [] for pool in listed}
    for (pool, shard), ring in zip(places, records.rings.look_at(places), strict=True):
        leases[pool.name] += ring.leases(shard.numbers)
    return {pool.name: _use(pool, leases[pool.name], now) for pool in listed}


def _use(pool: RingPool, leases: Iterable[Lease], now: int, sales_per_hour: int | None = None) -> Use:
    states = [_number(lease, pool, now).state for lease in leases]
    free = states.count("free")
    return Use(
        numbers=len(states),
        leased=states.count("leased"),
        cooldown=states.count("cooldown"),
        free=free,
        used_percent=round(100 * (len(states) - free) / len(states), 1),
        overflow_number=pool.overflow_number or None,
        sales_per_hour=sales_per_hour,
        recommended=None if sales_per_hour is None else erlang.numbers_needed(sales_per_hour, pool.lease_seconds),
    )


def _checked(records: Records, name: str, sales_per_hour: int | None) -> RingPool:
    if sales_per_hour is not None and not 0 <= sales_per_hour <= MAX_SALES_PER_HOUR:
        raise NotValid({"sales_per_hour": [f"must be from 0 to {MAX_SALES_PER_HOUR}"]})
    return layout(records, name)


def layout(records: Records, name: str) -> RingPool:
    resources.find_resource(records, "ring_pools", name)
    return records.versions.last_read().pools[name]


def _leases(records: Records, pool: RingPool, shards: Iterable[Shard]) -> dict[str, Lease]:
    listed = list(shards)
    rings = records.rings.look(pool, listed)
    return {lease.number: lease for shard in listed for lease in rings[shard.id].leases(shard.numbers)}


def _number(lease: Lease, pool: RingPool, now: int) -> Number:
    held_until = lease.expires_at - pool.cooldown_seconds
    if lease.expires_at <= now:
        return Number(lease.number, "free", 0)
    return (
        Number(lease.number, "leased", held_until)
        if held_until > now
        else Number(lease.number, "cooldown", lease.expires_at)
    )
