"""What `penstock judge` prints: the verdict's sentence, the numbers of each check, and what they rest on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from analysis.explain import explain
from analysis.model import Outcome, Verdict, Window
from analysis.retrospect import Found, Retrospect
from analysis.sequential import Kind, Known
from controller.api.base import format_duration
from controller.cli.host import print_object, say, tell
from controller.core.words import many
from controller.report.past import Beside


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that is shown.

    Attributes:
        found: the sequential verdicts.
        beside: the plan's other checks and its triggers.
        window: that was asked for.
        outcome: of all together.
        seconds: of the baseline by which it was known before the window, by sequential check; 0 where nothing was.
        failed: which requests counted as failed, in words.
        odd: what is odd about those that `--errors` finds, sentences.
        reporter: whose counters were taken of the two that count, a sentence; "" where there was one.
        notes: what is missing, clauses.
        queries: of the sequential checks that do not count what the two selectors select, by check and colour.
        parameters: what the plan's queries were asked with, a sentence; "" where it has none.
        partial: Prometheus warned that an answer is not complete.
        why: a sentence where the outcome is none of the verdicts'.
        probes: names of the triggers that were left out, because nobody has kept what health endpoints answered.
    """

    found: Retrospect
    beside: tuple[Beside, ...]
    window: Window
    outcome: Outcome
    seconds: Mapping[str, float]
    failed: str = ""
    odd: str = ""
    reporter: str = ""
    notes: tuple[str, ...] = ()
    queries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    parameters: str = ""
    partial: bool = False
    why: str = ""
    probes: tuple[str, ...] = ()

    @property
    def reached(self) -> float | None:
        """When a release would have gone back, Unix seconds; None where it would not."""
        fired = [one.acted for one in self.beside if one.kind == "trigger" and one.acted is not None]
        return min([*fired, *([self.found.reached] if self.found.reached is not None else [])], default=None)

    @property
    def stopped(self) -> tuple[float, str] | None:
        """When a release would have stopped for a person before it went back, and for which check."""
        alerts = [(one.alerted, one.asked.name) for one in self.found.checks if one.alerted is not None and not one.asked.observe]
        alerts += [(one.acted, one.status.name) for one in self.beside if one.kind == "sequential" and one.acted is not None]
        first = min(alerts, default=None)
        return first if first is not None and (self.reached is None or first[0] < self.reached) else None


def clock(time: float) -> str:
    """A moment in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def print_text(told: Told) -> None:
    """For people: data on stdout, what it rests on on stderr."""
    tell(f"{told.outcome}: {sentence_of(told)}")
    for sentence in moments_of(told):
        tell(sentence)
    if told.found.checks:
        tell("")
        for line in _table([_HEAD, *(_row(verdict) for verdict in told.found.verdicts)]):
            tell(line)
    for one in told.beside:
        tell(f"{one.outcome}: {one.sentence}{' (it only observes)' if one.observe else ''}")
    for note in notes_of(told):
        say(note)


def moments_of(told: Told) -> list[str]:
    """When a release would have stopped for a person, and when it would have gone back."""
    said = []
    if told.stopped is not None:
        at, check = told.stopped
        said.append(f"A release would have stopped for a person at {clock(at)}, {_after(told, at)}: {check} asks.")
    if told.reached is not None:
        numbers = "; the numbers are those until then" if told.reached == told.found.reached else ""
        said.append(f"A release would have been rolled back at {clock(told.reached)}, {_after(told, told.reached)}{numbers}.")
    return said


def _after(told: Told, time: float) -> str:
    return f"{format_duration(round(time - told.window.start))} after the begin"


_HEAD = ("check", "outcome", "candidate", "baseline", "n candidate", "n baseline", "e-value", "ratio, 95 %")


def sentence_of(told: Told) -> str:
    """The sentence that stands first: of the trigger that ended it, of a verdict with the outcome of all, or why it is none of theirs."""
    if told.why:
        return told.why
    fired = next((one for one in told.beside if one.kind == "trigger" and one.acted is not None and one.acted == told.reached), None)
    if fired is not None:
        return fired.sentence
    every = [(one.verdict.outcome, explain(one.verdict)) for one in told.found.checks if not one.asked.observe]
    every += [(one.outcome, one.sentence) for one in told.beside if not one.observe]
    return next(sentence for outcome, sentence in every if outcome is told.outcome)


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
    found = told.found
    said = []
    if found.evidence is not None:
        evidence = f"The release's e-value is {_large(found.evidence.ln_e)}, its bound {_large(found.evidence.ln_bound)}"
        said.append(f"{evidence}; {many(found.ticks, 'tick')}.")
    said += [_known(one, told.seconds.get(one.asked.name, 0.0)) for one in found.checks]
    said += [f"Failed requests: {told.failed}."] if told.failed else []
    said += [told.odd] if told.odd else []
    said += [told.reporter] if told.reporter else []
    said += [told.parameters] if told.parameters else []
    aside = [f"{many(one.set_aside, 'request')} of {one.asked.name}" for one in found.checks if one.set_aside]
    said += [f"Set aside: {', '.join(aside)}, because their pods came back after a silence."] if aside else []
    said += ["An answer was partial: this is never a pass."] if told.partial else []
    said += [f"Left out: {', '.join(told.probes)}. Nobody has kept what health endpoints answered."] if told.probes else []
    return said + [f"Missing: {note}." for note in told.notes]


def _known(one: Found, seconds: float) -> str:
    """What a check knew of the baseline: so much of it, or what is assumed instead."""
    name, setting = one.asked.name, one.asked.setting
    if not setting.known:
        return f"Nothing is known of the baseline for {name}."
    lines = ", ".join(_line(line, setting.kind) for line in setting.known)
    spread = f"a dispersion of {_spread(setting.known)}"
    if seconds:
        return f"Known before of {name}: {format_duration(round(seconds))} of the baseline with {lines}, and {spread}."
    source = "the window's first tenth says" if setting.kind is Kind.LATENCY else "assumed are"
    return f"Nothing is known before of {name}: {source} {lines}, and {spread}{' is assumed' if setting.kind is Kind.LATENCY else ''}."


def _line(line: Known, kind: Kind) -> str:
    return f"{100 * line.p_hist:.3g} % " + ("errors" if kind is Kind.ERRORS else f"beyond {line.edge:g}")


def _spread(every: Sequence[Known]) -> str:
    """The least and the most of the lines' dispersions; below 1 the tests take 1."""
    phis = [line.dispersion for line in every]
    return f"{max(1.0, min(one.bursts for one in phis)):.2f} to {max(1.0, *(one.widest for one in phis)):.2f}"


