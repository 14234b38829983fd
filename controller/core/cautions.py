"""What should be said at a release's beginning about how it will be judged. Pure; it decides nothing."""

from collections.abc import Iterator

from controller.core import reasons
from controller.core.sequential import measured_of
from controller.core.steps import World
from controller.core.tested import gauge_test
from controller.core.words import many
from controller.core.world import Problem

LONG_AGO_DAYS = 30.0
"""Traffic and code have changed since; measuring again takes a minute."""

_DAY = 86_400.0


def cautions(w: World) -> Iterator[Problem]:
    """Warnings about sequential checks; none in a reverse release, which has no such checks."""
    if w.subject.plan is None or w.subject.spec.kind == "reverse":
        return
    unknown = [check.name for check in w.plan.checks if check.gauge and gauge_test(w.plan, check) is None]
    if unknown:
        yield Problem(reasons.GAUGE_BY_LIMIT, ", ".join(unknown))
    acting = [check for check in w.plan.checks if check.sequential and not check.observe]
    if w.plan.analysis.dispersion is not None or not acting:
        return
    blind = [check.name for check in acting if not measured_of(w.plan, check)]
    if blind:
        yield Problem(reasons.DISPERSION_ASSUMED, f"{', '.join(blind)} (penstock preflight {w.subject.spec.plan} measures it)")
    measured = w.plan.analysis.measured
    age = (w.now - measured.until) / _DAY if measured is not None else 0.0
    if age > LONG_AGO_DAYS:
        yield Problem(reasons.MEASURED_LONG_AGO, f"{many(age, 'day')} ago")
