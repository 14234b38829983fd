"""What `penstock preflight` prints: blue's rates and dispersion, the pretended releases, and what each stage can find."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from analysis.preflight import Preflight
from analysis.rate import Dispersion
from controller.api.measured import LEAST_HOURS, Measured, MeasuredLine
from controller.api.plan import PlanSpec
from controller.cli import plan_detect
from controller.cli.exits import ExitCode
from controller.cli.host import say, tell
from controller.cli.judge_words import clock
from controller.cli.preflight_read import Past
from controller.core.tested import measured_key, setting_of
from controller.core.words import many

Key = tuple[str, str, str]
"""Built-in check, workload and digest of own counters: what is measured once, whatever the checks are called."""

_HOUR = 3600.0
_FIVE_MINUTES = 300.0
_FULL = 100
_MOST_PAST_ALPHA = 2
_ONE_POD = (
    " Let two or more serve for six hours and measure then; without that, judge by thresholds, or write analysis.dispersion into the plan, "
    "large if users retry (2 is assumed)."
)


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that is shown.

    Attributes:
        plan: namespace and name.
        spec: the plan with what was measured, and the checks that were looked at.
        pasts: what was read, by what is measured once.
        found: blue against itself.
        measured: what there is to store; None where nothing could be measured.
        until: end of the time that was looked at, Unix seconds.
        assumed: the plan has no sequential check, so that the two usual ones were looked at.
        partial: some answer of Prometheus was not complete.
        kept: how it was stored, a sentence; "" where it was not.
        unmeasured: sequential gauges that could not be measured, and why, clauses.
    """

    plan: str
    spec: PlanSpec
    pasts: Mapping[Key, Past]
    found: Preflight
    measured: Measured | None
    until: float
    assumed: bool = False
    partial: bool = False
    kept: str = ""
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    @property
    def noisy(self) -> bool:
        """Blue would be rolled back in favour of itself more often than alpha allows, whatever the dispersion."""
        return self.found.left > _MOST_PAST_ALPHA * self.spec.analysis.alpha * self.found.releases

    @property
    def blind(self) -> tuple[str, ...]:
        """Checks that no stage is long enough for."""
        acting = [check for check in self.spec.checks if check.sequential and not check.observe] if self.measured is not None else []
        known = {check.name: (check, setting_of(self.spec, check).known) for check in acting}
        return tuple(
            name for name, (check, lines) in known.items() if any(not plan_detect.finds(self.spec, check, line, self.rps) for line in lines)
        )

    @property
    def missing(self) -> str:
        """Why the numbers are not enough, a sentence; "" where they are."""
        if self.measured is None:
            faults = dict.fromkeys(past.fault or "there is only 1 pod, which has no halves" for past in self.pasts.values())
            advice = _ONE_POD if any(not past.fault for past in self.pasts.values()) else ""
            return f"Nothing can be measured: {'; '.join(faults)}.{advice}"
        if self.measured.hours < LEAST_HOURS:
            return f"{self.measured.hours:.3g} hours of blue are too few to go by: {LEAST_HOURS:g} are needed."
        return "An answer of Prometheus was not complete." if self.partial else ""

    @property
    def usable(self) -> bool:
        """Whether a release may go by it."""
        return not self.noisy and not self.missing and not self.blind

    @property
    def code(self) -> ExitCode:
        """How the command ends."""
        return ExitCode.HELD if self.missing else ExitCode.NO if self.noisy or self.blind else ExitCode.REACHED

    @property
    def rps(self) -> float:
        """Blue's requests a second."""
        return requests_a_second(self.pasts)

    def after_storing(self, written: PlanSpec) -> "Told":
        """The same, stored beside a plan that was written so."""
        own = written.analysis.measured is not None
        kept = f"Stored for plan {self.plan}; the next release freezes it."
        if written.analysis.dispersion is not None:
            kept += f" It goes by the plan's own dispersion of {written.analysis.dispersion:g} all the same."
        elif own and written.analysis.measured != self.measured:
            kept += " What the plan itself has under analysis.measured comes first."
        return replace(self, kept=kept)


def requests_a_second(pasts: Mapping[Key, Past]) -> float:
    """Of blue; of several workloads the one with most, and 0 without any."""
    return max((past.n / past.seconds for past in pasts.values() if past.seconds), default=0.0)


def print_text(told: Told) -> None:
    """For people: data on stdout, what is to be said about it on stderr."""
    for line in _table(told):
        tell(line)
    for block in (list(_replayed(told)), _found(told)):
        for line in ["", *block] if block else []:
            tell(line)
    for sentence in sentences(told):
        say(sentence)


def _table(told: Told) -> Iterator[str]:
    weights = [stage.weight for stage in told.spec.stages if stage.weight < _FULL]
    rows = [("check", "workload", "bad requests", "blue has", "dispersion", *(f"at {weight} %" for weight in weights))]
    for key, past in told.pasts.items():
        lines, called = told.measured.of(*key) if told.measured is not None else (), (_called(told.spec, key), key[1])
        rows += [(*called, *_line(line, weights)) for line in lines]
        for edge, share in past.unusable.items():
            why = "not usable: no stage is long enough" if edge in past.uneven else _why_not(share)
            rows.append((*called, f"beyond {edge:g} ms", f"{100 * share:.3g} %", why))
        if not lines:
            rows.append((*called, past.fault or "not measured: 1 pod has no halves"))
    for gauge in told.measured.gauges if told.measured is not None else ():
        differ = 100 * math.sqrt(gauge.variance / _FIVE_MINUTES)
        rows.append((gauge.check, "", f"two halves of blue differ by {differ:.2g} % over five minutes"))
    rows += [(name, "", f"not measured: {why}") for name, why in told.unmeasured.items()]
    yield f"Blue of plan {told.plan}, {_span(told)} until {clock(told.until)}:"
    widths = [max(len(row[column]) for row in rows if column < len(row) - 1) for column in range(len(rows[0]) - 1)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=False)).rstrip()


