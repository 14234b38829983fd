"""Whether a success can still be taken back: decided once for the commands that offer the way back and for the one that goes it.

It reads the objects as they are now; the controller decides again, by the same objects, when the reverse release begins.
"""

from collections.abc import Mapping
from typing import Any

from controller.cli.host import Session
from controller.cli.words import number, record, text
from controller.core.reasons import MIXED_REVERSE, next_step, say
from controller.ports import RELEASE, RELEASE_PLAN, KubeError, NotFoundError, Obj


def no_way_back(session: Session, release: Obj, plan: Mapping[str, Any] | None) -> str:
    """Why a success cannot be taken back any more, a sentence; "" where it can, and where nobody can tell.

    `plan` is the spec that it ran by, as JSON; None where unknown.
    """
    if text(record(release.get("status")).get("phase")) != "Succeeded":
        return ""
    try:
        return _later_success(session, release) or _old_is_gone(session, release, plan)
    except KubeError:
        return ""  # the controller answers, once the release is made


def _later_success(session: Session, release: Obj) -> str:
    """Only the release that serves can be taken back. The plan learns of a success a moment after the release itself."""
    namespace = text(record(release.get("metadata")).get("namespace")) or session.namespace
    name, plan = text(record(release.get("metadata")).get("name")), text(record(release.get("spec")).get("plan"))
    try:
        last = text(record(session.kube.get(RELEASE_PLAN, namespace, plan).get("status")).get("lastSucceeded"))
        if last in ("", name) or _finished(session.kube.get(RELEASE, namespace, last)) < _finished(release):
            return ""
    except NotFoundError:
        return ""
    return f"Release {last} has succeeded after {name}, so {name} no longer serves: penstock rollback {last}"


def _finished(release: Obj) -> float:
    return number(record(release.get("status")).get("finishedAt"))


def _old_is_gone(session: Session, release: Obj, plan: Mapping[str, Any] | None) -> str:
    """What of the old version is not there any more."""
    from pydantic import ValidationError

    from controller.adapters.reversal import old_version_gone
    from controller.api.plan import PlanSpec

    try:
        gone = old_version_gone(session.kube, release, PlanSpec.model_validate(plan))
    except (ValidationError, KeyError):
        return ""
    return f"{say(MIXED_REVERSE, gone)} {_forward_to(release)}" if gone else ""


def _forward_to(release: Obj) -> str:
    """The release that brings the old images back, with a green that is judged."""
    meta, spec = record(release.get("metadata")), record(release.get("spec"))
    before = sorted((str(k), str(v)) for k, v in record(record(release.get("status")).get("imagesBefore")).items() if v)
    if not before:
        return next_step(MIXED_REVERSE)
    images = " ".join(f"--image {member}={image}" for member, image in before)
    return f"A release brings the old version back: penstock start {text(spec.get('plan'))} {images} -n {text(meta.get('namespace'))}"
