"""The form on a call's page that says what the call is worth."""

import pytest

from tests.build import Publisher, Stage
from tests.component.test_call_updates import SAYS, client, connect, open_market, talk, uuid_of, worth
from tests.phone import Phone
from tests.watchers import Visitor, text


@pytest.fixture
def stage(fast_stage: Stage) -> Stage:
    return fast_stage


@pytest.fixture
def sold(stage: Stage, publisher: Publisher) -> Phone:
    open_market(stage, pays=SAYS)
    return talk(publisher, auth_token="of acme-media")


def test_an_operator_updates_a_call_on_its_page(sold: Phone, stage: Stage) -> None:
    olga, path = Visitor(stage, "olga"), f"/calls/{uuid_of(sold)}"
    assert "Update The buyer pays as it is yes no Revenue" in olga.see(path)
    answer = olga.send(path, buyer_converted="yes", revenue="$45", offer_converted="", payout="")
    assert (answer.code, answer.headers["Location"]) == (303, f"/dashboard{path}#happened")
    assert worth(sold) == (True, 4500, 2500)
    client(stage, "bea").say(sold, revenue=30)
    shown = olga.see(path)
    for said in (
        "updated by olga (buyer converted yes, revenue 45.00) : converted, revenue 0.00 → 45.00, payout 0.00 → 25.00",
        "updated by bea (revenue 30.00) : revenue 45.00 → 30.00, payout 25.00",
    ):
        assert said in shown, shown


@pytest.mark.parametrize(
    ("form", "name", "sentence"),
    [
        ({}, "", "Nothing is filled in."),
        ({"revenue": "-5", "payout": "lots"}, "payout", "must be an amount like 45.00"),
        ({"revenue": "<b>1e308"}, "revenue", "must be an amount like 45.00"),
        ({"revenue": "80.01", "payout": "3"}, "revenue", "It must be at most 80.00."),
        ({"buyer_converted": "maybe"}, "buyer_converted", "must be 1 or 0"),
        ({"offer_converted": "no", "payout": "3"}, "payout", "It must be 0 where the call did not convert."),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_is_done(
    sold: Phone, stage: Stage, form: dict[str, str], name: str, sentence: str
) -> None:
    answer = Visitor(stage, "olga").send(f"/calls/{uuid_of(sold)}", **form)
    assert answer.code == 422
    assert sentence in text(answer)
    assert not name or f'aria-describedby="{name}-wrong"' in answer.text
    assert "<b>" not in answer.text
    for typed in form.values():
        assert typed.replace("<", "&lt;").replace(">", "&gt;") in answer.text or typed == "maybe"
    assert worth(sold) == (False, 0, 0)


def test_a_call_that_goes_on_is_updated_once_it_is_settled(stage: Stage, publisher: Publisher) -> None:
    open_market(stage, pays=SAYS)
    phone = connect(publisher)
    olga, path = Visitor(stage, "olga"), f"/calls/{uuid_of(phone)}"
    assert olga.send(path, revenue="40").code == 303
    assert "updated by olga (revenue 40.00) : counts once the call is settled" in olga.see(path)
    stage.clock.forward(95)
    phone.dial_ends("completed", 1, 95)
    assert "(revenue 40.00) , counted when it was settled: converted, revenue 0.00 → 40.00" in olga.see(path)


def test_the_form_is_for_operators_and_for_calls_that_a_buyer_took(sold: Phone, stage: Stage) -> None:
    path = f"/calls/{uuid_of(sold)}"
    for name in ("vera", "acme-media"):
        assert 'name="revenue"' not in Visitor(stage, name).get(path).text
        assert Visitor(stage, name).send(path, revenue="40").code == 403
    olga = Visitor(stage, "olga")
    for unknown in (f"/calls/{'0' * 24}", "/calls/x", f"/calls/{uuid_of(sold)[:-1]}g"):
        assert olga.send(unknown, revenue="40").code == 404
    stage.client.delete_item(TableName=stage.settings.calls_table, Key={"call_id": {"B": sold.call_id}})
    assert 'name="revenue"' not in olga.get(path).text
    assert olga.send(path, revenue="40").code == 404
