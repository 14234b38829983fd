"""The http rules of a stored VirtualService, read tolerantly, and which of them a release moves.

Unlike `routing_parse`, which reads what istiod accepted, this reads what may be garbage: what cannot be
understood becomes a sentence, never an exception. Shares are those that Istio would give (measured): weight
over sum; one of several without a weight counts as 0; a single destination has everything; all 0 is no route at all.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controller.adapters.istio.sides import Side, Sides, resolve_host
from controller.adapters.marks import items, mapping, metadata
from controller.api.plan import Bypass, VirtualServiceRef
from controller.ports import Obj

FULL = 100


@dataclass(frozen=True, slots=True)
class Target:
    """One destination of a rule.

    Attributes:
        index: position in the rule's `route`.
        host: resolved as Istio does; `raw_host` as it stands there.
        weight: None where none was written.
        bad: the weight is no number that Istio could use.
    """

    index: int
    host: str
    raw_host: Any
    subset: str
    has_port: bool
    weight: int | None
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `spec.http`.

    Attributes:
        catch_all: it matches every request.
        headers: for each of its match blocks, the headers (name, exact value) that it asks for.
    """

    index: int
    name: str
    targets: tuple[Target, ...]
    catch_all: bool
    delegate: tuple[str, str] | None
    mirrors: tuple[tuple[str, str], ...]
    headers: tuple[frozenset[tuple[str, str]], ...] = ()

    @property
    def title(self) -> str:
        """The rule's name, or its place."""
        return f'rule "{self.name}"' if self.name else f"http rule {self.index}"

    def percent(self, wanted: Callable[[Target], bool]) -> int | None:
        """Share of the wanted destinations, percent, rounded up; None where Istio would not use the rule's weights."""
        if any(target.bad for target in self.targets):
            return None
        if len(self.targets) == 1:
            return FULL if wanted(self.targets[0]) else 0
        total = sum(target.weight or 0 for target in self.targets)
        if total <= 0:
            return None
        return -(-FULL * sum(target.weight or 0 for target in self.targets if wanted(target)) // total)


@dataclass(frozen=True, slots=True)
class ParsedRoutes:
    """All rules of one VirtualService.

    Attributes:
        other_hosts: hosts of its tcp and tls routes.
        garbage: what could not be understood, as sentences.
    """

    rules: tuple[Rule, ...] = ()
    other_hosts: tuple[str, ...] = ()
    garbage: tuple[str, ...] = ()


def parse_rules(obj: Obj, cluster_domain: str) -> ParsedRoutes:
    """Read `spec.http` of whatever stands there."""
    spec, namespace = obj.get("spec"), str(metadata(obj).get("namespace", ""))
    if not isinstance(spec, dict):
        return ParsedRoutes(garbage=(f"spec is {_kind(spec)}, expected an object",))
    http = spec.get("http")
    if http is not None and not isinstance(http, list):
        return ParsedRoutes(garbage=(f"spec.http is {_kind(http)}, expected a list",))
    garbage: list[str] = []
    rules = tuple(_rule(i, raw, namespace, cluster_domain, garbage) for i, raw in enumerate(http or ()))
    return ParsedRoutes(rules, tuple(_other_hosts(spec, namespace, cluster_domain)), tuple(garbage))


def _kind(value: Any) -> str:
    kind = type(value).__name__
    return {"NoneType": "missing", "str": "a text", "list": "a list", "dict": "an object", "int": "a number"}.get(kind, kind)


def _resolve(host: Any, namespace: str, cluster_domain: str) -> str:
    return resolve_host(host, namespace, cluster_domain) if isinstance(host, str) else ""


def _other_hosts(spec: Obj, namespace: str, cluster_domain: str) -> Iterable[str]:
    for protocol in ("tcp", "tls"):
        for rule in items(spec.get(protocol)):
            for entry in items(mapping(rule).get("route")):
                yield _resolve(mapping(mapping(entry).get("destination")).get("host"), namespace, cluster_domain)


def _rule(index: int, raw: Any, namespace: str, cluster_domain: str, garbage: list[str]) -> Rule:
    where = f"http rule {index}"
    if not isinstance(raw, dict):
        garbage.append(f"{where} is {_kind(raw)}, expected an object")
        return Rule(index, "", (), catch_all=False, delegate=None, mirrors=())
    name = raw.get("name")
    route = raw.get("route")
    if route is not None and not isinstance(route, list):
        garbage.append(f"{where} has a route that is {_kind(route)}, expected a list")
    targets = tuple(_target(i, entry, where, namespace, cluster_domain, garbage) for i, entry in enumerate(items(route)))
    to = mapping(raw.get("delegate"))
    raw_mirrors = [raw.get("mirror"), *(mapping(entry).get("destination") for entry in items(raw.get("mirrors")))]
    mirrors = [mapping(mirror) for mirror in raw_mirrors if mirror]
    return Rule(
        index,
        name if isinstance(name, str) else "",
        targets,
        catch_all=_catch_all(raw.get("match")),
        delegate=(str(to.get("namespace") or namespace), str(to.get("name", ""))) if to else None,
        mirrors=tuple((_resolve(mirror.get("host"), namespace, cluster_domain), str(mirror.get("subset") or "")) for mirror in mirrors),
        headers=tuple(_exact_headers(block) for block in items(raw.get("match"))),
    )


def _exact_headers(block: Any) -> frozenset[tuple[str, str]]:
    found = ((str(name).lower(), mapping(condition).get("exact")) for name, condition in mapping(mapping(block).get("headers")).items())
    return frozenset((name, value) for name, value in found if isinstance(value, str))


def _catch_all(match: Any) -> bool:
    """Rules after a catch-all are dropped by istiod; `prefix: /` is one."""
    if not match:
        return True
    blocks = ({key: value for key, value in mapping(block).items() if key != "name"} for block in items(match))
    return any(block in ({}, {"uri": {"prefix": "/"}}) for block in blocks)


def _target(  # noqa: PLR0917 - one call, in the order in which a sentence names them
    index: int, raw: Any, where: str, namespace: str, cluster_domain: str, garbage: list[str]
) -> Target:
    entry = mapping(raw)
    destination = mapping(entry.get("destination"))
    host, weight, subset = destination.get("host"), entry.get("weight"), destination.get("subset")
    if not isinstance(host, str) or not host:
        garbage.append(f"{where}, destination {index} names no host")
    bad = weight is not None and (not isinstance(weight, int) or isinstance(weight, bool) or weight < 0)
    if bad:
        garbage.append(f"{where}, destination {index} has the weight {weight!r}, expected a whole number from 0 to 100")
    return Target(
        index,
        _resolve(host, namespace, cluster_domain),
        host,
        subset if isinstance(subset, str) else "",
        has_port=bool(mapping(destination.get("port")).get("number")),
        weight=None if bad else weight,
        bad=bad,
    )


@dataclass(frozen=True, slots=True)
class Split:
    """The rules of one VirtualService by what the release does with them.

    Attributes:
        managed: their weights are moved.
        bypass: listed ones, switched from one side to the other.
        leaks: rules outside the plan that name green.
        missing: rules that the plan names and that are not there; `unmade` are listed bypass rules of that sort.
    """

    managed: tuple[Rule, ...] = ()
    bypass: tuple[Rule, ...] = ()
    leaks: tuple[Rule, ...] = ()
    missing: tuple[str, ...] = ()
    unmade: tuple[Bypass, ...] = ()

    @property
    def bypass_only(self) -> bool:
        """Whether it has listed bypass rules alone: there are no weights to move."""
        return bool(self.bypass or self.unmade) and not (self.managed or self.missing)

    def green_weight(self, sides: Sides) -> int:
        """Highest share of green over the managed rules; where the weights mean nothing, everything is assumed."""
        rules = [rule for rule in self.managed if names(rule, sides, Side.GREEN)]
        shares = [rule.percent(lambda t: sides.side(t.host, t.subset) is Side.GREEN) for rule in rules]
        return max((FULL if share is None else share for share in shares), default=0)

    def blue_only(self, sides: Sides) -> bool:
        """Whether every managed and every listed bypass rule sends everything to blue."""
        return all(rule.percent(lambda t: sides.side(t.host, t.subset) is not Side.BLUE) == 0 for rule in (*self.managed, *self.bypass))

    def void(self, sides: Sides) -> bool:
        """Whether a managed rule that names green has no weight above 0: to Istio it is not there, and all pods get its requests."""
        rules = [rule for rule in self.managed if names(rule, sides, Side.GREEN) and len(rule.targets) > 1]
        return any(not any(target.bad or target.weight for target in rule.targets) for rule in rules)

    def has_green(self, sides: Sides) -> bool:
        """Whether every managed rule names both sides, once each."""
        return all(count(rule, sides, Side.BLUE) == 1 == count(rule, sides, Side.GREEN) for rule in self.managed)

    def aside(self, sides: Sides) -> bool:
        """Whether a managed rule names blue alone where another one names green."""
        with_green = [names(rule, sides, Side.GREEN) for rule in self.managed]
        return any(with_green) and not all(with_green)

    def bypass_green(self, sides: Sides) -> bool:
        """Whether some listed bypass rule sends anything to green."""
        return any(rule.percent(lambda t: sides.side(t.host, t.subset) is Side.GREEN) != 0 for rule in self.bypass)

    def bypass_stale(self, sides: Sides, weight: int) -> bool:
        """Whether green has this weight, and a listed bypass rule is missing or does not send everything to green."""
        if weight == 0:
            return False
        return any(self.can_make(bypass) for bypass in self.unmade) or any(
            rule.percent(lambda t: sides.side(t.host, t.subset) is not Side.GREEN) != 0 for rule in self.bypass
        )

    def can_make(self, bypass: Bypass) -> bool:
        """Whether a listed bypass rule that is not there can be put in front of a managed one."""
        return bypass.can_be_made and bool(self.managed)


def count(rule: Rule, sides: Sides, side: Side) -> int:
    """How many destinations of a rule are of that side."""
    return sum(sides.side(target.host, target.subset) is side for target in rule.targets)


def names(rule: Rule, sides: Sides, side: Side) -> bool:
    """Whether a rule names that side, with or without weight."""
    return count(rule, sides, side) > 0


def reachable(rules: Sequence[Rule]) -> Sequence[Rule]:
    """The rules up to the first catch-all; istiod drops the others."""
    end = next((rule.index for rule in rules if rule.catch_all), len(rules))
    return [rule for rule in rules if rule.index <= end]


def dropped(rule: Rule, title: str) -> str:
    """What becomes of a rule that is not reachable, in words."""
    return f"{rule.title} of {title} stands behind a catch-all, so Istio drops it"


def all_pods(host: str, sides: Sides) -> str:
    """What a destination without a subset does, in words."""
    return (
        f"sends to {host} without a subset, which is to green's pods too, whatever the weights say; name subset {sides.blue_subset} there"
    )


def split_rules(rules: Sequence[Rule], ref: VirtualServiceRef, sides: Sides) -> Split:
    """Sort the rules. Without names in the plan, every reachable rule that sends to blue or green is managed.

    So is one behind a catch-all that names both: a release has opened it, and its weights count again once it stands in front.
    """
    listed = {rule.index: entry for rule in rules if rule.targets and (entry := listed_as(rule, ref))}
    bypass = tuple(rule for rule in rules if rule.index in listed)
    unmade = tuple(entry for entry in ref.bypass if entry not in listed.values())
    others = [rule for rule in rules if rule.index not in listed and rule.targets]
    ours = [rule for rule in others if names(rule, sides, Side.BLUE) or names(rule, sides, Side.GREEN)]
    if not ref.routes:
        live = reachable(rules)
        kept = (rule for rule in ours if rule in live or (names(rule, sides, Side.BLUE) and names(rule, sides, Side.GREEN)))
        return Split(tuple(kept), bypass, unmade=unmade)
    managed = tuple(rule for rule in others if rule.name in ref.routes)
    leaks = tuple(rule for rule in ours if rule.name not in ref.routes and names(rule, sides, Side.GREEN))
    present = {rule.name for rule in managed}
    return Split(managed, bypass, leaks, tuple(name for name in ref.routes if name not in present), unmade)


def listed_as(rule: Rule, ref: VirtualServiceRef) -> Bypass | None:
    """The entry of the plan that lists a bypass rule: by its name; an unnamed one by the header that all its matches ask for."""
    for bypass in ref.bypass:
        wanted = ((bypass.header or "").lower(), bypass.value)
        alike = bypass.header is not None and not rule.name and rule.headers and all(wanted in block for block in rule.headers)
        if rule.name == bypass.route or alike:
            return bypass
    return None
