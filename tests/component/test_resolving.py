"""To whom a call to a number of ours goes: in three calls, and by what 0.1.0 has stored."""

from typing import Any

import pytest

from shared import configuration
from shared.domain.keys import route_keys
from shared.domain.models import Ping
from shared.domain.refusals import TemporarilyUnavailable
from shared.flows import resolving
from shared.flows.expecting import Expected, expect_call
from shared.store.claiming import Claiming
from shared.store.dynamo import Dynamo
from shared.store.owners import Place, owner_key
from shared.store.packing import unpack
from shared.store.pings import Pings
from shared.store.records import Records
from shared.store.routes import Route, Routes
from tests.build import CALLER, KEYS, SETTINGS, START, Publisher, Stage
from tests.configurations import a_buyer, a_document, a_ring_pool, an_endpoint, an_offer

NUMBER, OTHER, STAYS, OVERFLOW = "+18005550100", "+18005550101", "+18005550102", "+18005550199"
STATIC, STATIC_NUMBER = an_endpoint(vanity_uri="static", tracking="static"), "+18005550170"
UNTIL = START + 360

SALE_OF_0_1_0 = bytes.fromhex(
    "789c35cd310e014114c67141689d412b9259ac8893e836b3334f4cccee6ce6bd21220a89de15142c360a9c40448933d908ddf76bfedf7acf"
    "89204ae851fd8d43e8666003258b3b0131e1ab7c3e864a067f9c123e338e7e2eadd2d84521d853c3eb31e6fb3ef318dba3d132e0f41e572e"
    "9b6c04395c4c4ae7be3e5331324a40214d0c12c8e55170adbf8f79a3eb75be8d563be5314ec13e6af33a3a2100b1de27eb60918d21a17f6f"
    "31d86c1d82cdb888a0198154fc60266087da4cef5be44ade3e86255fa8"
)
"""Of buyer 2, at the first number."""
NEW_FIELDS = ("kind", "name", *Place.__struct_fields__, "placed")


class Counting(Dynamo):
    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.client, SETTINGS)
        self.calls = 0

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        self.calls += 1
        return super().send(method, sendings, *args, **request)


@pytest.fixture
def counting(stage: Stage) -> Counting:
    return Counting(stage)


@pytest.fixture
def records(stage: Stage, counting: Counting) -> Records:
    return Records(counting, KEYS, stage.clock)


def apply(records: Records, numbers: list[str], **overrides: Any) -> None:
    pool = a_ring_pool(numbers=numbers, overflow_number=OVERFLOW)
    wanted = {"ring_pools": [pool], "endpoints": [an_endpoint(), STATIC]} | overrides
    records.applying.apply(configuration.read(a_document(**wanted)), "somebody")


def resolve(stage: Stage, counting: Counting, number: str, caller: str = CALLER) -> tuple[Expected | None, int]:
    """Whom a call reaches, and in how many calls it was found where the call goes, by a process that remembers no
    owner."""
    counting.calls = 0
    stage.owners.clear()
    found = resolving.resolve(stage.telephony_over(counting), number, caller)
    calls = counting.calls
    if found is None or found.endpoint is None:
        return None, calls
    expected = expect_call(found, found.endpoint, number, caller, stage.clock())
    return None if expected.arrival == "refused" else expected, calls


def held(endpoint: str, buyer_id: int, number: str, until: int, name: str = "") -> Expected:
    return Expected("in_time", endpoint, buyer_id, name or f"Buyer {'AB'[buyer_id - 1]}", number, until)


def owner(stage: Stage, number: str) -> dict[str, Any]:
    item: dict[str, Any] = stage.client.get_item(TableName=SETTINGS.config_table, Key=owner_key(number))["Item"]
    return item


def make_owner_of_0_1_0(stage: Stage, number: str) -> None:
    old = {name: value for name, value in owner(stage, number).items() if name not in NEW_FIELDS}
    stage.client.put_item(TableName=SETTINGS.config_table, Item=old)


def sell(publisher: Publisher, caller: str = CALLER) -> str:
    number: str = publisher.full(caller_id=caller).body["trackdrive_number"]
    return f"+{number}"


def test_a_call_to_any_kind_of_number_is_resolved_in_three_calls(
    stage: Stage, counting: Counting, records: Records, publisher: Publisher
) -> None:
    apply(records, [NUMBER])
    ping = publisher.ping("static", trackdrive_number=STATIC_NUMBER).body
    publisher.post("static", ping_id=ping["buyers"][1]["ping_id"], caller_id=CALLER)
    assert [sell(publisher), sell(publisher, "+16145550101")] == [NUMBER, OVERFLOW]
    assert resolve(stage, counting, NUMBER) == (held("my_endpoint", 1, "+18005550181", UNTIL), 3)
    overflow = held("my_endpoint", 1, "+18005550181", START + 300)
    assert resolve(stage, counting, OVERFLOW, "+16145550101") == (overflow, 3)
    assert resolve(stage, counting, STATIC_NUMBER) == (held("static", 2, "+18005550182", START + 300), 3)
    assert resolve(stage, counting, "+18005550109") == (None, 1)


