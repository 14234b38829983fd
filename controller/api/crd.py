"""The CustomResourceDefinitions, generated from the pydantic models: structural, described, with CEL rules.

`python -m controller.api.crd` writes `manifests/crds/`; a test fails where they differ. Kubernetes wants
one type a node, no `$ref` and no `null`: references are inlined, optional fields are simply not
required. Defaults are not stored by the API server, so that a plan stays as short as its author
wrote it; they stand in the descriptions.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from controller.api.base import DURATION_PATTERN, EPOCH_LEAP, GROUP, NAME_LENGTH, VERSION, format_duration
from controller.api.plan import PlanSpec, PlanStatus
from controller.api.release import ReleaseSpec, ReleaseStatus, RequestSpec, RequestStatus

Schema = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "manifests" / "crds"

# Each place and the next one, written out: Kubernetes 1.28 takes what `map` makes for endless, and refuses `isSorted` of it as too costly.
PLACES = list(range(next(bound.max_length for bound in PlanSpec.model_fields["stages"].metadata if hasattr(bound, "max_length")) - 1))
RISING = f"{PLACES}.all(i, i + 1 >= size(self.stages) || self.stages[i].weight < self.stages[i + 1].weight)"

PLAN_RULES = [
    ("has(self.workload) || (has(self.members) && size(self.members) > 0)", "name a workload, or members"),
    (
        "has(self.traffic.virtualService) || (has(self.traffic.virtualServices) && size(self.traffic.virtualServices) > 0)",
        "traffic: name a virtualService, or virtualServices",
    ),
    (f"!has(self.stages) || {RISING}", "stages: weights must rise strictly"),
    ("!has(self.stages) || self.stages[size(self.stages) - 1].weight == 100", "stages: the last weight must be 100"),
]
SEQUENTIAL = "(has(self.method) && self.method == 'sequential')"
COUNTED = "(has(self.builtin) && (self.builtin == 'error-rate' || self.builtin == 'latency'))"
GAUGE = "(has(self.query) || (has(self.builtin) && (self.builtin == 'cpu' || self.builtin == 'memory')))"
CHECK_RULES = [
    (
        "[has(self.builtin), has(self.query), has(self.counters), has(self.kayenta)].exists_one(x, x)",
        "give one of builtin, query, counters and kayenta",
    ),
    ("has(self.kayenta) == (has(self.method) && self.method == 'kayenta')", "method: kayenta goes with kayenta"),
    ("!has(self.kayenta) || !has(self.limit)", "method: kayenta has scoreThresholds instead of a limit"),
    (
        f"has(self.limit) || has(self.counters) || has(self.kayenta) || ({SEQUENTIAL} && !{GAUGE}) || (!has(self.method) && {COUNTED})",
        "give a limit; only the builtins error-rate and latency, and counters, are judged without one",
    ),
    (
        f"!{SEQUENTIAL} || {COUNTED} || has(self.counters) || {GAUGE}",
        "method: sequential is for error-rate, latency, counters, and gauges (a query, cpu, memory)",
    ),
    (
        f"!(has(self.limit) && {SEQUENTIAL} && {COUNTED}) || (self.builtin == 'error-rate' && has(self.limit.max))",
        "method: sequential has a tolerance instead of a limit; beside error-rate it may have an objective, limit.max",
    ),
]
TRIGGER_RULES = [
    ("[has(self.builtin), has(self.query), has(self.probe)].exists_one(x, x)", "give one of builtin, query and probe"),
    ("has(self.probe) || has(self.limit)", "give a limit"),
]
LIMITS = ("max", "min", "below", "maxRatio", "minRatio", "maxDifference", "minDifference")
LIMIT_RULE = (" || ".join(f"has(self.{name})" for name in LIMITS), "give at least one limit")
IMMUTABLE = ("self == oldSelf", "the spec is immutable; make a new object")
EPOCH_RULE = (f"self >= oldSelf || oldSelf - self > {EPOCH_LEAP}", "the epoch never falls: a newer leader has written")
"""One that leaps above all others was written by hand, and is taken back."""
ENDED = (
    "has(oldSelf.phase) && has(oldSelf.finishedAt) && oldSelf.finishedAt > 0.0 && (oldSelf.phase == 'Refused' "
    "|| (oldSelf.phase == 'RolledBack' && (!has(oldSelf.weight) || oldSelf.weight == 0)) "
    "|| (oldSelf.phase == 'Succeeded' && ((has(oldSelf.weight) && oldSelf.weight == 100) || (has(oldSelf.returnedAt) && oldSelf.returnedAt > 0.0))))"
)
"""A status that really ended. One that only says so (somebody wrote the word, but not the weight) is damage, and the controller halts it."""
END_RULE = (
    f"!({ENDED}) || (has(self.phase) && self.phase == oldSelf.phase)",
    "a release that has ended stays as it ended; start a new one",
)
KEEP_RULE = ("!has(oldSelf.phase) || has(self.phase)", "the phase of a release is changed, never dropped")
KEEP_STATUS_RULE = (
    "!has(oldSelf.status) || !has(oldSelf.status.phase) || has(self.status)",
    "the status of a release is all that is known of its traffic; it is changed, never dropped",
)
"""Without them an emptied status would be a release that never began, while green had its share of the requests."""
NAME_RULE = (
    f"size(self.metadata.name) <= {NAME_LENGTH} || has(self.status)",
    f"metadata.name: expected at most {NAME_LENGTH} characters, as every label has that names the release",
)
"""A new object has no status; one that an earlier version let in has, and stays writable: it must end, and lose its finalizer."""
GRANT_RULE = ("(has(self.weight) ? self.weight : 0) <= (has(self.grant) ? self.grant : 0)", "status.weight must not exceed status.grant")


def decided_once(field: str, nothing: str) -> tuple[str, str]:
    """A fact of the start: once the status has it, it stays. `nothing` is how it is written before."""
    known = f"has(oldSelf.{field}) && oldSelf.{field} {nothing}"
    return (
        f"!({known}) || (has(self.{field}) && self.{field} == oldSelf.{field})",
        f"status.{field} is decided once, at the start of the release",
    )


def never_shorter(field: str) -> tuple[str, str]:
    """A list of what must be given back or taken down: entries are added, never lost."""
    return (
        f"!has(oldSelf.{field}) || (has(self.{field}) && size(self.{field}) >= size(oldSelf.{field}))",
        f"status.{field} is what must be given back or taken down in the end; it never gets shorter",
    )


FACT_RULES = (
    decided_once("blueSlot", ">= 0"),
    *(decided_once(field, "!= ''") for field in ("mode", "blueSubset", "greenSubset", "planHash")),
    never_shorter("capacity"),
    never_shorter("objects"),
)
"""Who is blue, and what was borrowed. With another answer in mid-release everybody would be sent to the version that nobody has judged."""


def column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Schema:
    """One printer column."""
    return {"name": name, "jsonPath": path, "type": kind, **({"priority": 1} if wide else {})}


AGE = column("Age", ".metadata.creationTimestamp", "date")

KINDS: tuple[tuple[str, str, list[str], type[BaseModel], type[BaseModel], list[Schema]], ...] = (
    (
        "ReleasePlan",
        "releaseplans",
        ["rp"],
        PlanSpec,
        PlanStatus,
        [column("Active", ".status.activeName"), column("Last succeeded", ".status.lastSucceeded"), AGE],
    ),
    (
        "Release",
        "releases",
        ["rel"],
        ReleaseSpec,
        ReleaseStatus,
        [
            column("Plan", ".spec.plan"),
            column("Revision", ".spec.revision"),
            column("Phase", ".status.phase"),
            column("Weight", ".status.weight", "integer"),
            column("Reason", ".status.reason"),
            column("Seen", ".status.observedWeight", "integer", wide=True),
            column("Grant", ".status.grant", "integer", wide=True),
            column("Message", ".status.message", wide=True),
            AGE,
        ],
    ),
    (
        "ReleaseRequest",
        "releaserequests",
        ["rrq"],
        RequestSpec,
        RequestStatus,
        [
            column("Release", ".spec.release"),
            column("Verb", ".spec.verb"),
            column("Actor", ".spec.actor"),
            column("Answer", ".status.state"),
            column("Message", ".status.message"),
            AGE,
        ],
    ),
)

KEEP = (
    "type",
    "description",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "maxProperties",
    "format",
)


def structural(node: Schema, defs: Schema) -> Schema:
    """One node as Kubernetes wants it. Raises ValueError for what it cannot express."""
    node = resolve(node, defs)
    out: Schema = {key: node[key] for key in KEEP if key in node}
    for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if strict in out:
            out[bound], out[strict] = out[strict], True
    if "const" in node:
        out |= {"type": "string", "enum": [node["const"]]}
    if "default" in node and node["default"] not in (None, [], {}, ""):
        out["description"] = f"{out.get('description', '')} Default: {_short(node)}.".strip()
    if node.get("type") == "object":
        out |= fields_of(node, defs)
    if node.get("type") == "array":
        out["items"] = structural(node["items"], defs)
    if "type" not in out:
        raise ValueError(f"a node without a type cannot be expressed: {json.dumps(node)[:200]}")
    if out["type"] == "string" and "enum" in out:
        out.pop("pattern", None)
    return out


def fields_of(node: Schema, defs: Schema) -> Schema:
    """What an object node has: named fields, or values under free keys."""
    if "properties" in node:
        fields = {"properties": {name: structural(child, defs) for name, child in node["properties"].items()}}
        return {**fields, "required": node["required"]} if node.get("required") else fields
    if isinstance(node.get("additionalProperties"), dict):
        return {"additionalProperties": structural(node["additionalProperties"], defs)}
    if "patternProperties" in node:
        raise ValueError("a mapping whose keys have a pattern cannot be expressed: the API server would drop what stands in it")
    return {}


def resolve(node: Schema, defs: Schema) -> Schema:
    """The node with its `$ref` inlined and its `null` alternative dropped."""
    node = dict(node)
    if "anyOf" in node:
        rest = [option for option in node.pop("anyOf") if option.get("type") != "null"]
        if len(rest) != 1:
            raise ValueError(f"only `X or nothing` can be expressed, found {rest}")
        node = {**rest[0], **node}
    if "$ref" in node:
        target = defs[node.pop("$ref").rpartition("/")[2]]
        node = {**resolve(target, defs), **node}
    return node


LONGEST_DEFAULT = 60


def _short(node: Schema) -> str:
    """A default in a description: durations with their unit, long ones not at all."""
    value = node["default"]
    if node.get("pattern") == DURATION_PATTERN and isinstance(value, float):
        return format_duration(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST_DEFAULT else "see the plan reference"


def rule(text: str, message: str) -> Schema:
    """One CEL rule."""
    return {"rule": text, "message": message}


def add_rules(kind: str, spec: Schema, status: Schema) -> None:
    """The rules that the API server itself keeps."""
    status["properties"]["epoch"]["x-kubernetes-validations"] = [rule(*EPOCH_RULE)]
    if kind == "ReleasePlan":
        spec["x-kubernetes-validations"] = [rule(*r) for r in PLAN_RULES]
        for part in ("checks", "triggers"):
            items = spec["properties"][part]["items"]
            items["x-kubernetes-validations"] = [rule(*r) for r in (CHECK_RULES if part == "checks" else TRIGGER_RULES)]
            items["properties"]["limit"]["x-kubernetes-validations"] = [rule(*LIMIT_RULE)]
        for part in ("members", "checks", "triggers", "groups", "slots"):
            spec["properties"][part] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        return
    spec["x-kubernetes-validations"] = [rule(*IMMUTABLE)]
    if kind == "Release":
        status["x-kubernetes-validations"] = [rule(*r) for r in (GRANT_RULE, END_RULE, KEEP_RULE, *FACT_RULES)]


def definition(  # noqa: PLR0917 - one row of the table above
    kind: str, plural: str, short: list[str], spec: type[BaseModel], status: type[BaseModel], columns: list[Schema]
) -> Schema:
    """One CustomResourceDefinition."""
    parts = {}
    for name, model in (("spec", spec), ("status", status)):
        schema = model.model_json_schema(by_alias=True)
        parts[name] = structural(schema, schema.get("$defs", {}))
    add_rules(kind, parts["spec"], parts["status"])
    top = {
        "type": "object",
        "description": parts["spec"]["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **parts,
        },
    }
    if kind == "Release":
        top["x-kubernetes-validations"] = [rule(*KEEP_STATUS_RULE), rule(*NAME_RULE)]
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": top},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "annotations": {"penstock.dev/schema-hash": schema_hash(top)}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": short,
                "categories": ["penstock"],
            },
            "versions": [version],
        },
    }


def schema_hash(schema: Schema) -> str:
    """16 hex digits: a controller that finds another hash on the CRD knows that the server may prune what it writes."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:16]


@cache
def definitions() -> dict[str, Schema]:
    """All CRDs by file name. Built once: nobody changes what is handed out."""
    return {
        f"{plural}.yaml": definition(kind, plural, short, spec, status, columns) for kind, plural, short, spec, status, columns in KINDS
    }


class KubectlDumper(yaml.SafeDumper):
    """Puts a lone y or n in quotes: kubectl's parser takes them for true and false, and the field `n` for one named `false`."""


KubectlDumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))


def render(crd: Schema) -> str:
    """The YAML of a CRD."""
    return "# Generated from controller/api by `python -m controller.api.crd`. Do not edit.\n" + yaml.dump(
        crd, Dumper=KubectlDumper, sort_keys=False, width=140
    )


def main() -> None:
    """Write all CRDs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, crd in definitions().items():
        (FOLDER / name).write_text(render(crd))


if __name__ == "__main__":
    main()
