"""`validate --cluster` and `plan --cluster` know the Prometheus providers of the controller: its Lease says them."""

from dataclasses import replace

import pytest

from controller.adapters.marks import PROVIDERS
from controller.ports import LEASE, NAMESPACE, RefusedError
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import LOST, Broken, FakeConnection, a_terminal, refusing

PLAN = (
    "apiVersion: penstock.dev/v1alpha1\nkind: ReleasePlan\nmetadata: {name: shop, namespace: shop}\nspec:\n  workload: shop\n"
    "  traffic: {virtualService: shop}\n  checks: [{name: errors, builtin: error-rate, provider: tenent, limit: {max: 1}}]\n"
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    return path


@pytest.fixture
def terminal():
    return a_terminal(started=False)


def leads(terminal, providers):
    """A controller leads that knows these."""
    kube = InMemoryKube(terminal.sim.server, user="system")
    kube.create(NAMESPACE, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "penstock-system"}})
    meta = {"name": "penstock", "namespace": "penstock-system", "annotations": {PROVIDERS: providers}}
    kube.create(LEASE, "penstock-system", {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": meta, "spec": {}})


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_provider_that_the_controller_does_not_know_is_an_error_before_the_start(terminal, file, command):
    leads(terminal, "default,tenant")

    result = terminal.penstock(command, "--cluster", file)

    told = result.out + result.err
    assert result.code == 3
    assert f"{file}:7: error: spec.checks[0].provider: found 'tenent', expected one of default, tenant; add it to the controller's" in told


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_one_that_it_knows_is_none(terminal, file, command):
    leads(terminal, "default,tenent")

    assert terminal.penstock(command, "--cluster", file).code == 0


def test_without_a_cluster_nothing_is_held_against_it(terminal, file):
    leads(terminal, "default")

    assert terminal.penstock("validate", file).code == 0


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_where_no_controller_says_it_that_is_said(terminal, file, command):
    result = terminal.penstock(command, "--cluster", file)

    assert result.code == 0
    assert "Which Prometheus providers the controller knows is not known here" in result.err


def test_where_nobody_may_read_the_lease_that_is_said(terminal, file):
    forbidden = Broken(RefusedError(403, "Forbidden", "leases.coordination.k8s.io is forbidden"))
    host = replace(terminal.host(), connect=lambda *_: FakeConnection(forbidden))
    terminal.host = lambda: host

    result = terminal.penstock("validate", "--cluster", file)

    assert result.code == 0
    assert "is not known here" in result.err


def test_a_cluster_that_does_not_answer_is_no_answer(terminal, file):
    host = refusing(terminal, LOST)
    terminal.host = lambda: host

    assert terminal.penstock("validate", "--cluster", file).code == 7
