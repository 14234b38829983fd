"""The gates before the next stage: an ordered chain of small functions, each open or closed with its reason.

The order matters and is tested: evidence first, then people, then capacity, so that what is printed is
the first thing that a person could do something about.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.model import Outcome
from controller.api.release import Phase
from controller.core import readings, reasons
from controller.core.steps import World
from controller.core.words import many
from controller.core.world import WorkloadView
from controller.ports import DEPLOYMENT


@dataclass(frozen=True, slots=True)
class Gate:
    """Open, or closed for a reason until a deadline or until a person acts."""

    open: bool
    reason: str = ""
    detail: str = ""
    until: float | None = None
    waits_for: str = ""


OPEN = Gate(open=True)


def closed(reason: str, detail: str = "", *, until: float | None = None, waits_for: str = "") -> Gate:
    """A closed gate."""
    return Gate(open=False, reason=reason, detail=detail, until=until, waits_for=waits_for)


def verdict_key(w: World) -> str:
    """What a verdict counts for: its own revision, plan and stage (rule 5)."""
    return f"{w.subject.spec.revision}/{w.status.plan_hash}/{w.status.stage}"


def verdict(w: World) -> Gate:
    """Closed until this very stage of this very revision has passed, or a recorded request skipped its window."""
    stage = w.stage_status
    if stage.skipped:
        return OPEN
    if stage.verdict is Outcome.PASS and stage.verdict_key == verdict_key(w):
        return OPEN
    return closed(reasons.MEASURING, "not judged yet")


def manual_hold(w: World) -> Gate:
    """Closed where the plan asks for a person after this stage, until somebody advances it."""
    if not w.stage.hold or w.stage_status.skipped:
        return OPEN
    return closed(reasons.MANUAL_HOLD, waits_for="operator")


def green_capacity(w: World) -> Gate:
    """Closed while a member of green has fewer ready pods than it needs, while no proxy could find them, or while the news travels."""
    until = w.now + w.plan.preparation.deadline
    if not w.observed.cluster_ready:
        return closed(reasons.CLUSTER_GONE, until=until)
    lacking = pods_missing(w) or travelling(w)
    return closed(reasons.CAPACITY_MISSING, lacking, until=until) if lacking else OPEN


def pods_missing(w: World) -> str:
    """Which members of green have fewer ready pods than they need, in words; "" where none has."""
    return "; ".join(
        f"{member.green.namespace}/{member.green.name} has {member.green.available} of {needed}"
        + (f" ({member.green.stuck})" if member.green.stuck else "")
        for member in w.observed.members
        if member.green.available < (needed := needed_replicas(w, member.name))
    )


def ready_since(w: World) -> float:
    """Since when green, or in the return the original, is complete, Unix seconds; 0 where it is not, or a clock said so that is ahead."""
    return 0.0 if readings.of_another_clock(w.status.ready_at, w.now) else w.status.ready_at


def travelling(w: World) -> str:
    """Whether proxies may not know yet that green is complete (again), in words: a raise before that meets no ready endpoint (S4)."""
    ready, delay = ready_since(w), w.plan.preparation.route_delay
    since = w.now - (ready or w.now)
    if ready and since >= delay:
        return ""
    return f"they are complete since {since:.0f} s, proxies get {delay:.0f} s to learn of it"


GATES: tuple[Callable[[World], Gate], ...] = (verdict, manual_hold, green_capacity)


def first_closed(w: World) -> Gate:
    """The first closed gate of the chain, or OPEN."""
    for gate in GATES:
        answer = gate(w)
        if not answer.open:
            return answer
    return OPEN


WORDS_LENGTH = 300
"""What is said of blue's other images, and of green's sizes, is cut here: it stays small with any number of members."""

OTHER_VERSION = "version"
"""The original has not got the version that it shall have."""


def home_lacks(w: World, wanted: Mapping[str, str], *, updated: bool) -> str:
    """`OTHER_VERSION` where the original has another image than the wanted one, else what its pods lack; empty when it is ready.

    Likewise where it was given this release's version and shall not have it (`updated`), or the other way round: a version may be the same
    image in another environment.
    """
    lacking = []
    for member in w.observed.members:
        blue, needed = member.blue, needed_replicas(w, member.name)
        other = wanted.get(member.name) and blue.image != wanted[member.name]
        if other or (blue.updated_by == w.subject.uid) != updated:
            return OTHER_VERSION
        if not blue.current:
            lacking.append(f"{blue.namespace}/{blue.name} is replacing its pods")
        elif blue.available < needed:
            lacking.append(f"{blue.namespace}/{blue.name} has {blue.available} of {many(needed, 'pod')} available")
        elif w.status.phase is Phase.RETURNING and blue.endpoints < needed:
            lacking.append(f"{blue.namespace}/{blue.name} has {blue.endpoints} of {many(needed, 'ready endpoint')}")
    return "; ".join(lacking)


def gone(view: WorkloadView) -> bool:
    """Deleted, or about to be."""
    return not view.found or view.terminating


def without_pods(view: WorkloadView) -> bool:
    """No pod of it can answer."""
    return view.empty or gone(view)


def clone_empty(w: World) -> bool:
    """After the return of `finish: home`: the clone lacks pods, so that going back to it would help nobody."""
    return bool(w.status.returned_at) and any(without_pods(member.green) for member in w.observed.members)


def recorded_uids(w: World, view: WorkloadView) -> frozenset[str]:
    """The uids under which this release has written down the Deployment of this place."""
    named_so = [o for o in w.status.objects if o.name == view.name and o.namespace == view.namespace]
    return frozenset([o.uid for o in named_so if o.uid and o.kind == DEPLOYMENT.kind])


def replaced(w: World, view: WorkloadView) -> bool:
    """Whether it is not the Deployment that this release has written down for its place: nobody has judged it (S14)."""
    known = recorded_uids(w, view)
    return bool(known) and view.uid not in known


def named(views: Sequence[WorkloadView]) -> str:
    """Which Deployments; "" for none."""
    return f"Deployment {', '.join(f'{view.namespace}/{view.name}' for view in views)}" if views else ""


def deleted_blue(w: World) -> str:
    """Which of blue's Deployments are gone. A reverse release leaves a version that failed its users: that one's end stops nobody."""
    return named([m.blue for m in w.observed.members if gone(m.blue)]) if w.subject.spec.kind == "forward" else ""


def lost_original(w: World) -> str:
    """Why nobody can be put back on the original of `finish: home`: it is deleted, or another one stands there; "" where it is there."""
    if w.status.returning is None:
        return ""
    others = [m for m in w.observed.members if not gone(m.blue) and replaced(w, m.blue)]
    strange = [f"{named([m.blue])} is another one, with {m.blue.image}, and had {w.status.images_before.get(m.name)}" for m in others]
    return "; ".join([words for words in (deleted_blue(w), *strange) if words])


def other_blue(w: World) -> str:
    """Which Deployments of blue run something else than what served at the start, in words; "" where none does.

    In the return of `finish: home` it is this release that gives blue another one, and a reverse release leaves blue behind.
    """
    if w.status.returning is not None or w.subject.spec.kind == "reverse":
        return ""
    there = [(m.name, m.blue) for m in w.observed.members if not gone(m.blue)]
    return "; ".join(f"{named([blue])} {what}" for name, blue in there if (what := _otherwise(w, name, blue)))[:WORDS_LENGTH]


def _otherwise(w: World, member: str, blue: WorkloadView) -> str:
    """What blue runs instead of what served at the start, in words; "" where it is the same."""
    image, template = w.status.images_before.get(member, blue.image), w.status.templates_before.get(member, blue.template)
    if image != blue.image:
        return f"runs {blue.image}, and had {image}"
    return f"runs {blue.image} with another pod template" if template != blue.template else ""


def blue_shrunk(w: World) -> bool:
    """Whether somebody made blue smaller than it was at the start: it must be able to take everybody back."""
    before = {c.member: c.replicas for c in w.status.capacity}
    return any(not gone(m.blue) and m.blue.replicas < before.get(m.name, 0) for m in w.observed.members)


def green_shrunk(w: World) -> str:
    """Which Deployments of green were made smaller than they were when green got what it has, in words; "" where none was.

    Not where the plan leaves the size to others, where a person asked for a switch whatever is ready, or in the return of `finish: home`.
    """
    if w.plan.preparation.size == "own" or w.subject.spec.now or w.status.returning is not None:
        return ""
    had = {c.member: c.replicas for c in w.status.capacity}
    small = [(m.green, had.get(m.name, 0)) for m in w.observed.members if not gone(m.green) and m.green.replicas < had.get(m.name, 0)]
    return "; ".join(f"{named([view])} wants {view.replicas} of {many(size, 'pod')}" for view, size in small)[:WORDS_LENGTH]


def other_configs(w: World) -> str:
    """Which ConfigMaps say something else than when green was ready, in words; "" where none does."""
    known = w.status.configs_ready
    other = [name for name, digest in sorted(w.observed.configs.items()) if known.get(name, digest) != digest]
    return f"ConfigMap {', '.join(other)}"[:WORDS_LENGTH] if other else ""


def needed_replicas(w: World, member: str) -> int:
    """How many ready pods green's member needs: as many as blue has now, never fewer than it had at the start."""
    start = next((c.replicas for c in w.status.capacity if c.member == member), 1)
    view = next((m for m in w.observed.members if m.name == member), None)
    if w.plan.preparation.size == "own":
        return max(1, view.green.replicas if view else 1)
    return max(1, start, view.blue.replicas if view else 0)
