"""Carries out the core's commands: one branch a command, each to the adapter that knows its objects.

Nothing is decided here. Preconditions, locks, stamps and retries stand in the table of all writes
(`docs/decisions/0003-table-of-writes.md`) and are kept by the adapters.
"""

from typing import assert_never

from controller.adapters import records
from controller.adapters.istio.rollback import roll_back_routes
from controller.adapters.istio.subsets import claim_rules, ensure_subset, remove_subset
from controller.adapters.istio.writes import claim_routes, close_routes, open_routes, set_weight
from controller.adapters.pruning import prune
from controller.adapters.workloads import teardown
from controller.adapters.workloads import writes as workloads
from controller.core.commands import (
    AddFinalizer,
    AnswerRequest,
    ClaimRoutes,
    CloseRoutes,
    Command,
    DropFinalizer,
    FollowAutoscaler,
    FreezePlan,
    KeepCapacity,
    LockPlan,
    MakeGreen,
    OpenRoutes,
    PruneHistory,
    RemoveClone,
    RemoveGreen,
    RestoreCapacity,
    RetireOld,
    RollBackRoutes,
    SetWeight,
    ShrinkOld,
    SizeGreen,
    Subject,
    UnlockPlan,
    UpdateHome,
)
from controller.core.phases import FINAL
from controller.observe import Snapshot
from controller.ports import RELEASE, NotFoundError, Ports


def perform(command: Command, subject: Subject, seen: Snapshot, ports: Ports) -> None:
    """Make it so. Raises `KubeError`s and `Deposed`."""
    match command:
        case ClaimRoutes() | OpenRoutes() | SetWeight() | RollBackRoutes() | CloseRoutes():
            _routes(command, subject, seen, ports)
        case PruneHistory(names):
            prune(ports.kube, subject, names)
        case LockPlan() | UnlockPlan() | FreezePlan() | AddFinalizer() | DropFinalizer() | AnswerRequest():
            _records(command, subject, seen, ports)
        case MakeGreen() | SizeGreen() | KeepCapacity() | RestoreCapacity() | RemoveGreen():
            _workloads(command, subject, seen, ports)
        case FollowAutoscaler() | ShrinkOld() | RetireOld() | UpdateHome() | RemoveClone():
            _at_the_end(command, subject, seen, ports)


def _routes(
    command: ClaimRoutes | OpenRoutes | SetWeight | RollBackRoutes | CloseRoutes, subject: Subject, seen: Snapshot, ports: Ports
) -> None:
    kube, traffic, epoch = ports.kube, seen.traffic, ports.epoch
    match command:
        case ClaimRoutes():
            claim_routes(kube, subject, traffic, epoch)
            claim_rules(kube, subject, traffic, epoch)
        case OpenRoutes():
            open_routes(kube, subject, traffic, epoch)
        case SetWeight(weight, stamp):
            set_weight(kube, subject, traffic, epoch, weight=weight, stamp=stamp)
        case RollBackRoutes():
            roll_back_routes(kube, subject, traffic, epoch, command, still_ours=lambda: still_ours(subject, ports), sleep=ports.clock.sleep)
        case CloseRoutes(serving):
            # The owner annotation goes last: without it nothing would bring a leader back to what is left.
            remove_subset(kube, subject, traffic, epoch, serving=serving)
            close_routes(kube, subject, traffic, epoch, serving=serving)
        case _:
            assert_never(command)


def still_ours(subject: Subject, ports: Ports) -> bool:
    """Whether that very Release still exists and has not finished: read after the route, before each write of a rollback."""
    try:
        obj = ports.kube.get(RELEASE, subject.namespace, subject.name)
    except NotFoundError:
        return False
    status = obj.get("status") or {}
    return obj["metadata"]["uid"] == subject.uid and status.get("phase") not in {phase.value for phase in FINAL}


def _records(
    command: LockPlan | UnlockPlan | FreezePlan | AddFinalizer | DropFinalizer | AnswerRequest,
    subject: Subject,
    seen: Snapshot,
    ports: Ports,
) -> None:
    kube, epoch = ports.kube, ports.epoch
    match command:
        case LockPlan():
            records.lock_plan(kube, subject, seen.plan, epoch)
        case UnlockPlan(succeeded):
            records.unlock_plan(kube, subject, seen.plan, serving_images(seen), epoch, succeeded=succeeded)
        case FreezePlan():
            if seen.plan.spec is not None:
                records.freeze_plan(kube, subject, seen.plan.spec, epoch)
        case AddFinalizer():
            records.set_finalizer(kube, subject, seen.release, epoch, present=True)
        case DropFinalizer():
            records.set_finalizer(kube, subject, seen.release, epoch, present=False)
        case AnswerRequest():
            view = next(view for view in seen.observed.requests if view.uid == command.uid)
            records.answer_request(kube, subject.namespace, view, command, epoch=epoch, now=ports.clock.now())
        case _:
            assert_never(command)


def serving_images(seen: Snapshot) -> dict[str, str]:
    """Images of the version that serves, by member."""
    home = seen.subject.status.returned_at > 0
    return {m.name: (m.blue if home else m.green).image for m in seen.observed.members}


def _workloads(
    command: MakeGreen | SizeGreen | KeepCapacity | RestoreCapacity | RemoveGreen, subject: Subject, seen: Snapshot, ports: Ports
) -> None:
    kube, members, epoch = ports.kube, seen.members, ports.epoch
    match command:
        case MakeGreen():
            workloads.make_green(kube, subject, members, epoch, may_make_namespaces=ports.settings.make_namespaces)
            ensure_subset(kube, subject, seen.traffic, epoch)
        case SizeGreen():
            workloads.size_green(kube, subject, members, epoch)
        case KeepCapacity():
            workloads.keep_capacity(kube, subject, members, epoch)
        case RestoreCapacity():
            workloads.restore_capacity(kube, subject, members, epoch)
        case RemoveGreen():
            teardown.remove_green(kube, subject, members, epoch)
        case _:
            assert_never(command)


def _at_the_end(
    command: FollowAutoscaler | ShrinkOld | RetireOld | UpdateHome | RemoveClone, subject: Subject, seen: Snapshot, ports: Ports
) -> None:
    """What is done with workloads once green has everybody: in the retention, or on the way home."""
    kube, members, epoch = ports.kube, seen.members, ports.epoch
    match command:
        case FollowAutoscaler():
            workloads.follow_autoscaler(kube, subject, members, epoch)
        case ShrinkOld(replicas):
            teardown.shrink_old(kube, subject, members, epoch, replicas=replicas)
        case RetireOld():
            # Rules that the plan does not name may have needed its subset until now.
            remove_subset(kube, subject, seen.traffic, epoch, serving="green")
            teardown.retire_old(kube, subject, members, epoch)
        case UpdateHome(back):
            before = subject.status.images_before if back else None
            workloads.update_home(kube, subject, members, epoch, images=before)
        case RemoveClone():
            teardown.remove_clone(kube, subject, members, epoch)
        case _:
            assert_never(command)
