"""Every error of a file at once: where it is, what was found, what was expected, what to do."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from controller.api.validate import MAX_BYTES, Finding, plan_findings, validate_file, validate_text
from controller.cli.validate import scenario_rules

ROOT = Path(__file__).resolve().parents[2]
FIRST = ROOT / "examples" / "first-release"
HEAD = "apiVersion: penstock.dev/v1alpha1\nkind: ReleasePlan\nmetadata: {name: shop, namespace: shop}\nspec:\n"
GOOD = HEAD + "  workload: shop\n  traffic: {virtualService: shop}\n"


def findings(body: str, good: str = GOOD) -> dict[str, Finding]:
    """By path; of two of one path the first counts."""
    out: dict[str, Finding] = {}
    for one in validate_text(good + body):
        out.setdefault(one.path, one)
    return out


def only(body: str) -> Finding:
    found = validate_text(GOOD + body)
    assert len(found) == 1, found
    return found[0]


def test_the_ten_line_plan_has_nothing_to_say():
    assert validate_text(GOOD) == []


@pytest.mark.parametrize(("field", "value"), [("name", "Shop_X"), ("name", "7"), ("namespace", "a b")])
def test_a_name_that_the_api_server_would_refuse_is_an_error(field, value):
    found = validate_text(GOOD.replace(f"{field}: shop", f"{field}: {value}", 1))

    assert [(one.severity, one.path) for one in found] == [("error", f"metadata.{field}")]


@pytest.mark.parametrize(
    "limit", ["min: 5, max: 1", "min: 5, below: 5", "minRatio: 2, maxRatio: 1", "minDifference: 2, maxDifference: 1"], ids=str
)
def test_limits_that_no_number_can_keep_are_an_error(limit):
    one = only(f"  checks: [{{name: a, builtin: error-rate, limit: {{{limit}}}}}]\n")

    assert (one.severity, one.path) == ("error", "spec.checks[0].limit")
    assert "no number is both" in one.hint


@pytest.mark.parametrize(
    ("asked", "warned"),
    [
        ("builtin: request-rate, limit: {minRatio: 0.8}", True),
        ("builtin: cpu, limit: {maxRatio: 1.2}", True),
        ("builtin: cpu, limit: {maxRatio: 1.2}, stages: [50]", False),
        ("builtin: cpu, limit: {max: 80}", False),
        ("builtin: memory, limit: {maxRatio: 1.2}", False),
        ("builtin: latency, limit: {maxRatio: 1.2}", False),
        ("builtin: error-rate, limit: {maxRatio: 1.2}", False),
        ("builtin: success-rate, limit: {minRatio: 0.9}", False),
        ("builtin: [cpu], limit: {maxRatio: 1.2}", False),
    ],
)
def test_a_built_in_number_that_more_requests_make_larger_is_compared_at_equal_weights(asked, warned):
    """At 5 % green has a nineteenth of blue's requests: a healthy one would go back, or a sick one pass."""
    found = [one for one in validate_text(f"{GOOD}  checks: [{{name: a, {asked}}}]\n") if "more requests make larger" in one.found]

    assert [one.path for one in found] == ["spec.checks[0].builtin"] * warned


def test_a_trigger_which_has_no_stages_is_not_told_to_name_some():
    one = only("  triggers: [{name: a, builtin: request-rate, limit: {minRatio: 0.8}}]\n")

    assert (one.path, one.expected) == ("spec.triggers[0].builtin", "a share of the requests, or a check with stages: [50]")


def test_a_bypass_rule_is_for_a_header_or_for_a_cookie():
    routes = "  traffic: {virtualServices: [{name: shop, bypass: [{route: a, header: h, cookie: c}]}]}\n"
    (one,) = validate_text(HEAD + "  workload: shop\n" + routes)

    assert (one.severity, one.path, one.found) == ("error", "spec.traffic.virtualServices[0].bypass[0]", "header and cookie")


