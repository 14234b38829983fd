"""What the routes say: one look at the VirtualServices of a release and at green's cluster, in the core's words.

Before the status knows blue, blue is found from the weights; afterwards the status is trusted, so that nobody's edit
of a weight can change who is who. The refusals before anything is touched are in `preflight`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.adapters import marks
from controller.adapters.istio.absent import absent
from controller.adapters.istio.blue import find_blue
from controller.adapters.istio.cluster import Cluster, Clusters, read_clusters
from controller.adapters.istio.preflight import Route, refusals
from controller.adapters.istio.repair import repair_words
from controller.adapters.istio.rules import ParsedRoutes, Split, all_pods, dropped, names, parse_rules, reachable, split_rules
from controller.adapters.istio.sides import SUBSET, Side, Sides, host_pairs, target_namespace
from controller.api.plan import PlanSpec, VirtualServiceRef
from controller.api.release import ManagedObject
from controller.core import reasons
from controller.core.commands import Subject
from controller.core.world import Problem, RouteView, RuleView
from controller.ports import VIRTUAL_SERVICE, Kube, NotFoundError, Obj, RefusedError

FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class TrafficView:
    """One look at the traffic.

    Attributes:
        routes: one for each VirtualService of the plan, in its order.
        blue_slot, mode, blue_subset, green_subset: who is who; -1 and "" where it cannot be told (then `problems` says why).
        blue_labels, green_labels: labels of the subsets, in subset mode.
        others: what else the rules name of these hosts in subset mode: Service, subset, labels; only looked at before the first write.
        routed: namespace and name of the Services, of both slots, that the managed rules send to.
        cluster_ready: green's Service or subset exists as it should, and blue's Service.
        cluster_gone: green's Service or subset is not there, or selects other pods.
        blue_lost: what of blue's own Services and subsets is not there, in words.
        clusters: green's cluster for each host; `rules` the DestinationRules of others in which they stand.
        bypass_only: namespace and name of VirtualServices without a managed rule; they come first on the way back.
        objects: what was found here, for the resolved list of the release.
        beside: rules that the release does not move send to blue, too; only looked at before the first write.
        problems: why the release must not start, or what was found broken in mid-release.
    """

    routes: tuple[RouteView, ...] = ()
    blue_slot: int = -1
    mode: str = ""
    blue_subset: str = ""
    green_subset: str = ""
    blue_labels: Mapping[str, str] = field(default_factory=dict)
    green_labels: Mapping[str, str] = field(default_factory=dict)
    others: tuple[tuple[tuple[str, str], str, Mapping[str, str]], ...] = ()
    routed: frozenset[tuple[str, str]] = frozenset()
    cluster_ready: bool = False
    cluster_gone: bool = False
    blue_lost: tuple[str, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    rules: tuple[RuleView, ...] = ()
    bypass_only: frozenset[tuple[str, str]] = frozenset()
    objects: tuple[ManagedObject, ...] = ()
    sides: Sides = field(default_factory=Sides)
    beside: bool = False
    cluster_domain: str = "cluster.local"
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def observe_traffic(kube: Kube, subject: Subject, *, first: bool, cluster_domain: str = "cluster.local") -> TrafficView:
    """Look at the traffic; with `first` also at all that would refuse the release. Raises the `KubeError`s that will pass."""
    plan = subject.plan
    if plan is None:
        return TrafficView()
    seen = [_read(kube, ref, target_namespace(ref, subject.namespace), cluster_domain) for ref in plan.traffic.targets]
    problems = [problem for route in seen if (problem := route.problem)]
    sides, trouble = _sides(subject, plan, seen, cluster_domain)
    problems += [trouble] if trouble else []
    clusters = Clusters()
    routed = _routed(seen, sides)
    if sides.mode and not trouble:
        try:
            clusters = read_clusters(kube, subject, plan, sides, routed, cluster_domain)
        except RefusedError as error:
            clusters = Clusters(problems=(_forbidden(error, f"read DestinationRules, Services and Deployments{_way_out(subject, plan)}"),))
        known = subject.status.blue_slot >= 0
        sides = sides if known else replace(sides, blue_slot=clusters.blue_slot, green_subset=clusters.green_subset)
    warnings, beside, named = list(clusters.warnings), False, frozenset[tuple[str, str]]()
    splits = [split_rules(route.parsed.rules, route.ref, sides) if sides.known else Split() for route in seen]
    weight = max((split.green_weight(sides) for split in splits), default=0)
    weighted = [_is_weighted(subject, route, split, sides) for route, split in zip(seen, splits, strict=True)]
    stood = subject.spec.kind == "reverse"
    views = tuple(
        _route_view(route, split, sides, weighted=own, weight=weight, stood=stood)
        for route, split, own in zip(seen, splits, weighted, strict=True)
    )
    if first:
        found = refusals(kube, subject, plan, seen, sides, clusters.rules, cluster_domain)
        refused, beside, named = found.problems, found.beside, found.subsets
        missing = () if any(route.problem for route in seen) else absent(kube, sides, routed)
        problems = owned_first([*missing, *problems, *refused, *(problem for view in views for problem in view.problems)])
        warnings += found.warnings
    pairs = [pair for host in routed if (pair := sides.pair(host))]
    return TrafficView(
        routes=views,
        blue_slot=sides.blue_slot,
        mode=sides.mode,
        blue_subset=sides.blue_subset,
        green_subset=sides.green_subset,
        blue_labels=clusters.blue_labels,
        green_labels=clusters.green_labels,
        others=tuple(
            (pair.shared_service, name, labels)
            for (host, name), labels in clusters.others.items()
            if (host, name) in named and (pair := sides.pair(host))
        ),
        routed=frozenset(service for pair in pairs for service in pair.all_services),
        cluster_ready=clusters.ready,
        cluster_gone=clusters.gone,
        blue_lost=clusters.blue_lost,
        clusters=clusters.parts,
        rules=tuple(dict.fromkeys(part.view for part in clusters.parts if part.uid)) if sides.mode == SUBSET else (),
        objects=_objects(seen, clusters.rules),
        bypass_only=frozenset((one.namespace, one.ref.name) for one, split in zip(seen, splits, strict=True) if split.bypass_only),
        sides=sides,
        beside=beside,
        cluster_domain=cluster_domain,
        problems=tuple(dict.fromkeys((*problems, *clusters.problems))),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def status_sides(subject: Subject, cluster_domain: str = "cluster.local") -> Sides:
    """Who is who by the status alone; unknown (`known` is False) before the status says so."""
    status, plan = subject.status, subject.plan
    if plan is None or not 0 <= status.blue_slot <= 1 or not status.mode:
        return Sides()
    pairs = host_pairs(plan, subject.namespace, cluster_domain)
    return Sides(status.mode, status.blue_slot, pairs, status.blue_subset, status.green_subset)


def _forbidden(error: RefusedError, what: str) -> Problem:
    return Problem(reasons.RIGHTS_MISSING, f"{what}: {error}")


def _way_out(subject: Subject, plan: PlanSpec) -> str:
    """A slot's own namespace may have no Role, or not exist: without rights there the two look alike."""
    elsewhere = [slot.namespace for slot in plan.slots if slot.namespace not in ("", subject.namespace)]
    return f" (penstock install --green-namespace {elsewhere[0]} makes that namespace and gives the Role)" if elsewhere else ""


