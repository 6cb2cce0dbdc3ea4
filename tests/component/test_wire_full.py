"""FULL: ping and post in one request, both answers in one."""

from urllib.parse import urlencode

import pytest

from shared.domain.models import Field
from tests.build import BUYERS, CALLER, CONTACT_FIELDS, Publisher, Stage, a_buyer, an_endpoint

BODY = [
    "success", "status", "errors", "try_all_buyers_ping_id", "try_all_buyers", "buyers", "trackdrive_number",
    "forwarding_number", "forwarding_number_status", "buyer_name", "buyer_id", "number_expires_at",
]  # fmt: skip


def test_a_full_answers_with_the_auction_and_the_sale(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    answer = publisher.full(caller_id=CALLER)
    assert (answer.code, list(answer.body)) == (200, BODY)
    assert [(row["buyer_id"], row["bid"]) for row in answer.body["buyers"]] == [(1, 25.0), (2, 20.0)]
    assert (answer.body["buyer_id"], answer.body["buyer_name"]) == (1, "Buyer A")
    assert answer.body["number_expires_at"] == "2100-01-01T00:05:00Z"
    assert answer.body["forwarding_number"] == answer.body["trackdrive_number"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_full_may_be_sent_in_the_query_and_as_a_form(stage: Stage, publisher: Publisher, method: str) -> None:
    stage.publish(an_endpoint())
    lead = {"caller_id": CALLER}
    found = [publisher.send("full", method=method, query=urlencode(lead)), publisher.send("full", form=lead)]
    assert [list(answer.body) for answer in found] == [BODY, BODY]


def test_a_full_may_choose_its_buyer(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    assert publisher.full(caller_id=CALLER, buyer_id=2).body["buyer_id"] == 2


def test_a_full_needs_what_ping_and_post_need(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, Field(name="zip", type="us_zip", required_on=("ping",)))))
    answer = publisher.full()
    assert (answer.code, answer.body["errors"]) == (
        422,
        {
            "caller_id": ["caller_id is required on post. You did not send a value."],
            "zip": ["zip is required on ping. You did not send a value."],
        },
    )
    assert stage.contents()["pings"] == []


@pytest.mark.parametrize("verb", ["full", "post"])
def test_nobody_bids_on_a_full_or_a_post_without_ping(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(buyers=(a_buyer(paused=True),)))
    answer = publisher.send(verb, json_body={"caller_id": CALLER})
    assert (answer.code, answer.text) == (
        200,
        '{"success":false,"status":"no_matching_buyer","errors":["There are no matching buyers."],"buyers":[]}',
    )
    [stored] = stage.pings()
    assert stored.bids == ()


def test_the_ping_of_a_full_is_sold(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(buyers=BUYERS))
    full = publisher.full(caller_id=CALLER).body
    for row in full["buyers"]:
        answer = publisher.post(ping_id=row["ping_id"], caller_id=CALLER)
        assert answer.body["status"] == "ping_id_used"


def test_a_post_of_the_try_all_id_of_a_full_gets_the_number_that_was_sold(stage: Stage, publisher: Publisher) -> None:
    """It asks for what the FULL asked for, of the same caller: a retry, and answered as one."""
    stage.publish(an_endpoint())
    full = publisher.full(caller_id=CALLER)
    after = stage.contents()
    assert publisher.post(ping_id=full.body["try_all_buyers_ping_id"], caller_id=CALLER).text == full.text
    assert stage.contents() == after


def test_a_ping_id_sent_with_a_full_plays_no_part(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    ping = publisher.ping().body["try_all_buyers_ping_id"]
    full = publisher.full(ping_id=ping, caller_id=CALLER).body
    assert full["success"]
    assert full["try_all_buyers_ping_id"] != ping
    assert stage.kept(ping).sale is None
