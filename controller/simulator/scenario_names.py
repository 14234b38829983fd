"""Whether a scenario's files fit together: its objects can be loaded, and everything that it names is there.

A misspelled target would let a fault hit nothing, and the story would end well for the wrong reason. Used by
`penstock validate`, and so by `penstock simulate` before anything runs.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controller.api.base import shown
from controller.api.plan import PlanSpec
from controller.api.validate import there
from controller.core.reasons import REASONS
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.definitions import WorldError, all_definitions, load_objects
from controller.simulator.forms import ingress_labels, with_namespaces

Note = tuple[tuple[str | int, ...], str, str, str]
"""Path in the scenario, what was found, what was expected, what to do."""

SLOTTED = ("Deployment", "Service", "HorizontalPodAutoscaler", "DestinationRule")
"""Kinds of which a release makes green's own beside blue's."""

_LISTED = 8


@dataclass(frozen=True, slots=True)
class Known:
    """What a scenario can name.

    Attributes:
        objects: `namespace/name` by kind, those that a release makes included.
        workloads: names of Deployments, of both versions.
        releases: names of the releases that are started.
        plans: names of the plans.
        hosts: what users can ask for; those of routes may have wildcards.
        ports: of the Services that have a name.
        selectors: of the Gateways: labels of the proxies that they are for.
    """

    objects: Mapping[str, frozenset[str]]
    workloads: frozenset[str]
    releases: frozenset[str]
    plans: frozenset[str]
    hosts: frozenset[str]
    ports: Mapping[str, frozenset[int]]
    selectors: tuple[Mapping[str, str], ...]


def notes(data: Mapping[str, Any], own: Mapping[str, Any], folder: Path) -> Iterator[Note]:
    """Everything that does not fit.

    Args:
        data: the scenario on top of its base, as JSON.
        own: what stands in its own file; patterns are looked at there alone, because a base has those of other stories too.
        folder: where its files are.
    """
    objects: list[dict[str, Any]] = []
    for word, default in (("world", "world.yaml"), ("plan", "plan.yaml")):
        name = data.get(word, default)
        if not isinstance(name, str) or not there(folder / name):
            return  # said elsewhere
        try:
            objects += load_objects(folder / name)
        except WorldError as error:
            yield (word,), f"{shown(name)}, which cannot be read: {error}", "a file of Kubernetes objects", ""
            return
    if not any(one["kind"] == "ReleasePlan" for one in objects):
        yield ("plan",), f"{shown(data.get('plan', 'plan.yaml'))} without a ReleasePlan", "a file with one", "name the file of the plan"
        return
    refused = refusal(objects)
    if refused:
        yield ("world",), f"an object that the API server refuses: {refused}", "objects that it takes", ""
        return
    known = known_names(data, objects)
    yield from _users(data, known)
    yield from _faults(data, known)
    yield from _people(data, known)
    yield from _patterns(own, known)
    yield from _expected(data)


def refusal(objects: Iterable[dict[str, Any]]) -> str:
    """What an API server says against the first object that it does not take; "" where it takes all."""
    server = ApiServer(lambda: 0.0)
    server.load(all_definitions())
    for one in with_namespaces(objects):
        try:
            server.load([one])
        except ApiError as error:
            return f"{one['kind']} {one['metadata'].get('namespace', 'default')}/{one['metadata']['name']}: {error}"
    return ""


def known_names(data: Mapping[str, Any], objects: list[dict[str, Any]]) -> Known:
    """What the scenario's files have, and what its releases are going to make."""
    plans = [one for one in objects if one["kind"] == "ReleasePlan"]
    home = plans[0]["metadata"].get("namespace", "default")
    found: dict[str, set[str]] = {}
    for one in objects:
        found.setdefault(one["kind"], set()).add(f"{one['metadata'].get('namespace', 'default')}/{one['metadata']['name']}")
    specs = [_spec(plan) for plan in plans]
    for kind in SLOTTED:
        names = {place.partition("/")[2] for place in found.get(kind, ())}
        made = {place for spec in specs if spec is not None for name in names for place in _beside(name, spec, home)}
        found.setdefault(kind, set()).update(made)
    releases = {_release_name(data, plans[0]["metadata"]["name"])} | {
        act["release"] for act in _rows(data, "people") if act.get("verb") == "start" and isinstance(act.get("release"), str)
    }
    found["Release"] = {f"{home}/{name}" for name in releases}
    return Known(
        objects={kind: frozenset(places) for kind, places in found.items()},
        workloads=frozenset(place.partition("/")[2] for place in found.get("Deployment", ())),
        releases=frozenset(releases),
        plans=frozenset(plan["metadata"]["name"] for plan in plans),
        hosts=frozenset(_hosts(objects)),
        ports=_ports(objects),
        selectors=tuple((one.get("spec") or {}).get("selector") or {} for one in objects if one["kind"] == "Gateway"),
    )


def _beside(name: str, spec: PlanSpec, home: str) -> Iterator[str]:
    """Where an object of this name stands in each slot, by the slot whose suffix it carries; nowhere where it carries none of them."""
    own = max((slot.suffix for slot in spec.slots if name.endswith(slot.suffix)), key=len, default=None)
    if own is not None:
        yield from (f"{slot.namespace or home}/{name.removesuffix(own)}{slot.suffix}" for slot in spec.slots)


