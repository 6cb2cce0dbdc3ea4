"""What a publisher's developer has to know of one endpoint, made from its live configuration: for the page, its
Markdown and OpenAPI.

Example answers are made by `answers`, the very code that answers. Their buyers are made up, so that no name or price
of a real one is shown.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain import fields, keys, refusals, sandbox_endpoint
from shared.domain.keys import Key, Keys
from shared.domain.models import SOURCE_LETTERS, Bid, Buyer, Endpoint, Field, Lead, Margin, Ping, Step
from shared.domain.refusals import InvalidFields, NoMatchingBuyer, Refusal
from shared.domain.tracking import Tracking, tracking_of
from shared.publishers import answers, samples
from shared.publishers.requests import SANDBOX

API = "/api/v1/inbound_webhooks"
_EXAMPLE = (Key(1, b"example"),)
KEYS = Keys(ping_ids=_EXAMPLE, tokens=_EXAMPLE, callers=_EXAMPLE, sales=_EXAMPLE, asks=b"example")
NOW = 1_767_268_800
"""2026-01-01T12:00:00Z, the time of the example answers."""
BUYERS = (
    Buyer(id=1, name="Buyer A", bid_cents=2500, number="+15555550181", conversion_seconds=90),
    Buyer(id=2, name="Buyer B", bid_cents=2000, number="+15555550182", conversion_seconds=60),
)
EXAMPLES = {
    "phone": "+16145550123", "email": "name@example.com", "us_state": "TX", "us_zip": "30340", "date": "1985-03-27",
    "integer": "1", "decimal": "1.5", "boolean": "true", "text": "text",
}  # fmt: skip

TYPES = {
    "phone": "telephone number",
    "email": "e-mail address",
    "us_state": "US state",
    "us_zip": "US ZIP code",
    "date": "date",
    "integer": "whole number",
    "decimal": "number",
    "boolean": "true or false",
    "choice": "one of a list",
    "text": "text",
}
VALUES = {
    "phone": "with or without +1, spaces, dots, hyphens and parentheses",
    "us_state": "two letters or the name",
    "us_zip": "five digits; of ZIP+4 the first five count",
    "date": "1985-03-27, 03/27/1985 or March 27, 1985",
    "boolean": "true, yes, 1 or false, no, 0",
}

VALIDATION = {
    "lenient": "A value that is not required and cannot be read is left out; the answer then has warnings, by field. "
    "A required one is refused. Words like null or N/A count as no value.",
    "strict": "Every value must be readable, or the request is refused. Words like null or N/A count as no value.",
}

DESCRIPTIONS = {
    "caller_id": "The caller's telephone number.",
    "traffic_source_id": "Which of your sources the caller comes from.",
    "trackdrive_number": "Your tracking number, which the caller dials.",
}
"""Of the fields that every offer has, where it gives none."""

COLUMNS = {
    "buyer_id": "The buyer. Send it with its ping_id, if you like; it must be the one of the ping_id.",
    "id": "The same as buyer_id.",
    "name": "The buyer's name.",
    "bid": "What you are paid for the call, in US dollars.",
    "bid_price": "The same as bid.",
    "ping_id": "Send this on POST to sell to this buyer.",
    "tier": "The buyer's tier: lower ones are tried first.",
    "offer_conversion_payout": "The same as bid.",
    "current_conversion_duration": "How many seconds a call must last to be paid.",
    "forwarding_number": "Your tracking number, where numbers are static; null otherwise.",
    "price": "The same as bid.",
    "payout": "The same as bid.",
    "offer_conversion_duplicate_timeframe": "How many seconds after a sale the same caller is a duplicate; 0 is none.",
    "concurrency_cap_limit": "How many calls the buyer takes at once; null is any number.",
    "concurrency_cap_available": "How many of these are free; null is any number.",
}

MEANINGS: dict[type[Refusal], tuple[str, str]] = {
    refusals.NoMatchingBuyer: (
        "Nobody buys this lead now: by its values, the hour, or because buyers are full.",
        "Keep the caller, or route it elsewhere. The same lead may find a buyer later.",
    ),
    refusals.CallerIdRequired: (
        "There is no caller_id, and this endpoint needs one on every request.",
        "Send caller_id.",
    ),
    refusals.CallerNumberSuppressed: (
        "The caller is on a list of numbers that are not wanted.",
        "Do not send it again.",
    ),
    refusals.DuplicateCaller: ("The caller was sold here not long ago.", "Do not send it again for now."),
    refusals.PingIdUnknown: (
        "The ping_id is not one that this endpoint gave you: cut off, changed, of another endpoint or of the sandbox.",
        "Send the ping_id letter by letter as PING answered it, to the same endpoint.",
    ),
    refusals.PingIdExpired: ("The ping_id is older than its time.", "Send a new PING, then POST at once."),
    refusals.PingIdUsed: (
        "The ping is sold already, and this POST is not the same one again.",
        "Send a new PING for every caller. The very same POST may be repeated.",
    ),
    refusals.BuyerMismatch: (
        "buyer_id and ping_id are of different buyers.",
        "Send the pair as PING answered it, or no buyer_id.",
    ),
    refusals.BuyerUnavailable: (
        "The buyer filled up, closed or declined after the PING.",
        "POST the ping_id of another buyer or try_all_buyers_ping_id.",
    ),
    refusals.NoNumberAvailable: (
        "Every tracking number is in use, or another sale of this caller has this one.",
        "Send the same request again after retry_after_seconds.",
    ),
    refusals.TooManyLeases: (
        "The caller, or all your callers together, hold as many tracking numbers as allowed.",
        "Use the numbers that you hold. Send the same request again after retry_after_seconds.",
    ),
    refusals.InvalidFields: (
        "Values are missing or not valid; errors names every one of them.",
        "Correct them and send it again.",
    ),
    refusals.MalformedRequest: (
        "The request cannot be read.",
        "Send a JSON object, a URL-encoded form or multipart/form-data, in UTF-8.",
    ),
    refusals.Unauthorized: ("The auth_token is missing or wrong.", "Send your token; ask for a new one if it is lost."),
    refusals.UnknownEndpoint: ("There is nothing at this address.", "Compare the path with the ones above."),
    refusals.MethodNotAllowed: ("It is neither GET nor POST.", "Use GET or POST."),
    refusals.RequestTooLarge: ("The query string is over 8 KB, or the body over 64 KB.", "Send less."),
    refusals.RateLimited: (
        "You sent too many requests in this minute.",
        "Wait for as many seconds as Retry-After says.",
    ),
    refusals.TemporarilyUnavailable: ("We are busy.", "Send the same request again after Retry-After; it is one sale."),
    refusals.InternalError: (
        "Something failed on our side.",
        "Send the same request again; if it stays, tell us the request_id.",
    ),
}


class Row(Struct, frozen=True):
    """A contact field as it is told."""

    name: str
    type: str
    required: str
    values: str
    example: str
    description: str


class Call(Struct, frozen=True):
    """An example request, and what it is answered. `values` are what is sent."""

    verb: str
    title: str
    path: str
    values: dict[str, Any]
    code: dict[str, str]
    answer: str = ""


class Guide(Struct, frozen=True):
    """`base` is the address of the API, without a slash at its end; `traffic_source_id` and `number` the reader's.
    `source_of_user` is the traffic source of the examples if it belongs to a user, whose token it then needs."""

    endpoint: Endpoint
    base: str
    traffic_source_id: str
    number: str
    rows: tuple[Row, ...]
    calls: dict[str, Call]
    refused: dict[str, str]
    source_of_user: str = ""

    @property
    def tracking(self) -> Tracking:
        return tracking_of(self.endpoint)

    @property
    def needs_token(self) -> bool:
        return self.endpoint.require_auth_token or bool(self.source_of_user)

    @property
    def path(self) -> str:
        return f"/posting_instructions/{self.endpoint.vanity_uri}"

    def url(self, verb: str, sandbox: bool = False) -> str:
        return f"{self.base}{SANDBOX if sandbox else ''}{API}/{verb}/{self.endpoint.vanity_uri}"

    @property
    def validation(self) -> str:
        return VALIDATION[self.endpoint.validation]

    @property
    def columns(self) -> dict[str, str]:
        return {column: COLUMNS[column] for column in self.endpoint.columns}

    @property
    def refusals(self) -> list[tuple[str, int, str, str]]:
        """Status, HTTP code, meaning and what to do."""
        by_field = self.endpoint.field_errors == "by_field"
        return [
            ("422" if by_field and kind is InvalidFields else kind.status, answers.HTTP_STATUS[kind], *said)
            for kind, said in MEANINGS.items()
        ]


def guide(endpoint: Endpoint, base: str, source: str = "", number: str = "") -> Guide:
    """`source` and `number` (E.164) are the traffic source and the static number that the reader says to have."""
    tracking = tracking_of(endpoint)
    number = tracking.number_of_reader(source, number) or sandbox_endpoint.NUMBERS[0]
    source = tracking.source_of(number) or source
    shown_fields = tuple(field for field in endpoint.fields if tracking.shows(field.name))
    known = {"traffic_source_id": source, "trackdrive_number": number}
    examples = {field.name: known.get(field.name) or _example(field) for field in shown_fields}
    if not source and not next(field for field in shown_fields if field.name == "traffic_source_id").example:
        del examples["traffic_source_id"]
    named = examples.get("traffic_source_id", "")
    is_claim = named[:SOURCE_LETTERS] in endpoint.owned_sources and named != tracking.source_of(number)
    token = {"auth_token": "YOUR_TOKEN"} if endpoint.require_auth_token or is_claim else {}
    return Guide(
        endpoint=endpoint,
        base=base,
        traffic_source_id=source,
        number=number,
        rows=tuple(_row(field, examples.get(field.name, "")) for field in shown_fields),
        calls=_calls(endpoint, base, shown_fields, examples, number, token),
        refused={
            "no_matching_buyer": pretty(answers.refusal(NoMatchingBuyer(), endpoint, "")),
            "invalid_fields": pretty(answers.refusal(_missing(shown_fields), endpoint, "")),
        },
        source_of_user=named if is_claim else "",
    )


def _example(field: Field) -> str:
    return field.example or (field.choices[0] if field.choices else field.minimum or EXAMPLES[field.type])


def _row(field: Field, example: str) -> Row:
    limits = [
        f"at least {field.minimum}" if field.minimum else "",
        f"at most {field.maximum}" if field.maximum else "",
        f"at least {field.min_length} characters" if field.min_length else "",
        f"at most {field.max_length} characters" if field.type == "text" and field.max_length != 1000 else "",
        f"in the form {field.pattern}" if field.pattern else "",
        f"{field.default} where you send none" if field.default else "",
    ]
    values = ", ".join(field.choices) or VALUES.get(field.type, "")
    return Row(
        name=field.name,
        type=TYPES[field.type],
        required=" and ".join(step.upper() for step in field.required_on) or "no",
        values="; ".join(filter(None, [values, *limits])),
        example=example,
        description=field.description or DESCRIPTIONS.get(field.name, ""),
    )


def _calls(
    endpoint: Endpoint,
    base: str,
    shown_fields: tuple[Field, ...],
    examples: Mapping[str, str],
    number: str,
    token: dict[str, str],
) -> dict[str, Call]:
    made_up = replace(endpoint, buyers=BUYERS, margin=Margin())
    lead = Lead({"trackdrive_number": number})
    bids = tuple(Bid(buyer.id, buyer.bid_cents, buyer.bid_cents) for buyer in BUYERS)
    ping = Ping(
        id=b"example ping",
        endpoint=endpoint.vanity_uri,
        version=endpoint.version,
        lead=lead,
        bids=bids,
        seed=b"",
        created_at=NOW,
        expires_at=NOW + endpoint.ping_ttl_seconds,
        lead_until=NOW,
    )
    held_until = NOW + endpoint.hold_seconds
    chosen = {"ping_id": keys.ping_id(KEYS, endpoint.vanity_uri, ping.id, BUYERS[0].id)}
    any_buyer = {"ping_id": keys.ping_id(KEYS, endpoint.vanity_uri, ping.id)}
    on_ping, on_post = _sent(endpoint, shown_fields, examples, "ping"), _sent(endpoint, shown_fields, examples, "post")
    whole = on_ping | on_post
    sold = pretty(answers.post(made_up, BUYERS[0], number, held_until))

    def call(verb: str, title: str, values: dict[str, Any], answer: str) -> Call:
        path = f"{API}/{verb}/{endpoint.vanity_uri}"
        return Call(verb, title, path, values, samples.in_all_languages(f"{base}{path}", values), answer)

    calls = {
        "ping": call("ping", "PING", token | on_ping, pretty(answers.ping(made_up, KEYS, ping))),
        "post": call("post", "POST to a buyer of your choice", token | chosen | on_post, sold),
        "post_any": call("post", "POST that tries all buyers in order", token | any_buyer | on_post, sold),
        "post_only": call("post", "POST without a PING", token | whole, sold),
        "full": call(
            "full", "FULL", token | whole, pretty(answers.full(made_up, KEYS, ping, BUYERS[0], number, held_until))
        ),
    }
    if tracking_of(endpoint).needs_ping_id:
        del calls["post_only"]
    return calls


def _sent(
    endpoint: Endpoint, shown_fields: tuple[Field, ...], examples: Mapping[str, str], step: Step
) -> dict[str, Any]:
    """PING sends all that it can say of the lead but the caller, unless that is needed; POST what it needs and the
    caller."""
    needed = {field.name for field in shown_fields if step in field.required_on}
    if endpoint.require_caller_id or step == "post":
        needed.add("caller_id")
    optional = {field.name for field in shown_fields if field.name != "caller_id"} if step == "ping" else set()
    sent = {
        field: examples[field.name]
        for field in shown_fields
        if field.name in needed | optional and field.name in examples
    }
    return {field.name: _typed(field, value) for field, value in sent.items()}


def _typed(field: Field, value: str) -> Any:
    read, _ = fields.read([field], {field.name: value}, "US")
    if field.type in ("boolean", "integer", "decimal") and field.name in read:
        return msgspec.json.decode(read[field.name])
    return value


def _missing(shown_fields: tuple[Field, ...]) -> InvalidFields:
    required = next(((field.name, step) for field in shown_fields for step in field.required_on), None)
    if required:
        return InvalidFields({required[0]: [fields.required(*required)]})
    return InvalidFields({"caller_id": ["caller_id must be a telephone number, for example +16145550123."]})


def pretty(body: bytes) -> str:
    return msgspec.json.format(body, indent=2).decode()