class TestShapes:
    def test_an_unknown_field_is_answered_with_the_nearest_name(self):
        one = only("  concurency: queue\n")

        assert one.line == 7
        assert one.found == "the unknown field 'concurency'"
        assert one.hint == "did you mean 'concurrency'?"

    def test_a_field_has_one_name_the_one_on_the_wire(self):
        """What the API server would refuse, or drop without a word."""
        one = findings("  stages: [{weight: 100, warm_up: 30s}]\n")["spec.stages[0].warm_up"]

        assert (one.severity, one.hint) == ("error", "did you mean 'warmUp'?")

    @pytest.mark.parametrize("kind", ["{a: 1}", "[ReleasePlan]"])
    def test_a_kind_that_is_no_text_is_named_like_an_unknown_one(self, kind):
        found = validate_text(f"apiVersion: penstock.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\n")

        assert [one.path for one in found] == ["kind"]

    def test_a_limit_whose_name_is_a_number_is_an_unknown_field(self):
        assert "expected one of max" in str(findings("  checks: [{name: a, builtin: cpu, limit: {1: 2}}]\n")["spec.checks[0].limit.1"])

    def test_a_text_is_no_number(self):
        one = findings('  stages: [{weight: "5"}, {weight: 100}]\n')["spec.stages[0].weight"]

        assert (one.found, one.expected) == ("'5'", "a whole number")

    @pytest.mark.parametrize("value", ["30", "-5m", "5 minutes", '""', "300.0", "-2.5", "1e308"])
    def test_a_duration_needs_its_unit_and_is_not_negative(self, value):
        one = findings(f"  stages: [{{weight: 100, window: {value}}}]\n")["spec.stages[0].window"]

        assert one.expected == "a duration with its unit, such as 30s, 5m, 1h30m"

    def test_a_limit_without_a_number_names_those_there_are(self):
        one = findings("  checks: [{name: a, builtin: cpu, limit: {}}]\n")["spec.checks[0].limit"]

        assert one.expected.startswith("at least one of max, min, below")

    def test_a_limit_that_is_not_a_number_is_said_so(self):
        assert findings("  checks: [{name: a, builtin: cpu, limit: {max: .nan}}]\n")["spec.checks[0].limit.max"].found == "nan"

    def test_a_key_that_stands_twice_is_not_lost_silently(self):
        one = only("  workload: other\n")

        assert (one.path, one.line, one.found) == ("spec.workload", 7, "the key 'workload' a second time")

    def test_text_that_is_not_yaml_has_its_place(self):
        found = validate_text("kind: ReleasePlan\nspec: [1, 2\n")

        assert [one.expected for one in found] == ["YAML"]
        assert found[0].line >= 2

    @pytest.mark.parametrize(
        ("text", "line", "found"),
        [
            ("kind: ReleasePlan\nmetadata:\n\tname: shop\n", 3, "a tab in front of the first word"),
            ("kind: ReleasePlan\nmetadata:\n  name: {{ .Release.Name }}\n", 3, "a template, `{{`, that was not rendered"),
            ("{{- if .Values.canary }}\nkind: ReleasePlan\n{{- end }}\n", 1, "a template, `{{`, that was not rendered"),
            (GOOD.encode("utf-16-le").decode(), 1, "text that is not YAML (unacceptable character"),
            ("a: " + "[" * 3000 + "]" * 3000, 1, "brackets in brackets, deeper than can be read"),
        ],
    )
    def test_what_people_feed_it_by_mistake_has_a_name(self, text, line, found):
        """Instead of the words of the parser, which knows neither Helm nor editors."""
        one = validate_text(text)

        assert [(f.line, f.found[: len(found)]) for f in one] == [(line, found)]

    def test_a_file_in_utf_16_says_how_to_save_it(self):
        assert validate_text(GOOD.encode("utf-16-le").decode())[0].hint == "save the file as UTF-8"

    def test_all_errors_come_at_once_in_the_order_of_the_file(self):
        checks = "  checks: [{name: a, builtin: nope, limit: {max: 1}}]\n"
        found = validate_text(GOOD + "  stages: [{weight: 50}, {weight: 20, window: 5}]\n" + checks + "  nope: 1\n")

        assert [one.line for one in found] == sorted(one.line for one in found)
        assert {one.path for one in found} >= {"spec.stages[1].weight", "spec.stages[1].window", "spec.checks[0].builtin", "spec.nope"}

    def test_several_documents_are_all_looked_at(self):
        release = "apiVersion: penstock.dev/v1alpha1\nkind: Release\nmetadata: {name: r}\nspec: {plan: shop, revision: V2}\n"

        assert [(one.document, one.path) for one in validate_text(GOOD + "---\n" + release)] == [(2, "spec.revision")]


