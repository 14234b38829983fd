"""Before a release: how long detection will take, how bursty the traffic is, and what makes no sense.

    n = phi (ln(1/alpha) + ln(1/weight) + 2.3) / (p ln(p / b) - (p - b))      requests of the candidate; b the boundary

The 2.3 pays for not knowing the effect's size and start (method, section 5). Dispersion is measured on the
baseline before the release, its pods in two halves: how much more the halves differ than independent requests
would. A tolerance under which every regression is acceptable is named with its number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.model import Tick
from analysis.rate import LEAST_RATE, Dispersion, RateTest

LEAST_EFFECT = 0.05
"""The default effect: 5 % of requests bad, or five times the baseline's rate if that is more."""

_TIMES_BASELINE = 5.0
_OVERHEAD = 2.3
_MOST_EFFECT = 0.99
_BLOCKS = (0.0, 60.0, 300.0)
_LEAST_BLOCKS = 12
_TOLERANT = 0.5


def default_effect(baseline: float) -> float:
    """The rate of bad events that a check must be able to show unless the plan says another."""
    return min(max(LEAST_EFFECT, _TIMES_BASELINE * baseline), _MOST_EFFECT)


def requests_to_detect(test: RateTest, effect: float, *, alpha: float, weight: float, share: float, baseline: float | None = None) -> float:
    """The candidate's requests after which the effect will have been shown; infinity where it is tolerated.

    Args:
        test: the check's test.
        effect: the candidate's rate that shall be found.
        alpha: of the release.
        weight: of the check.
        share: of the requests that the candidate gets, 0 to 1.
        baseline: its rate; from history by default.
    """
    grows = grows_by(test, effect, share=share, baseline=baseline)
    return evidence_to_show(alpha, weight) / grows if grows else math.inf


def grows_by(test: RateTest, effect: float, *, share: float, baseline: float | None = None) -> float:
    """What a request of the candidate adds to ln E on average where it has this rate; 0 where that is tolerated."""
    # Where nothing bad was ever seen the test, too, bets against the least rate.
    known = max(test.p_hist if baseline is None else baseline, LEAST_RATE)
    boundary = test.rho * known + test.delta
    if effect <= boundary:
        return 0.0
    return (effect * math.log(effect / boundary) - (effect - boundary)) / test.dispersion.at(share)


def evidence_to_show(alpha: float, weight: float) -> float:
    """The ln E at which an effect of unknown size and beginning is shown by a check of this weight."""
    return math.log(1 / alpha) + math.log(1 / weight) + _OVERHEAD


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as the plan has it: its name, the candidate's share (0 to 1) and its length in seconds."""

    name: str
    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected time to detect one effect in one stage.

    Attributes:
        stage: its name.
        requests: that the candidate needs.
        seconds: until then, from the stage's first request.
        warning: "" or a sentence: it is longer than the stage.
    """

    stage: str
    requests: float
    seconds: float
    warning: str = ""


def expected_times(
    test: RateTest, stages: Sequence[Stage], *, per_second: float, effect: float | None = None, alpha: float = 0.01, weight: float = 0.5
) -> tuple[Expected, ...]:
    """How long each stage needs for the effect, with a warning where it is shorter.

    Args:
        test: the check's test.
        stages: of the plan.
        per_second: requests of both arms together.
        effect: the candidate's rate that shall be found; the default effect if None.
        alpha: of the release.
        weight: of the check.
    """
    shown = default_effect(test.p_hist) if effect is None else effect
    found = []
    for stage in stages:
        needed = requests_to_detect(test, shown, alpha=alpha, weight=weight, share=stage.share)
        rate = per_second * stage.share
        seconds = needed / rate if rate > 0 else math.inf
        found.append(Expected(stage.name, needed, seconds, _too_short(stage, shown, needed, seconds)))
    return tuple(found)


def _too_short(stage: Stage, effect: float, needed: float, seconds: float) -> str:
    if seconds <= stage.seconds:
        return ""
    what = f"a rate of {100 * effect:.3g} %"
    if not math.isfinite(needed):
        return f"stage {stage.name} can never show {what}: the tolerance allows it"
    time = f"about {seconds:,.0f} s" if math.isfinite(seconds) else "requests, and gets none"
    return (
        f"stage {stage.name} is too short for {what}: {needed:,.0f} requests of the candidate take {time}, it lasts {stage.seconds:,.0f} s"
    )


def tolerance_warning(test: RateTest) -> str:
    """A sentence where the tolerance allows half of all requests, or more than ten times the baseline's rate and 5 %; else ""."""
    boundary = test.rho * test.p_hist + test.delta
    if boundary >= _TOLERANT or boundary > max(LEAST_EFFECT, 10 * test.p_hist):
        return (
            f"the tolerance (ratio {test.rho:g}, difference {test.delta:g}) accepts {100 * min(boundary, 1):.3g} % bad requests "
            f"where the baseline has {100 * test.p_hist:.3g} %"
        )
    return ""


def dispersion(halves: Sequence[Tick], blocks: Sequence[float] = _BLOCKS) -> Dispersion:
    """How much more the counts vary than those of independent requests.

    Args:
        halves: ticks of the baseline's pods in two halves as the two arms, in order of time; 6 hours or more.
        blocks: seconds over which ticks are added up; 0 is one tick. The first gives the bursts.

    Raises:
        ValueError: too few ticks with bad events for even the first block length.
    """
    return pooled_dispersion([halves], blocks)


def pooled_dispersion(splits: Sequence[Sequence[Tick]], blocks: Sequence[float] = _BLOCKS) -> Dispersion:
    """As `dispersion`, of several ways to halve the same pods: their squares are added up, so that no single way decides.

    Raises:
        ValueError: too few ticks with bad events for even the first block length.
    """
    found = [_phi(splits, length) for length in blocks]
    if found[0] is None:
        raise ValueError("the history has too few bad events in both halves to measure dispersion")
    return Dispersion(bursts=found[0], widest=max(phi for phi in found if phi is not None))


def _phi(splits: Sequence[Sequence[Tick]], length: float) -> float | None:
    """`sum (x1 - m q)^2 / sum m q (1 - q) (n - m) / (n - 1)` over blocks; None where no split has twelve blocks that hold bad events.

    The last factor (of drawing without putting back) is 1 for rare events. Without it a tail of 40 % would look quieter than it is.
    """
    squares = expected = 0.0
    most = 0
    for halves in splits:
        blocks = 0
        for x1, x2, n1, n2 in _blocks(halves, length):
            bad, n = x1 + x2, n1 + n2
            q = n1 / n if n else 0.0
            if bad and n > 1 and 0 < q < 1:
                blocks += 1
                squares += (x1 - bad * q) ** 2
                expected += bad * q * (1 - q) * (n - bad) / (n - 1)
        most = max(most, blocks)
    return squares / expected if most >= _LEAST_BLOCKS and expected else None


def _blocks(halves: Sequence[Tick], length: float) -> list[tuple[float, float, float, float]]:
    sums: dict[int, list[float]] = {}
    for index, tick in enumerate(halves):
        key = int((tick.start - halves[0].start) // length) if length else index
        held = sums.setdefault(key, [0.0, 0.0, 0.0, 0.0])
        for place, value in enumerate((tick.candidate_bad, tick.baseline_bad, tick.candidate_n, tick.baseline_n)):
            held[place] += value
    return [(held[0], held[1], held[2], held[3]) for held in sums.values()]
