"""`penstock import`, as a shell sees it: files of other tools in, a plan that validates out, and a word about everything."""

import json
import re
from copy import deepcopy
from pathlib import Path
from random import Random

import pytest
import yaml

from controller.api.validate import validate_text
from controller.api.validate_yaml import LOADER
from controller.cli.import_conditions import Condition, ConditionError, both, failure, success
from controller.cli.import_queries import QueryError, ranged, with_parameters
from controller.cli.main import run
from tests.sizes import size

FILES = Path(__file__).parent / "imports"


@pytest.fixture
def imported(capsys):
    def ask(tool, *files, code=0, more=()):
        assert run(["import", tool, *map(str, files), *more]) == code
        told = capsys.readouterr()
        return list(yaml.load_all(told.out, Loader=LOADER)), told

    return ask


@pytest.fixture
def changed(tmp_path):
    """A file with one text replaced."""

    def write(name, old, new):
        text = (FILES / name).read_text()
        assert old in text
        path = tmp_path / name
        path.write_text(text.replace(old, new))
        return path

    return write


def named(parts):
    return {part["name"]: part for part in parts}


@pytest.mark.parametrize(("tool", "name"), [("flagger", "podinfo.yaml"), ("argo", "rollout.yaml"), ("kayenta", "canary-config.json")])
class TestEveryTool:
    def test_the_plan_is_valid(self, tool, name, imported):
        _, told = imported(tool, FILES / name)

        assert [str(finding) for finding in validate_text(told.out) if finding.severity == "error"] == []

    def test_the_talk_is_on_stderr_and_names_every_fate(self, tool, name, imported):
        _, told = imported(tool, FILES / name)

        assert told.out.startswith(f"# Made by `penstock import {tool} {name}`: ")
        assert [line for line in told.err.splitlines() if line.startswith("  ") and line[2] != " "] == [
            "  translated", "  changed for the better", "  no counterpart",
        ]  # fmt: skip

    def test_json_has_plan_and_list(self, tool, name, capsys):
        assert run(["import", tool, str(FILES / name), "-o", "json"]) == 0
        (one,) = json.loads(capsys.readouterr().out)["plans"]

        assert one["plan"]["kind"] == "ReleasePlan"
        assert {note["fate"] for note in one["notes"]} == {"translated", "changed for the better", "no counterpart"}

    @pytest.mark.parametrize("text", ["{", "a: [", "- 1\n- 2\n", "", "\x00\x01", "kind: Canary\n"])
    def test_a_file_that_is_none_ends_with_3_and_one_sentence(self, tool, name, text, imported, tmp_path):
        path = tmp_path / name
        path.write_text(text)
        _, told = imported(tool, path, code=3)

        assert (told.out, told.err.count("\n")) == ("", 1)

    def test_a_file_that_is_not_there_ends_with_2(self, tool, name, imported):
        _, told = imported(tool, "nowhere" + name, code=2)

        assert "there is no such file" in told.err


ODD = (None, [], {}, "x", 0, -1, 1.5, True, [1, "a", None], {"a": 1}, "", 10**12, [{}], "{{ target }}", "1m", {"name": {"a": 1}})


def places(found, path=()):
    """Every place of a document."""
    if path:
        yield path
    for key in found if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ():
        yield from places(found[key], (*path, key))


@pytest.mark.parametrize(
    ("tool", "name", "more"),
    [
        ("flagger", "podinfo.yaml", []), ("argo", "rollout.yaml", []), ("kayenta", "canary-config.json", []),
        ("kayenta", "canary-config.json", ["--keep-judge"]),
    ],
)  # fmt: skip
def test_whatever_stands_in_a_field_it_is_a_plan_or_a_sentence(tool, name, more, tmp_path, capsys):
    """Files with one field replaced; a traceback would end with 1."""
    random, path = Random(7), tmp_path / name
    whole = list(yaml.load_all((FILES / name).read_text(), Loader=LOADER))
    for _ in range(size(10, 100)):
        documents = deepcopy(whole)
        *above, last = random.choice([place for place in places(documents) if len(place) > 1])
        holder = documents
        for key in above:
            holder = holder[key]
        holder[last] = odd = random.choice(ODD)
        path.write_text(json.dumps(documents[0]) if tool == "kayenta" else yaml.dump_all(documents, Dumper=yaml.CSafeDumper))

        assert run(["import", tool, str(path), *more]) in (0, 3), (above, last, odd)
        capsys.readouterr()


