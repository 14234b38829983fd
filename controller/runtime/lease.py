"""Who may act: a Lease, its rules as a pure function, and the epoch that each leadership carries.

    candidate --TAKE / CREATE--> leader --RENEW--> leader
        ^                          |
        +------- STEP_DOWN --------+   somebody else holds it, it is gone, or no renewal came through in time

A Lease is a hint, not a lock: what keeps a deposed leader from doing harm is the epoch in every write and
their conditions. Whether a Lease has run out is judged by how long *we* have seen it unchanged, never by
comparing its times with our clock.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from controller.adapters.marks import EPOCH, PROVIDERS, epoch_of, mapping, metadata
from controller.api.base import EPOCH_LEAP
from controller.ports import LEASE, Obj
from controller.times import unix

GRACE = 0.8
"""Share of the lease after its last renewal in which its holder may still begin a write."""


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Which Lease, for whom and how long, seconds.

    Attributes:
        namespace, name: of the Lease.
        identity: of this process; a restarted one is another candidate.
        duration: after this much silence others take over.
        renew: between two renewals, and between two looks of a candidate.
        providers: names of the Prometheus providers that this process knows, which its Lease tells whoever writes a plan.
    """

    namespace: str
    name: str
    identity: str
    duration: float = 10.0
    renew: float = 2.0
    providers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaseView:
    """The Lease as it was read; all fields empty where there is none."""

    found: bool = False
    holder: str = ""
    epoch: int = 0
    resource_version: str = ""
    transitions: int = 0
    renewed: str = ""
    duration: float = 0.0


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What one candidate knows.

    Attributes:
        epoch: of our leadership; 0 while we do not lead.
        valid_until: steady time until which we may begin writes.
        seen: what identified the Lease at the last look, and `seen_at` since when it is unchanged.
    """

    epoch: int = 0
    valid_until: float = -math.inf
    seen: tuple[str, str, str] = ("", "", "")
    seen_at: float = -math.inf

    def leads(self, now: float) -> bool:
        """Whether a write may begin at this steady time."""
        return self.epoch > 0 and now < self.valid_until


class Action(StrEnum):
    """What to do next."""

    WAIT = "wait"
    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    STEP_DOWN = "step-down"


def lease_step(state: LeaseState, view: LeaseView | None, now: float, settings: LeaseSettings) -> tuple[LeaseState, Action]:
    """One look at the Lease, at steady time `now`; `view` is None where the API server could not be asked."""
    if view is None:
        return (_deposed(state), Action.STEP_DOWN) if state.epoch and not state.leads(now) else (state, Action.WAIT)
    seen = (view.holder, view.renewed, view.resource_version)
    if seen != state.seen:
        state = replace(state, seen=seen, seen_at=now)
    mine = view.found and view.holder == settings.identity
    if state.epoch:
        held = mine and view.epoch == state.epoch and state.leads(now)
        return (state, Action.RENEW) if held else (_deposed(state), Action.STEP_DOWN)
    if not view.found:
        return state, Action.CREATE
    ran_out = now - state.seen_at >= (view.duration or settings.duration)
    return state, Action.TAKE if mine or not view.holder or ran_out else Action.WAIT


def won(epoch: int, stored: Obj, started: float, settings: LeaseSettings) -> LeaseState:
    """The state after a write of ours (take, create or renewal) that began at `started` was accepted."""
    view = view_of(stored)
    seen = (view.holder, view.renewed, view.resource_version)
    return LeaseState(epoch, started + settings.duration * GRACE, seen, started)


def _deposed(state: LeaseState) -> LeaseState:
    return replace(state, epoch=0, valid_until=-math.inf)


def view_of(lease: Obj) -> LeaseView:
    """The Lease's fields; garbage reads as empty."""
    spec, meta = mapping(lease.get("spec")), metadata(lease)
    return LeaseView(
        found=True,
        holder=str(spec.get("holderIdentity") or ""),
        epoch=epoch_of(lease),
        resource_version=str(meta.get("resourceVersion") or ""),
        transitions=_whole(spec.get("leaseTransitions")),
        renewed=str(spec.get("renewTime") or ""),
        duration=float(_whole(spec.get("leaseDurationSeconds"))),
    )


def vacancy(view: LeaseView, wall: float) -> float:
    """Seconds since the Lease was last renewed by its own account, at wall time `wall`; 0 where it does not say."""
    try:
        return max(0.0, wall - unix(view.renewed)) if view.renewed else 0.0
    except ValueError:
        return 0.0


def body_of(settings: LeaseSettings, epoch: int, view: LeaseView, wall: float, *, action: Action) -> dict[str, Any]:
    """The Lease as it shall be: a whole object for CREATE, else a merge patch conditional on what was read."""
    spec: dict[str, Any] = {"holderIdentity": settings.identity, "renewTime": micro_time(wall)}
    spec["leaseDurationSeconds"] = max(1, math.ceil(settings.duration))
    meta: dict[str, Any] = {"annotations": {EPOCH: str(epoch), PROVIDERS: ",".join(settings.providers)}}
    if action is not Action.RENEW:
        spec |= {"acquireTime": micro_time(wall), "leaseTransitions": view.transitions + 1}
    if action is not Action.CREATE:
        return {"metadata": meta | {"resourceVersion": view.resource_version}, "spec": spec}
    meta |= {"name": settings.name, "namespace": settings.namespace}
    return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": meta, "spec": spec}


def resignation(resource_version: str, wall: float) -> dict[str, Any]:
    """The merge patch that gives the Lease back, so that the next one need not wait; the epoch stays on it."""
    spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(wall)}
    return {"metadata": {"resourceVersion": resource_version}, "spec": spec}


def micro_time(wall: float) -> str:
    """A time as a Lease wants it: six digits behind the point, which the API server insists on."""
    return datetime.fromtimestamp(wall, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def next_epoch(*found: int) -> int:
    """One more than the highest epoch that was found anywhere."""
    return 1 + highest(found)


def highest(epochs: Iterable[int]) -> int:
    """The highest epoch that leaders can have taken, each one more than the last: what leaps above the others was written by hand."""
    top = 0
    for epoch in sorted(epochs):
        if epoch - top > EPOCH_LEAP:
            break
        top = max(top, epoch)
    return top


def highest_epoch(objects: Iterable[Obj]) -> int:
    """The highest epoch among objects: the annotation, or the status of our own kinds."""
    return highest(epoch for obj in objects for epoch in (epoch_of(obj), status_epoch(obj)))


def status_epoch(obj: Obj) -> int:
    """The epoch that a status of ours carries; 0 where it has none or garbage."""
    return _whole(mapping(obj.get("status")).get("epoch"))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 else 0
