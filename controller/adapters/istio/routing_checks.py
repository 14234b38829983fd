"""What stands in the way of splitting a VirtualService's traffic, found before anything is touched.

Each finding names the object and the rule, and whether it must stop a release or only be said. Nothing here
knows plans or releases: the callers say which rules they want to own and which bypass rules their plan lists.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from controller.adapters.istio.routing import mesh_candidates
from controller.adapters.istio.routing_clusters import visible
from controller.adapters.istio.routing_model import MESH_GATEWAY, Destination, HttpRule, Proxy, VirtualService, World
from controller.adapters.istio.routing_rules import merged_rules, route_match

FULL_WEIGHT = 100


class Problem(StrEnum):
    """Why a split would not do what it says."""

    HOST_TAKEN = "host-taken"
    DELEGATE_TOO_DEEP = "delegate-too-deep"
    DELEGATE_ABSENT = "delegate-absent"
    BYPASS = "bypass"
    MIRROR = "mirror"
    TCP_OR_TLS = "tcp-or-tls"
    WEIGHT_SUM = "weight-sum"
    THIRD_DESTINATION = "third-destination"
    UNREACHABLE = "unreachable"
    HIDDEN = "hidden"
    PORT = "port"


WARNINGS = frozenset({Problem.HIDDEN})
"""What is only said; every other problem refuses a release."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem with its sentence; `rule` is the index in `spec.http`, None where it concerns the whole object."""

    problem: Problem
    sentence: str
    rule: int | None = None

    @property
    def refuses(self) -> bool:
        """Whether a release must not start."""
        return self.problem not in WARNINGS


@dataclass(frozen=True, slots=True)
class Split:
    """What a caller wants to own of one VirtualService.

    Attributes:
        namespace, name: the VirtualService.
        managed: indexes of the rules whose weights are shifted.
        blue, green: resolved host and subset ("" in host mode) of each colour.
        listed: indexes of the bypass rules that the plan lists.
    """

    namespace: str
    name: str
    managed: frozenset[int]
    blue: tuple[str, str]
    green: tuple[str, str]
    listed: frozenset[int] = frozenset()

    def colours(self, destinations: Iterable[Destination]) -> set[tuple[str, str]]:
        """Which of blue and green are among destinations."""
        return {(d.host, d.subset) for d in destinations} & {self.blue, self.green}


def client_namespaces(world: World) -> list[str]:
    """Every namespace that holds something of the mesh, sorted: where clients may be."""
    shelves = (world.services, world.virtual_services, world.pods, world.sidecars)
    return sorted({namespace for shelf in shelves for namespace, _ in shelf.items})


def host_winner(world: World, host: str, namespace: str) -> VirtualService | None:
    """The VirtualService that has a (resolved) host on the mesh gateway for clients of a namespace, or None."""
    return next(iter(mesh_candidates(world, Proxy("", namespace), host)), None)


def findings(world: World, split: Split) -> tuple[Finding, ...]:
    """Everything that stands in the way of a split, in the order of importance; empty where nothing does."""
    own = world.virtual_services.get(split.namespace, split.name)
    if own is None:
        return ()
    found = [*_hosts(world, own), *_delegates(world, own), *_protocols(own, split)]
    for rule in own.http:
        if rule.index in split.managed:
            found.extend(_managed(world, own, rule, split))
        else:
            found.extend(_bypasses(rule, split))
    return tuple(found)


def _said(virtual_service: VirtualService) -> str:
    return f"VirtualService {virtual_service.namespace}/{virtual_service.name}"


def _rule_said(rule: HttpRule) -> str:
    return f'http rule {rule.index} "{rule.name}"' if rule.name else f"http rule {rule.index}"


