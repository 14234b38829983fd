"""What the embedded cluster answers over HTTP beside the API server: Prometheus, and health probes through a proxy."""

import threading
from email.utils import formatdate
from urllib.parse import parse_qsl, urlsplit

import orjson

from controller.ports import ENDPOINT_SLICE, SERVICE
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.apiserver.wire import Reply, Request
from controller.simulator.promql.api import HttpApi

SERVICE_LABEL = "kubernetes.io/service-name"


class PrometheusFront:
    """Prometheus's HTTP API under a lock.

    Attributes:
        fault: "" or a `prometheus-*` fault of a scenario: every query is answered accordingly.
    """

    def __init__(self, api: HttpApi, lock: threading.RLock) -> None:
        self._api, self._lock = api, lock
        self.fault = ""
        self.asked = 0

    def handle(self, request: Request) -> Reply:
        """GET with a query, or POST with a form."""
        self.asked += 1
        dated = {"Date": formatdate(usegmt=True)}
        if self.fault in ("prometheus-down", "prometheus-slow", "prometheus-error"):
            return Reply(503, b"Service Unavailable\n", "text/plain", dated)
        params = dict(request.query)
        if request.method == "POST":
            params |= dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        with self._lock:
            code, body = self._api.handle(request.path, params)
        if isinstance(body, str):
            return Reply(code, body.encode(), "text/plain; charset=utf-8", dated)
        if self.fault == "prometheus-partial":
            body = {**body, "warnings": ["a partial answer, as the scenario wants it"]}
        if self.fault in ("prometheus-empty", "prometheus-nan") and isinstance(body.get("data"), dict):
            body = {**body, "data": {**body["data"], "result": []}}
        return Reply(code, orjson.dumps(body), "application/json", dated)


class ProbeProxy:
    """An HTTP proxy for health probes: a Service answers 200 while it has a ready endpoint.

    Attributes:
        failing: parts of addresses whose probes fail, as a scenario's fault wants it.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.failing: set[str] = set()

    def handle(self, request: Request) -> Reply:
        """A GET of a whole address, as clients send it to a proxy."""
        host = urlsplit(request.path).hostname or ""
        name, _, rest = host.partition(".")
        namespace = rest.partition(".")[0] or "default"
        try:
            self._server.get(SERVICE, namespace, name)
        except ApiError:
            return _plain(502, f"There is no Service {namespace}/{name}.\n")
        if any(part in request.path for part in self.failing):
            return _plain(503, "The application says that it is not healthy.\n")
        if not self.ready_endpoints(namespace, name):
            return _plain(503, f"Service {namespace}/{name} has no ready endpoint.\n")
        return _plain(200, "ok\n")

    def ready_endpoints(self, namespace: str, service: str) -> int:
        """How many endpoints of a Service are ready."""
        slices = self._server.list(ENDPOINT_SLICE, namespace, labels=f"{SERVICE_LABEL}={service}").items
        return sum(1 for one in slices for endpoint in one.get("endpoints") or () if (endpoint.get("conditions") or {}).get("ready", True))


def _plain(code: int, text: str) -> Reply:
    return Reply(code, text.encode(), "text/plain; charset=utf-8")
