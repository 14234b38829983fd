"""Whether anybody can judge green: asked before anything is touched, and once more before it gets its first request.

    Preparing  |  trial  | routes claimed, green made, ready | route delay |  trial  | first weight
               each query of the plan's author once                         the same, and the traffic query

Only their Prometheus knows whether it takes the author's queries: one that is no query there refuses the release, and ends one that
has begun because nobody answered the first time. What our own parser does not know (an extension, a function of a newer version) is a
warning at the start and nothing more. Where nobody answers the second time, or by another clock, the release holds
(`preparing.first_weight`): nobody would see green fail. That there are no samples yet says nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.api.plan import PlanSpec
from controller.api.release import Phase
from controller.core import reasons
from controller.core.asking import QUERY_TIMEOUT_SECONDS, naming_of
from controller.core.queries import fill, member_of, pair_of
from controller.core.steps import World
from controller.core.world import Ask
from controller.ports import Answer, AnswerFault

_ANSWERED = (None, AnswerFault.BAD_QUERY, AnswerFault.NOT_EXECUTED)
"""What a Prometheus that is there answers: it may not be able to execute a query for what there is without green's requests."""

WINDOW_SECONDS = 60.0
"""What $window is in a trial."""


@dataclass(frozen=True, slots=True)
class Own:
    """One query of a plan's author: the check or trigger it belongs to, and whom it asks about what.

    Attributes:
        acts: it belongs to one that is not only observed.
    """

    name: str
    text: str
    member: str | None
    provider: str
    acts: bool


def own_queries(plan: PlanSpec) -> Iterator[Own]:
    """Everything that the plan's author has written as PromQL."""
    for check in plan.checks:
        counters = check.counters.selectors if check.counters is not None else ()
        metrics = check.kayenta.metrics if check.kayenta is not None else ()
        for text in (check.query, *counters, *(metric.query for metric in metrics)):
            if text:
                yield Own(check.name, text, check.member, check.provider, acts=not check.observe)
    for trigger in plan.triggers:
        if trigger.query:
            yield Own(trigger.name, trigger.query, trigger.member, trigger.provider, acts=not trigger.observe)


def trial_key(number: int) -> str:
    """Key of the answer to the plan's own query of this number."""
    return f"trial/{number}"


def due(w: World) -> bool:
    """Whether nothing else stands before green's first request; not of a release that waits for nothing, or judges nothing."""
    ready = w.status.ready_at
    if w.standing is not Phase.PREPARING or w.asks_person or not ready or not _judges(w):
        return False
    return w.now >= ready + w.plan.preparation.route_delay


def begins(w: World) -> bool:
    """Whether nothing is touched yet, and nothing else refuses the release."""
    known = w.observed.blue_slot >= 0 and not w.observed.problems
    return w.status.phase is Phase.PREPARING and w.status.blue_slot < 0 and known and _judges(w)


def _judges(w: World) -> bool:
    return not w.subject.spec.now and w.subject.spec.kind != "reverse"


def asks(w: World) -> Iterator[Ask]:
    """Each query once, about green; left out is what is only observed, and one whose parameters have no value here, as when it is due."""
    if begins(w):
        w = w.with_status(w.status.model_copy(update={"blue_slot": w.observed.blue_slot, "mode": w.observed.mode}))
    elif not due(w):
        return
    for number, own in enumerate(own_queries(w.plan)):
        if not own.acts:
            continue
        try:
            member = member_of(w.plan, own.member)
            place = pair_of(w.plan, member, naming_of(w.subject, w.observed, member.name, w.observed.domain)).green
            query = fill(own.text, place, WINDOW_SECONDS)
        except ValueError:
            continue
        yield Ask(key=trial_key(number), query=query, time=w.now, provider=own.provider, timeout=QUERY_TIMEOUT_SECONDS)


def refused(w: World) -> str:
    """All of them that are no query to their Prometheus, in its words; "" where none is known to be that."""
    found = (f"{own.name}: {answer.message}" for own, answer in _answers(w) if answer.fault is AnswerFault.BAD_QUERY)
    return "; ".join(dict.fromkeys(found))


def unanswered(w: World) -> str:
    """Why nobody answers a query of the plan's author, in words; "" where all were answered, or none was asked."""
    for own, answer in _answers(w):
        if answer.fault not in _ANSWERED:
            return f"{own.name}: {reasons.say(reasons.FAULTS[answer.fault], answer.message)}".rstrip(".")
    return ""


def _answers(w: World) -> Iterator[tuple[Own, Answer]]:
    for number, own in enumerate(own_queries(w.plan)):
        found = w.measured.answers.get(trial_key(number))
        if found is not None:
            yield own, found.answer
