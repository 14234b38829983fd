"""What a release of a plan would find in the cluster if it started now: who serves, what refuses it, what it would warn of.

Loaded only where a cluster is asked: it brings the controller's own eyes along.
"""

from controller.adapters.istio.view import TrafficView, observe_traffic
from controller.adapters.workloads.preflight import preflight
from controller.api.plan import PlanSpec
from controller.api.release import ReleaseSpec, ReleaseStatus
from controller.cli.exits import CommandError, ExitCode
from controller.core import reasons
from controller.core.commands import Subject
from controller.core.phases import FINAL
from controller.observe import split_of
from controller.ports import RELEASE, Kube, RefusedError

REFUSED = "A release of this plan would be refused:"


def look(spec: PlanSpec, place: tuple[str, str], kube: Kube, revision: str = "v2") -> tuple[Subject, TrafficView]:
    """A release that nobody started, and the routes as it would find them. Raises the cluster's `KubeError`s."""
    namespace, name = place
    asked = ReleaseSpec(plan=name, revision=revision)
    subject = Subject(namespace, name, "", "", 1, 0.0, deleted=False, finalizer=False, spec=asked, status=ReleaseStatus(), plan=spec)
    return subject, observe_traffic(kube, subject, first=True)


def serving(spec: PlanSpec, place: tuple[str, str], kube: Kube) -> tuple[str, int, str]:
    """Mode, slot that serves, and the routes that say so. Raises `CommandError` where they do not."""
    view = look(spec, place, kube)[1]
    if not view.mode or view.blue_slot < 0:
        why = "; ".join(problem.detail for problem in view.problems) or "the routes do not tell"
        raise CommandError(ExitCode.NO, f"{REFUSED} {why}")
    return view.mode, view.blue_slot, ", ".join(f"{route.namespace}/{route.name}" for route in view.routes)


def check_start(spec: PlanSpec, place: tuple[str, str], kube: Kube, revision: str) -> list[str]:
    """What it would warn of. Raises `CommandError` with everything that it would be refused for.

    Nothing while a release of the plan runs or keeps its old version: the next one finds another world.
    """
    if not _at_rest(kube, place):
        return []
    subject, view = look(spec, place, kube, revision)
    try:
        found = preflight(kube, subject, view.blue_slot, split_of(view))
    except RefusedError as error:
        return [f"whether a release would be refused could not be looked at in full: {error}"]
    problems = tuple(dict.fromkeys((*view.problems, *found.problems)))
    if problems:
        ways = dict.fromkeys(f"What to do: {reasons.next_step(problem.reason)}" for problem in problems)
        raise CommandError(ExitCode.NO, "\n".join((REFUSED, *(f"  {problem.detail}" for problem in problems), *ways)))
    return list(dict.fromkeys(warning.detail for warning in (*view.warnings, *found.warnings)))


def _at_rest(kube: Kube, place: tuple[str, str]) -> bool:
    namespace, name = place
    of_plan = [one for one in kube.list(RELEASE, namespace).items if (one.get("spec") or {}).get("plan") == name]
    states = [one.get("status") or {} for one in of_plan]
    return all(state.get("phase") in FINAL and (state.get("retention") or {}).get("done", True) for state in states)
