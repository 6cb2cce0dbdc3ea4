"""Ring pool: a number of its own for every sale, and what happens when there is none."""

import pytest

from shared.domain.models import Field
from tests.build import CALLER, CONTACT_FIELDS, START, Publisher, Stage, a_pool, an_endpoint

OVERFLOW = "+18005559999"
CALLERS = [f"+1614555{n:04}" for n in range(100, 110)]


def test_no_two_live_sales_share_a_number(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(5)))
    numbers = [publisher.post(caller_id=caller).body["trackdrive_number"] for caller in CALLERS[:5]]
    assert len(set(numbers)) == 5
    assert publisher.post(caller_id=CALLERS[5]).body["status"] == "no_number_available"


@pytest.mark.parametrize("verb", ["post", "full"])
def test_an_exhausted_pool_says_exactly_when_to_come_back(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(pool=a_pool(2, hold_seconds=300, cooldown_seconds=60)))
    first = publisher.send(verb, json_body={"caller_id": CALLERS[0]}).body
    stage.clock.forward(100)
    publisher.send(verb, json_body={"caller_id": CALLERS[1]})
    answer = publisher.send(verb, json_body={"caller_id": CALLERS[2]})
    assert (answer.code, answer.body) == (
        200,
        {
            "success": False,
            "status": "no_number_available",
            "errors": ["No tracking number is available now."],
            "buyers": [],
            "retry_after_seconds": 260,
        },
    )
    stage.clock.forward(259)
    answer = publisher.send(verb, json_body={"caller_id": CALLERS[2]})
    assert (answer.body["status"], answer.body["retry_after_seconds"]) == ("no_number_available", 1)
    stage.clock.forward(1)
    sale = publisher.send(verb, json_body={"caller_id": CALLERS[2]}).body
    assert sale["trackdrive_number"] == first["trackdrive_number"]


def test_a_ping_that_met_an_exhausted_pool_is_sold_as_soon_as_a_number_is_free(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(pool=a_pool(1, hold_seconds=120, cooldown_seconds=0)))
    publisher.post(caller_id=CALLER)
    stage.clock.forward(100)
    ping = publisher.ping().body["try_all_buyers_ping_id"]
    refused = publisher.post(ping_id=ping, caller_id=CALLER).body
    stage.clock.forward(refused["retry_after_seconds"])
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]


def test_another_process_refuses_an_exhausted_pool_too(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(1)))
    publisher.post(caller_id=CALLER)
    elsewhere = Publisher(Stage(stage.client, clock=stage.clock))
    assert elsewhere.post(caller_id=CALLERS[0]).body["retry_after_seconds"] == 360


def test_the_number_that_has_rested_longest_goes_first(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(3, hold_seconds=120, cooldown_seconds=0)))
    numbers = []
    for caller in CALLERS[:9]:
        numbers.append(publisher.post(caller_id=caller).body["trackdrive_number"])
        stage.clock.forward(40)
    assert numbers == numbers[:3] * 3
    assert len(set(numbers)) == 3


def test_a_ping_takes_no_number(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(1)))
    before = stage.contents()["leases"]
    for caller in CALLERS[:3]:
        assert publisher.ping(caller_id=caller).body["success"]
    assert stage.contents()["leases"] == before


def test_two_endpoints_lease_from_one_pool(stage: Stage, publisher: Publisher) -> None:
    pool = a_pool(2)
    stage.publish(an_endpoint(pool=pool), an_endpoint(pool=pool, vanity_uri="other"))
    sales = [publisher.post(caller_id=CALLER).body, publisher.post("other", caller_id=CALLER).body]
    assert len({sale["trackdrive_number"] for sale in sales}) == 2
    assert publisher.post("other", caller_id=CALLERS[0]).body["status"] == "no_number_available"


@pytest.mark.parametrize("verb", ["post", "full"])
def test_an_exhausted_pool_gives_its_overflow_number_to_known_callers(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    stage.publish(an_endpoint(pool=a_pool(1, overflow_number=OVERFLOW)))
    own = publisher.send(verb, json_body={"caller_id": CALLERS[0]}).body
    assert own["trackdrive_number"] != OVERFLOW.removeprefix("+")
    for caller in CALLERS[1:4]:
        sale = publisher.send(verb, json_body={"caller_id": caller}).body
        assert (sale["trackdrive_number"], sale["number_expires_at"]) == ("18005559999", "2100-01-01T00:05:00Z")
        route = stage.route(OVERFLOW, caller)
        assert route
        assert (route.buyer_id, route.number, route.sold) == (1, "+18005550181", True)


def test_the_overflow_number_is_marked_on_the_sale(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(1, overflow_number=OVERFLOW)))
    found = []
    for caller in CALLERS[:2]:
        ping = publisher.ping().body["try_all_buyers_ping_id"]
        publisher.post(ping_id=ping, caller_id=caller)
        sale = stage.kept(ping).sale
        assert sale
        found.append(sale.overflow)
    assert found == [False, True]


