"""What a Release's status may say after what it said before: S2, S3, S7, S8, S10, S13, S15, S16, S17 and L6."""

import math
from collections.abc import Mapping
from typing import Any

from controller.adapters import marks
from controller.ports import Obj
from controller.simulator.invariants_book import EPSILON, Book
from controller.simulator.invariants_model import BACKWARD, FINAL, FULL, ReleaseFacts

CHECKPOINT_SECONDS = 59.0
"""A release that waits for a person writes at most once a minute (S16)."""


def release(book: Book, old: Obj | None, new: Obj | None, *, ours: bool) -> None:
    """One change of a Release; what others wrote into it is only remembered."""
    if new is None:
        _gone(book, old or {})
        return
    uid = new["metadata"]["uid"]
    facts = book.releases.get(uid)
    if facts is None:
        if (new.get("status") or {}).get("stage", -1) >= 0:
            book.breach("S10", f"Release {new['metadata']['name']} was created with a stage already in its status")
        book.releases[uid] = ReleaseFacts(new)
        return
    before, after = facts.status, new.get("status") or {}
    facts.obj = new
    hash_ = str(after.get("planHash", ""))
    if facts.plan is None and hash_:
        facts.plan = book.plans.get((facts.namespace, hash_))
    if ours and before != after:
        _final(book, facts, before, after)
        _grant(book, facts, before, after)
        _verdicts(book, facts, before, after)
        _windows(book, facts, before, after)
        _held(book, facts, before, after)
        _stamped(book, facts, before, after)
        _recorded(book, facts, before, after)
        _ended(book, facts, before, after)


def _gone(book: Book, old: Mapping[str, Any]) -> None:
    facts = book.releases.pop(old["metadata"]["uid"], None)
    if facts is not None:
        book.gone[facts.uid] = facts
    if facts is None or facts.phase == "Succeeded":
        return
    for place, share in book.shares(facts).items():
        if share > EPSILON:
            book.breach("S17", f"{facts.name} went while green has {share:.0f} % on VirtualService {place[0]}/{place[1]}")


