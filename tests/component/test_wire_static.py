"""Static numbers: the publisher's own number, and the call is told apart by its caller id."""

from typing import Any

import pytest

from shared.domain import reservations
from shared.domain.caps import Cap
from shared.domain.keys import route_keys
from shared.domain.models import CallRules, Pays, User
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.schedule import local_time
from shared.flows import superseding
from shared.store.dynamo import Dynamo
from shared.store.pings import CLAIM_SECONDS, Pings
from shared.store.reservations import Reservations
from shared.store.routes import ROUTES_BEFORE, Route
from tests.build import BUYERS, CALLER, Counting, Publisher, Stage, a_buyer, an_endpoint

NUMBER, SOMEBODY_ELSES, NOT_OURS = "+18005550101", "+18005550102", "+18005550103"
NUMBERS = {NUMBER: "1023", SOMEBODY_ELSES: "IW7834"}
OTHER_CALLER = "+16145550124"
NOT_YOURS = {"trackdrive_number": ["trackdrive_number must be your number on this endpoint."]}


@pytest.fixture(autouse=True)
def _a_static_endpoint(stage: Stage) -> None:
    stage.publish(an_endpoint(static_numbers=NUMBERS))


def pinged(publisher: Publisher, buyer: int = 0, **sent: Any) -> str:
    body = publisher.ping(**{"trackdrive_number": NUMBER} | sent).body
    ids = {row["buyer_id"]: row["ping_id"] for row in body["buyers"]} | {0: body["try_all_buyers_ping_id"]}
    return str(ids[buyer])


def dialed(route: Route | None) -> tuple[int, str, bool]:
    """Whom a call reaches, and whether it was sold."""
    assert route
    return route.buyer_id, route.number, route.sold


@pytest.mark.parametrize("spelling", [NUMBER, "18005550101", "800-555-0101", " 18005550101"])
def test_a_post_is_answered_with_the_publishers_own_number(stage: Stage, publisher: Publisher, spelling: str) -> None:
    answer = publisher.post(ping_id=pinged(publisher, trackdrive_number=spelling), caller_id=CALLER)
    assert (answer.code, answer.body["trackdrive_number"]) == (200, "18005550101")
    assert (answer.body["buyer_id"], answer.body["number_expires_at"]) == (1, "2100-01-01T00:05:00Z")
    assert dialed(stage.route(NUMBER)) == (1, "+18005550181", True)


@pytest.mark.parametrize("verb", ["ping", "full"])
def test_a_ping_without_a_number_is_a_bad_field(publisher: Publisher, verb: str) -> None:
    answer = publisher.send(verb, json_body={"caller_id": CALLER})
    assert (answer.code, answer.body["errors"]) == (
        422,
        {"trackdrive_number": ["trackdrive_number is required on ping. You did not send a value."]},
    )


@pytest.mark.parametrize("verb", ["ping", "full"])
@pytest.mark.parametrize(
    "sent",
    [
        {"trackdrive_number": NOT_OURS},
        {"trackdrive_number": NOT_OURS, "traffic_source_id": "1023"},
        {"trackdrive_number": SOMEBODY_ELSES, "traffic_source_id": "1023"},
        {"trackdrive_number": NUMBER, "traffic_source_id": "1024"},
    ],
)
def test_a_number_that_is_not_the_publishers_is_a_bad_field(
    stage: Stage, publisher: Publisher, verb: str, sent: dict[str, str]
) -> None:
    answer = publisher.send(verb, json_body=sent | {"caller_id": CALLER})
    assert (answer.code, answer.body["errors"]) == (422, NOT_YOURS)
    assert stage.contents()["pings"] == []


def test_a_number_that_is_none_is_a_bad_field(publisher: Publisher) -> None:
    answer = publisher.ping(trackdrive_number="555-0101")
    assert answer.body["errors"] == {
        "trackdrive_number": ["trackdrive_number must be a telephone number, for example +16145550123."]
    }


def test_the_number_names_the_traffic_source(stage: Stage, publisher: Publisher) -> None:
    ping = stage.kept(pinged(publisher, trackdrive_number=SOMEBODY_ELSES)).ping
    assert ping
    assert ping.lead["traffic_source_id"] == "IW7834"


