"""What refuses a release before anything is touched, as far as the routes are concerned."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from controller.adapters import marks
from controller.adapters.istio.cluster import get_or_none
from controller.adapters.istio.gitops import gitops_problem, helm_warning
from controller.adapters.istio.owners import live_owner
from controller.adapters.istio.routing import mesh_candidates
from controller.adapters.istio.routing_model import MESH_GATEWAY, Destination, Proxy, VirtualService, World
from controller.adapters.istio.routing_parse import parse_virtual_service
from controller.adapters.istio.rules import FULL, ParsedRoutes, Rule, Split, Target, all_pods, names, reachable, split_rules
from controller.adapters.istio.sides import HOST, Side, Sides, namespaces_of
from controller.api.plan import PlanSpec, VirtualServiceRef
from controller.core import reasons
from controller.core.commands import Subject
from controller.core.world import Problem
from controller.ports import SERVICE, VIRTUAL_SERVICE, Kube, Obj, RefusedError


@dataclass(frozen=True, slots=True)
class Route:
    """One VirtualService of the plan as it was read; `problem` says why it could not be."""

    ref: VirtualServiceRef
    namespace: str
    obj: Obj | None = None
    parsed: ParsedRoutes = field(default_factory=ParsedRoutes)
    problem: Problem | None = None

    @property
    def title(self) -> str:
        """For sentences."""
        return f"VirtualService {self.namespace}/{self.ref.name}"


@dataclass(frozen=True, slots=True)
class Found:
    """What stands against a release, what should be said, and what rules that it does not move send to.

    Attributes:
        beside: some of them send to blue, too.
        subsets: every host and subset that some rule sends or mirrors to.
    """

    problems: list[Problem]
    warnings: list[Problem]
    beside: bool = False
    subsets: frozenset[tuple[str, str]] = frozenset()


def refusals(  # noqa: PLR0917 - what was read, for whom, and where
    kube: Kube, subject: Subject, plan: PlanSpec, routes: Sequence[Route], sides: Sides, rules: Sequence[Obj], cluster_domain: str
) -> Found:
    """All of it. `rules` are the DestinationRules that would be written."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    unmoved: list[Problem] = []
    world = _visible(kube, subject, plan, cluster_domain, warnings)
    # Going back, green is the version before: who was never led away from it goes on finding it.
    stood = subject.spec.kind == "reverse"
    for route in routes:
        if route.obj is None:
            continue
        problems += _owned(kube, subject, route)
        problems += _shadowed(route, world, namespaces_of(plan, subject.namespace))
        problems += _delegation(route, world)
        warnings += _mirrored(route, sides) if plan.finish.mode != "home" else ()
        warnings += [*_hidden(route, world), *_unrooted(route, world)]
        if sides.known:
            problems += _unsuitable(route, sides)
            problems += _ports(kube, route, sides)
            unmoved += _unmoved(route, sides)
    if sides.known:
        past, others = _beside(world, routes, sides, stood=stood)
        problems, unmoved = problems + past, unmoved + others
    warnings += unmoved
    for obj in (*(route.obj for route in routes if route.obj is not None), *rules):
        if plan.traffic.gitops == "refuse" and (problem := gitops_problem(obj)):
            problems.append(problem)
        elif warning := helm_warning(obj):
            warnings.append(warning)
    return Found(problems, warnings, beside=bool(unmoved), subsets=_subsets(world, routes))


def _subsets(world: World, routes: Sequence[Route]) -> frozenset[tuple[str, str]]:
    """Of the plan's VirtualServices as they stand there, mirrors included, and of all others that could be seen."""
    own = [rule for route in routes for rule in reachable(route.parsed.rules)]
    every: list[Sequence[Target | Destination]] = [
        *(rule.targets for rule in own),
        *(rule.route for other in world.virtual_services for rule in other.http),
    ]
    # A place without weight gets nothing: where the last release's old version was, for one.
    named = {(one.host, one.subset) for targets in every for one in targets if one.weight or len(targets) == 1}
    return frozenset(place for place in named | {mirror for rule in own for mirror in rule.mirrors} if place[1])


def _owned(kube: Kube, subject: Subject, route: Route) -> Iterator[Problem]:
    owner = live_owner(kube, subject, route.obj or {})
    if owner:
        yield Problem(reasons.ROUTE_OWNED, f"{owner} moves the traffic of {route.title}")


def _visible(kube: Kube, subject: Subject, plan: PlanSpec, cluster_domain: str, warnings: list[Problem]) -> World:
    """The VirtualServices of every namespace that the plan names and the Role allows."""
    world = World(cluster_domain=cluster_domain)
    shelf = world.virtual_services
    for namespace in namespaces_of(plan, subject.namespace):
        try:
            found = kube.list(VIRTUAL_SERVICE, namespace).items
        except RefusedError as error:
            sentence = f"list VirtualServices in {namespace}, one there could win the plan's hosts unseen: {error}"
            warnings.append(Problem(reasons.RIGHTS_MISSING, sentence))
            continue
        for obj in found:
            parsed = _parsed(obj, cluster_domain)
            if parsed is not None:
                shelf = shelf.put(parsed.namespace, parsed.name, parsed)
    return World(virtual_services=shelf, cluster_domain=cluster_domain)


