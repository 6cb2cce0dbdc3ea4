"""What lists and pages tell of each kind beside its settings, and what can be done at once: pause a buyer, issue a
token."""

from collections.abc import Mapping
from typing import Any

from functions.dashboard import today
from functions.dashboard.parts import Section
from shared.domain import configuration, erlang, schedule
from shared.domain.configuration import Plain
from shared.domain.models import DAY, Buyer
from shared.edge import instructions
from shared.edge.desk import OURS, ROOT, Elsewhere, Shown, View, Visit
from shared.operators import access, outlook, pools, resources, tokens
from shared.operators.access import EVERYBODY, OPERATORS
from shared.operators.desk import Desk
from shared.operators.resources import Resource
from shared.operators.watching import Use
from shared.store.journal import PoolHour

# Offers


def _offers(desk: Desk, _: list[Plain]) -> Mapping[str, Any]:
    parts = desk.records.last_seen().parts
    endpoints: dict[str, list[str]] = {}
    for (section, name), part in parts.items():
        if section == "endpoints":
            endpoints.setdefault(part["offer"], []).append(name)
    buyers = {name: len(part.get("buyers", ())) for (section, name), part in parts.items() if section == "offers"}
    return {"endpoints": endpoints, "buyers": buyers}


def _offer(desk: Desk, _: Visit, found: Resource) -> Mapping[str, Any]:
    told = _offers(desk, [])
    return {"buyers": told["buyers"][found.name], "endpoints": told["endpoints"].get(found.name, [])}


# Buyers


def _buyers(desk: Desk, listed: list[Plain]) -> Mapping[str, Any]:
    compiled = outlook.buyers(desk.records.last_seen().parts, listed)
    now = desk.records.now()
    return {
        "states": {name: _state(buyer, now) for name, buyer in compiled.items()},
        "fullest": {
            str(buyer_id): max(gauges, key=lambda gauge: gauge.percent)
            for buyer_id, gauges in outlook.counted(desk.records, list(compiled.values())).items()
        },
    }


def _state(buyer: Buyer, now: int) -> str:
    if buyer.paused:
        return "paused"
    if buyer.schedule is None:
        return "always open"
    return "open" if schedule.is_open(buyer.schedule, schedule.local_time(buyer.zone, now)) else "closed"


def _buyer(desk: Desk, _: Visit, found: Resource) -> Mapping[str, Any]:
    buyer = outlook.buyers(desk.records.last_seen().parts, [found.content])[found.name]
    now, opening = desk.records.now(), buyer.schedule
    return {
        "buyer": buyer,
        "state": _state(buyer, now),
        "gauges": outlook.counted(desk.records, [buyer]).get(buyer.id, []),
        "hours": outlook.hours(opening, now, [*dict.fromkeys([buyer.zone, "UTC"])]) if opening else [],
        "findings": schedule.findings(opening, buyer.zone, now) if opening else [],
    }


def _pause(desk: Desk, visit: Visit) -> Elsewhere:
    resources.pause(desk.records, visit.user.name, visit.path["name"], paused=visit.values.get("paused") == "true")
    back = visit.values.get("back", "")
    return Elsewhere(back if OURS.fullmatch(back) else f"{ROOT}/buyers/{visit.path['name']}")


# Endpoints


def _endpoints(_: Desk, __: list[Plain]) -> Mapping[str, Any]:
    return {}


def _endpoint(desk: Desk, visit: Visit, found: Resource) -> Mapping[str, Any]:
    live = desk.records.last_seen()
    needed = [
        ("endpoints", found.name),
        ("offers", found.content["offer"]),
        ("ring_pools", found.content.get("ring_pool", "")),
    ]
    some = configuration.whole({key: live.parts[key] for key in needed if key in live.parts})
    endpoint = configuration.compiled(some, live.pools, live.version)[found.name]
    return {"guide": instructions.guide(endpoint, visit.base)}


# Ring pools


def _ring_pools(desk: Desk, listed: list[Plain]) -> Mapping[str, Any]:
    return {"uses": pools.uses(desk.records, [pool["name"] for pool in listed])}


def _ring_pool(desk: Desk, visit: Visit, found: Resource) -> Mapping[str, Any]:
    hours, day = _recent(desk, found.name), desk.records.now() // DAY * DAY
    asked = visit.query.get("sales_per_hour", "")
    busiest = max((hour.leases + hour.exhausted for hour in hours), default=0)
    sales = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else busiest
    sales = min(sales, pools.MAX_SALES_PER_HOUR)
    use, numbers = pools.seen(desk.records, found.name, sales, after=visit.query.get("after", ""))
    return {
        "use": use,
        "numbers": numbers,
        "hours": hours,
        "plot": today.pool(Use("Use today", [hour for hour in hours if hour.at >= day]), day),
        "percent": round(100 * erlang.BLOCKING),
    }


def _recent(desk: Desk, pool: str) -> list[PoolHour]:
    """Its last 24 hours that had any sales."""
    now = desk.records.now()
    return [hour for hour in desk.journal.pools(now - DAY, now + 1) if hour.pool == pool]


# Users


def _users(_: Desk, __: list[Plain]) -> Mapping[str, Any]:
    return {}


def _user(desk: Desk, visit: Visit, found: Resource) -> Mapping[str, Any]:
    return {"tokens": tokens.listed(desk.records, visit.user, found.name), "issued": None}


def _own(visit: Visit) -> None:
    access.check_own(visit.user, visit.path["name"])


def _issue(desk: Desk, visit: Visit) -> Shown:
    issued = tokens.issue(desk.records, visit.user.name, visit.path["name"])
    found = resources.one(desk.records, "users", visit.path["name"])
    return USERS.shown(desk, visit, found, issued=issued)


def _revoke(desk: Desk, visit: Visit) -> Elsewhere:
    name = visit.path["name"]
    tokens.revoke(desk.records, visit.user.name, name, visit.path["token_id"])
    return Elsewhere(f"{ROOT}/users/{name}#tokens")


USERS = Section("users", _users, _user, EVERYBODY, _own)
SECTIONS = (
    Section("offers", _offers, _offer),
    Section("buyers", _buyers, _buyer),
    Section("endpoints", _endpoints, _endpoint),
    Section("ring_pools", _ring_pools, _ring_pool),
    USERS,
)

VIEWS: tuple[View[Desk], ...] = (
    *(view for section in SECTIONS for view in section.views),
    View("POST", "/buyers/{name}/pause", _pause, OPERATORS),
    View("POST", "/users/{name}/tokens", _issue, OPERATORS),
    View("POST", "/users/{name}/tokens/{token_id}/revoke", _revoke, OPERATORS),
)
