"""`penstock start`: create a Release; by `--id` as often as a pipeline likes."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from controller.api.base import NAME_LENGTH
from controller.cli import complete
from controller.cli import host as hosts
from controller.cli import wait as waiting
from controller.cli.exits import CommandError, ExitCode, explain_fault, is_missing_kind
from controller.cli.host import Session, say, tell
from controller.cli.naming import (
    ID_LENGTH,
    REVISION_LENGTH,
    NamingError,
    checked,
    free_name,
    images_by_member,
    name_for_id,
    release_name,
    revision_of,
)
from controller.cli.read import INSIST_SECONDS, insist, plan_in_force, release_of
from controller.cli.view import FINAL
from controller.cli.words import full_stop, record, rows, text
from controller.ports import RELEASE, RELEASE_PLAN, ConflictError, KubeError, NotFoundError, Obj

RUNS = ("CI_PIPELINE_URL", "CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL")
COMMITS = ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "CIRCLE_SHA1", "BUILDKITE_COMMIT", "BUILD_SOURCEVERSION")


def run_url(environ: Mapping[str, str]) -> str:
    """The CI run that this is, by the variables that CI systems set."""
    if environ.get("GITHUB_RUN_ID"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{environ['GITHUB_RUN_ID']}"
    return next((environ[name] for name in RUNS if environ.get(name)), "")


def commit_of(environ: Mapping[str, str]) -> str:
    """The commit that CI is at."""
    return next((environ[name] for name in COMMITS if environ.get(name)), "")


def plan_spec(session: Session, plan: str) -> Mapping[str, Any]:
    """The plan's spec as it stands. Raises `CommandError` where there is none of that name."""
    try:
        return record(session.kube.get(RELEASE_PLAN, session.namespace, plan).get("spec"))
    except NotFoundError as error:
        if is_missing_kind(error):
            raise explain_fault(error) from error
        try:
            names = [text(record(o.get("metadata")).get("name")) for o in session.kube.list(RELEASE_PLAN, session.namespace).items]
        except NotFoundError as missing:
            raise explain_fault(missing) from missing
        known = f"There are: {', '.join(sorted(names))}." if names else "There is none at all."
        raise CommandError(ExitCode.NO, f"There is no plan {plan} in namespace {session.namespace}. {known}") from error


def members_of(spec: Mapping[str, Any]) -> list[str]:
    """Names of the plan's members."""
    short = [text(spec.get("workload"))] if spec.get("workload") else []
    return [*short, *(text(member.get("name")) for member in rows(spec.get("members")))]