class TestEnvelope:
    def test_a_list_is_looked_at_item_by_item(self):
        """As `kubectl get releaseplans -o yaml` writes them: each error has its line, and its place in the list."""
        items = "".join(f"- {line}" if i == 0 else f"  {line}" for i, line in enumerate(GOOD.splitlines(keepends=True)))
        bad = items.replace("name: shop,", "name: other,") + "    concurency: queue\n"
        listed = f"apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n{items}{bad}"

        found = validate_text(listed)

        assert [(one.path, one.line, one.hint) for one in found] == [("items[1].spec.concurency", 17, "did you mean 'concurrency'?")]
        assert validate_text(listed.replace("    concurency: queue\n", "")) == []
        assert "a second time" in validate_text(f"kind: List\nitems:\n{items}{items}")[0].found

    def test_a_list_of_others_objects_has_nothing_of_ours(self):
        listed = "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Service, metadata: {name: a}}]\n"

        assert [one.found for one in validate_text(listed)] == ["nothing of Penstock's"]
        assert [one.found for one in validate_text("apiVersion: v1\nkind: List\nitems: []\n")] == ["nothing of Penstock's"]

    def test_a_newer_version_of_the_api_is_refused(self):
        one = next(one for one in validate_text(GOOD.replace("v1alpha1", "v2")) if one.path == "apiVersion")

        assert "use a newer one" in one.hint

    @pytest.mark.parametrize("name", ["shop.web", "s" * 64])
    def test_a_plan_that_no_release_could_name_is_refused(self, name):
        """The API server takes such a plan, and then no Release of it."""
        one = validate_text(GOOD.replace("name: shop", f"name: {name}", 1))

        assert [(f.path, f.hint) for f in one] == [("metadata.name", "no release could name this plan")]

    def test_an_object_that_a_file_has_twice_is_not_lost_silently(self):
        """Whoever applies the file keeps the second one."""
        other = GOOD.replace("name: shop", "name: cart", 1)

        assert [(f.document, f.path, f.found) for f in validate_text(f"{GOOD}---\n{other}---\n{GOOD}")] == [
            (3, "metadata.name", "ReleasePlan 'shop' a second time")
        ]

    def test_an_unknown_kind_of_ours_is_named(self):
        assert "kind" in {one.path for one in validate_text(GOOD.replace("ReleasePlan", "ReleaseFlan"))}

    def test_objects_of_others_are_let_through(self):
        assert validate_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n" + GOOD) == []

    def test_a_file_with_nothing_of_ours_is_said_so(self):
        assert validate_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")[0].found == "nothing of Penstock's"

    def test_a_file_of_more_than_a_megabyte_is_refused_unread(self, tmp_path):
        path = tmp_path / "plan.yaml"
        path.write_text(GOOD + "# " + "x" * MAX_BYTES)

        assert [one.expected for one in validate_file(path)] == ["at most 1,000,000"]

    def test_bytes_that_are_no_text_are_refused(self, tmp_path):
        path = tmp_path / "plan.yaml"
        path.write_bytes(b"\xff\xfe\x00")

        assert [one.expected for one in validate_file(path)] == ["UTF-8"]


