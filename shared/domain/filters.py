"""Filters: what a buyer wants a lead to be, as an operator writes it and as a request tests it.

    state == TX                      a value, in quotes where it has spaces or signs: city != 'St. Paul'
    state in [TX, FL]                one of a list; also: state not in [TX, FL]
    age >= 25                        a number or a date, 1985-03-27; also: <, <=, >
    zip matches ^3                   a regular expression (RE2), found anywhere and case-sensitive: (?i) for both
    email exists
    states: TX, Florida              of state, by code or name; also: not states: TX
    zips: 303, 30340-30399, 90210    of zip: first digits, ranges, whole ZIP codes; also: not zips: 303
    area_codes: 614, 404-406         of caller_id; also: not area_codes: 614

Equal is without regard to case, and 25 equals 25.0. A number has no needless zero before it and no plus, so that 01001
and 1001 are two ZIP codes and 007 and 7 two traffic sources. A quote is doubled within its like: 'O''Hara'.

A filter on a value that is absent fails, whatever it asks for, and so does one on a value that is not of its kind: no
number for `age >= 25`, no ZIP code for `not zips`, no North American caller for `not area_codes`.
"""

import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from shared.domain.patterns import pattern
from shared.domain.states import STATE_CODES, US_STATES

MAX_ENTRIES = 10_000
MAX_PATTERN = 500
MAX_PROGRAM = 4000
MAX_SEARCHED = 2000
"""A search takes at most as many steps for each character as the pattern's program has instructions: some 30 ms for the
worst of both. A longer value matches nothing."""
MAX_NUMBER = len("-") + 18 + len(".") + 9
"""Characters of a number; ZIP codes and telephone numbers are shorter."""
SEARCHES_KEPT = 1024
"""How many searches are kept with what they found: one takes as long as all other filters of a buyer together, and many
buyers have the same patterns."""
KEPT = 256
"""How many values are kept as what filters compare: all buyers of a request meet the same few."""

Holds = Callable[[str], bool]
"""A test of a value that is there."""
Test = tuple[str, Holds]
"""The name of the value, and what it has to be."""

QUOTES = "'\""
# What only an operator's text needs is compiled when a text is read: publishers' functions start without it.
CURLY = "[‘’‚‛“”„‟«»]"
BARE = r"""[^\s,'"\[\]=<>!]+"""
QUOTED = r"""'(?:[^']|'')++'|"(?:[^"]|"")++\""""
VALUE = rf"{BARE}|{QUOTED}"
LIST = rf"\[\s*(?:{VALUE})(?:\s*,\s*(?:{VALUE}))*+\s*\]"
ENTRIES = {
    "zips": r"([0-9]{1,5})(?:\s*[-–]\s*([0-9]{1,5}))?",
    "area_codes": r"([2-9][0-9]{2})(?:\s*[-–]\s*([2-9][0-9]{2}))?",
}
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,9})?")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ZIP = re.compile(r"([0-9]{5})(?:-?[0-9]{4})?")
NANP = re.compile(r"\+1([0-9]{3})[0-9]{7}")

FORMS = (
    'must be a filter, like "state in [TX, FL]", "age >= 25", "zip matches ^3", "email exists" or '
    '"zips: 303, 30340-30399"'
)
VALUE_FORM = "must have one value after {}, like TX or, with spaces or signs, 'North Carolina'"
LIST_FORM = "must have a list after {}, like [TX, FL, 'North Carolina']"
BOUND_FORM = "must have a number or a date after {}, like 25, 100000.50 or 1985-03-27"
PATTERN_FORM = "must have a regular expression of RE2 after matches, like ^3"
ENTRY_FORMS = {
    "states": 'must be a list of US states, like "states: TX, FL"',
    "zips": 'must be a list of ZIP codes, their first digits or ranges of one length, like "zips: 303, 30340-30399"',
    "area_codes": 'must be a list of area codes or ranges, like "area_codes: 614, 404-406"',
}


