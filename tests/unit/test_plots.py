"""Plots by hour: whatever is counted, it is inside the axes and in the table."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.office import plots
from shared.office.plots import BOTTOM, LEFT, RIGHT, TOP, Series
from shared.pages import formats

CLOCKS = {
    "usual": [f"{hour:02}:00" for hour in range(24)],
    "put forward": [f"{hour:02}:00" for hour in range(24) if hour != 2],
    "put back": ["00:00", "01:00 EDT", "01:00 EST", *(f"{hour:02}:00" for hour in range(2, 24))],
    "across midnight": [f"{hour % 24:02}:00" for hour in range(13, 37)],
}


def some_values(hours: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 10**9), min_size=hours, max_size=hours)


def elements(plot: plots.Plot) -> list[ElementTree.Element]:
    return [*ElementTree.fromstring(plot.svg).iter()]


@given(st.data(), st.sampled_from([*CLOCKS.values()]), st.sampled_from([formats.plain, formats.money]))
def test_nothing_is_drawn_outside_of_the_axes(data: st.DataObject, clocks: list[str], text: plots.Text) -> None:
    bars = data.draw(st.lists(some_values(len(clocks)), min_size=1, max_size=3))
    before = data.draw(some_values(len(clocks)))
    named = [Series(f"<{n}>", each) for n, each in enumerate(bars)]
    plot = plots.hours("Pings & more", clocks, named, Series("Before", before), text=text)
    drawn = elements(plot)
    for rect in (each for each in drawn if each.tag == "rect"):
        x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert LEFT <= x <= x + width <= RIGHT
        assert TOP <= y <= y + height <= BOTTOM + 0.11
    for path in (each for each in drawn if each.attrib.get("class") == "line"):
        assert all(TOP <= float(y) <= BOTTOM for y in re.findall(r"V([\d.]+)", path.attrib["d"]))
    assert 2 <= sum(each.attrib.get("class") == "grid" for each in drawn) <= plots.TICKS + 2
    assert plot.rows[5] == [clocks[5], *(text(each[5]) for each in [*bars, before])]
    assert [row[0] for row in plot.rows] == clocks
    assert "style" not in {name for each in drawn for name in each.attrib}


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 10**9)), min_size=1, max_size=62))
def test_a_bar_for_each_group_is_inside_of_the_axes(found: list[tuple[str, int]]) -> None:
    labels, values = [f"<{text.encode('ascii', 'replace').decode()!r}>" for text, _ in found], [n for _, n in found]
    plot = plots.groups("Sales & more", Series("Sales", values), labels)
    bars = [each for each in elements(plot) if each.tag == "rect"]
    assert len(bars) == len(found)
    for bar in bars:
        x, y, width, height = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert LEFT <= x <= x + width <= RIGHT + 0.1
        assert TOP <= y <= y + height <= BOTTOM + 0.11
    assert plot.rows == [[label, formats.plain(value)] for label, value in zip(labels, values, strict=True)]


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0, ["0", "1"]),
        (1, ["0", "1"]),
        (4, ["0", "1", "2", "3", "4"]),
        (5, ["0", "2", "4", "6"]),
        (4100, ["0", "2,000", "4,000", "6,000"]),
    ],
)
def test_an_axis_ends_at_a_round_number(most: int, labels: list[str]) -> None:
    plot = plots.hours("Sales", CLOCKS["usual"], [Series("Sales", [most] + [0] * 23)], Series("Before", [0] * 24))
    assert [each.text for each in elements(plot) if each.attrib.get("class") == "y"] == labels


@pytest.mark.parametrize(
    ("day", "labels"),
    [
        ("usual", {"00": 0, "06": 6, "12": 12, "18": 18, "24": 24}),
        ("put forward", {"00": 0, "06": 5, "12": 11, "18": 17, "24": 23}),
        ("put back", {"00": 0, "06": 7, "12": 13, "18": 19, "24": 25}),
        ("across midnight", {"00": 11, "06": 17, "12": 23, "18": 5}),
    ],
)
def test_the_clock_stands_below_its_hour(day: str, labels: dict[str, int]) -> None:
    clocks = CLOCKS[day]
    plot = plots.hours("Sales", clocks, [Series("Sales", [1] * len(clocks))], Series("Before", [0] * len(clocks)))
    drawn = {each.text: float(each.attrib["x"]) for each in elements(plot) if each.attrib.get("class") == "x"}
    step = (RIGHT - LEFT) / len(clocks)
    assert drawn == {clock: pytest.approx(LEFT + hour * step, abs=0.1) for clock, hour in labels.items()}


def test_what_has_no_color_of_its_own_is_summed_up() -> None:
    named = {f"status_{n}": [n] * 24 for n in range(7)}
    assert [name for name, _ in plots.most(named, "others")] == [
        "status_6",
        "status_5",
        "status_4",
        "status_3",
        "others",
    ]
    assert plots.most(named, "others")[-1].values == [3] * 24