def test_the_number_of_another_users_traffic_source_is_refused(stage: Stage, publisher: Publisher) -> None:
    users = (User("acme", "publisher", ("1023",)),)
    stage.publish(an_endpoint(static_numbers=NUMBERS, users=users, vanity_uri="other"))
    stage.give_token("acme's", "acme")
    assert publisher.ping("other", trackdrive_number=NUMBER, auth_token="acme's").body["success"]
    answer = publisher.ping("other", trackdrive_number=SOMEBODY_ELSES, auth_token="acme's")
    assert (answer.code, list(answer.body["errors"])) == (422, ["traffic_source_id"])


def test_a_post_needs_a_ping_id_and_a_caller_id(publisher: Publisher) -> None:
    answer = publisher.post()
    assert (answer.code, answer.body["errors"]) == (
        422,
        {
            "caller_id": ["caller_id is required on post. You did not send a value."],
            "trackdrive_number": ["trackdrive_number is required on ping. You did not send a value."],
            "ping_id": ["ping_id is required on post. You did not send a value."],
        },
    )


def test_a_post_without_a_ping_id_is_a_bad_field(stage: Stage, publisher: Publisher) -> None:
    answer = publisher.post(trackdrive_number=NUMBER, caller_id=CALLER)
    assert answer.body["errors"] == {"ping_id": ["ping_id is required on post. You did not send a value."]}
    assert stage.contents()["pings"] == []


def test_a_post_without_a_caller_id_is_a_bad_field_and_the_ping_can_still_be_sold(publisher: Publisher) -> None:
    ping = pinged(publisher)
    answer = publisher.post(ping_id=ping)
    assert answer.body["errors"] == {"caller_id": ["caller_id is required on post. You did not send a value."]}
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]


def test_a_post_says_the_caller_id_again_even_if_its_ping_did(publisher: Publisher) -> None:
    ping = pinged(publisher, caller_id=CALLER)
    assert list(publisher.post(ping_id=ping).body["errors"]) == ["caller_id"]
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]


def test_a_full_needs_no_ping_id(stage: Stage, publisher: Publisher) -> None:
    answer = publisher.full(trackdrive_number=NUMBER, caller_id=CALLER)
    assert answer.body["trackdrive_number"] == "18005550101"
    assert dialed(stage.route(NUMBER)) == (1, "+18005550181", True)


# Routes


def test_a_ping_with_a_caller_id_leaves_the_route_of_try_all(stage: Stage, publisher: Publisher) -> None:
    pinged(publisher, caller_id=CALLER)
    assert dialed(stage.route(NUMBER)) == (1, "+18005550181", False)
    assert stage.route(NUMBER, OTHER_CALLER) is None
    assert stage.route(SOMEBODY_ELSES) is None


def test_a_ping_without_a_caller_id_leaves_no_route(stage: Stage, publisher: Publisher) -> None:
    pinged(publisher)
    assert len(stage.contents()["pings"]) == 1


def test_a_post_has_the_route_of_its_own_buyer(stage: Stage, publisher: Publisher) -> None:
    ping = pinged(publisher, 2, caller_id=CALLER)
    publisher.post(ping_id=ping, caller_id=CALLER)
    assert dialed(stage.route(NUMBER)) == (2, "+18005550182", True)


def test_the_caller_and_the_number_of_the_post_are_laid_over_those_of_the_ping(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(static_numbers=NUMBERS | {NOT_OURS: "1023"}, vanity_uri="other"))
    ping = publisher.ping("other", trackdrive_number=NUMBER, caller_id=CALLER).body["try_all_buyers_ping_id"]
    sale = publisher.post("other", ping_id=ping, trackdrive_number=NOT_OURS, caller_id=OTHER_CALLER)
    assert sale.body["trackdrive_number"] == NOT_OURS.removeprefix("+")
    assert dialed(stage.route(NOT_OURS, OTHER_CALLER)) == (1, "+18005550181", True)
    assert dialed(stage.route(NUMBER, CALLER)) == (1, "+18005550181", False)


def test_a_later_ping_has_the_route_of_an_earlier_one(stage: Stage, publisher: Publisher) -> None:
    pinged(publisher, caller_id=CALLER)
    stage.publish(an_endpoint(static_numbers=NUMBERS, version=2, buyers=(a_buyer(id=9, number="+18005550189"),)))
    stage.memory.endpoints.clear()
    pinged(publisher, caller_id=CALLER)
    assert dialed(stage.route(NUMBER)) == (9, "+18005550189", False)


