"""What stands in a cell of a suppression file: numbers as E.164, and prefixes with a star at their end."""

import re
import unicodedata

from shared.domain import phone

LEAST_DIGITS = 3
"""Of a prefix after its country code: a shorter one would block a country, or a good part of it."""
LONGEST_NUMBER = 15
LONGEST_CELL = 100
"""Characters of one number, with all that people write around it."""
SHOWN_CELL = 40

NOTHING = {"", "-", "--", "n/a", "#n/a", "na", "nan", "nil", "none", "null"}
"""What programs write where there is no number."""
SEPARATORS = re.compile(r"[;,|\t\n]|(?<![nN])/")
WRAPPED = re.compile(r"""=?["'`´‘’“”«»]*(.*?)["'`´‘’“”«»]*""", re.DOTALL)
"""Quotes that went astray, Excel's ="6145550123" and its apostrophe before a text."""
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\u00ad]")
DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-"))
WHOLE = re.compile(r"(\+?[0-9]{7,15})\.0+")
SCIENTIFIC = re.compile(r"([0-9])[.,]([0-9]+)[eE]\+?([0-9]{1,2})")
NUMBER = re.compile(
    r"(?:tel:)?\+?[0-9 ().-]*[0-9][0-9 ().-]*(?:\s*(?:x|ext\.?|extension)\s*[0-9]{1,7})?", re.IGNORECASE
)
PREFIX = re.compile(r"([+0-9 ().-]*)\*")
NORTH_AMERICAN_PREFIX = re.compile(r"(?:[2-9][0-9]{2}(?:[2-9][0-9]{0,6})?)?")

FORM = "must be a telephone number like +16145550123, or a prefix like 614*"


class Refused(ValueError):
    """The message says what the entry should be."""


def read(cell: str, region: str) -> list[str]:
    """Every number and prefix of a cell; none if it says that there is none. Several are apart by ; , | or /.

    Raises ValueError with what it should be.
    """
    if cell.isascii() and cell.isdecimal():
        return [_entry(cell, region)]
    return [_entry(part, region) for part in parts(cell)]


def parts(cell: str) -> list[str]:
    """The texts of which each should be an entry, without what surrounds them."""
    text = clean_cell(cell)
    found = [text] if SCIENTIFIC.fullmatch(text) else map(clean_cell, SEPARATORS.split(text))
    return [part for part in found if part.casefold() not in NOTHING]


def clean_cell(cell: str) -> str:
    """Without what surrounds a number and is not seen."""
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", cell)).translate(DASHES).strip()
    found = WRAPPED.fullmatch(text)
    return found[1].strip() if found else text


def _entry(text: str, region: str) -> str:
    """Raises ValueError."""
    try:
        if len(text) > LONGEST_CELL:
            raise ValueError
        if prefix := PREFIX.fullmatch(text):
            return _prefix(text, prefix[1].translate(phone.PUNCTUATION), region)
        number = _as_written(text)
        if NUMBER.fullmatch(number):
            return phone.e164(number, region)
    except Refused:
        raise
    except ValueError:
        pass
    raise refusal_of(text)


def refusal_of(text: str) -> Refused:
    return Refused(f"`{_shown(text)}` {FORM}")


def _as_written(text: str) -> str:
    """A number that a spreadsheet took for an amount, as it was. Raises `Refused` where digits of it are lost."""
    if whole := WHOLE.fullmatch(text):
        return whole[1]
    scientific = SCIENTIFIC.fullmatch(text)
    if not scientific:
        return text
    digits = scientific[1] + scientific[2]
    if len(digits) != int(scientific[3]) + 1:
        raise Refused(
            f"`{_shown(text)}` has lost digits in a spreadsheet: format the column as text, and save the file again"
        )
    return digits


def _prefix(text: str, digits: str, region: str) -> str:
    """Raises `Refused`, and ValueError where it is no prefix at all."""
    import phonenumbers  # of use to the operator only

    if not digits.startswith("+"):
        code = str(phonenumbers.country_code_for_region(region))
        if code != "1" and digits:
            raise Refused(f"`{_shown(text)}` must begin with + and the country code, like +{code}2079*")
        digits = "+1" + digits.removeprefix("1")
    rest = digits[1:]
    if not (rest.isascii() and (rest.isdecimal() or not rest)) or len(rest) > LONGEST_NUMBER:
        raise ValueError
    code = next((rest[:n] for n in (1, 2, 3) if int(rest[:n] or 0) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), rest)
    if len(rest) - len(code) < LEAST_DIGITS:
        raise Refused(
            f"`{_shown(text)}` would block too many callers: a prefix needs its country code and at least "
            f"{LEAST_DIGITS} digits, like 614* or +44207*"
        )
    if code == "1" and not NORTH_AMERICAN_PREFIX.fullmatch(rest[1:]):
        raise Refused(f"`{_shown(text)}` is not the start of any North American number; write a prefix like 614*")
    return f"+{rest}*"


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CELL else f"{line[:SHOWN_CELL]}…"
