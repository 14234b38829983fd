"""What of a plan's questions nobody could answer, found at the start of a release, before anything is touched.

Nothing is asked here: whether a query is good PromQL is known to the Prometheus that gets it, so that what our own parser does not
know (an extension, a function of a newer version) is a warning.
"""

from collections.abc import Iterator

from controller.api.plan import PlanSpec
from controller.core import reasons
from controller.core.queries import Place, fill, parameters_of
from controller.core.world import Problem
from controller.ports import PrometheusProviders

SAMPLE = Place("namespace", "workload", "service", "host", "revision", "green")
SAMPLE_SECONDS = 60.0


def unknown_providers(plan: PlanSpec, known: PrometheusProviders) -> tuple[Problem, ...]:
    """Providers that the plan names and the controller does not know."""
    names = dict.fromkeys([*(check.provider for check in plan.checks), *(t.provider for t in plan.triggers if t.probe is None)])
    return tuple(Problem(reasons.PROVIDER_UNKNOWN, name or "the default one") for name in names if known.provider(name) is None)


def unaskable(plan: PlanSpec) -> tuple[Problem, ...]:
    """Queries with a parameter that does not exist or cannot stand there: they could never be sent."""
    found = []
    for name, text in queries_of(plan):
        try:
            parameters_of(text)
        except ValueError as error:
            found.append(Problem(reasons.PLAN_INVALID, f"{name}: {error}"))
    return tuple(found)


def doubtful(plan: PlanSpec) -> tuple[Problem, ...]:
    """Queries that are no PromQL as far as we know it, with the place; those that cannot be asked at all are left out."""
    from controller.api.promql import ProblemKind, check_query  # noqa: PLC0415 - the parser is needed by few plans, at their start

    bad = {problem.detail.partition(":")[0] for problem in unaskable(plan)}
    return tuple(
        Problem(reasons.QUERY_DOUBTFUL, f"{name}: {problem}")
        for name, text in queries_of(plan)
        if name not in bad
        for problem in check_query(fill(text, SAMPLE, SAMPLE_SECONDS))
        if problem.kind is ProblemKind.SYNTAX
    )


def queries_of(plan: PlanSpec) -> Iterator[tuple[str, str]]:
    """The name and the text of everything that the plan's author has written as PromQL."""
    for check in plan.checks:
        counters = check.counters.selectors if check.counters is not None else ()
        metrics = check.kayenta.metrics if check.kayenta is not None else ()
        for text in (check.query, *counters, *(metric.query for metric in metrics)):
            if text:
                yield check.name, text
    for trigger in plan.triggers:
        if trigger.query:
            yield trigger.name, trigger.query
