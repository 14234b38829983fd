"""The order of writes as an explicit-state model: `docs/decisions/0003-table-of-writes.md`, searched exhaustively.

Two controllers without a lease act on one Release and one route. Each reads, decides and writes in single
steps that interleave freely; it may crash between any two, and a write that it sent may be applied long
after it gave up. Every look measures again, and the answer may flip. A *rule* that is taken out
must make the search find a breach: otherwise the rule, or this model, is worth nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

LAST = 2
"""Weights are the stage's number: 0 is blue only, 2 is everything on green."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the product does; each may be taken out."""

    targets_first: bool = True
    conditional: bool = True
    grant_before_weight: bool = True
    verdict_before_grant: bool = True
    stamp_always: bool = True
    late_rollback_looks_again: bool = True
    stamp_before_end: bool = True
    """Also where the cluster did not take the rollback's write, and somebody put the route on blue by hand."""


class Release(NamedTuple):
    version: int = 0
    phase: str = "forward"
    stage: int = 1
    grant: int = 1
    passed: int = 0
    """Highest stage with a stored passing verdict."""


class Route(NamedTuple):
    version: int = 0
    weight: int = 0
    stamped: bool = False


class Write(NamedTuple):
    """One request under way. `on` is the version that it was built on; `checked` says that the Release was read again."""

    target: str
    on: int
    value: object
    rollback: bool = False


class Controller(NamedTuple):
    step: str = "idle"
    route: Route | None = None
    release: Release | None = None
    write: Write | None = None
    owes_rollback: bool = False


class State(NamedTuple):
    release: Release = Release()
    route: Route = Route()
    controllers: tuple[Controller, ...] = (Controller(), Controller())
    late: frozenset[Write] = frozenset()
    crashes: int = 0
    refusals: int = 0
    by_hand: int = 0
    breach: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    versions: int = 7
    crashes: int = 1
    late: int = 1
    refusals: int = 0
    by_hand: int = 0


def search(rules: Rules, bounds: Bounds | None = None) -> str:
    """The first breach that some interleaving reaches, or "" where none does within the bounds."""
    bounds = bounds or Bounds()
    start = State()
    seen, frontier = {start}, [start]
    while frontier:
        state = frontier.pop()
        for after in successors(state, rules, bounds):
            if after.breach:
                return after.breach
            if after not in seen:
                seen.add(after)
                frontier.append(after)
    return ""


def successors(state: State, rules: Rules, bounds: Bounds) -> Iterator[State]:
    """Everything that can happen next."""
    if state.release.version >= bounds.versions or state.route.version >= bounds.versions:
        return
    for index, controller in enumerate(state.controllers):
        for world, after in moves(state, controller, rules, bounds):
            controllers = tuple(after if i == index else c for i, c in enumerate(world.controllers))
            yield world._replace(controllers=tuple(sorted(controllers, key=hash)))
    for write in state.late:
        yield apply(state, write, rules)[0]._replace(late=state.late - {write})
    if state.release.phase == "owed" and state.by_hand < bounds.by_hand and state.route.weight:
        # A person puts the weights on blue; the stamp is ours alone.
        by_hand = Route(state.route.version + 1, 0, stamped=state.route.stamped)
        yield commit_route(state, by_hand)._replace(by_hand=state.by_hand + 1)


def moves(state: State, c: Controller, rules: Rules, bounds: Bounds) -> Iterator[tuple[State, Controller]]:
    """The steps of one controller."""
    if c.step != "idle" and state.crashes < bounds.crashes:
        yield state._replace(crashes=state.crashes + 1), Controller()
    match c.step:
        case "idle":
            yield state, c._replace(step="read-2", **read(state, "route" if rules.targets_first else "release"))
        case "read-2":
            yield state, c._replace(step="decide", **read(state, "release" if rules.targets_first else "route"))
        case "decide":
            for write in decide(c, rules):
                yield state, c._replace(step="write", write=write) if write else Controller()
        case "write":
            yield from sent(state, c, rules, bounds)


def read(state: State, what: str) -> dict[str, object]:
    return {what: getattr(state, what)}


