"""The Kubernetes API in production: the port over the official package's dynamic client.

The package is imported when the first client is made, never with this module: it takes a seventh of a
second. Its own retries are off (it would send a PUT again whose answer was lost, and report our own
success as a conflict), its discovery is not used (every `Kind` says where it is served, and the package's
discovery cache is a predictable file that everybody may write), and its answers are decoded here.

It must not decide what an error means for a release: it raises the port's errors, once, and retries nothing.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import quote

import orjson

from controller.adapters.kube_errors import error_of, error_of_event, error_of_transport, not_kubernetes, tls_error
from controller.adapters.marks import FIELD_MANAGER
from controller.ports import GoneError, Kind, KubeError, Listing, Obj, Patch, UnavailableError, WatchEvent

USER_AGENT = "penstock"
PAGE = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of requests, seconds.

    Attributes:
        connect: until the connection stands.
        read: of the silence within one answer.
        list_read: the same for lists, whose pages are large.
        watch_grace: how long a watch may outlive the end that the server was asked for.
    """

    connect: float = 3.0
    read: float = 5.0
    list_read: float = 30.0
    watch_grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """One finished request, for the metrics: `code` is 0 where no answer came."""

    verb: str
    resource: str
    code: int
    seconds: float


class KubeClient:
    """`WatchKube` and page-wise lists over a `kubernetes` ApiClient. Safe to share between threads."""

    def __init__(self, api_client: Any, *, limits: Limits | None = None, on_request: Callable[[Request], None] | None = None) -> None:
        from kubernetes.dynamic import DynamicClient  # noqa: PLC0415 - a slow import that most modules never need

        self._api = api_client
        make: Any = DynamicClient
        self._dynamic = make(api_client, discoverer=lambda _client, _cache_file: None)
        self._paths: dict[Kind, Any] = {}
        self._warned: set[str] = set()
        self._limits = limits or Limits()
        self._on_request = on_request
        self.server: str = api_client.configuration.host

    def observed_by(self, on_request: Callable[[Request], None]) -> "KubeClient":
        """The same connection, reporting every request."""
        return KubeClient(self._api, limits=self._limits, on_request=on_request)

    def limited_to(self, read_seconds: float) -> "KubeClient":
        """The same connection with a shorter patience, for the lease."""
        limits = replace(self._limits, connect=min(self._limits.connect, read_seconds), read=read_seconds)
        return KubeClient(self._api, limits=limits, on_request=self._on_request)

    def close(self) -> None:
        """Close idle connections."""
        self._api.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object."""
        return self._json("get", kind, self._path(kind, namespace, name), named=name)

    def raw(self, path: str) -> Obj:
        """A GET of any path of the API server (`/version`, a discovery document)."""
        return self._json("get", None, path)

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects, all pages; where the pages grow too old meanwhile, once more in one piece."""
        try:
            pages = [*self.pages(kind, namespace, labels=labels)]
        except GoneError:
            pages = [*self.pages(kind, namespace, labels=labels, limit=0)]
        return Listing([item for page in pages for item in page.items], pages[-1].resource_version)

    def pages(self, kind: Kind, namespace: str = "", *, labels: str = "", limit: int = PAGE) -> Iterator[Listing]:
        """The pages of a list, one at a time; all have the revision of the first. `limit` 0 is one page."""
        path, token = self._path(kind, namespace, ""), ""
        while True:
            params: dict[str, Any] = {"limit": limit} if limit else {}
            if token:
                params["_continue"] = token
            if labels:
                params["label_selector"] = labels
            answer = self._json("list", kind, path, **params)
            metadata, items = answer["metadata"], answer["items"] or []
            for item in items:  # the server leaves these out of typed lists
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
            yield Listing(items, str(metadata.get("resourceVersion", "")))
            token = metadata.get("continue") or ""
            if not token:
                return

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Create."""
        return self._json("create", kind, self._path(kind, namespace, ""), body=dict(body), field_manager=FIELD_MANAGER)

    def replace(self, kind: Kind, namespace: str, name: str, body: Obj) -> Obj:
        """Replace; conditional on the body's resourceVersion."""
        return self._json("update", kind, self._path(kind, namespace, name), body=dict(body), field_manager=FIELD_MANAGER)

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """Patch the object or its subresource and return it as stored."""
        path = self._path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        plain = list(body) if how is Patch.JSON else dict(body)
        params: dict[str, Any] = {"force_conflicts": True} if how is Patch.APPLY else {}
        return self._json("patch", kind, path, body=plain, content_type=how.value, field_manager=FIELD_MANAGER, **params)

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """Delete under preconditions, background propagation."""
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "preconditions": preconditions}
        self._json("delete", kind, self._path(kind, namespace, name), body=options)

    def watch(self, kind: Kind, namespace: str, resource_version: str, *, timeout_seconds: int) -> Iterator[WatchEvent]:
        """The changes since a revision until the server ends the stream.

        A stream that outlives its asked end by the grace is cut: `UnavailableError` (Silence).
        """
        started = time.perf_counter()
        patience = (self._limits.connect, timeout_seconds + self._limits.watch_grace)
        params = {"watch": True, "allow_watch_bookmarks": True, "timeout_seconds": timeout_seconds, "resource_version": resource_version}
        response = self._send("watch", kind, self._path(kind, namespace, ""), patience, started, **params)
        self._report("watch", kind, response.status, started)
        try:
            yield from self._events(response)
        finally:
            response.close()
            response.release_conn()

    def _events(self, response: Any) -> Iterator[WatchEvent]:
        """Whole lines of the stream as events; a blank line is a sign of life and nothing else."""
        rest = b""
        for chunk in self._chunks(response):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield self._event(line, response)
        if rest.strip():
            raise UnavailableError(0, "HalfAnswer", f"The API server at {self.server} broke off in the middle of a watch event.")

    def _chunks(self, response: Any) -> Iterator[bytes]:
        try:
            if response.chunked:
                yield from response.stream(65536, decode_content=False)
            else:
                while chunk := response.read1(65536):
                    yield chunk
        except Exception as error:
            mapped = self._mapped(error)
            if mapped.reason == "Timeout":
                raise UnavailableError(0, "Silence", f"A watch on {self.server} outlived its end without a word.") from error
            raise mapped from error

    def _event(self, line: bytes, response: Any) -> WatchEvent:
        try:
            event = orjson.loads(line)
            kind, body = event["type"], event["object"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise not_kubernetes(response.status, response.headers, line, self.server) from error
        if not isinstance(body, dict):
            raise not_kubernetes(response.status, response.headers, line, self.server)
        if kind == "ERROR":
            raise error_of_event(body, self.server)
        return WatchEvent(kind, body)

    def _json(self, verb: str, kind: Kind | None, path: str, *, named: str = "", **params: Any) -> dict[str, Any]:
        """Send, read the whole answer, decode. One that is no list, or not about the object that was `named`, comes from something else."""
        started = time.perf_counter()
        patience = (self._limits.connect, self._limits.list_read if verb == "list" else self._limits.read)
        response = self._send(verb, kind, path, patience, started, **params)
        try:
            data = response.data
        except Exception as error:
            self._report(verb, kind, 0, started)
            raise self._mapped(error) from error
        self._report(verb, kind, response.status, started)
        self._log_warnings(response.headers)
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise not_kubernetes(response.status, response.headers, data, self.server) from error
        if not isinstance(answer, dict) or (named and _name_of(answer) != named) or (verb == "list" and not _is_list(answer)):
            raise not_kubernetes(response.status, response.headers, data, self.server)
        return answer

    def _send(self, verb: str, kind: Kind | None, path: str, patience: tuple[float, float], started: float, **params: Any) -> Any:
        """One request through the dynamic client; the raw answer if it is 2xx."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - as above

        method = {"create": "post", "update": "put", "patch": "patch", "delete": "delete"}.get(verb, "get")
        try:
            return self._dynamic.request(method, path, serialize=False, _request_timeout=patience, **params)
        except ApiException as error:
            self._report(verb, kind, error.status or 0, started)
            if not error.status:
                raise tls_error(str(error.reason), self.server) from error
            body = error.body if isinstance(error.body, bytes) else str(error.body or "").encode()
            raise error_of(error.status, cast("Mapping[str, str]", error.headers or {}), body, self.server) from error
        except Exception as error:
            self._report(verb, kind, 0, started)
            raise self._mapped(error) from error

    def _mapped(self, error: Exception) -> KubeError:
        """The port's error of a transport error; a defect of ours stays what it is."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with the slow import

        if not isinstance(error, (HTTPError, OSError)):
            raise error
        return error_of_transport(error, self.server)

    def _path(self, kind: Kind, namespace: str, name: str) -> str:
        resource = self._paths.get(kind)
        if resource is None:
            from kubernetes.dynamic.resource import Resource  # noqa: PLC0415 - as above

            make: Any = Resource
            resource = make(
                prefix="apis" if kind.group else "api",
                group=kind.group,
                api_version=kind.version,
                kind=kind.kind,
                namespaced=kind.namespaced,
                name=kind.plural,
                client=self._dynamic,
            )
            self._paths[kind] = resource
        return str(resource.path(name=quote(name, safe=""), namespace=quote(namespace, safe="")))

    def _report(self, verb: str, kind: Kind | None, code: int, started: float) -> None:
        if self._on_request is not None:
            self._on_request(Request(verb, kind.plural if kind else "", code, time.perf_counter() - started))

    def _log_warnings(self, headers: Any) -> None:
        """Each of the server's warnings is said once."""
        for text in headers.getlist("Warning"):
            if text not in self._warned and len(self._warned) < 1000:  # noqa: PLR2004 - a bound for the set, no matter which
                self._warned.add(text)
                log.warning("The API server warns: %s", text.removeprefix('299 - "').removesuffix('"'))


def _name_of(answer: dict[str, Any]) -> Any:
    """The name of an object that may be anything."""
    meta = answer.get("metadata")
    return meta.get("name") if isinstance(meta, dict) else None


def _is_list(answer: dict[str, Any]) -> bool:
    """Whether this is a list of objects. One without its items would read as an empty one, and everything would count as deleted."""
    items = answer.get("items", ...)
    if not isinstance(answer.get("metadata"), dict) or not (items is None or isinstance(items, list)):
        return False
    return all(isinstance(item, dict) and isinstance(item.get("metadata"), dict) for item in items or ())
