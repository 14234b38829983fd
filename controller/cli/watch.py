"""`penstock watch`: the live view, drawn again every second until the release has ended.

Not on a terminal it prints one line a change instead.
"""

import sys

import typer

from controller.cli import host as hosts
from controller.cli import wait as waiting
from controller.cli.exits import ExitCode
from controller.cli.host import Session
from controller.cli.read import Follower
from controller.cli.render import fitted, render
from controller.cli.view import ReleaseView
from controller.cli.words import record, text

FRAME_SECONDS = 1.0
HOME, CLEAR_REST, CLEAR_LINE, HIDE, SHOW = "\x1b[H", "\x1b[J", "\x1b[K", "\x1b[?25l", "\x1b[?25h"
ALTERNATE, USUAL = "\x1b[?1049h", "\x1b[?1049l"

ENDS = {"Succeeded": ExitCode.REACHED, "RolledBack": ExitCode.NO, "Refused": ExitCode.REFUSED, "Halted": ExitCode.HELD}


def frame(view: ReleaseView, session: Session, *, lost: bool) -> str:
    """One screen: as many lines as there is room for, each cleared to its end."""
    width, height = session.host.size()
    above = ["The API server does not answer; this is what was seen last."] if lost else []
    room = max(1, height - 1 - len(above))
    lines = [*above, *fitted(view, width, room, session.now, colour=session.host.colour)]
    return HOME + "".join(f"{line}{CLEAR_LINE}\r\n" for line in lines) + CLEAR_REST


def live(session: Session, name: str) -> ExitCode:
    """Draw until the release has ended; its last view stays on the screen."""
    follower = Follower(session, name)
    view: ReleaseView | None = None
    first = follower.look()  # before the screen is touched: a typo is one sentence
    sys.stdout.write(ALTERNATE + HIDE)
    try:
        while True:
            seen = first or follower.look()
            first = None
            if seen is not None:
                view = seen[1]
            if view is not None:
                sys.stdout.write(frame(view, session, lost=follower.lost))
                sys.stdout.flush()
            if view is not None and view.phase in ENDS and not follower.lost:
                return ENDS[view.phase]
            session.host.sleep(FRAME_SECONDS)
    finally:
        sys.stdout.write(SHOW + USUAL)
        if view is not None:
            width, _ = session.host.size()
            sys.stdout.write("\n".join(render(view, width, session.now, colour=session.host.colour)) + "\n")
        sys.stdout.flush()


def watch(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
) -> None:
    """Watch one release live until it has ended: traffic, stages, checks, what happens next."""
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    if session.host.drawable:
        waiting.finish(live(session, name))
        return
    code, release = waiting.follow(session, name, waiting.Goal("ended"), 0.0)
    waiting.finish(ENDS.get(text(record(release.get("status")).get("phase")), code))
