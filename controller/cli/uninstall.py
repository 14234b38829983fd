"""`penstock uninstall`: everybody on one side first, then everything of ours out of the cluster, CRDs and rights last.

By default each running release is rolled back by the controller, as `penstock rollback` does. With `--leave` the controller
is stopped and every route stays as it stands at that moment: safe, since weights sum to 100 and both sides keep their size.
"""

import secrets
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from controller.adapters import marks
from controller.adapters.marks import mapping, metadata
from controller.adapters.workloads.autoscalers import own_minimum
from controller.adapters.workloads.view import FLOOR, hpa_minimum
from controller.api.base import API_VERSION
from controller.api.crd import definitions
from controller.cli import host as hosts
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Session, say
from controller.cli.install_kinds import (
    BUDGET,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    NETWORK_POLICY,
    POLICY,
    POLICY_BINDING,
    ROLE,
    ROLE_BINDING,
    find,
)
from controller.cli.install_objects import NAME, OWNER, SYSTEM
from controller.cli.uninstall_left import RECORDS, left_behind
from controller.cli.wait import parse_timeout
from controller.core.phases import FINAL
from controller.core.words import many
from controller.ports import (
    CONFIG_MAP,
    CRD,
    DEPLOYMENT,
    HPA,
    LEASE,
    NAMESPACE,
    POD,
    RELEASE,
    RELEASE_PLAN,
    RELEASE_REQUEST,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    ConflictError,
    Kind,
    Kube,
    NotFoundError,
    Obj,
    RefusedError,
)

POLL_SECONDS = 0.5
LEASE_SECONDS = 15.0
"""Longer than a lease that nobody changed (10 s by default): a controller that runs has renewed it meanwhile."""

STOP_SECONDS = 90.0
"""Longer than the pod's grace period."""

FINAL_WORDS = {phase.value for phase in FINAL}


def uninstall(
    ctx: typer.Context,
    *,
    leave: Annotated[bool, typer.Option("--leave", help="Leave the traffic as it stands instead of rolling back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")] = False,
    timeout: Annotated[str, typer.Option("--timeout", help="How long to wait for rollbacks.")] = "30m",
    home: Annotated[str, typer.Option("--controller-namespace", help="Namespace of the controller.")] = SYSTEM,
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
) -> None:
    """Roll back (or --leave) what runs, then take everything of ours out of the cluster."""
    seconds = parse_timeout(timeout)
    session = hosts.open_session(ctx, "", context, kubeconfig, everywhere=True)
    running = still_running(session.kube)
    confirm(session, running, leave=leave, yes=yes)
    if running and not leave:
        if not controller_runs(session, home):
            raise CommandError(ExitCode.REFUSED, sentence_without_controller(running))
        roll_back_all(session, running, seconds)
    stop_controller(session, home)
    late = still_running(session.kube)
    if late and not leave:
        sentence = f"{names(late)} was started meanwhile, and the controller is stopped: run `penstock uninstall --leave`."
        raise CommandError(ExitCode.HELD, sentence)
    let_go(session.kube)
    left = list(left_behind(lambda kind: listed(session.kube, kind)))
    remove_all(session, home)
    say("Penstock is gone. Applications, routes and their weights stay as they are.")
    for line in left:
        say(f"Left: {line}.")


def is_running(release: Obj) -> bool:
    """Whether it may have traffic, or a place in the queue."""
    return str(mapping(release.get("status")).get("phase", "Queued")) not in FINAL_WORDS


def still_running(kube: Kube) -> list[Obj]:
    """The releases that must end first. In a namespace that is being deleted nobody can ask or act any more: those are only let go."""
    going = {metadata(one).get("name") for one in listed(kube, NAMESPACE) if metadata(one).get("deletionTimestamp")}
    return [one for one in listed(kube, RELEASE) if is_running(one) and metadata(one).get("namespace") not in going]


def names(releases: list[Obj]) -> str:
    """`namespace/name, ...`."""
    return ", ".join(f"{metadata(one).get('namespace')}/{metadata(one).get('name')}" for one in releases)


def sentence_without_controller(running: list[Obj]) -> str:
    """Why nothing was done."""
    return (
        f"{names(running)} must be rolled back first, and no controller runs that could: "
        "start it again, or run `penstock uninstall --leave`, which leaves the traffic as it stands."
    )


def listed(kube: Kube, kind: Kind, labels: str = "") -> list[Obj]:
    """All objects of a kind everywhere; none where the kind is not served."""
    try:
        return list(kube.list(kind, "", labels=labels).items)
    except NotFoundError:
        return []


