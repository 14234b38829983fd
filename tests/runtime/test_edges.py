"""Configuration, logs, metrics and health: what operators see."""

import json
import logging
import time
import urllib.error
import urllib.request

import pytest
from fakes import FakeKube

from controller.adapters.kube_errors import ConfigError
from controller.adapters.prometheus_config import load_config as load_providers
from controller.ports import RELEASE, Answer, AnswerFault
from controller.runtime.config import load_config
from controller.runtime.health import HealthServer
from controller.runtime.logs import JsonLines, OnceAMinute
from controller.runtime.metrics import MeteredPrometheus, Metrics, metrics_once


class TestConfig:
    def test_flags_win_over_the_file(self, tmp_path):
        file = tmp_path / "c.yaml"
        file.write_text("workers: 2\nclusterDomain: a.local\nlease: {duration: 20s, renew: 4s}\n")
        config = load_config(str(file), cluster_domain="b.local", lease_renew="3s", namespaces=["shop"], workers=None)

        assert (config.workers, config.cluster_domain, config.namespaces) == (2, "b.local", ["shop"])
        assert (config.lease.duration, config.lease.renew) == (20.0, 3.0)

    def test_without_a_file_the_defaults_hold(self):
        config = load_config()

        assert (config.lease.duration, config.lease.renew, config.namespaces) == (10.0, 2.0, [])

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("a: [", "is not valid YAML"),
            ("- 1", "is no mapping"),
            ("wrokers: 2\nworkers: 0", "workers: found 0, expected a number of at least 1; wrokers: found the unknown field"),
            ("namespaces: shop", "namespaces: found 'shop', expected a list"),
            ("lease: {duration: 3s, renew: 2s}", "expected at most half of it"),
            ("lease: {duration: 3}", "expected a duration with its unit"),
            ("resync: -2.5", "resync: found -2.5, expected a duration with its unit"),
            ("listen: nowhere", "listen: found 'nowhere', expected HOST:PORT"),
            ("listen: 127.0.0.1:99999", "expected HOST:PORT"),
        ],
    )
    def test_a_fault_of_the_file_is_one_sentence(self, tmp_path, content, words):
        file = tmp_path / "c.yaml"
        file.write_text(content)

        with pytest.raises(ConfigError) as caught:
            load_config(str(file))

        assert words in str(caught.value)
        assert str(file) in str(caught.value)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ConfigError, match="cannot be read: No such file"):
            load_config(str(tmp_path / "none"))


class TestProviders:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("a: [", "is not valid YAML"),
            ("- 1", "is no mapping: it begins with `providers:`"),
            ("provider: []", "provider: found the unknown field 'provider', expected one of providers"),
            ("providers: [{name: a, tokn: 1}]", "providers[0].url: found nothing, expected the field 'url'; providers[0].tokn: found"),
            ("providers: [{name: a, url: 'http://u:p@x'}]", "providers[0].url: found credentials in the address, expected basicAuth"),
        ],
    )
    def test_a_fault_of_the_file_is_one_sentence(self, tmp_path, content, words):
        file = tmp_path / "providers.yaml"
        file.write_text(content)

        with pytest.raises(ConfigError) as caught:
            load_providers(file)

        assert f"The providers' file {file} " in str(caught.value)
        assert words in str(caught.value)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ConfigError, match=r"none cannot be read: No such file or directory\."):
            load_providers(tmp_path / "none")


class TestLogs:
    def test_a_line_is_json_and_says_what_it_is_about(self):
        record = logging.LogRecord("controller.x", logging.INFO, "f", 1, "Green may have %d %%.", (25,), None)
        record.release, record.stage, record.decision = "shop/r", 1, "Granted"
        line = json.loads(JsonLines().format(record))

        assert line.pop("time").endswith("Z")
        assert line == {"level": "info", "message": "Green may have 25 %.", "release": "shop/r", "stage": 1, "decision": "Granted"}

    def written(self, *records):
        """Which of these are written; each is (second, level, message, release)."""
        once = OnceAMinute()
        found = []
        for second, level, message, release in records:
            record = logging.LogRecord("controller.x", level, "f", 1, message, (), None)
            record.created, record.release = float(second), release
            if once.filter(record):
                found.append((second, release))
        return found

    def test_a_warning_that_lasts_is_written_at_once_and_then_once_a_minute(self):
        """A token that is not accepted any more is tried again every few seconds by every watch."""
        assert self.written(*((s, logging.WARNING, "401", "") for s in range(100, 250, 10))) == [(100, ""), (160, ""), (220, "")]

    def test_the_same_trouble_of_another_release_and_every_decision_are_written(self):
        warning, decision = logging.WARNING, logging.INFO
        warnings = [(1, warning, "403", "a"), (2, warning, "403", "b"), (3, warning, "403", "a")]
        found = self.written(*warnings, (4, decision, "x", "a"), (5, decision, "x", "a"))

        assert found == [(1, "a"), (2, "b"), (4, "a"), (5, "a")]

    def test_a_clock_that_was_set_back_keeps_no_warning_away(self):
        assert self.written((5000, logging.WARNING, "401", ""), (100, logging.WARNING, "401", "")) == [(5000, ""), (100, "")]


