"""What every test shares: tests that need real components say so, and the closing lines tell what did not run."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import sizes
from tests.bed import binaries, prometheus
from tests.report import browser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long an example takes says how busy the machine is; in continuous integration that is so anyway.
settings.register_profile("any machine", settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None)
settings.load_profile("any machine")

# marker: what its tests need, why it may be missing here, and the fixtures that imply the marker.
REQUIREMENTS: dict[str, tuple[str, Callable[[], str | None], frozenset[str]]] = {
    "bed": ("the real API server", binaries.why_unavailable, frozenset({"bed", "nodes", "exporter", "namespace"})),
    "prometheus": ("the real Prometheus", prometheus.why_unavailable, frozenset({"prometheus_server"})),
    "prometheus3": ("a Prometheus 3", prometheus.why_not_the_third, frozenset()),
    "browser": ("a real browser", browser.why_unavailable, frozenset()),
}
# Which of them may be missing on continuous integration, too: Debian has no Prometheus 3, and building it takes minutes.
BY_HAND = frozenset({"prometheus3"})

# Files whose tests take longest, those that wait for minutes of releases first: begun last they would keep one worker busy alone.
LONGEST = (
    "test_chaos", "test_hwayo", "test_release", "test_odd_traffic", "test_outages", "test_frozen", "test_green_namespaces", "test_rbac",
    "test_embedded_releases", "test_sandbox_process", "test_embedded_story", "test_matrix", "test_defects", "test_examples", "test_image",
    "test_scenarios", "test_sequential_stories", "test_cli_sequential",
    "test_cli_evidence", "test_room", "test_record_and_replay", "test_crashes", "test_preflight", "test_swarm",
    "test_meddling", "test_bad_samples",
)  # fmt: skip

# How `--dist loadgroup` hands out the offline suite. One worker runs a whole file, which has fixtures and caches of its own, but for:
# files that share recorded bundles or import scipy, and sandboxes, whose worker mostly waits while the others have the cores;
TOGETHER = {
    "tests/sandbox/": "sandboxes",
    "tests/cli/test_cli_evidence.py": "bundles",
    "tests/evidence/test_room.py": "bundles",
    "tests/evidence/test_record_and_replay.py": "bundles",
    "tests/report/test_report.py": "bundles",
    "tests/examples/test_examples.py": "bundles",
    "tests/analysis/test_gauge.py": "scipy",
    "tests/analysis/test_kayenta.py": "scipy",
    "tests/analysis/test_rate.py": "scipy",
    "tests/analysis/test_slo.py": "scipy",
    "tests/core/test_traffic.py": "scipy",
}
# files whose tests share simulated stories: each story is handed out by itself, but for those of which a bundle is looked at;
BY_STORY = (
    "scenarios/test_scenarios.py", "scenarios/test_sequential_stories.py", "scenarios/test_peers.py", "cli/test_cli_sequential.py",
)  # fmt: skip
RECORDED = frozenset({
    "sequential-errors", "sequential-latency", "sequential-healthy", "sequential-objective-incident", "sequential-own-broken",
    "sequential-gauge-leaks", "sequential-home-worse", "kayenta-errors", "kayenta-healthy", "home-in-a-row",
})  # fmt: skip
# and files of few long tests that share nothing.
EACH = ("matrix/test_matrix.py", "invariants/test_swarm.py")


def pytest_configure() -> None:
    """A run that a script has put into the background ignores Ctrl-C, and so would the commands that the tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def nothing_may_skip() -> bool:
    """Whether a missing component is a failure: on continuous integration it always is."""
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they ask for, so that `-m 'not bed'` and the skip rule see them; the longest files come first."""
    for item in items:
        for marker, (_, _, fixtures) in REQUIREMENTS.items():
            if fixtures & set(getattr(item, "fixturenames", ())) and item.get_closest_marker(marker) is None:
                item.add_marker(marker)
    # The order in which `--dist loadfile --no-loadscope-reorder` hands files to workers; within a file it stays.
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of `--dist loadgroup`: its own way to tell groups, by marks, is without effect in pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Sharing(config, log) if config.getvalue("dist") == "loadgroup" else None


def group_of(nodeid: str) -> str:
    """What is run by one worker in one go: a file, several that share something, a story, or a test of its own."""
    file, _, test = nodeid.partition("::")
    if file.endswith(BY_STORY):
        story = test.partition("[")[2].removesuffix("]")
        return "bundles" if story in RECORDED else story or nodeid
    if file.endswith(EACH):
        return nodeid
    return next((group for name, group in TOGETHER.items() if file.startswith(name)), file)


LEFT = pytest.StashKey[int]()
"""How many long tests the expression of `-m` left out."""


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the long tests where it is them that a run leaves out, as `make test` does."""
    stash, expression = items[0].config.stash, items[0].config.getoption("markexpr")
    if "not long" in expression:
        stash[LEFT] = stash.get(LEFT, 0) + sum(item.get_closest_marker("long") is not None for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Workers collect, and tell the process that prints."""
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["long"] = session.config.stash.get(LEFT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker collects all tests, so that each tells the same number."""
    stash = node.config.stash
    stash[LEFT] = max(stash.get(LEFT, 0), getattr(node, "workeroutput", {}).get("long", 0))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Thousands of tests and everything imported stay until the end: the garbage collector need not look at them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, with the sentence that says how to get it; on continuous integration fail instead.

    Long tests for which a run has no time left are left out, there too.
    """
    if item.get_closest_marker("long") is not None and time.time() > sizes.UNTIL:
        pytest.skip(sizes.NO_TIME)
    for marker, (what, why_unavailable, _) in REQUIREMENTS.items():
        if item.get_closest_marker(marker) is None:
            continue
        reason = why_unavailable()
        if reason is None:
            continue
        sentence = f"needs {what}: {reason}"
        if nothing_may_skip() and marker not in BY_HAND:
            pytest.fail(f"This test {sentence}; nothing may skip where CI is set.", pytrace=False)
        pytest.skip(sentence)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Close with what was skipped for want of a component, and how to get it; then with the sizes, and what they left out."""
    for line in closing_lines(_skip_reasons(terminalreporter)):
        terminalreporter.write_line(line, yellow=True)
    for line in sizes.named_for_want_of_time(_files_without_time(terminalreporter)):
        terminalreporter.write_line(line, yellow=True)
    terminalreporter.write_line(sizes.closing_line(config.stash.get(LEFT, 0)))


def closing_lines(reasons: Iterator[str]) -> list[str]:
    """Count skip reasons by component: one sentence for each that was missing."""
    lines = []
    counts = Counter(reasons)
    for what, _, _ in REQUIREMENTS.values():
        prefix = f"needs {what}: "
        for reason, count in sorted(counts.items()):
            if reason.startswith(prefix):
                tests = "1 test" if count == 1 else f"{count} tests"
                lines.append(f"Skipped {tests} on {what}, because {reason.removeprefix(prefix)}.")
    return lines


def _files_without_time(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple) and str(report.longrepr[2]).endswith(sizes.NO_TIME):
            yield report.nodeid.partition("::")[0]


def _skip_reasons(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            yield str(report.longrepr[2]).removeprefix("Skipped: ")
