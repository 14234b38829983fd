"""What an installation consists of, as plain objects: pure functions from the options to the objects, in the order of their making.

`penstock install` applies them; `install_files` writes the same objects into `manifests/` for kustomize. Nothing is read here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import yaml

from controller.cli.install_policies import admission_policies
from controller.cli.install_rights import GREEN_NAMESPACE, HOME, NAMESPACE_MAKER, WATCHED_NAMESPACE, Right, rules, secret_rights

NAME = "penstock"
SYSTEM = "penstock-system"
RBAC = "rbac.authorization.k8s.io"
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "penstock-install"}
SELECTOR = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "controller"}
OWNER = "app.kubernetes.io/managed-by=penstock-install"
"""Label selector of everything that an installation made."""

SETTINGS_HASH = "penstock.dev/settings-hash"
USER_ID = 65532
PORT = 8080
COPIED_LABELS = ("istio-injection", "istio.io/rev", "istio.io/dataplane-mode")
COPIED_PREFIX = "pod-security.kubernetes.io/"

Object = dict[str, Any]


def default_image() -> str:
    """The image that the Dockerfile of this version builds, by a name without a registry."""
    return f"{NAME}:{version(NAME)}"


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be installed.

    Attributes:
        namespaces: with plans in them.
        green_namespaces: that only hold a slot; made beforehand so that no release needs to.
        cluster_wide: one ClusterRole instead of Roles; all namespaces are watched.
        home: the controller's own namespace.
        image: of the controller.
        settings: the controller's configuration as it stands; `namespaces` is laid over it.
        providers: the providers' file as it stands.
        secrets: names of Secrets that members bring along.
        policies: install the admission policies too (Kubernetes 1.30).
        labels: of namespaces that are made, by name: what decides about injection and pod security there.
    """

    namespaces: tuple[str, ...] = ()
    green_namespaces: tuple[str, ...] = ()
    cluster_wide: bool = False
    home: str = SYSTEM
    image: str = field(default_factory=default_image)
    settings: Mapping[str, Any] = field(default_factory=dict)
    providers: Mapping[str, Any] = field(default_factory=lambda: {"providers": []})
    secrets: tuple[str, ...] = ()
    policies: bool = False
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def watched(self) -> tuple[str, ...]:
        """All namespaces that are watched, once each."""
        return tuple(dict.fromkeys((*self.namespaces, *self.green_namespaces)))


def all_objects(options: Options) -> list[Object]:
    """Everything but the CRDs."""
    return [*namespaces(options), *home_objects(options), *access(options), *(admission_policies() if options.policies else [])]


def namespaces(options: Options) -> list[Object]:
    """The controller's namespace; those that are watched are made where they are missing, and otherwise left as they are."""
    secured = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    own = named("v1", "Namespace", options.home)
    own["metadata"]["labels"] |= secured
    more = []
    for name in options.watched:
        labels = {"labels": dict(options.labels[name])} if options.labels.get(name) else {}
        more.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **labels}})
    return [own, *more]


def copied_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Of a namespace's labels those that green's namespace needs as well."""
    return {key: value for key, value in labels.items() if key in COPIED_LABELS or key.startswith(COPIED_PREFIX)}


def home_objects(options: Options) -> list[Object]:
    """What runs the controller, in its own namespace."""
    settings = settings_map(options)
    return [
        named("v1", "ServiceAccount", NAME, options.home),
        *role("penstock-leader", options.home, options.home, HOME),
        settings,
        service(options.home),
        deployment(options, digest(settings["data"])),
        disruption_budget(options.home),
        network_policy(options.home),
    ]


def access(options: Options) -> list[Object]:
    """The Roles in the watched namespaces, or the one ClusterRole."""
    secrets = secret_rights(options.secrets) if options.secrets else ()
    found: list[Object] = []
    if options.cluster_wide:
        found += cluster_role(NAME, options.home, WATCHED_NAMESPACE)
    for name in options.namespaces if not options.cluster_wide else ():
        found += role(NAME, name, options.home, WATCHED_NAMESPACE)
    for name in options.green_namespaces if not options.cluster_wide else ():
        if name not in options.namespaces:
            found += role(NAME, name, options.home, GREEN_NAMESPACE)
    for name in options.watched if secrets else ():
        found += role("penstock-secrets", name, options.home, secrets)
    return found


def named(api_version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    """An object with our labels."""
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **where, "labels": dict(LABELS)}, **rest}


def role(name: str, namespace: str, home: str, rights: tuple[Right, ...]) -> Iterator[Object]:
    """A Role and its binding to the controller's ServiceAccount."""
    yield named(f"{RBAC}/v1", "Role", name, namespace, rules=rules(rights))
    yield named(f"{RBAC}/v1", "RoleBinding", name, namespace, **binding("Role", name, home))


def cluster_role(name: str, home: str, rights: tuple[Right, ...]) -> Iterator[Object]:
    """A ClusterRole and its binding."""
    yield named(f"{RBAC}/v1", "ClusterRole", name, rules=rules(rights))
    yield named(f"{RBAC}/v1", "ClusterRoleBinding", name, **binding("ClusterRole", name, home))


def namespace_maker(home: str) -> list[Object]:
    """Optional: a release may make green's namespace. Needs the cluster-wide Role besides."""
    return list(cluster_role("penstock-namespaces", home, NAMESPACE_MAKER))


