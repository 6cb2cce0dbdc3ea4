"""The role buyer: what it is configured by, its page, and that it sees nothing of others, at no address."""

import re
from typing import Any

import pytest

from functions.api.operations import OPERATIONS
from functions.dashboard.views import VIEWS
from shared import configuration
from shared.configuration import InvalidConfiguration
from shared.operators import issued_tokens
from shared.operators.issued_tokens import WantedToken
from tests.build import Publisher, Stage, an_event
from tests.component.test_call_updates import CONFIGURED, SAYS, client, connect, open_market, talk, uuid_of
from tests.configurations import a_buyer, a_document, a_user, an_endpoint, an_offer
from tests.office import USERS, Operator, as_user, opened, records
from tests.phone import Phone
from tests.watchers import Visitor

OWN = {
    ("GET", ""), ("GET", "/bought"), ("POST", "/bought/{buyer_id}/pause"), ("POST", "/sign_out"),
    ("GET", "/statements"), ("GET", "/statements/{side}/{name}"),
}  # fmt: skip


@pytest.fixture
def stage(fast_stage: Stage) -> Stage:
    return fast_stage


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "1", path)


def test_no_operation_of_the_operators_api_is_for_a_buyer_but_statements(stage: Stage) -> None:
    open_market(stage)
    bea = as_user(stage, "bea")
    for operation in OPERATIONS:
        answer = bea.ask(operation.method, filled(operation.path), {}, version="1")
        is_for_it = not operation.roles or (operation.method, operation.path) == ("GET", "/statements")
        assert answer.code == (200 if is_for_it else 403), operation


def test_no_page_but_its_own_is_for_a_buyer(stage: Stage) -> None:
    open_market(stage)
    bea = Visitor(stage, "bea")
    looked_at = 0
    for view in VIEWS:
        if not view.roles or (view.method, view.path) in OWN:
            continue
        answer = bea.get(filled(view.path)) if view.method == "GET" else bea.send(filled(view.path))
        assert answer.code == 403, view
        looked_at += 1
    assert looked_at > 50
    for other in ("olga", "vera", "acme-media"):
        assert Visitor(stage, other).get("/bought").code == 403


def test_a_buyer_comes_to_its_own_page(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays=SAYS, caps={"sales": {"day": 4}})
    phone = talk(publisher, auth_token="of acme-media", traffic_source_id="1023", sub_id="click-77")
    client(stage, "bea").say(phone, revenue=45)
    bea = Visitor(stage, "bea")
    answer = bea.get("")
    assert (answer.code, answer.headers["Location"]) == (303, "/dashboard/bought")
    page = bea.see("/bought")
    assert "Buyer A 1 Offer auto-insurance Calls 1 Converted 1 You owe 45.00" in page
    assert "sales per day 25 % 25 % 1 4" in page
    assert f"{uuid_of(phone)} Buyer A +16145550123" in page
    listed = client(stage, "bea").ask("GET", "/calls").text
    for hidden in ("acme-media", "1023", "click-77", "auto-us", "Buyer B", "my_endpoint", "Pause", "Offers"):
        assert hidden not in page + listed, hidden
    of_bob = Visitor(stage, "bob").see("/bought")
    assert "No calls found." in of_bob
    assert "6145550123" not in of_bob
    assert bea.get("/bought", "from=x").code == 422


def test_caps_show_what_is_reserved_apart_and_what_has_passed_them(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays=SAYS, caps={"converted": {"day": 2}, "revenue": {"day": "50.00"}})
    olga, bea, api = Visitor(stage, "olga"), Visitor(stage, "bea"), as_user(stage, "olga")

    def check(counted: str, reserved: str, fill: str) -> None:
        """What all pages and the API say of the revenue of the day."""
        both, full = f"{counted} {reserved}".strip(), " full" if fill.endswith("full") else ""
        assert f"revenue per day {both} 50.00 {fill}" in olga.see("/caps")
        assert f"{fill.removesuffix(full)} {counted}{full} {reserved}".strip() + " 50.00" in olga.see("/buyers/1")
        assert f"{fill} {both} 50.00" in bea.see("/bought")
        gauges = [each["gauge"] for each in api.get("/day")["fills"]["fills"]]
        [gauge] = [each for each in gauges if each["cap"]["kind"] == "revenue"]
        said = [f"{gauge[name] / 100:.2f}" for name in ("count", "reserved")]
        assert said == [f"{float(counted) + float(reserved or 0):.2f}", reserved or "0.00"]

    phone = connect(publisher)
    check("0.00", "25.00", "50 %")
    stage.clock.forward(95)
    phone.dial_ends("completed", 1, 95)
    check("0.00", "", "0 %")
    client(stage, "bea").say(phone, revenue=60)
    check("60.00", "", "120 % full")
    other = Phone(stage, publisher.full(caller_id="+16145550177").body["forwarding_number"], "+16145550177")
    assert other.rings().dialed == "+18005550182"


