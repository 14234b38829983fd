"""What a recorded history does not say of itself: when a test disturbed the components, who led, and how slow the machine was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.simulator.invariants_liveness import DRIFT_SECONDS, TAKEOVER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bed.api import JsonObject

LATE_SECONDS = 0.5
"""A commit is dated when its watch event arrives, which is a little late on a busy machine."""
WRITES = 5
"""So many requests at most stand one after the other between a verdict and the weights that it asks for."""
MOST_SECONDS = 10.0
"""No machine on which these tests say anything is slower; also a beat whose news never came excuses no more."""
BESIDE_SECONDS = 1.0
"""A beat tells of the time around it, as there is one only now and then."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A time in which something was taken away; `alone` where nobody was there to take over, which two replicas are for (L7)."""

    begin: float
    end: float
    alone: bool = False


@dataclass(slots=True)
class Beside:
    """The world of a recorded history, all times by the wall.

    Attributes:
        lease: seconds.
        quiet_since: when the last disturbance ended, or the record began.
        led_at: when the Lease was renewed last; its release counts as none.
        beats: begin and end of writes of the test's own, from asking to hearing of them: how slow the machine was.
    """

    lease: float
    quiet_since: float
    disturbances: list[Disturbance] = field(default_factory=list)
    clock_offset: float = 0.0
    led_at: float | None = None
    beats: Sequence[tuple[float, float]] = ()

    def led(self, at: float, lease: JsonObject | None) -> None:
        """One commit of the Lease."""
        if (lease or {}).get("spec", {}).get("holderIdentity"):
            self.led_at = at

    @property
    def leaderless_since(self) -> float | None:
        """When the Lease was renewed last: who renews it acts in that moment. None where nobody could since, until somebody does."""
        if self.led_at is None:
            return None
        begun = (one.begin - (self.led_at - LATE_SECONDS) for one in self.disturbances if one.alone)
        nobody_could = any(0 < silence <= LATE_SECONDS + self.lease + TAKEOVER_SECONDS for silence in begun)
        return None if nobody_could else self.led_at

    def disturbed(self, since: float, now: float) -> bool:
        """Whether something was away, or had come back less than a lease and 10 s before."""
        return any(one.begin <= now and one.end + self.lease + 10 >= since for one in self.disturbances)

    @property
    def dated_late(self) -> float:
        """Seconds by which any commit may be dated late: the API server's own times have whole seconds."""
        return min(1.0, max((end - begin for begin, end in self.beats), default=0.0) + LATE_SECONDS)

    def late(self, since: float, now: float) -> float:
        """A controller that is given no time acts late: by what its requests take, as a write of the test's own took at that time.

        What a test took away itself has allowances of its own.
        """
        around = (beat for beat in self.beats if beat[0] <= now + BESIDE_SECONDS and beat[1] >= since - BESIDE_SECONDS)
        own = (end - begin for begin, end in around if not any(one.begin <= end and one.end >= begin for one in self.disturbances))
        return LATE_SECONDS + min(MOST_SECONDS, WRITES * max(own, default=0.0))

    def cut_off(self, since: float, now: float) -> bool:
        """Whether nobody may have acted."""
        return any(one.begin <= now and one.end + self.lease + DRIFT_SECONDS >= since for one in self.disturbances)
