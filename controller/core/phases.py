r"""Every legal phase transition, in one table.

A release is born `Queued`. It takes the lock of its plan, brings green up (`Preparing`), and then goes
round and round: `Shifting` (a grant is written, then the weight, then the split settles), `Measuring`
(a window is judged), the gates, the next stage. The last stage is `Baking`: the same window, at 100 %.
`Returning` is for plans that want their original workload back. `Holding` waits with a deadline or for a
person and remembers where to go on; `Halted` never goes toward green until a person asks.

Everything that goes wrong meets in `RollingBack`: traffic first, then `TearingDown`. Final phases are
final for that uid and revision: nothing leads out of them.

    Queued -> Preparing -> Shifting -> Measuring -> Shifting -> ... -> Baking -> [Returning] -> Succeeded
                   \___________\__________\__________________________\____ RollingBack -> TearingDown -> RolledBack
"""

from controller.api.release import Phase, ReleaseStatus

P = Phase

TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    P.QUEUED: frozenset({P.PREPARING, P.REFUSED, P.ROLLED_BACK}),
    P.PREPARING: frozenset({P.SHIFTING, P.HOLDING, P.ROLLING_BACK, P.ROLLED_BACK, P.REFUSED, P.HALTED}),
    P.SHIFTING: frozenset({P.MEASURING, P.BAKING, P.HOLDING, P.SHIFTING, P.ROLLING_BACK, P.HALTED}),
    P.MEASURING: frozenset({P.SHIFTING, P.HOLDING, P.ROLLING_BACK, P.HALTED}),
    P.BAKING: frozenset({P.SUCCEEDED, P.RETURNING, P.HOLDING, P.SHIFTING, P.ROLLING_BACK, P.HALTED}),
    P.HOLDING: frozenset({P.PREPARING, P.SHIFTING, P.MEASURING, P.BAKING, P.RETURNING, P.SUCCEEDED, P.HOLDING, P.ROLLING_BACK, P.HALTED}),
    P.RETURNING: frozenset({P.SUCCEEDED, P.HOLDING, P.ROLLING_BACK, P.HALTED}),
    P.ROLLING_BACK: frozenset({P.TEARING_DOWN, P.HALTED}),
    P.TEARING_DOWN: frozenset({P.ROLLED_BACK, P.HALTED, P.ROLLING_BACK}),
    P.HALTED: frozenset({P.ROLLING_BACK, P.TEARING_DOWN, P.SHIFTING, P.MEASURING, P.BAKING, P.RETURNING}),
    P.SUCCEEDED: frozenset(),
    P.ROLLED_BACK: frozenset(),
    P.REFUSED: frozenset(),
}

FINAL = frozenset({P.SUCCEEDED, P.ROLLED_BACK, P.REFUSED})
"""Nothing leads out of these."""

WATCHED = frozenset({P.SHIFTING, P.MEASURING, P.HOLDING, P.BAKING, P.RETURNING, P.HALTED})
"""Triggers act in these while green may have traffic."""

CHECKPOINTED = WATCHED | {P.PREPARING}
"""Progress that changes no phase and no streak is written once a minute in these: people read it."""

BACKWARD = frozenset({P.ROLLING_BACK, P.TEARING_DOWN})
"""Once here, nothing raises green's weight (S8)."""


FULL = 100
"""All requests, percent."""


def false_end(status: ReleaseStatus) -> str:
    """Why a final phase is no real end, in words: whoever ends a release writes its time and the right weight with the phase.

    "" where it is one, and where the phase is none of the final ones.
    """
    if status.phase in FINAL and not status.finished_at:
        return f"phase: found {status.phase.value} without finishedAt, expected both"
    if status.phase is Phase.ROLLED_BACK and status.weight:
        return f"phase: found RolledBack with weight {status.weight}, expected 0"
    if status.phase is Phase.SUCCEEDED and not status.returned_at and status.weight < FULL:
        return f"phase: found Succeeded with weight {status.weight}, expected {FULL}"
    return ""


class IllegalTransitionError(Exception):
    """A defect of ours: the core asked for a transition that the table does not have."""


def check(before: Phase, after: Phase) -> Phase:
    """The phase after, where the table has it; raises `IllegalTransitionError` and changes nothing otherwise."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransitionError(f"{before} -> {after} is not in the table of transitions")
    return after