class Filter(Struct, frozen=True, array_like=True):
    """One condition on the lead's value `name`. `operator` is one of `OPERATORS`; `operand` has the entries of a list,
    the one value of any other operator, nothing for `exists`."""

    name: str
    operator: "Sign"
    operand: tuple[str, ...] = ()


def read(text: str) -> Filter:
    """Raises ValueError with the form that it should have."""
    if short := re.fullmatch(SHORT_FORM, text.strip(), re.DOTALL):
        sign = " ".join(short["word"].split())
        return Filter(OPERATORS[sign].about, sign, OPERATORS[sign].operand.read(sign, short["operand"]))
    long = re.fullmatch(LONG_FORM, text.strip(), re.DOTALL)
    if not long or long["name"] == "not":
        raise ValueError(FORMS)
    sign = long["sign"] or " ".join(long["word"].split())
    try:
        return Filter(long["name"], sign, OPERATORS[sign].operand.read(sign, long["operand"]))
    except ValueError as wrong:
        hint = "; these are curly quotes, write straight ones" if re.search(CURLY, text) else ""
        raise ValueError(f"{wrong}{hint}") from None


def text(each: Filter) -> str:
    """As `read` reads it."""
    known = OPERATORS[each.operator]
    written = known.operand.write(each.operand)
    return f"{each.operator}: {written}" if known.about else f"{each.name} {each.operator} {written}".rstrip()


def test(each: Filter) -> Test:
    """The filter, ready to be asked of many leads. Whatever the values are, it answers and does not raise."""
    return each.name, OPERATORS[each.operator].holds(each.operand)


def first_failed(tests: Sequence[Test], lead: Mapping[str, str]) -> int | None:
    """The place of the first that does not hold, which is the reason; None if all do."""
    for place, (name, holds) in enumerate(tests):
        value = lead.get(name)
        if value is None or not holds(value):
            return place
    return None


def value_of(each: Filter, lead: Mapping[str, str]) -> str | None:
    """What the filter looked at; None is absent."""
    value = lead.get(each.name)
    if value is None or each.operator not in ("area_codes", "not area_codes"):
        return value
    return _area_code(value) if len(value) <= MAX_NUMBER else None


def _nothing(_: str, rest: str) -> tuple[str, ...]:
    if rest:
        raise ValueError('must have nothing after exists, like "email exists"')
    return ()


def _value(sign: str, rest: str) -> tuple[str, ...]:
    if not re.fullmatch(VALUE, rest):
        raise ValueError(VALUE_FORM.format(sign))
    return (_unquoted(rest),)


def _values(sign: str, rest: str) -> tuple[str, ...]:
    if not re.fullmatch(LIST, rest):
        raise ValueError(LIST_FORM.format(sign))
    return _distinct([_unquoted(value) for value in re.findall(VALUE, rest)])


def _bound(sign: str, rest: str) -> tuple[str, ...]:
    value = _unquoted(rest) if re.fullmatch(VALUE, rest) else ""
    if not NUMBER.fullmatch(value) and not _is_date(value):
        raise ValueError(BOUND_FORM.format(sign))
    return (value,)


def _expression(_: str, rest: str) -> tuple[str, ...]:
    if not rest or (rest[0] in QUOTES and not re.fullmatch(VALUE, rest)):
        raise ValueError(PATTERN_FORM)
    expression = _unquoted(rest)
    if len(expression) > MAX_PATTERN:
        raise ValueError(f"{PATTERN_FORM}, of at most {MAX_PATTERN} characters")
    try:
        compiled: Any = pattern(expression)
    except ValueError:
        raise ValueError(PATTERN_FORM) from None
    if compiled.programsize > MAX_PROGRAM:
        raise ValueError(f"{PATTERN_FORM}, without great repetitions like x{{1000}}")
    return (expression,)


def _entries(sign: str, rest: str) -> tuple[str, ...]:
    kind = sign.removeprefix("not ")
    return _distinct([_entry(kind, entry.strip()) for entry in rest.split(",")])


