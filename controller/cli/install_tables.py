"""The tables of rights in `docs/operating.md`: `python -m controller.cli.install_tables` writes them; a test compares."""

from collections.abc import Iterable
from pathlib import Path

from controller.cli.install_rights import GREEN_NAMESPACE, HOME, WATCHED_NAMESPACE, Right

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
    """All three Roles."""
    return "\n".join((
        "In each namespace with plans (`--namespace`):\n", table(WATCHED_NAMESPACE), "",
        "In a namespace that only holds a slot (`--green-namespace`):\n", table(GREEN_NAMESPACE), "",
        "In the controller's own namespace:\n", table(HOME), "",
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
