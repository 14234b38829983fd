"""The production controller with every thread profiled by CPU time: `python -m bench.profiled SETTINGS`.

Not a measurement: the profile itself doubles the time. Used by the benches where PENSTOCK_BENCH_PROFILE names a file;
the profile is written there when the controller ends.
"""

import cProfile
import io
import os
import pstats
import sys
import threading
import time

from controller.compose import run
from controller.runtime.config import load_config
from controller.runtime.logs import log_to

PROFILES: list[cProfile.Profile] = []


def profile_threads() -> None:
    """Let each thread that is started from now on have its own profile."""
    plain = threading.Thread.run

    def profiled(self: threading.Thread) -> None:
        profile = cProfile.Profile(time.thread_time)
        PROFILES.append(profile)
        profile.enable()
        try:
            plain(self)
        finally:
            profile.disable()

    threading.Thread.run = profiled  # type: ignore[method-assign]


def main() -> int:
    """Run; then write the heaviest functions, by their own time and by all below them."""
    profile_threads()
    config = load_config(sys.argv[1])
    log_to(level=config.log_level)
    code = run(config)
    text = io.StringIO()
    for profile in PROFILES:
        profile.create_stats()
    stats = pstats.Stats(*[p for p in PROFILES if p.stats], stream=text)  # type: ignore[attr-defined]
    stats.sort_stats("tottime").print_stats(45)
    stats.sort_stats("cumtime").print_stats(90)
    with open(os.environ["PENSTOCK_BENCH_PROFILE"], "w", encoding="utf-8") as file:  # noqa: PTH123 - one line
        file.write(text.getvalue())
    return code


if __name__ == "__main__":
    raise SystemExit(main())