class TestRulesAcrossFields:
    def test_weights_rise_strictly_and_end_at_100(self):
        found = findings("  stages: [{weight: 50}, {weight: 50}, {weight: 90}]\n")

        assert found["spec.stages[1].weight"].expected == "strictly rising weights"
        assert found["spec.stages[2].weight"].expected == "100"

    def test_a_weight_beyond_100_is_refused(self):
        assert findings("  stages: [{weight: 5}, {weight: 120}]\n")["spec.stages[1].weight"].severity == "error"

    @pytest.mark.parametrize("section", ["checks", "triggers"])
    def test_names_are_unique(self, section):
        body = f"  {section}: [{{name: a, builtin: up, limit: {{min: 1}}}}, {{name: a, builtin: up, limit: {{min: 1}}}}]\n"

        assert findings(body)[f"spec.{section}[1].name"].found == "the name 'a' a second time"

    def test_a_workload_and_a_virtual_service_stand_in_a_plan_once(self):
        """Two members that are one Deployment would each give it their image, and of two entries the second would be lost."""
        found = findings("  members: [{name: a, workload: cart}, {name: b, workload: cart}, {name: c, workload: shop}]\n")
        routes = "  traffic: {virtualServices: [{name: a}, {name: a, namespace: b}, {name: a}, {name: a, namespace: b}]}\n"
        twice = findings(routes, HEAD + "  workload: shop\n")

        assert [one for one in found if one.startswith("spec.members")] == ["spec.members[1].workload", "spec.members[2].workload"]
        assert list(twice) == ["spec.traffic.virtualServices[2].name", "spec.traffic.virtualServices[3].name"]
        assert twice["spec.traffic.virtualServices[2].name"].found == "the VirtualService 'a' a second time"

    def test_a_check_speaks_of_a_member_and_of_stages_that_exist(self):
        found = findings("  checks: [{name: a, builtin: cpu, member: nobody, stages: [7], limit: {max: 1}}]\n")

        assert found["spec.checks[0].member"].expected == "one of the members shop"
        assert found["spec.checks[0].stages[0]"].expected == "the weight of a stage: 5, 25, 50, 100"

    @pytest.mark.parametrize("ways", ["", "builtin: cpu, query: up, "])
    def test_a_check_is_asked_in_exactly_one_way(self, ways):
        found = findings(f"  checks: [{{name: a, {ways}limit: {{max: 1}}}}]\n")["spec.checks[0]"]

        assert found.expected == "exactly one of builtin, query, counters, kayenta"

    def test_only_a_probe_needs_no_limit(self):
        assert findings("  triggers: [{name: a, builtin: cpu}]\n")["spec.triggers[0]"].found == "no limit"
        assert findings("  triggers: [{name: a, probe: {path: /x}}]\n") == {}
        found = findings("  triggers: [{name: a, probe: {path: x}}]\n")
        assert found["spec.triggers[0].probe.path"].expected == "a text that begins with /"

    def test_together_names_a_group_that_can_act(self):
        one = "{name: a, builtin: cpu, limit: {max: 1}, together: g}"

        assert findings(f"  triggers: [{one}]\n")["spec.triggers[0].together"].expected == "the name of a group"
        assert findings(f"  triggers: [{one}]\n  groups: [{{name: g, failing: 2}}]\n")["spec.groups[0].failing"].expected == "at most 1"

    def test_two_slots_are_two_places(self):
        assert "spec.slots[1]" in findings("  slots: [{name: a}, {name: b}]\n")

    def test_a_quantile_lies_between_0_and_1(self):
        found = findings("  checks: [{name: a, builtin: latency, quantile: 95, limit: {max: 1}}]\n")

        assert found["spec.checks[0].quantile"].expected == "a number below 1"

    def test_an_unknown_provider_is_named_where_the_known_ones_are(self):
        text = GOOD + "  checks: [{name: a, builtin: cpu, provider: other, limit: {max: 1}}]\n"

        assert validate_text(text) == []
        assert [one.path for one in validate_text(text, providers=frozenset({"main"}))] == ["spec.checks[0].provider"]


