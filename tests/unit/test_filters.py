"""Filters: how an operator writes them, which leads they want, and that no value can break or hold a request."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from time import process_time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import filters
from shared.domain.filters import Filter
from shared.domain.models import Lead
from shared.domain.states import US_STATES

FORM = "must be a filter, like "
VALUE = "must have one value after "
BOUND = "must have a number or a date after "
LIST = "must have a list after "
PATTERN = "must have a regular expression of RE2 after matches"
STATES = "must be a list of US states, like "
ZIPS = "must be a list of ZIP codes, "
AREA_CODES = "must be a list of area codes or ranges, "


def holds(text: str, **lead: str) -> bool:
    return filters.first_failed([filters.test(filters.read(text))], Lead(lead)) is None


@pytest.mark.parametrize(
    ("written", "read", "canonical"),
    [
        ("state == TX", Filter("state", "==", ("TX",)), "state == TX"),
        ("  state=='TX' ", Filter("state", "==", ("TX",)), "state == TX"),
        ('city != "St. Paul"', Filter("city", "!=", ("St. Paul",)), "city != 'St. Paul'"),
        ("name == 'O''Hara'", Filter("name", "==", ("O'Hara",)), "name == 'O''Hara'"),
        ('name == "O\'Hara"', Filter("name", "==", ("O'Hara",)), "name == 'O''Hara'"),
        ('name == "a ""b"""', Filter("name", "==", ('a "b"',)), "name == 'a \"b\"'"),
        ("source == '='", Filter("source", "==", ("=",)), "source == '='"),
        ("email == name@example.com", Filter("email", "==", ("name@example.com",)), "email == name@example.com"),
        ("state in [TX, FL, GA]", Filter("state", "in", ("TX", "FL", "GA")), "state in [TX, FL, GA]"),
        ("state in[ TX ,FL,TX ]", Filter("state", "in", ("TX", "FL")), "state in [TX, FL]"),
        ("zip not  in [30340]", Filter("zip", "not in", ("30340",)), "zip not in [30340]"),
        ("city in [Atlanta, 'Paris, TX', ']']", Filter("city", "in", ("Atlanta", "Paris, TX", "]")),
         "city in [Atlanta, 'Paris, TX', ']']"),
        ("age >= 25", Filter("age", ">=", ("25",)), "age >= 25"),
        ("age>25", Filter("age", ">", ("25",)), "age > 25"),
        ("income < 100000.50", Filter("income", "<", ("100000.50",)), "income < 100000.50"),
        ("delta <= -0.5", Filter("delta", "<=", ("-0.5",)), "delta <= -0.5"),
        ("born < '1985-03-27'", Filter("born", "<", ("1985-03-27",)), "born < 1985-03-27"),
        ("zip matches ^3", Filter("zip", "matches", ("^3",)), "zip matches ^3"),
        ("note matches (?i)any [a-z]+, 'now'", Filter("note", "matches", ("(?i)any [a-z]+, 'now'",)),
         "note matches (?i)any [a-z]+, 'now'"),
        ("note matches ' x '", Filter("note", "matches", (" x ",)), "note matches ' x '"),
        ("note matches '''x'", Filter("note", "matches", ("'x",)), "note matches '''x'"),
        ('note matches "a b"', Filter("note", "matches", ("a b",)), "note matches a b"),
        ("email exists", Filter("email", "exists"), "email exists"),
        ("states: tx, Florida", Filter("state", "states", ("TX", "FL")), "states: TX, FL"),
        ("not states: NY", Filter("state", "not states", ("NY",)), "not states: NY"),
        ("not  states :north carolina", Filter("state", "not states", ("NC",)), "not states: NC"),
        ("zips: 303, 30340 – 30399,90210", Filter("zip", "zips", ("303", "30340-30399", "90210")),
         "zips: 303, 30340-30399, 90210"),
        ("not zips: 0-1", Filter("zip", "not zips", ("0-1",)), "not zips: 0-1"),
        ("area_codes: 614, 404-406", Filter("caller_id", "area_codes", ("614", "404-406")), "area_codes: 614, 404-406"),
        ("not area_codes: 614", Filter("caller_id", "not area_codes", ("614",)), "not area_codes: 614"),
        ("states == many", Filter("states", "==", ("many",)), "states == many"),
        ("in in [in]", Filter("in", "in", ("in",)), "in in [in]"),
    ],
)  # fmt: skip
def test_a_filter_is_read_and_written_in_one_spelling(written: str, read: Filter, canonical: str) -> None:
    assert filters.read(written) == read
    assert filters.text(read) == canonical
    assert filters.read(canonical) == read


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("", FORM),
        ("state", FORM),
        ("state = TX", FORM),
        ("state TX", FORM),
        ("state is TX", FORM),
        ("state inside [TX]", FORM),
        ("not in [TX]", FORM),
        ("1st == x", FORM),
        ("first name == x", FORM),
        (f"{'x' * 65} == y", FORM),
        ("state: TX", FORM),
        ("age => 25", FORM),
        ("state ==", VALUE),
        ("state == ''", VALUE),
        ("state == North Carolina", VALUE),
        ("state == 'North Carolina", VALUE),
        ("state == TX and age > 25", VALUE),
        ("state === TX", VALUE),
        ("state == [TX]", VALUE),
        ("state != TX, FL", VALUE),
        ("age > ", BOUND),
        ("age > old", BOUND),
        ("age > 025", BOUND),
        ("age > +25", BOUND),
        ("age > 1e5", BOUND),
        ("age > NaN", BOUND),
        ("age > 100,000", BOUND),
        ("age <> 25", BOUND),
        ("age < ٢٥", BOUND),
        (f"age < {'9' * 19}", BOUND),
        ("born > 1985-02-30", BOUND),
        ("born > 03/27/1985", BOUND),
        ("state in TX, FL", LIST),
        ("state in []", LIST),
        ("state in [TX,]", LIST),
        ("state in [TX FL]", LIST),
        ("state in [TX, [FL]]", LIST),
        ("state in ['TX, FL]", LIST),
        ("state not in TX", LIST),
        (f"zip in [{', '.join(map(str, range(10_001)))}]", "must be a list of at most 10000 entries"),
        ("zip matches", PATTERN),
        ("zip matches ''", PATTERN),
        ("zip matches '3", PATTERN),
        ("zip matches '3' or 4", PATTERN),
        ("zip matches (", PATTERN),
        (r"zip matches (a)\1", PATTERN),
        ("zip matches (?=3)", PATTERN),
        ("zip matches \ud800", PATTERN),
        (f"zip matches {'a' * 501}", f"{PATTERN}, like ^3, of at most 500 characters"),
        ("zip matches a.{900}b", f"{PATTERN}, like ^3, without great repetitions like x{{1000}}"),
        ("email exists now", "must have nothing after exists, "),
        ("states:", STATES),
        ("states: [TX]", STATES),
        ("states: TX FL", STATES),
        ("states: TX, Ontario", STATES),
        ("zips: 303401", ZIPS),
        ("zips: 30340-1234", ZIPS),
        ("zips: 303-30340", ZIPS),
        ("zips: 30399-30340", ZIPS),
        ("zips: 303-303", ZIPS),
        ("zips: 303, ,304", ZIPS),
        ("zips: GA", ZIPS),
        ("zips: ٣٠٣", ZIPS),
        ("area_codes: 61", AREA_CODES),
        ("area_codes: 114", AREA_CODES),
        ("area_codes: 6145", AREA_CODES),
        ("area_codes: 406-404", AREA_CODES),
        ("area_codes: 404-40", AREA_CODES),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused_with_the_form_that_it_should_have(written: str, form: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as refused:
        filters.read(written)
    assert str(refused.value).startswith(form)


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("value == TX", ["TX", "tx"], ["FL", "TXX", ""]),
        ("value == 'North Carolina'", ["north carolina", "NORTH CAROLINA"], ["North  Carolina"]),
        ("value == straße", ["STRASSE", "Straße"], ["strase"]),
        (f"value == {'İ' * 20}", ["i̇" * 20], ["i" * 20]),
        ("value == 25", ["25", "25.0", "25.000000000"], ["025", "+25", "25.", "25.1", "2.5", "250", "25 "]),
        ("value == 25.50", ["25.5", "25.50"], ["25.05", "25"]),
        ("value == 0", ["0", "-0", "0.0", "-0.00"], ["00", ".0", "-"]),
        ("value == 100", ["100", "100.0"], ["1", "10", "1e2"]),
        ("value == 01001", ["01001"], ["1001", "01001.0"]),
        ("value == 007", ["007"], ["7"]),
        ("value == true", ["true", "True"], ["1", "yes"]),
        ("value != full", ["liability", "", "x" * 100_000], ["full", "FULL"]),
        ("value != 0.10", ["0.01", "1"], ["0.1", "0.100"]),
        ("value in [TX, 25]", ["tx", "25.0"], ["FL", "TX, 25"]),
        ("value not in [TX, 25]", ["FL", "26"], ["TX", "25.0"]),
        ("value < 25", ["24.999999999", "-1000", "0"], ["25", "25.0", "100", "abc", "", "NaN", "-inf", "1e1", "0x1"]),
        ("value <= 25", ["25", "25.0"], ["25.000000001"]),
        ("value > 25", ["100", "25.000000001"], ["25", "9", "٩٩", "1_000", "9" * 19, "1985-03-27"]),
        ("value >= -0.5", ["-0.5", "0"], ["-0.500000001", "-1"]),
        ("value >= 0.1", ["0.1", "0.100"], ["0.099999999"]),
        ("value < 999999999999999999.000000001", ["999999999999999999", "1"], ["999999999999999999.000000001"]),
        ("value > 1985-03-27", ["1985-03-28", "2000-01-01"], ["1985-03-27", "9", "soon", "1985-03-28T", "９985-01-01"]),
        ("value <= 1985-03-27", ["1985-03-27", "0001-01-01"], ["1985-03-28", "03/27/1984", ""]),
        ("value matches ^3", ["30340", "3"], ["13", "", "x" * 5000]),
        ("value matches 03", ["30340"], ["30"]),
        ("value matches ^[A-Z]{2}$", ["TX"], ["tx", "TX\n", "TXX"]),
        ("value matches '(?i)state farm'", ["a STATE FARM b"], ["statefarm"]),
        ("value matches é", ["né"], ["ne", "\ud800", "\udce9"]),
        ("value exists", ["x", "0", "false"], []),
    ],
)  # fmt: skip
def test_which_values_a_filter_wants(text: str, wanted: list[str], unwanted: list[str]) -> None:
    assert [value for value in wanted if not holds(text, value=value)] == []
    assert [value for value in unwanted if holds(text, value=value)] == []


