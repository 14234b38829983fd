"""S1 to S17 as far as the store tells them: a pure history of commits, of the simulator or of a real API server's watches.

A commit is fed in the order of revisions. Each breach is one sentence with its time and its name. What others
write is never a breach; what we write on top of it may be.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from controller.adapters import marks
from controller.api.plan import PlanSpec
from controller.ports import Obj
from controller.simulator.invariants_model import (
    BACKWARD,
    FINAL,
    FULL,
    Place,
    ReleaseFacts,
    Split,
    bypass_to_green,
    foreign_marks,
    splits,
    unowned,
)  # fmt: skip

CHECKPOINT_SECONDS = 59.0
"""A release that waits for a person writes at most once a minute (S16)."""

EPSILON = 1e-6

WORKLOADS = frozenset({"Deployment"})
WRITTEN = frozenset({"VirtualService", "DestinationRule", "Deployment", "Service", "HorizontalPodAutoscaler"})


@dataclass(frozen=True, slots=True)
class Breach:
    """One breach of an invariant."""

    at: float
    name: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.name} at {self.at:.1f}: {self.sentence}"


class History:
    """All commits so far, and what was wrong with them.

    Args:
        ours: field managers of the controller.
        clock_may_jump: times that the controller wrote cannot be compared with the server's.

    Attributes:
        breaches: in order.
        releases: by uid.
    """

    def __init__(self, *, ours: Iterable[str] = ("penstock",), clock_may_jump: bool = False) -> None:
        self.ours = frozenset(ours)
        self.clock_may_jump = clock_may_jump
        self.breaches: list[Breach] = []
        self.releases: dict[str, ReleaseFacts] = {}
        self.now = 0.0
        self._objects: dict[tuple[str, str, str], Obj] = {}
        self._plans: dict[Place, PlanSpec] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._answered: dict[str, Any] = {}
        self._acted: set[str] = set()

    def find(self, kind: str, place: Place) -> Obj | None:
        """An object as it is stored now."""
        return self._objects.get((kind, *place))

    def breach(self, name: str, sentence: str) -> None:
        """Note a breach at the present time."""
        self.breaches.append(Breach(self.now, name, sentence))

    def commit(self, at: float, kind: str, old: Obj | None, new: Obj | None, manager: str) -> None:
        """One change: `old` is None for a creation, `new` for a deletion."""
        self.now = at
        obj = new if new is not None else old
        assert obj is not None  # noqa: S101 - a commit has one of the two
        meta = obj["metadata"]
        key = (kind, meta.get("namespace", ""), meta["name"])
        ours = manager in self.ours
        if kind == "Release":
            self._release(old, new, ours=ours)
        elif kind == "VirtualService" and ours:
            self._route(old, new)
        elif kind in WORKLOADS and ours:
            self._workload(old, new)
        elif kind == "ConfigMap":
            self._config_map(new if new is not None else obj, gone=new is None)
        elif kind == "ReleaseRequest" and new is not None:
            self._request(new)
        if ours and kind not in ("Event", "Lease"):
            self._epoch(kind, old, new)
            self._resolved(kind, old, new)
        if new is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = new
        if kind == "VirtualService":
            self._measure_zero(ours=ours, old=old, new=new)

    # Release.

    def _release(self, old: Obj | None, new: Obj | None, *, ours: bool) -> None:
        if new is None:
            self._gone(old or {})
            return
        uid = new["metadata"]["uid"]
        facts = self.releases.get(uid)
        if facts is None:
            if (new.get("status") or {}).get("stage", -1) >= 0:
                self.breach("S10", f"Release {new['metadata']['name']} was created with a stage already in its status")
            self.releases[uid] = ReleaseFacts(new)
            return
        before, after = facts.status, new.get("status") or {}
        facts.obj = new
        hash_ = str(after.get("planHash", ""))
        if facts.plan is None and hash_:
            facts.plan = self._plans.get((facts.namespace, hash_))
        if ours and before != after:
            self._final(facts, before, after)
            self._grant(facts, before, after)
            self._verdicts(facts, before, after)
            self._held(facts, before, after)
            self._stamped(facts, before, after)
            self._recorded(facts, before, after)
            self._ended(facts, before, after)

    def _gone(self, old: Mapping[str, Any]) -> None:
        facts = self.releases.pop(old["metadata"]["uid"], None)
        if facts is None or facts.phase == "Succeeded":
            return
        for place, share in self._shares(facts).items():
            if share > EPSILON:
                self.breach("S17", f"{facts.name} went while green has {share:.0f} % on VirtualService {place[0]}/{place[1]}")

    def _final(self, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        was, now = before.get("phase", "Queued"), after.get("phase", "Queued")
        if was in FINAL and now != was:
            self.breach("S7", f"{facts.name} went from the final {was} to {now}")
        if after.get("phaseCounter", 0) < before.get("phaseCounter", 0):
            self.breach("S9", f"{facts.name}: the phase counter fell from {before['phaseCounter']} to {after['phaseCounter']}")
        if before.get("rollback") and was not in FINAL and now in ("Shifting", "Measuring", "Baking") and was in BACKWARD:
            self.breach("S8", f"{facts.name} went from {was} to {now} after a rollback was recorded")

    def _grant(self, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        was, now = before.get("grant", 0), after.get("grant", 0)
        if now < was:
            high = max(self._shares(facts).values(), default=0.0)
            if high > now + EPSILON:
                self.breach("S2", f"{facts.name}: the grant fell from {was} to {now} while green has {high:.0f} %")
        if now <= was:
            return
        if before.get("rollback") or before.get("phase") in BACKWARD:
            self.breach("S8", f"{facts.name}: the grant rose from {was} to {now} after a rollback was recorded")
        i, j = before.get("stage", -1), after.get("stage", -1)
        if i < 0 or facts.obj["spec"].get("kind") == "reverse":
            if j > 0:
                self.breach("S3", f"{facts.name}: the first grant is of stage {j + 1}")
            return
        skipped = after["stages"][i].get("skipped") or (before["stages"][i].get("skipped") if i < len(before["stages"]) else "")
        if skipped:
            if skipped not in after.get("requests", ()):
                self.breach("S3", f"{facts.name}: stage {i + 1} was skipped by a request that is not recorded")
            return
        if j != i + 1:
            self.breach("S3", f"{facts.name}: the grant jumped from stage {i + 1} to {j + 1}")
        self._evidence(facts, before["stages"][i], i)

    def _evidence(self, facts: ReleaseFacts, stage: Mapping[str, Any], i: int) -> None:
        """What the stored status says about the stage that the grant rests on."""
        status = facts.status
        wanted = f"{facts.obj['spec']['revision']}/{status.get('planHash')}/{i}"
        if stage.get("verdict") != "pass":
            self.breach(
                "S3",
                f"{facts.name}: the grant of {status.get('grant')} % rests on stage {i + 1}, whose verdict is {stage.get('verdict')}",
            )
            return
        if stage.get("verdictKey") != wanted:
            self.breach("S10", f"{facts.name}: the verdict of stage {i + 1} is about {stage.get('verdictKey')}, expected {wanted}")
        window = stage.get("window") or {}
        if facts.plan is not None and not self.clock_may_jump:
            asked = facts.plan.stages[i]
            if window.get("ran", 0) < asked.window - EPSILON:
                self.breach("S3", f"{facts.name}: stage {i + 1} passed after {window.get('ran', 0):.0f} s of {asked.window:.0f} s")
            if window.get("openedAt", 0) < facts.shifted_at:
                late = facts.shifted_at - window.get("openedAt", 0)
                self.breach("S3", f"{facts.name}: the window of stage {i + 1} opened {late:.1f} s before its weights")
            counted = facts.plan.traffic.metrics == "istio" and stage.get("checks")
            if counted and window.get("nGreen", 0) < asked.min_requests:
                self.breach(
                    "S3", f"{facts.name}: stage {i + 1} passed with n = {window.get('nGreen', 0):.0f}, expected {asked.min_requests}"
                )

    def _verdicts(self, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
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
                    self.breach("S13", f"{facts.name}: stage {i + 1} passed while check {check['name']} was {said}")

    def _held(self, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        hold = after.get("hold") or {}
        if after.get("phase") == "Holding" and hold.get("until") is None and not hold.get("waitsFor"):
            self.breach("L6", f"{facts.name} holds for {hold.get('reason')} with neither a deadline nor a person")
        same = all(
            before.get(k) == after.get(k)
            for k in ("phase", "phaseCounter", "requests", "drift", "weight", "observedWeight", "reason", "objects")
        )
        polls = [[(t["name"], t.get("outcome"), t.get("recent")) for t in s.get("triggers", ())] for s in (before, after)]
        if after.get("phase") != "Holding" or not hold.get("waitsFor") or not same or polls[0] != polls[1] or before.get("hold") != hold:
            facts.waiting_writes.clear()
            return
        if facts.waiting_writes and self.now - facts.waiting_writes[-1] < CHECKPOINT_SECONDS and not self.clock_may_jump:
            gap = self.now - facts.waiting_writes[-1]
            self.breach("S16", f"{facts.name} waits for a person and was written twice within {gap:.0f} s")
        facts.waiting_writes.append(self.now)

    def _stamped(self, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Rule 3: a rollback stamps every route, also one that seems unchanged: this is what stops a deposed leader's write."""
        if not (after.get("rollback") or {}).get("trafficAt") or (before.get("rollback") or {}).get("trafficAt"):
            return
        for place in facts.targets():
            obj = self.find("VirtualService", place)
            if self._owner(obj) is facts and obj is not None and not marks.annotation(obj, marks.STAMP).startswith(f"{facts.uid}/"):
                self.breach("S8", f"{facts.name}: VirtualService {place[0]}/{place[1]} counts as rolled back and bears no stamp")

    def _recorded(self, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
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
        keys = [key for key in self._records.get(facts.uid, ()) if key.startswith(f"{counter:04d}-")]
        for kind in kinds:
            found = [key for key in keys if key.startswith(f"{counter:04d}-{kind}")]
            if len(found) != 1:
                self.breach("S15", f"{facts.name}: {len(found)} records of a {kind} in phase {counter}, expected one")
        asked = list(after.get("requests", ()))
        if len(asked) != len(set(asked)):
            self.breach("S11", f"{facts.name}: a request was acted on twice: {asked}")

    def _ended(self, facts: ReleaseFacts, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        if before.get("phase") == after.get("phase") or after.get("phase") not in ("RolledBack", "Succeeded") or facts.plan is None:
            return
        if facts.status.get("blueSlot", -1) < 0:
            return
        shares = self._shares(facts)
        home = after.get("phase") == "Succeeded" and (facts.plan.finish.mode == "home" and after.get("returnedAt"))
        wanted = 0 if after["phase"] == "RolledBack" or home else FULL
        for place, share in shares.items():
            if abs(share - wanted) > EPSILON:
                self.breach("S7", f"{facts.name} is {after['phase']} while green has {share:.0f} % on VirtualService {place[0]}/{place[1]}")
        if after["phase"] == "RolledBack":
            self._rolled_back(facts, after)

    def _rolled_back(self, facts: ReleaseFacts, after: Mapping[str, Any]) -> None:
        assert facts.plan is not None  # noqa: S101 - _ended() has looked
        for place in facts.workloads(1 - after["blueSlot"]):
            green = self.find("Deployment", place)
            if green is not None and (green.get("spec") or {}).get("replicas", 1) > 0 and not facts.plan.rollback.keep_green:
                self.breach(
                    "S7",
                    f"{facts.name} is RolledBack while Deployment {place[0]}/{place[1]} has {green['spec'].get('replicas', 1)} replicas",
                )
        sizes = {c["member"]: c["replicas"] for c in after.get("capacity", ())}
        for place, member in facts.workloads(after["blueSlot"]).items():
            blue = self.find("Deployment", place)
            if blue is not None and blue["spec"].get("replicas", 1) < min(sizes.get(member, 0), 1):
                self.breach(
                    "S7", f"{facts.name} is RolledBack while blue {place[0]}/{place[1]} has {blue['spec'].get('replicas')} replicas"
                )

    # Routes.

    def _shares(self, facts: ReleaseFacts) -> dict[Place, float]:
        """Green's highest share on each VirtualService that exists."""
        found = {}
        for place, ref in facts.targets().items():
            obj = self.find("VirtualService", place)
            if obj is not None:
                found[place] = max((split.share for split in splits(facts, ref, obj)), default=0.0)
        return found

    def _owner(self, obj: Obj | None) -> ReleaseFacts | None:
        return self.releases.get(marks.annotation(obj, marks.OWNER)) if obj is not None else None

    def _late(self, old: Obj | None, new: Obj | None) -> None:
        """Rule 3: the rollback of a release that has ended is dropped."""
        stamp = marks.annotation(new, marks.STAMP) if new is not None else ""
        facts = self.releases.get(stamp.partition("/")[0])
        if facts is not None and facts.phase in FINAL and old is not None and stamp != marks.annotation(old, marks.STAMP):
            self.breach("S7", f"VirtualService {place_of(new)} was rolled back for {facts.name}, which is {facts.phase}")

    def _route(self, old: Obj | None, new: Obj | None) -> None:
        self._late(old, new)
        facts = self._owner(new) or self._owner(old)
        if facts is None or old is None or new is None:
            return
        place = (new["metadata"]["namespace"], new["metadata"]["name"])
        ref = facts.targets().get(place)
        where = f"VirtualService {place[0]}/{place[1]}"
        if ref is None:
            self.breach("S14", f"{where} was written for {facts.name}, whose plan does not name it")
            return
        if unowned(old, facts, ref) != unowned(new, facts, ref):
            self.breach("S12", f"{where}: a write for {facts.name} changed more than weights and green's destination")
        before = max((split.share for split in splits(facts, ref, old)), default=0.0)
        grant = facts.status.get("grant", 0)
        for split in splits(facts, ref, new):
            self._rule(facts, split, where)
            if split.share > grant + EPSILON and facts.phase not in FINAL and not facts.status.get("returnedAt"):
                self.breach("S2", f"{where}, {split.title}: green has {split.share:.0f} %, the stored grant is {grant} %")
            if split.share > before + EPSILON:
                self._raised(facts, where, split.share)

    def _rule(self, facts: ReleaseFacts, split: Split, where: str) -> None:
        if facts.status.get("stage", -1) < 0 or facts.phase in FINAL or facts.phase == "TearingDown":
            return
        total = split.blue + split.green + split.other
        if abs(total - FULL) > EPSILON or not split.named or min(split.blue, split.green) < 0:
            self.breach("S1", f"{where}, {split.title}: weights {split.blue:.0f} + {split.green:.0f} + {split.other:.0f}, expected 100")
        if sorted(split.sides) != ["blue", "green"] and facts.phase != "RollingBack":
            self.breach(
                "S1",
                f"{where}, {split.title}: destinations are {', '.join(side or 'other' for side in split.sides)}, expected blue and green",
            )

    def _raised(self, facts: ReleaseFacts, where: str, share: float) -> None:
        if facts.phase in BACKWARD or (facts.status.get("rollback") and facts.phase != "Halted"):
            self.breach("S8", f"{where}: green was raised to {share:.0f} % after {facts.name} had recorded its rollback")
        if facts.plan is None or facts.obj["spec"].get("now"):
            return
        sizes = {c["member"]: c["replicas"] for c in facts.status.get("capacity", ())}
        for place, member in facts.workloads(1 - facts.status["blueSlot"]).items():
            green = self.find("Deployment", place)
            ready = ((green or {}).get("status") or {}).get("availableReplicas", 0)
            needed = 1 if facts.plan.preparation.size == "own" else sizes.get(member, 1)
            if ready < needed:
                self.breach(
                    "S4", f"{where}: green was raised to {share:.0f} % while {place[0]}/{place[1]} has {ready} of {needed} pods available"
                )

    def _measure_zero(self, *, ours: bool, old: Obj | None, new: Obj | None) -> None:
        """Since when green has nothing, and when we last moved weights."""
        changed = (old or {}).get("spec") != (new or {}).get("spec")
        for facts in self.releases.values():
            if facts.plan is None or not facts.targets():
                continue
            high = max(self._shares(facts).values(), default=0.0)
            facts.zero_since = 0.0 if high > EPSILON else facts.zero_since or self.now
            if ours and changed and high > facts.share + EPSILON and new is not None and self._owner(new) is facts:
                facts.shifted_at = self.now
            facts.share = high

    # Workloads.

    def _workload(self, old: Obj | None, new: Obj | None) -> None:
        if old is None:
            return
        place = (old["metadata"]["namespace"], old["metadata"]["name"])
        size = old["spec"].get("replicas", 1)
        left = 0 if new is None else new["spec"].get("replicas", 1)
        for facts in self.releases.values():
            colour = facts.colour_of(place)
            if not colour or facts.phase == "Queued":
                continue
            if left < size and (facts.phase not in FINAL or self._keeps(facts)):
                self._shrunk(facts, colour, place, left)
            if colour == "blue" and new is not None and facts.phase not in FINAL and not facts.status.get("returning"):
                fixed = [{k: v for k, v in o["spec"].items() if k != "replicas"} for o in (old, new)]
                if fixed[0] != fixed[1] or foreign_marks(old) != foreign_marks(new):
                    self.breach("S12", f"Deployment {place[0]}/{place[1]} serves, and more than its size was changed for {facts.name}")

    @staticmethod
    def _keeps(facts: ReleaseFacts) -> bool:
        """A success whose old version is still kept."""
        return facts.phase == "Succeeded" and not (facts.status.get("retention") or {}).get("done")

    def _shrunk(self, facts: ReleaseFacts, colour: str, place: Place, left: int) -> None:
        """S5, S6: the loser only, without weight for the drain time."""
        assert facts.plan is not None  # noqa: S101 - it has a colour
        what = f"Deployment {place[0]}/{place[1]} ({colour} of {facts.name}) was brought down to {left}"
        drain, shares = facts.plan.rollback.drain, self._shares(facts)
        if colour == "blue":
            if facts.phase != "Succeeded":
                self.breach("S5", f"{what} in phase {facts.phase}")
            elif any(share < FULL - EPSILON for share in shares.values()):
                self.breach("S5", f"{what} while green has {min(shares.values()):.0f} %")
            return
        home = facts.phase in ("Returning", "Succeeded") and facts.status.get("returnedAt")
        if facts.phase != "TearingDown" and not home:
            self.breach("S6", f"{what} in phase {facts.phase}")
        high = max(shares.values(), default=0.0)
        if high > EPSILON:
            self.breach("S6", f"{what} while it has {high:.0f} %")
        elif facts.status.get("exposedSince") and self.now - facts.zero_since < drain - EPSILON and not self.clock_may_jump:
            self.breach("S6", f"{what} {self.now - facts.zero_since:.0f} s after its last request, the drain is {drain:.0f} s")
        for target, ref in facts.targets().items():
            obj = self.find("VirtualService", target)
            if obj is not None and (still := bypass_to_green(facts, ref, obj)):
                self.breach("S6", f"{what} while {', '.join(still)} still sends to it")

    # Records.

    def _config_map(self, obj: Obj, *, gone: bool) -> None:
        meta, data = obj["metadata"], obj.get("data") or {}
        if meta["name"].startswith("penstock-plan-") and not gone:
            try:
                plan = PlanSpec.model_validate(orjson.loads(data.get("plan.json", "")))
            except (ValidationError, orjson.JSONDecodeError):
                return
            hash_ = meta["name"].removeprefix("penstock-plan-")
            self._plans[meta["namespace"], hash_] = plan
        elif meta["name"].startswith("penstock-history-"):
            owner = next((o["uid"] for o in meta.get("ownerReferences", ())), "")
            known = self._records.setdefault(owner, {})
            entries = {key: orjson.loads(value) for key, value in data.items()}
            for key, entry in known.items():
                now = entries.get(key)
                if not gone and now is None:
                    self.breach("S15", f"ConfigMap {meta['namespace']}/{meta['name']}: the record {key} is gone")
                elif now is not None and now["kind"] != entry["kind"]:
                    self.breach(
                        "S15", f"ConfigMap {meta['namespace']}/{meta['name']}: the record {key} was {entry['kind']}, now {now['kind']}"
                    )
            acted = [entry["data"]["uid"] for entry in entries.values() if (entry.get("data") or {}).get("uid")]
            self._acted |= set(acted)
            if len(acted) != len(set(acted)):
                self.breach("S11", f"ConfigMap {meta['namespace']}/{meta['name']}: a request was applied more than once")
            known |= entries

    def _request(self, new: Obj) -> None:
        status = new.get("status") or {}
        uid, answer = new["metadata"]["uid"], (status.get("state"), status.get("reason"))
        if not status.get("state"):
            return
        if answer[0] == "refused" and uid in self._acted:
            self.breach("S11", f"ReleaseRequest {new['metadata']['name']} was acted on and then refused with {answer[1]}")
        if answer == ("accepted", "Accepted") and uid not in self._acted:
            self.breach("S15", f"ReleaseRequest {new['metadata']['name']} was accepted and has no record")
        if self._answered.setdefault(uid, answer) != answer:
            self.breach("S11", f"ReleaseRequest {new['metadata']['name']} was answered {self._answered[uid][0]}, then {answer[0]}")

    # Every write of ours.

    def _epoch(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            return
        where = f"{kind} {new['metadata'].get('namespace', '')}/{new['metadata']['name']}"
        status_write = old is not None and (old.get("status") or {}) != (new.get("status") or {})
        if status_write:
            was, now = ((o.get("status") or {}).get("epoch", 0) for o in (old or {}, new))
        else:
            was, now = marks.epoch_of(old) if old else 0, marks.epoch_of(new)
        if now < was:
            self.breach("S9", f"{where}: the epoch fell from {was} to {now}")
        if not now:
            self.breach("S9", f"{where} was written without an epoch")

    def _resolved(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        """S14: only what a plan resolved to, by its uid, or what we made."""
        obj = new if new is not None else old
        if kind not in WRITTEN or obj is None or old is None:
            return
        meta = obj["metadata"]
        mine = (kind, meta.get("namespace", ""), meta["name"])
        listed = {
            (o.get("kind"), o.get("namespace"), o.get("name")): o.get("uid", "")
            for facts in self.releases.values()
            for o in facts.status.get("objects", ())
        }
        if mine not in listed and not marks.is_made(old):
            self.breach("S14", f"{kind} {mine[1]}/{mine[2]} was written, and no release lists it")


def place_of(obj: Obj | None) -> str:
    """`namespace/name`."""
    meta = obj["metadata"] if obj is not None else {}
    return f"{meta.get('namespace', '')}/{meta.get('name', '')}"
