"""The bed as fixtures: one control plane and one Prometheus for each pytest process, a namespace for each test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bed.binaries import ensure
from tests.bed.cluster import Bed
from tests.bed.exporter import Exporter
from tests.bed.nodes import NodeSimulator
from tests.bed.prometheus import Prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = Path(__file__).resolve().parents[2] / "manifests" / "crds"


@pytest.fixture(scope="session")
def bed(pytestconfig: pytest.Config) -> Iterator[Bed]:
    """A real API server with controller manager, Istio's CRDs and ours."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    if capture is None:
        ensure()
    else:
        # A first build takes minutes: its progress belongs on the terminal.
        with capture.global_and_fixture_disabled():
            ensure()
    with Bed(crds=sorted(CRDS.glob("*.yaml"))) as running:
        yield running


@pytest.fixture(scope="session")
def nodes(bed: Bed) -> Iterator[NodeSimulator]:
    """Pods become ready; give a rule a namespace, as the simulator is shared by all tests of the process."""
    with NodeSimulator(bed.admin) as simulator:
        yield simulator


@pytest.fixture
def namespace(bed: Bed) -> Iterator[str]:
    """A namespace of this test's own; its deletion is not waited for."""
    name = bed.namespace()
    yield name
    bed.admin.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def exporter(bed: Bed) -> Iterator[Exporter]:
    """An exporter without flows; nothing scrapes it until a test says so."""
    with Exporter(bed.admin) as running:
        yield running


@pytest.fixture(scope="session")
def prometheus_server() -> Iterator[Prometheus]:
    """A Prometheus without jobs (`scrape` sets them); old series of other tests stay in it, so name your namespace in queries."""
    with Prometheus() as running:
        yield running
