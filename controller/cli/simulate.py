"""`penstock simulate DIR|FILE`: scenarios run offline under virtual time, by the production reconcile and adapters."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.api.release import Phase
from controller.api.validate import validate_file
from controller.api.validate_yaml import documents
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import check_format, format_option, print_object, say, tell
from controller.cli.validate import line_of, scenario_rules, text_of, yaml_files
from controller.cli.words import full_stop
from controller.core.vocabulary import next_step
from controller.core.words import many

if TYPE_CHECKING:
    from controller.simulator.run import Result
    from controller.simulator.scenario import Scenario
    from controller.simulator.simulation import Simulation

PROGRESS_SECONDS = 2.0
"""A word about how far it is, this often, where runs take longer."""

PlaceArgument = Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A scenario file, or a folder with scenarios below it.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random; the first one of several runs.")]
ScenarioOption = Annotated[str, typer.Option("--scenario", help="Only the scenario of this name.", show_default=False)]
RunsOption = Annotated[int, typer.Option("--runs", min=1, max=1_000_000, help="Run each scenario this often, with rising seeds.")]
FormatOption = Annotated[str, format_option("json: one object a run.", "json")]
BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", help="Write the evidence of the run into this file, as `penstock bundle` does.", show_default=False),
]
TraceOption = Annotated[bool, typer.Option("--trace", help="Also print every write to the API server.")]


@dataclass(frozen=True, slots=True)
class Found:
    """A scenario and the file it stands in."""

    path: Path
    scenario: "Scenario"


def command(
    place: PlaceArgument,
    seed: SeedOption = 0,
    scenario: ScenarioOption = "",
    runs: RunsOption = 1,
    output: FormatOption = "",
    *,
    bundle: BundleOption = None,
    trace: TraceOption = False,
) -> None:
    """Run scenarios in virtual time, and say what happened and whether it was what they expect.

    Ends with 0 where every run ended as expected without a breach of an invariant, else with 3.
    """
    check_format(output, ("", "json"))
    chosen = choose(place, scenario)
    if bundle is not None and len(chosen) * runs != 1:
        raise CommandError(ExitCode.USAGE, f"--bundle is for one run, found {len(chosen) * runs}: choose one with --scenario.")
    number, failed, started, spoken = 0, 0, monotonic(), monotonic()
    total = len(chosen) * runs
    try:
        for number, (one, own_seed) in enumerate(((one, seed + i) for one in chosen for i in range(runs)), start=1):
            result, writes = run_one(one, own_seed, trace=trace, bundle=bundle)
            failed += bool(result.problems)
            if output == "json":
                print_object(as_json(one, result, writes), "json")
            elif runs == 1 or result.problems:
                for line in [*story(one, result, writes), ""]:
                    tell(line)
            if monotonic() - spoken > PROGRESS_SECONDS and number < total:
                spoken = monotonic()
                say(f"{number:,} of {total:,} runs, {failed} otherwise than expected, {spoken - started:.0f} s.")
    except KeyboardInterrupt:
        sentence = f"Interrupted in run {number:,} of {total:,}; {failed} ended otherwise than expected."
        raise CommandError(ExitCode.INTERRUPTED, sentence) from None
    sentence = f"{many(total, 'run')}: {total - failed} as expected, {failed} otherwise."
    if failed:
        raise CommandError(ExitCode.NO, sentence)
    say(sentence)


simulate = command


def choose(place: Path, name: str) -> list[Found]:
    """The scenarios that are meant. Raises `CommandError` where a file is invalid, and where there is none of that name."""
    from pydantic import ValidationError

    from controller.simulator.scenario import load

    found = []
    for path in files_of(place):
        errors = [line_of(path, one) for one in validate_file(path, scenarios=scenario_rules()) if one.severity == "error"]
        if errors:
            raise CommandError(ExitCode.NO, "\n".join(errors))
        with contextlib.suppress(ValidationError):  # a plan, which is valid, and no scenario
            found += [Found(path, one) for one in load(path)]
    chosen = [one for one in found if name in ("", one.scenario.name)]
    if not chosen:
        known = ", ".join(one.scenario.name for one in found) or "none"
        raise CommandError(ExitCode.USAGE, f"{place} has no scenario{f' {name!r}' if name else ''}; known: {known}.")
    return chosen


def files_of(place: Path) -> Iterator[Path]:
    """The scenario files of a place."""
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from (path for path in yaml_files(place) if "scenarios" in path.parts or _has_scenario(path))
    else:
        raise CommandError(ExitCode.USAGE, f"{place}: there is no such file or folder.")


def _has_scenario(path: Path) -> bool:
    """Whether a document of the file says what must come out, itself or by its base; a base alone is no scenario."""
    text = text_of(path)
    if "expect" not in text and "base" not in text:
        return False
    found, problems = documents(text)
    return ("expect:" in text and bool(problems)) or any(
        isinstance(one.data, dict) and {"expect", "base"} & one.data.keys() for one in found
    )


def run_one(one: Found, seed: int, *, trace: bool = False, bundle: Path | None = None) -> "tuple[Result, list[str]]":
    """One run with its invariants, and the writes where they are asked for. Raises `CommandError` where it cannot be run."""
    from controller.simulator.definitions import WorldError
    from controller.simulator.invariants import Checker, watch
    from controller.simulator.run import run_scenario
    from controller.simulator.scenario import START
    from controller.simulator.simulation import SimulationError

    checkers: list[Checker] = []
    writes: list[str] = []
    sims: list[Simulation] = []

    def prepare(sim: "Simulation") -> None:
        sims.append(sim)
        checkers.append(watch(sim))
        if trace:
            sim.server.on_commit(lambda commit: writes.append(write_line(commit, sim.clock.time - START)))

    try:
        result = run_scenario(one.scenario, one.path.parent, seed=seed, prepare=prepare)
    except (SimulationError, WorldError) as error:
        raise CommandError(ExitCode.NO, f"{one.path}: scenario {one.scenario.name!r} cannot be run: {full_stop(error)}") from error
    if bundle is not None:
        save_bundles(sims[0], bundle)
    result.problems += [f"invariant {breach}" for checker in checkers for breach in checker.finish()]
    return result, writes


def save_bundles(sim: "Simulation", path: Path) -> None:
    """The bundle of the first release; those of later ones beside it, with their names. Raises `CommandError`."""
    from controller.cli.bundles import bundle_of, save
    from controller.cli.words import created_at
    from controller.ports import RELEASE
    from controller.simulator.apiserver.client import InMemoryKube

    kube = InMemoryKube(sim.server, user="observer")
    releases = sorted(kube.list(RELEASE).items, key=created_at)
    for number, release in enumerate(releases):
        own = path if not number else path.with_name(f"{path.stem}-{release['metadata']['name']}{path.suffix}")
        save(bundle_of(kube, release), own)


def write_line(commit: Any, at: float) -> str:
    """One write: when, what became of which object, by whom."""
    meta = commit.last["metadata"]
    verb = "creates" if commit.old is None else "deletes" if commit.new is None else "changes"
    return f"{at:10.3f}  {commit.field_manager or 'cluster'} {verb} {commit.kind.kind} {meta.get('namespace', '')}/{meta['name']}"


def story(one: Found, result: "Result", writes: list[str]) -> list[str]:
    """The transcript in prose, the outcome, and the command that repeats a failed run."""
    head = f"{one.scenario.name}: {one.scenario.about}" if one.scenario.about else one.scenario.name
    lines = [head, *(f"  {line}" for line in result.transcript)]
    lines += [f"  write {line}" for line in writes]
    if not result.problems:
        return [*lines, f"  => as expected: {outcome(result)}"]
    lines += [f"  => OTHERWISE THAN EXPECTED: {problem}" for problem in result.problems]
    if result.status is not None and result.status.phase in (Phase.REFUSED, Phase.HALTED, Phase.HOLDING):
        lines.append(f"  what helps: {next_step(result.status.reason)}")
    return [*lines, f"  repeat it: {repeat(one, result.seed)}"]


def outcome(result: "Result") -> str:
    """The end in a few words."""
    if result.status is None:
        return "nothing came out"
    return f"{result.status.phase}, green had at most {result.status.max_weight} %{', and was deleted' if result.gone else ''}"


def repeat(one: Found, seed: int) -> str:
    """The one command that runs this again."""
    return f"penstock simulate {quote(str(one.path))} --scenario {one.scenario.name} --seed {seed} --trace"


def as_json(one: Found, result: "Result", writes: list[str]) -> dict[str, Any]:
    """A run for machines."""
    return {
        "file": str(one.path), "scenario": one.scenario.name, "seed": result.seed, "asExpected": not result.problems,
        "problems": result.problems, "phase": result.status.phase if result.status else None,
        "reason": result.status.reason if result.status else None, "maxWeight": result.status.max_weight if result.status else None,
        "endedAfterSeconds": round(result.ended_at, 3), "looks": result.looks, "queries": result.queries, "revisions": result.revisions,
        "transcript": [{"at": round(line.at, 3), "text": line.text} for line in result.transcript], "writes": writes,
        "repeat": repeat(one, result.seed),
    }  # fmt: skip
