"""`penstock pause, resume, advance, promote, rollback`: ask, and print the controller's answer.

Toward blue nothing is asked of the person: no reason, no prompt. Toward green a reason is needed, what is
skipped is said, and somebody has to say yes; the request carries what was seen, so that it cannot act on
a later stage.
"""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from controller.api.release import Phase
from controller.cli import host as hosts
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Session, say, tell
from controller.cli.leading import nobody_acts
from controller.cli.read import insist, plan_in_force, release_of
from controller.cli.view import FINAL, planned_stages
from controller.cli.wait import parse_timeout
from controller.cli.words import full_stop, record, rows, span, text, whole
from controller.core.reasons import BLUE_GONE, NO_DATA
from controller.ports import RELEASE_REQUEST, ConflictError, KubeError, Obj, UnavailableError

POLL_SECONDS = 0.2

ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it is recorded.", show_default=False)]
NeededReason = Annotated[str, typer.Option("--reason", "-r", help="Why; needed, and recorded.", show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")]
TimeoutOption = Annotated[str, typer.Option("--timeout", help="How long to wait for the controller's answer.")]


def pause(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    reason: ReasonOption = "",
    timeout: TimeoutOption = "10s",
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Freeze weight and window of a release; triggers stay on."""
    session = _open(ctx, namespace, context, kubeconfig, output)
    ask(session, release_of(session, name), "pause", reason, seconds=parse_timeout(timeout), output=output)


def resume(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    reason: ReasonOption = "",
    timeout: TimeoutOption = "10s",
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Let a paused, held or halted release go on, with a new window."""
    session = _open(ctx, namespace, context, kubeconfig, output)
    release = release_of(session, name)
    ask(session, release, "resume", reason, expect={"revision": _revision(release)}, seconds=parse_timeout(timeout), output=output)


def advance(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    reason: NeededReason = "",
    yes: YesOption = False,
    timeout: TimeoutOption = "10s",
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Skip the rest of this stage's window and its verdict."""
    session = _open(ctx, namespace, context, kubeconfig, output)
    _forward(session, name, "advance", reason, seconds=parse_timeout(timeout), output=output, yes=yes)


def promote(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    reason: NeededReason = "",
    yes: YesOption = False,
    timeout: TimeoutOption = "10s",
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Skip all stages before the last: green gets 100 %, and bakes."""
    session = _open(ctx, namespace, context, kubeconfig, output)
    _forward(session, name, "promote", reason, seconds=parse_timeout(timeout), output=output, yes=yes)


def rollback(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    reason: ReasonOption = "",
    now: Annotated[bool, typer.Option("--now", help="Of a success: switch at once, whatever capacity the old version has.")] = False,
    timeout: TimeoutOption = "10s",
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Put everybody back on the version before. Never asks, needs no reason; of a success it starts the reverse release."""
    session = _open(ctx, namespace, context, kubeconfig, output)
    seconds = parse_timeout(timeout)
    release = insist(session, seconds, lambda: release_of(session, name))
    if text(record(release.get("status")).get("phase")) == "Succeeded":
        from controller.cli.again import reverse

        reverse(session, release, reason, seconds=seconds, output=output, now=now)
        return
    ask(session, release, "rollback", reason, seconds=seconds, output=output)


def _open(ctx: typer.Context, namespace: str, context: str, kubeconfig: str, output: str) -> Session:
    hosts.check_format(output, hosts.OBJECT_FORMATS)
    return hosts.open_session(ctx, namespace, context, kubeconfig)


def _revision(release: Obj) -> str:
    return text(record(release.get("spec")).get("revision"))


def _forward(session: Session, name: str, verb: str, reason: str, *, seconds: float, output: str, yes: bool) -> None:
    """Toward green: a reason, what is skipped, a yes, and what was seen."""
    if not reason.strip():
        raise CommandError(ExitCode.USAGE, f"`penstock {verb}` skips what would have been judged: say why with --reason.")
    release = release_of(session, name)
    ended = text(record(release.get("status")).get("phase")) in FINAL  # nothing is skipped then, and the controller says so
    if not ended:
        say(skipped_words(verb, release, plan_in_force(session, release), session.divisor))
    if not yes and not ended:
        if not session.host.asks:
            raise CommandError(ExitCode.USAGE, f"Nobody can be asked here: give --yes to {verb}.")
        if not session.host.confirm(f"{verb.capitalize()} {name}?"):
            raise CommandError(ExitCode.REFUSED, "Nothing was done.")
    expect = {"stage": whole(record(release.get("status")).get("stage"), -1), "revision": _revision(release)}
    ask(session, release, verb, reason, expect=expect, seconds=seconds, output=output)


def skipped_words(verb: str, release: Obj, plan: Any, divisor: float = 1.0) -> str:
    """What is not going to be judged."""
    spec, status = record(release.get("spec")), record(release.get("status"))
    stages, index = planned_stages(spec, plan, divisor), whole(status.get("stage"), -1)
    begun = rows(status.get("stages"))
    if not 0 <= index < len(stages):
        if stages and _unjudgeable(status):
            return f"Nobody could see green fail now; it gets {stages[-1 if verb == 'promote' else 0][0]} % next all the same."
        return "No stage has begun, so there is nothing to skip yet."
    weight, window = stages[index]
    if verb == "promote" and text(status.get("reason")) == BLUE_GONE:
        return f"Goes on without blue, so that nobody can be put back: green gets {stages[-1][0]} % next, and bakes."
    judged = ""
    if index < len(begun) and begun[index].get("verdict") == "pass":
        judged = ", which has passed"
    elif window:
        judged = f", its window of {span(window)} unjudged"
    between = [f"{w} %" for w, _ in stages[index + 1 : -1]] if verb == "promote" else []
    target = stages[-1][0] if verb == "promote" else stages[min(index + 1, len(stages) - 1)][0]
    if index == len(stages) - 1:
        if verb == "promote":
            return "Green has all the traffic already: there is no stage to skip."
        return f"Skips the rest of the bake at {weight} %{judged}."
    also = f" and the stage{'s' * (len(between) > 1)} of {', '.join(between)}" if between else ""
    return f"Skips the rest of the stage of {weight} %{judged}{also}; green gets {target} % next."


def _unjudgeable(status: Mapping[str, Any]) -> bool:
    """Whether green waits for its first request because nobody could judge it."""
    return text(status.get("phase")) == Phase.HOLDING and text(status.get("reason")) == NO_DATA


def ask(
    session: Session, release: Obj, verb: str, reason: str, *, seconds: float, output: str, expect: dict[str, Any] | None = None
) -> None:
    """Create the request and wait for its answer. Raises where it is refused or nobody answers."""
    meta = record(release.get("metadata"))
    release_name = text(meta.get("name"))
    # The name is ours, so that asking again after a lost answer cannot ask twice.
    name = f"{release_name[:45].rstrip('-.')}-{verb}-{secrets.token_hex(4)}"
    spec: dict[str, Any] = {"release": release_name, "releaseUid": text(meta.get("uid")), "verb": verb, "actor": session.actor}
    spec |= ({"reason": reason[:1024]} if reason else {}) | ({"expect": expect} if expect else {})
    body = {"apiVersion": RELEASE_REQUEST.api_version, "kind": "ReleaseRequest", "metadata": {"name": name}, "spec": spec}

    def put() -> None:
        try:
            session.kube.create(RELEASE_REQUEST, session.namespace, body)
        except ConflictError as error:
            if error.reason != "AlreadyExists":
                raise

    insist(session, seconds, put)
    request = answered(session, name, seconds)
    status = record(request.get("status"))
    if output:
        hosts.print_object(hosts.plain(request), output)
    elif text(status.get("state")) == "accepted":
        tell(f"accepted: {text(status.get('message')).removeprefix('Done: ')}")
    else:
        tell(f"refused: {text(status.get('message'))}")
    if text(status.get("state")) != "accepted":
        from controller.core.reasons import next_step

        raise CommandError(ExitCode.REFUSED, next_step(text(status.get("reason"))))


def without_plan(session: Session, request: Obj) -> str:
    """Why a controller that leads leaves the request standing: the release has no plan any more to go back by; "" otherwise."""
    from controller.core.reasons import PLAN_LOST, next_step

    try:
        status = record(release_of(session, text(record(request.get("spec")).get("release"))).get("status"))
    except (KubeError, CommandError):
        return ""
    return f"{full_stop(text(status.get('message')))} {next_step(PLAN_LOST)}" if status.get("reason") == PLAN_LOST else ""


def answered(session: Session, name: str, seconds: float) -> Obj:
    """The request with the controller's answer. Raises where none comes in time; the request stays."""
    end = session.now + seconds
    while True:
        try:
            request = session.kube.get(RELEASE_REQUEST, session.namespace, name)
        except UnavailableError:
            request = {}
        if text(record(request.get("status")).get("state")):
            return request
        if session.now >= end:
            stuck = nobody_acts(session, session.namespace) or without_plan(session, request)
            unanswered = f"No controller has answered within {seconds:g} s; the request stays until one does: penstock get request {name}"
            raise CommandError(ExitCode.TIMED_OUT, f"{stuck} {unanswered}".strip())
        session.host.sleep(POLL_SECONDS)