def _hosts(world: World, own: VirtualService) -> Iterator[Finding]:
    if MESH_GATEWAY not in own.gateways:
        return
    for host in own.hosts:
        taken: dict[tuple[str, str], list[str]] = {}
        hidden = []
        for namespace in client_namespaces(world):
            if not visible(own.export_to, namespace):
                hidden.append(namespace)
                continue
            winner = host_winner(world, host, namespace)
            if winner is not None and winner.key != own.key:
                taken.setdefault(winner.key, []).append(namespace)
        for (namespace, name), namespaces in taken.items():
            where = ", ".join(namespaces)
            holder = f"VirtualService {namespace}/{name}"
            sentence = f"{holder} has the host {host} for clients in {where}; {_said(own)} has no say there: nothing is merged."
            yield Finding(Problem.HOST_TAKEN, sentence)
        if hidden:
            where = ", ".join(hidden)
            yield Finding(Problem.HIDDEN, f"{_said(own)} is not exported to {where}: clients there reach all pods of {host}, unsplit.")


def _delegates(world: World, own: VirtualService) -> Iterator[Finding]:
    for rule in own.http:
        if rule.delegate is None:
            continue
        namespace, name = rule.delegate
        part = world.virtual_services.get(namespace, name)
        if part is None or not visible(part.export_to, own.namespace):
            yield Finding(
                Problem.DELEGATE_ABSENT,
                f"{_rule_said(rule)} delegates to {namespace}/{name}, which {own.namespace} does not see.",
                rule.index,
            )
        elif not merged_rules(world.virtual_services, own):
            sentence = f"{_rule_said(rule)} delegates to {namespace}/{name}, which delegates again: Istio drops the whole VirtualService."
            yield Finding(Problem.DELEGATE_TOO_DEEP, sentence, rule.index)


def _protocols(own: VirtualService, split: Split) -> Iterator[Finding]:
    if own.tls or any(split.colours(rule.route) for rule in own.tcp):
        yield Finding(Problem.TCP_OR_TLS, f"{_said(own)} has TCP or TLS routes: their connections cannot be split and judged by request.")


def _managed(world: World, own: VirtualService, rule: HttpRule, split: Split) -> Iterator[Finding]:
    foreign = [d for d in rule.route if (d.host, d.subset) not in (split.blue, split.green) and (d.weight or len(rule.route) == 1)]
    if foreign:
        names = ", ".join(f"{d.subset}@{d.host}" if d.subset else d.host for d in foreign)
        yield Finding(Problem.THIRD_DESTINATION, f"{_rule_said(rule)} also sends to {names}.", rule.index)
    weights = [d.weight or 0 for d in rule.route]
    if len(weights) > 1 and (sum(weights) != FULL_WEIGHT or min(weights) < 0):
        shown = "/".join("none" if d.weight is None else str(d.weight) for d in rule.route)
        yield Finding(Problem.WEIGHT_SUM, f"{_rule_said(rule)} has the weights {shown}, which do not sum to 100.", rule.index)
    for earlier in own.http[: rule.index]:
        if not earlier.matches or any(route_match(match).catch_all and not _narrow(match) for match in earlier.matches):
            yield Finding(
                Problem.UNREACHABLE, f"{_rule_said(rule)} stands behind {_rule_said(earlier)}, which takes everything.", rule.index
            )
            break
    for destination in rule.route:
        service = world.hosts.get(destination.host)
        if service is not None and destination.port is not None and service.port(destination.port) is None:
            yield Finding(
                Problem.PORT, f"{_rule_said(rule)} sends to port {destination.port}, which {destination.host} does not have.", rule.index
            )


def _narrow(match: object) -> bool:
    """Whether a match concerns only some listeners or sources, so that it is a catch-all for those alone."""
    return isinstance(match, dict) and any(match.get(key) for key in ("port", "gateways", "sourceLabels", "sourceNamespace"))


def _bypasses(rule: HttpRule, split: Split) -> Iterator[Finding]:
    if rule.index in split.listed:
        return
    if split.green in split.colours(d for d in rule.route if d.weight or len(rule.route) == 1):
        yield Finding(Problem.BYPASS, f"{_rule_said(rule)} sends to green past the split, and the plan does not list it.", rule.index)
    if split.green in split.colours(d for d, _ in rule.mirrors):
        yield Finding(Problem.MIRROR, f"{_rule_said(rule)} mirrors to green past the split, and the plan does not list it.", rule.index)
