"""What is wrong or unwise about the queries of a plan, with their parameters filled in by sample places."""

from collections.abc import Iterator, Mapping
from typing import Any

from controller.api.base import MINUTE, shown
from controller.api.plan_checks import BuiltIn, Method
from controller.api.promql import AdviceKind, ProblemKind, advice
from controller.api.promql_facts import facts
from controller.api.promql_written import check_written
from controller.api.validate_kayenta import queries
from controller.api.validate_plan import DEFAULTS, Note, each, part, seconds, stages_of
from controller.api.validate_sequential import check_notes
from controller.api.validate_yaml import Path
from controller.core.queries import Mesh, Pair, Place, build_checks_queries, fill

RANGE = "[$window]"
_EXPECTED = {
    AdviceKind.LABEL_BY_LABEL: "one number for green",
    AdviceKind.MANY_SERIES: "one series",
    AdviceKind.NO_SELECTOR: "a selector for green in every part of the query",
    AdviceKind.SHORT_RANGE: RANGE,
    AdviceKind.LONG_RANGE: RANGE,
    AdviceKind.COUNTED_RANGE: RANGE,
    AdviceKind.FILTERED: "the number that is compared",
    AdviceKind.STANDING: "a rate, which both versions can be compared by",
    AdviceKind.FILLED_UP: "no number without data",
}
_HINTS = {
    AdviceKind.FILTERED: "leave the comparison out and write its number into limit",
    AdviceKind.NO_SELECTOR: 'add {namespace="$namespace",workload="$workload"} or the labels that tell the versions apart',
    AdviceKind.SHORT_RANGE: "write [$window] for the fixed range",
    AdviceKind.LONG_RANGE: "write [$window] for the fixed range",
    AdviceKind.COUNTED_RANGE: "what is counted grows with its range: write rate(...[$window]) and a limit a second",
    AdviceKind.FILLED_UP: "fill up the failures alone: (sum(failures) or vector(0)) / sum(requests)",
    AdviceKind.STANDING: "green's counters begin at 0 with its pods, so that ages would be compared: write rate(...[$window])",
}
_COMPARING = ("maxRatio", "minRatio", "maxDifference", "minDifference")
EQUAL = 50
"""Percent at which both versions have as many requests."""


def notes(spec: dict[str, Any], namespace: str) -> Iterator[Note]:
    """Everything about the queries of checks and triggers."""
    windows = {weight: window for _, weight, window in stages_of(spec)}
    for section in ("checks", "triggers"):
        for index, one in each(spec, section):
            query, pair = one.get("query"), places(spec, one.get("member"), namespace)
            compared = any(word in part(one, "limit") for word in _COMPARING)
            if section == "checks":
                yield from check_notes(spec, index, one, pair)
            if compared and one.get("builtin") in tuple(BuiltIn):
                made = build_checks_queries(BuiltIn(one["builtin"]), Pair(*pair), "green", MINUTE, mesh=Mesh())
                yield from _unequal((section, index, "builtin"), made, _asked_at(windows, one), what="a number")
            if not isinstance(query, str):
                continue
            if section == "triggers" or one.get("method") == Method.SEQUENTIAL:
                lengths = [seconds(one.get("range"), 60.0)]
            else:
                lengths = [windows[weight] for weight in _asked_at(windows, one)] or [DEFAULTS.stages[0].window]
            yield from _of_query((section, index, "query"), query, pair, sorted(lengths), compared=compared)
            if compared:
                yield from _unequal_query((section, index, "query"), query, pair[1], _asked_at(windows, one))
    for path, query, step, member, chosen in queries(spec):
        # One value a step: its range may be longer than the step, and is never the window. Before its first event a count has no series.
        found = _of_query(path, query, places(spec, member, namespace), [step], compared=True)
        yield from (note for note in found if note[3] not in (RANGE, _EXPECTED[AdviceKind.FILLED_UP]))
        yield from _unequal_query(path, query, places(spec, member, namespace)[1], _asked_at(windows, chosen))


def _asked_at(windows: Mapping[int, float], one: dict[str, Any]) -> list[int]:
    """The weights at which a check is asked; a trigger is at all of them."""
    chosen = one.get("stages")
    return [weight for weight in windows if not isinstance(chosen, list) or not chosen or weight in chosen]


def _unequal_query(path: Path, query: str, green: Place, weights: list[int]) -> Iterator[Note]:
    """As `_unequal`, of a query of the plan's author."""
    try:
        filled = fill(query, green, MINUTE)
    except ValueError:
        return  # said already
    advised = "divide it by the requests, as in sum(rate(errors[$window])) / sum(rate(requests[$window])), or "
    yield from _unequal(path, filled, weights, advised=advised)


