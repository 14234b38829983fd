"""`penstock replay BUNDLE...`: every decision of a record decided again, by the same core; or with another policy."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli import host as hosts
from controller.cli.bundles import files_of, open_bundle
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import print_object, say, tell
from controller.cli.replay_words import (
    compared,
    compared_json,
    difference_sentence,
    replayed_json,
    row_of,
    same_sentence,
    step_lines,
    table,
)
from controller.core.words import many

if TYPE_CHECKING:
    from controller.api.plan import PlanSpec
    from controller.cli.replay_policy import WhatIf
    from controller.evidence.bundle import Bundle
    from controller.evidence.replay import Tally

HEARS_SECONDS = 0.2
"""So often a wait for helpers looks up: a signal that comes just before Python begins to wait for a lock is only noticed after it."""

PlacesArgument = Annotated[
    list[Path], typer.Argument(metavar="BUNDLE|DIR...", help="Files of `penstock bundle`, or folders with .penstock files.")
]
WithOption = Annotated[
    Path | None, typer.Option("--with", help="A plan: what would have happened by it.", metavar="PLAN", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a field of the plan: alpha=0.001, checks.error-rate.limit.max=2. Repeatable.", show_default=False),
]
StepOption = Annotated[bool, typer.Option("--step", help="Walk through the record, decision by decision.")]
JobsOption = Annotated[int, typer.Option("--jobs", min=0, max=1000, help="Processes for several bundles; 0 is one a core.")]
FormatOption = Annotated[str, hosts.format_option("json: one object a bundle.", "json")]


def replay(
    ctx: typer.Context,
    places: PlacesArgument,
    with_: WithOption = None,
    set_: SetOption = None,
    *,
    step: StepOption = False,
    jobs: JobsOption = 0,
    output: FormatOption = "",
) -> None:
    """Decide a recorded release again, or ask what another policy would have done with it.

    Ends with 0 where everything came out as recorded, with 3 at the first difference, or where a file is no whole bundle.
    """
    hosts.check_format(output, ("", "json"))
    files = list(files_of(places))
    policy = Policy.of(with_, set_ or ())
    if step and (policy or output):
        raise CommandError(ExitCode.USAGE, "--step walks through the record as it is: leave out --with, --set and -o.")
    if step:
        for path in files:
            walk(open_bundle(path), hosts.host_of(ctx))
        return
    results = [one_of(files[0], policy)] if len(files) == 1 else list(all_of(files, policy, jobs))
    if output == "json":
        for result in results:
            print_object(result.as_json(), "json")
    elif len(results) == 1:
        for line in results[0].lines():
            tell(line)
    else:
        rows = [row_of(one.path.name, one.name, one.other, one.tally, one.error, phase=one.phase) for one in results]
        for line in table(rows, asked=bool(policy)):
            tell(line)
    finish(results)


@dataclass(frozen=True, slots=True)
class Policy:
    """Another plan, or changes of the recorded one; false where neither is asked for.

    Attributes:
        file: of the other plan, and `spec` as it stands there; None without.
        settings: `FIELD=VALUE`.
    """

    file: Path | None
    settings: tuple[str, ...]
    spec: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, file: Path | None, settings: Sequence[str]) -> "Policy":
        """Read the plan's file, once for all bundles. Raises `CommandError`."""
        from controller.cli.plan import read_object

        return cls(file, tuple(settings), read_object(file)["spec"] if file is not None else None)

    def __bool__(self) -> bool:
        return self.file is not None or bool(self.settings)

    def plan_for(self, bundle: "Bundle") -> "PlanSpec":
        """The plan that the bundle is replayed with. Raises `CommandError`."""
        from pydantic import ValidationError

        from controller.api.measured import filled_in
        from controller.api.plan import PlanSpec
        from controller.api.validate_words import in_words
        from controller.cli.replay_policy import SettingError, with_settings

        hash_ = str(bundle.status.get("planHash") or next(iter(bundle.plans), ""))
        if self.spec is None and hash_ not in bundle.plans:
            raise CommandError(ExitCode.NO, f"{bundle.title} has no frozen plan to change: it ended before one was written.")
        base = bundle.plans.get(hash_, {})
        try:
            if self.spec is not None:
                # What was measured on blue belongs to the cluster, not to the policy: the other one is judged by the same numbers.
                measured = {"measured": (base.get("analysis") or {}).get("measured")}
                base = PlanSpec.model_validate(filled_in(self.spec, measured)).model_dump(mode="json")
            changed = with_settings(base, self.settings)
            spec = PlanSpec.model_validate(changed)
            self._refuse_new_errors(base, changed)
        except SettingError as error:
            raise CommandError(ExitCode.USAGE, f"--set {error}.") from error
        except ValidationError as error:
            raise CommandError(ExitCode.USAGE, f"{'--set' if self.settings else self.file}: {in_words(error, PlanSpec)}.") from error
        return spec

    @staticmethod
    def _refuse_new_errors(base: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        """Fields that do not fit together. What is wrong without the change, by a later version's rules, stays. Raises `CommandError`."""
        from controller.api.base import API_VERSION
        from controller.api.validate import plan_findings

        def errors(spec: Mapping[str, Any]) -> list[str]:
            found = plan_findings({"apiVersion": API_VERSION, "kind": "ReleasePlan", "metadata": {"name": "set"}, "spec": dict(spec)})
            return [str(one).removeprefix("spec.") for one in found if one.severity == "error"]

        known = errors(base)
        new = next((one for one in errors(changed) if one not in known), None)
        if new is not None:
            raise CommandError(ExitCode.USAGE, f"--set: {new}.")


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of one bundle; `error` where it could not be read, `phase` is its Release's."""

    path: Path
    name: str
    tally: "Tally | None" = None
    other: "WhatIf | None" = None
    what: str = ""
    error: str = ""
    phase: str = ""

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.other is not None:
            yield from compared(self.name, self.what, self.other)
        elif self.tally is not None:
            yield same_sentence(self.name, self.tally, self.phase)
            if self.tally.difference is not None:
                yield from difference_sentence(self.tally.difference)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        head = {"file": str(self.path), "release": self.name}
        if self.error:
            return {**head, "error": self.error}
        if self.other is not None:
            return {**head, **compared_json(self.other)}
        return {**head, **(replayed_json(self.tally, self.phase) if self.tally else {})}


def one_of(path: Path, policy: Policy) -> Result:
    """Replay one file. Raises `CommandError`."""
    from controller.cli.replay_policy import what_if
    from controller.evidence.bundle import BundleError
    from controller.evidence.replay import replay as decide_again
    from controller.evidence.replay import tally

    bundle = open_bundle(path)
    try:
        if not bundle.looks:
            raise CommandError(ExitCode.NO, f"{path}: {bundle.title} has no evidence: nothing was decided, or it was not kept.")
        if not policy:
            return Result(path, bundle.title, tally=tally(decide_again(bundle.looks)), phase=str(bundle.status.get("phase", "")))
        what = " ".join([*([f"--with {policy.file}"] if policy.file else []), *(f"--set {one}" for one in policy.settings)])
        return Result(path, bundle.title, other=what_if(bundle.looks, policy.plan_for(bundle)), what=what)
    except BundleError as error:
        raise CommandError(ExitCode.NO, f"{path}: {error}.") from error


def _guarded(path: Path, policy: Policy) -> Result:
    """As `one_of`, a fault as a row: one bad file does not hide the others."""
    try:
        return one_of(path, policy)
    except CommandError as error:
        return Result(path, path.name, error=error.sentence)


def all_of(files: Sequence[Path], policy: Policy, jobs: int) -> Iterator[Result]:
    """All files, on all cores, in the order of the files. Ctrl-C waits for none of them."""
    found: dict[Path, Result] = {}
    with ProcessPoolExecutor(max_workers=jobs or None) as pool:
        try:
            with _deaf():
                waiting = {pool.submit(_guarded, path, policy) for path in files}
            while waiting:
                done, waiting = wait(waiting, timeout=HEARS_SECONDS, return_when=FIRST_COMPLETED)
                found |= {result.path: result for result in (future.result() for future in done)}
                if done and (sys.stderr.isatty() or not waiting):
                    say(f"{len(files) - len(waiting):,} of {len(files):,} bundles.")
        except KeyboardInterrupt:
            for helper in active_children():  # they only read, and have heard nothing of it
                helper.kill()  # the pool sees that at once, and its end, which is waited for, comes before ours
            say(f"{len(found):,} of {many(len(files), 'bundle')} had been decided again.")
            raise
    yield from (found[path] for path in dict.fromkeys(files))


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started within never hear Ctrl-C or SIGTERM, which go to the whole group: one word about it is enough.

    It is blocked and not ignored, so that one that comes meanwhile reaches us afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def walk(bundle: "Bundle", host: hosts.Host) -> None:
    """Every step of the record, one after the other; a key between two where a person asks."""
    from controller.evidence.replay import replay as decide_again

    number = 0
    for one in decide_again(bundle.looks):
        if one.look.out is None and one.difference is None:
            continue
        number += 1
        for line in step_lines(number, one):
            tell(line)
        if host.asks and not host.confirm("Go on?"):
            return


def finish(results: Sequence[Result]) -> None:
    """The exit code. Raises `CommandError`."""
    errors = [result for result in results if result.error]
    differing = [result for result in results if result.tally is not None and result.tally.difference is not None]
    if errors:
        raise CommandError(ExitCode.NO, "\n".join(result.error for result in errors))
    if differing:
        raise CommandError(ExitCode.NO, f"{len(differing)} of {len(results)} records came out otherwise." if len(results) > 1 else "")