def test_a_buyer_pauses_itself_where_it_may(stage: Stage) -> None:
    open_market(stage, may_pause=True)
    bea = Visitor(stage, "bea")
    assert "Pause" in bea.see("/bought")
    assert bea.send("/bought/1/pause", paused="true").code == 303
    assert "paused" in bea.see("/bought")
    assert as_user(stage, "olga").get("/buyers/1")["paused"] is True
    assert bea.send("/bought/1/pause", paused="false").code == 303
    assert "paused" not in as_user(stage, "olga").get("/buyers/1")
    for path, code in (("/bought/2/pause", 404), ("/bought/x/pause", 404), ("/bought/99999999999999999999/pause", 404)):
        assert bea.send(path, paused="true").code == code, path
    assert Visitor(stage, "bob").send("/bought/2/pause", paused="true").code == 403
    assert bea.visit(an_event(path="/dashboard/bought/1/pause", form={"paused": "true"})).code == 403


def problems(**overrides: Any) -> str:
    with pytest.raises(InvalidConfiguration) as refused:
        configuration.read(a_document(**overrides))
    return str(refused.value)


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ({"role": "buyer"}, "must name at least one buyer with `role: buyer`"),
        ({"role": "publisher", "buyers": [1]}, "must name at least one buyer with `role: buyer`"),
        ({"role": "buyer", "buyers": [77]}, "there is no buyer 77"),
        ({"role": "buyer", "buyers": [0]}, "buyers[0]"),
        ({"role": "buyer", "buyers": [1], "traffic_sources": ["7"]}, "must be left out with `role: buyer`"),
    ],
)
def test_a_user_that_is_a_buyer_has_buyers(user: dict[str, Any], problem: str) -> None:
    assert problem in problems(users=[*USERS, a_user(**{"name": "bea", "traffic_sources": []} | user)])


def test_a_token_of_a_buyer_is_for_its_own_buyers_and_for_no_leads(stage: Stage, publisher: Publisher) -> None:
    open_market(stage)
    olga = as_user(stage, "olga")
    issued = olga.ask("POST", "/users/bea/tokens", {"buyers": [1]})
    assert (issued.code, issued.body["scope"], issued.body["buyers"]) == (201, "operate", [1])
    [listed] = [each for each in olga.get("/users/bea/tokens")["items"] if each["id"] == issued.body["id"]]
    assert listed["buyers"] == [1]
    for wanted in ({"buyers": [2]}, {"scope": "post"}):
        assert olga.ask("POST", "/users/bea/tokens", wanted).code == 422
    assert olga.ask("POST", "/users/acme-media/tokens", {"buyers": [1]}).code == 422
    secret = issued_tokens.issue(records(stage), "olga", "bea", WantedToken()).token
    assert publisher.ping(auth_token=secret).code == 401
    assert Operator(stage, secret).ask("GET", "/pings").code == 403


def test_a_buyer_that_left_the_configuration_shows_nothing(stage: Stage, publisher: Publisher) -> None:
    open_market(stage)
    talk(publisher)
    users = [*USERS, a_user(name="bea", role="buyer", traffic_sources=[], buyers=[2])]
    opened(
        stage,
        offers=[an_offer(buyers=[a_buyer(), a_buyer(id=2, name="Buyer B", number="+18005550182")])],
        endpoints=[an_endpoint(calls={"provider": "main"})],
        **CONFIGURED | {"users": users},
    )
    assert client(stage, "bea").ask("GET", "/calls").body["calls"] == []
