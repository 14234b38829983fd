"""`penstock judge`, as a shell sees it: windows from files of every kind and from the simulator's Prometheus."""

import gzip
import html
import json
import math
import shlex
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from analysis.model import Arm
from controller.cli import judge_prometheus
from controller.cli.exits import CommandError
from controller.cli.judge_files import read_files
from controller.cli.judge_selectors import BUCKETS, REQUESTS, arm_of, selector
from controller.cli.main import run
from controller.ports import Answer, AnswerFault
from controller.simulator.promql.engine import Engine
from controller.simulator.promql.provider import SimulatedPrometheus
from controller.simulator.promql.storage import Store, Target
from tests.docs.pages import ROOT

BEGIN = 1_700_000_000
STEP, LOOKS, HISTORY = 15, 80, 240
EDGES = (100.0, 250.0, 500.0, math.inf)
TAILS = (0.3, 0.03, 0.002, 0.0)
ARMS = ["--baseline", '{destination_workload="shop"}', "--candidate", '{destination_workload="shop-green"}']
WINDOW = ["--from", str(BEGIN), "--to", str(BEGIN + STEP * LOOKS)]


def release(green_errors=0.005, *, slower=1.0, per_look=2000, green_share=0.25, tails=(TAILS, TAILS)):
    """Series of both versions: name and labels, and (time, value) pairs; rates are exact, so that nothing here is chance."""
    found = {}
    blue, green = ("shop", 0.005, 1 - green_share, 1.0, tails[0]), ("shop-green", green_errors, green_share, slower, tails[1])
    for workload, errors, share, pace, beyond in (blue, green):
        for pod in "ab":
            for look in range(-HISTORY, LOOKS + 1):
                if workload == "shop-green" and look < 0:
                    continue
                n = int(per_look * share / 2 * (look + HISTORY))
                bad, common = int(n * errors), {"reporter": "source", "destination_workload": workload, "pod": pod}
                values = {(REQUESTS, "response_code", "200"): n - bad, (REQUESTS, "response_code", "503"): bad}
                for edge, tail in zip(EDGES, beyond, strict=True):
                    le = "+Inf" if math.isinf(edge) else f"{edge:g}"
                    values[BUCKETS, "le", le] = n - int(n * min(tail * pace, 0.99))
                for (name, label, value), count in values.items():
                    labels = tuple(sorted({"__name__": name, label: value, **common}.items()))
                    found.setdefault(labels, []).append((BEGIN + STEP * look, count))
    return found


def text_of(labels):
    held = dict(labels)
    name, pairs = held.pop("__name__"), [f'{key}="{value}"' for key, value in held.items()]
    return f"{name}{{{','.join(pairs)}}}"


def as_openmetrics(series):
    lines = ["# TYPE istio_requests counter"]
    lines += [f"{text_of(labels)} {value} {time}.000" for labels, samples in series.items() for time, value in samples]
    return "\n".join([*lines, "# EOF", ""])


def as_dump(series):
    lines = []
    for labels, samples in series.items():
        inner = ", ".join(f'{key}="{value}"' for key, value in labels)
        lines += [f"{{{inner}}} {value} {time * 1000}" for time, value in samples]
    return "\n".join([*lines, ""])


def as_json(series):
    result = [{"metric": dict(labels), "values": [[time, str(value)] for time, value in samples]} for labels, samples in series.items()]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    (folder / "healthy.txt").write_text(as_openmetrics(release()))
    bad = release(0.03)
    for name, write in (("bad.txt", as_openmetrics), ("bad.dump", as_dump), ("bad.json", as_json)):
        (folder / name).write_text(write(bad))
    (folder / "slow.txt").write_text(as_openmetrics(release(slower=5)))
    (folder / "few.txt").write_text(as_openmetrics(release(per_look=4)))
    return folder


def judged(capsys, *arguments):
    code = run(["judge", *arguments, "-o", "json"])
    out = capsys.readouterr()
    return code, json.loads(out.out) if out.out else out.err


