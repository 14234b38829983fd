"""`penstock import` over files as the other tools' users write them, rarer fields included: nothing is dropped in silence."""

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from controller.api.validate import validate_text
from controller.api.validate_yaml import LOADER
from controller.cli.main import run
from tests.sizes import most_telling, size

FILES = Path(__file__).parent / "imports"
EVERY = sorted(path for tool in ("argo", "flagger", "kayenta") for path in (FILES / tool).iterdir())
EVERY_PLACE = size(6, 1)
"""A field that nothing reads is put into each sixth mapping of a file, thoroughly into each one; which ones differs from file to file."""

OPAQUE = {
    # Named as a whole, or nothing that anybody judges by.
    "metadata", "service", "match", "webhooks", "alerts", "sessionAffinity", "autoscalerRef", "ingressRef", "secretRef",
    "secretKeyRef", "headers",
    "template", "selector", "rollbackWindow", "canaryMetadata", "activeMetadata", "antiAffinity", "pingPong", "alb", "nginx",
    "managedRoutes",
    "setCanaryScale", "setHeaderRoute", "setMirrorRoute", "plugin", "experiment", "prePromotionAnalysis", "measurementRetention",
    "templateVariables",
}  # fmt: skip
"""Mappings whose own fields are not looked at, because the field above them is named."""


@pytest.fixture
def imported(capsys):
    def ask(path, *more, code=0):
        assert run(["import", path.parent.name, str(path), *more]) == code
        told = capsys.readouterr()
        return list(yaml.load_all(told.out, Loader=LOADER)), told

    return ask


def named(parts):
    return {part["name"]: part for part in parts}


def mappings(found, path=()):
    """Every mapping whose fields somebody reads."""
    if isinstance(found, dict) and found.get("kind") != "List":
        yield path
    for key in found if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ():
        if key not in OPAQUE:
            yield from mappings(found[key], (*path, key))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: f"{path.parent.name}-{path.stem}")