def people_role(name: str, namespace: str, groups: tuple[str, ...], rights: tuple[Right, ...]) -> Iterator[Object]:
    """A Role for people or pipelines, and its binding to their groups."""
    subjects = [{"kind": "Group", "apiGroup": RBAC, "name": group} for group in groups]
    yield named(f"{RBAC}/v1", "Role", name, namespace, rules=rules(rights))
    yield named(f"{RBAC}/v1", "RoleBinding", name, namespace, roleRef={"apiGroup": RBAC, "kind": "Role", "name": name}, subjects=subjects)


def binding(kind: str, name: str, home: str) -> Object:
    """Whom a Role is given to."""
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": home}
    return {"roleRef": {"apiGroup": RBAC, "kind": kind, "name": name}, "subjects": [subject]}


def settings_map(options: Options) -> Object:
    """The controller's configuration file and the providers' file."""
    watched = [] if options.cluster_wide else list(options.watched)
    settings = {**options.settings, "namespaces": watched, "providers": "/etc/penstock/providers.yaml", "listen": f"0.0.0.0:{PORT}"}
    providers = yaml.safe_dump(dict(options.providers), sort_keys=False)
    data = {"controller.yaml": yaml.safe_dump(settings, sort_keys=True), "providers.yaml": providers}
    return named("v1", "ConfigMap", NAME, options.home, data=data)


def digest(data: Mapping[str, str]) -> str:
    """16 hex digits: the files are read at the start, so that other ones must start other pods."""
    return hashlib.sha256("\0".join(f"{key}\0{data[key]}" for key in sorted(data)).encode()).hexdigest()[:16]


def deployment(options: Options, settings_hash: str) -> Object:
    """Two replicas; one leads, the other watches too and takes over."""
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": dict(SELECTOR)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
        "template": {
            # Outside the mesh: its own calls are to the API server and Prometheus, and a sidecar would hold them up at every start.
            "metadata": {"labels": {**SELECTOR, "sidecar.istio.io/inject": "false"}, "annotations": {SETTINGS_HASH: settings_hash}},
            "spec": pod_spec(options.image),
        },
    }
    return named("apps/v1", "Deployment", NAME, options.home, spec=spec)


def pod_spec(image: str) -> Object:
    """A pod that the `restricted` pod security standard admits."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(SELECTOR)},
    }
    return {
        "serviceAccountName": NAME,
        # A look under way is ended (25 s) and the Lease given back, so that the other replica need not wait for it.
        "terminationGracePeriodSeconds": 45,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [spread],
        "containers": [container(image)],
        "volumes": [{"name": "settings", "configMap": {"name": NAME}}, {"name": "tmp", "emptyDir": {}}],
    }


def container(image: str) -> Object:
    """The controller."""
    return {
        "name": "controller",
        "image": image,
        "args": ["controller", "--config", "/etc/penstock/controller.yaml"],
        "ports": [{"name": "http", "containerPort": PORT}],
        "livenessProbe": probe("/livez", period=10, failures=3),
        "readinessProbe": probe("/readyz", period=5, failures=2),
        "startupProbe": probe("/livez", period=2, failures=30),
        "resources": {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "768Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/penstock", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - its own
        ],
    }  # fmt: skip


def nightly_preflight(options: Options) -> Object:
    """Blue of every plan is measured each night with the controller's own settings and rights, and stored for the releases of the day."""
    pod = pod_spec(options.image)
    asks = container(options.image) | {"name": "preflight", "args": ["preflight", "--config", "/etc/penstock/controller.yaml"]}
    asks = {key: value for key, value in asks.items() if key != "ports" and not key.endswith("Probe")}
    pod = {key: value for key, value in pod.items() if key not in ("topologySpreadConstraints", "terminationGracePeriodSeconds")}
    pod |= {"restartPolicy": "Never", "containers": [asks]}
    labels = {**SELECTOR, "app.kubernetes.io/component": "preflight", "sidecar.istio.io/inject": "false"}
    job = {"backoffLimit": 1, "activeDeadlineSeconds": 3 * 3600, "template": {"metadata": {"labels": labels}, "spec": pod}}
    spec = {
        "schedule": "17 3 * * *", "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 3600, "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3, "jobTemplate": {"spec": job},
    }  # fmt: skip
    return named("batch/v1", "CronJob", f"{NAME}-preflight", options.home, spec=spec)


def probe(path: str, *, period: int, failures: int) -> Object:
    """An HTTP probe of the controller's own port."""
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "timeoutSeconds": 3, "failureThreshold": failures}


def service(home: str) -> Object:
    """Where Prometheus finds /metrics: headless, since each replica has its own."""
    made = named("v1", "Service", NAME, home)
    ports = [{"name": "http", "port": PORT, "targetPort": "http"}]
    made["spec"] = {"clusterIP": "None", "selector": dict(SELECTOR), "ports": ports}
    return made


def disruption_budget(home: str) -> Object:
    """A drain of nodes leaves one of the two."""
    return named("policy/v1", "PodDisruptionBudget", NAME, home, spec={"maxUnavailable": 1, "selector": {"matchLabels": dict(SELECTOR)}})


def network_policy(home: str) -> Object:
    """In: only the port with probes and metrics. Out: unrestricted, for the plans name the ports that are probed."""
    ingress = [{"ports": [{"protocol": "TCP", "port": PORT}]}]
    spec = {"podSelector": {"matchLabels": dict(SELECTOR)}, "policyTypes": ["Ingress"], "ingress": ingress}
    return named("networking.k8s.io/v1", "NetworkPolicy", NAME, home, spec=spec)
