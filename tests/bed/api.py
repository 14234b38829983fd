"""A plain HTTP client for the API server of the bed: what the tests and the bed's own helpers speak.

It knows nothing of the controller's adapters, so that a test never checks them with themselves. Thread-safe.
"""

from __future__ import annotations

import json
import ssl
import threading
from typing import TYPE_CHECKING, Any

import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

JsonObject = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "bed"
NOT_FOUND = 404
FIRST_ERROR = 400


class ApiError(Exception):
    """The API server answered with an error; `status` is its code and `body` the Status object or text."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.body = response.text
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status} {self.body[:600]}")


def documents(path: Path) -> list[JsonObject]:
    """Read the objects of a YAML file, empty documents left out."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [item for item in yaml.load_all(path.read_text(encoding="utf-8"), Loader=loader) if item]


class Api:
    """One user's access to one API server.

    Args:
        url: base address, `https://127.0.0.1:PORT`.
        token: bearer token; None sends none (anonymous).
        ca_file: certificate bundle; None accepts any certificate.
    """

    def __init__(self, url: str, token: str | None, ca_file: Path | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        verify = ssl.create_default_context(cafile=ca_file) if ca_file else False
        # No upper bound: a stopped watch keeps its connection until the server's next bookmark.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self.http = httpx.Client(base_url=url, headers=headers, verify=verify, timeout=30.0, limits=limits, trust_env=False)
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close its connections."""
        self.http.close()

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json", **params: Any) -> httpx.Response:
        """Send one request and return the answer whatever its status; `body` is sent as JSON."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": content_type}
        try:
            return self.http.request(method, path, content=content, headers=headers, params=params)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if method != "GET":
                raise
            # A kept connection may be closed under a thread that has just taken it; a read may be asked again, as HTTP says.
            return self.http.request(method, path, content=content, headers=headers, params=params)

    def _decoded(self, response: httpx.Response) -> JsonObject:
        if response.status_code >= FIRST_ERROR:
            raise ApiError(response)
        decoded: JsonObject = response.json()
        return decoded

    def get(self, path: str, **params: Any) -> JsonObject:
        """Read an object or a list. Raises ApiError."""
        return self._decoded(self.request("GET", path, **params))

    def find(self, path: str) -> JsonObject | None:
        """Read an object, None when there is none. Raises ApiError for every other refusal."""
        response = self.request("GET", path)
        return None if response.status_code == NOT_FOUND else self._decoded(response)

    def create(self, path: str, body: JsonObject) -> JsonObject:
        """POST to a collection. Raises ApiError."""
        return self._decoded(self.request("POST", path, body))

    def replace(self, path: str, body: JsonObject) -> JsonObject:
        """PUT an object. Raises ApiError."""
        return self._decoded(self.request("PUT", path, body))

    def patch(self, path: str, body: Any, content_type: str = MERGE) -> JsonObject:
        """PATCH an object or subresource, by default as a merge patch. Raises ApiError."""
        return self._decoded(self.request("PATCH", path, body, content_type))

    def delete(self, path: str, **options: Any) -> JsonObject:
        """DELETE an object or collection; options become the DeleteOptions body. Raises ApiError."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options} if options else None
        return self._decoded(self.request("DELETE", path, body))

    def apply(self, objects: Iterable[Mapping[str, Any]], namespace: str = "default") -> list[JsonObject]:
        """Server-side apply objects in order; those without a namespace get `namespace`. Raises ApiError."""
        applied = []
        for item in objects:
            path = self.path_of(item["apiVersion"], item["kind"], item["metadata"].get("namespace", namespace), item["metadata"]["name"])
            response = self.request("PATCH", path, dict(item), APPLY, fieldManager=FIELD_MANAGER, force="true")
            applied.append(self._decoded(response))
        return applied

    def apply_files(self, *paths: Path, namespace: str = "default") -> list[JsonObject]:
        """Server-side apply every YAML document of the files, in order. Raises ApiError."""
        return [made for path in paths for made in self.apply(documents(path), namespace)]

    def path_of(self, api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        """Find the path of a kind by discovery; the namespace is dropped for cluster-scoped kinds. Raises ApiError, KeyError."""
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        plural, namespaced = self._discover(prefix, kind)
        scope = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{prefix}{scope}/{plural}" + (f"/{name}" if name else "")

    def _discover(self, prefix: str, kind: str) -> tuple[str, bool]:
        with self._lock:
            known = self._resources.get(prefix, {})
            if kind not in known:
                found = self.get(prefix)["resources"]
                known = {item["kind"]: (item["name"], item["namespaced"]) for item in found if "/" not in item["name"]}
                self._resources[prefix] = known
            return known[kind]

    def watch(self, path: str, resource_version: str, seconds: int = 300, **params: Any) -> Iterator[JsonObject]:
        """Yield watch events until the server or the network ends the stream; bookmarks included.

        Raises:
            ApiError: the watch was refused.
            httpx.HTTPError: the connection broke.
        """
        query = {"watch": "true", "resourceVersion": resource_version, "timeoutSeconds": seconds, "allowWatchBookmarks": "true", **params}
        timeout = httpx.Timeout(30.0, read=seconds + 30.0)
        with self.http.stream("GET", path, params=query, timeout=timeout) as response:
            if response.status_code >= FIRST_ERROR:
                response.read()
                raise ApiError(response)
            for line in response.iter_lines():
                if line:
                    yield json.loads(line)