def test_a_ping_of_the_same_publisher_leaves_a_sale_its_route(stage: Stage, publisher: Publisher) -> None:
    publisher.post(ping_id=pinged(publisher, 2), caller_id=CALLER)
    sold = stage.route(NUMBER)
    stage.clock.forward(100)
    assert publisher.ping(trackdrive_number=NUMBER, caller_id=CALLER).body["success"]
    assert stage.route(NUMBER) == sold


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_sale_supersedes_that_of_the_same_publisher(stage: Stage, publisher: Publisher, verb: str) -> None:
    earlier = pinged(publisher, 2)
    first = publisher.post(ping_id=earlier, caller_id=CALLER)
    stage.clock.forward(100)
    sent = {"ping_id": pinged(publisher, 1, caller_id=CALLER)} if verb == "post" else {"trackdrive_number": NUMBER}
    later = publisher.send(verb, json_body=sent | {"caller_id": CALLER}).body
    assert (later["success"], later["number_expires_at"]) == (True, "2100-01-01T00:06:40Z")
    route = stage.route(NUMBER)
    assert dialed(route) == (1, "+18005550181", True)
    assert publisher.post(ping_id=earlier, caller_id=CALLER).text == first.text
    assert stage.route(NUMBER) == route


def test_the_route_of_a_sale_ends_with_its_hold(stage: Stage, publisher: Publisher) -> None:
    publisher.post(ping_id=pinged(publisher, 2), caller_id=CALLER)
    stage.clock.forward(299)
    assert stage.route(NUMBER)
    stage.clock.forward(1)
    assert stage.route(NUMBER) is None


def unclear(publisher: Publisher, ping: str, **sent: Any) -> None:
    """A POST that dies between its route and its sale."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pings, "record", _die)
        assert publisher.post(ping_id=ping, caller_id=CALLER, **sent).code == 503


def _die(*_: Any, **__: Any) -> None:
    raise TemporarilyUnavailable


@pytest.fixture
def sold(stage: Stage, publisher: Publisher) -> Route:
    """The route of a sale a hundred seconds ago."""
    publisher.post(ping_id=pinged(publisher, 2), caller_id=CALLER)
    stage.clock.forward(100)
    route = stage.route(NUMBER)
    assert route
    return route


@pytest.mark.parametrize("deaths", [1, ROUTES_BEFORE])
def test_a_sale_keeps_its_call_while_later_ones_of_its_publisher_are_unclear(
    stage: Stage, publisher: Publisher, sold: Route, deaths: int
) -> None:
    for _ in range(deaths):
        unclear(publisher, pinged(publisher, 1))
    assert stage.route(NUMBER) == sold


def test_an_unclear_sale_that_is_taken_over_has_the_call(stage: Stage, publisher: Publisher, sold: Route) -> None:
    ping = pinged(publisher, 1)
    unclear(publisher, ping)
    stage.clock.forward(CLAIM_SECONDS)
    unclear(publisher, ping)
    assert stage.route(NUMBER) == sold
    stage.clock.forward(CLAIM_SECONDS)
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]
    assert dialed(stage.route(NUMBER)) == (1, "+18005550181", True)


def test_an_unclear_sale_that_is_refused_gives_the_call_back(stage: Stage, publisher: Publisher, sold: Route) -> None:
    ping = pinged(publisher, 1)
    unclear(publisher, ping)
    paused = tuple(a_buyer(id=buyer.id, paused=True) for buyer in BUYERS)
    stage.publish(an_endpoint(version=2, static_numbers=NUMBERS, buyers=paused))
    stage.clock.forward(CLAIM_SECONDS)
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["status"] == "buyer_unavailable"
    keys = route_keys(stage.keys, NUMBER, CALLER)
    assert stage.world().routes.of_call(keys, stage.clock()) == [sold] == [stage.route(NUMBER)]


@pytest.mark.parametrize("calls", [CallRules("main"), None], ids=["takes calls", "takes none"])
def test_a_sale_that_is_superseded_says_by_which(stage: Stage, publisher: Publisher, calls: CallRules | None) -> None:
    """Where no calls are taken, the POST has nothing to do for it: the journal's consumer does."""
    stage.publish(an_endpoint(version=2, static_numbers=NUMBERS, calls=calls))
    stage.clock.forward(6)
    earlier, later = pinged(publisher), pinged(publisher)
    assert publisher.post(ping_id=earlier, caller_id=CALLER).body["success"]
    assert stage.kept(earlier).superseded_by == b""
    unclear(publisher, later)
    assert stage.kept(earlier).superseded_by == b""
    stage.clock.forward(CLAIM_SECONDS)
    assert publisher.post(ping_id=later, caller_id=CALLER).body["success"]
    by = stage.kept(later).ping
    assert by
    assert stage.kept(earlier).superseded_by == (by.id if calls else b"")
    stage.bring_stream()
    assert stage.kept(earlier).superseded_by == by.id
    assert publisher.full(trackdrive_number=NUMBER, caller_id=CALLER).body["success"]
    stage.bring_stream()
    assert stage.kept(earlier).superseded_by == by.id
    assert stage.kept(later).superseded_by not in (b"", by.id)


