"""`python -m bench.analysis_pictures`: the three pictures of docs/analysis/method.md, from the engine's own output.

Plain SVG with a title and a description; lines differ in dash and label, not in colour alone, and both themes of a reader's
browser have enough contrast.
"""

import math
from pathlib import Path

import numpy as np

from analysis import confidence
from analysis.combine import Weighted, release_evidence
from analysis.model import Tick
from analysis.rate import RateTest, start, step

FOLDER = Path(__file__).parents[1] / "docs/analysis"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 300, 60, 20, 20, 40
STYLE = (
    "text{font:12px sans-serif;fill:#555}.a{stroke:#888;stroke-width:1}.l{fill:none;stroke:#0868ac;stroke-width:2}"
    ".b{stroke:#c0392b;stroke-width:2;stroke-dasharray:8 4}.t{fill:none;stroke:#0868ac;stroke-width:1;opacity:.45}"
    ".f{fill:#0868ac;opacity:.25}@media(prefers-color-scheme:dark){text{fill:#bbb}.l,.t{stroke:#67b7e8}.b{stroke:#ff8a75}.f{fill:#67b7e8}}"
)


class Picture:
    """Axes from `(x0, y0)` to `(x1, y1)`; y is a logarithm to base 10 where `log` says so."""

    def __init__(self, title: str, told: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y, self.parts = x, y, [f"<title>{title}</title><desc>{told}</desc><style>{STYLE}</style>"]

    def at(self, x: float, y: float) -> str:
        across = LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{down:.1f}"

    def line(self, points, kind: str) -> None:
        self.parts.append(f'<polyline class="{kind}" points="{" ".join(self.at(*point) for point in points)}"/>')

    def area(self, points) -> None:
        self.parts.append(f'<polygon class="f" points="{" ".join(self.at(*point) for point in points)}"/>')

    def text(self, x: float, y: float, words: str, *, anchor: str = "middle", dy: int = 0) -> None:
        across, down = self.at(x, y).split(",")
        across = f"{float(across) - 6:.1f}" if anchor == "end" else across
        self.parts.append(f'<text x="{across}" y="{float(down) + dy:.1f}" text-anchor="{anchor}">{words}</text>')

    def axes(self, xs, ys, across: str) -> None:
        self.line([(self.x[0], self.y[1]), (self.x[0], self.y[0]), (self.x[1], self.y[0])], 'a" fill="none')
        for value, words in xs:
            self.text(value, self.y[0], words, dy=16)
        for value, words in ys:
            self.text(self.x[0], value, words, anchor="end", dy=4)
        self.text((self.x[0] + self.x[1]) / 2, self.y[0], across, dy=34)

    def svg(self) -> str:
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">' + "\n".join(self.parts) + "</svg>\n"


def ticks(rng, count: int, p_g, p_b: float = 0.005):
    """Green has a quarter of 50 requests a second; `p_g` by index."""
    for index in range(count):
        n, m = int(rng.poisson(125)), int(rng.poisson(375))
        yield Tick(10.0 * index, 10.0 * index + 10, n, int(rng.binomial(n, p_g(index))), m, int(rng.binomial(m, p_b)))


def capital(rng, count: int, p_g):
    """Seconds and log10 of the release's e-value, until it rolls back."""
    test, found = RateTest(p_hist=0.005), [(0.0, 0.0)]
    state = start(test)
    for tick in ticks(rng, count, p_g):
        state = step(test, state, tick, "25")
        release = release_evidence([Weighted("errors", 0.5, state.ln_e), Weighted("others", 0.5)])
        found.append((tick.end, release.ln_e / math.log(10)))
        if release.reached:
            break
    return found


POWERS = [(-1, "0.1"), (0, "1"), (1, "10"), (2, "100")]
MINUTES = [(600 * k, f"{10 * k}") for k in range(7)]


def bad() -> Picture:
    picture = Picture("A bad green", "The e-value of a release whose green turns bad after ten minutes.", (0, 1200), (-1, 2.5))
    picture.axes(
        [(300 * k, f"{5 * k}") for k in range(5)], POWERS, "minutes; green has 0.5 % errors as blue has, and 3 % from minute 10 on"
    )
    picture.line([(0, 2), (1200, 2)], "b")
    picture.text(60, 2, "1/alpha: rolled back here", anchor="start", dy=-6)
    picture.line(capital(np.random.default_rng(4), 120, lambda index: 0.03 if index >= 60 else 0.005), "l")
    return picture


def healthy() -> Picture:
    picture = Picture(
        "Forty healthy greens", "E-values of forty healthy releases over an hour; none reaches the bound.", (0, 3600), (-1, 2.5)
    )
    picture.axes(MINUTES, POWERS, "minutes; forty greens with 0.5 % errors, looked at every 10 seconds")
    picture.line([(0, 2), (3600, 2)], "b")
    picture.text(60, 2, "1/alpha", anchor="start", dy=-6)
    for seed in range(40):
        picture.line(capital(np.random.default_rng(100 + seed), 360, lambda _: 0.005)[::6], "t")
    return picture


def ratio() -> Picture:
    picture = Picture(
        "What is known of the ratio", "The confidence sequence of green's to blue's error rate narrows.", (0, 3600), (-0.7, 1.3)
    )
    picture.axes(
        MINUTES, [(math.log10(v), f"{v:g}") for v in (0.25, 0.5, 1, 2, 4, 8, 16)], "minutes; green has 1.5 % errors, blue has 0.5 %"
    )
    state, low, high = confidence.RatioState(), [], []
    for tick in ticks(np.random.default_rng(3), 360, lambda _: 0.015):
        state = confidence.step(state, tick)
        ends = confidence.interval(state)
        low.append((tick.end, math.log10(max(ends[0], 1e-3))))
        high.append((tick.end, math.log10(min(ends[1], 1e3))))
    picture.area([*low, *reversed(high)])
    picture.line([(0, math.log10(3)), (3600, math.log10(3))], "b")
    picture.text(3540, math.log10(3), "the true ratio", anchor="end", dy=-6)
    return picture


PICTURES = {"bad.svg": bad, "healthy.svg": healthy, "ratio.svg": ratio}


def main() -> None:
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw().svg())


if __name__ == "__main__":
    main()
