"""What is valid in a configuration and probably does not do what is meant. It is told, never refused."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from shared.configuration import live_buyers, rules
from shared.configuration.checks import owned_numbers
from shared.configuration.compiling import IMPLICIT
from shared.configuration.file import Buyer, Configuration, ContactField, Endpoint, Offer
from shared.configuration.problems import Path, Problem
from shared.configuration.shapes import amount
from shared.domain import filters, patterns, schedule, templates, zones
from shared.domain.filters import Filter
from shared.domain.live_bids import FOUND
from shared.domain.states import STATE_CODES, US_STATES

LEAST_COOLDOWN_SECONDS = 5
LEAST_HOLD_SECONDS = 30
"""In which a caller has to dial."""
NOON, LAST_MINUTE = 12 * 60, 59
FOUR_DIGITS = re.compile(r"[0-9]{4}(?:-[0-9]{4})?")
ABOUT = {
    "us_zip": "zip|post(al|code)",
    "us_state": "state|region|province",
    "email": "mail",
    "phone": r"phone|caller|\bani\b|mobile",
    "date": "birth|dob",
}
"""By the type of a contact field, what names of such fields have in them."""
OF_CALLS = ("attempts", "connected", "converted")
"""Caps that count where an endpoint takes calls."""
ACCOUNTS = {"twilio": r"AC[0-9a-f]{32}", "telnyx": r"(?!AC[0-9a-f]{32}$).+", "local": ".+"}
"""What accounts look like at each kind of provider."""
LOCAL = re.compile(r"http://(localhost|127\.|\[::1\])")
NO_LITERAL = re.compile(r"\\[A-Za-z]|\[[^\]]*\]|\(\?[a-zA-Z:<>P]*[:>)]?")
WORDS_GROUP = re.compile(r"[^(]*\([A-Za-z_|]+\).*\(", re.DOTALL)
IN_NUMBERS = ("bid", "conversion_seconds", "expires_in_seconds")


def find_warnings(wanted: Configuration, now: int, within: Path = ()) -> list[Problem]:
    """Every warning, in the order of the file; only those about the record at `within`, and what is in it."""
    warnings = [
        *_of_account(wanted),
        *_of_providers(wanted),
        *_of_pools(wanted),
        *_of_offers(wanted, now, within),
        *_of_endpoints(wanted),
    ]
    return [warning for warning in warnings if warning.path[: len(within)] == within]


def _of_account(wanted: Configuration) -> Iterator[Problem]:
    yield from _of_zone(wanted.account.zone, ("account", "zone"))


def _of_providers(wanted: Configuration) -> Iterator[Problem]:
    for place, provider in enumerate(wanted.providers):
        if not re.fullmatch(ACCOUNTS[provider.kind], provider.account):
            message = f"does not look like an account of {provider.kind}: calls of another one are refused"
            yield Problem(("providers", place, "account"), message)
        if provider.previous_token == provider.token:
            yield Problem(("providers", place, "previous_token"), "is the token itself, and can be taken out")


def _of_pools(wanted: Configuration) -> Iterator[Problem]:
    for place, pool in enumerate(wanted.ring_pools):
        at: Path = ("ring_pools", place)
        if pool.hold_seconds < LEAST_HOLD_SECONDS:
            message = f"gives a caller {pool.hold_seconds} seconds to dial the number"
            yield Problem((*at, "hold_seconds"), message)
        if pool.cooldown_seconds < LEAST_COOLDOWN_SECONDS:
            message = (
                f"is under {LEAST_COOLDOWN_SECONDS} seconds: a call that comes late goes to the next caller's buyer"
            )
            yield Problem((*at, "cooldown_seconds"), message)


def _of_offers(wanted: Configuration, now: int, within: Path) -> Iterator[Problem]:
    ours = {number: owner for _, number, owner in owned_numbers(wanted)}
    for place, offer in enumerate(wanted.offers):
        endpoints = [endpoint for endpoint in wanted.endpoints if endpoint.offer == offer.name]
        if offer.margin:
            yield from _of_margin(offer, offer.margin, ("offers", place, "margin"))
        if offer.earns and _are_silent(endpoints):
            yield Problem(("offers", place, "earns"), NO_CALLS)
        for among, buyer in enumerate(offer.buyers):
            at: Path = ("offers", place, "buyers", among)
            if at[: len(within)] != within[: len(at)]:
                continue
            yield from _of_money(offer, buyer, endpoints, at)
            yield from _of_clock(buyer, now, at)
            yield from _of_sources(wanted, buyer.traffic_sources, (*at, "traffic_sources"))
            yield from _of_filters(offer, buyer, at)
            yield from _of_caps(buyer, at)
            yield from _of_pays(offer, buyer, endpoints, at)
            yield from _of_calls(buyer, endpoints, at)
            if buyer.number in ours:
                message = f"is a number of Ringpost's own, {ours[buyer.number]}: its calls would come back here"
                yield Problem((*at, "number"), message)
            if buyer.live:
                yield from _of_live(offer, buyer.live, endpoints, (*at, "live"))


def _of_endpoints(wanted: Configuration) -> Iterator[Problem]:
    offers = {offer.name: offer for offer in wanted.offers}
    ours = {number: owner for _, number, owner in owned_numbers(wanted)}
    for place, endpoint in enumerate(wanted.endpoints):
        at: Path = ("endpoints", place)
        if endpoint.margin:
            yield from _of_margin(offers[endpoint.offer], endpoint.margin, (*at, "margin"))
        if endpoint.require_auth_token and not any(user.role == "publisher" for user in wanted.users):
            yield Problem((*at, "require_auth_token"), "needs a publisher's token, and no user is a publisher")
        if not endpoint.require_auth_token:
            what = (
                f"can take numbers of ring pool {endpoint.ring_pool}" if endpoint.ring_pool else "can send leads here"
            )
            yield Problem((*at, "require_auth_token"), f"is false: anybody {what}")
        yield from _of_sources(wanted, endpoint.static_numbers, (*at, "static_numbers"))
        if endpoint.calls:
            yield from _of_taking_calls(endpoint, endpoint.calls, ours, (*at, "calls"))
        if endpoint.limits:
            yield from _of_limits(endpoint, endpoint.limits, (*at, "limits"))
        most = [buyer.max_bid if buyer.live else buyer.bid for buyer in offers[endpoint.offer].buyers]
        if all(cents and cents < endpoint.bid_floor for cents in most):
            yield Problem((*at, "bid_floor"), f"is above every bid of the offer {endpoint.offer}: nobody buys here")


def _of_limits(endpoint: Endpoint, limits: rules.Limits, at: Path) -> Iterator[Problem]:
    if _counts(limits.endpoint):
        message = "is an older name for each user, and each address without a token; say `user` and `source_address`"
        yield Problem((*at, "endpoint"), message)
    if not endpoint.require_auth_token and _counts(limits.user) and not _counts(limits.source_address):
        yield Problem((*at, "user"), "does not count requests without a token: `source_address` does")


def _counts(rates: rules.Rates) -> bool:
    return bool(rates.pings or rates.posts)


# Money and caps


def _of_money(offer: Offer, buyer: Buyer, endpoints: Iterable[Endpoint], at: Path) -> Iterator[Problem]:
    if buyer.bid == 0:
        yield Problem((*at, "bid"), "is 0.00: the buyer pays nothing")
    if buyer.max_bid == 0:
        yield Problem((*at, "max_bid"), "is 0.00, which means no limit; leave it out, or write the highest bid")
    for key, most in (("bid", buyer.bid), ("max_bid", buyer.max_bid)):
        for endpoint in endpoints:
            if most and most < endpoint.bid_floor:
                floor = f"{amount(endpoint.bid_floor)}, the bid_floor of endpoint {endpoint.vanity_uri}"
                yield Problem((*at, key), f"is below {floor}: the buyer never buys there")
    if offer.rank_by == "bid" and buyer.tier != 1:
        yield Problem((*at, "tier"), f"has no effect: the offer {offer.name} ranks its buyers by bid")


def _of_margin(offer: Offer, margin: rules.Margin, at: Path) -> Iterator[Problem]:
    for buyer in offer.buyers:
        if buyer.bid and not margin.compile().payout_cents(buyer.bid):
            yield Problem(at, f"keeps all of the {amount(buyer.bid)} that {buyer.name} bids: publishers see 0.00")
            return


def _of_caps(buyer: Buyer, at: Path) -> Iterator[Problem]:
    counted: list[tuple[Path, rules.Counted]] = [((*at, "caps"), buyer.caps)] if buyer.caps else []
    if buyer.caps:
        counted += [((*at, "caps", "by_endpoint", name), each) for name, each in buyer.caps.by_endpoint.items()]
    for path, caps in counted:
        for cap in caps.limits(""):
            here = (*path, "concurrent") if cap.kind == "concurrent" else (*path, cap.kind, cap.period)
            if cap.limit == 0:
                yield Problem(here, "is 0: the buyer never buys; `paused: true` says the same")
            elif cap.kind == "revenue" and buyer.bid and cap.limit < buyer.bid:
                yield Problem(here, f"is below {amount(buyer.bid)}, what one call costs the buyer: it never buys")


# Calls

NO_CALLS = "has no effect: no endpoint of the offer takes calls"


def _are_silent(endpoints: Collection[Endpoint]) -> bool:
    """Whether an offer has endpoints, and none takes calls."""
    return bool(endpoints) and not any(endpoint.calls for endpoint in endpoints)


def _of_pays(offer: Offer, buyer: Buyer, endpoints: Collection[Endpoint], at: Path) -> Iterator[Problem]:
    if not buyer.pays:
        return
    silent = next((endpoint.vanity_uri for endpoint in endpoints if not endpoint.calls), "")
    if silent and buyer.pays.on != "sale":
        message = f"has no effect at endpoint {silent}, which takes no calls: there the buyer pays for each sale"
        yield Problem((*at, "pays"), message)
    static = (endpoint.vanity_uri for endpoint in endpoints if endpoint.calls and endpoint.tracking == "static")
    sold_again = next(static, "")
    if sold_again and buyer.pays.on == "sale" and not (buyer.duplicates or offer.duplicates):
        message = f"is for each sale, and a caller can be sold again and again at endpoint {sold_again}; `duplicates`"
        yield Problem((*at, "pays"), f"{message} keeps the buyer from paying twice for one")


def _of_calls(buyer: Buyer, endpoints: Collection[Endpoint], at: Path) -> Iterator[Problem]:
    """What a buyer has for calls that never come to it, or end before it is heard."""
    silent = {endpoint.vanity_uri for endpoint in endpoints if not endpoint.calls}
    for cap in buyer.caps.compile() if buyer.caps else ():
        here = (*at, "caps", *(("by_endpoint", cap.endpoint) if cap.endpoint else ()), cap.kind, cap.period)
        if cap.kind in OF_CALLS and cap.endpoint in silent:
            yield Problem(here, "counts nothing: this endpoint takes no calls")
        elif cap.kind in OF_CALLS and not cap.endpoint and _are_silent(endpoints):
            yield Problem(here, "counts nothing: no endpoint of the offer takes calls")
    if buyer.dial and _are_silent(endpoints):
        yield Problem((*at, "dial"), NO_CALLS)
    for endpoint in endpoints:
        if buyer.dial and endpoint.calls and buyer.dial.timeout_seconds > endpoint.calls.max_ring_seconds:
            most = f"{endpoint.calls.max_ring_seconds}, the max_ring_seconds of endpoint {endpoint.vanity_uri}"
            yield Problem((*at, "dial", "timeout_seconds"), f"is above {most}: it never rings for so long")


def _of_taking_calls(
    endpoint: Endpoint, calls: rules.TakesCalls, ours: Mapping[str, str], at: Path
) -> Iterator[Problem]:
    if calls.last_resort and calls.last_resort in ours:
        message = f"is a number of Ringpost's own, {ours[calls.last_resort]}: its calls would come back here"
        yield Problem((*at, "last_resort"), message)
    if calls.caller_must_match and endpoint.tracking != "ring_pool":
        message = f"has no effect with `tracking: {endpoint.tracking}`, where the caller says which sale it is"
        yield Problem((*at, "caller_must_match"), message)


# Users


def _of_sources(wanted: Configuration, sources: Collection[str], at: Path) -> Iterator[Problem]:
    """Traffic sources that no user has, unless a publisher may name any."""
    publishers = [user for user in wanted.users if user.role == "publisher"]
    known = {source: None for user in publishers for source in user.traffic_sources}
    if not known or not all(user.traffic_sources for user in publishers):
        return
    for place, source in enumerate(sources):
        if source not in known:
            here = (*at, source) if isinstance(sources, Mapping) else (*at, place)
            yield Problem(here, f"no user has the traffic source `{source}`{_nearest(source, known)}")


# The clock


def _of_clock(buyer: Buyer, now: int, at: Path) -> Iterator[Problem]:
    opening = buyer.schedule
    yield from _of_zone(buyer.zone, (*at, "zone"))
    yield from _of_zone(opening.zone if opening else None, (*at, "schedule", "zone"))
    if not opening:
        return
    for key, listed in (("open", opening.open), ("open_on", opening.open_on)):
        for days, texts in listed.items():
            for place, text in enumerate(texts):
                for message in _of_row(text):
                    yield Problem((*at, "schedule", key, days, place), message)
    compiled, today = opening.compile(), schedule.local_time(buyer.zone or opening.zone or "UTC", now).date()
    if over := schedule.past_dates(compiled, today):
        yield Problem((*at, "schedule"), f"has dates that are over and can be taken out: {', '.join(over)}")
    if schedule.never_opens(compiled, today):
        yield Problem((*at, "schedule"), "never opens: no weekday has hours, and no date to come")


def _of_zone(zone: str | None, at: Path) -> Iterator[Problem]:
    if zone and (doubt := zones.doubt(zone)):
        yield Problem(at, f"`{zone}` {doubt}")


def _of_row(text: str) -> Iterator[str]:
    [row] = schedule.read_rows([text])
    last = row.last_minute % schedule.DAY_MINUTES
    if last % 60 == LAST_MINUTE:
        after = "24:00" if last + 1 == schedule.DAY_MINUTES else f"{(last + 1) // 60:02}:00"
        yield f"`{text}` misses the last minute; write {_clock(row.first_minute)}-{after}"
    if row.last_minute > schedule.DAY_MINUTES and last < NOON > row.first_minute and last + NOON > row.first_minute:
        hours = (row.last_minute - row.first_minute) // 60
        yield f"`{text}` is open for {hours} hours, until the next morning; {_clock(last + NOON)} is the afternoon"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# Filters


def _of_filters(offer: Offer, buyer: Buyer, at: Path) -> Iterator[Problem]:
    fields = {field.name: field for field in offer.contact_fields}
    read = [filters.read(text) for text in buyer.filters]
    for place, each in enumerate(read):
        for message in (*_of_name(each, fields), *_of_operand(each, fields.get(each.name))):
            yield Problem((*at, "filters", place), message)
    for name in dict.fromkeys(each.name for each in read):
        places = [place for place, each in enumerate(read) if each.name == name]
        stopped = _first_impossible([read[place] for place in places], fields.get(name))
        if stopped is not None:
            others = " and ".join(f"`{buyer.filters[place]}`" for place in places[:stopped])
            with_others = f", together with {others}" if others else ""
            yield Problem(
                (*at, "filters", places[stopped]), f"no lead passes `{buyer.filters[places[stopped]]}`{with_others}"
            )


def _of_name(each: Filter, fields: Mapping[str, ContactField]) -> Iterator[str]:
    if each.name not in IMPLICIT and each.name not in fields:
        yield f"`{each.name}` is no contact field of the offer{_nearest_field(each.name, fields)}"


def _of_operand(each: Filter, field: ContactField | None) -> Iterator[str]:
    kind, operand = filters.OPERATORS[each.operator].operand, each.operand
    if any(re.search(filters.CURLY, value) for value in operand):
        yield "has curly quotes, which are a part of the value; write straight ones, ' or \""
    if each.operator in ("zips", "not zips"):
        yield from (_of_short_zip(entry) for entry in operand if FOUR_DIGITS.fullmatch(entry))
    if kind in (filters.ONE_VALUE, filters.SEVERAL_VALUES) and re.search(ABOUT["us_zip"], each.name):
        yield from (f"`{value}` is no ZIP code; write 0{value}" for value in operand if re.fullmatch("[0-9]{4}", value))
    if kind is filters.EXPRESSION:
        yield from _of_pattern(operand[0])
    if field is None or (kind is not filters.BOUND and field.type != "text"):
        return
    if kind is filters.BOUND and field.type == "us_zip":
        yield "compares ZIP codes as numbers, and a ZIP code that begins with 0 is not a number; write zips: 010-027"
    if kind is filters.BOUND and field.type == "text":
        right = "date" if filters.DATE.fullmatch(operand[0]) else "integer"
        text = f"`{field.name}` is text, which publishers write as they like"
        yield f"compares {right}s, but {text}; change its type to {right}"
    states = [value for value in operand if value.casefold() in US_STATES or value.upper() in STATE_CODES]
    if states and kind in (filters.ONE_VALUE, filters.SEVERAL_VALUES) and "state" in field.name.casefold():
        yield f"`{field.name}` is text, and publishers may write {states[0]} in other ways; change its type to us_state"


def _of_short_zip(entry: str) -> str:
    first, _, last = entry.partition("-")
    whole = f"0{first}-0{last}" if last else f"0{first}"
    return f"`{entry}` means all ZIP codes from {first}0 to {last or first}9; write {whole} if a 0 was lost before it"


def _of_pattern(expression: str) -> Iterator[str]:
    if re.fullmatch(r"/.+/[a-z]?", expression):
        yield "has slashes around the pattern, which are a part of it; leave them out"
    if re.fullmatch(r"\^?[A-Za-z0-9]+\*", expression):
        start = expression.strip("^*")
        yield f"`{expression}` is a regular expression, in which * repeats the character before it; write ^{start}"


def _first_impossible(conditions: list[Filter], field: ContactField | None) -> int | None:
    """The place of the first condition with which no value is left, as far as that can be said."""
    if len(conditions) == 1 and conditions[0].operator in ("==", "in", "states", "exists"):
        return None
    if field and field.type in ("choice", "boolean", "us_state"):
        values = {"choice": field.choices, "boolean": ("true", "false"), "us_state": tuple(STATE_CODES)}[field.type]
        return _emptied(conditions, values)
    exact = [each for each in conditions if each.operator in ("==", "in")]
    if exact and len(conditions) > 1:
        return _emptied(conditions, exact[0].operand)
    bounds = [each for each in conditions if filters.OPERATORS[each.operator].operand is filters.BOUND]
    if not bounds or not (points := _points([each.operand[0] for each in bounds], field)):
        return None
    stopped = _emptied(bounds, points)
    return None if stopped is None else conditions.index(bounds[stopped])


def _emptied(conditions: list[Filter], values: Iterable[str]) -> int | None:
    left = [*values]
    for place, each in enumerate(conditions):
        _, holds = filters.test(each)
        left = [value for value in left if holds(value)]
        if not left:
            return place
    return None


def _points(bounds: list[str], field: ContactField | None) -> list[str]:
    """Values around and between bounds: if any number or date passes, one of these does. None where they are mixed."""
    dates = [bool(filters.DATE.fullmatch(bound)) for bound in bounds]
    if any(dates):
        days = sorted({date.fromisoformat(bound) for bound in bounds}) if all(dates) else []
        inside = [day for day in days if date.min < day < date.max]
        return [str(day + timedelta(days=n)) for day in inside for n in (-1, 0, 1)]
    low, high = (Decimal(edge) if edge else None for edge in (field and field.minimum, field and field.maximum))
    edges = sorted({*map(Decimal, bounds), *(edge for edge in (low, high) if edge is not None)})
    near = {edge + n for edge in edges for n in (-1, 0, 1)}
    if not (field and field.type == "integer"):
        near |= {(one + other) / 2 for one, other in pairwise(edges)}
    return [f"{point:f}" for point in sorted(near) if (low is None or point >= low) and (high is None or point <= high)]


# Live buyers


def _of_live(
    offer: Offer, live: live_buyers.LiveBuyerConfig, endpoints: Iterable[Endpoint], at: Path
) -> Iterator[Problem]:
    for key, url in (("ping_url", live.ping_url), ("post_url", live.post_url or "")):
        if url.startswith("http://") and not LOCAL.match(url):
            yield Problem((*at, key), "uses http; a deployed stage asks buyers by https only")
    if "timeout_ms" in live.model_fields_set:
        for endpoint in endpoints:
            if live.timeout_ms > endpoint.ping_deadline_ms:
                deadline = f"{endpoint.ping_deadline_ms}, the ping_deadline_ms of endpoint {endpoint.vanity_uri}"
                yield Problem((*at, "timeout_ms"), f"is above {deadline}: a later bid is ignored")
    yield from _of_lead_names(offer, live, at)
    if "{bid.reference}" in live.ping_url or _names_reference(live.ping and live.ping.fields):
        yield Problem((*at, "ping"), "has {bid.reference}, which is not known before the bid")
    if live.post and live.ping and _names_reference(live.post.fields) and not live.ping.reference:
        yield Problem((*at, "ping", "reference"), "is missing, so {bid.reference} of `post` is never sent")
    for step, exchange in (("ping", live.ping), ("post", live.post)):
        if exchange:
            yield from _of_places(exchange, (*at, step))


def _of_lead_names(offer: Offer, live: live_buyers.LiveBuyerConfig, at: Path) -> Iterator[Problem]:
    """What is sent, or kept back, under a name that is no contact field."""
    fields = {field.name: field for field in offer.contact_fields}
    named: list[tuple[Path, str]] = [((*at, "send", theirs), ours) for theirs, ours in (live.send or {}).items()]
    named += [((*at, "on_post_only", place), name) for place, name in enumerate(live.on_post_only)]
    sent: dict[str, Any] = {"ping_url": live.ping_url, "post_url": live.post_url, "parameters": live.parameters}
    sent |= {"headers": live.headers, "ping": live.ping and live.ping.fields, "post": live.post and live.post.fields}
    named += [((*at, key), name) for key, template in sent.items() for name in sorted(templates.lead_names(template))]
    for path, name in named:
        if name not in IMPLICIT and name not in fields:
            yield Problem(path, f"`{name}` is no contact field of the offer{_nearest_field(name, fields)}")


def _names_reference(template: Any) -> bool:
    if isinstance(template, Mapping):
        return any(map(_names_reference, template.values()))
    if isinstance(template, list | tuple):
        return any(map(_names_reference, template))
    return isinstance(template, str) and "{bid.reference}" in template


def _of_places(exchange: live_buyers.Exchange, at: Path) -> Iterator[Problem]:
    places = [((*at, name, n), name, place) for name in FOUND for n, place in enumerate(getattr(exchange, name))]
    places += [((*at, "accepted", n, "at"), "accepted", each.at) for n, each in enumerate(exchange.accepted)]
    for path, name, place in places:
        if place.startswith("$["):
            if place[2:3].isdecimal():
                yield Problem(path, f"`{place}` finds nothing: an answer must be a JSON object, not a list")
        elif place.startswith("/") and name in IN_NUMBERS:
            groups = patterns.pattern(place[1:-1]).groups
            if not groups and re.search("[A-Za-z]", NO_LITERAL.sub("", place)):
                yield Problem(path, f"`{place}` finds no number: put the number in parentheses")
            elif groups > 1 and WORDS_GROUP.match(place):
                yield Problem(path, f"`{place}` takes its first parentheses, which hold words; begin them with ?:")


def _nearest_field(name: str, fields: Mapping[str, ContactField]) -> str:
    """A hint at the contact field that is probably meant; nothing if none is alike."""
    kinds = [kind for kind, words in ABOUT.items() if re.search(words, name.casefold())]
    alike = [field.name for field in fields.values() if field.type in kinds]
    return _nearest(name, [*fields, *IMPLICIT]) or (f"; did you mean `{alike[0]}`?" if alike else "")


def _nearest(name: str, names: Iterable[str]) -> str:
    spelled = {other.casefold(): other for other in names}
    folded = name.casefold()
    inside = [other for other in spelled if len(other) > 2 and (other in folded or folded in other)]
    close = difflib.get_close_matches(folded, spelled, n=1) or inside
    return f"; did you mean `{spelled[close[0]]}`?" if close else ""
