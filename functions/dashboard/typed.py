"""What people type into a form, as the configuration writes it. What cannot be read stays as it was typed, so that the
rule about it says what would be right."""

import re
from collections.abc import Callable, Iterator

from shared.domain import filters, phone, schedule, values

HALF_DAY, WHOLE_DAY = 12 * 60, 24 * 60
LONGEST = 1000
"""What is longer is no slip of a pen."""
SIDES = re.compile(
    r"\s+(?:-|–|—|to|until|through)\s+|\s*[–—]\s*|(?<=\d)\s*-\s*(?=[+(])|(?<=\d{10})-(?=\d{10})", re.IGNORECASE
)
"""Between the first and the last number of a range."""
EXAMPLE = re.compile(r"(?:\+?1[ .-]?)?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}")
AMOUNT = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?")
DOLLARS = re.compile(r"(-?)(?:\$|USD) ?(-?.+)|(.+?) ?(?:USD|dollars?)", re.IGNORECASE)
PERCENT = re.compile(r"(.+?) ?(?:%|percent)", re.IGNORECASE)
TIME = re.compile(r"(noon|midnight)|([0-9]{1,2})(?:[:.]?([0-5][0-9]))?\s*(?:([ap])(?:\.?m?\.?)?)?", re.IGNORECASE)
SPAN = re.compile(r"(?:from\s+)?(.+?)\s*(?:-|–|—|to|until|till)\s*(.+)", re.IGNORECASE)
ALL_DAY = re.compile(r"(?:open\s+)?(?:24\s*(?:h|hours?|hrs?)|24/7|all\s+day)", re.IGNORECASE)
CLOSED = re.compile(r"closed|none|-|–", re.IGNORECASE)
BETWEEN_SPANS = re.compile(r" ?(?:[,;&+]|\band\b) ?", re.IGNORECASE)
DAY_AND_MONTH = re.compile(r"(?<![0-9])([0-9]{1,2})/([0-9]{1,2})/[0-9]{4}")
QUOTES = str.maketrans("‘’“”", "''\"\"")
SIGNS = {"=": "==", "===": "==", "≠": "!=", "<>": "!=", "≥": ">=", "=>": ">=", "≤": "<=", "=<": "<=",
         "is": "==", "equals": "==", "is not": "!="}  # fmt: skip
NAME = r"([A-Za-z_][A-Za-z0-9_.-]*)"
SIGNED = re.compile(
    rf"{NAME}\s*(===|=>|=<|<>|[≠≥≤]|(?<![=!<>])=(?![=<>])|\bis\s+not\b|\bis\b|\bequals\b)\s*(.+)",
    re.IGNORECASE | re.DOTALL,
)
COMPARED = re.compile("[=<>≠≥≤]")
"""What stands in a second condition, and hardly in a value."""
LISTED = re.compile(rf"{NAME}\s+((?:not\s+)?in)\s*[\[(]?\s*(.+?)\s*[\])]?", re.IGNORECASE | re.DOTALL)


def number(text: str) -> str:
    """(800) 555-0203 is +18005550203."""
    try:
        return phone.e164(text, "US")
    except ValueError:
        return text


def numbers(text: str) -> str:
    """A number, or the first and the last of a range: (800) 555-0100 to (800) 555-0149."""
    return "-".join(number(side) for side in SIDES.split(text, maxsplit=1))


def whole_number(text: str) -> str:
    """1,500 is 1500."""
    return text.replace(",", "") if text and AMOUNT.fullmatch(text) else text


def dollars(text: str) -> str:
    """$1,500.00 is 1500.00."""
    found = DOLLARS.fullmatch(text)
    bare = f"{found[1] or ''}{found[2] or found[3]}".strip() if found else text
    read = re.sub(r"^(-?)\.", r"\g<1>0.", whole_number(bare))
    return read if AMOUNT.fullmatch(bare) else text


def percent(text: str) -> str:
    """20 % is 20."""
    found = PERCENT.fullmatch(text)
    return whole_number(found[1]) if found and AMOUNT.fullmatch(found[1]) else whole_number(text)


