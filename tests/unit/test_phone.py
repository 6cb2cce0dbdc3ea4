"""All spellings of a telephone number are one number."""

import re
import string

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.phone import NoCaller, e164


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
        "+1+16145550123",
        "1+16145550123",
        "++16145550123",
        "+1 1 614 555 0123",
        "116145550123",
        "%2B16145550123",
        "%2b1%20614%20555%200123",
        "001 614 555 0123",
        "0016145550123",
        "+0016145550123",
        "011 1 614 555 0123",
        "01116145550123",
        "sip:+16145550123@192.0.2.1",
        "SIP:6145550123@pbx.example;user=phone",
        "sips:+16145550123@pbx.example:5061;transport=tls",
        "<sip:+16145550123@pbx.example;user=phone>",
        '"A Caller" <sip:+16145550123@pbx.example>;tag=1',
        "+16145550123@192.0.2.1",
        "6145550123@sms.example",
        "tel:+1-614-555-0123",
        "tel:+16145550123;ext=5",
        "614-555-0123 x123",
        "614-555-0123 ext. 5",
        "6145550123x12",
        "Phone: 614-555-0123",
        "6145550123.0",
        "'6145550123",
        "\u202d(614) 555\u20110123\u202c",
        "614\u00a0555\u00a00123",
        "\uff16\uff11\uff14\uff15\uff15\uff15\uff10\uff11\uff12\uff13",
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
        ("+44+442079460018", "GB", "+442079460018"),
        ("+44 (0)20 7946 0018", "GB", "+442079460018"),
        ("0044 20 7946 0018", "US", "+442079460018"),
        ("0044 20 7946 0018", "GB", "+442079460018"),
        ("00 1 614 555 0123", "GB", "+16145550123"),
        ("0011 1 614 555 0123", "AU", "+16145550123"),
        ("266696687", "PT", "+351266696687"),  # ANONYMOUS on a keypad, and no word in this country
        ("94844353", "SG", "+6594844353"),  # WITHHELD
    ],
)
def test_a_number_without_a_country_is_dialed_in_the_region_of_the_endpoint(
    spelling: str, region: str, number: str
) -> None:
    assert e164(spelling, region) == number


def test_a_new_area_code_is_a_caller() -> None:
    assert e164("738-555-0123", "US") == "+17385550123"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "5550123",
        "740-555-XXXX",
        "740-555-XX12",
        "614555****",
        "614-555-01##",
        "614-555-01??",
        "614555NONE",
        "614-555-HELP",
        "XXX-555-0123",
        "1-800-555-XXXX",
        "800-555-012X",
        "800555NONE",
        "614555012x3",
        "6145550161;6145550162",
        "6145550161/6145550162",
        "6145550161 6145550162",
        "614 555 0123 or 614 555 0124",
        "1234567890",
        "+44 20 7946 00**",
        "+44 20 7946 XXXX",
        "name@example.com",
        "sip:1001@pbx.example",
        "1.6145550123E10",
        "\x00",
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
    with pytest.raises(ValueError, match=r"^not a telephone number$") as raised:
        e164(text, "US")
    assert raised.type is ValueError


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        ("1-800-FLOWERS", "+18003569377"),
        ("800-FLOWERS", "+18003569377"),
        ("+1 888 GOFEDEX", "+18884633339"),
        ("1-800-CONTACTS", "+18002668228"),
        ("(855) 4-PICKUP", "+18554742587"),
    ],
)
def test_only_a_toll_free_number_is_dialed_by_its_letters(spelling: str, number: str) -> None:
    assert e164(spelling, "US") == number


NOBODY = (
    "", "anonymous", "Anonymous", "ANONYMOUS", "Restricted", "unknown", "Unknown Caller", "Unknown Name", "unavailable",
    "UNAVAIL", "private", "Private Number", "PRIVATE_CALLER", "blocked", "Caller ID Blocked", "withheld",
    "Number Withheld", "No Caller ID", "NOCALLERID", "Not Provided", "Out of area", "OUT_OF_AREA", "hidden", "P", "O",
    "none", "null", "sip:anonymous@anonymous.invalid", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1',
    "anonymous@192.0.2.1", "unavailable@unknown.invalid", "<sip:Restricted@192.0.2.1>",
    "+266696687", "266696687", "+1266696687", "1266696687", "sip:+266696687@192.0.2.1",
    "+7378742833", "7378742833", "17378742833", "+17378742833", "(737) 874-2833", "0017378742833",
    "+86282452253", "86282452253", "186282452253", "+2562533", "2562533", "+12562533", "+8656696", "8656696",
    "+18656696",
    "+7748283", "+94844353", "+464", "464", "+1464",
    "0", "00", "0000000", "0000000000", "+0000000000", "+10000000000", "000-000-0000", "+1 (000) 000-0000",
    "00000000000000", "1111111111", "+11111111111", "2222222222", "5555555555", "+1 555 555 5555", "9999999999",
    "+", "+1", "1", "-1", "(___) ___-____", "+1 (___) ___-____", "**********",
    "614", "9b64727eddff4c2c26c844d483f7872491de741e20f5526e0d8c23532cc719a6", "a" * 32, "B" * 40,
)  # fmt: skip
"""What stands in the place of a caller's number where the caller is anonymous, or kept back."""


@pytest.mark.parametrize("text", NOBODY)
def test_a_placeholder_is_no_caller(text: str) -> None:
    with pytest.raises(NoCaller, match=r"^not a telephone number$"):
        e164(text, "US")


def test_placeholders_in_a_row_are_read_in_one_way() -> None:
    """Two ways to read each would be 2 ** 35 ways to read all of them, and no answer."""
    with pytest.raises(ValueError, match="not a telephone number"):
        e164("anonymo" * 35 + "x", "US")


@pytest.mark.parametrize("text", ["8888888888", "+17378742834", "6666966870", "+1 662 255 3743", "2566966870"])
def test_a_number_that_is_only_like_a_placeholder_is_one(text: str) -> None:
    assert e164(text, "US").startswith("+1")


@given(st.text(alphabet="0123456789xX*# -()+", min_size=1, max_size=16))
def test_a_masked_digit_is_never_made_up(text: str) -> None:
    """Whatever is read has only digits that were sent, in their order."""
    try:
        number = e164(text, "US")
    except ValueError:
        return
    digits = re.sub(r"[^0-9]", "", text)
    assert number.removeprefix("+").removeprefix("1") in digits or number.removeprefix("+") in digits


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
