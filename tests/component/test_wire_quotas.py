"""How many numbers a user, a source address and a caller may hold, and that nobody else is refused for it."""

import json
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.keys import unchecked_ping_id
from shared.domain.leasing import HOLDER_AT, Lease, Quota
from shared.domain.live_bids import Reply
from shared.domain.models import Endpoint, Field, RingPool, Shard, Terms, User
from shared.domain.refusals import TooManyLeases
from shared.store.dynamo import Dynamo
from shared.store.pings import CLAIM_SECONDS
from shared.store.records import Records
from shared.store.rings import REMEMBERED_SECONDS, Rings
from tests.build import (
    CALLER,
    CONTACT_FIELDS,
    KEYS,
    SETTINGS,
    START,
    Answer,
    Counting,
    Publisher,
    Scripted,
    Stage,
    a_pool,
    an_endpoint,
)
from tests.component.test_wire_live import a_live_buyer
from tests.configurations import a_configuration, a_ring_pool

ACME, BOLT = "acme-s3cret", "bolt-s3cret"
USERS = (User("acme", "publisher"), User("bolt", "publisher"))
OVERFLOW = "+18005559999"
LEASE_SECONDS = 360
DEFAULTS: dict[str, Any] = {"leases_per_caller": 2, "leases_per_address": 20}


def a_shared_pool(numbers: int = 8, **overrides: Any) -> RingPool:
    return a_pool(numbers, **{"pool_share": 50, "address_share": 25} | overrides)


def publish(stage: Stage, **overrides: Any) -> Endpoint:
    """An open endpoint and one for tokens that lease from one pool, with the limits that hold by default."""
    values = DEFAULTS | {"pool": a_shared_pool(), "users": USERS, "pool_is_open": True} | overrides
    endpoint = an_endpoint(**values)
    stage.publish(endpoint, an_endpoint(**values | {"vanity_uri": "paid", "require_auth_token": True}))
    stage.give_token(ACME, "acme")
    stage.give_token(BOLT, "bolt")
    return endpoint


def callers(count: int, start: int = 0) -> list[str]:
    return [f"+1614555{n:04}" for n in range(start, start + count)]


def statuses(answers: list[Answer]) -> Counter[str]:
    return Counter(answer.body["status"] for answer in answers)


def leases(stage: Stage, pool: RingPool) -> list[Any]:
    rings = Rings(Dynamo(stage.client, SETTINGS), {}).look(pool, pool.shards)
    found = [lease for shard in pool.shards for lease in rings[shard.id].leases(shard.numbers)]
    return [lease for lease in found if lease.expires_at > stage.clock()]


def test_one_caller_with_ever_other_unknown_fields_does_not_stop_a_paying_publisher(
    stage: Stage, publisher: Publisher
) -> None:
    """51 requests: each was another lead, and took another number."""
    publish(stage, pool=a_shared_pool(50))
    attack = [publisher.full(caller_id=CALLER, x=n) for n in range(50)]
    assert {answer.text for answer in attack} == {attack[0].text}
    assert len(leases(stage, a_shared_pool(50))) == 1
    assert publisher.full("paid", caller_id="+16145550199", auth_token=ACME).body["success"]


