"""Sequential checks in a decision: what is asked, when they act, and what they never do."""

import json
import math
from dataclasses import replace
from itertools import accumulate

import pytest

from analysis import sequential as library
from analysis.model import Outcome, Sample, Series
from controller.api.plan import PlanSpec
from controller.api.plan_checks import Tolerance
from controller.api.release import Phase, ReleaseStatus, SequentialStatus, Verb
from controller.core import asking, needs, reasons, seen, sequential
from controller.core.decide import decide
from controller.core.steps import World
from controller.core.tested import what_is_tested
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from controller.reconcile import measure
from tests.core.releases import NOW, a_release

ERRORS = {"name": "errors", "builtin": "error-rate", "method": "sequential"}
LATENCY = {"name": "slow", "builtin": "latency", "method": "sequential"}
BLUE = 'destination_workload="shop",destination_workload_namespace="shop"'
MEASURED = {
    "until": 1e9,
    "hours": 24,
    "checks": [{"builtin": "error-rate", "workload": "shop", "lines": [{"share": 1, "bursts": 1, "widest": 1}]}],
}
SPEC = {"checks": [ERRORS, LATENCY], "triggers": [], "traffic": {"virtualService": "shop", "scrapeInterval": "10s"}}


def released(stage=1, phase=Phase.MEASURING, **spec):
    return a_release().with_plan(**(SPEC | spec)).at_stage(stage, phase)


def rows(workload, code, per_scrape, history=0.0, *, green=False):
    """A counter that grew at every scrape; green's from its first weight on (190 s ago)."""
    steps = [(NOW - 300 + 10 * k, k) for k in range(30)]
    values = [(at, history + per_scrape * (max(0, k - 11) if green else k)) for at, k in steps]
    labels = {"destination_workload": workload, "destination_workload_namespace": "shop", "response_code": code, "pod": "client"}
    return Series(tuple(sorted(labels.items())), tuple(Sample(at, value) for at, value in values if value > 0))


