"""Where a disturbed run has come back to the undisturbed one: what follows need not be run again.

A landmark is the first look of a phase of a release. A run that comes to one with the same footprint as undisturbed, at
the same time or some seconds later, with nothing under way, goes on as undisturbed from there, only later: the controller
keeps no truth in memory. The delay could matter where the scenario changes something at a time of its own, if the
controller's next deeds would come before it undisturbed, and after it now:

    undisturbed   landmark ......... deed . change                 the same order: what follows is the same
    delayed          landmark ......... deed . change

    undisturbed   landmark ......... deed . change                 another order: the run goes on to its end
    delayed             landmark .........    change . deed
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from controller.reconcile import Key, Outcome
from controller.simulator.faults import times_of
from controller.simulator.footprint import Footprint, Recorder, differences, fought_over
from controller.simulator.scenario import START, Scenario, Step
from controller.simulator.simulation import Simulation

LONGEST_DELAY_SECONDS = 60.0
"""A run that is later than that is run to its end."""

SLACK_SECONDS = 30.0
"""Polls keep their beat whatever the delay: a deed that rests on one may come so much later than the delay says, and never earlier."""

Mark = tuple[str, str, int]
"""A release's namespace and name, and the number of its phase."""


@dataclass(frozen=True, slots=True)
class Landmark:
    """A run at the end of the first look of a phase.

    Attributes:
        time: virtual, Unix seconds.
        deeds: of the undisturbed run, when the controller changed anything, in order; filled until the run's end.
    """

    mark: Mark
    time: float
    footprint: Footprint
    deeds: list[float] = field(default_factory=list)


def survey(sim: Simulation, recorder: Recorder, reached: Callable[[Landmark], None]) -> None:
    """Tell of each landmark of a run."""
    known: set[Mark] = set()

    def look(key: Key, _outcome: Outcome) -> None:
        release = sim.release(key)
        mark = (*key, ((release or {}).get("status") or {}).get("phaseCounter") or 0)
        if mark not in known:
            known.add(mark)
            reached(Landmark(mark, sim.clock.time, recorder.seen(), recorder.deeds))

    sim.on_look.append(look)


def rejoined(scenario: Scenario, undisturbed: Mapping[Mark, Landmark], here: Landmark) -> bool:
    """Whether what follows would come out as undisturbed."""
    there = undisturbed.get(here.mark)
    if there is None or not 0 <= here.time - there.time <= LONGEST_DELAY_SECONDS:
        return False
    if not in_order(changes(scenario), there, here.time - there.time):
        return False
    return not differences(there.footprint, here.footprint, fought=fought_over(scenario))


def in_order(times: Iterable[float], there: Landmark, delay: float) -> bool:
    """Whether the deeds from there on that come later by this delay fall on the same side of each of these times as they did."""
    to_come = [time for time in times if time > there.time]
    deeds = [there.time, *(time for time in there.deeds if time > there.time)]
    return not any(time - delay - SLACK_SECONDS <= deed < time for time in to_come for deed in deeds)


def changes(scenario: Scenario) -> Iterator[float]:
    """When the scenario changes something at a time of its own, Unix seconds."""
    yield from (START + act.at for act in scenario.people)
    for fault in scenario.faults:
        yield from times_of(fault)
        yield fault.span[1]
    for pods in scenario.pods:
        yield from chain.from_iterable((START + span.after, START + span.until) for span in pods.unready)
    yield from (START + step.after for step in _steps(scenario))


def _steps(scenario: Scenario) -> Iterator[Step]:
    """All steps that count from the start of the run."""
    yield from chain.from_iterable(users.rps for users in scenario.users)
    yield from chain.from_iterable(metric.value for metric in scenario.metrics)
    for version in scenario.versions:
        if not version.since_first_request:
            yield from version.errors
            yield from (Step(after=step.after, value=0.0) for step in version.latency)
