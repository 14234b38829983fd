"""A Release as people see it: one view model for `get`, `watch`, `why` and `wait`. Pure.

It reads plain JSON and takes any nonsense in it for absence: a status that somebody edited must still be
shown. The sentences are those of `core.reasons` and `core.sentences`; nothing is decided here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.cli.living import judged, sentence_now, unconfirmed, without
from controller.cli.words import at_home, clock, created_at, number, record, rows, span, text, whole
from controller.core import reasons
from controller.core.words import is_used, many

FINAL = frozenset({"Succeeded", "RolledBack", "Refused"})
FULL_PERCENT = 100.0
"""As good as a share can be: an availability of 100 % has used nothing of its room, whatever the least allowed one is."""

BACKWARD = frozenset({"RollingBack", "TearingDown"})


class Mark(StrEnum):
    """How something does; each has a glyph, a word and a colour in the renderer."""

    GOOD = "good"
    BAD = "bad"
    WAIT = "wait"
    RUN = "run"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage: what it is (`weight`, percent), where it stands, and in words how far; `home` is the return to the original."""

    weight: int
    mark: Mark
    word: str
    detail: str = ""
    home: bool = False


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check or trigger.

    Attributes:
        words: its numbers, or why there are none.
        tightness: how much of the room to its limit is used: 0 none, 1 all of it; None without numbers.
        trigger: it is watched all the time.
    """

    name: str
    mark: Mark
    word: str
    words: str
    tightness: float | None = None
    trigger: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """One release.

    Attributes:
        since, updated: when the phase began, and the newest time in the status; by the controller's clock, Unix seconds.
        weight, seen, most: green's percent as commanded (after a success as others have changed it), as observed on the routes, and the
            most it ever had.
        tightest: name of the check that a rollback or a hold is about, else of the one closest to its limit; "" without numbers.
        next: what happens next, a sentence. `can`: what a person can do. `command`: the one command to stop it, or to go on.
        command_does: what that command does.
        leaderless: why nothing moves, a sentence; "" where a controller acts, or nobody can tell.
        home: it succeeded by `finish: home`: the original serves everybody with the new image, so that green's weight is 0.
    """

    namespace: str
    name: str
    plan: str
    revision: str
    phase: str
    mark: Mark
    reason: str
    sentence: str
    since: float
    updated: float
    created: float
    finished: float
    weight: int
    seen: int
    most: int
    actor: str
    stages: tuple[StageView, ...]
    checks: tuple[CheckView, ...]
    tightest: str
    next: str
    can: str
    command: str
    command_does: str
    deleting: bool = False
    notes: tuple[str, ...] = ()
    home: bool = False
    leaderless: str = ""

    @property
    def share(self) -> str:
        """Who serves, in words."""
        return "home, on the new image" if self.home else f"{self.weight} % green"

    @property
    def change(self) -> tuple[str, str, int, str]:
        """Where this differs, a new line is printed."""
        return self.phase, self.reason, self.weight, self.sentence if self.phase in FINAL else ""


def view_of(
    release: Mapping[str, Any],
    plan: Mapping[str, Any] | None = None,
    *,
    now: float,
    divisor: float = 1.0,
    no_way_back: str = "",
    leaderless: str = "",
) -> ReleaseView:
    """The view of a Release.

    Args:
        release: as the API server gives it.
        plan: the spec it runs by (the frozen plan, else the live one), as JSON; None where unknown.
        now: Unix seconds.
        divisor: by what the controller divides the plan's durations.
        no_way_back: why a success cannot be taken back any more, a sentence; "" where it can.
        leaderless: why nothing moves, a sentence; "" where a controller acts.
    """
    meta, spec, status = record(release.get("metadata")), record(release.get("spec")), record(release.get("status"))
    phase = text(status.get("phase")) or "Queued"
    reason = text(status.get("reason"))
    namespace, name = text(meta.get("namespace")), text(meta.get("name"))
    stages = stages_of(spec, status, plan, now, divisor)
    checks = checks_of(status, plan)
    on_its_way = phase == "Halted" and bool(status.get("rollback"))  # asking once more changes nothing: `can` says what does
    command, does = command_of(phase, name, namespace) if not (no_way_back or on_its_way) else ("", "")
    leaderless = leaderless if phase not in FINAL else ""
    can = no_way_back or without(reasons.next_step(reason) if reason else "", verb_of(command))
    return ReleaseView(
        namespace=namespace, name=name, plan=text(spec.get("plan")), revision=text(spec.get("revision")),
        phase=phase, mark=mark_of(phase), reason=reason,
        sentence=sentence_of(spec, status, plan, now, divisor),
        since=number(status.get("phaseSince")), updated=updated_at(status), created=created_at(release),
        finished=number(status.get("finishedAt")),
        weight=whole(status.get("observedWeight" if reason == reasons.OLD_VERSION_SERVES else "weight")),
        seen=whole(status.get("observedWeight")), most=whole(status.get("maxWeight")),
        actor=text(record(spec.get("origin")).get("actor")),
        stages=stages, checks=checks, tightest=tightest_of(status, checks),
        next=NOBODY_ACTS if leaderless else next_of(phase, status, stages, now),
        can="" if leaderless else can,
        command=command, command_does=does, deleting="deletionTimestamp" in meta,
        notes=(*filter(None, [leaderless]), *notes_of(status, now)), home=at_home(status),
        leaderless=leaderless,
    )  # fmt: skip


def sentence_of(spec: Mapping[str, Any], status: Mapping[str, Any], plan: Mapping[str, Any] | None, now: float, divisor: float) -> str:
    """Why it stands where it does, as it holds now."""
    message, reason = text(status.get("message")), text(status.get("reason"))
    if not message:
        return reasons.say(reason) if reason else "No controller has looked at it yet."
    planned, returning = planned_stages(spec, plan, divisor), record(status.get("returning"))
    index = 0 if returning else whole(status.get("stage"), -1)
    stage = returning or next(iter(rows(status.get("stages"))[index:]), {})
    return sentence_now(message, reason, stage, planned[index][1] if 0 <= index < len(planned) else None, now)


def verb_of(command: str) -> str:
    """`rollback` of `penstock rollback shop-v2 -n shop`; "" of nothing."""
    return command.split()[1] if command else ""


def updated_at(status: Mapping[str, Any]) -> float:
    """The newest time that the controller has written, Unix seconds; 0 where there is none."""
    stage = rows(status.get("stages"))[-1:]
    times = [status.get("phaseSince"), status.get("checkpointAt"), *(o.get(k) for o in stage for k in ("shiftedAt", "settledAt"))]
    return max([*map(number, times), *(number(one.get("polledAt")) for one in rows(status.get("triggers")))])


def mark_of(phase: str) -> Mark:
    """How a phase does."""
    if phase == "Succeeded":
        return Mark.GOOD
    if phase in ("RolledBack", "Refused", "RollingBack", "TearingDown"):
        return Mark.BAD
    return Mark.WAIT if phase in ("Holding", "Halted", "Queued") else Mark.RUN


def waits_for_person(status: Mapping[str, Any]) -> bool:
    """Whether nothing goes on before a person asks for it."""
    held = record(status.get("hold"))
    phase = text(status.get("phase"))
    return phase == "Halted" or (phase == "Holding" and bool(held.get("waitsFor")) and held.get("until") is None)


NOTICED = (
    ("blueChanged", FINAL, "Blue was changed, and nobody has judged what it runs: {}."),
    ("greenShrunk", FINAL | BACKWARD, "Green was made smaller than it was: {}."),
    ("configsChanged", FINAL | BACKWARD, "The versions read something else than when green was ready: {}."),
)
"""What became of the versions: a status's field, the phases in which nobody needs to know it any more, and the sentence."""