def _hosts(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Hosts of routes and entries as they are written, and every name of a Service."""
    for one in objects:
        spec, meta = one.get("spec"), one["metadata"]
        if one["kind"] in ("VirtualService", "ServiceEntry") and isinstance(spec, Mapping) and isinstance(spec.get("hosts"), list):
            yield from map(str, spec["hosts"])
        if one["kind"] == "Service":
            yield from _names_of(meta)


def _names_of(service: Mapping[str, Any]) -> tuple[str, ...]:
    """Every name of a Service, by its metadata."""
    name = f"{service['name']}.{service.get('namespace', 'default')}"
    return service["name"], name, f"{name}.svc", f"{name}.svc.cluster.local"


def _ports(objects: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[int]]:
    """The ports of Services, by each of their names."""
    found: dict[str, frozenset[int]] = {}
    for one in objects:
        listed = one["spec"].get("ports") if one["kind"] == "Service" and isinstance(one.get("spec"), Mapping) else None
        ports = frozenset(port["port"] for port in listed or () if isinstance(port, Mapping) and isinstance(port.get("port"), int))
        for name in _names_of(one["metadata"]) if ports else ():
            found[name] = found.get(name, frozenset()) | ports
    return found


def _spec(plan: Mapping[str, Any]) -> PlanSpec | None:
    """The plan with its defaults; None where it is not valid, which may be what the scenario shows."""
    try:
        return PlanSpec.model_validate(plan.get("spec") or {})
    except ValidationError:
        return None


def _release_name(data: Mapping[str, Any], plan: str) -> str:
    """As the runner names the scenario's release."""
    release = data.get("release")
    given: Mapping[str, Any] = release if isinstance(release, Mapping) else {}
    return str(given.get("name") or f"{plan}-{given.get('revision', 'v2')}")


def _rows(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    listed = data.get(name)
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _users(data: Mapping[str, Any], known: Known) -> Iterator[Note]:
    proxies: dict[str, tuple[object, ...]] = {}
    for index, one in enumerate(_rows(data, "users")):
        name, proxy = str(one.get("name", "users")), (one.get("gateway", ""), one.get("namespace", "clients"), one.get("delay", 0))
        if proxies.setdefault(name, proxy) != proxy:
            expected = "one proxy a name: the same gateway, namespace and delay"
            yield ("users", index), f"users {shown(name)} behind another proxy", expected, "give them a name of their own"
        through = one.get("gateway")
        if isinstance(through, str) and through and not any(each.items() <= ingress_labels(through).items() for each in known.selectors):
            expected = f"a proxy that a Gateway of the world is for: {_list(each.get('istio', 'any') for each in known.selectors)}"
            hint = "name the ingress proxy, by what its label `istio` says, and not the Gateway"
            yield ("users", index, "gateway"), shown(through), expected, hint
        host = one.get("host")
        if isinstance(host, str) and not any(fnmatchcase(host, pattern) for pattern in known.hosts):
            yield ("users", index, "host"), shown(host), f"a host of the world: {_list(known.hosts)}", "nobody answers there"
        ports, port = known.ports.get(str(host), frozenset()), one.get("port", 80)
        if ports and port not in ports and not one.get("gateway"):
            expected = f"a port of that Service: {', '.join(map(str, sorted(ports)))}"
            yield ("users", index, "port"), shown(port), expected, "no route is for another port, and nobody answers there"


def _faults(data: Mapping[str, Any], known: Known) -> Iterator[Note]:
    for index, fault in enumerate(_rows(data, "faults")):
        target = fault.get("target")
        if not isinstance(target, str) or " " not in target:
            continue  # its form is the model's matter
        kind, _, place = target.partition(" ")
        there = known.objects.get(kind, frozenset())
        if place not in there:
            expected = f"an object that is there: {_list(f'{kind} {one}' for one in there)}"
            yield ("faults", index, "target"), shown(target), expected, "with another name the fault hits nothing"


def _people(data: Mapping[str, Any], known: Known) -> Iterator[Note]:
    for index, act in enumerate(_rows(data, "people")):
        for word, names, what in (
            ("release", known.releases, "a release"), ("plan", known.plans, "a plan"), ("reverseOf", known.releases, "a release"),
        ):  # fmt: skip
            name = act.get(word)
            if isinstance(name, str) and name and name not in names:
                yield ("people", index, word), shown(name), f"{what} of this scenario: {_list(names)}", "correct the name"


def _patterns(own: Mapping[str, Any], known: Known) -> Iterator[Note]:
    for section in ("versions", "pods", "metrics"):
        for index, one in enumerate(_rows(own, section)):
            pattern = one.get("workload")
            if isinstance(pattern, str) and not any(fnmatchcase(name, pattern) for name in known.workloads):
                expected = f"a pattern of a workload that is there: {_list(known.workloads)}"
                yield (section, index, "workload"), shown(pattern), expected, "it covers nothing"


def _expected(data: Mapping[str, Any]) -> Iterator[Note]:
    wanted = data.get("expect")
    if not isinstance(wanted, Mapping):
        return
    reason = wanted.get("reason")
    if isinstance(reason, str) and reason and reason not in REASONS:
        yield ("expect", "reason"), shown(reason), "a word of `penstock help reasons`", "no release ever has that reason"


def _list(names: Iterable[str]) -> str:
    """Names for a sentence, few of them."""
    listed = sorted(names)
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"{', '.join(listed[:_LISTED])}{more}" if listed else "none"
