"""`penstock retry`, and the reverse release that `penstock rollback` of a success starts."""

import typer

from controller.api.base import NAME_LENGTH
from controller.cli import host as hosts
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Session, say, tell
from controller.cli.naming import NamingError, free_name, next_try, release_name, revision_of, slug
from controller.cli.read import plan_in_force, release_of
from controller.cli.reversal import no_way_back
from controller.cli.start import create
from controller.cli.view import FINAL
from controller.cli.words import record, text, whole
from controller.ports import RELEASE, Obj

POLL_SECONDS = 0.2


def retry(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Try the version of a rolled back or refused release again, as a new release."""
    hosts.check_format(output, hosts.OBJECT_FORMATS)
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    release = release_of(session, name)
    spec, phase = record(release.get("spec")), text(record(release.get("status")).get("phase"))
    if phase == "Succeeded":
        raise CommandError(ExitCode.REFUSED, f"Release {name} has succeeded, there is nothing to try again.")
    if phase not in FINAL:
        raise CommandError(ExitCode.REFUSED, f"Release {name} has not ended, it is {phase or 'Queued'}; penstock wait {name} --for ended.")
    taken = {o["metadata"]["name"]: o for o in session.kube.list(RELEASE, session.namespace).items}
    running = [n for n, o in taken.items() if record(o.get("spec")).get("retryOf") == name and not ended(o)]
    if running:
        raise CommandError(ExitCode.REFUSED, f"Release {running[0]} tries it again already: penstock wait {running[0]}.")
    revision = next_try(text(spec.get("revision")))
    while release_name(text(spec.get("plan")), revision) in taken:
        revision = next_try(revision)
    body = {
        "plan": text(spec.get("plan")), "revision": revision, "images": dict(record(spec.get("images"))), "retryOf": name,
        "origin": {**record(spec.get("origin")), "actor": session.actor, "id": ""},
    }  # fmt: skip
    if spec.get("kind") == "reverse":
        body |= {"kind": "reverse", "reverseOf": text(spec.get("reverseOf"))}
    show(create(session, body, name=release_name(text(spec.get("plan")), revision)), output)


def ended(release: Obj) -> bool:
    """Whether it is in a final phase."""
    return text(record(release.get("status")).get("phase")) in FINAL


def show(release: Obj, output: str) -> None:
    """A new release as data."""
    if output:
        hosts.print_object(hosts.plain(release), output)
    else:
        tell(str(release["metadata"]["name"]))


def reverse(session: Session, release: Obj, reason: str, *, seconds: float, output: str, now: bool) -> None:
    """Start the release that takes a success back, or find the one that already does; wait until the controller has it."""
    name, spec = text(record(release.get("metadata")).get("name")), record(release.get("spec"))
    before = {str(k): str(v) for k, v in record(record(release.get("status")).get("imagesBefore")).items() if v}
    if not before:
        raise CommandError(ExitCode.REFUSED, f"Release {name} does not say what served before it: start a release with the old image.")
    if refused := no_way_back(session, release, plan_in_force(session, release)):
        raise CommandError(ExitCode.REFUSED, refused)
    others = {o["metadata"]["name"]: o for o in session.kube.list(RELEASE, session.namespace).items}
    running = next((o for o in others.values() if record(o.get("spec")).get("reverseOf") == name and not ended(o)), None)
    if running is not None:
        say(f"Release {running['metadata']['name']} takes it back already.")
        show(running, output)
        return
    try:
        revision = revision_of(next(iter(before.values())))
    except NamingError:
        revision = slug(f"before-{spec.get('revision')}")
    wanted = f"{name[: NAME_LENGTH - 5].rstrip('-.')}-back"
    body = {
        "plan": text(spec.get("plan")), "revision": revision, "images": before, "kind": "reverse", "reverseOf": name,
        "origin": {"actor": f"{session.actor}{f': {reason}' if reason else ''}"[:256]},
    }  # fmt: skip
    made = create(session, body | ({"now": True} if now else {}), name=free_name(wanted, others))
    show(_taken_up(session, made, seconds), output)


def _taken_up(session: Session, release: Obj, seconds: float) -> Obj:
    """The release once a controller has looked at all that could refuse it. Raises where it is refused, and where none looks in time.

    It stays then. One that still waits for another release has its answer, too, which names that one.
    """
    name, end = release["metadata"]["name"], session.now + seconds
    while True:
        found = release_of(session, name)
        status = record(found.get("status"))
        if text(status.get("phase")) == "Refused":
            raise CommandError(ExitCode.REFUSED, f"Release {name} was refused, nothing was changed: {text(status.get('message'))}")
        if whole(status.get("blueSlot"), -1) >= 0 or (session.now >= end and text(status.get("reason"))):
            say(text(status.get("message")))
            return found
        if session.now >= end:
            sentence = f"No controller has taken up release {name} within {seconds:g} s; it stays and begins when one runs."
            raise CommandError(ExitCode.TIMED_OUT, sentence)
        session.host.sleep(POLL_SECONDS)
