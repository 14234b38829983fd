"""`penstock sandbox`: a simulated cluster on loopback with the production controller in it, to play with.

Every other command and a real kubectl work against it. It ends with Ctrl-C, and nothing of it stays.
"""

import signal
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import yaml

from controller.adapters.kube_errors import ConfigError
from controller.cli import complete
from controller.cli.host import say, tell
from controller.cli.sandbox_world import EXAMPLES, SandboxWorld, examples, find_story, penstock
from controller.cli.words import span

LOOK_SECONDS = 0.5


def known(incomplete: str) -> list[str]:
    """Names of the examples that are at hand."""
    return complete.words_of(*examples())(incomplete)


def sandbox(
    *,
    example: Annotated[
        str, typer.Option("--example", help="hwayo, first-release, conea or symbol-mapper.", autocompletion=known)
    ] = "first-release",
    folder: Annotated[str, typer.Option("--dir", help="A folder of your own with scenarios below it, instead of an example.")] = "",
    speed: Annotated[float, typer.Option("--speed", min=1, max=1000, help="Every duration is divided by this.")] = 30.0,
    scenario: Annotated[str, typer.Option("--scenario", help="Which scenario of it; healthy, or the only one there is, if absent.")] = "",
    kubeconfig: Annotated[str, typer.Option("--kubeconfig", help="Write the kubeconfig to this file, too.", show_default=False)] = "",
) -> None:
    """Serve a simulated cluster with the production controller until Ctrl-C; every other command works against it."""
    story = find_story(Path(folder) if folder else EXAMPLES / example, scenario)
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    with tempfile.TemporaryDirectory(prefix="penstock-sandbox-") as place:
        say(f"Starts a cluster for scenario {story.scenario.name} of {story.plan} ...")
        with SandboxWorld(story, Path(place), speed=speed) as world:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, end)
            where = world.kubeconfig
            if kubeconfig:
                where = Path(kubeconfig)
                try:
                    where.write_text(yaml.safe_dump(world.cluster.kubeconfig(story.namespace), sort_keys=False), encoding="utf-8")
                except OSError as error:
                    raise ConfigError(f"The kubeconfig {where} cannot be written: {error.strerror}.") from error
            introduce(world, where)
            world.cluster.on_say = lambda what: say(f"-- {what}")
            watch_over(world, ended)
            say("\nThe sandbox ends; its cluster and its controller are gone.")


def watch_over(world: SandboxWorld, ended: threading.Event) -> None:
    """Keep a controller running while one is installed; whoever kills it sees the next one take over."""
    restarts, runs = 0, True
    while not ended.wait(LOOK_SECONDS):
        world.watch_over()
        if runs != bool(world.controller_pid or world.installed):
            runs = not runs
            say("The controller is installed again." if runs else "The controller was uninstalled; penstock install brings it back.")
        if world.restarts > restarts:
            restarts = world.restarts
            say(f"The controller had ended and was started again (process {world.controller_pid}); its log is {world.log}.")


def introduce(world: SandboxWorld, kubeconfig: Path) -> None:
    """What there is and what to try: the line for the shell on stdout, the talk on stderr."""
    scenario, command = world.story.scenario, penstock()
    say(f"{scenario.about}")
    say(f"Times are divided by {world.speed:g}: a window of 5 minutes lasts {span(300 / world.speed)}; users send as many requests in it.")
    say("")
    say(f"  API server   {world.cluster.api_url}")
    say(f"  Prometheus   {world.cluster.prometheus_url}")
    say(f"  controller   process {world.controller_pid}, http://{world.metrics}/metrics, log {world.log}")
    say("")
    say("In another terminal:")
    tell(f"export KUBECONFIG={kubeconfig} PENSTOCK_TIME_DIVISOR={world.speed:g}")
    say(world.start_command().replace("penstock", command, 1))
    say(f"{command} watch {world.release_name}")
    say("kubectl get releases,virtualservices,pods -A")
    say("")
    say("Ctrl-C ends everything.")
