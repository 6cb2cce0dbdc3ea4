"""The pages of the dashboard that configure, over moto: every form with good and bad input, versions and roles."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from functions.dashboard.forms import Input, Part, Table
from functions.dashboard.inputs import FORMS
from shared import configuration
from shared.domain import schedule
from shared.domain.objections import Refused
from shared.operators import pools, resources, yaml_document
from shared.operators.resources import NAMED_BY, Kind
from tests.build import Publisher, Stage
from tests.configurations import Plain, a_buyer, a_contact_field, a_ring_pool, an_offer
from tests.office import USERS, opened, records
from tests.visits import Guest, Seen
from tools.engine import ROOT

MODELS: dict[Kind, type[BaseModel]] = {
    "account": configuration.Account,
    "users": configuration.User,
    "providers": configuration.Provider,
    "ring_pools": configuration.RingPool,
    "offers": configuration.Offer,
    "endpoints": configuration.Endpoint,
    "buyers": configuration.Buyer,
}
PAGES = [
    "/offers", "/offers/auto-insurance", "/buyers", "/buyers/1", "/endpoints", "/endpoints/my_endpoint", "/ring_pools",
    "/ring_pools/auto-us", "/users", "/users/acme-media", "/suppression_lists", "/changes", "/changes/1",
    "/configuration",
]  # fmt: skip
RULES: Plain = {
    "zone": "America/New_York",
    "schedule": {"open": {"mon-fri": ["09:00-12:00", "13:00-17:00"]}, "closed_on": ["2100-12-25"]},
    "filters": ["zip matches ^3"],
    "caps": {"sales": {"day": 50}, "by_endpoint": {"my_endpoint": {"revenue": {"hour": "100.00"}}}},
}


@pytest.fixture
def olga(stage: Stage) -> Guest:
    return opened_by(stage, "olga")


def opened_by(stage: Stage, name: str, **overrides: Any) -> Guest:
    opened(stage, **overrides)
    return Guest(stage, name)


def live(stage: Stage, section: str, name: str) -> Plain:
    return records(stage).versions.current().parts[section, name]


def a_buyer_of(stage: Stage, buyer_id: int = 1) -> Plain:
    return next(buyer for buyer in live(stage, "offers", "auto-insurance")["buyers"] if buyer["id"] == buyer_id)


# Forms


@pytest.mark.parametrize("kind", MODELS)
def test_every_setting_has_an_input(kind: Kind) -> None:
    inputs = {path for part in FORMS[kind].parts for path in paths(part)}
    missing = [
        path
        for path in leaves(MODELS[kind])
        if not path.startswith("buyers.") and not any(path == named or path.startswith(f"{named}.") for named in inputs)
    ]
    assert missing == []


def paths(part: Part) -> Iterator[str]:
    if isinstance(part, Table) and not part.key:
        yield from (f"{part.path}.{column.path}" for column in part.columns)
        return
    yield part.path
    if isinstance(part, Input) and part.also:
        yield part.also


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = [kind for kind in (field.annotation, *arguments(field.annotation)) if is_part(kind)]
        if inner:
            yield from leaves(inner[0], f"{prefix}{name}.")
        else:
            yield prefix + name


def arguments(annotation: Any) -> list[Any]:
    """Of a union or a tuple; the values of a mapping are its table's to have."""
    if getattr(annotation, "__origin__", None) is not None and annotation.__origin__ is not tuple:
        return []
    return [*get_args(annotation)]


def is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


@pytest.mark.parametrize("file", ["tools/demo.yaml", "examples/marketplace.yaml"])
def test_a_form_that_is_sent_as_it_came_changes_nothing(stage: Stage, file: str) -> None:
    content = yaml_document.document((ROOT / file).read_bytes()).value
    content["users"] = [*content.get("users", []), *USERS[2:]]
    records(stage).applying.apply(configuration.read(content), "file")
    olga, before = Guest(stage, "olga"), records(stage).versions.current()
    resources = [(kind, str(part[NAMED_BY[kind]])) for kind in NAMED_BY if kind != "buyers" for part in content[kind]]
    resources += [("buyers", str(buyer["id"])) for offer in content["offers"] for buyer in offer.get("buyers", ())]
    for kind, name in resources:
        page = olga.open(f"/{kind}/{name}")
        assert page.code == 200
        saved = olga.send(page, f"/{kind}/{name}")
        assert (saved.code, "Saved." in saved.text) == (200, True), saved.text
        after = records(stage).versions.current()
        assert after.version == before.version, (kind, name, records(stage).versions.change(after.version))


def test_an_offer_is_made_with_its_fields(olga: Guest, stage: Stage) -> None:
    given = {
        "name": "legal",
        "rank_by": "tier",
        "contact_fields[0].name": "zip",
        "contact_fields[0].type": "us_zip",
        "contact_fields[0].required_on": "ping",
        "contact_fields[3].name": "cover",
        "contact_fields[3].type": "choice",
        "contact_fields[3].choices": "full\r\nliability\r\n",
        "contact_fields[3].default": "full",
        "contact_fields[3].description": "What the caller wants",
        "margin.percent": "20",
        "duplicates.window_days": "30",
        "suppression": "tcpa",
    }
    made = olga.fill(olga.open("/offers", "new"), "/offers", given)
    assert "Saved." in made.text
    assert live(stage, "offers", "legal") == {
        "name": "legal",
        "rank_by": "tier",
        "contact_fields": [
            {"name": "zip", "type": "us_zip", "required_on": ["ping"]},
            {
                "name": "cover",
                "type": "choice",
                "choices": ["full", "liability"],
                "default": "full",
                "description": "What the caller wants",
            },
        ],
        "margin": {"percent": "20.00"},
        "duplicates": {"window_days": 30},
        "suppression": ["tcpa"],
    }


