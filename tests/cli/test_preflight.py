"""`penstock preflight`, as a shell sees it: blue against itself, what is stored, and what a release makes of it."""

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from analysis.preflight import Preflight
from controller.adapters.prometheus import HttpPrometheus
from controller.adapters.prometheus_config import Provider
from controller.api.measured import Measured, filled_in
from controller.api.plan import PlanSpec
from controller.cli import preflight
from controller.cli.main import run
from controller.cli.preflight_words import Told
from controller.core.tested import measured_of
from controller.ports import CONFIG_MAP, RELEASE_PLAN
from controller.simulator import people
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import a_terminal
from tests.cli.test_judge import simulated
from tests.docs.pages import ROOT, agrees, commands
from tests.sizes import most_telling

BEGIN = 1_700_000_000
STEP = 50
EDGES = ("25", "100", "500", "2500", "+Inf")
TAILS = (0.8, 0.2, 0.01, 0.0, 0.0)
WINDOW = ["--from", str(BEGIN), "--to"]


@cache
def day(hours, *, pods=3, burst=1, errors=0.005, n=500, sick=None, reporter="destination", tails=TAILS):
    """Blue's counters pod by pod: series and their (time, value) pairs. Failures come in bursts on one pod each."""
    rng = np.random.default_rng(4)
    looks = int(hours * 3600 / STEP)
    found = {}
    for number in range(pods):
        requests = rng.poisson(n, looks)
        rate = 0.4 if number == sick else errors
        bad = np.minimum(burst * rng.binomial(requests, rate / burst), requests)
        slow, slower, rest = [], requests, 1.0
        for tail in tails[:-1]:
            slower = rng.binomial(slower, tail / rest if rest else 0.0)
            rest = tail
            slow.append(slower)
        common = {"reporter": reporter, "destination_workload": "shop", "destination_workload_namespace": "shop", "pod": f"shop-{number}"}
        rows = {("istio_requests_total", "response_code", "200"): requests - bad, ("istio_requests_total", "response_code", "503"): bad}
        for edge, beyond in zip(EDGES, [*slow, np.zeros(looks, int)], strict=True):
            rows["istio_request_duration_milliseconds_bucket", "le", edge] = requests - beyond
        for (name, label, value), counts in rows.items():
            labels = tuple(sorted({"__name__": name, label: value, **common}.items()))
            found[labels] = [(BEGIN + STEP * look, int(count)) for look, count in enumerate(np.cumsum(counts), start=1)]
    return found


def write(path, series):
    with Path(path).open("w", encoding="utf-8") as file:
        for labels, samples in series.items():
            inner = ", ".join(f'{key}="{value}"' for key, value in labels)
            file.writelines(f"{{{inner}}} {value} {time * 1000}\n" for time, value in samples)


def plan(path, **spec):
    body = {"workload": "shop", "traffic": {"virtualService": "shop", "scrapeInterval": "50s"}, **spec}
    written = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ReleasePlan",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": body,
    }
    Path(path).write_text(yaml.safe_dump(written), encoding="utf-8")
    return str(path)


