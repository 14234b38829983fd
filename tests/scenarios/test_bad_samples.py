"""A running release whose samples go wrong in mid-window: nothing of that is ever a pass, and none of it breaks the controller."""

from dataclasses import replace
from functools import cache

import pytest

from analysis.model import Sample, Series
from controller.core import reasons
from controller.core.queries import LATENCY
from controller.simulator.invariants import watch
from controller.simulator.run import run_scenario
from controller.simulator.scenario import START
from tests.scenarios.test_scenarios import story
from tests.sizes import most_telling

SPOILT_FROM = 150.0
"""Seconds after the start: the first window is open."""


def values(change):
    """All samples of a series with other values."""
    return lambda one: replace(one, samples=tuple(Sample(sample.time, change(sample.value)) for sample in one.samples))


def values_of_failures(value):
    """Another value in the counters of failed requests alone: those of all others stay as they are."""
    return lambda one: values(lambda _: value)(one) if dict(one.labels).get("response_code", "").startswith("5") else one


def edge(change):
    """Another bucket edge; the series is left out where that is None."""

    def changed(one):
        held = dict(one.labels)
        if "le" not in held:
            return one
        held["le"] = change(held["le"])
        return None if held["le"] is None else Series(tuple(sorted(held.items())), one.samples)

    return changed


def swapped(le):
    return {"50": "100", "100": "50"}.get(le, le)


NEVER = {
    "NaN": values(lambda _: float("nan")),
    "infinite": values(lambda _: float("inf")),
    "negative": values(lambda value: -1 - value),
    "NaN in the counters of failures": values_of_failures(float("nan")),
    "one sample": lambda one: replace(one, samples=one.samples[-1:]),
    "no series": lambda _one: None,
    "no +Inf": edge(lambda le: None if le == "+Inf" else le),
    "edges that are no numbers": edge(lambda le: "wide" if le == "100" else le),
    "falling counts": edge(swapped),
}
"""What makes at least one of the two checks impossible to judge."""


HISTOGRAMS = {
    "no +Inf": reasons.NO_INF_BUCKET, "edges that are no numbers": reasons.BAD_BUCKET_EDGE, "falling counts": reasons.FALLING_BUCKETS,
}  # fmt: skip
BUCKETS = f"{LATENCY}_bucket"


def backwards(one):
    return replace(one, samples=one.samples[::-1])


def twice(one):
    return replace(one, samples=tuple(sample for sample in one.samples for _ in range(2)))


class Spoilt:
    """Raw samples of a Prometheus, each series changed from a moment on; of buckets also how they stand."""

    def __init__(self, inner, clock, change):
        self.inner, self.clock, self.change = inner, clock, change

    def query(self, promql, time):
        answer = self.inner.query(promql, time)
        standing = f",le) ({BUCKETS}" in promql
        if not (answer.result_type == "matrix" or standing) or self.clock.time < START + SPOILT_FROM:
            return answer
        return replace(answer, series=tuple(one for one in map(self.change, answer.series) if one is not None))


def released(change, plan="short.yaml"):
    """Invariants are watched, and everything that a release of the story with these samples leaves."""
    folder, scenario = story("sequential-healthy")
    kept = []

    def prepare(sim):
        sim.prometheus.inner = Spoilt(sim.prometheus.inner, sim.clock, change)
        kept.append(watch(sim))

    shorter = scenario.model_copy(update={"plan": plan, "expect": scenario.expect.model_copy(update={"phase": None})})
    result = run_scenario(shorter, folder, prepare=prepare)
    return result.status, kept[0].finish()


@cache
def undisturbed():
    return released(lambda one: one)[0]


@pytest.mark.parametrize("name", most_telling("NaN in the counters of failures", "no series", of=NEVER))
def test_what_cannot_be_counted_is_never_a_pass(name):
    status, breaches = released(NEVER[name])

    assert breaches == []
    assert status.phase != "Succeeded"
    assert [stage.verdict for stage in status.stages if stage.verdict == "pass"] == []


@pytest.mark.long
def test_a_limit_on_latency_passes_where_its_buckets_can_be_counted():
    status, breaches = released(lambda one: one, "limited.yaml")

    assert (status.phase, breaches) == ("Succeeded", [])


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_nor_is_it_where_a_limit_on_latency_gets_its_number_all_the_same(name):
    status, breaches = released(NEVER[name], "limited.yaml")
    (latency,) = status.stages[0].checks

    assert breaches == []
    assert status.phase != "Succeeded"
    assert latency.reason == HISTOGRAMS[name]
    assert latency.value > 0


