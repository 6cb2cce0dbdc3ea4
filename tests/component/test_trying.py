"""*A request to try* on an endpoint's page: the buyer that the page names takes it."""

import json
import re
import shlex
from html import unescape
from typing import Any

import pytest

from shared.configuration import Plain
from tests.build import Answer, Publisher, Stage
from tests.configurations import a_buyer, a_contact_field, an_endpoint, an_offer
from tests.office import opened
from tests.visits import Guest, Seen

FIELDS = [
    a_contact_field(name="caller_id", type="phone", required_on=["post"]),
    a_contact_field(name="zip", example="30340"),
    a_contact_field(name="state", type="us_state", example="TX"),
    a_contact_field(name="age", type="integer", minimum="18", maximum="120"),
    a_contact_field(name="insured", type="boolean"),
    a_contact_field(name="coverage", type="choice", choices=["liability", "full"]),
    a_contact_field(name="birth_date", type="date", example="1985-03-27"),
    a_contact_field(name="notes", type="text"),
]


def served(stage: Stage, *buyers: Plain, offer: Plain | None = None, **endpoint: Any) -> Seen:
    """The page of an endpoint whose offer has these buyers."""
    wanted = an_offer(contact_fields=FIELDS, buyers=[*buyers], **(offer or {}))
    opened(stage, offers=[wanted], endpoints=[an_endpoint(**endpoint)])
    return Guest(stage, "olga").open("/endpoints/my_endpoint")


def sent(page: Seen, publisher: Publisher) -> Answer:
    """What the page's command sends, sent."""
    found = re.search(r'id="curl">(.*?)</pre>', page.html, re.DOTALL)
    assert found
    words = shlex.split(unescape(found[1]).replace("\\\n", " "))
    return publisher.full(**json.loads(words[words.index("-d") + 1]))


FILTERS = [
    ["states: OH, PA"],
    ["state == OH"],
    ["not states: TX, AL, AK"],
    ["state not in [TX, AL]"],
    ["zips: 303, 40000-41999", "state != TX"],
    ["zips: 10001"],
    ["not zips: 303, 0"],
    ["zip matches ^9"],
    ["area_codes: 404"],
    ["not area_codes: 614, 201"],
    ["age >= 25", "age < 26"],
    ["age > 119"],
    ["insured == false"],
    ["coverage == full", "insured == true"],
    ["birth_date < 1970-01-01"],
    ["notes matches ^(?i)urgent", "notes exists"],
    ["campaign == 'spring sale'"],
    ["caller_id exists", "score > 7.5"],
]


@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: " and ".join(filters))
def test_the_values_pass_the_filters_of_the_buyer_that_is_named(
    stage: Stage, publisher: Publisher, filters: list[str]
) -> None:
    page = served(stage, a_buyer(filters=filters), a_buyer(id=2, name="Buyer B", bid="20.00"))
    assert "Buyer A would take it now, for 25.00" in page.text
    assert sent(page, publisher).body["buyer_name"] == "Buyer A"


def test_the_first_open_buyer_is_the_one(stage: Stage, publisher: Publisher) -> None:
    page = served(
        stage,
        a_buyer(id=1, name="Paused", bid="90.00", paused=True),
        a_buyer(id=2, name="Closed", bid="80.00", schedule={"zone": "UTC", "open": {}}),
        a_buyer(id=3, name="Full", bid="70.00", caps={"sales": {"day": 0}}),
        a_buyer(id=4, name="Impossible", bid="60.00", filters=["age > 120"]),
        a_buyer(id=5, name="Best", bid="50.00", filters=["states: OH"], traffic_sources=["7"]),
        a_buyer(id=6, name="Next", bid="40.00"),
    )
    assert "Best would take it now, for 50.00" in page.text
    assert sent(page, publisher).body["buyer_name"] == "Best"


def test_if_nobody_takes_it_the_page_says_why(stage: Stage, publisher: Publisher) -> None:
    page = served(
        stage,
        a_buyer(id=1, name="Paused", paused=True),
        a_buyer(id=2, name="Closed", schedule={"zone": "UTC", "open": {}}),
        a_buyer(id=3, name="Full", caps={"sales": {"day": 0}}),
        a_buyer(id=4, name="Impossible", filters=["age > 120"]),
        a_buyer(id=5, name="Cheap", bid="5.00"),
        bid_floor="10.00",
    )
    for said in (
        "No buyer would take it now.",
        "Paused is paused.",
        "today's hours: closed all day.",
        "Full is full: 0, and its cap is 0 sales a day.",
        "Impossible has a filter for which no value was found: age > 120.",
        "Cheap bids 5.0, which is below the endpoint's floor of 10.0.",
    ):
        assert said in page.text
    assert sent(page, publisher).body["status"] == "no_matching_buyer"


def test_of_one_tier_a_draw_decides(stage: Stage, publisher: Publisher) -> None:
    buyers = [a_buyer(), a_buyer(id=2, name="Buyer B"), a_buyer(id=3, name="Buyer C", tier=2)]
    page = served(stage, *buyers, offer={"rank_by": "tier"})
    assert re.search("Buyer [AB] or Buyer [AB] would take it now, drawn by weight", page.text)
    assert sent(page, publisher).body["buyer_name"] in ("Buyer A", "Buyer B")


def a_live_buyer() -> Plain:
    live = {"dialect": "ringpost", "ping_url": "https://buyer.example/ping"}
    return {"id": 3, "name": "Asked", "number": "+18005550183", "live": live, "filters": ["states: OH"]}


def test_a_live_buyer_is_asked(stage: Stage) -> None:
    page = served(stage, a_live_buyer(), a_buyer())
    assert "Buyer A would take it now, for 25.00, unless Asked bids better: it is asked live." in page.text
    assert "&#34;OH&#34;" in page.html


def test_a_live_buyer_alone_may_take_it(stage: Stage) -> None:
    assert "Asked would be asked now, and may take it: it bids live." in served(stage, a_live_buyer()).text


def test_a_caller_that_was_sold_is_not_proposed_again(stage: Stage, publisher: Publisher) -> None:
    page = served(stage, a_buyer(), offer={"duplicates": {"window_days": 30}})
    assert sent(page, publisher).body["success"]
    assert sent(page, publisher).body["trackdrive_number"]  # the same sale once more
    again = Guest(stage, "olga").open("/endpoints/my_endpoint")
    assert sent(again, publisher).body["success"]


def test_an_endpoint_with_static_numbers_too(stage: Stage, publisher: Publisher) -> None:
    page = served(stage, a_buyer(filters=["states: OH"]), tracking="static")
    assert sent(page, publisher).body["buyer_name"] == "Buyer A"