@pytest.mark.parametrize(
    ("text", "name", "wanted", "unwanted"),
    [
        ("states: TX, North Carolina", "state", ["TX", "tx", "NC", "North Carolina"], ["NY", "Ontario", "texas x", ""]),
        ("not states: TX", "state", ["NC", "north carolina"], ["TX", "tx", "Texas", "Ontario", "ZZ", ""]),
        ("zips: 303, 30440-30441, 90210", "zip",
         ["30300", "30399", "30440", "30441", "90210", "90210-1234", "902101234"],
         ["30299", "30400", "30439", "30442", "90211", "303", "3034", "303401", "30340-12", "٣٠٣٤٠", "30340x", ""]),
        ("zips: 0-1, 9", "zip", ["00000", "19999", "90000", "99999"], ["20000", "89999"]),
        ("zips: 08-11, 099", "zip", ["08000", "09900", "10000", "11999"], ["07999", "12000"]),
        ("not zips: 303", "zip", ["30299", "30400", "90210-1234"], ["30300", "30399", "303", "none", "3٠400", ""]),
        ("area_codes: 614, 404-406", "caller_id", ["+16145550123", "+14045550123", "+14055550123", "+14065550123"],
         ["+16155550123", "+14035550123", "+14075550123", "+442079460123", "+1614555012", "6145550123", "614", ""]),
        ("area_codes: 209-301", "caller_id", ["+12095550123", "+13015550123"], ["+12085550123", "+13025550123"]),
        ("not area_codes: 614", "caller_id", ["+16155550123"], ["+16145550123", "+442079460123", "anonymous", ""]),
    ],
)  # fmt: skip
def test_which_values_a_short_list_wants(text: str, name: str, wanted: list[str], unwanted: list[str]) -> None:
    assert [value for value in wanted if not holds(text, **{name: value})] == []
    assert [value for value in unwanted if holds(text, **{name: value})] == []