def _entry(kind: str, entry: str) -> str:
    if kind == "states":
        code = US_STATES.get(entry.casefold(), entry.upper())
        if code not in STATE_CODES:
            raise ValueError(ENTRY_FORMS[kind])
        return code
    ends = re.fullmatch(ENTRIES[kind], entry)
    if not ends or (ends[2] and not (len(ends[1]) == len(ends[2]) and ends[1] < ends[2])):
        raise ValueError(ENTRY_FORMS[kind])
    return f"{ends[1]}-{ends[2]}" if ends[2] else ends[1]


def _distinct(entries: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(entries))
    if len(found) > MAX_ENTRIES:
        raise ValueError(f"must be a list of at most {MAX_ENTRIES} entries")
    return found


def _is_date(value: str) -> bool:
    try:
        return bool(DATE.fullmatch(value) and date.fromisoformat(value))
    except ValueError:
        return False


def _written_value(operand: Sequence[str]) -> str:
    return operand[0] if re.fullmatch(BARE, operand[0]) else _quoted(operand[0])


def _written_values(operand: Sequence[str]) -> str:
    return f"[{', '.join(_written_value([value]) for value in operand)}]"


def _written_expression(operand: Sequence[str]) -> str:
    plain = operand[0] == operand[0].strip() and operand[0][0] not in QUOTES
    return operand[0] if plain else _quoted(operand[0])


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _unquoted(value: str) -> str:
    quote = value[0]
    return value[1:-1].replace(quote * 2, quote) if quote in QUOTES else value


def _found(operand: Sequence[str]) -> Holds:
    compiled = pattern(operand[0])
    return lambda value: len(value) <= MAX_SEARCHED and _is_in(compiled, value)


@lru_cache(SEARCHES_KEPT)
def _is_in(compiled: Any, value: str) -> bool:
    # bytes: half of a surrogate pair, which JSON can carry, has no UTF-8
    return compiled.search(value.encode(errors="replace")) is not None


def _ordered(operand: Sequence[str], compare: Callable[[Any, Any], bool]) -> Holds:
    bound = operand[0]
    if DATE.fullmatch(bound):
        return lambda value: DATE.fullmatch(value) is not None and compare(value, bound)
    number = Decimal(bound)

    def holds(value: str) -> bool:
        return len(value) <= MAX_NUMBER and (sent := _number(value)) is not None and compare(sent, number)

    return holds


def _state(operand: Collection[str], negative: bool) -> Holds:
    codes = STATE_CODES - {*operand} if negative else {*operand}
    spellings = {code.casefold() for code in codes} | {name for name, code in US_STATES.items() if code in codes}
    longest = max(map(len, spellings), default=0)
    return lambda value: len(value) <= longest and value.casefold() in spellings


def _within(operand: Collection[str], digits: Callable[[str], str | None], negative: bool) -> Holds:
    """The digits of the value are within one of the entries, or, `negative`, in none."""
    bounds = _bounds(operand)

    def holds(value: str) -> bool:
        found = digits(value) if len(value) <= MAX_NUMBER else None
        return found is not None and bisect_right(bounds, found) % 2 != negative

    return holds


def _bounds(entries: Iterable[str]) -> list[str]:
    """Where digits begin to be within an entry and where they cease to, in turns. As text: 303 ceases at 304."""
    spans = [(first, last or first) for first, _, last in (entry.partition("-") for entry in entries)]
    bounds: list[str] = []
    for first, last in sorted(spans):
        end = last[:-1] + chr(ord(last[-1]) + 1)
        if bounds and first <= bounds[-1]:
            bounds[-1] = max(bounds[-1], end)
        else:
            bounds += [first, end]
    return bounds


def _equal(operand: Collection[str], negative: bool) -> Holds:
    keys = frozenset(map(_key, operand))
    longest = max(MAX_NUMBER, *map(len, keys))  # a longer value is none of them; to fold it would take long
    if negative:
        return lambda value: len(value) > longest or _key(value) not in keys
    return lambda value: len(value) <= longest and _key(value) in keys