class TestEveryFile:
    def test_its_plans_are_valid(self, path, imported):
        _, told = imported(path)

        for text in told.out.split("---\n"):
            assert [str(finding) for finding in validate_text(text) if finding.severity == "error"] == []

    def test_a_field_that_nothing_reads_is_named_wherever_it_stands(self, path, imported, tmp_path):
        """Metrics that are refused as a whole are named as a whole."""
        whole = list(yaml.load_all(path.read_text(), Loader=LOADER))
        _, before = imported(path)
        for place in list(mappings(whole))[EVERY.index(path) % EVERY_PLACE :: EVERY_PLACE]:
            documents = deepcopy(whole)
            holder = documents
            for key in place:
                holder = holder[key]
            holder["mystery"] = 7
            odd = tmp_path / path.parent.name / path.name
            odd.parent.mkdir(exist_ok=True)
            odd.write_text(json.dumps(documents[0]) if path.suffix == ".json" else yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
            _, told = imported(odd)

            assert "mystery" in told.err or self.is_refused(place, whole, before.err), place

    @staticmethod
    def is_refused(place, whole, talk):
        """Whether it stands in a metric or template that is not in the plan, and the list says so."""
        holder, names = whole, []
        for key in place:
            holder = holder[key]
            if isinstance(holder, dict):
                names += [holder.get("name"), (holder.get("metadata") or {}).get("name"), (holder.get("templateRef") or {}).get("name")]
        refused = talk.partition("no counterpart")[2]
        words = [f"metric {name}: " for name in names] + [f"/{name}: only" for name in names] + [f" {name}: only" for name in names]
        return any(word in refused for word in (*words, *(f".{key}: " for key in place), *(f" {key}: " for key in place)))


class TestArgo:
    def test_an_argument_means_what_the_label_around_it_means(self, imported):
        """`ns` and `app` have one value, the name of the namespace, the workload and the stable Service."""
        ((plan,), _) = imported(FILES / "argo" / "background.yaml")

        assert '{namespace="$namespace",pod=~"$workload-[0-9a-z]+-[0-9a-z]+"}' in named(plan["spec"]["checks"])["restarts"]["query"]

    def test_fields_of_a_metric_have_arguments_and_the_rollouts_own_labels_too(self, imported):
        ((plan,), _) = imported(FILES / "argo" / "background.yaml")
        trigger = named(plan["spec"]["triggers"])["success-rate"]

        assert (trigger["interval"], trigger["limit"]) == ("2m", {"min": 0.95})
        assert 'region="eu"' in named(plan["spec"]["checks"])["queue"]["query"]

    def test_the_same_weight_again_is_the_same_stage_with_its_person(self, imported):
        ((plan,), _) = imported(FILES / "argo" / "background.yaml")

        assert plan["spec"]["stages"][:2] == [{"weight": 5, "window": "10m", "hold": True}, {"weight": 40, "window": "10m"}]

    def test_a_negative_failure_limit_observes(self, imported):
        ((plan,), told) = imported(FILES / "argo" / "background.yaml")

        assert named(plan["spec"]["triggers"])["queue"]["observe"] is True
        assert "metric queue: failureLimit -1: observe: true" in told.err

    def test_a_version_that_a_query_names_itself_is_said(self, imported):
        _, told = imported(FILES / "argo" / "inline.yaml")

        assert "metric against-stable: it names reviews-stable itself" in told.err.partition("no counterpart")[2]

    def test_a_virtual_service_of_another_namespace_is_found_by_its_dot(self, imported):
        ((plan,), _) = imported(FILES / "argo" / "background.yaml")

        assert plan["spec"]["traffic"]["virtualServices"] == [
            {"name": "guestbook", "namespace": "edge", "routes": ["primary"]}, {"name": "guestbook-inside", "namespace": "inside"},
        ]  # fmt: skip

    def test_weights_of_a_thousand_become_percent_and_a_lost_person_is_named(self, imported):
        ((plan,), told) = imported(FILES / "argo" / "other-routing.yaml")

        assert [stage["weight"] for stage in plan["spec"]["stages"]] == [2, 25, 100]
        assert "weight 10: weights rise from stage to stage" in told.err
        assert "left out, with the person who was waited for there" in told.err

    def test_of_a_metric_that_is_refused_only_that_is_said(self, imported):
        _, told = imported(FILES / "argo" / "inline.yaml")

        assert {line for line in told.err.splitlines() if "metric two-things" in line} == {
            "    metric two-things: 'result[0] > 5 && result[1] > 5' needs several things at once, and crossing one limit fails"
        }


class TestArgoInTheWild:
    def test_a_check_fails_what_either_condition_fails_and_only_a_gap_is_called_one(self, imported):
        (plan,), told = imported(FILES / "argo" / "conditions.yaml")
        checks = named(plan["spec"]["checks"])

        assert checks["typo-in-the-failure"]["limit"] == {"max": 0.005}
        assert checks["complements"]["limit"] == {"below": 0.05}
        assert "metric typo-in-the-failure: a failure within what succeeds: the check, too, fails" in told.err
        assert re.findall(r"metric (\S+): between success and failure", told.err) == ["gap"]

    def test_a_count_keeps_its_range_and_a_share_is_asked_of_the_window(self, imported):
        (plan,), told = imported(FILES / "argo" / "conditions.yaml")
        checks = named(plan["spec"]["checks"])

        assert 'increase(drift_total{service="$service"}[5m])' in checks["counted"]["query"]
        assert checks["complements"]["query"].count("[$window]") == 2
        assert "metric counted: its range: it stays" in told.err
        assert "write rate(...[$window]) and a limit a second" in told.err

    def test_behind_a_switch_the_active_service_is_greens(self, imported):
        (plan,), _ = imported(FILES / "argo" / "switch.yaml")

        assert plan["spec"]["checks"][0]["query"] == 'sum(rate(errors_total{service="$service"}[$window]))'


class TestFlagger:
    def test_a_count_keeps_the_metrics_own_interval(self, imported):
        (plan,), _ = imported(FILES / "flagger" / "nginx.yaml")

        assert named(plan["spec"]["checks"])["errors"]["query"] == 'sum(increase(app_errors_total{workload="$workload"}[2m]))'
        assert named(plan["spec"]["triggers"])["errors"]["range"] == "2m"
        assert named(plan["spec"]["checks"])["restarts"]["query"].endswith("[$window]))")  # none is none in any range

    def test_what_the_provider_averaged_is_said_beside_p99(self, imported):
        _, told = imported(FILES / "flagger" / "nginx.yaml")

        assert "metric request-duration of nginx, an average: p99 is asked here, which is larger" in told.err
        assert "a look without data, which failed: it holds the release" in told.err
        assert told.err.count("the pattern pod=~$workload-.*") == 1

    def test_pods_of_the_primary_are_no_question_either(self, imported):
        (plan,), told = imported(FILES / "flagger" / "nginx.yaml")

        assert "compared" not in named(plan["spec"]["checks"])
        assert "metric compared: it asks {{ target }}-primary, the serving version" in told.err

    def test_the_last_step_is_the_first_one_that_reaches_the_largest_weight(self, imported):
        ((plan,), _) = imported(FILES / "flagger" / "istio.yaml")

        assert [stage["weight"] for stage in plan["spec"]["stages"]] == [20, 40, 60, 100]

    def test_iterations_come_before_weights(self, imported):
        ((plan,), told) = imported(FILES / "flagger" / "ab-test.yaml")

        assert [stage["weight"] for stage in plan["spec"]["stages"]] == [5, 25, 50, 100]
        assert "analysis.stepWeight: Flagger itself does not look at it" in told.err

    def test_a_threshold_of_nothing_is_one_failure(self, imported):
        ((plan,), told) = imported(FILES / "flagger" / "ab-test.yaml")

        assert all("repeat" not in trigger for trigger in plan["spec"]["triggers"])
        assert "threshold 0: each metric is a trigger that fails at its first failure" in told.err

    def test_greens_service_is_its_own_name_here_and_the_primary_is_no_question(self, imported):
        ((plan,), told) = imported(FILES / "flagger" / "istio.yaml")

        assert 'service="$service"' in named(plan["spec"]["checks"])["green-service"]["query"]
        assert "metric against-primary: it asks {{ target }}-primary, the serving version" in told.err

    def test_a_metric_without_an_interval_looks_at_a_minute(self, imported):
        ((plan,), _) = imported(FILES / "flagger" / "step-weights.yaml")

        assert named(plan["spec"]["triggers"])["by-name"]["range"] == "1m"

    def test_an_unknown_variable_is_no_part_of_a_query(self, imported):
        _, told = imported(FILES / "flagger" / "step-weights.yaml")

        assert "metric by-route: the variable {{ route }} has no counterpart" in told.err


class TestKayenta:
    def test_a_metric_of_machines_is_refused(self, imported):
        _, told = imported(FILES / "kayenta" / "machines.json")

        assert "metric cpu: its resourceType gce_instance selects machines by their names" in told.err
        assert "metric load: no ${scope} in its query" in told.err

    def test_a_pattern_that_matches_both_versions_is_said(self, imported):
        """`shop-.*` is true of the pods of shop-green, too."""
        _, told = imported(FILES / "kayenta" / "machines.json")

        assert "metric with a filter: the pattern instance=~$workload-.*: that of one version matches the other's" in told.err
        assert "metric memory: the pattern" not in imported(FILES / "kayenta" / "full.json")[1].err

    def test_a_comment_in_a_query_without_a_range_does_not_swallow_its_end(self, imported, tmp_path):
        text = (FILES / "kayenta" / "full.json").read_text().replace("'${scope}-[0-9a-z]+-[0-9a-z]+'}", "'${scope}-x'} # of the pods")
        path = tmp_path / "kayenta" / "commented.json"
        path.parent.mkdir()
        path.write_text(text.replace('"{pod=', '"PromQL:memory_bytes{pod='))
        ((plan,), _) = imported(path)

        assert named(plan["spec"]["checks"])["memory"]["query"].endswith("# of the pods\n)[$window:1m])")

    def test_the_judge_is_not_kept_without_anything_to_judge(self, imported):
        plans, told = imported(FILES / "kayenta" / "many-sources.json", "--keep-judge", code=3)

        assert plans == []
        assert told.err.startswith("The judge would have no metric (stackdriver: its query is of stackdriver")

    def test_without_a_metric_the_checks_that_judge_are_the_ones_that_are_named(self, imported):
        ((plan,), told) = imported(FILES / "kayenta" / "many-sources.json")

        assert "checks" not in plan["spec"]
        assert (
            "no metric that could be translated: the default checks judge: at every scrape errors and slow requests against blue"
            in told.err
        )

    def test_the_weight_of_a_group_that_could_not_be_asked_goes_to_the_others(self, imported):
        """Else no score could pass."""
        ((plan,), told) = imported(FILES / "kayenta" / "retrospective.json", "--keep-judge")

        assert plan["spec"]["checks"][0]["kayenta"]["groupWeights"] == {"reliability": 100}
        assert "groupWeights latency: no metric of this group is left; the others have its weight in proportion" in told.err

    def test_every_critical_size_is_named(self, imported):
        _, told = imported(FILES / "kayenta" / "full.json")

        assert "metric errors: criticalIncrease 3: " in told.err
        assert "metric throughput: criticalDecrease 0.5: " in told.err


WORLD = """
{apiVersion: apps/v1, kind: Deployment, metadata: {name: NAME, namespace: default}, spec: {replicas: 2, selector:
 {matchLabels: &labels {app: NAME, version: v1}}, template:
 {metadata: {labels: *labels}, spec: {containers: [{name: app, image: "registry.example/app:1"}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: NAME, namespace: default}, spec: {selector: {app: NAME, version: v1}, ports: [{port: 80}]}}
---
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: NAME, namespace: default},
 spec: {hosts: [NAME], http: [{route: [{destination: {host: NAME}}]}]}}
"""
SCENARIO = """
{name: moved, about: The imported plan releases a healthy green., plan: plan.yaml, world: world.yaml,
 release: {revision: v2, images: {NAME: "registry.example/app:2"}}, users: [{host: NAME.default.svc.cluster.local, rps: 50}],
 versions: [{errors: 0.001, latency: {p50: 40, p99: 180}}], expect: {phase: Succeeded, within: 2h}}
"""


@pytest.mark.parametrize("name", most_telling("flagger/grpc.yaml", of=["flagger/grpc.yaml", "argo/other-routing.yaml"]))
def test_an_imported_plan_releases_a_healthy_version_in_the_simulator(name, imported, tmp_path, capsys):
    *_, plan = imported(FILES / name)[0]
    plan["metadata"]["namespace"] = "default"
    (tmp_path / "plan.yaml").write_text(yaml.dump(plan))
    for file, text in (("world.yaml", WORLD), ("scenario.yaml", SCENARIO)):
        (tmp_path / file).write_text(text.replace("NAME", plan["spec"]["workload"]))

    code = run(["simulate", str(tmp_path / "scenario.yaml")])

    assert code == 0, capsys.readouterr().out
