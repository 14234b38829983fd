"""A trigger on a built-in share of failed requests counts the samples of the traffic query: what is asked, found and refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.model import Outcome, Sample, Series
from controller.api.plan import PlanSpec
from controller.api.release import CheckStatus, Phase, StageStatus, WindowStatus
from controller.core import asking, needs, polls, reasons, seen
from controller.core.decide import decide
from controller.core.queries import Mesh
from controller.core.world import Measured, Measurement
from controller.evidence.thinning import merged
from controller.ports import Answer, AnswerFault
from controller.simulator.definitions import load_objects
from controller.simulator.run import run_objects
from controller.simulator.scenario import START
from tests.core.releases import NOW, a_release
from tests.stories import scenario_of

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
ERRORS = {"name": "errors", "builtin": "error-rate", "limit": {"maxDifference": 5}}
LIMITS = [{"name": "rate", "builtin": "error-rate", "limit": {"max": 1}}]
SCRAPE = 15.0
FIRST = Path(__file__).parents[2] / "examples" / "first-release" / "scenarios"


def released(trigger=None, *, stage=1, phase=Phase.MEASURING, **spec):
    return a_release().with_plan(**({"checks": LIMITS, "triggers": [ERRORS | (trigger or {})]} | spec)).at_stage(stage, phase)


def rows(workload, code, per_scrape, *, newest=NOW - 5, scrapes=20, base=1_000.0, pod="client", **labels):
    """A counter of a caller that grew by these numbers at its last scrapes, the newest last; before them by the first one each time."""
    grown = [per_scrape[0]] * (scrapes - len(per_scrape)) + list(per_scrape)
    values, total = [], base
    for index, more in enumerate(grown):
        total += more
        values.append(Sample(newest - SCRAPE * (scrapes - 1 - index), total))
    found = {"destination_workload": workload, "destination_workload_namespace": "shop", "response_code": code, "pod": pod}
    return Series(tuple(sorted((found | {"__name__": "istio_requests_total"} | labels).items())), tuple(values))


def answered(*series, **more):
    return Answer(series=series, result_type="matrix", server_time=NOW, **more)


def both(green=(90, 10), blue=(990, 10), **more):
    """Both versions with so many good and failed requests at each scrape."""
    found = (
        rows("shop-green", "200", [green[0]], **more), rows("shop-green", "503", [green[1]], **more),
        rows("shop", "200", [blue[0]], **more), rows("shop", "500", [blue[1]], **more),
    )  # fmt: skip
    return answered(*found)


def polled(builder, answer, *, name="errors", **others):
    """The trigger's status after a look that was answered so."""
    w = builder.world()
    measured = Measured({asking.TRAFFIC: Measurement(answer), **{key.replace("__", "/"): Measurement(one) for key, one in others.items()}})
    return polls.polled(seen.watch_triggers(replace(w, measured=measured)).status.triggers, name)


def polled_status(builder):
    """The status after a look at which the check of errors has begun."""
    w = builder.world()
    return decide(w.subject, w.observed, Measured({asking.TRAFFIC: Measurement(both(green=(99, 1)))}), w.now).status


def asks(builder):
    return {ask.key: ask for ask in needs.asks(builder.world())}


