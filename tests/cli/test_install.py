"""`penstock install --dry-run` asks nobody and prints everything; what cannot be meant is a usage error."""

import pytest
import yaml

from controller.ports import CONFIG_MAP, NAMESPACE
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import a_terminal


@pytest.fixture(scope="module")
def terminal():
    return a_terminal(started=False)


def printed(terminal, *flags):
    result = terminal.penstock("install", "--dry-run", *flags)
    assert result.code == 0, result.err
    return [(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in yaml.safe_load_all(result.out)], result.out


def test_the_crds_come_first(terminal):
    objects, _ = printed(terminal)

    assert [kind for kind, _, _ in objects[:3]] == ["CustomResourceDefinition"] * 3


def test_by_default_nothing_is_cluster_wide_but_crds_and_namespaces(terminal):
    objects, _ = printed(terminal, "-n", "shop")
    wide = {kind for kind, namespace, _ in objects if not namespace}

    assert wide == {"CustomResourceDefinition", "Namespace"}
    assert ("Role", "shop", "penstock") in objects


def test_cluster_wide_is_one_cluster_role_and_no_role_elsewhere(terminal):
    objects, _ = printed(terminal, "--cluster-wide")

    assert ("ClusterRole", "", "penstock") in objects
    assert {namespace for kind, namespace, _ in objects if kind == "Role"} == {"penstock-system"}


def test_a_green_namespace_gets_a_role_that_writes_no_release(terminal):
    _, text = printed(terminal, "-n", "shop", "--green-namespace", "shop-green")
    roles = {o["metadata"]["namespace"]: o for o in yaml.safe_load_all(text) if o["kind"] == "Role"}
    resources = {resource for rule in roles["shop-green"]["rules"] for resource in rule["resources"]}

    assert "deployments" in resources
    assert "releases/status" not in resources
    assert not any("secrets" in rule["resources"] for role in roles.values() for rule in role["rules"])


def test_secrets_are_given_by_name_only(terminal):
    _, text = printed(terminal, "-n", "shop", "--secret", "db")
    rules = [rule for o in yaml.safe_load_all(text) if o["kind"] == "Role" for rule in o["rules"] if rule["resources"] == ["secrets"]]

    assert [(rule.get("resourceNames"), rule["verbs"]) for rule in rules] == [(["db"], ["get", "patch", "delete"]), (None, ["create"])]


def test_the_address_of_prometheus_is_the_default_provider(terminal):
    _, text = printed(terminal, "--prometheus", "http://prometheus.monitoring:9090")
    data = next(o for o in yaml.safe_load_all(text) if o["kind"] == "ConfigMap")["data"]

    assert yaml.safe_load(data["providers.yaml"])["providers"][0]["url"] == "http://prometheus.monitoring:9090"


def test_an_installed_file_that_somebody_broke_is_not_written_over():
    terminal = a_terminal(started=False)
    kube = InMemoryKube(terminal.sim.server, user="admin")
    kube.create(NAMESPACE, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "penstock-system"}})
    broken = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "penstock"}, "data": {"providers.yaml": "providers: ["}}
    kube.create(CONFIG_MAP, "penstock-system", broken)

    result = terminal.penstock("install", "-n", "shop")

    assert result.code == 6
    assert "providers.yaml in the installed ConfigMap penstock is not valid YAML" in result.err
    assert kube.get(CONFIG_MAP, "penstock-system", "penstock")["data"] == broken["data"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("-n", "A B"), "found 'A B', expected a name of lower-case letters"),
        (("--cluster-wide", "-n", "shop"), "leave --namespace out"),
        (("--secret", "db"), "add --namespace or --green-namespace"),
        (("--image", "registry.example/penstock"), "write registry.example/penstock:TAG"),
        (("--prometheus", "prometheus:9090"), "expected an address such as http"),
        (("--prometheus", "http://me:secret@prometheus"), "found credentials in the address"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(terminal, flags, sentence):
    result = terminal.penstock("install", "--dry-run", *flags)

    assert result.code == 2
    assert sentence in result.err
    assert result.out == ""
