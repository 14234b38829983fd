"""START HERE. The one loop body: observe, measure, decide, act, record.

    observe   one snapshot; targets first, the Release last
    measure   only what the core asks for
    decide    pure: -> status, commands, records, wake_at
    act       commands say "make it so"
    record    history, status, Event

The last two swap by direction: toward green record then act, toward blue act then record. A look that
wants to take a step toward green is taken again from the API server itself before the step (`live`):
caches are good enough to wait by, never to grant by. Production, the simulator and the sandbox run this
very function; nothing below it knows which of them it is in.

`Memo` holds nothing that the cluster does not hold too: parsed objects, and progress that the next
checkpoint will write. Losing it costs a minute or so of passing trigger polls.
"""

import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from controller import act as acting
from controller import observe as observing
from controller.adapters import evidence, history, records
from controller.api.release import Phase, ReleaseStatus
from controller.core import needs, requests, trouble
from controller.core.commands import Command, Decision, Direction, RollBackRoutes, Subject
from controller.core.decide import concluded, concluded_refusal
from controller.core.phases import BACKWARD, FINAL
from controller.core.steps import World
from controller.core.world import Ask, Measured, Measurement
from controller.evidence.journal import Journal, Seen
from controller.ports import RELEASE, ConflictError, Kube, KubeError, NotFoundError, Ports, RefusedError, UnavailableError
from controller.recall import version_of

Key = tuple[str, str]
"""Namespace and name of a Release."""

RETRY_SECONDS = 1.0
"""Back-off after a fault of the API server; a rollback never waits longer (L2)."""


LONGEST_PAUSE_SECONDS = 5.0
"""However long an overloaded server asks us to wait: a rollback may be owed."""

CONFLICTS_AT_ONCE = 5
"""So many conflicts in a row are answered by another look at once; a conflict that stays must not keep a worker busy."""


@dataclass(slots=True)
class Progress:
    """Status that was decided but waits for its checkpoint, and the resourceVersion it builds on."""

    uid: str
    resource_version: str
    status: ReleaseStatus


Tried = tuple[str, tuple[Command, ...]]
"""The Release's resourceVersion and the commands of the last look."""


@dataclass(slots=True)
class Memo:
    """What may be forgotten at any time."""

    parsed: observing.Parsed = field(default_factory=observing.Parsed)
    progress: dict[Key, Progress] = field(default_factory=dict)
    tried: dict[Key, Tried] = field(default_factory=dict)
    behind: dict[Key, str] = field(default_factory=dict)
    """Releases whose last write met a conflict, with the resourceVersion that the cache showed: while it still does, it is not used."""
    conflicts: dict[Key, int] = field(default_factory=dict)
    """How many looks in a row ended with a conflict."""
    journals: dict[Key, Journal] = field(default_factory=dict)
    """What was seen and decided since the last record: the next one takes it into the cluster."""

    def forget(self, key: Key) -> None:
        """A release that is gone leaves nothing behind."""
        self.progress.pop(key, None)
        self.tried.pop(key, None)
        self.behind.pop(key, None)
        self.conflicts.pop(key, None)
        self.journals.pop(key, None)
        self.parsed.forget(key)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the work queue needs to know.

    Attributes:
        wake_at: look again at this time; None where only a change of the world matters.
        again: look again at once.
        urgent: a rollback is under way: before everybody else.
        decision: for logs, traces and transcripts; None where the Release is gone.
        error: the sentence of a fault that was met; "" where there was none.
    """

    wake_at: float | None = None
    again: bool = False
    urgent: bool = False
    subject: Subject | None = None
    decision: Decision | None = None
    error: str = ""


def reconcile(key: Key, ports: Ports, memo: Memo, *, cache: Kube | None = None) -> Outcome:
    """One look at one release. Raises `Deposed` where a newer leader acts, `NotLeading` from the runtime's fence, and defects of ours."""
    now = ports.clock.now()
    try:
        return _reconcile(key, ports, memo, cache or ports.kube, now)
    except ConflictError as error:
        memo.progress.pop(key, None)
        memo.behind[key] = shown(key, cache)
        return contested(key, memo, now, str(error))
    except UnavailableError as error:
        pause = min(max(RETRY_SECONDS, error.retry_after), LONGEST_PAUSE_SECONDS)
        return Outcome(wake_at=now + pause, urgent=True, error=str(error))
    except KubeError as error:
        return Outcome(wake_at=now + RETRY_SECONDS * 5, error=str(error))