def apart():
    """Two pods of blue, minute by minute before the first weight: for ten minutes one fails three times as often, then the other."""
    series = []
    for pod in (0, 1):
        for code, each in (("200", 900.0), ("500", 0.0)):
            labels = {"pod": f"shop-{pod}", "response_code": code}
            counts = [each or (30.0 if (minute // 10 + pod) % 2 else 10.0) for minute in range(90)]
            times = [NOW - 190 - 60 * (89 - minute) for minute in range(90)]
            series.append(Series(tuple(sorted(labels.items())), tuple(map(Sample, times, accumulate(counts)))))
    return tuple(series)


def histogram(workload, pod, count, step, *, until=NOW - 10, slow=lambda _: 0.1):
    """Buckets of 1,000 requests a step, of which a share was slower than 100 ms, and half of those slower than 250."""
    shares = [slow(k) for k in range(count)]
    below = {"100": [1 - one for one in shares], "250": [1 - one / 2 for one in shares], "+Inf": [1.0] * count}
    for le, parts in below.items():
        labels = {"destination_workload": workload, "destination_workload_namespace": "shop", "le": le, "pod": pod}
        times = [until - step * (count - 1 - k) for k in range(count)]
        yield Series(tuple(sorted(labels.items())), tuple(map(Sample, times, accumulate(1000.0 * part for part in parts))))


def slow_apart():
    """Two pods of blue, minute by minute before the first weight: for ten minutes one is slow half as often again, then the other."""
    for pod in (0, 1):
        yield from histogram(
            "shop", f"shop-{pod}", 90, 60.0, until=NOW - 190, slow=lambda minute, pod=pod: (0.08, 0.12)[(minute // 10 + pod) % 2]
        )


def counted(blue=(950.0, 10.0), green=(50.0, 1.0), **answer):
    series = (
        rows("shop", "200", blue[0], 90_000.0), rows("shop", "500", blue[1], 900.0),
        rows("shop-green", "200", green[0], green=True), rows("shop-green", "500", green[1], green=True),
    )  # fmt: skip
    return Answer(series=tuple(one for one in series if one.samples), result_type="matrix", **answer)


def decided(builder, answer):
    w = builder.world()
    measured = Measured({asking.TRAFFIC: Measurement(answer)})
    return decide(w.subject, w.observed, measured, w.now), replace(w, measured=measured)


BAD = counted(green=(40.0, 11.0))


def bursty():
    """Blue fails forty requests in every other scrape, none in between."""
    blue = rows("shop", "500", 20.0, 900.0)
    steps = [Sample(sample.time, 900.0 + 40 * (index // 2)) for index, sample in enumerate(blue.samples)]
    answer = counted()
    return replace(answer, series=(answer.series[0], replace(blue, samples=tuple(steps)), *answer.series[2:]))


def with_status(status):
    world = released().world()
    return replace(world, subject=replace(world.subject, status=status))


class TestAsking:
    def asks(self, builder):
        return {ask.key: ask for ask in needs.asks(builder.world())}

    def test_the_error_rate_counts_the_samples_of_the_traffic_query(self):
        """One query brings the split, the window's progress and the ticks; latency asks once more, for both colours."""
        asks = self.asks(released())

        assert set(asks) == {"traffic", "ticks/slow", "past/errors/", "past/slow/"}
        assert "istio_request_duration_milliseconds_bucket" in asks["ticks/slow"].query
        assert 'destination_workload=~"shop|shop-green"' in asks["ticks/slow"].query

    def test_both_reach_back_to_the_last_counted_sample_and_five_scrapes(self):
        """Nothing is counted yet: since the first weight, 190 s ago."""
        asks = self.asks(released(analysis={"dispersion": 2}))

        assert asks["traffic"].query.endswith("[240s]")
        assert asks["ticks/slow"].query.endswith("[240s]")

    def test_where_nobody_measured_blue_its_last_quarter_of_an_hour_is_asked_for_once(self):
        asks, begun = self.asks(released()), decided(released(), counted())[0].status

        assert asks["traffic"].query.endswith("[900s]")
        assert asks["ticks/slow"].query.endswith("[240s]")
        assert sequential.further_back(with_status(begun), None, sequential.due(with_status(begun))) > NOW - 60

    def test_where_nobody_measured_blue_its_pods_are_asked_for_once_until_the_first_weight(self):
        first = self.asks(released())["past/errors/"]
        begun = decided(released(), counted())[0].status

        assert first.query.startswith("(sum by (cluster,grpc_response_status,instance,job,namespace,node,pod,")
        assert first.query.endswith('(istio_requests_total{reporter="destination",' + BLUE + "}))[5400s:60s]")
        assert first.time == NOW - 190
        assert [one.past for one in sequential.due(with_status(begun)) if one.check.name == "errors"] == [None]

    def test_of_latency_the_buckets_of_its_pods_are_asked_for(self):
        first = self.asks(released())["past/slow/"]

        assert first.query.startswith("(sum by (cluster,instance,job,namespace,node,pod,le) ({__name__=~")
        assert first.query.endswith('reporter="destination",' + BLUE + "}))[5400s:60s]")
        assert first.time == NOW - 190

    def test_of_counters_of_the_plan_s_own_both_are_asked_pod_by_pod(self):
        own = {"name": "orders", "method": "sequential", "counters": {"total": "orders_total", "bad": "orders_failed_total"}}
        asks = self.asks(released(checks=[own]))

        assert asks["past/orders/total"].query.endswith("(orders_total))[5400s:60s]")
        assert asks["past/orders/part"].query.endswith("(orders_failed_total))[5400s:60s]")

    @pytest.mark.parametrize("known", [{"dispersion": 2}, {"measured": MEASURED}])
    def test_what_somebody_measured_or_wrote_down_is_not_asked_for(self, known):
        assert not [key for key in self.asks(released(analysis=known)) if key.startswith("past/errors/")]

    def test_another_provider_is_asked_for_samples_of_its_own(self):
        asks = self.asks(released(checks=[ERRORS | {"provider": "other"}]))

        assert asks["ticks/errors"].provider == "other"
        assert "istio_requests_total" in asks["ticks/errors"].query

    @pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.MEASURING, Phase.BAKING, Phase.HALTED])
    def test_samples_are_asked_for_wherever_green_may_have_traffic(self, phase):
        assert {"traffic", "ticks/slow"} <= set(self.asks(released(phase=phase)))

    def test_before_the_first_weight_and_in_a_reverse_release_nothing_is_counted(self):
        reverse = released()
        reverse = replace(reverse, spec=reverse.spec.model_copy(update={"kind": "reverse"}))

        assert "ticks/slow" not in self.asks(reverse)
        assert self.asks(a_release().with_plan(**SPEC).in_phase(Phase.PREPARING)).keys() <= {"probe/shop/green", "traffic"}

    def test_a_question_whose_range_has_changed_is_asked_again(self):
        """Progress was lost between two looks: the answer that was there does not reach back far enough."""

        class Echo:
            @staticmethod
            def provider(_name):
                return Echo

            @staticmethod
            def query(query, _at):
                return Answer(message=query)

        class Ports:
            prometheus = Echo

            @staticmethod
            def together(calls):
                return [call() for call in calls]

        near = asking.Ask("traffic", query="x[60s]")
        far = replace(near, query="x[90s]")
        known = measure((near,), Ports, Measured())

        assert measure((near,), Ports, known).answers["traffic"] is known.answers["traffic"]
        assert measure((far,), Ports, known).answers["traffic"].answer.message == "x[90s]"


class TestActing:
    def test_the_bound_rolls_back_in_mid_window_with_both_rates(self):
        decision, _ = decided(released(checks=[ERRORS]), BAD)

        assert (decision.status.phase, decision.status.rollback.reason) == (Phase.ROLLING_BACK, reasons.EVIDENCE_AGAINST)
        assert decision.status.rollback.message == "errors: 21.57 % vs 1.04 % (limit 1.2 %, n = 153, e-value 617 of 100)"

    def test_in_a_later_stage_it_says_that_the_evidence_is_not_of_that_stage_alone(self):
        """The rates and n are: 5.41 % of 37 requests alone would never be an e-value of 200."""
        first, later = (decided(released(stage, checks=[ERRORS]), BAD)[0].status.rollback.message for stage in (1, 2))

        assert first.endswith("of 100)")
        assert later.endswith("of 100 over all stages)")

    @pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.MEASURING, Phase.BAKING, Phase.HALTED])
    def test_it_acts_in_every_watched_phase(self, phase):
        assert decided(released(phase=phase, checks=[ERRORS]), BAD)[0].status.phase is Phase.ROLLING_BACK

    def test_it_acts_while_a_person_is_asked(self):
        held = released(checks=[ERRORS]).holding(reasons.PAUSED, waits_for="operator")

        assert decided(held, BAD)[0].status.phase is Phase.ROLLING_BACK

    def test_it_acts_before_a_request_toward_green_is_answered(self):
        assert decided(released(checks=[ERRORS]).asked(Verb.PROMOTE), BAD)[0].status.phase is Phase.ROLLING_BACK

    def test_one_that_only_observes_shows_its_evidence_and_does_not_act(self):
        decision, _ = decided(released(checks=[ERRORS | {"observe": True}]), BAD)
        check = decision.status.stages[0].checks[0]

        assert decision.status.phase is Phase.MEASURING
        assert check.ln_e > check.ln_bound

    def test_a_healthy_green_goes_on_and_its_numbers_so_far_are_shown(self):
        decision, _ = decided(released(checks=[ERRORS]), counted())
        check = decision.status.stages[0].checks[0]

        assert decision.status.phase is Phase.MEASURING
        assert check.outcome is None
        assert check.ln_e < check.ln_bound

    @pytest.mark.parametrize(("given", "raised"), [({}, True), ({"analysis": {"dispersion": 2}}, False)])
    def test_bursts_of_blue_before_the_first_weight_raise_a_dispersion_that_is_only_assumed(self, given, raised):
        state = decided(released(**given), bursty())[0].status.sequential[0].state

        assert ('"raised":[' in state) is raised

    @pytest.mark.parametrize(
        ("answer", "raised"),
        [
            ({"series": apart()}, True),
            ({"series": apart(), "warnings": ("only one of two stores answered",)}, False),
            ({"fault": AnswerFault.TIMEOUT, "message": "no answer within 10 s"}, False),
            ({}, False),
        ],
        ids=["pods that wandered", "half an answer", "a fault", "no pods"],
    )
    def test_blue_pods_that_wandered_before_raise_it_too_and_no_release_waits_for_that_answer(self, answer, raised):
        measured = {asking.TRAFFIC: Measurement(counted()), "past/errors/": Measurement(Answer(result_type="matrix", **answer))}
        w = released().world()
        state = json.loads(decide(w.subject, w.observed, Measured(measured), w.now).status.sequential[0].state)

        assert ("raised" in state) is raised
        assert not raised or state["raised"][1] > 5 > state["raised"][0]

    @pytest.mark.parametrize("wandered", [True, False])
    def test_how_slow_blue_pods_were_before_raises_latency_s_at_each_edge(self, wandered):
        measured = {
            asking.TRAFFIC: Measurement(counted()),
            "ticks/slow": Measurement(Answer(series=tuple(histogram("shop", "client", 30, 10.0)), result_type="matrix")),
            "past/slow/": Measurement(Answer(series=tuple(slow_apart() if wandered else ()), result_type="matrix")),
        }
        w = released().world()
        found = decide(w.subject, w.observed, Measured(measured), w.now).status.sequential
        state = json.loads(next(one.state for one in found if one.name == "slow"))

        assert [line[0] for line in state["lines"]] == [100.0, 250.0]
        assert ("raised" in state) is wandered
        assert not wandered or (min(state["raised"][1::2]) > 5 and len(state["raised"]) == 4)

    def test_a_steady_blue_leaves_the_assumed_dispersion(self):
        assert "raised" not in decided(released(), counted())[0].status.sequential[0].state

    def test_progress_and_the_window_are_one_status(self):
        """Whoever stores the one stores the other: no sample counts for the window and is lost for the evidence."""
        decision, w = decided(released(checks=[ERRORS]), counted())
        state = sequential.stored(w.with_status(decision.status), w.plan.checks[0])

        assert decision.status.stages[0].window.last_sample == NOW - 10
        assert state.cursor.until == NOW - 10

    def test_the_same_answer_twice_changes_no_evidence(self):
        first, _ = decided(released(checks=[ERRORS]), counted())
        again, _ = decided(replace(released(checks=[ERRORS]), status=first.status), counted())

        assert again.status.sequential == first.status.sequential

    def test_a_state_that_was_read_back_goes_on_as_the_one_that_was_kept(self):
        """Counted in two looks, the first half of the samples in the first: whether or not the controller died in between."""
        builder, whole = released(checks=[ERRORS]), counted()
        half = replace(whole, series=tuple([replace(one, samples=one.samples[:20]) for one in whole.series]))
        kept = decided(builder, half)[0].status
        lost = ReleaseStatus.model_validate_json(kept.model_dump_json())
        first, second = (decided(replace(builder, status=status), whole)[0].status for status in (kept, lost))

        assert first.sequential == second.sequential != kept.sequential
        assert first.stages[0].checks == second.stages[0].checks

    @pytest.mark.parametrize(("reason", "forgotten"), [(reasons.GREEN_CHANGED, True), (reasons.PAUSED, False)])
    def test_what_other_pods_of_green_did_is_not_held_against_those_that_a_person_wants_judged(self, reason, forgotten):
        """`GreenChanged`, then resume: each bet begins anew. A mere pause forgets nothing."""
        builder, worse = released(), counted(green=(50.0, 1.5))
        status = decided(builder, worse)[0].status
        held = replace(builder, status=status).holding(reason, waits_for="operator")
        after = decided(held.asked(Verb.RESUME), worse)[0].status
        test = what_is_tested(builder.plan).settings["errors"]
        before, now = (library.ln_e(test, sequential.read(one.sequential[0], test)) for one in (status, after))

        assert (after.phase, before > 0.5) == (Phase.SHIFTING, True)
        assert now == pytest.approx(0.0 if forgotten else before, abs=1e-9)

    def test_an_edited_state_begins_again_instead_of_breaking_the_release(self):
        builder = released(checks=[ERRORS])
        edited = builder.status.model_copy(update={"sequential": [SequentialStatus(name="errors", state="{nonsense")]})

        assert decided(replace(builder, status=edited), counted())[0].status.sequential[0].state.startswith('{"v":1')


class TestAtTheWindowsEnd:
    def verdict(self, answer, *, window=60.0, **spec):
        stages = [{"weight": 5, "window": f"{window:.0f}s"}, {"weight": 100}]
        builder = released(checks=[ERRORS], stages=stages, **spec)
        w = replace(builder.world(), measured=Measured({asking.TRAFFIC: Measurement(answer)}))
        return seen.verdict(w)

    def test_enough_requests_without_evidence_pass(self):
        found = self.verdict(counted())

        assert (found.outcome, found.checks[0].reason) == (Outcome.PASS, reasons.NO_EVIDENCE_AGAINST)

    def test_too_few_requests_wait_and_say_how_many_are_needed(self):
        found = self.verdict(counted(green=(5.0, 0.0)))

        assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reasons.TOO_FEW_REQUESTS)
        assert "requests of green" in found.detail

    @pytest.mark.parametrize(
        "answer",
        [Answer(result_type="matrix"), counted(warnings=("store down",)), replace(counted(), result_type="vector")],
        ids=["empty", "partial", "not raw"],
    )
    def test_what_cannot_be_counted_never_passes(self, answer):
        assert self.verdict(answer).outcome is Outcome.INCONCLUSIVE

    def test_samples_that_end_long_before_the_window_never_pass(self):
        stale = tuple(Series(one.labels, one.samples[:-9]) for one in counted().series)

        assert self.verdict(replace(counted(), series=stale)).checks[0].reason == reasons.STALE_SAMPLE


class TestShares:
    def test_the_shares_of_alpha_sum_to_one_without_those_that_only_observe(self):
        plan = PlanSpec.model_validate(
            {"workload": "w", "traffic": {"virtualService": "v"}, "checks": [ERRORS, LATENCY, ERRORS | {"name": "look", "observe": True}]}
        )

        assert sequential.shares(plan) == pytest.approx({"errors": 0.625, "slow": 0.375})

    def test_percents_of_the_plan_are_shares_in_the_library(self):
        plan = PlanSpec.model_validate(
            {"workload": "w", "traffic": {"virtualService": "v"}, "analysis": {"alpha": 0.001, "dispersion": 3.0, "errorRate": 0.2},
             "checks": [ERRORS | {"tolerance": {"ratio": 1.5, "difference": 0.2}, "effect": 2}]}
        )  # fmt: skip
        setting = sequential.setting_of(plan, plan.checks[0])

        assert (setting.rho, setting.delta, setting.alpha, setting.effect, setting.p_hist) == (1.5, 0.002, 0.001, 0.02, 0.002)
        assert setting.dispersion.at(0.5) == 3.0


class TestPassingEarly:
    """A stage with `earlyAfter`, half of its window judged."""

    STAGES = ({"weight": 5, "window": "2m", "earlyAfter": "50s"}, {"weight": 100})
    MANY = counted(blue=(9_500.0, 19.0), green=(950.0, 2.0))

    def decision(self, answer, stages=STAGES, **spec):
        return decided(released(checks=[ERRORS], stages=list(stages), **spec), answer)[0]

    def test_it_passes_once_green_is_within_the_margin_and_says_so(self):
        decision = self.decision(self.MANY)
        stage = decision.status.stages[0]

        assert (stage.verdict, stage.early) == (Outcome.PASS, True)
        assert stage.checks[0].ln_early > stage.checks[0].ln_early_bound
        assert decision.records[-1].message.startswith("The stage passed: early, after ")
        assert "within the margin" in decision.records[-1].message

    @pytest.mark.parametrize(
        ("stages", "more"),
        [
            (({"weight": 5, "window": "2m"}, {"weight": 100}), {}),
            (({"weight": 5, "window": "2m", "earlyAfter": "110s"}, {"weight": 100}), {}),
            (({"weight": 5, "window": "2m", "earlyAfter": "50s", "minRequests": 9_000_000}, {"weight": 100}), {}),
            (STAGES, {"analysis": {"beta": 1e-12}}),
            (STAGES, {"checks": [ERRORS, {"name": "cpu", "builtin": "cpu", "limit": {"max": 90}}]}),
            (STAGES, {"checks": [ERRORS | {"observe": True}]}),
        ],
        ids=["not asked for", "too soon", "too few requests", "not sure enough", "a limit beside it", "nothing that acts"],
    )
    def test_it_goes_on_to_the_windows_end(self, stages, more):
        builder = released(**({"checks": [ERRORS], "stages": list(stages)} | more))

        assert decided(builder, self.MANY)[0].status.stages[0].verdict is None

    def test_a_green_beyond_the_margin_goes_on(self):
        assert self.decision(counted(blue=(9_500.0, 19.0), green=(950.0, 9.0))).status.stages[0].verdict is None

    def test_stages_share_beta(self):
        plans = [
            released(stages=[{"weight": weight, "earlyAfter": "1m"} for weight in weights] + [{"weight": 100}]).plan
            for weights in ((5,), (5, 25))
        ]

        assert [math.exp(sequential.ln_early_bound(plan)) for plan in plans] == pytest.approx([20, 40])


ERROR_LINE = {"share": 1.0, "bursts": 1.5, "widest": 3.5}
EDGE_LINES = [
    {"edge": 100.0, "share": 20.0, "bursts": 1.0, "widest": 1.0},
    {"edge": 500.0, "share": 1.0, "bursts": 2.0, "widest": 4.0},
]


class TestMeasured:
    """What the pre-flight measured on blue, as the frozen plan has it."""

    def spec(self, **analysis):
        checks = [
            {"builtin": "error-rate", "workload": "shop", "lines": [ERROR_LINE]},
            {"builtin": "latency", "workload": "shop", "lines": EDGE_LINES},
        ]
        measured = {"until": NOW - 3600, "hours": 24.0, "checks": checks}
        return {"workload": "shop", "traffic": {"virtualService": "shop"}, "analysis": {"measured": measured, **analysis}}

    def plan(self, **more):
        return PlanSpec.model_validate(self.spec(**more.pop("analysis", {})) | more)

    def test_a_plan_without_checks_is_judged_sequentially(self):
        assert [check.sequential for check in self.plan().checks] == [True, True]
        assert [check.sequential for check in self.plan(finish={"mode": "home"}).checks] == [True, True]
        assert [check.name for check in self.plan(checks=[]).checks] == []

    def test_each_line_has_its_own_dispersion_rate_and_edge(self):
        errors, latency = (sequential.setting_of(self.plan(), check) for check in self.plan().checks)

        assert (errors.known[0].p_hist, errors.test(0.01).dispersion.at(0.5)) == (0.01, 3.5)
        assert [line.edge for line in latency.known] == [100.0, 500.0]
        assert latency.test(0.01, 500.0).dispersion.at(0.5) == 4.0
        assert latency.test(0.01, 250.0).dispersion.at(0.5) == 2.0

    def test_the_authors_own_dispersion_comes_first(self):
        plan = self.plan(analysis={"dispersion": 6.0})

        assert sequential.setting_of(plan, plan.checks[0]).test(0.01).dispersion.at(0.5) == 6.0

    def test_another_workloads_numbers_are_not_used(self):
        plan = self.plan(workload="other")

        assert sequential.setting_of(plan, plan.checks[0]).known == ()

    def test_a_changed_copy_of_a_plan_is_tested_by_its_own_words(self):
        plan = self.plan()
        before, check = what_is_tested(plan), plan.checks[0]
        copy = plan.model_copy(update={"checks": [check.model_copy(update={"tolerance": Tolerance(ratio=3.0)})]})

        assert what_is_tested(copy).settings[check.name].rho == 3.0
        assert what_is_tested(plan) is before
        assert copy.model_dump() != plan.model_dump() == self.plan().model_dump()

    def test_a_smaller_dispersion_is_sooner_evidence(self):
        """The same samples of a green that does twice as badly: with what was measured, and with the default of 2."""
        twice = counted(green=(49.0, 1.0))
        quiet = {"share": 1.0, "bursts": 1.0, "widest": 1.0}
        measured = {"until": NOW, "hours": 24.0, "checks": [{"builtin": "error-rate", "workload": "shop", "lines": [quiet]}]}
        values = [
            decided(released(checks=[ERRORS], analysis=one), twice)[0].status.stages[0].checks[0].ln_e
            for one in ({}, {"measured": measured})
        ]

        assert values[1] > values[0]


def test_a_world_without_sequential_checks_asks_and_counts_nothing():
    w: World = a_release().with_plan(checks=[]).at_stage(1).world()

    assert sequential.due(w) == ()
    assert sequential.counted(w) is None
