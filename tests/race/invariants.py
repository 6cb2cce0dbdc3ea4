"""What must hold after a round of `tests.race.chaos`, by the answers that publishers got and by the tables."""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from shared.domain.caps import Cap
from shared.domain.keys import ask_key
from shared.domain.models import Buyer, Endpoint, Lead, Ping, Sale
from shared.settings import Settings
from shared.store import pings
from shared.store.dynamo import Dynamo, Item
from shared.store.pings import Claim
from tests.build import KEYS, Clock, Stage
from tests.race.market import COOLDOWN_SECONDS, HOLD_SECONDS, LEASES_PER_CALLER, Market
from tests.race.publishers import Post

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FUNCTION_SECONDS = 9
"""A place is taken up to so long before its sale, and is over so much earlier than the sale's hold."""


@dataclass(frozen=True)
class Violation:
    """`kind` is the same for all of a kind; `ping_ids` are those that its story is about."""

    kind: str
    what: str
    ping_ids: frozenset[bytes] = frozenset()
    posts: tuple[Post, ...] = ()
    item: str = ""


@dataclass(frozen=True)
class Recorded:
    ping: Ping
    sale: Sale

    @property
    def caller(self) -> str:
        return Lead(self.ping.lead | self.sale.posted).caller

    @property
    def text(self) -> str:
        sale = self.sale
        return (
            f"ping {self.ping.id.hex()} sold at {sale.sold_at} to buyer {sale.buyer_id}: {sale.number} until"
            f" {sale.held_until}"
        )


class Tables:
    """Read from the engine itself, once nothing is late any more."""

    def __init__(self, client: "DynamoDBClient", settings: Settings, market: Market) -> None:
        self.dynamo, self.market, self.now = Dynamo(client, settings), market, int(time.time())
        self.stage = Stage(client, settings=settings, clock=Clock(self.now))
        self.claims = dict(self._claims())
        self.sales = [Recorded(claim.ping, claim.sale) for claim in self.claims.values() if claim.ping and claim.sale]
        self.by_answer: defaultdict[str, list[Recorded]] = defaultdict(list)
        for sold in self.sales:
            self.by_answer[sold.sale.answer.decode()].append(sold)

    def _claims(self) -> Iterator[tuple[bytes, Claim]]:
        table = self.dynamo.settings.pings_table
        for page in self.dynamo.client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            for item in page["Items"]:
                if "ping" in item:
                    claim = pings.state_of(item, self.now)
                    assert claim.ping
                    yield claim.ping.id, claim

    def sold_at(self, endpoint: Endpoint) -> list[Recorded]:
        return [sold for sold in self.sales if sold.ping.endpoint == endpoint.vanity_uri]

    def sold_to(self, buyer: Buyer) -> list[Recorded]:
        return [sold for sold in self.sales if sold.sale.buyer_id == buyer.id]

    def counted(self, buyer: Buyer, cap: Cap) -> int:
        """What is counted against the cap, whatever the period began with: a round may see two days."""
        key: dict[str, Any] = {"pk": {"S": f"B{buyer.id}"}, "sk": {"S": "CAPS"}}
        table = self.dynamo.settings.leases_table
        item: Item = self.dynamo.client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
        if cap.kind == "concurrent":
            places = item["concurrent"]["M"] if "concurrent" in item else {}
            return len({entry.partition(".")[0] for entry, until in places.items() if int(until["N"]) > self.now})
        return sum(int(item[name]["N"]) for name in item if name.startswith(f"{cap.kind}-{cap.period}-"))

    def route_of(self, number: str, caller: str) -> bytes:
        found = self.stage.route(number, caller)
        return found.ping_id if found and found.sold else b""


def violations(tables: Tables, posts: list[Post], accepted: Iterable[str]) -> Iterator[Violation]:
    """`accepted` are the keys of the sales to which the live buyer said yes."""
    yield from _answers_in_the_table(tables, posts)
    yield from _pings_with_two_numbers(posts)
    yield from _numbers_in_two_leases(tables, posts)
    yield from _caps(tables)
    yield from _windows(tables)
    yield from _routes(tables, posts)
    yield from _shared(tables)
    yield from _agreed(tables, set(accepted))


