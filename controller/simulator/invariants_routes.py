"""What a write of ours may do to a VirtualService: S1, S2, S4, S7, S8, S12 and S14."""

from controller.adapters import marks
from controller.ports import Obj
from controller.simulator.invariants_book import EPSILON, Book, place_of
from controller.simulator.invariants_model import BACKWARD, FINAL, FULL, ReleaseFacts, Split, splits, unowned


def _late(book: Book, old: Obj | None, new: Obj | None) -> None:
    """Rule 3: the rollback of a release that has ended is dropped."""
    stamp = marks.annotation(new, marks.STAMP) if new is not None else ""
    facts = book.releases.get(stamp.partition("/")[0])
    if facts is not None and facts.phase in FINAL and old is not None and stamp != marks.annotation(old, marks.STAMP):
        book.breach("S7", f"VirtualService {place_of(new)} was rolled back for {facts.name}, which is {facts.phase}")


def route(book: Book, old: Obj | None, new: Obj | None) -> None:
    """One write of ours to a VirtualService."""
    _late(book, old, new)
    facts = book.owner(new) or book.owner(old)
    if old is None or new is None:
        return
    if facts is None:
        _ghost(book, old, new)
        return
    place = (new["metadata"]["namespace"], new["metadata"]["name"])
    ref = facts.targets().get(place)
    where = f"VirtualService {place[0]}/{place[1]}"
    if ref is None:
        book.breach("S14", f"{where} was written for {facts.name}, whose plan does not name it")
        return
    if unowned(old, facts, ref) != unowned(new, facts, ref):
        book.breach("S12", f"{where}: a write for {facts.name} changed more than weights and green's destination")
    before = max((0.0, *(split.share for split in splits(facts, ref, old))))  # somebody may have written -100
    grant = facts.status.get("grant", 0)
    for split in splits(facts, ref, new):
        _rule(book, facts, split, where)
        if split.share > grant + EPSILON and facts.phase not in FINAL and not facts.status.get("returnedAt"):
            book.breach("S2", f"{where}, {split.title}: green has {split.share:.0f} %, the stored grant is {grant} %")
        if split.share > before + EPSILON:
            _raised(book, facts, where, split.share)


def _ghost(book: Book, old: Obj, new: Obj) -> None:
    """S2, S10: a Release that does not exist any more grants nothing."""
    facts = book.gone.get(marks.annotation(new, marks.OWNER))
    ref = facts.targets().get((new["metadata"]["namespace"], new["metadata"]["name"])) if facts is not None else None
    if facts is None or ref is None:
        return
    before, after = (max((split.share for split in splits(facts, ref, obj)), default=0.0) for obj in (old, new))
    if after > before + EPSILON:
        book.breach(
            "S2", f"VirtualService {place_of(new)}: green was raised to {after:.0f} % for {facts.name}, which does not exist any more"
        )


def _rule(book: Book, facts: ReleaseFacts, split: Split, where: str) -> None:
    if facts.status.get("stage", -1) < 0 or facts.phase in FINAL or facts.phase == "TearingDown":
        return
    total = split.blue + split.green + split.other
    if abs(total - FULL) > EPSILON or not split.named or min(split.blue, split.green) < 0:
        book.breach("S1", f"{where}, {split.title}: weights {split.blue:.0f} + {split.green:.0f} + {split.other:.0f}, expected 100")
    if sorted(split.sides) != ["blue", "green"] and facts.phase != "RollingBack":
        book.breach(
            "S1",
            f"{where}, {split.title}: destinations are {', '.join(side or 'other' for side in split.sides)}, expected blue and green",
        )


def _raised(book: Book, facts: ReleaseFacts, where: str, share: float) -> None:
    if facts.phase in BACKWARD or (facts.status.get("rollback") and facts.phase != "Halted"):
        book.breach("S8", f"{where}: green was raised to {share:.0f} % after {facts.name} had recorded its rollback")
    if facts.plan is None or facts.obj["spec"].get("now"):
        return
    sizes = {c["member"]: c["replicas"] for c in facts.status.get("capacity", ())}
    for place, member in facts.workloads(1 - facts.status["blueSlot"]).items():
        green = book.find("Deployment", place)
        ready = ((green or {}).get("status") or {}).get("availableReplicas", 0)
        needed = 1 if facts.plan.preparation.size == "own" else sizes.get(member, 1)
        if ready < needed:
            book.breach(
                "S4", f"{where}: green was raised to {share:.0f} % while {place[0]}/{place[1]} has {ready} of {needed} pods available"
            )


def measure_zero(book: Book, *, ours: bool, old: Obj | None, new: Obj | None) -> None:
    """Since when green has nothing, or everything, and when we last moved weights."""
    changed = (old or {}).get("spec") != (new or {}).get("spec")
    for facts in book.releases.values():
        if facts.plan is None or not facts.targets():
            continue
        shares = book.shares(facts).values()
        high = max(shares, default=0.0)
        facts.full_since = 0.0 if min(shares, default=0.0) < FULL - EPSILON else facts.full_since or book.now
        facts.zero_since = 0.0 if high > EPSILON else facts.zero_since or book.now
        if ours and changed and high > facts.share + EPSILON and new is not None and book.owner(new) is facts:
            facts.shifted_at = book.now
        facts.share = high