class TestQueries:
    def query(self, text: str, more: str = "", limit: str = "{max: 1}") -> list[Finding]:
        body = f"  checks:\n    - name: a\n      query: >-\n        {text}\n      limit: {limit}\n{more}"
        return [one for one in validate_text(GOOD + body) if one.path == "spec.checks[0].query"]

    def test_bad_promql_has_its_position(self):
        (one,) = self.query('sum(rate(x{a="b"}[5m])')

        assert one.severity == "error"
        assert one.found.startswith("line 1, column ")

    @pytest.mark.parametrize(
        ("query", "place"),
        [
            ('sum(up{namespace="$namespace",workload="$workload"}) // 2', "line 1, column 55"),
            ('sum(up{namespace="$namespace"})\n  / $$ + 1', "line 2, column 5"),
            ('up{workload="$workload"}[$window] > > 1', "line 1, column 37"),
            ("", "line 1, column 1"),
        ],
    )
    def test_the_place_of_a_bad_query_is_that_in_the_text_of_its_author(self, query, place):
        """Names and windows are filled in before it is parsed, and are longer or shorter than what stands for them."""
        one = only(f"  checks: [{{name: a, query: {json.dumps(query)}, limit: {{max: 1}}}}]\n")

        assert one.found.startswith(place + ": ")
        assert "shop" not in one.found + one.hint

    def test_an_unknown_parameter_names_the_known_ones(self):
        (one,) = self.query('sum(rate(x{a="$deployment"}[$window]))')

        assert one.severity == "error"
        assert "unknown parameter $deployment at column 15; known: $namespace, $workload" in one.found

    def test_a_query_of_one_number_about_green_has_nothing_to_say(self):
        assert self.query('sum(rate(x{namespace="$namespace",workload="$workload"}[$window]))') == []

    def test_a_query_without_green_is_told(self):
        (one,) = self.query("sum(rate(x[$window]))")

        assert one.severity == "warning"
        assert "no selector for green" in one.found

    def test_the_workload_alone_does_not_tell_slots_in_two_namespaces_apart(self):
        slots = "  slots: [{name: a}, {name: b, namespace: other}]\n"

        assert len(self.query('sum(rate(x{workload="$workload"}[$window]))', slots)) == 1
        assert self.query('sum(rate(x{namespace="$namespace",workload="$workload"}[$window]))', slots) == []

    def test_a_fixed_range_says_which_share_is_never_judged(self):
        (one,) = self.query('sum(rate(x{workload="$workload"}[1m]))')

        assert "80 % of the window is never judged" in one.found

    @pytest.mark.parametrize(("limit", "told"), [("{maxRatio: 1.2}", 1), ("{maxDifference: 3}", 1), ("{max: 3}", 0)])
    def test_a_counter_as_it_stands_compares_ages_of_pods(self, limit, told):
        """Restarts of green's pods may be counted so, but not against blue's."""
        found = [one for one in self.query('sum(restarts_total{workload="$workload"})', limit=limit) if "stands" in one.found]

        assert len(found) == told
        assert all("write rate(...[$window])" in one.hint for one in found)

    @pytest.mark.parametrize(("limit", "told"), [("{maxRatio: 1.2}", 1), ("{maxDifference: 3}", 1), ("{max: 3}", 0)])
    def test_a_sum_of_more_requests_is_larger_than_blues_without_being_worse(self, limit, told):
        found = [one for one in self.query('sum(rate(x{workload="$workload"}[$window]))', limit=limit) if "more requests" in one.found]

        assert len(found) == told
        assert all("compared with blue's at 5, 25 and 100 %" in one.found for one in found)

    def test_what_is_wrong_with_each_of_hwayos_queries(self):
        found = validate_file(ROOT / "examples/hwayo/as-written.yaml")
        told = {index: " ".join(one.found for one in found if one.path == f"spec.checks[{index}].query") for index in range(5)}

        assert {one.severity for one in found} == {"warning"}
        assert all("no selector for green" in words for words in told.values())
        assert "divides two vectors label by label (status differs" in told[0]
        assert "83 % of the window is never judged" in told[1]
        assert "many series" in told[4]


