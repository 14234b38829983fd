"""Optional admission policies (Kubernetes 1.30 or later) and alerts: what the API server and Prometheus can watch over by themselves.

The policies concern only objects that Penstock has marked, so that they are in nobody's way who does not use it. A new
policy takes about half a second to bite.
"""

from typing import Any

from controller.adapters import marks
from controller.api.base import EPOCH_LEAP, GROUP, VERSION

API = "admissionregistration.k8s.io/v1"
LABELS = {"app.kubernetes.io/name": "penstock", "app.kubernetes.io/managed-by": "penstock-install"}

Object = dict[str, Any]

_NOTES = "has(object.metadata.annotations)"
_OLD_NOTES = "has(oldObject.metadata.annotations)"
OWNED = f"{_NOTES} && '{marks.OWNER}' in object.metadata.annotations && object.metadata.annotations['{marks.OWNER}'] != ''"
ROUTED = "object.spec.http.filter(r, has(r.route) && size(r.route) > 1)"
SUMMING = f"!has(object.spec.http) || {ROUTED}.all(r, r.route.map(d, has(d.weight) ? int(d.weight) : 0).sum() == 100)"
BOUNDED = f"!has(object.spec.http) || {ROUTED}.all(r, r.route.all(d, !has(d.weight) || (int(d.weight) >= 0 && int(d.weight) <= 100)))"
DIGITS = "matches('^[0-9]{1,18}$')"
NUMBERED = f"{_OLD_NOTES} && '{marks.EPOCH}' in oldObject.metadata.annotations && oldObject.metadata.annotations['{marks.EPOCH}'].{DIGITS}"
TOUCHED = f"{_NOTES} && '{marks.EPOCH}' in object.metadata.annotations && object.metadata.annotations['{marks.EPOCH}'].{DIGITS}"
_NEW, _OLD = (f"int({which}.metadata.annotations['{marks.EPOCH}'])" for which in ("object", "oldObject"))
RISING = f"!({TOUCHED}) || {_NEW} >= {_OLD} || {_OLD} - {_NEW} > {EPOCH_LEAP}"
NAMED_ACTOR = "!has(object.spec.actor) || object.spec.actor == '' || object.spec.actor == request.userInfo.username"


def policy(name: str, rules: list[Object], validations: list[Object], conditions: list[Object] | None = None) -> list[Object]:
    """A policy and its binding; without an answer of the policy a write passes, so that it never stands in the way of a rollback."""
    spec: Object = {"failurePolicy": "Ignore", "matchConstraints": {"resourceRules": rules}, "validations": validations}
    if conditions:
        spec["matchConditions"] = conditions
    bound = {"policyName": name, "validationActions": ["Deny"]}
    return [
        {"apiVersion": API, "kind": kind, "metadata": {"name": name, "labels": dict(LABELS)}, "spec": body}
        for kind, body in (("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", bound))
    ]


def resource(group: str, versions: list[str], plurals: list[str], operations: list[str]) -> Object:
    """One rule of what a policy is asked about."""
    return {"apiGroups": [group], "apiVersions": versions, "resources": plurals, "operations": operations}


def weights() -> list[Object]:
    """Routes under a release: Istio's own schema accepts weights such as 60/30 and 200/-100."""
    validations = [
        {"expression": BOUNDED, "message": "a release moves this route: weights must lie between 0 and 100"},
        {"expression": SUMMING, "message": "a release moves this route: weights must sum to 100"},
    ]
    routes = [resource("networking.istio.io", ["v1", "v1beta1", "v1alpha3"], ["virtualservices"], ["CREATE", "UPDATE"])]
    return policy("penstock-weights", routes, validations, [{"name": "owned-by-a-release", "expression": OWNED}])


