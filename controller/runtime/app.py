"""The controller process: watches, lease, workers, health, and an orderly end.

    watches --> memory --> who is concerned? --> queue --> workers --> reconcile
                                                   ^          |
                                                   +- wake-up-+        lease: only its holder's workers act

A replica that does not lead watches too, so that it can take over with everything in memory.
"""

import contextlib
import gc
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from controller.adapters.kube import KubeClient
from controller.adapters.marks import mapping
from controller.ports import (
    DEPLOYMENT,
    DESTINATION_RULE,
    RELEASE,
    RELEASE_PLAN,
    RELEASE_REQUEST,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
    KubeError,
    NotFoundError,
    Obj,
    Ports,
    RefusedError,
    Settings,
)
from controller.runtime import heap
from controller.runtime.cache import CachedKube, LiveKube, Memory
from controller.runtime.config import ControllerConfig, process_identity
from controller.runtime.contracts import Key, Parts
from controller.runtime.health import HealthServer
from controller.runtime.informer import Informer, Pace
from controller.runtime.leader import Leader
from controller.runtime.lease import LeaseSettings, highest_epoch
from controller.runtime.metrics import MeteredProviders, Metrics, phase_of
from controller.runtime.owners import Owners
from controller.runtime.queue import WorkQueue
from controller.runtime.reach import Reach
from controller.runtime.store import Change, ref_of
from controller.runtime.together import AskTogether
from controller.runtime.watched import WATCHED, Watched, is_finished, newest_finished
from controller.runtime.workers import Term, Workers

log = logging.getLogger(__name__)

EPOCH_BEARERS = (RELEASE, RELEASE_PLAN, VIRTUAL_SERVICE)
OTHER_BEARERS = (DEPLOYMENT, DESTINATION_RULE, SERVICE)
LEASE_BACK_SECONDS = 5.0
"""Time to give the Lease back at the end."""
LAST_LOOK_SECONDS = 25.0
"""Time for looks under way at the end; a pod has 30 s."""
HOUSEKEEPING_SECONDS = 60.0
AGEING_SECONDS = 3600.0
"""So often each plan's newest finished release looks whether others have become too old."""
APART_SECONDS = 1.0
"""So far apart the plans do so."""
REFUSED_SECONDS = 3.0
"""An upgraded schema is noticed this soon."""
SET_ASIDE_SECONDS = 0.5