class TestVerdicts:
    def test_a_healthy_version_passes_with_0(self, files, capsys):
        code, found = judged(capsys, *ARMS, *WINDOW, "--file", str(files / "healthy.txt"))

        assert (code, found["outcome"], found["rolledBackAt"]) == (0, "pass", None)
        assert [check["check"].split()[0] for check in found["checks"]] == ["errors", "latency"]
        assert found["checks"][0]["n"] == pytest.approx(0.25 * 2000 * LOOKS, rel=0.02)

    def test_a_worse_version_fails_with_3_and_says_when_a_release_would_have_ended(self, files, capsys):
        code, found = judged(capsys, *ARMS, *WINDOW, "--file", str(files / "bad.txt"))

        assert (code, found["outcome"]) == (3, "fail")
        assert BEGIN < found["rolledBackAt"] < BEGIN + 300
        assert found["checks"][0]["sentence"].startswith("errors: the candidate is worse than tolerated: 2.9")

    def test_a_slower_version_fails_for_latency(self, files, capsys):
        code, found = judged(capsys, *ARMS, *WINDOW, "--file", str(files / "slow.txt"))

        assert (code, found["checks"][0]["check"]) == (3, "latency beyond 100")

    @pytest.mark.parametrize("history", ["1h", "0s"])
    def test_where_all_requests_lie_in_one_bucket_the_slower_version_fails_at_its_upper_edge(self, history, tmp_path, capsys):
        quick, slow = (1.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0)
        (tmp_path / "slow.txt").write_text(as_openmetrics(release(tails=(quick, slow))))
        (tmp_path / "same.txt").write_text(as_openmetrics(release(tails=(quick, quick))))
        code, found = judged(capsys, *ARMS, *WINDOW, "--file", str(tmp_path / "slow.txt"), "--history", history)

        assert (code, found["checks"][0]["check"]) == (3, "latency beyond 250")
        assert judged(capsys, *ARMS, *WINDOW, "--file", str(tmp_path / "same.txt"), "--history", history)[0] == 0

    def test_too_few_requests_end_with_4(self, files, capsys):
        code, found = judged(capsys, *ARMS, *WINDOW, "--file", str(files / "few.txt"))

        assert (code, found["outcome"], found["checks"][0]["reason"]) == (4, "inconclusive", "TooFewRequests")

    def test_people_see_the_sentence_the_numbers_and_the_moment(self, files, capsys):
        assert run(["judge", *ARMS, *WINDOW, "--file", str(files / "bad.txt")]) == 3
        told = capsys.readouterr()

        assert told.out.startswith("fail: errors: the candidate is worse than tolerated: 2.9")
        assert "A release would have been rolled back at 2023-11-14 22:1" in told.out
        assert "n baseline  e-value" in told.out
        assert "Known before of errors: 1h of the baseline with 0.5 % errors, and a dispersion of 1.00 to 1.00." in told.err


def with_a_silence(errors, looks):
    """A release in which one of the baseline's pods is not scraped at these looks."""
    missed = {BEGIN + STEP * look for look in looks}
    found = release(errors)
    silent = {("destination_workload", "shop"), ("pod", "a")}
    return {labels: [one for one in samples if not (silent <= set(labels) and one[0] in missed)] for labels, samples in found.items()}


@pytest.mark.parametrize(("errors", "aside"), [(0.005, 750 * 8), (0.03, 0)], ids=["to the end", "ended before the silence"])
def test_requests_that_are_set_aside_are_counted_once_a_check_and_only_where_it_judged(errors, aside, tmp_path, capsys):
    (tmp_path / "samples.txt").write_text(as_openmetrics(with_a_silence(errors, range(20, 27))))
    asked = [*ARMS, *WINDOW, "--file", str(tmp_path / "samples.txt")]

    _, found = judged(capsys, *asked)
    run(["judge", *asked])

    assert {check["setAside"] for check in found["checks"]} == {aside}
    told = f"Set aside: {aside:,} requests of errors, {aside:,} requests of latency, because their pods came back"
    assert (told in capsys.readouterr().err) is bool(aside)


def test_the_page_shows_what_is_printed(files, capsys):
    page = (ROOT / "docs" / "analysis" / "judging.md").read_text()
    shown = page.partition("```console\n")[2].partition("```")[0].splitlines()[1:]

    assert run(["judge", *ARMS, *WINDOW, "--file", str(files / "bad.txt")]) == 3
    assert capsys.readouterr().out.splitlines() == shown


