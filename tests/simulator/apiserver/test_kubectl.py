"""A real kubectl works against the HTTP front with the commands that the sandbox promises."""

import json
import os
import subprocess
import time

import pytest
import yaml

from controller.ports import Kind
from controller.simulator.apiserver.http import HttpFront
from controller.simulator.apiserver.store import ApiServer
from tests.bed.binaries import ensure
from tests.conformance.conversation import DEPLOYMENT, definitions

pytestmark = pytest.mark.bed
KIND = Kind("conformance.penstock.dev", "v1", "Widget", "widgets")
WIDGET = {
    "apiVersion": "conformance.penstock.dev/v1",
    "kind": "Widget",
    "metadata": {"name": "one", "namespace": "default"},
    "spec": {"size": 1, "replicas": 1},
}
EVENT = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "e", "namespace": "default"},
    "involvedObject": {"apiVersion": "conformance.penstock.dev/v1", "kind": "Widget", "name": "one", "namespace": "default"},
    "type": "Normal",
    "reason": "Tested",
    "message": "told by a test",
    "lastTimestamp": "2026-01-01T00:00:00Z",
    "count": 1,
}


@pytest.fixture
def server():
    server = ApiServer(time.time)
    crd = definitions()[0]
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = columns
    crd["spec"]["names"] |= {"shortNames": ["wd"], "categories": ["all"]}
    server.load([crd, WIDGET, DEPLOYMENT])
    uid = server.list(KIND).items[0]["metadata"]["uid"]
    server.load([{**EVENT, "involvedObject": {**EVENT["involvedObject"], "uid": uid}}])
    return server


@pytest.fixture
def environment(server, tmp_path):
    """In which kubectl finds the server."""
    with HttpFront(server) as front:
        config = tmp_path / "kubeconfig"
        config.write_text(yaml.safe_dump(front.kubeconfig()))
        yield {**os.environ, "KUBECONFIG": str(config), "HOME": str(tmp_path)}


@pytest.fixture
def kubectl(environment):
    """Runs kubectl and returns (exit code, stdout, stderr)."""

    def run(*arguments, stdin=None, **more):
        whole = [str(ensure().kubectl), *arguments]
        done = subprocess.run(whole, input=stdin, capture_output=True, text=True, timeout=120, env={**environment, **more}, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def ok(result):
    code, out, err = result
    assert code == 0, err
    return out


def test_get_prints_the_printer_columns(kubectl):
    lines = ok(kubectl("get", "wd")).splitlines()

    assert lines[0].split() == ["NAME", "SIZE", "AGE"]
    assert lines[1].split()[:2] == ["one", "1"]


def test_get_prints_deployments(kubectl):
    lines = ok(kubectl("get", "deploy", "-o", "wide")).splitlines()

    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert lines[1].split()[:2] == ["web", "0/1"]


def test_get_all_finds_the_category(kubectl):
    assert "widget.conformance.penstock.dev/one" in ok(kubectl("get", "all"))


def test_get_by_label_and_json_path(kubectl):
    ok(kubectl("label", "widget", "one", "team=a"))

    assert ok(kubectl("get", "widgets", "-l", "team=a", "-o", "jsonpath={.items[0].spec.size}")) == "1"


def test_describe_a_custom_object_with_its_events(kubectl):
    told = ok(kubectl("describe", "widget", "one"))

    assert "Size:      1" in told
    assert "told by a test" in told


def test_describe_a_deployment(kubectl):
    assert "1 desired | 0 updated | 0 total" in ok(kubectl("describe", "deployment", "web"))


def test_wait_for_a_condition(kubectl):
    assert "condition met" in ok(kubectl("wait", "--for=condition=Established", "crd/widgets.conformance.penstock.dev", "--timeout=60s"))


def test_wait_for_a_field_and_for_a_deletion(kubectl):
    assert "condition met" in ok(kubectl("wait", "--for=jsonpath={.spec.size}=1", "widget/one", "--timeout=60s"))
    ok(kubectl("delete", "widget", "one"))
    ok(kubectl("wait", "--for=delete", "widget/one", "--timeout=60s"))


def test_wait_times_out(kubectl):
    code, _, err = kubectl("wait", "--for=jsonpath={.spec.size}=2", "widget/one", "--timeout=1s")

    assert code == 1
    assert "timed out waiting for the condition" in err


def test_edit(kubectl):
    ok(kubectl("edit", "widget", "one", EDITOR="sed -i 's/size: 1/size: 7/'"))

    assert ok(kubectl("get", "widget", "one", "-o", "jsonpath={.spec.size}")) == "7"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [("merge", '{"spec":{"size":9}}'), ("json", '[{"op":"replace","path":"/spec/size","value":9}]')],
)
def test_patch_a_custom_object(kubectl, kind, patch):
    ok(kubectl("patch", "widget", "one", f"--type={kind}", "-p", patch))

    assert ok(kubectl("get", "widget", "one", "-o", "jsonpath={.spec.size}")) == "9"


