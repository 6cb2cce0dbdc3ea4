"""Sales on an endpoint that takes calls, on real engines: crowds at caps of each kind, and a sale whose POST dies."""

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from shared.domain.caps import Cap, Kind
from shared.domain.models import Buyer, CallRules, Endpoint
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.pings import CLAIM_SECONDS
from shared.store.reservations import Reservations
from tests.build import SETTINGS, Publisher, Stage, a_buyer, a_pool, an_endpoint
from tests.race.crowds import at_once
from tests.race.test_racing_caps import BUYER_IDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CROWD, LIMIT, CENTS = 50, 5, 2500
KINDS: tuple[Kind, ...] = ("sales", "attempts", "connected", "converted", "revenue")


def publish(client: "DynamoDBClient", *caps: tuple[Cap, ...], numbers: int = 40) -> Endpoint:
    """An endpoint with a buyer for each of these, in this order."""
    buyers = tuple(
        a_buyer(id=next(BUYER_IDS), bid_cents=CENTS, tier=n, caps=some) for n, some in enumerate(caps, start=1)
    )
    first = buyers[0].id
    pool, calls = a_pool(numbers, no=first), CallRules(provider="local")
    endpoint = an_endpoint(vanity_uri=f"e{first}", buyers=buyers, pool=pool, rank_by="tier", calls=calls)
    Stage(client).publish(endpoint)
    return endpoint


def sell(stage: Stage, endpoint: Endpoint, n: int) -> bool:
    sent = {"caller_id": f"+1614555{n:04}"}
    return bool(Publisher(stage).send("full", endpoint.vanity_uri, json_body=sent).body["success"])


def counted(client: "DynamoDBClient", buyer: Buyer, now: int) -> dict[str, int]:
    """What is counted under the buyer's caps, by kind."""
    found = Counters(Dynamo(client, SETTINGS), {}).counts(items(buyer), now)[buyer.id]
    return {name.partition("-")[0]: number for name, number in found.items() if number}


def test_of_fifty_sales_at_once_five_are_made_under_a_cap_of_five_of_each_kind(client: "DynamoDBClient") -> None:
    caps = [(Cap(kind, LIMIT * (CENTS if kind == "revenue" else 1), "day"),) for kind in KINDS]
    endpoint = publish(client, *caps, (Cap("concurrent", LIMIT),))
    stages = [Stage(client) for _ in range(CROWD)]
    assert sum(at_once(stages, lambda stage, n: sell(stage, endpoint, n))) == 6 * LIMIT
    for buyer in endpoint.buyers:
        [number] = counted(client, buyer, stages[0].clock()).values()
        assert number in (LIMIT, LIMIT * CENTS)


def test_a_buyer_on_endpoints_of_both_kinds_is_counted_once(client: "DynamoDBClient") -> None:
    caps = (Cap("sales", LIMIT, "day"), Cap("concurrent", LIMIT + 1), Cap("attempts", 2, "day"))
    calling = publish(client, caps)
    [buyer] = calling.buyers
    no = next(BUYER_IDS)
    selling = an_endpoint(vanity_uri=f"s{no}", buyers=(replace(buyer, caps=caps[:2]),), pool=a_pool(8, no=no))
    stages = [Stage(client) for _ in range(CROWD // 2)]
    stages[0].publish(selling)
    sold = at_once(stages, lambda stage, n: sell(stage, (calling, selling)[n % 2], n))
    found = counted(client, buyer, stages[0].clock())
    assert sum(sold) == LIMIT == found["sales"] == found["concurrent"]
    assert found.get("attempts", 0) == sum(sold[::2]) <= 2


class Died(BaseException):
    """The function's process ended."""


class Mortal(Dynamo):
    """Its process ends at one call: before that is sent, or after it was done."""

    def __init__(self, client: "DynamoDBClient", at: int, is_sent: bool) -> None:
        super().__init__(client, SETTINGS)
        self.calls, self.at, self.is_sent = count(), at, is_sent

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        dies = next(self.calls) == self.at
        if dies and not self.is_sent:
            raise Died
        answer = super().send(method, sendings, *args, **request)
        if dies:
            raise Died
        return answer


def dies_at_each_call(client: "DynamoDBClient", is_sent: bool) -> int:
    """A POST dies at each of its calls, and is sent again: its buyer, who has room for one, takes it. How often."""
    caps = (*(Cap(kind, CENTS if kind == "revenue" else 1, "day") for kind in KINDS), Cap("concurrent", 1))
    for at in count():
        endpoint = publish(client, caps, numbers=2)
        [buyer] = endpoint.buyers
        stage = Stage(client)
        caps_here = (
            *caps,
            Cap("connected", 1, "hour", endpoint.vanity_uri),
            Cap("concurrent", 1, "", endpoint.vanity_uri),
        )
        endpoint = an_endpoint(
            vanity_uri=endpoint.vanity_uri, version=2, buyers=(a_buyer(id=buyer.id, caps=caps_here),),
            pool=endpoint.pool, calls=endpoint.calls,
        )  # fmt: skip
        stage.publish(endpoint)
        publisher = Publisher(stage)
        ping_id = publisher.ping(endpoint.vanity_uri, caller_id="+16145550123").body["try_all_buyers_ping_id"]
        post = partial(publisher.send, "post", endpoint.vanity_uri)
        sent = {"ping_id": ping_id, "caller_id": "+16145550123"}
        try:
            post(json_body=sent, world=stage.world_over(Mortal(client, at, is_sent)))
            return at
        except Died:
            stage.clock.forward(CLAIM_SECONDS)
        answer = Publisher(Stage(client, clock=stage.clock)).send("post", endpoint.vanity_uri, json_body=sent)
        assert answer.body["success"], at
        for of, item in Counters(Dynamo(client, SETTINGS), {}).read_items(items(endpoint.buyers[0])).items():
            entries = [value for value in item["held"]["M"].values() if "B" in value]
            places = item["concurrent@" + of[1] if of[1] else "concurrent"]["M"]
            assert (len(entries), len(places)) == (1, 1), at
    raise AssertionError


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_cap_of_one_does_not_refuse_a_sale_that_is_taken_over(client: "DynamoDBClient", is_sent: bool) -> None:
    assert dies_at_each_call(client, is_sent) > 3


def test_a_take_over_that_takes_anew_is_caught(dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: Reservations, buyer_id: int, _: bytes, *rest: Any) -> Any:
        return self.take(buyer_id, *rest)

    monkeypatch.setattr(Reservations, "take_over", take)
    with pytest.raises(AssertionError):
        dies_at_each_call(dynoxide, True)


def test_a_post_writes_its_buyers_item_once_and_the_first_of_all_twice(client: "DynamoDBClient") -> None:
    """Each is a write unit, as the item has less than a kilobyte."""
    caps = (*(Cap(kind, 10**6, period) for kind in KINDS for period in ("day", "month")), Cap("concurrent", 9))
    endpoint = publish(client, caps)
    [buyer] = endpoint.buyers
    written: list[int] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        if params.get("Key", {}).get("pk", {}).get("S") == f"B{buyer.id}" and "UpdateExpression" in params:
            written[-1] += 1

    client.meta.events.register("provide-client-params.dynamodb", note)
    try:
        for n in range(3):
            written.append(0)
            assert sell(Stage(client), endpoint, n)
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb", note)
    assert written == [2, 1, 1]
