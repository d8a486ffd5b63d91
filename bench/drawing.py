"""Line charts as SVG: readable at full width, on a narrow page and in dark mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, PANEL_HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 74, 44
_MARKS = ("circle", "square", "diamond", "triangle")

_STYLE = """
text { font: 17px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 15px; fill: #59636e }
.title { font-weight: 600 } .paper { fill: #ffffff } .grid { stroke: #d8dee4 } .line { fill: none; stroke-width: 2.5 }
.s0 { color: #0969da } .s1 { color: #bc4c00 } .s2 { color: #1a7f37 } .s3 { color: #8250df }
.s0, .s1, .s2, .s3 { stroke: currentColor; fill: currentColor }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .small { fill: #b1bac4 } .paper { fill: #0d1117 } .grid { stroke: #3d444d }
.s0 { color: #58a6ff } .s1 { color: #f0883e } .s2 { color: #56d364 } .s3 { color: #bc8cff } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart. Both axes begin at 0.

    :ivar lines: points of each line, by its name.
    """

    title: str
    across: str
    lines: Mapping[str, Points]


def draw(panels: Sequence[Panel], *, description: str) -> str:
    """The panels below each other, so that the drawing may be narrow."""
    height = PANEL_HEIGHT * len(panels)
    size = f'width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {size} role="img">',
        f"<title>{escape(description)}</title><style>{_STYLE}</style>",
        f'<rect class="paper" {size}/>',
        *(_panel(panel, number * PANEL_HEIGHT) for number, panel in enumerate(panels)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(panel: Panel, top: int) -> str:
    points = [point for line in panel.lines.values() for point in line]
    most_x, most_y = (round_up(max(point[axis] for point in points)) for axis in (0, 1))
    scale = _Scale(most_x=most_x, most_y=most_y)
    names = enumerate(panel.lines.items())
    return "\n".join(
        [
            f'<g transform="translate(0 {top})">',
            f'<text class="title" x="{_LEFT}" y="24">{escape(panel.title)}</text>',
            *_legend(panel.lines),
            *_grid(scale, panel.across),
            *(_line(line, scale, number) for number, (_, line) in names),
            "</g>",
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.most_x * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        bottom = PANEL_HEIGHT - _BOTTOM
        return round(bottom - value / self.most_y * (bottom - _TOP), 1)


def _legend(lines: Mapping[str, Points]) -> list[str]:
    parts, x = list[str](), float(_LEFT)
    for number, name in enumerate(lines):
        parts += [_mark(number, x + 6, 46), f'<text class="small" x="{x + 18}" y="51">{escape(name)}</text>']
        x += 18 + 8.3 * len(name) + 16
    return parts


def _grid(scale: _Scale, across: str) -> list[str]:
    bottom, parts = PANEL_HEIGHT - _BOTTOM, list[str]()
    for part in range(5):
        x_value, y_value = scale.most_x * part / 4, scale.most_y * part / 4
        x, y = scale.x(x_value), scale.y(y_value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}"/>')
        parts.append(f'<text class="small" x="{_LEFT - 8}" y="{y + 5}" text-anchor="end">{y_value:,.4g}</text>')
        anchor = "end" if part == 4 else "middle"
        parts.append(f'<text class="small" x="{x}" y="{bottom + 19}" text-anchor="{anchor}">{x_value:,.4g}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    return [*parts, f'<text class="small" x="{middle}" y="{bottom + 37}" text-anchor="middle">{escape(across)}</text>']


def _line(line: Points, scale: _Scale, number: int) -> str:
    places = [(scale.x(x), scale.y(y)) for x, y in line]
    path = " ".join(f"{x},{y}" for x, y in places)
    dashes = f' stroke-dasharray="{3 + 4 * number} 4"' if number else ""
    marks = "".join(_mark(number, x, y) for x, y in places)
    return f'<polyline class="line s{number % 4}" style="fill:none" points="{path}"{dashes}/>{marks}'


def _mark(number: int, x: float, y: float) -> str:
    kind, style = _MARKS[number % 4], f'class="s{number % 4}"'
    match kind:
        case "circle":
            return f'<circle {style} cx="{x}" cy="{y}" r="4"/>'
        case "square":
            return f'<rect {style} x="{x - 4}" y="{y - 4}" width="8" height="8"/>'
        case "diamond":
            return f'<path {style} d="M{x} {y - 5} l5 5 l-5 5 l-5 -5 z"/>'
        case _:
            return f'<path {style} d="M{x} {y - 5} l5 9 h-10 z"/>'


def round_up(most: float) -> float:
    """The next value that four equal steps divide well.

    >>> round_up(1.7), round_up(960), round_up(4001)
    (2.0, 1000.0, 5000.0)
    """
    unit = 1.0
    while unit * 10 <= most:
        unit *= 10
    while unit > most:
        unit /= 10
    return next(unit * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if unit * step >= most)