EVERY_KIND = (
    "asked == x", "asked != x", "asked in [x, y]", "asked not in [x, y]", "asked < 5", "asked <= 5", "asked > 5",
    "asked >= 1985-03-27", "asked matches x", "asked exists", "states: TX", "not states: TX", "zips: 303",
    "not zips: 303", "area_codes: 614", "not area_codes: 614",
)  # fmt: skip


HOLDS_AND_NOT = {
    "==": ("x == a", "a", "b"), "!=": ("x != a", "b", "a"),
    "in": ("x in [a, b]", "b", "c"), "not in": ("x not in [a, b]", "c", "b"),
    "<": ("x < 5", "4", "5"), "<=": ("x <= 5", "5", "6"), ">": ("x > 5", "6", "5"), ">=": ("x >= 5", "5", "4"),
    "matches": ("x matches ^a", "ab", "ba"), "exists": ("x exists", "a", None),
    "states": ("states: TX", "TX", "FL"), "not states": ("not states: TX", "FL", "TX"),
    "zips": ("zips: 303", "30340", "30440"), "not zips": ("not zips: 303", "30440", "30340"),
    "area_codes": ("area_codes: 614", "+16145550123", "+16155550123"),
    "not area_codes": ("not area_codes: 614", "+16155550123", "+16145550123"),
}  # fmt: skip
"""For each operator: how it is written, a value that it wants, and one that it does not."""


