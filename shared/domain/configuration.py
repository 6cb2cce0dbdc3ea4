"""The operator's configuration: the shape of its file, what has to hold in it, and the endpoints that it makes.

For tools and pages. The functions that publishers call never import it: pydantic is slow to start.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Struct
from msgspec.structs import replace
from pydantic import Field as Limits
from pydantic import ValidationError, model_validator

from shared.domain import bidding, fields, filters, models, patterns, rules
from shared.domain.filters import Filter
from shared.domain.shapes import (
    ANYWHERE,
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
    VanityUri,
    Zone,
)

MAX_ENDPOINTS = 98
"""All endpoints are switched in one transaction, which has 100 places: one is for the version, one for the log."""

CONTROLS = ("ping_id", "buyer_id", "auth_token", "explain", "vanity_uri")
"""Parameters about the request: they never reach the lead, so they can be no contact fields."""
IMPLICIT = {
    field.name: field
    for field in (
        models.Field(name="caller_id", type="phone"),
        models.Field(name="trackdrive_number", type="phone"),
        models.Field(name="traffic_source_id"),
    )
}
"""Fields that every offer has, listed or not."""

ORDERED = ("integer", "decimal", "date", "text", "us_zip")
"""Types whose values can be more or less than another."""

Path = tuple[str | int, ...]
Plain = dict[str, Any]
"""A part of the configuration as plain JSON, without the values that are defaults."""
Parts = dict[tuple[str, str], Plain]
"""The configuration as records, by section and name."""
ACCOUNT = ("account", "account")
"""The one record of its section."""


class Problem(Struct, frozen=True):
    """What is wrong, and where: `("offers", 0, "buyers", 2, "bid")` is `offers[0].buyers[2].bid`."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}"