def _read(kube: Kube, ref: VirtualServiceRef, namespace: str, cluster_domain: str) -> Route:
    try:
        obj = kube.get(VIRTUAL_SERVICE, namespace, ref.name)
    except NotFoundError:
        sentence = f"VirtualService {namespace}/{ref.name} was not found"
        return Route(ref, namespace, problem=Problem(reasons.ROUTE_MISSING, sentence))
    except RefusedError as error:
        return Route(ref, namespace, problem=_forbidden(error, f"read VirtualService {namespace}/{ref.name}"))
    return Route(ref, namespace, obj, parse_rules(obj, cluster_domain))


def owned_first(problems: list[Problem]) -> list[Problem]:
    """While another release owns a route, its weights are that one's doing: how to give one version everything would be bad advice."""
    owned = [problem for problem in problems if problem.reason == reasons.ROUTE_OWNED]
    return [*owned, *(one for one in problems if one.reason not in (reasons.ROUTE_OWNED, reasons.BLUE_UNKNOWN))] if owned else problems


def _sides(subject: Subject, plan: PlanSpec, seen: Sequence[Route], cluster_domain: str) -> tuple[Sides, Problem | None]:
    by_status = status_sides(subject, cluster_domain)
    if by_status.known:
        return by_status, None
    pairs = host_pairs(plan, subject.namespace, cluster_domain)
    if any(route.problem for route in seen) or not seen:
        return Sides(pairs=pairs), None
    found = find_blue([(route.ref, route.parsed.rules) for route in seen], pairs)
    problem = found.problem
    if problem is not None and problem.reason == reasons.BLUE_UNKNOWN and (way := repair_words(seen, pairs)):
        problem = Problem(problem.reason, f"{problem.detail}; {way}")
    return Sides(found.mode, found.slot, pairs, found.subset), problem


