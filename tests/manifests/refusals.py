"""Every CEL rule of the CRDs with a write that it refuses; without the rule the same write is accepted.

Asked of our server in `test_every_rule_refuses.py`, of a real one in `tests/real/test_crds_served.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.api.crd import definitions
from controller.ports import RELEASE, RELEASE_PLAN, RELEASE_REQUEST, Kind

PLAN = {"workload": "shop", "traffic": {"virtualService": "shop"}}
SPECS = {RELEASE: {"plan": "shop", "revision": "v2"}, RELEASE_PLAN: PLAN, RELEASE_REQUEST: {"release": "r", "verb": "pause"}}
FILES = {"releases.yaml": RELEASE, "releaseplans.yaml": RELEASE_PLAN, "releaserequests.yaml": RELEASE_REQUEST}
EPOCH = "the epoch never falls"
FIXED = "the spec is immutable"

Rule = tuple[Kind, str, str]
"""Kind, place in the schema and message."""


@dataclass(frozen=True)
class Refusal:
    """A write that breaks exactly one rule.

    Attributes:
        kind, place, begins: of the rule; its message begins so.
        spec: of the new object, where the rule is about one; else `status` is written first, and `patch` is what is refused.
    """

    kind: Kind
    place: str
    begins: str
    spec: Mapping[str, Any] | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    patch: Mapping[str, Any] | None = None
    name: str = "x"

    def about(self, rule: Rule) -> bool:
        """Whether this is the rule that it breaks."""
        kind, place, message = rule
        return (kind, place) == (self.kind, self.place) and message.startswith(self.begins)

    def __str__(self) -> str:
        return f"{self.kind.kind}{self.place}: {self.begins}"

    @property
    def new(self) -> dict[str, Any]:
        """The object that is created."""
        spec = SPECS[self.kind] if self.spec is None else self.spec
        return {"apiVersion": self.kind.api_version, "kind": self.kind.kind, "metadata": {"name": self.name}, "spec": spec}

    @property
    def creates(self) -> bool:
        """Whether the creation is what is refused."""
        return self.patch is None


def plan(place: str, begins: str, **changes: Any) -> Refusal:
    """A plan that is refused."""
    return Refusal(RELEASE_PLAN, f".spec{place}", begins, {key: value for key, value in {**PLAN, **changes}.items() if value is not None})


def check(begins: str, **fields: Any) -> Refusal:
    """A plan whose one check is refused."""
    return plan(".checks[]", begins, checks=[{"name": "c", **fields}])


def trigger(place: str, begins: str, **fields: Any) -> Refusal:
    """A plan whose one trigger is refused."""
    return plan(f".triggers[]{place}", begins, triggers=[{"name": "t", **fields}])


def status(place: str, begins: str, was: Mapping[str, Any], now: Mapping[str, Any], kind: Kind = RELEASE) -> Refusal:
    """A change of a status that is refused."""
    return Refusal(kind, f".status{place}", begins, status=was, patch={"status": now})


def of_each_kind() -> Iterator[Refusal]:
    """What holds of a Release, a ReleasePlan and a ReleaseRequest alike, or of the two whose spec never changes."""
    for kind in SPECS:
        yield status(".epoch", EPOCH, {"epoch": 7}, {"epoch": 6}, kind)
    for kind in (RELEASE, RELEASE_REQUEST):
        yield Refusal(kind, ".spec", FIXED, patch={"spec": {"reason": "because"} if kind == RELEASE_REQUEST else {"revision": "v3"}})


ENTRY = {"kind": "Deployment", "namespace": "s", "name": "g", "uid": "u"}
KAYENTA = {"metrics": [{"name": "m", "query": "up"}]}
REFUSALS = (
    plan("", "name a workload", workload=None),
    plan("", "traffic: name a virtualService", traffic={}),
    plan("", "stages: weights must rise", stages=[{"weight": 50}, {"weight": 25}, {"weight": 100}]),
    plan("", "stages: the last weight", stages=[{"weight": 50}]),
    check("give one of builtin", builtin="error-rate", query="up", limit={"max": 1}),
    check("method: kayenta goes with", builtin="error-rate", method="kayenta", limit={"max": 1}),
    check("method: kayenta has", kayenta=KAYENTA, method="kayenta", limit={"max": 1}),
    check("give a limit;", query="up"),
    check("method: sequential is for", builtin="up", method="sequential", limit={"min": 1}),
    check("method: sequential has a tolerance", builtin="latency", method="sequential", limit={"max": 1}),
    plan(".checks[].limit", "give at least one limit", checks=[{"name": "c", "builtin": "error-rate", "limit": {}}]),
    trigger("", "give one of builtin", builtin="error-rate", query="up", limit={"max": 1}),
    trigger("", "give a limit", builtin="error-rate"),
    trigger(".limit", "give at least one limit", builtin="error-rate", limit={}),
    Refusal(RELEASE, "", "the status of a release", status={"phase": "Measuring"}, patch={"status": None}),
    Refusal(RELEASE, "", "metadata.name", SPECS[RELEASE], name="x" * 64),
    status("", "status.weight must not exceed", {"weight": 25, "grant": 25}, {"weight": 50}),
    status("", "a release that has ended", {"phase": "Refused", "finishedAt": 5.0}, {"phase": "Halted"}),
    status("", "the phase of a release is changed", {"phase": "Measuring"}, {"phase": None}),
    status("", "status.blueSlot", {"blueSlot": 0}, {"blueSlot": 1}),
    status("", "status.mode", {"mode": "host"}, {"mode": "subset"}),
    status("", "status.blueSubset", {"blueSubset": "v1"}, {"blueSubset": "v2"}),
    status("", "status.greenSubset", {"greenSubset": "v2"}, {"greenSubset": "v3"}),
    status("", "status.planHash", {"planHash": "a"}, {"planHash": "b"}),
    status("", "status.capacity", {"capacity": [{"member": "shop", "replicas": 3}]}, {"capacity": []}),
    status("", "status.objects", {"objects": [ENTRY]}, {"objects": []}),
    *of_each_kind(),
)


def rules() -> Iterator[Rule]:
    """Every rule of every CRD."""
    for file, crd in definitions().items():
        for version in crd["spec"]["versions"]:
            yield from _rules(FILES[file], "", version["schema"]["openAPIV3Schema"])


def _rules(kind: Kind, place: str, node: Mapping[str, Any]) -> Iterator[Rule]:
    for rule in node.get("x-kubernetes-validations") or ():
        yield kind, place, rule["message"]
    for name, below in (node.get("properties") or {}).items():
        yield from _rules(kind, f"{place}.{name}", below)
    for key, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(node.get(key), dict):
            yield from _rules(kind, place + sign, node[key])
