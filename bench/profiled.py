"""The production controller with its looks and queries profiled by CPU time: `python -m bench.profiled SETTINGS`.

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
from collections.abc import Callable

from controller.adapters.prometheus import HttpPrometheus
from controller.compose import run
from controller.runtime.config import load_config
from controller.runtime.informer import Informer
from controller.runtime.logs import log_to
from controller.runtime.workers import Workers

PROFILES: list[cProfile.Profile] = []


def profile_work() -> None:
    """Let each thread that looks or asks have its own profile, from PENSTOCK_BENCH_PROFILE_AFTER seconds on: bringing up left out."""
    begin = time.monotonic() + float(os.environ.get("PENSTOCK_BENCH_PROFILE_AFTER", "0"))
    local = threading.local()

    def profiled(plain: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object) -> object:
            if time.monotonic() < begin:
                return plain(*args)
            if not hasattr(local, "profile"):
                local.profile = cProfile.Profile(time.thread_time)
                PROFILES.append(local.profile)
            local.profile.enable()
            try:
                return plain(*args)
            finally:
                local.profile.disable()

        return run

    for owner, name in ((Workers, "turn"), (HttpPrometheus, "_ask"), (Informer, "_take")):
        setattr(owner, name, profiled(getattr(owner, name)))


def main() -> int:
    """Run; then write the heaviest functions, by their own time and by all below them."""
    profile_work()
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
