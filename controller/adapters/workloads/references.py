"""What a pod template refers to by name in its namespace, and whether it is there. Reads only.

A right that is missing is no proof that an object is: it becomes a warning, since the default installation has
no verb on Secrets.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from controller.adapters import marks
from controller.adapters.workloads.places import dig, digest, find, text
from controller.api.plan import Member
from controller.core import reasons
from controller.core.world import MemberView, Problem
from controller.ports import CONFIG_MAP, PVC, SECRET, SERVICE_ACCOUNT, Kind, Kube, NotFoundError, Obj, RefusedError

FORBIDDEN = 403


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A name that a pod needs in its namespace before it can start."""

    kind: str
    name: str


KINDS: dict[str, Kind] = {kind.kind: kind for kind in (CONFIG_MAP, SECRET, SERVICE_ACCOUNT, PVC)}


def references(template: Obj) -> list[Reference]:
    """Everything that is not optional, once each, sorted. The ServiceAccount `default` is in every namespace."""
    spec = dig(template, "spec")
    found = {Reference("Secret", text(one, "name")) for one in marks.items(dig(spec, "imagePullSecrets"))}
    account = text(spec, "serviceAccountName") or text(spec, "serviceAccount")
    if account and account != "default":
        found.add(Reference("ServiceAccount", account))
    for volume in marks.items(dig(spec, "volumes")):
        found.update(_of_volume(volume))
    for key in ("initContainers", "containers"):
        for container in marks.items(dig(spec, key)):
            found.update(_of_container(container))
    return sorted(reference for reference in found if reference.name)


_SOURCES: dict[str, tuple[str, ...]] = {
    "configMap": ("name",), "configMapRef": ("name",), "configMapKeyRef": ("name",),
    "secret": ("secretName", "name"), "secretRef": ("name",), "secretKeyRef": ("name",), "nodePublishSecretRef": ("name",),
}  # fmt: skip
"""Where a pod's spec names a ConfigMap or a Secret: the field, and under which of its fields the name stands."""


def renamed(spec: Obj, names: Mapping[str, str]) -> Obj:
    """A pod's spec that refers to other ConfigMaps and Secrets: by old name the new one."""
    if not names:
        return spec
    changed = {key: _renamed(key, value, names) for key, value in spec.items()}
    pulls = [{**one, "name": names.get(text(one, "name"), one.get("name"))} for one in marks.items(spec.get("imagePullSecrets"))]
    return {**changed, **({"imagePullSecrets": pulls} if pulls else {})}


def _renamed(key: str, value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed("", one, names) for one in value]
    if not isinstance(value, dict):
        return value
    fields = _SOURCES.get(key, ())
    return {
        inner: names.get(part, part) if inner in fields and isinstance(part, str) else _renamed(inner, part, names)
        for inner, part in value.items()
    }


def config_maps(template: Obj) -> tuple[str, ...]:
    """Names of the ConfigMaps that a pod needs, sorted."""
    return tuple(one.name for one in references(template) if one.kind == CONFIG_MAP.kind)


def contents(kube: Kube, members: Iterable[MemberView]) -> dict[str, str]:
    """Digests of the ConfigMaps that both versions need, by namespace and name; "" for one that is not there. Those that may be read."""
    wanted = sorted({(view.namespace, name) for m in members for view in (m.blue, m.green) for name in view.config_maps})
    found = {}
    for namespace, name in wanted:
        with suppress(RefusedError):
            config = find(kube, CONFIG_MAP, namespace, name)
            found[f"{namespace}/{name}"] = digest([config.get("data"), config.get("binaryData")]) if config is not None else ""
    return found


_HASH = re.compile(r"-[bcdfghkmt2456789]{10}")
"""What kustomize appends to the name of a ConfigMap that it generates; it changes with the content."""


def brought_along(member: Member, *deployments: Obj | None) -> list[tuple[Kind, str]]:
    """The objects that a member brings along into another namespace, by the names that its pods use.

    A plan names a generated ConfigMap without the hash: which one it is, the first Deployment says that is there. Secrets are named in
    full, as are the rights on them.
    """
    pods = next((dig(one, "spec", "template") for one in deployments if one is not None), None)
    used = config_maps(marks.mapping(pods))
    named: list[str] = []
    for name in member.config_maps:
        hashed = [one for one in used if one.startswith(name) and _HASH.fullmatch(one[len(name) :])]
        named += [name] if name in used else hashed or [name]
    return [*((CONFIG_MAP, name) for name in named), *((SECRET, name) for name in member.secrets)]


def _of_volume(volume: Obj) -> Iterator[Reference]:
    sources = [volume, *marks.items(dig(volume, "projected", "sources"))]
    for source in sources:
        if _needed(dig(source, "configMap")):
            yield Reference("ConfigMap", text(source, "configMap", "name"))
        if _needed(dig(source, "secret")):
            yield Reference("Secret", text(source, "secret", "secretName") or text(source, "secret", "name"))
    yield Reference("PersistentVolumeClaim", text(volume, "persistentVolumeClaim", "claimName"))
    yield Reference("Secret", text(volume, "csi", "nodePublishSecretRef", "name"))


def _of_container(container: Obj) -> Iterator[Reference]:
    for entry in marks.items(dig(container, "env")):
        if _needed(dig(entry, "valueFrom", "configMapKeyRef")):
            yield Reference("ConfigMap", text(entry, "valueFrom", "configMapKeyRef", "name"))
        if _needed(dig(entry, "valueFrom", "secretKeyRef")):
            yield Reference("Secret", text(entry, "valueFrom", "secretKeyRef", "name"))
    for entry in marks.items(dig(container, "envFrom")):
        if _needed(dig(entry, "configMapRef")):
            yield Reference("ConfigMap", text(entry, "configMapRef", "name"))
        if _needed(dig(entry, "secretRef")):
            yield Reference("Secret", text(entry, "secretRef", "name"))


def _needed(source: object) -> bool:
    return bool(marks.mapping(source)) and marks.mapping(source).get("optional") is not True


def check(kube: Kube, kind: Kind, namespace: str, name: str, *, who: str) -> tuple[Obj | None, Problem | None, Problem | None]:
    """The object, the problem where it is missing, the warning where it could not be looked for.

    Raises the `KubeError`s that say nothing about the object (a server that is down).
    """
    try:
        return kube.get(kind, namespace, name), None, None
    except NotFoundError:
        return None, Problem(reasons.REFERENCE_MISSING, f"{who} needs {kind.kind} {namespace}/{name}, which does not exist."), None
    except RefusedError as refusal:
        if refusal.code != FORBIDDEN:
            raise
        detail = f"read {kind.kind} {namespace}/{name}, so it could not be checked that it exists; {who} needs it."
        return None, None, Problem(reasons.RIGHTS_MISSING, detail)
