"""Puts the production controller together: the one place where the loop, the adapters and the runtime meet.

The sandbox and the demo start this very composition against the embedded cluster.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from controller.adapters.http import HttpProber
from controller.adapters.kube_config import connect
from controller.adapters.marks import Deposed
from controller.adapters.prometheus import HttpProviders
from controller.adapters.prometheus_config import PrometheusConfig, load_config
from controller.api.base import API_VERSION
from controller.api.crd import definitions
from controller.ports import Kube, KubeError, Ports
from controller.reconcile import Key, Memo, Outcome, confess, reconcile
from controller.runtime.app import run_controller
from controller.runtime.config import ControllerConfig
from controller.runtime.contracts import NotLeading, OpenKube, Parts, Refusal
from controller.runtime.logs import log_to
from controller.runtime.schema import ServedSchema


class WallClock:
    """The only reader of the wall clock."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(slots=True)
class Loop:
    """`reconcile` with a memory that lasts as long as one term of leadership."""

    memo: Memo
    epoch: int = 0

    def __call__(self, key: Key, ports: Ports, *, cache: Kube) -> Outcome:
        """One look at one release."""
        if ports.epoch != self.epoch:
            self.memo, self.epoch = Memo(), ports.epoch
        try:
            return reconcile(key, ports, self.memo, cache=cache)
        except (KubeError, Deposed, NotLeading):
            raise
        except Exception as defect:
            confess(key, ports, self.memo, defect)
            raise


def served_schema() -> ServedSchema:
    """Asks whether the API server keeps everything that this version writes."""
    wanted = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in definitions().values()}
    return ServedSchema(API_VERSION, wanted)


def schema_refusal() -> Refusal:
    """As `ServedSchema.refusal`; what is wanted is derived from the models when it is first asked, not while a start is waited for."""
    known: list[ServedSchema] = []

    def refusal(kube: OpenKube) -> str:
        if not known:
            known.append(served_schema())
        return known[0].refusal(kube)

    return refusal


def production_parts(config: ControllerConfig) -> Parts:
    """Everything that the runtime runs."""
    providers = load_config(Path(config.providers)) if config.providers else PrometheusConfig()
    return Parts(
        reconcile=Loop(Memo()),
        prometheus=HttpProviders(providers),
        prober=HttpProber(config.probe_proxy),
        clock=WallClock(),
        schema_refusal=schema_refusal(),
        provider_names=tuple(provider.name for provider in providers.providers),
    )


def run(config: ControllerConfig) -> int:
    """The controller in the foreground; its exit code."""
    log_to(level=config.log_level)
    connection = connect(config.kubeconfig, config.context)
    return run_controller(config, connection.kube, production_parts(config), home=connection.namespace)
