"""Which namespaces the controller can read. One that took its rights back, or was deleted, must stop nobody else's releases.

    read in       every watch of the namespace has had its list, and none is refused
    lost          a watch of it is refused (403, 404): tried on for ever, waited for by nobody
    awaited       neither: the first list is on the way, or the API server cannot be reached

What is lost is asked of the API server itself in each look (`Memory.store` has no store for it), so that a release that
needs it gets the refusal as its answer, and never takes "not read" for "not there".
"""

import time
from collections.abc import Callable, Sequence

from controller.ports import RELEASE, RELEASE_PLAN, RELEASE_REQUEST
from controller.runtime.informer import Informer
from controller.runtime.watched import WATCHED

ESSENTIAL = (RELEASE, RELEASE_PLAN, RELEASE_REQUEST)
"""Kinds without which nothing can be done; the others can be asked of the API server instead."""

PATIENCE_SECONDS = 5.0
"""Wait at the start for kinds that are not essential, and for a namespace that is refused: its rights may be on the way."""

POLL_SECONDS = 0.2


class Reach:
    """What the watches of all namespaces have come to. It only looks at them; safe to share between threads."""

    def __init__(self, informers: Sequence[Informer]) -> None:
        self._informers = informers

    def lost(self) -> dict[str, str]:
        """Namespaces in which a watch is refused, each with what cannot be read there and the API server's words."""
        found: dict[str, str] = {}
        for namespace in dict.fromkeys(i.namespace for i in self._informers if i.refused):
            refused = [i for i in self._informers if i.namespace == namespace and i.refused]
            kinds = "everything" if len(refused) == len(WATCHED) else ", ".join(sorted(i.kind.plural for i in refused))
            found[namespace] = f"{kinds} in {namespace or 'all namespaces'} ({refused[0].trouble})"
        return found

    def awaited(self) -> list[Informer]:
        """Watches whose first list is still to come, and is not refused."""
        return [i for i in self._informers if not i.synced and not i.refused]

    def nowhere(self) -> bool:
        """Whether no namespace at all is whole: then nothing can be done anywhere."""
        return {i.namespace for i in self._informers} <= self.lost().keys()

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Until there is something to lead with: the essential kinds of every namespace that can be read, one at least.

        A namespace that is refused is waited for no longer than `PATIENCE_SECONDS`, and so are the other kinds.
        """
        essential = [i for i in self._informers if i.kind in ESSENTIAL]
        end = time.monotonic() + PATIENCE_SECONDS
        while not stopped():
            waiting = [i for i in essential if not i.synced]
            whole = {i.namespace for i in essential} - {i.namespace for i in waiting}
            if not waiting or (whole and all(i.refused for i in waiting) and time.monotonic() >= end):
                break
            waiting[0].wait_synced(POLL_SECONDS)
        end = time.monotonic() + PATIENCE_SECONDS
        for informer in self._informers:
            while not informer.refused and time.monotonic() < end and not stopped() and not informer.wait_synced(POLL_SECONDS):
                pass

    def sentence(self) -> str:
        """What cannot be read, for readiness and the log; "" where all can."""
        lost = self.lost()
        if not lost:
            return ""
        return f"Cannot be read: {'; '.join(lost.values())}. Releases there are not looked after: run `penstock install` again."
