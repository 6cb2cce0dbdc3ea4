"""Telephone numbers as E.164, and what telephone systems write where they know none.

Patterns here are texts: `re` compiles each for the first who needs it, and keeps it. Most callers need only one.
"""

import re
from urllib.parse import unquote

NORTH_AMERICAN = re.compile(r"(?:\+?1)?([2-9][0-9]{2}[2-9][0-9]{6})")
"""Area code and exchange start with 2 to 9: https://www.nanpa.com, numbering plan area codes."""
MASK = r"[\s+().,/_*#-]*"
"""What an input for numbers shows before anybody has typed."""
NORTH_AMERICA = ("US", "CA", "PR")
PUNCTUATION = str.maketrans("", "", "-. ()")
KEYPAD = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
AREA_CODE = r"(?!555)[2-9][0-9]{2}"
LONGEST = 250
LONGEST_DIGITS = 15

INVISIBLE = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
ADDRESS = r"(?i)\A(?:sips?|tel|callto|phone):(?://)?"
PARAMETERS = r"(?:;[A-Za-z][A-Za-z0-9-]*=[^;\s]*)+\Z"
LABEL = r"(?i)\A(?:caller ?id|telephone|phone|tel|mobile|cell|number|call|ph|from|ani|cid)\b[\s.:#=-]*"
EXTENSION = r"(?i)(?<=[0-9]{4})[ ,.;]{0,3}(?:extension|extn?|x| #)[ .:]{0,3}[0-9]{1,7}\Z"
DIALED = r"[\d\s+().,/\[\]~\u2010-\u2015\u2212\uff0d\uff0b-]+"
VANITY = r"(\+?1)?(8(?:00|22|33|44|55|66|77|88))([0-9a-z]{7})[a-z]{0,6}"
"""Toll-free: only here are letters dialed. The network ignores what follows the seventh."""
MASKS = r"(.)\1*|none|null|nil|nan|hidden|unknown|masked"

NOBODY = (
    "anonym(?:ous|e|us)?", "restricted", "unknown", "unavail(?:able)?", "private", "privado", "blocked", "withheld",
    "hidden", "unlisted", "unidentified", "unpublished", "undisclosed", "suppressed", "masked", "payphone",
    "desconocido", "invalid", "outofarea", "no", "not", "none", "null", "p", "o",
)  # fmt: skip
ABOUT = ("caller", "call", "id", "number", "phone", "name", "line", "user", "cid", "ani", "available", "provided")
NO_CALLER = rf"(?:{'|'.join(ABOUT)})*(?:{'|'.join(NOBODY)})(?:{'|'.join((*ABOUT, *NOBODY))})*"
SPELLED = {
    word.translate(KEYPAD)
    for word in ("anonymous", "restricted", "unavailable", "blocked", "unknown", "private", "withheld", "unlisted")
}
"""Words that gateways send as the digits of their letters: +266696687 is ANONYMOUS."""
HASH = r"(?i)[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}"


class NoCaller(ValueError):
    """In the place of a number stands that there is none: the caller is anonymous, or somebody keeps the number back
    and says its area code or its hash."""


def e164(text: str, region: str) -> str:
    """The number that `text` means when dialed in `region` (ISO 3166, two letters).

    Judged by its length, not by the list of prefixes in service: that list is always behind, and a caller with a new
    area code is a caller. Raises `NoCaller`, and ValueError for all else that is none.
    """
    if region == "US" and (usual := NORTH_AMERICAN.fullmatch(text.translate(PUNCTUATION))):
        return _somebody(f"+1{usual[1]}")
    if len(text) > LONGEST:
        raise ValueError("not a telephone number")
    bare = _without_wrapping(text)
    _refuse_nobody(bare, region)
    if toll_free := _toll_free(bare, region):
        return toll_free
    return _somebody(_parsed(_dialed(bare, region), region))


def area_code(number: str) -> str:
    """Of an E.164 number in North America; empty for any other text."""
    match = NORTH_AMERICAN.fullmatch(number) if number.startswith("+1") else None
    return match[1][:3] if match else ""


def _without_wrapping(text: str) -> str:
    """What remains of a SIP or telephone address, a label or an extension."""
    text = re.sub(INVISIBLE, "", unquote(text) if "%" in text else text)
    if "<" in text:
        text = text.partition("<")[2].partition(">")[0]
    text = re.sub(ADDRESS, "", text.strip(" \t\r\n'\"="))
    text = re.sub(PARAMETERS, "", text.partition("@")[0])
    return re.sub(r"(?<=[0-9]{10})\.0+\Z", "", re.sub(EXTENSION, "", re.sub(LABEL, "", text)).strip())


def _refuse_nobody(bare: str, region: str) -> None:
    """Raises `NoCaller`."""
    letters = "".join(letter for letter in bare.casefold() if letter.isalpha())
    digits = "".join(letter for letter in bare if letter.isdecimal())
    if re.fullmatch(HASH, bare) or (not digits and re.fullmatch(NO_CALLER if letters else MASK, letters or bare)):
        raise NoCaller("not a telephone number")
    if letters or not digits or len(digits) > LONGEST_DIGITS:
        return
    core = digits.lstrip("0").removeprefix("1")
    spelled = core in SPELLED and (bare.startswith("+") or region in NORTH_AMERICA)
    if spelled or not core.strip("0") or not core.strip("1") or re.fullmatch(AREA_CODE, core):
        raise NoCaller("not a telephone number")


def _somebody(number: str) -> str:
    """Raises `NoCaller` for what is a number only by its form: 737 874 2833 is RESTRICTED, 999 999 9999 a key held."""
    national = number.removeprefix("+1")
    repeated = len(number) == 12 and national[0] != "8" and national == national[0] * 10
    if number[1:] in SPELLED or national in SPELLED or repeated:
        raise NoCaller("not a telephone number")
    return number


def _toll_free(bare: str, region: str) -> str:
    """A vanity number; empty if this is none."""
    word = bare.casefold().translate(PUNCTUATION)
    match = re.fullmatch(VANITY, word)
    letters = "".join(filter(str.isalpha, word))
    if match is None or not letters or re.fullmatch(MASKS, letters) or not (match[1] or region in NORTH_AMERICA):
        return ""
    number = f"+1{match[2]}{match[3].translate(KEYPAD)}"
    return number if NORTH_AMERICAN.fullmatch(number) else ""


def _dialed(bare: str, region: str) -> str:
    """Digits behind at most one plus sign, the country code once. Raises ValueError where anything else stands."""
    if not re.fullmatch(DIALED, bare):
        raise ValueError("not a telephone number")
    text = re.sub(r"[^\d+,]", "", bare.replace("\uff0b", "+"))
    head, plus, rest = text.rpartition("+")
    prefix = head.replace("+", "").lstrip("0")
    if prefix not in ("", "1", "11") and not (len(prefix) < 4 and rest.startswith(prefix)):
        raise ValueError("not a telephone number")
    if region in NORTH_AMERICA or plus:
        doubled = re.fullmatch(r"(?:00|011)?1?1([2-9][0-9]{9})", rest)
        if doubled:
            return f"+1{doubled[1]}"
        if rest.startswith("00"):
            return f"+{rest[2:]}"
    return f"{plus}{rest}"


def _parsed(text: str, region: str) -> str:
    """Raises ValueError."""
    import phonenumbers  # a tenth of a handler's start, and few callers need it

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise ValueError("not a telephone number")
    normalized = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if number.country_code == 1 and not NORTH_AMERICAN.fullmatch(normalized):
        raise ValueError("not a telephone number")
    return normalized
