"""Green's cluster: the subset of a DestinationRule, or the Service and trafficPolicy of green's host.

What is wanted is computed here once, from blue; `subsets` writes it. A cluster exists before the first weight,
else requests meet 503 NC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.adapters import marks
from controller.adapters.istio.added import read_added
from controller.adapters.istio.sides import HOST, HostPair, Sides, resolve_host
from controller.api.plan import GreenSource, PlanSpec
from controller.core import reasons
from controller.core.commands import Subject
from controller.core.world import Problem, RuleView
from controller.ports import DEPLOYMENT, DESTINATION_RULE, SERVICE, Kind, Kube, NotFoundError, Obj

NAME_LIMIT = 40
"""Characters of the revision that a subset's name takes."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Green's cluster for one host.

    Attributes:
        namespace, name, uid, resource_version: the DestinationRule, as it was read; no uid where it is to be created.
        host: the host that it is for (green's own in host mode).
        wanted: the subset as it should stand (subset mode) or the trafficPolicy (host mode); None where nothing is to be written.
        ready: it stands as it should.
        gone: it is not there, or selects other pods, so that requests to it get errors.
        added: our annotation on the DestinationRule of others (subset mode); "" where there is none.
        service_found: the Services of both colours exist (in subset mode they are one).
    """

    host: str
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    wanted: Obj | None = None
    ready: bool = False
    gone: bool = False
    added: str = ""
    service_found: bool = True

    @property
    def view(self) -> RuleView:
        """The DestinationRule in the core's words."""
        return RuleView(self.namespace, self.name, self.added)


@dataclass(frozen=True, slots=True)
class Clusters:
    """All clusters of green, and what stands against them.

    Attributes:
        rules: the DestinationRules that we write.
        lost: the DestinationRule with green's subset is not there any more.
        blue_lost: what of blue's own clusters is not there, in words: its requests get errors.
        others: labels of the other subsets of these hosts, by host and name.
    """

    parts: tuple[Cluster, ...] = ()
    green_subset: str = ""
    blue_slot: int = -1
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    rules: tuple[Obj, ...] = ()
    blue_labels: Mapping[str, str] = field(default_factory=dict)
    green_labels: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    blue_lost: tuple[str, ...] = ()
    others: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether every one exists as it should."""
        return bool(self.parts) and all(part.ready and part.service_found for part in self.parts)

    @property
    def gone(self) -> bool:
        """Whether one of them is not there at all."""
        return self.lost or any(part.gone for part in self.parts)


def get_or_none(kube: Kube, kind: Kind, namespace: str, name: str) -> Obj | None:
    """The object, or None where there is none."""
    try:
        return kube.get(kind, namespace, name)
    except NotFoundError:
        return None


def subsets_of(rule: Obj) -> list[Mapping[str, Any]]:
    """The subsets of a DestinationRule, garbage as empty ones, so that positions stay."""
    return [marks.mapping(entry) for entry in marks.items(marks.mapping(rule.get("spec")).get("subsets"))]


def find_subset(rule: Obj | None, name: str) -> Mapping[str, Any] | None:
    """The first subset of that name."""
    return next((entry for entry in subsets_of(rule or {}) if entry.get("name") == name), None)


def selects(selector: Any, labels: Mapping[str, Any]) -> bool:
    """Whether labels meet a selector of equalities."""
    return all(labels.get(key) == value for key, value in marks.mapping(selector).items())


def rules_for(kube: Kube, namespace: str, host: str, cluster_domain: str) -> list[Obj]:
    """The DestinationRules of a host in a namespace that concern all clients, the oldest first, as Istio merges them."""
    found = []
    for rule in kube.list(DESTINATION_RULE, namespace).items:
        spec = marks.mapping(rule.get("spec"))
        raw = spec.get("host")
        if isinstance(raw, str) and resolve_host(raw, namespace, cluster_domain) == host and not spec.get("workloadSelector"):
            found.append(rule)
    return sorted(found, key=_age)


def _age(rule: Obj) -> tuple[str, str]:
    meta = marks.metadata(rule)
    return str(meta.get("creationTimestamp") or "9999"), str(meta.get("name", ""))


def template_labels(deployment: Obj | None) -> Mapping[str, Any]:
    """Labels of a Deployment's pods."""
    spec = marks.mapping((deployment or {}).get("spec"))
    return marks.mapping(marks.mapping(marks.mapping(spec.get("template")).get("metadata")).get("labels"))


def read_clusters(  # noqa: PLR0917 - what it reads, for whom, and where
    kube: Kube, subject: Subject, plan: PlanSpec, sides: Sides, routed: Sequence[str], cluster_domain: str
) -> Clusters:
    """Green's clusters for the hosts that the managed rules name. In subset mode this also tells slot and subset names."""
    if sides.mode == HOST:
        return _host_clusters(kube, sides, routed, cluster_domain)
    return _SubsetReader(kube, subject, plan, sides, cluster_domain).read(routed)


def _host_clusters(kube: Kube, sides: Sides, routed: Sequence[str], cluster_domain: str) -> Clusters:
    parts: list[Cluster] = []
    warnings: list[Problem] = []
    seen: list[Obj] = []
    lost: list[str] = []
    for pair in dict.fromkeys(pair for host in routed if (pair := sides.pair(host))):
        blue, green = pair.hosts[sides.blue_slot], pair.hosts[1 - sides.blue_slot]
        (blue_place, blue_service), (place, service) = pair.services[sides.blue_slot], pair.services[1 - sides.blue_slot]
        gone = get_or_none(kube, SERVICE, place, service) is None
        blue_found = get_or_none(kube, SERVICE, blue_place, blue_service) is not None
        lost += [] if blue_found else [f"Service {blue_place}/{blue_service} is gone"]
        found = not gone and blue_found
        policies = [policy for rule in rules_for(kube, blue_place, blue, cluster_domain) if (policy := _policy(rule))]
        wanted = policies[0] if policies else None
        standing = rules_for(kube, place, green, cluster_domain)
        seen.extend(rule for rule in standing if marks.is_made(rule))
        if not standing:
            name = f"penstock-{service}"
            parts.append(Cluster(green, place, name, wanted=wanted, ready=wanted is None, gone=gone, service_found=found))
            continue
        rule = next((rule for rule in standing if marks.is_made(rule)), standing[0])
        same = _policy(rule) == wanted
        if not marks.is_made(rule) and not same:
            sentence = f"{marks.where(rule)} gives green another trafficPolicy than blue has; it is left as it is"
            warnings.append(Problem(reasons.ROUTE_UNSUITABLE, sentence))
        meta, ours = marks.metadata(rule), marks.is_made(rule)
        parts.append(replace(_part(green, meta, wanted if ours else None, ready=same or not ours), gone=gone, service_found=found))
    return Clusters(tuple(parts), blue_slot=sides.blue_slot, warnings=tuple(warnings), rules=tuple(seen), blue_lost=tuple(lost))


def _policy(rule: Obj) -> Obj | None:
    return marks.mapping(marks.mapping(rule.get("spec")).get("trafficPolicy")) or None


def _part(host: str, meta: Obj, wanted: Obj | None, *, ready: bool) -> Cluster:
    return Cluster(
        host,
        str(meta.get("namespace", "")),
        str(meta.get("name", "")),
        str(meta.get("uid", "")),
        str(meta.get("resourceVersion", "")),
        wanted,
        ready,
    )


@dataclass(slots=True)
class _SubsetReader:
    """Reads what subset mode needs; gathers problems on the way."""

    kube: Kube
    subject: Subject
    plan: PlanSpec
    sides: Sides
    domain: str
    problems: list[Problem] = field(default_factory=list)

    @property
    def adopts(self) -> bool:
        return self.plan.preparation.green is GreenSource.ADOPT or self.subject.spec.kind == "reverse"

    def read(self, routed: Sequence[str]) -> Clusters:
        looked = [(host, self._rule(host), pair) for host in routed if (pair := self.sides.pair(host))]
        rules = [(host, rule, pair) for host, rule, pair in looked if rule is not None]
        subset = self.sides.blue_subset
        lacking = (host for host, rule, _ in looked if subset and find_subset(rule, subset) is None)
        gone = tuple(f"subset {subset} of {host} is not defined" for host in lacking)
        slots = {self._slot(host, rule, pair) for host, rule, pair in rules}
        slot = self.sides.blue_slot if self.sides.blue_slot >= 0 else (slots.pop() if len(slots) == 1 else -1)
        if len(slots) > 1:
            self._say(reasons.BLUE_UNKNOWN, "the members' subsets do not agree on the slot that serves")
        if slot < 0 or self.problems:
            lost = bool(self.sides.green_subset) and len(rules) < len(looked)
            problems = tuple(dict.fromkeys(self.problems))
            return Clusters(problems=problems, rules=tuple(rule for _, rule, _ in rules), lost=lost, blue_lost=gone)
        labels = [self._green_labels(host, rule, pair, slot) for host, rule, pair in rules]
        name = self.sides.green_subset or self._name([(rule, wanted) for (_, rule, _), wanted in zip(rules, labels, strict=True)])
        parts = tuple(
            replace(self._cluster(host, rule, name, wanted), service_found=self._service(host, pair) is not None)
            for (host, rule, pair), wanted in zip(rules, labels, strict=True)
        )
        blue = marks.mapping((find_subset(rules[0][1], self.sides.blue_subset) or {}).get("labels")) if rules else {}
        found = tuple(rule for (_, rule, _), part in zip(rules, parts, strict=True) if part.wanted is not None)
        green = labels[0] if labels else {}
        others = {
            (host, str(entry.get("name"))): marks.mapping(entry.get("labels"))
            for host, rule, _ in rules
            for entry in subsets_of(rule)
            if entry.get("name") not in {self.sides.blue_subset, name}
        }
        problems = tuple(dict.fromkeys(self.problems))
        return Clusters(parts, name, slot, problems, (), found, blue, green, blue_lost=gone, others=others)

    def _rule(self, host: str) -> Obj | None:
        named = self.plan.traffic.destination_rule
        if named:
            rule = get_or_none(self.kube, DESTINATION_RULE, self.subject.namespace, named)
            candidates = [rule] if rule is not None else []
        else:
            candidates = [rule for place in self._homes(host) for rule in rules_for(self.kube, place, host, self.domain)]
        # Green's counts too: at the end of a release blue's may already have been taken away.
        known = [name for name in (self.sides.blue_subset, self.sides.green_subset) if name]
        rule = next((rule for name in known for rule in candidates if find_subset(rule, name)), None)
        if rule is None:
            home = f"a DestinationRule for {host} in namespace {' or '.join(self._homes(host))}"
            where = f"DestinationRule {self.subject.namespace}/{named}" if named else home
            self._say(reasons.ROUTE_MISSING, f"the routes name subset {self.sides.blue_subset}, and {where} that defines it was not found")
        return rule

    def _homes(self, host: str) -> tuple[str, ...]:
        """Namespaces whose DestinationRules hold for all clients: the host's own, and the plan's."""
        home = host.split(".")[1] if host.count(".") > 1 else self.subject.namespace
        return tuple(dict.fromkeys((home, self.subject.namespace)))

    def _say(self, reason: str, sentence: str) -> None:
        self.problems.append(Problem(reason, sentence))

    def _service(self, host: str, pair: HostPair) -> Obj | None:
        """The Service behind a host, which both subsets share."""
        return get_or_none(self.kube, SERVICE, *pair.service(host))

    def _deployment(self, pair: HostPair, slot: int) -> Obj | None:
        return get_or_none(self.kube, DEPLOYMENT, *pair.workloads[slot])

    def _slot(self, host: str, rule: Obj, pair: HostPair) -> int:
        """The slot whose pods blue's subset selects, and the other slot's pods not."""
        if self.sides.blue_slot >= 0:
            return self.sides.blue_slot
        if pair.workloads[0][0] != pair.workloads[1][0]:
            self._say(reasons.ROUTE_UNSUITABLE, f"the routes name subsets of {host}, so both slots must be in one namespace")
            return -1
        wanted = (find_subset(rule, self.sides.blue_subset) or {}).get("labels")
        selector = marks.mapping((self._service(host, pair) or {}).get("spec")).get("selector")
        found = [(slot, template_labels(self._deployment(pair, slot))) for slot in (0, 1)]
        chosen = [slot for slot, labels in found if labels and selects(wanted, labels) and selects(selector, labels)]
        if len(chosen) == 1:
            return chosen[0]
        names = " and ".join(f"{namespace}/{name}" for namespace, name in pair.workloads)
        if chosen:
            self._say(reasons.SELECTOR_OVERLAP, f"subset {self.sides.blue_subset} of {host} selects the pods of both {names}")
        else:
            self._say(reasons.BLUE_UNKNOWN, f"subset {self.sides.blue_subset} of {host} selects the pods of neither {names}")
        return -1

    def _green_labels(self, host: str, rule: Obj, pair: HostPair, slot: int) -> Mapping[str, Any]:
        """Labels that select green's pods and nothing of blue's; empty where there are none."""
        if not self.adopts:
            return {marks.REVISION_LABEL: self.subject.spec.revision}
        known = find_subset(rule, self.sides.green_subset) if self.sides.green_subset else None
        if known is not None:
            return marks.mapping(known.get("labels"))
        green, blue = template_labels(self._deployment(pair, 1 - slot)), template_labels(self._deployment(pair, slot))
        for entry in subsets_of(rule):
            labels = marks.mapping(entry.get("labels"))
            if labels and entry.get("name") != self.sides.blue_subset and selects(labels, green) and not selects(labels, blue):
                return labels
        for key in (marks.REVISION_LABEL, "version", "app.kubernetes.io/version"):
            if green.get(key) and green.get(key) != blue.get(key):
                return {key: green[key]}
        if green:
            name = "/".join(pair.workloads[1 - slot])
            self._say(reasons.SELECTOR_OVERLAP, f"the pods of {name} have no version label that tells them from blue's behind {host}")
        return {}

    def _name(self, rules: Sequence[tuple[Obj, Mapping[str, Any]]]) -> str:
        """Green's subset: one that selects exactly it; else the revision, with the plan's name before it where that is taken."""
        if self.adopts and rules:
            rule, labels = rules[0]
            same = (entry.get("name") for entry in subsets_of(rule) if labels and entry.get("labels") == labels)
            standing = next((name for name in same if name != self.sides.blue_subset), None)
            if isinstance(standing, str):
                return standing
        short = self.subject.spec.revision[:NAME_LIMIT]
        longer = f"{self.subject.spec.plan}-{short}"
        for name in (short, longer):
            taken = any((entry := find_subset(rule, name)) is not None and entry.get("labels") != labels for rule, labels in rules)
            if not taken and name != self.sides.blue_subset:
                return name
        self._say(reasons.ROUTE_UNSUITABLE, f"the subset names {short} and {longer} are taken by others' subsets")
        return short

    def _cluster(self, host: str, rule: Obj, name: str, labels: Mapping[str, Any]) -> Cluster:
        standing = find_subset(rule, name)
        blue = find_subset(rule, self.sides.blue_subset) or {}
        wanted: dict[str, Any] = {"name": name, "labels": dict(labels)}
        if blue.get("trafficPolicy"):
            wanted["trafficPolicy"] = blue["trafficPolicy"]
        gone = standing is None or standing.get("labels") != labels
        part = replace(_part(host, marks.metadata(rule), None, ready=not gone), gone=gone, added=marks.annotation(rule, marks.ADDED))
        if standing is not None and name not in read_added(rule, self.subject.status.added.get(part.view.title, "")).subsets:
            return part
        return replace(part, wanted=wanted if labels else None, ready=standing is not None and dict(standing) == wanted)