def confirm(session: Session, running: list[Obj], *, leave: bool, yes: bool) -> None:
    """Say what will happen, and let a person agree."""
    plans = len(listed(session.kube, RELEASE_PLAN))
    finished = len(listed(session.kube, RELEASE)) - len(running)
    gone = f"{many(plans, 'plan')} and {many(finished, 'finished release')}"
    say(f"With the resources go {gone} with their records; keep a copy of what is not in git.")
    for release in running:
        status = mapping(release.get("status"))
        what = "is left as it stands" if leave else "is rolled back"
        say(f"{names([release])} ({status.get('phase', 'Queued')}, {status.get('weight', 0)} % on green) {what}.")
    if yes:
        return
    if not session.host.asks:
        raise CommandError(ExitCode.USAGE, "Nobody can be asked here: give --yes to uninstall.")
    if not session.host.confirm("Uninstall Penstock?"):
        raise CommandError(ExitCode.REFUSED, "Nothing was done.")


def controller_runs(session: Session, home: str) -> bool:
    """Whether somebody renews the Lease. Watched rather than compared with our clock, which may be another."""
    first = _lease(session.kube, home)
    end = session.now + LEASE_SECONDS
    while first and session.now < end:
        session.host.sleep(POLL_SECONDS)
        now = _lease(session.kube, home)
        if now.get("holderIdentity") and now.get("renewTime") != first.get("renewTime"):
            return True
    return False


def still_led(session: Session, home: str) -> str:
    """Who goes on renewing the Lease. One that was given back, or stands still, is nobody's."""
    last: Any = None
    holder = ""
    changed_at = session.now
    end = session.now + LEASE_SECONDS
    while session.now < end:
        lease = _lease(session.kube, home)
        holder = str(lease.get("holderIdentity") or "")
        if not holder:
            return ""
        if lease.get("renewTime") != last:
            last, changed_at = lease.get("renewTime"), session.now
        session.host.sleep(POLL_SECONDS)
    return holder if changed_at > end - LEASE_SECONDS / 2 else ""


def _lease(kube: Kube, home: str) -> Obj:
    return mapping(lease_of(kube, home).get("spec"))


def lease_of(kube: Kube, home: str) -> Obj:
    """The controller's Lease; one that was started by hand has it in another namespace."""
    found = find(kube, LEASE, home, NAME)
    if found:
        return found
    return next((one for one in listed(kube, LEASE) if metadata(one).get("name") == NAME), {})


def roll_back_all(session: Session, running: list[Obj], seconds: float) -> None:
    """Ask for each rollback and wait until every release has ended; nothing is removed before."""
    unasked = {metadata(release)["uid"]: why for release in running if (why := ask_rollback(session, release))}
    end, told = session.now + seconds, ""
    while waiting := still_running(session.kube):
        if all(metadata(one)["uid"] in unasked for one in waiting):
            why = "; ".join(unasked[metadata(one)["uid"]] for one in waiting)
            end_words = "The others are rolled back, nothing was removed: delete it, or run `penstock uninstall --leave`."
            sentence = f"{names(waiting)} could not be asked to roll back ({why}). {end_words}"
            raise CommandError(ExitCode.REFUSED, sentence)
        if names(waiting) != told:
            told = names(waiting)
            say(f"Waits for {told}.")
        if session.now >= end:
            sentence = f"{told} was not rolled back within {seconds:.0f} s; nothing was removed. `penstock why` says what it waits for."
            raise CommandError(ExitCode.TIMED_OUT, sentence)
        session.host.sleep(POLL_SECONDS)


def ask_rollback(session: Session, release: Obj) -> str:
    """The same request that `penstock rollback` makes. Why the API server refused it; "" where it did not."""
    meta = metadata(release)
    spec = {"release": meta["name"], "releaseUid": meta["uid"], "verb": "rollback", "actor": session.actor, "reason": "penstock uninstall"}
    name = f"{str(meta['name'])[:40].rstrip('-.')}-rollback-{secrets.token_hex(4)}"
    body: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "ReleaseRequest", "metadata": {"name": name}, "spec": spec}
    try:
        session.kube.create(RELEASE_REQUEST, str(meta["namespace"]), body)
    except RefusedError as error:
        return str(error)
    return ""


