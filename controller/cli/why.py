"""`penstock why`: the reason as a sentence with both numbers, the query, what happens next, what you can do."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from controller.cli import host as hosts
from controller.cli.host import tell
from controller.cli.living import without
from controller.cli.read import plan_edits, plan_in_force, release_of, seen_now
from controller.cli.view import Mark, ReleaseView, verb_of
from controller.cli.words import clock, number, record, span, text
from controller.core import reasons
from controller.ports import Obj


def why(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.RecordOption = "",
) -> None:
    """Why a release stands where it does: the numbers, the queries, what happens next and what you can do."""
    hosts.check_format(output, hosts.RECORD_FORMATS)
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    release = release_of(session, name)
    plan = plan_in_force(session, release)
    view = seen_now(session, release, plan)
    queries, edits = queries_of(release, plan, session.now), plan_edits(session, release, plan)
    if output:
        hosts.print_object(as_data(release, view, queries) | {"planEdits": edits}, output)
        return
    for line in story(release, view, queries, session.now, edits):
        tell(line)


def story(release: Obj, view: ReleaseView, queries: Mapping[str, dict[str, str]], now: float, edits: Iterable[str] = ()) -> Iterator[str]:
    """The answer, line by line."""
    since = f", for {span(now - view.since)}" if view.since and not view.finished else ""
    yield f"{view.namespace}/{view.name} is {view.phase} at {view.share}{since}."
    yield f"Why:   {view.sentence}"
    rollback = record(record(release.get("status")).get("rollback"))
    if rollback:
        yield from way_back(rollback)
    culprits = culprits_of(view, rollback, record(record(release.get("status")).get("hold")))
    for check in culprits:
        if not view.sentence.count(check.words):
            yield f"Check: {check.name}: {check.words}"
        for colour, query in queries.get(check.name, {}).items():
            yield f"Query: {colour}: {query}"
    for note in view.notes:
        yield f"Note:  {note}"
    for edit in edits:
        yield f"Edit:  {edit}"
    yield f"Next:  {view.next}"
    cause = text(rollback.get("reason"))
    steps = dict.fromkeys(without(step, "why", verb_of(view.command)) for step in (view.can, reasons.next_step(cause) if cause else ""))
    useful = " ".join(filter(None, steps))
    yield f"Can:   {useful or 'penstock history shows every decision.'}"
    if view.command:
        yield f"       {view.command} {view.command_does}."


def culprits_of(view: ReleaseView, rollback: Mapping[str, Any], hold: Mapping[str, Any]) -> list[Any]:
    """The checks that the answer is about: what caused a rollback or a hold, else what fails, else what has no answer, else the tightest.

    A rollback that no check caused (a person asked, a deadline passed, green's pods went) is about what fails, if anything does.
    """
    caused = text(rollback.get("check")) or text(hold.get("check"))
    named = [check for check in view.checks if check.name == caused]
    failing = [check for check in view.checks if check.mark is Mark.BAD]
    silent = [check for check in view.checks if check.mark is Mark.WAIT]
    tight = [check for check in view.checks if check.name == view.tightest]
    if rollback:
        return named or failing
    return named or failing or silent or tight


def way_back(rollback: Mapping[str, Any]) -> Iterator[str]:
    """How the rollback went: exposure, time to detect and to recover."""
    if text(rollback.get("message")):
        yield f"Cause: {text(rollback.get('message'))}"
    decided, traffic = number(rollback.get("decidedAt")), number(rollback.get("trafficAt"))
    failed, gone = number(rollback.get("failedAt")), number(rollback.get("goneAt"))
    exposed = number(rollback.get("exposedSeconds"))
    most = number(rollback.get("maxWeight"))
    had = f"at most {most:.0f} % of the traffic{f', for {span(exposed)}' if exposed else ''}"
    yield f"Green: {had if most or exposed else 'never had traffic'}."
    times = [f"decided {clock(decided)} UTC"] if decided else []
    began = "the evidence began to grow" if rollback.get("reason") == reasons.EVIDENCE_AGAINST else "the first failing sample"
    times += [f"{span(decided - failed)} after {began}"] if decided and failed and text(rollback.get("check")) else []
    times += [f"traffic back after {traffic - decided:.1f} s"] if traffic else ["traffic not back yet"]
    times += [f"green gone after {span(gone - decided)}"] if gone else []
    yield f"Times: {'; '.join(times)}."


def queries_of(release: Obj, plan: Mapping[str, Any] | None, now: float) -> dict[str, dict[str, str]]:
    """The queries by check and colour, parameters filled in; empty where the plan or the release cannot be read."""
    from dataclasses import replace

    from pydantic import ValidationError

    from analysis.model import Window
    from controller.adapters.records import read_subject
    from controller.api.plan import PlanSpec
    from controller.core.asking import TRAFFIC, Counting, Wanted, asks_for, colours_of, is_counted
    from controller.core.sequential import edges_of, stored
    from controller.core.steps import World
    from controller.core.tested import by_limit
    from controller.core.world import Observed

    if plan is None:
        return {}
    try:
        world = World(replace(read_subject(release), plan=PlanSpec.model_validate(plan)), Observed(), now).at_home
    except (ValidationError, KeyError):
        return {}
    subject = world.subject
    if subject.status.blue_slot < 0 or subject.plan is None:
        return {}
    stage = subject.plan.stages[max(0, min(subject.status.stage, len(subject.plan.stages) - 1))]
    with_blue = replace(subject, status=subject.status.model_copy(update={"weight": 0, "observed_weight": 0}))
    found: dict[str, dict[str, str]] = {}
    since = now - stage.window
    checks = subject.plan.checks
    counted = tuple(Counting(check, since, edges=edges_of(stored(world, check))) for check in checks if check.sequential)
    paired = tuple((check, since) for check in checks if not check.sequential and not by_limit(subject.plan, check, stage.weight))
    shared = {trigger.name: trigger.range for trigger in subject.plan.triggers if is_counted(subject.plan, trigger)}
    wanted = Wanted(
        traffic_since=now - max(shared.values()) if shared else None,
        gate=Window(since, now),
        ticks=counted,
        pairs=paired,
        triggers=tuple(subject.plan.triggers),
    )
    for ask in asks_for(with_blue, Observed(), now, wanted):
        if ask.key == TRAFFIC:
            found |= {name: {"both": ask.query} for name in shared}
            continue
        kind, check, *asked = ask.key.split("/")
        colour = colours_of(asked if kind == "ticks" else asked[::-1])
        found.setdefault(check, {})[colour] = ask.query or ask.url
    return found


def as_data(release: Obj, view: ReleaseView, queries: Mapping[str, dict[str, str]]) -> dict[str, Any]:
    """The same for programs."""
    status = record(release.get("status"))
    return {
        "release": view.name, "namespace": view.namespace, "phase": view.phase, "weight": view.weight, "reason": view.reason,
        "sentence": view.sentence, "next": view.next, "can": view.can, "command": view.command,
        "rollback": dict(record(status.get("rollback"))) or None, "hold": dict(record(status.get("hold"))) or None,
        "checks": [
            {"name": c.name, "outcome": c.word, "words": c.words, "tightness": c.tightness, "queries": queries.get(c.name, {})}
            for c in view.checks
        ],
    }  # fmt: skip
