"""Whose names the parameters of a plan's queries are in a past window: what the two selectors say, else what the plan says.

A release knows its two places from the plan and the routes. Here two selectors are all that is known of them:

    selector      an equality in it that `SAID` lists is the parameter's value
    slot          the one whose workload or host a selector names; without one the baseline is in the first, and the
                  other version is in the other
    plan          everything else: names of the slot, for every member; members that the selectors do not speak of alone

Conditions that are no equality (`=~`, `!=`) name nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from analysis.model import Arm
from controller.api.plan import PlanSpec
from controller.api.promql import facts
from controller.cli.judge_selectors import Asked
from controller.cli.plan_mode import mode_of
from controller.core.arms import colour_of
from controller.core.queries import Mesh, Naming, Pair, Place, member_of, pair_of

SAID: Mapping[str, tuple[str, ...]] = {
    "namespace": ("destination_workload_namespace", "destination_service_namespace", "namespace"),
    "workload": ("destination_workload", "workload", "deployment"),
    "service": ("destination_service_name", "service"),
    "host": ("destination_service",),
    "revision": ("destination_version", "version", "revision"),
}
"""The labels that say a parameter; the first one that a selector has counts."""


@dataclass(frozen=True, slots=True)
class Places:
    """Both arms' place of every member.

    Attributes:
        spec: the plan.
        spoken: name of the member that the selectors speak of.
        mesh: how the plan's requests are counted.
        by: the pairs, by member.
    """

    spec: PlanSpec
    spoken: str
    mesh: Mesh
    by: Mapping[str, Pair]

    def member(self, name: str | None) -> str:
        """The member that a check of this `member` is about: without one the first, as in a release."""
        return member_of(self.spec, name).name

    def pair(self, name: str | None) -> Pair:
        """Both places of that member."""
        return self.by[self.member(name)]

    def of(self, name: str | None, arm: Arm) -> Place:
        """One of them."""
        return self.pair(name).of(colour_of(arm))

    @property
    def words(self) -> str:
        """What the parameters are, a sentence."""
        told = [f"{arm}: {_told(self.of(self.spoken, arm))}" for arm in Arm]
        return f"Parameters of the plan's queries, {'; '.join(told)}."


def _told(place: Place) -> str:
    values = {name: getattr(place, name) for name in SAID}
    return " ".join(f"{name}={value}" for name, value in values.items() if value)


def places_of(spec: PlanSpec, namespace: str, name: str, asked: Mapping[Arm, Asked]) -> Places:
    """The places of a plan of this namespace and name, as the selectors speak of them."""
    said = {arm: _said(one) for arm, one in asked.items()}
    mode = mode_of(spec, (namespace, name), "", None).mode
    slots = {
        member.name: tuple(pair_of(spec, member, Naming(namespace, slot, mode)).blue for slot in (0, 1)) for member in spec.all_members
    }
    found = {(member, arm): slot for member, two in slots.items() for arm in Arm if (slot := _slot(two, said[arm])) is not None}
    spoken = next((member for member, _ in found), spec.all_members[0].name)
    index = _indices(found.get((spoken, Arm.BASELINE)), found.get((spoken, Arm.CANDIDATE)))
    pairs = {}
    for member in spec.all_members:
        both = {arm: _place(slots[member.name][index[arm]], arm, said[arm], own=member.name == spoken) for arm in Arm}
        pairs[member.name] = Pair(both[Arm.BASELINE], both[Arm.CANDIDATE])
    return Places(spec, spoken, Mesh(mode=mode, reporter=spec.traffic.reporter), pairs)


def _said(asked: Asked) -> dict[str, str]:
    """The parameters that a selector says."""
    one = asked.requests or asked.buckets
    if one is None:
        return {}
    values = {matcher.name: matcher.value for matcher in facts(one.text).selectors[0].matchers if matcher.op == "="}
    return {
        name: next(values[label] for label in labels if values.get(label)) for name, labels in SAID.items() if any(map(values.get, labels))
    }


def _slot(two: tuple[Place, ...], said: Mapping[str, str]) -> int | None:
    """The slot whose workload or host is said; where both slots call it so, the one whose namespace is."""
    found = [slot for slot, place in enumerate(two) if said.get("workload") == place.workload or said.get("host") == place.host]
    if len(found) > 1:
        found = [slot for slot in found if two[slot].namespace == said.get("namespace")]
    return found[0] if len(found) == 1 else None


def _indices(baseline: int | None, candidate: int | None) -> dict[Arm, int]:
    """The slot of each arm; what is not said is the other one's other slot."""
    if baseline is None:
        baseline = 0 if candidate is None else 1 - candidate
    return {Arm.BASELINE: baseline, Arm.CANDIDATE: 1 - baseline if candidate is None else candidate}


def _place(place: Place, arm: Arm, said: Mapping[str, str], *, own: bool) -> Place:
    """A member's place with what the selector says: of other members than its own that is the version's name alone."""
    values = {name: value for name, value in said.items() if own or name == "revision"}
    return replace(place, colour=colour_of(arm), **values)