def stop_controller(session: Session, home: str) -> None:
    """Delete its Deployment and wait until its pods are gone: from here on nobody writes but this command."""
    kube = session.kube
    there = find(kube, DEPLOYMENT, home, NAME)
    delete(kube, DEPLOYMENT, there)
    end = session.now + STOP_SECONDS
    labels = f"app.kubernetes.io/name={NAME},app.kubernetes.io/component=controller"
    while pods := kube.list(POD, home, labels=labels).items:
        if session.now >= end:
            raise CommandError(ExitCode.TIMED_OUT, f"{names(list(pods))} did not end within {STOP_SECONDS:.0f} s; run it again.")
        session.host.sleep(POLL_SECONDS)
    if leader := still_led(session, home):
        stopped = f"The Deployment {home}/{NAME} is gone" if there else f"There is no Deployment {home}/{NAME}"
        outside = f"a controller outside of it still leads: {leader}. Stop that one, then run it again; nothing else was removed."
        raise CommandError(ExitCode.HELD, f"{stopped}, but {outside}")


def let_go(kube: Kube) -> None:
    """Autoscalers get their own minimum back, Releases lose our finalizer. Repeating it changes nothing."""
    for hpa in listed(kube, HPA):
        if marks.annotation(hpa, FLOOR):
            restore(kube, hpa)
    for release in listed(kube, RELEASE):
        meta = metadata(release)
        if marks.FINALIZER in marks.items(meta.get("finalizers")):
            others = [one for one in meta["finalizers"] if one != marks.FINALIZER]
            body = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": others}}
            kube.patch(RELEASE, str(meta["namespace"]), str(meta["name"]), body)


def restore(kube: Kube, hpa: Obj) -> None:
    """The minimum that its owner chose, from the note that stands beside the raised one."""
    meta, wanted = metadata(hpa), own_minimum(hpa)
    spec = {"spec": {"minReplicas": wanted}} if wanted != hpa_minimum(hpa) else {}
    body = {"metadata": {"resourceVersion": meta["resourceVersion"], "annotations": {FLOOR: None}}, **spec}
    kube.patch(HPA, str(meta["namespace"]), str(meta["name"]), body)


def remove_all(session: Session, home: str) -> None:
    """CRDs with all their objects, our records, then rights and what ran the controller."""
    kube = session.kube
    for kind in (POLICY_BINDING, POLICY):
        for obj in listed(kube, kind, OWNER):
            delete(kube, kind, obj)
    for config_map in records(kube):
        delete(kube, CONFIG_MAP, config_map)
    for crd in definitions().values():
        delete(kube, CRD, find(kube, CRD, "", crd["metadata"]["name"]))
    for kind in (
        NETWORK_POLICY, BUDGET, SERVICE, CONFIG_MAP, ROLE_BINDING, ROLE, CLUSTER_ROLE_BINDING, CLUSTER_ROLE, SERVICE_ACCOUNT,
    ):  # fmt: skip
        for obj in listed(kube, kind, OWNER):
            delete(kube, kind, obj)
    delete(kube, LEASE, lease_of(kube, home))
    remove_home(kube, home)


def records(kube: Kube) -> Iterator[Obj]:
    """Frozen plans and histories; copies that a green was given stay with it."""
    for config_map in listed(kube, CONFIG_MAP, marks.PLAN_LABEL):
        if str(metadata(config_map).get("name")).startswith(RECORDS):
            yield config_map


def remove_home(kube: Kube, home: str) -> None:
    """The controller's namespace, where install made it and nothing of others lives there."""
    namespace = find(kube, NAMESPACE, "", home)
    if mapping(metadata(namespace).get("labels")).get("app.kubernetes.io/managed-by") != "penstock-install":
        return
    try:
        strangers = [obj for kind in (DEPLOYMENT, POD, SERVICE, SECRET, CONFIG_MAP) for obj in kube.list(kind, home).items]
    except RefusedError:
        strangers = [namespace]
    strangers = [obj for obj in strangers if metadata(obj).get("name") not in ("kube-root-ca.crt", "istio-ca-root-cert", "istio-ca-crl")]
    if strangers:
        say(f"Namespace {home} stays: other objects live in it.")
        return
    delete(kube, NAMESPACE, namespace)


def delete(kube: Kube, kind: Kind, obj: Obj) -> None:
    """Delete exactly this object; nothing where there is none, or where it is another one by now."""
    meta = metadata(obj)
    if not meta.get("uid") or meta.get("deletionTimestamp"):
        return
    try:
        kube.delete(kind, str(meta.get("namespace", "")), str(meta["name"]), uid=str(meta["uid"]))
    except (NotFoundError, ConflictError):
        return