@pytest.mark.parametrize("sign", filters.OPERATORS)
def test_every_operator_is_read_written_and_tested(sign: str) -> None:
    text, wanted, unwanted = HOLDS_AND_NOT[sign]
    each = filters.read(text)
    assert (each.operator, filters.text(each)) == (sign, text)
    assert holds(text, **{each.name: wanted})
    assert not holds(text, **({each.name: unwanted} if unwanted else {}))


@pytest.mark.parametrize("sign", ["", "=", "=~", "is", "contains", "not matches", "IN"])
def test_an_unknown_operator_is_none(sign: str) -> None:
    with pytest.raises(KeyError):
        filters.test(Filter("state", sign, ("TX",)))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(["state", sign, ["TX"]]), type=Filter)


@pytest.mark.parametrize("written", ["city == “St. Paul”", "city in [“St. Paul”]", "age > ‘25’", "city == ‘a b’"])
def test_curly_quotes_that_cannot_be_read_are_named(written: str) -> None:
    with pytest.raises(ValueError, match=r"; these are curly quotes, write straight ones$"):
        filters.read(written)


@pytest.mark.parametrize("text", EVERY_KIND)
def test_a_filter_on_an_absent_value_fails_whatever_it_asks_for(text: str) -> None:
    assert not holds(text)
    assert not holds(text, other="x")
    assert filters.value_of(filters.read(text), Lead()) is None


