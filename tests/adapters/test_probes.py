"""Health probes against a server of our own."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from controller.adapters.http import HttpProber


class Answers(BaseHTTPRequestHandler):
    """The status is in the path."""

    def do_GET(self):
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        """Nothing is said."""


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answered", "wanted", "ok", "message"),
    [
        (200, None, True, "HTTP 200"),
        (204, None, True, "HTTP 204"),
        (404, None, False, "HTTP 404"),
        (200, 200, True, "HTTP 200"),
        (204, 200, False, "HTTP 204, expected 200"),
        (503, 503, True, "HTTP 503"),
    ],
)
def test_a_probe_passes_by_the_status_that_the_plan_wants(address, answered, wanted, ok, message):
    """A manual that goes back on anything other than 200 means a 204 of a proxy in front, too."""
    found = HttpProber().probe(f"{address}/{answered}", timeout_seconds=3, status=wanted)

    assert (found.ok, found.message) == (ok, message)
