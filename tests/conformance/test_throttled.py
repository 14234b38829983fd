"""A server that asks to slow down: what our client makes of a real one's 429 is what the simulator's fault gives."""

import threading

import pytest

from controller.adapters.kube import Limits
from controller.adapters.kube_config import connect
from controller.ports import CONFIG_MAP, KubeError, UnavailableError
from controller.simulator.faults_api import throttled
from tests.bed.waiting import eventually
from tests.real.conftest import bed  # noqa: F401 - a fixture

pytestmark = pytest.mark.bed
FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
NO_SEATS = {
    "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
    "kind": "PriorityLevelConfiguration",
    "metadata": {"name": "nothing-for-bob"},
    "spec": {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 0,
            "lendablePercent": 0,
            "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        },
    },
}
ALL_OF_BOB = {
    "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
    "kind": "FlowSchema",
    "metadata": {"name": "all-of-bob"},
    "spec": {
        "priorityLevelConfiguration": {"name": "nothing-for-bob"},
        "matchingPrecedence": 2,
        "rules": [
            {
                "subjects": [{"kind": "User", "user": {"name": "bob"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}],
            }
        ],
    },
}


BOB_MAY_READ = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "bob-may-read"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
}
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def refused(bed):  # noqa: F811 - the fixture above
    """What a client of bob's meets while the only request that he may have under way takes its time."""
    bed.admin.apply([BOB_MAY_READ, NO_SEATS, ALL_OF_BOB])
    kube, slow = connect(str(bed.kubeconfig("bob")), "", limits=Limits(read=20.0)).kube, bed.api("bob")

    def met():
        # A list at a revision that is still to come waits for three seconds.
        waits = threading.Thread(target=lambda: slow.request("GET", f"{CONFIG_MAPS}?resourceVersion=99999999"))
        waits.start()
        try:
            while waits.is_alive():
                kube.list(CONFIG_MAP, "default")
        except KubeError as error:
            return error if error.code == 429 else None
        finally:
            waits.join()
        return None

    yield eventually(met, what="429")
    bed.admin.delete(f"{FLOW}/flowschemas/all-of-bob")
    bed.admin.delete(f"{FLOW}/prioritylevelconfigurations/nothing-for-bob")
    bed.admin.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/bob-may-read")


def test_a_throttled_request_is_the_one_of_the_simulator(refused):
    # The server asks for a longer wait, second for second, while it drops many: the figure is its own.
    ours = throttled(refused.retry_after)()

    assert type(refused) is type(ours) is UnavailableError
    assert refused.retry_after >= 1
    assert (refused.code, refused.reason, refused.retry_after) == (ours.code, ours.reason, ours.retry_after)
