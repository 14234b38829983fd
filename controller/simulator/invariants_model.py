"""What the checker of invariants knows of the objects: who is blue and green on a route, and where workloads live.

Written apart from the adapters on purpose: a checker that reads the routes with the product's own eyes would
be blind where the product is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api.plan import PlanSpec, VirtualServiceRef
from controller.ports import Obj

FINAL = frozenset({"Succeeded", "RolledBack", "Refused"})
BACKWARD = frozenset({"RollingBack", "TearingDown"})
FULL = 100
INJECTED = "webhook.example/"
"""Prefix of what the simulated admission webhook adds."""

Place = tuple[str, str]
"""Namespace and name."""


def service_of(destination: Mapping[str, Any], namespace: str) -> Place:
    """The Service of a destination. A name without dots is the namespace's own; `web.shop` is complete to Istio, and nobody's."""
    name, *rest = str(destination.get("host", "")).lower().split(".")
    if not rest:
        return namespace, name
    return (rest[0], name) if rest[1:2] == ["svc"] and rest[2:] else ("", "")


@dataclass(slots=True)
class ReleaseFacts:
    """One Release as it is stored now, and what must be remembered of its past.

    Attributes:
        obj: as stored; `plan` is its frozen plan, None before it has one.
        shifted_at: true time at which we last raised green; `share` is what it has had since the last write of a route.
        zero_since: since when green has no weight on any route of ours; 0 where it has some.
        full_since: since when green has all weight on every route of ours; 0 where it has less.
        waiting_writes: times of status writes while it waits for a person.
    """

    obj: Obj
    plan: PlanSpec | None = None
    shifted_at: float = 0.0
    share: float = 0.0
    zero_since: float = 0.0
    full_since: float = 0.0
    waiting_writes: list[float] = field(default_factory=list)

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.obj["metadata"]["uid"])

    @property
    def name(self) -> str:
        """`Release namespace/name`."""
        return f"Release {self.obj['metadata']['namespace']}/{self.obj['metadata']['name']}"

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.obj["metadata"]["namespace"])

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status, empty before the first write."""
        return self.obj.get("status") or {}

    @property
    def phase(self) -> str:
        """Its phase."""
        return str(self.status.get("phase", "Queued"))

    def side(self, namespace: str, destination: Mapping[str, Any]) -> str:
        """`blue`, `green` or "" for a destination of a route in a namespace."""
        if self.plan is None or self.status.get("blueSlot", -1) < 0:
            return ""
        place = service_of(destination, namespace)
        slot = next((i for i in (0, 1) if place in self.services(i)), -1)
        if self.status.get("mode") != "subset":
            return "" if slot < 0 else "blue" if slot == self.status["blueSlot"] else "green"
        if slot < 0:
            return ""
        subset = destination.get("subset", "")
        if subset == self.status.get("greenSubset"):
            return "green"
        return "blue" if subset == self.status.get("blueSubset") else ""

    def moves(self, namespace: str, destination: Mapping[str, Any]) -> bool:
        """Whether a destination is a Service of either slot, whatever its subset: those come and go with releases."""
        place = service_of(destination, namespace)
        return self.plan is not None and any(place in self.services(slot) for slot in (0, 1))

    def services(self, slot: int) -> list[Place]:
        """Services of a slot; where subsets tell the versions apart, the one without a suffix that both stand behind."""
        assert self.plan is not None  # noqa: S101 - asked by side() and by those who looked
        where = self.plan.slots[slot]
        suffix = "" if self.status.get("mode") == "subset" else where.suffix
        return [(where.namespace or self.namespace, member.service_name + suffix) for member in self.plan.all_members]

    def workloads(self, slot: int) -> dict[Place, str]:
        """Deployments of a slot, with their members' names."""
        if self.plan is None:
            return {}
        where = self.plan.slots[slot]
        return {(where.namespace or self.namespace, member.workload + where.suffix): member.name for member in self.plan.all_members}

    def colour_of(self, place: Place) -> str:
        """`blue`, `green` or "" for a Deployment."""
        blue = self.status.get("blueSlot", -1)
        if blue < 0:
            return ""
        return "blue" if place in self.workloads(blue) else "green" if place in self.workloads(1 - blue) else ""

    def targets(self) -> dict[Place, VirtualServiceRef]:
        """The VirtualServices that it moves."""
        return {} if self.plan is None else {(ref.namespace or self.namespace, ref.name): ref for ref in self.plan.traffic.targets}


