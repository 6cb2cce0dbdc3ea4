"""The shape of the operator's file, and the file as records."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field as Limits
from pydantic import model_validator

from shared.configuration import live_buyers, rules
from shared.configuration.shapes import (
    DAY,
    Bound,
    FieldName,
    Label,
    ListName,
    Money,
    Name,
    Number,
    Numbers,
    Origin,
    Part,
    Region,
    SecretName,
    VanityUri,
    Zone,
)
from shared.domain import models

MAX_ENDPOINTS = 98
"""All endpoints are switched in one transaction, which has 100 places: one is for the version, one for the log."""

MAX_SHARED = 25
"""A sale may have to look at the routes of all of them."""

Percent = Annotated[int, Limits(ge=1, le=100)]
Leases = Annotated[int, Limits(ge=1, le=10_000)]
Plain = dict[str, Any]
"""A part of the configuration as plain JSON, without the values that are defaults."""
Parts = dict[tuple[str, str], Plain]
"""The configuration as records, by section and name."""
PING_TTL_SECONDS = 120
"""How long a ping is good for where an endpoint does not say it."""
ACCOUNT = ("account", "account")
"""The one record of its section."""


class Retention(Part):
    """For how many days a lead is kept after its PING, and a sale without its lead. Caps of a month compare with the
    sales that are kept."""

    lead_days: Annotated[int, Limits(ge=1, le=3650)] = 30
    sale_days: Annotated[int, Limits(ge=35, le=3650)] = 395

    @model_validator(mode="after")
    def _sales_outlive_leads(self) -> "Retention":
        if self.sale_days < self.lead_days:
            raise ValueError("must have `sale_days` of at least `lead_days`")
        return self


class Account(Part):
    """What holds for every offer."""

    zone: Zone = "UTC"
    suppression: tuple[ListName, ...] = ()
    retention: Retention = Retention()


class User(Part):
    name: Name
    role: models.Role
    traffic_sources: tuple[Label, ...] = ()


class RingPool(Part):
    name: Name
    numbers: Annotated[tuple[Numbers, ...], Limits(min_length=1)]
    hold_seconds: Annotated[int, Limits(ge=1, le=7 * DAY)]
    cooldown_seconds: Annotated[int, Limits(ge=0, le=7 * DAY)]
    overflow_number: Number | None = None
    pool_share: Percent = 50
    address_share: Percent = 25


class Provider(Part):
    """An account at a telephony provider, whose numbers ring here. Its tokens are names of secrets; the previous one is
    accepted, too, while the token is rotated."""

    name: Name
    kind: Literal["twilio", "telnyx", "local"]
    account: Label
    token: SecretName
    previous_token: SecretName | None = None


class ContactField(Part):
    name: FieldName
    type: models.FieldType = "text"
    required_on: tuple[models.Step, ...] = ()
    default: str = ""
    choices: tuple[Label, ...] = ()
    minimum: Bound | None = None
    maximum: Bound | None = None
    min_length: Annotated[int, Limits(ge=0, le=10_000)] = 0
    max_length: Annotated[int, Limits(ge=1, le=10_000)] = 1000
    pattern: str = ""
    example: str = ""
    description: Annotated[str, Limits(max_length=1000)] = ""


class Buyer(Part):
    id: Annotated[int, Limits(ge=1, le=2**31 - 1)]
    name: Label
    bid: Money | None = None
    number: Number
    tier: Annotated[int, Limits(ge=1, le=1000)] = 1
    weight: Annotated[int, Limits(ge=1, le=1_000_000)] = 100
    paused: bool = False
    conversion_seconds: Annotated[int, Limits(ge=0, le=DAY)] = 0
    zone: Zone | None = None
    schedule: rules.Schedule | None = None
    traffic_sources: tuple[Label, ...] = ()
    filters: tuple[rules.FilterText, ...] = ()
    suppression: tuple[ListName, ...] = ()
    duplicates: rules.Duplicates | None = None
    caps: rules.Caps | None = None
    live: live_buyers.LiveBuyerConfig | None = None
    max_bid: Money | None = None
    pays: rules.Pays | None = None
    dial: rules.Dial | None = None

    @model_validator(mode="after")
    def _bids_one_way(self) -> "Buyer":
        if (self.live is None) == (self.bid is None):
            raise ValueError("must have `bid`, or `live` in its place: a live buyer bids itself")
        if self.max_bid is not None and self.live is None:
            raise ValueError("must have `max_bid` only with `live`")
        if self.pays and self.conversion_seconds:
            raise ValueError("must have `pays`, or its older name `conversion_seconds`, not both")
        return self


class Offer(Part):
    name: Name
    rank_by: Literal["bid", "tier"]
    contact_fields: tuple[ContactField, ...] = ()
    buyers: tuple[Buyer, ...] = ()
    suppression: tuple[ListName, ...] = ()
    duplicates: rules.Duplicates | None = None
    margin: rules.Margin | None = None
    validation: Literal["lenient", "strict"] = "lenient"
    earns: rules.Earns | None = None


class Endpoint(Part):
    vanity_uri: VanityUri
    offer: str
    tracking: Literal["ring_pool", "static", "shared"]
    ring_pool: str | None = None
    static_numbers: Mapping[Label, Number] = {}
    shared_numbers: Annotated[tuple[Number, ...], Limits(max_length=MAX_SHARED)] = ()
    hold_seconds: Annotated[int, Limits(ge=1, le=7 * DAY)] | None = None
    ping_ttl_seconds: Annotated[int, Limits(ge=10, le=DAY)] = PING_TTL_SECONDS
    bid_floor: Money = 0
    margin: rules.Margin | None = None
    limits: rules.Limits | None = None
    ping_deadline_ms: Annotated[int, Limits(ge=100, le=3500)] = 1500
    post_deadline_ms: Annotated[int, Limits(ge=100, le=4000)] = 4000
    default_region: Region = "US"
    require_auth_token: bool = True
    require_caller_id: bool = False
    validation: Literal["lenient", "strict"] | None = None
    success_status: Literal["success", "accepted"] = "success"
    field_errors: Literal["by_field", "list"] = "by_field"
    buyer_columns: Annotated[tuple[models.Column, ...], Limits(min_length=1)] = (
        "buyer_id", "id", "name", "bid", "bid_price", "ping_id",
    )  # fmt: skip
    allowed_origins: Annotated[tuple[Origin, ...], Limits(min_length=1)] = ("*",)
    instructions: Literal["public", "token"] = "public"
    leases_per_caller: Leases = 2
    leases_per_address: Leases = 20
    calls: rules.TakesCalls | None = None


class Configuration(Part):
    """The whole file. Made by `read`, which also checks what the parts mean to each other."""

    account: Account = Account()
    users: tuple[User, ...] = ()
    providers: tuple[Provider, ...] = ()
    ring_pools: tuple[RingPool, ...] = ()
    offers: tuple[Offer, ...] = ()
    endpoints: Annotated[tuple[Endpoint, ...], Limits(max_length=MAX_ENDPOINTS)] = ()


PARTS: dict[str, type[Part]] = {
    "account": Account,
    "retention": Retention,
    "schedule": rules.Schedule,
    "duplicates": rules.Duplicates,
    "caps": rules.Caps,
    "by_endpoint": rules.Counted,
    "sales": rules.Sales,
    "revenue": rules.Revenue,
    "attempts": rules.Calls,
    "connected": rules.Calls,
    "converted": rules.Calls,
    "pays": rules.Pays,
    "dial": rules.Dial,
    "earns": rules.Earns,
    "calls": rules.TakesCalls,
    "margin": rules.Margin,
    "limits": rules.Limits,
    "endpoint": rules.Rates,
    "user": rules.Rates,
    "traffic_source": rules.Rates,
    "source_address": rules.Rates,
    "live": live_buyers.LiveBuyerConfig,
    "ping": live_buyers.Exchange,
    "post": live_buyers.Exchange,
    "accepted": live_buyers.Accepted,
}
"""What a key holds that is no list of records."""
LISTS: dict[str, type[Part]] = {
    "users": User,
    "providers": Provider,
    "ring_pools": RingPool,
    "offers": Offer,
    "endpoints": Endpoint,
    "buyers": Buyer,
    "contact_fields": ContactField,
}
KEYS = {"users": "name", "providers": "name", "ring_pools": "name", "offers": "name", "endpoints": "vanity_uri"}
"""The sections, and what names a record of theirs."""


def records_of(configuration: Configuration) -> Parts:
    account = configuration.account.model_dump(mode="json", exclude_defaults=True)
    return ({ACCOUNT: account} if account else {}) | {
        (section, getattr(part, key)): part.model_dump(mode="json", exclude_defaults=True)
        for section, key in KEYS.items()
        for part in getattr(configuration, section)
    }


def account_of(records: Parts) -> Account:
    return Account.model_validate(records.get(ACCOUNT, {}))


def retention_of(records: Parts) -> Retention:
    return account_of(records).retention


def document_of(records: Parts) -> dict[str, Any]:
    """The file of which these are the parts, as plain values."""
    listed = {section: [part for (of, _), part in records.items() if of == section] for section in KEYS}
    return {"account": records.get(ACCOUNT, {}), **listed}


def from_records(records: Parts) -> Configuration:
    """The configuration of which these are the parts."""
    return Configuration.model_validate(document_of(records))
