"""Puts the production controller together: the one place where the loop, the adapters and the runtime meet.

The sandbox and the demo start this very composition against the embedded cluster.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from controller.adapters.http import HttpProber
from controller.adapters.kube_config import connect
from controller.adapters.prometheus import HttpProviders
from controller.adapters.prometheus_config import PrometheusConfig, load_config
from controller.api.base import GROUP
from controller.api.crd import KINDS, definitions
from controller.ports import CRD, Kube, NotFoundError, Ports, RefusedError
from controller.reconcile import Key, Memo, Outcome, reconcile
from controller.runtime.app import run_controller
from controller.runtime.config import ControllerConfig
from controller.runtime.contracts import Parts


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
        return reconcile(key, ports, self.memo, cache=cache)


def schema_refusal(kube: Kube) -> str:
    """Why the installed CRDs are not enough: an older schema silently prunes what this controller writes."""
    wanted = {f"{plural}.{GROUP}": name for name, plural, *_ in KINDS}
    for crd in definitions().values():
        name = crd["metadata"]["name"]
        try:
            found = kube.get(CRD, "", name)
        except NotFoundError:
            return f"The CRD {name} is not installed: run `penstock install`."
        except RefusedError:
            continue  # no right to look: the namespaced Role has none, and the first refused write will say so
        mine, theirs = (o["metadata"].get("annotations", {}).get("penstock.dev/schema-hash", "") for o in (crd, found))
        if mine != theirs:
            return f"The installed CRD of {wanted[name]} is not of this version: run `penstock install` of this version."
    return ""


def production_parts(config: ControllerConfig) -> Parts:
    """Everything that the runtime runs."""
    return Parts(
        reconcile=Loop(Memo()),
        prometheus=HttpProviders(load_config(Path(config.providers)) if config.providers else PrometheusConfig()),
        prober=HttpProber(),
        clock=WallClock(),
        schema_refusal=schema_refusal,
    )


def run(config: ControllerConfig) -> int:
    """The controller in the foreground; its exit code."""
    connection = connect(config.kubeconfig, config.context)
    return run_controller(config, connection.kube, production_parts(config), home=connection.namespace)
