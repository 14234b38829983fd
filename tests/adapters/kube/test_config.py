"""A kubeconfig that cannot be used is one clear sentence; credentials that are rotated are read again."""

import re
import subprocess
import sys

import pytest
from misbehaving import answer

from controller.adapters.kube_config import ConfigError, TokenFile, connect, sometimes
from controller.ports import RELEASE

GOOD = """
current-context: a
contexts:
- {name: a, context: {cluster: c, user: u, namespace: shop}}
- {name: b, context: {cluster: nowhere, user: u}}
- {name: d, context: {cluster: c, user: nobody}}
- {name: e, context: {cluster: bad, user: u}}
- {name: f, context: {cluster: c, user: plugged}}
- {name: g, context: {cluster: c, user: filed}}
clusters:
- {name: c, cluster: {server: "http://127.0.0.1:1"}}
- {name: bad, cluster: {server: "127.0.0.1:1"}}
users:
- {name: u, user: {token: secret}}
- {name: plugged, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /no/such/plugin}}}
- {name: filed, user: {tokenFile: token}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("just text", "is no mapping"),
        ("a: [1", "is not valid YAML in line 2"),
        ("contexts: []", "has no current-context; name one with --context"),
        ("current-context: x", "has no context 'x'; it has none"),
        ("current-context: x\ncontexts: 5", "is broken: 'contexts' is no list"),
        ("current-context: x\ncontexts: [{name: x, context: 7}]", "is broken: 'context' of 'x' is no mapping"),
    ],
)
def test_a_broken_file_is_one_sentence_that_names_it(tmp_path, content, words):
    path = tmp_path / "config"
    path.write_text(content)

    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        connect(str(path))

    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ("zz", "has no context 'zz'; it has a, b, d, e, f, g."),
        ("b", "names cluster 'nowhere', which it does not have"),
        ("d", "names user 'nobody', which it does not have"),
        ("e", "has no server address"),
        ("f", "asks the plugin '/no/such/plugin' for credentials, which is not installed here"),
        ("g", "cannot be used"),
    ],
)
def test_a_context_that_leads_nowhere_says_where_it_ends(file, context, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        connect(str(file), context)


def test_a_missing_file_says_how_to_name_another(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no kubeconfig at .*; name one with --kubeconfig or \$KUBECONFIG"):
        connect(str(tmp_path / "none"))


def test_a_pod_without_a_service_account_says_so():
    with pytest.raises(ConfigError, match="does this pod mount its service account"):
        connect(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


def test_the_context_names_namespace_and_user(file):
    connection = connect(str(file))

    assert (connection.namespace, connection.user, connection.server, connection.context) == ("shop", "u", "http://127.0.0.1:1", "a")


def test_several_files_are_read_as_one(file, tmp_path):
    other = tmp_path / "other"
    other.write_text("contexts: [{name: z, context: {cluster: c, user: u, namespace: far}}]")

    assert connect(f"{file}:{other}:{tmp_path / 'missing'}", "z").namespace == "far"


def test_a_rotated_token_is_read_again(file, tmp_path, server):
    (tmp_path / "token").write_text("one\n")
    file.write_text(GOOD.replace("http://127.0.0.1:1", server.url))
    kube = connect(str(file), "g").kube
    server.script = [answer(200, {"metadata": {"name": "r"}})] * 2
    now = [0.0]
    token = TokenFile(tmp_path / "token", steady=lambda: now[0])
    token.attach(kube._api.configuration)
    kube.get(RELEASE, "shop", "r")
    (tmp_path / "token").write_text("two\n")
    now[0] = 11.0
    kube.get(RELEASE, "shop", "r")

    assert [headers["authorization"] for _, _, headers, _ in server.requests] == ["Bearer one", "Bearer two"]


def test_the_packages_own_hook_is_called_now_and_then_though_it_puts_itself_back():
    """It sets every field anew and walks the environment, at each request."""
    from kubernetes.client import Configuration

    configuration, now, calls = Configuration(), [0.0], []

    def its_own(found):
        calls.append(now[0])
        found.refresh_api_key_hook = its_own

    configuration.refresh_api_key_hook = sometimes(its_own, steady=lambda: now[0])
    for time in range(0, 30, 3):
        now[0] = float(time)
        configuration.get_api_key_with_prefix("BearerToken")

    assert calls == [0.0, 12.0, 24.0]


def test_a_token_file_that_vanishes_leaves_the_last_token(tmp_path, file):
    (tmp_path / "token").write_text("one")
    configuration = connect(str(file), "g").kube._api.configuration
    (tmp_path / "token").unlink()
    configuration.refresh_api_key_hook(configuration)

    assert configuration.api_key["BearerToken"] == "Bearer one"


def test_importing_the_adapter_does_not_import_the_package():
    code = "import sys, controller.adapters.kube_config; print('kubernetes' in sys.modules, 'urllib3' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False False\n"
