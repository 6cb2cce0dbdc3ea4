"""Calls at the same time on real engines, each in a process of its own."""

from itertools import count
from random import SystemRandom
from typing import TYPE_CHECKING

from msgspec.structs import replace

from shared.domain.caps import Cap, Kind
from shared.domain.models import CallRules, Endpoint
from tests.build import Publisher, Stage, a_buyer, a_pool, an_endpoint
from tests.phone import Phone, Told
from tests.race.crowds import at_once
from tests.race.test_racing_caps import BUYER_IDS
from tests.race.test_reserved_sales import counted

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CROWD, LIMIT, CENTS = 50, 5, 2500
KINDS: tuple[Kind, ...] = ("sales", "attempts", "connected", "converted")
FIRST, SECOND = "+18005550181", "+18005550182"
SIDS = count(SystemRandom().randrange(10**9))
NUMBERS = count(2_000_000 + SystemRandom().randrange(50_000) * 100, 100)
"""Of pools: no other test has their numbers."""


def publish(client: "DynamoDBClient", *caps: Cap, numbers: int = 4) -> Endpoint:
    """A buyer with caps, and one that takes what is left."""
    no = next(BUYER_IDS)
    buyers = (
        a_buyer(id=no, number=FIRST, caps=caps),
        a_buyer(id=next(BUYER_IDS), name="Buyer B", bid_cents=CENTS - 1, number=SECOND),
    )
    pool, start = a_pool(numbers, no=no), next(NUMBERS)
    [shard] = pool.shards[:1]
    shard = replace(shard, numbers=tuple(f"+1888{start + n}" for n in range(numbers)))
    pool = replace(pool, shards=(shard,))
    endpoint = an_endpoint(vanity_uri=f"e{no}", buyers=buyers, pool=pool, calls=CallRules("main"))
    Stage(client).publish(endpoint)
    return endpoint


def sell(stage: Stage, endpoint: Endpoint, n: int = 0) -> str:
    sold = Publisher(stage).send("full", endpoint.vanity_uri, json_body={"caller_id": caller(n)})
    assert sold.code == 200, sold.body
    return str(sold.body["forwarding_number"])


def caller(n: int) -> str:
    return f"+1614555{n:04}"


def a_sid(n: int) -> str:
    return f"CA-{next(SIDS)}-{n}"


def settled_cents(phone: Phone) -> int:
    assert phone.stored
    assert phone.stored.facts.settled
    return phone.stored.facts.settled.revenue_cents


def test_of_two_calls_of_a_sale_at_once_one_is_paid_and_counted(client: "DynamoDBClient") -> None:
    for _ in range(4):
        caps = (Cap("sales", 1, "day"), Cap("attempts", 2, "day"), Cap("converted", 2, "day"), Cap("concurrent", 2))
        endpoint = publish(client, *caps)
        number = sell(Stage(client), endpoint)
        phones = [Phone(Stage(client), number, caller(0), a_sid(n)) for n in range(2)]
        assert [told.dialed for told in at_once(phones, lambda phone, _: phone.rings())] == [FIRST] * 2
        at_once(phones, lambda phone, _: phone.talks(60))
        assert sorted(settled_cents(phone) for phone in phones) == [0, CENTS]
        assert counted(client, endpoint.buyers[0], phones[0].stage.clock()) == {
            "sales": 1,
            "attempts": 2,
            "converted": 1,
        }


def test_of_fifty_sales_and_calls_at_once_five_reach_a_buyer_with_caps_of_five(client: "DynamoDBClient") -> None:
    endpoint = publish(client, *(Cap(kind, LIMIT, "day") for kind in KINDS), Cap("concurrent", LIMIT), numbers=CROWD)
    stages = [Stage(client) for _ in range(CROWD)]

    def ring(stage: Stage, n: int) -> tuple[Phone, Told]:
        phone = Phone(stage, sell(stage, endpoint, n), caller(n), a_sid(n))
        return phone, phone.rings()

    rung = at_once(stages, ring)
    assert sorted(told.dialed for _, told in rung) == [FIRST] * LIMIT + [SECOND] * (CROWD - LIMIT)
    at_once(rung, lambda each, _: each[0].talks(60))
    assert sorted(settled_cents(phone) for phone, _ in rung) == [CENTS - 1] * (CROWD - LIMIT) + [CENTS] * LIMIT
    assert counted(client, endpoint.buyers[0], stages[0].clock()) == dict.fromkeys(KINDS, LIMIT)


def test_the_same_webhook_at_once_gets_the_same_bytes_and_later_those_of_the_call_as_it_is(
    client: "DynamoDBClient",
) -> None:
    for _ in range(4):
        endpoint = publish(client, Cap("attempts", 1, "day"), Cap("concurrent", 1))
        number, sid = sell(Stage(client), endpoint), a_sid(0)
        phones = [Phone(Stage(client), number, caller(0), sid) for _ in range(4)]
        first = at_once(phones, lambda phone, _: phone.rings())
        assert (first[0].dialed, first) == (FIRST, [first[0]] * len(phones))
        second = at_once(phones, lambda phone, _: phone.dial_ends("busy"))
        assert (second[0].dialed, second) == (SECOND, [second[0]] * len(phones))
        assert at_once(phones, lambda phone, _: phone.rings()) == second
        over = at_once(phones, lambda phone, _: phone.dial_ends("completed", 2, 60))
        assert over == at_once(phones, lambda phone, _: phone.rings())
        assert {tuple(told.verbs) for told in over} == {("Hangup",)}
        assert counted(client, endpoint.buyers[0], phones[0].stage.clock()) == {"attempts": 1}
