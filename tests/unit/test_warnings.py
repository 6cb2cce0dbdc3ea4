"""Warnings: what is valid and probably not meant, and that nothing usual is warned of."""

from pathlib import Path
from typing import Any

import pytest

from shared import configuration
from shared.configuration import Configuration, InvalidConfiguration, by_names, warnings
from shared.domain import zones
from shared.operators import yaml_document
from tests.configurations import (
    a_buyer,
    a_contact_field,
    a_document,
    a_provider,
    a_ring_pool,
    a_user,
    an_endpoint,
    an_offer,
)

ROOT = Path(__file__).parents[2]
NOW = 1_764_244_800  # 2025-11-27, noon in UTC
FIELDS = [
    a_contact_field(name="caller_id", type="phone", required_on=["post"]),
    a_contact_field(name="state", type="us_state"),
    a_contact_field(name="zip", type="us_zip"),
    a_contact_field(name="age", type="integer", minimum="16", maximum="110"),
    a_contact_field(name="income", type="decimal"),
    a_contact_field(name="born", type="date"),
    a_contact_field(name="insured", type="boolean"),
    a_contact_field(name="coverage", type="choice", choices=["liability", "full"]),
    a_contact_field(name="city", type="text"),
    a_contact_field(name="home_state", type="text"),
    a_contact_field(name="score", type="text"),
]
CURLY = "has curly quotes, which are a part of the value; write straight ones, ' or \""
NO_FIELD = "is no contact field of the offer"
LOST = "if a 0 was lost before it"
ANYBODY = "is false: anybody"
NEVER = "the buyer never buys there"
LIVE = {"dialect": "ringpost", "ping_url": "https://buyer.example/ping", "post_url": "https://buyer.example/post"}
CUSTOM = {"dialect": "custom", "ping_url": "https://buyer.example/ping"}


def told(wanted: Configuration) -> list[str]:
    """Without those about open endpoints, which most tests have."""
    return [each for each in every(wanted) if ANYBODY not in each]


def every(wanted: Configuration) -> list[str]:
    return [f"{by_names(wanted, each.path)}: {each.message}" for each in warnings.find_warnings(wanted, NOW)]


def of_buyer(**rules: Any) -> list[str]:
    """Of one buyer with these rules, without its path."""
    offer = an_offer(contact_fields=FIELDS, buyers=[a_buyer(**rules)])
    start = "offers[auto-insurance].buyers[1]."
    found = told(configuration.read(a_document(offers=[offer])))
    assert all(each.startswith(start) for each in found), found
    return [each.removeprefix(start) for each in found]


def of_live(**live: Any) -> list[str]:
    found = of_buyer(bid=None, live={**CUSTOM, **live} if "ping" in live else {**LIVE, **live})
    return [each.removeprefix("live.") for each in found]


def of_filters(*filters: str) -> list[str]:
    return of_buyer(filters=list(filters))


def example(file: str) -> list[str]:
    wanted = configuration.read(yaml_document.document((ROOT / file).read_bytes()).value)
    return [each.split(": ")[0] for each in every(wanted)]


def test_the_example_is_warned_of_nothing_and_the_demo_of_what_it_is_to_show() -> None:
    assert example("examples/marketplace.yaml") == example("examples/first-sale.yaml") == []
    start, open_endpoints = "offers[demo-rules].buyers", ("my", "static", "shared", "strict", "rules", "live")
    assert example("tools/demo.yaml") == [
        f"{start}[8].filters[0]",
        f"{start}[9].caps.sales.total",
        *(f"endpoints[{name}_endpoint].require_auth_token" for name in open_endpoints),
    ]