def notes_of(status: Mapping[str, Any], now: float) -> tuple[str, ...]:
    """What should be said besides."""
    notes = list(filter(None, [unconfirmed(status, updated_at(status), now)]))
    if status.get("planChanged") is True:
        notes.append("The plan was edited since; this release goes on with the frozen one.")
    warnings = status.get("warnings")
    notes += map(text, warnings if isinstance(warnings, list) else [])
    if text(status.get("phase")) not in FINAL | BACKWARD and number(status.get("blueEmptySince")):
        notes.append("Blue has no ready pod: nobody could be put back on it.")
    for field, ends, sentence in NOTICED:
        if text(status.get(field)) and text(status.get("phase")) not in ends:
            notes.append(sentence.format(text(status.get(field))))
    rollback = record(status.get("rollback"))
    if rollback.get("blueUnhealthy") is True:
        notes.append("Blue was not healthy when it had to take everything.")
    overruns = rollback.get("overruns")
    if isinstance(overruns, list) and overruns:
        notes.append(f"Budgets overrun: {', '.join(map(str, overruns))}.")
    return tuple(notes)


def command_of(phase: str, name: str, namespace: str) -> tuple[str, str]:
    """The one command that matters now, and what it does."""
    where = f"{name} -n {namespace}" if namespace else name
    match phase:
        case "Succeeded":
            return f"penstock rollback {where}", "brings the old version back"
        case "RolledBack" | "Refused":
            return f"penstock retry {where}", "tries the same version again"
        case "RollingBack" | "TearingDown":
            return "", ""
        case "" | "Queued":
            return f"penstock rollback {where}", "takes it out of the queue"
        case _:
            return f"penstock rollback {where}", "puts everybody back on blue"


