"""The rules of who may buy, as an operator writes them: what they become, and every mistake with its right form."""

from typing import Any

import pytest

from shared.configuration import InvalidConfiguration, compile_endpoints, read, records_of
from shared.domain import filters, models, schedule
from shared.domain.caps import Cap
from shared.domain.models import Limit, Margin
from tests.configurations import Plain, a_buyer, a_contact_field, a_document, an_endpoint, an_offer

POOL = models.RingPool(no=7, name="auto-us", hold_seconds=300, cooldown_seconds=60, shards=())
NEW_YORK = "America/New_York"
HOURS = {"zone": NEW_YORK, "open": {"mon-fri": ["09:00-17:00"]}}
DAY = 24 * 3600


def with_buyer(**rules: Any) -> Plain:
    fields = [
        a_contact_field(name="caller_id", type="phone"),
        a_contact_field(name="state", type="us_state"),
        a_contact_field(name="zip", type="us_zip"),
        a_contact_field(name="age", type="integer"),
        a_contact_field(name="born", type="date"),
        a_contact_field(name="insured", type="boolean"),
        a_contact_field(name="coverage", type="choice", choices=["liability", "full"]),
    ]
    return a_document(offers=[an_offer(contact_fields=fields, buyers=[a_buyer(**rules)])])


def with_offer(**rules: Any) -> Plain:
    return a_document(offers=[an_offer(**rules)])


def with_endpoint(**rules: Any) -> Plain:
    return a_document(endpoints=[an_endpoint(**rules)])


def the_endpoint(document: Plain) -> models.Endpoint:
    return compile_endpoints(read(document), {"auto-us": POOL}, 1)["my_endpoint"]


def the_buyer(**rules: Any) -> models.Buyer:
    return the_endpoint(with_buyer(**rules)).buyers[0]


def problems(document: Plain) -> dict[str, str]:
    with pytest.raises(InvalidConfiguration) as invalid:
        read(document)
    return {str(problem).partition(": ")[0]: problem.message for problem in invalid.value.problems}


def test_a_buyer_without_rules_has_none() -> None:
    buyer = the_buyer()
    assert (buyer.schedule, buyer.filters, buyer.caps, buyer.zone) == (None, (), (), "UTC")


def test_a_schedule_is_on_the_buyers_clock() -> None:
    buyer = the_buyer(schedule=HOURS | {"closed_on": ["2026-12-25"], "open_on": {"2026-12-24": ["09:00-12:00"]}})
    week = schedule.read_week({"mon-fri": ["09:00-17:00"]})
    dates = {"2026-12-25": (), "2026-12-24": schedule.read_rows(["09:00-12:00"])}
    assert (buyer.zone, buyer.schedule) == (NEW_YORK, schedule.Schedule(week, dates))
    hours = {"open": HOURS["open"]}
    assert the_buyer(zone=NEW_YORK, schedule=hours) == the_buyer(schedule=HOURS)


def test_filters_are_read_once_and_for_all() -> None:
    texts = ["state in [TX, FL]", "age >= 25"]
    assert the_buyer(filters=texts).filters == tuple(map(filters.read, texts))
    unquoted = [{"states": "TX, FL"}, {"zips": ["303", "30340"]}]
    assert the_buyer(filters=unquoted) == the_buyer(filters=["states: TX, FL", "zips: 303, 30340"])


def test_caps_of_an_endpoint_are_compiled_into_that_endpoint_only() -> None:
    caps = {
        "sales": {"hour": 10, "total": 0},
        "concurrent": 5,
        "revenue": {"day": "1500.00"},
        "by_endpoint": {"my_endpoint": {"sales": {"day": 3}}, "another": {"concurrent": 1}},
    }
    document = with_buyer(caps=caps) | {"endpoints": [an_endpoint(), an_endpoint(vanity_uri="another")]}
    endpoints = compile_endpoints(read(document), {"auto-us": POOL}, 1)
    everywhere = {Cap("sales", 10, "hour"), Cap("sales", 0, "total"), Cap("revenue", 150_000, "day")}
    assert set(endpoints["my_endpoint"].buyers[0].caps) == {
        *everywhere,
        Cap("concurrent", 5),
        Cap("sales", 3, "day", "my_endpoint"),
    }
    assert endpoints["another"].buyers[0].caps[-2:] == (Cap("concurrent", 5), Cap("concurrent", 1, endpoint="another"))


