"""Who owns a route. The owner annotation is the lock of a VirtualService; a finished or deleted release leaves it open."""

from controller.adapters import marks
from controller.api.release import Phase
from controller.core.commands import Subject
from controller.ports import RELEASE, Kube, NotFoundError, Obj, RefusedError

OWNER_NAME = "penstock.dev/owner-name"
"""Annotation beside `marks.OWNER`: namespace/name of the release, so that it can be asked and named."""

FINISHED = frozenset({Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.REFUSED})


def live_owner(kube: Kube, subject: Subject, obj: Obj) -> str:
    """`release namespace/name` of another release that owns the route and has not finished; "" where there is none.

    Where nobody may look, the owner counts as alive.
    """
    uid = marks.annotation(obj, marks.OWNER)
    if not uid or uid == subject.uid:
        return ""
    namespace, _, name = marks.annotation(obj, OWNER_NAME).partition("/")
    try:
        found = [kube.get(RELEASE, namespace, name)] if name else list(kube.list(RELEASE, subject.namespace).items)
    except NotFoundError:
        return ""
    except RefusedError:
        return f"release {namespace}/{name}" if name else f"the release with uid {uid}"
    for release in found:
        meta = marks.metadata(release)
        if meta.get("uid") == uid and str(marks.mapping(release.get("status")).get("phase")) not in FINISHED:
            return f"release {meta.get('namespace', '')}/{meta.get('name', '')}"
    return ""
