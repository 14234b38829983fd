"""What a judgement knows beside the answers, and what keeps it from concluding anything: a fault, a clock, a window that is too short.

Pure. Every way of judging a window stands behind this: one number against limits (`core.judging`), and Kayenta's judge (`core.kayenta`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.threshold import Reading
from controller.api.plan_checks import Check
from controller.api.release import CheckStatus, WindowStatus
from controller.core import reasons
from controller.core.traffic import Traffic
from controller.core.words import many
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault

MAX_SKEW_SECONDS = 5.0
"""More between the controller's and Prometheus's clock is inconclusive (design, Time)."""

MIN_SCRAPES = 6
"""Fewer scrapes in a window are inconclusive (design, Time)."""

DETAIL_LENGTH = 300
"""Letters of a check's detail in the status."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a judgement knows beside the answers.

    Attributes:
        now: Unix seconds; the time at which the asks of a trigger were evaluated.
        scrape_interval: seconds.
        min_requests: of green in a gate's window.
        counted: requests are counted (`traffic.metrics` is istio); otherwise there is no n and no minimum.
        blue_serves: blue has requests to compare with.
        switched_at: when blue lost its last requests; its numbers from just before are asked where none were judged.
        since: when the version that is watched got its first requests, Unix seconds; 0 where nobody knows.
        spare: how much further back queries may look, seconds (`polls.spare`).
        baseline: blue's last judged numbers (`status.baseline`).
        traffic: the answer of the traffic query, to print n for triggers; None if not asked.
        sequential: the sequential checks at the window's end, by name (`core.sequential`).
        unusable: why the numbers of limits on requests and latency are none, although they look like some, by name.
    """

    now: float
    scrape_interval: float = 15.0
    min_requests: float = 100
    counted: bool = True
    blue_serves: bool = True
    switched_at: float = 0.0
    since: float = 0.0
    spare: float = 0.0
    baseline: Sequence[CheckStatus] = ()
    traffic: Traffic | None = None
    sequential: Mapping[str, CheckStatus] = field(default_factory=dict)
    unusable: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failures:
    """Requests of one version in a trigger's range, and how many of them failed.

    Attributes:
        n, failed: as they were counted, or as near as they are known.
        behind: the requests that the share of the failed ones rests on.
    """

    n: float
    failed: float
    behind: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What one poll of a trigger has counted, by colour; `fault` says why nothing could be."""

    green: Failures = Failures(0.0, 0.0, 0.0)
    blue: Failures = Failures(0.0, 0.0, 0.0)
    fault: Reading | None = None

    @property
    def n(self) -> float | None:
        """Green's requests; None where they could not be counted."""
        return self.green.n if self.fault is None else None


def of_another_clock(time: float, now: float) -> bool:
    """Whether a time that we wrote down is still to come: our clock was set back since, or another controller's goes ahead of it.

    Whatever is counted from it begins anew, or it would last for as much longer.
    """
    return time > now + MAX_SKEW_SECONDS


def oldest_sample(context: Context) -> float:
    """The age from which on a sample says nothing about now, seconds."""
    return max(3 * context.scrape_interval, MAX_SKEW_SECONDS)


def of_one_clock(measured: Measured, now: float) -> Measured:
    """The answers, without those of a Prometheus whose clock is not ours: what was asked for one moment was answered for another."""
    apart = {
        key: _skewed(one, server - now)
        for key, one in measured.answers.items()
        if (server := one.answer.server_time) is not None and abs(server - now) > MAX_SKEW_SECONDS
    }
    return Measured({**measured.answers, **apart}) if apart else measured


def _skewed(one: Measurement, skew: float) -> Measurement:
    side = "ahead" if skew > 0 else "behind"
    words = f"{abs(skew):,.1f} s {side}, limit {MAX_SKEW_SECONDS:g} s"
    return replace(one, answer=Answer(fault=AnswerFault.CLOCK_SKEW, message=words))


def answer_of(measurement: Measurement | None) -> Answer | Reading:
    """The answer of Prometheus, or the reason why nothing may be concluded from it."""
    if measurement is None:
        return Reading(reason=reasons.NOT_MEASURED)
    answer = measurement.answer
    if answer.fault is not None:
        return Reading(reason=reasons.FAULTS[answer.fault], detail=answer.message)
    if answer.warnings:
        return Reading(reason=reasons.PARTIAL_ANSWER, detail="; ".join(answer.warnings))
    return answer


def too_short(window: WindowStatus, context: Context) -> str:
    """What the window lacks to be judged at all; empty where it is long enough."""
    scrapes = window.ran / context.scrape_interval if context.scrape_interval > 0 else MIN_SCRAPES
    if scrapes >= MIN_SCRAPES - 0.5:  # a scrape comes a little late at times
        return ""
    return f"{scrapes:.1f} of {MIN_SCRAPES} scrapes"


def needed_requests(check: Check, context: Context) -> float:
    """Requests of green that this check needs: the stage's least number, or its own where that is higher."""
    return max(context.min_requests, check.needed_requests)


def lacking(window: WindowStatus, context: Context) -> tuple[str, str] | None:
    """Why the window cannot be judged at all: a reason and its detail; None where it can."""
    if context.counted and window.n_green < context.min_requests:
        return reasons.TOO_FEW_REQUESTS, f"{window.n_green:,.0f} of {many(context.min_requests, 'request')} of green"
    short = too_short(window, context)
    return (reasons.TOO_FEW_SAMPLES, short) if short else None
