"""Values as forms and programs write them: what counts as none, numbers, ZIP codes, truth values and dates.

What is ambiguous is not guessed: it is a ValueError, as is all else that cannot be read. Patterns here are texts: `re`
compiles each for the first who needs it, and keeps it.
"""

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from itertools import groupby

LONGEST = 100
LONGEST_MARKS = 30
"""More marks than this on one letter are no writing: https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format."""

NOTHING = {
    "null", "undefined", "none", "nan", "nil", "n/a", "n.a", "#n/a", "na", "not applicable", "not available", "unknown",
    "not provided", "not specified", "unspecified", "nothing", "empty", "blank", "object object", "invalid date",
    "no value", "no answer", "no selection", "tbd", "0000-00-00", "00/00/0000", "0000-00-00 00:00:00", "\\n",
    "mm/dd/yyyy", "m/d/yyyy", "dd/mm/yyyy", "yyyy-mm-dd", "mm-dd-yyyy", "mm/dd/yy",
}  # fmt: skip
PLACEHOLDER = (
    r"(?!.?[0-9A-Fa-f-]{32,36}.?\Z)(?:"  # an id in braces is one
    r"\[{1,2}[^\[\]\"]*[A-Za-z][^\[\]\"]*\]{1,2}|[#$]?\{{1,3}[^{}\":]*[A-Za-z][^{}\":]*\}{1,3}"
    r"|<{1,2}[^<>]*[A-Za-z][^<>]*>{1,2}|%{1,2}[A-Za-z_][\w. -]*%{1,2}|\*\|[\w. -]+\|\*|#{1,2}[A-Za-z_][\w.-]*#{1,2}"
    r"|__[A-Za-z][\w.-]*__|[$@:][A-Za-z_]{2}[\w.-]*)"
)
OPENED_BY = "[{<%*#_$@:"
UNTOUCHED = ("select", "choose", "pick")
"""How the label of a choice begins that nobody has made."""
AROUND = " -.,:;()<>[]{}*/$?#%_=!\"'\u2013\u2014\u2026"

MONEY = r"(?i)([+-]?)(?:us)?\$ ?([+-]?)|([+-]?)usd ?([+-]?)"
NUMBER = (
    r"([+-]?)([0-9]{1,18}|[0-9]{1,3}(?:(?:,[0-9]{3}){1,5}|(?:[ \u00a0\u2009\u202f][0-9]{3}){1,5}))?(?:\.([0-9]{0,9}))?"
)
ZIP = r"(?i)(?:us[ -]?)?([0-9]{5})(?:\.0{1,2}|[ -]{0,3}(?:[0-9]{4})?|[ -]{1,3}[_x*#]{4})"
DASHES = "[\u2010-\u2015\u2212]"

TRUE = {"true", "yes", "y", "t", "1", "on", "checked"}
FALSE = {"false", "no", "n", "f", "0", "off", "unchecked"}

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
          "december")  # fmt: skip
UNCLEAR_YEARS = range(30, 40)
TIME = (
    r"(?i)(?:[T ,]{1,2}[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?[AP]\.?M\.?)?|T[0-9]{6}|(?=Z|[+-]00:))"
    r" ?(?:Z|UTC|GMT)? ?(?:[+-][0-9]{2}:?[0-9]{2})?(?: \([A-Za-z ]{1,40}\))?\Z"
)
WEEKDAY = r"(?i)\A(?:mon|tues?|wed(?:nes)?|thur?s?|fri|sat(?:ur)?|sun)(?:day)?\.?,? "
YEAR_FIRST = r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})"
YEAR_LAST = r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})"
COMPACT = r"[0-9]{8}"
NAMED = (
    r"(?i)(?:(?P<month>[a-z]{3,9})\.?[ -]?(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?,?[ -](?P<year>[0-9]{4}|'?[0-9]{2})"
    r"|(?P<day2>[0-9]{1,2})(?:st|nd|rd|th)?[ -]?(?:of )?(?P<month2>[a-z]{3,9})\.?,?[ -]?(?P<year2>[0-9]{4}|'?[0-9]{2})"
    r"|(?P<year3>[0-9]{4})[ -](?P<month3>[a-z]{3,9})\.?[ -](?P<day3>[0-9]{1,2}))"
)
COMPACT_YEARS = range(1900, 2100)