@lru_cache(KEPT)
def _key(value: str) -> str:
    """The same for all values that are equal."""
    if "." in value and NUMBER.fullmatch(value):
        value = value.rstrip("0").removesuffix(".")
    return "0" if value == "-0" else value.casefold()


@lru_cache(KEPT)
def _number(value: str) -> Decimal | None:
    return Decimal(value) if NUMBER.fullmatch(value) else None


@lru_cache(KEPT)
def _zip(value: str) -> str | None:
    return found[1] if (found := ZIP.fullmatch(value)) else None


@lru_cache(KEPT)
def _area_code(value: str) -> str | None:
    return found[1] if (found := NANP.fullmatch(value)) else None


class Operand(Struct, frozen=True):
    """How what stands after an operator is read, which is given the operator for its message, and written."""

    read: Callable[[str, str], tuple[str, ...]]
    write: Callable[[Sequence[str]], str]


NOTHING = Operand(_nothing, "".join)
ONE_VALUE = Operand(_value, _written_value)
SEVERAL_VALUES = Operand(_values, _written_values)
BOUND = Operand(_bound, _written_value)
EXPRESSION = Operand(_expression, _written_expression)
ENTRY_LIST = Operand(_entries, ", ".join)


class Operator(Struct, frozen=True):
    """`holds` makes the test of an operand ready. A short list is `about` a value of its own, and its name is first."""

    operand: Operand
    holds: Callable[[tuple[str, ...]], Holds]
    about: str = ""


OPERATORS = {
    "==": Operator(ONE_VALUE, partial(_equal, negative=False)),
    "!=": Operator(ONE_VALUE, partial(_equal, negative=True)),
    "in": Operator(SEVERAL_VALUES, partial(_equal, negative=False)),
    "not in": Operator(SEVERAL_VALUES, partial(_equal, negative=True)),
    "<": Operator(BOUND, partial(_ordered, compare=operator.lt)),
    "<=": Operator(BOUND, partial(_ordered, compare=operator.le)),
    ">": Operator(BOUND, partial(_ordered, compare=operator.gt)),
    ">=": Operator(BOUND, partial(_ordered, compare=operator.ge)),
    "matches": Operator(EXPRESSION, _found),
    "exists": Operator(NOTHING, lambda _: lambda _: True),
    "states": Operator(ENTRY_LIST, partial(_state, negative=False), about="state"),
    "not states": Operator(ENTRY_LIST, partial(_state, negative=True), about="state"),
    "zips": Operator(ENTRY_LIST, partial(_within, digits=_zip, negative=False), about="zip"),
    "not zips": Operator(ENTRY_LIST, partial(_within, digits=_zip, negative=True), about="zip"),
    "area_codes": Operator(ENTRY_LIST, partial(_within, digits=_area_code, negative=False), about="caller_id"),
    "not area_codes": Operator(ENTRY_LIST, partial(_within, digits=_area_code, negative=True), about="caller_id"),
}
"""Every operator: how its operand is read and written, and its test."""
if TYPE_CHECKING:
    Sign = str
else:
    Sign = Literal[tuple(OPERATORS)]


def _one_of(signs: Iterable[str]) -> str:
    """The longest that fits, with any spaces inside."""
    longest_first = sorted(signs, key=len, reverse=True)
    return "|".join(r"\s+".join(map(re.escape, sign.split())) for sign in longest_first)


WORDS = [sign for sign, known in OPERATORS.items() if not known.about and sign[-1].isalpha()]
SIGNS = [sign for sign in OPERATORS if not sign[-1].isalpha()]
LONG_FORM = (
    r"(?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,63})"
    rf"(?:\s*(?P<sign>{_one_of(SIGNS)})|\s+(?P<word>{_one_of(WORDS)})(?![A-Za-z0-9_.-]))\s*(?P<operand>.*)"
)
SHORT_FORM = rf"(?P<word>{_one_of(sign for sign, known in OPERATORS.items() if known.about)})\s*:\s*(?P<operand>.*)"
