"""What should be said about how a release is judged: at its beginning, and when a stage passes. Pure; it decides nothing."""

from collections.abc import Iterator
from dataclasses import replace

from controller.api.plan_checks import Check, Trigger
from controller.api.release import ReleaseStatus
from controller.core import polls, reasons, samples, sequential
from controller.core.commands import Record, RecordKind
from controller.core.queries import member_of
from controller.core.sequential import measured_of
from controller.core.steps import World, record
from controller.core.tested import gauge_test
from controller.core.words import many
from controller.core.world import Problem

WARNINGS = 10
"""So many are kept in the status, each cut at `WARNING_LENGTH` characters: it stays under 16 KB."""

WARNING_LENGTH = 300

LONG_AGO_DAYS = 30.0
"""Traffic and code have changed since; measuring again takes a minute."""

_DAY = 86_400.0


def cautions(w: World) -> Iterator[Problem]:
    """Warnings about what is judged, and how; none in a reverse release, which judges nothing."""
    if w.subject.plan is None or w.subject.spec.kind == "reverse":
        return
    yield from _unwatched(w)
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


def _unwatched(w: World) -> Iterator[Problem]:
    """Members that the managed routes send requests to, and whose requests nothing looks at: without a name a check is of the first one."""
    every: tuple[Check | Trigger, ...] = (*w.plan.checks, *w.plan.triggers)
    acting = [one for one in every if not one.observe]
    if any(one.builtin is None and one.member is None for one in acting):
        return  # whose requests an author's query counts, nobody can tell
    watched = {member_of(w.plan, one.member).name for one in acting}
    left = [name for name in w.observed.routed if name not in watched]
    if left:
        yield Problem(reasons.MEMBER_UNWATCHED, f"{many(len(left), 'member')} {', '.join(left)}")


def in_words(problem: Problem) -> str:
    """A warning as the status keeps it."""
    return reasons.say(problem.reason, problem.detail)[:WARNING_LENGTH]


def with_unseen(w: World, passed: ReleaseStatus) -> tuple[ReleaseStatus, tuple[Record, ...]]:
    """The status of a stage that has passed, with what it rests on and nobody has ever seen, and a record of each; once in a release."""
    known = passed.warnings
    fresh = [one for one in _unseen(w) if in_words(one) not in known][: max(WARNINGS - len(known), 0)]
    notes = [record(w, RecordKind.WARNING, one.reason, one.detail) for one in fresh]
    records = tuple(replace(note, key=f"{note.key}/{note.reason}/{number}") for number, note in enumerate(notes))
    return passed.model_copy(update={"warnings": [*known, *map(in_words, fresh)]}) if fresh else passed, records


def _unseen(w: World) -> Iterator[Problem]:
    yield from _failures_unseen(w)
    silent = [one.name for one in w.plan.triggers if not one.observe and polls.polled(w.status.triggers, one.name).recent == "i"]
    if silent:
        yield Problem(reasons.TRIGGER_SILENT, ", ".join(silent))


def _failures_unseen(w: World) -> Iterator[Problem]:
    """Checks whose counter of failures has no series of either version: nothing has failed, or no such counter exists."""
    tally = sequential.counted(w)
    for one in tally.checks if tally is not None else ():
        bad = one.check.counters.bad if one.check.counters is not None else None
        if bad is None or one.state is None or any(line.sums[1] or line.sums[3] or line.before[1] for line in one.state.lines):
            continue
        found = samples.of(w.subject, w.observed, w.measured, one.check, shared=False)
        if found is not None and found.arms and not any(arm.bad for arm in found.arms.values()):
            yield Problem(reasons.FAILURES_UNSEEN, f"{one.check.name} counts {bad}")