@pytest.mark.parametrize(
    ("text", "lead", "seen"),
    [
        ("age >= 25", Lead(age="24"), "24"),
        ("zips: 303", Lead(zip="30440"), "30440"),
        ("states: TX", Lead(state="FL"), "FL"),
        ("area_codes: 614", Lead(caller_id="+16155550123"), "615"),
        ("not area_codes: 614", Lead(caller_id="+16145550123"), "614"),
        ("area_codes: 614", Lead(caller_id="+442079460123"), None),
        ("caller_id exists", Lead(caller_id="+16145550123"), "+16145550123"),
    ],
)
def test_an_explanation_shows_what_the_filter_looked_at(text: str, lead: Lead, seen: str | None) -> None:
    assert filters.value_of(filters.read(text), lead) == seen


def test_the_first_filter_that_does_not_hold_is_the_reason() -> None:
    tests = [filters.test(filters.read(text)) for text in ("state in [TX, FL]", "age >= 25", "zips: 303")]
    assert filters.first_failed(tests, Lead(state="TX", age="25", zip="30340")) is None
    assert filters.first_failed(tests, Lead(state="TX", age="24", zip="90210")) == 1
    assert filters.first_failed(tests, Lead(state="TX", age="25")) == 2
    assert filters.first_failed([], Lead()) is None


@pytest.mark.parametrize("text", EVERY_KIND)
def test_a_filter_is_compiled_to_json_and_back(text: str) -> None:
    each = filters.read(text)
    assert msgspec.json.decode(msgspec.json.encode(each), type=Filter) == each
    assert filters.text(each) == text


WORST = (
    "caller_id matches (a+)+b", "caller_id matches a.{480}b", "caller_id matches (a?b?){600}c", "caller_id > 5",
    "caller_id > 1985-03-27", "caller_id == a", f"caller_id in [{'a' * 1000}]", "zips: 303", "area_codes: 614",
    "not states: TX",
)  # fmt: skip


@pytest.mark.parametrize("text", WORST)
@pytest.mark.parametrize("repeated", ["a", "ab", "9", "1.", "İ", "\ud800", "\x00"])
def test_no_value_can_hold_a_request(text: str, repeated: str) -> None:
    """64 KB is the most that a request has. With backtracking, or numbers without an end, this would take forever."""
    wanted = filters.test(filters.read(text))
    leads = [Lead.fromkeys(("caller_id", "zip", "state"), repeated * times) for times in (300, 1000, 2000, 65_536)]
    began = process_time()
    for lead in leads:
        filters.first_failed([wanted], Lead(lead))
    assert process_time() - began < 1


def number(text: str) -> Decimal | None:
    """By what Decimal reads, and the exclusions one by one."""
    try:
        read = Decimal(text)
    except InvalidOperation:
        return None
    whole, dot, part = text.removeprefix("-").partition(".")
    plain = text.isascii() and whole.isdecimal() and (part.isdecimal() if dot else True)
    return read if plain and len(whole) < 19 and len(part) < 10 and (whole == "0" or whole[0] != "0") else None


def equal(one: str, other: str) -> bool:
    numbers = number(one), number(other)
    return numbers[0] == numbers[1] if None not in numbers else one.casefold() == other.casefold()


MODEL: dict[str, Callable[[str, list[str]], bool]] = {
    "==": lambda value, operand: equal(value, operand[0]),
    "!=": lambda value, operand: not equal(value, operand[0]),
    "in": lambda value, operand: any(equal(value, entry) for entry in operand),
    "not in": lambda value, operand: not any(equal(value, entry) for entry in operand),
}
NEAR = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.from_regex(
    r"[aAßİ'\"0-9. ,-]{1,4}", fullmatch=True
)
PLACES = st.integers(0, 4)
NUMBERS = st.builds(lambda number, places: f"{Decimal(number).scaleb(-places):f}", st.integers(-300, 300), PLACES)
SENT = TEXTS | NUMBERS | st.dates().map(str) | st.text(min_size=1)


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


@given(st.sampled_from(sorted(MODEL)), st.lists(TEXTS | NUMBERS, min_size=1, max_size=4), SENT)
def test_equal_is_always_what_the_model_says(sign: str, operand: list[str], value: str) -> None:
    entries = ", ".join(map(quoted, operand))
    text = f"value {sign} [{entries}]" if "in" in sign else f"value {sign} {quoted(operand[0])}"
    for each in (value, *operand, *(entry.swapcase() for entry in operand), *(f"{entry}.0" for entry in operand)):
        assert holds(text, value=each) is MODEL[sign](each, operand)


