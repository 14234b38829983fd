"""S1 to S17 as far as the store tells them: a pure history of commits, of the simulator or of a real API server's watches.

A commit is fed in the order of revisions. Each breach is one sentence with its time and its name. What others
write is never a breach; what we write on top of it may be.

    commit --> History --+--> invariants_release    what a status may say next
                         +--> invariants_routes     weights
                         +--> invariants_clusters   subsets
                         +--> invariants_workloads  who is brought down
                         +--> invariants_records    evidence and requests
                         +--> invariants_writes     epochs, preconditions, the resolved list
                         +--> Book                  what all of them look up
"""

from collections.abc import Iterable

from controller.ports import Obj
from controller.simulator.invariants_book import Book, Breach
from controller.simulator.invariants_clusters import cluster
from controller.simulator.invariants_model import ReleaseFacts
from controller.simulator.invariants_records import config_map, request
from controller.simulator.invariants_release import release
from controller.simulator.invariants_routes import measure_zero, route
from controller.simulator.invariants_workloads import workload
from controller.simulator.invariants_writes import Preconditions, deletion, epoch, resolved


class History:
    """All commits so far, and what was wrong with them.

    Args:
        ours: field managers of the controller.
        clock_may_jump: times that the controller wrote cannot be compared with the server's.

    Attributes:
        book: what was seen so far.
    """

    def __init__(self, *, ours: Iterable[str] = ("penstock",), clock_may_jump: bool = False) -> None:
        self.book = Book(frozenset(ours), clock_may_jump)

    @property
    def breaches(self) -> list[Breach]:
        """All breaches so far, in order."""
        return self.book.breaches

    @property
    def releases(self) -> dict[str, ReleaseFacts]:
        """All releases by uid."""
        return self.book.releases

    @property
    def ours(self) -> frozenset[str]:
        """Field managers of the controller."""
        return self.book.ours

    def breach(self, name: str, sentence: str, *, at: float | None = None) -> None:
        """Note a breach, at the time of the last commit where no other is given."""
        self.book.now = self.book.now if at is None else at
        self.book.breach(name, sentence)

    def commit(
        self, at: float, kind: str, old: Obj | None, new: Obj | None, manager: str, *, named: Preconditions | None = None
    ) -> None:  # fmt: skip
        """One change: `old` is None for a creation, `new` for a deletion; `named` where the preconditions of a deletion are known."""
        book = self.book
        book.now = at
        obj = new if new is not None else old
        assert obj is not None  # noqa: S101 - a commit has one of the two
        meta = obj["metadata"]
        key = (kind, meta.get("namespace", ""), meta["name"])
        ours = manager in book.ours
        self._look(kind, old, new, ours=ours)
        if ours and kind not in ("Event", "Lease"):
            epoch(book, kind, old, new)
            resolved(book, kind, old, new)
            if named is not None and old is not None:
                deletion(book, kind, old, named)
        elif not ours and (old or {}).get("spec") != (new or {}).get("spec"):
            book.meddled[key] = at
        if kind == "Deployment" and available(new) < available(old):
            book.lost[key[1:]] = at
        if new is None:
            book.objects.pop(key, None)
        else:
            book.objects[key] = new
        if kind == "VirtualService":
            measure_zero(book, ours=ours, old=old, new=new)

    def _look(self, kind: str, old: Obj | None, new: Obj | None, *, ours: bool) -> None:
        """Hand it to the part that knows this kind."""
        book = self.book
        match kind:
            case "Release":
                release(book, old, new, ours=ours)
            case "VirtualService" if ours:
                route(book, old, new)
            case "DestinationRule" if ours:
                cluster(book, old, new)
            case "Deployment" if ours:
                workload(book, old, new)
            case "ConfigMap":
                config_map(book, new if new is not None else old or {}, gone=new is None)
            case "ReleaseRequest" if new is not None:
                request(book, new)
            case _:
                pass


def available(deployment: Obj | None) -> int:
    """Its available pods; 0 where there is none."""
    return int(((deployment or {}).get("status") or {}).get("availableReplicas") or 0)