def hours(text: str) -> list[str]:
    """9am-5pm is 09:00-17:00, and closed is no hours."""
    spans = [part for part in BETWEEN_SPANS.split(" ".join(text.replace("\n", ",").split())) if part]
    if len(spans) == 1 and CLOSED.fullmatch(spans[0]):
        return []
    return [_span(part) if len(part) <= LONGEST else part for part in spans]


def day(text: str) -> str:
    """12/25/2026 and Dec 25, 2026 are 2026-12-25. 6/2/2026 could be two days, and stays."""
    try:
        found = values.day(text)
    except ValueError:
        return text
    slashed = DAY_AND_MONTH.search(text)
    unclear = slashed and found.day <= len(values.MONTHS) and int(slashed[1]) != int(slashed[2])
    return text if unclear else found.isoformat()


def condition(text: str) -> str:
    """state = TX is state == TX; state in (TX, FL) is state in [TX, FL]."""
    return next((each for each in _conditions(text) if _is_filter(each)), text)


def _conditions(text: str) -> Iterator[str]:
    """What it may mean, the most literal first."""
    straight = text.translate(QUOTES).strip()
    yield text
    yield straight
    if found := SIGNED.fullmatch(straight):
        left = f"{found[1]} {SIGNS[' '.join(found[2].lower().split())]}"
        yield f"{left} {found[3]}"
        if not COMPARED.search(found[3]):
            yield f"{left} {_quoted(found[3])}"
    if found := LISTED.fullmatch(straight):
        values = [value.strip() for value in found[3].split(",")]
        listed = [value if re.fullmatch(filters.VALUE, value) else _quoted(value) for value in values if value]
        yield f"{found[1]} {' '.join(found[2].lower().split())} [{', '.join(listed)}]"


def _quoted(value: str) -> str:
    doubled = value.strip().replace("'", "''")
    return f"'{doubled}'"


def _is_filter(text: str) -> bool:
    try:
        filters.read(text)
    except ValueError:
        return False
    return True


def _span(text: str) -> str:
    try:
        schedule.read_rows([text])
    except ValueError:
        pass
    else:
        return text
    if ALL_DAY.fullmatch(text):
        return "00:00-24:00"
    try:
        first, last = _times(text)
    except ValueError:
        return text
    return f"{_clock(first)}-{_clock(last)}"


def _times(text: str) -> tuple[int, int]:
    """Minutes of the day. Where only one side says am or pm, the other is what makes the shorter span; where neither
    does, it is a clock of 24 hours. Raises ValueError."""
    found = SPAN.fullmatch(text)
    if not found:
        raise ValueError("no span")
    (first, first_half), (last, last_half) = _time(found[1]), _time(found[2])
    if not first_half and not last_half and first >= last:
        raise ValueError("9-5 could be nine to five or overnight")
    if last_half and not first_half:
        first = max(_either(first), key=lambda minute: (minute < (last or WHOLE_DAY), minute))
    if first_half and not last_half:
        last = min(_either(last), key=lambda minute: (minute - first - 1) % WHOLE_DAY)
    return first, last or WHOLE_DAY


def _time(text: str) -> tuple[int, bool]:
    """The minute of the day, and whether it is said which half of the day it is in. Raises ValueError."""
    found = TIME.fullmatch(text.strip())
    if not found:
        raise ValueError("no time")
    word, half = (found[1] or "").lower(), (found[4] or "").lower()
    if word:
        return (HALF_DAY if word == "noon" else 0), True
    hour = int(found[2])
    if hour > 24 or (half and not 1 <= hour <= 12):
        raise ValueError("no such hour")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return hour * 60 + int(found[3] or 0), bool(half) or hour > 12


def _either(minute: int) -> tuple[int, int]:
    """In the morning and in the evening."""
    return minute % HALF_DAY, minute % HALF_DAY + HALF_DAY


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def example(text: str) -> str:
    """Of a contact field: what is written like a telephone number is one."""
    return number(text) if EXAMPLE.fullmatch(text) else text


READERS: dict[str, Callable[[str], str]] = {
    "number": number,
    "numbers": numbers,
    "whole": whole_number,
    "dollars": dollars,
    "percent": percent,
    "date": day,
    "filter": condition,
    "example": example,
}


def read(kind: str, text: str) -> str:
    return READERS[kind](text) if len(text) <= LONGEST else text