class TestWarnings:
    def test_a_window_shorter_than_six_scrapes_can_never_pass(self):
        one = only("  stages: [{weight: 50, window: 60s}, {weight: 100}]\n")

        assert (one.severity, one.path) == ("warning", "spec.stages[0].window")
        assert "can never pass" in one.hint

    def test_a_stage_of_100_without_a_bake(self):
        assert "a bake of 95 s at 100 %" in only("  stages: [{weight: 100, window: 95s}]\n").found

    def test_no_capacity_kept_for_blue(self):
        assert only("  finish: {retention: 0s}\n").severity == "warning"

    def test_a_trigger_that_is_asked_more_often_than_prometheus_scrapes(self):
        assert only("  triggers: [{name: a, builtin: cpu, interval: 5s, limit: {max: 1}}]\n").severity == "warning"
        assert only("  triggers: [{name: a, builtin: cpu, interval: 500ms, limit: {max: 1}}]\n").severity == "error"

    @pytest.mark.parametrize(
        ("asked", "warned"),
        [
            ("builtin: latency", True),
            ("query: 'sum(rate(x_total{a=\"$host\"}[$window]))'", True),
            ("query: 'max(x{a=\"$host\"})'", False),
            ("builtin: error-rate", False),
            ("builtin: latency, range: 2m", False),
        ],
    )
    def test_a_trigger_whose_range_has_no_two_scrapes_never_fires(self, asked, warned):
        rare = GOOD.replace("virtualService: shop", "virtualService: shop, scrapeInterval: 60s")
        rare += f"  triggers: [{{name: a, {asked}, limit: {{max: 5}}}}]\n"
        found = [one for one in validate_text(rare) if one.path == "spec.triggers[0].range"]

        assert [(one.severity, "two scrapes" in one.hint) for one in found] == [("warning", True)] * warned

    def test_an_image_without_tag(self):
        head = "apiVersion: penstock.dev/v1alpha1\nkind: Release\nmetadata: {name: r}\n"
        text = head + "spec: {plan: shop, revision: v2, images: {shop: '%s'}}\n"

        assert [one.severity for one in validate_text(text % "registry:5000/shop")] == ["warning"]
        assert validate_text(text % "registry:5000/shop:1") == []
        assert validate_text(text % "shop@sha256:0123") == []


class TestScenarios:
    def test_a_scenario_is_checked_on_top_of_its_base(self, tmp_path):
        (tmp_path / "base.yaml").write_text("users: [{host: a, rps: 1, wrong: 2}]\n")
        path = tmp_path / "one.yaml"
        path.write_text("name: one\nbase: base.yaml\nexpect: {phase: Done}\n")
        found = {one.path for one in validate_file(path, scenarios=scenario_rules())}

        assert found == {"users[0].wrong", "expect.phase", "plan", "world"}

    def test_a_misspelled_word_is_one_error_that_names_the_nearest(self):
        story = "name: one\nexpect: {phase: Succeded}\nfaults: [{kind: prometheus-dwn, at: 1m}]\npeople: [{verb: rolback, at: 1m}]\n"
        found = [one for one in validate_text(story, scenarios=scenario_rules()) if one.path not in ("plan", "world")]

        assert [(one.path, one.hint) for one in found] == [
            ("expect.phase", "did you mean 'Succeeded'?"),
            ("faults[0].kind", "did you mean 'prometheus-down'?"),
            ("people[0].verb", "did you mean 'rollback'?"),
        ]

    def test_a_world_whose_name_no_file_can_have_is_one_that_is_not_there(self, tmp_path):
        (tmp_path / "plan.yaml").write_text(HEAD)
        (tmp_path / "one.yaml").write_text(f"name: one\nworld: {'a' * 5000}\nexpect: {{phase: Succeeded}}\n")

        assert [one.path for one in validate_file(tmp_path / "one.yaml", scenarios=scenario_rules())] == ["world"]

    def test_a_base_that_is_missing_is_named(self, tmp_path):
        path = tmp_path / "one.yaml"
        path.write_text("name: one\nbase: nowhere.yaml\nexpect: {phase: Succeeded}\n")

        assert [one.path for one in validate_file(path, scenarios=scenario_rules())] == ["base"]


