"""Plots by hour: whatever is counted, it is inside the axes and in the table."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.office import plots
from shared.office.plots import BOTTOM, LEFT, RIGHT, TOP, Series
from shared.pages import formats

VALUES = st.lists(st.integers(0, 10**9), min_size=24, max_size=24)
NAMED = st.lists(VALUES, min_size=1, max_size=3)


def elements(plot: plots.Plot) -> list[ElementTree.Element]:
    return [*ElementTree.fromstring(plot.svg).iter()]


@given(bars=NAMED, before=VALUES, text=st.sampled_from([formats.plain, formats.money]))
def test_nothing_is_drawn_outside_of_the_axes(bars: list[list[int]], before: list[int], text: plots.Text) -> None:
    plot = plots.hours(
        "Leads & more", [Series(f"<{n}>", values) for n, values in enumerate(bars)], Series("Before", before), text=text
    )
    drawn = elements(plot)
    for rect in (each for each in drawn if each.tag == "rect"):
        x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert LEFT <= x <= x + width <= RIGHT
        assert TOP <= y <= y + height <= BOTTOM + 0.11
    for path in (each for each in drawn if each.attrib.get("class") == "line"):
        assert all(TOP <= float(y) <= BOTTOM for y in re.findall(r"V([\d.]+)", path.attrib["d"]))
    assert 2 <= sum(each.attrib.get("class") == "grid" for each in drawn) <= plots.TICKS + 2
    assert plot.rows[5] == ["05:00", *(text(values[5]) for values in [*bars, before])]
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
    plot = plots.hours("Sales", [Series("Sales", [most] + [0] * 23)], Series("Before", [0] * 24))
    assert [each.text for each in elements(plot) if each.attrib.get("class") == "y"] == labels


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