def test_an_endpoint_without_a_token_is_told() -> None:
    path = "endpoints[my_endpoint].require_auth_token"
    assert every(configuration.read(a_document())) == [f"{path}: {ANYBODY} can take numbers of ring pool auto-us"]
    static = a_document(endpoints=[an_endpoint(tracking="static")])
    assert every(configuration.read(static)) == [f"{path}: {ANYBODY} can send leads here"]
    with_a_token = a_document(endpoints=[an_endpoint(require_auth_token=True)])
    assert every(configuration.read(with_a_token)) == []


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        (["stat == TX"], f"`stat` {NO_FIELD}; did you mean `state`?"),
        (["zip_code == 30340"], f"`zip_code` {NO_FIELD}; did you mean `zip`?"),
        (["postal_code exists"], f"`postal_code` {NO_FIELD}; did you mean `zip`?"),
        (["phone matches ^.1614"], f"`phone` {NO_FIELD}; did you mean `caller_id`?"),
        (["currently_insured == true"], f"`currently_insured` {NO_FIELD}; did you mean `insured`?"),
        (["xyz == 1"], "`xyz` is no contact field of the offer"),
        (["city == “Columbus”"], CURLY),
        (["city in [‘Columbus’, Dayton]"], CURLY),
        (["city matches “^Col”"], CURLY),
        (["zips: 1001"], f"`1001` means all ZIP codes from 10010 to 10019; write 01001 {LOST}"),
        (["not zips: 303, 2134"], f"`2134` means all ZIP codes from 21340 to 21349; write 02134 {LOST}"),
        (
            ["zips: 1001-1103"],
            f"`1001-1103` means all ZIP codes from 10010 to 11039; write 01001-01103 {LOST}",
        ),
        (["zip < 3000"],
         "compares ZIP codes as numbers, and a ZIP code that begins with 0 is not a number; write zips: 010-027"),
        (["score >= 25"],
         "compares integers, but `score` is text, which publishers write as they like; change its type to integer"),
        (["city > 2026-01-01"],
         "compares dates, but `city` is text, which publishers write as they like; change its type to date"),
        (["home_state in [Texas]"],
         "`home_state` is text, and publishers may write Texas in other ways; change its type to us_state"),
        (["home_state == TX"],
         "`home_state` is text, and publishers may write TX in other ways; change its type to us_state"),
        (["zip matches /^303/"], "has slashes around the pattern, which are a part of it; leave them out"),
        (["zip matches 303*"],
         "`303*` is a regular expression, in which * repeats the character before it; write ^303"),
        (["age > 110"], "no lead passes `age > 110`"),
        (["age < 16"], "no lead passes `age < 16`"),
        (["state matches Texas"], "no lead passes `state matches Texas`"),
        (["insured matches yes"], "no lead passes `insured matches yes`"),
        (["coverage matches '(?-i)^Full$'"], "no lead passes `coverage matches '(?-i)^Full$'`"),
        (["coverage not in [liability, full]"], "no lead passes `coverage not in [liability, full]`"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_work_is_told(filters: list[str], sentence: str) -> None:
    assert f"filters[0]: {sentence}" in of_filters(*filters)


@pytest.mark.parametrize(
    ("filters", "place"),
    [
        (["state == TX", "state == FL"], 1),
        (["states: TX, FL", "age > 25", "not states: TX, FL"], 2),
        (["state in [TX, FL]", "state != TX", "state != FL"], 2),
        (["city == Columbus", "city in [Dayton, Toledo]"], 1),
        (["city in [Dayton, Toledo]", "city matches ^C"], 1),
        (["zip == 30340", "zips: 432"], 1),
        (["age >= 50", "age < 50"], 1),
        (["age > 50", "age < 51"], 1),
        (["income > 100.50", "income < 100.50"], 1),
        (["born > 2000-01-01", "born < 1990-01-01"], 1),
        (["coverage == full", "coverage != full"], 1),
        (["insured == true", "insured == false"], 1),
    ],
)
def test_filters_that_exclude_each_other_are_told(filters: list[str], place: int) -> None:
    [found] = of_filters(*filters)
    assert found.startswith(f"filters[{place}]: no lead passes `{filters[place]}`, together with `{filters[0]}`")


@pytest.mark.parametrize(
    "filters",
    [
        ["state in [TX, FL]", "age >= 25", "age <= 65", "zips: 303, 30340-30399, 01001", "not zips: 30340"],
        ["states: TX", "not states: FL", "state != GA"],
        ["age > 50", "age < 52"],
        ["age >= 16", "age <= 110"],
        ["income > 100.50", "income < 100.51"],
        ["born >= 1990-01-01", "born < 1990-01-02"],
        ["zips: 303", "not zips: 30301"],
        ["city in [Dayton, Toledo]", "city != Dayton", "city matches ^T"],
        ["city == 'St. Paul'", "coverage == full", "insured == true", "caller_id exists", "area_codes: 614"],
        ["traffic_source_id == 1023", "zip matches ^3", "city matches ^Col.*", "born > 1985-03-27"],
        ["income < 5", "income > 4"],
    ],
)
def test_usual_filters_are_not_told(filters: list[str]) -> None:
    assert of_filters(*filters) == []


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [
        ("EST", "has no daylight saving time, and is an hour off all summer; write America/New_York"),
        ("MST", "has no daylight saving time, and is an hour off all summer; write America/Denver, or America/Phoenix"),
        ("HST", "is a fixed offset; for Hawaii write Pacific/Honolulu"),
        ("Etc/GMT+6", "has no daylight saving time: it is 6 hours behind UTC all year; write America/Chicago"),
        ("Etc/GMT-5", "is 5 hours ahead of UTC: in these names the sign is reversed"),
    ],
)
def test_a_zone_without_daylight_saving_time_is_told(zone: str, sentence: str) -> None:
    assert of_buyer(zone=zone)[0].startswith(f"zone: `{zone}` {sentence}")
    assert told(configuration.read(a_document(account={"zone": zone})))[0].startswith(
        f"account.zone: `{zone}` {sentence}"
    )
    opening = {"zone": zone, "open": {"daily": ["09:00-17:00"]}}
    assert of_buyer(schedule=opening)[0].startswith(f"schedule.zone: `{zone}` {sentence}")


