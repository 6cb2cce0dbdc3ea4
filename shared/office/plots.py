"""Plots of a day by hour: a small SVG, colored by classes of the style sheet, with its numbers as a table."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup
from msgspec import Struct

from shared.pages.formats import plain

WIDTH, HEIGHT = 400, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 394, 12, 128
GAP = 3
TICKS = 4
AXIS_HOURS = ("00", "06", "12", "18")
COLOURS = 5
"""For how many kinds of bars the style sheet has a class: `c0` to `c4`."""

Values = Sequence[int]
Text = Callable[[int], str]


class Series(NamedTuple):
    """A value an hour."""

    name: str
    values: Values


class Plot(Struct, frozen=True):
    """`keys` are the classes of what is drawn, by name; the table has a row an hour."""

    title: str
    svg: Markup
    keys: dict[str, str]
    head: list[str]
    rows: list[list[str]]


def hours(
    title: str,
    clocks: Sequence[str],
    bars: Sequence[Series],
    line: Series,
    *,
    marks: Series | None = None,
    top: int = 0,
    text: Text = plain,
) -> Plot:
    """Bars that stand on one another, and a line to compare them with, for hours that are called like 13:00. Those in
    which `marks` is not zero are marked. `top` is the end of the axis, where it is always the same."""
    heights = [sum(values) for values in zip(*(each.values for each in bars), strict=True)]
    ticks = _ticks(top or max(*heights, *line.values), whole=text is plain)
    series = [*bars, line, *([marks] if marks else [])]
    classes = [*(f"c{place}" for place in range(len(bars))), "line", "mark"]
    name = f"plot-{re.sub('[^a-z0-9]+', '-', title.lower())}"
    most = max(range(len(clocks)), key=heights.__getitem__)
    said = f"The most is {text(heights[most])} from {clocks[most]}." if heights[most] else "Nothing."
    step = (RIGHT - LEFT) / len(clocks)
    drawn = [
        *_grid(ticks, text),
        *_clocks(clocks, step),
        *_bars(bars, clocks, ticks[-1], text),
        _line(line, step, ticks[-1]),
        *_marks(marks, step),
    ]
    svg = Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-labelledby="{name}-t {name}-d">'
        '<title id="{name}-t">{}</title><desc id="{name}-d">{}</desc>{}</svg>'
    ).format(
        WIDTH,
        HEIGHT,
        f"{title} by hour",
        said,
        Markup().join(drawn),
        name=name,
    )
    return Plot(
        title=title,
        svg=svg,
        keys=dict(zip((each.name for each in series), classes, strict=False)),
        head=["Hour", *(each.name for each in series)],
        rows=[
            [clock, *(plain(of.values[hour]) if of is marks else text(of.values[hour]) for of in series)]
            for hour, clock in enumerate(clocks)
        ],
    )


def groups(title: str, bars: Series, labels: Sequence[str], *, text: Text = plain) -> Plot:
    """A bar for each label, in their order; the first and the last label stand below."""
    ticks, step = _ticks(max(bars.values), whole=text is plain), (RIGHT - LEFT) / len(labels)
    name = f"plot-{re.sub('[^a-z0-9]+', '-', title.lower())}"
    drawn = list[Markup]()
    for place, (label, value) in enumerate(zip(labels, bars.values, strict=True)):
        x, y = LEFT + place * step, _y(max(value, 0), ticks[-1])
        rect = Markup('<g><title>{}: {}</title><rect class="c0" x="{}" y="{}" width="{}" height="{}"/></g>')
        width = round(step * 0.8, 1)
        drawn.append(rect.format(label, text(value), round(x, 1), y, width, round(BOTTOM - y, 1)))
    ends = [("first", LEFT, labels[0]), *([("y", RIGHT, labels[-1])] if len(labels) > 1 else [])]
    below = [Markup('<text class="{}" x="{}" y="{}">{}</text>').format(of, x, HEIGHT - 6, said) for of, x, said in ends]
    svg = Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-labelledby="{name}-t">'
        '<title id="{name}-t">{}</title>{}</svg>'
    ).format(WIDTH, HEIGHT, title, Markup().join([*_grid(ticks, text), *drawn, *below]), name=name)
    rows = [[label, text(value)] for label, value in zip(labels, bars.values, strict=True)]
    return Plot(title=title, svg=svg, keys={bars.name: "c0"}, head=["Group", bars.name], rows=rows)


def most(named: Mapping[str, Values], others: str) -> list[Series]:
    """As many series as there are colors, those with the most first; what is left is one."""
    ranked = sorted(named.items(), key=lambda pair: -sum(pair[1]))
    if len(ranked) <= COLOURS:
        return [Series(*pair) for pair in ranked]
    rest = [sum(values) for values in zip(*(values for _, values in ranked[COLOURS - 1 :]), strict=True)]
    return [*(Series(*pair) for pair in ranked[: COLOURS - 1]), Series(others, rest)]


def _ticks(top: int, *, whole: bool) -> list[int]:
    """From zero to `top` or a little above, in steps of 1, 2 or 5 times a power of ten; amounts in whole dollars."""
    unit = 1 if whole else 100
    step = next(
        unit * factor * 10**power
        for power in range(20)
        for factor in (1, 2, 5)
        if unit * factor * 10**power * TICKS >= top
    )
    return [*range(0, max(top, 1) + step, step)] if top % step else [*range(0, max(top, step) + 1, step)]


def _y(value: int, top: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * min(value, top) / top, 1)


def _x(hour: int, step: float) -> float:
    return round(LEFT + hour * step, 1)


def _clocks(clocks: Sequence[str], step: float) -> Iterator[Markup]:
    """Some hours, each once."""
    first = {clock[:2]: hour for hour, clock in reversed([*enumerate(clocks)])}
    for clock, hour in ((clock, first[clock]) for clock in AXIS_HOURS if clock in first):
        yield Markup('<text class="x" x="{}" y="{}">{}</text>').format(_x(hour, step), HEIGHT - 6, clock)
    if clocks[-1].startswith("23"):
        yield Markup('<text class="x" x="{}" y="{}">24</text>').format(RIGHT, HEIGHT - 6)


def _grid(ticks: Values, text: Text) -> Iterator[Markup]:
    for tick in ticks:
        y = _y(tick, ticks[-1])
        yield Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, y, RIGHT)
        label = text(tick).removesuffix(".00")
        yield Markup('<text class="y" x="{}" y="{}">{}</text>').format(LEFT - 5, y + 4, label)


def _bars(bars: Sequence[Series], clocks: Sequence[str], top: int, text: Text) -> Iterator[Markup]:
    step = (RIGHT - LEFT) / len(clocks)
    for hour, clock in enumerate(clocks):
        drawn, below = [], 0
        for place, (_, values) in enumerate(bars):
            low, high = _y(below, top), _y(below + values[hour], top)
            below += values[hour]
            if high < low:
                rect = Markup('<rect class="c{}" x="{}" y="{}" width="{}" height="{}"/>')
                x, width = _x(hour, step) + GAP / 2, round(step - GAP, 1)
                drawn.append(rect.format(place, x, high, width, round(low - high, 1)))
        if drawn:
            said = ", ".join(f"{name} {text(values[hour])}" for name, values in bars if values[hour])
            yield Markup("<g><title>{}: {}</title>{}</g>").format(clock, said, Markup().join(drawn))


def _line(line: Series, step: float, top: int) -> Markup:
    steps = " ".join(f"V{_y(value, top)}H{_x(hour + 1, step)}" for hour, value in enumerate(line.values))
    start = f"M{LEFT} {_y(line.values[0], top)}"
    return Markup('<path class="line" d="{} {}"/>').format(start, steps) if any(line.values) else Markup()


def _marks(marks: Series | None, step: float) -> Iterator[Markup]:
    for hour, value in enumerate(marks.values if marks else ()):
        if value:
            middle = _x(hour, step) + step / 2
            yield Markup('<path class="mark" d="M{} {}l5 -8h-10z"/>').format(round(middle, 1), TOP)
