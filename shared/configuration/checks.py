"""What has to hold between the values of a configuration."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from shared.configuration.compiling import IMPLICIT, compile_field
from shared.configuration.file import KEYS, Buyer, Configuration, ContactField, Endpoint, Offer
from shared.configuration.problems import Path, Problem, dotted_path
from shared.configuration.shapes import ANYWHERE
from shared.domain import caps, fields, filters, patterns
from shared.domain.filters import Filter

CONTROLS = ("ping_id", "buyer_id", "auth_token", "explain", "vanity_uri")
"""Parameters about the request: they never reach the lead, so they can be no contact fields."""

TRACKING_NEEDS: dict[str, tuple[str, ...]] = {
    "ring_pool": ("ring_pool",),
    "static": ("static_numbers", "hold_seconds"),
    "shared": ("shared_numbers", "hold_seconds"),
}
"""The keys of an endpoint that its kind of tracking needs, and others have no use for."""
ORDERED = ("integer", "decimal", "date", "text", "us_zip")
"""Types whose values can be more or less than another."""


def check(configuration: Configuration, unread: frozenset[tuple[str, str]]) -> Iterator[Problem]:
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
            yield Problem(path, f"`{name}` is taken by {dotted_path(first[name][:-1])}; each needs one of its own")
        else:
            first[name] = path


def _references_exist(configuration: Configuration, unread: frozenset[tuple[str, str]]) -> Iterator[Problem]:
    offers = {offer.name: offer for offer in configuration.offers}
    pools = {pool.name for pool in configuration.ring_pools}
    providers = {provider.name for provider in configuration.providers}
    for place, endpoint in enumerate(configuration.endpoints):
        if ("offers", endpoint.offer) in unread:
            pass
        elif endpoint.offer not in offers:
            yield Problem(("endpoints", place, "offer"), f"there is no offer `{endpoint.offer}`")
        elif not offers[endpoint.offer].buyers:
            yield Problem(("endpoints", place, "offer"), f"the offer `{endpoint.offer}` needs at least one buyer")
        if endpoint.calls and endpoint.calls.provider not in providers:
            at = ("endpoints", place, "calls", "provider")
            if ("providers", endpoint.calls.provider) not in unread:
                yield Problem(at, f"there is no provider `{endpoint.calls.provider}`")
        if endpoint.ring_pool and endpoint.ring_pool not in pools and ("ring_pools", endpoint.ring_pool) not in unread:
            yield Problem(("endpoints", place, "ring_pool"), f"there is no ring pool `{endpoint.ring_pool}`")


def _numbers_have_one_owner(configuration: Configuration) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    taken: dict[Path, list[str]] = {}
    for path, number, owner in owned_numbers(configuration):
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
            _, problems = fields.read([compile_field(field)], {field.name: text}, ANYWHERE)
            for sentence in problems.get(field.name, []):
                yield Problem((*at, key), sentence.removeprefix(f"{field.name} ").removesuffix("."))


def _rules_are_sound(configuration: Configuration, offer: Offer, buyer: Buyer, at: Path) -> Iterator[Problem]:
    if buyer.schedule:
        if not buyer.zone and not buyer.schedule.zone:
            yield Problem((*at, "schedule", "zone"), "is missing: the buyer's time zone, like America/New_York")
        if buyer.zone and buyer.schedule.zone not in (None, buyer.zone):
            yield Problem((*at, "schedule", "zone"), f"must be {buyer.zone}, the buyer's zone, or left out")
    endpoints = [endpoint for endpoint in configuration.endpoints if endpoint.offer == offer.name]
    here = [endpoint.vanity_uri for endpoint in endpoints]
    for endpoint in buyer.caps.by_endpoint if buyer.caps else ():
        if endpoint not in here:
            yield Problem((*at, "caps", "by_endpoint", endpoint), f"must be an endpoint of the offer {offer.name}")
    for endpoint, counted in {"": buyer.caps, **buyer.caps.by_endpoint}.items() if buyer.caps else ():
        takes_calls = any(each.calls for each in endpoints if endpoint in ("", each.vanity_uri))
        if message := caps.size_fault(counted.concurrent or 0, endpoint, takes_calls):
            of: Path = ("by_endpoint", endpoint) if endpoint else ()
            yield Problem((*at, "caps", *of, "concurrent"), message)
    for place, text in enumerate(buyer.filters):
        for message in _mistakes(filters.read(text), offer):
            yield Problem((*at, "filters", place), message)


def _mistakes(condition: Filter, offer: Offer) -> Iterator[str]:
    """What no lead could ever meet, as the offer's contact fields are normalized."""
    listed = {field.name: compile_field(field) for field in offer.contact_fields}
    every = IMPLICIT | listed
    spelled = {name.lower(): name for name in every}
    field = every.get(condition.name)
    if field is None:
        if right := spelled.get(condition.name.lower()):
            yield f"must be about `{right}`, as the contact field is written"
        return
    operand = filters.OPERATORS[condition.operator].operand
    if operand in (filters.ONE_VALUE, filters.SEVERAL_VALUES):
        for value in condition.operand:
            read, problems = fields.read([field], {field.name: value}, ANYWHERE)
            for sentence in problems.get(field.name, []):
                curly = "; write straight quotes" if re.search(filters.CURLY, value) else ""
                yield f"has `{value}`, but {sentence.removesuffix('.')}{curly}"
            if not problems and field.name not in read:
                yield f"has `{value}`, which counts as no value; use `{field.name} exists`"
            elif not problems and read[field.name].casefold() != value.casefold():
                yield f"must have `{read[field.name]}` in place of `{value}`, as the lead will have it"
    if operand is not filters.BOUND:
        return
    is_date = filters.DATE.fullmatch(condition.operand[0])
    if field.type not in ORDERED:
        yield f"has {condition.operator}, but {field.name} is of type {field.type}; it is for {', '.join(ORDERED)}"
    elif field.type == "date" and not is_date:
        yield f"must have a date after {condition.operator}, like 1985-03-27, as {field.name} is of type date"
    elif field.type not in ("date", "text") and is_date:
        yield f"must have a number after {condition.operator}, like 25, as {field.name} is of type {field.type}"