class TestFlagger:
    def test_a_charts_template_is_named_as_one(self, imported, tmp_path):
        path = tmp_path / "canary.yaml"
        path.write_text('kind: Canary\nmetadata:\n  labels: {{- include "x.labels" . | nindent 4 }}\nspec: {}\n')

        assert "render it first, as helm template does" in imported("flagger", path, code=3)[1].err

    def test_steps_become_stages_and_a_last_one_of_100(self, imported):
        ((plan,), _) = imported("flagger", FILES / "podinfo.yaml")

        assert [stage["weight"] for stage in plan["spec"]["stages"]] == [10, 20, 30, 40, 50, 100]
        assert {stage["window"] for stage in plan["spec"]["stages"][:5]} == {"2m"}
        assert plan["spec"]["stages"][4]["hold"] is True

    def test_builtin_metrics_become_builtins(self, imported):
        ((plan,), _) = imported("flagger", FILES / "podinfo.yaml")
        checks = named(plan["spec"]["checks"])

        assert checks["request-success-rate"] == {
            "name": "request-success-rate", "builtin": "success-rate", "unit": "%", "limit": {"min": 99},
        }  # fmt: skip
        assert checks["request-duration"]["limit"] == {"max": 500}

    def test_the_threshold_counts_failures_of_triggers(self, imported):
        ((plan,), _) = imported("flagger", FILES / "podinfo.yaml")
        trigger = named(plan["spec"]["triggers"])["request-duration"]

        assert (trigger["repeat"], trigger["interval"], trigger["range"]) == ({"failures": 5, "of": 100}, "1m", "30s")

    def test_go_templates_become_parameters(self, imported):
        ((plan,), _) = imported("flagger", FILES / "podinfo.yaml")
        checks = named(plan["spec"]["checks"])

        assert 'destination_workload_namespace="$namespace", destination_workload="$workload"' in checks["404s-percentage"]["query"]
        assert checks["restarts"]["query"] == (
            'sum(increase(kube_pod_container_status_restarts_total{namespace="$namespace",'
            'pod=~"$workload-[0-9a-z]+-[0-9a-z]+$$",team="web"}[$window]))'
        )

    def test_what_has_no_counterpart_is_named(self, imported):
        _, told = imported("flagger", FILES / "podinfo.yaml")

        for what in ("webhook load-test (rollout)", "metric queue: its provider is datadog", "analysis.alerts", "analysis.sessionAffinity"):
            assert what in told.err.partition("no counterpart")[2]

    @pytest.mark.parametrize(
        ("old", "new", "sentence"),
        [
            ("kind: Deployment\n    name", "kind: DaemonSet\n    name", "its target is a DaemonSet, expected a Deployment"),
            ("interval: 1m\n    threshold", "interval: soon\n    threshold", "analysis.interval: found 'soon', expected a duration"),
            ("stepWeight: 10", "stepWeight: ten", "analysis.stepWeight: found 'ten', expected a number"),
            ("stepWeight: 10", "stepWeight: 0", "analysis.stepWeight is 0, expected at least 1"),
            ("{min: 99}", "{min: .nan}", "thresholdRange.min: found nan, expected a number"),
            ("    name: podinfo\n  progress", "    name: ''\n  progress", "it has no targetRef.name"),
        ],
    )
    def test_wrong_values_are_one_sentence_with_their_place(self, old, new, sentence, imported, changed):
        _, told = imported("flagger", changed("podinfo.yaml", old, new), code=3)

        assert sentence in told.err

    def test_a_template_that_is_in_no_file_is_named(self, imported, changed):
        ((plan,), told) = imported("flagger", changed("podinfo.yaml", "{name: restarts}", "{name: elsewhere}"))

        assert "metric restarts: the MetricTemplate test/elsewhere is not in the files" in told.err
        assert "restarts" not in named(plan["spec"]["checks"])

    def test_without_a_metric_the_defaults_judge(self, imported, tmp_path):
        path = tmp_path / "canary.yaml"
        path.write_text(
            "{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: a},"
            " spec: {targetRef: {name: a}, service: {name: b}, analysis: {iterations: 10, interval: 30s}}}"
        )
        ((plan,), told) = imported("flagger", path)

        assert "checks" not in plan["spec"]
        assert plan["spec"]["stages"] == [{"weight": 100, "window": "5m"}]
        assert plan["spec"]["members"] == [{"name": "a", "workload": "a", "service": "b"}]
        assert "no metrics: the default checks judge" in told.err

    @pytest.mark.parametrize(("found", "shown"), [("7", "7"), ("[7]", "7"), ("{a: 1}", '{"a": 1}')])
    def test_metrics_that_are_no_list_are_refused_and_not_dropped(self, imported, tmp_path, found, shown):
        path = tmp_path / "canary.yaml"
        path.write_text(
            "{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: a},"
            f" spec: {{targetRef: {{name: a}}, service: {{name: b}}, analysis: {{iterations: 10, metrics: {found}}}}}}}"
        )
        (nothing, told) = imported("flagger", path, code=3)

        assert nothing == []
        assert told.err == f"metrics: found {shown}, expected a list of mappings.\n"

    AB = (
        "{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: a}, spec: {targetRef: {name: a}, skipAnalysis: false,"
        " analysis: {iterations: 10, interval: 1m, MATCH metrics: [{name: m, templateRef: {name: m}, thresholdRange: {max: 1}}]}}}\n---\n"
        "{apiVersion: flagger.app/v1beta1, kind: MetricTemplate, metadata: {name: m}, spec: {query: up,"
        " provider: {type: prometheus, secretRef: {name: x}, insecureSkipVerify: true}}}\n"
    )

    def test_an_ab_test_by_headers_begins_with_few_users_and_says_so(self, imported, tmp_path):
        """Everybody at once would be a far harder beginning than that of the users whose requests match."""
        path = tmp_path / "canary.yaml"
        path.write_text(self.AB.replace("MATCH", "match: [{headers: {cookie: {exact: insider}}}],"))
        ((plan,), told) = imported("flagger", path)

        assert [(stage["weight"], stage["window"]) for stage in plan["spec"]["stages"]] == [(w, "10m") for w in (5, 25, 50, 100)]
        assert "an A/B test: the users whose requests match meet green: the stages 5 %, 25 %, 50 %, 100 %" in told.err

    def test_nothing_of_a_provider_is_dropped_and_what_is_off_says_nothing(self, imported, tmp_path):
        path = tmp_path / "canary.yaml"
        path.write_text(self.AB.replace("MATCH", ""))
        _, told = imported("flagger", path)

        assert "blue/green: everybody after the iterations: the stages 100 %" in told.err
        for field in ("secretRef", "insecureSkipVerify"):
            assert f"MetricTemplate m: provider.{field}: " in told.err
        assert "skipAnalysis" not in told.err

    def test_several_canaries_are_several_plans_and_other_kinds_are_named(self, imported, tmp_path):
        path = tmp_path / "two.yaml"
        one = "{{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {{name: {0}}}, spec: {{targetRef: {{name: {0}}}}}}}"
        path.write_text(f"{one.format('a')}\n---\n{one.format('b')}\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: x}}}}\n")
        plans, told = imported("flagger", path)

        assert [plan["metadata"]["name"] for plan in plans] == ["a", "b"]
        assert "Secret x: only Canary and MetricTemplate are read" in told.err

    def test_more_weights_than_a_plan_has_stages_are_thinned(self, imported, changed):
        ((plan,), _) = imported("flagger", changed("podinfo.yaml", "stepWeight: 10", "stepWeight: 1"))
        weights = [stage["weight"] for stage in plan["spec"]["stages"]]

        assert len(weights) <= 32
        assert weights[-2:] == [50, 100]