def test_only_the_sale_whose_route_it_was_is_marked_and_none_that_was_connected(
    stage: Stage, publisher: Publisher
) -> None:
    ping_id = pinged(publisher)
    publisher.post(ping_id=ping_id, caller_id=CALLER)
    kept, pings = stage.kept(ping_id), stage.world().pings
    assert kept.ping
    assert kept.sale
    assert pings.supersede(kept.ping.id, b"another", b"later", stage.clock()) is None
    item = pings.item(kept.ping.id)
    assert item
    stage.client.put_item(TableName=pings.table, Item={**item, "connected": {"B": b"a call"}})
    assert pings.supersede(kept.ping.id, kept.sale.attempt, b"later", stage.clock()) is None
    assert stage.kept(ping_id).superseded_by == b""
    stage.client.put_item(TableName=pings.table, Item=item)
    for _ in range(2):
        assert pings.supersede(kept.ping.id, kept.sale.attempt, b"later", stage.clock()) == kept.sale
    assert pings.supersede(kept.ping.id, kept.sale.attempt, b"latest", stage.clock()) is None
    assert stage.kept(ping_id).superseded_by == b"later"
    assert pings.supersede(b"nobody", kept.sale.attempt, b"later", stage.clock()) is None


def test_a_superseded_sale_gets_no_call_though_its_route_is_still_there(stage: Stage, publisher: Publisher) -> None:
    """As under an earlier key, once the later sale's route is over."""
    ping_id = pinged(publisher)
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["success"]
    kept = stage.kept(ping_id)
    assert kept.ping
    assert kept.sale
    assert stage.route(NUMBER)
    assert stage.world().pings.supersede(kept.ping.id, kept.sale.attempt, b"later", stage.clock())
    assert stage.route(NUMBER) is None


def test_a_mark_that_a_request_did_not_live_to_write_is_written_by_the_consumer(
    stage: Stage, publisher: Publisher
) -> None:
    caps = (Cap("concurrent", 5), Cap("revenue", 100_000, "day"))
    takes = an_endpoint(
        version=2, static_numbers=NUMBERS, buyers=(a_buyer(caps=caps, pays=Pays("sale")),), calls=CallRules("main")
    )
    stage.publish(takes)
    stage.clock.forward(6)
    earlier, later = pinged(publisher, 1), pinged(publisher, 1)
    assert publisher.post(ping_id=earlier, caller_id=CALLER).body["success"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pings, "supersede", _die)
        assert publisher.post(ping_id=later, caller_id=CALLER).body["success"]
    first, second = stage.kept(earlier), stage.kept(later)
    assert first.ping
    assert first.sale
    assert second.ping
    assert first.superseded_by == b""
    store = Reservations(Dynamo(stage.client, stage.settings), {})
    assert store.keys_of((1, ""), first.ping.id)
    stage.bring_stream()
    assert stage.kept(earlier).superseded_by == second.ping.id
    assert stage.kept(later).superseded_by == b""
    assert store.keys_of((1, ""), first.ping.id) == []
    assert [*store.memory[1, ""].counts.values()] == [5000], "what is paid as a sale is owed for both"
    writes = stage.contents()
    assert second.sale
    for _ in range(2):
        superseding.mark_again(stage.world(), takes, second.ping, second.sale)
        superseding.mark_again(stage.world(), takes, first.ping, first.sale)
    assert stage.contents() == writes, "once"