def _called(spec: PlanSpec, key: Key) -> str:
    """The built-in check, or the name of the first check with these counters."""
    return next((check.name for check in spec.checks if key[2] and check.sequential and measured_key(spec, check) == key), key[0])


def _span(told: Told) -> str:
    past = max(told.pasts.values(), key=lambda one: one.seconds)
    whose = "" if past.reporter in ("destination", "") else " of callers, whose reports tell no pods apart,"
    return f"{past.seconds / _HOUR:.3g} hours of {many(past.pods, 'pod')}{whose} with {many(told.rps, 'request', '.3g')} a second"


def _line(line: MeasuredLine, weights: Sequence[int]) -> tuple[str, ...]:
    phi = Dispersion(line.bursts, line.widest)
    what = "failed" if line.edge is None else f"beyond {line.edge:g} ms"
    shown = f"{line.bursts:.2f} to {line.widest:.2f}"
    return (what, f"{line.share:.3g} %", shown, *(f"{phi.at(weight / _FULL):.2f}" for weight in weights))


def _why_not(share: float) -> str:
    if share < 0.001:  # noqa: PLR2004 - as `latency.usable_edges` has it
        return "not used: fewer than 0.1 %"
    return "not usable: more than 50 %" if share > 0.5 else "not used: five edges are enough"  # noqa: PLR2004 - as above


def _replayed(told: Told) -> Iterator[str]:
    found, alpha = told.found, told.spec.analysis.alpha
    if not found.releases:
        return
    causes = ", ".join(f"{name} {count:,}" for name, count in (found.causes or {}).items() if count)
    stretches = f"{found.stretches:,} {'stretch' if found.stretches == 1 else 'stretches'} of time"
    yield f"Blue against itself, other pods as green each time: {many(found.releases, 'release')} over {stretches}"
    by = "with the plan's own dispersion" if told.spec.analysis.dispersion is not None else "each half judged by what the other half says"
    yield f"({by})."
    yield f"  as measured   {found.rollbacks:,} rolled back ({found.rollbacks / found.releases:.2%}){f': {causes}' if causes else ''}"
    if found.left != found.rollbacks:
        yield f"  raised        {found.left:,} rolled back ({found.rate:.2%}) with the dispersions above"
    yield f"  so at most {found.at_most:.1%} of such releases (exact, 95 %, by stretches); alpha is {alpha:.3g}"


def _found(told: Told) -> list[str]:
    return plan_detect.lines_of(plan_detect.detections(told.spec, told.rps), float(f"{told.rps:.3g}")) if told.measured is not None else []


def sentences(told: Told) -> Iterator[str]:
    """What is to be said about it, each a sentence."""
    if told.assumed:
        yield "The plan has no sequential check; error rate and latency were looked at as they are by default."
    if told.measured is not None and not told.found.releases:
        yield "No release of this plan fits into the time, so that blue was not released against itself."
    if told.noisy:
        yield (
            f"Blue would be rolled back in favour of itself in {told.found.rate:.1%} of releases even so: are some of its pods sick? "
            "Judge this plan by thresholds until then."
        )
    elif told.blind and not told.missing:
        yield (
            f"No stage is long enough for {' and '.join(told.blind)} to find what a pass must be able to show: too few requests, or pods "
            "of blue that differ too much. Lengthen the stages, ask for a larger effect, or judge by thresholds."
        )
    yield from _doubts(told)
    if told.missing:
        yield told.missing
    if told.kept:
        yield told.kept
    elif told.usable:
        yield "Nothing was stored."


def _doubts(told: Told) -> Iterator[str]:
    """What of blue was not seen."""
    counted = min((past.until for past in told.pasts.values() if past.until), default=told.until)
    if told.until - counted > _FIVE_MINUTES:
        yield f"After {clock(counted)} nothing of blue was counted: there are no samples then, or the newest of some counter are no counts."
    for key, past in told.pasts.items():
        if past.unseen:
            yield (
                f"{_called(told.spec, key)}: no sample of {past.unseen} in all this time, so that blue has never failed, or there is "
                "no such counter: look at the metric's name and labels."
            )


def as_json(told: Told) -> dict[str, Any]:
    """For machines."""
    found = told.found
    return {
        "plan": told.plan,
        "usable": told.usable,
        "problem": told.missing,
        "requestsPerSecond": told.rps,
        "measured": told.measured.model_dump(mode="json", exclude_none=True) if told.measured is not None else None,
        "pasts": [
            {
                "check": _called(told.spec, key), "builtin": key[0], "workload": key[1],
                "pods": past.pods, "reporter": past.reporter, "hours": past.seconds / _HOUR,
                "requests": past.n, "fault": past.fault, "unseenFailures": past.unseen,
                "unusableEdges": [{"edge": edge, "percent": 100 * share} for edge, share in past.unusable.items()],
            }
            for key, past in told.pasts.items()
        ],
        "releases": {
            "count": found.releases, "stretches": found.stretches, "rolledBack": found.left, "rate": found.rate, "atMost": found.at_most,
            "asMeasured": found.rollbacks, "causes": dict(found.causes or {}), "alpha": told.spec.analysis.alpha,
        },
        "unmeasuredGauges": dict(told.unmeasured),
        "detects": [asdict(one) for one in plan_detect.detections(told.spec, told.rps)] if told.measured is not None else [],
        "stored": bool(told.kept),
    }  # fmt: skip
