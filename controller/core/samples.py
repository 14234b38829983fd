"""The raw samples that a sequential check counts, by colour: read off the answers of a look. Pure.

The built-in checks read both colours off one answer; counters of the plan's own have one answer each and colour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis import sequential as library
from analysis.model import Arm, Counted, Series
from controller.api.plan_checks import BuiltIn, Check
from controller.core import asking, traffic
from controller.core.commands import Subject
from controller.core.queries import Mesh, Pair, is_failed, member_of, pair_of
from controller.core.world import Measured, Observed


@dataclass(frozen=True, slots=True)
class Samples:
    """Both colours' samples, or why nothing may be concluded from them."""

    arms: Mapping[Arm, Counted] = field(default_factory=dict)
    fault: str = ""
    detail: str = ""


def of(subject: Subject, observed: Observed, measured: Measured, check: Check, *, shared: bool) -> Samples | None:
    """What this look was answered for a check; None where it was not asked.

    Args:
        subject: with a plan.
        observed: what the places and the mesh are called.
        measured: the answers.
        check: a sequential one.
        shared: the traffic query brings its samples.
    """
    if check.counters is not None:
        return _counters(measured, check)
    key = asking.TRAFFIC if shared else asking.ticks_key(check.name)
    if key not in measured.answers or subject.plan is None:
        return None
    naming = asking.naming_of(subject, observed, check.member or "", observed.domain)
    pair = pair_of(subject.plan, member_of(subject.plan, check.member), naming)
    found = sides(measured, key, (pair,), asking.mesh_of(subject, observed.cluster))
    if found.fault:
        return Samples(fault=found.fault, detail=found.detail)
    return Samples(library.both(_built_in(check, found.blue), _built_in(check, found.green)))


def sides(measured: Measured, key: str, pairs: tuple[Pair, ...], mesh: Mesh) -> traffic.Sides:
    """The series of an answer by colour, told apart once a look: those of the traffic query give the split and the error rate."""

    def read() -> traffic.Sides:
        return traffic.sides(measured.answers[key].answer, [pair.blue for pair in pairs], [pair.green for pair in pairs], mesh)

    return measured.once(("sides", key, pairs, mesh), read)


def _built_in(check: Check, every: tuple[Series, ...]) -> Counted:
    if check.builtin is BuiltIn.LATENCY:
        return Counted(buckets=every)
    return Counted(total=every, bad=tuple(series for series in every if is_failed(dict(series.labels))))


def _counters(measured: Measured, check: Check) -> Samples | None:
    arms = {}
    for arm in Arm:
        answers = [measured.answers.get(asking.counter_key(check.name, arm, part)) for part in asking.COUNTER_PARTS]
        read = [one.answer for one in answers if one is not None]
        if len(read) < len(answers):
            return None
        for answer in read:
            fault, detail = traffic.fault_of(answer)
            if fault:
                return Samples(fault=fault, detail=detail)
        total, part = (answer.series for answer in read)
        arms[arm] = Counted(total=total, bad=part)
    return Samples(arms)