def test_rows_are_added_moved_and_taken_out_without_a_script(olga: Guest, stage: Stage) -> None:
    page = olga.fill(olga.open("/offers", "new"), "/offers", {"contact_fields[0].name": "zip", "rows": "more fields"})
    assert "contact_fields[5].name" in dict(page.form("/dashboard/offers").values)
    given = {"name": "legal", "contact_fields[1].name": "age", "contact_fields[2].name": "state"}
    page = olga.fill(page, "/offers", {**given, "rows": "up contact_fields[2]"})
    names = [text for name, text in page.form("/dashboard/offers").values if name.endswith("].name") and text]
    assert names == ["zip", "state", "age"]
    page = olga.fill(page, "/offers", {"rows": "drop contact_fields[1]"})
    olga.send(page, "/offers")
    assert [field["name"] for field in live(stage, "offers", "legal")["contact_fields"]] == ["zip", "age"]


def test_a_buyer_is_made_with_every_rule(olga: Guest, stage: Stage) -> None:
    given = {
        "id": "9",
        "name": "Buyer N",
        "offer": "auto-insurance",
        "number": "+18005550199",
        "bid": "31",
        "zone": "America/New_York",
        **{f"schedule.open.{day}": "09:00-12:00, 13:00-17:00" for day in ("mon", "tue", "wed", "thu", "fri")},
        "schedule.open.sun": "22:00-02:00",
        "schedule.closed_on": "2100-12-25",
        "schedule.open_on[0].key": "2100-12-24",
        "schedule.open_on[0].value": "09:00-12:00",
        "filters": "zip matches ^3\r\n\r\ncaller_id exists",
        "caps.sales.day": "50",
        "caps.by_endpoint[0].endpoint": "my_endpoint",
        "caps.by_endpoint[0].revenue.hour": "100",
    }
    made = olga.fill(olga.open("/buyers", "new"), "/buyers", given)
    assert "Saved." in made.text, made.text
    assert a_buyer_of(stage, 9) == {
        **a_buyer(id=9, name="Buyer N", bid="31.00", number="+18005550199"),
        **RULES,
        "schedule": {
            "open": {"mon-fri": ["09:00-12:00", "13:00-17:00"], "sun": ["22:00-02:00"]},
            "closed_on": ["2100-12-25"],
            "open_on": {"2100-12-24": ["09:00-12:00"]},
        },
        "filters": ["zip matches ^3", "caller_id exists"],
    }
    assert "sales per day" in made.text
    assert "The next 48 hours" in made.text


def test_a_buyer_that_bids_live(olga: Guest, stage: Stage) -> None:
    given = {
        "bid": "",
        "max_bid": "60",
        "live.dialect": "custom",
        "live.ping_url": "https://buyer.example/ping",
        "live.send[0].key": "postcode",
        "live.send[0].value": "zip",
        "live.headers[0].key": "X-Key",
        "live.headers[0].value": "{secret.buyer_key}",
        "live.parameters": "campaign: {id: 7}",
        "live.ping": "bid: $.bid\r\nfields: {a: b}",
    }
    saved = olga.fill(olga.open("/buyers/1"), "/buyers/1", given)
    assert "Saved." in saved.text, saved.text
    assert a_buyer_of(stage)["live"] == {
        "dialect": "custom",
        "ping_url": "https://buyer.example/ping",
        "send": {"postcode": "zip"},
        "headers": {"X-Key": "{secret.buyer_key}"},
        "parameters": {"campaign": {"id": "7"}},
        "ping": {"bid": ["$.bid"], "fields": {"a": "b"}},
    }
    again = olga.fill(saved, "/buyers/1", {"live.ping": "bid: [", "live.parameters": "a: 1\na: 2"})
    assert again.code == 422
    assert again.mistake("live.ping").startswith("line ")
    assert again.mistake("live.parameters") == "a is given twice, first in line 1"


def test_a_buyer_that_bids_live_no_more(stage: Stage) -> None:
    live_one = {"dialect": "ringpost", "ping_url": "https://buyer.example/ping", "caller_on_ping": "hashed"}
    buyer = a_buyer(live=live_one)
    del buyer["bid"]
    olga = opened_by(stage, "olga", offers=[an_offer(buyers=[buyer])])
    given = {"bid": "25", "live.dialect": "", "live.ping_url": "", "live.caller_on_ping": "plain"}
    assert "Saved." in olga.fill(olga.open("/buyers/1"), "/buyers/1", given).text
    assert a_buyer_of(stage) == a_buyer()


def test_an_endpoint_is_made_in_a_new_pool_and_one_with_static_numbers(olga: Guest, stage: Stage) -> None:
    pool = {"name": "b", "numbers": "+18885550100\r\n+18885550110-+18885550119", "hold_seconds": "300",
            "cooldown_seconds": "0"}  # fmt: skip
    assert "Saved." in olga.fill(olga.open("/ring_pools", "new"), "/ring_pools", pool).text
    assert live(stage, "ring_pools", "b")["numbers"] == ["+18885550100", "+18885550110-+18885550119"]
    given = {"vanity_uri": "new", "offer": "auto-insurance", "tracking": "ring_pool", "ring_pool": "b"}
    made = olga.fill(olga.open("/endpoints", "new"), "/endpoints", given)
    assert "curl -X POST https://ringpost.example/api/v1/inbound_webhooks/full/new" in made.html.replace("&#39;", "'")
    assert "/posting_instructions/new#try" in made.html
    assert live(stage, "endpoints", "new") == given
    static = {
        "vanity_uri": "static",
        "tracking": "static",
        "hold_seconds": "300",
        "require_auth_token": "",
        "static_numbers[0].key": "1023",
        "static_numbers[0].value": "+18005550170",
        "limits.traffic_source.pings": "60",
        "buyer_columns": "id\nbid",
    }
    page = olga.open("/endpoints", "new")
    assert "Saved." in olga.fill(page, "/endpoints", static).text
    assert live(stage, "endpoints", "static") == {
        "vanity_uri": "static",
        "offer": "auto-insurance",
        "tracking": "static",
        "hold_seconds": 300,
        "static_numbers": {"1023": "+18005550170"},
        "require_auth_token": False,
        "limits": {"traffic_source": {"pings": 60}},
        "buyer_columns": ["id", "bid"],
    }