@pytest.mark.parametrize("calls", [CallRules("main"), None], ids=["takes calls", "takes none"])
def test_a_superseded_sale_gives_back_what_it_reserved_where_calls_are_taken(
    stage: Stage, publisher: Publisher, calls: CallRules | None
) -> None:
    caps = (Cap("concurrent", 5), Cap("revenue", 100_000, "day"), Cap("sales", 5, "day", "my_endpoint"))
    stage.publish(an_endpoint(version=2, static_numbers=NUMBERS, buyers=(a_buyer(caps=caps), BUYERS[1]), calls=calls))
    stage.clock.forward(6)
    ping_id = pinged(publisher, 1)
    publisher.post(ping_id=ping_id, caller_id=CALLER)
    kept = stage.kept(ping_id)
    assert kept.ping
    assert kept.sale
    store, local = Reservations(Dynamo(stage.client, stage.settings), {}), local_time("UTC", stage.clock())
    key, until = reservations.key(kept.ping.id, kept.sale.attempt), kept.sale.held_until
    for endpoint in ("", "my_endpoint"):
        store.make_maps((1, endpoint))
    store.take(1, key, caps, local, 2500, until)
    assert publisher.post(ping_id=pinged(publisher, 2), caller_id=CALLER).body["success"]
    held = [store.keys_of((1, endpoint), kept.ping.id) for endpoint in ("", "my_endpoint")]
    assert held == ([[], []] if calls else [[key], [key]])


class Two:
    """Two users who may name the same number; a sale of the first one, a hundred seconds ago."""

    def __init__(self, stage: Stage, publisher: Publisher) -> None:
        self.stage, self.publisher = stage, publisher
        stage.publish(
            an_endpoint(
                version=2,
                static_numbers=NUMBERS,
                require_auth_token=True,
                users=(User("acme", "publisher"), User("brook", "publisher")),
            )
        )
        for name in ("acme", "brook"):
            stage.give_token(name, name)
        self.ping_ids = {name: pinged(publisher, auth_token=name) for name in ("acme", "brook")}
        self.sent = {"trackdrive_number": NUMBER, "caller_id": CALLER}
        assert publisher.full(**self.sent, auth_token="acme").body["success"]
        self.sold = stage.route(NUMBER)
        stage.clock.forward(100)

    def send(self, verb: str, user: str) -> dict[str, Any]:
        sent = self.sent | ({"ping_id": self.ping_ids[user]} if verb == "post" else {})
        return self.publisher.send(verb, json_body=sent | {"auth_token": user, "age": "41"}).body


@pytest.fixture
def two(stage: Stage, publisher: Publisher) -> Two:
    return Two(stage, publisher)


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_the_sale_of_another_user_has_the_route_until_it_ends(two: Two, verb: str) -> None:
    refused = two.send(verb, "brook")
    assert (refused["success"], refused["status"]) == (False, "no_number_available")
    assert (refused["retry_after_seconds"], refused["buyers"]) == (200, [])
    assert two.stage.route(NUMBER) == two.sold
    assert two.send(verb, "acme")["success"]
    two.stage.clock.forward(300)
    assert two.stage.route(NUMBER) is None
    two.ping_ids["brook"] = pinged(two.publisher, auth_token="brook")
    assert two.send(verb, "brook")["success"]


def test_the_sale_of_another_traffic_source_has_the_route_until_it_ends(stage: Stage, publisher: Publisher) -> None:
    """The number was given to another publisher meanwhile."""
    publisher.full(trackdrive_number=NUMBER, caller_id=CALLER)
    ping = pinged(publisher)
    sold = stage.route(NUMBER)
    stage.publish(an_endpoint(version=2, static_numbers={NUMBER: "1024"}))
    stage.clock.forward(10)
    assert publisher.post(ping_id=pinged(publisher), caller_id=CALLER).body["retry_after_seconds"] == 290
    assert publisher.ping(trackdrive_number=NUMBER, caller_id=CALLER).body["status"] == "no_number_available"
    assert stage.route(NUMBER) == sold
    assert publisher.post(ping_id=ping, caller_id=CALLER).code == 422


