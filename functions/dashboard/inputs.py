"""The form of each kind of resource: every setting of the configuration, in the order in which one thinks of them."""

from typing import get_args

from functions.dashboard.forms import Form, Group, Input, Part, Table, Week
from shared.domain.models import Column, FieldType
from shared.operators.resources import Kind

US_ZONES = {
    "America/New_York": "Eastern", "America/Chicago": "Central", "America/Denver": "Mountain",
    "America/Phoenix": "Mountain, Arizona", "America/Los_Angeles": "Pacific", "America/Anchorage": "Alaska",
    "Pacific/Honolulu": "Hawaii", "America/Puerto_Rico": "Atlantic, Puerto Rico", "UTC": "UTC",
}  # fmt: skip
"""What comes first of the time zones, and what people call them."""
ZONES_SHOWN = {name: f"{said} ({name})" for name, said in US_ZONES.items() if name != said}
PERIODS = {"hour": "per hour", "day": "per day", "month": "per month", "total": "in total"}
CALLS = {"attempts": "Attempts", "connected": "Connected calls", "converted": "Converted calls"}
"""Caps of calls, and what they are called."""
SUPPRESSION = Group(
    "Suppression",
    (Input("suppression", "Lists", "lines", "Whose callers are not taken; a name in each line.", typed="words"),),
)
DUPLICATES = Group(
    "Duplicates",
    (
        Input("duplicates.window_days", "Window, days", typed="whole"),
        Input("duplicates.window_hours", "Window, hours", typed="whole"),
    ),
    "For how long after a sale the same caller is not sold again. Nothing: at once.",
)
MARGIN = Group(
    "Margin",
    (
        Input("margin.percent", "Percent", hint="Like 20.", typed="percent"),
        Input("margin.fixed", "Dollars", hint="Like 5.00.", typed="dollars"),
        Input("margin.allow_negative", "May be negative: publishers are paid more than the buyer bids", "check"),
    ),
    "What is kept of a bid. The publisher is told and paid the rest.",
)

VALIDATION = "lenient leaves out an optional value that cannot be read, and warns; strict refuses the request."

CONTACT_FIELDS = Table(
    "contact_fields",
    "Contact fields",
    (
        Input("name", "Name"),
        Input("type", "Type", "select", options=get_args(FieldType), default="text"),
        Input("required_on", "Required on", "checks", options=("ping", "post")),
        Input("choices", "Choices", "lines"),
        Input("minimum", "At least", typed="whole"),
        Input("maximum", "At most", typed="whole"),
        Input("min_length", "Shortest", typed="whole"),
        Input("max_length", "Longest", typed="whole"),
        Input("pattern", "Pattern"),
        Input("default", "Default"),
        Input("example", "Example", typed="example"),
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
        Group(
            "What publishers are paid for",
            (
                Input(
                    "earns.on",
                    "A publisher is paid for",
                    "select",
                    options=("same", "connected", "duration"),
                    default="same",
                    shown={
                        "same": "what the buyer pays for",
                        "connected": "each call that a buyer answers",
                        "duration": "a call of some seconds",
                    },
                ),
                Input("earns.after_seconds", "Of so many seconds", hint="For a call of some seconds.", typed="whole"),
            ),
            "This counts at endpoints that take calls. At other endpoints publishers are paid for each sale.",
        ),
        Group(
            "Values that cannot be read",
            (
                Input(
                    "validation", "Validation", "select", VALIDATION, options=("lenient", "strict"), default="lenient"
                ),
            ),
        ),
        MARGIN,
        DUPLICATES,
        SUPPRESSION,
    )
)


def _counted(prefix: str) -> tuple[Input, ...]:
    return (
        *(Input(f"{prefix}sales.{period}", f"Sales {said}", typed="whole") for period, said in PERIODS.items()),
        *(Input(f"{prefix}revenue.{period}", f"Revenue {said}", typed="dollars") for period, said in PERIODS.items()),
        Input(f"{prefix}concurrent", "Calls at once", typed="whole"),
        *(
            Input(f"{prefix}{kind}.{period}", f"{label} {said}", typed="whole")
            for kind, label in CALLS.items()
            for period, said in PERIODS.items()
        ),
    )


