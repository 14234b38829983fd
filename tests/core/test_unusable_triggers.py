"""A trigger whose counters Prometheus mends or misreads: a number all the same, and no reason to send anybody back."""

from dataclasses import replace

import pytest

from analysis.model import Outcome, Sample, Series
from controller.api.release import CheckStatus
from controller.core import needs, reasons, seen
from controller.core.commands import SetWeight
from controller.core.decide import decide
from controller.core.queries import LATENCY
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from controller.simulator.promql.provider import holding
from tests.core.releases import NOW, a_release
from tests.core.test_returning import returned

SOUND = {"50": 40.0, "100": 70.0, "250": 95.0, "+Inf": 100.0}
SLOW = {"name": "slow", "builtin": "latency", "quantile": 0.9, "limit": {"max": 60}, "range": "2m"}
OWN = f'histogram_quantile(0.9, sum by (le) (rate({LATENCY}_bucket{{destination_workload="$workload"}}[$window])))'


def look(recent="", **trigger):
    """A look at a release of one trigger, whose latest answers were these."""
    there = a_release().with_plan(checks=[{"name": "rate", "builtin": "error-rate", "limit": {"max": 1}}], triggers=[SLOW | trigger])
    w = there.at_stage(1).world()
    return w.with_status(w.status.model_copy(update={"triggers": [CheckStatus(name="slow", polled_at=NOW - 60, recent=recent)]}))


def buckets(workload="shop-green", **counts):
    """A histogram's buckets, each of which grew up to this count."""
    for le, count in (SOUND | counts).items():
        if count is not None:
            known = {
                "__name__": f"{LATENCY}_bucket", "le": le, "pod": "a", "reporter": "source", "destination_workload": workload,
                "destination_workload_namespace": "shop",
            }  # fmt: skip
            yield tuple(sorted(known.items())), [(NOW - 5 - 15 * (20 - scrape), count * scrape / 20) for scrape in range(21)]


def answered(w, asks, prometheus, **answers):
    """The look with an answer to each of these questions."""
    found = {ask.key: Measurement(answers.get(ask.key.split("/")[0]) or prometheus.query(ask.query, ask.time)) for ask in asks}
    return replace(w, measured=Measured({**w.measured.answers, **found}))


def polled(w, prometheus, **answers):
    """The look with the answers to the triggers' own questions."""
    return answered(w, [ask for ask in needs.asks(w) if ask.key.startswith("trigger/")], prometheus, **answers)


def watched(w, *series, **answers):
    """The trigger after a look that goes back by it, if nothing is said against that; a Prometheus that holds these buckets answered."""
    prometheus = holding(dict(series))
    there = polled(w, prometheus, **answers)
    return seen.watch_triggers(answered(there, needs.objections(there), prometheus, **answers))


@pytest.mark.parametrize("trigger", [{}, {"builtin": None, "query": OWN}], ids=["builtin", "a query of its own"])
class TestBehindTheQuantile:
    def test_buckets_that_can_be_counted_fire_it(self, trigger):
        found = watched(look(**trigger), *buckets())

        assert (found.fired.name, found.reason) == ("slow", reasons.TRIGGER_FIRED)

    @pytest.mark.parametrize(
        ("counts", "reason"), [({"100": 20.0}, reasons.FALLING_BUCKETS), ({"fast": 80.0}, reasons.BAD_BUCKET_EDGE)], ids=["falling", "edge"]
    )
    def test_buckets_that_contradict_themselves_send_nobody_back(self, counts, reason, trigger):
        found = watched(look(**trigger), *buckets(**counts))
        (status,) = found.status.triggers

        assert found.fired is None
        assert (status.outcome, status.reason, status.recent) == (Outcome.INCONCLUSIVE, reason, "i")
        assert status.detail

    def test_a_count_below_0_sends_nobody_back(self, trigger):
        ended = [(labels, [*samples[:-1], (samples[-1][0], -1.0)]) for labels, samples in buckets() if dict(labels)["le"] == "100"]
        others = [one for one in buckets() if dict(one[0])["le"] != "100"]

        assert watched(look(**trigger), *ended, *others).fired is None

    def test_nobody_waits_for_that_second_answer(self, trigger):
        """Who goes back needs no leave: what is not answered is no objection."""
        late = Answer(fault=AnswerFault.TIMEOUT, message="no answer")

        assert watched(look(**trigger), *buckets(), watched=late).fired is not None


def test_what_is_behind_is_asked_where_one_more_failure_is_enough():
    prometheus = holding(dict(buckets()))

    for recent, behind in (("", []), ("f", ["watched/slow/candidate"]), ("fp", [])):
        w = look(recent, repeat={"consecutive": 2})
        assert needs.objections(w) == ()
        assert [ask.key for ask in needs.objections(polled(w, prometheus))] == behind


def test_of_a_limit_that_compares_both_versions_must_be_countable():
    w = look(limit={"maxRatio": 1.05})
    slower = buckets("shop-green", **{"50": 10.0, "100": 20.0})

    assert watched(w, *slower, *buckets("shop")).fired is not None
    slower = buckets("shop-green", **{"50": 10.0, "100": 20.0})
    assert watched(w, *slower, *buckets("shop", **{"100": 20.0})).fired is None


def test_a_query_without_counters_has_nothing_behind_it():
    heap = {"builtin": None, "query": 'max(heap_bytes{app="$workload"})', "limit": {"max": 1}}

    answer = Answer((Series((), (Sample(NOW, 2.0),)),), "vector", server_time=NOW)
    assert needs.objections(polled(look(**heap), holding({}), trigger=answer)) == ()
    assert watched(look(**heap), trigger=answer).fired is not None


def test_a_number_without_labels_is_none_of_what_was_asked_for_and_holds_nobody_back():
    """What stands in a Prometheus's place may answer every question with one number."""
    answer = Answer((Series((), (Sample(NOW, 100.0),)),), "vector", server_time=NOW)

    assert watched(look(), watched=answer, trigger=answer).fired is not None


@pytest.mark.parametrize(("counts", "back"), [({}, True), ({"100": 20.0}, False)], ids=["sound", "falling"])
def test_in_the_return_of_finish_home_buckets_that_contradict_themselves_send_nobody_back_to_the_clone(counts, back):
    """There the original is watched, which has blue's name, and no rollback begins: requests go back to the clone."""
    prometheus = holding(dict(buckets("shop", **counts)))
    there = polled(returned(ran=30, triggers=[SLOW]).world(), prometheus)
    fired = decide(there.subject, there.observed, there.measured, there.now)

    asked = needs.objections(there)
    after = answered(there, asked, prometheus)
    decision = decide(after.subject, after.observed, after.measured, after.now)

    assert (fired.by_triggers, [ask.key for ask in asked]) == (True, ["watched/slow/candidate"])
    assert (SetWeight(100) in decision.commands) == decision.by_triggers == back
