"""Worlds to decide on, said in a few words: `a_release().at_stage(3).holding(...)`."""

from dataclasses import dataclass, field, replace
from typing import Any

from analysis.model import Outcome
from controller.api.plan import PlanSpec
from controller.api.release import (
    CapacityStatus,
    Expectation,
    HoldStatus,
    Phase,
    ReleaseSpec,
    ReleaseStatus,
    RequestSpec,
    RetentionStatus,
    RollbackStatus,
    StageStatus,
    Verb,
    WindowStatus,
)  # fmt: skip
from controller.core.commands import Decision, Subject
from controller.core.decide import decide
from controller.core.steps import World
from controller.core.world import MemberView, Observed, RequestView, Rival, RouteView, WorkloadView

NOW = 10_000.0
UID = "11111111-0000-4000-8000-000000000001"


def plan_of(**spec: Any) -> PlanSpec:
    return PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}, **spec})


BLUE = WorkloadView("shop", "shop", "b", "1", found=True, replicas=3, ready=3, available=3, current=True, endpoints=3, image="shop:1")
GREEN = replace(BLUE, name="shop-green", uid="g", image="shop:2", made=True)
ROUTE = RouteView("shop", "shop", "r", "1", found=True, owner=UID, has_green=True)


@dataclass(frozen=True, slots=True)
class Builder:
    """A release that stands somewhere, in a world that agrees with it."""

    status: ReleaseStatus = field(default_factory=ReleaseStatus)
    spec: ReleaseSpec = field(default_factory=lambda: ReleaseSpec(plan="shop", revision="v2", images={"shop": "shop:2"}))
    plan: PlanSpec | None = field(default_factory=plan_of)
    observed: Observed = field(default_factory=lambda: Observed(live=True, plan_hash="hash", frozen="hash", lock=UID))
    deleted: bool = False
    finalizer: bool = True
    blue: WorkloadView = BLUE
    green: WorkloadView = GREEN
    route: RouteView = ROUTE
    now: float = NOW
    arrived: int = 0

    def with_plan(self, **spec: Any) -> "Builder":
        return replace(self, plan=plan_of(**spec))

    def in_phase(self, phase: Phase, **changes: Any) -> "Builder":
        begun = (
            {"phase": phase, "phase_since": NOW - 60, "plan_hash": "hash", "blue_slot": 0, "mode": "subset", "ready_at": NOW - 300}
            if phase is not Phase.QUEUED
            else {}
        )
        capacity = [CapacityStatus(member="shop", replicas=3)] if begun else []
        return replace(self, status=self.status.model_copy(update={**begun, "capacity": capacity, "phase_counter": 5, **changes}))

    def at_stage(self, number: int, phase: Phase = Phase.MEASURING) -> "Builder":
        """In the stage of this number, counted from 1, its weight written and its window open."""
        assert self.plan is not None
        weights = [stage.weight for stage in self.plan.stages][:number]
        window = WindowStatus(opened_at=NOW - 100, last_sample=NOW - 10, ran=90, n_green=500, n_blue=500)
        past = [StageStatus(weight=w, verdict=Outcome.PASS, verdict_key=f"v2/hash/{i}") for i, w in enumerate(weights[:-1])]
        here = StageStatus(weight=weights[-1], entered_at=NOW - 200, shifted_at=NOW - 190, settled_at=NOW - 130, window=window)
        there = self.in_phase(
            phase,
            stage=number - 1,
            weight=weights[-1],
            observed_weight=weights[-1],
            grant=weights[-1],
            max_weight=weights[-1],
            exposed_since=NOW - 200,
            stages=[*past, here],
        )
        return replace(there, route=replace(self.route, green_weight=weights[-1], blue_only=False))

    def reverse(self, *, now: bool = False) -> "Builder":
        """The same as a reverse release, whose only stage is that of 100 %."""
        spec = self.spec.model_copy(update={"kind": "reverse", "now": now})
        return replace(self, spec=spec, status=self.status.model_copy(update={"stage": 0, "stages": self.status.stages[-1:]}))

    def passed(self, key: str = "") -> "Builder":
        stages = list(self.status.stages)
        verdict = key or f"v2/hash/{len(stages) - 1}"
        stages[-1] = stages[-1].model_copy(update={"verdict": Outcome.PASS, "verdict_key": verdict, "verdict_at": NOW})
        return replace(self, status=self.status.model_copy(update={"stages": stages}))

    def holding(self, reason: str, *, until: float | None = None, then: str = "rollback", waits_for: str = "") -> "Builder":
        held = HoldStatus.model_validate(
            {
                "reason": reason,
                "since": NOW - 30,
                "until": until,
                "then": then,
                "waits_for": waits_for,
                "phase": self.status.phase,
            }
        )
        return replace(self, status=self.status.model_copy(update={"phase": Phase.HOLDING, "hold": held, "reason": reason}))

    def rolling_back(self, phase: Phase = Phase.ROLLING_BACK, **rollback: Any) -> "Builder":
        told = RollbackStatus(reason="TriggerFired", decided_at=NOW - 50, max_weight=self.status.max_weight, **rollback)
        there = replace(self, status=self.status.model_copy(update={"phase": phase, "rollback": told, "weight": 0}))
        return replace(there, route=replace(self.route, green_weight=0, blue_only=True, stamp=f"{UID}/5"))

    def succeeded(self, *, until: float) -> "Builder":
        done = self.at_stage(4).in_phase(Phase.SUCCEEDED, retention=RetentionStatus(until=until), images_before={"shop": "shop:1"})
        released = replace(done.route, owner="", green_weight=100, blue_only=False)
        return replace(done, route=released, observed=replace(done.observed, lock=""))

    def asked(self, verb: Verb, *, reason: str = "because", uid: str = "req-1", **expect: Any) -> "Builder":
        spec = RequestSpec(release="shop-v2", release_uid=UID, verb=verb, actor="alice", reason=reason, expect=Expectation(**expect))
        view = RequestView(uid, uid, "1", spec)
        return self.seeing(requests=(*self.observed.requests, view))

    def seeing(self, **observed: Any) -> "Builder":
        return replace(self, observed=replace(self.observed, **observed))

    def with_rival(self, phase: Phase, *, created: float, supersedes: str = "") -> "Builder":
        return self.seeing(rivals=(Rival("other", "other-uid", phase, created, supersedes),))

    def world(self) -> World:
        observed = replace(
            self.observed,
            routes=self.observed.routes or (self.route,),
            members=(MemberView("shop", self.blue, self.green),),
            blue_slot=0,
            mode="subset",
            cluster_ready=True,
            green_made=True,
        )
        subject = Subject(
            "shop", "shop-v2", UID, "7", 1, 5_000.0, self.deleted, self.finalizer, self.spec, self.status, self.plan, arrived=self.arrived
        )  # fmt: skip
        return World(subject, observed, self.now)

    def decided(self) -> Decision:
        w = self.world()
        return decide(w.subject, w.observed, w.measured, w.now)


def a_release() -> Builder:
    return Builder()


def names(decision: Decision) -> list[str]:
    return [type(command).__name__ for command in decision.commands]
