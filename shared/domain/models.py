"""The nouns: an endpoint as compiled from the configuration, and what happens on it.

Amounts are whole US cents, times whole seconds (epoch, UTC), telephone numbers E.164 strings.
"""

from functools import cached_property
from typing import Literal

from msgspec import Struct

from shared.domain import filters, phone
from shared.domain.caps import Cap
from shared.domain.filters import Filter, Test
from shared.domain.live_bids import LiveBuyer, No, Yes
from shared.domain.schedule import Schedule

TRY_ALL = 0
"""The choice of a POST that takes any of its ping's buyers; buyer ids start at 1."""

DAY = 24 * 3600
SOURCE_LETTERS = 64

Step = Literal["ping", "post"]
FieldType = Literal[
    "phone", "email", "us_state", "us_zip", "date", "integer", "decimal", "boolean", "choice", "text"
]  # fmt: skip
Column = Literal[
    "buyer_id", "id", "name", "bid", "bid_price", "ping_id", "tier", "offer_conversion_payout",
    "current_conversion_duration", "forwarding_number", "price", "payout", "offer_conversion_duplicate_timeframe",
    "concurrency_cap_limit", "concurrency_cap_available",
]  # fmt: skip
LimitOf = Literal["endpoint", "user", "traffic_source", "source_address"]
Role = Literal["publisher", "operator", "viewer"]
Scope = Literal["post", "read", "operate"]
"""What a token opens: PING, POST and FULL alone, so that it may stand in a page; what its user may read; all that its
user may do."""


class Lead(dict[str, str]):
    """Normalised values by parameter name. Its repr shows names only, so that no log can show a value."""

    def __repr__(self) -> str:
        return f"Lead({', '.join(sorted(self))})"

    @property
    def caller(self) -> str:
        return self.get("caller_id", "")

    @property
    def source(self) -> str:
        """The traffic source, as it is counted and logged: publishers choose it, and may choose a long one."""
        return self.get("traffic_source_id", "")[:SOURCE_LETTERS]

    @property
    def area_code(self) -> str:
        """The caller's in North America; empty for any other."""
        return phone.area_code(self.caller)

    def without(self, name: str) -> "Lead":
        return Lead({other: value for other, value in self.items() if other != name})


