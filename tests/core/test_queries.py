"""Parameters, built-in queries, and the questions of one look."""

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn
from controller.core.queries import (
    Mesh,
    Naming,
    Place,
    build_checks_queries,
    duration,
    fill,
    label_value,
    member_of,
    pair_of,
    parameters_of,
)

PLAN = PlanSpec.model_validate(
    {
        "members": [{"name": "api", "workload": "shop", "service": "shop-svc"}],
        "slots": [{"name": "a"}, {"name": "b", "namespace": "prod-green", "suffix": "-green"}],
        "traffic": {"virtualService": "shop"},
    }
)
PAIR = pair_of(PLAN, PLAN.all_members[0], Naming("prod", 0, "host", "v2", "v1"))
HOST, SUBSET = Mesh(), Mesh(mode="subset")


def place(**changes):
    values = {"namespace": "ns", "workload": "w", "service": "s", "host": "s.ns", "revision": "v1", "colour": "green"}
    return Place(**(values | changes))


class TestPlaces:
    def test_host_mode_gives_each_slot_its_own_host_in_its_own_namespace(self):
        assert PAIR.blue.host == "shop-svc.prod.svc.cluster.local"
        host = "shop-svc-green.prod-green.svc.cluster.local"
        assert PAIR.green == Place("prod-green", "shop-green", "shop-svc-green", host, "v2", "green")

    def test_after_a_swap_the_second_slot_is_blue(self):
        swapped = pair_of(PLAN, PLAN.all_members[0], Naming("prod", 1, "host", "v3", "v2"))

        assert (swapped.blue.workload, swapped.green.workload, swapped.green.revision) == ("shop-green", "shop", "v3")

    def test_in_subset_mode_both_stand_behind_the_first_slots_service(self):
        pair = pair_of(PLAN, PLAN.all_members[0], Naming("prod", 1, "subset"))

        assert (pair.blue.host, pair.green.host) == ("shop-svc.prod.svc.cluster.local",) * 2
        assert (pair.blue.workload, pair.green.workload) == ("shop-green", "shop")

    def test_an_unknown_member_is_named_with_the_known_ones(self):
        with pytest.raises(ValueError, match="'web'; known: api"):
            member_of(PLAN, "web")


class TestParameters:
    def test_each_parameter_is_filled_in_where_it_stands(self):
        text = 'sum(rate(x{namespace="$namespace",pod=~"$workload-.*",v="$revision-$colour"}[$window])) / $$'

        assert fill(text, place(), 90) == 'sum(rate(x{namespace="ns",pod=~"w-.*",v="v1-green"}[90s])) / $'

    def test_the_used_parameters_are_told(self):
        assert parameters_of('x{a="$host",b="$$colour"}[$window]') == {"host", "window"}

    def test_a_subquery_takes_the_window(self):
        assert fill("max_over_time(x[$window:30s])", place(), 0.25) == "max_over_time(x[250ms:30s])"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('x{a="$pod"}', r"unknown parameter \$pod at column 6; known: \$namespace"),
            ('x{a="$namespaces"}', r"\$namespaces"),
            ("rate(x[$__rate_interval])", r"\$__rate_interval"),
            ('x{a="5..$"}', r"lone \$ at column 9"),
            ("x$", "lone"),
            ("$workload", "inside a label value"),
            ('x{$namespace="a"}', "inside a label value"),
            ("x[$colour]", "inside a label value"),
            ('x{a="$window"}', "as a range"),
            ("x offset $window", "as a range"),
            ("x[5m$window]", "as a range"),
            ("x[$window + 5m]", "as a range"),
        ],
    )
    def test_a_wrong_parameter_is_named_with_its_place(self, text, words):
        with pytest.raises(ValueError, match=words):
            parameters_of(text)

    def test_a_parameter_without_a_value_is_refused_because_it_would_match_absent_labels(self):
        with pytest.raises(ValueError, match=r"\$revision has no value for green"):
            fill('x{v="$revision"}', place(revision=""), 60)

    def test_a_dollar_in_a_comment_is_no_parameter(self):
        assert fill("x # costs $5 and $nothing", place(), 60) == "x # costs $5 and $nothing"

    def test_an_escaped_quote_does_not_end_a_string(self):
        assert fill(r'x{a="\"$workload"}', place(), 60) == r'x{a="\"w"}'

    def test_a_backquoted_value_with_a_backquote_is_refused(self):
        with pytest.raises(ValueError, match="backquote"):
            fill("x{a=`$workload`}", place(workload="a`b"), 60)

    @given(st.text(min_size=1, max_size=12), st.sampled_from("\"'`"), st.sampled_from(["=", "!=", "=~", "!~"]))
    def test_no_value_gets_out_of_its_string(self, value, quote, operator):
        if quote == "`" and set(value) & set("`\\[]^"):
            return  # refused, or (a backslash between backquotes) read otherwise by this parser than by Prometheus
        filled = fill(f"x{{a{operator}{quote}$workload{quote}}}", place(workload=value), 60)

        assert len(promql_parser.parse(filled).matchers.matchers) == 1

    def test_a_value_in_a_pattern_stands_for_itself(self):
        assert fill('x{a=~"$workload.*"}', place(workload="a.b|c"), 60) == 'x{a=~"a[.]b[|]c.*"}'
        assert label_value('a"\\\n', quote='"') == r"a\"\\" + r"\n"

    @pytest.mark.parametrize(("seconds", "text"), [(300.0, "300s"), (1.5, "1500ms"), (0.0, "1ms"), (59.9999, "60s")])
    def test_a_duration_is_exact_to_the_millisecond(self, seconds, text):
        assert duration(seconds) == text


