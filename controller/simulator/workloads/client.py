"""The controller manager's client of the simulated API server: the port, and the subresource that ends a namespace."""

from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.options import Options
from controller.simulator.apiserver.store import ApiServer

USER = "system:kube-controller-manager"
FIELD_MANAGER = "kube-controller-manager"


class ManagerKube(InMemoryKube):
    """`InMemoryKube` under the controller manager's name, with `finalize` among the subresources."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__(server, USER, FIELD_MANAGER)
        self._options["finalize"] = Options(USER, FIELD_MANAGER, subresource="finalize")
