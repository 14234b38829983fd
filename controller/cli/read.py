"""Reading releases and what belongs to them for the commands, with sentences for what is not there."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson

from controller.adapters.kube_errors import ConfigError
from controller.cli.exits import CommandError, ExitCode, explain_fault, is_missing_kind
from controller.cli.host import Session, say
from controller.cli.leading import nobody_acts
from controller.cli.reversal import no_way_back
from controller.cli.view import FINAL, ReleaseView, updated_at, view_of
from controller.cli.words import created_at, full_stop, record, text
from controller.ports import CONFIG_MAP, RELEASE, RELEASE_PLAN, KubeError, NotFoundError, Obj, UnavailableError

T = TypeVar("T")

RETRY_SECONDS = 0.5

INSIST_SECONDS = 30.0
"""So long a pipeline's first words to the API server are tried: it is away that long while it is replaced."""


def release_of(session: Session, name: str) -> Obj:
    """The Release. Raises `CommandError` where there is none of that name."""
    try:
        return session.kube.get(RELEASE, session.namespace, name)
    except NotFoundError as error:
        if is_missing_kind(error):
            raise explain_fault(error) from error
        raise CommandError(ExitCode.NO, f"There is no release {name} in namespace {session.namespace}.{_known(session)}") from error


def _known(session: Session) -> str:
    """The names there are, newest first; a 404 for a whole kind that is not installed shows here, too."""
    try:
        found = session.kube.list(RELEASE, session.namespace).items
    except NotFoundError as error:
        raise explain_fault(error) from error
    except KubeError:
        return ""
    names = [text(record(o.get("metadata")).get("name")) for o in sorted(found, key=created_at, reverse=True)]
    return f" There are: {', '.join(names[:5])}." if names else " There is none at all."


def plan_in_force(session: Session, release: Obj) -> Mapping[str, Any] | None:
    """The spec that the release runs by, with its defaults: the frozen plan, else the live one. None where it cannot be had."""
    namespace = text(record(release.get("metadata")).get("namespace")) or session.namespace
    hash_ = text(record(release.get("status")).get("planHash"))
    try:
        if hash_:
            frozen = session.kube.get(CONFIG_MAP, namespace, f"penstock-plan-{hash_}")
            return record(orjson.loads(text(record(frozen.get("data")).get("plan.json")) or "{}")) or None
        live = session.kube.get(RELEASE_PLAN, namespace, text(record(release.get("spec")).get("plan")))
    except (KubeError, orjson.JSONDecodeError):
        return None
    return with_defaults(as_measured(live))


def as_measured(plan: Obj) -> Mapping[str, Any]:
    """The spec of a plan object as a release would freeze it now."""
    from controller.api.measured import filled_in

    return filled_in(record(plan.get("spec")), record(plan.get("status")))


def with_defaults(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A plan as its author wrote it, filled up; None where it is not valid."""
    from pydantic import ValidationError

    from controller.api.plan import PlanSpec

    try:
        return PlanSpec.model_validate(spec).model_dump(mode="json")
    except ValidationError:
        return None


def seen_now(session: Session, release: Obj, plan: Mapping[str, Any] | None) -> ReleaseView:
    """The release as people see it now, with the way back only where it still exists, and with what keeps everything from moving."""
    meta, status = record(release.get("metadata")), record(release.get("status"))
    silent = session.now - max(updated_at(status), created_at(release))
    stuck = nobody_acts(session, text(meta.get("namespace")), silent) if text(status.get("phase")) not in FINAL else ""
    way = no_way_back(session, release, plan)
    return view_of(release, plan, now=session.now, divisor=session.divisor, no_way_back=way, leaderless=stuck)


def plan_edits(session: Session, release: Obj, plan: Mapping[str, Any] | None) -> list[str]:
    """What an edit in mid-release changed: the plan that the release goes by against the one that stands now.

    Empty where nothing differs, and where nobody can say.
    """
    from controller.cli.plan_changes import bounded

    status = record(release.get("status"))
    if status.get("planChanged") is not True or text(status.get("phase")) in FINAL or plan is None:
        return []
    namespace = text(record(release.get("metadata")).get("namespace")) or session.namespace
    try:
        live = with_defaults(as_measured(session.kube.get(RELEASE_PLAN, namespace, text(record(release.get("spec")).get("plan")))))
    except NotFoundError:
        return ["the plan was deleted"]
    except KubeError:
        return []
    return bounded(with_defaults(plan), live) if live is not None else ["the plan as it stands is not valid: penstock validate shows why"]


class Follower:
    """Reads one release again and again, with its plan, and rides out a loss of the API server."""

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._name = session, name
        self._plan: Mapping[str, Any] | None = None
        self._hash: str | None = None
        self._uid = ""
        self.lost = False

    def look(self) -> tuple[Obj, ReleaseView] | None:
        """The release now; None while the API server is lost, which is said once. The first look raises instead."""
        try:
            found = release_of(self._session, self._name)
            uid = text(record(found.get("metadata")).get("uid"))
        except (KubeError, CommandError, ConfigError) as error:
            self._missed(error)
            return None
        if self._uid and uid != self._uid:
            raise CommandError(ExitCode.NO, f"Release {self._name} was deleted and made again; this is another one.")
        if self.lost:
            say("The API server answers again.")
        self.lost, self._uid = False, uid
        hash_ = text(record(found.get("status")).get("planHash"))
        if self._hash != hash_ or self._plan is None:
            self._plan, self._hash = plan_in_force(self._session, found), hash_
        return found, seen_now(self._session, found, self._plan)

    def _missed(self, error: Exception) -> None:
        if not self._uid:
            raise error
        if isinstance(error, CommandError):
            if error.code is ExitCode.NO:
                raise CommandError(ExitCode.NO, f"Release {self._name} is gone: it was deleted.") from error
            raise error
        if not self.lost:
            say(f"{full_stop(error)} The release goes on; tries again until it answers.")
        self.lost = True


def insist(session: Session, seconds: float, ask: Callable[[], T]) -> T:
    """Ask; where no answer comes, again until the time is over. For what is idempotent by name."""
    end, said = session.now + seconds, False
    while True:
        try:
            return ask()
        except UnavailableError as error:
            if session.now >= end:
                raise
            if not said:
                say(f"{full_stop(error)} Tries again for {seconds:g} s.")
                said = True
            session.host.sleep(max(RETRY_SECONDS, min(error.retry_after, seconds)))
