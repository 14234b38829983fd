"""Which measurements the next decision needs: a function of where the release stands."""

from analysis.model import Window
from controller.api.plan import TrafficMetrics
from controller.api.plan_checks import Trigger
from controller.api.release import Phase, StageStatus
from controller.core import asking, polls, sequential, trials
from controller.core.phases import BACKWARD, WATCHED
from controller.core.steps import World
from controller.core.world import Ask
from controller.ports import Answer, AnswerFault

NO_ANSWER = Answer()
"""What a health probe answers instead of series."""


def unknown_provider(name: str) -> Answer:
    """The answer of a Prometheus that nobody configured."""
    return Answer(fault=AnswerFault.UNREACHABLE, message=f"the controller knows no provider {name or 'by default'!r}")


def asks(w: World) -> tuple[Ask, ...]:
    """Everything to ask now; empty where the next step needs no measurement."""
    if w.subject.plan is None or going_back(w):
        return ()
    if w.status.blue_slot < 0:
        return tuple(trials.asks(w))
    w = w.at_home
    return (*asking.asks_for(w.subject, w.observed, w.now, wanted(w), metrics(w)), *trials.asks(w))


def objections(w: World) -> tuple[Ask, ...]:
    """What is asked before triggers send everybody back: how the counters stand behind the numbers that this look was answered."""
    if w.subject.plan is None or not watching(w := w.at_home):
        return ()
    fired = [one for one in w.plan.triggers if asking.was_answered(w.measured, one) and polls.could_fire(one, w.status.triggers)]
    return asking.asks_for(w.subject, w.observed, w.now, asking.Wanted(answered=tuple(fired)), metrics(w)) if fired else ()


def going_back(w: World) -> bool:
    """A rollback is asked for and not yet begun: nothing that is measured could change it, and a slow Prometheus must not delay it."""
    begun = w.status.phase in BACKWARD or (w.status.rollback is not None and not w.rollback_requested)
    return w.asked_back and not begun


def metrics(w: World) -> asking.Metrics:
    """What the installation and the routes say about the metrics."""
    return asking.Metrics(domain=w.observed.domain, cluster=w.observed.cluster, routed=w.observed.routed)


def wanted(w: World) -> asking.Wanted:
    """What the phase needs."""
    counting = sequential.due(w)
    triggers = polls.due_triggers(w.plan, w.status, w.subject.uid, w.now) if watching(w) else ()
    since = sequential.further_back(w, traffic_since(w), counting)
    return asking.Wanted(
        traffic_since=reaching(since, w, triggers),
        ticks=tuple(one for one in counting if not one.shared),
        pasts=tuple((one.check, one.past) for one in counting if one.past is not None),
        pairs=sequential.paired(w),
        gate=gate_window(w),
        triggers=triggers,
        probes=probes(w),
    )


def watching(w: World) -> bool:
    """Whether triggers that are due are polled: while green may have traffic."""
    return w.status.phase in WATCHED and w.status.stage >= 0 and w.status.weight > 0


def reaching(since: float | None, w: World, triggers: tuple[Trigger, ...]) -> float | None:
    """`since`, or earlier where one of these triggers counts the traffic query's samples from there on."""
    ranges = [trigger.range for trigger in triggers if asking.is_counted(w.plan, trigger, w.observed.routed)]
    if not ranges:
        return since
    longest = w.now - max(ranges)
    return longest if since is None else min(since, longest)


def traffic_since(w: World) -> float | None:
    """Since when requests are counted; None where they do not matter or are not measured."""
    status = w.status
    if w.plan.traffic.metrics is TrafficMetrics.NONE:
        return None
    if trials.due(w):
        return w.now
    if status.phase is Phase.TEARING_DOWN and status.rollback is not None:
        if status.rollback.drained_at or status.rollback.gone_at:
            return None  # nothing rests on it any more, and a Prometheus that hangs must not hold up the end
        return w.now - w.plan.rollback.drain if w.now >= status.rollback.traffic_at + w.drain_seconds else None
    if status.phase is Phase.SUCCEEDED and status.retention is not None and not status.retention.done:
        over = w.now >= status.retention.until or bool(w.observed.rivals)
        return w.now - w.plan.rollback.drain if over else None
    stage = current_stage(w)
    if stage is None or w.standing not in (Phase.SHIFTING, Phase.MEASURING, Phase.BAKING):
        return None
    if stage.window is not None:
        return max(stage.window.last_sample, stage.window.opened_at)
    return stage.shifted_at or None


def current_stage(w: World) -> StageStatus | None:
    """The stage's status; None before the first stage."""
    return w.stage_status if 0 <= w.status.stage < len(w.status.stages) else None


def gate_window(w: World) -> Window | None:
    """The window that is complete and not yet judged."""
    stage = current_stage(w)
    if stage is None or stage.window is None or stage.verdict is not None or stage.skipped:
        return None
    if w.standing not in (Phase.MEASURING, Phase.BAKING) or stage.window.ran < w.stage.window:
        return None
    return Window(stage.window.opened_at, stage.window.last_sample)


def probes(w: World) -> tuple[str, ...]:
    """Whose health probes are asked."""
    match w.status.phase:
        case Phase.PREPARING:
            return ("green", "blue")
        case Phase.ROLLING_BACK if w.status.rollback is not None and w.status.rollback.traffic_at:
            return ("blue",)
        case Phase.RETURNING:
            return ("blue",)
        case _:
            return ()