@pytest.mark.parametrize(
    "zone",
    ["America/New_York", "US/Pacific", "America/Phoenix", "Pacific/Honolulu", "EST5EDT", "UTC", "GMT", "Asia/Tokyo"],
)
def test_a_usual_zone_is_not_told(zone: str) -> None:
    assert zones.doubt(zone) == ""
    assert of_buyer(zone=zone) == []


@pytest.mark.parametrize(
    ("opening", "found"),
    [
        ({"open": {"daily": ["00:00-23:59"]}},
         ["schedule.open.daily[0]: `00:00-23:59` misses the last minute; write 00:00-24:00"]),
        ({"open": {"mon-fri": ["09:00-12:00", "13:00-16:59"]}},
         ["schedule.open.mon-fri[1]: `13:00-16:59` misses the last minute; write 13:00-17:00"]),
        ({"open": {"daily": ["09:00-17:00"]}, "open_on": {"2025-12-24": ["09:00-23:59"]}},
         ["schedule.open_on.2025-12-24[0]: `09:00-23:59` misses the last minute; write 09:00-24:00"]),
        ({"open": {"sat": ["22:00-01:59"]}},
         ["schedule.open.sat[0]: `22:00-01:59` misses the last minute; write 22:00-02:00"]),
        ({"open": {"mon-fri": ["9:00-5:00"]}},
         ["schedule.open.mon-fri[0]: `9:00-5:00` is open for 20 hours, until the next morning; "
          "17:00 is the afternoon"]),
        ({"open": {}}, ["schedule: never opens: no weekday has hours, and no date to come"]),
        ({"open": {"mon": []}, "closed_on": ["2026-01-01"]},
         ["schedule: never opens: no weekday has hours, and no date to come"]),
        ({"open": {}, "open_on": {"2025-01-02": ["09:00-17:00"]}},
         ["schedule: has dates that are over and can be taken out: 2025-01-02",
          "schedule: never opens: no weekday has hours, and no date to come"]),
        ({"open": {"daily": ["09:00-17:00"]}, "closed_on": ["2024-12-25", "2025-11-26", "2025-12-25"]},
         ["schedule: has dates that are over and can be taken out: 2024-12-25"]),
        ({"open": {}, "open_on": {"2026-01-02": ["09:00-17:00"]}}, []),
        ({"open": {"daily": ["00:00-24:00"], "fri": ["22:00-06:00"], "sat": ["12:00-04:00"]}}, []),
    ],
)  # fmt: skip
def test_hours_that_are_not_meant_are_told(opening: dict[str, Any], found: list[str]) -> None:
    assert of_buyer(zone="America/New_York", schedule=opening) == found


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("$[0].price", True),
        ("$[12]", True),
        ("$.buyers[0].price", False),
        ("$['price']", False),
        ("$.price", False),
    ],
)
@pytest.mark.parametrize("name", ["bid", "reference", "number", "reason"])
def test_a_place_in_a_list_is_never_there(name: str, place: str, found: bool) -> None:
    ping = {"bid": "$.bid"} | {name: place}
    sentence = f"ping.{name}[0]: `{place}` finds nothing: an answer must be a JSON object, not a list"
    assert of_live(ping=ping) == ([sentence] if found else [])