class TestReport:
    """The report of releases, about any window."""

    def printed(self, files, capsys, output, name="bad.txt"):
        code = run(["judge", *ARMS, *WINDOW, "--file", str(files / name), "-o", output])
        return code, capsys.readouterr().out

    def test_a_page_has_the_verdict_the_paths_and_how_to_do_it_again(self, files, capsys):
        code, page = self.printed(files, capsys, "html", "healthy.txt")

        assert code == 0
        assert "errors: no sign that the candidate is worse" in page
        assert page.count("<figure") == 2 * 3
        assert "Green is the candidate, {destination_workload=&quot;shop-green&quot;}" in page
        assert "penstock judge --baseline &#x27;{destination_workload=&quot;shop&quot;}&#x27; --candidate" in page
        assert 'id="decisions"' not in page

    def test_the_command_in_it_judges_the_same_again(self, files, capsys):
        _, page = self.printed(files, capsys, "html")
        again = html.unescape(page.rpartition("<pre><code>")[2].partition("</code>")[0])

        code = run([*shlex.split(again)[1:], "-o", "html"])
        assert (code, capsys.readouterr().out) == (3, page)

    def test_markdown_and_junit_have_every_check(self, files, capsys):
        code, text = self.printed(files, capsys, "markdown")
        _, xml = self.printed(files, capsys, "junit")

        assert (code, text.splitlines()[0]) == (3, "# A past window: Fail")
        assert "| errors (sequential) | **fail** |" in text
        assert [case.get("name") for case in ET.fromstring(xml)] == ["verdict", "sequential errors", "sequential latency beyond 500"]

    def test_what_cannot_be_judged_is_skipped_and_no_pass(self, files, capsys):
        code, xml = self.printed(files, capsys, "junit", "few.txt")
        suite = ET.fromstring(xml)

        assert (code, suite.get("skipped"), suite.get("errors")) == (4, "2", "1")


class TestSources:
    @pytest.mark.parametrize("name", ["bad.dump", "bad.json"])
    def test_every_kind_of_file_gives_the_same_answer(self, name, files, capsys):
        first = judged(capsys, *ARMS, *WINDOW, "--file", str(files / "bad.txt"))

        assert judged(capsys, *ARMS, *WINDOW, "--file", str(files / name)) == first

    def test_prometheus_is_asked_for_raw_samples_an_hour_at_a_time(self, files, capsys, monkeypatch):
        prometheus = simulated(release(0.03))
        monkeypatch.setattr(judge_prometheus, "connected", lambda _url: prometheus)
        first = judged(capsys, *ARMS, *WINDOW, "--file", str(files / "bad.txt"))

        assert judged(capsys, *ARMS, *WINDOW, "--prometheus", "http://prometheus:9090") == first

    def test_an_answer_that_is_too_large_is_asked_for_in_smaller_pieces(self):
        asked = []

        class Small:
            def query(self, promql, time):
                asked.append((promql, time))
                return Answer(fault=AnswerFault.TOO_LARGE) if "[3600s]" in promql else Answer(result_type="matrix")

        judge_prometheus.read_prometheus(Small(), [arm_of("up", "--baseline").requests], 0, 3600)

        assert asked == [("up[3600s]", 3600), ("up[1800s]", 1800), ("up[1800s]", 3600)]

    def test_a_silent_prometheus_ends_with_7_and_says_who_was_asked_for_what(self, capsys):
        assert run(["judge", *ARMS, *WINDOW, "--prometheus", "http://127.0.0.1:1"]) == 7
        said = capsys.readouterr().err
        assert said.startswith("The Prometheus at http://127.0.0.1:1 cannot be reached (")
        assert "it was asked for istio_requests_total{" in said
        assert said.endswith("Is it up, and reachable from here (kubectl port-forward)?\n")

    @pytest.mark.parametrize(
        ("fault", "code", "said"),
        [
            (AnswerFault.TIMEOUT, 7, "did not answer in time (no answer within 60 s)"),
            (AnswerFault.UNAUTHORIZED, 7, "does not let us in (HTTP 403: no)"),
            (AnswerFault.SERVER_ERROR, 7, "failed (HTTP 500: oops)"),
            (AnswerFault.UNREADABLE, 7, "gave no answer of a Prometheus (HTTP 200 with text/html instead of JSON)"),
            (AnswerFault.BAD_QUERY, 2, "refuses to select up"),
            (AnswerFault.TOO_LARGE, 2, "is more than is read at once"),
        ],
        ids=str,
    )
    def test_every_fault_of_prometheus_is_one_sentence(self, fault, code, said):
        message = said.partition("(")[2].rstrip(")") or "parse error"

        class Failing:
            def query(self, _promql, _time):
                return Answer(fault=fault, message=message)

        with pytest.raises(CommandError) as failure:
            judge_prometheus.read_prometheus(Failing(), [arm_of("up", "--baseline").requests], 0, 3600, "The Prometheus at http://p")

        assert failure.value.code == code
        assert said in failure.value.sentence


