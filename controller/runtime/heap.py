"""The C library's heaps, which many threads blow up: each gets one of its own, and what is free in them is never given back.

glibc only. Elsewhere (musl) both do nothing: its allocator has one heap.
"""

import ctypes
import functools
from typing import Any

_M_ARENA_MAX = -8
"""The name of the setting in `malloc.h`."""

HEAPS = 2
"""Most of the work holds Python's one lock anyway, so that two heaps are as quick as sixteen."""


@functools.cache
def _library() -> Any:
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:
        return None


def keep_few() -> None:
    """From now on threads share a few heaps. To be called before there are threads."""
    mallopt = getattr(_library(), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, HEAPS)


def give_back() -> None:
    """Let the kernel have what is free: a burst of releases that are brought up leaves much behind."""
    trim = getattr(_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
