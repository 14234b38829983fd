"""The way back of a Release that is deleted: it ends, whatever cannot be done safely. Nobody is left who could be asked.

Users come first as ever: while a route that is there sends to green, or one that did cannot be read, the finalizer stays (S17).
With everybody on blue a deletion is a clear word: what would halt another release (nobody can say that green gets no traffic, blue
has no pods, green does not go away, a route is gone for good, what is left cannot be read) leaves that standing, says so, and ends.
"""

from controller.api.release import Phase, RollbackStatus
from controller.core import reasons
from controller.core.commands import Decision, RecordKind
from controller.core.steps import World, halt, moved, record, stored

TEARDOWN_PATIENCE_SECONDS = 600.0
"""How long a teardown is tried before a person is asked; green has no traffic meanwhile."""


def let_go(w: World, rollback: RollbackStatus) -> Decision | None:
    """A release that was halted on its way back, and is deleted now, goes on to its end; None while its users are not safe on blue."""
    unseen = w.observed.unreadable and not rollback.traffic_at
    if unseen or any(r.found and not r.blue_only for r in w.observed.routes):
        return None
    back = rollback.model_copy(update={"traffic_at": rollback.traffic_at or w.now})
    return stored(moved(w, Phase.TEARING_DOWN, reasons.TEARING_DOWN, rollback=back))


def stops(w: World, rollback: RollbackStatus, word: str, detail: str) -> Decision:
    """A teardown that cannot go on: a person is asked. Of a deleted release green is left as it is, and named."""
    if not w.subject.deleted:
        return halt(w, word, detail)
    left = f"{_standing(w)}: {reasons.say(word, detail)}"
    status = w.status.model_copy(update={"rollback": rollback.model_copy(update={"gone_at": w.now, "left": left[:1000]})})
    return stored(status, record(w, RecordKind.WARNING, reasons.GREEN_LEFT, left))


def given_up(w: World) -> bool:
    """Whether what a deleted release left could not be read for so long after its end on blue that nobody waits for it any more.

    Where a namespace is gone nobody can ever give rights in it again, and a name that stays keeps its own namespace.
    """
    return w.subject.deleted and w.status.phase is not Phase.SUCCEEDED and w.now >= w.status.finished_at + TEARDOWN_PATIENCE_SECONDS


def nothing_left(w: World) -> bool:
    """Whether a deleted release has no green any more that could have traffic: its owner took the application away with it."""
    return w.subject.deleted and w.observed.green_gone


def _standing(w: World) -> str:
    there = [f"{m.green.namespace}/{m.green.name}" for m in w.observed.members if m.green.found]
    return f"Deployment {', '.join(there)}" if there else "what green brought"
