"""The operator's side of the store: the configuration's records and versions, the owners of numbers, and tokens.

Nothing else writes the config table. Its items, by `pk` and `sk`:

    CONFIG             LIVE         the live version: version, at, by; `given_up` while there are numbers to free
    CONFIG             LOCK         who applies now: by, holder, expires_at
    CONFIG             COUNTER      the last version number that was given out
    CONFIG#00000012    offer#auto   a record of version 12, with the version in which it last changed
    LOG                00000012     what version 12 changed: at, by, changes, packed; the version that it came after.
                                    Without that one: something else that was done, under a number of its own
    ENDPOINT#my        LIVE, V…     the pointer and the compiled versions, as `compiled` reads them
    NUMBER#+1800…      OWNER        owner; for a number that was given up also free_at and its last lease's ping_id
    POOL               COUNTER      the last pool number that was given out
    POOL#auto-us       SHARDS       the pool's number, and the shard id that comes next
    TOKEN#<hash>       TOKEN        the token's user
    TOKENS             acme#1f2e…   by user and id: hash, issued_at

An apply writes everything beside what is live and then switches in one transaction. If it dies before that, the same
apply again, or any other, finds the rings that were closed too early and builds them anew; if it dies after, the next
one frees the numbers that were given up. Versions, pool numbers and shard ids are never used twice: a death burns some.
"""

import secrets
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain import configuration
from shared.domain.configuration import Change, Configuration, InvalidConfiguration, Parts, Plain, Problem
from shared.domain.keys import Keys, route_key, token_hash
from shared.domain.leasing import Lease, shards_of, successor
from shared.domain.models import Endpoint, RingPool, Shard
from shared.domain.objections import Busy, Overtaken, Refused
from shared.domain.refusals import TemporarilyUnavailable, UnknownEndpoint
from shared.store.compiled import Compiled, Memory, pack, unpack, version_key
from shared.store.dynamo import ATTEMPT_SECONDS, ConditionFailed, Dynamo, Item
from shared.store.pings import Pings
from shared.store.rings import PoolChanged, Rings

LOCK_SECONDS = 120
CODE_SECONDS = 900
"""How long one can sign in with a code."""
FORGOTTEN_SECONDS = 70
"""After that no process works by an old configuration: 60 s in memory, and a request that began in the last of them."""
COMPILED_BYTES = 300 * 1024
TRANSACTION = 100
"""The most items of one transaction, and the most keys of one BatchGetItem."""
BATCH = 25
"""The most items of one BatchWriteItem."""
BESIDE_POINTERS = 2
"""In the transaction that switches: the version and its entry in the log."""

NOBODY_APPLIES = "attribute_not_exists(pk) OR expires_at <= :now"
NUMBER_IS_FREE = "attribute_not_exists(pk) OR attribute_not_exists(free_at) OR free_at <= :now"
"""For numbers that are not in the live configuration: an owner that never gave up is left from an apply that died."""

PASSING_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}

VERSION_DIGITS = 8
HISTORY_BYTES = 256 * 1024
"""Of packed changes, after which no more entries are read at once: they are ten times as long when they are shown."""
UNKNOWN = -1
"""A shard id that no shard has."""

SECTIONS = {
    "account": "account",
    "user": "users",
    "ring_pool": "ring_pools",
    "offer": "offers",
    "endpoint": "endpoints",
}
KINDS = {section: kind for kind, section in SECTIONS.items()}

T = TypeVar("T")


class Record(Struct, frozen=True):
    """One part of the configuration as the operator wrote it. `layout` are a ring pool's shards; `held_until` is until
    when an endpoint's static numbers may be held by the longer hold of a version before."""

    configured: Plain
    version: int
    layout: RingPool | None = None
    held_until: int = 0


class GivenUp(Struct, frozen=True, array_like=True):
    """A number that leaves the configuration: free again after `free_at`, the end of its last lease; where there is no
    ring also not before `held_seconds` have passed since the last process forgot it."""

    number: str
    owner: str
    free_at: int = 0
    held_seconds: int = 0
    ping_id: bytes = b""

    def free_from(self, forgotten_at: int) -> int:
        return max(self.free_at, forgotten_at + self.held_seconds if self.held_seconds else 0)


