"""A verdict as one sentence for people: both numbers, the limit, n, and what the evidence amounts to.

It says only what stands in the verdict. Sequential verdicts name the release's e-value and its bound, since
when the evidence grew and what would have been needed; thresholds name the line that was nearest.
"""

import math
from datetime import UTC, datetime

from analysis import reasons
from analysis.model import Outcome, Verdict

_MISSING = {
    reasons.NO_SERIES: "the answer had no series",
    reasons.NOT_A_NUMBER: "the answer was NaN",
    reasons.INFINITE: "the answer was infinite",
    reasons.SEVERAL_SERIES: "the answer had several series where one was expected",
    reasons.PARTIAL_ANSWER: "the answer was partial",
    reasons.STALE_SAMPLE: "the newest sample was too old",
    reasons.WRONG_TYPE: "the answer was of another type than expected",
    reasons.BASELINE_MISSING: "the baseline had no number",
    reasons.BASELINE_UNUSABLE: "the baseline's number cannot be compared with",
    reasons.NEGATIVE_NUMBER: "the candidate's number is negative, so that it is no share of the baseline's",
    reasons.UNUSABLE_COUNTER: "a counter's newest samples are no counts (NaN, infinite, negative or beyond 2^53)",
    reasons.TOO_FEW_SAMPLES: "there were too few samples",
    reasons.NOT_CONFIRMED: "it was not confirmed by further measurements",
    reasons.SAME_SERIES: "a selector finds series of the other version, too, and what counts for both can never differ",
    reasons.NO_INF_BUCKET: "a histogram had no +Inf bucket",
    reasons.BAD_BUCKET_EDGE: "a bucket's edge was no number",
    reasons.FALLING_BUCKETS: "a histogram counted less below a larger edge",
    reasons.NO_COMMON_EDGE: "no bucket edge of the histograms can be tested",
}
_MUCH = 1e6
_ROUNDED = 1e-9


def explain(verdict: Verdict) -> str:
    """One sentence, without the final full stop where a list of numbers ends it."""
    if verdict.reason == reasons.EVIDENCE_AGAINST:
        return _failed(verdict)
    if verdict.reason == reasons.NO_EVIDENCE_AGAINST:
        worse = verdict.detail.get("ratio_low", 0.0) > 1
        said = "worse than the baseline, but not shown to be worse than tolerated" if worse else "no sign that the candidate is worse"
        return (
            f"{verdict.check}: {said}: {_numbers(verdict)}; "
            f"{_evidence(verdict)}, and {verdict.detail.get('needed', 0):,.0f} requests were enough to show the effect that matters."
        )
    if verdict.reason == reasons.TOO_FEW_REQUESTS:
        needed = verdict.detail.get("needed")
        if needed is not None and math.isinf(needed):
            tolerated = "whatever the number of requests, what is tolerated at the baseline's rate allows the effect that matters"
            return f"{verdict.check}: cannot be told: {tolerated}: {_numbers(verdict)}."
        of = f"; {needed:,.0f} requests of the candidate are needed" if needed is not None else ""
        return f"{verdict.check}: too few requests to tell{of}: {_numbers(verdict)}."
    if verdict.reason == reasons.WORSE_UNPROVEN:
        return (
            f"{verdict.check}: worse than tolerated over the whole window, but scrape by scrape not beyond doubt: {_numbers(verdict)}; "
            f"{_evidence(verdict)}."
        )
    if verdict.reason == reasons.TOO_FEW_SAMPLES and "scrapes" in verdict.detail:
        return f"{verdict.check}: too few scrapes to tell: {scrapes_shown(verdict)}: {_numbers(verdict)}."
    if verdict.reason == reasons.NOT_CONCLUDED:
        return f"{verdict.check}: another check gave the evidence against the release; here {_numbers(verdict)}, {_evidence(verdict)}."
    if verdict.reason == reasons.BOTH_BEYOND_LIMIT:
        return f"{verdict.check}: the limit is broken beyond doubt, whatever the baseline does: {_numbers(verdict)}."
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return f"{verdict.check}: cannot be judged: {_MISSING.get(verdict.reason, verdict.reason)}."
    held = "is within" if verdict.outcome is Outcome.PASS else "is beyond"
    return f"{verdict.check}: the candidate {held} its limit: {_numbers(verdict)}."


def scrapes_shown(verdict: Verdict) -> str:
    """Of how many scrapes the requests can show the effect that matters, and how many it takes: "2 of 4 scrapes"."""
    shown, scrapes = math.floor(verdict.detail["shown"] + _ROUNDED), math.ceil(verdict.detail["scrapes"])
    return f"the requests show as much as {shown:,d} of {scrapes:,d} scrapes that would show the effect that matters"


def _failed(verdict: Verdict) -> str:
    since = verdict.detail.get("since")
    grown = f" It grew since {_clock(since)}." if since is not None else ""
    return f"{verdict.check}: the candidate is worse than tolerated: {_numbers(verdict)}; {_evidence(verdict)}.{grown}"


def _numbers(verdict: Verdict) -> str:
    """The numbers as in "2.1 % vs 0.5 % (4.2 times, limit 1.05 %, n = 1,204)"."""
    if verdict.candidate is None:
        return "the candidate has no number"
    value = _amount(verdict.candidate, verdict.unit)
    told = []
    if verdict.baseline is not None:
        value += f" vs {_amount(verdict.baseline, verdict.unit)}"
        low, high = verdict.detail.get("ratio_low"), verdict.detail.get("ratio_high")
        if low is not None and high is not None:
            told.append(_times(low, high))
        elif verdict.baseline > 0:
            told.append(f"{100 * (verdict.candidate / verdict.baseline - 1):+.0f} %")
    if verdict.limit is not None:
        told.append(f"limit {_amount(verdict.limit, verdict.unit)}")
    if verdict.n is not None:
        told.append(f"n = {verdict.n:,.0f}")
    return f"{value} ({', '.join(told)})" if told else value


def _times(low: float, high: float) -> str:
    if low <= 0:
        return f"at most {high:.3g} times the baseline" if math.isfinite(high) else "ratio still open"
    return f"{low:.3g} to {high:.3g} times the baseline" if math.isfinite(high) else f"at least {low:.3g} times the baseline"


def _amount(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".strip()


def _evidence(verdict: Verdict) -> str:
    ln_e = verdict.detail.get("ln_e_release", verdict.detail.get("ln_e", 0.0))
    return f"the release's e-value is {_large(ln_e)} of {_large(verdict.detail.get('ln_bound', 0.0))}"


def _large(ln_value: float) -> str:
    if ln_value > math.log(_MUCH):
        return f"10^{ln_value / math.log(10):.0f}"
    return f"{math.exp(ln_value):,.2g}" if ln_value < math.log(10) else f"{math.exp(ln_value):,.0f}"


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S UTC")
