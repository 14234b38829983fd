"""What another policy would have done with a recorded release: the same looks, the same samples, another plan.

    look by look   recorded plan -> status as it was
                   other plan    -> status as it would have been     as long as both want the same weight

What the users got is the record's. Once the other policy wants another weight, the world that it would have met was never
seen: there the comparison ends, and says so. Nothing is guessed beyond it but what is certain: requests of green that were
made while the other policy would already have had everybody on blue, or the other way round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.api.plan import PlanSpec
from controller.api.release import Phase, ReleaseStatus
from controller.api.scale import divided
from controller.cli.replay_memory import Memory, measured_for
from controller.core import needs
from controller.core.phases import BACKWARD
from controller.core.steps import World
from controller.core.world import Measured
from controller.evidence.raw import counted_of
from controller.evidence.reading import Look
from controller.evidence.replay import Step, decided, replay
from controller.evidence.worlds import with_status

MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a release stands at a moment: phase, green's weight and what it may have, why."""

    at: float
    phase: Phase
    weight: int
    grant: int
    message: str

    @property
    def back(self) -> bool:
        """Everybody is on blue again, or on the way there."""
        return self.phase in BACKWARD or self.phase is Phase.ROLLED_BACK


@dataclass(frozen=True, slots=True)
class Hurt:
    """Requests of green within some time: all of them, and those that failed."""

    requests: float = 0.0
    failed: float = 0.0


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The comparison of one record with one other policy.

    Attributes:
        recorded, other: where both stood when they parted, or at the record's end.
        parted: they wanted another weight from there on.
        saved: requests of green that the other policy would have spared; None where that is not in the record.
        rate: requests of green in the minute before the record went back and the other policy did not: the best that the record says about
            how many more there would have been; None elsewhere.
        unknown: questions of the other policy that the record does not answer, the first of them at `unknown_at`.
        anew: places where the record goes on from what was stored, because looks before it are missing: there both policies do.
        counts: looks of which the record has counts instead of raw samples.
        thinned: looks whose samples were left out.
        held: the other policy would have held first, at this time, for this reason.
        unsure: the other policy would have gone on longer than the record.
    """

    recorded: Stand
    other: Stand
    parted: bool
    end: Stand
    saved: Hurt | None = None
    rate: Hurt | None = None
    unknown: tuple[str, ...] = ()
    unknown_at: float = 0.0
    anew: int = 0
    counts: int = 0
    thinned: int = 0
    held: Stand | None = None
    unsure: bool = False


@dataclass(slots=True)
class _Other:
    """The other policy's own line through the record."""

    plan: PlanSpec
    memory: Memory
    status: ReleaseStatus | None = None
    unknown: dict[str, None] = field(default_factory=dict)
    unknown_at: float = 0.0
    held: Stand | None = None
    anew: int = 0

    def look(self, step: Step) -> ReleaseStatus:
        """What it makes of one look."""
        look = step.look
        if look.read and self.status is not None:
            # What happened in between nobody wrote down: the other policy's own way through it is as unknown as the recorded one's.
            self.status, self.anew = None, self.anew + 1
        subject = with_status(look.subject, self.status or step.subject.status)
        subject = replace(subject, plan=divided(self.plan, look.divisor)) if subject.plan is not None else subject
        world = World(subject, look.observed, look.at)
        own = needs.asks(World(step.subject, look.observed, look.at))
        measured, missing = measured_for(needs.asks(world), look, self.memory, own)
        # What the record does not say there is no objection.
        behind, _ = measured_for(needs.objections(replace(world, measured=measured)), look, self.memory)
        measured = Measured({**measured.answers, **behind.answers})
        if missing and not self.unknown:
            self.unknown_at = look.at
        self.unknown |= dict.fromkeys(missing)
        decision = decided(replace(look, measured=measured), subject)
        self.status = decision.status
        if self.held is None and decision.status.phase in (Phase.HOLDING, Phase.HALTED):
            self.held = stand(look, decision.status)
        return decision.status


def what_if(looks: Sequence[Look], plan: PlanSpec) -> WhatIf | None:
    """Compare; None where the record has no look. Raises `UnreadableError`s of the record."""
    memory, steps = Memory.of(looks), list(replay(looks))
    other = _Other(plan, memory)
    last: tuple[Step, ReleaseStatus, ReleaseStatus] | None = None
    parted, thinned = False, 0
    for step in steps:
        if step.decision is None:
            thinned += 1
            continue
        theirs = step.decision.status
        mine = other.look(step)
        last = (step, theirs, mine)
        if apart(theirs, mine):
            parted = True
            break
    if last is None:
        return None
    step, theirs, mine = last
    end = end_of(steps)
    recorded, there = stand(step.look, theirs), stand(step.look, mine)
    return WhatIf(
        recorded, there, parted, end, saved=_saved(step, recorded, there, steps, memory) if parted else Hurt(),
        rate=_rate(step, steps, memory) if parted and recorded.back and not there.back else None,
        unknown=tuple(other.unknown), unknown_at=other.unknown_at, anew=other.anew,
        counts=sum(look.thinned for look in looks), thinned=thinned,
        held=other.held if other.held and not _held(looks) else None,
        unsure=parted and not there.back,
    )  # fmt: skip


