"""The form of each kind of resource: every setting of the configuration, in the order in which one thinks of them."""

from typing import get_args

from functions.dashboard.forms import Form, Group, Input, Part, Table, Week
from shared.domain.models import Column, FieldType
from shared.operators.resources import Kind

ZONES = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
    "America/Anchorage", "Pacific/Honolulu", "UTC",
)  # fmt: skip
"""What is suggested; any other can be written."""
PERIODS = ("hour", "day", "month", "total")
SUPPRESSION = Group(
    "Suppression",
    (Input("suppression", "Lists", "lines", "Whose callers are not taken; a name in each line."),),
)
DUPLICATES = Group(
    "Duplicates",
    (Input("duplicates.window_days", "Window, days"), Input("duplicates.window_hours", "or hours")),
    "For how long after a sale the same caller is not sold again. Nothing: at once.",
)
MARGIN = Group(
    "Margin",
    (
        Input("margin.percent", "Percent", hint="Like 20."),
        Input("margin.fixed", "or dollars", hint="Like 5.00."),
        Input("margin.allow_negative", "May be negative: publishers are paid more than the buyer bids", "check"),
    ),
    "What is kept of a bid. The publisher is told and paid the rest.",
)

CONTACT_FIELDS = Table(
    "contact_fields",
    "Contact fields",
    (
        Input("name", "Name"),
        Input("type", "Type", "select", options=get_args(FieldType), default="text"),
        Input("required_on", "Required on", "checks", options=("ping", "post")),
        Input("choices", "Choices", "lines"),
        Input("minimum", "At least"),
        Input("maximum", "At most"),
        Input("min_length", "Shortest"),
        Input("max_length", "Longest"),
        Input("pattern", "Pattern"),
        Input("default", "Default"),
        Input("example", "Example"),
        Input("description", "Description", "area"),
    ),
    ordered=True,
    hint="Choices: one in each line. At least and at most are for numbers; lengths and pattern (RE2) for text.",
)

OFFER = Form(
    (
        Group(
            "Offer",
            (Input("name", "Name"), Input("rank_by", "Rank buyers by", "select", options=("bid", "tier"))),
            always=True,
        ),
        Group("Contact fields", (CONTACT_FIELDS,), "What a publisher sends.", always=True),
        MARGIN,
        DUPLICATES,
        SUPPRESSION,
    )
)


def _counted(prefix: str) -> tuple[Input, ...]:
    return (
        *(Input(f"{prefix}sales.{period}", f"Sales, {period}") for period in PERIODS),
        *(Input(f"{prefix}revenue.{period}", f"Revenue, {period}") for period in PERIODS),
        Input(f"{prefix}concurrent", "At once"),
    )


def _mapping(path: str, label: str, key: str, value: str, hint: str = "", *, hours: bool = False) -> Table:
    columns = (Input("key", key), Input("value", value, "hours" if hours else "text"))
    return Table(path, label, columns, key="key", value="value", hint=hint)


LIVE: tuple[Part, ...] = (
    Input(
        "live.dialect",
        "Dialect",
        "select",
        options=("", "ringpost", "trackdrive", "ringba", "retreaver", "leadspedia", "custom"),
    ),
    Input("max_bid", "Highest bid", hint="Dollars; what is above it is refused."),
    Input("live.ping_url", "Ping URL"),
    Input("live.post_url", "Post URL"),
    Input("live.timeout_ms", "Timeout, milliseconds", hint="1000 unless said."),
    Input(
        "live.caller_on_ping",
        "Caller on ping",
        "select",
        options=("plain", "hashed", "area_code", "absent"),
        default="plain",
    ),
    _mapping(
        "live.send",
        "Lead values that are sent",
        "Their name",
        "Our contact field",
        "Nothing: the dialect's own, or every contact field.",
    ),
    Input("live.on_post_only", "Sent on post only", "lines", "Contact fields, one in each line."),
    Input("live.parameters", "Parameters beside them", "yaml", "Like: key: '{secret.buyer_key}'"),
    _mapping("live.headers", "Headers", "Header", "Value"),
    Input("live.ping", "Ping exchange", "yaml", "With dialect custom: method, format, fields, answer, bid, …"),
    Input("live.post", "Post exchange", "yaml", "With dialect custom: the same, and accepted."),
)