def _parsed(obj: Obj, cluster_domain: str) -> VirtualService | None:
    try:
        return parse_virtual_service(obj, cluster_domain)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # istiod could not use it either


def _roots(route: Route, world: World) -> list[VirtualService]:
    """The VirtualServices whose hosts lead to this one: itself, or those that delegate to it."""
    key = (route.namespace, route.ref.name)
    own = world.virtual_services.get(*key)
    if own is None:
        return []
    return [own] if own.hosts else [vs for vs in world.virtual_services if any(rule.delegate == key for rule in vs.http)]


def _shadowed(route: Route, world: World, namespaces: Sequence[str]) -> Iterator[Problem]:
    """On the mesh gateway one host has one VirtualService for the clients of a namespace; the loser is silent."""
    for root in _roots(route, world):
        if MESH_GATEWAY not in root.gateways:
            continue
        title = f"VirtualService {root.namespace}/{root.name}"
        for host in root.hosts:
            for namespace in dict.fromkeys((root.namespace, *namespaces)):
                claims = [claim.key for claim in mesh_candidates(world, Proxy("client", namespace), host)]
                if root.key in claims[1:]:
                    winner = f"VirtualService {'/'.join(claims[0])}"
                    sentence = f"host {host} of {title} is won by {winner} on the mesh, so its weights would move nothing"
                    yield Problem(reasons.ROUTE_SHADOWED, sentence)
                    break


def _hidden(route: Route, world: World) -> Iterator[Problem]:
    """Clients in a namespace to which a VirtualService is not exported get default routing, silently."""
    for root in _roots(route, world):
        if "*" not in root.export_to:
            where = ", ".join(sorted(root.export_to))
            sentence = f"VirtualService {root.namespace}/{root.name} is exported to {where} only: others reach all pods, unsplit"
            yield Problem(reasons.ROUTE_UNSUITABLE, sentence)


def _unrooted(route: Route, world: World) -> Iterator[Problem]:
    """Roots often stand with their gateway, in a namespace of others: that none was seen does not say that there is none."""
    own = world.virtual_services.get(route.namespace, route.ref.name)
    if own is not None and not own.hosts and not _roots(route, world):
        seen = f"{route.title} has no hosts, and no VirtualService in the plan's namespaces delegates to it"
        yield Problem(reasons.ROUTE_UNSUITABLE, f"{seen}: only one elsewhere gives it requests")


def _mirrored(route: Route, sides: Sides) -> Iterator[Problem]:
    """Mirrored requests have no weights: they go on to the version that was named, and to nobody once it is taken down."""
    for rule in reachable(route.parsed.rules):
        if any(sides.side(host, subset) is Side.BLUE for host, subset in rule.mirrors):
            sentence = f"{rule.title} of {route.title} mirrors requests to blue, and goes on so when green serves"
            yield Problem(reasons.ROUTE_UNSUITABLE, sentence)


def _unmoved(route: Route, sides: Sides) -> Iterator[Problem]:
    """Rules to blue that the plan does not name stay on it, also when it is taken down after a success."""
    split = split_rules(route.parsed.rules, route.ref, sides)
    for rule in reachable(route.parsed.rules):
        if rule not in (*split.managed, *split.bypass) and names(rule, sides, Side.BLUE):
            yield Problem(
                reasons.ROUTE_UNSUITABLE, f"{rule.title} of {route.title} sends to blue too, and stays there: the plan does not name it"
            )


def _beside(world: World, routes: Sequence[Route], sides: Sides, *, stood: bool) -> tuple[list[Problem], list[Problem]]:
    """The same of VirtualServices that the plan does not name, such as a gateway's beside the mesh's; and those that reach green."""
    problems, warnings = [], []
    ours = {(route.namespace, route.ref.name) for route in routes}
    for other in world.virtual_services:
        title = f"VirtualService {other.namespace}/{other.name}"
        targets = [target for rule in other.http for target in rule.route if other.key not in ours]
        if loose := [target.host for target in targets if sides.reaches_all(target.host, target.subset)]:
            problems.append(Problem(reasons.BYPASS_UNLISTED, f"{title} {all_pods(loose[0], sides)}"))
        elif other.key not in ours and not stood and (green := _past_the_weights(other, sides)):
            problems.append(Problem(reasons.BYPASS_UNLISTED, f"{title} (hosts {', '.join(other.hosts) or 'of its roots'}) {green}"))
        elif any(sides.side(target.host, target.subset) is Side.BLUE for target in targets):
            sentence = f"{title} sends to blue too, and stays there: the plan does not name it"
            warnings.append(Problem(reasons.ROUTE_UNSUITABLE, sentence))
    return problems, warnings


