"""GitOps tools and Helm on a route: what would write our fields back, and the exact words that stop it."""

from controller.adapters import marks
from controller.adapters.workloads.foreign import ARGO_INSTANCE, ARGO_TRACKING, FLUX_HELM, INSTANCE, MANAGED_BY, gitops_tool, helm_release
from controller.core import reasons
from controller.core.world import Problem
from controller.ports import Obj

SSA = "kustomize.toolkit.fluxcd.io/ssa"
RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
FIELDS = {
    "VirtualService": ((".spec.http[].route[].weight", ".spec.http[].route"), "/spec/http"),
    "DestinationRule": ((".spec.subsets",), "/spec/subsets"),
}
"""By kind: what Argo CD is told to ignore (jq), and Flux's Helm controller (JSON pointer)."""


def gitops_problem(obj: Obj) -> Problem | None:
    """Why the object is refused, with the text that tells its tool to leave our fields alone; None where no tool reconciles it."""
    tool = gitops_tool(obj)
    if not tool or (tool == "Flux" and _told(obj)):
        return None
    sentence = f"{marks.where(obj)} is reconciled by {tool}{_of(obj)}, which would write the traffic back; {ignore_text(obj)}"
    return Problem(reasons.GITOPS_OWNED, sentence)


def _told(obj: Obj) -> bool:
    """Flux says on the object itself that it only creates it, or leaves it alone."""
    return marks.annotation(obj, SSA) in ("IfNotPresent", "Ignore") or marks.annotation(obj, RECONCILE) == "disabled"


def _of(obj: Obj) -> str:
    name = marks.label(obj, ARGO_INSTANCE) or marks.annotation(obj, ARGO_TRACKING).partition(":")[0]
    name = name or (marks.label(obj, INSTANCE) if gitops_tool(obj) == "Argo CD" else "")
    return f" (application {name})" if name else ""


def ignore_text(obj: Obj) -> str:
    """What to write where, in one line that can be copied."""
    kind, meta = str(obj.get("kind") or "VirtualService"), marks.metadata(obj)
    name, namespace = meta.get("name", ""), meta.get("namespace", "")
    paths, pointer = FIELDS.get(kind, FIELDS["VirtualService"])
    match gitops_tool(obj):
        case "Argo CD":
            group = str(obj.get("apiVersion") or "networking.istio.io/v1").partition("/")[0]
            listed = ", ".join(f"'{path}'" for path in paths)
            return (
                f"put into the Application: spec.ignoreDifferences: [{{group: {group}, kind: {kind}, name: {name}, namespace: {namespace}, "
                f"jqPathExpressions: [{listed}]}}] and spec.syncPolicy.syncOptions: [RespectIgnoreDifferences=true]"
            )
        case _ if marks.label(obj, FLUX_HELM):
            return f"put into the HelmRelease: spec.driftDetection.ignore: [{{paths: [{pointer}], target: {{kind: {kind}, name: {name}}}}}]"
        case _:
            return f"put the annotation {SSA}: IfNotPresent on the {kind} in git, or by spec.patches of the Kustomization"


def helm_warning(obj: Obj) -> Problem | None:
    """What is said of an object that Helm installed; None where it did not."""
    release = helm_release(obj)
    if not release and marks.label(obj, MANAGED_BY) != "Helm":
        return None
    named = f" (release {release})" if release else ""
    return Problem(reasons.HELM_MARKED, f"{marks.where(obj)} was installed by Helm{named}, whose next upgrade writes the traffic back.")