class TestBuiltIns:
    @pytest.mark.parametrize("builtin", list(BuiltIn))
    @pytest.mark.parametrize("mesh", [HOST, SUBSET, Mesh(reporter="destination"), Mesh(cluster="here")])
    @pytest.mark.parametrize("colour", ["blue", "green"])
    def test_every_query_is_promql_and_never_adds_two_reporters(self, builtin, mesh, colour):
        query = build_checks_queries(builtin, PAIR, colour, 300, mesh=mesh)

        promql_parser.parse(query)
        assert query.count("istio_") == query.count("reporter=")
        assert len({part[:12] for part in query.split('reporter="')[1:]}) <= 1

    def test_host_mode_counts_by_host_so_that_requests_without_a_pod_count(self):
        query = build_checks_queries(BuiltIn.ERROR_RATE, PAIR, "green", 300, mesh=HOST)

        assert query.count('reporter="source",destination_service="shop-svc-green.prod-green.svc.cluster.local"') == 3
        assert "destination_workload" not in query

    def test_subset_mode_counts_by_workload(self):
        query = build_checks_queries(BuiltIn.LATENCY, PAIR, "green", 60, mesh=SUBSET, quantile=0.95)

        labels = '{reporter="source",destination_workload="shop-green",destination_workload_namespace="prod-green"}'
        assert query.partition(" or ")[0] == (
            f"histogram_quantile(0.95, sum by (le) (rate(istio_request_duration_milliseconds_bucket{labels}[60s])))"
        )

    def test_a_native_histogram_is_asked_where_there_are_no_classic_buckets(self):
        query = build_checks_queries(BuiltIn.LATENCY, PAIR, "green", 60, mesh=SUBSET, quantile=0.95)

        assert query.partition(" or ")[2].startswith("histogram_quantile(0.95, sum(rate(istio_request_duration_milliseconds{reporter=")

    def test_the_destination_reporter_is_asked_by_workload_in_host_mode_too(self):
        query = build_checks_queries(BuiltIn.REQUEST_RATE, PAIR, "blue", 60, mesh=Mesh(reporter="destination"))

        assert 'reporter="destination",destination_workload="shop",destination_workload_namespace="prod"' in query

    def test_a_known_cluster_leaves_samples_of_others_out(self):
        query = build_checks_queries(BuiltIn.REQUEST_RATE, PAIR, "blue", 60, mesh=Mesh(cluster="here"))

        assert 'destination_cluster=~"|unknown|here"' in query

    def test_pods_of_a_longer_name_are_not_meant(self):
        assert 'namespace="prod",pod=~"shop-[a-z0-9]+-[a-z0-9]+"' in build_checks_queries(BuiltIn.UP, PAIR, "blue", 60, mesh=HOST)


@pytest.mark.parametrize(
    ("mesh", "left_out"), [(HOST, True), (SUBSET, False), (Mesh(reporter="destination"), False)], ids=["host", "subset", "destination"]
)
def test_a_version_without_pods_is_not_the_faster_one(mesh, left_out):
    """In host mode the callers' proxies count what they answer alone for the version that they asked for; no other selector has it."""
    asked = build_checks_queries(BuiltIn.LATENCY, PAIR, "blue", 60.0, mesh=mesh)

    assert ('response_flags!~"UH|NC|NR"' in asked) is left_out
    assert "response_flags" not in build_checks_queries(BuiltIn.ERROR_RATE, PAIR, "blue", 60.0, mesh=mesh)