# Stages.


def stages_of(
    spec: Mapping[str, Any], status: Mapping[str, Any], plan: Mapping[str, Any] | None, now: float, divisor: float
) -> tuple[StageView, ...]:
    """What happened in each stage, and those to come as the plan has them."""
    past, current = rows(status.get("stages")), whole(status.get("stage"), -1)
    planned = planned_stages(spec, plan, divisor)
    known = [(whole(stage.get("weight")), None) for stage in past]
    both = [*planned, *known[len(planned) :]]
    views = []
    for index, (weight, window) in enumerate(both):
        stage = past[index] if index < len(past) else None
        if stage is None or (index > current >= 0):
            views.append(StageView(weight, Mark.REST, "to come", f"window {span(window)}" if window else ""))
        else:
            views.append(_begun(stage, weight, window, status, now, now_running=index == current and not status.get("returning")))
    if status.get("returning"):
        views.append(_return_of(record(status.get("returning")), status, planned[0][1] if planned else None, now))
    return tuple(views)


def _return_of(home: Mapping[str, Any], status: Mapping[str, Any], window: float | None, now: float) -> StageView:
    """The return to the original, `finish: home`: judged for as long as the first stage."""
    phase, n = text(status.get("phase")), number(record(home.get("window")).get("nGreen"))
    requests = f"{many(n, 'request')} of the original" if n else ""
    if home.get("verdict") == "pass":
        return StageView(0, Mark.GOOD, "passed", requests, home=True)
    if not number(status.get("returnedAt")):
        tried = bool(number(home.get("shiftedAt")))
        ended = phase in BACKWARD or phase in FINAL
        word = "failed" if tried else "given up" if ended else "comes up"
        return StageView(0, Mark.BAD if tried or ended else Mark.RUN, word, requests, home=True)
    if phase in ("Holding", "Halted"):
        return StageView(0, Mark.WAIT, "held", requests, home=True)
    if phase != "Returning":
        return StageView(0, Mark.BAD, "given up", requests, home=True)
    if not number(home.get("settledAt")):
        return StageView(0, Mark.RUN, "settling", "until nobody reaches the clone any more", home=True)
    ran = judged(home, window, now)
    return StageView(0, Mark.RUN, "judging", f"{span(ran)} of {span(window)}" if window else span(ran), home=True)


def planned_stages(spec: Mapping[str, Any], plan: Mapping[str, Any] | None, divisor: float) -> list[tuple[int, float | None]]:
    """Weights and windows (seconds) of the plan; a reverse release has only the last one."""
    stages = rows(record(plan).get("stages"))
    found = [(whole(stage.get("weight")), _seconds(stage.get("window"), divisor)) for stage in stages]
    return found[-1:] if spec.get("kind") == "reverse" else found


def _seconds(value: Any, divisor: float) -> float | None:
    from controller.api.base import parse_duration

    try:
        return parse_duration(value) / divisor
    except ValueError:
        return None