class TestWhatIsAsked:
    def test_a_plan_of_ten_lines_asks_for_traffic_and_for_latency_and_at_the_first_look_for_the_past_of_blue(self):
        first = a_release().at_stage(1)
        begun = replace(first, status=polled_status(first))

        assert set(asks(first)) == {"traffic", "ticks/latency", "past/error-rate/", "past/latency/"}
        assert set(asks(begun)) == {"traffic", "ticks/latency", "past/latency/"}, "latency was not answered, so that it has not begun"

    def test_the_traffic_query_reaches_back_by_the_range_and_three_scrapes(self):
        assert asks(released({"range": "3m"}))["traffic"].query.endswith("[225s]")

    def test_it_reaches_no_further_where_the_trigger_is_not_due(self):
        there = released({"range": "3m"})
        just_polled = there.status.model_copy(update={"triggers": [CheckStatus(name="errors", polled_at=NOW - 1)]})

        assert asks(replace(there, status=just_polled))["traffic"].query.endswith("[55s]")

    def test_the_longest_range_of_those_that_are_due_counts(self):
        triggers = [ERRORS, ERRORS | {"name": "slowly", "range": "5m"}]

        assert asks(released(triggers=triggers))["traffic"].query.endswith("[345s]")

    @pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.MEASURING, Phase.BAKING, Phase.HALTED])
    def test_it_is_asked_wherever_triggers_are_watched(self, phase):
        assert "traffic" in asks(released(phase=phase))

    @pytest.mark.parametrize(
        "change",
        [{"provider": "other"}, {"range": "15m"}, {"builtin": "latency"}, {"builtin": None, "query": "x"}],
        ids=["another provider", "a range beyond a quarter of an hour", "another built-in", "a query of one's own"],
    )
    def test_others_ask_for_a_number_as_before(self, change):
        assert {"trigger/errors/candidate", "trigger/errors/baseline"} <= set(asks(released(change)))

    def test_without_traffic_metrics_it_asks_for_a_number_as_before(self):
        found = asks(released(traffic={"virtualService": "shop", "metrics": "none"}))

        assert set(found) == {"trigger/errors/candidate", "trigger/errors/baseline"}

    def test_a_member_that_is_not_in_the_routes_is_asked_about_as_before(self):
        there = released({"member": "api"}, workload=None, members=[{"name": "web", "workload": "web"}, {"name": "api", "workload": "api"}])

        assert not [key for key in asks(there) if key.startswith("trigger/")]
        assert [key for key in asks(there.seeing(routed=("web",))) if key.startswith("trigger/")]

    def test_where_blue_has_no_requests_and_its_number_is_known_nothing_more_is_asked(self):
        there = released(stage=4, phase=Phase.BAKING)
        known = there.status.model_copy(update={"triggers": [CheckStatus(name="errors", baseline=1.0)]})

        assert not [key for key in asks(replace(there, status=known)) if key.startswith("trigger/")]

    def test_after_an_instant_switch_blue_alone_is_asked_about_as_of_just_before_it(self):
        found = asks(released(stage=4, phase=Phase.BAKING))

        assert [key for key in found if key.startswith("trigger/")] == ["trigger/errors/baseline"]
        assert found["trigger/errors/baseline"].time == NOW - 190


