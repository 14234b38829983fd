"""Which finished releases a plan no longer keeps: by count, age and size, oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from controller.api.plan import History

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished release of the plan.

    Attributes:
        ended: Unix seconds.
        size: bytes of its records.
        plan_hash: the frozen plan that it names.
    """

    name: str
    uid: str
    ended: float
    size: int
    plan_hash: str


def no_longer_kept(finished: Sequence[Finished], history: History, now: float) -> tuple[Finished, ...]:
    """The releases to remove. The newest one is always kept, whatever its size."""
    newest_first = sorted(finished, key=lambda f: (f.ended, f.uid), reverse=True)
    kept_bytes, removed = 0, []
    for position, release in enumerate(newest_first):
        kept_bytes += release.size
        too_many = position >= history.releases
        too_old = history.age is not None and now - release.ended > history.age
        too_big = kept_bytes > history.megabytes * MEGABYTE
        if position and (too_many or too_old or too_big):
            removed.append(release)
            kept_bytes -= release.size
    return tuple(removed)
