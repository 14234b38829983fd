"""A real control plane on loopback: etcd, kube-apiserver and kube-controller-manager, for one test session.

    with Bed() as bed:
        bed.admin.apply_files(Path("examples/first-release/app.yaml"))

There is no scheduler and no kubelet: `nodes.NodeSimulator` plays them. Authorization is RBAC; users come from a token
file, so they are named before the start (`Bed(users=...)`), or are service accounts (`Bed.service_account`).
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx

from tests.bed.api import Api, ApiError, JsonObject, documents
from tests.bed.binaries import Binaries, ensure
from tests.bed.processes import POLL_SECONDS, PortLease, Program, ProgramError, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

READY_SECONDS = 60.0
# What a Deployment, a Service, an HPA, a namespace and a deletion need to behave as in a cluster. The root-CA and
# service-account controllers fill every new namespace with objects that are nobody's, as real ones do.
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "endpointslice-controller",
    "endpoints-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "disruption-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
)
# Before this minor version of Kubernetes 1 the controller manager does not know their names, and ends.
LATER_CONTROLLERS = {"validatingadmissionpolicy-status-controller": 30}


@dataclass(frozen=True, slots=True)
class User:
    """Someone the API server knows by a bearer token.

    Attributes:
        key: the short name that tests use.
        name: the user name that RBAC and admission see.
        groups: group names; `system:authenticated` is added by the server.
    """

    key: str
    name: str
    groups: tuple[str, ...] = ()


def service_account_user(key: str, namespace: str, name: str) -> User:
    """Describe a user that RBAC takes for this service account."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(key, f"system:serviceaccount:{namespace}:{name}", groups)


DEFAULT_USERS = (
    User("admin", "admin", ("system:masters",)),
    service_account_user("penstock", "penstock-system", "penstock"),
    service_account_user("ci", "ci", "deployer"),
    User("alice", "alice", ("developers",)),
    User("bob", "bob", ("developers",)),
)


