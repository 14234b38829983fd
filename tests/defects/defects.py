"""Defects that were sown on purpose, each by replacing one function of the product; the suite must find every one of them."""

import itertools
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from analysis import threshold
from controller import act, observe, reconcile
from controller.adapters import marks
from controller.adapters.istio import patches, rollback, writes
from controller.adapters.workloads import change
from controller.core import breach, drift, forward, gates, judging, outage, preparing, queueing, reasons, requests, teardown
from controller.core.commands import Direction, SetWeight
from controller.core.steps import stored
from controller.ports import RELEASE
from controller.runtime import leader, lease, queue

REAL = {
    "enter_stage": forward.enter_stage,
    "with_progress": reconcile.with_progress,
    "reading_of": judging.reading_of,
    "build_rollback_patch": patches.build_rollback_patch,
    "roll_back_routes": rollback.roll_back_routes,
    "send": writes.send,
    "observe": observe.observe,
    "wait": preparing.wait,
    "lease_step": lease.lease_step,
}


@contextmanager
def replaced(*swaps: tuple[Any, str, Any]):
    with ExitStack() as stack:
        for owner, name, value in swaps:
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


class FirstRelease:
    """A client that reads each Release once a look: the first answer stands."""

    def __init__(self, inner):
        self.inner, self.kept = inner, {}

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def get(self, kind, namespace, name):
        if kind != RELEASE:
            return self.inner.get(kind, namespace, name)
        if (namespace, name) not in self.kept:
            self.kept[namespace, name] = self.inner.get(kind, namespace, name)
        return self.kept[namespace, name]


def authority_first():
    def early(key, kube, ports, plans, *, live, index=None):
        return REAL["observe"](key, FirstRelease(kube), ports, plans, live=live, index=index)

    return replaced((observe, "observe", early))


def no_resource_version():
    return replaced((marks, "guard_ops", lambda _obj: iter(())))


UNGUARDED = (breach, "guarded", lambda _w, decision: decision)
"""Without the product's own guard, which would stop the release: the checker must see the breach by itself."""


def grant_before_verdict():
    chain = tuple(gate for gate in gates.GATES if gate is not gates.verdict)
    return replaced((gates, "GATES", chain), (gates, "verdict", lambda _w: gates.OPEN), UNGUARDED)


def late_rollback():
    return replaced((act, "still_ours", lambda _subject, _ports: True), (marks, "check_epoch", lambda _obj, _epoch: None))


def weight_before_grant():
    def eager(w, index, *, skipped=""):
        decision = REAL["enter_stage"](w, index, skipped=skipped)
        return replace(decision, commands=(SetWeight(w.stages[index].weight),), direction=Direction.BACK)

    return replaced((forward, "enter_stage", eager), UNGUARDED)


def no_drain():
    return replaced(
        (teardown, "drain", lambda w, r: stored(w.status.model_copy(update={"rollback": r.model_copy(update={"drained_at": w.now})})))
    )


def unchanged_is_skipped():
    def lazy(draft, stamp):
        return REAL["build_rollback_patch"](draft, stamp) if draft.split.green_weight(draft.sides) else []

    return replaced((rollback, "build_rollback_patch", lazy))


def nan_passes():
    def zero(measurement, asked_at, context):
        reading = REAL["reading_of"](measurement, asked_at, context)
        return threshold.Reading(value=0.0) if reading.value is None else reading

    return replaced((judging, "reading_of", zero))


def last_series_wins():
    def last(measurement, asked_at, context):
        if measurement is None or len(measurement.series) < 2:
            return REAL["reading_of"](measurement, asked_at, context)
        one = replace(measurement, answer=replace(measurement.answer, series=measurement.series[-1:]))
        return REAL["reading_of"](one, asked_at, context)

    return replaced((judging, "reading_of", last))


def bake_lost_on_restart():
    known: set[int] = set()
    alive: list[Any] = []

    def forgetful(subject, memo):
        subject = REAL["with_progress"](subject, memo)
        status = subject.status
        if id(memo) in known or not status.stages or status.stage < 0 or status.stages[status.stage].window is None:
            return subject
        known.add(id(memo))
        alive.append(memo)
        stages = list(status.stages)
        window = stages[status.stage].window.model_copy(update={"ran": 0.0, "n_green": 0.0, "n_blue": 0.0})
        stages[status.stage] = stages[status.stage].model_copy(update={"window": window})
        return replace(subject, status=status.model_copy(update={"stages": stages}))

    return replaced((reconcile, "with_progress", forgetful))


