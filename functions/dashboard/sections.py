"""What lists and pages tell of each kind beside its settings, and what can be done at once: pause a buyer, issue a
token."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from msgspec import ValidationError, convert
from msgspec.structs import replace

from functions.dashboard import today
from functions.dashboard.section_page import Section
from shared import configuration
from shared.configuration import Plain
from shared.domain import erlang, schedule
from shared.domain.models import Buyer
from shared.domain.objections import Malformed, NotValid, Refused
from shared.journal.counts import Waits
from shared.office import plots
from shared.office.dashboard import OURS, ROOT, Page, Redirect, View, Visit
from shared.office.plots import Plot, Series
from shared.office.visitors import VisitedOffice
from shared.operators import access, forecast, issued_tokens, pools, resources, trying
from shared.operators.access import EVERYBODY, OPERATORS, Office
from shared.operators.account import account_zone
from shared.operators.pools import LastDay
from shared.operators.resources import Resource
from shared.publishers import posting_instructions

ADDRESSES = (("A call comes in", "voice"), ("That address fails", "again"), ("The call's status changes", "status"))
"""What a provider calls by itself, and the step of each."""

WAITS = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600)
"""Within how many seconds calls came."""

# Offers


def _offers(office: Office, _: list[Plain]) -> Mapping[str, Any]:
    parts = office.records.versions.last_read().parts
    endpoints: dict[str, list[str]] = {}
    for (section, name), part in parts.items():
        if section == "endpoints":
            endpoints.setdefault(part["offer"], []).append(name)
    buyers = {name: len(part.get("buyers", ())) for (section, name), part in parts.items() if section == "offers"}
    return {"endpoints": endpoints, "buyers": buyers}


def _offer(office: Office, _: Visit, found: Resource) -> Mapping[str, Any]:
    offers = _offers(office, [])
    return {"buyers": offers["buyers"][found.name], "endpoints": offers["endpoints"].get(found.name, [])}


# Buyers


def _buyers(office: Office, listed: list[Plain]) -> Mapping[str, Any]:
    compiled = forecast.buyers(office.records.versions.last_read().parts, listed)
    now = office.records.now()
    return {
        "states": {name: _state(buyer, now) for name, buyer in compiled.items()},
        "fullest": {
            str(buyer_id): max(gauges, key=lambda gauge: gauge.percent)
            for buyer_id, gauges in forecast.gauges_of(office.records, list(compiled.values())).items()
        },
    }


def _state(buyer: Buyer, now: int) -> str:
    if buyer.paused:
        return "paused"
    if buyer.schedule is None:
        return "always open"
    if not any(buyer.schedule.week) and not any(buyer.schedule.dates.values()):
        return "never open"
    return "open" if schedule.is_open(buyer.schedule, schedule.local_time(buyer.zone, now)) else "closed"


def _buyer(office: Office, _: Visit, found: Resource) -> Mapping[str, Any]:
    buyer = forecast.buyers(office.records.versions.last_read().parts, [found.content])[found.name]
    now, opening = office.records.now(), buyer.schedule
    return {
        "buyer": buyer,
        "state": _state(buyer, now),
        "gauges": forecast.gauges_of(office.records, [buyer]).get(buyer.id, []),
        "hours": forecast.hours(opening, now, [*dict.fromkeys([buyer.zone, "UTC"])]) if opening else [],
        "findings": schedule.findings_of_now(opening, buyer.zone, now) if opening else [],
    }


def _pause(office: Office, visit: Visit) -> Redirect:
    resources.pause(office.records, visit.user.name, visit.path["name"], paused=visit.values.get("paused") == "true")
    back = visit.values.get("back", "")
    return Redirect(back if OURS.fullmatch(back) else f"{ROOT}/buyers/{visit.path['name']}")


# Endpoints


def _endpoints(_: Office, __: list[Plain]) -> Mapping[str, Any]:
    return {}


def _endpoint(office: Office, visit: Visit, found: Resource) -> Mapping[str, Any]:
    live = office.records.versions.last_read()
    needed = [
        ("endpoints", found.name),
        ("offers", found.content["offer"]),
        ("ring_pools", found.content.get("ring_pool", "")),
    ]
    some = configuration.from_records({key: live.parts[key] for key in needed if key in live.parts})
    trial = trying.trial(office, configuration.compile_endpoints(some, live.pools, live.version)[found.name])
    return {"guide": posting_instructions.guide(trial.endpoint, visit.base), "trial": trial}


# Providers


def _providers(office: Office, _: list[Plain]) -> Mapping[str, Any]:
    endpoints: dict[str, list[str]] = {}
    for (section, name), part in office.records.versions.last_read().parts.items():
        if section == "endpoints" and (calls := part.get("calls")):
            endpoints.setdefault(calls["provider"], []).append(name)
    return {"endpoints": endpoints}


def _provider(office: Office, visit: Visit, found: Resource) -> Mapping[str, Any]:
    endpoints = _providers(office, [])["endpoints"].get(found.name, [])
    addresses = [(what, f"{visit.base}/calls/{found.name}/{step}") for what, step in ADDRESSES]
    return {"endpoints": endpoints, "addresses": addresses}


# Ring pools


def _ring_pools(office: Office, listed: list[Plain]) -> Mapping[str, Any]:
    return {"uses": pools.uses(office.records, [pool["name"] for pool in listed])}


def _ring_pool(office: Office, visit: Visit, found: Resource) -> Mapping[str, Any]:
    try:
        day = pools.last_day(office, found.name)
    except (NotValid, Refused):  # without it there is still the form
        day = LastDay([], Waits({}))
    hours = day.hours
    asked = visit.query.get("sales_per_hour", "")
    busiest = max((hour.leases + hour.exhausted for hour in hours), default=0)
    sales = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else busiest
    sales = min(sales, pools.MAX_SALES_PER_HOUR)
    hold = pools.recommend_hold(office, found.name, day.waits, sales)
    use, numbers = pools.look_at_pool(office.records, found.name, sales, after=visit.query.get("after", ""))
    return {
        "use": use,
        "numbers": numbers,
        "hours": [hour for hour in hours if hour.leases or hour.exhausted],
        "are_readable": bool(hours),
        "plot": today.plot_pool("Use in the last 24 hours", hours) if hours else None,
        "waits": day.waits,
        "wait_plot": _plot_waits(day.waits) if day.waits.calls else None,
        "wait_rows": _rows_of_waits(day.waits),
        "hold": hold,
        "enough_calls": pools.ENOUGH_CALLS,
        "zone": account_zone(office),
        "percent": round(100 * erlang.BLOCKING),
    }


def _plot_waits(waits: Waits) -> Plot:
    counted = [waits.within(seconds) for seconds in WAITS]
    each = [after - before for before, after in pairwise([0, *counted, waits.calls])]
    labels = [f"{seconds} s" for seconds in WAITS]
    return plots.groups("Seconds from POST to the call", Series("Calls", each), [*labels, "later"])


def _rows_of_waits(waits: Waits) -> list[tuple[str, int]]:
    """Within how long how many calls came, as far as there were more."""
    rows = [(f"{seconds} s", waits.within(seconds)) for seconds in WAITS]
    rows.append(("any time", waits.calls))
    all_came = [calls for _, calls in rows].index(waits.calls)
    return [row for row in rows[: all_came + 1] if row[1]]


# Users


def _users(_: Office, __: list[Plain]) -> Mapping[str, Any]:
    return {}


def _user(office: Office, visit: Visit, found: Resource) -> Mapping[str, Any]:
    return {
        "tokens": issued_tokens.list_tokens(office, visit.reader, found.name),
        "issued": None,
        "own_scope": issued_tokens.OF_ROLE[found.content["role"]],
        "now": office.records.now(),
        "wrong": {},
        "given": {},
    }


def _own(visit: Visit) -> None:
    access.check_own(visit.reader, visit.path["name"])


def _issue(office: Office, visit: Visit) -> Page:
    given = {name: visit.values.get(name, "") for name in ("name", "scope", "expires")}
    found = resources.find_resource(office.records, "users", visit.path["name"])
    try:
        wanted = convert(given | {"scope": given["scope"] or None}, issued_tokens.WantedToken)
        issued = issued_tokens.issue(office.records, visit.user.name, found.name, wanted)
    except ValidationError as wrong:
        raise Malformed(str(wrong)) from None
    except NotValid as wrong:
        return replace(USERS.page_of(office, visit, found, wrong=wrong.errors, given=given), code=422)
    return USERS.page_of(office, visit, found, issued=issued)


def _revoke(office: Office, visit: Visit) -> Redirect:
    name = visit.path["name"]
    issued_tokens.revoke(office.records, visit.user.name, name, visit.path["token_id"])
    return Redirect(f"{ROOT}/users/{name}#tokens")


USERS = Section("users", _users, _user, EVERYBODY, _own)
SECTIONS = (
    Section("offers", _offers, _offer),
    Section("buyers", _buyers, _buyer),
    Section("endpoints", _endpoints, _endpoint),
    Section("ring_pools", _ring_pools, _ring_pool),
    Section("providers", _providers, _provider),
    USERS,
)

VIEWS: tuple[View[VisitedOffice], ...] = (
    *(view for section in SECTIONS for view in section.views),
    View("POST", "/buyers/{name}/pause", _pause, OPERATORS),
    View("POST", "/users/{name}/tokens", _issue, OPERATORS),
    View("POST", "/users/{name}/tokens/{token_id}/revoke", _revoke, OPERATORS),
)
