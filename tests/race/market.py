"""What the publishers of `tests.race.chaos` sell on: an endpoint of each kind, with ids that no other round has."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from msgspec.structs import replace

from shared.domain.caps import OF_CALLS, Cap
from shared.domain.live_bids import Exchange, LiveBuyer
from shared.domain.models import Buyer, CallRules, Endpoint, Field, User
from tests.build import CONTACT_FIELDS, STATIC_CONTACT_FIELDS, a_buyer, a_pool, an_endpoint

HOLD_SECONDS = 20
COOLDOWN_SECONDS = 5
WINDOW_SECONDS = 3600
STATIC_NUMBERS = {f"+1855555010{n}": "1023" for n in range(3)}
SHARED_NUMBERS = ("+18555550110", "+18555550111", "+18555550112")
LEASES_PER_CALLER = 2
SELLERS = {"token-of-north": "north-media", "token-of-south": "south-media"}
"""Users of the static endpoint, by their tokens: each may sell where a call goes that it has sold itself."""
LEAD_FIELDS = (Field(name="lead"), Field(name="zip"))
"""`lead` is another one in each lead, so that no two are the same request."""

SALES_LIMIT, REVENUE_LIMIT, PLACES = 40, 50_000, 12
BOUNDLESS = 10**9
WEIGHTS = {"plain": 24, "capped": 20, "scarce": 10, "windowed": 14, "roomy": 16, "static": 10, "live": 6, "calling": 10,
           "shared": 10}  # fmt: skip
"""How often publishers come to each."""

_nos = count(1)


@dataclass(frozen=True)
class Market:
    """`plain` has buyers without rules; `capped` caps of each kind, which are soon reached; `scarce` fewer numbers than
    are asked for; `windowed` duplicate windows; `roomy` a best buyer whose cap is never reached; `static` static
    numbers; `live` a buyer at `buyer_url`; `calling` takes calls, so that caps of each kind are reserved, and so does
    `shared`, with shared numbers."""

    plain: Endpoint
    capped: Endpoint
    scarce: Endpoint
    windowed: Endpoint
    roomy: Endpoint
    static: Endpoint
    live: Endpoint
    calling: Endpoint
    shared: Endpoint

    def drawn(self, weights: Mapping[str, int], chance: Random) -> Endpoint:
        """One of them, by the weight of its kind."""
        found: Endpoint = getattr(self, chance.choices([*weights], [*weights.values()])[0])
        return found

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            self.plain, self.capped, self.scarce, self.windowed, self.roomy, self.static, self.live, self.calling,
            self.shared,
        )  # fmt: skip

    @property
    def pooled(self) -> tuple[Endpoint, ...]:
        return tuple(endpoint for endpoint in self.endpoints if endpoint.pool)


def a_market(buyer_url: str) -> Market:
    no = 100 * next(_nos)

    def endpoint(place: int, kind: str, numbers: int, *rules: dict[str, Any], **overrides: Any) -> Endpoint:
        buyers = tuple(_a_buyer(no + 10 * place + n, 3000 - 500 * n, rule) for n, rule in enumerate(rules))
        pool = a_pool(numbers, no=place, hold_seconds=HOLD_SECONDS, cooldown_seconds=COOLDOWN_SECONDS)
        values: dict[str, Any] = {
            "vanity_uri": f"{kind}{no}",
            "offer": f"{kind}{no}",
            "buyers": buyers,
            "fields": CONTACT_FIELDS + LEAD_FIELDS,
            "pool": replace(pool, no=no + place),
            "ping_ttl_seconds": HOLD_SECONDS,
            "hold_seconds": HOLD_SECONDS,
        }
        return an_endpoint(**values | overrides)

    capped: tuple[dict[str, Any], ...] = (
        {"caps": (Cap("sales", SALES_LIMIT, "total"), Cap("sales", BOUNDLESS, "day"))},
        {"caps": (Cap("revenue", REVENUE_LIMIT, "total"),)},
        {"caps": (Cap("concurrent", PLACES), Cap("sales", BOUNDLESS, "total"))},
        {},
    )
    calling = tuple(
        {"caps": (Cap(kind, SALES_LIMIT // 2, "total"), Cap("concurrent", BOUNDLESS))} for kind in sorted(OF_CALLS)
    )
    return Market(
        plain=endpoint(1, "plain", 500, {}, {}),
        capped=endpoint(2, "capped", 500, *capped),
        scarce=endpoint(3, "scarce", 8, {}, {}),
        windowed=endpoint(
            4, "windowed", 300, {"duplicate_seconds": WINDOW_SECONDS}, {}, duplicate_seconds=WINDOW_SECONDS
        ),
        roomy=endpoint(5, "roomy", 500, {"caps": (Cap("sales", BOUNDLESS, "total"),)}, {}),
        static=endpoint(
            6,
            "static",
            1,
            {},
            {},
            pool=None,
            static_numbers=STATIC_NUMBERS,
            users=tuple(User(name, "publisher") for name in SELLERS.values()),
            require_auth_token=True,
            fields=STATIC_CONTACT_FIELDS + LEAD_FIELDS,
        ),
        live=endpoint(7, "live", 300, {"live": _live(buyer_url), "bid_cents": 0}, {}),
        calling=endpoint(8, "calling", 500, *calling, capped[2], {}, calls=CallRules(provider="local")),
        shared=endpoint(
            9,
            "shared",
            1,
            capped[2],
            {},
            pool=None,
            shared_numbers=SHARED_NUMBERS,
            leases_per_caller=LEASES_PER_CALLER,
            calls=CallRules(provider="local"),
        ),
    )


def _a_buyer(buyer_id: int, cents: int, rule: dict[str, Any]) -> Buyer:
    return a_buyer(**{"id": buyer_id, "name": f"Buyer {buyer_id}", "bid_cents": cents} | rule)


def _live(url: str) -> LiveBuyer:
    ping = Exchange(url=f"{url}/ping", fields={"zip": "{lead.zip}"}, found={"bid": ("$.buyers[0].bid",)})
    post = Exchange(url=f"{url}/post", fields={"zip": "{lead.zip}"}, accepted=(("$.success", ("true",)),))
    return LiveBuyer(ping=ping, post=post, timeout_ms=800)