def test_the_controller_refuses_with_the_same_sentences():
    """An object of the API server has no lines, and fields that are not the user's."""
    obj = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ReleasePlan",
        "metadata": {"name": "shop", "managedFields": []},
        "spec": {"workload": "shop", "traffic": {"virtualService": "shop"}, "stages": [{"weight": 50}]},
        "status": {"active": "x"},
    }

    sentence = "spec.stages[0].weight: found 50 at the last stage, expected 100; add a stage with weight: 100"
    assert [str(one) for one in plan_findings(obj)] == [sentence]


@pytest.mark.parametrize(
    ("line", "path", "found"),
    [
        ("users: [{host: h, rps: -5}]", "users[0].rps[0].value", "-5"),
        ("users: [{host: h, rps: [{value: 5}, {after: 1m, value: -1}]}]", "users[0].rps[1].value", "-1"),
        ("users: [{host: h, rps: .inf}]", "users[0].rps", "inf"),
        ("versions: [{errors: -0.1}]", "versions[0].errors[0].value", "-0.1"),
        ("versions: [{errors: 8}]", "versions[0].errors[0].value", "8"),
        ("versions: [{latency: {p50: 100, p99: 10}}]", "versions[0].latency[0].value", "p99 10 below p50 100"),
        ("versions: [{minShare: -1}]", "versions[0].minShare", "-1"),
        ("metrics: [{name: m, kind: rate, value: -3}]", "metrics[0]", "-3 for a counter"),
    ],
)
def test_a_figure_that_cannot_be_is_reported_where_it_stands(tmp_path, line, path, found):
    file = tmp_path / "scenario.yaml"
    file.write_text(f"name: s\nplan: {FIRST}/plan.yaml\nworld: {FIRST}/world.yaml\nexpect: {{phase: Succeeded}}\n{line}\n")

    finding = next(one for one in validate_file(file, scenarios=scenario_rules()) if one.severity == "error")

    assert (finding.path, finding.line) == (path, 5)
    assert found in finding.found


def test_a_gauge_may_be_negative(tmp_path):
    file = tmp_path / "scenario.yaml"
    words = "metrics: [{name: m, kind: gauge, value: -3}]"
    file.write_text(f"name: s\nplan: {FIRST}/plan.yaml\nworld: {FIRST}/world.yaml\nexpect: {{phase: Succeeded}}\n{words}\n")

    assert validate_file(file, scenarios=scenario_rules()) == []


def test_aliases_of_aliases_are_refused_before_they_are_written_out():
    """A kilobyte of YAML that stands for 9 to the 12th values would keep the command busy for years."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]" for below, name in pairwise("abcdefghijkl")]

    [found] = validate_text("\n".join(lines))

    assert found.sentence.startswith("found aliases that stand for more than 1,000,000 values, or for themselves, expected")


def test_an_alias_that_contains_itself_is_refused():
    [found] = validate_text("kind: &k [*k]\n")

    assert "or for themselves" in found.sentence


def test_a_plan_without_triggers_is_watched_by_its_sequential_checks():
    """Their evidence puts users back at any scrape, so that nothing is said; a limit alone is asked at the window's end."""
    limit = "  triggers: []\n  checks: [{name: a, builtin: error-rate, limit: {max: 1}}]\n"

    assert "spec.triggers" not in findings("  triggers: []\n  checks: [{name: a, builtin: error-rate, method: sequential}]\n")
    assert "spec.triggers" in findings(limit)
    assert "spec.triggers" in findings("  triggers: []\n  checks: [{name: a, builtin: error-rate, method: sequential, observe: true}]\n")