@dataclass(frozen=True, slots=True)
class Split:
    """One managed rule: its shares by side, and what is wrong with it.

    Attributes:
        blue, green, other: weights; of a single destination all of it.
        sides: the side of each destination, in order; one of others that gets nothing is left out.
        named: every destination of several has a weight.
    """

    title: str
    blue: float
    green: float
    other: float
    sides: tuple[str, ...]
    named: bool

    @property
    def share(self) -> float:
        """Green's percent as Istio shares requests."""
        total = self.blue + self.green + self.other
        return FULL * self.green / total if total else FULL


def splits(release: ReleaseFacts, ref: VirtualServiceRef, obj: Obj) -> Iterator[Split]:
    """The managed rules of a VirtualService."""
    namespace = obj["metadata"]["namespace"]
    bypass = {entry.route for entry in ref.bypass}
    for i, rule in enumerate((obj.get("spec") or {}).get("http") or ()):
        if rule.get("name") in bypass or not rule.get("route"):
            continue
        if ref.routes and rule.get("name") not in ref.routes:
            continue
        single = len(rule["route"]) == 1
        every = [(release.side(namespace, entry.get("destination") or {}), entry) for entry in rule["route"]]
        parts = [(side, entry) for side, entry in every if side or single or entry.get("weight")]
        sides = tuple(side for side, _ in parts)
        if not any(sides):
            continue
        weights = {"blue": 0.0, "green": 0.0, "": 0.0}
        for side, entry in parts:
            weights[side] += FULL if single else entry.get("weight") or 0
        named = single or all("weight" in entry for _, entry in parts)
        yield Split(rule.get("name") or f"http rule {i}", weights["blue"], weights["green"], weights[""], sides, named)


def bypass_to_green(release: ReleaseFacts, ref: VirtualServiceRef, obj: Obj) -> list[str]:
    """Listed bypass rules and mirrors that send anything to green."""
    namespace = obj["metadata"]["namespace"]
    bypass = {entry.route for entry in ref.bypass}
    found = []
    for i, rule in enumerate((obj.get("spec") or {}).get("http") or ()):
        title = rule.get("name") or f"http rule {i}"
        live = [e for e in rule.get("route") or () if len(rule["route"]) == 1 or e.get("weight")]
        if rule.get("name") in bypass and any(release.side(namespace, e.get("destination") or {}) == "green" for e in live):
            found.append(title)
        mirrors = [rule.get("mirror"), *((m or {}).get("destination") for m in rule.get("mirrors") or ())]
        if any(m and release.side(namespace, m) == "green" for m in mirrors):
            found.append(f"mirror of {title}")
    return found


def unowned(obj: Obj, release: ReleaseFacts, ref: VirtualServiceRef) -> Any:
    """A VirtualService without what Penstock owns: weights, green's destination, bypass rules, our annotations."""
    namespace = obj["metadata"]["namespace"]
    bypass = {entry.route for entry in ref.bypass}
    rules = []
    for rule in (obj.get("spec") or {}).get("http") or ():
        if rule.get("name") in bypass:
            continue
        route = [
            {k: v for k, v in entry.items() if k not in ("weight", "destination")} | {"destination": destination}
            for entry in rule.get("route") or ()
            if not release.moves(namespace, destination := entry.get("destination") or {})
        ]
        rules.append({**{k: v for k, v in rule.items() if k != "route"}, "route": route})
    rest = {k: v for k, v in (obj.get("spec") or {}).items() if k != "http"}
    return [rest, rules, foreign_marks(obj)]


def foreign_marks(obj: Obj) -> Any:
    """Labels and annotations that are neither ours nor added to our writes by an admission webhook on their way."""
    meta = obj["metadata"]
    others = ("penstock.dev/", INJECTED)
    return [{k: v for k, v in (meta.get(part) or {}).items() if not k.startswith(others)} for part in ("labels", "annotations")]