def test_a_ping_makes_two_writes_at_once_whoever_has_the_route(stage: Stage, publisher: Publisher, two: Two) -> None:
    for user in ("acme", "brook"):
        dynamo = Counting(stage.client, stage.settings)
        sent = two.sent | {"auth_token": user}
        publisher.send("ping", world=stage.world_over(dynamo), json_body=sent)  # it reads the configuration again
        dynamo.calls = 0
        publisher.send("ping", world=stage.world_over(dynamo), json_body=sent)
        assert dynamo.calls == 2


# A refused caller


@pytest.mark.parametrize("by", ["try all", "its buyer"])
def test_a_caller_that_was_refused_leads_nowhere(stage: Stage, publisher: Publisher, by: str) -> None:
    ping = pinged(publisher, 0 if by == "try all" else 1, caller_id=CALLER)
    paused = tuple(a_buyer(id=buyer.id, paused=True) for buyer in BUYERS)
    stage.publish(an_endpoint(version=2, static_numbers=NUMBERS, buyers=paused))
    stage.clock.forward(5)
    refused = publisher.post(ping_id=ping, caller_id=CALLER).body
    assert refused["status"] == ("no_matching_buyer" if by == "try all" else "buyer_unavailable")
    assert stage.route(NUMBER) is None
    stage.publish(an_endpoint(version=3, static_numbers=NUMBERS))
    stage.clock.forward(5)
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]
    assert dialed(stage.route(NUMBER)) == (1, "+18005550181", True)


def test_a_caller_whose_post_was_refused_leads_nowhere_though_the_post_named_another(
    stage: Stage, publisher: Publisher
) -> None:
    ping = pinged(publisher, caller_id=CALLER)
    stage.clock.forward(120)
    assert publisher.post(ping_id=ping, caller_id=OTHER_CALLER).body["status"] == "ping_id_expired"
    assert stage.route(NUMBER) is None


def test_a_refused_post_leaves_other_pings_their_routes(stage: Stage, publisher: Publisher, two: Two) -> None:
    two.sent["caller_id"] = OTHER_CALLER
    ping = publisher.ping(**two.sent, auth_token="acme").body["try_all_buyers_ping_id"]
    later = publisher.ping(**two.sent, auth_token="brook").body["try_all_buyers_ping_id"]
    route = stage.route(NUMBER, OTHER_CALLER)
    sent = {"caller_id": OTHER_CALLER, "trackdrive_number": NOT_OURS}
    assert publisher.post(ping_id=ping, **sent, auth_token="acme").code == 422
    assert publisher.post(ping_id=later, **sent, auth_token="acme").body["status"] == "ping_id_unknown"
    assert stage.route(NUMBER, OTHER_CALLER) == route
    assert publisher.post(ping_id=later, **sent, auth_token="brook").code == 422
    assert stage.route(NUMBER, OTHER_CALLER) is None


def test_another_caller_has_a_route_of_its_own(stage: Stage, publisher: Publisher) -> None:
    publisher.post(ping_id=pinged(publisher, 1), caller_id=CALLER)
    publisher.post(ping_id=pinged(publisher, 2), caller_id=OTHER_CALLER)
    assert dialed(stage.route(NUMBER, CALLER)) == (1, "+18005550181", True)
    assert dialed(stage.route(NUMBER, OTHER_CALLER)) == (2, "+18005550182", True)


def test_the_same_caller_has_a_route_on_each_number(stage: Stage, publisher: Publisher) -> None:
    publisher.post(ping_id=pinged(publisher, 1), caller_id=CALLER)
    publisher.post(ping_id=pinged(publisher, 2, trackdrive_number=SOMEBODY_ELSES), caller_id=CALLER)
    assert dialed(stage.route(NUMBER)) == (1, "+18005550181", True)
    assert dialed(stage.route(SOMEBODY_ELSES)) == (2, "+18005550182", True)


def test_a_retry_gets_the_same_answer_and_changes_nothing(stage: Stage, publisher: Publisher) -> None:
    ping = pinged(publisher, 2)
    first = publisher.post(ping_id=ping, caller_id=CALLER)
    full = publisher.full(trackdrive_number=NUMBER, caller_id=OTHER_CALLER)
    after = stage.contents()
    stage.clock.forward(299)
    assert publisher.post(ping_id=ping, caller_id=CALLER).text == first.text
    assert publisher.full(trackdrive_number=NUMBER, caller_id=OTHER_CALLER).text == full.text
    assert stage.contents() == after