def _final(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    was, now = before.get("phase", "Queued"), after.get("phase", "Queued")
    if was in FINAL and now != was:
        book.breach("S7", f"{facts.name} went from the final {was} to {now}")
    if after.get("phaseCounter", 0) < before.get("phaseCounter", 0):
        book.breach("S9", f"{facts.name}: the phase counter fell from {before['phaseCounter']} to {after['phaseCounter']}")
    if before.get("rollback") and was not in FINAL and now in ("Shifting", "Measuring", "Baking") and was in BACKWARD:
        book.breach("S8", f"{facts.name} went from {was} to {now} after a rollback was recorded")


def _grant(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    was, now = before.get("grant", 0), after.get("grant", 0)
    if now < was:
        high = max(book.shares(facts).values(), default=0.0)
        if high > now + EPSILON:
            book.breach("S2", f"{facts.name}: the grant fell from {was} to {now} while green has {high:.0f} %")
    if now <= was:
        return
    if before.get("rollback") or before.get("phase") in BACKWARD:
        book.breach("S8", f"{facts.name}: the grant rose from {was} to {now} after a rollback was recorded")
    i, j = before.get("stage", -1), after.get("stage", -1)
    if i < 0 or facts.obj["spec"].get("kind") == "reverse":
        if j > 0:
            book.breach("S3", f"{facts.name}: the first grant is of stage {j + 1}")
        return
    skipped = after["stages"][i].get("skipped") or (before["stages"][i].get("skipped") if i < len(before["stages"]) else "")
    if skipped:
        if skipped not in after.get("requests", ()):
            book.breach("S3", f"{facts.name}: stage {i + 1} was skipped by a request that is not recorded")
        return
    if j != i + 1:
        book.breach("S3", f"{facts.name}: the grant jumped from stage {i + 1} to {j + 1}")
    _evidence(book, facts, before["stages"][i], i)


def _evidence(book: Book, facts: ReleaseFacts, stage: Mapping[str, Any], i: int) -> None:
    """What the stored status says about the stage that the grant rests on."""
    status = facts.status
    wanted = f"{facts.obj['spec']['revision']}/{status.get('planHash')}/{i}"
    if stage.get("verdict") != "pass":
        book.breach(
            "S3",
            f"{facts.name}: the grant of {status.get('grant')} % rests on stage {i + 1}, whose verdict is {stage.get('verdict')}",
        )
        return
    if stage.get("verdictKey") != wanted:
        book.breach("S10", f"{facts.name}: the verdict of stage {i + 1} is about {stage.get('verdictKey')}, expected {wanted}")
    window = stage.get("window") or {}
    if facts.plan is not None and not book.clock_may_jump:
        asked = facts.plan.stages[i]
        least = asked.early_after if stage.get("early") and asked.early_after is not None else asked.window
        if window.get("ran", 0) < least - EPSILON:
            book.breach("S3", f"{facts.name}: stage {i + 1} passed after {window.get('ran', 0):.0f} s of {least:.0f} s")
        if window.get("openedAt", 0) < facts.shifted_at:
            late = facts.shifted_at - window.get("openedAt", 0)
            book.breach("S3", f"{facts.name}: the window of stage {i + 1} opened {late:.1f} s before its weights")
        counted = facts.plan.traffic.metrics == "istio" and stage.get("checks")
        if counted and window.get("nGreen", 0) < asked.min_requests:
            book.breach("S3", f"{facts.name}: stage {i + 1} passed with n = {window.get('nGreen', 0):.0f}, expected {asked.min_requests}")


def _verdicts(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    was = [stage.get("verdict") for stage in before.get("stages", ())]
    observed = {check.name for check in facts.plan.checks if check.observe} if facts.plan else set()
    for i, stage in enumerate(after.get("stages", ())):
        if stage.get("verdict") != "pass" or (i < len(was) and was[i] == "pass"):
            continue
        for check in stage.get("checks", ()):
            if check["name"] in observed:
                continue
            value = check.get("value")
            if check.get("outcome") != "pass" or value is None or not math.isfinite(value):
                said = f"{check.get('outcome')} with the value {value}"
                book.breach("S13", f"{facts.name}: stage {i + 1} passed while check {check['name']} was {said}")


def _windows(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """L1: what a window has run is not lost, or a controller that restarts often enough never ends it."""
    if book.clock_may_jump:
        return
    for i, (was, now) in enumerate(zip(before.get("stages", ()), after.get("stages", ()), strict=False)):
        old, new = was.get("window") or {}, now.get("window") or {}
        if old.get("openedAt") == new.get("openedAt") and new.get("ran", 0) < old.get("ran", 0) - EPSILON:
            book.breach("L1", f"{facts.name}: the window of stage {i + 1} had run {old['ran']:.0f} s and has now {new.get('ran', 0):.0f} s")


def _held(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    hold = after.get("hold") or {}
    if after.get("phase") == "Holding" and hold.get("until") is None and not hold.get("waitsFor"):
        book.breach("L6", f"{facts.name} holds for {hold.get('reason')} with neither a deadline nor a person")
    same = all(
        before.get(k) == after.get(k)
        for k in ("phase", "phaseCounter", "requests", "drift", "weight", "observedWeight", "reason", "objects", "emptySince")
    )
    polls = [[(t["name"], t.get("outcome"), t.get("recent")) for t in s.get("triggers", ())] for s in (before, after)]
    if after.get("phase") != "Holding" or not hold.get("waitsFor") or not same or polls[0] != polls[1] or before.get("hold") != hold:
        facts.waiting_writes.clear()
        return
    if facts.waiting_writes and book.now - facts.waiting_writes[-1] < CHECKPOINT_SECONDS and not book.clock_may_jump:
        gap = book.now - facts.waiting_writes[-1]
        book.breach("S16", f"{facts.name} waits for a person and was written twice within {gap:.0f} s")
    facts.waiting_writes.append(book.now)


def _stamped(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Rule 3: a rollback stamps every route, also one that seems unchanged: this is what stops a deposed leader's write."""
    if not (after.get("rollback") or {}).get("trafficAt") or (before.get("rollback") or {}).get("trafficAt"):
        return
    for place in facts.targets():
        obj = book.find("VirtualService", place)
        if book.owner(obj) is facts and obj is not None and not marks.annotation(obj, marks.STAMP).startswith(f"{facts.uid}/"):
            book.breach("S8", f"{facts.name}: VirtualService {place[0]}/{place[1]} counts as rolled back and bears no stamp")


def _recorded(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """S15: what a status rests on stands in the history already."""
    counter = before.get("phaseCounter", 0)
    kinds = []
    if after.get("grant", 0) > before.get("grant", 0):
        kinds.append("grant")
    if after.get("rollback") and not before.get("rollback"):
        kinds.append("rollback")
    judged = [sum(s.get("verdict") is not None for s in status.get("stages", ())) for status in (before, after)]
    if judged[1] > judged[0]:
        kinds.append("verdict")
    keys = [key for key in book.records.get(facts.uid, ()) if key.startswith(f"{counter:04d}-")]
    for kind in kinds:
        found = [key for key in keys if key.startswith(f"{counter:04d}-{kind}")]
        if len(found) != 1:
            book.breach("S15", f"{facts.name}: {len(found)} records of a {kind} in phase {counter}, expected one")
    asked = list(after.get("requests", ()))
    if len(asked) != len(set(asked)):
        book.breach("S11", f"{facts.name}: a request was acted on twice: {asked}")


def _ended(book: Book, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    if before.get("phase") == after.get("phase") or after.get("phase") not in ("RolledBack", "Succeeded") or facts.plan is None:
        return
    if facts.status.get("blueSlot", -1) < 0:
        return
    shares = book.shares(facts)
    home = after.get("phase") == "Succeeded" and (facts.plan.finish.mode == "home" and after.get("returnedAt"))
    wanted = 0 if after["phase"] == "RolledBack" or home else FULL
    for place, share in shares.items():
        if abs(share - wanted) > EPSILON:
            book.breach("S7", f"{facts.name} is {after['phase']} while green has {share:.0f} % on VirtualService {place[0]}/{place[1]}")
    if after["phase"] == "RolledBack":
        _rolled_back(book, facts, after)


def _rolled_back(book: Book, facts: ReleaseFacts, after: Mapping[str, Any]) -> None:
    assert facts.plan is not None  # noqa: S101 - _ended() has looked
    left = (after.get("rollback") or {}).get("left", "")  # of a deleted release, and said
    for place in facts.workloads(1 - after["blueSlot"]):
        if "/".join(place) in left:
            continue
        green = book.find("Deployment", place)
        if green is not None and (green.get("spec") or {}).get("replicas", 1) > 0 and not facts.plan.rollback.keep_green:
            book.breach(
                "S7",
                f"{facts.name} is RolledBack while Deployment {place[0]}/{place[1]} has {green['spec'].get('replicas', 1)} replicas",
            )
    sizes = {c["member"]: c["replicas"] for c in after.get("capacity", ())}
    for place, member in facts.workloads(after["blueSlot"]).items():
        blue = book.find("Deployment", place)
        if blue is not None and blue["spec"].get("replicas", 1) < min(sizes.get(member, 0), 1):
            book.breach("S7", f"{facts.name} is RolledBack while blue {place[0]}/{place[1]} has {blue['spec'].get('replicas')} replicas")