MAKE = {
    "quiet": lambda: day(7),
    "page": lambda: day(24, pods=6, burst=3, n=400),
    "pair": lambda: day(7, pods=2),
    "bursts": lambda: day(7, burst=8),
    "sick": lambda: day(6.5, sick=0),
    "short": lambda: day(2),
    "alone": lambda: day(7, pods=1),
    "quick": lambda: day(7, tails=(1.0, 0.0, 0.0, 0.0, 0.0)),
    "callers": lambda: day(6.5, reporter="source"),
    "others": lambda: {tuple((key, value.replace("shop", "cart")) for key, value in labels): at for labels, at in day(2).items()},
    "rare": lambda: day(6.5, n=1, errors=0.2),
    "unnumbered": lambda: {labels: [(time, "NaN") for time, _ in at] for labels, at in day(2).items()},
    "negative": lambda: {labels: [(time, -1 - count) for time, count in at] for labels, at in day(2).items()},
    "spoilt": lambda: {
        labels: [(time, "NaN" if time > BEGIN + 5400 and ("pod", "shop-1") in labels else count) for time, count in at]
        for labels, at in day(2).items()
    },
    "idle": lambda: {labels: [(time, 7) for time, _ in at] for labels, at in day(2).items()},
    "empty": dict,
}
HOURS = {"short": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def samples(folder):
    """The path of a file of samples by name, written once."""

    def find(name):
        path = folder / name
        if not path.exists():
            write(path, MAKE[name]())
        return str(path)

    return find


@pytest.fixture(scope="module")
def flown(folder, samples):
    """What `preflight` said of a file: exit code, stdout, stderr; run once for the same words."""

    @cache
    def fly(name, *more, **spec):
        written = plan(folder / "plan.yaml", **{key: json.loads(value) for key, value in spec.items()})
        out, err = io.StringIO(), io.StringIO()
        words = ["preflight", written, "--file", samples(name), *WINDOW, str(BEGIN + 7 * 3600), "--dry-run", *more]
        with redirect_stdout(out), redirect_stderr(err):
            code = run(words)
        return code, out.getvalue(), err.getvalue()

    return fly


def as_json(flown, name, **spec):
    code, out, err = flown(name, "-o", "json", **spec)
    return code, json.loads(out) if out else err


@pytest.mark.long
def test_yaml_of_a_plan_in_a_file_needs_no_cluster(folder, samples, monkeypatch, capsys):
    monkeypatch.setenv("KUBECONFIG", str(folder / "nowhere"))
    words = ["--file", samples("quiet"), *WINDOW, str(BEGIN + 7 * 3600)]

    code = run(["preflight", plan(folder / "plan.yaml"), *words, "-o", "yaml"])

    assert (code, capsys.readouterr().out.splitlines()[:2]) == (0, ["analysis:", "  measured:"])


@pytest.mark.long
def test_the_page_shows_what_is_printed(folder, samples, capsys):
    """Of six pods whose failures come in bursts of three."""
    shown = next(one for one in commands(ROOT / "docs" / "analysis" / "preflight.md") if "preflight" in one.line)
    words = ["--file", samples("page"), *WINDOW, str(BEGIN + 24 * 3600), "--dry-run"]

    assert run(["preflight", plan(folder / "page.yaml"), *words]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert agrees(shown.output, printed), "\n".join(printed)


class TestMeasuring:
    @pytest.mark.long
    def test_independent_requests_are_measured_as_such_and_blue_is_not_rolled_back(self, flown):
        code, found = as_json(flown, "quiet")
        errors, latency = found["measured"]["checks"]

        assert (code, found["usable"], found["stored"]) == (0, True, False)
        assert errors["lines"][0]["bursts"] == pytest.approx(1, abs=0.1)
        assert errors["lines"][0]["share"] == pytest.approx(0.5, rel=0.1)
        assert [line["edge"] for line in latency["lines"]] == [100, 500]
        assert found["requestsPerSecond"] == pytest.approx(30, rel=0.05)
        assert found["releases"]["stretches"] == 16
        assert found["releases"]["count"] > 16
        assert found["releases"]["rolledBack"] == 0

    @pytest.mark.long
    def test_edges_that_cannot_be_tested_are_named_with_blues_share(self, flown):
        _, found = as_json(flown, "quiet")

        assert [(one["edge"], round(one["percent"])) for one in found["pasts"][1]["unusableEdges"]] == [(25, 80), (2500, 0)]

    @pytest.mark.long
    def test_where_all_of_blue_lies_in_one_bucket_its_upper_edge_is_measured(self, flown):
        code, found = as_json(flown, "quick")
        latency = found["measured"]["checks"][1]

        assert (code, [(line["edge"], line["share"]) for line in latency["lines"]]) == (0, [(100, 0)])
        assert [(one["edge"], round(one["percent"])) for one in found["pasts"][1]["unusableEdges"]] == [(25, 100), (500, 0), (2500, 0)]
        assert found["releases"]["rolledBack"] == 0

    @pytest.mark.long
    def test_bursts_are_measured_and_blue_is_not_rolled_back_for_them(self, flown):
        code, found = as_json(flown, "bursts")

        assert code == 0
        assert found["measured"]["checks"][0]["lines"][0]["bursts"] == pytest.approx(8, rel=0.15)
        assert found["releases"]["rate"] <= 0.02

    @pytest.mark.long
    def test_stages_that_are_too_short_for_the_effect_are_named(self, flown):
        _, found = as_json(flown, "bursts", stages='[{"weight": 1, "window": "2m"}, {"weight": 50}, {"weight": 100}]')
        short = {(one["check"], one["weight"]) for one in found["detects"] if one["too_short"]}

        assert ("error-rate", 1) in short
        assert ("error-rate", 50) not in short

    @pytest.mark.long
    def test_a_sick_pod_ends_with_3_because_no_dispersion_helps(self, flown):
        """Whoever gets it is worse, and at 100 % nobody can tell it from a bad version."""
        code, out, err = flown("sick")

        assert code == 3
        assert "Blue would be rolled back in favour of itself" in err
        assert "stage of 50 % is too short for error-rate" in out

    @pytest.mark.long
    def test_too_few_requests_for_every_stage_end_with_3(self, flown):
        code, _, err = flown("quiet", stages='[{"weight": 1, "window": "2m"}, {"weight": 100}]')

        assert code == 3
        assert "No stage is long enough for error-rate to find what a pass must be able to show: too few requests" in err

    @pytest.mark.long
    def test_a_rate_below_one_in_ten_seconds_is_a_rate_too(self, flown):
        """It names no option that this command does not have."""
        _, out, _ = flown("rare")

        assert "(at 0.0" in out
        assert "--rps" not in out

    @pytest.mark.long
    def test_callers_are_split_where_the_pods_report_nothing(self, flown):
        """In subset mode the callers name the workload, too."""
        _, found = as_json(flown, "callers", traffic='{"virtualService": "shop", "destinationRule": "shop", "scrapeInterval": "50s"}')

        assert {one["reporter"] for one in found["pasts"]} == {"source"}
        assert found["measured"]["checks"][0]["lines"][0]["bursts"] == pytest.approx(1, abs=0.15)

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("short", "2 hours of blue are too few to go by"),
            ("alone", "there is only 1 pod, which has no halves. Let two or more serve for six hours"),
            ("others", "there are no samples"),
            ("unnumbered", "the samples of istio_requests_total{reporter"),
            ("idle", "count no request"),
        ],
    )
    def test_too_little_ends_with_4_and_is_not_usable(self, name, problem, flown):
        code, found = as_json(flown, name)

        assert (code, found["usable"]) == (4, False)
        assert problem in found["problem"]

    def test_time_before_the_first_sample_is_no_time_of_blue(self, flown):
        """A young cluster, or a short retention: two hours of samples at the end of a day are two hours, and not a slow day."""
        code, out, _ = flown("short", "--from", str(BEGIN - 20 * 3600), "-o", "json")
        found = json.loads(out)

        assert (code, found["usable"]) == (4, False)
        assert "1.99 hours of blue are too few to go by" in found["problem"]
        assert found["requestsPerSecond"] == pytest.approx(30, rel=0.02)

    def test_samples_that_are_no_numbers_give_no_share_of_anything(self, flown):
        _, out, err = flown("unnumbered")

        assert "are no numbers" in err
        assert "nan" not in out

    def test_negative_counters_are_called_so(self, flown):
        code, _, err = flown("negative")

        assert code == 4
        assert re.search(r"the samples of istio_requests_total\{.*?\} are negative", err)

    def test_a_counter_that_ends_in_what_is_no_count_ends_the_time_of_blue_and_it_says_when(self, flown):
        _, _, err = flown("spoilt")

        assert "1.5 hours of blue are too few" in err
        assert "After 2023-11-14 23:4" in err
        assert "nothing of blue was counted: there are no samples then, or the newest of some counter are no counts." in err

    def test_nothing_found_names_what_was_looked_for(self, flown):
        _, found = as_json(flown, "others")

        assert 'there are no samples of istio_requests_total{reporter="destination",destination_workload="shop"' in found["problem"]

    def test_a_file_without_any_sample_ends_with_2_as_for_judge(self, flown, samples):
        code, said = as_json(flown, "empty")

        assert (code, said) == (
            2,
            f"{samples('empty')}: found no sample, expected OpenMetrics text, JSON of a range query, or a `promtool tsdb dump`.\n",
        )

    @pytest.mark.long
    def test_prometheus_gives_the_same_numbers_piece_by_piece(self, flown, folder, capsys, monkeypatch):
        prometheus = simulated(day(7))
        monkeypatch.setattr(preflight, "connected", lambda _url: prometheus)
        _, from_file = as_json(flown, "quiet")
        words = ["--prometheus", "http://p:9090", *WINDOW, str(BEGIN + 7 * 3600), "--dry-run", "-o", "json"]

        assert run(["preflight", plan(folder / "plan.yaml"), *words]) == 0
        assert json.loads(capsys.readouterr().out)["measured"] == from_file["measured"]


