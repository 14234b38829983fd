"""The engine over the baseline's own past: how often would it have rolled back a release that changed nothing?

Some of the baseline's pods play the candidate. Where more than `2 alpha` of the pretended releases would have been
rolled back, requests here are less independent than the measured dispersion says, and phi is raised.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.model import Tick
from analysis.rate import Dispersion, RateTest, start, step

_RAISE = 1.25
_MOST_PHI = 20.0


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the past says.

    Attributes:
        test: the test, its dispersion raised where that was needed.
        releases: pretended releases.
        rollbacks: those that the given test would have rolled back.
        left: those that the returned test would have rolled back.
    """

    test: RateTest
    releases: int
    rollbacks: int
    left: int

    @property
    def rate(self) -> float:
        """Share of pretended releases that the given test would have rolled back; 0 without any."""
        return self.rollbacks / self.releases if self.releases else 0.0


def preflight(test: RateTest, past: Sequence[Tick], *, release_seconds: float, alpha: float = 0.01, weight: float = 0.5) -> Preflight:
    """Replay the past as releases one after the other, and raise phi until at most `2 alpha` of them fail.

    Args:
        test: as planned, with its measured dispersion.
        past: ticks of the pretended candidate and the rest, in order of time; a day or more.
        release_seconds: length of one pretended release; what is left at the end is not one.
        alpha: of the release.
        weight: of the check.
    """
    releases = _releases(past, release_seconds)
    bound = -math.log(alpha) - math.log(weight)
    first = left = sum(_fails(test, ticks, bound) for ticks in releases)
    raised = test
    while releases and left > 2 * alpha * len(releases) and raised.dispersion.bursts < _MOST_PHI:
        phi = raised.dispersion
        bursts = max(phi.bursts, 1.0) * _RAISE
        raised = replace(raised, dispersion=Dispersion(bursts, max(phi.widest * _RAISE, bursts)))
        left = sum(_fails(raised, ticks, bound) for ticks in releases)
    return Preflight(raised, len(releases), first, left)


def _releases(past: Sequence[Tick], length: float) -> list[list[Tick]]:
    found: dict[int, list[Tick]] = {}
    for tick in past:
        found.setdefault(int((tick.start - past[0].start) // length), []).append(tick)
    whole = int((past[-1].end - past[0].start + 1e-6) // length) if past else 0
    return [found[index] for index in sorted(found) if index < whole]


def _fails(test: RateTest, ticks: Sequence[Tick], bound: float) -> bool:
    state = start(test)
    for tick in ticks:
        state = step(test, state, tick)
        if state.ln_e >= bound:
            return True
    return False