class TestWhatIsCounted:
    def test_failed_requests_of_the_last_minute_by_both_exact_numbers(self):
        status = polled(released(), both(green=(90, 10), blue=(990, 10)))

        assert (status.outcome, status.value, status.baseline, status.n) == (FAIL, 10.0, 1.0, 400.0)

    def test_a_share_of_successes_is_what_is_left(self):
        status = polled(released({"builtin": "success-rate", "limit": {"min": 95}}), both(green=(90, 10)))

        assert (status.outcome, status.value, status.limit) == (FAIL, 90.0, 95.0)

    def test_the_first_errors_of_a_version_count(self):
        """A series of 503 begins with them: `rate` sees nothing of what its first sample says."""
        first = rows("shop-green", "503", [0], scrapes=1, base=40.0)
        status = polled(released(), answered(rows("shop-green", "200", [90]), first, rows("shop", "200", [990])))

        assert (status.outcome, round(status.value, 1), status.n) == (FAIL, 10.0, 400.0)

    def test_what_was_before_the_range_does_not_count(self):
        failed_before = rows("shop-green", "503", [50, 0, 0, 0, 0])

        assert polled(released(), answered(rows("shop-green", "200", [90]), failed_before, rows("shop", "200", [990]))).value == 0

    def test_a_scrape_that_is_late_changes_nothing(self):
        """Its range ends at the newest sample, not now."""
        late = polled(released(), both(newest=NOW - 25))

        assert (late.outcome, late.value, late.n) == (FAIL, 10.0, 400.0)

    def test_grpc_failures_are_failures(self):
        failed = rows("shop-green", "200", [10], request_protocol="grpc", grpc_response_status="14")

        assert polled(released(), answered(rows("shop-green", "200", [90]), failed, rows("shop", "200", [990]))).value == 10

    @pytest.mark.parametrize(("failed", "outcome"), [(2, INCONCLUSIVE), (3, FAIL)])
    def test_fewer_than_ten_failed_requests_are_too_few(self, failed, outcome):
        status = polled(released(), both(green=(17, failed), blue=(990, 0)))

        assert (status.outcome, status.detail) == (outcome, "8 of 10" if outcome is INCONCLUSIVE else "")

    def test_beside_a_blue_that_fails_often_chance_is_counted_by_the_requests_of_both(self):
        """Four deviations of 20 % with 60 requests of green and 1,140 of blue."""
        status = polled(released(), both(green=(10, 5), blue=(228, 57)))

        assert (status.outcome, status.reason) == (INCONCLUSIVE, reasons.TOO_FEW_FAILED)
        assert status.detail == "20.0 of 60, and chance alone makes up to 24.7 of two equal versions (33.33 % vs 20 %)"

    def test_a_target_that_was_silent_brings_nothing_from_before(self):
        """However far the query reached, for the sake of something else."""
        gap = rows("shop-green", "503", [0], pod="other")
        back = replace(gap, samples=(*gap.samples[:6], Sample(NOW - 5, gap.samples[5].value + 500)))
        answer = answered(rows("shop-green", "200", [90]), rows("shop", "200", [990]), back)

        assert polled(released(), answer).value == 0

    @pytest.mark.parametrize("thin", [False, True], ids=["raw samples", "counts"])
    def test_a_scrape_in_which_a_target_began_again_is_left_out_since_half_of_its_counters_may_have_hidden_it(self, thin):
        """A caller begins again: of green's good requests 900 became 905, all of them new, which looks like five; its failed ones fell."""
        hidden = [
            one if i < 18 else Sample(one.time, 905.0 + 90 * (i - 18))
            for i, one in enumerate(rows("shop-green", "200", [90], base=-720).samples)
        ]
        fallen = [one if i < 18 else Sample(one.time, 10.0 * (i - 17)) for i, one in enumerate(rows("shop-green", "503", [10]).samples)]
        odd = [replace(one, samples=tuple(samples)) for one, samples in zip(both().series, (hidden, fallen), strict=False)]
        calm = both(pod="other").series
        every = (*odd, *both().series[2:], *calm)

        found = polled(released(), answered(*(merged(every) if thin else every)))
        assert (found.outcome, found.n, found.value) == (FAIL, 700, pytest.approx(10))

    def test_targets_that_begin_again_at_every_scrape_say_nothing(self):
        again = [replace(one, samples=tuple(Sample(s.time, 100.0 - i) for i, s in enumerate(one.samples))) for one in both().series]

        assert polled(released(), answered(*again)).outcome is INCONCLUSIVE

    def test_only_the_requests_of_its_own_member_count(self):
        members = [{"name": "web", "workload": "shop"}, {"name": "api", "workload": "api"}]
        there = released({"member": "web"}, workload=None, members=members)
        answer = both(green=(100, 0))
        more = rows("api-green", "503", [100])

        assert polled(there, replace(answer, series=(*answer.series, more))).value == 0

    def test_counts_that_were_thinned_say_the_same(self):
        whole = both(green=(90, 10))

        assert polled(released(), replace(whole, series=merged(whole.series))) == polled(released(), whole)

    def test_a_trigger_that_is_not_due_is_not_polled_by_what_others_asked(self):
        before = CheckStatus(name="errors", outcome=PASS, recent="p", polled_at=NOW - 1)
        there = released()
        there = replace(there, status=there.status.model_copy(update={"triggers": [before]}))

        assert polled(there, both(green=(0, 100))) == before

    def test_where_blue_has_none_its_remembered_number_is_compared_with(self):
        there = released(stage=4, phase=Phase.BAKING)
        there = replace(there, status=there.status.model_copy(update={"triggers": [CheckStatus(name="errors", baseline=1.0)]}))
        status = polled(there, both(green=(90, 10), blue=(0, 0)))

        assert (status.outcome, status.baseline, status.remembered) == (FAIL, 1.0, True)

    def test_after_an_instant_switch_it_is_compared_with_what_blue_answered_then(self):
        just_before = Answer(series=(Series((), (Sample(NOW - 190, 2.0),)),), result_type="vector", server_time=NOW)
        status = polled(released(stage=4, phase=Phase.BAKING), both(green=(90, 10)), trigger__errors__baseline=just_before)

        assert (status.outcome, status.value, status.baseline) == (FAIL, 10.0, 2.0)

    def test_after_the_return_the_original_is_what_is_counted(self):
        there = released(finish={"mode": "home"}, stage=4, phase=Phase.RETURNING)
        home = StageStatus(weight=100, shifted_at=NOW - 120, window=WindowStatus(opened_at=NOW - 80, last_sample=NOW - 5, ran=60))
        update = {"returning": home, "returned_at": NOW - 120, "weight": 0, "triggers": [CheckStatus(name="errors", baseline=1.0)]}
        there = replace(there, status=there.status.model_copy(update=update))

        status = polled(there, both(green=(0, 0), blue=(900, 100)))

        assert (status.outcome, status.value, status.n) == (FAIL, 10.0, 4_000.0)


