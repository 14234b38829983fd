"""Golden transcripts of the examples: `.venv/bin/python tests/examples/transcripts.py` writes them all again.

One file a scenario, `examples/<name>/transcripts/<scenario>.txt`: what `penstock simulate` tells of it, invariants included.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from controller.cli.simulate import Found, run_one, story  # noqa: E402 - the path first, so that it runs from anywhere
from controller.simulator.run import Result  # noqa: E402 - as above
from controller.simulator.scenario import load  # noqa: E402 - as above


def all_scenarios() -> Iterator[tuple[str, Found]]:
    """Every scenario of every example, with the example's name."""
    for path in sorted(ROOT.glob("examples/*/scenarios/*.yaml")):
        for scenario in load(path):
            yield path.parent.parent.name, Found(path, scenario)


def golden(example: str, found: Found) -> Path:
    return ROOT / "examples" / example / "transcripts" / f"{found.scenario.name}.txt"


def transcript(found: Found, result: Result) -> str:
    """The text of a run."""
    lines = [line for line in story(found, result, []) if not line.startswith("  repeat it:")]
    return "\n".join(lines) + "\n"


def main() -> int:
    failed = 0
    for example, found in all_scenarios():
        result, _ = run_one(found, 0)
        path = golden(example, found)
        if result.problems:
            failed += 1
            print(f"not written, otherwise than expected: {path.relative_to(ROOT)}: {'; '.join(result.problems)}", file=sys.stderr)  # noqa: T201 - a command
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_text(transcript(found, result), encoding="utf-8")
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