def test_windows_lists_and_limits() -> None:
    document = with_offer(duplicates={"window_days": 30}, suppression=["dnc", "litigators"]) | {
        "account": {"suppression": ["dnc"]},
        "endpoints": [an_endpoint(limits={"endpoint": {"pings": 600}, "source_address": {"pings": 5, "posts": 2}})],
    }
    endpoint = the_endpoint(document)
    assert (endpoint.duplicate_seconds, endpoint.suppression) == (30 * DAY, ("dnc", "litigators"))
    assert endpoint.limits == (Limit("endpoint", 600), Limit("source_address", 5, 2))
    assert the_buyer(duplicates={"window_hours": 72}).duplicate_seconds == 3 * DAY
    assert records_of(read(document))["account", "account"] == {"suppression": ["dnc"]}


def test_the_margin_of_an_endpoint_goes_before_that_of_its_offer() -> None:
    offer = with_offer(margin={"percent": 15})
    assert the_endpoint(offer).margin == Margin(basis_points=1500)
    assert the_endpoint(offer | {"endpoints": [an_endpoint(margin={"fixed": "5.00"})]}).margin == Margin(cents=500)
    assert the_endpoint(with_offer(margin={"fixed": "-1.50", "allow_negative": True})).margin == Margin(cents=-150)


@pytest.mark.parametrize(
    ("margin", "bid_cents", "payout_cents"),
    [
        (Margin(), 1, 1),
        (Margin(basis_points=1500), 4250, 3612),  # 3612.5: the half cent stays
        (Margin(basis_points=10_000), 4250, 0),
        (Margin(basis_points=-1000), 1000, 1100),
        (Margin(cents=500), 500, 0),
        (Margin(cents=500), 499, 0),
    ],
)
def test_a_payout_is_what_the_margin_leaves_and_never_below_zero(
    margin: Margin, bid_cents: int, payout_cents: int
) -> None:
    assert margin.payout_cents(bid_cents) == payout_cents


BUYER = "offers[0].buyers[0]"


