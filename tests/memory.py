"""How much memory something keeps, as the interpreter's allocator counts it: with the room that nobody uses."""

import tracemalloc
from collections.abc import Callable


def kept_bytes(make: Callable[[], object]) -> int:
    """Bytes that what `make` returns still holds once it is made."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = make()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert made is not None
    return after - before