def test_patch_a_deployment_finds_the_container_by_name(kubectl):
    ok(kubectl("patch", "deployment", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"web:2"}]}}}}'))
    containers = json.loads(ok(kubectl("get", "deployment", "web", "-o", "json")))["spec"]["template"]["spec"]["containers"]

    assert [(c["image"], c["env"]) for c in containers] == [("web:2", [{"name": "A", "value": "1"}])]


def test_patch_of_the_status(kubectl):
    ok(kubectl("patch", "widget", "one", "--subresource=status", "--type=merge", "-p", '{"status":{"grant":5,"weight":5}}'))
    code, _, err = kubectl("patch", "widget", "one", "--subresource=status", "--type=merge", "-p", '{"status":{"weight":6}}')

    assert code == 1
    assert "weight is above the grant" in err


def test_server_side_apply_twice_then_a_conflict_then_force(kubectl):
    manifest = json.dumps(WIDGET)
    other = json.dumps({**WIDGET, "spec": {"size": 3}})
    ok(kubectl("apply", "--server-side", "-f", "-", stdin=manifest))
    ok(kubectl("apply", "--server-side", "-f", "-", stdin=manifest))
    code, _, err = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=other)
    ok(kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=other))

    assert code == 1
    assert 'conflict with "kubectl": .spec.size' in err
    assert ok(kubectl("get", "widget", "one", "-o", "jsonpath={.spec.size}")) == "3"


def test_apply_refuses_an_unknown_field(kubectl):
    code, _, err = kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps({**WIDGET, "spec": {"nonsense": 1}}))

    assert code == 1
    assert "nonsense" in err


@pytest.mark.parametrize(("kind", "path"), [("deployment/web", "{.spec.replicas}"), ("widget/one", "{.spec.replicas}")])
def test_scale(kubectl, kind, path):
    ok(kubectl("scale", kind, "--replicas=4"))

    assert ok(kubectl("get", kind, "-o", f"jsonpath={path}")) == "4"


def test_events(kubectl):
    assert "told by a test" in ok(kubectl("events"))
    assert "told by a test" in ok(kubectl("events", "--for", "widget/one"))


def test_api_resources(kubectl):
    told = ok(kubectl("api-resources"))

    assert "wd" in told
    assert "deployments" in told


@pytest.mark.parametrize(
    ("path", "told"), [("widget.spec.colour", "FIELD: colour <string>"), ("deployment.spec.replicas", "Number of desired pods")]
)
def test_explain(kubectl, path, told):
    assert told in ok(kubectl("explain", path))


def test_delete_by_file_and_by_label(kubectl):
    ok(kubectl("delete", "-f", "-", stdin=json.dumps(WIDGET)))

    assert "No resources found" in kubectl("get", "widgets")[2]


def test_a_watch_prints_changes(kubectl, environment):
    words = [str(ensure().kubectl), "get", "widgets", "-w"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        before = [next(watching.stdout).split()[:2] for _ in range(2)]
        ok(kubectl("patch", "widget", "one", "--type=merge", "-p", '{"spec":{"size":9}}'))
        after = next(watching.stdout).split()[:2]
        watching.terminate()

    assert [*before, after] == [["NAME", "SIZE"], ["one", "1"], ["one", "9"]]


def test_what_is_not_in_the_sandbox_is_said(kubectl):
    code, _, err = kubectl("get", "--raw", "/apis/batch/v1/jobs")

    assert code == 1
    assert "is not in the sandbox" in err
    assert "doesn't have a resource type" in kubectl("get", "jobs")[2]


def test_may_i(kubectl):
    assert ok(kubectl("auth", "can-i", "get", "pods")).strip() == "yes"
    assert "admin" in ok(kubectl("auth", "whoami"))
