"""Answers as lines and back: the very same numbers, however Prometheus behaves."""

import math
import tracemalloc

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.model import Sample, Series
from controller.core.asking import past_key
from controller.core.world import Measurement
from controller.evidence.samples import Reader, Writer
from controller.ports import Answer, AnswerFault, ProbeResult
from tests.sizes import size

LABELS = (("__name__", "requests_total"), ("code", "200"), ("pod", "a"))
OTHER = (("__name__", "requests_total"), ("code", "503"), ("pod", "a"))


def through(*measurements, key="traffic"):
    """Written and read back in order, as JSON in between."""
    writer, reader, found = Writer(), Reader(), []
    for one in measurements:
        line = writer.answer(key, one)
        for name in writer.fresh:
            reader.define(orjson.loads(orjson.dumps(name)))
        writer.fresh.clear()
        found.append(reader.answer(key, orjson.loads(orjson.dumps(line))))
    return found


def matrix(*series):
    found = tuple(Series(labels, tuple(Sample(*one) for one in samples)) for labels, samples in series)
    return Measurement(Answer(found, "matrix"), query="x[1m]")


def lines_of(*measurements):
    writer = Writer()
    return [writer.answer("traffic", one) for one in measurements]


def remembered(key, measurement):
    """Bytes that a writer holds after it has written this."""
    writer = Writer()
    tracemalloc.start()
    try:
        writer.answer(key, measurement)
        writer.fresh.clear()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


class TestRoundTrip:
    def test_a_range_that_moves_on_is_read_back_as_it_was_asked(self):
        one = matrix((LABELS, [(10.0, 1.0), (20.0, 2.5), (30.0, 4.0)]))
        two = matrix((LABELS, [(20.0, 2.5), (30.0, 4.0), (40.25, 0.1 + 0.2)]))

        assert through(one, two) == [one, two]

    def test_a_sample_that_two_looks_see_is_written_once(self):
        first = matrix((LABELS, [(10.0, 1.0), (20.0, 2.0)]))
        second = matrix((LABELS, [(20.0, 2.0), (30.0, 3.0)]))

        assert lines_of(first, second)[1]["s"] == [[0, 3.0]]

    def test_a_series_that_differs_from_the_others_keeps_its_own_times(self):
        answers = [
            matrix((LABELS, [(10.0, 1.0), (20.0, 2.0)]), (OTHER, [(20.0, 1.0)])),
            matrix((LABELS, [(20.0, 2.0)]), (OTHER, [(20.0, 1.0), (21.0, 2.0)])),
        ]

        assert through(*answers) == answers

    def test_samples_that_changed_afterwards_are_read_back_as_they_were_seen(self):
        seen = [[(10.0, 1.0), (20.0, 2.0)], [(10.0, 1.0), (20.0, 7.0)], [(5.0, 0.0), (10.0, 1.0)]]
        answers = [matrix((LABELS, samples)) for samples in seen]

        assert through(*answers) == answers

    def test_what_is_asked_once_is_read_back_however_often_it_is_asked(self):
        seen = [[(10.0, 1.0), (20.0, 2.0)], [(10.0, 1.0), (20.0, 2.0), (30.0, 3.0)], [(30.0, 3.0)], []]
        answers = [matrix((LABELS, samples), (OTHER, [(10.0, 7.0)])) for samples in seen]

        assert through(*answers, key=past_key("latency")) == answers

    def test_of_what_is_asked_once_the_samples_are_not_remembered(self):
        """An hour and a half of every bucket of every pod, for each release that runs."""
        every = matrix(*[((("pod", str(pod)),), [(60.0 * step, step * 7.0) for step in range(90)]) for pod in range(300)])
        kept = {key: remembered(key, every) for key in ("traffic", past_key("latency"))}

        assert kept[past_key("latency")] < kept["traffic"] / 3

    def test_infinities_are_read_back(self):
        answers = [matrix((LABELS, [(10.0, math.inf), (20.0, -math.inf)]))]

        assert through(*answers) == answers

    def test_nan_is_read_back_as_nan(self):
        found = through(matrix((LABELS, [(10.0, math.nan)])), matrix((LABELS, [(10.0, math.nan), (20.0, 1.0)])))

        assert math.isnan(found[1].answer.series[0].samples[0].value)
        assert found[1].answer.series[0].samples[1] == Sample(20.0, 1.0)

    def test_faults_warnings_and_clocks_are_read_back(self):
        fault = Measurement(Answer(fault=AnswerFault.TIMEOUT, message="no answer in time"), query="up")
        partial = Measurement(Answer((), "vector", warnings=("partial response",), server_time=17.5), query="up")
        probe = Measurement(Answer(), ProbeResult(ok=False, message="503", seconds=0.25))

        assert through(fault, partial, probe) == [fault, partial, probe]

    def test_an_answer_without_series_after_one_with_some_is_empty(self):
        answers = [matrix((LABELS, [(10.0, 1.0)])), matrix(), matrix((LABELS, [])), matrix((LABELS, [(10.0, 1.0)]))]

        assert through(*answers) == answers


times = st.floats(min_value=0, max_value=2e9, allow_nan=False)
values = st.floats(allow_nan=False)
series = st.lists(st.tuples(times, values), max_size=5)


@settings(max_examples=size(30, 100))
@given(st.lists(st.lists(st.tuples(st.sampled_from([LABELS, OTHER]), series), max_size=2, unique_by=lambda one: one[0]), max_size=5))
def test_whatever_was_answered_is_read_back_bit_for_bit(looks):
    answers = [matrix(*one) for one in looks]

    assert through(*answers) == answers