def _tracking_is_whole(endpoint: Endpoint, at: Path) -> Iterator[Problem]:
    needs = TRACKING_NEEDS[endpoint.tracking]
    not_for = [key for keys in TRACKING_NEEDS.values() for key in keys if key not in needs]
    for key in needs:
        if not getattr(endpoint, key):
            yield Problem((*at, key), f"is missing: `tracking: {endpoint.tracking}` needs it")
    for key in dict.fromkeys(not_for):
        if getattr(endpoint, key):
            yield Problem((*at, key), f"must be taken out: `tracking: {endpoint.tracking}` has no use for it")
    if endpoint.tracking == "shared" and endpoint.leases_per_caller > len(endpoint.shared_numbers) > 0:
        most = len(endpoint.shared_numbers)
        yield Problem(
            (*at, "leases_per_caller"),
            f"must be at most {most}, as there are `shared_numbers`: on each a caller has one sale at a time",
        )


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


def expand_numbers(entries: Iterable[str]) -> list[str]:
    """Every number of some numbers and ranges."""
    found = []
    for entry in entries:
        first, _, last = (end.strip() for end in entry.partition("-"))
        found += [f"+{number}" for number in range(int(first), int(last or first) + 1)]
    return found


def owned_numbers(configuration: Configuration) -> Iterator[tuple[Path, str, str]]:
    """Every number of ours: where it stands, itself, and whose it is."""
    for place, pool in enumerate(configuration.ring_pools):
        for among, entry in enumerate(pool.numbers):
            for number in expand_numbers([entry]):
                yield ("ring_pools", place, "numbers", among), number, f"ring pool {pool.name}"
        if pool.overflow_number:
            yield ("ring_pools", place, "overflow_number"), pool.overflow_number, f"overflow of {pool.name}"
    for place, endpoint in enumerate(configuration.endpoints):
        for source, number in endpoint.static_numbers.items():
            path: Path = ("endpoints", place, "static_numbers", source)
            yield path, number, f"endpoint {endpoint.vanity_uri}"
        for among, number in enumerate(endpoint.shared_numbers):
            at: Path = ("endpoints", place, "shared_numbers", among)
            yield at, number, f"shared numbers of endpoint {endpoint.vanity_uri}"
