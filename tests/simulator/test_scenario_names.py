"""A scenario whose names do not fit its files is refused with what there is; a file that cannot be loaded is a sentence."""

from pathlib import Path

import pytest
import yaml

from controller.api.validate import validate_file
from controller.cli.main import run
from controller.cli.validate import scenario_rules
from controller.simulator import faults
from controller.simulator.scenario import ANY_TARGET

ROOT = Path(__file__).resolve().parents[2]
FIRST = ROOT / "examples" / "first-release"
STORY = """\
name: story
release: {revision: v2, images: {shop: "registry.example/shop:2.0"}}
users: [{host: shop.shop.svc.cluster.local, rps: 100}]
expect: {phase: Succeeded}
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("plan.yaml", "world.yaml"):
        (tmp_path / name).write_text((FIRST / name).read_text())
    return tmp_path


def said(folder, more="", story=STORY):
    path = folder / "story.yaml"
    path.write_text(story + more)
    return [(one.path, one.sentence) for one in validate_file(path, scenarios=scenario_rules())]


def test_the_kinds_of_targets_are_those_that_a_fault_can_find():
    assert set(ANY_TARGET) == set(faults.KINDS)


@pytest.mark.parametrize(
    ("fault", "there"),
    [
        ('{kind: delete, at: 1m, target: "Deployment shop/shp"}', "Deployment shop/shop, Deployment shop/shop-green"),
        ('{kind: evict, at: 1m, target: "Deployment shp/shop"}', "Deployment shop/shop, Deployment shop/shop-green"),
        ('{kind: drift, at: 1m, weight: 3, target: "VirtualService shop/shp"}', "VirtualService shop/shop"),
        ('{kind: patch, at: 1m, target: "Release shop/shop-v3", patch: {metadata: {labels: {a: b}}}}', "Release shop/shop-v2"),
        ('{kind: delete, at: 1m, target: "ReleasePlan shop/shp"}', "ReleasePlan shop/shop"),
    ],
    ids=str,
)
def test_a_target_that_is_not_there_is_an_error_that_lists_what_is(folder, fault, there):
    [(path, sentence)] = said(folder, f"faults: [{fault}]\n")

    assert path == "faults[0].target"
    assert f"expected an object that is there: {there}; with another name the fault hits nothing" in sentence


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ("gateway: istio-system/gateway", True),
        ("namespace: elsewhere", True),
        ("name: others, gateway: istio-system/gateway", False),
        ("headers: {canary: yes}", False),
    ],
)
def test_users_of_one_name_come_through_one_proxy(folder, more, wrong):
    """The second proxy would take the first one's place in Prometheus, whose scrapes then fail, so that the story would lack its data."""
    users = f"users: [{{host: shop.shop.svc.cluster.local, rps: 1}}, {{host: shop.shop.svc.cluster.local, rps: 1, {more}}}]"
    found = [one for one in said(folder, story=STORY.replace(STORY.splitlines()[2], users)) if one[0] == "users[1]"]

    assert [sentence.partition(",")[0] for _, sentence in found] == (["found users 'users' behind another proxy"] if wrong else [])


def test_users_who_ask_a_port_that_their_service_has_not_are_an_error(folder):
    """Their requests would pass the routes by, and the story would speak of other users than those of the cluster."""
    world = folder / "world.yaml"
    world.write_text(world.read_text().replace("port: 80,", "port: 8000,"))

    [(path, sentence)] = said(folder)

    assert path == "users[0].port"
    assert "found 80, expected a port of that Service: 8000;" in sentence
    assert said(folder, story=STORY.replace("rps:", "port: 8000, rps:")) == []


def test_users_ask_the_port_that_they_name(folder, capsys):
    """They are split by the weights as they are at port 80, and nobody is left at the old version when it goes."""
    world = folder / "world.yaml"
    world.write_text(world.read_text().replace("port: 80,", "port: 8000,"))
    (folder / "story.yaml").write_text(STORY.replace("rps:", "port: 8000, rps:"))

    assert run(["simulate", str(folder / "story.yaml")]) == 0
    assert "observed 50.0 %, granted 50 %" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["Deployment", "shop/shop", "Deployment shop/", "Deployment /shop", "Deploymnt shop/shop", "Pod shop/x"])
def test_a_target_of_another_form_or_kind_is_an_error(folder, target):
    [(_, sentence)] = said(folder, f'faults: [{{kind: evict, at: 1m, target: "{target}"}}]\n')

    assert "expected `Kind namespace/name` with Deployment" in sentence


@pytest.mark.parametrize("target", ["Deployment shop/shop-green", "Service shop/shop-green", "Release shop/shop-v2"])
def test_what_the_release_makes_can_be_a_target(folder, target):
    assert said(folder, f'faults: [{{kind: delete, at: 1m, target: "{target}"}}]\n') == []


