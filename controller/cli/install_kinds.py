"""The kinds of objects that an installation consists of, beside those that releases are made of."""

from controller.cli.install_objects import RBAC
from controller.ports import CONFIG_MAP, CRD, DEPLOYMENT, NAMESPACE, SERVICE, SERVICE_ACCOUNT, Kind, Kube, NotFoundError, Obj

ROLE = Kind(RBAC, "v1", "Role", "roles")
ROLE_BINDING = Kind(RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = Kind(RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
POLICY = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False)
POLICY_BINDING = Kind(
    "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False
)
BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")

KINDS: dict[str, Kind] = {
    kind.kind: kind
    for kind in (
        CRD, NAMESPACE, SERVICE_ACCOUNT, ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, CONFIG_MAP, SERVICE, DEPLOYMENT, BUDGET,
        NETWORK_POLICY, POLICY, POLICY_BINDING,
    )
}  # fmt: skip
"""Everything that an installation consists of."""


def find(kube: Kube, kind: Kind, namespace: str, name: str) -> Obj:
    """The object, empty where there is none."""
    try:
        return kube.get(kind, namespace, name)
    except NotFoundError:
        return {}
