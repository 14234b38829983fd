"""JSON Patches of a VirtualService: pure, from what was read and what shall stand to the operations between.

Every patch tests the destinations it touches, carries the resourceVersion that was read, and writes only our fields:
weights, green's destination, the listed bypass rules, our annotations (S12). An empty patch means that all stands.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.adapters import marks
from controller.adapters.istio.added import Added, place_key, read_added
from controller.adapters.istio.owners import OWNER_NAME
from controller.adapters.istio.rules import FULL, Rule, Split, Target, parse_rules, split_rules
from controller.adapters.istio.sides import SUBSET, Side, Sides
from controller.api.plan import Bypass, VirtualServiceRef
from controller.core.commands import RollBackRoutes, Subject
from controller.ports import Obj

Op = dict[str, Any]
Patch = list[Op]


@dataclass(frozen=True, slots=True)
class Draft:
    """A VirtualService that is about to be patched, with all that its patch depends on."""

    obj: Obj
    ref: VirtualServiceRef
    sides: Sides
    epoch: int
    cluster_domain: str = "cluster.local"
    recorded: str = ""

    @property
    def added(self) -> Added:
        """What Penstock added to it, also where somebody took the annotation off that says so."""
        return read_added(self.obj, self.recorded)

    @property
    def split(self) -> Split:
        """Its rules, sorted."""
        return split_rules(parse_rules(self.obj, self.cluster_domain).rules, self.ref, self.sides)

    def raw_rule(self, rule: Rule) -> Mapping[str, Any]:
        """The rule as it stands."""
        return marks.mapping(self.obj["spec"]["http"][rule.index])

    def side(self, target: Target) -> Side:
        """What a destination is."""
        return self.sides.side(target.host, target.subset)

    def first(self, rule: Rule, side: Side) -> Target | None:
        """The first destination of that side."""
        return next((target for target in rule.targets if self.side(target) is side), None)


def build_claim_patch(draft: Draft, subject: Subject) -> Patch:
    """Write the owner: the lock of the route; and what somebody took off of what is remembered there."""
    owner = _owner(subject) if marks.annotation(draft.obj, marks.OWNER) != subject.uid else {}
    changes = {**owner, **_added(draft, draft.added)}
    return _finish(draft, [], changes) if changes else []


def build_open_patch(draft: Draft, subject: Subject) -> Patch:
    """Blue at 100, green named at 0 on every managed rule."""
    ops, added = _weigh_all(draft, 0, need_green=True)
    return _finish(draft, ops, {**_owner(subject), **_added(draft, added)}) if ops else []


def build_weight_patch(draft: Draft, subject: Subject, weight: int, stamp: str = "") -> Patch:
    """Green at `weight`, the listed bypass rules at green (at blue where the weight is 0). A stamp that already stands is no change."""
    ops, added = _weigh_all(draft, weight, need_green=weight > 0)
    more, added = _switch_bypasses(draft, Side.GREEN if weight > 0 else Side.BLUE, added)
    ops += more
    stamped = {marks.STAMP: stamp} if stamp and stamp != marks.annotation(draft.obj, marks.STAMP) else {}
    return _finish(draft, ops, {**_owner(subject), **_added(draft, added), **stamped}) if ops or stamped else []


def build_rollback_patch(draft: Draft, command: RollBackRoutes) -> Patch:
    """Everybody on blue, bypass rules included, stamped. Empty only where this very stamp stands and nothing is to change."""
    ops, added = _weigh_all(draft, 0, need_green=False)
    more, added = _switch_bypasses(draft, Side.BLUE, added)
    ops += more
    if not ops and command.stamp == marks.annotation(draft.obj, marks.STAMP):
        return []
    because = {marks.BECAUSE: command.because} if command.because else {}
    return _finish(draft, ops, {**_added(draft, added), marks.STAMP: command.stamp, **because})


def build_close_patch(draft: Draft, serving: Side) -> Patch:
    """Take off the owner, the bypass rules that we made, and the idle destination that we added."""
    added, idle = draft.added, Side.GREEN if serving is Side.BLUE else Side.BLUE
    ops: Patch = []
    rest = added.destinations
    took = dict(added.took)
    for rule in draft.split.managed:
        target = draft.first(rule, idle)
        key = (rule.name, place_key(target.host, target.subset)) if target else ("", "")
        if target is None or key not in rest or draft.first(rule, serving) is None:
            continue
        path = ("spec", "http", rule.index, "route", target.index)
        ops += _tests(rule)
        before = took.get(rule.name)
        if serving is Side.BLUE and before:
            ops.append({"op": "replace", "path": marks.pointer(*path, "destination", "subset"), "value": before})
        else:
            ops.append({"op": "remove", "path": marks.pointer(*path)})
    hosts = [host for pair in draft.sides.pairs for host in pair.all_hosts] if draft.sides.known else []
    gone = {place_key(*draft.sides.place(idle, host)) for host in hosts}
    made = [rule for rule in parse_rules(draft.obj, draft.cluster_domain).rules if rule.name and rule.name in added.bypass]
    for rule in sorted(made, key=lambda rule: -rule.index):
        ops.append({"op": "test", "path": marks.pointer("spec", "http", rule.index, "name"), "value": rule.name})
        ops.append({"op": "remove", "path": marks.pointer("spec", "http", rule.index)})
    left = Added(frozenset(pair for pair in rest if pair[1] not in gone), subsets=added.subsets)
    values: dict[str, str | None] = {marks.OWNER: None, OWNER_NAME: None, marks.STAMP: None, marks.BECAUSE: None, **_added(draft, left)}
    standing = marks.mapping(marks.metadata(draft.obj).get("annotations"))
    changes = {key: value for key, value in values.items() if standing.get(key) != value}
    return _finish(draft, ops, changes) if ops or changes else []


def _owner(subject: Subject) -> dict[str, str | None]:
    return {marks.OWNER: subject.uid, OWNER_NAME: f"{subject.namespace}/{subject.name}"}


def _added(draft: Draft, added: Added) -> dict[str, str | None]:
    text = added.text()
    return {} if text == (marks.annotation(draft.obj, marks.ADDED) or None) else {marks.ADDED: text}


def _finish(draft: Draft, ops: Patch, annotations: Mapping[str, str | None]) -> Patch:
    values = {**annotations, marks.EPOCH: str(draft.epoch)}
    return [*ops, *marks.guard_ops(draft.obj), *marks.annotation_ops(draft.obj, values)]


def _tests(rule: Rule) -> Iterator[Op]:
    """The destinations are those that were read, each in its place."""
    for target in rule.targets:
        path = ("spec", "http", rule.index, "route", target.index, "destination")
        if target.raw_host is not None:
            yield {"op": "test", "path": marks.pointer(*path, "host"), "value": target.raw_host}
        if target.subset:
            yield {"op": "test", "path": marks.pointer(*path, "subset"), "value": target.subset}


def _weigh_all(draft: Draft, weight: int, *, need_green: bool) -> tuple[Patch, Added]:
    ops: Patch = []
    added = draft.added
    for rule in draft.split.managed:
        more, added = _weigh(draft, rule, weight, added, need_green=need_green)
        if more:
            ops += [*_tests(rule), *more]
    return ops, added


def _weigh(draft: Draft, rule: Rule, weight: int, added: Added, *, need_green: bool) -> tuple[Patch, Added]:
    """Operations on one rule. A side that is missing is added; a further destination gets 0: users belong to blue or green."""
    blue, green = draft.first(rule, Side.BLUE), draft.first(rule, Side.GREEN)
    known = blue or green
    if known is None:
        return [], added
    ops: Patch = []
    taken: Target | None = None
    if green is None and need_green:
        host, subset = draft.sides.place(Side.GREEN, known.host)
        taken = next((target for target in rule.targets if draft.side(target) is Side.STALE and not target.weight), None)
        took = dict(added.took)
        if taken is None:
            ops.append(_append(draft, rule, known, (host, subset), weight))
        else:
            path = marks.pointer("spec", "http", rule.index, "route", taken.index, "destination", "subset")
            ops += [{"op": "replace", "path": path, "value": subset}, *_set(rule, taken, weight)]
            took[rule.name] = taken.subset
        added = Added(added.destinations | {(rule.name, place_key(host, subset))}, added.bypass, took, added.subsets)
    if blue is None:
        ops.append(_append(draft, rule, known, draft.sides.place(Side.BLUE, known.host), FULL - weight))
    for target in rule.targets:
        if target is blue:
            ops += _set(rule, target, FULL - weight, alone=len(rule.targets) == 1 and not ops)
        elif target is green:
            ops += _set(rule, target, weight)
        elif target is not taken:
            ops += _set(rule, target, 0, idle=not target.bad)
    return ops, added


def _set(rule: Rule, target: Target, weight: int, *, alone: bool = False, idle: bool = False) -> Patch:
    """Write a weight where another stands. A single destination has everything anyway; an absent weight of an idle one is 0."""
    if alone or target.weight == weight or (idle and not target.weight):
        return []
    return [{"op": "add", "path": marks.pointer("spec", "http", rule.index, "route", target.index, "weight"), "value": weight}]


def _append(draft: Draft, rule: Rule, like: Target, place: tuple[str, str], weight: int) -> Op:
    """A destination like another of the rule (its port and its header operations), for another version."""
    host, subset = place
    entry = copy.deepcopy(dict(draft.raw_rule(rule)["route"][like.index]))
    destination = {**entry["destination"], "host": entry["destination"]["host"] if draft.sides.mode == SUBSET else host}
    destination.pop("subset", None)
    entry["destination"] = {**destination, "subset": subset} if subset else destination
    return {"op": "add", "path": marks.pointer("spec", "http", rule.index, "route", "-"), "value": {**entry, "weight": weight}}


def _switch_bypasses(draft: Draft, side: Side, added: Added) -> tuple[Patch, Added]:
    split = draft.split
    ops: Patch = []
    for rule in split.bypass:
        more = _point(draft, rule, side)
        if more:
            ops += [*_tests(rule), *more]
    fresh = [bypass for bypass in split.unmade if bypass.can_be_made and side is Side.GREEN]
    if fresh and split.managed:
        added = Added(added.destinations, added.bypass | {bypass.route for bypass in fresh}, added.took, added.subsets)
    # From the last rule to the first, so that no insertion moves the place of another.
    for rule in sorted(split.managed, key=lambda rule: -rule.index):
        ops += [_insert(draft, rule, bypass) for bypass in reversed(fresh)]
    return ops, added


def _point(draft: Draft, rule: Rule, side: Side) -> Patch:
    """Turn a bypass rule to one side; where it names both, by weights."""
    other = Side.GREEN if side is Side.BLUE else Side.BLUE
    here, there = draft.first(rule, side), draft.first(rule, other)
    ops: Patch = []
    for target in rule.targets:
        path = ("spec", "http", rule.index, "route", target.index)
        if here is not None and there is not None:
            ops += _set(rule, target, FULL if target is here else 0)
        elif draft.side(target) in (other, Side.STALE):
            host, subset = draft.sides.place(side, target.host)
            key, value = ("subset", subset) if draft.sides.mode == SUBSET else ("host", host)
            ops.append({"op": "add", "path": marks.pointer(*path, "destination", key), "value": value})
    return ops


def _insert(draft: Draft, rule: Rule, bypass: Bypass) -> Op:
    """A rule in front of a managed one: the same requests with the header or the cookie, the same options, green alone."""
    raw = copy.deepcopy(dict(draft.raw_rule(rule)))
    header, condition = _condition(bypass)
    blocks = [dict(block) for block in marks.items(raw.get("match")) if isinstance(block, dict)] or [{}]
    raw["match"] = [{**block, "headers": {**marks.mapping(block.get("headers")), header: condition}} for block in blocks]
    like = draft.first(rule, Side.GREEN) or draft.first(rule, Side.BLUE) or rule.targets[0]
    raw["route"] = [_append(draft, rule, like, draft.sides.place(Side.GREEN, like.host), FULL)["value"]]
    return {"op": "add", "path": marks.pointer("spec", "http", rule.index), "value": {**raw, "name": bypass.route}}


def _condition(bypass: Bypass) -> tuple[str, Op]:
    """The header that a bypass rule looks at, and what must stand there. A cookie stands among others, in any order."""
    if bypass.cookie is None:
        return bypass.header or "", {"exact": bypass.value}
    return "cookie", {"regex": f"^(.*;\\s*)?{re.escape(bypass.cookie)}={re.escape(bypass.value)}(;.*)?$"}
