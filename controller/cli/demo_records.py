"""What the demo leaves on disk: the objects that tell a release's story, as YAML and as JSON."""

from collections.abc import Iterable
from pathlib import Path

import orjson
import yaml

from controller.adapters.history import read_history
from controller.cli.host import plain
from controller.ports import DEPLOYMENT, RELEASE_PLAN, VIRTUAL_SERVICE, Kube, Obj


def export(kube: Kube, release: Obj, folder: Path) -> None:
    """Write the Release, its plan and history, and the routes and workloads as they stand now."""
    folder.mkdir(parents=True, exist_ok=True)
    namespace = release["metadata"]["namespace"]
    write(folder / "release.yaml", [release])
    write(folder / "plan.yaml", [kube.get(RELEASE_PLAN, namespace, release["spec"]["plan"])])
    write(folder / "routes.yaml", kube.list(VIRTUAL_SERVICE).items)
    write(folder / "workloads.yaml", kube.list(DEPLOYMENT).items)
    (folder / "history.json").write_bytes(orjson.dumps(read_history(kube, release), option=orjson.OPT_INDENT_2))


def write(file: Path, objects: Iterable[Obj]) -> None:
    """Objects as a YAML file of several documents."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump_all((plain(obj) for obj in objects), Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    file.write_text(text, encoding="utf-8")
