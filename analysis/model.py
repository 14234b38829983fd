"""The seam between measuring and judging: what goes into the library and what comes out.

Times are Unix seconds, as Prometheus gives them. Everything here is immutable; nothing here reads a
clock. The controller's blue is the *baseline* here, its green the *candidate*.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Labels = tuple[tuple[str, str], ...]
"""Label pairs of a series, sorted by name."""


class Arm(StrEnum):
    """Which of the two versions a number belongs to."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class Outcome(StrEnum):
    """The answer of a check at the end of a window."""

    PASS = "pass"  # noqa: S105 - the answer, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Sample:
    """One scraped value: `time` in Unix seconds, `value` in the metric's own unit (may be NaN or infinite)."""

    time: float
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one label set, oldest first."""

    labels: Labels
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """One arm's raw samples.

    Attributes:
        total: counters of requests.
        bad: those of them that count failures: the same series or others.
        buckets: of the latency histogram, with `le`.
    """

    total: tuple[Series, ...] = ()
    bad: tuple[Series, ...] = ()
    buckets: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """An interval `(start, end]` for which both arms have fresh counters.

    Attributes:
        start, end: sample timestamps, Unix seconds.
        candidate_n, candidate_bad, baseline_n, baseline_bad: requests and bad events within it.
    """

    start: float
    end: float
    candidate_n: float
    candidate_bad: float
    baseline_n: float
    baseline_bad: float


@dataclass(frozen=True, slots=True)
class Window:
    """What a verdict is about: sample timestamps `(start, end]`, Unix seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one check over one window.

    Attributes:
        check: the check's name in the plan.
        outcome: pass, fail or inconclusive.
        reason: a word of `analysis.reasons`.
        window: the judged time.
        candidate, baseline: the compared numbers in the metric's unit; None where there is none.
        limit: the number that `candidate` must respect, after the baseline was applied; None where inconclusive.
        n: requests of the candidate in the window; None where the check does not count them.
        unit: unit to print behind the numbers: "ms", "s", "%", "req/s" or "".
        detail: numbers that belong to the method (e-value, streaks), by name.
    """

    check: str
    outcome: Outcome
    reason: str
    window: Window
    candidate: float | None = None
    baseline: float | None = None
    limit: float | None = None
    n: float | None = None
    unit: str = ""
    detail: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one verdict rests on, complete enough to judge it again.

    Attributes:
        verdict: what was decided.
        queries: the queries as they were sent, by arm.
        series: the raw answer, by arm.
    """

    verdict: Verdict
    queries: Mapping[Arm, str]
    series: Mapping[Arm, tuple[Series, ...]]