def simulated(series):
    store, samples = Store(), {}
    for labels, values in series.items():
        for time, value in values:
            samples.setdefault(time, []).append((store.series(dict(labels)), float(value)))
    target = Target(store)
    for time in sorted(samples):
        target.ingest(float(time), [one for one, _ in samples[time]], [value for _, value in samples[time]])
    return SimulatedPrometheus(Engine(store), lambda: 0.0)


def test_requests_that_caller_and_pod_have_both_counted_count_once(files, capsys, tmp_path):
    """As Istio's proxies on both sides do; twice the counts would be twice the evidence."""
    series = release(0.03)
    pods = {tuple(sorted({**dict(labels), "reporter": "destination"}.items())): samples for labels, samples in series.items()}
    path = tmp_path / "samples"
    path.write_text(as_dump(series | pods))
    once = judged(capsys, *ARMS, *WINDOW, "--file", str(files / "bad.txt"))

    assert judged(capsys, *ARMS, *WINDOW, "--file", str(path)) == once
    assert run(["judge", *ARMS, *WINDOW, "--file", str(path)]) == 3
    assert "have both counted; what reporter=source counted is judged." in capsys.readouterr().err


def test_versions_that_only_different_sides_have_counted_are_told_apart(capsys, tmp_path):
    series = release(0.03)
    pods = {
        tuple(sorted({**dict(labels), "reporter": "destination"}.items()))
        if dict(labels)["destination_workload"] == "shop"
        else labels: samples
        for labels, samples in series.items()
    }
    path = tmp_path / "samples"
    path.write_text(as_dump(pods))

    assert run(["judge", *ARMS, *WINDOW, "--file", str(path)]) == 4
    assert "but of the baseline only the other side's counters were found" in capsys.readouterr().err


def test_requests_that_are_all_in_one_bucket_are_judged_at_its_upper_edge(capsys, tmp_path):
    """Both histograms have the edge 500 ms, and all of their thousands of requests are faster."""
    every = {labels: samples for labels, samples in release().items() if dict(labels).get("le") == "+Inf"}
    faster = {tuple(sorted({**dict(labels), "le": "500"}.items())): samples for labels, samples in every.items()}
    path = tmp_path / "samples"
    path.write_text(as_dump(every | faster))
    code, found = judged(capsys, *ARMS, *WINDOW, "--file", str(path))

    (latency,) = [check for check in found["checks"] if check["check"].startswith("latency")]

    assert (latency["check"], latency["outcome"], latency["candidate"]) == ("latency beyond 500", "pass", 0.0), (code, latency)


