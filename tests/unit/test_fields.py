"""Contact fields: what is a value of each type, what it becomes, and what a publisher reads about one that is not."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import fields, patterns, states
from shared.domain.models import Field, FieldType, Lead, Step

TYPES: tuple[FieldType, ...] = get_args(FieldType)
VEHICLES = ("Car", "Truck", "RV")


def a_field(kind: FieldType = "text", **overrides: Any) -> Field:
    values: dict[str, Any] = {"name": "asked", "type": kind, "choices": VEHICLES if kind == "choice" else ()}
    return Field(**values | overrides)


def read(field: Field, text: str) -> str | list[str]:
    """The value, or what is wrong with it."""
    lead, problems = fields.read([field], {field.name: text}, "US")
    return problems[field.name] if problems else lead[field.name]


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("phone", "(614) 555-0123", "+16145550123"),
        ("email", "name@example.com", "name@example.com"),
        ("email", "Name.Surname+tag@EXAMPLE.com", "Name.Surname+tag@example.com"),
        ("us_state", "TX", "TX"),
        ("us_state", "tx", "TX"),
        ("us_state", "Texas", "TX"),
        ("us_state", "new  YORK", "NY"),
        ("us_state", "District of Columbia", "DC"),
        ("us_state", "Puerto Rico", "PR"),
        ("us_zip", "30340", "30340"),
        ("us_zip", "01001", "01001"),
        ("us_zip", "30340-1234", "30340"),
        ("us_zip", "303401234", "30340"),
        ("date", "1985-03-27", "1985-03-27"),
        ("date", "03/27/1985", "1985-03-27"),
        ("date", "3/7/1985", "1985-03-07"),
        ("date", "2024-02-29", "2024-02-29"),
        ("integer", "42", "42"),
        ("integer", "+42", "42"),
        ("integer", "-7", "-7"),
        ("integer", "007", "7"),
        ("integer", "999999999999999999", "999999999999999999"),
        ("decimal", "12.50", "12.50"),
        ("decimal", ".5", "0.5"),
        ("decimal", "5.", "5"),
        ("decimal", "-0.25", "-0.25"),
        ("decimal", "1000000", "1000000"),
        ("boolean", "true", "true"),
        ("boolean", "True", "true"),
        ("boolean", "YES", "true"),
        ("boolean", "1", "true"),
        ("boolean", "off", "false"),
        ("boolean", "F", "false"),
        ("boolean", "0", "false"),
        ("choice", "Car", "Car"),
        ("choice", "rv", "RV"),
        ("text", "I agree to be called. 👍", "I agree to be called. 👍"),
        ("text", "two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_a_value_is_kept_in_one_spelling(kind: FieldType, sent: str, value: str) -> None:
    assert read(a_field(kind), sent) == value


@pytest.mark.parametrize(
    ("kind", "sent", "problem"),
    [
        ("phone", "555-0123", "asked must be a telephone number, for example +16145550123."),
        ("email", "name@", "asked must be an e-mail address, for example name@example.com."),
        ("email", "name example.com", "asked must be an e-mail address, for example name@example.com."),
        ("email", "a@b.com, c@d.com", "asked must be an e-mail address, for example name@example.com."),
        ("us_state", "ZZ", "asked must be a US state, for example TX or Texas."),
        ("us_state", "Ontario", "asked must be a US state, for example TX or Texas."),
        ("us_zip", "3034", "asked must be a US ZIP code of five digits, for example 30340."),
        ("us_zip", "30340-12", "asked must be a US ZIP code of five digits, for example 30340."),
        ("us_zip", "٣٠٣٤٠", "asked must be a US ZIP code of five digits, for example 30340."),
        ("date", "1985-02-30", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "27/03/1985", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "19850327", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "1985-W13-3", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("integer", "4.0", "asked must be a whole number."),
        ("integer", "1_000", "asked must be a whole number."),
        ("integer", "9" * 5000, "asked must be a whole number."),
        ("integer", "٤٢", "asked must be a whole number."),
        ("decimal", "NaN", "asked must be a number."),
        ("decimal", "1e9", "asked must be a number."),
        ("decimal", "$5.00", "asked must be a number."),
        ("decimal", ".", "asked must be a number."),
        ("boolean", "maybe", "asked must be true or false."),
        ("choice", "Boat", "asked must be one of Car, Truck, RV."),
        ("text", "a\x00b", "asked must be free of control characters."),
        ("text", "a\x1bb", "asked must be free of control characters."),
        ("text", "x" * 1001, "asked must be at most 1000 characters long."),
    ],
)
def test_what_is_not_of_the_type_is_named_with_an_example(kind: FieldType, sent: str, problem: str) -> None:
    assert read(a_field(kind), sent) == [problem]


@pytest.mark.parametrize(
    ("kind", "limits", "sent", "found"),
    [
        ("integer", {"minimum": "18"}, "18", "18"),
        ("integer", {"minimum": "18"}, "17", ["asked must be at least 18."]),
        ("integer", {"maximum": "99"}, "99", "99"),
        ("integer", {"maximum": "99"}, "100", ["asked must be at most 99."]),
        ("decimal", {"minimum": "0.5"}, "0.50", "0.50"),
        ("decimal", {"minimum": "0.5"}, "0.499999999", ["asked must be at least 0.5."]),
        ("decimal", {"maximum": "1.5"}, "1.500000001", ["asked must be at most 1.5."]),
        ("text", {"min_length": 3}, "éèê", "éèê"),
        ("text", {"min_length": 3}, "éè", ["asked must be at least 3 characters long."]),
        ("text", {"max_length": 3}, "éèê", "éèê"),
        ("text", {"max_length": 3}, "éèêë", ["asked must be at most 3 characters long."]),
        ("text", {"pattern": "[A-Z]{2}[0-9]+"}, "IW7834", "IW7834"),
        (
            "text",
            {"pattern": "[A-Z]{2}[0-9]+"},
            "IW7834x",
            ["asked must be in the form that the posting instructions give."],
        ),
    ],
)
def test_a_limit_includes_itself(kind: FieldType, limits: dict[str, Any], sent: str, found: str | list[str]) -> None:
    assert read(a_field(kind, **limits), sent) == found


def test_a_pattern_that_re2_cannot_match_in_linear_time_is_none() -> None:
    with pytest.raises(ValueError, match="not a regular expression of RE2"):
        patterns.pattern(r"(a+)\1")


def test_a_pathological_pattern_cannot_hold_a_request() -> None:
    """`re` would need longer than the universe has been there."""
    endless = a_field(pattern="(a+)+b", max_length=100_000)
    assert read(endless, "a" * 60_000) == ["asked must be in the form that the posting instructions give."]


@pytest.mark.parametrize(
    ("required_on", "steps", "problem"),
    [
        (("ping",), ("ping",), "asked is required on ping. You did not send a value."),
        (("post",), ("post",), "asked is required on post. You did not send a value."),
        (("ping", "post"), ("ping",), "asked is required on ping. You did not send a value."),
        (("ping", "post"), ("post",), "asked is required on post. You did not send a value."),
        (("ping", "post"), ("ping", "post"), "asked is required on ping. You did not send a value."),
        (("post",), ("ping", "post"), "asked is required on post. You did not send a value."),
        (("post",), ("ping",), None),
        (("ping",), ("post",), None),
        ((), ("ping", "post"), None),
    ],
)
def test_a_field_is_required_on_its_steps_only(
    required_on: tuple[Step, ...], steps: tuple[Step, ...], problem: str | None
) -> None:
    field = a_field(required_on=required_on)
    assert fields.missing([field], Lead(), steps) == ({"asked": [problem]} if problem else {})
    assert fields.missing([field], Lead(asked="x"), steps) == {}


def test_a_default_stands_in_for_a_value_that_was_not_sent() -> None:
    asked = [a_field(default="none"), a_field(name="other")]
    assert fields.complete(asked, Lead()) == {"asked": "none"}
    assert fields.complete(asked, Lead(asked="some")) == {"asked": "some"}


def test_every_bad_field_is_told_at_once() -> None:
    asked = [a_field(kind, name=kind) for kind in TYPES]
    _, problems = fields.read(asked, dict.fromkeys(TYPES, "\x00"), "US")
    assert set(problems) == set(TYPES)


def test_a_bad_value_is_not_in_the_lead() -> None:
    assert fields.read([a_field("us_zip")], {"asked": "3034", "other": "3034"}, "US")[0] == {"other": "3034"}


def test_parameters_that_the_offer_does_not_know_are_kept_as_they_were_sent() -> None:
    assert fields.read([], {"gclid": "Cj0K-_", "Utm Source": " x"}, "US") == (
        {"gclid": "Cj0K-_", "Utm Source": " x"},
        {},
    )


def test_a_lead_in_a_log_shows_names_only() -> None:
    assert repr(Lead(zip="30340", caller_id="+16145550123")) == "Lead(caller_id, zip)"


SENT = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.from_regex(r"[0-9A-Za-z@+./-]{1,20}", fullmatch=True),
    st.dates().map(str),
    st.emails(),
    st.decimals(allow_nan=False).map(str),
    st.sampled_from([*states.US_STATES, *fields.TRUE, *fields.FALSE]),
)


@pytest.mark.parametrize("kind", TYPES)
@given(sent=SENT)
def test_a_value_that_was_read_always_reads_as_itself(kind: FieldType, sent: str) -> None:
    value = read(a_field(kind), sent)
    if isinstance(value, str):
        assert read(a_field(kind), value) == value


@pytest.mark.parametrize("kind", TYPES)
@given(sent=SENT)
def test_a_problem_never_shows_the_value(kind: FieldType, sent: str) -> None:
    """It is the same sentence whatever was sent, so it cannot."""
    found = read(a_field(kind), sent)
    if isinstance(found, list):
        others = (read(a_field(kind), text) for text in ("\x00", "x" * 1001))
        assert json.dumps(found) in {json.dumps(other) for other in others}
