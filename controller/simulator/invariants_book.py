"""What the checker of invariants has seen so far: releases, objects, records and breaches. The parts of the checker write here."""

from dataclasses import dataclass, field
from typing import Any

from controller.adapters import marks
from controller.api.plan import PlanSpec
from controller.ports import Obj
from controller.simulator.invariants_model import Place, ReleaseFacts, splits

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Breach:
    """One breach of an invariant."""

    at: float
    name: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.name} at {self.at:.1f}: {self.sentence}"


@dataclass(slots=True)
class Book:
    """Everything that a check may look up.

    Attributes:
        ours: field managers of the controller.
        clock_may_jump: times that the controller wrote cannot be compared with the server's.
        breaches: in order.
        releases: by uid; `gone` are those that were deleted.
        now: time of the commit that is looked at.
        objects: as stored now, by kind, namespace and name.
        plans: frozen plans by namespace and hash.
        records: of each release's uid, by key.
        answered, acted: answers of requests, and requests that were acted on, by uid.
        lost: when a Deployment last lost available pods, by namespace and name.
        meddled: when somebody else last wrote an object's spec, by kind, namespace and name.
        weighted: VirtualServices that had weights of a release, by its uid.
    """

    ours: frozenset[str] = frozenset({"penstock"})
    clock_may_jump: bool = False
    breaches: list[Breach] = field(default_factory=list)
    releases: dict[str, ReleaseFacts] = field(default_factory=dict)
    gone: dict[str, ReleaseFacts] = field(default_factory=dict)
    now: float = 0.0
    objects: dict[tuple[str, str, str], Obj] = field(default_factory=dict)
    plans: dict[Place, PlanSpec] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    answered: dict[str, Any] = field(default_factory=dict)
    acted: set[str] = field(default_factory=set)
    lost: dict[Place, float] = field(default_factory=dict)
    meddled: dict[tuple[str, str, str], float] = field(default_factory=dict)
    weighted: dict[str, set[Place]] = field(default_factory=dict)

    def find(self, kind: str, place: Place) -> Obj | None:
        """An object as it is stored now."""
        return self.objects.get((kind, *place))

    def breach(self, name: str, sentence: str) -> None:
        """Note a breach at the present time."""
        self.breaches.append(Breach(self.now, name, sentence))

    def shares(self, facts: ReleaseFacts) -> dict[Place, float]:
        """Green's highest share on each VirtualService that exists; one that always had listed bypass rules alone has no weights."""
        found = {}
        known = self.weighted.setdefault(str(facts.obj["metadata"].get("uid")), set())
        for place, ref in facts.targets().items():
            obj = self.find("VirtualService", place)
            parts = [split.share for split in splits(facts, ref, obj)] if obj is not None else []
            if parts:
                known.add(place)
            if obj is not None and (place in known or ref.routes or not ref.bypass):
                found[place] = max(parts, default=0.0)
        return found

    def owner(self, obj: Obj | None) -> ReleaseFacts | None:
        """The release that owns a route by its annotation."""
        return self.releases.get(marks.annotation(obj, marks.OWNER)) if obj is not None else None


def place_of(obj: Obj | None) -> str:
    """`namespace/name`."""
    meta = obj["metadata"] if obj is not None else {}
    return f"{meta.get('namespace', '')}/{meta.get('name', '')}"
