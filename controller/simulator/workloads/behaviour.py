"""What may go wrong with the pods of a simulated workload, and how fast everything is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from controller.ports import Obj


@dataclass(frozen=True, slots=True)
class PodBehaviour:
    """How the pods of some workloads start and live; the fields of a pattern are shell patterns.

    Attributes:
        ready_seconds: from the creation of a pod to its readiness; None for never.
        crash_after_seconds: from its readiness to the first crash of a crash loop; None for never.
        crash_at: scenario time (Unix seconds) from which its pods crash-loop; None for never.
        image_missing: the image cannot be pulled; the pod never starts.
        unready_between: Unix seconds between which pods are not ready though they run.
    """

    namespace: str = "*"
    workload: str = "*"
    image: str = "*"
    ready_seconds: float | None = 5.0
    crash_after_seconds: float | None = None
    crash_at: float | None = None
    image_missing: bool = False
    unready_between: tuple[tuple[float, float], ...] = ()

    def covers(self, deployment: Obj) -> bool:
        """Whether the pods of a Deployment behave like this."""
        meta = deployment["metadata"]
        if not (fnmatchcase(meta.get("namespace", ""), self.namespace) and fnmatchcase(meta["name"], self.workload)):
            return False
        containers = deployment["spec"]["template"].get("spec", {}).get("containers", ())
        return self.image == "*" or any(fnmatchcase(container.get("image", ""), self.image) for container in containers)


HEALTHY = PodBehaviour()


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """The cluster's pace and limits.

    Attributes:
        behaviours: the first that covers a Deployment counts; healthy otherwise.
        quotas: most pods by namespace.
        reaction_seconds: from a commit to the controllers' answer.
        collection_seconds: from an owner's deletion to its dependents'.
        foreign_owner_seconds: until a dependent goes whose owner is not in its namespace (measured: within 4 s).
        restart_seconds: pauses between the restarts of a crash loop, as the kubelet backs off; the last one repeats.
        pods_per_replica_set: None writes every pod; a number writes that many, and endpoints share them.
    """

    behaviours: Sequence[PodBehaviour] = ()
    quotas: Mapping[str, int] = field(default_factory=dict)
    reaction_seconds: float = 0.05
    collection_seconds: float = 0.2
    foreign_owner_seconds: float = 3.0
    restart_seconds: tuple[float, ...] = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
    pods_per_replica_set: int | None = None

    def behaviour_of(self, deployment: Obj) -> PodBehaviour:
        """How the pods of a Deployment behave."""
        return next((behaviour for behaviour in self.behaviours if behaviour.covers(deployment)), HEALTHY)
