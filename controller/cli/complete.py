"""Names for shell completion, from the cluster: quickly, or not at all.

Somebody has pressed TAB and waits. Whatever goes wrong (no kubeconfig, no rights, a slow API server, a login
plug-in that asks) ends in no names and not a word: an error here would be printed into the command line.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

PATIENCE_SECONDS = 2.0
"""Longer than an API server far away takes for one list, short enough for a key press."""

MOST_NAMES = 100

Names = list[tuple[str, str]]
"""Name, and a word on it that zsh and fish show beside it."""


def words_of(*words: str) -> Callable[[str], list[str]]:
    """For an option that takes one of these words; an empty one is none."""
    return lambda incomplete: [word for word in words if word and word.startswith(incomplete)]


def releases(ctx: typer.Context, incomplete: str) -> Names:
    """Releases, those that run first, then the newest."""
    return _looked_up(ctx, "releases", incomplete)


def plans(ctx: typer.Context, incomplete: str) -> Names:
    """Plans."""
    return _looked_up(ctx, "plans", incomplete)


def things(ctx: typer.Context, args: list[str], incomplete: str) -> Names:
    """What `penstock get` shows: a noun or a release first, then a name of that noun."""
    from controller.cli.get import TABLES
    from controller.cli.naming import WORDS

    del args  # typer always gives an empty one
    before = [word for word in ctx.params.get("what") or [] if word != incomplete]
    if before:
        return _looked_up(ctx, WORDS[before[0]], incomplete) if len(before) == 1 and before[0] in WORDS else []
    nouns = [(noun, f"Show {noun}.") for noun in TABLES if noun.startswith(incomplete)]
    return [*nouns, *_looked_up(ctx, "releases", incomplete)]


def _looked_up(ctx: typer.Context, noun: str, incomplete: str) -> Names:
    try:
        with _patience():
            return [pair for pair in _names(ctx, noun) if pair[0].startswith(incomplete)][:MOST_NAMES]
    except Exception:  # noqa: BLE001 - see the module's docstring
        return []


def _names(ctx: typer.Context, noun: str) -> Names:
    from controller.cli.get import TABLES
    from controller.cli.host import open_session
    from controller.cli.view import FINAL
    from controller.cli.words import created_at, record, text

    given = [str(ctx.params.get(option) or "") for option in ("namespace", "context", "kubeconfig")]
    session = open_session(ctx, *given)
    found = session.kube.list(TABLES[noun][0], session.namespace).items
    if noun != "releases":
        return sorted((text(record(o.get("metadata")).get("name")), "") for o in found)
    told = [(text(record(o.get("status")).get("phase")) or "Queued", o) for o in found]
    told.sort(key=lambda pair: (pair[0] in FINAL, -created_at(pair[1])))
    return [(text(record(o.get("metadata")).get("name")), phase) for phase, o in told]


@contextmanager
def _patience() -> Iterator[None]:
    """Give up after a while, whatever is waited for; where a system has no alarm (Windows), only by the client's own time limits."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _late(_number: int, _frame: Any) -> None:
    raise TimeoutError