TWO = {
    "checks": [
        {"name": "errors", "builtin": "error-rate", "method": "sequential", "provider": "mesh"},
        {"name": "slow", "builtin": "latency", "method": "sequential"},
    ]
}


class TestProviders:
    """Each check is asked of the provider that it names."""

    def provided(self, tmp_path, monkeypatch, **servers):
        path = tmp_path / "providers.yaml"
        path.write_text(yaml.safe_dump({"providers": [{"name": name, "url": f"http://{name}:9090"} for name in servers]}))
        monkeypatch.setattr(preflight.HttpProviders, "provider", lambda _self, name: servers.get(name or next(iter(servers))))
        return ["--providers", str(path), *WINDOW, str(BEGIN + 7 * 3600), "--dry-run", "-o", "json"]

    @pytest.mark.long
    def test_each_check_asks_its_own(self, tmp_path, monkeypatch, capsys):
        words = self.provided(tmp_path, monkeypatch, usual=simulated(day(7, pods=2)), mesh=simulated(day(7, pods=2, burst=8)))

        assert run(["preflight", plan(tmp_path / "plan.yaml", **TWO), *words]) == 0
        errors, latency = json.loads(capsys.readouterr().out)["measured"]["checks"]
        assert errors["lines"][0]["bursts"] == pytest.approx(8, rel=0.15)
        assert latency["lines"][0]["bursts"] == pytest.approx(1, abs=0.15)

    def test_one_that_the_file_does_not_have_is_named(self, tmp_path, monkeypatch, capsys):
        words = self.provided(tmp_path, monkeypatch, usual=simulated({}))

        assert run(["preflight", plan(tmp_path / "plan.yaml", **TWO), *words]) == 2
        assert capsys.readouterr().err == "The plan's checks ask the provider mesh, and the file of --providers has none for that.\n"

    def test_one_address_is_not_enough_for_several(self, tmp_path, capsys):
        words = ["--prometheus", "http://127.0.0.1:1", "--dry-run"]

        assert run(["preflight", plan(tmp_path / "plan.yaml", **TWO), *words]) == 2
        assert "The plan's checks ask several providers (the default, mesh)" in capsys.readouterr().err

    def test_a_file_that_names_none_is_one_sentence(self, tmp_path, capsys):
        (tmp_path / "wrong.yaml").write_text("- 1\n")
        words = ["--providers", str(tmp_path / "wrong.yaml"), "--dry-run"]

        assert run(["preflight", plan(tmp_path / "plan.yaml"), *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1


class TestEveryPlan:
    """What the nightly job runs: the plans of a controller's namespaces, one line each."""

    def swept(self, tmp_path, monkeypatch, server, *more):
        terminal = a_terminal(started=False)
        kube = InMemoryKube(terminal.sim.server)
        like = kube.get(RELEASE_PLAN, "shop", "shop")
        later = {"apiVersion": like["apiVersion"], "kind": like["kind"], "metadata": {"name": "later", "namespace": "shop"}}
        kube.create(RELEASE_PLAN, "shop", later | {"spec": like["spec"] | {"workload": "unknown"}})
        providers = {"providers": [{"name": "usual", "url": "http://usual:9090"}]}
        (tmp_path / "providers.yaml").write_text(yaml.safe_dump(providers))
        settings = tmp_path / "controller.yaml"
        settings.write_text(yaml.safe_dump({"namespaces": ["shop"], "providers": str(tmp_path / "providers.yaml")}))
        monkeypatch.setattr(preflight.HttpProviders, "provider", lambda _self, _name: server)
        found = terminal.penstock("preflight", "--config", settings, *WINDOW, BEGIN + 7 * 3600, *more)
        return found, kube

    def test_what_can_be_measured_is_stored_and_the_rest_stops_nothing(self, tmp_path, monkeypatch):
        found, kube = self.swept(tmp_path, monkeypatch, simulated(day(7, pods=2)))
        later, shop = found.out.splitlines()

        assert found.code == 0
        assert shop.startswith("shop/shop: ")
        assert "Stored for plan shop/shop; the next release freezes it." in shop
        assert later.startswith("shop/later: A release of this plan would be refused: Deployment shop/unknown")
        assert kube.get(RELEASE_PLAN, "shop", "shop")["status"]["measured"]["hours"] == pytest.approx(7, abs=0.1)
        assert "measured" not in kube.get(RELEASE_PLAN, "shop", "later").get("status", {})

    @pytest.mark.long
    def test_dry_run_stores_nothing(self, tmp_path, monkeypatch):
        found, kube = self.swept(tmp_path, monkeypatch, simulated(day(7, pods=2)), "--dry-run")

        assert found.out.splitlines()[1].endswith("Nothing was stored.")
        assert "measured" not in kube.get(RELEASE_PLAN, "shop", "shop").get("status", {})

    def test_a_prometheus_that_is_away_is_said_of_each_plan_and_ends_with_7(self, tmp_path, monkeypatch):
        away = HttpPrometheus(Provider(name="away", url="http://127.0.0.1:1"))
        found, _ = self.swept(tmp_path, monkeypatch, away)

        assert found.code == 7
        assert [line.split(":")[0] for line in found.out.splitlines()] == ["shop/later", "shop/shop"]
        assert "cannot be reached" in found.out

    @pytest.mark.parametrize("words", [["shop", "--config", "x"], ["--prometheus", "http://x"], ["--config", "x", "--file", "x"]])
    def test_it_is_either_a_plan_or_a_configuration(self, words, capsys):
        assert run(["preflight", *words]) == 2
        assert capsys.readouterr().err.startswith("Name a plan, and where blue's samples are")

    def test_a_plan_alone_is_asked_where_its_samples_are(self, capsys):
        """A release's own note names `penstock preflight PLAN`; what is missing is said by the whole command."""
        assert run(["preflight", "shop"]) == 2
        assert "Write penstock preflight shop --prometheus URL" in capsys.readouterr().err

    def test_a_configuration_without_providers_asks_nobody(self, tmp_path, capsys):
        (tmp_path / "controller.yaml").write_text("namespaces: [shop]\n")

        assert run(["preflight", "--config", str(tmp_path / "controller.yaml")]) == 2
        assert "names no file of providers" in capsys.readouterr().err


def own(*, burst):
    """The same day counted by the service itself: all payments, those that were lost, and those that were paid."""
    found = {}
    for labels, samples in day(7, burst=burst).items():
        held = dict(labels)
        if held["__name__"] == "istio_requests_total":
            paid = held["response_code"] == "200"
            pod = {"workload": held["destination_workload"], "pod": held["pod"]}
            found[held["pod"], paid] = ({**pod, "__name__": "paid_total" if paid else "lost_total"}, samples)
    for pod in sorted({pod for pod, _ in found}):
        (named, paid), (_, lost) = found[pod, True], found[pod, False]
        every = [(time, one + other) for (time, one), (_, other) in zip(paid, lost, strict=True)]
        found[pod, None] = ({**named, "__name__": "payments_total"}, every)
    return {tuple(sorted(labels.items())): samples for labels, samples in found.values()}


FAILED = {"bad": 'lost_total{workload="$workload"}'}


class TestOwnCounters:
    @pytest.mark.parametrize("counted", most_telling(FAILED, of=[FAILED, {"good": 'paid_total{workload="$workload"}'}]))
    def test_counters_of_the_plans_own_are_measured_and_stored_for_these_counters_alone(self, counted, tmp_path, capsys):
        write(tmp_path / "samples", own(burst=8))
        counters = {"total": 'payments_total{workload="$workload"}', **counted}
        check = {"name": "payments", "counters": counters}
        written = plan(tmp_path / "plan.yaml", checks=[check])
        words = ["--file", str(tmp_path / "samples"), *WINDOW, str(BEGIN + 7 * 3600), "--dry-run", "-o", "json"]

        assert run(["preflight", written, *words]) == 0
        found = json.loads(capsys.readouterr().out)
        (one,) = found["measured"]["checks"]
        assert one["lines"][0]["bursts"] == pytest.approx(8, rel=0.15)
        assert one["lines"][0]["share"] == pytest.approx(0.5, rel=0.1)
        assert found["pasts"][0]["check"] == "payments"
        spec = PlanSpec.model_validate(yaml.safe_load(Path(written).read_text())["spec"] | {"analysis": {"measured": found["measured"]}})
        other = spec.checks[0].model_copy(update={"counters": spec.checks[0].counters.model_copy(update={"total": "other_total"})})
        assert [len(measured_of(spec, check)) for check in (spec.checks[0], other)] == [1, 0]

    @pytest.mark.long
    @pytest.mark.parametrize(("name", "said"), [("lost_total", ""), ("lots_total", 'lots_total{workload="shop"}')])
    def test_a_counter_of_failures_that_blue_never_had_is_named(self, name, said, tmp_path, capsys):
        write(tmp_path / "samples", own(burst=8))
        counters = {"total": 'payments_total{workload="$workload"}', "bad": name + '{workload="$workload"}'}
        written = plan(tmp_path / "plan.yaml", checks=[{"name": "payments", "counters": counters}])
        words = ["--file", str(tmp_path / "samples"), *WINDOW, str(BEGIN + 7 * 3600), "--dry-run"]

        run(["preflight", written, *words])
        sentence = f"payments: no sample of {said} in all this time, so that blue has never failed, or there is no such counter"
        assert (sentence in capsys.readouterr().err) == bool(said)
        run(["preflight", written, *words, "-o", "json"])
        assert json.loads(capsys.readouterr().out)["pasts"][0]["unseenFailures"] == said


def test_a_blue_that_is_rolled_back_in_favour_of_itself_is_no_ground_to_judge_by():
    spec = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}})
    line = {"builtin": "error-rate", "workload": "shop", "lines": [{"share": 1, "bursts": 2, "widest": 3}]}
    measured = Measured.model_validate({"until": 1.0, "hours": 24, "checks": [line]})
    told = Told("shop/shop", spec, {}, Preflight((), releases=100, rollbacks=9, left=4), measured, until=1.0)

    assert (told.usable, told.code) == (False, 3)
    assert not replace(told, found=replace(told.found, left=2)).noisy