def whole_http():
    def careless(kube, kind, obj, patch):
        if kind.kind == "VirtualService" and patch:
            bare = [{key: rule[key] for key in ("name", "match", "route") if key in rule} for rule in obj["spec"]["http"]]
            first = [op for op in patch if op["op"] == "test" or op["path"] == "/metadata/resourceVersion"]
            rest = [op for op in patch if op not in first]
            patch = [*first, {"op": "replace", "path": "/spec/http", "value": bare}, *rest]
        return REAL["send"](kube, kind, obj, patch)

    return replaced((writes, "send", careless), (rollback, "send", careless))


def request_forgotten():
    counter = itertools.count()
    return replaced(
        (requests, "remember", lambda status, _uid: status.model_copy(update={"requests": [*status.requests, f"{next(counter)}"]}))
    )


def lower_epoch():
    return replaced((marks, "check_epoch", lambda _obj, _epoch: None))


def pods_are_not_asked():
    """Green gets more, whether its pods are ready or not."""
    return replaced(
        (gates, "GATES", tuple(gate for gate in gates.GATES if gate is not gates.green_capacity)),
        (gates, "green_capacity", lambda _w: gates.OPEN),
    )


def missing_pods_are_not_asked():
    """Nobody looks whether green has pods at all: no query sees it in subset mode."""
    return replaced((outage, "answer", lambda _w: None))


def no_route_delay():
    """Green gets its first weight before its cluster has travelled to the proxies."""

    def hasty(w, reason, *args, **more):
        return forward.enter_stage(w, 0) if reason == reasons.WAITING_FOR_CLUSTER else REAL["wait"](w, reason, *args, **more)

    return replaced((preparing, "wait", hasty), (gates, "travelling", lambda _w: ""))


def delete_without_preconditions():
    def careless(self, kind, obj):
        meta = obj["metadata"]
        self.kube.delete(kind, meta["namespace"], meta["name"], uid="")

    return replaced((change.Writer, "delete", careless))


def namesake_is_taken():
    """Whatever has the name is the object, whoever made it when."""
    return replaced((gates, "replaced", lambda _w, _view: False), (change.Writer, "recorded", lambda _self, _kind, _obj: True))


def broken_one_first():
    """A release whose look failed is looked at again at once, before everybody else."""

    def at_once(self, key, *, urgent=False, at_least=0.0):
        del at_least
        self.add(key, urgent=urgent)
        return 0.0

    def newest(self, last):
        filled = [lane for lane in queue.Lane if lane <= last and self._lanes[lane]]
        for lane in filled:
            key, at = self._lanes[lane].popitem()
            self._lanes[lane] = {key: at, **self._lanes[lane]}
        return filled[0] if filled else None

    return replaced((queue.WorkQueue, "retry", at_once), (queue.WorkQueue, "_next_lane", newest))


def lease_for_ever():
    """A candidate waits for a lease to be given back, which a leader that stands still never does."""

    def patient(state, view, now, settings):
        after, action = REAL["lease_step"](state, view, now, settings)
        stranger = view is not None and view.holder not in ("", settings.identity)
        return (after, lease.Action.WAIT) if action is lease.Action.TAKE and stranger else (after, action)

    return replaced((leader, "lease_step", patient))


def rollback_on_paper():
    """A rollback is written down, and no route is."""
    return replaced((act, "roll_back_routes", lambda *_, **__: None))


def rollback_at_leisure():
    """Green keeps its requests for five seconds after the verdict."""

    def slow(*args, sleep, **more):
        sleep(5.0)
        return REAL["roll_back_routes"](*args, sleep=sleep, **more)

    return replaced((act, "roll_back_routes", slow))


def drift_is_let_be():
    """What others write into the weights stays."""
    return replaced((drift, "moved_by_others", lambda _w: None), UNGUARDED)


def after_you():
    """Of several that are queued each lets the others go first."""
    return replaced((queueing, "is_ahead", lambda _w, _rival: True))