class TestNothingToJudge:
    def test_the_same_series_twice_is_inconclusive(self, files, capsys):
        code, found = judged(capsys, *ARMS[:2], "--candidate", ARMS[1], *WINDOW, "--file", str(files / "healthy.txt"))

        assert (code, {check["reason"] for check in found["checks"]}) == (4, {"SameSeries"})

    def test_no_series_is_inconclusive(self, files, capsys):
        code, found = judged(capsys, *ARMS[:3], '{destination_workload="nobody"}', *WINDOW, "--file", str(files / "healthy.txt"))

        assert (code, found["checks"][0]["reason"]) == (4, "NoSeries")

    def test_a_window_before_all_samples_is_inconclusive(self, files, capsys):
        code, _ = judged(capsys, *ARMS, "--from", "1000", "--to", "2000", "--file", str(files / "healthy.txt"))

        assert code == 4

    def test_a_window_longer_than_what_is_kept_is_never_a_pass_and_says_since_when_there_are_samples(self, files, capsys):
        early = ["--from", str(BEGIN - STEP * (HISTORY + 100)), "--to", str(BEGIN + STEP * LOOKS)]
        code, found = judged(capsys, *ARMS, *early, "--file", str(files / "healthy.txt"))

        assert (code, found["outcome"]) == (4, "inconclusive")
        assert found["sentence"].startswith("The baseline's samples begin at 2023-11-14 21:13:20 UTC, 25m after the window's begin")

    def test_a_partial_answer_in_a_file_is_never_a_pass_either(self, capsys, tmp_path):
        answer = json.loads(as_json(release()))
        (tmp_path / "partial.json").write_text(json.dumps({**answer, "warnings": ["store down"]}))
        code = run(["judge", *ARMS, *WINDOW, "--file", str(tmp_path / "partial.json"), "-o", "json"])
        told = capsys.readouterr()

        assert (code, json.loads(told.out)["partial"]) == (4, True)
        assert "partial.json: Prometheus warned: store down" in told.err

    @pytest.mark.parametrize("text", ["time,a,b\n1,2,3\n", "a:\n  b: 1\n"])
    def test_a_file_of_another_kind_is_refused_by_its_first_line(self, capsys, tmp_path, text):
        (tmp_path / "other.txt").write_text(text)
        code, said = judged(capsys, *ARMS, *WINDOW, "--file", str(tmp_path / "other.txt"))

        assert code == 2
        assert said.endswith("expected a series, a value and a timestamp.\n")

    @pytest.mark.parametrize("name", ["bad.txt", "bad.dump", "bad.json"])
    def test_a_byte_order_mark_changes_nothing(self, files, capsys, tmp_path, name):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (files / name).read_bytes())

        assert judged(capsys, *ARMS, *WINDOW, "--file", str(tmp_path / name)) == judged(capsys, *ARMS, *WINDOW, "--file", str(files / name))

    def test_a_selector_may_only_exclude(self, files, capsys):
        """PromQL refuses that of a selector without a name; Istio's names are meant."""
        arms = ["--baseline", '{destination_workload!="shop-green"}', *ARMS[2:]]
        code, found = judged(capsys, *arms, *WINDOW, "--file", str(files / "bad.txt"))

        assert (code, found["checks"][0]["detail"]["baseline_n"] > 0) == (3, True)

    def test_a_partial_answer_is_never_a_pass_and_says_so_first(self, capsys, monkeypatch):
        class Partial:
            def __init__(self, inner):
                self.inner = inner

            def query(self, promql, time):
                return replace(self.inner.query(promql, time), warnings=("store down",))

        prometheus = Partial(simulated(release()))
        monkeypatch.setattr(judge_prometheus, "connected", lambda _url: prometheus)
        code, found = judged(capsys, *ARMS, *WINDOW, "--prometheus", "http://prometheus:9090")

        assert (code, found["sentence"]) == (4, "An answer was partial, and what it lacks nobody knows.")


def every(value):
    """All values replaced."""
    return lambda series: {labels: [(time, value(count)) for time, count in samples] for labels, samples in series.items()}


def edges(change):
    """Bucket edges renamed, or left out where the new name is None."""

    def renamed(series):
        found = {}
        for labels, samples in series.items():
            held = dict(labels)
            if "le" in held:
                held["le"] = change(held["le"])
            if held.get("le", "") is not None:
                found[tuple(sorted(held.items()))] = samples
        return found

    return renamed


def falls_once(series):
    """One bucket of the green histogram counts less at one scrape than before; the next one is right again."""
    at = BEGIN + STEP * 40
    return {
        labels: [(time, count - 900 if time == at and ("le", "250") in labels else count) for time, count in samples]
        for labels, samples in series.items()
    }


