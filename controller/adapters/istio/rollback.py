"""The way back: every managed rule and every listed bypass on blue, always written, stamped.

Unlike the forward writes this one repeats at once: it reads the VirtualService, then asks whether the release is still
ours to roll back (the Release last), then writes. In rounds over all objects, so that a refusal or a fighter on one
never delays the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from controller.adapters import marks
from controller.adapters.istio.patches import Draft, build_rollback_patch
from controller.adapters.istio.rules import parse_rules
from controller.adapters.istio.sides import target_namespace
from controller.adapters.istio.view import TrafficView
from controller.adapters.istio.writes import send
from controller.api.plan import VirtualServiceRef
from controller.core.commands import RollBackRoutes, Subject
from controller.ports import VIRTUAL_SERVICE, Kube, KubeError, NotFoundError, RefusedError, UnauthorizedError

TRIES = 5
PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before the second, third, ... round; the caller queues the next look at once. Never above a second."""
LONGEST_PAUSE = 1.0
UNPROCESSABLE = 422


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """What became of each VirtualService, as `namespace/name`.

    Attributes:
        written: on blue and stamped now; `standing` was so before.
        missing: not there.
        dropped: not ours any more: the release has finished, or another one owns the route.
    """

    written: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def roll_back_routes(
    kube: Kube,
    subject: Subject,
    view: TrafficView,
    epoch: int,
    command: RollBackRoutes,
    *,
    still_ours: Callable[[], bool],
    sleep: Callable[[float], None],
    tries: int = TRIES,
) -> RollbackResult:
    """Put everybody on blue. After all objects had their turns, the first error that is left is raised.

    Args:
        kube: reads go to the API server itself; a stale read costs one conflict.
        subject: the release.
        view: tells who is blue; its readings of the routes are not used.
        epoch: ours; a higher one on an object raises `Deposed`.
        command: its stamp is `<uid>/<phase counter>`.
        still_ours: reads the Release again: False where it has finished or is gone. Asked after each read of a route.
        sleep: waits some seconds.
        tries: rounds before the error is raised and the caller queues the release again.
    """
    if not view.sides.known:
        return RollbackResult()  # nothing was ever moved: the first write of a weight needs to know blue
    pending = _in_order(subject, view)
    done: dict[str, list[str]] = {"written": [], "standing": [], "missing": [], "dropped": []}
    refused: dict[str, KubeError] = {}
    for round_ in range(tries):
        again: list[VirtualServiceRef] = []
        waits = [PAUSES[min(round_, len(PAUSES) - 1)]]
        for ref in pending:
            title = f"{target_namespace(ref, subject.namespace)}/{ref.name}"
            try:
                done[_once(kube, subject, view, ref, epoch, command, still_ours)].append(title)
                refused.pop(title, None)
            except (RefusedError, UnauthorizedError) as error:
                refused[title] = error
            except KubeError as error:
                refused[title] = error
                waits.append(error.retry_after)
                again.append(ref)
        pending = again
        if not pending:
            break
        if round_ < tries - 1:
            sleep(min(max(waits), LONGEST_PAUSE))
    if refused:
        raise next(iter(refused.values()))
    return RollbackResult(**{key: tuple(titles) for key, titles in done.items()})


def _in_order(subject: Subject, view: TrafficView) -> list[VirtualServiceRef]:
    """Objects with bypass rules only come first: no weight protects their users. Unknown ones keep the plan's order."""
    refs = list(subject.plan.traffic.targets if subject.plan else ())
    return sorted(refs, key=lambda ref: (target_namespace(ref, subject.namespace), ref.name) not in view.bypass_only)


def _once(  # noqa: PLR0917 - the loop's own state
    kube: Kube,
    subject: Subject,
    view: TrafficView,
    ref: VirtualServiceRef,
    epoch: int,
    command: RollBackRoutes,
    still_ours: Callable[[], bool],
) -> str:
    """One try at one object: which list of the result it belongs to."""
    try:
        obj = kube.get(VIRTUAL_SERVICE, target_namespace(ref, subject.namespace), ref.name)
        marks.check_epoch(obj, epoch)
        if marks.annotation(obj, marks.OWNER) not in ("", subject.uid) or not still_ours():
            return "dropped"
        parsed = parse_rules(obj, view.cluster_domain)
        if parsed.garbage and not parsed.rules:
            raise RefusedError(UNPROCESSABLE, "Garbage", f"{marks.where(obj)} cannot be put back: {parsed.garbage[0]}")
        recorded = subject.status.added.get(f"{target_namespace(ref, subject.namespace)}/{ref.name}", "")
        patch = build_rollback_patch(Draft(obj, ref, view.sides, epoch, view.cluster_domain, recorded), command)
        send(kube, VIRTUAL_SERVICE, obj, patch)
    except NotFoundError:
        return "missing"
    return "written" if patch else "standing"