class TestPrinting:
    def test_people_see_the_dispersion_at_each_stage_and_how_blue_fared(self, flown):
        code, out, err = flown("quiet")

        assert code == 0
        assert "Blue of plan shop/shop, 7 hours of 3 pods with 30 requests a second until 2023-11-15 05:13:20 UTC:" in out
        assert "dispersion    at 5 %  at 25 %  at 50 %" in out
        assert "beyond 25 ms    80 %      not usable: more than 50 %" in out
        assert "releases over 16 stretches of time" in out
        assert "0 rolled back (0.00%)" in out
        assert "What sequential checks find, on average" in out
        assert "Nothing was stored." in err

    @pytest.mark.long
    def test_yaml_is_a_part_of_a_plan(self, flown):
        more = yaml.safe_load(flown("pair", "-o", "yaml")[1])
        spec = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}, **more})

        assert [check.sequential for check in spec.checks] == [True, True]


class TestUsage:
    @pytest.mark.parametrize(
        "more",
        [
            [],
            ["--file", "x", "--prometheus", "http://p:9090"],
            ["--file", "nowhere"],
            ["--file", "x", "--from", "tomorrow"],
            ["--file", "x", "--from", "2000", "--to", "1000"],
            ["--file", "x", "-o", "table"],
        ],
    )
    def test_wrong_usage_ends_with_2(self, more, tmp_path):
        (tmp_path / "x").write_text("")
        more = [str(tmp_path / "x") if word == "x" else word for word in more]

        assert run(["preflight", plan(tmp_path / "plan.yaml"), "--dry-run", *more]) == 2

    def test_a_prometheus_that_does_not_answer_ends_with_7(self, tmp_path, capsys):
        assert run(["preflight", plan(tmp_path / "plan.yaml"), "--dry-run", "--prometheus", "http://127.0.0.1:1"]) == 7
        assert "The Prometheus cannot be reached" in capsys.readouterr().err

    def test_a_plan_that_is_nowhere_ends_with_3(self, tmp_path):
        (tmp_path / "x").write_text("")
        found = a_terminal(started=False).penstock("preflight", "nobody", "-n", "shop", "--file", tmp_path / "x")

        assert found.code == 3
        assert "There is no plan nobody in namespace shop, and no such file." in found.err

    def test_a_path_is_no_name_of_a_plan_in_the_cluster(self, samples, tmp_path, capsys):
        assert run(["preflight", str(tmp_path), "--file", samples("pair")]) == 2
        assert capsys.readouterr().err == f"{tmp_path}: this is a folder, expected a file with a plan.\n"