class Live(Struct, frozen=True):
    """The live configuration; version 0 is an empty stack's."""

    version: int = 0
    records: dict[tuple[str, str], Record] = {}
    given_up: list[GivenUp] = []

    @property
    def parts(self) -> Parts:
        return {key: record.configured for key, record in self.records.items()}

    @property
    def pools(self) -> dict[str, RingPool]:
        return {name: record.layout for (_, name), record in self.records.items() if record.layout}

    def names(self, section: str) -> list[str]:
        return [name for of, name in self.records if of == section]

    def numbers(self) -> dict[str, GivenUp]:
        """Every number of the live configuration, as it would be given up; of rings without their leases."""
        owned = []
        for name, pool in self.pools.items():
            owned += [GivenUp(number, f"ring pool {name}") for shard in pool.shards for number in shard.numbers]
            if pool.overflow_number:
                owned.append(GivenUp(pool.overflow_number, f"overflow of {name}", pool.lease_floor, pool.hold_seconds))
        for (section, name), record in self.records.items():
            if section == "endpoints" and (static := record.configured.get("static_numbers")):
                held = record.configured["hold_seconds"]
                owned += [GivenUp(number, f"endpoint {name}", record.held_until, held) for number in static.values()]
        return {number.number: number for number in owned}


class Plan(Struct, frozen=True):
    """What becomes of a ring pool: shards that stay as they are, shards to close, and numbers that it never had.

    All are closed where leases become longer or shorter. One ring has leases of one length only, in the order of their
    ends; processes that still know the old length meet a closed ring.
    """

    name: str
    wanted: configuration.RingPool | None
    was: RingPool | None
    kept: tuple[Shard, ...]
    closing: tuple[Shard, ...]
    new: list[str]
    numbers: set[str]

    @property
    def repairs(self) -> bool:
        """Whether a shard was closed by an apply that died: none of its numbers has to go."""
        return any(self.numbers.issuperset(shard.numbers) for shard in self.closing)


class Applied(Struct, frozen=True):
    """An entry of the change log. `after` is the version that it came after; None for what is no version of the
    configuration, such as a token that was issued."""

    version: int
    at: int
    by: str
    changes: list[Change]
    after: int | None = None


class Token(Struct, frozen=True):
    id: str
    user: str
    issued_at: int


class Destination(Struct, frozen=True):
    """The buyer to dial, at `number`, and until when a call goes there."""

    buyer_id: int
    name: str
    number: str
    until: int


Known = dict[int, dict[tuple[str, str], Record]]
"""What a process remembers: the records of the version that it read last. A version never changes."""


