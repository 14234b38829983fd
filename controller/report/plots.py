"""Plots: what is drawn, and the drawing as SVG for pages without script and for paper.

    Plot (curves, bands, axis) --+-> JSON beside the page -> uPlot, where there is script
                                 +-> SVG in the page

Both are made of the same numbers.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.report.facts import CheckFacts, Facts
from controller.report.foreign import escape
from controller.times import rfc3339

WIDTH, HEIGHT = 760, 220
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 26

MOST_POINTS = 1_200
"""Points of one curve; more are joined in pairs of the least and the greatest, so that no peak is lost."""

STILL_POINTS = 400
"""Likewise of the still image, which is less than twice as wide."""

PAGE_POINTS = 5_000
LEAST_POINTS = 150
"""Points of all long curves of a page together, which shall be small enough to be mailed; each has at least so many."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot.

    Attributes:
        style: green, blue, limit, bound, evidence, low, high or weight: the page's colours and dashes.
        steps: each value holds until the next.
    """

    label: str
    style: str
    points: tuple[tuple[float, float | None], ...]
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time behind the curves: a window with its verdict; `mark` is written into it, `label` is read aloud."""

    since: float
    until: float
    style: str
    label: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot; `summary` is what a screen reader says.

    Attributes:
        top: end of the axis; `cap` is one that is not passed, whatever the values are.
        log: equal ratios are equally far apart.
    """

    key: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    summary: str
    bands: tuple[Band, ...] = field(default=())
    top: float | None = None
    cap: float | None = None
    log: bool = False


GLYPHS = {"pass": "✔", "fail": "✖", "inconclusive": "?"}
"""A verdict without its colour."""


def traffic_plot(facts: Facts) -> Plot:
    """The way of the traffic, with the windows."""
    bands = tuple(
        Band(
            stage.opened,
            stage.ended,
            stage.verdict or "open",
            f"{stage.weight} %: {stage.verdict or 'not judged'}",
            f"{GLYPHS.get(stage.verdict, '·')} {stage.weight} %",
        )
        for stage in facts.stages
        if stage.opened and stage.ended > stage.opened
    )
    most = max((weight for _, weight in facts.weights), default=0.0)
    summary = f"Green's share of the traffic over time, at most {most:.0f} %, in {len(facts.stages)} stages."
    line = Curve("green", "weight", facts.weights, steps=True)
    return Plot("traffic", "Green's share of the traffic", "%", (line,), summary, bands, 100.0)


def check_plots(check: CheckFacts, key: str) -> Iterator[Plot]:
    """The plots of one check: both colours with the limit, the ratio, the evidence."""
    for number, metric in enumerate(check.metrics):
        curves = [Curve(name, name, tuple(getattr(metric, name))) for name in ("green", "blue")]
        summary = f"{metric.name}: {len(metric.green)} values of green, {len(metric.blue)} of blue; {check.sentence}"
        yield Plot(f"{key}-{number}", f"{check.name}: {metric.name}, both versions", "", tuple(curves), summary)
    if not check.metrics:
        yield from _both_versions(check, key)
    ratios = [(one.at, one.low or None, one.high if math.isfinite(one.high) else None) for one in check.ratios]
    if any(low is not None or high is not None for _, low, high in ratios):
        low = Curve("at least", "low", tuple((at, low) for at, low, _ in ratios))
        high = Curve("at most", "high", tuple((at, high) for at, _, high in ratios))
        summary = "Green's error rate in units of blue's: the ratios that the data do not refute, 95 % at every moment."
        same = Curve("as blue", "bound", ((ratios[0][0], 1.0), (ratios[-1][0], 1.0)))
        yield Plot(f"{key}-ratio", "Green's rate in units of blue's", "x", (low, high, same), summary, log=True)
    evidence = [(point.at, point.ln_e / math.log(10)) for point in check.points if point.ln_e is not None and math.isfinite(point.ln_e)]
    if evidence and check.ln_bound is not None:
        bound = check.ln_bound / math.log(10)
        line = ((evidence[0][0], bound), (evidence[-1][0], bound))
        curves = [Curve("evidence", "evidence", tuple(evidence)), Curve("bound", "bound", line)]
        summary = f"The e-value against its bound of {10**bound:,.0f}, as powers of ten; at the end 10^{evidence[-1][1]:.2g}."
        yield Plot(f"{key}-evidence", "Evidence against green, powers of ten", "", tuple(curves), summary, cap=BOUNDS_SHOWN * bound)


def _both_versions(check: CheckFacts, key: str) -> Iterator[Plot]:
    """Both versions' numbers with the limit; of latency a plot an edge, as a line from one edge to another would show a jump of neither."""
    points = [point for point in check.points if point.green is not None or point.blue is not None]
    for number, edge in enumerate(dict.fromkeys(point.edge for point in points)):
        mine = [point if point.edge == edge else replace(point, green=None, blue=None, limit=None) for point in points]
        curves = [Curve(name, name, tuple(spread(mine, name, gate=check.kind == "gate"))) for name in ("green", "blue", "limit")]
        kept = tuple(curve for curve in curves if any(value is not None for _, value in curve.points))
        summary = f"{check.name}: {sum(point.edge == edge for point in points)} measurements; {check.sentence}"
        title = f"{check.name}: requests {edge}, both versions" if edge else f"{check.name}: both versions"
        yield Plot(f"{key}-{number}" if number else key, title, check.unit, kept, summary)


