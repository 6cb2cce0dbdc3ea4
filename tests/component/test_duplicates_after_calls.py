"""A caller may be a duplicate only after its call was connected, or has converted."""

from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.models import DAY, CallRules, Endpoint, Pays
from shared.flows.updating import Said, Teller, update_call
from tests.build import CALLER, Publisher, Stage, a_buyer, an_endpoint
from tests.component.test_calls import SAYS, sell
from tests.phone import Phone

HOLD, LONGEST_CALL = 300, 25 + 3600
WINDOW = 20 * DAY
STATIC = "+18005550190"


@pytest.fixture
def stage(fast_stage: Stage) -> Stage:
    return fast_stage


def market(after: str, of: str = "offer", pays: Pays | None = None, **overrides: Any) -> Endpoint:
    """With one buyer. Duplicates are the offer's or the buyer's."""
    rule: dict[str, Any] = {"duplicate_seconds": WINDOW, "duplicate_after": after}
    buyer = a_buyer(pays=pays or Pays("duration", 90), **(rule if of == "buyer" else {}))
    return an_endpoint(buyers=(buyer,), calls=CallRules("main"), **(rule if of == "offer" else {}), **overrides)


def is_duplicate(publisher: Publisher, caller: str = CALLER, **sent: Any) -> bool:
    return publisher.ping(caller_id=caller, **sent).body["status"] in ("duplicate_caller", "no_matching_buyer")


def call(stage: Stage, publisher: Publisher, story: str) -> None:
    phone = Phone(stage, sell(publisher))
    if story != "never called":
        phone.rings()
    if story == "busy":
        phone.dial_ends("busy")
    elif story != "never called":
        phone.talks(10 if story == "short" else 95)


@pytest.mark.parametrize("of", ["offer", "buyer"])
@pytest.mark.parametrize(
    ("after", "story", "until"),
    [
        ("sale", "never called", WINDOW),
        ("connected", "never called", HOLD),
        ("connected", "busy", HOLD),
        ("connected", "short", WINDOW),
        ("connected", "long", WINDOW),
        ("converted", "never called", HOLD),
        ("converted", "busy", HOLD),
        ("converted", "short", HOLD + LONGEST_CALL),
        ("converted", "long", WINDOW),
    ],
)
def test_a_caller_is_a_duplicate_while_it_may_still_be_and_after_it_was(
    stage: Stage, publisher: Publisher, of: str, after: str, story: str, until: int
) -> None:
    stage.publish(market(after, of))
    sold_at = stage.clock()
    call(stage, publisher, story)
    stage.clock.forward(sold_at + until - 1 - stage.clock())
    assert is_duplicate(publisher)
    stage.clock.forward(1)
    assert not is_duplicate(publisher)
    assert publisher.full(caller_id=CALLER).body["success"]
    assert is_duplicate(publisher)


@pytest.mark.parametrize("says", [True, False])
def test_a_caller_is_a_duplicate_while_its_buyer_may_say_that_the_call_converted(
    stage: Stage, publisher: Publisher, says: bool
) -> None:
    stage.publish(market("converted", pays=SAYS))
    sold_at = stage.clock()
    phone = Phone(stage, sell(publisher))
    phone.rings()
    phone.talks(95)
    if says:
        update_call(stage.telephony(), phone.call_id, Teller("bea", (1,)), Said(buyer_converted=True))
    stage.clock.forward(sold_at + HOLD + 7 * DAY - 1 - stage.clock())
    assert is_duplicate(publisher)
    stage.clock.forward(1)
    assert is_duplicate(publisher) is says


def test_a_sale_of_an_endpoint_that_takes_no_calls_makes_a_duplicate_whatever_it_is_after(
    stage: Stage, publisher: Publisher
) -> None:
    """As each sale of 0.1.0 does."""
    silent = replace(market("converted"), calls=None)
    stage.publish(silent)
    sell(publisher)
    stage.publish(replace(market("converted"), version=2))
    stage.clock.forward(WINDOW - 1)
    assert is_duplicate(publisher)
    stage.clock.forward(1)
    assert not is_duplicate(publisher)


def test_the_offer_and_a_buyer_have_rules_of_their_own(stage: Stage, publisher: Publisher) -> None:
    rule: dict[str, Any] = {"duplicate_seconds": WINDOW}
    buyers = (a_buyer(**rule), a_buyer(id=2, bid_cents=100, duplicate_after="connected", **rule))
    stage.publish(an_endpoint(buyers=buyers, calls=CallRules("main"), duplicate_after="connected", **rule))
    sell(publisher)
    assert publisher.ping(caller_id=CALLER).body["status"] == "duplicate_caller"
    stage.clock.forward(HOLD)
    answer = publisher.ping(caller_id=CALLER, explain="1", auth_token="").body
    assert [buyer["buyer_id"] for buyer in answer["buyers"]] == [2]


def test_of_two_posts_that_take_the_place_of_a_sale_without_a_call_one_sells(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(market("connected"))
    sell(publisher)
    stage.clock.forward(HOLD)
    pings = [publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"] for _ in range(2)]
    answers = [publisher.post(ping_id=ping, caller_id=CALLER).body for ping in pings]
    assert [answer["success"] for answer in answers] == [True, False]
    assert answers[1]["status"] == "duplicate_caller"
