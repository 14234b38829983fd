"""What blue's past says about a plan: dispersion by check and line, and releases of blue against itself. For `penstock preflight`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis import preflight as library
from analysis.model import Window
from analysis.preflight import Asked, Step
from analysis.rate import Dispersion
from analysis.splits import active
from analysis.splits import measured as dispersion_of
from controller.adapters.records import plan_view, read_subject
from controller.api.measured import Measured, MeasuredCheck, MeasuredLine
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn, Check, default_checks
from controller.cli.host import say
from controller.cli.plan import timetable
from controller.cli.plan_detect import finds
from controller.cli.plan_mode import Told as Mode
from controller.cli.plan_mode import mode_of
from controller.cli.preflight_gauges import Gauges, gauges_of
from controller.cli.preflight_read import LEAST_PODS, Past, Reading, Sources, own_past_of, past_of
from controller.cli.preflight_words import Key, Told, requests_a_second
from controller.core.queries import Naming, Place, member_of, pair_of
from controller.core.tested import measured_key, scrapes_of, setting_of, shares
from controller.ports import RELEASE, RELEASE_PLAN, Kube, NotFoundError

_HOUR = 3600.0
_FULL = 100

Place3 = tuple[str, str, PlanSpec]
"""Namespace, name and spec of the plan."""


def examine(place: Place3, sources: Sources, window: Window, kube: Kube | None) -> Told:
    """Everything that blue's past says about a plan. Raises `CommandError`."""
    namespace, name, spec = place
    mode = _mode(place, kube)
    judged, assumed = _judged(spec)
    naming = Naming(namespace, mode.blue_slot, mode.mode)
    pasts: dict[Key, Past] = {}
    for check in judged.checks:
        # Requests depend on each other in the same way whoever counts them: of two checks of a kind the first one's provider is asked.
        if check.sequential and measured_key(spec, check) not in pasts:
            reading = Reading(sources.of(check.provider), window, scrapes_of(spec), mode.mode, spec.traffic.reporter)
            pasts[measured_key(spec, check)] = _past(reading, spec, check, naming)
    lines = {key: _lines(key, past) for key, past in pasts.items() if past.pods >= LEAST_PODS}
    known = _measured(lines, window, pasts)
    known = _that_find(known, judged, pasts) if known is not None else None
    found, measured, gauges = library.Preflight(()), known, Gauges()
    if known is not None:
        judged = _with(judged, known)
        found = library.preflight(_asked(judged, pasts), _steps(judged), judged.analysis.alpha)
        say(f"Blue was released against itself {found.releases:,} times.")
        gauges = gauges_of(spec, sources, window, naming, _pods(pasts))
        measured = _raised(known, judged, found).model_copy(update={"gauges": list(gauges.measured)})
        judged = _with(judged, measured)
    told = Told(f"{namespace}/{name}", judged, pasts, found, measured, until=window.end, assumed=assumed, partial=sources.partial)
    return replace(told, unmeasured=gauges.faults)


def _pods(pasts: Mapping[Key, Past]) -> set[str]:
    """Names of blue's pods that had requests."""
    targets = (target for past in pasts.values() if past.reporter != "source" for target in active(past.parts))
    return {value for target in targets for label, value in target if label == "pod"}


def _mode(place: Place3, kube: Kube | None) -> Mode:
    """Which slot is blue, and how the routes tell the versions apart; while a release runs, as that one found it.

    Without a cluster it does not matter to what blue's pods report; only callers' reports differ.
    """
    namespace, name, spec = place
    if kube is None:
        return mode_of(spec, (namespace, name), "subset" if spec.traffic.destination_rule else "host", None)
    try:
        active = plan_view(kube.get(RELEASE_PLAN, namespace, name)).status.active_name
        running = read_subject(kube.get(RELEASE, namespace, active)).status if active else None
    except NotFoundError:
        running = None
    if running is not None and running.blue_slot >= 0:
        return Mode(running.mode or "host", f"as release {active} found it", blue_slot=running.blue_slot)
    return mode_of(spec, (namespace, name), "", kube)


def _judged(spec: PlanSpec) -> tuple[PlanSpec, bool]:
    """The plan with the checks that are looked at: its sequential ones, else the two that there are by default."""
    acting = [check for check in spec.checks if check.sequential]
    return (spec, False) if acting else (spec.model_copy(update={"checks": default_checks()}), True)


