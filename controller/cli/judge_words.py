"""What `penstock judge` prints: the verdict's sentence, the numbers of each check, and what they rest on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from analysis.explain import explain
from analysis.model import Outcome, Verdict, Window
from analysis.rate import Dispersion
from analysis.retrospect import Retrospect
from controller.api.base import format_duration
from controller.cli.host import print_object, say, tell


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that is shown.

    Attributes:
        found: the sequential verdicts.
        beside: the plan's limits.
        window: that was asked for.
        notes: sentences about what is missing.
        partial: Prometheus warned that an answer is not complete.
        failed: which requests counted as failed, in words.
        outcome: of all together.
        why: a sentence where the outcome is none of the verdicts'.
    """

    found: Retrospect
    beside: tuple[Verdict, ...]
    window: Window
    notes: tuple[str, ...]
    partial: bool
    failed: str
    outcome: Outcome
    why: str = ""


def clock(time: float) -> str:
    """A moment in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def print_text(told: Told) -> None:
    """For people: data on stdout, what it rests on on stderr."""
    found = told.found
    tell(f"{told.outcome}: {sentence_of(told)}")
    if found.reached is not None:
        after = format_duration(round(found.reached - told.window.start))
        tell(f"A release would have been rolled back at {clock(found.reached)}, {after} after the begin; the numbers are those until then.")
    tell("")
    for line in _table([_HEAD, *(_row(verdict) for verdict in found.verdicts)]):
        tell(line)
    for verdict in told.beside:
        tell(f"{verdict.outcome}: {explain(verdict)}")
    for note in notes_of(told):
        say(note)


_HEAD = ("check", "outcome", "candidate", "baseline", "n candidate", "n baseline", "e-value", "ratio, 95 %")


def sentence_of(told: Told) -> str:
    """The sentence that stands first: of a verdict with the outcome of all, or why it is none of theirs."""
    if told.why:
        return told.why
    every = (*told.found.verdicts, *told.beside)
    return explain(next((verdict for verdict in every if verdict.outcome is told.outcome), every[0]))


def _row(verdict: Verdict) -> tuple[str, ...]:
    detail = verdict.detail
    return (
        verdict.check,
        str(verdict.outcome),
        _percent(verdict.candidate),
        _percent(verdict.baseline),
        f"{verdict.n or 0:,.0f}",
        f"{detail.get('baseline_n', 0):,.0f}",
        _large(detail.get("ln_e", 0.0)),
        _ratio(detail.get("ratio_low"), detail.get("ratio_high")),
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} %"


def _large(ln_value: float) -> str:
    return f"10^{ln_value / math.log(10):.0f}" if ln_value > math.log(1e6) else f"{math.exp(ln_value):.3g}"


def _ratio(low: float | None, high: float | None) -> str:
    if low is None or high is None or (low <= 0 and math.isinf(high)):
        return "open"
    if low <= 0:
        return f"at most {high:.3g}"
    return f"at least {low:.3g}" if math.isinf(high) else f"{low:.3g} to {high:.3g}"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def notes_of(told: Told) -> list[str]:
    """What the numbers rest on, and what is missing."""
    past, found = told.found.past, told.found
    tails = list(past.tails.values())
    before = (
        f"Known before: {format_duration(round(past.seconds))} of the baseline with {100 * past.p_hist:.3g} % errors and "
        f"a dispersion of {_spread([past.dispersion])}{f', beyond the bucket edges {_spread(tails)}' if tails else ''}."
        if past.seconds
        else f"Nothing is known before the window: {100 * past.p_hist:g} % errors and dispersion {past.dispersion.bursts:g} are assumed."
    )
    said = [
        f"The release's e-value is {_large(found.evidence.ln_e)}, its bound {_large(found.evidence.ln_bound)}; {found.ticks:,} ticks.",
        before,
    ]
    said += [f"Failed requests: {told.failed}."] if told.failed else []
    said += [f"{found.set_aside:,.0f} requests were set aside: their pods came back after a silence."] if found.set_aside else []
    said += ["An answer was partial: this is never a pass."] if told.partial else []
    return said + [f"Missing: {note}." for note in told.notes]


def _spread(every: Sequence[Dispersion]) -> str:
    """The least and the most of these dispersions; below 1 the tests take 1."""
    return f"{max(1.0, min(one.bursts for one in every)):.2f} to {max(1.0, *(one.widest for one in every)):.2f}"


def print_json(told: Told) -> None:
    """For machines."""
    found = told.found
    print_object(
        {
            "outcome": str(told.outcome),
            "sentence": sentence_of(told),
            "window": {"from": told.window.start, "to": told.window.end},
            "rolledBackAt": found.reached,
            "lnE": found.evidence.ln_e,
            "lnBound": found.evidence.ln_bound,
            "ticks": found.ticks,
            "setAside": found.set_aside,
            "past": {
                "seconds": found.past.seconds,
                "errorRate": found.past.p_hist,
                "bursts": found.past.dispersion.bursts,
                "widest": found.past.dispersion.widest,
                "tails": [{"edge": edge, "bursts": phi.bursts, "widest": phi.widest} for edge, phi in found.past.tails.items()],
            },
            "checks": [_as_json(verdict) for verdict in found.verdicts],
            "limits": [_as_json(verdict) for verdict in told.beside],
            "partial": told.partial,
            "missing": list(told.notes),
        },
        "json",
    )


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "check": verdict.check,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason,
        "sentence": explain(verdict),
        "candidate": verdict.candidate,
        "baseline": verdict.baseline,
        "limit": verdict.limit,
        "unit": verdict.unit,
        "n": verdict.n,
        # Infinity is no JSON; an open end is null.
        "detail": {name: value if math.isfinite(value) else None for name, value in verdict.detail.items()},
    }