def test_the_overflow_number_is_not_given_to_an_unknown_caller(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(), pool=a_pool(1, overflow_number=OVERFLOW)))
    assert publisher.post(lead="1").body["success"]
    answer = publisher.post(lead="2").body
    assert (answer["status"], answer["retry_after_seconds"]) == ("no_number_available", 360)


def test_the_overflow_number_is_given_to_a_caller_once_at_a_time(stage: Stage, publisher: Publisher) -> None:
    """The call is told apart by its caller id: a second buyer for the same caller could not be reached."""
    pool, fields = a_pool(1, overflow_number=OVERFLOW), (*CONTACT_FIELDS, Field(name="lead"))
    stage.publish(an_endpoint(pool=pool, fields=fields), an_endpoint(pool=pool, vanity_uri="other", fields=fields))
    publisher.post(caller_id=CALLERS[0])
    first = publisher.post(caller_id=CALLERS[1], lead="1").body
    assert first["trackdrive_number"] == "18005559999"
    before = stage.route(OVERFLOW, CALLERS[1])
    stage.clock.forward(1)
    sent = {"caller_id": CALLERS[1], "lead": "2"}
    for uri, source in (("my_endpoint", "1023"), ("other", "")):
        answer = publisher.post(uri, **sent, traffic_source_id=source).body
        assert answer["status"] == "no_number_available"
        assert stage.route(OVERFLOW, CALLERS[1]) == before


def test_the_same_publisher_can_sell_the_caller_of_an_overflow_number_again(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(1, overflow_number=OVERFLOW)))
    publisher.post(caller_id=CALLERS[0])
    publisher.post(caller_id=CALLERS[1], lead="1")
    stage.clock.forward(1)
    ping = publisher.ping().body["buyers"][1]["ping_id"]
    assert publisher.post(ping_id=ping, caller_id=CALLERS[1]).body["trackdrive_number"] == "18005559999"
    route = stage.route(OVERFLOW, CALLERS[1])
    assert route
    assert (route.buyer_id, route.sold, route.held_until) == (2, True, START + 301)


@pytest.mark.parametrize("sent", [{}, {"caller_id": CALLERS[1]}], ids=["post-only", "other"])
def test_a_retry_of_an_overflow_sale_is_the_same(stage: Stage, publisher: Publisher, sent: dict[str, str]) -> None:
    stage.publish(an_endpoint(pool=a_pool(1, overflow_number=OVERFLOW)))
    publisher.post(caller_id=CALLERS[0])
    first = publisher.post(**{"caller_id": CALLERS[2]} | sent)
    after = stage.contents()
    assert publisher.post(**{"caller_id": CALLERS[2]} | sent).text == first.text
    assert stage.contents() == after


@pytest.mark.parametrize("numbers", [6, 100])
@pytest.mark.parametrize("mistyped", [600, 7 * 24 * 3600])
def test_a_sale_under_a_mistyped_hold_takes_one_number_and_blocks_no_other(
    fast_stage: Stage, numbers: int, mistyped: int
) -> None:
    """Corrected a minute later, two hundred sales follow, each while one number at least is free."""
    stage, publisher = fast_stage, Publisher(fast_stage)
    stage.publish(an_endpoint(pool=a_pool(numbers, hold_seconds=mistyped, cooldown_seconds=5)))
    long_lease = publisher.post(caller_id=CALLER).body["trackdrive_number"]
    long_until = stage.clock() + mistyped
    stage.clock.forward(60)
    stage.publish(an_endpoint(version=2, pool=a_pool(numbers, hold_seconds=20, cooldown_seconds=5)))
    ends: dict[str, int] = {}
    for n in range(200):
        stage.clock.forward(1 if numbers > 6 else 5)
        assert len([end for end in ends.values() if end > stage.clock()]) < numbers - 1
        sale = publisher.post(caller_id=f"+1614556{n:04}").body
        assert sale["success"]
        assert ends.get(sale["trackdrive_number"], 0) <= stage.clock()
        assert sale["trackdrive_number"] != long_lease or stage.clock() > long_until
        ends[sale["trackdrive_number"]] = stage.clock() + 25
    for n in range(numbers):
        sale = publisher.post(caller_id=f"+1614557{n:04}").body
        if not sale["success"]:
            break
        ends[sale["trackdrive_number"]] = stage.clock() + 25
    assert sale["retry_after_seconds"] == min(end for end in ends.values() if end > stage.clock()) - stage.clock()
