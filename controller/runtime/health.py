"""`/livez`, `/readyz`, `/healthz` and `/metrics` over plain HTTP, on a thread of its own."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from controller.adapters.kube_errors import ConfigError

Answer = Callable[[], tuple[bool, str]]
"""Whether all is well, and a sentence."""

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class HealthServer:
    """Serves until closed.

    Args:
        address: `host:port`; port 0 takes a free one, see `port`.
        live: whether the process should go on living; `healthz` is the same.
        ready: whether it does its work.
        metrics: the exposition text.

    Raises:
        ConfigError: the address is taken, or cannot be listened on.
    """

    def __init__(self, address: str, *, live: Answer, ready: Answer, metrics: Callable[[], str]) -> None:
        host, _, port = address.rpartition(":")
        answers = {"/livez": live, "/healthz": live, "/readyz": ready}

        class Handler(BaseHTTPRequestHandler):
            timeout = 10.0

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(HTTPStatus.OK, metrics(), PROMETHEUS_TEXT)
                elif path in answers:
                    well, sentence = answers[path]()
                    self._answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, sentence + "\n", "text/plain; charset=utf-8")
                else:
                    self._answer(HTTPStatus.NOT_FOUND, "There are /livez, /readyz, /healthz and /metrics.\n", "text/plain; charset=utf-8")

            def _answer(self, status: HTTPStatus, text: str, kind: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Probes are no news."""

        try:
            self._server = ThreadingHTTPServer((host.strip("[]") or "0.0.0.0", int(port)), Handler)  # noqa: S104 - probes come from the node
        except (OSError, OverflowError) as error:
            words = (getattr(error, "strerror", None) or str(error)).rstrip(".")
            raise ConfigError(f"The controller cannot listen on {address}: {words}.") from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