class Controller:
    """All of it. `start`, then `stop`; or `run` until an event is set."""

    def __init__(
        self, config: ControllerConfig, client: KubeClient, parts: Parts, *, home: str = "default", pace: Pace | None = None
    ) -> None:
        self._config, self._parts = config, parts
        self.metrics = Metrics()
        self._client = client.observed_by(lambda r: self.metrics.request_done(r.verb, r.resource, r.code, r.seconds))
        self._owners = Owners()
        self.queue = WorkQueue(parts.clock.now, time.monotonic, on_late=self.metrics.woken)
        self.memory = Memory(on_own_change=lambda kind, change: self._changed(kind, change, ours=True))
        self._together = AskTogether()
        self._term: Term | None = None
        self._stop, self._stop_leader = threading.Event(), threading.Event()
        self._refusal = ""
        self._informers = [self._informer(watched, namespace, pace) for namespace in self._namespaces() for watched in WATCHED]
        self._reach = Reach(self._informers)
        self.leader = self._candidate(home)
        self._workers = Workers(
            self.queue,
            parts.reconcile,
            self.metrics,
            time.monotonic,
            term=self._present_term,
            set_aside=self._set_aside,
            resync=config.resync,
            is_unfinished=self._owners.is_unfinished,
            on_deposed=self.leader.deposed,
        )
        self._threads: list[threading.Thread] = []
        self.health: HealthServer | None = None

    def run(self, stop: threading.Event) -> int:
        """Until `stop` is set; the exit code: 0, or 1 where a part of the controller died."""
        self.start()
        healthy = True
        while healthy and not stop.wait(1.0):
            gc.enable()  # the command switched it off: so a start is a quarter quicker, and a rollback may be owed
            healthy, sentence = self.live()
            if not healthy:
                log.error("%s", sentence)
        self.stop()
        return 0 if healthy else 1

    def start(self) -> None:
        """Serve health, watch, and become a candidate once the essential kinds are read in."""
        self.health = HealthServer(self._config.listen, live=self.live, ready=self.ready, metrics=self.metrics_text)
        for informer in self._informers:
            self._spawn(f"watch-{informer.kind.plural}", partial(informer.run, self._stop))
        self._spawn("housekeeping", self._housekeep)
        self._spawn("leader", self._lead)
        self._workers.start(self._config.workers)

    def stop(self) -> None:
        """Finish the looks under way, give the lease back, and end."""
        log.info("Stopping: looks under way are finished first.")
        finished = self._workers.stop(LAST_LOOK_SECONDS)
        self._together.close()
        if not finished:
            log.warning("Some looks did not end in time; the next leader goes on from what is written.")
        self._stop.set()
        self._stop_leader.set()
        for thread in self._threads:
            if thread.name == "leader":
                thread.join(LEASE_BACK_SECONDS)
        if self.health is not None:
            self.health.close()

    def live(self) -> tuple[bool, str]:
        """Whether no part has died."""
        dead = [thread.name for thread in self._threads if not thread.is_alive()]
        if dead or not self._workers.alive():
            return False, f"A part of the controller has died: {', '.join(dead) or 'a worker'}."
        return True, "Alive."

    def ready(self) -> tuple[bool, str]:
        """Whether it can do its work, as leader or as the next one."""
        trouble = self._reach.sentence()
        awaited = sorted({f"{i.kind.plural}{f' in {i.namespace}' if i.namespace else ''}" for i in self._reach.awaited()})
        if awaited:
            why = next((i.trouble for i in self._informers if i.trouble), "")
            return False, f"Not read in yet: {', '.join(awaited)}. {why}".strip()
        if self._reach.nowhere():
            return False, trouble
        if self._refusal:
            return False, self._refusal
        if self.leader.trouble:
            return False, self.leader.trouble
        leads = f"Ready; leads with epoch {self.leader.epoch}." if self.leader.epoch else "Ready; another replica leads."
        return True, f"{leads} {trouble}".strip()

    def metrics_text(self) -> str:
        """The exposition, with what is counted only when asked."""
        self.metrics.count_phases(phase_of(release) for release in self._remembered(RELEASE))
        self.metrics.depth.set(self.queue.depth())
        self.metrics.leading.set(1 if self.leader.epoch else 0)
        self.metrics.lost_namespaces(self._reach.lost())
        self.metrics.left_alone(self._workers.undecided() if self.leader.epoch else ())
        self.metrics.watch_trouble.set(sum(1 for informer in self._informers if informer.trouble))
        return self.metrics.text()

    def _namespaces(self) -> list[str]:
        return self._config.namespaces or [""]

    def _informer(self, watched: Watched, namespace: str, pace: Pace | None) -> Informer:
        informer = Informer(
            self._client, watched.kind, namespace, watched.new_store(), on_change=self._changed, steady=time.monotonic, pace=pace
        )
        self.memory.add(informer)
        return informer

    def _candidate(self, home: str) -> Leader:
        lease = self._config.lease
        known = self._parts.provider_names
        settings = LeaseSettings(lease.namespace or home, lease.name, process_identity(), lease.duration, lease.renew, known)
        kube = self._client.limited_to(lease.renew)
        return Leader(
            kube, settings, self._parts.clock, time.monotonic, epochs=self._highest_epoch, on_gain=self._gained, on_loss=self._lost
        )

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _lead(self) -> None:
        """Be a candidate as soon as there is something to lead with."""
        self._reach.wait(self._stop_leader.is_set)
        if trouble := self._reach.sentence():
            log.warning("Goes on without what it may not read. %s", trouble)
        gc.freeze()  # what was read in lives on; walking it in every full collection would hold all workers up
        self.leader.run(self._stop_leader)

    def _housekeep(self) -> None:
        """Now and then: ask whether the installed schema is ours, where that can be known; let history age; give memory back."""
        aged_at = -math.inf
        while True:
            if self._term is not None and time.monotonic() - aged_at >= AGEING_SECONDS:
                aged_at = time.monotonic()
                # A thousand such looks, of several requests each, must not hold up polls.
                for place, key in enumerate(sorted(newest_finished(self._remembered(RELEASE)))):
                    self.queue.hush(key, quiet=True)
                    self.queue.add_after(key, place * APART_SECONDS)
            heap.give_back()
            with contextlib.suppress(KubeError):
                before, self._refusal = self._refusal, self._parts.schema_refusal(self._client)
                if self._refusal != before:
                    log.warning("%s", self._refusal or "The installed schema is this version's again.")
            if self._stop.wait(REFUSED_SECONDS if self._refusal else HOUSEKEEPING_SECONDS):
                return

    def _changed(self, kind: Kind, change: Change, *, ours: bool = False) -> None:
        """News of the world: count it, and wake whom it concerns."""
        if kind == RELEASE and change.new is not None:
            self.metrics.rolled_back(change.old, change.new)
        concerned = self._owners.concerned(kind, change, ours=ours)
        if self._term is not None:
            for key in concerned:
                self.queue.add(key, urgent=kind == RELEASE_REQUEST)  # it may ask for the way back

    def _present_term(self) -> Term | None:
        term = self._term
        return term if term is not None and self.leader.epoch == term.epoch else None

    def _gained(self, epoch: int, vacant_seconds: float) -> None:
        """Begin a term: everything unfinished is due, and requests that nobody answered."""
        config, parts = self._config, self._parts
        fence = self.leader.fence(epoch)
        ports = Ports(
            kube=LiveKube(self._client, self.memory, fence),
            prometheus=MeteredProviders(parts.prometheus, self.metrics, time.monotonic),
            prober=parts.prober,
            clock=parts.clock,
            epoch=epoch,
            schema_problem=lambda: self._refusal,
            together=self._together,
            settings=Settings(
                identity=config.identity,
                cluster_domain=config.cluster_domain,
                time_divisor=config.time_divisor,
                make_namespaces=config.make_namespaces,
                cluster_name=config.cluster_name,
            ),
        )
        self._term = Term(epoch, ports, CachedKube(self._client, self.memory, fence))
        self.metrics.epoch.set(epoch)
        for release in self._remembered(RELEASE):
            status = mapping(release.get("status"))
            if not is_finished(release) and (status.get("weight") or status.get("observedWeight")):
                self.metrics.unwatched.inc(vacant_seconds)
        for key in sorted(self._owners.unfinished() | set(self._unanswered())):
            self.queue.add(key)

    def _lost(self) -> None:
        self._term = None
        self.queue.clear()

    def _set_aside(self, key: Key) -> None:
        """A renewal of the lease is late: the key waits for it. After a loss the next term begins with all keys anyway."""
        if self._term is not None:
            self.queue.add_after(key, SET_ASIDE_SECONDS)

    def _unanswered(self) -> Iterator[Key]:
        for request in self._remembered(RELEASE_REQUEST):
            if not mapping(request.get("status")).get("state"):
                yield ref_of(request)[0], str(mapping(request.get("spec")).get("release"))

    def _remembered(self, kind: Kind) -> Iterator[Obj]:
        for informer in self._informers:
            if informer.kind == kind:
                yield from informer.store.all()

    def _highest_epoch(self, live: bool) -> int:  # noqa: FBT001 - the signature of a callback
        """The highest epoch on anything of ours; `live` where the Lease that should know it is gone.

        A namespace that cannot be read may have a higher one. Whoever comes upon it there steps down and takes one above it
        (`Leader.deposed`), as a refused namespace must not keep all others without a leader.
        """
        found = max(highest_epoch(self._remembered(kind)) for kind in (*EPOCH_BEARERS, *OTHER_BEARERS))
        if not live:
            return found
        for kind in EPOCH_BEARERS:
            for namespace in self._namespaces():
                with contextlib.suppress(NotFoundError, RefusedError):
                    for page in self._client.pages(kind, namespace):
                        found = max(found, highest_epoch(page.items))
        return found


def run_controller(config: ControllerConfig, client: KubeClient, parts: Parts, *, home: str = "default") -> int:
    """Run in the foreground until SIGTERM or SIGINT; the exit code. To be called on the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    heap.keep_few()
    controller = Controller(config, client, parts, home=home)
    log.info("The controller starts.")
    return controller.run(stop)