def apart(theirs: ReleaseStatus, mine: ReleaseStatus) -> bool:
    """Whether the two want another weight for green."""
    return (theirs.grant, theirs.stage, _back(theirs)) != (mine.grant, mine.stage, _back(mine))


def _back(status: ReleaseStatus) -> bool:
    return status.rollback is not None or status.phase in BACKWARD


def _held(looks: Sequence[Look]) -> bool:
    return any(look.found is not None and look.found.phase in (Phase.HOLDING, Phase.HALTED) for look in looks)


def stand(look: Look, status: ReleaseStatus) -> Stand:
    """The status in short; the weight that green had when it went back."""
    weight = status.weight
    if status.rollback is not None and look.found is not None and not weight:
        weight = look.found.weight
    said = status.rollback.message if status.rollback else status.message
    return Stand(look.at, status.phase, weight or look.observed.green_weight, status.grant, said)


def end_of(steps: Sequence[Step]) -> Stand:
    """How the record ends: where it went back, that moment and the weight that green had; else its last look."""
    for step in steps:
        if step.decision is not None and _back(step.decision.status) and not _back(step.subject.status):
            return stand(step.look, step.decision.status)
    last = steps[-1]
    return stand(last.look, last.decision.status if last.decision else last.subject.status)


def _saved(step: Step, recorded: Stand, other: Stand, steps: Sequence[Step], memory: Memory) -> Hurt | None:
    """Requests of green that the other policy would have spared: those after it went back, until the record's users were back."""
    if recorded.back or not other.back:
        return None
    found = counted_of((one.look for one in steps), memory.raw)
    if found is None:
        return None
    until = next((one.look.at for one in steps if one.look.at > step.look.at and _back(one.subject.status)), steps[-1].look.at)
    scrape = step.subject.plan.traffic.scrape_interval if step.subject.plan else 0.0
    requests = found.green_within(step.look.at, until + scrape)
    return Hurt(requests.green, requests.green_failed)


def _rate(step: Step, steps: Sequence[Step], memory: Memory) -> Hurt | None:
    """Requests of green in the last whole minute that its counters show before this look, or since the first weight."""
    found = counted_of((one.look for one in steps), memory.raw)
    times = [time for time in found.every.green.times if time <= step.look.at] if found else []
    if found is None or not times:
        return None
    requests = found.between(times[-1] - MINUTE_SECONDS, times[-1])
    return Hurt(requests.green, requests.green_failed)


SHORT = {"alpha": "analysis.alpha", "dispersion": "analysis.dispersion", "errorRate": "analysis.errorRate"}
"""What `--set` calls by one word."""


class SettingError(ValueError):
    """A `--set` that names nothing, or no value; the sentence says which."""


def with_settings(plan: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The plan's JSON with some fields changed. Raises `SettingError`."""
    import copy

    import yaml

    changed = copy.deepcopy(dict(plan))
    for setting in settings:
        path, sign, value = setting.partition("=")
        if not sign or not path:
            raise SettingError(f"found {setting!r}, expected FIELD=VALUE, such as alpha=0.001 or checks.error-rate.limit.maxRatio=1.5")
        steps = SHORT.get(path, path).split(".")
        if bracketed := next((name for name in steps if "[" in name), None):
            owner = bracketed.partition("[")[0]
            raise SettingError(f"{setting!r}: found {bracketed!r}, expected the element's name, weight or place, such as {owner}.#1")
        at: Any = changed
        for name in steps[:-1]:
            at = _into(at, name, setting)
        try:
            _put(at, steps[-1], yaml.safe_load(value), setting)
        except yaml.YAMLError as error:
            raise SettingError(f"{setting!r}: the value cannot be read") from error
    return changed


def _into(at: Any, name: str, setting: str) -> Any:
    """One step down: a field, or an element of a list by its name, its weight or its place."""
    if isinstance(at, list):
        for place, one in enumerate(at):
            if name in (str(one.get("name", "")), str(one.get("weight", "")), f"#{place + 1}"):
                return one
        known = ", ".join(str(one.get("name") or one.get("weight")) for one in at) or "none"
        raise SettingError(f"{setting!r}: found no {name!r}, expected one of {known}")
    if not isinstance(at, dict):
        raise SettingError(f"{setting!r}: {name!r} is within a plain value")
    if at.get(name) is None:
        at[name] = {}
    return at[name]


def _put(at: Any, name: str, value: Any, setting: str) -> None:
    if not isinstance(at, dict):
        raise SettingError(f"{setting!r}: {name!r} is no field")
    at[name] = value
