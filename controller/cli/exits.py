"""Exit codes, the same for every command, and how faults become one sentence with one of them.

A command ends by returning or by raising `CommandError`; `controller.cli.main` prints and exits.
"""

import re
from enum import IntEnum
from pathlib import Path

from controller.adapters.kube_errors import ConfigError
from controller.cli.words import full_stop
from controller.ports import KubeError, NotFoundError, RefusedError, UnauthorizedError, UnavailableError


class ExitCode(IntEnum):
    """What the shell gets."""

    REACHED = 0
    DEFECT = 1
    USAGE = 2
    NO = 3
    HELD = 4
    TIMED_OUT = 5
    REFUSED = 6
    UNREACHABLE = 7
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.REACHED: "reached, or the answer is yes",
    ExitCode.DEFECT: "we broke, and the sentence says where the details were written; or the output could not be written",
    ExitCode.USAGE: "usage: an unknown option, an image without a tag, a kubeconfig that cannot be used, a file without samples",
    ExitCode.NO: (
        "the answer is no: rolled back, no such object, an invalid file, a simulation that ended otherwise than expected, "
        "a past window that is judged as failed, a blue that would be rolled back in favour of itself"
    ),
    ExitCode.HELD: "held for a person, or a past window that cannot be judged or measured",
    ExitCode.TIMED_OUT: "timed out; the release goes on",
    ExitCode.REFUSED: "refused, by the controller or by the API server; nothing was changed",
    ExitCode.UNREACHABLE: (
        "unreachable: the API server or Prometheus is down, slow, does not accept our credentials, or something else answers"
    ),
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C or SIGTERM, or nobody reads the output any more; the release goes on",
}


class CommandError(Exception):
    """The command ends here: one sentence for stderr, and the exit code."""

    def __init__(self, code: ExitCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


def file_fault(path: Path, error: OSError, doing: str = "read") -> CommandError:
    """A file of the user's that cannot be `doing` (read, written): what the system says about it."""
    if isinstance(error, FileNotFoundError) and doing == "read":
        return CommandError(ExitCode.USAGE, f"{path}: there is no such file.")
    return CommandError(ExitCode.USAGE, f"{path}: cannot be {doing} ({error.strerror}).")


NOT_INSTALLED = "This cluster does not know Penstock's resources: run `penstock install` first."


def is_missing_kind(error: KubeError) -> bool:
    """Whether a 404 speaks of the kind (its CRD is not installed) rather than of one object."""
    return isinstance(error, NotFoundError) and (error.reason == "NoSuchKind" or "could not find the requested resource" in str(error))


_FORBIDDEN = re.compile(r'User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?')


_OF_PEOPLE = ("configmaps", "deployments.apps")
"""What people need beside our own kinds; whoever installs needs more, and gives it to himself."""


def missing_right(error: KubeError) -> str:
    """Which right of the person's own is missing, and who gives it; the server's words where they are no such refusal."""
    found = _FORBIDDEN.search(str(error))
    if found is None:
        return f"{full_stop(error)} Ask whoever administers the cluster for that right."
    user, verb, resource, group, namespace = found.groups()
    what = f"{resource}.{group}" if group else resource
    where, who = (f"in namespace {namespace}", "that namespace") if namespace else ("in the whole cluster", "the cluster")
    roles = "; the Roles of manifests/optional/people have what releasing needs" if what in _OF_PEOPLE or group == "penstock.dev" else ""
    return f"You ({user}) may not {verb} {what} {where}: ask whoever administers {who} for that right{roles}."


def explain_fault(error: KubeError | ConfigError) -> CommandError:
    """The fault as the end of a command."""
    match error:
        case ConfigError():
            return CommandError(ExitCode.USAGE, str(error))
        case NotFoundError() if is_missing_kind(error):
            return CommandError(ExitCode.REFUSED, NOT_INSTALLED)
        case NotFoundError():
            return CommandError(ExitCode.NO, full_stop(error))
        case UnavailableError() | UnauthorizedError():
            return CommandError(ExitCode.UNREACHABLE, full_stop(error))
        case RefusedError() if error.code == 403:  # noqa: PLR2004 - HTTP's Forbidden
            return CommandError(ExitCode.REFUSED, missing_right(error))
        case _:
            return CommandError(ExitCode.REFUSED, full_stop(error))
