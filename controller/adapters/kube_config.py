"""How to reach the API server: kubeconfig or the pod's own service account, made into a client.

Every way in which a kubeconfig can be wrong is one clear sentence (`ConfigError`). Reading the file and
choosing context, cluster and user is done here, before the slow import of the package; credentials
(tokens, certificates, exec plugins, OIDC) are the package's, except token files: those are read again,
because a kubelet rotates them, which the package does not notice for a kubeconfig's `tokenFile`.
"""

import binascii
import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from controller.adapters.kube import USER_AGENT, KubeClient, Limits, Request
from controller.adapters.kube_errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_REREAD_SECONDS = 10.0
"""A kubelet rotates a token well before it expires, so that ten seconds of age never matter."""

CONNECTIONS = 64
"""Idle connections kept: one a watch and one a worker, with room."""

KEEPALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]
"""A peer that is gone without a word is noticed within 25 s, also by a watch that waits in silence."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A way to the API server.

    Attributes:
        kube: the client.
        namespace: of the context, or of the pod; `default` where neither names one.
        user: the kubeconfig's name of the user, `serviceaccount` inside a pod.
        server: address.
        context: name of the context; "" inside a pod.
    """

    kube: KubeClient
    namespace: str
    user: str
    server: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One named entry of a kubeconfig, with the file it stands in: its relative paths start there."""

    file: Path
    name: str
    body: Mapping[str, Any]


def connect(
    kubeconfig: str = "",
    context: str = "",
    *,
    limits: Limits | None = None,
    on_request: Callable[[Request], None] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Connection:
    """A client by `--kubeconfig`, else `$KUBECONFIG`, else `~/.kube/config`, else the pod's service account.

    Raises:
        ConfigError: missing, broken, without the context, or with credentials that cannot be had.
    """
    asked = kubeconfig or environ.get("KUBECONFIG", "")
    files = [Path(part).expanduser() for part in asked.split(os.pathsep) if part] if asked else [Path("~/.kube/config").expanduser()]
    present = [file for file in files if file.exists()]
    if not present and not asked and not context and environ.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster(environ, limits, on_request)
    if not present:
        names = " or ".join(str(file) for file in files)
        raise ConfigError(f"There is no kubeconfig at {names}; name one with --kubeconfig or $KUBECONFIG.")
    return _by_kubeconfig(present, context, limits, on_request)


def _by_kubeconfig(files: list[Path], context: str, limits: Limits | None, on_request: Callable[[Request], None] | None) -> Connection:
    documents = [(file, _read(file)) for file in files]
    wanted = context or next((str(doc["current-context"]) for _, doc in documents if doc.get("current-context")), "")
    if not wanted:
        raise ConfigError(f"The kubeconfig {_names(files)} has no current-context; name one with --context.")
    chosen = _find(documents, "contexts", "context", wanted)
    if chosen is None:
        known = ", ".join(sorted(entry.name for entry in _entries(documents, "contexts", "context"))) or "none"
        raise ConfigError(f"The kubeconfig {_names(files)} has no context {wanted!r}; it has {known}.")
    cluster_name, user_name = str(chosen.body.get("cluster") or ""), str(chosen.body.get("user") or "")
    cluster = _find(documents, "clusters", "cluster", cluster_name)
    if cluster is None:
        raise ConfigError(f"Context {wanted!r} of the kubeconfig {_names(files)} names cluster {cluster_name!r}, which it does not have.")
    if not str(cluster.body.get("server") or "").startswith(("http://", "https://")):
        raise ConfigError(f"Cluster {cluster_name!r} of the kubeconfig {cluster.file} has no server address (https://...).")
    user = _find(documents, "users", "user", user_name)
    if user is None and user_name:
        raise ConfigError(f"Context {wanted!r} of the kubeconfig {_names(files)} names user {user_name!r}, which it does not have.")
    configuration = _load(cluster, user or _Entry(cluster.file, "", {}))
    kube = _client(configuration, limits, on_request)
    return Connection(kube, str(chosen.body.get("namespace") or "default"), user_name, kube.server, wanted)


def _load(cluster: _Entry, user: _Entry) -> Any:
    """The package's Configuration of one cluster and one user, credentials loaded."""
    from kubernetes.client import Configuration  # noqa: PLC0415 - a slow import
    from kubernetes.config import ConfigException  # noqa: PLC0415 - as above
    from kubernetes.config.kube_config import KubeConfigLoader  # noqa: PLC0415 - as above

    where = f"User {user.name!r} of the kubeconfig {user.file}"
    document = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": _absolute(cluster, "certificate-authority")}],
        "users": [{"name": "it", "user": _absolute(user, "client-certificate", "client-key", "tokenFile")}],
    }
    asked = user.body.get("exec")
    plugin = str(asked.get("command") or "") if isinstance(asked, Mapping) else ""
    if plugin and not shutil.which(plugin) and not (user.file.parent / plugin).is_file():
        raise ConfigError(f"{where} asks the plugin {plugin!r} for credentials, which is not installed here.")
    configuration, loader = Configuration(), cast("Any", KubeConfigLoader)
    try:
        loader(document, config_base_path=str(user.file.parent)).load_and_set(configuration)
    except (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ConfigError(f"{where} or its cluster cannot be used: {_flat(error)}.") from error
    if "exec" in user.body and not configuration.api_key and not configuration.cert_file:
        raise ConfigError(f"{where} has no credentials: its plugin {plugin!r} failed, its own words stand above.")
    if user.body.get("tokenFile") and not user.body.get("token"):
        TokenFile(user.file.parent / str(user.body["tokenFile"])).attach(configuration)
    elif configuration.refresh_api_key_hook is not None:
        configuration.refresh_api_key_hook = sometimes(configuration.refresh_api_key_hook)
    return configuration


def _in_cluster(environ: Mapping[str, str], limits: Limits | None, on_request: Callable[[Request], None] | None) -> Connection:
    from kubernetes.client import Configuration  # noqa: PLC0415 - a slow import

    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    configuration = Configuration()
    configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    authority, namespace = SERVICE_ACCOUNT / "ca.crt", SERVICE_ACCOUNT / "namespace"
    if not authority.exists():
        raise ConfigError(f"There is no kubeconfig, and {authority} is missing: does this pod mount its service account?")
    configuration.ssl_ca_cert = str(authority)
    TokenFile(SERVICE_ACCOUNT / "token").attach(configuration)
    kube = _client(configuration, limits, on_request)
    named = namespace.read_text(encoding="utf-8").strip() if namespace.exists() else ""
    return Connection(kube, named or "default", "serviceaccount", kube.server)


def _client(configuration: Any, limits: Limits | None, on_request: Callable[[Request], None] | None) -> KubeClient:
    from kubernetes.client import ApiClient  # noqa: PLC0415 - a slow import

    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.client_side_validation = False
    configuration.socket_options = KEEPALIVE
    api = ApiClient(configuration)
    api.user_agent = USER_AGENT
    return KubeClient(api, limits=limits, on_request=on_request)


class TokenFile:
    """A bearer token that is read again when it has got old. The last good one stays where the file is gone."""

    def __init__(self, path: Path, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._path, self._steady, self._token = path, steady, ""

    def attach(self, configuration: Any) -> None:
        """Let every request carry the newest token. Raises `ConfigError` where there is none at all."""
        self.refresh(configuration)
        if not self._token:
            raise ConfigError(f"The token file {self._path} is missing or empty.")
        configuration.refresh_api_key_hook = sometimes(self.refresh, steady=self._steady)

    def refresh(self, configuration: Any) -> None:
        """Read the file."""
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except OSError:
            return
        if token:
            self._token = token
            configuration.api_key["BearerToken"] = f"Bearer {token}"


def sometimes(refresh: Callable[[Any], None], *, steady: Callable[[], float] = time.monotonic) -> Callable[[Any], None]:
    """The hook that the package calls before each request, so that most calls cost nothing.

    Its own one sets all fields anew and walks the environment for proxies, 1 ms, and renews credentials minutes before they expire.
    """
    due = float("-inf")

    def refresh_when_due(configuration: Any) -> None:
        nonlocal due
        if steady() >= due:
            due = steady() + TOKEN_REREAD_SECONDS
            refresh(configuration)
            configuration.refresh_api_key_hook = refresh_when_due  # the package's own one puts itself back

    return refresh_when_due


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    except OSError as error:
        raise ConfigError(f"The kubeconfig {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The kubeconfig {file} is not a text file.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"The kubeconfig {file} is not valid YAML{place}: {getattr(error, 'problem', None) or _flat(error)}.") from error
    if not isinstance(document, dict):
        raise ConfigError(f"The kubeconfig {file} is {'empty' if document is None else 'no mapping'}.")
    return document


def _entries(documents: list[tuple[Path, dict[str, Any]]], section: str, body: str) -> list[_Entry]:
    """The named entries of a section; of namesakes the first file wins, as with kubectl."""
    found: dict[str, _Entry] = {}
    for file, document in documents:
        rows = document.get(section) or []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigError(f"The kubeconfig {file} is broken: {section!r} is no list of mappings.")
        for row in rows:
            content = row.get(body) or {}
            if not isinstance(content, dict):
                raise ConfigError(f"The kubeconfig {file} is broken: {body!r} of {row.get('name')!r} is no mapping.")
            found.setdefault(str(row.get("name")), _Entry(file, str(row.get("name")), content))
    return list(found.values())


def _find(documents: list[tuple[Path, dict[str, Any]]], section: str, body: str, name: str) -> _Entry | None:
    return next((entry for entry in _entries(documents, section, body) if entry.name == name), None)


def _absolute(entry: _Entry, *keys: str) -> dict[str, Any]:
    """The entry with these paths made absolute."""
    paths = {key: str(entry.file.parent / str(entry.body[key])) for key in keys if entry.body.get(key)}
    return {**entry.body, **paths}


def _names(files: list[Path]) -> str:
    return ", ".join(str(file) for file in files)


def _flat(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