class TestArgo:
    def test_weights_and_pauses_become_stages(self, imported):
        ((plan,), _) = imported("argo", FILES / "rollout.yaml")

        assert plan["spec"]["stages"] == [
            {"weight": 5, "window": "10m"},
            {"weight": 20, "window": "2m", "hold": True},
            {"weight": 60, "window": "10m"},
            {"weight": 100, "window": "5m"},
        ]

    def test_traffic_routing_is_taken_over(self, imported):
        ((plan,), _) = imported("argo", FILES / "rollout.yaml")

        assert plan["spec"]["traffic"] == {
            "virtualServices": [{"name": "reviews-vs", "routes": ["primary"]}], "destinationRule": "reviews-dr",
        }  # fmt: skip
        assert plan["spec"]["members"] == [{"name": "reviews", "workload": "reviews", "service": "reviews-stable"}]

    def test_of_a_split_by_subsets_the_labels_that_argo_leaves_behind_are_named(self, imported):
        (_, notes) = imported("argo", FILES / "rollout.yaml")

        assert "the labels of the stable subset: Argo keeps a hash of its own there" in notes.err

    def test_a_background_analysis_is_a_trigger_and_a_check(self, imported):
        ((plan,), _) = imported("argo", FILES / "rollout.yaml")
        trigger, check = named(plan["spec"]["triggers"])["success-rate"], named(plan["spec"]["checks"])["success-rate"]

        assert (trigger["limit"], trigger["repeat"], trigger["interval"]) == ({"min": 0.9}, {"failures": 4, "of": 100}, "5m")
        assert (check["limit"], "stages" in check) == ({"min": 0.95}, False)

    def test_a_share_that_is_filled_up_as_a_whole_is_no_number_without_requests(self, imported, tmp_path):
        """With Argo such a query passes of no data; the failures alone may be missing."""
        text = (FILES / "argo/conditions.yaml").read_text()
        old = 'sum(increase(drift_total{service="{{args.service}}"}[5m])) or on() vector(0)'
        assert old in text
        path = tmp_path / "filled.yaml"
        share = (
            'sum(rate(drift_total{service="{{args.service}}"}[5m])) / sum(rate(seen_total{service="{{args.service}}"}[5m])) or vector(0)'
        )
        path.write_text(text.replace(old, share))

        (plan,), told = imported("argo", path)

        (query,) = {check["query"] for check in plan["spec"]["checks"] if "drift_total" in check.get("query", "")}
        top, below = query.split(" / ")
        assert re.fullmatch(r"\(sum\(rate\(drift_total\{.*\}\[\$window\]\)\) or vector\(0\)\)", top)
        assert re.fullmatch(r"sum\(rate\(seen_total\{.*\}\[\$window\]\)\)", below)
        assert "without requests there is no number, and never a pass" in told.err

    def test_arguments_that_name_the_canary_become_parameters_and_irate_becomes_rate(self, imported):
        ((plan,), _) = imported("argo", FILES / "rollout.yaml")
        query = named(plan["spec"]["checks"])["success-rate"]["query"]

        assert query.startswith('sum(rate(istio_requests_total{reporter="source",destination_service=~"$host",')

    def test_an_analysis_step_judges_its_stage(self, imported):
        ((plan,), _) = imported("argo", FILES / "rollout.yaml")

        assert named(plan["spec"]["checks"])["latency"]["stages"] == [60]

    def test_what_has_no_counterpart_is_named(self, imported):
        _, told = imported("argo", FILES / "rollout.yaml")

        for what in ("metric smoke: its provider is job", "step setCanaryScale", "the variable {{args.latest-hash}}", "strategy.maxSurge"):
            assert what in told.err.partition("no counterpart")[2]

    @pytest.mark.parametrize(
        ("old", "new", "sentence"),
        [
            ("setWeight: 20", "setWeight: a lot", "setWeight: found 'a lot', expected a number"),
            ("duration: 10m", "duration: ten", "pause.duration: found 'ten', expected a duration"),
            ("kind: Deployment, name", "kind: StatefulSet, name", "its workloadRef is a StatefulSet, expected a Deployment"),
            ("strategy:\n    canary:", "strategy:\n    other:", "it has neither strategy.canary nor strategy.blueGreen"),
        ],
    )
    def test_wrong_values_are_one_sentence_with_their_place(self, old, new, sentence, imported, changed):
        _, told = imported("argo", changed("rollout.yaml", old, new), code=3)

        assert sentence in told.err

    def test_without_a_namespace_any_host_of_the_canarys_service_is_greens(self, imported, changed):
        text = changed("rollout.yaml", "namespace: shop", "labels: {}")
        ((plan,), _) = imported("argo", text)

        assert 'destination_service=~"$host"' in named(plan["spec"]["checks"])["success-rate"]["query"]

    @pytest.mark.parametrize("pattern", ["latency", "lat.*", ".*"])
    def test_a_dry_run_of_the_rollouts_own_analysis_only_observes(self, pattern, imported, changed):
        text = changed("rollout.yaml", "              - templateName: by-hash\n", f"            dryRun: [{{metricName: {pattern}}}]\n")
        ((plan,), _) = imported("argo", text)

        assert named(plan["spec"]["checks"])["latency"]["observe"] is True

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("        istio:\n", "        managedRoutes: [{name: h}]\n        istio:\n", "trafficRouting.managedRoutes: routes by header"),
            ("startingStep: 2", "measurementRetention: [{metricName: a}]", "analysis.measurementRetention: every measurement"),
            (
                "Deployment, name: reviews",
                "Deployment, name: reviews, scaleDown: onsuccess",
                "workloadRef.scaleDown: the Deployment",
            ),
        ],
    )
    def test_fields_of_routing_analysis_and_reference_are_named(self, old, new, what, imported, changed):
        _, told = imported("argo", changed("rollout.yaml", old, new))

        assert what in told.err.partition("no counterpart")[2]

    def test_blue_green_is_one_stage(self, imported, tmp_path):
        path = tmp_path / "rollout.yaml"
        path.write_text(
            "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: a}, spec: {template: {}, strategy: {blueGreen:"
            " {activeService: a, previewService: a-next, autoPromotionEnabled: false}}}}"
        )
        ((plan,), told) = imported("argo", path)

        assert plan["spec"]["stages"] == [{"weight": 100, "window": "5m"}]
        assert "make a Deployment a of it" in told.err
        assert "autoPromotionEnabled: false" in told.err

    @pytest.mark.parametrize(("argument", "named_as"), [("--workload", "--workload"), ("-n", "--namespace")])
    def test_options_of_kayenta_are_refused(self, argument, named_as, imported):
        _, told = imported("argo", FILES / "rollout.yaml", code=2, more=[argument, "x"])

        assert named_as in told.err