def _begun(
    stage: Mapping[str, Any], weight: int, window: float | None, status: Mapping[str, Any], now: float, *, now_running: bool
) -> StageView:
    phase = text(status.get("phase"))
    n = number(record(stage.get("window")).get("nGreen"))
    requests = f"{many(n, 'request')} of green" if n else ""
    if stage.get("verdict") == "fail":
        return StageView(weight, Mark.BAD, "failed", requests)
    if stage.get("verdict") == "pass":
        return StageView(weight, Mark.GOOD, "passed early" if stage.get("early") is True else "passed", requests)
    if stage.get("skipped"):
        return StageView(weight, Mark.REST, "skipped", "by a person")
    if now_running and (phase in BACKWARD or phase == "RolledBack"):
        return StageView(weight, Mark.BAD, "given up", requests)
    if not now_running or phase in FINAL:
        return StageView(weight, Mark.GOOD if phase == "Succeeded" else Mark.REST, "passed" if phase == "Succeeded" else "left", requests)
    if phase in ("Holding", "Halted"):
        return StageView(weight, Mark.WAIT, "held", requests)
    if not number(stage.get("settledAt")):
        return StageView(weight, Mark.RUN, "settling", "until the observed split is the granted one")
    ran = judged(stage, window, now)
    detail = f"{span(ran)} of {span(window)}" if window else span(ran)
    return StageView(weight, Mark.RUN, "baking" if phase == "Baking" else "judging", detail)


# Checks.


def checks_of(status: Mapping[str, Any], plan: Mapping[str, Any] | None = None) -> tuple[CheckView, ...]:
    """The checks of the current stage (else of the last that has any), those that its end will ask, then the triggers."""
    begun = [*rows(status.get("stages")), record(status.get("returning"))]
    gates = next((rows(stage.get("checks")) for stage in reversed(begun) if rows(stage.get("checks"))), [])
    asked = tuple(_check(one, trigger=False) for one in gates)
    return (*asked, *_to_come(status, plan, asked), *(_check(one, trigger=True) for one in rows(status.get("triggers"))))


def _to_come(status: Mapping[str, Any], plan: Mapping[str, Any] | None, asked: Sequence[CheckView]) -> Iterator[CheckView]:
    """The plan's limits that no stage has been judged by yet, and that the present one will be. Evidence shows from its first sample on."""
    stages, index, known = rows(record(plan).get("stages")), whole(status.get("stage"), -1), {check.name for check in asked}
    if text(status.get("phase")) in FINAL | BACKWARD or not 0 <= index < len(stages):
        return
    weight = whole(stages[index].get("weight"))
    for check in rows(record(plan).get("checks")):
        named, only = text(check.get("name")), check.get("stages")
        by_limit = check.get("method") != "sequential" and named not in known
        if by_limit and (not isinstance(only, list) or not only or weight in only):
            yield CheckView(named, Mark.REST, "not yet", "asked at the end of the window")


def _check(of: Mapping[str, Any], *, trigger: bool) -> CheckView:
    outcome = text(of.get("outcome"))
    unasked = (Mark.REST, "not yet") if of.get("lnBound") is None else (Mark.RUN, "so far")
    mark, word = {
        "pass": (Mark.GOOD, "pass"), "fail": (Mark.BAD, "fail"), "inconclusive": (Mark.WAIT, "no answer"),
    }.get(outcome, unasked)  # fmt: skip
    return CheckView(text(of.get("name")) or "?", mark, word, explained(of), tightness_of(of), trigger)


def explained(of: Mapping[str, Any]) -> str:
    """The numbers of a check as `core.sentences` says them, without its name."""
    from pydantic import ValidationError

    from controller.api.release import CheckStatus
    from controller.core.sentences import explain

    try:
        status = CheckStatus.model_validate(of)
    except ValidationError:
        return "cannot be read"
    return explain(status).removeprefix(f"{status.name}: ")


def tightest_of(status: Mapping[str, Any], checks: Sequence[CheckView]) -> str:
    """The check that a rollback or a hold is about, else the one closest to its limit."""
    cause = text(record(status.get("rollback")).get("check")) or text(record(status.get("hold")).get("check"))
    numbered = [check for check in checks if check.name == cause] or [check for check in checks if check.tightness is not None]
    return max(numbered, key=lambda check: check.tightness or 0.0).name if numbered else ""


