"""Whether the API server serves the schema of this version: an older one silently prunes what we write.

It is asked of the server's OpenAPI document, which every authenticated user may read; the
CustomResourceDefinitions themselves are cluster-wide, and the namespaced Role has no right to them. The
server's index names the document by a hash, so that an unchanged one is not read again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from controller.adapters.marks import mapping
from controller.ports import Obj
from controller.runtime.contracts import RawReads


class ServedSchema:
    """Compares what is served with what this version needs.

    Args:
        group_version: `penstock.dev/v1alpha1`.
        wanted: the structural schema of each kind, as in its CRD.
    """

    def __init__(self, group_version: str, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        self._path, self._wanted = f"apis/{group_version}", wanted
        self._address, self._refusal = "", ""

    def refusal(self, kube: RawReads) -> str:
        """A sentence, or "" where everything that we write is kept. Raises `KubeError` where it cannot be told."""
        known = mapping(mapping(kube.raw("/openapi/v3").get("paths")).get(self._path))
        address = str(known.get("serverRelativeURL") or "")
        if not address:
            return f"The API server does not serve {self._path.removeprefix('apis/')}: run `penstock install`."
        if address != self._address:
            served = by_kind(kube.raw(address))
            self._refusal = next(filter(None, (missing(kind, schema, served.get(kind)) for kind, schema in self._wanted.items())), "")
            self._address = address
        return self._refusal


def by_kind(document: Obj) -> dict[str, Mapping[str, Any]]:
    """The schemas of an OpenAPI document by kind."""
    schemas = mapping(mapping(document.get("components")).get("schemas"))
    return {
        str(marks[0].get("kind")): schema
        for schema in schemas.values()
        if (marks := [mapping(mark) for mark in mapping(schema).get("x-kubernetes-group-version-kind") or []])
    }


def missing(kind: str, wanted: Mapping[str, Any], served: Mapping[str, Any] | None) -> str:
    """The sentence about a kind that is not served, or whose served schema lacks a field."""
    if served is None:
        return f"The API server does not serve {kind}: run `penstock install`."
    lacking = next(iter(sorted(set(fields(wanted)) - set(fields(served)))), "")
    if not lacking:
        return ""
    return f"The installed {kind} is older than this controller: it does not know {lacking}. Run `penstock install` of this version."


def fields(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The paths of all fields below `spec` and `status`; array items and map values have no step of their own."""
    for name, below in mapping(schema.get("properties")).items():
        if path or name in {"spec", "status"}:
            yield f"{path}.{name}".lstrip(".")
            yield from fields(mapping(below), f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if path and isinstance(schema.get(inner), Mapping):
            yield from fields(schema[inner], path)
    for part in schema.get("allOf") or []:
        yield from fields(mapping(part), path)