class TestStoring:
    def stored(self, samples, terminal):
        return terminal.penstock("preflight", "shop", "-n", "shop", "--file", samples("pair"), *WINDOW, BEGIN + 7 * 3600)

    def live(self, terminal):
        return InMemoryKube(terminal.sim.server).get(RELEASE_PLAN, "shop", "shop")

    def test_it_is_stored_in_the_plans_status_and_the_next_release_freezes_it(self, samples):
        terminal = a_terminal(started=False)
        found = self.stored(samples, terminal)
        measured = self.live(terminal)["status"]["measured"]
        people.start(terminal.sim, "shop", "shop", terminal.sim.scenario.release, name="shop-v2")
        terminal.until_phase("Measuring")
        hash_ = terminal.release()["status"]["planHash"]
        frozen = json.loads(InMemoryKube(terminal.sim.server).get(CONFIG_MAP, "shop", f"penstock-plan-{hash_}")["data"]["plan.json"])

        assert found.code == 0
        assert re.search(r"MEASURED\n.* ago$", terminal.penstock("get", "plans", "-n", "shop", "-o", "wide").out.strip())
        assert "Stored for plan shop/shop; the next release freezes it." in found.err
        assert frozen["analysis"]["measured"]["checks"][0]["lines"][0]["bursts"] == measured["checks"][0]["lines"][0]["bursts"]
        assert [check["method"] for check in frozen["checks"]] == ["sequential", "sequential"]
        assert terminal.release()["status"]["sequential"][0]["name"] == "error-rate"
        assert [warning[:50] for warning in terminal.release()["status"]["warnings"]] == [
            "The dispersion of sequential checks was measured l"
        ]
        terminal.until_phase("Succeeded")
        assert [stage["verdict"] for stage in terminal.release()["status"]["stages"]] == ["pass"] * 4

    @pytest.mark.long
    def test_measuring_again_changes_nothing_that_runs(self, samples):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        before = terminal.release()["status"]["planHash"]
        self.stored(samples, terminal)
        terminal.until(700)

        assert terminal.release()["status"]["planHash"] == before
        assert "spec.analysis.measured" in terminal.penstock("why", "shop-v2", "-n", "shop").out

    @pytest.mark.long
    def test_a_file_is_stored_for_the_plan_of_its_name_and_only_where_there_is_one(self, folder, samples):
        terminal, words = a_terminal(started=False), ["--file", samples("pair"), *WINDOW, BEGIN + 7 * 3600]
        written = Path(plan(folder / "stored.yaml"))
        other = folder / "other.yaml"
        other.write_text(written.read_text(encoding="utf-8").replace("name: shop\n", "name: other\n", 1), encoding="utf-8")

        assert terminal.penstock("preflight", written, *words).code == 0
        assert self.live(terminal)["status"]["measured"]["hours"] == 7.0
        refused = terminal.penstock("preflight", other, *words)
        assert refused.code == 6
        assert "There is no plan other in namespace shop to store this for" in refused.err

    @pytest.mark.long
    def test_the_plan_goes_on_by_its_own_dispersion_and_says_so(self, samples):
        terminal = a_terminal(started=False)
        terminal.plan_patch(analysis={"dispersion": 3})
        found = self.stored(samples, terminal)

        assert "It goes by the plan's own dispersion of 3 all the same." in found.err

    def test_nonsense_in_the_status_counts_as_not_measured(self):
        spec = {"workload": "shop", "traffic": {"virtualService": "shop"}}

        assert filled_in(spec, {"measured": {"hours": -1}}) == spec
        assert filled_in(spec, {"measured": "yes"}) == spec

    def test_what_the_author_wrote_comes_first(self):
        line = {"builtin": "error-rate", "workload": "shop", "lines": [{"share": 1, "bursts": 2, "widest": 3}]}
        mine, stored = ({"until": 1.0, "hours": hours, "checks": [line]} for hours in (6, 24))

        assert filled_in({"analysis": {"measured": mine}}, {"measured": stored})["analysis"]["measured"] == mine
