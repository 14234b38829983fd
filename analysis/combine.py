"""Many checks, one alpha: what a release may conclude from all its e-values together.

    E_release = sum of weight * E over the checks           weights sum to 1

An average of e-values is one under any dependence, so `E_release >= 1/alpha` has a probability of at most alpha
for a healthy release: over all stages, pauses and peeks. Not rejecting is not passing: a check passes at
a window's end only where the plan's stated effect would have been seen, and where the numbers show none (`analysis.passing`).

Early promotion turns the null round ("at least as bad as the margin that you would refuse to ship") and is
fresh in each stage; S stages share its error beta.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis import reasons
from analysis.model import Outcome, Verdict, Window
from analysis.numbers import logsumexp

DEFAULT_ALPHA = 0.01
DEFAULT_BETA = 0.05
DEFAULT_WEIGHTS = {"errors": 0.5, "latency": 0.3, "slo": 0.2}
"""Of the built-in checks (method, section 5)."""

_SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Weighted:
    """One check's share of alpha and its evidence; a check without data has `ln_e = 0`."""

    check: str
    weight: float
    ln_e: float = 0.0

    @property
    def ln_part(self) -> float:
        """The log of what it adds to the release's e-value."""
        return math.log(self.weight) + self.ln_e if self.weight > 0 else -math.inf


@dataclass(frozen=True, slots=True)
class ReleaseEvidence:
    """All checks together.

    Attributes:
        ln_e: the log of the release's e-value.
        ln_bound: the log of 1/alpha.
        cause: the check that adds most.
    """

    ln_e: float
    ln_bound: float
    cause: str

    @property
    def reached(self) -> bool:
        """Whether the release must be rolled back."""
        return self.ln_e >= self.ln_bound


def release_evidence(checks: Sequence[Weighted], alpha: float = DEFAULT_ALPHA) -> ReleaseEvidence:
    """The release's e-value against its bound. Of equal parts the first check is the cause.

    Raises:
        ValueError: the weights do not sum to 1, one is negative, or alpha is no probability.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha:g} is not between 0 and 1")
    total = math.fsum(check.weight for check in checks)
    if abs(total - 1) > _SUM_TOLERANCE or any(check.weight < 0 for check in checks):
        raise ValueError(f"the weights of the checks sum to {total:g}; they must sum to 1 and none is negative")
    cause = max(checks, key=lambda check: check.ln_part)
    return ReleaseEvidence(logsumexp(check.ln_part for check in checks), -math.log(alpha), cause.check)


def shared_weights(given: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The weights scaled to sum to 1, for a plan that lacks some of the built-in checks or adds its own."""
    total = math.fsum(weight for _, weight in given)
    if not total > 0 or any(weight < 0 for _, weight in given):
        raise ValueError("the weights of the checks need a positive sum, and none is negative")
    return {check: weight / total for check, weight in given}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one sequential check has seen, for its verdict; rates are shares of requests, 0 to 1.

    Attributes:
        check: its name.
        ln_e: the log of its own e-value.
        weight: its share of alpha.
        window: the judged time.
        candidate, baseline: both rates over the window; None without requests.
        candidate_n, baseline_n: requests of both arms in the window.
        needed: the candidate's requests that would show the plan's stated effect.
        since: end of the tick since which the evidence grows, Unix seconds; None where it never did.
        ratio: confidence sequence of candidate to baseline.
        limit: the candidate's rate that the tolerance allows at the baseline's rate.
        missing: a word of `reasons.MISSING_DATA` where nothing can be judged.
        shown, scrapes: how many whole scrapes the window is worth, and how many would show the stated effect.
        ln_worse: the log of the e-value that all counts of the window give as one tick, without the cap.
    """

    check: str
    ln_e: float
    weight: float
    window: Window
    candidate: float | None
    baseline: float | None
    candidate_n: float
    baseline_n: float
    needed: float
    since: float | None = None
    ratio: tuple[float, float] | None = None
    limit: float | None = None
    missing: str = ""
    shown: float = 0.0
    scrapes: float = 0.0
    ln_worse: float = -math.inf


def conclude(seen: Seen, release: ReleaseEvidence) -> Verdict:
    """The verdict at a window's end: fail, pass, or inconclusive.

    The release's evidence decides about failing. What fails then is its cause, and whatever would have been enough alone; the other
    checks have come to no end. Missing data never passes; evidence that was gathered before it still fails.
    """
    alone = bool(seen.candidate_n) and Weighted(seen.check, seen.weight, seen.ln_e).ln_part >= release.ln_bound
    if release.reached and (alone or release.cause == seen.check):
        return _verdict(seen, release, Outcome.FAIL, reasons.EVIDENCE_AGAINST)
    if seen.missing:
        return _verdict(seen, release, Outcome.INCONCLUSIVE, seen.missing)
    if release.reached and seen.candidate_n:
        return _verdict(seen, release, Outcome.INCONCLUSIVE, reasons.NOT_CONCLUDED)
    if seen.ln_worse >= release.ln_bound:
        return _verdict(seen, release, Outcome.INCONCLUSIVE, reasons.WORSE_UNPROVEN)
    if not seen.candidate_n >= max(seen.needed, 1):
        return _verdict(seen, release, Outcome.INCONCLUSIVE, reasons.TOO_FEW_REQUESTS)
    if not seen.shown >= seen.scrapes - _SUM_TOLERANCE:
        return _verdict(seen, release, Outcome.INCONCLUSIVE, reasons.TOO_FEW_SAMPLES)
    return _verdict(seen, release, Outcome.PASS, reasons.NO_EVIDENCE_AGAINST)


def _verdict(seen: Seen, release: ReleaseEvidence, outcome: Outcome, reason: str) -> Verdict:
    detail = {
        "ln_e": seen.ln_e,
        "weight": seen.weight,
        "ln_e_release": release.ln_e,
        "ln_bound": release.ln_bound,
        "cause": float(release.cause == seen.check),
        "needed": seen.needed,
        "baseline_n": seen.baseline_n,
    }
    if seen.since is not None:
        detail["since"] = seen.since
    if seen.ratio is not None:
        detail["ratio_low"], detail["ratio_high"] = seen.ratio
    if reason == reasons.TOO_FEW_SAMPLES:
        detail["shown"], detail["scrapes"] = seen.shown, seen.scrapes
    decided = outcome is not Outcome.INCONCLUSIVE or reason in (reasons.WORSE_UNPROVEN, reasons.NOT_CONCLUDED)
    return Verdict(
        check=seen.check,
        outcome=outcome,
        reason=reason,
        window=seen.window,
        candidate=_percent(seen.candidate),
        baseline=_percent(seen.baseline),
        limit=_percent(seen.limit) if decided else None,
        n=seen.candidate_n,
        unit="%",
        detail=detail,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def promotes(ln_es: Sequence[float], *, stages: int, dwelled: bool, beta: float = DEFAULT_BETA) -> bool:
    """Whether a stage may end early: every gating check's reversed e-value of this stage reaches S / beta.

    Args:
        ln_es: logs of the gating checks' e-values; without any there is nothing to promote on.
        stages: S, stages of the plan that share beta.
        dwelled: the minimum dwell is over.
        beta: most that a bad release may be promoted early with, over all stages.
    """
    if stages < 1 or not 0 < beta < 1:
        raise ValueError(f"early promotion needs at least one stage and a beta between 0 and 1, not {stages} and {beta:g}")
    bound = math.log(stages) - math.log(beta)
    return dwelled and bool(ln_es) and min(ln_es) >= bound