@pytest.mark.parametrize(
    ("more", "path", "words"),
    [
        ("versions: [{workload: shop-gren, errors: 0.5}]\n", "versions[0].workload", "a workload that is there: shop, shop-green"),
        ("pods: [{workload: 'shp*', readyAfter: null}]\n", "pods[0].workload", "a workload that is there: shop, shop-green"),
        ("people: [{at: 1m, verb: rollback, release: shp-v2}]\n", "people[0].release", "a release of this scenario: shop-v2"),
        ("people: [{at: 1m, verb: start, release: x, revision: v3, plan: shp}]\n", "people[0].plan", "a plan of this scenario: shop"),
    ],
    ids=["version", "pod", "release", "plan"],
)
def test_every_other_name_is_looked_up_too(folder, more, path, words):
    [(found, sentence)] = said(folder, more)

    assert found == path
    assert words in sentence


@pytest.mark.parametrize(
    ("more", "path", "words"),
    [
        ("people: [{at: 1m, verb: start}]\n", "people[0]", "start without release and revision"),
        ("people: [{at: 1m, verb: start, release: x}]\n", "people[0]", "start without revision"),
        ("people: [{at: 1m, verb: start, release: x, revision: 2.0.1}]\n", "people[0].revision", "'2.0.1'"),
    ],
)
def test_a_release_that_somebody_starts_is_as_a_cluster_would_take_it(folder, more, path, words):
    """Else the run itself would end, by words of the API server that name no line."""
    [(found, sentence)] = said(folder, more)

    assert found == path
    assert words in sentence


def test_a_revision_that_no_release_can_have_is_an_error(folder):
    assert [path for path, _ in said(folder, story=STORY.replace("revision: v2", 'revision: "2.0"'))] == ["release.revision"]


def test_a_world_may_be_what_kubectl_printed_of_a_cluster(folder):
    """`kubectl get deployment,service,virtualservice -o yaml`: one List, with what the server wrote into each object."""
    found = list(yaml.safe_load_all((folder / "world.yaml").read_text(encoding="utf-8")))
    for number, one in enumerate(found):
        one["metadata"] |= {"uid": f"u{number}", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 3}
    (folder / "world.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": found}), encoding="utf-8")

    assert said(folder) == []


def test_users_of_a_host_that_nobody_has_are_an_error(folder):
    [(path, sentence)] = said(folder, story=STORY.replace("host: shop.", "host: shp."))

    assert path == "users[0].host"
    assert "shop.shop.svc.cluster.local" in sentence


def test_a_reason_that_does_not_exist_is_an_error(folder):
    [(path, _)] = said(folder, story=STORY.replace("Succeeded}", "Halted, reason: NoSuchWord}"))

    assert path == "expect.reason"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "line 2 is not YAML"),
        ("- 1\n", "object 1 is no mapping"),
        ("kind: Service\n", "object 1 has no apiVersion"),
        ("apiVersion: v1\nkind: Service\n", "object 1 (Service) has no metadata.name"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", "(Deployment a) has no spec.template.spec.containers"),
        ("apiVersion: example.dev/v1\nkind: Thing\nmetadata: {name: a}\n", 'Thing default/a: no matches for kind "Thing"'),
    ],
    ids=["yaml", "list", "version", "name", "template", "kind"],
)
def test_a_world_that_cannot_be_loaded_is_a_sentence_and_ends_a_simulation_with_3(folder, text, words, capsys):
    (folder / "world.yaml").write_text(text)

    [(path, sentence)] = said(folder)

    assert path == "world"
    assert words in sentence
    assert run(["simulate", str(folder / "story.yaml")]) == 3
    assert "defect" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "7\n"])
def test_a_base_that_is_no_mapping_is_a_sentence(folder, text):
    (folder / "base.yaml").write_text(text)

    [(path, sentence)] = said(folder, "base: base.yaml\n")

    assert path == "base"
    assert "which is no YAML with fields" in sentence


@pytest.mark.parametrize(("through", "wrong"), [("istio-system/ingressgateway", False), ("shop/public", True)])
def test_users_come_through_a_proxy_that_some_gateway_is_for(folder, through, wrong):
    """A Gateway's own name gave them 404 without a word."""
    world = folder / "world.yaml"
    gateway = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "public", "namespace": "shop"}}
    ports = [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    spec = {"selector": {"istio": "ingressgateway"}, "servers": ports}
    world.write_text(f"{world.read_text()}\n---\n{yaml.dump(gateway | {'spec': spec})}")
    users = f"users: [{{host: shop.shop.svc.cluster.local, rps: 1, gateway: {through}}}]"

    found = [sentence for path, sentence in said(folder, story=STORY.replace(STORY.splitlines()[2], users)) if path.endswith(".gateway")]

    assert bool(found) is wrong
    assert all("expected a proxy that a Gateway of the world is for: ingressgateway" in one for one in found)
