"""The tables of rights in `docs/operating.md`: `python -m controller.cli.install_tables` writes them; a test compares."""

from collections.abc import Iterable
from pathlib import Path

from controller.cli.install_rights import GREEN_NAMESPACE, HOME, LEADER_READER, OPERATOR, PIPELINE, WATCHED_NAMESPACE, Right

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
BEGIN, END = "<!-- rights -->\n", "<!-- /rights -->"


def table(rights: Iterable[Right]) -> str:
    """One Role as a table."""
    lines = ["| group | resource | verbs | what for |", "|---|---|---|---|"]
    for right in rights:
        only = f" (only {', '.join(right.names)})" if right.names else ""
        lines.append(f"| {right.kind.group or 'core'} | {right.resource}{only} | {', '.join(right.verbs)} | {right.why} |")
    return "\n".join(lines)


def text() -> str:
    """All Roles: the controller's, and those for people to copy."""
    return "\n".join((
        "In each namespace with plans (`--namespace`):\n", table(WATCHED_NAMESPACE), "",
        "In a namespace that only holds a slot (`--green-namespace`):\n", table(GREEN_NAMESPACE), "",
        "In the controller's own namespace:\n", table(HOME), "",
        "People who run releases in a namespace (`manifests/optional/people/operator.yaml`):\n", table(OPERATOR), "",
        "Pipelines that start releases, wait and roll back (`manifests/optional/people/pipeline.yaml`):\n", table(PIPELINE), "",
        "Both, in the controller's own namespace (`manifests/optional/people/leader.yaml`):\n", table(LEADER_READER), "",
    ))  # fmt: skip


def page(before: str) -> str:
    """The page with the tables as they are now."""
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{text()}{END}{tail}"


def main() -> None:
    """Write them into the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