class Field(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A contact field. `minimum` and `maximum` bound integers and decimals, the lengths and `pattern` (RE2) text."""

    name: str
    type: FieldType = "text"
    required_on: tuple[Step, ...] = ()
    default: str = ""
    choices: tuple[str, ...] = ()
    minimum: str = ""
    maximum: str = ""
    min_length: int = 0
    max_length: int = 1000
    pattern: str = ""
    example: str = ""
    description: str = ""


class Pays(Struct, frozen=True, omit_defaults=True):
    """What a buyer pays for: a `sale`, whatever becomes of it; a call that was `answered`; or one that lasted for
    `after_seconds`."""

    on: Literal["sale", "answered", "duration"]
    after_seconds: int = 0


class Earns(Struct, frozen=True, omit_defaults=True):
    """What a publisher is paid for: the `same` as the buyer pays for, a call that was `connected`, or one that lasted
    for `after_seconds`."""

    on: Literal["same", "connected", "duration"] = "same"
    after_seconds: int = 0


class DialRules(Struct, frozen=True, omit_defaults=True):
    """How a buyer is dialed: for how many seconds it rings, how long a call may last; what is said to who answers, and
    the key to be pressed before the caller is connected, each "" for none. `sip` is the address in the place of the
    number, with `{number}` in it or not."""

    timeout_seconds: int = 25
    max_call_seconds: int = 3600
    say: str = ""
    press: str = ""
    record: bool = False
    sip: str = ""


class CallRules(Struct, frozen=True, omit_defaults=True):
    """How an endpoint takes calls that come through `provider`.

    `late_calls` is for a call after its sale's hold, `repeat_calls` for one after its sale was connected; `unannounced`
    for a caller whom no ping announced; `anonymous` for one without a number. `caller_must_match` refuses a ring pool's
    call from another caller than the lead's. With `fallback` the other bids are tried as well where the POST chose a
    buyer. `last_resort` is a number that is dialed, unpaid, when no buyer is left; `say` a sentence for who is refused.
    All buyers together ring for `max_ring_seconds`.
    """

    provider: str
    late_calls: Literal["sell", "unpaid", "reject"] = "sell"
    repeat_calls: Literal["connect", "reject"] = "connect"
    unannounced: Literal["sell", "reject"] = "sell"
    anonymous: Literal["accept", "reject"] = "accept"
    caller_must_match: bool = False
    fallback: Literal["as_posted", "try_all"] = "as_posted"
    last_resort: str = ""
    say: str = ""
    max_ring_seconds: int = 120


class Provider(Struct, frozen=True, omit_defaults=True):
    """An account at a telephony provider. `tokens` are the names of secrets: one that is rotated is the second."""

    name: str
    kind: Literal["twilio", "telnyx", "local"]
    account: str
    tokens: tuple[str, ...] = ()


class Buyer(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """`number` is where the buyer's calls are sent; `conversion_seconds` how long a call must last to be paid.

    `zone` is the buyer's clock, for its schedule and the periods of its caps. A buyer without `traffic_sources` takes
    any. `suppression` names the lists whose callers it does not take; within `duplicate_seconds` of a sale it does not
    take the same caller again. A `live` buyer bids itself: its `bid_cents` is 0.
    """

    id: int
    name: str
    bid_cents: int
    number: str
    tier: int = 1
    weight: int = 100
    paused: bool = False
    conversion_seconds: int = 0
    zone: str = "UTC"
    schedule: Schedule | None = None
    traffic_sources: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    suppression: tuple[str, ...] = ()
    duplicate_seconds: int = 0
    caps: tuple[Cap, ...] = ()
    live: LiveBuyer | None = None
    pays: Pays | None = None
    dial: DialRules = DialRules()

    @property
    def pay_rule(self) -> Pays:
        """What it pays for at an endpoint that takes calls."""
        if self.pays:
            return self.pays
        return Pays("duration", self.conversion_seconds) if self.conversion_seconds else Pays("answered")

    @property
    def scope(self) -> str:
        """What its sales to a caller are remembered under."""
        return f"buyer#{self.id}"

    @cached_property
    def rules(self) -> frozenset[str]:
        """What it can fail at all, by the names of `matching.Rule`; but for the floor, which is the endpoint's."""
        configured = {
            "paused": self.paused,
            "schedule": self.schedule,
            "traffic_source": self.traffic_sources,
            "filter": self.filters,
            "suppression": self.suppression,
            "duplicate": self.duplicate_seconds,
            "cap": self.amounts,
            "concurrency": self.places,
            "no_bid": self.live,
        }
        return frozenset(name for name, value in configured.items() if value)

    @cached_property
    def tests(self) -> tuple[Test, ...]:
        """The filters, each made ready once for all leads."""
        return tuple(map(filters.test, self.filters))

    @cached_property
    def amounts(self) -> tuple[Cap, ...]:
        """The caps of what is counted by period."""
        return tuple(cap for cap in self.caps if cap.kind != "concurrent")

    @cached_property
    def places(self) -> tuple[Cap, ...]:
        """The caps of concurrent places."""
        return tuple(cap for cap in self.caps if cap.kind == "concurrent")

    @cached_property
    def counted_in(self) -> frozenset[str]:
        """The endpoints in whose items its caps are counted; "" is the one over all."""
        return frozenset(cap.endpoint for cap in self.caps)


class Margin(Struct, frozen=True, omit_defaults=True):
    """What the operator keeps of a bid: `cents`, or `basis_points` of it (hundredths of a percent). A negative one pays
    the publisher more than the buyer bid."""

    cents: int = 0
    basis_points: int = 0

    def payout_cents(self, bid_cents: int) -> int:
        """What the publisher is paid: never below zero, parts of a cent stay with the operator."""
        return max(0, (bid_cents * (10_000 - self.basis_points)) // 10_000 - self.cents)


class Limit(Struct, frozen=True, omit_defaults=True):
    """How many requests a minute may come from each user, from each traffic source of a user, and from each address
    without a token; 0 is any number. `endpoint` holds for each user and for each such address."""

    of: LimitOf
    pings: int = 0
    posts: int = 0


class Shard(Struct, frozen=True):
    """Some numbers of a pool whose list and order never change; `id` is unique in the pool forever."""

    id: int
    numbers: tuple[str, ...]


class Terms(Struct, frozen=True, array_like=True):
    """How long a ping's number is held and then rests, and for whom it is counted: a tag of the user or the source
    address, and one of the caller, b"" where the POST brought none. The first claim of a ping fixes them for all its
    attempts, so that all write the same entry."""

    hold_seconds: int
    cooldown_seconds: int
    holder: bytes = b""
    caller: bytes = b""

    @property
    def tag(self) -> bytes:
        """The bytes behind the ping's id in an entry of a ring."""
        return self.holder + self.caller if self.holder else b""

    def lease_until(self, now: int) -> int:
        """The end of a lease that starts now, cooldown included."""
        return now + self.hold_seconds + self.cooldown_seconds

    def held_until(self, expires_at: int) -> int:
        """The end of the hold of a lease that ends then."""
        return expires_at - self.cooldown_seconds


class RingPool(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user holds at most `pool_share` percent of a pool that is shared, a source address without a user at most
    `address_share` percent of any pool."""

    no: int
    name: str
    hold_seconds: int
    cooldown_seconds: int
    shards: tuple[Shard, ...]
    overflow_number: str = ""
    pool_share: int = 50
    address_share: int = 25

    @property
    def lease_seconds(self) -> int:
        return self.hold_seconds + self.cooldown_seconds

    @property
    def terms(self) -> Terms:
        return Terms(self.hold_seconds, self.cooldown_seconds)


class User(Struct, frozen=True, omit_defaults=True):
    """A user with no traffic sources may name any that is no other user's."""

    name: str
    role: Role
    traffic_sources: tuple[str, ...] = ()


class Endpoint(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """One offer at one `vanity_uri`, with everything that a PING or POST needs, as one compiled item.

    `static_numbers` maps each number to the traffic source that it belongs to; `shared_numbers` are for all callers. Of
    these and `pool` one is set. An endpoint without `calls` takes none: its sales are paid as sales.
    `suppression` and `duplicate_seconds` are the account's and the offer's: they refuse a caller for every buyer.
    Live buyers are heard until `ping_deadline_ms` after a PING came in, and `post_deadline_ms` after a POST or FULL.
    `instructions` says who may read the posting instructions; `sandbox` that this is an endpoint's sandbox.
    Under `strict` validation every value must be readable, else only those that a step requires.
    A lead is kept for `lead_seconds` after its PING, what rows tell of its sale for `sale_seconds`.
    A caller holds at most `leases_per_caller` numbers here, and a source address without a user `leases_per_address`
    of the pool; `pool_is_open` says that an endpoint without a token leases from it.
    """

    vanity_uri: str
    version: int
    offer: str
    rank_by: Literal["bid", "tier"]
    fields: tuple[Field, ...]
    buyers: tuple[Buyer, ...]
    users: tuple[User, ...]
    ping_ttl_seconds: int
    hold_seconds: int
    pool: RingPool | None = None
    static_numbers: dict[str, str] = {}
    default_region: str = "US"
    bid_floor_cents: int = 0
    margin: Margin = Margin()
    suppression: tuple[str, ...] = ()
    duplicate_seconds: int = 0
    limits: tuple[Limit, ...] = ()
    ping_deadline_ms: int = 1500
    post_deadline_ms: int = 4000
    lead_seconds: int = 30 * DAY
    sale_seconds: int = 395 * DAY
    require_auth_token: bool = True
    require_caller_id: bool = False
    validation: Literal["lenient", "strict"] = "lenient"
    success_status: Literal["success", "accepted"] = "success"
    field_errors: Literal["by_field", "list"] = "by_field"
    buyer_columns: tuple[Column, ...] = ("buyer_id", "id", "name", "bid", "bid_price", "ping_id")
    allowed_origins: tuple[str, ...] = ("*",)
    instructions: Literal["public", "token"] = "public"
    sandbox: bool = False
    leases_per_caller: int = 2
    leases_per_address: int = 20
    pool_is_open: bool = False
    calls: CallRules | None = None
    earns: Earns = Earns()
    shared_numbers: tuple[str, ...] = ()

    @property
    def scope(self) -> str:
        """What the offer's sales to a caller are remembered under."""
        return f"offer#{self.offer}"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """What publishers see of each buyer: always the `ping_id`, without which it cannot be sold to."""
        return self.buyer_columns if "ping_id" in self.buyer_columns else (*self.buyer_columns, "ping_id")

    @cached_property
    def owned_sources(self) -> frozenset[str]:
        """The traffic sources that belong to users, as they are counted and logged."""
        return frozenset(source[:SOURCE_LETTERS] for user in self.users for source in user.traffic_sources)

    @cached_property
    def pool_is_shared(self) -> bool:
        """Whether the pool may have several holders: there are several publishers, or a token is not required."""
        publishers = sum(user.role == "publisher" for user in self.users)
        return self.pool_is_open or not self.require_auth_token or publishers > 1

    @cached_property
    def has_live_buyers(self) -> bool:
        return any(buyer.live for buyer in self.buyers)

    def held_until(self, now: int) -> int:
        """How long a number that is sold now is kept for its call."""
        return now + self.hold_seconds

    def state_of(self, lead: Lead) -> str:
        """What the first of the fields with a US state says; empty if none does."""
        return next((lead[field.name] for field in self.fields if field.type == "us_state" and field.name in lead), "")

    def buyer(self, buyer_id: int) -> Buyer | None:
        return next((buyer for buyer in self.buyers if buyer.id == buyer_id), None)


class Bid(Struct, frozen=True, array_like=True, gc=False):
    """`cents` is what the buyer pays, `payout_cents` what the publisher is told and gets."""

    buyer_id: int
    cents: int
    payout_cents: int


class Facts(Struct, frozen=True, omit_defaults=True):
    """What a decision knew beside the lead and the configuration: what was `counted` by buyer under each of its caps,
    by the cap's code, without zeros; the suppression lists that the caller is on, when it was last sold, by scope
    (`store.callers`), and what live buyers said; those that were called `took` so many milliseconds. `left_out` are the
    fields whose values could not be read."""

    counted: dict[int, dict[int, int]] = {}
    listed: tuple[str, ...] = ()
    sold: dict[str, int] = {}
    said: dict[int, Yes | No] = {}
    left_out: tuple[str, ...] = ()
    took: dict[int, int] = {}


class Ping(Struct, frozen=True, kw_only=True):
    """A priced lead that waits for its POST. `bids` are ranked, best first; `seed` is the ranking's draw. With `facts`
    and `created_at`, its clock, the decision can be made again. The lead is shown to nobody after `lead_until`; `rest`
    is a keyed digest of the values that came without a caller and are not kept."""

    id: bytes
    endpoint: str
    version: int
    lead: Lead
    bids: tuple[Bid, ...]
    seed: bytes
    created_at: int
    expires_at: int
    lead_until: int
    user: str = ""
    facts: Facts = Facts()
    rest: bytes = b""


class Sale(Struct, frozen=True, kw_only=True):
    """A POST that got a buyer and a number. `posted` is what the POST laid over the ping's lead; `choice` the buyer
    that it asked for, or `TRY_ALL`; `answer` the body that was sent, for retries; `said` what a live buyer agreed to.
    `bid_cents` is what caps of revenue have counted, `user` whose sale it is. It stays with its ping until
    `kept_until`: the lead's end, or that of its retries.
    `destination` is the number at which the buyer is dialed, empty in a sale of 0.1.0. `pool` is the ring pool of the
    endpoint, of which the sale saw `pool_used` percent in use: 100 where no number of it was free. `version` is the
    endpoint's that the POST met; one of 0.1.0 does not say it.
    Without an answer the lead was erased, or is over its own retention.
    """

    attempt: bytes
    buyer_id: int
    cents: int
    bid_cents: int
    payout_cents: int
    number: str
    sold_at: int
    held_until: int
    choice: int
    posted: Lead
    answer: bytes
    kept_until: int
    user: str = ""
    overflow: bool = False
    said: Yes | None = None
    destination: str = ""
    pool: str = ""
    pool_used: int = 0
    version: int = 0

    def version_of(self, ping: Ping) -> int:
        """The endpoint's version by which it was sold, or if it does not say it by which it was priced."""
        return self.version or ping.version

    def number_of_buyer(self, buyer: "Buyer | None") -> str:
        """Where the buyer is dialed. A sale of 0.1.0 does not say it: it is the number that is configured now."""
        agreed = self.said.number if self.said else ""
        return self.destination or agreed or (buyer.number if buyer else "")
