"""The URL paths of the API: group, version, namespace, plural, name and subresource."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What a path is about; empty parts were not named. Without `plural` it is a discovery path."""

    group: str
    version: str
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""


def parsed(path: str) -> Target | None:
    """The target of `/api/v1/...` or `/apis/GROUP/VERSION/...`; None for any other path."""
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] not in ("api", "apis"):
        return None
    head = 1 if parts[0] == "api" else 2
    if len(parts) < 2:  # noqa: PLR2004 - `/api` and `/apis` are fixed paths
        return None
    group = "" if parts[0] == "api" else parts[1]
    version = parts[head] if len(parts) > head else ""
    rest = parts[head + 1 :]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and not (len(rest) == 3 and rest[2] in ("status", "finalize")):  # noqa: PLR2004
        namespace, rest = rest[1], rest[2:]
    padded = [*rest, "", "", ""]
    subresource = "/".join(rest[2:])
    return Target(group, version, namespace, padded[0], padded[1], subresource)
