"""`penstock install --dry-run` asks nobody and prints everything; what cannot be meant is a usage error."""

import pytest
import yaml

from controller.api.validate_yaml import LOADER
from controller.cli.install_kinds import ROLE, ROLE_BINDING
from controller.ports import CONFIG_MAP, DEPLOYMENT, NAMESPACE, RELEASE
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import a_terminal


@pytest.fixture(scope="module")
def terminal():
    return a_terminal(started=False)


def objects_of(text):
    return yaml.load_all(text, Loader=LOADER)


def printed(terminal, *flags):
    result = terminal.penstock("install", "--dry-run", *flags)
    assert result.code == 0, result.err
    return [(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects_of(result.out)], result.out


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
    roles = {o["metadata"]["namespace"]: o for o in objects_of(text) if o["kind"] == "Role"}
    resources = {resource for rule in roles["shop-green"]["rules"] for resource in rule["resources"]}

    assert "deployments" in resources
    assert "releases/status" not in resources
    assert not any("secrets" in rule["resources"] for role in roles.values() for rule in role["rules"])


def test_secrets_are_given_by_name_only(terminal):
    _, text = printed(terminal, "-n", "shop", "--secret", "db")
    rules = [rule for o in objects_of(text) if o["kind"] == "Role" for rule in o["rules"] if rule["resources"] == ["secrets"]]

    assert [(rule.get("resourceNames"), rule["verbs"]) for rule in rules] == [(["db"], ["get", "patch", "delete"]), (None, ["create"])]


def test_the_address_of_prometheus_is_the_default_provider(terminal):
    _, text = printed(terminal, "--prometheus", "http://prometheus.monitoring:9090")
    data = next(o for o in objects_of(text) if o["kind"] == "ConfigMap")["data"]

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


class TestTheListOfNamespaces:
    """Installed for two, on the simulated API server."""

    @pytest.fixture
    def kube(self, terminal):
        return InMemoryKube(terminal.sim.server, user="admin")

    @pytest.fixture
    def terminal(self):
        terminal = a_terminal(started=False)
        assert terminal.penstock("install", "-n", "shop", "-n", "other").code == 0
        return terminal

    def watched(self, kube):
        return yaml.safe_load(kube.get(CONFIG_MAP, "penstock-system", "penstock")["data"]["controller.yaml"])["namespaces"]

    def test_a_deleted_one_is_not_made_again_but_by_name(self, terminal, kube):
        settings = {"data": {"controller.yaml": yaml.safe_dump({"namespaces": ["shop", "deleted"]})}}
        kube.patch(CONFIG_MAP, "penstock-system", "penstock", settings)
        result = terminal.penstock("install")

        assert result.code == 0
        assert "Namespace deleted does not exist any more, and is no longer watched" in result.err
        assert self.watched(kube) == ["shop"]
        assert terminal.penstock("install", "-n", "deleted").code == 0
        assert self.watched(kube) == ["shop", "deleted"]

    def test_one_that_is_being_deleted_is_not_waited_for(self, terminal, kube):
        kube.delete(NAMESPACE, "", "other", uid=kube.get(NAMESPACE, "", "other")["metadata"]["uid"])
        named, result = terminal.penstock("install", "-n", "other"), terminal.penstock("install")

        assert named.code == 6
        assert "Namespace other is being deleted: wait until it is gone" in named.err
        assert (result.code, self.watched(kube)) == (0, ["shop"])
        assert "Namespace other is being deleted, and is no longer watched" in result.err

    def test_a_dropped_one_loses_the_role_and_stays(self, terminal, kube):
        result = terminal.penstock("install", "--drop-namespace", "other")

        assert (result.code, self.watched(kube)) == (0, ["shop"])
        assert [o["metadata"]["name"] for kind in (ROLE, ROLE_BINDING) for o in kube.list(kind, "other").items] == []
        assert kube.get(NAMESPACE, "", "other")

    def test_one_that_another_installation_watches_is_not_taken_over(self, terminal, kube):
        result = terminal.penstock("install", "-n", "shop", "--controller-namespace", "elsewhere")

        assert result.code == 6
        assert "Namespace shop is watched by the controller of another installation, in penstock-system" in result.err
        assert kube.get(ROLE_BINDING, "shop", "penstock")["subjects"][0]["namespace"] == "penstock-system"
        gone = kube.get(DEPLOYMENT, "penstock-system", "penstock")
        kube.delete(DEPLOYMENT, "penstock-system", "penstock", uid=gone["metadata"]["uid"])
        assert terminal.penstock("install", "-n", "shop", "--controller-namespace", "elsewhere").code == 0

    def test_an_image_that_no_registry_has_is_said_until_one_is_named(self, terminal):
        """The default is what `docker build` of this version makes; in most clusters its pods would never start."""
        assert "That image names no registry" in terminal.penstock("install").err
        assert "That image" not in terminal.penstock("install", "--image", "registry.example/penstock:1").err
        assert "That image names no registry" not in terminal.penstock("install").err

    def test_from_all_namespaces_to_some_no_release_is_left_alone(self, terminal, kube):
        """`--namespace` narrows an installation that watches everything; a release elsewhere would run on unwatched."""
        terminal.penstock("install", "--cluster-wide")
        body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "r"}}
        kube.create(RELEASE, "other", body | {"spec": {"plan": "p", "revision": "v2", "images": {"shop": "shop:2"}}})

        refused = terminal.penstock("install", "--namespace", "shop")

        assert refused.code == 6
        assert "other/r still runs or keeps its old version: add --namespace other, or let it end first" in refused.err
        assert terminal.penstock("install", "--namespace", "shop", "--namespace", "other").code == 0

    def test_one_whose_release_runs_is_not_dropped(self, terminal, kube):
        body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "r"}}
        kube.create(RELEASE, "other", body | {"spec": {"plan": "p", "revision": "v2", "images": {"shop": "shop:2"}}})
        result = terminal.penstock("install", "--drop-namespace", "other")

        assert (result.code, self.watched(kube)) == (6, ["shop", "other"])
        assert "other/r still runs" in result.err

    @pytest.mark.parametrize(
        ("flags", "sentence"),
        [
            (("--drop-namespace", "nobody"), "nobody is not watched"),
            (("--drop-namespace", "other", "-n", "other"), "to be watched and to be dropped"),
            (("--drop-namespace", "other", "--dry-run"), "leave --dry-run out"),
            (("--drop-namespace", "other", "--drop-namespace", "shop"), "No namespace with plans is left"),
        ],
    )
    def test_what_cannot_be_dropped_is_a_usage_error_and_changes_nothing(self, terminal, kube, flags, sentence):
        result = terminal.penstock("install", *flags)

        assert (result.code, self.watched(kube)) == (2, ["shop", "other"])
        assert sentence in result.err
