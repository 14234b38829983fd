"""The numbers of a check as a sentence: both of them, the limit and n.

    418 ms vs 251 ms (+66 %, limit +20 %, n = 1,204)

Every place that explains a check prints this one text. A change is cut, not rounded, so that it never
claims more than was measured.
"""

import math

from analysis.model import Outcome
from analysis.threshold import RELATIVE, Line, decisive
from controller.api.release import CheckStatus
from controller.core import reasons


def explain(status: CheckStatus) -> str:
    """One check in words: its name, then its numbers, or why there are none."""
    if status.outcome is None:
        return f"{status.name}: {numbers(status) if status.ln_bound is not None else 'not measured yet'}"
    if status.outcome is Outcome.INCONCLUSIVE:
        return f"{status.name}: {reasons.say(status.reason, status.detail)}"
    told = numbers(status) if has_numbers(status) else reasons.say(status.reason, status.detail).rstrip(".")
    return f"{status.name}: {told}{_times(status)}"


def _times(status: CheckStatus) -> str:
    """How often it failed, behind its numbers: `, 4 in a row`, or `, 2 of the last 3` where its rule counts so."""
    if status.outcome is not Outcome.FAIL or status.ln_bound is not None:
        return ""
    if has_numbers(status) and status.detail:
        return f", {status.detail}"
    counted = decisive(status.recent)
    streak = len(counted) - len(counted.rstrip("f"))
    return f", {streak} in a row" if streak > 1 else ""


def has_numbers(status: CheckStatus) -> bool:
    """Whether it was decided by a number and a limit."""
    return status.value is not None and status.limit is not None


def numbers(status: CheckStatus) -> str:
    """Green's number, blue's where it was compared, and in brackets the change, the limit and n."""
    if status.ln_bound is not None:
        return _sequential(status)
    if status.value is None or status.limit is None:
        return status.detail
    against = ""
    if status.baseline is not None and status.line in RELATIVE:
        where = " when last judged" if status.remembered else ""
        against = f" vs {quantity(status.baseline, status.unit)}{where}"
    inner = [*_limit_words(status, status.value, status.limit)]
    if status.n is not None:
        inner.append(f"n = {status.n:,.0f}")
    return f"{_green(status.value, status.limit, status.unit)}{against} ({', '.join(inner)})"


def _sequential(status: CheckStatus) -> str:
    """`1.9 % vs 0.52 % (limit 0.62 %, n = 2,104, e-value 131 of 100)`; the limit is what the tolerance makes of blue's rate.

    From the second stage on the e-value is one `over all stages`, while the rates and n are this stage's. A pass with a rate beyond the
    limit says so: `0.55 % vs 0.2 % (above the limit 0.27 %, not proven, n = 11,208, e-value 0.68 of 100)`.
    A gauge counts no requests and goes back for nothing: `62 % vs 40 % (now +55 %, +38 % on average, limit +20 %, e-value 131 of 100)`.
    """
    if status.ln_e is None:
        return _paired(status)
    stages = " over all stages" if status.earlier_stages else ""
    told = f"e-value {large(status.ln_e)} of {large(status.ln_bound or 0.0)}{stages}"
    if status.ln_alert is not None:
        told += f", beyond the limit whatever blue does {large(status.ln_alert)} of {large(status.ln_bound or 0.0)}"
    if status.ln_early is not None:
        told += f", within the margin {large(status.ln_early)} of {large(status.ln_early_bound or 0.0)}"
    if status.value is None:
        return f"no requests of both versions counted yet ({told})"
    where = " when last judged" if status.remembered and status.baseline is not None else ""
    against = f" vs {quantity(status.baseline, status.unit)}" if status.baseline is not None else ""
    inner = []
    if status.limit is not None:
        limit = f"limit {quantity(status.limit, status.unit)}"
        unproven = status.outcome is Outcome.PASS and status.value > status.limit and status.ln_alert is None
        inner += [f"above the {limit}", "not proven"] if unproven else [limit]
    inner += [f"n = {status.n:,.0f}"] if status.n is not None else []
    behind = f" {status.line}" if status.line else ""
    return f"{quantity(status.value, status.unit)}{against}{behind}{where} ({', '.join([*inner, told])})"


def _paired(status: CheckStatus) -> str:
    told = f"e-value {large(status.ln_alert or 0.0)} of {large(status.ln_bound or 0.0)}"
    if status.value is None or status.baseline is None or status.limit is None:
        return f"not paired yet ({told})"
    now, *limit = _limit_words(status, status.value, status.limit)
    mean = [f"{100 * (status.mean_ratio - 1):+.0f} % on average"] if status.mean_ratio is not None else []
    words = ", ".join([f"now {now}", *mean, *limit, told])
    return f"{quantity(status.value, status.unit)} vs {quantity(status.baseline, status.unit)} ({words})"


def large(ln_value: float) -> str:
    """An e-value from its log: `0.81`, `131`, `10^9`."""
    if ln_value > _LN_MILLION:
        return f"10^{ln_value / math.log(10):.0f}"
    value = math.exp(ln_value)
    return f"{value:.2g}" if value < 10 else f"{math.floor(value + 1e-9):,}"  # noqa: PLR2004 - cut, not rounded, so that it never claims more


_LN_MILLION = math.log(1e6)


def _green(value: float, limit: float, unit: str) -> str:
    """The value with as many digits as it takes to tell it from the limit."""
    if value != limit and number(value) == number(limit):
        return _with_unit(f"{value:.7g}", unit)
    return quantity(value, unit)


def _limit_words(status: CheckStatus, value: float, limit: float) -> list[str]:
    baseline = status.baseline
    if baseline is not None and status.line in (Line.MAX_RATIO, Line.MIN_RATIO) and baseline > 0:
        return _ratio_words(value / baseline, limit / baseline)
    if baseline is not None and status.line in (Line.MAX_DIFFERENCE, Line.MIN_DIFFERENCE):
        unit = "points" if status.unit == "%" else status.unit
        return [_signed(value - baseline, unit), f"limit {_signed(limit - baseline, unit)}"]
    word = {Line.MIN: "at least ", Line.BELOW: "below "}.get(Line(status.line), "") if status.line in set(Line) else ""
    return [f"limit {word}{quantity(limit, status.unit)}"]


def _ratio_words(ratio: float, limit: float) -> list[str]:
    allowed = round(100 * (limit - 1), 1)
    exact = round(100 * (ratio - 1), 6)
    change = math.trunc(exact)
    # Close to the limit whole percents would hide on which side it is.
    shown = f"{exact:+.2f}" if change == math.trunc(allowed) and exact != allowed else f"{change:+,d}"
    return [f"{shown} %", f"limit {allowed:+,.10g} %"]


def _signed(value: float, unit: str) -> str:
    value = round(value, 9)
    return ("+" if value >= 0 else "-") + quantity(abs(value), unit)


def quantity(value: float, unit: str) -> str:
    """A number with its unit: `418 ms`, `6.1 %`, `0.25`."""
    return _with_unit(number(value), unit)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


def number(value: float) -> str:
    """Whole from 100 on, two decimals from 1 on, three digits below."""
    size = abs(value)
    if size >= 100:  # noqa: PLR2004 - see the docstring
        return f"{value:,.0f}"
    if size >= 1:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.3g}"