def _mapping(
    path: str,
    label: str,
    key: str,
    value: str,
    hint: str = "",
    *,
    hours: bool = False,
    typed: tuple[str, str] = ("", ""),
) -> Table:
    columns = (Input("key", key, typed=typed[0]), Input("value", value, "hours" if hours else "text", typed=typed[1]))
    return Table(path, label, columns, key="key", value="value", hint=hint)


LIVE: tuple[Part, ...] = (
    Input(
        "live.dialect",
        "Dialect",
        "select",
        options=("", "ringpost", "trackdrive", "ringba", "retreaver", "leadspedia", "custom"),
    ),
    Input("max_bid", "Highest bid", hint="Dollars; what is above it is refused.", typed="dollars"),
    Input("live.ping_url", "Ping URL"),
    Input("live.post_url", "Post URL"),
    Input("live.timeout_ms", "Timeout, milliseconds", hint="Default: 1000.", typed="whole"),
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
    Input("live.on_post_only", "Sent on post only", "lines", "Contact fields, one in each line.", typed="words"),
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
                Input("id", "Id", hint="A whole number, unique in the stack; it stays.", typed="whole"),
                Input("name", "Name"),
                Input("offer", "Offer", "select"),
                Input("number", "Number", hint="Where its calls go, like (800) 555-0181.", typed="number"),
                Input("bid", "Bid", hint="Dollars. Nothing for a live buyer.", typed="dollars"),
                Input("tier", "Tier", hint="Lower ones first; Default: 1.", typed="whole"),
                Input("weight", "Weight", hint="Its share inside of the tier; Default: 100.", typed="whole"),
                Input(
                    "zone",
                    "Time zone",
                    "select",
                    hint="The buyer's clock, for schedule and caps.",
                    also="schedule.zone",
                    shown=ZONES_SHOWN,
                ),
                Input("paused", "Paused", "check"),
            ),
            always=True,
        ),
        Group(
            "Pay",
            (
                Input(
                    "pays.on",
                    "It pays for",
                    "select",
                    options=("", "sale", "answered", "duration"),
                    shown={
                        "": "each answered call, or as the older setting says",
                        "sale": "each sale, whatever becomes of it",
                        "answered": "each call that it answers",
                        "duration": "a call of some seconds",
                    },
                ),
                Input("pays.after_seconds", "Of so many seconds", hint="For a call of some seconds.", typed="whole"),
                Input(
                    "conversion_seconds",
                    "Seconds of a paid call, older setting",
                    hint="The older form of a call of some seconds. Fill in one of the two only.",
                    typed="whole",
                ),
            ),
            "This counts at endpoints that take calls. At other endpoints the buyer pays for each sale.",
            always=True,
        ),
        Group(
            "Dialing",
            (
                Input("dial.timeout_seconds", "Rings for, seconds", hint="Default: 25.", typed="whole"),
                Input("dial.max_call_seconds", "Longest call, seconds", hint="Default: 3600.", typed="whole"),
                Input(
                    "dial.say",
                    "Sentence to the buyer",
                    hint="The person who answers hears it first. Then the caller is connected.",
                ),
                Input("dial.press", "Key to press", hint="Like 1: it takes the call. Nothing: every answer takes it."),
                Input("dial.record", "Record its calls", "check"),
                Input(
                    "dial.sip", "SIP address", hint="Dialed in place of the number, like sip:{number}@buyer.example."
                ),
            ),
            "How Ringpost dials the buyer when a call comes.",
        ),
        Group(
            "Schedule",
            (
                Week("schedule.open", "Opening hours", "schedule.open_on"),
                Input(
                    "schedule.closed_on", "Closed on", "lines", "Dates like 2026-12-25, one in each line.", typed="date"
                ),
                _mapping("schedule.open_on", "Other hours on", "Date", "Hours", hours=True, typed=("date", "")),
            ),
            "On the buyer's clock. Hours like 9am-12pm, 1pm-5pm or 09:00-12:00, 22:00-02:00.",
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
                    typed="filter",
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
            "The most in an hour, a day, a month and in total, revenue in dollars; and the most at once. Attempts (it "
            "is dialed), connected calls (it answers) and converted ones (it pays) count at endpoints that take calls.",
            always=True,
        ),
        DUPLICATES,
        SUPPRESSION,
        Group("Live bidding", LIVE, "A buyer that bids itself over HTTP, in place of a bid of its own here."),
    )
)