def start(
    ctx: typer.Context,
    plan: hosts.PlanArgument,
    *,
    image: Annotated[list[str] | None, typer.Option("--image", metavar="[MEMBER=]REF", help="New image; repeat it by member.")] = None,
    revision: Annotated[str, typer.Option("--revision", help="Name of the new version; else the image's tag or digest.")] = "",
    name: Annotated[str, typer.Option("--name", help="Name of the release; else PLAN-REVISION, and with --id one made of the id.")] = "",
    id_: Annotated[str, typer.Option("--id", help="Idempotency key: the same id finds the same release again.")] = "",
    commit: Annotated[str, typer.Option("--commit", help="Commit that is released; else what CI says.")] = "",
    run: Annotated[str, typer.Option("--run", help="Address of the CI run; else what CI says.")] = "",
    supersede: Annotated[
        str,
        typer.Option(
            "--supersede", metavar="NAME", help="Roll this release back first, and take its place.", autocompletion=complete.releases
        ),
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the success, as `penstock wait` does.")] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", help="With --wait: stop waiting after this time; the release goes on. 0s: never.")
    ] = "45m",
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Start a release of a plan.

    With --wait the exit code says how it ended: `penstock help exit-codes`.
    """
    hosts.check_format(output, hosts.OBJECT_FORMATS)
    seconds = waiting.parse_timeout(timeout)
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    spec = plan_spec(session, plan)
    try:
        images = images_by_member(image or [], members_of(spec))
        checked("name", name, NAME_LENGTH)
        tagged = revision_of(next(iter(images.values()))) if images and not revision else ""
        wanted = checked("revision", revision, REVISION_LENGTH) or tagged
    except NamingError as error:
        raise CommandError(ExitCode.USAGE, str(error)) from error
    if not images and record(spec.get("preparation")).get("green") != "adopt":
        member = next(iter(members_of(spec)), "MEMBER")
        raise CommandError(ExitCode.USAGE, f"Which image? Write --image {member}=REGISTRY/NAME:TAG.")
    if not wanted:
        raise CommandError(ExitCode.USAGE, "Green is adopted and no image names it: give --revision.")
    environ = session.host.environ
    origin = {"actor": session.actor, "id": id_, "run": (run or run_url(environ))[:512], "commit": (commit or commit_of(environ))[:128]}
    if len(id_) > ID_LENGTH:
        raise CommandError(ExitCode.USAGE, f"The id has {len(id_)} characters, expected at most {ID_LENGTH}: give a shorter --id.")
    body: dict[str, Any] = {"plan": plan, "revision": wanted, "images": images, "origin": {k: v for k, v in origin.items() if v}}
    if supersede:
        supersede = hosts.check_name_of("--supersede", supersede, "releases")
        release_of(session, supersede)  # a name that does not exist is a typo, and would never be superseded
        body["supersedes"] = supersede
    release = create(session, body, name=name or (name_for_id(plan, id_) if id_ else ""))
    created = release["metadata"]["name"]
    if output:
        hosts.print_object(hosts.plain(release), output)
    else:
        tell(created)
    if wait:
        code, _ = waiting.follow(session, created, waiting.Goal("succeeded"), seconds, beside_data=bool(output))
        waiting.finish(code)


def create(session: Session, spec: Mapping[str, Any], *, name: str = "") -> Obj:
    """Create a Release, or find the one that an earlier call with the same id has created.

    Args:
        session: where.
        spec: its spec as JSON.
        name: its name; derived from plan and revision if empty, with a number where a finished one has it.
    """
    plan, revision = text(spec.get("plan")), text(spec.get("revision"))
    fixed = name or _derived(session, plan, revision)
    body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": fixed}, "spec": spec}
    try:
        made = insist(session, INSIST_SECONDS, lambda: session.kube.create(RELEASE, session.namespace, body))
    except ConflictError as error:
        return _existing(session, fixed, spec, error)
    except NotFoundError as error:
        if is_missing_kind(error):
            raise explain_fault(error) from error
        raise CommandError(ExitCode.NO, f"The release was not created: {full_stop(error)}") from error
    behind = "" if spec.get("kind") == "reverse" else _behind(session, plan, fixed, text(spec.get("supersedes")))
    say(f"Release {fixed} is created, revision {revision}.{behind}")
    return made


def _derived(session: Session, plan: str, revision: str) -> str:
    """`<plan>-<revision>`, numbered where a finished release has that name; refused where a running one has it."""
    wanted = release_name(plan, revision)
    found = {o["metadata"]["name"]: o for o in session.kube.list(RELEASE, session.namespace).items}
    running = wanted in found and text(record(found[wanted].get("status")).get("phase")) not in FINAL
    if running:
        raise CommandError(
            ExitCode.REFUSED,
            f"Release {wanted} of this very revision runs already (penstock wait {wanted}); a pipeline that may run again gives --id.",
        )
    return free_name(wanted, found)


def _existing(session: Session, name: str, spec: Mapping[str, Any], error: ConflictError) -> Obj:
    """The release of that name, where it is what is asked for again: same id, or our own lost answer."""
    there = session.kube.get(RELEASE, session.namespace, name)
    theirs = record(there.get("spec"))
    same = all(theirs.get(key) == spec.get(key) for key in ("plan", "revision", "images", "kind", "supersedes", "retryOf", "reverseOf"))
    same_id = record(theirs.get("origin")).get("id") == record(spec.get("origin")).get("id")
    if same and same_id:
        say(f"Release {name} was started before by the same id; this is that one.")
        return there
    what = "with another content" if same_id else "and was started by somebody else"
    raise CommandError(
        ExitCode.REFUSED,
        f"Release {name} exists {what} (revision {text(theirs.get('revision'))}); give another {'--id' if same_id else '--name'}.",
    ) from error


def _behind(session: Session, plan: str, name: str, supersedes: str) -> str:
    """A word on the release that runs before this one, or whose place it takes, if there is one."""
    try:
        live = session.kube.get(RELEASE_PLAN, session.namespace, plan)
        active = text(record(live.get("status")).get("activeName"))
        if not supersedes and _gives_way(session, live, active):
            supersedes = active
        taken = session.kube.get(RELEASE, session.namespace, supersedes) if supersedes else {}
    except KubeError:
        return ""  # the release is created; this is only a word beside it
    if taken and text(record(taken.get("status")).get("phase")) not in FINAL:
        return f" It takes the place of release {supersedes}{', which is rolled back first' if supersedes == active else ''}."
    if active in ("", name):
        return ""
    return f" It waits for release {active}, which holds the plan (--supersede {active} would take its place)."


def _gives_way(session: Session, plan: Obj, active: str) -> bool:
    """Whether the release that runs is rolled back for a newer one: where the plan says so, and did when it was frozen."""
    word = "supersede"
    if not active or record(plan.get("spec")).get("concurrency") != word:
        return False
    frozen = plan_in_force(session, session.kube.get(RELEASE, session.namespace, active))
    return frozen is not None and frozen.get("concurrency") == word
