"""What a write of ours may do to a Deployment: S5, S6 and S12."""

from controller.ports import Obj
from controller.simulator.invariants_book import EPSILON, Book
from controller.simulator.invariants_model import FINAL, FULL, Place, ReleaseFacts, bypass_to_green, foreign_marks


def workload(book: Book, old: Obj | None, new: Obj | None) -> None:
    """One write of ours to a Deployment."""
    if old is None:
        return
    place = (old["metadata"]["namespace"], old["metadata"]["name"])
    size = old["spec"].get("replicas", 1)
    left = 0 if new is None else new["spec"].get("replicas", 1)
    for facts in book.releases.values():
        colour = facts.colour_of(place)
        if not colour or facts.phase == "Queued":
            continue
        if left < size and (facts.phase not in FINAL or _keeps(facts)):
            _shrunk(book, facts, colour, place, left)
        if colour == "blue" and new is not None and facts.phase not in FINAL and not facts.status.get("returning"):
            fixed = [{k: v for k, v in o["spec"].items() if k != "replicas"} for o in (old, new)]
            if fixed[0] != fixed[1] or foreign_marks(old) != foreign_marks(new):
                book.breach("S12", f"Deployment {place[0]}/{place[1]} serves, and more than its size was changed for {facts.name}")


def _keeps(facts: ReleaseFacts) -> bool:
    """A success whose old version is still kept."""
    return facts.phase == "Succeeded" and not (facts.status.get("retention") or {}).get("done")


def _shrunk(book: Book, facts: ReleaseFacts, colour: str, place: Place, left: int) -> None:
    """S5, S6: the loser only, without weight for the drain time."""
    assert facts.plan is not None  # noqa: S101 - it has a colour
    what = f"Deployment {place[0]}/{place[1]} ({colour} of {facts.name}) was brought down to {left}"
    drain, shares = facts.plan.rollback.drain, book.shares(facts)
    if colour == "blue":
        if facts.phase != "Succeeded":
            book.breach("S5", f"{what} in phase {facts.phase}")
        elif any(share < FULL - EPSILON for share in shares.values()):
            book.breach("S5", f"{what} while green has {min(shares.values()):.0f} %")
        elif shares and book.now - facts.full_since < drain - EPSILON and not book.clock_may_jump:
            book.breach("S5", f"{what} {book.now - facts.full_since:.0f} s after green got everything, the drain is {drain:.0f} s")
        return
    hold = facts.status.get("hold") or {}  # a step that was refused is tried again from its hold
    home = (hold.get("phase") or facts.phase) in ("Returning", "Succeeded") and facts.status.get("returnedAt")
    if facts.phase != "TearingDown" and not home:
        book.breach("S6", f"{what} in phase {facts.phase}")
    high = max(shares.values(), default=0.0)
    if high > EPSILON:
        book.breach("S6", f"{what} while it has {high:.0f} %")
    elif facts.status.get("exposedSince") and book.now - facts.zero_since < drain - EPSILON and not book.clock_may_jump:
        book.breach("S6", f"{what} {book.now - facts.zero_since:.0f} s after its last request, the drain is {drain:.0f} s")
    for target, ref in facts.targets().items():
        obj = book.find("VirtualService", target)
        if obj is not None and (still := bypass_to_green(facts, ref, obj)):
            book.breach("S6", f"{what} while {', '.join(still)} still sends to it")
