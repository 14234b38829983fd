"""Waiting for a state of the real world, with a deadline: the only place where tests sleep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
POLL_SECONDS = 0.05
# Deadlines are written for a quiet machine of two cores; a slow or busy one takes longer, and nobody waits for a state that is there.
PATIENCE = 3.0


def eventually(ask: Callable[[], T], seconds: float = 20.0, what: str = "") -> T:
    """Ask until the answer is true, and return it; an exception of `ask` is a defect and is passed on.

    Raises:
        AssertionError: still not after `PATIENCE` times `seconds`; names `what` was awaited and the last answer.
    """
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'the awaited state'} was not reached within {seconds:g} s; last answer: {answer!r}")
        time.sleep(POLL_SECONDS)
    return answer
