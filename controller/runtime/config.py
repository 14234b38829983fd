"""The controller's configuration: a YAML file, and flags that win over it."""

import json
import os
import socket
import uuid
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from controller.adapters.config_files import read_yaml
from controller.adapters.kube_errors import ConfigError
from controller.api.base import Duration, Model
from controller.api.validate_words import in_words


class LeaseConfig(Model):
    """Leader election."""

    name: str = Field(default="penstock", description="Name of the Lease.")
    namespace: str = Field(default="", description="Its namespace; the controller's own if empty.")
    duration: Duration = Field(default=10.0, description="After this much silence another replica takes over.")
    renew: Duration = Field(default=2.0, description="Between two renewals.")

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.renew * 2 > self.duration:
            raise ValueError(f"found renew {self.renew:g} s with duration {self.duration:g} s, expected at most half of it")
        return self


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535) or any(char.isspace() for char in host):  # noqa: PLR2004 - the last port
        raise ValueError(f"found {value!r}, expected HOST:PORT such as 0.0.0.0:8080")
    return value


class ControllerConfig(Model):
    """What the installation decides."""

    namespaces: list[str] = Field(default=[], description="Namespaces to watch; all if empty.")
    kubeconfig: str = Field(default="", description="Path of a kubeconfig; the pod's service account if empty and there is none.")
    context: str = Field(default="", description="Context of the kubeconfig.")
    providers: str = Field(default="", description="Path of the file that names the Prometheus providers.")
    identity: str = Field(default="penstock", description="The controller's user name, to tell its writes from those of others.")
    cluster_domain: str = Field(default="cluster.local", description="Suffix of in-cluster host names.")
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=16, description="Releases that are looked at side by side; a quarter of them is kept for those that roll back."
    )
    lease: LeaseConfig = Field(default_factory=LeaseConfig, description="Leader election.")
    listen: Annotated[str, AfterValidator(_address)] = Field(
        default="0.0.0.0:8080", description="Address of /livez, /readyz, /healthz and /metrics."
    )
    time_divisor: Annotated[float, Field(ge=1)] = Field(default=1.0, description="Divides every duration of a plan; for demos and tests.")
    make_namespaces: bool = Field(default=False, description="A release may make green's namespace; needs the optional ClusterRole.")
    cluster_name: str = Field(default="", description="Our name in Istio's destination_cluster; one cluster, whichever it is, if empty.")
    probe_proxy: str = Field(
        default="",
        pattern=r"^(https?://[^\s/]+/?)?$",
        description="HTTP proxy through which health probes are sent, where the controller cannot reach in-cluster addresses itself.",
    )
    resync: Duration = Field(default=300.0, description="Every unfinished release is looked at at least this often.")
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = Field(default="INFO", description="Least that is logged.")


def load_config(path: str = "", **flags: Any) -> ControllerConfig:
    """The file's settings, overlaid with every flag that is not None; `lease_duration` and the like reach into `lease`.

    Raises:
        ConfigError: with every fault of it in one sentence.
    """
    settings = _read(Path(path)) if path else {}
    given = {to_camel(name): value for name, value in flags.items() if value is not None and not name.startswith("lease_")}
    lease = {name.removeprefix("lease_"): value for name, value in flags.items() if value is not None and name.startswith("lease_")}
    if lease:
        given["lease"] = (settings.get("lease") or {}) | lease
    try:
        return ControllerConfig.model_validate_json(json.dumps(settings | given, default=str))
    except ValidationError as error:
        faults = in_words(error, ControllerConfig)
        raise ConfigError(f"The controller's configuration {path or 'of the flags'} cannot be used: {faults}.") from error


def _read(path: Path) -> dict[str, Any]:
    document = read_yaml(path, "The controller's configuration")
    if document is not None and not isinstance(document, dict):
        raise ConfigError(f"The controller's configuration {path} is no mapping.")
    return document or {}


def process_identity() -> str:
    """A name that no other process has, not even a restarted one in the same pod."""
    return f"{os.environ.get('HOSTNAME') or socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