def test_what_must_be_accepted_in_a_list_is_never_there() -> None:
    ping = {"bid": ["$.bid", "$[0].bid"], "accepted": [{"at": "$[0].ok", "says": ["yes"]}]}
    assert [each.split(":")[0] for each in of_live(ping=ping)] == ["ping.bid[1]", "ping.accepted[0].at"]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("/bid=[0-9.]+/", "finds no number: put the number in parentheses"),
        ("/(bid|price)=([0-9.]+)/", "takes its first parentheses, which hold words; begin them with ?:"),
        ("/bid=([0-9.]+)/", ""),
        ("/(?:bid|price)=([0-9.]+)/", ""),
        (r"/[0-9]+\.[0-9]{2}/", ""),
        (r"/(?i)\d+/", ""),
        (r"/(\d+)\.(\d+)/", ""),
    ],
)
def test_a_pattern_that_finds_no_number_is_told(place: str, sentence: str) -> None:
    found = of_live(ping={"answer": "text", "bid": place, "reason": "/no: .*/"})
    assert found == ([f"ping.bid[0]: `{place}` {sentence}"] if sentence else [])


@pytest.mark.parametrize(
    ("live", "found"),
    [
        ({"send": {"postal": "zipp"}}, f"send.postal: `zipp` {NO_FIELD}; did you mean `zip`?"),
        ({"on_post_only": ["ctiy"]}, f"on_post_only[0]: `ctiy` {NO_FIELD}; did you mean `city`?"),
        ({"parameters": {"age": "{lead.agee}"}}, f"parameters: `agee` {NO_FIELD}; did you mean `age`?"),
        ({"headers": {"X-Zip": "{lead.zipp}"}}, f"headers: `zipp` {NO_FIELD}; did you mean `zip`?"),
        ({"ping_url": "https://buyer.example/{lead.stat}"},
         f"ping_url: `stat` {NO_FIELD}; did you mean `state`?"),
        ({"ping_url": "http://buyer.example/ping"}, "ping_url: uses http; a deployed stage asks buyers by https only"),
        ({"timeout_ms": 3000},
         "timeout_ms: is above 1500, the ping_deadline_ms of endpoint my_endpoint: a later bid is ignored"),
        ({"ping": {"bid": "$.bid", "fields": {"id": "{bid.reference}"}}},
         "ping: has {bid.reference}, which is not known before the bid"),
        ({"ping": {"bid": "$.bid"}, "post_url": "https://buyer.example/post",
          "post": {"fields": {"id": ["{bid.reference}"]}, "accepted": [{"at": "$.ok", "says": True}]}},
         "ping.reference: is missing, so {bid.reference} of `post` is never sent"),
    ],
)  # fmt: skip
def test_a_live_buyer_that_cannot_work_is_told(live: dict[str, Any], found: str) -> None:
    assert of_live(**live) == [found]


def test_a_usual_live_buyer_is_not_told() -> None:
    assert of_live(send={"CID": "caller_id", "zip": "zip", "sub": "traffic_source_id"}, timeout_ms=1500) == []
    assert of_live(ping_url="http://127.0.0.1:9000/ping", parameters={"key": "{secret.key}"}) == []


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({"caps": {"sales": {"day": 0}}}, "caps.sales.day: is 0: the buyer never buys; `paused: true` says the same"),
        ({"caps": {"concurrent": 0}}, "caps.concurrent: is 0: the buyer never buys; `paused: true` says the same"),
        ({"caps": {"revenue": {"hour": "20.00"}}},
         "caps.revenue.hour: is below 25.00, what one call costs the buyer: it never buys"),
        ({"caps": {"by_endpoint": {"my_endpoint": {"sales": {"total": 0}}}}},
         "caps.by_endpoint.my_endpoint.sales.total: is 0: the buyer never buys; `paused: true` says the same"),
        ({"bid": "0.00"}, "bid: is 0.00: the buyer pays nothing"),
        ({"bid": None, "live": LIVE, "max_bid": "0"},
         "max_bid: is 0.00, which means no limit; leave it out, or write the highest bid"),
        ({"tier": 2}, "tier: has no effect: the offer auto-insurance ranks its buyers by bid"),
        ({"traffic_sources": ["1023", "1032"]},
         "traffic_sources[1]: no user has the traffic source `1032`; did you mean `1023`?"),
        ({"number": "+18005550103"},
         "number: is a number of Ringpost's own, ring pool auto-us: its calls would come back here"),
    ],
)  # fmt: skip
def test_a_buyer_that_never_buys_is_told(rules: dict[str, Any], found: str) -> None:
    assert of_buyer(**rules) == [found]


