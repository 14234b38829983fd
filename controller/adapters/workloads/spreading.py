"""How pods are spread over nodes and zones: rules by which a pod looks for its own kind must find green's pods among green's. Pure.

Blue's rules name blue's labels. Where green's pods have other ones, a copy would keep them away from blue, and from each other no more.
"""

from collections.abc import Mapping
from typing import Any

from controller.adapters import marks
from controller.adapters.workloads.places import labels_at, text
from controller.adapters.workloads.selectors import selects
from controller.ports import Obj

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def spread_alike(spec: Obj, blue: Mapping[str, str], green: Mapping[str, str]) -> dict[str, Any]:
    """A pod's spec whose rules of spreading and of affinity find green's pods where they found blue's.

    Args:
        spec: of blue's pods.
        blue: labels of blue's pods.
        green: labels of green's pods.
    """
    changed = dict(spec)
    if "topologySpreadConstraints" in spec:
        changed["topologySpreadConstraints"] = [_turned(one, blue, green) for one in marks.items(spec["topologySpreadConstraints"])]
    affinity = marks.mapping(spec.get("affinity"))
    if affinity:
        turned = {key: _terms(affinity[key], blue, green) for key in ("podAffinity", "podAntiAffinity") if affinity.get(key)}
        changed["affinity"] = {**affinity, **turned}
    return changed


def _terms(affinity: Any, blue: Mapping[str, str], green: Mapping[str, str]) -> dict[str, Any]:
    changed = dict(marks.mapping(affinity))
    if REQUIRED in changed:
        changed[REQUIRED] = [_turned(one, blue, green) for one in marks.items(changed[REQUIRED])]
    if PREFERRED in changed:
        preferred = (marks.mapping(one) for one in marks.items(changed[PREFERRED]))
        changed[PREFERRED] = [{**one, "podAffinityTerm": _turned(one.get("podAffinityTerm"), blue, green)} for one in preferred]
    return changed


def _turned(term: Any, blue: Mapping[str, str], green: Mapping[str, str]) -> Any:
    """One rule; as it is where it does not find blue's pods, or finds green's too."""
    found = marks.mapping(term)
    selector = marks.mapping(found.get("labelSelector"))
    if not selector or not selects(selector, blue) or selects(selector, green):
        return term
    labels = {key: green.get(key, value) for key, value in labels_at(selector, "matchLabels").items()}
    terms = [_expression(one, blue, green) for one in marks.items(selector.get("matchExpressions"))]
    turned = {**({"matchLabels": labels} if labels else {}), **({"matchExpressions": terms} if terms else {})}
    return {**found, "labelSelector": turned}


def _expression(term: Any, blue: Mapping[str, str], green: Mapping[str, str]) -> Any:
    key, values = text(term, "key"), marks.items(marks.mapping(term).get("values"))
    if text(term, "operator") != "In" or key not in green or green[key] in values:
        return term
    return {**marks.mapping(term), "values": [green[key] if value == blue.get(key) else value for value in values]}
