"""Publishers retry. The same request gets the same answer, byte for byte, while the number is held,
and changes nothing."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from shared.domain.models import Field, User
from tests.build import BUYERS, CALLER, CONTACT_FIELDS, Answer, Clock, Publisher, Stage, a_buyer, a_pool, an_endpoint

Send = Callable[[], Answer]
OTHER_CALLER = "+16145550124"
KEY = {"Idempotency-Key": "key-1"}
LEAD = {"caller_id": CALLER, "zip": "30340"}

WAYS: dict[str, Callable[[Publisher], dict[str, Any]]] = {
    "buyer's ping id": lambda publisher: {"verb": "post", "json_body": LEAD | {"ping_id": pinged(publisher, 1)}},
    "buyer's ping id and buyer id": lambda publisher: {
        "verb": "post",
        "json_body": LEAD | {"ping_id": pinged(publisher, 1), "buyer_id": 1},
    },
    "try-all id": lambda publisher: {"verb": "post", "json_body": LEAD | {"ping_id": pinged(publisher)}},
    "try-all id and buyer id": lambda publisher: {
        "verb": "post",
        "json_body": LEAD | {"ping_id": pinged(publisher), "buyer_id": 2},
    },
    "ping id and key": lambda publisher: {
        "verb": "post",
        "json_body": LEAD | {"ping_id": pinged(publisher, 1)},
        "headers": KEY,
    },
    "post-only": lambda _: {"verb": "post", "json_body": LEAD},
    "post-only and key": lambda _: {"verb": "post", "json_body": LEAD, "headers": KEY},
    "full": lambda _: {"verb": "full", "json_body": LEAD},
    "full and key": lambda _: {"verb": "full", "json_body": LEAD, "headers": KEY},
}


def pinged(publisher: Publisher, buyer: int = 0) -> str:
    """A new ping's id: try-all's, or one buyer's."""
    body = publisher.ping().body
    ids = {row["buyer_id"]: row["ping_id"] for row in body["buyers"]} | {0: body["try_all_buyers_ping_id"]}
    return str(ids[buyer])


def keyed(publisher: Publisher, ping: str, **sent: Any) -> Answer:
    return publisher.send("post", json_body=LEAD | {"ping_id": ping} | sent, headers=KEY)


def the_same(one: Answer, other: Answer) -> bool:
    return one.body["success"] and (one.code, one.text) == (other.code, other.text)


@pytest.fixture(params=WAYS)
def send(request: pytest.FixtureRequest, stage: Stage, publisher: Publisher) -> Send:
    """One POST or FULL, to be sent as often as a test likes."""
    stage.publish(an_endpoint())
    sent = WAYS[request.param](publisher)
    return lambda: publisher.send(**sent)


def test_a_retry_gets_the_same_answer_and_changes_nothing(stage: Stage, send: Send) -> None:
    first = send()
    after = stage.contents()
    assert the_same(first, send())
    assert the_same(first, send())
    assert stage.contents() == after


def test_a_retry_gets_the_same_answer_until_the_hold_ends(stage: Stage, send: Send) -> None:
    first = send()
    stage.clock.forward(299)
    after = stage.contents()
    assert the_same(first, send())
    assert stage.contents() == after
    stage.clock.forward(1)
    assert not the_same(first, send())


def test_a_retry_gets_the_same_answer_whatever_was_configured_since(stage: Stage, send: Send) -> None:
    first = send()
    changed = an_endpoint(
        version=2, success_status="accepted", buyers=(a_buyer(paused=True), a_buyer(id=2, paused=True))
    )
    stage.publish(changed)
    stage.memory.endpoints.clear()
    after = stage.contents()
    assert the_same(first, send())
    assert stage.contents() == after