def epochs() -> list[Object]:
    """A controller that was deposed cannot write over its successor. Others' writes keep the annotation and pass."""
    managed = [
        resource("networking.istio.io", ["v1", "v1beta1", "v1alpha3"], ["virtualservices", "destinationrules"], ["UPDATE"]),
        resource("apps", ["v1"], ["deployments"], ["UPDATE"]),
        resource("autoscaling", ["v2"], ["horizontalpodautoscalers"], ["UPDATE"]),
        resource("", ["v1"], ["services", "configmaps"], ["UPDATE"]),
        resource(GROUP, [VERSION], ["releases"], ["UPDATE"]),
    ]
    validations = [{"expression": RISING, "message": "a newer controller has written this object: the epoch never falls"}]
    return policy("penstock-epochs", managed, validations, [{"name": "has-an-epoch", "expression": NUMBERED}])


def actors() -> list[Object]:
    """Who asks is who is authenticated. Not part of `--admission-policies`: command lines name people as CI does."""
    sentence = "'spec.actor must be ' + request.userInfo.username + ', the user that makes the request'"
    validations = [{"expression": NAMED_ACTOR, "messageExpression": sentence}]
    return policy("penstock-actors", [resource(GROUP, [VERSION], ["releaserequests"], ["CREATE"])], validations)


def admission_policies() -> list[Object]:
    """Those that fit every installation."""
    return [*weights(), *epochs()]


def alert(name: str, expression: str, wait: str, severity: str, summary: str) -> Object:
    """One alert; its summary is a sentence."""
    return {"alert": name, "expr": expression, "for": wait, "labels": {"severity": severity}, "annotations": {"summary": summary}}


def alerts() -> Object:
    """A Prometheus rule file over the controller's own metrics."""
    return {"groups": [{"name": "penstock", "rules": [
        alert("PenstockHasNoLeader", "sum(penstock_leading) < 1 or absent(penstock_leading)", "1m", "critical",
              "No Penstock controller leads: nobody watches the releases that have traffic on green."),
        alert("PenstockUnwatchedExposure", "increase(penstock_unwatched_exposure_seconds_total[10m]) > 15", "0m", "warning",
              "Green had traffic for more than 15 s while no controller led."),
        alert("PenstockReleaseHalted", 'sum(max by (phase) (penstock_releases{phase="Halted"})) > 0', "1m", "warning",
              "A release is halted and waits for a person: penstock why NAME says for what."),
        alert("PenstockRollbackSlow", "histogram_quantile(0.99, sum by (le) (increase(penstock_reaction_seconds_bucket[1h]))) > 10", "0m",
              "warning", "Putting everybody back on blue took more than 10 s."),
        alert("PenstockDefects", "increase(penstock_reconcile_defects_total[15m]) > 0", "0m", "warning",
              "A look at a release ended in a defect of the controller; its log has the details."),
        alert("PenstockLate", "histogram_quantile(0.99, sum by (le) (rate(penstock_wakeup_late_seconds_bucket[10m]))) > 2", "10m",
              "warning", "Releases are looked at more than 2 s after their time: give the controller more CPU."),
        alert("PenstockWatchTrouble", "penstock_watch_trouble > 0", "2m", "warning",
              "A watch of the controller fails: its readiness probe says which, often for want of a right."),
        alert("PenstockNamespaceLost", "max by (namespace) (penstock_namespace_lost) > 0", "2m", "critical",
              "The controller may not read namespace {{ $labels.namespace }}: nobody watches the releases there."),
        alert("PenstockReleaseUnattended", "max by (namespace) (penstock_releases_unattended) > 0", "1m", "critical",
              "The controller can do nothing for releases in {{ $labels.namespace }}: its log says why, often for want of a right."),
        alert("PenstockPrometheusUnusable",
              'sum by (provider) (rate(penstock_queries_total{result!~"ok|empty"}[5m]))'
              " / sum by (provider) (rate(penstock_queries_total[5m])) > 0.5",
              "5m", "warning", "More than half of the queries to {{ $labels.provider }} give no usable answer, so releases hold."),
    ]}]}  # fmt: skip
