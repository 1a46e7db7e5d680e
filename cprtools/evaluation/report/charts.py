"""Line charts, dots with intervals and scatter plots as inline SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 46
_ROW = 22  # height of one line of dots

Point = tuple[float, float]
Span = tuple[float, float, float]
"""A value and its interval, NaN where there is none."""


@dataclass(frozen=True)
class Axis:
    """Where a value lies between two ends of the drawing."""

    title: str
    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """The coordinate of a value, kept inside the frame."""
        turn: Callable[[float], float] = math.log if self.is_log else float
        share = (turn(value) - turn(self.low)) / ((turn(self.high) - turn(self.low)) or 1.0)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def colour(place: int) -> str:
    """The class of the method at that place; the last colour serves all further ones."""
    return f"s{min(place, 7)}"


def legend(names: Sequence[str]) -> str:
    """The methods' colours in words."""
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 24 12" aria-hidden="true">'
        f'<line class="series {colour(i)}" x1="0" y1="6" x2="24" y2="6"/>'
        f'<circle class="dot {colour(i)}" cx="12" cy="6" r="4"/></svg>{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def lines(
    series: Mapping[str, Sequence[Point]],
    x_title: str,
    y_title: str,
    *,
    even: bool = False,
    is_log: bool = True,
) -> str:
    """One line to a method. even: both axes from 0 to 1, with the diagonal."""
    points = [point for each in series.values() for point in each]
    frame = _frame(points, x_title, y_title, even=even, is_log=is_log)
    parts = [_axes(*frame)]
    if even:
        ends = " ".join(_pair(frame, point) for point in ((0.0, 0.0), (1.0, 1.0)))
        parts.append(f'<polyline class="even" points="{ends}"/>')
    for i, (name, each) in enumerate(series.items()):
        path = " ".join(_pair(frame, point) for point in each)
        dots = "".join(_dot(frame, point, i, name) for point in each)
        parts.append(f'<polyline class="series {colour(i)}" points="{path}"/>{dots}')
    return _svg(f"{y_title} over {x_title}: {', '.join(series)}", HEIGHT, "".join(parts))


def scatter(points: Mapping[str, Point], names: Sequence[str], x_title: str, y_title: str) -> str:
    """One dot to a method; names: the methods' order, which has the colours."""
    frame = _frame(list(points.values()), x_title, y_title, even=False, is_log=False)
    dots = "".join(_dot(frame, point, names.index(name), name) for name, point in points.items())
    return _svg(f"{y_title} against {x_title}: {', '.join(points)}", HEIGHT, _axes(*frame) + dots)


def spans(found: Mapping[str, Span], names: Sequence[str], title: str, high: float = 0.0) -> str:
    """Dots with intervals, a line to each method; names: the methods' order, which has the colours.

    high: where the axis ends at least, for several drawings on one scale.
    """
    rows = [name for name in names if name in found]
    height = TOP + _ROW * len(rows) + BOTTOM
    every = [v for span in found.values() for v in span if not math.isnan(v)]
    axis = Axis(title, min(0.0, *every), _ceiling(max(high, *every)), LEFT + 80, WIDTH - RIGHT)
    lines = [
        _span(axis, found[name], TOP + _ROW * (i + 0.5), names.index(name), name)
        for i, name in enumerate(rows)
    ]
    return _svg(f"{title}: {', '.join(rows)}", height, _ticks_below(axis, height) + "".join(lines))


def _span(axis: Axis, span: Span, y: float, place: int, name: str) -> str:
    value, low, high = span
    said = f"{name}: {value:.4f}"
    whisker = ""
    if not math.isnan(low):
        ends = f'x1="{axis.place(low):.1f}" x2="{axis.place(high):.1f}"'
        whisker = f'<line class="series {colour(place)}" {ends} y1="{y:.1f}" y2="{y:.1f}"/>'
        said += f" [{low:.4f}, {high:.4f}]"
    return (
        f'<text class="name" x="{axis.start - 8:.0f}" y="{y + 4:.1f}" text-anchor="end">'
        f"{_short(name, 18)}</text>{whisker}"
        f'<circle class="dot {colour(place)}" cx="{axis.place(value):.1f}" cy="{y:.1f}" r="4.5">'
        f"<title>{escape(said)}</title></circle>"
    )


def _frame(
    points: Sequence[Point], x_title: str, y_title: str, *, even: bool, is_log: bool
) -> tuple[Axis, Axis]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, right = LEFT, WIDTH - RIGHT
    low, high = HEIGHT - BOTTOM, TOP
    if even:
        return Axis(x_title, 0, 1, left, right), Axis(y_title, 0, 1, low, high)
    if is_log:
        x = Axis(x_title, max(min(xs), 1e-9), max(xs), left, right, is_log=True)
    else:
        x = Axis(x_title, 0, _ceiling(max(xs)), left, right)
    return x, Axis(y_title, min(0.0, *ys), _ceiling(max(ys)), low, high)


def _axes(x: Axis, y: Axis) -> str:
    parts = []
    for value in _steps(y):
        at = y.place(value)
        parts.append(
            f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        parts.append(
            f'<text x="{x.start - 6}" y="{at + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    middle = (y.start + y.end) / 2
    parts.append(
        f'<text x="13" y="{middle}" text-anchor="middle" transform="rotate(-90 13 {middle})">'
        f"{escape(y.title)}</text>"
    )
    return "".join(parts) + _ticks_below(x, HEIGHT)


def _ticks_below(x: Axis, height: float) -> str:
    at = height - BOTTOM
    parts = [f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{at:.1f}" y2="{at:.1f}"/>']
    parts += [
        f'<text x="{x.place(value):.1f}" y="{at + 17:.1f}" text-anchor="middle">{value:.3g}</text>'
        for value in _steps(x)
    ]
    middle = (x.start + x.end) / 2
    title = f'<text x="{middle}" y="{at + 36:.1f}" text-anchor="middle">{escape(x.title)}</text>'
    return "".join(parts) + title


def _steps(axis: Axis) -> list[float]:
    """Round values along an axis: 0, 0.1, 0.2, ...; 1, 2, 5, 10, ... on a logarithmic one."""
    if axis.is_log:
        found = [m * 10.0**e for e in range(10) for m in (1, 2, 5)]
        return [value for value in found if axis.low <= value <= axis.high]
    wanted = (axis.high - axis.low) / 6
    scale = 10.0 ** math.floor(math.log10(wanted))
    step = next(m * scale for m in (1, 2, 5, 10) if m * scale >= wanted * 0.9999)
    first = math.ceil(axis.low / step)
    return [i * step for i in range(first, int(axis.high / step + 1e-9) + 1)]


def _ceiling(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten; 1 for nothing."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(m * scale for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * scale >= value * 0.9999)


def _pair(frame: tuple[Axis, Axis], point: Point) -> str:
    return ",".join(f"{axis.place(v):.1f}" for axis, v in zip(frame, point, strict=True))


def _dot(frame: tuple[Axis, Axis], point: Point, place: int, name: str) -> str:
    x, y = _pair(frame, point).split(",")
    said = escape(f"{name}: {point[1]:.4f} at {point[0]:.4g}")
    return (
        f'<circle class="dot {colour(place)}" cx="{x}" cy="{y}" r="4.5">'
        f"<title>{said}</title></circle>"
    )


def _short(text: str, length: int) -> str:
    return escape(text if len(text) <= length else text[: length - 1] + "…")


def _svg(label: str, height: float, body: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(label)}">{body}</svg>'
    )
