"""What an operator may write, every mistake that is told, and the endpoints that come of it."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import configuration
from shared.configuration import Change, InvalidConfiguration, compile_endpoints, read, records_of
from shared.domain import models
from shared.operators.yaml_document import NOT_YAML, Unreadable, document
from tests.configurations import (
    Plain,
    a_buyer,
    a_configuration,
    a_contact_field,
    a_document,
    a_provider,
    a_ring_pool,
    a_user,
    an_endpoint,
    an_offer,
)

ROOT = Path(__file__).parents[2]
POOL = models.RingPool(no=7, name="auto-us", hold_seconds=300, cooldown_seconds=60, shards=())


def problems(wanted: object) -> dict[str, str]:
    """What is wrong, by path."""
    with pytest.raises(InvalidConfiguration) as raised:
        read(wanted)
    return {configuration.dotted_path(problem.path): problem.message for problem in raised.value.problems}


def with_buyer(**overrides: Any) -> Plain:
    return a_document(offers=[an_offer(buyers=[a_buyer(**overrides)])])


def with_field(**overrides: Any) -> Plain:
    return a_document(offers=[an_offer(contact_fields=[a_contact_field(**overrides)])])


def with_endpoint(**overrides: Any) -> Plain:
    return a_document(endpoints=[an_endpoint(**overrides)])


def with_calls(**calls: Any) -> Plain:
    return with_endpoint(calls={"provider": "main"} | calls) | {"providers": [a_provider()]}


def with_shared(**overrides: Any) -> Plain:
    return with_endpoint(tracking="shared", **overrides)


def with_pool(**overrides: Any) -> Plain:
    return a_document(ring_pools=[a_ring_pool(**overrides)])


@pytest.mark.parametrize("file", ["tools/demo.yaml", "examples/marketplace.yaml", "examples/first-sale.yaml"])
def test_what_ships_with_the_project_is_right(file: str) -> None:
    found = document((ROOT / file).read_bytes())
    assert found.problems == []
    assert read(found.value).endpoints


def test_the_demo_keeps_what_it_promises() -> None:
    demo = read(document((ROOT / "tools/demo.yaml").read_bytes()).value)
    pools = {pool.name: POOL for pool in demo.ring_pools}
    endpoints = compile_endpoints(demo, pools, version=1)
    mine = endpoints["my_endpoint"]
    assert [(buyer.id, buyer.name, buyer.bid_cents) for buyer in mine.buyers] == [
        (1, "Buyer A", 2500),
        (2, "Buyer B", 2000),
    ]
    assert {field.name: field.required_on for field in mine.fields if field.required_on} == {"caller_id": ("post",)}
    assert (mine.ping_ttl_seconds, mine.require_auth_token) == (120, False)
    [demo_pool] = [pool for pool in demo.ring_pools if pool.name == "demo"]
    assert len(configuration.expand_numbers(demo_pool.numbers)) >= 48
    assert (demo_pool.hold_seconds, demo_pool.cooldown_seconds, demo_pool.overflow_number) == (300, 60, None)
    assert endpoints["static_endpoint"].static_numbers == {"+18005550170": "1023"}
    assert endpoints["secure_endpoint"].require_auth_token
    assert endpoints["strict_endpoint"].require_caller_id


def test_limits_of_held_leases_have_defaults_and_an_open_endpoint_marks_all_of_its_pool() -> None:
    pools = dict.fromkeys(("auto-us", "other"), POOL)
    plain = {key: value for key, value in an_endpoint().items() if key != "leases_per_caller"}
    endpoints = [
        plain | {"vanity_uri": "open"},
        plain | {"vanity_uri": "paid", "require_auth_token": True, "leases_per_caller": 5},
        plain | {"vanity_uri": "apart", "require_auth_token": True, "ring_pool": "other"},
    ]
    ring_pools = [a_ring_pool(), a_ring_pool(name="other", numbers=["+18005550120"])]
    found = compile_endpoints(read(a_document(endpoints=endpoints, ring_pools=ring_pools)), pools, version=1)
    assert [(each.leases_per_caller, each.leases_per_address) for each in found.values()] == [(2, 20), (5, 20), (2, 20)]
    assert [each.pool_is_open for each in found.values()] == [True, True, False]
    assert [each.pool_is_shared for each in found.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("wanted", "path", "message"),
    [
        # Shape
        ({"offer": []}, "offer", "unknown key `offer`; did you mean `offers`?"),
        ([], "the file", "must be keys with values"),
        ({"users": "acme"}, "users", "must be a list"),
        (a_document(users=["acme"]), "users[0]", "must be keys with values"),
        (a_document(users=[{"name": "acme"}]), "users[0].role", "is missing"),
        (a_document(users=[a_user(role="boss")]), "users[0].role", "must be one of publisher, operator, viewer"),
        (a_document(users=[a_user(name="acme media")]), "users[0].name",
         "must be 1 to 64 letters, digits, dots, hyphens and underscores"),
        (a_document(users=[a_user(name=None)]), "users[0].name", "has no value"),
        (with_pool(hold_second=300), "ring_pools[0].hold_second",
         "unknown key `hold_second`; did you mean `hold_seconds`?"),
        (with_buyer(colour="red"), "offers[0].buyers[0].colour",
         "unknown key `colour`; there are " + ", ".join(configuration.Buyer.model_fields)),
        (with_pool(hold_seconds="5 minutes"), "ring_pools[0].hold_seconds", "must be a whole number"),
        (with_pool(cooldown_seconds=-1), "ring_pools[0].cooldown_seconds", "must be at least 0"),
        (with_pool(pool_share=0), "ring_pools[0].pool_share", "must be at least 1"),
        (with_pool(address_share=101), "ring_pools[0].address_share", "must be at most 100"),
        (with_endpoint(leases_per_caller=0), "endpoints[0].leases_per_caller", "must be at least 1"),
        (with_endpoint(leases_per_address="many"), "endpoints[0].leases_per_address", "must be a whole number"),
        (with_pool(numbers=[]), "ring_pools[0].numbers", "must have at least one entry"),
        (with_endpoint(require_caller_id="perhaps"), "endpoints[0].require_caller_id", "must be true or false"),
        (with_endpoint(tracking="magic"), "endpoints[0].tracking", "must be one of ring_pool, static, shared"),
        (with_endpoint(vanity_uri="my endpoint"), "endpoints[0].vanity_uri",
         "must be 1 to 64 letters, digits, dots, hyphens, underscores and tildes"),
        (with_endpoint(ping_ttl_seconds=9), "endpoints[0].ping_ttl_seconds", "must be at least 10"),
        (with_endpoint(allowed_origins=["www.example.com"]), "endpoints[0].allowed_origins[0]",
         "must be * or an origin like https://www.example.com"),
        (with_endpoint(allowed_origins=[]), "endpoints[0].allowed_origins", "must have at least one entry"),
        (with_endpoint(default_region="USA"), "endpoints[0].default_region",
         "must be a country code of two capital letters, like US"),
        (with_endpoint(buyer_columns=["bid", "shoe_size"]), "endpoints[0].buyer_columns[1]",
         "must be one of buyer_id, id, name, bid, bid_price, ping_id, tier, offer_conversion_payout, "
         "current_conversion_duration, forwarding_number, price, payout, "
         "offer_conversion_duplicate_timeframe, concurrency_cap_limit, concurrency_cap_available"),
        # Money
        *((with_buyer(bid=bid), "offers[0].buyers[0].bid", "must be an amount like 25.00, at most two decimals")
          for bid in ("25.001", 25.001, "$25", "-1", "25,00", "1e3", "", True, "nan")),
        (with_buyer(bid="1000000.01"), "offers[0].buyers[0].bid", "must be at most 1000000.00"),
        # Numbers
        *((with_buyer(number=number), "offers[0].buyers[0].number",
           "must be a telephone number in E.164, like +18005550100")
          for number in ("8005550100", "+1800555010", "+1 800 555 0100", "sip:buyer")),
        (with_pool(numbers=["+18005550107-+18005550100"]), "ring_pools[0].numbers[0]",
         "must be a range of numbers of one length, the lower one first"),
        (with_pool(numbers=["+18005550100-+448005550100"]), "ring_pools[0].numbers[0]",
         "must be a range of numbers of one length, the lower one first"),
        (with_pool(numbers=["+18005550100-+18005560100"]), "ring_pools[0].numbers[0]",
         "must be a range of at most 10000 numbers"),
        (with_pool(numbers=["+18005550100", "+18005550101", "+18005550100"]), "ring_pools[0].numbers[2]",
         "+18005550100 belongs to ring pool auto-us already; a number has one owner"),
        (with_pool(overflow_number="+18005550107"), "ring_pools[0].overflow_number",
         "+18005550107 belongs to ring pool auto-us already; a number has one owner"),
        (a_document(ring_pools=[a_ring_pool(), a_ring_pool(name="two", numbers=["+18005550106-+18005550109"])]),
         "ring_pools[1].numbers[0]",
         "+18005550106 (and 1 more) belongs to ring pool auto-us already; a number has one owner"),
        (with_endpoint(tracking="static", static_numbers={"1": "+18005550103"}),
         "endpoints[0].static_numbers.1",
         "+18005550103 belongs to ring pool auto-us already; a number has one owner"),
        (with_endpoint(tracking="static", static_numbers={"1": "+18005550170", "2": "+18005550170"}),
         "endpoints[0].static_numbers.2",
         "+18005550170 belongs to endpoint my_endpoint already; a number has one owner"),
        # Names, references, tracking
        (a_document(users=[a_user(), a_user(role="viewer")]), "users[1].name",
         "`acme-media` is taken by users[0]; each needs one of its own"),
        (a_document(endpoints=[an_endpoint(), an_endpoint()]), "endpoints[1].vanity_uri",
         "`my_endpoint` is taken by endpoints[0]; each needs one of its own"),
        (a_document(offers=[an_offer(), an_offer(name="legal", buyers=[a_buyer(id=2)])]), "offers[1].buyers[0].id",
         "`2` is taken by offers[0].buyers[1]; each needs one of its own"),
        (with_endpoint(offer="legal"), "endpoints[0].offer", "there is no offer `legal`"),
        (with_endpoint(ring_pool="other"), "endpoints[0].ring_pool", "there is no ring pool `other`"),
        (a_document(offers=[an_offer(buyers=[])]), "endpoints[0].offer",
         "the offer `auto-insurance` needs at least one buyer"),
        (with_endpoint(ring_pool=None), "endpoints[0].ring_pool", "is missing: `tracking: ring_pool` needs it"),
        (with_endpoint(hold_seconds=300), "endpoints[0].hold_seconds",
         "must be taken out: `tracking: ring_pool` has no use for it"),
        (with_endpoint(tracking="static", hold_seconds=None), "endpoints[0].hold_seconds",
         "is missing: `tracking: static` needs it"),
        (with_endpoint(tracking="static", ring_pool="auto-us"), "endpoints[0].ring_pool",
         "must be taken out: `tracking: static` has no use for it"),
        # Times
        (with_endpoint(ping_ttl_seconds=301), "ring_pools[0].hold_seconds",
         "must be at least 301, the ping_ttl_seconds of endpoint my_endpoint"),
        (with_endpoint(tracking="static", hold_seconds=119), "endpoints[0].hold_seconds",
         "must be at least 120, the ping_ttl_seconds of endpoint my_endpoint"),
        # Providers and calls
        (a_document(providers=[a_provider(kind="plivo")]), "providers[0].kind",
         "must be one of twilio, telnyx, local"),
        (a_document(providers=[a_provider(name="my main")]), "providers[0].name",
         "must be 1 to 64 letters, digits, dots, hyphens and underscores"),
        (a_document(providers=[a_provider(), a_provider(kind="local")]), "providers[1].name",
         "`main` is taken by providers[0]; each needs one of its own"),
        *((a_document(providers=[a_provider(token=token)]), "providers[0].token",
           "must name a secret, like {secret.main}; its value is never here")
          for token in ("12345", "{secret.}", "{secret.main", "x{secret.main}")),
        (a_document(providers=[a_provider(previous_token="old")]), "providers[0].previous_token",
         "must name a secret, like {secret.main}; its value is never here"),
        (with_calls(provider="other"), "endpoints[0].calls.provider", "there is no provider `other`"),
        (with_calls(late_calls="maybe"), "endpoints[0].calls.late_calls", "must be one of sell, unpaid, reject"),
        (with_calls(last_resort="555"), "endpoints[0].calls.last_resort",
         "must be a telephone number in E.164, like +18005550100"),
        (with_calls(say="x" * 501), "endpoints[0].calls.say", "must be at most 500 characters long"),
        (with_calls(max_ring_seconds=4), "endpoints[0].calls.max_ring_seconds", "must be at least 5"),
        (with_calls(provder="main"), "endpoints[0].calls.provder", "unknown key `provder`; did you mean `provider`?"),
        # Shared numbers
        (with_shared(shared_numbers=[]), "endpoints[0].shared_numbers", "is missing: `tracking: shared` needs it"),
        (with_shared(hold_seconds=None), "endpoints[0].hold_seconds", "is missing: `tracking: shared` needs it"),
        (with_shared(hold_seconds=119), "endpoints[0].hold_seconds",
         "must be at least 120, the ping_ttl_seconds of endpoint my_endpoint"),
        (with_shared(ring_pool="auto-us"), "endpoints[0].ring_pool",
         "must be taken out: `tracking: shared` has no use for it"),
        (with_endpoint(shared_numbers=["+18005550171"]), "endpoints[0].shared_numbers",
         "must be taken out: `tracking: ring_pool` has no use for it"),
        (with_shared(leases_per_caller=3), "endpoints[0].leases_per_caller",
         "must be at most 2, as there are `shared_numbers`: on each a caller has one sale at a time"),
        (with_shared(shared_numbers=["+18005550171", "+18005550100"]), "endpoints[0].shared_numbers[1]",
         "+18005550100 belongs to ring pool auto-us already; a number has one owner"),
        (with_shared(shared_numbers=["+18005550171", "+18005550171"]), "endpoints[0].shared_numbers[1]",
         "+18005550171 belongs to shared numbers of endpoint my_endpoint already; a number has one owner"),
        (with_shared(shared_numbers=[f"+18005550{n}" for n in range(120, 146)]), "endpoints[0].shared_numbers",
         "must have at most 25 entries"),
        # Pay and dialing
        *((with_buyer(pays=pays), "offers[0].buyers[0].pays",
           "must have `after_seconds` with `on: duration`, and only there")
          for pays in ({"on": "duration"}, {"on": "sale", "after_seconds": 90})),
        (with_buyer(pays={"on": "duration", "after_seconds": 0}), "offers[0].buyers[0].pays.after_seconds",
         "must be at least 1"),
        (with_buyer(pays={"on": "call"}), "offers[0].buyers[0].pays.on", "must be one of sale, answered, duration"),
        (with_buyer(pays={"on": "sale"}, conversion_seconds=90), "offers[0].buyers[0]",
         "must have `pays`, or its older name `conversion_seconds`, not both"),
        (a_document(offers=[an_offer(earns={"on": "connected", "after_seconds": 5})]), "offers[0].earns",
         "must have `after_seconds` with `on: duration`, and only there"),
        *((with_buyer(dial={"timeout_seconds": seconds}), "offers[0].buyers[0].dial.timeout_seconds", message)
          for seconds, message in ((4, "must be at least 5"), (121, "must be at most 120"))),
        *((with_buyer(dial={"max_call_seconds": seconds}), "offers[0].buyers[0].dial.max_call_seconds", message)
          for seconds, message in ((59, "must be at least 60"), (14_401, "must be at most 14400"))),
        *((with_buyer(dial={"press": keys}), "offers[0].buyers[0].dial.press",
           "must be 1 to 8 keys of a telephone: digits, * and #") for keys in ("", "one", "1 2", "123456789")),
        *((with_buyer(dial={"sip": address}), "offers[0].buyers[0].dial.sip",
           "must be a SIP address like sip:{number}@buyer.example")
          for address in ("buyer.example", "sip:@buyer.example", "sip:{caller}@buyer.example", "sip:a@b <x>")),
        (with_buyer(caps={"attempts": {"minute": 5}}), "offers[0].buyers[0].caps.attempts.minute",
         "unknown key `minute`; there are hour, day, month, total"),
        (with_buyer(caps={"connected": {"day": -1}}), "offers[0].buyers[0].caps.connected.day", "must be at least 0"),
        # Contact fields
        (with_field(name="2nd"), "offers[0].contact_fields[0].name",
         "must be 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or underscore"),
        (with_field(name="Auth_Token"), "offers[0].contact_fields[0].name",
         "`auth_token` is about the request and cannot be a contact field"),
        (with_field(name="caller_id", type="text"), "offers[0].contact_fields[0].type",
         "must be phone: `caller_id` is a telephone number"),
        (with_field(name="Caller_ID", type="phone"), "offers[0].contact_fields[0].name", "must be written `caller_id`"),
        (a_document(offers=[an_offer(contact_fields=[a_contact_field(), a_contact_field(name="ZIP")])]),
         "offers[0].contact_fields[1].name",
         "`zip` is taken by offers[0].contact_fields[0]; each needs one of its own"),
        (with_field(required_on=["full"]), "offers[0].contact_fields[0].required_on[0]", "must be one of ping, post"),
        (with_field(required_on="ping"), "offers[0].contact_fields[0].required_on", "must be a list"),
        (with_field(type="colour"), "offers[0].contact_fields[0].type",
         "must be one of phone, email, us_state, us_zip, date, integer, decimal, boolean, choice, text"),
        (with_field(type="choice"), "offers[0].contact_fields[0].choices",
         "must list the values that a choice can have"),
        (with_field(choices=["a"]), "offers[0].contact_fields[0].choices",
         "is for fields of type choice; this one's is us_zip"),
        (with_field(type="text", minimum="1"), "offers[0].contact_fields[0].minimum",
         "is for fields of type integer and decimal; this one's is text"),
        (with_field(type="integer", minimum="low"), "offers[0].contact_fields[0].minimum", "must be a number"),
        (with_field(type="integer", minimum="inf"), "offers[0].contact_fields[0].minimum", "must be a number"),
        (with_field(type="integer", minimum="2", maximum="1"), "offers[0].contact_fields[0].maximum",
         "must be at least 2, the minimum"),
        (with_field(type="text", min_length=5, max_length=4), "offers[0].contact_fields[0].max_length",
         "must be at least 5, the min_length"),
        (with_field(type="text", pattern="(a"), "offers[0].contact_fields[0].pattern",
         "must be a regular expression of RE2: no look-around, no back-references"),
        (with_field(default="123"), "offers[0].contact_fields[0].default",
         "must be a US ZIP code of five digits, for example 30340"),
        (with_field(type="integer", maximum="10", example="11"), "offers[0].contact_fields[0].example",
         "must be at most 10"),
        (with_field(type="choice", choices=["a", "b"], default="c"), "offers[0].contact_fields[0].default",
         "must be one of a, b"),
        (with_field(type="phone", default="6145550123"), "offers[0].contact_fields[0].default",
         "must be a telephone number, for example +16145550123"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_by_its_path_and_by_what_would_be_right(wanted: object, path: str, message: str) -> None:
    assert problems(wanted) == {path: message}


def test_all_mistakes_are_told_at_once_also_those_between_records_that_can_be_read() -> None:
    wanted = a_document(
        users=[a_user(role="boss"), a_user(name="two"), a_user(name="two")],
        ring_pools=[a_ring_pool(hold_seconds=60), a_ring_pool(name="other", numbers=["+18005550100"])],
        offers=[
            an_offer(name="broken", rank_by="mood"),
            an_offer(
                buyers=[a_buyer(bid="25.001"), a_buyer(id=9, number="+18005550181"), a_buyer(id=9)],
                contact_fields=[a_contact_field(), a_contact_field(default="1")],
            ),
        ],
        endpoints=[
            an_endpoint(),
            an_endpoint(vanity_uri="b", offer="broken"),
            an_endpoint(vanity_uri="c", offer="none"),
        ],
    )
    assert set(problems(wanted)) == {
        "users[0].role",
        "users[2].name",
        "ring_pools[0].hold_seconds",
        "ring_pools[1].numbers[0]",
        "offers[0].rank_by",
        "offers[1].buyers[0].bid",
        "offers[1].buyers[2].id",
        "offers[1].contact_fields[1].name",
        "offers[1].contact_fields[1].default",
        "endpoints[2].offer",
    }


def test_a_reference_to_a_record_that_cannot_be_read_is_no_mistake_of_its_own() -> None:
    wanted = a_document(ring_pools=[a_ring_pool(hold_seconds="long")], offers=[an_offer(buyers=[a_buyer(bid="?")])])
    assert set(problems(wanted)) == {"ring_pools[0].hold_seconds", "offers[0].buyers[0].bid"}


def test_calls_are_compiled_with_what_is_default() -> None:
    pays, dial = {"on": "duration", "after_seconds": 90}, {"timeout_seconds": 10, "press": "1", "say": "A call."}
    caps = {
        "attempts": {"hour": 30},
        "converted": {"total": 5},
        "by_endpoint": {"my_endpoint": {"connected": {"day": 9}}},
    }
    buyers = [a_buyer(pays=pays, dial=dial, caps=caps), a_buyer(id=2, conversion_seconds=60), a_buyer(id=3)]
    wanted = a_document(
        providers=[a_provider()],
        offers=[an_offer(buyers=buyers, earns={"on": "duration", "after_seconds": 30})],
        endpoints=[
            an_endpoint(calls={"provider": "main", "late_calls": "reject", "last_resort": "+18005550199"}),
            an_endpoint(vanity_uri="shared", tracking="shared"),
        ],
    )
    found = compile_endpoints(read(wanted), {"auto-us": POOL}, version=1)
    mine, shared = found["my_endpoint"], found["shared"]
    assert mine.calls == models.CallRules("main", late_calls="reject", last_resort="+18005550199")
    assert mine.earns == models.Earns("duration", 30)
    first, second, third = mine.buyers
    assert first.dial == models.DialRules(timeout_seconds=10, press="1", say="A call.")
    assert [buyer.pay_rule for buyer in mine.buyers] == [
        models.Pays("duration", 90), models.Pays("duration", 60), models.Pays("answered"),
    ]  # fmt: skip
    assert [buyer.conversion_seconds for buyer in mine.buyers] == [90, 60, 0]
    assert [(cap.kind, cap.period, cap.limit) for cap in first.caps] == [
        ("attempts", "hour", 30), ("converted", "total", 5), ("connected", "day", 9),
    ]  # fmt: skip
    assert (second.dial, third.pays) == (models.DialRules(), None)
    assert (shared.calls, shared.pool, shared.hold_seconds) == (None, None, 300)
    assert shared.shared_numbers == ("+18005550171", "+18005550172")


def test_a_buyer_of_sip_may_have_the_number_in_its_address() -> None:
    for address in (
        "sip:{number}@buyer.example",
        "sips:calls@10.0.0.1:5061;transport=tls",
        "sip:+18005550181@b.example",
    ):
        [offer] = read(with_buyer(dial={"sip": address})).offers
        assert offer.buyers[0].dial
        assert offer.buyers[0].dial.compile().sip == address


def test_a_provider_that_cannot_be_read_is_not_missing_at_its_endpoints() -> None:
    wanted = with_calls() | {"providers": [a_provider(kind="carrier pigeon")]}
    assert set(problems(wanted)) == {"providers[0].kind"}


def test_more_endpoints_than_one_transaction_can_switch_are_refused() -> None:
    endpoints = [an_endpoint(vanity_uri=f"e{n}") for n in range(100)]
    assert problems(a_document(endpoints=endpoints)) == {"endpoints": "must have at most 98 entries"}
    assert read(a_document(endpoints=endpoints[2:]))


@given(cents=st.integers(0, 100_000_000))
def test_money_is_always_read_to_the_cent(cents: int) -> None:
    wanted = a_configuration(offers=[an_offer(buyers=[a_buyer(bid=f"{cents // 100}.{cents % 100:02}")])])
    assert wanted.offers[0].buyers[0].bid == cents


@pytest.mark.parametrize(("bid", "cents"), [("25", 2500), ("25.5", 2550), (25, 2500), (25.0, 2500), ("0.07", 7)])
def test_money_may_be_written_short(bid: object, cents: int) -> None:
    assert read(with_buyer(bid=bid)).offers[0].buyers[0].bid == cents


@given(first=st.integers(100, 199), more=st.integers(1, 50))
def test_a_range_always_has_every_number_from_its_first_to_its_last(first: int, more: int) -> None:
    numbers = configuration.expand_numbers([f"+18005550{first} - +18005550{first + more}"])
    assert len(numbers) == more + 1
    assert all(int(after) - int(before) == 1 for before, after in pairwise(numbers))


WORDS = ["+18005550100", "auto-us", "static", "25.00", "bid", "acme-media", "zip", "phone", "ping"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
KEYS = st.sampled_from(
    [
        *configuration.LISTS, "name", "role", "numbers", "id", "bid", "number", "type", "default", "vanity_uri",
        "offer", "tracking", "static_numbers", "shared_numbers", "ring_pool", "hold_seconds", "calls", "provider",
        "pays", "on", "after_seconds", "dial", "sip", "x",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)


def problem_paths(wanted: object) -> list[configuration.Path]:
    try:
        read(wanted)
    except InvalidConfiguration as invalid:
        return [problem.path for problem in invalid.problems]
    return []


@given(wanted=st.dictionaries(KEYS, ANYTHING) | ANYTHING)
def test_whatever_is_sent_it_is_read_or_refused_with_a_problem(wanted: object) -> None:
    with suppress(InvalidConfiguration):
        read(wanted)


@given(data=st.data())
def test_one_value_replaced_by_anything_is_read_or_told_inside_a_section(data: st.DataObject) -> None:
    wanted = a_document()
    record = wanted[data.draw(st.sampled_from(sorted(wanted)))][0]
    record[data.draw(st.sampled_from(sorted(record)))] = data.draw(ANYTHING)
    assert {path[0] for path in problem_paths(wanted)} <= set(wanted)


def test_an_endpoint_is_compiled_with_its_offer_buyers_users_and_pool() -> None:
    wanted = a_configuration(
        offers=[an_offer(rank_by="tier", buyers=[a_buyer(tier=2, weight=7, paused=True, conversion_seconds=90)])],
        endpoints=[an_endpoint(bid_floor="1.50", buyer_columns=["bid", "tier"], default_region="CA")],
    )
    assert compile_endpoints(wanted, {"auto-us": POOL}, version=12) == {
        "my_endpoint": models.Endpoint(
            vanity_uri="my_endpoint",
            version=12,
            offer="auto-insurance",
            rank_by="tier",
            fields=(
                models.Field(name="caller_id", type="phone", required_on=("post",)),
                models.Field(name="trackdrive_number", type="phone"),
                models.Field(name="traffic_source_id"),
            ),
            buyers=(
                models.Buyer(
                    id=1,
                    name="Buyer A",
                    bid_cents=2500,
                    number="+18005550181",
                    tier=2,
                    weight=7,
                    paused=True,
                    conversion_seconds=90,
                ),
            ),
            users=(models.User("acme-media", "publisher", ("1023",)),),
            ping_ttl_seconds=120,
            hold_seconds=300,
            pool=POOL,
            leases_per_caller=100,
            pool_is_open=True,
            default_region="CA",
            bid_floor_cents=150,
            require_auth_token=False,
            buyer_columns=("bid", "tier"),
        )
    }


def test_a_static_endpoint_needs_its_number_on_ping_and_the_caller_on_post() -> None:
    endpoint = compile_endpoints(a_configuration(endpoints=[an_endpoint(tracking="static")]), {}, version=1)[
        "my_endpoint"
    ]
    assert {field.name: field.required_on for field in endpoint.fields} == {
        "caller_id": ("post",),
        "trackdrive_number": ("ping",),
        "traffic_source_id": (),
    }
    assert (endpoint.static_numbers, endpoint.hold_seconds, endpoint.pool) == ({"+18005550170": "1023"}, 300, None)


def test_a_default_is_compiled_as_a_publishers_value_would_be_read() -> None:
    fields = [a_contact_field(name="state", type="us_state", default="texas")]
    wanted = a_configuration(offers=[an_offer(contact_fields=fields)])
    assert compile_endpoints(wanted, {"auto-us": POOL}, version=1)["my_endpoint"].fields[0].default == "TX"


@pytest.mark.parametrize(
    ("offer", "endpoint", "validation"),
    [
        ({}, {}, "lenient"),
        ({"validation": "strict"}, {}, "strict"),
        ({}, {"validation": "strict"}, "strict"),
        ({"validation": "strict"}, {"validation": "lenient"}, "lenient"),
    ],
)
def test_an_endpoint_validates_as_its_offer_unless_it_says_otherwise(
    offer: dict[str, str], endpoint: dict[str, str], validation: str
) -> None:
    wanted = a_configuration(offers=[an_offer(**offer)], endpoints=[an_endpoint(**endpoint)])
    assert compile_endpoints(wanted, {"auto-us": POOL}, version=7)["my_endpoint"].validation == validation


def test_a_filter_cannot_look_for_what_counts_as_no_value() -> None:
    buyer = a_buyer(filters=["zip == null"])
    with pytest.raises(InvalidConfiguration) as raised:
        a_configuration(offers=[an_offer(contact_fields=[a_contact_field()], buyers=[buyer])])
    [problem] = raised.value.problems
    assert problem.message == "has `null`, which counts as no value; use `zip exists`"


def test_a_configuration_is_the_same_after_a_round_trip_through_its_records() -> None:
    wanted = read(document((ROOT / "examples/marketplace.yaml").read_bytes()).value)
    assert configuration.from_records(records_of(wanted)) == wanted


def changed(**overrides: Any) -> list[Change]:
    return configuration.changes_between(records_of(a_configuration()), records_of(a_configuration(**overrides)))


def test_what_is_spelled_differently_but_means_the_same_is_no_change() -> None:
    assert changed(endpoints=[an_endpoint(hold_seconds=None, bid_floor="0.00")]) == []
    buyers = [a_buyer(bid="25"), a_buyer(id=2, name="Buyer B", bid="20.0", number="+18005550182")]
    assert changed(offers=[an_offer(buyers=buyers)]) == []


def test_a_change_is_named_by_names_and_ids_and_not_by_places() -> None:
    buyers = [a_buyer(id=3, name="Buyer C"), a_buyer(bid="26.00"), a_buyer(id=2, name="B", bid="20.00")]
    assert changed(offers=[an_offer(name="legal", buyers=[]), an_offer(buyers=buyers)], users=[]) == [
        Change(
            "offers[legal]",
            None,
            {
                "name": "legal",
                "rank_by": "bid",
                "contact_fields": [{"name": "caller_id", "type": "phone", "required_on": ["post"]}],
            },
        ),
        Change(
            "offers[auto-insurance].buyers[3]",
            None,
            {"id": 3, "name": "Buyer C", "bid": "25.00", "number": "+18005550181"},
        ),
        Change("offers[auto-insurance].buyers[1].bid", "25.00", "26.00"),
        Change("offers[auto-insurance].buyers[2].name", "Buyer B", "B"),
        Change("offers[auto-insurance].buyers[2].number", "+18005550182", "+18005550181"),
        Change("users[acme-media]", {"name": "acme-media", "role": "publisher", "traffic_sources": ["1023"]}, None),
    ]


def test_another_order_of_contact_fields_is_a_change() -> None:
    fields = [a_contact_field(), a_contact_field(name="caller_id", type="phone", required_on=["post"])]
    was, now = (
        records_of(a_configuration(offers=[an_offer(contact_fields=order)])) for order in (fields, fields[::-1])
    )
    assert configuration.changes_between(was, now) == [
        Change("offers[auto-insurance].contact_fields in order", ["zip", "caller_id"], ["caller_id", "zip"])
    ]


# The file


def test_values_of_a_file_are_what_was_written() -> None:
    text = b"zip: 01234\nbid: 25.10\nyes: no\nphone: +18005550100\nnothing:\nday: 2026-12-25\nlist: [1, two]\n"
    assert document(text).value == {
        "zip": "01234",
        "bid": "25.10",
        "yes": "no",
        "phone": "+18005550100",
        "nothing": None,
        "day": "2026-12-25",
        "list": ["1", "two"],
    }


def test_every_path_has_its_line_and_a_missing_one_that_of_its_parent() -> None:
    found = document(b"users:\n  - name: a\n    role: b\n  - name: c\n")
    assert found.line(("users", 0, "role")) == 3
    assert found.line(("users", 1, "role")) == 4
    assert found.line(("offers",)) == 1


def test_a_key_given_twice_is_a_problem() -> None:
    found = document(b"a: 1\nb: 2\na: 3\n")
    assert [str(problem) for problem in found.problems] == ["a: is given twice, first in line 1"]
    assert found.line(("a",)) == 3


def test_anchors_and_merges_work() -> None:
    text = b"""
        base: &base {tier: 1, weight: 5}
        buyer: {<<: *base, weight: 7}
        same: *base
        both: {<<: [{tier: 2}, *base]}
    """
    assert document(text).value == {
        "base": {"tier": "1", "weight": "5"},
        "buyer": {"tier": "1", "weight": "7"},
        "same": {"tier": "1", "weight": "5"},
        "both": {"tier": "2", "weight": "5"},
    }


LAUGHS = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter + 1, letter + 1, b",".join([b"*%c" % letter] * 9)) for letter in range(97, 110)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"a: [1, 2\nb: 3\n", 2, NOT_YAML),
        (b"a:\n\t- b", 2, NOT_YAML),
        (b"a: *nobody", 1, "found undefined alias 'nobody'"),
        (b"? [a, b]\n: c", 1, "a key must be a word"),
        (b"a: 1\n---\nb: 2\n", 2, "found another document"),
        (b"", 0, "it is empty"),
        (b"# nothing\n", 0, "it is empty"),
        (b"a" * (1024 * 1024 + 1), 0, "it is larger than 1024 KB"),
        (b"\xff", 0, "it is not a text in UTF-8"),
        (b"a: \0", 0, "it has a character that YAML does not allow"),
        (b"[" * 100_000, 0, "it is nested deeper than 20"),
        (b"{a: " * 100_000, 0, "it is nested deeper than 20"),
        (b"? - " * 100_000, 0, "it is nested deeper than 20"),
        (b"{a: " * 20, 2, NOT_YAML),
        (LAUGHS, 0, "it has more than 100000 values"),
        (b"&a [*a]", 0, "it is nested deeper than 20"),
    ],
)
def test_what_is_no_usable_yaml_is_told_with_its_line(text: bytes, line: int, message: str) -> None:
    with pytest.raises(Unreadable) as raised:
        document(text)
    assert str(raised.value) == message
    assert raised.value.line == line


def test_caps_of_calls_are_not_looked_at_where_no_calls_are_taken() -> None:
    caps = {
        "sales": {"day": 9}, "attempts": {"day": 9},
        "by_endpoint": {"my_endpoint": {"connected": {"day": 5}}, "calling": {"connected": {"day": 5}}},
    }  # fmt: skip
    endpoints = [an_endpoint(), an_endpoint(vanity_uri="calling", calls={"provider": "main"})]
    providers = [{"name": "main", "kind": "local", "account": "AC1", "token": "{secret.local}"}]
    written = a_document(offers=[an_offer(buyers=[a_buyer(caps=caps)])], endpoints=endpoints, providers=providers)
    found = compile_endpoints(read(written), {"auto-us": POOL}, 1)
    kinds = {name: [(cap.kind, cap.endpoint) for cap in found[name].buyers[0].caps] for name in found}
    assert kinds == {
        "my_endpoint": [("sales", "")],
        "calling": [("sales", ""), ("attempts", ""), ("connected", "calling")],
    }
