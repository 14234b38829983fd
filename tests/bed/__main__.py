"""`python -m tests.bed [MANIFEST...]`: a bed to look at by hand, with nodes and Prometheus, until Ctrl-C.

Manifests are applied before the controller manager starts where they are CRDs, else afterwards.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.bed.api import documents
from tests.bed.cluster import Bed
from tests.bed.exporter import Exporter
from tests.bed.nodes import NodeSimulator
from tests.bed.prometheus import Prometheus, Scrape


def main(arguments: list[str]) -> int:
    """Run until a signal; addresses and the command to try go to stdout."""
    paths = [Path(argument) for argument in arguments]
    crds = [path for path in paths if all(item["kind"] == "CustomResourceDefinition" for item in documents(path))]
    with Bed(crds=crds) as bed, NodeSimulator(bed.admin), Exporter(bed.admin) as exporter:
        bed.admin.apply_files(*[path for path in paths if path not in crds])
        with Prometheus([Scrape("mesh", exporter.address)]) as prometheus:
            sys.stdout.write(
                f"API server  {bed.url}\nPrometheus  {prometheus.url}\nexporter    {exporter.url}/metrics\nlogs        {bed.folder}\n"
                f"try         {bed.binaries.kubectl} --kubeconfig {bed.kubeconfig('admin')} get all -A\n"
            )
            sys.stdout.flush()
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    # Blocked before any thread starts, so that only sigwait takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    raise SystemExit(main(sys.argv[1:]))