class Records:
    """`now` is the clock, in seconds since the epoch."""

    def __init__(self, dynamo: Dynamo, signing_keys: Keys, now: Callable[[], int], known: Known | None = None) -> None:
        self.dynamo = dynamo
        self.client = dynamo.client
        self.table = dynamo.settings.config_table
        self.keys = signing_keys
        self.now = now
        self.known: Known = {} if known is None else known
        self.seen: Live | None = None
        self.rings = Rings(dynamo, {})
        self.pings = Pings(dynamo)

    def live(self) -> Live:
        self.seen = self._live()
        return self.seen

    def last_seen(self) -> Live:
        """The live configuration as this object has read it last: of a request, what it began with."""
        return self.seen or self.live()

    def _live(self) -> Live:
        pointer = self._get("CONFIG", "LIVE")
        if pointer is None:
            return Live()
        version = int(pointer["version"]["N"])
        if version not in self.known:
            records = self._records(version)
            self.known.clear()
            self.known[version] = records
        given_up = _unpacked(pointer["given_up"]["B"], list[GivenUp]) if "given_up" in pointer else []
        return Live(version, self.known[version], given_up)

    def parts(self, version: int) -> Parts:
        """The configuration as it was under a version; empty for 0."""
        return {key: record.configured for key, record in self._records(version).items()} if version else {}

    def _records(self, version: int) -> dict[tuple[str, str], Record]:
        records = {}
        for item in self._query(f"CONFIG#{version:08}"):
            kind, _, name = item["sk"]["S"].partition("#")
            records[SECTIONS[kind], name] = Record(
                configured=_unpacked(item["body"]["B"], Plain),
                version=int(item["version"]["N"]),
                layout=_unpacked(item["layout"]["B"], RingPool) if "layout" in item else None,
                held_until=int(item["held_until"]["N"]) if "held_until" in item else 0,
            )
        return records

    def apply(self, wanted: Configuration, by: str, seen: int | None = None) -> Applied | None:
        """Make a configuration the live one; None if it is that already. `seen` is the version that the operator has
        compared it with.

        Raises `Refused`, `Busy` and `Overtaken`, `InvalidConfiguration` where it does not fit what is live, and
        `TemporarilyUnavailable` where it is not known whether the switch was made; apply it again then.
        """
        with self._lock(by):
            live = self.live()
            if seen not in (None, live.version):
                raise Overtaken(f"Version {live.version} was applied meanwhile. Look at the difference again.")
            self._free(live.version, live.given_up)
            endpoints = self._live_endpoints(live.names("endpoints"))
            plans = self._plans(wanted, live)
            parts = configuration.parts(wanted)
            changes = configuration.changes(live.parts, parts)
            changes += [
                Change(f"ring_pools[{plan.name}] rings", "closed by an apply that died", "built anew")
                for plan in plans
                if plan.repairs
            ]
            draft = configuration.compiled(wanted, {plan.name: self._draft(plan) for plan in plans if plan.wanted}, 0)
            switched = _different(draft, endpoints)
            removed = [name for name in endpoints if name not in draft]
            if not (changes or switched or removed):
                return None
            _check_sizes(draft, len(switched) + len(removed))
            were, are = set(live.names("users")), {user.name for user in wanted.users}
            self._end_tokens(are - were, by)
            self._claim(wanted, live)

            pools, given_up = self._laid_out(plans)
            given_up += _given_up_elsewhere(wanted, live)
            applied = Applied(self._count("CONFIG"), self.now(), by, changes, live.version)
            compiled = configuration.compiled(wanted, pools, applied.version)
            self._write(applied, live, parts, pools, [compiled[name] for name in switched])
            self._switch(applied, live, switched, removed, given_up)
            self._free(applied.version, given_up)
            self._end_tokens(were - are, by)
            return applied

    def history(self, count: int, before: int = 0) -> tuple[list[Applied], bool]:
        """What was done, the newest first: the first entries, or those before the one of this version; and whether
        there are more. Fewer than asked for where they are large."""
        last = before - 1 if before else 10**VERSION_DIGITS - 1
        pages = self._pages(
            self.client.query,
            KeyConditionExpression="pk = :pk AND sk <= :last",
            ExpressionAttributeValues={":pk": _s("LOG"), ":last": _s(f"{last:0{VERSION_DIGITS}}")},
            ScanIndexForward=False,
            Limit=count + 1,
        )
        found: list[Applied] = []
        size = 0
        for item in pages:
            if len(found) == count or size > HISTORY_BYTES:
                return found, True
            found.append(_entry(item))
            size += len(item["changes"]["B"])
        return found, False

    def change(self, version: int) -> Applied | None:
        """One entry of the change log."""
        item = self._get("LOG", f"{version:0{VERSION_DIGITS}}")
        return _entry(item) if item else None

    def note(self, by: str, changes: list[Change]) -> None:
        """Put into the change log what is no part of the configuration."""
        self._transact([self._logged(Applied(self._count("CONFIG"), self.now(), by, changes))])

    def issue(self, user: str, by: str, token: str = "") -> tuple[Token, str]:
        """A new token of a user, and its secret, kept nowhere: the given one or a random one. Raises `Refused`."""
        if ("users", user) not in self.live().records:
            raise Refused(f"There is no user {user} in the live configuration.")
        secret = token or f"rp_{secrets.token_urlsafe(24)}"
        issued, hashed = Token(self.token_id(secret), user, self.now()), token_hash(self.keys, secret)
        listed = {"hash": _s(hashed), "issued_at": _n(issued.issued_at)}
        try:
            self._transact(
                [
                    self._new(_key(f"TOKEN#{hashed}", "TOKEN") | {"user": _s(user)}),
                    self._new(_token_key(issued) | listed),
                    self._logged(self._of_token(issued, by, None, "issued")),
                ]
            )
        except ConditionFailed:
            raise Refused("This token was issued before.") from None
        return issued, secret

    def token_id(self, secret: str) -> str:
        """By what a token is named where its secret must not be seen."""
        return token_hash(self.keys, secret)[:8]

    def tokens(self, user: str = "") -> list[Token]:
        """Every token, or a user's, the oldest first."""
        found = (_token(item) for item in self._query("TOKENS", f"{user}#" if user else ""))
        return sorted(found, key=lambda token: (token.issued_at, token.user, token.id))

    def revoke(self, token_id: str, by: str, user: str = "") -> Token:
        """End a token, of this user if one is named. Processes that know it accept it for another minute. Raises
        `Refused`."""
        for item in self._query("TOKENS", f"{user}#" if user else ""):
            token = _token(item)
            if token.id == token_id:
                keys = [_key(f"TOKEN#{item['hash']['S']}", "TOKEN"), _token_key(token)]
                deletes = [{"Delete": {"TableName": self.table, "Key": key}} for key in keys]
                self._transact([*deletes, self._logged(self._of_token(token, by, "issued", None))])
                return token
        raise Refused(f"There is no token {token_id}.")

    def give_code(self, user: str, by: str) -> str:
        """A code with which this user signs in once, within `CODE_SECONDS`. That it was given is in the change log.
        Raises `Refused`."""
        if ("users", user) not in self.live().records:
            raise Refused(f"There is no user {user} in the live configuration.")
        code = secrets.token_urlsafe(24)
        self.note(by, [Change(f"users[{user}] sign-in link", None, "given")])
        self.keep_code(code, user)
        return code

    def keep_code(self, code: str, user: str) -> None:
        """Keep a code with which this user signs in once, within `CODE_SECONDS`."""
        expires_at = self.now() + CODE_SECONDS
        self._put(f"CODE#{token_hash(self.keys, code)}", "CODE", {"user": _s(user), "expires_at": _n(expires_at)})

    def use_code(self, code: str) -> str:
        """Whose code this is, empty if it is none, over or used. Now it is used."""
        try:
            answer = self.dynamo.call(
                self.client.delete_item,
                TableName=self.table,
                Key=_key(f"CODE#{token_hash(self.keys, code)}", "CODE"),
                ConditionExpression="expires_at > :now",
                ExpressionAttributeValues={":now": _n(self.now())},
                ReturnValues="ALL_OLD",
            )
        except ConditionFailed:
            return ""
        user: str = answer["Attributes"]["user"]["S"]
        return user

    def route(self, number: str, caller: str) -> Destination | None:
        """What a call from `caller` to `number` resolves to now. In a ring pool the number alone decides."""
        owner = self._get(f"NUMBER#{number}", "OWNER")
        if owner is None:
            return None
        if not owner["owner"]["S"].startswith("ring pool "):
            route = self.pings.route(route_key(self.keys, number, caller), self.now())
            return self._destination(route.ping_id, route.buyer_id, route.held_until, route.number) if route else None
        lease = self._lease(number, owner)
        if lease is None or not lease.ping_id or lease.expires_at <= self.now():
            return None
        sale = self.pings.read(lease.ping_id, self.now()).sale
        if sale is None:
            return None
        own_number = sale.said.number if sale.said else ""
        return self._destination(lease.ping_id, sale.buyer_id, lease.expires_at, own_number)

    # An apply, step by step.

    @contextmanager
    def _lock(self, by: str) -> Iterator[None]:
        """One apply at a time. Every call inside ends before somebody else may take the lock, and before the request's
        own deadline, with time to give the lock back."""
        holder, now, deadline = secrets.token_hex(8), self.now(), self.dynamo.deadline
        ends = min(deadline, time.monotonic() + LOCK_SECONDS)
        self.dynamo.deadline = ends - ATTEMPT_SECONDS
        try:
            self._take_lock(by, holder, now)
            yield
        except ConditionFailed:
            raise Overtaken("Another version was applied meanwhile. Look at the difference again.") from None
        finally:
            self.dynamo.deadline = ends
            with suppress(ConditionFailed, TemporarilyUnavailable):  # then it is another's, or lapses by itself
                self.dynamo.call(
                    self.client.delete_item,
                    TableName=self.table,
                    Key=_key("CONFIG", "LOCK"),
                    ConditionExpression="holder = :holder",
                    ExpressionAttributeValues={":holder": _s(holder)},
                )
            self.dynamo.deadline = deadline

    def _take_lock(self, by: str, holder: str, now: int) -> None:
        try:
            self._put(
                "CONFIG",
                "LOCK",
                {"by": _s(by), "holder": _s(holder), "expires_at": _n(now + LOCK_SECONDS)},
                condition=NOBODY_APPLIES,
                values={":now": _n(now)},
            )
        except ConditionFailed as met:
            held = met.item or {}
            if held["holder"]["S"] != holder:  # else an unclear first try went through
                until = int(held["expires_at"]["N"])
                raise Busy(
                    f"{held['by']['S']} has been applying a configuration since {_clock(until - LOCK_SECONDS)}. "
                    f"Wait for its end; if it died, until {_clock(until)}."
                ) from None

    def _plans(self, wanted: Configuration, live: Live) -> list[Plan]:
        pools = {pool.name: pool for pool in wanted.ring_pools}
        return [self._plan(name, pools.get(name), live.pools.get(name)) for name in {**pools, **live.pools}]

    def _plan(self, name: str, wanted: configuration.RingPool | None, was: RingPool | None) -> Plan:
        numbers = configuration.expanded(wanted.numbers) if wanted else []
        if was is None:
            return Plan(name, wanted, None, (), (), numbers, set(numbers))
        try:
            rings = self.rings.look(was, was.shards)
        except PoolChanged:
            raise Refused(f"Rings of ring pool {name} are gone from the table {self.rings.table}.") from None
        as_long = wanted is not None and wanted.hold_seconds + wanted.cooldown_seconds == was.lease_seconds
        kept = [
            shard
            for shard in was.shards
            if as_long and not rings[shard.id].closed and set(numbers).issuperset(shard.numbers)
        ]
        closing = [shard for shard in was.shards if shard not in kept]
        had = {number for shard in was.shards for number in shard.numbers}
        new = [number for number in numbers if number not in had]
        return Plan(name, wanted, was, tuple(kept), tuple(closing), new, set(numbers))

    def _draft(self, plan: Plan) -> RingPool:
        """The pool as it will be, but for the ids of new shards: it shows what has to be switched, before any write."""
        rebuilt = [number for shard in plan.closing for number in shard.numbers if number in plan.numbers]
        drafted = [Shard(UNKNOWN, numbers) for numbers in (*shards_of(rebuilt), *shards_of(plan.new))]
        return self._pool(plan, plan.was.no if plan.was else 0, (*plan.kept, *drafted), [])

    def _pool(self, plan: Plan, no: int, shards: tuple[Shard, ...], closed: list[Lease]) -> RingPool:
        if plan.wanted is None:
            raise LookupError("a ring pool that nobody wants")
        return RingPool(
            no=no,
            name=plan.name,
            hold_seconds=plan.wanted.hold_seconds,
            cooldown_seconds=plan.wanted.cooldown_seconds,
            shards=shards,
            overflow_number=plan.wanted.overflow_number or "",
            lease_floor=self._lease_floor(plan.wanted, plan.was, closed),
        )

    @staticmethod
    def _lease_floor(wanted: configuration.RingPool, was: RingPool | None, closed: list[Lease]) -> int:
        if was is None:
            return 0
        shortened = wanted.hold_seconds + wanted.cooldown_seconds < was.lease_seconds
        return max([was.lease_floor, *(lease.expires_at for lease in closed if shortened)])

    def _held_until(self, configured: Plain, was: Record) -> int:
        before: int = was.configured.get("hold_seconds", 0)
        if configured.get("hold_seconds", 0) >= before:
            return was.held_until
        return max(was.held_until, self.now() + FORGOTTEN_SECONDS + before)

    def _claim(self, wanted: Configuration, live: Live) -> None:
        """Take the numbers that are new. Raises `InvalidConfiguration` with all that others have, or lately had."""
        ours = live.numbers()
        placed = {number: (path, owner) for path, number, owner in configuration.numbers(wanted)}
        new = [number for number in placed if number not in ours]
        problems = [
            Problem(path, f"{number} belongs to {ours[number].owner} now; take it out there and apply that first")
            for number, (path, owner) in placed.items()
            if number in ours and ours[number].owner != owner
        ]
        for number, item in self._owners(new).items():
            free_at = int(item["free_at"]["N"]) if "free_at" in item else 0
            if free_at > self.now():
                problems.append(
                    Problem(
                        placed[number][0],
                        f"{number} was given up by {item['owner']['S']}, where it is held until {_clock(free_at)}; "
                        "nobody can have it before",
                    )
                )
        if problems:
            raise InvalidConfiguration(problems)
        for some in _batches(new):
            self._transact(
                [
                    {
                        "Put": {
                            "TableName": self.table,
                            "Item": {**_key(f"NUMBER#{number}", "OWNER"), "owner": _s(placed[number][1])},
                            "ConditionExpression": NUMBER_IS_FREE,
                            "ExpressionAttributeValues": {":now": _n(self.now())},
                        }
                    }
                    for number in some
                ]
            )

    def _owners(self, numbers: Collection[str]) -> dict[str, Item]:
        """Who has, or has had, each of these numbers."""
        items = self._items([_key(f"NUMBER#{number}", "OWNER") for number in numbers])
        return {item["pk"]["S"].removeprefix("NUMBER#"): item for item in items}

    def _laid_out(self, plans: list[Plan]) -> tuple[dict[str, RingPool], list[GivenUp]]:
        """The pools with their rings, and the numbers that leave them. Rings of new numbers come first: from the first
        closing on, POSTs wait for the switch."""
        started = [self._started(plan, [Lease(number, b"", 0) for number in plan.new]) for plan in plans]
        pools, given_up = {}, []
        for plan, (no, new) in zip(plans, started, strict=True):
            closed = [(self.rings.close(no, shard), shard.numbers) for shard in plan.closing]
            gone = {number for shard in plan.closing for number in shard.numbers} - plan.numbers
            given_up += [
                GivenUp(lease.number, f"ring pool {plan.name}", free_at=lease.expires_at, ping_id=lease.ping_id)
                for lease in successor(closed, gone)
            ]
            kept = successor(closed, plan.numbers)
            _, rebuilt = self._started(plan, kept)
            if plan.wanted:
                pools[plan.name] = self._pool(plan, no, (*plan.kept, *rebuilt, *new), kept)
        return pools, given_up

    def _started(self, plan: Plan, leases: list[Lease]) -> tuple[int, tuple[Shard, ...]]:
        """The pool's number, and new shards whose rings hold these leases, first free first."""
        last = {lease.number: lease for lease in leases}
        lists = shards_of(list(last))
        if plan.was and not lists:
            return plan.was.no, ()
        no, next_id = self._reserve(plan.name, len(lists))
        shards = tuple(Shard(next_id + place, numbers) for place, numbers in enumerate(lists))
        for shard in shards:
            self.rings.create(no, shard.id, [last[number] for number in shard.numbers])
        return no, shards

    def _reserve(self, pool: str, count: int) -> tuple[int, int]:
        """The pool's number and the first of `count` shard ids; nobody else gets them, ever."""

        known = self._get(f"POOL#{pool}", "SHARDS")
        no = int(known["no"]["N"]) if known else self._count("POOL")
        item = self.dynamo.call(
            self.client.update_item,
            TableName=self.table,
            Key=_key(f"POOL#{pool}", "SHARDS"),
            UpdateExpression="SET #no = if_not_exists(#no, :no) ADD next_shard :count",
            ExpressionAttributeNames={"#no": "no"},
            ExpressionAttributeValues={":no": _n(no), ":count": _n(count)},
            ReturnValues="ALL_NEW",
        )["Attributes"]
        return int(item["no"]["N"]), int(item["next_shard"]["N"]) - count

    def _count(self, pk: str) -> int:
        """A number that was never given out before."""
        answer = self.dynamo.call(
            self.client.update_item,
            TableName=self.table,
            Key=_key(pk, "COUNTER"),
            UpdateExpression="ADD given_out :one",
            ExpressionAttributeValues={":one": _n(1)},
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["given_out"]["N"])

    def _write(
        self, applied: Applied, live: Live, parts: Parts, pools: Mapping[str, RingPool], endpoints: list[Endpoint]
    ) -> None:
        """Everything of a version, beside what is live."""
        items: list[Item] = []
        for (section, name), configured in parts.items():
            layout = pools[name] if section == "ring_pools" else None
            was = live.records.get((section, name))
            same = was is not None and (was.configured, was.layout) == (configured, layout)
            held_until = self._held_until(configured, was) if was and section == "endpoints" else 0
            items.append(
                {
                    **_key(f"CONFIG#{applied.version:08}", f"{KINDS[section]}#{name}"),
                    "body": {"B": _packed(configured)},
                    "version": _n(was.version if was and same else applied.version),
                    **({"layout": {"B": _packed(layout)}} if layout else {}),
                    **({"held_until": _n(held_until)} if held_until else {}),
                }
            )
        items += [
            {
                **_key(f"ENDPOINT#{endpoint.vanity_uri}", version_key(endpoint.version)),
                "compiled": {"B": pack(endpoint)},
            }
            for endpoint in endpoints
        ]
        for some in _batches(items, BATCH):
            left: Any = {self.table: [{"PutRequest": {"Item": item}} for item in some]}
            while left:
                left = self.dynamo.call(self.client.batch_write_item, RequestItems=left)["UnprocessedItems"]

    def _switch(
        self, applied: Applied, live: Live, switched: list[str], removed: list[str], given_up: list[GivenUp]
    ) -> None:
        """The one write that publishers see: all of it or nothing."""
        pointers: list[Any] = [
            {
                "Put": {
                    "TableName": self.table,
                    "Item": {**_key(f"ENDPOINT#{name}", "LIVE"), "version": _n(applied.version)},
                }
            }
            for name in switched
        ]
        pointers += [{"Delete": {"TableName": self.table, "Key": _key(f"ENDPOINT#{name}", "LIVE")}} for name in removed]
        live_item = {
            **_key("CONFIG", "LIVE"),
            "version": _n(applied.version),
            "at": _n(applied.at),
            "by": _s(applied.by),
            **({"given_up": {"B": _packed(given_up)}} if given_up else {}),
        }
        nobody_was_faster: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if live.version:
            nobody_was_faster = {
                "ConditionExpression": "#version = :was",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":was": _n(live.version)},
            }
        switch = {"Put": {"TableName": self.table, "Item": live_item, **nobody_was_faster}}
        self._transact([*pointers, switch, self._logged(applied)])

    def _free(self, version: int, given_up: list[GivenUp]) -> None:
        """Set the time from which each number that left the configuration may be claimed again."""
        if not given_up:
            return
        forgotten = self.now() + FORGOTTEN_SECONDS
        for some in _batches(given_up):
            self._transact(
                [
                    {
                        "Put": {
                            "TableName": self.table,
                            "Item": {
                                **_key(f"NUMBER#{number.number}", "OWNER"),
                                "owner": _s(number.owner),
                                "free_at": _n(number.free_from(forgotten)),
                                "ping_id": {"B": number.ping_id},
                            },
                        }
                    }
                    for number in some
                ]
            )
        self.dynamo.call(
            self.client.update_item,
            TableName=self.table,
            Key=_key("CONFIG", "LIVE"),
            UpdateExpression="REMOVE given_up",
            ConditionExpression="#version = :version",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues={":version": _n(version)},
        )

    def _end_tokens(self, users: Collection[str], by: str) -> None:
        """Of users who leave, and of users who come: an apply that died may have left them those of an earlier one."""
        for token in self.tokens() if users else ():
            if token.user in users:
                self.revoke(token.id, by, token.user)

    # What calls resolve to.

    def _lease(self, number: str, owner: Item) -> Lease | None:
        """The last lease of a ring pool's number; of one that was given up the last that it had there."""
        if "free_at" in owner:
            return Lease(number, owner["ping_id"]["B"], int(owner["free_at"]["N"]))
        pool = self.live().pools.get(owner["owner"]["S"].removeprefix("ring pool "))
        shards = [shard for shard in pool.shards if number in shard.numbers] if pool else []
        if pool is None or not shards:
            return None  # claimed by an apply that died
        leases = self.rings.look(pool, shards)[shards[0].id].leases(shards[0].numbers)
        return next(lease for lease in leases if lease.number == number)

    def _destination(self, ping_id: bytes, buyer_id: int, until: int, number: str = "") -> Destination | None:
        """A sold ping's buyer, as configured now."""
        ping = self.pings.read(ping_id, self.now()).ping
        try:
            buyer = self._compiled(ping.endpoint).buyer(buyer_id) if ping else None
        except UnknownEndpoint:
            buyer = None
        return Destination(buyer.id, buyer.name, number or buyer.number, until) if buyer else None

    def _live_endpoints(self, names: list[str]) -> dict[str, Endpoint]:
        pointers = self._items([_key(f"ENDPOINT#{name}", "LIVE") for name in names])
        versions = [_key(pointer["pk"]["S"], version_key(int(pointer["version"]["N"]))) for pointer in pointers]
        endpoints = [unpack(item["compiled"]["B"]) for item in self._items(versions)]
        return {endpoint.vanity_uri: endpoint for endpoint in endpoints}

    def _compiled(self, vanity_uri: str) -> Endpoint:
        return Compiled(self.dynamo, Memory()).latest(vanity_uri, self.now())

    # DynamoDB.

    def _get(self, pk: str, sk: str) -> Item | None:
        answer = self.dynamo.call(self.client.get_item, TableName=self.table, Key=_key(pk, sk), ConsistentRead=True)
        return answer.get("Item")

    def _items(self, keys: Collection[Any]) -> Iterator[Item]:
        """Those that are there, in no order."""
        for some in _batches(keys):
            left: Any = {self.table: {"Keys": some, "ConsistentRead": True}}
            while left:  # DynamoDB gives 16 MB at a time
                answer = self.dynamo.call(self.client.batch_get_item, RequestItems=left)
                yield from answer["Responses"].get(self.table, [])
                left = answer.get("UnprocessedKeys")

    def _put(
        self, pk: str, sk: str, attributes: Item, condition: str = "", values: Mapping[str, Any] | None = None
    ) -> None:
        conditions: dict[str, Any] = {}
        if condition:
            conditions = {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if values:
            conditions["ExpressionAttributeValues"] = values
        self.dynamo.call(self.client.put_item, TableName=self.table, Item={**_key(pk, sk), **attributes}, **conditions)

    def _query(self, pk: str, prefix: str = "") -> Iterator[Item]:
        condition, values = "pk = :pk", {":pk": _s(pk)}
        if prefix:
            condition, values = f"{condition} AND begins_with(sk, :prefix)", values | {":prefix": _s(prefix)}
        return self._pages(self.client.query, KeyConditionExpression=condition, ExpressionAttributeValues=values)

    def _pages(self, method: Callable[..., Any], **request: Any) -> Iterator[Item]:
        while True:
            answer = self.dynamo.call(method, TableName=self.table, ConsistentRead=True, **request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _new(self, item: dict[str, Any]) -> dict[str, Any]:
        """As a part of a transaction: an item that must not be there yet."""
        return {"Put": {"TableName": self.table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}

    def _logged(self, applied: Applied) -> dict[str, Any]:
        item = {
            **_key("LOG", f"{applied.version:0{VERSION_DIGITS}}"),
            "at": _n(applied.at),
            "by": _s(applied.by),
            "changes": {"B": _packed(applied.changes)},
            **({} if applied.after is None else {"after": _n(applied.after)}),
        }
        return {"Put": {"TableName": self.table, "Item": item}}

    def _of_token(self, token: Token, by: str, was: str | None, now: str | None) -> Applied:
        change = Change(f"users[{token.user}].tokens[{token.id}]", was, now)
        return Applied(self._count("CONFIG"), self.now(), by, [change])

    def _transact(self, items: list[Any]) -> None:
        """All of some writes or none. Raises `ConditionFailed`."""
        try:
            self.dynamo.call(self.client.transact_write_items, TransactItems=items)
        except self.client.exceptions.TransactionCanceledException as cancelled:
            reasons = {reason["Code"] for reason in cancelled.response["CancellationReasons"]}
            if "ConditionalCheckFailed" in reasons:
                raise ConditionFailed(None) from None
            if reasons & PASSING_REASONS:
                raise TemporarilyUnavailable from cancelled
            raise


def _different(endpoints: Mapping[str, Endpoint], live: Mapping[str, Endpoint]) -> list[str]:
    """Those that differ from the live ones in more than their version."""
    return [
        name
        for name, endpoint in endpoints.items()
        if name not in live or replace(endpoint, version=live[name].version) != live[name]
    ]


def _check_sizes(endpoints: Mapping[str, Endpoint], switched: int) -> None:
    if switched > (most := TRANSACTION - BESIDE_POINTERS):
        raise Refused(
            f"This changes or removes {switched} endpoints; {most} can be switched at once. Apply it in two steps."
        )
    for name, endpoint in endpoints.items():
        if (size := len(pack(endpoint))) > COMPILED_BYTES:
            raise Refused(
                f"Endpoint {name} takes {size // 1024} KB; {COMPILED_BYTES // 1024} KB is the most. "
                "Give its offer fewer buyers, or its ring pool fewer numbers."
            )


def _given_up_elsewhere(wanted: Configuration, live: Live) -> list[GivenUp]:
    """Static and overflow numbers that leave the configuration."""
    stay = {number for _, number, _ in configuration.numbers(wanted)}
    return [owned for number, owned in live.numbers().items() if owned.held_seconds and number not in stay]


def _token_key(token: Token) -> dict[str, Any]:
    return _key("TOKENS", f"{token.user}#{token.id}")


def _token(item: Item) -> Token:
    user, _, token_id = item["sk"]["S"].partition("#")
    return Token(token_id, user, int(item["issued_at"]["N"]))


def _entry(item: Item) -> Applied:
    return Applied(
        version=int(item["sk"]["S"]),
        at=int(item["at"]["N"]),
        by=item["by"]["S"],
        changes=_unpacked(item["changes"]["B"], list[Change]),
        after=int(item["after"]["N"]) if "after" in item else None,
    )


def _batches(entries: Collection[T], size: int = TRANSACTION) -> list[Sequence[T]]:
    listed = list(entries)
    return [listed[start : start + size] for start in range(0, len(listed), size)]


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": _s(pk), "sk": _s(sk)}


def _s(text: str) -> dict[str, Any]:
    return {"S": text}


def _n(number: int) -> dict[str, Any]:
    return {"N": str(number)}


def _packed(value: object) -> bytes:
    return zlib.compress(msgspec.json.encode(value))


def _unpacked(packed: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(zlib.decompress(packed), type=kind)