@pytest.mark.parametrize("verb", ["full", "post"])
def test_a_caller_holds_two_numbers_of_an_endpoint_however_they_are_asked_for(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    publish(stage, fields=(*CONTACT_FIELDS, Field(name="zip")), pool=a_shared_pool(40))
    sold = [publisher.send(verb, json_body={"caller_id": CALLER, "zip": n}) for n in range(3)]
    assert statuses(sold) == {"success": 2, "too_many_leases": 1}
    refused = sold[-1]
    assert refused.code == 200
    assert refused.body == {
        "success": False,
        "status": "too_many_leases",
        "errors": ["You or this caller hold as many tracking numbers as allowed."],
        "buyers": [],
        "retry_after_seconds": LEASE_SECONDS,
    }
    assert publisher.full(caller_id="+16145550199").body["success"]
    assert publisher.full("paid", caller_id=CALLER, auth_token=ACME).body["success"], "another endpoint"


def test_a_caller_that_first_comes_with_the_post_counts_and_so_does_the_pings_own(
    stage: Stage, publisher: Publisher
) -> None:
    publish(stage, pool=a_shared_pool(40))

    def sell(ping: dict[str, str], post: dict[str, str]) -> str:
        ping_id = publisher.ping(**ping).body["try_all_buyers_ping_id"]
        status: str = publisher.post(ping_id=ping_id, **post).body["status"]
        return status

    assert sell({}, {"caller_id": CALLER}) == "success"
    assert sell({"caller_id": CALLER}, {}) == "success"
    assert sell({}, {"caller_id": CALLER}) == "too_many_leases"
    assert sell({"caller_id": CALLER}, {}) == "too_many_leases"
    assert sell({"caller_id": "+16145550199"}, {"caller_id": CALLER}) == "too_many_leases"


def test_leads_without_a_caller_are_never_counted_as_one(stage: Stage, publisher: Publisher) -> None:
    publish(stage, pool=a_shared_pool(40), fields=(Field(name="caller_id", type="phone"), Field(name="zip")))
    assert statuses([publisher.full(zip=n) for n in range(5)]) == {"success": 5}


@pytest.mark.parametrize(("numbers", "most"), [(8, 2), (9, 3), (50, 13), (144, 20)])
def test_an_address_without_a_token_holds_a_quarter_of_the_pool_and_twenty_numbers(
    stage: Stage, publisher: Publisher, numbers: int, most: int
) -> None:
    publish(stage, pool=a_shared_pool(numbers))
    assert statuses([publisher.full(caller_id=caller) for caller in callers(most + 3)]) == {
        "success": most,
        "too_many_leases": 3,
    }
    elsewhere = publisher.send("full", json_body={"caller_id": CALLER}, source_address="192.0.2.9")
    assert elsewhere.body["success"]


def test_an_address_is_counted_over_all_endpoints_of_a_pool_and_of_ipv6_the_network(
    stage: Stage, publisher: Publisher
) -> None:
    endpoint = publish(stage)
    stage.publish(an_endpoint(**DEFAULTS | {"vanity_uri": "other", "pool": endpoint.pool}))

    def sell(uri: str, caller: str, host: int) -> str:
        sent: dict[str, Any] = {"json_body": {"caller_id": caller}, "source_address": f"2001:db8::{host}"}
        status: str = publisher.send("full", uri, **sent).body["status"]
        return status

    found = [
        sell(uri, caller, host)
        for host, (uri, caller) in enumerate(zip(["my_endpoint", "other", "other"], callers(3), strict=True), 1)
    ]
    assert found == ["success", "success", "too_many_leases"]


def test_a_user_holds_half_of_a_pool_from_whatever_address_and_another_user_gets_the_rest(
    stage: Stage, publisher: Publisher
) -> None:
    publish(stage)
    acme = [
        publisher.send(
            "full", "paid", json_body={"caller_id": caller, "auth_token": ACME}, source_address=f"192.0.2.{n}"
        )
        for n, caller in enumerate(callers(6))
    ]
    assert statuses(acme) == {"success": 4, "too_many_leases": 2}
    bolt = [publisher.full("paid", caller_id=caller, auth_token=BOLT) for caller in callers(4, 50)]
    assert statuses(bolt) == {"success": 4}


def test_a_user_alone_holds_all_of_its_pool_from_one_address(stage: Stage, publisher: Publisher) -> None:
    users = (User("acme", "publisher"), User("olga", "operator"))
    publish(stage, users=users, require_auth_token=True, pool_is_open=False)
    assert statuses([publisher.full(caller_id=caller, auth_token=ACME) for caller in callers(9)]) == {
        "success": 8,
        "no_number_available": 1,
    }


def test_the_oldest_lease_makes_room_at_the_second_that_was_said(stage: Stage, publisher: Publisher) -> None:
    publish(stage)
    publisher.full(caller_id=callers(3)[0])
    stage.clock.forward(100)
    publisher.full(caller_id=callers(3)[1])
    refused = publisher.full(caller_id=callers(3)[2]).body
    assert refused["retry_after_seconds"] == LEASE_SECONDS - 100
    stage.clock.forward(refused["retry_after_seconds"] - 1)
    assert publisher.full(caller_id=callers(3)[2]).body["retry_after_seconds"] == 1
    stage.clock.forward(1)
    assert publisher.full(caller_id=callers(3)[2]).body["success"]


@pytest.mark.parametrize("keyed", [False, True])
def test_a_retry_of_a_sale_is_answered_though_the_limit_is_reached(
    stage: Stage, publisher: Publisher, keyed: bool
) -> None:
    publish(stage)
    headers = {"Idempotency-Key": "one"} if keyed else {}
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    sent: dict[str, Any] = {"json_body": {"ping_id": ping_id, "caller_id": CALLER}, "headers": headers}
    sold = [publisher.send("post", **sent), publisher.full(caller_id=callers(1)[0])]
    assert statuses([*sold, publisher.full(caller_id=callers(2)[1])]) == {"success": 2, "too_many_leases": 1}
    assert publisher.send("post", **sent).text == sold[0].text
    assert publisher.full(caller_id=callers(1)[0]).text == sold[1].text


def test_an_attempt_that_takes_over_keeps_the_number_that_the_dead_one_leased(
    stage: Stage, publisher: Publisher
) -> None:
    endpoint = publish(stage)
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    sent = {"ping_id": ping_id, "caller_id": CALLER}
    dying = stage.world()
    dying.pings.record = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        publisher.send("post", world=dying, json_body=sent)
    [lease] = leases(stage, endpoint.pool)  # type: ignore[arg-type]
    publisher.full(caller_id=callers(1)[0])
    assert publisher.full(caller_id=callers(2)[1]).body["status"] == "too_many_leases"
    stage.clock.forward(CLAIM_SECONDS)
    assert "+" + publisher.post(**sent).body["trackdrive_number"] == lease.number
    assert len(leases(stage, endpoint.pool)) == 2  # type: ignore[arg-type]


def test_all_attempts_at_a_ping_write_the_entry_of_the_first(stage: Stage, publisher: Publisher) -> None:
    """A second attempt from elsewhere, with another caller, finds the first one's lease and counts as it does."""
    endpoint = publish(stage)
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    dying = stage.world()
    dying.rings.lease = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        publisher.send("post", world=dying, json_body={"ping_id": ping_id, "caller_id": CALLER})
    terms = stage.kept(ping_id).terms
    stage.clock.forward(CLAIM_SECONDS)
    sent: dict[str, Any] = {
        "json_body": {"ping_id": ping_id, "caller_id": "+16145550199"},
        "source_address": "192.0.2.9",
    }
    assert publisher.send("post", **sent).body["success"]
    [lease] = leases(stage, endpoint.pool)  # type: ignore[arg-type]
    assert terms
    assert lease.entry == lease.ping_id + terms.holder + terms.caller
    assert len(lease.entry) == 17


def test_an_overflow_number_is_no_way_round_the_limit(stage: Stage, publisher: Publisher) -> None:
    publish(stage, pool=a_shared_pool(overflow_number=OVERFLOW))
    assert statuses([publisher.full(caller_id=caller) for caller in callers(3)])["too_many_leases"] == 1
    for token, start in ((ACME, 10), (BOLT, 20)):
        for caller in callers(4, start):
            publisher.full("paid", caller_id=caller, auth_token=token)
    over = publisher.send("full", json_body={"caller_id": callers(1, 30)[0]}, source_address="192.0.2.9")
    assert over.body["trackdrive_number"] == OVERFLOW.removeprefix("+")
    assert publisher.full(caller_id=callers(1, 31)[0]).body["status"] == "too_many_leases", "nor where all are in use"
    assert not stage.route(OVERFLOW, callers(1, 31)[0])


def test_a_live_buyer_is_not_asked_for_a_call_that_will_be_refused(stage: Stage, publisher: Publisher) -> None:
    yes = json.dumps({"success": True, "buyers": [{"bid": 30, "ping_id": "1"}], "trackdrive_number": "18005550195"})
    stage.send = asked = Scripted(lambda *_: Reply(200, yes.encode()))
    publish(stage, buyers=(a_live_buyer(),))
    pings = [publisher.ping(caller_id=caller).body["try_all_buyers_ping_id"] for caller in callers(3)]
    assert statuses([publisher.post(ping_id=ping_id) for ping_id in pings[:2]]) == {"success": 2}
    before = len(asked.told)
    assert publisher.post(ping_id=pings[2]).body["status"] == "too_many_leases"
    assert len(asked.told) == before


def test_a_refusal_counts_nothing_leases_nothing_and_gives_the_ping_back(stage: Stage, publisher: Publisher) -> None:
    endpoint = publish(stage)
    for caller in callers(2):
        publisher.full(caller_id=caller)
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    assert publisher.post(ping_id=ping_id).body["status"] == "too_many_leases"
    assert len(leases(stage, endpoint.pool)) == 2  # type: ignore[arg-type]
    assert stage.kept(ping_id).terms is None
    sold = publisher.send("post", json_body={"ping_id": ping_id}, source_address="192.0.2.9")
    assert sold.body["success"], "the terms were removed with the claim"


def test_a_sample_of_a_large_pool_raises_a_suspicion_and_all_shards_decide(stage: Stage) -> None:
    pool, tag = a_shared_pool(360), b"us!"
    stage.publish(an_endpoint(pool=pool))
    dynamo = Counting(stage.client, SETTINGS)
    rings = Rings(dynamo, {})
    some = rings.look(pool, pool.shards[:3])
    for n in range(9):
        rings.lease(pool, replace(pool.terms, holder=tag), b"%012d" % n, START, dict([list(some.items())[n % 3]]))

    def check(most: int, now: int = START) -> tuple[int, int]:
        """How many calls it took, and how many shards are known then."""
        seen, before = rings.look(pool, pool.shards[:3]), dynamo.calls
        try:
            rings.check_quotas(pool, [Quota(HOLDER_AT, tag, most)], now, seen)
        finally:
            took.append((dynamo.calls - before, len(seen)))
        return took[-1]

    took: list[tuple[int, int]] = []
    assert check(80) == (0, 3), "no suspicion: nine of 108 numbers are thirty of 360, at most some fifty"
    assert check(20) == (1, 10), "a suspicion, and there are nine"
    for now, calls in ((START, 1), (START + 4, 0), (START + REMEMBERED_SECONDS, 1)):
        with pytest.raises(TooManyLeases) as refused:
            check(9, now)
        assert refused.value.retry_after_seconds == LEASE_SECONDS - (now - START)
        assert took[-1][0] == calls, "a refusal is remembered for five seconds"


def test_a_sale_costs_as_many_calls_with_limits_as_without(stage: Stage, publisher: Publisher) -> None:
    publish(stage)
    stage.publish(an_endpoint(vanity_uri="free", pool=a_pool(8, no=2)))

    def calls(uri: str, **sent: str) -> list[int]:
        found = []
        for verb in ("full", "post"):
            dynamo = Counting(stage.client, SETTINGS)
            assert publisher.send(verb, uri, world=stage.world_over(dynamo), json_body=sent).body["success"]
            found.append(dynamo.calls)
        return found

    assert calls("my_endpoint", caller_id=CALLER) == calls("free", caller_id=CALLER)


def test_rings_of_0_1_0_are_read_and_their_leases_count_as_nobodys(stage: Stage, publisher: Publisher) -> None:
    """Its shards have 44 numbers, and its entries no tag; a ping that it had claimed keeps writing such an entry."""
    numbers = tuple(f"+1800555{n:04}" for n in range(44))
    pool = a_shared_pool(shards=(Shard(0, numbers),))
    ends = [START + 300 if n % 2 else 0 for n in range(44)]
    old = [
        Lease(number, b"%012d" % n if end else b"", end)
        for n, (number, end) in enumerate(zip(numbers, ends, strict=True))
    ]
    old.sort(key=lambda lease: lease.expires_at)
    shuffled = replace(pool, shards=(Shard(0, tuple(lease.number for lease in old)),))
    Rings(Dynamo(stage.client, SETTINGS), {}).create(pool.no, 0, old)
    publish(stage, pool=shuffled)
    ping_id = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    random_id = unchecked_ping_id(ping_id)
    assert random_id
    stage.world().pings.claim(random_id[0], b"of 0.1.0", Terms(300, 60), START)
    stage.clock.forward(CLAIM_SECONDS)
    assert publisher.post(ping_id=ping_id).body["success"]
    assert [lease.entry for lease in leases(stage, shuffled) if lease.ping_id == random_id[0]] == [random_id[0]]
    sold = [publisher.full(caller_id=caller) for caller in callers(13)]
    assert statuses(sold) == {"success": 11, "too_many_leases": 2}, "a quarter of 44, beside 23 of nobody's"


def test_tags_outlive_a_change_of_the_pool(stage: Stage) -> None:
    """A number that is taken out of a pool and one that is rebuilt keep their whole entry."""
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)

    def apply(*numbers: str) -> RingPool:
        records.applying.apply(a_configuration(ring_pools=[a_ring_pool(numbers=[*numbers])]), "somebody")
        return records.versions.current().pools["auto-us"]

    one, two = "+18005550100", "+18005550101"
    pool = apply(one, two)
    terms = replace(pool.terms, holder=b"us!", caller=b"me")
    for n in range(2):
        records.rings.lease(pool, terms, b"%012d" % n, stage.clock(), {})
    before = {lease.number: lease for lease in leases(stage, pool)}
    assert {lease.entry[12:] for lease in before.values()} == {b"us!me"}
    assert {lease.number: lease for lease in leases(stage, apply(one))} == {one: before[one]}
    assert {lease.number: lease for lease in leases(stage, apply(one, two))} == before
