"""What the runtime asks of the rest: how one release is reconciled, and what it reads pages with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from controller.core.commands import Decision, Subject
from controller.ports import Clock, Kind, Kube, Listing, Obj, Ports, Prober, PrometheusProviders, WatchKube

Key = tuple[str, str]
"""Namespace and name of a Release."""


class Outcome(Protocol):
    """What one reconcile asks for; `controller.reconcile.Outcome` is one."""

    @property
    def wake_at(self) -> float | None:
        """Look again at this time, Unix seconds; None where only a change of the world matters."""

    @property
    def again(self) -> bool:
        """Look again at once."""

    @property
    def urgent(self) -> bool:
        """A rollback is owed: it goes before others, and is tried again within a second."""

    @property
    def subject(self) -> Subject | None:
        """The release as it was read; None where it is gone."""

    @property
    def decision(self) -> Decision | None:
        """What was decided, for the logs; None where nothing could be."""

    @property
    def error(self) -> str:
        """The sentence of a fault that was met; "" where there was none."""


class Reconcile(Protocol):
    """One look at one release."""

    def __call__(self, key: Key, ports: Ports, *, cache: Kube) -> Outcome:
        """Observe (by the cache first), measure, decide, act, record."""


class PagedKube(WatchKube, Protocol):
    """A client whose lists can be read page by page, so that a large one never stands in memory as a whole."""

    def pages(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Iterator[Listing]:
        """The pages, in order, all of one revision; `GoneError` where they grew too old meanwhile."""


class NotLeading(Exception):  # noqa: N818 - a state that ends the reconcile, not a mistake of anybody
    """The lease was lost, or may have been, before this write: another controller may be acting."""


class RawReads(Protocol):
    """A client that reads any path of the API server."""

    def raw(self, path: str) -> Obj:
        """A GET; raises `KubeError`s."""


class OpenKube(Kube, RawReads, Protocol):
    """The API by kinds and by paths."""


class Refusal(Protocol):
    """Why this controller must not be called ready."""

    def __call__(self, kube: OpenKube) -> str:
        """A sentence, or "" where all is well. May raise `KubeError`: then it is not known, which is no refusal."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the runtime runs.

    Attributes:
        reconcile: one look at one release.
        prometheus: the providers of the configuration.
        prober: HTTP probes.
        clock: wall time.
        schema_refusal: asks whether the installed CRDs are those of this version.
        provider_names: of the configuration, the default one first.
    """

    reconcile: Reconcile
    prometheus: PrometheusProviders
    prober: Prober
    clock: Clock
    schema_refusal: Refusal
    provider_names: tuple[str, ...] = ()


Steady = Callable[[], float]
"""Seconds that never jump: `time.monotonic` in production, virtual time in the simulator."""