def _past_the_weights(other: VirtualService, sides: Sides) -> str:
    """What a VirtualService beside the plan sends or mirrors to green, in words with blue's place; "" where it does not.

    After a swap it may be blue's place of before.
    Its users would meet green before it is ready, count as its share, and reach nobody once it is taken down.
    Who asks green by its own name does that with or without such rules.
    """
    places = [("sends", target) for rule in other.http for target in rule.route if target.weight or len(rule.route) == 1]
    places += [("mirrors", mirror) for rule in other.http for mirror, percent in rule.mirrors if percent]
    does, found = next(((does, one) for does, one in places if sides.side(one.host, one.subset) is Side.GREEN), ("", None))
    if found is None or (sides.mode == HOST and other.hosts and all(host == found.host for host in other.hosts)):
        return ""
    green, blue = ((found.host, found.subset), sides.place(Side.BLUE, found.host))
    where, serves = (f"{host} subset {subset}" if subset else host for host, subset in (green, blue))
    return f"{does} to {where}, whatever the weights say, and {serves} is what serves now"


def _delegation(route: Route, world: World) -> Iterator[Problem]:
    """Only one delegate is followed; a nested one drops the whole VirtualService."""
    for rule in route.parsed.rules:
        if rule.delegate is None:
            continue
        target = world.virtual_services.get(*rule.delegate)
        place = "/".join(rule.delegate)
        if target is not None and any(inner.delegate for inner in target.http):
            sentence = f"{route.title} delegates to {place}, which delegates again: Istio drops such a VirtualService"
            yield Problem(reasons.ROUTE_UNSUITABLE, sentence)
    own = world.virtual_services.get(route.namespace, route.ref.name)
    if own is not None and not own.hosts and any(rule.delegate for rule in own.http):
        yield Problem(reasons.ROUTE_UNSUITABLE, f"{route.title} is delegated to and delegates again: Istio drops such a VirtualService")


def _unsuitable(route: Route, sides: Sides) -> Iterator[Problem]:
    for host in route.parsed.other_hosts:
        if sides.pair(host):
            sentence = f"{route.title} has tcp or tls routes to {host}, which no weight of its http rules moves"
            yield Problem(reasons.ROUTE_UNSUITABLE, sentence)
    split = split_rules(route.parsed.rules, route.ref, sides)
    live = reachable(route.parsed.rules)
    for rule in (rule for rule in split.managed if rule in live):
        if names(rule, sides, Side.BLUE):
            yield from _weights(rule, route, sides)
        elif names(rule, sides, Side.GREEN):
            yield Problem(reasons.BYPASS_UNLISTED, f"{rule.title} of {route.title} sends everything to green")
        else:
            yield Problem(reasons.ROUTE_UNSUITABLE, f"{rule.title} of {route.title} sends to neither blue nor green")
    yield from _bypasses(route, split, sides)


def _bypasses(route: Route, split: Split, sides: Sides) -> Iterator[Problem]:
    for rule in split.bypass:
        if any(sides.side(target.host, target.subset) is Side.OTHER for target in rule.targets):
            sentence = f"the bypass {rule.title} of {route.title} sends to something else than blue and green"
            yield Problem(reasons.ROUTE_UNSUITABLE, sentence)
    for bypass in split.unmade:
        if not split.can_make(bypass):
            bare = "the plan names no header or cookie to make one with"
            lacking = "no rule with weights to make one beside" if bypass.can_be_made else bare
            sentence = f'{route.title} has no http rule "{bypass.route}", and {lacking}'
            yield Problem(reasons.ROUTE_MISSING, sentence)


def _weights(rule: Rule, route: Route, sides: Sides) -> Iterator[Problem]:
    if any(target.bad for target in rule.targets):
        return
    present = [target.weight for target in rule.targets if target.weight is not None]
    single = len(rule.targets) == 1
    if sum(present) != FULL and not (single and not sum(present)):
        yield Problem(reasons.ROUTE_UNSUITABLE, f"the weights of {rule.title} of {route.title} sum to {sum(present)}, expected 100")
    for side in (Side.BLUE, Side.GREEN):
        places = [target for target in rule.targets if sides.side(target.host, target.subset) is side]
        if len(places) > 1:
            yield Problem(reasons.ROUTE_UNSUITABLE, f"{rule.title} of {route.title} names {side.value} {len(places)} times")
    if sides.mode == HOST and any(target.subset for target in rule.targets):
        sentence = f"{rule.title} of {route.title} tells versions apart by host and by subset; use one of the two"
        yield Problem(reasons.ROUTE_UNSUITABLE, sentence)


def _ports(kube: Kube, route: Route, sides: Sides) -> Iterator[Problem]:
    """A destination without a port takes the listener's: 503 NC where the Service lacks it."""
    split = split_rules(route.parsed.rules, route.ref, sides)
    bare = dict.fromkeys(target.host for rule in (*split.managed, *split.bypass) for target in rule.targets if not target.has_port)
    for host in bare:
        pair = sides.pair(host)
        if pair is None:
            continue
        service = get_or_none(kube, SERVICE, *pair.service(host))
        ports = marks.items(marks.mapping((service or {}).get("spec")).get("ports"))
        if len(ports) > 1:
            sentence = f"{route.title} names no port for {host}, whose Service has {len(ports)} ports; name destination.port.number"
            yield Problem(reasons.ROUTE_UNSUITABLE, sentence)
