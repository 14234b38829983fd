"""`make demo`: the Hwayo release twice, once to its end and once with a green that fails at 25 %.

Both acts run in the embedded cluster with the production controller as a process of its own, exactly as
`penstock sandbox` serves them. What is seen is what `penstock watch` shows. Nothing is staged: the failing green's
answers pass through proxies and counters, PromQL and the judge.
"""

import argparse
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from controller.adapters.kube_config import connect
from controller.adapters.kube_errors import ConfigError
from controller.cli.demo_records import export
from controller.cli.demo_words import closing, heading, opening, outcome_of
from controller.cli.exits import CommandError, explain_fault
from controller.cli.host import Host, Session, say, tell
from controller.cli.read import plan_in_force, release_of
from controller.cli.render import line_of, render
from controller.cli.sandbox_world import EXAMPLES, SandboxWorld, find_story
from controller.cli.start import create
from controller.cli.view import FINAL, ReleaseView, view_of
from controller.cli.watch import ALTERNATE, CLEAR_LINE, CLEAR_REST, HIDE, HOME, SHOW, USUAL
from controller.cli.words import record, text
from controller.ports import KubeError, Obj

SPEED = 100.0
"""85 minutes of stages in 51 seconds; the shortest interval (a scrape) is 0.15 s, which a laptop keeps up with."""

FRAME_SECONDS = 0.2
LONGEST_SECONDS = 300.0
ACTS = (("healthy", "Succeeded", "1-succeeds"), ("fails-at-25", "RolledBack", "2-rolls-back"))


@dataclass(frozen=True, slots=True)
class Act:
    """One release as it went.

    Attributes:
        expected: the phase that it should end in.
        release: the Release at its end.
        folder: where its records lie.
    """

    expected: str
    release: Obj
    folder: Path

    @property
    def phase(self) -> str:
        """The phase that it ended in."""
        return text(record(self.release.get("status")).get("phase"))


def perform(example: Path, act: tuple[str, str, str], folder: Path, speed: float, number: int) -> Act:
    """One act, from an empty cluster to the records on disk."""
    name, expected, place = act
    story = find_story(example, name)
    records = folder / place
    shutil.rmtree(records, ignore_errors=True)
    say(heading(number, len(ACTS), story))
    with SandboxWorld(story, records, speed=speed) as world:
        connection = connect(str(world.kubeconfig))
        session = Session(Host(), connection.kube, story.namespace, "demo")
        scenario = story.scenario.release
        spec = {"plan": story.plan, "revision": scenario.revision, "images": scenario.images, "origin": {"actor": "demo"}}
        created = create(session, spec, name=world.release_name)
        show = live if session.host.out_is_terminal else lines
        show(session, created["metadata"]["name"], world, heading(number, len(ACTS), story))
        release = release_of(session, world.release_name)
        export(connection.kube, release, records)
    return Act(expected, release, records)


def seen(session: Session, name: str, divisor: float) -> ReleaseView:
    """The release as people see it, with its plan's durations as they run here."""
    release = release_of(session, name)
    return view_of(release, plan_in_force(session, release), now=session.now, divisor=divisor)


def lines(session: Session, name: str, world: SandboxWorld, _head: str) -> None:
    """One line a change, for a pipe or a file."""
    last, end = None, time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        world.watch_over()
        view = seen(session, name, world.speed)
        if view.change != last:
            tell(line_of(view, session.now))
            last = view.change
        if view.phase in FINAL:
            return
        time.sleep(FRAME_SECONDS)


def live(session: Session, name: str, world: SandboxWorld, head: str) -> None:
    """The live view, drawn again five times a second; the last one stays on the screen."""
    end = time.monotonic() + LONGEST_SECONDS
    view = seen(session, name, world.speed)
    sys.stdout.write(ALTERNATE + HIDE)
    try:
        while view.phase not in FINAL and time.monotonic() < end:
            width, height = session.host.size()
            drawn = [*head.splitlines(), "", *render(view, width, session.now, colour=session.host.colour)]
            sys.stdout.write(HOME + "".join(f"{line}{CLEAR_LINE}\r\n" for line in drawn[: max(1, height - 1)]) + CLEAR_REST)
            sys.stdout.flush()
            time.sleep(FRAME_SECONDS)
            world.watch_over()
            view = seen(session, name, world.speed)
    finally:
        width, _ = session.host.size()
        sys.stdout.write(SHOW + USUAL + "\n".join(render(view, width, session.now, colour=session.host.colour)) + "\n")
        sys.stdout.flush()


def demo(example: Path, folder: Path, speed: float) -> int:
    """Both acts and the closing words; 0 where both ended as they should."""
    begun = time.monotonic()
    say(opening(speed))
    acts = [perform(example, act, folder, speed, number) for number, act in enumerate(ACTS, 1)]
    tell(closing([outcome_of(act.release, speed) for act in acts], [act.folder for act in acts], example, time.monotonic() - begun))
    wrong = [act for act in acts if act.phase != act.expected]
    for act in wrong:
        say(f"That is not what should have happened: it ended {act.phase or 'not'}, not {act.expected}; see {act.folder}/controller.log.")
    return 1 if wrong else 0


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description="The Hwayo release twice, against the embedded cluster.")
    parser.add_argument("--example", default="hwayo", help="folder of examples/ (default: hwayo)")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where the records go (default: .demo)")
    parser.add_argument("--speed", type=float, default=SPEED, help=f"by what times are divided (default: {SPEED:g})")
    given = parser.parse_args()
    try:
        return demo(EXAMPLES / given.example, given.folder, given.speed)
    except (KubeError, ConfigError) as error:
        failure = explain_fault(error)
    except CommandError as error:
        failure = error
    except KeyboardInterrupt:
        say("Interrupted; the cluster and its controller are gone.")
        return 130
    say(failure.sentence)
    return int(failure.code)


if __name__ == "__main__":
    sys.exit(main())