def falls_for_a_while(series):
    """Twenty scrapes of the green histogram have half of a bucket, in both pods; then it is right again."""
    while_ = range(BEGIN + STEP * 30, BEGIN + STEP * 50)
    halved = {("le", "250"), ("destination_workload", "shop-green")}
    return {
        labels: [(time, count // 2 if time in while_ and halved <= set(labels) else count) for time, count in samples]
        for labels, samples in series.items()
    }


BROKEN = {
    "NaN": (every(lambda _: "NaN"), {"UnusableCounter"}),
    "infinite": (every(lambda _: "+Inf"), {"UnusableCounter"}),
    "negative": (every(lambda count: -1 - count), {"UnusableCounter", "FallingBuckets"}),
    "one sample": (lambda series: {labels: samples[-1:] for labels, samples in series.items()}, {"BaselineMissing", "TooFewSamples"}),
    "no +Inf": (edges(lambda le: None if le == "+Inf" else le), {"NoEvidenceAgainst", "NoInfBucket"}),
    "edges that are no numbers": (edges(lambda le: "wide" if le == "250" else le), {"NoEvidenceAgainst", "BadBucketEdge"}),
    "falling counts": (edges(lambda le: {"100": "250", "250": "100"}.get(le, le)), {"NoEvidenceAgainst", "FallingBuckets"}),
    "counts that fell once": (falls_once, {"NoEvidenceAgainst", "FallingBuckets"}),
    "counts that fell for a while": (falls_for_a_while, {"NoEvidenceAgainst", "FallingBuckets"}),
}


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ('istio_requests_total{a="b"} 1\n', "found 'istio_requests_total{a=\"b\"} 1', expected a series, a value and a timestamp"),
            ('istio_requests_total{a="b"} one 1700000000\n', "expected numbers for value and timestamp"),
            ('istio_requests_total{a="b"} 1 1700000000\nistio_requests_total{a="b"} 1\n', "samples:2: found 'istio_requests_total{a="),
            ('istio_requests_total{a="b"} 1 1700000000\nistio_requests_total{a="b"}\n', "expected a series, a value and a timestamp"),
            ('istio_requests_total{a="b"} 1 1700000000\nistio_requests_total{a="b"} one 1700000015\n', "expected numbers for value and"),
            ("istio_requests_total{a=b} 1 1700000000\n", 'expected label="value"'),
            ('istio_requests_total{a="b"} 1 1700000000\nistio_requests_total{a="b"} 2 17', "the file may be cut"),
            ('istio_requests_total{a="b"} 1 1700000000\nup{job="', "samples:2: found a last line 'up{job=\"', expected a line feed"),
            ("[{", "the JSON is cut or wrong"),
            ('{"status": "success", "data": {"resultType": "streams", "result": []}}', "unknown result type"),
            (
                '{"status": "error", "errorType": "timeout", "error": "too slow"}',
                "samples: found an error that Prometheus answered (timeout: too slow)",
            ),
            ("", "found no sample, expected OpenMetrics text, JSON of a range query, or a `promtool tsdb dump`"),
            ("# TYPE istio_requests counter\n\n# EOF\n", "found no sample"),
            ("[]", "found no sample"),
            ('{"status": "success", "data": {"resultType": "matrix", "result": []}}', "found no sample"),
        ],
    )
    def test_a_file_that_is_no_samples_is_one_sentence_with_its_place(self, text, sentence, tmp_path, capsys):
        path = tmp_path / "samples"
        path.write_text(text)
        code = run(["judge", *ARMS, *WINDOW, "--file", str(path)])
        told = capsys.readouterr()

        assert (code, told.err.count("\n")) == (2, 1)
        assert sentence in told.err
        assert str(path) in told.err

    def test_a_packed_file_is_named_as_one(self, files, tmp_path, capsys):
        path = tmp_path / "samples.gz"
        path.write_bytes(gzip.compress((files / "healthy.txt").read_bytes()))

        assert run(["judge", *ARMS, *WINDOW, "--file", str(path)]) == 2
        assert "samples.gz: found a file that gzip has packed, expected text or JSON: unpack it first." in capsys.readouterr().err

    def test_the_end_of_openmetrics_needs_no_line_feed(self, tmp_path, capsys):
        path = tmp_path / "samples"
        path.write_text(as_openmetrics(release()).rstrip())

        assert judged(capsys, *ARMS, *WINDOW, "--file", str(path))[0] == 0

    @pytest.mark.long
    def test_samples_that_are_no_numbers_are_no_samples(self, capsys, tmp_path):
        """A dump marks the ends of series so."""
        series = release()
        broken = {
            labels: [sample for time, value in samples for sample in ((time, value), (time + 3, "NaN"))]
            for labels, samples in series.items()
        }
        path = tmp_path / "samples"
        path.write_text(as_dump(broken))
        code, _ = judged(capsys, *ARMS, *WINDOW, "--file", str(path))

        assert code == 0

    def test_time_that_goes_backwards_is_put_in_order(self, files, capsys, tmp_path):
        path = tmp_path / "samples"
        path.write_text(as_dump({labels: samples[::-1] for labels, samples in release(0.03).items()}))

        assert judged(capsys, *ARMS, *WINDOW, "--file", str(path)) == judged(capsys, *ARMS, *WINDOW, "--file", str(files / "bad.txt"))

    @pytest.mark.parametrize("broken", BROKEN)
    def test_series_that_cannot_be_counted_are_inconclusive_each_by_its_own_word(self, broken, capsys, tmp_path):
        change, reasons = BROKEN[broken]
        path = tmp_path / "samples"
        path.write_text(as_dump(change(release())))
        code, found = judged(capsys, *ARMS, *WINDOW, "--file", str(path))

        assert (code, {check["reason"] for check in found["checks"]}) == (4, reasons)

    def test_more_samples_than_memory_is_meant_for_are_refused_while_they_are_read(self, files):
        selectors = [arm_of("reporter='source'", "--baseline").requests]

        with pytest.raises(CommandError, match="more than 100 samples are asked for; narrow the selectors or the time"):
            read_files([files / "bad.txt"], selectors, 0, math.inf, most=100)

    @pytest.mark.parametrize(
        "arguments",
        [
            [*WINDOW, "--file", "x"],
            [*ARMS, *WINDOW],
            [*ARMS, *WINDOW, "--file", "nowhere"],
            [*ARMS, "--from", "tomorrow", "--file", "x"],
            [*ARMS, "--from", "2000", "--to", "1000", "--file", "x"],
            ["--baseline", "rate(up[5m])", "--candidate", "up", *WINDOW, "--file", "x"],
            ["--baseline", "up{", "--candidate", "up", *WINDOW, "--file", "x"],
            [*ARMS, *WINDOW, "--file", "x", "--alpha", "2"],
            [*ARMS, *WINDOW, "--prometheus", "nowhere"],
        ],
    )
    def test_wrong_usage_ends_with_2(self, arguments):
        assert run(["judge", *arguments]) == 2

    @pytest.mark.parametrize(
        ("option", "given", "sentence"),
        [
            ("--alpha", "2", "--alpha: found 2, expected a number between 0 and 1, such as 0.01.\n"),
            ("--limit", "nan", "--limit: found nan, expected percent between 0 and 100.\n"),
            ("--errors", "code=", "--errors: found 'code=', expected conditions on labels, such as 'result=\"error\"'.\n"),
        ],
    )
    def test_each_option_is_named_with_what_was_found(self, option, given, sentence, files, capsys):
        assert run(["judge", *ARMS, *WINDOW, "--file", str(files / "healthy.txt"), option, given]) == 2
        assert capsys.readouterr().err == sentence

    @pytest.mark.parametrize("turned", [False, True])
    def test_a_counter_is_not_compared_with_a_histogram(self, turned, files, capsys):
        given = ['hits_total{a="b"}', 'seconds_bucket{a="c"}']
        one, other = reversed(given) if turned else given
        asked = ["--baseline", one, "--candidate", other, *WINDOW, "--file", str(files / "healthy.txt")]
        kinds = ["a counter of requests", "the buckets of a histogram"]

        assert run(["judge", *asked]) == 2
        assert f"found {' and '.join(reversed(kinds) if turned else kinds)}, expected two of one kind" in capsys.readouterr().err

    def test_samples_of_another_time_are_missing_with_the_time_that_was_looked_at(self, files, capsys):
        """The usual mistake: a file of last week and `--from -2h`."""
        assert run(["judge", *ARMS, "--from", "4000000000", "--to", "4000003600", "--file", str(files / "healthy.txt")]) == 4
        assert "between 2096-10-02 01:06:40 UTC and 2096-10-02 08:06:40 UTC." in capsys.readouterr().err

    def test_requests_without_a_status_need_the_option(self, capsys, tmp_path):
        pods = [(app, word) for app in "ab" for word in ("ok", "error")]
        lines = [f'hits{{app="{app}",result="{word}"}} {100 * look} {BEGIN + STEP * look}' for app, word in pods for look in range(81)]
        path = tmp_path / "samples"
        path.write_text("\n".join([*lines, ""]))
        arms = ["--baseline", 'hits{app="a"}', "--candidate", 'hits{app="b"}', *WINDOW, "--file", str(path)]

        assert run(["judge", *arms]) == 2
        assert "--errors 'result=\"error\"'" in capsys.readouterr().err
        assert judged(capsys, *arms, "--errors", 'result="error"')[1]["checks"][0]["candidate"] == 50

    def test_conditions_that_every_request_meets_are_told_instead_of_too_few_requests(self, files, capsys):
        assert run(["judge", *ARMS, *WINDOW, "--file", str(files / "healthy.txt"), "--errors", 'response_code=~".+"']) == 4
        told = capsys.readouterr()

        assert told.out.startswith("inconclusive: errors: cannot be told: whatever the number of requests, what is tolerated at the ")
        assert "too few requests" not in told.out
        assert (
            'Every request of the baseline and of the candidate counts as failed by --errors {response_code=~".+"}: '
            "expected conditions that only failed requests meet.\n"
        ) in told.err

    def test_conditions_that_no_request_meets_are_told_with_the_labels_that_there_are(self, files, capsys):
        asked = [*ARMS, *WINDOW, "--file", str(files / "healthy.txt"), "--errors", 'reponse_code="503"']
        run(["judge", *asked])
        assert (
            'No request of the baseline and of the candidate counts as failed by --errors {reponse_code="503"}: '
            "is that so, or is a label or value misspelt? There are the labels destination_workload, pod, reporter, response_code.\n"
        ) in capsys.readouterr().err
        assert judged(capsys, *asked)[1]["odd"].startswith("No request of the baseline")

    def test_conditions_that_some_requests_of_each_version_meet_are_no_remark(self, files, capsys):
        asked = [*ARMS, *WINDOW, "--file", str(files / "healthy.txt"), "--errors", 'response_code="503"']

        assert judged(capsys, *asked)[1]["odd"] == ""