BAD: list[tuple[str, dict[str, str], dict[str, str]]] = [
    (
        "/offers/auto-insurance",
        {"rank_by": "luck", "contact_fields[1].name": "ag e", "contact_fields[1].type": "integer",
         "contact_fields[2].name": "x", "contact_fields[2].pattern": "(", "duplicates.window_days": "x"},
        {"rank_by": "must be one of bid, tier", "contact_fields[1].name": "must be 1 to 64 letters",
         "duplicates.window_days": "must be a whole number"},
    ),
    (
        "/offers/auto-insurance",
        {"contact_fields[1].name": "x", "contact_fields[1].pattern": "(", "margin.percent": "20", "margin.fixed": "1"},
        {"margin.percent": "must have “Dollars” or “Percent”"},
    ),
    (
        "/buyers/1",
        {"bid": "a lot", "schedule.open.mon": "9-5", "schedule.open.tue": "9-5", "filters": "zip in [1]\n\nzip ~ 3",
         "caps.by_endpoint[0].endpoint": "my_endpoint", "caps.by_endpoint[0].sales.day": "x"},
        {"bid": "must be an amount like 25.00", "schedule.open.mon": "must be opening hours",
         "schedule.open.tue": "must be opening hours", "filters": "`zip ~ 3` ",
         "caps.by_endpoint[0].sales.day": "must be a whole number"},
    ),
    (
        "/buyers/1",
        {"schedule.open.mon": "09:00-17:00", "schedule.open_on[0].key": "soon", "schedule.open_on[0].value": "9"},
        {"schedule.open_on[0].value": "must be"},
    ),
    ("/buyers/1", {"schedule.open.mon": "09:00-17:00"}, {"zone": "is missing: the buyer's time zone"}),
    ("/buyers/1", {"schedule.closed_on": "2100-12-25", "zone": "UTC"}, {"schedule.open.mon": "is missing"}),
    ("/buyers/1", {"offer": "legal"}, {"offer": "there is no offer `legal`"}),
    (
        "/buyers/1",
        {"live.headers[0].key": "A", "live.headers[1].key": "A", "live.headers[1].value": "b"},
        {"live.headers[1].key": "`A` is there twice"},
    ),
    ("/buyers/1", {"live.dialect": "ringba"}, {"live.ping_url": "is missing"}),
    (
        "/endpoints/my_endpoint",
        {"tracking": "static", "bid_floor": "-1", "buyer_columns": "id\nx"},
        {"bid_floor": "must be an amount", "buyer_columns": "`x` must be one of"},
    ),
    (
        "/endpoints/my_endpoint",
        {"tracking": "static"},
        {"hold_seconds": "is missing", "static_numbers[0].key": "", "ring_pool": "must be taken out"},
    ),
    (
        "/ring_pools/auto-us",
        {"numbers": "+18005550100\n555", "hold_seconds": "0"},
        {"numbers": "`555` must be a telephone number", "hold_seconds": "must be at least 1"},
    ),
    (
        "/endpoints/my_endpoint",
        {"tracking": "shared", "shared_numbers": "+18005550171\n555", "calls.say": "Bye.", "calls.last_resort": "911"},
        {"shared_numbers": "`555` must be a telephone number", "calls.provider": "is missing",
         "calls.last_resort": "must be a telephone number"},
    ),
    (
        "/buyers/1",
        {"pays.on": "duration", "dial.timeout_seconds": "3", "dial.sip": "buyer.example"},
        {"pays.on": "must have “Of so many seconds”", "dial.timeout_seconds": "must be at least 5",
         "dial.sip": "must be a SIP address"},
    ),
    ("/offers/auto-insurance", {"earns.after_seconds": "60"}, {"earns.on": "must have “Of so many seconds”"}),
    ("/ring_pools/auto-us", {"hold_seconds": "60"}, {"hold_seconds": "must be at least 120"}),
    ("/users/acme-media", {"role": "king"}, {"role": "must be one of"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "given", "mistakes"), BAD)
def test_what_is_not_valid_is_said_beside_it_and_nothing_is_lost(
    olga: Guest, stage: Stage, path: str, given: dict[str, str], mistakes: dict[str, str]
) -> None:
    answer = olga.fill(olga.open(path), path, given)
    assert answer.code == 422, answer.text
    assert "Something is missing or not valid." in answer.text
    for name, sentence in mistakes.items():
        assert sentence in answer.mistake(name), (name, answer.mistake(name))
    kept = dict(answer.form(f"/dashboard{path}").values)
    assert {name: kept.get(name, "") for name in given} == given
    assert records(stage).versions.current().version == 1


@pytest.mark.parametrize("kind", ["offers", "buyers", "endpoints", "ring_pools", "providers", "users"])
def test_a_form_with_nothing_in_it_says_what_is_missing(olga: Guest, kind: str) -> None:
    given = {"id": ""} if kind == "buyers" else {}
    answer = olga.fill(olga.open(f"/{kind}", "new"), f"/{kind}", given)
    assert answer.code == 422
    assert answer.mistake(NAMED_BY[kind]) in ("is missing", "must be a whole number")


def test_calls_are_taken_from_a_provider_that_is_made_before(olga: Guest, stage: Stage) -> None:
    account = f"AC{0:032}"
    given = {"name": "main", "kind": "twilio", "account": account, "token": "{secret.main}"}
    made = olga.fill(olga.open("/providers", "new"), "/providers", given)
    assert "No endpoint takes its calls yet." in made.text
    assert "https://ringpost.example/calls/main/voice" in made.text
    assert live(stage, "providers", "main") == given
    taken = {
        "tracking": "shared", "ring_pool": "", "shared_numbers": "(800) 555-0171, (800) 555-0172",
        "hold_seconds": "300", "leases_per_caller": "2", "calls.provider": "main", "calls.unannounced": "reject",
        "calls.last_resort": "(800) 555-0199",
    }  # fmt: skip
    assert "Saved." in olga.fill(olga.open("/endpoints/my_endpoint"), "/endpoints/my_endpoint", taken).text
    endpoint = live(stage, "endpoints", "my_endpoint")
    assert endpoint["shared_numbers"] == ["+18005550171", "+18005550172"]
    assert endpoint["calls"] == {"provider": "main", "unannounced": "reject", "last_resort": "+18005550199"}
    assert "Calls come to my_endpoint" in olga.open("/providers/main").text
    listed = olga.open("/endpoints", "tracking=shared").text
    assert "my_endpoint auto-insurance 2 shared main" in listed
    pays = {"pays.on": "duration", "pays.after_seconds": "90", "dial.press": "1", "caps.connected.day": "1,000"}
    assert "Saved." in olga.fill(olga.open("/buyers/1"), "/buyers/1", pays).text
    buyer = a_buyer_of(stage)
    assert buyer["pays"] == {"on": "duration", "after_seconds": 90}
    assert (buyer["dial"], buyer["caps"]) == ({"press": "1"}, {"connected": {"day": 1000}})
    earns = {"earns.on": "connected"}
    assert "Saved." in olga.fill(olga.open("/offers/auto-insurance"), "/offers/auto-insurance", earns).text
    assert live(stage, "offers", "auto-insurance")["earns"] == {"on": "connected"}


def test_a_buyer_is_written_as_people_write(olga: Guest, stage: Stage) -> None:
    given = {
        "name": "Buyer Z", "number": "(800) 555-0203", "bid": "$1,045", "weight": "1,500", "zone": "America/Chicago",
        "schedule.open.mon": "9am-5pm", "schedule.open.tue": "9:00 AM - 5:00 PM", "schedule.open.sat": "closed",
        "schedule.closed_on": "Dec 25, 2100\n2101-01-01",
        "schedule.open_on[0].key": "12/24/2100", "schedule.open_on[0].value": "9am to noon",
        "filters": "state = TX\nage ≥ 25\nstate in (TX, FL)",
        "caps.sales.day": "1,000", "caps.revenue.month": "$25,000.00",
    }  # fmt: skip
    assert "Saved." in olga.fill(olga.open("/buyers", "new"), "/buyers", given).text
    buyer = live(stage, "offers", "auto-insurance")["buyers"][-1]
    assert buyer == {
        "id": 3,
        "name": "Buyer Z",
        "number": "+18005550203",
        "bid": "1045.00",
        "weight": 1500,
        "zone": "America/Chicago",
        "schedule": {
            "open": {"mon-tue": ["09:00-17:00"]},
            "closed_on": ["2100-12-25", "2101-01-01"],
            "open_on": {"2100-12-24": ["09:00-12:00"]},
        },
        "filters": ["state == TX", "age >= 25", "state in [TX, FL]"],
        "caps": {"sales": {"day": 1000}, "revenue": {"month": "25000.00"}},
    }


def test_numbers_of_ours_are_written_as_people_write(olga: Guest, stage: Stage) -> None:
    given = {
        "name": "new", "hold_seconds": "1,200", "cooldown_seconds": "60", "overflow_number": "888.555.0198",
        "numbers": "(888) 555-0100 - (888) 555-0109\n888-555-0111, 888-555-0112",
    }  # fmt: skip
    assert "Saved." in olga.fill(olga.open("/ring_pools", "new"), "/ring_pools", given).text
    assert live(stage, "ring_pools", "new") == {
        "name": "new",
        "numbers": ["+18885550100-+18885550109", "+18885550111", "+18885550112"],
        "hold_seconds": 1200,
        "cooldown_seconds": 60,
        "overflow_number": "+18885550198",
    }
    endpoint = {
        "vanity_uri": "print", "offer": "auto-insurance", "tracking": "static", "hold_seconds": "300", "ring_pool": "",
        "static_numbers[0].key": "1023", "static_numbers[0].value": "1-888-555-0170", "bid_floor": "$1.50",
    }  # fmt: skip
    assert "Saved." in olga.fill(olga.open("/endpoints", "new"), "/endpoints", endpoint).text
    saved = live(stage, "endpoints", "print")
    assert (saved["static_numbers"], saved["bid_floor"]) == ({"1023": "+18885550170"}, "1.50")
    wrong = olga.fill(olga.open("/ring_pools/new"), "/ring_pools/new", {"numbers": "888-555-0100, 555-0111"})
    assert wrong.mistake("numbers") == "`555-0111` must be a telephone number in E.164, like +18005550100"


def test_the_next_free_id_is_proposed(olga: Guest, stage: Stage) -> None:
    assert dict(olga.open("/buyers", "new").form("/dashboard/buyers").values)["id"] == "3"
    assert dict(olga.open("/buyers", "new&like=1").form("/dashboard/buyers").values)["id"] == "3"
    taken = [a_buyer(id=1), a_buyer(id=7, name="B"), a_buyer(id=2**31 - 1, name="C")]
    opened(stage, offers=[an_offer(buyers=taken)])
    assert resources.next_id(records(stage)) == 2


def test_a_time_zone_is_chosen_and_those_of_the_usa_come_first(olga: Guest) -> None:
    page = olga.open("/buyers", "new").html
    [options] = re.findall('<select id="zone" name="zone">(.*?)</select>', page, re.DOTALL)
    names = re.findall('value="([^"]*)"', options)
    assert names[:4] == ["", "America/New_York", "America/Chicago", "America/Denver"]
    assert "Europe/Berlin" in names
    assert {"EST", "US/Eastern"}.isdisjoint(names)
    assert "Pacific (America/Los_Angeles)" in options
    opened_with = olga.fill(olga.open("/buyers/1"), "/buyers/1", {"zone": "Asia/Tokyo"})
    assert dict(opened_with.form("/dashboard/buyers/1").values)["zone"] == "Asia/Tokyo"


def test_never_open_and_always_open_look_different(olga: Guest, stage: Stage) -> None:
    page = olga.open("/buyers/1")
    assert 'data-state="always"' in page.html
    assert "always open" in olga.open("/buyers").text
    never = olga.fill(page, "/buyers/1", {"zone": "UTC", "schedule.open.never": "true"})
    assert ("Saved." in never.text, a_buyer_of(stage)["schedule"]) == (True, {"open": {}})
    assert 'data-state="never"' in never.html
    assert "never open" in olga.open("/buyers").text
    assert dict(never.form("/dashboard/buyers/1").values)["schedule.open.never"] == "true"
    both = olga.fill(never, "/buyers/1", {"schedule.open.mon": "9am-5pm"})
    assert "Never open is ticked, and there are hours" in both.text
    again = olga.fill(never, "/buyers/1", {"schedule.open.never": ""})
    assert ('data-state="always"' in again.html, "schedule" in a_buyer_of(stage)) == (True, False)
    closed = olga.fill(again, "/buyers/1", {f"schedule.open.{day}": "closed" for day in schedule.WEEKDAYS})
    assert ("Saved." in closed.text, a_buyer_of(stage)["schedule"]) == (True, {"open": {}})


def test_a_days_hours_are_copied_to_the_weekdays_without_a_script(olga: Guest) -> None:
    given = {"schedule.open.sat": "9am-5pm", "schedule.open.sun": "", "rows": "copy schedule.open.sat"}
    copied = dict(olga.fill(olga.open("/buyers/1"), "/buyers/1", given).form("/dashboard/buyers/1").values)
    assert [copied[f"schedule.open.{day}"] for day in schedule.WEEKDAYS] == ["9am-5pm"] * 6 + [""]


MESSAGES = [
    ("/buyers/1", {"caps.sales.day": "many"}, "Sales per day must be a whole number"),
    ("/buyers/1", {"caps.revenue.total": "much"}, "Revenue in total must be an amount like 25.00"),
    (
        "/buyers/1",
        {"duplicates.window_days": "1", "duplicates.window_hours": "2"},
        "must have “Window, days” or “Window, hours”",
    ),
    ("/buyers/1", {"bid": ""}, "must have “Bid”, or “Live bidding” in its place: a live buyer bids itself"),
    ("/endpoints/my_endpoint", {"tracking": "static"}, "Hold, seconds is missing: “Tracking” static needs it"),
    (
        "/endpoints/my_endpoint",
        {"ping_ttl_seconds": "600"},
        "Ring pool auto-us, Hold, seconds must be at least 600, the “A ping is good for, seconds” of",
    ),
    ("/offers/auto-insurance", {"contact_fields[1].name": "b c"}, "Contact fields, row 2, Name must be 1 to 64"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "given", "sentence"), MESSAGES)
def test_messages_have_the_words_on_the_page(olga: Guest, path: str, given: dict[str, str], sentence: str) -> None:
    answer = olga.fill(olga.open(path), path, given)
    assert sentence in answer.text
    alert = answer.html.partition('role="alert"')[2].partition("</ul>")[0]
    for name in ("caps.", "window_days", "ping_ttl_seconds", "hold_seconds", "contact_fields"):
        assert f">{name}" not in alert
        assert f" {name}" not in alert


def test_several_mistakes_are_told_together(olga: Guest) -> None:
    given = {
        "bid": "much", "caps.sales.day": "many", "schedule.open.mon": "9 to 5", "filters": "state ~ TX",
        "live.headers[0].key": "A", "live.headers[1].key": "A", "live.headers[1].value": "b", "live.ping": "{",
    }  # fmt: skip
    answer = olga.fill(olga.open("/buyers/1"), "/buyers/1", given)
    for name in ("bid", "caps.sales.day", "schedule.open.mon", "filters", "live.headers[1].key", "live.ping"):
        assert answer.mistake(name), name


def test_what_is_wrong_elsewhere_is_said_by_its_path(olga: Guest) -> None:
    page = olga.open("/offers/auto-insurance")
    gone = olga.send(page, "/offers/auto-insurance/delete")
    assert gone.code == 422
    assert "Endpoint my_endpoint, Offer there is no offer `auto-insurance`" in gone.text


def test_a_name_that_is_taken(olga: Guest) -> None:
    given = {"name": "acme-media", "role": "viewer", "traffic_sources": "7"}
    answer = olga.fill(olga.open("/users", "new"), "/users", given)
    assert answer.code == 409, answer.code
    assert "There is a user acme-media already." in answer.text
    assert dict(answer.form("/dashboard/users").values)["traffic_sources"] == "7"


# Versions


def test_of_two_who_edit_one_buyer_the_second_is_told_and_loses_nothing(olga: Guest, stage: Stage) -> None:
    first, second = olga.open("/buyers/1"), olga.open("/buyers/1")
    assert "Saved." in olga.fill(first, "/buyers/1", {"bid": "27.00", "tier": "2"}).text
    answer = olga.fill(second, "/buyers/1", {"bid": "29.00", "name": "Buyer A1"})
    assert answer.code == 409
    assert "It has been changed since you saw it." in answer.text
    assert "Bid 27.00 29.00" in answer.text
    assert a_buyer_of(stage)["bid"] == "27.00"
    kept = dict(answer.form("/dashboard/buyers/1").values)
    assert (kept["bid"], kept["name"], kept["tier"]) == ("29.00", "Buyer A1", "2")
    assert "Saved." in olga.send(answer, "/buyers/1").text
    assert a_buyer_of(stage) == a_buyer(bid="29.00", name="Buyer A1", tier=2)


def test_rows_that_others_have_added_stay(olga: Guest, stage: Stage) -> None:
    first, second = olga.open("/offers/auto-insurance"), olga.open("/offers/auto-insurance")
    olga.fill(first, "/offers/auto-insurance", {"contact_fields[1].name": "zip", "contact_fields[1].type": "us_zip"})
    answer = olga.fill(second, "/offers/auto-insurance", {"rank_by": "tier"})
    assert (answer.code, "This was changed by both" in answer.text) == (409, False)
    assert "Saved." in olga.send(answer, "/offers/auto-insurance").text
    offer = live(stage, "offers", "auto-insurance")
    assert (offer["rank_by"], [field["name"] for field in offer["contact_fields"]]) == ("tier", ["caller_id", "zip"])


def test_what_was_deleted_meanwhile_can_be_made_anew(olga: Guest, stage: Stage) -> None:
    page = olga.open("/buyers/1")
    olga.send(olga.open("/buyers/1"), "/buyers/1/delete")
    answer = olga.fill(page, "/buyers/1", {"bid": "28.00"})
    assert (answer.code, "There is no buyer 1." in answer.text) == (404, True)
    assert "Saved." in olga.send(answer, "/buyers").text
    assert a_buyer_of(stage) == a_buyer(bid="28.00")


def test_a_form_that_was_tampered_with(olga: Guest) -> None:
    page = olga.open("/buyers/1")
    olga.fill(olga.open("/buyers/1"), "/buyers/1", {"bid": "27.00"})
    for was in ("", "[1]", "{"):
        assert olga.fill(page, "/buyers/1", {"was": was, "bid": "28.00"}).code == 400


def test_what_was_changed_meanwhile_is_not_deleted(olga: Guest, stage: Stage) -> None:
    page = olga.open("/buyers/1")
    olga.fill(olga.open("/buyers/1"), "/buyers/1", {"bid": "27.00"})
    assert olga.send(page, "/buyers/1/delete").code == 409
    gone = olga.send(olga.open("/buyers/1"), "/buyers/1/delete")
    assert "1 is deleted." in gone.text
    assert olga.open("/buyers/1").code == 404
    assert [buyer["id"] for buyer in live(stage, "offers", "auto-insurance")["buyers"]] == [2]


# Lists


def test_lists_are_searched_filtered_and_paged(stage: Stage) -> None:
    buyers = [a_buyer(id=n, name=f"Buyer {n}", paused=n % 2 == 0) for n in range(1, 121)]
    olga = opened_by(stage, "olga", offers=[an_offer(buyers=buyers), an_offer(name="legal", buyers=[])])
    first = olga.open("/buyers", "paused=true&offer=auto-insurance")
    assert "60 in all" in first.text
    assert 'href="?offer=auto-insurance&amp;paused=true&amp;search=&amp;after=100"' in first.html
    rest = olga.open("/buyers", "paused=true&offer=auto-insurance&search=&after=100")
    assert "Buyer 102" in rest.text
    assert "Buyer 100" not in rest.text
    assert "Next page" not in rest.text
    assert "Nothing is like this." in olga.open("/buyers", "offer=legal&search=x").text
    assert olga.open("/buyers", "after=x").code == 422


def test_a_list_tells_how_full_and_how_open_buyers_are(stage: Stage, publisher: Publisher) -> None:
    buyers = [
        a_buyer(caps={"sales": {"day": 4, "month": 100}}, zone="UTC", schedule={"open": {"daily": ["00:00-24:00"]}}),
        a_buyer(id=2, schedule={"open": {}, "open_on": {"2100-06-01": ["09:00-10:00"]}}, zone="UTC"),
        a_buyer(id=3, paused=True),
    ]
    olga = opened_by(stage, "olga", offers=[an_offer(buyers=buyers)])
    assert publisher.full(caller_id="6145550123").body["success"] is True
    told = olga.open("/buyers").text
    assert "25.00 1 100 open 25 % 1 of 4 sales per day" in told
    assert "closed" in told
    assert "paused Resume" in told
    page = olga.open("/buyers/2")
    assert "It is never open in the next 14 days." in page.text


# What is done at once


def test_a_buyer_is_paused_and_resumed_at_once(olga: Guest, stage: Stage, publisher: Publisher) -> None:
    page = olga.send(olga.open("/buyers"), "/buyers/1/pause")
    assert "paused Resume" in page.text
    stage.clock.forward(60)
    assert [buyer["id"] for buyer in publisher.ping().body["buyers"]] == [2]
    assert "Pause" in olga.send(olga.open("/buyers/1"), "/buyers/1/pause").text
    assert a_buyer_of(stage) == a_buyer()
    for back in ("https://elsewhere.example/", "//elsewhere.example", "/dashboard/buyers\r\nSet-Cookie: a=b"):
        page = olga.fill(olga.open("/buyers/1"), "/buyers/1/pause", {"back": back})
        assert "Buyer A" in page.text


def test_a_pool_tells_its_use_and_what_it_needs(olga: Guest, publisher: Publisher) -> None:
    assert publisher.full(caller_id="6145550123").body["success"] is True
    page = olga.open("/ring_pools/auto-us", "sales_per_hour=100")
    assert "12.5 % 12.5 % 8 1 0 7" in page.text
    assert "needs 18 numbers, so that 1 caller in 100 finds none" in page.text
    assert "leased until 2100-01-01 00:05 UTC" in page.text
    assert "00:00 1 0 % 0 %" in page.text
    assert "12.5 %" in olga.open("/ring_pools").text


def test_a_pool_whose_last_hours_cannot_be_read_can_be_changed(olga: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise Refused("A file of the journal is missing.")

    monkeypatch.setattr(pools, "last_day", missing)
    page = olga.open("/ring_pools/auto-us")
    assert "They cannot be shown" in page.text
    assert olga.fill(page, "/ring_pools/auto-us", {"hold_seconds": "240"}).code in (200, 303)
    assert "240" in olga.open("/ring_pools/auto-us").html


def test_numbers_of_a_pool_are_paged(stage: Stage) -> None:
    olga = opened_by(stage, "olga", ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550199"])])
    page = olga.open("/ring_pools/auto-us")
    assert "+18005550149 free" in page.text
    assert "+18005550150 free" not in page.text
    assert "+18005550150 free" in olga.open("/ring_pools/auto-us", "after=%2B18005550149").text


def test_a_token_is_shown_once_and_revoked(olga: Guest) -> None:
    issued = olga.send(olga.open("/users/acme-media"), "/users/acme-media/tokens")
    assert "It is shown this once" in issued.text
    page = olga.open("/users/acme-media")
    assert "rp_" not in page.html
    [revoke] = [action for action in page.actions() if action.endswith("/revoke")]
    assert "It has none." in olga.send(page, revoke.removeprefix("/dashboard")).text


def test_a_token_has_a_name_a_scope_and_an_end(olga: Guest, stage: Stage) -> None:
    path = "/users/acme-media/tokens"
    page = olga.open("/users/acme-media")
    assert dict(page.form(f"/dashboard{path}").values)["scope"] == "post"
    wrong = olga.fill(page, path, {"name": "the page", "scope": "read", "expires": "yesterday"})
    assert (wrong.code, "must be a day like 2027-01-31" in wrong.mistake("expires")) == (422, True)
    assert dict(wrong.form(f"/dashboard{path}").values)["name"] == "the page"
    assert "over since" not in wrong.text
    issued = olga.fill(wrong, path, {"expires": "2100-01-31"})
    assert "the page read 2100-01-01 00:00 2100-02-01 00:00 never" in issued.text
    assert olga.fill(issued, path, {"scope": "all"}).code == 400
    assert '<option value="post"' not in olga.open("/users/vera").html
    stage.clock.forward(31 * 24 * 3600)
    assert "over since 2100-02-01 00:00" in olga.open("/users/acme-media").text


def test_a_change_is_undone(olga: Guest, stage: Stage) -> None:
    olga.fill(olga.open("/buyers/1"), "/buyers/1", {"bid": "27.00"})
    page = olga.open("/changes")
    assert "offers[auto-insurance].buyers[1].bid 25.00 27.00" in page.text
    undone = olga.send(page, "/changes/2/undo")
    assert "Change 2 is undone, by this one." in undone.text
    assert a_buyer_of(stage)["bid"] == "25.00"
    olga.fill(olga.open("/buyers/1"), "/buyers/1", {"bid": "28.00"})
    refused = olga.send(olga.open("/changes/2"), "/changes/2/undo")
    assert (refused.code, "has been changed since" in refused.text) == (409, True)
    assert olga.open("/changes/99").code == 404


def test_the_configuration_goes_out_and_in_as_a_file(olga: Guest, stage: Stage) -> None:
    file = olga.open("/configuration/export")
    assert file.headers["Content-Disposition"] == 'attachment; filename="ringpost-1.yaml"'
    wanted = yaml.safe_load(file.html)
    wanted["offers"][0]["buyers"][0]["bid"] = "33.00"
    text = yaml.safe_dump(wanted)
    compared = olga.send(olga.open("/configuration"), "/configuration/difference", file=text)
    assert "offers[auto-insurance].buyers[1].bid 25.00 33.00" in compared.text
    assert records(stage).versions.current().version == 1
    olga.fill(olga.open("/buyers/2"), "/buyers/2", {"bid": "21.00"})
    overtaken = olga.send(compared, "/configuration")
    assert overtaken.code == 409
    assert "buyers[2].bid 21.00 20.00" in overtaken.text
    assert "Applied as version 3" in olga.send(overtaken, "/configuration").text
    assert a_buyer_of(stage)["bid"] == "33.00"
    wrong = olga.send(overtaken, "/configuration/difference", file="offers: [{name: x, rank_by: luck}]")
    assert (wrong.code, "offers[0].rank_by line 1: must be one of bid, tier" in wrong.text) == (422, True)
    assert olga.send(overtaken, "/configuration", seen="").code == 422
    account = olga.send(olga.open("/configuration"), "/configuration/account", suppression="tcpa\n b ad")
    assert (account.code, "`b ad` must be" in account.mistake("suppression")) == (422, True)
    assert "Saved." in olga.send(account, "/configuration/account", suppression="tcpa").text
    assert live(stage, "account", "account") == {"suppression": ["tcpa"]}
    saved = olga.fill(olga.open("/configuration"), "/configuration/account", {"zone": "America/Denver"})
    assert "Saved." in saved.text
    assert live(stage, "account", "account") == {"suppression": ["tcpa"], "zone": "America/Denver"}


# Warnings


def test_what_is_valid_and_not_meant_is_told_after_a_form(olga: Guest) -> None:
    zone = "zone `EST` has no daylight saving time, and is an hour off all summer; write America/New_York"
    assert "probably not what you mean" not in olga.open("/buyers/1").text
    saved = olga.fill(olga.open("/buyers/1"), "/buyers/1", {"zone": "EST", "filters": "stat == TX"})
    assert "Saved." in saved.text
    assert f"probably not what you mean: {zone}" in saved.text
    assert "filters[0] `stat` is no contact field of the offer" in saved.text
    assert f"buyers[1].{zone}" in olga.open("/offers/auto-insurance").text
    assert f"offers[auto-insurance].buyers[1].{zone}" in olga.open("/configuration").text
    assert "probably not what you mean" not in olga.open("/buyers/2").text
    floor = olga.fill(olga.open("/endpoints/my_endpoint"), "/endpoints/my_endpoint", {"bid_floor": "50"})
    assert "bid_floor is above every bid of the offer auto-insurance" in floor.text
    pool = olga.fill(olga.open("/ring_pools/auto-us"), "/ring_pools/auto-us", {"cooldown_seconds": "1"})
    assert "cooldown_seconds is under 5 seconds" in pool.text


def test_a_file_that_is_compared_is_warned_of(olga: Guest) -> None:
    wanted = yaml.safe_load(olga.open("/configuration/export").html)
    wanted["ring_pools"][0]["cooldown_seconds"] = 1
    compared = olga.send(olga.open("/configuration"), "/configuration/difference", file=yaml.safe_dump(wanted))
    assert "ring_pools[auto-us].cooldown_seconds is under 5 seconds" in compared.text
    assert "ring_pools[auto-us].cooldown_seconds is under 5 seconds" in olga.send(compared, "/configuration").text


def test_compare_begins_with_totals(olga: Guest) -> None:
    wanted = yaml.safe_load(olga.open("/configuration/export").html)
    wanted["endpoints"] = []
    wanted["offers"][0]["buyers"] = wanted["offers"][0]["buyers"][:1]
    compared = olga.send(olga.open("/configuration"), "/configuration/difference", file=yaml.safe_dump(wanted))
    assert "What it would change Removes 1 endpoint, 1 buyer. Apply to version 1" in compared.text


def test_what_apply_would_refuse_is_told_on_compare(olga: Guest) -> None:
    wanted = yaml.safe_load(olga.open("/configuration/export").html)
    wanted["ring_pools"][0]["name"] = wanted["endpoints"][0]["ring_pool"] = "other"
    compared = olga.send(olga.open("/configuration"), "/configuration/difference", file=yaml.safe_dump(wanted))
    assert (compared.code, "belongs to ring pool auto-us now" in compared.text) == (422, True)
    wanted = yaml.safe_load(olga.open("/configuration/export").html)
    wanted["endpoints"] = [{**wanted["endpoints"][0], "vanity_uri": f"a{n}"} for n in range(98)]
    compared = olga.send(olga.open("/configuration"), "/configuration/difference", file=yaml.safe_dump(wanted))
    assert (compared.code, "98 is the most" in compared.text) == (409, True)
    assert "Apply to version" not in compared.text


def test_an_operator_types_its_name_before_it_locks_itself_out(olga: Guest, stage: Stage) -> None:
    made = olga.fill(olga.open("/users", "new"), "/users", {"name": "ben", "role": "operator"})
    assert "Saved." in made.text
    wanted = yaml.safe_load(olga.open("/configuration/export").html)
    wanted["users"] = [user for user in wanted["users"] if user["name"] != "olga"]
    compared = olga.send(olga.open("/configuration"), "/configuration/difference", file=yaml.safe_dump(wanted))
    assert "from you, olga: you can change nothing here after that. Type olga to confirm" in compared.text
    for typed in ("", "yes", "ben"):
        refused = olga.send(compared, "/configuration", confirm=typed)
        assert (refused.code, "from you, olga" in refused.text) == (409, True)
    own = olga.open("/users/olga")
    assert "This is your own user" in own.text
    assert "This is your own user" not in olga.open("/users/ben").text
    assert olga.send(own, "/users/olga/delete").code == 409
    demoted = olga.send(own, "/users/olga", role="viewer")
    assert (demoted.code, "Type olga to confirm" in demoted.text) == (409, True)
    assert live(stage, "users", "olga")["role"] == "operator"
    assert olga.send(demoted, "/users/olga", confirm="olga", role="viewer").code == 200
    assert live(stage, "users", "olga")["role"] == "viewer"


def test_the_undoing_of_ones_own_role_asks_for_the_word(olga: Guest, stage: Stage) -> None:
    olga.fill(olga.open("/users", "new"), "/users", {"name": "ben", "role": "operator"})
    ben = Guest(stage, "ben")
    undone = ben.send(ben.open("/changes/2"), "/changes/2/undo")
    assert (undone.code, "from you, ben" in undone.text) == (409, True)
    assert live(stage, "users", "ben")["role"] == "operator"


# Who may do what


@pytest.mark.parametrize("path", PAGES)
def test_viewers_see_everything_and_change_nothing(stage: Stage, path: str) -> None:
    vera = opened_by(stage, "vera")
    page = vera.open(path)
    assert page.code == 200
    kept = {
        "/dashboard/sign_out",
        "/dashboard/suppression_lists/lookup",
        "/dashboard/configuration/difference#import",
        "",
    }
    changing = [
        form for form in map(page.form, page.actions()) if form.action not in kept and not form.action.startswith("#")
    ]
    assert all(form.disabled for form in changing), [form.action for form in changing]
    assert "<button>Save</button>" not in page.html
    assert "New " not in vera.open(path, "new").text
    csrf = dict(page.form("/dashboard/sign_out").values)["csrf"]
    assert vera.ask("POST", path, pairs=[("csrf", csrf)]).code in (403, 405)


@pytest.mark.parametrize("path", PAGES)
def test_publishers_see_themselves_alone(stage: Stage, path: str) -> None:
    acme = opened_by(stage, "acme-media")
    page = acme.open(path)
    assert page.code == (200 if path in ("/users", "/users/acme-media") else 403)
    assert "bolt" not in page.text
    assert acme.open("/users/bolt").code == 403


def test_a_form_of_another_visit_does_nothing(olga: Guest, stage: Stage) -> None:
    page = olga.open("/buyers/1")
    page.html = page.html.replace('name="csrf" value="', 'name="csrf" value="0')
    assert olga.send(page, "/buyers/1/pause").code == 403
    assert records(stage).versions.current().version == 1


def test_what_operators_wrote_is_escaped(stage: Stage) -> None:
    name = '"><script>alert(1)</script>'
    olga = opened_by(stage, "olga", offers=[an_offer(buyers=[a_buyer(name=name)], contact_fields=[
        a_contact_field(description=f"</textarea>{name}")])])  # fmt: skip
    for path in ("/buyers", "/buyers/1", "/offers/auto-insurance", "/changes"):
        page: Seen = olga.open(path)
        assert page.code == 200
        assert "<script>alert" not in page.html
        assert " style=" not in page.html
        assert " onclick=" not in page.html