@pytest.mark.parametrize("kind", WAYS)
def test_a_retry_gets_the_same_answer_from_an_exhausted_pool(stage: Stage, publisher: Publisher, kind: str) -> None:
    stage.publish(an_endpoint(pool=a_pool(1)))
    sent = WAYS[kind](publisher)
    first = publisher.send(**sent)
    assert publisher.post(caller_id=OTHER_CALLER).body["status"] == "no_number_available"
    assert the_same(first, publisher.send(**sent))


@pytest.mark.parametrize("kind", WAYS)
def test_a_request_that_found_no_number_may_be_sent_again(stage: Stage, publisher: Publisher, kind: str) -> None:
    """And again: the hold begins with the sale, not with the first attempt at it."""
    stage.publish(an_endpoint(pool=a_pool(1, hold_seconds=120, cooldown_seconds=0)))
    publisher.post(caller_id=OTHER_CALLER)
    stage.clock.forward(30)
    sent = WAYS[kind](publisher)
    assert publisher.send(**sent).body["status"] == "no_number_available"
    stage.clock.forward(90)
    first = publisher.send(**sent)
    assert the_same(first, publisher.send(**sent))
    stage.clock.forward(119)
    assert the_same(first, publisher.send(**sent))


@pytest.mark.parametrize("kind", WAYS)
def test_a_retry_gets_the_same_answer_until_the_hold_ends_however_long_the_first_took(
    stage: Stage, publisher: Publisher, kind: str
) -> None:
    class Slow(Clock):
        def __call__(self) -> int:
            self.forward(1)
            return self.now

    stage.publish(an_endpoint())
    sent = WAYS[kind](publisher)
    stage.clock = Slow()
    first = publisher.send(**sent)
    held_until = int(datetime.fromisoformat(first.body["number_expires_at"]).timestamp())
    stage.clock = Clock(held_until - 1)
    assert the_same(first, publisher.send(**sent))


def test_a_key_brings_the_first_answer_to_a_new_ping_until_the_hold_ends(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(1, hold_seconds=120, cooldown_seconds=0)))
    publisher.post(caller_id=OTHER_CALLER)
    stage.clock.forward(30)
    ping = pinged(publisher, 1)
    assert keyed(publisher, ping).body["status"] == "no_number_available"
    stage.clock.forward(90)
    first = keyed(publisher, ping)
    stage.clock.forward(119)
    assert the_same(first, keyed(publisher, pinged(publisher, 1)))


def test_the_same_ping_and_caller_are_the_same_post_however_they_are_spelled(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint())
    ping = pinged(publisher, 1)
    first = publisher.post(ping_id=ping, caller_id=CALLER)
    assert the_same(first, publisher.send("post", query=f"ping_id={ping}&caller_id=(614)+555-0123&buyer_id=1"))


@pytest.mark.parametrize("verb", ["post", "full"])
@pytest.mark.parametrize(
    "sent",
    [
        {"query": "zip=30340&caller_id=+16145550123"},
        {"form": {"ZIP": "30340", "caller_id": "(614) 555-0123"}},
        {"json_body": {"zip": 30340, "caller_id": 6145550123, "other": ""}},
        {"json_body": LEAD | {"explain": 1, "vanity_uri": "other"}},
    ],
    ids=str,
)
def test_the_same_lead_is_the_same_request_however_it_is_spelled(
    stage: Stage, publisher: Publisher, verb: str, sent: dict[str, Any]
) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, Field(name="zip"))))
    first = publisher.send(verb, json_body=LEAD)
    assert the_same(first, publisher.send(verb, **sent))


