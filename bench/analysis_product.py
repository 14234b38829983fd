"""One release of a world through the product's own path: counters scraped from pods, differenced, judged, concluded.

It runs beside the numpy twin on the same draws; the largest difference of the release's ln E is part of the results.
"""

import math

from analysis import latency, rate, slo
from analysis.combine import DEFAULT_WEIGHTS, Weighted, release_evidence
from analysis.counters import Counter as Counted
from analysis.counters import Cursor, Scrapes, difference, ticks
from analysis.model import Arm, Sample, Series
from analysis.rate import Dispersion, RateTest
from bench.analysis_worlds import EDGES, LOOK, tails

SCRAPES = Scrapes(LOOK, LOOK, 3 * LOOK)
PODS = ("a", "b")


class Product:
    """The first release of a chunk, with the product's defaults; the dispersion of errors is what the twin found before it."""

    def __init__(self, world, dispersion: Dispersion) -> None:
        self.tests = RateTest(p_hist=world.p_b, dispersion=dispersion), slo.plan_slo(world.slo, world.p_b, dispersion=dispersion)
        self.states = [rate.start(self.tests[0]), slo.start(self.tests[1])]
        self.latency = None
        if world.latency:
            plan = latency.plan_latency(dict(zip(EDGES, [1 - tail for tail in tails()], strict=True)), 1.0)
            self.latency = plan, latency.start(plan)
        self.samples: dict = {}
        self.cursor = Cursor(0.0)
        self.gap, self.time = 0.0, None

    def see(self, look, twin_ln_e: float) -> None:
        """Scrape, difference and judge one look; beside it what the twin says."""
        self._scrape(look)
        found = difference(self._counters(("n", "bad")), self.cursor, SCRAPES)
        if self.latency is not None:
            plan, state = self.latency
            edges = difference(self._counters((*EDGES, math.inf)), self.cursor, SCRAPES)
            for part in edges.slices:
                state = latency.step(plan, state, part, str(look.stage))
            self.latency = plan, state
        self.cursor = Cursor.from_json(found.cursor.to_json())
        for tick in ticks(found):
            self.states[0] = rate.step(self.tests[0], self.states[0], tick, str(look.stage))
            self.states[1] = slo.step(self.tests[1], self.states[1], tick, str(look.stage), alone=look.share == 1)
        ln_es = {"errors": self.states[0].ln_e, "slo": self.states[1].ln_e(self.tests[1])}
        ln_es["latency"] = self.latency[1].ln_e if self.latency is not None else 0.0
        evidence = release_evidence([Weighted(name, weight, ln_es[name]) for name, weight in DEFAULT_WEIGHTS.items()])
        self.gap = max(self.gap, abs(evidence.ln_e - twin_ln_e))
        if evidence.reached and self.time is None:
            self.time = look.seconds_from + LOOK

    def _scrape(self, look) -> None:
        for arm, seen in ((Arm.CANDIDATE, look.green), (Arm.BASELINE, look.blue)):
            counts = {"n": seen.n[0], "bad": seen.x[0], math.inf: seen.n[0]}
            counts |= {edge: seen.n[0] - slow[0] for edge, slow in zip(EDGES, seen.slow, strict=False)}
            for name, count in counts.items():
                for pod, part in zip(PODS, (count // 2, count - count // 2), strict=True):
                    held = self.samples.setdefault((arm, name, pod), [Sample(0.0, 0.0)])
                    held.append(Sample(look.seconds_from + LOOK, held[-1].value + part))

    def _counters(self, names):
        since = -(SCRAPES.look_back // LOOK + 2)
        return [
            Counted(arm, name, tuple(Series((("pod", f"{arm}-{pod}"),), tuple(self.samples[arm, name, pod][int(since) :])) for pod in PODS))
            for arm in Arm
            for name in names
            if (arm, name, PODS[0]) in self.samples
        ]
