"""A real Prometheus on loopback, scraping once a second: the one of the folder in PENSTOCK_PROMETHEUS, or whatever is on the PATH.

with Prometheus([Scrape("mesh", exporter.address)]) as prometheus:
    prometheus.value('sum(rate(istio_requests_total{reporter="source"}[10s]))')
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from enum import Enum
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.bed.processes import PortLease, Program, ProgramError, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_SECONDS = 30.0
SETTING_SINCE = (3, 8)
"""From this version on a scrape job says whether native histograms are stored; before it a flag of the server does."""
INSTALL_COMMAND = "apt-get install -y prometheus"
FOLDER = "PENSTOCK_PROMETHEUS"
"""Names a folder with another `prometheus` and its `promtool` than those on the PATH."""


class Histograms(Enum):
    """What a scrape makes of histograms: settings of a scrape job in Prometheus 3; before it only the first two exist."""

    CLASSIC = ()
    NATIVE = ("scrape_native_histograms",)
    NATIVE_AND_CLASSIC = ("scrape_native_histograms", "always_scrape_classic_histograms")
    CUSTOM = ("convert_classic_histograms_to_nhcb",)
    CUSTOM_AND_CLASSIC = ("convert_classic_histograms_to_nhcb", "always_scrape_classic_histograms")


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape job.

    Attributes:
        job: its name, the label `job`.
        address: host:port of the target; `/metrics` is read.
        labels: labels added to every sample.
        histograms: what is stored of histograms.
    """

    job: str
    address: str
    labels: tuple[tuple[str, str], ...] = ()
    histograms: Histograms = Histograms.CLASSIC


def why_unavailable() -> str | None:
    """Say in one sentence why Prometheus cannot run here and how to get it; None where it can."""
    missing = [name for name in ("prometheus", "promtool") if find(name) is None]
    if not missing:
        return None
    if folder := os.environ.get(FOLDER):
        return f"there is no {missing[0]} in {folder}, which {FOLDER} names: `go install` it there, or unset {FOLDER}"
    return f"there is no {missing[0]} on the PATH: run `{INSTALL_COMMAND}` (Debian, Ubuntu) or put a 2.42 or later there"


def why_not_the_third() -> str | None:
    """Say in one sentence why there is no Prometheus whose scrapes may keep native histograms, and how to get it; None where there is."""
    found = find()
    if found is None:
        return why_unavailable()
    if version(found) >= SETTING_SINCE:
        return None
    told, least = (".".join(map(str, one)) for one in (version(found), SETTING_SINCE))
    return f"{found} is {told}, and {least} is needed: build it and name its folder in {FOLDER} (see docs/testing.md)"


def find(name: str = "prometheus") -> str | None:
    """Return the path of Prometheus, or of the `promtool` that came with it; None where there is none."""
    return shutil.which(name, path=os.environ.get(FOLDER) or f"{os.environ.get('PATH', '')}:/usr/bin")


def command(name: str = "prometheus") -> str:
    """Return the path of a program that a test needs. Raises ProgramError with the sentence that says how to get it."""
    found = find(name)
    if found is None:
        raise ProgramError(f"Prometheus cannot start: {why_unavailable()}.")
    return found


@cache
def version(program: str) -> tuple[int, int]:
    """Return the major and minor version that a program says of itself."""
    told = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    match = re.search(r"version (\d+)\.(\d+)", told.stdout + told.stderr)
    if match is None:
        raise ProgramError(f"{program} does not say its version: {told.stdout}")
    return int(match[1]), int(match[2])


class Prometheus:
    """The server, up from `__enter__` to `__exit__`; jobs can be changed while it runs.

    Attributes:
        url: base address, without a slash at the end.
        program: the process, to be paused, killed and started again by fault tests.
    """

    def __init__(self, scrapes: Sequence[Scrape] = (), interval_seconds: float = 1.0) -> None:
        program = command()
        self._by_flag = version(program) < SETTING_SINCE
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
        ]
        if self._by_flag and any(scrape.histograms is not Histograms.CLASSIC for scrape in scrapes):
            argv.append("--enable-feature=native-histograms")
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
                **({} if self._by_flag else dict.fromkeys(scrape.histograms.value, True)),
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