@pytest.mark.parametrize(
    ("wanted", "path", "message"),
    [
        (a_document(account={"zone": "eastern"}), "account.zone",
         "must be a time zone, like America/New_York; did you mean America/New_York?"),
        (with_buyer(zone="America/New York"), f"{BUYER}.zone",
         "must be a time zone, like America/New_York; did you mean America/New_York?"),
        (with_buyer(schedule={"open": {}}), f"{BUYER}.schedule.zone",
         "is missing: the buyer's time zone, like America/New_York"),
        (with_buyer(zone="Europe/London", schedule=HOURS), f"{BUYER}.schedule.zone",
         "must be Europe/London, the buyer's zone, or left out"),
        (with_buyer(schedule={"zone": NEW_YORK}), f"{BUYER}.schedule.open", "is missing"),
        (with_buyer(schedule=HOURS | {"open": {"mon": ["09:00-17:00"], "tuesday": ["09:00-17:00"]}}),
         f"{BUYER}.schedule.open.tuesday",
         'must be weekdays, like "mon-fri", "sat,sun" or "daily"'),
        (with_buyer(schedule=HOURS | {"open": {"mon": ["9-17"]}}), f"{BUYER}.schedule.open.mon",
         'must be opening hours that end after they start, like "09:00-17:00", "22:00-02:00" or "00:00-24:00"'),
        (with_buyer(schedule=HOURS | {"closed_on": ["25.12.2026"]}), f"{BUYER}.schedule.closed_on[0]",
         "must be a date, like 2026-12-25"),
        (with_buyer(schedule=HOURS | {"closed_on": ["2026-12-25"], "open_on": {"2026-12-25": ["09:00-12:00"]}}),
         f"{BUYER}.schedule", "must have 2026-12-25 in closed_on or in open_on, not in both"),
        (with_buyer(schedule=HOURS | {"opens": {}}), f"{BUYER}.schedule.opens",
         "unknown key `opens`; did you mean `open`?"),
        (with_buyer(filters=["state in TX"]), f"{BUYER}.filters[0]",
         "must have a list after in, like [TX, FL, 'North Carolina']"),
        (with_buyer(filters=["zip matches ("]), f"{BUYER}.filters[0]",
         "must have a regular expression of RE2 after matches, like ^3"),
        (with_buyer(filters=["State == TX"]), f"{BUYER}.filters[0]",
         "must be about `state`, as the contact field is written"),
        (with_buyer(filters=["age > 1", "state in [TX, Florida]"]), f"{BUYER}.filters[1]",
         "must have `FL` in place of `Florida`, as the lead will have it"),
        (with_buyer(filters=["state == Texass"]), f"{BUYER}.filters[0]",
         "has `Texass`, but state must be a US state, for example TX or Texas"),
        (with_buyer(filters=["insured == yes"]), f"{BUYER}.filters[0]",
         "must have `true` in place of `yes`, as the lead will have it"),
        (with_buyer(filters=["coverage == half"]), f"{BUYER}.filters[0]",
         "has `half`, but coverage must be one of liability, full"),
        (with_buyer(filters=["coverage > 2"]), f"{BUYER}.filters[0]",
         "has >, but coverage is of type choice; it is for integer, decimal, date, text, us_zip"),
        (with_buyer(filters=["born >= 25"]), f"{BUYER}.filters[0]",
         "must have a date after >=, like 1985-03-27, as born is of type date"),
        (with_buyer(filters=["age < 1985-03-27"]), f"{BUYER}.filters[0]",
         "must have a number after <, like 25, as age is of type integer"),
        (with_buyer(caps={"sales": {"week": 5}}), f"{BUYER}.caps.sales.week",
         "unknown key `week`; there are hour, day, month, total"),
        (with_buyer(caps={"sales": {"day": -1}}), f"{BUYER}.caps.sales.day", "must be at least 0"),
        (with_buyer(caps={"revenue": {"day": "1.001"}}), f"{BUYER}.caps.revenue.day",
         "must be an amount like 25.00, at most two decimals"),
        (with_buyer(caps={"concurrent": 12_000}), f"{BUYER}.caps.concurrent",
         "must be at most 10,168: 12,000 places of 40 bytes and 2,880 for counts are 482,880 bytes, and an item holds"
         " 409,600"),
        (with_buyer(caps={"by_endpoint": {"my_endpoint": {"concurrent": 10_147}}}),
         f"{BUYER}.caps.by_endpoint.my_endpoint.concurrent",
         "must be at most 10,146: 10,147 places of 40 bytes and 3,760 for counts are 409,640 bytes, and an item holds"
         " 409,600"),
        (with_buyer(caps={"by_endpoint": {"other": {"concurrent": 1}}}), f"{BUYER}.caps.by_endpoint.other",
         "must be an endpoint of the offer auto-insurance"),
        (with_buyer(caps={"calls": {"day": 5}}), f"{BUYER}.caps.calls", "unknown key `calls`; did you mean `sales`?"),
        (with_buyer(duplicates={}), f"{BUYER}.duplicates",
         "must have window_days or window_hours, like {window_days: 30}"),
        (with_buyer(duplicates={"window_days": 367}), f"{BUYER}.duplicates.window_days", "must be at most 366"),
        (with_buyer(suppression=["two words"]), f"{BUYER}.suppression[0]",
         "must be 1 to 64 letters, digits, dots, hyphens and underscores"),
        (with_offer(margin={"percent": 10, "fixed": 1}), "offers[0].margin",
         "must have fixed or percent, like {percent: 20} or {fixed: 5.00}"),
        (with_offer(margin={"percent": 101}), "offers[0].margin", "must be at most 100 percent"),
        (with_offer(margin={"fixed": "-1"}), "offers[0].margin",
         "pays publishers more than the buyer bids; say `allow_negative: true` if that is meant"),
        (with_endpoint(limits={"endpoint": {"pings": 0}}), "endpoints[0].limits.endpoint.pings", "must be at least 1"),
        (with_endpoint(limits={"traffic_source": {"ping": 1}}), "endpoints[0].limits.traffic_source.ping",
         "unknown key `ping`; did you mean `pings`?"),
        (with_endpoint(limits={"address": {"pings": 1}}), "endpoints[0].limits.address",
         "unknown key `address`; did you mean `source_address`?"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_by_its_path_and_by_what_would_be_right(wanted: Plain, path: str, message: str) -> None:
    assert problems(wanted) == {path: message}
