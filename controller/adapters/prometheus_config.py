"""The part of the controller's configuration file that names the Prometheus providers.

A plan only names a provider; addresses and credentials stand here, and secrets in files that are read
again for each query, so that a rotated token needs no restart.
"""

import json
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from controller.adapters.config_files import read_yaml
from controller.adapters.kube_errors import ConfigError
from controller.api.base import Duration, Model
from controller.api.validate_words import in_words

_FORBIDDEN_HEADERS = frozenset({"authorization", "host", "content-length", "transfer-encoding", "connection"})


class BasicAuth(Model):
    """A user and the file with the password."""

    username: Annotated[str, Field(min_length=1, max_length=256)] = Field(description="User name.")
    password_file: Annotated[str, Field(min_length=1)] = Field(description="File with the password; read again for each query.")


class Provider(Model):
    """One Prometheus, or what answers in its place (Thanos, Mimir, VictoriaMetrics)."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name by which plans refer to it.")
    url: str = Field(description="Address up to and without /api/v1, such as http://prometheus.monitoring:9090.")
    bearer_token_file: str | None = Field(default=None, description="File with a bearer token; read again for each query.")
    basic_auth: BasicAuth | None = Field(default=None, description="User and password.")
    ca_file: str | None = Field(default=None, description="Certificate authorities of the server; the system's if absent.")
    headers: dict[str, str] = Field(default={}, description="Extra headers, such as X-Scope-OrgID.")
    timeout: Duration = Field(default=10.0, description="Deadline of one query, everything included.")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"found {value!r}, expected an address such as http://prometheus.monitoring:9090")
        if parts.username is not None or parts.password is not None:
            raise ValueError("found credentials in the address, expected basicAuth with a passwordFile")
        if parts.query or parts.fragment:
            raise ValueError("found a query in the address, expected only scheme, host, port and path")
        return value.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _own_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name.lower() in _FORBIDDEN_HEADERS:
                raise ValueError(f"found the header {name}, which Penstock sets itself; use bearerTokenFile or basicAuth")
        return value

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if self.bearer_token_file and self.basic_auth:
            raise ValueError("found bearerTokenFile together with basicAuth, expected one of the two")
        if self.timeout <= 0:
            raise ValueError("found a timeout of 0, expected a deadline such as 10s")
        return self


class PrometheusConfig(Model):
    """All providers; the first one is the default."""

    providers: Annotated[list[Provider], Field(max_length=64)] = Field(
        default=[], description="Providers; a check that names none asks the first."
    )

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [provider.name for provider in self.providers]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"found the provider {', '.join(double)} more than once, expected each name once")
        return self


def load_config(path: Path) -> PrometheusConfig:
    """The providers of a YAML file. Raises `ConfigError` with everything that is wrong in one sentence."""
    content = read_yaml(path, "The providers' file")
    if not isinstance(content, dict):
        raise ConfigError(f"The providers' file {path} is no mapping: it begins with `providers:` and has a list below.")
    try:
        return PrometheusConfig.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise ConfigError(f"The providers' file {path} cannot be used: {in_words(error, PrometheusConfig)}.") from error
