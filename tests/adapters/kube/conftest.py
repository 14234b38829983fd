import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from misbehaving import Misbehaving

from controller.adapters.kube import Limits
from controller.adapters.kube_config import connect


@pytest.fixture
def server():
    with Misbehaving() as misbehaving:
        yield misbehaving


@pytest.fixture
def kube(server, tmp_path):
    file = tmp_path / "kubeconfig"
    file.write_text(
        f"""
current-context: it
contexts: [{{name: it, context: {{cluster: it, user: me, namespace: shop}}}}]
clusters: [{{name: it, cluster: {{server: "{server.url}"}}}}]
users: [{{name: me, user: {{token: secret}}}}]
"""
    )
    connection = connect(str(file), limits=Limits(connect=1.0, read=0.3, list_read=0.3, watch_grace=-0.7))
    yield connection.kube
    connection.kube.close()