def _answers_in_the_table(tables: Tables, posts: list[Post]) -> Iterator[Violation]:
    for post in posts:
        if not post.sold:
            continue
        found = tables.by_answer[post.sold.body]
        if ids := post.ping_ids:
            found = [sold for sold in found if sold.ping.id in ids]
        if any((sold.sale.number, sold.sale.held_until) == _lease(post) for sold in found):
            continue
        stored = [claim for ping_id in ids if (claim := tables.claims.get(ping_id)) and claim.sale]
        kind = "an answered sale is otherwise in the table" if stored else "an answered sale is not in the table"
        yield Violation(kind, post.sold.body, frozenset(ids), (post,))


def _pings_with_two_numbers(posts: list[Post]) -> Iterator[Violation]:
    numbers: defaultdict[bytes, set[tuple[str, int]]] = defaultdict(set)
    of: defaultdict[bytes, list[Post]] = defaultdict(list)
    for post in posts:
        if post.sold and len(ids := post.ping_ids) == 1:
            [ping_id] = ids
            numbers[ping_id].add(_lease(post))
            of[ping_id].append(post)
    for ping_id, leases in numbers.items():
        if len(leases) > 1:
            yield Violation("a ping with two numbers", f"{sorted(leases)}", frozenset([ping_id]), tuple(of[ping_id]))


def _numbers_in_two_leases(tables: Tables, posts: list[Post]) -> Iterator[Violation]:
    pooled = {endpoint.vanity_uri for endpoint in tables.market.pooled}
    leases: defaultdict[tuple[str, str], list[tuple[int, str, frozenset[bytes], tuple[Post, ...]]]] = defaultdict(list)
    for sold in tables.sales:
        if sold.ping.endpoint in pooled:
            lease = (sold.sale.held_until, sold.text, frozenset([sold.ping.id]), ())
            leases[sold.ping.endpoint, sold.sale.number].append(lease)
    for post in posts:
        if post.sold and post.endpoint.pool and not tables.by_answer[post.sold.body]:
            answered = (post.sold.held_until, f"answered: {post.sold.body}", frozenset(post.ping_ids), (post,))
            leases[post.endpoint.vanity_uri, post.sold.number].append(answered)
    for held in leases.values():
        for one, other in itertools.pairwise(sorted(held, key=lambda lease: lease[0])):
            if other[0] - HOLD_SECONDS < one[0] + COOLDOWN_SECONDS:
                what = f"{one[1]}; {other[1]}"
                yield Violation("a number in two live leases", what, one[2] | other[2], one[3] + other[3])


def _caps(tables: Tables) -> Iterator[Violation]:
    for buyer in (buyer for endpoint in tables.market.endpoints for buyer in endpoint.buyers):
        for cap in buyer.caps:
            sold, counted = tables.sold_to(buyer), tables.counted(buyer, cap)
            at_once = cap.kind == "concurrent"
            amount = _most_at_once(sold) if at_once else sum(cap.amount(each.sale.bid_cents) for each in sold)
            what = f"{cap} of buyer {buyer.id}: sold {amount}, counted {counted}"
            if amount > cap.limit:
                yield Violation("more sold than the cap", what)
            if amount > counted and not at_once:
                yield Violation("more sold than counted", what)
            if counted > cap.limit:
                yield Violation("counted more than the cap", what)


def _most_at_once(sold: list[Recorded]) -> int:
    changes = [
        change for each in sold for change in ((each.sale.sold_at, 1), (each.sale.held_until - FUNCTION_SECONDS, -1))
    ]
    return max(itertools.accumulate(step for _, step in sorted(changes)), default=0)


def _windows(tables: Tables) -> Iterator[Violation]:
    endpoint = tables.market.windowed
    sold = tables.sold_at(endpoint)
    yield from _twice("a caller sold twice within its window", sold, lambda each: each.caller)