def _routed(seen: Sequence[Route], sides: Sides) -> tuple[str, ...]:
    """The hosts of the plan that the VirtualServices name."""
    hosts = [target.host for route in seen for rule in route.parsed.rules for target in rule.targets]
    return tuple(host for host in dict.fromkeys(hosts) if sides.pair(host))


def _is_weighted(subject: Subject, route: Route, split: Split, sides: Sides) -> bool:
    """Whether it has weights that can be compared, or had some when the release began: then somebody took its users elsewhere.

    A rule to blue that was added since to one with bypass rules alone is `aside` until it names green.
    """
    if subject.status.blue_slot < 0:
        return not split.bypass_only
    began_without = f"{route.namespace}/{route.ref.name}" in subject.status.bypass_only
    return not began_without or any(names(rule, sides, Side.GREEN) for rule in split.managed)


def _route_view(route: Route, split: Split, sides: Sides, *, weighted: bool, weight: int, stood: bool) -> RouteView:
    """One VirtualService; `weight` is green's highest of all of them, which those without weights of their own (`weighted`) go by.

    With `stood` green is the version before, so that rules which the plan does not name have sent to it all the time.
    """
    if route.obj is None:
        return RouteView(route.namespace, route.ref.name, weighted=weighted, problems=(route.problem,) if route.problem else ())
    meta = marks.metadata(route.obj)
    broken = bool(route.parsed.garbage) and not route.parsed.rules
    return RouteView(
        namespace=route.namespace,
        name=route.ref.name,
        uid=str(meta.get("uid", "")),
        resource_version=str(meta.get("resourceVersion", "")),
        found=True,
        weighted=weighted,
        green_weight=split.green_weight(sides),
        blue_only=sides.known and not broken and split.blue_only(sides),
        has_green=sides.known and not broken and split.has_green(sides),
        bypass_green=sides.known and split.bypass_green(sides),
        bypass_stale=sides.known and split.bypass_stale(sides, split.green_weight(sides) if weighted else weight),
        astray=sides.known and (bool(split.missing) or not (split.managed or split.bypass or route.ref.bypass)),
        void=sides.known and split.void(sides),
        aside=sides.known and (split.aside(sides) or (not weighted and bool(split.managed))),
        owner=marks.annotation(route.obj, marks.OWNER),
        stamp=marks.annotation(route.obj, marks.STAMP),
        because=marks.annotation(route.obj, marks.BECAUSE),
        added=marks.annotation(route.obj, marks.ADDED),
        epoch=marks.epoch_of(route.obj),
        foreign=last_manager(route.obj),
        mirrored=tuple(_mirrored(route, sides)) if sides.known else (),
        problems=_route_problems(route, split, route.parsed, sides, stood=stood),
    )


