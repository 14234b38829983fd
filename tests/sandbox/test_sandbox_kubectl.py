"""A real kubectl against the sandbox, with a release under way."""

import os
import subprocess

import pytest

from tests.bed.binaries import ensure

pytestmark = pytest.mark.bed

EDITOR = "sed -i s/before/after/"
CONFIG_MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: shop}, data: {a: before}}"


@pytest.fixture
def kubectl(sandbox, tmp_path):
    """Runs kubectl in a sandbox with a release under way; returns (exit code, stdout, stderr)."""
    it = sandbox("--example", "first-release", "--speed", "20")
    assert it.run("start", "shop", "--image", "registry.example/shop:2.0", "--revision", "v2").returncode == 0
    environment = {**os.environ, "KUBECONFIG": str(it.kubeconfig), "HOME": str(tmp_path), "KUBE_EDITOR": EDITOR}

    def run(*arguments, stdin=""):
        command = [str(ensure().kubectl), *arguments]
        done = subprocess.run(command, env=environment, input=stdin, check=False, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_promised_commands_work(kubectl):
    code, _, said = kubectl("wait", "--for=jsonpath={.status.phase}=Measuring", "release/shop-v2", "--timeout=30s")
    assert code == 0, said
    assert "Measuring" in kubectl("get", "releases")[1]
    assert "Green may have 5 %" in kubectl("describe", "release", "shop-v2")[1]
    assert "Granted" in kubectl("events")[1]
    assert "releaseplans" in kubectl("api-resources")[1]
    assert "immutable" in kubectl("explain", "release.spec")[1]
    assert kubectl("patch", "vs", "shop", "--type=merge", "-p", '{"metadata":{"annotations":{"a":"b"}}}')[0] == 0
    assert kubectl("scale", "deploy", "shop", "--replicas=4")[0] == 0
    assert kubectl("rollout", "status", "deploy/shop", "--timeout=20s")[0] == 0
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=CONFIG_MAP)[1]
    assert "edited" in kubectl("edit", "configmap", "mine")[1]
    assert kubectl("delete", "configmap", "mine")[0] == 0
    assert kubectl("delete", "release", "shop-v2", "--timeout=30s")[0] == 0


def test_anything_else_is_not_in_the_sandbox(kubectl):
    for asked in (("logs", "deploy/shop"), ("create", "job", "x", "--image=y"), ("exec", "deploy/shop", "--", "ls")):
        code, _, said = kubectl(*asked)

        assert code != 0
        assert "not in the sandbox" in said