NOTHING = {
    "an answer without series": (answered(), reasons.NO_SERIES, "no request was counted in 60 s"),
    "no request of green": (both(green=(0, 0)), reasons.NO_SERIES, "no request was counted in 60 s"),
    "no request of blue": (both(blue=(0, 0)), reasons.NO_SERIES, "(blue) no request was counted in 60 s"),
    "samples that have stopped": (both(newest=NOW - 46), reasons.STALE_SAMPLE, "the sample is 46 s old"),
    "a partial answer": (replace(both(), warnings=("store down",)), reasons.PARTIAL_ANSWER, "store down"),
    "a number": (replace(both(), result_type="vector"), reasons.WRONG_TYPE, "found vector, expected raw samples"),
    "two clusters": (
        answered(rows("shop-green", "503", [9], destination_cluster="a"), rows("shop", "200", [9], destination_cluster="b")),
        reasons.SEVERAL_CLUSTERS,
        "a, b",
    ),
    **{fault.value: (Answer(fault=fault, message="words"), reasons.FAULTS[fault], "words") for fault in AnswerFault},
}


class TestWithoutData:
    @pytest.mark.parametrize("kind", NOTHING)
    def test_it_neither_passes_nor_fails_and_says_why(self, kind):
        answer, reason, detail = NOTHING[kind]

        status = polled(released(), answer)

        assert (status.outcome, status.reason, status.detail, status.recent) == (INCONCLUSIVE, reason, detail, "i")

    def test_a_crossed_absolute_limit_fails_even_where_blue_has_no_request(self):
        assert polled(released({"limit": {"max": 5, "maxDifference": 5}}), both(blue=(0, 0))).outcome is FAIL

    def test_a_look_that_was_not_answered_leaves_it_as_it_was(self):
        w = released().world()

        assert seen.watch_triggers(w).status.triggers == [CheckStatus(name="errors")]


class TestInARelease:
    def test_a_version_that_fails_from_its_first_request_goes_back_by_its_first_scrapes(self):
        """Everybody is sent to it at 17 s, and scraped each 15 s: the polls at 34 s and 44 s see its first failed requests."""
        scenario = scenario_of(FIRST, "fails-at-100")
        objects = [*load_objects(FIRST / scenario.world), *load_objects(FIRST / scenario.plan)]
        objects[-1]["spec"] |= {"stages": [{"weight": 100}], "checks": [{"name": "rate", "builtin": "error-rate", "limit": {"max": 90}}]}
        rollback = run_objects(scenario, objects).status.rollback

        assert (rollback.check, round(rollback.decided_at - START)) == ("errors", 44)
        assert rollback.message.startswith("errors: 8 % vs 0.1 % when last judged")


