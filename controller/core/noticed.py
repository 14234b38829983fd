"""What happens to the versions while green has traffic, and is only said: pods, images, sizes, what they read.

Nothing else follows from any of it. While blue answers nobody, each raise of a green that was judged is a gain for its users. A blue
that was changed is still what its users would go back to, so that green is held against it, and no rollback waits. And whether a smaller
green is enough for what it has, the checks tell; it is made whole before it gets more, and at the end of the bake.
"""

from dataclasses import replace

from analysis.model import Outcome
from controller.api.release import ReleaseStatus
from controller.core import gates, reasons, seen
from controller.core.commands import Record, RecordKind
from controller.core.phases import WATCHED
from controller.core.steps import World, record

Said = tuple[ReleaseStatus, tuple[Record, ...]]
"""The status that says it, the same object where it says so already; and the record of each change."""


def watched(w: World, status: ReleaseStatus) -> Said:
    """What the versions have come to since the status was written."""
    if w.status.phase not in WATCHED or w.status.stage < 0 or w.observed.schema_problem:
        return status, ()
    status, pods = _pods(w, status)
    status, images = _images(w, status)
    status, sizes = _sizes(w, status)
    status, configs = _configs(w, status)
    return status, (*pods, *images, *sizes, *configs)


def _pods(w: World, status: ReleaseStatus) -> Said:
    """Since when nobody could be put back on it."""
    if w.status.returning is not None or w.subject.spec.kind == "reverse" or w.status.empty_since:
        return status, ()  # that neither has pods is said by `outage.nowhere_to_go`
    bare = gates.named([m.blue for m in w.observed.members if m.blue.empty and not gates.gone(m.blue)])
    since = status.blue_empty_since
    if bool(bare) == bool(since):
        return status, ()
    changed = status.model_copy(update={"blue_empty_since": w.now if bare else 0.0})
    word, detail = (reasons.BLUE_EMPTY, bare) if bare else (reasons.BLUE_REFILLED, f"it had none for {w.now - since:.0f} s")
    return _noted(w, status, changed, (word, detail, f"{since:.0f}"))


def _images(w: World, status: ReleaseStatus) -> Said:
    """What it runs instead of what served at the start."""
    found = gates.other_blue(w)
    if found == status.blue_changed or gates.deleted_blue(w):
        return status, ()
    changed = status.model_copy(update={"blue_changed": found})
    word, detail = (reasons.BLUE_CHANGED, found) if found else (reasons.BLUE_AS_BEFORE, gates.named([m.blue for m in w.observed.members]))
    return _noted(w, status, changed, (word, detail, found or status.blue_changed))


def _sizes(w: World, status: ReleaseStatus) -> Said:
    """Which of green's Deployments somebody made smaller than they were when green got what it has."""
    found = gates.green_shrunk(w)
    if found == status.green_shrunk:
        return status, ()
    changed = status.model_copy(update={"green_shrunk": found})
    if found and status.green_shrunk:
        return changed, ()  # by how much is progress: an autoscaler may change it every minute
    word, detail = (reasons.GREEN_SHRUNK, found) if found else (reasons.GREEN_WHOLE, gates.named([m.green for m in w.observed.members]))
    return _noted(w, status, changed, (word, detail, f"{w.now:.0f}"))


def _configs(w: World, status: ReleaseStatus) -> Said:
    """Which ConfigMaps say something else. While one cannot be read, as all in a look that is not live, nothing is taken back.

    Once the original of `finish: home` has passed, the clone's copies go with it, which is nobody's change.
    """
    if status.returning is not None and status.returning.verdict is Outcome.PASS:
        return status, ()
    found, unread = gates.other_configs(w), w.status.configs_ready.keys() - w.observed.configs.keys()
    if found == status.configs_changed or (unread and status.configs_changed):
        return status, ()
    changed = status.model_copy(update={"configs_changed": found})
    word, detail = (reasons.CONFIG_CHANGED, found) if found else (reasons.CONFIG_AS_BEFORE, status.configs_changed)
    return _noted(w, status, changed, (word, detail, f"{w.now:.0f}"))


def _noted(w: World, before: ReleaseStatus, changed: ReleaseStatus, words: tuple[str, str, str]) -> Said:
    """The change with its record (reason, detail, and what tells it from others); while a person is waited for, at the next checkpoint."""
    if w.names_person and not seen.checkpoint_due(w, changed):
        return before, ()
    word, detail, mark = words
    note = record(w, RecordKind.WARNING, word, detail)
    return changed, (replace(note, key=f"{note.key}/{word}/{mark}"),)  # there may be several in one phase