def test_a_usual_buyer_is_not_told() -> None:
    caps = {"sales": {"hour": 1}, "revenue": {"day": "25.00"}, "concurrent": 1}
    assert of_buyer(caps=caps, traffic_sources=["1023"], tier=1) == []


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"ring_pools": [a_ring_pool(cooldown_seconds=4)]},
         ["ring_pools[auto-us].cooldown_seconds: is under 5 seconds: a call that comes late goes to the next caller's "
          "buyer"]),
        ({"ring_pools": [a_ring_pool(cooldown_seconds=5)]}, []),
        ({"ring_pools": [a_ring_pool(hold_seconds=20)], "endpoints": [an_endpoint(ping_ttl_seconds=10)]},
         ["ring_pools[auto-us].hold_seconds: gives a caller 20 seconds to dial the number"]),
        ({"endpoints": [an_endpoint(bid_floor="22.00")]},
         [f"offers[auto-insurance].buyers[2].bid: is below 22.00, the bid_floor of endpoint my_endpoint: {NEVER}"]),
        ({"endpoints": [an_endpoint(bid_floor="30.00")]},
         [f"offers[auto-insurance].buyers[1].bid: is below 30.00, the bid_floor of endpoint my_endpoint: {NEVER}",
          f"offers[auto-insurance].buyers[2].bid: is below 30.00, the bid_floor of endpoint my_endpoint: {NEVER}",
          "endpoints[my_endpoint].bid_floor: is above every bid of the offer auto-insurance: nobody buys here"]),
        ({"offers": [an_offer(margin={"fixed": "25.00"})]},
         ["offers[auto-insurance].margin: keeps all of the 25.00 that Buyer A bids: publishers see 0.00"]),
        ({"endpoints": [an_endpoint(margin={"percent": 100})]},
         ["endpoints[my_endpoint].margin: keeps all of the 25.00 that Buyer A bids: publishers see 0.00"]),
        ({"users": [], "endpoints": [an_endpoint(require_auth_token=True)]},
         ["endpoints[my_endpoint].require_auth_token: needs a publisher's token, and no user is a publisher"]),
        ({"endpoints": [an_endpoint(tracking="static", static_numbers={"1024": "+18005550170"})]},
         ["endpoints[my_endpoint].static_numbers.1024: no user has the traffic source `1024`; did you mean `1023`?"]),
        ({"users": [a_user(), a_user(name="any", traffic_sources=[])],
          "endpoints": [an_endpoint(tracking="static", static_numbers={"1024": "+18005550170"})]}, []),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(overrides: dict[str, Any], found: list[str]) -> None:
    assert told(configuration.read(a_document(**overrides))) == found


TAKES = {"provider": "main"}
NO_EFFECT = "has no effect: no endpoint of the offer takes calls"
BUYER = "offers[auto-insurance].buyers[1]"


