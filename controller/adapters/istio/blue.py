"""Finding blue: the slot, or the subset, that every deciding rule sends everything to. Asked once, before the status knows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from controller.adapters.istio.rules import FULL, Rule, Target, listed_as
from controller.adapters.istio.sides import HOST, SUBSET, HostPair, names_one
from controller.api.plan import VirtualServiceRef
from controller.core import reasons
from controller.core.world import Problem


@dataclass(frozen=True, slots=True)
class Serving:
    """What the weights say. In host mode `slot` is blue's, in subset mode `subset` is; `problem` where neither can be told."""

    mode: str = ""
    slot: int = -1
    subset: str = ""
    problem: Problem | None = None


def find_blue(routes: Sequence[tuple[VirtualServiceRef, Sequence[Rule]]], pairs: Sequence[HostPair]) -> Serving:
    """Blue by the weights of all VirtualServices together."""
    slots = {host: slot for pair in pairs for slot, host in enumerate(pair.hosts)}
    deciding = [rule for ref, rules in routes for rule in _deciding(rules, ref, pairs)]
    if not deciding:
        return Serving(problem=Problem(reasons.ROUTE_UNSUITABLE, _elsewhere(routes, pairs)))
    subsets = {bool(target.subset) for rule in deciding for target in rule.targets if names_one(target.host, target.subset, pairs)}
    if subsets == {True, False}:
        sentence = "some destinations of the plan's hosts name a subset and some do not; name one on all, or on none"
        return Serving(problem=Problem(reasons.ROUTE_UNSUITABLE, sentence))
    mode = SUBSET if subsets == {True} else HOST
    found: set[str | int] = set()
    for rule in deciding:
        shares = _shares(rule, pairs, {} if mode == SUBSET else slots)
        full = [key for key, share in shares.items() if share == FULL]
        if len(full) != 1 or any(share for key, share in shares.items() if key != full[0]):
            return Serving(mode, problem=Problem(reasons.BLUE_UNKNOWN, _shared(rule, shares, pairs)))
        found.add(full[0])
    if len(found) > 1:
        words = " and ".join(sorted(_word(key, pairs) for key in found))
        return Serving(mode, problem=Problem(reasons.BLUE_UNKNOWN, f"the rules do not agree, they send everything to {words}"))
    key = found.pop()
    return Serving(mode, subset=key) if isinstance(key, str) else Serving(mode, slot=key)


def _elsewhere(routes: Sequence[tuple[VirtualServiceRef, Sequence[Rule]]], pairs: Sequence[HostPair]) -> str:
    """Where the rules send requests instead of to a version of the plan, and what to write so that they mean one."""
    absent = [f'"{name}"' for ref, rules in routes for name in ref.routes if name not in {rule.name for rule in rules}]
    if absent:
        return f"there is no http rule {' and none '.join(absent)}"
    nowhere = f"no http rule sends to one of {', '.join(host for pair in pairs for host in pair.hosts)}"
    targets = (target for _, rules in routes for rule in rules for target in rule.targets)
    hosts = dict.fromkeys(target.host for target in targets if target.host and not names_one(target.host, target.subset, pairs))
    if not hosts:
        return nowhere
    nowhere = f"{nowhere}; they send to {', '.join(hosts)}"
    if both := next((pair.shared_host for pair in pairs if pair.shared_host in hosts), ""):
        return f"{nowhere}, and {both} without a subset means all pods behind it: name the subset of the version that serves"
    pair, (host, *more) = pairs[0], hosts
    name, _, namespace = host.partition(".")
    if more or len(pairs) > 1 or not namespace.startswith(f"{pair.shared_service[0]}."):
        return f"{nowhere}: name the Service of each member in the plan (service), and the slots' namespaces or suffixes"
    return f"{nowhere}: if that is the Service of member {pair.member}, say so in the plan (members, service: {name})"


def _shares(rule: Rule, pairs: Sequence[HostPair], slots: Mapping[str, int]) -> dict[str | int, int | None]:
    """What each version gets: by slot where a host stands in one, else by subset."""

    def version(target: Target) -> str | int:
        return slots.get(target.host, target.subset)

    def is_version(target: Target, key: str | int) -> bool:
        return names_one(target.host, target.subset, pairs) and key == version(target)

    keys = dict.fromkeys(version(target) for target in rule.targets if names_one(target.host, target.subset, pairs))
    return {key: rule.percent(partial(is_version, key=key)) for key in keys}


def _shared(rule: Rule, shares: Mapping[str | int, int | None], pairs: Sequence[HostPair]) -> str:
    """Whom a rule sends what, where no version has everything: others' destinations too, and a sum that is not 100."""
    parts = [f"{'no usable weight' if share is None else f'{share} %'} to {_word(key, pairs)}" for key, share in shares.items()]
    others = [target for target in rule.targets if not names_one(target.host, target.subset, pairs) and (target.weight or target.bad)]
    parts += [f"{target.weight} to {target.host}, which is neither blue nor green" for target in others]
    total = sum(target.weight or 0 for target in rule.targets)
    written = f" (its weights sum to {total}, expected {FULL})" if total not in {0, FULL} and len(rule.targets) > 1 else ""
    return f"{rule.title} sends {' and '.join(parts)}{written}"


def _word(key: str | int, pairs: Sequence[HostPair]) -> str:
    return f"subset {key}" if isinstance(key, str) else pairs[0].hosts[key]


def _deciding(rules: Sequence[Rule], ref: VirtualServiceRef, pairs: Sequence[HostPair]) -> Sequence[Rule]:
    """The rules that tell who serves: the named ones; else those that name two versions; else the catch-all; else all."""
    ours = [
        rule
        for rule in rules
        if listed_as(rule, ref) is None and any(names_one(target.host, target.subset, pairs) for target in rule.targets)
    ]
    if ref.routes:
        return [rule for rule in ours if rule.name in ref.routes]
    end = next((rule.index for rule in rules if rule.catch_all), len(rules))
    live = [rule for rule in ours if rule.index <= end]
    both = [rule for rule in live if len({(t.host, t.subset) for t in rule.targets if names_one(t.host, t.subset, pairs)}) > 1]
    return both or [rule for rule in live if rule.catch_all] or live
