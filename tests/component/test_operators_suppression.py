"""Suppression lists by the operators' API."""

import pytest

from tests.build import CALLER, Publisher, Stage
from tests.configurations import a_buyer, an_offer
from tests.office import Operator, as_user, opened


@pytest.fixture
def olga(stage: Stage) -> Operator:
    offer = an_offer(suppression=["litigators"], buyers=[a_buyer(suppression=["customers", "dnc"])])
    opened(stage, account={"suppression": ["dnc"]}, offers=[offer])
    return as_user(stage, "olga")


def test_the_lists_are_those_that_the_configuration_names(olga: Operator) -> None:
    assert olga.get("/suppression_lists")["items"] == [
        {"name": "customers", "used_by": ["offers[auto-insurance].buyers[1]"]},
        {"name": "dnc", "used_by": ["account", "offers[auto-insurance].buyers[1]"]},
        {"name": "litigators", "used_by": ["offers[auto-insurance]"]},
    ]


def test_numbers_and_prefixes_are_put_on_looked_up_and_taken_off(olga: Operator, publisher: Publisher) -> None:
    sent = {"entries": ["(614) 555-0123", "212*", "+16145550199"]}
    for _ in range(2):
        assert olga.ask("POST", "/suppression_lists/dnc/add", sent).body == {"numbers": 2, "prefixes": 1}
    assert publisher.ping(caller_id=CALLER).body["status"] == "caller_number_suppressed"
    olga.ask("POST", "/suppression_lists/customers/add", {"entries": [CALLER]})
    found = olga.ask("POST", "/suppression_lists/lookup", {"number": "614-555-0123"})
    assert found.body["items"] == [{"entry": CALLER, "lists": ["customers", "dnc"]}]
    assert olga.ask("POST", "/suppression_lists/lookup", {"number": "2125550123"}).body["items"] == [
        {"entry": "+1212*", "lists": ["dnc"]}
    ]
    assert olga.ask("POST", "/suppression_lists/dnc/remove", sent).body == {"numbers": 2, "prefixes": 1}
    assert olga.ask("POST", "/suppression_lists/lookup", {"number": "2125550123"}).body["items"] == []
    assert publisher.ping(caller_id=CALLER).body["status"] == "no_matching_buyer"

    log = olga.get("/changes", "limit=4")["items"]
    put, taken = "3 entries put on it", "3 entries taken off"
    assert [(entry["by"], entry["changes"][0]) for entry in (log[0], log[2])] == [
        ("olga", {"path": "suppression[dnc]", "was": taken, "is": None}),
        ("olga", {"path": "suppression[dnc]", "was": None, "is": put}),
    ]
    assert "555" not in str(log)


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ({"entries": [CALLER, "somebody", "614x*"]}, {"entries[1]", "entries[2]"}),
        ({"entries": ["1*", "+1*", "*", "+44*"]}, {f"entries[{place}]" for place in range(4)}),
        ({"entries": [CALLER, "6145550161;nobody", "n/a"]}, {"entries[1]", "entries[2]"}),
        ({"entries": [";".join([CALLER] * 1001)]}, {"entries"}),
        ({"entries": []}, {"entries"}),
        ({"entries": [CALLER] * 1001}, {"entries"}),
        ({"entries": [CALLER, 1]}, {"entries[1]"}),
        ({"entries": CALLER}, {"entries"}),
        ({"numbers": []}, {""}),
        ({}, {""}),
    ],
)
def test_what_is_no_number_changes_nothing(olga: Operator, sent: dict[str, object], errors: set[str]) -> None:
    answer = olga.ask("POST", "/suppression_lists/dnc/add", sent)
    assert (answer.code, set(answer.body["errors"])) == (422, errors)
    assert olga.ask("POST", "/suppression_lists/lookup", {"number": CALLER}).body["items"] == []


def test_what_cannot_be_done_is_told(olga: Operator) -> None:
    assert olga.ask("POST", "/suppression_lists/dcn/add", {"entries": [CALLER]}).code == 404
    for sent in ({"number": "x"}, {"number": CALLER, "region": 1}, {"number": "5550123", "region": "??"}):
        assert olga.ask("POST", "/suppression_lists/lookup", sent).code == 422


def test_an_entry_may_have_several_numbers(olga: Operator) -> None:
    sent = {"entries": ["6145550161;6145550162", "6145550163.0"]}
    assert olga.ask("POST", "/suppression_lists/dnc/add", sent).body == {"numbers": 3, "prefixes": 0}
    for number in ("6145550161", "6145550162", "6145550163"):
        assert olga.ask("POST", "/suppression_lists/lookup", {"number": number}).body["items"] != []