@given(st.sampled_from(sorted(NEAR)), NUMBERS, SENT)
def test_numbers_are_always_in_the_order_of_numbers(sign: str, operand: str, value: str) -> None:
    sent, bound = number(value), number(operand)
    assert bound is not None
    wanted = sent is not None and (sent > bound) - (sent < bound) in NEAR[sign]
    assert holds(f"value {sign} {operand}", value=value) is wanted


@given(st.sampled_from(sorted(NEAR)), st.dates(), st.dates())
def test_dates_are_always_in_the_order_of_dates(sign: str, operand: date, value: date) -> None:
    wanted = (str(value) > str(operand)) - (str(value) < str(operand)) in NEAR[sign]
    assert holds(f"value {sign} {operand}", value=str(value)) is wanted


@st.composite
def zips(draw: st.DrawFn) -> str:
    digits = st.text("0129", min_size=1, max_size=5)
    one, other = draw(digits), draw(digits)
    first, last = sorted((one, f"{other:0<5}"[: len(one)]))
    return f"{first}-{last}" if first != last else one


def starts(value: str, entry: str) -> bool:
    first, _, last = entry.partition("-")
    return first <= value[: len(first)] <= (last or first)


@given(st.lists(zips(), min_size=1, max_size=5), st.text("0129", min_size=5, max_size=5))
def test_a_zip_code_is_always_within_the_entries_that_it_starts_like(entries: list[str], value: str) -> None:
    within = any(starts(value, entry) for entry in entries)
    assert holds(f"zips: {','.join(entries)}", zip=value) is within
    assert holds(f"not zips: {','.join(entries)}", zip=value) is not within


OPERANDS = st.one_of(
    TEXTS.map(quoted),
    NUMBERS,
    st.dates().map(str),
    st.lists(TEXTS.map(quoted), max_size=3).map(lambda all: f"[{', '.join(all)}]"),
    TEXTS,
)
WRITTEN = st.one_of(
    st.builds(
        lambda sign, operand: f"value {sign} {operand}",
        st.sampled_from(["==", "!=", "in", "not in", "<", "<=", ">", ">=", "matches", "exists"]),
        OPERANDS,
    ),
    st.builds(
        lambda kind, entries: f"{kind}: {', '.join(entries)}",
        st.sampled_from(["states", "not states", "zips", "not zips", "area_codes", "not area_codes"]),
        st.lists(zips() | st.sampled_from(["TX", "ohio", "404", "404-614"]), max_size=3),
    ),
    st.text(st.sampled_from("value= in[]'\"not:3,")),
)


def read_or_refused(written: str) -> Filter | str:
    try:
        return filters.read(written)
    except ValueError as refused:
        return str(refused)


@given(WRITTEN)
def test_a_filter_always_reads_as_it_is_written_or_is_refused_in_words(written: str) -> None:
    each = read_or_refused(written)
    if isinstance(each, str):
        assert each.startswith("must ")
    else:
        assert filters.read(filters.text(each)) == each
        assert msgspec.json.decode(msgspec.json.encode(each), type=Filter) == each


TESTS = [filters.test(filters.read(text)) for text in (*EVERY_KIND, *WORST)]
ANYTHING = st.text(st.characters(), max_size=40) | SENT


@given(ANYTHING)
def test_no_value_ever_raises(value: str) -> None:
    lead = Lead.fromkeys(("asked", "caller_id", "state", "zip"), value)
    assert {filters.first_failed([wanted], lead) for wanted in TESTS} <= {None, 0}
    for text in EVERY_KIND:
        filters.value_of(filters.read(text), lead)


def test_every_state_is_an_entry() -> None:
    for name, code in US_STATES.items():
        assert filters.read(f"states: {name}") == filters.read(f"states: {code}")
