"""The engine over the baseline's own past: how often would it have rolled back a release that changed nothing?

Some of the baseline's pods play the candidate, more of them from stage to stage as the plan has it; at 100 % all of them do.
The past is cut into stretches of a release's length, and each is released several times, with other pods.

    past       |-- stretch 1 --|-- stretch 2 --|-- ...
    candidate   pod 3, 3+7, ..  (one way to choose), pod 1, 1+4, .. (another)

Each half of the stretches is released with what was measured on the other half: numbers that were chosen by the very counts that
they are tried on would look better than they are.

Where more than `2 alpha` of the pretended releases would have been rolled back, requests here are less independent than the
measured dispersion says, and the dispersion of the check that was the cause is raised (method, section 6).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.combine import Weighted, release_evidence
from analysis.model import Arm
from analysis.numbers import upper_bound
from analysis.rate import Dispersion
from analysis.sequential import Known, Mark, Setting, follow, ln_e, pretended, slice_of
from analysis.splits import MOST_WAYS, Part, Target, active, measured, shuffled

RAISE = 1.25
MOST_PHI = 20.0
CONFIDENCE = 0.95
_FULL = 1.0
_FOLDS = 2
_WHOLE = 1e-6


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of the pretended releases: the candidate's share (0 to 1), its whole length in seconds, and who is asked in it."""

    share: float
    seconds: float
    judged: frozenset[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A check with the past that it judges.

    Attributes:
        name: of the check.
        setting: what is tested; its `known` lines are those of the parts, in the same order.
        weight: its share of alpha.
        parts: the baseline's counts, in order of time.
        given: somebody chose the dispersion; else it was measured on these parts.
    """

    name: str
    setting: Setting
    weight: float
    parts: tuple[Part, ...]
    given: bool = False


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the past says.

    Attributes:
        asked: the checks, their dispersions raised where that was needed.
        releases: pretended releases: stretches times ways to choose the pods.
        rollbacks: those that the given checks would have rolled back.
        left: those that the returned checks would have rolled back.
        stretches: of time.
        hit: stretches in which `left` is not 0.
        causes: how many of `rollbacks` each check caused.
    """

    asked: tuple[Asked, ...]
    releases: int = 0
    rollbacks: int = 0
    left: int = 0
    stretches: int = 0
    hit: int = 0
    causes: Mapping[str, int] | None = None

    @property
    def rate(self) -> float:
        """Share of the pretended releases that the returned checks would have rolled back; 0 without any."""
        return self.left / self.releases if self.releases else 0.0

    @property
    def at_most(self) -> float:
        """Exact upper limit (95 %) of the share of such releases.

        Releases over the same stretch are not independent, so a stretch counts once, and as rolled back if one of them was.
        """
        return upper_bound(self.hit, self.stretches, CONFIDENCE) if self.stretches else 1.0


def preflight(asked: Sequence[Asked], steps: Sequence[Step], alpha: float) -> Preflight:
    """Release the past again and again, and raise dispersions until at most `2 alpha` of the releases are rolled back.

    Only those that were rolled back are tried again with a larger dispersion: it makes no evidence grow faster. What is raised for
    the halves is raised as many times for the whole, which is what is returned.

    Args:
        asked: the checks; those without parts say nothing.
        steps: the plan's stages.
        alpha: of the release.
    """
    trials = _trials(asked, steps)
    checks = {one.name: _Tried(one, _held_out(one, trials, steps)) for one in asked}
    failed = {index: cause for index, one in enumerate(trials) if (cause := _cause(checks, one, steps, alpha))}
    first, causes = len(failed), [*failed.values()]
    while len(failed) > 2 * alpha * len(trials):
        raised = {name: one for name in set(failed.values()) if (one := _raised(checks[name])) is not None}
        if not raised:
            break
        checks |= raised
        failed = {index: cause for index in failed if (cause := _cause(checks, trials[index], steps, alpha))}
    return Preflight(
        asked=tuple(one.asked for one in checks.values()),
        releases=len(trials),
        rollbacks=first,
        left=len(failed),
        stretches=len({one.begin for one in trials}),
        hit=len({trials[index].begin for index in failed}),
        causes={name: causes.count(name) for name in checks},
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """One pretended release: when it begins (Unix seconds), its pods in the order in which they join the candidate, and its half."""

    begin: float
    order: tuple[Target, ...]
    fold: int


@dataclass(frozen=True, slots=True)
class _Tried:
    """A check, and for each half of the stretches what is known without it."""

    asked: Asked
    settings: tuple[Setting, ...]


def _held_out(one: Asked, trials: Sequence[_Trial], steps: Sequence[Step]) -> tuple[Setting, ...]:
    """The setting as it is known without each half's time; what the rest of the time cannot say stays."""
    length = math.fsum(step.seconds for step in steps)
    found = []
    for fold in range(_FOLDS):
        begins = [trial.begin for trial in trials if trial.fold == fold]
        since, until = (min(begins), max(begins) + length) if begins else (math.inf, -math.inf)
        rest = [part for part in one.parts if part.end <= since or part.start >= until]
        known = (
            one.setting.known if one.given else tuple(_measured_again(line, rest, place) for place, line in enumerate(one.setting.known))
        )
        found.append(replace(one.setting, known=known))
    return tuple(found)


def _measured_again(line: Known, parts: Sequence[Part], place: int) -> Known:
    phi, n = measured(parts, place), math.fsum(row[0] for part in parts for row in part.counts.values())
    if phi is None or not n:
        return line
    return replace(line, p_hist=math.fsum(row[1 + place] for part in parts for row in part.counts.values()) / n, dispersion=phi)


def _trials(asked: Sequence[Asked], steps: Sequence[Step]) -> list[_Trial]:
    ends = [one.parts for one in asked if one.parts]
    length = math.fsum(step.seconds for step in steps)
    if not ends or length <= 0:
        return []
    begin, end = min(parts[0].start for parts in ends), max(parts[-1].end for parts in ends)
    found, count = [], int((end - begin + _WHOLE) / length)
    for number in range(count):
        start = begin + number * length
        targets = active(part for parts in ends for part in _within(parts, start, start + length))
        if len(targets) >= 2:  # noqa: PLR2004 - one of them stays with the baseline
            ways = dict.fromkeys(shuffled(targets, way) for way in range(min(MOST_WAYS, 2 * len(targets))))
            found += [_Trial(start, order, number * _FOLDS // count) for order in ways]
    return found


def _within(parts: Sequence[Part], start: float, end: float) -> list[Part]:
    return [part for part in parts if part.start >= start - _WHOLE and part.end <= end + _WHOLE]


def _cause(checks: Mapping[str, _Tried], trial: _Trial, steps: Sequence[Step], alpha: float) -> str:
    """The check by whose evidence this release would have been rolled back; "" where it would not have been."""
    marks = _marks(steps, trial.begin)
    grown = sorted(point for one in checks.values() for point in _evidence(one, trial, steps, marks))
    now = dict.fromkeys(checks, 0.0)
    for place, (end, name, value) in enumerate(grown):
        now[name] = value
        if place + 1 < len(grown) and grown[place + 1][0] == end:
            continue
        together = release_evidence([Weighted(name, one.asked.weight, now[name]) for name, one in checks.items()], alpha)
        if together.reached:
            return together.cause
    return ""


def _marks(steps: Sequence[Step], begin: float) -> list[float]:
    """When each stage begins."""
    return [begin + math.fsum(step.seconds for step in steps[:index]) for index in range(len(steps))]


def _evidence(tried: _Tried, trial: _Trial, steps: Sequence[Step], begins: Sequence[float]) -> list[tuple[float, str, float]]:
    """When the check's evidence changed, its name, and the log of its e-value then."""
    one, setting, end = tried.asked, tried.settings[trial.fold], begins[-1] + steps[-1].seconds
    parts = _within(one.parts, trial.begin, end)
    if not parts or not setting.known:
        return []
    edges = [line.edge for line in setting.known]
    marks = [
        Mark(since, str(index), alone=step.share >= _FULL, judged=one.name in step.judged)
        for index, (since, step) in enumerate(zip(begins, steps, strict=True))
    ]
    greens = [frozenset(trial.order[: _pods(step.share, len(trial.order))]) for step in steps]
    nothing = (0.0,) * (1 + len(edges))
    slices = []
    for part in parts:
        stage = max(index for index, since in enumerate(begins) if since < part.end)
        counts = {
            Arm.CANDIDATE: part.of(greens[stage]) or nothing,
            Arm.BASELINE: part.of(greens[stage], others=True) or nothing,
        }
        slices.append(slice_of(setting.kind, (part.start, part.end), counts, edges))
    states = follow(setting, pretended(setting, trial.begin), slices, marks)
    return [(state.cursor.until, one.name, ln_e(setting, state)) for state in states]


def _pods(share: float, count: int) -> int:
    """How many pods play the candidate: as near to the stage's share as pods allow, but never none and, below 100 %, never all."""
    return count if share >= _FULL else min(max(round(share * count), 1), count - 1)


def _raised(one: _Tried) -> _Tried | None:
    """The check with all dispersions a step larger; None where they are as large as makes sense."""
    known = [line for setting in (one.asked.setting, *one.settings) for line in setting.known]
    if all(line.dispersion.bursts >= MOST_PHI for line in known):
        return None
    return _Tried(replace(one.asked, setting=_larger(one.asked.setting)), tuple(map(_larger, one.settings)))


def _larger(setting: Setting) -> Setting:
    return replace(setting, known=tuple(_step(line) for line in setting.known))


def _step(line: Known) -> Known:
    bursts = max(line.dispersion.bursts, 1.0) * RAISE
    return replace(line, dispersion=Dispersion(bursts, max(line.dispersion.widest * RAISE, bursts)))
