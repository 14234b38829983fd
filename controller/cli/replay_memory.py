"""The record as a Prometheus: what was answered then answers other questions now, as far as it goes.

Raw samples (of the traffic query, and of sequential checks) are complete from the first weight on, so any query over the
same series can be evaluated from them at any recorded time. A query that was answered with a number alone can only be
asked again in the same words at the same time. Everything else is not in the record, and says so: other workloads, or the
other side's counters of the same metric, may well have been there.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from controller.api.promql_facts import LabelMatcher, Selector, facts, is_selector
from controller.core.world import Ask, Measured, Measurement
from controller.evidence.raw import RawSamples
from controller.evidence.reading import Look
from controller.ports import Answer
from controller.simulator.promql.matchers import Matcher
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
        """Whether all series that a query reads were asked for with their raw samples."""
        if query not in self._known:
            asked = _selectors(query)
            held = [one for text in self.raw.queries for one in _selectors(text, plain=True)]
            self._known[query] = bool(asked) and all(
                one.metric in self.raw.metrics and any(_within(one, other) for other in held) for one in asked
            )
        return self._known[query]

    def _evaluated(self) -> SimulatedPrometheus:
        if self._prometheus is None:
            self._prometheus = holding({labels: sorted(values.items()) for labels, values in self.raw.series.items()})
        return self._prometheus


def _selectors(query: str, *, plain: bool = False) -> tuple[Selector, ...]:
    """What a query reads; where it must be `plain`, nothing of one that computes with it."""
    try:
        return facts(query).selectors if not plain or is_selector(query) else ()
    except ValueError:
        return ()


def _within(one: Selector, other: Selector) -> bool:
    """Whether every series that the one selects is among the other's: each of its conditions stands there, or holds by what does."""
    return other.metric in ("", one.metric) and all(_implied(condition, one.matchers) for condition in other.matchers)


def _implied(condition: LabelMatcher, by: Collection[LabelMatcher]) -> bool:
    if condition in by:
        return True
    values = next((found for one in by if one.name == condition.name and (found := _values(one))), [])
    holds = Matcher(condition.name, condition.op, condition.value).predicate()
    return bool(values) and all(map(holds, values))


def _values(matcher: LabelMatcher) -> list[str]:
    """The values that it takes, where it says them by name; none where it does not."""
    if matcher.op == "=":
        return [matcher.value]
    return matcher.value.split("|") if matcher.op == "=~" and _PLAIN.fullmatch(matcher.value) else []


_PLAIN = re.compile(r"[\w-]+(\|[\w-]+)*")


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
