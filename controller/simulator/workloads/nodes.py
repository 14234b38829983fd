"""The lives of pods on the simulated nodes: starting, ready, crashing, waiting."""

from collections.abc import Iterator, Sequence

from controller.ports import Obj
from controller.simulator.workloads.behaviour import PodBehaviour, WorkloadSettings

Key = tuple[str, str]
UP_SECONDS = 2.0
"""How long a crash-looping pod runs between two crashes."""
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class Life:
    """One pod's present state and its next change.

    Attributes:
        waiting: why its containers do not run, "" where they do.
        next_change: Unix seconds of its next change, None where nothing will happen by itself.
    """

    def __init__(self, behaviour: PodBehaviour, address: str, now: float, *, instant: bool) -> None:
        self.behaviour, self.address = behaviour, address
        self.ready, self.restarts, self.waiting = False, 0, "ContainerCreating"
        self.stands_for = 1
        self._crash_from = behaviour.crash_at
        self.next_change: float | None = None
        if behaviour.image_missing:
            self.next_change = now + 1.0
        elif behaviour.ready_seconds is not None:
            self.next_change = now if instant else now + behaviour.ready_seconds
        else:
            self.next_change = now + 1.0
        self._ready_at = None if behaviour.ready_seconds is None or behaviour.image_missing else self.next_change

    def change(self, behaviour: PodBehaviour, now: float) -> None:
        """Behave differently from now on."""
        self.behaviour = behaviour
        self._crash_from = behaviour.crash_at
        if behaviour.crash_after_seconds is not None:
            self._crash_from = min(now + behaviour.crash_after_seconds, self._crash_from or float("inf"))
        self._ready_at = None if behaviour.ready_seconds is None or behaviour.image_missing else now
        if self._ready_at is None:
            self.ready = False
        self.next_change = now

    def step(self, now: float, restart_seconds: Sequence[float]) -> None:
        """Go through the change that is due now."""
        if self.behaviour.image_missing:
            self.waiting, self.next_change = "ImagePullBackOff", None
        elif self._ready_at is None:
            self.waiting, self.next_change = "", None
        elif self._crash_from is not None and now >= self._crash_from and not self.waiting:
            pause = restart_seconds[min(self.restarts, len(restart_seconds) - 1)]
            self.ready, self.restarts, self.waiting = False, self.restarts + 1, "CrashLoopBackOff"
            self.next_change = now + pause
        else:
            self._run(now)

    def _run(self, now: float) -> None:
        """The containers run; ready unless a time of unreadiness is on."""
        if self.waiting == "ContainerCreating" and self.behaviour.crash_after_seconds is not None:
            self._crash_from = min(now + self.behaviour.crash_after_seconds, self._crash_from or float("inf"))
        self.waiting = ""
        self.ready = not any(start <= now < end for start, end in self.behaviour.unready_between)
        changes = [edge for pair in self.behaviour.unready_between for edge in pair if edge > now]
        if self._crash_from is not None:
            changes.append(max(self._crash_from, now + UP_SECONDS if self.restarts else now))
        self.next_change = min(changes, default=None)


class Nodes:
    """All lives, by pod."""

    def __init__(self, settings: WorkloadSettings) -> None:
        self.settings = settings
        self.instant = False
        self._lives: dict[Key, Life] = {}
        self._made = 0

    def suffix(self) -> str:
        """Five characters for a pod's name, the same in every run."""
        number, letters = (self._made + 1) * 7_368_787 % 14_348_907, []
        for _ in range(5):
            number, digit = divmod(number, len(_ALPHABET))
            letters.append(_ALPHABET[digit])
        return "".join(letters)

    def start(self, key: Key, behaviour: PodBehaviour, now: float) -> Life:
        """A pod begins."""
        self._made += 1
        address = f"10.{(self._made >> 16) % 128 + 64}.{(self._made >> 8) & 255}.{self._made & 255}"
        life = self._lives[key] = Life(behaviour, address, now, instant=self.instant)
        return life

    def life(self, key: Key) -> Life | None:
        """The life of a pod, or None."""
        return self._lives.get(key)

    def forget(self, key: Key) -> None:
        """A pod is gone."""
        self._lives.pop(key, None)

    def is_ready(self, key: Key) -> bool:
        """Whether a pod is ready."""
        life = self._lives.get(key)
        return life is not None and life.ready

    def stands_for(self, key: Key) -> int:
        """How many pods this one stands for: 1 unless pods are sampled."""
        life = self._lives.get(key)
        return 1 if life is None else life.stands_for

    def share(self, wanted: int, keys: Sequence[Key]) -> None:
        """Spread the replicas over the pods that were written; only where pods are sampled."""
        if self.settings.pods_per_replica_set is None or not keys:
            return
        for index, key in enumerate(keys):
            life = self._lives.get(key)
            if life is not None:
                life.stands_for = wanted // len(keys) + (1 if index < wanted % len(keys) else 0)

    def addresses(self, key: Key, pod: Obj) -> Iterator[tuple[str, bool]]:
        """Address and readiness of each pod that this one stands for; of a foreign pod, what its status says."""
        life = self._lives.get(key)
        if life is None:
            status = pod.get("status") or {}
            ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
            if status.get("podIP"):
                yield status["podIP"], ready
            return
        if life.waiting == "ContainerCreating":
            return  # It has no address yet.
        first, _, rest = life.address.partition(".")
        for copy in range(life.stands_for):
            yield f"{int(first) + copy}.{rest}", life.ready