def is_nothing(text: str) -> bool:
    """Whether this is what programs and forms write where nobody has said anything."""
    if len(text) > LONGEST:
        return False
    words = re.sub(r"[\s_]+", " ", text.casefold()).strip(AROUND)
    if not words or words in NOTHING or words.removeprefix("please ").partition(" ")[0].rstrip(":") in UNTOUCHED:
        return True
    return text[0] in OPENED_BY and re.fullmatch(PLACEHOLDER, text) is not None


def compose(text: str) -> str:
    """With letters and their marks as one character each (NFC), however the sender's keyboard has put them."""
    if text.isascii():
        return text
    marks = (len(list(run)) for is_mark, run in groupby(map(unicodedata.combining, text), bool) if is_mark)
    return text if max(marks, default=0) > LONGEST_MARKS else unicodedata.normalize("NFC", text)


def number(text: str) -> str:
    """A plain decimal number: of `$1,100.50` it is 1100.50."""
    plain, minus = text.strip(), ""
    if money := re.match(MONEY, plain):
        minus, plain = "".join(filter(None, money.groups())), plain[money.end() :]
        if len(minus) > 1 or plain[:1] in ("+", "-"):
            raise ValueError
    else:
        plain = re.sub(r"(?<=[0-9.]) ?(?:usd|us\$|\$|dollars?)\Z", "", plain, flags=re.IGNORECASE)
    match = re.fullmatch(NUMBER, plain)
    if match is None or not (match[2] or match[3]):
        raise ValueError
    whole = re.sub("[^0-9]", "", match[2] or "0")
    if whole != match[2] and match[2] and match[2][0] == "0":
        raise ValueError  # no group of thousands begins with a zero
    sign = "-" if "-" in (match[1], minus) else ""
    return f"{sign}{whole}{'.' if match[3] else ''}{match[3] or ''}"


def us_zip(text: str) -> str:
    """The five digits. A lost leading zero is not guessed."""
    match = re.fullmatch(ZIP, re.sub(DASHES, "-", text).strip(" \"'="))
    if match is None:
        raise ValueError
    return match[1]


def boolean(text: str) -> bool:
    word = text.casefold().strip(" .,!;\"'")
    if word.removesuffix(".0") in TRUE | FALSE:
        return word.removesuffix(".0") in TRUE
    raise ValueError


def day(text: str) -> date:
    """The day of a date, whatever its time and zone say. Where day and month, or the century, could be meant otherwise
    there is none; but of 03/04/1985 the month comes first, as posting instructions say."""
    if len(text) > LONGEST:
        raise ValueError
    plain = re.sub(WEEKDAY, "", re.sub(DASHES, "-", " ".join(text.split())))
    plain = plain[: time.start()] if (time := re.search(TIME, plain)) else plain
    if match := re.fullmatch(YEAR_FIRST, plain):
        return date(int(match[1]), int(match[3]), int(match[4]))
    if match := re.fullmatch(YEAR_LAST, plain):
        return _year_last(match[1], match[3], match[4], match[2])
    if re.fullmatch(COMPACT, plain):
        year, first, second = plain[4:], plain[:2], plain[2:4]
        orders = ((plain[:4], plain[4:6], plain[6:]), (year, first, second), (year, second, first))
        return _only(order for order in orders if int(order[0]) in COMPACT_YEARS)
    if match := re.fullmatch(NAMED, plain):
        found = {name.rstrip("23"): value for name, value in match.groupdict().items() if value}
        return date(_year(found["year"].strip("'")), _month(found["month"]), int(found["day"]))
    raise ValueError


def _year_last(first: str, second: str, year: str, separator: str) -> date:
    month_first, day_first = (year, first, second), (year, second, first)
    if len(year) == 4 and separator == "/":
        return _only([month_first if int(first) <= len(MONTHS) else day_first])
    return _only((month_first, day_first, *([(first, second, year)] if len(year) == len(first) == 2 else [])))


def _only(orders: Iterable[tuple[str, str, str]]) -> date:
    """The one day that these years, months and days can mean."""
    days = set()
    for year, month, day_of_month in orders:
        with suppress(ValueError):
            days.add(date(_year(year), int(month), int(day_of_month)))
    if len(days) != 1:
        raise ValueError
    return days.pop()


def _year(text: str) -> int:
    """Of two digits the one that people alive would mean; in the thirties nobody knows which."""
    year = int(text)
    if len(text) > 2:
        return year
    if year in UNCLEAR_YEARS:
        raise ValueError
    return year + (2000 if year < UNCLEAR_YEARS.start else 1900)


def _month(word: str) -> int:
    return next((at for at, name in enumerate(MONTHS, 1) if name.startswith(word.casefold())), 0)