def _reconcile(key: Key, ports: Ports, memo: Memo, cache: Kube, now: float) -> Outcome:
    """Look by the cache; where a step comes out of it, look again live and decide again."""
    measured = Measured()
    looks = (ports.kube,) if is_behind(key, cache, memo) else (cache, ports.kube)
    for kube in looks:
        live = kube is ports.kube
        snapshot = observing.observe(key, kube, ports, memo.parsed, live=live, index=cache)
        if snapshot is None:
            memo.forget(key)
            answer_for_nobody(key, ports, cache)
            return Outcome()
        if live and memo.behind.get(key) in ("", snapshot.subject.resource_version):
            del memo.behind[key]  # the conflict was over something else
        subject, observed = with_progress(snapshot.subject, memo), snapshot.observed
        measured = measure(needs.asks(World(subject, observed, now, measured)), ports, measured)
        decision = concluded(World(subject, observed, now, measured), ports.epoch)
        if decision.by_triggers and (objections := needs.objections(World(subject, observed, now, measured))):
            measured = measure(objections, ports, measured)
            decision = concluded(World(subject, observed, now, measured), ports.epoch)
        step = takes_step(subject, decision)
        if live or not step:
            seen = Seen(subject, observed, measured, now, decision, step=step or decision.direction is Direction.BACK)
            try:
                note(seen, ports, memo)
                outcome = carry_out(snapshot, seen, ports, memo)
            except RefusedError as error:
                outcome = refused(key, ports, memo, error)
            memo.conflicts.pop(key, None)
            return outcome
    raise AssertionError("the second look is live")


def answer_for_nobody(key: Key, ports: Ports, cache: Kube) -> None:
    """Requests that name a release which is not there are refused: nobody else would ever answer them.

    Those of the API server itself: a cache that is behind goes on showing one as unanswered that is answered.
    """
    namespace, name = key
    if not records.read_requests(cache, namespace, name) or observing.read_release(ports.kube, key) is not None:
        return
    for view in records.read_requests(ports.kube, namespace, name):
        with suppress(RefusedError, NotFoundError, ConflictError):  # one that cannot be answered is not tried for ever
            records.answer_request(ports.kube, namespace, view, requests.for_nobody(view), epoch=ports.epoch, now=ports.clock.now())


def is_behind(key: Key, cache: Kube, memo: Memo) -> bool:
    """Whether a write met a conflict and the cache has not moved on: a look by it would meet the same one again and again."""
    if key in memo.behind and memo.behind[key] not in ("", shown(key, cache)):
        del memo.behind[key]
    return key in memo.behind


def shown(key: Key, cache: Kube | None) -> str:
    """The resourceVersion of the Release as the cache has it; "" where it shows none."""
    try:
        return version_of(cache.get(RELEASE, *key))[1] if cache is not None else ""
    except KubeError:
        return ""


def contested(key: Key, memo: Memo, now: float, sentence: str) -> Outcome:
    """Somebody wrote in between: look again at once, and with a growing pause where that does not end.

    A rollback's own conflicts do not come here: it repeats its write by itself, for ever.
    """
    conflicts = memo.conflicts.get(key, 0) + 1
    memo.conflicts[key] = conflicts
    if conflicts <= CONFLICTS_AT_ONCE:
        return Outcome(again=True, error=sentence)
    pause = min(RETRY_SECONDS, 0.05 * 2.0 ** min(conflicts - CONFLICTS_AT_ONCE, 10))
    return Outcome(wake_at=now + pause, urgent=True, error=sentence)


def refused(key: Key, ports: Ports, memo: Memo, error: RefusedError) -> Outcome:
    """A step was refused: look again, and write down what is in the way."""
    snapshot = observing.observe(key, ports.kube, ports, memo.parsed, live=True)
    if snapshot is None:
        return Outcome()
    subject, now = snapshot.subject, ports.clock.now()
    decision = concluded_refusal(World(subject, snapshot.observed, now), error.code, str(error), ports.epoch)
    note(Seen(subject, snapshot.observed, Measured(), now, decision, step=True, refused=(error.code, str(error))), ports, memo)
    store(snapshot, subject, decision, ports, memo)
    urgent = decision.status.phase in BACKWARD
    wake_at = decision.wake_at or now + trouble.RETRY_SECONDS
    return Outcome(wake_at=wake_at, urgent=urgent, subject=subject, decision=decision, error=str(error))