def test_a_call_leads_to_its_sale_while_a_later_one_is_not_recorded(
    stage: Stage, counting: Counting, records: Records, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(records, [NUMBER])
    sent = {"trackdrive_number": STATIC_NUMBER, "caller_id": CALLER}
    first, later = (publisher.ping("static", **sent).body["buyers"][of]["ping_id"] for of in (0, 1))
    assert publisher.post("static", ping_id=first, caller_id=CALLER).body["success"]
    with monkeypatch.context() as patched:
        patched.setattr(Pings, "record", die)
        assert publisher.post("static", ping_id=later, caller_id=CALLER).code == 503
    assert resolve(stage, counting, STATIC_NUMBER) == (held("static", 1, "+18005550181", START + 300), 4)


def die(*_: Any) -> None:
    raise TemporarilyUnavailable


def test_the_destination_is_that_of_the_sale(
    stage: Stage, counting: Counting, records: Records, publisher: Publisher
) -> None:
    apply(records, [NUMBER])
    sell(publisher)
    apply(records, [NUMBER], offers=[an_offer(buyers=[a_buyer(number="+18005550189")])])
    assert resolve(stage, counting, NUMBER) == (held("my_endpoint", 1, "+18005550181", UNTIL), 3)
    apply(records, [NUMBER], offers=[an_offer(buyers=[a_buyer(id=7)])])
    stage.memory.endpoints.clear()
    assert resolve(stage, counting, NUMBER)[0] is None, "its buyer has left the configuration"


def test_owners_and_sales_of_0_1_0_are_resolved_as_by_0_1_0(
    stage: Stage, counting: Counting, records: Records, publisher: Publisher
) -> None:
    apply(records, [NUMBER])
    ping = publisher.ping("static", trackdrive_number=STATIC_NUMBER).body
    publisher.post("static", ping_id=ping["buyers"][1]["ping_id"], caller_id=CALLER)
    sell(publisher)
    for number in (NUMBER, STATIC_NUMBER):
        make_owner_of_0_1_0(stage, number)
    assert owner(stage, NUMBER) == owner_key(NUMBER) | {"owner": {"S": "ring pool auto-us"}, "since": {"N": "1"}}
    assert resolve(stage, counting, NUMBER)[0] == held("my_endpoint", 1, "+18005550181", UNTIL)
    assert resolve(stage, counting, STATIC_NUMBER)[0] == held("static", 2, "+18005550182", START + 300)

    [sold] = [item for item in stage.client.scan(TableName=SETTINGS.pings_table)["Items"] if _is_of_the_pool(item)]
    stage.client.put_item(TableName=SETTINGS.pings_table, Item=sold | {"sale": {"B": SALE_OF_0_1_0}})
    assert resolve(stage, counting, NUMBER)[0] == held("my_endpoint", 2, "+18005550182", UNTIL)
    apply(records, [NUMBER], offers=[an_offer(buyers=[a_buyer(id=2, number="+18005550189")])])
    stage.memory.endpoints.clear()
    assert resolve(stage, counting, NUMBER)[0] == held("my_endpoint", 2, "+18005550189", UNTIL, "Buyer A")
    apply(records, [NUMBER], offers=[an_offer(buyers=[a_buyer(id=7)])])
    stage.memory.endpoints.clear()
    assert resolve(stage, counting, NUMBER)[0] is None


def _is_of_the_pool(item: dict[str, Any]) -> bool:
    return "sale" in item and unpack(item["ping"]["B"], Ping).endpoint == "my_endpoint"


@pytest.mark.parametrize("is_lost", [False, True], ids=["as it is", "an apply that died after its switch"])
def test_a_number_that_moved_to_another_shard_is_found(
    stage: Stage,
    counting: Counting,
    records: Records,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    is_lost: bool,
) -> None:
    apply(records, [NUMBER, OTHER, STAYS])
    sold = [sell(publisher), sell(publisher, "+16145550101")]
    if is_lost:
        monkeypatch.setattr(Claiming, "move", lambda *_: None)
    leaves, stays = sold
    apply(records, [number for number in (NUMBER, OTHER, STAYS) if number != leaves])
    stage.memory.endpoints.clear()
    stage.world().endpoint("my_endpoint")
    assert resolve(stage, counting, stays) == (held("my_endpoint", 1, "+18005550181", UNTIL), 6 if is_lost else 3)
    assert resolve(stage, counting, leaves) == (held("my_endpoint", 1, "+18005550181", UNTIL), 2), "by its last lease"
    stage.clock.forward(360)
    assert resolve(stage, counting, stays)[0] is None
    assert {sell(publisher), sell(publisher, "+16145550101")} == {stays, STAYS}
    assert resolve(stage, counting, stays)[0] == held("my_endpoint", 1, "+18005550181", UNTIL + 360)


def test_a_place_that_arrives_late_changes_nothing(stage: Stage, records: Records) -> None:
    apply(records, [NUMBER, OTHER])
    late = Place(1, 1, 0, 1)
    apply(records, [OTHER])
    for version in (1, 2):
        before = owner(stage, OTHER), owner(stage, NUMBER)
        Claiming(records.versions).move(version, {OTHER: late})
        Claiming(records.versions).move(version, {NUMBER: late})
        assert (owner(stage, OTHER), owner(stage, NUMBER)) == before
    Claiming(records.versions).move(3, {OTHER: late})
    assert owner(stage, OTHER)["placed"] == {"N": "3"}


def test_while_keys_rotate_a_route_under_the_earlier_key_is_found_in_one_call(counting: Counting) -> None:
    earlier, later = route_keys(KEYS, STATIC_NUMBER, CALLER)[0], b"the same call under the later key"
    routes, old, new = (
        Routes(counting),
        *(Route(ping, 1, NUMBER, True, START + 300, attempt=b"an attempt") for ping in (b"old", b"new")),
    )
    routes.leave([earlier], old, START)
    counting.calls = 0
    assert routes.of_call([earlier, later], START) == [old]
    assert counting.calls == 1
    routes.leave([later], new, START)
    assert routes.of_call([earlier, later], START) == [new, old]
    assert routes.of_call([earlier, later], START + 300) == []
    assert routes.replaced == []


def test_a_sale_has_replaced_what_stood_under_either_key(counting: Counting) -> None:
    """An earlier one stands under the key before the rotation alone."""
    keys, seller = [route_keys(KEYS, STATIC_NUMBER, CALLER)[0], b"the same call under the later key"], ("e", "u", "s")
    old, new = (Route(ping, 1, NUMBER, True, START + 300, seller, b"by " + ping) for ping in (b"old", b"new"))
    Routes(counting).leave(keys[:1], old, START)
    routes = Routes(counting)
    routes.leave(keys, new, START)
    assert routes.replaced == [old]


# What the command says of endpoints that take calls


TAKES_CALLS: dict[str, Any] = {
    "providers": [{"name": "main", "kind": "local", "account": "AC1", "token": "{secret.local}"}],
    "endpoints": [an_endpoint(calls={"provider": "main"}), {**STATIC, "calls": {"provider": "main"}}],
}


def expect(stage: Stage, number: str, caller: str = CALLER) -> Expected | None:
    stage.memory.endpoints.clear()
    telephony = stage.telephony()
    found = resolving.resolve(telephony, number, caller)
    assert found
    return expect_call(found, found.endpoint, number, caller, stage.clock()) if found.endpoint else None


def test_the_command_says_what_a_call_would_meet(stage: Stage, records: Records, publisher: Publisher) -> None:
    apply(records, [NUMBER], **TAKES_CALLS)
    assert expect(stage, NUMBER) is None, "nobody has leased it"
    assert expect(stage, STATIC_NUMBER) == Expected("unannounced", "static")
    publisher.ping("static", trackdrive_number=STATIC_NUMBER, caller_id=CALLER)
    pinged = expect(stage, STATIC_NUMBER)
    assert pinged == Expected("pinged", "static", 1, "Buyer A", "+18005550181", START + 120)
    sell(publisher)
    held = Expected("in_time", "my_endpoint", 1, "Buyer A", "+18005550181", START + 300)
    assert expect(stage, NUMBER, "+16145550199") == held, "from any caller"
    stage.clock.forward(400)
    late = expect(stage, NUMBER)
    assert late == Expected("late", "my_endpoint", 1, "Buyer A", "+18005550181", START + 300)
    apply(records, [NUMBER], **TAKES_CALLS, offers=[an_offer(buyers=[a_buyer(id=7)])])
    assert expect(stage, NUMBER) == Expected("refused", "my_endpoint"), "its buyer has left the configuration"
    rules = {"provider": "main", "late_calls": "reject"}
    apply(records, [NUMBER], **TAKES_CALLS | {"endpoints": [an_endpoint(calls=rules), STATIC]})
    assert expect(stage, NUMBER) == Expected("refused", "my_endpoint")
