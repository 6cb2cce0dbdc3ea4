"""Contact fields: what is a value of each type, what it becomes, and what a publisher reads about one that is not."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import fields, patterns, states, values
from shared.domain.models import Field, FieldType, Lead, Step

TYPES: tuple[FieldType, ...] = get_args(FieldType)
VEHICLES = ("Car", "Truck", "RV")


def a_field(kind: FieldType = "text", **overrides: Any) -> Field:
    values: dict[str, Any] = {"name": "asked", "type": kind, "choices": VEHICLES if kind == "choice" else ()}
    return Field(**values | overrides)


def read(field: Field, text: str) -> str | list[str] | None:
    """The value, None if it counts as absent, or what is wrong with it."""
    lead, problems = fields.read([field], {field.name: text}, "US")
    return problems[field.name] if problems else lead.get(field.name)


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
        ("choice", "R.V.", "RV"),
        ("email", "Name <name@example.com>", "name@example.com"),
        ("email", "mailto:name@example.com", "name@example.com"),
        ("email", "name@example.com.", "name@example.com"),
        ("us_state", "D.C.", "DC"),
        ("us_state", "Washington DC", "DC"),
        ("us_state", "Washington, D.C.", "DC"),
        ("us_state", "Washington", "WA"),
        ("us_state", "N.Y.", "NY"),
        ("us_state", "US-TX", "TX"),
        ("us_state", "TX, USA", "TX"),
        ("us_state", "Texas, United States", "TX"),
        ("us_state", "TX - Texas", "TX"),
        ("us_state", "Texas (TX)", "TX"),
        ("us_state", "TX/Texas", "TX"),
        ("us_state", "State of Texas", "TX"),
        ("us_state", "New York State", "NY"),
        ("us_state", "N. Carolina", "NC"),
        ("us_state", "north_carolina", "NC"),
        ("us_state", "NorthCarolina", "NC"),
        ("us_state", "W. Va.", "WV"),
        ("us_state", "Calif.", "CA"),
        ("us_state", "Hawai\u02bbi", "HI"),
        ("us_state", "U.S. Virgin Islands", "VI"),
        ("us_zip", "78704 1234", "78704"),
        ("us_zip", "78704-", "78704"),
        ("us_zip", "78704 - 1234", "78704"),
        ("us_zip", "78704\u20131234", "78704"),
        ("us_zip", "78704-____", "78704"),
        ("us_zip", "78704.0", "78704"),
        ("us_zip", "'01001", "01001"),
        ("date", "20140602", "2014-06-02"),
        ("date", "2014-06-02T00:00:00.000Z", "2014-06-02"),
        ("date", "2014-06-02T23:30:00-05:00", "2014-06-02"),
        ("date", "2014-06-02 00:00:00", "2014-06-02"),
        ("date", "20140602T000000Z", "2014-06-02"),
        ("date", "2014/6/2", "2014-06-02"),
        ("date", "27/03/1985", "1985-03-27"),
        ("date", "6/22/14", "2014-06-22"),
        ("date", "3/27/85", "1985-03-27"),
        ("date", "06-22-2014", "2014-06-22"),
        ("date", "22.06.2014", "2014-06-22"),
        ("date", "06.06.2014", "2014-06-06"),
        ("date", "06222014", "2014-06-22"),
        ("date", "19850327", "1985-03-27"),
        ("date", "6/22/2014, 12:00:00\u202fAM", "2014-06-22"),
        ("date", "June 2, 2014", "2014-06-02"),
        ("date", "2 Jun 2014", "2014-06-02"),
        ("date", "02-JUN-2014", "2014-06-02"),
        ("date", "June 2nd, 2014", "2014-06-02"),
        ("date", "Mon, 02 Jun 2014 00:00:00 GMT", "2014-06-02"),
        ("date", "Mon Jun 02 2014 00:00:00 GMT-0500 (Central Daylight Time)", "2014-06-02"),
        ("integer", "$1,100", "1100"),
        ("integer", "41.0", "41"),
        ("integer", "1,100.00", "1100"),
        ("integer", "1 100", "1100"),
        ("integer", "1\u202f100", "1100"),
        ("integer", "4.0", "4"),
        ("decimal", "$1,100.50", "1100.50"),
        ("decimal", "25 USD", "25"),
        ("decimal", "-$5", "-5"),
        ("decimal", "$5.00", "5.00"),
        ("boolean", "Yes.", "true"),
        ("boolean", "Y", "true"),
        ("boolean", "TRUE", "true"),
        ("boolean", "1.0", "true"),
        ("boolean", "No!", "false"),
        ("boolean", "unchecked", "false"),
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
        ("date", "1985-W13-3", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("integer", "1_000", "asked must be a whole number."),
        ("integer", "9" * 5000, "asked must be a whole number."),
        ("integer", "٤٢", "asked must be a whole number."),
        ("decimal", "1e9", "asked must be a number."),
        ("decimal", "1.100,00", "asked must be a number."),
        ("decimal", "5%", "asked must be a number."),
        ("decimal", "(5)", "asked must be a number."),
        ("integer", "41.5", "asked must be a whole number."),
        ("integer", "1,10", "asked must be a whole number."),
        ("integer", "0,100", "asked must be a whole number."),
        ("integer", "41 years", "asked must be a whole number."),
        ("phone", "740-555-XXXX", "asked must be a telephone number, for example +16145550123."),
        ("us_state", "TX/OK", "asked must be a US state, for example TX or Texas."),
        ("us_state", "C/O", "asked must be a US state, for example TX or Texas."),
        ("us_zip", "1001", "asked must be a US ZIP code of five digits, for example 30340."),
        ("us_zip", "1001-1234", "asked must be a US ZIP code of five digits, for example 30340."),
        ("date", "6/2/14", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "22/06/14", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "3/27/35", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "06-02-2014", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "02.06.2014", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "06022014", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "June 2014", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("date", "1401667200", "asked must be a date, for example 1985-03-27 or 03/27/1985."),
        ("choice", "C-a-rs", "asked must be one of Car, Truck, RV."),
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


NOTHING = (
    "null", "NULL", "undefined", "None", "NaN", "nil", "N/A", "n.a.", "na", "(null)", "[object Object]", "Not provided",
    "[asked]", "{{zip}}", "{{ contact.zip }}", "${zip}", "#{zip}", "%zip%", "<zip>", "<%= zip %>", "[[zip]]", "*|ZIP|*",
    "##zip##", "Select State", "-- Select --", "Please select...", "Choose one", "- None -", "--", ".", "__/__/____",
    "mm/dd/yyyy", "0000-00-00", "Invalid Date", "[]", "{}", "asked", "Asked",
)  # fmt: skip
"""What programs and forms write where nobody has said anything."""


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "text"])
@pytest.mark.parametrize("sent", NOTHING)
def test_a_word_for_nothing_is_absent(kind: FieldType, sent: str) -> None:
    assert read(a_field(kind), sent) is None


@pytest.mark.parametrize("sent", NOTHING)
def test_a_text_is_kept_whatever_it_says(sent: str) -> None:
    """People are called Null."""
    assert read(a_field(), sent) == sent


@pytest.mark.parametrize("choice", ["None", "N/A", "Select", "unknown"])
def test_a_choice_may_be_a_word_for_nothing(choice: str) -> None:
    assert read(a_field("choice", choices=("Car", choice)), choice.upper()) == choice


@pytest.mark.parametrize(
    ("choices", "sent", "found"),
    [
        (("Full Coverage", "Liability"), "full_coverage", "Full Coverage"),
        (("Full Coverage", "Liability"), "full-coverage", "Full Coverage"),
        (("Café",), "cafe\u0301", "Café"),
        (("cafe\u0301",), "Café", "cafe\u0301"),
        (("1-5", "15"), "1 5", None),
        (("A+", "A"), "a+", "A+"),
        (("<5", ">5"), "5", None),
        (("a-b", "a b"), "ab", None),
    ],
)
def test_a_choice_is_read_only_if_it_can_be_no_other(choices: tuple[str, ...], sent: str, found: str | None) -> None:
    assert read(a_field("choice", choices=choices), sent) == (found or [f"asked must be one of {', '.join(choices)}."])


DECOMPOSED = "Jose\u0301"


@pytest.mark.parametrize("limits", [{}, {"max_length": 4}, {"pattern": "Jos."}])
def test_a_letter_and_its_mark_are_one_letter(limits: dict[str, Any]) -> None:
    assert read(a_field(**limits), DECOMPOSED) == "José"


def test_more_marks_than_any_writing_has_are_left_as_they_are() -> None:
    marks = "e" + "\u0323\u0301" * 400
    assert read(a_field(), marks) == marks


@pytest.mark.parametrize(
    ("required_on", "steps", "also", "is_bad"),
    [
        ((), ("ping",), (), False),
        (("post",), ("ping",), (), False),
        (("ping",), ("ping",), (), True),
        (("post",), ("ping", "post"), (), True),
        ((), ("ping",), ("asked",), True),
    ],
)
def test_only_what_no_step_requires_may_be_left_out(
    required_on: tuple[Step, ...], steps: tuple[Step, ...], also: tuple[str, ...], is_bad: bool
) -> None:
    field = a_field("us_zip", required_on=required_on)
    _, problems = fields.read([field], {"asked": "1001"}, "US")
    sentence = "asked must be a US ZIP code of five digits, for example 30340."
    assert problems == {"asked": [sentence]}
    warnings = fields.warnings([field], problems, steps, also)
    assert warnings == ({} if is_bad else {"asked": [f"{sentence} It was left out."]})


@pytest.mark.parametrize("choice", ["Accepted", "unsuccessful", "Matched"])
def test_a_warning_has_no_word_by_which_clients_know_a_sale(choice: str) -> None:
    _, problems = fields.read([a_field("choice", choices=(choice,))], {"asked": "x"}, "US")
    assert fields.warnings([], problems, ("ping",), ()) == {"asked": ["The value cannot be read. It was left out."]}


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
    st.sampled_from([*states.US_STATES, *values.TRUE, *values.FALSE, *values.NOTHING]),
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