def sent(state: State, c: Controller, rules: Rules, bounds: Bounds) -> Iterator[tuple[State, Controller]]:
    """The write reaches the server now, or the controller gives up and it arrives later."""
    write = c.write
    assert write is not None
    if len(state.late) < bounds.late:
        yield state._replace(late=state.late | {write}), Controller()
    if write.rollback and state.refusals < bounds.refusals:
        yield state._replace(refusals=state.refusals + 1), c._replace(write=owed(c)) if owed(c) else Controller()
    after, ok = apply(state, write, rules)
    # Act first, then record, on the way back; the recording is conditional on the Release that was read.
    assert c.release is not None
    if ok and write.rollback and c.release.phase in ("forward", "owed"):
        record = Write("release", c.release.version, c.release._replace(phase="rolling-back", version=c.release.version + 1))
        yield after, c._replace(write=record)
    else:
        yield after, Controller()


def owed(c: Controller) -> Write | None:
    """The cluster does not take a rollback's write (a right, a webhook): only then the record goes before the traffic."""
    assert c.release is not None
    if c.release.phase != "forward":
        return None
    return Write("release", c.release.version, c.release._replace(phase="owed", version=c.release.version + 1))


def decide(c: Controller, rules: Rules) -> Iterator[Write | None]:
    """What the core does with what was read; two answers where a measurement is asked."""
    route, release = c.route, c.release
    assert route is not None
    assert release is not None
    back = Write("route", route.version, Route(route.version + 1, 0, stamped=True), rollback=True)

    def recorded(**change: object) -> Write:
        return Write("release", release.version, release._replace(version=release.version + 1, **change))

    match release.phase:
        case "owed":
            taken = "rolling-back" if route.stamped else "" if route.weight or rules.stamp_before_end else "rolled-back"
            yield recorded(phase=taken) if taken else back
        case "rolling-back":
            if route.weight or (rules.stamp_always and not route.stamped):
                yield back
            else:
                yield recorded(phase="rolled-back")
        case "forward":
            if route.stamped:
                yield recorded(phase="rolling-back")
                return
            if route.weight or rules.stamp_always:
                yield back  # the measurement says: fail
            else:
                yield recorded(phase="rolling-back")  # defect: a rollback that skips an "unchanged" write
            yield forward(route, release, recorded, rules)
        case "rolled-back" if route.stamped:
            # What was borrowed goes back: owner and stamp are taken off the route.
            yield Write("route", route.version, Route(route.version + 1, route.weight))
        case _:
            yield None


def forward(route: Route, release: Release, recorded: object, rules: Rules) -> Write | None:
    """The one next step toward green (the measurement says: pass)."""
    assert callable(recorded)
    if route.weight < release.stage:
        return Write("route", route.version, Route(route.version + 1, release.stage))
    if release.passed < release.stage and (rules.verdict_before_grant or release.stage == LAST):
        return recorded(passed=release.stage)
    if release.stage == LAST:
        return recorded(phase="succeeded")
    if not rules.grant_before_weight and route.weight == release.stage:
        return Write("route", route.version, Route(route.version + 1, release.stage + 1))
    return recorded(stage=release.stage + 1, grant=release.stage + 1)


def apply(state: State, write: Write, rules: Rules) -> tuple[State, bool]:
    """The server takes a write or refuses it, and the invariants look at every commit."""
    current = state.release if write.target == "release" else state.route
    stale = write.on != current.version
    if stale and (rules.conditional or write.target == "release"):
        return state, False
    if write.rollback and rules.late_rollback_looks_again and state.release.phase in ("succeeded", "rolled-back"):
        return state, False  # dropped: the Release, read again, has finished
    if write.target == "release":
        return commit_release(state, write.value), True
    return commit_route(state, write.value), True


def commit_release(state: State, new: object) -> State:
    assert isinstance(new, Release)
    breach = ""
    if new.grant > state.release.grant and state.release.passed < new.grant - 1:
        breach = "S3: the grant rose without a stored verdict"
    if new.phase == "rolled-back" and state.route.weight:
        breach = "S7: rolled back while green has traffic"
    return state._replace(release=new, breach=breach)


def commit_route(state: State, new: object) -> State:
    assert isinstance(new, Route)
    breach, before = "", state.route
    new = new._replace(version=before.version + 1)
    if new.weight > state.release.grant:
        breach = "S2: the weight is above the grant"
    if new.weight > before.weight and state.release.phase in ("rolling-back", "rolled-back"):
        breach = "S8: green was raised after a rollback was recorded"
    if state.release.phase == "succeeded" and new.weight < LAST:
        breach = "S7: a late rollback after a success"
    return state._replace(route=new, breach=breach)
