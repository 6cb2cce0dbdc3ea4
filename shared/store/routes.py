"""Where a call to (number, caller id) goes: routes of static, shared and overflow numbers, in the table of pings.

A route is an item under a keyed hash of number and caller: `route`, packed; `of`, its ping; `sold`; `by`, the attempt
that left it; `left_at`, `held_until`, and `delete_at`; and `before`, packed, the live routes of its seller that it has
replaced: its own sale may never be recorded. One that was withdrawn has no `route`. It stays for a day after its hold,
so that a call that comes late finds it.

The route of a shared number is a lease: no ping but its own replaces it before it is over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.models import DAY
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_bytes, as_number, bytes_of, number_of, ping_key, update_expression
from shared.store.packing import pack, unpack

MARK_SECONDS = DAY
"""How long routes, retry keys and marks outlive their use."""

A_PING_MAY_LEAVE_IT = (
    "attribute_not_exists(ping_id) OR (#of <> :of AND (held_until <= :now OR (sold = :false AND NOT left_at > :now)))"
)
A_SALE_MAY_LEAVE_IT = (
    "attribute_not_exists(ping_id) OR held_until <= :now "
    "OR (sold = :false AND ((#of = :of AND attribute_not_exists(#by)) OR (#of <> :of AND NOT left_at > :now)))"
)
THE_ROUTE_IS_AS_SEEN = "#of = :seen_of AND #by = :seen_by"
THE_PINGS_ROUTE_IS_AS_SEEN = "#of = :seen_of AND attribute_not_exists(#by)"
IT_LEADS_AS_SEEN = "#route = :seen_route"

NAME = re.compile(r"#(\w+)")
"""A name in an expression."""
ROUTES_BEFORE = 16
"""How many routes that a sale has replaced are kept with its own."""

Seller = tuple[str, str, str]


class Route(Struct, frozen=True, omit_defaults=True):
    """Where a call to (number, caller id) goes: the ping's buyer, dialed at `number`, until `held_until`. `seller` is
    endpoint, user and traffic source. A sale's is left by an `attempt`, which one of 0.1.0 does not say."""

    ping_id: bytes
    buyer_id: int
    number: str
    sold: bool
    held_until: int
    seller: Seller = ("", "", "")
    attempt: bytes = b""

    def is_closed_to(self, ping_id: bytes, seller: Seller) -> bool:
        """Whether it is a sale that no ping but its own, and no other seller, can supersede."""
        return self.sold and self.ping_id != ping_id and self.seller != seller


