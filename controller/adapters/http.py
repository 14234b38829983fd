"""Health probes over httpx: one GET, as a kubelet would ask.

Certificates are not verified, as a kubelet does not: a probe asks whether something is healthy, sends no
secret, and pods seldom have certificates of a known authority. Each probe opens a new connection, so that
it can reach any of a Service's pods. Never raises.

httpx is imported with the first probe: it takes a tenth of the start of a controller that may owe a rollback, and
most plans have no probe.
"""

import time
from functools import cached_property
from typing import TYPE_CHECKING

from controller.ports import ProbeResult

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 3
HIGHEST_PORT = 65_535
_HEALTHY = range(200, 400)


class HttpProber:
    """Probes from where the controller stands; used by many threads at once.

    Args:
        proxy: address of an HTTP proxy that stands where in-cluster names are known; "" asks directly.
    """

    def __init__(self, proxy: str = "") -> None:
        self._proxy = proxy

    @cached_property
    def _client(self) -> "httpx.Client":
        import httpx  # noqa: PLC0415 - see the module's docstring

        return httpx.Client(
            proxy=self._proxy or None,
            verify=False,  # noqa: S501 - see the module's docstring
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": "penstock-probe"},
            event_hooks={"request": [_has_a_port]},
        )

    def probe(self, url: str, *, timeout_seconds: float, status: int | None = None) -> ProbeResult:
        """One GET; the body is not read. The limit is for everything, redirects included."""
        import httpx  # noqa: PLC0415 - see the module's docstring

        begun = time.monotonic()
        try:
            with self._client.stream("GET", url, timeout=timeout_seconds) as response:
                found = response.status_code
        except httpx.TimeoutException:
            return ProbeResult(ok=False, message=f"no answer within {timeout_seconds:g} s", seconds=time.monotonic() - begun)
        except httpx.TooManyRedirects:
            return ProbeResult(ok=False, message=f"more than {MAX_REDIRECTS} redirects", seconds=time.monotonic() - begun)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return ProbeResult(ok=False, message=str(error) or type(error).__name__, seconds=time.monotonic() - begun)
        seconds = time.monotonic() - begun
        if seconds > timeout_seconds:
            return ProbeResult(ok=False, message=f"an answer only after {seconds:.1f} s, limit {timeout_seconds:g} s", seconds=seconds)
        ok = found in _HEALTHY if status is None else found == status
        wanted = "" if ok or status is None else f", expected {status}"
        return ProbeResult(ok=ok, message=f"HTTP {found}{wanted}", seconds=seconds)

    def close(self) -> None:
        """Close the client, if there was a probe."""
        if "_client" in vars(self):
            self._client.close()


def _has_a_port(request: "httpx.Request") -> None:
    """Refuse a port that there is not, as a redirect may name it: the system's resolver would ask another one, its lower 16 bits."""
    import httpx  # noqa: PLC0415 - see the module's docstring

    port = request.url.port
    if port is not None and port > HIGHEST_PORT:
        raise httpx.InvalidURL(f"port {port} is higher than {HIGHEST_PORT}")