class Slow:
    """A Prometheus that finds every quantile far beyond every limit, from a moment on."""

    def __init__(self, inner, clock):
        self.inner, self.clock = inner, clock

    def query(self, promql, time):
        answer = self.inner.query(promql, time)
        if "histogram_quantile" not in promql or self.clock.time < START + SPOILT_FROM:
            return answer
        return replace(answer, series=tuple(values(lambda _: 1e6)(one) for one in answer.series))


@pytest.mark.parametrize(("name", "phase"), [("sound", "RolledBack"), ("falling counts", "Succeeded")])
def test_a_trigger_on_latency_sends_nobody_back_for_buckets_that_contradict_themselves(name, phase):
    """What stands behind its number is asked in the second look, before a step is taken; there it holds the step back."""
    folder, scenario = story("sequential-healthy")
    kept = []

    def prepare(sim):
        spoilt = Spoilt(sim.prometheus.inner, sim.clock, NEVER.get(name, lambda one: one))
        sim.prometheus.inner = Slow(spoilt, sim.clock)
        kept.append(watch(sim))

    watched = scenario.model_copy(update={"plan": "watched.yaml", "expect": scenario.expect.model_copy(update={"phase": None})})
    status = run_scenario(watched, folder, prepare=prepare).status
    (slow,) = status.triggers

    assert kept[0].finish() == []
    assert status.phase == phase
    assert slow.reason == (reasons.BEYOND_LIMIT if name == "sound" else reasons.FALLING_BUCKETS)


@pytest.mark.long
def test_samples_that_come_twice_count_once():
    status, breaches = released(twice)

    assert breaches == []
    assert status.phase == "Succeeded"
    assert [one.state for one in status.sequential] == [one.state for one in undisturbed().sequential]


@pytest.mark.long
def test_samples_in_the_wrong_order_are_judged_in_the_right_one_and_nothing_goes_on_without_fresh_ones():
    """No Prometheus answers so; what stands in its place might. To the drain its newest sample is an old one."""
    status, breaches = released(backwards)
    first, other = status.stages[0].checks[0], undisturbed().stages[0].checks[0]

    assert breaches == []
    assert status.phase in ("Halted", "RolledBack")
    assert (first.value, first.baseline) == pytest.approx((other.value, other.baseline), rel=0.2)


STALLED = (150.0, 810.0)
"""Seconds after the start between which Prometheus scrapes nothing: eleven minutes of the first stage."""


def stalled(errors):
    """The release of the story without triggers in which green fails so while nothing is scraped: its counters go on."""
    folder, scenario = story("sequential-failing-now-and-then")
    kept = []

    def prepare(sim):
        scrape = sim.traffic.scrape
        sim.traffic.scrape = lambda time: None if STALLED[0] <= time - START < STALLED[1] else scrape(time)
        kept.append(watch(sim))

    _, blue = scenario.versions
    green = blue.model_copy(update={"image": "*:2.0", "errors": errors})
    other = scenario.model_copy(update={"versions": [green, blue], "expect": scenario.expect.model_copy(update={"phase": None})})
    result = run_scenario(other, folder, prepare=prepare)
    return result, kept[0].finish()


@pytest.mark.long
def test_failures_while_nothing_was_scraped_are_no_pass_although_one_scrape_may_not_decide():
    """Half of green's requests failed, and all that shows it is one tick. It is healthy again, so that a person is asked."""
    base = story("sequential-healthy")[1].versions[0]
    steps = [{"value": 0.001}, {"after": STALLED[0], "value": 0.5}, {"after": STALLED[1] - 30, "value": 0.001}]
    result, breaches = stalled(type(base).model_validate({"errors": steps}).errors)
    status, told = result.status, "\n".join(map(str, result.transcript))

    assert breaches == []
    assert [stage.verdict for stage in status.stages if stage.verdict == "pass"] == []
    assert status.phase in ("Halted", "RolledBack")
    assert "Green is worse than tolerated over the whole window, but scrape by scrape not beyond doubt: error-rate: " in told


@pytest.mark.long
def test_a_stall_in_which_green_was_sound_delays_the_release_and_no_more():
    base = story("sequential-healthy")[1].versions[0]
    result, breaches = stalled(type(base).model_validate({"errors": 0.001}).errors)

    assert breaches == []
    assert result.status.phase == "Succeeded"