def _unequal(path: Path, filled: str, weights: list[int], *, what: str = "a query", advised: str = "") -> Iterator[Note]:
    """A number that more requests make larger, compared where the two versions have different numbers of them."""
    uneven = [str(weight) for weight in weights if weight != EQUAL]
    try:
        told = facts(filled) if uneven else None
    except ValueError:
        return  # said already
    if told is not None and told.by_traffic:
        at = f"{', '.join(uneven[:-1])} and {uneven[-1]}" if uneven[1:] else uneven[0]
        found = f"{what} that more requests make larger, compared with blue's at {at} %, where the versions have different numbers of them"
        expected = f"a share of the requests, or a check with stages: [{EQUAL}]"
        yield "warning", path, found, expected, f"{advised}ask it by a check at {EQUAL} % alone"


def places(spec: dict[str, Any], member: Any, namespace: str) -> tuple[Place, Place]:
    """Sample places of a member's two slots; blue's, then green's."""
    members = [one for _, one in each(spec, "members")]
    workload = spec.get("workload")
    if isinstance(workload, str):
        members.insert(0, {"name": workload, "workload": workload})
    chosen = next((one for one in members if one.get("name") == member), members[0] if members else {})
    name = str(chosen.get("workload") or "workload")
    service = str(chosen.get("service") or name)
    slots = [one for _, one in each(spec, "slots")]
    if len(slots) < 2:  # noqa: PLR2004 - blue and green
        slots = [{"suffix": slot.suffix} for slot in DEFAULTS.slots]

    def place(slot: dict[str, Any], colour: str) -> Place:
        where, suffix = str(slot.get("namespace") or namespace), str(slot.get("suffix") or "")
        host = f"{service}{suffix}.{where}.svc.cluster.local"
        return Place(where, name + suffix, service + suffix, host, f"revision-of-{colour}", colour)

    return place(slots[0], "blue"), place(slots[1], "green")


def _of_query(path: Path, query: str, pair: tuple[Place, Place], lengths: list[float], *, compared: bool) -> Iterator[Note]:
    """What is to be said of one query; where it is not `compared` with blue, a counter may well be read as it stands (restarts)."""
    blue, green = pair
    try:
        filled, problems = fill(query, green, lengths[-1]), check_written(query, green, lengths[-1])
    except ValueError as error:
        yield "error", path, str(error), "a query whose parameters are known", "parameters stand in label values, $window in brackets"
        return
    for problem in problems:
        severity = "error" if problem.kind is ProblemKind.SYNTAX else "warning"
        expected = "PromQL" if severity == "error" else "functions that the simulator evaluates too"
        near = problem.hint.partition("\n")[0].strip()
        yield severity, path, str(problem), expected, f"near {shown(near)}" if near and severity == "error" else ""
    if any(problem.kind is ProblemKind.SYNTAX for problem in problems):
        return
    if facts(filled).result_type == "string":
        yield "error", path, "a text as the result", "one number", "use rate(), sum() or a function over the range"
        return
    telling = {a for a, b in _both(green, blue) if a != b}
    for found in advice(filled, green=telling, window_seconds=lengths[-1]):
        if found.kind is not AdviceKind.LONG_RANGE and (compared or found.kind is not AdviceKind.STANDING):
            yield "warning", path, f"a query that {_verb(found.sentence)}", _EXPECTED[found.kind], _HINTS.get(found.kind, "")
    for found in advice(fill(query, green, lengths[0]), window_seconds=lengths[0]):
        if found.kind is AdviceKind.LONG_RANGE:
            yield "warning", path, f"a query that {_verb(found.sentence)}", _EXPECTED[found.kind], _HINTS[found.kind]


def _verb(sentence: str) -> str:
    """The sentence as a clause behind "a query that"."""
    return f"has {sentence}" if sentence.startswith("a fixed") else sentence


def _both(green: Place, blue: Place) -> tuple[tuple[str, str], ...]:
    return tuple((getattr(green, name), getattr(blue, name)) for name in ("namespace", "workload", "service", "host", "revision", "colour"))


def provider_notes(spec: dict[str, Any], known: frozenset[str] | None) -> Iterator[Note]:
    """Providers that the controller's configuration does not have; nothing where that is not known."""
    for section in ("checks", "triggers"):
        for index, one in each(spec, section):
            name = one.get("provider")
            if known is not None and name and name not in known:
                expected = f"one of {', '.join(sorted(known))}" if known else "no provider: only the default one is configured"
                yield "error", (section, index, "provider"), shown(name), expected, "add it to the controller's configuration"


__all__ = ["notes", "part", "places", "provider_notes"]
