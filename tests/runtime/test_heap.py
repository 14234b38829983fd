"""The C library's heaps."""

import ctypes
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
from controller.runtime import heap

if sys.argv[1] == "few":
    heap.keep_few()
libc = ctypes.CDLL("libc.so.6")
libc.fdopen.restype = ctypes.c_void_p
barrier = threading.Barrier(8)


def work():
    barrier.wait()
    libc.malloc(ctypes.c_size_t(5000))  # ctypes lets go of Python's lock: eight threads are in here at once
    barrier.wait()


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
heap.give_back()
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


def heaps(how):
    done = subprocess.run([sys.executable, "-c", HEAPS, how], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another C library than glibc, which has one heap")
def test_threads_share_two_heaps():
    assert heaps("few") <= 2 < heaps("as-many-as-there-are-threads")
