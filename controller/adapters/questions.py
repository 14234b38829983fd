"""What of a plan's questions nobody could answer, found at the start of a release, before anything is touched.

Nothing is asked here: whether a query is good PromQL is known to the Prometheus that gets it, so that what our own parser does not
know (an extension, a function of a newer version) is a warning, until it is tried (`core.trials`).
"""

from controller.api.plan import PlanSpec
from controller.api.plan_checks import Check, Trigger
from controller.core import reasons
from controller.core.queries import Place, parameters_of
from controller.core.trials import own_queries
from controller.core.world import Problem
from controller.ports import PrometheusProviders

SAMPLE = Place("namespace", "workload", "service", "host", "revision", "green")
SAMPLE_SECONDS = 60.0
SHORTEST_INTERVAL_SECONDS = 1.0


def unknown_providers(plan: PlanSpec, known: PrometheusProviders) -> tuple[Problem, ...]:
    """Providers that the plan names and the controller does not know."""
    names = dict.fromkeys([*(check.provider for check in plan.checks), *(t.provider for t in plan.triggers if t.probe is None)])
    return tuple(Problem(reasons.PROVIDER_UNKNOWN, name or "the default one") for name in names if known.provider(name) is None)


def too_often(plan: PlanSpec, divisor: float) -> tuple[Problem, ...]:
    """Triggers that are asked more often than once a second: nothing new would be seen, and Prometheus be kept busy."""
    found = [trigger for trigger in plan.triggers if trigger.interval * divisor < SHORTEST_INTERVAL_SECONDS]
    return tuple(
        Problem(reasons.PLAN_INVALID, f"{t.name}: found an interval of {t.interval * divisor:g} s, expected 1 s or more") for t in found
    )


def unaskable(plan: PlanSpec) -> tuple[Problem, ...]:
    """Queries with a parameter that does not exist or cannot stand there: they could never be sent."""
    found = []
    for own in own_queries(plan):
        try:
            parameters_of(own.text)
        except ValueError as error:
            found.append(Problem(reasons.PLAN_INVALID, f"{own.name}: {error}"))
    return tuple(found)


def unknown_names(plan: PlanSpec) -> tuple[Problem, ...]:
    """Members, groups and stages that checks and triggers name and the plan does not have: nobody would be asked, or nothing would act."""
    members, groups = {member.name for member in plan.all_members}, {group.name for group in plan.groups}
    weights = {stage.weight for stage in plan.stages}
    everything: tuple[Check | Trigger, ...] = (*plan.checks, *plan.triggers)
    found = [
        f"{asked.name}: found the member {asked.member}, expected one of {', '.join(sorted(members))}"
        for asked in everything
        if asked.member is not None and asked.member not in members
    ]
    found += [
        f"{check.name}: found a stage of {weight} %, expected one of {', '.join(map(str, sorted(weights)))}"
        for check in plan.checks
        for weight in check.stages
        if weight not in weights
    ]
    found += [
        f"{trigger.name}: found the group {trigger.together}, expected a name under groups"
        for trigger in plan.triggers
        if trigger.together and trigger.together not in groups
    ]
    return tuple(Problem(reasons.PLAN_INVALID, words) for words in found)


def doubtful(plan: PlanSpec) -> tuple[Problem, ...]:
    """Queries that are no PromQL as far as we know it, with the place; those that cannot be asked at all are left out."""
    from controller.api.promql import ProblemKind  # noqa: PLC0415 - the parser is needed by few plans, at their start
    from controller.api.promql_written import check_written  # noqa: PLC0415 - as above

    bad = {problem.detail.partition(":")[0] for problem in unaskable(plan)}
    return tuple(
        Problem(reasons.QUERY_DOUBTFUL, f"{own.name}: {problem}")
        for own in own_queries(plan)
        if own.name not in bad
        for problem in check_written(own.text, SAMPLE, SAMPLE_SECONDS)
        if problem.kind is ProblemKind.SYNTAX
    )
