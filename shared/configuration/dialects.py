"""The dialects of live buyers' systems, each an exchange for the ping and one for the post, ready but for URLs. None of
them says what another could not: `custom` writes the same down itself.

`lead` are the values of a lead that are sent, by the buyer's name for them; an operator's `send` takes their place.
Shapes: as seen in public integrations, tested with the recorded examples of `tests/dialects`.
"""

from msgspec import Struct

from shared.domain.live_bids import Exchange, Template


class Dialect(Struct, frozen=True, kw_only=True):
    """`post` is None where the bid is the sale. Without `lead` every contact field is sent, under its own name."""

    ping: Exchange
    post: Exchange | None
    lead: dict[str, Template] = {}


SUCCEEDED = (("$.success", ("true",)),)

RINGPOST = Dialect(
    ping=Exchange(
        url="",
        accepted=SUCCEEDED,
        found={
            "bid": tuple(
                f"$.buyers[0].{name}" for name in ("bid", "bid_price", "offer_conversion_payout", "price", "payout")
            ),
            "reference": ("$.try_all_buyers_ping_id", "$.try_all_buyers.ping_id", "$.buyers[0].ping_id"),
            "expires_in_seconds": ("$.ping_ids_expiry_in_seconds",),
            "conversion_seconds": ("$.buyers[0].current_conversion_duration",),
            "reason": ("$.errors", "$.status"),
        },
    ),
    post=Exchange(
        url="",
        fields={"ping_id": "{bid.reference}"},
        accepted=SUCCEEDED,
        found={
            "number": ("$.trackdrive_number", "$.forwarding_number", "$.number"),
            "sip": ("$.forwarding_number_sip_address",),
            "bid": ("$.price", "$.payout"),
            "conversion_seconds": ("$.current_conversion_duration",),
            "expires_at": ("$.number_expires_at",),
            "reason": ("$.errors", "$.status"),
        },
    ),
)
RINGBA = Dialect(
    ping=Exchange(
        url="",
        fields={"exposeCallerId": "yes"},
        found={
            "bid": ("$.bidAmount",),
            "reference": ("$.bidId",),
            "number": ("$.phoneNumber", "$.phoneNumberNoPlus"),
            "sip": ("$.sipAddress",),
            "conversion_seconds": ("$.bidTerms[0].callMinDuration",),
            "expires_in_seconds": ("$.expireInSeconds",),
            "reason": ("$.rejectReason",),
        },
    ),
    post=None,
    lead={"CID": "{lead.caller_id}", "zipcode": "{lead.zip}"},
)
RETREAVER = Dialect(
    ping=Exchange(
        url="",
        method="GET",
        format="query",
        accepted=(("$.status", ("reserved",)),),
        found={
            "bid": ("$.retreaver_payout",),
            "reference": ("$.uuid",),
            "number": ("$.inbound_number",),
            "sip": ("$.sip_address",),
            "conversion_seconds": ("$.retreaver_seconds",),
            "expires_at": ("$.expires_at",),
            "reason": ("$.status",),
        },
    ),
    post=None,
    lead={
        "publisher_id": "{lead.traffic_source_id}",
        "caller_number": "{lead.caller_id}",
        "caller_zip": "{lead.zip}",
        "caller_state": "{lead.state}",
    },
)
LEADSPEDIA = Dialect(
    ping=Exchange(
        url="",
        format="form",
        fields={"lp_response": "JSON"},
        accepted=(*SUCCEEDED, ("$.status", ("accepted",))),
        found={
            "bid": ("$.payout",),
            "reference": ("$.ping_id",),
            "number": ("$.number",),
            "conversion_seconds": ("$.duration",),
            "reason": ("$.message", "$.status"),
        },
    ),
    post=Exchange(
        url="",
        format="form",
        fields={"lp_response": "JSON", "ping_id": "{bid.reference}"},
        accepted=(*SUCCEEDED, ("$.status", ("accepted",))),
        found={
            "bid": ("$.payout",),
            "number": ("$.number",),
            "conversion_seconds": ("$.duration",),
            "reason": ("$.message", "$.status"),
        },
    ),
    lead={"caller_id": "{lead.caller_id:national}", "zip_code": "{lead.zip}", "state": "{lead.state}"},
)
CUSTOM = Dialect(ping=Exchange(url=""), post=Exchange(url=""))

DIALECTS = {
    "ringpost": RINGPOST,
    "trackdrive": RINGPOST,
    "ringba": RINGBA,
    "retreaver": RETREAVER,
    "leadspedia": LEADSPEDIA,
    "custom": CUSTOM,
}
