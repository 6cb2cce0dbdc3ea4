"""Telephone numbers as E.164."""

import re

NORTH_AMERICAN = re.compile(r"(?:\+?1)?([2-9][0-9]{2}[2-9][0-9]{6})")
"""Area code and exchange start with 2 to 9: https://www.nanpa.com, numbering plan area codes."""
PUNCTUATION = str.maketrans("", "", "-. ()")


def e164(text: str, region: str) -> str:
    """The number that `text` means when dialled in `region` (ISO 3166, two letters).

    Judged by its length, not by the list of prefixes in service: that list is always behind, and a caller with a new
    area code is a caller. Raises ValueError.
    """
    if region == "US" and (usual := NORTH_AMERICAN.fullmatch(text.translate(PUNCTUATION))):
        return f"+1{usual[1]}"
    import phonenumbers  # a tenth of a handler's start, and few callers need it

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise ValueError("not a telephone number")
    normalised = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if number.country_code == 1 and not NORTH_AMERICAN.fullmatch(normalised):
        raise ValueError("not a telephone number")
    return normalised