def confess(key: Key, ports: Ports, memo: Memo, defect: Exception) -> None:
    """A look ended in a defect of ours: stop this release and say so where people read it. The next look tries what cannot be written."""
    sentence = f"{type(defect).__name__}: {defect}"[:300]
    memo.progress.pop(key, None)
    with suppress(Exception):
        refused(key, ports, memo, RefusedError(trouble.OUR_DEFECT, "Defect", sentence))


def with_progress(subject: Subject, memo: Memo) -> Subject:
    """The subject with progress that was not yet written, where nobody has written since."""
    kept = memo.progress.get(key_of(subject))
    if kept is None or kept.uid != subject.uid or kept.resource_version != subject.resource_version:
        memo.progress.pop(key_of(subject), None)
        return subject
    return replace(subject, status=kept.status)


def key_of(subject: Subject) -> Key:
    """Namespace and name."""
    return subject.namespace, subject.name


def takes_step(subject: Subject, decision: Decision) -> bool:
    """Whether this decision does more than write down progress, and is not a way back that must not wait."""
    if decision.look_first:
        return True
    if decision.direction is Direction.BACK and any(isinstance(c, RollBackRoutes) for c in decision.commands):
        return False  # roll_back_routes() reads the routes and the Release itself before each write
    before, after = subject.status, decision.status
    return bool(decision.commands or decision.records) or essence(before) != essence(after)


def essence(status: ReleaseStatus) -> tuple[object, ...]:
    """What a step changes; the rest is progress, which a checkpoint may write by the cache alone."""
    begun = (*status.stages, *([status.returning] if status.returning else ()))
    stages = tuple((stage.verdict, stage.skipped, stage.shifted_at, stage.settled_at) for stage in begun)
    return (
        status.phase_counter,
        status.weight,
        status.grant,
        status.stage,
        stages,
        status.blue_slot,
        status.plan_hash,
        status.ready_at,
        status.empty_since,
        status.blue_empty_since,
        status.blue_changed,
        status.green_shrunk,
        status.configs_changed,
        status.returned_at,
        status.hold,
        status.rollback,
        status.retention,
        status.requests,
        status.drift,
    )


def note(seen: Seen, ports: Ports, memo: Memo) -> None:
    """Write the look into the release's journal; looks at a finished release that decide nothing leave no line.

    What cannot be written down begins the record anew, and stops no way back; only a step toward green raises.
    """
    key = key_of(seen.subject)
    if seen.subject.status.phase in FINAL and not seen.decision.records:
        memo.journals.pop(key, None)
        return
    try:
        memo.journals.setdefault(key, Journal()).note(seen, epoch=ports.epoch, divisor=ports.settings.time_divisor)
    except Exception:
        memo.journals.pop(key, None)
        if seen.step and explains_itself(seen.decision):
            raise


def measure(asks: tuple[Ask, ...], ports: Ports, known: Measured) -> Measured:
    """Ask what was not yet answered in this look, all at once: nine triggers of a slow Prometheus wait as long as one.

    A question whose words have changed is put again: progress that was lost between two looks reaches further back.
    """
    fresh = [ask for ask in asks if ask.key not in known.answers or known.answers[ask.key].query != ask.query]
    found = ports.together([partial(answer, ask, ports) for ask in fresh])
    return Measured({**known.answers, **{ask.key: one for ask, one in zip(fresh, found, strict=True)}})


def answer(ask: Ask, ports: Ports) -> Measurement:
    """One question; a fault is an answer."""
    if ask.url:
        found = ports.prober.probe(ask.url, timeout_seconds=ask.timeout, statuses=ask.statuses)
        return Measurement(answer=needs.NO_ANSWER, probe=found)
    provider = ports.prometheus.provider(ask.provider)
    if provider is None:
        return Measurement(answer=needs.unknown_provider(ask.provider), query=ask.query)
    return Measurement(answer=provider.query(ask.query, ask.time), query=ask.query)


