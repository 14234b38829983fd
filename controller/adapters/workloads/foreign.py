"""Marks of other tools: GitOps, Helm, KEDA; and the exact words by which they are told to leave a field alone. Pure.

Sources: argo-cd.readthedocs.io (resource tracking, diff customization), fluxcd.io (Kustomization, HelmRelease),
helm.sh (labels and annotations), keda.sh (ScaledObject, pause autoscaling).
"""

from controller.adapters import marks
from controller.adapters.workloads.places import dig, text
from controller.ports import Obj

ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
ARGO_INSTANCE = "argocd.argoproj.io/instance"
FLUX_KUSTOMIZATION = "kustomize.toolkit.fluxcd.io/name"
FLUX_HELM = "helm.toolkit.fluxcd.io/name"
HELM_RELEASE = "meta.helm.sh/release-name"
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
ARGO_MANAGER = "argocd-controller"
"""Name under which Argo CD writes, by whatever kind of apply."""
KEDA_LABEL = "scaledobject.keda.sh/name"

FOREIGN_PREFIXES = (
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "kubectl.kubernetes.io/",
    "deployment.kubernetes.io/",
    "autoscaling.alpha.kubernetes.io/",
    "external-dns.alpha.kubernetes.io/",
    "service.beta.kubernetes.io/",
    "cloud.google.com/",
    "networking.gke.io/",
    "metallb.io/",
    "metallb.universe.tf/",
    "tailscale.com/",
    "getambassador.io/",
    "penstock.dev/",
)
"""What a copy must not carry: it would be pruned by that tool, found under a second DNS name or address, or speak of another object."""


def is_foreign_label(source: Obj, key: str) -> bool:
    """Whether a label of the source must not be copied.

    `app.kubernetes.io/instance` is what Argo CD tracks by unless it was told otherwise: a copy that carries it is pruned.
    """
    if key == MANAGED_BY:
        return text(source, "metadata", "labels", key) == "Helm"
    return key == INSTANCE or key.startswith(FOREIGN_PREFIXES)


def is_foreign_annotation(key: str) -> bool:
    """Whether an annotation must not be copied."""
    return key.startswith(FOREIGN_PREFIXES)


def gitops_tool(obj: Obj) -> str:
    """`Argo CD` or `Flux` where that tool reconciles the object, else ""."""
    if marks.annotation(obj, ARGO_TRACKING) or marks.label(obj, ARGO_INSTANCE) or _tracked_by_instance(obj):
        return "Argo CD"
    return "Flux" if marks.label(obj, FLUX_KUSTOMIZATION) or marks.label(obj, FLUX_HELM) else ""


def _tracked_by_instance(obj: Obj) -> bool:
    """Argo CD before 3.0 tracks by a label that every Helm chart sets too, so that only its own writes beside it tell."""
    managers = (text(entry, "manager") for entry in marks.items(marks.metadata(obj).get("managedFields")))
    return bool(marks.label(obj, INSTANCE)) and ARGO_MANAGER in managers


def ignore_text(obj: Obj, pointers: tuple[str, ...]) -> str:
    """What to write so that the tool leaves these fields alone, as one line that can be copied."""
    kind, name = obj.get("kind", ""), text(obj, "metadata", "name")
    listed = ", ".join(pointers)
    if gitops_tool(obj) == "Argo CD":
        group = str(obj.get("apiVersion", "")).rpartition("/")[0]
        return (
            f"in the Application: ignoreDifferences: [{{group: {group}, kind: {kind}, name: {name}, jsonPointers: [{listed}]}}] "
            "and syncPolicy.syncOptions: [RespectIgnoreDifferences=true]"
        )
    if marks.label(obj, FLUX_HELM):
        return f"in the HelmRelease: driftDetection: {{ignore: [{{paths: [{listed}], target: {{kind: {kind}, name: {name}}}}}]}}"
    return f"on the {kind}: annotation kustomize.toolkit.fluxcd.io/reconcile: disabled"


def helm_release(obj: Obj) -> str:
    """Name of the Helm release that installed the object, "" where none did."""
    return marks.annotation(obj, HELM_RELEASE)


def controller_of(obj: Obj) -> str:
    """Kind and name of the object that another controller made this one for, "" where there is none."""
    owners = [one for one in marks.items(dig(obj, "metadata", "ownerReferences")) if dig(one, "controller") is True]
    return f"{text(owners[0], 'kind')} {text(owners[0], 'name')}" if owners else ""


def keda_owner(hpa: Obj) -> str:
    """Name of the ScaledObject that owns an autoscaler, "" where none does."""
    for owner in marks.items(dig(hpa, "metadata", "ownerReferences")):
        if text(owner, "kind") == "ScaledObject":
            return text(owner, "name")
    return marks.label(hpa, KEDA_LABEL)
