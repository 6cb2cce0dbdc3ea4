"""Configurations for tests: plain documents, as the YAML file has them, with overrides for what a test is about."""

from typing import Any

from shared import configuration
from shared.configuration import Configuration

Plain = dict[str, Any]


def a_user(**overrides: Any) -> Plain:
    return {"name": "acme-media", "role": "publisher", "traffic_sources": ["1023"]} | overrides


def a_ring_pool(**overrides: Any) -> Plain:
    """Without limits for one who holds its numbers."""
    return {
        "name": "auto-us",
        "numbers": ["+18005550100-+18005550107"],
        "hold_seconds": 300,
        "cooldown_seconds": 60,
        "pool_share": 100,
        "address_share": 100,
    } | overrides


def a_provider(**overrides: Any) -> Plain:
    return {"name": "main", "kind": "twilio", "account": f"AC{0:032}", "token": "{secret.main}"} | overrides


def a_contact_field(**overrides: Any) -> Plain:
    return {"name": "zip", "type": "us_zip"} | overrides


def a_buyer(**overrides: Any) -> Plain:
    return {"id": 1, "name": "Buyer A", "bid": "25.00", "number": "+18005550181"} | overrides


def an_offer(**overrides: Any) -> Plain:
    buyers = [a_buyer(), a_buyer(id=2, name="Buyer B", bid="20.00", number="+18005550182")]
    fields = [a_contact_field(name="caller_id", type="phone", required_on=["post"])]
    return {"name": "auto-insurance", "rank_by": "bid", "contact_fields": fields, "buyers": buyers} | overrides


def an_endpoint(**overrides: Any) -> Plain:
    """In a ring pool, without a token; `tracking` gives it one static number, or two shared ones, in place of the
    pool."""
    of_tracking: dict[str, Plain] = {
        "static": {"static_numbers": {"1023": "+18005550170"}, "hold_seconds": 300},
        "shared": {
            "shared_numbers": ["+18005550171", "+18005550172"],
            "hold_seconds": 300,
            "leases_per_caller": 2,
        },
    }
    return {
        "vanity_uri": "my_endpoint",
        "offer": "auto-insurance",
        "tracking": "ring_pool",
        "ping_ttl_seconds": 120,
        "require_auth_token": False,
        "leases_per_caller": 100,
        **of_tracking.get(overrides.get("tracking", ""), {"ring_pool": "auto-us"}),
    } | overrides


def a_document(**overrides: Any) -> Plain:
    """One offer with two buyers at one endpoint with a ring pool of eight numbers."""
    return {
        "users": [a_user()],
        "ring_pools": [a_ring_pool()],
        "offers": [an_offer()],
        "endpoints": [an_endpoint()],
    } | overrides


def a_configuration(**overrides: Any) -> Configuration:
    return configuration.read(a_document(**overrides))
