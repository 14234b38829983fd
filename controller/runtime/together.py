"""Asks the questions of a look at the same time: nine triggers of a slow Prometheus wait as long as one."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 128
"""For all workers together; begun when they are needed. A provider's own pool and deadline limit what reaches it."""


class AskTogether:
    """The `Together` of production: the first question in the caller's thread, the others beside it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="asking")

    def __call__(self, questions: Sequence[Callable[[], T]]) -> list[T]:
        """All answers, in the order of the questions."""
        if not questions:
            return []
        others = [self._threads.submit(question) for question in questions[1:]]
        return [questions[0](), *(other.result() for other in others)]

    def close(self) -> None:
        """Nothing is asked any more; what is under way ends by its own deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)