BOUNDS_SHOWN = 3.0
"""Who goes on although the bound is reached sees where it was, and not how far the evidence has come since."""


def spread(points: Sequence[Any], name: str, *, gate: bool) -> Iterator[tuple[float, float | None]]:
    """The values of one colour; that of a gate stands for its whole window, with a hole before the next one."""
    for point in points:
        value = getattr(point, name)
        value = value if value is not None and math.isfinite(value) else None
        if not gate or point.since >= point.at:
            yield point.at, value
            continue
        yield point.since, value
        yield point.at, value
        yield point.at + 0.001, None


def room_for(plots: Iterable[Plot]) -> int:
    """How many points each curve of a page may have."""
    long = sum(len(curve.points) > LEAST_POINTS for plot in plots for curve in plot.curves)
    return max(LEAST_POINTS, min(MOST_POINTS, PAGE_POINTS // max(1, long)))


def thin(points: Sequence[tuple[float, float | None]], most: int = MOST_POINTS) -> Sequence[tuple[float, float | None]]:
    """At most so many points, peaks kept."""
    if len(points) <= most:
        return points
    size = math.ceil(2 * len(points) / most)
    kept: list[tuple[float, float | None]] = []
    for start in range(0, len(points), size):
        part = [point for point in points[start : start + size] if point[1] is not None]
        if part:
            kept += sorted({min(part, key=lambda p: p[1] or 0.0), max(part, key=lambda p: p[1] or 0.0)})
        else:
            kept.append(points[start])
    return kept


def as_data(plot: Plot, since: float, until: float, most: int = MOST_POINTS) -> dict[str, Any]:
    """What the page's script draws: one axis of times for all curves, as it needs it."""
    times = sorted({time for curve in plot.curves for time, _ in thin(curve.points, most)})
    values = [_at(curve, times) for curve in plot.curves]
    return {
        "key": plot.key, "unit": plot.unit, "since": since, "until": until, "top": plot.top, "cap": plot.cap,
        "log": _frame(plot, since, until).ticks() if plot.log else None, "times": times,
        "curves": [{"label": c.label, "style": c.style, "steps": c.steps, "values": v} for c, v in zip(plot.curves, values, strict=True)],
        "bands": [{"since": band.since, "until": band.until, "style": band.style, "mark": band.mark} for band in plot.bands],
    }  # fmt: skip


def _at(curve: Curve, times: Iterable[float]) -> list[float | bool | None]:
    """The curve at each of these times; None where it has a hole, False where it says nothing, as another one has a point there."""
    known = dict(curve.points)
    if curve.steps:
        return [_held(curve.points, time) for time in times]
    return [known[time] if time in known else _between(curve, time) for time in times]


def _held(points: Sequence[tuple[float, float | None]], time: float) -> float | None:
    before = [value for at, value in points if at <= time]
    return before[-1] if before else None


def _between(curve: Curve, time: float) -> float | bool | None:
    """A straight line of two points has a value at every time between them, and none beyond; others were not measured then."""
    if curve.style != "bound":
        return False
    return curve.points[0][1] if curve.points[0][0] <= time <= curve.points[-1][0] else None


# SVG.


@dataclass(frozen=True, slots=True)
class _Frame:
    since: float
    until: float
    low: float
    high: float
    log: bool = False

    def x(self, time: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (time - self.since) / max(self.until - self.since, 1e-9)

    def y(self, value: float) -> float:
        value = min(value, self.high)
        low, high, at = (math.log(one) for one in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (at - low) / max(high - low, 1e-12))

    def ticks(self) -> list[float]:
        """Round values on the axis."""
        if not self.log:
            return ticks(self.low, self.high, 4)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1,) if len(powers) > FEW_POWERS else (1, 2, 5)
        return [one for power in powers for step in steps if self.low <= (one := step * 10.0**power) <= self.high]


MARK_WIDTH = 44
"""A band that is narrower has no room for its mark."""

FEW_POWERS = 4
"""So many powers of ten leave room for 2 and 5 between them."""


def svg(plot: Plot, since: float, until: float, most: int = STILL_POINTS) -> str:
    """The plot as an SVG image that needs nothing else; its colours are the page's."""
    frame = _frame(plot, since, until)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(plot.summary)}">']
    for band in plot.bands:
        left, right = frame.x(band.since), frame.x(band.until)
        parts.append(
            f'<rect class="band {escape(band.style)}" x="{left:.1f}" y="{TOP}" width="{max(0.0, right - left):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"><title>{escape(band.label)}</title></rect>'
        )
        if right - left > MARK_WIDTH:
            parts.append(f'<text class="tick" x="{left + 5:.1f}" y="{TOP + 14}">{escape(band.mark)}</text>')
    parts += _axes(frame, plot.unit)
    for curve in plot.curves:
        parts.append(f'<path class="curve {curve.style}" d="{_path(curve, frame, most)}"/>')
        parts += [
            f'<circle class="dot {curve.style}" cx="{frame.x(at):.1f}" cy="{frame.y(value):.1f}" r="2"/>'
            for at, value in _lonely(curve.points)
        ]
    return "".join([*parts, "</svg>"])


def _frame(plot: Plot, since: float, until: float) -> _Frame:
    values = [value for curve in plot.curves for _, value in curve.points if value is not None]
    if plot.log:
        return _Frame(since, max(until, since + 1), min([*values, 0.5]) / 1.1, max([*values, 2.0]) * 1.1, log=True)
    low, high = min([0.0, *values]), plot.top or max(values, default=1.0)
    if high <= low:
        high = low + 1.0
    high = high if plot.top else high + 0.08 * (high - low)
    return _Frame(since, max(until, since + 1), low, min(high, plot.cap) if plot.cap else high)


def _lonely(points: Sequence[tuple[float, float | None]]) -> Iterator[tuple[float, float]]:
    """Points without a neighbour: a line of them would not be seen."""
    for index, (at, value) in enumerate(points):
        before = points[index - 1][1] if index else None
        after = points[index + 1][1] if index + 1 < len(points) else None
        if value is not None and before is None and after is None:
            yield at, value


def _path(curve: Curve, frame: _Frame, most: int) -> str:
    out: list[str] = []
    pen, last = False, 0.0
    for at, value in thin(curve.points, min(most, STILL_POINTS)):
        if value is None:
            pen = False
            continue
        x, y = frame.x(at), frame.y(value)
        if pen and curve.steps:
            out.append(f"L{x:.1f} {last:.1f}")
        out.append(f"{'L' if pen else 'M'}{x:.1f} {y:.1f}")
        pen, last = True, y
    return "".join(out)


def _axes(frame: _Frame, unit: str) -> Iterable[str]:
    for value in frame.ticks():
        y, label = frame.y(value), f"{short(value)} {escape(unit)}".rstrip()
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    span = frame.until - frame.since
    step = next((s for s in (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200) if span / s <= 8), 86400)  # noqa: PLR2004
    time = math.ceil(frame.since / step) * step
    while time <= frame.until:
        stamp = rfc3339(time)[11:19] if step < 60 else rfc3339(time)[11:16]  # noqa: PLR2004 - seconds only where they differ
        yield f'<text class="tick" x="{frame.x(time):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{stamp}</text>'
        time += step


def short(value: float) -> str:
    """A number on an axis: 250M rather than 250000000."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g}{letter}"
    return f"{value:.4g}"


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values between two ends."""
    raw = (high - low) / about
    if raw <= 0 or not math.isfinite(raw):
        return [low]
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    return [step * (first + index) for index in range(int((high - first * step) / step + 1e-9) + 1)]