class TestKayenta:
    def test_effect_sizes_become_ratios(self, imported):
        ((plan,), _) = imported("kayenta", FILES / "canary-config.json")
        checks = named(plan["spec"]["checks"])

        assert checks["error-rate"]["limit"] == {"maxRatio": 1.5}
        assert checks["cpu"]["limit"] == {"maxRatio": 1.2, "minRatio": 0.8}

    def test_what_more_requests_make_larger_is_compared_where_both_versions_have_as_many(self, imported, changed):
        """Of a sum of errors green has a nineteenth at 5 %, and at 100 % twice as many as blue when it was last judged."""
        divided = ' / sum(rate(http_requests_total{app=\\"${scope}\\",namespace=\\"${location}\\"}[5m]))'
        for path, stages in ((FILES / "canary-config.json", None), (changed("canary-config.json", divided, ""), [50])):
            ((plan,), told) = imported("kayenta", path)
            checks = named(plan["spec"]["checks"])

            assert (checks["error-rate"].get("stages"), checks["cpu"].get("stages")) == (stages, None)
            assert ("metric Error rate: more requests make it larger: compared at 50 % alone" in told.err) is bool(stages)

    def test_scope_and_location_become_parameters(self, imported):
        ((plan,), _) = imported("kayenta", FILES / "canary-config.json")
        checks = named(plan["spec"]["checks"])

        assert 'http_errors_total{app="$workload",namespace="$namespace"}[$window]' in checks["error-rate"]["query"]
        assert checks["cpu"]["query"] == 'avg_over_time((avg(cpu_usage{pod=~"$workload-.*"}))[$window:1m])'

    def test_a_namespace_and_single_quotes_as_pipelines_write_them(self, imported, changed):
        text = changed("canary-config.json", 'pod=~\\"${scope}-.*\\"', "ns='${namespace}',pod='${scope}'")
        ((plan,), _) = imported("kayenta", text)

        assert (
            named(plan["spec"]["checks"])["cpu"]["query"] == "avg_over_time((avg(cpu_usage{ns='$namespace',pod='$workload'}))[$window:1m])"
        )

    def test_the_command_line_says_what_moves(self, imported):
        more = ["--workload", "shop", "--virtual-service", "shop-routes", "-n", "prod"]
        ((plan,), told) = imported("kayenta", FILES / "canary-config.json", more=more)

        assert (plan["spec"]["workload"], plan["spec"]["traffic"], plan["metadata"]["namespace"]) == (
            "shop", {"virtualService": "shop-routes"}, "prod",
        )  # fmt: skip
        assert "is a guess" not in told.err

    def test_groups_scores_and_other_sources_are_named(self, imported):
        _, told = imported("kayenta", FILES / "canary-config.json")

        for what in ("groupWeights errors 60, saturation 40", "scoreThresholds 95 and 75", "metric depth: its query is of stackdriver"):
            assert what in told.err.partition("no counterpart")[2]

    def test_the_judge_itself_is_kept_on_demand(self, imported):
        ((plan,), told) = imported("kayenta", FILES / "canary-config.json", more=["--keep-judge", "--workload", "shop"])
        (check,) = plan["spec"]["checks"]

        assert (check["method"], check["stages"]) == ("kayenta", [50])
        assert check["kayenta"]["groupWeights"] == {"errors": 60, "saturation": 40}
        assert check["kayenta"]["metrics"][0]["effectSize"] == {"allowedIncrease": 1.5, "criticalIncrease": 3}
        assert check["kayenta"]["metrics"][1] == {
            "name": "cpu", "query": 'avg(cpu_usage{pod=~"$workload-.*"})', "groups": ["saturation"], "outliers": {"strategy": "remove"},
            "mustHaveData": True,
        }  # fmt: skip
        assert "metric depth: its query is of stackdriver" in told.err.partition("no counterpart")[2]

    def test_a_weight_of_a_group_that_is_not_left_is_named(self, imported, changed):
        path = changed("canary-config.json", '"saturation": 40', '"saturation": 30, "depth": 10')
        ((plan,), told) = imported("kayenta", path, more=["--keep-judge"])

        assert plan["spec"]["checks"][0]["kayenta"]["groupWeights"] == {"errors": 60, "saturation": 30}
        assert "groupWeights depth: no metric of this group is left" in told.err

    def test_the_judge_can_be_kept_of_kayenta_alone(self, imported):
        _, told = imported("flagger", FILES / "podinfo.yaml", code=2, more=["--keep-judge"])

        assert "--keep-judge are for kayenta" in told.err

    def test_another_judge_is_refused(self, imported, changed):
        _, told = imported("kayenta", changed("canary-config.json", "NetflixACAJudge-v1.0", "dredd-v1.0"), code=3)

        assert re.fullmatch(r'.+\.json: the judge "dredd-v1.0" is not known here; NetflixACAJudge-v1.0 is\.\n', told.err)