def _route_problems(route: Route, split: Split, parsed: ParsedRoutes, sides: Sides, *, stood: bool) -> tuple[Problem, ...]:
    """What is wrong with the managed rules, at the start and in mid-release alike."""
    title = f"VirtualService {route.namespace}/{route.ref.name}"
    found = [Problem(reasons.ROUTE_UNSUITABLE, f"{title}: {sentence}") for sentence in parsed.garbage]
    if not sides.known:
        return tuple(found)
    found += [Problem(reasons.ROUTE_MISSING, f'{title} has no http rule "{name}"') for name in split.missing]
    if not (split.managed or split.bypass or split.missing or route.ref.bypass):
        found.append(Problem(reasons.ROUTE_UNSUITABLE, f"{title} has no http rule that sends to blue or green"))
    live = reachable(parsed.rules)
    found += [Problem(reasons.ROUTE_UNSUITABLE, dropped(rule, title)) for rule in split.managed if rule not in live]
    for rule in live:
        places = [*((t.host, t.subset) for t in rule.targets), *rule.mirrors]
        if loose := [host for host, subset in places if sides.reaches_all(host, subset)]:
            found.append(Problem(reasons.BYPASS_UNLISTED, f"{rule.title} of {title} {all_pods(loose[0], sides)}"))
    for rule in () if stood else split.leaks:
        if rule.percent(lambda t: sides.side(t.host, t.subset) is Side.GREEN) != 0:
            found.append(Problem(reasons.BYPASS_UNLISTED, f"{rule.title} of {title} sends to green whatever the weights say"))
    found += [Problem(reasons.BYPASS_UNLISTED, sentence) for sentence in (() if stood else _mirrored(route, sides))]
    for rule in split.managed:
        # One without weight gets no request whatever the release does: a place that is kept for another day.
        alone = len(rule.targets) == 1
        others = [t for t in rule.targets if sides.side(t.host, t.subset) in (Side.OTHER, Side.STALE)]
        extra = [t for t in others if alone or t.weight or t.bad]
        if extra:
            words = ", ".join(f"{t.host} {t.subset}".strip() for t in extra)
            sentence = f"{rule.title} of {title} has a further destination beside blue and green: {words}"
            found.append(Problem(reasons.ROUTE_UNSUITABLE, sentence))
    return tuple(found)


def _mirrored(route: Route, sides: Sides) -> Iterator[str]:
    """Which rules send copies to green, in words: no weight ends that, and no caller's proxy counts it."""
    for rule in reachable(route.parsed.rules):
        if any(sides.side(host, subset) is Side.GREEN for host, subset in rule.mirrors):
            yield f"{rule.title} of VirtualService {route.namespace}/{route.ref.name} mirrors requests to green"


def last_manager(obj: Obj) -> str:
    """Who wrote `spec.http` last, where it was not us; "" where it was, or where nobody can tell.

    `spec.http` is one atomic field, so its last writer owns it alone, but for shared server-side applies.
    """
    owners = []
    for entry in marks.items(marks.metadata(obj).get("managedFields")):
        fields = marks.mapping(marks.mapping(marks.mapping(entry).get("fieldsV1")).get("f:spec"))
        if "f:http" in fields:
            owners.append((str(entry.get("time", "")), str(entry.get("manager", ""))))
    last = max(owners, default=("", ""))[1]
    return "" if last == marks.FIELD_MANAGER else last


def _objects(seen: Sequence[Route], rules: Sequence[Obj]) -> tuple[ManagedObject, ...]:
    found = [("VirtualService", route.obj) for route in seen if route.obj is not None] + [("DestinationRule", rule) for rule in rules]
    listed = []
    for kind, obj in found:
        meta = marks.metadata(obj)
        namespace, name, uid = (str(meta.get(key, "")) for key in ("namespace", "name", "uid"))
        listed.append(ManagedObject(kind=kind, namespace=namespace, name=name, uid=uid, made=marks.is_made(obj)))
    return tuple(listed)
