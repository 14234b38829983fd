"""`finish: home`: a Deployment gets the new version in place, and what it had before it gets back. Pure, from manifests to JSON Patches.

What is overwritten is remembered on the Deployment itself, in the same write: nobody else knows which environment the old image had.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from controller.adapters import marks
from controller.adapters.workloads.clone import Recipe, green_spec, moved_containers, taken
from controller.adapters.workloads.places import container_index, dig, text
from controller.ports import Obj

BEFORE = "penstock.dev/before"
"""Annotation on an original that has the new version: which release gave it that, and what stood there before."""

PARTS = ("volumes", "imagePullSecrets")
CONTAINER_PARTS = ("image", "env", "envFrom")
"""What of a pod's spec, and of its containers, a version changes."""

Path = tuple[str, ...]
"""A part's name, or its container's section, the container's name and the part's."""

LENGTHS = (1, 3)


@dataclass(frozen=True, slots=True)
class Before:
    """What a Deployment had before a release gave it its version.

    Attributes:
        release: uid of that release; "" where nothing is remembered.
        revision: the version's name, where it had one.
        parts: what stood in its pods' spec, None where nothing did.
    """

    release: str = ""
    revision: str = ""
    parts: Mapping[Path, Any] = field(default_factory=dict)

    def text(self) -> str:
        """As the annotation has it."""
        parts = {"/".join(path): value for path, value in self.parts.items()}
        return orjson.dumps({"release": self.release, "revision": self.revision, "spec": parts}, option=orjson.OPT_SORT_KEYS).decode()


def read_before(deployment: Obj) -> Before:
    """What the annotation says; nothing where it is not there, or is no such thing."""
    noted = marks.annotation(deployment, BEFORE)
    try:
        found = marks.mapping(orjson.loads(noted)) if noted else {}
    except orjson.JSONDecodeError:
        return Before()
    parts = {tuple(path.split("/")): value for path, value in marks.mapping(found.get("spec")).items()}
    return Before(text(found, "release"), text(found, "revision"), {path: value for path, value in parts.items() if len(path) in LENGTHS})


def updated_by(deployment: Obj) -> str:
    """Uid of the release that gave it another version in place; "" where none did, or it was put back."""
    return read_before(deployment).release


def update_in_place(deployment: Obj, how: Recipe, *, replicas: int) -> list[dict[str, Any]]:
    """The JSON Patch that gives a Deployment the new version, and changes nothing else of its template."""
    spec = marks.mapping(dig(deployment, "spec", "template", "spec"))
    stood, after = dict(_parts(spec)), dict(_parts(green_spec(spec, how)))
    changed = {path: value for path, value in after.items() if value != stood.get(path)}
    before = Before(how.owner, marks.annotation(deployment, marks.REVISION), {path: stood.get(path) for path in changed})
    known = read_before(deployment)
    if known.release == how.owner:  # somebody changed it since, and this is laid over it once more
        before = Before(known.release, known.revision, {**before.parts, **known.parts})
    return _patch(deployment, changed, replicas, {**taken(how), BEFORE: before.text()})


def put_back_in_place(deployment: Obj, how: Recipe, *, replicas: int) -> list[dict[str, Any]]:
    """The JSON Patch that gives a Deployment back what it had: the recipe's image, and what this release remembered beside it."""
    spec = marks.mapping(dig(deployment, "spec", "template", "spec"))
    known = read_before(deployment)
    ours = known if known.release == how.owner else Before(revision=marks.annotation(deployment, marks.REVISION))
    meant = "containers", text(marks.items(spec.get("containers"))[container_index(spec, how.member)], "name")
    moved = {meant} if ours is known else moved_containers(spec, how.member)
    images: dict[Path, Any] = {(*where, "image"): how.image for where in moved} if how.image else {}
    wanted = {**ours.parts, **images}
    stands = dict(_parts(spec))
    changed = {path: value for path, value in wanted.items() if value != stands.get(path)}
    notes: dict[str, str | None] = {**taken(how), marks.REVISION: ours.revision or None, BEFORE: None}
    return _patch(deployment, changed, replicas, notes)


def _parts(spec: Obj) -> Iterator[tuple[Path, Any]]:
    """What a version may change, by its path; containers by their names, since somebody may put one in front meanwhile."""
    for key in PARTS:
        if key in spec:
            yield (key,), spec[key]
    for section in ("initContainers", "containers"):
        for container in marks.items(spec.get(section)):
            for key in CONTAINER_PARTS:
                if key in container:
                    yield (section, text(container, "name"), key), container[key]


def _patch(deployment: Obj, changed: Mapping[Path, Any], replicas: int, notes: Mapping[str, str | None]) -> list[dict[str, Any]]:
    spec = marks.mapping(dig(deployment, "spec", "template", "spec"))
    places = [(_pointer(spec, path), value) for path, value in changed.items()]
    return [
        *marks.guard_ops(deployment),
        *({"op": "remove", "path": at} if value is None else {"op": "add", "path": at, "value": value} for at, value in places if at),
        {"op": "add", "path": "/spec/replicas", "value": replicas},
        *marks.annotation_ops(deployment, notes),
    ]


def _pointer(spec: Obj, path: Path) -> str:
    """Where a part stands now; "" where its container is gone."""
    if len(path) == 1:
        return marks.pointer("spec", "template", "spec", *path)
    section, name, key = path
    at = next((i for i, one in enumerate(marks.items(spec.get(section))) if text(one, "name") == name), -1)
    return marks.pointer("spec", "template", "spec", section, at, key) if at >= 0 else ""