def calling(*endpoints: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """An offer with one buyer, at endpoints of which some take calls."""
    offer = an_offer(buyers=[a_buyer(**rules)])
    return {"providers": [a_provider()], "offers": [offer], "endpoints": [*endpoints]}


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"providers": [a_provider(account="0123456789")]},
         ["providers[main].account: does not look like an account of twilio: calls of another one are refused"]),
        ({"providers": [a_provider(kind="telnyx")]},
         ["providers[main].account: does not look like an account of telnyx: calls of another one are refused"]),
        ({"providers": [a_provider(kind="telnyx", account="0123456789"), a_provider(name="here", kind="local")]}, []),
        ({"providers": [a_provider(previous_token="{secret.main}")]},
         ["providers[main].previous_token: is the token itself, and can be taken out"]),
        (calling(an_endpoint(), pays={"on": "answered"}),
         [f"{BUYER}.pays: has no effect at endpoint my_endpoint, which takes no calls: there the buyer pays for each "
          "sale"]),
        (calling(an_endpoint(calls=TAKES), pays={"on": "answered"}), []),
        (calling(an_endpoint(), pays={"on": "sale"}), []),
        (calling(an_endpoint(), caps={"attempts": {"hour": 5}, "converted": {"day": 1}}),
         [f"{BUYER}.caps.attempts.hour: counts nothing: no endpoint of the offer takes calls",
          f"{BUYER}.caps.converted.day: counts nothing: no endpoint of the offer takes calls"]),
        (calling(an_endpoint(), an_endpoint(vanity_uri="b", calls=TAKES),
                 caps={"connected": {"hour": 5}, "by_endpoint": {"my_endpoint": {"connected": {"day": 1}}}}),
         [f"{BUYER}.caps.by_endpoint.my_endpoint.connected.day: counts nothing: this endpoint takes no calls"]),
        (calling(an_endpoint(), dial={"timeout_seconds": 10}), [f"{BUYER}.dial: {NO_EFFECT}"]),
        (calling(an_endpoint(calls=TAKES), dial={"timeout_seconds": 10}), []),
        (calling(an_endpoint(calls=TAKES | {"max_ring_seconds": 20}), dial={"say": "A call."}),
         [f"{BUYER}.dial.timeout_seconds: is above 20, the max_ring_seconds of endpoint my_endpoint: it never rings "
          "for so long"]),
        ({"offers": [an_offer(earns={"on": "connected"})]}, [f"offers[auto-insurance].earns: {NO_EFFECT}"]),
        (calling(an_endpoint(tracking="static", calls=TAKES), pays={"on": "sale"}),
         [f"{BUYER}.pays: is for each sale, and a caller can be sold again and again at endpoint my_endpoint; "
          "`duplicates` keeps the buyer from paying twice for one"]),
        (calling(an_endpoint(tracking="static", calls=TAKES), pays={"on": "sale"}, duplicates={"window_days": 1}), []),
        (calling(an_endpoint(calls=TAKES | {"last_resort": "+18005550101"})),
         ["endpoints[my_endpoint].calls.last_resort: is a number of Ringpost's own, ring pool auto-us: its calls would "
          "come back here"]),
        (calling(an_endpoint(tracking="shared", calls=TAKES | {"caller_must_match": True})),
         ["endpoints[my_endpoint].calls.caller_must_match: has no effect with `tracking: shared`, where the caller "
          "says which sale it is"]),
    ],
)  # fmt: skip
def test_what_calls_would_not_do_is_told(overrides: dict[str, Any], found: list[str]) -> None:
    assert told(configuration.read(a_document(**overrides))) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("State == TX", "must be about `state`, as the contact field is written"),
        ("state == “TX”", "has `“TX”`, but state must be a US state, for example TX or Texas; write straight quotes"),
        ("coverage == half", "has `half`, but coverage must be one of liability, full"),
        ("state in [Texas]", "must have `TX` in place of `Texas`, as the lead will have it"),
    ],
)
def test_what_no_lead_can_ever_meet_stays_refused(text: str, sentence: str) -> None:
    offer = an_offer(contact_fields=FIELDS, buyers=[a_buyer(filters=[text])])
    with pytest.raises(InvalidConfiguration) as refused:
        configuration.read(a_document(offers=[offer]))
    assert [each.message for each in refused.value.problems] == [sentence]


def test_warnings_within_a_record_are_those_of_the_whole_under_its_path() -> None:
    buyers = [a_buyer(zone="EST"), a_buyer(id=2, filters=["zips: 1001"], tier=3), a_buyer(id=3)]
    wanted = configuration.read(a_document(offers=[an_offer(contact_fields=FIELDS, buyers=buyers)]))
    every = warnings.find_warnings(wanted, NOW)
    for path in {each.path[:end] for each in every for end in range(5)}:
        assert warnings.find_warnings(wanted, NOW, path) == [each for each in every if each.path[: len(path)] == path]
    [first, *_] = every
    assert by_names(wanted, first.path) == "offers[auto-insurance].buyers[1].zone"
    assert by_names(wanted, first.path, first.path[:2]) == "buyers[1].zone"
    assert by_names(wanted, first.path, first.path[:4]) == "zone"


@pytest.mark.parametrize(
    ("limits", "needs_token", "warned"),
    [
        ({"endpoint": {"pings": 9}}, True, ["endpoint: is an older name for each user"]),
        ({"user": {"posts": 9}}, False, ["user: does not count requests without a token"]),
        ({"user": {"posts": 9}}, True, []),
        ({"user": {"posts": 9}, "source_address": {"pings": 9}}, False, []),
        ({"source_address": {"pings": 9}, "traffic_source": {"pings": 9}}, False, []),
        ({}, False, []),
    ],
)
def test_limits_that_leave_somebody_out(limits: dict[str, Any], needs_token: bool, warned: list[str]) -> None:
    endpoint = an_endpoint(limits=limits, require_auth_token=needs_token)
    found = [each for each in told(configuration.read(a_document(endpoints=[endpoint]))) if ".limits." in each]
    assert len(found) == len(warned)
    for each, start in zip(found, warned, strict=True):
        assert each.startswith(f"endpoints[my_endpoint].limits.{start}")
