"""A configuration becomes the current one, with what `versions`, `claiming` and `layouts` store.

An apply writes everything next to what is live and then switches in one transaction. Before it, it closes the rings of
which numbers leave, for `CLOSED_SECONDS` at most: if it dies, they open by themselves, and the switch that arrives late
is refused, because it closes them forever only if they still are as they were. If it dies after the switch, the next
apply or the hourly repair frees the numbers that were given up. Versions, pool numbers and shard ids are never used
twice: a death burns some.
"""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from msgspec.structs import replace

from shared import configuration
from shared.configuration import Configuration, Parts, Plain
from shared.domain.leasing import Ring
from shared.domain.models import Endpoint, RingPool
from shared.domain.objections import Busy, Interrupted, Overtaken, Refused
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.claiming import FORGOTTEN_SECONDS, TRANSACTION, Claiming, given_up_elsewhere
from shared.store.compiled import pack, unpack, version_key
from shared.store.dynamo import ConditionFailed, Item
from shared.store.items import as_bytes, as_number, as_text, bytes_of, number_of, table_key, text_of
from shared.store.layouts import Layouts, Plan, Progress, clock_time
from shared.store.owners import places
from shared.store.packing import pack_json
from shared.store.tokens import Tokens
from shared.store.versions import KINDS, Applied, CurrentVersion, GivenUp, Record, Versions

LOCK_SECONDS = 120
COMPILED_BYTES = 300 * 1024
BESIDE_POINTERS = 2
"""In the transaction that switches: the version and its entry in the log."""

NOBODY_APPLIES = "attribute_not_exists(pk) OR expires_at <= :now"