class InvalidConfiguration(Exception):
    """The configuration cannot be used; `problems` are all of its mistakes."""

    def __init__(self, problems: Collection[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class Change(Struct, frozen=True, rename={"now": "is"}):
    """One path that differs; None is absent."""

    path: str
    was: Any
    now: Any


def dotted(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"


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
    live: bidding.Live | None = None
    max_bid: Money | None = None

    @model_validator(mode="after")
    def _bids_one_way(self) -> "Buyer":
        if (self.live is None) == (self.bid is None):
            raise ValueError("must have `bid`, or `live` in its place: a live buyer bids itself")
        if self.max_bid is not None and self.live is None:
            raise ValueError("must have `max_bid` only with `live`")
        return self


class Offer(Part):
    name: Name
    rank_by: Literal["bid", "tier"]
    contact_fields: tuple[ContactField, ...] = ()
    buyers: tuple[Buyer, ...] = ()
    suppression: tuple[ListName, ...] = ()
    duplicates: rules.Duplicates | None = None
    margin: rules.Margin | None = None


class Endpoint(Part):
    vanity_uri: VanityUri
    offer: str
    tracking: Literal["ring_pool", "static"]
    ring_pool: str | None = None
    static_numbers: Mapping[Label, Number] = {}
    hold_seconds: Annotated[int, Limits(ge=1, le=7 * DAY)] | None = None
    ping_ttl_seconds: Annotated[int, Limits(ge=10, le=DAY)] = 120
    bid_floor: Money = 0
    margin: rules.Margin | None = None
    limits: rules.Limits | None = None
    ping_deadline_ms: Annotated[int, Limits(ge=100, le=3500)] = 1500
    post_deadline_ms: Annotated[int, Limits(ge=100, le=4000)] = 4000
    default_region: Region = "US"
    require_auth_token: bool = True
    require_caller_id: bool = False
    success_status: Literal["success", "accepted"] = "success"
    field_errors: Literal["by_field", "list"] = "by_field"
    buyer_columns: Annotated[tuple[models.Column, ...], Limits(min_length=1)] = (
        "buyer_id", "id", "name", "bid", "bid_price", "ping_id",
    )  # fmt: skip
    allowed_origins: Annotated[tuple[Origin, ...], Limits(min_length=1)] = ("*",)
    instructions: Literal["public", "token"] = "public"


class Configuration(Part):
    """The whole file. Made by `read`, which also checks what the parts mean to each other."""

    account: Account = Account()
    users: tuple[User, ...] = ()
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
    "margin": rules.Margin,
    "limits": rules.Limits,
    "endpoint": rules.Rates,
    "traffic_source": rules.Rates,
    "source_address": rules.Rates,
    "live": bidding.Live,
    "ping": bidding.Exchange,
    "post": bidding.Exchange,
    "accepted": bidding.Accepted,
}
"""What a key holds that is no list of records."""
LISTS: dict[str, type[Part]] = {
    "users": User,
    "ring_pools": RingPool,
    "offers": Offer,
    "endpoints": Endpoint,
    "buyers": Buyer,
    "contact_fields": ContactField,
}
A_KEY = "[key]"
"""What pydantic adds to the path of a key that is wrong itself."""
KEYS = {"users": "name", "ring_pools": "name", "offers": "name", "endpoints": "vanity_uri"}
"""The sections, and what names a record of theirs."""


def read(document: object) -> Configuration:
    """The configuration in a file's plain values: text, or numbers and truth values where JSON has them.

    Raises `InvalidConfiguration` with every problem: those of single values, and those of the parts among each other
    as far as the parts can be read.
    """
    try:
        configuration = Configuration.model_validate(document)
    except ValidationError as invalid:
        found = invalid.errors(include_url=False)
        inside = {error["loc"][:-1] for error in found}  # pydantic finds a list too short if its entries are wrong
        errors = [
            Problem(tuple(step for step in error["loc"] if step != A_KEY), _message(error))
            for error in found
            if error["type"] != "too_short" or error["loc"] not in inside
        ]
        raise InvalidConfiguration([*errors, *_problems_of_the_rest(document, errors)]) from None
    if problems := list(_checks(configuration, frozenset())):
        raise InvalidConfiguration(problems)
    return configuration


def _message(error: Any) -> str:
    """What would be right, for one of pydantic's errors."""
    kind, limits, key = error["type"], error.get("ctx", {}), str(error["loc"][-1]) if error["loc"] else ""
    if kind == "extra_forbidden":
        inside = [part for step in error["loc"][:-1] if (part := (LISTS | PARTS).get(step))]
        known = (inside[-1] if inside else Configuration).model_fields
        close = difflib.get_close_matches(key, known, n=1)
        return f"unknown key `{key}`; " + (f"did you mean `{close[0]}`?" if close else f"there are {', '.join(known)}")
    if kind == "value_error":
        return str(limits["error"])
    if kind == "literal_error":
        return "must be one of " + ", ".join(re.findall("'([^']+)'", limits["expected"]))
    if kind == "missing":
        return "is missing"
    if error["input"] is None:
        return "has no value"
    if kind == "too_long":
        return f"must have at most {limits['max_length']} entries"
    said = MESSAGES.get(kind)
    return said.format(**limits) if said else str(error["msg"])


MESSAGES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be keys with values",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of usual size",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be keys with values",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_short": "must have at least one entry",
    "tuple_type": "must be a list",
}


def _problems_of_the_rest(document: object, errors: list[Problem]) -> list[Problem]:
    """What is wrong among the records that can be read, beside those that cannot."""
    unreadable = {_record(error.path) for error in errors if not error.path or error.path[0] in KEYS}
    if () in unreadable or not isinstance(document, dict):
        return []
    positions: dict[Path, list[int]] = {}

    def readable(entries: list[Any], path: Path) -> list[Any]:
        kept = positions[path] = [place for place in range(len(entries)) if (*path, place) not in unreadable]
        return [
            {
                key: readable(part, (*path, place, key)) if key in LISTS and isinstance(part, list) else part
                for key, part in entries[place].items()
            }
            for place in kept
        ]

    rest = Configuration.model_validate({key: readable(document[key], (key,)) for key in KEYS if key in document})
    unread = frozenset(
        (str(path[0]), str(record.get(KEYS[str(path[0])])))
        for path in unreadable
        if isinstance(record := document[path[0]][path[1]], dict)
    )

    def in_the_file(path: Path) -> Path:
        found: Path = ()
        for step in path:
            found = (*found, positions[found][step] if isinstance(step, int) and found in positions else step)
        return found

    return [Problem(in_the_file(problem.path), problem.message) for problem in _checks(rest, unread)]


def _record(path: Path) -> Path:
    """The smallest record that holds this path, () if none does."""
    ends = [end for end in range(1, len(path)) if path[end - 1] in LISTS and isinstance(path[end], int)]
    return path[: ends[-1] + 1] if ends else ()


def _checks(configuration: Configuration, unread: frozenset[tuple[str, str]]) -> Iterator[Problem]:
    """What has to hold between values. `unread` names the records of which not everything could be read."""
    yield from _names_are_unique(configuration)
    yield from _references_exist(configuration, unread)
    yield from _numbers_have_one_owner(configuration)
    for place, offer in enumerate(configuration.offers):
        yield from _fields_are_sound(offer, ("offers", place))
        for among, buyer in enumerate(offer.buyers):
            yield from _rules_are_sound(configuration, offer, buyer, ("offers", place, "buyers", among))
    for place, endpoint in enumerate(configuration.endpoints):
        yield from _tracking_is_whole(endpoint, ("endpoints", place))
    yield from _pings_end_before_their_hold(configuration)


def _names_are_unique(configuration: Configuration) -> Iterator[Problem]:
    for section, key in KEYS.items():
        named = [
            ((section, place, key), getattr(part, key)) for place, part in enumerate(getattr(configuration, section))
        ]
        yield from _unique(named)
    yield from _unique(
        (("offers", place, "buyers", among, "id"), buyer.id)
        for place, offer in enumerate(configuration.offers)
        for among, buyer in enumerate(offer.buyers)
    )
    for place, offer in enumerate(configuration.offers):
        yield from _unique(
            (("offers", place, "contact_fields", among, "name"), field.name.lower())
            for among, field in enumerate(offer.contact_fields)
        )


def _unique(named: Iterable[tuple[Path, object]]) -> Iterator[Problem]:
    first: dict[object, Path] = {}
    for path, name in named:
        if name in first:
            yield Problem(path, f"`{name}` is taken by {dotted(first[name][:-1])}; each needs one of its own")
        else:
            first[name] = path


def _references_exist(configuration: Configuration, unread: frozenset[tuple[str, str]]) -> Iterator[Problem]:
    offers = {offer.name: offer for offer in configuration.offers}
    pools = {pool.name for pool in configuration.ring_pools}
    for place, endpoint in enumerate(configuration.endpoints):
        if ("offers", endpoint.offer) in unread:
            pass
        elif endpoint.offer not in offers:
            yield Problem(("endpoints", place, "offer"), f"there is no offer `{endpoint.offer}`")
        elif not offers[endpoint.offer].buyers:
            yield Problem(("endpoints", place, "offer"), f"the offer `{endpoint.offer}` needs at least one buyer")
        if endpoint.ring_pool and endpoint.ring_pool not in pools and ("ring_pools", endpoint.ring_pool) not in unread:
            yield Problem(("endpoints", place, "ring_pool"), f"there is no ring pool `{endpoint.ring_pool}`")


def _numbers_have_one_owner(configuration: Configuration) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    taken: dict[Path, list[str]] = {}
    for path, number, owner in numbers(configuration):
        if number in owners:
            taken.setdefault(path, []).append(number)
        else:
            owners[number] = owner
    for path, twice in taken.items():
        more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
        yield Problem(path, f"{twice[0]}{more} belongs to {owners[twice[0]]} already; a number has one owner")


def _fields_are_sound(offer: Offer, path: Path) -> Iterator[Problem]:
    for place, field in enumerate(offer.contact_fields):
        at: Path = (*path, "contact_fields", place)
        name = field.name.lower()
        if name in CONTROLS:
            yield Problem((*at, "name"), f"`{name}` is about the request and cannot be a contact field")
        if name in IMPLICIT and name != field.name:
            yield Problem((*at, "name"), f"must be written `{name}`")
        if name in IMPLICIT and IMPLICIT[name].type == "phone" != field.type:
            yield Problem((*at, "type"), f"must be phone: `{name}` is a telephone number")
        yield from _limits_fit_the_type(field, at)


def _limits_fit_the_type(field: ContactField, at: Path) -> Iterator[Problem]:
    of_types = {
        "choices": ("choice",),
        "minimum": ("integer", "decimal"),
        "maximum": ("integer", "decimal"),
        "min_length": ("text",),
        "max_length": ("text",),
        "pattern": ("text",),
    }
    sound = True
    for key, types in of_types.items():
        if key in field.model_fields_set and field.type not in types:
            yield Problem((*at, key), f"is for fields of type {' and '.join(types)}; this one's is {field.type}")
    if field.type == "choice" and not field.choices:
        yield Problem((*at, "choices"), "must list the values that a choice can have")
        sound = False
    if field.minimum and field.maximum and Decimal(field.minimum) > Decimal(field.maximum):
        yield Problem((*at, "maximum"), f"must be at least {field.minimum}, the minimum")
        sound = False
    if field.min_length > field.max_length:
        yield Problem((*at, "max_length"), f"must be at least {field.min_length}, the min_length")
        sound = False
    try:
        patterns.pattern(field.pattern)
    except ValueError:
        yield Problem((*at, "pattern"), "must be a regular expression of RE2: no look-around, no back-references")
        sound = False
    for key in ("default", "example") if sound else ():
        if text := getattr(field, key):
            _, problems = fields.read([_field(field)], {field.name: text}, ANYWHERE)
            for sentence in problems.get(field.name, []):
                yield Problem((*at, key), sentence.removeprefix(f"{field.name} ").removesuffix("."))


def _rules_are_sound(configuration: Configuration, offer: Offer, buyer: Buyer, at: Path) -> Iterator[Problem]:
    if buyer.schedule:
        if not buyer.zone and not buyer.schedule.zone:
            yield Problem((*at, "schedule", "zone"), "is missing: the buyer's time zone, like America/New_York")
        if buyer.zone and buyer.schedule.zone not in (None, buyer.zone):
            yield Problem((*at, "schedule", "zone"), f"must be {buyer.zone}, the buyer's zone, or left out")
    here = [endpoint.vanity_uri for endpoint in configuration.endpoints if endpoint.offer == offer.name]
    for endpoint in buyer.caps.by_endpoint if buyer.caps else ():
        if endpoint not in here:
            yield Problem((*at, "caps", "by_endpoint", endpoint), f"must be an endpoint of the offer {offer.name}")
    for place, text in enumerate(buyer.filters):
        for message in _mistakes(filters.read(text), offer):
            yield Problem((*at, "filters", place), message)


def _mistakes(condition: Filter, offer: Offer) -> Iterator[str]:
    """What no lead could ever meet, as the offer's contact fields are normalised."""
    listed = {field.name: _field(field) for field in offer.contact_fields}
    every = IMPLICIT | listed
    spelled = {name.lower(): name for name in every}
    field = every.get(condition.name)
    if field is None:
        if right := spelled.get(condition.name.lower()):
            yield f"must be about `{right}`, as the contact field is written"
        return
    if condition.operator in ("==", "!=", "in", "not in"):
        for value in condition.operand:
            read, problems = fields.read([field], {field.name: value}, ANYWHERE)
            for sentence in problems.get(field.name, []):
                yield f"has `{value}`, but {sentence.removesuffix('.')}"
            if not problems and read[field.name].casefold() != value.casefold():
                yield f"must have `{read[field.name]}` in place of `{value}`, as the lead will have it"
    if condition.operator not in filters.ORDERED:
        return
    is_date = filters.DATE.fullmatch(condition.operand[0])
    if field.type not in ORDERED:
        yield f"has {condition.operator}, but {field.name} is of type {field.type}; it is for {', '.join(ORDERED)}"
    elif field.type == "date" and not is_date:
        yield f"must have a date after {condition.operator}, like 1985-03-27, as {field.name} is of type date"
    elif field.type not in ("date", "text") and is_date:
        yield f"must have a number after {condition.operator}, like 25, as {field.name} is of type {field.type}"


def _tracking_is_whole(endpoint: Endpoint, at: Path) -> Iterator[Problem]:
    pooled, static = ("ring_pool",), ("static_numbers", "hold_seconds")
    needs, not_for = (pooled, static) if endpoint.tracking == "ring_pool" else (static, pooled)
    for key in needs:
        if not getattr(endpoint, key):
            yield Problem((*at, key), f"is missing: `tracking: {endpoint.tracking}` needs it")
    for key in not_for:
        if getattr(endpoint, key):
            yield Problem((*at, key), f"must be taken out: `tracking: {endpoint.tracking}` has no use for it")


def _pings_end_before_their_hold(configuration: Configuration) -> Iterator[Problem]:
    """Otherwise a number could be free again while its ping can still be sold a second time."""
    pools = {pool.name: (place, pool) for place, pool in enumerate(configuration.ring_pools)}
    for place, endpoint in enumerate(configuration.endpoints):
        path: Path = ("endpoints", place, "hold_seconds")
        hold = endpoint.hold_seconds
        if endpoint.tracking == "ring_pool" and endpoint.ring_pool in pools:
            of_pool, pool = pools[endpoint.ring_pool]
            path, hold = ("ring_pools", of_pool, "hold_seconds"), pool.hold_seconds
        if hold and hold < endpoint.ping_ttl_seconds:
            yield Problem(
                path,
                f"must be at least {endpoint.ping_ttl_seconds}, the ping_ttl_seconds of endpoint {endpoint.vanity_uri}",
            )


def expanded(entries: Iterable[str]) -> list[str]:
    """Every number of some numbers and ranges."""
    found = []
    for entry in entries:
        first, _, last = (end.strip() for end in entry.partition("-"))
        found += [f"+{number}" for number in range(int(first), int(last or first) + 1)]
    return found


def numbers(configuration: Configuration) -> Iterator[tuple[Path, str, str]]:
    """Every number of ours: where it stands, itself, and whose it is."""
    for place, pool in enumerate(configuration.ring_pools):
        for among, entry in enumerate(pool.numbers):
            for number in expanded([entry]):
                yield ("ring_pools", place, "numbers", among), number, f"ring pool {pool.name}"
        if pool.overflow_number:
            yield ("ring_pools", place, "overflow_number"), pool.overflow_number, f"overflow of {pool.name}"
    for place, endpoint in enumerate(configuration.endpoints):
        for source, number in endpoint.static_numbers.items():
            path: Path = ("endpoints", place, "static_numbers", source)
            yield path, number, f"endpoint {endpoint.vanity_uri}"


def compiled(
    configuration: Configuration, pools: Mapping[str, models.RingPool], version: int
) -> dict[str, models.Endpoint]:
    """Every endpoint with all that a request needs, by vanity URI. `pools` are the ring pools with their shards."""
    offers = {offer.name: offer for offer in configuration.offers}
    users = tuple(
        models.User(user.name, user.role, user.traffic_sources)
        for user in sorted(configuration.users, key=lambda user: user.name)
    )
    return {
        endpoint.vanity_uri: _endpoint(endpoint, offers[endpoint.offer], configuration.account, users, pools, version)
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
        fields=_fields(offer, static=endpoint.tracking == "static"),
        buyers=tuple(_buyer(buyer, offer, endpoint.vanity_uri) for buyer in offer.buyers),
        users=users,
        ping_ttl_seconds=endpoint.ping_ttl_seconds,
        hold_seconds=pools[endpoint.ring_pool].hold_seconds if endpoint.ring_pool else endpoint.hold_seconds or 0,
        pool=pools[endpoint.ring_pool] if endpoint.ring_pool else None,
        static_numbers={number: source for source, number in endpoint.static_numbers.items()},
        default_region=endpoint.default_region,
        bid_floor_cents=endpoint.bid_floor,
        margin=margin.compiled() if margin else models.Margin(),
        suppression=tuple(dict.fromkeys((*account.suppression, *offer.suppression))),
        duplicate_seconds=offer.duplicates.seconds if offer.duplicates else 0,
        limits=endpoint.limits.compiled() if endpoint.limits else (),
        ping_deadline_ms=endpoint.ping_deadline_ms,
        post_deadline_ms=endpoint.post_deadline_ms,
        lead_seconds=account.retention.lead_days * DAY,
        sale_seconds=account.retention.sale_days * DAY,
        require_auth_token=endpoint.require_auth_token,
        require_caller_id=endpoint.require_caller_id,
        success_status=endpoint.success_status,
        field_errors=endpoint.field_errors,
        buyer_columns=endpoint.buyer_columns,
        allowed_origins=endpoint.allowed_origins,
        instructions=endpoint.instructions,
    )


def _fields(offer: Offer, static: bool) -> tuple[models.Field, ...]:
    listed = {field.name: _field(field) for field in offer.contact_fields}
    every = listed | {name: field for name, field in IMPLICIT.items() if name not in listed}
    also_on: dict[str, models.Step] = {"trackdrive_number": "ping", "caller_id": "post"} if static else {}
    return tuple(
        replace(field, required_on=(*field.required_on, also_on[name]))
        if name in also_on and also_on[name] not in field.required_on
        else field
        for name, field in every.items()
    )


def _field(field: ContactField) -> models.Field:
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


def buyers(configuration: Configuration) -> list[tuple[str, models.Buyer]]:
    """Every buyer with the name of its offer, and with its caps of all endpoints."""
    return [(offer.name, _buyer(buyer, offer, "")) for offer in configuration.offers for buyer in offer.buyers]


def _buyer(buyer: Buyer, offer: Offer, endpoint: str) -> models.Buyer:
    caps = buyer.caps.compiled() if buyer.caps else ()
    return models.Buyer(
        id=buyer.id,
        name=buyer.name,
        bid_cents=buyer.bid or 0,
        number=buyer.number,
        tier=buyer.tier,
        weight=buyer.weight,
        paused=buyer.paused,
        conversion_seconds=buyer.conversion_seconds,
        zone=buyer.zone or (buyer.schedule and buyer.schedule.zone) or "UTC",
        schedule=buyer.schedule.compiled() if buyer.schedule else None,
        traffic_sources=buyer.traffic_sources,
        filters=tuple(map(filters.read, buyer.filters)),
        suppression=buyer.suppression,
        duplicate_seconds=buyer.duplicates.seconds if buyer.duplicates else 0,
        live=buyer.live.compiled([field.name for field in offer.contact_fields], buyer.max_bid or 0)
        if buyer.live
        else None,
        caps=tuple(cap for cap in caps if not endpoint or cap.endpoint in ("", endpoint)),
    )


def parts(configuration: Configuration) -> Parts:
    account = configuration.account.model_dump(mode="json", exclude_defaults=True)
    return ({ACCOUNT: account} if account else {}) | {
        (section, getattr(part, key)): part.model_dump(mode="json", exclude_defaults=True)
        for section, key in KEYS.items()
        for part in getattr(configuration, section)
    }


def document(records: Parts) -> dict[str, Any]:
    """The file of which these are the parts, as plain values."""
    listed = {section: [part for (of, _), part in records.items() if of == section] for section in KEYS}
    return {"account": records.get(ACCOUNT, {}), **listed}


def whole(records: Parts) -> Configuration:
    """The configuration of which these are the parts."""
    return Configuration.model_validate(document(records))


def changes(was: Parts, now: Parts) -> list[Change]:
    """Every path that differs, in the order of `now`, then what is gone. Records go by their names and ids, so that one
    more at the top moves none."""
    return [
        change
        for section, name in dict.fromkeys([*now, *was])
        for change in _differences(
            section if section == name else f"{section}[{name}]", was.get((section, name)), now.get((section, name))
        )
    ]


def _differences(path: str, was: Any, now: Any) -> Iterator[Change]:
    if was == now:
        return
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*now, *was]):
            yield from _differences(f"{path}.{key}", was.get(key), now.get(key))
    elif (before := by_name(was)) and (after := by_name(now)):
        for name in dict.fromkeys([*after, *before]):
            yield from _differences(f"{path}[{name}]", before.get(name), after.get(name))
        stayed = [[name for name in names if name in before and name in after] for names in (before, after)]
        if stayed[0] != stayed[1]:
            yield Change(f"{path} in order", *stayed)
    else:
        yield Change(path, was, now)


def by_name(value: object) -> dict[str, Plain]:
    """A list of buyers or contact fields by what names them; empty for any other value."""
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return {}
    return {str(part.get("id", part["name"])): part for part in value}
