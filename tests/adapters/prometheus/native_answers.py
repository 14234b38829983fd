"""What a real Prometheus 3 answers about native histograms: asked anew, or as it was recorded.

Run as a script to record it.
"""

import contextlib
import json
import math
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import httpx

from controller.core.asking import TARGETS
from controller.core.queries import LATENCY, latency_selector, over_window
from tests.bed import protobuf
from tests.bed.exporter import LATENCY_BOUNDS_MS
from tests.bed.metrics import Registry
from tests.bed.prometheus import Histograms, Prometheus, Scrape
from tests.bed.waiting import eventually

ANSWERS = Path(__file__).parent / "native-answers-3.json"
DICE = Random(7)
VALUES = Counter(round(DICE.lognormvariate(math.log(40), 0.65), 3) for _ in range(2000))
KINDS = {"custom": Histograms.CUSTOM_AND_CLASSIC, "native": Histograms.NATIVE_AND_CLASSIC}
"""Each beside the classic buckets of the same requests."""


def raw(kind, seconds=4):
    """The question for raw samples, as a sequential check puts it."""
    labels = f'kind="{kind}"'
    return f"{latency_selector(labels)}[{seconds}s]"


def summed(kind, seconds=4):
    """The look back at blue, as a release that begins puts it, of whichever kind there is alone."""
    return over_window(f'sum by ({TARGETS},le) ({LATENCY}{{kind="{kind}"}})', seconds, 1)


class _Page(BaseHTTPRequestHandler):
    """One histogram: in protobuf with classic and native buckets, in text with classic ones."""

    registry = Registry()

    def do_GET(self):
        proto = protobuf.CONTENT_TYPE.partition(";")[0] in self.headers.get("Accept", "")
        body = self.registry.delimited(lambda _: ("classic", "native")) if proto else self.registry.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", protobuf.CONTENT_TYPE if proto else "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def asked():
    """The bodies of a real server's answers by question, and its version under `version`."""
    for value, times in VALUES.items():
        _Page.registry.observe(LATENCY, (("reporter", "source"),), LATENCY_BOUNDS_MS, value, times)
    target = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{target.server_port}"
    with Prometheus([Scrape(kind, address, (("kind", kind),), how) for kind, how in KINDS.items()]) as server:
        enough = [f'count_over_time({LATENCY}{{kind="{kind}"}}[10s]) >= 6' for kind in KINDS]
        eventually(lambda: all(map(server.query, enough)), 20, "a native histogram of either kind")
        now = time.time()
        bodies = {"version": httpx.get(f"{server.url}/api/v1/status/buildinfo").json()["data"]["version"]}
        for question in (question(kind) for kind in KINDS for question in (raw, summed)):
            bodies[question] = httpx.get(f"{server.url}/api/v1/query", params={"query": question, "time": now}).text
        yield bodies
    target.shutdown()
    target.server_close()


def recorded():
    """The same, as they were recorded."""
    return json.loads(ANSWERS.read_text())


def record():
    """Write what the real one says."""
    with asked() as bodies:
        ANSWERS.write_text(json.dumps(bodies, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(record())