class Applying:
    def __init__(self, versions: Versions, tokens: Tokens, layouts: Layouts) -> None:
        self.versions = versions
        self.tokens = tokens
        self.layouts = layouts
        self.claiming = Claiming(versions)
        self.dynamo = versions.dynamo
        self.table = versions.table
        self.now = versions.now

    def apply(self, wanted: Configuration, by: str, seen: int | None = None) -> Applied | None:
        """Make a configuration the live one; None if it is that already. `seen` is the version that the operator has
        compared it with.

        Raises `Refused`, `Busy` and `Overtaken`, `InvalidConfiguration` where it does not fit what is live, and
        `TemporarilyUnavailable` where it is not known whether the switch was made; apply it again then.
        """
        with self._lock(by), self._progress() as progress:
            live = self.versions.current()
            if seen not in (None, live.version):
                raise Overtaken(f"Version {live.version} was applied meanwhile. Look at the difference again.")
            self.claiming.free(live.version, live.given_up)
            endpoints = self._live_endpoints(live.names("endpoints"))
            plans = self.layouts.plans(wanted, live)
            parts = configuration.records_of(wanted)
            changes = configuration.changes_between(live.parts, parts)
            draft = self._draft(wanted, plans)
            switched = _different(draft, endpoints)
            removed = [name for name in endpoints if name not in draft]
            if not (changes or switched or removed):
                return None
            _check_sizes(draft, len(switched) + len(removed), sum(len(plan.closing) for plan in plans))
            known = self.claiming.check_owners(wanted, live)
            were, are = set(live.names("users")), {user.name for user in wanted.users}
            self.tokens.end_all(are - were, by)
            applied = Applied(self.versions.next_number(), self.now(), by, changes, live.version)
            started = self.layouts.start(plans, known)
            new = {number: place for shards in started for number, place in places(*shards).items()}
            self.claiming.claim(wanted, live, applied.version, new)

            laid_out = self.layouts.lay_out(plans, started, progress)
            given_up = [*laid_out.given_up, *given_up_elsewhere(wanted, live)]
            compiled = configuration.compile_endpoints(wanted, laid_out.pools, applied.version)
            self._write(applied, live, parts, laid_out.pools, [compiled[name] for name in switched])
            progress.is_switching = True
            self._switch(applied, live, switched, removed, given_up, progress.closed)
            progress.is_live = True
            self.claiming.free(applied.version, given_up)
            self.claiming.move(applied.version, laid_out.moved)
            self.tokens.end_all(were - are, by)
            return applied

    def free_what_was_given_up(self) -> int:
        """Finish what an apply that died after its switch has left: how many numbers it freed. An apply at the same
        time does no harm: it frees them, too, or has given them to somebody, who keeps them."""
        live = self.versions.current()
        self.claiming.free(live.version, live.given_up)
        return len(live.given_up)

    def check(self, wanted: Configuration) -> list[str]:
        """Raise what `apply` would refuse of a configuration, and write nothing. Sentences about what stays as it is
        for a while after it."""
        live = self.versions.last_read()
        endpoints, plans = self._live_endpoints(live.names("endpoints")), self.layouts.plans(wanted, live)
        draft = self._draft(wanted, plans)
        removed = [name for name in endpoints if name not in draft]
        switched = len(_different(draft, endpoints)) + len(removed)
        _check_sizes(draft, switched, sum(len(plan.closing) for plan in plans))
        self.claiming.check_owners(wanted, live)
        return [sentence for plan in plans for sentence in plan.sentences(self.now())]

    def _draft(self, wanted: Configuration, plans: list[Plan]) -> dict[str, Endpoint]:
        """The endpoints as they will be, but for their version and the ids of new shards."""
        return configuration.compile_endpoints(
            wanted, {plan.name: self.layouts.draft(plan) for plan in plans if plan.wanted}, 0
        )

    @contextmanager
    def _progress(self) -> Iterator[Progress]:
        """Where an apply is. If it ends half way, `Interrupted` says so."""
        progress = Progress()
        try:
            yield progress
        except (TemporarilyUnavailable, KeyboardInterrupt) as failed:
            not_done = isinstance(failed, TemporarilyUnavailable) and failed.not_done
            if progress.is_live:
                done = "The configuration is live. Apply it again to free the numbers that have left it."
            elif progress.is_switching and not not_done:
                done = "It is not known whether the configuration is live: look at the difference."
            else:
                done = "Nothing was changed."
            raise Interrupted(f"The apply ended half way. {done} {progress.sales(self.now())}") from failed
        except ConditionFailed:
            sales = progress.sales(self.now())
            sentence = "Another version was applied meanwhile. Look at the difference again."
            raise Overtaken(f"{sentence} {sales}" if progress.closed else sentence) from None

    @contextmanager
    def _lock(self, by: str) -> Iterator[None]:
        """One apply at a time. Every call inside ends before somebody else may take the lock, and before the request's
        own deadline, with time to give the lock back."""
        holder, now, deadline = secrets.token_hex(8), self.now(), self.dynamo.deadline
        ends = min(deadline, time.monotonic() + LOCK_SECONDS)
        self.dynamo.deadline = ends - self.dynamo.attempt_seconds
        try:
            self._take_lock(by, holder, now)
            yield
        finally:
            self.dynamo.deadline = ends
            with suppress(ConditionFailed, TemporarilyUnavailable):  # then it is another's, or lapses by itself
                self.dynamo.call(
                    self.dynamo.client.delete_item,
                    TableName=self.table,
                    Key=table_key("CONFIG", "LOCK"),
                    ConditionExpression="holder = :holder",
                    ExpressionAttributeValues={":holder": as_text(holder)},
                )
            self.dynamo.deadline = deadline

    def _take_lock(self, by: str, holder: str, now: int) -> None:
        try:
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item={
                    **table_key("CONFIG", "LOCK"),
                    "by": as_text(by),
                    "holder": as_text(holder),
                    "expires_at": as_number(now + LOCK_SECONDS),
                },
                ConditionExpression=NOBODY_APPLIES,
                ExpressionAttributeValues={":now": as_number(now)},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            held = met.item or {}
            if text_of(held, "holder") != holder:  # else an unclear first try went through
                until = number_of(held, "expires_at")
                raise Busy(
                    f"{held['by']['S']} has been applying a configuration since {clock_time(until - LOCK_SECONDS)}. "
                    f"Wait for its end; if it died, until {clock_time(until)}."
                ) from None

    def _write(
        self,
        applied: Applied,
        live: CurrentVersion,
        parts: Parts,
        pools: Mapping[str, RingPool],
        endpoints: list[Endpoint],
    ) -> None:
        """Everything of a version; what is live stays as it is."""
        items: list[Item] = []
        for (section, name), configured in parts.items():
            layout = pools[name] if section == "ring_pools" else None
            was = live.records.get((section, name))
            same = was is not None and (was.configured, was.layout) == (configured, layout)
            held_until = self._held_until(configured, was) if was else 0
            items.append(
                {
                    **table_key(f"CONFIG#{applied.version:08}", f"{KINDS[section]}#{name}"),
                    "body": as_bytes(pack_json(configured)),
                    "version": as_number(was.version if was and same else applied.version),
                    **({"layout": as_bytes(pack_json(layout))} if layout else {}),
                    **({"held_until": as_number(held_until)} if held_until else {}),
                }
            )
        items += [
            {
                **table_key(f"ENDPOINT#{endpoint.vanity_uri}", version_key(endpoint.version)),
                "compiled": as_bytes(pack(endpoint)),
            }
            for endpoint in endpoints
        ]
        self.dynamo.batch_put(self.table, items)

    def _held_until(self, configured: Plain, was: Record) -> int:
        before: int = was.configured.get("hold_seconds", 0)
        if configured.get("hold_seconds", 0) >= before:
            return was.held_until
        return max(was.held_until, self.now() + FORGOTTEN_SECONDS + before)

    def _switch(
        self,
        applied: Applied,
        live: CurrentVersion,
        switched: list[str],
        removed: list[str],
        given_up: list[GivenUp],
        closed: list[tuple[int, Ring]],
    ) -> None:
        """The one write that publishers see: all of it or nothing. The rings that it had closed stay closed."""
        pointers: list[Any] = [
            {
                "Put": {
                    "TableName": self.table,
                    "Item": {**table_key(f"ENDPOINT#{name}", "LIVE"), "version": as_number(applied.version)},
                }
            }
            for name in switched
        ]
        pointers += [
            {"Delete": {"TableName": self.table, "Key": table_key(f"ENDPOINT#{name}", "LIVE")}} for name in removed
        ]
        live_item = {
            **table_key("CONFIG", "LIVE"),
            "version": as_number(applied.version),
            "at": as_number(applied.at),
            "by": as_text(applied.by),
            **({"given_up": as_bytes(pack_json(given_up))} if given_up else {}),
        }
        nobody_was_faster: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if live.version:
            nobody_was_faster = {
                "ConditionExpression": "#version = :was",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":was": as_number(live.version)},
            }
        switch = {"Put": {"TableName": self.table, "Item": live_item, **nobody_was_faster}}
        closing = [self.layouts.rings.closing_for_ever(pool_no, ring) for pool_no, ring in closed]
        self.dynamo.transact([*pointers, switch, self.versions.log_entry(applied), *closing])

    def _live_endpoints(self, names: list[str]) -> dict[str, Endpoint]:
        pointers = self.dynamo.batch_get(
            self.table, [table_key(f"ENDPOINT#{name}", "LIVE") for name in names], ConsistentRead=True
        )
        versions = [
            table_key(text_of(pointer, "pk"), version_key(number_of(pointer, "version"))) for pointer in pointers
        ]
        endpoints = [
            unpack(bytes_of(item, "compiled"))
            for item in self.dynamo.batch_get(self.table, versions, ConsistentRead=True)
        ]
        return {endpoint.vanity_uri: endpoint for endpoint in endpoints}


def _different(endpoints: Mapping[str, Endpoint], live: Mapping[str, Endpoint]) -> list[str]:
    """Those that differ from the live ones in more than their version."""
    return [
        name
        for name, endpoint in endpoints.items()
        if name not in live or replace(endpoint, version=live[name].version) != live[name]
    ]


def _check_sizes(endpoints: Mapping[str, Endpoint], switched: int, closing: int) -> None:
    if switched + closing > (most := TRANSACTION - BESIDE_POINTERS):
        shards = f" and takes numbers out of ring pools in {closing} places" if closing > 1 else ""
        shards = " and takes numbers out of a ring pool" if closing == 1 else shards
        raise Refused(
            f"This changes or removes {switched} endpoints{shards}: {switched + closing} writes at once; {most} is the "
            "most. Apply it in two steps."
        )
    for name, endpoint in endpoints.items():
        if (size := len(pack(endpoint))) > COMPILED_BYTES:
            raise Refused(
                f"Endpoint {name} takes {size // 1024} KB; {COMPILED_BYTES // 1024} KB is the most. "
                "Give its offer fewer buyers, or its ring pool fewer numbers."
            )