class Routes:
    """`has_left` says whether a sale's route was left here; `replaced` are the live sales' routes in whose place it
    is."""

    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.pings_table
        self.has_left = False
        self.replaced: list[Route] = []

    def leave(self, keys: Sequence[bytes], route: Route, now: int, *, alone: bool = False) -> int:
        """Point a call at a buyer. Returns 0, or the time until which the live sale of another seller has the route; if
        this ping is to have it `alone`, that of any other ping. While keys rotate, the route is written in two places,
        one after the other."""
        for place, key in enumerate(keys):
            taken_until = self._leave(key, route, now, alone)
            if taken_until and alone:
                for written in keys[:place]:
                    self._withdraw(written, route.ping_id, route.attempt, True, now)
            if taken_until is None or taken_until:
                return taken_until or 0
        return 0

    def _leave(self, key: bytes, route: Route, now: int, alone: bool) -> int | None:
        """None where it was not left and need not be.

        A PING writes its route once, never over a sale or a later PING's. A sale replaces a sale of its seller, and
        what an earlier attempt at its own ping has left, only as it was seen: it cannot come late over a third one.
        """
        names, attempt = {"#of": "of"}, route.attempt
        values: dict[str, Any] = {":of": as_bytes(route.ping_id), ":now": as_number(now), ":false": {"BOOL": False}}
        free = A_PING_MAY_LEAVE_IT
        if route.sold:
            names["#by"] = "by"
            free = A_SALE_MAY_LEAVE_IT
        routes, condition, seen = [route], free, values
        while True:
            try:
                self.dynamo.call(
                    self.dynamo.client.put_item,
                    TableName=self.table,
                    Item={**ping_key(key), **_item_of(routes, attempt, now)},
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=seen,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ConditionFailed as met:
                stands = met.item or {}
            else:
                self._note(routes)
                return 0
            left = [*_routes_of(stands, now)]
            others = [other for other in left if other.ping_id != route.ping_id]
            closed = (other for other in others if other.sold and (alone or other.seller != route.seller))
            if taken := next(closed, None):
                return taken.held_until
            if not route.sold:
                return 0 if bytes_of(stands, "of") == route.ping_id else None
            if bytes_of(stands, "by") == attempt:
                self._note([route, *others])
                return 0
            routes, condition, seen = [route], free, values
            if "by" in stands:
                routes += others[:ROUTES_BEFORE]
                condition, seen = THE_ROUTE_IS_AS_SEEN, {":seen_of": stands["of"], ":seen_by": stands["by"]}
            elif stands:
                condition, seen = THE_PINGS_ROUTE_IS_AS_SEEN, {":seen_of": stands["of"]}

    def _note(self, routes: Sequence[Route]) -> None:
        if routes[0].sold:
            self.has_left = True
            self.replaced = [*dict.fromkeys([*self.replaced, *(route for route in routes[1:] if route.sold)])]

    def withdraw(self, keys: Sequence[bytes], ping_id: bytes, attempt: bytes, taken_over: bool, now: int) -> None:
        """Let a call go nowhere, if this ping, which was refused, has the route: unsold, or after a take-over as the
        attempt that died has left it, and then to where it went before. What its PING or that attempt sent stays
        refused if it comes late."""
        for key in keys:
            self._withdraw(key, ping_id, attempt, taken_over, now)

    def _withdraw(self, key: bytes, ping_id: bytes, attempt: bytes, taken_over: bool, now: int) -> None:
        if taken_over and (stands := self._item(key)) and "by" in stands:
            self._take_out(key, stands, ping_id, attempt, now)
        else:
            self._leave_others(key, [], as_bytes(ping_id), attempt, now, "sold = :false", {":false": {"BOOL": False}})

    def _take_out(self, key: bytes, stands: Item, ping_id: bytes, attempt: bytes, now: int) -> bool:
        """Leave what an item has without this ping's route; False if the item is not as it was seen any more."""
        routes = [*_routes_of(stands, now)]
        others = [route for route in routes if route.ping_id != ping_id]
        if bytes_of(stands, "of") != ping_id and len(others) == len(routes):
            return True
        seen = {":seen_by": stands["by"]}
        return self._leave_others(key, others, stands["of"], attempt, now, "#by = :seen_by", seen)

    def _leave_others(
        self, key: bytes, routes: list[Route], of: Any, attempt: bytes, now: int, condition: str, values: Item
    ) -> bool:
        """Whether they were written. The item has another attempt then, so what is under way to it fails."""
        if routes:
            written, gone = _item_of(routes, attempt, now), ["before"]
        else:
            written, gone = {"sold": {"BOOL": False}, "by": as_bytes(attempt)}, ["route", "before"]
        gone = [name for name in gone if name not in written]
        return self._update(key, written, gone, f"#of = :seen_of AND {condition}", {":seen_of": of, **values})

    def _update(self, key: bytes, written: Item, gone: Sequence[str], condition: str, values: Item) -> bool:
        """False if the condition does not hold."""
        update = update_expression([f"#{name} = :{name}" for name in written], [f"#{name}" for name in gone])
        try:
            self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=ping_key(key),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in NAME.findall(f"{update} {condition}")},
                ExpressionAttributeValues={**{f":{name}": value for name, value in written.items()}, **values},
            )
        except ConditionFailed:
            return False
        return True

    def end(self, keys: Sequence[bytes], ping_id: bytes, until: int, now: int) -> None:
        """Let the route of this ping's sale end at `until`, if that is earlier than its hold: its call was connected.
        Those that it has replaced go. It may come late or twice; a route that another ping has replaced stays."""
        for key in keys:
            while (stands := self._item(key)) and not self._end(key, stands, ping_id, until, now):
                pass

    def _end(self, key: bytes, stands: Item, ping_id: bytes, until: int, now: int) -> bool:
        """False if the item is not as it was seen any more."""
        routes = [*_routes_of(stands, now)]
        place = next((place for place, route in enumerate(routes) if route.sold and route.ping_id == ping_id), None)
        if place is None or routes[place].held_until <= until:
            return True
        route, *before = [*routes[:place], replace(routes[place], held_until=until)]
        written = {"route": as_bytes(pack(route)), "held_until": as_number(max(r.held_until for r in [route, *before]))}
        if before:
            written["before"] = as_bytes(pack(before))
        seen = {":seen_route": stands["route"]}
        condition = f"{IT_LEADS_AS_SEEN} AND attribute_not_exists(#before)"
        if "before" in stands:
            condition, seen[":seen_before"] = f"{IT_LEADS_AS_SEEN} AND #before = :seen_before", stands["before"]
        return self._update(key, written, [] if before else ["before"], condition, seen)

    def remove(self, keys: Sequence[bytes], ping_id: bytes, attempt: bytes, now: int) -> None:
        """Take away this ping's route, of a lead that was erased. Those of other pings stay, left by `attempt`."""
        for key in keys:
            while not self._delete(key, ping_id):
                stands = self._item(key) or {}
                if "by" not in stands or self._take_out(key, stands, ping_id, attempt, now):
                    break

    def _delete(self, key: bytes, ping_id: bytes) -> bool:
        """False if there is no route of this ping, or others with it."""
        try:
            self.dynamo.call(
                self.dynamo.client.delete_item,
                TableName=self.table,
                Key=ping_key(key),
                ConditionExpression="#of = :of AND attribute_not_exists(#before)",
                ExpressionAttributeNames={"#of": "of", "#before": "before"},
                ExpressionAttributeValues={":of": as_bytes(ping_id)},
            )
        except ConditionFailed:
            return False
        return True

    def closed_until(self, keys: Sequence[bytes], ping_id: bytes, seller: Seller, now: int) -> int:
        """Until when a live sale of another seller has the route; 0 if none has."""
        routes = (route for key in keys for route in _routes_of(self._item(key) or {}, now))
        return next((route.held_until for route in routes if route.is_closed_to(ping_id, seller)), 0)

    def of_call(self, keys: Sequence[bytes], now: int) -> list[Route]:
        """The routes of a call that are live at `now`, also while keys rotate: the last that was left first, then those
        that it has replaced, newest first. One that is over stays for a day, and is live at an earlier time."""
        items = self.dynamo.batch_get(self.table, [ping_key(key) for key in keys], ConsistentRead=True)
        items.sort(key=lambda item: (number_of(item, "left_at"), keys.index(bytes_of(item, "ping_id"))), reverse=True)
        return [*dict.fromkeys(route for item in items for route in _routes_of(item, now))]

    def sold_at(self, places: Mapping[str, Sequence[bytes]], now: int) -> dict[str, Route]:
        """The live sale of each number that has one. `places` are the keys of some numbers and one caller."""
        number_of_key = {key: number for number, keys in places.items() for key in keys}
        items = self.dynamo.batch_get(self.table, [ping_key(key) for key in number_of_key], ConsistentRead=True)
        return {
            number_of_key[bytes_of(item, "ping_id")]: route
            for item in items
            for route in _routes_of(item, now)
            if route.sold
        }

    def _item(self, key: bytes) -> Item | None:
        return self.dynamo.get(self.table, ping_key(key))


def _item_of(routes: Sequence[Route], attempt: bytes, now: int) -> Item:
    """What is stored of a route and those that it has replaced, without its key. A PING's shows no attempt."""
    route, *before = routes
    held_until = max(each.held_until for each in routes)
    return {
        "route": as_bytes(pack(route)),
        "of": as_bytes(route.ping_id),
        "sold": {"BOOL": route.sold},
        "left_at": as_number(now),
        "held_until": as_number(held_until),
        "delete_at": as_number(held_until + MARK_SECONDS),
        **({"by": as_bytes(attempt)} if route.sold else {}),
        **({"before": as_bytes(pack(before))} if before else {}),
    }


def _routes_of(item: Item, now: int) -> Iterator[Route]:
    """The live ones, the last that was left first."""
    route = [unpack(bytes_of(item, "route"), Route)] if "route" in item else []
    before = unpack(bytes_of(item, "before"), list[Route]) if "before" in item else []
    return (each for each in [*route, *before] if each.held_until > now)
