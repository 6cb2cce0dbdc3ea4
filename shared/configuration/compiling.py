"""The endpoints and buyers that a configuration makes, each with all that a request needs."""

from collections.abc import Mapping

from msgspec.structs import replace

from shared.configuration.file import Account, Buyer, Configuration, ContactField, Endpoint, Offer
from shared.configuration.shapes import ANYWHERE, DAY
from shared.domain import fields, filters, models, tracking
from shared.domain.caps import OF_CALLS

IMPLICIT = {
    field.name: field
    for field in (
        models.Field(name="caller_id", type="phone"),
        models.Field(name="trackdrive_number", type="phone"),
        models.Field(name="traffic_source_id"),
    )
}
"""Fields that every offer has, listed or not."""


def compile_endpoints(
    configuration: Configuration, pools: Mapping[str, models.RingPool], version: int
) -> dict[str, models.Endpoint]:
    """Every endpoint with all that a request needs, by vanity URI. `pools` are the ring pools with their shards."""
    offers = {offer.name: offer for offer in configuration.offers}
    users = tuple(
        models.User(user.name, user.role, user.traffic_sources)
        for user in sorted(configuration.users, key=lambda user: user.name)
    )
    open_pools = {endpoint.ring_pool for endpoint in configuration.endpoints if not endpoint.require_auth_token}
    return {
        endpoint.vanity_uri: replace(
            _endpoint(endpoint, offers[endpoint.offer], configuration.account, users, pools, version),
            pool_is_open=bool(endpoint.ring_pool) and endpoint.ring_pool in open_pools,
        )
        for endpoint in configuration.endpoints
    }


def _endpoint(
    endpoint: Endpoint,
    offer: Offer,
    account: Account,
    users: tuple[models.User, ...],
    pools: Mapping[str, models.RingPool],
    version: int,
) -> models.Endpoint:
    margin = endpoint.margin or offer.margin
    return models.Endpoint(
        vanity_uri=endpoint.vanity_uri,
        version=version,
        offer=endpoint.offer,
        rank_by=offer.rank_by,
        fields=_fields(offer, tracking.KINDS[endpoint.tracking].asks),
        buyers=tuple(_buyer(buyer, offer, endpoint) for buyer in offer.buyers),
        users=users,
        ping_ttl_seconds=endpoint.ping_ttl_seconds,
        hold_seconds=pools[endpoint.ring_pool].hold_seconds if endpoint.ring_pool else endpoint.hold_seconds or 0,
        pool=pools[endpoint.ring_pool] if endpoint.ring_pool else None,
        static_numbers={number: source for source, number in endpoint.static_numbers.items()},
        default_region=endpoint.default_region,
        bid_floor_cents=endpoint.bid_floor,
        margin=margin.compile() if margin else models.Margin(),
        suppression=tuple(dict.fromkeys((*account.suppression, *offer.suppression))),
        duplicate_seconds=offer.duplicates.seconds if offer.duplicates else 0,
        limits=endpoint.limits.compile() if endpoint.limits else (),
        ping_deadline_ms=endpoint.ping_deadline_ms,
        post_deadline_ms=endpoint.post_deadline_ms,
        lead_seconds=account.retention.lead_days * DAY,
        sale_seconds=account.retention.sale_days * DAY,
        require_auth_token=endpoint.require_auth_token,
        require_caller_id=endpoint.require_caller_id,
        validation=endpoint.validation or offer.validation,
        success_status=endpoint.success_status,
        field_errors=endpoint.field_errors,
        buyer_columns=endpoint.buyer_columns,
        allowed_origins=endpoint.allowed_origins,
        instructions=endpoint.instructions,
        leases_per_caller=endpoint.leases_per_caller,
        leases_per_address=endpoint.leases_per_address,
        calls=endpoint.calls.compile() if endpoint.calls else None,
        earns=offer.earns.compile() if offer.earns else models.Earns(),
        shared_numbers=endpoint.shared_numbers,
    )


def _fields(offer: Offer, also_on: Mapping[str, models.Step]) -> tuple[models.Field, ...]:
    listed = {field.name: compile_field(field) for field in offer.contact_fields}
    every = listed | {name: field for name, field in IMPLICIT.items() if name not in listed}
    return tuple(
        replace(field, required_on=(*field.required_on, also_on[name]))
        if name in also_on and also_on[name] not in field.required_on
        else field
        for name, field in every.items()
    )


def compile_field(field: ContactField) -> models.Field:
    made = models.Field(
        name=field.name,
        type=field.type,
        required_on=field.required_on,
        choices=field.choices,
        minimum=field.minimum or "",
        maximum=field.maximum or "",
        min_length=field.min_length,
        max_length=field.max_length,
        pattern=field.pattern,
        example=field.example,
        description=field.description,
    )
    read, _ = fields.read([made], {field.name: field.default}, ANYWHERE) if field.default else ({}, {})
    return replace(made, default=read.get(field.name, ""))


def compile_buyers(configuration: Configuration) -> list[tuple[str, models.Buyer]]:
    """Every buyer with the name of its offer, and with its caps of all endpoints."""
    return [(offer.name, _buyer(buyer, offer, None)) for offer in configuration.offers for buyer in offer.buyers]


def _buyer(buyer: Buyer, offer: Offer, endpoint: Endpoint | None) -> models.Buyer:
    """With the caps that count at the endpoint, or with all."""
    caps = buyer.caps.compile() if buyer.caps else ()
    if endpoint:
        caps = tuple(cap for cap in caps if cap.endpoint in ("", endpoint.vanity_uri))
        caps = caps if endpoint.calls else tuple(cap for cap in caps if cap.kind not in OF_CALLS)
    return models.Buyer(
        id=buyer.id,
        name=buyer.name,
        bid_cents=buyer.bid or 0,
        number=buyer.number,
        tier=buyer.tier,
        weight=buyer.weight,
        paused=buyer.paused,
        conversion_seconds=(buyer.pays and buyer.pays.after_seconds) or buyer.conversion_seconds,
        zone=buyer.zone or (buyer.schedule and buyer.schedule.zone) or "UTC",
        schedule=buyer.schedule.compile() if buyer.schedule else None,
        traffic_sources=buyer.traffic_sources,
        filters=tuple(map(filters.read, buyer.filters)),
        suppression=buyer.suppression,
        duplicate_seconds=buyer.duplicates.seconds if buyer.duplicates else 0,
        live=buyer.live.compile([field.name for field in offer.contact_fields], buyer.max_bid or 0)
        if buyer.live
        else None,
        pays=buyer.pays.compile() if buyer.pays else None,
        dial=buyer.dial.compile() if buyer.dial else models.DialRules(),
        caps=caps,
    )
