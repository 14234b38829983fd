"""The record as a Prometheus: what was answered then answers other questions now, as far as it goes.

Raw samples (of the traffic query, and of sequential checks) are complete from the first weight on, so any query over the
same metrics can be evaluated from them at any recorded time. A query that was answered with a number alone can only be
asked again in the same words at the same time. Everything else is not in the record, and says so.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.api.promql_facts import facts
from controller.core.world import Ask, Measured, Measurement
from controller.evidence.raw import RawSamples
from controller.evidence.reading import Look
from controller.ports import Answer
from controller.simulator.promql.provider import SimulatedPrometheus, holding


@dataclass(slots=True)
class Memory:
    """Everything that was answered, for other questions."""

    raw: RawSamples
    _prometheus: SimulatedPrometheus | None = None
    _known: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, looks: Iterable[Look]) -> "Memory":
        """The memory of a whole record."""
        return cls(RawSamples.of(looks))

    def answer(self, ask: Ask, then: Mapping[str, Measurement]) -> Measurement | None:
        """The answer to a question of today; None where the record does not have it.

        Args:
            ask: the question.
            then: what was answered in the same look.
        """
        known = then.get(ask.key)
        if ask.url or (known is not None and known.query == ask.query):
            return known
        if not self.knows(ask.query):
            return None
        return Measurement(self._evaluated().query(ask.query, ask.time), query=ask.query)

    def knows(self, query: str) -> bool:
        """Whether every metric of a query is among the raw samples."""
        if query not in self._known:
            try:
                names = {selector.metric for selector in facts(query).selectors}
            except ValueError:
                names = set()
            self._known[query] = bool(names) and names <= self.raw.metrics
        return self._known[query]

    def _evaluated(self) -> SimulatedPrometheus:
        if self._prometheus is None:
            self._prometheus = holding({labels: sorted(values.items()) for labels, values in self.raw.series.items()})
        return self._prometheus


def measured_for(asks: Iterable[Ask], look: Look, memory: Memory, own: Iterable[Ask] = ()) -> tuple[Measured, tuple[str, ...]]:
    """The answers of this look to other questions, and the keys of those that the record cannot answer.

    Args:
        asks: what the other policy wants to know.
        look: what was answered then.
        memory: everything that was answered in the record.
        own: what the recorded policy would ask there today. What both want to know has the answer that was recorded, or none: the
            version that ran may have asked in other words, or not at all.
    """
    then = look.measured.answers if look.measured else {}
    recorded = {ask.key: ask for ask in own}
    answers: dict[str, Measurement] = {}
    missing = []
    for ask in asks:
        both = recorded.get(ask.key) == ask
        found = then.get(ask.key) if both else memory.answer(ask, then)
        if found is None:
            missing += [] if both else [ask.key]
        else:
            answers[ask.key] = timely(found)
    return Measured(answers), tuple(missing)


def timely(measurement: Measurement) -> Measurement:
    """An evaluated answer has no clock of its own."""
    answer = measurement.answer
    if answer.server_time is None or math.isfinite(answer.server_time):
        return measurement
    plain = Answer(answer.series, answer.result_type, answer.fault, answer.message, answer.warnings)
    return Measurement(plain, measurement.probe, measurement.query)