BUYER = Form(
    (
        Group(
            "Buyer",
            (
                Input("id", "Id", hint="A whole number, unique in the stack; it stays."),
                Input("name", "Name"),
                Input("offer", "Offer", "select"),
                Input("number", "Number", hint="Where its calls go, like +18005550181."),
                Input("bid", "Bid", hint="Dollars. Nothing for a live buyer."),
                Input("tier", "Tier", hint="Lower ones first; 1 unless said."),
                Input("weight", "Weight", hint="Its share inside of the tier; 100 unless said."),
                Input(
                    "zone",
                    "Time zone",
                    hint="The buyer's clock, for schedule and caps.",
                    options=ZONES,
                    also="schedule.zone",
                ),
                Input("conversion_seconds", "Conversion, seconds", hint="How long a paid call lasts."),
                Input("paused", "Paused", "check"),
            ),
            always=True,
        ),
        Group(
            "Schedule",
            (
                Week("schedule.open", "Opening hours", "schedule.open_on"),
                Input("schedule.closed_on", "Closed on", "lines", "Dates like 2026-12-25, one in each line."),
                _mapping("schedule.open_on", "Other hours on", "Date", "Hours", hours=True),
            ),
            "On the buyer's clock. Nothing: always open. Hours like 09:00-12:00, 13:00-17:00 or 22:00-02:00.",
            always=True,
        ),
        Group(
            "Filters",
            (
                Input(
                    "filters",
                    "Filters, one in each line",
                    "long",
                    "All must hold. Like: state in [TX, FL] · zip matches ^3 · age >= 25 · email exists",
                ),
                Input("traffic_sources", "Traffic sources", "lines", "One in each line; nothing: any."),
            ),
            always=True,
        ),
        Group(
            "Caps",
            (
                *_counted("caps."),
                Table(
                    "caps.by_endpoint",
                    "At single endpoints",
                    (Input("endpoint", "Endpoint", "select"), *_counted("")),
                    key="endpoint",
                ),
            ),
            "Most sales, and most revenue in dollars, of an hour, a day, a month and in total; and calls at once.",
            always=True,
        ),
        DUPLICATES,
        SUPPRESSION,
        Group("Live bidding", LIVE, "A buyer that bids itself over HTTP, in place of a bid of its own here."),
    )
)

ENDPOINT = Form(
    (
        Group(
            "Endpoint",
            (
                Input("vanity_uri", "Vanity URI"),
                Input("offer", "Offer", "select"),
                Input("tracking", "Tracking", "select", options=("ring_pool", "static")),
                Input("ring_pool", "Ring pool", "select", "With tracking ring_pool."),
                Input("bid_floor", "Bid floor", hint="Dollars; bids below it do not count."),
                Input("hold_seconds", "Hold, seconds", hint="With tracking static; a pool has its own."),
                Input("ping_ttl_seconds", "A ping is good for, seconds", hint="120 unless said."),
                Input("default_region", "Country of numbers", hint="US unless said."),
                Input("require_auth_token", "A token is required", "check", default="true"),
                Input("require_caller_id", "caller_id is required on ping", "check"),
            ),
            always=True,
        ),
        Group(
            "Static numbers",
            (
                _mapping(
                    "static_numbers",
                    "Static numbers",
                    "Traffic source",
                    "Number",
                    "With tracking static: one for each.",
                ),
            ),
        ),
        MARGIN,
        Group(
            "Limits",
            tuple(
                Input(f"limits.{of}.{what}", f"{what.capitalize()} a minute, {label}")
                for of, label in (
                    ("endpoint", "in all"),
                    ("traffic_source", "a traffic source"),
                    ("source_address", "an address"),
                )
                for what in ("pings", "posts")
            ),
        ),
        Group(
            "What publishers see",
            (
                Input(
                    "success_status", "Status of success", "select", options=("success", "accepted"), default="success"
                ),
                Input("field_errors", "Errors of fields", "select", options=("by_field", "list"), default="by_field"),
                Input("instructions", "Instructions", "select", options=("public", "token"), default="public"),
                Input(
                    "buyer_columns",
                    "Columns of a buyer",
                    "lines",
                    f"One in each line, of {', '.join(get_args(Column))}. Nothing: the first six.",
                ),
                Input("allowed_origins", "Allowed origins", "lines", "Of browsers; one in each line. Nothing: any."),
            ),
        ),
        Group(
            "Deadlines",
            (
                Input("ping_deadline_ms", "Of a ping, milliseconds", hint="1500 unless said."),
                Input("post_deadline_ms", "Of a post, milliseconds", hint="4000 unless said."),
            ),
            "How long live buyers are waited for.",
        ),
    )
)

RING_POOL = Form(
    (
        Group(
            "Ring pool",
            (
                Input("name", "Name"),
                Input("hold_seconds", "Hold, seconds", hint="Until the call has to arrive."),
                Input("cooldown_seconds", "Cooldown, seconds", hint="Before anyone else gets the number."),
                Input("overflow_number", "Overflow number", hint="Of calls that find none; nothing: refuse them."),
                Input(
                    "numbers",
                    "Numbers",
                    "long",
                    "A number or a range in each line, like +18005550100-+18005550149.",
                ),
            ),
            always=True,
        ),
    )
)

USER = Form(
    (
        Group(
            "User",
            (
                Input("name", "Name"),
                Input("role", "Role", "select", options=("publisher", "viewer", "operator")),
                Input("traffic_sources", "Traffic sources", "lines", "One in each line; nothing: any."),
            ),
            always=True,
        ),
    )
)

ACCOUNT = Form(
    (
        Group(SUPPRESSION.title, SUPPRESSION.parts, always=True),
        Group(
            "Retention",
            (
                Input("retention.lead_days", "Leads, days", hint="30 unless said."),
                Input("retention.sale_days", "Sales without their leads, days", hint="395 unless said."),
            ),
            "For how long they are kept.",
            always=True,
        ),
    )
)

FORMS: dict[Kind, Form] = {
    "account": ACCOUNT,
    "users": USER,
    "ring_pools": RING_POOL,
    "offers": OFFER,
    "endpoints": ENDPOINT,
    "buyers": BUYER,
}
