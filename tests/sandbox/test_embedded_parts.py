"""The parts of the embedded cluster that only it has: faster scenarios, Prometheus over HTTP, the probe proxy."""

import time
import tomllib
from pathlib import Path

import httpx
import pytest

from controller.adapters.http import HttpProber
from controller.adapters.prometheus import HttpPrometheus
from controller.adapters.prometheus_config import Provider
from controller.cli.sandbox_world import EXAMPLES, examples_of, find_story
from controller.ports import DEPLOYMENT, AnswerFault, Patch, RefusedError
from controller.ports import VIRTUAL_SERVICE as ROUTE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.embedded import EmbeddedCluster
from controller.simulator.embedded_time import hastened

RATE = 'sum(rate(istio_requests_total{reporter="source",destination_service="shop.shop.svc.cluster.local"}[5s]))'


@pytest.fixture(scope="module")
def cluster():
    story = find_story(EXAMPLES / "first-release", "healthy")
    with EmbeddedCluster(story.scenario, story.objects, divisor=50) as found:
        yield found


@pytest.fixture
def kube(cluster):
    return InMemoryKube(cluster.server, user="admin")


def until(reached, seconds=10.0):
    """Wait for a state of the cluster, which lives in real time."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_faster_scenario_has_as_many_requests_in_shorter_times():
    scenario = find_story(EXAMPLES / "hwayo", "healthy").scenario
    fast = hastened(scenario, 10)

    assert fast.scrape == scenario.scrape / 10
    assert [(s.after, s.value) for s in fast.users[1].rps] == [(s.after / 10, s.value * 10) for s in scenario.users[1].rps]
    assert fast.versions[0].errors == scenario.versions[0].errors
    assert fast.metrics[0].value[0].value == scenario.metrics[0].value[0].value


def test_prometheus_answers_from_the_requests_of_the_users(cluster):
    before = time.time()
    answer = HttpPrometheus(Provider(name="default", url=cluster.prometheus_url)).query(RATE, before)
    after = time.time()

    assert answer.fault is None
    assert answer.series[0].samples[0].value == pytest.approx(100 * 50, rel=0.05)
    assert before - 0.5 - (after - before) <= answer.server_time <= after + 0.5


def test_a_fault_of_prometheus_reaches_its_clients(cluster):
    cluster.prometheus.fault = "prometheus-down"
    answer = HttpPrometheus(Provider(name="default", url=cluster.prometheus_url)).query("1", time.time())
    cluster.prometheus.fault = ""

    assert answer.fault is AnswerFault.SERVER_ERROR


def test_a_probe_passes_while_the_service_has_a_ready_pod(cluster):
    prober = HttpProber(cluster.probe_proxy_url)

    assert prober.probe("http://shop.shop.svc.cluster.local:80/health", timeout_seconds=3).ok
    assert not prober.probe("http://nobody.shop.svc.cluster.local:80/health", timeout_seconds=3).ok


def test_a_probe_fails_where_no_pod_is_left(cluster, kube):
    prober = HttpProber(cluster.probe_proxy_url)
    url = "http://shop.shop.svc.cluster.local:80/health"
    kube.patch(DEPLOYMENT, "shop", "shop", {"spec": {"replicas": 0}}, Patch.MERGE)
    until(lambda: not prober.probe(url, timeout_seconds=3).ok)
    kube.patch(DEPLOYMENT, "shop", "shop", {"spec": {"replicas": 3}}, Patch.MERGE)
    until(lambda: prober.probe(url, timeout_seconds=3).ok)


def test_what_the_simulated_mesh_does_not_do_is_not_in_the_sandbox(kube):
    with pytest.raises(RefusedError, match="not in the sandbox"):
        kube.patch(ROUTE, "shop", "shop", {"spec": {"tls": [{"match": [{"sniHosts": ["a"]}]}]}}, Patch.MERGE)


def test_what_is_not_served_is_not_in_the_sandbox(cluster):
    answer = httpx.get(f"{cluster.api_url}/apis/batch/v1/namespaces/shop/jobs")

    assert answer.status_code == 404
    assert "not in the sandbox" in answer.json()["message"]


def test_an_installed_package_finds_the_examples_that_came_with_it_or_those_of_the_clone_in_which_it_runs(tmp_path):
    """`pip install .` and then `penstock sandbox`, as the README says."""
    data = [tmp_path / "data", tmp_path / "own"]
    installed = [place / "share" / "penstock" / "examples" for place in (*reversed(data), tmp_path)]

    assert examples_of(EXAMPLES.parent, data) == EXAMPLES
    assert examples_of(tmp_path, data) == Path("examples")
    for place in installed:  # by `pip install --user`, into an environment, by `pip install --target`
        place.mkdir(parents=True)
        assert examples_of(tmp_path, data) == place


def test_an_installation_brings_every_file_of_the_examples_that_a_sandbox_reads():
    told = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["data-files"]
    brought = {(f"share/penstock/{file.parent.relative_to(EXAMPLES.parent)}", file) for file in EXAMPLES.rglob("*.yaml")}

    assert {(place, file) for place, globs in told.items() for glob in globs for file in EXAMPLES.parent.glob(glob)} == brought