def tightness_of(of: Mapping[str, Any]) -> float | None:
    """How much of the room to the limit is used, or of the way to the bound; 1 and more is beyond it. None where there are no numbers."""
    if of.get("lnBound") is not None:
        return max(0.0, number(of.get("lnE"))) / (number(of.get("lnBound")) or 1.0)
    if of.get("value") is None or of.get("limit") is None:
        return None
    value, limit, line = number(of.get("value")), number(of.get("limit")), text(of.get("line"))
    baseline = of.get("baseline")
    if line.endswith(("_ratio", "_difference")) and baseline is not None:
        room = limit - number(baseline)
        return (value - number(baseline)) / room if room else float(value != limit)
    if line == "min" and text(of.get("unit")) == "%" and value <= FULL_PERCENT > limit:
        return (FULL_PERCENT - value) / (FULL_PERCENT - limit)
    if line == "min":
        return limit / value if value > 0 else 1.0
    return value / limit if limit > 0 else float(value >= limit)


# What happens next.


NEXT = {
    "Queued": "It begins when it holds the plan.",
    "Preparing": "When green is ready it gets its first requests; not ready by the preparation deadline, it is taken down.",
    "Shifting": "The window opens when the observed split is the granted one.",
    "Baking": "When the bake has passed, the release has succeeded.",
    "Returning": "When the original does well with the new image, the clone goes and the release has succeeded.",
    "Halted": "Nothing, until a person asks.",
    "RollingBack": "Blue is verified, green drains and is taken down.",
    "TearingDown": "Green is taken down.",
    "RolledBack": "Nothing, it has ended.",
    "Refused": "Nothing, it has ended.",
}


NOBODY_ACTS = "Nothing, until a controller can act on it: see to that, or put the weights to 100 and 0 by hand."


def next_of(phase: str, status: Mapping[str, Any], stages: tuple[StageView, ...], now: float) -> str:
    """A sentence about the future."""
    match phase:
        case "Measuring":
            return _after_window(status, stages)
        case "Holding":
            return _after_hold(status, now)
        case "Succeeded":
            return _after_success(status, now)
        case "RollingBack" if text(status.get("reason")) in reasons.UNTAKEN:
            return "The write is tried again every second; once it is taken, blue is verified and green is taken down."
        case "Queued" if record(status.get("hold")).get("waitsFor"):
            return "It begins when nothing uses the old version any more; only a person ends that sooner."
        case _:
            return NEXT.get(phase, "This version of penstock does not know that phase.")


def _after_window(status: Mapping[str, Any], stages: tuple[StageView, ...]) -> str:
    index = whole(status.get("stage"), -1) + 1
    following = f"green gets {stages[index].weight} %" if 0 < index < len(stages) else "the next stage begins"
    return f"At the end of the window the checks are judged; if they pass, {following}, if not, everybody goes back to blue."


def _after_hold(status: Mapping[str, Any], now: float) -> str:
    held = record(status.get("hold"))
    if held.get("until") is None:
        return f"Nothing, until {'a person asks' if held.get('waitsFor') else 'the reason is gone'}; triggers stay on."
    back = "everybody goes back to the clone" if number(status.get("returnedAt")) else "everybody goes back to blue"
    then = {"halt": "it stops for a person", "wait": "it waits for a person"}.get(text(held.get("then")), back)
    until = number(held.get("until"))
    return f"It goes on by itself when the reason is gone; at {clock(until)} UTC (in {span(until - now)}) {then}."


def _after_success(status: Mapping[str, Any], now: float) -> str:
    kept = record(status.get("retention"))
    until = number(kept.get("until"))
    if kept.get("done") is True or not until:
        return "Nothing, it has ended."
    if is_used(text(kept.get("kept"))):
        return f"The old version is kept, and the next release waits: {text(kept.get('kept'))}."
    if text(kept.get("kept")):
        return f"The old version is kept: {text(kept.get('kept'))}. The next start takes its place, deleting this release takes it down."
    return f"The old version is kept until {clock(until)} UTC (for {span(until - now)})."
