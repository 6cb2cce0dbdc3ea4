"""What people type into the dashboard's forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.dashboard import typed
from shared.domain import filters, schedule


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(800) 555-0203", "+18005550203"),
        ("800-555-0203", "+18005550203"),
        ("800.555.0203", "+18005550203"),
        ("1 800 555 0203", "+18005550203"),
        ("1-800-555-0203", "+18005550203"),
        ("+1 (800) 555-0203", "+18005550203"),
        ("+18005550203", "+18005550203"),
        ("+44 20 7946 0123", "+442079460123"),
        ("555-0203", "555-0203"),
        ("soon", "soon"),
    ],
)
def test_a_number(text: str, wanted: str) -> None:
    assert typed.number(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("+18005550100-+18005550149", "+18005550100-+18005550149"),
        ("(800) 555-0100 - (800) 555-0149", "+18005550100-+18005550149"),
        ("(800) 555-0100-(800) 555-0149", "+18005550100-+18005550149"),
        ("800-555-0100 to 800-555-0149", "+18005550100-+18005550149"),
        ("800-555-0100 – 800-555-0149", "+18005550100-+18005550149"),
        ("8005550100-8005550149", "+18005550100-+18005550149"),
        ("(800) 555-0100", "+18005550100"),
        ("800-555-01", "800-555-01"),
    ],
)
def test_a_number_or_a_range(text: str, wanted: str) -> None:
    assert typed.numbers(text) == wanted


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("dollars", "$45", "45"),
        ("dollars", "$ 45.50", "45.50"),
        ("dollars", "45 USD", "45"),
        ("dollars", "USD 45", "45"),
        ("dollars", "45 dollars", "45"),
        ("dollars", "1,500.00", "1500.00"),
        ("dollars", "$1,234,567", "1234567"),
        ("dollars", "-$5.00", "-5.00"),
        ("dollars", "$-5.00", "-5.00"),
        ("dollars", "$.50", "0.50"),
        ("dollars", "1,50", "1,50"),
        ("dollars", "1.500,00", "1.500,00"),
        ("dollars", "5%", "5%"),
        ("dollars", "much", "much"),
        ("dollars", "$", "$"),
        ("dollars", "12-15", "12-15"),
        ("percent", "20%", "20"),
        ("percent", "20 %", "20"),
        ("percent", "12.5 percent", "12.5"),
        ("percent", "$20", "$20"),
        ("whole", "1,500", "1500"),
        ("whole", "1,000,000", "1000000"),
        ("whole", "1500", "1500"),
        ("whole", "1,5", "1,5"),
        ("whole", "90 minutes", "90 minutes"),
        ("whole", "", ""),
    ],
)
def test_an_amount(kind: str, text: str, wanted: str) -> None:
    assert typed.read(kind, text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("9am-5pm", ["09:00-17:00"]),
        ("9:00 AM - 5:00 PM", ["09:00-17:00"]),
        ("9 AM to 5 PM", ["09:00-17:00"]),
        ("9a-5p", ["09:00-17:00"]),
        ("9 a.m. – 5 p.m.", ["09:00-17:00"]),
        ("from 9am until 5:30pm", ["09:00-17:30"]),
        ("9-5pm", ["09:00-17:00"]),
        ("1-5pm", ["13:00-17:00"]),
        ("9-11am", ["09:00-11:00"]),
        ("9am-5", ["09:00-17:00"]),
        ("10pm-2", ["22:00-02:00"]),
        ("10pm-2am", ["22:00-02:00"]),
        ("12pm-12am", ["12:00-24:00"]),
        ("12am-12pm", ["00:00-12:00"]),
        ("noon-midnight", ["12:00-24:00"]),
        ("midnight to 6am", ["00:00-06:00"]),
        ("9-17", ["09:00-17:00"]),
        ("0900-1730", ["09:00-17:30"]),
        ("9.30am-5pm", ["09:30-17:00"]),
        ("9am-12pm, 1pm-5pm", ["09:00-12:00", "13:00-17:00"]),
        ("9am-12pm and 1pm-5pm", ["09:00-12:00", "13:00-17:00"]),
        ("9am-noon & 1-5pm", ["09:00-12:00", "13:00-17:00"]),
        ("24 hours", ["00:00-24:00"]),
        ("24h", ["00:00-24:00"]),
        ("all day", ["00:00-24:00"]),
        ("closed", []),
        ("", []),
        ("09:00-17:00, 22:00-02:00", ["09:00-17:00", "22:00-02:00"]),
        ("9-5", ["9-5"]),
        ("13pm-5pm", ["13pm-5pm"]),
        ("9am", ["9am"]),
        ("25-26", ["25-26"]),
    ],
)
def test_hours(text: str, wanted: list[str]) -> None:
    assert typed.hours(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(614) 555-0123", "+16145550123"),
        ("614-555-0123", "+16145550123"),
        ("6145550123", "6145550123"),
        ("78704-1234", "78704-1234"),
        ("text", "text"),
    ],
)
def test_an_example(text: str, wanted: str) -> None:
    assert typed.example(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("12/25/2026", "2026-12-25"),
        ("7/7/2026", "2026-07-07"),
        ("Dec 25, 2026", "2026-12-25"),
        ("December 25 2026", "2026-12-25"),
        ("25 Dec 2026", "2026-12-25"),
        ("2026-12-25", "2026-12-25"),
        ("25/12/2026", "2026-12-25"),
        ("12/25/26", "2026-12-25"),
        ("Sept 5, 2026", "2026-09-05"),
        ("6/2/2026", "6/2/2026"),
        ("Mon 6/2/2026", "Mon 6/2/2026"),
        ("02/30/2026", "02/30/2026"),
    ],
)
def test_a_date(text: str, wanted: str) -> None:
    assert typed.day(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("state = TX", "state == TX"),
        ("state=TX", "state == TX"),
        ("state is TX", "state == TX"),
        ("state is not TX", "state != TX"),
        ("state <> TX", "state != TX"),
        ("age ≥ 25", "age >= 25"),
        ("age => 25", "age >= 25"),
        ("age =< 25", "age <= 25"),
        ("state = North Carolina", "state == 'North Carolina'"),
        ("city = “St. Paul”", 'city == "St. Paul"'),
        ("state in (TX, FL)", "state in [TX, FL]"),
        ("state IN TX, FL", "state in [TX, FL]"),
        ("state not in (North Carolina, FL)", "state not in ['North Carolina', FL]"),
        ("state == TX", "state == TX"),
        ("age >= 25", "age >= 25"),
        ("zip matches ^3", "zip matches ^3"),
        ("states: TX, FL", "states: TX, FL"),
        ("email exists", "email exists"),
        ("age ! 25", "age ! 25"),
        ("TX", "TX"),
        ("state = TX and age > 5", "state = TX and age > 5"),  # two conditions are no value
        ("a = b = c", "a = b = c"),
    ],
)
def test_a_filter(text: str, wanted: str) -> None:
    assert typed.condition(text) == wanted


@given(st.text(max_size=60))
def test_whatever_is_typed_is_read_or_stays(text: str) -> None:
    for kind in typed.READERS:
        typed.read(kind, text)
    for span in typed.hours(text):
        if span not in " ".join(text.replace("\n", ",").split()):
            schedule.read_rows([span])
    if typed.condition(text) != text:
        filters.read(typed.condition(text))


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23), st.integers(0, 59))
def test_hours_by_either_clock_are_the_same(first: int, minute: int, last: int, other: int) -> None:
    def twelve(hour: int, minute: int) -> str:
        return f"{hour % 12 or 12}:{minute:02} {'AM' if hour < 12 else 'PM'}"

    if (first, minute) == (last, other):
        return
    [read] = typed.hours(f"{twelve(first, minute)} - {twelve(last, other)}")
    assert schedule.read_rows([read]) == schedule.read_rows([f"{first:02}:{minute:02}-{last:02}:{other:02}"])