class TestMetrics:
    def release(self, phase, **rollback):
        return {"status": {"phase": phase} | ({"rollback": rollback} if rollback else {})}

    def test_a_reaction_is_measured_once_when_the_traffic_has_come_back(self):
        metrics = Metrics()
        deciding, back = self.release("RollingBack", decidedAt=10.0), self.release("RollingBack", decidedAt=10.0, trafficAt=10.5)
        for before, after in ((None, back), (deciding, deciding), (deciding, back), (back, back)):
            metrics.rolled_back(before, after)

        assert metrics.registry.get_sample_value("penstock_reaction_seconds_count") == 1.0
        assert metrics.registry.get_sample_value("penstock_reaction_seconds_sum") == 0.5

    def test_conflicts_are_counted_by_resource(self):
        metrics = Metrics()
        metrics.request_done("patch", "virtualservices", 409, 0.01)

        assert metrics.registry.get_sample_value("penstock_conflicts_total", {"resource": "virtualservices"}) == 1.0

    def test_a_late_wake_up_is_counted(self):
        metrics = Metrics()
        metrics.woken(0.4)
        metrics.woken(0.6)

        assert metrics.registry.get_sample_value("penstock_late_wakeups_total") == 1.0

    @pytest.mark.parametrize(
        ("answer", "result"),
        [(Answer(fault=AnswerFault.TIMEOUT), "timeout"), (Answer(warnings=("partial",)), "partial"), (Answer(), "empty")],
    )
    def test_queries_are_counted_by_result(self, answer, result):
        class Fixed:
            def query(self, _promql, _time):
                return answer

        metrics = Metrics()
        MeteredPrometheus(Fixed(), "", metrics, lambda: 0.0).query("up", 0.0)

        assert metrics.registry.get_sample_value("penstock_queries_total", {"provider": "default", "result": result}) == 1.0

    def test_the_distance_of_the_clocks_is_a_metric(self):
        class Ahead:
            def query(self, _promql, _time):
                return Answer(server_time=time.time() + 60)

        metrics = Metrics()
        MeteredPrometheus(Ahead(), "", metrics, lambda: 0.0).query("up", 0.0)

        offset = metrics.registry.get_sample_value("penstock_prometheus_clock_offset_seconds", {"provider": "default"})
        assert offset == pytest.approx(60, abs=5)

    def test_once_says_what_the_cluster_itself_knows(self):
        kube = FakeKube()
        kube.put(RELEASE, "shop", "a", status={"phase": "Measuring"})
        kube.put(RELEASE, "shop", "b")
        kube.put(RELEASE, "shop", "c", status={"phase": "RolledBack", "rollback": {"decidedAt": 1.0, "trafficAt": 1.25}})
        text = metrics_once(kube, ["shop"])

        assert 'penstock_releases{phase="Measuring"} 1.0' in text
        assert 'penstock_releases{phase="Queued"} 1.0' in text
        assert "penstock_reaction_seconds_sum 0.25" in text
        assert "penstock_leading" not in text


class TestHealth:
    @pytest.fixture
    def served(self):
        state = {"live": (True, "Alive."), "ready": (False, "Not read in yet: releases.")}
        server = HealthServer("127.0.0.1:0", live=lambda: state["live"], ready=lambda: state["ready"], metrics=lambda: "m 1\n")
        yield f"http://127.0.0.1:{server.port}"
        server.close()

    def test_an_address_that_is_taken_is_a_sentence(self, served):
        address = served.removeprefix("http://")

        with pytest.raises(ConfigError, match=f"cannot listen on {address}: Address already in use."):
            HealthServer(address, live=lambda: (True, ""), ready=lambda: (True, ""), metrics=str)

    def ask(self, url):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @pytest.mark.parametrize(
        ("path", "status", "body"),
        [
            ("/livez", 200, "Alive.\n"),
            ("/healthz", 200, "Alive.\n"),
            ("/readyz", 503, "Not read in yet: releases.\n"),
            ("/metrics", 200, "m 1\n"),
            ("/", 404, "There are /livez, /readyz, /healthz and /metrics.\n"),
        ],
    )
    def test_each_path_answers(self, served, path, status, body):
        assert self.ask(served + path) == (status, body)