class Bed:
    """The control plane, up from `__enter__` to `__exit__`.

    Args:
        users: users beyond `DEFAULT_USERS`.
        crds: YAML files that are applied before the controller manager starts: its garbage collector looks for new
            kinds only every 30 s, so kinds that must be collected belong here. Istio's CRDs always are.
        audit: write one JSON line a request (metadata only) to `audit_log`.
        binaries: programs to run; built or found when None.

    Attributes:
        url: base address of the API server.
        ca_file: the bundle that its certificate is checked with.
        admin: an `Api` with every right.
        folder: the temporary folder with logs and kubeconfigs.
        etcd, apiserver, controller_manager: the processes, to be paused, killed and started again by fault tests.
    """

    def __init__(
        self,
        users: Sequence[User] = (),
        crds: Sequence[Path] = (),
        *,
        audit: bool = False,
        binaries: Binaries | None = None,
    ) -> None:
        self.binaries = binaries or ensure()
        self._users = {user.key: user for user in (*DEFAULT_USERS, *users)}
        self._tokens = {key: secrets.token_hex(16) for key in self._users}
        self._crds = tuple(crds)
        self._ports = PortLease()
        self._programs: list[Program] = []
        self._apis: list[Api] = []
        self.folder = scratch_folder("bed")
        self.ca_file = self.folder / "apiserver.crt"
        self.audit_log = self.folder / "audit.log" if audit else None
        port = self._ports.take()
        self.url = f"https://127.0.0.1:{port}"
        self.etcd = self._etcd(self._ports.take(), self._ports.take())
        self.apiserver = self._apiserver(port)
        self.controller_manager = self._controller_manager()

    def __enter__(self) -> Self:
        try:
            self.etcd.start()
            self.etcd.wait_until(lambda: _listens(self._etcd_port), READY_SECONDS)
            self.start_apiserver()
            self.admin = self.api("admin")
            self.install_crds(json.loads(self.binaries.istio_crds.read_text(encoding="utf-8")))
            self.install_crds([crd for path in self._crds for crd in documents(path)])
            self.kubeconfig("admin")
            self.controller_manager.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill every process and remove the temporary folder; PENSTOCK_BED_KEEP keeps it until the next bed starts."""
        for api in self._apis:
            api.close()
        for program in reversed(self._programs):
            program.kill()
        self._ports.release()
        if not os.environ.get("PENSTOCK_BED_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def start_apiserver(self) -> None:
        """Start the API server, also again after a fault test has stopped it, and wait until it is ready."""
        self.apiserver.start()
        self.apiserver.wait_until(self.ready, READY_SECONDS)

    def ready(self) -> bool:
        """Whether /readyz says ok."""
        if not self.ca_file.exists():
            return False
        try:
            return httpx.get(f"{self.url}/readyz", verify=False, timeout=2.0, headers=self._bearer("admin"), trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def token(self, user: str) -> str:
        """Return the bearer token of a named user. Raises KeyError for an unknown one."""
        return self._tokens[user]

    def api(self, user: str = "admin") -> Api:
        """Open a client for a named user; it is closed with the bed."""
        return self.api_with_token(self.token(user))

    def api_with_token(self, token: str | None) -> Api:
        """Open a client for any token (None: anonymous); it is closed with the bed."""
        api = Api(self.url, token, self.ca_file)
        self._apis.append(api)
        return api

    def kubeconfig(self, user: str = "admin", namespace: str = "default") -> Path:
        """Write a self-contained kubeconfig for a named user and return its path."""
        return self.kubeconfig_with_token(user, self.token(user), namespace)

    def kubeconfig_with_token(self, name: str, token: str, namespace: str = "default") -> Path:
        """Write a kubeconfig for any token; `name` names the file and the context."""
        cluster = {"server": self.url, "certificate-authority-data": base64.b64encode(self.ca_file.read_bytes()).decode()}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bed", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": "bed", "user": name, "namespace": namespace}}],
            "current-context": name,
        }
        path = self.folder / f"kubeconfig-{name}-{namespace}.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        path.chmod(0o600)
        return path

    def audited(self, username: str) -> list[JsonObject]:
        """Return the audit events of one user's finished requests, oldest first (verb, objectRef, requestURI, times, code).

        Raises:
            ProgramError: the bed was not started with `audit=True`.
        """
        if self.audit_log is None:
            raise ProgramError("This bed keeps no audit log: start it with audit=True.")
        with self.audit_log.open(encoding="utf-8") as lines:
            events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if event["user"]["username"] == username]

    def service_account(self, namespace: str, name: str, seconds: int = 36000) -> str:
        """Make a service account (if need be) and return a signed token for it, valid for `seconds` (600 at least)."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        self.admin.apply([account])
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        made = self.admin.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", request)
        token: str = made["status"]["token"]
        return token

    def namespace(self, prefix: str = "t", labels: dict[str, str] | None = None) -> str:
        """Make a namespace with an unused name and return the name: one a test keeps tests apart."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": f"{prefix}-", "labels": labels or {}}}
        name: str = self.admin.create("/api/v1/namespaces", body)["metadata"]["name"]
        return name

    def install_crds(self, objects: Sequence[JsonObject]) -> None:
        """Apply CustomResourceDefinitions and wait until their kinds are served."""
        self.admin.apply(objects)
        deadline = time.monotonic() + READY_SECONDS
        for name in [item["metadata"]["name"] for item in objects]:
            while not self._established(name):
                if time.monotonic() > deadline:
                    raise ProgramError(f"CRD {name} was not established within {READY_SECONDS:g} s.")
                time.sleep(POLL_SECONDS)

    def _established(self, name: str) -> bool:
        crd = self.admin.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        # Right after its creation a CRD's conditions are null.
        conditions = crd.get("status", {}).get("conditions") or []
        established = any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
        if not established:
            return False
        version = crd["spec"]["versions"][0]["name"]
        plural = crd["spec"]["names"]["plural"]
        try:
            self.admin.get(f"/apis/{crd['spec']['group']}/{version}/{plural}", limit=1)
        except ApiError:
            # The condition is true a moment before the handler serves the kind.
            return False
        return True

    def _bearer(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user)}"}

    def _program(self, name: str, argv: Sequence[str | Path]) -> Program:
        program = Program(name, argv, self.folder / f"{name}.log")
        self._programs.append(program)
        return program

    def _etcd(self, client_port: int, peer_port: int) -> Program:
        self._etcd_port = client_port
        client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        return self._program(
            "etcd",
            [
                self.binaries.etcd,
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )

    def _apiserver(self, port: int) -> Program:
        key = self.folder / "service-account.key"
        key.write_text(_new_signing_key(), encoding="ascii")
        tokens = self.folder / "tokens.csv"
        tokens.write_text("".join(self._token_line(user) for user in self._users.values()), encoding="utf-8")
        argv: list[str | Path] = [
            self.binaries.apiserver,
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            # Without it the server publishes the machine's own address as the `kubernetes` Service's endpoint.
            "--advertise-address=10.244.255.254",
            f"--secure-port={port}",
            f"--cert-dir={self.folder}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={tokens}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
        ]
        if self.audit_log is not None:
            policy = self.folder / "audit-policy.yaml"
            rules = [{"level": "Metadata", "omitStages": ["RequestReceived"]}]
            policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}), encoding="utf-8")
            argv += [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_log}"]
        return self._program("kube-apiserver", argv)

    def _token_line(self, user: User) -> str:
        return f'{self._tokens[user.key]},{user.name},{user.name},"{",".join(user.groups)}"\n'

    def _controller_manager(self) -> Program:
        minor = minor_version(self.binaries.controller_manager)
        controllers = (*CONTROLLERS, *(name for name, since in LATER_CONTROLLERS.items() if minor >= since))
        return self._program(
            "kube-controller-manager",
            [
                self.binaries.controller_manager,
                f"--kubeconfig={self.folder / 'kubeconfig-admin-default.yaml'}",
                "--controllers=" + ",".join(controllers),
                "--leader-elect=false",
                "--secure-port=0",
                f"--root-ca-file={self.ca_file}",
                # The bed's clusters are small and its deadlines short: no client-side rate limit, no slow resync.
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
                "--horizontal-pod-autoscaler-sync-period=1s",
            ],
        )


def minor_version(program: Path) -> int:
    """Of Kubernetes 1, as a program of it says: `Kubernetes v1.36.3` is 36. Raises ProgramError for anything else."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"Kubernetes v1\.(\d+)\.", said)
    if found is None:
        raise ProgramError(f"{program} says of its version: {said!r}.")
    return int(found.group(1))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _new_signing_key() -> str:
    """Make a P-256 private key in PEM: SEC 1's ECPrivateKey holds a random number and the curve; the server derives the rest."""
    prefix, curve = bytes.fromhex("30310201010420"), bytes.fromhex("a00a06082a8648ce3d030107")
    encoded = base64.b64encode(prefix + secrets.token_bytes(32) + curve).decode()
    lines = "\n".join(encoded[start : start + 64] for start in range(0, len(encoded), 64))
    return f"-----BEGIN EC PRIVATE KEY-----\n{lines}\n-----END EC PRIVATE KEY-----\n"
