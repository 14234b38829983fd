"""Which namespaces an installation goes on watching: those that somebody deleted are not made again, others can be taken out."""

from dataclasses import replace

from controller.adapters import marks
from controller.adapters.marks import metadata
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Session, say
from controller.cli.install_kinds import CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, find
from controller.cli.install_objects import NAME, OWNER, Options
from controller.cli.uninstall import delete, is_running, names
from controller.ports import DEPLOYMENT, NAMESPACE, RELEASE, Kube, NotFoundError, Obj


def check_dropped(dropped: tuple[str, ...], named: tuple[str, ...], *, cluster_wide: bool, dry_run: bool) -> None:
    """Refuse what cannot be meant."""
    twice = [name for name in dropped if name in named]
    if twice:
        raise CommandError(ExitCode.USAGE, f"{', '.join(twice)} is named to be watched and to be dropped: leave one of them out.")
    if dropped and (cluster_wide or dry_run):
        other = "--cluster-wide" if cluster_wide else "--dry-run"
        raise CommandError(ExitCode.USAGE, f"--drop-namespace takes a namespace out of the installed list: leave {other} out.")


def still_watched(session: Session, options: Options, named: tuple[str, ...], dropped: tuple[str, ...]) -> Options:
    """The options without the namespaces that are dropped, or that somebody deleted since an earlier run.

    Args:
        session: whose cluster.
        options: what the flags and the earlier run name together.
        named: namespaces that the flags name: those are made where they are missing.
        dropped: namespaces that the flags take out.

    Raises:
        CommandError: a release of one that is watched no longer still runs, a named one is being deleted, or none with plans would be left.
    """
    strange = [name for name in dropped if options.cluster_wide or name not in options.watched]
    if strange:
        raise CommandError(ExitCode.USAGE, f"{', '.join(strange)} is not watched: there is nothing to drop.")
    for name in dropped:
        check_quiet(session.kube, name)
    if not options.cluster_wide and not options.settings.get("namespaces"):
        check_elsewhere(session.kube, options.watched)
    left = {name for name in options.watched if name not in dropped and is_there(session.kube, name, asked=name in named)}
    plans = tuple(name for name in options.namespaces if name in left)
    if options.namespaces and not plans:
        raise CommandError(ExitCode.USAGE, "No namespace with plans is left: name one with --namespace, or run `penstock uninstall`.")
    return replace(options, namespaces=plans, green_namespaces=tuple(name for name in options.green_namespaces if name in left))


def check_not_taken(kube: Kube, options: Options) -> None:
    """Refuse to take namespaces over from the controller of another installation: its releases there would run on unwatched."""
    where = [(CLUSTER_ROLE_BINDING, "")] if options.cluster_wide else [(ROLE_BINDING, name) for name in options.watched]
    for kind, namespace in where:
        for subject in marks.items(find(kube, kind, namespace, NAME).get("subjects")):
            other = str(marks.mapping(subject).get("namespace", ""))
            if other != options.home and find(kube, DEPLOYMENT, other, NAME):
                what = f"Namespace {namespace} is" if namespace else "All namespaces are"
                drop = (
                    f"`penstock install --controller-namespace {other} --drop-namespace {namespace}`"
                    if namespace
                    else "`penstock uninstall`"
                )
                ways = f"install with --controller-namespace {other}, take it out there by {drop}, or delete Deployment {other}/{NAME}"
                raise CommandError(ExitCode.REFUSED, f"{what} watched by the controller of another installation, in {other}: {ways}.")


def is_there(kube: Kube, name: str, *, asked: bool) -> bool:
    """Whether a namespace is to be watched; why one is not any more is said."""
    found = find(kube, NAMESPACE, "", name)
    if metadata(found).get("deletionTimestamp"):
        if asked:
            raise CommandError(
                ExitCode.REFUSED, f"Namespace {name} is being deleted: wait until it is gone. {way_out(held(kube, name))}".strip()
            )
        say(f"Namespace {name} is being deleted, and is no longer watched. {way_out(held(kube, name))}".strip())
        return False
    if not found and not asked:
        say(f"Namespace {name} does not exist any more, and is no longer watched; `penstock install --namespace {name}` makes it again.")
    return bool(found) or asked


def held(kube: Kube, namespace: str) -> list[Obj]:
    """Releases there that have our finalizer."""
    return [one for one in _releases(kube, namespace) if marks.FINALIZER in marks.items(metadata(one).get("finalizers"))]


def _releases(kube: Kube, namespace: str) -> list[Obj]:
    """Those of a namespace, or of all; none where the cluster does not know them."""
    try:
        return list(kube.list(RELEASE, namespace).items)
    except NotFoundError:
        return []


def way_out(releases: list[Obj]) -> str:
    """The command that lets go of a namespace in which nobody can be given rights any more."""
    patch = """--type=merge -p '{"metadata":{"finalizers":null}}'"""
    commands = [f"`kubectl patch release.penstock.dev {metadata(r)['name']} -n {metadata(r)['namespace']} {patch}`" for r in releases]
    return f"Only a person can let go of its releases now: {', '.join(commands)}." if commands else ""


def check_quiet(kube: Kube, namespace: str) -> None:
    """Refuse to leave a release alone that runs, or that has not given everything back; in a namespace that goes nobody can end it."""
    there = find(kube, NAMESPACE, "", namespace)
    if not there or metadata(there).get("deletionTimestamp"):
        return
    busy = unfinished(kube, namespace)
    if busy:
        sentence = f"{names(busy)} still runs or keeps its old version: roll it back or let it end, then drop {namespace}."
        raise CommandError(ExitCode.REFUSED, sentence)


def check_elsewhere(kube: Kube, watched: tuple[str, ...]) -> None:
    """From all namespaces to some of them: refuse to leave releases of the others alone."""
    busy = [one for one in unfinished(kube, "") if metadata(one)["namespace"] not in watched]
    if busy:
        others = " ".join(f"--namespace {name}" for name in sorted({metadata(one)["namespace"] for one in busy}))
        sentence = f"All namespaces are watched, and {names(busy)} still runs or keeps its old version: add {others}, or let it end first."
        raise CommandError(ExitCode.REFUSED, sentence)


def unfinished(kube: Kube, namespace: str) -> list[Obj]:
    """Releases that run, or that have not given everything back; of all namespaces where none is named."""
    found = _releases(kube, namespace)
    return [one for one in found if is_running(one) or marks.FINALIZER in marks.items(metadata(one).get("finalizers"))]


def take_rights(kube: Kube, namespace: str) -> None:
    """The controller's Role and binding leave a namespace that it does not watch any more."""
    for kind in (ROLE_BINDING, ROLE):
        for obj in kube.list(kind, namespace, labels=OWNER).items:
            delete(kube, kind, obj)
