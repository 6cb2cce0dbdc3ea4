"""All spellings of a telephone number are one number."""

import re
import string

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.phone import e164


@pytest.mark.parametrize(
    "spelling",
    [
        "+16145550123",
        "16145550123",
        "6145550123",
        "614-555-0123",
        "(614) 555-0123",
        " 16145550123",
        "614.555.0123",
        "1-614-555-0123",
        "+1 (614) 555-0123",
        "+1 614 555 0123 ",
    ],
)
def test_every_spelling_of_a_caller_is_the_same_caller(spelling: str) -> None:
    assert e164(spelling, "US") == "+16145550123"


@pytest.mark.parametrize(
    ("spelling", "region", "number"),
    [
        ("020 7946 0018", "GB", "+442079460018"),
        ("+44 20 7946 0018", "US", "+442079460018"),
        ("(02) 5550 1234", "AU", "+61255501234"),
        ("416-555-0123", "CA", "+14165550123"),
    ],
)
def test_a_number_without_a_country_is_dialled_in_the_region_of_the_endpoint(
    spelling: str, region: str, number: str
) -> None:
    assert e164(spelling, region) == number


def test_a_new_area_code_is_a_caller() -> None:
    assert e164("738-555-0123", "US") == "+17385550123"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "anonymous",
        "5550123",
        "614555012",
        "61455501234",
        "0145550123",
        "1145550123",
        "6140550123",
        "6141550123",
        "+1614555012",
        "+0 614 555 0123",
        "+999 614 555 0123",
        "6145550123,6145550124",
        "6145550123; DROP TABLE",
        "1" * 60_000,
    ],
)
def test_what_is_no_telephone_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a telephone number$"):
        e164(text, "US")


@given(st.one_of(st.text(), st.text(alphabet=string.digits + "+-(). x")), st.sampled_from(["US", "GB", "DE"]))
def test_a_text_is_always_one_number_or_none(text: str, region: str) -> None:
    try:
        number = e164(text, region)
    except ValueError:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{4,16}", number)
    assert e164(number, region) == number


@given(st.from_regex(r"\A(\+?1[-. ]?)?\(?[2-9][0-9]{2}\)?[-. ]?[2-9][0-9]{2}[-. ]?[0-9]{4}\Z", fullmatch=True))
def test_the_usual_spellings_are_read_as_the_library_reads_them(text: str) -> None:
    number = phonenumbers.parse(text, "US")
    assert e164(text, "US") == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