@pytest.mark.parametrize("verb", ["post", "full"])
@pytest.mark.parametrize(
    "other",
    [
        {"json_body": LEAD | {"caller_id": OTHER_CALLER}},
        {"json_body": LEAD | {"zip": "30341"}},
        {"json_body": LEAD | {"state": "TX"}},
        {"json_body": LEAD | {"traffic_source_id": "1023"}},
        {"json_body": LEAD, "headers": KEY},
    ],
    ids=str,
)
def test_another_lead_or_key_is_another_sale(
    stage: Stage, publisher: Publisher, verb: str, other: dict[str, Any]
) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, Field(name="zip"), Field(name="state"))))
    first, second = publisher.send(verb, json_body=LEAD), publisher.send(verb, **other)
    assert first.body["trackdrive_number"] != second.body["trackdrive_number"]


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_field_that_nobody_asked_for_makes_no_other_lead_of_a_caller(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    stage.publish(an_endpoint())
    first = publisher.send(verb, json_body={"caller_id": CALLER, "session": "1"})
    assert the_same(first, publisher.send(verb, json_body={"caller_id": CALLER, "session": "2"}))


@pytest.mark.parametrize("verb", ["post", "full"])
def test_without_a_caller_every_value_makes_another_lead(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint(fields=(Field(name="zip"),)))
    sales = [publisher.send(verb, json_body={"zip": "30340", "session": str(n)}) for n in (1, 2, 1)]
    assert sales[0].body["trackdrive_number"] != sales[1].body["trackdrive_number"]
    assert the_same(sales[0], sales[2])


def test_a_post_only_for_another_buyer_is_another_sale(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    sales = [publisher.post(caller_id=CALLER, buyer_id=buyer_id) for buyer_id in (1, 2)]
    assert [sale.body["buyer_id"] for sale in sales] == [1, 2]


@pytest.mark.parametrize("verb", ["post", "full"])
@pytest.mark.parametrize("other", [{"zip": "30341"}, {"buyer_id": 2}], ids=str)
def test_an_idempotency_key_with_the_same_caller_and_another_lead_is_a_mistake(
    stage: Stage, publisher: Publisher, verb: str, other: dict[str, Any]
) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, Field(name="zip"))))
    assert publisher.send(verb, json_body=LEAD, headers=KEY).body["success"]
    before = stage.contents()["leases"]
    answer = publisher.send(verb, json_body=LEAD | other, headers=KEY)
    assert (answer.code, list(answer.body["errors"])) == (422, ["Idempotency-Key"])
    assert stage.contents()["leases"] == before


def test_a_full_that_asks_for_reasons_has_the_same_bytes_when_it_is_sent_again(
    stage: Stage, publisher: Publisher
) -> None:
    buyers = (a_buyer(), a_buyer(id=2, name="Buyer B", paused=True))
    stage.publish(an_endpoint(buyers=buyers, users=(User("ana", "operator"),)))
    stage.give_token("ana's", "ana")
    asked: dict[str, Any] = {"caller_id": CALLER, "explain": 1, "auth_token": "ana's"}
    first = publisher.full(**asked)
    assert [failure["buyer_id"] for failure in first.body["explain"]] == [2]
    stage.publish(an_endpoint(version=2, users=(User("ana", "operator"),)))
    stage.clock.forward(60)
    assert the_same(first, publisher.full(**asked))


def test_the_same_lead_by_post_and_by_full_and_on_another_endpoint_is_another_sale(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(), an_endpoint(vanity_uri="other"))
    sales = [publisher.post(**LEAD), publisher.full(**LEAD), publisher.post("other", **LEAD)]
    assert len({sale.body["trackdrive_number"] for sale in sales}) == 3


def test_another_publisher_with_the_same_lead_and_key_is_another_sale(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(users=(User("acme", "publisher"), User("bolt", "publisher"))))
    stage.give_token("acme's", "acme")
    stage.give_token("bolt's", "bolt")
    sales = [
        publisher.send("post", json_body=LEAD | {"auth_token": token}, headers=KEY) for token in ("acme's", "bolt's")
    ]
    assert len({sale.body["trackdrive_number"] for sale in sales}) == 2