REJECT = {"reject": "reject it"}
TAKES_CALLS: tuple[Part, ...] = (
    Input(
        "calls.provider",
        "Provider",
        "select",
        "Calls come through it. Nothing: the endpoint takes no calls, and buyers pay for sales.",
    ),
    Input(
        "calls.late_calls",
        "A call after its sale's hold",
        "select",
        options=("sell", "unpaid", "reject"),
        default="sell",
        shown={"sell": "put it through, paid as usual", "unpaid": "put it through, unpaid"} | REJECT,
    ),
    Input(
        "calls.repeat_calls",
        "A caller that has talked to its buyer already",
        "select",
        options=("connect", "reject"),
        default="connect",
        shown={"connect": "the same buyer again, unpaid"} | REJECT,
    ),
    Input(
        "calls.unannounced",
        "A caller that no ping announced",
        "select",
        options=("sell", "reject"),
        default="sell",
        shown={"sell": "sell it now"} | REJECT,
    ),
    Input(
        "calls.anonymous",
        "A caller without a number",
        "select",
        options=("accept", "reject"),
        default="accept",
        shown={"accept": "take it"} | REJECT,
    ),
    Input("calls.caller_must_match", "With a ring pool: only the lead's own caller id is put through", "check"),
    Input(
        "calls.fallback",
        "If the buyer does not take the call",
        "select",
        options=("as_posted", "try_all"),
        default="as_posted",
        shown={
            "as_posted": "dial the others, if the POST left the choice open",
            "try_all": "dial the others, also where the POST chose a buyer",
        },
    ),
    Input(
        "calls.last_resort",
        "Last resort",
        hint="This number is dialed, unpaid, when no buyer is left.",
        typed="number",
    ),
    Input("calls.say", "Sentence to a caller who is refused", hint="Nothing: the call is rejected."),
    Input("calls.max_ring_seconds", "All buyers together ring for, seconds", hint="Default: 120.", typed="whole"),
)