def carry_out(snapshot: "observing.Snapshot", seen: Seen, ports: Ports, memo: Memo) -> Outcome:
    """Record and act, in the order that the direction asks for."""
    subject, decision = seen.subject, seen.decision
    urgent = decision.status.phase in BACKWARD
    if decision.direction is Direction.BACK:
        try:
            perform(snapshot, subject, decision, ports)
        except KubeError as error:
            if is_owed(decision, error):
                return owe(snapshot, seen, ports, memo, error)
            raise
        current = store(snapshot, subject, decision, ports, memo)
    else:
        current = store(snapshot, subject, decision, ports, memo)
        perform(snapshot, current, decision, ports)
    again = decision.again and not repeats(subject, current, decision, memo)
    wake_at = decision.wake_at if again or not decision.again else min(ports.clock.now() + RETRY_SECONDS, decision.wake_at or math.inf)
    return Outcome(wake_at=wake_at, again=again, urgent=urgent, subject=subject, decision=decision)


def is_owed(decision: Decision, error: KubeError) -> bool:
    """Whether a way back was tried in vain. Its routes were tried several times by then; a conflict elsewhere is only another look."""
    if decision.status.phase is not Phase.ROLLING_BACK:
        return False
    return isinstance(error, RefusedError) or any(isinstance(command, RollBackRoutes) for command in decision.commands)


def owe(snapshot: "observing.Snapshot", seen: Seen, ports: Ports, memo: Memo, error: KubeError) -> Outcome:
    """The cluster does not take a way back: what is owed, to whom and what is in the way is written down, and it is tried for ever.

    It rests on the very look that decided it, so that nobody else's write in between is overwritten.
    """
    world = World(seen.subject, seen.observed, seen.now, seen.measured)
    decision = concluded_refusal(world, trouble.UNTAKEN, str(error), ports.epoch)
    note(replace(seen, decision=decision, refused=(trouble.UNTAKEN, str(error))), ports, memo)
    store(snapshot, seen.subject, decision, ports, memo)
    return Outcome(wake_at=decision.wake_at, urgent=True, subject=seen.subject, decision=decision, error=str(error))


def repeats(before: Subject, after: Subject, decision: Decision, memo: Memo) -> bool:
    """Whether the same commands were carried out in the last look already: what they wait for takes time, and must not make us spin."""
    now = (after.resource_version, decision.commands)
    known = memo.tried.get(key_of(before))
    memo.tried[key_of(before)] = now
    return bool(decision.commands) and known == now


def store(snapshot: "observing.Snapshot", subject: Subject, decision: Decision, ports: Ports, memo: Memo) -> Subject:
    """Evidence and history first, then the status that rests on them, then an Event; progress only into the memo."""
    if decision.records:
        decision = keep_evidence(subject, decision, ports, memo)
    for entry in decision.records:
        history.write_record(ports.kube, subject, entry, ports.epoch)
    if not decision.store:
        if decision.status is not subject.status:
            memo.progress[key_of(subject)] = Progress(subject.uid, subject.resource_version, decision.status)
        return subject
    written = records.write_status(ports.kube, subject, snapshot.subject.status, decision.status)
    memo.progress.pop(key_of(subject), None)
    if key_of(subject) in memo.journals:
        memo.journals[key_of(subject)].stored(written.status)
    for entry in decision.records:
        records.emit_event(ports.kube, subject, entry)
    return written


def keep_evidence(subject: Subject, decision: Decision, ports: Ports, memo: Memo) -> Decision:
    """Store what the decision rests on, and note it in the status. Toward green nothing goes without; toward blue nothing waits."""
    journal = memo.journals.get(key_of(subject))
    if journal is None:
        return decision
    # A release's last record comes once, and nobody's traffic waits for it any more: it is worth a second try.
    for _ in range(1 if decision.status.phase is Phase.ROLLING_BACK else 2):
        try:
            kept = evidence.store(ports.kube, subject, journal, decision.status.evidence, ports.epoch)
        except KubeError as error:
            if explains_itself(decision):
                raise
            if isinstance(error, RefusedError):
                break
        else:
            return replace(decision, status=decision.status.model_copy(update={"evidence": kept}))
    return decision


def explains_itself(decision: Decision) -> bool:
    """Whether this decision leads toward green, which only evidence allows; holds, ends and ways back do without."""
    return decision.direction is Direction.FORWARD and decision.status.phase not in BACKWARD | FINAL | {Phase.HOLDING, Phase.HALTED}


def perform(snapshot: "observing.Snapshot", subject: Subject, decision: Decision, ports: Ports) -> None:
    """Carry out the commands in order; what they made is remembered by the observation of the next look."""
    for command in decision.commands:
        acting.perform(command, subject, snapshot, ports)