def print_json(told: Told) -> None:
    """For machines."""
    found, stopped = told.found, told.stopped
    print_object(
        {
            "outcome": str(told.outcome),
            "sentence": sentence_of(told),
            "window": {"from": told.window.start, "to": told.window.end},
            "rolledBackAt": told.reached,
            "stoppedAt": stopped[0] if stopped is not None else None,
            "lnE": found.evidence.ln_e if found.evidence is not None else None,
            "lnBound": found.evidence.ln_bound if found.evidence is not None else None,
            "ticks": found.ticks,
            "checks": [_sequential(one, told.seconds.get(one.asked.name, 0.0)) for one in found.checks],
            "beside": [_other(one) for one in told.beside],
            "failed": told.failed,
            "odd": told.odd,
            "parameters": told.parameters,
            "partial": told.partial,
            "leftOut": list(told.probes),
            "missing": list(told.notes),
        },
        "json",
    )


def _sequential(one: Found, seconds: float) -> dict[str, Any]:
    verdict = one.verdict
    lines = [
        {
            "edge": line.edge if math.isfinite(line.edge) else None, "share": 100 * line.p_hist,
            "bursts": line.dispersion.bursts, "widest": line.dispersion.widest,
        }
        for line in one.asked.setting.known
    ]  # fmt: skip
    return {
        "check": verdict.check,
        "outcome": str(verdict.outcome),
        "observe": one.asked.observe,
        "reason": verdict.reason,
        "sentence": explain(verdict),
        "candidate": verdict.candidate,
        "baseline": verdict.baseline,
        "limit": verdict.limit,
        "unit": verdict.unit,
        "n": verdict.n,
        "alertedAt": one.alerted,
        "setAside": one.set_aside,
        "known": {"seconds": seconds, "lines": lines},
        # Infinity is no JSON; an open end is null.
        "detail": {name: value if math.isfinite(value) else None for name, value in verdict.detail.items()},
    }


def _other(one: Beside) -> dict[str, Any]:
    status = one.status
    return {
        "check": status.name,
        "kind": one.kind,
        "outcome": str(one.outcome),
        "observe": one.observe,
        "reason": status.reason,
        "sentence": one.sentence,
        "candidate": status.value,
        "baseline": status.baseline,
        "limit": status.limit,
        "unit": status.unit,
        "n": status.n,
        "actedAt": one.acted,
        "queries": dict(one.queries),
    }