def _past(reading: Reading, spec: PlanSpec, check: Check, naming: Naming) -> Past:
    blue: Place = pair_of(spec, member_of(spec, check.member), naming).blue
    if check.counters is not None:
        return own_past_of(reading, blue, check.counters)
    return past_of(reading, blue, slow=check.builtin is BuiltIn.LATENCY)


def _lines(key: Key, past: Past) -> MeasuredCheck:
    """A kind of check as it was measured; what is too rare to measure keeps the default dispersion."""
    found = []
    for line, edge in enumerate(past.edges or (math.inf,)):
        phi = dispersion_of(past.parts, line) or Dispersion()
        share = 100 * past.share(line)
        found.append(
            MeasuredLine(edge=None if math.isinf(edge) else edge, share=share, bursts=round(phi.bursts, 4), widest=round(phi.widest, 4))
        )
    builtin, workload, counters = key
    return MeasuredCheck.model_validate({"builtin": builtin, "workload": workload, "counters": counters, "lines": found})


def _measured(lines: Mapping[Key, MeasuredCheck], window: Window, pasts: Mapping[Key, Past]) -> Measured | None:
    if not lines:
        return None
    hours = max(past.seconds for past in pasts.values()) / _HOUR
    return Measured(until=window.end, hours=round(hours, 2), checks=list(lines.values()))


def _that_find(known: Measured, spec: PlanSpec, pasts: dict[Key, Past]) -> Measured:
    """Without the bucket edges at which blue's pods differ so much that no stage could find anything; they would only hold releases up."""
    full = _with(spec, known)
    checks = []
    for one in known.checks:
        key = one.key
        asked = [check for check in full.checks if check.sequential and measured_key(spec, check) == key]
        rps = requests_a_second(pasts)
        blind = {line.edge for check in asked for line in setting_of(full, check).known if not finds(full, check, line, rps)}
        left = [line for line in one.lines if line.edge not in blind]
        if one.builtin == "latency" and left and len(left) < len(one.lines):
            gone = [index for index, line in enumerate(one.lines) if line.edge in blind]
            pasts[key] = pasts[key].without(gone)
            one = one.model_copy(update={"lines": left})  # noqa: PLW2901 - the same check, with fewer lines
        checks.append(one)
    return known.model_copy(update={"checks": checks})


def _with(spec: PlanSpec, measured: Measured) -> PlanSpec:
    return spec.model_copy(update={"analysis": spec.analysis.model_copy(update={"measured": measured})})


def _asked(spec: PlanSpec, pasts: Mapping[Key, Past]) -> list[Asked]:
    weights, given = shares(spec), spec.analysis.dispersion is not None
    acting = [check for check in spec.checks if check.name in weights]
    parts = {check.name: pasts[measured_key(spec, check)].parts for check in acting}
    return [Asked(check.name, setting_of(spec, check), weights[check.name], parts[check.name], given) for check in acting]


def _steps(spec: PlanSpec) -> list[Step]:
    """The stages as a pretended release has them: settling and warm-up are watched as well."""
    begins = [step.shifts_at for step in timetable(spec)]
    ends = [*begins[1:], timetable(spec)[-1].window_closes_at]
    return [
        Step(
            stage.weight / _FULL,
            end - begin,
            frozenset(check.name for check in spec.checks if not check.stages or stage.weight in check.stages),
        )
        for stage, begin, end in zip(spec.stages, begins, ends, strict=True)
    ]


def _raised(known: Measured, spec: PlanSpec, found: library.Preflight) -> Measured:
    """What was measured with the dispersions that the replay asked for, and its count."""
    settings: dict[Key, list[library.Asked]] = {}
    for one in found.asked:
        check = next(check for check in spec.checks if check.name == one.name)
        settings.setdefault(measured_key(spec, check), []).append(one)
    checks = [_at_least(one, settings.get(one.key, ())) for one in known.checks]
    return known.model_copy(update={"checks": checks, "releases": found.releases, "rolled_back": found.left})


def _at_least(one: MeasuredCheck, asked: Sequence[Asked]) -> MeasuredCheck:
    lines = []
    for index, line in enumerate(one.lines):
        phis = [check.setting.known[index].dispersion for check in asked]
        bursts, widest = (
            max([mine, *theirs]) for mine, theirs in ((line.bursts, [p.bursts for p in phis]), (line.widest, [p.widest for p in phis]))
        )
        lines.append(line.model_copy(update={"bursts": bursts, "widest": widest}))
    return one.model_copy(update={"lines": lines})