class TestConditions:
    @pytest.mark.parametrize(
        ("text", "limit"),
        [
            ("result[0] >= 0.95", {"min": 0.95}),
            ("0.95 <= result[0]", {"min": 0.95}),
            ("result < 5", {"below": 5}),
            ("asFloat(result[0]) <= 1e-3", {"max": 0.001}),
            ("result[0] >= 1 && result[0] <= 2", {"min": 1, "max": 2}),
            ("(result[0] >= 1) and (result[0] <= 2)", {"min": 1, "max": 2}),
            ("result[0] > 1", {"min": 1.0000000000000002}),
            ("len(result) > 0 && result[0] > 0", {"min": 1e-9}),
            ("asInt(result[0]) <= 5", {"below": 6}),
            ("asInt(result[0]) < 5", {"below": 5}),
            ("asInt(result[0]) > 0", {"min": 1}),
            ("asInt(result[0]) >= 2", {"min": 2}),
            ("asInt(result[0]) == 3", {"min": 3, "below": 4}),
            ("result[0] == 1", {"min": 1, "max": 1}),
            ("all(result, {# < 5})", {"below": 5}),
            ("all(result, # < 5)", {"below": 5}),
            ("len(result) > 0 && result[0] < 5", {"below": 5}),
            ("!isNaN(result[0]) && result[0] < 5", {"below": 5}),
            ("len(result) == 1 && !isNaN(result[0]) && !isInf(result[0]) && result[0] >= 0.95", {"min": 0.95}),
            ("result[0] == 0 || result[0] < 0.01", {"below": 0.01}),
            ("result[0] < 5 || (result[0] >= 1 && result[0] <= 2)", {"below": 5}),
            ('len(result) > 0 && result[0] <= asFloat("0.7")', {"max": 0.7}),
            ("result[0] <= asInt('7')", {"max": 7}),
            ("result[0] >= .95", {"min": 0.95}),
            ("result[0] != nil && result[0] < 5", {"below": 5}),
        ],
    )
    def test_a_success_becomes_limits(self, text, limit):
        assert success(text).limit == limit

    @pytest.mark.parametrize(
        "text",
        [
            "len(result) == 0 || result[0] < 5", "isNaN(result[0]) || result[0] < 5", "(result == nil || result[0] < 5)",
            "default(result[0], 0) < 5", "default(result, 4) <= 4 && result[0] >= 1", "result[0] == nil || result[0] < 5",
        ],
    )  # fmt: skip
    def test_missing_data_that_passed_is_seen(self, text):
        assert success(text).absent_passed

    def test_a_default_that_fails_makes_missing_data_no_pass(self):
        assert not success("default(result[0], 0) > 0.9").absent_passed
        assert failure("default(result[0], 0) < 0.9").limit == {"min": 0.9}

    @pytest.mark.parametrize(
        ("text", "limit"),
        [
            ("result[0] >= 5", {"below": 5}),
            ("result[0] > 5", {"max": 5}),
            ("result[0] < 0.9", {"min": 0.9}),
            ("result[0] > 5 || result[0] < 1", {"max": 5, "min": 1}),
            ("len(result) == 0 || result[0] > 5", {"max": 5}),
            ("len(result) != 1 || result[0] != 1", {"min": 1, "max": 1}),
        ],
    )
    def test_a_failure_becomes_its_opposite(self, text, limit):
        assert failure(text).limit == limit

    @pytest.mark.parametrize(
        "text",
        [
            "result[0] < 5 || result[1] < 5", "result[0] < result[1]", "result.ok", "true", "", "result[0] < 5 && result[0] < 6",
            "any(result, {# < 5})", "result[0] < 5 || result[0] > 9",
            "asInt(result[0]) <= 4.5", "asInt(result[0]) < 0", "asInt(result) == 0", "result[0] != 3", "result[0] < asFloat(result[1])",
        ],
    )  # fmt: skip
    def test_what_is_no_limit_is_refused_as_a_whole(self, text):
        with pytest.raises(ConditionError):
            success(text)

    @pytest.mark.parametrize("text", ["len(result) == 0 || result[0] > 5", "default(result[0], 9) > 5"])
    def test_missing_data_that_failed_is_seen(self, text):
        assert failure(text).absent_failed
        assert success("!isNaN(result[0]) && result[0] < 5").absent_failed

    def test_a_condition_for_every_series_is_seen(self):
        assert success("all(result, # < 5)").several
        assert failure("any(result, # > 5)") == Condition({"max": 5}, several=True)

    @pytest.mark.parametrize("text", ["result[0] > 5 && result[0] < 9", "result[0] == 5", "asInt(result) != 3"])
    def test_a_failure_that_is_no_limit_is_refused_as_a_whole(self, text):
        with pytest.raises(ConditionError):
            failure(text)

    @pytest.mark.parametrize(
        ("good", "bad", "limit"),
        [
            ("result[0] <= 0.05", "result[0] > 0.005", {"max": 0.005}),
            ("result[0] <= 0.05", "result[0] >= 0.05", {"below": 0.05}),
            ("result[0] >= 0.99", "result[0] < 0.95", {"min": 0.99}),
            ("result[0] < 5", "result[0] < 1", {"min": 1, "below": 5}),
        ],
    )
    def test_both_hold_where_the_success_does_and_the_failure_does_not(self, good, bad, limit):
        assert both(success(good), failure(bad)) == limit

    def test_a_failure_of_everything_that_succeeds_is_refused(self):
        with pytest.raises(ConditionError, match="nothing that its successCondition lets pass"):
            both(success("result[0] > 5"), failure("result[0] > 3"))


class TestQueries:
    def test_a_lone_dollar_is_doubled(self):
        assert with_parameters('up{pod=~"a$"}', {}) == 'up{pod=~"a$$"}'

    @pytest.mark.parametrize("query", ['up{a="{{ b }}"}', "up{{ target }}", "rate(up[{{ interval }}]) offset {{ interval }}", "sum(up"])
    def test_what_cannot_be_asked_is_refused(self, query):
        with pytest.raises(QueryError):
            with_parameters(query, {"target": "$workload", "interval": "$window"})

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("rate(a[5m])", ("rate(a[$window])", "5m")),
            ("rate(a[5m]) / rate(b[5m])", ("rate(a[$window]) / rate(b[$window])", "5m")),
            ("rate(a[5m]) / rate(b[1h])", ("rate(a[5m]) / rate(b[1h])", "")),
            ("max_over_time(rate(a[5m])[1h:1m])", ("max_over_time(rate(a[5m])[1h:1m])", "")),
            ("a", ("a", "")),
        ],
    )
    def test_one_fixed_range_becomes_the_window(self, query, found):
        assert ranged(query) == found