def test_native_histograms_of_a_dump_are_named_where_they_are_left_out(files, tmp_path, capsys):
    """As promtool 3.16.0 prints them."""
    labels = '{__name__="istio_request_duration_milliseconds", destination_workload="shop", reporter="source"}'
    line = f"{labels} {{count:540, sum:27071.536627755588, (7.336032345637369,8]:2, (8,8.724061861322062]:538}} 1700000000000\n"
    other = line.replace("istio_request_duration_milliseconds", "other_seconds")
    path = tmp_path / "dump.txt"
    path.write_text('{__name__="up"} 1 1700000000000\n' + line + line + other + (files / "healthy.txt").read_text())

    run(["judge", *ARMS, *WINDOW, "--file", str(path)])

    assert f"{path}: 2 samples of native histograms are left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ('x_bucket{a="b"}', 'x{a="b"}'), ('x_bucket{a="b",le=~"64|[+]Inf"}', 'x{a="b"}'), ('x_bucket{le="64", a="b"}', 'x{ a="b"}'),
        ('x_bucket{file="y"}', 'x{file="y"}'), ("x_bucket", "x"),
    ],
)  # fmt: skip
def test_classic_buckets_have_a_native_histogram_of_the_same_name_without_edges(text, native):
    assert selector(text, "--baseline").native.text == native


def test_a_counter_has_no_native_histogram():
    assert selector('hits{le="1"}', "--baseline").native is None


def test_a_selector_with_a_name_is_about_that_metric():
    assert [one is not None for one in (arm_of("a_bucket", "x").requests, arm_of("a_bucket", "x").buckets)] == [False, True]
    assert [one is not None for one in (arm_of('a{b="c"}', "x").requests, arm_of("a", "x").buckets)] == [True, False]
    assert arm_of('b="c"', "x").requests.text == 'istio_requests_total{b="c"}'
    assert {Arm.BASELINE, Arm.CANDIDATE} == set(Arm)
