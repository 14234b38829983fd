"""Keep a store of one kind in one namespace up to date: list by pages, then watch, for ever.

    list -> (every object is the truth) -> watch from its revision -> ... -> watch again from the last bookmark
     ^                                                                  |
     +------- 410, or every half hour (an event may have been missed) --+

The loop itself (`Informer.turn`) is one step without threads or sleeping; `run` repeats it. A watch that
outlives the end that the server was asked for has gone silent: the client cuts it, and it is begun again.
It must not decide what a change means: every difference goes to `on_change`, which must not block.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event

from controller.adapters.marks import metadata
from controller.ports import GoneError, Kind, KubeError, NotFoundError, Obj, RefusedError
from controller.runtime.contracts import PagedKube, Steady
from controller.runtime.store import Change, Ref, Store, ref_of

log = logging.getLogger(__name__)

SAY_AGAIN_SECONDS = 60.0
"""The same trouble is logged this often."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How an informer goes about it, seconds.

    Attributes:
        watch: how long one watch is asked to last; varied by a fifth, so that watches do not end together.
        relist: age of a list at which everything is read again, against events that were missed.
        first_delay: wait after the first failure; doubled with each further one.
        last_delay: longest wait.
    """

    watch: float = 120.0
    relist: float = 1800.0
    first_delay: float = 0.2
    last_delay: float = 10.0


class Informer:
    """One kind in one namespace ("" is all). `turn` and `run` belong to one thread; the rest to anybody.

    Attributes:
        trouble: why it fails at present; "" where it does not.
        refused: the last answer was a refusal, or that the kind is not served: what the store has may be long out of date.
    """

    def __init__(
        self,
        kube: PagedKube,
        kind: Kind,
        namespace: str,
        store: Store,
        *,
        on_change: Callable[[Kind, Change], None],
        steady: Steady,
        pace: Pace | None = None,
        seed: int | None = None,
    ) -> None:
        self.kind, self.namespace, self.store = kind, namespace, store
        self._kube, self._on_change, self._steady, self._pace = kube, on_change, steady, pace or Pace()
        self._random = random.Random(seed)  # noqa: S311 - it spreads load, it keeps no secret
        self._revision = ""
        self._listed_at = float("-inf")
        self._failures = 0
        self._said_at = float("-inf")
        self._synced = Event()
        self.trouble = ""
        self.refused = False

    @property
    def synced(self) -> bool:
        """Whether the first list has been taken in."""
        return self._synced.is_set()

    def wait_synced(self, timeout: float) -> bool:
        """Wait for the first list."""
        return self._synced.wait(timeout)

    def run(self, stop: Event) -> None:
        """Until stopped."""
        while not stop.is_set():
            delay = self.turn(stop.is_set)
            if delay:
                stop.wait(delay)

    def turn(self, stopped: Callable[[], bool] = lambda: False) -> float:
        """List if that is due, then one watch to its end; the seconds to wait before the next turn."""
        try:
            if not self._revision or self._steady() - self._listed_at > self._pace.relist:
                self._list()
            self._watch(stopped)
        except GoneError:
            self._revision = ""
            return self._failed("The revision that was watched is too old; everything is read again.", quietly=True)
        except (NotFoundError, RefusedError) as error:
            self._revision, self.refused = "", True
            return self._failed(str(error))
        except KubeError as error:
            return max(error.retry_after, self._failed(str(error), quietly=error.reason == "Silence"))
        self._failures = 0
        return 0.0

    def _failed(self, sentence: str, *, quietly: bool = False) -> float:
        """The back-off of one more failure, from half of it to the whole."""
        pace = self._pace
        delay = min(pace.last_delay, pace.first_delay * 2.0 ** min(self._failures, 20))
        news = sentence != self.trouble or self._steady() - self._said_at >= SAY_AGAIN_SECONDS
        self._failures += 1
        self.trouble = "" if quietly else sentence
        if news and not quietly:
            self._said_at = self._steady()
            log.warning("Watching %s in %s: %s", self.kind.plural, self.namespace or "all namespaces", sentence)
        return delay * self._random.uniform(0.5, 1.0)

    def _list(self) -> None:
        """Take in a fresh list, page by page."""
        self.store.relist_begins()
        started, listed, revision = self._steady(), set[Ref](), ""
        for page in self._kube.pages(self.kind, self.namespace):
            for item in page.items:
                ref = ref_of(item)
                listed.add(ref)
                self._take(partial(self.store.relisted, ref), item)
            revision = page.resource_version
        for change in self.store.relist_ends(listed, revision):
            self._tell(change)
        self._revision, self._listed_at, self.trouble, self.refused = revision, started, "", False
        self._synced.set()

    def _watch(self, stopped: Callable[[], bool]) -> None:
        seconds = max(1, int(self._pace.watch * self._random.uniform(0.8, 1.0)))
        for event in self._kube.watch(self.kind, self.namespace, self._revision, timeout_seconds=seconds):
            self._failures, self.trouble = 0, ""
            if event.type == "DELETED":
                self._take(self.store.deleted, event.object)
            elif event.type in {"ADDED", "MODIFIED"}:
                self._take(self.store.changed, event.object)
            self._revision = str(metadata(event.object).get("resourceVersion") or self._revision)
            if stopped():
                return

    def _take(self, into: Callable[[Obj], Change | None], obj: Obj) -> None:
        """Take in one object; one that cannot be read is said and passed over, the others are not its hostages."""
        try:
            self._tell(into(obj))
        except Exception:
            log.exception("This %s of %s cannot be taken in.", self.kind.kind, "/".join(ref_of(obj)))

    def _tell(self, change: Change | None) -> None:
        if change is not None:
            self._on_change(self.kind, change)
