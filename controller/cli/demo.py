"""`make demo`: the Hwayo release twice, once to its end and once with a green that fails at 25 %.

Both acts run in the embedded cluster with the production controller as a process of its own, exactly as
`penstock sandbox` serves them. What is seen is what `penstock watch` shows. Nothing is staged: the failing green's
answers pass through proxies and counters, PromQL and the judge.
"""

import argparse
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap

from controller.adapters.kube_config import connect
from controller.adapters.kube_errors import ConfigError
from controller.cli.demo_records import export
from controller.cli.demo_words import OPENING, closing, folded, heading, outcome_of
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

SLOWER = 0.5
"""The second act is told at half the speed: it is shorter, and its end is what people want to see."""

FRAME_SECONDS = 0.2
LONGEST_SECONDS = 150.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What an act is to show: a scenario, the phase that it should end in, and the name of its records' folder."""

    scenario: str
    expected: str
    place: str


SCENES = (Scene("healthy", "Succeeded", "1-succeeds"), Scene("fails-at-25", "RolledBack", "2-rolls-back"))


@dataclass(frozen=True, slots=True)
class Act:
    """One release as it went.

    Attributes:
        expected: the phase that it should end in.
        release: the Release at its end.
        folder: where its records lie.
        speed: by what its times were divided.
    """

    expected: str
    release: Obj
    folder: Path
    speed: float

    @property
    def phase(self) -> str:
        """The phase that it ended in."""
        return text(record(self.release.get("status")).get("phase"))


def perform(example: Path, scene: Scene, folder: Path, speed: float) -> Act:
    """One act, from an empty cluster to the records on disk."""
    story = find_story(example, scene.scenario)
    records = folder / scene.place
    shutil.rmtree(records, ignore_errors=True)
    head = heading(SCENES.index(scene) + 1, len(SCENES), story.scenario.about, speed)
    say(f"\n{folded(head, Host().size()[0])}")
    with SandboxWorld(story, records, speed=speed) as world:
        connection = connect(str(world.kubeconfig))
        session = Session(Host(), connection.kube, story.namespace, "demo")
        scenario = story.scenario.release
        spec = {"plan": story.plan, "revision": scenario.revision, "images": scenario.images, "origin": {"actor": "demo"}}
        create(session, spec, name=world.release_name)
        show = live if session.host.drawable else lines
        show(session, world, head)
        release = release_of(session, world.release_name)
        export(connection.kube, release, records)
    return Act(scene.expected, release, records, speed)


def seen(session: Session, world: SandboxWorld) -> ReleaseView:
    """The release as people see it, with its plan's durations as they run here."""
    world.watch_over()
    release = release_of(session, world.release_name)
    return view_of(release, plan_in_force(session, release), now=session.now, divisor=world.speed)


def lines(session: Session, world: SandboxWorld, _head: str) -> None:
    """One line a change, for a pipe or a file."""
    last, end = None, time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        view = seen(session, world)
        if view.change != last:
            tell(line_of(view, session.now))
            last = view.change
        if view.phase in FINAL:
            return
        time.sleep(FRAME_SECONDS)


def live(session: Session, world: SandboxWorld, head: str) -> None:
    """The live view, drawn again five times a second; the last one stays on the screen."""
    end = time.monotonic() + LONGEST_SECONDS
    view = seen(session, world)
    sys.stdout.write(ALTERNATE + HIDE)
    try:
        while view.phase not in FINAL and time.monotonic() < end:
            sys.stdout.write(frame(session, view, head))
            sys.stdout.flush()
            time.sleep(FRAME_SECONDS)
            view = seen(session, world)
    finally:
        width, _ = session.host.size()
        last = replace(view, can="", command="", next="")  # its cluster is gone when anybody could type a command
        sys.stdout.write(SHOW + USUAL + "\n".join(render(last, width, session.now, colour=session.host.colour)[:-2]) + "\n")
        sys.stdout.flush()


def frame(session: Session, view: ReleaseView, head: str) -> str:
    """One screen, each line cleared to its end."""
    width, height = session.host.size()
    drawn = [*wrap(head.strip(), width), "", *render(view, width, session.now, colour=session.host.colour)]
    return HOME + "".join(f"{line}{CLEAR_LINE}\r\n" for line in drawn[: max(1, height - 1)]) + CLEAR_REST


def demo(example: Path, folder: Path, speed: float) -> int:
    """Both acts and the closing words; 0 where both ended as they should."""
    begun = time.monotonic()
    width = Host().size()[0]
    say(folded(OPENING, width))
    acts = [perform(example, scene, folder, speed * pace) for scene, pace in zip(SCENES, (1.0, SLOWER), strict=True)]
    told = [outcome_of(act.release, act.speed) for act in acts]
    tell(closing(told, [act.folder for act in acts], example, time.monotonic() - begun, width))
    wrong = [act for act in acts if act.phase != act.expected]
    for act in wrong:
        say(f"That is not what should have happened: it ended {act.phase or 'not'}, not {act.expected}; see {act.folder}/controller.log.")
    return 1 if wrong else 0


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description="The Hwayo release twice, against the embedded cluster.")
    parser.add_argument("--example", default="hwayo", help="folder of examples/ (default: hwayo)")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where the records go (default: .demo)")
    parser.add_argument("--speed", type=float, default=SPEED, help=f"divides times; the second act runs at half of it (default: {SPEED:g})")
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
