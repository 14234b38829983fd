"""A real Prometheus on loopback, scraping once a second: Debian's package, or whatever `prometheus` is on the PATH.

with Prometheus([Scrape("mesh", exporter.address)]) as prometheus:
    prometheus.value('sum(rate(istio_requests_total{reporter="source"}[10s]))')
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.bed.processes import PortLease, Program, ProgramError, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_SECONDS = 30.0
INSTALL_COMMAND = "apt-get install -y prometheus"


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape job.

    Attributes:
        job: its name, the label `job`.
        address: host:port of the target; `/metrics` is read.
        labels: labels added to every sample.
    """

    job: str
    address: str
    labels: tuple[tuple[str, str], ...] = ()


def why_unavailable() -> str | None:
    """Say in one sentence why Prometheus cannot run here and how to get it; None where it can."""
    if _program() is not None:
        return None
    return f"there is no prometheus on the PATH: run `{INSTALL_COMMAND}` (Debian, Ubuntu) or put a 2.42 or later there"


def _program() -> str | None:
    return shutil.which("prometheus", path=f"{os.environ.get('PATH', '')}:/usr/bin")


class Prometheus:
    """The server, up from `__enter__` to `__exit__`; jobs can be changed while it runs.

    Attributes:
        url: base address, without a slash at the end.
        program: the process, to be paused, killed and started again by fault tests.
    """

    def __init__(self, scrapes: Sequence[Scrape] = (), interval_seconds: float = 1.0, features: Sequence[str] = ()) -> None:
        program = _program()
        if program is None:
            raise ProgramError(f"Prometheus cannot start: {why_unavailable()}.")
        self._interval = f"{round(interval_seconds * 1000)}ms"
        self._ports = PortLease()
        self.folder = scratch_folder("prometheus")
        self._config = self.folder / "prometheus.yaml"
        self._write(scrapes)
        port = self._ports.take()
        self.url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(base_url=self.url, timeout=10.0, trust_env=False)
        argv = [
            program,
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            "--log.level=warn",
            *(f"--enable-feature={feature}" for feature in features),
        ]
        self.program = Program("prometheus", argv, self.folder / "prometheus.log")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, also again after a fault test has killed it (its samples survive), and wait until it is ready."""
        self.program.start()
        self.program.wait_until(self.ready, READY_SECONDS)

    def close(self) -> None:
        """Kill it and remove its data."""
        self.program.kill()
        self._http.close()
        self._ports.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ready(self) -> bool:
        """Whether it answers queries."""
        try:
            return self._http.get("/-/ready", timeout=1.0).is_success
        except httpx.HTTPError:
            return False

    def scrape(self, scrapes: Sequence[Scrape]) -> None:
        """Replace all jobs; in force when this returns."""
        self._write(scrapes)
        self._http.post("/-/reload").raise_for_status()

    def query(self, promql: str, time: float | None = None) -> list[dict[str, Any]]:
        """Ask an instant query; return the result list (a scalar as one sample without labels). Raises httpx.HTTPStatusError."""
        params: dict[str, str | float] = {"query": promql} if time is None else {"query": promql, "time": time}
        answer = self._http.get("/api/v1/query", params=params)
        answer.raise_for_status()
        data = answer.json()["data"]
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result

    def value(self, promql: str, time: float | None = None) -> float | None:
        """Ask for one number; None while there is none. Raises ProgramError for several series."""
        result = self.query(promql, time)
        if len(result) > 1:
            raise ProgramError(f"{promql} has {len(result)} series.")
        return float(result[0]["value"][1]) if result else None

    def _write(self, scrapes: Sequence[Scrape]) -> None:
        jobs = [
            {
                "job_name": scrape.job,
                "honor_labels": True,
                "static_configs": [{"targets": [scrape.address], "labels": dict(scrape.labels)}],
            }
            for scrape in scrapes
        ]
        config = {"global": {"scrape_interval": self._interval, "scrape_timeout": self._interval}, "scrape_configs": jobs}
        self._config.write_text(json.dumps(config), encoding="utf-8")


class FixedPage:
    """Serves one text at `/metrics`: fixed series for tests that compare two evaluators. `text` may be replaced at any time."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _page_handler(self))
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="fixed page", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _page_handler(page: FixedPage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = page.text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    return Handler