def test_a_key_brings_the_first_answer_to_a_new_ping_and_leaves_that_unsold(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    first = keyed(publisher, pinged(publisher, 1))
    new = pinged(publisher, 1)
    after = stage.contents()
    assert the_same(first, keyed(publisher, new))
    assert stage.contents()["leases"] == after["leases"]
    assert publisher.post(ping_id=new, **LEAD).body["success"]


def test_the_same_key_with_a_ping_of_another_lead_is_a_mistake(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=(*CONTACT_FIELDS, Field(name="zip"))))
    assert keyed(publisher, pinged(publisher, 1)).body["success"]
    second = pinged(publisher, 1)
    answer = keyed(publisher, second, zip="30341")
    assert (answer.code, list(answer.body["errors"])) == (422, ["Idempotency-Key"])
    assert publisher.post(ping_id=second, **LEAD | {"zip": "30341"}).body["success"]


def test_the_same_key_with_a_ping_of_another_caller_is_another_sale(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    pings = [publisher.ping(caller_id=caller).body["try_all_buyers_ping_id"] for caller in (CALLER, OTHER_CALLER)]
    first, second = (publisher.send("post", json_body={"ping_id": ping}, headers=KEY) for ping in pings)
    assert second.body["success"]
    assert first.body["trackdrive_number"] != second.body["trackdrive_number"]


@pytest.mark.parametrize("sold", [True, False], ids=["sold", "unsold"])
def test_a_key_never_reaches_the_ping_of_another_publisher(stage: Stage, publisher: Publisher, sold: bool) -> None:
    stage.publish(an_endpoint(users=(User("acme", "publisher"), User("bolt", "publisher"))))
    stage.give_token("acme's", "acme")
    stage.give_token("bolt's", "bolt")
    acmes = publisher.ping(auth_token="acme's").body["try_all_buyers_ping_id"]
    bolts = publisher.ping(auth_token="bolt's").body["try_all_buyers_ping_id"]
    sale = publisher.post(auth_token="acme's", ping_id=acmes, **LEAD) if sold else None
    assert keyed(publisher, acmes, auth_token="bolt's").body["status"] == "ping_id_unknown"
    bolts_sale = keyed(publisher, bolts, auth_token="bolt's")
    assert bolts_sale.body["success"]
    assert sale is None or bolts_sale.body["trackdrive_number"] != sale.body["trackdrive_number"]
    acmes_sale = publisher.post(auth_token="acme's", ping_id=acmes, **LEAD)
    assert acmes_sale.body["success"]
    assert sale is None or the_same(sale, acmes_sale)


def test_a_key_whose_first_ping_was_refused_goes_over_to_the_next(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    refused = pinged(publisher, 1)
    stage.publish(an_endpoint(version=2, buyers=(a_buyer(paused=True), BUYERS[1])))
    stage.memory.endpoints.clear()
    assert keyed(publisher, refused).body["status"] == "buyer_unavailable"
    second = pinged(publisher, 2)
    sale = keyed(publisher, second)
    assert sale.body["success"]
    after = stage.contents()
    assert the_same(sale, keyed(publisher, second))
    assert the_same(sale, keyed(publisher, pinged(publisher)))
    assert publisher.post(ping_id=refused, **LEAD).body["status"] == "ping_id_used"
    assert stage.contents()["leases"] == after["leases"]


def test_a_key_is_free_again_after_the_hold(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    first = keyed(publisher, pinged(publisher, 1))
    stage.clock.forward(300)
    second = keyed(publisher, pinged(publisher, 1))
    assert second.body["success"]
    assert first.body["trackdrive_number"] != second.body["trackdrive_number"]


@pytest.mark.parametrize("verb", ["post", "full"])
def test_the_same_lead_after_the_hold_is_a_new_sale(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint())
    first = publisher.send(verb, json_body=LEAD)
    stage.clock.forward(300)
    second = publisher.send(verb, json_body=LEAD)
    assert second.body["success"]
    assert first.body["trackdrive_number"] != second.body["trackdrive_number"]


def test_a_ping_may_be_sent_again_and_is_a_new_ping(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    assert pinged(publisher) != pinged(publisher)