def _routes(tables: Tables, posts: list[Post]) -> Iterator[Violation]:
    """Of a user's own sales the later one has the route: the one that was asked for after the other was answered."""
    of = {ping_id: post for post in posts if post.sold for ping_id in post.ping_ids}

    def began(sold: Recorded) -> float:
        post = of.get(sold.ping.id)
        return post.answers[0].began if post else 0

    def answered(sold: Recorded) -> float:
        post = of.get(sold.ping.id)
        return post.sold.at if post and post.sold else inf

    by_route: defaultdict[tuple[str, str], list[Recorded]] = defaultdict(list)
    for sold in tables.sold_at(tables.market.static):
        by_route[sold.sale.number, sold.caller].append(sold)
    for (number, caller), sales in by_route.items():
        sales.sort(key=lambda each: each.sale.held_until)
        for one, other in itertools.pairwise(sales):
            both = other.sale.held_until - HOLD_SECONDS < one.sale.held_until
            if both and one.sale.user != other.sale.user:
                yield _pair("a number and caller sold by two users", [one, other])
        live = [each for each in sales if each.sale.held_until > int(time.time()) + 1]
        leads_to = tables.route_of(number, caller)
        chosen = [each for each in live if each.ping.id == leads_to]
        if live and not chosen:
            yield _pair("a sold route that does not lead to its buyer", live)
        for each in chosen:
            later = [other for other in live if began(other) > answered(each)]
            if later:
                yield _pair("a sold route that leads to an earlier sale", [each, *later])


def _shared(tables: Tables) -> Iterator[Violation]:
    """Of a caller's sales each has a number of its own while it is held, to which its call leads; no more at once than
    it may have."""
    by_caller: defaultdict[str, list[Recorded]] = defaultdict(list)
    for sold in tables.sold_at(tables.market.shared):
        by_caller[sold.caller].append(sold)
    for caller, sales in by_caller.items():
        for each in sales:
            held = [one for one in sales if one.sale.sold_at <= each.sale.sold_at < one.sale.held_until]
            if len(held) > LEASES_PER_CALLER:
                yield _pair("a caller with more shared numbers than it may hold", held)
            if len({one.sale.number for one in held}) < len(held):
                yield _pair("a shared number in two live leases of its caller", held)
            live = each.sale.held_until > int(time.time()) + 1
            if live and tables.route_of(each.sale.number, caller) != each.ping.id:
                yield _pair("a shared number that does not lead to its sale", [each])


def _twice(kind: str, sold: list[Recorded], of: Callable[[Recorded], str]) -> Iterator[Violation]:
    by: defaultdict[str, list[Recorded]] = defaultdict(list)
    for each in sold:
        by[of(each)].append(each)
    yield from (_pair(kind, sales) for sales in by.values() if len(sales) > 1)


def _pair(kind: str, sales: list[Recorded]) -> Violation:
    return Violation(kind, "; ".join(each.text for each in sales), frozenset(each.ping.id for each in sales))


def _agreed(tables: Tables, accepted: set[str]) -> Iterator[Violation]:
    """Each sale to a live buyer is one that it accepted; each that it accepted is recorded, or to be settled."""
    [buyer] = [buyer for buyer in tables.market.live.buyers if buyer.live]
    known = set()
    for ping_id, claim in tables.claims.items():
        if not claim.ping or claim.ping.endpoint != tables.market.live.vanity_uri:
            continue
        key = ask_key(KEYS, ping_id, buyer.id)
        bought = claim.sale is not None and claim.sale.buyer_id == buyer.id
        if bought or buyer.id in claim.asked:
            known.add(key)
        if bought and key not in accepted:
            yield Violation("a sale that its live buyer did not accept", ping_id.hex(), frozenset([ping_id]))
        if not bought and buyer.id not in claim.asked and key in accepted:
            yield Violation("a yes that nobody knows of", ping_id.hex(), frozenset([ping_id]))


def _lease(post: Post) -> tuple[str, int]:
    assert post.sold
    return post.sold.number, post.sold.held_until