ENDPOINT = Form(
    (
        Group(
            "Endpoint",
            (
                Input("vanity_uri", "Vanity URI"),
                Input("offer", "Offer", "select"),
                Input(
                    "tracking",
                    "Tracking",
                    "select",
                    options=("ring_pool", "static", "shared"),
                    shown={"ring_pool": "Ring pool", "static": "Static numbers", "shared": "Shared numbers"},
                ),
                Input("ring_pool", "Ring pool", "select", "With numbers leased from one."),
                Input("bid_floor", "Bid floor", hint="Dollars; bids below it do not count.", typed="dollars"),
                Input(
                    "hold_seconds",
                    "Hold, seconds",
                    hint="With static or shared numbers; a pool has its own.",
                    typed="whole",
                ),
                Input("ping_ttl_seconds", "A ping is good for, seconds", hint="Default: 120.", typed="whole"),
                Input("default_region", "Country of numbers", hint="Default: US."),
                Input("require_auth_token", "A token is required", "check", default="true"),
                Input("require_caller_id", "caller_id is required on ping", "check"),
            ),
            always=True,
        ),
        Group(
            "Numbers of the endpoint",
            (
                _mapping(
                    "static_numbers",
                    "Static numbers",
                    "Traffic source",
                    "Number",
                    "With static numbers: one for each.",
                    typed=("", "number"),
                ),
                Input(
                    "shared_numbers",
                    "Shared numbers",
                    "long",
                    "With shared numbers, one in each line. Each serves all callers, a caller with one sale at a time.",
                    typed="numbers",
                ),
            ),
        ),
        Group("Calls", TAKES_CALLS, "What happens to the calls that come to its numbers."),
        MARGIN,
        Group(
            "Limits",
            tuple(
                Input(f"limits.{of}.{what}", f"{what.capitalize()} a minute, {label}", typed="whole")
                for of, label in (
                    ("user", "a user"),
                    ("traffic_source", "a traffic source"),
                    ("source_address", "an address without a token"),
                    ("endpoint", "each user and each such address"),
                )
                for what in ("pings", "posts")
            ),
        ),
        Group(
            "Numbers held at once",
            (
                Input("leases_per_caller", "By a caller", hint="Default: 2.", typed="whole"),
                Input("leases_per_address", "By an address without a token", hint="Default: 20.", typed="whole"),
            ),
            "For ring pools and shared numbers: a lease more is refused with too_many_leases. A pool has limits, too.",
        ),
        Group(
            "What publishers see",
            (
                Input(
                    "success_status", "Status of success", "select", options=("success", "accepted"), default="success"
                ),
                Input(
                    "validation",
                    "Validation",
                    "select",
                    f"Nothing: the offer's. {VALIDATION}",
                    options=("", "lenient", "strict"),
                ),
                Input("field_errors", "Errors of fields", "select", options=("by_field", "list"), default="by_field"),
                Input("instructions", "Instructions", "select", options=("public", "token"), default="public"),
                Input(
                    "buyer_columns",
                    "Columns of a buyer",
                    "lines",
                    f"One in each line, of {', '.join(get_args(Column))}. Nothing: the first six.",
                    typed="words",
                ),
                Input(
                    "allowed_origins",
                    "Allowed origins",
                    "lines",
                    "Of browsers; one in each line. Nothing: any.",
                    typed="words",
                ),
            ),
        ),
        Group(
            "Deadlines",
            (
                Input("ping_deadline_ms", "Of a ping, milliseconds", hint="Default: 1500.", typed="whole"),
                Input("post_deadline_ms", "Of a post, milliseconds", hint="Default: 4000.", typed="whole"),
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
                Input("hold_seconds", "Hold, seconds", hint="Until the call has to arrive.", typed="whole"),
                Input(
                    "cooldown_seconds", "Cooldown, seconds", hint="Before anyone else gets the number.", typed="whole"
                ),
                Input(
                    "overflow_number",
                    "Overflow number",
                    hint="Of calls that find none; nothing: refuse them.",
                    typed="number",
                ),
                Input(
                    "pool_share",
                    "Share of a user, percent",
                    hint="Default: 50. It holds with several publishers, or with an endpoint without a token.",
                    typed="whole",
                ),
                Input(
                    "address_share",
                    "Share of an address without a token, percent",
                    hint="Default: 25.",
                    typed="whole",
                ),
                Input(
                    "numbers",
                    "Numbers",
                    "long",
                    "A number or a range in each line, like (800) 555-0100 - (800) 555-0149.",
                    typed="numbers",
                ),
            ),
            always=True,
        ),
    )
)

PROVIDER = Form(
    (
        Group(
            "Provider",
            (
                Input("name", "Name", hint="A part of the addresses that the provider calls; it stays."),
                Input(
                    "kind",
                    "Kind",
                    "select",
                    options=("twilio", "telnyx", "local"),
                    shown={"twilio": "Twilio", "telnyx": "Telnyx", "local": "Local run"},
                ),
                Input("account", "Account", hint="Of Twilio the Account SID, AC and 32 letters and digits."),
                Input(
                    "token",
                    "Secret with its token",
                    hint="Like {secret.main}: a name, never the token. “ringpost secrets set main --provider” sets it.",
                ),
                Input(
                    "previous_token", "Secret with the earlier token", hint="Accepted, too, while the token is changed."
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
        Group(
            "Days",
            (
                Input(
                    "zone",
                    "Time zone",
                    "select",
                    hint="Default: UTC. Days of pages and reports begin and end by its clock.",
                    shown=ZONES_SHOWN,
                ),
            ),
            always=True,
        ),
        Group(SUPPRESSION.title, SUPPRESSION.parts, always=True),
        Group(
            "Retention",
            (
                Input("retention.lead_days", "Leads, days", hint="Default: 30.", typed="whole"),
                Input("retention.sale_days", "Sales without their leads, days", hint="Default: 395.", typed="whole"),
            ),
            "For how long they are kept.",
            always=True,
        ),
    )
)

FORMS: dict[Kind, Form] = {
    "account": ACCOUNT,
    "users": USER,
    "providers": PROVIDER,
    "ring_pools": RING_POOL,
    "offers": OFFER,
    "endpoints": ENDPOINT,
    "buyers": BUYER,
}
