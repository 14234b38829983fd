"""What stands beside a rollback's stamp: the decision, which is recorded only after the traffic has moved.

    decide -> patch the routes (stamp and this) -> [a crash here] -> records, status

A controller that dies between the two leaves everything that it would have recorded on the routes, so that the next
one finishes the same rollback for the same reason, with the same numbers (S15).
"""

from dataclasses import replace

from pydantic import Field

from controller.api.base import StatusModel
from controller.api.release import RollbackStatus, StageStatus
from controller.core.commands import Record

LONGEST = 60_000
"""Letters beside a stamp; all annotations of an object may have 256 KiB together."""

LONGEST_MESSAGE = 1000


class Because(StatusModel):
    """The decision of a rollback, what its stage had come to, and the records of both."""

    rollback: RollbackStatus
    stage: StageStatus | None = None
    records: list[Record] = Field(default_factory=list)

    def text(self) -> str:
        """As JSON; where that would be too long, the records without their numbers."""
        whole = self.model_dump_json(exclude_defaults=True)
        if len(whole) <= LONGEST:
            return whole
        brief = [replace(entry, data={}, message=entry.message[:LONGEST_MESSAGE]) for entry in self.records]
        return self.model_copy(update={"records": brief}).model_dump_json(exclude_defaults=True)


def read(text: str) -> Because | None:
    """What was left; None where somebody took it away, or wrote nonsense."""
    try:
        return Because.model_validate_json(text)
    except ValueError:
        return None