class TestRecords:
    def test_a_rollback_shows_the_query_whose_samples_were_counted(self):
        w = released().world()
        decision = decide(w.subject, w.observed, Measured({asking.TRAFFIC: Measurement(both())}), w.now)

        assert decision.status.rollback.check == "errors"
        assert decision.records[0].data["queries"] == (asks(released())["traffic"].query,)

    def test_an_answer_to_its_query_in_the_record_of_an_earlier_version_is_what_counts(self):
        number = Answer(series=(Series((), (Sample(NOW, 3.0),)),), result_type="vector", server_time=NOW)
        status = polled(released(), both(), trigger__errors__candidate=number, trigger__errors__baseline=number)

        assert (status.outcome, status.value, status.baseline) == (PASS, 3.0, 3.0)

    def test_the_selector_of_a_plan_is_that_of_both_colours(self):
        plan = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}, "triggers": [ERRORS]})
        w = released().world()
        naming = asking.naming_of(w.subject, w.observed)

        assert asking.counted_by(plan.triggers[0], Mesh(mode="subset"), asking.traffic_places(plan, naming)[0]).startswith(
            'istio_requests_total{reporter="source",destination_workload=~"shop|shop-green"'
        )


def begun(seconds, trigger):
    """A release that began so many seconds ago."""
    there = released(trigger)
    return replace(there, status=there.status.model_copy(update={"started_at": NOW - seconds, "exposed_since": NOW - seconds}))


def test_what_failed_in_greens_place_before_the_release_began_is_nobodys_failure_now():
    """The version before was rolled back from the same place, or idles there; its counters go on under the same names."""
    failed_once = both(green=(0, 0))
    early = [*failed_once.series, rows("shop-green", "503", [900, *[0] * 12], base=0.0), rows("shop-green", "200", [0, *[90] * 12])]
    look_back = {"range": "5m", "limit": {"max": 5}}

    assert polled(begun(3_600, look_back), answered(*early)).outcome is FAIL
    assert polled(begun(180, look_back), answered(*early)).outcome is PASS


LISTED = {"traffic": {"virtualServices": [{"name": "shop", "bypass": [{"route": "canary"}]}]}}


@pytest.mark.parametrize(
    ("earlier", "spec", "expected"),
    [([], {}, FAIL), ([20] * 4, {}, INCONCLUSIVE), ([20], {}, INCONCLUSIVE), ([], LISTED, INCONCLUSIVE)],
    ids=["nobody asked before", "somebody did", "somebody began to", "a listed rule may have led there"],
)
def test_the_first_scrape_after_the_first_weight_speaks_of_green_alone(earlier, spec, expected):
    """It began before green was ready. A bad version is seen a scrape earlier by it, and 503 for want of its pods are not its fault."""
    there = released({"limit": {"max": 5}}, **spec)
    just = replace(there, status=there.status.model_copy(update={"started_at": NOW - 90, "exposed_since": NOW - 6}))
    failed, good = [*earlier, 20], [*[0 for _ in earlier], 80]
    green = (rows("shop-green", code, grown, base=0.0, scrapes=len(grown)) for code, grown in (("503", failed), ("200", good)))

    assert polled(just, answered(*green, rows("shop", "200", [990]), rows("shop", "500", [10]))).outcome is expected


def test_a_clock_that_was_set_back_since_the_release_began_hides_no_failure():
    """It began at a time that is still to come; whatever is counted would be from before it, for half an hour."""
    assert polled(begun(-1_800, {"limit": {"max": 5}}), both()).outcome is FAIL


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [(3_600, "[300s]"), (90, "[90s]"), (0, "[1ms]"), (-60, "[300s]")],
    ids=["long ago", "not long ago", "in this look", "clock set back"],
)
def test_a_query_of_ones_own_looks_back_no_further_than_that_either(seconds, asked):
    own = {
        "name": "errors",
        "query": 'sum(rate(failed_total{workload="$workload"}[$window]))',
        "builtin": None,
        "limit": {"max": 1},
        "range": "5m",
    }

    (query,) = (ask.query for ask in needs.asks(begun(seconds, own).world()) if ask.key.startswith("trigger/errors/"))

    assert asked in query
