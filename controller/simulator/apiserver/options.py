"""What a request brings along besides its object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controller.ports import Kind, Obj


def nobody_listens(warning: str) -> None:
    """The default for warnings: dropped."""
    del warning


@dataclass(frozen=True, slots=True)
class Options:
    """Who writes, where and how.

    Attributes:
        user: the authenticated user.
        field_manager: who owns the written fields; empty means "unknown".
        dry_run: answer as if, store nothing.
        field_validation: Ignore, Warn or Strict, for unknown fields.
        subresource: "", "status", "scale" or "finalize".
        force: an apply takes over fields of others.
        warn: called with every warning.
    """

    user: str = "admin"
    field_manager: str = ""
    dry_run: bool = False
    field_validation: str = "Warn"
    subresource: str = ""
    force: bool = False
    warn: Callable[[str], None] = nobody_listens


DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Deletion:
    """How an object is to be deleted: preconditions, propagation, and a grace period (None: the kind's own, at once)."""

    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write on its way to the store, as the admission hook sees it. `new` is None for a deletion, `old` for a creation."""

    verb: str
    kind: Kind
    namespace: str
    name: str
    subresource: str
    user: str
    old: Obj | None
    new: Obj | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: a consistent snapshot at `resource_version`.

    Attributes:
        token: the `continue` token of the next page; empty on the last one.
        remaining: how many objects follow; 0 where unknown or none.
    """

    items: Sequence[Obj]
    resource_version: str
    token: str = ""
    remaining: int = 0
