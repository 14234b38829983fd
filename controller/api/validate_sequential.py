"""What is wrong or unwise about sequential checks on counters, objectives and gauges of a plan's own.

The built-in kinds are looked after in `validate_plan`; here stands what needs a query's parts, or blue's history.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from analysis.gauge import GaugeTest, seconds_to_detect
from controller.api.measured import Measured
from controller.api.plan_checks import FULL, USUAL_GAUGE_EFFECT, Check, Counters
from controller.api.promql import AdviceKind, advice
from controller.api.promql_facts import facts, is_selector
from controller.api.promql_syntax import PromqlSyntaxError
from controller.api.validate_plan import DEFAULTS, MOST_TAIL, Note, each, part, stages_of
from controller.api.validate_yaml import Path
from controller.core.queries import Place, fill

TEN_TIMES = 10.0
"""A gauge that may be ten times blue's is a gauge that nobody watches."""


def check_notes(spec: dict[str, Any], index: int, one: dict[str, Any], pair: tuple[Place, Place]) -> Iterator[Note]:
    """Everything about one check; nothing where it is of another kind, or cannot be read (which is said elsewhere)."""
    try:
        check = Check.model_validate(one)
    except ValidationError:
        return
    path: Path = ("checks", index)
    for name in ("total", "bad", "good"):
        text = getattr(check.counters, name, None)
        if text is not None:
            yield from _counter((*path, "counters", name), text, pair)
    if check.counters is not None:
        yield from _same_twice((*path, "counters"), check.counters, pair[1])
    if check.objective is not None and check.objective >= MOST_TAIL:
        found = f"an objective of {check.objective:g} % bad requests"
        yield "warning", (*path, "limit"), found, "less than what you would roll back for", "no regression below that is ever found"
    if check.gauge and check.limit is not None:
        suffix = next((str(slot.get("suffix") or "") for _, slot in each(spec, "slots")), "")
        yield from _gauge(spec, path, check, check.limit.most_ratio, pair[0].workload.removesuffix(suffix))


def _same_twice(path: Path, counters: Counters, green: Place) -> Iterator[Note]:
    """Where both counters select the same, whatever the order of their labels, no green can be worse than blue."""
    try:
        read = [facts(fill(text, green, 60.0)).selectors for text in counters.selectors]
    except (PromqlSyntaxError, ValueError):
        return  # said of the counter itself
    total, other = ({(one.metric, frozenset(one.matchers)) for one in selectors} for selectors in read)
    if total != other:
        return
    name, always = ("good", "no request ever fails") if counters.good is not None else ("bad", "every request fails, on both versions")
    found = f"the same selector for total and {name}, so that {always}"
    yield "error", (*path, name), found, "the counter of a part of all requests", "another metric, or one more label"


def _counter(path: Path, text: str, pair: tuple[Place, Place]) -> Iterator[Note]:
    expected = 'a plain selector, such as payments_total{namespace="$namespace"}'
    try:
        blue, green = (fill(text, place, 60.0) for place in pair)
        plain = is_selector(green)
    except PromqlSyntaxError as error:
        yield "error", path, error.message, expected, "its raw samples are counted"
        return
    except ValueError as error:
        yield "error", path, str(error), "a query whose parameters are known", "parameters stand in label values"
        return
    if not plain:
        yield "error", path, "a query that computes something", expected, "leave out rate(), sum() and the range: raw samples are counted"
    elif blue == green:
        hint = 'add {namespace="$namespace",workload="$workload"} or the labels that tell the versions apart'
        yield "error", path, "the same selector for both versions", "a parameter that differs between them", hint
    else:
        telling = {getattr(pair[1], name) for name in ("namespace", "workload", "service", "host", "revision", "colour")}
        for note in advice(green, green=telling):
            if note.kind is AdviceKind.NO_SELECTOR:
                yield "warning", path, f"a selector that {note.sentence}", "a selector for green", ""


def _gauge(spec: dict[str, Any], path: Path, check: Check, ratio: float, workload: str) -> Iterator[Note]:
    if ratio > TEN_TIMES:
        found = f"a gauge that may be {ratio:g} times as bad as blue's"
        yield "warning", (*path, "limit"), found, "what you would stop for", "no regression below that is ever found"
    for word in ("tolerance", "weight"):
        if word in check.model_fields_set:
            hint = "it is ignored: a gauge has its limit, and a bound of its own"
            yield "warning", (*path, word), f"{word} of a gauge", "limit: {maxRatio: 1.2}", hint
    variance = _variance(spec, check, workload)
    if variance is None:
        hint = "penstock preflight measures it; until then it is judged by its limit at the window's end, and a failure there goes back"
        found = "a sequential gauge whose history is not known"
        yield "warning", path, found, "analysis.measured.gauges, here or in the plan's status", hint
        return
    alpha = part(spec, "analysis").get("alpha", DEFAULTS.analysis.alpha)
    test = GaugeTest(ratio - 1, variance, alpha if isinstance(alpha, float) and 0 < alpha < 1 else DEFAULTS.analysis.alpha)
    effect = USUAL_GAUGE_EFFECT if check.effect is None else check.effect / 100
    needed = seconds_to_detect(test, effect)
    for _, weight, window in stages_of(spec):
        if window < needed and weight < FULL and (not check.stages or weight in check.stages):
            takes = f"takes {needed:,.0f} s of pairs" if needed < float("inf") else "is within its limit"
            found = f"{100 * effect:g} % worse than blue, which {takes}, in a window of {window:,.0f} s at {weight} %"
            hint = "name a larger effect, or a longer window: it would wait for more"
            yield "warning", path, found, "an effect that the window can show", hint


def _variance(spec: dict[str, Any], check: Check, workload: str) -> float | None:
    try:
        measured = Measured.model_validate(part(part(spec, "analysis"), "measured"))
    except ValidationError:
        return None
    return measured.variance_of(check.name, check.asked_of(workload))
